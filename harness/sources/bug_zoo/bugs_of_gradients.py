"""Bugs of the gradient alone, of the layout of θ and the gradient, and of the program around right formulas."""

from dataclasses import replace

import numpy as np

from harness.sources.bug_zoo.planting import changed, scaled
from harness.sources.bug_zoo.planting import make_bug as _bug

BIASES, WEIGHTS = np.s_[:, 0], np.s_[:, 1:]

# fmt: off
DELTAS = (
    # δ of the output layer
    _bug("wrong-sign", "all", "δ is y - a instead of a - y.",
         output_delta=lambda right, P, Y: -right(P, Y)),
    _bug("squared-error-delta", "all",
         "δ of the output carries a slope a(1 - a), as squared error with a sigmoid would.",
         output_delta=lambda right, P, Y: right(P, Y) * P * (1.0 - P)),
    _bug("delta-times-2", "all",
         "δ of the output is twice too large: 2(a - y), as squared error without its 1/2 would have it.",
         output_delta=lambda right, P, Y: 2.0 * right(P, Y)),
    _bug("delta-of-rounded-prediction", "all",
         "δ is taken from the predicted classes, not from their probabilities: round(a) - y.",
         output_delta=lambda right, P, Y: right(np.round(P), Y)),
    _bug("float32-deltas", "all", "δ passes through float32 on its way back.",
         output_delta=lambda right, P, Y: right(P, Y).astype(np.float32).astype(np.float64)),
    # slopes
    _bug("slope-at-activation", "layer", "f'(a) instead of f'(z): the slope is evaluated at the activation.",
         slope=lambda right, f, Z, A, layer, layers: right(f, A, f(A), layer, layers)),
    _bug("slope-missing", "layer", "δ is pulled back through the weights, but not through the activation.",
         slope=lambda right, f, Z, A, layer, layers: np.ones_like(Z)),
    _bug("slope-squared", "layer", "The slope is applied twice.",
         slope=lambda right, f, Z, A, layer, layers: right(f, Z, A, layer, layers) ** 2),
    _bug("slope-halved", "layer", "Half of the sigmoid's slope is forgotten: a instead of a(1 - a).",
         slope=lambda right, f, Z, A, layer, layers: A),
    _bug("slope-other-half", "layer", "The other half of the sigmoid's slope is forgotten: 1 - a instead of a(1 - a).",
         slope=lambda right, f, Z, A, layer, layers: 1.0 - A),
    _bug("slope-of-pre-activation", "layer",
         "z(1 - z) instead of a(1 - a): the sigmoid's slope is formed from the pre-activation.",
         slope=lambda right, f, Z, A, layer, layers: Z * (1.0 - Z)),
    _bug("slope-of-tanh", "layer", "The slope is 1 - a², which is that of tanh, whatever the activation.",
         slope=lambda right, f, Z, A, layer, layers: 1.0 - A**2),
    _bug("slope-of-sigmoid", "layer", "The slope is a(1 - a), which is that of the sigmoid, whatever the activation.",
         slope=lambda right, f, Z, A, layer, layers: A * (1.0 - A)),
    _bug("stale-activations", "layer",
         "The slope comes from the activations of the previous example: a cache that is one row late.",
         slope=lambda right, f, Z, A, layer, layers: np.roll(right(f, Z, A, layer, layers), 1, axis=0)),
    _bug("wrong-custom-rule", "layer",
         "The automatic differentiation is wrong: a custom rule returns the slope of the wrong branch, 10% off.",
         replaces=("jax",), slope=lambda right, f, Z, A, layer, layers: 1.1 * right(f, Z, A, layer, layers)),
    _bug("shared-by-both-hands", "layer",
         "Loop and vectorized have the same mistake, so that they agree with each other: the slope's factor is 0.99.",
         replaces=("loop", "vectorized"), slope=lambda right, f, Z, A, layer, layers: (
             0.99 * right(f, Z, A, layer, layers))),
    _bug("slope-missing-in-the-first-layer", "layer", "Of several hidden layers, the first is without its slope.",
         slope=lambda right, f, Z, A, layer, layers: (
             np.ones_like(Z) if layer == 1 < layers - 1 else right(f, Z, A, layer, layers))),
    _bug("slope-missing-in-the-last-hidden-layer", "layer", "Of several hidden layers, the last is without its slope.",
         slope=lambda right, f, Z, A, layer, layers: (
             np.ones_like(Z) if 1 < layer == layers - 1 else right(f, Z, A, layer, layers))),
    # the way back
    _bug("bias-column-not-dropped", "layer",
         "Going back, the first weight column stands where the bias was dropped: columns 0 to n-1 of Theta are used.",
         pull_back=lambda right, delta, Theta: delta @ Theta[:, :-1]),
    _bug("wrong-column-dropped", "layer",
         "Going back, the order of the weight columns is reversed after the bias is dropped.",
         pull_back=lambda right, delta, Theta: delta @ Theta[:, :0:-1]),
    _bug("weights-transposed", "layer", "Going back through a square layer, W is used where Wᵀ is meant.",
         pull_back=lambda right, delta, Theta: (
            delta @ Theta[:, 1:].T if len(Theta) == Theta.shape[1] - 1 else right(delta, Theta))),
    _bug("weights-missing", "layer",
         "δ is summed over the units above instead of weighted: it is pulled back without the weights.",
         pull_back=lambda right, delta, Theta: delta @ np.ones_like(Theta[:, 1:])),
    _bug("hidden-unit-skipped", "layer", "The last unit of every hidden layer receives no δ.",
         pull_back=lambda right, delta, Theta: changed(right(delta, Theta), np.s_[:, -1], 0.0)),
    _bug("pre-activation-for-activation", "all",
         "The gradient of every layer but the first is formed with z in place of a: δᵀz.",
         layer_input=lambda right, forward, layer: (
             right(forward, 0) if layer == 0 else np.column_stack([np.ones(len(forward.Y)), forward.Zs[layer - 1]]))),
    _bug("first-layer-gradient-left-zero", "layer",
         "The first layer's gradient stays at zero, but for the regulariser's share.",
         layer_mean=lambda right, total, m, layer, layers: right(total, m, layer, layers) * (layer > 0)),
    # the bias
    _bug("bias-gradient-missing", "bias", "The biases' gradient is zero.",
         layer_gradient=lambda right, delta, A: changed(right(delta, A), BIASES, 0.0)),
    _bug("first-layer-bias-gradient-missing", "bias", "The gradient of the first layer's biases is zero.",
         layer_mean=lambda right, total, m, layer, layers: scaled(right(total, m, layer, layers), BIASES, layer > 0)),
    _bug("last-layer-bias-gradient-missing", "bias", "The gradient of the last layer's biases is zero.",
         layer_mean=lambda right, total, m, layer, layers: (
            scaled(right(total, m, layer, layers), BIASES, layer < layers - 1))),
    _bug("bias-times-4", "bias", "The biases' gradient is four times too large.",
         layer_gradient=lambda right, delta, A: scaled(right(delta, A), BIASES, 4.0)),
)
# fmt: on

