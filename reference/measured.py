"""The answers of oracles: a gradient or a slope, with a bound on its error."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reference.problem import Problem

GradientSource = Callable[[Problem, np.ndarray], tuple[float, np.ndarray]]
"""(problem, θ) -> (cost, gradient): a backprop, an oracle, a planted bug, a student's homework."""


class NotApplicable(Exception):
    """A source cannot answer for this problem; the message says why."""


class Measured(NamedTuple):
    """A cost and a gradient with the oracle's own error bound.

    The distance to the true gradient is at most `roundings` times the bound on rounding error, plus `error` per
    coordinate (truncation, or the radius of an enclosure).
    """

    cost: float
    gradient: np.ndarray
    error: np.ndarray
    roundings: float


class MeasuredSlope(NamedTuple):
    """The values and slopes of an activation at each z, shape (n,), with the oracle's own error bounds.

    The distance to the true slope is at most `roundings` times the bound on rounding in the formula's derivative, plus
    `error`; to the true value at most as many bounds on rounding in the formula, but one at least, plus `value_error`.

    Each oracle's ``slope(f, z)`` returns one. Exceptions of the formula pass through: `NotApplicable`, another of
    `reference.arithmetics.companion.FORMULA_ERRORS`, or a RuntimeError of JAX.
    """

    value: np.ndarray
    slope: np.ndarray
    error: np.ndarray
    roundings: float = 1.0
    value_error: np.ndarray | float = 0.0


def known(derivative: np.ndarray, error: np.ndarray | float) -> np.ndarray:
    """The error of a derivative, infinite where derivative or error is not finite."""
    return np.where(np.isfinite(derivative) & np.isfinite(error), error, np.inf)


@dataclass(frozen=True)
class Oracle:
    """A gradient source that knows its own error: it is called like any source, and `measure` returns the error."""

    measure: Callable[[Problem, np.ndarray], Measured]

    def __call__(self, problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
        measured = self.measure(problem, theta)
        return measured.cost, measured.gradient
