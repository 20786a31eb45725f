"""What a failing test shows: the report, the line of the check, and how to repeat it."""

import linecache
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

CASES = Path(".gradient-cases")
"""The folder below the root directory in which failing checks are saved."""

NOT_SHOWN = (__name__, "autodiff_cross_check.pytest_plugin", "contextlib")
"""Modules whose frames lie between a test and the check, and say nothing to the test's author."""


class GradientsDisagree(pytest.fail.Exception):
    """A failure that knows its report and the call of the check."""

    __module__ = "builtins"  # as of pytest's own failures, so that pytest's summary has room for the verdict

    def __init__(self, report: Any, call: dict[str, Any]):
        super().__init__(f"{report}\n\n{lines_to_check()}", pytrace=False)
        self.report, self.call = report, call

    def how_to_repeat(self, item: pytest.Item, activations: Sequence[str]) -> str:
        """The smallest network that fails, or a script for a function."""
        from reference.problem import Problem

        if isinstance(self.call["subject"], Problem):
            return _repeat_network(item, activations, self.report, **self.call)
        return _repeat_function(item, self.call)


def failures_in(error: BaseException) -> list[GradientsDisagree]:
    """The failures of checks in an error: it, or those in a group."""
    if isinstance(error, BaseExceptionGroup):
        return [failure for each in error.exceptions for failure in failures_in(each)]
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


def _repeat_network(
    item: pytest.Item, activations: Sequence[str], report: Any, subject: Any, theta: Any, sources: Any, **_: Any
) -> str:
    """Shrink and save a network. The printed command finds the modules of sources and activations."""
    from harness.checks.networks.smallest_failure import reproduce
    from harness.failures.object_locations import search_path
    from harness.sources.source_names import named_sources
    from harness.sources.source_table import SOURCES

    modules = [name.partition(":")[0] for name in activations]
    modules += [getattr(source.run, "__module__", "") for source in named_sources(sources or SOURCES).values()]
    prefix = search_path(modules, item.config.invocation_params.dir)
    file, could_be_drawn = _case_file(item, ".json"), _drawn_by(item)
    return str(reproduce(subject, theta, report, sources, file, activations, prefix, could_be_drawn))


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
