"""The study of diagnoses: how often a report names the bug that was planted.

An answer with a bug is moved by as much as rounding may move it, as another program's would be. Then the zoo is
replayed. The outcome is *right* where the planted bugs are the set that is named, or where no problem distinguishes
the two sets; *right among several* where more sets fit; *vague* where nothing is named; and else *misleading*.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.network_bound import rounding_bound
from harness.checks.networks.bug_explanations import Explanations, find_bugs
from harness.checks.networks.bug_replay import Bugs, Replay, drop_equivalent, find_distinction
from harness.checks.networks.network_check import cross_check
from harness.facts.kinds import Kind
from harness.progress import Progress, silent
from harness.sources.bug_zoo import BUGS, pipeline_with
from harness.sources.source_table import SOURCES
from harness.study.checkers import HARNESS
from harness.study.trials import Case, Rate, Response, Study, run_trials
from harness.study.zoo_cases import Drawn, draw
from harness.verdict.comparison import Answer
from reference.problem import Problem

NAMED, AMONG, VAGUE, MISLEADING = OUTCOMES = "right", "right among several", "vague", "misleading"

QUICK = {"problems": 1, "pairs": 30}

DRAWN_FROM = ("ex4-like", "random")

TRIES = 40
"""So many problems are drawn, until the bugs show on one."""

SHOWS = 1e-9
"""Bugs show where they move the answer by this share of its largest entry: more than any rounding error here."""

SINGLE, PAIRS, COSTS = "single bugs", "pairs of bugs", "wrong costs"

WRONG_COSTS = {
    "no regulariser": "cost-without-regulariser",
    "biases regularised": "cost-with-biases-regularised",
    "no 1/2": "cost-regulariser-without-half",
    "not over m": "cost-summed",
    "sign": "cost-sign",
    "only y log h": "cost-y-log-h-only",
    "log10": "cost-log10",
    "mean over m·K": "cost-mean-over-units",
    "one Θ only": "cost-regularises-last-layer-only",
    "halved": "cost-halved",
}
"""A wrong cost beside a right gradient, and the bug of the zoo that it is."""

IMPROPER_COSTS: dict[str, Callable[[float], Any]] = {
    "a 1x1 array": lambda cost: np.array([[cost]]),
    "NaN": lambda cost: np.nan,
}
"""What is no finite number in the place of the cost; the zoo has no such bugs, and the report has a fact for each."""


class Planted(NamedTuple):
    """Bugs, a problem on which they show, and the seed of the rounding errors."""

    bugs: Bugs
    problem: Problem
    theta: np.ndarray
    seed: tuple[int, int]


def run_diagnosis_study(problems: int = 3, pairs: int = 150, seed: int = 0, progress: Progress = silent) -> Study:
    """Plant bugs, and count how they are named.

    Parameters
    ----------
    problems : how many for each single bug and each wrong cost
    pairs : how many pairs of bugs are drawn, with a problem for each
    """
    started = time.perf_counter()
    zoo = [bug for bug in BUGS.values() if bug.part != "program"]
    singles = [(bug,) for bug in zoo for _ in range(problems)]
    rng = np.random.default_rng(seed)
    drawn = [tuple(zoo[i] for i in rng.choice(len(zoo), 2, replace=False)) for _ in range(pairs)]
    trials = []
    for kind, groups in {SINGLE: singles, PAIRS: drawn}.items():
        cases = [
            Case(names := " and ".join(bug.name for bug in planted.bugs), kind, planted, names, number=planted.seed[1])
            for number, group in enumerate(groups)
            if (planted := plant(group, seed, number))
        ]
        trials += run_trials(cases, {HARNESS: lambda case: Response(name_planted(case.subject))}, progress, kind)
    costs = [
        Case(what, COSTS, [(seed, number) for number in range(problems)], what)
        for what in (*WRONG_COSTS, *IMPROPER_COSTS)
    ]
    trials += run_trials(costs, {HARNESS: _cost_response}, progress, COSTS)
    return Study("harness.naming/1", tuple(trials), {}, time.perf_counter() - started, seed)


def outcomes_of(study: Study) -> dict[str, dict[str, int]]:
    """By kind, how often each outcome."""
    kinds = (SINGLE, PAIRS, COSTS)
    return {kind: {outcome: study.count(kind=kind, outcome=outcome) for outcome in OUTCOMES} for kind in kinds}


def named_rightly(study: Study, kind: str) -> Rate:
    """How many of a kind are named rightly, alone or among several sets."""
    right = study.count(kind=kind, outcome=NAMED) + study.count(kind=kind, outcome=AMONG)
    return Rate(right, study.count(kind=kind))


def not_named(study: Study) -> list[tuple[str, str, str]]:
    """The kind, the bugs and the outcome where these are not named rightly."""
    return [(t.kind, t.case, t.outcome) for t in study.trials if t.outcome not in (NAMED, AMONG)]


def diagnosis_document(study: Study) -> dict[str, Any]:
    """A JSON-ready document."""
    rows = [list(row) for row in not_named(study)]
    return {"schema": study.schema, "seed": study.seed, "outcomes": outcomes_of(study), "not_right": rows}


# -- what is planted ---------------------------------------------------------------------------------------------------


def plant(bugs: Bugs, seed: int, number: int) -> Planted | None:
    """Bugs on the first problem on which their answer is neither right nor that of fewer of them; None without one."""
    fewer = [(), *((bug,) for bug in bugs if len(bugs) > 1)]
    for _, (problem, theta) in zip(range(TRIES), _problems(seed, number)):
        with np.errstate(all="ignore"):
            answer, *others = (np.hstack(pipeline_with(*some)(problem, theta.copy())) for some in (bugs, *fewer))
            if all(np.abs(answer - other).max() > SHOWS * np.abs(answer).max() for other in others):
                return Planted(bugs, problem, theta, (seed, number))
    return None


def _problems(seed: int, number: int) -> Iterator[Drawn]:
    for attempt in count():
        yield draw(DRAWN_FROM[attempt % len(DRAWN_FROM)], seed, TRIES * number + attempt)


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
    named = drop_equivalent(problem, theta, named_sets(find_bugs([Replay(problem, theta, answer)])))
    if not named:
        return VAGUE
    if any(_are_the_same(planted, others) for others in named):
        return NAMED if len(named) == 1 else AMONG
    return MISLEADING


def named_sets(found: Explanations) -> Sequence[Bugs]:
    """The sets of bugs that a replay names."""
    return found.of_both or found.of_cost or found.of_gradient


def _are_the_same(planted: Planted, others: Bugs) -> bool:
    bugs, problem, theta, _ = planted
    return set(bugs) == set(others) or find_distinction(problem, theta, [bugs, others]) is None


def _cost_response(case: Case) -> Response:
    return Response(NAMED if all(is_cost_named(case.name, *seed) for seed in case.subject) else VAGUE)


def is_cost_named(what: str, seed: int, number: int) -> bool:
    """Whether a report names a wrong cost beside a right gradient."""
    if what in WRONG_COSTS:
        planted = plant((BUGS[WRONG_COSTS[what]],), seed, number)
        return planted is not None and name_planted(planted) in (NAMED, AMONG)
    problem, theta = next(_problems(seed, number))

    def wrong(problem: Problem, theta: np.ndarray) -> tuple[Any, np.ndarray]:
        cost, gradient = SOURCES["vectorized"](problem, theta)
        return IMPROPER_COSTS[what](cost), gradient

    report = cross_check(problem, theta, {"mine": wrong} | {name: SOURCES[name] for name in ("loop", "ball")})
    if what == "NaN":
        return Kind.COST_NOT_FINITE in report.kinds
    return bool(report.facts)  # right code gives none
