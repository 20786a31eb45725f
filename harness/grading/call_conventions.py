"""How a submission may want to be called: where θ, labels and examples come from, and how the matrices lie.

In the course's convention, θ and gradient are unrolled by columns, examples are rows, X has no column of ones, and
labels start at 1. Ports differ in all of that, and are right all the same.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from harness.grading.parameter_roles import BLOCKS, OF_THETA, Default, Parameters, Role, named_roles
from harness.sources.backprop_steps import Order
from reference.network import Network
from reference.problem import Problem

JOINED, IN_TURN, WEIGHTS_FIRST, BIASES_FIRST = "joined", "W1, b1, W2, b2", "W1, W2, b1, b2", "b1, W1, b2, W2"
BIASES_THEN_WEIGHTS = "b1, b2, W1, W2"
ARRANGEMENTS = (JOINED, IN_TURN, WEIGHTS_FIRST, BIASES_FIRST, BIASES_THEN_WEIGHTS)
"""In which order the arrays of θ lie: the course's Theta1, Theta2 with a column of biases, or W and b apart."""

IN_LISTS = (WEIGHTS_FIRST, BIASES_THEN_WEIGHTS)  # the arrangements of gradients of weights and of biases as two lists

VECTOR, COLUMN, ROW = "vectors", "columns", "rows"  # the shapes of biases for n units: (n,), (n, 1) or (1, n)

FROM_ONE, FROM_ZERO, ONE_HOT = "labels from 1", "labels from 0", "one-hot targets"
LABELS = (FROM_ONE, FROM_ZERO, ONE_HOT)
ZERO_LAST, TEN_FIRST = "labels from 1, and 0 for the tenth", "labels from 0, and 10 for the first"
LABELS_OF_TEN = (*LABELS, ZERO_LAST, TEN_FIRST)
"""How ten digits may be labelled: the course's data has 10 for the digit 0, and its last unit stands for it."""

L2_AS = {"λ": lambda m: 1.0, "λ/m": lambda m: 1.0 / m, "λ/(2m)": lambda m: 0.5 / m}
"""What a function takes as λ, by its factor for m examples: some leave the division by m to their caller."""

THETA_AS = {"list": "a list of matrices", "dictionary": "a dictionary of matrices", "column": "a column"}

KEYS = (("Theta1", "Theta2"), ("theta1", "theta2"), ("T1", "T2"), ("W1", "W2"), ("w1", "w2"))
"""The keys under which dictionaries hold the two matrices."""

ORDERS: tuple[Order, ...] = ("F", "C")
BOTH = (False, True)


