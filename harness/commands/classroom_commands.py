"""harness grade, diagnose and lesson: the commands for those who teach."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from harness.commands import command_options as options
from harness.commands.command_output import complain, progress_lines, show
from harness.commands.process_start import start_jax
from harness.exit_codes import BAD_INPUT, EXIT_CODES
from harness.files import folder_to_fill
from harness.grading import Hints
from harness.progress import progress_bar
from harness.wording import first_few

FOLDER = "The submissions: .py and .ipynb files, and folders of files. A file is one submission."
CSV = "A table with one line for each submission."
HTML = "One page with a sortable table, and pictures of what is wrong."
FEEDBACK = "A folder, made if need be, with a page (Markdown) for each student."
RUBRIC = "Points for the parts, and which conventions count as bugs (TOML)."
FUNCTION = "The function to grade; by default it is found by its name and parameters."
TIMEOUT = "The limit on the CPU time of each call of a submission's function."
SANDBOX = "Without network and with no file to change or neighbour to read, where Linux has namespaces."
WITH = "A folder with modules that submissions import and did not hand in."
DATA = "A folder with data files that submissions read; the course's own are there."
HINTS = "What a student's page tells: the part that is wrong, its layers as well, or the bug by name (the default)."
ONE = "The folder is one submission: its author's own. The hints are then those of --hints layer."
GRADESCOPE = "A results.json for Gradescope or GitHub Classroom; the folder is one submission."
ROSTER = "A table (CSV) of the class, as Canvas or Moodle export it; its columns and its order become those of --csv."
POINTS_COLUMN = "The column of the roster that takes the points; by default those called grade, points or score."
MAX_POINTS = "Scale the points to this total."
REVEAL = "Add a right backprop to the pages of students whose own is wrong."
TARGET = "A function of the course's signature, or a gradient source f(problem, theta); in a file, found by its name."
ORDINARY = "Only X and θ of ordinary size, or some that saturate, hold ties or are zero (for a gradient source)."
QUICK = "A few bugs, trained for less long: half a minute instead of several."
NOTEBOOK = "An executed Jupyter notebook as well (pip install 'autodiff-cross-check\\[notebook]')."
FRESH = "Compute everything anew, and keep nothing for the next time."


def grade(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help=FOLDER)],
    csv: Annotated[Path | None, options.file_to_write(CSV)] = None,
    html: Annotated[Path | None, options.file_to_write(HTML)] = None,
    feedback: Annotated[Path | None, options.value("DIR", FEEDBACK, file_okay=False)] = None,
    hints: Annotated[Hints | None, typer.Option(help=HINTS)] = None,
    reveal: Annotated[bool, options.flag("--reveal", REVEAL)] = False,
    one: Annotated[bool, options.flag("--one", ONE)] = False,
    gradescope: Annotated[Path | None, options.file_to_write(GRADESCOPE)] = None,
    roster: Annotated[Path | None, options.value("FILE", ROSTER, exists=True, dir_okay=False)] = None,
    points_column: Annotated[str | None, options.value("NAME", POINTS_COLUMN)] = None,
    rubric: Annotated[Path | None, options.value("FILE", RUBRIC)] = None,
    max_points: Annotated[float | None, options.value("POINTS", MAX_POINTS, min=0.0)] = None,
    function: Annotated[str | None, options.value("NAME", FUNCTION)] = None,
    beside: Annotated[Path | None, options.folder_to_read(WITH, "--with")] = None,
    data: Annotated[Path | None, options.folder_to_read(DATA)] = None,
    timeout: Annotated[float, options.seconds(TIMEOUT)] = 10.0,
    sandbox: Annotated[bool, options.flag("--sandbox", SANDBOX)] = False,
    json: options.Json = False,
) -> None:
    """Grade a class of submissions: each one's cost and gradient, and which bug explains what is wrong."""
    from harness.grading.class_grading import GradingPlan, grade_class
    from harness.grading.class_tables import grades_document, read_roster, write_outputs
    from harness.grading.grade import Rubric, read_rubric
    from harness.grading.grade_reports import grades_text
    from harness.grading.submission_files import not_graded
    from harness.isolation.limits import require_sandbox

    if reveal and feedback is None:
        raise ValueError("--reveal adds to the pages of --feedback; give that a folder")
    if points_column is not None and roster is None:
        raise ValueError("--points-column is a column of the roster; give that with --roster")
    if sandbox:
        require_sandbox()
    chosen = Rubric() if rubric is None else read_rubric(rubric)
    chosen = chosen if max_points is None else chosen.scaled(max_points)
    students = None if roster is None else read_roster(roster, points_column)
    is_one = one or gradescope is not None or folder.is_file()
    level = hints or (Hints.LAYER if is_one else Hints.BUG)
    plan = GradingPlan(chosen, level, reveal, function, timeout, data, beside, is_one=is_one, sandbox=sandbox)
    kept = next((place.with_suffix(".sqlite") for place in (csv, html, feedback) if place), None)
    with folder_to_fill(feedback) if feedback else nullcontext(), progress_lines() as progress:
        records, lost = grade_class(folder, plan, kept, progress)
        show(grades_document(records), grades_text(records), json)  # before files, any of which may fail
        made = {"folder": folder.name, "points": chosen.total}
        files = {"table": csv, "page": html, "feedback": feedback, "gradescope": gradescope}
        strangers, failures = write_outputs(records, made, students, **files)
    if left := [] if is_one else not_graded(folder):
        complain(f"Not graded, because there is no .py or .ipynb file: {first_few(left, 10)}.")
    if strangers:
        complain(f"The roster names no student for {first_few(strangers, 10)}.")
    if feedback is not None:
        complain(f"The pages are in {feedback}.")
    for failure in (*lost, *failures):
        complain(failure)
    # a roster that names none of them is that of another class, or no roster at all
    if lost or failures or len(strangers) == len(records):
        raise typer.Exit(BAD_INPUT)


def diagnose(
    target: Annotated[str, typer.Argument(metavar="FILE.py[:FUNCTION]|MODULE:FUNCTION", help=TARGET)],
    problems: Annotated[int, options.value("N", "How many problems to check it on.", min=1)] = 25,
    seed: options.Seed = 0,
    activation: options.OnlyActivations = None,
    sizes: options.Sizes = None,
    output: options.Output = None,
    l2: options.L2 = None,
    ordinary: Annotated[bool, typer.Option("--ordinary/--any-size", help=ORDINARY)] = True,
    timeout: Annotated[float, options.seconds("The time limit for each call of the function.")] = 60.0,
    html: options.HtmlFile = None,
    json: options.Json = False,
) -> None:
    """Which known bug explains somebody's cost and gradient: one function, checked on many problems."""
    from harness.checks.activations.formulas import find_activation
    from harness.grading.function_diagnosis import diagnose
    from harness.grading.grade_reports import diagnosis_text

    like = options.problems_like(sizes, output, l2)
    activations = [find_activation(name) for name in activation] if activation else None
    with progress_bar() as progress:
        found = diagnose(target, problems, seed, like, activations, progress, ordinary=ordinary, timeout=timeout)
    show(found.to_dict(), diagnosis_text(found), json)
    if html is not None:
        from harness.grading.grade_reports import diagnosis_page

        options.write_text(html, diagnosis_page(found, {"seed": seed, "problems": problems}))
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
    with progress_lines() as progress:
        files = [make_lesson(out, A_FEW if quick else FULL, progress, None if fresh else cache_folder())]
        if notebook:
            files.append(make_notebook(out, progress))
    show({"files": [str(file) for file in files]}, "\n".join(map(str, files)), json)
