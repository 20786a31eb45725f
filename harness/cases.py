"""Cases on file: a problem, θ and sources, with everything needed to see the same verdict elsewhere.

A case is JSON. Numbers are written with all their digits, so that they come back to the last bit. Sources are written
by name: one of `SOURCES`, ``bug:NAME`` for one of the bug zoo, or ``module:function`` for anybody's own.
"""

import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.files import write_whole
from harness.importing import import_attribute
from harness.report import Report
from harness.sources import SOURCES, named_sources
from reference.measured import GradientSource
from reference.network import Network
from reference.problem import Problem

SCHEMA = "harness.case/1"


class Case(NamedTuple):
    """What a file holds: the arguments of `cross_check`, and the verdict that was reached."""

    problem: Problem
    theta: np.ndarray
    sources: dict[str, GradientSource] | None
    verdict: str | None
    outliers: tuple[str, ...]


def save_case(
    path: str | Path,
    problem: Problem,
    theta: np.ndarray,
    sources: Iterable[str] | Mapping[str, GradientSource] | None = None,
    report: Report | None = None,
) -> None:
    """Write a case; `load_case` reads it, and ``harness replay FILE`` checks it again.

    Raises
    ------
    ValueError
        For a source that cannot be found again by name, such as a lambda.
    """
    network = problem.network
    document = {
        "schema": SCHEMA,
        "network": {
            "sizes": list(network.sizes),
            "hidden": [f.name for f in network.hidden],
            "output": network.output.name,
        },
        "l2": problem.l2,
        "X": problem.X.tolist(),
        "Y": problem.Y.tolist(),
        "theta": problem.check_theta(theta).tolist(),
        "sources": None if sources is None else {k: _spelled(k, s) for k, s in named_sources(sources).items()},
        "verdict": None if report is None else report.verdict,
        "outliers": [] if report is None else list(report.outliers),
        "made_with": {"python": platform.python_version()}
        | {package: version(package) for package in ("numpy", "scipy", "jax")},
    }
    write_whole(path, json.dumps(document, indent=1).encode())


def _spelled(name: str, source: GradientSource) -> str:
    from harness.faults import FAULTS

    for known, candidate in SOURCES.items():
        if candidate is source:
            return known
    for fault in FAULTS.values():
        if fault.source is source:
            return f"bug:{fault.name}"
    module, attribute = getattr(source, "__module__", None), getattr(source, "__qualname__", "<")
    if module in (None, "__main__") or "<" in attribute:
        raise ValueError(
            f"source {name!r} cannot be written to a case: it must be a function of a module that can be imported"
        )
    return f"{module}:{attribute}"


def _source(spelled: str) -> GradientSource:
    from harness.faults import FAULTS

    if spelled.startswith("bug:"):
        bug = spelled.removeprefix("bug:")
        if bug not in FAULTS:
            raise ValueError(f"there is no bug named {bug!r} in this version's zoo")
        return FAULTS[bug].source
    if ":" in spelled:
        return import_attribute(spelled)
    return named_sources([spelled])[spelled]


def load_case(path: str | Path) -> Case:
    """Read a case that `save_case` wrote.

    Raises
    ------
    OSError, ValueError
        For a file that is missing, is no case, or names activations or sources that are not there.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; give a case that was saved as JSON")
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}")
        network = Network(**document["network"])
        problem = Problem(network, document["X"], document["Y"], document["l2"])
        theta = problem.check_theta(document["theta"])
        spelled = document["sources"]
    except (ValueError, TypeError, KeyError, UnicodeDecodeError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        if "unknown activation" in what:
            what += "; register one of your own first (harness replay --activation module:attribute)"
        raise ValueError(f"{path} is not a case of schema {SCHEMA}: {what}") from None
    sources = None if spelled is None else {name: _source(source) for name, source in spelled.items()}
    return Case(problem, theta, sources, document.get("verdict"), tuple(document.get("outliers", ())))


def as_script(problem: Problem, theta: np.ndarray, sources: Mapping[str, Any] | None = None) -> str:
    """A short Python program that shows the verdict on a small case."""
    network = problem.network
    hidden = [f.name for f in network.hidden]
    lines = [
        "import numpy as np",
        "from harness import Network, Problem, cross_check",
        f"network = Network({list(network.sizes)}, {hidden}, {network.output.name!r})",
        f"X = np.array({problem.X.tolist()})",
        f"Y = np.array({problem.Y.tolist()})",
        f"theta = np.array({np.asarray(theta).tolist()})",
        f"problem = Problem(network, X, Y, l2={problem.l2!r})",
    ]
    if sources is None:
        return "\n".join([*lines, "print(cross_check(problem, theta))"])
    imports, entries = _as_code(sources)
    return "\n".join([*lines, *imports, f"print(cross_check(problem, theta, {{{entries}}}))"])


def _as_code(sources: Mapping[str, Any]) -> tuple[list[str], str]:
    imports, entries = ["from harness import SOURCES, FAULTS"], []
    for name, source in sources.items():
        spelled = _spelled(name, source)
        kind, _, rest = spelled.partition(":")
        if not rest:
            entries.append(f"{name!r}: SOURCES[{spelled!r}]")
        elif kind == "bug":
            entries.append(f"{name!r}: FAULTS[{rest!r}].source")
        else:
            imports.append(f"import {kind}")
            entries.append(f"{name!r}: {kind}.{rest}")
    return imports, ", ".join(entries)
