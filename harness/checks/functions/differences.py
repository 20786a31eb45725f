"""Differences of the costs of somebody's function, at the steps that decide about the gradient that it claims."""

import numpy as np

from harness.bounds.tolerances import MEANINGLESS, NEGLIGIBLE
from harness.checks.functions.measuring import steps_for
from harness.checks.functions.step_search import Claim, settle
from harness.checks.functions.users_function import UsersFunction
from harness.verdict.comparison import Answer
from reference.oracles import black_box


class Differences:
    """Derivatives of a cost of which only values are known.

    Parameters
    ----------
    users : the function
    noise : the noise in its cost
    ordinary : a size of its cost that is not small
    """

    def __init__(self, users: UsersFunction, noise: float, ordinary: float):
        self.users, self.noise, self.ordinary = users, noise, ordinary
        self.steps = steps_for(users)

    def meaningful(self, size: np.ndarray) -> np.ndarray:
        """How wide an error bar may be, beside derivatives of some size, to decide anything."""
        least = NEGLIGIBLE * max(self.ordinary, size.max(initial=0.0))
        return MEANINGLESS[self.users.precision] * np.maximum(size, least)

    @np.errstate(all="ignore")
    def one_by_one(self, chosen: np.ndarray, yours: Answer) -> tuple[np.ndarray, np.ndarray]:
        """The derivatives in the chosen coordinates and their errors; (n,) each, NaN and infinite in all others."""
        theta = self.users.theta
        derivatives, errors = np.full(theta.size, np.nan), np.full(theta.size, np.inf)
        meaningful = self.meaningful(self.users.layout.largest_in_block(yours.gradient))
        for i in chosen.tolist():
            own_scale = abs(float(theta[i])) or np.inf
            claim = Claim(float(yours.gradient[i]), float(yours.error[i]), float(meaningful[i]), own_scale)
            derivatives[i], errors[i] = self._in_coordinate(i, claim)
        return derivatives, errors

    def _in_coordinate(self, i: int, claim: Claim) -> black_box.Difference:
        theta = self.users.theta

        def probe(step: float, distance: float) -> black_box.Difference:
            moved = theta.copy()
            moved[i] += distance
            return black_box.partial(self.users.cost, moved, i, step, self.noise)

        unit = max(1.0, abs(float(theta[i])))
        return settle(claim, probe, self.noise, [unit * step for step in self.steps])

    @np.errstate(all="ignore")
    def along(self, direction: np.ndarray, claim: Claim) -> black_box.Difference:
        """The derivative along a direction, of which somebody makes a claim."""

        def probe(step: float, distance: float) -> black_box.Difference:
            return black_box.difference(
                lambda t: self.users.cost(self.users.theta + (distance + t) * direction), step, self.noise
            )

        return settle(claim, probe, self.noise, self.steps)
