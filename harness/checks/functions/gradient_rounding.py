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
from harness.checks.functions.cost_probe import leaves_domain
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.tree_leaves import like_in_extended
from harness.checks.functions.user_function import UserFunction
from harness.checks.random_directions import random_directions
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

Gradient = Callable[[np.ndarray], np.ndarray]
"""θ -> the gradient there, both flat (n,)."""

SMALL = 1e-30
"""How far a parameter of zero is moved to be rounded: below any scale at which a cost may bend there."""

NEIGHBOURS, NEIGHBOURS_EACH, MOST_NEIGHBOURS = 16, 8, 512
"""Random directions in which the gradient is evaluated near a kink: 8 for each parameter, 16 at least and 512 at most.
Of n entries that are equal, a given one is their median in every n-th direction."""

RIGHT_NEARBY = 1e-4
"""How near a gradient beside a kink has to come to the slope of the cost, as a share of the slope. At √u from θ, a
difference of the cost shows eight digits of it, and curvature spoils a few of these."""

OF_FLOAT32 = 1e-3
"""Noise that float32 inside a cost leaves at least, in its roundings: those of a million terms average to a
thousandth."""

EXPONENT_ROUNDINGS = 4.0
"""exp(a - b) of two numbers a and b, each off by a rounding or two, is off by so many roundings of a, relatively. At
least half of the digits are left, or nobody would compute it so."""

CONDITION_GAIN = 16.0
"""Rounding moves every entry of θ and every intermediate result by itself. One random direction shows only the sum of
what that does to the gradient, in which much may cancel."""


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


class Shaken(NamedTuple):
    """A gradient at θ, and what becomes of it close by."""

    gradient: np.ndarray  # (n,)
    moved: np.ndarray  # (n,), how far it changes when θ moves by a rounding
    jumps: np.ndarray  # (n,), |g(θ + w) - 2 g(θ) + g(θ - w)|: lost digits, or 2 d where it is off by d at θ alone


@np.errstate(all="ignore")
def shake(theta: np.ndarray, source: Gradient, gradient: np.ndarray, unit: float) -> Shaken:
    """The gradient at θ and beside it."""
    # moved by √u and scaled down, for the change over a single rounding would itself be rounded away
    width = np.where(theta == 0.0, SMALL, np.sqrt(unit) * np.abs(theta)) * random_direction(theta.size)
    up, down = source(theta + width), source(theta - width)
    changes = np.sqrt(unit) * np.abs(up - down), np.abs(up - 2.0 * gradient + down)
    return Shaken(gradient, *(np.nan_to_num(each, nan=0.0, posinf=0.0) for each in changes))


@np.errstate(all="ignore")
def bound_rounding(layout: TreeLayout, shaken: Shaken, unit: float, cost: float, *, own: bool = True) -> np.ndarray:
    """The error bound of a gradient: some roundings of it, and by how much it changes when θ is rounded.

    A formula may take exp of numbers as large as the cost, such as exp(log φ - log Φ) for the slope of -log Φ. Where
    the cost is 1e5, that is off by 1e5 roundings.

    Roundings of the largest entry in a block would hide entries that are very much smaller, as of (1e10 sin a, sin b).
    These are given roundings of their `own` and what they jump by.
    """
    gradient = shaken.gradient
    of_exponents = np.fmin(EXPONENT_ROUNDINGS * unit * abs(cost), np.sqrt(unit))
    rounded = max(GRADIENT_ROUNDINGS * unit, of_exponents) * layout.largest_in_block(gradient)
    if own and unit <= UNIT_ROUNDOFF["float64"]:
        alone = GRADIENT_ROUNDINGS * unit * np.abs(gradient) + CONDITION_GAIN * shaken.jumps
        is_hidden = rounded > MEANINGLESS["float64"] * np.abs(gradient)
        rounded = np.where(is_hidden, np.minimum(alone, rounded), rounded)
    return rounded + CONDITION_GAIN * shaken.moved


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
def gradients_nearby(near: CostNear, source: Gradient, unit: float, accuracy: float = 0.0) -> np.ndarray:
    """The gradients reported at random points near θ, as rows; none where one is not the slope of the cost there.

    A gradient that is wrong beside θ as well is no evidence for what it reports at a kink.
    """
    theta, probes = near.probes.theta, near.probes
    width = np.sqrt(unit) * np.maximum(np.abs(theta), 1.0)
    count = max(NEIGHBOURS, min(NEIGHBOURS_EACH * theta.size, MOST_NEIGHBOURS))
    moves = width * random_directions(count, theta.size, seed=1)
    reported = np.array([source(theta + move) for move in moves])
    # from half a move before the point to half a move behind it, which does not cross a kink at θ
    changes = [probes.cost(theta + 1.5 * m) - probes.cost(theta + 0.5 * m) for m in moves]
    off = np.abs(changes - np.sum(moves * reported, axis=1))
    share, noise = max(RIGHT_NEARBY, accuracy), CONDITION_GAIN * probes.unit * near.ordinary
    allowed = share * np.abs(moves * reported).sum(axis=1) + noise
    return reported if (off <= allowed).all() else np.empty((0, theta.size))


@np.errstate(all="ignore")
def range_nearby(reported: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest value that each derivative may be reported to have at a nondifferentiable point.

    That is the range of the derivatives `reported` near θ, (count, n). |t| has -1 and 1 there. Where more than two
    values occur, several kinks meet, and the range is widened threefold: each unit of a network may have the slope of
    either side, and no few directions show the combination in which all are off. Without any values the range is empty,
    from inf to -inf.
    """
    low, high = reported.min(axis=0, initial=np.inf), reported.max(axis=0, initial=-np.inf)
    if not len(reported):
        return low, high
    gaps = np.diff(np.sort(reported, axis=0), axis=0) > RIGHT_NEARBY * (high - low)
    room = np.where(gaps.sum(axis=0) > 1, high - low, 0.0)
    return low - room, high + room


def unit_of_gradient(near: CostNear, gradient: np.ndarray, unit: float) -> float:
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
