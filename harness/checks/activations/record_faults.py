"""What is wrong with an activation's record as code: side effects, shapes, entries that depend on others, NaN, ±inf.

A record whose slope is right for every z of a long vector may still break a network, which calls it with matrices,
keeps the z that it passed for the way back, and calls it with whatever z an overflow leaves.
"""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, ActivationBound
from harness.checks.activations.proof import INSIDE
from harness.checks.activations.z_grid import OF_Z, SEED, GridPoints, Notation
from harness.facts.fact import Fact, Severity, note, wrong
from harness.facts.kinds import Kind
from reference.activations import Activation
from reference.arithmetics.companion import first_line
from reference.measured import MeasuredSlope

SHAPES = ((3, 4), (0,), ())
"""Shapes that value and slope should keep. Networks have matrices; the others are only noted."""

ENTRIES_SAMPLED = 24
"""Points at which an array is compared with its entries, one by one: what depends on neighbours does so nearly
anywhere."""


def find_faults(f: Activation, z: np.ndarray) -> list[Fact]:
    """What breaks a network, and what is only worth knowing, of a record that runs on a grid."""
    faults = _changed_arguments(f, z)
    for shape in SHAPES:
        try:
            # ordinary z on both sides of zero, so that a formula by cases runs all of them
            found = _wrong_shapes(f, np.resize([-1.5, -0.5, 0.25, 2.0], shape))
        except FORMULA_ERRORS as reason:
            found = [wrong(Kind.SHAPE_REFUSED, shape=str(shape), reason=first_line(reason))]
        # a slope of one number, as 1.0 for every z, is multiplied with every δ all the same
        broadcasts = all(fact.data.get("broadcasts") for fact in found)
        breaks = len(shape) == 2 and not broadcasts
        faults += found if breaks else [replace(fact, severity=Severity.NOTE) for fact in found]
    # max(z, 0) passes NaN on, and where(z > 0, z, 0) makes 0 of it: then nobody sees that the network has diverged
    (at_nan,) = _or_nan(f, np.array([np.nan]))
    return faults if np.isnan(at_nan) else [*faults, note(Kind.NAN_SWALLOWED, value=float(at_nan))]


def _changed_arguments(f: Activation, z: np.ndarray) -> list[Fact]:
    """Which of its arguments value or slope writes to, as in ``z[z < 0] = 0``."""
    arguments, faults = {"z": z, "a": np.array(f(z.copy()))}, []
    for part, function, names in (("value", f, ("z",)), ("slope", f.slope, ("z", "a"))):
        handed = [arguments[name].copy() for name in names]
        function(*handed)
        for name, after in zip(names, handed):
            if not np.array_equal(after, arguments[name], equal_nan=True):
                faults.append(wrong(Kind.ARGUMENT_CHANGED, part, argument=name))
    return faults


def _wrong_shapes(f: Activation, z: np.ndarray) -> list[Fact]:
    """What comes back in another shape than z has."""
    a = f(z.copy())
    shapes = {"value": np.shape(a), "slope": np.shape(f.slope(z.copy(), a))}
    return [
        wrong(Kind.SHAPE_NOT_KEPT, part, shape=str(z.shape), returned=str(got), broadcasts=(part, got) == ("slope", ()))
        for part, got in shapes.items()
        if got != z.shape
    ]


def find_dependence(part: str, function: Callable[[np.ndarray], Any], z: np.ndarray, error: np.ndarray) -> list[Fact]:
    """Whether entries depend on their neighbours, on the shape of the array, or on the call.

    Entries of the whole array are compared with those of its reverse, of arrays of one entry, and of a square matrix:

        np.cumsum(z)      is another in reverse
        z/z.max()         is the same in reverse, and another for one entry
        z.T               is the same for vectors, and another for the square matrix, whose shape it keeps

    `error` is how far rounding can move each entry: vectorised loops may round otherwise at another place.
    """
    whole, again = (np.broadcast_to(function(z.copy()), z.shape) for _ in range(2))
    if not np.array_equal(whole, again, equal_nan=True):
        return [wrong(Kind.NOT_REPEATABLE, part, argument="z")]

    def differ(others: np.ndarray, i: np.ndarray) -> np.ndarray:
        """Of the entries i of the whole array, those for which `others` has another number."""
        return i[np.isfinite(whole[i]) & ~(np.abs(whole[i] - others) <= 2.0 * error[i])]

    picked, side = np.linspace(0, len(z) - 1, ENTRIES_SAMPLED).astype(int), math.isqrt(len(z))
    try:
        reverse = np.broadcast_to(function(z[::-1].copy()), z.shape)[::-1]
        alone = np.array([np.ravel(function(z[i : i + 1].copy()))[0] for i in picked])
    except FORMULA_ERRORS as reason:
        return [wrong(Kind.NOT_ELEMENTWISE, part, how="alone", reason=first_line(reason))]
    found, how = {*differ(reverse[picked], picked), *differ(alone, picked)}, "neighbours"
    if not found:
        square = z[: side * side].reshape(side, side)
        with contextlib.suppress(*FORMULA_ERRORS):  # a formula that refuses matrices is reported by `find_faults`
            matrix = np.broadcast_to(function(square.copy()), square.shape).ravel()
            found, how = {*differ(matrix, np.arange(square.size))}, "shape"
    return [wrong(Kind.NOT_ELEMENTWISE, part, how=how, z=float(z[min(found)]), side=side)] if found else []


