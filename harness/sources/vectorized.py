"""Backpropagation by hand, all examples at once, as matrix products.

Examples are columns, as in the lecture notes: the formulas of `harness.sources.loop`, with which this module shares
nothing, on matrices. X is stored with examples as rows, so that A_0 = Xᵀ is a view of it, and W A_0 and δ A_0ᵀ are the
two layouts in which a matrix product is fastest. The examples are taken in blocks: a block of X read for the forward
product is still in the cache when the gradient product reads it again. The blocks are in one place, `_blocks`.
"""

from collections.abc import Iterator

import numpy as np

from reference.problem import Problem

BLOCK_ROWS = 2000  # of X, or columns of A_0: 6 MB of digits


def _sigmoid_cross_entropy(Z, Y):
    e = np.exp(-np.abs(Z))
    loss = np.log1p(e).sum() + np.maximum(Z, 0.0).sum() - np.vdot(Y, Z)
    return np.exp(np.minimum(Z, 0.0)) / (1.0 + e), loss


def _softmax_cross_entropy(Z, Y):
    Z = Z - Z.max(axis=0)
    P = np.exp(Z)
    total = P.sum(axis=0)
    return P / total, np.log(total).sum() - np.vdot(Y, Z)


def _half_squared_error(Z, Y):
    return Z, 0.5 * np.square(Z - Y).sum()


# pre-activations and targets of a block -> predictions and the sum of the losses
_OUTPUT = {"sigmoid": _sigmoid_cross_entropy, "softmax": _softmax_cross_entropy, "linear": _half_squared_error}


def _blocks(problem: Problem, dtype: np.dtype) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Inputs (n, block) and targets (K, block) of one block of examples after another."""
    for start in range(0, problem.m, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        # BLAS reads the view Xᵀ as fast as a copy; elementwise functions do not read Yᵀ so
        yield problem.X[rows].astype(dtype, copy=False).T, np.ascontiguousarray(problem.Y[rows].T, dtype)


def cost_and_gradient(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ of shape (n,), in the precision of θ.

    Z_l = W_l A_{l-1} + b_l,  A_l = f_l(Z_l);  δ_L = A_L - Y,  δ_l = (W_{l+1}ᵀ δ_{l+1}) ⊙ f'(Z_l);
    dJ/dW_l = δ_l A_{l-1}ᵀ/m + λ/m · W_l,  dJ/db_l = Σ δ_l/m.
    """
    network, m = problem.network, problem.m
    weights = [Theta[:, 1:] for Theta in network.unpack(theta)]
    biases = [Theta[:, :1] for Theta in network.unpack(theta)]
    output = _OUTPUT[network.output.name]
    Deltas_W = [np.zeros(W.shape, theta.dtype) for W in weights]
    Deltas_b = [np.zeros(b.shape, theta.dtype) for b in biases]
    cost = 0.0
    for X, Y in _blocks(problem, theta.dtype):
        Zs, As = [], [X]
        for W, b, f in zip(weights, biases, network.hidden):
            Z = W @ As[-1]
            Z += b
            Zs.append(Z)
            As.append(f(Z))
        prediction, losses = output(weights[-1] @ As[-1] + biases[-1], Y)
        cost += losses
        delta = prediction - Y
        for layer in reversed(range(len(weights))):
            Deltas_W[layer] += delta @ As[layer].T
            Deltas_b[layer] += delta.sum(axis=1, keepdims=True)
            if layer:
                delta = weights[layer].T @ delta
                delta *= network.hidden[layer - 1].slope(Zs[layer - 1], As[layer])
    gradient = np.empty_like(theta)
    for Gradient, W, Delta_W, Delta_b in zip(network.unpack(gradient), weights, Deltas_W, Deltas_b):
        Gradient[:, :1] = Delta_b / m
        Gradient[:, 1:] = Delta_W / m + (problem.l2 / m) * W
        cost += problem.l2 / 2 * np.square(W).sum()
    return float(cost / m), gradient


def cost_and_gradient_float32(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """The same in float32."""
    return cost_and_gradient(problem, theta.astype(np.float32))
