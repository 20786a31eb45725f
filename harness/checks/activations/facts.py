"""What else is worth knowing about one activation: its manners, its shape, where it is not finite, and float32."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.checks.activations.bounds import FORMULA_ERRORS, Bounds, rounding_bounds
from harness.checks.activations.kinks import JUMP, TINY
from harness.checks.activations.slopes import Slopes
from reference.activations import Activation
from reference.arithmetics.companion import first_line
from reference.arithmetics.rounded import Rounded32

SHAPES = ((3, 4), (0,), ())

ONE_FOR_ALL = "one slope for all z, which broadcasts"

ELEMENTWISE = "each entry must depend on the same entry of z alone"

SAMPLED = 24  # points at which an array is compared with its entries, one by one


def intervals(z: np.ndarray, chosen: np.ndarray, bridged: int = 0) -> tuple[tuple[float, float], ...]:
    """The chosen points of a sorted grid as intervals from point to point, across gaps of up to `bridged` points."""
    places = np.flatnonzero(chosen)
    if not places.size:
        return ()
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1 + bridged) + 1)
    return tuple((float(z[run[0]]), float(z[run[-1]])) for run in runs)


def in_words(regions: Sequence[tuple[float, float]], shown: int = 4) -> str:
    """Intervals of z, the first few of them."""
    more = f" and {len(regions) - shown} more places" if len(regions) > shown else ""
    return ", ".join(_interval(low, high) for low, high in regions[:shown]) + more


def _interval(low: float, high: float) -> str:
    if low == high:
        return f"z = {low:.5g}"
    # the floats next to zero stand for all that is above or below it
    left = "0 < z" if 0.0 < low <= TINY else f"{low:.5g} <= z"
    return f"{left} < 0" if -TINY <= high < 0.0 else f"{left} <= {high:.5g}"


# -- manners -----------------------------------------------------------------------------------------------------------


def faults_and_notes(f: Activation, z: np.ndarray) -> tuple[list[str], list[str]]:
    """What breaks a network, and what is only bad manners."""
    faults, notes = _changed_arguments(f, z), []
    for shape in SHAPES:
        try:
            wrong = _wrong_shapes(f, np.resize([-1.5, -0.5, 0.25, 2.0], shape))
        except FORMULA_ERRORS as reason:
            wrong = [f"cannot take an array of shape {shape} ({first_line(reason)})"]
        broadcasts = all(line.endswith(ONE_FOR_ALL) for line in wrong)
        (notes if broadcasts or len(shape) < 2 else faults).extend(wrong)
    (of_nan,) = _or_nan(f, np.array([np.nan]))
    if not np.isnan(of_nan):
        notes.append(f"NaN becomes {of_nan:g}: a network that has diverged would look sound")
    return faults, notes


def _changed_arguments(f: Activation, z: np.ndarray) -> list[str]:
    given, a = z.copy(), np.array(f(z.copy()))
    f(given)
    faults = [] if np.array_equal(given, z) else ["value changes its argument z in place"]
    given_z, given_a = z.copy(), a.copy()
    f.slope(given_z, given_a)
    for name, after, before in (("z", given_z, z), ("a", given_a, a)):
        if not np.array_equal(after, before, equal_nan=True):
            faults.append(f"slope changes its argument {name} in place")
    return faults


def _wrong_shapes(f: Activation, z: np.ndarray) -> list[str]:
    a = f(z.copy())
    shapes = {"value": np.shape(a), "slope": np.shape(f.slope(z.copy(), a))}
    advice = {("slope", ()): ONE_FOR_ALL}
    return [
        f"{part} has shape {got} for z of shape {z.shape}: {advice.get((part, got), 'it must keep the shape of z')}"
        for part, got in shapes.items()
        if got != z.shape
    ]


def not_elementwise(part: str, function: Callable[[np.ndarray], Any], z: np.ndarray, error: np.ndarray) -> list[str]:
    """Whether entries depend on their neighbours: those of the whole array are not those of its reverse, or alone."""
    picked = np.linspace(0, len(z) - 1, SAMPLED).astype(int)
    whole = np.broadcast_to(function(z.copy()), z.shape)[picked]
    try:
        reverse = np.broadcast_to(function(z[::-1].copy()), z.shape)[::-1][picked]
        alone = np.array([np.ravel(function(z[i : i + 1].copy()))[0] for i in picked])
    except FORMULA_ERRORS as reason:
        return [f"{part} is not elementwise: it cannot take one entry of z alone ({first_line(reason)}); {ELEMENTWISE}"]
    apart = np.maximum(np.abs(whole - alone), np.abs(whole - reverse))
    wrong = picked[np.isfinite(whole) & ~(apart <= 2.0 * error[picked])]
    return [
        f"{part} is not elementwise: at z = {z[i]:.6g} it depends on the rest of the array; {ELEMENTWISE}"
        for i in wrong[:1]
    ]


def _or_nan(function: Callable[[np.ndarray], Any], z: np.ndarray) -> np.ndarray:
    try:
        return np.broadcast_to(function(z.copy()), z.shape)
    except FORMULA_ERRORS:  # one that is not elementwise may need more entries
        return np.full(z.shape, np.nan)


# -- shape of the curve ------------------------------------------------------------------------------------------------


def facts(f: Activation, z: np.ndarray, a: np.ndarray, true: np.ndarray, bounds: Bounds) -> dict[str, Any]:
    """Monotone or not, the range, the Lipschitz constant, the limits: as far as the grid shows them."""
    ends = np.array([-np.inf, np.inf])
    at_ends, slopes_at_ends = _or_nan(f, ends), _or_nan(lambda z: f.slope(z, np.array(f(z))), ends)
    seen = np.concatenate([a, at_ends])
    seen = seen[~np.isnan(seen)]
    size = np.where(np.isfinite(true), np.abs(true), -1.0)
    steepest = int(size.argmax())
    return {
        "monotone": _monotone(z, a, bounds.value),
        "range": [float(seen.min()), float(seen.max())],
        "lipschitz": float(np.abs(true[steepest])),  # NaN where no slope is known
        "lipschitz_at": float(z[steepest]),
        "limits": {
            "value": [float(limit) for limit in at_ends],
            "slope": [float(limit) for limit in slopes_at_ends],
        },
    }


def _monotone(z: np.ndarray, a: np.ndarray, error: np.ndarray) -> str:
    known = np.isfinite(a)
    known &= error <= JUMP * (a.max(initial=-np.inf, where=known) - a.min(initial=np.inf, where=known))
    z, a, error = z[known], a[known], error[known]
    change, allowed = np.diff(a), error[:-1] + error[1:]
    rises, falls = change > allowed, change < -allowed
    if rises.any() and falls.any():
        direction = np.where(rises, 1, np.where(falls, -1, 0))
        moving = np.flatnonzero(direction)
        turns = moving[1:][np.diff(direction[moving]) != 0]
        return f"no: it turns near z = {z[turns[0]]:.3g}" + (f" and at {len(turns) - 1} more places" * (len(turns) > 1))
    return "never falls" if rises.any() else "never rises" if falls.any() else "constant"


# -- not finite --------------------------------------------------------------------------------------------------------


def not_finite(z: np.ndarray, a: np.ndarray, claimed: np.ndarray, balls: Slopes | None) -> list[str]:
    """Where the value or the claimed slope is not finite, and whether it could be."""
    lines = []
    exact = {"value": balls.value, "slope": balls.slope} if balls else {}
    for part, computed in (("value", a), ("slope", claimed)):
        broken = ~np.isfinite(computed)
        if broken.any():
            line = f"{part} is not finite for {in_words(intervals(z, broken))}"
            avoidable = broken & np.isfinite(exact.get(part, computed))
            if avoidable.any():
                i = np.flatnonzero(avoidable)[0]
                line += f", though it could be: {exact[part][i]:.6g} at z = {z[i]:.6g}"
            lines.append(line)
    return lines


# -- float32 -----------------------------------------------------------------------------------------------------------


def float32(f: Activation, z: np.ndarray) -> dict[str, Any]:
    """How value and slope fare in float32, beside float64: within the bound at u = 2**-24, or where not."""
    single = np.unique(z.astype(np.float32))
    double = single.astype(np.float64)
    with np.errstate(all="ignore"):
        bounds, own = rounding_bounds(f, double, Rounded32), rounding_bounds(f, double)
        (a, slope), (exact, exact_slope) = (_value_and_slope(f, z) for z in (single, double))
        return {
            "value": _fares(double, a, exact, bounds.value + own.value),
            "slope": _fares(double, slope, exact_slope, bounds.claimed + own.claimed),
        }


def _value_and_slope(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a = np.broadcast_to(f(z.copy()), z.shape)
    return a, np.broadcast_to(f.slope(z.copy(), a.copy()), z.shape)


def _fares(z: np.ndarray, computed: np.ndarray, expected: np.ndarray, allowed: np.ndarray) -> dict[str, Any]:
    representable = np.isfinite(expected) & (np.abs(expected) <= np.finfo(np.float32).max)
    difference = np.abs(computed.astype(np.float64) - expected)
    # where float32 overflows on the way no bound holds, and an infinite answer is wrong all the same
    beyond = representable & ((np.isfinite(allowed) & ~(difference <= allowed)) | ~np.isfinite(computed))
    within = representable & np.isfinite(difference) & (allowed > 0.0)
    return {
        "dtype": str(computed.dtype),
        "within": not beyond.any(),
        "beyond": intervals(z, beyond),
        "largest": float((difference[within] / allowed[within]).max(initial=0.0)),
    }
