"""Arrays as real coordinates: a complex entry counts twice, as its real part and as its imaginary part.

JAX's convention is kept: of a function with values f, reverse mode answers g = Σ w·∂f/∂z with no conjugate anywhere, so
that Re(g·t) is the change of Re(w·f) along t. The coordinates of g are therefore Re g and -Im g: the derivatives of
Re(w·f) in the real and in the imaginary part of z. For a real function of z that is ∂/∂x and ∂/∂y of g = ∂/∂x - i ∂/∂y.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness.verdict.comparison import Block
from reference.traced.equations import kind


class Entry(NamedTuple):
    """One coordinate: of an array with a name and a shape, where in it; of a complex entry 0 or 1, the part."""

    name: str
    shape: tuple[int, ...]
    at: tuple[int, ...]
    is_imaginary: int | None

    @property
    def is_on_diagonal(self) -> bool:
        """Of a square matrix, or of one in a stack of them: a transposition leaves it where it is."""
        return len(self.shape) > 1 and self.shape[-1] == self.shape[-2] and self.at[-1] == self.at[-2]


class Layout:
    """Where the entries of several arrays lie in one vector of real numbers."""

    def __init__(self, names: Sequence[str], arrays: Sequence[Any]):
        self.names = list(names)
        self.shapes = [tuple(np.shape(array)) for array in arrays]
        self.dtypes = [array.dtype for array in arrays]
        self.is_complex = [kind(dtype) == "c" for dtype in self.dtypes]
        sizes = [int(np.prod(shape)) * (2 if double else 1) for shape, double in zip(self.shapes, self.is_complex)]
        self.ends = np.cumsum(sizes)
        self.size = int(self.ends[-1])
        self.blocks = [Block(name, np.arange(end - n, end)) for name, end, n in zip(self.names, self.ends, sizes)]

    def narrowed(self, chosen: np.ndarray) -> "Layout":
        """Of some entries alone, in their order: arrays are flat, and those without an entry are left out."""
        which = np.searchsorted(self.ends, chosen, side="right")
        kept = np.unique(which)
        found = copy(self)
        found.names, found.dtypes, found.is_complex = (
            [column[k] for k in kept] for column in (self.names, self.dtypes, self.is_complex)
        )
        found.blocks = [Block(self.names[k], np.flatnonzero(which == k)) for k in kept]
        found.shapes = [block.indices.shape for block in found.blocks]
        found.size, found.place = len(chosen), lambda i: self.place(int(chosen[i]))
        return found

    def place(self, i: int) -> "Entry":
        """Where a coordinate is from, whatever was narrowed since."""
        which = int(np.searchsorted(self.ends, i, side="right"))
        offset, shape = int(i - self.blocks[which].indices[0]), self.shapes[which]
        is_imaginary, offset = divmod(offset, int(np.prod(shape))) if self.is_complex[which] else (None, offset)
        index = tuple(map(int, np.unravel_index(offset, shape))) if shape else ()
        return Entry(self.names[which], shape, index, is_imaginary)

    def label(self, i: int) -> str:
        """``params['kernel'][3, 4]``, and the part of a complex entry."""
        entry = self.place(i)
        part = {None: "", 0: " (real part)", 1: " (imaginary part)"}[entry.is_imaginary]
        return entry.name + (f"[{', '.join(map(str, entry.at))}]" if entry.at else "") + part

    def conjugated(self) -> np.ndarray:
        """What a conjugation makes of each coordinate: -1 for imaginary parts, 1 for all others."""
        is_imaginary = (any(self.is_complex) and self.place(i).is_imaginary == 1 for i in range(self.size))
        return np.where(list(is_imaginary), -1.0, 1.0)

    def vector(self, arrays: Sequence[Any], lead: int = 0, conjugate: bool = False) -> np.ndarray:
        """(lead, size) float64 from arrays, each with its lead axes; of gradients the conjugate has the coordinates."""
        parts = []
        for array, shape, double in zip(arrays, self.shapes, self.is_complex):
            array = np.asarray(array)
            front = array.shape[:lead]
            array = array.astype(complex if double else float).reshape(*front, int(np.prod(shape)))
            parts += [np.real(array), (-1 if conjugate else 1) * np.imag(array)] if double else [array]
        return np.concatenate(parts, axis=-1)

    def arrays(self, vectors: np.ndarray, conjugate: bool = False) -> list[np.ndarray]:
        """The arrays of each of several vectors, (count, size), in the program's own precision."""
        return [x.astype(dtype) for x, dtype in zip(self.wide_arrays(vectors, conjugate), self.dtypes)]

    def wide_arrays(self, vectors: np.ndarray, conjugate: bool = False) -> list[np.ndarray]:
        """The same in float64, and in complex128."""
        found = []
        for block, shape, double in zip(self.blocks, self.shapes, self.is_complex):
            part = vectors[:, block.indices]
            if double:
                real, imaginary = np.split(part, 2, axis=1)
                part = real + (-1j if conjugate else 1j) * imaginary
            found.append(part.reshape(len(vectors), *shape))
        return found


class UnitVectors:
    """Directions along some coordinates, as rows that are written out when they are asked for."""

    def __init__(self, chosen: np.ndarray, size: int):
        self.chosen, self.size = chosen, size

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """(size,) of an index, (rows, size) of a slice or of several."""
        chosen = self.chosen[rows]
        vectors = np.zeros((*np.shape(chosen), self.size))
        np.put_along_axis(vectors, np.asarray(chosen)[..., None], 1.0, axis=-1)
        return vectors


class Claim(NamedTuple):
    """What somebody answers of derivatives, and what it may be off by; (count, size) each."""

    derivative: np.ndarray
    error: np.ndarray


@np.errstate(all="ignore")
def combined(weights: np.ndarray, derivative: np.ndarray) -> np.ndarray:
    """(combinations, count) from (combinations, outputs) and (count, outputs); zero times infinity is zero."""
    if np.isfinite(derivative).all():
        return weights @ derivative.T
    terms = np.where(weights[:, None, :] == 0.0, 0.0, weights[:, None, :] * derivative[None])
    return terms.sum(axis=-1)


@dataclass(frozen=True)
class Sides:
    """What combinations of the outputs change by along each direction, (combinations, directions).

    Just after the point, halfway to what it is just before it, and half the distance of both. The error is that of what
    was told from points nearby, which `nearby` has by the first direction of a pass: where, and what. There may be a
    derived bound where nothing but increments through decided comparisons took part.
    """

    after: np.ndarray
    middle: np.ndarray
    apart: np.ndarray
    error: np.ndarray
    is_smooth: bool
    nearby: Mapping[int, tuple[np.ndarray, np.ndarray]]
