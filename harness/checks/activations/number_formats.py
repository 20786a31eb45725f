"""Value and claimed slope in float32 and bfloat16: true errors in ulps, what rounding allows, where they overflow."""

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, activation_bound
from harness.checks.activations.ulps import by_region, in_ulps, ulps_in_words
from harness.checks.activations.z_grid import in_words as stretches_in_words
from harness.checks.activations.z_grid import stretches
from reference.activations import Activation
from reference.arithmetics.companion import first_line
from reference.arithmetics.rounded import Rounded32

HALVINGS = 24  # of a grid interval

EVERY = 3  # of the grid's z: enough for the errors of a format that has few digits


class Coarse(np.ndarray):
    """Numbers of bfloat16, kept as float32: each operation is one of float32 whose result is stored.

    Eager PyTorch and JAX compute so. NumPy itself would go on in float32 after the first Python float.
    """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, out: Any = None, **keywords: Any) -> Any:
        if out is not None:
            raise TypeError("bfloat16 is not computed in place")
        return stored(getattr(ufunc, method)(*map(_plain, operands), **keywords))

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        return stored(super().__array_function__(function, types, operands, keywords))


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Coarse) else x


def stored(x: Any) -> Any:
    """What is left of numbers that are stored as bfloat16; truth values are as they were."""
    from ml_dtypes import bfloat16  # here, because it is slow to load

    x = _plain(x)
    if not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind != "f":
        return x
    return np.asarray(np.asarray(x, np.float32).astype(bfloat16), np.float32).view(Coarse)


def in_formats(f: Activation, z: np.ndarray) -> dict[str, Any]:
    """How value and slope fare in each format, by its name; one that a formula does not run in has a reason."""
    with np.errstate(all="ignore"):
        return {"float32": _float32(f, z), "bfloat16": _bfloat16(f, z)}


def _float32(f: Activation, z: np.ndarray) -> dict[str, Any]:
    """With what float32 is beside float64: within the bound at u = 2**-24, or where not."""
    single = np.unique(z.astype(np.float32))
    double = single.astype(np.float64)
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
    # where float32 overflows on the way no bound holds, and an infinite answer is wrong all the same
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
        computed = _value_and_slope(f, stored(coarse))
    except FORMULA_ERRORS as reason:
        return {"left_out": first_line(reason)}
    return _true_errors(f, coarse.astype(np.float64), computed, bfloat16)


def _value_and_slope(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a = np.broadcast_to(f(z.copy()), z.shape, subok=True)
    slope = f.slope(z.copy(), a.copy())
    return np.asarray(a), np.broadcast_to(np.asarray(slope), z.shape)


def _true_errors(f: Activation, z: np.ndarray, computed: tuple[np.ndarray, np.ndarray], dtype: Any) -> dict[str, Any]:
    """In ulps and by region, at every third z and where balls know the truth; and where what is computed overflows."""
    some = slice(None, None, EVERY)
    found = {}
    for i, (part, truth, expected) in enumerate(zip(("value", "slope"), _truths(f, z[some]), _value_and_slope(f, z))):
        numbers = computed[i].astype(np.float64)
        ulps = in_ulps(numbers[some], *truth, dtype) if truth else np.full(z[some].shape, np.nan)
        overflows = ~np.isfinite(numbers) & np.isfinite(expected)

        def is_finite(z: float, i: int = i) -> bool:
            at = np.array([z], dtype=np.float32)
            return bool(np.isfinite(_value_and_slope(f, at if dtype is np.float32 else stored(at))[i][0]))

        ends = [_from_onset(z, *ends, is_finite) for ends in stretches(z, overflows)]
        found[part] = {"ulps": by_region(z[some], ulps), "overflows": tuple(ends)}
    return found


def _from_onset(z: np.ndarray, low: float, high: float, is_finite: Callable[[float], bool]) -> tuple[float, float]:
    """A stretch of a sorted grid in which numbers overflow, from where that begins between two points."""
    inner, outer = (np.searchsorted(z, low) - 1, low) if low > 0.0 else (np.searchsorted(z, high) + 1, high)
    if low <= 0.0 <= high or not 0 <= inner < z.size:
        return low, high
    begin, end = float(z[inner]), outer
    for _ in range(HALVINGS):
        middle = 0.5 * (begin + end)
        begin, end = (middle, end) if is_finite(middle) else (begin, middle)
    return (end, high) if low > 0.0 else (low, end)


def _truths(f: Activation, z: np.ndarray) -> list[tuple[np.ndarray, np.ndarray] | None]:
    """Value and slope, and how far off they may be, by balls; the slope of a surrogate is what it is in float64."""
    from reference.oracles import ball_arithmetic  # here, because flint takes a while to load

    own = (_value_and_slope(f, z)[1], np.zeros(z.shape)) if f.surrogate else None
    try:
        exact = ball_arithmetic.slope(f, z)
    except FORMULA_ERRORS:
        return [None, own]
    return [(exact.value, np.broadcast_to(exact.value_error, z.shape)), own or (exact.slope, exact.error)]


def in_words(formats: dict[str, Any]) -> list[str]:
    """What `in_formats` found, a sentence for each format."""
    clauses = {name: _clauses(fares) for name, fares in formats.items()}
    return [f"{name}: {'; '.join(said)}" for name, said in clauses.items() if said]


def _clauses(fares: dict[str, Any]) -> list[str]:
    if "left_out" in fares:
        return [f"the formulas do not run in it ({fares['left_out']})"]
    clauses = _beside_bound(fares) if "within" in fares["value"] else []
    clauses += [f"{part} {words}" for part, found in fares.items() if (words := ulps_in_words(found["ulps"]))]
    clauses += [
        f"{part} overflows for {stretches_in_words(found['overflows'])}"
        for part, found in fares.items()
        if found["overflows"]
    ]
    return clauses


def _beside_bound(fares: dict[str, Any]) -> list[str]:
    if all(part["within"] for part in fares.values()):
        largest = max(part["largest"] for part in fares.values())
        words = f"value and slope within the bound at u = 2**-24 ({largest:.2g} of it)"
    else:
        beyond = [
            f"{name} beyond it for {stretches_in_words(part['beyond'])}"
            for name, part in fares.items()
            if part["beyond"]
        ]
        words = f"not within the bound at u = 2**-24 everywhere: {'; '.join(beyond)}"
    other = [f"{name} comes out as {part['dtype']}" for name, part in fares.items() if part["dtype"] != "float32"]
    return [words, *other]
