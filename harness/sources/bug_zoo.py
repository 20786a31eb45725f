"""The bug zoo: mistakes that people make in backpropagation, each a gradient source.

`Backprop` computes the right gradient in small steps; a bug replaces one step, and nothing else. Where the mistake
would be in the cost as well, the cost is wrong in the same way, as it would be in the field.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.checks.networks.cross_checking import cross_check
from harness.checks.networks.random_problems import random_problem
from harness.sources.backprop_steps import Backprop
from harness.sources.table import SOURCES
from harness.verdict.report import Report
from reference.measured import GradientSource


@dataclass(frozen=True)
class Fault:
    """A named bug.

    Attributes
    ----------
    name, description : str
    source : callable
        The buggy gradient source.
    replaces : tuple of str
        The sources that have the bug; the others are right.
    part : str
        Where the gradient is wrong: "bias", "regulariser", "layer", "entry", "cost" or "all".
    """

    name: str
    description: str
    source: GradientSource
    replaces: tuple[str, ...]
    part: str

    @cached_property
    def sources(self) -> dict[str, GradientSource]:
        """The bug beside the correct sources, as `cross_check` takes them."""
        beside = ("loop", "vectorized", "jax", "finite-difference")
        return {name: self.source if name in self.replaces else SOURCES[name] for name in beside}


FAULTS: dict[str, Fault] = {}


def _fault(name: str, part: str, replaces: tuple[str, ...] = ("vectorized",)) -> Callable[[type], type]:
    def add(pipeline: type) -> type:
        pipeline.__name__ = name  # what a report calls it
        FAULTS[name] = Fault(name, (pipeline.__doc__ or "").strip(), pipeline(), replaces, part)
        return pipeline

    return add


# -- the regulariser ---------------------------------------------------------------------------------------------------


@_fault("bias-regularised", "regulariser")
class _(Backprop):
    """The biases are regularised like weights, in the gradient alone."""

    def decay(self, Theta, strength, layer, layers):
        return strength * Theta


@_fault("output-layer-unregularised", "regulariser")
class _(Backprop):
    """The regulariser is left out of the last layer's gradient."""

    def decay(self, Theta, strength, layer, layers):
        return super().decay(Theta, strength if layer < layers - 1 else 0.0, layer, layers)


@_fault("regulariser-missing", "regulariser")
class _(Backprop):
    """The gradient is that of the unregularised cost."""

    def strength(self, l2, m):
        return 0.0


@_fault("lambda-not-over-m", "regulariser")
class _(Backprop):
    """λ is not divided by m in the gradient."""

    def strength(self, l2, m):
        return l2


@_fault("lambda-halved", "regulariser")
class _(Backprop):
    """The factor 1/2 of the penalty is kept when differentiating: λ/(2m) · W."""

    def strength(self, l2, m):
        return l2 / (2 * m)


@_fault("lambda-of-another-run", "regulariser")
class _(Backprop):
    """Cost at λ, gradient at λ + 1: a stale variable."""

    def strength(self, l2, m):
        return (l2 + 1.0) / m


# -- the mean over examples --------------------------------------------------------------------------------------------


@_fault("mean-missing", "all")
class _(Backprop):
    """The sum over the examples is not divided by m, in the gradient."""

    def layer_gradient(self, delta, A):
        return len(A) * super().layer_gradient(delta, A)


@_fault("mean-over-m-minus-1", "all")
class _(Backprop):
    """The sum is divided by m - 1, as a variance would be."""

    def layer_gradient(self, delta, A):
        m = len(A)
        return super().layer_gradient(delta, A) * (m / (m - 1) if m > 1 else 1.0)


@_fault("last-example-skipped", "all")
class _(Backprop):
    """An off-by-one in the loop: the last example adds nothing to the gradient."""

    def layer_gradient(self, delta, A):
        return super().layer_gradient(delta[:-1], A[:-1])


