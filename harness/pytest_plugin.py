"""A pytest plugin: gradients that are right, as a test.

Fixtures
--------
cross_check
    ``cross_check(problem, theta, sources=None)`` or ``cross_check(fun, theta, reference=None, ...)``: like
    `harness.assert_gradients_agree`, and counted in the summary at the end. A failure shows where it was called and how
    it is seen again: a problem is shrunk and saved, a function gets a script. A test whose own source cannot take the
    network (`NotApplicable`) is skipped.
check_derivatives
    ``check_derivatives(f, *args, ...)``: like `harness.assert_derivatives_agree`, and counted as well.
random_problem
    A random ``(problem, theta)``; a test that asks for it runs once for each of ``--gradient-networks``.

All go with ``@given`` of Hypothesis. ``pytest --pyargs harness.suite`` runs a ready-made suite on the ``--activation``
or ``--gradient-source`` that it is given; these two options exist in such a run only. ``-p no:gradients`` switches the
plugin off.

Nothing heavy is imported before a test asks for one of the fixtures.
"""

import argparse
import json
import linecache
import os
import re
import shlex
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from harness.inconclusive import InconclusiveGradient
from harness.named_objects import ShownFromOutside
from harness.wording import counted

CASES = Path(".gradient-cases")  # below the root directory: where failing problems are saved
HOW_TO_PASS = "(gradient_inconclusive = warn or pass in the ini file lets this pass)"

SUITE = Path(__file__).resolve().parent / "suite"
ACTIVATION, SOURCE = ("--gradient-activation", "--activation"), ("--gradient-source",)
SUITE_OPTIONS = {ACTIVATION: "an Activation", SOURCE: "a gradient source"}
"""What harness.suite is run on. The first name of an option is there even where a project has the second."""

_records = pytest.StashKey[list[dict[str, Any]]]()
_running = pytest.StashKey[pytest.Item]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options, and the setting of the ini file."""
    group = parser.getgroup("gradients", "gradient cross-checks")
    group.addoption("--gradient-networks", type=int, default=20, metavar="N", help="random problems for each test (20)")
    group.addoption("--gradient-seed", type=int, default=0, metavar="SEED", help="the seed of the random problems (0)")
    group.addoption("--gradient-report", type=Path, metavar="FILE", help="write all reports to FILE (.json or .html)")
    group.addoption(
        "--gradient-inconclusive", choices=["fail", "warn", "pass"], help="what to do with an inconclusive verdict"
    )
    parser.addini("gradient_inconclusive", "fail, warn or pass: what an inconclusive verdict does", default="fail")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> Iterator[None]:
    """Declare the options of the suite where it is run, after the conftest files, which may have one of that name."""
    yield
    if any(arg.startswith("harness.suite") or _is_of_the_suite(arg) for arg in args):
        group = parser.getgroup("gradients")
        for names, what in SUITE_OPTIONS.items():
            settings = {"action": "append", "default": [], "metavar": "MODULE:NAME", "dest": _dest(names)}
            try:
                group.addoption(*names, **settings, help=f"{what} for harness.suite")
            except (ValueError, argparse.ArgumentError):  # the project has an option of this name
                group.addoption(names[0], **settings, help=f"{what} for harness.suite")


def _is_of_the_suite(argument: str) -> bool:
    path = Path(argument.partition("::")[0])
    return not argument.startswith("-") and SUITE in (path.resolve(), *path.resolve().parents)


def _dest(names: tuple[str, ...]) -> str:
    """Where the values are: no project has an option that is kept there."""
    return "harness_suite" + names[0].replace("-", "_")


def _suite_option(config: pytest.Config, names: tuple[str, ...]) -> list[str]:
    return getattr(config.option, _dest(names), [])


def pytest_configure(config: pytest.Config) -> None:
    """Make a place for the records of the checks; refuse, before anything runs, values that cannot be used."""
    config.stash[_records] = []
    try:
        _check_values(config)
    except (ValueError, TypeError) as error:
        raise pytest.UsageError(str(error)) from error


def _check_values(config: pytest.Config) -> None:
    given, on_inconclusive = config.option, _on_inconclusive(config)
    report: Path | None = given.gradient_report
    if given.gradient_networks < 1:
        raise ValueError(f"--gradient-networks must be one or more, not {given.gradient_networks}")
    if given.gradient_seed < 0:
        raise ValueError(f"--gradient-seed must be zero or more, not {given.gradient_seed}")
    if report is not None and report.suffix not in (".json", ".html"):
        raise ValueError(f"--gradient-report takes a file that ends in .json or .html, not {report}")
    if report is not None and not report.parent.is_dir():
        raise ValueError(f"--gradient-report {report}: there is no folder {report.parent}")
    if on_inconclusive not in ("fail", "warn", "pass"):
        raise ValueError(f"gradient_inconclusive must be fail, warn or pass, not {on_inconclusive!r}")
    activations, sources = _suite_option(config, ACTIVATION), _suite_option(config, SOURCE)
    if activations or sources:  # or nothing is imported
        from harness.checks.activations.formulas import find_activation
        from harness.sources.source_names import find_source

        for find, names in ((find_activation, activations), (find_source, sources)):
            for name in names:
                find(name)


def _on_inconclusive(config: pytest.Config) -> str:
    return config.option.gradient_inconclusive or config.getini("gradient_inconclusive")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `random_problem` once for each network, and name it after seed and index."""
    if "random_problem" in metafunc.fixturenames:
        seed = metafunc.config.option.gradient_seed
        seeds = [(seed, index) for index in range(metafunc.config.option.gradient_networks)]
        ids = [f"{seed}-{index}" for seed, index in seeds]
        metafunc.parametrize("random_problem", seeds, indirect=True, ids=ids, scope="function")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember which test runs, for the fixture, which is made once for all."""
    item.config.stash[_running] = item


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Say how a failure is seen again: here, and not where it is raised, for Hypothesis fails a hundred times."""
    raised = call.excinfo.value if call.excinfo else None
    for failure in _failures(raised):
        example = getattr(failure, "__notes__", []) if failure is raised else []  # a group shows Hypothesis's itself
        failure.msg = "\n".join([str(failure.msg), *example, "", failure.how_to_repeat(item)])
    return (yield)


