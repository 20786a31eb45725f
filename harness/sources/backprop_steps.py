"""A right backprop in small steps; each bug of `harness.sources.bug_zoo` replaces one of them.

Here, as in many programs, examples are rows: A_l is (m, s_l) with s_l units in layer l. A_{l-1} gets a column of ones,
so that biases and weights are one matrix Theta_l of shape (s_l, 1 + s_{l-1}):

    A_0 = X,   Z_l = [1, A_{l-1}] Theta_lᵀ,   A_l = f_l(Z_l)
    δ_L = A_L - Y,   δ_{l-1} = (δ_l W_l) ⊙ f'_{l-1}(Z_{l-1})      W_l is Theta_l without its first column
    dJ/dTheta_l = δ_lᵀ [1, A_{l-1}]/m + λ/m [0, W_l]

`loop` derives these formulas, for one example as a column; this module shares no line with it.
"""

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
class ThetaLayout:
    """How the matrices Theta_l lie in a vector: [[b, w], [c, v]] is b, c, w, v by columns and b, w, c, v by rows."""

    order: Order = "F"  # "F" by columns, which is the course's, or "C" by rows
    last_first: bool = False  # whether the last Theta_l comes first
    bias_last: bool = False  # whether the biases are the last column of each Theta_l instead of the first
    # whether a Theta_l is looked for where it would be if the ones before it had no biases
    starts_without_biases: bool = False

    def unroll(self, matrices: Sequence[np.ndarray]) -> np.ndarray:
        """One vector of all matrices, which are given from the first layer to the last with the biases first."""
        # np.roll by -1 along the columns turns [bias, weights] into [weights, bias]; by 1 it turns that back
        turned = [np.roll(M, -1, axis=1) if self.bias_last else M for M in matrices]
        flat = [M.ravel(order=self.order) for M in turned]
        return np.concatenate(flat[::-1] if self.last_first else flat)

    def roll(self, network: Network, vector: np.ndarray) -> list[np.ndarray]:
        """The matrices that lie in a vector, from the first layer to the last with the biases first."""
        shapes = network.shapes[::-1] if self.last_first else network.shapes
        # a matrix starts where the one before it ends, or would end without its column of biases
        lengths = [rows * (columns - self.starts_without_biases) for rows, columns in shapes]
        starts = np.cumsum([0, *lengths[:-1]])
        matrices = [
            vector[start : start + rows * columns].reshape((rows, columns), order=self.order)
            for start, (rows, columns) in zip(starts, shapes)
        ]
        turned = [np.roll(M, 1, axis=1) if self.bias_last else M for M in matrices]
        return turned[::-1] if self.last_first else turned


BY_COLUMNS = ThetaLayout()  # the course's layout, which is also that of `Network.pack`


class Forward(NamedTuple):
    """What the forward pass leaves behind: Θ and Y as they were used, and Z, A and inputs of every layer.

    Index `layer` of a list is l - 1, so that ``thetas[layer]`` takes ``inputs[layer]`` and makes ``Zs[layer]``.
    """

    thetas: list[np.ndarray]  # Theta_l, (s_l, 1 + s_{l-1})
    Y: np.ndarray  # (m, K)
    Zs: list[np.ndarray]  # Z_l, (m, s_l)
    As: list[np.ndarray]  # A_{l-1}, (m, s_{l-1}): X first, and the last hidden layer's last
    inputs: list[np.ndarray]  # [1, A_{l-1}], (m, 1 + s_{l-1})