# -- layouts, entries, and the program ---------------------------------------------------------------------------------


def _laid_out(of="", **differently):
    """Another layout of "theta", of the "gradient", or of both."""
    return lambda right, what: replace(right(what), **differently) if of in ("", what) else right(what)


def _unrolled_otherwise(right, what):
    order = "C" if right(what).order == "F" else "F"
    return replace(right(what), order=order) if what == "gradient" else right(what)


def _transposed_if_square(total):
    n_out, columns = total.shape  # one column is the biases'
    return changed(total, WEIGHTS, total[:, 1:].T) if n_out == columns - 1 else total


def _middle_off(gradient):
    middle = len(gradient) // 2
    return changed(gradient, middle, gradient[middle] + 1e-6 * np.abs(gradient).max())


def _argument_changed(right, gradient, problem, theta):
    gradient = right(gradient, problem, theta)
    theta *= 0.999
    return gradient


_NOISE = np.random.default_rng(0)  # of the whole process, so that no two calls draw the same numbers

# fmt: off
LAYOUTS = (
    _bug("c-order-unrolling", "all",
         "The gradient is unrolled in another order than θ: one row by row, the other column by column.",
         layout=_unrolled_otherwise),
    _bug("c-order-reading", "cost",
         "θ is read row by row, although it lies column by column; the gradient is unrolled column by column.",
         layout=_laid_out(order="C", of="theta")),
    _bug("c-order-throughout", "cost",
         "θ is read and the gradient unrolled row by row, although θ lies column by column: a convention of its own.",
         layout=_laid_out(order="C")),
    _bug("layers-in-reverse-order", "all", "The gradient starts with the last Θ instead of the first.",
         layout=_laid_out(last_first=True, of="gradient")),
    _bug("layers-read-in-reverse-order", "cost",
         "θ is read as if it started with the last Θ; the gradient starts with the first.",
         layout=_laid_out(last_first=True, of="theta")),
    _bug("layers-in-reverse-order-throughout", "cost",
         "θ is read, and the gradient unrolled, as if the last Θ came first: a convention of its own.",
         layout=_laid_out(last_first=True)),
    _bug("bias-last-throughout", "cost",
         "The last column of each Θ is taken for the biases, not the first, throughout: a convention of its own.",
         layout=_laid_out(bias_last=True)),
    _bug("layers-split-without-biases", "cost",
         "θ is split at the wrong place: the second Θ is looked for where it would be if the first had no biases.",
         layout=_laid_out(starts_without_biases=True, of="theta")),
    _bug("deltas-transposed", "layer",
         "A square layer's gradient is transposed: δᵀA and Aᵀδ have the same shape there.",
         layer_gradient=lambda right, delta, A: _transposed_if_square(right(delta, A))),
    _bug("two-entries-swapped", "entry", "The first and the last entry of the gradient are swapped.",
         finish=lambda right, *given: changed(right(*given), [0, -1], right(*given)[[-1, 0]])),
    _bug("one-entry-0.1%-off", "entry", "The largest entry of the gradient is 0.1% too large.",
         finish=lambda right, *given: scaled(right(*given), np.argmax(np.abs(right(*given))), 1.001)),
    _bug("one-entry-1e-6-off", "entry", "The middle entry of the gradient is off by 1e-6 of the largest one.",
         finish=lambda right, *given: _middle_off(right(*given))),
    # the program around the formulas
    _bug("argument-mutated", "program",
         "The gradient is right, but θ is changed in place: the caller's next step starts elsewhere.",
         finish=_argument_changed),
    _bug("non-deterministic", "program",
         "A thousandth of noise, different at every call: a race, or an unseeded dropout.",
         finish=lambda right, *given: right(*given) * (1.0 + 1e-3 * _NOISE.standard_normal(given[0].shape))),
)

