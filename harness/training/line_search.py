"""The line search of `harness.training.fmincg`: strong Wolfe-Powell conditions by interpolation and extrapolation.

Along a direction s from x, φ(t) = f(x + ts) with slope φ'(t) = g(x + ts)ᵀs. A step t is accepted where

    φ(t) ≤ φ(0) + ρ t φ'(0)                (Armijo's condition: enough decrease)
    σ φ'(0) < φ'(t) ≤ -σ φ'(0)             (the curvature condition: flat enough)

with ρ = 0.01 and σ = 0.5. A trial that is too long becomes the upper end of a bracket, and the next one is the minimum
of a parabola or a cubic through both ends (`_tighten`). One that is too short becomes the lower end, and the next one
is the minimum of a cubic beyond it (`_extrapolate`).

Source: C. E. Rasmussen's ``minimize`` (2002), after R. Fletcher, Practical Methods of Optimization (1987), section 2.6.
The numbers below are its, as are the order of operations and with them the trials, to the last bit. A cost that is not
finite is a trial too long here; that of 2002 runs on outwards.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from harness.wording import what_it_is
from reference.network import real_array

ARMIJO = 0.01
"""ρ (its RHO): the share of the decrease t φ'(0), promised by the slope at the start, that a step must win. Above 1/2,
the exact minimum of a parabola would be refused, which wins half of what the slope promises."""

CURVATURE = 0.5
"""σ (its SIG): the share of the slope at the start that may be left. Nearer to 0, a search comes closer to the minimum
along the line and takes more evaluations. It is larger than ρ, or there may be no such step."""

MARGIN = 0.1
"""A trial stays away from both ends of the bracket by this share of it (its INT), so that brackets shrink by a tenth at
least: fits through costs that hardly differ may return an end."""

EXTRAPOLATION = 3.0  # without an upper limit, a step grows at most by this factor (its EXT) from trial to trial

MAX_TRIALS = 20
"""Evaluations in one line search, after the first (its MAX). Halving 20 times leaves a millionth of the first step."""


class LinePoint(NamedTuple):
    """Where the function was evaluated: x, f and g; along a direction s, also the step t and the slope φ'(t) = gᵀs."""

    x: np.ndarray
    cost: float
    gradient: np.ndarray
    step: float = 0.0
    slope: float = math.nan


# Sums by NumPy, not BLAS: the order of its additions depends on the processor and the number of threads, and with it
# the iterates. Underflow is harmless, and what overflows is too far for the line search: neither needs a warning.
@np.errstate(all="ignore")
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """aᵀb, with the same rounding on every machine."""
    return float((a * b).sum())


@np.errstate(all="ignore")
def _is_finite(a: np.ndarray) -> bool:
    return math.isfinite(a.sum())  # NaN and infinity survive a sum, which takes a third of the time of isfinite


