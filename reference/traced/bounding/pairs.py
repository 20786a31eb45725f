"""Bounds for functions of two numbers, entry by entry: the same as for one, with the slopes in each of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment
from reference.arithmetics.roundoff import ELEMENTARY
from reference.traced.bounding.elementwise import CHANGE_ROUNDINGS, times
from reference.traced.bounding.parts import Parts, may_differ, of_value, packed, parts
from reference.traced.primitives.elementwise import RULES as PLAIN


def together(rule: Callable[..., Increment]) -> Callable[..., Increment]:
    """A rule for operands of one rank, given with their parts; what is no number has no error."""

    def on_parts(run: Any, equation: Any, *operands: Increment) -> Increment:
        rank = max(np.ndim(x.value) for x in operands)
        return rule(run, equation, *[parts(x, run.count, rank) for x in operands])

    return on_parts


def _sum(sign: float) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
        value = x.value + sign * y.value
        inherited, size = x.error + y.error, np.abs(value)
        if not np.any(inherited) and run.is_exact_sum(equation, x.value, sign * y.value):
            size = 0.0
        if not run.count:
            return run.rounded(equation, value, inherited, size)
        change = x.change + sign * y.change
        error = x.change_error + y.change_error + run.own_unit * np.abs(change)
        return run.rounded(equation, value, inherited, size, change, error)

    return together(rule)


def _multiply(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    value = x.value * y.value
    size_x, size_y = np.abs(x.value), np.abs(y.value) + y.error
    inherited, size = size_x * y.error + x.error * size_y, np.abs(value)
    if not np.any(inherited) and run.is_exact_product(equation, x.value, y.value):
        size = 0.0
    if not run.count:
        return run.rounded(equation, value, inherited, size)
    dx, dy = np.abs(x.change), np.abs(y.change)
    change = x.value * y.change + x.change * y.value
    error = (
        (size_x + x.error) * y.change_error + x.error * dy + x.change_error * size_y + dx * y.error
        + 2.0 * run.own_unit * (size_x * dy + dx * size_y)
    )  # fmt: skip
    return run.rounded(equation, value, inherited, size, change, error)


def _divide(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    value = x.value / y.value
    nearest = np.maximum(np.abs(y.value) - y.error, 0.0)
    inherited = times(1.0 / nearest, x.error + np.abs(value) * y.error)
    size = 2.0 * np.abs(value)  # XLA may take the product with a reciprocal
    if not run.count:
        return run.rounded(equation, value, inherited, size)
    change = (x.change - value * y.change) / y.value
    terms = np.abs(x.change) + np.abs(value * y.change)
    error = (
        x.change_error + (np.abs(value) + inherited) * y.change_error + inherited * np.abs(y.change)
        + 4.0 * run.own_unit * terms + np.abs(change) * y.error
    ) / nearest  # fmt: skip
    return run.rounded(equation, value, inherited, size, change, error)


def _extreme(larger: bool) -> Callable[..., Increment]:
    def rule(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
        wins = x.value > y.value if larger else x.value < y.value
        value = np.maximum(x.value, y.value) if larger else np.minimum(x.value, y.value)
        undecided = may_differ(x, y)
        error = np.where(undecided, np.maximum(x.error, y.error), np.where(wins, x.error, y.error))
        if not run.count:
            return of_value(value, error, 0)
        return chosen(value, error, np.where(wins, 0, 1), [x, y], undecided)

    return together(rule)


def chosen(value: Any, error: Any, index: Any, cases: list[Parts], undecided: Any) -> Increment:
    """One of several cases by its number, its change good to that of any other where that is undecided."""
    change, change_error = cases[0].change, cases[0].change_error
    for i, case in enumerate(cases[1:], 1):
        change = np.where(index == i, case.change, change)
        change_error = np.where(index == i, case.change_error, change_error)
    if np.any(undecided):
        others = np.max([np.abs(case.change - change) + case.change_error for case in cases], axis=0)
        change_error = np.where(undecided, np.maximum(change_error, others), change_error)
    return packed(value, error, change, change_error)


def _clamp(run: Any, equation: Any, low: Increment, x: Increment, high: Increment) -> Increment:
    return BOUNDS["min"](run, equation, BOUNDS["max"](run, equation, low, x), high)


def _pow(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    """x^y of positive x: a power is taken as exp(y log x), which rounds the exponent."""
    value = np.power(x.value, y.value)
    low, high = np.maximum(x.value - x.error, 0.0), x.value + x.error
    logs = np.maximum(np.abs(np.log(low)), np.abs(np.log(high)))
    p, p_error = y.value, y.error

    def largest(exponent: Any, error: Any) -> Any:
        ends = [np.power(base, e) for base in (low, high) for e in (exponent - error, exponent + error)]
        return np.max(ends, axis=0)

    power, lower = largest(p, p_error), largest(p - 1.0, p_error)
    size_p = np.abs(p) + p_error
    inherited = times(size_p * lower, x.error) + times(logs * power, p_error)
    exponent = np.abs(p * np.log(np.abs(x.value)))
    size = ELEMENTARY * (1.0 + np.abs(p) + np.where(np.isfinite(exponent), exponent, 0.0)) * np.abs(value)
    if not run.count:
        return run.rounded(equation, value, inherited, size)
    change = PLAIN["pow"](run, equation, Increment(x.value, x.change), Increment(p, y.change)).change
    dx, dy = np.abs(x.change) + x.change_error, np.abs(y.change) + y.change_error
    of_x, of_y, of_both = size_p * lower, logs * power, (size_p * logs + 1.0) * lower  # the last bounds |∂²/∂x∂y|
    bend_x, bend_y = size_p * (size_p + 1.0) * largest(p - 2.0, p_error), logs * logs * power
    error = (
        times(of_x, x.change_error) + times(of_y, y.change_error)
        + times(bend_x * dx + of_both * dy, x.error) + times(of_both * dx + bend_y * dy, p_error)
        + 2.0 * CHANGE_ROUNDINGS * run.own_unit * (times(of_x, np.abs(x.change)) + times(of_y, np.abs(y.change)))
    )  # fmt: skip
    return run.rounded(equation, value, inherited, size, change, error)


def _atan2(run: Any, equation: Any, y: Parts, x: Parts) -> Increment:
    value = np.arctan2(y.value, x.value)
    low = [np.maximum(np.abs(part.value) - part.error, 0.0) for part in (x, y)]
    near, errors = np.hypot(*low), x.error + y.error
    across = (y.error > 0.0) & ~(np.abs(y.value) > 2.0 * y.error) & ~(x.value > x.error)
    inherited = np.where(across, np.inf, times(1.0 / near, errors))
    if not run.count:
        return run.rounded(equation, value, inherited, ELEMENTARY * np.abs(value))
    change = PLAIN["atan2"](run, equation, Increment(y.value, y.change), Increment(x.value, x.change)).change
    sizes = np.abs(x.change) + np.abs(y.change)
    error = (
        (x.change_error + y.change_error) / near + times(1.0 / near**2, errors) * sizes
        + CHANGE_ROUNDINGS * run.own_unit * sizes / near
    )  # fmt: skip
    return run.rounded(equation, value, inherited, ELEMENTARY * np.abs(value), change, error)


def _remainder(run: Any, equation: Any, x: Parts, y: Parts) -> Increment:
    """x - n y with a whole number n of turns, which itself rounds nothing; infinite where n may be another."""
    value = np.fmod(x.value, y.value)
    turns = np.round((x.value - value) / y.value)
    error = x.error + np.abs(turns) * y.error
    room = np.minimum(np.abs(value), np.abs(y.value) - np.abs(value))
    error = np.where((error > 0.0) & ~(room > 2.0 * (error + y.error)), np.inf, error)
    if not run.count:
        return run.rounded(equation, value, error, 0.0)
    change = x.change - turns * y.change
    change_error = x.change_error + np.abs(turns) * y.change_error
    change_error = change_error + 2.0 * run.own_unit * (np.abs(x.change) + np.abs(turns * y.change))
    return run.rounded(equation, value, error, 0.0, change, change_error)


BOUNDS: dict[str, Callable[..., Any]] = {
    "add": _sum(1.0),
    "add_any": _sum(1.0),
    "sub": _sum(-1.0),
    "mul": together(_multiply),
    "div": together(_divide),
    "max": _extreme(larger=True),
    "min": _extreme(larger=False),
    "clamp": _clamp,
    "pow": together(_pow),
    "atan2": together(_atan2),
    "rem": together(_remainder),
}
