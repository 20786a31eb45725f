"""Where the pieces of an activation meet: the z at which its formula or its claimed slope goes over to another branch.

Each of these places is added to the grid and judged for itself: what is right on both sides may be wrong there.
"""

import contextlib
from collections.abc import Callable, Sequence

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, ActivationBound
from harness.bounds.tolerances import MEANINGLESS, NEGLIGIBLE
from harness.checks.activations.slope_oracles import SlopeFunction
from harness.checks.activations.z_grid import distinct, floats_beside, is_near, shortest
from reference.activations import Activation
from reference.arithmetics.branch_log import Watched, watched
from reference.namespaces import NUMPY

HALVINGS = 64  # of a grid interval: down to neighbouring floats, unless at zero

AROUND = 4  # floats on either side of a jump that tell it from a steep slope

MOST = 200  # seams that are judged one by one; noise compared with noise may change its sign anywhere

JUMP = MEANINGLESS["float64"]
"""A slope or value that changes by less than this share between neighbouring floats has no jump there."""


def find_seams(
    f: Activation,
    z: np.ndarray,
    bound: ActivationBound,
    slope_at: SlopeFunction | None,
    known: Sequence[float] = (),
    suspects: Sequence[float] = (),
) -> list[float]:
    """The declared kinks, and the z at which value or slope change their branch or jump; z is a sorted grid.

    Some may be `known`, as from a proof, which sees what lies between the points of the grid, too. Of the floats beside
    such a place the `suspects` are the ones to judge.
    """

    def claimed(z: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.asarray(f.slope(z.copy(), np.array(f(z.copy()))), dtype=float), z.shape)

    found = [*switches(lambda Z: f.value(NUMPY, Z), z), *switches(lambda Z: f.slope(Z, _value(f, Z)), z)]
    found += find_jumps(claimed, z, bound.claimed)
    found += find_jumps(slope_at, z, bound.formula) if slope_at else []
    nearest_to_zero = sorted([*found, *known], key=abs)[:MOST]
    shortest_first = sorted(nearest_to_zero, key=lambda place: len(repr(place)))  # 1.5 and not the float before it
    return sorted(distinct([*f.kinks, *(z for z in suspects if is_near(z, known)), *shortest_first]))


def _value(f: Activation, Z: Watched) -> Watched:
    a = np.array(f(np.array(Z)), dtype=np.float64).view(Watched)
    a.differences = Z.differences
    return a


def switches(formula: Callable[[Watched], object], z: np.ndarray) -> list[float]:
    """The z at which the two sides of a comparison in a formula are equal or change their order."""
    with contextlib.suppress(*FORMULA_ERRORS):
        signs = _signs(formula, z)
        alone = np.array([_is_alone_in_zero(row) for row in signs], dtype=bool).reshape(signs.shape)
        at_points = [float(place) for place in z[alone.any(axis=0)]]
        settled = ~alone & ~np.isnan(signs)
        rows, places = np.nonzero(settled[:, :-1] & settled[:, 1:] & (signs[:, :-1] != signs[:, 1:]))
        low, high, before = z[places], z[places + 1], signs[rows, places]
        for _ in range(HALVINGS if rows.size else 0):
            middle = low + 0.5 * (high - low)
            same = _signs(formula, middle)[rows, np.arange(rows.size)] == before
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        return [*at_points, *(shortest(float(a), float(b)) for a, b in zip(low, high))]
    return []


def _signs(formula: Callable[[Watched], object], z: np.ndarray) -> np.ndarray:
    """The sign of every difference that a formula compares, a row each."""
    Z = watched(z)
    formula(Z)
    rows = [np.sign(difference) for difference in Z.differences if difference.shape == z.shape]
    return np.array(rows, dtype=float).reshape(-1, z.size)


def _is_alone_in_zero(signs: np.ndarray) -> np.ndarray:
    """Where a sign is zero and that of neither neighbour is."""
    zero = np.concatenate([[False], signs == 0.0, [False]])
    return zero[1:-1] & ~zero[:-2] & ~zero[2:]


def find_jumps(function: Callable[[np.ndarray], np.ndarray], z: np.ndarray, noise: np.ndarray) -> list[float]:
    """The z at which a function jumps, between points of a sorted grid or on one.

    Every grid interval is halved, keeping the half with the greater change: a smooth change vanishes on the way, and a
    jump stays. One that is smaller than the smooth change across its grid interval may be missed. A function is steep,
    and does not jump, where it changes as much within a few floats on either side.

    Parameters
    ----------
    function : callable
        (n,) -> (n,), evaluated where it is asked.
    z, noise : (n,) arrays
        The grid, and how far rounding can move the function there.
    """
    low, high, known = z[:-1].copy(), z[1:].copy(), function(z)
    at_low, at_high = known[:-1].copy(), known[1:].copy()
    for _ in range(HALVINGS):
        middle = low + 0.5 * (high - low)
        at_middle = function(middle)
        in_low = ~(np.abs(at_middle - at_low) <= np.abs(at_high - at_middle))
        low, at_low = np.where(in_low, low, middle), np.where(in_low, at_low, at_middle)
        high, at_high = np.where(in_low, middle, high), np.where(in_low, at_middle, at_high)
    size = np.where(np.isfinite(known), np.abs(known), 0.0).max(initial=0.0)
    change, largest = np.abs(at_high - at_low), np.maximum(np.abs(at_low), np.abs(at_high))
    rounding = 4.0 * np.minimum(noise[:-1], noise[1:])  # the lower, because on a kink it is the jump itself
    allowed = np.maximum(JUMP * np.maximum(largest, NEGLIGIBLE * size), rounding)
    # a bracket that is still wide holds a smooth function that grows without bound towards zero
    narrow = (high - low <= 4.0 * np.spacing(np.maximum(np.abs(low), np.abs(high)))) | (low <= 0.0) & (high >= 0.0)
    found = np.isfinite(change) & (change > allowed) & narrow
    low, high, at_low, at_high = (each[found] for each in (low, high, at_low, at_high))
    beside = (function(floats_beside(z, count)) for z, count in ((low, -AROUND), (high, AROUND)))
    nearby = [np.abs(at - known) for at, known in zip(beside, (at_low, at_high))] if low.size else [np.zeros(0)]
    jumps = ~(np.min(nearby, axis=0) >= change[found])
    return distinct([shortest(float(a), float(b)) for a, b in zip(low[jumps], high[jumps])])
