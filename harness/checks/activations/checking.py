"""Check one activation alone: is the slope claimed by hand the derivative of the formula?

The slope is compared with JAX, the complex step, finite differences and ball arithmetic at each z of a grid, against
bounds that are derived (`harness.bounds.activation_bound`). A formula that does not run under some of these is checked
with the others. At a kink every slope between those of its two sides is a convention, reported and not judged.
"""

import time
import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness.bounds.activation_bound import ActivationBound, activation_bound
from harness.bounds.tolerances import MEANINGLESS, NEGLIGIBLE
from harness.checks.activations import record
from harness.checks.activations.figure import Curve
from harness.checks.activations.grid import TINY, grid
from harness.checks.activations.kinks import Kink, judge_seams, places_in_words
from harness.checks.activations.precision.telling import precision_of
from harness.checks.activations.proving.proof import INSIDE, Proof, prove, rounding_of_claim
from harness.checks.activations.record import find_activation
from harness.checks.activations.seams import find_seams
from harness.checks.activations.slopes import (
    ORACLES,
    SlopeFunction,
    ask_oracles,
    slope_function,
)
from harness.checks.activations.spelling.running import as_written, real_answer
from harness.checks.activations.subject import CLAIMED, SIDES, ActivationSlope, GridPoints
from harness.sources.conduct import settings_kept
from harness.sources.table import SOURCES
from harness.verdict.comparison import Answer, Pair, compare, compare_all
from harness.verdict.consensus import Consensus, find_consensus
from harness.verdict.judging import judge
from harness.verdict.report import Report
from reference.activations import Activation
from reference.measured import MeasuredSlope

FAMILIES = {name: SOURCES[name].family for name in ORACLES}

WORST_FIRST = ("disagree", "inconclusive", "agree")

SAMPLED = 1e3
"""A bound that was sampled and not derived may be too narrow by much."""

KINKS_SHOWN = 6  # kinks that are told one by one


@settings_kept
def check_activation(activation: str | Activation, *, order: int = 1) -> Report:
    """Check the record of one activation, by itself.

    Parameters
    ----------
    activation : str or Activation
        A record, the name of a registered one, or ``module:attribute``.
    order : 1 or 2
        With 2, the second derivative is reported, too; one that the record claims is judged in any case.

    Returns
    -------
    Report
        The source "slope" is the claim. "disagree" when it is not the derivative, when an oracle cannot differentiate
        the formula correctly, or when the record would break a network; "inconclusive" when too few z can be decided or
        the slope jumps where no kink is declared; "agree" otherwise. Which slope is claimed at a kink, where digits are
        lost in the tails, and how float32 fares is reported and not judged; so is the slope of a `surrogate`. The
        record's `curvature` and its derivatives in `parameters` are judged like the slope.

    Raises
    ------
    ValueError, TypeError
        For no activation, or one whose value or slope cannot be computed in NumPy.
    """
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, not {order!r}")
    f = as_written(find_activation(activation))
    report = _check_slope(f)
    if f.surrogate:
        report = _as_surrogate(report)
    for what, claim in record.other_claims(f):
        report = _joined(report, what, _check_slope(as_written(claim)))
    if order == 2:
        report = _with_curvature(report, f)
    return report


def _joined(report: Report, what: str, other: Report) -> Report:
    """A report with that on another claim of the same record."""
    worse = min((report, other), key=lambda found: WORST_FIRST.index(found.verdict)).verdict
    return replace(
        report,
        verdict=worse,
        outliers=(*report.outliers, *([what] if CLAIMED in other.outliers else [])),
        findings=(*report.findings, *(record.about_claim(what, finding) for finding in other.findings)),
        reasons=(*report.reasons, *(f"{what}: {reason}" for reason in other.reasons)),
        notes=(*report.notes, *([f"{what}: right"] if other.verdict == "agree" else [])),
        details=report.details | {what: other.to_dict()},
        seconds=report.seconds + other.seconds,
    )


