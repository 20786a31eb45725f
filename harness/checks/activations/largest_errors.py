"""The largest relative errors of value and slope in a number format: searched for, and not read off a sample.

Rounding errors vary from one float to the next, and a formula that cancels loses most where few sampled z lie. So more
points are taken around the worst ones, nearer and nearer. The result is a lower bound of the largest error.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from reference.activations import Activation

ENDS = (0.0, 6.0, 30.0, 100.0, 1000.0)
EDGES = np.array([*np.negative(ENDS[:0:-1]), *ENDS])
"""Between these z errors are counted together, each side of zero by itself."""

UNIFORM, NEAR_ZERO = 60, 30  # random z in each stretch; and on both sides of zero, on a logarithmic scale
NEAREST = 1e-8  # |z| of the nearest of these
REACHES = (3e-2, 1e-3, 1e-6)  # relative distances from the worst z, round by round, within which more are taken
WORST, TAKEN_AROUND = 2, 6  # of each part and stretch so many are the worst, and so many are taken around each

SIZE_WITHIN = 0.05
"""Relative distance. At a zero of value or slope any error is infinitely many ulps of it, so that an error is measured
by the number's size at this distance, if that is larger on both sides."""

FLOATS = 32  # beside a junction within which a format may be on either side of it
MARGIN = 2.0  # the largest error there is may be so much larger than what is found


class Format(NamedTuple):
    """A number format: its name, the bits of its significand, its range, and what makes its numbers of float64."""

    name: str
    bits: int
    smallest: float
    largest: float
    cast: Callable[[np.ndarray], np.ndarray]

    @property
    def digits(self) -> int:
        """How many decimal digits it keeps."""
        return int(self.bits * math.log10(2.0))


class Errors(NamedTuple):
    """Relative errors of value and slope, (2, n), at some z of a format, (n,); NaN where they are not known."""

    z: np.ndarray
    relative: np.ndarray

    def worst(self) -> np.ndarray:
        """The z with the largest errors of each part, in each stretch: always as many, since JAX compiles each size."""
        # NaN, where the error is not known, comes before all errors
        stretch = np.searchsorted(EDGES, self.z)
        order = np.argsort(np.nan_to_num(self.relative, nan=-1.0), axis=1)
        chosen = [row[stretch[row] == i][-WORST:] for row in order for i in range(1, EDGES.size)]
        return self.z[np.concatenate([np.resize(stretch, WORST) for stretch in chosen if stretch.size])]

    def rows(self, part: int, kept: Format) -> list[dict[str, Any]]:
        """The largest error of a part in ulps, and the digits that it leaves, by stretch of z."""
        stretch, rows = np.searchsorted(EDGES, self.z), []
        for i, (low, high) in enumerate(pairwise(EDGES.tolist()), start=1):
            inside = self.relative[part, (stretch == i) & ~np.isnan(self.relative[part])]
            if inside.size:
                error = float(inside.max())
                # a relative error of 1e-7 leaves seven digits; an ulp is 2^(1 - bits) of a number
                left = -math.log10(MARGIN * error) if error else math.inf
                digits = max(0, math.floor(min(left, kept.digits)))
                rows.append({"from": low, "to": high, "largest": error * 2.0 ** (kept.bits - 1), "digits": digits})
        return rows


def value_and_slope(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a record computes at z, in the format of z if it keeps that."""
    a = np.broadcast_to(f(z.copy()), z.shape, subok=True)
    slope = f.slope(z.copy(), a.copy())
    return np.asarray(a), np.broadcast_to(np.asarray(slope), z.shape)


def random_places() -> np.ndarray:
    """Random z in every stretch, and its ends."""
    rng = np.random.default_rng(0)
    uniform = [rng.uniform(*ends, UNIFORM) for ends in pairwise(EDGES)]
    near = [sign * np.exp(rng.uniform(np.log(NEAREST), np.log(ENDS[1]), NEAR_ZERO)) for sign in (-1.0, 1.0)]
    return np.concatenate([EDGES, *uniform, *near])


def errors_at(f: Activation, kept: Format, z: np.ndarray, true: np.ndarray, junctions: Sequence[float]) -> Errors:
    """The relative errors at z, which are numbers of the format; `true` are value and slope there, NaN if not known."""
    computed = np.array(value_and_slope(f, kept.cast(z)), dtype=np.float64)
    sides = np.array([value_and_slope(f, z * (1.0 + side)) for side in (-SIZE_WITHIN, SIZE_WITHIN)])
    size = np.maximum(np.abs(true), np.abs(sides).min(axis=0))
    relative = np.abs(computed - true) / size
    # a format has fewer digits for what is subnormal in it, and none for what overflows
    known = np.isfinite(relative) & (np.abs(true) <= kept.largest) & (size >= kept.smallest)
    for place in junctions:
        known &= np.abs(z - place) > FLOATS * 2.0**-kept.bits * abs(place)
    return Errors(z, np.where(known, relative, np.nan))


def search(errors: Callable[[np.ndarray], Errors], found: Errors) -> Errors:
    """What is found, and more around the worst of it."""
    rng = np.random.default_rng(1)
    for reach in REACHES:
        worst = found.worst()[:, np.newaxis]
        more = errors((worst * (1.0 + reach * rng.uniform(-1.0, 1.0, (worst.size, TAKEN_AROUND)))).ravel())
        found = Errors(np.concatenate([found.z, more.z]), np.concatenate([found.relative, more.relative], axis=1))
    return found
