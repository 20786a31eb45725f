"""Inputs that move together: what their derivatives have to add up to.

At a kink, each input alone may have any derivative between both sides. Of max(x, y) where x = y that is 0 to 1 for
either. But along both together max has slope 1, at the point and around it, and so has every average of the gradients
around. A rule that reports 1 for both is none of these.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from harness.bounds.tolerances import DERIVATIVE_ROUNDINGS
from harness.checks.traced.derivative_answers import Look
from harness.checks.traced.derivative_case import INCREMENTS
from harness.checks.traced.equations_met import Met
from harness.checks.traced.many_inputs import DirectionalDerivatives
from harness.checks.traced.measured_point import Point
from harness.checks.traced.one_sided import one_sided_slopes
from harness.checks.traced.program_derivatives import SHORTER, SHRINKS, distance_around, measure_slopes, slopes_around
from harness.checks.traced.real_coordinates import Estimate, combine
from harness.checks.traced.rounding_bounds import bound_of_slopes
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, compare
from harness.wording import first_few
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.interpreter import Observations

MOST_TOGETHER = 64
"""Sets of inputs that are moved together, at most: one for all inputs at kinks, one for each array, and one for each
number that several of them are equal to."""

BESIDE = 1e-7
"""The distance, in units of the argument's size, at which slopes around are computed before a report is accused: far
enough that numbers which are equal up to roundings of 1e-16 part, and near enough that f hardly bends."""

ADDS_UP = 1e-3
"""Slopes along several inputs that differ from the sum of theirs by a larger share belong to no derivative: at a kink
they differ by a good part of themselves, and black boxes and solvers leave less."""

TURN, TURNED = 2.0**-10, 1e-5
"""Places around a kink are moved by the first share of their distance. Between kinks, slopes change by less than the
second share of themselves: f bends by 1e-7 there. Those of √|xy| change by about the first one, wherever they are."""

MOST_TURNED = 0.25
"""The share of places that may be so near another kink that slopes there change: of a median of many numbers some are,
and of √|xy| all."""

APART = 0.1
"""Slopes around must differ by less than this share of a report's error for it to be wrong: else f bends so much that
the error may be that of another place."""


def compare_inputs_at_kinks(point: Point, look: Look) -> DirectionalDerivatives:
    """The modes whose derivatives do not add up to the slope along inputs at kinks, each compared with that slope.

    Looked at are sets of inputs along which the function has no kink: max(x, y) has the slope 1 along both together.
    """
    kinks = look.slopes.kinks
    rows, size = kinks.shape
    sets = _find_sets(point, kinks)
    if not sets:
        return DirectionalDerivatives()
    along, judged = np.array([members for members, _ in sets], float), np.zeros((rows, len(sets)), bool)
    for d, (_, combinations) in enumerate(sets):
        judged[combinations, d] = True
    blocks = [Block("together", k * len(sets) + np.arange(len(sets))) for k in range(rows)]
    slopes = measure_slopes(point, along, [], blocks)
    sides, error = slopes.sides, slopes.error
    # only directions without a kink of their own have one slope to compare with
    smooth = judged & ~(2.0 * sides.half_gap > error)
    true = point.answer(INCREMENTS, Estimate(sides.mean, np.where(smooth, error + sides.half_gap, np.inf)), blocks)
    pairs = []
    for answer in look.own:
        sums = _sum_along(answer, along, rows, size)
        pair = compare(sums, true, blocks, look.ordinary)
        # a function that bends has other slopes nearby: accuse only what is off by far more than that
        off = np.where(pair.at_odds & np.isfinite(pair.difference), pair.difference, 0.0).reshape(smooth.shape)
        wrong = off > _spread_around(point, along, off, true.gradient.reshape(off.shape), sides.obstacles) / APART
        if wrong.any():
            against = replace(true, error=np.where(wrong.ravel(), true.error, np.inf))
            pairs.append(compare(sums, against, blocks, look.ordinary))
    names = [first_few(np.flatnonzero(members).tolist(), 3, name=point.case.inputs.label) for members in along] * rows
    return DirectionalDerivatives(tuple(pairs), tuple(names), slopes=slopes)


def _find_sets(point: Point, kinks: np.ndarray) -> list[tuple[np.ndarray, list[int]]]:
    """The sets of inputs that are moved together, as masks, and the combinations that each is for."""
    found: dict[bytes, tuple[np.ndarray, list[int]]] = {}
    for k in np.flatnonzero(point.is_known).tolist():
        for members in _sets_at_kinks(point, kinks[k]):
            if len(found) < MOST_TOGETHER or members.tobytes() in found:
                found.setdefault(members.tobytes(), (members, []))[1].append(k)
    return list(found.values())


def _sets_at_kinks(point: Point, kinks: np.ndarray) -> Iterator[np.ndarray]:
    """All inputs at kinks of a combination, those of each array, and those that are equal; two or more of them."""
    leaves = (np.isin(np.arange(kinks.size), block.indices) for block in point.case.inputs.blocks)
    at = point.program.point
    equal = (at == value for value in np.unique(at[kinks]))
    for among in (np.ones(kinks.size, bool), *leaves, *equal):
        if (kinks & among).sum() > 1:
            yield kinks & among


def _sum_along(answer: Answer, along: np.ndarray, rows: int, size: int) -> Answer:
    """An answer's derivatives along the sets, whose entries are 1 and 0: sums over their inputs."""
    gradient, error = answer.gradient.reshape(rows, size), answer.error.reshape(rows, size)
    return replace(answer, gradient=(gradient @ along.T).ravel(), error=(error @ along.T).ravel())


