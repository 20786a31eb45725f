"""The slope of one activation by every oracle, and from its formula alone at any z."""

import contextlib
from collections.abc import Callable
from importlib import import_module

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from reference.activations import Activation
from reference.arithmetics.companion import first_line, require_same
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
            left_out[name] = first_line(reason)
    if reason := left_out.pop("finite-difference", None):
        try:
            slopes["finite-difference"] = finite_difference.plain_slope(f, z, noise)
            notes["finite-difference"] = f"differences of plain values, since increments cannot pass ({reason})"
        except FORMULA_ERRORS as reason:
            left_out["finite-difference"] = first_line(reason)
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
