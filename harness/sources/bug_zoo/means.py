"""Bugs in the sum and the mean over the examples, and in the regulariser."""

# A bug is a function that has the name of the step that it replaces, so that names recur.
# pyright: reportRedeclaration=false

import numpy as np

from harness.sources.bug_zoo.planting import add_bug as _bug

# -- the sum and the mean ----------------------------------------------------------------------------------------------


@_bug("mean-missing", "all")
def layer_gradient(right, delta, A):
    """The sum over the examples is not divided by m, in the gradient."""
    return len(A) * right(delta, A)


@_bug("mean-missing-in-regulariser-too", "all")
def finish(right, gradient, problem, theta):
    """The whole gradient, the regulariser's share included, is not divided by m."""
    return problem.m * right(gradient, problem, theta)


@_bug("mean-taken-twice", "all")
def layer_gradient(right, delta, A):
    """The sum over the examples is divided by m twice: δ holds a mean already."""
    return right(delta, A) / len(A)


@_bug("mean-over-m-minus-1", "all")
def layer_gradient(right, delta, A):
    """The sum is divided by m - 1, as a variance would be."""
    m = len(A)
    return right(delta, A) * (m / (m - 1) if m > 1 else 1.0)


@_bug("mean-in-the-last-layer-only", "layer")
def layer_mean(right, total, m, layer, layers):
    """Only the last layer's gradient is divided by m."""
    return right(total, m, layer, layers) if layer == layers - 1 else total


@_bug("mean-missing-in-the-last-layer", "all")
def layer_mean(right, total, m, layer, layers):
    """The last layer's gradient is not divided by m, all others are."""
    return right(total, m, layer, layers) if layer < layers - 1 else total


@_bug("bias-summed", "bias")
def layer_gradient(right, delta, A):
    """Sum and mean are mixed: the weights' gradient is a mean over the examples, the biases' a sum."""
    total = right(delta, A)
    total[:, 0] *= len(A)
    return total


@_bug("weights-summed", "all")
def layer_gradient(right, delta, A):
    """Sum and mean are mixed: the biases' gradient is a mean over the examples, the weights' a sum."""
    total = right(delta, A)
    total[:, 1:] *= len(A)
    return total


@_bug("last-example-skipped", "all")
def layer_gradient(right, delta, A):
    """An off-by-one in the loop: the last example adds nothing to the gradient."""
    return right(delta[:-1], A[:-1])


@_bug("first-example-skipped", "all")
def layer_gradient(right, delta, A):
    """An off-by-one in the loop: the first example adds nothing to the gradient."""
    return right(delta[1:], A[1:])


@_bug("only-last-example", "all")
def layer_gradient(right, delta, A):
    """Δ is overwritten instead of added to: only the last example counts, m times."""
    return len(A) * right(delta[-1:], A[-1:])


@_bug("only-last-example-over-m", "all")
def layer_gradient(right, delta, A):
    """Δ is overwritten instead of added to, and divided by m: only the last example counts, once."""
    return right(delta[-1:], A[-1:])


@_bug("mean-over-units-too", "all")
def output_delta(right, P, Y):
    """The gradient is divided by the number of output units as well: a mean over m·K entries."""
    return right(P, Y) / P.shape[1]


# -- the regulariser, in the gradient alone or in the cost as well -----------------------------------------------------


@_bug("bias-regularised", "regulariser")
def decay(right, Theta, strength, layer, layers):
    """The biases are regularised like weights, in the gradient alone."""
    return strength * Theta


@_bug("bias-regularised-in-cost-too", "cost")
def regularised(right, Theta):
    """The regulariser takes Θ whole, the biases included, in the cost and in the gradient."""
    return Theta


@_bug("output-layer-unregularised", "regulariser")
def decay(right, Theta, strength, layer, layers):
    """The regulariser is left out of the last layer's gradient."""
    return right(Theta, strength if layer < layers - 1 else 0.0, layer, layers)


@_bug("first-layer-unregularised", "regulariser")
def decay(right, Theta, strength, layer, layers):
    """The regulariser is left out of the first layer's gradient."""
    return right(Theta, strength if layer else 0.0, layer, layers)


@_bug("regulariser-missing", "regulariser")
def strength(right, l2, m):
    """The gradient is that of the unregularised cost."""
    return 0.0


@_bug("regulariser-missing-in-cost-too", "cost")
def regularised(right, Theta):
    """There is no regulariser, neither in the cost nor in the gradient."""
    return 0.0 * Theta


@_bug("lambda-not-over-m", "regulariser")
def strength(right, l2, m):
    """λ is not divided by m in the gradient."""
    return l2


@_bug("lambda-halved", "regulariser")
def strength(right, l2, m):
    """The factor 1/2 of the penalty is kept when differentiating: λ/(2m) · W."""
    return l2 / (2 * m)


@_bug("lambda-doubled", "regulariser")
def strength(right, l2, m):
    """The regulariser's gradient is twice too large: 2λ/m · W, or it is added twice."""
    return 2.0 * l2 / m


@_bug("lambda-over-m-twice", "regulariser")
def strength(right, l2, m):
    """λ is divided by m twice: λ/m · W is added before the sum over the examples is divided by m."""
    return l2 / m**2


@_bug("lambda-subtracted", "regulariser")
def strength(right, l2, m):
    """The regulariser is subtracted from the gradient instead of added."""
    return -l2 / m


@_bug("lambda-of-another-run", "regulariser")
def strength(right, l2, m):
    """Cost at λ, gradient at λ + 1: a stale variable."""
    return (l2 + 1.0) / m


@_bug("lambda-shifted-by-one-column", "regulariser")
def decay(right, Theta, strength, layer, layers):
    """The regulariser leaves out the last column of Θ instead of the first, the biases'."""
    decay = strength * Theta
    decay[:, -1] = 0.0
    return decay


@_bug("lambda-left-out", "regulariser")
def strength(right, l2, m):
    """The regulariser's gradient is W/m, without λ."""
    return right(1.0, m)


@_bug("regulariser-of-absolute-weights", "regulariser")
def decay(right, Theta, strength, layer, layers):
    """The regulariser's gradient is λ/(2m) · sign(W): that of |W| instead of W²."""
    return right(0.5 * np.sign(Theta), strength, layer, layers)


@_bug("regulariser-without-first-rows", "regulariser")
def decay(right, Theta, strength, layer, layers):
    """The regulariser leaves out the first row of each Θ instead of the first column, the biases'."""
    decay = strength * Theta
    decay[0] = 0.0
    return decay
