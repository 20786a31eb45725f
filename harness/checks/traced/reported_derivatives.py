"""What JAX's modes report, with an error bound for each number and, in coarse types, its evaluation in float64."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from harness.bounds.program_bound import floor_of, largest_in_block
from harness.bounds.tolerances import DERIVATIVE_ROUNDINGS, GRADIENT_ROUNDINGS, MEANT, SPREAD_FACTOR
from harness.checks.random_directions import random_directions
from harness.checks.traced.derivative_case import REFERENCE, Plan, Point, has_overflowed
from harness.checks.traced.jax_modes import Mode, ModeMissing
from harness.checks.traced.low_precision import (
    BORROWED,
    Request,
    Scope,
    bound_of_mode,
    estimate_in_float64,
    evaluate_in_float64,
)
from harness.checks.traced.program_at_point import Obstacles
from harness.checks.traced.real_coordinates import Estimate, Sides
from harness.checks.traced.traced_programs import has_rules
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Block
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.eager_run import InOwnTypes
from reference.traced.equations import unit_roundoff
from reference.traced.interpreter import Run
from reference.traced.random_rounding import COARSE

OPPOSITE, OPPOSITE_OF_HALVES = 2.0**20, 4.0
"""A mode is also evaluated for minus so many times the sum of all vectors. A rule that ignores signs or clips its
cotangent is not linear there. Half of a float has too few digits for a large factor, and for small ones: there the
rule's evaluation in float64 shows it."""


class Products(NamedTuple):
    """A mode's products with the Jacobian for each vector, and for sums of multiples of them."""

    derivative: np.ndarray  # (combinations, inputs) array
    shares: np.ndarray  # (sums, vectors) array: the multiples in each sum; the first, if any, is far away
    sums: np.ndarray  # (sums, size) array


class Linearity(NamedTuple):
    """Whether a mode is linear in its vectors, and whether it reports the same without `jax.vmap`."""

    is_linear: bool = True
    is_same_batched: bool = True


@dataclass(frozen=True, eq=False)
class Reported:
    """What a mode, or a reference gradient, reports."""

    name: str
    estimate: Estimate  # (combinations, inputs), or (combinations, directions)
    bound_kinds: frozenset[str] = frozenset()  # kinds of the error bound
    # array, Fact or None: its evaluations in float64, why there are none, or None where they are not needed
    float64_runs: np.ndarray | Fact | None = None
    by_solvers: float = 0.0  # how far a finer tolerance of its solvers moves it, as a share of the largest derivative
    linearity: Linearity = field(default_factory=Linearity)
    is_compiled_right: bool = True  # false where its program is right and the machine code is not


def request_for(point: Point, mode: Mode, along: np.ndarray | None) -> Request:
    """Reverse mode: the weights of the combinations. Forward mode: directions, by default along each input."""
    if mode.name == "reverse":
        return Request(point.combinations.weights, None)
    return Request(np.eye(point.case.inputs.size) if along is None else along, point.combinations.weights)


def ask_modes(point: Point, plan: Plan, along: np.ndarray | None = None) -> tuple[dict[str, Products], dict[str, Fact]]:
    """The products of each mode, and why a mode is missing. For many inputs, forward mode needs directions."""
    found, missing = {}, {}
    for mode in plan.modes:
        if mode.name == "forward" and point.case.is_large and along is None:
            continue
        try:
            found[mode.name] = _products(point, mode, request_for(point, mode, along), plan.quickly)
        except ModeMissing as reason:
            missing[mode.name] = reason.fact
    return found, missing


def _products(point: Point, mode: Mode, request: Request, quickly: bool) -> Products:
    vectors, weights = request
    shares = _shares(point, len(vectors), is_half=point.program.coarsest > COARSE)
    axis = 0 if weights is None else 1
    found = mode.products(np.concatenate([vectors, shares @ vectors]), weights, quickly=quickly)
    derivative, sums = np.split(found, [len(vectors)], axis)
    return Products(derivative, shares, np.moveaxis(sums, axis, 0))


def _shares(point: Point, count: int, *, is_half: bool) -> np.ndarray:
    """The multiples of so many vectors in each sum for which a mode is evaluated, too; none of many inputs."""
    times = OPPOSITE_OF_HALVES if is_half else OPPOSITE
    # minus the sum of all vectors, far away: rules that ignore signs or clip differ there
    shares = -times * np.abs(random_directions(0 if point.case.is_large else 1, count, point.case.seed + 6))
    if len(shares) and not is_half and has_rules(point.case.program):
        # and small ones, from √u down to u: rules that drop what is small, by itself or beside others, differ there
        unit = min(point.program.coarsest, UNIT_ROUNDOFF["float32"])
        shares = np.vstack([shares, unit ** np.linspace(1.0, 0.5, count)])
    return shares