def _spread_around(
    point: Point, along: np.ndarray, off: np.ndarray, slopes: np.ndarray, met: Observations
) -> np.ndarray:
    """How far slopes around are from those at the point, where a report is off; infinite where that is unknown."""
    farthest, at = np.zeros(off.shape), np.flatnonzero(off.any(axis=0))  # places around cost a run each
    weights = point.combinations.cotangents[:, None]
    for found in slopes_around(point, along[at], BESIDE, met) if at.size else ():
        apart = np.abs(found / weights - slopes[:, at])
        farthest[:, at] = np.maximum(farthest[:, at], np.nan_to_num(apart, nan=np.inf))
    return farthest


def find_no_derivative(point: Point, look: Look, met: Met) -> list[Fact]:
    """What follows where slopes along single inputs do not add up to those along all of them: f has no derivative.

    The median of three equal numbers has the slope 0 in each of them, and 1 along all. It has a kink, and a report may
    be any average of the slopes around, which are the same all over a piece. √|xy| at 0 has the slope 0 in both, too,
    and 1 along both. But its slopes around depend on the place everywhere, so that whatever is reported is nobody's
    convention.
    """
    if point.case.is_large:
        return []
    (mean, half_gap), sizes = look.slopes.sides.both, np.abs(met.along)
    weights = point.combinations.cotangents[:, None]
    # the sum of single slopes is known up to half of each gap, which a convention may take, and to each error
    roundings = DERIVATIVE_ROUNDINGS * UNIT_ROUNDOFF["float64"] * point.terms()
    error = np.abs(weights) * (look.increments.error.reshape(mean.shape) + roundings)
    allowed = (half_gap + error + ADDS_UP * np.abs(mean)) @ sizes.T
    sums = mean @ met.along.T

    def is_off(found: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        return ~(np.abs(found - sums) <= allowed) & np.isfinite(allowed) & point.is_known[:, None]

    # the slopes of the run that met all equations cost nothing more, and are mostly what the sums are
    if not is_off(combine(point.combinations.weights, met.changes), allowed).any():
        return []
    found = _slopes_just_after(point, met.along)
    off = is_off(found.derivative, allowed + found.error)
    if not off.any():
        return []
    if _are_conventions(point, look, met.along)[off].all():
        return [note(Kind.KINK)]
    return [doubt(Kind.NO_SLOPE, reason="slopes along single inputs do not add up to those along several of them")]


def _are_conventions(point: Point, look: Look, along: np.ndarray) -> np.ndarray:
    """Where there is a kink between smooth pieces, and all reports lie within the slopes of the pieces.

    A mask of (combinations, directions).
    """
    obstacles = look.slopes.sides.obstacles
    around, turned = (np.array(list(slopes_around(point, along, BESIDE, obstacles, turn=x))) for x in (0.0, TURN))
    steepest = np.abs(around).max(axis=0)
    changes = ~(np.abs(turned - around) <= TURNED * np.abs(around) + distance_around(BESIDE, obstacles) * steepest)
    is_convention = changes.mean(axis=0) <= MOST_TURNED
    weights = point.combinations.cotangents[:, None]
    for answer in look.own:
        reported = answer.gradient.reshape(len(weights), -1) * weights @ along.T
        beyond = np.abs(reported - np.clip(reported, around.min(axis=0), around.max(axis=0)))
        is_convention &= beyond <= ADDS_UP * steepest
    return is_convention


def _slopes_just_after(point: Point, along: np.ndarray) -> Estimate:
    """The slopes along directions just after the point, or their limits; zero where steps leave second order alone.

    A slope h of x² over a step h is none: it shrinks with the step.
    """
    program, weights = point.program, point.combinations.weights
    sides = one_sided_slopes(program, along, weights)
    error = bound_of_slopes(program, along, weights, sides)
    shorter = one_sided_slopes(replace(program, step_share=SHORTER), along, weights).right
    return Estimate(np.where(np.abs(shorter) <= SHRINKS * np.abs(sides.right), 0.0, sides.right), error)
