"""Gradients at kinks of their cost, where there is none: one of several conventions is reported, and may be right.

The gradients that are reported at points near θ show which slopes meet there.
"""

from dataclasses import replace

import numpy as np

from harness.checks.functions.cost_differences import Differences
from harness.checks.functions.function_subject import PLACES_SHOWN
from harness.checks.functions.gradient_case import CONDITION_GAIN, GradientCase
from harness.checks.functions.gradient_comparison import Differenced, differenced_answer
from harness.checks.functions.line_stencil import Obstacle, StencilEstimate
from harness.checks.random_directions import random_directions
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.verdict.comparison import compare

NEIGHBOURS, NEIGHBOURS_EACH, MOST_NEIGHBOURS = 16, 8, 512
"""Directions beside a kink: 8 a parameter, 16 to 512. Each of n equal entries is the median in every n-th one."""

RIGHT_NEARBY = 1e-4
"""How near a gradient beside a kink comes to the slope of the cost, as a share: curvature and rounding leave that."""


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
