"""Gradients by differences: no derivative of an activation takes part.

Each comes with an estimate of its own error.

- `per_pre_activation`: the whole gradient of a network's cost. A change of the pre-activation z_l[:, i] of all examples
  at once gives ∂loss/∂z_l[:, i] for each of them, and ∂J/∂W_l = δᵀA/m follows, since z is affine in W. One unit costs
  what thousands of weights would.
- `along`: the derivative of the cost along a direction in θ. It does not assume that z is affine in W.
- `per_weight`: differences of the cost itself (`reference.arithmetics.central_differences`), for formulas that allow
  nothing better.
- `slope` and `plain_slope`: the same two ways for one activation.

All but the last resort carry increments through the formulas (`reference.arithmetics.increments`) instead of
subtracting costs. Nothing cancels, so the step can be as small as a rounding: the truncation vanishes, and only a unit
that sits exactly at a kink crosses it. There the slopes ahead and behind differ by the jump, declared or not, and their
gap is the error. Where a unit crosses a declared kink the error is infinite, since several jumps may cancel in the sum.
"""

from functools import partial
from typing import Any

import numpy as np

from reference.activations import Activation
from reference.arithmetics.central_differences import NOISE_GAIN, noise_of, sharpest
from reference.arithmetics.central_differences import STEP as STEP_OF_COSTS
from reference.arithmetics.central_differences import gradient as gradient_by_values
from reference.arithmetics.companion import FORMULA_ERRORS, NoRule, first_line, require_same
from reference.arithmetics.increments import Increment
from reference.measured import Measured, MeasuredSlope, NotApplicable, Oracle, known
from reference.namespaces import NUMPY
from reference.network import Network
from reference.problem import Problem

STEP = 2.0**-50
"""h for increments: below the spacing of doubles near 1, which increments can carry although z + h cannot be stored."""

STENCIL = STEP * np.array([1.0, -1.0])

NEAREST = -332
"""The exponent of the smallest |z| that `slope` takes for a scale, 1e-100: changes still have their digits there."""

UNDERFLOW = 16.0 * float(np.finfo(np.float64).tiny)
"""Changes lose their digits below the smallest normal number. Over `STEP`, a derivative is known to 4e-292 at best."""

ERROR_PER_CHANGE = 4.0
"""The error of a difference, over the change at twice the width, at most.

An error c hᵖ changes by c hᵖ (2ᵖ - 1): it is 1 times that if it grows like h, and 2.4 times if like √h beside a root.
"""

ROUNDINGS = 4.0
"""A central difference of increments evaluates the formulas at two points, and in twice as many operations.

So its rounding is within four times the bound of one gradient.
"""

ELEMENTS_AT_ONCE = 2**17  # one MiB of increments: the handful in use stay in the cache

AFFORDABLE = 10**8  # parameters times entries of X, for `per_weight`: some seconds

LARGEST_STEP = 1.0
"""In z: activations bend on a scale of about one, and the differences of a wider stencil say nothing of the slope."""


# The whole gradient


def gradient(problem: Problem, theta: np.ndarray) -> Measured:
    """J(θ) and dJ/dθ by the sharpest difference that the problem's activations allow.

    Raises NotApplicable when only plain differences are possible, and the network is too large for them.
    """
    try:
        return per_pre_activation(problem, theta)
    except NoRule as reason:
        if problem.network.size * problem.X.size > AFFORDABLE:
            raise NotApplicable(f"{reason}, and the network is too large for plain differences") from None
        return per_weight(problem, theta)


@np.errstate(all="ignore")
def per_pre_activation(problem: Problem, theta: np.ndarray) -> Measured:
    """J(θ) and dJ/dθ of shape (n,) by central differences of each unit's pre-activation.

    Raises NoRule when an activation calls a function that increments cannot be carried through.
    """
    network, m = problem.network, problem.m
    thetas = network.unpack(theta)
    sums = [np.zeros((2, *shape)) for shape in network.shapes]  # Σ δ [1, a], and the same for the error
    losses = 0.0
    at_once = _rows_at_once(network)
    for start in range(0, m, at_once):
        X, Y = problem.X[start : start + at_once], problem.Y[start : start + at_once]
        As, Zs = network.forward(thetas, X, lambda f, Z: f(Z))
        losses += network.output.loss(NUMPY, Zs[-1], Y).sum()
        # dJ/dW_l = δᵀ [1, A]/m with δ = ∂loss/∂z_l: what differences find is δ
        for layer, (A, total) in enumerate(zip(As, sums)):
            changes, crossed = _loss_changes(network, thetas, Zs, Y, layer)
            delta, error = _from_stencil(changes)
            one_and_A = np.column_stack([np.ones(len(A)), A])
            total[0] += delta @ one_and_A
            total[1] += np.where(crossed, np.inf, error) @ np.abs(one_and_A)
    for Theta, total in zip(thetas, sums):
        total /= m
        total[0, :, 1:] += problem.l2 / m * Theta[:, 1:]  # the penalty is a square, so its central difference is exact
    answer, error = (network.pack(parts) for parts in zip(*sums))
    error[~np.isfinite(answer)] = np.inf  # an overflow on the way to a difference
    cost = losses / m + problem.l2 / (2 * m) * network.squared_weights(NUMPY, theta)
    return Measured(float(cost), answer, error, ROUNDINGS)


