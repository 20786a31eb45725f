"""A pytest plugin: gradients that are right, as a test.

Fixtures
--------
cross_check
    ``cross_check(problem, theta, sources=None)`` or ``cross_check(fun, theta, reference=None)``: like
    `harness.assert_gradients_agree`, and counted in the summary at the end. A failing problem is shrunk and saved.
random_problem
    A random ``(problem, theta)``; a test that asks for it runs once for each of ``--gradient-networks``.

``pytest --pyargs harness.suite`` runs a ready-made suite on the ``--activation`` or ``--gradient-source`` that it is
given.

Nothing heavy is imported before a test asks for one of the fixtures.
"""

import os
import re
import shlex
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

CASES = Path(".gradient-cases")  # below the root directory: where failing problems are saved
_records = pytest.StashKey[list[dict[str, Any]]]()


class InconclusiveGradient(UserWarning):
    """A check that could not be decided, where ``gradient_inconclusive`` is "warn"."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gradients", "gradient cross-checks")
    group.addoption("--gradient-networks", type=int, default=20, metavar="N", help="random problems for each test (20)")
    group.addoption("--gradient-seed", type=int, default=0, metavar="SEED", help="the seed of the random problems (0)")
    group.addoption("--gradient-report", type=Path, metavar="FILE", help="write all reports to FILE (.json or .html)")
    group.addoption("--gradient-inconclusive", choices=["fail", "warn", "pass"], help="what to do with such a verdict")
    for option, what in (("--activation", "the Activation"), ("--gradient-source", "the gradient source")):
        group.addoption(option, action="append", default=[], metavar="MODULE:NAME", help=f"{what} for harness.suite")
    parser.addini("gradient_inconclusive", "fail, warn or pass: what an inconclusive verdict does", default="fail")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_records] = []
    networks, seed = config.option.gradient_networks, config.option.gradient_seed
    report: Path | None = config.option.gradient_report
    if networks < 1:
        raise pytest.UsageError(f"--gradient-networks must be one or more, not {networks}")
    if seed < 0:
        raise pytest.UsageError(f"--gradient-seed must be zero or more, not {seed}")
    if report is not None and report.suffix not in (".json", ".html"):
        raise pytest.UsageError(f"--gradient-report takes a file that ends in .json or .html, not {report}")
    if report is not None and not report.parent.is_dir():
        raise pytest.UsageError(f"--gradient-report {report}: there is no folder {report.parent}")
    if _on_inconclusive(config) not in ("fail", "warn", "pass"):
        raise pytest.UsageError(f"gradient_inconclusive must be fail, warn or pass, not {_on_inconclusive(config)!r}")
    _require_subjects(config)


def _require_subjects(config: pytest.Config) -> None:
    """Stop at once if what the suite is to check cannot be found; nothing is imported where nothing is given."""
    activations, sources = config.option.activation, config.option.gradient_source
    if not (activations or sources):
        return
    from harness.checks.activations import find_activation
    from harness.sources.table import find_source

    try:
        for name in activations:
            find_activation(name)
        for name in sources:
            find_source(name)
    except (ValueError, TypeError) as error:
        raise pytest.UsageError(str(error)) from error


def _on_inconclusive(config: pytest.Config) -> str:
    return config.option.gradient_inconclusive or config.getini("gradient_inconclusive")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
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
    from harness.assertions import check

    def assert_agree(subject: Any, theta: Any, sources: Any = None, reference: Any = None) -> Any:
        __tracebackhide__ = True
        report = check(subject, theta, sources, reference)
        record = {"test": request.node.nodeid, "report": report.to_dict(), "text": str(report)}
        request.config.stash[_records].append(record)
        if report.verdict == "disagree":
            pytest.fail(f"{report}\n{_reproduction(request, subject, theta, sources)}", pytrace=False)
        if report.verdict == "inconclusive":
            _undecided(request.config, str(report))
        return report

    return assert_agree


def _undecided(config: pytest.Config, text: str) -> None:
    __tracebackhide__ = True
    if _on_inconclusive(config) == "fail":
        pytest.fail(f"{text}\n(gradient_inconclusive = warn or pass in the ini file lets this pass)", pytrace=False)
    if _on_inconclusive(config) == "warn":
        warnings.warn(text, InconclusiveGradient, stacklevel=3)


def _reproduction(request: pytest.FixtureRequest, subject: Any, theta: Any, sources: Any) -> str:
    """The shrunk case in words, where it is saved, and how to replay it; nothing for a function of the user's own."""
    from harness.checks.networks.cases import replay_command, save_case
    from harness.checks.networks.shrinking import DOES_NOT_REPEAT, shrink_disagreement
    from harness.sources.table import SOURCES, named_sources
    from reference.problem import Problem

    if not isinstance(subject, Problem):
        return ""
    try:
        problem, theta, report = shrink_disagreement(subject, theta, sources)
    except Exception as error:  # noqa: BLE001  the failure is shown, whatever a source raises when it is asked again
        return f"\nIt could not be shrunk: {type(error).__name__}: {error}"
    if report.verdict != "disagree":
        return f"\n{DOES_NOT_REPEAT}"
    text = f"\nThe smallest network that still fails:\n{report}\n"
    path = request.config.rootpath / CASES / _file_name(request.node.nodeid)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_case(path, problem, theta, sources, report)
    except (OSError, ValueError) as error:
        return f"{text}  (not saved: {error})"
    activations = request.config.option.activation
    modules = [name.partition(":")[0] for name in activations]
    modules += [getattr(source, "__module__", "") for source in named_sources(sources or SOURCES).values()]
    search_path = _search_path(modules, request.config.invocation_params.dir)
    return f"{text}Replay it with: {search_path}{replay_command(path, problem, activations)}"


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
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["gradient_records"] = session.config.stash[_records]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_records].extend(getattr(node, "workeroutput", {}).get("gradient_records", []))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    records = config.stash[_records]
    if not records:
        return
    counts = Counter(record["report"]["verdict"] for record in records)
    sources = {source["name"] for record in records for source in record["report"]["sources"]}
    checks = "networks" if all("sizes" in record["report"]["subject"] for record in records) else "checks"
    line = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in ("agree", "disagree", "inconclusive"))
    terminalreporter.section("gradients", sep="-")
    terminalreporter.line(f"{len(records):,} {checks}, {len(sources)} sources: {line}")
    left_out = Counter(name for record in records for name in record["report"]["left_out"])
    for name, count in left_out.items():
        terminalreporter.line(f"{name} could not take {count:,} of them")
    path = config.option.gradient_report
    if path is not None:
        _write_report(path, records, line)
        terminalreporter.line(f"reports: {path}")


