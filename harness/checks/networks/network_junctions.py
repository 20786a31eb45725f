"""Units that sit where the pieces of their activation meet, judged by the slopes on both sides.

The rounding bound is wide there: as far as the slope claimed by hand jumps, be it right or wrong. And differences step
from one piece to the other. What the slope tends to on either side is known all the same, and a gradient is right if
the slope of each such unit lies between these limits: at a kink it may, and where they are one, there is no choice.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness.bounds.network_bound import activate, moves_beside, shadow_pass
from harness.checks.activations.activation_subject import SIDES
from harness.checks.activations.one_sided_slopes import SEAM
from harness.checks.activations.slope_oracles import is_known, sides_of_slope, slope_function
from harness.sources.source_table import JAX
from harness.verdict.comparison import Answer, Block, Pair, compare
from reference.activations import Activation
from reference.arithmetics.rounded import Rounded
from reference.problem import Problem

WIDE = 1e-9
"""An error of a slope, beside 1 or the slope, that leaves room for a bug."""

MOST = 100  # different z in one layer: balls take a millisecond for each


class BesideSides(NamedTuple):
    """What the slopes on both sides say: one more answer, if any, others beside it, and why coordinates are in doubt.

    `at_kinks` are those that a convention moves, `at_seams` those that it does not; (n,) bool arrays each.
    """

    answers: list[Answer]
    pairs: list[Pair]
    at_kinks: np.ndarray
    at_seams: np.ndarray


def beside_sides(
    problem: Problem, theta: np.ndarray, answers: Sequence[Answer], pairs: Sequence[Pair], blocks: Sequence[Block]
) -> BesideSides:
    """The gradient by the slopes on both sides, as one more answer, and each that is to be tested beside it.

    It speaks of those coordinates alone that the pairs leave undecided or at odds; without a unit near a seam, there is
    no such answer.
    What automatic differentiation makes of a seam follows from its rules for each piece, and a float32 unit may be on
    either side: these answers may be confirmed, and are not accused.
    """
    nowhere = np.zeros(theta.shape, bool)
    tested = [answer for answer in answers if not answer.oracle]
    doubtful = ~np.all([_is_confirmed(answer, pairs) for answer in tested], axis=0) if tested else nowhere
    if not doubtful.any():
        return BesideSides([], [], nowhere, nowhere)
    layers = _Layers()
    cost, gradient = shadow_pass(problem, theta, Rounded, layers.activate)
    if not layers.seams:
        return BesideSides([], [], nowhere, nowhere)
    between = iter(layers.midway)
    _, midway = shadow_pass(problem, theta, Rounded, lambda f, Z: next(between))
    error = np.where(doubtful, gradient.error, np.inf)
    note = f"where pieces meet: {', '.join(layers.seams)}"
    sides = Answer(SIDES, SIDES, float(cost.value), np.inf, gradient.value, error, oracle=True, notes=note)
    beside = [
        compare(answer if _has_conventions(answer) else replace(answer, error=midway.error), sides, blocks)
        for answer in tested
    ]
    moved, told = gradient.error > 2.0 * midway.error, np.any([pair.decided for pair in beside], axis=0)
    return BesideSides([sides], beside, np.isfinite(error) & moved, np.isfinite(error) & ~moved & told)


def _is_confirmed(answer: Answer, pairs: Sequence[Pair]) -> np.ndarray:
    beside = [pair.decided & ~pair.at_odds for pair in pairs if pair.other(answer.name)]
    return np.any([np.zeros(answer.gradient.shape, bool), *beside], axis=0)


def _has_conventions(answer: Answer) -> bool:
    return answer.family == JAX or answer.precision != "float64"


class _Layers:
    """Value and slope of each layer in turn, with the slopes of both sides where a unit is near a seam.

    Attributes
    ----------
    midway : list of pairs
        The same without the jump from one side to the other.
    seams : list of str
        The activations whose units are there, with z, once each.
    """

    def __init__(self):
        self.midway: list[tuple[Rounded, Rounded]] = []
        self.seams: list[str] = []

    def activate(self, f: Activation, Z: Rounded) -> tuple[Rounded, Rounded]:
        """f(Z), and f'(Z) midway between its limits on both sides of Z; the error reaches both."""
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
            middle, off, half, moved = (part[each] for part in _between(f, places, reaches))
            known = np.isfinite(off)
            names = [f"{f.name} at z = {place:.6g}" for place in np.unique(z[wide][known]).tolist()]
            self.seams += [name for name in names if name not in self.seams]
            a_error[wide] = np.fmin(a_error[wide], moved)
            slope[wide], error[wide] = np.where(known, middle, slope[wide]), np.where(known, off, error[wide])
            jump[wide] = half
        A = Rounded(A.value, a_error)
        self.midway.append((A, Rounded(slope, error)))
        return A, Rounded(slope, error + jump)


def _between(f: Activation, z: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What is between both sides of [z - reach, z + reach]: the slope midway, its error, half its jump; f's change."""
    far = np.concatenate([z - 2.0 * reach, z - reach, z + reach, z + 2.0 * reach])
    slope_at = slope_function(f, far)
    on_the_left, on_the_right = sides_of_slope(f, far, slope_at)
    (farther_left, left, _, _), (_, left_error, _, _) = (np.split(part, 4) for part in on_the_left)
    (_, _, right, farther_right), (_, _, right_error, _) = (np.split(part, 4) for part in on_the_right)
    size = np.maximum(1.0, np.maximum(np.abs(left), np.abs(right)))
    # where a slope does not stand still on a scale of `reach`, its ends say nothing of what is between them
    turns = np.maximum(np.abs(farther_left - left), np.abs(farther_right - right))
    moved = moves_beside(f, z, reach)
    known = is_known((left, left_error)) & is_known((right, right_error)) & (turns <= WIDE * size)
    known &= moved <= WIDE * np.maximum(1.0, np.abs(f(z.copy())))  # else f itself may jump
    off = np.where(known, left_error + right_error + turns + SEAM * size, np.inf)
    return 0.5 * (left + right), off, np.where(known, 0.5 * np.abs(right - left), 0.0), moved
