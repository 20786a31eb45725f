"""What the suite is run on, found by name and checked once."""

from collections.abc import Mapping
from functools import cache

import numpy as np

from harness.checks.activations import ActivationReport, check_activation, register_checked
from harness.checks.networks.cross_checking import cross_check
from harness.checks.networks.random_problems import random_problem
from reference.activations import Activation
from reference.measured import GradientSource
from reference.problem import Problem

ATTEMPTS = 20
"""Problems tried for one that contains the activation and can be decided: one in five has no hidden layer, and as many
sit at θ = 0 or at saturation, where kinked units cannot be judged. A disagreement is never passed over."""


@cache
def report_on(activation: Activation) -> ActivationReport:
    """The report on an activation alone; afterwards it is registered, if JAX can run it."""
    report = check_activation(activation)
    register_checked(activation, report)
    return report


def decidable_problem(
    seed: tuple[int, int],
    among: list[Activation] | None,
    sources: Mapping[str, GradientSource] | None,
    has: Activation | None = None,
    extremes: bool = True,
) -> tuple[Problem, np.ndarray]:
    """A random problem, with a certain activation in it, on which the sources reach a verdict; the last one if none."""
    problem, theta = random_problem((*seed, 0), among, extremes=extremes)
    for attempt in range(ATTEMPTS):
        problem, theta = random_problem((*seed, attempt), among, extremes=extremes)
        if has is None or has in problem.network.hidden:
            with np.errstate(all="ignore"):
                report = cross_check(problem, theta, sources)
            if report.verdict != "inconclusive":
                break
    return problem, theta
