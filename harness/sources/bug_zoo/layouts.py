"""Bugs in the layout of θ and of its gradient, in single entries, and in the program around right formulas."""

# A bug is a function that has the name of the step that it replaces, so that names recur.
# pyright: reportRedeclaration=false

from dataclasses import replace

import numpy as np

from harness.sources.bug_zoo.planting import add_bug as _bug


@_bug("c-order-unrolling", "all")
def layout(right, what):
    """The gradient is unrolled row by row, θ column by column."""
    return replace(right(what), order="C") if what == "gradient" else right(what)


@_bug("c-order-reading", "cost")
def layout(right, what):
    """θ is read row by row, although it lies column by column; the gradient is unrolled column by column."""
    return replace(right(what), order="C") if what == "theta" else right(what)


@_bug("c-order-throughout", "cost")
def layout(right, what):
    """θ is read and the gradient unrolled row by row, although θ lies column by column: a convention of its own."""
    return replace(right(what), order="C")


@_bug("layers-in-reverse-order", "all")
def layout(right, what):
    """The gradient starts with the last Θ instead of the first."""
    return replace(right(what), last_first=True) if what == "gradient" else right(what)


@_bug("layers-read-in-reverse-order", "cost")
def layout(right, what):
    """θ is read as if it started with the last Θ; the gradient starts with the first."""
    return replace(right(what), last_first=True) if what == "theta" else right(what)


@_bug("layers-in-reverse-order-throughout", "cost")
def layout(right, what):
    """θ is read, and the gradient unrolled, as if the last Θ came first: a convention of its own."""
    return replace(right(what), last_first=True)


@_bug("bias-last-throughout", "cost")
def layout(right, what):
    """The last column of each Θ is taken for the biases, not the first, throughout: a convention of its own."""
    return replace(right(what), bias_last=True)


@_bug("layers-split-without-biases", "cost")
def layout(right, what):
    """θ is split at the wrong place: the second Θ is looked for where it would be if the first had no biases."""
    return replace(right(what), starts_without_biases=True) if what == "theta" else right(what)


@_bug("deltas-transposed", "layer")
def layer_gradient(right, delta, A):
    """A square layer's gradient is transposed: δᵀA and Aᵀδ have the same shape there."""
    total = right(delta, A)
    if delta.shape[1] == A.shape[1] - 1:
        total[:, 1:] = total[:, 1:].T.copy()
    return total


@_bug("two-entries-swapped", "entry")
def finish(right, gradient, problem, theta):
    """The first and the last entry of the gradient are swapped."""
    gradient = right(gradient, problem, theta)
    gradient[[0, -1]] = gradient[[-1, 0]]
    return gradient


@_bug("one-entry-0.1%-off", "entry")
def finish(right, gradient, problem, theta):
    """The largest entry of the gradient is 0.1% too large."""
    gradient = right(gradient, problem, theta)
    gradient[np.argmax(np.abs(gradient))] *= 1.001
    return gradient


@_bug("one-entry-1e-6-off", "entry")
def finish(right, gradient, problem, theta):
    """The middle entry of the gradient is off by 1e-6 of the largest one."""
    gradient = right(gradient, problem, theta)
    gradient[len(gradient) // 2] += 1e-6 * np.abs(gradient).max()
    return gradient


# -- the program around the formulas -----------------------------------------------------------------------------------


@_bug("argument-mutated", "program")
def finish(right, gradient, problem, theta):
    """The gradient is right, but θ is changed in place: the caller's next step starts elsewhere."""
    gradient = right(gradient, problem, theta)
    theta *= 0.999
    return gradient


_NOISE = np.random.default_rng(0)


@_bug("non-deterministic", "program")
def finish(right, gradient, problem, theta):
    """A thousandth of noise, different at every call: a race, or an unseeded dropout."""
    return right(gradient, problem, theta) * (1.0 + 1e-3 * _NOISE.standard_normal(gradient.shape))
