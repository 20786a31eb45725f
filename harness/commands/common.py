"""What the commands share: exit codes, the start of JAX, output, progress."""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from harness.wording import shortened
from reference.user_input import printable

EXIT_CODES = {"agree": 0, "disagree": 1, "inconclusive": 3}
BAD_INPUT, INTERRUPTED, TERMINATED = 2, 130, 143


# Bytes of address space that NumPy and SciPy take, and with JAX, and for each core: measured, and half as much again.
# Most of it is stacks and buffers of threads, and never used; but where it is missing, OpenBLAS and XLA may wait for
# ever, or end the process without a word.
SPACE, SPACE_A_CORE = 350 * 2**20, 64 * 2**20
SPACE_WITH_JAX, SPACE_A_CORE_WITH_JAX = 3 * 2**29, 2**28


def require_address_space(jax: bool = False) -> None:
    """Refuse to start under a limit (``ulimit -v``) that the libraries do not fit into.

    Raises
    ------
    OSError
    """
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    cores = os.cpu_count() or 1
    needed = SPACE_WITH_JAX + cores * SPACE_A_CORE_WITH_JAX if jax else SPACE + cores * SPACE_A_CORE
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise OSError(
            f"this needs {needed / 2**30:.1f} GiB of address space{' for JAX' if jax else ''}, and the limit "
            f"(ulimit -v) is {limit / 2**30:.1f} GiB; raise it"
        )


def start_jax() -> None:
    """Import JAX and start its CPU backend; signals wait until that is done, for JAX's libraries crash if interrupted.

    Every command that needs JAX starts it before anything else does.

    Raises
    ------
    OSError
        When there is too little address space for it.
    """
    require_address_space(jax=True)
    with _interrupts_held():
        import jax

        jax.devices("cpu")


@contextmanager
def _interrupts_held() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # no other is interrupted, or may set a handler
        yield
        return
    held: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, lambda number, _: held.append(number)) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, handlers):
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


def show(document: dict[str, Any], text: object, as_json: bool) -> None:
    """Print a result on stdout, for a program or for a person."""
    if as_json:
        in_full = "utf" in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
        typer.echo(json.dumps(document, indent=1, ensure_ascii=not in_full, allow_nan=False))
    else:
        typer.echo(printable(str(text), keep="\n"))


def complain(message: str) -> None:
    """Print on stderr, if that can be written to: the exit code tells the same."""
    with contextlib.suppress(OSError, ValueError):
        typer.echo(printable(message, keep="\n"), err=True)


def explained(error: BaseException) -> str:
    """What went wrong, in one line that tells the type of what somebody else's code has raised."""
    notes = getattr(error, "__notes__", [])
    text = " ".join(str(error).split())
    if notes or not text:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return printable(shortened("; ".join([text, *notes])))


@contextmanager
def progress_bar(rate: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr, where that is a terminal; yields ``progress(step, done, total)``, which moves it.

    With `rate`, the first call says what is done already, and the bar tells how many come in a second.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    if rate:
        columns.insert(3, TextColumn("{task.fields[rate]:.0f}/s"))
    console = Console(stderr=True)
    tasks, started = {}, {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def move(step: str, done: int, total: int) -> None:
            if step not in tasks:
                started[step] = time.monotonic(), done
                tasks[step] = bar.add_task(step, total=total, completed=done, rate=0.0)
            since, before = started[step]
            bar.update(tasks[step], completed=done, rate=(done - before) / max(time.monotonic() - since, 1e-9))

        yield move
