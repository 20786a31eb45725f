"""How many correct digits a record's numbers have in float64, float32 and bfloat16, and where they overflow.

The largest errors are searched for and not read off a sample. Rounding errors vary from one float to the next, and a
formula that cancels loses most where few sampled z lie. So more points are taken around the worst ones, nearer and
nearer. What is found is a lower bound of the largest error.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, ActivationBound
from harness.checks.activations.z_grid import OF_Z, GridPoints, Notation, stretches
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.activations import Activation
from reference.arithmetics.companion import first_line
from reference.measured import MeasuredSlope

NO_DIGIT = 0.5  # relative: a slope that is off by half of itself has no correct digit
KNOWN = 1e-10  # relative: a number that balls know so well serves as the true one, in every format
HALVINGS = 24  # of a grid interval in which overflow begins: as many as float32 has bits

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


class Precision(NamedTuple):
    """How many correct digits a record has in each format."""

    ulps: np.ndarray  # the true error of the reported slope at each z, in ulps of float64; NaN where it is not known
    lost: Sequence[Fact] = ()  # from where the slope has no correct digit
    formats: dict[str, dict[str, Any]] = {}  # noqa: RUF012  errors and overflows, by name; never written to
    facts: Sequence[Fact] = ()  # all of it for a report


def measure_precision(
    points: GridPoints, bound: ActivationBound, balls: MeasuredSlope | None, notation: Notation = OF_Z
) -> Precision:
    """The digits of the slope in float64, and of value and slope in float32 and bfloat16."""
    junctions = [*points.f.kinks, *points.junctions]
    lost = find_lost_tails(points, balls, bound.claimed + points.floor)
    formats = _float64(points, balls, junctions) | measure_formats(points.f, points.z, junctions)
    facts = [*lost, *(_fact_of_format(name, found, notation) for name, found in formats.items())]
    return Precision(slope_in_ulps(points, balls), lost, formats, facts)


def _float64(points: GridPoints, balls: MeasuredSlope | None, junctions: Sequence[float]) -> dict[str, Any]:
    """The largest errors of value and slope beside balls, by stretch of z; nothing where balls do not know them."""
    if balls is None:
        return {}
    from reference.oracles import ball_arithmetic  # here, because flint takes a while to load

    def errors(z: np.ndarray) -> Errors:
        exact = balls if z is points.z else ball_arithmetic.slope(points.f, z)
        off = np.array([np.broadcast_to(exact.value_error, z.shape), exact.error])
        true = np.array([exact.value, exact.slope])
        true[off > KNOWN * np.abs(true)] = np.nan
        return errors_at(points.f, FLOAT64, z, true, junctions)

    with np.errstate(all="ignore"):
        found = search(errors, points.z)
    parts = ("value",) if points.f.surrogate else ("value", "slope")
    ends = [_finite_ends(points.z, numbers) for numbers in (points.a, points.slope)]
    rows = {part: found.rows(i, FLOAT64, ends[i]) for i, part in enumerate(parts)}
    return {"float64": {part: {"of": FLOAT64.digits, "errors": errors} for part, errors in rows.items()}}


def _fact_of_format(name: str, found: Mapping[str, Any], notation: Notation) -> Fact:
    """What `measure_formats` found for one format, with its stretches of z as names."""
    if "left_out" in found:
        return note(Kind.FORMULA_REFUSED, name, reason=found["left_out"])
    parts = {
        part: numbers | {"overflows": [notation.stretch(*ends) for ends in numbers.get("overflows", ())]}
        for part, numbers in found.items()
    }
    return note(Kind.NUMBER_FORMAT, name, **parts)


# -- errors in ulps ----------------------------------------------------------------------------------------------------


def slope_in_ulps(points: GridPoints, balls: MeasuredSlope | None) -> np.ndarray:
    """The true error of the reported slope at each z in ulps of float64; NaN where it is not known.

    It is not known of a surrogate, of what is subnormal or not finite, and where balls have no sharp slope.
    """
    if balls is None or points.f.surrogate:
        return np.full(points.z.shape, np.nan)
    size = np.abs(balls.slope)
    known = (size >= FLOAT64.smallest) & (size <= FLOAT64.largest) & (balls.error <= KNOWN * size)
    known &= points.judged & np.isfinite(points.slope)
    return np.where(known, np.abs(points.slope - balls.slope) / np.spacing(size), np.nan)


def find_lost_tails(points: GridPoints, balls: MeasuredSlope | None, allowed: np.ndarray) -> list[Fact]:
    """From which z on outwards the reported slope has no correct digit, by an error that rounding allows.

    At most one fact for each side of zero, with the first such z.
    """
    if balls is None or points.f.surrogate:
        return []
    off = np.abs(points.slope - balls.slope)
    lost = (off > NO_DIGIT * np.abs(balls.slope)) & (off <= allowed + balls.error)  # a larger error is a wrong slope
    known = np.flatnonzero(~np.isnan(slope_in_ulps(points, balls)) & (np.abs(points.z) > 1.0))
    facts = []
    # each side from the inside out: the tail begins after the last z at which a digit is correct
    for outwards in (known[points.z[known] < 0.0][::-1], known[points.z[known] > 0.0]):
        kept = np.flatnonzero(~lost[outwards])
        tail = outwards[kept[-1] + 1 :] if kept.size else outwards
        if tail.size:
            numbers = {"z": points.z[tail[0]], "value": points.slope[tail[0]], "expected": balls.slope[tail[0]]}
            facts.append(note(Kind.LOST_TAIL, "slope", **{name: float(x) for name, x in numbers.items()}))
    return facts


# -- the largest errors ------------------------------------------------------------------------------------------------


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

    def rows(self, part: int, kept: Format, ends: tuple[float, float]) -> list[dict[str, Any]]:
        """The largest error of a part in ulps, and the digits that it leaves, by stretch of z; none beyond `ends`."""
        stretch, rows = np.searchsorted(EDGES, self.z), []
        for i, (low, high) in enumerate(pairwise(EDGES.tolist()), start=1):
            inside = (stretch == i) & ~np.isnan(self.relative[part])
            if inside.any():
                error, known = float(self.relative[part, inside].max()), self.z[inside].tolist()
                low, high = max(low, min(ends[0], *known)), min(high, max(ends[1], *known))
                # a relative error of 1e-7 leaves seven digits; an ulp is 2^(1 - bits) of a number
                left = -math.log10(MARGIN * error) if error else math.inf
                digits = max(0, math.floor(min(left, kept.digits)))
                rows.append({"from": low, "to": high, "largest": error * 2.0 ** (kept.bits - 1), "digits": digits})
        return rows


def _finite_ends(z: np.ndarray, numbers: np.ndarray) -> tuple[float, float]:
    """The first and the last z at which numbers are finite."""
    finite = z[np.isfinite(numbers)]
    return float(finite.min(initial=math.inf)), float(finite.max(initial=-math.inf))


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


def search(errors: Callable[[np.ndarray], Errors], z: np.ndarray) -> Errors:
    """What is found at z, and more around the worst of it."""
    rng, found = np.random.default_rng(1), errors(z)
    for reach in REACHES:
        worst = found.worst()[:, np.newaxis]
        more = errors((worst * (1.0 + reach * rng.uniform(-1.0, 1.0, (worst.size, TAKEN_AROUND)))).ravel())
        found = Errors(np.concatenate([found.z, more.z]), np.concatenate([found.relative, more.relative], axis=1))
    return found


# -- formats of fewer digits -------------------------------------------------------------------------------------------


class Coarse(np.ndarray):
    """Numbers of bfloat16, kept as float32: each operation is one of float32, and its result is rounded to bfloat16.

    Eager PyTorch and JAX compute so. NumPy itself would continue in float32 after the first Python float.
    """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, out: Any = None, **keywords: Any) -> Any:
        if out is not None:
            raise TypeError("bfloat16 is not computed in place")
        return round_to_bfloat16(getattr(ufunc, method)(*map(_plain, operands), **keywords))

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        return round_to_bfloat16(super().__array_function__(function, types, operands, keywords))


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Coarse) else x


def round_to_bfloat16(x: Any) -> Any:
    """Numbers rounded to bfloat16; truth values stay as they are."""
    from ml_dtypes import bfloat16  # here, because it is slow to load

    x = _plain(x)
    if not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind != "f":
        return x
    return np.asarray(np.asarray(x, np.float32).astype(bfloat16), np.float32).view(Coarse)


def _format(name: str, bits: int, range_of: type, cast: Callable[[np.ndarray], np.ndarray]) -> Format:
    return Format(name, bits, float(np.finfo(range_of).tiny), float(np.finfo(range_of).max), cast)


FLOAT64 = _format("float64", 53, np.float64, np.asarray)
FLOAT32 = _format("float32", 24, np.float32, lambda z: z.astype(np.float32))
BFLOAT16 = _format("bfloat16", 8, np.float32, lambda z: round_to_bfloat16(np.asarray(z, np.float32)))


def measure_formats(f: Activation, z: np.ndarray, junctions: Sequence[float] = ()) -> dict[str, Any]:
    """Errors and overflows of value and slope in each format, by its name; or why a formula does not run in it."""
    with np.errstate(all="ignore"):
        return {kept.name: _in_format(f, kept, z, junctions) for kept in (FLOAT32, BFLOAT16)}


def _in_format(f: Activation, kept: Format, z: np.ndarray, junctions: Sequence[float]) -> dict[str, Any]:
    """The largest errors beside float64, by stretch of z, and the stretches in which value or slope overflow."""
    # the numbers of the format next to z, exactly as float64, so that rounding z is no error of the formula
    z = np.unique(np.asarray(kept.cast(z), dtype=np.float64))
    try:
        computed = value_and_slope(f, kept.cast(z))
    except FORMULA_ERRORS as reason:
        return {"left_out": first_line(reason)}
    expected = value_and_slope(f, z)

    def errors(z: np.ndarray) -> Errors:
        z = np.asarray(kept.cast(z), dtype=np.float64)
        return errors_at(f, kept, z, np.array(value_and_slope(f, z)), junctions)

    def is_finite(part: int, z: float) -> bool:
        return bool(np.isfinite(value_and_slope(f, kept.cast(np.array([z])))[part][0]))

    errors_found = search(errors, random_places())
    found = {}
    for i, part in enumerate(("value", "slope")):
        # what float64 has, and the format has not
        overflows = ~np.isfinite(computed[i]) & np.isfinite(expected[i])
        ends = [_from_onset(z, low, high, partial(is_finite, i)) for low, high in stretches(z, overflows)]
        rows = errors_found.rows(i, kept, _finite_ends(z, computed[i]))
        found[part] = {"of": kept.digits, "errors": rows, "overflows": tuple(ends)}
        if kept is FLOAT32:
            found[part] |= {"dtype": str(computed[i].dtype)}
    return found


def _from_onset(z: np.ndarray, low: float, high: float, is_finite: Callable[[float], bool]) -> tuple[float, float]:
    """A stretch of a sorted grid in which numbers overflow, extended to where that begins between two points.

    exp overflows in float32 from z = 88.7 on: the grid may have 80 and 95 next to each other, and bisection finds 88.7.
    """
    # the stretch's end that is nearer to zero, and the point of the grid beside it, where the number is finite
    is_above = low > 0.0
    end, beside = (low, np.searchsorted(z, low) - 1) if is_above else (high, np.searchsorted(z, high) + 1)
    if low <= 0.0 <= high or not 0 <= beside < z.size:
        return low, high
    begin = float(z[beside])  # finite at `begin`, overflown at `end`
    for _ in range(HALVINGS):
        middle = 0.5 * (begin + end)
        begin, end = (middle, end) if is_finite(middle) else (begin, middle)
    return (end, high) if is_above else (low, end)
