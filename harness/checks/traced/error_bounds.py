"""How far rounding may have moved an answer: derived bounds where these are narrow, else runs rounded at random.

An error bar is worked out only as far as the verdict needs it. Runs that round at random widen a bar and never narrow
it: as soon as it covers what is seen, no more of them change anything. And what lies within the truth's own error bar
needs none of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.program_bound import few_roundings, is_wide, largest_in_block, of_nothing_known, spread
from harness.bounds.tolerances import DERIVATIVE_ROUNDINGS, RANDOM_INCREMENTS, RANDOM_ROUNDINGS
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.real_coordinates import Claim, Sides
from harness.checks.traced.true_slopes import Truth
from harness.verdict.comparison import Block
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.random_rounding import COARSE

Enough = Callable[[np.ndarray], bool]


class Seen(NamedTuple):
    """What derivatives are compared in.

    Attributes
    ----------
    blocks : of all (combinations · inputs)
    unit : u of the coarsest type in the program
    at : (combinations, inputs) bool array
        Where something is known of the function, and looked at.
    terms : (combinations, inputs) array, or 0
        The size of the function's terms over that of its arguments.
    """

    blocks: Sequence[Block]
    unit: float
    at: np.ndarray
    terms: np.ndarray | float = 0.0

    def covers(self, off: np.ndarray, error: np.ndarray) -> bool:
        """Whether differences lie within an error, without the roundings that are allowed beside it; NaN does not."""
        return bool((np.isfinite(error) & (off <= error))[self.at].all())

    def is_wide(self, claim: Claim) -> bool:
        return bool(
            is_wide(claim.derivative.ravel(), claim.error.ravel(), self.blocks, self.unit)[self.at.ravel()].any()
        )


class Bar(NamedTuple):
    """An error bar, and what it is: some of "derived" and "spread", or "lent" by the truth."""

    error: np.ndarray
    kinds: set[str]


def _bar(
    found: np.ndarray,
    bound: np.ndarray,
    runs: Iterable[np.ndarray],
    blocks: Sequence[Block],
    unit: float,
    enough: Enough,
    not_finite: float = np.inf,
) -> Bar:
    """The derived bound, and where this is wide the spread of the runs."""
    error = bound + few_roundings(found, unit)
    wide = is_wide(found.ravel(), error.ravel(), blocks, unit).reshape(error.shape)
    if wide.any():
        widened = spread(runs, unit, lambda spread: enough(np.where(wide, spread, error)), not_finite)
        error = np.where(wide, widened, error)
    return Bar(error, {kind for kind, some in (("derived", not wide.all()), ("spread", wide.any())) if some})


def _of_solvers(mode: Mode, asked: tuple[Any, Any], blocks: Sequence[Block]) -> np.ndarray:
    """What solvers leave of a block: where in it a finer tolerance moves less is chance."""
    moved = mode.solvers_error(*asked)
    return largest_in_block(moved.ravel(), blocks).reshape(moved.shape)


@np.errstate(all="ignore")
def bar_of_mode(
    mode: Mode, asked: tuple[Any, Any], answer: np.ndarray, truth: Claim, seen: Seen, borrows: bool, seed: int
) -> Bar:
    """Of JAX's answer: what rounding in its own precision may have moved, and what its solvers leave.

    The truth's own error where the answer lies within it, if it may be borrowed. In half a float the whole of what
    random roundings show: where that tells less than what the mode means in float64, this counts.
    """
    off = np.abs(answer - truth.derivative)
    if borrows and not mode.has_solver and seen.covers(off, truth.error):
        return Bar(truth.error.copy(), {"lent"})
    by_solvers = _of_solvers(mode, asked, seen.blocks) if mode.has_solver else 0.0
    runs = (mode.rounded(rng, *asked) for rng in (None, *np.random.default_rng(seed).spawn(RANDOM_ROUNDINGS)))

    bound, is_half = mode.bound(*asked), mode.coarsest > COARSE
    vague = of_nothing_known(truth, bound, seen.blocks, DERIVATIVE_ROUNDINGS * seen.unit * seen.terms)

    def enough(error: np.ndarray) -> bool:
        return not is_half and seen.covers(off, truth.error + np.maximum(error + by_solvers, vague))

    found = _bar(answer, bound, runs, seen.blocks, mode.coarsest, enough, not_finite=np.nan)
    return Bar(np.maximum(found.error + by_solvers, vague), found.kinds)


@np.errstate(all="ignore")
def bar_of_increments(truth: Truth, along: Any, weights: np.ndarray, sides: Sides, seen: Seen, seed: int) -> Bar:
    """Of what the interpreter finds in float64; points nearby have their own error."""
    bound = truth.bound(along, weights) if sides.is_smooth else np.full(sides.after.shape, np.inf)
    rngs = np.random.default_rng(seed).spawn(RANDOM_INCREMENTS)
    runs = chain([sides.after], (truth.rounded(rng, along, weights, sides) for rng in rngs))
    found = _bar(sides.after, bound, runs, seen.blocks, UNIT_ROUNDOFF["float64"], lambda _: False)
    return Bar(found.error + sides.error, found.kinds)


def narrowed(blocks: Sequence[Block], chosen: np.ndarray, size: int) -> list[Block]:
    """The blocks of (combinations · inputs) where of `size` inputs only the chosen ones, in order, are kept."""
    found = []
    for block in blocks:
        row, column = np.divmod(block.indices, size)
        place = np.minimum(np.searchsorted(chosen, column), len(chosen) - 1)
        kept = chosen[place] == column
        found.append(Block(block.name, (row * len(chosen) + place)[kept]))
    return found
