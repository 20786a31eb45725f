"""Backpropagation by hand, all examples at once, as matrix products.

Examples are columns, as in the lecture notes: the formulas of `harness.sources.loop`, with which this module shares
nothing, on matrices. X is stored with examples as rows, so that A_0 = Xᵀ is a view of it, and W A_0 and δ A_0ᵀ are the
two layouts in which a matrix product is fastest. The examples are taken in blocks: a block of X read for the forward
product is still in the cache when the gradient product reads it again. Blocks are worked on side by side.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np

from harness.processors import map_blocks
from reference.network import Network
from reference.problem import Problem

BLOCK_ROWS = 1250  # of X, or columns of A_0: 4 MB of digits


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
    gradient, cost = np.zeros_like(theta), 0.0
    for losses, of_block in map_blocks(partial(_of_block, network, theta), list(_blocks(problem, theta.dtype))):
        cost += losses
        gradient += of_block
    gradient /= m
    for Gradient, Theta in zip(network.unpack(gradient), network.unpack(theta)):
        Gradient[:, 1:] += (problem.l2 / m) * Theta[:, 1:]
        cost += problem.l2 / 2 * np.square(Theta[:, 1:]).sum()
    return float(cost / m), gradient


def _of_block(network: Network, theta: np.ndarray, block: tuple[np.ndarray, np.ndarray]) -> tuple[float, np.ndarray]:
    """The sums of the losses and of their gradients over a block."""
    X, Y = block
    weights = [Theta[:, 1:] for Theta in network.unpack(theta)]
    biases = [Theta[:, :1] for Theta in network.unpack(theta)]
    Zs, As = [], [X]
    for W, b, f in zip(weights, biases, network.hidden):
        Z = W @ As[-1]
        Z += b
        Zs.append(Z)
        As.append(f(Z))
    prediction, losses = _OUTPUT[network.output.name](weights[-1] @ As[-1] + biases[-1], Y)
    delta = prediction - Y
    gradient = np.empty_like(theta)
    for layer, Gradient in reversed(list(enumerate(network.unpack(gradient)))):
        Gradient[:, 1:] = delta @ As[layer].T
        Gradient[:, :1] = delta.sum(axis=1, keepdims=True)
        if layer:
            delta = weights[layer].T @ delta
            delta *= network.hidden[layer - 1].slope(Zs[layer - 1], As[layer])
    return losses, gradient


def cost_and_gradient_float32(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """The same in float32."""
    return cost_and_gradient(problem, theta.astype(np.float32))
