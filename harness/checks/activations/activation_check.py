"""Check one activation alone: is the slope claimed by hand the derivative of the formula?

The slope is compared with JAX, the complex step, finite differences and ball arithmetic at each z of a grid, against
bounds that are derived (`harness.bounds.activation_bound`). A formula that does not run under some of these is checked
with the others. At a kink every slope between those of its two sides is a convention, reported and not judged.
"""

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness.bounds.activation_bound import ActivationBound, activation_bound
from harness.checks.activations import record_faults
from harness.checks.activations.activation_figure import Curve
from harness.checks.activations.activation_subject import CLAIMED, ActivationSlope, GridPoints
from harness.checks.activations.digit_notes import precision_of
from harness.checks.activations.formulas import as_written, real_answer
from harness.checks.activations.junctions import find_seams
from harness.checks.activations.one_sided_slopes import Kink, judge_seams, jumps_of_value, places_in_words
from harness.checks.activations.proof import INSIDE, prove, rounding_of_claim
from harness.checks.activations.record_faults import find_activation
from harness.checks.activations.slope_answers import (
    Compared,
    beside_sides,
    claimed_answer,
    compare_answers,
    oracle_answer,
)
from harness.checks.activations.slope_oracles import (
    ORACLES,
    SlopeFunction,
    ask_oracles,
    slope_function,
)
from harness.checks.activations.z_grid import grid
from harness.facts import message_table
from harness.facts.fact import as_facts, plain
from harness.sources.process_state import settings_kept
from harness.verdict.judgement import judge
from harness.verdict.report import Report
from reference.activations import Activation
from reference.measured import MeasuredSlope

WORST_FIRST = ("disagree", "inconclusive", "agree")

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
    for what, claim in record_faults.other_claims(f):
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
        findings=(*report.findings, *(record_faults.about_claim(what, finding) for finding in other.findings)),
        facts=(*report.facts, *other.reasons, *as_facts([f"{what}: right"] if other.verdict == "agree" else [])),
        details=report.details | {what: other.to_dict()},
        seconds=report.seconds + other.seconds,
    )


def _as_surrogate(report: Report) -> Report:
    """What is said of a slope that is no derivative on purpose: where it differs, and no accusation."""
    about_claim = [finding for finding in report.findings if finding.source == CLAIMED]
    rest = tuple(finding for finding in report.findings if finding.source != CLAIMED)
    if not about_claim:
        return report
    accused = bool(rest) or any(message_table.say(reason).startswith(CLAIMED) for reason in report.reasons)
    return replace(
        report,
        verdict="disagree" if accused else "inconclusive" if report.reasons else "agree",
        outliers=tuple(name for name in report.outliers if name != CLAIMED),
        findings=rest,
        facts=(
            *report.facts,
            *as_facts(
                [f"a surrogate, and not the derivative: {message_table.say(finding.fact)}" for finding in about_claim]
            ),
        ),
    )


def _with_curvature(report: Report, f: Activation) -> Report:
    z = grid(f)
    with np.errstate(all="ignore"):
        curvature = record_faults.curvatures(f, z)
    if curvature is None:
        return report.with_facts(plain("second derivative: the slope does not take carried derivatives"))
    finite = np.where(np.isfinite(curvature), np.abs(curvature), -1.0)
    largest = int(finite.argmax())
    note = f"second derivative: at most {finite[largest]:.6g} in size on the grid, at z = {z[largest]:.6g}"
    values = {"z": z.tolist(), "second derivative": curvature.tolist()}
    return replace(report, facts=(*report.facts, plain(note)), details=report.details | {"order 2": values})


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
    answers = [claimed_answer(points, bound, seams, asked.slopes)]
    for name, slopes in asked.slopes.items():
        answers.append(oracle_answer(name, slopes, asked.notes.get(name, ""), points, bound))
    compared = beside_sides(points, compare_answers(points, answers), seams)
    subject = ActivationSlope(points, slope_at)
    _tell(subject, points, bound, asked, seams)
    digits = precision_of(points, bound, asked.slopes.get("ball"))
    if CLAIMED not in compared.consensus.outliers:  # else its digits are of no interest yet
        subject.notes = [*subject.notes, *digits.notes]
    subject.details |= digits.details
    subject.picture = replace(_picture(points, bound, compared), digits=digits)
    return judge(subject, compared.answers, compared.pairs, (), compared.consensus, asked.left_out, started)


