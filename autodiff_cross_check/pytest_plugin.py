"""A pytest plugin: tests that gradients are right.

Fixtures
--------
cross_check
    ``cross_check(problem, theta, sources=None)`` or ``cross_check(fun, theta, reference=None, ...)``: like
    `harness.assert_gradients_agree`, and counted in the summary at the end. A failure shows where it was called and how
    to repeat it: a problem is shrunk and saved, a function gets a script. A test whose own source cannot take the
    network (`NotApplicable`) is skipped. The run fails if such a source took none of a test's networks.
check_derivatives
    ``check_derivatives(f, *args, ...)``: like `harness.assert_derivatives_agree`, and counted as well.
random_problem
    A random ``(problem, theta)``. A test that uses it runs once for each of ``--gradient-networks``. The marker
    ``@pytest.mark.networks(layers=2, activations="sigmoid", outputs="sigmoid", sizes=(400, 25, 10), l2=1.0)`` or the
    option ``--gradient-networks-like`` says which networks are drawn.

All work with Hypothesis's ``@given``. ``pytest --pyargs harness.suite`` runs a ready-made suite on an ``--activation``
or ``--gradient-source``; only such a run has these two options. ``-p no:gradients`` switches the plugin off.

Neither `harness` nor `reference` is imported before a test uses one of the fixtures, so that a project with a folder or
file of one of these names is not disturbed. Such a project is told so in pytest's header.
"""

import argparse
import shlex
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autodiff_cross_check import ROOT, find_obstacle
from autodiff_cross_check.check_records import never_checked, summary_lines, write_reports
from autodiff_cross_check.drawn_networks import DRAWN_BY, networks_of_a_test, parse_option

HOW_TO_PASS = "(gradient_inconclusive = warn or pass in the ini file lets this pass)"

SUITE = ROOT / "harness" / "suite"
ACTIVATION, SOURCE = ("--gradient-activation", "--activation"), ("--gradient-source",)
SUITE_OPTIONS = {ACTIVATION: "an Activation", SOURCE: "a gradient source"}
"""What harness.suite runs on. A project may have an option of the second name; then the first one remains."""

_records = pytest.StashKey[list[dict[str, Any]]]()  # of the checks so far
_running = pytest.StashKey[pytest.Item]()  # the test that runs
_written = pytest.StashKey[str]()  # the line of the summary about --gradient-report


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options, and the setting of the ini file."""
    group = parser.getgroup("gradients", "gradient cross-checks")
    group.addoption("--gradient-networks", type=int, default=20, metavar="N", help="random problems for each test (20)")
    group.addoption(
        "--gradient-networks-like",
        metavar="WHAT",
        default="",
        help="which networks are drawn, such as 'layers=2 activations=sigmoid,tanh outputs=sigmoid l2=1'",
    )
    group.addoption("--gradient-seed", type=int, default=0, metavar="SEED", help="the seed of the random problems (0)")
    group.addoption("--gradient-report", type=Path, metavar="FILE", help="write all reports to FILE (.json or .html)")
    group.addoption(
        "--gradient-inconclusive", choices=["fail", "warn", "pass"], help="what to do with an inconclusive verdict"
    )
    parser.addini("gradient_inconclusive", "fail, warn or pass: what an inconclusive verdict does", default="fail")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> Iterator[None]:
    """Declare the suite's options when it runs, after the conftest files, which may have options of these names."""
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
    """The name under which pytest keeps the values. No project's own option has it."""
    return "harness_suite" + names[0].replace("-", "_")


