"""Arithmetic of two numbers, entry by entry, and the parts of complex numbers.

A bound is the same as for functions of one number, with the slopes in each operand: of z = f(x, y), E_z = sup |∂f/∂x|
E_x + sup |∂f/∂y| E_y and the rounding. The suprema are at corners of both reaches, since f is monotone in each.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment, aligned, constant, count_directions, is_constant, linear
from reference.arithmetics.roundoff import ELEMENTARY, lost_in_sum
from reference.traced.bounded_run import Parts, is_undecided, parts, times
from reference.traced.equations import in_types, lifted
from reference.traced.primitive import EXACT, Choice, Primitive, Rounding, Rule, with_aliases
from reference.traced.primitives.elementary_functions import AT_CUT, crosses_cut
from reference.traced.random_rounding import has_few_bits


def of_one_rank(rule: Rule) -> Rule:
    """A rule for operands of one rank: JAX lets a number meet an array."""

    def aligned_rule(run: Any, equation: Any, *operands: Increment) -> Increment:
        # without directions NumPy broadcasts the values by itself
        if count_directions(*operands):
            rank = max(np.ndim(x.value) for x in operands)
            operands = tuple(aligned(x, rank) for x in operands)
        return rule(run, equation, *operands)

    return aligned_rule


def on_parts(bound: Callable[..., Increment]) -> Rule:
    """A bound from operands as `Parts`."""
    return lambda run, equation, *operands: bound(run, equation, *map(parts, operands))


# -- sums -------------------------------------------------------------------------------------------------------------


def _sum_primitive(name: str, sign: float) -> Primitive:
    def rule(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        value = x.value + y.value if sign > 0 else x.value - y.value
        count = count_directions(x, y)
        if not count:
            return constant(value)
        change = x.change if is_constant(y) else x.change + sign * y.change
        shape = (count, *np.shape(value))  # a single number may meet an array
        return Increment(value, change if change.shape == shape else np.broadcast_to(change, shape))

    def bound(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
        value = x.value + sign * y.value
        inherited, size = x.error + y.error, np.abs(value)
        # sums of whole numbers and halves round nothing, and what compares them must stay decided
        if not np.any(inherited) and run.is_exact_sum(equation, x.value, sign * y.value):
            size = 0.0
        return run.rounded(equation, value, inherited, size)

    def is_exact(is_short: Any, x: Any, y: Any) -> Any:
        """x + 0 is exact. 1e20 + 4 has as few bits as 1e20, and is rounded."""
        is_kept = (x == 0.0) | (y == 0.0)
        if np.any(is_short):
            lost = lost_in_sum(x, sign * y)
            is_kept |= is_short & ~(np.isfinite(lost) & (lost != 0.0))
        return is_kept

    return Primitive(name, of_one_rank(rule), on_parts(bound), Rounding(is_exact=is_exact))


# -- products and quotients -------------------------------------------------------------------------------------------


def _multiply(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    # (x + dx)(y + dy) - xy; where both are zero, dx dy is all that is left
    value = x.value * y.value
    if is_constant(x) or is_constant(y):
        change = x.value * y.change if is_constant(x) else x.change * y.value
        return Increment(value, 0.0 if is_constant(x) and is_constant(y) else change)
    return Increment(value, x.value * y.change + x.change * y.after)


def _bound_of_product(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    value = x.value * y.value
    inherited, size = np.abs(x.value) * y.error + x.error * (np.abs(y.value) + y.error), np.abs(value)
    if not np.any(inherited) and run.is_exact_product(equation, x.value, y.value):
        size = 0.0
    return run.rounded(equation, value, inherited, size)


def _is_exact_product(is_short: Any, x: Any, y: Any) -> Any:
    """A power of two moves the exponent alone."""
    return is_short | has_few_bits(x, 1) | has_few_bits(y, 1)


def _divide(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    if np.asarray(x.value).dtype.kind in "iu":
        return constant(_truncated(x.value, y.value))
    # q = x/y: (x + dx)/(y + dy) - q = (dx - q dy)/(y + dy)
    quotient = x.value / y.value
    if is_constant(x) and is_constant(y):
        return constant(quotient)
    return Increment(quotient, (x.change - quotient * y.change) / (y.value + y.change))


def _truncated(x: Any, y: Any) -> Any:
    """Integer division that rounds to zero; by zero it is -1, as XLA has it."""
    safe = np.where(y == 0, 1, y)
    # NumPy's rounds down; by absolute values instead, that of the smallest number would overflow
    is_rounded_down = (np.remainder(x, safe) != 0) & ((x < 0) != (safe < 0))
    return np.where(y == 0, -1, x // safe + is_rounded_down).astype(np.asarray(x).dtype)


def _bound_of_quotient(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    value = x.value / y.value
    nearest = np.maximum(np.abs(y.value) - y.error, 0.0)
    inherited = times(1.0 / nearest, x.error + np.abs(value) * y.error)
    return run.rounded(equation, value, inherited, 2.0 * np.abs(value))  # XLA may take the product with a reciprocal


def _is_exact_quotient(is_short: Any, x: Any, y: Any) -> Any:
    """XLA may multiply by a reciprocal, which is exact for powers of two alone: 3/3 is only nearly 1."""
    return has_few_bits(y, 1) | (x == 0.0)


def _remainder(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    if np.asarray(x.value).dtype.kind in "iu":
        return constant(np.where(y.value == 0, x.value, np.fmod(x.value, np.where(y.value == 0, 1, y.value))))
    # x - n y with n turns, so its change is dx - n dy, away from where n jumps
    value = np.fmod(x.value, y.value)
    if is_constant(x) and is_constant(y):
        return constant(value)
    turns = np.round((x.value - value) / y.value)
    moved = x.change - turns * y.change
    # fmod(4, 2): a step down gives nearly 2. At x = 0 it does not jump, since fmod has the sign of x
    at_jump = (value == 0.0) & (x.value != 0.0) & (moved != 0.0)
    return Increment(value, run.unknown(at_jump, moved, "a remainder is at one of its jumps"))


def _bound_of_remainder(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    """x - n y with a whole number n of turns, which itself rounds nothing; infinite where n may be another."""
    value = np.fmod(x.value, y.value)
    turns = np.round((x.value - value) / y.value)
    error = x.error + np.abs(turns) * y.error
    # how far x - n y is from the ends where n changes
    room = np.minimum(np.abs(value), np.abs(y.value) - np.abs(value))
    error = np.where((error > 0.0) & ~(room > 2.0 * (error + y.error)), np.inf, error)
    return run.rounded(equation, value, error, 0.0)


# -- powers and angles ------------------------------------------------------------------------------------------------


def _pow(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    """x^y, which changes by y x^(y-1) dx + x^y log(x) dy."""
    power = np.power(x.value, y.value)
    if is_constant(x) and is_constant(y):
        return constant(power)
    change: Any = 0.0
    if not is_constant(x):
        zero = x.value == 0.0
        safe = np.where(zero, 1.0, x.value)
        # at zero the slope p x^(p-1) may be infinite or 0 · ∞: take the finite increment
        growth = np.where(zero, np.power(x.after, y.value) - power, y.value * np.power(safe, y.value - 1.0) * x.change)
        change = change + np.where(y.value == 0.0, 0.0, growth)  # x^0 is 1, also at x = 0
    if not is_constant(y):
        # 0^p stays 0 for any p > 0, whatever log 0 is
        nothing = (x.value == 0.0) & (np.real(y.value) > 0.0)
        log = np.log(np.where(nothing, 1.0, x.value))
        change = change + np.where(nothing, 0.0, power * log * y.change)
    jumps = crosses_cut(np.real(x.value), np.imag(x.value), np.imag(x.change)) & (y.value != np.round(y.value))
    return Increment(power, run.unknown(jumps, change, AT_CUT))


def _bound_of_power(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    """x^y of positive x: XLA takes exp(y log x), which rounds the exponent."""
    value = np.power(x.value, y.value)
    low, high = np.maximum(x.value - x.error, 0.0), x.value + x.error
    logs = np.maximum(np.abs(np.log(low)), np.abs(np.log(high)))
    p, p_error = y.value, y.error

    def largest(exponent: Any) -> Any:
        """The largest value within both errors, which is at a corner: x^p is monotone in x and in p."""
        return np.max([np.power(base, e) for base in (low, high) for e in (exponent - p_error, exponent + p_error)], 0)

    inherited = times((np.abs(p) + p_error) * largest(p - 1.0), x.error) + times(logs * largest(p), p_error)
    exponent = np.abs(p * np.log(np.abs(x.value)))
    size = ELEMENTARY * (1.0 + np.abs(p) + np.where(np.isfinite(exponent), exponent, 0.0)) * np.abs(value)
    return run.rounded(equation, value, inherited, size)


def _atan2(run: Any, equation: Any, y: Increment, x: Increment) -> Increment:
    """The angle φ of (x, y): r dφ = cos φ dy - sin φ dx."""
    if np.iscomplexobj(y.value):
        size = np.sqrt(x.value * x.value + y.value * y.value)
        value = -1j * np.log((x.value + 1j * y.value) / size)
    else:
        size, value = np.hypot(x.value, y.value), np.arctan2(y.value, x.value)
    if is_constant(x) and is_constant(y):
        return constant(value)
    change = (x.value / size * y.change - y.value / size * x.change) / size
    return Increment(value, run.unknown(crosses_cut(x.value, y.value, y.change), change, AT_CUT))


def _bound_of_atan2(run: Any, equation: Any, y: Parts, x: Parts) -> Increment:
    value = np.arctan2(y.value, x.value)
    # |∇ atan2| = 1/r, the largest where r is the smallest
    low = [np.maximum(np.abs(part.value) - part.error, 0.0) for part in (x, y)]
    near, errors = np.hypot(*low), x.error + y.error
    # where y may change its sign at negative x, the angle may jump by 2π
    across_cut = is_undecided(y.value, y.error) & ~(x.value > x.error)
    inherited = np.where(across_cut, np.inf, times(1.0 / near, errors))
    return run.rounded(equation, value, inherited, ELEMENTARY * np.abs(value))


# -- complex numbers --------------------------------------------------------------------------------------------------


def _complex(run: Any, equation: Any, real: Increment, imaginary: Increment) -> Increment:
    value, count = real.value + 1j * imaginary.value, count_directions(real, imaginary)
    change = real.change + 1j * imaginary.change  # zero for a constant, which may be a single number
    return Increment(value, np.broadcast_to(change, (count, *np.shape(value))) if count else 0.0)


def _next_number(equation: Any, x: Any, y: Any) -> Any:
    """x moved to the next number of the program's own type on the way to y; x itself need not be one."""
    own, limit = in_types([x, y], equation.input_dtypes)
    step = lifted(np.nextafter(own, limit)) - lifted(own)
    return np.where(np.isfinite(step), x + step, lifted(np.nextafter(own, limit)))


