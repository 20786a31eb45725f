"""JAX on small networks without compiling for every shape.

A fresh shape costs JAX a compilation. Every small network is therefore padded to one shape and run by one program:

- hidden layers that are missing become identity layers, Theta = [0 | I], which hand their input on exactly;
- units that are missing have zero weights in and out;
- outputs that are missing have a bias at which a sigmoid or softmax unit is zero and costs nothing;
- rows that are missing count with weight zero.

None of this changes a rounding in the entries that are kept beyond the order of a sum, and the tests compare with the
plain programs of `reference.oracles.jax_gradient`. An activation may be undefined where the missing units and rows are,
though: zero times NaN spreads, so an answer that is not finite is asked for again from the plain program. All
registered activations are in the program, except for those that JAX cannot trace: one of these must not spoil the
others. One that is not registered costs a program of its own, which is made after `KNOWN` networks have met it.
"""

from functools import lru_cache, partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np

from reference.activations import ACTIVATIONS, Activation
from reference.jax_settings import compiler_options, fixed_settings
from reference.measured import GradientSource
from reference.network import OUTPUTS
from reference.oracles import jax_gradient
from reference.oracles.jax_gradient import JAX, is_elementwise
from reference.problem import Problem
from reference.traced.traced_function import Traced

WIDTH, HIDDEN_LAYERS, ROWS = 8, 4, 10
"""Units in a layer, hidden layers, and examples: those of random networks. A larger shape costs each network more."""

KNOWN = 3  # networks with an activation that is not registered, after which there will be more of them

SILENT = -1e300  # a bias at which σ and softmax are exactly zero: exp(-1e300) is, and so is its derivative


def fits(problem: Problem) -> bool:
    """Whether the problem can be padded: small enough, and its activations traceable and known."""
    network = problem.network
    return (
        max(network.sizes) <= WIDTH
        and len(network.hidden) <= HIDDEN_LAYERS
        and problem.m <= ROWS
        and all((_is_registered(f) or _asked.get(f, 0) >= KNOWN) and is_elementwise(f) for f in network.hidden)
    )


_asked: WeakKeyDictionary[Activation, int] = WeakKeyDictionary()
"""How many networks there were with each activation that is not registered."""


def _is_registered(f: Activation) -> bool:
    return ACTIVATIONS.get(f.name) is f


def _in_program(problem: Problem) -> tuple[Activation, ...]:
    """The activations that the problem's program knows: its own if none is registered, else all that are, too."""
    # in the order in which they were first met, so that two networks with the same ones share a program
    own = [f for f in _asked if f in problem.network.hidden and not _is_registered(f)]
    if own and len(own) == len(set(problem.network.hidden)):
        return ACTIVATIONS["identity"], *own
    return *(f for f in ACTIVATIONS.values() if is_elementwise(f)), *own


class _Padded(NamedTuple):
    """A problem in the one shape that the program knows; P_l = Theta_lᵀ."""

    hidden: Any  # (HIDDEN_LAYERS, 1 + WIDTH, WIDTH)
    last: Any  # (1 + WIDTH, WIDTH)
    X: Any  # (ROWS, WIDTH)
    Y: Any  # (ROWS, WIDTH)
    is_layer: Any  # (HIDDEN_LAYERS,): 1.0 for a hidden layer of the network, 0.0 for an added one
    is_row: Any  # (ROWS,): the same for examples
    which_hidden: Any  # (HIDDEN_LAYERS,): index into the activations
    which_output: Any  # index into OUTPUTS
    l2: Any


_EMPTY = _Padded(
    np.zeros((HIDDEN_LAYERS, 1 + WIDTH, WIDTH)),
    np.zeros((1 + WIDTH, WIDTH)),
    np.zeros((ROWS, WIDTH)),
    np.zeros((ROWS, WIDTH)),
    np.zeros(HIDDEN_LAYERS),
    np.zeros(ROWS),
    np.zeros(HIDDEN_LAYERS, int),
    np.array(0),
    np.array(0.0),
)
"""The shapes and types that the program takes."""


