"""Finite increments without cancellation.

A difference quotient loses digits because f(x + d) - f(x) is formed by subtracting two nearly equal numbers. Here the
increment is never formed that way: every operation hands on how much its result changes, as

    exp:     exp(x)·expm1(dx)            product: x·dy + dx·y + dx·dy
    tanh:    t(1 - a²)/(1 + a·t), t = tanh dx        log1p:   log1p(dx/(1 + x))

so an increment carries the relative accuracy of its own arithmetic, however small d is. No derivative occurs: these are
exact identities for finite d. Steps can be so small that truncation does not matter and kinks are rarely crossed.

Source: the idea is computational divided differencing, Reps and Rall, Higher-Order and Symbolic Computation 16, 2003.
"""

from typing import Any, Self

import numpy as np
from scipy.special import erf

from reference.arithmetics.companion import COMPARISONS, Companion


class Increment(Companion):
    """x and its increment dx: stands for x before and x + dx after."""

    @classmethod
    def lift(cls, constant: Any) -> Self:
        return cls(constant, 0.0)

    @property
    def change(self) -> Any:
        return self.companion

    @property
    def after(self) -> Any:
        return self.value + self.companion

    def sum(self, axis: int | None = None) -> "Increment":
        shape = np.broadcast_shapes(np.shape(self.value), np.shape(self.change))
        change = np.broadcast_to(self.change, shape)
        # NumPy adds up short rows slowly, such as the losses of ten units; a product with ones takes an eighth of it
        total = change @ np.ones(shape[-1]) if axis == -1 else np.sum(change, axis=axis)
        return Increment(np.sum(self.value, axis=axis), total)


def _is_constant(x):
    return np.ndim(x.change) == 0 and x.change == 0.0


def _multiply(x, y):
    value = x.value * y.value
    if _is_constant(x):
        return Increment(value, x.value * y.change)
    if _is_constant(y):
        return Increment(value, x.change * y.value)
    return Increment(value, x.value * y.change + x.change * y.after)


def _divide(x, y):
    quotient = x.value / y.value
    return Increment(quotient, (x.change - quotient * y.change) / y.after)


def _matmul(x, y):
    value = x.value @ y.value
    if _is_constant(x):
        return Increment(value, x.value @ y.change)
    if _is_constant(y):
        return Increment(value, x.change @ y.value)
    return Increment(value, x.value @ y.change + x.change @ y.after)


def _exp(x):
    e = np.exp(x.value)
    return Increment(e, e * np.expm1(x.change))


def _expm1(x):
    return Increment(np.expm1(x.value), np.exp(x.value) * np.expm1(x.change))


def _tanh(x):
    a, t = np.tanh(x.value), np.tanh(x.change)
    one_minus_square = 1.0 / np.square(np.cosh(x.value))  # 1 - a² would cancel where tanh saturates
    return Increment(a, t * one_minus_square / (1.0 + a * t))


def _sinh(x):
    # 2 sinh(d/2) cosh(x + d/2), without the rounding of that sum
    sinh, cosh, half = np.sinh(x.value), np.cosh(x.value), 0.5 * x.change
    return Increment(sinh, 2.0 * np.sinh(half) * (cosh * np.cosh(half) + sinh * np.sinh(half)))


def _cosh(x):
    sinh, cosh, half = np.sinh(x.value), np.cosh(x.value), 0.5 * x.change
    return Increment(cosh, 2.0 * np.sinh(half) * (sinh * np.cosh(half) + cosh * np.sinh(half)))


def _arcsinh(x):
    # log(x + √(1 + x²)), on the side where that adds up: the function is odd
    side = np.where(x.value < 0.0, -1.0, 1.0)
    before, after, change = side * x.value, side * x.after, side * x.change
    root, root_after = np.hypot(1.0, before), np.hypot(1.0, after)
    grown = change * (1.0 + (before + after) / (root + root_after)) / (before + root)
    return Increment(np.arcsinh(x.value), side * np.log1p(grown))


def _logaddexp(x, y):
    def growth(own, other):
        share = 1.0 / (1.0 + np.exp(other.value - own.value))  # of e^own in e^x + e^y
        return share * np.expm1(own.change)

    grown = growth(x, y) if _is_constant(y) else growth(x, y) + growth(y, x)
    return Increment(np.logaddexp(x.value, y.value), np.log1p(grown))


