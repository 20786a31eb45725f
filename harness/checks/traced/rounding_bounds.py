"""How far rounding may move derivatives: error bounds of what a mode reports, and of what increments say.

A bound is *derived* by a running error analysis of the program where that leaves two thirds of the digits. Else it is
the *spread* of a few runs that round at random: 16 times the largest deviation. More runs widen a spread and never
narrow it, so no more are made than it takes to cover the difference. A mode whose numbers lie within the error bound of
the increments needs no bound of its own, and has *borrowed* theirs.

Derivatives are (combinations, inputs) arrays here, or (combinations, directions), in the weights of the combinations.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.program_bound import (
    few_roundings,
    is_wide,
    largest_in_block,
    no_less_than_typical,
    of_nothing_known,
    spread,
    widening_spreads,
)
from harness.bounds.tolerances import (
    ABSOLUTE,
    DERIVATIVE_ROUNDINGS,
    MEANINGLESS,
    NO_DIGIT,
    RANDOM_INCREMENTS,
    RANDOM_ROUNDINGS,
    SAMPLED_INPUTS,
)
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.measured_point import Point
from harness.checks.traced.one_sided import OneSided, rounded_slopes
from harness.checks.traced.program_at_point import ProgramAtPoint
from harness.checks.traced.real_coordinates import Estimate
from harness.checks.traced.traced_programs import has_rules
from harness.verdict.comparison import Block
from reference.arithmetics.array_pieces import in_pieces, pieces
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.interpreter import Run
from reference.traced.random_rounding import COARSE

ROUNDED_ARGUMENTS = 2
"""Runs of JAX's own code at arguments that are a rounding away, for very many inputs: where they do not cover the
difference, runs that round at random follow, which cost far more."""

DERIVED, SPREAD, BORROWED = "derived", "spread", "borrowed"
"""Kinds of bounds: derived, estimated by the spread of rounded runs, or taken from the increments."""


class Scope(NamedTuple):
    """Which derivatives are judged, and what they are small beside."""

    blocks: Sequence[Block]  # of all (combinations · inputs)
    unit: float  # u of the coarsest type in the function
    judged: np.ndarray  # (combinations, inputs) bool array: where f has a known value, and inputs are looked at
    # the size of the function's terms over that of its arguments, (combinations, inputs), or 0
    terms: Callable[[], np.ndarray | float] = lambda: 0.0
    by_jax: Collection[str] = ()  # what JAX alone computes: there increments have the digits of its type, and no more

    def covers(self, errors: Sequence[np.ndarray], reported: np.ndarray, true: Estimate) -> bool:
        """Whether the sum of error bounds covers all differences; NaN is not covered."""
        return all(
            bool((np.isfinite(error := sum(parts)) & (np.abs(found - expected) <= error))[judged].all())
            for judged, found, expected, *parts in pieces(self.judged, reported, true.derivative, *errors)
        )

    def is_wide(self, estimate: Estimate) -> bool:
        """Whether the error of some derivative leaves less than two thirds of its block's digits."""
        wide = is_wide(estimate.derivative.ravel(), estimate.error.ravel(), self.blocks, self.unit)
        return bool(wide[self.judged.ravel()].any())


class Bound(NamedTuple):
    """A bound on rounding errors, and of which kinds it is."""

    error: np.ndarray
    kinds: frozenset[str]
    shows_error: bool = False  # whether some number, of many, is beyond it


class Request(NamedTuple):
    """What a mode is evaluated for: vectors, and the weights of the outputs where it returns these (forward mode)."""

    vectors: np.ndarray
    weights: np.ndarray | None

    @property
    def axis(self) -> int:
        """The axis of the products that counts the vectors: VJPs are rows, JVPs columns."""
        return 0 if self.weights is None else 1


# -- what a mode reports ----------------------------------------------------------------------------------------------