def _grid_points(f: Activation, seams: Sequence[float] = (), suspects: Sequence[float] = ()) -> GridPoints:
    """Value and claimed slope on the grid, or one sentence that says what is wrong with them."""
    z = grid(f, seams, suspects)
    a = real_answer(f, "value", lambda: f(z.copy()), z)
    return GridPoints(f, z, a, real_answer(f, "slope", lambda: f.slope(z.copy(), a.copy()), z), tuple(seams))


def _with_seams(points: GridPoints, suspects: Sequence[float]) -> tuple[GridPoints, SlopeFunction | None]:
    """The points with all seams among them, and the slope at any z, if the formula can be asked for it."""
    f, z = points.f, points.z
    bound = activation_bound(f, z)
    if record_faults.not_elementwise("value", f, z, bound.value):
        return points, None
    slope_at, proof = slope_function(f, z), prove(f)
    steps = jumps_of_value(f, z, bound)
    seams = find_seams(f, z, bound, slope_at, [*proof.places, *steps], suspects)
    if record_faults.slope_at_minus_zero(points):
        seams = sorted({*seams, 0.0})
    return replace(_grid_points(f, seams, suspects), proof=proof, steps=tuple(steps)), slope_at


class _Asked(NamedTuple):
    """What the oracles answer, what is to be noted of their ways, and why others do not answer."""

    slopes: dict[str, MeasuredSlope]
    notes: dict[str, str]
    left_out: dict[str, str]
    mixed: list[str]


def _ask(points: GridPoints, bound: ActivationBound) -> _Asked:
    f, z = points.f, points.z
    mixed = record_faults.not_elementwise("value", f, z, bound.value)
    if mixed:
        return _Asked({}, {}, dict.fromkeys(ORACLES, "it is not elementwise"), mixed)
    return _Asked(*ask_oracles(f, z, bound.value), [])


def _tell(
    subject: ActivationSlope,
    points: GridPoints,
    bound: ActivationBound,
    asked: _Asked,
    seams: Sequence[Kink],
) -> None:
    """What there is to say of the record beside the verdict on its slope."""
    f, z = points.f, points.z
    misconduct, notes = record_faults.misconduct_and_notes(f, z)
    misconduct += record_faults.value_at_minus_zero(points, bound, [seam.z for seam in seams if seam.value_jumps])
    misconduct += asked.mixed or record_faults.not_elementwise("slope", lambda z: f.slope(z, f(z)), z, bound.claimed)
    subject.misconduct = [*misconduct, *record_faults.other_values(points, bound, asked.slopes)]
    kinks = [seam for seam in seams if seam.declared or seam.value_jumps or (seam.is_known and seam.jumps)]
    kinks = sorted(kinks, key=lambda kink: not kink.declared)
    if f.surrogate:  # whose slope is no derivative anywhere
        kinks = [kink for kink in kinks if kink.declared]
    undeclared = [kink for kink in kinks if not kink.declared]
    subject.doubts = [
        f"{what} where the record declares no kink: {places_in_words(places)}"
        for what, steps in (("the slope jumps", False), ("the value itself jumps", True))
        if (places := [kink.z for kink in undeclared if kink.value_jumps == steps])
    ]
    broken = record_faults.not_finite(points, asked.slopes)
    poles = [seam for seam in seams if seam.is_pole and seam not in kinks]
    kinks = [*kinks, *poles]
    shown = sorted(kinks, key=lambda kink: (not kink.declared, abs(kink.z)))[:KINKS_SHOWN]
    told = [str(kink) for kink in kinks if kink in shown]
    told += [f"{len(kinks) - KINKS_SHOWN} more kinks"] if len(kinks) > KINKS_SHOWN else []
    subject.notes = [*told, *record_faults.slope_at_minus_zero(points), *broken, *notes, *bound.notes]
    subject.details = {"proof": points.proof and points.proof.to_dict()}
    subject.details |= {"kinks": [kink.to_dict() for kink in kinks], "not_finite": broken}


def _picture(points: GridPoints, bound: ActivationBound, compared: Compared) -> Curve:
    true, error = compared.true_slope(points)
    true = np.where(points.at_kinks, np.nan, true)
    wrong, allowed = compared.wrong(points), bound.claimed + error
    return Curve(points.z, points.slope, true, allowed, wrong, points.f.kinks, points.seams)
