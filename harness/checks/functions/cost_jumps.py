"""Jumps of a cost, as rounding makes them: a narrow slope that contradicts a report may lack what they climb.

The change of a cost over a stretch is the integral of its slope and the sum of its jumps. Differences that are too
narrow to meet a jump show the slope alone, so what their integral lacks is made up by jumps. A term log(1 - p) climbs
by jumps alone where p is nearly 1, and by ever wider ones the nearer p is to 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.checks.functions.line_stencil import Found, Line, Noise, Reported, look
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


@dataclass(frozen=True)
class Jumps:
    """What jumps near θ may explain of a contradiction, which a narrow step shows."""

    reported: Reported
    line: Line
    noise: Noise
    narrow: float
    closer: Found  # the difference at that step

    def are_all_of_it(self) -> bool:
        """Whether the cost is constant at θ and near it, but for jumps that are close together."""
        if self.closer.derivative != 0.0 or self.line(0.0) in (self.line(TREAD), self.line(-TREAD)):
            return False
        slopes = [look(self.line, self.narrow, self.noise, t * TREAD).derivative for t in PLACES_NEARBY]
        return bool(np.median(np.abs(slopes)) == 0.0)

    def hide_what_is_lacking(self) -> bool:
        """Whether jumps make up what the narrow slope lacks, and the report is right in the mean.

        Then the narrow slope is of no use: a solver that stops at a tolerance, or rounding, has made the jumps. A
        function with jumps of its own, as floor(t), is nowhere as steep, wherever its jumps are finer.
        """
        lacking = self.reported.derivative - self.closer.derivative
        if not (np.isfinite(lacking) and self._make_up(lacking)):
            return False
        is_small = abs(lacking) <= TO_A_TOLERANCE * self.reported.size
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
        off = [self.reported.elsewhere(at) - self._slope(at, self.narrow) for at in _nodes(ends).ravel()]
        return 0.5 * float(np.mean(np.reshape(off, (PARTS, -1)) @ WEIGHTS))

    def _added(self, low: float, high: float) -> float:
        """What jumps add to the change of the cost over a stretch: all but the integral of narrow slopes."""
        slopes = [self._slope(at, self.narrow) for at in _nodes(np.array([low, high])).ravel()]
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
        reported = self.reported.elsewhere(at)
        size, here = abs(reported), abs(self.reported.derivative)
        room = min(SUPPORT * abs(lacking) * (size / here if size < here else 1.0), NEARLY * size)
        for step in OVER_JUMPS:
            wide, half = self._slope(at, step), self._slope(at, 0.5 * step)
            if abs(wide - reported) + abs(wide - half) <= room > 0.0:
                return True
        return False

    def _slope(self, at: float, step: float) -> float:
        return (self.line(at + step) - self.line(at - step)) / (2.0 * step)


def _nodes(ends: np.ndarray) -> np.ndarray:
    """The nodes of Gauss' rule, (m, 4), in each of m stretches between neighbouring ends."""
    return np.add.outer(0.5 * (ends[:-1] + ends[1:]), 0.5 * (ends[1] - ends[0]) * NODES)


def is_slope_between_jumps(reported: Reported, line: Line, noise: Noise, contradicting: Found) -> bool:
    """Whether a report that is contradicted is the slope between jumps that are larger than rounding.

    The steps that contradict it, which noise makes wide, see over these jumps.
    """
    rounding = OF_FLOAT32 * max(UNIT_ROUNDOFF["float32"], 0.25 * noise.relative)
    if not noise.near > rounding * max(1.0, abs(line(0.0))):
        return False
    quiet = noise._replace(near=0.0, far=0.0)
    off = NEARLY * reported.distance(contradicting)
    found = [look(line, step, quiet) for step in BETWEEN]
    return any(each.error <= off and not reported.is_contradicted(each) for each in found)
