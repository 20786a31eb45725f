"""Part 3 of the lesson: networks that are trained with a bug, and what a check finds in each.

A training is a real one: on digits, some held out, 400-25-10, λ = 1, from the same θ, with the gradient of the bug and
no gate. The heat map is the cross-check at that first θ. Other checkers are run where they are used: on the course's
own check network, 3-5-3 on five examples, with sines for numbers.
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from harness.checks.networks.network_check import cross_check
from harness.digits.digit_networks import COURSE, Fit, Plan, fit
from harness.digits.digits_data import Digits, load_digits, split_digits
from harness.facts import message_table
from harness.sources.bug_zoo import BUGS, Bug
from harness.sources.source_names import default_sources
from harness.study.checkers import HARNESS, PEERS, VERDICTS
from harness.study.trials import flat_source
from harness.study.zoo_cases import CORRECT
from harness.training.gated_training import predict
from reference.network import Network
from reference.problem import Problem

L2, SEED = 1.0, 0

CHECKED = 500  # digits of the cross-check: its bounds are as narrow as on all, in a tenth of the time

MISREAD = 10  # misread digits that are shown for each training

LOWEST, PER_DECADE, LEVELS = -4.0, 12, 254
"""A ratio as a byte: the floor of 1 + 12 log10(ratio / 1e-4), 254 at most; 0 below 1e-4; 255 for NaN."""


class Training(NamedTuple):
    """How much is trained: digits to learn from and to read, and line searches."""

    examples: int
    held_out: int
    line_searches: int


@cache
def digits_for(size: Training) -> tuple[Digits, Digits]:
    """The digits to learn and those held out, as many of each kind, from one split for every size."""
    learnt, held_out = split_digits(load_digits(), SEED)
    return _some(learnt, size.examples), _some(held_out, size.held_out)


def _some(digits: Digits, count: int) -> Digits:
    """Every k-th image, so that about `count` are left: digits come sorted by kind, and so as many of each."""
    return digits.at(slice(None, None, max(1, len(digits.y) // count)))


def bug_results(name: str, size: Training, peers: Sequence[str]) -> dict[str, Any]:
    """The page's numbers for a bug, or for correct code: its training, its check, and each checker's verdict."""
    bug = CORRECT if name == CORRECT.name else BUGS[name]
    return {
        "training": training_results(bug, size),
        "check": check_results(bug, size),
        "checkers": checker_verdicts(bug, peers),
    }


def training_results(bug: Bug, size: Training) -> dict[str, Any]:
    """Curves, accuracies and misread digits of a training with a bug, or with correct code."""
    learnt, held_out = digits_for(size)
    plan = Plan(bug.name, COURSE.sizes, L2, size.line_searches)
    with np.errstate(all="ignore"):
        result = fit(plan, learnt, held_out, seed=SEED, source=bug.source, gate=False)
    return {
        "cost": [_short(cost) for cost in result.curves.cost],
        "accuracy": [_short(share) for share in result.curves.test_accuracy],
        "training_accuracy": result.training_accuracy,
        "test_accuracy": result.test_accuracy,
        "final_cost": _short(float(result.training.costs[-1])) if len(result.training.costs) else None,
        "misread": _misread(result, held_out),
    }


def _misread(result: Fit, held_out: Digits) -> list[list[int]]:
    """Rows of held-out digits that are misread, with the digit that is read; spread over all of them."""
    read = (predict(result.network, result.training.theta, held_out.X) + 1) % 10
    wrong = np.flatnonzero(read != held_out.y)
    shown = wrong[np.unique(np.linspace(0, len(wrong) - 1, MISREAD).astype(int))] if len(wrong) else wrong
    return [[int(row), int(read[row])] for row in shown]


def check_results(bug: Bug, size: Training) -> dict[str, Any]:
    """The cross-check at 400-25-10, with the ratio of every coordinate's difference to its bound."""
    problem = problem_on_digits(size)
    with np.errstate(all="ignore"):
        report = cross_check(problem, COURSE.init(SEED), _beside(bug, problem))
    facts = [report.findings[0].fact] if report.findings else report.reasons
    picture = report.picture
    matrices = list(picture.matrices.values())
    return {
        "verdict": report.verdict,
        "named": list(report.outliers),
        "finding": "; ".join(map(message_table.say, facts)),
        "diagnosis": "; ".join(map(message_table.say, report.findings[0].diagnosis)) if report.findings else "",
        "examples": problem.m,
        "beyond": [int((matrix > 1.0).sum()) for matrix in matrices],
        "worst": _short(float(np.nanmax(picture.ratio))),
        "heat": as_bytes(np.concatenate([matrix.ravel() for matrix in matrices])),
    }