def report_reference(point: Point, gradient: Sequence[Any]) -> Reported:
    """A reference gradient of the one output, good to some roundings of its largest entry.

    Raises
    ------
    ValueError
        When the function has several outputs.
    """
    if point.case.outputs.size != 1:
        raise ValueError(f"a reference gradient goes with one real output, and f returns {point.case.outputs.size}")
    weight, vector = point.combinations.weights[0, 0], point.case.inputs.vector(gradient, conjugate=True)[None]
    unit = max(unit_roundoff(np.asarray(leaf).dtype) for leaf in gradient)
    error = GRADIENT_ROUNDINGS * max(unit, point.program.coarsest) * np.abs(vector).max(initial=0.0)
    return Reported(REFERENCE, Estimate(weight * vector, np.full(vector.shape, abs(weight) * error)))


@np.errstate(all="ignore")
def bound_modes(
    point: Point,
    plan: Plan,
    products: Mapping[str, Products],
    true: Estimate,
    scope: Scope,
    *,
    may_borrow: bool,
    along: np.ndarray | None = None,
) -> tuple[dict[str, Reported], dict[str, Fact]]:
    """Error bounds for the products of the modes, and why a mode is missing after all.

    A mode whose products lie within the error bound of the increments has that bound, with three exceptions. In 16-bit
    types the evaluation in float64 decides more. Of many inputs, some may not be known. And `may_borrow`
    is false at a kink, where increments follow one of several conventions, and where their bound is so wide that two
    modes within it may contradict each other.
    """
    is_known = along is not None or plan.whole is not None or not point.case.is_large
    borrows = may_borrow and point.program.coarsest < COARSE and is_known
    found, missing = {}, {}
    for mode in (mode for mode in plan.modes if mode.name in products):
        request = request_for(point, mode, along)
        try:
            found[mode.name] = _bound(point, mode, request, products[mode.name], true, scope, borrows)
        except ModeMissing as reason:
            missing[mode.name] = reason.fact
    return found, missing


def _bound(
    point: Point,
    mode: Mode,
    request: Request,
    products: Products,
    true: Estimate,
    scope: Scope,
    borrows: bool,
) -> Reported:
    """One mode's products with their error bound, and evaluated in float64 where the program is coarser."""
    bound, by_solvers = bound_of_mode(point, mode, request, products.derivative, true, scope, borrows=borrows)
    unit = point.program.coarsest
    floor = floor_of(products.derivative.ravel(), scope.blocks, unit).reshape(bound.error.shape)

    def is_right(derivative: np.ndarray) -> bool:
        return scope.covers(true.error + bound.error + floor, np.abs(derivative - true.derivative))

    is_compiled_right, is_borrowed = True, BORROWED in bound.kinds
    if not is_borrowed and not is_right(products.derivative) and is_right(mode.by_run(Run(), *request)):
        # XLA without its slow passes may compute a number twice, with other roundings; with them, as for a caller
        products = _products(point, mode, request, quickly=False)
        is_compiled_right = is_right(products.derivative) or not is_right(mode.by_run(InOwnTypes(), *request))
    # of many inputs, only where a rule's formula may be compared more closely in float64
    runs, largest = None, largest_in_block(products.derivative.ravel(), scope.blocks)
    tolerance = MEANT.get(point.program.precision, 0.0) * largest
    decides = is_borrowed or (
        point.case.is_large
        and bool(((bound.error + floor).ravel() <= tolerance).all())
        and scope.leaves_digits(true.error + bound.error, products.derivative, true, unit)
    )
    if not decides and unit > UNIT_ROUNDOFF["float64"]:

        def is_enough(runs: np.ndarray) -> bool:  # to be the increments' answer, beside its error
            estimate = estimate_in_float64(runs, bound.error, unit)
            return scope.covers(true.error + estimate.error, np.abs(estimate.derivative - true.derivative))

        runs = evaluate_in_float64(mode, request, point.program.traced, point.case.seed, is_enough)
    estimate = Estimate(products.derivative, bound.error)
    linearity = _find_linearity(point, mode, request, products, estimate, scope.blocks)
    if isinstance(runs, np.ndarray) and unit > COARSE and len(products.shares) and has_rules(point.case.program):
        is_linear = linearity.is_linear and _is_linear_in_float64(point, mode, request, runs[0], bound.error, scope)
        linearity = linearity._replace(is_linear=is_linear)
    return Reported(mode.name, estimate, bound.kinds, runs, by_solvers, linearity, is_compiled_right)


@np.errstate(all="ignore")
def _find_linearity(
    point: Point, mode: Mode, request: Request, products: Products, estimate: Estimate, blocks: Sequence[Block]
) -> Linearity:
    """Whether a mode is linear, and whether it reports the same without `jax.vmap`."""
    (vectors, weights), unit = request, point.program.coarsest
    is_linear = _is_linear(mode, products, estimate, blocks, unit, point.case.accuracy)
    if not has_rules(point.case.program):  # JAX's own rules are the same with jax.vmap and without
        return Linearity(is_linear)
    each, error = _by_vector(mode, estimate, blocks, unit, point.case.accuracy)
    shares = products.shares
    share, batched = (shares[0], products.sums[0]) if len(shares) else (np.eye(1, len(vectors))[0], each[0])
    single = mode.unbatched_product(share @ vectors, weights)
    allowed = 2.0 * (np.abs(share) @ error + error[0])
    return Linearity(is_linear, single is None or not np.any(np.abs(single - batched) > allowed))


