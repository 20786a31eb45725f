"""Bounds for primitives that add up, multiply and add up, compare and choose.

Maps with coefficients 0 and 1 carry a bound as they carry the value. A sum of n terms rounds γ_n of the sum of their
sizes, in any order; a map f that is linear in each of two operands hands on f(|x|, E_y) + f(E_x, |y| + E_y).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment, constant, is_constant
from reference.traced.bounding import elementwise
from reference.traced.bounding.pairs import chosen, together
from reference.traced.bounding.parts import Parts, Unbounded, gamma, may_differ, of_value, packed, parts
from reference.traced.primitives import branching, contracting, reducing
from reference.traced.program import COMPARISONS, kind

# -- sums -------------------------------------------------------------------------------------------------------------


def _most_in_one(equation: Any, operands: tuple[Increment, ...]) -> int:
    """How many terms a sum may have."""
    params, shape = equation.params, np.shape(operands[0].value)
    if "axes" in params:
        return int(np.prod([shape[axis] for axis in params["axes"]], dtype=int))
    if "window_dimensions" in params:
        return int(np.prod(params["window_dimensions"], dtype=int))
    return shape[params["axis"]] if "axis" in params else 1 + np.size(operands[-1].value)


def _adds(rule: Callable[..., Increment]) -> Callable[..., Increment]:
    """A sum of entries: of the operands' errors, and of their sizes times γ."""

    def bounded(run: Any, equation: Any, *operands: Increment) -> Increment:
        terms = _most_in_one(equation, operands)
        factor, own = gamma(terms, run.unit(equation.dtypes[0])), gamma(terms, run.own_unit)

        def summed(x: Increment) -> Increment:
            if np.asarray(x.value).dtype.kind != "f":
                return x
            p = parts(x, run.count)
            return packed(
                p.value, p.error + factor * np.abs(p.value), p.change, p.change_error + own * np.abs(p.change)
            )

        sums = rule(run, equation, *map(summed, operands))
        p = parts(sums, run.count)
        return run.rounded(equation, p.value, p.error, 0.0, p.change, p.change_error)

    return bounded


