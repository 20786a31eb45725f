"""The slope of one activation by every oracle, from its formula at any z, and its one-sided derivatives.

An oracle differentiates the formula by itself and needs no slope by hand. Nothing here looks at the reported slope.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import NamedTuple

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, activation_bound
from harness.bounds.tolerances import MEANINGLESS
from harness.checks.activations.formulas import advise, runs_in_torch, slope_by_autograd
from harness.checks.activations.z_grid import floats_beside
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.activations import Activation
from reference.arithmetics.companion import require_same
from reference.arithmetics.roundoff import infinite_where_nan
from reference.arithmetics.tangent import Tangent
from reference.measured import MeasuredSlope, known
from reference.namespaces import NUMPY
from reference.oracles import finite_difference

SlopeFunction = Callable[[np.ndarray], np.ndarray]

ORACLES = {
    "jax": "reference.oracles.jax_gradient",
    "complex-step": "reference.oracles.complex_step",
    "finite-difference": "reference.oracles.finite_difference",
    "ball": "reference.oracles.ball_arithmetic",
}
"""Where the ``slope(f, z)`` is of each kind of gradient source that needs no slope by hand."""


IN_TORCH = "torch"  # the source beside these of a formula over torch


class OracleSlopes(NamedTuple):
    """What the oracles compute, notes on how, why others cannot, and which of them ran code that no caller does."""

    slopes: dict[str, MeasuredSlope]
    notes: dict[str, Fact]
    left_out: dict[str, Fact]
    quick: frozenset[str] = frozenset()

    def as_called(self, f: Activation, z: np.ndarray) -> "OracleSlopes":
        """The same where all ran what a caller runs."""
        called = {name: import_module(ORACLES[name]).slope(f, z, quickly=False) for name in self.quick}
        return self._replace(slopes=self.slopes | called, quick=frozenset())


def _slope_by(name: str, f: Activation, z: np.ndarray) -> MeasuredSlope:
    return slope_by_autograd(f, z) if name == IN_TORCH else import_module(ORACLES[name]).slope(f, z)


def ask_oracles(f: Activation, z: np.ndarray, noise: np.ndarray) -> OracleSlopes:
    """The slope at each z by every oracle; `noise` is how far rounding can move f(z)."""
    slopes, notes, left_out = {}, {}, {}
    for name in [*ORACLES, *([IN_TORCH] if runs_in_torch(f) else [])]:
        try:
            measured = _slope_by(name, f, z)
            # of a formula that sums over z, automatic differentiation returns a matrix or one number
            if np.shape(measured.slope) != z.shape:
                raise ValueError(f"the slopes of {z.size} numbers have shape {np.shape(measured.slope)}")
            slopes[name] = measured
        except FORMULA_ERRORS as reason:
            left_out[name] = note(Kind.FORMULA_REFUSED, name, reason=advise(reason))
    # Exact increments need a rule for each function of the formula. Differences of plain values need none, and cancel.
    if increments_refused := left_out.pop("finite-difference", None):
        try:
            slopes["finite-difference"] = finite_difference.plain_slope(f, z, noise)
            notes["finite-difference"] = replace(increments_refused, kind=Kind.PLAIN_DIFFERENCES)
        except FORMULA_ERRORS as reason:
            left_out["finite-difference"] = note(Kind.FORMULA_REFUSED, "finite-difference", reason=advise(reason))
    return OracleSlopes(slopes, notes, left_out, frozenset({"jax"} & slopes.keys()))


def slope_function(f: Activation, z: np.ndarray) -> SlopeFunction | None:
    """The slope from the formula, as a function of any z, by the cheapest method that works on a grid z.

    Where the value has overflowed the slope is NaN, whatever the rules of differentiation make of it.
    """

    def by_tangent(z: np.ndarray) -> np.ndarray:
        a = f.value(NUMPY, Tangent(z, 1.0))
        require_same(a.value if isinstance(a, Tangent) else a, f(z.copy()))
        return np.broadcast_to(a.slope if isinstance(a, Tangent) else 0.0, z.shape)

    others = (IN_TORCH,) if runs_in_torch(f) else ("complex-step", "jax", "ball")
    for method in (by_tangent, *(lambda z, name=name: _slope_by(name, f, z).slope for name in others)):
        with contextlib.suppress(*FORMULA_ERRORS):
            method(z)
            return lambda z, method=method: np.where(np.isfinite(f(z.copy())), method(z), np.nan)
    return None


# -- one-sided derivatives ---------------------------------------------------------------------------------------------


class SideSlopes(NamedTuple):
    """Derivatives on one side of each z, and how far off they may be, infinite where nothing is known; (n,) each."""

    slope: np.ndarray
    error: np.ndarray

    def split(self, count: int) -> "list[SideSlopes]":
        """As many parts of equal length."""
        return [SideSlopes(*both) for both in zip(*(np.split(each, count) for each in self))]


def _unknown(z: np.ndarray) -> SideSlopes:
    return SideSlopes(np.full(z.shape, np.nan), np.full(z.shape, np.inf))


EXPONENTS = (-60, -120, -180)
"""Balls give the slope at these distances, powers of 2 relative to z. No scale in a float64 formula is as small: two
neighbouring floats are 2^-52 apart."""

FLOATS_AWAY = 2.0 ** np.arange(2, 23, 2)
"""Where a formula compares rounded numbers, it changes to another branch some floats beside the exact place. The slope
of either side is that at the first of these distances, in floats, which rounding does not reach. The last one is 1e-9
of z away, where the slope itself may have changed."""

DIFFERENCE_STEP = 1e-4
"""The wider step of one-sided differences, relative to z or 1. At a tenth of it, with f and its derivatives of size 1,
truncation, 11/6 h² f⁽³⁾, and rounding, 8 u/h, are 2e-10 and 1e-10."""


def one_sided_derivatives(
    f: Activation, z: np.ndarray, slope_at: SlopeFunction | None
) -> tuple[SideSlopes, SideSlopes]:
    """The limits of f' from the left and from the right of each z, by the sharpest method that knows them."""
    # balls come first, because they stand nearer to z than any float, and know how far off they are
    left, right = (_limit_by_balls(f, z, side) for side in (-1.0, 1.0))
    near = [_some_floats_away(f, z, side, slope_at) for side in (-1.0, 1.0)]
    plain = [_one_sided_difference(f, z, side) for side in (-1.0, 1.0)]
    # a jump in float64 counts although exact arithmetic does not have it, because networks run in float64
    jumps_nearby = is_known(near[0]) & is_known(near[1]) & ~_is_equal(*near)
    only_nearby = jumps_nearby & is_known(left) & is_known(right) & _is_equal(left, right)
    left, right = choose(~only_nearby, left, near[0]), choose(~only_nearby, right, near[1])
    # where a method is vague, the next one counts if its error is smaller
    for others in (near, plain):
        left, right = (choose(is_known(x) | ~(y.error < x.error), x, y) for x, y in zip((left, right), others))
    return left, right


