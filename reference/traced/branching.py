"""Primitives that compare, combine truth values, choose between cases, and change the type.

Where numbers are equal, their changes decide what the comparison is after the step. A branch that changes at the point
itself is a kink where both cases have the same value there; where they have not, `Run.unresolved` says so.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment
from reference.arithmetics.many_directions import constant, directions, full_change, is_constant, linear
from reference.traced.elementwise import together
from reference.traced.program import kind


def _comparison(ufunc: np.ufunc) -> Callable[..., Increment]:
    """Truth values; of equal numbers the changes decide what they are after the step."""

    def rule(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        value = ufunc(x.value, y.value)
        if not directions(x, y):
            return constant(value)
        equal = np.asarray(x.value == y.value)
        if not equal.any():
            return constant(value)
        flips = equal & (ufunc(x.change, y.change) != value)
        return _truth(run, value, flips)

    return together(rule)


def _truth(run: Any, value: Any, flips: Any) -> Increment:
    """Truth values with what flips; a constant where nothing does."""
    if not np.any(flips):
        return constant(value)
    run.ties = True
    return Increment(value, flips)


def _connective(ufunc: np.ufunc) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, *operands: Increment) -> Increment:
        value = ufunc(*[x.value for x in operands])
        if all(map(is_constant, operands)):
            return constant(value)
        after = ufunc(*[x.value if is_constant(x) else np.asarray(x.value) ^ x.change for x in operands])
        return _truth(run, value, after != value)

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
    if value.dtype == bool and not is_constant(x):
        signs = np.where(value, -1, 1).astype(np.int8)
        return Increment(value.astype(equation.params["new_dtype"]), signs * x.change)
    with np.errstate(all="ignore"):
        return constant(value.astype(equation.params["new_dtype"]))


def _select(run: Any, equation: Any, which: Increment, *cases: Increment) -> Increment:
    index = np.asarray(which.value)
    value = (
        cases[0].value
        if len(cases) == 1
        else np.select([index == i for i in range(len(cases))], [np.asarray(case.value) for case in cases])
    )
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
        change = np.where(flips_here, np.where(same, changes[i], np.nan), change)
    return Increment(value, change)


COMPARISONS = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "lt_to": np.less, "le_to": np.less_equal, "eq_to": np.equal,
}  # fmt: skip

RULES: dict[str, Callable[..., Any]] = {
    **{name: _comparison(ufunc) for name, ufunc in COMPARISONS.items()},
    "and": _connective(np.bitwise_and),
    "or": _connective(np.bitwise_or),
    "xor": _connective(np.bitwise_xor),
    "not": _connective(np.invert),
    "shift_left": _integers(np.left_shift),
    "select_n": _select,
    "convert_element_type": _convert,
}
