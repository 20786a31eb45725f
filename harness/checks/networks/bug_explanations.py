"""What explains a network's wrong answer: bugs of the zoo, or else what can be seen in its error.

A bug is named where the zoo, run again on the same problem, gives just this answer (`bug_replay`). Where no bug does,
facts about the error remain: a factor, a permutation, the layer in which it starts.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from harness.checks.networks.bug_replay import Bugs, Explanations, Replay, find_bugs
from harness.checks.networks.random_problems import random_problem
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.sources.bug_zoo import pipeline_with
from harness.verdict.comparison import Answer
from harness.verdict.relations import Part, find_not_finite, find_relation, find_single_entry, join
from reference.problem import Problem

DIFFERENT = 1e-6
"""A difference of this share of the largest entry is plain to see in any report."""

TRIED = 30
"""Random problems on which bugs that explain the same answer are compared."""


def explain_answer(
    problem: Problem, theta: np.ndarray, wrong: Answer, right: Answer, at_odds: np.ndarray
) -> tuple[Fact, ...]:
    """The bugs that explain an answer, or relations of its error; empty where nothing is known.

    Parameters
    ----------
    wrong, right : Answer
        An answer, and what it should be.
    at_odds : (n,) bool array
        The coordinates in which their gradients differ by more than rounding.
    """
    layers = _parts_of(problem, theta, wrong.gradient, right.gradient, at_odds)
    if broken := find_not_finite(layer for layer in layers if layer.wrong.any()):
        return (broken,)
    found = find_bugs([Replay(problem, theta, wrong)])
    if not (found.cost_wrong or found.gradient_wrong):
        return (note(Kind.SLOPE_BY_HAND),) if at_odds.any() else ()
    facts = describe_bugs(found, problem, theta, np.isfinite(wrong.cost))
    if found.gradient_wrong and not found.of_gradient:
        facts += [*_relate(layers, problem.m), describe_nearest_bug(found)]
    return tuple(facts)


def describe_bugs(found: Explanations, problem: Problem, theta: np.ndarray, cost_is_finite: bool = True) -> list[Fact]:
    """What explains cost and gradient, and which of them is right; nothing about a cost that is not finite."""
    if found.of_both:
        return [
            _fact_of_bugs(found.of_both, found, problem, theta, cost=found.cost_wrong, gradient=found.gradient_wrong)
        ]
    facts = []
    if found.of_cost:
        facts.append(_fact_of_bugs(found.of_cost, found, problem, theta, cost=True, gradient=False))
    elif found.cost_wrong and cost_is_finite:
        facts.append(note(Kind.COST_UNEXPLAINED))
    if found.of_gradient:
        facts.append(_fact_of_bugs(found.of_gradient, found, problem, theta, cost=False, gradient=True))
    elif found.cost_wrong and found.gradient_wrong:
        facts.append(note(Kind.GRADIENT_WRONG_TOO))
    if not found.cost_wrong:
        facts.append(note(Kind.COST_RIGHT))
    return facts if found.gradient_wrong else [*facts, note(Kind.GRADIENT_RIGHT)]


def _fact_of_bugs(
    groups: Sequence[Bugs], found: Explanations, problem: Problem, theta: np.ndarray, **explained: bool
) -> Fact:
    """The sets of bugs that explain the cost, the gradient or both: what one does, or how several are distinguished."""
    groups = drop_equivalent(problem, theta, groups)
    does = ["; ".join(bug.description.rstrip(".") for bug in group) for group in groups]
    data: dict[str, Any] = {"coordinates": found.coordinates, "does": does} | explained
    if len(groups) == 1:
        return note(Kind.BUG, *(bug.name for bug in groups[0]), **data)
    distinction = find_distinction(problem, theta, groups)
    apart = {} if distinction is None else {"distinguished_by": {distinction.change: distinction.value}}
    return note(Kind.BUGS_ALIKE, *map(join_names, groups), **data, **apart)


def join_names(group: Bugs) -> str:
    """The names of bugs that are there at once."""
    *others, last = [bug.name for bug in group]
    return f"{', '.join(others)} and {last}" if others else last


def describe_nearest_bug(found: Explanations) -> Fact:
    """That no bug explains the gradient, and which leaves the fewest coordinates unexplained."""
    nearest = () if found.nearest is None else (found.nearest.name,)
    numbers = {"left": found.left, "coordinates": found.coordinates, "unexplained": found.unexplained}
    return note(Kind.NO_BUG_EXPLAINS, *nearest, pairs_tried=found.pairs_tried, **numbers)


# -- bugs that explain the same answer ---------------------------------------------------------------------------------


class Distinction(NamedTuple):
    """A problem on which several sets of bugs answer differently, and how to get it.

    `change` and `value` are "l2" and λ or "examples" and their number, of the problem at hand; or "random_problem" and
    the arguments of `random_problem`.
    """

    change: str
    value: Any
    problem: Problem
    theta: np.ndarray


def find_distinction(problem: Problem, theta: np.ndarray, groups: Sequence[Bugs]) -> Distinction | None:
    """The first problem tried on which all of several sets of bugs answer differently; None where there is none."""
    return next((tried for tried in _other_problems(problem, theta) if _all_differ(tried, groups)), None)


def drop_equivalent(problem: Problem, theta: np.ndarray, groups: Sequence[Bugs]) -> tuple[Bugs, ...]:
    """The sets of bugs without those that answer like an earlier one on every problem tried."""
    kept: list[Bugs] = []
    for group in groups:
        if all(find_distinction(problem, theta, [group, other]) for other in kept):
            kept.append(group)
    return tuple(kept)


def _other_problems(problem: Problem, theta: np.ndarray) -> Iterator[Distinction]:
    """Small changes of the problem at hand, then random problems."""
    network, X, Y, m = problem.network, problem.X, problem.Y, problem.m
    for l2 in (1.0, 3.0):
        if problem.l2 != l2:
            yield Distinction("l2", l2, Problem(network, X, Y, l2), theta)
    if m > 2:
        yield Distinction("examples", m - 1, Problem(network, X[:-1], Y[:-1], problem.l2 or 1.0), theta)
    for index in range(TRIED):
        yield Distinction("random_problem", (0, index), *random_problem((0, index), extremes=False))


def _all_differ(tried: Distinction, groups: Sequence[Bugs]) -> bool:
    with np.errstate(all="ignore"):
        answers = [np.hstack(pipeline_with(*group)(tried.problem, tried.theta.copy())) for group in groups]
        return all(
            not np.abs(a - b).max() <= DIFFERENT * max(np.abs(a).max(), np.abs(b).max())
            for a, b in combinations(answers, 2)
        )


# -- relations of the error --------------------------------------------------------------------------------------------


def relate_gradients(
    problem: Problem, theta: np.ndarray, wrong: np.ndarray, right: np.ndarray, at_odds: np.ndarray
) -> tuple[Fact, ...]:
    """What can be seen in the error of a gradient, whatever made it: where it is not finite, or a simple relation."""
    layers = _parts_of(problem, theta, wrong, right, at_odds)
    broken = find_not_finite(layer for layer in layers if layer.wrong.any())
    return (broken,) if broken else _relate(layers, problem.m)


def _parts_of(problem: Problem, theta: np.ndarray, *arrays: np.ndarray) -> list[Part]:
    """The wrong and the right gradient, and where they differ, layer by layer."""
    wrong, right, at_odds = arrays
    penalty = problem.l2 / problem.m * theta
    for Theta in problem.network.unpack(penalty):
        Theta[:, 0] = 0.0  # biases are not regularised
    unpacked = zip(*map(problem.network.unpack, (wrong, right, theta, penalty, at_odds)))
    return [Part(f"Theta{number}", *layer) for number, layer in enumerate(unpacked, start=1)]


def _relate(layers: Sequence[Part], m: int) -> tuple[Fact, ...]:
    """A simple relation between the wrong gradient and the right one, if there is one, and where the error starts."""
    affected = [layer for layer in layers if layer.wrong.any()]
    if not affected:
        return ()
    # a bug is carried down to all layers below, so the wrong layer nearest to the output has it alone
    nearest, whole = affected[-1], join(_extent(layers), layers)
    halves = [
        nearest.at(f"{nearest.name} {name}", np.s_[:, at]) for name, at in (("bias", np.s_[:1]), ("weights", np.s_[1:]))
    ]
    halves = [half for half in halves if half.wrong.any()]
    candidates = [whole] if len(affected) > 1 else []
    candidates += halves if len(halves) == 1 else [nearest, *halves]
    relation, of_delta = find_relation(candidates, m)
    if relation is None:
        single = find_single_entry(whole)
        return (single,) if single else _where_it_starts(layers, nearest)
    return (relation, *(_where_it_starts(layers, nearest) if of_delta and nearest is not layers[-1] else ()))


def _extent(layers: Sequence[Part]) -> str:
    """What the wrong coordinates of all layers are."""
    if not any(layer.wrong[:, 1:].any() for layer in layers):
        return "the biases"
    if not any(layer.wrong[:, 0].any() for layer in layers):
        return "the weights"
    return "the gradient"


def _where_it_starts(layers: Sequence[Part], nearest: Part) -> tuple[Fact, ...]:
    names = [layer.name for layer in layers]
    if right := names[names.index(nearest.name) + 1 :]:
        return (note(Kind.ERROR_STARTS_BELOW, *right),)
    is_everywhere = len(layers) > 1 and all(layer.wrong.any() for layer in layers)
    return (note(Kind.ALL_LAYERS_WRONG),) if is_everywhere else ()
