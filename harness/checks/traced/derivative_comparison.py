"""JAX's derivatives compared with the program's own: measure, ask the modes, find the true slopes, compare.

A `Look` is one pass over chosen inputs. A second look, by code that callers get or at more inputs, is another pass with
another plan; nothing of an earlier look is changed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.program_bound import largest_in_block
from harness.bounds.tolerances import DIFFERENCED, MEANINGLESS, SOLVERS_FACTOR, SPREAD_FACTOR
from harness.checks.traced.along_directions import (
    Ends,
    compare_kinks_together,
    compare_random_directions,
    locate_error,
    sample_inputs,
)
from harness.checks.traced.correct_digits import with_digits
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS, Case, Plan, Point, make_mode, measure
from harness.checks.traced.derivative_coordinates import Coordinates
from harness.checks.traced.error_scales import TERMS, ordinary_size, scale_around, scale_of_terms, twice_would_pass
from harness.checks.traced.float64_evaluation import estimate_in_float64, with_float64
from harness.checks.traced.kinks import Slopes, measure_slopes
from harness.checks.traced.real_coordinates import Estimate, UnitVectors
from harness.checks.traced.reported_derivatives import (
    Reported,
    allow_conventions,
    ask_modes,
    bound_modes,
    float64_runs,
    judge_not_finite,
    report_reference,
)
from harness.checks.traced.rounding_of_derivatives import Scope, select_in_blocks
from harness.checks.traced.true_slopes import Obstacles
from harness.checks.traced.value_differences import differences
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, Pair, compare, compare_all


class TrueDerivatives(NamedTuple):
    """The program's own derivatives in the chosen inputs.

    Attributes
    ----------
    estimate : Estimate
        (combinations, inputs), with an infinite error where inputs are not looked at. At a kink it is the convention
        that is closest to the first report.
    sides : Estimate
        (combinations, chosen): the mean of both sides, and half of their distance.
    kinks : (combinations, chosen) bool array
    slopes : Slopes
    """

    estimate: Estimate
    sides: Estimate
    kinks: np.ndarray
    slopes: Slopes


@dataclass(frozen=True, eq=False)
class Look:
    """One pass over chosen inputs.

    Attributes
    ----------
    plan : Plan
    coordinates : Coordinates
    reports : mapping of Reported
    missing : mapping of Fact
        Why modes are missing.
    true : TrueDerivatives
    own : tuple of Answer
        What JAX reports.
    answers : tuple of Answer
        What is compared: JAX's own or evaluated in float64, and then the increments.
    oracles : mapping of Estimate
        The program's derivatives in the coordinates, with no more than their own errors.
    evaluated : mapping of arrays
        The evaluations in float64.
    in_float64 : mapping to a mask and an Answer
        Where these are compared, and what JAX reports itself.
    is_outside : mask of the coordinates that lie outside of the function's domain
    reverse : Answer and Reported, or None
        Reverse mode in all inputs.
    """

    plan: Plan
    coordinates: Coordinates
    reports: Mapping[str, Reported]
    missing: Mapping[str, Fact]
    true: TrueDerivatives
    own: tuple[Answer, ...]
    answers: tuple[Answer, ...]
    oracles: Mapping[str, Estimate]
    evaluated: Mapping[str, np.ndarray]
    in_float64: Mapping[str, tuple[np.ndarray, Answer]]
    is_outside: np.ndarray
    reverse: tuple[Answer, Reported] | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the looks came to: answers, compared, and the facts beside them.

    Attributes
    ----------
    case, point, look, ends : what was given, measured and looked at
    answers : tuple of Answer
        What is judged.
    pairs : tuple of Pair
    facts : tuple of Fact
        Doubts about the function at this point.
    is_contradicted : bool
        Whether finite differences agree with JAX somewhere where increments do not.
    """

    case: Case
    point: Point
    look: Look
    ends: Ends
    answers: tuple[Answer, ...]
    pairs: tuple[Pair, ...]
    facts: tuple[Fact, ...]
    is_contradicted: bool

    @property
    def disagreeing(self) -> list[Pair]:
        """The pairs of answers that disagree, in coordinates and along directions."""
        return [pair for pair in (*self.pairs, *self.ends.pairs) if pair.disagrees]

    @property
    def reports(self) -> list[Reported]:
        """The reports in all coordinates, and along directions."""
        return [*self.look.reports.values(), *self.ends.reports.values()]

    @property
    def missing(self) -> dict[str, Fact]:
        """Why modes are missing."""
        return {**self.look.missing, **self.ends.missing}

    @property
    def obstacles(self) -> Obstacles:
        """What kept increments from being exact slopes, in both."""
        found = self.look.true.slopes.obstacles
        return found.and_those(self.ends.slopes.obstacles) if self.ends.slopes else found

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
    point = measure(case)
    plan = Plan(tuple(make_mode(case, point, name) for name in modes), sample_inputs(case, deadline))
    reference = None if gradient is None else report_reference(case, point, gradient)
    look = look_at(case, point, plan, reference)
    ends = compare_ends(case, point, look)
    if case.is_large and ends.disagree:
        # what is compiled quickly may compute some numbers twice: look again by code that callers get
        look = look_at(case, point, replace(plan, quickly=False), reference)
        ends = compare_ends(case, point, look)
    if case.is_large and ends.disagree and look.reports:
        i = locate_error(case, point, _suspect(point, look, ends))
        look = look_closer(case, point, look, np.union1d(look.plan.chosen, i))
    return conclude(case, point, look, ends)


