"""Primitives that move entries along axes, or sort them, and compute nothing: the change moves as the value does.

Most are a function ``move(lead, params, *arrays)`` of arrays that have `lead` axes (the directions) before those that
JAX knows: with lead 0 it moves the value, and with lead 1 the change. What moves entries moves their error bounds, too,
so that the rule of such a primitive is its bound.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment, constant, count_directions, full_change, is_constant, linear
from reference.traced.bounded_run import Unbounded, parts
from reference.traced.equations import is_floating
from reference.traced.interpreter import value_by
from reference.traced.primitive import EXACT, Choice, Compilation, Primitive, Rule, with_aliases

# -- along axes -------------------------------------------------------------------------------------------------------


def behind(lead: int, axes: Any) -> tuple[int, ...]:
    """Axes that JAX counts, where `lead` others come first."""
    return tuple(lead + axis for axis in axes)


def _permuted(lead: int, x: Any, order: Any) -> Any:
    return np.transpose(x, (*range(lead), *behind(lead, order)))


def _reshape(lead: int, params: Any, x: Any) -> Any:
    if params.get("dimensions") is not None:  # the order in which the axes are read
        x = _permuted(lead, x, params["dimensions"])
    return x.reshape(x.shape[:lead] + tuple(params["new_sizes"]))


def _broadcast(lead: int, params: Any, x: Any, *shape: Any) -> Any:
    shape, axes = params["shape"], params["broadcast_dimensions"]
    own = [1] * len(shape)
    for axis, length in zip(axes, x.shape[lead:]):
        own[axis] = length
    return np.broadcast_to(x.reshape(x.shape[:lead] + tuple(own)), x.shape[:lead] + tuple(shape))


def _slice(lead: int, params: Any, x: Any) -> Any:
    strides = params["strides"] or [1] * (x.ndim - lead)
    ranges = map(slice, params["start_indices"], params["limit_indices"], strides)
    return x[(slice(None),) * lead + tuple(ranges)]


def pad(lead: int, config: Any, x: Any, padding: Any) -> Any:
    """Padding (low, high, between entries) of each axis; a negative width cuts off.

    Entry i of an axis goes to place low + i (interior + 1), if that lies in it.
    """
    lengths, kept, places = list(x.shape[:lead]), [slice(None)] * lead, [slice(None)] * lead
    for length, (low, high, interior) in zip(x.shape[lead:], config):
        step = interior + 1
        padded = low + max(length + (length - 1) * interior, 0) + high
        # the first entry that is not cut off, ⌈-low/step⌉, and the one after the last
        first = max(0, -(low // step))
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
    "broadcast_in_dim": _broadcast,
    "slice": _slice,
    "squeeze": lambda lead, params, x: np.squeeze(x, axis=behind(lead, params["dimensions"])),
    "expand_dims": lambda lead, params, x: np.expand_dims(x, behind(lead, params["dimensions"])),
    "transpose": lambda lead, params, x: _permuted(lead, x, params["permutation"]),
    "rev": lambda lead, params, x: np.flip(x, behind(lead, params["dimensions"])),
    "concatenate": lambda lead, params, *arrays: np.concatenate(arrays, axis=lead + params["dimension"]),
    "stack": lambda lead, params, *arrays: np.stack(arrays, axis=lead + params["axis"]),
    "tile": lambda lead, params, x: np.tile(x, (1,) * lead + tuple(params["reps"])),
    "pad": lambda lead, params, x, padding: pad(lead, params["padding_config"], x, padding),
}
"""Primitives that move entries: changes and bounds move as values do."""


def _move(name: str, move: Callable[..., Any]) -> Primitive:
    def rule(run: Any, equation: Any, *operands: Increment) -> Increment:
        return linear(lambda lead, *arrays: move(lead, equation.params, *arrays), *operands)

    return exact_move(name, rule, takes_jumps=True)


def exact_move(name: str, rule: Rule, **fields: Any) -> Primitive:
    """A primitive that rounds nothing, and whose rule moves bounds as well."""
    return Primitive(name, rule, rule, EXACT, **fields)


def _parting(part: Callable[..., Any]) -> Rule:
    """A rule that takes an array apart along an axis, by ``part(array, axis, params)``."""

    def rule(run: Any, equation: Any, x: Increment) -> list[Increment]:
        params, axis = equation.params, equation.params["axis"]
        values = part(x.value, axis, params)
        return list(map(Increment, values, [0.0] * len(values) if is_constant(x) else part(x.change, 1 + axis, params)))

    return rule


def _iota(run: Any, equation: Any) -> Increment:
    shape, axis = equation.params["shape"], equation.params["dimension"]
    own = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    dtype = np.float64 if np.dtype(equation.params["dtype"]).kind not in "iu" else equation.params["dtype"]
    return constant(np.broadcast_to(own, shape).astype(dtype))


def block_of(x: Increment, index: Any) -> Increment:
    """x[index] along the first axis that JAX knows."""
    return Increment(x.value[index], 0.0 if is_constant(x) else x.change[:, index])


def stacked(blocks: list[Increment], empty: Increment) -> Increment:
    """The blocks one after another along a new first axis; `empty` where there are none."""
    if not blocks:
        return empty
    count = count_directions(*blocks)
    values = np.stack([np.asarray(block.value) for block in blocks])
    return Increment(values, np.stack([full_change(block, count) for block in blocks], axis=1) if count else 0.0)


# -- unchanged --------------------------------------------------------------------------------------------------------


def _unchanged(run: Any, equation: Any, *operands: Increment) -> Any:
    return operands[0] if len(operands) == 1 else list(operands)


def _stop(run: Any, equation: Any, x: Increment) -> Increment:
    # a wish and no error: what is stopped has the change zero by definition
    return x if run.ignores_stop_gradient or is_constant(x) else constant(x.value)


# -- in order ---------------------------------------------------------------------------------------------------------


LARGEST_ERROR = 1e300
"""Stands for an infinite error, beside which an infinite gap, as that of a masked entry, still decides an order."""


def in_order(name: str, rule: Rule, axis_of: Callable[[Any], int]) -> Rule:
    """The bound of what sorts or finds a place: exact where no two neighbours in order might change places."""

    def bound(run: Any, equation: Any, *operands: Increment) -> Any:
        for x in operands:
            if is_constant(x):
                continue
            axis, own = axis_of(equation), parts(x)
            order = np.argsort(own.value, axis=axis)
            value, error = (np.take_along_axis(array, order, axis) for array in (own.value, own.error))
            # two neighbours, each off by twice the largest error, since the numbers at hand are computed ones; finite,
            # so that what is infinitely far away stays so
            reach = 4.0 * np.minimum(error.max(), LARGEST_ERROR)
            if not np.all(np.diff(value, axis=axis) > reach):  # nor where the gap, or an error, is NaN
                raise Unbounded(f"{name} of numbers whose order rounding may change")
        return rule(run, equation, *operands)

    return bound


def place_choice(rule: Rule, order_of_ties: int = 1, **fields: Any) -> Choice:
    """The choice of a primitive whose results are entries of its operand: their places."""

    def find(equation: Any, numbers: Any) -> np.ndarray:
        # a rule returns entries, not places: each is looked up among the sorted entries
        chosen = value_by(rule, equation, numbers)
        order = np.argsort(numbers[0], axis=None, kind="stable")
        return order[np.minimum(np.searchsorted(numbers[0].ravel()[order], chosen), order.size - 1)]

    return Choice(find, is_continuous=True, order_of_ties=order_of_ties, **fields)


def _sort(run: Any, equation: Any, *operands: Increment) -> list[Increment]:
    """Sorted by the first operands; of equal keys, the changes decide, as they do after the step."""
    axis, keys = equation.params["dimension"], operands[: equation.params["num_keys"]]
    order = _order([(key.value,) for key in keys], axis)
    count = count_directions(*operands)
    values = [np.take_along_axis(np.asarray(x.value), order, axis) for x in operands]
    if not count:
        return list(map(constant, values))
    # one order for the values, and one for each direction: after a step along it, equal keys have parted
    orders = np.broadcast_to(order, (count, *order.shape))
    sorted_keys = [np.real(np.take_along_axis(np.asarray(key.value), order, axis)) for key in keys]
    has_ties = np.all([np.diff(key, axis=axis) == 0 for key in sorted_keys], axis=0).any()
    if has_ties and not all(map(is_constant, keys)):
        run.note_ties(has_ties)
        orders = _order([(np.broadcast_to(k.value, orders.shape), full_change(k, count)) for k in keys], 1 + axis)
    return [_reordered(run, x, value, order, orders, axis) for x, value in zip(operands, values)]


def _reordered(run: Any, x: Increment, value: Any, order: Any, orders: Any, axis: int) -> Increment:
    """An operand whose value is sorted by one order, and its changes by one for each direction."""
    if is_constant(x) and np.array_equal(orders[0], order) and (orders == order).all():
        return constant(value)
    if not is_floating(value):
        return constant(value)
    change = np.take_along_axis(full_change(x, len(orders)), orders, 1 + axis)
    own = np.take_along_axis(np.broadcast_to(x.value, orders.shape), orders, 1 + axis)
    # sorted along with equal keys, an operand such as the places of an argsort depends on their order: it jumps
    return Increment(value, run.unknown(own != value, change, "an order of equal numbers decides what is computed"))


def _order(keys: list[tuple[Any, ...]], axis: int) -> np.ndarray:
    """The stable order by several keys, the first one first, each a value and perhaps a change that decides after it.

    Complex numbers go by their real parts, and where these stay equal by their imaginary ones; NaN comes last.
    """
    columns: list[Any] = []
    for key in keys:
        columns += [part(x) for part in (np.real, np.imag) for x in key] if np.iscomplexobj(key[0]) else key
    return np.lexsort(columns[::-1], axis=axis)


def _axis_of_top_k(equation: Any) -> int:
    return equation.params.get("axis", -1)


def _descending(value: np.ndarray) -> list[np.ndarray]:
    """Keys by which `np.lexsort` takes numbers as top_k does: NaN, ∞, ..., 0, -0, ..., -∞, and NaN with a sign."""
    if value.dtype.kind != "f":
        return [~value]  # -x may overflow, as of uint8
    is_nan, has_sign = np.isnan(value), np.signbit(value)
    return [has_sign, np.where(is_nan, 0.0, -value), np.where(is_nan, np.where(has_sign, 1, -1), 0)]


def _top_k(run: Any, equation: Any, x: Increment) -> list[Increment]:
    axis, k = _axis_of_top_k(equation), equation.params["k"]
    value = np.moveaxis(np.asarray(x.value), axis, -1)
    keys = _descending(value)
    order = np.lexsort(keys, axis=-1)
    ordered = np.take_along_axis(value, order, -1)
    kept = np.moveaxis(ordered[..., :k], -1, axis)
    index = constant(np.moveaxis(order[..., :k], -1, axis).astype(equation.dtypes[1]))
    if is_constant(x):
        return [constant(kept), index]
    # a tie with the first entry that is left out matters as well
    run.note_ties(np.diff(ordered[..., : k + 1], axis=-1) == 0)
    change_axis = axis if axis < 0 else 1 + axis
    change = np.moveaxis(x.change, change_axis, -1)
    # after a step, zeros of either sign have parted by their changes
    by_change = np.lexsort([-change, *(np.broadcast_to(key, change.shape) for key in keys[-2:])], axis=-1)[..., :k]
    return [Increment(kept, np.moveaxis(np.take_along_axis(change, by_change, -1), -1, change_axis)), index]


PRIMITIVES: tuple[Primitive, ...] = (
    *(_move(name, move) for name, move in MOVES.items()),
    exact_move("split", _parting(lambda x, axis, params: np.split(x, np.cumsum(params["sizes"])[:-1], axis))),
    exact_move("unstack", _parting(lambda x, axis, params: np.moveaxis(x, axis, 0))),
    exact_move("iota", _iota),
    exact_move("empty", lambda run, equation: constant(np.zeros(equation.shapes[0], equation.dtypes[0]))),
    *with_aliases(
        exact_move("copy", _unchanged, takes_jumps=True),
        "device_put", "optimization_barrier", "sharding_constraint", "pvary", "name",
    ),
    Primitive("reduce_precision", _unchanged),
    Primitive("stop_gradient", _stop, _unchanged, EXACT),
    Primitive(
        "sort", _sort, in_order("sort", _sort, lambda equation: equation.params["dimension"]), EXACT,
        place_choice(_sort), compilation=Compilation.KEPT,
    ),
    Primitive("top_k", _top_k, in_order("top_k", _top_k, _axis_of_top_k), EXACT, place_choice(_top_k, -1)),
)  # fmt: skip
