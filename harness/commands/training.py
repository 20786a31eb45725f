"""harness run, train and ex4."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands.common import EXIT_CODES, INTERRUPTED, progress_bar, show, start_jax
from harness.commands.options import Data, Json, MaxSize, Networks, ReportFile, Seed, file_to_write, option, write_page
from harness.commands.output import output_on_stderr
from harness.files import MAX_SIZE
from harness.sources.source_table import SPELLINGS

HIDDEN = "Units of the hidden layers, separated by commas; 0 for none."
GATE = "Whether the gradient sources must agree, or nobody is asked."
CHECKPOINT = "A file for the state of the training, written every few line searches."
RESUME = "Go on from the --checkpoint, if it is there already, to the same θ as if nothing had happened."
OUT = (
    "A folder for θ, as theta.npz and, for Octave, theta.mat; and for pictures, if the digits are square images: "
    "hidden_units.png (with a hidden layer), confusion.png and mistakes.png."
)


def run(
    networks: Networks = 200,
    seed: Seed = 0,
    out: Annotated[Path, option("DIR", "The folder for θ, figures and the report.")] = Path("out"),
    data: Data = None,
    max_size: MaxSize = MAX_SIZE,
    report: ReportFile = None,
    json: Json = False,
) -> None:
    """The main job: cross-check random networks, gate, train on the digits, evaluate, report."""
    from harness.digits import main_job

    digits = _digits(data, max_size)
    start_jax()
    with progress_bar() as progress:
        result = main_job.run(out, networks=networks, seed=seed, digits=digits, progress=progress)
    show(result.to_dict(), result, json)
    if report is not None:
        from harness.reports.commands import run_page

        write_page(
            report, run_page(result, {"seed": seed, "networks": networks, "data": data or "the course's digits"})
        )
    raise typer.Exit(INTERRUPTED if result.interrupted else EXIT_CODES[result.verdict])


def train(
    max_iter: Annotated[int, option("N", "Line searches of fmincg.", min=0)] = 50,
    l2: Annotated[float, option("λ", "The strength of the regulariser.")] = 1.0,
    hidden: Annotated[str, option("N,N,...", HIDDEN)] = "25",
    source: Annotated[str, option("NAME", f"The gradient to train with: {SPELLINGS}.")] = "vectorized",
    gate: Annotated[bool, typer.Option(help=GATE)] = True,
    seed: Seed = 0,
    out: Annotated[Path | None, option("DIR", OUT)] = None,
    checkpoint: Annotated[Path | None, file_to_write(CHECKPOINT)] = None,
    resume: Annotated[bool, typer.Option("--resume", help=RESUME)] = False,
    data: Data = None,
    max_size: MaxSize = MAX_SIZE,
    report: ReportFile = None,
    json: Json = False,
) -> None:
    """Gate and training: a network of your own on four fifths of the digits, tested on the rest."""
    from harness.digits import main_job
    from harness.sources.source_names import find_source, may_need_jax

    if not 0.0 <= l2 < float("inf"):
        raise ValueError(f"--l2 takes a finite number, zero or more, not {l2:g}")
    with output_on_stderr():
        find_source(source)  # what is wrong with it is said at once
    sizes, digits = _hidden_sizes(hidden), _digits(data, max_size)
    with _checkpoint(checkpoint, resume) as kept, progress_bar() as progress, output_on_stderr():
        if gate or may_need_jax([source]):
            start_jax()
        fit, files = main_job.train_once(
            sizes,
            l2=l2,
            max_iter=max_iter,
            seed=seed,
            source=source,
            gate=gate,
            digits=digits,
            out=out,
            progress=progress,
            checkpoint=kept,
        )
    verdict = fit.training.report and fit.training.report.verdict  # None without a gate
    document = fit.to_dict() | {"verdict": verdict, "files": [str(file) for file in files]}
    show(document, "\n".join(map(str, [fit, *files])), json)
    if report is not None:
        from harness.reports.commands import train_page

        write_page(report, train_page(fit, {"seed": seed, "source": source, "data": data or "the course's digits"}))
    if fit.training.interrupted:
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _checkpoint(file: Path | None, resume: bool) -> Iterator[Any]:
    """The checkpoint, if there is to be one, to which no other command writes meanwhile."""
    from harness.files import held_alone
    from harness.training.checkpoint import Checkpoint

    if file is None:
        if resume:
            raise ValueError("--resume goes on from a checkpoint; name its file with --checkpoint FILE")
        yield None
        return
    if file.exists() and not resume:
        raise ValueError(f"there is a checkpoint {file} already; go on from it with --resume, or name another file")
    lock = file.with_name(f".{file.name}.lock")  # the file itself is replaced each time
    with held_alone(lock):
        try:
            yield Checkpoint(file)
        finally:
            lock.unlink(missing_ok=True)


def _hidden_sizes(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--hidden takes layer sizes separated by commas, such as 25 or 50,25, not {text!r}") from None
    return [] if sizes == [0] else sizes


def _digits(data: Path | None, max_size: int):
    from harness.digits.digits_data import load_data, load_digits

    return load_digits() if data is None else load_data(data, max_size)


def ex4(
    weights: Annotated[Path, option("FILE", "The course's ex4weights.mat.")],
    data: Data = None,
    max_size: MaxSize = MAX_SIZE,
    json: Json = False,
) -> None:
    """The course's exercise 4: its numbers, measured beside the published ones."""
    from harness.digits import course_numbers

    theta, digits = course_numbers.load_weights(weights, max_size), _digits(data, max_size)
    start_jax()
    rows = course_numbers.compare_with_course(theta, digits)
    document = course_numbers.to_dict(rows)
    show(document, course_numbers.as_table(rows), json)
    raise typer.Exit(EXIT_CODES[document["verdict"]])
