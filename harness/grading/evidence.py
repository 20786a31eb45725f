"""What shows that a wrong answer was asked for in the way in which it is meant, so that it can be called wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.checks.networks.diagnosing.explaining import ALL_WRONG, seen
from harness.checks.networks.diagnosing.replaying import Explanations
from harness.grading.asking import Ways
from harness.grading.calling.answers import Parsed
from harness.grading.problems import Asked

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
    if any(np.logical_or(*asked.judged(parsed)) for asked, parsed in answers.items()):
        return True
    return any(seen_in(asked, parsed) not in ("", ALL_WRONG) for asked, parsed in answers.items())


def seen_in(asked: Asked, parsed: Parsed) -> str:
    """What can be seen in the error of a gradient, in a clause; empty where there is none."""
    if parsed.gradient is None:
        return ""
    off = ~(np.abs(parsed.gradient - asked.right[1]) <= asked.replay(parsed).answer.error)
    return seen(asked.problem, asked.theta, parsed.gradient, asked.right[1], off)


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