def look_at(case: Case, point: Point, plan: Plan, reference: Reported | None) -> Look:
    """Ask the modes, find the true slopes in the chosen inputs, and bound the errors of what is reported."""
    products, missing = ask_modes(case, point, plan)
    reported = [found.derivative for found in products.values()]
    reported += [reference.estimate.derivative] if reference else []
    coordinates = _coordinates(case, point, plan)
    true = find_true_derivatives(case, point, plan.chosen, reported, coordinates.blocks)
    terms = np.abs(point.combinations.cotangents[:, None]) * point.terms
    at = point.is_known[:, None] & coordinates.is_chosen
    scope = Scope(coordinates.blocks, point.program.coarsest, at, terms)
    may_borrow = (len(reported) == 1 or not scope.is_wide(true.estimate)) and not true.kinks.any()
    reports, missing_after = bound_modes(
        case, point, plan, products, true.estimate, scope, may_borrow=may_borrow
    )  # fmt: skip
    reports |= {reference.name: reference} if reference else {}
    return _answer(case, point, plan, coordinates, reports, true, {**missing, **missing_after})


def look_closer(case: Case, point: Point, look: Look, chosen: np.ndarray) -> Look:
    """The same reports, compared with the true slopes in other inputs."""
    plan = replace(look.plan, chosen=chosen)
    coordinates = _coordinates(case, point, plan)
    reported = [found.estimate.derivative for found in look.reports.values()]
    true = find_true_derivatives(case, point, chosen, reported, coordinates.blocks)
    return _answer(case, point, plan, coordinates, look.reports, true, look.missing)


def compare_ends(case: Case, point: Point, look: Look) -> Ends:
    """What is compared along directions: of many inputs random ones, else inputs at kinks that move together."""
    ordinary = _ordinary(point, look.true)
    if not case.is_large:
        return compare_kinks_together(case, point, look.own, look.true.kinks, ordinary)
    may_borrow = not look.true.kinks.any()
    return compare_random_directions(case, point, look.plan, look.reverse, ordinary, may_borrow=may_borrow)


def _coordinates(case: Case, point: Point, plan: Plan) -> Coordinates:
    is_chosen = np.isin(np.arange(case.inputs.size), plan.chosen)
    return Coordinates(case.inputs, point.combinations, point.program.point, is_chosen, case.inputs.size)


def _scale(point: Point, coordinates: Coordinates) -> np.ndarray:
    """What errors may be small beside, whatever the derivative, in the coordinates that are compared."""
    chosen = coordinates.inputs.chosen  # of many inputs these alone, and there is one combination
    return point.scale if chosen is None else point.scale[chosen]


@np.errstate(all="ignore")
def _ordinary(point: Point, true: TrueDerivatives) -> float:
    """A size of the derivative that is not small."""
    sizes = np.abs(true.sides.derivative) + true.sides.error
    return ordinary_size(float(sizes[np.isfinite(sizes)].max(initial=0.0)), point.program.precision)


