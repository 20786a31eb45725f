"""Cost and gradient, read out of the value that a function returned."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.facts.fact import doubt
from harness.facts.fact_error import FactError
from harness.facts.kinds import Kind
from harness.grading.call_conventions import JOINED, Convention
from harness.sources.backprop_steps import Order
from reference.problem import Problem

Pick = tuple[int | None, int, int]

Gradient = tuple[np.ndarray, tuple[str, ...], str]
"""An (n,) gradient, the conventions in which it came, and its precision."""


@dataclass(frozen=True, eq=False)
class ParsedAnswer:
    """A returned value, read.

    Attributes
    ----------
    cost, gradient : a number and an (n,) array as θ lies in `reference`, or None
    conventions : in what the answer differs from the course's, such as "gradient before cost"
    precision : "float64" or "float32"
    order : how θ and gradient lay for the submission, "F" by columns or "C" by rows
    changes : the calls that changed their arguments in place on the way to this answer
    """

    cost: float | None = None
    gradient: np.ndarray | None = None
    conventions: tuple[str, ...] = ()
    precision: str = "float64"
    order: Order = "F"
    changes: tuple[Any, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal numbers, in any convention."""
        return self.cost, None if self.gradient is None else self.gradient.tobytes(), self.order, self.precision

    @property
    def is_whole(self) -> bool:
        """Whether there are both a cost and a gradient."""
        return self.cost is not None and self.gradient is not None

    @property
    def is_empty(self) -> bool:
        """Whether the gradient is missing, or zero throughout, as in an exercise handed out."""
        return self.gradient is None or not self.gradient.any()


class NotAnAnswer(FactError):
    """A returned value is no cost and no gradient."""


def _not_an_answer(value: Any, *, more_expected: bool = False) -> NotAnAnswer:
    return NotAnAnswer(doubt(Kind.NOT_AN_ANSWER, answer=_summary(value), more_expected=more_expected))


def _wrong_shape(answer: str, problem: Problem) -> NotAnAnswer:
    return NotAnAnswer(doubt(Kind.GRADIENT_SHAPE, answer=answer, expected=problem.network.size))


def parse_answer(value: Any, convention: Convention, problem: Problem) -> ParsedAnswer:
    """Cost and gradient out of a returned value.

    Raises
    ------
    NotAnAnswer
        It holds neither.
    """
    return replace(_parsed(value, convention, problem), order=convention.order)


def _parsed(value: Any, convention: Convention, problem: Problem) -> ParsedAnswer:
    if isinstance(value, dict) and len(costs := [item for item in value.values() if _is_cost(item)]) == 1:
        rest = {name: item for name, item in value.items() if not _is_cost(item)}
        if (whole := _joined(rest, convention, problem)) is not None:
            return _with_cost(costs[0], *whole)
    elif (whole := _joined(value, convention, problem)) is not None:
        return ParsedAnswer(None, *whole)
    if isinstance(value, dict):
        value = tuple(value.values())
    if convention.pick is not None:
        value = _picked(value, convention.pick)
    if isinstance(value, (tuple, list)) and len(value) == 2 and _is_cost(value[1]) and not _is_cost(value[0]):
        parsed = _parsed((value[1], value[0]), convention, problem)
        return replace(parsed, conventions=(*parsed.conventions, "gradient before cost"))
    if isinstance(value, (tuple, list)) and len(value) == 2 and value[1] is None:
        value = value[0]  # a gradient that is not there yet
    if _is_cost(value):
        return _with_cost(value, None, (), _precision(value))
    if isinstance(value, (tuple, list)) and len(value) >= 2 and _is_cost(value[0]):
        rest = value[1] if len(value) == 2 else list(value[1:])
        return _with_cost(value[0], *_gradient(rest, convention, problem))
    return ParsedAnswer(None, *_gradient(value, convention, problem))


