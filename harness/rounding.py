"""How far rounding alone can move a correctly computed cost and gradient: the bound B behind every verdict.

No tolerance is chosen by hand. A shadow pass evaluates the cost, the slopes and the products of backpropagation in an
arithmetic that carries error bounds (`harness.running_error`). The result covers every correct implementation of the
formulas, in any order of summation: the slopes by hand and the slopes by automatic differentiation are both evaluated,
for their formulas and so their errors differ, and B takes the larger of the two.

Where a pre-activation lies closer to a kink than its own error, the side is not decided, and the error becomes the
jump: the bound is wide just where nobody can know the slope. A bound that is not finite means that nothing can be
said.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from harness.running_error import Rounded, Tangent
from harness.tolerances import ELEMENTARY
from reference.activations import Activation
from reference.namespaces import NUMPY
from reference.problem import Problem


class Bound(NamedTuple):
    """What rounding can do to a correct cost, and to each coordinate of a correct gradient."""

    cost: float
    gradient: np.ndarray


def rounding_bound(problem: Problem, theta: np.ndarray, arithmetic: type[Rounded] = Rounded) -> Bound:
    """B for the cost and for each of the n coordinates of the gradient at θ.

    A is the activations and δ the derivatives in the pre-activations, each with its error bound; the gradient's bound
    follows from δᵀA/m + λ/m · W. `arithmetic` is `Rounded` for float64 and `Rounded32` for float32.
    """
    with np.errstate(all="ignore"):  # overflow makes a bound infinite, which says what is to be said
        exact = arithmetic.lift
        network, m = problem.network, problem.m
        weights = [exact(Theta[:, 1:]) for Theta in network.unpack(theta)]
        biases = [exact(Theta[:, 0]) for Theta in network.unpack(theta)]
        As, slopes = [exact(problem.X)], []
        for W, b, f in zip(weights, biases, network.hidden):
            Z = As[-1] @ _transpose(W) + b
            As.append(_value(f, Z))
            slopes.append(_slope(f, Z, As[-1]))
        Z = As[-1] @ _transpose(weights[-1]) + biases[-1]
        squares = sum(np.square(W).sum() for W in weights)
        l2 = exact(problem.l2)  # so that λ/m is rounded, too
        cost = network.output.loss(NUMPY, Z, exact(problem.Y)).sum() / m + l2 / (2 * m) * squares

        delta = network.output.predict(NUMPY, Z) - exact(problem.Y)
        bounds = []
        for layer in reversed(range(len(weights))):
            of_weights = delta.T @ As[layer] / m + l2 / m * weights[layer]
            of_biases = delta.sum(axis=0) / m
            bounds.append(np.column_stack([of_biases.error, of_weights.error]))
            if layer:
                delta = delta @ weights[layer] * slopes[layer - 1]
    return Bound(_finite_or_inf(cost.error), _finite_or_inf(network.pack(bounds[::-1])))


def _transpose(W: Rounded) -> Rounded:
    return type(W)(W.value.T, np.transpose(W.error))


def _evaluate(formula: Callable[[], Any], plain: Callable[[np.ndarray], np.ndarray], Z: Rounded) -> Rounded:
    """A formula in error arithmetic; one that calls what has no rule is sampled at both ends of the error bars."""
    try:
        result = formula()
    except (TypeError, AttributeError, LookupError, ValueError):  # whatever an array does that this arithmetic lacks
        middle, *ends = (plain(Z.value + shift * Z.error) for shift in (0.0, -1.0, 1.0))
        moved = np.maximum(*(np.abs(end - middle) for end in ends))
        return type(Z)(middle, moved + ELEMENTARY * Z.unit * (1.0 + np.abs(middle)))
    return result if isinstance(result, Rounded) else type(Z).lift(result)


def _value(f: Activation, Z: Rounded) -> Rounded:
    return _evaluate(lambda: f.value(NUMPY, Z), f, Z)


def _slope(f: Activation, Z: Rounded, A: Rounded) -> Rounded:
    """f'(Z), its value from the formula (the slope by hand may be wrong) and its error the larger of both ways."""

    def plain(z):
        return f.slope(z, f(z))

    by_hand = _evaluate(lambda: f.slope(Z, A), plain, Z)
    by_formula = _evaluate(lambda: f.value(NUMPY, Tangent(Z, 1.0)).slope, plain, Z)
    return type(Z)(by_formula.value, np.maximum(by_formula.error, by_hand.error))


def _finite_or_inf(error: Any) -> Any:
    return np.where(np.isnan(error), np.inf, error)[()]
