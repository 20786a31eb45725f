"""Taylor expansions of the elementary functions, with a bound on the rest.

For g about a centre c: the coefficients g_k = g⁽ᵏ⁾(c)/k! up to `DEGREE`, a bound on their rounding, and a bound on
|g⁽ᴷ⁾|/K! between two ends for K = DEGREE + 1, which bounds the rest (Lagrange). `image` encloses g between two ends,
and every number that NumPy computes there. Outside of the domain, coefficients are NaN and the bound is infinite.

Arrays of centres and ends have shape (n,), coefficients (DEGREE + 1, n).

The bounds come from the series themselves. For arctan and arcsinh they come from products of binomial series: these
have poles at ±i, and the coefficients of (p - x)**-½ and (p - x)**-1 about c are at most |p - c|**-k over that number
itself. For tanh they come from partial fractions, and for erf from Cramér's inequality for Hermite functions
(Abramowitz and Stegun, 22.14.17). The coefficients of functions that saturate keep their digits in the tails, where
alternating sums would lose them. What has no `Expansion`, as arcsin or log2, is composed of those that have
(`reference.arithmetics.composed`).

To add a function, add an `Expansion` to `EXPANSIONS`, and its truth and range to the tests.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import special

from reference.arithmetics.roundoff import ELEMENTARY, UNIT_ROUNDOFF

DEGREE = 7
"""Of all polynomials. On a cell of half-width r the rest is about r⁸/8!: 6e-11 at r = 0.2. A lower degree needs far
more cells; a higher one costs more on each, in products of polynomials."""

NEXT = DEGREE + 1

UNIT = UNIT_ROUNDOFF["float64"]

TINY = float(np.finfo(np.float64).tiny)

WIDENED = 1.0 + 3 * ELEMENTARY * UNIT
"""The factor by which the ends of an image are moved apart: one call may be off by ELEMENTARY units at an end, and
another by as many in between; a third for this product."""

Ends = tuple[np.ndarray, np.ndarray]

ORDERS = np.arange(NEXT)[:, np.newaxis]

FACTORIALS = special.factorial(ORDERS)


class Expansion(NamedTuple):
    """The expansion of one function g, with K = DEGREE + 1."""

    coefficients: Callable[[np.ndarray], np.ndarray]  # c -> g_0, ..., g_DEGREE
    rest: Callable[[np.ndarray, np.ndarray], np.ndarray]  # (low, high) -> a bound on |g⁽ᴷ⁾|/K! over [low, high]
    image: Callable[[np.ndarray, np.ndarray], Ends]  # (low, high) -> ends of g and of all that NumPy computes there
    noise: Callable[[np.ndarray], np.ndarray | float] = lambda c: 0.0
    """c -> the largest error of a coefficient after g_0, beside `COEFFICIENT_ROUNDINGS` units of itself."""


COEFFICIENT_ROUNDINGS = 64.0
"""Units of roundoff in a coefficient, of itself: one call, and at most a dozen products after it, with room."""


def outward(low: np.ndarray, high: np.ndarray) -> Ends:
    """Ends moved apart by the rounding of single calls, which cannot change a sign."""
    slack_low, slack_high = np.abs(low) * (WIDENED - 1.0) + TINY, np.abs(high) * (WIDENED - 1.0) + TINY
    # an infinite end has nowhere to move; inf - inf would be NaN
    below = np.where(np.isinf(low), low, low - slack_low)
    above = np.where(np.isinf(high), high, high + slack_high)
    return np.where(low >= 0.0, np.maximum(below, 0.0), below), np.where(high <= 0.0, np.minimum(above, 0.0), above)


def increasing(function, least=-np.inf, at_zero=None):
    """The image of an increasing function. `at_zero` is its value at 0, which NumPy's results do not cross, either."""

    def image(low, high):
        below, above = outward(function(low), function(high))
        if at_zero is not None:
            below = np.where(low >= 0.0, np.maximum(below, at_zero), below)
            above = np.where(high <= 0.0, np.minimum(above, at_zero), above)
        return np.maximum(below, least), above

    return image


def decreasing(function):
    return lambda low, high: outward(function(high), function(low))


def furthest_from_zero(low, high):
    """The largest |x| in [low, high]."""
    return np.maximum(np.abs(low), np.abs(high))


def nearest_zero(low, high):
    """The smallest |x| in [low, high]."""
    return np.where((low <= 0.0) & (high >= 0.0), 0.0, np.minimum(np.abs(low), np.abs(high)))


# exp, sinh and cosh, sin and cos


