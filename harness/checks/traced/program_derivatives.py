"""The program's own derivatives with their error bounds: at kinks both sides, and every convention between.

At a kink an answer may lie anywhere between the left and the right derivative. Where several numbers are equal that may
not be enough: moving one of three equal numbers does not move their median, so that both sides are 0, while 1/3 for
each is a good convention. It is an average of the gradients at points around, as every convention is.

Source: Clarke, Optimization and Nonsmooth Analysis, 1983, theorem 2.5.1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from harness.bounds.program_bound import floor_of, largest_in_block
from harness.bounds.tolerances import NARROW
from harness.checks.random_directions import random_directions
from harness.checks.traced.measured_point import Point
from harness.checks.traced.one_sided import OneSided, one_sided_slopes
from harness.checks.traced.program_at_point import NO_MATTER, ProgramAtPoint
from harness.checks.traced.real_coordinates import UnitVectors, combine
from harness.checks.traced.rounding_bounds import bound_of_slopes
from harness.verdict.comparison import Block
from reference.arithmetics.array_pieces import largest
from reference.traced.decisions import TiedRun
from reference.traced.interpreter import Observations
from reference.traced.primitive_differences import NOISE_ROUNDINGS

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

MOST_ORDERS = 64  # places around a black box, beside those, in which equal inputs part in different orders

SHOW_KINK = 4
"""Places that show whether a black box has a kink, where no equal numbers decide: if the slopes of so many are those at
the point, no more are looked at. They cost a run each, which a solver takes long for."""

NEXT_TO = 1e-10
"""The distance of these places, in units of the argument's size, where slopes around may explain a report. From there
and from twice as far away they are extrapolated to the point, so that a function that bends excuses nothing."""

NOISE_AROUND = 5.0 * NOISE_ROUNDINGS  # see `distance_around`


@dataclass(frozen=True, eq=False)
class Slopes:
    """The program's derivatives along directions."""

    sides: OneSided
    error: np.ndarray  # (combinations, directions) array: infinite where nothing is known
    has_kink: bool  # whether the left and the right derivative differ somewhere
    has_no_limit: bool  # whether slopes grow somewhere without limit as steps shrink

    @property
    def kinks(self) -> np.ndarray:
        """Mask of where the two sides differ."""
        return 2.0 * self.sides.half_gap > self.error


def measure_slopes(
    point: Point, along: np.ndarray | UnitVectors, reported: Sequence[np.ndarray], blocks: Sequence[Block]
) -> Slopes:
    """The program's derivatives along directions, as precisely as is needed beside what is reported for them.

    1. An increment over its step is a slope, unless it shrinks or grows with the step.
    2. Rounding may move it, which a bound covers.
    3. At a kink there are two. Both widen to what JAX may rightly report instead: by comparisons that rounding turns,
       and by conventions around the point.
    """
    program, weights = point.program, point.combinations.weights
    sides = one_sided_slopes(program, along, weights)
    is_second_order, has_no_limit = _compare_shorter_steps(program, along, weights, reported, sides)
    sides = replace(sides, mean=np.where(is_second_order, 0.0, sides.mean))
    error = bound_of_slopes(program, along, weights, sides)
    error = np.select([is_second_order, has_no_limit], [np.finfo(float).tiny, np.inf], error)
    has_kink = _has_kink(program, along, weights, sides, error)
    if any(point.turned_decisions):
        sides = _with_turned_decisions(point, along, reported, sides, blocks)
    if not sides.obstacles.is_smooth:
        sides = _with_slopes_around(point, along, reported, sides, error, blocks)
    error = np.where(np.isfinite(error), error, np.inf)
    return Slopes(sides, error, has_kink, bool(has_no_limit.any()))


def _shorter_slopes(program: ProgramAtPoint, along: np.ndarray, weights: np.ndarray) -> OneSided:
    return one_sided_slopes(replace(program, step_share=SHORTER), along, weights)