def _sin(x):
    half = 0.5 * x.change
    return Increment(np.sin(x.value), 2.0 * np.cos(x.value + half) * np.sin(half))


def _cos(x):
    half = 0.5 * x.change
    return Increment(np.cos(x.value), -2.0 * np.sin(x.value + half) * np.sin(half))


# 8-point Gauss-Legendre on [0, 1]: exact to rounding for the increments of at most 1/8 that are used here
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS


def _erf(x):
    bell = sum(w * np.exp(-np.square(x.value + t * x.change)) for t, w in zip(_NODES, _WEIGHTS))
    return Increment(erf(x.value), 2.0 / np.sqrt(np.pi) * bell * x.change)


def _square(x):
    return Increment(np.square(x.value), x.change * (2.0 * x.value + x.change))


def _sqrt(x):
    root = np.sqrt(x.value)
    return Increment(root, x.change / (np.sqrt(x.after) + root))


def _log(x):
    return Increment(np.log(x.value), np.log1p(x.change / x.value))


def _log1p(x):
    return Increment(np.log1p(x.value), np.log1p(x.change / (1.0 + x.value)))


def _arctan(x):
    return Increment(np.arctan(x.value), np.arctan(x.change / (1.0 + x.value * x.after)))


LARGEST_WHOLE_POWER = 16  # taken as products, which hold for x of any sign


def _power(x, y):
    whole = _is_constant(y) and np.ndim(y.value) == 0 and y.value == np.round(y.value)
    if not whole or abs(y.value) > LARGEST_WHOLE_POWER:
        power = np.power(x.value, y.value)
        return Increment(power, power * np.expm1((y * np.log(x)).change))
    product = Increment(np.ones_like(x.value), 0.0)
    for _ in range(abs(int(y.value))):
        product = product * x
    return product if y.value >= 0 else 1.0 / product


def _after(x):
    """x after the change, as a truth value."""
    return np.asarray(x.after, dtype=bool)


def _truth(before, after):
    """A truth value, whose change is that of the numbers 0 and 1."""
    return Increment(before, after.view(np.int8) - before.view(np.int8))


def _comparison(ufunc):
    return lambda x, y: _truth(ufunc(x.value, y.value), ufunc(x.after, y.after))


def _connective(ufunc):
    return lambda *operands: _truth(ufunc(*(x.value for x in operands)), ufunc(*map(_after, operands)))


def _sign(x):
    before = np.sign(x.value)
    return Increment(before, np.sign(x.after) - before)


def _where(condition, x, y):
    before, flips = condition.value, condition.change != 0
    value = np.where(before, x.value, y.value)
    crossing = np.where(before, y.after, x.after) - value
    return Increment(value, np.where(flips, crossing, np.where(before, x.change, y.change)))


Increment.rules = {
    np.positive: lambda x: x,
    np.negative: lambda x: Increment(-x.value, -x.change),
    np.add: lambda x, y: Increment(x.value + y.value, x.change + y.change),
    np.subtract: lambda x, y: Increment(x.value - y.value, x.change - y.change),
    np.multiply: _multiply,
    np.divide: _divide,
    np.reciprocal: lambda x: 1.0 / x,
    np.matmul: _matmul,
    np.power: _power,
    np.square: _square,
    np.sqrt: _sqrt,
    np.exp: _exp,
    np.expm1: _expm1,
    np.log: _log,
    np.log1p: _log1p,
    np.logaddexp: _logaddexp,
    np.sinh: _sinh,
    np.cosh: _cosh,
    np.arcsinh: _arcsinh,
    np.tanh: _tanh,
    np.arctan: _arctan,
    np.sin: _sin,
    np.cos: _cos,
    erf: _erf,
    **{f: _comparison(f) for f in COMPARISONS},
    **{f: _connective(f) for f in (np.bitwise_and, np.bitwise_or, np.invert)},
    **{f: _connective(f) for f in (np.logical_and, np.logical_or, np.logical_not)},
    np.sign: _sign,
    np.where: _where,
    np.absolute: lambda x: np.where(x < 0.0, -x, x),
    np.maximum: lambda x, y: np.where(x >= y, x, y),
    np.minimum: lambda x, y: np.where(x <= y, x, y),
}
