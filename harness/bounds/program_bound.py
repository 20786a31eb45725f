"""How far rounding can move the results of a traced program: a derived bound where there is one, else an estimate.

The running bound (`reference.traced.bounded_run`) holds for every evaluation of the program's operations. It ignores
that errors may cancel, so it grows beyond use through long recurrences. The estimate is the spread of a few runs that
are rounded at random.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from harness.bounds.tolerances import COARSE_SPREAD_FACTOR, DERIVATIVE_ROUNDINGS, NARROW, NEGLIGIBLE, SPREAD_FACTOR
from reference.arithmetics.increments import Increment, constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF, infinite_where_nan
from reference.traced.bounded_run import BoundedRun, Unbounded, parts
from reference.traced.equations import Program
from reference.traced.random_rounding import COARSE

SMALLEST = 1e-45
"""Derivatives up to this size are zero: increments by steps of 2^-200 leave something as small."""


def is_wide(derivative: np.ndarray, error: np.ndarray, blocks: Sequence[Any], unit: float) -> np.ndarray:
    """Where a bound leaves less than two thirds of the digits, beside the largest of its block."""
    size = np.where(np.isfinite(derivative), np.abs(derivative), 0.0)
    scale = np.maximum(largest_in_block(size, blocks), NEGLIGIBLE * size.max(initial=0.0))
    return ~(error <= unit**NARROW * scale)


def of_nothing_known(truth: Any, proven: np.ndarray, blocks: Sequence[Any], terms: np.ndarray | float) -> np.ndarray:
    """The proven bound in the blocks where not one digit of the true derivative is known; zero elsewhere.

    Where everything cancels, no other number shows how large a small error is. Random rounding underestimates XLA
    there, which may compute a number twice with different roundings, so that they do not cancel. Where nothing is
    proven, the roundings of the function's own terms (`terms`) stand for those of its derivative.
    """
    unknown, bound = np.zeros(proven.shape), np.where(np.isfinite(proven), proven, terms)
    for block in blocks:
        at = np.unravel_index(block.indices, proven.shape)
        if np.all(np.abs(truth.derivative[at]) <= np.maximum(truth.error[at], SMALLEST)):
            unknown[at] = bound[at]
    return unknown


def floor_of(derivative: np.ndarray, blocks: Sequence[Any], unit: float) -> np.ndarray:
    """The smallest error bound of each entry, beside the largest of its block: a zero is seldom computed exactly."""
    return DERIVATIVE_ROUNDINGS * unit * largest_in_block(derivative, blocks)


def largest_in_block(derivative: np.ndarray, blocks: Sequence[Any]) -> np.ndarray:
    """For each entry the size of the largest finite one in its block."""
    largest = np.zeros(derivative.shape)
    for block in blocks:
        part = np.abs(derivative[block.indices])
        largest[block.indices] = part[np.isfinite(part)].max(initial=0.0)
    return largest


LIKE = 3
"""Numbers are of like size if their exponents, divided by this, have one whole part: within a factor of 8."""


def no_less_than_typical(error: np.ndarray, derivative: np.ndarray, blocks: Sequence[Any]) -> np.ndarray:
    """Error bounds of very many derivatives, each no smaller than the median bound of those of like size in its block.

    Among millions some seem exact in every run, by chance. Entries that no rounding moves, such as those of an unused
    row, are no part of the median.
    """
    bounds, sizes = error.ravel().copy(), np.frexp(np.abs(derivative).ravel())[1] // LIKE
    for block in blocks:
        own, size = bounds[block.indices], sizes[block.indices]
        moves = np.isfinite(own) & (own > 0.0)
        for each in np.unique(size[moves]):
            alike = moves & (size == each)
            own[alike] = np.maximum(own[alike], np.median(own[alike]))
        bounds[block.indices] = own
    return bounds.reshape(error.shape)


def bound_of_values(program: Program, arguments: Sequence[Any], coarsest: float) -> list[Any] | None:
    """A bound on |computed - exact| for each result, whoever computes it; None where there is none, or a useless one.

    Constants of many digits count as good to a rounding, since a derivative rule may round a constant of its own.
    """
    run = BoundedRun(coarsest=coarsest, widest=coarsest**NARROW, constants_round=True)
    try:
        results = run(program, *map(constant, arguments))
    except Unbounded:
        return None
    return [infinite_where_nan(parts(y, 0).error) for y in results]


def bound_of_changes(
    program: Program, arguments: Sequence[Any], changes: Sequence[Any], trusted: Any
) -> list[Any] | None:
    """A bound on the error of each increment that the interpreter computes, (directions, ...) for each result.

    It holds along directions in which every comparison is decided, which the caller has to check. None as in
    `bound_of_values`.
    """
    count = len(changes[0])
    # rows: the error of x, its changes along the directions, and the errors of these; x and the changes are exact
    lifted = [
        Increment(x, np.concatenate([np.zeros((1, *d.shape[1:]), d.dtype), d, np.zeros_like(d)]))
        if np.any(d)
        else constant(x)
        for x, d in zip(arguments, changes)
    ]
    try:
        results = BoundedRun(count=count, widest=UNIT_ROUNDOFF["float64"] ** NARROW, trusted=trusted)(program, *lifted)
    except Unbounded:
        return None
    return [infinite_where_nan(parts(y, count).change_error) for y in results]


def few_roundings(answer: np.ndarray, unit: float) -> np.ndarray:
    """The roundings of combining results with weights, and of dividing by these."""
    return 4.0 * unit * np.abs(answer) + np.finfo(float).tiny


def spread(
    runs: Iterable[np.ndarray],
    unit: float,
    enough: Callable[[np.ndarray], bool] = lambda _: False,
    not_finite: float = np.inf,
) -> np.ndarray:
    """An error bound from a computation (the first run) and the same rounded at random: a multiple of the farthest run.

    More runs only widen it, so the runs end once it is `enough`. A run that is not finite is `not_finite` apart:
    infinitely far for a true derivative. With NaN such a run is ignored beside a finite one, since a derivative that is
    a rounding away from NaN is no less wrong for that.
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
