"""The bug zoo: mistakes that people make in backpropagation, each a gradient source.

`Backprop` computes the right gradient in small steps; a bug replaces the step that it is named like, and nothing else.
Where the mistake would be in the cost as well, the cost is wrong in the same way, as it would be in the field.
"""

# A bug is a function that has the name of the step that it replaces, so that names recur.
# pyright: reportRedeclaration=false

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.sources.backprop_steps import Backprop
from harness.sources.table import BY_HAND, JAX, SOURCES, Source


@dataclass(frozen=True)
class Bug:
    """A named bug.

    Attributes
    ----------
    name, description : str
    source : Source
        The buggy gradient source, of the family of those that it stands for.
    replaces : tuple of str
        The sources that have the bug; the others are right.
    part : str
        Where the gradient is wrong: "bias", "regulariser", "layer", "entry", "cost" or "all".
    """

    name: str
    description: str
    source: Source
    replaces: tuple[str, ...]
    part: str

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The bug beside the correct sources, as `cross_check` takes them."""
        beside = ("loop", "vectorized", "jax", "finite-difference")
        return {name: self.source if name in self.replaces else SOURCES[name] for name in beside}


BUGS: dict[str, Bug] = {}


def _bug(name: str, part: str, replaces: tuple[str, ...] = ("vectorized",)) -> Callable[[Callable], Callable]:
    """Register a bug: a function that replaces the step of its own name, described by its docstring."""

    def add(step: Callable) -> Callable:
        pipeline = type(name, (Backprop,), {step.__name__: step})
        source = Source(f"bug:{name}", JAX if replaces == ("jax",) else BY_HAND, pipeline())
        BUGS[name] = Bug(name, step.__doc__ or "", source, replaces, part)
        return step

    return add


# -- the regulariser ---------------------------------------------------------------------------------------------------


@_bug("bias-regularised", "regulariser")
def decay(self, Theta, strength, layer, layers):
    """The biases are regularised like weights, in the gradient alone."""
    return strength * Theta


@_bug("output-layer-unregularised", "regulariser")
def decay(self, Theta, strength, layer, layers):
    """The regulariser is left out of the last layer's gradient."""
    return Backprop.decay(self, Theta, strength if layer < layers - 1 else 0.0, layer, layers)


@_bug("regulariser-missing", "regulariser")
def strength(self, l2, m):
    """The gradient is that of the unregularised cost."""
    return 0.0


@_bug("lambda-not-over-m", "regulariser")
def strength(self, l2, m):
    """λ is not divided by m in the gradient."""
    return l2


@_bug("lambda-halved", "regulariser")
def strength(self, l2, m):
    """The factor 1/2 of the penalty is kept when differentiating: λ/(2m) · W."""
    return l2 / (2 * m)


@_bug("lambda-of-another-run", "regulariser")
def strength(self, l2, m):
    """Cost at λ, gradient at λ + 1: a stale variable."""
    return (l2 + 1.0) / m


# -- the mean over examples --------------------------------------------------------------------------------------------


@_bug("mean-missing", "all")
def layer_gradient(self, delta, A):
    """The sum over the examples is not divided by m, in the gradient."""
    return len(A) * Backprop.layer_gradient(self, delta, A)


@_bug("mean-over-m-minus-1", "all")
def layer_gradient(self, delta, A):
    """The sum is divided by m - 1, as a variance would be."""
    m = len(A)
    return Backprop.layer_gradient(self, delta, A) * (m / (m - 1) if m > 1 else 1.0)


@_bug("last-example-skipped", "all")
def layer_gradient(self, delta, A):
    """An off-by-one in the loop: the last example adds nothing to the gradient."""
    return Backprop.layer_gradient(self, delta[:-1], A[:-1])


@_bug("only-last-example", "all")
def layer_gradient(self, delta, A):
    """Δ is overwritten instead of added to: only the last example counts, m times."""
    return len(A) * Backprop.layer_gradient(self, delta[-1:], A[-1:])


# -- targets and cost --------------------------------------------------------------------------------------------------


@_bug("targets-shifted", "cost")
def examples(self, problem):
    """One-hot rows are shifted by one class."""
    return problem.X, np.roll(problem.Y, 1, axis=1)


@_bug("last-class-as-first", "cost")
def examples(self, problem):
    """The course's label 10 (digit 0) is taken for unit 0: the last class is counted as the first."""
    Y = problem.Y.copy()
    if Y.shape[1] > 1:
        Y[:, 0] += Y[:, -1]
        Y[:, -1] = 0.0
    return problem.X, Y


@_bug("targets-broadcast", "all")
def output_delta(self, P, Y):
    """An (m,) column meets an (m, K) array: every unit's δ uses the targets of the first unit."""
    return P - Y[:, :1]


@_bug("wrong-loss", "cost")
def mean(self, total, m):
    """Cost and gradient agree with each other, but belong to a loss half as large."""
    return total / (2 * m)


@_bug("squared-error-delta", "all")
def output_delta(self, P, Y):
    """δ of the output carries a slope a(1 - a), as squared error with a sigmoid would."""
    return (P - Y) * P * (1.0 - P)


# -- slopes and deltas -------------------------------------------------------------------------------------------------


