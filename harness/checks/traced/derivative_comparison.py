"""JAX's derivatives compared with the program's own: measure, look at inputs, look along directions, conclude."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.bounds.tolerances import (
    DIFFERENCED,
    MEANINGLESS,
    MEANT,
    SAMPLED_INPUTS,
    SOLVERS_FACTOR,
    SPREAD_FACTOR,
    TOLERANCES_LEFT,
)
from harness.checks.traced.derivative_answers import Look, look_at_inputs, look_at_more_inputs, ordinary_derivative
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS, Case, Plan, Point, make_mode, measure
from harness.checks.traced.error_scales import TERMS, scale_around, scale_of_terms, twice_would_pass, with_digits
from harness.checks.traced.inputs_at_kinks import compare_inputs_at_kinks
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
from harness.checks.traced.program_at_point import Obstacles, differences
from harness.checks.traced.real_coordinates import Coordinates, Estimate
from harness.checks.traced.reported_derivatives import Reported, ask_modes, comparable_runs, report_reference
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Pair, compare, compare_all


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the looks came to: the answers that are judged, compared, and doubts about the function here."""

    point: Point
    look: Look
    directional: DirectionalDerivatives
    answers: tuple[Answer, ...]
    pairs: tuple[Pair, ...]
    facts: tuple[Fact, ...]
    alone: dict[str, Estimate]  # increments and differences, with no more than their own errors
    is_contradicted: bool  # whether differences agree with JAX somewhere where increments do not
    everywhere: Everywhere | None = None  # what is known of the other ones of many inputs

    @property
    def case(self) -> Case:
        """What was given."""
        return self.point.case

    @property
    def examined(self) -> np.ndarray:
        """The inputs whose derivatives were compared one by one: none where forward mode of many inputs is alone."""
        examined = self.look.plan.examined
        return examined if any(not answer.oracle for answer in self.answers) else examined[:0]

    @property
    def disagreeing(self) -> list[Pair]:
        """The pairs of answers that disagree, in coordinates and along directions."""
        return [pair for pair in (*self.pairs, *self.directional.pairs) if pair.disagrees]

    @property
    def reports(self) -> list[Reported]:
        """The reports in all coordinates, and along directions."""
        return [*self.look.reports.values(), *self.directional.reports.values()]

    @property
    def missing(self) -> dict[str, Fact]:
        """Why modes are missing."""
        return {**self.look.missing, **self.directional.missing}

    @property
    def obstacles(self) -> Obstacles:
        """What kept increments from being exact slopes, in both."""
        found = self.look.true.slopes.obstacles
        return found.and_those(self.directional.slopes.obstacles) if self.directional.slopes else found

    @property
    def by_solvers(self) -> float:
        """How far finer tolerances of solvers move the reports, as a share of the largest derivative."""
        return max((report.by_solvers for report in self.reports), default=0.0)


def compare_derivatives(
    case: Case, modes: Sequence[str], gradient: Sequence[Any] | None = None, deadline: float = np.inf
) -> Comparison:
    """Compare the derivatives in some modes, and a reference gradient, with those of the program.

    After the deadline, by `time.perf_counter`, no more of many inputs are looked at one by one.
    """
    point, whole = measure(case), None
    if case.is_large and time.perf_counter() < deadline:
        whole = gradient_by_primals(case, point.combinations.weights[0])
    examined = sample_inputs(case, deadline, SAMPLED_INPUTS if whole is None else SAMPLED_BESIDE_WHOLE)
    plan = Plan(tuple(make_mode(point, name) for name in modes), examined, whole)
    reference = None if gradient is None else report_reference(point, gradient)
    comparison = _compare(point, plan, reference)
    if comparison.disagreeing and not _is_same_for_callers(comparison):
        comparison = _compare(point, replace(plan, quickly=False), reference)
    return _within_tolerance(comparison, reference) or comparison


def _within_tolerance(comparison: Comparison, reference: Reported | None) -> Comparison | None:
    """The comparison that accepts what a solver's tolerance leaves, where that explains all, with a doubt."""
    point, plan = comparison.point, comparison.look.plan
    if point.case.accuracy or not comparison.disagreeing:
        return None
    tolerance = max(mode.tolerance for mode in plan.modes)
    if not tolerance:
        return None
    accuracy = TOLERANCES_LEFT * tolerance
    again = _compare(replace(point, case=replace(point.case, accuracy=accuracy)), plan, reference)
    fact = doubt(Kind.WITHIN_TOLERANCE, tolerance=tolerance, accuracy=accuracy)
    return None if again.disagreeing else replace(again, facts=(*again.facts, fact))


def _is_same_for_callers(comparison: Comparison) -> bool:
    """Whether code that callers get reports what code that is compiled quickly did: that alone accuses nobody."""
    point, reports = comparison.point, comparison.look.reports
    products, _ = ask_modes(point, replace(comparison.look.plan, quickly=False))
    with np.errstate(all="ignore"):
        return not point.case.is_large and all(
            (np.abs(found.derivative - old.derivative) <= old.error).all()
            for name, found in products.items()
            if name in reports
            for old in [reports[name].estimate]
        )


