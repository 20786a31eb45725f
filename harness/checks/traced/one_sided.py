"""One-sided derivatives of a program: how its outputs change just after a point, and just before it.

Where comparisons of equal numbers decide, the function has a kink, and both sides are computed: of |x| at 0 they are -1
and 1. Where a side has no slope at the point itself, as of ``where(x == 0, 1, sin(x)/x)``, which jumps as soon as x
moves, it is the limit of the slopes at points nearby: in random places around this one if these agree, else along the
direction on that side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.tolerances import MEANINGLESS, SPREAD_FACTOR
from harness.checks.random_directions import random_directions
from harness.checks.traced.program_at_point import NO_MATTER, ProgramAtPoint
from harness.checks.traced.real_coordinates import Sides, UnitVectors, combine
from reference.traced.decisions import Decision, TurnedDecisions, TurnedRun
from reference.traced.interpreter import Observations

NEARBY = (1e-4, 2e-4, 4e-4)
"""Distances, in units of the argument's size, at which slopes are computed that have a limit at the point. A parabola
through three slopes is off by the cube of the distance, about 1e-12; at ten times less, the terms of 1/x that cancel in
the slope of sin(x)/x would leave more than that."""

NOTHING_BENDS = 1e-6
"""Slopes nearby that differ by less than this share of themselves have a limit, whatever else they do."""

NO_JUMP = 1e-12
"""Values that change by less than this share of themselves have no jump: rounding leaves as much of a long program."""

PIVOTS = (2.0**-100, -(2.0**-110))
"""Values in the place of a pivot that is zero, of both signs and of two sizes. Functions of the factors that are
smooth, such as det, do not depend on them beyond their share, 1e-30."""


@dataclass(frozen=True, eq=False)
class OneSided:
    """Derivatives of combinations of the outputs on both sides, arrays of shape (combinations, directions)."""

    right: np.ndarray  # the derivative just after the point
    # the mean of the right and the left derivative, and half of their distance, which is zero where f is smooth
    mean: np.ndarray
    half_gap: np.ndarray
    # the error of slopes that are limits from points nearby, zero elsewhere; what rounding does to increments comes on
    # top of it
    error: np.ndarray
    # by the number of the first direction of a pass: a mask of the slopes that are limits, and these
    limits: Mapping[int, tuple[np.ndarray, np.ndarray]]
    # what keeps increments from being exact slopes of what JAX differentiates
    obstacles: Observations

    @property
    def both(self) -> Sides:
        return Sides(self.mean, self.half_gap)

    @property
    def low(self) -> np.ndarray:
        return self.mean - self.half_gap

    @property
    def high(self) -> np.ndarray:
        return self.mean + self.half_gap

    def distance(self, reported: np.ndarray) -> np.ndarray:
        """How far what is reported lies beyond both sides: zero between them."""
        return np.abs(reported - np.clip(reported, self.low, self.high))

    def widened(self, at: np.ndarray, where: np.ndarray, low: np.ndarray, high: np.ndarray) -> "OneSided":
        """With other sides in the directions of these numbers, where a mask of (combinations, numbers) says so."""
        mean, half_gap = self.mean.copy(), self.half_gap.copy()
        mean[:, at] = np.where(where, 0.5 * (low + high), mean[:, at])
        half_gap[:, at] = np.where(where, 0.5 * (high - low), half_gap[:, at])
        return replace(self, mean=mean, half_gap=half_gap)


def one_sided_slopes(
    program: ProgramAtPoint,
    directions: np.ndarray | UnitVectors,
    weights: np.ndarray,
    turned_decisions: TurnedDecisions | None = None,
) -> OneSided:
    """The derivatives on both sides along each direction.

    With `turned_decisions`, the sides are the least and the greatest of these and of the slopes that the program has
    where rounding turns its decisions.
    """
    parts, limits, sizes, obstacles = [], {}, np.abs(weights), Observations()
    for i, along in program.passes(directions):
        run = program.run()
        right = program.changes(along, run)
        sides = _Sides(right, right, np.zeros(right.shape))
        if run.observed.ties or run.observed.unresolved:  # else the function is smooth here, and one side is both
            sides = sides._replace(left=-program.changes(-along, run))
            unknown = np.isnan(sides.right) | np.isnan(sides.left)
            if unknown.any():
                sides = _find_unknown(program, sides, unknown, along)
                limits[i] = unknown, sides.right
        right, left, error = sides
        after = right  # bounds on rounding are those of the run itself, whatever the sides are widened by
        if turned_decisions is not None:
            left, right = _sides_of_all_ways(program, turned_decisions, left, right, along)
        obstacles = obstacles.and_those(run.observed)
        mean, half_gap = 0.5 * (right + left), 0.5 * np.abs(right - left)
        # gaps and errors of outputs add up in a combination, whatever the signs of its weights are
        columns = (weights, after), (weights, mean), (sizes, half_gap), (sizes, error)
        parts.append([combine(*pair) for pair in columns])
    after, mean, half_gap, error = (np.concatenate(column, axis=1) for column in zip(*parts))
    return OneSided(after, mean, half_gap, error, limits, obstacles)


def rounded_slopes(
    program: ProgramAtPoint, rng: Any, directions: np.ndarray | UnitVectors, weights: np.ndarray, sides: OneSided
) -> np.ndarray:
    """The derivatives just after the point by a run that rounds at random, (combinations, directions)."""
    parts = []
    for i, along in program.passes(directions):
        right = program.changes(along, program.run(rounding=rng))
        parts.append(combine(weights, np.where(*sides.limits[i], right) if i in sides.limits else right))
    return np.concatenate(parts, axis=1)


def _sides_of_all_ways(
    program: ProgramAtPoint, turned_decisions: TurnedDecisions, left: np.ndarray, right: np.ndarray, along: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest of both sides and of the slopes where rounding turns decisions."""

    def turned(decisions: list[Decision], along: np.ndarray) -> np.ndarray:
        return program.changes(along, TurnedRun(decisions=iter(decisions), trusted=program.trusted))

    ways, tied = turned_decisions
    slopes = [left, right, *(turned(way, along) for way in ways)]
    # with all numbers equal of which rounding may make any the largest, there is a kink of its own, with two sides
    slopes += [turned(tied, along), -turned(tied, -along)] if tied else []
    return np.fmin.reduce(slopes), np.fmax.reduce(slopes)


