"""A reported gradient compared with differences of its cost and with a reference, and who is wrong.

At a kink of the cost there is no gradient: one of several conventions is reported, and may be right. The gradients that
are reported at points near θ show which slopes meet there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.bounds.tolerances import GROUPED, MEANINGLESS, MOST_HIDDEN, NEGLIGIBLE
from harness.checks.functions.cost_differences import Differences
from harness.checks.functions.gradient_case import CONDITION_GAIN, REFERENCE, GradientCase, precision_of
from harness.checks.functions.line_stencil import Obstacle, StencilEstimate
from harness.checks.functions.rough_costs import TO_A_TOLERANCE
from harness.checks.functions.slope_search import LineSlope, derivative_size, found_alone
from harness.checks.random_directions import random_directions
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, Pair, compare
from harness.verdict.consensus import MAJORITY, Consensus, Policy, Vote, find_consensus

DIFFERENCES, DIRECTIONS = "finite-difference", "random directions"

ALIKE = 4.0
"""A solver's errors in one coordinate are up to so many times what jumps hide of another; up to 3.5 times were seen."""

PLACES_SHOWN = 3

NEIGHBOURS, NEIGHBOURS_EACH, MOST_NEIGHBOURS = 16, 8, 512
"""Directions beside a kink: 8 a parameter, 16 to 512. Each of n equal entries is the median in every n-th one."""

RIGHT_NEARBY = 1e-4
"""How near a gradient beside a kink comes to the slope of the cost, as a share: curvature and rounding leave that."""


@dataclass(frozen=True, eq=False)
class Differenced:
    """What differences have shown of a gradient."""

    found: Mapping[int, StencilEstimate]  # for coordinates that were differenced one by one
    groups: tuple[LineSlope, ...] = ()  # of many coordinates; with `found`, of all that the budget allowed

    def covered(self, size: int) -> np.ndarray:
        """Where a coordinate was examined, by itself or in a group."""
        covered = np.zeros(size, bool)
        for indices in (list(self.found), *(group.search.indices for group in self.groups)):
            covered[indices] = True
        return covered

    def with_lines(self, lines: Sequence[LineSlope]) -> "Differenced":
        """What has been shown, with more coordinates that moved alone."""
        return replace(self, found={**self.found, **found_alone(lines)})

    @np.errstate(all="ignore")
    def adds_up_to(self, group: LineSlope) -> bool:
        """Whether the derivative along a group's direction follows from the partial derivatives, as of any gradient.

        A median of three ties has partial derivatives of 0, and yet moves with all parameters together. Judged only
        where every coordinate of the group was differenced one by one.
        """
        indices = group.search.indices.tolist()
        if len(indices) < 2 or not all(i in self.found for i in indices):
            return True
        if group.found.obstacle == Obstacle.KINK:
            return False
        found = [self.found[i] for i in indices]
        partial, errors = (np.array([getattr(each, of) for each in found]) for of in ("derivative", "error"))
        off = abs(group.found.derivative - group.search.moves @ partial)
        return not off > group.found.error + np.abs(group.search.moves) @ errors


def hide_beside_jumps(
    reported: Answer, found: Mapping[int, StencilEstimate], blocks: Sequence[Block]
) -> dict[int, StencilEstimate]:
    """The differences, without contradictions that are small beside what jumps hide in their block.

    A solver that stops at 1e-3 jumps wherever θ moves. A coordinate that moves its cost little may meet no jump on its
    own line, which then shows the slope between jumps. That is off by as much as others are.
    """
    hidden = dict(found)
    for block in blocks:
        known = {i: found[i] for i in block.indices.tolist() if i in found}
        errors = [each.error for each in known.values() if each.obstacle == Obstacle.JUMPS and np.isfinite(each.error)]
        hides = max(errors, default=0.0)
        size = float(np.fmax.reduce(np.abs(reported.gradient[block.indices]), initial=0.0))
        # errors as large as what the jumps hide, if they are small beside the gradient; the jumps of a staircase, as of
        # floor(t), hide all of it, and beside them only small errors are hidden
        least = max(TO_A_TOLERANCE * hides, min(ALIKE * hides, TO_A_TOLERANCE * size))
        for i, each in known.items():
            if each.error < abs(reported.gradient[i] - each.derivative) - reported.error[i] <= least:
                hidden[i] = each._replace(error=least, obstacle=Obstacle.JUMPS)
    return hidden


