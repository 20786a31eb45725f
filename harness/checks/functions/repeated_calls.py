"""Whether a user's function returns the same at the same θ, also after a call at another point."""

from dataclasses import dataclass

import numpy as np

from harness.bounds.tolerances import GRADIENT_ROUNDINGS
from harness.checks.functions.cost_noise import CostNear, step_away
from harness.checks.functions.cost_probe import edge_of_domain, leaves_domain
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.user_function import UserFunction
from harness.facts.fact import Fact, wrong
from harness.facts.kinds import Kind
from reference.arithmetics.array_pieces import largest

FUN = "fun"  # the name of the user's function in a report


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