def _write_report(path: Path, records: list[dict[str, Any]], headline: str) -> None:
    import json

    from harness.files import write_whole

    if path.suffix == ".json":
        document = {"schema": "harness.pytest/1", "checks": [{k: r[k] for k in ("test", "report")} for r in records]}
        write_whole(path, json.dumps(document, indent=1).encode())
    else:
        write_whole(path, "\n".join(_html(records, headline)).encode())


def _html(records: list[dict[str, Any]], headline: str) -> Iterator[str]:
    from html import escape

    yield '<!doctype html><html lang="en"><meta charset="utf-8"><title>Gradient cross-checks</title>'
    yield "<style>body{font:15px/1.5 system-ui;max-width:70em;margin:2em auto;padding:0 1em}summary{cursor:pointer}"
    yield "pre{background:#f6f8fa;padding:1em;white-space:pre-wrap}.agree{color:#1a7f37}.disagree{color:#cf222e}"
    yield ".inconclusive{color:#9a6700}</style>"
    yield f"<h1>Gradient cross-checks</h1><p>{escape(headline)}</p>"
    order = {"disagree": 0, "inconclusive": 1, "agree": 2}
    for record in sorted(records, key=lambda record: order[record["report"]["verdict"]]):
        verdict = record["report"]["verdict"]
        opened = " open" if verdict == "disagree" else ""
        yield f'<details{opened}><summary><strong class="{verdict}">{verdict}</strong> {escape(record["test"])}'
        yield f"</summary><pre>{escape(record['text'])}</pre></details>"
