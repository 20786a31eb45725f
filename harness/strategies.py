"""Hypothesis strategies for networks, problems and θ, and for the arguments of any function that JAX traces.

Networks have the distribution of `random_problem`. All strategies shrink.

>>> from hypothesis import given
>>> from harness import strategies
>>> @given(strategies.cases())
... def test_my_backprop(case):
...     problem, theta = case
...     assert_gradients_agree(problem, theta, {"mine": my_backprop, "jax": SOURCES["jax"]})
>>> @given(args=strategies.arrays_like((params, batch), domain="apart"))
... def test_my_rule(args, check_derivatives):
...     check_derivatives(my_loss, *args)
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from harness.checks.networks.random_problems import GRID, chosen_activations, draw_network, draw_problem, draw_theta
from reference.activations import Activation
from reference.network import OUTPUTS, Network
from reference.problem import Problem
from reference.user_input import flag, given, of_type

_BYTES = 3  # two for the digits after the point, and one for the sign and the digits before it

_AFTER_THE_POINT = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)]) / 256
"""For each byte, its bits in reverse order behind the point: small bytes make 0, 0.5, 0.25, 0.75."""


def _simplest_first(drawn: np.ndarray, whole: int) -> np.ndarray:
    """Numbers in (-whole, whole), each from three bytes along the last axis; even bytes make even numbers.

    Small bytes make the numbers that people would try: 0, 1, -1, 2, -2, and then 0.5, 0.25, 0.75. The finest byte comes
    first, because Hypothesis shrinks the first bytes first, one by one.
    """
    finest, coarser, lead = np.moveaxis(drawn.astype(int), -1, 0)
    lead = lead % (2 * whole)
    is_positive = (lead == 0) | ((lead % 2 == 1) & (lead < 2 * whole - 1))
    size = (lead + 1) // 2 % whole + _AFTER_THE_POINT[coarser] + _AFTER_THE_POINT[finest] / 256
    return np.where(is_positive, size, -size)


class _DrawnChooser:
    """A chooser of random problems whose choices Hypothesis draws and shrinks."""

    def __init__(self, draw: st.DrawFn):
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def element(self, options: Sequence[Any]) -> Any:
        return self._draw(st.sampled_from(options))

    def grid(self, shape: tuple[int, ...]) -> np.ndarray:
        return (GRID * _simplest_first(self.drawn(shape), 1)).astype(int)

    def drawn(self, shape: tuple[int, ...]) -> np.ndarray:
        """Three bytes for each number."""
        # `st.integers` would favour numbers near zero; bytes are drawn evenly, and shrink to zeros as well
        size = _BYTES * math.prod(shape)
        return np.frombuffer(self._draw(st.binary(min_size=size, max_size=size)), dtype=np.uint8).reshape(
            *shape, _BYTES
        )


def activations(among: Sequence[str | Activation] | None = None) -> st.SearchStrategy[Activation]:
    """One of the registered activations, or of those given. It shrinks towards the first."""
    return st.sampled_from(chosen_activations(among))


@st.composite
def networks(
    draw: st.DrawFn, activations: Sequence[str | Activation] | None = None, outputs: Sequence[str] = tuple(OUTPUTS)
) -> Network:
    """Networks of 0 to 4 hidden layers with 1 to 8 units. They shrink to one input and one output.

    Parameters
    ----------
    activations, outputs : names, or activations, optional
        Those that layers draw from; by default all that are registered.
    """
    return draw_network(_DrawnChooser(draw), chosen_activations(activations), outputs)


_all_networks = networks  # the argument of `problems` has the same name


@st.composite
def problems(draw: st.DrawFn, networks: st.SearchStrategy[Network] | None = None, extremes: bool = True) -> Problem:
    """Problems of 1 to 10 examples on networks. They shrink to one example of zeros."""
    if networks is not None and not isinstance(networks, st.SearchStrategy):
        raise TypeError(f"networks must be a strategy, such as strategies.networks(), not {type(networks).__name__}")
    network = draw(_all_networks() if networks is None else networks)
    return draw_problem(_DrawnChooser(draw), network, flag("extremes", extremes))


@st.composite
def thetas(draw: st.DrawFn, network: Network, extremes: bool = True) -> np.ndarray:
    """Parameters for a network, from zero over ordinary to saturating. They shrink to zeros."""
    return draw_theta(
        _DrawnChooser(draw), of_type("network", network, Network, "a Network"), flag("extremes", extremes)
    )


@st.composite
def cases(
    draw: st.DrawFn, networks: st.SearchStrategy[Network] | None = None, extremes: bool = True
) -> tuple[Problem, np.ndarray]:
    """A problem and parameters for it: the arguments of `cross_check`.

    Parameters
    ----------
    networks : strategy of networks, optional
        By default `networks()`.
    extremes : bool
        Whether some θ and X are zero, hold ties, or are large enough to saturate.
    """
    problem = draw(problems(networks, extremes))
    return problem, draw(thetas(problem.network, extremes))


@st.composite
def arrays_like(draw: st.DrawFn, args: Any, domain: str | Sequence[str | None] = "real") -> Any:
    """Arguments of the same structure, shapes and types as these, with other numbers, for `check_derivatives`.

    Only floating and complex numbers change. Integers, truth values, random keys and other objects stay.

    Parameters
    ----------
    args : any tree of arrays, such as the tuple of a function's arguments
    domain : str, or one for each entry of args
        "real" : in [-3, 3]; shrinks to zeros, and then to small whole numbers
        "positive" : in [0.1, 10], evenly in the logarithm; shrinks to ones
        "probabilities" : positive, with the sum 1 along the last axis; a single number is in [0.01, 0.99]
        "positive definite" : Hermitian matrices in the last two axes, with no eigenvalue below 1; shrinks to identities
        "apart" : in [-3, 3], with distinct absolute values, none of them 0; shrinks to equal steps
        "ties" : only -1, 0 and 1, so that many entries are equal; shrinks to zeros
        None, for one of several : the entry stays

    Raises
    ------
    ValueError
        When there is no such domain, or an array's shape or type does not fit it.
    """
    if isinstance(domain, str):
        return draw(arrays_like([args], [domain]))[0]
    if not all(isinstance(each, (tuple, list)) for each in (args, domain)) or len(args) != len(domain):
        raise ValueError(f"domain must be one name, or one for each entry of args, not {given(domain)}")
    for name in domain:
        if name is not None and name not in DOMAINS:
            raise ValueError(f"domain must be one of {', '.join(DOMAINS)}, not {given(name)}")
    chooser = _DrawnChooser(draw)
    drawn = [entry if name is None else _tree_like(chooser, entry, name) for entry, name in zip(args, domain)]
    return type(args)(drawn)


def _tree_like(chooser: _DrawnChooser, tree: Any, domain: str) -> Any:
    """A tree of the same structure, with other numbers."""
    import jax

    from harness.checks.traced.function_arguments import flatten

    paths, structure = flatten("args", tree)
    return jax.tree.unflatten(structure, [_leaf_like(chooser, leaf, domain) for _, leaf in paths])


def _leaf_like(chooser: _DrawnChooser, leaf: Any, domain: str) -> Any:
    """A leaf in a domain, of the same type: a Python number, a NumPy array or a JAX array."""
    import jax.numpy as jnp

    from harness.checks.traced.function_arguments import differentiable

    if not differentiable(leaf):
        return leaf
    is_complex = np.issubdtype(getattr(leaf, "dtype", type(leaf)), np.complexfloating)
    numbers = DOMAINS[domain](chooser, np.shape(leaf), bool(is_complex))
    if domain == "apart" and numbers.size * 2.0 * float(jnp.finfo(jnp.result_type(leaf)).eps) > NEAREST_APART:
        raise ValueError(f"{numbers.size} numbers of {jnp.result_type(leaf)} cannot be kept apart in [-3, 3]")
    if isinstance(leaf, (float, complex)) and not isinstance(leaf, np.generic):
        return type(leaf)(numbers)
    if isinstance(leaf, (np.ndarray, np.generic)):
        return numbers.astype(leaf.dtype) if isinstance(leaf, np.ndarray) else leaf.dtype.type(numbers)
    return jnp.asarray(numbers, leaf.dtype)


def _real(chooser: _DrawnChooser, shape: tuple[int, ...], is_complex: bool, whole: int = 3) -> np.ndarray:
    """Numbers in [-whole, whole]; for complex numbers, both parts are."""
    real = _simplest_first(chooser.drawn(shape), whole)
    return real + 1j * _real(chooser, shape, False, whole) if is_complex else real


def _positive(chooser: _DrawnChooser, shape: tuple[int, ...], _: bool) -> np.ndarray:
    """10^d for d in (-1, 1)."""
    return 10.0 ** _real(chooser, shape, False, 1)


def _probabilities(chooser: _DrawnChooser, shape: tuple[int, ...], _: bool) -> np.ndarray:
    """Positive numbers over their sum along the last axis."""
    if not shape:
        return 0.5 + 0.49 * _real(chooser, shape, False, 1)
    weights = _positive(chooser, shape, False)
    return weights / weights.sum(axis=-1, keepdims=True)


def _positive_definite(chooser: _DrawnChooser, shape: tuple[int, ...], is_complex: bool) -> np.ndarray:
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"a positive definite array needs two last axes of one length, not the shape {shape}")
    factor = _real(chooser, shape, is_complex, 1)  # F Fᴴ + I has no eigenvalue below 1
    return factor @ np.swapaxes(factor, -1, -2).conj() + np.eye(shape[-1])


NEAREST_APART = 2.1
"""The least distance of `_apart` numbers, times their count. It has to exceed the spacing of a type's numbers near 3,
which is 2 eps."""


def _apart(chooser: _DrawnChooser, shape: tuple[int, ...], is_complex: bool) -> np.ndarray:
    """The n sizes 3 (k - 0.3 |d|)/n, k = 1 ... n in the order of numbers d drawn in (-1, 1), each with the sign of d.

    So neighbours are at least 0.7 · 3/n = 2.1/n apart, and so is the smallest from 0: no kink of |x|, of a maximum or
    of a sort is nearby.
    """
    size = math.prod(shape)
    drawn = _simplest_first(chooser.drawn((size,)), 1)
    places = np.argsort(np.argsort(drawn, kind="stable"))
    sizes = 3.0 * (places + 1.0 - 0.3 * np.abs(drawn)) / max(1, size)
    numbers = np.where(drawn < 0.0, -sizes, sizes).reshape(shape)
    return numbers + 1j * _apart(chooser, shape, False) if is_complex else numbers


def _ties(chooser: _DrawnChooser, shape: tuple[int, ...], is_complex: bool) -> np.ndarray:
    real = np.array([0.0, 1.0, -1.0])[chooser.drawn(shape)[..., -1] % 3]
    return real + 1j * _ties(chooser, shape, False) if is_complex else real


DOMAINS: dict[str, Callable[[_DrawnChooser, tuple[int, ...], bool], np.ndarray]] = {
    "real": _real,
    "positive": _positive,
    "probabilities": _probabilities,
    "positive definite": _positive_definite,
    "apart": _apart,
    "ties": _ties,
}
"""How each domain is drawn, from a chooser, a shape, and whether the numbers are complex."""
