"""What shows that a wrong answer was asked for in the way in which it is meant, so that it can be called wrong."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from harness.checks.networks.bug_explanations import Explanations, describe_bugs, relate_gradients
from harness.facts import message_table
from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.grading.calling.answers import Parsed
from harness.grading.problems import Asked
from harness.grading.ways import Ways
from harness.sources.backprop_steps import Backprop

NOT_UNDERSTOOD = (
    "no convention that was tried explains the cost, so nothing was judged; offer a function of "
    "(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, lambda) as in the course"
)


def is_understood(ways: Ways, found: Explanations, regularised: bool, answers: Mapping[Asked, Parsed]) -> bool:
    """Whether something in wrong answers is right or known, which in a convention that is not meant nothing would be.

    A right cost, what λ adds to it, a bug of the zoo that gives just this cost or gradient, a layer that is right, or a
    relation of the whole gradient to the right one: any of them will do. A function of (problem, theta) has no
    convention to be found.
    """
    if regularised or not found.cost_wrong or found.of_cost or found.of_gradient or found.of_both:
        return True
    if any(way is not None and "problem" in way.roles for way in (ways.of_cost, ways.of_gradient)):
        return True
    if any(np.logical_or(*asked.judged(parsed)) for asked, parsed in answers.items()) or seen_in_cost(answers):
        return True
    seen = [fact for asked, parsed in answers.items() for fact in seen_in(asked, parsed)]
    return any(fact.kind != Kind.ALL_LAYERS_WRONG for fact in seen)


def in_words(found: Explanations, asked: Asked, answers: Mapping[Asked, Parsed], finite: bool) -> list[str]:
    """What is explained, clause by clause, and what can be seen in a cost that is not."""
    facts = describe_bugs(found, asked.problem, asked.theta, finite)
    there = seen_in_cost(answers) if any(fact.kind == Kind.COST_UNEXPLAINED for fact in facts) else ""
    instead = {Kind.COST_UNEXPLAINED: f"the cost is wrong: {there}"} if there else {}
    return [instead.get(fact.kind) or message_table.say(fact) for fact in facts]


def seen_in(asked: Asked, parsed: Parsed) -> tuple[Fact, ...]:
    """What can be seen in the error of a gradient; empty where there is none."""
    if parsed.gradient is None:
        return ()
    off = ~(np.abs(parsed.gradient - asked.right[1]) <= asked.replay(parsed).answer.error)
    return relate_gradients(asked.problem, asked.theta, parsed.gradient, asked.right[1], off)


def seen_in_cost(answers: Mapping[Asked, Parsed]) -> str:
    """What is wrong with a cost that no bug of the zoo explains, in a clause that holds for every answer; or nothing.

    The cost of sigmoid units is a mean over the examples and what λ adds; each may be another than it should be.
    """
    if any(asked.problem.network.output.name != "sigmoid" or parsed.cost is None for asked, parsed in answers.items()):
        return ""
    for digits in range(1, 9):  # of a cost that is right otherwise
        if all(parsed.cost == round(asked.right[0], digits) for asked, parsed in answers.items()):
            return f"it is rounded to {digits} decimals"
    for (mean, means), (added, shares) in product(_MEANS.items(), _SHARES.items()):
        if all(_is_cost(asked, parsed, means, shares) for asked, parsed in answers.items()):
            return " and ".join(filter(None, (mean, added)))
    return ""


_MEANS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {  # of -y log h and -(1 - y) log(1 - h)
    "": lambda ones, zeros: ones + zeros,
    "the last example adds nothing to it": lambda ones, zeros: (ones + zeros)[:-1],
    "the first example adds nothing to it": lambda ones, zeros: (ones + zeros)[1:],
    "the term (1 - y) log(1 - h) has the wrong sign": lambda ones, zeros: ones - zeros,
    "the term y log h has the wrong sign": lambda ones, zeros: zeros - ones,
}
_SHARES: dict[str, Callable[[int], float]] = {  # of what λ adds, for so many examples
    "": lambda m: 1.0,
    "what λ adds to it is m² times too large, as λ / 2 * m makes of λ / (2 * m)": lambda m: float(m**2),
    "what λ adds to it is divided by m twice": lambda m: 1.0 / m,
}


def _is_cost(asked: Asked, parsed: Parsed, means: Callable[..., np.ndarray], share: Callable[[int], float]) -> bool:
    problem = asked.problem
    Y, Z = problem.Y, Backprop().forward(problem, asked.theta).Zs[-1]
    ones, zeros = Y * np.logaddexp(0.0, -Z), (1.0 - Y) * np.logaddexp(0.0, Z)
    added = asked.right[0] - float((ones + zeros).sum()) / problem.m
    cost = float(means(ones, zeros).sum()) / problem.m + share(problem.m) * added
    allowed, _ = asked.allowed(parsed.precision)
    given = np.nan if parsed.cost is None else parsed.cost
    return abs(given - cost) <= allowed * max(1.0, share(problem.m), abs(cost / asked.right[0]))


def constant_cost(answers: Sequence[Parsed]) -> list[str]:
    """What is to be said of a cost that is the same whatever it is asked about, as in an exercise handed out empty."""
    costs = {parsed.cost for parsed in answers}
    cost = next(iter(costs))
    if len(answers) == 1 or len(costs) > 1 or cost is None or not np.isfinite(cost):
        return []
    return [f"the cost is {cost:g} whatever θ, X and y are: it is not computed yet"]


def regularisers(with_l2: Asked, without: Asked, first: Parsed, second: Parsed) -> list[bool]:
    """Whether what λ adds is right, in the cost and in the gradient, whatever else is wrong."""
    halves = []
    shares: list[tuple[Any, Any]] = [(first.cost, second.cost), (first.gradient, second.gradient)]
    errors = with_l2.replay(first).answer, without.replay(second).answer
    bars = [sum(answer.cost_error for answer in errors), sum(answer.error for answer in errors)]
    for (more, less), right, plain, bar in zip(shares, with_l2.right, without.right, bars):
        if more is None or less is None:
            continue
        size = max(1.0, np.abs(more).max() / np.abs(right).max())  # of an answer that is too large, so is its rounding
        with np.errstate(all="ignore"):
            halves.append(bool((np.abs((more - less) - (right - plain)) <= size * bar).all()))
    return halves
