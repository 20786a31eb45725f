"""The program's own derivatives with their error bounds: at kinks both sides, and every convention between.

At a kink an answer may lie anywhere between the left and the right derivative. Where several numbers are equal that may
not be enough: moving one of three equal numbers does not move their median, so that both sides are 0, while 1/3 for
each is a good convention. It is an average of the gradients at points around, as every convention is.

Source: Clarke, Optimization and Nonsmooth Analysis, 1983, theorem 2.5.1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import numpy as np

from harness.bounds.program_bound import floor_of, largest_in_block
from harness.bounds.tolerances import NARROW
from harness.checks.random_directions import random_directions
from harness.checks.traced.derivative_case import Point
from harness.checks.traced.one_sided import OneSided, one_sided_slopes
from harness.checks.traced.program_at_point import NO_MATTER, Obstacles, ProgramAtPoint
from harness.checks.traced.real_coordinates import UnitVectors, combine
from harness.checks.traced.rounding_bounds import Scope, bound_of_slopes
from reference.traced.decisions import TiedRun

SHORTER, SHRINKS = 2.0**-40, 2.0**-30
"""A step that is shorter by the first share tells first order from second: (f(h) - f(0))/h of h² shrinks with h, to
less than the second share, which leaves room for rounding; that of h stays."""

REMNANT = 2.0**-60
"""A report that is so small beside the increments may be right where these are of second order alone: JAX says 0 for x²
at 0, where an increment over a step of 6e-61 says 6e-61."""

STEEPER = 1e-2
"""Slopes that grow by more than this share as steps shrink have no limit: those of √x grow by 2²⁰, and even those of
x log x by a fifth."""

PLACES = 8
"""Random places around the point, and as many on its other side; and as many for comparisons of equal numbers. Of n
equal numbers each place has another order: with few, conventions of many equal numbers would look wrong."""

NEXT_TO = 1e-10
"""The distance of these places, in units of the argument's size, where slopes around may explain a report. From there
and from twice as far away they are extrapolated to the point, so that a function that bends excuses nothing."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """The program's derivatives along directions."""

    sides: OneSided
    error: np.ndarray  # (combinations, directions) array: infinite where nothing is known
    bound_kinds: frozenset[str]
    has_kink: bool  # whether the left and the right derivative differ somewhere
    has_no_limit: bool  # whether slopes grow somewhere without limit as steps shrink

    @property
    def obstacles(self) -> Obstacles:
        """What keeps increments from being exact slopes."""
        return self.sides.obstacles


class NoSlopes(NamedTuple):
    """Masks of (combinations, directions) where an increment over its step is no slope."""

    is_second_order: np.ndarray  # a report is next to nothing, and shorter steps leave nothing
    has_no_limit: np.ndarray  # shorter steps find steeper slopes, as those of √x at 0


@np.errstate(all="ignore")
def measure_slopes(
    point: Point, along: np.ndarray | UnitVectors, reported: Sequence[np.ndarray], scope: Scope
) -> Slopes:
    """The program's derivatives along directions, as precisely as is needed beside what is reported for them."""
    program, weights = point.program, point.combinations.weights
    sides = one_sided_slopes(program, along, weights)
    no_slope = _find_no_slopes(program, along, weights, reported, sides)
    sides = replace(sides, mean=np.where(no_slope.is_second_order, 0.0, sides.mean))
    bound = bound_of_slopes(program, along, weights, sides, scope.blocks)
    error = np.select([no_slope.is_second_order, no_slope.has_no_limit], [np.finfo(float).tiny, np.inf], bound.error)
    has_kink = _has_kink(program, along, weights, sides, error)
    # both sides widen to what JAX may rightly report instead: by turned decisions, and by conventions around the point
    sides = _with_turned_decisions(point, along, reported, sides, scope)
    if not sides.is_smooth:
        sides = _with_slopes_around(point, along, reported, sides, error, scope)
    error = np.where(np.isfinite(error), error, np.inf)
    return Slopes(sides, error, bound.kinds, has_kink, bool(no_slope.has_no_limit.any()))


