"""Costs that are rougher than the step of a difference: jumps, scatter and waves, which may explain a contradiction.

A difference may contradict a reported derivative that is right, in three ways. On the line θ + t v, f(t) is the cost,
g(t) the reported derivative, and s(t) = (f(t + h) - f(t - h)) / 2h the slope at a narrow step h. The gap is
|g(0) - s(0)|.

Jumps
    The cost jumps, as rounding inside it or a solver's tolerance makes it do. In float32(sin t) + t² the narrow slope
    is that of t² alone, for all that the sine climbs lies in its jumps. Over a stretch from a to b these add up to
    J = f(b) - f(a) - ∫ s dt. The report is right in the mean if f(b) - f(a) = ∫ g dt, up to one jump.
Scatter
    Differences differ from step to step without a limit. One example of many whose log(1 - p) is nearly log 0 has jumps
    of all sizes.
Waves
    The cost has waves finer than the step, which its rounding hides: 1e6 + t + sin(1e10 t) / 1e10. A difference is then
    the mean of the slopes within its step, and no slope at t = 0.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, takewhile

import numpy as np
from numpy.polynomial.polynomial import polyfit, polyval

from harness.checks.functions.line_stencil import Line, ReportedLine, ReportedSlope, StencilEstimate, scatter_of
from reference.arithmetics.central_differences import richardson
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

STRETCHES = tuple(2.0 ** (1 - 2 * k) for k in range(9))
"""Half of the stretches over which jumps are added up, in units of a parameter: some costs have jumps as wide as 1."""

PARTS = 4  # Of a stretch. The part with the largest sum of jumps is halved until a single jump is left of it.

NODES, WEIGHTS = np.polynomial.legendre.leggauss(4)
"""Gauss' rule of four slopes is exact for polynomials of degree 7, so that it finds no jumps in a smooth cost."""

BESIDE = 16.0
"""A jump is isolated in a stretch of so many narrow steps. In a shorter one, the slopes themselves would meet it."""

GROWS = 4.0
"""A jump grows no more than this by halving. Beside a pole it does, where the integral of slopes does not exist."""

NO_JUMPS, ENOUGH, TOO_MUCH = 1e-3, 0.03, 30.0
"""The sum of jumps in a part over the length of the stretch, in gaps: below the first there are none,
from the second on it explains something, and beyond the third, as at a wall of 1e300, it would hide everything."""

IN_THE_MEAN = 0.3  # ∫ g dt may be off by a jump, or by this share of g(0) - s(0). A factor of 1.5 is off by a third.

TO_A_TOLERANCE = 0.1
"""A solver leaves errors below this share of a derivative. Of larger ones, a wide difference has to show the slope."""

OVER_JUMPS = (1e-4, 1e-3, 0.01, 0.1)
"""Steps that may see over jumps, in units of a parameter. Jumps at distances above 0.1, as of floor(t), are meant."""

FARTHER = (0.0, *(sign * 4.0**k for k in range(-3, 3) for sign in (-1.0, 1.0)))
"""Places, in units of a parameter, at which jumps may be fine enough for a wide step."""

SUPPORT, NEARLY = 0.3, 0.1
"""A wide difference supports a report if off by at most these shares of g(0) - s(0) and of the slope."""

BETWEEN = tuple(2.0 ** (-12 - 6 * k) for k in range(5))
"""Steps, in units of a parameter, that may lie between two jumps."""

OF_FLOAT32 = 4.0
"""Jumps of so many roundings of float32 are taken for rounding of the cost; a function may have larger ones."""

SURE = 1e-3
"""A difference whose error is below this share of what it contradicts needs no other beside it. Otherwise each wrong
entry of a smooth cost would take a hundred more calls."""

STEPS_BESIDE, STEPS_BETWEEN = (0.61, 0.73, 0.83, 1.17, 1.37, 1.59), 8
"""Steps beside one, in units of it and no powers of two, and so many between two, at which differences may scatter.
Noise that comes and goes, as of a mean of log(1 - p) in Python's floats, may spare any one of them."""

PLACES_WITHIN = np.random.default_rng(0).uniform(-1.0, 1.0, size=64)
"""Places, in units of a step, at which slopes are compared with a difference; even ones might match the waves."""

FEW_PLACES = PLACES_WITHIN[:8]

INTERCEPT_ERROR = float(np.linalg.norm(np.linalg.pinv(np.vander(PLACES_WITHIN, 4, increasing=True))[0]))
"""The standard error of the value at 0 of a cubic through numbers at these places, in their standard deviations."""

VARIES = 0.3  # The slopes of waves leave a cubic, in standard deviations, by this share of what is off. A sine has 0.7.

