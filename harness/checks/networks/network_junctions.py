"""Units that sit exactly at a junction of their activation, judged by its one-sided derivatives.

There the rounding bound is as wide as the jump of the slope by hand, be it right or wrong, and finite
differences step from one piece to the other. The one-sided derivatives are known all the same. A gradient is right if
it follows from slopes between them: at a kink any such slope will do, and where both are equal there is no choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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

WIDE = 1e-9  # an error of a slope, beside 1 or the slope, that leaves room for a bug
MOST = 100  # different z in one layer of which one-sided derivatives are computed: balls take a millisecond for each
NOWHERE = np.zeros((), dtype=bool)  # no coordinate, as an array that broadcasts


@dataclass(frozen=True, eq=False)
class Sides:
    """The gradient by one-sided derivatives as one more answer, if any, and other answers compared with it.

    Attributes
    ----------
    answers : sequence of Answer
    pairs : sequence of Pair
    at_kinks, at_junctions : the coordinates that a convention at a kink moves, and those that it does not
    """

    answers: Sequence[Answer] = ()
    pairs: Sequence[Pair] = ()
    at_kinks: np.ndarray = field(default_factory=lambda: NOWHERE)
    at_junctions: np.ndarray = field(default_factory=lambda: NOWHERE)


NO_SIDES = Sides()


def compare_with_sides(
    problem: Problem, theta: np.ndarray, answers: Sequence[Answer], pairs: Sequence[Pair], blocks: Sequence[Block]
) -> Sides:
    """The gradient by one-sided derivatives, and each tested answer beside it; nothing without a unit at a junction.

    It covers only the coordinates that the pairs leave undecided or in which they differ.
    """
    tested = [answer for answer in answers if not answer.oracle]
    if not tested:
        return NO_SIDES
    doubtful = ~np.all([_is_confirmed(answer, pairs) for answer in tested], axis=0)
    if not doubtful.any():
        return NO_SIDES
    layers = _Layers()
    cost, gradient = shadow_pass(problem, theta, Rounded, layers.activate)
    if not layers.places:
        return NO_SIDES
    between = iter(layers.midway)
    _, midway = shadow_pass(problem, theta, Rounded, lambda f, Z: next(between))
    error, facts = np.where(doubtful, gradient.error, np.inf), (note(Kind.UNITS_AT_JUNCTION, *layers.places),)
    sides = Answer(ONE_SIDED, ONE_SIDED, float(cost.value), np.inf, gradient.value, error, oracle=True, notes=facts)
    # JAX differentiates each piece by its rules, and a float32 unit may lie on either side: these may be confirmed with
    # their own bounds, and are not accused; the others have to follow from slopes between both sides
    beside = [
        compare(answer if _has_conventions(answer) else replace(answer, error=midway.error), sides, blocks)
        for answer in tested
    ]
    moved, decided = gradient.error > 2.0 * midway.error, np.any([pair.decided for pair in beside], axis=0)
    covered = np.isfinite(error)
    return Sides([sides], beside, covered & moved, covered & ~moved & decided)


def _is_confirmed(answer: Answer, pairs: Sequence[Pair]) -> np.ndarray:
    beside = [pair.decided & ~pair.at_odds for pair in pairs if pair.other(answer.name)]
    return np.any([np.zeros(answer.gradient.shape, bool), *beside], axis=0)


def _has_conventions(answer: Answer) -> bool:
    return answer.family == JAX or answer.precision != "float64"


class _Layers:
    """Value and slope of each layer in turn, with both one-sided derivatives where a unit is near a junction.

    Attributes
    ----------
    midway : the same without the jump from one side to the other
    places : the activations whose units are near a junction, each with its z, once each
    """

    def __init__(self):
        self.midway: list[tuple[Rounded, Rounded]] = []
        self.places: list[str] = []

    def activate(self, f: Activation, Z: Rounded) -> tuple[Rounded, Rounded]:
        """f(Z), and f'(Z) midway between the one-sided derivatives around Z; the error reaches both."""
        A, S = activate(f, Z, {})
        z, reach, a_error, slope, error = (
            np.array(np.broadcast_to(part, np.shape(Z.value)), dtype=float)
            for part in (Z.value, Z.error, A.error, S.value, S.error)
        )
        jump = np.zeros(z.shape)
        wide = np.isfinite(z) & np.isfinite(reach) & ~(error <= WIDE * np.maximum(1.0, np.abs(slope)))
        places, each = np.unique(z[wide], return_inverse=True)
        if 0 < len(places) <= MOST:
            reaches = np.zeros(places.shape)
            np.maximum.at(reaches, each, reach[wide])
            middle, off, half, moved = (part[each] for part in _between_sides(f, places, reaches))
            known = np.isfinite(off)
            names = [f"{f.name} at z = {place:.6g}" for place in np.unique(z[wide][known]).tolist()]
            self.places += [name for name in names if name not in self.places]
            a_error[wide] = np.fmin(a_error[wide], moved)
            slope[wide], error[wide] = np.where(known, middle, slope[wide]), np.where(known, off, error[wide])
            jump[wide] = half
        A = Rounded(A.value, a_error)
        self.midway.append((A, Rounded(slope, error)))
        return A, Rounded(slope, error + jump)


def _between_sides(
    f: Activation, z: np.ndarray, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The slope midway between the sides of [z - reach, z + reach], its error, half its jump, and f's own change."""
    far = np.concatenate([z - 2.0 * reach, z - reach, z + reach, z + 2.0 * reach])
    on_the_left, on_the_right = one_sided_derivatives(f, far, slope_function(f, far))
    (farther_left, left, _, _), (_, left_error, _, _) = (np.split(part, 4) for part in on_the_left)
    (_, _, right, farther_right), (_, _, right_error, _) = (np.split(part, 4) for part in on_the_right)
    size = np.maximum(1.0, np.maximum(np.abs(left), np.abs(right)))
    # where a slope varies on a scale of `reach`, its values at both ends say nothing about those between
    turns = np.maximum(np.abs(farther_left - left), np.abs(farther_right - right))
    moved = moves_beside(f, z, reach)
    known = is_known((left, left_error)) & is_known((right, right_error)) & (turns <= WIDE * size)
    known &= moved <= WIDE * np.maximum(1.0, np.abs(f(z.copy())))  # else f itself may jump
    off = np.where(known, left_error + right_error + turns + LIMIT_TOLERANCE * size, np.inf)
    return 0.5 * (left + right), off, np.where(known, 0.5 * np.abs(right - left), 0.0), moved
