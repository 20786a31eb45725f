"""How far rounding can move the results of a traced program: a derived bound where there is one, else an estimate.

The running bound (`reference.traced.bounded_run`) holds for every evaluation of the program's operations. It ignores
that errors may cancel, so it grows beyond use through long recurrences. The estimate is the spread of a few runs that
are rounded at random.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from harness.bounds.tolerances import COARSE_SPREAD_FACTOR, DERIVATIVE_ROUNDINGS, NARROW, NEGLIGIBLE, SPREAD_FACTOR
from reference.arithmetics.array_pieces import in_pieces, largest
from reference.arithmetics.increments import constant
from reference.arithmetics.roundoff import infinite_where_nan
from reference.traced.bounded_run import BoundedRun, Unbounded, parts
from reference.traced.equations import Program
from reference.traced.random_rounding import COARSE

SMALLEST = 1e-45  # derivatives up to this size are zero: increments by steps of 2^-200 leave something as small


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
    unknown, bound = np.zeros(proven.size), np.where(np.isfinite(proven), proven, terms).ravel()
    derivative, error = truth.derivative.ravel(), truth.error.ravel()
    for block in blocks:
        at = block.places
        if np.all(np.abs(derivative[at]) <= np.maximum(error[at], SMALLEST)):
            unknown[at] = bound[at]
    return unknown.reshape(proven.shape)


def floor_of(derivative: np.ndarray, blocks: Sequence[Any], unit: float) -> np.ndarray:
    """The smallest error bound of each entry, beside the largest of its block: a zero is seldom computed exactly."""
    floor = largest_in_block(derivative, blocks)
    floor *= DERIVATIVE_ROUNDINGS * unit
    return floor


def largest_in_block(derivative: np.ndarray, blocks: Sequence[Any]) -> np.ndarray:
    """For each entry the size of the largest finite one in its block."""
    found = np.zeros(derivative.shape)
    for block in blocks:
        found[block.places] = largest(derivative[block.places])
    return found


LIKE = 3  # numbers are of like size if their exponents, divided by this, have one whole part: within a factor of 8


def no_less_than_typical(
    error: np.ndarray, derivative: np.ndarray, blocks: Sequence[Any], out: np.ndarray | None = None
) -> np.ndarray:
    """Error bounds of very many derivatives, each no smaller than the median bound of those of like size in its block.

    Among millions some seem exact in every run, by chance. Entries that no rounding moves, such as those of an unused
    row, are no part of the median.
    """
    bounds, sizes = (error.copy() if out is None else out).ravel(), in_pieces(_size_class, derivative.ravel())
    for block in blocks:
        own, size = bounds[block.places], sizes[block.places]
        moves = np.isfinite(own) & (own > 0.0)
        for each in np.unique(size[moves]):
            alike = moves & (size == each)
            np.maximum(own, np.median(own[alike], overwrite_input=True), out=own, where=alike)
        bounds[block.places] = own
    return bounds.reshape(error.shape)


def _size_class(derivative: np.ndarray) -> np.ndarray:
    """The exponent of each number, divided by `LIKE`."""
    return (np.frexp(np.abs(derivative))[1] // LIKE).astype(np.int16)


def bound_of_values(program: Program, arguments: Sequence[Any], coarsest: float) -> list[Any] | None:
    """A bound on |computed - exact| for each result, whoever computes it; None where there is none.

    Constants of many digits count as good to a rounding, since a derivative rule may round a constant of its own.
    """
    run = BoundedRun(coarsest=coarsest, constants_round=True)
    try:
        results = run(program, *map(constant, arguments))
    except Unbounded:
        return None
    return [infinite_where_nan(parts(y).error) for y in results]


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
    error = np.array(np.inf)  # one run alone says nothing
    for error in widening_spreads(runs, unit, not_finite):
        if enough(error):
            break
    return error


def widening_spreads(runs: Iterable[np.ndarray], unit: float, not_finite: float = np.inf) -> Iterator[np.ndarray]:
    """The error bounds of `spread` from the first two runs, the first three, and so on."""
    runs = iter(runs)
    centre, factor = next(runs), SPREAD_FACTOR if unit < COARSE else COARSE_SPREAD_FACTOR

    def apart(centre: np.ndarray, other: np.ndarray) -> np.ndarray:
        distance = np.abs(other - centre)
        return np.where(np.isfinite(distance), distance, not_finite)

    def bound(farthest: np.ndarray, centre: np.ndarray) -> np.ndarray:
        error = factor * farthest + few_roundings(centre, unit)
        return np.where(np.isfinite(error), error, np.inf)

    # by `map`, which keeps nothing of a run
    for farthest in accumulate(map(partial(in_pieces, apart, centre), runs), np.fmax):
        yield in_pieces(bound, farthest, centre)