MUCH_SMOOTHER = 0.1
"""Few places show so small a share of `VARIES` only if the slopes vary less: a cubic takes half of their freedom."""

SPACINGS, SMOOTH = 2.0 ** -np.arange(2, 40), 0.1
"""Slopes vary smoothly if, at one of these spacings, they scatter by this share of what they vary."""


@dataclass(frozen=True, eq=False)
class CostJumps(ReportedLine):
    """The jumps of a cost on a line, beside a report that its narrow slope contradicts."""

    gap: float  # |g(0) - s(0)|
    h: float  # the narrow step, at which noise leaves all of the gap
    finest: float  # the narrowest step at which noise leaves enough of it

    def explain_gap(self) -> bool:
        """Whether the gap is the slope that jumps hide from the narrow step, so that it is no evidence.

        A function with jumps of its own has such jumps, too. But none is as steep as reported, wherever jumps are fine.
        """
        truncation = abs(self._narrow_slope(0.0) - richardson(*(self._slope(0.0, k * self.h) for k in (2.0, 4.0))))
        if not (truncation <= IN_THE_MEAN * self.gap < np.inf and self._fill_gap()):
            return False
        is_small = self.gap <= TO_A_TOLERANCE * self.reported.largest_in_block
        return is_small or any(self._is_seen_over_jumps(at) for at in FARTHER)

    @np.errstate(all="ignore")
    def _fill_gap(self) -> bool:
        """Whether reported slopes add up to the change of the cost over a stretch about θ, up to one of its jumps."""
        for low, high in self._stretches():
            width, ends = high - low, np.linspace(low, high, PARTS + 1).tolist()
            parts = list(pairwise(ends))
            jumps = [abs(self._residual(self._narrow_slope, *part)) for part in parts]
            most = max(jumps)
            slope = most / width  # what the jumps of that part add to the mean slope
            if slope <= NO_JUMPS * self.gap:
                return False
            noise_of_slopes = self.noise.relative * max(abs(self.line(end)) for end in ends) / self.h
            if not (ENOUGH * self.gap < slope < TOO_MUCH * self.gap and noise_of_slopes < self.gap):
                continue
            # with the finest step, for beside a pole more than one jump may hide in a wide one
            jump = replace(self, h=self.finest)._isolate_jump(*parts[jumps.index(most)], most)
            off = abs(sum(self._residual(self.reported.slope_at, *part) for part in parts))
            if jump and off <= max(IN_THE_MEAN * self.gap * width, jump):
                return True
        return False

    def _residual(self, slope: Line, low: float, high: float) -> float:
        """f(high) - f(low) - ∫ slope dt: of the narrow slope s, the sum of the jumps J."""
        nodes = 0.5 * (low + high) + 0.5 * (high - low) * NODES
        return self.line(high) - self.line(low) - 0.5 * (high - low) * float(WEIGHTS @ [slope(at) for at in nodes])

    def _isolate_jump(self, low: float, high: float, total: float) -> float:
        """The size of one jump in a stretch whose jumps add up to `total`, by halving; 0 where there is none.

        Halving leaves all of a single jump, and of many jumps about half. A smooth cost that bends within the stretch
        leaves less. It may bend at θ itself at any scale, so that a stretch about θ proves nothing.
        """
        least, left = 0.5 * total / (high - low), total
        while high - low > BESIDE * self.h:
            middle = 0.5 * (low + high)
            halves = (low, middle), (middle, high)
            left, (low, high) = max((abs(self._residual(self._narrow_slope, *half)), half) for half in halves)
            if low <= 0.0 <= high or not least * (high - low) <= left <= GROWS * total:
                return 0.0
        return left

    def _stretches(self) -> Iterator[tuple[float, float]]:
        """Stretches about θ, or on one side of it where the cost ends on the other, from wide to narrow."""
        for width in STRETCHES:
            ends = [end for end in (-width, width) if np.isfinite(self.line(end))]
            if ends and width > self.h:
                yield min(ends[0], 0.0), max(ends[-1], 0.0)

    def _is_seen_over_jumps(self, at: float) -> bool:
        """Whether differences with steps wider than jumps show, at a place on the line, the slope reported there."""
        reported = self.reported.slope_at(at)
        size, here = abs(reported), abs(self.reported.derivative)
        gap = self.gap * (size / here if size < here else 1.0)  # where the slope is smaller than at θ, so is the gap
        room = min(SUPPORT * gap, NEARLY * size)
        for step in OVER_JUMPS:
            wide, half = self._slope(at, step), self._slope(at, 0.5 * step)
            if abs(wide - reported) + abs(wide - half) <= room > 0.0:
                return True
        return False

    @cached_property
    def _needs_extrapolation(self) -> bool:
        """Whether the truncation of (f(t + h) - f(t - h)) / 2h is as large as the gap."""
        return not abs(self._slope(0.0, self.h) - self._slope(0.0, 2.0 * self.h)) <= IN_THE_MEAN * self.gap

    def _narrow_slope(self, at: float) -> float:
        """s(t); extrapolated where need be, for that takes twice the calls."""
        near = self._slope(at, self.h)
        return richardson(near, self._slope(at, 2.0 * self.h)) if self._needs_extrapolation else near

    def _slope(self, at: float, step: float) -> float:
        return (self.line(at + step) - self.line(at - step)) / (2.0 * step)


