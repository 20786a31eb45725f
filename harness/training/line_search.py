"""The line search of `harness.training.fmincg`: Wolfe-Powell conditions by interpolation and extrapolation."""

import math

import numpy as np

from harness.training.objective import Objective, Point, dot

ARMIJO = 0.01  # a step must win at least this fraction of the decrease that the slope at its start promises
CURVATURE = 0.5  # and leave at most this fraction of that slope
MARGIN = 0.1  # a new trial keeps this fraction of the interval away from either end
EXTRAPOLATION = 3.0  # a step without an upper limit grows at most by this factor from trial to trial
MAX_TRIALS = 20  # in one line search, after the first


class LineSearch:
    """The search along a ray for a step that satisfies the Wolfe-Powell conditions.

    The anchor is the last point known to be too close, the limit the shortest step known to be too long. Offsets are
    relative to the trial, and each trial is displaced from the one before: where the cost is quadratic, the leading
    coefficient of the cubic fit is nothing but rounding, so the same iterates take the same operations.
    """

    def __init__(self, objective: Objective, start: Point, direction: np.ndarray, step: float) -> None:
        self.objective, self.start, self.direction = objective, start, direction
        self.anchor = self.trial = start
        self.to_anchor = -step
        self.limit = math.inf
        self.move(step)

    def run(self) -> Point | None:
        for _ in range(MAX_TRIALS):
            if self.too_far():
                self.tighten()
            elif self.too_close():
                self.extend()
            else:
                break
        return None if self.too_far() or self.too_close() else self.trial

    def too_far(self) -> bool:
        """Armijo's condition fails or the cost rises steeply, as NaN is taken to do."""
        enough = self.start.cost + self.trial.step * ARMIJO * self.start.slope
        return not (self.trial.cost <= enough and self.trial.slope <= -CURVATURE * self.start.slope)

    def too_close(self) -> bool:
        return self.trial.slope <= CURVATURE * self.start.slope

    def tighten(self) -> None:
        self.limit = self.trial.step
        fit = _quadratic_minimum if self.trial.cost > self.start.cost else _cubic_minimum
        offset = fit(self.anchor, self.trial, self.to_anchor)
        if not math.isfinite(offset):
            offset = self.to_anchor / 2
        offset = max(min(offset, MARGIN * self.to_anchor), (1 - MARGIN) * self.to_anchor)
        self.to_anchor -= offset
        self.move(offset)

    def extend(self) -> None:
        offset = self.extrapolated()
        self.anchor, self.to_anchor = self.trial, -offset
        self.move(offset)

    def extrapolated(self) -> float:
        step, bounded = self.trial.step, self.limit < math.inf
        farthest = self.limit if bounded else step * EXTRAPOLATION
        offset = _cubic_minimum(self.anchor, self.trial, self.to_anchor, beyond=True)
        if not (offset >= 0 and offset + step <= farthest):
            return (self.limit - step) / 2 if bounded else step * (EXTRAPOLATION - 1)
        if offset < -self.to_anchor * MARGIN:
            return -self.to_anchor * MARGIN
        return max(offset, (self.limit - step) * (1 - MARGIN)) if bounded else offset

    def move(self, offset: float) -> None:
        with np.errstate(all="ignore"):
            x = self.trial.x + offset * self.direction
        point = self.objective(x)
        slope = dot(point.gradient, self.direction)
        self.trial = point._replace(step=self.trial.step + offset, slope=slope)


def _quadratic_minimum(anchor: Point, trial: Point, h: float) -> float:
    """Where the parabola with both costs and the anchor's slope has its minimum; 0 is the trial, h the anchor."""
    return h - _quotient(0.5 * anchor.slope * h * h, anchor.slope * h + trial.cost - anchor.cost)


def _cubic_minimum(anchor: Point, trial: Point, h: float, *, beyond: bool = False) -> float:
    """Where the cubic f + f'u + b(u/h)² + au³/3h² with both costs and slopes has its minimum; NaN if it has none."""
    a = _quotient(6 * (trial.cost - anchor.cost), h) + 3 * (trial.slope + anchor.slope)
    b = 3 * (anchor.cost - trial.cost) - h * (anchor.slope + 2 * trial.slope)
    discriminant = b * b - a * trial.slope * h * h
    if not discriminant >= 0:  # the roots of the cubic's slope are complex
        return math.nan
    # Two forms of one root. On the way back the iterates of 2002 take the one that cancels when a is small and b > 0;
    # the margins of the interval contain the damage.
    root = math.sqrt(discriminant)
    return _quotient(-trial.slope * h * h, b + root) if beyond else _quotient(root - b, a)


def _quotient(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan
