"""Elementary functions of Taylor models: expansions about the middle of each cell, composed with the model."""

from collections.abc import Callable

import numpy as np
from scipy import special

from reference.arithmetics.companion import NoRule
from reference.arithmetics.taylor.expansions import DEGREE, EXPANSIONS, NEXT, RELATIVE, UNIT, Expansion, outward, power
from reference.arithmetics.taylor.models import Taylor, met, multiply, spread, square, times
from reference.arithmetics.taylor.sigmoids import SIGMOIDS, SOFTPLUS
from reference.arithmetics.taylor.special import OF_BESSEL, SERIES, bessel_expansion, expansion, whole_order


def _compose(g: Expansion, x: Taylor) -> Taylor:
    """g(c + d) = Σ g_k·dᵏ about the polynomial's middle c, by Horner's rule; |d| <= D over the cell."""
    centre = x.poly[0]
    step = x.poly.copy()
    step[0] = 0.0
    reach, moved = spread(x), np.abs(step).sum(axis=0)
    g_k = g.coefficients(centre)
    poly, rest = g_k[-1:], np.zeros(np.shape(x.low))
    for k in range(DEGREE - 1, -1, -1):
        poly, cut = times(poly, step) if len(step) > 1 else (poly * 0.0, 0.0)
        poly[0] += g_k[k]
        rest = rest * moved + cut
    powers = np.cumprod(np.broadcast_to(reach, (NEXT, *np.shape(reach))), axis=0)  # D¹, ..., D⁸
    sizes = np.abs(g_k)
    total = sizes[0] + (sizes[1:] * powers[:-1]).sum(axis=0)
    steepest = sizes[1] + (np.arange(2.0, NEXT)[:, np.newaxis] * sizes[2:] * powers[:-2]).sum(axis=0)
    terms = NEXT * (min(len(step), NEXT) + 3.0) if len(step) > 1 else 0.0  # of Horner's rule
    rounding = (RELATIVE + terms + g.call) * UNIT * total
    rounding += g.noise(centre) * DEGREE * np.maximum(powers[0], powers[-2])
    cut_off = g.rest(np.fmin(x.low, centre), np.fmax(x.high, centre)) * powers[-1]
    return met(poly, rest + steepest * x.rest + rounding + cut_off, *g.image(x.low, x.high))


def _elementary(g: Expansion) -> Callable[[Taylor], Taylor]:
    return lambda x: _compose(g, x)


_reciprocal = _elementary(EXPANSIONS[np.reciprocal])

_exp, _log, _sqrt = (_elementary(EXPANSIONS[f]) for f in (np.exp, np.log, np.sqrt))


def _divide(x: Taylor, y: Taylor) -> Taylor:
    return multiply(x, _reciprocal(y))


HIGHEST = 64  # the largest whole exponent that is multiplied out


def _power(x: Taylor, y: Taylor) -> Taylor:
    exponent = y.number
    if exponent is None:
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


CANCELLED = 4.0 * UNIT  # of the larger number, which log(1 + exp(-|x - y|)) may cancel


def _logaddexp(x: Taylor, y: Taylor) -> Taylor:
    """y + log(1 + exp(x - y)), where y is the constant if there is one."""
    x, y = (y, x) if len(x.poly) < len(y.poly) else (x, y)
    ends = zip((x.low, x.high), (y.low, y.high))
    low, high = (np.logaddexp(a, b) for a, b in ends)  # increasing in both
    model = y + _compose(SOFTPLUS, x - y)
    larger = [np.maximum(np.abs(a), np.abs(b)) for a, b in zip((x.low, x.high), (y.low, y.high))]
    low, high = outward(low - larger[0] * CANCELLED, high + larger[1] * CANCELLED)
    return met(model.poly, model.rest, np.fmax(low, model.low), np.fmin(high, model.high))


def of_order(method: str, derivatives: int = 0) -> Callable[[Taylor, Taylor], Taylor]:
    """A Bessel function of (order, x), or a derivative in x."""

    def rule(order: Taylor, x: Taylor) -> Taylor:
        if order.number is None:
            raise NoRule("Taylor arithmetic knows Bessel functions of one whole order")
        return _compose(bessel_expansion(method, whole_order(order.number), derivatives), x)

    return rule


def special_function(function: np.ufunc, derivatives: int = 0) -> Callable[[Taylor], Taylor]:
    """A function of `SERIES`, or one of its derivatives."""
    if function in OF_BESSEL:
        return lambda x: _compose(bessel_expansion(*OF_BESSEL[function], derivatives), x)
    return lambda x: _compose(expansion(SERIES[function], derivatives), x)


def _log_ndtr(x: Taylor) -> Taylor:
    far = x < -1.0
    tail = np.log(0.5 * special.erfcx(np.where(far, x, -1.0) * -np.sqrt(0.5))) - 0.5 * np.square(x)
    return np.where(far, tail, np.log(0.5 * special.erfc(np.where(far, -1.0, x) * -np.sqrt(0.5))))


def slope_of_log_ndtr(x: Taylor) -> Taylor:
    """exp(-x²/2)/√2π over Φ(x), which both vanish below zero."""
    far = x < -1.0
    tail = np.sqrt(2.0 / np.pi) / special.erfcx(np.where(far, x, -1.0) * -np.sqrt(0.5))
    near = np.where(far, -1.0, x)
    return np.where(far, tail, np.exp(-0.5 * np.square(near)) * np.sqrt(0.5 / np.pi) / special.ndtr(near))


FUNCTIONS = {
    np.divide: _divide,
    np.power: _power,
    **{f: _elementary(g) for f, g in (EXPANSIONS | SIGMOIDS).items()},
    np.arccos: lambda x: 0.5 * np.pi - np.arcsin(x),
    **{f: special_function(f) for f in SERIES},
    special.i0e: lambda x: np.exp(-np.absolute(x)) * special.i0(x),
    special.i1e: lambda x: np.exp(-np.absolute(x)) * special.i1(x),
    special.log_ndtr: _log_ndtr,
    special.jv: of_order("bessel_j"),
    special.iv: of_order("bessel_i"),
    np.logaddexp: _logaddexp,
    special.log_expit: lambda x: -_compose(SOFTPLUS, -x),
    special.ndtr: lambda x: 0.5 * special.erfc(x * -np.sqrt(0.5)),
}
"""Rules by function."""
