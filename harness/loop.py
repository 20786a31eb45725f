"""Backpropagation by hand, one example at a time: the course's steps 1 to 6, for any depth, activation and output.

The code follows the derivation, not the machine: vectors are the columns of the lecture notes, and each example adds
its share to Δ. `harness.vectorized` does the same for all examples at once, and shares nothing with this module.

Source: Ng, Machine Learning, exercise 4, section 2.3.
"""

import numpy as np

from reference.problem import Problem


def _sigmoid_cross_entropy(z, y):
    e = np.exp(-np.abs(z))  # at most 1: no overflow on either side
    a = np.where(z >= 0.0, 1.0, e) / (1.0 + e)
    return a, np.sum(np.maximum(z, 0.0) - y * z + np.log1p(e))


def _softmax_cross_entropy(z, y):
    shifted = z - np.max(z)
    p = np.exp(shifted)
    total = np.sum(p)
    return p / total, np.log(total) - np.dot(y, shifted)


def _half_squared_error(z, y):
    return z, 0.5 * np.dot(z - y, z - y)


# pre-activation and target of one example -> prediction and loss
_OUTPUT = {"sigmoid": _sigmoid_cross_entropy, "softmax": _softmax_cross_entropy, "linear": _half_squared_error}


def cost_and_gradient(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ of shape (n,), accumulated example by example.

    Per example: a forward pass keeps every z and a; δ of the last layer is a - y; going back,
    δ_l = (W_{l+1}ᵀ δ_{l+1}) ⊙ f'(z_l), the bias left out; every layer adds δ_l [1, a_{l-1}ᵀ] to Δ_l.
    At the end dJ/dTheta_l = Δ_l/m, and λ/m · weight for every weight that is not a bias.
    """
    network, m = problem.network, problem.m
    thetas = network.unpack(theta)
    output = _OUTPUT[network.output.name]
    Deltas = [np.zeros(Theta.shape) for Theta in thetas]
    cost = 0.0
    for x, y in zip(problem.X, problem.Y):
        # step 1: the forward pass, all pre-activations and activations kept
        a, zs, activations = x, [], [x]
        for Theta, f in zip(thetas, network.hidden):
            z = Theta[:, 0] + Theta[:, 1:] @ a
            a = f(z)
            zs.append(z)
            activations.append(a)
        prediction, loss = output(thetas[-1][:, 0] + thetas[-1][:, 1:] @ a, y)
        cost += loss
        # step 2: δ of the output layer
        delta = prediction - y
        for layer in reversed(range(len(thetas))):
            # step 4: Δ grows by δ [1, aᵀ]
            Deltas[layer][:, 0] += delta
            Deltas[layer][:, 1:] += np.outer(delta, activations[layer])
            # step 3: δ one layer down
            if layer:
                slope = network.hidden[layer - 1].slope(zs[layer - 1], activations[layer])
                delta = thetas[layer][:, 1:].T @ delta * slope
    # steps 5 and 6: the mean, and the regulariser
    for Theta, Delta in zip(thetas, Deltas):
        Delta /= m
        Delta[:, 1:] += problem.l2 / m * Theta[:, 1:]
        cost_of_weights = problem.l2 / 2 * np.sum(Theta[:, 1:] ** 2)
        cost += cost_of_weights
    return float(cost / m), network.pack(Deltas)