@_fault("only-last-example", "all")
class _(Backprop):
    """Δ is overwritten instead of added to: only the last example counts, m times."""

    def layer_gradient(self, delta, A):
        return len(A) * super().layer_gradient(delta[-1:], A[-1:])


# -- targets and cost --------------------------------------------------------------------------------------------------


@_fault("targets-shifted", "cost")
class _(Backprop):
    """One-hot rows are shifted by one class."""

    def examples(self, problem):
        return problem.X, np.roll(problem.Y, 1, axis=1)


@_fault("last-class-as-first", "cost")
class _(Backprop):
    """The course's label 10 (digit 0) is taken for unit 0: the last class is counted as the first."""

    def examples(self, problem):
        Y = problem.Y.copy()
        if Y.shape[1] > 1:
            Y[:, 0] += Y[:, -1]
            Y[:, -1] = 0.0
        return problem.X, Y


@_fault("targets-broadcast", "all")
class _(Backprop):
    """An (m,) column meets an (m, K) array: every unit's δ uses the targets of the first unit."""

    def output_delta(self, P, Y):
        return P - Y[:, :1]


@_fault("wrong-loss", "cost")
class _(Backprop):
    """Cost and gradient agree with each other, but belong to a loss half as large."""

    def mean(self, total, m):
        return total / (2 * m)


@_fault("squared-error-delta", "all")
class _(Backprop):
    """δ of the output carries a slope a(1 - a), as squared error with a sigmoid would."""

    def output_delta(self, P, Y):
        return (P - Y) * P * (1.0 - P)


# -- slopes and deltas -------------------------------------------------------------------------------------------------


@_fault("slope-at-activation", "layer")
class _(Backprop):
    """f'(a) instead of f'(z): the slope is evaluated at the activation."""

    def slope(self, f, Z, A):
        return f.slope(A, f(A))


@_fault("slope-missing", "layer")
class _(Backprop):
    """δ is pulled back through the weights, but not through the activation."""

    def slope(self, f, Z, A):
        return np.ones_like(Z)


@_fault("slope-squared", "layer")
class _(Backprop):
    """The slope is applied twice."""

    def slope(self, f, Z, A):
        return f.slope(Z, A) ** 2


@_fault("stale-activations", "layer")
class _(Backprop):
    """The slope comes from the activations of the previous example: a cache that is one row late."""

    def slope(self, f, Z, A):
        return np.roll(f.slope(Z, A), 1, axis=0)


@_fault("bias-column-not-dropped", "layer")
class _(Backprop):
    """Going back, the first weight column stands where the bias was dropped: columns 0 to n-1 of Theta are used."""

    def pull_back(self, delta, Theta):
        return delta @ Theta[:, :-1]


@_fault("wrong-column-dropped", "layer")
class _(Backprop):
    """Going back, the order of the weight columns is reversed after the bias is dropped."""

    def pull_back(self, delta, Theta):
        return delta @ Theta[:, :0:-1]


@_fault("weights-transposed", "layer")
class _(Backprop):
    """Going back through a square layer, W is used where Wᵀ is meant."""

    def pull_back(self, delta, Theta):
        W = Theta[:, 1:]
        return delta @ (W.T if W.shape[0] == W.shape[1] else W)


@_fault("wrong-sign", "all")
class _(Backprop):
    """δ is y - a instead of a - y."""

    def output_delta(self, P, Y):
        return Y - P


@_fault("float32-deltas", "all")
class _(Backprop):
    """δ passes through float32 on its way back."""

    def output_delta(self, P, Y):
        return (P - Y).astype(np.float32).astype(np.float64)


@_fault("hidden-unit-skipped", "layer")
class _(Backprop):
    """The last unit of every hidden layer receives no δ."""

    def pull_back(self, delta, Theta):
        pulled = super().pull_back(delta, Theta)
        pulled[:, -1] = 0.0
        return pulled


@_fault("dropout-left-on", "cost")
class _(Backprop):
    """Every second hidden unit of an odd example is dropped, forward and backward."""

    def activation(self, f, Z):
        A = np.array(f(Z))
        A[1::2, ::2] = 0.0
        return A


