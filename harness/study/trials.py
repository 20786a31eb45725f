"""Every bug and the correct code, on problems of every kind, shown to every checker.

A trial is one checker on one subject (a bug, or correct code) and one problem. A bug that `equivalence` finds absent on
a problem is no trial. The correct code is the pipeline that the bugs are made from, so that only the bug differs.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from harness.progress import Progress
from harness.sources.backprop_steps import Backprop
from harness.sources.bug_zoo import Bug
from harness.sources.table import BY_HAND, Source
from harness.study.checkers import HARNESS, Checker, harness_verdict
from harness.study.equivalence import Truth
from harness.study.problems import KINDS, draw

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