class ModeDerivatives(NamedTuple):
    """The derivatives that a mode reports, and the true ones beside them."""

    point: Point
    mode: Mode
    request: Request
    reported: np.ndarray
    true: Estimate
    scope: Scope

    @property
    def rngs(self) -> Sequence[np.random.Generator]:
        return np.random.default_rng(self.point.case.seed).spawn(RANDOM_ROUNDINGS)

    def rounded_runs(self) -> Iterator[np.ndarray]:
        """The mode's program run without rounding, then rounded at random. A run is made when it is asked for."""
        return (self.mode.by_run(Run(rng, self.mode.coarsest), *self.request) for rng in (None, *self.rngs))

    def at(self, inputs: np.ndarray) -> "ModeDerivatives":
        return self._replace(
            reported=self.reported[:, inputs],
            true=Estimate(*(x[:, inputs] for x in self.true)),
            scope=self.scope._replace(judged=self.scope.judged[:, inputs]),
        )

    def are_covered_by(self, *errors: np.ndarray) -> bool:
        """Whether the sum of these bounds and of the true derivatives' errors covers all differences."""
        return self.scope.covers((self.true.error, *errors), self.reported, self.true)

    def are_covered_with_digits(self, floor: np.ndarray, *errors: np.ndarray) -> bool:
        """The same with a floor of these bounds, where the floor leaves each difference a digit.

        Some roundings of the largest derivative of a block are allowed everywhere in it. In float32 and beside 1e6 that
        is 1, so that an entry of 0.1 could be anything, which no rounding has moved so far: it is allowed a tenth.
        """
        floor = in_pieces(lambda least, x: np.minimum(least, NO_DIGIT * np.abs(x)), floor, self.true.derivative)
        return self.are_covered_by(*errors, floor)

    def farthest_off(self, *errors: np.ndarray) -> np.ndarray:
        """The inputs, up to `SAMPLED_INPUTS`, whose differences are the largest beside the sum of error bounds."""

        def ratio(judged: np.ndarray, found: np.ndarray, expected: np.ndarray, *parts: np.ndarray) -> np.ndarray:
            off = np.abs(found - expected) / sum(parts)
            return np.where(judged, np.where(np.isnan(off), np.inf, off), 0.0)

        true = self.true
        off = in_pieces(ratio, self.scope.judged, self.reported, true.derivative, true.error, *errors).max(axis=0)
        count = min(off.size, SAMPLED_INPUTS)
        return np.argpartition(off, -count)[-count:]

    def roundings_of_terms(self, derived: np.ndarray) -> np.ndarray:
        """Where nothing is known of the true derivative, the roundings of the function's terms stand for its own."""
        scope = self.scope
        return of_nothing_known(self.true, derived, scope.blocks, DERIVATIVE_ROUNDINGS * scope.unit * scope.terms())

    def is_small(self, error: np.ndarray) -> np.ndarray:
        """Where an error is small beside the largest derivative of its block, or beside the function's terms."""
        precision, scope = self.point.program.precision, self.scope
        largest = largest_in_block(self.true.derivative.ravel(), scope.blocks).reshape(error.shape)
        return error <= np.maximum(MEANINGLESS[precision] * largest, ABSOLUTE[precision] * scope.terms())


def bound_of_mode(derivatives: ModeDerivatives, *, borrows: bool) -> tuple[Bound, float]:
    """A bound on the error of a mode's derivatives: rounding in its own precision, and what solvers leave.

    And how far a finer tolerance of its solvers moves them, as a share of the largest; zero where that bound is not
    needed. `borrows` says whether the bound of the increments may stand for the mode's own.
    """
    mode = derivatives.mode
    if mode.coarser:  # compared within its tolerance; rounded at random, a solver may find no end within its steps
        return Bound(few_roundings(derivatives.reported, mode.coarsest), frozenset()), 0.0
    if borrows and (bound := _cheap_bound(derivatives)):
        return bound, 0.0
    return _own_bound(derivatives)


def _cheap_bound(derivatives: ModeDerivatives) -> Bound | None:
    """The increments' bound, or what a rounding of the arguments moves; None where neither settles the differences."""
    point, mode, _, reported, true, scope = derivatives
    # beside what a solver leaves open, a bound of its own may decide more
    if mode.has_solver and not derivatives.is_small(2.0 * true.error)[scope.judged].all():
        return None
    floor = point.smallest_error(reported, scope.blocks)
    if derivatives.are_covered_with_digits(floor):
        return Bound(true.error.copy(), frozenset([BORROWED]))
    if point.case.is_large and not mode.has_solver:
        return _bound_by_rounded_arguments(derivatives, floor)
    return None


def _bound_by_rounded_arguments(derivatives: ModeDerivatives, floor: np.ndarray) -> Bound | None:
    """What a rounding of the arguments moves, by JAX's own code; None where that does not settle the differences.

    That costs a call by JAX, and a run of the interpreter with millions of inputs costs far more. Where it does not
    cover the differences, such runs follow, and are compared in the inputs that are farthest off. If some number is
    beyond its bound then, it is wrong, and the others' bounds grow by as much as those of these inputs.
    """
    point, mode, request, reported, _, scope = derivatives
    rngs = np.random.default_rng(point.case.seed + 7).spawn(ROUNDED_ARGUMENTS)
    moved = chain([reported], (mode.at_rounded_arguments(rng, *request) for rng in rngs))
    error = np.zeros(0)
    for error in widening_spreads(moved, mode.coarsest):
        error = no_less_than_typical(error, reported, scope.blocks, out=error)
        if derivatives.are_covered_by(floor, error):
            return Bound(error, frozenset([SPREAD]))

    inputs = derivatives.farthest_off(floor, error)
    farthest = derivatives.at(inputs)
    of_terms = derivatives.roundings_of_terms(np.broadcast_to(np.inf, error.shape))[:, inputs]

    def is_enough(rounding: np.ndarray) -> bool:
        return farthest.are_covered_by(floor[:, inputs], np.maximum(rounding, of_terms))

    by_runs = spread((run[:, inputs] for run in derivatives.rounded_runs()), mode.coarsest, is_enough)
    growth = np.max(np.maximum(by_runs, of_terms) / error[:, inputs], initial=1.0)
    error *= growth
    if np.isfinite(growth) and not is_enough(error[:, inputs]):
        return Bound(error, frozenset([SPREAD]), shows_error=True)
    return None


