"""All rules of Taylor arithmetic together, and the derivative of a formula in it."""

import math
from typing import Any

import numpy as np
from scipy import special

from reference.arithmetics.tangent import Tangent
from reference.arithmetics.taylor.branches import BRANCHES
from reference.arithmetics.taylor.functions import FUNCTIONS, of_order, slope_of_log_ndtr, special_function
from reference.arithmetics.taylor.models import Taylor, add, multiply, negative, square
from reference.arithmetics.taylor.special import SERIES

Taylor.rules = {
    np.positive: lambda x: x,
    np.negative: negative,
    np.add: add,
    np.subtract: lambda x, y: add(x, negative(y)),
    np.multiply: multiply,
    np.square: square,
    **FUNCTIONS,
    **BRANCHES,
}


class Derivative(Tangent):
    """f and f' of `Taylor` parts, by rules that lose few digits: f' itself is enclosed, in whatever way it is computed.

    There are rules beyond those of `Tangent`, for more functions than other arithmetics have.
    """

    @classmethod
    def apply(cls, function: Any, *operands: Any) -> Any:
        result = super().apply(function, *operands)
        return cls(result.value, result.companion)


def derivative_of(f: Any, z: Taylor) -> tuple[Taylor, Taylor]:
    """f(z) and f'(z) on the cells of z, for a formula f over arrays."""
    result = f(Derivative(z, 1.0))
    if not isinstance(result, Tangent):  # a constant
        return Taylor.lifted(result), Taylor.lift(0.0)
    return Taylor.lifted(result.value), Taylor.lifted(result.slope)


def _chain(function, derivative):
    return lambda x: Derivative(function(x.value), derivative(x.value) * x.slope)


def _logaddexp(x, y):
    share = special.expit(x.value - y.value)
    other = special.expit(y.value - x.value)
    return Derivative(np.logaddexp(x.value, y.value), share * x.slope + other * y.slope)


def _logaddexp2(x, y):
    log_2 = math.log(2.0)
    pair = _logaddexp(*(Derivative(log_2 * each.value, log_2 * each.slope) for each in (x, y)))
    return Derivative(pair.value / log_2, pair.slope / log_2)


def _of_order(method):
    value, slope = (of_order(method, derivatives) for derivatives in (0, 1))

    def rule(order, x):
        each = Taylor.lifted(order.value), Taylor.lifted(x.value)
        return Derivative(value(*each), slope(*each) * x.slope)

    return rule


def _bell(x, scale):
    return scale * np.exp(-np.square(x))


_TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)

Derivative.rules = {
    **Tangent.rules,
    np.expm1: _chain(np.expm1, np.exp),
    np.tanh: _chain(np.tanh, lambda x: 4.0 * special.expit(2.0 * x) * special.expit(-2.0 * x)),
    special.expit: _chain(special.expit, lambda x: special.expit(x) * special.expit(-x)),
    special.log_expit: _chain(special.log_expit, lambda x: special.expit(-x)),
    np.logaddexp: _logaddexp,
    np.logaddexp2: _logaddexp2,
    special.erfc: _chain(special.erfc, lambda x: _bell(x, -_TWO_OVER_ROOT_PI)),
    special.ndtr: _chain(special.ndtr, lambda x: _bell(x * math.sqrt(0.5), 1.0 / math.sqrt(2.0 * math.pi))),
    np.exp2: _chain(np.exp2, lambda x: math.log(2.0) * np.exp2(x)),
    np.log2: _chain(np.log2, lambda x: 1.0 / (math.log(2.0) * x)),
    np.log10: _chain(np.log10, lambda x: 1.0 / (math.log(10.0) * x)),
    np.cbrt: _chain(np.cbrt, lambda x: 1.0 / (3.0 * np.square(np.cbrt(x)))),
    np.tan: _chain(np.tan, lambda x: 1.0 / np.square(np.cos(x))),
    np.arcsin: _chain(np.arcsin, lambda x: 1.0 / np.sqrt((1.0 - x) * (1.0 + x))),
    np.arccos: _chain(np.arccos, lambda x: -1.0 / np.sqrt((1.0 - x) * (1.0 + x))),
    np.arctanh: _chain(np.arctanh, lambda x: 1.0 / ((1.0 - x) * (1.0 + x))),
    **{f: _chain(f, special_function(f, derivatives=1)) for f in SERIES},
    special.log_ndtr: _chain(special.log_ndtr, slope_of_log_ndtr),
    special.jv: _of_order("bessel_j"),
    special.iv: _of_order("bessel_i"),
    np.heaviside: lambda x, y: Derivative(np.heaviside(x.value, y.value), 0.0),
    np.isfinite: lambda x: Derivative(np.isfinite(x.value), 0.0),
}
