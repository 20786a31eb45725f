"""The bound B on rounding in a correct cost and gradient, which stands behind every verdict.

No tolerance is chosen by hand. A shadow pass evaluates the cost, the slopes and the products of backpropagation in an
arithmetic that carries error bounds (`reference.arithmetics.rounded`). B covers every evaluation of these formulas
whose elementary functions are as good as `reference.arithmetics.elementary` states: sums in any order, slopes by hand
or by automatic differentiation. These two formulas have different errors, and B is the larger one.

B also covers other arrangements of these formulas, many of which subtract from 1 near saturation: σ' is σ(z) σ(-z) or
a (1 - a), tanh' is 1 - a², Φ is ½ (1 + erf), σ is ½ + ½ tanh(z/2), p - y is expm1(log p), the loss is -log p. What they
subtract is an elementary function of size 1, off by 8 u, or the square of one. So no slope, value, prediction or loss
is known to better than `FROM_ONE` roundings of 1, however small it is; of s, where a slope is bounded by s.

Where a pre-activation lies closer to a kink than its own error, its side is undecided and the error is the jump: the
bound is wide exactly where the slope is unknowable. An infinite bound means that nothing is known.

An activation that calls a function without a rule is sampled instead, and a note says so. Its slope then comes from
differences of its values. The slope by hand is used only where these confirm it, since it may be wrong itself.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, activation_bound, evaluate
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.activations import Activation
from reference.arithmetics.central_differences import NOISE_ROUNDINGS, Differences, difference
from reference.arithmetics.companion import first_line
from reference.arithmetics.rounded import Rounded
from reference.arithmetics.roundoff import ELEMENTARY, infinite_where_nan
from reference.arithmetics.tangent import Tangent
from reference.namespaces import NUMPY
from reference.problem import Problem

FROM_ONE = 2 * ELEMENTARY  # roundings of 1 that a difference from 1 may be off by: 1 - a² where a is off by 8 u

REACHED = np.linspace(-6.0, 6.0, 49)
"""Where slopes are of their usual size. One that is more than twice as large 50 times farther out, as that of exp, has
no bound."""

STEP = 1e-5  # for differences of a sampled formula: rounding, u/h, is then about 1e-11, and truncation no more

SETTLED = 1e-3
"""Differences with a larger error than this share are useless: the formula turns within a step, or has a kink there.
What is good to a thousandth still excludes a slope that is wrong by a factor."""

FLOATS_BESIDE = 4
"""Distance, in floats, from a place that a formula treats separately, as where(z == 0, 1, sin(z)/z) does: there it is
as it is nearby."""

BESIDE_ZERO = 1e-200
"""The same distance from zero: near enough for any formula, and far enough that nothing underflows in float64."""


class Bound(NamedTuple):
    """Bounds on rounding in a correct cost and in each coordinate of a correct gradient."""

    # their bounds
    cost: float
    gradient: np.ndarray
    notes: tuple[Fact, ...] = ()  # which activations are sampled
    # the gradient and the cost themselves
    value: np.ndarray | float = np.nan
    cost_value: float = np.nan
    # the bound on a cost that computes log(1 - p) from p, whose digits are lost where p is nearly 1
    cost_from_one: float = 0.0

    def has_lost_digits(self, cost: float) -> bool:
        """Whether a cost is right only as one that computes log(1 - p) from p."""
        with np.errstate(all="ignore"):
            return bool(self.cost < np.abs(cost - self.cost_value) <= self.cost_from_one)


def rounding_bound(problem: Problem, theta: np.ndarray, arithmetic: type[Rounded] = Rounded) -> Bound:
    """B for the cost and for each of the n coordinates of the gradient at θ.

    A is the activations and δ the derivatives in the pre-activations, each with its error bound; the gradient's bound
    follows from δᵀA/m + λ/m · W. `arithmetic` is `Rounded` for float64 and `Rounded32` for float32. The notes name the
    activations whose rounding is sampled, not bounded.
    """
    reasons: dict[str, str] = {}  # by the names of activations

    def value_and_slope(f: Activation, Z: Rounded) -> tuple[Rounded, Rounded]:
        A, slope, reason = activate(f, Z)
        if reason:
            reasons.setdefault(f.name, reason)
        return A, slope

    cost, gradient = shadow_pass(problem, theta, arithmetic, value_and_slope)
    notes = tuple(note(Kind.SAMPLED_ROUNDING, name, reason=reason) for name, reason in reasons.items())
    return Bound(
        cost.error,
        gradient.error,
        notes,
        value=gradient.value,
        cost_value=cost.value,
        cost_from_one=cost.error + _lost_from_one(problem, theta, arithmetic.unit),
    )


def _lost_from_one(problem: Problem, theta: np.ndarray, unit: float) -> float:
    """How far -y log p - (1 - y) log(1 - p) may be off where p, off by `FROM_ONE` roundings of 1, is nearly 0 or 1.

    What is nearer to 1 than a rounding gives an infinite cost, which has no bound.
    """
    if problem.network.output.name != "sigmoid":
        return 0.0
    off = FROM_ONE * unit
    with np.errstate(all="ignore"):
        Z = problem.network.pre_activations(NUMPY, theta, problem.X)
        error = 0.0
        for weight, z in ((problem.Y, Z), (1.0 - problem.Y, -Z)):  # log p, and log(1 - p) = log σ(-z)
            log_p = -np.logaddexp(0.0, -z)
            p = np.exp(log_p)
            ends = np.log(p + off) - log_p, log_p - np.log(np.maximum(p - off, unit))
            error += float(np.sum(weight * np.where(p >= unit, np.maximum(*ends), 0.0)))
    return error / problem.m


def shadow_pass(
    problem: Problem,
    theta: np.ndarray,
    arithmetic: type[Rounded],
    value_and_slope: Callable[[Activation, Rounded], tuple[Rounded, Rounded]],
) -> tuple[Rounded, Rounded]:
    """Cost and gradient, (n,), with bounds on their rounding, which are infinite where they are unknown.

    `value_and_slope(f, Z)` returns f(Z) and f'(Z) of a hidden layer.
    """
    network, lift = problem.network, arithmetic.lift
    slopes: list[Rounded] = []

    def activate_and_keep_slope(f: Activation, Z: Rounded) -> Rounded:
        A, slope = value_and_slope(f, Z)
        slopes.append(slope)
        return A

    with np.errstate(all="ignore"):  # an overflow makes a bound infinite, as it should be
        thetas = network.unpack(lift(theta))
        As, Zs = network.forward(thetas, lift(problem.X), activate_and_keep_slope)
        Y, l2 = lift(problem.Y), lift(problem.l2)  # so that λ/m is rounded, too
        known_to = 0.0 if network.output.name == "linear" else FROM_ONE  # of predictions in [0, 1]

        losses = _no_better(network.output.loss(NUMPY, Zs[-1], Y), known_to * network.sizes[-1])
        squares = network.squared_weights(NUMPY, lift(theta))
        penalty = _in_any_order(l2 / (2 * problem.m) * squares, l2 * squares)
        cost = losses.sum() / problem.m + penalty

        delta = _no_better(network.output.predict(NUMPY, Zs[-1]), known_to) - Y
        gradients = _layer_gradients(thetas, As, slopes, delta, l2, problem.m)
        values = network.pack([np.column_stack([b.value, W.value]) for b, W in gradients])
        errors = network.pack([np.column_stack([b.error, W.error]) for b, W in gradients])
    return arithmetic(cost.value, infinite_where_nan(cost.error)), arithmetic(values, infinite_where_nan(errors))


def _layer_gradients(
    thetas: Sequence[Any], As: Sequence[Rounded], slopes: Sequence[Rounded], delta: Any, l2: Rounded, m: int
) -> list[tuple[Rounded, Rounded]]:
    """dJ/db_l and dJ/dW_l of each layer, from A_{l-1}, the hidden layers' slopes, and δ of the output.

    δ = m ∂cost/∂Z goes from the output down: δ_l = (δ_{l+1} W_{l+1}) f'(Z_l).
    """
    gradients = []
    for layer in reversed(range(len(thetas))):
        weights = thetas[layer][:, 1:]
        decay = _in_any_order(l2 / m * weights, l2 * weights)
        gradients.append((delta.sum(axis=0) / m, delta.T @ As[layer] / m + decay))
        if layer:
            delta = delta @ weights * slopes[layer - 1]
    return gradients[::-1]


def _in_any_order(x: Rounded, undivided: Rounded) -> Rounded:
    """A quotient whose error is infinite where the undivided number overflows: an implementation may divide last."""
    return type(x)(x.value, np.where(np.isfinite(undivided.value), x.error, np.inf))


def activate(f: Activation, Z: Rounded) -> tuple[Rounded, Rounded, str]:
    """f(Z) and f'(Z) with their errors; and why f was sampled, if it was."""
    A, no_rule_for_value = evaluate(lambda: f.value(NUMPY, Z), f, Z)
    A = _nearby(f, Z, A)
    steepest, is_bounded = _steepest_and_is_bounded(f)
    # an unbounded value may be a product with z, as z σ(z) is; beyond ±40 σ is 0 or 1
    factor = 1.0 if is_bounded else np.clip(np.abs(Z.value), 1.0, 40.0)
    slope, no_rule_for_slope = _slope(f, Z, A)
    reason = no_rule_for_value or no_rule_for_slope
    return _no_better(A, FROM_ONE * steepest * factor), _no_better(slope, FROM_ONE * steepest), reason


