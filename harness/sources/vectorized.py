"""Backpropagation by hand, all examples at once, as matrix products.

A block of B examples is a matrix with one example a column, as in the lecture notes. With s_l units in layer l,

    A_0 = Xᵀ,   Z_l = W_l A_{l-1} + b_l,   A_l = f_l(Z_l)        (s_l, B); b_l is added to every column
    δ_L = A_L - Y                                                (K, B), for each of the three outputs here
    δ_{l-1} = (W_lᵀ δ_l) ⊙ f'_{l-1}(Z_{l-1})                     (s_{l-1}, B)
    sum of d loss/d W_l over the block = δ_l A_{l-1}ᵀ            (s_l, s_{l-1})
    sum of d loss/d b_l over the block = δ_l 1                   (s_l, 1), the row sums

The product with A_{l-1}ᵀ is what sums over the examples: its entry (j, k) is Σ_i δ_l[j, i] A_{l-1}[k, i]. The formulas
are derived in `loop`, for one example. The two modules share nothing: a common line would put its mistake into both.

X is stored with examples as rows, so that A_0 = Xᵀ is a view of it, and W_1 A_0 and δ_1 A_0ᵀ are the two layouts in
which a matrix product is fastest. The examples are taken in blocks: a block of X that was read for the forward product
is still in the cache when the gradient's product reads it again. Blocks are worked on side by side.
"""

from functools import partial

import numpy as np

from harness.processors import map_blocks
from reference.problem import Problem

BLOCK_ROWS = 1250
"""Examples in a block, B: 4 MB of digits with 400 inputs each. Much larger ones leave the cache before they are read
again, and much smaller ones pay for the call of each product."""

# The output layer of a block, from Z = Z_L and the targets Y, both (K, B), to the predictions, (K, B), and the sum of
# the losses over all B examples. Each loss is the one whose derivative in Z is prediction - Y. np.vdot(Y, Z) is Σ y z
# over all entries.


def _sigmoid_cross_entropy(Z, Y):
    """A = σ(Z); the loss of an entry is -y log a - (1 - y) log(1 - a) = log(1 + e^z) - y z."""
    # σ(z) = e^min(z, 0) / (1 + e^-|z|) and log(1 + e^z) = max(z, 0) + log(1 + e^-|z|): no exponent is positive, and no
    # logarithm is taken of a number that may have rounded to zero.
    e = np.exp(-np.abs(Z))
    loss = np.log1p(e).sum() + np.maximum(Z, 0.0).sum() - np.vdot(Y, Z)
    return np.exp(np.minimum(Z, 0.0)) / (1.0 + e), loss


def _softmax_cross_entropy(Z, Y):
    """A = e^Z / Σ_k e^Z, column by column; the loss of a column is -Σ_k y log a, where Σ_k y = 1."""
    Z = Z - Z.max(axis=0)  # changes no A, and leaves exponents of at most 0
    P = np.exp(Z)
    total = P.sum(axis=0)  # (B,), each at least 1
    # -Σ_k y log a = log total - Σ_k y z, because the targets of a column sum to 1
    return P / total, np.log(total).sum() - np.vdot(Y, Z)


def _half_squared_error(Z, Y):
    """A = Z; the loss of an entry is ½ (z - y)²."""
    return Z, 0.5 * np.square(Z - Y).sum()


_OUTPUT = {"sigmoid": _sigmoid_cross_entropy, "softmax": _softmax_cross_entropy, "linear": _half_squared_error}


def _block(problem: Problem, start: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Inputs Xᵀ of shape (s_0, B) and targets Yᵀ of shape (K, B), for the block of examples that begins at `start`."""
    rows = slice(start, start + BLOCK_ROWS)
    # Xᵀ stays a view, which BLAS reads as fast as a copy. Yᵀ is copied, because elementwise functions are slow on
    # transposed views.
    return problem.X[rows].astype(dtype, copy=False).T, np.ascontiguousarray(problem.Y[rows].T, dtype)


def cost_and_gradient(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ of shape (n,), in the precision of θ.

    J = 1/m Σ loss + λ/(2m) Σ weights². So dJ/dTheta_l is 1/m times the sum over all blocks, plus λ/m W_l in all columns
    but that of the biases, column 0.
    """
    network, m = problem.network, problem.m
    gradient, cost = np.zeros_like(theta), 0.0
    for losses, of_block in map_blocks(partial(_sums_of_block, problem, theta), range(0, m, BLOCK_ROWS)):
        cost += losses
        gradient += of_block
    gradient /= m
    # `unpack` makes views of `gradient`, so adding to Gradient adds to it
    for Gradient, Theta in zip(network.unpack(gradient), network.unpack(theta)):
        Gradient[:, 1:] += (problem.l2 / m) * Theta[:, 1:]
        cost += problem.l2 / 2 * np.square(Theta[:, 1:]).sum()  # λ/2, as the whole cost is divided by m below
    return float(cost / m), gradient


def _sums_of_block(problem: Problem, theta: np.ndarray, start: int) -> tuple[float, np.ndarray]:
    """The sum of the losses over a block, and that of their gradients, (n,); neither mean nor regulariser."""
    network = problem.network
    X, Y = _block(problem, start, theta.dtype)  # (s_0, B) and (K, B)
    # Index `layer` of these lists is l - 1: weights[0] is W_1, which takes the inputs.
    weights = [Theta[:, 1:] for Theta in network.unpack(theta)]  # W_l, (s_l, s_{l-1})
    biases = [Theta[:, :1] for Theta in network.unpack(theta)]  # b_l as a column, (s_l, 1), to be added to each column
    # Forward. Z_l is kept for f'_l, and A_{l-1} for the gradient of W_l.
    Zs, As = [], [X]  # Zs[layer] is Z_l, (s_l, B); As[layer] is A_{l-1}, (s_{l-1}, B)
    for W, b, f in zip(weights, biases, network.hidden):
        Z = W @ As[-1]
        Z += b  # in place, which saves a second array of this size
        Zs.append(Z)
        As.append(f(Z))
    prediction, losses = _OUTPUT[network.output.name](weights[-1] @ As[-1] + biases[-1], Y)
    # Back, beginning with δ_L = A_L - Y, (K, B).
    delta = prediction - Y
    gradient = np.empty_like(theta)
    for layer, Gradient in reversed(list(enumerate(network.unpack(gradient)))):
        Gradient[:, 1:] = delta @ As[layer].T  # δ_l A_{l-1}ᵀ: (s_l, B) (B, s_{l-1}) is (s_l, s_{l-1})
        Gradient[:, :1] = delta.sum(axis=1, keepdims=True)  # (s_l, 1): the bias' input is 1 for every example
        if layer:  # the inputs have no δ
            delta = weights[layer].T @ delta  # W_lᵀ δ_l: (s_{l-1}, s_l) (s_l, B) is (s_{l-1}, B)
            delta *= network.hidden[layer - 1].slope(Zs[layer - 1], As[layer])  # f'(Z_{l-1}), (s_{l-1}, B)
    return losses, gradient


def cost_and_gradient_float32(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """The same in float32: X and Y are cast to the precision of θ."""
    return cost_and_gradient(problem, theta.astype(np.float32))
