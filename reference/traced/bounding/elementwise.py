"""Bounds for primitives that work entry by entry.

y = f(x) hands on sup |f'| E, and rounds; what a direction changes of it, f'(x) dx, hands on sup |f'| of the error of dx
and sup |f''| E |dx|. Both suprema are over all x that E allows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment
from reference.arithmetics.many_directions import is_constant
from reference.arithmetics.roundoff import ELEMENTARY, LOG1P_BELOW_ZERO
from reference.traced.bounding.parts import Parts, may_differ, of_value, packed, parts
from reference.traced.elementwise import LOG2, SMOOTH, TWO_OVER_SQRT_PI
from reference.traced.elementwise import RULES as PLAIN

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


def _of_power(exponent: float) -> Callable[[Reach], Slopes]:
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
    "sqrt": _of_power(0.5),
    "rsqrt": _of_power(-0.5),
    "cbrt": _of_power(1.0 / 3.0),
    "square": _of_power(2.0),
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
        error = _of_change(run, own, steepest, bend, moved)
        if name in ("erf", "erfc"):
            error = error + run.own_unit * np.square(x.value) * np.abs(moved)  # exp(-x²) rounds x²
        return run.rounded(equation, value, inherited, size, moved, error)

    return rule


def _of_change(run: Any, x: Parts, steepest: Any, bend: Any, moved: Any) -> Any:
    turned = times(bend, x.error) * (np.abs(x.change) + x.change_error)
    return times(steepest, x.change_error) + turned + CHANGE_ROUNDINGS * run.own_unit * np.abs(moved)


def _integer_pow(run: Any, equation: Any, x: Increment) -> Increment:
    exponent = equation.params["y"]
    plain = PLAIN["integer_pow"](run, equation, Increment(x.value, parts(x, run.count).change if run.count else 0.0))
    own = parts(x, run.count)
    steepest, bend = _of_power(float(exponent))(Reach(own))
    size = (ELEMENTARY + 2.0 * abs(exponent)) * np.abs(plain.value)
    if not run.count or is_constant(plain):
        return run.rounded(equation, plain.value, times(steepest, own.error), size)
    error = _of_change(run, own, steepest, bend, plain.change)
    return run.rounded(equation, plain.value, times(steepest, own.error), size, plain.change, error)


# -- of two numbers ---------------------------------------------------------------------------------------------------


def together(rule: Callable[..., Increment]) -> Callable[..., Increment]:
    """A rule for operands of one rank, given with their parts; what is no number has no error."""

    def on_parts(run: Any, equation: Any, *operands: Increment) -> Increment:
        rank = max(np.ndim(x.value) for x in operands)
        return rule(run, equation, *[parts(x, run.count, rank) for x in operands])

    return on_parts


def _sum(sign: float) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
        value = x.value + sign * y.value
        inherited, size = x.error + y.error, np.abs(value)
        if not np.any(inherited) and run.is_exact_sum(equation, x.value, sign * y.value):
            size = 0.0
        if not run.count:
            return run.rounded(equation, value, inherited, size)
        change = x.change + sign * y.change
        error = x.change_error + y.change_error + run.own_unit * np.abs(change)
        return run.rounded(equation, value, inherited, size, change, error)

    return together(rule)


def _multiply(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    value = x.value * y.value
    size_x, size_y = np.abs(x.value), np.abs(y.value) + y.error
    inherited, size = size_x * y.error + x.error * size_y, np.abs(value)
    if not np.any(inherited) and run.is_exact_product(equation, x.value, y.value):
        size = 0.0
    if not run.count:
        return run.rounded(equation, value, inherited, size)
    dx, dy = np.abs(x.change), np.abs(y.change)
    change = x.value * y.change + x.change * y.value
    error = (
        (size_x + x.error) * y.change_error + x.error * dy + x.change_error * size_y + dx * y.error
        + 2.0 * run.own_unit * (size_x * dy + dx * size_y)
    )  # fmt: skip
    return run.rounded(equation, value, inherited, size, change, error)


def _divide(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    value = x.value / y.value
    nearest = np.maximum(np.abs(y.value) - y.error, 0.0)
    inherited = times(1.0 / nearest, x.error + np.abs(value) * y.error)
    size = 2.0 * np.abs(value)  # XLA may take the product with a reciprocal
    if not run.count:
        return run.rounded(equation, value, inherited, size)
    change = (x.change - value * y.change) / y.value
    terms = np.abs(x.change) + np.abs(value * y.change)
    error = (
        x.change_error + (np.abs(value) + inherited) * y.change_error + inherited * np.abs(y.change)
        + 4.0 * run.own_unit * terms + np.abs(change) * y.error
    ) / nearest  # fmt: skip
    return run.rounded(equation, value, inherited, size, change, error)


def _extreme(larger: bool) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
        wins = x.value > y.value if larger else x.value < y.value
        value = np.maximum(x.value, y.value) if larger else np.minimum(x.value, y.value)
        undecided = may_differ(x, y)
        error = np.where(undecided, np.maximum(x.error, y.error), np.where(wins, x.error, y.error))
        if not run.count:
            return of_value(value, error, 0)
        return chosen(value, error, np.where(wins, 0, 1), [x, y], undecided)

    return together(rule)


def chosen(value: Any, error: Any, index: Any, cases: list[Parts], undecided: Any) -> Increment:
    """One of several cases by its number, its change good to that of any other where that is undecided."""
    change, change_error = cases[0].change, cases[0].change_error
    for i, case in enumerate(cases[1:], 1):
        change = np.where(index == i, case.change, change)
        change_error = np.where(index == i, case.change_error, change_error)
    if np.any(undecided):
        others = np.max([np.abs(case.change - change) + case.change_error for case in cases], axis=0)
        change_error = np.where(undecided, np.maximum(change_error, others), change_error)
    return packed(value, error, change, change_error)


def _clamp(run: Any, equation: Any, low: Increment, x: Increment, high: Increment) -> Increment:
    return BOUNDS["min"](run, equation, BOUNDS["max"](run, equation, low, x), high)


def _pow(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    """x^y of positive x: a power is taken as exp(y log x), which rounds the exponent."""
    value = np.power(x.value, y.value)
    low, high = np.maximum(x.value - x.error, 0.0), x.value + x.error
    logs = np.maximum(np.abs(np.log(low)), np.abs(np.log(high)))
    p, p_error = y.value, y.error

    def largest(exponent: Any, error: Any) -> Any:
        ends = [np.power(base, e) for base in (low, high) for e in (exponent - error, exponent + error)]
        return np.max(ends, axis=0)

    power, lower = largest(p, p_error), largest(p - 1.0, p_error)
    size_p = np.abs(p) + p_error
    inherited = times(size_p * lower, x.error) + times(logs * power, p_error)
    exponent = np.abs(p * np.log(np.abs(x.value)))
    size = ELEMENTARY * (1.0 + np.abs(p) + np.where(np.isfinite(exponent), exponent, 0.0)) * np.abs(value)
    if not run.count:
        return run.rounded(equation, value, inherited, size)
    change = PLAIN["pow"](run, equation, Increment(x.value, x.change), Increment(p, y.change)).change
    dx, dy = np.abs(x.change) + x.change_error, np.abs(y.change) + y.change_error
    of_x, of_y, of_both = size_p * lower, logs * power, (size_p * logs + 1.0) * lower  # the last bounds |∂²/∂x∂y|
    bend_x, bend_y = size_p * (size_p + 1.0) * largest(p - 2.0, p_error), logs * logs * power
    error = (
        times(of_x, x.change_error) + times(of_y, y.change_error)
        + times(bend_x * dx + of_both * dy, x.error) + times(of_both * dx + bend_y * dy, p_error)
        + 2.0 * CHANGE_ROUNDINGS * run.own_unit * (times(of_x, np.abs(x.change)) + times(of_y, np.abs(y.change)))
    )  # fmt: skip
    return run.rounded(equation, value, inherited, size, change, error)


def _atan2(run: Any, equation: Any, y: Parts, x: Parts) -> Increment:
    value = np.arctan2(y.value, x.value)
    low = [np.maximum(np.abs(part.value) - part.error, 0.0) for part in (x, y)]
    near, errors = np.hypot(*low), x.error + y.error
    across = (y.error > 0.0) & ~(np.abs(y.value) > 2.0 * y.error) & ~(x.value > x.error)
    inherited = np.where(across, np.inf, times(1.0 / near, errors))
    if not run.count:
        return run.rounded(equation, value, inherited, ELEMENTARY * np.abs(value))
    change = PLAIN["atan2"](run, equation, Increment(y.value, y.change), Increment(x.value, x.change)).change
    sizes = np.abs(x.change) + np.abs(y.change)
    error = (
        (x.change_error + y.change_error) / near + times(1.0 / near**2, errors) * sizes
        + CHANGE_ROUNDINGS * run.own_unit * sizes / near
    )  # fmt: skip
    return run.rounded(equation, value, inherited, ELEMENTARY * np.abs(value), change, error)


def _remainder(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    """x - n y with a whole number n of turns, which itself rounds nothing; infinite where n may be another."""
    value = np.fmod(x.value, y.value)
    turns = np.round((x.value - value) / y.value)
    error = x.error + np.abs(turns) * y.error
    room = np.minimum(np.abs(value), np.abs(y.value) - np.abs(value))
    error = np.where((error > 0.0) & ~(room > 2.0 * (error + y.error)), np.inf, error)
    if not run.count:
        return run.rounded(equation, value, error, 0.0)
    change = x.change - turns * y.change
    change_error = x.change_error + np.abs(turns) * y.change_error
    change_error = change_error + 2.0 * run.own_unit * (np.abs(x.change) + np.abs(turns * y.change))
    return run.rounded(equation, value, error, 0.0, change, change_error)


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
    "add": _sum(1.0),
    "add_any": _sum(1.0),
    "sub": _sum(-1.0),
    "mul": together(_multiply),
    "div": together(_divide),
    "max": _extreme(larger=True),
    "min": _extreme(larger=False),
    "clamp": _clamp,
    "pow": together(_pow),
    "atan2": together(_atan2),
    "rem": together(_remainder),
    "neg": _negate,
    "abs": _abs,
    "sign": _sign,
    **{name: _steps(name) for name in ("floor", "ceil", "round")},
    "stop_gradient": _stop,
    "is_finite": _is_finite,
}