def _no_better(x: Rounded, roundings: Any) -> Rounded:
    """A number with an error of at least so many roundings of 1."""
    return type(x)(x.value, np.maximum(x.error, x.unit * roundings))


@lru_cache(maxsize=256)
def _steepest_and_is_bounded(f: Activation) -> tuple[float, bool]:
    """The largest |f'|, or 0 where slopes have no bound, as those of exp; and whether values have one."""
    both = REACHED, 50.0 * REACHED
    try:
        with np.errstate(all="ignore"):
            slope, slope_far_out = (np.abs(f(z + STEP) - f(z - STEP)).max() / (2.0 * STEP) for z in both)
            value, value_far_out = (np.abs(f(z.copy())).max() for z in both)
    except FORMULA_ERRORS:
        return 0.0, True
    return float(slope) if slope_far_out <= 2.0 * slope else 0.0, bool(value_far_out <= 2.0 * value)


def _nearby(f: Activation, Z: Rounded, A: Rounded) -> Rounded:
    """f(Z) with errors from its values beside Z, where a branch that is not taken there makes the error infinite.

    A removable singularity is such a place, as in ``where(z == 0, 1, sin(z)/z)``. At a pole or a jump the values beside
    it stay apart, and the error stays infinite.
    """
    error = np.array(np.broadcast_to(A.error, np.shape(A.value)), dtype=float)
    at = np.isfinite(A.value) & np.isfinite(Z.error) & ~np.isfinite(error)
    if not at.any():
        return A
    z, reach = (np.broadcast_to(part, error.shape)[at] for part in (Z.value, Z.error))
    moved = moves_beside(f, z, reach, type(Z))
    error[at] = np.where(moved <= SETTLED * np.maximum(1.0, np.abs(A.value[at])), moved, np.inf)
    return type(Z)(A.value, error)


