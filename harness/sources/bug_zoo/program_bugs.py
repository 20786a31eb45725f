"""Bugs in the program around the formulas, which are right."""

# A bug is a function that has the name of the step that it replaces, so that names recur.
# pyright: reportRedeclaration=false

import numpy as np

from harness.sources.bug_zoo.planting import add_bug as _bug


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
