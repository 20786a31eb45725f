"""Cost and gradient read out of whatever a function answered."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.grading.calling.blocks import JOINED
from harness.grading.calling.conventions import Convention
from harness.sources.backprop_steps import Order
from reference.problem import Problem


@dataclass(frozen=True, eq=False)
class Parsed:
    """What was made of an answer: the cost, the gradient as θ lies in `reference`, or None; and how they came.

    `order` is how θ and the gradient lay for who answered, by columns or by rows.
    """

    cost: float | None = None
    gradient: np.ndarray | None = None
    came: tuple[str, ...] = ()
    precision: str = "float64"
    order: Order = "F"

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for the same answer, in whatever convention it was given."""
        return self.cost, None if self.gradient is None else self.gradient.tobytes(), self.order, self.precision


class NotAnAnswer(ValueError):
    """What a function answered is no cost and no gradient, in words that follow "it"."""


def parse(value: Any, convention: Convention, problem: Problem) -> Parsed:
    """Cost and gradient out of whatever was answered.

    Raises
    ------
    NotAnAnswer
    """
    return replace(_parsed(value, convention, problem), order=convention.order)


def _parsed(value: Any, convention: Convention, problem: Problem) -> Parsed:
    if (whole := _joined(value, convention, problem)) is not None:
        return Parsed(None, *whole)
    if isinstance(value, dict):
        value = tuple(value.values())
    if convention.pick is not None:
        cost, first, end = convention.pick
        if not isinstance(value, (tuple, list)) or len(value) < max(end, 1 + (cost or 0)):
            raise NotAnAnswer(f"answers {_what(value)}, and something else before")
        value = (*([] if cost is None else [value[cost]]), *value[first:end])
    if isinstance(value, (tuple, list)) and len(value) == 2 and _is_cost(value[1]) and not _is_cost(value[0]):
        parsed = _parsed((value[1], value[0]), convention, problem)
        return replace(parsed, came=(*parsed.came, "gradient before cost"))
    if isinstance(value, (tuple, list)) and len(value) == 2 and value[1] is None:
        value = value[0]  # a gradient that is not there yet
    if _is_cost(value):
        return _with_cost(value, None, (), _precision(value))
    if isinstance(value, (tuple, list)) and len(value) >= 2 and _is_cost(value[0]):
        rest = value[1] if len(value) == 2 else list(value[1:])
        return _with_cost(value[0], *_gradient(rest, convention, problem))
    gradient, came, precision = _gradient(value, convention, problem)
    return Parsed(None, gradient, came, precision)


def picks(value: Any, convention: Convention, problem: Problem) -> list[tuple[int | None, int, int] | None]:
    """Which cost and which gradient may be meant, where an answer has more than one of each; else None alone.

    Those that come last are first: a regularised cost is mostly answered after the plain one.
    """
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, (tuple, list)):
        return [None]
    if _joined(value, convention, problem) is not None:
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


def _joined(value: Any, convention: Convention, problem: Problem) -> tuple[np.ndarray, tuple[str, ...], str] | None:
    """The gradient that arrays are which came back as the parameters are given; None for anything else."""
    network, blocks = problem.network, convention.blocks
    if isinstance(value, dict):
        value = blocks.in_order(network, value)
    if not isinstance(value, (list, tuple)) or (matrices := blocks.join(network, value)) is None:
        return None
    came = ("gradient as matrices",) if blocks.arrangement == JOINED else ()
    return network.pack(matrices), came, _precision(*value)


def _precision(*arrays: Any) -> str:
    return "float32" if any(getattr(array, "dtype", None) == np.float32 for array in arrays) else "float64"


def _is_cost(value: Any) -> bool:
    return isinstance(value, (int, float, np.generic, np.ndarray)) and np.size(value) == 1 and not _is_text(value)


def _is_text(value: Any) -> bool:
    return np.asarray(value).dtype.kind not in "biuf"


def _with_cost(cost: Any, gradient: np.ndarray | None, came: tuple[str, ...], precision: str) -> Parsed:
    shape = np.shape(cost)
    came = (*came, f"cost as an array of shape {shape}") if shape else came
    return Parsed(float(np.asarray(cost).reshape(())), gradient, came, precision)


def _gradient(value: Any, convention: Convention, problem: Problem) -> tuple[np.ndarray, tuple[str, ...], str]:
    network = problem.network
    if (joined := _joined(value, convention, problem)) is not None:
        return joined
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        matrices = [item for item in value if isinstance(item, np.ndarray)]
        if len(value) == 1:
            return _gradient(value[0], convention, problem)
        if all(isinstance(item, (int, float, np.generic)) for item in value):
            return _gradient(np.array(value), convention, problem)
        if not matrices:
            raise NotAnAnswer(f"answers {_what(value)}, which is no cost and no gradient of numbers")
        raise NotAnAnswer(f"answers a gradient of {_what(value)}; expected is one of {network.size} entries")
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise NotAnAnswer(f"answers {_what(value)}, which is no cost and no gradient of numbers")
    if value.size != network.size:
        raise NotAnAnswer(f"answers a gradient of shape {value.shape}; expected are {network.size} entries, as in θ")
    came = () if value.ndim == 1 else (f"gradient as an array of {value.ndim} axes",)
    flat = np.asarray(value, dtype=np.float64).ravel()
    return network.pack(convention.blocks.roll(network, flat, convention.order)), came, _precision(value)


def _what(value: Any) -> str:
    """An answer in a few words."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {', '.join(_what(item) for item in value[:4])}"
    return f"a {type(value).__name__}"
