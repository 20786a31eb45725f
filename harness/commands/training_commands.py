"""harness run, train and ex4: training on digits, behind the gate."""

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import command_options as options
from harness.commands.command_output import output_on_stderr, show
from harness.commands.process_start import start_jax
from harness.exit_codes import EXIT_CODES, INTERRUPTED
from harness.files import MAX_SIZE
from harness.progress import progress_bar
from harness.sources.source_table import SPELLINGS

HIDDEN = "Units of the hidden layers, separated by commas; 0 for none."
GATE = "Whether the gradient sources must agree before training starts."
CHECKPOINT = "A file for the state of the training, written every few line searches."
RESUME = "Continue from the --checkpoint, if there is one, to the same θ as without an interruption."
OUT = (
    "A folder for θ, as theta.npz and, for Octave, theta.mat; and for pictures, if the digits are square images: "
    "hidden_units.png (with a hidden layer), confusion.png and mistakes.png."
)
COURSE_DIGITS = "the course's digits"


def run(
    networks: options.Networks = 200,
    seed: options.Seed = 0,
    out: Annotated[Path, options.value("DIR", "The folder for θ, figures and the report.")] = Path("out"),
    data: options.Data = None,
    max_size: options.MaxSize = MAX_SIZE,
    html: options.HtmlFile = None,
    json: options.Json = False,
) -> None:
    """The main job: cross-check random networks, gate, train on the digits, evaluate, report."""
    from harness.digits import main_job

    digits = _digits(data, max_size)
    start_jax()
    with progress_bar() as progress:
        result = main_job.run(out, networks=networks, seed=seed, digits=digits, progress=progress)
    show(result.to_dict(), result, json)
    made = {"seed": seed, "networks": networks, "data": data or COURSE_DIGITS}
    options.write_page(html, lambda pages: pages.run_page(result, made))
    raise typer.Exit(INTERRUPTED if result.interrupted else EXIT_CODES[result.verdict])


def train(
    max_iter: Annotated[int, options.value("N", "Line searches of fmincg.", min=0)] = 50,
    l2: Annotated[float, options.value("λ", "The strength of the regulariser.")] = 1.0,
    hidden: Annotated[str, options.value("N,N,...", HIDDEN)] = "25",
    source: Annotated[str, options.value("NAME", f"The gradient to train with: {SPELLINGS}.")] = "vectorized",
    gate: Annotated[bool, typer.Option(help=GATE)] = True,
    seed: options.Seed = 0,
    out: Annotated[Path | None, options.value("DIR", OUT)] = None,
    checkpoint: Annotated[Path | None, options.file_to_write(CHECKPOINT)] = None,
    resume: Annotated[bool, options.flag("--resume", RESUME)] = False,
    data: options.Data = None,
    max_size: options.MaxSize = MAX_SIZE,
    html: options.HtmlFile = None,
    json: options.Json = False,
) -> None:
    """Gate and training: your own network on four fifths of the digits, tested on the rest."""
    from harness.digits import main_job
    from harness.sources.source_names import find_source, may_need_jax

    with output_on_stderr():
        find_source(source)  # a wrong name is refused before any work
    sizes = options.whole_numbers("--hidden", hidden)
    digits, kept = _digits(data, max_size), _checkpoint(checkpoint, resume)
    with progress_bar() as progress, output_on_stderr():
        if gate or may_need_jax([source]):
            start_jax()
        fit, files = main_job.train_once(
            () if sizes == (0,) else sizes, l2=l2, max_iter=max_iter, seed=seed, source=source, gate=gate,
            digits=digits, out=out, progress=progress, checkpoint=kept,
        )  # fmt: skip
    verdict = fit.training.report and fit.training.report.verdict  # None without a gate
    document = fit.to_dict() | {"verdict": verdict, "files": list(map(str, files))}
    show(document, "\n".join(map(str, [fit, *files])), json)
    made = {"seed": seed, "source": source, "data": data or COURSE_DIGITS}
    options.write_page(html, lambda pages: pages.train_page(fit, made))
    if fit.training.interrupted:
        raise typer.Exit(INTERRUPTED)


def _checkpoint(file: Path | None, resume: bool) -> Any:
    """The checkpoint, if a file is named."""
    from harness.training.checkpoint import Checkpoint

    if file is None:
        if resume:
            raise ValueError("--resume continues from a checkpoint; name its file with --checkpoint FILE")
        return None
    if file.exists() and not resume:
        raise ValueError(f"there is already a checkpoint {file}; go on from it with --resume, or name another file")
    return Checkpoint(file)


def _digits(data: Path | None, max_size: int) -> Any:
    from harness.digits.digits_data import load_data, load_digits

    return load_digits() if data is None else load_data(data, max_size)


def ex4(
    weights: Annotated[Path, options.value("FILE", "The course's ex4weights.mat.")],
    data: options.Data = None,
    max_size: options.MaxSize = MAX_SIZE,
    json: options.Json = False,
) -> None:
    """The course's exercise 4: its numbers, measured beside the published ones."""
    from harness.digits import digit_networks

    theta, digits = digit_networks.load_weights(weights, max_size), _digits(data, max_size)
    start_jax()
    rows = digit_networks.compare_with_course(theta, digits)
    document = digit_networks.comparison_document(rows)
    show(document, digit_networks.comparison_table(rows), json)
    raise typer.Exit(EXIT_CODES[document["verdict"]])
