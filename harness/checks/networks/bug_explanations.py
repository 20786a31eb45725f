"""What is said of a network's wrong answer: the bugs that explain it, or else what can be seen in its error.

A bug is named where the zoo, played again on the same problem, gives just this answer (`replaying`). Where no bug does,
what is said are facts about the error: a factor, a permutation, the layer in which it starts.
"""

from collections.abc import Sequence

import numpy as np

from harness.checks.networks.bug_replay import Bugs, Explanations, Replay, find_bugs
from harness.checks.networks.distinguishing_problems import different, telling_problem
from harness.facts.fact import Fact, as_facts
from harness.verdict.comparison import Answer
from harness.verdict.relations import Part, find_not_finite, find_relation, find_single_entry, join
from reference.problem import Problem

BY_SLOPES = "backprop without a bug computes just this from the slopes claimed by hand"
ALL_WRONG = "all layers are wrong, from the output on"
COST_UNEXPLAINED = "no bug of the zoo explains the cost"
GRADIENT_IS_RIGHT = "the gradient is right"
TOLD = 3  # candidates that are described; more are named


def explain_answer(
    problem: Problem, theta: np.ndarray, wrong: Answer, right: Answer, at_odds: np.ndarray
) -> tuple[Fact, ...]:
    """The bugs that explain an answer, or the error that it has, as a clause or two; empty where nothing is known.

    Parameters
    ----------
    wrong, right : an answer, and the one that it should be
    at_odds : (n,) bool array
        The coordinates in which their gradients differ by more than rounding.
    """
    layers = _layers(problem, theta, wrong.gradient, right.gradient, at_odds)
    if broken := find_not_finite(layer for layer in layers if layer.wrong.any()):
        return (broken,)
    found = find_bugs([Replay(problem, theta, wrong)])
    if not (found.cost_wrong or found.gradient_wrong):
        return as_facts(BY_SLOPES) if at_odds.any() else ()
    said = as_facts(describe(found, problem, theta, np.isfinite(wrong.cost)))
    if found.gradient_wrong and not found.of_gradient:
        said = (*said, *_seen(layers, problem.m), *as_facts(nearest(found)))
    return said


def describe(found: Explanations, problem: Problem, theta: np.ndarray, cost_is_finite: bool = True) -> list[str]:
    """What is explained, clause by clause; of a cost that is not finite, nothing more is said."""
    whole = f"{found.coordinates:,} of {found.coordinates:,} coordinates"
    if found.of_both:
        what = f"the cost and {whole}" if found.cost_wrong else whole
        what = what if found.gradient_wrong else "the cost, beside a right gradient"
        return [named(found.of_both, what, problem, theta)]
    said = []
    if found.of_cost:
        said.append(named(found.of_cost, "the cost", problem, theta))
    elif found.cost_wrong and cost_is_finite:
        said.append(COST_UNEXPLAINED)
    if found.of_gradient:
        said.append(named(found.of_gradient, f"{whole} of the gradient", problem, theta))
    elif found.cost_wrong and found.gradient_wrong:
        said.append("the gradient is wrong, too")
    if not found.cost_wrong:
        said.append("the cost is right")
    return said if found.gradient_wrong else [*said, GRADIENT_IS_RIGHT]


def named(groups: Sequence[Bugs], what: str, problem: Problem, theta: np.ndarray) -> str:
    """The sets of bugs that explain it: what the one does, or how several would be told apart."""
    groups = different(problem, theta, groups)
    if len(groups) == 1:
        explain = "explains" if len(groups[0]) == 1 else "together explain"
        does = "; ".join(bug.description.rstrip(".") for bug in groups[0])
        return f"{together(groups[0])} {explain} {what} ({does})"
    each = [f"{together(group)} ({'; '.join(bug.description.rstrip('.') for bug in group)})" for group in groups]
    names = ", ".join(each if len(each) <= TOLD else map(together, groups))
    found = telling_problem(problem, theta, groups)
    apart = f"{found[0]} tells them apart" if found else "no problem tried tells all of them apart"
    return f"each of {names} explains {what}; {apart}"


