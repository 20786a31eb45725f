"""JAX's derivatives compared with the program's own: measure, look at inputs, look along directions, conclude.

Nobody is accused by one comparison alone. Where JAX and the increments differ, XLA compiles again as callers have it
do, finite differences give a second opinion, and what a solver's tolerance may leave is allowed for.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from harness.bounds.tolerances import SAMPLED_INPUTS, TOLERANCES_LEFT
from harness.checks.traced.correct_digits import twice_would_pass, with_digits
from harness.checks.traced.derivative_answers import (
    Look,
    judge_again,
    look_at_inputs,
    look_at_more_inputs,
)
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS, REFERENCE, Case
from harness.checks.traced.inputs_at_kinks import compare_inputs_at_kinks
from harness.checks.traced.jax_modes import with_finer_solvers
from harness.checks.traced.many_inputs import (
    SAMPLED_BESIDE_WHOLE,
    DirectionalDerivatives,
    Everywhere,
    compare_everywhere,
    compare_random_directions,
    gradient_by_primals,
    locate_error,
    sample_inputs,
)
from harness.checks.traced.measured_point import Plan, Point, make_mode, measure, scale_around
from harness.checks.traced.program_derivatives import Slopes
from harness.checks.traced.real_coordinates import Estimate
from harness.checks.traced.reported_derivatives import Reported, evaluate_modes, report_reference
from harness.checks.traced.second_opinion import SecondOpinion, with_differences
from harness.facts.fact import Fact, Severity, doubt
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Pair, compare_all
from reference.jax_internals import CallbackRaised, raising_callbacks
from reference.traced.interpreter import Observations
from reference.traced.solver_tolerances import SOLUTION_SHARE, TIGHTER


@dataclass(frozen=True, eq=False)
class Comparison:
    """All answers, compared with each other."""

    point: Point
    look: Look
    directional: DirectionalDerivatives
    answers: tuple[Answer, ...]  # the modes, the reference gradient, increments and differences
    pairs: tuple[Pair, ...]  # each two of them, compared
    facts: tuple[Fact, ...]  # doubts about the function at this point
    is_contradicted: bool  # whether somewhere JAX and differences agree with each other and not with the increments
    in_steps: np.ndarray  # mask of the coordinates in which nobody judges, for f moves in steps
    everywhere: Everywhere | None = None  # what is known of the inputs that are not examined one by one, if many

    @property
    def case(self) -> Case:
        return self.point.case

    @property
    def examined(self) -> np.ndarray:
        """The inputs whose derivatives were compared one by one.

        An empty array where only forward mode reports on many inputs: it is evaluated along random directions alone.
        """
        examined = self.look.plan.examined
        return examined if any(not answer.oracle for answer in self.answers) else examined[:0]

    @property
    def disagreeing(self) -> list[Pair]:
        """The pairs of answers that disagree, in coordinates and along directions."""
        return [pair for pair in (*self.pairs, *self.directional.pairs) if pair.disagrees]

    @property
    def is_open(self) -> bool:
        """Whether some derivative that JAX reports is not decided."""
        return not all(_is_decided(self.pairs, name) for name in self.look.reports)

    @property
    def reports(self) -> list[Reported]:
        """The reports in all coordinates, and along directions."""
        return [*self.look.reports.values(), *self.directional.reports.values()]

    @property
    def missing(self) -> dict[str, Fact]:
        """Why modes are missing."""
        return {**self.look.missing, **self.directional.missing}

    @property
    def slopes(self) -> list[Slopes]:
        """The program's own slopes in inputs, and along directions."""
        return _slopes(self.look, self.directional)

    @property
    def obstacles(self) -> Observations:
        """What kept increments from being exact slopes, in both."""
        return reduce(Observations.and_those, [slopes.sides.obstacles for slopes in self.slopes])

    @property
    def by_solvers(self) -> float:
        """How far finer tolerances of solvers move what is reported, as a share of the largest derivative."""
        return max((report.by_solvers for report in self.reports), default=0.0)

    @property
    def is_within_tolerance(self) -> bool:
        """Whether all agrees only since what a solver's tolerance may leave is accepted."""
        return any(fact.kind == Kind.WITHIN_TOLERANCE for fact in self.facts)


def compare_derivatives(
    case: Case, modes: Sequence[str], gradient: Sequence[Any] | None = None, deadline: float = np.inf
) -> Comparison:
    """Compare the derivatives in some modes, and a reference gradient, with those of the program.

    After the deadline, by `time.perf_counter`, no more of many inputs are looked at one by one.
    """
    point, whole = measure(case), None
    if case.is_large and time.perf_counter() < deadline:
        # one reverse pass without custom rules costs a gradient; increments cost a run for every few inputs
        whole = gradient_by_primals(case, point.combinations.weights[0])
    examined = sample_inputs(case, deadline, SAMPLED_INPUTS if whole is None else SAMPLED_BESIDE_WHOLE)
    plan = Plan(tuple(make_mode(point, name) for name in modes), examined, whole)
    reference = None if gradient is None else report_reference(point, gradient)
    comparison = _compare(point, look_at_inputs(point, plan, reference))
    if comparison.disagreeing and not _is_same_for_callers(comparison):  # quickly compiled code accuses nobody
        del comparison  # its arrays are freed before those of the second look are made
        comparison = _compare(point, look_at_inputs(point, plan.as_called, reference))
    return _within_tolerance(comparison) or comparison


