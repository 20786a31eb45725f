"""harness grade and diagnose."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from harness.commands.common import EXIT_CODES, complain, progress_bar, show
from harness.commands.options import (
    L2,
    Json,
    Output,
    ReportFile,
    Seed,
    Sizes,
    file_to_write,
    option,
    problems_like,
    seconds,
    write_page,
)

FOLDER = "The submissions: .py and .ipynb files, and folders of files."
CSV = "A table with one line for each submission."
HTML = "One page with a sortable table, and pictures of what is wrong."
FEEDBACK = "A folder, made if need be, with a page (Markdown) for each student."
RUBRIC = "Points for the parts, and which conventions count as bugs (TOML)."
FUNCTION = "The function to ask; by default it is found by its name and parameters."
TIMEOUT = "Seconds for each call of a submission's function."
TARGET = "A function of the course's signature, or a gradient source f(problem, theta); of a file, found by its name."
ONLY_THESE = "For a gradient source, only these hidden activations. Can be repeated."
ORDINARY = "Only X and θ of ordinary size, or some that saturate, hold ties or are zero (for a gradient source)."
REVEAL = "Add a right backprop to the pages of those who are not right."


def grade(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help=FOLDER)],
    csv: Annotated[Path | None, file_to_write(CSV)] = None,
    html: Annotated[Path | None, file_to_write(HTML)] = None,
    feedback: Annotated[Path | None, option("DIR", FEEDBACK, file_okay=False)] = None,
    rubric: Annotated[Path | None, option("FILE", RUBRIC)] = None,
    function: Annotated[str | None, option("NAME", FUNCTION)] = None,
    timeout: Annotated[float, option("SECONDS", TIMEOUT, min=0.1)] = 10.0,
    reveal: Annotated[bool, typer.Option("--reveal", help=REVEAL)] = False,
    json: Json = False,
) -> None:
    """Grade a class of submissions: each one's cost and gradient, and which bug explains what is wrong."""
    from harness.files import folder_to_fill, write_whole
    from harness.grading.grade_pages import grades_page
    from harness.grading.grade_table import grades_csv, grades_document, grades_text
    from harness.grading.rubric import Rubric, read_rubric
    from harness.grading.student_feedback import write_feedback
    from harness.grading.submission_files import not_graded
    from harness.grading.submission_grading import grade_folder
    from harness.wording import first_few

    if reveal and feedback is None:
        raise ValueError("--reveal adds to the pages of --feedback; give that a folder")
    chosen = Rubric() if rubric is None else read_rubric(rubric)
    with nullcontext() if feedback is None else folder_to_fill(feedback):  # before the work is done
        with progress_bar() as progress:
            grades = grade_folder(folder, chosen, function, seconds("--timeout", timeout), progress)
        if feedback is not None:
            write_feedback(grades, feedback, reveal=reveal)
            complain(f"The pages are in {feedback}.")
    if csv is not None:
        write_whole(csv, grades_csv(grades).encode())
    if html is not None:
        write_whole(html, grades_page(grades, {"folder": folder.name, "points": chosen.total}).encode())
    if left := not_graded(folder):
        complain(f"Not graded, for there is no .py or .ipynb file in it: {first_few(left, 10)}.")
    show(grades_document(grades), grades_text(grades), json)


def diagnose(
    target: Annotated[str, typer.Argument(metavar="FILE.py[:FUNCTION]|MODULE:FUNCTION", help=TARGET)],
    problems: Annotated[int, option("N", "How many problems to ask about.", min=1)] = 25,
    seed: Seed = 0,
    activation: Annotated[list[str] | None, option("NAME", ONLY_THESE)] = None,
    sizes: Sizes = None,
    output: Output = None,
    l2: L2 = None,
    ordinary: Annotated[bool, typer.Option("--ordinary/--any-size", help=ORDINARY)] = True,
    report: ReportFile = None,
    json: Json = False,
) -> None:
    """Which known bug explains somebody's cost and gradient: one function, asked on many problems."""
    from harness.checks.activations.activation_check import find_activation
    from harness.grading.function_diagnosis import diagnose
    from harness.grading.grade_table import diagnosis_text

    like = problems_like(sizes, output, l2)
    activations = [find_activation(name) for name in activation] if activation else None
    with progress_bar() as progress:
        found = diagnose(target, problems, seed, like, ordinary, activations, progress)
    show(found.to_dict(), diagnosis_text(found), json)
    if report is not None:
        from harness.grading.grade_pages import diagnosis_page

        write_page(report, diagnosis_page(found, {"seed": seed, "problems": problems}))
    raise typer.Exit(EXIT_CODES[found.verdict])