def _suspect(point: Point, look: Look, ends: Ends) -> np.ndarray:
    """The gradient to locate an error in: a mode's own, or its evaluation in float64 where that alone is wrong."""
    name = max(look.reports)
    odd = np.any([pair.at_odds for pair in ends.pairs if pair.other(name)], axis=0)
    runs = float64_runs(look.reports[name], look.true.slopes.obstacles, point.program.coarsest)
    if isinstance(runs, np.ndarray) and (ends.in_float64.get(name, np.zeros(odd.shape, bool)) & odd).any():
        return runs[0, 0]
    return look.reports[name].estimate.derivative[0]


# -- the true derivatives ---------------------------------------------------------------------------------------------


@np.errstate(all="ignore")
def find_true_derivatives(
    case: Case, point: Point, chosen: np.ndarray, reported: Sequence[np.ndarray], blocks: Sequence[Block]
) -> TrueDerivatives:
    """The increments' derivatives in the chosen inputs; at a kink, of all conventions the one closest to JAX's."""
    size, coarsest = case.inputs.size, point.program.coarsest
    reported = [derivative[:, chosen] for derivative in reported]
    at = point.is_known[:, None] & np.ones(len(chosen), bool)
    scope = Scope(select_in_blocks(blocks, chosen, size), coarsest, at)
    slopes = measure_slopes(point, UnitVectors(chosen, size), reported, scope)
    mean, half_gap, error = slopes.sides.mean, slopes.sides.half_gap, slopes.error
    first = next(iter(reported), mean)
    nearest = np.clip(np.where(np.isnan(first), mean, first), mean - half_gap, mean + half_gap)
    shape = len(point.combinations), size
    estimate = Estimate(np.full(shape, np.nan), np.full(shape, np.inf))
    estimate.derivative[:, chosen] = np.where(half_gap > 0.0, nearest, mean)
    estimate.error[:, chosen] = np.where(np.isfinite(mean), error, np.inf)
    return TrueDerivatives(estimate, Estimate(mean, half_gap), 2.0 * half_gap > error, slopes)


# -- answers ----------------------------------------------------------------------------------------------------------


def _answer(
    case: Case,
    point: Point,
    plan: Plan,
    coordinates: Coordinates,
    reports: Mapping[str, Reported],
    true: TrueDerivatives,
    missing: Mapping[str, Fact],
) -> Look:
    """What is reported and what is true, as answers in the coordinates that are compared."""
    blocks, coarsest = coordinates.blocks, point.program.coarsest
    known = Estimate(true.estimate.derivative, np.where(point.is_known[:, None], true.estimate.error, np.inf))
    bounded = {
        name: allow_conventions(report.estimate, true.estimate, true.sides, plan.chosen)
        for name, report in reports.items()
    }
    own = tuple(
        point.answer(name, judge_not_finite(case, point, estimate, known), blocks) for name, estimate in bounded.items()
    )
    increments = point.answer(INCREMENTS, known, blocks)
    is_outside = _outside([estimate.derivative for estimate in bounded.values()], point.is_outside)
    reverse = next(((a, reports[a.name]) for a in own if a.name == "reverse"), None) if case.is_large else None
    oracle = known
    if case.is_large:
        own, increments = tuple(_select(a, plan.chosen) for a in own), _select(increments, plan.chosen)
        oracle = Estimate(*(x[:, plan.chosen] for x in known))
        coordinates = coordinates.select(plan.chosen)
    answers, evaluated, in_float64, sides = list(own), {}, {}, point.combinations.per_output(true.sides)
    for i, answer in enumerate(own):
        runs = float64_runs(reports[answer.name], true.slopes.obstacles, coarsest)
        if isinstance(runs, np.ndarray):
            estimate, largest = _in_float64(point, runs, bounded[answer.name].error, blocks, plan.chosen)
            evaluated[answer.name] = estimate.derivative
            answers[i], taken = with_float64(answer, estimate, largest, increments, sides)
            in_float64[answer.name] = taken, answer
    return Look(
        plan, coordinates, reports, missing, true, own, (*answers, increments), {INCREMENTS: oracle}, evaluated,
        in_float64, is_outside, reverse,
    )  # fmt: skip