@np.errstate(all="ignore")
def _find_no_slopes(
    program: ProgramAtPoint,
    along: np.ndarray | UnitVectors,
    weights: np.ndarray,
    reported: Sequence[np.ndarray],
    sides: OneSided,
) -> NoSlopes:
    """Where increments are no slopes, by shorter steps where a report contradicts them."""
    is_zero = np.zeros(sides.mean.shape, bool)
    steepest, finite = np.abs(sides.mean) + sides.half_gap, [np.where(np.isfinite(x), x, 0.0) for x in reported]
    # a slope far below the largest report is small, however much a shorter step may find it to grow
    small = NO_MATTER * np.max([0.0, *(np.abs(x).max(initial=0.0) for x in finite)])
    is_slope, is_steep = np.isfinite(steepest) & (steepest != 0.0), is_zero.copy()
    for found in reported:
        is_zero |= np.abs(found) <= REMNANT * np.abs(sides.mean)
        # a report between both sides agrees with them, and NaN with nothing
        off = np.abs(found - np.clip(found, sides.mean - sides.half_gap, sides.mean + sides.half_gap))
        is_steep |= ~(off <= STEEPER * steepest) & (steepest > small)
    is_zero, is_steep = is_zero & is_slope & (sides.mean != 0.0), is_steep & is_slope
    # only directions that a report contradicts are run again
    at = np.flatnonzero((is_zero | is_steep).any(axis=0))
    if at.size:
        longer = np.abs(sides.mean[:, at]), steepest[:, at]
        if sides.obstacles.differenced:  # a black box has its own steps, and other noise among other directions
            again = one_sided_slopes(program, along[at], weights)
            longer = np.abs(again.mean), np.abs(again.mean) + again.half_gap
        shorter = one_sided_slopes(replace(program, step_share=SHORTER), along[at], weights)
        is_zero[:, at] &= np.abs(shorter.mean) <= SHRINKS * longer[0]
        is_steep[:, at] &= np.abs(shorter.mean) + shorter.half_gap > (1.0 + STEEPER) * longer[1]
    return NoSlopes(is_zero, is_steep)


@np.errstate(all="ignore")
def _has_kink(
    program: ProgramAtPoint, along: np.ndarray | UnitVectors, weights: np.ndarray, sides: OneSided, error: np.ndarray
) -> bool:
    """Whether both sides differ by more than what shrinks with the step: x² at 0 has the sides ±h, and no kink."""
    gap = np.where(2.0 * sides.half_gap > error, sides.half_gap, 0.0)  # a gap within the error is none
    at = np.flatnonzero(gap.any(axis=0))
    if not at.size:
        return False
    shorter = one_sided_slopes(replace(program, step_share=SHORTER), along[at], weights).half_gap
    return bool((shorter > SHRINKS * gap[:, at])[gap[:, at] > 0.0].any())


def slopes_around(point: Point, along: np.ndarray, distance: float, turn: float = 0.0) -> Iterator[np.ndarray]:
    """The slopes at each of several places around the point, (combinations, directions); the distance is relative.

    Places come in pairs on opposite sides, so that both sides of a kink are met. Some are random. To the others,
    numbers that are equal move apart, in the order in which the program takes them: all comparisons together, and each
    by itself. With a `turn`, the inputs of each place are moved by up to this share of their distance.
    """
    program, count = point.program, point.program.inputs.size
    size, rng = np.where(program.point == 0.0, 1.0, np.abs(program.point)), np.random.default_rng(program.seed + 8)
    # of seven equal numbers, random places rarely have the fourth in the middle that the program takes for the median
    for move in chain(_moves_from_ties(program, size), random_directions(PLACES, count, program.seed + 7)):
        at = distance * size * move * (1.0 + turn * rng.uniform(-1.0, 1.0, count))
        for place in (at, -at):
            yield combine(point.combinations.weights, program.changes(along, program.run(), program.point + place))


