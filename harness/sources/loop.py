"""Backpropagation by hand, one example at a time: the course's steps 1 to 6, for any depth, activation and output.

Layer 0 is the input; layer l = 1 to L has s_l units, and Theta_l = [b_l, W_l] with b_l of shape (s_l,) and W_l of shape
(s_l, s_{l-1}). For one example, x and every z_l, a_l and δ_l is a vector:

    a_0 = x,   z_l = W_l a_{l-1} + b_l,   a_l = f_l(z_l)     forward; a_L is the prediction
    δ_l = d loss/d z_l                                       what goes back
    d loss/d W_l = δ_l a_{l-1}ᵀ,   d loss/d b_l = δ_l        because z_l = W_l a_{l-1} + b_l
    δ_L = a_L - y                                            for each of the three outputs here
    δ_{l-1} = (W_lᵀ δ_l) ⊙ f'_{l-1}(z_{l-1})                 the chain rule, from z_l through a_{l-1} to z_{l-1}

The code follows this derivation, and each example adds its share to Δ. `vectorized` does the same for all examples at
once, and shares nothing with this module: a common line would put the same mistake into both.

Source: Ng, Machine Learning, exercise 4, section 2.3.
"""

import numpy as np

from reference.problem import Problem

# The output layer of one example, from z = z_L and the target y, both (K,), to the prediction, (K,), and the loss. Each
# loss is the one whose derivative in z is prediction - y, which makes δ_L so simple.


def _sigmoid_cross_entropy(z, y):
    """a = σ(z); loss = -Σ_k [y_k log a_k + (1 - y_k) log(1 - a_k)] = Σ_k [log(1 + e^{z_k}) - y_k z_k].

    So d loss/d z_k = e^{z_k}/(1 + e^{z_k}) - y_k = a_k - y_k.
    """
    # σ(z) is 1/(1 + e^-z) for z >= 0 and e^z/(1 + e^z) for z < 0: with e = e^-|z|, at most 1, neither overflows
    e = np.exp(-np.abs(z))
    a = np.where(z >= 0.0, 1.0, e) / (1.0 + e)
    # log(1 + e^z) is max(z, 0) + log(1 + e^-|z|). So no logarithm is taken of a or of 1 - a, which round to 0 far out:
    # at z = 40 and y = 0 the loss is 40, but log(1 - a) is -inf.
    return a, np.log1p(e).sum() + np.maximum(z, 0.0).sum() - y @ z


def _softmax_cross_entropy(z, y):
    """a_k = e^{z_k} / Σ_j e^{z_j}; loss = -Σ_k y_k log a_k = log Σ_j e^{z_j} - Σ_k y_k z_k, as Σ_k y_k = 1.

    So d loss/d z_k = e^{z_k} / Σ_j e^{z_j} - y_k = a_k - y_k.
    """
    # the same number taken off every z changes no a; taking off the largest leaves exponents of at most 0
    shifted = z - z.max()
    p = np.exp(shifted)
    total = p.sum()  # at least 1, so that its logarithm is finite
    return p / total, np.log(total) - y @ shifted


def _half_squared_error(z, y):
    """a = z; loss = ½ Σ_k (z_k - y_k)². So d loss/d z_k = z_k - y_k = a_k - y_k."""
    return z, 0.5 * ((z - y) @ (z - y))


_OUTPUT = {"sigmoid": _sigmoid_cross_entropy, "softmax": _softmax_cross_entropy, "linear": _half_squared_error}


def cost_and_gradient(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ of shape (n,), accumulated example by example.

    J = 1/m Σ_i loss_i + λ/(2m) Σ weights², and with Δ_l = Σ_i δ_l [1, a_{l-1}ᵀ] over the examples

        dJ/dTheta_l = Δ_l/m + λ/m [0, W_l],

    because the biases, which are column 0 of Theta_l, are not regularised.
    """
    network, m = problem.network, problem.m
    # Index `layer` of these lists is l - 1: weights[0] is W_1, which takes the inputs.
    weights = [Theta[:, 1:] for Theta in network.unpack(theta)]  # W_l, (s_l, s_{l-1})
    biases = [Theta[:, 0] for Theta in network.unpack(theta)]  # b_l, (s_l,)
    output = _OUTPUT[network.output.name]
    Deltas_W = [np.zeros(W.shape) for W in weights]
    Deltas_b = [np.zeros(b.shape) for b in biases]
    cost = 0.0
    for x, y in zip(problem.X, problem.Y):
        # Step 1: forward. Every z and a is kept: going back, f'_l needs z_l, and Δ_l needs a_{l-1}.
        zs, activations = [], [x]  # zs[layer] is z_l, (s_l,); activations[layer] is a_{l-1}, the input of W_l
        for W, b, f in zip(weights, biases, network.hidden):
            zs.append(W @ activations[-1] + b)
            activations.append(f(zs[-1]))
        prediction, loss = output(weights[-1] @ activations[-1] + biases[-1], y)
        cost += loss
        # Step 2: δ_L = a_L - y, (K,)
        delta = prediction - y
        for layer in reversed(range(len(weights))):
            # Step 4: Δ_l grows by δ_l [1, a_{l-1}ᵀ]. It comes before step 3, which overwrites δ_l.
            Deltas_b[layer] += delta
            Deltas_W[layer] += delta[:, np.newaxis] * activations[layer]  # (s_l, 1) · (s_{l-1},) is (s_l, s_{l-1})
            # Step 3: δ_{l-1} = (W_lᵀ δ_l) ⊙ f'(z_{l-1}). The biases' input is the constant 1, which depends on nothing
            # below, so that b_l has no part in it. Neither has the input x a δ.
            if layer:
                slope = network.hidden[layer - 1].slope(zs[layer - 1], activations[layer])  # f'(z_{l-1}), (s_{l-1},)
                delta = (delta @ weights[layer]) * slope  # δ_lᵀ W_l, which is W_lᵀ δ_l as a vector: (s_{l-1},)
    # Steps 5 and 6: the mean over the examples, and the regulariser's share. d/dW of λ/(2m) W² is λ/m W.
    gradients = []
    for W, Delta_W, Delta_b in zip(weights, Deltas_W, Deltas_b):
        gradients.append(np.column_stack([Delta_b / m, Delta_W / m + problem.l2 / m * W]))
        cost += problem.l2 / 2 * np.square(W).sum()  # λ/2, as the whole cost is divided by m below
    return float(cost / m), network.pack(gradients)