def _cyclic(*derivatives):
    """g and its next derivatives, after which they begin anew: of exp itself, of sin also cos, -sin and -cos."""

    def coefficients(c):
        known = [derivative(c) for derivative in derivatives]
        return np.stack([known[k % len(known)] for k in range(NEXT)]) / FACTORIALS

    return coefficients


def _with_value(function, coefficients):
    """Coefficients whose first one is the function's own value, with all its digits."""
    return lambda c: np.concatenate([function(c)[np.newaxis], coefficients(c)[1:]])


def _exp_rest(low, high):
    return np.exp(np.maximum(low, high)) / math.factorial(NEXT) * WIDENED**2


def _cosh_rest(low, high):
    return np.cosh(furthest_from_zero(low, high)) / math.factorial(NEXT) * WIDENED


def _cosh_image(low, high):
    return outward(np.cosh(nearest_zero(low, high)), np.cosh(furthest_from_zero(low, high)))


def _circular_rest(low, high):
    return np.full(np.shape(low), WIDENED / math.factorial(NEXT))


def _circular_image(low, high):
    # [-1, 1] at once, without a search for maxima: on small cells the polynomial narrows it
    known = np.isfinite(low) & np.isfinite(high)
    return np.where(known, -WIDENED, np.nan), np.where(known, WIDENED, np.nan)


# powers and logarithms


def power(exponent: float, function: Callable[[np.ndarray], np.ndarray], odd: bool = False) -> Expansion:
    """x**s for x > 0, or for all x ≠ 0 where the function is `odd`: g_k = (s over k)·x**s·x**-k."""
    binomials = np.cumprod([1.0, *((exponent - k) / (k + 1.0) for k in range(NEXT))])[:, np.newaxis]
    binomials, last = binomials[:NEXT], abs(float(binomials[NEXT, 0])) * WIDENED

    def coefficients(c):
        return np.where((c > 0.0) | (odd & (c < 0.0)), binomials * function(c) * c ** (-ORDERS.astype(float)), np.nan)

    def rest(low, high):
        defined = (low > 0.0) | (odd & (high < 0.0))
        # |x|**(s - 8) is monotonic on either side of zero
        ends = [np.abs(function(x)) * np.abs(x) ** -float(NEXT) for x in (low, high)]
        return np.where(defined, last * np.maximum(*ends) * WIDENED, np.inf)

    if exponent < 0.0:
        return Expansion(coefficients, rest, lambda low, high: _unless_zero(decreasing(function), low, high))
    return Expansion(coefficients, rest, increasing(function))


def _unless_zero(image, low, high):
    has_pole = (low <= 0.0) & (high >= 0.0)
    low, high = image(low, high)
    return np.where(has_pole, np.nan, low), np.where(has_pole, np.nan, high)


def logarithm(function: Callable[[np.ndarray], np.ndarray], shift: float = 0.0) -> Expansion:
    """log(shift + x): g_k = -(-1)**k/(k x**k)."""
    orders = ORDERS[1:].astype(float)
    signs = -((-1.0) ** orders) / orders

    def coefficients(c):
        x = np.where(c + shift > 0.0, c + shift, np.nan)
        return np.concatenate([function(c)[np.newaxis], signs * x**-orders])

    def rest(low, high):
        x = (low + shift) / WIDENED  # the sum may have been rounded up
        return np.where(x > 0.0, x**-NEXT / NEXT * WIDENED, np.inf)

    return Expansion(coefficients, rest, increasing(function))


# inverses of the circular and the hyperbolic functions


def _integrated(function, derivative):
    """g_0 from the function, and g_{k+1} = h_k/(k + 1) from the coefficients h_k of its derivative."""
    return lambda c: np.concatenate([function(c)[np.newaxis], derivative(c)[:-1] / ORDERS[1:]])


def _arctan_derivative(c):
    """1/(1 + x²) is the imaginary part of 1/(x - i)."""
    pole = 1.0 / (c - 1j)
    return np.stack([((-1.0) ** k * pole ** (k + 1)).imag for k in range(NEXT)])


def _root_noise(c):
    """What cancels in the coefficients of 1/(1 + x²) and (1 + x²)**-½: 3 roundings of 1/√(1 + c²) at 3,000 random c.

    The terms are at most |c - i|**-k in size, k >= 1, of which that is the largest.
    """
    return 100.0 * UNIT / np.hypot(1.0, c)


def _arctan_rest(low, high):
    return np.hypot(1.0, nearest_zero(low, high)) ** -float(NEXT) / NEXT * WIDENED