def _compare_shorter_steps(
    program: ProgramAtPoint,
    along: np.ndarray | UnitVectors,
    weights: np.ndarray,
    reported: Sequence[np.ndarray],
    sides: OneSided,
) -> tuple[np.ndarray, np.ndarray]:
    """Where increments are no slopes, by shorter steps in the directions where a report contradicts them.

    Two masks of (combinations, directions): where a report is next to nothing, and shorter steps leave nothing either,
    as of x² at 0; and where shorter steps find steeper slopes, as those of √x at 0.
    """
    is_zero, is_steep = np.zeros((2, *sides.mean.shape), bool)
    steepest = np.abs(sides.mean) + sides.half_gap
    # a slope far below the largest report is small, however much a shorter step may find it to grow
    small = NO_MATTER * max((largest(x.ravel()) for x in reported), default=0.0)
    for found in reported:
        is_zero |= np.abs(found) <= REMNANT * np.abs(sides.mean)
        # a report between both sides agrees with them, and NaN with nothing
        is_steep |= ~(sides.distance(found) <= STEEPER * steepest) & (steepest > small)
    is_slope = np.isfinite(steepest) & (steepest != 0.0)
    is_zero, is_steep = is_zero & is_slope & (sides.mean != 0.0), is_steep & is_slope
    at = np.flatnonzero((is_zero | is_steep).any(axis=0))
    if at.size:
        # a black box has its own steps, and other noise among other directions
        longer = one_sided_slopes(program, along[at], weights)
        shorter = _shorter_slopes(program, along[at], weights)
        is_zero[:, at] &= np.abs(shorter.mean) <= SHRINKS * np.abs(longer.mean)
        steepest_of_shorter, steepest_of_longer = (np.abs(x.mean) + x.half_gap for x in (shorter, longer))
        is_steep[:, at] &= steepest_of_shorter > (1.0 + STEEPER) * steepest_of_longer
    return is_zero, is_steep


def _has_kink(
    program: ProgramAtPoint, along: np.ndarray | UnitVectors, weights: np.ndarray, sides: OneSided, error: np.ndarray
) -> bool:
    """Whether both sides differ by more than what shrinks with the step: x² at 0 has the sides ±h, and no kink."""
    gap = np.where(2.0 * sides.half_gap > error, sides.half_gap, 0.0)  # a gap within the error is none
    at = np.flatnonzero(gap.any(axis=0))
    if not at.size:
        return False
    return bool((_shorter_slopes(program, along[at], weights).half_gap > SHRINKS * gap[:, at])[gap[:, at] > 0.0].any())


def distance_around(least: float, met: Observations) -> float:
    """How far places around a point are from it, in units of its size: farther beside black boxes, for their stencils.

    Numbers that are equal at the point part by some fifth of the distance d, and differences with a roundoff u have to
    be narrower. At d = cbrt(80 u), their noise 16 u/(d/5) is the d² that an extrapolation leaves of a third derivative.
    """
    return max(least, float(np.cbrt(NOISE_AROUND * met.roundoff)))


def slopes_around(
    point: Point, along: np.ndarray, least: float, met: Observations, *, times: float = 1.0, turn: float = 0.0
) -> Iterator[np.ndarray]:
    """The slopes at each of several places around the point, (combinations, directions), `distance_around` it or more.

    Places come in pairs on opposite sides, so that both sides of a kink are met. Some are random. To the others,
    numbers that are equal move apart, in the order in which the program takes them: all comparisons together, and each
    by itself. With a `turn`, the inputs of each place are moved by up to this share of their distance.
    """
    program, count = point.program, point.program.inputs.size
    size, rng = np.where(program.point == 0.0, 1.0, np.abs(program.point)), np.random.default_rng(program.seed + 8)
    distance = times * distance_around(least, met)
    # of seven equal numbers, random places rarely have the fourth in the middle that the program takes for the median
    orders = _moves_in_orders(count, program.seed + 9) if met.differenced else ()
    for move in chain(_moves_from_ties(program, size), random_directions(PLACES, count, program.seed + 7), orders):
        at = distance * size * move * (1.0 + turn * rng.uniform(-1.0, 1.0, count))
        for place in (at, -at):
            yield combine(point.combinations.weights, program.changes(along, program.run(), program.point + place))


