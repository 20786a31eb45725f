"""Bugs of the cost: of cost and gradient alike, in the targets and in the forward pass, or of the cost alone."""

from dataclasses import replace

import numpy as np

from harness.sources.bug_zoo.planting import changed
from harness.sources.bug_zoo.planting import make_bug as _bug
from reference.activations import ACTIVATIONS
from reference.namespaces import NUMPY
from reference.network import OUTPUTS


def _last_class_as_first(Y):
    one_class = Y.shape[1] == 1  # the last is the first
    return Y if one_class else np.column_stack([Y[:, 0] + Y[:, -1], Y[:, 1:-1], np.zeros(len(Y))])


def _of_sigmoids(loss):
    """Another loss of sigmoid units, by entries."""
    return lambda right, output, Z, Y: np.sum(loss(Z, Y), axis=-1) if output.name == "sigmoid" else right(output, Z, Y)


# fmt: off
COSTS = (
    # targets
    _bug("targets-shifted", "cost", "One-hot rows are shifted by one class.",
         examples=lambda right, problem: (problem.X, np.roll(problem.Y, 1, axis=1))),
    _bug("targets-shifted-back", "cost", "One-hot rows are shifted back by one class.",
         examples=lambda right, problem: (problem.X, np.roll(problem.Y, -1, axis=1))),
    _bug("last-class-as-first", "cost",
         "The course's label 10 (digit 0) is taken for unit 0: the last class is counted as the first.",
         examples=lambda right, problem: (problem.X, _last_class_as_first(problem.Y))),
    _bug("last-class-lost", "cost", "Labels 1 to K are looked for in 1 to K - 1: the last class gets a row of zeros.",
         examples=lambda right, problem: (problem.X, changed(problem.Y, np.s_[:, -1], 0.0))),
    _bug("labels-one-too-large", "cost",
         "Labels 1 to K are used as indices from 0: each class is one too far, and the last gets a row of zeros.",
         examples=lambda right, problem: (problem.X, changed(np.roll(problem.Y, 1, axis=1), np.s_[:, 0], 0.0))),
    _bug("targets-broadcast", "all",
         "An (m,) column meets an (m, K) array: every unit's δ uses the targets of the first unit.",
         output_delta=lambda right, P, Y: right(P, Y[:, :1])),
    # cost and gradient alike
    _bug("wrong-loss", "cost", "Cost and gradient agree with each other, but belong to a loss half as large.",
         mean=lambda right, total, m: total / (2 * m)),
    _bug("sum-for-mean", "cost",
         "Cost and gradient agree with each other, but the sum over the examples is divided by m in neither.",
         mean=lambda right, total, m: total),
    # the cost alone
    _bug("cost-without-regulariser", "cost alone", "The regulariser is missing from the cost; the gradient has it.",
         penalty=lambda right, thetas, l2, m: 0.0),
    _bug("cost-with-biases-regularised", "cost alone", "The biases are regularised like weights, in the cost alone.",
         squares=lambda right, thetas: sum(np.square(Theta).sum() for Theta in thetas)),
    _bug("cost-regulariser-without-half", "cost alone", "The regulariser of the cost lacks the factor 1/2: λ/m · Σ W².",
         penalty=lambda right, thetas, l2, m: 2.0 * right(thetas, l2, m)),
    _bug("cost-regulariser-not-over-m", "cost alone", "The regulariser of the cost is not divided by m: λ/2 · Σ W².",
         penalty=lambda right, thetas, l2, m: m * right(thetas, l2, m)),
    _bug("cost-regulariser-subtracted", "cost alone", "The regulariser is subtracted from the cost instead of added.",
         penalty=lambda right, thetas, l2, m: -right(thetas, l2, m)),
    _bug("cost-regulariser-not-squared", "cost alone",
         "The regulariser of the cost sums the weights instead of their squares.",
         squares=lambda right, thetas: sum(Theta[:, 1:].sum() for Theta in thetas)),
    _bug("cost-regulariser-of-absolute-weights", "cost alone",
         "The regulariser of the cost sums the absolute values of the weights instead of their squares.",
         squares=lambda right, thetas: sum(np.abs(Theta[:, 1:]).sum() for Theta in thetas)),
    _bug("cost-regulariser-of-norms", "cost alone",
         "The regulariser of the cost sums the norms of the weights, as np.linalg.norm gives them, without a square.",
         squares=lambda right, thetas: sum(np.linalg.norm(Theta[:, 1:]) for Theta in thetas)),
    _bug("cost-regulariser-square-of-sum", "cost alone",
         "The regulariser of the cost squares the sum of each Θ's weights instead of summing their squares.",
         squares=lambda right, thetas: sum(Theta[:, 1:].sum() ** 2 for Theta in thetas)),
    _bug("cost-lambda-left-out", "cost alone", "The regulariser of the cost is Σ W²/(2m), without λ.",
         penalty=lambda right, thetas, l2, m: right(thetas, 1.0, m)),
    _bug("cost-regulariser-without-first-rows", "cost alone",
         "The regulariser of the cost leaves out the first row of each Θ instead of the first column, the biases'.",
         squares=lambda right, thetas: sum(np.square(Theta[1:]).sum() for Theta in thetas)),
    _bug("cost-regularises-first-layer-only", "cost alone",
         "The regulariser of the cost has the weights of the first Θ only.",
         squares=lambda right, thetas: right(thetas[:1])),
    _bug("cost-regularises-last-layer-only", "cost alone",
         "The regulariser of the cost has the weights of the last Θ only.",
         squares=lambda right, thetas: right(thetas[-1:])),
    _bug("cost-summed", "cost alone",
         "The losses are summed over the examples and not divided by m, in the cost alone.",
         data_cost=lambda right, total, m, output, K: total),
    _bug("cost-not-over-m", "cost alone",
         "The whole cost, the regulariser included, is not divided by m; the gradient is.",
         cost_of=lambda right, data, penalty, m: m * right(data, penalty, m)),
    _bug("cost-sign", "cost alone",
         "The minus sign before the logarithms is missing: the losses are subtracted, in the cost alone.",
         data_cost=lambda right, total, m, output, K: -right(total, m, output, K)),
    _bug("cost-negated", "cost alone", "The sign of the whole cost is wrong, the regulariser's included.",
         cost_of=lambda right, data, penalty, m: -right(data, penalty, m)),
    _bug("cost-y-log-h-only", "cost alone",
         "Of the cross-entropy, only -y log h is summed, and not -(1 - y) log(1 - h).",
         losses=_of_sigmoids(lambda Z, Y: Y * np.logaddexp(0.0, -Z))),
    _bug("cost-other-half-only", "cost alone",
         "Of the cross-entropy, only -(1 - y) log(1 - h) is summed, and not -y log h.",
         losses=_of_sigmoids(lambda Z, Y: (1.0 - Y) * np.logaddexp(0.0, Z))),
    _bug("cost-log10", "cost alone", "The cost has decimal logarithms instead of natural ones.",
         data_cost=lambda right, total, m, output, K: (
            right(total, m, output, K) / (1.0 if output.name == "linear" else np.log(10.0)))),
    _bug("cost-mean-over-units", "cost alone",
         "The cost is a mean over the m·K entries instead of a sum over the units and a mean over the examples.",
         data_cost=lambda right, total, m, output, K: right(total, m, output, K) / K),
    _bug("cost-halved", "cost alone", "The losses are divided by 2m instead of m, in the cost alone.",
         data_cost=lambda right, total, m, output, K: right(total, m, output, K) / 2.0),
    _bug("cost-doubled", "cost alone",
         "The losses are twice too large, in the cost alone, as a squared error without its 1/2 is.",
         data_cost=lambda right, total, m, output, K: 2.0 * right(total, m, output, K)),
    _bug("cost-squared-error", "cost alone",
         "The cost is half the squared error, Σ (h - y)²/2, beside the gradient of the cross-entropy.",
         losses=lambda right, output, Z, Y: np.sum((output.predict(NUMPY, Z) - Y) ** 2, axis=-1) / 2.0),
)
# fmt: on

