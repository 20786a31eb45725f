"""How much derivatives add up to if nothing cancels: what automatic differentiation may round, in whatever order.

Reverse mode adds up one share of the derivative for each use of a variable, and rounds each sum; forward mode does so
in another order. A rounding is at most u times what the shares add up to without their signs, the *magnitude*, and
there are as many as there are sums.
"""

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from reference.arithmetics.companion import NoRule


class Magnitude(NDArrayOperatorsMixin):
    """The size of a derivative's shares, added up without signs; and how many sums there were on the way."""

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
