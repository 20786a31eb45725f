"""Jumps of a cost, as rounding makes them: a narrow slope that contradicts a report may lack what they climb.

The change of a cost over a stretch is the integral of its slope and the sum of its jumps. Differences that are too
narrow to meet a jump show the slope alone, so what their integral lacks is made up by jumps. A term log(1 - p) climbs
by jumps alone where p is nearly 1, and by ever wider ones the nearer p is to 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass

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

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
"""Gauss' rule of eight slopes integrates a smooth one over a stretch of its own scale to ten digits."""

NO_JUMPS = 1e-3
"""Where jumps add less than this share of what is lacking, there are none."""

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
        """Whether jumps make up what the narrow slope lacks, and the report is right where their steps are finer.

        Then the narrow slope is of no use. A function with jumps of its own, as floor(t), is nowhere as steep.
        """
        lacking = self.reported.derivative - self.closer.derivative
        return bool(np.isfinite(lacking)) and self._add(lacking) and any(self._is_right(at, lacking) for at in FARTHER)

    def _add(self, lacking: float) -> bool:
        """Whether jumps add as much to the slope as is lacking, over a stretch about θ and over the next narrower one.

        Gauss' rule may be too coarse where a smooth cost bends in a wide stretch; it errs otherwise in a narrower one.
        """
        is_confirmed = False
        for low, high in self._stretches():
            slope = self._mean_slope(low, high)
            added = (self.line(high) - self.line(low)) / (high - low) - slope
            if abs(added) <= NO_JUMPS * abs(lacking):
                return False
            adds = False
            if abs(added - lacking) <= 0.5 * abs(lacking):
                middle = 0.5 * (low + high)
                halves = 0.5 * (self._mean_slope(low, middle) + self._mean_slope(middle, high))
                adds = abs(halves - slope) <= 0.1 * abs(lacking)
            if adds and is_confirmed:
                return True
            is_confirmed = adds
        return False

    def _stretches(self) -> Iterator[tuple[float, float]]:
        """Stretches about θ, or on one side of it where the cost ends on the other, from wide to narrow."""
        for width in STRETCHES:
            ends = [end for end in (-width, width) if np.isfinite(self.line(end))]
            if ends and width > self.narrow:
                yield min(ends[0], 0.0), max(ends[-1], 0.0)

    def _mean_slope(self, low: float, high: float) -> float:
        """The mean of narrow slopes over a stretch."""
        half, middle = 0.5 * (high - low), 0.5 * (high + low)
        return 0.5 * float(WEIGHTS @ [self._slope(middle + half * node, self.narrow) for node in NODES])

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
