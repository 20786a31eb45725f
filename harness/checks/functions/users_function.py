"""Anybody's function (cost, gradient) over flat float64 vectors, and how noisy its answers are.

The noise of the cost is measured from the scatter of its values at nearby points, the noise of the gradient from its
answers at neighbouring θ.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.bounds.tolerances import ALL_COORDINATES, GRADIENT_ROUNDINGS, STEPS
from harness.checks.directions import random_directions
from harness.checks.functions.parameters import Layout, largest, to_numpy, unit_roundoff
from harness.wording import what_it_is
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.oracles import black_box

NOISE_SAMPLES = 8


class UsersFunction:
    """The user's function, over flat float64 vectors."""

    def __init__(self, fun: Callable[[Any], tuple[Any, Any]], theta: Any):
        if not callable(fun):
            raise TypeError(f"fun must be callable as fun(theta) -> (cost, gradient), not {type(fun).__name__}")
        self.fun = fun
        self.layout = Layout(theta)
        self.theta = self.layout.flatten(theta, "theta")
        if not np.isfinite(self.theta).all():
            i = int(np.flatnonzero(~np.isfinite(self.theta))[0])
            raise ValueError(f"theta must be finite, but {self.layout.label(i)} is {self.theta[i]}")
        self.unit = self.layout.unit_roundoff
        self.direction = random_directions(1, self.layout.size, seed=0)[0]

    @property
    def precision(self) -> str:
        return "float64" if self.unit == UNIT_ROUNDOFF["float64"] else "float32"

    def coordinates_to_difference(self) -> np.ndarray:
        """All, or a sample where there are too many."""
        if self.layout.size <= ALL_COORDINATES:
            return np.arange(self.layout.size)
        return np.sort(np.random.default_rng(0).choice(self.layout.size, ALL_COORDINATES, replace=False))

    def answer(self, flat: np.ndarray) -> tuple[float, np.ndarray, bool]:
        """Cost, gradient, and whether the call changed its argument."""
        given = self.layout.rebuild(flat)
        before = self.layout.flatten(given, "theta")
        try:
            answered = self.fun(given)
        except SystemExit as ended:
            raise ValueError(f"fun called sys.exit({ended.code!r}) instead of answering") from ended
        if not isinstance(answered, tuple) or len(answered) != 2:
            raise TypeError(f"fun must answer a tuple (cost, gradient), not {what_it_is(answered)}")
        cost, gradient = to_numpy(answered[0]), self.layout.flatten(answered[1], "the gradient")
        if cost.size != 1:
            raise ValueError(f"fun must answer one number as its cost, but answered shape {cost.shape}")
        self.unit = max(self.unit, unit_roundoff(answered[0]), Layout(answered[1]).unit_roundoff)
        changed = not np.array_equal(before, self.layout.flatten(given, "theta"))
        return float(cost.reshape(())), gradient, changed

    def cost(self, flat: np.ndarray) -> float:
        return self.answer(flat)[0]

    def gradient(self, flat: np.ndarray) -> np.ndarray:
        return self.answer(flat)[1]

    def answer_twice(self) -> tuple[float, np.ndarray, tuple[str, ...]]:
        """The answer at θ, and what is wrong with the way it was given."""
        (cost, gradient, changed), (cost2, gradient2, _) = self.answer(self.theta), self.answer(self.theta)
        misconduct = ["changes its argument theta in place"] if changed else []
        tolerated = GRADIENT_ROUNDINGS * self.unit
        repeats = np.allclose(gradient, gradient2, rtol=tolerated, atol=tolerated * largest(gradient), equal_nan=True)
        if not repeats or not np.isclose(cost, cost2, rtol=tolerated, atol=0.0, equal_nan=True):
            misconduct.append("answers differently when called twice with the same theta")
        return cost, gradient, tuple(misconduct)

    @np.errstate(all="ignore")
    def cost_noise(self, cost: float) -> float:
        """The scatter of the cost at points so close that a smooth function is a parabola there.

        Third differences remove the parabola and add up 1 + 9 + 9 + 1 variances.
        """
        nearby = self._costs_nearby(self.unit)
        if self.precision == "float64" and _fits_float32(nearby):
            coarse = self._costs_nearby(UNIT_ROUNDOFF["float32"])
            if _fits_float32(coarse) and np.ptp(coarse) > 0.0:  # computed in float32, whatever the type says
                self.unit, nearby = UNIT_ROUNDOFF["float32"], coarse
        spacing = self.unit
        while np.ptp(nearby) == 0.0 and spacing < 2.0**20 * self.unit:  # a cost that was rounded climbs by jumps
            spacing *= 16.0
            nearby = self._costs_nearby(spacing)
        scatter = np.diff(nearby, n=3)
        rounding = black_box.NOISE_ROUNDINGS * self.unit * abs(cost)
        size = largest(scatter) or 1.0  # costs of 1e200 have no squares
        return max(rounding, 3.0 * size * float(np.sqrt(np.mean((scatter / size) ** 2) / 20.0)))

    def _costs_nearby(self, unit: float) -> np.ndarray:
        width = 2.0**13 * unit * np.maximum(np.abs(self.theta), 1.0) * self.direction
        return np.array([self.cost(self.theta + k * width) for k in range(NOISE_SAMPLES)])

    @np.errstate(all="ignore")
    def ordinary_cost(self, cost: float) -> float:
        """A size of the cost that is not small, at θ or on both sides of it, for a minimum may be zero.

        On both, because a penalty of 1e300 beyond an edge says nothing of the cost.
        """
        width = self.steps()[0] * np.maximum(np.abs(self.theta), 1.0) * self.direction
        sides = np.abs([self.cost(self.theta + width), self.cost(self.theta - width)])
        return largest(np.array([cost, np.fmin(*sides)]))

    @np.errstate(all="ignore")
    def gradient_error(self, source: Callable, gradient: np.ndarray) -> np.ndarray:
        """How far rounding may have moved a gradient: what it moves when θ moves by a rounding, and some more.

        It moves to both sides, also from zero, so that on a kink the error is as large as the jump.
        """
        step = np.where(self.theta == 0.0, 1e-30, 2.0 * self.unit * np.abs(self.theta)) * self.direction
        moved = [source(self.theta + step), source(self.theta - step)]
        spread = np.nan_to_num(np.max([np.abs(other - gradient) for other in moved], axis=0), nan=0.0)
        return GRADIENT_ROUNDINGS * self.unit * self.layout.largest_in_block(gradient) + 4.0 * spread

    def steps(self) -> list[float]:
        return [step * (self.unit / black_box.UNIT_ROUNDOFF) ** 0.2 for step in STEPS]


def _fits_float32(values: np.ndarray) -> bool:
    return np.array_equal(values, values.astype(np.float32))
