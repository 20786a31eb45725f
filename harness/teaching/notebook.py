"""The lesson as an executed Jupyter notebook: the same seven parts, computed by the cells that one reads.

With ipywidgets, the cells that have a slider on the page have one here; without, they draw once.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.files import folder_to_fill, write_whole
from harness.pages.html_page import text_of
from harness.progress import Progress, silent
from harness.teaching.lesson import OWN

NAME = "lesson.ipynb"

SECONDS = 300  # for one cell, on a slow machine

TEXT = "page/notebook.md"
"""Its source, in Markdown: the program in each fenced block is a cell, and so is the text between two of them."""

OWN_PLACE = "{{ own function }}"


def require_libraries() -> None:
    """Raise what to install where a notebook cannot be made.

    Raises
    ------
    ValueError
        Jupyter's libraries are missing.
    """
    if missing := [name for name in ("nbformat", "nbclient", "ipykernel") if find_spec(name) is None]:
        raise ValueError(
            f"a notebook needs {', '.join(missing)}; install what is missing with pip install "
            "'autodiff-cross-check[notebook]'"
        )


def notebook() -> Any:
    """The notebook, not yet executed."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook  # pyright: ignore[reportMissingImports]

    cells = []
    pieces = re.split(r"^```(?:python)?\n", text_of("harness.teaching", TEXT), flags=re.MULTILINE)
    for number, piece in enumerate(pieces):
        if piece.strip():
            new_cell = new_code_cell if number % 2 else new_markdown_cell
            cells.append(new_cell(piece.strip().replace(OWN_PLACE, OWN), id=f"cell-{number}"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def make_notebook(out: str | Path, progress: Progress = silent) -> Path:
    """Execute the notebook and write it to a folder, which is made if need be; answers the file.

    Raises
    ------
    ValueError
        Jupyter's libraries are missing.
    OSError
        The folder cannot be written to; nothing has been computed then.
    nbclient.exceptions.CellExecutionError
        A cell has failed.
    """
    require_libraries()
    import nbformat  # pyright: ignore[reportMissingImports]
    from nbclient import NotebookClient  # pyright: ignore[reportMissingImports]

    made = notebook()
    count = len(made.cells)

    def started(cell: Any, cell_index: int) -> None:
        progress("notebook", cell_index, count)

    with folder_to_fill(out) as folder:
        NotebookClient(made, timeout=SECONDS, kernel_name="python3", on_cell_start=started).execute()
        progress("notebook", count, count)
        write_whole(folder / NAME, nbformat.writes(made).encode())
        return folder / NAME
