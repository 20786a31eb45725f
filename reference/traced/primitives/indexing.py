"""Primitives that read and write entries by their indices: slices at computed places, gathers and scatters.

A gather is computed as a map of indices: for each entry of the result its number in the operand, counted row by row. A
scatter is the gather that reads it backwards: x.at[2].add(u) writes where x[2] reads. Both use JAX's own lists of axes
(`jax.lax.GatherDimensionNumbers`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax import lax

from reference.arithmetics.increments import Increment, count_directions, full_change, linear
from reference.traced.equations import is_floating
from reference.traced.primitive import ADDED_UP, EXACT, Compilation, Primitive
from reference.traced.primitives.data_movement import exact_move
from reference.traced.primitives.elementary_functions import bound_of_negation
from reference.traced.primitives.reductions import SUM, Fold, bound_of_sums, larger_of, multiply, smaller_of

# -- slices -----------------------------------------------------------------------------------------------------------


def _clipped(starts: tuple[Increment, ...], shape: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[slice, ...]:
    firsts = [min(max(int(s.value), 0), length - size) for s, length, size in zip(starts, shape, sizes)]
    return tuple(slice(first, first + size) for first, size in zip(firsts, sizes))


def _dynamic_slice(run: Any, equation: Any, x: Increment, *starts: Increment) -> Increment:
    block = _clipped(starts, np.shape(x.value), equation.params["slice_sizes"])
    return linear(lambda lead, array: array[(slice(None),) * lead + block], x)


def _dynamic_update_slice(run: Any, equation: Any, x: Increment, update: Increment, *starts: Increment) -> Increment:
    block = _clipped(starts, np.shape(x.value), np.shape(update.value))

    def put(lead: int, array: Any, part: Any) -> Any:
        array = np.array(array)
        array[(slice(None),) * lead + block] = part
        return array

    return linear(put, x, update)


# -- gathers ----------------------------------------------------------------------------------------------------------


def _gather(run: Any, equation: Any, x: Increment, indices: Increment) -> Increment:
    params, value = equation.params, np.asarray(x.value)
    index = gather_numbers(value.shape, indices.value, params)
    fill = params.get("fill_value")
    if fill is None:
        fill = np.nan if is_floating(value) else 0
    moved = linear(lambda lead, array: _taken(lead, array, index), x)
    return Increment(_taken(0, value, index, fill), moved.change)


def _taken(lead: int, x: Any, index: np.ndarray, fill: Any = 0) -> Any:
    """Entries of x by their numbers; the number -1 takes `fill`."""
    flat = x.reshape(*x.shape[:lead], -1)
    if not flat.shape[-1]:
        return np.full((*x.shape[:lead], *index.shape), fill, x.dtype)
    entries = flat[..., np.maximum(index, 0)]
    return np.where(index < 0, np.asarray(fill).astype(x.dtype), entries) if (index < 0).any() else entries


def gather_numbers(shape: tuple[int, ...], indices: Any, params: Any) -> np.ndarray:
    """For each entry of a gather its number in the operand, -1 where it lies outside."""
    numbers, indices = params["dimension_numbers"], np.asarray(indices).astype(np.int64)
    still = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    windows = dict(zip((d for d in range(len(shape)) if d not in still), numbers.offset_dims))
    rank = indices.ndim - 1 + len(windows)
    places = [axis for axis in range(rank) if axis not in numbers.offset_dims]  # of the axes that indices have

    def along(axes: Sequence[int], array: np.ndarray) -> np.ndarray:
        lengths = dict(zip(axes, array.shape))
        return array.reshape([lengths.get(axis, 1) for axis in range(rank)])

    # the number of entry (i, j, k) is (i · length + j) · length + k: one axis of the operand after another
    number, inside = np.zeros((1,) * rank, np.int64), np.ones((1,) * rank, bool)
    for d, (length, size) in enumerate(zip(shape, params["slice_sizes"])):
        number = number * length
        if d in numbers.start_index_map:  # where the slice starts along this axis, by the indices
            start = indices[..., numbers.start_index_map.index(d)]
            first = np.clip(start, 0, length - size)
            number, inside = number + along(places, first), inside & along(places, first == start)
        if d in numbers.operand_batching_dims:  # an axis that operand and indices share
            axis = numbers.start_indices_batching_dims[numbers.operand_batching_dims.index(d)]
            number = number + along([places[axis]], np.arange(length))
        if d in windows:  # the place within the slice
            number = number + along([windows[d]], np.arange(size))
    return np.where(inside, number, -1) if params["mode"] == lax.GatherScatterMode.FILL_OR_DROP else number


# -- scatters ---------------------------------------------------------------------------------------------------------


def _scatter_targets(x: Increment, indices: Increment, updates: Increment, params: Any) -> np.ndarray:
    """For each entry of the updates, in a row, its number in the operand; -1 where it lies outside."""
    shape, numbers = np.shape(x.value), params["dimension_numbers"]
    batching = tuple(numbers.operand_batching_dims)
    # a scatter's parameters in a gather's names: window dimensions are offset dimensions, inserted ones are collapsed
    window = [d for d in range(len(shape)) if d not in numbers.inserted_window_dims and d not in batching]
    sizes = [1] * len(shape)
    for axis, dim in zip(numbers.update_window_dims, window):
        sizes[dim] = np.shape(updates.value)[axis]
    backwards = lax.GatherDimensionNumbers(
        offset_dims=tuple(numbers.update_window_dims),
        collapsed_slice_dims=tuple(numbers.inserted_window_dims),
        start_index_map=tuple(numbers.scatter_dims_to_operand_dims),
        operand_batching_dims=batching,
        start_indices_batching_dims=tuple(numbers.scatter_indices_batching_dims),
    )
    read = {"dimension_numbers": backwards, "slice_sizes": tuple(sizes), "mode": params["mode"]}
    return gather_numbers(shape, indices.value, read).reshape(-1)


def _scatter(write: Callable[[Any, Any, Any], None]) -> Callable[..., Increment]:
    """A scatter that writes the updates into a flat copy of x by ``write(flat, numbers, updates)``."""

    def rule(run: Any, equation: Any, x: Increment, indices: Increment, updates: Increment) -> Increment:
        target = _scatter_targets(x, indices, updates, equation.params)
        inside = target >= 0

        def put(lead: int, array: Any, update: Any) -> Any:
            flat = np.array(array).reshape(*array.shape[:lead], -1)
            write(flat, target[inside], update.reshape(*update.shape[:lead], -1)[..., inside])
            return flat.reshape(array.shape)

        return linear(put, x, updates)

    return rule


# of two updates of one entry, the last in order of the array counts
_scatter_over = _scatter(lambda flat, at, new: flat.__setitem__((..., at), new))
_scatter_add = _scatter(lambda flat, at, new: np.add.at(flat, (..., at), new))  # pyright: ignore[reportArgumentType]


def _scatter_sub(run: Any, equation: Any, x: Increment, indices: Increment, updates: Increment) -> Increment:
    return _scatter_add(run, equation, x, indices, linear(lambda lead, update: -update, updates))


_bound_of_scatter_add = bound_of_sums(_scatter_add)


def _bound_of_scatter_sub(run: Any, equation: Any, x: Increment, indices: Increment, updates: Increment) -> Increment:
    return _bound_of_scatter_add(run, equation, x, indices, bound_of_negation(run, equation, updates))


def _scatter_fold(fold: Fold) -> Callable[..., Increment]:
    """A scatter that multiplies or takes extremes, one update after another."""

    def rule(run: Any, equation: Any, x: Increment, indices: Increment, updates: Increment) -> Increment:
        # one by one, since several updates may fall on one entry
        shape, target = np.shape(x.value), _scatter_targets(x, indices, updates, equation.params)
        count = count_directions(x, updates)
        value = np.array(x.value).reshape(-1)
        change = np.array(full_change(x, count)).reshape(count, value.size)
        new = np.asarray(updates.value).reshape(-1)
        new_change = full_change(updates, count).reshape(count, new.size)
        for i in np.flatnonzero(target >= 0):
            at = target[i]
            found = fold(run, Increment(value[at], change[:, at]), Increment(new[i], new_change[:, i]))
            value[at], change[:, at] = found.value, found.change
        return Increment(value.reshape(shape), change.reshape(count, *shape) if count else 0.0)

    return rule


PRIMITIVES: tuple[Primitive, ...] = (
    exact_move("dynamic_slice", _dynamic_slice),
    exact_move("dynamic_update_slice", _dynamic_update_slice),
    exact_move("gather", _gather, compilation=Compilation.KEPT),
    exact_move("scatter", _scatter_over),
    Primitive("scatter-add", _scatter_add, _bound_of_scatter_add, SUM),
    Primitive("scatter-sub", _scatter_sub, _bound_of_scatter_sub, ADDED_UP),
    Primitive("scatter-mul", _scatter_fold(multiply)),
    Primitive("scatter-max", _scatter_fold(larger_of), rounding=EXACT),
    Primitive("scatter-min", _scatter_fold(smaller_of), rounding=EXACT),
    Primitive("select_and_scatter_add", rounding=ADDED_UP),
)
