"""Cases on file: a problem, θ and sources, with everything needed to see the same verdict elsewhere.

A case is JSON. Numbers are written with all their digits, so that they come back to the last bit. Sources are written
by name: one of `SOURCES`, ``bug:NAME`` for one of the bug zoo, or ``module:function`` for anybody's own. To look up the
last kind runs code, which whoever reads the case has to allow.
"""

import math
import platform
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.files import MAX_SIZE, read_file, too_large, write_whole
from harness.named_objects import import_attribute
from harness.seals import sealed, unsealed
from harness.sources.bug_zoo import BUGS
from harness.sources.source_names import BUG, Sources, find_source, named_sources
from harness.sources.source_table import FLOAT32_SOURCES, SOURCES, Source
from harness.verdict.report import Report
from reference.activations import ACTIVATIONS
from reference.network import Network
from reference.problem import Problem
from reference.user_input import file_path, flag, given, real_number

SCHEMA = "harness.case/2"  # version 2: a checksum

_PER_ENTRY = 64
"""Bytes that an entry of a list takes in Python, at most: a list that is read from "0.5,0.5," is larger than its
text."""


class Case(NamedTuple):
    """What a file holds: the arguments of `cross_check`, and the verdict that was reached."""

    problem: Problem
    theta: np.ndarray
    sources: dict[str, Source] | None
    verdict: str | None
    outliers: tuple[str, ...]


def save_case(
    path: str | Path, problem: Problem, theta: np.ndarray, sources: Sources | None = None, report: Report | None = None
) -> None:
    """Write a case; `load_case` reads it, and ``harness replay FILE`` checks it again.

    Parameters
    ----------
    path : str or Path
    problem : Problem
    theta : (n,) array
    sources : names, or mapping from name to source, optional
        As for `cross_check`.
    report : Report, optional
        Its verdict and outliers are kept, so that a replay can say whether they are the same.

    Raises
    ------
    ValueError
        For a source that cannot be found again by name, such as a lambda.
    """
    path = file_path(path)
    if not isinstance(problem, Problem):
        raise TypeError(f"problem must be a Problem, not {type(problem).__name__}")
    if not isinstance(report, Report | None):
        raise TypeError(f"report must be a Report, not {given(report)}")
    network = problem.network
    content = {
        "network": {
            "sizes": list(network.sizes),
            "hidden": [f.name for f in network.hidden],
            "output": network.output.name,
        },
        "l2": problem.l2,
        "X": problem.X.tolist(),
        "Y": problem.Y.tolist(),
        "theta": problem.check_theta(theta).tolist(),
        "sources": _all_spelled(sources),
        "verdict": None if report is None else report.verdict,
        "outliers": [] if report is None else list(report.outliers),
        "made_with": {"python": platform.python_version()}
        | {package: version(package) for package in ("numpy", "scipy", "jax")},
    }
    write_whole(path, sealed(SCHEMA, content))


def _all_spelled(sources: Sources | None) -> dict[str, str] | None:
    return None if sources is None else {name: _spelled(source) for name, source in named_sources(sources).items()}


def _spelled(source: Source) -> str:
    """The name by which `find_source` finds a source again."""
    function = source.function
    if spelled := getattr(function, "spelled", ""):
        return spelled
    defined_as = f"{getattr(function, '__module__', None)}:{getattr(function, '__qualname__', '')}"
    # what was defined in a script or session is "__main__:f" there, and another f or none elsewhere
    own = [name for name in (source.name, defined_as) if not name.startswith("__main__:")]
    for name in (*SOURCES, *FLOAT32_SOURCES, *(BUG + bug for bug in BUGS), *own):
        # a name counts only if it leads back to this very function: a lambda's is "module:<lambda>", which does not
        with suppress(ValueError, TypeError):
            if find_source(name).function == function:
                return name
    raise ValueError(
        f"source {source.name!r} cannot be written to a case: it must be a function of a module that can be imported"
    )


