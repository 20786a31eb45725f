"""How noisy somebody's function is, and how far its gradient can be trusted to repeat itself.

The noise of the cost is measured from the scatter of its values at nearby points, the noise of the gradient from its
answers at neighbouring θ.
"""

from collections.abc import Callable

import numpy as np

from harness.bounds.tolerances import ALL_COORDINATES, GRADIENT_ROUNDINGS, STEPS
from harness.checks.directions import random_directions
from harness.checks.functions.parameters import largest
from harness.checks.functions.users_function import UsersFunction
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.oracles import black_box

NOISE_SAMPLES = 8


class Measuring:
    """What is measured of a function before any derivative is.

    Parameters
    ----------
    users : the function
    """

    def __init__(self, users: UsersFunction):
        self.users, self.theta, self.layout = users, users.theta, users.layout
        self.direction = random_directions(1, self.layout.size, seed=0)[0]

    def coordinates_to_difference(self) -> np.ndarray:
        """All, or a sample where there are too many."""
        if self.layout.size <= ALL_COORDINATES:
            return np.arange(self.layout.size)
        return np.sort(np.random.default_rng(0).choice(self.layout.size, ALL_COORDINATES, replace=False))

    def answer_twice(self) -> tuple[float, np.ndarray, tuple[str, ...]]:
        """The answer at θ, and what is wrong with the way it was given."""
        (cost, gradient, changed), (cost2, gradient2, _) = self.users.answer(self.theta), self.users.answer(self.theta)
        misconduct = ["changes its argument theta in place"] if changed else []
        tolerated = GRADIENT_ROUNDINGS * self.users.unit
        repeats = np.allclose(gradient, gradient2, rtol=tolerated, atol=tolerated * largest(gradient), equal_nan=True)
        if not repeats or not np.isclose(cost, cost2, rtol=tolerated, atol=0.0, equal_nan=True):
            misconduct.append("answers differently when called twice with the same theta")
        return cost, gradient, tuple(misconduct)

    @np.errstate(all="ignore")
    def cost_noise(self, cost: float) -> float:
        """The scatter of the cost at points so close that a smooth function is a parabola there.

        Third differences remove the parabola and add up 1 + 9 + 9 + 1 variances.
        """
        nearby = self._costs_nearby(self.users.unit)
        if self.users.precision == "float64" and _fits_float32(nearby):
            coarse = self._costs_nearby(UNIT_ROUNDOFF["float32"])
            if _fits_float32(coarse) and np.ptp(coarse) > 0.0:  # computed in float32, whatever the type says
                self.users.unit, nearby = UNIT_ROUNDOFF["float32"], coarse
        spacing = self.users.unit
        while np.ptp(nearby) == 0.0 and spacing < 2.0**20 * self.users.unit:  # a cost that was rounded climbs by jumps
            spacing *= 16.0
            nearby = self._costs_nearby(spacing)
        scatter = np.diff(nearby, n=3)
        rounding = black_box.NOISE_ROUNDINGS * self.users.unit * abs(cost)
        size = largest(scatter) or 1.0  # costs of 1e200 have no squares
        return max(rounding, 3.0 * size * float(np.sqrt(np.mean((scatter / size) ** 2) / 20.0)))

    def _costs_nearby(self, unit: float) -> np.ndarray:
        width = 2.0**13 * unit * np.maximum(np.abs(self.theta), 1.0) * self.direction
        return np.array([self.users.cost(self.theta + k * width) for k in range(NOISE_SAMPLES)])

    @np.errstate(all="ignore")
    def ordinary_cost(self, cost: float) -> float:
        """A size of the cost that is not small, at θ or on both sides of it, for a minimum may be zero.

        On both, because a penalty of 1e300 beyond an edge says nothing of the cost.
        """
        width = steps_for(self.users)[0] * np.maximum(np.abs(self.theta), 1.0) * self.direction
        sides = np.abs([self.users.cost(self.theta + width), self.users.cost(self.theta - width)])
        return largest(np.array([cost, np.fmin(*sides)]))

    @np.errstate(all="ignore")
    def gradient_error(self, source: Callable, gradient: np.ndarray) -> np.ndarray:
        """How far rounding may have moved a gradient: what it moves when θ moves by a rounding, and some more.

        It moves to both sides, also from zero, so that on a kink the error is as large as the jump.
        """
        step = np.where(self.theta == 0.0, 1e-30, 2.0 * self.users.unit * np.abs(self.theta)) * self.direction
        moved = [source(self.theta + step), source(self.theta - step)]
        spread = np.nan_to_num(np.max([np.abs(other - gradient) for other in moved], axis=0), nan=0.0)
        return GRADIENT_ROUNDINGS * self.users.unit * self.layout.largest_in_block(gradient) + 4.0 * spread


def steps_for(users: UsersFunction) -> list[float]:
    """The steps of differences, in units of max(1, |θ_i|), for the precision of a function."""
    return [step * (users.unit / black_box.UNIT_ROUNDOFF) ** 0.2 for step in STEPS]


def _fits_float32(values: np.ndarray) -> bool:
    return np.array_equal(values, values.astype(np.float32))
