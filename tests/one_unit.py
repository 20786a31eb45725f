"""A problem of one unit, on which the slope of its activation is seen, and an activation to try in it."""

import numpy as np

from harness import Activation, Network, Problem


def trial(value):
    """An activation that claims no kinks; its slope is not asked for."""
    return Activation("trial", value, lambda z, a: np.full_like(z, np.nan))


def one_unit(f, z, target=0.0):
    """A linear output a behind one unit f(z) whose bias is θ_0, so that dJ/dθ_0 = (f(z) - target) f'(z)."""
    return Problem(Network((1, 1, 1), f, "linear"), [[1.0]], [[target]]), np.array([0.0, z, 0.0, 1.0])
