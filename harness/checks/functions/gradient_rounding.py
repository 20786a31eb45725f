"""By how much rounding may have moved a gradient, and what a gradient is at points near θ.

The error bound is 64 u of the largest entry of a block, and 16 times by how much the gradient changes when θ is moved
by a rounding. It does not follow from the gradient's own scatter: digits that a formula loses to cancellation, and a
value that is wrong at this θ alone, are errors of the gradient.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from harness.bounds.tolerances import GRADIENT_ROUNDINGS, MEANINGLESS
from harness.checks.functions.cost_noise import CostNear, fits_float32, random_direction
from harness.checks.functions.cost_probe import edge_of_domain
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.tree_leaves import like_in_extended
from harness.checks.functions.user_function import UserFunction
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

Gradient = Callable[[np.ndarray], np.ndarray]
"""θ -> the gradient there, both flat (n,)."""

SMALL = 1e-30
"""How far a parameter of zero is moved to be rounded: below any scale at which a cost may bend there."""

OF_FLOAT32 = 1e-3
"""What float32 inside a cost leaves of its roundings as noise at least: those of a million terms average to that."""

EXPONENT_ROUNDINGS = 4.0
"""exp(a - b) is off by so many roundings of a, relatively; by half of the digits at most, or nobody would use it."""

CONDITION_GAIN = 16.0
"""Rounding moves every number by itself, and one random direction shows only the sum of that, in which much cancels."""


def gradient_near(user: UserFunction) -> Gradient:
    """The gradient at any point, NaN outside the domain."""

    def gradient(flat: np.ndarray) -> np.ndarray:
        with edge_of_domain():
            return user.gradient(flat)
        return np.full(user.layout.size, np.nan)

    return gradient


class MeasuredRounding(NamedTuple):
    """How far rounding may have moved a gradient."""

    unit: float  # u of its precision
    error: np.ndarray  # (n,), the error bound
    jumps: np.ndarray  # (n,), |g(θ + w) - 2 g(θ) + g(θ - w)|: lost digits, or 2 d where it is off by d at θ alone


@np.errstate(all="ignore")
def measure_rounding(
    near: CostNear, layout: TreeLayout, source: Gradient, gradient: np.ndarray, unit: float, cost: float, own: bool
) -> MeasuredRounding:
    """The error bound of a gradient: some roundings of it, and by how much it changes when θ is rounded.

    A formula may take exp of numbers as large as the cost, such as exp(log φ - log Φ) for the slope of -log Φ. Where
    the cost is 1e5, that is off by 1e5 roundings. Roundings of the largest entry in a block would hide entries that are
    very much smaller, as of (1e10 sin a, sin b). These are given roundings of their `own` and what they jump by.
    """
    theta, unit = near.probes.theta, _unit_of_gradient(near, gradient, unit)
    # moved by √u and scaled down, for the change over a single rounding would itself be rounded away
    width = np.where(theta == 0.0, SMALL, np.sqrt(unit) * np.abs(theta)) * random_direction(theta.size)
    up, down = source(theta + width), source(theta - width)
    changes = np.sqrt(unit) * np.abs(up - down), np.abs(up - 2.0 * gradient + down)
    moved, jumps = (np.nan_to_num(each, nan=0.0, posinf=0.0) for each in changes)
    of_exponents = np.fmin(EXPONENT_ROUNDINGS * unit * abs(cost), np.sqrt(unit))
    rounded = max(GRADIENT_ROUNDINGS * unit, of_exponents) * layout.largest_in_block(gradient)
    if own and unit <= UNIT_ROUNDOFF["float64"]:
        alone = GRADIENT_ROUNDINGS * unit * np.abs(gradient) + CONDITION_GAIN * jumps
        is_hidden = rounded > MEANINGLESS["float64"] * np.abs(gradient)
        rounded = np.where(is_hidden, np.minimum(alone, rounded), rounded)
    return MeasuredRounding(unit, rounded + CONDITION_GAIN * moved, jumps)


@np.errstate(all="ignore")
def digits_lost(user: UserFunction, gradient: np.ndarray) -> np.ndarray:
    """By how much a gradient is off by digits that its formula loses, as its cost does: more digits show it.

    Infinite where the gradient cannot be had in more digits.
    """
    try:
        with user.in_another_precision():
            precise = user.gradient(user.theta, like_in_extended)
    except Exception:  # noqa: BLE001  whatever it raises, it cannot do with that type
        return np.full(gradient.size, np.inf)
    return np.where(np.isfinite(gradient), 2.0 * np.abs(precise - gradient), 0.0)  # a NaN is no digit lost


def _unit_of_gradient(near: CostNear, gradient: np.ndarray, unit: float) -> float:
    """U of the precision of a gradient, which may be that of float32 whatever its type says.

    Its numbers have to be numbers of float32, and float32 has to show in the noise of the cost as well. Beside a cost
    in float64, a gradient that was rounded to float32 has lost digits, and is wrong.
    """
    if unit > UNIT_ROUNDOFF["float64"] or not holds_float32(gradient):
        return unit
    is_noisy = near.noise_at_theta.near > OF_FLOAT32 * UNIT_ROUNDOFF["float32"] * near.ordinary
    return UNIT_ROUNDOFF["float32"] if is_noisy else unit


def holds_float32(values: np.ndarray) -> bool:
    """Whether numbers were rounded to float32: they fit into it, and most of them need more than 16 of its 24 bits.

    0.5 and 3.0 fit into float32, too, and show nothing.
    """
    values = values[np.isfinite(values)]
    if not values.size or not fits_float32(values):
        return False
    leading = np.frexp(values)[0] * 2.0**16
    return bool(np.mean(leading != np.round(leading)) > 0.5)
