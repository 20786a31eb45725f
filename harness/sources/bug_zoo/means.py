"""Bugs in the sum and the mean over the examples."""

# A bug is a function that has the name of the step that it replaces, so that names recur.
# pyright: reportRedeclaration=false

from harness.sources.bug_zoo.planting import add_bug as _bug


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