@dataclass(frozen=True)
class Blocks:
    """The arrays that θ consists of, and the gradient alike."""

    # one of `ARRANGEMENTS`; `VECTOR`, `COLUMN` or `ROW`, where biases are apart
    arrangement: str = JOINED
    by_inputs: bool = False  # whether weights are (inputs, outputs) instead of (outputs, inputs)
    biases: str = VECTOR

    def names(self, network: Network) -> list[str]:
        """The arrays in their order."""
        if self.arrangement == JOINED:
            return [f"Theta{number}" for number in range(1, len(network.shapes) + 1)]
        return self.arrangement.split(", ")

    def split(self, network: Network, matrices: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The Theta_l, with biases in their first columns, as these arrays; none shares memory with them."""
        pieces = {}
        for number, Theta in enumerate(matrices, start=1):
            W, b = Theta[:, 1:], Theta[:, 0]
            shaped = {VECTOR: b, COLUMN: b[:, np.newaxis], ROW: b[np.newaxis, :]}
            pieces[f"Theta{number}"] = np.array(Theta.T if self.by_inputs else Theta)
            pieces[f"W{number}"] = np.array(W.T if self.by_inputs else W)
            pieces[f"b{number}"] = np.array(shaped[self.biases])
        return {name: pieces[name] for name in self.names(network)}

    def join(self, network: Network, arrays: Sequence[Any]) -> list[np.ndarray] | None:
        """The Theta_l of arrays in this order; None where shapes do not fit.

        Biases may have any number of axes: ``np.sum(delta, axis=1)`` drops one that ``keepdims=True`` keeps.
        """
        like = self.split(network, [np.empty(shape) for shape in network.shapes])
        if len(arrays) != len(like):
            return None
        turned: dict[str, np.ndarray] = {}
        for (name, wanted), given in zip(like.items(), arrays):
            array, is_bias = as_array(given), name[0] == "b"
            if array is None or array.size != wanted.size or not (is_bias or array.shape == wanted.shape):
                return None
            turned[name] = array.T if self.by_inputs and not is_bias else array
        if self.arrangement == JOINED:
            return list(turned.values())
        numbers = range(1, len(network.shapes) + 1)
        return [np.column_stack([turned[f"b{number}"].ravel(), turned[f"W{number}"]]) for number in numbers]

    def roll(self, network: Network, vector: np.ndarray, order: Order) -> list[np.ndarray]:
        """The Theta_l that lie in an (n,) vector."""
        like = self.split(network, [np.empty(shape) for shape in network.shapes]).values()
        parts = np.split(vector, np.cumsum([array.size for array in like])[:-1])
        joined = self.join(network, [part.reshape(array.shape, order=order) for part, array in zip(parts, like)])
        assert joined is not None
        return joined

    def sort_values(self, network: Network, answer: Mapping[Any, Any]) -> list[Any]:
        """The values of a dictionary; last, in the order of these arrays, what keys such as W1, dW1 or W1_grad name."""
        plain = {re.sub("_|grad|delta", "", str(key).lower()).removeprefix("d"): key for key in answer}
        named = [plain.get(name.lower()) for name in self.names(network)]
        keys = answer if None in named else [*(key for key in answer if key not in named), *named]
        return [answer[key] for key in keys]

    def differences(self) -> list[str]:
        """In what these arrays differ from the course's."""
        apart = [] if self.arrangement == JOINED else [f"weights and biases apart ({self.arrangement})"]
        return apart + (["weights as (inputs, outputs)"] if self.by_inputs else [])


COURSE_BLOCKS = Blocks()


class Pick(NamedTuple):
    """Places among the items of an answer."""

    cost: int | None
    first: int  # of the gradient's items
    end: int  # behind the last of them; 0 for a cost alone, beside which no item is a gradient


@dataclass(frozen=True)
class Convention:
    """One way to call a function."""

    labels: str = FROM_ONE  # one of `LABELS`
    column: bool = False  # whether labels are (m, 1) instead of (m,)
    order: Order = "F"  # whether matrices are unrolled by columns, "F", or by rows, "C", in θ and gradient alike
    ones: bool = False  # whether X comes with its column of ones
    transposed: bool = False  # whether examples are columns of X, and of one-hot targets
    # "flat", "column" (n, 1), "list" of matrices, or "dictionary" under the usual keys, which are attributes, too
    theta: str = "flat"
    blocks: Blocks = COURSE_BLOCKS  # the arrays that θ consists of
    plain: bool = False  # whether arrays are given as lists of numbers
    single: bool = False  # whether it is called with one example at a time, and its answers are averaged
    l2_as: str = "λ"  # one of `L2_AS`
    pick: Pick | None = None  # what is taken of an answer that holds more than one cost and one gradient

    def differences(self) -> list[str]:
        """In what it differs from the course's own, by the names that a rubric may use."""
        course = Convention()
        found = {
            self.labels: self.labels != course.labels,
            "θ and gradient by rows": self.order != course.order,
            "X with a column of ones": self.ones,
            "examples in columns": self.transposed,
            f"θ as {THETA_AS.get(self.theta)}": self.theta != course.theta,
            **dict.fromkeys(self.blocks.differences(), True),
            "plain lists for arrays": self.plain,
            "one example at a time": self.single,
            f"{self.l2_as} in the place of λ": self.l2_as != course.l2_as,
            "more answered than a cost and a gradient": self.pick and self.pick.cost is not None and self.pick.end,
            "more answered than a gradient, and no cost": self.pick is not None and self.pick.cost is None,
        }
        return [words for words, differs in found.items() if differs]

    @property
    def is_usual(self) -> bool:
        """Whether only labels, order and what is picked differ from the course's way, as in most ports."""
        return replace(self, pick=None) == Convention(self.labels, self.column, self.order)

    @property
    def is_repetition(self) -> bool:
        """Whether another convention gives the same arguments, so that it need not be tried.

        One-hot targets are a matrix already, and matrices are not unrolled. In a vector, W.T by columns is W by rows,
        and (n,), (n, 1) and (1, n) are the same numbers.
        """
        is_unrolled_alike = self.theta == "flat" and (self.blocks.biases != VECTOR or self.blocks.by_inputs)
        is_of_matrices = self.order == "C" and self.theta in ("list", "dictionary")
        return (self.column and self.labels == ONE_HOT) or is_of_matrices or is_unrolled_alike

    def gives_matrices(self, roles: Sequence[Role]) -> bool:
        """Whether θ is given as the course's two matrices."""
        in_one = "theta" in roles and self.theta in ("list", "dictionary")
        return self.blocks == COURSE_BLOCKS and (in_one or "theta1" in roles)

    def fits(self, roles: Sequence[Role]) -> bool:
        """Whether parameters with these roles can take θ in this way.

        Arrays that are parameters by themselves have no order and no form. Of the conventions that differ in these
        alone, one fits.
        """
        if self.l2_as != "λ" and "l2" not in roles:
            return False
        arrangement, form = self.blocks.arrangement, (self.order, self.theta)
        match next(names for names in OF_THETA if set(names) <= named_roles(roles)):
            case ("theta",):
                return not self.single and arrangement != BIASES_THEN_WEIGHTS
            case ("theta1", "theta2"):
                return arrangement == JOINED and form == ("F", "list" if self.blocks.by_inputs else "flat")
            case ("weights", "biases"):
                return arrangement in IN_LISTS and form == ("F", "list")
        return form == ("F", "list") and not self.single and arrangement not in (JOINED, BIASES_THEN_WEIGHTS)


COURSE_CONVENTION = Convention()

APART = tuple(Blocks(*options) for options in product(ARRANGEMENTS[1:], BOTH, (VECTOR, COLUMN, ROW)))

Row = Mapping[str, Sequence[Any]]

OF_TEN: Row = {
    "transposed": BOTH, "ones": BOTH, "theta": ("flat", "list"), "labels": LABELS_OF_TEN, "column": BOTH,
    "order": ORDERS,
}  # fmt: skip

TABLE: tuple[Row, ...] = (
    # the course's two matrices, in every form
    {
        "theta": ("flat", *THETA_AS), "transposed": BOTH, "ones": BOTH, "order": ORDERS, "labels": LABELS,
        "column": BOTH,
    },
    # transposed, or weights and biases apart, as in other courses
    {
        "blocks": (Blocks(by_inputs=True), *APART), "transposed": BOTH, "theta": ("flat", "list", "dictionary"),
        "order": ORDERS, "labels": LABELS, "column": BOTH,
    },
    # a λ that is divided by the caller
    {
        "blocks": tuple(Blocks(arrangement, by_inputs=True) for arrangement in ARRANGEMENTS[1:]),
        "l2_as": tuple(L2_AS)[1:], "labels": LABELS, "theta": ("list", "dictionary"),
    },
    # one example at a time
    {
        "blocks": tuple(Blocks(arrangement, biases=COLUMN) for arrangement in IN_LISTS), "single": (True,),
        "labels": (ONE_HOT,), "transposed": (True,), "theta": ("list",),
    },
    # without NumPy
    {
        "theta": ("list", "flat"), "blocks": (Blocks(), Blocks(IN_TURN)), "labels": LABELS, "column": BOTH,
        "order": ORDERS, "plain": (True,),
    },
    # the digit 0 in a place of its own
    OF_TEN | {"labels": (ZERO_LAST, TEN_FIRST)},
)  # fmt: skip
"""The options of some fields of a `Convention` in each row, of which all combinations are tried; usual ones first."""


def _conventions_in(*rows: Row) -> tuple[Convention, ...]:
    found = (Convention(**dict(zip(row, options))) for row in rows for options in product(*row.values()))
    return tuple(convention for convention in found if not convention.is_repetition)


CONVENTIONS = _conventions_in(*TABLE)

OF_THE_COURSE = _conventions_in(OF_TEN)  # those for code that knows the course's sizes alone


def arguments(roles: Sequence[Role], convention: Convention, problem: Problem, theta: np.ndarray) -> tuple[Any, ...]:
    """What a function with these roles is called with: new objects, which it may change."""
    if "problem" in roles:
        return problem, theta.copy()
    network, X = problem.network, np.array(problem.X)
    pieces = convention.blocks.split(network, network.unpack(theta))
    X = np.column_stack([np.ones(len(X)), X]) if convention.ones else X
    given: dict[Any, Any] = dict(zip(("n_in", "n_hidden", "K"), network.sizes)) | {
        "theta": _in_form(convention, pieces),
        "X": X.T.copy() if convention.transposed else X,
        "y": labels_of(convention, problem.Y),
        "l2": problem.l2 * L2_AS[convention.l2_as](problem.m),
        "m": problem.m,
        "weights": [array for name, array in pieces.items() if name[0] == "W"],
        "biases": [array for name, array in pieces.items() if name[0] == "b"],
        "sizes": list(network.sizes),
        **{name.replace("Theta", "theta"): array for name, array in pieces.items()},
    }
    values = (role.value if isinstance(role, Default) else given[role] for role in roles)
    return tuple(map(_as_lists, values) if convention.plain else values)


def _in_form(convention: Convention, pieces: dict[str, np.ndarray]) -> Any:
    """The arrays of θ as one parameter: a list, a dictionary or a vector."""
    if convention.theta == "list":
        return list(pieces.values())
    if convention.theta == "dictionary":
        # blocks under their own names, or two matrices under all usual keys
        if set(BLOCKS) <= set(pieces):
            return Parameters(pieces | {name.lower(): array for name, array in pieces.items()})
        return Parameters({key: matrix for keys in KEYS for key, matrix in zip(keys, pieces.values())})
    flat = np.concatenate([array.ravel(order=convention.order) for array in pieces.values()])
    return flat[:, np.newaxis] if convention.theta == "column" else flat


def labels_of(convention: Convention, Y: np.ndarray) -> np.ndarray:
    """The labels of one-hot rows in a convention."""
    if convention.labels == ONE_HOT:
        return Y.T.copy() if convention.transposed else Y.copy()
    classes = Y.argmax(axis=1) + (convention.labels in (FROM_ONE, ZERO_LAST))
    if convention.labels == ZERO_LAST:
        classes %= 10
    elif convention.labels == TEN_FIRST:
        classes[classes == 0] = 10
    if not convention.column:
        return classes
    return classes[np.newaxis, :] if convention.transposed else classes[:, np.newaxis]


def _as_lists(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_lists(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def items_of(answer: Any, values: Callable[[Any], Iterable[Any]] = dict.values, size: int = 0) -> list[Any]:
    """The numbers and arrays in an answer, however deep they lie in tuples, lists and dictionaries with these values.

    A list or tuple of as many numbers as `size` is an array, and so is any list of numbers within an answer.
    """
    if isinstance(answer, (list, tuple)) and (array := as_array(answer)) is not None and array.size == size:
        return [array]
    items = list(values(answer)) if isinstance(answer, dict) else answer
    if not isinstance(items, (list, tuple)) or not items:
        return [] if answer is None else [answer]
    found = []
    for item in items:
        is_of_numbers = isinstance(item, list) and item and not any(isinstance(each, np.ndarray) for each in item)
        array = as_array(item) if is_of_numbers else None
        found += items_of(item, values, size) if array is None else [array]
    return found


def as_array(value: Any) -> np.ndarray | None:
    """An array of numbers, or the one that nested lists of numbers make; None for anything else."""
    if isinstance(value, (list, tuple)):
        try:
            value = np.array(value)
        except ValueError:  # rows of different lengths
            return None
    return value if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" else None
