"""Primitives that fold an axis or windows: sums, products, extremes, and the cumulative ones.

A sum of n terms has the operands' errors and γ_n of the sum of their sizes, in any order: Σ E_i + γ_n Σ |x_i|. A
product of n factors has Π (|x| + E) - Π |x| and n roundings. An extreme is no further off than the worst entry that
might be it. Of several equal entries, the one with the largest change is the largest just after a step: so in each
direction the change of an extreme is a one-sided derivative, and in the opposite direction it may be another.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment, constant, count_directions, full_change, is_constant, linear
from reference.arithmetics.roundoff import gamma
from reference.traced.bounded_run import Parts, may_differ, parts, with_error
from reference.traced.equations import is_floating
from reference.traced.interpreter import value_by
from reference.traced.jumps import after_jump, jump_to
from reference.traced.primitive import EXACT, Choice, Compilation, Primitive, Rounding, Rule
from reference.traced.primitives.comparisons import extreme
from reference.traced.primitives.data_movement import behind, in_order, pad, place_choice

Fold = Callable[[Any, Increment, Increment], Increment]
"""``fold(run, x, y)``: two numbers combined into one, as those of a product or a maximum are."""

SUM = Rounding(sums=True, sizes_add_up=True)
PRODUCT = Rounding(sums=True)


# -- bounds -----------------------------------------------------------------------------------------------------------


def _most_terms(equation: Any, operands: tuple[Increment, ...]) -> int:
    """How many terms a sum may have."""
    params, shape = equation.params, np.shape(operands[0].value)
    # of axes, of a window, along one axis; of a scatter, all updates may fall on one entry, which has a value as well
    if "axes" in params:
        return int(np.prod([shape[axis] for axis in params["axes"]], dtype=int))
    if "window_dimensions" in params:
        return int(np.prod(params["window_dimensions"], dtype=int))
    return shape[params["axis"]] if "axis" in params else 1 + np.size(operands[-1].value)


def bound_of_sums(rule: Rule) -> Rule:
    """The bound of a rule that adds up entries: the sum of the operands' errors, and of their sizes times γ_n."""

    def bound(run: Any, equation: Any, *operands: Increment) -> Increment:
        factor = gamma(_most_terms(equation, operands), run.unit(equation.dtypes[0]))

        # γ_n Σ|x| is the sum of γ_n |x|: handing it on with the errors needs one sum, not two
        def with_roundings(x: Increment) -> Increment:
            p = parts(x)
            return with_error(p.value, p.error + factor * np.abs(p.value)) if p.value.dtype.kind == "f" else x

        p = parts(rule(run, equation, *map(with_roundings, operands)))
        return run.rounded(equation, p.value, p.error, 0.0)

    return bound


def _bound_of_products(rule: Rule) -> Rule:
    def bound(run: Any, equation: Any, x: Increment) -> Increment:
        p, terms = parts(x), max(1, _most_terms(equation, (x,)))

        def fold(array: Any) -> Any:
            return rule(run, equation, constant(array)).value

        # Π(|x| + E) - Π|x|, and n - 1 roundings of what is at most the first
        size, largest = np.abs(fold(p.value)), fold(np.abs(p.value) + p.error)
        factor = gamma(terms, run.unit(equation.dtypes[0]))
        return run.rounded(equation, fold(p.value), (largest - size) + 2.0 * factor * largest, 0.0)

    return bound


# -- sums, products and truth values of axes --------------------------------------------------------------------------


def _reduce_sum(run: Any, equation: Any, x: Increment) -> Increment:
    return linear(lambda lead, array: np.sum(array, axis=behind(lead, equation.params["axes"]), dtype=array.dtype), x)


def _oriented(params: Any, x: Increment, compute: Callable[[Increment], Increment]) -> Increment:
    """What is computed along an axis, or from its end."""

    def turned(y: Increment) -> Increment:
        return linear(lambda lead, array: np.flip(array, lead + params["axis"]), y) if params["reverse"] else y

    return turned(compute(turned(x)))


def _cumsum(run: Any, equation: Any, x: Increment) -> Increment:
    sums = lambda lead, array: np.cumsum(array, axis=lead + equation.params["axis"], dtype=array.dtype)  # noqa: E731
    return _oriented(equation.params, x, lambda y: linear(sums, y))


def multiply(run: Any, x: Increment, y: Increment) -> Increment:
    """The product, with that of both changes, which alone is left where both numbers are zero."""
    return Increment(x.value * y.value, x.value * y.change + x.change * (y.value + y.change))


larger_of, smaller_of = (partial(extreme, larger=larger) for larger in (True, False))


def _running(run: Any, x: Increment, axis: int, fold: Fold) -> Increment:
    """A fold along an axis, every step kept."""
    # one step after another, since a fold takes changes along and notes ties
    values, count = np.moveaxis(np.asarray(x.value), axis, 0), count_directions(x)
    changes = np.moveaxis(full_change(x, count), 1 + axis, 0) if count else [0.0] * len(values)
    steps = []
    for value, change in zip(values, changes):
        step = Increment(value, change)
        steps.append(fold(run, steps[-1], step) if steps else step)
    if not steps:
        return x
    value = np.stack([np.asarray(step.value) for step in steps], axis)
    return Increment(value, np.stack([step.change for step in steps], 1 + axis) if count else 0.0)