def together(group: Bugs) -> str:
    """The names of bugs that are there at once."""
    *others, last = [bug.name for bug in group]
    return f"{', '.join(others)} and {last}" if others else last


def seen(
    problem: Problem, theta: np.ndarray, wrong: np.ndarray, right: np.ndarray, at_odds: np.ndarray
) -> tuple[Fact, ...]:
    """What can be seen in the error of a gradient, whatever made it: where it is not finite, or a simple relation."""
    layers = _layers(problem, theta, wrong, right, at_odds)
    broken = find_not_finite(layer for layer in layers if layer.wrong.any())
    return (broken,) if broken else _seen(layers, problem.m)


def nearest(found: Explanations) -> str:
    none = "no bug of the zoo, alone or with another,"
    if not found.pairs_tried:
        none = "no bug of the zoo alone (pairs are not tried on so large a problem)"
    if found.nearest is None:
        return f"{none} explains it"
    return (
        f"{none} explains all of it; the nearest, {found.nearest.name}, leaves "
        f"{found.left:,} of {found.coordinates:,} coordinates unexplained, and no bug at all {found.unexplained:,}"
    )


# -- what can be seen in the error -------------------------------------------------------------------------------------


def _layers(problem: Problem, theta: np.ndarray, *arrays: np.ndarray) -> list[Part]:
    """The wrong and the right gradient, with what belongs to them, layer by layer."""
    wrong, right, at_odds = arrays
    penalty = problem.l2 / problem.m * theta
    for Theta in problem.network.unpack(penalty):
        Theta[:, 0] = 0.0
    unpacked = zip(*map(problem.network.unpack, (wrong, right, theta, penalty, at_odds)))
    return [Part(f"Theta{number}", *layer) for number, layer in enumerate(unpacked, start=1)]


def _seen(layers: Sequence[Part], m: int) -> tuple[Fact, ...]:
    """The relation between the wrong gradient and the right one, if it is a simple one, and where the error starts.

    The layer looked at is the wrong one nearest to the output: a bug there is carried down to all layers below.
    """
    affected = [layer for layer in layers if layer.wrong.any()]
    if not affected:
        return ()
    nearest, whole = affected[-1], join(_extent(layers), layers)
    halves = _halves(nearest)
    candidates = [whole] if len(affected) > 1 else []
    candidates += halves if len(halves) == 1 else [nearest, *halves]
    relation, of_delta = find_relation(candidates, m)
    if relation is None:
        single = find_single_entry(whole)
        return (single,) if single else as_facts(_where_it_starts(layers, nearest))
    start = _where_it_starts(layers, nearest) if of_delta and nearest is not layers[-1] else ""
    return (relation, *as_facts(start))


def _halves(layer: Part) -> list[Part]:
    halves = [layer.at(f"{layer.name} bias", np.s_[:, :1]), layer.at(f"{layer.name} weights", np.s_[:, 1:])]
    return [half for half in halves if half.wrong.any()]


def _extent(layers: Sequence[Part]) -> str:
    """What the wrong coordinates of all layers are."""
    if not any(layer.wrong[:, 1:].any() for layer in layers):
        return "the biases"
    if not any(layer.wrong[:, 0].any() for layer in layers):
        return "the weights"
    return "the gradient"


def _where_it_starts(layers: Sequence[Part], nearest: Part) -> str:
    names = [layer.name for layer in layers]
    right = names[names.index(nearest.name) + 1 :]
    if right:
        are = "are" if len(right) > 1 else "is"
        return f"{', '.join(right)} {are} right: what is wrong starts below"
    if len(layers) > 1 and all(layer.wrong.any() for layer in layers):
        return ALL_WRONG
    return ""
