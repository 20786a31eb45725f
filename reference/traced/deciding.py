"""What a program decides by its numbers, and the same decided as random roundings would have it.

A comparison, the larger of two numbers, an absolute value, an order and a rounding to whole numbers choose a branch.
Where numbers cancel to next to nothing, what rounding has moved up to there is more than what is left, and it is
rounding that chooses. Runs that round at random show how far each number may be moved. Moved by so many times as much,
to either side, the numbers choose as rounding might: a program that is run again with these choices, and with its own
numbers otherwise, answers what is right on the other side.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from reference.arithmetics.increments import Increment, constant
from reference.traced.interpreter import RULES, Run
from reference.traced.program import COMPARISONS, Equation, kind

EXTREMES = {"max", "min"}

FOLDS = {
    "sort", "top_k", "reduce_max", "reduce_min", "cummax", "cummin", "reduce_window_max", "reduce_window_min",
}  # fmt: skip
"""Primitives whose results are some of the entries of what they are given."""

WHOLE = {"floor", "ceil", "round", "argmax", "argmin"}
"""Primitives whose results are themselves what they decide."""

DECIDING = {*COMPARISONS, *EXTREMES, *FOLDS, *WHOLE, "abs", "sign", "clamp", "rem", "convert_element_type"}

CONTINUOUS = {*EXTREMES, *FOLDS, "abs", "clamp"}
"""Primitives whose values meet where they decide otherwise."""


class Decision(NamedTuple):
    """An equation that decides, and the numbers that it met."""

    equation: Equation
    numbers: list[np.ndarray]


def decides(equation: Equation) -> bool:
    """Whether real numbers decide something in an equation."""
    if equation.name not in DECIDING or not equation.kinds <= {"f", "i", "b"} or kind(equation.input_dtypes[0]) != "f":
        return False
    return equation.name != "convert_element_type" or kind(equation.dtypes[0]) != "f"


def decided(equation: Equation, numbers: Sequence[np.ndarray]) -> np.ndarray:
    """What an equation decides, entry by entry, as whole numbers or truth values."""
    name = equation.name
    if name in EXTREMES:
        return np.greater(*numbers)
    if name in ("abs", "sign"):
        return np.sign(numbers[0])
    if name == "clamp":
        low, x, high = numbers
        return np.greater(x, high).astype(int) - np.less(x, low)
    if name == "rem":
        return np.trunc(numbers[0] / numbers[1])
    found = RULES[name](Run(), equation, *map(constant, numbers))
    first = np.asarray((found if isinstance(found, Increment) else found[0]).value)
    return _places(numbers[0], first) if name in FOLDS else first


def _places(array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Where in an array entries of it stand."""
    order = np.argsort(array, axis=None, kind="stable")
    return order[np.minimum(np.searchsorted(array.ravel()[order], chosen), order.size - 1)]


class Watched(Run):
    """A run that keeps what it decides by."""

    def __init__(self, **how: Any):
        super().__init__(**how)
        self.decisions: list[Decision] = []

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        if decides(equation):
            self.decisions.append(Decision(equation, [np.asarray(x.value) for x in operands]))
        return super().equation(equation, operands)


class Turned(Run):
    """A run that decides as it would by other numbers; its own are what it computes with.

    Parameters
    ----------
    decisions : sequence of Decision
        In the order in which they are met.
    """

    def __init__(self, decisions: Sequence[Decision], **how: Any):
        super().__init__(**how)
        self._decisions = iter(decisions)

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        if not decides(equation):
            return super().equation(equation, operands)
        other = next(self._decisions, None)
        own = [np.asarray(x.value) for x in operands]
        if other is None or not _alike(Decision(equation, own), other):
            return super().equation(equation, operands)
        moved = [Increment(y, x.change) for x, y in zip(operands, other.numbers)]
        turned = super().equation(equation, moved)
        if equation.name not in CONTINUOUS:
            return turned
        values = super().equation(equation, list(map(constant, own)))
        return [
            Increment(x.value, y.change) if kind(dtype) == "f" else y
            for x, y, dtype in zip(values, turned, equation.dtypes)
        ]


def _alike(first: Decision, second: Decision) -> bool:
    shapes = [[x.shape for x in decision.numbers] for decision in (first, second)]
    return first.equation is second.equation and shapes[0] == shapes[1]


class Otherwise(NamedTuple):
    """What rounding may decide otherwise than a run.

    Attributes
    ----------
    ways : list of decisions
        Each way once.
    tied : decisions, or empty
        With all numbers equal of which any may be the largest, or the smallest: the changes decide which it is.
    """

    ways: list[list[Decision]]
    tied: list[Decision]


def otherwise(runs: Sequence[Sequence[Decision]], factor: float) -> Otherwise:
    """What the first run would decide if its numbers were moved as the others' are, so many times as far, or back."""
    own, ways = runs[0], dict[bytes, list[Decision]]()
    here = [decided(*decision) for decision in own]
    others = [run for run in runs[1:] if len(run) == len(own) and all(map(_alike, own, run))]
    for other, times in product(others, (factor, -factor)):
        moved = [_moved(x, y, times) for x, y in zip(own, other)]
        there = [way if x is y else decided(*y) for x, y, way in zip(own, moved, here)]
        if any(np.any(x != y) for x, y in zip(here, there)):
            ways.setdefault(b"".join(way.tobytes() for way in there), moved)
    tied = [_tied(x, [run[i] for run in others], factor) for i, x in enumerate(own)]
    return Otherwise(list(ways.values()), tied if any(x is not y for x, y in zip(own, tied)) else [])


@np.errstate(all="ignore")
def _moved(own: Decision, other: Decision, times: float) -> Decision:
    if all(map(np.array_equal, own.numbers, other.numbers)):
        return own
    numbers = [
        np.where(np.isfinite(far := x + times * (y - x)), far, x) if x.dtype.kind == "f" else x
        for x, y in zip(own.numbers, other.numbers)
    ]
    return Decision(own.equation, numbers)


@np.errstate(all="ignore")
def _tied(own: Decision, others: Sequence[Decision], factor: float) -> Decision:
    if own.equation.name not in ("reduce_max", "reduce_min") or not others:
        return own
    side = 1.0 if own.equation.name == "reduce_max" else -1.0
    x, axes = side * own.numbers[0], own.equation.params["axes"]
    reach = factor * np.max([np.abs(side * other.numbers[0] - x) for other in others], axis=0)
    largest = x.max(axis=axes, keepdims=True)
    near = (x + reach >= (x - reach).max(axis=axes, keepdims=True)) & (x != largest) & np.isfinite(reach)
    return Decision(own.equation, [side * np.where(near, largest, x)]) if near.any() else own
