"""How many correct digits a record's numbers have in float64, float32 and bfloat16, and where they overflow.

True errors are counted in ulps (units in the last place) of each format, by region of z, beside what rounding allows.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, ActivationBound, activation_bound
from harness.checks.activations.z_grid import OF_Z, GridPoints, Notation, stretches
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.activations import Activation
from reference.arithmetics.companion import first_line
from reference.arithmetics.rounded import Rounded32
from reference.measured import MeasuredSlope

NO_DIGIT = 0.5  # relative: a slope that is off by half of itself has no correct digit
REGIONS = (1.0, 6.0, 30.0, 100.0)  # |z| up to which errors in ulps are reported together
KNOWN = 1e-10  # relative: a number that balls know so well serves as the true one, in every format
HALVINGS = 24  # of a grid interval in which overflow begins: as many as float32 has bits
EVERY = 3  # of the grid's z one in three is enough for the errors of a format that has few digits


class Precision(NamedTuple):
    """How many correct digits a record has in each format.

    Attributes
    ----------
    ulps : the true error of the reported slope at each z of the grid in ulps of float64; NaN where it is not known
    lost : from where the slope has no correct digit, as facts
    formats : errors and overflows in other formats, by name
    facts : all of it for a report
    """

    ulps: np.ndarray
    lost: list[Fact]
    formats: dict[str, dict[str, Any]]
    facts: list[Fact]


def measure_precision(
    points: GridPoints, bound: ActivationBound, balls: MeasuredSlope | None, notation: Notation = OF_Z
) -> Precision:
    """The digits of the slope in float64, and of value and slope in float32 and bfloat16."""
    ulps, formats = slope_in_ulps(points, balls), measure_formats(points.f, points.z)
    rows, lost = by_region(points.z, ulps), find_lost_tails(points, balls, bound.claimed + points.floor)
    facts = [*lost, *([note(Kind.NUMBER_FORMAT, "float64", slope={"ulps": rows})] if rows else [])]
    facts += [_fact_of_format(name, found, notation) for name, found in formats.items()]
    return Precision(ulps, lost, formats, facts)


def _fact_of_format(name: str, found: Mapping[str, Any], notation: Notation) -> Fact:
    """What `measure_formats` found for one format, with its stretches of z as names."""
    if "left_out" in found:
        return note(Kind.FORMULA_REFUSED, name, reason=found["left_out"])
    parts = {
        part: numbers
        | {key: [notation.stretch(*ends) for ends in numbers[key]] for key in ("beyond", "overflows") if key in numbers}
        for part, numbers in found.items()
    }
    return note(Kind.NUMBER_FORMAT, name, **parts)


# -- errors in ulps ----------------------------------------------------------------------------------------------------


def slope_in_ulps(points: GridPoints, balls: MeasuredSlope | None) -> np.ndarray:
    """The true error of the reported slope at each z in ulps; NaN where balls do not know it, or for a surrogate."""
    if balls is None or points.f.surrogate:
        return np.full(points.z.shape, np.nan)
    return np.where(points.judged, in_ulps(points.slope, balls.slope, balls.error), np.nan)


def in_ulps(computed: np.ndarray, exact: np.ndarray, error: np.ndarray, dtype: Any = np.float64) -> np.ndarray:
    """|computed - exact| in ulps of a dtype; NaN where one is not finite, or `exact` is subnormal or not known.

    `error` is how far off `exact` may be.
    """
    smallest, largest, digits = _limits(dtype)
    size = np.abs(exact)
    known = (size >= smallest) & (size <= largest) & (error <= KNOWN * size) & np.isfinite(computed)
    ulps = np.full(size.shape, np.nan)
    ulp = np.ldexp(1.0, np.frexp(size[known])[1] - 1 - digits)
    ulps[known] = np.abs(computed[known] - exact[known]) / ulp
    return ulps


def _limits(dtype: Any) -> tuple[float, float, int]:
    if np.dtype(dtype).kind == "f":
        info = np.finfo(dtype)
    else:
        from ml_dtypes import finfo  # here, because it is slow to load

        info = finfo(dtype)
    return float(info.smallest_normal), float(info.max), int(info.nmant)


def by_region(z: np.ndarray, ulps: np.ndarray) -> list[dict[str, Any]]:
    """Median and largest of errors in ulps, in regions of |z|, without those that are NaN."""
    region = np.searchsorted(REGIONS, np.abs(z))
    rows = []
    for i, (low, high) in enumerate(pairwise((0.0, *REGIONS, np.inf))):
        inside = ulps[(region == i) & ~np.isnan(ulps)]
        if inside.size:
            rows.append({"from": low, "to": high, "median": float(np.median(inside)), "largest": float(inside.max())})
    return rows


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
    for outwards in (known[points.z[known] < 0.0][::-1], known[points.z[known] > 0.0]):
        kept = np.flatnonzero(~lost[outwards])
        tail = outwards[kept[-1] + 1 :] if kept.size else outwards
        if tail.size:
            numbers = {"z": points.z[tail[0]], "value": points.slope[tail[0]], "expected": balls.slope[tail[0]]}
            facts.append(note(Kind.LOST_TAIL, "slope", **{name: float(x) for name, x in numbers.items()}))
    return facts


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


def measure_formats(f: Activation, z: np.ndarray) -> dict[str, Any]:
    """Errors and overflows of value and slope in each format, by its name; or why a formula does not run in it."""
    with np.errstate(all="ignore"):
        return {"float32": _float32(f, z), "bfloat16": _bfloat16(f, z)}


def _float32(f: Activation, z: np.ndarray) -> dict[str, Any]:
    """True errors, and differences from float64 beside the rounding bound at u = 2**-24."""
    single = np.unique(z.astype(np.float32))
    double = single.astype(np.float64)
    # float64 rounds, too, so float32 may differ from it by both bounds together
    bounds, own = activation_bound(f, double, Rounded32), activation_bound(f, double)
    computed, expected = _value_and_slope(f, single), _value_and_slope(f, double)
    found = _true_errors(f, double, computed, np.float32)
    allowed = {"value": bounds.value + own.value, "slope": bounds.claimed + own.claimed}
    for i, part in enumerate(allowed):
        found[part] |= {"dtype": str(computed[i].dtype)}
        found[part] |= _within(double, computed[i], expected[i], allowed[part])
    return found


def _within(z: np.ndarray, computed: np.ndarray, expected: np.ndarray, allowed: np.ndarray) -> dict[str, Any]:
    representable = np.isfinite(expected) & (np.abs(expected) <= np.finfo(np.float32).max)
    difference = np.abs(computed.astype(np.float64) - expected)
    # an overflow on the way makes the bound infinite, and an infinite result is wrong all the same
    beyond = representable & ((np.isfinite(allowed) & ~(difference <= allowed)) | ~np.isfinite(computed))
    within = representable & np.isfinite(difference) & (allowed > 0.0)
    return {
        "within": bool(not beyond.any()),
        "beyond": stretches(z, beyond),
        "largest": float((difference[within] / allowed[within]).max(initial=0.0)),
    }


def _bfloat16(f: Activation, z: np.ndarray) -> dict[str, Any]:
    from ml_dtypes import bfloat16

    coarse = np.unique(np.asarray(z.astype(bfloat16), dtype=np.float32))
    try:
        computed = _value_and_slope(f, round_to_bfloat16(coarse))
    except FORMULA_ERRORS as reason:
        return {"left_out": first_line(reason)}
    return _true_errors(f, coarse.astype(np.float64), computed, bfloat16)


def _value_and_slope(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a = np.broadcast_to(f(z.copy()), z.shape, subok=True)
    slope = f.slope(z.copy(), a.copy())
    return np.asarray(a), np.broadcast_to(np.asarray(slope), z.shape)


def _true_errors(f: Activation, z: np.ndarray, computed: tuple[np.ndarray, np.ndarray], dtype: Any) -> dict[str, Any]:
    """True errors in ulps by region, at every third z, and the stretches of z in which value or slope overflow."""
    some = slice(None, None, EVERY)
    found = {}
    for i, (part, true, expected) in enumerate(
        zip(("value", "slope"), _true_values(f, z[some]), _value_and_slope(f, z))
    ):
        numbers = computed[i].astype(np.float64)
        ulps = in_ulps(numbers[some], *true, dtype) if true else np.full(z[some].shape, np.nan)
        overflows = ~np.isfinite(numbers) & np.isfinite(expected)

        def is_finite(z: float, i: int = i) -> bool:
            at = np.array([z], dtype=np.float32)
            return bool(np.isfinite(_value_and_slope(f, at if dtype is np.float32 else round_to_bfloat16(at))[i][0]))

        ends = [_from_onset(z, *ends, is_finite) for ends in stretches(z, overflows)]
        found[part] = {"ulps": by_region(z[some], ulps), "overflows": tuple(ends)}
    return found


def _from_onset(z: np.ndarray, low: float, high: float, is_finite: Callable[[float], bool]) -> tuple[float, float]:
    """A stretch of a sorted grid in which numbers overflow, extended to where that begins between two points."""
    inner, outer = (np.searchsorted(z, low) - 1, low) if low > 0.0 else (np.searchsorted(z, high) + 1, high)
    if low <= 0.0 <= high or not 0 <= inner < z.size:
        return low, high
    begin, end = float(z[inner]), outer  # finite at `begin`, overflown at `end`
    for _ in range(HALVINGS):
        middle = 0.5 * (begin + end)
        begin, end = (middle, end) if is_finite(middle) else (begin, middle)
    return (end, high) if low > 0.0 else (low, end)


def _true_values(f: Activation, z: np.ndarray) -> list[tuple[np.ndarray, np.ndarray] | None]:
    """Value and slope by balls, and how far off they may be; a surrogate's slope is compared with its float64 value."""
    from reference.oracles import ball_arithmetic  # here, because flint takes a while to load

    own = (_value_and_slope(f, z)[1], np.zeros(z.shape)) if f.surrogate else None
    try:
        exact = ball_arithmetic.slope(f, z)
    except FORMULA_ERRORS:
        return [None, own]
    return [(exact.value, np.broadcast_to(exact.value_error, z.shape)), own or (exact.slope, exact.error)]
