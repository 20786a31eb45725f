"""Bugs in the targets and in the cost: of cost and gradient alike, or of the cost alone beside a right gradient."""

# A bug is a function that has the name of the step that it replaces, so that names recur.
# pyright: reportRedeclaration=false

import numpy as np

from harness.sources.bug_zoo.planting import add_bug as _bug
from reference.namespaces import NUMPY

# -- targets -----------------------------------------------------------------------------------------------------------


@_bug("targets-shifted", "cost")
def examples(right, problem):
    """One-hot rows are shifted by one class."""
    return problem.X, np.roll(problem.Y, 1, axis=1)


@_bug("targets-shifted-back", "cost")
def examples(right, problem):
    """One-hot rows are shifted back by one class."""
    return problem.X, np.roll(problem.Y, -1, axis=1)


@_bug("last-class-as-first", "cost")
def examples(right, problem):
    """The course's label 10 (digit 0) is taken for unit 0: the last class is counted as the first."""
    Y = problem.Y.copy()
    if Y.shape[1] > 1:
        Y[:, 0] += Y[:, -1]
        Y[:, -1] = 0.0
    return problem.X, Y


@_bug("last-class-lost", "cost")
def examples(right, problem):
    """Labels 1 to K are looked for in 1 to K - 1: the last class gets a row of zeros."""
    Y = problem.Y.copy()
    Y[:, -1] = 0.0
    return problem.X, Y


@_bug("labels-one-too-large", "cost")
def examples(right, problem):
    """Labels 1 to K are used as indices from 0: each class is one too far, and the last gets a row of zeros."""
    Y = np.roll(problem.Y, 1, axis=1)
    Y[:, 0] = 0.0
    return problem.X, Y


@_bug("targets-broadcast", "all")
def output_delta(right, P, Y):
    """An (m,) column meets an (m, K) array: every unit's δ uses the targets of the first unit."""
    return right(P, Y[:, :1])


# -- cost and gradient alike -------------------------------------------------------------------------------------------


@_bug("wrong-loss", "cost")
def mean(right, total, m):
    """Cost and gradient agree with each other, but belong to a loss half as large."""
    return total / (2 * m)


@_bug("sum-for-mean", "cost")
def mean(right, total, m):
    """Cost and gradient agree with each other, but the sum over the examples is divided by m in neither."""
    return total


# -- the cost alone ----------------------------------------------------------------------------------------------------


@_bug("cost-without-regulariser", "cost alone")
def penalty(right, thetas, l2, m):
    """The regulariser is missing from the cost; the gradient has it."""
    return 0.0


@_bug("cost-with-biases-regularised", "cost alone")
def squares(right, thetas):
    """The biases are regularised like weights, in the cost alone."""
    return sum(np.square(Theta).sum() for Theta in thetas)


@_bug("cost-regulariser-without-half", "cost alone")
def penalty(right, thetas, l2, m):
    """The regulariser of the cost lacks the factor 1/2: λ/m · Σ W²."""
    return 2.0 * right(thetas, l2, m)


@_bug("cost-regulariser-not-over-m", "cost alone")
def penalty(right, thetas, l2, m):
    """The regulariser of the cost is not divided by m: λ/2 · Σ W²."""
    return m * right(thetas, l2, m)


@_bug("cost-regulariser-subtracted", "cost alone")
def penalty(right, thetas, l2, m):
    """The regulariser is subtracted from the cost instead of added."""
    return -right(thetas, l2, m)


@_bug("cost-regulariser-not-squared", "cost alone")
def squares(right, thetas):
    """The regulariser of the cost sums the weights instead of their squares."""
    return sum(Theta[:, 1:].sum() for Theta in thetas)


@_bug("cost-regulariser-of-absolute-weights", "cost alone")
def squares(right, thetas):
    """The regulariser of the cost sums the absolute values of the weights instead of their squares."""
    return sum(np.abs(Theta[:, 1:]).sum() for Theta in thetas)