def find_misused_upstream(
    backward: Callable[[np.ndarray, np.ndarray], np.ndarray], points: GridPoints, error: np.ndarray
) -> list[Fact]:
    """Whether a backward is not the slope times the upstream gradient, entry by entry.

    ``backward(z, g)`` has to be s(z) g. The upstream gradients g are zero or ± powers of two, with which a product is
    exact, and of very different sizes, so that a sum or a mean of them shows. Where |z| is large, they could overflow.
    """
    z, slope = points.z, points.slope
    rng = np.random.default_rng(SEED)
    upstream = rng.choice([-1.0, 0.0, 1.0], z.size) * 2.0 ** rng.integers(-20, 21, z.size)
    known = (np.abs(z) <= INSIDE) & np.isfinite(slope) & ~points.underflows

    def is_wrong(i: np.ndarray) -> np.ndarray:
        """Which of the entries i are wrong in a call with these entries alone."""
        off = np.abs(backward(z[i], upstream[i]) - upstream[i] * slope[i])
        return known[i] & ~(off <= 2.0 * error[i] * np.abs(upstream[i]))

    wrong_at = np.flatnonzero(is_wrong(np.arange(z.size)))[:ENTRIES_SAMPLED]
    if not wrong_at.size:
        return []
    # an entry that is wrong by itself is not linear in g, as g² or |g|; others depend on their neighbours' g
    if any(is_wrong(np.array([i])) for i in wrong_at):
        return [wrong(Kind.NOT_LINEAR, mode="reverse")]
    return [wrong(Kind.NOT_ELEMENTWISE, "backward", how="upstream", z=float(z[wrong_at[0]]))]


def _or_nan(function: Callable[[np.ndarray], Any], z: np.ndarray) -> np.ndarray:
    """function(z), or NaN where it raises an error."""
    try:
        return np.broadcast_to(function(z.copy()), z.shape)
    except FORMULA_ERRORS:  # a formula that is not elementwise may need more entries
        return np.full(z.shape, np.nan)


def find_other_values(
    points: GridPoints, bound: ActivationBound, slopes: Mapping[str, MeasuredSlope], notation: Notation = OF_Z
) -> list[Fact]:
    """The oracles under which the formula has another value than in NumPy, because it branches on the kind of array."""
    faults = []
    for name, measured in slopes.items():
        # both values are rounded: NumPy's within the bound, the oracle's within its multiple of it
        allowed = (1.0 + max(1.0, measured.roundings)) * bound.value + measured.value_error
        difference = np.abs(measured.value - points.a)
        known = np.isfinite(points.a) & np.isfinite(measured.value) & np.isfinite(allowed)
        differs = known & ~points.underflows & ~(difference <= allowed)
        if differs.any():
            i = int(np.where(differs, difference, -1.0).argmax())
            numbers = {"value": float(measured.value[i]), "expected": float(points.a[i]), "z": float(points.z[i])}
            faults.append(wrong(Kind.VALUE_DEPENDS_ON_ARRAY, name, *notation.stretches(points.z, differs), **numbers))
    return faults