def _in_float64(
    point: Point, runs: np.ndarray, error: np.ndarray, blocks: Sequence[Block], chosen: np.ndarray
) -> tuple[Estimate, np.ndarray]:
    """A mode's evaluation in float64 in the chosen inputs, and the largest of each one's block in all."""
    derivative = point.combinations.per_output(Estimate(runs[0], error)).derivative
    largest = largest_in_block(derivative, blocks).reshape(error.shape)
    estimate = estimate_in_float64(runs[..., chosen], error[:, chosen], point.program.coarsest)
    return point.combinations.per_output(estimate), largest[:, chosen].ravel()


def _select(answer: Answer, chosen: np.ndarray) -> Answer:
    return replace(answer, gradient=answer.gradient[chosen], error=answer.error[chosen])


def _outside(derivatives: Sequence[np.ndarray], is_nowhere: np.ndarray) -> np.ndarray:
    """Derivatives of combinations that are NaN, and in inputs whose NaN reaches those of others: a mask.

    None where some mode reports numbers as the derivatives of a NaN.
    """
    shape = len(is_nowhere), derivatives[0].shape[1] if derivatives else 1
    mask = np.broadcast_to(is_nowhere[:, None], shape)
    for broken in (~np.isfinite(derivative) for derivative in derivatives):
        if not broken[is_nowhere].any(axis=1).all():
            return np.zeros(mask.size, bool)
        mask = mask | (broken[is_nowhere].any(axis=0) & broken[~is_nowhere].any(axis=0))
    return mask.ravel()


# -- the conclusion ---------------------------------------------------------------------------------------------------


def conclude(case: Case, point: Point, look: Look, ends: Ends) -> Comparison:
    """All answers compared, with finite differences as a second opinion, and with notes of the digits they lose."""
    ordinary, blocks = _ordinary(point, look.true), look.coordinates.blocks
    facts = [*point.facts, *_unresolved(look, ends)]
    answers, oracle, is_contradicted = _with_differences(case, point, look, ends, ordinary)
    look = replace(look, oracles={**look.oracles, DIFFERENCES: oracle})
    scale = _scale(point, look.coordinates)
    pairs = compare_all(answers, blocks, ordinary, scale)
    if not case.is_large and not all(_is_decided(pairs, name) for name in look.reports):
        scale = np.maximum(scale, scale_around(point.program, point.combinations.rows))
        pairs = compare_all(answers, blocks, ordinary, scale)
    is_small = lambda: MEANINGLESS[point.program.precision] * _size_of_function(case, point, look)  # noqa: E731
    increments = answers[len(look.own)]
    facts += twice_would_pass(answers, increments, blocks, look.coordinates.looked_at, ordinary, scale, is_small)
    comparison = Comparison(case, point, look, ends, tuple(answers), tuple(pairs), tuple(facts), is_contradicted)
    return replace(comparison, answers=_with_digits(comparison, ordinary, scale))


def _unresolved(look: Look, ends: Ends) -> list[Fact]:
    """Why some derivative is unknown, where one is."""
    slopes = [look.true.slopes, *([ends.slopes] if ends.slopes else [])]
    if np.isfinite(look.oracles[INCREMENTS].error).all():
        return []
    if any(found.has_no_limit for found in slopes):
        return [doubt(Kind.SLOPE_WITHOUT_LIMIT)]
    reasons = [found.obstacles.unresolved for found in slopes if found.obstacles.unresolved]
    return [doubt(Kind.NO_SLOPE, reason=reasons[0])] if reasons else []


