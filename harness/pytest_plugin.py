"""A pytest plugin: gradients that are right, as a test.

Fixtures
--------
cross_check
    ``cross_check(problem, theta, sources=None)`` or ``cross_check(fun, theta, reference=None)``: like
    `harness.assert_gradients_agree`, and counted in the summary at the end. A failing problem is shrunk and saved. A
    test whose own source cannot take the network (`NotApplicable`) is skipped.
random_problem
    A random ``(problem, theta)``; a test that asks for it runs once for each of ``--gradient-networks``.

``pytest --pyargs harness.suite`` runs a ready-made suite on the ``--activation`` or ``--gradient-source`` that it is
given.

Nothing heavy is imported before a test asks for one of the fixtures.
"""

import json
import os
import re
import shlex
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from harness.wording import counted

CASES = Path(".gradient-cases")  # below the root directory: where failing problems are saved
HOW_TO_PASS = "(gradient_inconclusive = warn or pass in the ini file lets this pass)"

_records = pytest.StashKey[list[dict[str, Any]]]()


class InconclusiveGradient(UserWarning):
    """A check that could not be decided, where ``gradient_inconclusive`` is "warn"."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options, and the setting of the ini file."""
    group = parser.getgroup("gradients", "gradient cross-checks")
    group.addoption("--gradient-networks", type=int, default=20, metavar="N", help="random problems for each test (20)")
    group.addoption("--gradient-seed", type=int, default=0, metavar="SEED", help="the seed of the random problems (0)")
    group.addoption("--gradient-report", type=Path, metavar="FILE", help="write all reports to FILE (.json or .html)")
    group.addoption(
        "--gradient-inconclusive", choices=["fail", "warn", "pass"], help="what to do with an inconclusive verdict"
    )
    for option, what in (("--activation", "the Activation"), ("--gradient-source", "the gradient source")):
        group.addoption(option, action="append", default=[], metavar="MODULE:NAME", help=f"{what} for harness.suite")
    parser.addini("gradient_inconclusive", "fail, warn or pass: what an inconclusive verdict does", default="fail")


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
    if given.activation or given.gradient_source:  # or nothing is imported
        from harness.checks.activations.checking import find_activation
        from harness.sources.by_name import find_source

        for find, names in ((find_activation, given.activation), (find_source, given.gradient_source)):
            for name in names:
                find(name)


def _on_inconclusive(config: pytest.Config) -> str:
    return config.option.gradient_inconclusive or config.getini("gradient_inconclusive")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `random_problem` once for each network, and name it after seed and index."""
    if "random_problem" in metafunc.fixturenames:
        seed = metafunc.config.option.gradient_seed
        seeds = [(seed, index) for index in range(metafunc.config.option.gradient_networks)]
        metafunc.parametrize("random_problem", seeds, indirect=True, ids=[f"{seed}-{index}" for seed, index in seeds])


@pytest.fixture
def random_problem(request: pytest.FixtureRequest) -> Any:
    """A random (problem, theta), ``harness.random_problem((seed, index), extremes=False)``, as the test's name shows.

    Ordinary sizes only: at θ = 0 or in saturation, right code can be inconclusive.
    """
    from harness.checks.networks.random_problems import random_problem

    return random_problem(request.param, extremes=False)


@pytest.fixture
def cross_check(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``cross_check(subject, theta, ...)``, as `harness.assert_gradients_agree`; returns the report."""
    from harness.assertions import check, took_no_part

    on_inconclusive = _on_inconclusive(request.config)

    def assert_agree(subject: Any, theta: Any, sources: Any = None, reference: Any = None) -> Any:
        __tracebackhide__ = True
        report = check(subject, theta, sources, reference)
        record = {"test": request.node.nodeid, "report": report.to_dict(), "text": str(report)}
        request.config.stash[_records].append(record)
        if report.verdict == "disagree":
            pytest.fail(f"{report}\n{_reproduction(request, subject, theta, sources, report)}", pytrace=False)
        if absent := took_no_part(report, sources):
            pytest.skip(absent)
        if report.verdict == "inconclusive" and on_inconclusive == "fail":
            pytest.fail(f"{report}\n{HOW_TO_PASS}", pytrace=False)
        if report.verdict == "inconclusive" and on_inconclusive == "warn":
            warnings.warn(str(report), InconclusiveGradient, stacklevel=2)
        return report

    return assert_agree


def _reproduction(request: pytest.FixtureRequest, subject: Any, theta: Any, sources: Any, report: Any) -> str:
    """How to see the failure of a network again; nothing for a function of the user's own."""
    from harness.checks.networks.reproducing import reproduce
    from harness.sources.by_name import named_sources
    from harness.sources.table import SOURCES
    from reference.problem import Problem

    if not isinstance(subject, Problem):
        return ""
    path = request.config.rootpath / CASES / _file_name(request.node.nodeid)
    activations = request.config.option.activation
    modules = [name.partition(":")[0] for name in activations]
    modules += [getattr(source.run, "__module__", "") for source in named_sources(sources or SOURCES).values()]
    search_path = _search_path(modules, request.config.invocation_params.dir)
    return "\n" + reproduce(subject, theta, report, sources, path, activations, search_path)


def _file_name(nodeid: str) -> str:
    """A file name that no other test has."""
    readable = re.sub(r"[^\w.-]+", "-", nodeid, flags=re.ASCII).strip("-")[-100:]
    return f"{readable}-{crc32(nodeid.encode()):08x}.json"


def _search_path(modules: Iterable[str], current: Path) -> str:
    """``PYTHONPATH=... `` before a command that needs modules from outside of the current folder, or nothing."""
    folders = {}
    for name in modules:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0] not in ("harness", "reference"):
            depth = name.count(".") + hasattr(module, "__path__")
            folders[str(Path(file).resolve().parents[depth])] = None
    folders.pop(str(current.resolve()), None)
    return f"PYTHONPATH={shlex.quote(os.pathsep.join(folders))} " if folders else ""


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

        write_whole(path, (_json(records) if path.suffix == ".json" else "\n".join(_html(records, line))).encode())
        terminalreporter.line(f"reports: {path}")


def _json(records: list[dict[str, Any]]) -> str:
    checks = [{"test": record["test"], "report": record["report"]} for record in records]
    return json.dumps({"schema": "harness.pytest/1", "checks": checks}, indent=1)


def _html(records: list[dict[str, Any]], headline: str) -> Iterator[str]:
    """A page of all reports, folded; those that disagree come first, and are open."""
    from harness.verdict.report import COLOURS

    yield '<!doctype html><html lang="en"><meta charset="utf-8"><title>Gradient cross-checks</title>'
    yield "<style>body{font:15px/1.5 system-ui;max-width:70em;margin:2em auto;padding:0 1em}summary{cursor:pointer}"
    yield "pre{background:#f6f8fa;padding:1em;white-space:pre-wrap}"
    yield "".join(f".{verdict}{{color:{colour}}}" for verdict, colour in COLOURS.items()) + "</style>"
    yield f"<h1>Gradient cross-checks</h1><p>{escape(headline)}</p>"
    order = ("disagree", "inconclusive", "agree")
    for record in sorted(records, key=lambda record: order.index(record["report"]["verdict"])):
        verdict = record["report"]["verdict"]
        opened = " open" if verdict == "disagree" else ""
        yield f'<details{opened}><summary><strong class="{verdict}">{verdict}</strong> {escape(record["test"])}'
        yield f"</summary><pre>{escape(record['text'])}</pre></details>"