def find_not_finite(points: GridPoints, slopes: Mapping[str, MeasuredSlope], notation: Notation = OF_Z) -> list[Fact]:
    """Where the value, the slope or JAX's slope of the formula is not finite, and what it could be.

    NaN of the record is wrong where there is a finite number; where the value is finite, the slope is compared anyway.
    """
    unknown = np.full(points.z.shape, np.nan)
    balls = slopes.get("ball")
    certain = balls.slope if balls else unknown
    # without balls no slope is certain, but any oracle's shows that there is one
    possible = next(iter(slopes.values())).slope if slopes and not balls else certain
    parts = [("value", points.a, balls.value if balls else unknown), ("slope", points.slope, possible)]
    if "jax" in slopes:
        at_slopes = points.judged & ~points.at_junctions
        parts.append(("jax", np.where(at_slopes, slopes["jax"].slope, 0.0), certain))
    # a slope that is compared with the balls' is found wrong there, and needs no second fact
    compared = points.judged if balls else np.zeros(points.z.shape, dtype=bool)
    faults = []
    for part, computed, exact in parts:
        is_broken = ~np.isfinite(computed)
        if not is_broken.any():
            continue
        avoidable = is_broken & np.isfinite(exact) & ~points.underflows
        kind, say, numbers = Kind.FORMULA_NOT_FINITE, note, {}
        if avoidable.any():
            i = int(avoidable.argmax())
            numbers = {"expected": float(exact[i] + 0.0), "z": float(points.z[i])}  # no negative zero
            if part == "jax":  # 0 · inf of a branch that `where` drops is NaN in JAX's slope, though not in the formula
                kind = Kind.DROPPED_BRANCH
            elif (avoidable & np.isnan(computed) & ~compared).any():
                say = wrong
        at_large = bool(is_broken[[0, -1]].any())  # up to an end of the grid, as where exp overflows
        faults.append(say(kind, part, *notation.stretches(points.z, is_broken), **numbers, at_large=at_large))
    return faults


def find_slope_at_minus_zero(points: GridPoints) -> list[Fact]:
    """Whether another slope is reported at z = -0.0 than at 0.0, as only a convention at a kink may be."""
    at, usual = points.slope_at_minus_zero, float(points.slope[np.searchsorted(points.z, 0.0)])
    differs = not np.array_equal(at, usual, equal_nan=True)
    return [note(Kind.MINUS_ZERO, "slope", value=at, expected=usual)] if differs else []


def find_value_at_minus_zero(points: GridPoints, bound: ActivationBound, jumps: Sequence[float]) -> list[Fact]:
    """Whether the value at z = -0.0 is another than at 0.0, although it does not jump there."""
    # 1/z or copysign(1, z) tell -0.0 from 0.0, and a product with a zero weight may be either
    zero = np.searchsorted(points.z, 0.0)
    a, usual = float(_or_nan(points.f, np.array([-0.0]))[0]), float(points.a[zero])
    if not np.isfinite(usual) or abs(a - usual) <= 2.0 * bound.value[zero] or (0.0 in jumps and np.isfinite(a)):
        return []
    return [wrong(Kind.MINUS_ZERO, "value", value=a, expected=usual)]


# -- ±inf --------------------------------------------------------------------------------------------------------------

FAR = np.array([1e40, 1e70, 1e100, 1e130])  # |z| at which exact value and slope show their limits; z² is still finite
SETTLED = 1e-9  # a number that changes less from one of `FAR` to the next has a limit, and so has an exponent


def values_at_infinity(f: Activation) -> list[Fact]:
    """Where value and slope at z = ±inf, which a network that overflows reaches, are not what they tend to.

    These facts are notes, because silu, gelu and mish of PyTorch and JAX are NaN there, too. Without balls, nothing is
    known.
    """
    from reference.oracles import ball_arithmetic  # here, because flint takes a while to load

    faults = []
    for side in (-1.0, 1.0):
        try:
            exact, z = ball_arithmetic.slope(f, side * FAR), np.array([side * np.inf])
            a = np.broadcast_to(f(z.copy()), z.shape)
            there = float(a[0]), float(np.ravel(f.slope(z.copy(), a.copy()))[0])
        except FORMULA_ERRORS:
            continue
        limits = _limit(exact.value, exact.value_error), _limit(exact.slope, exact.error)
        for part, number, limit in zip(("value", "slope"), there, limits):
            if not (np.isnan(limit) or np.isclose(number, limit, rtol=SETTLED, atol=SETTLED)):
                faults.append(note(Kind.AT_INFINITY, part, z=float(z[0]), value=number, expected=limit))
    return faults


def _limit(numbers: np.ndarray, error: np.ndarray | float) -> float:
    """What the numbers at `FAR` tend to: a limit, or infinity where they grow as a power of z; NaN where neither is.

    x ~ c z^p has the exponent p = d log|x| / d log|z|, and grows where p is positive and the same all the way.
    """
    size, last = np.abs(numbers), float(numbers[-1])
    if not np.all(np.isfinite(numbers) & (error <= SETTLED * np.maximum(size, 1.0))):
        return np.nan
    if np.ptp(numbers) <= SETTLED * max(1.0, abs(last)):
        return last if abs(last) > SETTLED else 0.0
    powers = np.diff(np.log(size)) / np.diff(np.log(FAR)) if size.all() else np.zeros(1)
    grows = powers[-1] > SETTLED and np.ptp(powers) <= SETTLED and (np.sign(numbers) == np.sign(last)).all()
    return float(np.copysign(np.inf, last)) if grows else np.nan
