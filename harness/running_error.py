"""Arithmetic that carries a bound on its own rounding error.

`Rounded` is running error analysis: each operation hands on what its operands' errors can do to the result, and adds
what its own rounding can do. `Tangent` carries a derivative beside a value, as automatic differentiation evaluates it;
with `Rounded` parts it bounds the rounding errors of that.

A comparison of two numbers that are closer than their errors is undecided, and `where` then allows for either branch:
so an activation's kink shows up by itself as an error as large as the jump.

Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 3.1 (γ_n) and 3.3 (running errors).
"""

from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import erf

from harness.tolerances import ELEMENTARY, FREE_ROUNDINGS, LOG1P_BELOW_ZERO, UNIT_ROUNDOFF
from reference.companion import Companion


class Rounded(Companion):
    """A computed value and a bound on |computed - exact|.

    A rule returns the value, the error that the operands hand on, and what the unit roundoff is to be multiplied with
    for the error of the operation itself: 0 where the operation is exact.
    """

    unit: ClassVar[float] = UNIT_ROUNDOFF["float64"]
    underflow: ClassVar[float] = float(np.finfo(np.float64).tiny)  # not the subnormal: XLA may flush to zero

    @classmethod
    def lift(cls, constant: Any) -> Self:
        return cls(constant, 0.0)

    @classmethod
    def apply(cls, function: Any, *operands: Any) -> Any:
        value, inherited, weight = super().apply(function, *operands)
        if isinstance(weight, int):  # not a computed weight that happens to be zero: that result may have underflowed
            return cls(value, inherited)
        return cls(value, inherited + cls.unit * weight + cls.underflow)

    @property
    def error(self) -> Any:
        return self.companion

    def sum(self, axis: int | None = None) -> Self:
        count = np.size(self.value) if axis is None else np.shape(self.value)[axis]
        error = np.sum(np.broadcast_to(self.error, np.shape(self.value)), axis=axis)
        return type(self)(
            np.sum(self.value, axis=axis), error + _gamma(count, self.unit) * np.sum(np.abs(self.value), axis=axis)
        )

    def astype(self, dtype: Any) -> Self:
        return self._map(lambda array: np.asarray(array).astype(float))


class Rounded32(Rounded):
    """The same for float32, where storing a constant rounds it too, unless it is exact there, as small integers are."""

    unit = UNIT_ROUNDOFF["float32"]
    underflow = float(np.finfo(np.float32).tiny)

    @classmethod
    def lift(cls, constant: Any) -> Self:
        exact = np.asarray(constant, dtype=np.float64)  # a Python float would be compared in float32
        return cls(constant, cls.unit * np.abs(exact) * (exact.astype(np.float32) != exact))


def _gamma(n: int, unit: float) -> float:
    """γ_n = nu/(1 - nu), with the roundings that an implementation is free to add."""
    nu = (n + FREE_ROUNDINGS) * unit
    return nu / (1.0 - nu)


def _nearest_zero(x):
    """The smallest |exact| that the error allows."""
    return np.maximum(np.abs(x.value) - x.error, 0.0)


def _multiply(x, y):
    value = x.value * y.value
    inherited = np.abs(x.value) * y.error + x.error * (np.abs(y.value) + y.error)
    return value, inherited, np.abs(value)


def _divide(x, y):
    value = x.value / y.value
    return value, (x.error + np.abs(value) * y.error) / _nearest_zero(y), np.abs(value)


def _matmul(x, y):
    size_x, size_y = np.abs(x.value), np.abs(y.value)
    inherited = 0.0
    if np.ndim(y.error):
        inherited = inherited + size_x @ y.error
    if np.ndim(x.error):
        inherited = inherited + x.error @ (size_y + y.error)
    terms = x.value.shape[-1] + FREE_ROUNDINGS
    return x.value @ y.value, inherited, 1.01 * terms * (size_x @ size_y)  # 1.01: γ_n over nu, while nu < 1/101


