"""Check one activation by itself, from the record to the report; the docstring of this room has the steps."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness.bounds.activation_bound import ActivationBound, activation_bound
from harness.checks.activations import record_faults
from harness.checks.activations.activation_figure import Curve
from harness.checks.activations.formulas import OverTorch, as_written, compute_part, find_activation
from harness.checks.activations.junctions import Junction, find_jumps, find_jumps_at, find_junctions, measure_junctions
from harness.checks.activations.number_formats import Precision, measure_precision
from harness.checks.activations.other_claims import (
    add_claim,
    add_second_derivative,
    excuse_surrogate,
    list_other_claims,
)
from harness.checks.activations.proof import Proof, bound_rounding_of_claim, prove
from harness.checks.activations.slope_answers import CLAIMED, ActivationSlope, Compared, compare_slopes
from harness.checks.activations.slope_oracles import ORACLES, OracleSlopes, SlopeFunction, ask_oracles, slope_function
from harness.checks.activations.z_grid import OF_Z, GridPoints, Notation, grid
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.sources.process_state import settings_kept
from harness.verdict.consensus import in_question
from harness.verdict.judgement import judge
from harness.verdict.report import Report
from reference.activations import Activation
from reference.user_input import given, whole_number

JUNCTIONS_SHOWN = 6  # junctions that are reported one by one; the details have all


@settings_kept
def check_activation(activation: str | Activation | type, *, order: int = 1) -> Report:
    """Check the record of one activation, by itself.

    Parameters
    ----------
    activation : str, Activation or torch.autograd.Function
        A record, the name of a registered one, or ``module:attribute``. Of a `torch.autograd.Function`, forward is the
        formula and backward the claimed slope; its kinks need no declaration.
    order : 1 or 2
        With 2, the second derivative is reported, too; a curvature in the record is judged in any case.

    Returns
    -------
    Report
        The source "slope" is the record's own. "disagree" when it is not the derivative, when an oracle cannot
        differentiate the formula correctly, or when the record would break a network; "inconclusive" when too few z can
        be decided or the slope jumps where no kink is declared; "agree" otherwise. The record's `curvature` and its
        derivatives in `parameters` are judged like the slope. The slope at a kink, digits lost in the tails, float32,
        and the slope of a `surrogate` are reported and not judged.

    Raises
    ------
    ValueError, TypeError
        For no activation, or one whose value or slope cannot be computed in NumPy.
    """
    if whole_number("order", order, at_least=1) > 2:
        raise ValueError(f"order must be 1 or 2, not {given(order)}")
    f = as_written(find_activation(activation))
    report = _check_slope(f, finds_kinks=isinstance(f, OverTorch) and f.backward is not None)
    if f.surrogate:
        report = excuse_surrogate(report)
    for claim in list_other_claims(f):
        other = _check_slope(claim.record, claim.notation, finds_kinks=claim.has_own_kinks)
        report = add_claim(report, claim, other)
    return add_second_derivative(report, f) if order == 2 else report


def _check_slope(f: Activation, notation: Notation = OF_Z, *, finds_kinks: bool = False) -> Report:
    """The report on one slope: on the grid, and where a proof finds suspects, on the grid with these.

    With `finds_kinks`, those that are found count as declared. A `torch.autograd.Function` has no place to declare them
    in, nor has a record for those of its curvature: elu' has one at 0, where elu has none.
    """
    started = time.perf_counter()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the report has what a formula warns of, as numbers
        report = _check_at(f, (), notation, started)
        if report.verdict != "disagree" and (suspects := prove(f).suspects):
            report = _check_at(f, suspects, notation, started)
    kinks = (kink for kink in report.details["kinks"] if kink["jumps"] and not kink["value_jumps"])
    if finds_kinks and (undeclared := [kink["z"] for kink in kinks if not kink["declared"]]):
        return _check_slope(replace(f, kinks=(*f.kinks, *undeclared)), notation)
    return report


def _check_at(f: Activation, suspects: Sequence[float], notation: Notation, started: float) -> Report:
    """Read the record on a grid, ask the oracles, compare at every z and at every junction, and judge."""
    reading = _read(f, suspects)
    points, slope_at, proof, _ = reading
    bound = activation_bound(f, points.z)
    bound = bound._replace(claimed=bound_rounding_of_claim(f, points.z, bound.claimed))
    # What is not elementwise, such as a softmax, has a Jacobian and no slope that an oracle could compute.
    if reading.dependence:
        oracles = OracleSlopes({}, {}, dict.fromkeys(ORACLES, note(Kind.NOT_ELEMENTWISE, "value")))
    else:
        oracles = ask_oracles(f, points.z, bound.value)
    compared = _compare(reading, bound, oracles, notation)
    slopes, junctions = compared.oracles.slopes, compared.junctions
    if reading.dependence:
        precision = Precision(np.full(points.z.shape, np.nan))
    else:
        precision = measure_precision(points, bound, slopes.get("ball"), notation)
    reported, undeclared = _choose_junctions(f, junctions)
    broken = record_faults.find_not_finite(points, slopes, notation)
    facts = [
        *_find_faults(reading, bound, junctions),
        *record_faults.find_other_values(points, bound, slopes, notation),
        *_facts_of_junctions(reported, undeclared, notation),
        *broken,
        *(() if reading.dependence else bound.notes),  # without a slope, its rounding does not matter
        *(proof.to_facts(notation) if proof else ()),
        # while the slope is wrong its digits do not matter
        *([] if CLAIMED in compared.consensus.outliers else precision.facts),
    ]
    details = {"proof": proof and proof.to_dict(), "lost_tails": precision.lost} | precision.formats
    details |= {"floor": points.floor, "kinks": [junction.to_dict() for junction in reported], "not_finite": broken}
    picture = _draw(points, bound, compared, precision)
    subject = ActivationSlope(points, slope_at, proof, notation, facts, details, picture)
    return judge(subject, compared.answers, compared.pairs, (), compared.consensus, compared.oracles.left_out, started)


class _Reading(NamedTuple):
    """A record on its grid: the points, the slope at any z, the proof, and on what else than z its values depend."""

    points: GridPoints
    slope_at: SlopeFunction | None = None
    proof: Proof | None = None
    dependence: Sequence[Fact] = ()


def _read(f: Activation, suspects: Sequence[float]) -> _Reading:
    """Value and slope on a grid that has all junctions on it; without junctions where values are not elementwise."""
    # a first grid without junctions, on which they are looked for
    points = _points_on_grid(f, (), suspects)
    z, bound = points.z, activation_bound(f, points.z)
    if dependence := record_faults.find_dependence("value", f, z, bound.value):
        return _Reading(points, dependence=dependence)
    slope_at, proof = slope_function(f, z), prove(f)

    def value(z: np.ndarray) -> np.ndarray:
        return np.asarray(f(z.copy()), dtype=float)

    jumps = find_jumps(value, z, bound.value)
    junctions = find_junctions(f, z, bound, slope_at, [*proof.places, *jumps], suspects)
    if junctions:
        jumps += find_jumps_at(value, junctions, z, bound.value)
    # another slope at -0.0 than at 0.0 is right only at a kink, so that 0 is judged as a junction
    if record_faults.find_slope_at_minus_zero(points):
        junctions = sorted({*junctions, 0.0})
    return _Reading(_points_on_grid(f, junctions, suspects, jumps), slope_at, proof)


def _points_on_grid(
    f: Activation, junctions: Sequence[float], suspects: Sequence[float], jumps: Sequence[float] = ()
) -> GridPoints:
    """The record's value and slope on the grid. Formulas get copies, because they may write to their arguments."""
    z = grid(f, junctions, suspects)
    a = compute_part(f, "value", lambda: f(z.copy()), z)
    slope = compute_part(f, "slope", lambda: f.slope(z.copy(), a.copy()), z)
    return GridPoints(f, z, a, slope, tuple(junctions), tuple(jumps))