def _within_tolerance(comparison: Comparison) -> Comparison | None:
    """The comparison again with what a solver's tolerance may leave accepted; None where that does not explain all.

    An error of a rule may be of that size, too. So there is a doubt, unless finer tolerances leave less in proportion.
    """
    point, look = comparison.point, comparison.look
    tolerance = max(mode.tolerance for mode in look.plan.modes)
    # an accuracy that the user has given stands
    if point.case.accuracy or not tolerance or not (comparison.disagreeing or comparison.is_open):
        return None
    # a step of less than an ulp moves nothing, so that a solver in float32 stops there, whatever its tolerance is
    ulp = 2.0 * point.program.coarsest
    reached, finer = max(tolerance, ulp), TIGHTER * tolerance
    if tolerance > ulp:  # a finer one may be the tolerance of a solver in float64, if only a constant is of float32
        finer = max(finer, ulp)
    accepting = _accepting(point, reached)
    again = _compare(accepting, judge_again(accepting, look))
    if again.disagreeing or again.is_open:
        return None
    is_borne_out = REFERENCE not in look.reports and _shrinks(comparison, finer)
    if not (is_borne_out or comparison.disagreeing):
        return None
    severity, left = (Severity.NOTE, finer) if is_borne_out else (Severity.DOUBT, 0.0)
    numbers = {"tolerance": reached, "accuracy": accepting.case.accuracy, "finer": left}
    fact = Fact(Kind.WITHIN_TOLERANCE, severity, data=numbers)
    return replace(again, facts=(*again.facts, fact))


def _accepting(point: Point, tolerance: float) -> Point:
    """A point at which errors are accepted that a solver leaves which stops at a tolerance."""
    accuracy = min(TOLERANCES_LEFT * tolerance, SOLUTION_SHARE)  # which no solver's tolerance exceeds
    return replace(point, case=replace(point.case, accuracy=accuracy))


def _shrinks(comparison: Comparison, tolerance: float) -> bool:
    """Whether all agrees within a finer tolerance once the solvers of f and of the modes stop at finer ones.

    A solver's error shrinks with its tolerance, and the mistake of a rule stays. Where f's own solver breaks down, as
    by a division of what is zero by then, f stays as it is.
    """
    case, plan = comparison.case, comparison.look.plan
    if case.trusted_rules:  # which a program of primals lacks
        return False
    plan = replace(plan, modes=tuple(mode.finely for mode in plan.modes if mode.name not in comparison.missing))
    with suppress(CallbackRaised), raising_callbacks():  # a solver may raise that it takes too many steps
        for traced in dict.fromkeys([with_finer_solvers(case.traced, *case.leaves), case.traced]):
            finer = _accepting(measure(replace(case, traced=traced, program=traced.program)), tolerance)
            found = _compare(finer, look_at_inputs(finer, replace(plan, whole=None), None))
            if found.disagreeing or not (found.is_open or found.facts or found.missing):
                return not found.disagreeing
    return False


def _is_same_for_callers(comparison: Comparison) -> bool:
    """Whether XLA's default compilation, which callers get, reports what its quick compilation did.

    Without its slow passes XLA may compute a number twice, with other roundings. The rule of ``max(x, y)`` compares
    both arguments with the result to the bit, so that both slopes may be zero in such code alone.
    """
    point, look, along = comparison.point, comparison.look, comparison.directional
    # of many inputs, forward mode reports along directions, which are not compared here
    if point.case.is_large and (
        (along.reports and along.disagree) or not any(pair.disagrees for pair in comparison.pairs)
    ):
        return False
    products, _ = evaluate_modes(point, look.plan.as_called)

    def is_same(found: np.ndarray, old: Estimate) -> bool:
        if found.shape != old.error.shape:  # of many inputs, a look keeps those alone that are examined
            found = found[:, look.plan.examined]
        return bool((np.abs(found - old.derivative) <= old.error).all())

    return all(is_same(products[x].derivative, look.reports[x].estimate) for x in products if x in look.reports)


def _compare(point: Point, look: Look) -> Comparison:
    """The derivatives compared one by one and along directions."""
    if point.case.is_large:
        return _compare_many(point, look)
    return conclude(point, look, compare_inputs_at_kinks(point, look))


