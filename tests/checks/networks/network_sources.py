"""A problem, and sources beside those of the harness, for the tests of the check of networks."""

from functools import partial
from typing import Any

import numpy as np

from harness import SOURCES, Network, Problem
from harness.checks.networks.network_check import check
from harness.sources.loop import cost_and_gradient as loop

RIGHT = ("loop", "vectorized", "jax", "finite-difference")

judged = partial(check, explained=False)
"""`cross_check` without the search for bugs, which takes longer than the verdict (test_bug_explanations.py)."""


def a_problem(hidden: Any = "tanh", l2=1.0, m=5, output="sigmoid", sizes=(3, 5, 3)):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((m, sizes[0]))
    y = rng.integers(sizes[-1], size=m) if sizes[-1] > 1 else rng.integers(2, size=(m, 1))
    return Problem(Network(sizes, hidden, output), X, y, l2)


PROBLEM = a_problem()
THETA = PROBLEM.network.init(1, epsilon=0.8)


def changed(change, source=loop):
    """A source whose (cost, gradient) goes through ``change(cost, gradient)``."""

    def answer(problem, theta):
        return change(*source(problem, theta))

    return answer


def off_at(i, by):
    def shift(cost, gradient):
        gradient[i] += by
        return cost, gradient

    return changed(shift)


def beside_right_ones(source, name="mine"):
    return {name: source} | {right: SOURCES[right] for right in RIGHT}