class _Sides(NamedTuple):
    """Slopes just after and just before the point, and the errors of those that are limits; (directions, outputs)."""

    right: np.ndarray
    left: np.ndarray
    error: np.ndarray

    def filled_in(self, where: np.ndarray, right: np.ndarray, left: np.ndarray, error: np.ndarray) -> "_Sides":
        """With other slopes, and their errors, where a mask says so."""
        return _Sides(*(np.where(where, new, old) for new, old in zip((right, left, error), self)))


def _find_unknown(program: ProgramAtPoint, sides: _Sides, unknown: np.ndarray, along: np.ndarray) -> _Sides:
    """Both sides with their unknown slopes filled in.

    Through a singular matrix they are slopes with a small number in the place of its zero pivot, if that does not
    matter; else limits of the slopes in places around; else, where these differ, limits along the direction.
    """
    slopes, error = _by_small_pivots(program, along)
    is_found = unknown & np.isfinite(error)
    sides, unknown = sides.filled_in(is_found, slopes, slopes, error), unknown & ~is_found
    if not unknown.any():
        return sides
    limits, error, is_same = limits_around(program, along)
    sides = sides.filled_in(unknown, limits, limits, error)
    # where no limit holds in all places, each side may have its own
    is_apart = unknown & ~is_same & ~np.isinf(error)
    for k in np.flatnonzero(is_apart.any(axis=1)):
        right, error_right = _limit_along(program, along[k : k + 1], 1.0)
        left, error_left = _limit_along(program, along[k : k + 1], -1.0)
        is_found = np.zeros(unknown.shape, bool)
        is_found[k] = is_apart[k] & ~np.isnan(right) & ~np.isnan(left)
        sides = sides.filled_in(is_found, right, left, error_right + error_left)
    return sides


