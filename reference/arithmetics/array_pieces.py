"""Formulas of very long arrays, entry by entry, computed for a piece of the entries at a time.

NumPy writes each result on the way as a whole array. Of a piece they stay in the cache, so that a formula of millions
of derivatives takes no more memory than its result.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

LONGEST = 2**15
"""Entries of a piece: some arrays of so many numbers in float64, 256 KB each, fit into a processor's cache."""


def slices(size: int) -> Iterator[slice]:
    """Slices that select one piece of so many entries after another."""
    return (slice(start, min(start + LONGEST, size)) for start in range(0, size, LONGEST))


def pieces(*arrays: Any) -> Iterator[tuple[np.ndarray, ...]]:
    """Views of the arrays, broadcast to one shape, for one piece of the last axis after another."""
    whole = np.broadcast_arrays(*arrays)
    for part in slices(whole[0].shape[-1]):
        yield tuple(array[..., part] for array in whole)


def largest(array: np.ndarray) -> float:
    """The size of the largest finite entry of a flat array; 0 where there is none."""
    sizes = (np.abs(array[part]) for part in slices(array.size))
    return max((float(size[np.isfinite(size)].max(initial=0.0)) for size in sizes), default=0.0)


def in_pieces(formula: Callable[..., np.ndarray], *arrays: Any) -> np.ndarray:
    """``formula(*arrays)``, where each entry of the result is of the same entries of the arrays."""
    if max(map(np.size, arrays)) <= LONGEST:
        return formula(*arrays)
    shape = np.broadcast_shapes(*map(np.shape, arrays))
    *_, size = shape
    if len(shape) > 1 and all(np.shape(array) == shape for array in arrays):  # a row may be shorter than a piece
        return in_pieces(formula, *(np.ravel(array) for array in arrays)).reshape(shape)
    found = np.empty(0)
    for part, of_part in zip(slices(size), pieces(*arrays)):
        computed = formula(*of_part)
        if part.start == 0:
            found = np.empty(shape, computed.dtype)
        found[..., part] = computed
    return found
