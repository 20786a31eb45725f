"""Hypothesis strategies for networks, problems and θ: the distribution of `random_problem`, shrinkable.

>>> from hypothesis import given
>>> from harness import strategies
>>> @given(strategies.cases())
... def test_my_backprop(case):
...     problem, theta = case
...     assert_gradients_agree(problem, theta, {"mine": my_backprop, "jax": SOURCES["jax"]})
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from harness.checks.networks.random_problems import GRID, chosen_activations, draw_network, draw_problem, draw_theta
from reference.activations import Activation
from reference.network import Network
from reference.outputs import OUTPUTS
from reference.problem import Problem

_BYTES = 3  # of which a grid point needs 21 bits


class _DrawnChooser:
    """Choices that Hypothesis draws, and shrinks."""

    def __init__(self, draw: st.DrawFn):
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def element(self, options: Sequence[Any]) -> Any:
        return self._draw(st.sampled_from(options))

    def grid(self, shape: tuple[int, ...]) -> np.ndarray:
        # `st.integers` would favour numbers near zero; bytes are drawn evenly, and shrink to zeros all the same
        size = _BYTES * math.prod(shape)
        digits = np.frombuffer(self._draw(st.binary(min_size=size, max_size=size)), dtype=np.uint8)
        number = digits.reshape(*shape, _BYTES) @ 256 ** np.arange(_BYTES)[::-1] % (2 * GRID)
        return np.where(number % 2, -(number + 1) // 2, number // 2)  # 0, -1, 1, -2, ... so that zero comes first


def activations(among: Sequence[str | Activation] | None = None) -> st.SearchStrategy[Activation]:
    """One of the registered activations, or of those given; shrinks towards the first."""
    return st.sampled_from(chosen_activations(among))


@st.composite
def networks(
    draw: st.DrawFn, activations: Sequence[str | Activation] | None = None, outputs: Sequence[str] = tuple(OUTPUTS)
) -> Network:
    """Networks of 0 to 4 hidden layers with 1 to 8 units; shrinks to one input, one output, nothing between."""
    return draw_network(_DrawnChooser(draw), chosen_activations(activations), outputs)


_all_networks = networks  # `problems` takes an argument of that name


@st.composite
def problems(draw: st.DrawFn, networks: st.SearchStrategy[Network] | None = None, extremes: bool = True) -> Problem:
    """Problems of 1 to 10 examples on networks; shrinks to one example of zeros."""
    if networks is not None and not isinstance(networks, st.SearchStrategy):
        raise TypeError(f"networks must be a strategy, such as strategies.networks(), not {type(networks).__name__}")
    network = draw(_all_networks() if networks is None else networks)
    return draw_problem(_DrawnChooser(draw), network, extremes)


@st.composite
def thetas(draw: st.DrawFn, network: Network, extremes: bool = True) -> np.ndarray:
    """Parameters for a network, from zero over ordinary to saturating; shrinks to zeros."""
    return draw_theta(_DrawnChooser(draw), network, extremes)


@st.composite
def cases(
    draw: st.DrawFn, networks: st.SearchStrategy[Network] | None = None, extremes: bool = True
) -> tuple[Problem, np.ndarray]:
    """A problem and parameters for it: what `cross_check` takes."""
    problem = draw(problems(networks, extremes))
    return problem, draw(thetas(problem.network, extremes))