def _elementary(function, steepest):
    """A rule from the function and a bound on |f'| over [value - error, value + error]."""

    def rule(x):
        value = function(x.value)
        return value, steepest(x) * x.error, ELEMENTARY * np.abs(value)

    return rule


def _log1p(x):
    value = np.log1p(x.value)
    steepest = 1.0 / np.maximum(1.0 + x.value - x.error, 0.0)
    return value, steepest * x.error, np.where(x.value < 0.0, LOG1P_BELOW_ZERO, ELEMENTARY) * np.abs(value)


def _logaddexp(x, y):
    value, larger = np.logaddexp(x.value, y.value), np.maximum(x.value, y.value)
    added = value - larger  # log1p(exp(-|x - y|)): where it cancels `larger`, both keep the errors of their own size
    return value, np.maximum(x.error, y.error), ELEMENTARY * (np.abs(larger) + np.abs(added))


def _power(x, y):
    value = np.power(x.value, y.value)
    low, high = _nearest_zero(x), np.abs(x.value) + x.error

    def largest(exponent):
        return np.maximum(np.power(low, exponent), np.power(high, exponent))

    inherited = np.abs(y.value) * largest(y.value - 1.0) * x.error
    if np.any(y.error):
        power = np.maximum(largest(y.value - y.error), largest(y.value + y.error))
        inherited = inherited + np.maximum(np.abs(np.log(low)), np.abs(np.log(high))) * power * y.error
    return value, inherited, ELEMENTARY * (1.0 + np.abs(y.value)) * np.abs(value)


def _comparison(ufunc):
    def compare(x, y):
        undecided = np.abs(x.value - y.value) <= x.error + y.error
        return ufunc(x.value, y.value), undecided * 1.0, 0

    return compare


def _where(condition, x, y):
    chosen = np.where(condition.value, x.error, y.error)
    either = x.error + y.error + np.abs(x.value - y.value)
    return np.where(condition.value, x.value, y.value), np.where(condition.error >= 0.5, either, chosen), 0


def _sum_or_difference(ufunc):
    def rule(x, y):
        value = ufunc(x.value, y.value)
        return value, x.error + y.error, np.abs(value)

    return rule


Rounded.rules = {
    np.positive: lambda x: (x.value, x.error, 0),
    np.negative: lambda x: (-x.value, x.error, 0),
    np.absolute: lambda x: (np.abs(x.value), x.error, 0),
    np.sign: lambda x: (np.sign(x.value), 2.0 * (np.abs(x.value) <= x.error), 0),
    np.add: _sum_or_difference(np.add),
    np.subtract: _sum_or_difference(np.subtract),
    np.multiply: _multiply,
    np.divide: _divide,
    np.reciprocal: lambda x: _divide(Rounded.lift(1.0), x),
    np.matmul: _matmul,
    np.power: _power,
    np.square: lambda x: _multiply(x, x),
    np.sqrt: _elementary(np.sqrt, lambda x: 0.5 / np.sqrt(_nearest_zero(x))),
    np.exp: _elementary(np.exp, lambda x: np.exp(x.value + x.error)),
    np.expm1: _elementary(np.expm1, lambda x: np.exp(x.value + x.error)),
    np.log: _elementary(np.log, lambda x: 1.0 / _nearest_zero(x)),
    np.log1p: _log1p,
    np.logaddexp: _logaddexp,
    np.tanh: _elementary(np.tanh, lambda x: 1.0 / np.square(np.cosh(_nearest_zero(x)))),
    np.arctan: _elementary(np.arctan, lambda x: 1.0 / (1.0 + np.square(_nearest_zero(x)))),
    np.sin: _elementary(np.sin, lambda x: np.minimum(np.abs(np.cos(x.value)) + x.error, 1.0)),
    np.cos: _elementary(np.cos, lambda x: np.minimum(np.abs(np.sin(x.value)) + x.error, 1.0)),
    erf: _elementary(erf, lambda x: 2.0 / np.sqrt(np.pi) * np.exp(-np.square(_nearest_zero(x)))),
    np.less: _comparison(np.less),
    np.less_equal: _comparison(np.less_equal),
    np.greater: _comparison(np.greater),
    np.greater_equal: _comparison(np.greater_equal),
    np.where: _where,
    np.maximum: lambda x, y: (np.maximum(x.value, y.value), np.maximum(x.error, y.error), 0),
    np.minimum: lambda x, y: (np.minimum(x.value, y.value), np.maximum(x.error, y.error), 0),
    np.clip: lambda x, low, high: (
        np.clip(x.value, low.value, high.value),
        np.maximum(x.error, np.maximum(low.error, high.error)),
        0,
    ),
}


