"""Taylor expansions of functions that saturate: tanh, the logistic function and its integral, and erf.

Their coefficients keep their digits in the tails, where alternating sums would lose them.

Sources of the bounds: partial fractions for tanh; for erf Cramér's inequality for Hermite functions, Abramowitz and
Stegun, 22.14.17.
"""

import math

import numpy as np
from scipy import special

from reference.arithmetics.taylor.expansions import (
    DEGREE,
    FACTORIALS,
    NEXT,
    ORDERS,
    UNIT,
    WIDENED,
    Expansion,
    decreasing,
    increasing,
    nearest_zero,
    outward,
)

SATURATED = 22.0
"""Beyond this, NumPy's tanh and SciPy's erf are ±1 (a test verifies it), and the exact values are within 2**-53."""


def _saturating(function):
    """An odd function that increases from -1 to 1."""

    def image(low, high):
        low_end, high_end = outward(function(low), function(high))
        # tight enough that 1 + tanh(z) is known to be 0 or a rounding, and not of either sign by some roundings
        one = 1.0 - UNIT
        low_end = np.where(low >= SATURATED, one, np.where(low <= -SATURATED, -1.0, low_end))
        return low_end, np.where(high <= -SATURATED, -one, np.where(high >= SATURATED, 1.0, high_end))

    return image


# tanh, the logistic function and its integral


def _sech_squared(x):
    tail = np.exp(-2.0 * np.abs(x))
    return 4.0 * tail / np.square(1.0 + tail)


def _tanh_coefficients(c):
    """y' = w and w' = -2yw. As w = sech² has all its digits, every coefficient has a small relative error."""
    y, w = [np.tanh(c)], [_sech_squared(c)]
    for k in range(DEGREE):
        y.append(w[k] / (k + 1))
        w.append(-2.0 * sum(w[i] * y[k - i] for i in range(k + 1)) / (k + 1))
    return np.stack(y)


def _tanh_bound(order, low, high):
    """A bound on |tanh⁽ᵏ⁾|/k!, k > 1, the smaller of two.

    The partial fractions give 2 Σ η**-(k+1) over the poles ±iη, η = π/2, 3π/2, ... Cauchy's estimate on a circle of
    radius 1 about x gives the largest |tanh - sign x| there, at most 2/(exp(2|x| - 2) - 1).
    """
    poles = 2.0 * 1.06 * (math.pi / 2.0) ** -(order + 1.0)  # 1.06 > 1 + 3**-3 + 5**-3 + ...
    # the circle is clear of the poles, and the estimate of use, for |x| > 1; 1e-9 leaves it out below
    return np.minimum(poles, 2.0 / np.expm1(np.maximum(2.0 * nearest_zero(low, high) - 2.0, 1e-9))) * WIDENED


def _tanh_noise(c):
    """The recursion adds terms of either sign, each with a factor sech².

    Fewer than 6 roundings of that were found at 3,000 random c.
    """
    return 200.0 * UNIT * _sech_squared(c)


def _logistic_coefficients(c):
    """σ(x) = ½ + ½ tanh(x/2), but for the value itself, whose digits that sum loses for x << 0."""
    rows = 0.5 * _tanh_coefficients(0.5 * c) * 0.5**ORDERS
    rows[0] = special.expit(c)
    return rows


def _logistic_noise(c):
    return 100.0 * UNIT * _sech_squared(0.5 * c)


def _logistic_bound(order, low, high):
    return 0.5 ** (order + 1) * _tanh_bound(order, 0.5 * low, 0.5 * high)


def _softplus(x):
    return np.logaddexp(x, 0.0)


def _softplus_coefficients(c):
    """The integral of σ."""
    return np.concatenate([_softplus(c)[np.newaxis], _logistic_coefficients(c)[:-1] / ORDERS[1:]])


# erf

BELL_ENDS = 40.0  # beyond this exp(-x²) is zero in float64, and x² might overflow; exp(-x²/2) is below 1e-347


def _bell_coefficients(c):
    """exp(-x²)·2/√π about c: Hermite polynomials, H_{n+1} = 2c·H_n - 2n·H_{n-1}."""
    hermite = [np.ones_like(c), 2.0 * c]
    for n in range(1, DEGREE):
        hermite.append(2.0 * c * hermite[n] - 2.0 * n * hermite[n - 1])
    c = np.clip(c, -BELL_ENDS, BELL_ENDS)
    bell = 2.0 / math.sqrt(math.pi) * np.exp(-c * c)
    rows = np.stack(hermite) * np.where(ORDERS % 2 == 0, 1.0, -1.0) / FACTORIALS
    return np.where(bell > 0.0, bell * rows, 0.0)


def _bell_noise(c):
    """The rounding of alternating sums in Hermite polynomials, over n!, times exp(-c²).

    The sums of absolute values are below 60·exp(c²/2), and this allows for 16 roundings of each term.
    """
    return 1000.0 * UNIT * np.exp(-0.5 * np.square(np.clip(c, -BELL_ENDS, BELL_ENDS)))


def _erf_like(function, sign):
    def coefficients(c):
        return np.concatenate([function(c)[np.newaxis], sign * _bell_coefficients(c)[:-1] / ORDERS[1:]])

    return coefficients


def _erf_rest(low, high):
    """The derivative of order n + 1 is 2/√π H_n exp(-x²) but for its sign, and |H_n|·exp(-x²/2) <= 1.0865·√(2ⁿ·n!)."""
    n = DEGREE
    cramer = 1.0865 * math.sqrt(2.0**n * math.factorial(n)) / math.factorial(NEXT)
    tail = np.exp(-0.5 * np.square(np.minimum(nearest_zero(low, high), BELL_ENDS)))
    return 2.0 / math.sqrt(math.pi) * cramer * tail * WIDENED


SIGMOIDS: dict[np.ufunc, Expansion] = {
    np.tanh: Expansion(
        _tanh_coefficients, lambda low, high: _tanh_bound(NEXT, low, high), _saturating(np.tanh), _tanh_noise
    ),
    special.expit: Expansion(
        _logistic_coefficients,
        lambda low, high: _logistic_bound(NEXT, low, high),
        increasing(special.expit, least=0.0),
        noise=_logistic_noise,
    ),
    special.erf: Expansion(_erf_like(special.erf, 1.0), _erf_rest, _saturating(special.erf), noise=_bell_noise),
    special.erfc: Expansion(_erf_like(special.erfc, -1.0), _erf_rest, decreasing(special.erfc), noise=_bell_noise),
}
"""Functions of one argument, by their ufunc."""

SOFTPLUS = Expansion(
    _softplus_coefficients,
    lambda low, high: _logistic_bound(DEGREE, low, high) / NEXT,
    increasing(_softplus, least=0.0),
    noise=_logistic_noise,
)
"""log(1 + exp(x)), from which logaddexp is computed."""