def differenced_answer(case: GradientCase, found: Mapping[int, StencilEstimate]) -> Answer:
    """The differences as an answer, which leaves out coordinates that were not differenced by themselves."""
    derivatives, errors = np.full(case.layout.size, np.nan), np.full(case.layout.size, np.inf)
    for i, each in found.items():
        derivatives[i], errors[i] = each.derivative, each.error
    cost, cost_error, precision = case.reported.cost, case.fine.noise_at_theta.near, precision_of(case.unit)
    numbers = cost, cost_error, derivatives, errors
    return Answer(DIFFERENCES, DIFFERENCES, *numbers, precision, oracle=True, accuracy=case.reported.accuracy)


def measure_scale(case: GradientCase, found: Mapping[int, StencilEstimate]) -> np.ndarray:
    """The size beside which errors have to be small, (n,): the largest derivative of a block, at θ or one step away.

    A block of which no derivative shows is compared with `NEGLIGIBLE` of the largest elsewhere. Where all differences
    are exactly 0, the reported derivatives take their place, up to 1: so 1e-6 beside a constant cost is as wrong as 1.
    """
    sizes, shows = np.zeros(case.layout.size), np.zeros(case.layout.size, bool)
    for block in case.layout.blocks:
        known = [found[i] for i in block.indices.tolist() if i in found]
        sizes[block.indices], shows[block.indices] = derivative_size(known), any(each.at_least for each in known)
    largest, is_flat = float(sizes.max(initial=0.0)), all(each.derivative == 0.0 for each in found.values())
    if largest > 0.0 or not is_flat:
        return np.where(shows, sizes, np.maximum(sizes, NEGLIGIBLE * largest))
    reported = case.layout.largest_in_block(case.reported.gradient)
    return np.where(reported > 0.0, np.minimum(reported, 1.0), 1.0)


@np.errstate(all="ignore")  # the noise of a cost that is not finite
def compare_with_differences(case: GradientCase, differenced: Answer, seen: Differenced, scale: np.ndarray) -> Pair:
    """The reported gradient compared with differences of its own cost, one by one or else in groups."""
    reported, enough = case.reported, max(GROUPED, MEANINGLESS[case.reported.precision], case.reported.accuracy)
    share = max(MEANINGLESS[reported.precision], MEANINGLESS[differenced.precision], reported.accuracy)
    noise = case.fine.noise_at_theta.near / np.maximum(np.abs(case.user.theta), 1.0)
    # no squares, for a cost may be 1e200
    hidden = np.fmin(np.sqrt(noise) * np.sqrt(scale), MOST_HIDDEN * scale)
    pair = compare(reported, differenced, case.layout.blocks, scale=scale, absolute=hidden / share)
    # differences have their cost from the function itself
    pair = replace(pair, cost_at_odds=False, cost_decided=bool(np.isfinite(reported.cost)))
    return _with_groups(pair, seen, scale, enough)


@np.errstate(all="ignore")
def _with_groups(pair: Pair, seen: Differenced, scale: np.ndarray, enough: float) -> Pair:
    """The pair, with what groups show of coordinates that were not differenced by themselves.

    In a group with direction v that allows an error e, a single coordinate is off by at most e / |v_i|.
    """
    decided, applies = pair.decided.copy(), pair.applies.copy()
    difference, allowed, accepted = pair.difference.copy(), pair.allowed.copy(), pair.accepted * np.ones_like(scale)
    for group in seen.groups:
        search, found = group.search, group.found
        others = np.array([i not in seen.found for i in search.indices.tolist()])
        total = search.reported.allowed(found)
        if group.is_wrong or not np.isfinite(total) or not others.any():
            continue
        i, moves = search.indices[others], np.abs(search.moves[others])
        difference[i], allowed[i] = search.reported.distance(found) / moves, total / moves
        accepted[i] = search.reported.accepted / moves
        decided[i], applies[i] = allowed[i] - accepted[i] <= enough * scale[i], True
    return replace(pair, decided=decided, applies=applies, difference=difference, allowed=allowed, accepted=accepted)