def is_of_scatter(at: ReportedLine, wide: StencilEstimate, sharpest: StencilEstimate, finest: float) -> bool:
    """Whether differences, from that at the widest step to the `finest`, scatter by as much as any of them is off."""
    if wide.error <= SURE * at.reported.distance(wide):  # a smooth cost
        return False
    between = np.exp2(np.round(np.log2(np.geomspace(wide.step, finest, STEPS_BETWEEN))))  # so that θ_i ± h is a number
    steps = {*between.tolist(), *(share * sharpest.step for share in (1.0, *STEPS_BESIDE))}
    looks = [at.estimate(step) for step in steps]
    off = min(map(at.reported.excess, looks))
    return off <= float(np.ptp([each.derivative for each in looks]))  # NaN is not


@np.errstate(all="ignore")
def is_mean_of_waves(reported: ReportedSlope, found: StencilEstimate) -> bool:
    """Whether a difference is the mean of the slopes that are reported within its step, which vary by as much.

    The mean of wrong slopes is off, unless they are wrong near θ alone: then those farther away do not vary. What is
    smooth within a step is nearly a cubic there, whose value at θ is known to three times its standard error.
    """
    off = reported.distance(found)

    def slopes_at(places: np.ndarray) -> np.ndarray:
        return np.array([reported.slope_at(found.step * at) for at in places]) / off  # no square overflows

    def waves_at(places: np.ndarray, cubic: np.ndarray) -> np.ndarray:
        return slopes_at(places) - polyval(places, cubic)

    few = polyfit(FEW_PLACES, slopes_at(FEW_PLACES), 3)
    if not np.std(waves_at(FEW_PLACES, few)) > MUCH_SMOOTHER * VARIES:  # NaN is not
        return False
    cubic = polyfit(PLACES_WITHIN, slopes_at(PLACES_WITHIN), 3)
    varies = float(np.std(waves_at(PLACES_WITHIN, cubic)))
    is_mean = bool(abs(cubic[0] - found.derivative / off) <= 3.0 * INTERCEPT_ERROR * varies + found.error / off)
    return varies >= VARIES and is_mean and _varies_smoothly(lambda places: waves_at(places, cubic), varies)


def _varies_smoothly(waves: Callable[[np.ndarray], np.ndarray], size: float) -> bool:
    """Whether waves that vary by `size` within ±1 are smooth at a finer spacing, wherever they are looked at.

    Slopes of waves are, and rounded ones, as of a gradient in float32, are not. Rounding of a product changes evenly
    between its jumps, as a saw does, so that one place may show none of these.
    """
    places = (0.0, *FEW_PLACES)
    for spacing in SPACINGS:
        near = (waves(place + spacing * np.arange(-4, 4)) for place in places)
        smooth = list(takewhile(lambda values: scatter_of(values) <= SMOOTH * size, near))
        if len(smooth) == len(places):
            return bool(max(map(np.ptp, smooth)) >= 0.5 * size)  # at a finer spacing they vary less
    return False


def is_slope_between_jumps(at: ReportedLine, contradicting: StencilEstimate) -> bool:
    """Whether a contradicted report is the slope between jumps that are larger than rounding.

    0 is right for the sum of (round(t, 4))². But its jumps pass for noise, which makes steps wide, and wide steps see
    over the jumps to a slope of 2 t.
    """
    rounding = OF_FLOAT32 * max(UNIT_ROUNDOFF["float32"], 0.25 * at.noise.relative)
    if not at.noise.near > rounding * max(1.0, abs(at.line(0.0))):
        return False
    quiet = replace(at, noise=at.noise._replace(near=0.0, far=0.0))
    off = NEARLY * at.reported.distance(contradicting)
    found = map(quiet.estimate, BETWEEN)
    return any(each.error <= off and not at.reported.is_contradicted(each) for each in found)
