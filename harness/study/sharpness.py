"""The smallest error in one coordinate of the gradient that a checker sees, at the size of exercise 4."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from harness.bounds.network_bound import rounding_bound
from harness.digits.course_numbers import COURSE
from harness.digits.digits_data import load_digits
from harness.progress import Progress
from harness.sources.source_table import SOURCES
from harness.study.checkers import ALARM, HARNESS, PEERS, Checker, harness_verdict
from reference.measured import GradientSource, Oracle
from reference.oracles import finite_difference
from reference.problem import Problem

RESOLUTION = 1.1  # the bisection ends when the bracket's ends have this ratio
COORDINATES = 3


class Sharpness(NamedTuple):
    """An error of this size in this coordinate is seen, and one below it is not; infinite when even 1 is not seen."""

    checker: str
    coordinate: str
    error: float


def smallest_errors(peers: Mapping[str, Checker], progress: Progress) -> tuple[list[Sharpness], dict[str, str]]:
    """The smallest error seen at 400-25-10 on the 5,000 digits with λ = 1, by bisection, and who was not asked."""
    problem, theta = exercise_4()
    asked = {HARNESS: harness_checker(problem, theta)}
    asked |= {name: peer for name, peer in peers.items() if PEERS[name].is_cheap}
    reason = f"too slow at this size: a check, or an alarm, evaluates the cost for each of {COURSE.size:,} parameters"
    found = []
    for checker, check in asked.items():
        for i in coordinates(problem, theta):
            found.append(Sharpness(checker, COURSE.label(i), smallest_error(check, problem, theta, i)))
            progress("smallest errors", len(found), COORDINATES * len(asked))
    return found, {name: reason for name in peers if name not in asked}


def exercise_4() -> tuple[Problem, np.ndarray]:
    """The course's network on its digits, λ = 1, at an initial θ."""
    digits = load_digits()
    return Problem(COURSE, digits.X, digits.classes, 1.0), COURSE.init(0)


def coordinates(problem: Problem, theta: np.ndarray) -> list[int]:
    """The coordinates that rounding leaves the sharpest, in the middle, and the most blurred."""
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
    """The harness at one θ, with the sources that stay the same asked once."""
    measured = finite_difference.gradient(problem, theta)
    loop, jax = SOURCES["loop"](problem, theta), SOURCES["jax"](problem, theta)
    answers = {"loop": lambda *_: loop, "jax": lambda *_: jax, "finite-difference": Oracle(lambda *_: measured)}
    others = {name: replace(SOURCES[name], function=answer) for name, answer in answers.items()}

    def check(source: GradientSource, problem: Problem, theta: np.ndarray) -> str:
        return harness_verdict({"vectorized": source} | others, ("vectorized",), problem, theta)[0]

    return check


def smallest_error(check: Checker, problem: Problem, theta: np.ndarray, i: int) -> float:
    """The smallest error in coordinate i that raises an alarm, to a factor of `RESOLUTION`."""

    def sees(error: float) -> bool:
        return check(off_by(error, i), problem, theta.copy()) == ALARM

    low, high = 1e-30, 1.0
    if not sees(high):
        return math.inf
    while high / low > RESOLUTION:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if sees(middle) else (middle, high)
    return high
