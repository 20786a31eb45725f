"""Bounds on rounding in one activation: in its value, its claimed slope, and its slope by automatic differentiation.

The formulas are evaluated in arithmetic that carries errors (`Rounded`), the derivative as automatic differentiation
evaluates it (`Tangent` of `Rounded`). A formula that has no rule there is sampled, and a note says so.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.activations import Activation
from reference.arithmetics import companion
from reference.arithmetics.companion import first_line, require_same
from reference.arithmetics.rounded import Rounded, RoundedConstants
from reference.arithmetics.roundoff import ELEMENTARY, FREE_ROUNDINGS, infinite_where_nan
from reference.arithmetics.tangent import Magnitude, Tangent
from reference.measured import NotApplicable
from reference.namespaces import NUMPY

FORMULA_ERRORS = (*companion.FORMULA_ERRORS, RuntimeError, NotApplicable)
"""Exceptions of formulas that may also run under JAX, or that an oracle may refuse."""

LINES = range(28, 51, 2)
"""Distances of a line's two ends from z, as powers of 1/2 of |z|. At 2⁻⁵⁰ they are a few floats away. At 2⁻²⁸ the bend
of a smooth function is z² f'' 2⁻⁵⁷, which is below a rounding."""

UNEVEN = 0.5 * (1.0 + 5.0**0.5)
"""The ratio of the two distances: rounded numbers lie on a lattice, where equal steps on both sides would cancel."""


class ActivationBound(NamedTuple):
    """Bounds on rounding at each z in the value, the claimed slope and automatic differentiation, (n,) each."""

    value: np.ndarray
    claimed: np.ndarray
    formula: np.ndarray
    notes: tuple[Fact, ...]


def activation_bound(f: Activation, z: np.ndarray, arithmetic: type[Rounded] = Rounded) -> ActivationBound:
    """The bounds at each z, taken as the exact number that its float64 value is."""

    def claimed(z: np.ndarray) -> Any:
        return f.slope(z, f(z))

    with np.errstate(all="ignore"):
        Z, a = arithmetic(z, np.zeros_like(z)), f(z.copy())  # Z has no error: z is exact
        A, no_rule_for_value = evaluate(lambda: f.value(NUMPY, Z), f, Z, a)
        slope = f.slope(z.copy(), a.copy())
        by_hand, no_rule_for_slope = evaluate(lambda: f.slope(Z, arithmetic(a, A.error)), claimed, Z, slope)
        by_formula, no_rule_for_formula = evaluate(lambda: _derivative(f, Z, a), claimed, Z)
        # a constant such as 0.044715 may be written with other last digits
        by_hand = arithmetic(by_hand.value, by_hand.error + arithmetic.unit / RoundedConstants.unit * _constants(f, z))
        if no_rule_for_slope:  # then it was sampled, which takes a for exact
            by_hand = arithmetic(by_hand.value, by_hand.error + moved_with_a(f, z, a, A.error))
        by_formula = arithmetic(by_formula.value, by_formula.error + arithmetic.unit * _sums(f, z))
    parts = "the value", "the slope", "the formula's derivative"
    reasons = zip(parts, (no_rule_for_value, no_rule_for_slope, no_rule_for_formula))
    notes = tuple(note(Kind.SAMPLED_ROUNDING, part, reason=reason) for part, reason in reasons if reason)
    errors = (np.broadcast_to(result.error, z.shape) for result in (A, by_hand, by_formula))
    return ActivationBound(*map(infinite_where_nan, errors), notes=notes)


def moved_with_a(f: Activation, z: np.ndarray, a: np.ndarray, error: Any) -> np.ndarray:
    """How far the claimed slope moves when a does by its rounding: √(1 - a²), where a is 1, by 1e-8."""
    slope, rounding = f.slope(z.copy(), a.copy()), error + np.spacing(np.abs(a))
    moved = [np.abs(f.slope(z.copy(), a + side * rounding) - slope) for side in (-1.0, 1.0)]
    return np.broadcast_to(np.nan_to_num(np.fmax(*moved), nan=0.0, posinf=0.0), z.shape)


def evaluate(
    formula: Callable[[], Any],  # evaluates it in the arithmetic of Z
    plain: Callable[[np.ndarray], Any],  # evaluates it at an array of z
    Z: Rounded,
    expected: Any = None,  # its plain value, if given: the arithmetic must take the same branches
) -> tuple[Rounded, str]:
    """A formula at Z with its rounding error; and why that was sampled, where the arithmetic has no rule for it."""
    try:
        result = formula()
        result = result if isinstance(result, Rounded) else type(Z).lift(result)
        if expected is not None:
            require_same(result.value, expected)
        return result, ""
    except FORMULA_ERRORS as reason:
        return _sampled(plain, Z), first_line(reason)


def _derivative(f: Activation, Z: Rounded, a: np.ndarray) -> Any:
    """f' as automatic differentiation evaluates it; 0 for a constant formula, or one that unpacks arrays."""
    tangent = f.value(NUMPY, Tangent(Z, 1.0))
    value = tangent.value if isinstance(tangent, Tangent) else tangent
    require_same(value.value if isinstance(value, Rounded) else value, a)
    return tangent.slope if isinstance(tangent, Tangent) else 0.0


def _constants(f: Activation, z: np.ndarray) -> np.ndarray | float:
    """The change of the formula's derivative when each constant moves by a float64 rounding; 0 if unknown."""
    try:
        slope = f.value(NUMPY, Tangent(RoundedConstants.lift(z), 1.0)).slope
    except FORMULA_ERRORS:
        return 0.0
    return np.nan_to_num(slope.error, nan=0.0) if isinstance(slope, RoundedConstants) else 0.0


def _sums(f: Activation, z: np.ndarray) -> np.ndarray | float:
    """The rounding of automatic differentiation's sums in any order, in u; 0 where the derivative is sampled."""
    try:
        slope = f.value(NUMPY, Tangent(z, Magnitude(np.ones_like(z)))).slope
    except FORMULA_ERRORS:
        return 0.0
    return np.nan_to_num(slope.sums * slope.size, nan=0.0) if isinstance(slope, Magnitude) else 0.0


def _sampled(plain: Callable[[np.ndarray], Any], Z: Rounded) -> Rounded:
    """The change of a formula within the error of Z and a few roundings more, and a few roundings of its own."""
    reach = Z.error + FREE_ROUNDINGS * Z.unit * np.abs(Z.value)
    middle, *ends = (plain(Z.value + side * reach) for side in (0.0, -1.0, 1.0))
    moved = np.maximum(*(np.abs(end - middle) for end in ends))
    lost = Z.unit / Rounded.unit * _scatter(plain, Z.value, middle)
    return type(Z)(middle, moved + lost + ELEMENTARY * Z.unit * (1.0 + np.abs(middle)))


def _scatter(plain: Callable[[np.ndarray], Any], z: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Three times the distance of f(z) from lines through its neighbours: the digits that a formula loses within.

    A formula such as exp(-z²/2 - log Φ(z)), whose exponents cancel, may have the same error at z and at a few of its
    neighbours by chance. On this many lines it cannot.
    """
    off = np.zeros_like(middle)
    for bits in LINES:
        step = np.abs(z) * 2.0**-bits
        for left, right in ((step, UNEVEN * step), (UNEVEN * step, step)):
            on_line = (right * plain(z - left) + left * plain(z + right)) / (left + right)
            off = np.fmax(off, np.abs(on_line - middle))
    return 3.0 * off
