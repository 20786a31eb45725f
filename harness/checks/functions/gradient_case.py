"""A gradient to be checked: the user's function, what it returned at θ, again and elsewhere, and what was measured.

The error bound of a gradient is 64 u of the largest entry of a block, and 16 times by how much the gradient changes
when θ is moved by a rounding. It does not follow from the gradient's own scatter: digits that a formula loses to
cancellation, and a value that is wrong at this θ alone, are errors of the gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.bounds.tolerances import GRADIENT_ROUNDINGS, MEANINGLESS
from harness.checks.functions.cost_noise import CostNear, holds_float32, measure_cost, random_direction, step_away
from harness.checks.functions.cost_probe import Budget, edge_of_domain, leaves_domain
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.tree_leaves import like_in_extended
from harness.checks.functions.user_function import UserFunction
from harness.facts.fact import Fact, wrong
from harness.facts.kinds import Kind
from harness.named_objects import raised_at
from harness.progress import Progress
from harness.verdict.comparison import Answer
from harness.wording import what_it_is
from reference.arithmetics.array_pieces import largest
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

FUN, REFERENCE = "fun", "jax"  # the names of the user's function and of a reference in a report

Gradient = Callable[[np.ndarray], np.ndarray]  # θ -> the gradient there, both flat (n,)

SMALL = 1e-30  # how far a parameter of zero is moved to be rounded: below any scale at which a cost may bend there

OF_FLOAT32 = 1e-3
"""What float32 inside a cost leaves of its roundings as noise at least: those of a million terms average to that."""

EXPONENT_ROUNDINGS = 4.0
"""exp(a - b) is off by so many roundings of a, relatively; by half of the digits at most, or nobody would use it."""

CONDITION_GAIN = 16.0
"""Rounding moves every number by itself, and one random direction shows only the sum of that, in which much cancels."""


@dataclass(frozen=True, eq=False)
class FirstAnswer:
    """What a function returned at θ."""

    cost: float
    gradient: np.ndarray  # (n,)
    facts: tuple[Fact, ...]  # rules that it broke on the way
    repeats: bool  # whether it returned the same when called again


@dataclass(frozen=True, eq=False)
class Moved:
    """What a function returned after a move from θ."""

    move: np.ndarray  # (n,)
    cost: float
    gradient: np.ndarray  # (n,)


@dataclass(frozen=True, eq=False)
class GradientCase:
    """What is checked."""

    user: UserFunction
    gradient: Gradient  # the user's at any point, NaN outside the domain
    near: CostNear  # the cost as the user computes it
    fine: CostNear  # as it is differenced: in float64 where the function can do that
    unit: float  # u of the least precise of θ, cost and gradient
    reported: Answer  # what the user's function returned at θ, with error bounds for rounding
    elsewhere: tuple[Moved, ...]  # what the function returned at other points

    @property
    def layout(self) -> TreeLayout:
        """How θ lies in a flat vector."""
        return self.user.layout

    @np.errstate(all="ignore")
    def scatter(self) -> np.ndarray:
        """(n,), how far the gradient jumps in some roundings of θ: lost digits, or 2 d if it is off by d at θ alone.

        A move that is not as small may meet a kink, or a bend of a function that bends at a scale far below θ.
        """
        theta = self.user.theta
        move = np.where(theta == 0.0, SMALL, GRADIENT_ROUNDINGS * self.unit * np.abs(theta))
        move *= np.sign(random_direction(theta.size))
        jumps = self.gradient(theta + move) - 2.0 * self.reported.gradient + self.gradient(theta - move)
        return np.nan_to_num(np.abs(jumps), nan=0.0, posinf=0.0)


def measure(
    user: UserFunction, first: FirstAnswer, notes: tuple[Fact, ...], budget: Budget, progress: Progress, accuracy: float
) -> GradientCase:
    """Measure the noise of the cost and the rounding of the gradient, and call the function elsewhere in between."""
    near, fine = measure_cost(user, first.cost, budget, progress)
    unit, gradient = max(user.unit, near.probes.unit), _gradient_near(user)
    own_unit, error = _measure_rounding(near, user.layout, gradient, first.gradient, unit, first.cost, own=True)
    error = np.maximum(error, _digits_lost(user, first.gradient)) if fine.is_extended else error
    moves = moves_of_halves(near, user.layout)
    facts, elsewhere = call_elsewhere(user, first, moves, max(GRADIENT_ROUNDINGS * unit, accuracy))
    numbers = first.cost, fine.noise_at_theta.near, first.gradient, error
    rules, precision = (*first.facts, *facts), precision_of(own_unit)
    reported = Answer(FUN, FUN, *numbers, precision, broken_rules=rules, notes=notes, accuracy=accuracy)
    return GradientCase(user, gradient, near, fine, unit, reported, elsewhere)


def precision_of(unit: float) -> str:
    """The name of a precision: "float64", or "float32" for all that is less precise."""
    return "float64" if unit <= UNIT_ROUNDOFF["float64"] else "float32"


def ask_reference(case: GradientCase, reference: Callable) -> Answer:
    """JAX's cost and gradient of a reference, with error bounds for rounding."""
    import jax
    import jax.numpy as jnp

    from reference.jax_settings import fixed_settings

    user = case.user
    if user.layout.modules:
        raise TypeError("a reference is traced by JAX, so theta must be a tree of arrays, and no module of PyTorch")
    with fixed_settings():
        program = jax.jit(
            jax.value_and_grad(
                lambda flat: _one_number(reference(user.layout.rebuild(flat, lambda _, values: jnp.asarray(values))))
            )
        )
        try:
            cost, gradient = program(jnp.asarray(user.theta))
        except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as reason:
            raise TypeError(
                "reference must be a cost that JAX can trace; this one asks for numbers, as NumPy's functions do"
                f"{raised_at(reason)}; write it with jax.numpy, or leave it out"
            ) from None

        def source(flat: np.ndarray) -> np.ndarray:
            return np.asarray(program(jnp.asarray(flat))[1])

        cost, gradient = float(cost), np.asarray(gradient)
        _, error = _measure_rounding(case.near, user.layout, source, gradient, case.unit, cost, own=False)
    cost_error = case.fine.noise_at_theta.near + GRADIENT_ROUNDINGS * case.unit * abs(cost)
    return Answer(REFERENCE, REFERENCE, cost, cost_error, gradient, error)