def _compare(reading: _Reading, bound: ActivationBound, oracles: OracleSlopes, notation: Notation) -> Compared:
    """The oracles beside the record.

    JAX's programs are compiled quickly here, and may round otherwise than a caller's. So before anybody is accused by
    such an answer, it is computed again by what a caller runs, and everything is compared once more.
    """
    points = reading.points
    by_jax = oracles.slopes.get("jax")
    junctions = measure_junctions(points, bound, reading.slope_at, by_jax) if oracles.slopes else []
    compared = compare_slopes(points, bound, oracles, junctions)
    other_values = record_faults.find_other_values(points, bound, oracles.slopes, notation)
    accused = in_question(oracles.quick, compared.consensus, compared.pairs)
    if accused or oracles.quick & {fact.where[0] for fact in other_values}:
        return _compare(reading, bound, oracles.as_called(points.f, points.z), notation)
    return compared


def _find_faults(reading: _Reading, bound: ActivationBound, junctions: Sequence[Junction]) -> list[Fact]:
    """What is wrong with the record beside its slope, or worth knowing."""
    points, f = reading.points, reading.points.f
    jumps = [junction.z for junction in junctions if junction.value_jumps]
    dependence = reading.dependence or record_faults.find_dependence(
        "slope", lambda z: f.slope(z, f(z)), points.z, bound.claimed
    )
    if isinstance(f, OverTorch) and f.backward and not dependence:
        dependence = record_faults.find_misused_upstream(f.backward, points, bound.claimed)
    faults = [*record_faults.find_faults(f, points.z), *dependence]
    if dependence:  # what depends on its neighbours cannot be looked at for one z, such as -0.0 or ±inf
        return faults
    return [
        *faults,
        *record_faults.find_value_at_minus_zero(points, bound, jumps),
        *record_faults.find_slope_at_minus_zero(points),
        *record_faults.values_at_infinity(f),
    ]