def _cumulative(fold: Fold) -> Rule:
    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        return _oriented(equation.params, x, lambda y: _running(run, y, equation.params["axis"], fold))

    return rule


_cumprod = _cumulative(multiply)


def _folded(run: Any, x: Increment, axes: Any, fold: Fold) -> Increment:
    for axis in sorted(axes, reverse=True):  # from the last, so that the others keep their numbers
        x = _last(_running(run, x, axis, fold), axis)
    return x


def _last(x: Increment, axis: int) -> Increment:
    if np.shape(x.value)[axis] == 0:  # the empty product; JAX folds no extremes of nothing
        return constant(np.ones(np.delete(np.shape(x.value), axis)))
    return linear(lambda lead, array: np.take(array, -1, axis=lead + axis), x)


def _reduce_prod(run: Any, equation: Any, x: Increment) -> Increment:
    return _folded(run, x, equation.params["axes"], multiply)


def _reduce_truth(name: str, ufunc: np.ufunc) -> Primitive:
    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        axes = equation.params["axes"]
        value = ufunc.reduce(x.value, axis=axes)
        return constant(value) if is_constant(x) else jump_to(value, ufunc.reduce(after_jump(x), axis=behind(1, axes)))

    def bound(run: Any, equation: Any, x: Increment) -> Increment:
        value = rule(run, equation, constant(x.value)).value
        return with_error(value, np.any(parts(x).error.astype(bool), axis=equation.params["axes"]))

    return Primitive(name, rule, bound, EXACT, takes_jumps=True)


# -- extremes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Extreme:
    """The largest entries along axes, or the smallest ones."""

    name: str  # "max" or "min"
    side: float  # 1 for the largest, -1 for the smallest
    of_entries: Callable[..., Any]  # NumPy's fold along axes,
    place: Callable[..., Any]  # and where it finds the extreme
    of_two: Fold

    @property
    def fill(self) -> float:
        """What is no extreme beside any number."""
        return -self.side * np.inf

    def along(self, run: Any, x: Increment, axes: tuple[int, ...]) -> Increment:
        """The rule: of equal entries, that with the largest change is the largest just after the step."""
        value = np.asarray(x.value)
        folded = np.asarray(self.of_entries(value, axis=axes))
        if is_constant(x) or not is_floating(value):
            return constant(folded)
        if value.dtype.kind == "c":  # by real parts first, which np.max does not do to changes
            return _folded(run, x, axes, self.of_two)
        is_extreme = value == np.expand_dims(folded, axes)
        run.note_ties(is_extreme.sum(axis=axes) > 1)
        change = self.of_entries(np.where(is_extreme, x.change, self.fill), axis=tuple(1 + axis for axis in axes))
        # NaN equals no entry, itself included, and would leave an infinite change
        return Increment(folded, np.where(np.isnan(folded), np.nan, change))

    def bound_along(self, run: Any, x: Increment, axes: tuple[int, ...]) -> Increment:
        """The bound: |max x - max x'| <= max |x - x'| over the entries that might be the largest."""
        if is_constant(x):
            return self.along(run, x, axes)
        each = Parts(*(_axes_joined(part, axes) for part in parts(x)))
        at = self.place(each.value, axis=-1)[..., None]
        best = Parts(*(np.take_along_axis(part, at, -1) for part in each))
        # any entry within its error of the best one may be the exact one
        might_be_it = may_differ(each, best) | (np.arange(each.value.shape[-1]) == at)
        return with_error(best.value[..., 0], np.max(np.where(might_be_it, each.error, 0.0), axis=-1))

    def level(self, numbers: np.ndarray, reach: np.ndarray, params: Any) -> np.ndarray | None:
        x, axes = self.side * numbers, params["axes"]
        largest = x.max(axis=axes, keepdims=True)
        # entries whose range overlaps that of the largest one
        near = (x + reach >= (x - reach).max(axis=axes, keepdims=True)) & (x != largest) & np.isfinite(reach)
        return self.side * np.where(near, largest, x) if near.any() else None

    def primitives(self, compilation: Compilation) -> list[Primitive]:
        """The primitives that take the extreme along axes, and of each window: of the entries that one covers."""

        def over(find: Callable[..., Increment], *, is_window: bool) -> Rule:
            def rule(run: Any, equation: Any, x: Increment) -> Increment:
                params = equation.params
                return find(run, *((_covered(params, x, self.fill), (0,)) if is_window else (x, params["axes"])))

            return rule

        of_axes, of_axes_bound = (over(find, is_window=False) for find in (self.along, self.bound_along))
        of_windows, of_windows_bound = (over(find, is_window=True) for find in (self.along, self.bound_along))
        choice = place_choice(of_axes, level=self.level)
        return [
            Primitive(f"reduce_{self.name}", of_axes, of_axes_bound, EXACT, choice, compilation=compilation),
            Primitive(f"reduce_window_{self.name}", of_windows, of_windows_bound, EXACT, place_choice(of_windows)),
        ]


