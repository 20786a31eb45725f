"""Certified enclosures of cost and gradient: the oracle that knows the exact answer.

θ, X, Y and λ are taken as the exact numbers that their float64 values are. An enclosure proves where the exact gradient
of the formulas lies (`reference.arithmetics.balls`), and so measures every other source's true error in ulps.

- `forward`: the cost as one formula, once for each parameter. Nothing but the cost is stated.
- `reverse`: slopes of each layer from its formula, and the chain rule across layers as matrix products. For any size.

`enclose` takes `reverse` and doubles the precision until the radii are small; the tests compare it with `forward`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from flint import arb

from reference.activations import Activation
from reference.arithmetics.balls import BALLS, Balls, array_of, exact, precision, slopes, value_of, values, variables
from reference.arithmetics.companion import refusal_of
from reference.measured import Measured, MeasuredSlope, Oracle, known
from reference.network import Network, Output
from reference.problem import Problem, regularised_cost

BITS = 106  # twice the precision of float64: where nothing cancels, an ulp is known to 2**-50 of itself

DOUBLINGS = 4
"""How often the precision is doubled where it does not suffice. 1,696 bits resolve all that float64 holds, 2**-1074."""

BITS_BESIDE = 1024  # for what lies 2**-180 beside a number, where a difference may cancel twice

SMALLEST = float(np.finfo(np.float64).tiny)
"""A slope that is known to this, the smallest normal number, is sharp: XLA takes for zero what is smaller."""

BITS_ON_CELLS = 1280  # the smallest float beside 1, and twice the digits of a float64 for the rest

BLOCK_ROWS = 500  # examples at once: a ball takes some hundred bytes


class Enclosure(NamedTuple):
    """Balls that contain the exact cost and the n coordinates of the exact gradient, made with so many bits."""

    cost: Any
    gradient: Any
    bits: int

    @property
    def midpoint(self) -> np.ndarray:
        """The middle of each coordinate's ball, rounded to float64."""
        return _midpoints(self.gradient)

    @property
    def radius(self) -> np.ndarray:
        """The radius of each coordinate's ball."""
        return np.array([float(g.rad()) for g in self.gradient])

    @property
    def is_sharp(self) -> bool:
        """Whether every radius is below 2**-60 of its coordinate, or below 2**-100 of the largest.

        2**-60 is 1/128 of a rounding. A coordinate that is zero, as of a dead unit, is known beside the others only.
        """
        size = np.abs(self.midpoint)
        largest = size.max(where=np.isfinite(size), initial=0.0)
        return bool(np.all(self.radius <= 2.0**-60 * np.maximum(size, 2.0**-40 * largest)))


def _midpoints(balls: Any) -> np.ndarray:
    return np.array([float(ball.mid()) for ball in balls])


def _reach(numbers: np.ndarray, balls: Any) -> np.ndarray:
    """How far each number is from what is furthest away in its ball, rounded to nearest."""
    return np.array([float((ball - arb(float(x))).abs_upper()) for x, ball in zip(numbers, balls)])


