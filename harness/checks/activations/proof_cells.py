"""Cells of z in a proof: how they are split, and those of a few floats or beside zero, which ball arithmetic decides.

A cell [low, high] lies between two floats, both included; arrays hold one cell an entry, (n,). Where cells are cut at a
place, no float lies in two of them or in none. Balls have as many bits as it takes, so they know on which side of a
comparison a float lies. They also know that min(0, exp(z) - 1) is its second branch for every z < 0, although in
float64 the difference rounds to zero.
"""

from collections.abc import Sequence

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from harness.checks.activations.z_grid import NEARBY, floats_beside, underflows
from reference.activations import Activation
from reference.arithmetics.taylor.taylor_model import Taylor, variable
from reference.namespaces import NUMPY
from reference.oracles import ball_arithmetic

AROUND = 8
"""Floats on either side of a place where a comparison changes, which rounding may move: a formula compares 3 z - 1 with
0, and not z with 1/3. Balls decide each of these floats by itself, and ten times as many would take ten times as
long."""

FLOATS = 2 * AROUND + 1  # a cell of so many floats, or fewer, is not split
PARTS = 8  # the most parts that one cell is split into
TOGETHER = 256  # cells that one pass should have: it costs hardly more for them than for one
STEEP = 8.0  # a cell whose ends have a larger quotient reaches towards zero, and is split into parts of this quotient

ALLOWED = 1e-9
"""Largest error of a reported slope, over the larger of 1 and the slope. Seven digits above a rounding, so that a right
slope may round many times; and a tenth of what would show in float32."""

ONE_BY_ONE = 256  # floats of small cells that are decided one by one, and as many as stand around declared kinks
CELLS_SAMPLED = 24  # larger cells of which the middle is looked at
BESIDE_ZERO = 1e-9  # |z| of cells that balls decide as a whole, because no slope changes by much on them
QUOTIENT = 2.0**16  # of the ends of such a cell: from `BESIDE_ZERO` to the smallest float there are 66 of them

Cells = tuple[np.ndarray, np.ndarray] | np.ndarray  # their lower and upper ends, (n,) each

_LEAST = np.iinfo(np.int64).min


def number_of(z: np.ndarray) -> np.ndarray:
    """Each float's number in the order of all floats: zero has 0, the next one above 1, the next one below -1."""
    # The bits of a positive float, read as an integer, count up with it. Those of a negative one have the sign bit, the
    # smallest integer, and count up as it goes down.
    bits = np.ascontiguousarray(z, dtype=np.float64).view(np.int64)
    return np.where(bits < 0, _LEAST - bits, bits)


def float_at(number: np.ndarray) -> np.ndarray:
    """The float of that number."""
    return np.where(number < 0, _LEAST - number, number).astype(np.int64).view(np.float64)