def compare_with_reference(
    case: GradientCase, differenced: Answer, reference: Answer, found: Mapping[int, StencilEstimate], scale: np.ndarray
) -> list[Pair]:
    """The reported gradient and the differences, each compared with a reference."""
    reported = case.reported
    # two gradients that agree on large derivatives vouch for their size, where no difference knows it
    sizes = [case.layout.largest_in_block(answer.gradient) for answer in (reported, reference)]
    scale = np.maximum(scale, np.minimum(*sizes))
    blocks, ordinary = case.layout.blocks, case.near.ordinary
    at_kinks = [_with_either_side(answer, found) for answer in (reported, reference)]
    beside = compare(differenced, reference, blocks, ordinary, scale)
    return [compare(at_kinks[0], at_kinks[1], blocks, ordinary, scale), beside]


def _with_either_side(answer: Answer, found: Mapping[int, StencilEstimate]) -> Answer:
    """The answer with error bounds that take in either side of a kink."""
    error = answer.error.copy()
    for i, each in found.items():
        if np.isfinite(each.slopes).all():
            error[i] += 0.5 * abs(each.slopes[1] - each.slopes[0])
    return replace(answer, error=error)


def compare_directions(case: GradientCase, groups: Sequence[LineSlope], pair: Pair) -> list[Pair]:
    """The groups that are wrong although no coordinate in them was found to be."""
    left = [group for group in groups if group.is_wrong and not pair.at_odds[group.search.indices].any()]
    if not left:
        return []
    reported = [group.search.reported for group in left]
    reported = np.array([(each.derivative, each.error + each.accepted) for each in reported]).T
    found = np.array([(group.found.derivative, group.found.error) for group in left]).T
    along = replace(case.reported, gradient=reported[0], error=reported[1], accuracy=0.0)
    ends = Answer(DIRECTIONS, DIFFERENCES, case.reported.cost, case.fine.noise_at_theta.near, *found)
    return [compare(along, ends, [Block("directions", np.arange(len(left)))])]


def settle(answers: Sequence[Answer], pairs: Sequence[Pair], ends: Sequence[Pair]) -> Consensus:
    """Who is wrong: differences of its own cost are the measure of a gradient, and a reference is one more voice.

    A reference with another cost belongs to another function: then nobody can be named.
    """
    families = {answer.name: answer.name for answer in answers}
    if any(pair.cost_at_odds for pair in pairs):
        policy = Policy(vote=Vote.NEVER)
    elif any(pair.other(REFERENCE) and pair.disagrees for pair in pairs):
        families, policy = families | {DIRECTIONS: DIFFERENCES}, MAJORITY
    else:
        policy = Policy(judges=(DIFFERENCES, DIRECTIONS))
    return find_consensus(families, [*pairs, *ends], policy)


# -- at kinks ----------------------------------------------------------------------------------------------------------


def accept_conventions(differences: Differences, seen: Differenced) -> Differenced:
    """The differences, of which some that contradict the gradient are turned into kinks between the slopes nearby.

    The median of three ties has partial derivatives of 0, and 1 along (1, 1, 1). PyTorch reports a third for each, and
    the gradients beside the tie have 0 and 1. A coordinate sits on such a kink if what is reported, and the difference
    unless it is one of a kink already, lie between the gradients reported nearby.
    """
    case, found = differences.case, dict(seen.found)
    pair = compare(case.reported, differenced_answer(case, found), case.layout.blocks)
    if not pair.at_odds.any():
        return seen
    together = differences.in_groups([np.arange(case.layout.size)], closely=True)
    if all(seen.adds_up_to(group) for group in together):
        return seen
    low, high = _range_nearby(_gradients_nearby(case))
    errors = case.reported.error + pair.accepted
    for i in np.flatnonzero(pair.at_odds).tolist():
        here, slope, error = found[i], case.reported.gradient[i], errors[i] + found[i].noise
        slopes = (slope,) if here.obstacle == Obstacle.KINK else (slope, here.derivative)
        if all(low[i] - error <= each <= high[i] + error for each in slopes):
            middle, half = float(0.5 * (low[i] + high[i])), float(0.5 * (high[i] - low[i]) + error)
            found[i] = StencilEstimate(middle, half, steepest=here.steepest, obstacle=Obstacle.KINK)
    return replace(seen, found=found)


