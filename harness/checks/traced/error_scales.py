"""How large an error of a derivative is small: the sizes that errors are compared with, and bounds that are too wide.

An error counts beside the largest derivative of its block. Where a program cannot do better, it counts beside the terms
that make up the function: rounding these moves the derivative by as much. A program that amplifies its roundings seems
to have terms without limit, so that its bounds would accept anything; `twice_would_pass` looks for that.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.bounds.program_bound import SMALLEST
from harness.bounds.tolerances import ABSOLUTE, MEANINGLESS, NEGLIGIBLE, SPREAD_FACTOR
from harness.checks.random_directions import random_directions
from harness.checks.traced.real_coordinates import combine
from harness.checks.traced.true_slopes import ProgramAtPoint
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, compare

ZERO_IS_COARSER = {"float64": 1.0, "float32": 1e2, "float16": 1e4, "bfloat16": 1e4}
"""In coarse types, a derivative of zero is computed as something farther from zero, by this factor."""

UNDERFLOW = {"float64": 1e-240, "float32": SMALLEST, "float16": 2.0**-24, "bfloat16": SMALLEST}
"""The error that underflow may leave in the place of zero."""

NOTHING = {"float64": 1e-220, "float32": 1e-30, "float16": 1e-30, "bfloat16": 1e-30}
"""The size that is compared with where all derivatives are zero."""

DIRECTIONS_AROUND = 8
"""Random directions whose slopes show how large derivatives are."""

TERMS = 1.0
"""Terms that cancel count up to this size beside f's own. So the lost tail of tanh(x) - 1 is in no doubt."""

MOST = 0.5
"""The share of a block's nonzero derivatives that makes a bound too wide for the block."""


@np.errstate(all="ignore")
def terms_over_arguments(
    weights: np.ndarray, values: np.ndarray, error: np.ndarray, program: ProgramAtPoint
) -> np.ndarray:
    """The size of the function's terms over the size of its arguments: (combinations, inputs).

    Rounding errors of the values show the size of terms that cancel: error / (16 u) is about the largest of them.
    """
    terms = np.abs(values) + error / (SPREAD_FACTOR * program.coarsest)
    slopes = np.abs(weights) @ np.where(np.isfinite(terms), terms, 0.0)
    sizes = np.where(np.isfinite(program.point), np.maximum(1.0, np.abs(program.point)), np.inf)
    return slopes[:, None] / sizes


@np.errstate(all="ignore")
def scale_of_terms(weights: np.ndarray, values: np.ndarray, error: np.ndarray, program: ProgramAtPoint) -> np.ndarray:
    """The share of these terms beside which an error of `ABSOLUTE` is small: (combinations · inputs,)."""
    share = ABSOLUTE[program.precision] / MEANINGLESS[program.precision]
    return share * terms_over_arguments(weights, values, error, program).ravel()


@np.errstate(all="ignore")
def scale_around(program: ProgramAtPoint, rows: np.ndarray) -> np.ndarray:
    """The same where all terms cancel, as those of a determinant at a singular matrix: (rows · inputs,).

    The root mean square of derivatives at points as far away as the arguments are large, seen along random directions.
    For functions that grow, the point with the smallest derivatives counts.
    """
    along = random_directions(DIRECTIONS_AROUND, program.inputs.size, program.seed + 5)
    reach = np.where(program.point == 0.0, 1.0, np.abs(program.point)) * along[:2]
    points = (program.point + way for way in (*reach, *-reach))
    slopes = [combine(rows, program.changes(along, program.run(), point)) for point in points]
    around = np.sqrt(np.square(slopes).mean(axis=-1) / program.inputs.size).min(axis=0)
    around = np.where(np.isfinite(around), around, 0.0)
    return np.repeat(NEGLIGIBLE * ZERO_IS_COARSER[program.precision] * around, program.inputs.size)


def ordinary_size(largest: float, precision: str) -> float:
    """A size of the derivative that is not small: blocks that vanish beside it are compared absolutely.

    It is no fixed number such as 1, as it is for costs, since all derivatives may be tiny.
    """
    if precision == "float64":
        return largest or NOTHING[precision]
    return max(ZERO_IS_COARSER[precision] * largest, NOTHING[precision])


@np.errstate(all="ignore")
def twice_would_pass(
    answers: Sequence[Answer],
    increments: Answer,
    blocks: Sequence[Block],
    looked_at: np.ndarray,
    ordinary: float,
    scale: np.ndarray,
    small: Callable[[], np.ndarray],
) -> tuple[Fact, ...]:
    """A doubt where twice the true derivative would agree as well in most of a block.

    Parameters
    ----------
    answers : all answers, oracles included
    increments : the one of them that is twice as large in the trial
    looked_at : mask of the coordinates that are compared
    ordinary, scale : sizes that the comparison uses
    small : called where needed for an (n,) array
        Below this size a derivative is small beside f itself. For a small one the doubt does not count, nor for one
        that the largest of its block decides.
    """
    oracles, true = [answer for answer in answers if answer.oracle], increments.gradient
    passes = np.zeros(true.size, bool)
    judged = [answer for answer in answers if not answer.oracle]
    for answer in judged:
        twice = replace(answer, gradient=2.0 * true)
        by_scale, by_itself = (
            [compare(twice, oracle, blocks, ordinary, absolute=absolute) for oracle in oracles]
            for absolute in (scale, 0.0)
        )
        decided, decided_by_itself = (np.any([p.decided for p in pairs], axis=0) for pairs in (by_scale, by_itself))
        passes |= decided & ~decided_by_itself & ~np.any([pair.at_odds for pair in by_scale], axis=0)
    passes &= np.isfinite(true) & (true != 0.0) & looked_at
    if not passes.any():
        return ()
    passes &= np.abs(true) > small()
    bounds = {}
    for block in blocks:
        own = passes[block.indices]
        if own.sum() > MOST * np.count_nonzero((true[block.indices] != 0.0) & looked_at[block.indices]):
            allowed = np.max([answer.error for answer in judged], axis=0)[block.indices]
            bounds[block.name] = max(bounds.get(block.name, 0.0), float(allowed[own].max()))
    return (doubt(Kind.TWICE_WOULD_PASS, *sorted(bounds), bound=max(bounds.values())),) if bounds else ()