def _as_surrogate(report: Report) -> Report:
    """What is said of a slope that is no derivative on purpose: where it differs, and no accusation."""
    about_claim = [finding for finding in report.findings if finding.source == CLAIMED]
    rest = tuple(finding for finding in report.findings if finding.source != CLAIMED)
    if not about_claim:
        return report
    accused = bool(rest) or any(reason.startswith(CLAIMED) for reason in report.reasons)
    return replace(
        report,
        verdict="disagree" if accused else "inconclusive" if report.reasons else "agree",
        outliers=tuple(name for name in report.outliers if name != CLAIMED),
        findings=rest,
        notes=(*report.notes, *(f"a surrogate, and not the derivative: {finding}" for finding in about_claim)),
    )


def _with_curvature(report: Report, f: Activation) -> Report:
    z = grid(f)
    with np.errstate(all="ignore"):
        curvature = record.curvatures(f, z)
    if curvature is None:
        return replace(report, notes=(*report.notes, "second derivative: the slope does not take carried derivatives"))
    finite = np.where(np.isfinite(curvature), np.abs(curvature), -1.0)
    largest = int(finite.argmax())
    note = f"second derivative: at most {finite[largest]:.6g} in size on the grid, at z = {z[largest]:.6g}"
    values = {"z": z.tolist(), "second derivative": curvature.tolist()}
    return replace(report, notes=(*report.notes, note), details=report.details | {"order 2": values})


def _check_slope(f: Activation) -> Report:
    started = time.perf_counter()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what a formula says aloud is reported as numbers
        report = _check_at(f, (), started)
        if report.verdict == "disagree" or not (suspects := prove(f).suspects):
            return report
        suspected = _check_at(f, suspects, started)  # what lies between the points of the grid, or beyond
    # far out a slope may round by more than the proof allows, which leaves it undecided and accuses nobody
    far_out = min(map(abs, suspects)) > INSIDE and suspected.verdict == "inconclusive"
    return report if far_out and not _is_broken(f, suspects) else suspected


def _is_broken(f: Activation, suspects: Sequence[float]) -> bool:
    z = np.array(suspects)
    with np.errstate(all="ignore"):
        return not np.isfinite(f.slope(z.copy(), np.array(f(z.copy())))).all()


def _check_at(f: Activation, suspects: Sequence[float], started: float) -> Report:
    points, slope_at = _with_seams(_grid_points(f, suspects=suspects), suspects)
    bound = activation_bound(f, points.z)
    bound = bound._replace(claimed=rounding_of_claim(f, points.z, bound.claimed))
    asked = _ask(points, bound)
    seams = judge_seams(points, bound, slope_at, asked.slopes.get("jax")) if asked.slopes else []
    answers = [_claim(points, bound, seams), *(_oracle(name, asked, points, bound) for name in asked.slopes)]
    compared = _beside_sides(points, _compare(points, answers), seams)
    subject = ActivationSlope(points, slope_at)
    _tell(subject, points, bound, asked, seams)
    digits = precision_of(points, bound, asked.slopes.get("ball"))
    if CLAIMED not in compared.consensus.outliers:  # else its digits are of no interest yet
        subject.notes = [*subject.notes, *digits.notes]
    subject.details |= digits.details
    subject.picture = replace(_picture(points, bound, compared), digits=digits)
    return judge(subject, compared.answers, compared.pairs, (), compared.consensus, asked.left_out, started)


def _grid_points(
    f: Activation, seams: Sequence[float] = (), suspects: Sequence[float] = (), proof: Proof | None = None
) -> GridPoints:
    """Value and claimed slope on the grid, or one sentence that says what is wrong with them."""
    z = grid(f, seams, suspects)
    a = real_answer(f, "value", lambda: f(z.copy()), z)
    return GridPoints(f, z, a, real_answer(f, "slope", lambda: f.slope(z.copy(), a.copy()), z), tuple(seams), proof)