# -- the forward pass --------------------------------------------------------------------------------------------------


def _beside_x(column):
    """``column(X)`` for [1, X]; the hidden layers' inputs stay right."""
    return lambda right, A, layer, network: right(A, layer, network) if layer else column(A)


def _bias_unit_through_activation(right, A, layer, network):
    bias_unit = network.hidden[layer - 1](np.ones(len(A))) if layer else np.ones(len(A))
    return np.column_stack([bias_unit, A])


def _for_output(name, other):
    """Another output layer in the place of that of a name."""
    return lambda right, output: other if right(output).name == name else right(output)


def _softmax_entropy(xp, Z, Y):
    return xp.sum(Y * (xp.logsumexp(Z) - Z), axis=-1)  # for any targets


def _sigmoid_entropy_of_softmax(xp, Z, Y):
    P = OUTPUTS["softmax"].predict(xp, Z)
    return -xp.sum(Y * (Z - xp.logsumexp(Z)) + (1.0 - Y) * xp.log1p(-P), axis=-1)


def _sigmoid_twice(xp, Z):
    return OUTPUTS["sigmoid"].predict(xp, OUTPUTS["sigmoid"].predict(xp, Z))


def _entropy_of_sigmoid_twice(xp, Z, Y):
    return OUTPUTS["sigmoid"].loss(xp, OUTPUTS["sigmoid"].predict(xp, Z), Y)


