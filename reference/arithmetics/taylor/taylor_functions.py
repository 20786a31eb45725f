"""Functions of Taylor models, comparisons, choices, derivatives: all rules of Taylor arithmetic.

An elementary function is expanded about the middle of each cell and composed with the model of its argument.

A comparison that holds on a part of a cell only is undecided, [0, 1], and both branches are enclosed: |z| on [-1, 2] is
in [0, 2], with a slope in [-1, 1]. The caller splits such a cell at 0, which `switches` reports, and then knows more.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np
from scipy import special

from reference.arithmetics.companion import CONNECTIVES, NEGATIONS
from reference.arithmetics.composed import COMPOSED
from reference.arithmetics.elementary import FUNCTIONS
from reference.arithmetics.elementary_record import Elementary
from reference.arithmetics.tangent import Tangent
from reference.arithmetics.taylor.expansions import (
    COEFFICIENT_ROUNDINGS,
    DEGREE,
    EXPANSIONS,
    NEXT,
    ORDERS,
    SOFTPLUS,
    UNIT,
    Expansion,
    furthest_from_zero,
    nearest_zero,
    outward,
    power,
)
from reference.arithmetics.taylor.taylor_model import (
    RELAXED,
    Taylor,
    add,
    multiply,
    narrowed,
    negative,
    padded,
    polynomial_product,
    spread,
    square,
)


def _compose(g: Expansion, x: Taylor) -> Taylor:
    """g(x) on each cell, by the expansion of g about the middle c of the argument's polynomial.

    The argument is c + s(t) + e: `step` is the polynomial s without a constant term, |e| <= x.rest, and |s + e| <= D.
    So g(x) = Σ g_k sᵏ up to `DEGREE`, as a polynomial in t, and what that is off by:

    - the terms beyond `DEGREE` in t, which the products cut off;
    - e, times the largest slope Σ k |g_k| Dᵏ⁻¹;
    - the rounding of the coefficients g_k and of this sum;
    - the rest of the expansion, sup |g⁽⁸⁾|/8! · D⁸.
    """
    centre, step = x.poly[0], x.poly.copy()
    step[0] = 0.0
    g_k = g.coefficients(centre)
    sizes, powers = np.abs(g_k), np.cumprod(np.broadcast_to(spread(x), (NEXT, *x.shape)), axis=0)  # |g_k|; D¹, ..., D⁸
    poly, cut_off = _powers_of_step(g_k, step, x.shape)
    slope = sizes[1] + (ORDERS[2:] * sizes[2:] * powers[:-2]).sum(axis=0)  # Σ k |g_k| Dᵏ⁻¹
    rounding = _rounding_of_powers(sizes, powers, len(step), g.noise(centre))
    remainder = g.rest(np.fmin(x.low, centre), np.fmax(x.high, centre)) * powers[-1]
    return narrowed(poly, cut_off + slope * x.rest + rounding + remainder, *g.image(x.low, x.high))


def _powers_of_step(g_k: Any, step: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Σ g_k sᵏ by Horner's rule as a polynomial in t, and a bound on the terms that its products cut off."""
    moved = np.abs(step).sum(axis=0)  # sup |s|, by which every further product grows what was cut off before
    poly, cut_off = g_k[-1:], np.zeros(shape)
    for k in range(DEGREE - 1, -1, -1):
        poly, cut = polynomial_product(poly, step) if len(step) > 1 else (poly * 0.0, 0.0)
        poly[0] += g_k[k]
        cut_off = cut_off * moved + cut
    return poly, cut_off


def _rounding_of_powers(sizes: Any, powers: Any, rows: int, noise: Any) -> Any:
    """The rounding of Σ g_k sᵏ: of its products, for a polynomial s of so many rows, and of the coefficients g_k."""
    terms = sizes[0] + (sizes[1:] * powers[:-1]).sum(axis=0)  # Σ |g_k| Dᵏ
    of_products = NEXT * (min(rows, NEXT) + 3.0) if rows > 1 else 0.0  # units in Horner's rule
    sum_of_powers = DEGREE * np.maximum(powers[0], powers[-2])  # at least Σ Dᵏ for k from 1 to DEGREE
    return (COEFFICIENT_ROUNDINGS + of_products) * UNIT * terms + noise * sum_of_powers


_exp, _log, _sqrt, _reciprocal = (partial(_compose, EXPANSIONS[f]) for f in (np.exp, np.log, np.sqrt, np.reciprocal))

HIGHEST = 64  # the largest whole exponent that is multiplied out, by squares: that holds for z of any sign, and at zero


def _power(x: Taylor, y: Taylor) -> Taylor:
    exponent = y.number
    if exponent is None:  # it varies with z
        return _exp(y * _log(x))
    if exponent != round(exponent) or abs(exponent) > HIGHEST:
        if exponent == 0.5:
            return _sqrt(x)
        return _compose(power(exponent, lambda base: np.power(base, exponent)), x)
    return _whole_power(x, int(exponent)) if exponent >= 0 else _reciprocal(_whole_power(x, int(-exponent)))


