"""Finite increments without cancellation.

A difference quotient loses digits because f(x + d) - f(x) subtracts two nearly equal numbers. Here no increment is
formed that way: every operation computes the change of its result from the changes of its operands, as

    exp: exp(x)·expm1(dx)        log1p: log1p(dx/(1 + x))        product: x·dy + dx·y + dx·dy

so an increment carries the relative accuracy of its own arithmetic, however small d is. No derivative occurs: these are
exact identities for finite d, and `reference.arithmetics.elementary` has those of one number. Steps can be so small
that truncation does not matter and kinks are rarely crossed.

A number carries its value x and its increment dx, and stands for x and for x + dx. At a kink both are evaluated on
their own sides: |x| at x = 0 with dx = -h changes by +h, and with dx = h by h, so the slopes are -1 and 1.

The second half of the module moves in many directions at once, for programs of JAX. A value has its own shape; its
change has one axis before these, for the directions, or is the float 0.0 where nothing changes. The steps there are
`STEP` times a direction, so small that second-order terms vanish beside rounding, and only a kink at the point itself
is crossed.

Source: the idea is computational divided differencing, Reps and Rall, Higher-Order and Symbolic Computation 16, 2003.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.companion import ADDITIVE, COMPARISONS, CONNECTIVES, NEGATIONS, Companion
from reference.arithmetics.composed import COMPOSED
from reference.arithmetics.elementary import FUNCTIONS


class Increment(Companion):
    """x and its increment dx: stands for x before and x + dx after."""

    @property
    def change(self) -> Any:
        return self.companion

    @property
    def after(self) -> Any:
        """x + dx, rounded: a tiny dx is lost here, so this serves as a factor, or for its sign."""
        return self.value + self.companion

    def sum(self, axis: int | None = None) -> "Increment":
        shape = np.broadcast_shapes(np.shape(self.value), np.shape(self.change))
        change = self.change if np.shape(self.change) == shape else np.broadcast_to(self.change, shape)
        # NumPy adds up short rows slowly, such as the losses of ten units; a product with ones takes an eighth of it
        total = change @ np.ones(shape[-1]) if axis == -1 else np.sum(change, axis=axis)
        return Increment(np.sum(self.value, axis=axis), total)


def _elementary(function: Callable[[Any], Any], increment: Callable[[Any, Any, Any], Any]):
    def rule(x):
        y = function(x.value)
        return Increment(y, increment(x.value, x.change, y))

    return rule


def _is_still(x):
    """Whether this is a constant: its products are left out, which saves half of a product of matrices."""
    return np.ndim(x.change) == 0 and x.change == 0.0


def _product(multiply):
    def rule(x, y):
        value = multiply(x.value, y.value)
        if _is_still(x):
            return Increment(value, multiply(x.value, y.change))
        if _is_still(y):
            return Increment(value, multiply(x.change, y.value))
        # (x + dx)(y + dy) - xy, with two products instead of three
        return Increment(value, multiply(x.value, y.change) + multiply(x.change, y.after))

    return rule


def _divide(x, y):
    # q = x/y: (x + dx)/(y + dy) - q = (dx - q dy)/(y + dy)
    quotient = x.value / y.value
    return Increment(quotient, (x.change - quotient * y.change) / y.after)


LARGEST_WHOLE_POWER = 16
"""Powers up to this are products, which hold for x of any sign. Each costs a pass over the array, and rounds once more.

