"""Certified enclosures of cost and gradient: the oracle that knows the exact answer.

θ, X, Y and λ are taken as the exact numbers that their float64 values are, so an enclosure is a proof of where the
exact gradient of the formulas lies (`reference.arithmetics.balls`), and tells every other source's true error in ulps.
Two ways lead to it:

- `forward`: the cost as one formula, once for each parameter. Nothing but the cost is stated;
- `reverse`: slopes of each layer from its formula, and the chain rule across layers as matrix products. For any size.

`enclose` takes the second, and doubles the precision until the radii are small; the tests hold it against the first.
"""

from typing import Any, NamedTuple

import numpy as np
from flint import arb

from reference.activations import Activation
from reference.arithmetics.balls import BALLS, Balls, array_of, exact, precision, slopes, value_of, values, variables
from reference.measured import Measured, NotApplicable
from reference.network import Network
from reference.outputs import Output
from reference.problem import Problem, regularised_cost

BITS = 106
"""Twice the precision of float64: where nothing cancels, an ulp is known to 2**-50 of itself."""

DOUBLINGS = 4
"""How often the precision is doubled where it does not suffice. 1,696 bits resolve all that float64 holds, 2**-1074."""

BLOCK_ROWS = 500  # examples at once: a ball takes some hundred bytes


class Enclosure(NamedTuple):
    """Balls that contain the exact cost and the n coordinates of the exact gradient, made with so many bits."""

    cost: Any
    gradient: Any
    bits: int

    @property
    def midpoint(self) -> np.ndarray:
        """The middle of each coordinate's ball, rounded to float64."""
        return np.array([float(g.mid()) for g in self.gradient])

    @property
    def radius(self) -> np.ndarray:
        """The radius of each coordinate's ball."""
        return np.array([float(g.rad()) for g in self.gradient])

    @property
    def is_sharp(self) -> bool:
        """Whether every radius is below 2**-60 of its coordinate, or below 2**-100 of the largest."""
        size = np.abs(self.midpoint)
        largest = size.max(where=np.isfinite(size), initial=0.0)
        return bool(np.all(self.radius <= 2.0**-60 * np.maximum(size, 2.0**-40 * largest)))


def measure(problem: Problem, theta: np.ndarray) -> Measured:
    """The middle of the enclosure in float64, and how far the exact gradient can be from that.

    Raises
    ------
    NotApplicable
        When an activation calls a function that has no rule in ball arithmetic.
    """
    enclosure = enclose(problem, theta)
    gradient = enclosure.midpoint
    return Measured(float(enclosure.cost.mid()), gradient, distance(gradient, enclosure), roundings=0.0)


def distance(gradient: np.ndarray, enclosure: Enclosure) -> np.ndarray:
    """How far each coordinate of a gradient can be from the exact one, rounded up: infinite where nothing is known."""
    reach = np.array([float((ball - arb(float(g))).abs_upper()) for g, ball in zip(gradient, enclosure.gradient)])
    return np.where(np.isnan(reach), np.inf, np.where(reach == 0.0, 0.0, np.nextafter(reach, np.inf)))


def enclose(problem: Problem, theta: np.ndarray, bits: int = BITS) -> Enclosure:
    """Cost and gradient by `reverse`, with the precision doubled while the radii are large.

    At a kink no precision helps: the enclosure stays as wide as the jump.
    """
    enclosure = reverse(problem, theta, bits)
    for _ in range(DOUBLINGS):
        if enclosure.is_sharp:
            break
        enclosure = reverse(problem, theta, 2 * enclosure.bits)
    return enclosure


def forward(problem: Problem, theta: np.ndarray, bits: int = BITS) -> Enclosure:
    """Cost and gradient from the cost's formula alone, with θ_i + t in the place of θ_i, for one i after the other."""
    with precision(bits):
        X, Y, point, l2 = exact(problem.X), exact(problem.Y), exact(theta), arb(problem.l2)
        costs = []
        for i in range(theta.size):
            moved = point.copy()
            moved[i : i + 1] = variables(point[i : i + 1])
            costs.append(regularised_cost(problem.network, BALLS, moved, X, Y, l2))
        return Enclosure(value_of(costs[0]), slopes(array_of(costs, theta.shape)), bits)


def reverse(problem: Problem, theta: np.ndarray, bits: int = BITS) -> Enclosure:
    """Cost and gradient by the chain rule across layers, a block of examples at a time.

    δ_L = d loss/dZ_L and f'(Z_l) come from series through the formulas; δ_l = (δ_{l+1} W_{l+1}) ⊙ f'(Z_l);
    dJ/dW_l = (δ_lᵀ A_{l-1} + λ W_l)/m and dJ/db_l = Σ δ_l/m.
    """
    network, m = problem.network, problem.m
    with precision(bits):
        thetas, l2 = network.unpack(exact(theta)), arb(problem.l2)
        losses = arb(0)
        of_biases: list[Any] = [0 for _ in thetas]
        of_weights = [l2 * Theta[:, 1:] for Theta in thetas]
        for start in range(0, m, BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            loss, As, deltas = _backward(network, thetas, exact(problem.X[rows]), exact(problem.Y[rows]))
            losses += loss
            of_biases = [total + delta.sum(axis=0) for total, delta in zip(of_biases, deltas)]
            of_weights = [total + delta.T @ A for total, delta, A in zip(of_weights, deltas, As)]
        cost = (losses + l2 / 2 * network.squared_weights(BALLS, exact(theta))) / m
        columns = [np.column_stack([np.asarray(layer) for layer in both]) for both in zip(of_biases, of_weights)]
        gradient = np.concatenate([Delta.ravel(order="F") for Delta in columns]).view(Balls) / m
        return Enclosure(cost, gradient, bits)


def _backward(network: Network, thetas: list[Any], X: Balls, Y: Balls) -> tuple[arb, list[Any], list[Any]]:
    """The sum of the losses, and A_{l-1} and δ_l of every layer."""
    *hidden, last = thetas
    As: list[Any] = [X]
    slopes_of_hidden = []
    for Theta, f in zip(hidden, network.hidden):
        A, slope = _value_and_slope(f, As[-1] @ Theta[:, 1:].T + Theta[:, 0])
        As.append(A)
        slopes_of_hidden.append(slope)
    loss, delta = _loss_and_delta(network.output, As[-1] @ last[:, 1:].T + last[:, 0], Y)
    deltas = [delta]
    for Theta, slope in zip(thetas[:0:-1], reversed(slopes_of_hidden)):
        deltas.append(deltas[-1] @ Theta[:, 1:] * slope)
    return loss, As, deltas[::-1]


def _value_and_slope(f: Activation, Z: Any) -> tuple[Balls, Balls]:
    try:
        A = exact(f.value(BALLS, variables(Z)))
    except NotApplicable as reason:
        raise NotApplicable(f"{f.name}: {reason}") from None
    except (TypeError, AttributeError, ValueError) as reason:
        raise NotApplicable(f"{f.name}: its formula does not take balls ({reason})") from None
    return values(A), slopes(A)


def _loss_and_delta(output: Output, Z: Any, Y: Balls) -> tuple[arb, Any]:
    """Σ losses, and the derivative of each example's loss in each of its pre-activations, one column at a time."""
    columns, losses = [], Z
    for k in range(Z.shape[1]):
        moved = Z.copy()
        moved[:, k] = variables(Z[:, k])
        losses = output.loss(BALLS, moved, Y)
        columns.append(np.asarray(slopes(losses)))
    return values(losses).sum(), np.column_stack(columns).view(Balls)
