"""What Taylor models leave of a proof: single floats, and cells beside zero, in ball arithmetic.

Balls have as many bits as it takes. So they know on which side of a comparison a float lies, and that
min(0, exp(z) - 1) is its second branch for every z < 0, where in float64 the difference is zero.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from harness.checks.activations import proof_cells
from harness.checks.activations.proof_cells import AROUND, FLOATS, Cells, count, number_of, stretches_of
from harness.checks.activations.z_grid import TINY, floats_beside, sides
from reference.activations import Activation
from reference.arithmetics.taylor.taylor_functions import derivative_of
from reference.arithmetics.taylor.taylor_model import Taylor, variable
from reference.namespaces import NUMPY
from reference.oracles import ball_arithmetic

ALLOWED = 1e-9
"""Largest error of a claimed slope, over the larger of 1 and the slope. Seven digits above a rounding, so that a right
slope may round many times; and a tenth of what would show in float32."""

ONE_BY_ONE = 256  # floats of small cells that are gone through

SAMPLED = 24  # cells that are left, of which one z is

BESIDE_ZERO = 1e-9  # |z| of cells that are put to balls as a whole: no slope changes by much on them

QUOTIENT = 2.0**16  # of the ends of such a cell: from here to the smallest float there are 66


def go_through(f: Activation, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Cells that are left when those of a few floats have been gone through; and the z at which the claim is wrong.

    Larger cells have their middle looked at, as many as there is room for. What lies between zero and the first normal
    float accuses nobody: XLA takes it for zero.
    """
    low, high = _beside_zero(f, low, high)
    order = np.argsort(count(low, high))
    low, high = low[order], high[order]
    sizes = count(low, high)
    through = (sizes <= FLOATS) & (np.cumsum(sizes) <= ONE_BY_ONE)
    larger = np.flatnonzero(~through)
    sampled = larger[:: len(larger) // SAMPLED + 1]
    looked_at = [*np.flatnonzero(through), *sampled]
    z = [
        proof_cells.floats_of(low[i], high[i]) if through[i] else np.array([0.5 * low[i] + 0.5 * high[i]])
        for i in looked_at
    ]
    if not z:
        return low, high, []
    owner, each = np.repeat(looked_at, [len(part) for part in z]), np.concatenate(z)
    right, wrong = _judged(f, each)
    proved = through & (np.bincount(owner[~right], minlength=low.size) == 0)
    return low[~proved], high[~proved], each[wrong & ((np.abs(each) >= TINY) | (each == 0.0))].tolist()


def _judged(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the claim is certainly within `ALLOWED`, and where it certainly is not, by ball arithmetic."""
    a = np.array(f(z.copy()))
    claimed = np.broadcast_to(f.slope(z.copy(), a), z.shape)
    slope, error = _true_slope(f, z)
    allowed, apart = ALLOWED * np.maximum(1.0, np.abs(slope)), np.abs(claimed - slope)
    known = np.isfinite(slope) & np.isfinite(error) & np.isfinite(a) & ~np.isin(z, f.kinks)
    right = known & (apart + error <= allowed) | _on_either_side(f, z, claimed)
    return right, known & ~right & ~(apart - error <= allowed)  # NaN is wrong


def _on_either_side(f: Activation, z: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    """Where a claim is the slope on one side of a declared kink that rounding may have moved past z."""
    either = np.zeros(z.shape, dtype=bool)
    for kink in f.kinks:
        near = (np.abs(number_of(z) - number_of(np.array(kink))) <= AROUND) & (z != kink)
        if near.any():
            _, slope, error = _slope_at(f)(
                f, np.array([floats_beside(np.array(kink), side * AROUND) for side in (-2.0, 2.0)])
            )
            apart = np.abs(claimed - slope[:, np.newaxis]) + error[:, np.newaxis]
            either |= near & np.any(apart <= ALLOWED * np.maximum(1.0, np.abs(slope))[:, np.newaxis], axis=0)
    return either


def _true_slope(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f'(z) and how far off it may be: where pieces meet, and enclosures are wide, the limit if both sides have one."""
    slope_at = _slope_at(f)
    value, slope, error = slope_at(f, z)
    seams = np.flatnonzero(~(error <= ALLOWED))
    if not seams.size:
        return slope, error
    beside = [slope_at(f, side) for side in np.array([sides(x) for x in z[seams]]).reshape(-1, 2).T]
    (left_value, left, left_error), (right_value, right, right_error) = beside
    middle = np.where(np.isnan(value), f(z.copy()), value)[seams]  # a dropped branch with a pole leaves no ball
    apart = np.maximum(np.abs(left_value - middle), np.abs(right_value - middle))
    reach = 0.5 * np.abs(left - right) + left_error + right_error
    smooth = (apart <= ALLOWED) & (reach <= 0.1 * ALLOWED)
    slope[seams] = np.where(smooth, 0.5 * (left + right), slope[seams])
    error[seams] = np.where(smooth, reach, error[seams])
    return slope, error


def _slope_at(f: Activation) -> Callable[[Activation, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A function to the value, the slope, and how far off that may be, by what the formula runs in."""
    try:
        ball_arithmetic.slope(f, np.ones(1))
    except FORMULA_ERRORS:
        return _by_taylor
    return _by_ball_arithmetic


def _by_ball_arithmetic(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    true = ball_arithmetic.slope(f, z)
    return true.value, true.slope, true.error


def _by_taylor(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    beside = np.nextafter(z, -np.inf), np.nextafter(z, np.inf)  # a comparison that changes at z is to be undecided
    value, slope = derivative_of(partial(f.value, NUMPY), variable(*beside))
    reach = 0.5 * (slope.high - slope.low) * (1.0 + 1e-12)
    answers = (0.5 * value.low + 0.5 * value.high, 0.5 * slope.low + 0.5 * slope.high, reach)
    a, middle, error = (np.broadcast_to(answer, z.shape).copy() for answer in answers)
    return a, middle, error


def _beside_zero(f: Activation, low: np.ndarray, high: np.ndarray) -> Cells:
    """The cells without those beside zero that balls prove as a whole, on one scale after the other."""
    beside = (np.sign(low) == np.sign(high)) & (np.maximum(np.abs(low), np.abs(high)) <= BESIDE_ZERO)
    scales = [_scales(*ends) for ends in stretches_of(low[beside], high[beside])]
    if not scales:
        return low, high
    at_scale = [np.concatenate(ends) for ends in zip(*scales)]
    proved = _proved_as_a_whole(f, *at_scale)
    left_low, left_high = (part[~proved] for part in at_scale)
    return np.concatenate([low[~beside], left_low]), np.concatenate([high[~beside], left_high])


def _scales(low: float, high: float) -> Cells:
    """A cell on one side of zero, in parts whose ends have at most `QUOTIENT`."""
    near, far = sorted((abs(low), abs(high)))
    edges = [far]
    while edges[-1] > QUOTIENT * near:
        edges.append(edges[-1] / QUOTIENT)
    ends = np.array([*edges, near]) * np.sign(high)
    return np.minimum(ends[:-1], ends[1:]), np.maximum(ends[:-1], ends[1:])


def _proved_as_a_whole(f: Activation, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    try:
        least, most = ball_arithmetic.slopes_on(f, low, high)
        z = variable(low, high)
        claim = Taylor.lifted(f.slope(z, Taylor.lifted(f.value(NUMPY, z))))
    except FORMULA_ERRORS:
        return np.zeros(low.shape, dtype=bool)
    smallest = np.where(least * most > 0.0, np.minimum(np.abs(least), np.abs(most)), 0.0)
    return np.maximum(claim.high - least, most - claim.low) <= ALLOWED * np.maximum(1.0, smallest)