@_bug("slope-at-activation", "layer")
def slope(self, f, Z, A):
    """f'(a) instead of f'(z): the slope is evaluated at the activation."""
    return f.slope(A, f(A))


@_bug("slope-missing", "layer")
def slope(self, f, Z, A):
    """δ is pulled back through the weights, but not through the activation."""
    return np.ones_like(Z)


@_bug("slope-squared", "layer")
def slope(self, f, Z, A):
    """The slope is applied twice."""
    return f.slope(Z, A) ** 2


@_bug("stale-activations", "layer")
def slope(self, f, Z, A):
    """The slope comes from the activations of the previous example: a cache that is one row late."""
    return np.roll(f.slope(Z, A), 1, axis=0)


@_bug("bias-column-not-dropped", "layer")
def pull_back(self, delta, Theta):
    """Going back, the first weight column stands where the bias was dropped: columns 0 to n-1 of Theta are used."""
    return delta @ Theta[:, :-1]


@_bug("wrong-column-dropped", "layer")
def pull_back(self, delta, Theta):
    """Going back, the order of the weight columns is reversed after the bias is dropped."""
    return delta @ Theta[:, :0:-1]


@_bug("weights-transposed", "layer")
def pull_back(self, delta, Theta):
    """Going back through a square layer, W is used where Wᵀ is meant."""
    W = Theta[:, 1:]
    return delta @ (W.T if W.shape[0] == W.shape[1] else W)


@_bug("wrong-sign", "all")
def output_delta(self, P, Y):
    """δ is y - a instead of a - y."""
    return Y - P


@_bug("float32-deltas", "all")
def output_delta(self, P, Y):
    """δ passes through float32 on its way back."""
    return (P - Y).astype(np.float32).astype(np.float64)


@_bug("hidden-unit-skipped", "layer")
def pull_back(self, delta, Theta):
    """The last unit of every hidden layer receives no δ."""
    pulled = Backprop.pull_back(self, delta, Theta)
    pulled[:, -1] = 0.0
    return pulled


@_bug("dropout-left-on", "cost")
def activation(self, f, Z):
    """Every second hidden unit of an odd example is dropped, forward and backward."""
    A = np.array(f(Z))
    A[1::2, ::2] = 0.0
    return A


# -- the bias ----------------------------------------------------------------------------------------------------------


@_bug("bias-gradient-missing", "bias")
def layer_gradient(self, delta, A):
    """The biases' gradient is zero."""
    total = Backprop.layer_gradient(self, delta, A)
    total[:, 0] = 0.0
    return total


@_bug("bias-times-4", "bias")
def layer_gradient(self, delta, A):
    """The biases' gradient is four times too large."""
    total = Backprop.layer_gradient(self, delta, A)
    total[:, 0] *= 4.0
    return total


# -- the layout of θ, and single entries -------------------------------------------------------------------------------


@_bug("c-order-unrolling", "all")
def finish(self, gradient, problem, theta):
    """The gradient is unrolled row by row, θ column by column."""
    return np.concatenate([G.ravel(order="C") for G in problem.network.unpack(gradient)])


@_bug("deltas-transposed", "layer")
def layer_gradient(self, delta, A):
    """A square layer's gradient is transposed: δᵀA and Aᵀδ have the same shape there."""
    total = Backprop.layer_gradient(self, delta, A)
    if delta.shape[1] == A.shape[1]:
        total[:, 1:] = total[:, 1:].T.copy()
    return total


@_bug("two-entries-swapped", "entry")
def finish(self, gradient, problem, theta):
    """The first and the last entry of the gradient are swapped."""
    gradient[[0, -1]] = gradient[[-1, 0]]
    return gradient


@_bug("one-entry-0.1%-off", "entry")
def finish(self, gradient, problem, theta):
    """The largest entry of the gradient is 0.1% too large."""
    gradient[np.argmax(np.abs(gradient))] *= 1.001
    return gradient


@_bug("one-entry-1e-6-off", "entry")
def finish(self, gradient, problem, theta):
    """The middle entry of the gradient is off by 1e-6 of the largest one."""
    gradient[len(gradient) // 2] += 1e-6 * np.abs(gradient).max()
    return gradient


# -- the program around the formulas -----------------------------------------------------------------------------------


@_bug("argument-mutated", "all")
def finish(self, gradient, problem, theta):
    """The gradient is right, but θ is changed in place: the caller's next step starts elsewhere."""
    theta *= 0.999
    return gradient


_NOISE = np.random.default_rng(0)


@_bug("non-deterministic", "all")
def finish(self, gradient, problem, theta):
    """A thousandth of noise, different at every call: a race, or an unseeded dropout."""
    return gradient * (1.0 + 1e-3 * _NOISE.standard_normal(gradient.shape))


@_bug("wrong-custom-rule", "layer", replaces=("jax",))
def slope(self, f, Z, A):
    """The automatic differentiation is wrong: a custom rule returns the slope of the wrong branch, 10% off."""
    return 1.1 * f.slope(Z, A)


@_bug("shared-by-both-hands", "layer", replaces=("loop", "vectorized"))
def slope(self, f, Z, A):
    """Loop and vectorized have the same mistake, so that they agree with each other: the slope's factor is 0.99."""
    return 0.99 * f.slope(Z, A)
