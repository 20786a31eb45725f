"""How far rounding can move the value of one activation, its claimed slope, and its slope by automatic differentiation.

All z are taken as the exact numbers that their float64 values are. The formulas are evaluated in error-carrying
arithmetic (`Rounded`), the derivative as automatic differentiation evaluates it (`Tangent` of `Rounded`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from reference.activations import Activation
from reference.arithmetics import companion
from reference.arithmetics.companion import NoRule, first_line
from reference.arithmetics.rounded import Rounded
from reference.arithmetics.roundoff import ELEMENTARY, FREE_ROUNDINGS
from reference.arithmetics.tangent import Tangent
from reference.measured import NotApplicable
from reference.namespaces import NUMPY

FORMULA_ERRORS = (*companion.FORMULA_ERRORS, RuntimeError, NotApplicable)
"""The same where a formula may also run under JAX, or an oracle may refuse it."""

SAME = 1e-9
"""Evaluations of one formula differ by less than this share; an arithmetic that differs by more took other branches."""


class Bounds(NamedTuple):
    """What rounding can do at each z to the value, to the claimed slope and to automatic differentiation; (n,) each."""

    value: np.ndarray
    claimed: np.ndarray
    formula: np.ndarray
    notes: tuple[str, ...]


def rounding_bounds(f: Activation, z: np.ndarray, arithmetic: type[Rounded] = Rounded) -> Bounds:
    """The bounds at exact z. A formula that error-carrying arithmetic has no rule for is sampled, and noted."""
    notes = []

    def bound(part: str, formula: Callable[[], Any], plain: Callable[[Any], Any], expected: Any) -> np.ndarray:
        try:
            error = _error_of(formula(), expected)
        except FORMULA_ERRORS as reason:
            notes.append(f"rounding in {part} is sampled, not bounded ({first_line(reason)})")
            error = _sampled(plain, z, arithmetic.unit)
        error = np.broadcast_to(error, z.shape)
        return np.where(np.isnan(error), np.inf, error)

    def slope(z):
        return f.slope(z, f(z))

    with np.errstate(all="ignore"):
        Z, a = arithmetic(z, np.zeros_like(z)), f(z.copy())
        value = bound("the value", lambda: f.value(NUMPY, Z), f, a)
        claimed = bound("the slope", lambda: f.slope(Z, arithmetic(a, value)), slope, f.slope(z.copy(), a.copy()))
        formula = bound("the formula's derivative", lambda: _tangent(f, Z, a), slope, None)
    return Bounds(value, claimed, formula, tuple(notes))


def _error_of(result: Any, expected: Any) -> Any:
    if not isinstance(result, Rounded):
        require_same(result, expected)
        return 0.0
    require_same(result.value, expected)
    return result.error


def _tangent(f: Activation, Z: Rounded, a: np.ndarray) -> Any:
    tangent = f.value(NUMPY, Tangent(Z, 1.0))
    if not isinstance(tangent, Tangent):  # a constant formula, or one that unpacks arrays
        require_same(tangent, a)
        return 0.0
    require_same(tangent.value.value if isinstance(tangent.value, Rounded) else tangent.value, a)
    return tangent.slope


def require_same(value: Any, expected: Any) -> None:
    """A formula that tells arrays with a companion from plain ones may have taken another branch."""
    if expected is not None and not np.allclose(value, expected, rtol=SAME, atol=SAME, equal_nan=True):
        raise NoRule("its branches are not taken by where")


def _sampled(plain: Callable[[Any], Any], z: np.ndarray, unit: float) -> np.ndarray:
    """How much a formula moves when z moves by a few roundings, and a few roundings of its own."""
    middle, *moved = (plain(z * (1.0 + side * FREE_ROUNDINGS * unit)) for side in (0.0, -1.0, 1.0))
    return np.maximum(*(np.abs(m - middle) for m in moved)) + ELEMENTARY * unit * (1.0 + np.abs(middle))
