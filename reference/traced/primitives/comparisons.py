"""Primitives that compare, take the larger of two, combine truth values, choose between cases, and change the type.

Where numbers are equal, their changes decide what the comparison is after the step, and the run notes a tie: on the
other side of the point it may be another. A branch that changes at the point itself is a kink where both cases have the
same value there; otherwise the changes are unresolved. where(x > 0, x, 0) at x = 0 has the slope 1 to the right and 0
to the left; where(x > 0, x + 1, 0) jumps.

The error of a truth value, in a bounded run, says whether rounding may have flipped it.
"""

from itertools import product
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment, constant, count_directions, full_change, is_constant, linear
from reference.traced.bounded_run import Parts, Unbounded, may_differ, parts, with_error
from reference.traced.equations import bind, is_floating, kind, lifted
from reference.traced.interpreter import value_by
from reference.traced.jumps import BRANCHES_APART, after_jump, jump_to
from reference.traced.primitive import EXACT, Choice, Primitive, Rule, with_aliases
from reference.traced.primitives.arithmetic_operators import of_one_rank, on_parts

# -- comparisons and truth values -------------------------------------------------------------------------------------


def _comparison(name: str, ufunc: np.ufunc) -> Primitive:
    """x < y and the like: exact, but for what rounding may have made of x and y, and what a step makes of a tie."""

    def rule(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        value = ufunc(x.value, y.value)
        if not count_directions(x, y):
            return constant(value)
        if not is_floating(x.value):
            return jump_to(value, ufunc(after_jump(x), after_jump(y)))
        equal = np.asarray(x.value == y.value)
        if not equal.any():  # a step of 2^-200 turns no other
            return constant(value)
        # in a step the changes decide: 0 < 0 is false, and dx < dy says what it becomes
        run.note_ties(equal & (np.asarray(x.change) != y.change))
        return jump_to(value, np.where(equal, ufunc(x.change, y.change), value))

    def bound(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        is_itself = equation.inputs[0] == equation.inputs[1]  # isnan(x) is x != x: the value alone decides
        return with_error(ufunc(x.value, y.value), not is_itself and may_differ(parts(x), parts(y)))

    aligned = of_one_rank(rule)
    choice = Choice(lambda equation, numbers: value_by(aligned, equation, numbers), compares_pair=True)
    return Primitive(name, aligned, bound, EXACT, choice, is_comparison=True, takes_jumps=True)


def _connective(name: str, ufunc: np.ufunc) -> Primitive:
    def rule(run: Any, equation: Any, *operands: Increment) -> Increment:
        value = ufunc(*[x.value for x in operands])
        return constant(value) if all(map(is_constant, operands)) else jump_to(value, ufunc(*map(after_jump, operands)))

    def bound(run: Any, equation: Any, *operands: Increment) -> Increment:
        value = ufunc(*[x.value for x in operands])
        if all(map(is_constant, operands)):
            return constant(value)
        # all combinations of what each operand is, and of what rounding may have made of it
        cases = product(*[(x.value, x.value ^ parts(x).error.astype(bool)) for x in operands])
        return with_error(value, np.any([ufunc(*case) != value for case in cases], axis=0))

    return Primitive(name, of_one_rank(rule), bound, EXACT, takes_jumps=True)


def _shift(name: str, ufunc: np.ufunc) -> Primitive:
    return Primitive(name, lambda run, equation, x, y: constant(np.asarray(ufunc(x.value, y.value))))


# -- the larger of two ------------------------------------------------------------------------------------------------


def exceeds(x: Increment, y: Increment) -> Any:
    """Where x is larger than y just after the step; complex numbers by their real parts first, as in JAX."""
    # by values, then by changes, of complex numbers those of the real parts first: the first pair that differs decides
    pairs = [(x.value, y.value), (x.change, y.change)]
    if np.iscomplexobj(x.value):
        pairs = [(part(a), part(b)) for part in (np.real, np.imag) for a, b in pairs]
    larger, equal = False, True
    for a, b in pairs:
        larger, equal = larger | (equal & (a > b)), equal & (a == b)
    return larger


def extreme(run: Any, x: Increment, y: Increment, *, larger: bool) -> Increment:
    """The larger or smaller of two numbers, with the change of the one that is so just after the step."""
    value = np.maximum(x.value, y.value) if larger else np.minimum(x.value, y.value)
    if is_constant(x) and is_constant(y):
        return constant(value)
    # of equal numbers the one that moves more is the larger one just after the step: |x| as max(x, -x) changes by |dx|
    x_wins = exceeds(x, y) if larger else exceeds(y, x)
    run.note_ties((np.real(x.value) == np.real(y.value)) & (np.asarray(x.change) != y.change))
    change = np.where(x_wins, x.change, y.change)
    if np.iscomplexobj(value):
        jumps = np.where(x_wins, x.value, y.value) != value
        change = run.unknown(jumps, change, "the larger of two complex numbers of equal real parts jumps")
    return Increment(value, change)


def _extreme_rule(*, larger: bool) -> Rule:
    def rule(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        found, count = extreme(run, x, y, larger=larger), count_directions(x, y)
        if not count:
            return found
        return Increment(found.value, np.broadcast_to(found.change, (count, *np.shape(found.value))))

    return of_one_rank(rule)


def _extreme_bound(*, larger: bool) -> Rule:
    def bound(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
        wins = x.value > y.value if larger else x.value < y.value
        value = np.maximum(x.value, y.value) if larger else np.minimum(x.value, y.value)
        # |max(x, y) - max(x', y')| ≤ max(|x - x'|, |y - y'|)
        either = np.maximum(x.error, y.error)
        return with_error(value, np.where(may_differ(x, y), either, np.where(wins, x.error, y.error)))

    return on_parts(bound)


MAXIMUM, MINIMUM = (_extreme_rule(larger=larger) for larger in (True, False))
MAXIMUM_BOUND, MINIMUM_BOUND = (_extreme_bound(larger=larger) for larger in (True, False))


def _clamp(maximum: Rule, minimum: Rule) -> Rule:
    return lambda run, equation, low, x, high: minimum(run, equation, maximum(run, equation, low, x), high)


def _find_clamped(equation: Any, numbers: Any) -> np.ndarray:
    low, x, high = numbers
    return np.greater(x, high).astype(int) - np.less(x, low)


# -- choices between cases --------------------------------------------------------------------------------------------


def _select(run: Any, equation: Any, which: Increment, *cases: Increment) -> Increment:
    index = np.asarray(which.value)
    value = _selected(index, [case.value for case in cases])
    count = count_directions(which, *cases)
    if not count:
        return constant(value)
    changes = [full_change(case, count) for case in cases]
    change = _selected(index, changes)
    if is_constant(which):
        return Increment(value, change)
    after = after_jump(which)  # the case after the step
    after = after.reshape(after.shape + (1,) * (np.ndim(value) - index.ndim))  # one number may choose for all entries
    if not is_floating(value):
        return jump_to(value, _selected(after, list(map(after_jump, cases))))
    # directions along which another case is chosen after the step take its change
    for i, case in enumerate(cases):
        flips_here = (after == i) & (index != i)
        same = np.asarray(case.value) == value  # the branches meet, as at a kink
        change = run.unknown(flips_here & ~same, np.where(flips_here, changes[i], change), BRANCHES_APART)
    return Increment(value, change)


def _selected(index: Any, cases: list[Any]) -> Any:
    value = cases[0]
    for i, case in enumerate(cases[1:], 1):
        value = np.where(index == i, case, value)
    return value


def _bound_of_select(run: Any, equation: Any, which: Increment, *cases: Increment) -> Increment:
    index = np.asarray(which.value)
    value = _selected(index, [case.value for case in cases])
    if all(map(is_constant, (which, *cases))):
        return constant(value)
    if kind(equation.dtypes[0]) != "f":  # a whole number that is off by one has no error bound of use
        raise Unbounded("a choice among exact numbers that rounding may turn")
    all_parts = list(map(parts, cases))
    # any case may be the exact one where rounding may turn the choice, as far away as it is, and off by its own error
    either = np.max([np.abs(p.value - value) + p.error for p in all_parts], axis=0)
    error = _selected(index, [p.error for p in all_parts])
    return with_error(value, np.where(parts(which).error.astype(bool), either, error))


# -- types ------------------------------------------------------------------------------------------------------------


def _convert(run: Any, equation: Any, x: Increment) -> Increment:
    """Another type: what rounds to fewer bits keeps its value, and what is cut off has no change."""
    new, value = kind(equation.params["new_dtype"]), np.asarray(x.value)
    if new == "c" and value.dtype.kind != "c":
        return Increment(value.astype(complex), 0.0 if is_constant(x) else x.change.astype(complex))
    if new == "f" and value.dtype.kind == "c":
        return linear(lambda lead, z: z.real, x)
    if new in "fc" and value.dtype.kind in "fc":
        return x
    if new in "fc":
        why = "a truth value that turns at this point is used as a number"
        return Increment(value.astype(float), run.unknown(x.change, 0.0, why))
    with np.errstate(all="ignore"):
        return _converted_to_exact(run, value, x, equation.params["new_dtype"])


def _converted_to_exact(run: Any, value: np.ndarray, x: Increment, dtype: Any) -> Increment:
    """Whole numbers or truth values."""
    if value.dtype.kind in "biu":
        new = value.astype(dtype)
        return constant(new) if is_constant(x) else jump_to(new, after_jump(x).astype(dtype))
    new = _saturated(value, dtype) if value.dtype.kind == "f" and kind(dtype) == "i" else value.astype(dtype)
    if value.dtype.kind != "f" or kind(dtype) != "i" or is_constant(x):
        return constant(new)
    # numbers are cut towards zero: 2 becomes 1 as soon as it shrinks
    side = np.sign(value)
    is_whole = (value != 0.0) & (value == np.trunc(value)) & (x.change != 0.0)
    run.note_ties(is_whole)
    return jump_to(new, new - np.where(is_whole & (np.sign(x.change) == -side), side, 0.0).astype(dtype))


def _saturated(value: np.ndarray, dtype: Any) -> np.ndarray:
    """Floating numbers as whole ones: as XLA has it, what lies beyond the type is its end, and NaN is 0.

    NumPy takes the lowest bits: 300.0 would become 44 in eight of them.
    """
    ends = np.iinfo(dtype)
    beyond = [value <= float(ends.min), value >= float(ends.max), np.isnan(value)]
    return np.select(beyond, [np.asarray(end, dtype) for end in (ends.min, ends.max, 0)], value.astype(dtype))


def _bound_of_convert(run: Any, equation: Any, x: Increment) -> Increment:
    old, new = kind(equation.input_dtypes[0]), kind(equation.params["new_dtype"])
    plain, own = _convert(run, equation, constant(x.value)), parts(x)
    if new == "f" and old == "f":
        if run.unit(equation.dtypes[0]) <= run.unit(equation.input_dtypes[0]):
            return x
        return run.rounded(equation, x.value, own.error, np.abs(x.value))
    if new == "f":
        exact = run.fits(equation, plain.value)
        return run.rounded(equation, plain.value, own.error.astype(float), np.where(exact, 0.0, np.abs(plain.value)))
    if old == "f":
        # a whole number is exact where both ends of the reach give the same; a truth value, where nothing is off
        jumps = np.trunc(own.value - 2.0 * own.error) != np.trunc(own.value + 2.0 * own.error)
        if np.any(jumps if new == "i" else own.error):
            raise Unbounded("a number is cast to another kind where rounding decides")
    elif np.any(own.error):
        if new != "b":
            raise Unbounded("a whole number that depends on a comparison which rounding may turn")
        return x
    return plain


def _bits(run: Any, equation: Any, x: Increment) -> Increment:
    """A number's bits, in its own type. As numbers they jump everywhere, and JAX takes them for constant, too."""
    return constant(lifted(bind(equation, [np.asarray(x.value).astype(equation.input_dtypes[0])])[0]))


GREATER = Choice(lambda equation, numbers: np.greater(*numbers), is_continuous=True, compares_pair=True)

PRIMITIVES: tuple[Primitive, ...] = (
    _comparison("ne", np.not_equal),
    _comparison("gt", np.greater),
    _comparison("ge", np.greater_equal),
    *with_aliases(_comparison("eq", np.equal), "eq_to"),
    *with_aliases(_comparison("lt", np.less), "lt_to"),
    *with_aliases(_comparison("le", np.less_equal), "le_to"),
    _connective("and", np.bitwise_and),
    _connective("or", np.bitwise_or),
    _connective("xor", np.bitwise_xor),
    _connective("not", np.invert),
    _shift("shift_left", np.left_shift),
    _shift("shift_right_arithmetic", np.right_shift),
    Primitive("max", MAXIMUM, MAXIMUM_BOUND, EXACT, GREATER),
    Primitive("min", MINIMUM, MINIMUM_BOUND, EXACT, GREATER),
    Primitive(
        "clamp", of_one_rank(_clamp(MAXIMUM, MINIMUM)), _clamp(MAXIMUM_BOUND, MINIMUM_BOUND), EXACT,
        Choice(_find_clamped, is_continuous=True),
    ),
    Primitive("select_n", _select, _bound_of_select, EXACT, takes_jumps=True),
    Primitive(
        "convert_element_type", _convert, _bound_of_convert, takes_jumps=True,
        choice=Choice(lambda equation, numbers: value_by(_convert, equation, numbers), needs_cast=True),
    ),
    Primitive("bitcast_convert_type", _bits, reads_bits=True),
)  # fmt: skip
