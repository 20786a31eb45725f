"""Whether a user's function returns the same at the same θ, and another gradient where the cost has another slope.

A gradient that keeps something of θ, or a cache keyed by a part of θ, is right at θ and wrong elsewhere. Let g be the
gradient at θ, g' that after a move v, f and f' the costs there, and s' the slope of the cost along v at the end. A
right gradient has v·g' = s', and f' - f = v·(g + g')/2 up to the third order of v: the trapezoidal rule. If g' is off
by a matrix times v, as one that keeps something of θ, then v·g' is off by d ~ |v|², and the trapezoidal rule by d/2.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.bounds.tolerances import GRADIENT_ROUNDINGS, MEANINGLESS
from harness.checks.functions.cost_noise import CostNear, costs_near, step_away
from harness.checks.functions.cost_probe import leaves_domain
from harness.checks.functions.gradient_rounding import CONDITION_GAIN, Gradient
from harness.checks.functions.line_stencil import scatter_of
from harness.checks.functions.parameters import TreeLayout, largest
from harness.checks.functions.slope_search import WIDEST
from harness.checks.functions.user_function import UserFunction
from harness.facts.fact import Fact, doubt, wrong
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer

FUN = "fun"
"""The name of the user's function in a report."""

SUSPECT = 1e-3
"""Where f' - f is off the trapezoidal rule by this share of v·(g' - g), a move is looked at closely. A smooth cost is
off by h f'''/(12 f''), which is 8e-5 for sin t at 1.1. A stale g' = g has no change at all."""

SCALES, FARTHER = (1.0, 2.0**-4, 2.0**-8), 4.0
"""Moves that are tried, in steps of 2⁻⁹; and how much longer the second move is, on which d has to be 16 times as
large."""

LONGER = 8.0
"""Such a move is tried last, for noise may hide the others, as beside 1e8 in the cost. The second move is then 32 steps
long, as the widest difference is."""

SWAPPED = (1, 8)
"""How far two coordinates are apart that are swapped. NumPy adds up eight sums, of every eighth number, so that a sum
is the same to the last bit where numbers eight apart change places, or neighbours of eight numbers or less."""

WIDTH = 2.0**-5
"""Half the width of a difference at the end of a move, as a share of the move: far narrower than the way to θ, and wide
enough that noise costs only five bits."""

FAR_ABOVE, ALIKE = 4.0, 0.25
"""A defect d exceeds its error bound so many times, and has its expected size to this share. Kinks, jumps and noise may
have any size at the one move or the other."""


@dataclass(frozen=True, eq=False)
class FirstAnswer:
    """What a function returned at θ."""

    cost: float
    gradient: np.ndarray  # (n,)
    facts: tuple[Fact, ...]  # rules that it broke on the way
    repeats: bool  # whether it returned the same when called again


def call_twice(user: UserFunction, accuracy: float = 0.0) -> FirstAnswer:
    """The answer at θ, and whether it repeats, within its accuracy: what does not repeat cannot be checked."""
    try:
        cost, gradient, changed = user.answer(user.theta)
        again = user.answer(user.theta)
    except Exception as error:
        if leaves_domain(error):
            error.add_note("fun raised this at the theta to be checked; give one inside of its domain")
        raise
    facts = [wrong(Kind.ARGUMENT_CHANGED, FUN, argument="theta")] if changed else []
    repeats = _is_same(cost, gradient, *again[:2], max(GRADIENT_ROUNDINGS * user.unit, accuracy))
    if not repeats:
        facts.append(_how_it_changes(user, (cost, gradient), again[:2]))
    return FirstAnswer(cost, gradient, tuple(facts), repeats)


@dataclass(frozen=True, eq=False)
class Moved:
    """What a function returned after a move from θ."""

    move: np.ndarray  # (n,)
    cost: float
    gradient: np.ndarray  # (n,)


