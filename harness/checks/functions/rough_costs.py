"""Costs that are not smooth at the steps of a difference, and what this explains of a contradiction.

A narrow difference may contradict a reported derivative that is right:

- The cost **jumps**, as rounding or a solver's tolerance makes it. Its change over a stretch is the integral of its
  slope and the sum of its jumps. Differences that are too narrow to meet a jump show the slope alone. A term log(1 - p)
  climbs by jumps alone where p is nearly 1, and by ever wider ones the nearer p is to 1.
- Its differences **scatter**, at all steps, and so have no limit.
- It has a **structure finer** than the step, which noise hides. A difference is the mean of the slopes within its step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from harness.checks.functions.line_stencil import Estimate, Line, Noise, ReportedSlope, estimate, scatter_of
from reference.arithmetics.central_differences import richardson
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

TREAD = 2.0**-7
"""A cost that is constant near θ and jumps on both sides within this distance, the spacing of bfloat16 at 1, was
rounded: its own slope is of no use. A cost that jumps less often is a function with jumps."""

PLACES_NEARBY = (-1.1, -0.7, -0.3, 0.4, 0.8, 1.2)
"""Places within a tread, in units of it, at which a narrow step is tried again."""

STRETCHES = tuple(2.0 ** (1 - 2 * k) for k in range(9))
"""Half of the stretches over which slopes are added up, in units of a parameter, from wide to narrow."""

PARTS = 4
"""Of a stretch; the one that lacks most is halved until nothing but a jump is left of it."""

BESIDE, GROWS = 16.0, 4.0
"""In narrow steps: where a jump is known so well, a slope beside it may be taken over it; so many times as much remains
of it then."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(4)
"""Gauss' rule of four slopes integrates a smooth one over a part of a stretch of its own scale to ten digits."""

NO_JUMPS, ENOUGH, TOO_MUCH = 1e-3, 0.03, 30.0
"""Jumps that add less than the first share of what is lacking are none; one of them adds as much as the second, and
less than the third, which would hide everything, as a wall does that a penalty makes."""

IN_THE_MEAN = 0.3
"""A report is right over a stretch where it is off by less than a jump, or by this share of what is lacking."""

TO_A_TOLERANCE = 0.1
"""A solver leaves errors below this share of a slope. Of larger ones, finer jumps farther away have to show more."""

OVER_JUMPS = (1e-4, 1e-3, 0.01, 0.03)
"""Steps that may see over jumps, as shares of a parameter's unit."""

SUPPORT = 0.3
"""A wide step supports a report if it comes three times closer to it than the narrow step, also as a share of it."""

NEARLY = 0.1
"""It is off by at most this share of the slope as well."""

FARTHER = (0.0, *(sign * 4.0**k for k in range(-3, 3) for sign in (-1.0, 1.0)))
"""Places, in units of a parameter, at which jumps may be fine enough for a wide step."""

BETWEEN = tuple(2.0 ** (-12 - 6 * k) for k in range(5))
"""Steps that may lie between two jumps."""

OF_FLOAT32 = 4.0
"""Jumps of so many roundings of float32 are taken for rounding of the cost; a function may have larger ones."""

SURE = 1e-3
"""A difference whose error is below this share of what it contradicts needs no other beside it."""

STEPS_BESIDE, STEPS_BETWEEN = (0.61, 0.73, 0.83, 1.17, 1.37, 1.59), 8
"""Steps beside one, in units of it, and so many between two, at which differences may scatter."""

PLACES_WITHIN = np.random.default_rng(0).uniform(-1.0, 1.0, size=64)
"""In units of a step: places at which the reported slope is compared with a difference over the whole step."""

CUBIC = np.vander(PLACES_WITHIN, 4, increasing=True)
"""What is smooth within a step is a cubic there, or nearly so."""

VARIES = 0.3
"""A slope of a finer structure leaves its cubic by at least this share of what it is off at θ."""

SPACINGS, SMOOTH, FEW_PLACES = 2.0 ** -np.arange(2, 40), 0.1, 8
"""In units of a step: distances at which neighbouring slopes show whether these vary smoothly, to this share, at some
places."""


