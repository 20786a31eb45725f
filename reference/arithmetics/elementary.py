"""Elementary functions of one number: one record each, which every arithmetic reads.

Increments, tangents, rounding bounds, complex steps and the rules for JAX's primitives are made of these records. To
add a function to all of them, add its record here; that of exp, the first one, says what each field is. The tests of
`tests/reference/arithmetics/test_elementary.py` take it up by themselves.

Balls, Taylor models and the complex logarithms keep evaluators of their own on purpose. A wrong slope here misleads
increments and tangents alike, and only an independent evaluation reveals it: the tests compare each record with balls.
So a proof or a certified value of a new function needs its rule in `balls` and `taylor.expansions` as well.

No slope is JAX's. Sources: NIST DLMF, sections 4, 5, 7, 8 and 10.
"""

from typing import Any

import numpy as np
from scipy import special

from reference.arithmetics.elementary_formulas import (
    LOG2,
    TWO_OVER_ROOT_PI,
    bell,
    cbrt,
    hyperbolic_increment,
    increment_of_acosh,
    increment_of_asin,
    increment_of_asinh,
    increment_of_cbrt,
    increment_of_erf,
    increment_of_rsqrt,
    increment_of_tanh,
    log_of_one_plus,
    logistic,
    one_minus_square,
    rsqrt,
    sech_squared,
    trigamma,
)
from reference.arithmetics.elementary_record import Elementary, Reach, steepest_power
from reference.arithmetics.roundoff import ELEMENTARY, LOG1P_BELOW_ZERO

# -- steepest slopes --------------------------------------------------------------------------------------------------
# |f'| is largest where the argument is nearest to a pole, or to the middle of a bell


def _steepest_inverse_sine(x: Reach) -> Any:
    return 1.0 / np.sqrt((1.0 - x.furthest) * (1.0 + x.furthest))


def _steepest_bell(x: Reach) -> Any:
    return bell(x.nearest)


# -- roundings --------------------------------------------------------------------------------------------------------
# of the worst implementation, NumPy's or XLA's: to round the t of exp(t) moves the result by |t| roundings of itself


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
