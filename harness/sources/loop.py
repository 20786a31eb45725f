"""Backpropagation by hand, one example at a time: the course's steps 1 to 6, for any depth, activation and output.

The code follows the derivation, not the machine: vectors are the columns of the lecture notes, and each example adds
its share to Δ. `vectorized` does the same for all examples at once, and shares nothing with this module.

Source: Ng, Machine Learning, exercise 4, section 2.3.
"""

import numpy as np

from reference.problem import Problem


def _sigmoid_cross_entropy(z, y):
    e = np.exp(-np.abs(z))  # at most 1: no overflow on either side
    a = np.where(z >= 0.0, 1.0, e) / (1.0 + e)
    return a, np.log1p(e).sum() + np.maximum(z, 0.0).sum() - y @ z


def _softmax_cross_entropy(z, y):
    shifted = z - z.max()
    p = np.exp(shifted)
    total = p.sum()
    return p / total, np.log(total) - y @ shifted


def _half_squared_error(z, y):
    return z, 0.5 * ((z - y) @ (z - y))


# pre-activation and target of one example -> prediction and loss
_OUTPUT = {"sigmoid": _sigmoid_cross_entropy, "softmax": _softmax_cross_entropy, "linear": _half_squared_error}


def cost_and_gradient(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ of shape (n,), accumulated example by example.

    Per example: a forward pass keeps every z and a; δ of the last layer is a - y; going back,
    δ_l = (W_{l+1}ᵀ δ_{l+1}) ⊙ f'(z_l), the bias left out; every layer adds δ_l [1, a_{l-1}ᵀ] to Δ_l.
    At the end dJ/dTheta_l = Δ_l/m, and λ/m · weight for every weight that is not a bias.
    """
    network, m = problem.network, problem.m
    weights = [Theta[:, 1:] for Theta in network.unpack(theta)]
    biases = [Theta[:, 0] for Theta in network.unpack(theta)]
    output = _OUTPUT[network.output.name]
    Deltas_W = [np.zeros(W.shape) for W in weights]
    Deltas_b = [np.zeros(b.shape) for b in biases]
    cost = 0.0
    for x, y in zip(problem.X, problem.Y):
        # step 1: the forward pass, all pre-activations and activations kept
        zs, activations = [], [x]
        for W, b, f in zip(weights, biases, network.hidden):
            zs.append(W @ activations[-1] + b)
            activations.append(f(zs[-1]))
        prediction, loss = output(weights[-1] @ activations[-1] + biases[-1], y)
        cost += loss
        # step 2: δ of the output layer
        delta = prediction - y
        for layer in reversed(range(len(weights))):
            # step 4: Δ grows by δ [1, aᵀ]
            Deltas_b[layer] += delta
            Deltas_W[layer] += delta[:, np.newaxis] * activations[layer]
            # step 3: δ one layer down
            if layer:
                slope = network.hidden[layer - 1].slope(zs[layer - 1], activations[layer])
                delta = (delta @ weights[layer]) * slope
    # steps 5 and 6: the mean, and the regulariser
    gradients = []
    for W, Delta_W, Delta_b in zip(weights, Deltas_W, Deltas_b):
        gradients.append(np.column_stack([Delta_b / m, Delta_W / m + problem.l2 / m * W]))
        cost += problem.l2 / 2 * np.square(W).sum()
    return float(cost / m), network.pack(gradients)