def _root_derivative(c):
    """h = (1 + x²)**-½: (k + 1)(1 + c²)·h_{k+1} = -((2k + 1)·c·h_k + k·h_{k-1})."""
    size = 1.0 + c * c
    rows = [np.zeros_like(c), size**-0.5]
    for k in range(DEGREE):
        rows.append(-((2 * k + 1) * c * rows[-1] + k * rows[-2]) / ((k + 1) * size))
    return np.stack(rows[1:])


# functions that saturate: tanh, the logistic function and its integral, erf

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
    """The recursion adds terms of either sign, each with a factor sech²: 6 roundings of that at 3,000 random c."""
    return 200.0 * UNIT * _sech_squared(c)


# σ(x) = ½ + ½ tanh(x/2), but for the value itself, whose digits that sum loses for x << 0
_logistic_coefficients = _with_value(special.expit, lambda c: 0.5 * _tanh_coefficients(0.5 * c) * 0.5**ORDERS)


def _logistic_noise(c):
    return 0.5 * _tanh_noise(0.5 * c)


def _logistic_bound(order, low, high):
    return 0.5 ** (order + 1) * _tanh_bound(order, 0.5 * low, 0.5 * high)


_softplus = partial(np.logaddexp, 0.0)

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
    """16 roundings of the terms of Hermite polynomials, over n!, times exp(-c²); these are below 60·exp(c²/2)."""
    return 1000.0 * UNIT * np.exp(-0.5 * np.square(np.clip(c, -BELL_ENDS, BELL_ENDS)))


def _erf_rest(low, high):
    """The derivative of order n + 1 is 2/√π H_n exp(-x²) but for its sign, and |H_n|·exp(-x²/2) <= 1.0865·√(2ⁿ·n!)."""
    n = DEGREE
    cramer = 1.0865 * math.sqrt(2.0**n * math.factorial(n)) / math.factorial(NEXT)
    tail = np.exp(-0.5 * np.square(np.minimum(nearest_zero(low, high), BELL_ENDS)))
    return 2.0 / math.sqrt(math.pi) * cramer * tail * WIDENED


EXPANSIONS: dict[np.ufunc, Expansion] = {
    np.exp: Expansion(_cyclic(np.exp), _exp_rest, increasing(np.exp, least=0.0, at_zero=1.0)),
    np.expm1: Expansion(_with_value(np.expm1, _cyclic(np.exp)), _exp_rest, increasing(np.expm1)),
    np.sinh: Expansion(_cyclic(np.sinh, np.cosh), _cosh_rest, increasing(np.sinh)),
    np.cosh: Expansion(_cyclic(np.cosh, np.sinh), _cosh_rest, _cosh_image),
    np.log: logarithm(np.log),
    np.log1p: logarithm(np.log1p, shift=1.0),
    np.sqrt: power(0.5, np.sqrt),
    np.cbrt: power(1.0 / 3.0, np.cbrt, odd=True),
    np.reciprocal: power(-1.0, np.reciprocal, odd=True),
    np.sin: Expansion(
        _cyclic(np.sin, np.cos, lambda c: -np.sin(c), lambda c: -np.cos(c)), _circular_rest, _circular_image
    ),
    np.cos: Expansion(
        _cyclic(np.cos, lambda c: -np.sin(c), lambda c: -np.cos(c), np.sin), _circular_rest, _circular_image
    ),
    np.arctan: Expansion(_integrated(np.arctan, _arctan_derivative), _arctan_rest, increasing(np.arctan), _root_noise),
    np.arcsinh: Expansion(_integrated(np.arcsinh, _root_derivative), _arctan_rest, increasing(np.arcsinh), _root_noise),
    np.tanh: Expansion(_tanh_coefficients, partial(_tanh_bound, NEXT), _saturating(np.tanh), _tanh_noise),
    special.expit: Expansion(
        _logistic_coefficients, partial(_logistic_bound, NEXT), increasing(special.expit, least=0.0), _logistic_noise
    ),
    special.erf: Expansion(
        _integrated(special.erf, _bell_coefficients), _erf_rest, _saturating(special.erf), _bell_noise
    ),
    special.erfc: Expansion(
        _integrated(special.erfc, lambda c: -_bell_coefficients(c)), _erf_rest, decreasing(special.erfc), _bell_noise
    ),
}
"""Functions of one argument, by their ufunc."""

SOFTPLUS = Expansion(
    _integrated(_softplus, _logistic_coefficients),
    lambda low, high: _logistic_bound(DEGREE, low, high) / NEXT,
    increasing(_softplus, least=0.0),
    _logistic_noise,
)
"""log(1 + exp(x)), from which logaddexp is computed."""
