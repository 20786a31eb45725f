"""The smallest error in one coordinate that a checker sees, at the size of exercise 4."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harness.bounds.network_bound import rounding_bound
from harness.digits.digit_networks import COURSE
from harness.digits.digits_data import load_digits
from harness.progress import Progress
from harness.sources.source_table import SOURCES
from harness.study.checkers import ALARM, HARNESS, Checker, Peer, harness_verdict
from reference.measured import GradientSource, Oracle
from reference.oracles import finite_difference
from reference.problem import Problem

RESOLUTION = 1.1
"""The bisection ends when the ends of the bracket have this ratio."""

COORDINATES = 3

LOWEST, HIGHEST = 1e-30, 1.0
"""The bracket at the start: below rounding of any coordinate, and as large as the largest coordinates."""


def smallest_errors(peers: Mapping[str, Peer], progress: Progress) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The smallest error seen at 400-25-10 on the 5,000 digits with λ = 1, by bisection.

    Returns
    -------
    rows : the checker, the coordinate and the error as JSON-ready dicts; the error is None where even 1 is not seen
    left_out : the checkers that were not tried, and why
    """
    problem, theta = exercise_4()
    checkers = {HARNESS: harness_checker(problem, theta)}
    checkers |= {name: peer.checker() for name, peer in peers.items() if peer.is_cheap}
    reason = f"too slow at this size: a check, or an alarm, evaluates the cost for each of {COURSE.size:,} parameters"
    found = []
    for checker, check in checkers.items():
        for i in coordinates(problem, theta):
            error = smallest_error(check, problem, theta, i)
            row = {"checker": checker, "coordinate": COURSE.label(i), "error": error if math.isfinite(error) else None}
            found.append(row)
            progress("smallest errors", len(found), COORDINATES * len(checkers))
    return found, {name: reason for name in peers if name not in checkers}


def exercise_4() -> tuple[Problem, np.ndarray]:
    """The course's network on its digits, λ = 1, at an initial θ."""
    digits = load_digits()
    return Problem(COURSE, digits.X, digits.classes, 1.0), COURSE.init(0)


def coordinates(problem: Problem, theta: np.ndarray) -> list[int]:
    """The coordinates with the smallest, the median and the largest rounding error bound."""
    by_bound = np.argsort(rounding_bound(problem, theta).gradient, kind="stable")
    return [int(by_bound[rank]) for rank in np.linspace(0, len(by_bound) - 1, COORDINATES).astype(int)]


def off_by(error: float, i: int) -> GradientSource:
    """The vectorized backprop with an error added to coordinate i."""

    def source(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
        cost, gradient = SOURCES["vectorized"](problem, theta)
        gradient[i] += error
        return cost, gradient

    return source


def harness_checker(problem: Problem, theta: np.ndarray) -> Checker:
    """The harness at one θ; the sources that stay the same are evaluated once."""
    measured = finite_difference.gradient(problem, theta)
    loop, jax = SOURCES["loop"](problem, theta), SOURCES["jax"](problem, theta)
    answers = {"loop": lambda *_: loop, "jax": lambda *_: jax, "finite-difference": Oracle(lambda *_: measured)}
    others = {name: replace(SOURCES[name], function=answer) for name, answer in answers.items()}

    def check(source: GradientSource, problem: Problem, theta: np.ndarray) -> str:
        return harness_verdict({"vectorized": source} | others, ("vectorized",), problem, theta)[0]

    return check


def smallest_error(check: Checker, problem: Problem, theta: np.ndarray, i: int) -> float:
    """The smallest error in coordinate i that raises an alarm, to a factor of `RESOLUTION`; infinite if 1 does not."""

    def sees(error: float) -> bool:
        return check(off_by(error, i), problem, theta.copy()) == ALARM

    low, high = LOWEST, HIGHEST
    if not sees(high):
        return math.inf
    while high / low > RESOLUTION:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if sees(middle) else (middle, high)
    return high