class Tangent(Companion):
    """f and f' together, as automatic differentiation evaluates them; either part may be `Rounded`."""

    @classmethod
    def lift(cls, constant: Any) -> Self:
        return cls(constant, 0.0)

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
    total = np.logaddexp(x.value, y.value)
    return Tangent(total, np.exp(x.value - total) * x.slope + np.exp(y.value - total) * y.slope)


def _power_tangent(x, y):
    power = np.power(x.value, y.value)
    slope = y.value * np.power(x.value, y.value - 1.0) * x.slope
    if isinstance(y.slope, float) and y.slope == 0.0:  # a constant exponent, as it mostly is: x may be negative
        return Tangent(power, slope)
    return Tangent(power, slope + np.log(x.value) * power * y.slope)


def _comparison_tangent(ufunc):
    # a Tangent too, so that `np.where` of it comes here, and not to the arithmetic of the values
    return lambda x, y: Tangent(ufunc(x.value, y.value), 0.0)


Tangent.rules = {
    np.positive: lambda x: x,
    np.negative: lambda x: Tangent(-x.value, -x.slope),
    np.absolute: lambda x: Tangent(np.abs(x.value), np.sign(x.value) * x.slope),
    np.add: lambda x, y: Tangent(x.value + y.value, x.slope + y.slope),
    np.subtract: lambda x, y: Tangent(x.value - y.value, x.slope - y.slope),
    np.multiply: lambda x, y: Tangent(x.value * y.value, x.slope * y.value + x.value * y.slope),
    np.divide: lambda x, y: Tangent(x.value / y.value, x.slope / y.value - x.value * y.slope / np.square(y.value)),
    np.reciprocal: _chain(np.reciprocal, lambda x, y: -(y * y)),
    np.power: _power_tangent,
    np.square: _chain(np.square, lambda x, y: 2.0 * x),
    np.sqrt: _chain(np.sqrt, lambda x, y: 0.5 / y),
    np.exp: _chain(np.exp, lambda x, y: y),
    np.expm1: _chain(np.expm1, lambda x, y: y + 1.0),
    np.log: _chain(np.log, lambda x, y: 1.0 / x),
    np.log1p: _chain(np.log1p, lambda x, y: 1.0 / (1.0 + x)),
    np.logaddexp: _logaddexp_tangent,
    np.tanh: _chain(np.tanh, lambda x, y: 1.0 - y * y),
    np.arctan: _chain(np.arctan, lambda x, y: 1.0 / (1.0 + x * x)),
    np.sin: _chain(np.sin, lambda x, y: np.cos(x)),
    np.cos: _chain(np.cos, lambda x, y: -np.sin(x)),
    erf: _chain(erf, lambda x, y: 2.0 / np.sqrt(np.pi) * np.exp(-(x * x))),
    np.less: _comparison_tangent(np.less),
    np.less_equal: _comparison_tangent(np.less_equal),
    np.greater: _comparison_tangent(np.greater),
    np.greater_equal: _comparison_tangent(np.greater_equal),
    np.where: lambda c, x, y: Tangent(np.where(c.value, x.value, y.value), np.where(c.value, x.slope, y.slope)),
    np.maximum: lambda x, y: np.where(x >= y, x, y),
    np.minimum: lambda x, y: np.where(x <= y, x, y),
    np.clip: lambda x, low, high: np.minimum(np.maximum(x, low), high),
}