Larger ones are exp(y log x), which knows nothing of negative x.
"""


def _power(x, y):
    # x^y = exp(y log x), so its increment is x^y expm1(d(y log x))
    whole = _is_still(y) and np.ndim(y.value) == 0 and y.value == np.round(y.value)
    if not whole or abs(y.value) > LARGEST_WHOLE_POWER:
        power = np.power(x.value, y.value)
        return Increment(power, power * np.expm1((y * np.log(x)).change))
    product = Increment(np.ones_like(x.value), 0.0)
    for _ in range(abs(int(y.value))):
        product = product * x
    return product if y.value >= 0 else 1.0 / product


def _logaddexp(x, y):
    # log(e^x' + e^y') - log(e^x + e^y) = log1p of the growth of the sum, beside the sum itself
    def growth(own, other):
        share = 1.0 / (1.0 + np.exp(other.value - own.value))  # of e^own in e^x + e^y
        return share * np.expm1(own.change)

    grown = growth(x, y) if _is_still(y) else growth(x, y) + growth(y, x)
    return Increment(np.logaddexp(x.value, y.value), np.log1p(grown))


def _stepwise(old, new):
    """Truth values before and after, which change as the numbers 0 and 1 do: by -1, 0 or 1."""
    return Increment(old, new.view(np.int8) - old.view(np.int8))


def _comparison(ufunc):
    def rule(x, y):
        # where x and y are nearly equal, their difference is exact, but the sums with their changes are rounded
        apart = (x.value - y.value) + (x.change - y.change)
        after = np.where(np.isfinite(apart), ufunc(apart, 0.0), ufunc(x.after, y.after))
        return _stepwise(ufunc(x.value, y.value), after)

    return rule


def _logic(ufunc):
    def rule(*operands):
        after = (np.asarray(x.after, dtype=bool) for x in operands)
        return _stepwise(ufunc(*(x.value for x in operands)), ufunc(*after))

    return rule


def _where(condition, x, y):
    before, flips = condition.value, condition.change != 0
    # From the value in one branch to the value after in the other. The values are subtracted first: at a kink they are
    # equal, and adding the change to one of them would round it away.
    crossing = np.where(before, (y.value - x.value) + y.change, (x.value - y.value) + x.change)
    change = np.where(flips, crossing, np.where(before, x.change, y.change))
    return Increment(np.where(before, x.value, y.value), change)


Increment.rules = {
    **ADDITIVE,
    np.absolute: lambda x: np.where(x < 0.0, -x, x),
    np.multiply: _product(operator.mul),
    np.divide: _divide,
    np.reciprocal: lambda x: 1.0 / x,
    np.matmul: _product(operator.matmul),
    np.power: _power,
    np.logaddexp: _logaddexp,
    **{
        f.function: _elementary(f.function, f.increment)
        for f in FUNCTIONS
        if f.increment is not None and f.function not in COMPOSED
    },
    np.sign: lambda x: Increment(np.sign(x.value), np.sign(x.after) - np.sign(x.value)),
    **{f: _comparison(f) for f in COMPARISONS},
    **{f: _logic(f) for f in (*CONNECTIVES, *NEGATIONS)},
    np.where: _where,
}

# -- many directions at once ------------------------------------------------------------------------------------------

STEP = 2.0**-200
"""About 6e-61: small enough for arguments down to 1e-50, which it has to leave on their sides of a kink.

And large enough: a derivative of 1e-200 becomes a change of 6e-261, with all its digits. A step of 1e-200 would lose
derivatives below 1e-108.
"""


def constant(value: Any) -> Increment:
    """A value that no direction changes."""
    return Increment(value, 0.0)


def is_constant(x: Increment) -> bool:
    """Whether no direction changes this value."""
    return type(x.companion) is float


def count_directions(*operands: Increment) -> int:
    """The number of directions in which the operands change; 0 where they are all constant."""
    for x in operands:
        if type(x.companion) is not float:
            return x.companion.shape[0]
    return 0


def full_change(x: Increment, count: int) -> np.ndarray:
    """The change in each of `count` directions, zeros where x is constant."""
    if not is_constant(x):
        return x.change
    value = np.asarray(x.value)
    return np.zeros((count, *value.shape), bool if value.dtype == bool else value.dtype)


def unknown_where(unknown: Any, change: Any) -> Any:
    """A change with NaN, in both parts of a complex number, where it is unknown."""
    return np.where(unknown, complex(np.nan, np.nan) if np.iscomplexobj(change) else np.nan, change)


def linear(f: Callable[..., Any], *operands: Increment) -> Increment:
    """A linear map of the operands together, ``f(lead, *arrays)``, whose arrays have `lead` axes before their own."""
    value = f(0, *[np.asarray(x.value) for x in operands])
    count = count_directions(*operands)
    return Increment(value, f(1, *[full_change(x, count) for x in operands]) if count else 0.0)


def bilinear(f: Callable[..., Any], x: Increment, y: Increment) -> Increment:
    """A map linear in each of two operands, ``f(lead of x, lead of y, x, y)``.

    f(x + dx, y + dy) - f(x, y) is f(x, dy) + f(dx, y) + f(dx, dy), whose last term is some 1e-60 of the others. Where
    zeros meet zeros, as in the square of a vector that is zero, it is all that is left.
    """
    value, changes = f(0, 0, x.value, y.value), []
    if not is_constant(y):
        changes.append(f(0, 1, x.value, y.change))
    if not is_constant(x):
        changes.append(f(1, 0, x.change, y.value))
    change = sum(changes) if changes else 0.0
    if len(changes) == 2 and not (np.all(x.value) or np.all(y.value)):
        change = np.where(change == 0.0, f(1, 1, x.change, y.change), change)
    return Increment(value, change)


def aligned(x: Increment, rank: int) -> Increment:
    """x as an operand of an array of that rank: JAX lets a number meet an array.

    The axis of directions stays the first: a change of shape (c,) becomes (c, 1, 1), where NumPy would align c with
    the last axis of the array.
    """
    if type(x.companion) is float or np.ndim(x.value) == rank:
        return x
    missing = rank - np.ndim(x.value)
    return Increment(x.value, x.change.reshape(x.change.shape[:1] + (1,) * missing + x.change.shape[1:]))
