"""Cells of z: stretches [low, high] between two floats, both included, that are split until they are few floats.

All are arrays of shape (n,). Where cells are cut at a place, no float lies in two of them or in none.
"""

from collections.abc import Sequence

import numpy as np

AROUND = 8  # floats on either side of a place where a comparison changes, which rounding may move

FLOATS = 2 * AROUND + 1  # a cell of so many, or fewer, is not split

PARTS = 8  # of one cell, at most

TOGETHER = 256
"""Cells that one pass should have: it costs hardly more for them than for one."""

STEEP = 8.0
"""A cell whose ends have a larger quotient lies at zero, and is split into parts of this quotient, and the rest."""

Cells = tuple[np.ndarray, np.ndarray]

_LEAST = np.iinfo(np.int64).min


def number_of(z: np.ndarray) -> np.ndarray:
    """Each float's number in their order; zero has 0."""
    bits = np.ascontiguousarray(z, dtype=np.float64).view(np.int64)
    return np.where(bits < 0, _LEAST - bits, bits)


def float_at(number: np.ndarray) -> np.ndarray:
    """The float of that number."""
    return np.where(number < 0, _LEAST - number, number).astype(np.int64).view(np.float64)


def count(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How many floats a cell has."""
    return (number_of(high) - number_of(low)).view(np.uint64) + 1.0  # what is lost at 2**63 is nothing at 2**64


def floats_of(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """All floats of one cell, which should be few."""
    return float_at(np.arange(number_of(low).item(), number_of(high).item() + 1))


def cut_at(low: np.ndarray, high: np.ndarray, place: np.ndarray, without: bool = False) -> Cells:
    """Cells below, about and above one place in each; `without` the place itself."""
    at = number_of(place)
    first, last = np.maximum(at - AROUND, number_of(low)), np.minimum(at + AROUND, number_of(high))
    about = [(first, at - 1), (at + 1, last)] if without else [(first, last)]
    pieces = [(number_of(low), first - 1), *about, (last + 1, number_of(high))]
    lows, highs = (np.concatenate(ends) for ends in zip(*pieces))
    return float_at(lows[lows <= highs]), float_at(highs[lows <= highs])


def without_places(edges: np.ndarray, places: Sequence[float]) -> Cells:
    """The cells between sorted edges, but for some places, each of which has cells of a few floats beside it."""
    low, high = edges[:-1], edges[1:]
    for place in places:
        inside = (low <= place) & (place <= high)
        cut = cut_at(low[inside], high[inside], np.full(inside.sum(), place), without=True)
        low, high = (np.concatenate([ends[~inside], new]) for ends, new in zip((low, high), cut))
    return low, high


def is_steep(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether a cell reaches from the neighbourhood of zero, on a logarithmic scale, to somewhere else."""
    nearer, further = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
    return (np.sign(low) == np.sign(high)) & (further > STEEP * nearer)


def split(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Each cell in as many parts as a pass has room for; and how many that is."""
    parts = int(np.clip(TOGETHER // max(low.size, 1), 2, PARTS))
    counted = np.arange(parts + 1.0)[:, np.newaxis]
    edges = low + (high - low) * (counted / parts)
    edges = np.where(is_steep(low, high) & (low > 0.0), high * STEEP ** (counted - parts), edges)
    edges = np.where(is_steep(low, high) & (high < 0.0), low * STEEP**-counted, edges)
    edges = np.clip(edges, low, high)
    edges[0], edges[-1] = low, high
    return edges[:-1].ravel(), edges[1:].ravel(), parts


def stretches_of(low: np.ndarray, high: np.ndarray) -> list[tuple[float, float]]:
    """Cells that follow each other as one stretch."""
    stretches: list[tuple[float, float]] = []
    for i in np.lexsort((high, low)):
        start, end = float(low[i]), float(high[i])
        if stretches and start <= np.nextafter(stretches[-1][1], np.inf):
            stretches[-1] = (stretches[-1][0], max(end, stretches[-1][1]))
        else:
            stretches.append((start, end))
    return stretches
