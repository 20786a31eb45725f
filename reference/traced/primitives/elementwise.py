"""Primitives that work entry by entry.

Identities for increments are used where there are some (`reference.arithmetics.increments`), else slope · change, exact
for steps of 2^-200, written so that nothing cancels. No slope is JAX's; see NIST DLMF, sections 4, 5, 7, 8, 10.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from reference.arithmetics.increments import Increment, aligned, constant, directions, is_constant, linear

LOG2 = float(np.log(2.0))
TWO_OVER_SQRT_PI = float(2.0 / np.sqrt(np.pi))

# -- functions of one number ------------------------------------------------------------------------------------------


def _cbrt(x: Any) -> Any:
    return np.cbrt(x) if np.isrealobj(x) else np.power(x, 1.0 / 3.0)


def _logistic(x: Any) -> Any:
    return special.expit(x) if np.isrealobj(x) else 1.0 / (1.0 + np.exp(-x))


def _small_log(ratio: Any) -> Any:
    """log(1 + r) of a tiny r; NumPy's complex one rounds the real part away."""
    return np.log1p(ratio) if np.isrealobj(ratio) else ratio


def _change_of_cbrt(x: Increment, y: Any) -> Any:
    return np.where(y == 0.0, _cbrt(x.change), x.change / (3.0 * np.where(y == 0.0, 1.0, y) ** 2))


def _change_of_rsqrt(x: Increment, y: Any) -> Any:
    root, root_after = np.sqrt(x.value), np.sqrt(x.after)
    return -x.change / (root * root_after * (root + root_after))


def _change_of_sqrt(x: Increment, root: Any) -> Any:
    return x.change / (np.sqrt(x.after) + root)


def _change_of_logistic(x: Increment, y: Any) -> Any:
    return y * _logistic(-x.value) * x.change


def _change_of_tanh(x: Increment, y: Any) -> Any:
    if np.iscomplexobj(y):
        return x.change / np.square(np.cosh(x.value))
    away = np.exp(-2.0 * np.abs(x.value))  # cosh would overflow
    return x.change * 4.0 * away / np.square(1.0 + away)


def _change_of_acosh(x: Increment, _: Any) -> Any:
    change = x.change / (np.sqrt(x.value - 1.0) * np.sqrt(x.value + 1.0))
    return np.where(x.value == 1.0, 2.0 * np.arcsinh(np.sqrt(0.5 * x.change)), change)


def _change_of_asin(x: Increment, _: Any) -> Any:
    change = x.change / np.sqrt((1.0 - x.value) * (1.0 + x.value))
    end = np.where((x.value == 1.0) | (x.value == -1.0), np.sign(np.real(x.value)), 0.0)
    return np.where(end != 0.0, -end * 2.0 * np.arcsin(np.sqrt(-0.5 * end * x.change)), change)


def _change_of_bessel_i1e(x: Increment, y: Any) -> Any:
    near_zero = x.value == 0.0
    slope = special.i0e(x.value) - (1.0 / np.where(near_zero, 1.0, x.value) + np.sign(x.value)) * y
    small = np.abs(x.value) < 1e-2  # i1'(x) = 1/2 + 3x²/16 + 5x⁴/384 + 7x⁶/18432 + ...
    square = np.square(np.where(small, x.value, 0.0))
    series = 0.5 + square * (3.0 / 16.0 + square * (5.0 / 384.0 + square * 7.0 / 18432.0))
    scaled = np.exp(-np.abs(x.value)) * series - np.sign(x.value) * y
    return np.where(small, scaled, slope) * x.change


def _times(slope: Callable[[Any, Any], Any]) -> Callable[[Increment, Any], Any]:
    """The change from a slope, given x and y = f(x)."""
    return lambda x, y: slope(x.value, y) * x.change


