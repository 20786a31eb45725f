"""Is a bug there at all? Decided by certified enclosures, not by opinion.

A bug in a slope changes nothing in a network without a hidden layer, and one in the regulariser nothing at λ = 0. A
checker that passes such an answer is right. An answer counts as wrong where its cost or a coordinate of its gradient
lies farther from the ball that contains the exact value than rounding could have moved a correct computation.
"""

from typing import Any

import numpy as np

from harness.bounds.rounding_bound import rounding_bound
from reference.measured import GradientSource
from reference.oracles import ball_arithmetic
from reference.problem import Problem


class Truth:
    """The exact cost and gradient of a problem at θ, enclosed, and what rounding allows around them."""

    def __init__(self, problem: Problem, theta: np.ndarray):
        self.problem, self.theta = problem, theta
        self.exact = ball_arithmetic.measure(problem, theta)
        self.bound = rounding_bound(problem, theta)

    def excludes(self, source: GradientSource) -> bool:
        """Whether the source's answer is certainly wrong, or the source changes its argument θ.

        At a kink the enclosure is as wide as the jump, and no answer within it is certainly wrong.
        """
        given = self.theta.copy()
        cost, gradient = source(self.problem, given)
        return bool(
            not np.array_equal(given, self.theta)
            or _beyond(cost, self.exact.cost, self.bound.cost)
            or np.any(_beyond(gradient, self.exact.gradient, self.bound.gradient + self.exact.error))
        )


def _beyond(answer: Any, exact: Any, allowed: Any) -> Any:
    return np.isfinite(allowed) & ~(np.abs(answer - exact) <= allowed)  # NaN is beyond
