"""Slopes along a line: how far a reported one is from differences of four values.

Agreement to ten digits of two numbers that were computed in different ways is no accident, so it needs no error bound.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.drop_in.fallback import SLIGHT
from reference.arithmetics.central_differences import NOISE_GAIN, NOISE_ROUNDINGS, richardson
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

POINTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Where a look evaluates the function, in steps; at 0 it is known."""

SHARE, SHARE_OF_ALL = 1e-6, 3e-2
"""A look decides nothing where its tolerance exceeds this share of what any input contributes to the slope, as the
whole check does, or a few hundredths of that share of all of them together."""

JUMP = 1e-6
"""A kink whose jump exceeds this share of the slope is left to the whole check."""

CONSTANT, STILL, NOTHING = (roundings * UNIT_ROUNDOFF["float64"] for roundings in (4.0, 16.0, 512.0))
"""Values that move by no more than the first share of their terms are constant, and so small a slope is none. Entries
that do not move at all have no larger slopes than the second share of all that is computed with them. Outputs as small
as the third share of that are 0 but for its rounding."""

SMOOTH = 2.0**-7
"""An entry is smooth if the difference of its moves ahead and behind is no more than such a share of both."""

APART, LEAST_MOVE = 2.0**16, 2.0**-5
"""Entries that move by amounts so far apart are divided by these, but by no less than such a share of themselves: at a
step of 2⁻¹⁰ their rounding is then 10⁻¹¹ of the others' slopes."""

NOISE = NOISE_GAIN * NOISE_ROUNDINGS * UNIT_ROUNDOFF["float64"]


class Scale(NamedTuple):
    """The units of a random direction, and the step along it.

    Steps of max(1, |x|) suit most functions. Those of min(1, |x|) suit inputs near the end of a domain and sines of
    large numbers; where x is 0, they are 1.
    """

    smallest: bool
    step: float

    def units(self, size: np.ndarray) -> np.ndarray:
        """The units for entries of these sizes."""
        return np.where(size == 0.0, 1.0, np.minimum(size, 1.0)) if self.smallest else np.maximum(size, 1.0)


SCALES = (
    Scale(smallest=False, step=2.0**-10),
    Scale(smallest=True, step=2.0**-10),
    Scale(smallest=True, step=2.0**-14),
)
"""The looks that are taken in turn until one accepts: steps of 2⁻¹⁰ leave a truncation of h⁴ near 10⁻¹³, and as much
rounding. The narrow ones are for kinks and jumps nearby."""


class Slope(NamedTuple):
    """A reported derivative along a line.

    Attributes
    ----------
    value : float
    shares : sequence of float
        For each input, the sum of the magnitudes that its entries contribute.
    """

    value: float
    shares: Sequence[float]


def slope_of(gradient: Sequence[Any], direction: Sequence[Any]) -> Slope:
    """The slope of a gradient along a direction."""
    terms = [np.asarray(g) * v for g, v in zip(gradient, direction) if g is not None and v is not None]
    return Slope(float(sum(np.sum(t) for t in terms)), [float(np.sum(np.abs(t))) for t in terms] or [0.0])


def distance_of_slope(
    values: Sequence[float], step: float, slope: Slope, accuracy: float, size: float, nothing: float
) -> float:
    """How far a slope is from differences of the function; infinite where these do not confirm it.

    `values` are those at `POINTS`, `size` is that of the terms of the value at 0, and values and slopes as small as
    `nothing` are 0. Infinite where a number is NaN.
    """
    lowest, lower, here, upper, highest = values
    scale, noise = sum(slope.shares), NOISE * size / step
    constant = max(CONSTANT * size, nothing)
    still = constant if scale or max(map(abs, values)) <= nothing else 0.0
    if scale <= constant and max(abs(value - here) for value in values) <= still:
        return abs(slope.value)
    allowed = min(accuracy, SLIGHT) * abs(slope.value) + noise  # a factor is as wrong where terms cancel
    if not allowed <= SHARE * min([SHARE_OF_ALL * scale, *(share for share in slope.shares if share > allowed)]):
        return math.inf
    derivative = richardson((upper - lower) / (2.0 * step), (highest - lowest) / (4.0 * step))
    bend = abs((highest - 2.0 * here + lowest) - 4.0 * (upper - 2.0 * here + lower)) / (2.0 * step)
    distance = abs(derivative - slope.value)
    return distance if distance <= allowed and bend <= JUMP * scale else math.inf


def row_units(behind: np.ndarray, here: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """What entries of the outputs are divided by, so that none hides in the rounding of others.

    A unit is how far an entry moves in a look's first step, as a share of how far the farthest does, and a power of
    two. It is 1 for an entry that does not move smoothly, which may be 0 but for rounding, and where the entries move
    by amounts that are not far apart.
    """
    with np.errstate(all="ignore"):
        moves = np.abs(ahead - behind)
        is_smooth = np.abs(ahead - 2.0 * here + behind) <= SMOOTH * moves
        moves = np.maximum(moves / (2.0 * SCALES[0].step), LEAST_MOVE * np.abs(here))
    known = np.isfinite(moves) & (moves > 0.0) & is_smooth
    smallest, largest = np.min(moves, initial=np.inf, where=known), np.max(moves, initial=0.0, where=known)
    if largest <= APART * smallest:
        return np.ones(here.shape)
    return np.exp2(np.round(np.log2(np.maximum(np.where(known, moves, largest) / largest, NOTHING))))
