"""Primitives that fold an axis: sums, products, extremes, the cumulative ones, sorting, and scatters that add."""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.increments import (
    Increment,
    constant,
    directions,
    full_change,
    is_constant,
    linear,
    unknown_where,
)
from reference.traced.primitives.branching import extreme
from reference.traced.primitives.moving import scatter_targets

Fold = Callable[[Increment, Increment], Increment]


def _axes(equation: Any, lead: int) -> tuple[int, ...]:
    return tuple(lead + axis for axis in equation.params["axes"])


def _reduce_sum(run: Any, equation: Any, x: Increment) -> Increment:
    return linear(lambda lead, array: np.sum(array, axis=_axes(equation, lead), dtype=array.dtype), x)


def _reduce_extreme(larger: bool) -> Callable[..., Increment]:
    fold, nothing = (np.max, -np.inf) if larger else (np.min, np.inf)

    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        axes, value = _axes(equation, 0), np.asarray(x.value)
        folded = fold(value, axis=axes, keepdims=True)
        if is_constant(x) or value.dtype.kind not in "fc":
            return constant(folded.squeeze(axes))
        if value.dtype.kind == "c":
            return _folded(x, equation.params["axes"], _larger(run, larger))
        first = value == folded
        run.ties |= bool((first.sum(axis=axes) > 1).any())
        change = fold(np.where(first, x.change, nothing), axis=_axes(equation, 1))
        change = np.where(np.isnan(folded.squeeze(axes)), np.nan, change)
        return Increment(folded.squeeze(axes), change)

    return rule


def _reduce_truth(ufunc: np.ufunc) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        axes = _axes(equation, 0)
        value = ufunc.reduce(x.value, axis=axes)
        if is_constant(x):
            return constant(value)
        flips = ufunc.reduce(np.asarray(x.value) ^ x.change, axis=_axes(equation, 1)) ^ value
        return Increment(value, flips) if flips.any() else constant(value)

    return rule


def _folded(x: Increment, axes: Any, fold: Fold) -> Increment:
    for axis in sorted(axes, reverse=True):
        x = _last(_running(x, axis, fold), axis)
    return x


def _reduce_prod(run: Any, equation: Any, x: Increment) -> Increment:
    return _folded(x, equation.params["axes"], _times)


def _last(x: Increment, axis: int) -> Increment:
    if np.shape(x.value)[axis] == 0:
        return constant(np.ones(np.delete(np.shape(x.value), axis)))
    return linear(lambda lead, array: np.take(array, -1, axis=lead + axis), x)


def _times(run_so_far: Increment, x: Increment) -> Increment:
    return Increment(run_so_far.value * x.value, run_so_far.value * x.change + run_so_far.change * x.value)


def _running(x: Increment, axis: int, fold: Fold) -> Increment:
    """A fold along an axis, every step kept."""
    values, count = np.moveaxis(np.asarray(x.value), axis, 0), directions(x)
    changes = np.moveaxis(full_change(x, count), 1 + axis, 0) if count else [0.0] * len(values)
    steps = []
    for value, change in zip(values, changes):
        step = Increment(value, change)
        steps.append(fold(steps[-1], step) if steps else step)
    if not steps:
        return x
    value = np.stack([np.asarray(step.value) for step in steps], axis)
    return Increment(value, np.stack([step.change for step in steps], 1 + axis) if count else 0.0)


def _cumulative(fold: Callable[[Any], Fold]) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        axis, reverse = equation.params["axis"], equation.params["reverse"]

        def turned(y: Increment) -> Increment:
            return linear(lambda lead, array: np.flip(array, lead + axis), y) if reverse else y

        return turned(_running(turned(x), axis, fold(run)))

    return rule


def _cumsum(run: Any, equation: Any, x: Increment) -> Increment:
    axis, reverse = equation.params["axis"], equation.params["reverse"]

    def sums(lead: int, array: Any) -> Any:
        array = np.flip(array, lead + axis) if reverse else array
        array = np.cumsum(array, axis=lead + axis, dtype=array.dtype)
        return np.flip(array, lead + axis) if reverse else array

    return linear(sums, x)