def _compare_many(point: Point, look: Look) -> Comparison:
    """The same of more inputs than can be examined one by one: what looks wrong in all of them is examined, too."""
    plan, directional = look.plan, compare_random_directions(point, look)
    everywhere = compare_everywhere(point, look, directional)
    more = everywhere.suspects
    # an error along a direction, of which the reverse pass shows nothing: one of its inputs is looked for
    if directional.disagree and look.reports and not more.size:
        more = locate_error(point, look, directional)
    elif plan.whole is not None and everywhere.decided is None:
        more = sample_inputs(point.case, np.inf)  # increments contradict the reverse pass: as many as without it
    if np.size(more):
        look = look_at_more_inputs(point, look, np.union1d(plan.examined, more))
    if not any(mode.has_solver for mode in plan.modes):  # else it may be judged again, in all inputs
        reports = {name: report.at(look.plan.examined) for name, report in look.reports.items()}
        look = replace(look, reports=reports, in_all_inputs={})
    return replace(conclude(point, look, directional), everywhere=everywhere)


# -- the conclusion ---------------------------------------------------------------------------------------------------


def conclude(point: Point, look: Look, directional: DirectionalDerivatives) -> Comparison:
    """All answers compared, with finite differences as a second opinion.

    1. Increments and differences may contradict each other: who of them judges is settled first.
    2. Each two answers are compared.
    3. Agreement by a wide bound alone decides nothing: where twice the derivative would agree as well, or where no
       digit of what is reported is correct.
    """
    slopes = _slopes(look, directional)
    has_black_box = any(found.sides.obstacles.differenced for found in slopes)
    opinion = with_differences(point, look, look.ordinary, has_black_box=has_black_box)
    facts = [*point.facts, *_unresolved(look, opinion, slopes)]
    # increments that are wrong in one input may be wrong along a direction, where no differences decide
    if opinion.is_contradicted and directional.disagree:
        directional = replace(directional, pairs=())
        facts.append(doubt(Kind.INCREMENTS_CONTRADICTED))

    answers = opinion.answers
    scale, pairs = _compare_answers(point, look, answers)
    doubts, is_twice_accepted = twice_would_pass(point, look, answers, scale)
    found = Comparison(
        point, look, directional, tuple(answers), tuple(pairs), (*facts, *doubts), opinion.is_contradicted,
        opinion.in_steps,
    )  # fmt: skip

    # digits are those of JAX's own numbers, not of the evaluation in float64
    own = [*look.own, *(answer for answer in answers if answer.oracle)]
    own_pairs = compare_all(own, look.coordinates.blocks, look.ordinary, scale)
    disagreeing = [*found.disagreeing, *(pair for pair in own_pairs if pair.disagrees)]
    wrong = {name for pair in disagreeing for name in (pair.first, pair.second)}
    alone = {INCREMENTS: look.true, DIFFERENCES: opinion.differenced}
    noted, has_no_digit = with_digits(point, look, answers, own_pairs, alone, wrong, found.by_solvers)
    is_open = is_twice_accepted | has_no_digit
    decided = [replace(pair, decided=pair.decided & ~is_open | pair.at_odds) for pair in pairs]
    return replace(found, answers=noted, pairs=tuple(decided))


def _slopes(look: Look, directional: DirectionalDerivatives) -> list[Slopes]:
    return [slopes for slopes in (look.slopes, directional.slopes) if slopes]


def _compare_answers(point: Point, look: Look, answers: Sequence[Answer]) -> tuple[np.ndarray, list[Pair]]:
    """The size beside which errors are small whatever the derivatives are, and each two answers compared."""
    blocks, places = look.coordinates.blocks, look.coordinates.inputs.places
    scale = point.scale() if places is None else point.scale(inputs=places)  # of many inputs those that are examined
    pairs = compare_all(answers, blocks, look.ordinary, scale)
    if point.case.is_large or all(_is_decided(pairs, name) for name in look.reports):
        return scale, pairs
    # the gradient of det is 0 at the 3x3 zero matrix, and so are all of its terms: derivatives around give a size
    scale = np.maximum(scale, scale_around(point))
    return scale, compare_all(answers, blocks, look.ordinary, scale)


def _is_decided(pairs: Sequence[Pair], name: str) -> bool:
    """Whether increments or differences decide each coordinate of a report in which either has a derivative."""
    beside = [pair for pair in pairs if pair.other(name) in (INCREMENTS, DIFFERENCES)]
    applies, decided = (np.logical_or.reduce([getattr(p, what) for p in beside]) for what in ("applies", "decided"))
    return bool(decided[applies].all())


def _unresolved(look: Look, opinion: SecondOpinion, slopes: Sequence[Slopes]) -> list[Fact]:
    """Why some derivative is unknown to increments, and to differences where these judge: the first of the reasons."""
    *_, differences = opinion.answers
    is_resolved = np.isfinite(look.true.error).ravel() | opinion.climbs & np.isfinite(differences.error)
    if is_resolved.all():
        return []
    if any(found.has_no_limit for found in slopes):
        return [doubt(Kind.NO_SLOPE, reason="slopes grow without limit as steps shrink")]
    reasons = [why for found in slopes if (why := found.sides.obstacles.unresolved)]
    return [doubt(Kind.NO_SLOPE, reason=reasons[0])] if reasons else []