def compare_across_kinks(differences: Differences, seen: Differenced, at_odds: np.ndarray) -> list[Fact]:
    """A doubt where slopes at kinks are conventions each by itself, and do not belong together.

    As the gradient of max(a, b) at a tie, (1, 1) has 2 for the slope along (1, 1), which is 1 on both sides. A right
    one may have the slope of another side at every kink, and no few points near θ show all combinations. So it may be
    beyond their slopes by as much as these differ.
    """
    kinks = [i for i, found in seen.found.items() if found.obstacle == Obstacle.KINK and not at_odds[i]]
    if len(kinks) < 2:
        return []
    beyond = [group for group in differences.across_kinks(np.array(kinks)) if group.is_wrong]
    nearby = _gradients_nearby(differences.case)[:, kinks] if beyond else np.empty((0, len(kinks)))
    for group in beyond:
        reported, moves, found = group.search.reported, group.search.moves, group.found
        slopes = nearby @ moves  # those of the sides that a gradient may take together
        low = slopes.min(initial=found.derivative - found.error)
        high = slopes.max(initial=found.derivative + found.error)
        room = reported.error + reported.accepted + (np.ptp(slopes) if slopes.size else 0.0)
        if not low - room <= reported.derivative <= high + room:
            size = np.max(np.abs(moves))
            places = map(differences.case.layout.label, kinks[:PLACES_SHOWN])
            data = {"slope": reported.derivative / size, "low": low / size, "high": high / size}
            return [doubt(Kind.KINKS_TOGETHER, *places, count=len(kinks), **data)]
    return []


@np.errstate(all="ignore")
def _gradients_nearby(case: GradientCase) -> np.ndarray:
    """The gradients reported at random points near θ, as rows; none where one is not the slope of the cost there.

    A gradient that is wrong beside θ as well is no evidence for what it reports at a kink.
    """
    theta, probes = case.user.theta, case.near.probes
    width = np.sqrt(case.unit) * np.maximum(np.abs(theta), 1.0)
    count = max(NEIGHBOURS, min(NEIGHBOURS_EACH * theta.size, MOST_NEIGHBOURS))
    moves = width * random_directions(count, theta.size, seed=1)
    reported = np.array([case.gradient(theta + move) for move in moves])
    # from half a move before the point to half a move behind it, which does not cross a kink at θ
    changes = [probes.cost(theta + 1.5 * m) - probes.cost(theta + 0.5 * m) for m in moves]
    off = np.abs(changes - np.sum(moves * reported, axis=1))
    share, noise = max(RIGHT_NEARBY, case.reported.accuracy), CONDITION_GAIN * probes.unit * case.near.ordinary
    allowed = share * np.abs(moves * reported).sum(axis=1) + noise
    return reported if (off <= allowed).all() else np.empty((0, theta.size))


@np.errstate(all="ignore")
def _range_nearby(reported: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and the largest value that each derivative may be reported to have at a nondifferentiable point.

    That is the range of the derivatives `reported` near θ, (count, n); empty, from inf to -inf, if there are none.
    Where more than two values occur, several kinks meet, and the range is widened threefold: each unit of a network may
    have the slope of either side, and no few directions show the combination in which all are off.
    """
    low, high = reported.min(axis=0, initial=np.inf), reported.max(axis=0, initial=-np.inf)
    if not len(reported):
        return low, high
    gaps = np.diff(np.sort(reported, axis=0), axis=0) > RIGHT_NEARBY * (high - low)
    room = np.where(gaps.sum(axis=0) > 1, high - low, 0.0)
    return low - room, high + room
