"""A right backprop in small steps, so that a bug is one step replaced: what `harness.sources.bug_zoo` is made of."""

import numpy as np

from reference.activations import Activation
from reference.namespaces import NUMPY
from reference.problem import Problem


class Backprop:
    """A correct backprop in replaceable steps. Calls as source(problem, theta)."""

    def __call__(self, problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
        network, (X, Y) = problem.network, self.examples(problem)
        thetas, m = network.unpack(theta), problem.m
        A, Zs, As = X, [], [X]
        for Theta, f in zip(thetas, network.hidden):
            Zs.append(self.affine(A, Theta))
            A = self.activation(f, Zs[-1])
            As.append(A)
        Z = self.affine(A, thetas[-1])
        cost = self.mean(np.sum(network.output.loss(NUMPY, Z, Y)), m)
        delta = self.output_delta(network.output.predict(NUMPY, Z), Y)
        gradients = []
        for layer in reversed(range(len(thetas))):
            total = self.layer_gradient(delta, As[layer])
            decay = self.decay(thetas[layer], self.strength(problem.l2, m), layer, len(thetas))
            gradients.append(self.mean(total, m) + decay)
            if layer:
                slope = self.slope(network.hidden[layer - 1], Zs[layer - 1], As[layer])
                delta = self.pull_back(delta, thetas[layer]) * slope
        cost += self.penalty(thetas, problem.l2, m)
        return float(cost), self.finish(network.pack(gradients[::-1]), problem, theta)

    def examples(self, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
        return problem.X, problem.Y

    def affine(self, A, Theta):
        return A @ Theta[:, 1:].T + Theta[:, 0]

    def activation(self, f: Activation, Z):
        return f(Z)

    def output_delta(self, P, Y):
        return P - Y

    def layer_gradient(self, delta, A):
        return np.column_stack([delta.sum(axis=0), delta.T @ A])

    def slope(self, f: Activation, Z, A):
        return f.slope(Z, A)

    def pull_back(self, delta, Theta):
        return delta @ Theta[:, 1:]

    def mean(self, total, m):
        return total / m

    def strength(self, l2, m):
        return l2 / m

    def decay(self, Theta, strength, layer, layers):
        decay = strength * Theta
        decay[:, 0] = 0.0
        return decay

    def penalty(self, thetas, l2, m):
        return l2 / (2 * m) * sum(np.square(Theta[:, 1:]).sum() for Theta in thetas)

    def finish(self, gradient, problem: Problem, theta):
        return gradient
