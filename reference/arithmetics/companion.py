"""Arrays with a companion: a value and, beside it, a number that a formula carries along.

The companion may be a bound on the rounding error (`reference.arithmetics.rounded.Rounded`), a derivative
(`reference.arithmetics.tangent.Tangent`) or a finite increment (`reference.arithmetics.increments.Increment`). These
arrays implement NumPy's protocols, so that the formula of a cost computes its companion as well: `np.exp(x)` of an
`Increment` calls the rule for `np.exp`. No activation states anything twice.

A subclass lists its arithmetic in `rules`, from a function of NumPy or SciPy to a rule, such as ``np.negative: lambda
x: type(x)(-x.value, -x.companion)``. Operands reach a rule *lifted*: a plain number has the companion 0.0. A function
without a rule raises `NoRule` with its name, so that the caller can report which check is left out.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from reference.arithmetics.composed import COMPOSED
from reference.measured import NotApplicable
from reference.user_input import message_of

FORMULA_ERRORS = (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError)
"""Exceptions of formulas in an arithmetic that they were not written for."""

COMPARISONS = (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)
CONNECTIVES = (np.bitwise_and, np.bitwise_or, np.logical_and, np.logical_or)
NEGATIONS = (np.invert, np.logical_not)


class NoRule(TypeError):
    """An arithmetic met a function that it has no rule for."""


class NoAttribute(NoRule, AttributeError):
    """An array of an arithmetic lacks an attribute that NumPy's arrays have; `hasattr` is false for it."""


def first_line(reason: BaseException) -> str:
    """The first line of an exception's message, or its type where that has no words; never empty."""
    if type(reason).__name__ == "TracerArrayConversionError":  # of JAX, whose words are about JAX
        return "it computes with NumPy itself, as in np.tanh(z) where xp.tanh(z) is meant"
    lines = message_of(reason).strip().splitlines() or [""]
    return lines[0].rstrip(".: ") or type(reason).__name__


@contextmanager
def refusal_of(activation: str, numbers: str) -> Iterator[None]:
    """Raise a formula's exceptions over `numbers` as `NotApplicable`, with the activation's name."""
    try:
        yield
    except NotApplicable as reason:
        raise NotApplicable(f"{activation}: {reason}") from None
    except FORMULA_ERRORS as reason:
        raise NotApplicable(f"{activation}: its formula does not take {numbers} ({first_line(reason)})") from None


SAME = 1e-9
"""Evaluations of one formula agree to this share of their value; those that do not took different branches.

Rounding leaves some 1e-15, and the branches of a formula mostly differ by far more than 1e-9.
"""


def require_same(value: Any, expected: Any) -> None:
    """Raise `NoRule` where a formula's value is not the expected one.

    A formula that tells arrays with a companion from plain ones may have taken another branch.
    """
    if not np.allclose(value, expected, rtol=SAME, atol=SAME, equal_nan=True):
        raise NoRule("its result is not NumPy's, as of a branch that is not taken by xp.where")


def clip(x: Any, a_min: Any = None, a_max: Any = None, **keywords: Any) -> Any:
    """As NumPy defines it, under either pair of names; a limit of None is none."""
    low, high = keywords.get("min", a_min), keywords.get("max", a_max)
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


_KEYWORDS = {np.sum: {"axis"}, np.clip: {"a_min", "a_max", "min", "max"}}
"""The keywords that functions are known with. Any other could change the result, as `where=` and `out=` do."""