class Objective:
    """The function to be minimised, checked and counted, with the best point seen.

    Raises ValueError where the cost or the gradient is not finite at x0.
    """

    def __init__(
        self, fun: Callable[[np.ndarray], Any], x0: np.ndarray, best: LinePoint | None = None, nfev: int = 0
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

    def __call__(self, x: np.ndarray) -> LinePoint:
        """Evaluate at x. Where anything is not finite, the cost is NaN."""
        point = self.evaluate(x)
        if not (math.isfinite(point.cost) and _is_finite(point.gradient)):
            return point._replace(cost=math.nan)
        if point.cost < self.best.cost:
            self.best = point
        return point

    def evaluate(self, x: np.ndarray) -> LinePoint:
        """Cost and gradient at x, checked for their types and shapes."""
        self.nfev += 1
        returned = self.fun(x)
        try:
            cost, gradient = returned
        except Exception:  # noqa: BLE001  a class of the user may raise anything
            raise TypeError(
                f"fun must return (cost, gradient), not {what_it_is(returned)}; for a function that returns the "
                "cost alone, give jac as well"
            ) from None
        returns = partial(real_array, may_be_infinite=True, kinds="iuf")  # truth values are no gradient
        cost = returns("the cost that fun returns", cost, (0,), "of shape (), a number")
        expected = f"of shape {x.shape}, as x0"
        gradient = returns("the gradient that fun returns", gradient, (1,), expected)
        if gradient.shape != x.shape:
            raise ValueError(f"the gradient that fun returns must be {expected}, but has shape {gradient.shape}")
        return LinePoint(x, float(cost), gradient.copy())


class Bracket(NamedTuple):
    """Where a search stands: the step that it looks for is between the anchor's and the limit."""

    trial: LinePoint  # the last point evaluated
    anchor: LinePoint  # the longest step known to be too short; at first the start
    # The anchor's step minus the trial's: below zero. It is kept, since subtracting the steps would round again.
    to_anchor: float
    limit: float = math.inf  # the shortest step known to be too long


def search_line(
    objective: Objective,
    start: LinePoint,  # with its slope along the direction, which is negative
    direction: np.ndarray,
    step: float,  # the first trial's
) -> LinePoint | None:
    """The first trial that satisfies both conditions; None where `MAX_TRIALS` more trials do not find one."""
    # Each trial is displaced from the one before, as in 2002, and not from the start. Where the cost is quadratic, the
    # leading coefficient of the cubic is nothing but rounding: other operations would lead to other trials.
    bracket = Bracket(_move(objective, start, direction, step), start, -step)
    for _ in range(MAX_TRIALS):
        if _is_too_long(start, bracket.trial):
            bracket, offset = _tighten(start, bracket)
        elif _is_too_short(start, bracket.trial):
            offset = _extrapolate(bracket)
            bracket = bracket._replace(anchor=bracket.trial, to_anchor=-offset)
        else:
            return bracket.trial
        bracket = bracket._replace(trial=_move(objective, bracket.trial, direction, offset))
    trial = bracket.trial
    return None if _is_too_long(start, trial) or _is_too_short(start, trial) else trial


def _move(objective: Objective, point: LinePoint, direction: np.ndarray, offset: float) -> LinePoint:
    """The point farther along the direction by an offset."""
    with np.errstate(all="ignore"):
        x = point.x + offset * direction
    moved = objective(x)
    return moved._replace(step=point.step + offset, slope=dot(moved.gradient, direction))


def _is_too_long(start: LinePoint, trial: LinePoint) -> bool:
    """Whether Armijo's condition fails, φ(t) > φ(0) + ρ t φ'(0), or the cost rises steeply, φ'(t) > -σ φ'(0).

    NaN, as where the cost is not finite, is too long: all comparisons with it are false.
    """
    enough = start.cost + trial.step * ARMIJO * start.slope
    return not (trial.cost <= enough and trial.slope <= -CURVATURE * start.slope)


def _is_too_short(start: LinePoint, trial: LinePoint) -> bool:
    """Whether the cost still falls steeply: φ'(t) ≤ σ φ'(0)."""
    return trial.slope <= CURVATURE * start.slope


def _tighten(start: LinePoint, bracket: Bracket) -> tuple[Bracket, float]:
    """The bracket with the trial as its limit, and the offset to the next trial, between it and the anchor.

    The minimum is that of the parabola where the trial is above the start: its slope there says little about a minimum
    far back. It is that of the cubic where the trial has passed a minimum.
    """
    trial, to_anchor = bracket.trial, bracket.to_anchor
    fit = _quadratic_minimum if trial.cost > start.cost else _cubic_minimum
    offset = fit(bracket.anchor, trial, to_anchor)
    if not math.isfinite(offset):  # no minimum, or a trial whose cost is NaN
        offset = to_anchor / 2
    # Both are below zero: the offset is 10% to 90% of the way back to the anchor.
    offset = max(min(offset, MARGIN * to_anchor), (1 - MARGIN) * to_anchor)
    return bracket._replace(limit=trial.step, to_anchor=to_anchor - offset), offset


def _extrapolate(bracket: Bracket) -> float:
    """The offset to the next trial beyond this one: the minimum of the cubic through anchor and trial, within limits.

    Without a limit, it is at most twice the step, so that the step grows to `EXTRAPOLATION` times itself. With one, the
    next trial is no farther than that. The offset is at least a tenth of the last interval.
    """
    step, limit = bracket.trial.step, bracket.limit
    is_bounded = limit < math.inf
    farthest = limit if is_bounded else step * EXTRAPOLATION
    offset = _cubic_minimum(bracket.anchor, bracket.trial, bracket.to_anchor, beyond=True)
    if not (offset >= 0 and offset + step <= farthest):  # NaN, behind the trial, or too far
        return (limit - step) / 2 if is_bounded else step * (EXTRAPOLATION - 1)
    if offset < -bracket.to_anchor * MARGIN:
        return -bracket.to_anchor * MARGIN
    # With a limit, the next trial is then 90% of the way to it, or beyond. An upper bound of 90% may have been meant,
    # but this is what the routine of 2002 does, and its iterates are kept.
    return max(offset, (limit - step) * (1 - MARGIN)) if is_bounded else offset


def _quadratic_minimum(anchor: LinePoint, trial: LinePoint, h: float) -> float:
    """The minimum of the parabola p(u) with p(0) = f, p(h) = F and p'(h) = F'; u is the offset from the trial.

    f is the trial's cost, and F, F' are the cost and slope of the anchor, which is at u = h. So
    p(u) = F + F'(u - h) + c (u - h)² with c = (F'h + f - F)/h², and p' vanishes at u = h - F'h² / 2(F'h + f - F).
    """
    return h - _quotient(0.5 * anchor.slope * h * h, anchor.slope * h + trial.cost - anchor.cost)


def _cubic_minimum(anchor: LinePoint, trial: LinePoint, h: float, *, beyond: bool = False) -> float:
    """The minimum of the cubic p(u) = f + f'u + b(u/h)² + au³/3h² with both costs and slopes; NaN if it has none.

    With f, f' the trial's cost and slope and F, F' those of the anchor, p(h) = F and p'(h) = F' ask for

        a = 6 (f - F)/h + 3 (f' + F')        b = 3 (F - f) - h (F' + 2f')

    and p'(u) = f' + 2bu/h² + au²/h² vanishes, with p'' > 0, at u = (√D - b)/a = -f'h²/(b + √D) for D = b² - af'h².
    """
    a = _quotient(6 * (trial.cost - anchor.cost), h) + 3 * (trial.slope + anchor.slope)
    b = 3 * (anchor.cost - trial.cost) - h * (anchor.slope + 2 * trial.slope)
    discriminant = b * b - a * trial.slope * h * h
    if not discriminant >= 0:  # the roots of p' are complex, or something is NaN
        return math.nan
    # Two forms of one root. The one of the way back cancels when a is small and b > 0, but the iterates of 2002 take
    # it, and the margins of the bracket contain the damage.
    root = math.sqrt(discriminant)
    return _quotient(-trial.slope * h * h, b + root) if beyond else _quotient(root - b, a)


def _quotient(numerator: float, denominator: float) -> float:
    """The quotient, NaN for a denominator of 0."""
    return numerator / denominator if denominator else math.nan
