"""A right backprop in small steps; each bug of `harness.sources.bug_zoo` replaces one of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from reference.activations import Activation
from reference.namespaces import NUMPY
from reference.network import Network, Output
from reference.problem import Problem

Order = Literal["F", "C"]  # by columns, or by rows


@dataclass(frozen=True)
class Layout:
    """How the matrices Theta_l lie in a vector.

    Attributes
    ----------
    order : "F" by columns, which is the course's, or "C" by rows
    last_first : whether the last Theta_l comes first
    bias_last : whether the biases are the last column of each Theta_l instead of the first
    starts_without_biases : whether a Theta_l is looked for where it would be if the ones before it had no biases
    """

    order: Order = "F"
    last_first: bool = False
    bias_last: bool = False
    starts_without_biases: bool = False

    def unroll(self, matrices: Sequence[np.ndarray]) -> np.ndarray:
        """One vector of all matrices, given in their order with the biases first."""
        turned = [np.roll(M, -1, axis=1) if self.bias_last else M for M in matrices]
        flat = [M.ravel(order=self.order) for M in turned]
        return np.concatenate(flat[::-1] if self.last_first else flat)

    def roll(self, network: Network, vector: np.ndarray) -> list[np.ndarray]:
        """The matrices that lie in a vector, in their order with the biases first."""
        shapes = network.shapes[::-1] if self.last_first else network.shapes
        lengths = [rows * (columns - self.starts_without_biases) for rows, columns in shapes]
        starts = np.cumsum([0, *lengths[:-1]])
        matrices = [
            vector[start : start + rows * columns].reshape((rows, columns), order=self.order)
            for start, (rows, columns) in zip(starts, shapes)
        ]
        turned = [np.roll(M, 1, axis=1) if self.bias_last else M for M in matrices]
        return turned[::-1] if self.last_first else turned


BY_COLUMNS = Layout()
"""The course's."""


class Forward(NamedTuple):
    """What the forward pass leaves behind: Θ and Y as they were used, and Z, A and inputs of every layer."""

    thetas: list[np.ndarray]
    Y: np.ndarray
    Zs: list[np.ndarray]
    As: list[np.ndarray]  # X first
    inputs: list[np.ndarray]  # the As with their column of ones


class Backprop:
    """A correct backprop in replaceable steps. Calls as source(problem, theta), with θ and gradient in one layout."""

    def __init__(self, layout: Layout = BY_COLUMNS):
        self.own_layout = layout

    def __call__(self, problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
        forward = self.forward(problem, theta)
        return self.cost(problem, forward), self.gradient(problem, theta, list(self.backward(problem, forward)))

    # -- the order of the steps, which no bug changes ------------------------------------------------------------------

    def forward(self, problem: Problem, theta: np.ndarray) -> Forward:
        """Z, A and inputs of every layer, up to the Z of the output layer."""
        network, (X, Y) = problem.network, self.examples(problem)
        thetas = self.layout("theta").roll(network, theta)
        Zs, As, inputs = [], [X], []
        for layer, Theta in enumerate(thetas):
            inputs.append(self.extended(As[layer], layer, network))
            Zs.append(self.affine(inputs[layer], Theta))
            if layer < len(network.hidden):
                As.append(self.activation(self.hidden(network.hidden[layer]), Zs[layer]))
        return Forward(thetas, Y, Zs, As, inputs)

    def cost(self, problem: Problem, forward: Forward) -> float:
        """J, of what the forward pass left behind."""
        output, l2, m = self.output(problem.network.output), problem.l2, problem.m
        total = np.sum(self.losses(output, forward.Zs[-1], forward.Y))
        data = self.data_cost(total, m, output, forward.Y.shape[1])
        return float(self.cost_of(data, self.penalty(forward.thetas, l2, m), m))

    def backward(self, problem: Problem, forward: Forward) -> Iterator[np.ndarray]:
        """The gradients of the Theta_l, the output layer's first."""
        network, m, thetas, Zs = problem.network, problem.m, forward.thetas, forward.Zs
        layers = len(thetas)
        delta = self.output_delta(self.prediction(self.output(network.output), Zs[-1]), forward.Y)
        for layer in reversed(range(layers)):
            total = self.layer_gradient(delta, self.layer_input(forward, layer))
            decay = self.decay(thetas[layer], self.strength(problem.l2, m), layer, layers)
            yield self.layer_mean(total, m, layer, layers) + decay
            if layer:
                f = self.hidden(network.hidden[layer - 1])
                slope = self.slope(f, Zs[layer - 1], forward.As[layer], layer, layers)
                delta = self.pull_back(delta, thetas[layer]) * slope

    def gradient(self, problem: Problem, theta: np.ndarray, backwards: list[np.ndarray]) -> np.ndarray:
        """The gradients of all layers, output first, as one vector like θ."""
        return self.finish(self.layout("gradient").unroll(backwards[::-1]), problem, theta)

    # -- the steps -----------------------------------------------------------------------------------------------------

    def examples(self, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
        return problem.X, problem.Y

    def layout(self, what: Literal["theta", "gradient"]) -> Layout:
        """How the matrices lie in θ, or in the gradient."""
        return self.own_layout

    def extended(self, A, layer, network: Network):
        """A with the column of ones that the biases belong to."""
        return np.column_stack([np.ones(len(A)), A])

    def affine(self, A, Theta):
        """Z of an A with its column of ones."""
        return A @ Theta.T

    def hidden(self, f: Activation) -> Activation:
        return f

    def activation(self, f: Activation, Z):
        return f(Z)

    def output(self, output: Output) -> Output:
        return output

    def losses(self, output: Output, Z, Y):
        return output.loss(NUMPY, Z, Y)

    def data_cost(self, total, m, output: Output, K):
        return self.mean(total, m)

    def cost_of(self, data, penalty, m):
        return data + penalty

    def prediction(self, output: Output, Z):
        return output.predict(NUMPY, Z)

    def output_delta(self, P, Y):
        return P - Y

    def layer_input(self, forward: Forward, layer):
        return forward.inputs[layer]

    def layer_gradient(self, delta, A):
        """The sum over the examples, of an A with its column of ones."""
        return delta.T @ A

    def slope(self, f: Activation, Z, A, layer, layers):
        return f.slope(Z, A)

    def pull_back(self, delta, Theta):
        return delta @ Theta[:, 1:]

    def layer_mean(self, total, m, layer, layers):
        return self.mean(total, m)

    def mean(self, total, m):
        return total / m

    def strength(self, l2, m):
        return l2 / m

    def regularised(self, Theta):
        """Theta with zeros for what is not regularised."""
        return np.column_stack([np.zeros(len(Theta)), Theta[:, 1:]])

    def decay(self, Theta, strength, layer, layers):
        return strength * self.regularised(Theta)

    def penalty(self, thetas, l2, m):
        return l2 / (2 * m) * self.squares(thetas)

    def squares(self, thetas):
        return sum(np.square(self.regularised(Theta)).sum() for Theta in thetas)

    def finish(self, gradient, problem: Problem, theta):
        return gradient