@dataclass(frozen=True)
class Contradiction:
    """A reported derivative that a wide and a narrow difference contradict."""

    reported: ReportedSlope
    line: Line
    noise: Noise
    step: float
    narrow: float
    closer: Estimate  # the difference at the narrow step

    def is_of_a_staircase(self) -> bool:
        """Whether the cost is constant at θ and near it, but for jumps that are close together."""
        if self.closer.derivative != 0.0 or self.line(0.0) in (self.line(TREAD), self.line(-TREAD)):
            return False
        slopes = [estimate(self.line, self.narrow, self.noise, t * TREAD).derivative for t in PLACES_NEARBY]
        return bool(np.median(np.abs(slopes)) == 0.0)

    def is_of_jumps(self) -> bool:
        """Whether jumps make up what the narrow slope lacks, and the report is right in the mean.

        Then the narrow slope is of no use: a solver that stops at a tolerance, or rounding, has made the jumps. A
        function with jumps of its own, as floor(t), is nowhere as steep, wherever its jumps are finer.
        """
        lacking = self.reported.derivative - self.closer.derivative
        if not (self._find_truncation() <= IN_THE_MEAN * abs(lacking) < np.inf and self._make_up(lacking)):
            return False
        is_small = abs(lacking) <= TO_A_TOLERANCE * self.reported.largest_in_block
        return is_small or any(self._is_right(at, lacking) for at in FARTHER)

    @np.errstate(all="ignore")
    def _make_up(self, lacking: float) -> bool:
        """Whether the cost has jumps about θ over which it changes as it is reported to, up to one of them."""
        least, most = ENOUGH * abs(lacking), TOO_MUCH * abs(lacking)
        for low, high in self._stretches():
            ends, width = np.linspace(low, high, PARTS + 1), high - low
            added = np.array([self._added(*part) for part in pairwise(ends)]) / width
            largest = int(np.argmax(np.abs(added)))
            if abs(added[largest]) <= NO_JUMPS * abs(lacking):
                return False
            noise = self.noise.relative * max(abs(self.line(end)) for end in ends) / self.narrow
            if not (least < abs(added[largest]) < most and noise < abs(lacking)):
                continue
            jump = self._jump(ends[largest], ends[largest + 1], abs(added[largest]) * width)
            if not jump:
                continue
            if abs(self._off(ends) - added.sum()) <= max(IN_THE_MEAN * abs(lacking), jump / width):
                return True
        return False

    def _off(self, ends: np.ndarray) -> float:
        """By how much the reported slope exceeds the narrow one on average over parts of a stretch."""
        off = [self.reported.slope_at(at) - self._narrow_slope(at) for at in _nodes(ends).ravel()]
        return 0.5 * float(np.mean(np.reshape(off, (PARTS, -1)) @ WEIGHTS))

    def _added(self, low: float, high: float) -> float:
        """What jumps add to the change of the cost over a stretch: all but the integral of narrow slopes."""
        slopes = [self._narrow_slope(at) for at in _nodes(np.array([low, high])).ravel()]
        return self.line(high) - self.line(low) - 0.5 * (high - low) * float(WEIGHTS @ slopes)

    def _jump(self, low: float, high: float, added: float) -> float:
        """What remains of `added` where it is largest, by halves; 0 where the cost bends, and does not jump.

        Of one jump all remains, and of many jumps their share. Of a smooth cost nothing does; it may bend at θ itself,
        at any scale. Of a pole more and more remains.
        """
        least = 0.5 * added / (high - low)
        while high - low > BESIDE * self.narrow:
            middle = 0.5 * (low + high)
            low, high = max((low, middle), (middle, high), key=lambda half: abs(self._added(*half)))
            if low <= 0.0 <= high or abs(self._added(low, high)) < least * (high - low):
                return 0.0
        jump = abs(self._added(low, high))
        return jump if jump <= GROWS * added else 0.0

    def _stretches(self) -> Iterator[tuple[float, float]]:
        """Stretches about θ, or on one side of it where the cost ends on the other, from wide to narrow."""
        for width in STRETCHES:
            ends = [end for end in (-width, width) if np.isfinite(self.line(end))]
            if ends and width > self.narrow:
                yield min(ends[0], 0.0), max(ends[-1], 0.0)

    def _is_right(self, at: float, lacking: float) -> bool:
        """Whether differences over jumps, at a place on the line, show the slope that is reported there."""
        reported = self.reported.slope_at(at)
        size, here = abs(reported), abs(self.reported.derivative)
        room = min(SUPPORT * abs(lacking) * (size / here if size < here else 1.0), NEARLY * size)
        for step in OVER_JUMPS:
            wide, half = self._slope(at, step), self._slope(at, 0.5 * step)
            if abs(wide - reported) + abs(wide - half) <= room > 0.0:
                return True
        return False

    def _find_truncation(self) -> float:
        """By how much the narrow slope is off at θ because the step is not narrower."""
        return abs(self._narrow_slope(0.0) - richardson(*(self._slope(0.0, k * self.narrow) for k in (2.0, 4.0))))

    @cached_property
    def _is_sharp(self) -> bool:
        """Whether the plain difference at the narrow step is good enough, as it is for large errors."""
        plain = [self._slope(0.0, k * self.narrow) for k in (1.0, 2.0)]
        return abs(plain[0] - plain[1]) <= IN_THE_MEAN * self.reported.distance(self.closer)

    def _narrow_slope(self, at: float) -> float:
        near = self._slope(at, self.narrow)
        return near if self._is_sharp else richardson(near, self._slope(at, 2.0 * self.narrow))

    def _slope(self, at: float, step: float) -> float:
        return (self.line(at + step) - self.line(at - step)) / (2.0 * step)

    def is_of_scatter(self, found: Estimate, at: float) -> bool:
        """Whether differences beside a step, and between two others, scatter by as much as any of them is off.

        A few costs about θ may miss noise that comes and goes, as of log(1 - p) where one p of many is nearly 1. Its
        jumps have many sizes, so that narrower differences have no limit. A smooth cost leaves the wide one no doubt.
        """
        if found.error <= SURE * self.reported.distance(found):
            return False
        between = np.geomspace(self.step, self.narrow, STEPS_BETWEEN)
        between = np.exp2(np.round(np.log2(between)))  # so that θ_i ± h is a number
        steps = {*between.tolist(), *(share * at for share in (1.0, *STEPS_BESIDE))}
        looks = [estimate(self.line, each, self.noise) for each in steps]
        off = min(map(self.reported.distance, looks)) - self.reported.error - self.reported.accepted
        return off <= float(np.ptp([each.derivative for each in looks]))  # NaN is not

    @np.errstate(all="ignore")
    def is_of_a_mean(self, found: Estimate, step: float) -> bool:
        """Whether a difference is the mean at θ of the slopes that are reported within its step, which vary as much.

        Then the cost has a structure that is finer than the step, and whose own changes noise may hide. The mean of
        wrong slopes is off, unless they are wrong near θ alone: then those farther away do not vary. The mean is the
        intercept of a regression by a cubic; it is allowed three times its standard error. Rounding varies, too, and
        is nowhere smooth.
        """
        off = self.reported.distance(found)
        slopes = np.array([self.reported.slope_at(step * at) for at in PLACES_WITHIN]) / off  # no square overflows
        if not np.isfinite(slopes).all():
            return False
        fit = np.linalg.lstsq(CUBIC, slopes)[0]
        varies = float(np.std(slopes - CUBIC @ fit))
        error = varies * float(np.sqrt(np.linalg.inv(CUBIC.T @ CUBIC)[0, 0]))
        is_mean = bool(abs(fit[0] - found.derivative / off) <= 3.0 * error + found.error / off)
        return varies >= VARIES and is_mean and self._varies_smoothly(step, varies * off)

    def _varies_smoothly(self, step: float, size: float) -> bool:
        """Whether a slope that varies so much within a step is smooth at a finer one, wherever it is looked at.

        Rounding of a product changes evenly between its jumps, as a saw does, so that one place may show none of these.
        """
        for spacing in step * SPACINGS:
            varies = 0.0
            for place in (0.0, *step * PLACES_WITHIN[:FEW_PLACES]):
                slopes = np.array([self.reported.slope_at(place + k * spacing) for k in range(-4, 4)])
                if not scatter_of(slopes) <= SMOOTH * size:
                    break
                varies = max(varies, float(np.ptp(slopes)))
            else:
                if varies >= 0.5 * size:
                    return True
        return False


def _nodes(ends: np.ndarray) -> np.ndarray:
    """The nodes of Gauss' rule, (m, 4), in each of m stretches between neighbouring ends."""
    return np.add.outer(0.5 * (ends[:-1] + ends[1:]), 0.5 * (ends[1] - ends[0]) * NODES)


def is_slope_between_jumps(reported: ReportedSlope, line: Line, noise: Noise, contradicting: Estimate) -> bool:
    """Whether a report that is contradicted is the slope between jumps that are larger than rounding.

    The steps that contradict it, which noise makes wide, see over these jumps.
    """
    rounding = OF_FLOAT32 * max(UNIT_ROUNDOFF["float32"], 0.25 * noise.relative)
    if not noise.near > rounding * max(1.0, abs(line(0.0))):
        return False
    quiet = noise._replace(near=0.0, far=0.0)
    off = NEARLY * reported.distance(contradicting)
    found = [estimate(line, step, quiet) for step in BETWEEN]
    return any(each.error <= off and not reported.is_contradicted(each) for each in found)
