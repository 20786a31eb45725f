"""What the tests of the pytest plugin run pytest with; pytest allows `pytest_plugins` in this folder only."""

import os
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest_plugins = ("pytester",)

INSTALLED = any(point.value == "autodiff_cross_check.pytest_plugin" for point in entry_points(group="pytest11"))
QUIET = ["-p", "no:cacheprovider"]
PLUGIN = [] if INSTALLED else ["-p", "autodiff_cross_check.pytest_plugin"]


@pytest.fixture
def at_a_desk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No continuous integration, where pytest's short summary repeats whole messages."""
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run_pytest(pytester: pytest.Pytester, at_a_desk: None) -> Callable[..., pytest.RunResult]:
    """``run_pytest(*arguments)``: in this process, with the plugin, in a folder of its own."""

    def run(*arguments: object) -> pytest.RunResult:
        with warnings.catch_warnings():
            warnings.resetwarnings()  # it would inherit that warnings are errors here
            return pytester.runpytest_inprocess(*PLUGIN, *QUIET, *map(str, arguments))

    return run


@pytest.fixture
def run_pytest_apart(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, at_a_desk: None
) -> Callable[..., pytest.RunResult]:
    """The same in a process of its own, as people run it."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    return lambda *arguments: pytester.runpytest_subprocess(*PLUGIN, *QUIET, *map(str, arguments))
