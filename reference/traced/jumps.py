"""Whole numbers and truth values that change in a step: they jump, from what they are to what they are after it.

The change of a whole number is the difference, and that of a truth value says whether it flips: x <= 1 flips at x = 1
as x grows. Most rules know such operands as constants alone. So each direction that makes one jump is run by itself,
with other constants. A result of floating numbers that is another one then has jumped, too, and has no slope.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment, constant, count_directions, full_change, is_constant
from reference.traced.equations import is_floating

BRANCHES_APART = "a branch changes at this point, where the value jumps or slopes have no limit"


def has_jump(x: Increment) -> bool:
    """Whether a value is a whole number or a truth value that changes in the step."""
    return not is_constant(x) and np.asarray(x.value).dtype.kind in "biu"


def moved_by(value: Any, jump: Any) -> Any:
    """A whole number or a truth value after a jump."""
    return value ^ jump if np.asarray(value).dtype == bool else value + jump


def after_jump(x: Increment) -> Any:
    """What a whole number or a truth value is after the step, in each direction; itself where it is constant."""
    return x.value if is_constant(x) else moved_by(np.asarray(x.value), x.change)


def jump_to(value: Any, after: Any) -> Increment:
    """A whole number or a truth value that is `after` in each direction; constant where nothing jumps."""
    change = after ^ value if np.asarray(value).dtype == bool else after - value
    return Increment(value, change) if np.any(change) else constant(value)


def crossing(run: Any, here: Increment, there: Increment, crosses: np.ndarray) -> Increment:
    """One result in most directions, and another in those that cross over to it: `crosses` is a (directions,) mask."""
    count = len(crosses)
    mask = crosses.reshape(count, *[1] * np.ndim(here.value))
    if not is_floating(here.value):
        return jump_to(here.value, np.where(mask, after_jump(there), after_jump(here)))
    is_apart = np.asarray(here.value) != there.value
    crossed = run.unknown(is_apart, full_change(there, count), BRANCHES_APART)
    return Increment(here.value, np.where(mask, crossed, full_change(here, count)))


def direction_by_direction(
    run: Any, rule: Callable[..., Any], equation: Any, operands: Sequence[Increment]
) -> list[Increment]:
    """The outputs of a rule that knows whole numbers and truth values as constants alone."""
    count, jumping = count_directions(*operands), [x for x in operands if has_jump(x)]
    jumps = np.any([x.change.reshape(count, -1).any(axis=1) for x in jumping], axis=0)

    def outputs(*operands: Increment) -> list[Increment]:
        found = rule(run, equation, *operands)
        return [found] if isinstance(found, Increment) else list(found)

    here = outputs(*[constant(x.value) if has_jump(x) else x for x in operands])
    for k in np.flatnonzero(jumps).tolist():
        there = outputs(*[_along(x, k) for x in operands])
        here = [crossing(run, x, y, np.arange(count) == k) for x, y in zip(here, there)]
    return here


def _along(x: Increment, k: int) -> Increment:
    """An operand in one direction: after its jump, if it is one that jumps."""
    if is_constant(x):
        return x
    return constant(moved_by(x.value, x.change[k])) if has_jump(x) else Increment(x.value, x.change[k : k + 1])
