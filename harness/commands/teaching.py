"""harness lesson."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.commands.common import complain, progress_bar, show, start_jax
from harness.commands.options import Json

QUICK = "A few bugs, trained for less long: half a minute instead of some."
NOTEBOOK = "An executed Jupyter notebook as well (pip install 'autodiff-cross-check\\[notebook]')."
FRESH = "Compute everything anew, and keep nothing for the next time."


def lesson(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for the page.")] = Path("out"),
    quick: Annotated[bool, typer.Option(help=QUICK)] = False,
    notebook: Annotated[bool, typer.Option(help=NOTEBOOK)] = False,
    fresh: Annotated[bool, typer.Option(help=FRESH)] = False,
    json: Json = False,
) -> None:
    """The teaching page: why gradients are checked, in one self-contained HTML file."""
    from harness.teaching.lesson import FULL, make_lesson, make_notebook, require_libraries
    from harness.teaching.lesson import QUICK as A_FEW
    from harness.teaching.lesson_results import cache_folder

    if notebook:
        require_libraries()
    start_jax()
    with progress_bar() as progress:

        def told(step: str, done: int, total: int) -> None:
            progress(step, done, total)
            if not sys.stderr.isatty() and done < total:
                complain(f"{step}: {done + 1} of {total}")

        size = A_FEW if quick else FULL
        files = [make_lesson(out, size, told, None if fresh else cache_folder())]
        if notebook:
            files.append(make_notebook(out, told))
    show({"files": [str(file) for file in files]}, "\n".join(map(str, files)), json)