def _with_seams(points: GridPoints, suspects: Sequence[float]) -> tuple[GridPoints, SlopeFunction | None]:
    """The points with all seams among them, and the slope at any z, if the formula can be asked for it."""
    f, z = points.f, points.z
    bound = activation_bound(f, z)
    if record.not_elementwise("value", f, z, bound.value):
        return points, None
    slope_at, proof = slope_function(f, z), prove(f)
    seams = find_seams(f, z, bound, slope_at, proof.places, suspects)
    if record.slope_at_minus_zero(points):
        seams = sorted({*seams, 0.0})
    return _grid_points(f, seams, suspects, proof), slope_at


class _Asked(NamedTuple):
    """What the oracles answer, what is to be noted of their ways, and why others do not answer."""

    slopes: dict[str, MeasuredSlope]
    notes: dict[str, str]
    left_out: dict[str, str]
    mixed: list[str]


def _ask(points: GridPoints, bound: ActivationBound) -> _Asked:
    f, z = points.f, points.z
    mixed = record.not_elementwise("value", f, z, bound.value)
    if mixed:
        return _Asked({}, {}, dict.fromkeys(ORACLES, "it is not elementwise"), mixed)
    return _Asked(*ask_oracles(f, z, bound.value), [])


def _trust(bound: ActivationBound) -> float:
    """What a bound is to be multiplied with before anybody is accused by it."""
    return SAMPLED if bound.notes else 1.0


def _claim(points: GridPoints, bound: ActivationBound, seams: Sequence[Kink]) -> Answer:
    # NaN is never the slope where there is one: a claim that is not finite gets no error bar
    error = np.where(np.isfinite(points.slope), bound.claimed * _trust(bound), 0.0)
    at, slope = [np.searchsorted(points.z, seam.z) for seam in seams], points.slope.copy()
    error[at] = 0.0  # what rounding does is on the sides' answer
    slope[at] = [seam.claimed for seam in seams]
    return Answer(CLAIMED, CLAIMED, 0.0, 0.0, slope, np.where(points.judged, error, np.inf))


def _oracle(name: str, asked: _Asked, points: GridPoints, bound: ActivationBound) -> Answer:
    slopes = asked.slopes[name]
    rounding = slopes.roundings * _trust(bound) * bound.formula if slopes.roundings else 0.0  # no 0 · inf
    error = slopes.error + rounding
    # what spans a seam says nothing of either side; NaN does
    spans_a_seam = points.beside_seams & np.isfinite(slopes.slope) & ~is_sharp(slopes.slope, error)
    # beside zero z² is zero; a slope by way of 1/z² is then NaN, though not further out
    undefined = np.isnan(slopes.slope)
    further_out = np.arange(points.z.size) + np.sign(points.z).astype(int)
    underflows = (np.abs(points.z) <= TINY) & undefined & ~undefined.take(further_out, mode="clip")
    error = np.where(
        points.judged & ~points.at_seams & ~spans_a_seam & ~(underflows & (points.z != 0.0)), error, np.inf
    )
    note = asked.notes.get(name, "")
    return Answer(name, FAMILIES[name], 0.0, 0.0, slopes.slope, error, oracle=True, note=note)


def _sides(points: GridPoints, seams: Sequence[Kink]) -> Answer:
    """What may be claimed at the seams, as one more answer: the convention nearest to the claim; elsewhere nothing."""
    slope, error = points.slope.copy(), np.full(points.z.shape, np.inf)
    for seam in seams:
        at = np.searchsorted(points.z, seam.z)
        slope[at] = seam.nearest_convention
        if not seam.is_between or (seam.is_known and np.isfinite(seam.claimed)):
            error[at] = 0.0
    return Answer(SIDES, SIDES, 0.0, 0.0, slope, error, oracle=True)


class _Compared(NamedTuple):
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


