"""What a failing test shows: the report, the line of the check, and how to repeat it."""

import linecache
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import pytest

from harness.facts.kinds import Kind

CASES = Path(".gradient-cases")  # the folder below the root directory in which failing checks are saved

NOT_SHOWN = (__name__, "autodiff_cross_check.pytest_plugin", "contextlib")
"""Modules whose frames lie between a test and the check, and say nothing to the test's author."""

NETWORKS = ("random_problem", "network_seed")
"""Parameters that choose a random network: of a test's own, and of the ready-made suite's tests."""

ALIKE = "fails alike, and shows the smallest network."
PERHAPS_ALIKE = """\
fails in the same sources, and shows the smallest network. No bug explains all of that failure, so the cause may be \
another here. Run this test alone to see."""
"""What a failure says of an earlier one, after its name."""

Causes = frozenset[tuple[str, bool, bool, str]]
"""Sources, whether their cost and whether their gradient is explained, and each set of bugs that explains it."""


class Shown(NamedTuple):
    """A failure whose smallest network is shown."""

    causes: Causes
    line: str  # which points others to it


_shown = pytest.StashKey[dict[Any, dict[str, Shown]]]()
"""For each way in which a test fails, the failures that are shown, by the identity of the test."""


class GradientsDisagree(pytest.fail.Exception):
    """A failure that knows its report, the call of the check, and the lines that led to it."""

    __module__ = "builtins"  # as of pytest's own failures, so that pytest's summary has room for the verdict

    def __init__(self, report: Any, call: dict[str, Any]):
        self.report, self.call, self.lines = report, call, lines_to_check()
        super().__init__(f"{report}\n\n{self.lines}", pytrace=False)


def complete_failures(
    raised: BaseException, item: pytest.Item, activations: Sequence[str], records: Iterable[dict[str, Any]]
) -> None:
    """Add to the failures of checks in an error what explains them and how to repeat them; to their records as well."""
    from reference.problem import Problem

    for failure in _failures_in(raised):
        if isinstance(failure.call["subject"], Problem):
            report, how_to_repeat = _explain_network(failure, item, activations)
        else:
            report, how_to_repeat = failure.report, _repeat_function(item, failure.call)
        example = getattr(failure, "__notes__", []) if failure is raised else []  # a group shows Hypothesis's notes
        failure.msg = "\n".join([str(report), "", failure.lines, *example, "", how_to_repeat])
        before = failure.report.to_dict()
        for record in records:
            if record["test"] == item.nodeid and record["report"] == before:
                record |= {"report": report.to_dict(), "text": str(report)}


def _failures_in(error: BaseException) -> list[GradientsDisagree]:
    """The failures of checks in an error: it, or those in a group."""
    if isinstance(error, BaseExceptionGroup):
        return [failure for each in error.exceptions for failure in _failures_in(each)]
    return [error] if isinstance(error, GradientsDisagree) else []


