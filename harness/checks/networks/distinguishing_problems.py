"""A problem on which bugs that fit the same answer would differ."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from harness.checks.networks.random_problems import random_problem
from harness.sources.bug_zoo import Bug, pipeline_with
from reference.problem import Problem

DIFFERENT = 1e-6  # of the largest entry: plain to see in any report
TRIED = 30  # random problems

Drawn = tuple[Problem, np.ndarray]


def telling_problem(problem: Problem, theta: np.ndarray, groups: Sequence[tuple[Bug, ...]]) -> tuple[str, Drawn] | None:
    """The first problem tried on which all of several sets of bugs answer differently, with how to come by it.

    Tried are small changes of the problem at hand, and then random ones. None where no problem tells them apart.
    """
    for words, drawn in _others(problem, theta):
        if _all_differ(drawn, groups):
            return words, drawn
    return None


def different(problem: Problem, theta: np.ndarray, groups: Sequence[tuple[Bug, ...]]) -> tuple[tuple[Bug, ...], ...]:
    """The sets of bugs without those that answer like an earlier one on every problem tried."""
    kept: list[tuple[Bug, ...]] = []
    for group in groups:
        if all(telling_problem(problem, theta, [group, other]) for other in kept):
            kept.append(group)
    return tuple(kept)


def _others(problem: Problem, theta: np.ndarray) -> Iterator[tuple[str, Drawn]]:
    network, X, Y, m = problem.network, problem.X, problem.Y, problem.m
    for l2 in (1.0, 3.0):
        if problem.l2 != l2:
            yield f"the same with λ = {l2:g}", (Problem(network, X, Y, l2), theta)
    if m > 2:
        yield "the same without the last example", (Problem(network, X[:-1], Y[:-1], problem.l2 or 1.0), theta)
    for index in range(TRIED):
        drawn = random_problem((0, index), extremes=False)
        sizes = "-".join(map(str, drawn[0].network.sizes))
        yield f"random_problem((0, {index}), extremes=False), which is {sizes},", drawn


def _all_differ(drawn: Drawn, groups: Sequence[tuple[Bug, ...]]) -> bool:
    problem, theta = drawn
    with np.errstate(all="ignore"):
        answers = [np.hstack(pipeline_with(*group)(problem, theta.copy())) for group in groups]
        return all(
            not np.abs(a - b).max() <= DIFFERENT * max(np.abs(a).max(), np.abs(b).max())
            for a, b in combinations(answers, 2)
        )