def _suite_option(config: pytest.Config, names: tuple[str, ...]) -> list[str]:
    return getattr(config.option, _dest(names), [])


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the records of the checks, and refuse unusable values before anything runs."""
    config.stash[_records] = []
    config.addinivalue_line("markers", f"networks({', '.join(DRAWN_BY)}): which networks random_problem draws")
    try:
        _check_values(config)
    except (ValueError, TypeError, OSError) as error:
        raise pytest.UsageError(str(error)) from error


def _check_values(config: pytest.Config) -> None:
    given, on_inconclusive = config.option, _on_inconclusive(config)
    report: Path | None = given.gradient_report
    parse_option(given.gradient_networks_like)
    if given.gradient_networks < 1:
        raise ValueError(f"--gradient-networks must be one or more, not {given.gradient_networks}")
    if given.gradient_seed < 0:
        raise ValueError(f"--gradient-seed must be zero or more, not {given.gradient_seed}")
    if report is not None and report.suffix not in (".json", ".html"):
        raise ValueError(f"--gradient-report takes a file that ends in .json or .html, not {report}")
    if report is not None and not find_obstacle():
        from harness.files import file_to_fill

        with file_to_fill(report):
            pass
    if on_inconclusive not in ("fail", "warn", "pass"):
        raise ValueError(f"gradient_inconclusive must be fail, warn or pass, not {on_inconclusive!r}")
    activations, sources = _suite_option(config, ACTIVATION), _suite_option(config, SOURCE)
    if activations or sources:  # a misspelt name is reported once, before the tests; else nothing is imported
        from harness.checks.activations.formulas import find_activation
        from harness.sources.source_names import find_source

        for find, names in ((find_activation, activations), (find_source, sources)):
            for name in names:
                find(name)


def _on_inconclusive(config: pytest.Config) -> str:
    return config.option.gradient_inconclusive or config.getini("gradient_inconclusive")


def pytest_report_header() -> str | None:
    """Say what keeps the fixtures from working, if anything does."""
    obstacle = find_obstacle()
    return f"gradients: switched off. {obstacle}" if obstacle else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `random_problem` once for each network, and name it after seed and index."""
    if "random_problem" in metafunc.fixturenames:
        option = metafunc.config.option
        test, markers = metafunc.definition.nodeid, metafunc.definition.iter_markers("networks")
        asked = networks_of_a_test(test, option.gradient_networks_like, markers)
        drawn = [(option.gradient_seed, index, asked) for index in range(option.gradient_networks)]
        ids = [f"{seed}-{index}" for seed, index, _ in drawn]
        metafunc.parametrize("random_problem", drawn, indirect=True, ids=ids, scope="function")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Remember which test runs, for the fixtures, which are made once a session. What an earlier run showed is gone."""
    item.config.stash[_running] = item
    records = item.config.stash[_records]
    records[:] = [record for record in records if record["test"] != item.nodeid]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Explain a failure, and how to repeat it: here and not where it is raised, because Hypothesis fails often."""
    if call.excinfo and (records := item.config.stash[_records]):
        from harness.failures.pytest_failures import complete_failures

        complete_failures(call.excinfo.value, item, _suite_option(item.config, ACTIVATION), records)
    return (yield)


# The fixtures last a session, because Hypothesis's @given warns of fixtures that last a test but several examples.
# They keep nothing from one test to the next.


@pytest.fixture(scope="session")
def random_problem(request: pytest.FixtureRequest) -> Any:
    """A random (problem, theta), ``harness.random_problem((seed, index), extremes=False)``, as the test's name shows.

    Ordinary sizes only: at θ = 0 or in saturation, right code can be inconclusive.
    """
    _require_own_packages()
    from harness.checks.networks.random_problems import Like, random_problem

    seed, index, asked = request.param
    drawn = {name: asked[name] for name in ("activations", "outputs") if name in asked}
    like = Like(**{name: asked[name] for name in ("sizes", "l2", "layers") if name in asked})
    return random_problem((seed, index), **drawn, like=like, extremes=False)


@pytest.fixture(scope="session")
def cross_check(pytestconfig: pytest.Config) -> Callable[..., Any]:
    """``cross_check(subject, theta, ...)``, as `harness.assert_gradients_agree`; returns the report."""
    _require_own_packages()
    from harness.assertions import check, describe_absence, own_sources_left_out
    from harness.named_objects import WithoutOwnFrames

    def assert_agree(subject: Any, theta: Any, sources: Any = None, reference: Any = None, **options: Any) -> Any:
        __tracebackhide__ = True
        with WithoutOwnFrames(pytestconfig.option.fulltrace), _hint_at_networks(subject):
            report = check(subject, theta, sources, reference, options, explained=False)
        call = {"subject": subject, "theta": theta, "sources": sources, "reference": reference, **options}
        return _judged(pytestconfig, report, call, describe_absence(own_sources_left_out(report, sources)))

    assert_agree.__qualname__ = "cross_check"  # as errors call it
    return assert_agree