def _larger(run: Any, larger: bool) -> Fold:
    return lambda x, y: extreme(run, x, y, larger)


def _log_sum(x: Increment, y: Increment) -> Increment:
    if np.iscomplexobj(x.value):  # the logarithm's imaginary part is that of the sum itself
        largest = np.maximum(np.real(x.value), np.real(y.value))
        largest = np.where(np.isfinite(largest), largest, 0.0)
        value = largest + np.log(np.exp(x.value - largest) + np.exp(y.value - largest))
    else:
        value = np.logaddexp(x.value, y.value)
    finite = np.where(np.isfinite(value), value, 0.0)
    return Increment(value, np.exp(x.value - finite) * x.change + np.exp(y.value - finite) * y.change)


def _arg_extreme(larger: bool) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        (axis,) = equation.params["axes"]
        found = (np.argmax if larger else np.argmin)(x.value, axis=axis)
        if not is_constant(x):
            best = np.expand_dims(np.take_along_axis(x.value, np.expand_dims(found, axis), axis).squeeze(axis), axis)
            run.ties |= bool(((x.value == best).sum(axis=axis) > 1).any())
        return constant(found.astype(equation.params["index_dtype"]))

    return rule


def _sort(run: Any, equation: Any, *operands: Increment) -> list[Increment]:
    """Sorted by the first operands; of equal keys, the changes decide, as they do after the step."""
    axis, keys = equation.params["dimension"], operands[: equation.params["num_keys"]]
    order = _order([(key.value,) for key in keys], axis)
    count = directions(*operands)
    values = [np.take_along_axis(np.asarray(x.value), order, axis) for x in operands]
    if not count:
        return list(map(constant, values))
    orders = np.broadcast_to(order, (count, *order.shape))
    changing = [key for key in keys if not is_constant(key)]
    in_order = [np.real(np.take_along_axis(np.asarray(key.value), order, axis)) for key in keys]
    if changing and np.all([np.diff(key, axis=axis) == 0 for key in in_order], axis=0).any():
        run.ties = True
        orders = _order([(np.broadcast_to(k.value, orders.shape), full_change(k, count)) for k in keys], 1 + axis)
    sorted_operands = []
    for x, value in zip(operands, values):
        if is_constant(x) and np.array_equal(orders[0], order) and (orders == order).all():
            sorted_operands.append(constant(value))
            continue
        change = np.take_along_axis(full_change(x, count), orders, 1 + axis)
        own = np.take_along_axis(np.broadcast_to(x.value, orders.shape), orders, 1 + axis)
        if np.any(own != value) and np.asarray(value).dtype.kind in "fc":
            run.unresolved = "an order of equal numbers decides what is computed"
            change = unknown_where(own != value, change)
        sorted_operands.append(Increment(value, change if np.asarray(value).dtype.kind in "fc" else 0.0))
    return sorted_operands


def _order(keys: list[tuple[Any, ...]], axis: int) -> np.ndarray:
    """The stable order by several keys, the first one first, each a value and perhaps a change that decides after it.

    Complex numbers go by their real parts, and where these stay equal by their imaginary ones; NaN comes last.
    """
    parts: list[Any] = []
    for key in keys:
        parts += [part(x) for part in (np.real, np.imag) for x in key] if np.iscomplexobj(key[0]) else key
    return np.lexsort(parts[::-1], axis=axis)


def _top_k(run: Any, equation: Any, x: Increment) -> list[Increment]:
    axis = equation.params.get("axis", -1)
    k = equation.params["k"]
    value = np.moveaxis(np.asarray(x.value), axis, -1)
    order = np.argsort(-value, axis=-1, kind="stable")[..., :k]
    kept = np.moveaxis(np.take_along_axis(value, order, -1), -1, axis)
    index = constant(np.moveaxis(order, -1, axis).astype(equation.dtypes[1]))
    if is_constant(x):
        return [constant(kept), index]
    ordered = -np.sort(-value, axis=-1)
    run.ties |= bool((np.diff(ordered[..., : k + 1], axis=-1) == 0).any())
    change = np.moveaxis(x.change, axis if axis < 0 else 1 + axis, -1)
    by_change = np.lexsort((-change, np.broadcast_to(-value, change.shape)), axis=-1)[..., :k]
    return [
        Increment(kept, np.moveaxis(np.take_along_axis(change, by_change, -1), -1, axis if axis < 0 else 1 + axis)),
        index,
    ]


