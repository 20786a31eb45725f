"""The slope along a line: is a reported one that of differences of four values?

Along t -> x + t·v, differences of φ have an error of order h⁴ and a reported slope g·v has none. Agreement of the two
to ten digits is no accident, since they are computed in different ways, so that no error bound is needed to accept.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.drop_in.fallback import LIBRARY_ACCURACY
from reference.arithmetics.central_differences import NOISE_GAIN, NOISE_ROUNDINGS, richardson
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

U = UNIT_ROUNDOFF["float64"]

POINTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Where a look evaluates the function, in steps. Its value at 0 is known already, so that a look costs four calls."""

SHARE_OF_INPUT, SHARE_OF_ALL = 1e-6, 3e-8
"""A tolerance above these shares of what one input contributes to the slope, or of what all contribute, is too wide to
accept anything: an error of 1e-6 in one input's gradient would pass. The whole check is as strict for each input."""

JUMP = 1e-6
"""A kink at x whose left and right slopes differ by more than this share of the slope is left to the whole check. Much
below it, rounding of the second differences, u/h near 1e-13 of the value, would look like one."""

CONSTANT = 4.0 * U
"""A function is constant if its values differ by no more than this share of its terms: by some roundings."""

FIXED_SLOPE = 16.0 * U
"""Entries that are the same at all points have no slope but some roundings of whatever is computed with them."""

ZERO_VALUE = 512.0 * U
"""Outputs below this share of everything computed are 0 but for rounding, as in softmax(x).sum() - 1. Such a difference
of two sums has a rounding for each of some hundred terms."""

SMOOTH = 2.0**-7
"""An entry is smooth if |f(h) - 2 f(0) + f(-h)| is at most this share of |f(h) - f(-h)|. At h = 2⁻¹⁰ the quotient is
2⁻¹¹ f''/f' for a smooth function, and near 1 for values that are only rounding."""

APART, LEAST_MOVE = 2.0**16, 2.0**-5
"""Entries whose slopes are this many times apart are divided by their slopes, but by no less than the second share of
their values. At h = 2⁻¹⁰ a value's rounding is then u/(h·2⁻⁵) = 4e-12 of the slopes. Without this, a wrong entry near
1e-12 would hide in the rounding of one near 1e4."""

NOISE = NOISE_GAIN * NOISE_ROUNDINGS * U


class Scale(NamedTuple):
    """How long a random direction is in each entry, and the step along it.

    Steps of max(1, |x|) suit most functions. Those of min(1, |x|) suit inputs near the end of a domain, such as log at
    1e-9, and sines of large numbers. Where x is 0, the unit is 1.
    """

    smallest: bool
    step: float

    def units(self, size: np.ndarray) -> np.ndarray:
        """The length for each entry, of entries of these sizes |x|."""
        return np.where(size == 0.0, 1.0, np.minimum(size, 1.0)) if self.smallest else np.maximum(size, 1.0)


SCALES = (
    Scale(smallest=False, step=2.0**-10),
    Scale(smallest=True, step=2.0**-10),
    Scale(smallest=True, step=2.0**-14),
    Scale(smallest=True, step=2.0**-18),
)
"""The looks, taken in turn until one accepts. A step of 2⁻¹⁰ balances the truncation, h⁴/30 = 3e-14, against rounding,
u/h = 1e-13. The narrow ones keep clear of kinks, jumps and poles nearby, with 2e-12 and 3e-11 of rounding."""

LEAST_STEP = 2.0**-14
"""Shorter steps are allowed no more noise than this one: what a wider look misses is not to hide in it."""


class Slope(NamedTuple):
    """A reported derivative along a line."""

    value: float  # g·v
    # Σ |g·v| over the entries of each input. Terms that cancel in g·v still show how large the gradient is.
    shares: Sequence[float]


def slope_of(gradient: Sequence[Any], direction: Sequence[Any]) -> Slope:
    """The slope of a gradient along a direction."""
    terms = [np.asarray(g) * v for g, v in zip(gradient, direction) if g is not None and v is not None]
    return Slope(float(sum(np.sum(t) for t in terms)), [float(np.sum(np.abs(t))) for t in terms] or [0.0])


def slope_error(
    values: Sequence[float],  # five, φ at `POINTS`
    step: float,  # h
    slope: Slope,
    accuracy: float,  # the share of the slope by which it may be off
    terms_size: float,  # Σ |w·f(x)|, the size of the terms of φ = Σ w·f, to which its roundings are relative
    rounding_size: float,  # slopes and values up to this are 0 but for rounding
) -> float:
    """|slope - (4 D(h) - D(2h))/3| with the central differences D(w) = (φ(w) - φ(-w))/2w; infinite where in doubt.

    That is where the differences do not confirm the slope, are too coarse to, or are NaN.
    """
    lowest, lower, here, upper, highest = values
    size, noise = sum(slope.shares), NOISE * terms_size / max(step, LEAST_STEP)
    constant = max(CONSTANT * terms_size, rounding_size)
    # A gradient of exactly 0 claims that φ depends on no input. Then even a change by one rounding is in doubt, such as
    # that of 1 + 1e-13 b.
    allowed_change = constant if size or max(map(abs, values)) <= rounding_size else 0.0
    if size <= constant and max(abs(value - here) for value in values) <= allowed_change:
        return abs(slope.value)
    # A share of |g·v| and not of Σ|g·v|: where terms cancel, as in 1 - 0.9999, a gradient with a factor of 1 + 1e-8 is
    # off by that share of the difference alone.
    allowed = min(accuracy, LIBRARY_ACCURACY) * abs(slope.value) + noise
    # An input that contributes less than the tolerance is no measure of it: its gradient may be 0.
    visible = [share for share in slope.shares if share > allowed]
    if not allowed <= min([SHARE_OF_ALL * size, *(SHARE_OF_INPUT * share for share in visible)]):
        return math.inf
    derivative = richardson((upper - lower) / (2.0 * step), (highest - lowest) / (4.0 * step))
    # S(w) = φ(w) - 2 φ(0) + φ(-w) is w² φ'' where φ is smooth, so that S(2h) - 4 S(h) vanishes. At a kink whose slopes
    # differ by J, S(w) = w·J: J is left of the quotient. The central differences are the mean slope there.
    jump = abs((highest - 2.0 * here + lowest) - 4.0 * (upper - 2.0 * here + lower)) / (2.0 * step)
    error = abs(derivative - slope.value)
    return error if error <= allowed and jump <= JUMP * size else math.inf


def row_units(behind: np.ndarray, here: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """What to divide each output's entries by, so that no wrong entry hides in the rounding of another.

    Given are all entries of the outputs, (n,), one step back, at x, and one step ahead along the first look's line.
    Returned are powers of two up to 1, near each entry's slope as a share of the largest. All are 1 where the slopes
    are not far apart; so is that of an entry that does not move smoothly, which may be rounding alone.
    """
    with np.errstate(all="ignore"):
        moves = np.abs(ahead - behind)
        is_smooth = np.abs(ahead - 2.0 * here + behind) <= SMOOTH * moves
        slopes = np.maximum(moves / (2.0 * SCALES[0].step), LEAST_MOVE * np.abs(here))
    known = np.isfinite(slopes) & (slopes > 0.0) & is_smooth
    smallest, largest = np.min(slopes, initial=np.inf, where=known), np.max(slopes, initial=0.0, where=known)
    if largest <= APART * smallest:
        return np.ones(here.shape)
    return np.exp2(np.round(np.log2(np.maximum(np.where(known, slopes, largest) / largest, ZERO_VALUE))))