def _pad(problem: Problem, theta: np.ndarray, activations: tuple[Activation, ...]) -> _Padded:
    network, (m, n_in), K = problem.network, problem.X.shape, problem.network.sizes[-1]
    depth = len(network.hidden)
    hidden, last, X, Y = (part.copy() for part in _EMPTY[:4])
    hidden[depth:, 1:] = np.eye(WIDTH)  # layers that are missing hand their input on
    last[0] = 0.0 if network.output.name == "linear" else SILENT
    for P, Theta in zip([*hidden[:depth], last], network.unpack(theta)):
        P[: Theta.shape[1], : Theta.shape[0]] = Theta.T
    X[:m, :n_in], Y[:m, :K] = problem.X, problem.Y
    layers = [*network.hidden, *[ACTIVATIONS["identity"]] * (HIDDEN_LAYERS - depth)]
    which_hidden = np.array([activations.index(f) for f in layers])
    which_output = np.array(list(OUTPUTS).index(network.output.name))
    is_layer, is_row = (np.arange(HIDDEN_LAYERS) < depth) * 1.0, (np.arange(ROWS) < m) * 1.0
    return _Padded(hidden, last, X, Y, is_layer, is_row, which_hidden, which_output, np.array(problem.l2))


def _cost(activations: tuple[Activation, ...]) -> Any:
    formulas = [partial(f.value, JAX) for f in activations]
    losses = [partial(output.loss, JAX) for output in OUTPUTS.values()]

    def layer(A, P_and_which):
        P, which = P_and_which
        return jax.lax.switch(which, formulas, A @ P[1:] + P[0]), None

    def cost(parameters, rest):
        hidden, last = parameters
        A, _ = jax.lax.scan(layer, rest.X, (hidden, rest.which_hidden))
        loss = jax.lax.switch(rest.which_output, losses, A @ last[1:] + last[0], rest.Y)
        # the ones of an added layer are no weights
        squares = jnp.square(hidden[:, 1:]).sum((1, 2)) @ rest.is_layer + jnp.square(last[1:]).sum()
        m = rest.is_row.sum()
        return loss @ rest.is_row / m + rest.l2 / (2 * m) * squares

    return cost


def _value_and_jacfwd(cost: Any) -> Any:
    return lambda parameters, rest: (cost(parameters, rest), jax.jacfwd(cost)(parameters, rest))


@lru_cache(maxsize=8)
def _program(differentiated: Any, activations: tuple[Activation, ...]) -> Any:
    cost_and_gradient = differentiated(_cost(activations))

    def of_padded(padded: _Padded) -> Any:
        return cost_and_gradient((padded.hidden, padded.last), padded)

    if differentiated is jax.value_and_grad:
        return Traced(of_padded, _EMPTY)
    # in many directions code of level 0 would run twice as long
    options = {
        name: 1 if name == "xla_backend_optimization_level" else value for name, value in compiler_options().items()
    }
    return jax.jit(of_padded, compiler_options=options)


def _run(differentiated: Any, plain: GradientSource, problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    if not fits(problem):
        if differentiated is jax.value_and_grad:  # once for each network, though both ways are asked
            _asked.update({f: _asked.get(f, 0) + 1 for f in problem.network.hidden if not _is_registered(f)})
        return plain(problem, theta)
    activations = _in_program(problem)
    with fixed_settings():
        cost, (hidden, last) = _program(differentiated, activations)(_pad(problem, theta, activations))
        hidden, last = np.asarray(hidden), np.asarray(last)
    # zero weights times an activation that is NaN at 0, as log is, would spoil units that have nothing to do with it
    if not all(np.isfinite(part).all() for part in (cost, hidden, last)):
        return plain(problem, theta)
    layers = [*hidden[: len(problem.network.hidden)], last]
    thetas = [P[:columns, :rows].T for P, (rows, columns) in zip(layers, problem.network.shapes)]
    return float(cost), problem.network.pack(thetas)


def reverse(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ by `jax.value_and_grad`; a problem that does not fit gets a program of its own."""
    return _run(jax.value_and_grad, jax_gradient.reverse, problem, theta)


def forward(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ by `jax.jacfwd`; a problem that does not fit gets a program of its own."""
    return _run(_value_and_jacfwd, jax_gradient.forward, problem, theta)