@pytest.fixture(scope="session")
def check_derivatives(pytestconfig: pytest.Config) -> Callable[..., Any]:
    """``check_derivatives(f, *args, ...)``, as `harness.assert_derivatives_agree`; returns the report."""
    _require_own_packages()
    from harness.named_objects import WithoutOwnFrames

    def assert_agree(f: Callable[..., Any], *args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        from harness.checks.traced.derivative_check import check_derivatives  # which imports JAX

        with WithoutOwnFrames(pytestconfig.option.fulltrace):
            report = check_derivatives(f, *args, **options)
        call = {"subject": f, "theta": args, "sources": None, "reference": None, "check": "check_derivatives"}
        return _judged(pytestconfig, report, call | options)

    assert_agree.__qualname__ = "check_derivatives"  # as errors call it
    return assert_agree


def _require_own_packages() -> None:
    if obstacle := find_obstacle():
        pytest.fail(obstacle, pytrace=False)


@contextmanager
def _hint_at_networks(subject: Any) -> Iterator[None]:
    """Add to an error of the user's own backprop how to ask for other networks."""
    try:
        yield
    except Exception as error:
        if layers := getattr(getattr(subject, "network", None), "shapes", ()):
            error.add_note(
                f"This network has {len(layers)} matrices Theta. If your backprop takes only some networks, mark the "
                'test with @pytest.mark.networks(layers=2, activations="sigmoid"), or raise harness.NotApplicable.'
            )
        raise


def _leave_out(why: str, item: pytest.Item) -> None:
    """Skip a test whose own source does not take the network. Of Hypothesis's examples, draw another."""
    __tracebackhide__ = True
    if _is_hypothesis_test(item):
        import hypothesis

        hypothesis.reject()
    pytest.skip(why)


def _is_hypothesis_test(item: pytest.Item) -> bool:
    return getattr(getattr(item, "obj", None), "is_hypothesis_test", False)


def _judged(config: pytest.Config, report: Any, call: dict[str, Any], absence: str = "") -> Any:
    """The report of a call, unless it fails or skips the test. A warning points at the test's line."""
    __tracebackhide__ = True
    from harness.exit_codes import InconclusiveGradient
    from harness.failures.pytest_failures import GradientsDisagree, lines_to_check

    _record(config, report, absence)  # before the skip: the summary has to know of it
    if report.verdict == "disagree":
        raise GradientsDisagree(report, call)
    if absence:
        _leave_out(absence, config.stash[_running])
    if report.verdict == "inconclusive" and _on_inconclusive(config) == "fail":
        pytest.fail(f"{report}\n\n{lines_to_check()}\n{HOW_TO_PASS}", pytrace=False)
    if report.verdict == "inconclusive" and _on_inconclusive(config) == "warn":
        warnings.warn(str(report), InconclusiveGradient, stacklevel=3)
    return report


def _record(config: pytest.Config, report: Any, absence: str = "") -> None:
    """Keep a record for the summary. Of Hypothesis's examples for one test, the last of each verdict is kept."""
    item, records = config.stash[_running], config.stash[_records]
    record = {"test": item.nodeid, "report": report.to_dict(), "text": str(report), "absence": absence}
    if _is_hypothesis_test(item):
        from harness.named_objects import hide_from_hypothesis

        hide_from_hypothesis()
        key = (item.nodeid, report.verdict)
        records[:] = [each for each in records if (each["test"], each["report"]["verdict"]) != key]
    records.append(record)


# -- the summary, with the records of all workers of pytest-xdist ------------------------------------------------------


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send a worker's records to the process that writes the summary, or write the report of ``--gradient-report``.

    The run fails if that cannot be written, or if a source was never checked.
    """
    config, records = session.config, session.config.stash[_records]
    path, output = config.option.gradient_report, getattr(config, "workeroutput", None)
    if output is not None:  # a worker of pytest-xdist
        output["gradient_records"] = records
        return
    fails = bool(never_checked(records))
    if records and path is not None:
        try:
            write_reports(path, records, shlex.join(["pytest", *config.invocation_params.args]))
            config.stash[_written] = f"reports: {path}"
        except OSError as error:
            config.stash[_written], fails = f"FAILED: {error}", True
    if fails and session.exitstatus == pytest.ExitCode.OK:  # a worse status, as of an interrupt, stands
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Receive the records of a worker."""
    node.config.stash[_records].extend(getattr(node, "workeroutput", {}).get("gradient_records", []))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the number of verdicts, and where the report of ``--gradient-report`` is."""
    records = config.stash[_records]
    if not records:
        return
    terminalreporter.section("gradients", sep="-")
    for line in summary_lines(records):
        terminalreporter.line(line)
    for test, absence in never_checked(records).items():
        terminalreporter.line(f"FAILED {test}: your source was never checked, since {absence}", red=True)
    if written := config.stash.get(_written, ""):
        terminalreporter.line(written)