def load_case(path: str | Path, *, allow_import: bool = False, max_size: int = MAX_SIZE) -> Case:
    """Read a case that `save_case` wrote.

    Each source takes part under its own name and in its own family, whatever the file calls it.

    Parameters
    ----------
    path : str or Path
    allow_import : bool
        Whether sources named as ``module:function`` are imported, which runs the module's code.
    max_size : int
        Bytes that the file, and what it holds, may take.

    Raises
    ------
    OSError, ValueError
        For a file that is missing or too large, is no case, names activations or sources that are not there, or names
        modules to import without `allow_import`.
    """
    path, allow_import = file_path(path), flag("allow_import", allow_import)
    real_number("max_size", max_size, math.inf)
    content = _read(path, max_size)
    # Names come first, and code last: what a file names is known before any of it is imported.
    with _refused_unless_a_case(path):
        spelled: dict[str, str] = dict(content["sources"] or {})
        unknown = [name for name in content["network"]["hidden"] if name not in ACTIVATIONS]
        own = [name for name in spelled.values() if _is_imported(name)]
        named: list[str] = [spelled.get(name, name) for name in list[str](content["outliers"])]
    if unknown:
        raise ValueError(
            f"{path} uses the activation {unknown[0]!r}, which is not registered; give it with harness replay "
            "--activation module:attribute"
        )
    with _refused_unless_a_case(path):
        problem = Problem(Network(**content["network"]), content["X"], content["Y"], content["l2"])
        theta = problem.check_theta(content["theta"])
    if own and not allow_import:
        raise ValueError(
            f"{path} names the source {own[0]!r}, and to look it up runs the code of that module; if you trust it, "
            "allow it: harness replay --allow-import, or load_case(path, allow_import=True)"
        )
    try:
        sources = named_sources(list(dict.fromkeys(spelled.values()))) if spelled else None
    except (ValueError, TypeError) as error:
        raise ValueError(f"a source of {path} cannot be found: {error}") from None
    return Case(problem, theta, sources, content["verdict"], tuple(dict.fromkeys(named)))


def _is_imported(name: str) -> bool:
    return ":" in name and not name.startswith(BUG)


def _read(path: Path, max_size: int) -> dict[str, Any]:
    raw = read_file(path, "a case that was saved as JSON", max_size)
    if (size := len(raw) + _PER_ENTRY * raw.count(b",")) > max_size:
        raise ValueError(too_large(f"what {path} holds", size, max_size))
    return unsealed(path, raw, SCHEMA)


@contextmanager
def _refused_unless_a_case(path: Path) -> Iterator[None]:
    """What a file of something else raises, as a ValueError that names the file."""
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} is not a case of schema {SCHEMA}: {what}") from None


def replay_command(
    path: str | Path, problem: Problem, activations: Iterable[str] = (), sources: Sources | None = None
) -> str:
    """The command that checks a saved case again; activations of one's own are given as ``module:attribute``."""
    options = [part for name in _used(problem, activations) for part in ("--activation", name)]
    if any(map(_is_imported, (_all_spelled(sources) or {}).values())):
        options.append("--allow-import")
    return shlex.join(["harness", "replay", str(path), *options])


def _used(problem: Problem, activations: Iterable[str]) -> list[str]:
    """Of activations named as ``module:attribute``, those of the network."""
    names = {f.name for f in problem.network.hidden}
    return [name for name in activations if ":" in name and import_attribute(name).name in names]


def as_script(
    problem: Problem, theta: np.ndarray, sources: Sources | None = None, activations: Iterable[str] = ()
) -> str:
    """A short Python program that shows the verdict on a small case; `activations` as for `replay_command`."""
    network = problem.network
    hidden = [f.name for f in network.hidden]
    own = _used(problem, activations)
    imported = "Network, Problem, cross_check" + (", register" if own else "")
    lines = [
        "import numpy as np",
        f"from harness import {imported}",
        *(f"import {name.partition(':')[0]}" for name in own),
        *(f"register({name.replace(':', '.')})" for name in own),
        f"network = Network({list(network.sizes)}, {hidden}, {network.output.name!r})",
        f"X = np.array({problem.X.tolist()})",
        f"Y = np.array({problem.Y.tolist()})",
        f"theta = np.array({np.asarray(theta).tolist()})",
        f"problem = Problem(network, X, Y, l2={problem.l2!r})",
        f"print(cross_check(problem, theta{'' if sources is None else f', {_all_spelled(sources)}'}))",
    ]
    return "\n".join(lines)
