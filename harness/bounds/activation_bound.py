"""How far rounding can move the value of one activation, its claimed slope, and its slope by automatic differentiation.

The formulas are evaluated in error-carrying arithmetic (`Rounded`), the derivative as automatic differentiation
evaluates it (`Tangent` of `Rounded`). What that arithmetic has no rule for is sampled, and the reader is told so.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.activations import Activation
from reference.arithmetics import companion
from reference.arithmetics.companion import first_line, require_same
from reference.arithmetics.magnitude import Magnitude
from reference.arithmetics.rounded import Rounded, RoundedConstants
from reference.arithmetics.roundoff import ELEMENTARY, FREE_ROUNDINGS
from reference.arithmetics.tangent import Tangent
from reference.measured import NotApplicable
from reference.namespaces import NUMPY

FORMULA_ERRORS = (*companion.FORMULA_ERRORS, RuntimeError, NotApplicable)
"""What a formula may raise where it may also run under JAX, or an oracle may refuse it."""


LINES = range(28, 51, 2)
"""How near the two ends of each line are to z, as powers of 1/2: from its spacing on, and nearer than it bends."""

UNEVEN = 0.5 * (1.0 + 5.0**0.5)
"""How much farther one end is than the other: rounded numbers lie on a lattice, and even steps on both sides cancel."""


class ActivationBound(NamedTuple):
    """What rounding can do at each z to the value, to the claimed slope and to automatic differentiation; (n,) each."""

    value: np.ndarray
    claimed: np.ndarray
    formula: np.ndarray
    notes: tuple[Fact, ...]


def activation_bound(f: Activation, z: np.ndarray, arithmetic: type[Rounded] = Rounded) -> ActivationBound:
    """The bounds at each z, taken as the exact number that its float64 value is."""
    sampled: dict[str, str] = {}

    def claimed(z: np.ndarray) -> Any:
        return f.slope(z, f(z))

    with np.errstate(all="ignore"):
        Z, a = arithmetic(z, np.zeros_like(z)), f(z.copy())
        A = evaluate("the value", lambda: f.value(NUMPY, Z), f, Z, sampled, a)
        slope = f.slope(z.copy(), a.copy())
        by_hand = evaluate("the slope", lambda: f.slope(Z, arithmetic(a, A.error)), claimed, Z, sampled, slope)
        by_formula = evaluate("the formula's derivative", lambda: _derivative(f, Z, a), claimed, Z, sampled)
        by_hand = arithmetic(by_hand.value, by_hand.error + arithmetic.unit / RoundedConstants.unit * _constants(f, z))
        by_formula = arithmetic(by_formula.value, by_formula.error + arithmetic.unit * _sums(f, z))
    notes = tuple(note(Kind.SAMPLED_ROUNDING, part, reason=reason) for part, reason in sampled.items())
    return ActivationBound(*(_errors(result, z.shape) for result in (A, by_hand, by_formula)), notes=notes)


def _errors(result: Rounded, shape: tuple[int, ...]) -> np.ndarray:
    error = np.broadcast_to(result.error, shape)
    return np.where(np.isnan(error), np.inf, error)


def evaluate(
    name: str,
    formula: Callable[[], Any],
    plain: Callable[[np.ndarray], Any],
    Z: Rounded,
    sampled: dict[str, str],
    expected: Any = None,
) -> Rounded:
    """A formula at Z with its rounding error.

    Parameters
    ----------
    name : what `sampled` calls the formula, should it have to be sampled
    formula : evaluates it in the arithmetic of Z
    plain : evaluates it at an array of z
    sampled : gets the name of a formula that error-carrying arithmetic has no rule for, and the reason
    expected : its plain value, where it is to be made sure that the arithmetic takes the same branches
    """
    try:
        result = formula()
        result = result if isinstance(result, Rounded) else type(Z).lift(result)
        if expected is not None:
            require_same(result.value, expected)
        return result
    except FORMULA_ERRORS as reason:
        sampled.setdefault(name, first_line(reason))
        return _sampled(plain, Z)


def _derivative(f: Activation, Z: Rounded, a: np.ndarray) -> Any:
    """f' as automatic differentiation evaluates it; of a constant formula, or one that unpacks arrays, 0."""
    tangent = f.value(NUMPY, Tangent(Z, 1.0))
    value = tangent.value if isinstance(tangent, Tangent) else tangent
    require_same(value.value if isinstance(value, Rounded) else value, a)
    return tangent.slope if isinstance(tangent, Tangent) else 0.0


def _constants(f: Activation, z: np.ndarray) -> np.ndarray | float:
    """How far the formula's derivative moves with its constants, each within a float64 rounding; 0 if not known."""
    try:
        slope = f.value(NUMPY, Tangent(RoundedConstants.lift(z), 1.0)).slope
    except FORMULA_ERRORS:
        return 0.0
    return np.nan_to_num(slope.error, nan=0.0) if isinstance(slope, RoundedConstants) else 0.0


def _sums(f: Activation, z: np.ndarray) -> np.ndarray | float:
    """What the sums of automatic differentiation, in any order, may round, in u; 0 where that is sampled."""
    try:
        slope = f.value(NUMPY, Tangent(z, Magnitude(np.ones_like(z)))).slope
    except FORMULA_ERRORS:
        return 0.0
    return np.nan_to_num(slope.sums * slope.size, nan=0.0) if isinstance(slope, Magnitude) else 0.0


def _sampled(plain: Callable[[np.ndarray], Any], Z: Rounded) -> Rounded:
    """How much a formula moves within the error of Z and a few roundings more, and a few roundings of its own."""
    reach = Z.error + FREE_ROUNDINGS * Z.unit * np.abs(Z.value)
    middle, *ends = (plain(Z.value + side * reach) for side in (0.0, -1.0, 1.0))
    moved = np.maximum(*(np.abs(end - middle) for end in ends))
    lost = Z.unit / Rounded.unit * _scatter(plain, Z.value, middle)
    return type(Z)(middle, moved + lost + ELEMENTARY * Z.unit * (1.0 + np.abs(middle)))


def _scatter(plain: Callable[[np.ndarray], Any], z: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Three times how far the value at z lies off lines through its neighbours: what a formula loses on its way.

    A few values say by chance alone that nothing is lost, as of exp(-z²/2 - log Φ(z)), whose exponents cancel. Where
    the error at z is large, that it is the same on so many lines is out of the question.
    """
    off = np.zeros_like(middle)
    for bits in LINES:
        step = np.abs(z) * 2.0**-bits
        for left, right in ((step, UNEVEN * step), (UNEVEN * step, step)):
            on_line = (right * plain(z - left) + left * plain(z + right)) / (left + right)
            off = np.fmax(off, np.abs(on_line - middle))
    return 3.0 * off
