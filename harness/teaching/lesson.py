"""The lesson: its numbers, gathered, its page, and the same as an executed Jupyter notebook.

Everything is computed by this project when the page is made; only the study's tables come from a file. The notebook has
the same seven parts, computed by the cells that one reads. With ipywidgets, the cells that have a slider on the page
have one there; without, they draw once.

Results are computed in several processes and kept on disk, each for one state of the code and one set of arguments.
What cannot be read is computed anew.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from harness.files import folder_to_fill, write_whole
from harness.museum import museum_tour
from harness.pages.html_page import document, text_of
from harness.progress import Progress, silent
from harness.provenance import code_and_libraries, environment
from harness.seals import checksum, sealed, unsealed
from harness.sources.bug_zoo import BUGS
from harness.study.checkers import HARNESS, OUR_RULE, PEERS, installed_peers
from harness.teaching import detection_limits, trained_bugs, worked_example
from harness.teaching.trained_bugs import Training

PAGE, NOTEBOOK = "lesson.html", "lesson.ipynb"

NOTEBOOK_TEXT = "page/notebook.md"
"""The notebook's source, in Markdown: each fenced block is a code cell, and so is the text between two of them."""

MUSEUM_PLACE = "<!-- museum -->"

OWN_PLACE = "{{ own function }}"

CELL_SECONDS = 300  # for one cell of the notebook, on a slow machine

PARTS = ("by_hand", "step_sizes", "bugs", "museum", "detection", "false_alarms", "choice")
SCRIPTS = ("plot", "network", "controls", *PARTS, "start")
"""In the order in which they run: first what all parts share, then one for each part."""

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
    """How much is computed: the bugs of these names, or all; and how long each is trained."""

    bugs: tuple[str, ...] | None
    training: Training


FULL = Size(None, Training(examples=2000, held_out=1000, line_searches=50))
QUICK = Size(A_FEW, Training(examples=1000, held_out=1000, line_searches=30))


def lesson_data(
    size: Size = FULL,
    progress: Progress = silent,
    cache: Path | None = None,  # the folder in which results are kept; None computes all anew and keeps nothing
    processes: int | None = None,  # as for `map_in_processes`
) -> dict[str, Any]:
    """Every number of the lesson, JSON-ready."""
    started = time.perf_counter()
    peers, left_out = installed_peers()
    subjects = trained_bugs.subjects(size.bugs)
    calls: dict[str, Call] = {name: (trained_bugs.bug_results, (name, size.training, [*peers])) for name in subjects}
    calls["false alarms"] = detection_limits.false_alarms, ()
    calls["museum"] = museum_tour.gallery, ([*peers],)
    calls["errors"] = trained_bugs.relative_errors, (size.training,)
    results = compute_once(calls, cache, processes, progress)
    bugs = [
        {
            "name": name,
            "description": bug.description,
            "where": detection_limits.WHERE.get(bug.part, ""),
            "planted": list(bug.replaces),
            **results[name],
        }
        for name, bug in subjects.items()
    ]
    misread = sorted({row for bug in bugs for row, _ in bug["training"]["misread"]})
    return {
        "hand": worked_example.worked_example(),
        "steps": worked_example.step_sizes(),
        "blind": detection_limits.blind_spots(),
        "alarms": results["false alarms"],
        "detection": detection_limits.detection(),
        "museum": results["museum"],
        "bugs": bugs,
        "digits": trained_bugs.images_of(misread, size.training),
        "errors": results["errors"],
        "rules": {name: peer.rule for name, peer in PEERS.items()} | {HARNESS: OUR_RULE},
        "all_bugs": list(BUGS),
        "left_out": left_out,
        "own": own_function(),
        "training": size.training._asdict() | {"l2": trained_bugs.L2, "seed": trained_bugs.SEED},
        "made": environment() | {"seconds": f"{time.perf_counter() - started:.0f}"},
    }


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
    """The code of part 7, and what it prints."""
    printed: list[str] = []
    exec(OWN, {"print": lambda report: printed.append(str(report))})
    return {"code": OWN, "output": "\n".join(printed)}


def lesson_page(data: dict[str, Any]) -> str:
    """The page, from its numbers."""
    body = text_of("harness.teaching", "page/lesson.html").replace(
        MUSEUM_PLACE, text_of("harness.teaching", "page/museum.html")
    )
    scripts = [text_of("harness.teaching", f"page/{name}.js") for name in SCRIPTS]
    return document("Why gradients are checked", body, scripts=scripts, data=data)