def is_known(side: SideSlopes) -> np.ndarray:
    """Where a slope is known well enough to distinguish it from others."""
    return np.isfinite(side.error) & (side.error <= MEANINGLESS["float64"] * np.maximum(1.0, np.abs(side.slope)))


def _is_equal(x: SideSlopes, y: SideSlopes) -> np.ndarray:
    """Where two slopes are the same, within their errors and what `MEANINGLESS` overlooks; two infinities may be."""
    difference = np.abs(x.slope - y.slope)
    largest = np.maximum(1.0, np.maximum(np.abs(x.slope), np.abs(y.slope)))
    within = difference <= MEANINGLESS["float64"] * largest + x.error + y.error
    return (x.slope == y.slope) | (np.isfinite(difference) & within)


def choose(first: np.ndarray, x: SideSlopes, y: SideSlopes) -> SideSlopes:
    """The first of two where `first` is true, else the second."""
    return SideSlopes(np.where(first, x.slope, y.slope), np.where(first, x.error, y.error))


def _limit_by_balls(f: Activation, z: np.ndarray, side: float) -> SideSlopes:
    """The limit of the slopes, infinity included; its error is infinite where they do not converge."""
    from reference.oracles.ball_arithmetic import slopes_beside  # here, because flint takes a while to load

    try:
        (far, _), (middle, _), (near, radius) = (slopes_beside(f, z, side, exponent) for exponent in EXPONENTS)
    except FORMULA_ERRORS:
        return _unknown(z)
    # Each distance is 2^60 times nearer than the one before, so that a slope with a limit has reached it: relu² has
    # slopes 2^-59, 2^-119 and 2^-179 on the right of 0. The last step is the error of the limit.
    step, last_step = middle - far, near - middle
    # A logarithm grows by the same step each time, and a power of z by ever larger ones, away from zero: a pole.
    endless = (np.abs(last_step) >= 0.5 * np.abs(step)) & (np.abs(last_step) > 1.0) & (near * last_step > 0.0)
    error = np.where(endless, 0.0, np.abs(last_step) + radius)
    return SideSlopes(np.where(endless, np.copysign(np.inf, near), near), infinite_where_nan(error))


def _some_floats_away(f: Activation, z: np.ndarray, side: float, slope_at: SlopeFunction | None) -> SideSlopes:
    """The slope from the formula at the nearest of the distances `FLOATS_AWAY` at which it is known."""
    found = _unknown(z)
    if slope_at is None:
        return found
    for count in FLOATS_AWAY:
        left = np.flatnonzero(~is_known(found))
        if not left.size:
            break
        near = floats_beside(z[left], side * count)
        found.slope[left] = slope = slope_at(near)
        found.error[left] = np.where(np.isfinite(slope), activation_bound(f, near).formula, np.inf)
    return found


def _one_sided_difference(f: Activation, z: np.ndarray, side: float) -> SideSlopes:
    """(-5 f(z+h) + 8 f(z+2h) - 3 f(z+3h))/2h = f'(z) - 11/6 h² f⁽³⁾(z) + ..., for formulas that allow nothing else.

    It needs no f(z), which at a junction may belong to the other side. Two step sizes show the error: that of the wider
    one is a hundred times as large, so that the difference of both slopes is far more than that of the narrower one.
    """
    slopes = []
    for width in (DIFFERENCE_STEP, 0.1 * DIFFERENCE_STEP):
        h = (z + width * np.maximum(1.0, np.abs(z))) - z
        first, second, third = (np.asarray(f.moved(z, side * k * h), dtype=float) for k in (1.0, 2.0, 3.0))
        slopes.append(side * (-5.0 * first + 8.0 * second - 3.0 * third) / (2.0 * h))
        noise = 16.0 * 2.0**-53 * np.abs(first) / h  # (5 + 8 + 3) u |f| over 2h, twice
    error = 4.0 * np.abs(slopes[0] - slopes[1]) + noise
    return SideSlopes(slopes[1], known(slopes[1], error))
