"""Primitives that move entries and compute nothing: the change moves as the value does.

Each is a function ``f(lead, params, *arrays)`` of arrays that have `lead` axes (the directions) before those that JAX
knows. Gathers and scatters are read as maps of indices, which JAX itself makes by moving the numbers 0, 1, 2, ...
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax import lax

from reference.arithmetics.increments import Increment, constant, directions, full_change, is_constant, linear


def _reshape(lead: int, params: Any, x: Any) -> Any:
    if params.get("dimensions") is not None:  # the order in which the axes are read
        x = np.transpose(x, (*range(lead), *(lead + axis for axis in params["dimensions"])))
    return x.reshape(x.shape[:lead] + tuple(params["new_sizes"]))


def _squeeze(lead: int, params: Any, x: Any) -> Any:
    return np.squeeze(x, axis=tuple(lead + axis for axis in params["dimensions"]))


def _expand(lead: int, params: Any, x: Any) -> Any:
    return np.expand_dims(x, tuple(lead + axis for axis in params["dimensions"]))


def _broadcast(lead: int, params: Any, x: Any) -> Any:
    shape, axes = params["shape"], params["broadcast_dimensions"]
    own = [1] * len(shape)
    for axis, length in zip(axes, x.shape[lead:]):
        own[axis] = length
    return np.broadcast_to(x.reshape(x.shape[:lead] + tuple(own)), x.shape[:lead] + tuple(shape))


def _transpose(lead: int, params: Any, x: Any) -> Any:
    return np.transpose(x, (*range(lead), *(lead + axis for axis in params["permutation"])))


def _reverse(lead: int, params: Any, x: Any) -> Any:
    return np.flip(x, tuple(lead + axis for axis in params["dimensions"]))


def _slice(lead: int, params: Any, x: Any) -> Any:
    strides = params["strides"] or [1] * (x.ndim - lead)
    parts = map(slice, params["start_indices"], params["limit_indices"], strides)
    return x[(slice(None),) * lead + tuple(parts)]


def _concatenate(lead: int, params: Any, *arrays: Any) -> Any:
    return np.concatenate(arrays, axis=lead + params["dimension"])


def _stack(lead: int, params: Any, *arrays: Any) -> Any:
    return np.stack(arrays, axis=lead + params["axis"])


def _tile(lead: int, params: Any, x: Any) -> Any:
    return np.tile(x, (1,) * lead + tuple(params["reps"]))


def _pad(lead: int, params: Any, x: Any, padding: Any) -> Any:
    """Padding at both ends and between the entries; a negative width cuts off."""
    lengths, kept, places = list(x.shape[:lead]), [slice(None)] * lead, [slice(None)] * lead
    for length, (low, high, interior) in zip(x.shape[lead:], params["padding_config"]):
        step = interior + 1
        padded = low + max(length + (length - 1) * interior, 0) + high
        first = max(0, -(low // step))  # the first entry that is not cut off, and the one after the last
        end = max(first, min(length, -((low - padded) // step)))
        lengths.append(padded)
        kept.append(slice(first, end))
        places.append(slice(low + first * step, low + end * step, step) if end > first else slice(0))
    filled = np.empty(lengths, x.dtype)
    filled[...] = padding.reshape(padding.shape + (1,) * (len(lengths) - padding.ndim))
    filled[tuple(places)] = x[tuple(kept)]
    return filled


MOVES: dict[str, Callable[..., Any]] = {
    "reshape": _reshape,
    "squeeze": _squeeze,
    "expand_dims": _expand,
    "broadcast_in_dim": _broadcast,
    "transpose": _transpose,
    "rev": _reverse,
    "slice": _slice,
    "concatenate": _concatenate,
    "stack": _stack,
    "tile": _tile,
    "pad": _pad,
}


def _moving(move: Callable[..., Any]) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, *operands: Increment) -> Increment:
        return linear(lambda lead, *arrays: move(lead, equation.params, *arrays), *operands)

    return rule


def _broadcast_rule(run: Any, equation: Any, x: Increment, *shape: Increment) -> Increment:
    return linear(lambda lead, array: _broadcast(lead, equation.params, array), x)


def _split(run: Any, equation: Any, x: Increment) -> list[Increment]:
    ends = np.cumsum(equation.params["sizes"])[:-1]
    axis = equation.params["axis"]
    values = np.split(x.value, ends, axis=axis)
    changes = [0.0] * len(values) if is_constant(x) else np.split(x.change, ends, axis=1 + axis)
    return list(map(Increment, values, changes))


def _unstack(run: Any, equation: Any, x: Increment) -> list[Increment]:
    axis = equation.params["axis"]
    values = np.moveaxis(x.value, axis, 0)
    changes = [0.0] * len(values) if is_constant(x) else np.moveaxis(x.change, 1 + axis, 0)
    return list(map(Increment, values, changes))


def _iota(run: Any, equation: Any) -> Increment:
    shape, axis = equation.params["shape"], equation.params["dimension"]
    own = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    dtype = np.float64 if np.dtype(equation.params["dtype"]).kind not in "iu" else equation.params["dtype"]
    return constant(np.broadcast_to(own, shape).astype(dtype))


# -- by a map of indices ----------------------------------------------------------------------------------------------


def taken(lead: int, x: Any, index: np.ndarray, fill: Any = 0) -> Any:
    """Entries of x by their numbers; the number -1 takes `fill`."""
    flat = x.reshape(*x.shape[:lead], -1)
    if not flat.shape[-1]:
        return np.full((*x.shape[:lead], *index.shape), fill, x.dtype)
    entries = flat[..., np.maximum(index, 0)]
    return np.where(index < 0, np.asarray(fill).astype(x.dtype), entries) if (index < 0).any() else entries


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


def _fill_of(params: Any) -> Any:
    fill = params.get("fill_value")
    return np.nan if fill is None else fill


def _gather(run: Any, equation: Any, x: Increment, indices: Increment) -> Increment:
    params, value = equation.params, np.asarray(x.value)
    index = _gathered(value.shape, indices.value, params)
    fill = _fill_of(params) if value.dtype.kind in "fc" else params.get("fill_value") or 0
    moved = linear(lambda lead, array: taken(lead, array, index), x)
    return Increment(taken(0, value, index, fill), moved.change)


def _gathered(shape: tuple[int, ...], indices: Any, params: Any) -> np.ndarray:
    """For each entry of a gather its number in the operand, -1 where it lies outside."""
    numbers, indices = params["dimension_numbers"], np.asarray(indices).astype(np.int64)
    still = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    windows = dict(zip((d for d in range(len(shape)) if d not in still), numbers.offset_dims))
    rank = indices.ndim - 1 + len(windows)
    places = [axis for axis in range(rank) if axis not in numbers.offset_dims]  # of the axes that indices have

    def along(axes: Sequence[int], array: np.ndarray) -> np.ndarray:
        lengths = dict(zip(axes, array.shape))
        return array.reshape([lengths.get(axis, 1) for axis in range(rank)])

    number, inside = np.zeros((1,) * rank, np.int64), np.ones((1,) * rank, bool)
    for d, (length, size) in enumerate(zip(shape, params["slice_sizes"])):
        number = number * length
        if d in numbers.start_index_map:
            start = indices[..., numbers.start_index_map.index(d)]
            first = np.clip(start, 0, length - size)
            number, inside = number + along(places, first), inside & along(places, first == start)
        if d in numbers.operand_batching_dims:
            axis = numbers.start_indices_batching_dims[numbers.operand_batching_dims.index(d)]
            number = number + along([places[axis]], np.arange(length))
        if d in windows:
            number = number + along([windows[d]], np.arange(size))
    return np.where(inside, number, -1) if params["mode"] == lax.GatherScatterMode.FILL_OR_DROP else number


def scatter_targets(shape: tuple[int, ...], indices: Any, updates: tuple[int, ...], params: Any) -> np.ndarray:
    """For each entry of the updates its number in the operand, -1 where it lies outside: a scatter read backwards."""
    numbers = params["dimension_numbers"]
    batching = tuple(numbers.operand_batching_dims)
    window = [d for d in range(len(shape)) if d not in numbers.inserted_window_dims and d not in batching]
    sizes = [1] * len(shape)
    for axis, dim in zip(numbers.update_window_dims, window):
        sizes[dim] = updates[axis]
    backwards = lax.GatherDimensionNumbers(
        offset_dims=tuple(numbers.update_window_dims),
        collapsed_slice_dims=tuple(numbers.inserted_window_dims),
        start_index_map=tuple(numbers.scatter_dims_to_operand_dims),
        operand_batching_dims=batching,
        start_indices_batching_dims=tuple(numbers.scatter_indices_batching_dims),
    )
    read = {"dimension_numbers": backwards, "slice_sizes": tuple(sizes), "mode": params["mode"]}
    return _gathered(shape, indices, read)


def _scatter(run: Any, equation: Any, x: Increment, indices: Increment, updates: Increment) -> Increment:
    """What is written over; of two updates of one entry, the last in order of the array counts."""
    target = scatter_targets(np.shape(x.value), indices.value, np.shape(updates.value), equation.params)
    written, inside = target.reshape(-1), target.reshape(-1) >= 0

    def put(lead: int, array: Any, update: Any) -> Any:
        flat = np.array(array).reshape(*array.shape[:lead], -1)
        flat[..., written[inside]] = update.reshape(*update.shape[:lead], -1)[..., inside]
        return flat.reshape(array.shape)

    return linear(put, x, updates)


def _empty(run: Any, equation: Any) -> Increment:
    return constant(np.zeros(equation.shapes[0], equation.dtypes[0]))


def block_of(x: Increment, index: Any) -> Increment:
    """x[index] along the first axis that JAX knows."""
    return Increment(x.value[index], 0.0 if is_constant(x) else x.change[:, index])


def stacked(parts: list[Increment], empty: Increment) -> Increment:
    """The parts one after another along a new first axis."""
    if not parts:
        return empty
    count = directions(*parts)
    values = np.stack([np.asarray(part.value) for part in parts])
    return Increment(values, np.stack([full_change(part, count) for part in parts], axis=1) if count else 0.0)


def by_fixed_indices(rule: Callable[..., Increment], first: int) -> Callable[..., Increment]:
    """A rule whose operands from the first on are indices: where one turns at this point, no change can be told."""

    def fixed(run: Any, equation: Any, *operands: Increment) -> Increment:
        found = rule(run, equation, *operands)
        turning = [x for x in operands[first:] if np.asarray(x.value).dtype.kind in "iu" and not is_constant(x)]
        if not turning or np.asarray(found.value).dtype.kind not in "fc":
            return found
        run.unresolved = "an index changes at this point"
        turns = np.any([np.any(x.change, axis=tuple(range(1, np.ndim(x.change)))) for x in turning], axis=0)
        change = full_change(found, directions(*turning))
        return Increment(found.value, np.where(turns.reshape(-1, *[1] * np.ndim(found.value)), np.nan, change))

    return fixed


RULES: dict[str, Callable[..., Any]] = {
    **{name: _moving(move) for name, move in MOVES.items()},
    "broadcast_in_dim": _broadcast_rule,
    "split": _split,
    "unstack": _unstack,
    "iota": _iota,
    "empty": _empty,
    "dynamic_slice": by_fixed_indices(_dynamic_slice, 1),
    "dynamic_update_slice": by_fixed_indices(_dynamic_update_slice, 2),
    "gather": by_fixed_indices(_gather, 1),
    "scatter": by_fixed_indices(_scatter, 1),
}