def problem_on_digits(size: Training) -> Problem:
    """The problem of the check at 400-25-10: `CHECKED` digits of those to learn from, or all if there are fewer."""
    checked = _some(digits_for(size)[0], CHECKED)
    return Problem(COURSE, checked.X, checked.classes, L2)


def _beside(bug: Bug, problem: Problem) -> Mapping[str, Any]:
    if bug is CORRECT:
        return {name: source for name, source in default_sources(problem).items() if name != "jax-forward"}
    return bug.sources


def check_network() -> tuple[Problem, np.ndarray]:
    """The course's ``checkNNGradients``: 3-5-3, five examples, λ = 3, and sin 1, sin 2, ... over ten for numbers."""
    network, m = Network((3, 5, 3)), 5

    def sines(rows: int, columns: int) -> np.ndarray:
        return np.sin(np.arange(1, rows * columns + 1)).reshape(columns, rows).T / 10.0

    theta = network.pack([sines(*shape) for shape in network.shapes])
    return Problem(network, sines(m, 3), np.arange(1, m + 1) % 3, 3.0), theta


def relative_errors(size: Training) -> list[dict[str, Any]]:
    """How far each bug of the zoo moves the gradient of the same problem: ‖wrong - right‖ / ‖wrong + right‖."""
    problem = problem_on_digits(size)
    theta = COURSE.init(SEED)
    found = []
    with np.errstate(all="ignore"):
        right = CORRECT.source(problem, theta.copy())[1]
        for bug in BUGS.values():
            wrong = bug.source(problem, theta.copy())[1]
            error = float(np.linalg.norm(wrong - right) / np.linalg.norm(wrong + right))
            found.append({"name": bug.name, "error": _short(error)})
    return found


def checker_verdicts(bug: Bug, peers: Iterable[str]) -> list[dict[str, Any]]:
    """Each checker's verdict on the check network, and the number that its rule compares with its limit."""
    problem, theta = check_network()
    with np.errstate(all="ignore"):
        report = cross_check(problem, theta.copy(), _beside(bug, problem))
        worst = float(np.nanmax(report.picture.ratio))
        rows = [{"checker": HARNESS, "says": VERDICTS[report.verdict], "number": _short(worst), "bound": 1.0}]
        for name in peers:
            peer = PEERS[name]
            # both draw from the same numbers, so that they look at the same entries
            number = peer.number and peer.number(flat_source(bug.source, problem, theta), np.random.default_rng(0))
            says = peer.compare(flat_source(bug.source, problem, theta), np.random.default_rng(0))
            rows.append({"checker": name, "says": says, "number": number and _short(number), "bound": peer.bound})
    return rows


def subjects(names: tuple[str, ...] | None = None) -> dict[str, Bug]:
    """Correct code first, then the bugs of these names, or all."""
    return {CORRECT.name: CORRECT} | {name: BUGS[name] for name in (BUGS if names is None else names)}


def images_of(rows: list[int], size: Training) -> dict[str, dict[str, Any]]:
    """The held-out digits of these rows: the digit, and 400 bytes of ink in base 64, column by column."""
    _, held_out = digits_for(size)
    ink = np.clip(np.round(255.0 * held_out.X[rows]), 0, 255).astype(np.uint8)
    return {
        str(row): {"written": int(held_out.y[row]), "ink": base64.b64encode(image.tobytes()).decode()}
        for row, image in zip(rows, ink)
    }


def as_bytes(ratio: np.ndarray) -> str:
    """Ratios on a logarithmic scale, one byte each, in base 64 (see `LEVELS`)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 1.0 + np.floor(PER_DECADE * (np.log10(ratio) - LOWEST))
    level = np.where(np.isnan(ratio), 255.0, np.clip(level, 0.0, LEVELS))
    return base64.b64encode(level.astype(np.uint8).tobytes()).decode()


def _short(number: float) -> float | None:
    """Five digits; None for what is not finite."""
    return float(f"{number:.5g}") if math.isfinite(number) else None
