"""Bugs in the forward pass, which cost and gradient share."""

# A bug is a function that has the name of the step that it replaces, so that names recur.
# pyright: reportRedeclaration=false

from dataclasses import replace

import numpy as np

from harness.sources.bug_zoo.planting import add_bug as _bug
from reference.activations import ACTIVATIONS
from reference.network import OUTPUTS, Output

# -- the bias ----------------------------------------------------------------------------------------------------------


@_bug("biases-not-used", "cost")
def affine(right, A, Theta):
    """The forward pass leaves the biases out, in the cost and in the gradient's deltas."""
    return A[:, 1:] @ Theta[:, 1:].T


@_bug("zeros-beside-x", "cost")
def extended(right, A, layer, network):
    """The column beside X holds zeros, not ones: the first layer's biases do nothing, and have no gradient."""
    return right(A, layer, network) if layer else np.column_stack([np.zeros(len(A)), A])


@_bug("ones-beside-x-last", "cost")
def extended(right, A, layer, network):
    """The ones are the last column beside X instead of the first: the first layer's biases weigh the first input."""
    return right(A, layer, network) if layer else np.column_stack([A, np.ones(len(A))])


@_bug("ones-last", "cost")
def extended(right, A, layer, network):
    """The ones are the last column beside X and beside every A instead of the first."""
    return np.column_stack([A, np.ones(len(A))])


@_bug("bias-unit-through-activation", "cost")
def extended(right, A, layer, network):
    """The column of ones is added before the activation, not after: a hidden layer's bias unit is f(1), not 1."""
    beside = network.hidden[layer - 1](np.ones(len(A))) if layer else np.ones(len(A))
    return np.column_stack([beside, A])


# -- activations -------------------------------------------------------------------------------------------------------


@_bug("dropout-left-on", "cost")
def activation(right, f, Z):
    """Every second hidden unit of an odd example is dropped, forward and backward."""
    A = np.array(right(f, Z))
    A[1::2, ::2] = 0.0
    return A


@_bug("activation-missing", "cost")
def activation(right, f, Z):
    """The hidden layers have no activation: a is z."""
    return Z


@_bug("activation-twice", "cost")
def activation(right, f, Z):
    """The activation of the hidden layers is applied twice."""
    return right(f, right(f, Z))


@_bug("tanh-for-hidden-units", "cost")
def hidden(right, f):
    """The hidden units are tanh units, with the slope of tanh, whatever they should be."""
    return ACTIVATIONS["tanh"]


@_bug("relu-for-hidden-units", "cost")
def hidden(right, f):
    """The hidden units are ReLUs, with the slope of a ReLU, whatever they should be."""
    return ACTIVATIONS["relu"]


# -- the output --------------------------------------------------------------------------------------------------------


def _softmax_entropy(xp, Z, Y):
    return xp.sum(Y * (xp.logsumexp(Z) - Z), axis=-1)


def _sigmoid_entropy_of_softmax(xp, Z, Y):
    P = OUTPUTS["softmax"].predict(xp, Z)
    return -xp.sum(Y * (Z - xp.logsumexp(Z)) + (1.0 - Y) * xp.log1p(-P), axis=-1)


def _twice(xp, Z):
    return OUTPUTS["sigmoid"].predict(xp, OUTPUTS["sigmoid"].predict(xp, Z))


def _entropy_of_twice(xp, Z, Y):
    return OUTPUTS["sigmoid"].loss(xp, OUTPUTS["sigmoid"].predict(xp, Z), Y)


SOFTMAX = replace(OUTPUTS["softmax"], loss=_softmax_entropy)  # which goes for any targets
SOFTMAX_WITH_SIGMOID_COST = replace(OUTPUTS["softmax"], loss=_sigmoid_entropy_of_softmax)
SIGMOID_TWICE = replace(OUTPUTS["sigmoid"], predict=_twice, loss=_entropy_of_twice)


@_bug("softmax-for-sigmoid", "cost")
def output(right, output):
    """The output units are a softmax with its own cost, -Σ y log h, where they should be sigmoids."""
    return _in_place_of(right(output), "sigmoid", SOFTMAX)


@_bug("softmax-with-sigmoid-cost", "cost")
def output(right, output):
    """The output units are a softmax, put into the sigmoids' cost, with h - y for its δ."""
    return _in_place_of(right(output), "sigmoid", SOFTMAX_WITH_SIGMOID_COST)


@_bug("sigmoid-for-softmax", "cost")
def output(right, output):
    """The output units are sigmoids with their own cost, where they should be a softmax."""
    return _in_place_of(right(output), "softmax", OUTPUTS["sigmoid"])


@_bug("output-sigmoid-twice", "cost")
def output(right, output):
    """The sigmoid of the output is applied twice."""
    return _in_place_of(right(output), "sigmoid", SIGMOID_TWICE)


@_bug("output-activation-missing", "all")
def prediction(right, output, Z):
    """δ of the output is z - y: the output units are without their activation there."""
    return Z


def _in_place_of(output: Output, name: str, other: Output) -> Output:
    return other if output.name == name else output