SOFTMAX = replace(OUTPUTS["softmax"], loss=_softmax_entropy)
SOFTMAX_WITH_SIGMOID_COST = replace(OUTPUTS["softmax"], loss=_sigmoid_entropy_of_softmax)
SIGMOID_TWICE = replace(OUTPUTS["sigmoid"], predict=_sigmoid_twice, loss=_entropy_of_sigmoid_twice)

# fmt: off
FORWARD = (
    # the bias
    _bug("biases-not-used", "cost", "The forward pass leaves the biases out, in the cost and in the gradient's deltas.",
         affine=lambda right, A, Theta: A[:, 1:] @ Theta[:, 1:].T),
    _bug("zeros-beside-x", "cost",
         "The column beside X holds zeros, not ones: the first layer's biases do nothing, and have no gradient.",
         extended=_beside_x(lambda X: np.column_stack([np.zeros(len(X)), X]))),
    _bug("ones-beside-x-last", "cost",
         "The ones are the last column beside X instead of the first: the first layer's biases weigh the first input.",
         extended=_beside_x(lambda X: np.column_stack([X, np.ones(len(X))]))),
    _bug("ones-last", "cost", "The ones are the last column beside X and beside every A instead of the first.",
         extended=lambda right, A, layer, network: np.column_stack([A, np.ones(len(A))])),
    _bug("bias-unit-through-activation", "cost",
         "The column of ones is added before the activation, not after: a hidden layer's bias unit is f(1), not 1.",
         extended=_bias_unit_through_activation),
    # activations
    _bug("dropout-left-on", "cost", "Every second hidden unit of an odd example is dropped, forward and backward.",
         activation=lambda right, f, Z: changed(right(f, Z), np.s_[1::2, ::2], 0.0)),
    _bug("activation-missing", "cost", "The hidden layers have no activation: a is z.",
         activation=lambda right, f, Z: Z),
    _bug("activation-twice", "cost", "The activation of the hidden layers is applied twice.",
         activation=lambda right, f, Z: right(f, right(f, Z))),
    _bug("tanh-for-hidden-units", "cost",
         "The hidden units are tanh units, with the slope of tanh, whatever they should be.",
         hidden=lambda right, f: ACTIVATIONS["tanh"]),
    _bug("relu-for-hidden-units", "cost",
         "The hidden units are ReLUs, with the slope of a ReLU, whatever they should be.",
         hidden=lambda right, f: ACTIVATIONS["relu"]),
    # the output
    _bug("softmax-for-sigmoid", "cost",
         "The output units are a softmax with its own cost, -Σ y log h, where they should be sigmoids.",
         output=_for_output("sigmoid", SOFTMAX)),
    _bug("softmax-with-sigmoid-cost", "cost",
         "The output units are a softmax, put into the sigmoids' cost, with h - y for its δ.",
         output=_for_output("sigmoid", SOFTMAX_WITH_SIGMOID_COST)),
    _bug("sigmoid-for-softmax", "cost",
         "The output units are sigmoids with their own cost, where they should be a softmax.",
         output=_for_output("softmax", OUTPUTS["sigmoid"])),
    _bug("output-sigmoid-twice", "cost", "The sigmoid of the output is applied twice.",
         output=_for_output("sigmoid", SIGMOID_TWICE)),
    _bug("output-activation-missing", "all",
         "δ of the output is z - y: the output units are without their activation there.",
         prediction=lambda right, output, Z: Z),
)
# fmt: on
