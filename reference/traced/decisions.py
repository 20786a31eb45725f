"""What a program decides by its numbers, and the same decided as random roundings would have it.

A comparison, the larger of two numbers, an absolute value, an order and a rounding to whole numbers choose a branch.
Where numbers cancel, the rounding errors made before exceed what is left, and rounding chooses: |(x + 1) - 1 - x| has
the slope of either side. Runs that round at random show how far each number may be moved. A program is run again with
the choices that its numbers would make if they were moved further, to either side; it computes with its own numbers
otherwise. In order:

1. a `RecordingRun` without rounding, and some that round at random;
2. `find_turned_decisions`, which compares what they decided by;
3. a `TurnedRun` for each way to decide, whose derivatives are as good as the first one's.

How far numbers are moved is measured, so that a decision that no run comes near is not found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from reference.arithmetics.increments import Increment, aligned, constant
from reference.traced.equations import Equation, kind
from reference.traced.interpreter import Run
from reference.traced.primitive import Choice


class Decision(NamedTuple):
    """An equation that decides, and its operands."""

    equation: Equation
    numbers: list[np.ndarray]


def choice_of(equation: Equation) -> Choice | None:
    """What real numbers decide in an equation; None where they decide nothing."""
    choice = equation.primitive.choice
    if choice is None or not equation.kinds <= {"f", "i", "b"} or kind(equation.input_dtypes[0]) != "f":
        return None
    return None if choice.needs_cast and kind(equation.dtypes[0]) == "f" else choice


def decided(equation: Equation, numbers: Sequence[np.ndarray]) -> np.ndarray:
    """What an equation with a choice decides, entry by entry, as whole numbers or truth values."""
    assert equation.primitive.choice
    return equation.primitive.choice.find(equation, numbers)


@dataclass(eq=False, kw_only=True)
class RecordingRun(Run):
    """A run that keeps what it decides by."""

    decisions: list[Decision] = field(default_factory=list)

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        if choice_of(equation):
            self.decisions.append(Decision(equation, [np.asarray(x.value) for x in operands]))
        return super().equation(equation, operands)


@dataclass(eq=False, kw_only=True)
class TurnedRun(Run):
    """A run that decides as it would by other numbers, and computes with its own."""

    decisions: Iterator[Decision]  # in the order in which the program makes them

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        choice = choice_of(equation)
        if not choice:
            return super().equation(equation, operands)
        # a loop that ends otherwise makes more decisions, or others: from there on it decides by its own numbers
        other = next(self.decisions, None)
        own = [np.asarray(x.value) for x in operands]
        if other is None or not _is_alike(Decision(equation, own), other):
            return super().equation(equation, operands)
        moved = [Increment(y, x.change) for x, y in zip(operands, other.numbers)]
        turned = super().equation(equation, moved)
        if not choice.is_continuous:  # sign(x) is the other sign altogether
            return turned
        # of |x|, the other slope and the value as it is: so later equations still see the program's own numbers
        values = super().equation(equation, list(map(constant, own)))
        return [
            Increment(x.value, y.change) if kind(dtype) == "f" else y
            for x, y, dtype in zip(values, turned, equation.dtypes)
        ]


def _is_alike(first: Decision, second: Decision) -> bool:
    shapes = [[x.shape for x in decision.numbers] for decision in (first, second)]
    return first.equation is second.equation and shapes[0] == shapes[1]


@dataclass(eq=False, kw_only=True)
class TiedRun(Run):
    """A run that keeps how equal numbers move which decide something, and how they would have to move.

    At max(x, y) with x = y, JAX reports a mean of both slopes, and a sort of equal numbers takes them by position.
    There may be a direction in which no tie is left and each decision is as it is taken here: `moves` and `wanted` say
    which.
    """

    moves: list[np.ndarray] = field(default_factory=list)  # (numbers, directions) arrays
    # (numbers,) arrays: moves in these proportions lead to a point without ties where each decision is the one that is
    # taken here
    wanted: list[np.ndarray] = field(default_factory=list)

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        choice = choice_of(equation)
        if choice and choice.compares_pair:
            # what 1, 0 and -1 decide against 0: of > the tie decides as -1 does, of == as neither
            up, here, down = choice.find(equation, [np.array([1.0, 0.0, -1.0]), np.zeros(3)])
            side = 1.0 if up == here else -1.0 if down == here else 0.0
            x, y = (aligned(x, len(equation.shapes[0])) for x in operands)
            self._keep(x.change - y.change, side * np.equal(x.value, y.value))
        elif choice and choice.order_of_ties:
            for key in operands[: equation.params.get("num_keys", 1)]:
                _, place, count = np.unique(key.value, return_inverse=True, return_counts=True)
                # equal entries have to part in the order in which they are taken
                rank = choice.order_of_ties * np.arange(1.0, place.size + 1).reshape(np.shape(key.value))
                self._keep(key.change, rank * (count[place].reshape(rank.shape) > 1))
        return super().equation(equation, operands)

    def _keep(self, change: Any, wanted: np.ndarray) -> None:
        if np.ndim(change) and wanted.any():
            moves = np.broadcast_to(change, (len(change), *wanted.shape))[:, wanted != 0.0].T
            self.moves.append(moves)
            self.wanted.append(wanted[wanted != 0.0])


class TurnedDecisions(NamedTuple):
    """What rounding may decide otherwise than a run."""

    ways: list[list[Decision]]  # each way once, as all decisions of a run
    # With all numbers equal of which any may be the largest, or the smallest: the changes decide which it is. Among n
    # such numbers there are too many ways to turn them one by one.
    tied: list[Decision]


def find_turned_decisions(runs: Sequence[Sequence[Decision]], factor: float) -> TurnedDecisions:
    """What the first run would decide if its numbers were moved `factor` times as far as the other runs move them.

    They are moved in the same direction and in the opposite one.
    """
    own, ways = runs[0], dict[bytes, list[Decision]]()  # by what is decided, so that each way stands once
    here = [decided(*decision) for decision in own]
    others = [run for run in runs[1:] if len(run) == len(own) and all(map(_is_alike, own, run))]
    for other, times in product(others, (factor, -factor)):
        moved = [_moved(x, y, times) for x, y in zip(own, other)]
        there = [way if x is y else decided(*y) for x, y, way in zip(own, moved, here)]
        if any(np.any(x != y) for x, y in zip(here, there)):
            ways.setdefault(b"".join(way.tobytes() for way in there), moved)
    tied = [_tied(x, [run[i] for run in others], factor) for i, x in enumerate(own)]
    return TurnedDecisions(list(ways.values()), tied if any(x is not y for x, y in zip(own, tied)) else [])


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
    """The decision with all numbers equal that may be the chosen one; itself where there are none such."""
    choice = choice_of(own.equation)
    if choice is None or choice.level is None or not others:
        return own
    # how far any run moves each number, times the factor
    reach = factor * np.max([np.abs(other.numbers[0] - own.numbers[0]) for other in others], axis=0)
    level = choice.level(own.numbers[0], reach, own.equation.params)
    return own if level is None else Decision(own.equation, [level])
