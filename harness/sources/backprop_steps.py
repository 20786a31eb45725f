"""A right backprop in small steps, so that a bug is one step replaced: what `harness.sources.bug_zoo` is made of."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from reference.activations import Activation
from reference.namespaces import NUMPY
from reference.network import Network
from reference.outputs import Output
from reference.problem import Problem


class Forward(NamedTuple):
    """What the forward pass leaves behind: Θ, X and Y as they were used, and every Z and A."""

    thetas: list[np.ndarray]
    Y: np.ndarray
    Zs: list[np.ndarray]
    As: list[np.ndarray]  # X first


class Backprop:
    """A correct backprop in replaceable steps. Calls as source(problem, theta)."""

    def __call__(self, problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
        forward = self.forward(problem, theta)
        return self.cost(problem, forward), self.gradient(problem, theta, list(self.backward(problem, forward)))

    # the way through, which no bug replaces

    def forward(self, problem: Problem, theta: np.ndarray) -> Forward:
        """Z and A of every layer, up to the Z of the output layer."""
        network, (X, Y) = problem.network, self.examples(problem)
        thetas = unrolled(network, theta, self.order("theta"))
        A, Zs, As = X, [], [X]
        for Theta, f in zip(thetas, network.hidden):
            Zs.append(self.affine(A, Theta))
            A = self.activation(f, Zs[-1])
            As.append(A)
        Zs.append(self.affine(A, thetas[-1]))
        return Forward(thetas, Y, Zs, As)

    def cost(self, problem: Problem, forward: Forward) -> float:
        """J, of what the forward pass left behind."""
        output, l2, m = problem.network.output, problem.l2, problem.m
        total = np.sum(self.losses(output, forward.Zs[-1], forward.Y))
        data = self.data_cost(total, m, output, forward.Y.shape[1])
        return float(self.cost_of(data, self.penalty(forward.thetas, l2, m), m))

    def backward(self, problem: Problem, forward: Forward) -> Iterator[np.ndarray]:
        """The gradients of the Theta_l, the output layer's first."""
        network, m, thetas, (_, Y, Zs, As) = problem.network, problem.m, forward.thetas, forward
        layers = len(thetas)
        delta = self.output_delta(self.prediction(network.output, Zs[-1]), Y)
        for layer in reversed(range(layers)):
            total = self.layer_gradient(delta, As[layer])
            decay = self.decay(thetas[layer], self.strength(problem.l2, m), layer, layers)
            yield self.layer_mean(total, m, layer, layers) + decay
            if layer:
                slope = self.slope(network.hidden[layer - 1], Zs[layer - 1], As[layer])
                delta = self.pull_back(delta, thetas[layer]) * slope

    def gradient(self, problem: Problem, theta: np.ndarray, backwards: list[np.ndarray]) -> np.ndarray:
        """The gradients of all layers, output first, as one vector like θ."""
        order = self.order("gradient")
        return self.finish(np.concatenate([G.ravel(order=order) for G in backwards[::-1]]), problem, theta)

    # the steps

    def examples(self, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
        return problem.X, problem.Y

    def order(self, what: str) -> Literal["F", "C"]:
        """How the matrices lie in θ ("theta") and in the gradient ("gradient"): F by columns, C by rows."""
        return "F"

    def affine(self, A, Theta):
        return A @ Theta[:, 1:].T + Theta[:, 0]

    def activation(self, f: Activation, Z):
        return f(Z)

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

    def layer_gradient(self, delta, A):
        return np.column_stack([delta.sum(axis=0), delta.T @ A])

    def slope(self, f: Activation, Z, A):
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


def unrolled(network: Network, theta: np.ndarray, order: str) -> list[np.ndarray]:
    """The Theta_l that lie in θ one after the other, each by columns (F) or by rows (C)."""
    if order == "F":
        return network.unpack(theta)
    ends = np.cumsum([rows * columns for rows, columns in network.shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(theta, ends[:-1]), network.shapes)]
