"""The derivative of a cost on a line through θ, from seven costs, with an error bound.

f(t) is the cost at θ + t v for a direction v. The central differences of `reference.arithmetics.central_differences`
give f'(0). One-sided differences of the same costs, (f(t) - f(0))/t extrapolated to t = 0, give the left and the right
derivative. At a kink these differ: |t| has -1 and 1 at 0. Every number between them is somebody's convention there, so
the error bound takes them all in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from reference.arithmetics.central_differences import NOISE_GAIN, WIDTHS, extrapolated_to_zero, stencil

ONE_SIDED_GAIN = 2.0 * NOISE_GAIN
"""Noise of a one-sided slope, in noises of a cost over h: its weights 8/3, 1, 1/12 and 7/4 add up to 5.5; with room."""

CLEAR = 0.1
"""A kink is at θ if its one-sided slopes are known to this share of their jump: that of |t - a| is within 0.03 h."""

LIKELY = 4.0  # one-sided slopes that differ by so many times their error bounds show a kink near θ, if not where it is

VANISHING = 1e-3
"""A derivative below this share of the steepest slope nearby vanishes, as at a minimum: that slope is then the
measure."""

MOSTLY_NOISE = 0.3
"""An error bound of which this share is noise becomes no smaller at narrower steps, where noise grows as 1/h."""

Line = Callable[[float], float]  # f(t), the cost along a line, or the derivative that is reported there


class Obstacle(StrEnum):
    """What an error bound comes from, where it is not small."""

    KINK = "kink"  # the left and the right derivative differ
    EDGE = "edge"  # the cost is not finite on one side: the end of its domain
    NOISE = "noise"  # rounding, or whatever else makes neighbouring costs scatter
    JUMPS = "jumps"  # the cost jumps, as rounding inside it makes it do
    ROUGH = "rough"  # none of these is certain: truncation, a pole, several kinks


class CostNoise(NamedTuple):
    """How far a computed cost may be from the true one: three standard deviations, all in units of the cost."""

    near: float  # at θ
    far: float  # at `reach`: beside a minimum of 0 the costs are larger, and so are their roundings
    reach: float  # a distance along the line; between 0 and here, noise is taken to grow in proportion
    relative: float  # some u: what rounding leaves of any cost, as a share of it
    hidden: float = 0.0  # digits that are lost equally all along the line, so that no scatter shows them

    def at(self, step: float, size: float = 0.0) -> float:
        """The noise of costs of some size at some distance."""
        return max(self.near, self.far * min(step / self.reach, 1.0), self.relative * size, self.hidden)


def scatter_of(costs: np.ndarray) -> float:
    """Three standard deviations of costs at evenly spaced places so close that a smooth cost is a parabola there.

    Third differences c₃ - 3 c₂ + 3 c₁ - c₀ remove the parabola, and add up 1 + 9 + 9 + 1 variances of the noise.
    """
    scatter = np.diff(costs, n=3)
    size = float(np.max(np.abs(scatter))) or 1.0  # costs of 1e200 have no squares
    return 3.0 * size * float(np.sqrt(np.mean((scatter / size) ** 2) / 20.0))


class StencilEstimate(NamedTuple):
    """An estimate of a derivative; NaN with an infinite error bound where there is none."""

    derivative: float = np.nan
    error: float = np.inf  # the error bound: |derivative - f'(0)| is at most that; at a kink, half the jump and more
    noise: float = np.inf  # the part of the error bound that is noise
    steepest: float = 0.0  # the largest slope between neighbouring points of the stencil, as far as noise shows it
    obstacle: Obstacle = Obstacle.ROUGH  # what the error bound comes from, where it is not small
    slopes: tuple[float, float] = (np.nan, np.nan)  # the left and the right derivative at a kink
    step: float = np.nan  # h of the stencil

    @property
    def at_least(self) -> float:
        """The least that |f'(0)| may be; at a kink, the larger of both sides' slopes."""
        if np.isfinite(self.slopes).all():
            return max(map(abs, self.slopes))
        size = abs(self.derivative) - self.error
        return size if size > 0.0 else 0.0

    @property
    def at_most(self) -> float:
        """The most that |f'(0)| may be."""
        size = abs(self.derivative) + self.error
        return size if np.isfinite(size) else np.inf

    @property
    def vanishes(self) -> bool:
        """Whether the derivative is far below the slopes nearby, as at a minimum."""
        return self.at_most <= VANISHING * self.steepest

    def scaled(self, factor: float) -> "StencilEstimate":
        """The same in other units, or in the other direction."""
        size, (left, right) = abs(factor), self.slopes if factor > 0.0 else self.slopes[::-1]
        sizes = {name: getattr(self, name) * size for name in ("error", "noise", "steepest")}
        return self._replace(derivative=self.derivative * factor, slopes=(left * factor, right * factor), **sizes)


