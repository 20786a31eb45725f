"""Formulas of elementary functions that keep all digits: values that NumPy lacks, slopes, and finite increments.

`reference.arithmetics.elementary` makes its records of them. Arguments may be arrays of any shape.

Sources: NIST DLMF, sections 4, 5 and 7.
"""

from typing import Any

import numpy as np
from scipy import special

LOG2 = float(np.log(2.0))
TWO_OVER_ROOT_PI = float(2.0 / np.sqrt(np.pi))


# -- values -----------------------------------------------------------------------------------------------------------
# of what NumPy lacks, or does not know for complex numbers


def rsqrt(x: Any) -> Any:
    return 1.0 / np.sqrt(x)


def cbrt(x: Any) -> Any:
    return np.cbrt(x) if np.isrealobj(x) else np.power(x, 1.0 / 3.0)


def logistic(x: Any) -> Any:
    return special.expit(x) if np.isrealobj(x) else 1.0 / (1.0 + np.exp(-x))


def one_minus_square(x: Any) -> Any:
    """1 - x², by which JAX differentiates tanh from 0.12 on."""
    return (1.0 + x) * (1.0 - x)


# -- slopes -----------------------------------------------------------------------------------------------------------
# from x, and not from y, wherever y has rounded: 1 - tanh(20)² is 0.0, and sech²(20) is 1.7e-17


def sech_squared(x: Any) -> Any:
    """1/cosh²(x), of which 1 - tanh² keeps no digit where tanh saturates."""
    if np.iscomplexobj(x):
        return 1.0 / np.square(np.cosh(x))
    tail = np.exp(-2.0 * np.abs(x))  # cosh would overflow
    return 4.0 * tail / np.square(1.0 + tail)


def bell(x: Any) -> Any:
    """2/√π exp(-x²), the slope of erf."""
    return TWO_OVER_ROOT_PI * np.exp(-(x * x))


def trigamma(x: Any) -> Any:
    """ψ'(x), by reflection where x is negative: ψ'(x) = π²/sin²(πx) - ψ'(1 - x)."""
    positive = np.where(x > 0.0, x, 1.0 - x)
    value = special.polygamma(1, positive)
    return np.where(x > 0.0, value, np.square(np.pi / np.sin(np.pi * x)) - value)


# -- increments -------------------------------------------------------------------------------------------------------
# f(x + d) - f(x) as a product with d, or with what vanishes with d: so nothing cancels, and tiny steps keep all digits


def log_of_one_plus(ratio: Any) -> Any:
    """log(1 + r), where a complex r is a step over z, of about 2^-200: then it is r.

    NumPy's own log1p of a complex number forms 1 + r, and rounds the real part away.
    """
    return np.log1p(ratio) if np.isrealobj(ratio) else ratio


def increment_of_rsqrt(x: Any, d: Any, y: Any) -> Any:
    """1/√b - 1/√a = (a - b)/(√a √b (√a + √b))."""
    root, root_after = np.sqrt(x), np.sqrt(x + d)
    return -d / (root * root_after * (root + root_after))


def increment_of_cbrt(x: Any, d: Any, y: Any) -> Any:
    """d = b³ - a³ over a² + ab + b², which is zero only where both are."""
    after = cbrt(x + d)
    size = y * y + y * after + after * after
    return np.where(size == 0.0, after - y, d / np.where(size == 0.0, 1.0, size))


def increment_of_tanh(x: Any, d: Any, y: Any) -> Any:
    """The addition theorem: tanh(x + d) = (y + t)/(1 + yt) with t = tanh(d)."""
    t = np.tanh(d)
    return t * sech_squared(x) / (1.0 + y * t)


def hyperbolic_increment(slope: Any) -> Any:
    """sinh: 2 sinh(d/2) cosh(x + d/2), without the rounding of that sum; cosh: the same with sinh.

    cosh(x + h) is cosh(x) cosh(h) + sinh(x) sinh(h).
    """

    def increment(x: Any, d: Any, y: Any) -> Any:
        half = 0.5 * d
        return 2.0 * np.sinh(half) * (slope(x) * np.cosh(half) + y * np.sinh(half))

    return increment


def increment_of_asinh(x: Any, d: Any, y: Any) -> Any:
    """By log(x + √(1 + x²)), on the side where that adds up: the function is odd.

    With r = √(1 + a²) and s = √(1 + b²): (b + s)/(a + r) = 1 + (b - a)(1 + (a + b)/(r + s))/(a + r).
    """
    side = np.where(x < 0.0, -1.0, 1.0)
    before, after, change = side * x, side * (x + d), side * d
    root, root_after = np.hypot(1.0, before), np.hypot(1.0, after)
    return side * np.log1p(change * (1.0 + (before + after) / (root + root_after)) / (before + root))


def increment_of_asin(x: Any, d: Any, y: Any) -> Any:
    """2 arctan((sin β - sin α)/(cos α + cos β)) is β - α; at an end, both cosines vanish with d."""
    # 1 - (x + d) as (1 - x) - d: the sum x + d would round a tiny d away
    cosine, cosine_after = np.sqrt((1.0 - x) * (1.0 + x)), np.sqrt(((1.0 - x) - d) * ((1.0 + x) + d))
    total = cosine + cosine_after
    return 2.0 * np.arctan(np.where(d == 0.0, 0.0, d / np.where(d == 0.0, 1.0, total)))


def increment_of_acosh(x: Any, d: Any, y: Any) -> Any:
    """2 artanh((cosh β - cosh α)/(sinh α + sinh β)) is β - α; at 1, both sinh vanish with d."""
    sinh, sinh_after = np.sqrt(x - 1.0) * np.sqrt(x + 1.0), np.sqrt((x - 1.0) + d) * np.sqrt((x + 1.0) + d)
    total = sinh + sinh_after
    return 2.0 * np.arctanh(np.where(d == 0.0, 0.0, d / np.where(d == 0.0, 1.0, total)))


# 8-point Gauss-Legendre on [0, 1]: exact to rounding for the increments of at most 1/8 that are used here
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS


def increment_of_erf(x: Any, d: Any, y: Any) -> Any:
    """The integral of the slope over the step: 2/√π d ∫ exp(-(x + td)²) dt for t from 0 to 1."""
    bell = sum(w * np.exp(-np.square(x + t * d)) for t, w in zip(_NODES, _WEIGHTS))
    return TWO_OVER_ROOT_PI * bell * d