def _own_bound(derivatives: ModeDerivatives) -> tuple[Bound, float]:
    """A bound by the mode's own program, derived or by runs that round, as `bound_of_mode` has it."""
    point, mode, request, reported, _, scope = derivatives
    by_solvers, share = _left_by_solvers(derivatives)
    derived = mode.bound(*request)
    of_terms = derivatives.roundings_of_terms(derived)

    def whole_error(rounding: np.ndarray) -> np.ndarray:
        return np.maximum(rounding + by_solvers, of_terms)

    def is_enough(rounding: np.ndarray) -> bool:
        # in 16-bit types the whole spread is computed: the evaluation in float64 is compared where it decides more
        return mode.coarsest <= COARSE and derivatives.are_covered_by(whole_error(rounding))

    rounding, unit = derived + few_roundings(reported, mode.coarsest), mode.coarsest
    wide = is_wide(reported.ravel(), rounding.ravel(), scope.blocks, unit).reshape(rounding.shape)
    if wide.any():

        def covers(spread: np.ndarray) -> bool:
            return is_enough(np.where(wide, spread, rounding))

        widened = spread(derivatives.rounded_runs(), unit, covers, not_finite=np.nan)
        rounding = np.where(wide, widened, rounding)
    error = whole_error(rounding)
    if point.case.is_large:
        error = no_less_than_typical(error, reported, scope.blocks)
    if mode.coarsest > UNIT_ROUNDOFF["float64"] and has_rules(point.case.program):
        error = _without_underflow(derivatives, error, by_solvers)
    kinds = ((DERIVED, not wide.all()), (SPREAD, wide.any()))
    return Bound(error, frozenset(kind for kind, is_used in kinds if is_used)), share


def _left_by_solvers(derivatives: ModeDerivatives) -> tuple[np.ndarray, float]:
    """What the tolerances of solvers leave in a mode's derivatives, and the same as a share of the largest."""
    mode, shape = derivatives.mode, derivatives.reported.shape
    if not mode.has_solver:
        return np.zeros(shape), 0.0
    moved, share = mode.solvers_error(*derivatives.request)
    # where in a block a finer tolerance moves less than elsewhere is chance
    return largest_in_block(moved.ravel(), derivatives.scope.blocks).reshape(shape), share


def _without_underflow(derivatives: ModeDerivatives, error: np.ndarray, by_solvers: np.ndarray) -> np.ndarray:
    """The bound `error` of a custom rule, without what underflow adds to it where a number is far off.

    A bound may be wide for two reasons. Rounding may be amplified: then the same program without underflow, and with
    the branches of its run in float64, has as wide a bound, and that stands. Or a number underflows, or a branch of the
    rule turns, as in ``jnp.where(s > 0, e / s, 0)`` with s = 1e-50 in float32. That excuses no number which is far off:
    callers get it. It does where f itself loses its value in this way, and it does not concern JAX's own derivative of
    a formula, whose tail may underflow.
    """
    point, mode, request, reported, true, scope = derivatives
    off, is_small = np.abs(reported - true.derivative), derivatives.is_small
    # NaN and infinities are judged by themselves, whatever the bound is
    is_excused = is_small(error) | is_small(off - true.error) | ~np.isfinite(off) | ~point.keeps_value[:, None]
    if not (scope.judged & ~is_excused).any():
        return error
    # where rounding turns a branch of f itself, a rule may take either
    keeps_branches = not any(point.turned_decisions)
    runs = (mode.rounded_in_range(rng, *request, keeps_branches=keeps_branches) for rng in (None, *derivatives.rngs))
    in_range = spread(runs, mode.coarsest) + by_solvers
    return np.where(~is_excused & is_small(in_range), in_range, error)


# -- what increments say ----------------------------------------------------------------------------------------------


def bound_of_slopes(program: ProgramAtPoint, along: Any, weights: np.ndarray, sides: OneSided) -> np.ndarray:
    """A bound on the error of increments, which run in float64. Limits from points nearby have their own error.

    Beside what a coarser type rounds, that is next to nothing: then one run estimates it.
    """
    is_coarse = program.coarsest > UNIT_ROUNDOFF["float64"]
    rngs = np.random.default_rng(program.seed).spawn(1 if is_coarse else RANDOM_INCREMENTS)
    runs = chain([sides.right], (rounded_slopes(program, rng, along, weights, sides) for rng in rngs))
    unit = UNIT_ROUNDOFF["float64"]
    underflow = np.abs(weights).sum(axis=1, keepdims=True) * program.underflow_of_slopes(along)
    return spread(runs, unit) + few_roundings(sides.right, unit) + sides.error + underflow
