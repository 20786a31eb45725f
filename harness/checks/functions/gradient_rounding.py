"""By how much rounding may have moved a gradient, and what a gradient is at points near θ.

The error bound follows from how much the gradient changes with θ. It does not follow from the gradient's own scatter:
digits that a formula loses to cancellation, and a value that is wrong at this θ alone, are errors of the gradient.
"""

from collections.abc import Callable

import numpy as np

from harness.bounds.tolerances import GRADIENT_ROUNDINGS, MEANINGLESS
from harness.checks.functions.cost_noise import CostNear, fits_float32, random_direction, step_away
from harness.checks.functions.cost_probe import leaves_domain
from harness.checks.functions.tree_leaves import like_in_extended
from harness.checks.functions.user_function import UserFunction
from harness.checks.random_directions import random_directions
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

Gradient = Callable[[np.ndarray], np.ndarray]

FEW_ROUNDINGS = 64.0
"""How far θ is moved, in u, to see the gradient scatter."""

SMALL = 1e-30
"""How far a parameter of zero is moved instead."""

NEIGHBOURS, NEIGHBOURS_EACH, MOST_NEIGHBOURS = 16, 8, 512
"""Random directions in which the gradient is evaluated near a θ at which only its own value contradicts it: so many for
each parameter. Of n that are equal, one is their median in every n-th direction."""

RIGHT_NEARBY = 1e-4
"""How near such a gradient has to come to the slope of the cost, as a share of the slope."""

OF_FLOAT32 = 1e-3
"""A sum in float64 of a million terms in float32 has so many of their roundings."""

EXPONENT_ROUNDINGS = 4.0
"""exp(a - b) of two numbers a and b, each off by a rounding or two, is off by so many roundings of them; half of the
digits are left at least."""

CONDITION_GAIN = 16.0
"""Rounding moves every entry of θ and of every intermediate result; one random direction shows only their sum."""


def gradient_near(user: UserFunction) -> Gradient:
    """The gradient at any point, NaN outside the domain."""

    def gradient(flat: np.ndarray) -> np.ndarray:
        try:
            return user.gradient(flat)
        except Exception as error:
            if not leaves_domain(error):
                raise
            return np.full(user.layout.size, np.nan)

    return gradient


@np.errstate(all="ignore")
def bound_rounding(
    user: UserFunction,
    source: Gradient,
    gradient: np.ndarray,
    unit: float,
    cost: float,
    *,
    scatter: np.ndarray | None = None,
) -> np.ndarray:
    """The error bound of a gradient: some roundings of it, and by how much it changes when θ is rounded.

    A formula may take exp of numbers as large as the cost, as exp(log φ - log Φ) does, which is off by roundings of
    these. Roundings of the largest entry in a block would hide entries that are very much smaller. These are given what
    they scatter by, where that was measured.

    Parameters
    ----------
    source : callable
        The gradient at any point.
    gradient : (n,) array
        The gradient at θ.
    unit : float
        u of the precision in which it is computed.
    cost : float
        The cost at θ.
    scatter : (n,) array, optional
    """
    theta = user.theta
    width = np.sqrt(unit) * np.abs(theta) * random_direction(theta.size)
    up, down = source(theta + width), source(theta - width)
    moved = np.nan_to_num(np.abs(up - down), nan=0.0, posinf=0.0) * np.sqrt(unit)
    of_exponents = np.fmin(EXPONENT_ROUNDINGS * unit * abs(cost), np.sqrt(unit))
    rounded = max(GRADIENT_ROUNDINGS * unit, of_exponents) * user.layout.largest_in_block(gradient)
    if scatter is not None and unit <= UNIT_ROUNDOFF["float64"]:
        own = GRADIENT_ROUNDINGS * unit * np.abs(gradient) + CONDITION_GAIN * scatter
        is_hidden = rounded > MEANINGLESS["float64"] * np.abs(gradient)
        rounded = np.where(is_hidden, np.minimum(own, rounded), rounded)
    return rounded + CONDITION_GAIN * moved


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


@np.errstate(all="ignore")
def measure_scatter(theta: np.ndarray, source: Gradient, gradient: np.ndarray, unit: float) -> np.ndarray:
    """How far the gradient jumps when θ moves by some roundings: digits lost, or a value that is wrong at θ alone."""
    width = np.where(theta == 0.0, SMALL, FEW_ROUNDINGS * unit * np.abs(theta)) * random_direction(theta.size)
    up, down = source(theta + width), source(theta - width)
    return np.nan_to_num(np.abs(up - 2.0 * gradient + down), nan=0.0, posinf=0.0)


@np.errstate(all="ignore")
def gradients_nearby(near: CostNear, source: Gradient, unit: float, accuracy: float = 0.0) -> np.ndarray:
    """The gradients reported at random points near θ, as rows; none where one is not the slope of the cost there."""
    theta, probes = near.probes.theta, near.probes
    width = np.sqrt(unit) * np.maximum(np.abs(theta), 1.0)
    count = max(NEIGHBOURS, min(NEIGHBOURS_EACH * theta.size, MOST_NEIGHBOURS))
    moves = width * random_directions(count, theta.size, seed=1)
    reported = np.array([source(theta + move) for move in moves])
    changes = [probes.cost(theta + 1.5 * m) - probes.cost(theta + 0.5 * m) for m in moves]
    off = np.abs(changes - np.sum(moves * reported, axis=1))
    share, noise = max(RIGHT_NEARBY, accuracy), CONDITION_GAIN * probes.unit * near.ordinary
    allowed = share * np.abs(moves * reported).sum(axis=1) + noise
    return reported if (off <= allowed).all() else np.empty((0, theta.size))


@np.errstate(all="ignore")
def range_nearby(reported: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest value that each derivative may be reported to have at a nondifferentiable point.

    That is the range of the derivatives `reported` near θ, in any direction; widened threefold where several kinks
    meet. At each of these a unit may have the slope of either side, and no direction shows the combination in which all
    are off. The range is empty, from inf to -inf, where none are known.
    """
    low, high = reported.min(axis=0, initial=np.inf), reported.max(axis=0, initial=-np.inf)
    if not len(reported):
        return low, high
    gaps = np.diff(np.sort(reported, axis=0), axis=0) > RIGHT_NEARBY * (high - low)
    room = np.where(gaps.sum(axis=0) > 1, high - low, 0.0)
    return low - room, high + room


def unit_of_gradient(near: CostNear, source: Gradient, gradient: np.ndarray, unit: float) -> float:
    """U of the precision of a gradient, which may be that of float32 whatever its type says.

    Its numbers have to be numbers of float32 at θ and one step away: 1e8 may be one by chance. And float32 has to show
    in the noise of the cost. Beside a cost of float64, a gradient that was rounded to float32 has lost its digits.
    """
    is_noisy = near.noise_at_theta.near > OF_FLOAT32 * UNIT_ROUNDOFF["float32"] * near.ordinary
    is_float32 = unit <= UNIT_ROUNDOFF["float64"] and is_noisy and holds_float32(gradient)
    is_float32 = is_float32 and holds_float32(np.concatenate([gradient, source(step_away(near.probes))]))
    return UNIT_ROUNDOFF["float32"] if is_float32 else unit


def holds_float32(values: np.ndarray) -> bool:
    """Whether numbers were rounded to float32, and need most of its bits."""
    values = values[np.isfinite(values)]
    mantissas = np.frexp(values)[0] * 2.0**16
    return fits_float32(values) and bool(np.mean(mantissas != np.round(mantissas)) > 0.5 if values.size else False)