def _axes_joined(array: Any, axes: Any) -> Any:
    """The folded axes as one, the last."""
    moved = np.moveaxis(array, axes, range(-len(axes), 0))
    kept = moved.ndim - len(axes)
    return moved.reshape(*moved.shape[:kept], int(np.prod(moved.shape[kept:], dtype=int)))


def _running_extreme(name: str, fold: Fold) -> Primitive:
    rule, largest = _cumulative(fold), _cumulative(larger_of)

    def bound(run: Any, equation: Any, x: Increment) -> Increment:
        """The largest error so far."""
        error = largest(run, equation, constant(parts(x).error)).value
        return with_error(rule(run, equation, constant(x.value)).value, error)

    return Primitive(name, rule, bound, EXACT, place_choice(rule))


def _arg_extreme(name: str, find: Callable[..., Any], order_of_ties: int) -> Primitive:
    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        (axis,) = equation.params["axes"]
        found = find(x.value, axis=axis)
        if not is_constant(x):
            # more than one entry of this size: in a step it may be another place, which is a jump of the index
            best = np.take_along_axis(x.value, np.expand_dims(found, axis), axis)
            run.note_ties((x.value == best).sum(axis=axis) > 1)
        return constant(found.astype(equation.params["index_dtype"]))

    bound = in_order(name, rule, lambda equation: equation.params["axes"][0])
    choice = Choice(lambda equation, numbers: value_by(rule, equation, numbers), order_of_ties=order_of_ties)
    return Primitive(name, rule, bound, EXACT, choice)


# -- windows ----------------------------------------------------------------------------------------------------------


def windows(lead: int, params: Any, array: Any, fill: float) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Each place in a window, and the entries there of the window at all its positions, (lead, positions)."""
    dimensions, strides = params["window_dimensions"], params["window_strides"]
    ones = (1,) * len(dimensions)
    base, spread = params.get("base_dilation") or ones, params.get("window_dilation") or ones
    # a dilated array has gaps between its entries, which hold the fill as the padding does
    config = [(low, high, step - 1) for (low, high), step in zip(params["padding"], base)]
    array = pad(lead, config, array, np.full(array.shape[:lead], fill, array.dtype))
    # how far a window reaches along each axis, and at how many positions it fits
    extents = [(size - 1) * step + 1 for size, step in zip(dimensions, spread)]
    counts = [max((s - e) // step + 1, 0) for s, e, step in zip(array.shape[lead:], extents, strides)]
    for place in product(*map(range, dimensions)):
        # the entries at this place of all windows: a strided slice of the array
        starts = [at * step for at, step in zip(place, spread)]
        index = [slice(at, at + step * count, step) for at, step, count in zip(starts, strides, counts)]
        yield place, array[(slice(None),) * lead + tuple(index)]


def _covered(params: Any, x: Increment, fill: float) -> Increment:
    """What the window covers at each position, along a first axis; changes are zero where `fill` pads."""

    def joined(lead: int, array: Any, fill: float) -> Any:
        return np.stack([entries for _, entries in windows(lead, params, array, fill)], axis=lead)

    value = joined(0, np.asarray(x.value, float), fill)
    return Increment(value, 0.0 if is_constant(x) else joined(1, x.change, 0.0))


def _window_sum(run: Any, equation: Any, x: Increment) -> Increment:
    def sums(lead: int, array: Any) -> Any:
        return np.sum([entries for _, entries in windows(lead, equation.params, array, 0.0)], axis=0)

    return linear(sums, x)


PRIMITIVES: tuple[Primitive, ...] = (
    Primitive("reduce_sum", _reduce_sum, bound_of_sums(_reduce_sum), SUM, compilation=Compilation.KEPT),
    Primitive("cumsum", _cumsum, bound_of_sums(_cumsum), SUM, compilation=Compilation.KEPT),
    Primitive("reduce_window_sum", _window_sum, bound_of_sums(_window_sum), SUM),
    Primitive("reduce_prod", _reduce_prod, _bound_of_products(_reduce_prod), PRODUCT),
    Primitive("cumprod", _cumprod, _bound_of_products(_cumprod), PRODUCT),
    _reduce_truth("reduce_and", np.bitwise_and),
    _reduce_truth("reduce_or", np.bitwise_or),
    _reduce_truth("reduce_xor", np.bitwise_xor),
    *_Extreme("max", 1.0, np.max, np.argmax, larger_of).primitives(Compilation.KEPT),
    *_Extreme("min", -1.0, np.min, np.argmin, smaller_of).primitives(Compilation.FUSED),
    _running_extreme("cummax", larger_of),
    _running_extreme("cummin", smaller_of),
    _arg_extreme("argmax", np.argmax, -1),
    _arg_extreme("argmin", np.argmin, 1),
)
