"""Arrays as real coordinates: a complex entry has two, its real part and its imaginary part.

Arguments x = [1., 2.] and z = [3. + 4.j] are the vector (1, 2, 3, 4). A derivative is then one real number for each
coordinate of an output and each of an input, whatever the trees and types of the function.

JAX's convention is kept. For a function with values f, reverse mode returns g = Σ w·∂f/∂z without any conjugate, so
that Re(g·t) is the change of Re(w·f) along t. The coordinates of g are therefore Re g and -Im g: the derivatives of
Re(w·f) with respect to the real and the imaginary part of z. For a real function of z = x + iy, g = ∂f/∂x - i ∂f/∂y.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from harness.verdict.comparison import Block
from reference.traced.equations import kind


class Entry(NamedTuple):
    """Where a coordinate comes from: an array's name and shape, the index in it, and the part of a complex entry.

    `is_imaginary` is None for a real array, else 0 for the real part and 1 for the imaginary part.
    """

    name: str
    shape: tuple[int, ...]
    at: tuple[int, ...]
    is_imaginary: int | None

    @property
    def is_on_diagonal(self) -> bool:
        """Whether it is on the diagonal of a square matrix, or of a stack of them: a transpose does not move it."""
        return len(self.shape) > 1 and self.shape[-1] == self.shape[-2] and self.at[-1] == self.at[-2]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the entries of several arrays are in one vector of real numbers.

    The coordinates of an array are together; of a complex one, all real parts come before all imaginary parts.
    """

    names: list[str]
    shapes: list[tuple[int, ...]]
    dtypes: list[Any]
    is_complex: list[bool]
    blocks: list[Block]  # the coordinates of each array
    size: int  # the number of coordinates
    # for a selection of coordinates: the layout that they come from, and where they are in it, (size,)
    whole: "Layout | None" = None
    places: np.ndarray | None = None

    @staticmethod
    def of(names: Sequence[str], arrays: Sequence[Any]) -> "Layout":
        """The layout of arrays, or of whatever has a shape and a dtype."""
        shapes, dtypes = [tuple(np.shape(array)) for array in arrays], [array.dtype for array in arrays]
        is_complex = [kind(dtype) == "c" for dtype in dtypes]
        sizes = [int(np.prod(shape)) * (2 if double else 1) for shape, double in zip(shapes, is_complex)]
        ends = np.cumsum(sizes).tolist()
        blocks = [Block(name, slice(end - n, end)) for name, end, n in zip(names, ends, sizes)]
        return Layout(list(names), shapes, dtypes, is_complex, blocks, sum(sizes))

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum([block.size for block in self.blocks])

    def select(self, places: np.ndarray) -> "Layout":
        """The layout of some coordinates, in their order: flat arrays, without those that have no coordinate left."""
        which = np.searchsorted(self._ends, places, side="right")  # the array that each coordinate is in
        kept = np.unique(which).tolist()
        names, dtypes, is_complex = ([of[k] for k in kept] for of in (self.names, self.dtypes, self.is_complex))
        blocks = [Block(self.names[k], np.flatnonzero(which == k)) for k in kept]
        shapes = [block.indices.shape for block in blocks]
        return Layout(names, shapes, dtypes, is_complex, blocks, len(places), self, places)

    def place(self, i: int) -> Entry:
        """Where a coordinate comes from, also if it was selected."""
        if self.whole is not None and self.places is not None:
            return self.whole.place(int(self.places[i]))
        which = int(np.searchsorted(self._ends, i, side="right"))
        offset, shape = int(i - self._ends[which] + self.blocks[which].size), self.shapes[which]
        is_imaginary, offset = divmod(offset, int(np.prod(shape))) if self.is_complex[which] else (None, offset)
        index = tuple(map(int, np.unravel_index(offset, shape))) if shape else ()
        return Entry(self.names[which], shape, index, is_imaginary)

    def label(self, i: int) -> str:
        entry = self.place(i)
        part = {None: "", 0: " (real part)", 1: " (imaginary part)"}[entry.is_imaginary]
        return entry.name + (f"[{', '.join(map(str, entry.at))}]" if entry.at else "") + part

    def conjugation(self) -> np.ndarray:
        """The sign that a conjugation gives to each coordinate: -1 for imaginary parts, 1 for all others."""
        is_imaginary = (any(self.is_complex) and self.place(i).is_imaginary == 1 for i in range(self.size))
        return np.where(list(is_imaginary), -1.0, 1.0)

    def vector(self, arrays: Sequence[Any], lead: int = 0, *, conjugate: bool = False) -> np.ndarray:
        """Arrays as (lead, size) float64, each with `lead` axes in front; gradients are conjugated."""
        front = np.shape(arrays[0])[:lead]
        found = np.empty((*front, self.size))
        for array, shape, block, double in zip(arrays, self.shapes, self.blocks, self.is_complex):
            array = np.asarray(array).reshape(*front, int(np.prod(shape)))
            if double:
                array = array.astype(complex)
                array = np.concatenate([np.real(array), (-1 if conjugate else 1) * np.imag(array)], axis=-1)
            found[..., block.places] = array
        return found

    def arrays(self, vectors: np.ndarray, *, conjugate: bool = False) -> list[np.ndarray]:
        """Vectors, (count, size), as arrays in the program's own precision."""
        return [x.astype(t) for x, t in zip(self.wide_arrays(vectors, conjugate=conjugate), self.dtypes)]

    def wide_arrays(self, vectors: np.ndarray, *, conjugate: bool = False) -> list[np.ndarray]:
        """Vectors, (count, size), as arrays in float64 and complex128; views of the vectors where these are real."""
        found = []
        for part, shape, double in zip(np.split(vectors, self._ends[:-1], axis=1), self.shapes, self.is_complex):
            if double:
                real, imaginary = np.split(part, 2, axis=1)
                part = real + (-1j if conjugate else 1j) * imaginary
            found.append(part.reshape(len(vectors), *shape))
        return found


