"""Gradients by differences: no derivative of an activation takes part.

Each comes with an estimate of its own error:

- `per_pre_activation`: the whole gradient of a network's cost. Changing the pre-activation z_l[:, i] of all examples at
  once gives ∂loss/∂z_l[:, i] for each of them, and ∂J/∂W_l = δᵀA/m follows, since z is affine in W. One unit costs what
  thousands of weights would.
- `along`: the derivative of the cost along a direction in θ, end to end; it does not assume that z is affine in W.
- `per_weight`: plain differences of the cost (`reference.oracles.black_box`), where a formula allows nothing better.

The first two carry increments through the formulas (`reference.arithmetics.increments`) instead of subtracting costs.
Nothing cancels, so the step can be as small as a rounding: truncation, h² times a third derivative, vanishes, and only
a unit that sits exactly at a kink crosses it. The error is then read off the two sides: the slopes ahead and behind,
which a smooth function shows equal, differ by the jump at a kink, declared or not. Where a unit crosses a declared
kink, several jumps may cancel in the sum, so the error is infinite.
"""

from typing import Any

import numpy as np

from reference.activations import Activation
from reference.arithmetics.companion import FORMULA_ERRORS, NoRule, first_line
from reference.arithmetics.increments import Increment
from reference.measured import Measured, NotApplicable
from reference.namespaces import NUMPY
from reference.network import Network
from reference.oracles import black_box
from reference.problem import Problem

STEP = 2.0**-50
"""h for increments: below the spacing of doubles near 1, which increments can carry although z + h cannot be stored."""

STENCIL = STEP * np.array([1.0, -1.0])

ROUNDINGS = 4.0
"""A central difference of increments evaluates the formulas at two points, and in twice as many operations."""

ELEMENTS_AT_ONCE = 2**17  # one MiB of increments: the handful in use stay in the cache