class Companion(NDArrayOperatorsMixin):
    """A value and its companion, arrays that broadcast together."""

    rules: ClassVar[dict[Any, Callable[..., Any]]] = {}

    def __init__(self, value: Any, companion: Any):
        self.value = value
        self.companion = companion

    @classmethod
    def lift(cls, constant: Any) -> Self:
        """A constant with its companion: 0.0 unless a subclass defines another."""
        return cls(constant, 0.0)

    @classmethod
    def constant(cls, function: Any, x: Any) -> Self:
        """A constant that a formula passes to a function, which a subclass may take for inexact, as 0.1 is."""
        return cls.lift(x)

    @classmethod
    def lifted(cls, x: Any) -> Self:
        """A constant with its companion; what has one stays what it is."""
        return x if isinstance(x, cls) else cls.lift(x)

    @classmethod
    def apply(cls, function: Any, *operands: Any) -> Any:
        """The rule for `function`, on operands that are lifted where they are constants."""
        rule = cls.rules.get(function)
        if rule is None:
            raise NoRule(f"{cls.__name__} arithmetic has no rule for {function.__name__}")
        return rule(*[x if isinstance(x, cls) else cls.constant(function, x) for x in operands])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> Any:
        if method != "__call__" or keywords:
            raise NoRule(f"{type(self).__name__} arithmetic knows {ufunc.__name__} as a plain call only")
        # arcsin is arctan(x/√(1 - x²)) where an arithmetic has no sharper rule of its own
        if ufunc not in self.rules and ufunc in COMPOSED:
            return COMPOSED[ufunc](*operands)
        return self.apply(ufunc, *operands)

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        if keywords and (unknown := keywords.keys() - _KEYWORDS.get(function, set())):
            raise NoRule(f"{type(self).__name__} arithmetic has no rule for {function.__name__} with {min(unknown)}")
        if function is np.sum:
            return operands[0].sum(*operands[1:], **keywords)
        if function is np.clip:
            return clip(*operands, **keywords)
        if function in (np.ones_like, np.zeros_like, np.shape):
            return function(operands[0].value)
        if function not in self.rules and function in COMPOSED:
            return COMPOSED[function](*operands)
        return self.apply(function, *operands)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        # otherwise NumPy makes an array of objects, and operations nest arrays within arrays without end
        name = type(self).__name__
        raise NoRule(
            f"{name} arithmetic makes no plain arrays of float, as dtype=float, math and much of SciPy ask for"
        )

    def __getattr__(self, name: str) -> Any:  # for what is not found elsewhere
        raise NoAttribute(f"{type(self).__name__} arithmetic has no {name}")

    def __bool__(self) -> bool:
        # `if z > 0` takes one branch for a whole array, and hides from the companion that there is another
        raise NoRule("a formula over arrays cannot branch on a value with `if`, `and` or `or`: use xp.where")

    def _map(self, function: Callable[[Any], Any]) -> Self:
        """A function that moves entries, of both parts; but a companion that is a single number fits any shape."""
        single = isinstance(self.companion, float)
        return type(self)(function(self.value), self.companion if single else function(self.companion))

    def __getitem__(self, index: Any) -> Self:
        return self._map(lambda array: array[index])

    def reshape(self, *shape: int) -> Self:
        return self._map(lambda array: array.reshape(*shape))

    def astype(self, dtype: Any) -> Self:
        """Truth values as numbers, as formulas cast them; a cast to integers would need a rule."""
        if np.dtype(dtype) != np.float64:
            raise NoRule(f"{type(self).__name__} arithmetic casts to float only")
        return type(self)(self.value.astype(float), self.companion)

    @property
    def T(self) -> Self:
        return self._map(lambda array: array.T)

    @property
    def mT(self) -> Self:
        return self._map(lambda array: array.mT)

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)


def _extreme(wins: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The larger or the smaller of two numbers, by whether the first wins; NaN of NaN, whichever operand that is."""

    def rule(x: Any, y: Any) -> Any:
        plain = x
        while isinstance(plain, Companion):  # a Tangent may hold a Rounded
            plain = plain.value
        # through `where`, whose rule knows what a comparison close to a tie means for the companion
        return np.where(wins(x, y) | np.isnan(plain), x, y)

    return rule


ADDITIVE: dict[Any, Callable[..., Any]] = {
    np.positive: lambda x: x,
    np.negative: lambda x: type(x)(-x.value, -x.companion),
    np.add: lambda x, y: type(x)(x.value + y.value, x.companion + y.companion),
    np.subtract: lambda x, y: type(x)(x.value - y.value, x.companion - y.companion),
    np.maximum: _extreme(lambda x, y: x >= y),
    np.minimum: _extreme(lambda x, y: x <= y),
}
"""Rules for companions that add up as values do and follow the branch: derivatives and increments.

Error bounds are no such companions: they add up in a difference, too.
"""
