"""What commands print: results on stdout, everything else on stderr."""

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

import typer

from harness.named_objects import raised_at
from harness.progress import Progress, progress_bar
from harness.wording import ISOLATES, shortened
from reference.user_input import error_in_words, message_of, printable


def show(document: dict[str, Any], text: object, as_json: bool) -> None:
    """Print a result on stdout: its document for a program, or its text for a person."""
    if as_json:
        in_full = "utf" in (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
        typer.echo(json.dumps(document, indent=1, ensure_ascii=not in_full, allow_nan=False))
    else:
        shown = printable(str(text), keep=f"\n{ISOLATES}")
        is_terminal = getattr(sys.stdout, "isatty", lambda: False)()
        typer.echo(for_terminal(shown, get_terminal_size().columns) if is_terminal else shown)


COLOURS = {"AGREE": typer.colors.GREEN, "DISAGREE": typer.colors.RED, "INCONCLUSIVE": typer.colors.YELLOW}
NARROWEST = 40  # columns: below that, folded text is harder to read than long lines


def for_terminal(text: str, columns: int) -> str:
    """Text with its lines folded at so many columns, and verdicts in colour unless NO_COLOR is set."""
    lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        folded = wrap(line, max(columns, NARROWEST), subsequent_indent=indent, break_on_hyphens=False)
        lines += folded or [""]
    if os.environ.get("NO_COLOR"):
        return "\n".join(lines)
    return "\n".join(re.sub(r"^[A-Z]{5,}\b", _coloured, line) for line in lines)


def _coloured(verdict: re.Match[str]) -> str:
    colour = COLOURS.get(verdict[0])
    return typer.style(verdict[0], fg=colour, bold=True) if colour else verdict[0]


def complain(message: str) -> None:
    """Print on stderr. If stderr cannot be written to, nothing is printed: the exit code says the same."""
    with contextlib.suppress(OSError, ValueError):
        typer.echo(printable(message, keep="\n"), err=True)


def describe_error(error: BaseException) -> str:
    """An error in one line. If somebody else's code has raised it, with the error's type and the line of that code."""
    notes = [each for each in getattr(error, "__notes__", []) if not each.startswith("-----")]  # JAX's, of its frames
    line = raised_at(error)
    is_foreign = notes or line
    text = error_in_words(error) if is_foreign else " ".join(message_of(error).split()) or type(error).__name__
    is_told = any(line in note for note in notes)
    return printable(shortened("; ".join([text if is_told else text + line, *notes])))


@contextlib.contextmanager
def output_on_stderr() -> Iterator[None]:
    """Send whatever is printed within to stderr, also from libraries in C and from processes that are started."""
    stdout = sys.stdout
    # The descriptor is redirected as well: C libraries and processes that are started know nothing of sys.stdout.
    saved = None
    with contextlib.suppress(OSError, ValueError, AttributeError):  # stdout is not a file, or stderr is closed
        stdout.flush()
        if stdout.fileno() == 1:
            saved = os.dup(1)
            os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = stdout
        if saved is not None:
            os.dup2(saved, 1)
            os.close(saved)


@contextlib.contextmanager
def progress_lines() -> Iterator[Progress]:
    """A bar on a terminal; elsewhere a line on stderr for each of several steps that is done."""
    with progress_bar() as bar:

        def report(step: str, done: int, total: int) -> None:
            bar(step, done, total)
            if not sys.stderr.isatty() and done and total > 1:
                complain(f"{step}: {done} of {total}")

        yield report


def flush_streams() -> str:
    """Write out what is buffered, and return what went wrong with stdout, or nothing.

    A stream that cannot be written to is redirected to the null device. Otherwise Python tries again at its end, fails,
    and changes the exit code.
    """
    wrong = ""
    for stream, fd in ((sys.stdout, 1), (sys.stderr, 2)):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
                stream.flush()
            wrong = wrong or (str(error) if fd == 1 else "")
    return wrong
