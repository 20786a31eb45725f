"""One look at the derivatives of a function in some inputs: what JAX reports and what the program says, as answers.

A second look, by code that callers get or in more inputs, is another call with another plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from harness.bounds.program_bound import largest_in_block
from harness.checks.traced.derivative_case import INCREMENTS, Plan, Point
from harness.checks.traced.error_scales import ordinary_size
from harness.checks.traced.low_precision import Scope, estimate_in_float64, select_in_blocks, with_float64
from harness.checks.traced.program_derivatives import Slopes, measure_slopes
from harness.checks.traced.real_coordinates import Coordinates, Estimate, UnitVectors
from harness.checks.traced.reported_derivatives import (
    Reported,
    allow_conventions,
    ask_modes,
    bound_modes,
    float64_runs,
    judge_not_finite,
)
from harness.facts.fact import Fact
from harness.verdict.comparison import Answer, Block


class TrueDerivatives(NamedTuple):
    """The program's own derivatives.

    At a kink the estimate is the convention that is closest to the first report. Its error is infinite in inputs that
    are not looked at. The sides are the mean of the left and the right derivative, and half of their distance.
    """

    estimate: Estimate  # (combinations, inputs)
    sides: Estimate  # (combinations, chosen)
    kinks: np.ndarray  # (combinations, chosen) mask: where the two sides differ
    slopes: Slopes

    @property
    def ordinary(self) -> float:
        """The size of the largest derivative on either side."""
        with np.errstate(all="ignore"):
            sizes = np.abs(self.sides.derivative) + self.sides.error
        return float(sizes[np.isfinite(sizes)].max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Look:
    """One look at some inputs. The answers are those of JAX, its own or evaluated in float64, and the increments."""

    plan: Plan
    coordinates: Coordinates
    reports: Mapping[str, Reported]
    missing: Mapping[str, Fact]  # why modes are missing
    true: TrueDerivatives
    own: tuple[Answer, ...]  # what JAX reports itself
    answers: tuple[Answer, ...]
    oracle: Estimate  # the increments in the coordinates, with no more than their own errors
    evaluated: Mapping[str, np.ndarray]  # the evaluations in float64
    in_float64: Mapping[str, tuple[np.ndarray, Answer]]  # where these are compared, and the answer before
    is_outside: np.ndarray  # mask of the coordinates outside of the function's domain
    reverse: tuple[Answer, Reported] | None  # reverse mode in all of many inputs


def look_at(point: Point, plan: Plan, reference: Reported | None) -> Look:
    """Ask the modes, find the true derivatives in the chosen inputs, and bound the errors of what is reported."""
    products, missing = ask_modes(point, plan)
    reported = [found.derivative for found in products.values()]
    reported += [reference.estimate.derivative] if reference else []
    coordinates = _coordinates(point, plan)
    true = find_true_derivatives(point, plan.chosen, reported, coordinates.blocks)
    terms = np.abs(point.combinations.cotangents[:, None]) * point.terms
    at = point.is_known[:, None] & coordinates.is_chosen
    scope = Scope(coordinates.blocks, point.program.coarsest, at, terms)
    # modes may contradict each other within a wide bound, and each may have its own convention at a kink
    may_borrow = (len(reported) == 1 or not scope.is_wide(true.estimate)) and not true.kinks.any()
    reports, missing_after = bound_modes(point, plan, products, true.estimate, scope, may_borrow=may_borrow)
    reports |= {reference.name: reference} if reference else {}
    return _answer(point, plan, coordinates, reports, true, {**missing, **missing_after})


def look_again(point: Point, look: Look, chosen: np.ndarray) -> Look:
    """The same reports, compared with the true derivatives in other inputs."""
    plan = replace(look.plan, chosen=chosen)
    coordinates = _coordinates(point, plan)
    reported = [found.estimate.derivative for found in look.reports.values()]
    true = find_true_derivatives(point, chosen, reported, coordinates.blocks)
    return _answer(point, plan, coordinates, look.reports, true, look.missing)


def ordinary_derivative(point: Point, true: TrueDerivatives) -> float:
    """A size of the derivative that is not small."""
    return ordinary_size(true.ordinary, point.program.precision)


def _coordinates(point: Point, plan: Plan) -> Coordinates:
    inputs = point.case.inputs
    is_chosen = np.isin(np.arange(inputs.size), plan.chosen)
    return Coordinates(inputs, point.combinations, point.program.point, is_chosen, inputs.size)


@np.errstate(all="ignore")
def find_true_derivatives(
    point: Point, chosen: np.ndarray, reported: Sequence[np.ndarray], blocks: Sequence[Block]
) -> TrueDerivatives:
    """The increments' derivatives in the chosen inputs; at a kink, of all conventions the one closest to JAX's."""
    size, coarsest = point.case.inputs.size, point.program.coarsest
    reported = [derivative[:, chosen] for derivative in reported]
    at = point.is_known[:, None] & np.ones(len(chosen), bool)
    scope = Scope(select_in_blocks(blocks, chosen, size), coarsest, at)
    slopes = measure_slopes(point, UnitVectors(chosen, size), reported, scope)
    mean, half_gap, error = slopes.sides.mean, slopes.sides.half_gap, slopes.error
    first = next(iter(reported), mean)
    # every value between both sides is right: take the one closest to what JAX reports
    nearest = np.clip(np.where(np.isnan(first), mean, first), mean - half_gap, mean + half_gap)
    shape = len(point.combinations), size
    estimate = Estimate(np.full(shape, np.nan), np.full(shape, np.inf))
    estimate.derivative[:, chosen] = np.where(half_gap > 0.0, nearest, mean)
    estimate.error[:, chosen] = np.where(np.isfinite(mean), error, np.inf)
    return TrueDerivatives(estimate, Estimate(mean, half_gap), 2.0 * half_gap > error, slopes)


def _answer(
    point: Point,
    plan: Plan,
    coordinates: Coordinates,
    reports: Mapping[str, Reported],
    true: TrueDerivatives,
    missing: Mapping[str, Fact],
) -> Look:
    """What is reported and what is true, as answers in the coordinates that are compared."""
    blocks, coarsest = coordinates.blocks, point.program.coarsest
    # combinations with an output of which nothing is known are not judged
    known = Estimate(true.estimate.derivative, np.where(point.is_known[:, None], true.estimate.error, np.inf))
    bounded = {
        name: allow_conventions(report.estimate, true.estimate, true.sides, plan.chosen)
        for name, report in reports.items()
    }
    own = tuple(
        point.answer(name, judge_not_finite(point, estimate, known), blocks) for name, estimate in bounded.items()
    )
    increments = point.answer(INCREMENTS, known, blocks)
    is_outside = _outside([estimate.derivative for estimate in bounded.values()], point.is_outside)
    reverse = next(((a, reports[a.name]) for a in own if a.name == "reverse"), None) if point.case.is_large else None
    oracle = known
    if point.case.is_large:  # from here on, the chosen inputs alone
        own, increments = tuple(_select(a, plan.chosen) for a in own), _select(increments, plan.chosen)
        oracle = Estimate(*(x[:, plan.chosen] for x in known))
        coordinates = coordinates.select(plan.chosen)
    answers, evaluated, in_float64, sides = list(own), {}, {}, point.combinations.per_output(true.sides)
    for i, answer in enumerate(own):
        # in a coarse type, compare the rule's evaluation in float64 wherever it decides more
        runs = float64_runs(reports[answer.name], true.slopes.obstacles, coarsest)
        if isinstance(runs, np.ndarray):
            estimate, largest = _in_float64(point, runs, bounded[answer.name].error, blocks, plan.chosen)
            evaluated[answer.name] = estimate.derivative
            answers[i], taken = with_float64(answer, estimate, largest, increments, sides)
            in_float64[answer.name] = taken, answer
    return Look(
        plan, coordinates, reports, missing, true, own, (*answers, increments), oracle, evaluated,
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