def make_lesson(
    out: str | Path = ".", size: Size = FULL, progress: Progress = silent, cache: Path | None = None
) -> Path:
    """Compute the lesson and write its page to a folder, which is made if need be; answers the file.

    Raises an OSError where the folder cannot be written to, before anything is computed.
    """
    with folder_to_fill(out) as folder:
        data = lesson_data(size, progress, cache)
        write_whole(folder / PAGE, lesson_page(data).encode())
        return folder / PAGE


# -- the notebook ------------------------------------------------------------------------------------------------------


def require_libraries() -> None:
    """Raise a ValueError that names Jupyter's libraries that are missing, where any are."""
    if missing := [name for name in ("nbformat", "nbclient", "ipykernel") if find_spec(name) is None]:
        raise ValueError(
            f"a notebook needs {', '.join(missing)}; install what is missing with pip install "
            "'autodiff-cross-check[notebook]'"
        )


def lesson_notebook() -> Any:
    """The notebook, not yet executed."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook  # pyright: ignore[reportMissingImports]

    cells = []
    pieces = re.split(r"^```(?:python)?\n", text_of("harness.teaching", NOTEBOOK_TEXT), flags=re.MULTILINE)
    for number, piece in enumerate(pieces):
        if piece.strip():
            new_cell = new_code_cell if number % 2 else new_markdown_cell
            cells.append(new_cell(piece.strip().replace(OWN_PLACE, OWN), id=f"cell-{number}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def make_notebook(out: str | Path, progress: Progress = silent) -> Path:
    """Execute the notebook and write it to a folder, which is made if need be; answers the file.

    Raises a ValueError where Jupyter's libraries are missing, and an OSError where the folder cannot be written to,
    before anything is computed, and a CellExecutionError where a cell has failed.
    """
    require_libraries()
    import nbformat  # pyright: ignore[reportMissingImports]
    from nbclient import NotebookClient  # pyright: ignore[reportMissingImports]

    made = lesson_notebook()
    count = len(made.cells)

    def started(cell: Any, cell_index: int) -> None:
        progress("notebook", cell_index, count)

    with folder_to_fill(out) as folder:
        NotebookClient(made, timeout=CELL_SECONDS, kernel_name="python3", on_cell_start=started).execute()
        progress("notebook", count, count)
        write_whole(folder / NOTEBOOK, nbformat.writes(made).encode())
        return folder / NOTEBOOK


# -- results, kept and computed in several processes -------------------------------------------------------------------


KEPT = "harness.lesson-result/1"


def cache_folder() -> Path:
    """Where results are kept: under ``XDG_CACHE_HOME``, or ``~/.cache`` without it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autodiff-cross-check" / "lesson"


Call = tuple[Callable[..., Any], tuple]  # a function of a module, and its arguments


def compute_once(
    calls: Mapping[str, Call], folder: Path | None = None, processes: int | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """The JSON-ready results of calls, by name: read from the folder where they are there, else computed and kept.

    Without a folder, or where it cannot be written to, nothing is kept.
    """
    files = {name: folder and _file(folder, name, arguments) for name, (_, arguments) in calls.items()}
    results = {name: _read_result(file) for name, file in files.items()}
    missing = [name for name, result in results.items() if result is None]
    done = len(calls) - len(missing)
    for name, result in zip(missing, map_in_processes([calls[name] for name in missing], processes)):
        progress("lesson", done := done + 1, len(calls))
        results[name] = result
        if file := files[name]:
            with suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, sealed(KEPT, {"result": result}))
    return results


def _file(folder: Path, name: str, arguments: tuple) -> Path:
    key = json.dumps([name, arguments, code_and_libraries()], sort_keys=True)
    return folder / f"{checksum(key.encode())}.json"


def _read_result(file: Path | None) -> Any:
    """The result in a file; None where there is none, or it is damaged."""
    with suppress(OSError, ValueError):
        return file and unsealed(file, file.read_bytes(), KEPT)["result"]
    return None


def map_in_processes(
    calls: Sequence[Call],
    # By default as many as the machine has processors. BLAS has one thread in each, which for small matrices is faster
    # than one process of many. 0 makes the calls in this process.
    processes: int | None = None,
) -> Iterator[Any]:
    """The results of calls, in order, as soon as they are there."""
    if processes == 0:
        yield from (function(*arguments) for function, arguments in calls)
        return
    pool = ProcessPoolExecutor(processes, get_context("spawn"), threadpool_limits, (1,))
    try:
        for result in [pool.submit(function, *arguments) for function, arguments in calls]:
            yield result.result()
    finally:  # after the last result, or where the caller stops early
        pool.shutdown(cancel_futures=True)
