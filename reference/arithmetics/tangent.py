"""Arithmetic that carries a derivative beside a value, as automatic differentiation evaluates it.

`Tangent` with `Rounded` parts bounds the rounding errors of automatic differentiation, operation by operation. With
`Magnitude` slopes it bounds those of its sums. Reverse mode adds up one share of the derivative for each use of a
variable, and rounds each sum; forward mode adds in another order. A rounding is at most u times the sum of the shares
without their signs, the *magnitude*, and there are as many roundings as sums.
"""

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from reference.arithmetics.companion import ADDITIVE, COMPARISONS, CONNECTIVES, NEGATIONS, Companion, NoRule
from reference.arithmetics.composed import COMPOSED
from reference.arithmetics.elementary import FUNCTIONS


class Tangent(Companion):
    """f and f' together, as automatic differentiation evaluates them; either part may be `Rounded`.

    At a kink f' is that of the branch which the value takes. Nothing says that there is another.
    """

    @property
    def slope(self) -> Any:
        return self.companion


def _chain(function, derivative):
    """A rule from the function and its derivative, given x and y = function(x)."""

    def rule(x):
        y = function(x.value)
        return Tangent(y, derivative(x.value, y) * x.slope)

    return rule


def _logaddexp_tangent(x, y):
    # the slopes e^x/(e^x + e^y), as differentiating log Σ exp gives them
    total = np.logaddexp(x.value, y.value)
    return Tangent(total, np.exp(x.value - total) * x.slope + np.exp(y.value - total) * y.slope)


def _power_tangent(x, y):
    power = np.power(x.value, y.value)
    slope = y.value * np.power(x.value, y.value - 1.0) * x.slope
    if isinstance(y.slope, float) and y.slope == 0.0:  # with a constant exponent, x may be negative
        return Tangent(power, slope)
    return Tangent(power, slope + np.log(x.value) * power * y.slope)


def _stepwise(ufunc):
    # a Tangent, so that `np.where` with this condition uses the rule below and not the arithmetic of the values
    return lambda *operands: Tangent(ufunc(*(x.value for x in operands)), 0.0)


Tangent.rules = {
    **ADDITIVE,
    np.absolute: lambda x: Tangent(np.abs(x.value), np.sign(x.value) * x.slope),
    np.multiply: lambda x, y: Tangent(x.value * y.value, x.slope * y.value + x.value * y.slope),
    np.divide: lambda x, y: Tangent(x.value / y.value, x.slope / y.value - x.value * y.slope / np.square(y.value)),
    np.reciprocal: _chain(np.reciprocal, lambda x, y: -(y * y)),
    np.power: _power_tangent,
    np.logaddexp: _logaddexp_tangent,
    **{f.function: _chain(f.function, f.tangent or f.slope) for f in FUNCTIONS if f.function not in COMPOSED},
    **{f: _stepwise(f) for f in (np.sign, *COMPARISONS, *CONNECTIVES, *NEGATIONS)},
    np.where: lambda c, x, y: Tangent(np.where(c.value, x.value, y.value), np.where(c.value, x.slope, y.slope)),
}


class Magnitude(NDArrayOperatorsMixin):
    """The shares of a derivative added up without signs, and the number of sums on the way.

    The derivative of z·z - z·z is 0, made of four shares of size |z|: each of three sums may round by u · 4|z|.
    """

    def __init__(self, size: Any, sums: int = 0):
        self.size, self.sums = size, sums

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> "Magnitude":
        if method != "__call__" or keywords or ufunc not in _RULES:
            raise NoRule(f"Magnitude arithmetic has no rule for {ufunc.__name__}")
        return self._made_of(operands, _RULES[ufunc](*map(_size, operands)), ufunc in (np.add, np.subtract))

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> "Magnitude":
        if function is not np.where or keywords:
            raise NoRule(f"Magnitude arithmetic has no rule for {function.__name__}")
        condition, *choices = operands
        return self._made_of(choices, np.where(condition, *map(_size, choices)), is_sum=False)

    @staticmethod
    def _made_of(operands: Any, size: Any, is_sum: bool) -> "Magnitude":
        return Magnitude(size, sum(x.sums for x in operands if isinstance(x, Magnitude)) + is_sum)


def _size(x: Any) -> Any:
    return x.size if isinstance(x, Magnitude) else np.abs(x)


_RULES: dict[Any, Any] = {
    **dict.fromkeys((np.negative, np.positive, np.absolute), lambda x: x),
    **dict.fromkeys((np.add, np.subtract), np.add),
    np.multiply: np.multiply,
    np.divide: np.divide,
}
