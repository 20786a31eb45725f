"""Fixtures of the suite: what it is run on, and the seeds of the random networks."""

from typing import Any

import pytest

from harness.checks.activations import ActivationReport, find_activation, usable_sources
from harness.sources.table import SOURCES, find_source
from harness.suite.subjects import report_on
from reference.activations import Activation
from reference.measured import GradientSource

OPTIONS = {"activation": "--activation", "gradient_source": "--gradient-source"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for fixture, option in OPTIONS.items():
        if fixture in metafunc.fixturenames:
            names = getattr(metafunc.config.option, fixture)
            nobody = pytest.param("", marks=pytest.mark.skip(f"nothing to check: give {option} my_module:my_own"))
            metafunc.parametrize(fixture, names or [nobody], indirect=True, ids=names or ["none"])
            if "network_seed" in metafunc.fixturenames:
                _seed_networks(metafunc, metafunc.config.option.gradient_networks if names else 1)


def _seed_networks(metafunc: pytest.Metafunc, count: int) -> None:
    seed = metafunc.config.option.gradient_seed
    metafunc.parametrize("network_seed", [(seed, i) for i in range(count)], ids=[f"{seed}-{i}" for i in range(count)])


@pytest.fixture
def activation(request: Any) -> Activation:
    """An activation of --activation."""
    return find_activation(request.param)


@pytest.fixture
def report(activation: Activation) -> ActivationReport:
    """The report on it alone."""
    return report_on(activation)


@pytest.fixture
def gradient_source(request: Any) -> GradientSource:
    """A gradient source of --gradient-source."""
    return find_source(request.param)


@pytest.fixture
def activations(request: Any) -> list[Activation] | None:
    """Those to draw networks from, for a gradient source; None for all that are registered."""
    return [find_activation(name) for name in request.config.option.activation] or None


@pytest.fixture
def extremes(activations: list[Activation] | None) -> bool:
    """Whether all sources can follow extreme θ and X through these activations."""
    return not any(report_on(f).needs_plain_differences for f in activations or [])


@pytest.fixture
def other_sources(activations: list[Activation] | None) -> dict[str, GradientSource]:
    """The sources of the harness that can run these activations."""
    return dict(usable_sources([report_on(f) for f in activations or []]) or SOURCES)