def _midpoints_and_errors(balls: Any, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    balls = np.broadcast_to(np.asarray(balls), shape)
    middle = _midpoints(balls)
    return middle, np.nextafter(_reach(middle, balls), np.inf)  # which was rounded to nearest


def distance(gradient: np.ndarray, enclosure: Enclosure) -> np.ndarray:
    """How far each coordinate of a gradient can be from the exact one, rounded up: infinite where nothing is known."""
    reach = _reach(gradient, enclosure.gradient)
    return np.where(np.isnan(reach), np.inf, np.where(reach == 0.0, 0.0, np.nextafter(reach, np.inf)))


# The gradient of a network


def measure(problem: Problem, theta: np.ndarray) -> Measured:
    """The middle of the enclosure in float64, and how far the exact gradient can be from that.

    Raises
    ------
    NotApplicable
        Here and below, when an activation calls a function that has no rule in ball arithmetic.
    """
    enclosure = enclose(problem, theta)
    gradient = enclosure.midpoint
    return Measured(float(enclosure.cost.mid()), gradient, distance(gradient, enclosure), roundings=0.0)


def enclose(problem: Problem, theta: np.ndarray, bits: int = BITS) -> Enclosure:
    """Cost and gradient by `reverse`, with the precision doubled while the radii are large.

    At a kink no precision helps: the enclosure stays as wide as the jump.
    """
    return _sharp(partial(reverse, problem, theta), bits)


def along(problem: Problem, theta: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dJ(θ + tv)/dt at t = 0 from the cost's formula alone for each row v of `directions`, and its error."""
    enclosure = _sharp(partial(forward, problem, theta, directions=directions))
    return enclosure.midpoint, distance(enclosure.midpoint, enclosure)


def _sharp(enclosure_with: Callable[[int], Enclosure], bits: int = BITS) -> Enclosure:
    enclosure = enclosure_with(bits)
    for _ in range(DOUBLINGS):
        if enclosure.is_sharp:
            break
        enclosure = enclosure_with(2 * enclosure.bits)
    return enclosure


def forward(problem: Problem, theta: np.ndarray, bits: int = BITS, directions: np.ndarray | None = None) -> Enclosure:
    """Cost and derivatives from the cost's formula alone, with θ + tv in the place of θ for one v after the other.

    The v are the rows of `directions`; by default those of the identity, for the gradient.
    """
    directions = np.eye(theta.size) if directions is None else directions
    with precision(bits):
        X, Y, point, l2 = exact(problem.X), exact(problem.Y), exact(theta), arb(problem.l2)
        costs = []
        for v in directions:
            moved, on = point.copy(), np.flatnonzero(v)  # the rest stay constants, whose products are flint's own
            moved[on] = variables(point[on], v[on])
            costs.append(regularised_cost(problem.network, BALLS, moved, X, Y, l2))
        return Enclosure(value_of(costs[0]), slopes(array_of(costs, (len(costs),))), bits)


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
    slopes_of_hidden = []

    def activate(f: Activation, Z: Any) -> Balls:
        with refusal_of(f.name, "balls"):
            A, derivative = _value_and_slope(f, Z)
        slopes_of_hidden.append(derivative)
        return A

    # δ_L from the losses; then one layer down at a time, through the weights and the slopes
    As, Zs = network.forward(thetas, X, activate)
    loss, delta = _loss_and_delta(network.output, Zs[-1], Y)
    deltas = [delta]
    for Theta, derivative in zip(thetas[:0:-1], reversed(slopes_of_hidden)):
        deltas.append(deltas[-1] @ Theta[:, 1:] * derivative)
    return loss, As, deltas[::-1]


def _loss_and_delta(output: Output, Z: Any, Y: Balls) -> tuple[arb, Any]:
    """Σ losses, and the derivative of each example's loss in each of its pre-activations, one column at a time."""
    columns, losses = [], Z
    for k in range(Z.shape[1]):  # a series has one variable: unit k of all examples at once
        moved = Z.copy()
        moved[:, k] = variables(Z[:, k])
        losses = output.loss(BALLS, moved, Y)
        columns.append(np.asarray(slopes(losses)))
    return values(losses).sum(), np.column_stack(columns).view(Balls)


# The slope of an activation


def slope(f: Activation, z: np.ndarray) -> MeasuredSlope:
    """f(z) and f'(z) at z of shape (n,), with the precision doubled where the enclosures are wide.

    At a kink they stay as wide as the jump.
    """
    answer = np.full((4, z.size), np.nan)
    value, value_error, derivative, error = answer
    wide, bits = np.arange(z.size), BITS
    for _ in range(DOUBLINGS + 1):
        with precision(bits):
            parts = _value_and_slope(f, exact(z[wide]))
            answer[:, wide] = [row for part in parts for row in _midpoints_and_errors(part, wide.shape)]
        # a midpoint that is rounded to float64 is off by 2**-53 of itself, however small the radius is
        sharp = error[wide] <= np.maximum(2.0**-52 * np.abs(derivative[wide]), SMALLEST)
        wide, bits = wide[~sharp], 2 * bits
        if not wide.size:
            break
    return MeasuredSlope(value, derivative, known(derivative, error), 0.0, value_error)


def slopes_beside(f: Activation, z: np.ndarray, side: float, exponent: int) -> tuple[np.ndarray, np.ndarray]:
    """f'(z + side · 2^exponent · |z|), nearer to z than any float, and how far off that may be, (n,) each.

    At zero, 1 takes the place of |z|.
    """
    with precision(BITS_BESIDE):
        step = arb(side) * arb(2) ** exponent
        near = array_of((arb(x) + step * (abs(x) or 1.0) for x in z.tolist()), z.shape)
        middle, error = _midpoints_and_errors(_value_and_slope(f, near)[1], z.shape)
        return middle, known(middle, error)


def slopes_on(f: Activation, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends that enclose f' over the cells [low, high], (n,) each, infinite where nothing is known."""
    with precision(BITS_ON_CELLS):
        cells = array_of((arb(a).union(arb(b)) for a, b in zip(low.tolist(), high.tolist())), low.shape)
        balls = np.broadcast_to(np.asarray(_value_and_slope(f, cells)[1]), low.shape)
        ends = np.array([(float(ball.lower()), float(ball.upper())) for ball in balls]).reshape(-1, 2).T
        unknown = np.isnan(ends).any(axis=0)
        least, most = np.where(unknown, [[-np.inf], [np.inf]], np.nextafter(ends, [[-np.inf], [np.inf]]))
        return least, most


def _value_and_slope(f: Activation, Z: Balls) -> tuple[Balls, Balls]:
    A = exact(f.value(BALLS, variables(Z)))
    return values(A), slopes(A)


ORACLE = Oracle(measure)  # the same as a gradient source