def moves_of_halves(near: CostNear, layout: TreeLayout) -> list[np.ndarray]:
    """A step in one half of the blocks of θ, or of its coordinates, and one in the other half.

    Each block, and each coordinate of a single one, stays where it is in one of the moves: a cache may be keyed by it.
    """
    step = step_away(near.probes) - near.probes.theta
    blocks = [block.indices for block in layout.blocks if block.indices.size]
    parts = blocks if len(blocks) > 1 else np.array_split(np.arange(step.size), step.size)
    is_first = np.isin(np.arange(step.size), np.concatenate(parts[: (len(parts) + 1) // 2]))
    return [np.where(half, step, 0.0) for half in (is_first, ~is_first) if half.any()]


def call_elsewhere(
    user: UserFunction, first: FirstAnswer, moves: list[np.ndarray], tolerance: float
) -> tuple[tuple[Fact, ...], tuple[Moved, ...]]:
    """What is wrong if the answer at θ is another after a call at another point; if nothing is, the answers elsewhere.

    A call at θ precedes the second move, so that what is kept of the last call alone is kept of θ.
    """
    moved = [_answer_after(user, moves[0])]
    facts = _return_from(user, first, user.theta + moves[0], tolerance) if moved[0] else ()
    if facts:
        return facts, ()
    moved += [_answer_after(user, move) for move in moves[1:]]
    return (), tuple(each for each in moved if each)


def _answer_after(user: UserFunction, move: np.ndarray) -> Moved | None:
    """Cost and gradient after a move; None outside the domain."""
    try:
        return Moved(move, *user.answer(user.theta + move)[:2])
    except Exception as error:
        if not leaves_domain(error):
            raise
        return None


def _return_from(user: UserFunction, first: FirstAnswer, elsewhere: np.ndarray, tolerance: float) -> tuple[Fact, ...]:
    """What is wrong if the answer at θ is another after the call elsewhere; empty if it is the same.

    A gradient computed from buffers that the last call filled is that of the last call.
    """
    if user.has_gradient_function and not _is_near(first.gradient, user.gradient(user.theta), tolerance):
        return (wrong(Kind.STALE_GRADIENT, FUN, of="last-cost"),)
    cost, gradient, _ = user.answer(user.theta)
    if _is_same(first.cost, first.gradient, cost, gradient, tolerance):
        return ()
    user.answer(elsewhere)
    _, there, _ = user.answer(elsewhere)  # the second is its own, even where each answer is the one before
    return (wrong(Kind.STALE_GRADIENT, FUN, of="last-call" if _is_near(gradient, there, tolerance) else "unknown"),)


def find_cached_gradient(
    near: CostNear, source: Gradient, reported: Answer, unit: float, elsewhere: tuple[Moved, ...]
) -> tuple[Fact, ...]:
    """Whether a gradient that is right at θ is less and less so away from θ, as one that keeps something of θ is.

    The trapezoidal rule costs nothing, for these calls were made before. It also fails at a kink or a jump, and where a
    cost bends strongly. So a move along which it fails is looked at closely. Noise may hide that it fails, and then a
    longer move is made. A doubt is left where the rule fails along that, and no derivative in its coordinates changes.
    """
    theta, is_doubtful = near.probes.theta, False
    is_short = near.probes.steps[0] * LONGER * FARTHER <= WIDEST
    scales = (*SCALES, LONGER) if is_short else SCALES
    for moved in elsewhere:
        if near.probes.budget.is_spent:
            break
        far = _longer(near, source, moved) if is_short and _is_hidden(near, moved) else moved
        if not any(_is_suspect(near, reported, each) for each in (moved, far)):
            continue
        for move in (scale * moved.move for scale in scales):
            if _drifts(near, source, reported, unit, move):
                is_same = np.array_equal(source(theta + move), reported.gradient)
                return (_cached(reported.gradient, is_same=is_same),)
        is_doubtful |= far is not moved and _stays_on_a_bend(near, reported, far)
    if is_doubtful:
        return (doubt(Kind.CACHED_GRADIENT, FUN, is_same=True),)
    is_constant = all(np.array_equal(moved.gradient, reported.gradient) for moved in elsewhere)
    if not is_constant and _is_kept_for_a_number(near, source, reported, unit):
        return (_cached(reported.gradient, is_same=True),)
    return ()


@np.errstate(all="ignore")
def _is_kept_for_a_number(near: CostNear, source: Gradient, reported: Answer, unit: float) -> bool:
    """Whether a gradient is the same where a number that all of θ determines is, and the slope of the cost is not.

    A cache keyed by np.sum(θ) or the norm is never caught by moves, which change them. It has to be right at θ, and
    beside such a place: a formula with a mistake may be as wrong at both places, and the right one of an even cost is
    the same at -θ.
    """
    theta = near.probes.theta
    step = step_away(near.probes) - theta

    def is_wrong(at: np.ndarray) -> bool | None:
        """Whether differences of several widths all show the same error; None if only some show one, as near a kink."""
        found = [_defects(near, source, reported, unit, at, scale * step) for scale in SCALES]
        off = np.array([slope / scale for (slope, _, _), scale in zip(found, SCALES)])  # per step
        is_far = [abs(slope) > FAR_ABOVE * bound for slope, _, bound in found]
        if all(is_far) and np.ptp(off) <= ALIKE * abs(off[0]):
            return True
        return None if any(is_far) else False

    for elsewhere in _where_numbers_are_kept(theta):
        if near.probes.budget.is_spent:
            return False
        if np.array_equal(source(elsewhere), reported.gradient) and is_wrong(elsewhere):
            return is_wrong(theta) is False and is_wrong(elsewhere + 2.0 * step) is False
    return False


def _where_numbers_are_kept(theta: np.ndarray) -> Iterator[np.ndarray]:
    """θ with two coordinates swapped, whose sums and norms are the same, and θ with one sign changed, whose norm is."""
    for apart in SWAPPED:
        differ = np.flatnonzero(theta[apart:] != theta[:-apart])
        if differ.size:
            swapped, pair = theta.copy(), [differ[0], differ[0] + apart]
            swapped[pair] = swapped[pair[::-1]]
            yield swapped
    for i in np.flatnonzero(theta)[:1]:
        mirrored = theta.copy()
        mirrored[i] = -mirrored[i]
        yield mirrored


def _cached(gradient: np.ndarray, *, is_same: bool) -> Fact:
    """The gradient at θ is returned elsewhere, to the last bit or in part.

    One of whole numbers may also be rounded to these, and so be the same at many places.
    """
    if is_same and gradient.any() and np.array_equal(gradient, np.round(gradient)):
        return wrong(Kind.WHOLE_NUMBERS, FUN, is_same=True)
    return wrong(Kind.CACHED_GRADIENT, FUN, is_same=is_same)


@np.errstate(all="ignore")
def _is_suspect(near: CostNear, reported: Answer, moved: Moved) -> bool:
    change = moved.cost - near.probes.base - 0.5 * moved.move @ (moved.gradient + reported.gradient)
    allowed = SUSPECT * abs(moved.move @ (moved.gradient - reported.gradient)) + np.abs(moved.move) @ reported.error
    return bool(abs(change) > allowed + CONDITION_GAIN * near.noise_at_theta.near)


@np.errstate(all="ignore")
def _is_hidden(near: CostNear, moved: Moved) -> bool:
    """Whether rounding of the cost may hide that a gradient drifts along a move: a share of v·g', as in `SUSPECT`."""
    noise = near.noise_at_theta
    hidden = FAR_ABOVE * CONDITION_GAIN * noise.near / WIDTH
    is_rounding = noise.near <= FAR_ABOVE * noise.relative * abs(near.probes.base)
    return bool(is_rounding and hidden > SUSPECT * np.abs(moved.move) @ np.abs(moved.gradient))


@np.errstate(all="ignore")
def _stays_on_a_bend(near: CostNear, reported: Answer, far: Moved) -> bool:
    """Whether no derivative in the coordinates of a move changes, and the cost bends on the way.

    Halfway it is then a quarter as far off the line, which jumps are not.
    """
    slope, halfway = far.move @ reported.gradient, near.probes.cost(near.probes.theta + 0.5 * far.move)
    off, less = far.cost - near.probes.base - slope, halfway - near.probes.base - 0.5 * slope
    stays = (far.gradient == reported.gradient)[far.move != 0.0].all()
    return bool(stays and _is_suspect(near, reported, far) and abs(off - 4.0 * less) <= ALIKE * abs(off))


def _longer(near: CostNear, source: Gradient, moved: Moved) -> Moved:
    """What the function returns after the longest move, and after a call at θ: what is kept of that alone is found."""
    theta, move = near.probes.theta, LONGER * FARTHER * moved.move
    source(theta)
    return Moved(move, near.probes.cost(theta + move), source(theta + move))


def _drifts(near: CostNear, source: Gradient, reported: Answer, unit: float, move: np.ndarray) -> bool:
    """Whether v·g' is off by d at the end of a move, the trapezoidal rule by d/2, and both by 16 times that at 4 v.

    Then the gradient is off in proportion to the distance from θ. Kinks, jumps and noise are so by chance only.
    """
    defects = []
    for times in (1.0, FARTHER):
        slope, change, bound = _defects(near, source, reported, unit, near.probes.theta + times * move, times * move)
        if not (abs(slope) > FAR_ABOVE * bound and abs(change - 0.5 * slope) <= 0.5 * ALIKE * abs(slope)):
            return False
        defects.append(slope)
    return bool(abs(defects[1] - FARTHER**2 * defects[0]) <= ALIKE * abs(defects[1]))


@np.errstate(all="ignore")
def _defects(
    near: CostNear, source: Gradient, reported: Answer, unit: float, elsewhere: np.ndarray, move: np.ndarray
) -> tuple[float, float, float]:
    """By how much v·g' misses the slope s' at the end of a move, f' - f misses the trapezoidal rule, and a bound.

    v·g' misses nothing between the slopes on both sides, as at a kink. Its error bound is that of a difference of the
    cost, of its noise and truncation, and of the gradient's own rounding.
    """
    probes = near.probes
    source(probes.theta)  # so that what is kept of the last call alone is kept of θ
    gradient = source(elsewhere)
    costs = np.array([probes.cost(elsewhere + k * WIDTH * move) for k in range(-2, 3)])
    wide, narrow = (costs[4] - costs[0]) / (4.0 * WIDTH), (costs[3] - costs[1]) / (2.0 * WIDTH)
    noise = max(near.noise_at_theta.near, scatter_of(costs_near(probes, elsewhere)), unit * largest(costs))
    error = abs(wide - narrow) + noise / WIDTH + np.abs(move) @ reported.error
    accepted = max(MEANINGLESS["float64"], reported.accuracy) * np.abs(move) @ np.abs(gradient)
    change = costs[2] - probes.base - 0.5 * move @ (gradient + reported.gradient)
    sides, slope = np.diff(costs)[1:3] / WIDTH, move @ gradient
    return float(np.clip(slope, sides.min(), sides.max()) - slope), change, CONDITION_GAIN * error + accepted


def _is_same(cost: float, gradient: np.ndarray, cost2: float, gradient2: np.ndarray, tolerance: float) -> bool:
    is_same_cost = np.isclose(cost, cost2, rtol=tolerance, atol=0, equal_nan=True)
    return _is_near(gradient, gradient2, tolerance) and bool(is_same_cost)


def _is_near(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * largest(a), equal_nan=True))


@np.errstate(all="ignore")
def _how_it_changes(user: UserFunction, first: tuple, second: tuple) -> Fact:
    """What changes from call to call, by a third one: what accumulates, what is random, what is kept."""
    cost, gradient, _ = user.answer(user.theta)
    twice, thrice = (
        _is_near(later, times * first[1], GRADIENT_ROUNDINGS * user.unit)
        for later, times in ((second[1], 2.0), (gradient, 3.0))
    )
    step = second[0] - first[0]
    if twice and thrice and first[1].any():
        return wrong(Kind.NOT_REPEATABLE, FUN, change="gradient-grows")
    if cost == first[0] == second[0]:
        return wrong(Kind.NOT_REPEATABLE, FUN, change="gradient")
    if np.isclose(step, cost - second[0], rtol=1e-6, atol=0.0):
        return wrong(Kind.NOT_REPEATABLE, FUN, change="cost-grows", by=step)
    return wrong(Kind.NOT_REPEATABLE, FUN, change="random", costs=[first[0], second[0]])
