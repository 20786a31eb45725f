"""Taylor expansions of the elementary functions, with a bound on the rest.

For g about a centre c: the coefficients g_k = g⁽ᵏ⁾(c)/k! up to `DEGREE`, a bound on their rounding, and a bound on
|g⁽ᴷ⁾|/K! between two ends for K = DEGREE + 1, which bounds the rest (Lagrange). `image` encloses g between two ends,
and every number that NumPy computes there. Outside of the domain, coefficients are NaN and the bound is infinite.

Arrays of centres and ends have shape (n,), coefficients (DEGREE + 1, n).

The bounds come from the series themselves, and for arctan and arcsinh from products of binomial series: these have
poles at ±i, and the coefficients of (p - x)**-½ and (p - x)**-1 about c are at most |p - c|**-k over that number
itself. What has no `Expansion`, as arcsin or log2, is composed of those that have (`reference.arithmetics.composed`).

To add a function, add an `Expansion` to `EXPANSIONS`, and its truth and range to the tests.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from reference.arithmetics.roundoff import ELEMENTARY, UNIT_ROUNDOFF

DEGREE = 7
"""Of all polynomials. On a cell of half-width r the rest is about r⁸/8!: 6e-11 at r = 0.2.

A lower degree needs far more cells; a higher one costs more on each, in products of polynomials.
"""

NEXT = DEGREE + 1

UNIT = UNIT_ROUNDOFF["float64"]

TINY = float(np.finfo(np.float64).tiny)

WIDENED = 1.0 + 3 * ELEMENTARY * UNIT
"""The factor by which the ends of an image are moved apart.

One call may be off by ELEMENTARY units at an end, and another by as many in between; a third for this product.
"""

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


# exp, sinh and cosh


def _exp_coefficients(c):
    return np.exp(c) / FACTORIALS


def _exp_rest(low, high):
    return np.exp(np.maximum(low, high)) / math.factorial(NEXT) * WIDENED**2


def _expm1_coefficients(c):
    rows = _exp_coefficients(c)
    rows[0] = np.expm1(c)
    return rows


def _hyperbolic(even, odd):
    return lambda c: np.where(ORDERS % 2 == 0, even(c), odd(c)) / FACTORIALS


def _cosh_rest(low, high):
    return np.cosh(furthest_from_zero(low, high)) / math.factorial(NEXT) * WIDENED


def _cosh_image(low, high):
    return outward(np.cosh(nearest_zero(low, high)), np.cosh(furthest_from_zero(low, high)))


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


# sin and cos


def _circular(*quarter_turns):
    return lambda c: np.stack([quarter_turns[k % 4](c) for k in range(NEXT)]) / FACTORIALS


def _circular_rest(low, high):
    return np.full(np.shape(low), WIDENED / math.factorial(NEXT))


def _circular_image(low, high):
    # [-1, 1] at once, without a search for maxima: on small cells the polynomial narrows it
    known = np.isfinite(low) & np.isfinite(high)
    return np.where(known, -WIDENED, np.nan), np.where(known, WIDENED, np.nan)


# inverses of the circular and the hyperbolic functions


def _integrated(function, derivative):
    """g_0 from the function, and g_{k+1} = h_k/(k + 1) from the coefficients h_k of its derivative."""
    return lambda c: np.concatenate([function(c)[np.newaxis], derivative(c)[:-1] / ORDERS[1:]])


def _arctan_derivative(c):
    """1/(1 + x²) is the imaginary part of 1/(x - i)."""
    pole = 1.0 / (c - 1j)
    return np.stack([((-1.0) ** k * pole ** (k + 1)).imag for k in range(NEXT)])


def _root_noise(c):
    """The rounding of what cancels in the coefficients of 1/(1 + x²) and (1 + x²)**-½.

    The terms are at most |c - i|**-k in size, k >= 1, of which the largest is 1/√(1 + c²). Fewer than 3
    roundings of that were found at 3,000 random c.
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


EXPANSIONS: dict[np.ufunc, Expansion] = {
    np.exp: Expansion(_exp_coefficients, _exp_rest, increasing(np.exp, least=0.0, at_zero=1.0)),
    np.expm1: Expansion(_expm1_coefficients, _exp_rest, increasing(np.expm1)),
    np.sinh: Expansion(_hyperbolic(np.sinh, np.cosh), _cosh_rest, increasing(np.sinh)),
    np.cosh: Expansion(_hyperbolic(np.cosh, np.sinh), _cosh_rest, _cosh_image),
    np.log: logarithm(np.log),
    np.log1p: logarithm(np.log1p, shift=1.0),
    np.sqrt: power(0.5, np.sqrt),
    np.cbrt: power(1.0 / 3.0, np.cbrt, odd=True),
    np.reciprocal: power(-1.0, np.reciprocal, odd=True),
    np.sin: Expansion(
        _circular(np.sin, np.cos, lambda c: -np.sin(c), lambda c: -np.cos(c)), _circular_rest, _circular_image
    ),
    np.cos: Expansion(
        _circular(np.cos, lambda c: -np.sin(c), lambda c: -np.cos(c), np.sin), _circular_rest, _circular_image
    ),
    np.arctan: Expansion(_integrated(np.arctan, _arctan_derivative), _arctan_rest, increasing(np.arctan), _root_noise),
    np.arcsinh: Expansion(_integrated(np.arcsinh, _root_derivative), _arctan_rest, increasing(np.arcsinh), _root_noise),
}
"""Functions of one argument, by their ufunc."""