def _by_small_pivots(program: ProgramAtPoint, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes through the factors of singular matrices, and their errors: infinite where pivots or sides matter."""
    slopes, other = (program.changes(along, program.run(pivot=pivot)) for pivot in PIVOTS)
    left = -program.changes(-along, program.run(pivot=PIVOTS[0]))
    rounded = program.changes(along, program.run(pivot=PIVOTS[0], rounding=np.random.default_rng(program.seed)))
    apart = np.maximum(np.abs(slopes - other), np.abs(slopes - left))
    # det is smooth in the factors, and depends on neither; the inverse grows like one over the pivot
    depends = apart > NO_MATTER * np.abs(slopes) + np.sqrt(PIVOTS[0])
    error = apart + SPREAD_FACTOR * np.abs(rounded - slopes)
    return slopes, np.where(depends | np.isnan(error), np.inf, error)


def limits_around(program: ProgramAtPoint, along: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Limits of slopes from points in random places around this one, their errors, and where all places agree.

    The error is infinite where f jumps: an output that does not jump along some axis has no derivative either.

    A function that is smooth here may be computed by steps that are not. A determinant is computed by the factors of
    the matrix, which is singular at all points along an axis from the zero matrix, and regular in random places.
    """
    size = np.where(program.point == 0.0, 1.0, np.abs(program.point)) * np.array(NEARBY)[:, None]
    places = [w * size for d in random_directions(2, program.inputs.size, program.seed + 4) for w in (d, -d)]
    found = [_extrapolate(program, program.point + place, along) for place in places]
    limits = np.array([limit for limit, _ in found])
    limit, cruder = found[0]
    rounded = _extrapolate(program, program.point + places[0], along, np.random.default_rng(program.seed))[0]
    # what the places, the order of extrapolation and rounding change of the limit is its error
    error = np.ptp(limits, axis=0) + np.abs(limit - cruder) + SPREAD_FACTOR * np.abs(rounded - limit)
    is_same = error <= MEANINGLESS["float64"] * np.abs(limits).max(axis=(0, 1))
    if not program.may_jump:
        jumps = _jumps_around(program, places)
        limit, is_same = np.where(jumps, np.nan, limit), is_same & ~jumps
        error = np.where(_jumps_around(program, places, of_mean=1.5), np.inf, error)
    return limit, error, is_same


def _jumps_around(program: ProgramAtPoint, places: Sequence[np.ndarray], of_mean: float = 2.5) -> np.ndarray:
    """Which outputs jump at the point, (outputs,), by their values at opposite points around it.

    At distances t and 2t, the mean of the changes on both sides grows with t², by 4, for a function with a slope, and
    half of their difference with t, by 2. Those of a step do not grow. At a kink the mean grows with t, too: it
    counts as well unless `of_mean`, the least by which the mean has to grow, is below 2.
    """
    here, jumps = program.value(), np.zeros(program.outputs.size, bool)
    for forth, back in (places[:2], places[2:]):
        ahead, behind = ([program.value(program.point + step) for step in place[:2]] for place in (forth, back))
        noise = SPREAD_FACTOR * np.abs(program.value(program.point + forth[0], np.random.default_rng(0)) - ahead[0])
        jumps |= _is_jump([0.5 * (f + b) - here for f, b in zip(ahead, behind)], here, noise, of_mean)
        jumps |= _is_jump([0.5 * (f - b) for f, b in zip(ahead, behind)], here, noise, grows=1.5)
    return jumps


def _limit_along(program: ProgramAtPoint, direction: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
    """The limit of the slopes along a direction at points on one side of it; NaN where the function jumps."""
    distances = side * program.unit_along(direction[0]) * np.array(NEARBY)
    points = program.point + distances[:, None] * direction
    limit, cruder = (x[0] for x in _extrapolate(program, points, direction))
    rounded = _extrapolate(program, points, direction, np.random.default_rng(program.seed))[0][0]
    if not program.may_jump:
        here, values = program.value(), [program.value(x) for x in points[:2]]
        rounded_value = program.value(points[0], np.random.default_rng(program.seed))
        noise = SPREAD_FACTOR * np.abs(rounded_value - values[0])
        jumps = _is_jump([y - here - t * limit for y, t in zip(values, distances)], here, noise)
        limit = np.where(jumps, np.nan, limit)
    return limit, np.abs(limit - cruder) + SPREAD_FACTOR * np.abs(rounded - limit)


def _is_jump(rest: Sequence[np.ndarray], here: np.ndarray, noise: np.ndarray, grows: float = 2.5) -> np.ndarray:
    """Whether what is left of a change, at distances t and 2t, is more than noise and does not grow as it should."""
    near, far = np.abs(rest)
    return (near > NO_JUMP * np.abs(here) + noise) & ~(far > grows * near)


def _extrapolate(
    program: ProgramAtPoint, points: Sequence[np.ndarray] | np.ndarray, along: np.ndarray, rounding: Any = None
) -> tuple[np.ndarray, ...]:
    """The slopes at the point from those at distances 1, 2 and 4, by a parabola and by a line; NaN without a limit."""
    near, middle, far = (program.changes(along, program.run(rounding=rounding), point) for point in points)
    bends = np.abs(near - middle)
    # towards a limit, slopes change by half as much on half of the way; those like log x by as much
    nothing = NOTHING_BENDS * np.abs(near) + NO_JUMP * np.abs(program.value())  # a slope of zero is rounding
    has_none = (bends > 0.75 * np.abs(middle - far)) & (bends > nothing)
    return np.where(has_none, np.nan, (8.0 * near - 6.0 * middle + far) / 3.0), 2.0 * near - middle
