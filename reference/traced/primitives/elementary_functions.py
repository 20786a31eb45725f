"""Primitives of one number, entry by entry.

Smooth ones are made from the records of `reference.arithmetics.elementary`. The bound of y = f(x) is sup |f'| E, over
all x within the error E, and the rounding of the call. To add a smooth function, add its record there; nothing here
changes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics import elementary
from reference.arithmetics.elementary import SERIES_ROUNDINGS
from reference.arithmetics.elementary_record import Elementary, Reach, steepest_power
from reference.arithmetics.increments import Increment, constant, is_constant, linear
from reference.arithmetics.roundoff import ELEMENTARY
from reference.traced.bounded_run import is_undecided, parts, times, with_error
from reference.traced.interpreter import value_by
from reference.traced.primitive import EXACT, Choice, Primitive, Rounding, Rule
from reference.traced.primitive_differences import differenced

AT_CUT = "the phase of a complex number, or an angle, is at its jump from -π to π"


def crosses_cut(real: Any, imag: Any, change_of_imag: Any) -> Any:
    """Whether a complex number leaves the negative real axis, at which its phase jumps."""
    return (real < 0.0) & (imag == 0.0) & (change_of_imag != 0.0)


# -- smooth functions -------------------------------------------------------------------------------------------------


def _rule(f: Elementary) -> Rule:
    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        y = f.value(x.value)
        if is_constant(x):
            return constant(y)
        # at an end of its domain a composition may have a kink: √x² = |x|, and arccos(1 - x²) has one like it
        for end in f.ends:
            run.note_ties(x.value == end)
        # f(conj z) is the conjugate of f(z): beside a real z where f(z) is not real, f jumps
        jumps = (np.imag(x.value) == 0.0) & (np.imag(y) != 0.0) & (np.imag(x.change) != 0.0)
        return Increment(y, run.unknown(jumps, f.change(x.value, x.change, y), AT_CUT))

    return rule


def _bound(f: Elementary) -> Rule | None:
    """The bound of f(x), by its steepest slope within the error of x; None for a function that states none."""
    steepest = f.steepest
    if steepest is None:
        return None

    def bound(run: Any, equation: Any, x: Increment) -> Increment:
        value, own = f.value(x.value), Reach(*parts(x))
        inherited = 0.0 if is_constant(x) else times(steepest(own), own.error)
        return run.rounded(equation, value, inherited, f.roundings_at(x.value) * np.abs(value))

    return bound


def _rounding(f: Elementary) -> Rounding:
    """Random rounding of one call, of the same size at all x."""
    if f.is_series:
        return Rounding(SERIES_ROUNDINGS, sums=True, is_exact=_is_exact(f))
    stated = float(ELEMENTARY) if callable(f.roundings) else f.roundings
    return Rounding(float(f.usual_roundings or min(stated, float(ELEMENTARY))), is_exact=_is_exact(f))


def _is_exact(f: Elementary) -> Callable[..., Any] | None:
    """Which values of few bits are exact: tanh(30) is not 1."""
    if f.name == "sqrt":  # √2.25 is exact, and √(1 + 2⁻⁵²) has been rounded to 1
        return lambda is_short, x: is_short & (np.square(np.sqrt(x)) == x)
    if f.algebraic_at is None:
        return None
    return lambda is_short, x: is_short & ((x == f.algebraic_at) | ~np.isfinite(x))


# -- whole powers -----------------------------------------------------------------------------------------------------


def _integer_pow(run: Any, equation: Any, x: Increment) -> Increment:
    exponent = equation.params["y"]
    value = _power(x.value, exponent)
    if is_constant(x) or exponent == 0:
        return constant(value)
    change = exponent * _power(x.value, exponent - 1) * x.change
    # at zero the slope vanishes and the step itself to that power is left: of (x²)^½ = |x|, the root needs it
    if exponent < 0 or np.all(x.value != 0.0):
        return Increment(value, change)
    return Increment(value, np.where(x.value == 0.0, np.power(x.change, exponent), change))


def _power(x: Any, exponent: int) -> Any:
    return np.power(x, exponent) if exponent >= 0 else 1.0 / np.power(x, -exponent)


def _bound_of_integer_pow(run: Any, equation: Any, x: Increment) -> Increment:
    exponent, own = equation.params["y"], Reach(*parts(x))
    value = _power(x.value, exponent)
    inherited = times(steepest_power(float(exponent))(own), own.error)
    return run.rounded(equation, value, inherited, (ELEMENTARY + 2.0 * abs(exponent)) * np.abs(value))


# -- signs and steps --------------------------------------------------------------------------------------------------


def bound_of_negation(run: Any, equation: Any, x: Increment) -> Increment:
    """The bound of -x."""
    return Increment(-x.value, x.change)


def _abs(run: Any, equation: Any, x: Increment) -> Increment:
    """|x|, which at zero changes by |dx|; of a complex z, d|z| = Re(z̄ dz)/|z|."""
    value = np.abs(x.value)
    if is_constant(x):
        return constant(value)
    zero = x.value == 0.0
    run.note_ties(zero & (x.change != 0.0))
    if np.isrealobj(x.value):
        return Increment(value, np.where(zero, np.abs(x.change), np.sign(x.value) * x.change))
    radial = (np.conj(x.value) * x.change).real / np.where(zero, 1.0, value)
    return Increment(value, np.where(zero, np.abs(x.change), radial))


def _bound_of_abs(run: Any, equation: Any, x: Increment) -> Increment:
    return Increment(np.abs(x.value), x.change)


def _sign(run: Any, equation: Any, x: Increment) -> Increment:
    if np.iscomplexobj(x.value):
        return differenced(run, equation, x)[0]
    return _steps(run, x, np.sign(x.value), x.value == 0.0)


def _bound_of_sign(run: Any, equation: Any, x: Increment) -> Increment:
    return with_error(np.sign(x.value), np.where(is_undecided(*parts(x)), 2.0, 0.0))


def _steps(run: Any, x: Increment, value: Any, at_jump: Any) -> Increment:
    """A function that is constant between its jumps, and at one of these changes by what nobody knows."""
    why = "a function that jumps (sign, floor, round) is at one of its jumps"
    return Increment(value, run.unknown(at_jump & (np.asarray(x.change) != 0.0), 0.0, why))


def _to_whole(function: Callable[[Any], Any]) -> Rule:
    return lambda run, equation, x: _steps(run, x, function(x.value), x.value == np.round(x.value))


def _round(run: Any, equation: Any, x: Increment) -> Increment:
    # halves go to even, or away from zero
    method = str(getattr(equation.params.get("rounding_method"), "name", equation.params.get("rounding_method")))
    value = np.round(x.value) if "EVEN" in method else np.trunc(x.value + np.copysign(0.5, x.value))
    return _steps(run, x, value, np.abs(x.value - np.trunc(x.value)) == 0.5)


def _step_primitive(name: str, rule: Rule) -> Primitive:
    """A function that is constant between its jumps: exact away from these, and itself what it decides."""

    def bound(run: Any, equation: Any, x: Increment) -> Increment:
        own = parts(x)

        def at(value: Any) -> Any:
            return rule(run, equation, constant(value)).value

        # twice the error, since the value at hand is a computed one
        jumps = at(own.value - 2.0 * own.error) != at(own.value + 2.0 * own.error)
        return with_error(at(own.value), np.where(jumps, np.inf, 0.0))

    return Primitive(name, rule, bound, EXACT, Choice(lambda equation, numbers: value_by(rule, equation, numbers)))


def _bound_of_is_finite(run: Any, equation: Any, x: Increment) -> Increment:
    return with_error(np.isfinite(x.value), ~np.isfinite(parts(x).error))


SIGN = Choice(lambda equation, numbers: np.sign(numbers[0]))

SERIES = Rounding(SERIES_ROUNDINGS, sums=True)

WITHOUT_RULE = (
    "polygamma", "zeta", "igamma", "igammac", "igamma_grad_a", "random_gamma_grad", "regularized_incomplete_beta",
)  # fmt: skip
"""Series, by JAX's values and differences of these: a record here only says how coarsely they round."""

PRIMITIVES: tuple[Primitive, ...] = (
    *(Primitive(f.name, _rule(f), _bound(f), _rounding(f)) for f in elementary.PRIMITIVES.values()),
    Primitive("integer_pow", _integer_pow, _bound_of_integer_pow),
    Primitive("neg", lambda run, equation, x: linear(lambda lead, a: -a, x), bound_of_negation, EXACT),
    Primitive("abs", _abs, _bound_of_abs, EXACT, Choice(SIGN.find, is_continuous=True)),
    Primitive("sign", _sign, _bound_of_sign, EXACT, SIGN),
    _step_primitive("floor", _to_whole(np.floor)),
    _step_primitive("ceil", _to_whole(np.ceil)),
    _step_primitive("round", _round),
    Primitive("is_finite", lambda run, equation, x: constant(np.isfinite(x.value)), _bound_of_is_finite, EXACT),
    *(Primitive(name, rounding=SERIES) for name in WITHOUT_RULE),
)