SMOOTH: dict[str, tuple[Callable[[Any], Any], Callable[[Increment, Any], Any]]] = {
    "exp": (np.exp, lambda x, y: y * np.expm1(x.change)),
    "exp2": (np.exp2, lambda x, y: y * np.expm1(LOG2 * x.change)),
    "expm1": (np.expm1, lambda x, _: np.exp(x.value) * np.expm1(x.change)),
    "log": (np.log, lambda x, _: _small_log(x.change / x.value)),
    "log1p": (np.log1p, lambda x, _: _small_log(x.change / (1.0 + x.value))),
    "sqrt": (np.sqrt, _change_of_sqrt),
    "rsqrt": (lambda x: 1.0 / np.sqrt(x), _change_of_rsqrt),
    "cbrt": (_cbrt, _change_of_cbrt),
    "square": (np.square, lambda x, _: x.change * (2.0 * x.value + x.change)),
    "logistic": (_logistic, _change_of_logistic),
    "sin": (np.sin, lambda x, _: 2.0 * np.cos(x.value + 0.5 * x.change) * np.sin(0.5 * x.change)),
    "cos": (np.cos, lambda x, _: -2.0 * np.sin(x.value + 0.5 * x.change) * np.sin(0.5 * x.change)),
    "tan": (np.tan, lambda x, _: np.sin(x.change) / (np.cos(x.value) * np.cos(x.after))),
    "asin": (np.arcsin, _change_of_asin),
    "acos": (np.arccos, lambda x, y: -_change_of_asin(x, y)),
    "atan": (np.arctan, _times(lambda x, _: 1.0 / (1.0 + x * x))),
    "sinh": (np.sinh, _times(lambda x, _: np.cosh(x))),
    "cosh": (np.cosh, _times(lambda x, _: np.sinh(x))),
    "tanh": (np.tanh, _change_of_tanh),
    "asinh": (np.arcsinh, _times(lambda x, _: 1.0 / (np.hypot(1.0, x) if np.isrealobj(x) else np.sqrt(1.0 + x * x)))),
    "acosh": (np.arccosh, _change_of_acosh),
    "atanh": (np.arctanh, _times(lambda x, _: 1.0 / ((1.0 - x) * (1.0 + x)))),
    "erf": (special.erf, _times(lambda x, _: TWO_OVER_SQRT_PI * np.exp(-x * x))),
    "erfc": (special.erfc, _times(lambda x, _: -TWO_OVER_SQRT_PI * np.exp(-x * x))),
    "erf_inv": (special.erfinv, _times(lambda _, y: np.exp(y * y) / TWO_OVER_SQRT_PI)),
    "lgamma": (special.gammaln, _times(lambda x, _: special.digamma(x))),
    "digamma": (special.digamma, _times(lambda x, _: _trigamma(x))),
    "bessel_i0e": (special.i0e, _times(lambda x, y: special.i1e(x) - np.sign(x) * y)),
    "bessel_i1e": (special.i1e, _change_of_bessel_i1e),
}
"""From a primitive to the function and its change, given x and y = f(x)."""

ENDS = {"sqrt": (0.0,), "asin": (1.0, -1.0), "acos": (1.0, -1.0), "acosh": (1.0,)}
"""Where a domain ends with infinite slopes, so that what reaches there may have a kink."""

TRANSCENDENTAL = {*SMOOTH, "pow", "atan2"} - {"sqrt", "square"}


def _trigamma(x: Any) -> Any:
    """ψ'(x), by reflection where x is negative."""
    positive = np.where(x > 0.0, x, 1.0 - x)
    value = special.polygamma(1, positive)
    return np.where(x > 0.0, value, np.square(np.pi / np.sin(np.pi * x)) - value)


def _smooth(function: Callable[[Any], Any], change: Callable[[Increment, Any], Any]) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        y = function(x.value)
        if is_constant(x):
            return constant(y)
        ends = ENDS.get(equation.name, ())
        run.ties |= any(bool(np.any(x.value == end)) for end in ends)  # √x² = |x|, and so is arccos(1 - x²) over √2
        return Increment(y, change(x, y))

    return rule


def _integer_pow(run: Any, equation: Any, x: Increment) -> Increment:
    exponent = equation.params["y"]
    value = np.power(x.value, exponent) if exponent >= 0 else 1.0 / np.power(x.value, -exponent)
    if is_constant(x) or exponent == 0:
        return constant(value)
    steep = np.power(x.value, exponent - 1) if exponent >= 1 else 1.0 / np.power(x.value, 1 - exponent)
    change = exponent * steep * x.change
    if exponent < 0 or np.all(x.value != 0.0):
        return Increment(value, change)
    return Increment(value, np.where(x.value == 0.0, np.power(x.change, exponent), change))


