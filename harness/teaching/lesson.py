"""The lesson's numbers, gathered, and its page.

Everything is computed by this project when the page is made; only the study's tables come from a file.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from harness.files import folder_to_fill, write_whole
from harness.pages.html_page import document, text_of
from harness.progress import Progress, silent
from harness.provenance import environment
from harness.sources.bug_zoo import BUGS
from harness.study.checkers import HARNESS, OUR_RULE, PEERS, named_peers
from harness.teaching import blind_spots, by_hand, detection, false_alarms, step_sizes, trained_bugs
from harness.teaching.cache import recall, remember, remembered
from harness.teaching.detection import WHERE
from harness.teaching.in_parallel import in_parallel
from harness.teaching.trained_bugs import Training

NAME = "lesson.html"

SCRIPTS = ("plot", "network", "controls", "by_hand", "step_sizes", "bugs", "detection", "false_alarms", "start")
"""In the order in which they run; each has its part of the page, after what all share."""

A_FEW = (
    "bias-gradient-missing",
    "bias-regularised",
    "regulariser-missing",
    "lambda-not-over-m",
    "slope-missing",
    "bias-column-not-dropped",
    "one-entry-1e-6-off",
    "wrong-sign",
    "softmax-for-sigmoid",
)


class Size(NamedTuple):
    """How much is computed: the bugs of these names, or all, and how long each is trained."""

    bugs: tuple[str, ...] | None
    training: Training


FULL = Size(None, Training(examples=2000, held_out=1000, line_searches=50))
QUICK = Size(A_FEW, Training(examples=1000, held_out=1000, line_searches=30))


def lesson_data(
    size: Size = FULL, progress: Progress = silent, cache: Path | None = None, processes: int | None = None
) -> dict[str, Any]:
    """Every number of the lesson, JSON-ready.

    Parameters
    ----------
    progress : called as ``progress(step, done, total)``
    cache : the folder in which results are kept; None computes all anew and keeps nothing
    processes : that bugs are studied in, by default as many as there are processors; 0 does it in this one
    """
    started = time.perf_counter()
    keep = partial(remembered, folder=cache)
    data: dict[str, Any] = {"hand": by_hand.by_hand(), "steps": step_sizes.step_sizes()}
    data["blind"] = blind_spots.blind_spots()
    data["alarms"] = keep("false alarms", None, false_alarms.false_alarms)
    data["detection"] = detection.detection()
    data["bugs"], data["digits"] = _bugs(size, progress, cache, processes)
    data["errors"] = keep("errors", size.training, partial(trained_bugs.relative_errors, size.training))
    data["rules"] = {name: peer.rule for name, peer in PEERS.items()} | {HARNESS: OUR_RULE}
    data["all_bugs"] = list(BUGS)
    data["left_out"] = named_peers()[1]
    data["own"] = own_function()
    data["training"] = size.training._asdict() | {"l2": trained_bugs.L2, "seed": trained_bugs.SEED}
    data["made"] = environment() | {"seconds": f"{time.perf_counter() - started:.0f}"}
    return data


def _bugs(
    size: Size, progress: Progress, cache: Path | None, processes: int | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    left_out = named_peers()[1]
    asked = [name for name in PEERS if name not in left_out]
    subjects = trained_bugs.subjects(size.bugs)
    studied = {name: recall(f"bug {name}", [size.training, asked], cache) for name in subjects}
    missing = [name for name, row in studied.items() if row is None]
    calls = [(name, size.training, asked) for name in missing]
    for name, row in zip(missing, in_parallel(trained_bugs.__name__, "studied", calls, processes)):
        progress("trainings", sum(map(bool, studied.values())), len(subjects))
        studied[name] = remember(f"bug {name}", [size.training, asked], row, cache)
    progress("trainings", len(subjects), len(subjects))
    found: list[dict[str, Any]] = [
        {"name": name, "description": bug.description, "where": WHERE.get(bug.part, "")} | (studied[name] or {})
        for name, bug in subjects.items()
    ]
    rows = sorted({row for bug in found for row, _ in bug["training"]["misread"]})
    return found, trained_bugs.images_of(rows, size.training)


OWN = """import numpy as np
from harness import check_gradient

def cost_and_gradient(w):
    cost = np.sum(np.log1p(np.exp(w)))
    gradient = 1 / (1 + np.exp(-w))
    gradient[2] *= 1.001          # the bug
    return cost, gradient

print(check_gradient(cost_and_gradient, np.linspace(-1, 1, 5)))"""
"""The few lines of part 7, which are run as they stand when the page is made."""


def own_function() -> dict[str, str]:
    """The reader's few lines, and what they print."""
    printed: list[str] = []
    exec(OWN, {"print": lambda report: printed.append(str(report))})
    return {"code": OWN, "output": "\n".join(printed)}


def lesson_page(data: dict[str, Any]) -> str:
    """The page, from its numbers."""
    body = text_of("harness.teaching", "page/lesson.html")
    scripts = [text_of("harness.teaching", f"page/{name}.js") for name in SCRIPTS]
    return document("Why gradients are checked", body, scripts=scripts, data=data)


def make_lesson(
    out: str | Path = ".", size: Size = FULL, progress: Progress = silent, cache: Path | None = None
) -> Path:
    """Compute the lesson and write its page to a folder, which is made if need be; answers the file.

    Raises
    ------
    OSError
        The folder cannot be written to; nothing has been computed then.
    """
    with folder_to_fill(out) as folder:
        data = lesson_data(size, progress, cache)
        write_whole(folder / NAME, lesson_page(data).encode())
        return folder / NAME
