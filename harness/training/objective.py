"""The function that `harness.training.fmincg` minimises, checked, counted, and its best point remembered."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Point(NamedTuple):
    """Where the function was evaluated; on a ray, also the step from its start and the slope along it."""

    x: np.ndarray
    cost: float
    gradient: np.ndarray
    step: float = 0.0
    slope: float = math.nan


# Sums by NumPy, not BLAS: the order of its additions depends on the processor and the number of threads, and with it
# the iterates. Underflow is harmless, and what overflows is too far for the line search: neither needs a warning.
@np.errstate(all="ignore")
def dot(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum())


@np.errstate(all="ignore")
def _is_finite(a: np.ndarray) -> bool:
    return math.isfinite(a.sum())  # NaN and infinity survive a sum, which takes a third of the time of isfinite


class Objective:
    """The caller's function from its start on."""

    def __init__(
        self, fun: Callable[[np.ndarray], Any], x0: np.ndarray, best: Point | None = None, nfev: int = 0
    ) -> None:
        self.fun = fun
        self.nfev = nfev
        self.best = self.evaluate(x0) if best is None else best
        if not (math.isfinite(self.best.cost) and np.isfinite(self.best.gradient).all()):
            raise ValueError(
                f"fmincg must start from a finite cost and gradient, but at x0 the cost is {self.best.cost:g} and "
                f"{np.count_nonzero(~np.isfinite(self.best.gradient))} of {x0.size} components of the gradient are "
                "not finite; choose another x0"
            )

    def __call__(self, x: np.ndarray) -> Point:
        """Evaluate at x. Where anything is not finite, the cost is NaN."""
        point = self.evaluate(x)
        if not (math.isfinite(point.cost) and _is_finite(point.gradient)):
            return point._replace(cost=math.nan)
        if point.cost < self.best.cost:
            self.best = point
        return point

    def evaluate(self, x: np.ndarray) -> Point:
        self.nfev += 1
        returned = self.fun(x)
        try:
            cost, gradient = map(np.asarray, returned)
        except (TypeError, ValueError):
            raise TypeError(
                f"fun must return (cost, gradient), not {type(returned).__name__}; for a function that returns the "
                "cost alone, give jac as well"
            ) from None
        for what, part, shape in (("cost", cost, ()), ("gradient", gradient, x.shape)):
            if part.dtype.kind not in "iuf":
                raise TypeError(f"fun must return a {what} of real numbers, not of dtype {part.dtype}")
            if part.shape != shape:
                raise ValueError(f"fun must return a {what} of shape {shape} for this x0, not {part.shape}")
        return Point(x, float(cost), np.array(gradient, dtype=np.float64))
