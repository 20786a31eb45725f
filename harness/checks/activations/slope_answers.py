"""What the claim, its oracles and the sides of its seams answer at each z, compared with each other."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.bounds.activation_bound import ActivationBound
from harness.bounds.tolerances import MEANINGLESS, NEGLIGIBLE
from harness.checks.activations.activation_subject import CLAIMED, SIDES, ActivationSlope, GridPoints
from harness.checks.activations.one_sided_slopes import Kink
from harness.checks.activations.slope_oracles import ORACLES
from harness.checks.activations.z_grid import TINY
from harness.sources.source_table import SOURCES
from harness.verdict.comparison import Answer, Pair, compare, compare_all
from harness.verdict.consensus import Consensus, find_consensus
from reference.measured import MeasuredSlope

FAMILIES = {name: SOURCES[name].family for name in ORACLES}

SAMPLED = 1e3
"""A bound that was sampled and not derived may be too narrow by much."""


def _trust(bound: ActivationBound) -> float:
    """What a bound is to be multiplied with before anybody is accused by it."""
    return SAMPLED if bound.notes else 1.0


def claimed_answer(
    points: GridPoints, bound: ActivationBound, seams: Sequence[Kink], slopes: Mapping[str, MeasuredSlope]
) -> Answer:
    """What the record claims at each z, with what rounding can do to it."""
    # NaN is never the slope where there is one: a claim that is not finite gets no error bar
    error = np.where(np.isfinite(points.slope), bound.claimed * _trust(bound), 0.0)
    ulp = np.spacing(np.abs(points.slope))  # where that is all, even a number is right, as the 1.0 of a branch
    for answer in slopes.values():
        off = np.abs(answer.slope - points.slope)
        error = np.where((off > error) & (off <= ulp), ulp, error)
    at, slope = [np.searchsorted(points.z, seam.z) for seam in seams], points.slope.copy()
    error[at] = 0.0  # what rounding does is on the sides' answer
    slope[at] = [seam.claimed for seam in seams]
    return Answer(CLAIMED, CLAIMED, 0.0, 0.0, slope, np.where(points.judged, error, np.inf))


def oracle_answer(name: str, slopes: MeasuredSlope, note: str, points: GridPoints, bound: ActivationBound) -> Answer:
    """What an oracle says of each z; nothing where the value has overflowed, or near seams that it spans."""
    rounding = slopes.roundings * _trust(bound) * bound.formula if slopes.roundings else 0.0  # no 0 · inf
    error = slopes.error + rounding
    # what spans a seam says nothing of either side; NaN does
    spans_a_seam = points.beside_seams & np.isfinite(slopes.slope) & ~_is_sharp(slopes.slope, error)
    # beside zero z² is zero; a slope by way of 1/z² is then NaN, though not further out
    undefined = np.isnan(slopes.slope)
    further_out = np.arange(points.z.size) + np.sign(points.z).astype(int)
    underflows = (np.abs(points.z) <= TINY) & undefined & ~undefined.take(further_out, mode="clip")
    error = np.where(
        points.judged & ~points.at_seams & ~spans_a_seam & ~(underflows & (points.z != 0.0)), error, np.inf
    )
    return Answer(name, FAMILIES[name], 0.0, 0.0, slopes.slope, error, oracle=True, notes=note)


def _sides(points: GridPoints, seams: Sequence[Kink]) -> Answer:
    """What may be claimed at the seams, as one more answer: the convention nearest to the claim; elsewhere nothing."""
    slope, error = points.slope.copy(), np.full(points.z.shape, np.inf)
    for seam in seams:
        at = np.searchsorted(points.z, seam.z)
        slope[at] = seam.nearest_convention
        if not seam.is_between or (seam.is_known and np.isfinite(seam.claimed)):
            error[at] = 0.0
    return Answer(SIDES, SIDES, 0.0, 0.0, slope, error, oracle=True)


class Compared(NamedTuple):
    """The answers, every two of them compared, and who of them stands."""

    answers: list[Answer]
    pairs: list[Pair]
    consensus: Consensus

    def true_slope(self, points: GridPoints) -> tuple[np.ndarray, np.ndarray]:
        """At each z the slope that is known best, and its error, by the oracles that stand if there are any."""
        asked = [answer for answer in self.answers if answer.oracle and answer.name != SIDES]
        oracles = [oracle for oracle in asked if oracle.name not in self.consensus.outliers] or asked
        if not oracles:
            return np.full(points.z.shape, np.nan), np.full(points.z.shape, np.inf)
        errors = np.array([np.where(np.isfinite(oracle.gradient), oracle.error, np.inf) for oracle in oracles])
        best, each = errors.argmin(axis=0), np.arange(points.z.size)
        return np.array([oracle.gradient for oracle in oracles])[best, each], errors[best, each]

    def wrong(self, points: GridPoints) -> np.ndarray:
        """Where the claim is at odds with a source that stands."""
        against = [pair.at_odds for pair in self.pairs if pair.other(CLAIMED) in self.consensus.members]
        return np.any([np.zeros(points.z.shape, dtype=bool), *against], axis=0)


def _is_sharp(slope: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Where slopes on a grid are known well enough to be told from others."""
    least = NEGLIGIBLE * np.abs(slope).max(initial=1.0, where=np.isfinite(slope))
    return error <= MEANINGLESS["float64"] * np.maximum(np.abs(slope), least)


def compare_answers(points: GridPoints, answers: list[Answer]) -> Compared:
    """Every two of them, in stretches of |z|."""
    pairs = compare_all(answers, ActivationSlope(points, None).blocks)
    return Compared(answers, pairs, _consensus(answers, pairs))


def _consensus(answers: Sequence[Answer], pairs: Sequence[Pair]) -> Consensus:
    """The odd ones out: those at odds with the certified balls, whoever else is; in a tie the claim, being checked."""
    disagreeing = [pair for pair in pairs if pair.disagrees]
    if refuted := {rival for pair in disagreeing if (rival := pair.other("ball"))}:
        return _accuse(answers, refuted)
    consensus = find_consensus({answer.name: answer.family for answer in answers}, pairs)
    accused = {CLAIMED for pair in disagreeing if pair.other(CLAIMED)}
    return _accuse(answers, accused) if consensus.tie and accused else consensus


def beside_sides(points: GridPoints, compared: Compared, seams: Sequence[Kink]) -> Compared:
    """The claim beside the sides of its seams, too. They have no vote: where they object, it is wrong."""
    if not seams:
        return compared
    claim, sides = compared.answers[0], _sides(points, seams)
    beside = compare(claim, sides, ActivationSlope(points, None).blocks)  # the oracles say nothing at a seam
    answers, consensus = [*compared.answers, sides], compared.consensus
    if not consensus.tie:
        consensus = _accuse(answers, {*consensus.outliers, *([CLAIMED] if beside.disagrees else [])})
    return Compared(answers, [*compared.pairs, beside], consensus)


def _accuse(answers: Sequence[Answer], accused: Collection[str]) -> Consensus:
    names = [answer.name for answer in answers]
    members, outliers = (tuple(name for name in names if (name in accused) == is_out) for is_out in (False, True))
    return Consensus(members, outliers, tie=False)