def _one_number(cost: Any) -> Any:
    """The cost that a reference answers, as a number of JAX."""
    import jax
    import jax.numpy as jnp

    refusal = TypeError(f"reference must answer one real number as its cost, not {what_it_is(cost)}")
    try:
        if not jax.tree_util.treedef_is_leaf(jax.tree.structure(cost)):  # a deep tree spoils JAX's count of its depth
            raise refusal
        number = jnp.asarray(cost)
    except Exception:  # noqa: BLE001  JAX refuses what is no number in many ways
        raise refusal from None
    if number.shape != () or not jnp.isrealobj(number):
        raise refusal
    return number if jnp.issubdtype(number.dtype, jnp.floating) else number.astype(float)


# -- rounding ---------------------------------------------------------------------------------------------------------


def _gradient_near(user: UserFunction) -> Gradient:
    """The gradient at any point, NaN outside the domain."""

    def gradient(flat: np.ndarray) -> np.ndarray:
        with edge_of_domain():
            return user.gradient(flat)
        return np.full(user.layout.size, np.nan)

    return gradient


@np.errstate(all="ignore")
def _measure_rounding(
    near: CostNear, layout: TreeLayout, source: Gradient, gradient: np.ndarray, unit: float, cost: float, own: bool
) -> tuple[float, np.ndarray]:
    """u of a gradient, and its error bound (n,): some roundings of it, and by how much it changes when θ is rounded.

    A formula may take exp of numbers as large as the cost, such as exp(log φ - log Φ) for the slope of -log Φ. Where
    the cost is 1e5, that is off by 1e5 roundings. Roundings of the largest entry in a block would hide entries that are
    very much smaller, as of (1e10 sin a, sin b). These are given roundings of their `own` and what they jump by.
    """
    theta, unit = near.probes.theta, _unit_of_gradient(near, gradient, unit)
    # moved by √u and scaled down, for the change over a single rounding would itself be rounded away
    width = np.where(theta == 0.0, SMALL, np.sqrt(unit) * np.abs(theta)) * random_direction(theta.size)
    up, down = source(theta + width), source(theta - width)
    changes = np.sqrt(unit) * np.abs(up - down), np.abs(up - 2.0 * gradient + down)
    moved, jumps = (np.nan_to_num(each, nan=0.0, posinf=0.0) for each in changes)
    of_exponents = np.fmin(EXPONENT_ROUNDINGS * unit * abs(cost), np.sqrt(unit))
    rounded = max(GRADIENT_ROUNDINGS * unit, of_exponents) * layout.largest_in_block(gradient)
    if own and unit <= UNIT_ROUNDOFF["float64"]:
        alone = GRADIENT_ROUNDINGS * unit * np.abs(gradient) + CONDITION_GAIN * jumps
        is_hidden = rounded > MEANINGLESS["float64"] * np.abs(gradient)
        rounded = np.where(is_hidden, np.minimum(alone, rounded), rounded)
    return unit, rounded + CONDITION_GAIN * moved


