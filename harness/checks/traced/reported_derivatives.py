"""What JAX's modes report, with an error bound for each number and, in coarse types, its evaluation in float64.

A mode is a linear map of its vectors: a VJP of its cotangents, a JVP of its tangents. So beside the derivatives it is
also evaluated for sums of multiples of these vectors, which shows a rule that is no linear map, such as one that clips
its cotangent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np

from harness.bounds.program_bound import floor_of, largest_in_block
from harness.bounds.tolerances import DERIVATIVE_ROUNDINGS, GRADIENT_ROUNDINGS, MEANT, SPREAD_FACTOR
from harness.checks.random_directions import random_directions
from harness.checks.traced.derivative_case import REFERENCE
from harness.checks.traced.jax_modes import Mode, ModeMissing
from harness.checks.traced.low_precision import estimate_in_float64, evaluate_in_float64
from harness.checks.traced.measured_point import Plan, Point, has_overflowed
from harness.checks.traced.real_coordinates import Estimate, Sides
from harness.checks.traced.rounding_bounds import BORROWED, Bound, ModeDerivatives, Request, Scope, bound_of_mode
from harness.checks.traced.traced_programs import has_rules
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.arithmetics.array_pieces import pieces
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.equations import unit_roundoff
from reference.traced.interpreter import Run
from reference.traced.random_rounding import COARSE

OPPOSITE, OPPOSITE_OF_HALVES = 2.0**20, 4.0
"""A mode is also evaluated for minus so many times the sum of all vectors. A rule that takes |g| for g or clips g at 10
is not linear there. 16-bit types have too few digits for such a factor, and float16 too small a range: there the rule's
evaluation in float64 shows what is not linear."""


class Products(NamedTuple):
    """A mode's products with the Jacobian for each vector, and for sums of multiples of them."""

    mode: Mode
    request: Request
    derivative: np.ndarray  # (combinations, inputs) array
    shares: np.ndarray  # (sums, vectors) array: the multiples in each sum; those of the first, if any, are large
    sums: np.ndarray  # (sums, size) array: the mode's products for these sums


@dataclass(frozen=True, eq=False)
class Reported:
    """What a mode, or a reference gradient, reports."""

    name: str
    estimate: Estimate  # (combinations, inputs), or (combinations, directions)
    bound_kinds: frozenset[str] = frozenset()  # kinds of the error bound
    # its evaluations in float64, (runs, combinations, inputs); why none is compared; or None where none is needed
    float64_runs: np.ndarray | Fact | None = None
    by_solvers: float = 0.0  # how far a finer tolerance of its solvers moves it, as a share of the largest derivative
    is_linear: bool = True  # in its vectors
    is_same_batched: bool = True  # whether it reports the same without `jax.vmap`

    def at(self, inputs: np.ndarray) -> "Reported":
        runs = self.float64_runs
        return replace(
            self,
            estimate=Estimate(*(x[:, inputs] for x in self.estimate)),
            float64_runs=runs[..., inputs] if isinstance(runs, np.ndarray) else runs,
        )


def request_for(point: Point, mode: Mode, along: np.ndarray | None) -> Request:
    """Reverse mode: the weights of the combinations. Forward mode: directions, by default along each input."""
    if mode.name == "reverse":
        return Request(point.combinations.weights, None)
    return Request(np.eye(point.case.inputs.size) if along is None else along, point.combinations.weights)


def evaluate_modes(
    point: Point, plan: Plan, along: np.ndarray | None = None
) -> tuple[dict[str, Products], dict[str, Fact]]:
    """The products of each mode, and why a mode is missing. For many inputs, forward mode needs directions."""
    found, missing = {}, {}
    for mode in plan.modes:
        # a tangent for each of a million inputs would cost a million JVPs
        if mode.name == "forward" and point.case.is_large and along is None:
            continue
        try:
            found[mode.name] = _products(point, mode, request_for(point, mode, along))
        except ModeMissing as reason:
            missing[mode.name] = reason.fact
    return found, missing


def _products(point: Point, mode: Mode, request: Request) -> Products:
    """A mode's products for the vectors of a request and for sums of their multiples, in one batch."""
    vectors, weights = request
    shares = _shares(point, len(vectors), is_half=point.program.coarsest > COARSE)
    together = np.concatenate([vectors, shares @ vectors]) if len(shares) else vectors
    found = mode.products(together, weights)
    derivative, sums = np.split(found, [len(vectors)], request.axis)
    return Products(mode, request, derivative, shares, np.moveaxis(sums, request.axis, 0))


def _shares(point: Point, count: int, *, is_half: bool) -> np.ndarray:
    """The multiples of so many vectors in each sum for which a mode is evaluated, too; none of many inputs."""
    times = OPPOSITE_OF_HALVES if is_half else OPPOSITE
    # minus a large multiple of all vectors: a rule that ignores signs or clips is not linear there
    shares = -times * np.abs(random_directions(0 if point.case.is_large else 1, count, point.case.seed + 6))
    if len(shares) and not is_half and has_rules(point.case.program):
        # and small multiples, from u up to √u: a rule that drops what is small, such as |g| < 1e-6, is not linear there
        unit = min(point.program.coarsest, UNIT_ROUNDOFF["float32"])
        shares = np.vstack([shares, unit ** np.linspace(1.0, 0.5, count)])
    return shares


