"""What the commands share: options, exit codes, output, progress."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

EXIT_CODES = {"agree": 0, "disagree": 1, "inconclusive": 3}
BAD_INPUT, INTERRUPTED = 2, 130

SOURCE_NAMES = (
    "loop, vectorized, jax, jax-forward, finite-difference, complex-step, ball, vectorized-float32, jax-float32, "
    "bug:NAME for one of the bug zoo, or module:function for one of your own"
)
"""What `harness.sources.table.find_source` takes, without importing it."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
Seed = Annotated[int, typer.Option(metavar="SEED", help="The seed that decides every random choice.", min=0)]
Networks = Annotated[int, typer.Option(metavar="N", help="How many random networks to cross-check.", min=1)]
Data = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Digits of your own (.mat, .npz or .csv) instead of those that come with it."),
]


def start_jax() -> None:
    """Import JAX and start its CPU backend; Ctrl-C waits until that is done, for JAX's libraries crash if interrupted.

    Every command that needs JAX starts it before anything else does.
    """
    with _interrupts_held():
        import jax

        jax.devices("cpu")


@contextmanager
def _interrupts_held() -> Iterator[None]:
    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not raises or threading.current_thread() is not threading.main_thread():
        yield
        return
    held = []
    signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if held:
        raise KeyboardInterrupt


def show(document: dict[str, Any], text: object, as_json: bool) -> None:
    """Print a result on stdout, for a program or for a person."""
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) if as_json else str(text))


def complain(message: str) -> None:
    """Print on stderr."""
    typer.echo(message, err=True)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr, where that is a terminal; yields ``progress(step, done, total)``, which moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    tasks = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def move(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done)

        yield move
