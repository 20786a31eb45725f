"""Cost and gradient, read out of the value that a function returned."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from harness.facts import message_table
from harness.facts.fact import doubt
from harness.facts.kinds import Kind
from harness.grading.call_conventions import JOINED, Convention, Pick, as_array, items_of
from harness.sources.backprop_steps import Order
from reference.problem import Problem


@dataclass(frozen=True, eq=False)
class ParsedAnswer:
    """A returned value, read."""

    # a number and an (n,) array as θ lies in `reference`, or None
    cost: float | None = None
    gradient: np.ndarray | None = None
    conventions: tuple[str, ...] = ()  # in what the answer differs from the course's, such as "gradient before cost"
    precision: str = "float64"
    order: Order = "F"  # how θ and gradient lay for the submission, "F" by columns or "C" by rows
    changes_arguments: bool = False  # whether a call on the way to this answer changed its arguments in place

    @property
    def is_whole(self) -> bool:
        """Whether there are both a cost and a gradient."""
        return self.cost is not None and self.gradient is not None

    @property
    def numbers(self) -> tuple[float | None, bytes | None]:
        """Cost and gradient, to be compared to the last bit."""
        return self.cost, None if self.gradient is None else self.gradient.tobytes()

    @property
    def is_empty(self) -> bool:
        """Whether the gradient is missing, or zero throughout, as in an exercise handed out."""
        return self.gradient is None or not self.gradient.any()


class NotAnAnswer(message_table.FactError):
    """A returned value is no cost and no gradient."""


class FoundGradient(NamedTuple):
    """A gradient among the items of an answer: from the first item to before the end, and in what form."""

    first: int
    end: int
    vector: np.ndarray
    conventions: tuple[str, ...]


def parse_answer(value: Any, convention: Convention, problem: Problem) -> ParsedAnswer:
    """Cost and gradient out of a returned value; or `NotAnAnswer`: it holds neither, or something beside a cost."""
    items, costs, gradients = _find_parts(value, convention, problem)
    if pick := convention.pick:
        place, found = pick.cost, next((one for one in gradients if one[:2] == (pick.first, pick.end)), None)
        if (found is None and pick.end) or place not in (None, *costs):
            raise NotAnAnswer(doubt(Kind.NOT_AN_ANSWER, answer=_summary(value), missing="more"))
    else:
        place, found = next(iter(costs), None), next(iter(gradients), None)
    rest = [item for at, item in enumerate(items) if at != place]
    if found is None and (not pick or pick.end) and (rest or place is None):
        others = [item for at, item in enumerate(items) if at not in costs] or rest
        given = value if place is None else others[0] if len(others) == 1 else others
        raise _not_a_gradient(given, problem, beside_number=place is not None)
    conventions = found.conventions if found else ()
    if place is not None and np.shape(items[place]):
        conventions = (*conventions, f"cost as an array of shape {np.shape(items[place])}")
    if found and place is not None and place > found.first and not pick:
        conventions = (*conventions, "gradient before cost")
    return ParsedAnswer(
        None if place is None else float(np.asarray(items[place]).reshape(())),
        found.vector if found else None,
        conventions,
        _precision(items[found.first : found.end] if found else items[place or 0 :][:1]),
        convention.order,
    )


def possible_picks(value: Any, convention: Convention, problem: Problem) -> list[Pick | None]:
    """None, for an answer as a whole; or the possible pairs of cost and gradient, where it has more than one of each.

    The last ones come first: a regularised cost is mostly returned after the plain one. A cost beside what is no
    gradient may be right by itself.
    """
    items, costs, gradients = _find_parts(value, convention, problem)
    used = len(costs) + sum(found.end - found.first for found in gradients)
    if not gradients:
        return [None, *(Pick(cost, 0, 0) for cost in costs[::-1] if len(items) > 1)]
    if len(costs) <= 1 and len(gradients) == 1 and used == len(items):
        return [None]
    return [Pick(cost, found.first, found.end) for found in reversed(gradients) for cost in (costs[::-1] or [None])]


def _find_parts(
    value: Any, convention: Convention, problem: Problem
) -> tuple[list[Any], list[int], list[FoundGradient]]:
    """The items of an answer, the places of those that may be the cost, and what may be the gradient."""
    network, blocks = problem.network, convention.blocks
    items = items_of(value, partial(blocks.sort_values, network), network.size)
    # a vector, two matrices, or an item for each array of θ
    lengths = sorted({1, 2, len(blocks.names(network))})
    places = [(first, first + length) for length in lengths for first in range(len(items) - length + 1)]
    read = [(first, end, _gradient(items[first:end], convention, problem)) for first, end in places]
    gradients = [FoundGradient(first, end, *gradient) for first, end, gradient in read if gradient]
    # the bias of a layer of one unit is one number as well, and no cost
    in_gradients = {at for found in gradients for at in range(found.first, found.end)}
    single = [isinstance(item, (int, float, np.generic, np.ndarray)) and np.size(item) == 1 for item in items]
    numbers = [at for at, item in enumerate(items) if single[at] and np.asarray(item).dtype.kind in "biuf"]
    return items, [at for at in numbers if at not in in_gradients], gradients


def _gradient(
    items: Sequence[Any], convention: Convention, problem: Problem
) -> tuple[np.ndarray, tuple[str, ...]] | None:
    """The gradient that items hold: a vector, or arrays that lie as the parameters do; with its form."""
    network, blocks = problem.network, convention.blocks
    array = as_array(items[0]) if len(items) == 1 else None
    if array is not None and array.size == network.size == max(array.shape, default=0):
        flat = np.asarray(array, dtype=np.float64).ravel()
        conventions = () if array.ndim == 1 else (f"gradient as an array of {array.ndim} axes",)
        return network.pack(blocks.roll(network, flat, convention.order)), conventions
    matrices = blocks.join(network, items)
    conventions = ("gradient as matrices",) if blocks.arrangement == JOINED else ()
    return None if matrices is None else (network.pack(matrices), conventions)


def _not_a_gradient(value: Any, problem: Problem, *, beside_number: bool) -> NotAnAnswer:
    """Why a value, or what is returned beside a number, is no gradient: its shape, or what it is."""
    array, size = as_array(value), problem.network.size
    is_of_arrays = isinstance(value, (list, tuple)) and any(isinstance(item, np.ndarray) for item in value)
    if array is None and not is_of_arrays:
        missing = "gradient" if beside_number else ""
        return NotAnAnswer(doubt(Kind.NOT_AN_ANSWER, answer=_summary(value), missing=missing))
    answer = _summary(value) if array is None or is_of_arrays else f"an array of shape {array.shape}"
    return NotAnAnswer(doubt(Kind.GRADIENT_SHAPE, answer=answer, expected=size))


def _precision(items: Sequence[Any]) -> str:
    """The precision of some items: "float32", if one of them is."""
    return "float32" if any(getattr(item, "dtype", None) == np.float32 for item in items) else "float64"


def _summary(value: Any) -> str:
    """A value in a few words."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and type {value.dtype}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {', '.join(map(_summary, value[:4]))}"
    return f"a {type(value).__name__}"
