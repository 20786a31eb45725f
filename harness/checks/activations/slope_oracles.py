"""The slope of one activation by every oracle, and from its formula alone at any z."""

import contextlib
from collections.abc import Callable
from importlib import import_module

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, activation_bound
from harness.bounds.tolerances import MEANINGLESS
from harness.checks.activations.formulas import instead
from harness.checks.activations.z_grid import floats_beside
from reference.activations import Activation
from reference.arithmetics.companion import require_same
from reference.arithmetics.tangent import Tangent
from reference.measured import MeasuredSlope
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


def ask_oracles(
    f: Activation, z: np.ndarray, noise: np.ndarray
) -> tuple[dict[str, MeasuredSlope], dict[str, str], dict[str, str]]:
    """What every oracle answers at each z, what is to be noted of its way there, and why others cannot answer.

    `noise` is how far rounding can move f(z).
    """
    slopes, notes, left_out = {}, {}, {}
    for name in ORACLES:
        try:
            answer = import_module(ORACLES[name]).slope(f, z)
            if np.shape(answer.slope) != z.shape:
                raise ValueError(f"the slopes of {z.size} numbers have shape {np.shape(answer.slope)}")
            slopes[name] = answer
        except FORMULA_ERRORS as reason:
            left_out[name] = instead(reason)
    if reason := left_out.pop("finite-difference", None):
        try:
            slopes["finite-difference"] = finite_difference.plain_slope(f, z, noise)
            notes["finite-difference"] = f"differences of plain values, since increments cannot pass ({reason})"
        except FORMULA_ERRORS as reason:
            left_out["finite-difference"] = instead(reason)
    return slopes, notes, left_out


def slope_function(f: Activation, z: np.ndarray) -> SlopeFunction | None:
    """The slope from the formula, to be evaluated often and anywhere: by the cheapest way that works on a grid z.

    Where the value has overflowed there is no slope, whatever the rules of differentiation make of it: NaN.
    """

    def by_tangent(z: np.ndarray) -> np.ndarray:
        a = f.value(NUMPY, Tangent(z, 1.0))
        require_same(a.value if isinstance(a, Tangent) else a, f(z.copy()))
        return np.broadcast_to(a.slope if isinstance(a, Tangent) else 0.0, z.shape)

    def by_oracle(name: str) -> SlopeFunction:
        return lambda z: import_module(ORACLES[name]).slope(f, z).slope

    for way in (by_tangent, *map(by_oracle, ("complex-step", "jax", "ball"))):
        with contextlib.suppress(*FORMULA_ERRORS):
            way(z)
            return lambda z, way=way: np.where(np.isfinite(f(z.copy())), way(z), np.nan)
    return None


# -- one-sided limits --------------------------------------------------------------------------------------------------

Sided = tuple[np.ndarray, np.ndarray]
"""Slopes on one side of each z, and how far off they may be; infinite where nothing is known."""

EXPONENTS = (-60, -120, -180)
"""Of 2: so near, relative to z, balls give the slope. No scale in a formula of float64 is as small."""

FLOATS_AWAY = 4
"""Where the formula compares rounded numbers, it goes over to another branch some floats beside the exact place."""

DIFFERENCE_STEP = 1e-4
"""Of one-sided differences, relative to z: truncation, h², and rounding, u/h, are both about 1e-11."""


def sides_of_slope(f: Activation, z: np.ndarray, slope_at: SlopeFunction | None) -> tuple[Sided, Sided]:
    """The limits of f' from the left and from the right of each z, by the sharpest way that knows them.

    Balls come first: they stand nearer to z than any float. What the formula says some floats away, in float64, takes
    their place where they do not know, and where it jumps in float64 though not in exact arithmetic.
    """
    left, right = (limit_by_balls(f, z, side) for side in (-1.0, 1.0))
    near = [_some_floats_away(f, z, side, slope_at) for side in (-1.0, 1.0)]
    plain = [_one_sided_difference(f, z, side) for side in (-1.0, 1.0)]
    jumps_nearby = is_known(near[0]) & is_known(near[1]) & ~_equal(*near)
    only_nearby = jumps_nearby & is_known(left) & is_known(right) & _equal(left, right)
    left, right = _chosen(~only_nearby, left, near[0]), _chosen(~only_nearby, right, near[1])
    for others in (near, plain):
        left, right = (_chosen(is_known(x) | ~(y[1] < x[1]), x, y) for x, y in zip((left, right), others))
    return left, right


def is_known(sided: Sided) -> np.ndarray:
    """Where a slope is known well enough to be told from others."""
    slope, error = sided
    return np.isfinite(error) & (error <= MEANINGLESS["float64"] * np.maximum(1.0, np.abs(slope)))


def _equal(x: Sided, y: Sided) -> np.ndarray:
    difference, largest = np.abs(x[0] - y[0]), np.maximum(1.0, np.maximum(np.abs(x[0]), np.abs(y[0])))
    within = difference <= MEANINGLESS["float64"] * largest + x[1] + y[1]
    return (x[0] == y[0]) | (np.isfinite(difference) & within)


def _chosen(first: np.ndarray, x: Sided, y: Sided) -> Sided:
    return np.where(first, x[0], y[0]), np.where(first, x[1], y[1])


def limit_by_balls(f: Activation, z: np.ndarray, side: float) -> Sided:
    """What the slopes tend to, infinity included; nothing is known where they do not settle."""
    from reference.oracles.ball_arithmetic import slopes_beside  # here, because flint takes a while to load

    try:
        (far, _), (middle, _), (near, radius) = (slopes_beside(f, z, side, exponent) for exponent in EXPONENTS)
    except FORMULA_ERRORS:
        return np.full(z.shape, np.nan), np.full(z.shape, np.inf)
    step, last_step = middle - far, near - middle
    # a power or a logarithm goes on and on: the last step is as large as the one before, and away from zero
    endless = (np.abs(last_step) >= 0.5 * np.abs(step)) & (np.abs(last_step) > 1.0) & (near * last_step > 0.0)
    error = np.where(endless, 0.0, np.abs(last_step) + radius)
    return np.where(endless, np.copysign(np.inf, near), near), np.where(np.isnan(error), np.inf, error)


def _some_floats_away(f: Activation, z: np.ndarray, side: float, slope_at: SlopeFunction | None) -> Sided:
    if slope_at is None:
        return np.full(z.shape, np.nan), np.full(z.shape, np.inf)
    beside = floats_beside(z, side * FLOATS_AWAY)
    slope, error = slope_at(beside), activation_bound(f, beside).formula
    return slope, np.where(np.isfinite(slope), error, np.inf)


def _one_sided_difference(f: Activation, z: np.ndarray, side: float) -> Sided:
    """(-5 f(h) + 8 f(2h) - 3 f(3h))/2h, which makes no use of f(0), at two widths; where nothing else runs."""
    slopes = []
    for width in (DIFFERENCE_STEP, 0.1 * DIFFERENCE_STEP):
        h = (z + width * np.maximum(1.0, np.abs(z))) - z
        first, second, third = (np.asarray(f(z + side * k * h), dtype=float) for k in (1.0, 2.0, 3.0))
        slopes.append(side * (-5.0 * first + 8.0 * second - 3.0 * third) / (2.0 * h))
        noise = 16.0 * 2.0**-53 * np.abs(first) / h
    error = 4.0 * np.abs(slopes[0] - slopes[1]) + noise
    return slopes[1], np.where(np.isfinite(error), error, np.inf)
