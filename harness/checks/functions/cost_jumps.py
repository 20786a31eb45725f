"""Jumps of a cost, as rounding makes them: a narrow slope that contradicts a report may lack what they climb."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.checks.functions.line_stencil import Found, Line, Noise, Reported, look

TREAD = 2.0**-7
"""A cost that is constant near θ and jumps on both sides within this distance, the spacing of bfloat16 at 1, was
rounded: its own slope is of no use. A cost that jumps less often is a function with jumps."""

OVER_JUMPS = (1e-4, 1e-3, 0.01, 0.1)
"""Steps that may see over the jumps of a cost that rounds in part, as shares of a parameter's unit."""

SUPPORT = 0.3
"""A wide step supports a report that a narrow step contradicts if it comes three times closer to it."""

PLACES_NEARBY = (-1.1, -0.7, -0.3, 0.4, 0.8, 1.2)
"""Places within a wide step, in units of it, at which a narrow step is tried again."""


class Support(NamedTuple):
    """The step whose difference comes closest to what was reported, and how close, its error included."""

    distance: float = np.inf
    step: float = 0.0


@dataclass(frozen=True)
class Jumps:
    """What jumps near θ may explain of a contradiction, which a narrow step shows.

    Attributes
    ----------
    reported, line, noise : what is reported about which line, and how noisy the cost is
    narrow, closer : the narrow step, and its difference
    """

    reported: Reported
    line: Line
    noise: Noise
    narrow: float
    closer: Found

    def are_all_of_it(self) -> bool:
        """Whether the cost is constant at θ and near it, but for jumps that are close together."""
        if self.closer.derivative != 0.0 or self.line(0.0) in (self.line(TREAD), self.line(-TREAD)):
            return False
        return bool(np.median(np.abs([self._narrow_slope(t * TREAD) for t in PLACES_NEARBY])) == 0.0)

    def make_up_what_is_lacking(self, off: float, support: Support, steps: Sequence[float]) -> bool:
        """Whether jumps make up what the narrow slope lacks: not only at θ, and by as much all over a wide step.

        Then the narrow slope is of no use. So it is with a cost that is computed in float32, in part, or that was
        rounded, as log(1 - p) is where p is nearly 1.

        Parameters
        ----------
        off : how far the reported derivative is from what was found
        support : the step that was found to support the report, if any
        steps : others to try
        """
        supports = [*([support] if support.step else []), *map(self._support_at, steps)]
        room = SUPPORT * off if np.isfinite(off) else -1.0
        near = [each.step for each in supports if each.distance + self.reported.error <= room]
        return any(map(self._is_lacking_around, near))

    def _support_at(self, step: float) -> Support:
        """How near a plain difference over many jumps comes to the report, if one of half its width shows the same."""
        wide, half = self._wide_slope(step), self._wide_slope(0.5 * step)
        distance = abs(wide - self.reported.derivative) + abs(wide - half)
        return Support(distance, step) if np.isfinite(distance) else Support()

    def _is_lacking_around(self, step: float) -> bool:
        """Whether wide differences near θ exceed the narrow ones by what is lacking at θ."""
        lacking = self.reported.derivative - self.closer.derivative
        more = [self._wide_slope(step, t * step) - self._narrow_slope(t * step) for t in PLACES_NEARBY]
        return bool(np.median(np.abs(np.array(more) - lacking)) <= 0.5 * abs(lacking))

    def _wide_slope(self, step: float, at: float = 0.0) -> float:
        return (self.line(at + step) - self.line(at - step)) / (2.0 * step)

    def _narrow_slope(self, at: float) -> float:
        return look(self.line, self.narrow, self.noise, at).derivative