def _compare(point: Point, plan: Plan, reference: Reported | None) -> Comparison:
    """The derivatives compared one by one and along directions."""
    case = point.case
    look = look_at_inputs(point, plan, reference)
    compare_along = compare_random_directions if case.is_large else compare_inputs_at_kinks
    directional = compare_along(point, look)
    if not case.is_large:
        return conclude(point, look, directional)
    everywhere = compare_everywhere(point, look, directional)
    more = everywhere.suspects
    if directional.disagree and look.reports and not more.size:
        more = locate_error(point, _suspect_gradient(point, look, directional))
    elif plan.whole is not None and not everywhere.pairs:
        more = sample_inputs(case, np.inf)  # increments do not vouch for the reverse pass: examine as many as without
    if np.size(more):
        look = look_at_more_inputs(point, look, np.union1d(look.plan.examined, more))
    return replace(conclude(point, look, directional), everywhere=everywhere)


def _suspect_gradient(point: Point, look: Look, directional: DirectionalDerivatives) -> np.ndarray:
    """The gradient to locate an error in: a mode's own, or its evaluation in float64 where that alone is wrong."""
    name = max(look.reports)
    odd = np.any([pair.at_odds for pair in directional.pairs if pair.other(name)], axis=0)
    runs = comparable_runs(look.reports[name], look.true.slopes.obstacles, point.program.coarsest)
    if isinstance(runs, np.ndarray) and (directional.replaced.get(name, np.zeros(odd.shape, bool)) & odd).any():
        return runs[0, 0]
    return look.reports[name].estimate.derivative[0]


def _scale(point: Point, coordinates: Coordinates) -> np.ndarray:
    """What errors may be small beside, whatever the derivative, in the coordinates that are compared."""
    places = coordinates.inputs.places  # of many inputs these alone, and there is one combination
    return point.scale if places is None else point.scale[places]


# -- the conclusion ---------------------------------------------------------------------------------------------------


def conclude(point: Point, look: Look, directional: DirectionalDerivatives) -> Comparison:
    """All answers compared, with finite differences as a second opinion, and with notes of the digits they lose."""
    ordinary, coordinates, is_large = ordinary_derivative(point, look.true), look.coordinates, point.case.is_large
    answers, differenced, is_contradicted = _with_differences(point, look, directional, ordinary)
    scale = _scale(point, coordinates)
    pairs = compare_all(answers, coordinates.blocks, ordinary, scale)
    if not is_large and not all(_is_decided(pairs, name) for name in look.reports):
        # all terms may cancel here: derivatives at points around show what an error is small beside
        scale = np.maximum(scale, scale_around(point.program, point.combinations.rows))
        pairs = compare_all(answers, coordinates.blocks, ordinary, scale)
    facts = [*point.facts, *_unresolved(look, directional)]
    if is_contradicted and directional.disagree:  # increments accuse nobody there either
        directional = replace(directional, pairs=())
        facts.append(doubt(Kind.INCREMENTS_CONTRADICTED))
    sizes = ordinary, scale, lambda: MEANINGLESS[point.program.precision] * _size_of_function(point, look)
    increments = next(answer for answer in answers if answer.name == INCREMENTS)
    in_doubt, would_pass = twice_would_pass(answers, increments, coordinates.blocks, coordinates.examined, *sizes)
    alone = {INCREMENTS: look.increments_alone, DIFFERENCES: differenced}
    facts = *facts, *in_doubt
    found = Comparison(point, look, directional, tuple(answers), tuple(pairs), facts, alone, is_contradicted)
    noted, without_digit = _with_digits(found, ordinary, scale)
    decided = [replace(p, decided=p.decided & ~(would_pass | without_digit) | p.at_odds) for p in pairs]
    return replace(found, answers=noted, pairs=tuple(decided))


def _unresolved(look: Look, directional: DirectionalDerivatives) -> list[Fact]:
    """Why some derivative is unknown, where one is."""
    slopes = [look.true.slopes, *([directional.slopes] if directional.slopes else [])]
    if np.isfinite(look.increments_alone.error).all():
        return []
    if any(found.has_no_limit for found in slopes):
        return [doubt(Kind.NO_SLOPE, reason="slopes grow without limit as steps shrink")]
    reasons = [found.obstacles.unresolved for found in slopes if found.obstacles.unresolved]
    return [doubt(Kind.NO_SLOPE, reason=reasons[0])] if reasons else []


