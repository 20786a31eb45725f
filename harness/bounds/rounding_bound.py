"""How far rounding alone can move a correctly computed cost and gradient: the bound B behind every verdict.

No tolerance is chosen by hand. A shadow pass evaluates the cost, the slopes and the products of backpropagation in an
arithmetic that carries error bounds (`reference.arithmetics.rounded`). The result covers every evaluation of these
formulas whose elementary functions are as good as `reference.arithmetics.roundoff` says: sums in any order, slopes by
hand or by automatic differentiation. Those two are both evaluated, for their formulas and so their errors differ, and B
takes the larger of the two. It does not cover a formula that was rewritten, such as log(1 + exp(z)) for a softplus that
is stated stably.

Where a pre-activation lies closer to a kink than its own error, the side is not decided, and the error becomes the
jump: the bound is wide just where nobody can know the slope. A bound that is not finite means that nothing can be
said.

An activation that calls what has no rule is sampled instead, and a note says so. Its slope then comes from differences
of its values: the slope by hand counts only where they confirm it, for it may be the very thing that is wrong.
"""

from typing import Any, NamedTuple

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, evaluate
from reference.activations import Activation
from reference.arithmetics.companion import first_line
from reference.arithmetics.rounded import Rounded
from reference.arithmetics.roundoff import ELEMENTARY
from reference.arithmetics.tangent import Tangent
from reference.namespaces import NUMPY
from reference.problem import Problem

STEP = 1e-5
"""For differences of a sampled formula: truncation, h², and rounding, u/h, are both about 1e-11."""

SETTLED = 1e-3
"""Differences in doubt by more than this share tell nothing: the formula turns within a step, or has a kink there."""


class Bound(NamedTuple):
    """What rounding can do to a correct cost, and to each coordinate of a correct gradient."""

    cost: float
    gradient: np.ndarray
    notes: tuple[str, ...] = ()


def rounding_bound(problem: Problem, theta: np.ndarray, arithmetic: type[Rounded] = Rounded) -> Bound:
    """B for the cost and for each of the n coordinates of the gradient at θ.

    A is the activations and δ the derivatives in the pre-activations, each with its error bound; the gradient's bound
    follows from δᵀA/m + λ/m · W. `arithmetic` is `Rounded` for float64 and `Rounded32` for float32. The notes name the
    activations whose rounding is sampled, not bounded.
    """
    sampled: dict[str, str] = {}
    with np.errstate(all="ignore"):  # overflow makes a bound infinite, which says what is to be said
        lift = arithmetic.lift
        network, m = problem.network, problem.m
        weights = [lift(Theta[:, 1:]) for Theta in network.unpack(theta)]
        biases = [lift(Theta[:, 0]) for Theta in network.unpack(theta)]
        As, slopes = [lift(problem.X)], []
        for W, b, f in zip(weights, biases, network.hidden):
            Z = As[-1] @ W.T + b
            As.append(_value(f, Z, sampled))
            slopes.append(_slope(f, Z, As[-1], sampled))
        Z = As[-1] @ weights[-1].T + biases[-1]
        squares = sum(np.square(W).sum() for W in weights)
        l2 = lift(problem.l2)  # so that λ/m is rounded, too
        cost = network.output.loss(NUMPY, Z, lift(problem.Y)).sum() / m + l2 / (2 * m) * squares

        delta = network.output.predict(NUMPY, Z) - lift(problem.Y)
        bounds = []
        for layer in reversed(range(len(weights))):
            of_weights = delta.T @ As[layer] / m + l2 / m * weights[layer]
            of_biases = delta.sum(axis=0) / m
            bounds.append(np.column_stack([of_biases.error, of_weights.error]))
            if layer:
                delta = delta @ weights[layer] * slopes[layer - 1]
    notes = [f"rounding in {name} is sampled, not bounded ({reason})" for name, reason in sampled.items()]
    return Bound(_finite_or_inf(cost.error), _finite_or_inf(network.pack(bounds[::-1])), tuple(notes))


def _value(f: Activation, Z: Rounded, sampled: dict[str, str]) -> Rounded:
    return evaluate(f.name, lambda: f.value(NUMPY, Z), f, Z, sampled)


def _slope(f: Activation, Z: Rounded, A: Rounded, sampled: dict[str, str]) -> Rounded:
    """f'(Z), its value from the formula (the slope by hand may be wrong) and its error the larger of both ways."""
    by_hand = evaluate(f.name, lambda: f.slope(Z, A), lambda z: f.slope(z, f(z)), Z, sampled)
    try:
        tangent = f.value(NUMPY, Tangent(Z, 1.0))
    except FORMULA_ERRORS as reason:
        sampled.setdefault(f.name, first_line(reason))
        return _confirmed(by_hand, *_differenced(f, Z.value))
    slope = tangent.slope if isinstance(tangent, Tangent) else 0.0
    by_formula = slope if isinstance(slope, Rounded) else type(Z).lift(slope)
    return type(Z)(by_formula.value, np.maximum(by_formula.error, by_hand.error))


def _differenced(f: Activation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f'(z) by central differences at two widths, and an estimate of the error.

    The gap between the slopes ahead and behind shrinks with the width where f is smooth; what remains of it is a jump.
    """
    middle = f(z)
    slopes, gaps = [], []
    for width in (STEP, STEP / 8.0):
        h = (z + width * np.maximum(1.0, np.abs(z))) - z
        ahead, behind = (f(z + h) - middle) / h, (middle - f(z - h)) / h
        slopes.append(0.5 * (ahead + behind))
        gaps.append(np.abs(ahead - behind))
    jump = np.maximum(8.0 * gaps[1] - gaps[0], 0.0) / 7.0
    return slopes[0], 2.0 * np.abs(slopes[0] - slopes[1]) + jump + ELEMENTARY * Rounded.unit * np.abs(middle) / h


def _confirmed(by_hand: Rounded, slope: np.ndarray, error: np.ndarray) -> Rounded:
    """The slope by hand where differences confirm it, else their own; where they do not settle, nothing is known."""
    confirmed = np.abs(by_hand.value - slope) <= error
    error = np.where(error <= SETTLED * np.maximum(1.0, np.abs(slope)), np.where(confirmed, 0.0, error), np.inf)
    return type(by_hand)(np.where(confirmed, by_hand.value, slope), np.maximum(by_hand.error, error))


def _finite_or_inf(error: Any) -> Any:
    return np.where(np.isnan(error), np.inf, error)[()]
