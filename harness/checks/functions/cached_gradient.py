"""Whether a gradient that is right at θ keeps something of θ, or of a number that θ determines.

Such a gradient is right at θ and wrong elsewhere. Let g be the gradient at θ, g' that after a move v, f and f' the
costs there, and s' the slope of the cost along v at the end. A right gradient has v·g' = s', and f' - f = v·(g + g')/2
up to the third order of v: the trapezoidal rule. If g' is off by a matrix times v, as one that keeps something of θ,
then v·g' is off by d ~ |v|², and the trapezoidal rule by d/2.
"""

from collections.abc import Iterator

import numpy as np

from harness.bounds.tolerances import MEANINGLESS
from harness.checks.functions.cost_noise import costs_near, step_away
from harness.checks.functions.gradient_case import CONDITION_GAIN, FUN, GradientCase, Moved
from harness.checks.functions.line_stencil import scatter_of
from harness.checks.functions.slope_search import WIDEST
from harness.facts.fact import Fact, doubt, wrong
from harness.facts.kinds import Kind
from reference.arithmetics.array_pieces import largest

SUSPECT = 1e-3
"""Where f' - f is off the rule by this share of v·(g' - g), a move is looked at closely. sin t at 1.1 is off by
8e-5."""

SCALES, FARTHER = (1.0, 2.0**-4, 2.0**-8), 4.0
"""Moves that are tried, in steps of 2⁻⁹; and how much longer the second move is, on which d is 16 times as large."""

LONGER = 8.0
"""Such a move is tried last, for noise may hide the others, as beside 1e8. With `FARTHER` it is 32 steps long."""

SWAPPED = (1, 8)
"""How far apart two swapped coordinates are. NumPy adds up every eighth number, so that a sum keeps its last bit."""

NEARLY_EQUAL, LARGEST_GAPS = 0.25, 3
"""Noise may hide what a swap of nearly equal coordinates makes wrong: if they differ by less than this share of the
largest gap, those with the largest gaps are swapped, too. Some such swaps change a sum or a norm by a rounding."""

WIDTH = 2.0**-5
"""Half the width of a difference at the end of a move, as a share of the move: noise costs only five bits."""

FAR_ABOVE, ALIKE = 4.0, 0.25
"""A defect exceeds its error bound so many times, and has its expected size to this share; kinks and noise do not."""


def find_cached_gradient(case: GradientCase) -> tuple[Fact, ...]:
    """Whether a gradient that is right at θ is less and less so away from θ, as one that keeps something of θ is.

    The trapezoidal rule costs nothing, for these calls were made before. It also fails at a kink or a jump, and where a
    cost bends strongly. So a move along which it fails is looked at closely. Noise may hide that it fails, and then a
    longer move is made. A doubt is left where the rule fails along that, and no derivative in its coordinates changes.
    """
    probes, gradient = case.near.probes, case.reported.gradient
    is_doubtful, is_short = False, probes.steps[0] * LONGER * FARTHER <= WIDEST
    scales = (*SCALES, LONGER) if is_short else SCALES
    for moved in case.elsewhere:
        if probes.budget.is_spent:
            break
        far = _longer(case, moved) if is_short and _is_hidden(case, moved) else moved
        if not any(_is_suspect(case, each) for each in (moved, far)):
            continue
        for move in (scale * moved.move for scale in scales):
            if _drifts(case, move):
                return (_cached(gradient, is_same=np.array_equal(case.gradient(probes.theta + move), gradient)),)
        is_doubtful |= far is not moved and _stays_on_a_bend(case, far)
    if is_doubtful:
        return (doubt(Kind.CACHED_GRADIENT, FUN, is_same=True),)
    is_constant = all(np.array_equal(moved.gradient, gradient) for moved in case.elsewhere)
    if not is_constant and _is_kept_for_a_number(case):
        return (_cached(gradient, is_same=True),)
    return ()


@np.errstate(all="ignore")
def _is_kept_for_a_number(case: GradientCase) -> bool:
    """Whether a gradient is the same where a number that all of θ determines is, and the slope of the cost is not.

    A cache keyed by np.sum(θ) or the norm is never caught by moves, which change them. It has to be right at θ, and
    beside such a place: a formula with a mistake may be as wrong at both places, and the right one of an even cost is
    the same at -θ.
    """
    theta = case.user.theta
    step = step_away(case.near.probes) - theta

    def is_wrong(at: np.ndarray) -> bool | None:
        """Whether differences of several widths all show the same error; None if only some show one, as near a kink."""
        found = [_defects(case, at, scale * step) for scale in SCALES]
        off = np.array([slope / scale for (slope, _, _), scale in zip(found, SCALES)])  # per step
        is_far = [abs(slope) > FAR_ABOVE * bound for slope, _, bound in found]
        if all(is_far) and np.ptp(off) <= ALIKE * abs(off[0]):
            return True
        return None if any(is_far) else False

    for elsewhere in _where_numbers_are_kept(theta):
        if case.near.probes.budget.is_spent:
            return False
        if np.array_equal(case.gradient(elsewhere), case.reported.gradient) and is_wrong(elsewhere):
            return is_wrong(theta) is False and is_wrong(elsewhere + 2.0 * step) is False
    return False


