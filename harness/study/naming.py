"""How often the diagnosis names the right bug: every bug of the zoo, drawn pairs of them, and wrong costs.

An answer with a bug is moved by as much as rounding may do, as that of another program would be, and the zoo is played
again. It is named *rightly* where the bugs that are there are the set named, or that is one that no problem tells from
them, and rightly *among several* where more sets fit; *vaguely* where nothing is named; everything else *misleads*.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from harness.bounds.network_bound import rounding_bound
from harness.checks.networks.bug_explanations import Explanations, find_bugs
from harness.checks.networks.bug_replay import Replay, drop_equivalent, find_distinction
from harness.checks.networks.network_check import cross_check
from harness.progress import Progress, silent
from harness.sources.bug_zoo import BUGS, Bug, pipeline_with
from harness.sources.source_table import SOURCES
from harness.study.problems import Drawn, draw
from harness.study.rates import Rate
from harness.verdict.comparison import Answer

RIGHT, AMONG, VAGUE, MISLEADING = "right", "right among several", "vague", "misleading"

QUICK = {"problems": 1, "pairs": 30}

DRAWN_FROM = ("ex4-like", "random")
TRIES = 40  # problems, until the bugs show on one
SHOWS = 1e-9  # of the largest entry: more than any rounding, on problems of ordinary size

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
    "a 1x1 array": "cost-in-array",
    "NaN": "cost-not-finite",
}
"""A wrong cost beside a right gradient: the bug of the zoo that it is, or the kind of fact in its report."""


@dataclass(frozen=True)
class Naming:
    """What came out: for every kind, how often each outcome, and what was not named rightly."""

    seed: int
    outcomes: dict[str, dict[str, int]]
    not_right: tuple[tuple[str, str, str], ...]  # kind, the bugs, the outcome

    def rate(self, kind: str, *outcomes: str) -> Rate:
        """How many of a kind came to one of these outcomes."""
        said = self.outcomes[kind]
        return Rate(sum(said[outcome] for outcome in outcomes), sum(said.values()))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return {"schema": "harness.naming/1", "seed": self.seed, "outcomes": self.outcomes} | {
            "not_right": [list(row) for row in self.not_right]
        }

    def __str__(self) -> str:
        lines = [f"The bugs that are there, and what the diagnosis names (seed {self.seed})"]
        for kind, outcomes in self.outcomes.items():
            told = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
            lines.append(f"  {kind}: {told} ({self.rate(kind, RIGHT, AMONG).share:.1%} right)")
        lines += [f"    {outcome}: {names} ({kind})" for kind, names, outcome in self.not_right]
        return "\n".join(lines)


def measure_naming(problems: int = 3, pairs: int = 150, seed: int = 0, progress: Progress = silent) -> Naming:
    """Plant bugs, and count how they are named.

    Parameters
    ----------
    problems : how many for each single bug and each wrong cost
    pairs : how many pairs of bugs are drawn, with a problem for each
    """
    zoo = [bug for bug in BUGS.values() if bug.part != "program"]
    singles = [(bug,) for bug in zoo for _ in range(problems)]
    rng = np.random.default_rng(seed)
    drawn = [tuple(zoo[i] for i in rng.choice(len(zoo), 2, replace=False)) for _ in range(pairs)]
    kinds = {"single bugs": singles, "pairs of bugs": drawn}
    outcomes, not_right = {}, []
    for kind, groups in kinds.items():
        outcomes[kind] = dict.fromkeys((RIGHT, AMONG, VAGUE, MISLEADING), 0)
        for number, group in enumerate(groups):
            if found := _first_that_shows(group, seed, number):
                outcome = _outcome(group, *found, np.random.default_rng((seed, number)))
                outcomes[kind][outcome] += 1
                if outcome not in (RIGHT, AMONG):
                    not_right.append((kind, " and ".join(bug.name for bug in group), outcome))
            progress(kind, number + 1, len(groups))
    told = {what: all(_is_told(what, seed, number) for number in range(problems)) for what in WRONG_COSTS}
    outcomes["wrong costs"] = {
        RIGHT: sum(told.values()),
        AMONG: 0,
        VAGUE: list(told.values()).count(False),
        MISLEADING: 0,
    }
    not_right += [("wrong costs", what, VAGUE) for what, right in told.items() if not right]
    return Naming(seed, outcomes, tuple(not_right))


def _problems(seed: int, number: int) -> Iterator[Drawn]:
    for attempt in count():
        yield draw(DRAWN_FROM[attempt % 2], seed, TRIES * number + attempt)


def _first_that_shows(group: tuple[Bug, ...], seed: int, number: int) -> Drawn | None:
    """The first problem on which the answer is neither right nor that of fewer bugs; None if there is none."""
    fewer = [(), *((bug,) for bug in group if len(group) > 1)]
    for _, (problem, theta) in zip(range(TRIES), _problems(seed, number)):
        with np.errstate(all="ignore"):
            answer = np.hstack(pipeline_with(*group)(problem, theta.copy()))
            others = [np.hstack(pipeline_with(*less)(problem, theta.copy())) for less in fewer]
            if all(np.abs(answer - other).max() > SHOWS * np.abs(answer).max() for other in others):
                return problem, theta
    return None


def _outcome(group: tuple[Bug, ...], problem: Any, theta: np.ndarray, rng: np.random.Generator) -> str:
    bound = rounding_bound(problem, theta)
    with np.errstate(all="ignore"):
        cost, gradient = pipeline_with(*group)(problem, theta.copy())
    gradient = gradient + rng.uniform(-1.0, 1.0, gradient.shape) * bound.gradient
    cost = cost + rng.uniform(-1.0, 1.0) * bound.cost
    answer = Answer("planted", "planted", cost, bound.cost, gradient, bound.gradient)
    found = find_bugs([Replay(problem, theta, answer)])
    named = drop_equivalent(problem, theta, _named(found))
    if not named:
        return VAGUE
    if any(_the_same(problem, theta, group, other) for other in named):
        return RIGHT if len(named) == 1 else AMONG
    return MISLEADING


def _named(found: Explanations) -> tuple[tuple[Bug, ...], ...]:
    """The sets of bugs named."""
    return found.of_both or found.of_cost or found.of_gradient


def _the_same(problem: Any, theta: np.ndarray, group: tuple[Bug, ...], other: tuple[Bug, ...]) -> bool:
    return set(group) == set(other) or find_distinction(problem, theta, [group, other]) is None


def _is_told(what: str, seed: int, number: int) -> bool:
    """Whether a wrong cost beside a right gradient is told by what it is, and the gradient said to be right."""
    words = WRONG_COSTS[what]
    if words in BUGS:
        found = _first_that_shows((BUGS[words],), seed, number)
        return found is not None and _outcome((BUGS[words],), *found, np.random.default_rng((seed, number))) in (
            RIGHT,
            AMONG,
        )
    problem, theta = next(_problems(seed, number))

    def wrong(problem: Any, theta: np.ndarray) -> tuple[Any, np.ndarray]:
        cost, gradient = SOURCES["vectorized"](problem, theta)
        return np.nan if what == "NaN" else np.array([[cost]]), gradient

    report = cross_check(problem, theta, {"mine": wrong} | {name: SOURCES[name] for name in ("loop", "ball")})
    return words in str(report)