class Backprop:
    """A correct backprop in replaceable steps. Calls as source(problem, theta), with θ and gradient in one layout.

    Each step is one decision that somebody may get wrong, and the methods that call the steps make none. A bug is an
    attribute of an instance: with ``backprop.output_delta = lambda P, Y: Y - P`` it has the wrong sign. So steps are
    given more than they use, such as the number of the layer: a bug may be in one layer alone.
    """

    def __init__(self, layout: ThetaLayout = BY_COLUMNS):
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
            if layer < len(network.hidden):  # the output layer's A is the prediction, which belongs to `backward`
                As.append(self.activation(self.hidden(network.hidden[layer]), Zs[layer]))
        return Forward(thetas, Y, Zs, As, inputs)

    def cost(self, problem: Problem, forward: Forward) -> float:
        """J = 1/m Σ losses + λ/(2m) Σ weights², from what the forward pass left behind."""
        output, l2, m = self.output(problem.network.output), problem.l2, problem.m
        total = np.sum(self.losses(output, forward.Zs[-1], forward.Y))
        data = self.data_cost(total, m, output, forward.Y.shape[1])
        return float(self.cost_of(data, self.penalty(forward.thetas, l2, m), m))

    def backward(self, problem: Problem, forward: Forward) -> Iterator[np.ndarray]:
        """dJ/dTheta_l, (s_l, 1 + s_{l-1}), of each layer, the output layer's first."""
        network, m, thetas, Zs = problem.network, problem.m, forward.thetas, forward.Zs
        layers = len(thetas)
        # δ_L, (m, K)
        delta = self.output_delta(self.prediction(self.output(network.output), Zs[-1]), forward.Y)
        for layer in reversed(range(layers)):
            total = self.layer_gradient(delta, self.layer_input(forward, layer))  # (s_l, 1 + s_{l-1})
            decay = self.decay(thetas[layer], self.strength(problem.l2, m), layer, layers)
            yield self.layer_mean(total, m, layer, layers) + decay
            # one layer down, unless that is X: δ_{l-1}, (m, s_{l-1})
            if layer:
                f = self.hidden(network.hidden[layer - 1])
                slope = self.slope(f, Zs[layer - 1], forward.As[layer], layer, layers)
                delta = self.pull_back(delta, thetas[layer]) * slope

    def gradient(self, problem: Problem, theta: np.ndarray, backwards: list[np.ndarray]) -> np.ndarray:
        """The gradients of all layers, output first, as one vector like θ."""
        return self.finish(self.layout("gradient").unroll(backwards[::-1]), problem, theta)

    # -- the steps: X and A are (m, s), Z and δ too; Theta is (s_l, 1 + s_{l-1}); `layer` is l - 1 ---------------------

    def examples(self, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
        """X, (m, s_0), and the targets Y, (m, K)."""
        return problem.X, problem.Y

    def layout(self, what: Literal["theta", "gradient"]) -> ThetaLayout:
        """How the matrices lie in θ, or in the gradient."""
        return self.own_layout

    def extended(self, A, layer, network: Network):
        """[1, A_{l-1}]: A with the column of ones that the biases belong to, (m, 1 + s_{l-1})."""
        return np.column_stack([np.ones(len(A)), A])

    def affine(self, A, Theta):
        """Z_l = [1, A_{l-1}] Theta_lᵀ, from an A with its column of ones."""
        return A @ Theta.T

    def hidden(self, f: Activation) -> Activation:
        """The activation of a hidden layer, for value and slope."""
        return f

    def activation(self, f: Activation, Z):
        """A_l = f(Z_l)."""
        return f(Z)

    def output(self, output: Output) -> Output:
        """The output layer, for prediction and losses."""
        return output

    def losses(self, output: Output, Z, Y):
        """The loss of each example, (m,)."""
        return output.loss(NUMPY, Z, Y)

    def data_cost(self, total, m, output: Output, K):
        """The data's share of J, from the sum of the losses; K is the number of output units."""
        return self.mean(total, m)

    def cost_of(self, data, penalty, m):
        """J, from the data's share and the regulariser's."""
        return data + penalty

    def prediction(self, output: Output, Z):
        """A_L, (m, K)."""
        return output.predict(NUMPY, Z)

    def output_delta(self, P, Y):
        """δ_L, from the prediction P = A_L."""
        return P - Y

    def layer_input(self, forward: Forward, layer):
        """What the gradient of Theta_l is formed with: [1, A_{l-1}]."""
        return forward.inputs[layer]

    def layer_gradient(self, delta, A):
        """δ_lᵀ [1, A_{l-1}], the sum over the examples, from an A with its column of ones."""
        return delta.T @ A

    def slope(self, f: Activation, Z, A, layer, layers):
        """f'(Z) of the hidden layer whose number is `layer`; A is f(Z), and `layers` is L."""
        return f.slope(Z, A)

    def pull_back(self, delta, Theta):
        """δ_l W_l, (m, s_{l-1}): nothing flows back into the column of ones, so the biases are left out."""
        return delta @ Theta[:, 1:]

    def layer_mean(self, total, m, layer, layers):
        """The data's share of dJ/dTheta_l, from the sum over the examples."""
        return self.mean(total, m)

    def mean(self, total, m):
        """The mean over m examples, in cost and gradient alike."""
        return total / m

    def strength(self, l2, m):
        """The factor λ/m of the regulariser's share of the gradient."""
        return l2 / m

    def regularised(self, Theta):
        """[0, W]: Theta with zeros for the biases, which are not regularised."""
        return np.column_stack([np.zeros(len(Theta)), Theta[:, 1:]])

    def decay(self, Theta, strength, layer, layers):
        """The regulariser's share of dJ/dTheta_l, λ/m [0, W_l]."""
        return strength * self.regularised(Theta)

    def penalty(self, thetas, l2, m):
        """The regulariser's share of J, λ/(2m) Σ weights²."""
        return l2 / (2 * m) * self.squares(thetas)

    def squares(self, thetas):
        """Σ weights² over all layers."""
        return sum(np.square(self.regularised(Theta)).sum() for Theta in thetas)

    def finish(self, gradient, problem: Problem, theta):
        """The gradient as it is returned, (n,)."""
        return gradient