def _where_numbers_are_kept(theta: np.ndarray) -> Iterator[np.ndarray]:
    """θ with two coordinates swapped, whose sums and norms are the same, and θ with one sign changed, whose norm is.

    The first two that differ are swapped, since a sum begins with them, and others where these are nearly equal.
    """
    for apart in SWAPPED:
        gaps = np.abs(theta[apart:] - theta[:-apart])
        places = np.flatnonzero(gaps)[:1]
        if (gaps[places] < NEARLY_EQUAL * gaps.max(initial=0.0)).any():
            places = dict.fromkeys([*places, *np.argsort(-gaps)[:LARGEST_GAPS]])
        for i in places:
            swapped = theta.copy()
            swapped[[i, i + apart]] = theta[[i + apart, i]]
            yield swapped
    for i in np.flatnonzero(theta)[:1]:
        mirrored = theta.copy()
        mirrored[i] = -mirrored[i]
        yield mirrored


def _cached(gradient: np.ndarray, *, is_same: bool) -> Fact:
    """The gradient at θ is returned elsewhere, to the last bit or in part.

    One of whole numbers may also be rounded to these, and so be the same at many places.
    """
    is_whole = is_same and gradient.any() and np.array_equal(gradient, np.round(gradient))
    return wrong(Kind.WHOLE_NUMBERS if is_whole else Kind.CACHED_GRADIENT, FUN, is_same=is_same)


@np.errstate(all="ignore")
def _is_suspect(case: GradientCase, moved: Moved) -> bool:
    """Whether the trapezoidal rule fails along a move."""
    reported, near = case.reported, case.near
    change = moved.cost - near.probes.base - 0.5 * moved.move @ (moved.gradient + reported.gradient)
    allowed = SUSPECT * abs(moved.move @ (moved.gradient - reported.gradient)) + np.abs(moved.move) @ reported.error
    return bool(abs(change) > allowed + CONDITION_GAIN * near.noise_at_theta.near)


@np.errstate(all="ignore")
def _is_hidden(case: GradientCase, moved: Moved) -> bool:
    """Whether rounding of the cost may hide that a gradient drifts along a move: a share of v·g', as in `SUSPECT`."""
    noise = case.near.noise_at_theta
    hidden = FAR_ABOVE * CONDITION_GAIN * noise.near / WIDTH
    is_rounding = noise.near <= FAR_ABOVE * noise.relative * abs(case.near.probes.base)
    return bool(is_rounding and hidden > SUSPECT * np.abs(moved.move) @ np.abs(moved.gradient))


def _longer(case: GradientCase, moved: Moved) -> Moved:
    """What the function returns after the longest move, and after a call at θ: what is kept of that alone is found."""
    theta, move = case.user.theta, LONGER * FARTHER * moved.move
    case.gradient(theta)
    return Moved(move, case.near.probes.cost(theta + move), case.gradient(theta + move))


@np.errstate(all="ignore")
def _stays_on_a_bend(case: GradientCase, far: Moved) -> bool:
    """Whether no derivative in the coordinates of a move changes, and the cost bends on the way.

    Halfway it is then a quarter as far off the line, which jumps are not.
    """
    probes, gradient = case.near.probes, case.reported.gradient
    slope, halfway = far.move @ gradient, probes.cost(probes.theta + 0.5 * far.move)
    off, less = far.cost - probes.base - slope, halfway - probes.base - 0.5 * slope
    stays = (far.gradient == gradient)[far.move != 0.0].all()
    return bool(stays and _is_suspect(case, far) and abs(off - 4.0 * less) <= ALIKE * abs(off))


def _drifts(case: GradientCase, move: np.ndarray) -> bool:
    """Whether v·g' is off by d at the end of a move, the trapezoidal rule by d/2, and both by 16 times that at 4 v.

    Then the gradient is off in proportion to the distance from θ. Kinks, jumps and noise are so by chance only.
    """
    defects = []
    for times in (1.0, FARTHER):
        slope, change, bound = _defects(case, case.user.theta + times * move, times * move)
        if not (abs(slope) > FAR_ABOVE * bound and abs(change - 0.5 * slope) <= 0.5 * ALIKE * abs(slope)):
            return False
        defects.append(slope)
    return bool(abs(defects[1] - FARTHER**2 * defects[0]) <= ALIKE * abs(defects[1]))


@np.errstate(all="ignore")
def _defects(case: GradientCase, elsewhere: np.ndarray, move: np.ndarray) -> tuple[float, float, float]:
    """By how much v·g' misses the slope s' at the end of a move, f' - f misses the trapezoidal rule, and a bound.

    v·g' misses nothing between the slopes on both sides, as at a kink. Its error bound is that of a difference of the
    cost, of its noise and truncation, and of the gradient's own rounding.
    """
    probes, reported = case.near.probes, case.reported
    case.gradient(probes.theta)  # so that what is kept of the last call alone is kept of θ
    gradient = case.gradient(elsewhere)
    costs = np.array([probes.cost(elsewhere + k * WIDTH * move) for k in range(-2, 3)])
    wide, narrow = (costs[4] - costs[0]) / (4.0 * WIDTH), (costs[3] - costs[1]) / (2.0 * WIDTH)
    noise = max(case.near.noise_at_theta.near, scatter_of(costs_near(probes, elsewhere)), case.unit * largest(costs))
    error = abs(wide - narrow) + noise / WIDTH + np.abs(move) @ reported.error
    accepted = max(MEANINGLESS["float64"], reported.accuracy) * np.abs(move) @ np.abs(gradient)
    change = costs[2] - probes.base - 0.5 * move @ (gradient + reported.gradient)
    sides, slope = np.diff(costs)[1:3] / WIDTH, move @ gradient
    return float(np.clip(slope, sides.min(), sides.max()) - slope), change, CONDITION_GAIN * error + accepted