def count_floats(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How many floats a cell contains."""
    # beyond 2**53 the sum is rounded, which does no harm
    return (number_of(high) - number_of(low)).view(np.uint64) + 1.0


def _floats_of(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """All floats of one cell, which should be few."""
    return float_at(np.arange(number_of(low).item(), number_of(high).item() + 1))


def cut_at(low: np.ndarray, high: np.ndarray, place: np.ndarray, *, is_kink: bool = False) -> Cells:
    """Cells below, around and above one place in each; of a kink, on both sides of it, and at zero it is one float."""
    # in numbers of floats, so that no float lies in two of the pieces, or in none
    at, reach = number_of(place), np.where(is_kink & (place == 0.0), 0, AROUND)
    first, last = np.maximum(at - reach, number_of(low)), np.minimum(at + reach, number_of(high))
    about = [(first, at - 1), (at + 1, last)] if is_kink else [(first, last)]
    pieces = [(number_of(low), first - 1), *about, (last + 1, number_of(high))]
    lows, highs = (np.concatenate(ends) for ends in zip(*pieces))
    return float_at(lows[lows <= highs]), float_at(highs[lows <= highs])


def without_kinks(edges: np.ndarray, kinks: Sequence[float]) -> Cells:
    """The cells between sorted edges without the kinks, beside which are cells of a few floats."""
    low, high = edges[:-1], edges[1:]
    for kink in kinks:
        inside = (low <= kink) & (kink <= high)
        cut = cut_at(low[inside], high[inside], np.full(inside.sum(), kink), is_kink=True)
        low, high = (np.concatenate([ends[~inside], new]) for ends, new in zip((low, high), cut))
    return low, high


def is_near_a_kink(low: np.ndarray, high: np.ndarray, kinks: Sequence[float]) -> np.ndarray:
    """Which cells lie so near a declared kink that rounding may move it to their other side."""
    near = [np.maximum(np.abs(low - kink), np.abs(high - kink)) <= NEARBY * abs(kink) for kink in kinks]
    return np.any([np.zeros(low.shape, dtype=bool), *near], axis=0)


def split_cells(low: np.ndarray, high: np.ndarray) -> Cells:
    """Each cell in as many parts as one pass has room for."""
    parts = int(np.clip(TOGETHER // max(low.size, 1), 2, PARTS))
    counted = np.arange(parts + 1.0)[:, np.newaxis]
    edges = low + (high - low) * (counted / parts)
    # [1e-9, 1] in equal parts would leave [1e-9, 1/8] as it was: it is cut at 1/8, 1/64, ... instead
    edges = np.where((low > 0.0) & (high > STEEP * low), high * STEEP ** (counted - parts), edges)
    edges = np.where((high < 0.0) & (low < STEEP * high), low * STEEP**-counted, edges)
    edges = np.clip(edges, low, high)
    edges[0], edges[-1] = low, high
    return edges[:-1].ravel(), edges[1:].ravel()


def join_cells(low: np.ndarray, high: np.ndarray) -> list[tuple[float, float]]:
    """Cells that follow each other, joined to stretches."""
    stretches: list[tuple[float, float]] = []
    for i in np.lexsort((high, low)):
        start, end = float(low[i]), float(high[i])
        if stretches and start <= np.nextafter(stretches[-1][1], np.inf):
            stretches[-1] = (stretches[-1][0], max(end, stretches[-1][1]))
        else:
            stretches.append((start, end))
    return stretches


# -- cells in ball arithmetic ------------------------------------------------------------------------------------------


def decide_with_balls(f: Activation, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """The cells that remain when ball arithmetic has decided small ones, and the z at which the slope is wrong.

    Cells of a few floats are decided float by float. Of larger ones the middle is looked at, as far as there is room.
    """
    low, high = _without_proved_beside_zero(f, low, high)
    # the smallest cells first, so that as many as possible are decided
    order = np.argsort(count_floats(low, high))
    low, high = low[order], high[order]
    sizes = count_floats(low, high)
    through = (sizes <= FLOATS) & (np.cumsum(sizes) <= ONE_BY_ONE + 2 * AROUND * len(f.kinks))
    larger = np.flatnonzero(~through)
    sampled = larger[:: len(larger) // CELLS_SAMPLED + 1]
    looked_at = [*np.flatnonzero(through), *sampled]
    z = [_floats_of(low[i], high[i]) if through[i] else np.array([0.5 * low[i] + 0.5 * high[i]]) for i in looked_at]
    if not z:
        return low, high, []
    owner, each = np.repeat(looked_at, [len(part) for part in z]), np.concatenate(z)
    right, wrong = _decide(f, each)
    # a cell is proved if all its floats are right
    proved = through & (np.bincount(owner[~right], minlength=low.size) == 0)
    return low[~proved], high[~proved], each[wrong & ~underflows(each)].tolist()


def _decide(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the reported slope is certainly within `ALLOWED`, and where it certainly is not, by ball arithmetic."""
    a = np.array(f(z.copy()))
    claimed = np.broadcast_to(f.slope(z.copy(), a), z.shape)
    slope, error = _true_slope(f, z)
    allowed, apart = ALLOWED * np.maximum(1.0, np.abs(slope)), np.abs(claimed - slope)
    known = np.isfinite(slope) & np.isfinite(error) & np.isfinite(a)
    right = known & (apart + error <= allowed) | _is_of_either_side(f, z, claimed)
    return right, known & ~right & ~(apart - error <= allowed)  # NaN is wrong


def _is_of_either_side(f: Activation, z: np.ndarray, claimed: np.ndarray) -> np.ndarray:
    """Where a claim is the slope on one side of a declared kink that rounding may move past z; none moves past zero."""
    either = np.zeros(z.shape, dtype=bool)
    for kink in f.kinks:
        near = (np.abs(number_of(z) - number_of(np.array(kink))) <= AROUND) & (kink != 0.0)
        if near.any():
            _, slope, error = _slopes(f, floats_beside(np.full(2, kink), AROUND * np.array([-2.0, 2.0])))
            apart = np.abs(claimed[:, np.newaxis] - slope) + error
            either |= near & np.any(apart <= ALLOWED * np.maximum(1.0, np.abs(slope)), axis=1)
    return either


def _true_slope(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f'(z) and how far off it may be; at a junction, where enclosures are wide, the common limit of both sides."""
    value, slope, error = _slopes(f, z)
    junctions = np.flatnonzero(~(error <= ALLOWED))
    if not junctions.size:
        return slope, error
    beside = [_slopes(f, floats_beside(z[junctions], count)) for count in (-1, 1)]
    (left_value, left, left_error), (right_value, right, right_error) = beside
    # where a dropped branch has a pole, balls have no value
    middle = np.where(np.isnan(value), f(z.copy()), value)[junctions]
    apart = np.maximum(np.abs(left_value - middle), np.abs(right_value - middle))
    reach = 0.5 * np.abs(left - right) + left_error + right_error
    # f passes through the junction without a jump, and has one slope there
    smooth = (apart <= ALLOWED) & (reach <= 0.1 * ALLOWED)
    slope[junctions] = np.where(smooth, 0.5 * (left + right), slope[junctions])
    error[junctions] = np.where(smooth, reach, error[junctions])
    return slope, error


def _slopes(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, slope and the slope's error at each z by balls; nothing is known where these cannot run f."""
    try:
        true = ball_arithmetic.slope(f, z)
    except FORMULA_ERRORS:
        return np.full(z.shape, np.nan), np.full(z.shape, np.nan), np.full(z.shape, np.inf)
    return true.value, true.slope, true.error


def _without_proved_beside_zero(f: Activation, low: np.ndarray, high: np.ndarray) -> Cells:
    """The cells without those beside zero that balls prove as a whole, scale by scale."""
    beside = (np.sign(low) == np.sign(high)) & (np.maximum(np.abs(low), np.abs(high)) <= BESIDE_ZERO)
    scales = [_split_by_scale(*ends) for ends in join_cells(low[beside], high[beside])]
    if not scales:
        return low, high
    at_scale = [np.concatenate(ends) for ends in zip(*scales)]
    proved = _is_proved(f, *at_scale)
    left_low, left_high = (part[~proved] for part in at_scale)
    return np.concatenate([low[~beside], left_low]), np.concatenate([high[~beside], left_high])


def _split_by_scale(low: float, high: float) -> Cells:
    """A cell on one side of zero, in parts whose ends have at most the quotient `QUOTIENT`."""
    near, far = sorted((abs(low), abs(high)))
    edges = [far]
    while edges[-1] > QUOTIENT * near:
        edges.append(edges[-1] / QUOTIENT)
    ends = np.array([*edges, near]) * np.sign(high)
    return np.minimum(ends[:-1], ends[1:]), np.maximum(ends[:-1], ends[1:])


def _is_proved(f: Activation, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which cells enclose a difference between slope and derivative of at most `ALLOWED`."""
    try:
        least, most = ball_arithmetic.slopes_on(f, low, high)
        z = variable(low, high)
        claim = Taylor.lifted(f.slope(z, Taylor.lifted(f.value(NUMPY, z))))
    except FORMULA_ERRORS:
        return np.zeros(low.shape, dtype=bool)
    smallest = np.where(least * most > 0.0, np.minimum(np.abs(least), np.abs(most)), 0.0)
    return np.maximum(claim.high - least, most - claim.low) <= ALLOWED * np.maximum(1.0, smallest)
