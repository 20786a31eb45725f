"""How somebody else sees a failure again: the smallest network that shows it, as a script and as a case on file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harness.checks.networks.case_files import as_script, replay_command, save_case
from harness.checks.networks.smallest_failure import shrink_disagreement
from harness.sources.source_names import Sources
from harness.verdict.report import Report
from reference.problem import Problem

DOES_NOT_REPEAT = (
    "The failure does not repeat: asked again on the same network, the sources answer differently. A gradient source "
    "must give the same answer each time; look for random numbers and for values kept from the call before."
)


def reproduce(
    problem: Problem,
    theta: np.ndarray,
    report: Report,
    sources: Sources | None,
    path: Path,
    activations: Sequence[str] = (),
    search_path: str = "",
) -> str:
    """Shrink a failing network, save it, and say how to see it again; the failure stands, whatever goes wrong here.

    Parameters
    ----------
    problem, theta, report : the network that disagrees
    sources : as they were given to `cross_check`
    path : where the case is saved, in a folder that is made if need be
    activations : those of one's own that may be in the network, as ``module:attribute``
    search_path : what the replay command needs before it, such as ``PYTHONPATH=... ``
    """
    try:
        problem, theta, report = shrink_disagreement(problem, theta, sources, report)
    except Exception as error:  # noqa: BLE001  whatever a source raises when it is asked again
        return f"It could not be shrunk, and is not saved: {type(error).__name__}: {error}"
    if report.verdict != "disagree":
        return DOES_NOT_REPEAT
    lines = [f"The smallest network that still fails:\n{report}\n"]
    try:
        lines.append(f"The same in Python:\n\n{as_script(problem, theta, sources, activations)}\n")
        path.parent.mkdir(parents=True, exist_ok=True)
        save_case(path, problem, theta, sources, report)
        lines.append(f"Saved as {path}")
        lines.append(f"Replay it with: {search_path}{replay_command(path, problem, activations, sources)}")
    except Exception as error:  # noqa: BLE001  the verdict is out, and stands
        lines.append(f"  (not saved: {error})")
    return "\n".join(lines)