def moves_beside(f: Activation, z: np.ndarray, reach: np.ndarray, arithmetic: type[Rounded] = Rounded) -> np.ndarray:
    """The distance of f(z) from the values at z ± reach, or a little beside z, with their own errors, (n,) each."""
    step = np.maximum(reach, np.maximum(FLOATS_BESIDE * np.spacing(np.abs(z)), BESIDE_ZERO))
    a = f(z.copy())
    ends = [np.abs(f(end.copy()) - a) + activation_bound(f, end, arithmetic).value for end in (z - step, z + step)]
    return np.maximum(*ends)


def _slope(f: Activation, Z: Rounded, A: Rounded) -> tuple[Rounded, str]:
    """f'(Z), its value from the formula (the slope by hand may be wrong) and its error the larger of both ways.

    And why it was sampled, if it was.
    """
    by_hand, no_rule = evaluate(lambda: f.slope(Z, A), lambda z: f.slope(z, f(z)), Z)
    try:
        tangent = f.value(NUMPY, Tangent(Z, 1.0))
    except FORMULA_ERRORS as reason:
        return _confirmed(by_hand, *_differenced(f, Z.value)), no_rule or first_line(reason)
    slope = tangent.slope if isinstance(tangent, Tangent) else 0.0
    by_formula = slope if isinstance(slope, Rounded) else type(Z).lift(slope)
    return type(Z)(by_formula.value, np.maximum(by_formula.error, by_hand.error)), no_rule


def _differenced(f: Activation, z: np.ndarray) -> Differences:
    """f'(z) by central differences, and an estimate of their error, which takes in the jump of the slope at a kink."""
    h = (z + STEP * np.maximum(1.0, np.abs(z))) - z
    return difference(lambda t: f(z + t), h, NOISE_ROUNDINGS * Rounded.unit * np.abs(f(z.copy())))


def _confirmed(by_hand: Rounded, slope: np.ndarray, error: np.ndarray) -> Rounded:
    """The slope by hand where differences confirm it, else theirs; the error is infinite where they do not settle."""
    confirmed = np.abs(by_hand.value - slope) <= error
    error = np.where(error <= SETTLED * np.maximum(1.0, np.abs(slope)), np.where(confirmed, 0.0, error), np.inf)
    return type(by_hand)(np.where(confirmed, by_hand.value, slope), np.maximum(by_hand.error, error))
