"""One look at the derivatives of a function in some inputs: what JAX reports and what the program says, as answers.

Derivatives are (combinations, inputs) arrays up to here, each times the weight of its combination. An answer is a flat
vector of the same, without these weights, with an error bound for each entry. A second look, with XLA's default
compilation or at more inputs, is another call with another plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.bounds.program_bound import floor_of, largest_in_block
from harness.bounds.tolerances import MEANT, NO_DIGIT
from harness.checks.traced.derivative_case import INCREMENTS
from harness.checks.traced.low_precision import estimate_in_float64, with_float64
from harness.checks.traced.measured_point import Plan, Point, ordinary_derivative
from harness.checks.traced.program_derivatives import Slopes, measure_slopes
from harness.checks.traced.real_coordinates import Coordinates, Estimate, UnitVectors
from harness.checks.traced.reported_derivatives import (
    Reported,
    allow_conventions,
    bound_modes,
    evaluate_modes,
    judge_not_finite,
)
from harness.checks.traced.rounding_bounds import Scope
from harness.facts.fact import Fact
from harness.verdict.comparison import Answer, Block
from reference.arithmetics.roundoff import UNIT_ROUNDOFF


@dataclass(frozen=True, eq=False)
class Look:
    """One look at some inputs: what JAX reports there, and what the increments say."""

    plan: Plan
    coordinates: Coordinates
    reports: Mapping[str, Reported]
    missing: Mapping[str, Fact]  # why modes are missing
    # The program's own derivatives, (combinations, inputs), of many inputs (combinations, examined). At a kink every
    # value between both sides is right: this is the one that is closest to what the first mode reports. The error is
    # infinite in inputs that are not examined.
    true: Estimate
    slopes: Slopes  # the same on both sides, (combinations, examined)
    ordinary: float  # a size of the derivative that is not small: blocks of far smaller ones are compared absolutely
    own: tuple[Answer, ...]  # JAX's own numbers, and the reference gradient
    judged: tuple[Answer, ...]  # the same, replaced by the evaluation in float64 where that decides more
    increments: Answer
    roundings: Mapping[str, np.ndarray]  # by mode: how far rounding may move its numbers, without that allowance
    float64_derivatives: Mapping[str, np.ndarray]  # each mode evaluated in float64, where that is possible
    replaced: Mapping[str, np.ndarray]  # by mode: a mask of where its evaluation is judged
    is_outside: np.ndarray  # mask of the coordinates outside of the function's domain, where NaN is right
    in_all_inputs: Mapping[str, Estimate]  # of many inputs, what is judged in all of them


def look_at_inputs(point: Point, plan: Plan, reference: Reported | None) -> Look:
    """Ask the modes, find the true derivatives in the examined inputs, and bound the errors of what is reported."""
    products, missing = evaluate_modes(point, plan)
    reported = [found.derivative for found in products.values()]
    reported += [reference.estimate.derivative] if reference else []
    true, slopes = find_true_derivatives(point, plan, reported)
    terms = lambda: np.abs(point.combinations.cotangents[:, None]) * point.terms()  # noqa: E731
    coordinates = _coordinates(point, plan)
    is_judged = point.is_known[:, None] & (coordinates.is_examined | (plan.whole is not None))
    by_jax = slopes.sides.obstacles.by_jax
    scope = Scope(coordinates.blocks, point.program.coarsest, is_judged, terms, by_jax)
    # the bound of the increments stands for a mode's own, unless two modes may contradict each other within it: where
    # it is wide, but for solvers that report the same; or at a kink, where each may have a convention of its own
    apart = [Estimate(reported[0], np.abs(derivative - reported[0])) for derivative in reported[1:]]
    are_solvers = all(mode.has_solver for mode in plan.modes if mode.name in products)
    is_same = (are_solvers or not apart) and not any(map(scope.is_wide, apart))
    may_borrow = (is_same or not scope.is_wide(true)) and not slopes.kinks.any()
    may_borrow &= plan.whole is not None or not point.case.is_large  # else increments know only some inputs
    reports, missing_after = bound_modes(point, products, true, scope, may_borrow=may_borrow)
    reports |= {reference.name: reference} if reference else {}
    return _answer(point, plan, reports, {**missing, **missing_after}, true, slopes)


def look_at_more_inputs(point: Point, look: Look, examined: np.ndarray) -> Look:
    """The same reports, compared with the true derivatives in other inputs."""
    plan = replace(look.plan, examined=examined)
    reported = [found.estimate.derivative for found in look.reports.values()]
    return _answer(point, plan, look.reports, look.missing, *find_true_derivatives(point, plan, reported))


def judge_again(point: Point, look: Look) -> Look:
    """The same reports and true derivatives, judged at a point whose case accepts other errors."""
    if point.case.is_large:  # the true derivatives in all inputs are not kept
        return look_at_more_inputs(point, look, look.plan.examined)
    return _answer(point, look.plan, look.reports, look.missing, look.true, look.slopes)


def _coordinates(point: Point, plan: Plan) -> Coordinates:
    inputs = point.case.inputs
    is_examined = np.isin(np.arange(inputs.size), plan.examined)
    return Coordinates(inputs, point.combinations, point.program.point, is_examined, inputs.size)


def find_true_derivatives(point: Point, plan: Plan, reported: Sequence[np.ndarray]) -> tuple[Estimate, Slopes]:
    """The increments' derivatives in the examined inputs; at a kink, of all conventions the one closest to JAX's.

    Elsewhere those of the reverse pass in float64, where there are any.
    """
    examined, size, coordinates = plan.examined, point.case.inputs.size, _coordinates(point, plan)
    reported = [derivative[:, examined] for derivative in reported]
    slopes = measure_slopes(point, UnitVectors(examined, size), reported, coordinates.select(examined).blocks)
    mean, half_gap, error = slopes.sides.mean, slopes.sides.half_gap, slopes.error
    # one convention for all modes; `allow_conventions` lets each other mode have its own
    first = next(iter(reported), mean)
    # |x| at 0 has the slopes -1 and 1: JAX's 1 is right, and so would 0 be; NaN is not, and is compared with the mean
    nearest = np.clip(np.where(np.isnan(first), mean, first), mean - half_gap, mean + half_gap)
    shape = len(point.combinations), size
    estimate = Estimate(np.full(shape, np.nan), np.full(shape, np.inf))
    if plan.whole is not None:
        rounding = floor_of(plan.whole, coordinates.blocks, UNIT_ROUNDOFF["float64"])
        estimate.derivative[0], estimate.error[0] = plan.whole, rounding
    # increments have the last word in the inputs that are examined
    estimate.derivative[:, examined] = np.where(half_gap > 0.0, nearest, mean)
    estimate.error[:, examined] = np.where(np.isfinite(mean), error, np.inf)
    return estimate, slopes


def _answer(
    point: Point,
    plan: Plan,
    reports: Mapping[str, Reported],
    missing: Mapping[str, Fact],
    true: Estimate,
    slopes: Slopes,
) -> Look:
    """What is reported and what is true, as answers in the coordinates that are compared."""
    coordinates, examined, is_large = _coordinates(point, plan), plan.examined, point.case.is_large
    blocks, both = coordinates.blocks, slopes.sides.both
    selected = examined if is_large else slice(None)  # of many inputs, answers are kept of these alone
    # what has no finite value, or one that JAX and the interpreter disagree on, is not judged
    known = true
    if not point.is_known.all():
        known = known._replace(error=np.where(point.is_known[:, None], known.error, np.inf))
    bounded = {name: allow_conventions(x.estimate, true, both, examined) for name, x in reports.items()}
    finite = {name: judge_not_finite(point, estimate, known) for name, estimate in bounded.items()}
    own = tuple(point.answer(name, estimate, blocks).at(selected) for name, estimate in finite.items())
    increments = point.answer(INCREMENTS, known, blocks).at(selected)
    evaluated = {
        name: in_float64(point, report.float64_runs, bounded[name].error, blocks, examined)
        for name, report in reports.items()
        if isinstance(report.float64_runs, np.ndarray)
    }
    # in a coarse type, the rule's evaluation in float64 is judged wherever it decides more
    sides = point.combinations.per_output(both)
    taken = {a.name: with_float64(a, *evaluated[a.name], increments, sides) for a in own if a.name in evaluated}
    return Look(
        plan=plan,
        coordinates=coordinates.select(examined) if is_large else coordinates,
        reports=reports,
        missing=missing,
        true=Estimate(*(x[:, selected] for x in known)),
        slopes=slopes,
        ordinary=ordinary_derivative(point, both),
        own=own,
        judged=tuple(taken[answer.name][0] if answer.name in taken else answer for answer in own),
        increments=increments,
        roundings={name: point.combinations.per_output(x).error[selected] for name, x in bounded.items()},
        float64_derivatives={name: estimate.derivative for name, (estimate, _) in evaluated.items()},
        replaced={name: is_taken for name, (_, is_taken) in taken.items()},
        is_outside=_outside([estimate.derivative for estimate in bounded.values()], point.is_outside),
        in_all_inputs=finite if is_large else {},
    )


def in_float64(
    point: Point, runs: np.ndarray, error: np.ndarray, blocks: Sequence[Block], examined: np.ndarray
) -> tuple[Estimate, np.ndarray]:
    """A mode's evaluation in float64 in the examined inputs, and what a right rule may be off by there.

    That is a share of the largest derivative in the block, `MEANT`, for constants and series that end where rounding
    begins. Beside a derivative of 1, so much would hide the whole of one of 1e-5 in float32. So an entry is allowed no
    more than the largest of these: its own rounding error times `MEANT`/u, a tenth of it (which leaves one digit), and
    `MEANT` times the function's terms over its argument.
    """
    unit, share = point.program.coarsest, MEANT[point.program.precision]
    derivative, rounding = point.combinations.per_output(Estimate(runs[0], error))
    of_entry = np.max([share / unit * rounding, NO_DIGIT * np.abs(derivative), share * point.own_terms.ravel()], axis=0)
    tolerance = np.fmin(share * largest_in_block(derivative, blocks), of_entry).reshape(error.shape)
    estimate = estimate_in_float64(runs[..., examined], error[:, examined], unit)
    return point.combinations.per_output(estimate), tolerance[:, examined].ravel()


def _outside(derivatives: Sequence[np.ndarray], is_nowhere: np.ndarray) -> np.ndarray:
    """Coordinates that are rightly NaN, a mask: all of combinations that are NaN, and inputs that make them so.

    With f(x) = (log x₀, x₀ + x₁) at x₀ = -1, JAX multiplies NaN by zero, and so reports NaN for the second output, too.
    Empty where some mode reports nothing but numbers for the derivatives of an output that is NaN.
    """
    shape = len(is_nowhere), derivatives[0].shape[1] if derivatives else 1
    mask = np.broadcast_to(is_nowhere[:, None], shape)
    for broken in (~np.isfinite(derivative) for derivative in derivatives):
        if not broken[is_nowhere].any(axis=1).all():
            return np.zeros(mask.size, bool)
        mask = mask | (broken[is_nowhere].any(axis=0) & broken[~is_nowhere].any(axis=0))
    return mask.ravel()
