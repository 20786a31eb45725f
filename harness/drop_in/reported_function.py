"""What the drop-ins convert their functions to: functions of real arrays, with derivatives that a library reports."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

MULTIPLES = (-(2.0**20), 2.0**-10)
"""A derivative is also applied to so many times the same vector, and answers so many times the same, to `TOLERATED`: a
rule that ignores signs, clips, drops small numbers or multiplies twice is far off, and one that solves an equation, to
an absolute tolerance perhaps, is a little off."""

OUTPUTS = "outputs"
"""What a function answers that is no derivative of another."""

Arrays = Sequence[np.ndarray]
"""Real arrays in float64. A complex one has its two parts along an axis of their own."""


class Function:
    """A function of real arrays, with the derivatives that a library reports of it: what a drop-in converts its to.

    Attributes
    ----------
    x : arrays
        The inputs.
    theta : tree of arrays
        The same, in their own types and by their names.
    what : str
        What the function answers, for a report.
    beside : float
        The size of what that is a derivative of; 0 where it is none.
    numbers : sequence of int
        Those of the outputs, where cotangents and tangents can be None: a rule may take that for something else than
        zeros.
    is_pure : bool
        Whether a call cannot leave anything for a later one.
    """

    x: Arrays
    theta: Any
    what = OUTPUTS
    beside = 0.0
    numbers: Sequence[int] = ()
    is_pure = True

    @property
    def is_derivative(self) -> bool:
        """Whether it answers derivatives: these have entries that are 0 but for rounding, and jump at kinks."""
        return self.what != OUTPUTS

    @property
    def multiples(self) -> Sequence[float]:
        """How many times a vector its derivatives are applied to as well."""
        return MULTIPLES

    def call(self, x: Sequence[Any]) -> Arrays:
        """The outputs at inputs."""
        raise NotImplementedError

    def pull_back(self, x: Sequence[Any], weights: Sequence[np.ndarray | None]) -> Arrays:
        """The gradient of the weighted outputs by reverse mode."""
        raise NotImplementedError

    def push_forward(self, x: Sequence[Any], tangents: Sequence[np.ndarray | None]) -> Arrays:
        """The outputs' derivatives along tangents by forward mode."""
        raise NotImplementedError

    def renewed(self) -> "Function":
        """The function without anything that it keeps of calls at x."""
        return self

    def leaves(self, theta: Any) -> Sequence[Any]:
        """The inputs in a tree like θ."""
        return jax.tree.leaves(theta)

    def tree(self, leaves: Sequence[Any]) -> Any:
        """A tree like θ."""
        return jax.tree.unflatten(jax.tree.structure(self.theta), leaves)

    def gradient(self, theta: Any, weights: Sequence[np.ndarray | None]) -> Any:
        """As of `pull_back`, a tree like θ in the same types."""
        return self.tree(self.pull_back(self.leaves(theta), weights))

    def moved(self, direction: Arrays, step: Any) -> Any:
        """θ + step · direction."""
        return self.tree([leaf + step * v for leaf, v in zip(self.leaves(self.theta), direction)])