def _choose_junctions(f: Activation, junctions: Sequence[Junction]) -> tuple[list[Junction], list[Junction]]:
    """The junctions that are worth reporting, declared ones first, and those of them that should be declared."""
    # `declared` is true of the floats beside a declared kink, too, which are not worth a line of their own
    junctions = [one for one in junctions if one.z in f.kinks or not one.declared]
    # an undeclared junction is a kink if value or slope are known to jump there; softplus by `abs` has one that does
    # not
    kinks = [one for one in junctions if one.declared or one.value_jumps or (one.is_known and one.jumps)]
    kinks = sorted(kinks, key=lambda kink: not kink.declared)
    if f.surrogate:  # whose slope is no derivative anywhere
        kinks = [kink for kink in kinks if kink.declared]
    poles = [one for one in junctions if one.is_pole and one not in kinks]
    return [*kinks, *poles], [kink for kink in kinks if not kink.declared]


def _facts_of_junctions(reported: Sequence[Junction], undeclared: Sequence[Junction], notation: Notation) -> list[Fact]:
    places = {one: notation.place(one.z, (other.z for other in reported)) for one in reported}
    nearest_to_zero = sorted(undeclared, key=lambda kink: abs(kink.z))
    of_slope = [places[kink] for kink in nearest_to_zero if not kink.value_jumps]
    of_value = [places[kink] for kink in nearest_to_zero if kink.value_jumps]
    facts = [doubt(Kind.UNDECLARED_KINK, *of_slope, part=notation.claim)] if of_slope else []
    # the value beside a curvature is the record's own slope, whose jumps its own check reports
    if of_value and notation == OF_Z:
        facts.append(doubt(Kind.UNDECLARED_KINK, *of_value, part="value"))
    nearest = sorted(reported, key=lambda one: (not one.declared, abs(one.z)))[:JUNCTIONS_SHOWN]
    facts += [note(Kind.JUNCTION, places[one], **one.to_dict()) for one in reported if one in nearest]
    more = len(reported) - JUNCTIONS_SHOWN
    return [*facts, *([note(Kind.NOT_LISTED, count=more, what="junctions")] if more > 0 else [])]


def _draw(points: GridPoints, bound: ActivationBound, compared: Compared, precision: Precision) -> Curve:
    true, error = compared.true_slope(points)
    true = np.where(points.at_kinks, np.nan, true)
    wrong, allowed = compared.where_wrong(points), bound.claimed + error
    return Curve(points.z, points.slope, true, allowed, wrong, points.f.kinks, points.junctions, precision)