MEANS = (
    # the sum and the mean
    _bug("mean-missing", "all", "The sum over the examples is not divided by m, in the gradient.",
         layer_gradient=lambda right, delta, A: len(A) * right(delta, A)),
    _bug("mean-missing-in-regulariser-too", "all",
         "The whole gradient, the regulariser's share included, is not divided by m.",
         finish=lambda right, gradient, problem, theta: problem.m * right(gradient, problem, theta)),
    _bug("mean-taken-twice", "all", "The sum over the examples is divided by m twice: δ holds a mean already.",
         layer_gradient=lambda right, delta, A: right(delta, A) / len(A)),
    _bug("mean-over-m-minus-1", "all", "The sum is divided by m - 1, as a variance would be.",
         layer_gradient=lambda right, delta, A: right(delta, A) * (len(A) / max(1, len(A) - 1))),
    _bug("mean-in-the-last-layer-only", "layer", "Only the last layer's gradient is divided by m.",
         layer_mean=lambda right, total, m, layer, layers: (
             right(total, m, layer, layers) if layer == layers - 1 else total)),
    _bug("mean-missing-in-the-last-layer", "all", "The last layer's gradient is not divided by m, all others are.",
         layer_mean=lambda right, total, m, layer, layers: (
             right(total, m, layer, layers) if layer < layers - 1 else total)),
    _bug("bias-summed", "bias",
         "Sum and mean are mixed: the weights' gradient is a mean over the examples, the biases' a sum.",
         layer_gradient=lambda right, delta, A: scaled(right(delta, A), BIASES, len(A))),
    _bug("weights-summed", "all",
         "Sum and mean are mixed: the biases' gradient is a mean over the examples, the weights' a sum.",
         layer_gradient=lambda right, delta, A: scaled(right(delta, A), WEIGHTS, len(A))),
    _bug("last-example-skipped", "all", "An off-by-one in the loop: the last example adds nothing to the gradient.",
         layer_gradient=lambda right, delta, A: right(delta[:-1], A[:-1])),
    _bug("first-example-skipped", "all", "An off-by-one in the loop: the first example adds nothing to the gradient.",
         layer_gradient=lambda right, delta, A: right(delta[1:], A[1:])),
    _bug("only-last-example", "all", "Δ is overwritten instead of added to: only the last example counts, m times.",
         layer_gradient=lambda right, delta, A: len(A) * right(delta[-1:], A[-1:])),
    _bug("only-last-example-over-m", "all",
         "Δ is overwritten instead of added to, and divided by m: only the last example counts, once.",
         layer_gradient=lambda right, delta, A: right(delta[-1:], A[-1:])),
    _bug("mean-over-units-too", "all",
         "The gradient is divided by the number of output units as well: a mean over m·K entries.",
         output_delta=lambda right, P, Y: right(P, Y) / P.shape[1]),
    # the regulariser, in the gradient alone or in the cost as well
    _bug("bias-regularised", "regulariser", "The biases are regularised like weights, in the gradient alone.",
         decay=lambda right, Theta, strength, layer, layers: strength * Theta),
    _bug("bias-regularised-in-cost-too", "cost",
         "The regulariser takes Θ whole, the biases included, in the cost and in the gradient.",
         regularised=lambda right, Theta: Theta),
    _bug("output-layer-unregularised", "regulariser", "The regulariser is left out of the last layer's gradient.",
         decay=lambda right, Theta, strength, layer, layers: (
             right(Theta, strength if layer < layers - 1 else 0.0, layer, layers))),
    _bug("first-layer-unregularised", "regulariser", "The regulariser is left out of the first layer's gradient.",
         decay=lambda right, Theta, strength, layer, layers: right(Theta, strength if layer else 0.0, layer, layers)),
    _bug("regulariser-missing", "regulariser", "The gradient is that of the unregularised cost.",
         strength=lambda right, l2, m: 0.0),
    _bug("regulariser-missing-in-cost-too", "cost", "There is no regulariser, neither in the cost nor in the gradient.",
         regularised=lambda right, Theta: 0.0 * Theta),
    _bug("lambda-not-over-m", "regulariser", "λ is not divided by m in the gradient.",
         strength=lambda right, l2, m: l2),
    _bug("lambda-halved", "regulariser", "The factor 1/2 of the penalty is kept when differentiating: λ/(2m) · W.",
         strength=lambda right, l2, m: l2 / (2 * m)),
    _bug("lambda-doubled", "regulariser",
         "The regulariser's gradient is twice too large: 2λ/m · W, or it is added twice.",
         strength=lambda right, l2, m: 2.0 * l2 / m),
    _bug("lambda-over-m-twice", "regulariser",
         "λ is divided by m twice: λ/m · W is added before the sum over the examples is divided by m.",
         strength=lambda right, l2, m: l2 / m**2),
    _bug("lambda-subtracted", "regulariser", "The regulariser is subtracted from the gradient instead of added.",
         strength=lambda right, l2, m: -l2 / m),
    _bug("lambda-of-another-run", "regulariser", "Cost at λ, gradient at λ + 1: a stale variable.",
         strength=lambda right, l2, m: (l2 + 1.0) / m),
    _bug("lambda-shifted-by-one-column", "regulariser",
         "The regulariser leaves out the last column of Θ instead of the first, the biases'.",
         decay=lambda right, Theta, strength, layer, layers: changed(strength * Theta, np.s_[:, -1], 0.0)),
    _bug("lambda-left-out", "regulariser", "The regulariser's gradient is W/m, without λ.",
         strength=lambda right, l2, m: right(1.0, m)),
    _bug("regulariser-of-absolute-weights", "regulariser",
         "The regulariser's gradient is λ/(2m) · sign(W): that of |W| instead of W².",
         decay=lambda right, Theta, strength, layer, layers: right(0.5 * np.sign(Theta), strength, layer, layers)),
    _bug("regulariser-without-first-rows", "regulariser",
         "The regulariser leaves out the first row of each Θ instead of the first column, the biases'.",
         decay=lambda right, Theta, strength, layer, layers: changed(strength * Theta, 0, 0.0)),
)
# fmt: on