@np.errstate(all="ignore")
def _digits_lost(user: UserFunction, gradient: np.ndarray) -> np.ndarray:
    """By how much a gradient is off by digits that its formula loses, as its cost does: more digits show it.

    Infinite where the gradient cannot be had in more digits.
    """
    try:
        with user.in_another_precision():
            precise = user.gradient(user.theta, like_in_extended)
    except Exception:  # noqa: BLE001  whatever it raises, it cannot do with that type
        return np.full(gradient.size, np.inf)
    return np.where(np.isfinite(gradient), 2.0 * np.abs(precise - gradient), 0.0)  # a NaN is no digit lost


def _unit_of_gradient(near: CostNear, gradient: np.ndarray, unit: float) -> float:
    """The unit roundoff of the precision of a gradient, which may be that of float32 whatever its type says.

    Its numbers have to be numbers of float32, and float32 has to show in the noise of the cost as well. Beside a cost
    in float64, a gradient that was rounded to float32 has lost digits, and is wrong.
    """
    if unit > UNIT_ROUNDOFF["float64"] or not holds_float32(gradient):
        return unit
    is_noisy = near.noise_at_theta.near > OF_FLOAT32 * UNIT_ROUNDOFF["float32"] * near.ordinary
    return UNIT_ROUNDOFF["float32"] if is_noisy else unit


# -- whether the same θ has the same answer, also after a call at another point ----------------------------------------


def call_twice(user: UserFunction, accuracy: float = 0.0) -> FirstAnswer:
    """The answer at θ, and whether it repeats, within its accuracy: what does not repeat cannot be checked."""
    try:
        cost, gradient, changed = user.answer(user.theta)
        again = user.answer(user.theta)
    except Exception as error:
        if leaves_domain(error):
            error.add_note("fun raised this at the theta to be checked; give one inside of its domain")
        raise
    facts = [wrong(Kind.ARGUMENT_CHANGED, FUN, argument="theta")] if changed else []
    repeats = _is_same(cost, gradient, *again[:2], max(GRADIENT_ROUNDINGS * user.unit, accuracy))
    if not repeats:
        facts.append(_how_it_changes(user, (cost, gradient), again[:2]))
    return FirstAnswer(cost, gradient, tuple(facts), repeats)


