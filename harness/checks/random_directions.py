"""Random directions in θ, along which a computation is checked as a whole."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.verdict.comparison import Answer, Block, Pair, compare
from reference.arithmetics.array_pieces import in_pieces, pieces
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

SMALLEST_ENTRY, LARGEST_ENTRY = 0.5, 1.5
"""The sizes that entries of a random direction have: all near 1, so that no coordinate is lost beside others."""

ADDED_UP = 10.0
"""Accepted errors may all be as large as their share of the largest derivative, while most derivatives are smaller. So
along a random direction errors may be a share of the slope that is so many times larger."""


def random_directions(count: int, size: int, seed: int) -> np.ndarray:
    """(count, size) entries of random sign and of a size in [0.5, 1.5].

    Signs alone miss two equal and opposite errors half the time, and positive directions miss errors that sum to zero.
    """
    rng, nothing = np.random.default_rng(seed), np.broadcast_to(0.0, count * size)
    signs = in_pieces(lambda part: rng.choice([-1.0, 1.0], part.shape), nothing)
    signs *= in_pieces(lambda part: rng.uniform(SMALLEST_ENTRY, LARGEST_ENTRY, part.shape), nothing)
    return signs.reshape(count, size)


@np.errstate(all="ignore")  # an infinite error times a direction's zero
def slopes_along(directions: np.ndarray, answers: Sequence[Answer]) -> list[Answer]:
    """The answers' slopes g·v along directions v, with the error bound Σ |v_i| (error_i + n u |g_i|).

    A g_i that is not finite adds no rounding, so that it is never accepted.
    """
    rounding = directions.shape[1] * UNIT_ROUNDOFF["float64"]

    def with_rounding(gradient: np.ndarray, error: np.ndarray) -> np.ndarray:
        return error + rounding * np.abs(np.where(np.isfinite(gradient), gradient, 0.0))

    return [
        replace(
            answer,
            gradient=directions @ answer.gradient,
            accuracy=ADDED_UP * answer.accuracy,
            error=sizes_along(directions, in_pieces(with_rounding, answer.gradient, answer.error)),
        )
        for answer in answers
    ]


def sizes_along(directions: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The sums Σ |v_i| size_i along directions v, (directions,)."""
    return np.array([sum(np.abs(v) @ size for v, size in pieces(direction, sizes)) for direction in directions])


def compare_ends(slopes: Sequence[Answer], ends: Answer, ordinary: float = 1.0) -> list[Pair]:
    """Each of several slopes along directions compared with differences of the cost itself."""
    block = [Block("directions", np.arange(ends.gradient.size))]
    return [compare(answer, ends, block, ordinary) for answer in slopes]


def farthest_off(size: int, off: Callable[[np.ndarray], np.ndarray], seed: int) -> int:
    """A coordinate with a large error: bisection by the half along which ``off(directions)`` is larger."""
    suspects = np.arange(size)
    drawn = random_directions(1, size, seed)[0]
    while suspects.size > 1:
        halves = np.array_split(suspects, 2)
        along = np.zeros((2, size))
        for direction, half in zip(along, halves):
            direction[half] = drawn[half]
        found = off(along)
        suspects = halves[int(np.argmax(np.where(np.isnan(found), np.inf, found)))]
    return int(suspects[0])