# -- the bias ----------------------------------------------------------------------------------------------------------


@_fault("bias-gradient-missing", "bias")
class _(Backprop):
    """The biases' gradient is zero."""

    def layer_gradient(self, delta, A):
        total = super().layer_gradient(delta, A)
        total[:, 0] = 0.0
        return total


@_fault("bias-times-4", "bias")
class _(Backprop):
    """The biases' gradient is four times too large."""

    def layer_gradient(self, delta, A):
        total = super().layer_gradient(delta, A)
        total[:, 0] *= 4.0
        return total


# -- the layout of θ, and single entries -------------------------------------------------------------------------------


@_fault("c-order-unrolling", "all")
class _(Backprop):
    """The gradient is unrolled row by row, θ column by column."""

    def finish(self, gradient, problem, theta):
        return np.concatenate([G.ravel(order="C") for G in problem.network.unpack(gradient)])


@_fault("deltas-transposed", "layer")
class _(Backprop):
    """A square layer's gradient is transposed: δᵀA and Aᵀδ have the same shape there."""

    def layer_gradient(self, delta, A):
        total = super().layer_gradient(delta, A)
        if delta.shape[1] == A.shape[1]:
            total[:, 1:] = total[:, 1:].T.copy()
        return total


@_fault("two-entries-swapped", "entry")
class _(Backprop):
    """The first and the last entry of the gradient are swapped."""

    def finish(self, gradient, problem, theta):
        gradient[[0, -1]] = gradient[[-1, 0]]
        return gradient


@_fault("one-entry-0.1%-off", "entry")
class _(Backprop):
    """The largest entry of the gradient is 0.1% too large."""

    def finish(self, gradient, problem, theta):
        gradient[np.argmax(np.abs(gradient))] *= 1.001
        return gradient


@_fault("one-entry-1e-6-off", "entry")
class _(Backprop):
    """The middle entry of the gradient is off by 1e-6 of the largest one."""

    def finish(self, gradient, problem, theta):
        gradient[len(gradient) // 2] += 1e-6 * np.abs(gradient).max()
        return gradient


# -- the program around the formulas -----------------------------------------------------------------------------------


@_fault("argument-mutated", "all")
class _(Backprop):
    """The gradient is right, but θ is changed in place: the caller's next step starts elsewhere."""

    def finish(self, gradient, problem, theta):
        theta *= 0.999
        return gradient


@_fault("non-deterministic", "all")
class _(Backprop):
    """A thousandth of noise, different at every call: a race, or an unseeded dropout."""

    def __init__(self):
        self._rng = np.random.default_rng(0)

    def finish(self, gradient, problem, theta):
        return gradient * (1.0 + 1e-3 * self._rng.standard_normal(gradient.shape))


@_fault("wrong-custom-rule", "layer", replaces=("jax",))
class _(Backprop):
    """The automatic differentiation is wrong: a custom rule returns the slope of the wrong branch, 10% off."""

    def slope(self, f, Z, A):
        return 1.1 * f.slope(Z, A)


@_fault("shared-by-both-hands", "layer", replaces=("loop", "vectorized"))
class _(Backprop):
    """Loop and vectorized have the same mistake, so that they agree with each other: the slope's factor is 0.99."""

    def slope(self, f, Z, A):
        return 0.99 * f.slope(Z, A)


def plant(fault: Fault, seed: int = 0, tries: int = 100) -> tuple[int, Report]:
    """Cross-check a bug on the first ordinary random problem (seed, index) where it shows; the index and the report.

    A bug need not show everywhere: without a hidden layer, no slope can be wrong.
    """
    for index in range(tries):
        report = cross_check(*random_problem((seed, index), extremes=False), fault.sources)
        if report.verdict == "disagree":
            return index, report
    raise ValueError(f"{fault.name} shows on none of {tries} problems with seed {seed}; try another seed")
