"""Backpropagation by hand, all examples at once, as matrix products.

Examples are rows, so the formulas are the transposes of those in `harness.loop`, with which this module shares nothing.
The examples are taken in blocks of rows: a block of X read for the forward product is still in the cache when the
gradient product reads it again, which halves the traffic to memory. The blocks are in one place, `cost_and_gradient`.
"""

from collections.abc import Iterator

import numpy as np

from reference.network import Network
from reference.problem import Problem

BLOCK_ROWS = 1000


def _sigmoid_cross_entropy(Z, Y):
    e = np.exp(-np.abs(Z))
    loss = np.log1p(e).sum() + np.maximum(Z, 0.0).sum() - np.vdot(Y, Z)
    return np.where(Z >= 0.0, 1.0, e) / (1.0 + e), loss


def _softmax_cross_entropy(Z, Y):
    Z = Z - Z.max(axis=1, keepdims=True)
    P = np.exp(Z)
    total = P.sum(axis=1, keepdims=True)
    return P / total, np.log(total).sum() - np.vdot(Y, Z)


def _half_squared_error(Z, Y):
    return Z, 0.5 * np.square(Z - Y).sum()


# pre-activations and targets of a block -> predictions and the sum of the losses
_OUTPUT = {"sigmoid": _sigmoid_cross_entropy, "softmax": _softmax_cross_entropy, "linear": _half_squared_error}


def _blocks(problem: Problem, dtype: np.dtype) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, problem.m, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        yield problem.X[rows].astype(dtype, copy=False), problem.Y[rows].astype(dtype, copy=False)


def _add_block(network: Network, thetas: list, Deltas: list, X: np.ndarray, Y: np.ndarray) -> float:
    """Add the block's δᵀ[1, A] to every Δ, and return the sum of its losses."""
    *hidden, last = thetas
    A, Zs, As = X, [], [X]
    for Theta, f in zip(hidden, network.hidden):
        Z = A @ Theta[:, 1:].T
        Z += Theta[:, 0]
        A = f(Z)
        Zs.append(Z)
        As.append(A)
    Z = A @ last[:, 1:].T
    Z += last[:, 0]
    prediction, loss = _OUTPUT[network.output.name](Z, Y)
    delta = prediction - Y
    for layer in reversed(range(len(thetas))):
        Deltas[layer][:, 0] += delta.sum(axis=0)
        Deltas[layer].T[1:] += As[layer].T @ delta
        if layer:
            delta = delta @ thetas[layer][:, 1:]
            delta *= network.hidden[layer - 1].slope(Zs[layer - 1], As[layer])
    return loss


def cost_and_gradient(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ of shape (n,), in the precision of θ.

    Z_l = A_{l-1} W_lᵀ + b_l,  A_l = f_l(Z_l);  δ_L = A_L - Y,  δ_l = (δ_{l+1} W_{l+1}) ⊙ f'(Z_l);
    dJ/dW_l = δ_lᵀ A_{l-1}/m + λ/m · W_l,  dJ/db_l = Σ δ_l/m.
    """
    network, m = problem.network, problem.m
    gradient = np.zeros_like(theta)
    thetas, Deltas = network.unpack(theta), network.unpack(gradient)  # views: a Δ that grows fills the gradient
    losses = sum(_add_block(network, thetas, Deltas, X, Y) for X, Y in _blocks(problem, theta.dtype))
    gradient /= m
    squares = 0.0
    for Theta, Delta in zip(thetas, Deltas):
        W = Theta[:, 1:]
        Delta[:, 1:] += (problem.l2 / m) * W
        squares += np.square(W).sum()
    return float((losses + problem.l2 / 2 * squares) / m), gradient
