"""Primitives that compare, take extremes, combine truth values, choose between cases, and change the type.

Where numbers are equal, their changes decide what the comparison is after the step, and `Run.ties` says that on the
other side of the point it may be another. A branch that changes at the point itself is a kink where both cases have the
same value there; where they have not, `Run.unresolved` says so.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.increments import (
    Increment,
    constant,
    directions,
    full_change,
    is_constant,
    linear,
    unknown_where,
)
from reference.traced.primitives.elementwise import together
from reference.traced.program import COMPARISONS, bind, kind, lifted


def _comparison(ufunc: np.ufunc) -> Callable[..., Increment]:
    """Truth values; of equal numbers the changes decide what they are after the step."""

    def rule(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        value = ufunc(x.value, y.value)
        if not directions(x, y):
            return constant(value)
        equal = np.asarray(x.value == y.value)
        if not equal.any():
            return constant(value)
        run.ties |= bool(np.any(equal & (np.asarray(x.change) != y.change)))
        return _truth(value, equal & (ufunc(x.change, y.change) != value))

    return together(rule)


def _truth(value: Any, flips: Any) -> Increment:
    """Truth values with what flips; a constant where nothing does."""
    return Increment(value, flips) if np.any(flips) else constant(value)


def _connective(ufunc: np.ufunc) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, *operands: Increment) -> Increment:
        value = ufunc(*[x.value for x in operands])
        if all(map(is_constant, operands)):
            return constant(value)
        after = ufunc(*[x.value if is_constant(x) else np.asarray(x.value) ^ x.change for x in operands])
        return _truth(value, after != value)

    return together(rule)


def _integers(function: Callable[..., Any]) -> Callable[..., Increment]:
    return lambda run, equation, *operands: constant(np.asarray(function(*[x.value for x in operands])))


def _convert(run: Any, equation: Any, x: Increment) -> Increment:
    """Another type: whatever rounds to fewer bits stays as it is, and what cuts off has no change."""
    new = kind(equation.params["new_dtype"])
    value = np.asarray(x.value)
    if new == "c" and value.dtype.kind != "c":
        return Increment(value.astype(complex), 0.0 if is_constant(x) else x.change.astype(complex))
    if new == "f" and value.dtype.kind == "c":
        return linear(lambda lead, z: z.real, x)
    if new in "fc" and value.dtype.kind in "fc":
        return x
    if new in "fc":
        if not is_constant(x):
            run.unresolved = "a truth value that turns at this point is used as a number"
        return Increment(value.astype(float), 0.0 if is_constant(x) else np.where(x.change, np.nan, 0.0))
    dtype = equation.params["new_dtype"]
    with np.errstate(all="ignore"):
        if value.dtype.kind not in "biu" or is_constant(x):
            return constant(value.astype(dtype))
        after = (value ^ x.change if value.dtype == bool else value + x.change).astype(dtype)
        return Increment(value.astype(dtype), after ^ value.astype(bool) if new == "b" else after - value.astype(dtype))


def _bits(run: Any, equation: Any, x: Increment) -> Increment:
    """A number's bits, in its own type; as numbers they jump everywhere, and JAX takes them for constant, too."""
    return constant(lifted(bind(equation, [np.asarray(x.value).astype(equation.input_dtypes[0])])[0]))


def _select(run: Any, equation: Any, which: Increment, *cases: Increment) -> Increment:
    index = np.asarray(which.value)
    value = cases[0].value
    for i, case in enumerate(cases[1:], 1):
        value = np.where(index == i, case.value, value)
    count = directions(which, *cases)
    if not count:
        return constant(value)
    changes = [full_change(case, count) for case in cases]
    change = np.zeros((count, *np.shape(value)), changes[0].dtype)
    for i, case in enumerate(changes):
        change = np.where(index == i, case, change)
    if is_constant(which):
        return Increment(value, change)
    after = index ^ which.change if index.dtype == bool else index + which.change
    for i, case in enumerate(cases):
        flips_here = (after == i) & (index != i)
        same = np.asarray(case.value) == value  # the branches meet, as at a kink
        if value.dtype.kind not in "fc":
            change = np.where(flips_here, case.value != value, change) if value.dtype == bool else change
            continue
        if np.any(flips_here & ~same):
            run.unresolved = "a branch changes at this point, where the value jumps or slopes have no limit"
        change = np.where(flips_here, unknown_where(~same, changes[i]), change)
    return Increment(value, change)


def exceeds(x: Increment, y: Increment) -> Any:
    """Where x is larger than y just after the step; complex numbers by their real parts first, as in JAX."""
    pairs = [(x.value, y.value), (x.change, y.change)]
    parts = (
        [pairs] if np.isrealobj(x.value) else [[(part(a), part(b)) for a, b in pairs] for part in (np.real, np.imag)]
    )
    larger, equal = False, True
    for a, b in (pair for part in parts for pair in part):
        larger, equal = larger | (equal & (a > b)), equal & (a == b)
    return larger


def extreme(run: Any, x: Increment, y: Increment, larger: bool) -> Increment:
    """The larger or smaller of two numbers, and the change of the one that is so just after the step."""
    value = np.maximum(x.value, y.value) if larger else np.minimum(x.value, y.value)
    if is_constant(x) and is_constant(y):
        return constant(value)
    x_wins = exceeds(x, y) if larger else exceeds(y, x)
    run.ties |= bool(np.any((np.real(x.value) == np.real(y.value)) & (np.asarray(x.change) != y.change)))
    change = np.where(x_wins, x.change, y.change)
    if np.iscomplexobj(value):
        jumps = np.where(x_wins, x.value, y.value) != value
        if np.any(jumps):
            run.unresolved = "the larger of two complex numbers of equal real parts jumps"
            change = unknown_where(jumps, change)
    return Increment(value, change)


def _extreme(larger: bool) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        if np.asarray(x.value).dtype.kind in "iu" and directions(x, y):  # an index, which changes by whole numbers
            fold = np.maximum if larger else np.minimum
            value = fold(x.value, y.value)
            return Increment(value, (fold(x.value + x.change, y.value + y.change) - value).astype(value.dtype))
        found, count = extreme(run, x, y, larger), directions(x, y)
        if not count or np.asarray(found.value).dtype.kind not in "fc":
            return constant(found.value)
        return Increment(found.value, np.broadcast_to(found.change, (count, *np.shape(found.value))))

    return together(rule)


def _clamp(run: Any, equation: Any, low: Increment, x: Increment, high: Increment) -> Increment:
    return _extreme(larger=False)(run, equation, _extreme(larger=True)(run, equation, low, x), high)


RULES: dict[str, Callable[..., Any]] = {
    **{name: _comparison(ufunc) for name, ufunc in COMPARISONS.items()},
    "max": _extreme(larger=True),
    "min": _extreme(larger=False),
    "clamp": together(_clamp),
    "and": _connective(np.bitwise_and),
    "or": _connective(np.bitwise_or),
    "xor": _connective(np.bitwise_xor),
    "not": _connective(np.invert),
    "shift_left": _integers(np.left_shift),
    "select_n": _select,
    "convert_element_type": _convert,
    "bitcast_convert_type": _bits,
}