def _moves_in_orders(count: int, seed: int) -> Iterator[np.ndarray]:
    """Moves by which equal inputs part evenly: in a random order, turned round, so that each takes each place in it.

    A black box does not say in which order it takes them.
    """
    rng = np.random.default_rng(seed)
    move = (rng.permutation(count) + rng.uniform(0.4, 0.6, count)) * 2.0 / count - 1.0
    return (np.roll(move, k) for k in range(min(count, MOST_ORDERS)))


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


def _with_slopes_around(
    point: Point,
    along: np.ndarray | UnitVectors,
    reported: Sequence[np.ndarray],
    sides: OneSided,
    error: np.ndarray,
    blocks: Sequence[Block],
) -> OneSided:
    """Sides that include the slopes around, where a report beyond the sides, not by rounding, lies between these.

    Of the median of three equal numbers each alone moves nothing: both sides are 0. But around, one of them has slope
    1, so that a report of 1/3 lies between.
    """
    # what rounding moves is no convention; a bound may be as wide as u^(2/3) and still pass for narrow
    narrow = point.program.coarsest**NARROW
    floors = [narrow * largest_in_block(x.ravel(), blocks).reshape(x.shape) for x in reported]
    off = [(sides.distance(x) > 2.0 * error + f) & np.isfinite(x) for x, f in zip(reported, floors)]
    is_beyond = np.any([np.zeros(error.shape, bool), *off], axis=0) & np.isfinite(error)
    at = np.flatnonzero(is_beyond.any(axis=0))
    if not at.size:
        return sides
    met, distance = sides.obstacles, distance_around(NEXT_TO, sides.obstacles)
    low, high, within = sides.low[:, at], sides.high[:, at], 2.0 * (sides.half_gap + error)[:, at]
    is_convention, found = np.zeros(low.shape, bool), []
    for near, far in zip(*(slopes_around(point, along[at], NEXT_TO, met, times=times) for times in (1.0, 2.0))):
        found.append(2.0 * near - far)  # extrapolated to the point
        low, high = np.fmin(sides.low[:, at], np.min(found, axis=0)), np.fmax(sides.high[:, at], np.max(found, axis=0))
        unsure = distance * np.maximum(np.abs(low), np.abs(high))  # what the extrapolation may leave
        # the slopes around count where they differ from the sides, and where all reports lie between them
        is_convention = is_beyond[:, at] & (high - low > within + unsure)
        low, high = low - unsure, high + unsure
        if len(found) == SHOW_KINK and not met.ties and not is_convention.any():
            return sides
    around = sides.widened(at, is_convention, low, high)
    for x, floor in zip(reported, floors):
        is_convention &= ~(around.distance(x) > error + floor)[:, at]
    return sides.widened(at, is_convention, low, high)


def _with_turned_decisions(
    point: Point,
    along: np.ndarray | UnitVectors,
    reported: Sequence[np.ndarray],
    sides: OneSided,
    blocks: Sequence[Block],
) -> OneSided:
    """Sides that include the slopes where rounding turns decisions, unless all reports are next to the sides.

    relu(x + y - 1) with x + y = 1 up to a rounding has the slope 0 or 1, as the sum is rounded.
    """
    is_beyond = np.full(sides.mean.shape, not reported)
    for found in reported:
        floor = floor_of(found.ravel(), blocks, point.program.coarsest).reshape(found.shape)
        is_beyond |= (sides.distance(found) > floor) & np.isfinite(found)
    at = np.flatnonzero(is_beyond.any(axis=0))
    if not at.size:
        return sides
    # only directions in which some report is beyond the sides are run again, once for each way to decide
    turned = one_sided_slopes(point.program, along[at], point.combinations.weights, point.turned_decisions)
    return sides.widened(at, np.ones(turned.mean.shape, bool), turned.low, turned.high)
