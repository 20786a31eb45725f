"""harness grade, diagnose and lesson: the commands for those who teach."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from harness.commands import command_options as options
from harness.commands.command_output import complain, show
from harness.commands.process_start import start_jax
from harness.exit_codes import EXIT_CODES
from harness.progress import progress_bar

FOLDER = "The submissions: .py and .ipynb files, and folders of files."
CSV = "A table with one line for each submission."
HTML = "One page with a sortable table, and pictures of what is wrong."
FEEDBACK = "A folder, made if need be, with a page (Markdown) for each student."
RUBRIC = "Points for the parts, and which conventions count as bugs (TOML)."
FUNCTION = "The function to grade; by default it is found by its name and parameters."
TIMEOUT = "The limit on the CPU time of each call of a submission's function."
WITH = "A folder with modules that submissions import and did not hand in."
DATA = "A folder with data files that submissions read; the course's own are there."
REVEAL = "Add a right backprop to the pages of students whose own is wrong."
TARGET = "A function of the course's signature, or a gradient source f(problem, theta); in a file, found by its name."
ORDINARY = "Only X and θ of ordinary size, or some that saturate, hold ties or are zero (for a gradient source)."
QUICK = "A few bugs, trained for less long: half a minute instead of some."
NOTEBOOK = "An executed Jupyter notebook as well (pip install 'autodiff-cross-check\\[notebook]')."
FRESH = "Compute everything anew, and keep nothing for the next time."


def grade(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help=FOLDER)],
    csv: Annotated[Path | None, options.file_to_write(CSV)] = None,
    html: Annotated[Path | None, options.file_to_write(HTML)] = None,
    feedback: Annotated[Path | None, options.value("DIR", FEEDBACK, file_okay=False)] = None,
    rubric: Annotated[Path | None, options.value("FILE", RUBRIC)] = None,
    function: Annotated[str | None, options.value("NAME", FUNCTION)] = None,
    timeout: Annotated[float, options.seconds(TIMEOUT)] = 10.0,
    beside: Annotated[
        Path | None, typer.Option("--with", metavar="DIR", help=WITH, exists=True, file_okay=False)
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help=DATA, exists=True, file_okay=False)] = None,
    reveal: Annotated[bool, options.flag("--reveal", REVEAL)] = False,
    json: options.Json = False,
) -> None:
    """Grade a class of submissions: each one's cost and gradient, and which bug explains what is wrong."""
    from harness.files import folder_to_fill
    from harness.grading.grade import Rubric, read_rubric
    from harness.grading.grade_reports import grades_csv, grades_document, grades_page, grades_text
    from harness.grading.student_feedback import write_feedback
    from harness.grading.submission_files import not_graded
    from harness.grading.submission_grading import grade_folder
    from harness.wording import first_few

    if reveal and feedback is None:
        raise ValueError("--reveal adds to the pages of --feedback; give that a folder")
    chosen = Rubric() if rubric is None else read_rubric(rubric)
    with nullcontext() if feedback is None else folder_to_fill(feedback):  # refuse the folder before the work
        with progress_bar() as progress:
            grades = grade_folder(folder, chosen, function, timeout, progress, data=data, beside=beside)
        if feedback is not None:
            write_feedback(grades, feedback, reveal=reveal)
            complain(f"The pages are in {feedback}.")
    if csv is not None:
        options.write_text(csv, grades_csv(grades))
    if html is not None:
        options.write_text(html, grades_page(grades, {"folder": folder.name, "points": chosen.total}))
    if left := not_graded(folder):
        complain(f"Not graded, because there is no .py or .ipynb file: {first_few(left, 10)}.")
    show(grades_document(grades), grades_text(grades), json)


def diagnose(
    target: Annotated[str, typer.Argument(metavar="FILE.py[:FUNCTION]|MODULE:FUNCTION", help=TARGET)],
    problems: Annotated[int, options.value("N", "How many problems to check it on.", min=1)] = 25,
    seed: options.Seed = 0,
    activation: options.OnlyActivations = None,
    sizes: options.Sizes = None,
    output: options.Output = None,
    l2: options.L2 = None,
    ordinary: Annotated[bool, typer.Option("--ordinary/--any-size", help=ORDINARY)] = True,
    report: options.ReportFile = None,
    json: options.Json = False,
) -> None:
    """Which known bug explains somebody's cost and gradient: one function, checked on many problems."""
    from harness.checks.activations.formulas import find_activation
    from harness.grading.function_diagnosis import diagnose
    from harness.grading.grade_reports import diagnosis_text

    like = options.problems_like(sizes, output, l2)
    activations = [find_activation(name) for name in activation] if activation else None
    with progress_bar() as progress:
        found = diagnose(target, problems, seed, like, activations, progress, ordinary=ordinary)
    show(found.to_dict(), diagnosis_text(found), json)
    if report is not None:
        from harness.grading.grade_reports import diagnosis_page

        options.write_text(report, diagnosis_page(found, {"seed": seed, "problems": problems}))
    raise typer.Exit(EXIT_CODES[found.verdict])


def lesson(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder for the page.")] = Path("out"),
    quick: Annotated[bool, typer.Option(help=QUICK)] = False,
    notebook: Annotated[bool, typer.Option(help=NOTEBOOK)] = False,
    fresh: Annotated[bool, typer.Option(help=FRESH)] = False,
    json: options.Json = False,
) -> None:
    """The teaching page: why gradients are checked, in one self-contained HTML file."""
    from harness.teaching.lesson import FULL, cache_folder, make_lesson, make_notebook, require_libraries
    from harness.teaching.lesson import QUICK as A_FEW

    if notebook:
        require_libraries()
    start_jax()
    with progress_bar() as progress:

        def report_step(step: str, done: int, total: int) -> None:
            progress(step, done, total)
            if not sys.stderr.isatty() and done < total:
                complain(f"{step}: {done + 1} of {total}")

        size = A_FEW if quick else FULL
        files = [make_lesson(out, size, report_step, None if fresh else cache_folder())]
        if notebook:
            files.append(make_notebook(out, report_step))
    show({"files": [str(file) for file in files]}, "\n".join(map(str, files)), json)