def _rows_at_once(network: Network) -> int:
    widest = max(n * following for n, following in zip(network.sizes[1:], [*network.sizes[2:], network.sizes[-1]]))
    return max(1, ELEMENTS_AT_ONCE // (len(STENCIL) * widest))


def _loss_changes(network: Network, thetas: list, Zs: list, Y: np.ndarray, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """How much each loss changes when one unit's z moves by a step of the stencil, and where that crosses a kink.

    Of a layer of n units and m examples: changes (2, n, m), and whether any unit crosses a declared kink, (n, m).
    """
    # axes: s steps (2), i units that are moved (n), e examples (m), j units that the move has reached, one layer on
    steps = STENCIL.reshape(-1, 1, 1)
    if layer == len(Zs) - 1:  # every output is moved by itself, for all examples alike
        change = steps[..., np.newaxis] * np.eye(Y.shape[1])[:, np.newaxis]  # (s, i, 1, j)
        crossed = np.zeros((1, 1, 1), dtype=bool)
    else:  # a moved unit changes its own activation alone, and by its weights all units of the next layer
        f, Z = network.hidden[layer], Zs[layer]
        change = np.einsum("sei,ji->siej", _through(f, Z, steps), thetas[layer + 1][:, 1:])
        crossed = _crosses(f, Z.T[..., np.newaxis], steps[..., np.newaxis])  # (s, i, e)
    for behind in range(layer + 1, len(Zs) - 1):
        f, Z = network.hidden[behind], Zs[behind]  # Z: (e, j)
        crossed = crossed | _crosses(f, Z, change)
        change = _through(f, Z, change) @ thetas[behind + 1][:, 1:].T
    loss = network.output.loss(NUMPY, Increment(Zs[-1], change), Y)
    return loss.change, np.any(crossed, axis=0)


def _from_stencil(changes: Any, h: Any = STEP) -> tuple[np.ndarray, np.ndarray]:
    """The derivative from the changes at +h and -h along the first axis; the error is the gap between both slopes."""
    # the slopes are ahead/h and -behind/h; of |z| at 0 these are 1 and -1, so the derivative is 0 and the error 2
    ahead, behind = changes
    return (ahead - behind) / (2.0 * h), np.abs(ahead + behind) / h + UNDERFLOW / h


def _crosses(f: Activation, z: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Whether a unit of the last axis leaves its side of a kink; one that sits on a kink leaves it at once."""
    crossed = np.zeros(np.broadcast_shapes(z.shape, change.shape)[:-1], dtype=bool)
    for kink in f.kinks:
        before, after = np.sign(z - kink), np.sign((z - kink) + change)  # and not z + change, which rounds
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
    a = Increment.lifted(_carried(f, Increment(z, change)))
    return np.broadcast_to(a.change, np.broadcast_shapes(z.shape, change.shape))


@np.errstate(all="ignore")
def per_weight(problem: Problem, theta: np.ndarray) -> Measured:
    """J(θ) and dJ/dθ by plain differences, one parameter at a time: for formulas that increments cannot pass."""
    network, m = problem.network, problem.m

    def terms(theta):
        # the m terms whose sum is the cost, each with its share of the penalty: large terms then cancel one by one
        return problem.losses(NUMPY, theta) / m + problem.l2 / (2 * m * m) * network.squared_weights(NUMPY, theta)

    answer, error = _settled_differences(terms, partial(_hidden_z, problem), theta)
    return Measured(float(problem.cost(NUMPY, theta)), answer, error, ROUNDINGS)


def _settled_differences(cost: Any, hidden_z: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Plain differences of cost(x) in each x, with errors that include the change to narrower stencils, (n,) each.

    One estimate can be small by chance. The error is infinite where three widths, 1, 1/10 and 1/100, do not settle, or
    where the widest step moves an entry of hidden_z(x) too far.
    """
    step = STEP_OF_COSTS * np.maximum(1.0, np.abs(x))
    derivative, error = gradient_by_values(cost, x)
    narrower, narrowest = (gradient_by_values(cost, x, share * STEP_OF_COSTS)[0] for share in (0.1, 0.01))
    noise = NOISE_GAIN * noise_of(cost(x)) / (0.01 * step)  # of the narrowest difference
    error = error + np.abs(derivative - narrower)
    change = np.maximum(np.abs(narrower - narrowest) - noise, 0.0)
    is_settled = (change <= error) & (_largest_moves(hidden_z, x, 4.0 * step) <= LARGEST_STEP)
    return derivative, np.where(is_settled, error + change, np.inf)


def _hidden_z(problem: Problem, theta: np.ndarray) -> np.ndarray:
    """The z of all hidden units, after a zero for networks that have none."""
    _, Zs = problem.network.forward(problem.network.unpack(theta), problem.X, lambda f, Z: f(Z))
    return np.concatenate([np.zeros(1), *(Z.ravel() for Z in Zs[:-1])])


def _largest_moves(function: Any, x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The largest move of an entry of function(x) by a step in each x, (n,)."""
    here, moves = function(x), np.empty(len(x))
    for i, step in enumerate(steps):
        moved = x.copy()
        moved[i] += step
        moves[i] = np.abs(function(moved) - here).max()
    return moves


# Along directions


@np.errstate(all="ignore")
def along(problem: Problem, theta: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The derivatives of the cost along directions in θ, (d, n), and their errors, (d,) each."""
    try:
        return _carried_along(problem, theta, directions)
    except NoRule:

        def cost(ts):
            return problem.cost(NUMPY, theta + ts @ directions)

        def hidden_z(ts):
            return _hidden_z(problem, theta + ts @ directions)

        return _settled_differences(cost, hidden_z, np.zeros(len(directions)))


def _carried_along(problem: Problem, theta: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    network, m = problem.network, problem.m
    steps = np.einsum("s,dn->sdn", np.concatenate([STENCIL, 2.0 * STENCIL]), directions)
    matrices = [Increment(*pair) for pair in zip(network.unpack(theta), network.unpack_many(steps))]
    _, Zs = network.forward(matrices, problem.X, _carried)
    losses = network.output.loss(NUMPY, Zs[-1], problem.Y)
    # the penalty by itself: a square has an exact increment
    of_weights: list[Any] = [np.square(Theta[..., 1:]) for Theta in matrices]
    squares = sum(square.change.sum(axis=(-2, -1)) for square in of_weights)
    changes = losses.change.sum(axis=-1) / m + problem.l2 / (2 * m) * squares
    (derivative, gap), (twice_as_wide, _) = _from_stencil(changes[:2]), _from_stencil(changes[2:], 2.0 * STEP)
    error = gap + ERROR_PER_CHANGE * np.abs(twice_as_wide - derivative)  # units at kinks may cancel in one of the two
    crossed = [_crosses(f, Z.value, Z.change[:2]).any(axis=(0, -1)) for f, Z in zip(network.hidden, Zs)]  # (d,) each
    return derivative, np.where(np.any(crossed, axis=0), np.inf, error)


# One activation


@np.errstate(all="ignore")
def slope(f: Activation, z: np.ndarray) -> MeasuredSlope:
    """f(z) and f'(z) by increments, at z of shape (n,); the error is the gap between both sides, or two widths.

    Raises NoRule when the formula calls what increments cannot pass, or takes another branch for them than for plain
    numbers.
    """
    step = np.ldexp(STEP, np.clip(np.frexp(z)[1], NEAREST, 0))  # a formula in 1/z bends on the scale of z
    (derivative, gap), (twice_as_wide, _) = (
        _from_stencil([_change(f, z, h), _change(f, z, -h)], h) for h in (step, 2.0 * step)
    )
    error = known(derivative, gap + ERROR_PER_CHANGE * np.abs(twice_as_wide - derivative))
    return MeasuredSlope(f(z.copy()), derivative, error, ROUNDINGS)


def _change(f: Activation, z: np.ndarray, step: np.ndarray) -> np.ndarray:
    a = Increment.lifted(f.value(NUMPY, Increment(z, step)))
    # a formula that asks for the type of its argument may take another branch here
    require_same(a.value, f(z.copy()))
    return np.broadcast_to(a.change, z.shape)


@np.errstate(all="ignore")
def plain_slope(f: Activation, z: np.ndarray, noise: np.ndarray) -> MeasuredSlope:
    """f(z) and f'(z) from values of f alone, each of them good to `noise`, (n,): where `slope` has no answer."""
    derivative, error = sharpest(lambda x: np.asarray(f.moved(z, x - z), dtype=np.float64), z, noise)
    return MeasuredSlope(f(z.copy()), derivative, known(derivative, error), ROUNDINGS)


ORACLE = Oracle(gradient)  # the same as a gradient source