class UnitVectors:
    """Unit vectors along some coordinates, as rows that are made when they are read.

    Those of a million inputs would fill 8 TB.
    """

    def __init__(self, axes: np.ndarray, size: int):
        self.axes, self.size = axes, size

    def __len__(self) -> int:
        return len(self.axes)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """(size,) for an index, (rows, size) for a slice or several indices."""
        axes = self.axes[rows]
        vectors = np.zeros((*np.shape(axes), self.size))
        np.put_along_axis(vectors, np.asarray(axes)[..., None], 1.0, axis=-1)
        return vectors


class Estimate(NamedTuple):
    """Derivatives and a bound on their errors, arrays of one shape. The error is infinite where nothing is known."""

    derivative: np.ndarray
    error: np.ndarray


class Sides(NamedTuple):
    """The left and the right derivative at a kink: their mean, and half of their distance (0 where f is smooth)."""

    mean: np.ndarray
    half_gap: np.ndarray


EstimateOrSides = TypeVar("EstimateOrSides", Estimate, Sides)


def combine(weights: np.ndarray, derivative: np.ndarray) -> np.ndarray:
    """Σ_o w[k, o] ∂f_o, (combinations, count), from (combinations, outputs) and (count, outputs).

    Zero times infinity is zero here: an output without weight takes no part.
    """
    if np.isfinite(derivative).all():
        return weights @ derivative.T
    # term by term, since a matrix product makes NaN of 0 · inf
    terms = np.where(weights[:, None, :] == 0.0, 0.0, weights[:, None, :] * derivative[None])
    return terms.sum(axis=-1)


@dataclass(frozen=True, eq=False)
class Combinations:
    """The combinations of outputs w·f that are differentiated.

    A single output has a weight, too, which is not 1: a rule that drops its cotangent, or multiplies by it twice, is
    right for a cotangent of 1.
    """

    outputs: Layout
    weights: np.ndarray  # (combinations, outputs) array; diagonal if `each`
    # whether each output is a combination by itself, so that its derivatives are reported without its weight
    each: bool

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def rows(self) -> np.ndarray:
        """The outputs that derivatives are reported of, as rows of weights."""
        return np.eye(self.outputs.size) if self.each else self.weights

    @property
    def cotangents(self) -> np.ndarray:
        """The weight by which each combination's derivatives are divided when they are reported, (combinations,).

        Single outputs have weights other than 1 in a run, so that a rule which forgets its cotangent shows.
        """
        return np.diag(self.weights) if self.each else np.ones(len(self.weights))

    def per_output(self, found: EstimateOrSides) -> EstimateOrSides:
        """Derivatives and how far they may be off, as flat arrays, without the weights of single outputs."""
        derivative, off = found
        if self.each:
            weights = self.cotangents[:, None]
            derivative, off = derivative / weights, off / np.abs(weights)
        return type(found)(derivative.ravel(), off.ravel())


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The derivatives of combinations of outputs in all inputs: coordinate k·n + i is combination k, input i."""

    inputs: Layout  # the n inputs; for a function of many inputs those that are compared one by one
    combinations: Combinations
    point: np.ndarray  # (n,) array
    is_examined: np.ndarray  # (n,) bool array: the inputs whose derivatives are compared one by one
    all_inputs: int  # how many inputs the function has

    @property
    def examined(self) -> np.ndarray:
        """Mask of the coordinates that are compared."""
        return np.tile(self.is_examined, len(self.combinations))

    @cached_property
    def blocks(self) -> list[Block]:
        """The coordinates of each input array, for each output array by itself if outputs are."""
        size, outputs = self.inputs.size, self.combinations.outputs.blocks
        rows = [("", np.arange(len(self.combinations)))]
        if self.combinations.each:
            rows = [(f" (of {b.name})" if len(outputs) > 1 else "", b.indices) for b in outputs if b.size]
        return [
            Block(b.name + of, b.places if at.tolist() == [0] else (at[:, None] * size + b.indices).ravel())
            for of, at in rows
            for b in self.inputs.blocks
        ]

    @property
    def has_several_outputs(self) -> bool:
        """Whether a coordinate's name needs that of its output."""
        return self.combinations.each and self.combinations.outputs.size > 1

    def label(self, i: int) -> str:
        k, i = divmod(int(i), self.inputs.size)
        name = self.inputs.label(i)
        return f"d {self.combinations.outputs.label(k)} / d {name}" if self.has_several_outputs else name

    def select(self, places: np.ndarray) -> "Coordinates":
        """The coordinates of some inputs alone."""
        kept = np.ones(len(places), bool)
        return Coordinates(self.inputs.select(places), self.combinations, self.point[places], kept, self.all_inputs)