def _picked(value: Any, pick: Pick) -> tuple[Any, ...]:
    """The one cost and the one gradient of an answer that holds more."""
    cost, first, end = pick
    if not isinstance(value, (tuple, list)) or len(value) < max(end, 1 + (cost or 0)):
        raise _not_an_answer(value, more_expected=True)
    return (*([] if cost is None else [value[cost]]), *value[first:end])


def possible_picks(value: Any, convention: Convention, problem: Problem) -> list[Pick | None]:
    """The possible pairs of cost and gradient, where an answer has more than one of each; else None alone.

    The last ones come first: a regularised cost is mostly returned after the plain one.
    """
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, (tuple, list)) or _joined(value, convention, problem) is not None:
        return [None]
    costs = [i for i, item in enumerate(items) if _is_cost(item)]
    depth = len(convention.blocks.names(problem.network))
    gradients = [(i, i + 1) for i, item in enumerate(items) if _is_gradient(item, convention, problem)]
    gradients += [
        (i, i + depth) for i in range(len(items)) if _joined(list(items[i:][:depth]), convention, problem) is not None
    ]
    used = len(costs) + sum(end - first for first, end in gradients)
    if not gradients or (len(costs) <= 1 and len(gradients) == 1 and used == len(items)):
        return [None]
    return [(cost, *place) for place in reversed(gradients) for cost in (costs[::-1] or [None])]


def _is_gradient(item: Any, convention: Convention, problem: Problem) -> bool:
    if isinstance(item, np.ndarray):
        return item.size == problem.network.size == max(item.shape, default=0) and item.dtype.kind in "biuf"
    return _joined(item, convention, problem) is not None


def _joined(value: Any, convention: Convention, problem: Problem) -> Gradient | None:
    """The gradient in arrays that lie as the parameters do; None for anything else."""
    network, blocks = problem.network, convention.blocks
    if isinstance(value, Mapping):
        value = blocks.sort_values(network, value)
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(item, (list, tuple)) for item in value):
        arrays = [array for item in value for array in item]
        value = arrays if all(isinstance(array, np.ndarray) for array in arrays) else value  # of weights and of biases
    if not isinstance(value, (list, tuple)) or (matrices := blocks.join(network, value)) is None:
        return None
    conventions = ("gradient as matrices",) if blocks.arrangement == JOINED else ()
    return network.pack(matrices), conventions, _precision(*value)


def _precision(*arrays: Any) -> str:
    return "float32" if any(getattr(array, "dtype", None) == np.float32 for array in arrays) else "float64"


def _is_cost(value: Any) -> bool:
    is_single = isinstance(value, (int, float, np.generic, np.ndarray)) and np.size(value) == 1
    return is_single and np.asarray(value).dtype.kind in "biuf"


def _with_cost(cost: Any, gradient: np.ndarray | None, conventions: tuple[str, ...], precision: str) -> ParsedAnswer:
    shape = np.shape(cost)
    conventions = (*conventions, f"cost as an array of shape {shape}") if shape else conventions
    return ParsedAnswer(float(np.asarray(cost).reshape(())), gradient, conventions, precision)


def _gradient(value: Any, convention: Convention, problem: Problem) -> Gradient:
    network = problem.network
    if (joined := _joined(value, convention, problem)) is not None:
        return joined
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        if len(value) == 1:
            return _gradient(value[0], convention, problem)
        if all(isinstance(item, (int, float, np.generic)) for item in value):
            return _gradient(np.array(value), convention, problem)
        if any(isinstance(item, np.ndarray) for item in value):
            raise _wrong_shape(_summary(value), problem)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise _not_an_answer(value)
    if value.size != network.size:
        raise _wrong_shape(f"shape {value.shape}", problem)
    conventions = () if value.ndim == 1 else (f"gradient as an array of {value.ndim} axes",)
    flat = np.asarray(value, dtype=np.float64).ravel()
    return network.pack(convention.blocks.roll(network, flat, convention.order)), conventions, _precision(value)


def _summary(value: Any) -> str:
    """A value in a few words."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {', '.join(map(_summary, value[:4]))}"
    return f"a {type(value).__name__}"