# -- scatters that combine --------------------------------------------------------------------------------------------


def _scatter_add(run: Any, equation: Any, x: Increment, indices: Increment, updates: Increment) -> Increment:
    target = scatter_targets(np.shape(x.value), indices.value, np.shape(updates.value), equation.params).reshape(-1)
    inside = target >= 0

    def add(lead: int, array: Any, update: Any) -> Any:
        flat = np.array(array).reshape(*array.shape[:lead], -1)
        parts = update.reshape(*update.shape[:lead], -1)[..., inside]
        np.add.at(flat, (..., target[inside]), parts)  # pyright: ignore[reportArgumentType]
        return flat.reshape(array.shape)

    return linear(add, x, updates)


def _scatter_sub(run: Any, equation: Any, x: Increment, indices: Increment, updates: Increment) -> Increment:
    return _scatter_add(run, equation, x, indices, linear(lambda lead, update: -update, updates))


def _scatter_fold(fold: Callable[[Any], Fold]) -> Callable[..., Increment]:
    """A scatter that multiplies or takes extremes, one update after another."""

    def rule(run: Any, equation: Any, x: Increment, indices: Increment, updates: Increment) -> Increment:
        shape = np.shape(x.value)
        target = scatter_targets(shape, indices.value, np.shape(updates.value), equation.params).reshape(-1)
        count, combine = directions(x, updates), fold(run)
        value = np.array(x.value).reshape(-1)
        change = np.array(full_change(x, count)).reshape(count, value.size)
        new = np.asarray(updates.value).reshape(-1)
        new_change = full_change(updates, count).reshape(count, new.size)
        for i in np.flatnonzero(target >= 0):
            at = target[i]
            found = combine(Increment(value[at], change[:, at]), Increment(new[i], new_change[:, i]))
            value[at], change[:, at] = found.value, found.change
        return Increment(value.reshape(shape), change.reshape(count, *shape) if count else 0.0)

    return rule


RULES: dict[str, Callable[..., Any]] = {
    "reduce_sum": _reduce_sum,
    "reduce_max": _reduce_extreme(larger=True),
    "reduce_min": _reduce_extreme(larger=False),
    "reduce_prod": _reduce_prod,
    "reduce_and": _reduce_truth(np.bitwise_and),
    "reduce_or": _reduce_truth(np.bitwise_or),
    "reduce_xor": _reduce_truth(np.bitwise_xor),
    "argmax": _arg_extreme(larger=True),
    "argmin": _arg_extreme(larger=False),
    "cumsum": _cumsum,
    "cumprod": _cumulative(lambda run: _times),
    "cummax": _cumulative(lambda run: _larger(run, larger=True)),
    "cummin": _cumulative(lambda run: _larger(run, larger=False)),
    "cumlogsumexp": _cumulative(lambda run: _log_sum),
    "sort": _sort,
    "top_k": _top_k,
    "scatter-add": _scatter_add,
    "scatter_add": _scatter_add,
    "scatter-sub": _scatter_sub,
    "scatter_sub": _scatter_sub,
    "scatter-mul": _scatter_fold(lambda run: _times),
    "scatter_mul": _scatter_fold(lambda run: _times),
    "scatter-max": _scatter_fold(lambda run: _larger(run, larger=True)),
    "scatter_max": _scatter_fold(lambda run: _larger(run, larger=True)),
    "scatter-min": _scatter_fold(lambda run: _larger(run, larger=False)),
    "scatter_min": _scatter_fold(lambda run: _larger(run, larger=False)),
}