def _with_differences(
    case: Case, point: Point, look: Look, ends: Ends, ordinary: float
) -> tuple[list[Answer], Estimate, bool]:
    """The answers with finite differences as one more, first of what looks wrong.

    And the differences with their own errors, and whether they contradict the increments.
    """
    increments, blocks, chosen = look.answers[-1], look.coordinates.blocks, look.plan.chosen
    size, combinations = len(chosen), point.combinations
    pairs = compare_all(look.answers, blocks, ordinary)
    odd = [pair.at_odds for pair in pairs if pair.other(INCREMENTS)]
    wrong = np.unique(np.flatnonzero(np.any([np.zeros(size * len(combinations), bool), *odd], axis=0)) % size)
    looked_at = np.union1d(wrong[:DIFFERENCED], np.arange(0, size, max(1, size // DIFFERENCED))).astype(int)
    obstacles = look.true.slopes.obstacles.and_those(ends.slopes.obstacles if ends.slopes else Obstacles())
    found = differences(
        case.traced, point.program, chosen[looked_at], combinations.weights, point.error,
        has_black_box=bool(obstacles.differenced),
    )  # fmt: skip
    oracle = Estimate(np.full((len(combinations), size), np.nan), np.full((len(combinations), size), np.inf))
    oracle.derivative[:, looked_at], oracle.error[:, looked_at] = found
    oracle.error[~point.is_known] = np.inf
    differenced = point.answer(DIFFERENCES, oracle, blocks)
    at_odds = lambda a, b: compare(a, b, blocks, ordinary).at_odds  # noqa: E731
    increments, differenced, is_contradicted = _arbitrate(look.answers[:-1], increments, differenced, at_odds)
    return [*look.answers[:-1], increments, differenced], oracle, is_contradicted


def _arbitrate(
    own: Sequence[Answer], increments: Answer, differenced: Answer, at_odds: Callable[[Answer, Answer], np.ndarray]
) -> tuple[Answer, Answer, bool]:
    """Increments and differences, with infinite errors where they do not count; and whether increments ever do not.

    Increments do not count where they contradict both differences and JAX. Differences never accuse alone: a kink or a
    jump may be within their reach.
    """
    contradiction, is_contradicted = at_odds(increments, differenced), False
    for answer in own:
        by_increments, by_differences = at_odds(answer, increments), at_odds(answer, differenced)
        is_alone = contradiction & by_increments & ~by_differences
        is_contradicted |= bool(is_alone.any())
        increments = replace(increments, error=np.where(is_alone, np.inf, increments.error))
        far = by_differences & ~by_increments
        differenced = replace(differenced, error=np.where(far, np.inf, differenced.error))
    outvoted = contradiction & np.isfinite(increments.error)
    return increments, replace(differenced, error=np.where(outvoted, np.inf, differenced.error)), is_contradicted


def _is_decided(pairs: Sequence[Pair], name: str) -> bool:
    """Whether one of the oracles decides each of a report's coordinates in which any of them applies."""
    beside = [pair for pair in pairs if pair.other(name) in (INCREMENTS, DIFFERENCES)]
    applies, decided = (np.logical_or.reduce([getattr(p, what) for p in beside]) for what in ("applies", "decided"))
    return bool(decided[applies].all())


@np.errstate(all="ignore")
def _size_of_function(case: Case, point: Point, look: Look) -> np.ndarray:
    """f's own size over its argument, with terms that cancel up to a fixed size, and derivatives around."""
    rows = point.combinations.rows
    terms = np.minimum(point.error, TERMS * SPREAD_FACTOR * point.program.coarsest)
    scale = scale_of_terms(rows, point.expected, terms, point.program)
    if case.is_large:
        return scale[look.plan.chosen]
    return np.maximum(scale, scale_around(point.program, rows))


@np.errstate(all="ignore")
def _with_digits(comparison: Comparison, ordinary: float, scale: np.ndarray) -> tuple[Answer, ...]:
    """The answers with a note of the digits that JAX's own numbers have lost."""
    look, combinations = comparison.look, comparison.point.combinations
    own = [*look.own, *(answer for answer in comparison.answers if answer.oracle)]
    pairs = compare_all(own, look.coordinates.blocks, ordinary, scale)
    disagreeing = [*comparison.disagreeing, *(pair for pair in pairs if pair.disagrees)]
    wrong = {name for pair in disagreeing for name in (pair.first, pair.second)}
    sizes = np.abs([answer.gradient for answer in look.own])
    # of what a solver leaves, no digit is known
    by_solvers = SOLVERS_FACTOR * comparison.by_solvers * sizes[np.isfinite(sizes)].max(initial=0.0)
    oracles = {name: combinations.per_output(estimate) for name, estimate in look.oracles.items()}
    oracles = {name: Estimate(derivative, error + by_solvers) for name, (derivative, error) in oracles.items()}
    noted = with_digits(own, pairs, oracles, look.coordinates, look.evaluated, wrong)
    return tuple(replace(a, notes=b.notes, ulps=b.ulps) for a, b in zip(comparison.answers, noted))
