"""Whether a user's function returns the same at the same θ, and another gradient where the cost has another slope."""

from dataclasses import dataclass

import numpy as np

from harness.bounds.tolerances import GRADIENT_ROUNDINGS
from harness.checks.functions.cost_noise import CostNear, scatter_near, step_away
from harness.checks.functions.cost_probe import leaves_domain
from harness.checks.functions.gradient_rounding import CONDITION_GAIN, Gradient
from harness.checks.functions.parameters import largest
from harness.checks.functions.user_function import UserFunction
from harness.facts.fact import Fact, wrong
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer

FUN = "fun"
"""The name of the user's function in a report."""

ABOVE_NOISE = 1e5
"""The slope there is known to one part in so many."""

FARTHER = (1.0, 16.0)
"""A gradient counts as cached if it ignores a move of one step, and one of so many."""


@dataclass(frozen=True, eq=False)
class FirstAnswer:
    """What a function returned at θ."""

    cost: float
    gradient: np.ndarray  # (n,)
    facts: tuple[Fact, ...]  # rules that it broke on the way
    repeats: bool  # whether it returned the same when called again


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


def call_elsewhere(user: UserFunction, first: FirstAnswer, elsewhere: np.ndarray, tolerance: float) -> tuple[Fact, ...]:
    """What is wrong if the answer at θ is another after a call at another point; empty if it is the same."""
    try:
        user.answer(elsewhere)
    except Exception as error:
        if not leaves_domain(error):
            raise
        return ()
    if user.has_gradient_function and not _is_near(first.gradient, user.gradient(user.theta), tolerance):
        return (wrong(Kind.STALE_GRADIENT, FUN, of="last-cost"),)
    cost, gradient, _ = user.answer(user.theta)
    if _is_same(first.cost, first.gradient, cost, gradient, tolerance):
        return ()
    user.answer(elsewhere)
    _, there, _ = user.answer(elsewhere)  # the second is its own, even where each answer is the one before
    return (wrong(Kind.STALE_GRADIENT, FUN, of="last-call" if _is_near(gradient, there, tolerance) else "unknown"),)


def find_cached_gradient(near: CostNear, source: Gradient, reported: Answer, unit: float) -> tuple[Fact, ...]:
    """Whether the gradient is the same to the last bit at other points, where the cost has another slope.

    It is at two of them, one farther away: a gradient in float32 may move by less than its rounding, and a cost may
    jump.
    """
    moves = [times * (step_away(near.probes) - near.probes.theta) for times in FARTHER]
    is_cached = reported.gradient.any() and all(_ignores(near, source, reported, unit, move) for move in moves)
    kind = (
        Kind.WHOLE_NUMBERS if np.array_equal(reported.gradient, np.round(reported.gradient)) else Kind.CACHED_GRADIENT
    )
    return (wrong(kind, FUN),) if is_cached else ()


@np.errstate(all="ignore")
def _ignores(near: CostNear, source: Gradient, reported: Answer, unit: float, move: np.ndarray) -> bool:
    """Whether the gradient is the same after a move, where the slope of the cost is another.

    That is the difference of the cost along the line from θ. It is another if it is farther from the gradient's than
    its curvature, its truncation and its noise explain.
    """
    probes, gradient = near.probes, reported.gradient
    elsewhere = probes.theta + move
    if not np.array_equal(source(elsewhere), gradient):
        return False
    scatter = scatter_near(probes, elsewhere)
    width = min(0.25, CONDITION_GAIN * ABOVE_NOISE * scatter / abs(move @ gradient)) * move  # a cost may wind
    costs = np.array([probes.cost(elsewhere + k * width) for k in range(-2, 3)])
    wide, narrow = (costs[4] - costs[0]) / 4.0, (costs[3] - costs[1]) / 2.0
    bend = np.abs(np.diff(costs, n=2)).max()  # a quarter of what is looked for, unless there is a kink
    noise = scatter + unit * largest(costs)
    allowed = max(2.0 * bend, CONDITION_GAIN * abs(wide - narrow)) + CONDITION_GAIN * noise
    allowed += reported.accuracy * np.abs(width) @ np.abs(gradient)
    return bool(abs(narrow - width @ gradient) > allowed)


def _is_same(cost: float, gradient: np.ndarray, cost2: float, gradient2: np.ndarray, tolerance: float) -> bool:
    is_same_cost = np.isclose(cost, cost2, rtol=tolerance, atol=0, equal_nan=True)
    return _is_near(gradient, gradient2, tolerance) and bool(is_same_cost)


def _is_near(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * largest(a), equal_nan=True))


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
