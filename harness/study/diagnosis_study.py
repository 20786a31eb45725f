"""The study of diagnoses: how often a report names the bug that was planted.

An answer with a bug is moved by as much as rounding may move it, as another program's would be. Then the zoo is
replayed. The diagnosis is *right* where the planted bugs are the set that is named, or where no problem distinguishes
the two sets; *right among several* where more sets fit; *vague* where nothing is named; and else *misleading*.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from harness.bounds.network_bound import rounding_bound
from harness.checks.networks.bug_explanations import Explanations, find_bugs
from harness.checks.networks.bug_replay import BugRuns, Bugs, Replay, drop_equivalent, find_distinction
from harness.progress import Progress, silent
from harness.sources.bug_zoo import BUGS, pipeline_with
from harness.study.checkers import ALARM, HARNESS
from harness.study.trials import Case, Response, Study, conduct
from harness.study.zoo_cases import draw
from harness.verdict.comparison import Answer
from reference.problem import Problem

NAMED, AMONG, VAGUE, MISLEADING = OUTCOMES = "right", "right among several", "vague", "misleading"

SCHEMA = "harness.naming/2"  # version 2: every trial, as in other studies

QUICK = {"problems": 1, "pairs": 30}

DRAWN_FROM = ("ex4-like", "random")

TRIES = 40  # so many problems are drawn, until the bugs show on one

SHOWS = 1e-9
"""Bugs show where they move the answer by this share of its largest entry: more than any rounding error here."""

SINGLE, PAIRS = "single bugs", "pairs of bugs"


class Planted(NamedTuple):
    """Bugs, a problem on which they show, and the seed of the rounding errors."""

    bugs: Bugs
    problem: Problem
    theta: np.ndarray
    seed: tuple[int, int]


def run_study(problems: int = 3, pairs: int = 150, seed: int = 0, progress: Progress = silent) -> Study:
    """Plant each single bug in some problems, and pairs of bugs in one problem each, and count how they are named."""
    zoo = [bug for bug in BUGS.values() if bug.part != "program"]
    rng = np.random.default_rng(seed)
    drawn = [tuple(zoo[i] for i in rng.choice(len(zoo), 2, replace=False)) for _ in range(pairs)]
    parts = {
        SINGLE: _planted_cases(SINGLE, [(bug,) for bug in zoo for _ in range(problems)], seed),
        PAIRS: _planted_cases(PAIRS, drawn, seed),
    }
    checkers = {HARNESS: lambda case: Response(ALARM, name_planted(case.subject))}
    return conduct(SCHEMA, parts, checkers, progress, seed=seed, naming="diagnosis")


def _planted_cases(kind: str, groups: Sequence[Bugs], seed: int) -> Iterator[Case]:
    """A case for each group of bugs that show on some problem."""
    for number, group in enumerate(groups):
        if planted := plant(group, seed, number):
            names = " and ".join(bug.name for bug in planted.bugs)
            yield Case(names, kind, planted, names, kind, number)


# -- what is planted ---------------------------------------------------------------------------------------------------


def plant(bugs: Bugs, seed: int, number: int) -> Planted | None:
    """Bugs on the first problem on which their answer is neither right nor that of fewer of them; None without one."""
    fewer = [(), *((bug,) for bug in bugs if len(bugs) > 1)]
    for attempt in range(TRIES):
        problem, theta = draw(DRAWN_FROM[attempt % len(DRAWN_FROM)], seed, TRIES * number + attempt)
        with np.errstate(all="ignore"):
            answer, *others = (np.hstack(pipeline_with(*some)(problem, theta.copy())) for some in (bugs, *fewer))
            if all(np.abs(answer - other).max() > SHOWS * np.abs(answer).max() for other in others):
                return Planted(bugs, problem, theta, (seed, number))
    return None


# -- how it is named ---------------------------------------------------------------------------------------------------


def name_planted(planted: Planted) -> str:
    """How the replay of the zoo names the planted bugs: one of `OUTCOMES`."""
    bugs, problem, theta, seed = planted
    bound, rng = rounding_bound(problem, theta), np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        cost, gradient = pipeline_with(*bugs)(problem, theta.copy())
    gradient = gradient + rng.uniform(-1.0, 1.0, gradient.shape) * bound.gradient
    cost = cost + rng.uniform(-1.0, 1.0) * bound.cost
    answer = Answer("planted", "planted", cost, bound.cost, gradient, bound.gradient)
    named = drop_equivalent(problem, theta, named_sets(find_bugs([Replay(BugRuns(problem, theta), answer)])))
    if not named:
        return VAGUE
    if any(set(bugs) == set(others) or find_distinction(problem, theta, [bugs, others]) is None for others in named):
        return NAMED if len(named) == 1 else AMONG
    return MISLEADING


def named_sets(found: Explanations) -> Sequence[Bugs]:
    """The sets of bugs that a replay names."""
    return found.of_both or found.of_cost or found.of_gradient
