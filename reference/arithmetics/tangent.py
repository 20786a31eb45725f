"""Arithmetic that carries a derivative beside a value, as automatic differentiation evaluates it.

With `Rounded` parts it bounds the rounding errors of automatic differentiation.
"""

from typing import Any

import numpy as np
from scipy import special
from scipy.special import erf

from reference.arithmetics.companion import ADDITIVE, COMPARISONS, CONNECTIVES, NEGATIONS, Companion


class Tangent(Companion):
    """f and f' together, as automatic differentiation evaluates them; either part may be `Rounded`."""

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


def _stepwise(ufunc):
    # a Tangent too, so that `np.where` of it comes here, and not to the arithmetic of the values
    return lambda *operands: Tangent(ufunc(*(x.value for x in operands)), 0.0)


def _bessel(function, sign):
    """2 C_n' = C_{n-1} + sign·C_{n+1}."""

    def slope(order, x):
        return 0.5 * (function(order - 1, x) + sign * function(order + 1, x))

    return lambda order, x: Tangent(function(order.value, x.value), slope(order.value, x.value) * x.slope)


_ROOT_PI = np.sqrt(np.pi)

_SPECIAL = {
    special.erfi: lambda x, y: 2.0 / _ROOT_PI * np.exp(x * x),
    special.erfcx: lambda x, y: 2.0 * x * y - 2.0 / _ROOT_PI,
    special.dawsn: lambda x, y: 1.0 - 2.0 * x * y,
    special.log_ndtr: lambda x, y: np.exp(-0.5 * x * x - y) / np.sqrt(2.0 * np.pi),
    special.expi: lambda x, y: np.exp(x) / x,
    special.j0: lambda x, y: -special.j1(x),
    special.j1: lambda x, y: 0.5 * (special.j0(x) - special.jv(2, x)),
    special.i0: lambda x, y: special.i1(x),
    special.i0e: lambda x, y: special.i1e(x) - np.sign(x) * y,
    special.i1e: lambda x, y: 0.5 * (special.i0e(x) + special.ive(2, x)) - np.sign(x) * y,
    special.i1: lambda x, y: 0.5 * (special.i0(x) + special.iv(2, x)),
}
"""SciPy's functions: the derivative of each from x and y = function(x)."""

Tangent.rules = {
    **ADDITIVE,
    np.absolute: lambda x: Tangent(np.abs(x.value), np.sign(x.value) * x.slope),
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
    np.sinh: _chain(np.sinh, lambda x, y: np.cosh(x)),
    np.cosh: _chain(np.cosh, lambda x, y: np.sinh(x)),
    np.arcsinh: _chain(np.arcsinh, lambda x, y: 1.0 / np.sqrt(1.0 + x * x)),
    np.tanh: _chain(np.tanh, lambda x, y: 1.0 - y * y),
    np.arctan: _chain(np.arctan, lambda x, y: 1.0 / (1.0 + x * x)),
    np.sin: _chain(np.sin, lambda x, y: np.cos(x)),
    np.cos: _chain(np.cos, lambda x, y: -np.sin(x)),
    erf: _chain(erf, lambda x, y: 2.0 / np.sqrt(np.pi) * np.exp(-(x * x))),
    **{f: _chain(f, derivative) for f, derivative in _SPECIAL.items()},
    special.jv: _bessel(special.jv, -1.0),
    special.iv: _bessel(special.iv, 1.0),
    **{f: _stepwise(f) for f in (np.sign, *COMPARISONS, *CONNECTIVES, *NEGATIONS)},
    np.where: lambda c, x, y: Tangent(np.where(c.value, x.value, y.value), np.where(c.value, x.slope, y.slope)),
}