def _moves_from_ties(program: ProgramAtPoint, size: np.ndarray) -> Iterator[np.ndarray]:
    """Moves of the inputs, in units of `size`, by which equal numbers part as the program takes them at the point.

    The program's compared numbers move by M d along a move d of the inputs. Wanted is a d with M d in proportion to the
    order in which they are taken, by least squares.
    """
    count = program.inputs.size
    # M by its columns; of more inputs than fit into a pass, random directions have to do
    units = np.eye(count) if count <= program.chunk else random_directions(program.chunk, count, program.seed + 9)
    run = TiedRun(trusted=program.trusted)
    program.changes(size * units, run)
    ties = list(zip(run.moves, run.wanted))
    if len(ties) > 1:
        ties = [(np.concatenate(run.moves), np.concatenate(run.wanted)), *ties[:PLACES]]
    for moves, wanted in ties:
        moves = moves / np.abs(moves).max(initial=np.finfo(float).tiny)
        if np.isfinite(moves).all():
            move = np.linalg.lstsq(moves, wanted, rcond=NO_MATTER)[0] @ units
            yield move / np.abs(move).max(initial=np.finfo(float).tiny)


@np.errstate(all="ignore")
def _with_slopes_around(
    point: Point,
    along: np.ndarray | UnitVectors,
    reported: Sequence[np.ndarray],
    sides: OneSided,
    error: np.ndarray,
    scope: Scope,
) -> OneSided:
    """Sides that include the slopes around, where a report beyond the sides, not by rounding, lies between these.

    Of the median of three equal numbers each alone moves nothing: both sides are 0. But around, one of them has slope
    1, so that a report of 1/3 lies between.
    """
    low, high = sides.mean - sides.half_gap, sides.mean + sides.half_gap
    # what rounding moves is no convention; a bound may be as wide as u^(2/3) and still pass for narrow
    floors = [scope.unit**NARROW * largest_in_block(x.ravel(), scope.blocks).reshape(x.shape) for x in reported]
    off = [(np.abs(x - np.clip(x, low, high)) > 2.0 * error + f) & np.isfinite(x) for x, f in zip(reported, floors)]
    is_beyond = np.any([np.zeros(low.shape, bool), *off], axis=0) & np.isfinite(error)
    at = np.flatnonzero(is_beyond.any(axis=0))
    if not at.size:
        return sides
    near, far = (np.array(list(slopes_around(point, along[at], times * NEXT_TO))) for times in (1.0, 2.0))
    found = 2.0 * near - far  # extrapolated to the point
    least, most = np.fmin(low[:, at], np.min(found, axis=0)), np.fmax(high[:, at], np.max(found, axis=0))
    # the slopes around count where they differ from the sides, and where all reports lie between them
    wide = is_beyond[:, at] & (most - least > 2.0 * (sides.half_gap + error)[:, at])
    for x, floor in zip(reported, floors):
        wide &= ~(np.abs(x[:, at] - np.clip(x[:, at], least, most)) > (error + floor)[:, at])
    mean, half_gap = sides.mean.copy(), sides.half_gap.copy()
    mean[:, at] = np.where(wide, 0.5 * (least + most), mean[:, at])
    half_gap[:, at] = np.where(wide, 0.5 * (most - least), half_gap[:, at])
    return replace(sides, mean=mean, half_gap=half_gap)


def _with_turned_decisions(
    point: Point, along: np.ndarray | UnitVectors, reported: Sequence[np.ndarray], sides: OneSided, scope: Scope
) -> OneSided:
    """Sides that include the slopes where rounding turns decisions, unless all reports are next to the sides.

    relu(x + y - 1) with x + y = 1 up to a rounding has the slope 0 or 1, as the sum is rounded.
    """
    if not any(point.turned_decisions):
        return sides
    is_beyond = np.full(sides.mean.shape, not reported)
    for found in reported:
        floor = floor_of(found.ravel(), scope.blocks, scope.unit).reshape(found.shape)
        is_beyond |= (np.abs(found - sides.mean) > sides.half_gap + floor) & np.isfinite(found)
    at = np.flatnonzero(is_beyond.any(axis=0))
    if not at.size:
        return sides
    # only directions in which some report is beyond the sides are run again, once for each way to decide
    turned = one_sided_slopes(point.program, along[at], point.combinations.weights, point.turned_decisions)
    mean, half_gap = sides.mean.copy(), sides.half_gap.copy()
    mean[:, at], half_gap[:, at] = turned.mean, turned.half_gap
    return replace(sides, mean=mean, half_gap=half_gap)