def _from_stencil(changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The derivative from the changes at +h and -h along the first axis; the error is the gap between both slopes."""
    ahead, behind = changes
    return (ahead - behind) / (2.0 * STEP), np.abs(ahead + behind) / STEP


def _crosses(f: Activation, z: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Whether a unit of the last axis leaves its side of a kink; one that sits on a kink leaves it at once."""
    crossed = np.zeros(np.broadcast_shapes(z.shape, change.shape)[:-1], dtype=bool)
    for kink in f.kinks:
        before, after = np.sign(z - kink), np.sign(z + change - kink)
        crossed |= ((before != after) | (before == 0.0) & (change != 0.0)).any(axis=-1)
    return crossed


def _carried(f: Activation, Z: Any) -> Any:
    try:
        return f.value(NUMPY, Z)
    except NoRule:
        raise
    except FORMULA_ERRORS as reason:
        raise NoRule(f"{f.name}: its formula does not take increments ({first_line(reason)})") from reason


def _through(f: Activation, z: np.ndarray, change: np.ndarray) -> np.ndarray:
    """The change of f(z)."""
    a = _carried(f, Increment(z, change))
    return np.broadcast_to(a.change if isinstance(a, Increment) else 0.0, np.broadcast_shapes(z.shape, change.shape))


def _loss_changes(
    network: Network, layer: int, weights: list, Zs: list, Y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How each example's loss changes when one unit's pre-activation changes by the stencil's steps: (2, units, m).

    And whether any unit, this one or one behind it, crosses a kink on the way: (units, m).
    """
    steps = STENCIL[:, np.newaxis, np.newaxis]
    if layer == len(Zs) - 1:
        change = steps[..., np.newaxis] * np.eye(len(weights[layer]))[:, np.newaxis, :]
        crossed = np.zeros((len(STENCIL), 1, 1), dtype=bool)
    else:
        f, Z = network.hidden[layer], Zs[layer]
        own = _through(f, Z, steps).transpose(0, 2, 1)[..., np.newaxis]
        change = own * weights[layer + 1].T[:, np.newaxis, :]
        crossed = _crosses(f, Z.T[..., np.newaxis], steps[..., np.newaxis])
    for below in range(layer + 1, len(Zs) - 1):
        f = network.hidden[below]
        crossed = crossed | _crosses(f, Zs[below], change)
        change = _through(f, Zs[below], change) @ weights[below + 1].T
    loss = network.output.loss(NUMPY, Increment(Zs[-1], change), Y)
    return loss.change, np.any(crossed, axis=0)


def _rows_at_once(network: Network) -> int:
    widest = max(n * following for n, following in zip(network.sizes[1:], [*network.sizes[2:], network.sizes[-1]]))
    return max(1, ELEMENTS_AT_ONCE // (len(STENCIL) * widest))


def per_pre_activation(problem: Problem, theta: np.ndarray) -> Measured:
    """J(θ) and dJ/dθ of shape (n,) by central differences of each unit's pre-activation.

    Raises
    ------
    NoRule
        When an activation calls a function that increments cannot be carried through.
    """
    network, m = problem.network, problem.m
    thetas = network.unpack(theta)
    weights = [Theta[:, 1:] for Theta in thetas]
    sums = [np.zeros((2, *Theta.shape)) for Theta in thetas]  # Σ δ [1, a], and the same for the error
    losses = 0.0
    with np.errstate(all="ignore"):
        for start in range(0, m, _rows_at_once(network)):
            rows = slice(start, start + _rows_at_once(network))
            As, Zs, Y = [problem.X[rows]], [], problem.Y[rows]
            for Theta, f in zip(thetas, (*network.hidden, None)):
                Zs.append(As[-1] @ Theta[:, 1:].T + Theta[:, 0])
                if f:
                    As.append(f(Zs[-1]))
            losses += network.output.loss(NUMPY, Zs[-1], Y).sum()
            for layer, A in enumerate(As):
                changes, crossed = _loss_changes(network, layer, weights, Zs, Y)
                delta, error = _from_stencil(changes)
                error = np.where(crossed, np.inf, error)
                one_and_A = np.column_stack([np.ones(len(A)), A])
                sums[layer][0] += delta @ one_and_A
                sums[layer][1] += error @ np.abs(one_and_A)
        # the penalty is a square, so its central difference is exact
        penalty = [np.column_stack([np.zeros(len(W)), problem.l2 * W]) for W in weights]
        gradient = network.pack([(total[0] + own) / m for total, own in zip(sums, penalty)])
        cost = losses / m + problem.l2 / (2 * m) * network.squared_weights(NUMPY, theta)
    return Measured(float(cost), gradient, network.pack([total[1] / m for total in sums]), ROUNDINGS)


def per_weight(problem: Problem, theta: np.ndarray) -> Measured:
    """J(θ) and dJ/dθ by plain differences, one parameter at a time: for formulas that increments cannot pass."""
    network, m = problem.network, problem.m

    def terms(theta):
        return problem.losses(NUMPY, theta) / m + problem.l2 / (2 * m * m) * network.squared_weights(NUMPY, theta)

    with np.errstate(all="ignore"):
        gradient, error = _confirmed(terms, lambda moved: _pre_activations(problem, moved), theta)
        return Measured(float(problem.cost(NUMPY, theta)), gradient, error, ROUNDINGS)


AFFORDABLE = 10**8  # parameters times entries of X, for `per_weight`: some seconds


def gradient(problem: Problem, theta: np.ndarray) -> Measured:
    """J(θ) and dJ/dθ by the sharpest difference that the problem's activations allow.

    Raises
    ------
    NotApplicable
        When only plain differences are possible, and the network is too large for them.
    """
    try:
        return per_pre_activation(problem, theta)
    except NoRule as reason:
        if problem.network.size * problem.X.size > AFFORDABLE:
            raise NotApplicable(f"{reason}, and the network is too large for plain differences") from None
        return per_weight(problem, theta)


def along(problem: Problem, theta: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The derivatives of the cost along directions in θ, of shape (d, n), end to end: (d,), and their errors."""
    with np.errstate(all="ignore"):
        try:
            return _carried_along(problem, theta, directions)
        except NoRule:
            return _stepped_along(problem, theta, directions)


def _carried_along(problem: Problem, theta: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    network, m = problem.network, problem.m
    steps = (STENCIL[:, np.newaxis, np.newaxis] * directions).reshape(-1, network.size)
    moves = zip(*(network.unpack(step) for step in steps))  # per layer, one matrix for each step
    *hidden, last = [
        Increment(Theta.T, np.stack(move).transpose(0, 2, 1)) for Theta, move in zip(network.unpack(theta), moves)
    ]
    A: Any = problem.X
    crossed = np.zeros(len(steps), dtype=bool)
    for P, f in zip(hidden, network.hidden):
        Z = A @ P[..., 1:, :] + P[..., :1, :]
        crossed |= _crosses(f, Z.value, Z.change).any(axis=-1)
        A = _carried(f, Z)
    losses = network.output.loss(NUMPY, A @ last[..., 1:, :] + last[..., :1, :], problem.Y)
    squares = sum(np.square(P[..., 1:, :]).change.sum(axis=(1, 2)) for P in (*hidden, last))
    changes = losses.change.sum(axis=-1) / m + problem.l2 / (2 * m) * squares
    derivative, error = _from_stencil(changes.reshape(len(STENCIL), -1))
    return derivative, np.where(crossed.reshape(len(STENCIL), -1).any(axis=0), np.inf, error)


def _stepped_along(problem: Problem, theta: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    def along_all(ts: np.ndarray) -> Any:
        return problem.cost(NUMPY, theta + ts @ directions)

    def hidden(ts: np.ndarray) -> np.ndarray:
        return _pre_activations(problem, theta + ts @ directions)

    return _confirmed(along_all, hidden, np.zeros(len(directions)))


def _pre_activations(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """The z of all hidden units and examples."""
    Zs, A = [np.zeros(1)], problem.X
    for Theta, f in zip(problem.network.unpack(theta), problem.network.hidden):
        Z = A @ Theta[:, 1:].T + Theta[:, 0]
        Zs.append(Z.ravel())
        A = f(Z)
    return np.concatenate(Zs)


LARGEST_STEP = 1.0
"""In z: activations turn on a scale of about one, and a stencil that is wider takes any difference for the slope."""


def _confirmed(fun: Any, hidden: Any, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Plain differences whose error counts what narrower stencils say: one estimate can be small by chance.

    The error is infinite where three widths, 1, 1/10 and 1/100, do not settle, or the widest step of a z is too large.
    """
    size = black_box.STEP * np.maximum(1.0, np.abs(theta))
    derivative, error = black_box.gradient(fun, theta)
    narrower, narrowest = (black_box.gradient(fun, theta, step=share * black_box.STEP)[0] for share in (0.1, 0.01))
    noise = black_box.NOISE_GAIN * black_box.noise_of(fun(theta.copy())) / (0.01 * size)
    error = error + np.abs(derivative - narrower)
    moved = np.maximum(np.abs(narrower - narrowest) - noise, 0.0)
    settled = (moved <= error) & (_steps(hidden, theta, 4.0 * size) <= LARGEST_STEP)
    return derivative, np.where(settled, error + moved, np.inf)


def _steps(hidden: Any, theta: np.ndarray, size: np.ndarray) -> np.ndarray:
    """How far the hidden units' z move with each coordinate of θ."""
    Z, steps = hidden(theta), np.empty(len(theta))
    for i in range(len(theta)):
        moved = theta.copy()
        moved[i] += size[i]
        steps[i] = np.abs(hidden(moved) - Z).max()
    return steps
