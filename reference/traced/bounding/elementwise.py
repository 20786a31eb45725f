"""Bounds for functions of one number, entry by entry.

y = f(x) hands on sup |f'| E, and rounds; what a direction changes of it, f'(x) dx, hands on sup |f'| of the error of dx
and sup |f''| E |dx|. Both suprema are over all x that E allows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment, is_constant
from reference.arithmetics.roundoff import ELEMENTARY, LOG1P_BELOW_ZERO
from reference.traced.bounding.parts import Parts, of_value, packed, parts
from reference.traced.primitives.elementwise import LOG2, SMOOTH, TWO_OVER_SQRT_PI
from reference.traced.primitives.elementwise import RULES as PLAIN

CHANGE_ROUNDINGS = 64.0
"""Of a change, in u: the interpreter's slopes are some four elementary functions and as many products, none of which
cancels."""


class Reach:
    """Where an argument may be: |x| is at least `low` and at most `high`, x at least `least` and at most `most`."""

    def __init__(self, x: Parts):
        self.value, self.error = x.value, x.error
        self.low, self.high = np.maximum(np.abs(x.value) - x.error, 0.0), np.abs(x.value) + x.error
        self.least, self.most = x.value - x.error, x.value + x.error


Slopes = tuple[Any, Any]


def _of_exp(x: Reach) -> Slopes:
    slope = np.exp(x.most)
    return slope, slope


def _of_exp2(x: Reach) -> Slopes:
    slope = LOG2 * np.exp2(x.most)
    return slope, LOG2 * slope


def _of_log(x: Reach) -> Slopes:
    slope = 1.0 / np.maximum(x.least, 0.0)
    return slope, slope * slope


def _of_log1p(x: Reach) -> Slopes:
    slope = 1.0 / np.maximum(1.0 + x.least, 0.0)
    return slope, slope * slope


def of_power(exponent: float) -> Callable[[Reach], Slopes]:
    """Of |x|^p: sup |p| |x|^(p-1) and sup |p (p-1)| |x|^(p-2), each at one end."""

    def largest(x: Reach, p: float) -> Any:
        return np.power(x.high if p >= 0.0 else x.low, p)

    bend = exponent * (exponent - 1.0)
    return lambda x: (
        abs(exponent) * largest(x, exponent - 1.0),
        abs(bend) * largest(x, exponent - 2.0) if bend else 0.0,
    )


def _of_logistic(x: Reach) -> Slopes:
    slope = np.minimum(0.25, np.exp(-x.low))
    return slope, slope  # |σ''| = σ' |1 - 2σ|


def _of_sin(x: Reach) -> Slopes:
    return np.minimum(np.abs(np.cos(x.value)) + x.error, 1.0), 1.0


def _of_cos(x: Reach) -> Slopes:
    return np.minimum(np.abs(np.sin(x.value)) + x.error, 1.0), 1.0


def _of_tan(x: Reach) -> Slopes:
    cosine = np.maximum(np.abs(np.cos(x.value)) - x.error, 0.0)
    return 1.0 / cosine**2, 2.0 / cosine**3


def _of_sinh(x: Reach) -> Slopes:
    slope = np.cosh(x.high)
    return slope, slope


def _of_tanh(x: Reach) -> Slopes:
    slope = np.minimum(1.0, 4.0 * np.exp(-2.0 * x.low))
    return slope, 2.0 * slope


def _of_asinh(x: Reach) -> Slopes:
    slope = 1.0 / np.hypot(1.0, x.low)
    return slope, slope


def _of_atan(x: Reach) -> Slopes:
    slope = 1.0 / (1.0 + x.low**2)
    return slope, slope


def _of_asin(x: Reach) -> Slopes:
    square = (1.0 - x.high) * (1.0 + x.high)
    return 1.0 / np.sqrt(square), x.high / np.power(square, 1.5)


def _of_atanh(x: Reach) -> Slopes:
    slope = 1.0 / np.maximum((1.0 - x.high) * (1.0 + x.high), 0.0)
    return slope, 2.0 * x.high * slope**2


def _of_acosh(x: Reach) -> Slopes:
    square = (x.least - 1.0) * (x.least + 1.0)
    return 1.0 / np.sqrt(square), x.least / np.power(square, 1.5)


def _of_erf(x: Reach) -> Slopes:
    slope = TWO_OVER_SQRT_PI * np.exp(-x.low * x.low)
    return slope, 2.0 * x.high * slope


SLOPES: dict[str, Callable[[Reach], Slopes]] = {
    "exp": _of_exp,
    "expm1": _of_exp,
    "exp2": _of_exp2,
    "log": _of_log,
    "log1p": _of_log1p,
    "sqrt": of_power(0.5),
    "rsqrt": of_power(-0.5),
    "cbrt": of_power(1.0 / 3.0),
    "square": of_power(2.0),
    "logistic": _of_logistic,
    "sin": _of_sin,
    "cos": _of_cos,
    "tan": _of_tan,
    "sinh": _of_sinh,
    "cosh": _of_sinh,
    "tanh": _of_tanh,
    "asinh": _of_asinh,
    "atan": _of_atan,
    "asin": _of_asin,
    "acos": _of_asin,
    "acosh": _of_acosh,
    "atanh": _of_atanh,
    "erf": _of_erf,
    "erfc": _of_erf,
}
"""Bounds on |f'| and |f''| over what the argument's error allows."""

ROUNDINGS: dict[str, Callable[[Any], Any] | float] = {
    "exp2": lambda x: ELEMENTARY * (1.0 + np.abs(x)),  # taken as exp(x log 2), which rounds the product
    "log1p": lambda x: np.where(x < 0.0, LOG1P_BELOW_ZERO, ELEMENTARY),
    "sqrt": 2.0,
    "square": 1.0,
    "cbrt": lambda x: ELEMENTARY * (1.0 + _size_of_log(x)),  # taken as a power
    "logistic": 2.0 * ELEMENTARY + 4.0,
    "tan": 2.0 * ELEMENTARY + 2.0,
    "sinh": lambda x: ELEMENTARY + np.abs(x),  # taken as exp(x - log 2), which rounds x
    "cosh": lambda x: ELEMENTARY + np.abs(x),
    "atanh": ELEMENTARY + LOG1P_BELOW_ZERO,
    "erfc": lambda x: ELEMENTARY + 2.0 * np.square(x),  # exp(-x²) rounds x²
}
"""What one call rounds, in u; `ELEMENTARY` of those that are not here."""


def _size_of_log(x: Any) -> Any:
    log = np.abs(np.log(np.abs(x)))
    return np.where(np.isfinite(log), log, 0.0)


def times(slope: Any, error: Any) -> Any:
    """What a slope makes of an error; of no error nothing, however steep."""
    return np.where(error == 0.0, 0.0, slope * error)


def _smooth(name: str) -> Callable[..., Increment]:
    function, change = SMOOTH[name]
    slopes, roundings = SLOPES[name], ROUNDINGS.get(name, float(ELEMENTARY))

    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        value = function(x.value)
        size = (roundings(x.value) if callable(roundings) else roundings) * np.abs(value)
        if is_constant(x):
            return run.rounded(equation, value, 0.0, size)
        own = parts(x, run.count)
        steepest, bend = slopes(Reach(own))
        inherited = times(steepest, own.error)
        if not run.count:
            return run.rounded(equation, value, inherited, size)
        moved = change(Increment(x.value, own.change), value)
        error = of_change(run, own, steepest, bend, moved)
        if name in ("erf", "erfc"):
            error = error + run.own_unit * np.square(x.value) * np.abs(moved)  # exp(-x²) rounds x²
        return run.rounded(equation, value, inherited, size, moved, error)

    return rule


def of_change(run: Any, x: Parts, steepest: Any, bend: Any, moved: Any) -> Any:
    """The error of f'(x) dx, from sup |f'| and sup |f''|."""
    turned = times(bend, x.error) * (np.abs(x.change) + x.change_error)
    return times(steepest, x.change_error) + turned + CHANGE_ROUNDINGS * run.own_unit * np.abs(moved)


def _integer_pow(run: Any, equation: Any, x: Increment) -> Increment:
    exponent = equation.params["y"]
    plain = PLAIN["integer_pow"](run, equation, Increment(x.value, parts(x, run.count).change if run.count else 0.0))
    own = parts(x, run.count)
    steepest, bend = of_power(float(exponent))(Reach(own))
    size = (ELEMENTARY + 2.0 * abs(exponent)) * np.abs(plain.value)
    if not run.count or is_constant(plain):
        return run.rounded(equation, plain.value, times(steepest, own.error), size)
    error = of_change(run, own, steepest, bend, plain.change)
    return run.rounded(equation, plain.value, times(steepest, own.error), size, plain.change, error)


# -- steps ------------------------------------------------------------------------------------------------------------


def _negate(run: Any, equation: Any, x: Increment) -> Increment:
    own = parts(x, run.count)
    if is_constant(x):
        return Increment(-x.value, 0.0)
    return packed(-x.value, own.error, -own.change, own.change_error)


def _abs(run: Any, equation: Any, x: Increment) -> Increment:
    if is_constant(x):
        return Increment(np.abs(x.value), 0.0)
    own = parts(x, run.count)
    undecided = (own.error > 0.0) & ~(np.abs(x.value) > 2.0 * own.error)
    change = np.where(own.value < 0.0, -1.0, 1.0) * own.change
    return packed(np.abs(x.value), own.error, change, own.change_error + np.where(undecided, 2.0 * np.abs(change), 0.0))


def _sign(run: Any, equation: Any, x: Increment) -> Increment:
    own = parts(x, run.count)
    undecided = (own.error > 0.0) & ~(np.abs(own.value) > 2.0 * own.error)
    return of_value(np.sign(x.value), np.where(undecided, 2.0, 0.0), run.count)


def _steps(name: str) -> Callable[..., Increment]:
    """A function that is constant between its jumps: exact away from these."""

    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        own = parts(x, run.count)

        def at(value: Any) -> Any:
            return PLAIN[name](run, equation, Increment(value, 0.0)).value

        jumps = at(own.value - 2.0 * own.error) != at(own.value + 2.0 * own.error)
        return of_value(at(own.value), np.where(jumps, np.inf, 0.0), run.count)

    return rule


def _stop(run: Any, equation: Any, x: Increment) -> Increment:
    return of_value(x.value, parts(x, run.count).error, run.count)


def _is_finite(run: Any, equation: Any, x: Increment) -> Increment:
    value = np.isfinite(x.value)
    return of_value(value, ~np.isfinite(parts(x, run.count).error), run.count)


BOUNDS: dict[str, Callable[..., Any]] = {
    **{name: _smooth(name) for name in SLOPES},
    "integer_pow": _integer_pow,
    "neg": _negate,
    "abs": _abs,
    "sign": _sign,
    **{name: _steps(name) for name in ("floor", "ceil", "round")},
    "stop_gradient": _stop,
    "is_finite": _is_finite,
}
