"""What the suite checks: activations and gradient sources by name, and random networks by seed."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.formulas import find_activation
from harness.checks.networks.many_networks import needs_ordinary_problems, register_checked, usable_sources
from harness.checks.networks.network_check import check
from harness.checks.networks.random_problems import random_problem
from harness.sources.source_names import find_source
from harness.sources.source_table import SOURCES
from harness.verdict.report import Report
from reference.activations import Activation
from reference.measured import GradientSource
from reference.problem import Problem

OPTIONS = {
    "activation": ("--activation", "harness_suite__gradient_activation"),
    "gradient_source": ("--gradient-source", "harness_suite__gradient_source"),
}
"""For each fixture, its option and the name under which pytest keeps the values."""

ATTEMPTS = 20
"""How many problems to draw until one contains the activation and can be decided. One in five has no hidden layer; as
many are at θ = 0 or at saturation, where units with kinks are undecided. A disagreement is never skipped."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test for each activation or gradient source, and for each random network if it uses one."""
    option = metafunc.config.option
    for fixture, (flag, dest) in OPTIONS.items():
        if fixture in metafunc.fixturenames:
            names = getattr(option, dest)
            none = pytest.param("", marks=pytest.mark.skip(f"nothing to check: give {flag} my_module:my_own"))
            metafunc.parametrize(fixture, names or [none], indirect=True, ids=names or ["none"])
            if "network_seed" in metafunc.fixturenames:
                seeds = [(option.gradient_seed, index) for index in range(option.gradient_networks if names else 1)]
                metafunc.parametrize("network_seed", seeds, ids=[f"{seed}-{index}" for seed, index in seeds])


@pytest.fixture(autouse=True)
def _overflow_is_no_warning() -> Iterator[None]:
    """Extreme networks overflow. The sources are judged by their results, not by warnings."""
    with np.errstate(all="ignore"):
        yield


@cache
def report_on(activation: Activation) -> Report:
    """The report on an activation alone. Afterwards the activation is registered, if JAX can run it."""
    report = check_activation(activation)
    register_checked(activation, report)
    return report


@pytest.fixture
def activation(request: Any) -> Activation:
    """An activation of --activation."""
    return find_activation(request.param)


@pytest.fixture
def report(activation: Activation) -> Report:
    """The report on it alone."""
    return report_on(activation)


@pytest.fixture
def gradient_source(request: Any) -> GradientSource:
    """A gradient source of --gradient-source."""
    return find_source(request.param)


@pytest.fixture
def activations(request: Any) -> list[Activation] | None:
    """The activations of a gradient source's networks; None for all registered ones."""
    return [find_activation(name) for name in getattr(request.config.option, OPTIONS["activation"][1])] or None


@pytest.fixture
def extremes(activations: list[Activation] | None) -> bool:
    """Whether networks with extreme θ and X decide something, with these activations."""
    return not any(needs_ordinary_problems(report_on(f)) for f in activations or [])


@pytest.fixture
def other_sources(activations: list[Activation] | None) -> dict[str, GradientSource]:
    """The sources of the harness that can run these activations."""
    return dict(usable_sources([report_on(f) for f in activations or []]) or SOURCES)


@pytest.fixture
def decidable_problem(network_seed: tuple[int, int]) -> Callable[..., tuple[Problem, np.ndarray]]:
    """``decidable_problem(among, sources, extremes, has=None)``: a random problem that the sources can decide.

    Its network is drawn from the activations `among`, and contains `has`. After `ATTEMPTS` it is the last one drawn.
    """

    def draw(among, sources, extremes, has=None):
        # extended by `attempt`, the seed of a test always draws the same networks
        for attempt in range(ATTEMPTS - 1):
            problem, theta = random_problem((*network_seed, attempt), among, extremes=extremes)
            wanted = has is None or has in problem.network.hidden
            if wanted and check(problem, theta, sources, explained=False).verdict != "inconclusive":
                return problem, theta
        return random_problem((*network_seed, ATTEMPTS - 1), among, extremes=extremes)

    return draw