def _failures(error: BaseException | None) -> list["GradientsDisagree"]:
    if isinstance(error, BaseExceptionGroup):
        return [failure for each in error.exceptions for failure in _failures(each)]
    return [error] if isinstance(error, GradientsDisagree) else []


class GradientsDisagree(pytest.fail.Exception):
    """A failure that knows the call of the check."""

    __module__ = "builtins"  # as of pytest's own, so that its summary has room for the verdict

    def __init__(self, report: Any, call: dict[str, Any]):
        super().__init__(f"{report}\n\n{_where_called()}", pytrace=False)
        self.report, self.call = report, call

    def how_to_repeat(self, item: pytest.Item) -> str:
        """How to see it again: of a network the smallest that fails, of a function a script."""
        from reference.problem import Problem

        if isinstance(self.call["subject"], Problem):
            return _repeat_network(item, self.report, **self.call)
        return _repeat_function(item, self.call)


def _where_called() -> str:
    """The lines that led from the test to the check, as ``file:line: in function``."""
    frame, lines = sys._getframe(1), []
    while frame is not None:
        module = frame.f_globals.get("__name__", "").partition(".")[0]
        if module in ("_pytest", "pluggy", "hypothesis"):
            break
        if frame.f_globals.get("__name__") != __name__:
            lines.append((Path(frame.f_code.co_filename), frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return "\n".join(
        f"{os.path.relpath(file)}:{line}: in {name}\n    {linecache.getline(str(file), line).strip()}"
        for file, line, name in reversed(lines)
    )


# A fixture for a whole session goes with @given of Hypothesis, which warns of what is made for each test but not for
# each example; neither of these two keeps anything from one test to the next.


@pytest.fixture(scope="session")
def random_problem(request: pytest.FixtureRequest) -> Any:
    """A random (problem, theta), ``harness.random_problem((seed, index), extremes=False)``, as the test's name shows.

    Ordinary sizes only: at θ = 0 or in saturation, right code can be inconclusive.
    """
    from harness.checks.networks.random_problems import random_problem

    return random_problem(request.param, extremes=False)


@pytest.fixture(scope="session")
def cross_check(pytestconfig: pytest.Config) -> Callable[..., Any]:
    """``cross_check(subject, theta, ...)``, as `harness.assert_gradients_agree`; returns the report."""
    from harness.assertions import check, took_no_part

    on_inconclusive = _on_inconclusive(pytestconfig)

    def assert_agree(subject: Any, theta: Any, sources: Any = None, reference: Any = None, **options: Any) -> Any:
        __tracebackhide__ = True
        with ShownFromOutside(pytestconfig.option.fulltrace):
            report = check(subject, theta, sources, reference, **options)
        _record(pytestconfig, report)
        if report.verdict == "disagree":
            call = {"subject": subject, "theta": theta, "sources": sources, "reference": reference, **options}
            raise GradientsDisagree(report, call)
        if absent := took_no_part(report, sources):
            pytest.skip(absent)
        return _decided(report, on_inconclusive)

    assert_agree.__qualname__ = "cross_check"  # as errors call it
    return assert_agree


@pytest.fixture(scope="session")
def check_derivatives(pytestconfig: pytest.Config) -> Callable[..., Any]:
    """``check_derivatives(f, *args, ...)``, as `harness.assert_derivatives_agree`; returns the report."""
    on_inconclusive = _on_inconclusive(pytestconfig)

    def assert_agree(f: Callable[..., Any], *args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        from harness.checks.traced.derivative_check import check_derivatives  # which imports JAX

        with ShownFromOutside(pytestconfig.option.fulltrace):
            report = check_derivatives(f, *args, **options)
        _record(pytestconfig, report)
        if report.verdict == "disagree":
            call = {"subject": f, "theta": args, "sources": None, "reference": None, "check": "check_derivatives"}
            raise GradientsDisagree(report, {**call, **options})
        return _decided(report, on_inconclusive)

    assert_agree.__qualname__ = "check_derivatives"  # as errors call it
    return assert_agree


def _decided(report: Any, on_inconclusive: str) -> Any:
    """The report, unless it is inconclusive and that is a failure; a warning points at the test's line."""
    __tracebackhide__ = True
    if report.verdict == "inconclusive" and on_inconclusive == "fail":
        pytest.fail(f"{report}\n\n{_where_called()}\n{HOW_TO_PASS}", pytrace=False)
    if report.verdict == "inconclusive" and on_inconclusive == "warn":
        warnings.warn(str(report), InconclusiveGradient, stacklevel=3)
    return report


def _record(config: pytest.Config, report: Any) -> None:
    """For the summary; of the examples that Hypothesis draws for one test, the last of each verdict."""
    item, records = config.stash[_running], config.stash[_records]
    record = {"test": item.nodeid, "report": report.to_dict(), "text": str(report)}
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        same = [each for each in records if each["test"] == item.nodeid and each["report"]["verdict"] == report.verdict]
        for each in same:
            records.remove(each)
    records.append(record)


def _repeat_network(item: pytest.Item, report: Any, subject: Any, theta: Any, sources: Any, **_: Any) -> str:
    from harness.checks.networks.smallest_failure import reproduce
    from harness.scripts.locating import search_path
    from harness.sources.source_names import named_sources
    from harness.sources.source_table import SOURCES

    path = item.config.rootpath / CASES / f"{_file_name(item.nodeid)}.json"
    activations = _suite_option(item.config, ACTIVATION)
    modules = [name.partition(":")[0] for name in activations]
    modules += [getattr(source.run, "__module__", "") for source in named_sources(sources or SOURCES).values()]
    prefix = search_path(modules, item.config.invocation_params.dir)
    return str(reproduce(subject, theta, report, sources, path, activations, prefix))


def _repeat_function(item: pytest.Item, call: dict[str, Any]) -> str:
    from harness.scripts.writing import how_to_repeat

    call = dict(call)
    third = call.pop("sources")  # a reference may stand there
    call["fun"], call["reference"] = call.pop("subject"), call["reference"] or third
    seed = item.config.option.gradient_seed
    test = shlex.quote(f"{item.path}::{item.nodeid.partition('::')[2]}")
    rerun = f"python -m pytest {test}" + (f" --gradient-seed {seed}" if seed else "")
    path = item.config.rootpath / CASES / f"{_file_name(item.nodeid)}.npz"
    module = getattr(item, "module", None)
    return how_to_repeat(path, rerun, seed, call, [module] if module else [])


def _file_name(nodeid: str) -> str:
    """A file name that no other test has, but for its ending."""
    readable = re.sub(r"[^\w.-]+", "-", nodeid, flags=re.ASCII).strip("-")[-100:]
    return f"{readable}-{crc32(nodeid.encode()):08x}"


# -- the summary, which gathers what the workers of pytest-xdist have seen ---------------------------------------------


def pytest_sessionfinish(session: pytest.Session) -> None:
    """On a worker of pytest-xdist: send the records to the process that writes the summary."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["gradient_records"] = session.config.stash[_records]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Where the summary is written: gather what a worker has sent."""
    node.config.stash[_records].extend(getattr(node, "workeroutput", {}).get("gradient_records", []))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Count the verdicts, and write the report that was asked for."""
    records, path = config.stash[_records], config.option.gradient_report
    if not records:
        return
    reports = [record["report"] for record in records]
    counts = Counter(report["verdict"] for report in reports)
    sources = {source["name"] for report in reports for source in report["sources"]}
    checks = "network" if all("sizes" in report["subject"] for report in reports) else "check"
    line = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in ("agree", "disagree", "inconclusive"))
    terminalreporter.section("gradients", sep="-")
    terminalreporter.line(f"{counted(len(records), checks)}, {counted(len(sources), 'source')}: {line}")
    for name, count in Counter(name for report in reports for name in report["left_out"]).items():
        terminalreporter.line(f"{name} could not take {count:,} of them")
    if path is not None:
        from harness.files import write_whole
        from harness.reports.checks import checks_page

        command = shlex.join(["pytest", *config.invocation_params.args])
        told = [(record["test"], record["report"]["verdict"], record["text"]) for record in records]
        write_whole(path, (_json(records) if path.suffix == ".json" else checks_page(told, line, command)).encode())
        terminalreporter.line(f"reports: {path}")


def _json(records: list[dict[str, Any]]) -> str:
    checks = [{"test": record["test"], "report": record["report"]} for record in records]
    return json.dumps({"schema": "harness.pytest/1", "checks": checks}, indent=1)
