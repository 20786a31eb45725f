"""Elementary functions of one number: one record each, which every arithmetic reads.

Increments, tangents, rounding bounds, complex steps and the rules for JAX's primitives are made of these records. To
add a function to all of them, add its record here; that of exp, the first one, says what each field is. Before the
records stand the formulas that keep all digits: values that NumPy lacks, slopes, and finite increments. The tests of
`tests/reference/arithmetics/test_elementary.py` take a new record up by themselves.

Balls, Taylor models and the complex logarithms keep evaluators of their own on purpose. A wrong slope here misleads
increments and tangents alike, and only an independent evaluation reveals it: the tests compare each record with balls.
So a proof or a certified value of a new function needs its rule in `balls` and `taylor.expansions` as well.

No slope is JAX's. Sources: NIST DLMF, sections 4, 5, 7, 8 and 10.
"""

from typing import Any

import numpy as np
from scipy import special

from reference.arithmetics.elementary_record import Elementary, Reach, steepest_power
from reference.arithmetics.roundoff import ELEMENTARY, LOG1P_BELOW_ZERO

LOG2 = float(np.log(2.0))
TWO_OVER_ROOT_PI = float(2.0 / np.sqrt(np.pi))


# -- values of what NumPy lacks, or does not know for complex numbers -------------------------------------------------


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
    """2 sinh(d/2) cosh(x + d/2) for sinh, with cosh(x + h) = cosh(x) cosh(h) + sinh(x) sinh(h); for cosh with sinh."""

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


def _share(d: Any, total: Any) -> Any:
    """d/total, which may both be zero: no step is no share."""
    return np.where(d == 0.0, 0.0, d / np.where(d == 0.0, 1.0, total))


def increment_of_asin(x: Any, d: Any, y: Any) -> Any:
    """2 arctan((sin β - sin α)/(cos α + cos β)) is β - α; at an end, both cosines vanish with d."""
    # 1 - (x + d) as (1 - x) - d: the sum x + d would round a tiny d away
    cosine, cosine_after = np.sqrt((1.0 - x) * (1.0 + x)), np.sqrt(((1.0 - x) - d) * ((1.0 + x) + d))
    return 2.0 * np.arctan(_share(d, cosine + cosine_after))


def increment_of_acosh(x: Any, d: Any, y: Any) -> Any:
    """2 artanh((cosh β - cosh α)/(sinh α + sinh β)) is β - α; at 1, both sinh vanish with d."""
    sinh, sinh_after = np.sqrt(x - 1.0) * np.sqrt(x + 1.0), np.sqrt((x - 1.0) + d) * np.sqrt((x + 1.0) + d)
    return 2.0 * np.arctanh(_share(d, sinh + sinh_after))


# 8-point Gauss-Legendre on [0, 1]: exact to rounding for the increments of at most 1/8 that are used here
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_NODES, _WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS


def increment_of_erf(x: Any, d: Any, y: Any) -> Any:
    """The integral of the slope over the step: 2/√π d ∫ exp(-(x + td)²) dt for t from 0 to 1."""
    mean = sum(w * np.exp(-np.square(x + t * d)) for t, w in zip(_NODES, _WEIGHTS))
    return TWO_OVER_ROOT_PI * mean * d


# -- steepest slopes --------------------------------------------------------------------------------------------------
# |f'| is largest where the argument is nearest to a pole, or to the middle of a bell


def _steepest_inverse_sine(x: Reach) -> Any:
    return 1.0 / np.sqrt((1.0 - x.furthest) * (1.0 + x.furthest))


def _steepest_bell(x: Reach) -> Any:
    return bell(x.nearest)


# -- roundings of the worst implementation, NumPy's or XLA's: rounding t moves exp(t) by |t| roundings of itself ------


def _roundings_of_cbrt(x: Any) -> Any:
    log = np.abs(np.log(np.abs(x)))
    return ELEMENTARY * (1.0 + np.where(np.isfinite(log), log, 0.0))  # may be taken as a power, which rounds log(x)/3