def lines_to_check() -> str:
    """The lines that led from the test to the check, as ``file:line: in function``."""
    frame, lines = sys._getframe(1), []
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] in ("_pytest", "pluggy", "hypothesis"):
            break
        if name not in NOT_SHOWN:
            lines.append((Path(frame.f_code.co_filename), frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return "\n".join(
        f"{os.path.relpath(file)}:{line}: in {name}\n    {linecache.getline(str(file), line).strip()}"
        for file, line, name in reversed(lines)
    )


def _explain_network(failure: GradientsDisagree, item: pytest.Item, activations: Sequence[str]) -> tuple[Any, str]:
    """The report with the bugs that explain it, and its smallest network, or a line that points to an earlier one.

    Shrinking takes longer than the check. So of a test's networks on which the same bugs explain all that is wrong, or
    nothing does, only the first one is shrunk.
    """
    from harness.checks.networks.smallest_failure import name_failure, reproduce
    from harness.failures.check_script import search_path
    from harness.sources.source_names import named_sources
    from harness.sources.source_table import SOURCES

    problem, theta, sources = (failure.call[name] for name in ("subject", "theta", "sources"))
    report, way = failure.report, (*_without_network(item), name_failure(failure.report))
    shown = item.config.stash.setdefault(_shown, {}).setdefault(way, {})
    # a test that runs again is shrunk again
    earlier = [each for test, each in shown.items() if test != item.nodeid]
    # the search for bugs takes longest where there are none, and then it is not made again
    if not earlier or any(each.causes for each in earlier):
        report = _with_diagnosis(report, problem, theta, sources)
    causes = _causes_of(report)
    for each in earlier:
        if bool(each.causes) == bool(causes) and each.causes <= causes:
            return report, each.line
    # the printed command has to find the modules of sources and activations
    modules = [name.partition(":")[0] for name in activations]
    modules += [getattr(source.run, "__module__", "") for source in named_sources(sources or SOURCES).values()]
    prefix = search_path(modules, item.config.invocation_params.dir)
    file, could_be_drawn = _case_file(item, ".json"), _drawn_by(item)
    found = reproduce(problem, theta, report, sources, file, activations, prefix, could_be_drawn)
    if found.report:
        replayed = f"\nReplay it with: {found.command}" if found.command else ""
        shown[item.nodeid] = Shown(causes, f"{item.nodeid} {ALIKE if causes else PERHAPS_ALIKE}{replayed}")
    return report, str(found)


def _causes_of(report: Any) -> Causes:
    """The causes of a failure; none where any of what is wrong is not explained."""
    facts = [(finding.source, fact) for finding in report.findings for fact in finding.diagnosis]
    causes = frozenset(
        (source, fact.data["cost"], fact.data["gradient"], bugs)
        for source, fact in facts
        if fact.kind in (Kind.BUG, Kind.BUGS_ALIKE)
        for bugs in (fact.where if fact.kind == Kind.BUGS_ALIKE else (" and ".join(fact.where),))
    )
    is_whole = all(fact.kind in (Kind.BUG, Kind.BUGS_ALIKE, Kind.PART_RIGHT) for _, fact in facts)
    return causes if is_whole and {source for source, *_ in causes} == set(report.outliers) else frozenset()


def _with_diagnosis(report: Any, problem: Any, theta: Any, sources: Any) -> Any:
    """The report with what explains the failure, or as it was where the failure does not repeat."""
    from harness.checks.networks.network_check import cross_check
    from harness.checks.networks.smallest_failure import name_failure

    with suppress(Exception):  # whatever a source raises now, the failure stands
        again = cross_check(problem, theta, sources)
        if name_failure(again) == name_failure(report):
            return again
    return report


def _without_network(item: pytest.Item) -> tuple[str, frozenset[tuple[str, int]]]:
    """A test's function, and the identities of its parameters, its random network aside."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    others = frozenset((name, id(value)) for name, value in parameters.items() if name not in NETWORKS)
    return item.nodeid.removesuffix(item.name) + getattr(item, "originalname", item.name), others


def _drawn_by(item: pytest.Item) -> Callable[[Any], bool]:
    """Whether the test could have drawn a problem: its marker, or the option, may ask for some networks only."""
    from harness.checks.networks.random_problems import Like, chosen_activations

    _, _, asked = getattr(getattr(item, "callspec", None), "params", {}).get("random_problem", (0, 0, {}))
    like = Like(**{name: asked[name] for name in ("sizes", "l2", "layers") if name in asked})
    among = chosen_activations(asked.get("activations"))
    return lambda problem: like.fits(problem) and all(f in among for f in problem.network.hidden)


def _repeat_function(item: pytest.Item, call: dict[str, Any]) -> str:
    """Save θ, and write a script if the function can be imported."""
    from harness.failures.check_script import how_to_repeat

    call = dict(call)
    # cross_check(fun, theta, X): of a function, the third argument is the reference, and of a problem the sources
    third = call.pop("sources")
    call["fun"], call["reference"] = call.pop("subject"), call["reference"] or third
    seed = item.config.option.gradient_seed
    test = shlex.quote(f"{item.path}::{item.nodeid.partition('::')[2]}")
    rerun = f"python -m pytest {test}" + (f" --gradient-seed {seed}" if seed else "")
    module = getattr(item, "module", None)
    return how_to_repeat(_case_file(item, ".npz"), rerun, seed, call, [module] if module else [])


def _case_file(item: pytest.Item, suffix: str) -> Path:
    """A file for a test's case, whose name no other test has."""
    # the end of a long id tells tests apart, and the checksum those whose ends are the same
    readable = re.sub(r"[^\w.-]+", "-", item.nodeid, flags=re.ASCII).strip("-")[-100:]
    return item.config.rootpath / CASES / f"{readable}-{crc32(item.nodeid.encode()):08x}{suffix}"
