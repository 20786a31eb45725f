"""Units that sit exactly at a junction of their activation, judged by its one-sided derivatives.

A junction is a z at which a formula changes to another piece. Its one-sided derivatives are -1 and 1 for |z| at 0, and
both 1 for an elu at 0. At a unit there, the rounding bound is as wide as the slope by hand jumps, whether that is right
or wrong, and a finite difference steps from one piece to the other. So neither can say that a slope of 0 is wrong for
the elu. The one-sided derivatives can: a gradient is right if it follows from slopes s between them,

    left <= s <= right, or the other way round,    s = (left + right)/2 ± |right - left|/2.

At a kink any such s is a convention; where both sides are equal, there is no choice. The gradient is computed once more
with these intervals for the slopes of such units. `Rounded` carries the half-widths through backpropagation as if they
were rounding errors: what comes out is a gradient and, in each coordinate, how far a convention can move it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness.bounds.network_bound import activate, moves_beside, shadow_pass
from harness.checks.activations.junctions import LIMIT_TOLERANCE
from harness.checks.activations.slope_answers import ONE_SIDED
from harness.checks.activations.slope_oracles import is_known, one_sided_derivatives, slope_function
from harness.facts.fact import note
from harness.facts.kinds import Kind
from harness.sources.source_table import JAX
from harness.verdict.comparison import Answer, Block, Pair, compare
from reference.activations import Activation
from reference.arithmetics.rounded import Rounded
from reference.problem import Problem

WIDE_SLOPE = 1e-9
"""A slope whose error is wider than this, beside 1 or the slope, leaves room for a bug. Rounding alone leaves at most
5e-13 in 200 ordinary random networks, and the jump at a kink is mostly of size 1, so that the value is not critical."""

MOST_PLACES = 100
"""Different z in one layer of which one-sided derivatives are computed: balls take a millisecond for each. Units at
zero or at ties share one z. More of them are wide where digits are lost, which no one-sided derivative mends."""

NOWHERE = np.zeros((), dtype=bool)  # no coordinate, as an array that broadcasts


class OneSidedComparison(NamedTuple):
    """The gradient by one-sided derivatives as one more answer, if any, and other answers compared with it."""

    answers: Sequence[Answer] = ()
    pairs: Sequence[Pair] = ()
    at_kinks: np.ndarray = NOWHERE  # the coordinates that a convention at a kink moves
    at_junctions: np.ndarray = NOWHERE  # those of units at junctions that it does not move


NO_SIDES = OneSidedComparison()


def compare_with_sides(
    problem: Problem, theta: np.ndarray, answers: Sequence[Answer], pairs: Sequence[Pair], blocks: Sequence[Block]
) -> OneSidedComparison:
    """The gradient by one-sided derivatives, and each tested answer beside it; nothing without a unit at a junction.

    It covers only the coordinates that the pairs leave undecided or in which they differ.
    """
    tested = [answer for answer in answers if not answer.oracle]
    doubtful = ~np.all([np.ones(theta.shape, bool), *(_is_confirmed(answer, pairs) for answer in tested)], axis=0)
    if not doubtful.any():
        return NO_SIDES
    found = _gradients(problem, theta)
    if not found.places:
        return NO_SIDES
    error = np.where(doubtful, found.between.error, np.inf)
    facts = (note(Kind.UNITS_AT_JUNCTION, *found.places),)
    sides = Answer(ONE_SIDED, ONE_SIDED, found.cost, np.inf, found.between.value, error, oracle=True, notes=facts)
    # JAX differentiates each piece by its rules, and a float32 unit may lie on either side: these may be confirmed with
    # their own bounds, and are not accused. The bound of any other answer is as wide as the jump of the slope by hand,
    # which would excuse whatever slope it took; rounding alone takes its place.
    is_lenient = [answer.family == JAX or answer.precision != "float64" for answer in tested]
    judged = [one if lenient else replace(one, error=found.midway.error) for one, lenient in zip(tested, is_lenient)]
    beside = [compare(answer, sides, blocks) for answer in judged]
    # a coordinate is a convention's where the jumps widen it beyond rounding, and the junction's own elsewhere
    is_moved = found.between.error > 2.0 * found.midway.error
    is_decided = np.any([pair.decided for pair in beside], axis=0)
    covered = np.isfinite(error)
    return OneSidedComparison([sides], beside, covered & is_moved, covered & ~is_moved & is_decided)


class _Gradients(NamedTuple):
    """The cost, and the gradients with the slopes at junctions `between` the one-sided derivatives and `midway`.

    The error of `between` is that of rounding and of any convention; that of `midway` is that of rounding alone.
    """

    cost: float
    between: Rounded
    midway: Rounded
    places: Sequence[str]  # the junctions, as "relu at z = 0"


def _gradients(problem: Problem, theta: np.ndarray) -> _Gradients:
    layers: list[_Layer] = []

    def between_sides(f: Activation, Z: Rounded) -> tuple[Rounded, Rounded]:
        layers.append(layer := _layer_at(f, Z))
        return layer.A, Rounded(layer.slope.value, layer.slope.error + layer.half_jump)

    cost, between = shadow_pass(problem, theta, Rounded, between_sides)
    places = tuple(dict.fromkeys(place for layer in layers for place in layer.places))
    slopes = iter([(layer.A, layer.slope) for layer in layers])  # the second pass meets the layers in the same order
    midway = shadow_pass(problem, theta, Rounded, lambda f, Z: next(slopes))[1] if places else between
    return _Gradients(float(cost.value), between, midway, places)


def _is_confirmed(answer: Answer, pairs: Sequence[Pair]) -> np.ndarray:
    """In which coordinates some other answer shows that this one is right."""
    beside = [pair.decided & ~pair.at_odds for pair in pairs if pair.other(answer.name)]
    return np.any([np.zeros(answer.gradient.shape, bool), *beside], axis=0)


class _Layer(NamedTuple):
    """A hidden layer's values and slopes, (m, units) each, and the junctions at which its units sit."""

    A: Rounded
    slope: Rounded  # midway between the one-sided derivatives at a junction, with an error that has no jump in it
    half_jump: np.ndarray  # half the difference of the one-sided derivatives at a junction, zero elsewhere
    places: tuple[str, ...] = ()  # as "relu at z = 0"