def _roundings_of_sinh(x: Any) -> Any:
    return ELEMENTARY + np.abs(x)  # XLA takes exp(x - log 2), which rounds x


SERIES_ROUNDINGS = 2.0**14
"""Series and reflections lose far more digits than one rounding: four of the sixteen are taken to be random.

No bound reads this, since lgamma and its like state no steepest slope. It sizes random rounding, in float64 alone; in
float32 `reference.traced.random_rounding` limits it.
"""

# -- the records ------------------------------------------------------------------------------------------------------

FUNCTIONS: tuple[Elementary, ...] = (
    Elementary(
        np.exp,  # what formulas call, and so the rule of every arithmetic for it
        ball=lambda x: x.exp(),  # the truth, which the tests hold the others against
        primitive="exp",  # JAX's name
        algebraic_at=0.0,  # exp(0) is 1 exactly; a 1 at any other x has been rounded
        slope=lambda x, y: y,
        increment=lambda x, d, y: y * np.expm1(d),  # exp(x + d) - exp(x), where exp(d) - 1 would cancel
        steepest=lambda x: np.exp(x.most),  # an argument within E of x moves the result by E exp(x + E) at most
    ),
    Elementary(
        np.exp2, ball=lambda x: 2**x, primitive="exp2", slope=lambda x, y: LOG2 * y,
        increment=lambda x, d, y: y * np.expm1(LOG2 * d),
        steepest=lambda x: LOG2 * np.exp2(x.most),
        roundings=lambda x: ELEMENTARY * (1.0 + np.abs(x)),  # XLA takes exp(x log 2), which rounds the product
    ),
    Elementary(
        np.expm1, ball=lambda x: x.expm1(), primitive="expm1", algebraic_at=0.0, slope=lambda x, y: np.exp(x),
        tangent=lambda x, y: y + 1.0, increment=lambda x, d, y: np.exp(x) * np.expm1(d),
        steepest=lambda x: np.exp(x.most),
    ),
    Elementary(
        np.log, ball=lambda x: x.log(), primitive="log", algebraic_at=1.0, slope=lambda x, y: 1.0 / x,
        increment=lambda x, d, y: log_of_one_plus(d / x),
        steepest=lambda x: 1.0 / x.nearest,
    ),
    Elementary(
        np.log1p, ball=lambda x: x.log1p(), primitive="log1p", algebraic_at=0.0,
        slope=lambda x, y: 1.0 / (1.0 + x), increment=lambda x, d, y: log_of_one_plus(d / (1.0 + x)),
        steepest=lambda x: 1.0 / np.maximum(1.0 + x.least, 0.0),
        roundings=lambda x: np.where(x < 0.0, LOG1P_BELOW_ZERO, ELEMENTARY), usual_roundings=LOG1P_BELOW_ZERO,
    ),
    Elementary(
        np.sqrt, ball=lambda x: x.sqrt(), primitive="sqrt", ends=(0.0,), slope=lambda x, y: 0.5 / y,
        increment=lambda x, d, y: d / (np.sqrt(x + d) + y),
        steepest=lambda x: 0.5 / np.sqrt(x.nearest),
    ),
    Elementary(
        rsqrt, ball=lambda x: x.rsqrt(), primitive="rsqrt", slope=lambda x, y: -0.5 * y / x,
        increment=increment_of_rsqrt, steepest=steepest_power(-0.5),
    ),
    Elementary(
        np.cbrt, ball=lambda x: x.root(3) if x > 0 else -(-x).root(3), primitive="cbrt", evaluator=cbrt,
        slope=lambda x, y: 1.0 / (3.0 * np.square(y)), increment=increment_of_cbrt,
        steepest=steepest_power(1.0 / 3.0), roundings=_roundings_of_cbrt,
    ),
    Elementary(
        np.square, ball=lambda x: x * x, primitive="square", roundings=1.0, slope=lambda x, y: 2.0 * x,
        increment=lambda x, d, y: d * (2.0 * x + d), steepest=steepest_power(2.0),
    ),
    Elementary(
        one_minus_square, ball=one_minus_square, primitive="one_minus_square", roundings=3.0,
        slope=lambda x, y: -2.0 * x, increment=lambda x, d, y: -d * (2.0 * x + d),
        steepest=steepest_power(2.0),
    ),
    Elementary(
        np.sin, ball=lambda x: x.sin(), primitive="sin", algebraic_at=0.0, slope=lambda x, y: np.cos(x),
        increment=lambda x, d, y: 2.0 * np.cos(x + 0.5 * d) * np.sin(0.5 * d),
        steepest=lambda x: np.minimum(np.abs(np.cos(x.value)) + x.error, 1.0),
    ),
    Elementary(
        np.cos, ball=lambda x: x.cos(), primitive="cos", algebraic_at=0.0, slope=lambda x, y: -np.sin(x),
        increment=lambda x, d, y: -2.0 * np.sin(x + 0.5 * d) * np.sin(0.5 * d),
        steepest=lambda x: np.minimum(np.abs(np.sin(x.value)) + x.error, 1.0),
    ),
    Elementary(
        np.tan, ball=lambda x: x.tan(), primitive="tan", algebraic_at=0.0, roundings=2.0 * ELEMENTARY + 2.0,
        slope=lambda x, y: 1.0 / np.square(np.cos(x)),
        increment=lambda x, d, y: np.sin(d) / (np.cos(x) * np.cos(x + d)),
        # 1/cos², and |cos| falls by no more than the error of its argument
        steepest=lambda x: 1.0 / np.square(np.maximum(np.abs(np.cos(x.value)) - x.error, 0.0)),
    ),
    Elementary(
        np.arcsin, ball=lambda x: x.asin(), primitive="asin", algebraic_at=0.0, ends=(1.0, -1.0),
        slope=lambda x, y: 1.0 / np.sqrt((1.0 - x) * (1.0 + x)), increment=increment_of_asin,
        steepest=_steepest_inverse_sine,
    ),
    Elementary(
        np.arccos, ball=lambda x: x.acos(), primitive="acos", algebraic_at=1.0, ends=(1.0, -1.0),
        slope=lambda x, y: -1.0 / np.sqrt((1.0 - x) * (1.0 + x)),
        increment=lambda x, d, y: -increment_of_asin(x, d, y), steepest=_steepest_inverse_sine,
    ),
    Elementary(
        np.arctan, ball=lambda x: x.atan(), primitive="atan", algebraic_at=0.0,
        slope=lambda x, y: 1.0 / (1.0 + x * x),
        increment=lambda x, d, y: np.arctan(d / (1.0 + x * (x + d))), is_costly=True,
        steepest=lambda x: 1.0 / (1.0 + np.square(x.nearest)),
    ),
    Elementary(
        np.sinh, ball=lambda x: x.sinh(), primitive="sinh", algebraic_at=0.0, roundings=_roundings_of_sinh,
        slope=lambda x, y: np.cosh(x), increment=hyperbolic_increment(np.cosh), is_costly=True,
        steepest=lambda x: np.cosh(x.furthest),
    ),
    Elementary(
        np.cosh, ball=lambda x: x.cosh(), primitive="cosh", algebraic_at=0.0, roundings=_roundings_of_sinh,
        slope=lambda x, y: np.sinh(x), increment=hyperbolic_increment(np.sinh), is_costly=True,
        steepest=lambda x: np.sinh(x.furthest),
    ),
    Elementary(
        np.tanh, ball=lambda x: x.tanh(), primitive="tanh", algebraic_at=0.0,
        slope=lambda x, y: sech_squared(x), tangent=lambda x, y: 1.0 - y * y,
        increment=increment_of_tanh, is_costly=True,
        steepest=lambda x: sech_squared(x.nearest),
    ),
    Elementary(
        np.arcsinh, ball=lambda x: x.asinh(), primitive="asinh", algebraic_at=0.0,
        slope=lambda x, y: 1.0 / (np.hypot(1.0, x) if np.isrealobj(x) else np.sqrt(1.0 + x * x)),
        tangent=lambda x, y: 1.0 / np.sqrt(1.0 + x * x), increment=increment_of_asinh, is_costly=True,
        steepest=lambda x: 1.0 / np.hypot(1.0, x.nearest),
    ),
    Elementary(
        np.arccosh, ball=lambda x: x.acosh(), primitive="acosh", algebraic_at=1.0, ends=(1.0,),
        slope=lambda x, y: 1.0 / (np.sqrt(x - 1.0) * np.sqrt(x + 1.0)), increment=increment_of_acosh,
        steepest=lambda x: 1.0 / (np.sqrt(x.least - 1.0) * np.sqrt(x.least + 1.0)),
    ),
    Elementary(
        np.arctanh, ball=lambda x: x.atanh(), primitive="atanh", algebraic_at=0.0,
        roundings=ELEMENTARY + LOG1P_BELOW_ZERO, slope=lambda x, y: 1.0 / ((1.0 - x) * (1.0 + x)),
        steepest=lambda x: 1.0 / np.maximum((1.0 - x.furthest) * (1.0 + x.furthest), 0.0),
    ),
    Elementary(
        special.expit, ball=lambda x: 1 / (1 + (-x).exp()), primitive="logistic", evaluator=logistic, algebraic_at=0.0,
        slope=lambda x, y: y * logistic(-x),
        steepest=lambda x: 0.25 * sech_squared(0.5 * x.nearest),
        roundings=2.0 * ELEMENTARY + 4.0,  # XLA takes 1/(1 + exp(-x))
    ),
    Elementary(
        special.erf, ball=lambda x: x.erf(), primitive="erf", algebraic_at=0.0, slope=lambda x, y: bell(x),
        increment=increment_of_erf, is_costly=True, steepest=_steepest_bell,
    ),
    Elementary(
        special.erfc, ball=lambda x: x.erfc(), primitive="erfc", algebraic_at=0.0,
        # exp(-x²) rounds x², and below zero erfc is nearly 2; at x = 0.996, XLA's is off by 9.6 beside 2x²
        roundings=lambda x: ELEMENTARY + 2.0 + 2.0 * np.square(np.maximum(x, 0.0)),
        slope=lambda x, y: -bell(x), steepest=_steepest_bell,
    ),
    Elementary(
        special.erfinv, ball=lambda x: x.erfinv(), primitive="erf_inv", algebraic_at=0.0,
        slope=lambda x, y: np.exp(y * y) / TWO_OVER_ROOT_PI,
    ),
    Elementary(
        special.gammaln, ball=lambda x: abs(x.gamma()).log(), primitive="lgamma", roundings=SERIES_ROUNDINGS,
        is_series=True, slope=lambda x, y: special.digamma(x),
    ),
    Elementary(
        special.digamma, ball=lambda x: x.digamma(), primitive="digamma", roundings=SERIES_ROUNDINGS,
        is_series=True, slope=lambda x, y: trigamma(x),
    ),
    Elementary(
        special.i0e, ball=lambda x: (-abs(x)).exp() * x.bessel_i(0 * x), primitive="bessel_i0e", algebraic_at=0.0,
        slope=lambda x, y: special.i1e(x) - np.sign(x) * y,
    ),
    Elementary(
        special.i1e, ball=lambda x: (-abs(x)).exp() * x.bessel_i(1 + 0 * x), primitive="bessel_i1e", algebraic_at=0.0,
        slope=lambda x, y: special.i0e(x) - np.where(x == 0.0, 0.5, y / np.where(x == 0.0, 1.0, x)) - np.sign(x) * y,
    ),
)  # fmt: skip

PRIMITIVES: dict[str, Elementary] = {f.primitive: f for f in FUNCTIONS if f.primitive is not None}
"""Records by the name of JAX's primitive."""