def estimate(line: Line, h: float, noise: CostNoise) -> StencilEstimate:
    """The derivative of a cost at t = 0 on a line, by the stencil 0, ±h, ±2h, ±4h.

    Where the cost is finite on one side alone, it is the derivative on that side.
    """
    centre = line(0.0)
    ups, downs = (np.array([line(sign * width * h) for width in WIDTHS]) for sign in (1.0, -1.0))
    values = np.array([*downs[::-1], centre, *ups])
    finite = np.isfinite(values)
    has_left, has_right = finite[:3].all(), finite[4:].all()
    if not np.isfinite(centre):
        return StencilEstimate(step=h)
    if not (has_left or has_right):
        return StencilEstimate(obstacle=Obstacle.EDGE, step=h)
    size = noise.at(4.0 * h, float(np.abs(values[finite]).max()))
    up, down = _one_sided(centre, ups, h, size), _one_sided(centre, downs, -h, size)
    if not (has_left and has_right):
        return (up if has_right else down)._replace(obstacle=Obstacle.EDGE, step=h)
    return _two_sided(values, up, down, h, size)._replace(step=h)


def _two_sided(
    values: np.ndarray, up: StencilEstimate, down: StencilEstimate, h: float, noise: float
) -> StencilEstimate:
    """The central estimate, or the range of both one-sided ones at a kink; `values` are ordered by t."""
    central = stencil(values[3], values[4:], values[2::-1], h, noise)
    derivative, bend = float(central.derivative), float(central.bend)
    noisy = NOISE_GAIN * noise / h
    error = central.truncation + noisy
    spans = h * np.array([2.0, 1.0, 1.0, 1.0, 1.0, 2.0])
    # two costs that are off in opposite directions look steeper by two noises
    steepest = float(np.max((np.abs(np.diff(values)) - 2.0 * noise) / spans, initial=0.0))
    if not central.has_kink:
        obstacle = Obstacle.NOISE if noisy > MOSTLY_NOISE * error else Obstacle.ROUGH
        return StencilEstimate(derivative, _bound(error), noisy, steepest, obstacle)
    jump, unsure = abs(up.derivative - down.derivative), up.error + down.error
    if unsure <= CLEAR * jump:
        middle = 0.5 * (up.derivative + down.derivative)
        slopes = (down.derivative, up.derivative)
        return StencilEstimate(float(middle), _bound(0.5 * jump + unsure), noisy, steepest, Obstacle.KINK, slopes)
    # a kink beside θ: R1 is off by at most the jump of the slope there, which is bend / h
    obstacle = Obstacle.KINK if jump > LIKELY * unsure else Obstacle.ROUGH
    return StencilEstimate(derivative, _bound(error + bend / h), noisy, steepest, obstacle)


def _one_sided(centre: float, values: np.ndarray, h: float, noise: float) -> StencilEstimate:
    """The derivative on one side, from the costs at h, 2h and 4h."""
    derivative, truncation = extrapolated_to_zero(*(values - centre) / (h * np.array(WIDTHS)))
    noisy = ONE_SIDED_GAIN * noise / abs(h)
    # t^p with p = 1.3 is the worst that this covers: its limit is off by four times the truncation
    return StencilEstimate(float(derivative), _bound(4.0 * truncation + noisy), noisy)


def _bound(error: float) -> float:
    return float(error) if np.isfinite(error) else np.inf


@dataclass(frozen=True)
class ReportedSlope:
    """What the user's function reports of a derivative along a line: g(0), and g(t) elsewhere."""

    derivative: float  # g(0)
    error: float  # how far rounding may have moved it
    largest_in_block: float  # the largest derivative that is reported in its block
    meaningful: float  # an error bound of at most this share of the derivatives decides something
    own_scale: float  # |θ_i| on a line along one coordinate: a cost may bend at that scale, however small it is
    accepted: float  # errors up to here are accepted, by the accuracy that the caller asked for
    slope_at: Line  # g(t)

    def distance(self, found: StencilEstimate) -> float:
        """|g(0) - f'(0)| as far as it is known."""
        return abs(self.derivative - found.derivative)

    def excess(self, found: StencilEstimate) -> float:
        """What of that distance neither the report's rounding nor the accuracy explains."""
        return self.distance(found) - self.error - self.accepted

    def allowed(self, found: StencilEstimate, factor: float = 1.0) -> float:
        """So many times both error bounds, and what is accepted."""
        return factor * (found.error + self.error) + self.accepted

    def is_contradicted(self, found: StencilEstimate, factor: float = 1.0) -> bool:
        """Whether an estimate is farther away than so many times both error bounds."""
        allowed = self.allowed(found, factor)
        return bool(np.isfinite(allowed) and not self.distance(found) <= allowed)  # NaN is contradicted


@dataclass(frozen=True, eq=False)
class ReportedLine:
    """The cost along a line through θ, its noise, and the derivative that is reported there."""

    reported: ReportedSlope
    line: Line
    noise: CostNoise

    def estimate(self, step: float) -> StencilEstimate:
        """The derivative of the cost at θ, by the stencil of that step."""
        return estimate(self.line, step, self.noise)