def _layer_at(f: Activation, Z: Rounded) -> _Layer:
    """Value and slope of a layer at Z; with one-sided derivatives where the slope is not known by rounding alone."""
    A, S, _ = activate(f, Z)
    parts = Z.value, Z.error, A.error, S.value, S.error
    z, reach, a_error, slope, error = (np.array(np.broadcast_to(part, Z.value.shape), dtype=float) for part in parts)
    half_jump, names = np.zeros(z.shape), ()
    # a wide slope is the sign of a junction within the error of z, or of digits that are lost otherwise
    wide = np.isfinite(z) & np.isfinite(reach) & ~(error <= WIDE_SLOPE * np.maximum(1.0, np.abs(slope)))
    # units of ties or of dead inputs share one z, and each z is looked at once, with the largest of its errors
    places, each = np.unique(z[wide], return_inverse=True)
    if 0 < len(places) <= MOST_PLACES:
        reaches = np.zeros(places.shape)
        np.maximum.at(reaches, each, reach[wide])
        between = _between_sides(f, places, reaches)
        known = np.isfinite(between.error)
        names = tuple(f"{f.name} at z = {place:.6g}" for place in places[known].tolist())
        # f is as smooth as on either side there, so its value is no worse than its change within the error of z
        a_error[wide] = np.fmin(a_error[wide], between.value_moves[each])
        slope[wide] = np.where(known[each], between.middle[each], slope[wide])
        error[wide] = np.where(known[each], between.error[each], error[wide])
        half_jump[wide] = between.half_jump[each]
    return _Layer(Rounded(A.value, a_error), Rounded(slope, error), half_jump, names)


class _Between(NamedTuple):
    """The slopes between the one-sided derivatives at some z, (k,) each: middle ± half_jump."""

    middle: np.ndarray
    error: np.ndarray  # of both; infinite where nothing is known
    half_jump: np.ndarray
    value_moves: np.ndarray  # how far f itself moves within the error of z


def _between_sides(f: Activation, z: np.ndarray, reach: np.ndarray) -> _Between:
    """The slopes between both sides of [z - reach, z + reach], wherever in this interval the true z lies."""
    # left of the interval and right of it no rounding of z matters; twice as far out shows whether the slope is flat
    outside = np.concatenate([z - 2.0 * reach, z - reach, z + reach, z + 2.0 * reach])
    from_the_left, from_the_right = one_sided_derivatives(f, outside, slope_function(f, outside))
    farther_left, left, _, _ = from_the_left.split(4)
    _, _, right, farther_right = from_the_right.split(4)
    size = np.maximum(1.0, np.maximum(np.abs(left.slope), np.abs(right.slope)))
    # where a slope varies on a scale of `reach`, its values at both ends say nothing about those between
    turns = np.maximum(np.abs(farther_left.slope - left.slope), np.abs(farther_right.slope - right.slope))
    value_moves = moves_beside(f, z, reach)
    known = is_known(left) & is_known(right) & (turns <= WIDE_SLOPE * size)
    known &= value_moves <= WIDE_SLOPE * np.maximum(1.0, np.abs(f(z.copy())))  # else f itself may jump
    error = np.where(known, left.error + right.error + turns + LIMIT_TOLERANCE * size, np.inf)
    half_jump = np.where(known, 0.5 * np.abs(right.slope - left.slope), 0.0)
    return _Between(0.5 * (left.slope + right.slope), error, half_jump, value_moves)
