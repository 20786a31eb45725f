"""Random problems: one distribution, drawn by a seed or by Hypothesis.

The distribution is written once, over a `Chooser`. `harness.strategies` supplies a chooser that Hypothesis can shrink,
and `random_problem` a seeded one. Options are listed simplest first, because Hypothesis shrinks towards the first.

The distribution covers what breaks gradients: no hidden layer and several, single units and single examples, zeros,
ties and large entries in X, classes that no example has, λ zero and positive, θ from zero over ordinary to saturating.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from reference.activations import ACTIVATIONS, Activation, get_activation
from reference.network import OUTPUTS, Network
from reference.problem import Problem
from reference.user_input import flag, given, listed, of_type, seed_of_generator

MAX_HIDDEN_LAYERS, MAX_UNITS, MAX_EXAMPLES = 4, 8, 10
"""A wrong formula is wrong in small networks, too, where a reader sees each number."""

GRID = 2**20  # numbers are multiples of 1/GRID, so that they shrink to simple ones

X_SCALES = {"ordinary": 2.0, "large": 1000.0}
"""The largest |x|: 1,000 saturates sigmoids, and overflows exp in the first layer."""

THETA_SCALES = {"ordinary": 1.0, "small": 0.12, "zero": 0.0, "large": 10.0, "saturating": 100.0}
"""The largest |θ|. 0.12 is the course's ε for initial weights."""

L2_VALUES = (1.0, 0.0, 0.01, 3.0, 100.0)
"""λ, the simplest first: a regulariser of the size of the data's share, none, one that is easily overlooked, and one
that hides the rest."""


