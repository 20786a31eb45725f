"""How far rounding can move what a traced program computes: a derived bound where there is one, else an estimate.

The bound is a running one (`reference.traced.bounding`): proven for every evaluation of the program's operations, but
blind to errors that cancel, so that it grows beyond use through long recurrences. The estimate is the spread of a few
runs that are rounded at random.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from harness.bounds.tolerances import COARSE_SPREAD_FACTOR, DERIVATIVE_ROUNDINGS, NARROW, NEGLIGIBLE, SPREAD_FACTOR
from reference.arithmetics.increments import Increment, constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.bounding.parts import Unbounded, parts
from reference.traced.bounding.running import BoundedRun, obstacle
from reference.traced.program import Program
from reference.traced.rounding import COARSE

SMALLEST = 1e-45
"""Steps of 2^-200 leave something so small in the place of a zero."""


def is_wide(derivative: np.ndarray, error: np.ndarray, blocks: Sequence[Any], unit: float) -> np.ndarray:
    """Where a bound leaves less than two thirds of the digits, beside the largest of its block."""
    size = np.where(np.isfinite(derivative), np.abs(derivative), 0.0)
    scale = np.maximum(largest_in_block(size, blocks), NEGLIGIBLE * size.max(initial=0.0))
    return ~(error <= unit**NARROW * scale)


def of_nothing_known(truth: Any, proven: np.ndarray, blocks: Sequence[Any], terms: np.ndarray | float) -> np.ndarray:
    """The proven bound in those blocks of whose truth, a claim, not one digit is known; zero elsewhere.

    Where all is cancelled to nothing, no other number says how large an error is small, and roundings at random know
    less than XLA does: it may compute a number twice, each time with other roundings, which then do not cancel. Where
    nothing is proven, the roundings of the function's own terms stand for those of its derivative.
    """
    vague, bound = np.zeros(proven.shape), np.where(np.isfinite(proven), proven, terms)
    for block in blocks:
        at = np.unravel_index(block.indices, proven.shape)
        if np.all(np.abs(truth.derivative[at]) <= np.maximum(truth.error[at], SMALLEST)):
            vague[at] = bound[at]
    return vague


def floor_of(derivative: np.ndarray, blocks: Sequence[Any], unit: float) -> np.ndarray:
    """What a derivative may be off by beside the largest of its block: zero is not always hit exactly."""
    return DERIVATIVE_ROUNDINGS * unit * largest_in_block(derivative, blocks)


def largest_in_block(derivative: np.ndarray, blocks: Sequence[Any]) -> np.ndarray:
    """For each entry the size of the largest finite one in its block."""
    largest = np.zeros(derivative.shape)
    for block in blocks:
        part = np.abs(derivative[block.indices])
        largest[block.indices] = part[np.isfinite(part)].max(initial=0.0)
    return largest


def bound_of_values(program: Program, arguments: Sequence[Any], coarsest: float) -> list[Any] | None:
    """A bound on |computed - exact| for each result, whoever computes; None where there is none, or it is of no use.

    Constants of many digits are taken to be good to a rounding, for a derivative rule may round one of its own.
    """
    if obstacle(program):
        return None
    run = BoundedRun(coarsest=coarsest, widest=coarsest**NARROW, constants_round=True)
    try:
        results = run(program, *map(constant, arguments))
    except Unbounded:
        return None
    return [_finite_or_inf(parts(y, 0).error) for y in results]


def bound_of_changes(
    program: Program, arguments: Sequence[Any], changes: Sequence[Any], trusted: Any
) -> list[Any] | None:
    """A bound on the error of each increment that the interpreter computes, (directions, ...) for each result.

    Along directions whose comparisons are all decided, which is for the caller to see. None as above.
    """
    if obstacle(program):
        return None
    count = len(changes[0])
    lifted = [
        Increment(x, np.concatenate([np.zeros((1, *d.shape[1:]), d.dtype), d, np.zeros_like(d)]))
        if np.any(d)
        else constant(x)
        for x, d in zip(arguments, changes)
    ]
    try:
        results = BoundedRun(count, widest=UNIT_ROUNDOFF["float64"] ** NARROW, trusted=trusted)(program, *lifted)
    except Unbounded:
        return None
    return [_finite_or_inf(parts(y, count).change_error) for y in results]


def _finite_or_inf(error: Any) -> Any:
    return np.where(np.isnan(error), np.inf, error)


def few_roundings(answer: np.ndarray, unit: float) -> np.ndarray:
    """What combining answers, and weights that are divided by, may round."""
    return 4.0 * unit * np.abs(answer) + np.finfo(float).tiny


def spread(
    runs: Iterable[np.ndarray],
    unit: float,
    enough: Callable[[np.ndarray], bool] = lambda _: False,
    not_finite: float = np.inf,
) -> np.ndarray:
    """An error bar from a computation and the same rounded at random: a multiple of the farthest of these.

    More runs only widen it, so that no more are asked for once it is `enough`. Runs that are not finite count as
    `not_finite` apart: infinitely far where a truth is looked for; as NaN they do not count beside one that is finite,
    for that a derivative is a rounding away from NaN excuses it no more than NaN itself.
    """
    runs = iter(runs)
    centre = next(runs)
    farthest, error = np.full(centre.shape, np.nan), np.full(centre.shape, np.inf)
    factor = SPREAD_FACTOR if unit < COARSE else COARSE_SPREAD_FACTOR
    for other in runs:
        apart = np.abs(other - centre)
        farthest = np.fmax(farthest, np.where(np.isfinite(apart), apart, not_finite))
        error = factor * farthest + few_roundings(centre, unit)
        error = np.where(np.isfinite(error), error, np.inf)
        if enough(error):
            break
    return error