def _abs(run: Any, equation: Any, x: Increment) -> Increment:
    value = np.abs(x.value)
    if is_constant(x):
        return constant(value)
    zero = x.value == 0.0
    run.ties |= bool(np.any(zero & (x.change != 0.0)))
    if np.isrealobj(x.value):
        return Increment(value, np.where(zero, np.abs(x.change), np.sign(x.value) * x.change))
    inner = (np.conj(x.value) * x.change).real / np.where(zero, 1.0, value)
    return Increment(value, np.where(zero, np.abs(x.change), inner))


def _sign(run: Any, equation: Any, x: Increment) -> Increment:
    if np.iscomplexobj(x.value):
        size = np.abs(x.value)
        value = x.value / np.where(size == 0.0, 1.0, size)
        if is_constant(x):
            return constant(value)
        radial = (np.conj(value) * x.change).real
        return Increment(value, (x.change - radial * value) / size)
    return _steps(run, x, np.sign(x.value), x.value == 0.0)


def _steps(run: Any, x: Increment, value: Any, at_jump: Any) -> Increment:
    """A function that is constant between its jumps."""
    if is_constant(x) or not np.any(at_jump & (x.change != 0.0)):
        return constant(value)
    run.unresolved = "a function that jumps (sign, floor, round) is at one of its jumps"
    return Increment(value, np.where(at_jump & (x.change != 0.0), np.nan, 0.0))


def _round(run: Any, equation: Any, x: Increment) -> Increment:
    method = str(getattr(equation.params.get("rounding_method"), "name", equation.params.get("rounding_method")))
    to_even = "EVEN" in method
    value = np.round(x.value) if to_even else np.trunc(x.value + np.copysign(0.5, x.value))
    return _steps(run, x, value, np.abs(x.value - np.trunc(x.value)) == 0.5)


def _whole(function: Callable[[Any], Any]) -> Callable[..., Increment]:
    return lambda run, equation, x: _steps(run, x, function(x.value), x.value == np.round(x.value))


# -- functions of two numbers -----------------------------------------------------------------------------------------


def together(rule: Callable[..., Increment]) -> Callable[..., Increment]:
    """A rule for operands of one rank; where nothing changes, only its value counts."""

    def aligned_rule(run: Any, equation: Any, *operands: Increment) -> Increment:
        if directions(*operands):
            rank = max(np.ndim(x.value) for x in operands)
            operands = tuple(aligned(x, rank) for x in operands)
        return rule(run, equation, *operands)

    return aligned_rule


def _sum(sign: float) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        value = x.value + y.value if sign > 0 else x.value - y.value
        count = directions(x, y)
        if not count:
            return constant(value)
        change = x.change if is_constant(y) else x.change + sign * y.change
        shape = (count, *np.shape(value))  # a single number may meet an array
        return Increment(value, change if change.shape == shape else np.broadcast_to(change, shape))

    return together(rule)


