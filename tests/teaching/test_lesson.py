"""The lesson as a notebook: every cell runs, and says what it is to say."""

import io
import os
from contextlib import redirect_stdout

import pytest

from harness.teaching import detection_limits
from harness.teaching.lesson import OWN, lesson_notebook, make_notebook

pytest.importorskip("nbformat", reason="nbformat is not installed: pip install 'autodiff-cross-check[notebook]'")

FULL_SIZE, SMALL_SIZE = "examples=1000, held_out=1000, line_searches=30", "examples=100, held_out=50, line_searches=2"


REPLACED = {
    FULL_SIZE: SMALL_SIZE,
    "%matplotlib inline": "",
    "import matplotlib.pyplot as plt": "",
    "from IPython.display import Image": "Image = print",
    "Image(report.plot(), width=720)": "assert report.plot()",
}


class Recorder:
    """Stands for pyplot: takes any call, and counts the figures shown."""

    def __init__(self):
        self.shown = 0

    def show(self):
        self.shown += 1

    def __getattr__(self, name):
        return lambda *arguments, **keywords: None


def test_it_has_the_seven_parts_and_is_valid():
    import nbformat  # pyright: ignore[reportMissingImports]

    made = lesson_notebook()
    nbformat.validate(made)
    text = [cell.source for cell in made.cells if cell.cell_type == "markdown"]
    headings = [line for source in text for line in source.splitlines() if line.startswith("## ")]
    assert [heading.split()[1] for heading in headings] == list("1234567")
    assert made.cells[-1].source == OWN
    assert not any("```" in cell.source or "{{" in cell.source for cell in made.cells)


@pytest.mark.more
def test_every_cell_runs_and_prints_its_numbers(monkeypatch):
    monkeypatch.setattr(detection_limits, "DISTANCES", (-1e-6, 0.1))
    monkeypatch.setattr(detection_limits, "DEPTHS", (0.0, 30.0))
    plt, stdout = Recorder(), io.StringIO()
    names = {"plt": plt}
    programs = [cell.source for cell in lesson_notebook().cells if cell.cell_type == "code"]
    assert sum(FULL_SIZE in program for program in programs) == 1
    with redirect_stdout(stdout):
        for program in programs:
            for old, new in REPLACED.items():
                program = program.replace(old, new)
            exec(program, names)
    text = stdout.getvalue()
    assert plt.shown == 4
    printed = ("Theta1[0, 1]", "float32-deltas", "slope-missing: disagree", "course, 1e-9", "hides", "cries wolf")
    assert [words for words in printed if words not in text] == []


@pytest.mark.more
@pytest.mark.skipif(
    os.environ.get("HARNESS_PROFILE") != "deep", reason="it takes half a minute: HARNESS_PROFILE=deep runs it"
)
def test_it_is_executed_from_top_to_end(tmp_path):
    import nbformat  # pyright: ignore[reportMissingImports]

    file = make_notebook(tmp_path)
    made = nbformat.read(file, as_version=4)
    code = [cell for cell in made.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs) == 5
