"""What an oracle answers: a gradient, and how far from the truth it may be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reference.problem import Problem

GradientSource = Callable[[Problem, np.ndarray], tuple[float, np.ndarray]]
"""θ in, (cost, gradient) out: a backprop, an oracle, a planted bug, a student's homework."""


class NotApplicable(Exception):
    """An oracle cannot answer for this problem; the message says why."""


class Measured(NamedTuple):
    """A cost and a gradient with the oracle's own error bars.

    The distance to the truth is at most `roundings` times the bound on rounding error, plus `error` per coordinate
    (truncation, or the radius of an enclosure).
    """

    cost: float
    gradient: np.ndarray
    error: np.ndarray
    roundings: float


@dataclass(frozen=True)
class Oracle:
    """A gradient source that knows its own error: calls like any source, and `measure` tells the rest."""

    measure: Callable[[Problem, np.ndarray], Measured]

    def __call__(self, problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
        measured = self.measure(problem, theta)
        return measured.cost, measured.gradient