def report_reference(point: Point, gradient: Sequence[Any]) -> Reported:
    """A reference gradient of the one output, good to some roundings of its largest entry.

    Raises ValueError when the function has several outputs.
    """
    if point.case.outputs.size != 1:
        raise ValueError(f"a reference gradient goes with one real output, and f returns {point.case.outputs.size}")
    weight, vector = point.combinations.weights[0, 0], point.case.inputs.vector(gradient, conjugate=True)[None]
    # a gradient by hand may be computed in float32 throughout, or only be returned so
    unit = max(unit_roundoff(np.asarray(leaf).dtype) for leaf in gradient)
    error = GRADIENT_ROUNDINGS * max(unit, point.program.coarsest) * np.abs(vector).max(initial=0.0)
    return Reported(REFERENCE, Estimate(weight * vector, np.full(vector.shape, abs(weight) * error)))


def bound_modes(
    point: Point, products: Mapping[str, Products], true: Estimate, scope: Scope, *, may_borrow: bool
) -> tuple[dict[str, Reported], dict[str, Fact]]:
    """Error bounds for the products of the modes, and why a mode is missing after all.

    A mode whose products lie within the error bound of the increments has that bound, unless these are of a 16-bit
    type, where the evaluation in float64 decides more. `may_borrow` is false where increments know only some inputs; at
    a kink, where they follow one of several conventions; and where their bound is so wide that two modes within it
    contradict each other.
    """
    borrows, found, missing = may_borrow and point.program.coarsest < COARSE, {}, {}
    for name, own in products.items():
        derivatives = ModeDerivatives(point, own.mode, own.request, own.derivative, true, scope)
        try:
            found[name] = _report_mode(derivatives, own, borrows=borrows)
        except ModeMissing as reason:
            missing[name] = reason.fact
    return found, missing


def _report_mode(derivatives: ModeDerivatives, products: Products, *, borrows: bool) -> Reported:
    """One mode's products with their error bound, and evaluated in float64 where the program is coarser."""
    point, mode, request, reported, true, scope = derivatives
    bound, by_solvers = bound_of_mode(derivatives, borrows=borrows)
    unit, runs = point.program.coarsest, None
    if unit > UNIT_ROUNDOFF["float64"] and not _decides(derivatives, bound):

        def is_enough(runs: np.ndarray) -> bool:  # the evaluation is what increments say, within its own error
            estimate = estimate_in_float64(runs, bound.error, unit)
            return scope.covers((true.error, estimate.error), estimate.derivative, true)

        if scope.by_jax:
            runs = note(Kind.OWN_PRECISION_ONLY, *sorted(scope.by_jax), because="jax-alone")
        else:
            runs = evaluate_in_float64(mode, request, point.program.traced, point.case.seed, is_enough)
    estimate, is_same_batched = Estimate(reported, bound.error), True
    is_linear = _is_linear(derivatives, products, estimate, unit)
    if has_rules(point.case.program):  # JAX's own rules are linear, and the same with jax.vmap and without
        is_same_batched = _is_same_batched(derivatives, products, estimate)
        if isinstance(runs, np.ndarray) and unit > COARSE and len(products.shares):
            is_linear &= _is_linear_in_float64(derivatives, products, runs[0], bound.error)
    # what a solver computes is linear, and the same without `jax.vmap`, up to its tolerance, which its own bound allows
    if BORROWED in bound.kinds and mode.has_solver and not (is_linear and is_same_batched):
        return _report_mode(derivatives, products, borrows=False)
    return Reported(mode.name, estimate, bound.kinds, runs, by_solvers, is_linear, is_same_batched)


def _decides(derivatives: ModeDerivatives, bound: Bound) -> bool:
    """Whether the numbers in a coarse type decide as much as the rule's evaluation in float64 would.

    They do where they are as close to the increments as these are good. Of many inputs, whose evaluation costs memory,
    they do, too, where they show an error, or their bounds are within what a right rule may be off by in float64.
    """
    point, blocks = derivatives.point, derivatives.scope.blocks
    is_decided = BORROWED in bound.kinds or bound.shows_error
    if is_decided or not point.case.is_large:
        return is_decided
    floor, share = point.smallest_error(derivatives.reported, blocks), MEANT.get(point.program.precision, 0.0)
    largest = largest_in_block(derivatives.reported.ravel(), blocks)
    parts = pieces(bound.error.ravel(), floor.ravel(), largest)
    is_narrow = all(bool((error + least <= share * size).all()) for error, least, size in parts)
    return is_narrow and derivatives.are_covered_with_digits(floor, bound.error)