class Chooser(Protocol):
    """Where the choices come from."""

    def integer(self, low: int, high: int) -> int:
        """An integer in [low, high]; low is the simplest."""
        ...

    def element(self, options: Sequence[Any]) -> Any:
        """One of the options; the first is the simplest."""
        ...

    def grid(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array of integers in [-GRID, GRID]; zero is the simplest."""
        ...


class SeededChooser:
    """Choices made by a NumPy generator."""

    def __init__(self, seed: Any):
        self._rng = np.random.default_rng(seed_of_generator(seed))

    def integer(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high, endpoint=True))

    def element(self, options: Sequence[Any]) -> Any:
        return options[int(self._rng.integers(len(options)))]

    def grid(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._rng.integers(-GRID, GRID, shape, endpoint=True)


class Like(NamedTuple):
    """What is given and not drawn: layer sizes, output layer, λ, and the number of matrices Theta."""

    sizes: tuple[int, ...] | None = None
    output: str | None = None
    l2: float | None = None
    layers: int | None = None

    def fits(self, problem: Problem) -> bool:
        """Whether a problem has what is given."""
        network = problem.network
        return (
            (self.sizes is None or tuple(network.sizes) == tuple(self.sizes))
            and self.output in (None, network.output.name)
            and self.l2 in (None, problem.l2)
            and self.layers in (None, len(network.shapes))
        )


ANY = Like()


def draw_network(
    choose: Chooser, activations: Sequence[Activation], outputs: Sequence[str], like: Like = ANY
) -> Network:
    """0 to 4 hidden layers of 1 to 8 units, unless sizes or layers are given, each layer with its own activation."""
    sizes, layers = like.sizes, like.layers
    if layers is not None and (not isinstance(layers, int) or layers < 1):
        raise ValueError(f"layers must be the number of matrices Theta, 1 or more, not {given(layers)}")
    if sizes is not None and layers not in (None, len(sizes) - 1):
        raise ValueError(f"sizes {tuple(sizes)} make {len(sizes) - 1} layers, not {layers}")
    if isinstance(outputs, str):
        outputs = [outputs]
    outputs = listed("outputs", outputs, "a sequence of names of output layers")
    if not outputs:
        raise ValueError(f"no outputs were given to draw from; there are {', '.join(OUTPUTS)}")
    if sizes is None:
        depth = choose.integer(0, MAX_HIDDEN_LAYERS) if layers is None else layers - 1
        sizes = [choose.integer(1, MAX_UNITS) for _ in range(depth + 2)]
    hidden = [choose.element(activations) for _ in sizes[2:]]  # all layers but inputs and outputs
    return Network(sizes, hidden, choose.element(outputs))


def draw_problem(choose: Chooser, network: Network, extremes: bool, l2: float | None = None) -> Problem:
    """1 to 10 examples with targets, and λ unless it is given."""
    m = choose.integer(1, MAX_EXAMPLES)
    X = _draw_X(choose, (m, network.sizes[0]), extremes)
    return Problem(network, X, _draw_y(choose, network, m), choose.element(L2_VALUES) if l2 is None else l2)


def _draw_X(choose: Chooser, shape: tuple[int, int], extremes: bool) -> np.ndarray:
    kind = choose.element(["ordinary", "zeros", "ties", "large"]) if extremes else "ordinary"
    X = choose.grid(shape) / GRID
    if kind == "zeros":
        return np.where(np.abs(X) < 0.5, 0.0, X)
    if kind == "ties":
        return np.round(2.0 * X) / 2.0
    return X * X_SCALES[kind]


def _draw_y(choose: Chooser, network: Network, m: int) -> np.ndarray:
    K = network.sizes[-1]
    if choose.element(["classes", "targets"]) == "classes":
        return np.array([choose.integer(0, K - 1) for _ in range(m)])
    targets = (choose.grid((m, K)) / GRID + 1.0) / 2.0  # in [0, 1]
    if network.output.name == "softmax":
        targets += 1.0 / GRID  # no row of zeros, which could not be normalised
        return targets / targets.sum(axis=1, keepdims=True)
    return targets


def draw_theta(choose: Chooser, network: Network, extremes: bool) -> np.ndarray:
    """θ for a network, at one of the scales from zero to saturating."""
    scale = choose.element(list(THETA_SCALES)) if extremes else "ordinary"
    return THETA_SCALES[scale] * choose.grid((network.size,)) / GRID


def chosen_activations(activations: Sequence[str | Activation] | None) -> list[Activation]:
    """The activations to draw from: all that are registered, unless some are given, or one."""
    if isinstance(activations, (str, Activation)):
        activations = [activations]
    elif activations is not None:
        activations = listed("activations", activations, "a sequence of activations or names")
    chosen = list(ACTIVATIONS.values()) if activations is None else [get_activation(f) for f in activations]
    if not chosen:
        raise ValueError(f"no activations were given to draw from; registered are {', '.join(ACTIVATIONS)}")
    return chosen


def random_problem(
    seed: Any,
    activations: Sequence[str | Activation] | None = None,
    outputs: Sequence[str] = tuple(OUTPUTS),
    extremes: bool = True,
    like: Like = ANY,
) -> tuple[Problem, np.ndarray]:
    """The problem and θ of a seed; ``extremes=False`` keeps X and θ at ordinary sizes.

    In layers larger than any that is drawn, an ordinary θ is divided by the square root of their relative size, so that
    units do not saturate.

    Parameters
    ----------
    seed : int, or a sequence of them
        As `numpy.random.default_rng` takes it.
    activations, outputs : names, or activations, optional
        Those that layers draw from; by default all that are registered.
    extremes : bool
        Whether X and θ may have extreme sizes.
    like : Like
        Layer sizes, output and λ, where they are not to be drawn.

    Returns
    -------
    (Problem, (n,) array)

    Raises
    ------
    ValueError, TypeError
        For activations or outputs that there are not.
    """
    choose, extremes = SeededChooser(seed), flag("extremes", extremes)
    like = of_type("like", like, Like, "of the type Like")
    outputs = outputs if like.output is None else (like.output,)
    network = draw_network(choose, chosen_activations(activations), outputs, like)
    np.empty(network.size)  # too many parameters raise MemoryError here, before X is drawn
    problem = draw_problem(choose, network, extremes, like.l2)
    theta = draw_theta(choose, network, extremes)
    if not extremes:
        # a sum of n terms of either sign grows like √n, and with it z: beyond the widths drawn here, units would
        # saturate
        for Theta, (_, columns) in zip(network.unpack(theta), network.shapes):
            Theta *= min(1.0, np.sqrt((MAX_UNITS + 1.0) / columns))
    return problem, theta
