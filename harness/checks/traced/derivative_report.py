"""The report on compared derivatives: their names, who is wrong and why, and what else is worth knowing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from harness.bounds.tolerances import MEANT, SOLVERS_FACTOR
from harness.checks.traced.culprits import Blame
from harness.checks.traced.derivative_answers import Look
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS, JAX, REFERENCE
from harness.checks.traced.derivative_comparison import Comparison
from harness.checks.traced.derivative_mistakes import find_mistakes
from harness.checks.traced.equations_met import Met
from harness.checks.traced.function_arguments import Arguments
from harness.checks.traced.jax_modes import MODES
from harness.checks.traced.real_coordinates import Coordinates
from harness.checks.traced.rounding_bounds import SPREAD
from harness.checks.traced.traced_programs import coarsest_type, is_read
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block
from harness.verdict.consensus import Consensus, Policy, Vote, find_consensus
from harness.verdict.judgement import judge
from harness.verdict.report import Report
from harness.verdict.subject import Subject
from reference.traced.equations import equations_in, product_units

BY_ORACLES = Policy(judges=(INCREMENTS, DIFFERENCES), vote=Vote.NEVER)
"""Increments and differences judge JAX's modes, which share JAX's mistakes and have no vote."""

MOST_LEFT = 0.01
"""A rule is right in float64 if it leaves no larger share of an error there: what underflow or overflow has lost comes
back whole, and an error of the formula stays."""

SOLVERS_NOTED = 1e-10
"""What the tolerance of a solver moves is noted from here on, as a share of the largest derivative: less is
rounding."""


def judge_comparison(
    comparison: Comparison, facts: Sequence[Fact], blame: Blame, started: float, *, is_repeatable: bool
) -> Report:
    """The verdict; where outputs are rightly NaN, the verdict on all others is in its details."""
    answers, pairs, along = comparison.answers, comparison.pairs, comparison.directional.pairs
    if blame.explains_lost_digits:  # the wrong rule is reported: notes of the digits that it loses would repeat it
        answers = [replace(answer, notes=()) for answer in answers]
    consensus = Consensus((), (), tie=False)
    if is_repeatable:
        families = {answer.name: answer.family for answer in answers}
        for name in MODES:  # a mode may be compared along directions alone
            if any(pair.other(name) for pair in along):
                families.setdefault(name, JAX)
        consensus = find_consensus(families, (*pairs, *along), BY_ORACLES)
    unchecked = _nothing_checked(comparison)
    facts = (*comparison.facts, *unchecked, *facts, *blame.facts)
    examined = comparison.look.coordinates.examined & bool(comparison.examined.size)
    subject = TracedDerivatives(comparison, blame, examined, facts, details_of(comparison) | blame.details)
    compared = answers, pairs, along, consensus, comparison.missing, started
    report = judge(subject, *compared)
    is_outside = comparison.look.is_outside
    if report.verdict == "inconclusive" and is_outside.any() and not comparison.case.is_large:
        # log at (-1, 2) is NaN in the first entry: no doubt about the derivative in the second
        rest = tuple(fact for fact in facts if fact.kind != Kind.VALUE_NOT_FINITE)
        inside = replace(subject, to_judge=examined & ~is_outside, facts=rest)
        verdict = judge(inside, *compared).verdict if inside.to_judge.any() else "nowhere"
        report = replace(report, details=report.details | {"where_defined": verdict})
    if comparison.everywhere:
        report = comparison.everywhere.add_to(report, comparison.examined, comparison.case.inputs.size)
    return replace(report, decided_share=0.0) if unchecked else report


def _nothing_checked(comparison: Comparison) -> list[Fact]:
    """A doubt where neither JAX nor a reference has reported a derivative, so that nothing was checked."""
    if any(a.name in (*MODES, REFERENCE) for a in comparison.answers) or comparison.directional.pairs:
        return []
    modes = [mode.name for mode in comparison.look.plan.modes]
    return [doubt(Kind.NOTHING_CHECKED, *(modes if set(modes) <= set(comparison.missing) else ()))]


@dataclass(frozen=True, eq=False)
class TracedDerivatives(Subject):
    """The subject of a verdict."""

    comparison: Comparison
    blame: Blame
    to_judge: np.ndarray  # mask of the coordinates to decide
    facts: Sequence[Fact] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def look(self) -> Look:
        return self.comparison.look

    @property
    def coordinates(self) -> Coordinates:
        return self.look.coordinates

    @property
    def blocks(self) -> Sequence[Block]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.coordinates.blocks

    @property
    def leeway(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How far the left and the right derivative lie apart: every value between them is accepted."""
        sides = self.coordinates.combinations.per_output(self.look.slopes.sides.both)
        return 2.0 * np.nan_to_num(sides.half_gap)

    def label(self, i: int) -> str:
        return self.coordinates.label(i)

    def describe(self) -> dict[str, Any]:
        size, total = self.coordinates.inputs.size, self.coordinates.all_inputs
        some = {"looked at one by one": size} if size < total else {}
        return {"inputs": total, **some, "outputs": self.coordinates.combinations.outputs.size}

    def to_decide(self) -> np.ndarray:
        return np.flatnonzero(self.to_judge)

    def along(self, direction: int) -> str:
        """The name of a direction: random, or several inputs at kinks that move together."""
        names, combinations, of = self.comparison.directional.names, self.coordinates.combinations, ""
        if not names:
            return super().along(direction)
        if self.coordinates.has_several_outputs:
            per_output = len(names) // len(combinations)  # the same directions for each output
            of = f" of {combinations.outputs.label(direction // per_output)}"
        return f"the derivative{of} along {names[direction]} together, where there is no kink,"

    def explain_along(self) -> tuple[Fact, ...]:
        """Each input at a kink lies between both sides by itself, where such inputs move together; and the culprit."""
        return (note(Kind.KINKS_TOGETHER), *self.blame.culprits) if self.comparison.directional.names else ()

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        """Which mistake it is, whose rule, and where NaN begins; no fact twice, as where the rule alone shows it."""
        compared = self._evaluated(wrong, at_odds)
        mistakes = find_mistakes(self.coordinates, wrong, right, at_odds, in_float64=bool(compared))
        origins = () if np.isfinite(wrong.gradient[at_odds]).all() else self.blame.origins
        lost = self._lost_by_type(wrong, right, at_odds)
        return tuple(dict.fromkeys((*compared, *lost, *mistakes, *self.blame.culprits, *origins)))

    def _lost_by_type(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        """A fact where the rule is right in float64 wherever its number in the function's own type is wrong."""
        evaluated = self.look.float64_derivatives.get(wrong.name, np.full(at_odds.shape, np.nan))
        off, left = np.abs(wrong.gradient - right.gradient), np.abs(evaluated - right.gradient)
        is_right = np.isfinite(evaluated) & ~(left > MOST_LEFT * off)
        return (note(Kind.RIGHT_IN_FLOAT64, type=type_of(self.comparison)),) if is_right[at_odds].all() else ()

    def _evaluated(self, wrong: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        """A fact where the rule's evaluation in float64 was compared, and not the number that JAX reports."""
        places = np.flatnonzero(self.look.replaced.get(wrong.name, np.zeros(at_odds.shape, bool)) & at_odds)
        if not len(places):
            return ()
        own = next(answer for answer in self.look.own if answer.name == wrong.name)
        example, narrow = float(own.gradient[places[0]]), type_of(self.comparison)
        counts = {"places": len(places), "of": int(at_odds.sum())}
        return (note(Kind.COMPARED_IN_FLOAT64, self.label(places[0]), type=narrow, reported=example, **counts),)

    def why_undecided(self, coordinates: np.ndarray) -> Sequence[Fact]:
        """A solver's tolerance, or steps of the function; else error bounds are wide, or there is no slope."""
        if self.comparison.by_solvers > SOLVERS_NOTED:
            return (doubt(Kind.SOLVER_HIDES_DIGITS),)
        if self.comparison.in_steps[coordinates].any():
            return (doubt(Kind.MOVES_IN_STEPS),)
        return super().why_undecided(coordinates)


# -- notes -------------------------------------------------------------------------------------------------------------


def note_everything(
    comparison: Comparison, arguments: Arguments, met: Met, at_kinks: Sequence[Fact] = ()
) -> list[Fact]:
    """The notes on a check, in the order of a report, with what is known of kinks where inputs move together."""
    case, point, obstacles = comparison.case, comparison.point, comparison.obstacles
    taken = obstacles.taken_as_they_are | case.trusted_rules
    places = [f"{name} (line {line} of {file})" for name, file, line in met.constant]
    nan_given = np.flatnonzero(np.isnan(comparison.look.coordinates.point)).tolist()
    solvers = {"moved": comparison.by_solvers, "factor": SOLVERS_FACTOR}
    facts: list[tuple[Any, Fact]] = [
        (comparison.by_solvers > SOLVERS_NOTED, note(Kind.SOLVER_TOLERANCE, **solvers)),
        (not at_kinks and any(found.has_kink for found in comparison.slopes), note(Kind.KINK)),
        (comparison.is_contradicted, note(Kind.INCREMENTS_CONTRADICTED)),
        (places, note(Kind.DERIVATIVE_ENDS, *places, functions=[place.name for place in met.constant])),
        (arguments.left_out, note(Kind.NOT_DIFFERENTIATED, *arguments.left_out)),
        (arguments.settings, note(Kind.HELD_FIXED, *arguments.settings)),
        (nan_given, note(Kind.NAN_GIVEN, *map(comparison.look.coordinates.inputs.label, nan_given))),
        (case.traced.has_effects, note(Kind.CALLBACK)),
        (obstacles.differenced, note(Kind.BLACK_BOX, *sorted(obstacles.differenced))),
        (taken, note(Kind.TRUSTED_RULE, *sorted(taken))),
        (not point.program.turns_phases, note(Kind.FREE_PHASES)),
        (any(np.iscomplexobj(leaf) for leaf in case.leaves), note(Kind.COMPLEX_CONVENTION)),
        (case.order == 2, note(Kind.FIRST_ORDER_UNCHECKED)),
    ]
    noted = [*_error_bounds(comparison), *_in_float64(comparison), *_devices(comparison)]
    noted += [*at_kinks, *(fact for holds, fact in facts if holds)]
    has_kink = any(fact.kind in (Kind.KINK, Kind.NO_SLOPE) for fact in noted)
    # the gradient of a linear function depends on nothing, and that is worth no note
    return noted if case.order == 2 else [*noted, *_dependence(comparison, has_kink=has_kink)]


def type_of(comparison: Comparison) -> str:
    """The name of the coarsest type that f computes in."""
    return coarsest_type(comparison.case.program) or comparison.point.program.precision


def details_of(comparison: Comparison) -> dict[str, Any]:
    """The devices that JAX computed on, and how many bits of its operands a matrix product uses (None: all)."""
    devices = [f"{device.platform}:{device.id}" for device in comparison.case.traced.devices]
    return {"devices": devices, "product_bits": _product_bits(comparison)}


def _error_bounds(comparison: Comparison) -> Iterator[Fact]:
    """One fact for all sources whose error bounds are alike."""
    bits = _product_bits(comparison)
    coarsest = f"{bits} bits" if bits else type_of(comparison)
    sources: dict[tuple[str, ...], dict[str, None]] = {}  # by precision and kinds of bound: the names, in order
    found = {report.name: (coarsest, report.bound_kinds) for report in comparison.reports if report.bound_kinds}
    found[INCREMENTS] = "float64", frozenset([SPREAD])
    for name, (precision, kinds) in found.items():
        sources.setdefault((precision, *sorted(kinds)), {})[name] = None
    for (precision, *kinds), names in sources.items():
        yield note(Kind.ERROR_BOUNDS, *names, precision=precision, bounds=kinds)


def _product_bits(comparison: Comparison) -> int | None:
    """The bits of its operands that the coarsest matrix product keeps; None where all are."""
    units = [unit for eq in equations_in(comparison.case.program) for unit in product_units(eq)]
    return round(-np.log2(max(units))) if any(units) else None


def _in_float64(comparison: Comparison) -> Iterator[Fact]:
    """For which modes the evaluation in float64 is compared; and where there is none, why."""
    narrow, masks = type_of(comparison), {**comparison.look.replaced, **comparison.directional.replaced}
    if compared := [name for name, mask in masks.items() if mask.any()]:
        share = MEANT[comparison.point.program.precision]
        yield note(Kind.FLOAT64_EVALUATION, *compared, type=narrow, share=share)
    for report in comparison.reports:
        reason = report.float64_runs
        if isinstance(reason, Fact):
            data = {"source": report.name, "type": narrow, "because": reason.data["because"]}
            yield note(Kind.OWN_PRECISION_ONLY, *reason.where, **data)


def _devices(comparison: Comparison) -> Iterator[Fact]:
    """Where JAX has computed, if not on the CPU alone, and how coarsely the device multiplies matrices."""
    devices, details = comparison.case.traced.devices, details_of(comparison)
    if len(devices) > 1 or devices[0] != jax.devices("cpu")[0]:
        yield note(Kind.ON_DEVICE, *details["devices"], library="JAX")
    if details["product_bits"]:
        yield note(Kind.PRODUCT_BITS, bits=details["product_bits"])


def _dependence(comparison: Comparison, *, has_kink: bool) -> Iterator[Fact]:
    """What f does not depend on, as a loss that was detached does not depend on its parameters.

    At a kink there is no derivative that could be zero.
    """
    names: Sequence[str] = comparison.case.inputs.names
    unused = [name for name, is_used in zip(names, is_read(comparison.case.program)) if not is_used]
    if unused:
        yield note(Kind.UNUSED_ARGUMENT, *unused)
    # differences know some inputs alone; increments know all, or a zero among them may be an unknown derivative
    known = [a for a in comparison.answers if a.name != DIFFERENCES and np.isfinite(a.error).all()]
    slopes = [
        *(a.gradient for a in known),
        *(slope for pair in comparison.directional.pairs for slope in pair.gradients),
    ]
    if INCREMENTS in [answer.name for answer in known] and not any(map(np.any, slopes)) and not has_kink:
        yield note(Kind.ZERO_DERIVATIVE, is_local=len(unused) < len(names))
