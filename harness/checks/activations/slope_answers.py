"""The reported slope, the oracles' slopes and the one-sided derivatives at each z, compared and judged.

The coordinates of the "gradient" are the z of a grid. So the slope at each z is judged like a coordinate of any other
gradient, |s_a - s_b| <= B_a + B_b, by the same functions of `harness.verdict`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.activation_bound import ActivationBound
from harness.bounds.tolerances import MEANINGLESS, NEGLIGIBLE
from harness.checks.activations.junctions import Junction
from harness.checks.activations.likely_bugs import ClaimedSlope, find_likely_bugs
from harness.checks.activations.proof import Proof
from harness.checks.activations.slope_oracles import IN_TORCH, ORACLES, OracleSlopes, SlopeFunction
from harness.checks.activations.z_grid import BRIDGED, OF_Z, GridPoints, Notation, name_in
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.sources.source_table import SOURCES
from harness.verdict.comparison import Answer, Block, Pair, compare, compare_all
from harness.verdict.consensus import Consensus, Policy, Vote, find_consensus
from harness.verdict.subject import Subject
from reference.measured import MeasuredSlope

CLAIMED, ONE_SIDED = "slope", "one-sided derivative"

FAMILIES = {name: SOURCES[name].family for name in ORACLES} | {IN_TORCH: IN_TORCH}

SAMPLED_FACTOR = 1e3
"""A rounding error that was sampled, and not bounded, may be too small by much. It is widened by this factor: three of
the sixteen digits, so that an error in the first twelve is seen all the same."""

NO_FUNCTION_OF_Z = frozenset({Kind.NOT_REPEATABLE, Kind.NOT_ELEMENTWISE})
"""What a record with one of these reports depends on more than z, so its numbers show no bug."""

STRETCHES = (6.0, 30.0)  # |z| up to which slopes are of one size: how sharp a bound is, is measured against that size


# -- the subject that is judged ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ActivationSlope(Subject):
    """The reported slope at each z of a grid, in stretches of |z|."""

    points: GridPoints
    slope_at: SlopeFunction | None = None  # the slope from the formula at any z
    proof: Proof | None = None
    notation: Notation = OF_Z
    facts: Sequence[Fact] = ()
    details: dict[str, Any] = field(default_factory=dict)
    picture: Any = None

    @cached_property
    def blocks(self) -> list[Block]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return blocks_of(self.points)

    def label(self, i: int) -> str:
        return f"{self.notation.derivative}({name_in(self.points.z, self.points.z[i], 6)})"

    def describe(self) -> dict[str, Any]:
        f = self.points.f
        source = {"source": f.source} if f.source else {}
        proved = {"proved": self.proof.stretch(self.notation)} if self.proof and self.proof.complete else {}
        return {"activation": f.name} | source | {"values of z": int(self.points.judged.sum())} | proved

    def to_decide(self) -> np.ndarray:
        """All that are judged except those too near a junction for some oracles; junctions themselves are decided."""
        points = self.points
        return np.flatnonzero(points.judged & (points.at_junctions | ~points.beside_junctions))

    def places(self, coordinates: np.ndarray) -> tuple[str, ...]:
        return self.notation.stretches(self.points.z, np.isin(np.arange(self.points.z.size), coordinates))

    def parts(self, at_odds: np.ndarray) -> tuple[str, ...]:
        return self.notation.stretches(self.points.z, at_odds, BRIDGED)

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        if right.name == ONE_SIDED and np.isfinite(wrong.gradient[at_odds]).any():
            return (note(Kind.OUTSIDE_ONE_SIDED, self.notation.claim if wrong.name == CLAIMED else wrong.name),)
        if wrong.name != CLAIMED or NO_FUNCTION_OF_Z & {fact.kind for fact in self.facts}:
            return ()
        slope_at = self.slope_at or (lambda z: np.full(z.shape, np.nan))
        points = self.points
        claim = ClaimedSlope(points.f, points.z, points.a, points.slope, right.gradient, slope_at, self.notation)
        return find_likely_bugs(claim.at(at_odds))


def blocks_of(points: GridPoints) -> list[Block]:
    """The z that are judged, by stretches of |z|."""
    number = np.searchsorted(STRETCHES, np.abs(points.z))
    return [Block(f"stretch {i}", np.flatnonzero(points.judged & (number == i))) for i in range(len(STRETCHES) + 1)]


# -- answers -----------------------------------------------------------------------------------------------------------


def _widened(bound: ActivationBound, error: np.ndarray) -> np.ndarray:
    return error * (SAMPLED_FACTOR if bound.notes else 1.0)


def answer_of_claim(
    points: GridPoints, bound: ActivationBound, junctions: Sequence[Junction], slopes: Mapping[str, MeasuredSlope]
) -> Answer:
    """What the record reports at each z, with what rounding can do to it."""
    # NaN is never the slope where there is one: with a bound of zero it differs from every number
    error = np.where(np.isfinite(points.slope), _widened(bound, bound.claimed) + points.floor, 0.0)
    # A slope of 1.0 for large z, as a constant in a branch, has a rounding bound of zero and is right all the same:
    # the true 1 - 1e-17 rounds to it. So an answer that is off by an ulp at most is right.
    ulp = np.spacing(np.abs(points.slope))
    for measured in slopes.values():
        off = np.abs(measured.slope - points.slope)
        error = np.where((off > error) & (off <= ulp), ulp, error)
    at, slope = np.searchsorted(points.z, [junction.z for junction in junctions]), points.slope.copy()
    error[points.underflows & ~np.isfinite(points.slope)] = np.inf
    # at a junction the one-sided derivatives decide, which count rounding already (`Junction.error`)
    error[at] = 0.0
    slope[at] = [junction.claimed for junction in junctions]
    return Answer(CLAIMED, CLAIMED, 0.0, 0.0, slope, np.where(points.judged, error, np.inf))


def answer_of_oracle(name: str, oracles: OracleSlopes, points: GridPoints, bound: ActivationBound) -> Answer:
    """What an oracle computes at each z; nothing where the value has overflowed, or near junctions that it spans."""
    measured, notes = oracles.slopes[name], tuple(fact for by, fact in oracles.notes.items() if by == name)
    rounding = measured.roundings * _widened(bound, bound.formula) if measured.roundings else 0.0  # no 0 · inf
    error = measured.error + rounding + points.floor
    # A difference across a junction says nothing about either side. NaN of an oracle says nothing either: automatic
    # differentiation multiplies the branch that `where` drops by 0, and 0 · inf is NaN.
    size = np.abs(measured.slope)
    least = NEGLIGIBLE * size.max(initial=1.0, where=np.isfinite(size))
    spans = points.beside_junctions & ~(error <= MEANINGLESS["float64"] * np.maximum(size, least))
    flushed = points.underflows if name == "jax" else np.zeros(points.z.shape, dtype=bool)  # z/2 may be 0 for XLA
    known = points.judged & ~points.at_junctions & ~spans & ~flushed & np.isfinite(measured.slope)
    error = np.where(known, error, np.inf)
    return Answer(name, FAMILIES[name], 0.0, 0.0, measured.slope, error, oracle=True, notes=notes)


def _answer_of_sides(points: GridPoints, junctions: Sequence[Junction]) -> Answer:
    """At each junction the allowed slope that is nearest to the reported slope; elsewhere nothing.

    So a slope that is allowed agrees with it exactly, and one that is not differs from it by how far off it is.
    """
    slope, error = points.slope.copy(), np.full(points.z.shape, np.inf)
    at = np.searchsorted(points.z, [junction.z for junction in junctions])
    slope[at] = [junction.nearest_allowed for junction in junctions]
    decides = [not one.is_allowed or (one.is_known and np.isfinite(one.claimed)) for one in junctions]
    error[at] = np.where(decides, 0.0, np.inf)
    return Answer(ONE_SIDED, ONE_SIDED, 0.0, 0.0, slope, error, oracle=True)


# -- compared ----------------------------------------------------------------------------------------------------------


class Compared(NamedTuple):
    """The oracles and junctions, all answers, every two of them compared, and which of them stand."""

    oracles: OracleSlopes
    junctions: Sequence[Junction]
    answers: list[Answer]
    pairs: list[Pair]
    consensus: Consensus

    def true_slope(self, points: GridPoints) -> tuple[np.ndarray, np.ndarray]:
        """At each z the slope that is known best, and its error, by the oracles that stand if there are any."""
        oracles = [answer for answer in self.answers if answer.oracle and answer.name != ONE_SIDED]
        oracles = [oracle for oracle in oracles if oracle.name not in self.consensus.outliers] or oracles
        if not oracles:
            return np.full(points.z.shape, np.nan), np.full(points.z.shape, np.inf)
        errors = np.array([np.where(np.isfinite(oracle.gradient), oracle.error, np.inf) for oracle in oracles])
        best, each = errors.argmin(axis=0), np.arange(points.z.size)
        return np.array([oracle.gradient for oracle in oracles])[best, each], errors[best, each]

    def where_wrong(self, points: GridPoints) -> np.ndarray:
        """Where the reported slope differs from an answer that stands."""
        against = [pair.at_odds for pair in self.pairs if pair.other(CLAIMED) in self.consensus.members]
        return np.any([np.zeros(points.z.shape, dtype=bool), *against], axis=0)


def compare_slopes(
    points: GridPoints, bound: ActivationBound, oracles: OracleSlopes, junctions: Sequence[Junction]
) -> Compared:
    """The reported slope beside every oracle, and beside the one-sided derivatives at its junctions."""
    claim = answer_of_claim(points, bound, junctions, oracles.slopes)
    answers = [claim, *(answer_of_oracle(name, oracles, points, bound) for name in oracles.slopes)]
    blocks = blocks_of(points)
    pairs = compare_all(answers, blocks)
    consensus = find_slope_consensus(answers, pairs)
    if not junctions:
        return Compared(oracles, junctions, answers, pairs, consensus)
    sides = _answer_of_sides(points, junctions)
    beside = compare(claim, sides, blocks)  # the oracles say nothing at a junction
    # One-sided derivatives have no vote, because they are certain where they are known: whoever votes what elsewhere, a
    # reported slope that differs from them is wrong.
    if not consensus.tie:
        accused = {*consensus.outliers, *([CLAIMED] if beside.disagrees else [])}
        names = [*(answer.name for answer in answers), sides.name]
        members = tuple(name for name in names if name not in accused)
        outliers = tuple(name for name in names if name in accused)
        consensus = Consensus(members, outliers, tie=False)
    return Compared(oracles, junctions, [*answers, sides], [*pairs, beside], consensus)


def find_slope_consensus(answers: Sequence[Answer], pairs: Sequence[Pair]) -> Consensus:
    """Whoever differs from the certified balls is an outlier. Else votes decide, and a tie blames the record."""
    policy = Policy(judges=("ball",), vote=Vote.UNLESS_REFUTED, blamed_in_tie=CLAIMED)
    return find_consensus({answer.name: answer.family for answer in answers}, pairs, policy)
