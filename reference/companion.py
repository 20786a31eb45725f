"""Arrays with a companion: a value and, beside it, what a formula does to something else on the way.

The companion may be a bound on the rounding error (`harness.running_error.Rounded`), a derivative
(`harness.running_error.Tangent`) or a finite increment (`reference.increments.Increment`). Because these arrays
answer NumPy's protocols, the very same formulas that compute a cost compute its companion: no activation has to state
anything twice.

A subclass lists its arithmetic in `rules`, from a ufunc to a function of lifted operands, and says in `lift` what the
companion of a constant is. What no rule covers raises `NoRule` with the function's name, so that the caller can say
which check is left out.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class NoRule(TypeError):
    """An arithmetic met a function that it has no rule for."""


class Companion(NDArrayOperatorsMixin):
    """A value and its companion, arrays that broadcast together."""

    rules: ClassVar[dict[Any, Callable[..., Any]]] = {}

    def __init__(self, value: Any, companion: Any):
        self.value = value
        self.companion = companion

    @classmethod
    def lift(cls, constant: Any) -> Self:
        """A constant with its companion."""
        raise NotImplementedError

    @classmethod
    def apply(cls, function: Any, *operands: Any) -> Any:
        """The rule for `function`, on operands that are lifted where they are constants."""
        if function not in cls.rules:
            raise NoRule(f"{cls.__name__} arithmetic has no rule for {function.__name__}")
        return cls.rules[function](*(x if isinstance(x, cls) else cls.lift(x) for x in operands))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> Any:
        if method != "__call__" or keywords:
            raise NoRule(f"{type(self).__name__} arithmetic knows {ufunc.__name__} as a plain call only")
        return self.apply(ufunc, *operands)

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        if function is np.sum:
            return operands[0].sum(**keywords)
        if function in (np.ones_like, np.zeros_like, np.shape):
            return function(operands[0].value)
        return self.apply(function, *operands, **keywords)

    def __bool__(self) -> bool:
        raise NoRule("a formula over arrays cannot branch on a value with `if`, `and` or `or`: use xp.where")

    def _map(self, function: Callable[[Any], Any]) -> Self:
        return type(self)(function(self.value), function(self.companion))

    def __getitem__(self, index: Any) -> Self:
        return self._map(lambda array: array[index])

    def reshape(self, *shape: int) -> Self:
        return self._map(lambda array: array.reshape(*shape))

    @property
    def T(self) -> Self:
        return self._map(lambda array: array.T)

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r}, {self.companion!r})"