def is_sharp(slope: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Where slopes on a grid are known well enough to be told from others."""
    least = NEGLIGIBLE * np.abs(slope).max(initial=1.0, where=np.isfinite(slope))
    return error <= MEANINGLESS["float64"] * np.maximum(np.abs(slope), least)


def _compare(points: GridPoints, answers: list[Answer]) -> _Compared:
    pairs = compare_all(answers, ActivationSlope(points, None).blocks)
    return _Compared(answers, pairs, _consensus(answers, pairs))


def _consensus(answers: Sequence[Answer], pairs: Sequence[Pair]) -> Consensus:
    """The odd ones out: those at odds with the certified balls, whoever else is; in a tie the claim, being checked."""
    disagreeing = [pair for pair in pairs if pair.disagrees]
    if refuted := {rival for pair in disagreeing if (rival := pair.other("ball"))}:
        return _accuse(answers, refuted)
    consensus = find_consensus({answer.name: answer.family for answer in answers}, pairs)
    accused = {CLAIMED for pair in disagreeing if pair.other(CLAIMED)}
    return _accuse(answers, accused) if consensus.tie and accused else consensus


def _beside_sides(points: GridPoints, compared: _Compared, seams: Sequence[Kink]) -> _Compared:
    """The claim beside the sides of its seams, too. They have no vote: where they object, it is wrong."""
    if not seams:
        return compared
    claim, sides = compared.answers[0], _sides(points, seams)
    beside = compare(claim, sides, ActivationSlope(points, None).blocks)  # the oracles say nothing at a seam
    answers, consensus = [*compared.answers, sides], compared.consensus
    if not consensus.tie:
        consensus = _accuse(answers, {*consensus.outliers, *([CLAIMED] if beside.disagrees else [])})
    return _Compared(answers, [*compared.pairs, beside], consensus)


def _accuse(answers: Sequence[Answer], accused: Collection[str]) -> Consensus:
    names = [answer.name for answer in answers]
    members, outliers = (tuple(name for name in names if (name in accused) == is_out) for is_out in (False, True))
    return Consensus(members, outliers, tie=False)


def _tell(
    subject: ActivationSlope,
    points: GridPoints,
    bound: ActivationBound,
    asked: _Asked,
    seams: Sequence[Kink],
) -> None:
    """What there is to say of the record beside the verdict on its slope."""
    f, z = points.f, points.z
    misconduct, notes = record.misconduct_and_notes(f, z)
    misconduct += record.value_at_minus_zero(points, bound, [seam.z for seam in seams if seam.value_jumps])
    misconduct += asked.mixed or record.not_elementwise("slope", lambda z: f.slope(z, f(z)), z, bound.claimed)
    subject.misconduct = [*misconduct, *record.other_values(points, bound, asked.slopes)]
    kinks = [seam for seam in seams if seam.declared or seam.value_jumps or (seam.is_known and seam.jumps)]
    kinks = sorted(kinks, key=lambda kink: not kink.declared)
    undeclared = [kink for kink in kinks if not kink.declared]
    subject.doubts = [
        f"{what} where the record declares no kink: {places_in_words(places)}"
        for what, steps in (("the slope jumps", False), ("the value itself jumps", True))
        if (places := [kink.z for kink in undeclared if kink.value_jumps == steps])
    ]
    broken = record.not_finite(points, asked.slopes.get("ball"))
    poles = [seam for seam in seams if seam.is_pole and seam not in kinks]
    kinks = [*kinks, *poles]
    told = [str(kink) for kink in kinks[:KINKS_SHOWN]]
    told += [f"{len(kinks) - KINKS_SHOWN} more kinks"] if len(kinks) > KINKS_SHOWN else []
    subject.notes = [*told, *record.slope_at_minus_zero(points), *broken, *notes, *bound.notes]
    subject.details = {"proof": points.proof and points.proof.to_dict()}
    subject.details |= {"kinks": [kink.to_dict() for kink in kinks], "not_finite": broken}


def _picture(points: GridPoints, bound: ActivationBound, compared: _Compared) -> Curve:
    true, error = compared.true_slope(points)
    true = np.where(points.at_kinks, np.nan, true)
    wrong, allowed = compared.wrong(points), bound.claimed + error
    return Curve(points.z, points.slope, true, allowed, wrong, points.f.kinks, points.seams)
