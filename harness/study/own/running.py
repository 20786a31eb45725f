"""The run: every function, right and with every bug that applies, shown to every checker."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from harness.checks.functions.error_patterns import explain
from harness.checks.functions.gradient_check import check_gradient
from harness.checks.functions.parameters import Layout
from harness.progress import Progress, silent
from harness.study.cases import RIGHT, WRONG, Counted, quietly, said_by_peer, show_all
from harness.study.checkers import HARNESS, VERDICTS, Checker, named_peers
from harness.study.own.bugs import BUGS
from harness.study.own.elementwise import FORMULAS
from harness.study.own.models import MODELS, Function, Model, Parameters
from harness.study.own.shipped import SHIPPED
from harness.verdict.comparison import Answer
from harness.verdict.report import Report

SHIPPED_WRONG = "shipped wrong"

EXACT = 1e-13
"""An error bar for the right gradient, as a share of its largest entry, where a diagnosis is held against it."""

VAGUE = ("examined coordinates are wrong", "off by")

AT_THIS_POINT = "; beside this θ"

NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]?\d+)?")

NEXT = 1e-7
"""How far beside θ a claim is held against what is right at θ."""

STEP, QUICK_STEP = 5, 80
"""Of the functions with a bug planted, every so many are shown."""

SCALES = {"ordinary": 0.7, "awkward": 3.0}


class Case(NamedTuple):
    """A function at θ, right or wrong.

    Attributes
    ----------
    name, point, bug : what it is; no bug where it is right
    kind : "right", "wrong" or "shipped wrong"
    function, theta : what is checked
    right : the right gradient at θ
    words : what a right diagnosis says, any of these; empty for any true relation
    """

    name: str
    point: str
    bug: str
    kind: str
    function: Function
    theta: Parameters
    right: Parameters
    words: tuple[str, ...] = ()


class Trial(NamedTuple):
    """What one checker said of one case; of a bug that this harness caught, what its diagnosis was worth."""

    checker: str
    case: str
    kind: str
    outcome: str
    seconds: float
    diagnosis: str = ""


@dataclass(frozen=True)
class OwnStudy(Counted):
    """What came out."""

    schema = "harness.study.own/1"

    def spent(self, checker: str) -> float:
        return sum(trial.seconds for trial in self.trials if trial.checker == checker)


def all_cases() -> Iterator[Case]:
    """Right functions at ordinary and at awkward points, the same with bugs, and what was shipped wrong."""
    for name, function, theta, point in _right_functions():
        right = function(theta)[1]
        yield Case(name, point, "", RIGHT, function, theta, right)
        for bug, (change, words) in BUGS.items():
            claimed = change(right, theta)
            if _differs(claimed, right):
                yield Case(name, point, bug, WRONG, _with(function, change), theta, right, words)
    for name, shipped in SHIPPED.items():
        theta = {"t": np.array(shipped.at, dtype=float)}
        right = {"t": shipped.right(theta["t"])}
        yield Case(name, "shipped", "", RIGHT, _of_array(shipped.cost, shipped.right), theta, right)
        yield Case(name, "shipped", name, SHIPPED_WRONG, _of_array(shipped.cost, shipped.wrong), theta, right)


def _right_functions() -> Iterator[tuple[str, Function, Parameters, str]]:
    for name, formula in FORMULAS.items():
        function = _of_array(lambda t, f=formula: float(np.sum(f.value(t))), formula.slope)
        for point, x in (("ordinary", formula.ordinary), ("awkward", formula.awkward)):
            yield name, function, {"t": np.array(x, dtype=float)}, point
    for number, (name, model) in enumerate(MODELS.items()):
        for point, scale in SCALES.items():
            yield name, model.function, _parameters(model, scale, number), point


def _parameters(model: Model, scale: float, seed: int) -> Parameters:
    rng = np.random.default_rng(seed)
    theta = {name: np.asarray(scale * rng.standard_normal(shape)) for name, shape in model.shapes.items()}
    return theta | {name: np.abs(theta[name]) + 0.3 for name in model.positive}


def _of_array(cost: Callable[[np.ndarray], float], gradient: Callable[[np.ndarray], np.ndarray]) -> Function:
    return lambda p: (cost(p["t"]), {"t": gradient(p["t"])})


def _with(function: Function, change: Callable) -> Function:
    def changed(theta: Parameters) -> tuple[float, Parameters]:
        cost, gradient = function(theta)
        return cost, change(gradient, theta)

    return changed


def _differs(claimed: Parameters, right: Parameters) -> bool:
    """By more than a millionth of the largest entry, so that everybody could see it."""
    largest = max(float(np.abs(part).max()) for part in right.values())
    return any(not np.allclose(claimed[name], right[name], rtol=1e-6, atol=1e-6 * largest) for name in right)


def run_own(progress: Progress = silent, step: int = STEP, peers: tuple[str, ...] | None = None) -> OwnStudy:
    """Show this harness and its peers all functions that are right, and every `step`-th with a bug planted."""
    started = time.perf_counter()
    with quietly():
        cases = list(all_cases())
    planted = [case for case in cases if case.kind == WRONG]
    cases = [case for case in cases if case.kind != WRONG] + planted[::step]
    others, left_out = named_peers(peers)
    by_peers = {name: partial(_by_peer, name, checker) for name, checker in others.items()}
    trials = show_all(cases, {HARNESS: _by_harness} | by_peers, progress)
    return OwnStudy(trials, left_out, time.perf_counter() - started)


def _title(case: Case) -> str:
    return f"{case.name}, {case.point}" + (f": {case.bug}" if case.bug and case.kind == WRONG else "")


def _by_harness(case: Case) -> Trial:
    before = time.perf_counter()
    report = check_gradient(case.function, case.theta)
    seconds = time.perf_counter() - before
    told = "" if case.kind == RIGHT or report.verdict != "disagree" else worth_of(report, case)
    return Trial(HARNESS, _title(case), case.kind, VERDICTS[report.verdict], seconds, told)


def worth_of(report: Report, case: Case) -> str:
    """What a diagnosis is worth: "right", "vague" or "false".

    A relation other than the one that was planted is held against the exact gradient: where that shows the same, it is
    another true description.
    """
    told = report.findings[0].diagnosis if report.findings else ""
    if case.kind == WRONG and any(word in told for word in case.words):
        return "right"
    told, *more = told.split(AT_THIS_POINT)
    if more and not _is_right_beside(case):
        return "false"
    if not told or any(word in told for word in VAGUE):
        return "vague"
    return "right" if _same_words(told, _told_of_the_exact(case)) else "false"


def _same_words(a: str, b: str) -> bool:
    """The same sentence, its numbers to four digits."""
    rounded = [NUMBER.sub(lambda number: f"{float(number[0]):.4g}", text) for text in (a, b)]
    return rounded[0] == rounded[1]


def _is_right_beside(case: Case) -> bool:
    """Whether the claim next to θ is what is right at θ."""
    beside = {name: part + NEXT * (1.0 + np.abs(part)) for name, part in case.theta.items()}
    claimed = case.function(beside)[1]
    return all(np.allclose(claimed[name], right, rtol=1e-3, atol=1e-3) for name, right in case.right.items())


def _told_of_the_exact(case: Case) -> str:
    layout = Layout(case.theta)
    theta, right = layout.flatten(case.theta, "theta"), layout.flatten(case.right, "gradient")
    claimed = layout.flatten(case.function(case.theta)[1], "gradient")
    error = np.full_like(right, EXACT * np.abs(right).max())
    wrong = ~(np.abs(claimed - right) <= 4.0 * error)
    yours, exact = (Answer(name, name, 0.0, 0.0, g, error) for name, g in (("fun", claimed), ("exact", right)))
    return explain(layout, theta, yours, exact, wrong, np.zeros_like(right))


def _by_peer(name: str, checker: Checker, case: Case) -> Trial:
    layout = Layout(case.theta)

    def source(_: Any, flat: np.ndarray) -> tuple[float, np.ndarray]:
        cost, gradient = case.function(layout.rebuild(np.asarray(flat, dtype=float)))
        return float(cost), layout.flatten(gradient, "gradient")

    problem: Any = None  # such a source looks at none
    said = said_by_peer(lambda: checker(source, problem, layout.flatten(case.theta, "theta")), case.kind)
    return Trial(name, _title(case), case.kind, *said)
