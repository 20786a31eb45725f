"""How the parameters lie: as matrices that hold their biases, or as weights and biases apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.sources.backprop_steps import Order
from reference.network import Network

JOINED, IN_TURN, WEIGHTS_FIRST, BIASES_FIRST = "joined", "W1, b1, W2, b2", "W1, W2, b1, b2", "b1, W1, b2, W2"
ARRANGEMENTS = (JOINED, IN_TURN, WEIGHTS_FIRST, BIASES_FIRST)

VECTOR, COLUMN, ROW = "vectors", "columns", "rows"


@dataclass(frozen=True)
class Blocks:
    """The arrays that the parameters are given as, and the gradient alike.

    Attributes
    ----------
    arrangement : `JOINED` for the course's Theta1, Theta2 with the biases in their first columns, or one of those with
        weights and biases apart
    by_inputs : whether weights are (inputs, outputs) instead of (outputs, inputs)
    biases : `VECTOR` (n,), `COLUMN` (n, 1) or `ROW` (1, n), where they are apart
    """

    arrangement: str = JOINED
    by_inputs: bool = False
    biases: str = VECTOR

    def names(self, network: Network) -> list[str]:
        """The arrays in their order."""
        numbers = range(1, len(network.shapes) + 1)
        weights, biases = [f"W{number}" for number in numbers], [f"b{number}" for number in numbers]
        match self.arrangement:
            case "joined":
                return [f"Theta{number}" for number in numbers]
            case "W1, W2, b1, b2":
                return weights + biases
            case "W1, b1, W2, b2":
                return [name for pair in zip(weights, biases) for name in pair]
        return [name for pair in zip(biases, weights) for name in pair]

    def split(self, network: Network, matrices: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The matrices, given with the biases in their first columns, as these arrays."""
        pieces = {}
        for number, Theta in enumerate(matrices, start=1):
            W, b = Theta[:, 1:], Theta[:, 0]
            pieces[f"Theta{number}"] = np.array(Theta.T if self.by_inputs else Theta)
            pieces[f"W{number}"] = np.array(W.T if self.by_inputs else W)
            pieces[f"b{number}"] = np.array({VECTOR: b, COLUMN: b[:, np.newaxis], ROW: b[np.newaxis, :]}[self.biases])
        return {name: pieces[name] for name in self.names(network)}

    def join(self, network: Network, arrays: Sequence[Any]) -> list[np.ndarray] | None:
        """The matrices of arrays that came back in this order; None for others. Biases may have any axes."""
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
        """One vector of all of them."""
        return np.concatenate([array.ravel(order=order) for array in self.split(network, matrices).values()])

    def roll(self, network: Network, vector: np.ndarray, order: Order) -> list[np.ndarray]:
        """The matrices that lie in a vector."""
        like = self.split(network, [np.empty(shape) for shape in network.shapes]).values()
        ends = np.cumsum([array.size for array in like])
        parts = np.split(vector, ends[:-1])
        joined = self.join(network, [part.reshape(array.shape, order=order) for part, array in zip(parts, like)])
        assert joined is not None
        return joined

    def in_order(self, network: Network, answer: dict[Any, Any]) -> list[Any]:
        """The values of a dictionary in the order of these arrays where its keys tell it, as W1, dW1 or W1_grad do."""
        plain = {_plain(key): value for key, value in answer.items()}
        names = [name.lower() for name in self.names(network)]
        return [plain[name] for name in names] if set(names) == set(plain) else list(answer.values())

    def described(self) -> list[str]:
        said = [] if self.arrangement == JOINED else [f"weights and biases apart ({self.arrangement})"]
        return said + (["weights as (inputs, outputs)"] if self.by_inputs else [])


def _plain(key: Any) -> str:
    name = str(key).lower().replace("_", "").replace("grad", "").replace("delta", "")
    return name.removeprefix("d")


def as_array(value: Any) -> np.ndarray | None:
    """An array of numbers, or one that nested lists of numbers are; None for anything else."""
    if isinstance(value, (list, tuple)):
        try:
            value = np.array(value)
        except ValueError:  # rows of different lengths
            return None
    return value if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" else None