def _multiply(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    value = x.value * y.value
    if is_constant(x) or is_constant(y):
        change = x.value * y.change if is_constant(x) else x.change * y.value
        return Increment(value, 0.0 if is_constant(x) and is_constant(y) else change)
    return Increment(value, x.value * y.change + x.change * y.after)


def _divide(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    if np.asarray(x.value).dtype.kind in "iu":
        return constant(_truncated(x.value, y.value))
    quotient = x.value / y.value
    if is_constant(x) and is_constant(y):
        return constant(quotient)
    return Increment(quotient, (x.change - quotient * y.change) / (y.value + y.change))


def _truncated(x: Any, y: Any) -> Any:
    """Integer division that rounds to zero; by zero it is -1, as XLA has it."""
    safe = np.where(y == 0, 1, y)
    quotient = np.abs(x) // np.abs(safe) * np.sign(x) * np.sign(safe)
    return np.where(y == 0, -1, quotient).astype(np.asarray(x).dtype)


def _remainder(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    if np.asarray(x.value).dtype.kind in "iu":
        return constant(np.where(y.value == 0, x.value, np.fmod(x.value, np.where(y.value == 0, 1, y.value))))
    value = np.fmod(x.value, y.value)
    if is_constant(x) and is_constant(y):
        return constant(value)
    turns = np.round((x.value - value) / y.value)
    moved = x.change - turns * y.change
    at_jump = (value == 0.0) & (x.value != 0.0) & (moved != 0.0)
    if np.any(at_jump):
        run.unresolved = "a remainder is at one of its jumps"
    return Increment(value, np.where(at_jump, np.nan, moved))


def _pow(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    power = np.power(x.value, y.value)
    if is_constant(x) and is_constant(y):
        return constant(power)
    change: Any = 0.0
    if not is_constant(x):
        zero = x.value == 0.0
        safe = np.where(zero, 1.0, x.value)
        growth = np.where(zero, np.power(x.after, y.value) - power, y.value * np.power(safe, y.value - 1.0) * x.change)
        change = change + np.where(y.value == 0.0, 0.0, growth)
    if not is_constant(y):
        nothing = (x.value == 0.0) & (np.real(y.value) > 0.0)
        log = np.log(np.where(nothing, 1.0, x.value))
        change = change + np.where(nothing, 0.0, power * log * y.change)
    return Increment(power, change)


def _atan2(run: Any, equation: Any, y: Increment, x: Increment) -> Increment:
    if np.iscomplexobj(y.value):
        size = np.sqrt(x.value * x.value + y.value * y.value)
        value = -1j * np.log((x.value + 1j * y.value) / size)
    else:
        size, value = np.hypot(x.value, y.value), np.arctan2(y.value, x.value)
    if is_constant(x) and is_constant(y):
        return constant(value)
    return Increment(value, (x.value / size * y.change - y.value / size * x.change) / size)


def _complex(run: Any, equation: Any, real: Increment, imaginary: Increment) -> Increment:
    value, count = real.value + 1j * imaginary.value, directions(real, imaginary)
    change = real.change + 1j * imaginary.change  # zero for a constant, which may be a single number
    return Increment(value, np.broadcast_to(change, (count, *np.shape(value))) if count else 0.0)


def _negate(run: Any, equation: Any, x: Increment) -> Increment:
    return Increment(-x.value, 0.0 if is_constant(x) else -x.change)


def _constant_function(function: Callable[..., Any]) -> Callable[..., Increment]:
    return lambda run, equation, x: constant(function(x.value))


def _stop(run: Any, equation: Any, x: Increment) -> Increment:
    stops = not (run.looks_through or is_constant(x))
    run.stopped += stops
    return constant(x.value) if stops else x


def _unchanged(run: Any, equation: Any, *operands: Increment) -> Any:
    return operands[0] if len(operands) == 1 else list(operands)


UNCHANGED = (
    "copy", "copy_p", "device_put", "reduce_precision", "optimization_barrier", "sharding_constraint", "pvary", "name",
)  # fmt: skip

RULES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(UNCHANGED, _unchanged),
    **{name: _smooth(*entry) for name, entry in SMOOTH.items()},
    "integer_pow": _integer_pow,
    "abs": _abs,
    "sign": _sign,
    "floor": _whole(np.floor),
    "ceil": _whole(np.ceil),
    "round": _round,
    "is_finite": _constant_function(np.isfinite),
    "neg": _negate,
    "add": _sum(1.0),
    "add_any": _sum(1.0),
    "sub": _sum(-1.0),
    "mul": together(_multiply),
    "div": together(_divide),
    "rem": together(_remainder),
    "pow": together(_pow),
    "atan2": together(_atan2),
    "complex": together(_complex),
    "real": lambda run, equation, z: linear(lambda lead, a: a.real, z),
    "imag": lambda run, equation, z: linear(lambda lead, a: a.imag, z),
    "conj": lambda run, equation, z: linear(lambda lead, a: np.conj(a).astype(complex), z),
    "stop_gradient": _stop,
}