def _next_after(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    return Increment(_next_number(equation, x.value, y.value), x.change)  # it moves with x alone


def _bound_of_next_after(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    value = _next_number(equation, x.value, y.value)
    return run.rounded(equation, value, x.error, 4.0 * np.abs(value))  # y may lie on the other side of x


def _part(name: str, part: Callable[[Any], Any]) -> Primitive:
    return Primitive(name, lambda run, equation, z: linear(lambda lead, a: part(a), z), rounding=EXACT)


CALL = Rounding(float(ELEMENTARY))

PRIMITIVES: tuple[Primitive, ...] = (
    *with_aliases(_sum_primitive("add", 1.0), "add_any"),
    _sum_primitive("sub", -1.0),
    Primitive("mul", of_one_rank(_multiply), on_parts(_bound_of_product), Rounding(is_exact=_is_exact_product)),
    Primitive(
        "div", of_one_rank(_divide), on_parts(_bound_of_quotient), Rounding(is_exact=_is_exact_quotient)
    ),
    Primitive(
        "rem", of_one_rank(_remainder), on_parts(_bound_of_remainder), EXACT,
        Choice(lambda equation, numbers: np.trunc(numbers[0] / numbers[1])),
    ),
    Primitive("pow", of_one_rank(_pow), on_parts(_bound_of_power), CALL),
    Primitive("atan2", of_one_rank(_atan2), on_parts(_bound_of_atan2), CALL),
    Primitive("nextafter", of_one_rank(_next_after), on_parts(_bound_of_next_after), EXACT),
    Primitive("complex", of_one_rank(_complex), rounding=EXACT),
    _part("real", np.real),
    _part("imag", np.imag),
    _part("conj", lambda z: np.conj(z).astype(complex)),
)  # fmt: skip