def _products(rule: Callable[..., Increment]) -> Callable[..., Increment]:
    """Products added up, linear in each of both operands."""

    def bounded(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        def f(x_value: Any, x_change: Any, y_value: Any, y_change: Any) -> Any:
            return rule(run, equation, Increment(x_value, x_change), Increment(y_value, y_change))

        p, q = parts(x, run.count), parts(y, run.count)
        terms = contracting.terms(equation, np.shape(x.value), np.shape(y.value))
        rounded, summed = (min(unit, run.coarsest) for unit in contracting.product_units(equation))
        factor = gamma(terms, max(run.unit(equation.dtypes[0]), summed)) + 2.1 * rounded  # of both operands
        own = gamma(terms, run.own_unit)
        p_size, q_size = np.abs(p.value) + p.error, np.abs(q.value) + q.error
        sizes = f(np.abs(p.value), p.error[None], q_size, q.error[None])
        error = sizes.change[0] + factor * sizes.value
        if not run.count:
            return run.rounded(equation, rule(run, equation, constant(x.value), constant(y.value)).value, error, 0.0)
        plain = f(x.value, p.change, y.value, q.change)
        moved = f(
            p_size, p.change_error + own * np.abs(p.change), q_size, q.change_error + own * np.abs(q.change)
        ).change
        if np.any(p.error) or np.any(q.error):
            moved = moved + f(p.error, np.abs(p.change), q.error, np.abs(q.change)).change
        return run.rounded(equation, plain.value, error, 0.0, plain.change, moved)

    return bounded


def _folded_product(name: str) -> Callable[..., Increment]:
    """A product of n factors: Π (|x| + E) - Π |x|, and n roundings."""

    def bounded(run: Any, equation: Any, x: Increment) -> Increment:
        if run.count:
            raise Unbounded(f"{name} of what changes")
        p, terms = parts(x, 0), max(1, _most_in_one(equation, (x,)))

        def fold(array: Any) -> Any:
            return reducing.RULES[name](run, equation, constant(array)).value

        size, far = np.abs(fold(p.value)), fold(np.abs(p.value) + p.error)
        factor = gamma(terms, run.unit(equation.dtypes[0]))
        return run.rounded(equation, fold(p.value), (far - size) + 2.0 * factor * far, 0.0)

    return bounded


def _scatter_sub(run: Any, equation: Any, x: Increment, indices: Increment, updates: Increment) -> Increment:
    return BOUNDS["scatter-add"](run, equation, x, indices, elementwise.BOUNDS["neg"](run, equation, updates))


# -- extremes and order -----------------------------------------------------------------------------------------------


def _reduce_extreme(name: str) -> Callable[..., Increment]:
    """The extreme of an axis: no further off than the worst entry that might be it."""
    pick = np.argmax if name == "reduce_max" else np.argmin

    def bounded(run: Any, equation: Any, x: Increment) -> Increment:
        if is_constant(x):
            return reducing.RULES[name](run, equation, x)
        axes = equation.params["axes"]
        folded = [
            _together_last(part, lead, axes) for lead, part in zip((0, 0, 1, 1), parts(x, run.count), strict=True)
        ]
        value, error, change, change_error = folded
        at = pick(value, axis=-1)[..., None]

        def best(array: Any) -> Any:
            where = np.broadcast_to(at, (*array.shape[:-1], 1))
            return np.take_along_axis(array, where, -1)

        winner = Parts(*map(best, folded))
        might = may_differ(Parts(value, error, 0.0, 0.0), winner) | (np.arange(value.shape[-1]) == at)
        worst = np.max(np.where(might, error, 0.0), axis=-1)
        if not run.count:
            return of_value(winner.value[..., 0], worst, 0)
        off = np.where(might, np.abs(change - winner.change) + change_error, 0.0).max(axis=-1)
        return packed(winner.value[..., 0], worst, winner.change[..., 0], off)

    return bounded


def _running_extreme(name: str, rule: Callable[..., Increment], of_errors: Callable[..., Increment]) -> Any:
    """Extremes of windows, and the running ones: no further off than the worst entry within."""

    def bounded(run: Any, equation: Any, x: Increment) -> Increment:
        if run.count and not is_constant(x):
            raise Unbounded(f"{name} of what changes")
        error = of_errors(run, equation, constant(np.asarray(parts(x, 0).error))).value
        return of_value(rule(run, equation, constant(x.value)).value, error, run.count)

    return bounded


def _together_last(array: Any, lead: int, axes: Any) -> Any:
    """The folded axes as one, the last."""
    moved = np.moveaxis(array, [lead + axis for axis in axes], range(-len(axes), 0))
    kept = moved.ndim - len(axes)
    return moved.reshape(*moved.shape[:kept], int(np.prod(moved.shape[kept:], dtype=int)))


def _in_order(rule: Callable[..., Any], axis_of: Callable[[Any], int]) -> Callable[..., Any]:
    """What sorts or finds an extreme's place: as it is where no two neighbours in order might change places."""

    def bounded(run: Any, equation: Any, *operands: Increment) -> Any:
        for x in operands:
            if is_constant(x):
                continue
            axis, p = axis_of(equation), parts(x, run.count)
            order = np.argsort(p.value, axis=axis)
            value, error = (np.take_along_axis(array, order, axis) for array in (p.value, p.error))
            gaps, errors = np.diff(value, axis=axis), np.minimum(error.max(), 1e300)
            if np.any((gaps <= 4.0 * errors) | np.isnan(gaps)):
                raise Unbounded(f"{equation.name} of numbers whose order rounding may change")
        return rule(run, equation, *operands)

    return bounded


# -- comparisons, truth values, choices -------------------------------------------------------------------------------


def _comparison(ufunc: np.ufunc) -> Callable[..., Increment]:
    on_parts = together(lambda run, eq, x, y: of_value(ufunc(x.value, y.value), may_differ(x, y), run.count))

    def rule(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        if equation.inputs[0] == equation.inputs[1]:  # isnan(x) is x != x: the value alone decides
            return constant(ufunc(x.value, y.value))
        return on_parts(run, equation, x, y)

    return rule


def _connective(ufunc: np.ufunc) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, *operands: Increment) -> Increment:
        value = ufunc(*[x.value for x in operands])
        if all(map(is_constant, operands)):
            return constant(value)
        each = [(x.value, x.value ^ parts(x, run.count).error.astype(bool)) for x in operands]
        tried = [ufunc(*case) for case in _cases(each)]
        return of_value(value, np.any([other != value for other in tried], axis=0), run.count)

    return rule


def _cases(each: list[tuple[Any, Any]]) -> list[tuple[Any, ...]]:
    cases: list[tuple[Any, ...]] = [()]
    for options in each:
        cases = [(*case, option) for case in cases for option in options]
    return cases


def _reduce_truth(name: str) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        value = reducing.RULES[name](run, equation, constant(x.value)).value
        flips = np.any(parts(x, run.count).error.astype(bool), axis=tuple(equation.params["axes"]))
        return of_value(value, flips, run.count)

    return rule


def _select(run: Any, equation: Any, which: Increment, *cases: Increment) -> Increment:
    value = branching.RULES["select_n"](run, equation, *[constant(x.value) for x in (which, *cases)]).value
    if all(map(is_constant, (which, *cases))):
        return constant(value)
    if kind(equation.dtypes[0]) != "f":
        return _select_exact(run, which, value, cases)
    all_parts = [parts(case, run.count) for case in cases]
    index = np.asarray(which.value).astype(int)
    error = np.select([index == i for i in range(len(cases))], [p.error for p in all_parts])
    flips = np.broadcast_to(parts(which, run.count).error.astype(bool), value.shape)
    if flips.any():
        either = np.max([np.abs(p.value - value) + p.error for p in all_parts], axis=0)
        error = np.where(flips, either, error)
    if not run.count:
        return of_value(value, error, 0)
    return chosen(value, error, index, all_parts, flips)


def _select_exact(run: Any, which: Increment, value: Any, cases: tuple[Increment, ...]) -> Increment:
    """A choice among truth values; whole numbers are exact, so that what might be another is not bounded."""
    flips = parts(which, run.count).error.astype(bool)
    differ = np.any([np.asarray(case.value) != value for case in cases], axis=0) & flips
    differ = differ | np.any([parts(case, run.count).error.astype(bool) for case in cases], axis=0)
    if np.any(differ) and value.dtype != bool:
        raise Unbounded("a whole number that depends on a comparison which rounding may turn")
    return of_value(value, differ, run.count)


def _convert(run: Any, equation: Any, x: Increment) -> Increment:
    old, new = kind(equation.input_dtypes[0]), kind(equation.params["new_dtype"])
    plain = branching.RULES["convert_element_type"](run, equation, constant(x.value))
    own = parts(x, run.count)
    if new == "f" and old == "f":
        if run.unit(equation.dtypes[0]) <= run.unit(equation.input_dtypes[0]):
            return x
        return run.rounded(equation, x.value, own.error, np.abs(x.value), own.change, own.change_error)
    if new == "f":
        exact = run.fits(equation, plain.value)
        return run.rounded(equation, plain.value, own.error.astype(float), np.where(exact, 0.0, np.abs(plain.value)))
    if old == "f":
        jumps = np.trunc(own.value - 2.0 * own.error) != np.trunc(own.value + 2.0 * own.error)
        if np.any(jumps if new == "i" else own.error):
            raise Unbounded("a number is cast to another kind where rounding decides")
    elif np.any(own.error):
        if new != "b":
            raise Unbounded("a whole number that depends on a comparison which rounding may turn")
        return x
    return plain


BOUNDS: dict[str, Callable[..., Any]] = {
    **{name: _adds(reducing.RULES[name]) for name in ("reduce_sum", "cumsum", "scatter-add", "scatter_add")},
    "reduce_window_sum": _adds(contracting.RULES["reduce_window_sum"]),
    **{name: _products(contracting.RULES[name]) for name in ("dot_general", "conv_general_dilated")},
    **{name: _folded_product(name) for name in ("reduce_prod", "cumprod")},
    **{name: _reduce_extreme(name) for name in ("reduce_max", "reduce_min")},
    **{
        name: _running_extreme(name, contracting.RULES[name], contracting.RULES["reduce_window_max"])
        for name in ("reduce_window_max", "reduce_window_min")
    },
    **{name: _running_extreme(name, reducing.RULES[name], reducing.RULES["cummax"]) for name in ("cummax", "cummin")},
    "scatter-sub": _scatter_sub,
    "scatter_sub": _scatter_sub,
    "sort": _in_order(reducing.RULES["sort"], lambda equation: equation.params["dimension"]),
    "top_k": _in_order(reducing.RULES["top_k"], lambda equation: equation.params.get("axis", -1)),
    **{
        name: _in_order(reducing.RULES[name], lambda equation: equation.params["axes"][0])
        for name in ("argmax", "argmin")
    },
    **{name: _comparison(ufunc) for name, ufunc in COMPARISONS.items()},
    **{
        name: _connective(ufunc)
        for name, ufunc in (("and", np.bitwise_and), ("or", np.bitwise_or), ("xor", np.bitwise_xor), ("not", np.invert))
    },
    **{name: _reduce_truth(name) for name in ("reduce_and", "reduce_or", "reduce_xor")},
    "select_n": _select,
    "convert_element_type": _convert,
}