@np.errstate(all="ignore")
def _how_it_changes(user: UserFunction, first: tuple, second: tuple) -> Fact:
    """What changes from call to call, by a third one: what accumulates, what is random, what is kept."""
    cost, gradient, _ = user.answer(user.theta)
    twice, thrice = (
        _is_near(later, times * first[1], GRADIENT_ROUNDINGS * user.unit)
        for later, times in ((second[1], 2.0), (gradient, 3.0))
    )
    step = second[0] - first[0]
    if twice and thrice and first[1].any():
        return wrong(Kind.NOT_REPEATABLE, FUN, change="gradient-grows")
    if cost == first[0] == second[0]:
        return wrong(Kind.NOT_REPEATABLE, FUN, change="gradient")
    if np.isclose(step, cost - second[0], rtol=1e-6, atol=0.0):
        return wrong(Kind.NOT_REPEATABLE, FUN, change="cost-grows", by=step)
    return wrong(Kind.NOT_REPEATABLE, FUN, change="random", costs=[first[0], second[0]])


def moves_of_halves(near: CostNear, layout: TreeLayout) -> list[np.ndarray]:
    """A step in one half of the blocks of θ, or of its coordinates, and one in the other half.

    Each block, and each coordinate of a single one, stays where it is in one of the moves: a cache may be keyed by it.
    """
    step = step_away(near.probes) - near.probes.theta
    blocks = [block.indices for block in layout.blocks if block.indices.size]
    parts = blocks if len(blocks) > 1 else np.array_split(np.arange(step.size), step.size)
    is_first = np.isin(np.arange(step.size), np.concatenate(parts[: (len(parts) + 1) // 2]))
    return [np.where(half, step, 0.0) for half in (is_first, ~is_first) if half.any()]


def call_elsewhere(
    user: UserFunction, first: FirstAnswer, moves: list[np.ndarray], tolerance: float
) -> tuple[tuple[Fact, ...], tuple[Moved, ...]]:
    """What is wrong if the answer at θ is another after a call at another point; if nothing is, the answers elsewhere.

    A call at θ precedes the second move, so that what is kept of the last call alone is kept of θ.
    """
    moved = _answer_after(user, moves[0])
    facts = _return_from(user, first, user.theta + moves[0], tolerance) if moved else ()
    if facts:
        return facts, ()
    return (), (*moved, *(each for move in moves[1:] for each in _answer_after(user, move)))


def _answer_after(user: UserFunction, move: np.ndarray) -> tuple[Moved, ...]:
    """Cost and gradient after a move; nothing outside the domain."""
    with edge_of_domain():
        return (Moved(move, *user.answer(user.theta + move)[:2]),)
    return ()


def _return_from(user: UserFunction, first: FirstAnswer, elsewhere: np.ndarray, tolerance: float) -> tuple[Fact, ...]:
    """What is wrong if the answer at θ is another after the call elsewhere; empty if it is the same.

    A gradient computed from buffers that the last call filled is that of the last call.
    """
    if user.has_gradient_function and not _is_near(first.gradient, user.gradient(user.theta), tolerance):
        return (wrong(Kind.STALE_GRADIENT, FUN, of="last-cost"),)
    cost, gradient, _ = user.answer(user.theta)
    if _is_same(first.cost, first.gradient, cost, gradient, tolerance):
        return ()
    user.answer(elsewhere)
    _, there, _ = user.answer(elsewhere)  # the second is its own, even where each answer is the one before
    return (wrong(Kind.STALE_GRADIENT, FUN, of="last-call" if _is_near(gradient, there, tolerance) else "unknown"),)


def _is_same(cost: float, gradient: np.ndarray, cost2: float, gradient2: np.ndarray, tolerance: float) -> bool:
    is_same_cost = np.isclose(cost, cost2, rtol=tolerance, atol=0, equal_nan=True)
    return _is_near(gradient, gradient2, tolerance) and bool(is_same_cost)


def _is_near(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * largest(a), equal_nan=True))
