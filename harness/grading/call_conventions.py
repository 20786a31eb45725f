"""How a submission may want to be called: where θ, labels and examples come from, and how the matrices lie.

In the course's convention, θ and gradient are unrolled by columns, examples are rows, X has no column of ones, and
labels start at 1. Ports differ in all of that, and are right all the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from harness.grading.parameter_roles import BLOCKS, LISTS, Default, Role, named_roles
from harness.sources.backprop_steps import Order
from reference.network import Network
from reference.problem import Problem

JOINED, IN_TURN, WEIGHTS_FIRST, BIASES_FIRST = "joined", "W1, b1, W2, b2", "W1, W2, b1, b2", "b1, W1, b2, W2"
BIASES_THEN_WEIGHTS = "b1, b2, W1, W2"
ARRANGEMENTS = (JOINED, IN_TURN, WEIGHTS_FIRST, BIASES_FIRST, BIASES_THEN_WEIGHTS)
IN_LISTS = (WEIGHTS_FIRST, BIASES_THEN_WEIGHTS)
"""The arrangements of gradients of weights and of biases as two lists."""

VECTOR, COLUMN, ROW = "vectors", "columns", "rows"

LABELS = ("labels from 1", "labels from 0", "one-hot targets")
ZERO_LAST, TEN_FIRST = "labels from 1, and 0 for the tenth", "labels from 0, and 10 for the first"
LABELS_OF_TEN = (*LABELS, ZERO_LAST, TEN_FIRST)
"""How ten digits may be labelled: the course's data has 10 for the digit 0, and its last unit stands for it."""

L2_AS = {"λ": lambda m: 1.0, "λ/m": lambda m: 1.0 / m, "λ/(2m)": lambda m: 0.5 / m}
"""What a function takes as λ, by the factor for m examples: some leave the mean over the examples to their caller."""

THETA_AS = {"list": "a list of matrices", "dictionary": "a dictionary of matrices", "column": "a column"}

KEYS = (("Theta1", "Theta2"), ("theta1", "theta2"), ("T1", "T2"), ("W1", "W2"), ("w1", "w2"))
"""The keys under which dictionaries hold the two matrices."""

ORDERS: tuple[Order, ...] = ("F", "C")
BOTH = (False, True)