def _with_differences(
    point: Point, look: Look, directional: DirectionalDerivatives, ordinary: float
) -> tuple[list[Answer], Estimate, bool]:
    """The answers with finite differences as one more, first of what looks wrong.

    And the differences with their own errors, and whether they contradict the increments.
    """
    blocks, examined, combinations = look.coordinates.blocks, look.plan.examined, point.combinations
    size, pairs = len(examined), compare_all([*look.judged, look.increments], blocks, ordinary)
    odd = [pair.at_odds for pair in pairs if pair.other(INCREMENTS)]
    wrong = np.unique(np.flatnonzero(np.any([np.zeros(size * len(combinations), bool), *odd], axis=0)) % size)
    # difference what looks wrong first, and some inputs all over
    some = DIFFERENCED if look.plan.whole is None else 1
    axes = np.union1d(wrong[:DIFFERENCED], np.arange(0, size, -(-size // some))).astype(int)
    obstacles = look.true.slopes.obstacles.and_those(
        directional.slopes.obstacles if directional.slopes else Obstacles()
    )
    found = differences(
        point.case.traced, point.program, examined[axes], combinations.weights, point.error,
        has_black_box=bool(obstacles.differenced),
    )  # fmt: skip
    estimate = Estimate(np.full((len(combinations), size), np.nan), np.full((len(combinations), size), np.inf))
    estimate.derivative[:, axes], estimate.error[:, axes] = found
    estimate.error[~point.is_known] = np.inf
    differenced = point.answer(DIFFERENCES, estimate, blocks)
    at_odds = lambda a, b: compare(a, b, blocks, ordinary).at_odds  # noqa: E731
    increments, differenced, is_contradicted = _arbitrate(look.judged, look.increments, differenced, at_odds)
    return [*look.judged, increments, differenced], estimate, is_contradicted


def _arbitrate(
    own: Sequence[Answer], increments: Answer, differenced: Answer, at_odds: Callable[[Answer, Answer], np.ndarray]
) -> tuple[Answer, Answer, bool]:
    """Increments and differences, with infinite errors where they do not count; and whether increments ever do not.

    Increments that contradict both differences and JAX somewhere do not count there, and accuse nobody anywhere unless
    differences do, too. Differences never accuse alone: a kink or a jump may be within their reach.
    """
    contradiction = at_odds(increments, differenced)
    odd = [(at_odds(answer, increments), at_odds(answer, differenced)) for answer in own]
    is_contradicted = any((contradiction & odd_one & ~shared).any() for odd_one, shared in odd)
    for by_increments, by_differences in odd:
        if is_contradicted:
            unshared = by_increments & ~by_differences
            increments = replace(increments, error=np.where(unshared, np.inf, increments.error))
        far = by_differences & ~by_increments
        differenced = replace(differenced, error=np.where(far, np.inf, differenced.error))
    outvoted = contradiction & np.isfinite(increments.error)
    return increments, replace(differenced, error=np.where(outvoted, np.inf, differenced.error)), is_contradicted


def _is_decided(pairs: Sequence[Pair], name: str) -> bool:
    """Whether one of the estimates decides each of a report's coordinates in which any of them applies."""
    beside = [pair for pair in pairs if pair.other(name) in (INCREMENTS, DIFFERENCES)]
    applies, decided = (np.logical_or.reduce([getattr(p, what) for p in beside]) for what in ("applies", "decided"))
    return bool(decided[applies].all())


@np.errstate(all="ignore")
def _size_of_function(point: Point, look: Look) -> np.ndarray:
    """f's own size over its argument, with terms that cancel up to a fixed size, and derivatives around."""
    rows = point.combinations.rows
    terms = np.minimum(point.error, TERMS * SPREAD_FACTOR * point.program.coarsest)
    scale = scale_of_terms(rows, point.expected, terms, point.program)
    if point.case.is_large:
        return scale[look.plan.examined]
    return np.maximum(scale, scale_around(point.program, rows))


@np.errstate(all="ignore")
def _with_digits(comparison: Comparison, ordinary: float, scale: np.ndarray) -> tuple[tuple[Answer, ...], np.ndarray]:
    """The answers with a note of the digits that JAX's own numbers have lost, and where that is a doubt."""
    look, point, combinations = comparison.look, comparison.point, comparison.point.combinations
    own = [*look.own, *(answer for answer in comparison.answers if answer.oracle)]
    pairs = compare_all(own, look.coordinates.blocks, ordinary, scale)
    disagreeing = [*comparison.disagreeing, *(pair for pair in pairs if pair.disagrees)]
    wrong = {name for pair in disagreeing for name in (pair.first, pair.second)}
    sizes = np.abs([answer.gradient for answer in look.own])
    # of what a solver leaves, no digit is known
    by_solvers = SOLVERS_FACTOR * comparison.by_solvers * sizes[np.isfinite(sizes)].max(initial=0.0)
    alone = {name: combinations.per_output(estimate) for name, estimate in comparison.alone.items()}
    alone = {name: Estimate(derivative, error + by_solvers) for name, (derivative, error) in alone.items()}
    small, places = MEANT.get(point.program.precision, 0.0) * point.own_terms.ravel(), look.coordinates.inputs.places
    small = small if places is None else small[places]
    evaluated, roundings = look.float64_derivatives, look.roundings
    noted, in_doubt = with_digits(own, pairs, alone, look.coordinates, evaluated, roundings, small, wrong)
    return tuple(replace(a, notes=b.notes, ulps=b.ulps) for a, b in zip(comparison.answers, noted)), in_doubt
