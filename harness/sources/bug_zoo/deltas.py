"""Bugs in slopes and deltas, and in the gradient of the biases: of the gradient alone."""

# A bug is a function that has the name of the step that it replaces, so that names recur.
# pyright: reportRedeclaration=false

import numpy as np

from harness.sources.bug_zoo.planting import add_bug as _bug

# -- δ of the output layer ---------------------------------------------------------------------------------------------


@_bug("wrong-sign", "all")
def output_delta(right, P, Y):
    """δ is y - a instead of a - y."""
    return -right(P, Y)


@_bug("squared-error-delta", "all")
def output_delta(right, P, Y):
    """δ of the output carries a slope a(1 - a), as squared error with a sigmoid would."""
    return right(P, Y) * P * (1.0 - P)


@_bug("delta-times-2", "all")
def output_delta(right, P, Y):
    """δ of the output is twice too large: 2(a - y), as squared error without its 1/2 would have it."""
    return 2.0 * right(P, Y)


@_bug("delta-of-rounded-prediction", "all")
def output_delta(right, P, Y):
    """δ is taken from the predicted classes, not from their probabilities: round(a) - y."""
    return right(np.round(P), Y)


@_bug("float32-deltas", "all")
def output_delta(right, P, Y):
    """δ passes through float32 on its way back."""
    return right(P, Y).astype(np.float32).astype(np.float64)


# -- slopes ------------------------------------------------------------------------------------------------------------


@_bug("slope-at-activation", "layer")
def slope(right, f, Z, A, layer, layers):
    """f'(a) instead of f'(z): the slope is evaluated at the activation."""
    return right(f, A, f(A), layer, layers)


@_bug("slope-missing", "layer")
def slope(right, f, Z, A, layer, layers):
    """δ is pulled back through the weights, but not through the activation."""
    return np.ones_like(Z)


@_bug("slope-squared", "layer")
def slope(right, f, Z, A, layer, layers):
    """The slope is applied twice."""
    return right(f, Z, A, layer, layers) ** 2


@_bug("slope-halved", "layer")
def slope(right, f, Z, A, layer, layers):
    """Half of the sigmoid's slope is forgotten: a instead of a(1 - a)."""
    return A


@_bug("slope-other-half", "layer")
def slope(right, f, Z, A, layer, layers):
    """The other half of the sigmoid's slope is forgotten: 1 - a instead of a(1 - a)."""
    return 1.0 - A


@_bug("slope-of-pre-activation", "layer")
def slope(right, f, Z, A, layer, layers):
    """z(1 - z) instead of a(1 - a): the sigmoid's slope is formed from the pre-activation."""
    return Z * (1.0 - Z)


@_bug("slope-of-tanh", "layer")
def slope(right, f, Z, A, layer, layers):
    """The slope is 1 - a², which is that of tanh, whatever the activation."""
    return 1.0 - A**2


@_bug("slope-of-sigmoid", "layer")
def slope(right, f, Z, A, layer, layers):
    """The slope is a(1 - a), which is that of the sigmoid, whatever the activation."""
    return A * (1.0 - A)


@_bug("stale-activations", "layer")
def slope(right, f, Z, A, layer, layers):
    """The slope comes from the activations of the previous example: a cache that is one row late."""
    return np.roll(right(f, Z, A, layer, layers), 1, axis=0)


@_bug("wrong-custom-rule", "layer", replaces=("jax",))
def slope(right, f, Z, A, layer, layers):
    """The automatic differentiation is wrong: a custom rule returns the slope of the wrong branch, 10% off."""
    return 1.1 * right(f, Z, A, layer, layers)


@_bug("shared-by-both-hands", "layer", replaces=("loop", "vectorized"))
def slope(right, f, Z, A, layer, layers):
    """Loop and vectorized have the same mistake, so that they agree with each other: the slope's factor is 0.99."""
    return 0.99 * right(f, Z, A, layer, layers)


@_bug("slope-missing-in-the-first-layer", "layer")
def slope(right, f, Z, A, layer, layers):
    """Of several hidden layers, the first is without its slope."""
    return np.ones_like(Z) if layer == 1 < layers - 1 else right(f, Z, A, layer, layers)


@_bug("slope-missing-in-the-last-hidden-layer", "layer")
def slope(right, f, Z, A, layer, layers):
    """Of several hidden layers, the last is without its slope."""
    return np.ones_like(Z) if 1 < layer == layers - 1 else right(f, Z, A, layer, layers)


# -- the way back ------------------------------------------------------------------------------------------------------


@_bug("bias-column-not-dropped", "layer")
def pull_back(right, delta, Theta):
    """Going back, the first weight column stands where the bias was dropped: columns 0 to n-1 of Theta are used."""
    return delta @ Theta[:, :-1]


@_bug("wrong-column-dropped", "layer")
def pull_back(right, delta, Theta):
    """Going back, the order of the weight columns is reversed after the bias is dropped."""
    return delta @ Theta[:, :0:-1]


@_bug("weights-transposed", "layer")
def pull_back(right, delta, Theta):
    """Going back through a square layer, W is used where Wᵀ is meant."""
    W = Theta[:, 1:]
    return delta @ W.T if W.shape[0] == W.shape[1] else right(delta, Theta)


@_bug("weights-missing", "layer")
def pull_back(right, delta, Theta):
    """δ is summed over the units above instead of weighted: it is pulled back without the weights."""
    return delta @ np.ones_like(Theta[:, 1:])


@_bug("hidden-unit-skipped", "layer")
def pull_back(right, delta, Theta):
    """The last unit of every hidden layer receives no δ."""
    pulled = right(delta, Theta)
    pulled[:, -1] = 0.0
    return pulled


@_bug("pre-activation-for-activation", "all")
def layer_input(right, forward, layer):
    """The gradient of every layer but the first is formed with z in place of a: δᵀz."""
    return right(forward, 0) if layer == 0 else np.column_stack([np.ones(len(forward.Y)), forward.Zs[layer - 1]])


@_bug("first-layer-gradient-left-zero", "layer")
def layer_mean(right, total, m, layer, layers):
    """The first layer's gradient stays at zero, but for the regulariser's share."""
    return right(total, m, layer, layers) * (layer > 0)


# -- the bias ----------------------------------------------------------------------------------------------------------


@_bug("bias-gradient-missing", "bias")
def layer_gradient(right, delta, A):
    """The biases' gradient is zero."""
    total = right(delta, A)
    total[:, 0] = 0.0
    return total


@_bug("first-layer-bias-gradient-missing", "bias")
def layer_mean(right, total, m, layer, layers):
    """The gradient of the first layer's biases is zero."""
    mean = np.array(right(total, m, layer, layers))
    mean[:, 0] *= layer > 0
    return mean


@_bug("last-layer-bias-gradient-missing", "bias")
def layer_mean(right, total, m, layer, layers):
    """The gradient of the last layer's biases is zero."""
    mean = np.array(right(total, m, layer, layers))
    mean[:, 0] *= layer < layers - 1
    return mean


@_bug("bias-times-4", "bias")
def layer_gradient(right, delta, A):
    """The biases' gradient is four times too large."""
    total = right(delta, A)
    total[:, 0] *= 4.0
    return total