def _by_vector(
    mode: Mode, estimate: Estimate, blocks: Sequence[Block], unit: float, accuracy: float
) -> tuple[np.ndarray, np.ndarray]:
    """The products for each vector, (vectors, ...), and what rounding explains of each, with some of the largest."""
    flat, (derivative, error) = estimate.derivative.ravel(), estimate
    floor = floor_of(flat, blocks, unit) + accuracy * largest_in_block(flat, blocks)
    axis = 0 if mode.name == "reverse" else 1
    return np.moveaxis(derivative, axis, 0), np.moveaxis(error + floor.reshape(error.shape), axis, 0)


def _is_linear(
    mode: Mode, products: Products, estimate: Estimate, blocks: Sequence[Block], unit: float, accuracy: float
) -> bool:
    """Whether products for sums of vectors are the sums of theirs, within rounding. What overflows shows nothing."""
    each, error = _by_vector(mode, estimate, blocks, unit, accuracy)
    size = np.abs(products.shares)
    tiny = np.finfo(np.float32 if unit > UNIT_ROUNDOFF["float64"] else np.float64).tiny  # smaller numbers underflow
    allowed = size @ (error + DERIVATIVE_ROUNDINGS * unit * np.abs(each)) + size @ error + tiny
    off = np.abs(products.sums - products.shares @ each)
    is_off = np.any(np.isfinite(products.sums) & (off > 2.0 * allowed), axis=1)
    # a solver with an absolute tolerance stops at once where all that it is given is small
    return not (is_off[:1] if mode.may_stop_early else is_off).any()


def _is_linear_in_float64(
    point: Point, mode: Mode, request: Request, derivative: np.ndarray, error: np.ndarray, scope: Scope
) -> bool:
    """Whether a mode's evaluation in float64 is linear. `error` bounds the roundings in the program's own types."""
    unit, (vectors, weights) = UNIT_ROUNDOFF["float64"], request
    shares = _shares(point, len(vectors), is_half=False)
    found = mode.by_run(Run(), shares @ vectors, weights, is_wide=True)
    sums = np.moveaxis(found, 0 if mode.name == "reverse" else 1, 0)
    estimate = Estimate(derivative, SPREAD_FACTOR * unit / point.program.coarsest * error)
    return _is_linear(mode, Products(derivative, shares, sums), estimate, scope.blocks, unit, point.case.accuracy)


def comparable_runs(reported: Reported, obstacles: Obstacles, unit: float) -> np.ndarray | Fact | None:
    """The evaluations in float64, or why they cannot be compared: the increments may come from JAX's numbers, too."""
    by_jax = obstacles.in_own_precision | obstacles.taken_as_they_are
    if reported.float64_runs is None or not by_jax or unit <= UNIT_ROUNDOFF["float64"]:
        return reported.float64_runs
    return note(Kind.OWN_PRECISION_ONLY, *sorted(by_jax), because="jax-alone")


@np.errstate(invalid="ignore")  # of infinities
def allow_conventions(estimate: Estimate, true: Estimate, sides: Sides, examined: np.ndarray) -> Estimate:
    """An estimate that may differ from the increments where both lie between the two sides of a kink.

    There the increments follow the convention that is closest to the first report, and every other is as good.
    """
    mean, half_gap = sides
    found, off = estimate.derivative[:, examined], np.abs(estimate.derivative - true.derivative)[:, examined]
    is_between = (half_gap > 0.0) & (np.abs(found - mean) <= half_gap + (estimate.error + true.error)[:, examined])
    error = estimate.error.copy()
    error[:, examined] += np.where(is_between, off, 0.0)
    return Estimate(estimate.derivative, error)


def judge_not_finite(point: Point, estimate: Estimate, true: Estimate) -> Estimate:
    """An estimate whose NaN and infinities have error 0 where the true derivative fits into its type: they are wrong.

    Where an output is not finite itself, they have an infinite error. JAX multiplies the slope of an input outside of
    the domain by zero for all other outputs, and zero times NaN is NaN: such inputs are not compared. An output that
    merely overflows is inside its domain.
    """
    largest = min(float(jax.numpy.finfo(dtype).max) for dtype in point.case.inputs.dtypes)
    broken = ~np.isfinite(estimate.derivative)
    beyond = broken & ~point.is_known[:, None]
    outside = beyond
    if beyond.any():
        is_fine = np.isfinite(point.computed) | has_overflowed(point.program, point.computed)
        outside = beyond & ~((point.combinations.weights == 0.0) | is_fine).all(axis=1)[:, None]
    fits = np.isfinite(true.error) & (np.abs(true.derivative) < largest)
    # zero times NaN is NaN: an input outside of the domain spoils its column for all outputs
    accepted = beyond | (broken & outside.any(axis=0))
    return Estimate(estimate.derivative, np.select([accepted, broken & fits], [np.inf, 0.0], estimate.error))
