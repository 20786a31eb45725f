"""Every bug and the correct code, on problems of every kind, shown to every checker.

A trial is one checker on one subject (a bug, or correct code) and one problem. The correct code is the pipeline that
the bugs are made from, so that only the bug differs.

Is a bug there at all? That is decided by certified enclosures, not by opinion. A bug in a slope changes nothing in a
network without a hidden layer, and one in the regulariser nothing at λ = 0: a checker that passes such an answer is
right, and it is no trial.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.network_bound import rounding_bound
from harness.progress import Progress
from harness.sources.backprop_steps import Backprop
from harness.sources.bug_zoo import Bug
from harness.sources.source_table import BY_HAND, Source
from harness.study.checkers import HARNESS, Checker, harness_verdict
from harness.study.problems import KINDS, draw
from reference.measured import GradientSource
from reference.oracles import ball_arithmetic
from reference.problem import Problem

CORRECT = Bug(
    "correct",
    "The pipeline that the bugs are made from.",
    Source("correct", BY_HAND, Backprop()),
    ("vectorized",),
    "none",
)

GROUPS = {
    "gradient": "the gradient is not that of the cost it comes with",
    "cost": "the cost is wrong as well, which only another source can tell",
    "program": "the formulas are right, and the program around them is not",
}

CONTROLS = 5
"""Correct code is shown so many problems for each that the bugs are shown: there is one of it, and forty of them."""

SLOW = {"785 parameters": 5}  # a fifth of the problems, where a check takes the peers twenty times as long


def group_of(bug: Bug) -> str:
    """Which of `GROUPS` a bug belongs to; correct code belongs to none."""
    return {"cost": "cost", "program": "program", "none": ""}.get(bug.part, "gradient")


def counts_of(problems: int) -> dict[str, int]:
    """How many problems of each kind the bugs are shown."""
    return {kind: max(1, problems // SLOW.get(kind, 1)) for kind in KINDS}


class Trial(NamedTuple):
    """What one checker said of one subject on problem `number` of a kind; `blame` as in `harness_verdict`."""

    checker: str
    kind: str
    number: int
    subject: str
    group: str
    outcome: str
    blame: str
    seconds: float

    @property
    def of_bug(self) -> bool:
        return self.subject != CORRECT.name

    def has(self, where: Mapping[str, str]) -> bool:
        """Whether the fields of these names have these values."""
        return all(getattr(self, field) == value for field, value in where.items())


class Truth:
    """The exact cost and gradient of a problem at θ, enclosed, and what rounding allows around them."""

    def __init__(self, problem: Problem, theta: np.ndarray):
        self.problem, self.theta = problem, theta
        self.exact = ball_arithmetic.measure(problem, theta)
        self.bound = rounding_bound(problem, theta)

    def excludes(self, source: GradientSource) -> bool:
        """Whether the source's answer is certainly wrong, or the source changes its argument θ.

        Wrong is a cost or a coordinate that lies farther from the ball that contains the exact value than rounding
        could have moved a correct computation.
        At a kink the enclosure is as wide as the jump, and no answer within it is certainly wrong.
        """
        given = self.theta.copy()
        cost, gradient = source(self.problem, given)
        return bool(
            not np.array_equal(given, self.theta)
            or _beyond(cost, self.exact.cost, self.bound.cost)
            or np.any(_beyond(gradient, self.exact.gradient, self.bound.gradient + self.exact.error))
        )


def _beyond(answer: Any, exact: Any, allowed: Any) -> Any:
    return np.isfinite(allowed) & ~(np.abs(answer - exact) <= allowed)  # NaN is beyond


def run_trials(
    bugs: Sequence[Bug], peers: Mapping[str, Checker], kind: str, count: int, seed: int, progress: Progress
) -> Iterator[Trial]:
    """The trials on one kind of problem: bugs on the first `count`, and correct code on `CONTROLS` times as many."""
    for number in range(CONTROLS * count):
        problem, theta = draw(kind, seed, number)
        subjects = [CORRECT]
        if number < count:
            with np.errstate(all="ignore"):  # bugs overflow where right formulas do not
                truth = Truth(problem, theta)
                subjects += [bug for bug in bugs if truth.excludes(bug.source)]
        for subject, checker in product(subjects, (HARNESS, *peers)):
            started, given, blame = time.perf_counter(), theta.copy(), ""
            with np.errstate(all="ignore"):
                if checker == HARNESS:
                    outcome, blame = harness_verdict(subject.sources, subject.replaces, problem, given)
                else:
                    outcome = peers[checker](subject.source, problem, given)
            seconds = time.perf_counter() - started
            yield Trial(checker, kind, number, subject.name, group_of(subject), outcome, blame, seconds)
        progress(kind, number + 1, CONTROLS * count)