@dataclass(frozen=True)
class Blocks:
    """The arrays that θ consists of, and the gradient alike.

    Attributes
    ----------
    arrangement : `JOINED` for the course's Theta1, Theta2 with the biases in their first columns, or one of
        `ARRANGEMENTS` with weights and biases apart
    by_inputs : whether weights are (inputs, outputs) instead of (outputs, inputs)
    biases : `VECTOR` (n,), `COLUMN` (n, 1) or `ROW` (1, n), where biases are apart
    """

    arrangement: str = JOINED
    by_inputs: bool = False
    biases: str = VECTOR

    def names(self, network: Network) -> list[str]:
        """The arrays in their order."""
        numbers = range(1, len(network.shapes) + 1)
        weights, biases = [f"W{number}" for number in numbers], [f"b{number}" for number in numbers]
        if self.arrangement == JOINED:
            return [f"Theta{number}" for number in numbers]
        if self.arrangement in IN_LISTS:
            return weights + biases if self.arrangement == WEIGHTS_FIRST else biases + weights
        pairs = zip(weights, biases) if self.arrangement == IN_TURN else zip(biases, weights)
        return [name for pair in pairs for name in pair]

    def split(self, network: Network, matrices: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The Theta_l, with biases in their first columns, as these arrays."""
        pieces = {}
        for number, Theta in enumerate(matrices, start=1):
            W, b = Theta[:, 1:], Theta[:, 0]
            pieces[f"Theta{number}"] = np.array(Theta.T if self.by_inputs else Theta)
            pieces[f"W{number}"] = np.array(W.T if self.by_inputs else W)
            pieces[f"b{number}"] = np.array({VECTOR: b, COLUMN: b[:, np.newaxis], ROW: b[np.newaxis, :]}[self.biases])
        return {name: pieces[name] for name in self.names(network)}

    def join(self, network: Network, arrays: Sequence[Any]) -> list[np.ndarray] | None:
        """The Theta_l of arrays in this order; None where shapes do not fit. Biases may have any number of axes."""
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

    def unroll(self, network: Network, matrices: Sequence[np.ndarray], order: Order) -> np.ndarray:
        """(n,) vector of all arrays."""
        return np.concatenate([array.ravel(order=order) for array in self.split(network, matrices).values()])

    def roll(self, network: Network, vector: np.ndarray, order: Order) -> list[np.ndarray]:
        """The Theta_l that lie in an (n,) vector."""
        like = self.split(network, [np.empty(shape) for shape in network.shapes]).values()
        ends = np.cumsum([array.size for array in like])
        parts = np.split(vector, ends[:-1])
        joined = self.join(network, [part.reshape(array.shape, order=order) for part, array in zip(parts, like)])
        assert joined is not None
        return joined

    def sort_values(self, network: Network, answer: Mapping[Any, Any]) -> list[Any]:
        """The values of a dictionary in the order of these arrays, where keys such as W1, dW1 or W1_grad name them."""
        plain = {_plain_key(key): value for key, value in answer.items()}
        names = [name.lower() for name in self.names(network)]
        return [plain[name] for name in names] if set(names) <= set(plain) else list(answer.values())

    def differences(self) -> list[str]:
        """In what these arrays differ from the course's."""
        apart = [] if self.arrangement == JOINED else [f"weights and biases apart ({self.arrangement})"]
        return apart + (["weights as (inputs, outputs)"] if self.by_inputs else [])


THE_COURSES = Blocks()


@dataclass(frozen=True)
class Convention:
    """One way to call a function.

    Attributes
    ----------
    labels : one of `LABELS`
    column : whether labels are (m, 1) instead of (m,)
    order : whether matrices are unrolled by columns, "F", or by rows, "C", in θ and gradient alike
    ones : whether X comes with its column of ones
    transposed : whether examples are columns of X, and of one-hot targets
    theta : "flat", "column" (n, 1), "list" of matrices, or "dictionary" under the usual keys
    blocks : the arrays that θ consists of
    plain : whether arrays are given as lists of numbers
    single : whether it is called with one example at a time, and its answers are averaged
    l2_as : one of `L2_AS`
    pick : where an answer holds more than one cost and one gradient, the cost's place, and the gradient's start and end
    """

    labels: str = "labels from 1"
    column: bool = False
    order: Order = "F"
    ones: bool = False
    transposed: bool = False
    theta: str = "flat"
    blocks: Blocks = THE_COURSES
    plain: bool = False
    single: bool = False
    l2_as: str = "λ"
    pick: tuple[int | None, int, int] | None = None

    def differences(self) -> list[str]:
        """In what it differs from the course's own, by the names that a rubric may use."""
        course = Convention()
        found = [self.labels] if self.labels != course.labels else []
        found += ["θ and gradient by rows"] if self.order != course.order else []
        found += ["X with a column of ones"] if self.ones else []
        found += ["examples in columns"] if self.transposed else []
        found += [f"θ as {THETA_AS[self.theta]}"] if self.theta != course.theta else []
        found += self.blocks.differences()
        found += ["plain lists for arrays"] if self.plain else []
        found += ["one example at a time"] if self.single else []
        found += [f"{self.l2_as} in the place of λ"] if self.l2_as != course.l2_as else []
        if self.pick:
            has_cost = self.pick[0] is not None
            found += [f"more answered than a {'cost and a gradient' if has_cost else 'gradient, and no cost'}"]
        return found

    @property
    def is_of_others(self) -> bool:
        """Whether arrays lie as in courses whose networks are others than this one's."""
        return self.blocks.arrangement != JOINED and self.theta != "flat"

    @property
    def usual(self) -> "Convention":
        """The same labels and order, and the course's way in everything else."""
        return Convention(self.labels, self.column, self.order)

    def fits(self, roles: Sequence[Role]) -> bool:
        """Whether parameters with these roles can take θ in this way."""
        if self.l2_as != "λ" and "l2" not in roles:
            return False
        if set(LISTS) <= named_roles(roles):
            return self.theta == "list" and self.blocks.arrangement in IN_LISTS and self.blocks.biases == COLUMN
        if self.single or self.blocks.arrangement == BIASES_THEN_WEIGHTS:
            return False
        if "theta" in roles:
            return True
        if "problem" in roles:
            return self == Convention()
        as_usual = "flat" if self.blocks == THE_COURSES else "list"
        joined = self.blocks.arrangement == JOINED
        return self.order == "F" and self.theta == as_usual and joined == ("theta1" in roles)


def all_conventions() -> Iterator[Convention]:
    """Every convention, the usual ones first."""
    for theta, transposed, ones in product(("flat", *THETA_AS), BOTH, BOTH):
        for order, labels, column in _orders_and_labels(theta):
            yield Convention(labels, column, order, ones, transposed, theta)
    apart = (Blocks(*options) for options in product(ARRANGEMENTS[1:], BOTH, (VECTOR, COLUMN, ROW)))
    for blocks, transposed in product((Blocks(by_inputs=True), *apart), BOTH):
        for theta in ("flat", "list", "dictionary"):
            # flat vectors of transposed weights are those of the other order, and axes of biases do not show in them
            if theta != "flat" or (blocks.biases == VECTOR and not blocks.by_inputs):
                for order, labels, column in _orders_and_labels(theta):
                    yield Convention(labels, column, order, False, transposed, theta, blocks)
    for arrangement, l2_as in product(ARRANGEMENTS[1:], list(L2_AS)[1:]):
        for labels, theta in product(LABELS, ("list", "dictionary")):
            yield Convention(labels, theta=theta, blocks=Blocks(arrangement, by_inputs=True), l2_as=l2_as)
    for arrangement in IN_LISTS:
        yield Convention(
            LABELS[2], transposed=True, theta="list", blocks=Blocks(arrangement, biases=COLUMN), single=True
        )
    for theta, blocks, labels, column in product(("list", "flat"), (Blocks(), Blocks(IN_TURN)), LABELS, BOTH):
        for order in ORDERS if theta == "flat" else ORDERS[:1]:
            yield Convention(labels, column, order, theta=theta, blocks=blocks, plain=True)


def conventions_of_ten() -> Iterator[Convention]:
    """Conventions for ten classes: those of the course's arrays, with every way to label the digits."""
    for transposed, ones, theta in product(BOTH, BOTH, ("flat", "list")):
        for labels, column, order in product(LABELS_OF_TEN, BOTH, ORDERS if theta == "flat" else ORDERS[:1]):
            if not (column and labels == "one-hot targets"):
                yield Convention(labels, column, order, ones, transposed, theta)


def _orders_and_labels(theta: str) -> Iterator[tuple[Order, str, bool]]:
    for order, labels, column in product(ORDERS, LABELS, BOTH):
        if not (column and labels == "one-hot targets") and not (theta in ("list", "dictionary") and order == "C"):
            yield order, labels, column


def arguments(roles: Sequence[Role], convention: Convention, problem: Problem, theta: np.ndarray) -> tuple[Any, ...]:
    """What a function with these roles is called with."""
    if "problem" in roles:
        return problem, theta.copy()
    network, blocks = problem.network, convention.blocks
    matrices = network.unpack(theta)
    pieces = blocks.split(network, matrices)
    flat = blocks.unroll(network, matrices, convention.order)
    X = np.array(problem.X)
    X = np.column_stack([np.ones(len(X)), X]) if convention.ones else X
    forms = {"flat": flat, "column": flat[:, np.newaxis], "list": list(pieces.values()), "dictionary": _keyed(pieces)}
    given: dict[Any, Any] = dict(zip(("n_in", "n_hidden", "K"), network.sizes)) | {
        "theta": forms[convention.theta],
        "X": X.T.copy() if convention.transposed else X,
        "y": _labels(convention, problem.Y),
        "l2": problem.l2 * L2_AS[convention.l2_as](problem.m),
        "m": problem.m,
        "weights": [array for name, array in pieces.items() if name[0] == "W"],
        "biases": [array for name, array in pieces.items() if name[0] == "b"],
        "sizes": list(network.sizes),
        **{name.replace("Theta", "theta"): array for name, array in pieces.items()},
    }
    values = (role.value if isinstance(role, Default) else given[role] for role in roles)
    return tuple(map(_as_lists, values) if convention.plain else values)


def _keyed(pieces: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Blocks under their own names, or two matrices under all usual keys."""
    if set(BLOCKS) <= set(pieces):
        return pieces | {name.lower(): array for name, array in pieces.items()}
    return {key: matrix for keys in KEYS for key, matrix in zip(keys, pieces.values())}


def _labels(convention: Convention, Y: np.ndarray) -> np.ndarray:
    if convention.labels == "one-hot targets":
        return Y.T.copy() if convention.transposed else Y.copy()
    classes = Y.argmax(axis=1) + (convention.labels in ("labels from 1", ZERO_LAST))
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


def _plain_key(key: Any) -> str:
    name = str(key).lower().replace("_", "").replace("grad", "").replace("delta", "")
    return name.removeprefix("d")


def as_array(value: Any) -> np.ndarray | None:
    """An array of numbers, or the one that nested lists of numbers make; None for anything else."""
    if isinstance(value, (list, tuple)):
        try:
            value = np.array(value)
        except ValueError:  # rows of different lengths
            return None
    return value if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" else None