@_bug("cost-regulariser-of-norms", "cost alone")
def squares(right, thetas):
    """The regulariser of the cost sums the norms of the weights, as np.linalg.norm gives them, without a square."""
    return sum(np.linalg.norm(Theta[:, 1:]) for Theta in thetas)


@_bug("cost-regulariser-square-of-sum", "cost alone")
def squares(right, thetas):
    """The regulariser of the cost squares the sum of each Θ's weights instead of summing their squares."""
    return sum(Theta[:, 1:].sum() ** 2 for Theta in thetas)


@_bug("cost-lambda-left-out", "cost alone")
def penalty(right, thetas, l2, m):
    """The regulariser of the cost is Σ W²/(2m), without λ."""
    return right(thetas, 1.0, m)


@_bug("cost-regulariser-without-first-rows", "cost alone")
def squares(right, thetas):
    """The regulariser of the cost leaves out the first row of each Θ instead of the first column, the biases'."""
    return sum(np.square(Theta[1:]).sum() for Theta in thetas)


@_bug("cost-regularises-first-layer-only", "cost alone")
def squares(right, thetas):
    """The regulariser of the cost has the weights of the first Θ only."""
    return right(thetas[:1])


@_bug("cost-regularises-last-layer-only", "cost alone")
def squares(right, thetas):
    """The regulariser of the cost has the weights of the last Θ only."""
    return right(thetas[-1:])


@_bug("cost-summed", "cost alone")
def data_cost(right, total, m, output, K):
    """The losses are summed over the examples and not divided by m, in the cost alone."""
    return total


@_bug("cost-not-over-m", "cost alone")
def cost_of(right, data, penalty, m):
    """The whole cost, the regulariser included, is not divided by m; the gradient is."""
    return m * right(data, penalty, m)


@_bug("cost-sign", "cost alone")
def data_cost(right, total, m, output, K):
    """The minus sign before the logarithms is missing: the losses are subtracted, in the cost alone."""
    return -right(total, m, output, K)


@_bug("cost-negated", "cost alone")
def cost_of(right, data, penalty, m):
    """The sign of the whole cost is wrong, the regulariser's included."""
    return -right(data, penalty, m)


@_bug("cost-y-log-h-only", "cost alone")
def losses(right, output, Z, Y):
    """Of the cross-entropy, only -y log h is summed, and not -(1 - y) log(1 - h)."""
    if output.name != "sigmoid":
        return right(output, Z, Y)
    return np.sum(Y * np.logaddexp(0.0, -Z), axis=-1)


@_bug("cost-other-half-only", "cost alone")
def losses(right, output, Z, Y):
    """Of the cross-entropy, only -(1 - y) log(1 - h) is summed, and not -y log h."""
    if output.name != "sigmoid":
        return right(output, Z, Y)
    return np.sum((1.0 - Y) * np.logaddexp(0.0, Z), axis=-1)


@_bug("cost-log10", "cost alone")
def data_cost(right, total, m, output, K):
    """The cost has decimal logarithms instead of natural ones."""
    cost = right(total, m, output, K)
    return cost if output.name == "linear" else cost / np.log(10.0)


@_bug("cost-mean-over-units", "cost alone")
def data_cost(right, total, m, output, K):
    """The cost is a mean over the m·K entries instead of a sum over the units and a mean over the examples."""
    return right(total, m, output, K) / K


@_bug("cost-halved", "cost alone")
def data_cost(right, total, m, output, K):
    """The losses are divided by 2m instead of m, in the cost alone."""
    return right(total, m, output, K) / 2.0


@_bug("cost-doubled", "cost alone")
def data_cost(right, total, m, output, K):
    """The losses are twice too large, in the cost alone, as a squared error without its 1/2 is."""
    return 2.0 * right(total, m, output, K)


@_bug("cost-squared-error", "cost alone")
def losses(right, output, Z, Y):
    """The cost is half the squared error, Σ (h - y)²/2, beside the gradient of the cross-entropy."""
    return np.sum((output.predict(NUMPY, Z) - Y) ** 2, axis=-1) / 2.0
