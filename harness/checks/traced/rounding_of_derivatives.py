"""Bounds on the rounding errors of derivatives: derived ones where these are narrow, else runs rounded at random.

A bound is computed only as far as the verdict needs it. Runs that round at random widen a bound and never narrow it, so
no more of them are made once it covers the difference. A reported derivative within the error bound of the increments
needs no bound of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.program_bound import few_roundings, is_wide, largest_in_block, of_nothing_known, spread
from harness.bounds.tolerances import DERIVATIVE_ROUNDINGS, RANDOM_INCREMENTS, RANDOM_ROUNDINGS
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.one_sided import OneSided, rounded_slopes
from harness.checks.traced.real_coordinates import Estimate
from harness.checks.traced.true_slopes import ProgramAtPoint
from harness.verdict.comparison import Block
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.rounding import COARSE

DERIVED, SPREAD, BORROWED = "derived", "spread", "borrowed"
"""Kinds of bounds: derived, estimated by the spread of rounded runs, or taken from the increments."""


class Scope(NamedTuple):
    """Which derivatives are compared.

    Attributes
    ----------
    blocks : of all (combinations · inputs)
    unit : u of the coarsest type in the program
    at : (combinations, inputs) bool array
        Where something is known of the function, and inputs are looked at.
    terms : (combinations, inputs) array, or 0
        The size of the function's terms over that of its arguments.
    """

    blocks: Sequence[Block]
    unit: float
    at: np.ndarray
    terms: np.ndarray | float = 0.0

    def covers(self, error: np.ndarray, off: np.ndarray) -> bool:
        """Whether an error bound covers all differences; NaN is not covered."""
        return bool((np.isfinite(error) & (off <= error))[self.at].all())

    def is_wide(self, estimate: Estimate) -> bool:
        """Whether the error of some derivative leaves less than two thirds of its block's digits."""
        wide = is_wide(estimate.derivative.ravel(), estimate.error.ravel(), self.blocks, self.unit)
        return bool(wide[self.at.ravel()].any())


class Bound(NamedTuple):
    """A bound on rounding errors, and of which kinds it is."""

    error: np.ndarray
    kinds: frozenset[str]


class Request(NamedTuple):
    """What a mode is evaluated for: vectors, and the weights of the outputs where it returns these (forward mode)."""

    vectors: np.ndarray
    weights: np.ndarray | None


def _bound(
    found: np.ndarray,
    derived: np.ndarray,
    runs: Iterable[np.ndarray],
    blocks: Sequence[Block],
    unit: float,
    is_enough: Callable[[np.ndarray], bool],
    not_finite: float = np.inf,
) -> Bound:
    """The derived bound, and the spread of the runs where that is wide."""
    error = derived + few_roundings(found, unit)
    wide = is_wide(found.ravel(), error.ravel(), blocks, unit).reshape(error.shape)
    if wide.any():
        widened = spread(runs, unit, lambda spread: is_enough(np.where(wide, spread, error)), not_finite)
        error = np.where(wide, widened, error)
    kinds = ((DERIVED, not wide.all()), (SPREAD, wide.any()))
    return Bound(error, frozenset(kind for kind, is_used in kinds if is_used))


@np.errstate(all="ignore")
def bound_of_mode(
    mode: Mode, request: Request, reported: np.ndarray, true: Estimate, scope: Scope, seed: int, *, borrows: bool
) -> tuple[Bound, float]:
    """A bound on the error of a mode's derivatives: rounding in its own precision, and what solvers leave.

    And how far a finer tolerance of its solvers moves them, as a share of the largest. In half of a float the whole
    spread is computed: where that decides less than the evaluation in float64 does, the latter is compared.
    """
    off = np.abs(reported - true.derivative)
    if borrows and not mode.has_solver and scope.covers(true.error, off):
        return Bound(true.error.copy(), frozenset([BORROWED])), 0.0
    by_solvers, share = np.zeros(reported.shape), 0.0
    if mode.has_solver:
        moved, share = mode.solvers_error(*request)
        # where in a block a finer tolerance moves less is chance
        by_solvers = largest_in_block(moved.ravel(), scope.blocks).reshape(moved.shape)
    runs = (mode.rounded(rng, *request) for rng in (None, *np.random.default_rng(seed).spawn(RANDOM_ROUNDINGS)))
    derived, is_half = mode.bound(*request), mode.coarsest > COARSE
    of_terms = of_nothing_known(true, derived, scope.blocks, DERIVATIVE_ROUNDINGS * scope.unit * scope.terms)

    def is_enough(error: np.ndarray) -> bool:
        return not is_half and scope.covers(true.error + np.maximum(error + by_solvers, of_terms), off)

    found = _bound(reported, derived, runs, scope.blocks, mode.coarsest, is_enough, not_finite=np.nan)
    return Bound(np.maximum(found.error + by_solvers, of_terms), found.kinds), share


@np.errstate(all="ignore")
def bound_of_slopes(
    program: ProgramAtPoint, along: Any, weights: np.ndarray, sides: OneSided, blocks: Sequence[Block]
) -> Bound:
    """A bound on the error of increments, which run in float64. Limits from points nearby have their own error."""
    derived = program.bound(along, weights) if sides.is_smooth else np.full(sides.right.shape, np.inf)
    rngs = np.random.default_rng(program.seed).spawn(RANDOM_INCREMENTS)
    runs = chain([sides.right], (rounded_slopes(program, rng, along, weights, sides) for rng in rngs))
    found = _bound(sides.right, derived, runs, blocks, UNIT_ROUNDOFF["float64"], lambda _: False)
    return Bound(found.error + sides.error, found.kinds)


def select_in_blocks(blocks: Sequence[Block], chosen: np.ndarray, size: int) -> list[Block]:
    """The blocks of (combinations · inputs) where of `size` inputs only the chosen ones, in order, are kept."""
    found = []
    for block in blocks:
        row, column = np.divmod(block.indices, size)
        place = np.minimum(np.searchsorted(chosen, column), len(chosen) - 1)
        kept = chosen[place] == column
        found.append(Block(block.name, (row * len(chosen) + place)[kept]))
    return found
