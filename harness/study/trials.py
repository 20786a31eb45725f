"""Every bug and the correct code, on problems of every kind, shown to every checker.

A trial is one checker on one subject (a bug, or correct code) and one problem. A bug that `equivalence` finds absent on
a problem is no trial. The correct code is the pipeline that the bugs are made from, so that only the bug differs.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.sources.backprop_steps import Backprop
from harness.sources.bug_zoo import Fault
from harness.study.checkers import HARNESS, Checker, harness_verdict
from harness.study.equivalence import Truth
from harness.study.problems import KINDS, draw
from harness.study.rates import Rate
from reference.problem import Problem

CORRECT = Fault("correct", "The pipeline that the bugs are made from.", Backprop(), ("vectorized",), "none")

GROUPS = {
    "gradient": "the gradient is not that of the cost it comes with",
    "cost": "the cost is wrong as well, which only another source can tell",
    "program": "the formulas are right, and the program around them is not",
}

_PROGRAM = ("argument-mutated", "non-deterministic")

CONTROLS = 5
"""Correct code is shown so many problems for each that the bugs are shown: there is one of it, and forty of them."""

SLOW = {"785 parameters": 5}  # a fifth of the problems, where a check takes the peers twenty times as long


def group_of(fault: Fault) -> str:
    """Which of `GROUPS` a bug belongs to."""
    return "program" if fault.name in _PROGRAM else "cost" if fault.part == "cost" else "gradient"


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


def run_trials(
    faults: Sequence[Fault], peers: Mapping[str, Checker], kind: str, count: int, seed: int, advance: Callable[[], Any]
) -> tuple[list[Trial], Rate]:
    """The trials on one kind of problem, and how many bugs were absent; `advance` is called after each problem."""
    trials, absent = [], Rate(0, 0)
    for number in range(CONTROLS * count):
        problem, theta = draw(kind, seed, number)
        subjects = [CORRECT]
        if number < count:
            with np.errstate(all="ignore"):  # bugs overflow where right formulas do not
                truth = Truth(problem, theta)
                present = [fault for fault in faults if truth.excludes(fault.source)]
            absent += Rate(len(faults) - len(present), len(faults))
            subjects += present
        for fault in subjects:
            trials += _ask_all(fault, peers, problem, theta, kind, number)
        advance()
    return trials, absent


def _ask_all(
    fault: Fault, peers: Mapping[str, Checker], problem: Problem, theta: np.ndarray, kind: str, number: int
) -> Iterator[Trial]:
    group = group_of(fault) if fault is not CORRECT else ""
    for name in (HARNESS, *peers):
        started, given, blame = time.perf_counter(), theta.copy(), ""
        with np.errstate(all="ignore"):
            if name == HARNESS:
                outcome, blame = harness_verdict(fault.sources, fault.replaces, problem, given)
            else:
                outcome = peers[name](fault.source, problem, given)
        yield Trial(name, kind, number, fault.name, group, outcome, blame, time.perf_counter() - started)