def _is_same_batched(derivatives: ModeDerivatives, products: Products, estimate: Estimate) -> bool:
    """Whether a mode reports the same without `jax.vmap`, for a sum of all vectors, or for the first one."""
    (vectors, weights), shares = derivatives.request, products.shares
    share = shares[0] if len(shares) else np.eye(1, len(vectors))[0]
    single = derivatives.mode.unbatched_product(share @ vectors, weights)
    if single is None:
        return True
    each, error = _by_vector(derivatives, estimate, derivatives.point.program.coarsest)
    allowed = 2.0 * (np.abs(share) @ error + error[0])
    return not np.any(np.abs(single - (products.sums[0] if len(shares) else each[0])) > allowed)


def _by_vector(derivatives: ModeDerivatives, estimate: Estimate, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """The products for each vector, (vectors, ...), and what rounding explains of each, with some of the largest."""
    flat, blocks, axis = estimate.derivative.ravel(), derivatives.scope.blocks, derivatives.request.axis
    floor = floor_of(flat, blocks, unit) + derivatives.point.case.accuracy * largest_in_block(flat, blocks)
    error = estimate.error + floor.reshape(estimate.error.shape)
    return np.moveaxis(estimate.derivative, axis, 0), np.moveaxis(error, axis, 0)


def _is_linear(derivatives: ModeDerivatives, products: Products, estimate: Estimate, unit: float) -> bool:
    """Whether products for sums of vectors are the sums of theirs, within rounding. What overflows shows nothing."""
    if not len(products.shares):
        return True
    each, error = _by_vector(derivatives, estimate, unit)
    size = np.abs(products.shares)
    tiny = np.finfo(np.float32 if unit > UNIT_ROUNDOFF["float64"] else np.float64).tiny  # smaller numbers underflow
    # errors of the products that are added up here, and of the one for their sum, which scales with it
    allowed = size @ (error + DERIVATIVE_ROUNDINGS * unit * np.abs(each)) + size @ error + tiny
    off = np.abs(products.sums - products.shares @ each)
    is_off = np.any(np.isfinite(products.sums) & (off > 2.0 * allowed), axis=1)
    # a solver with an absolute tolerance stops at once where all that it is given is small: only large sums count
    return not (is_off[:1] if derivatives.mode.may_stop_early else is_off).any()


def _is_linear_in_float64(
    derivatives: ModeDerivatives, products: Products, derivative: np.ndarray, error: np.ndarray
) -> bool:
    """Whether a mode's evaluation in float64 is linear. `error` bounds the roundings in the program's own types."""
    unit, (vectors, weights) = UNIT_ROUNDOFF["float64"], derivatives.request
    shares = _shares(derivatives.point, len(vectors), is_half=False)
    found = derivatives.mode.by_run(Run(), shares @ vectors, weights, is_wide=True)
    sums = np.moveaxis(found, derivatives.request.axis, 0)
    products = products._replace(derivative=derivative, shares=shares, sums=sums)
    estimate = Estimate(derivative, SPREAD_FACTOR * unit / derivatives.mode.coarsest * error)
    return _is_linear(derivatives, products, estimate, unit)


def allow_conventions(estimate: Estimate, true: Estimate, sides: Sides, examined: np.ndarray) -> Estimate:
    """An estimate that may differ from the increments where both lie between the two sides of a kink.

    |x| at 0 has the slopes -1 and 1. The increments are taken to be what the first mode reports, say 1, and a second
    mode that reports 0 is as right.
    """
    mean, half_gap = sides
    found, own_error = (x[:, examined] for x in estimate)
    expected, error = (x[:, examined] for x in true)
    is_between = (half_gap > 0.0) & (np.abs(found - mean) <= half_gap + (own_error + error))
    if not is_between.any():
        return estimate
    # an error of the size of the difference makes the two agree, and decides nothing where both are convention
    error = estimate.error.copy()
    error[:, examined] += np.where(is_between, np.abs(found - expected), 0.0)
    return Estimate(estimate.derivative, error)


def judge_not_finite(point: Point, estimate: Estimate, true: Estimate) -> Estimate:
    """An estimate whose NaN and infinities have error 0 where the true derivative fits into its type: they are wrong.

    Where an output is not finite itself, they have an infinite error, and are not judged. JAX multiplies the slope of
    an input outside of the domain by zero for all other outputs, and zero times NaN is NaN: nor are these judged. An
    output that merely overflows is inside its domain, and so excuses its own derivatives alone.
    """
    largest = min(float(jax.numpy.finfo(dtype).max) for dtype in point.case.inputs.dtypes)
    broken = ~np.isfinite(estimate.derivative)
    if not broken.any():
        return estimate
    of_unknown = broken & ~point.is_known[:, None]
    of_outside = of_unknown
    if of_unknown.any():
        is_inside = np.isfinite(point.computed) | has_overflowed(point.program, point.computed)
        of_outside = of_unknown & ~((point.combinations.weights == 0.0) | is_inside).all(axis=1)[:, None]
    fits = np.isfinite(true.error) & (np.abs(true.derivative) < largest)
    accepted = of_unknown | (broken & of_outside.any(axis=0))
    return Estimate(estimate.derivative, np.select([accepted, broken & fits], [np.inf, 0.0], estimate.error))