def _whole_power(x: Taylor, n: int) -> Taylor:
    if n == 0:
        return Taylor.lift(np.ones(x.shape))
    if n == 1:
        return x
    half = _whole_power(x, n // 2)
    return square(half) if n % 2 == 0 else multiply(square(half), x)


CANCELLED = 4.0 * UNIT  # the rounding of logaddexp over the larger number, which log(1 + exp(-|x - y|)) may cancel


def _logaddexp(x: Taylor, y: Taylor) -> Taylor:
    """y + log(1 + exp(x - y)), where y is the constant if there is one: then only one expansion depends on t."""
    x, y = (y, x) if len(x.poly) < len(y.poly) else (x, y)
    model = y + _compose(SOFTPLUS, x - y)
    # increasing in both; what the difference may cancel is of the size of the larger number
    low = np.logaddexp(x.low, y.low) - CANCELLED * np.maximum(np.abs(x.low), np.abs(y.low))
    high = np.logaddexp(x.high, y.high) + CANCELLED * np.maximum(np.abs(x.high), np.abs(y.high))
    low, high = outward(low, high)
    return narrowed(model.poly, model.rest, np.fmax(low, model.low), np.fmin(high, model.high))


# -- comparisons, choices, and functions with kinks or jumps ----------------------------------------------------------

_SWITCHES: ContextVar[list[np.ndarray] | None] = ContextVar("switches", default=None)
"""The list of the innermost `switches`: comparisons stand within somebody's formula, which hands no list to them."""


@contextmanager
def switches() -> Iterator[list[np.ndarray]]:
    """List, for every comparison that is undecided on a cell, the t near which it changes; NaN on other cells."""
    found: list[np.ndarray] = []
    token = _SWITCHES.set(found)
    try:
        yield found
    finally:
        _SWITCHES.reset(token)


def _truth(yes: Any, no: Any) -> Taylor:
    """1 where certain, 0 where excluded, else between them."""
    low, high = np.where(yes, 1.0, 0.0), np.where(no, 0.0, 1.0)
    return Taylor(((low + high) / 2.0)[np.newaxis], (high - low) / 2.0, low, high, logical=True)


def _difference(x: Taylor, y: Taylor) -> Taylor:
    """x - y. Where it may be zero, the t at which its linear part crosses zero is added to `switches`."""
    difference = x - y
    touches = ~((difference.low > 0.0) | (difference.high < 0.0))
    found = _SWITCHES.get()
    if found is not None and len(difference.poly) > 1 and touches.any():
        # p_0 + p_1 t = 0; the curvature is left out, since this only says where to split
        found.append(np.where(touches, -difference.poly[0] / difference.poly[1], np.nan))
    return difference


def _less(x: Taylor, y: Taylor) -> Taylor:
    difference = _difference(x, y)
    return _truth((x.high < y.low) | (difference.high < 0.0), (x.low >= y.high) | (difference.low > 0.0))


def _equal(x: Taylor, y: Taylor) -> Taylor:
    difference = _difference(x, y)
    same = (x.low == x.high) & (y.low == y.high) & (x.low == y.low)
    return _truth(same, (difference.high < 0.0) | (difference.low > 0.0))


def _not(x: Taylor) -> Taylor:
    return _truth(x.excluded, x.certain)


def _both(x: Taylor, y: Taylor) -> Taylor:
    return _truth(x.certain & y.certain, x.excluded | y.excluded)


def _either(x: Taylor, y: Taylor) -> Taylor:
    return _truth(x.certain | y.certain, x.excluded & y.excluded)


def _where(condition: Taylor, x: Taylor, y: Taylor) -> Taylor:
    yes, no = condition.certain, condition.excluded
    # where undecided: the mean of both polynomials, and half of what is between them as a part of the rest
    rows = max(len(x.poly), len(y.poly))
    p, q = padded(x.poly, rows), padded(y.poly, rows)
    apart = np.abs(p - q).sum(axis=0) * (0.5 * RELAXED)
    rounding = 2.0 * UNIT * (np.abs(p) + np.abs(q)).sum(axis=0)
    either = np.maximum(x.rest, y.rest) + apart + rounding
    poly = np.where(yes, p, np.where(no, q, 0.5 * p + 0.5 * q))
    rest = np.where(yes, x.rest, np.where(no, y.rest, either))
    low = np.where(yes, x.low, np.where(no, y.low, np.minimum(x.low, y.low)))
    high = np.where(yes, x.high, np.where(no, y.high, np.maximum(x.high, y.high)))
    chosen = Taylor(poly, rest, low, high, logical=x.logical and y.logical)
    if (yes | no).all():
        return chosen
    model = narrowed(poly, rest, low, high)
    return Taylor(model.poly, model.rest, model.low, model.high, logical=chosen.logical)


def _absolute(x: Taylor) -> Taylor:
    model = _where(_less(x, Taylor.lift(0.0)), negative(x), x)
    # across zero both branches reach below it, which |x| does not
    nearest, furthest = nearest_zero(x.low, x.high), furthest_from_zero(x.low, x.high)
    return Taylor(model.poly, model.rest, np.fmax(model.low, nearest), np.fmin(model.high, furthest))


def _maximum(x: Taylor, y: Taylor) -> Taylor:
    model = _where(_less(x, y), y, x)
    # max(z, 0.5) on [0, 1] is in [0.5, 1], where both branches together are in [0, 1]; NaN of NaN
    low, high = np.maximum(x.low, y.low), np.maximum(x.high, y.high)
    return Taylor(model.poly, model.rest, np.fmax(low, model.low), np.fmin(high, model.high))


def _sign(x: Taylor) -> Taylor:
    zero = Taylor.lift(0.0)
    return _where(_less(x, zero), Taylor.lift(-1.0), _where(_equal(x, zero), zero, Taylor.lift(1.0)))


Taylor.rules = {
    np.positive: lambda x: x,
    np.negative: negative,
    np.add: add,
    np.subtract: lambda x, y: add(x, negative(y)),
    np.multiply: multiply,
    np.square: square,
    np.divide: lambda x, y: multiply(x, _reciprocal(y)),
    np.power: _power,
    **{f: partial(_compose, g) for f, g in EXPANSIONS.items()},
    np.logaddexp: _logaddexp,
    special.log_expit: lambda x: -_compose(SOFTPLUS, -x),
    special.ndtr: lambda x: 0.5 * special.erfc(x * -np.sqrt(0.5)),
    np.less: _less,
    np.less_equal: lambda x, y: _not(_less(y, x)),
    np.greater: lambda x, y: _less(y, x),
    np.greater_equal: lambda x, y: _not(_less(x, y)),
    np.equal: _equal,
    np.not_equal: lambda x, y: _not(_equal(x, y)),
    np.isfinite: lambda x: _truth(np.isfinite(x.low) & np.isfinite(x.high), False),
    **dict.fromkeys(NEGATIONS, _not),
    **{f: _both if f in (np.bitwise_and, np.logical_and) else _either for f in CONNECTIVES},
    np.where: _where,
    np.absolute: _absolute,
    np.maximum: _maximum,
    np.minimum: lambda x, y: negative(_maximum(negative(x), negative(y))),
    np.sign: _sign,
}

# -- derivatives ------------------------------------------------------------------------------------------------------


class Derivative(Tangent):
    """f and f' of `Taylor` parts, by rules that lose few digits: they enclose f' itself, however it is computed.

    tanh' as 1 - tanh² is enclosed by ±u where tanh is nearly 1; as 4 σ(2z) σ(-2z) it keeps its digits. There are rules
    beyond those of `Tangent`, for more functions than other arithmetics have.
    """

    @classmethod
    def apply(cls, function: Any, *operands: Any) -> Any:
        result = super().apply(function, *operands)  # rules of `Tangent` return one
        return cls(result.value, result.companion)


def derivative_of(f: Any, z: Taylor) -> tuple[Taylor, Taylor]:
    """f(z) and f'(z) on the cells of z, for a formula f over arrays."""
    result = f(Derivative(z, 1.0))
    if not isinstance(result, Tangent):  # a constant
        return Taylor.lifted(result), Taylor.lift(0.0)
    return Taylor.lifted(result.value), Taylor.lifted(result.slope)


def _chain(function, slope):
    return lambda x: Derivative(function(x.value), slope(x.value) * x.slope)


def _of_record(f: Elementary):
    return _chain(f.function, lambda x: f.slope(x, f.function(x)))


def _logaddexp_slope(x, y):
    share, other = special.expit(x.value - y.value), special.expit(y.value - x.value)
    return Derivative(np.logaddexp(x.value, y.value), share * x.slope + other * y.slope)


Derivative.rules = {
    **Tangent.rules,
    # other arithmetics compose these of other functions, or subtract where the slope is next to nothing
    **{f.function: _of_record(f) for f in FUNCTIONS if f.function in COMPOSED},
    np.expm1: _chain(np.expm1, np.exp),
    np.tanh: _chain(np.tanh, lambda x: 4.0 * special.expit(2.0 * x) * special.expit(-2.0 * x)),
    special.expit: _chain(special.expit, lambda x: special.expit(x) * special.expit(-x)),
    special.log_expit: _chain(special.log_expit, lambda x: special.expit(-x)),
    special.ndtr: _chain(special.ndtr, lambda x: math.sqrt(0.5 / math.pi) * np.exp(-np.square(x * math.sqrt(0.5)))),
    np.logaddexp: _logaddexp_slope,
    np.isfinite: lambda x: Derivative(np.isfinite(x.value), 0.0),
}
