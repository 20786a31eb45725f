"""The command line. Results go to stdout, progress and complaints to stderr; `EPILOG` tells the exit codes."""

import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import cache, wraps
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.main import get_command

from harness.commands.auditing import audit
from harness.commands.checking import bugs, check, replay
from harness.commands.common import (
    BAD_INPUT,
    EXIT_CODES,
    INTERRUPTED,
    TERMINATED,
    complain,
    explained,
    require_address_space,
)
from harness.commands.grading import diagnose, grade
from harness.commands.output import flushed
from harness.commands.studying import study
from harness.commands.sweeping import sweep
from harness.commands.teaching import lesson
from harness.commands.training import ex4, run, train
from harness.wording import docstring

EPILOG = (
    "Exit codes: 0 the sources agree, or done; 1 they disagree, or the gate is closed; 2 bad input, bad usage, "
    "or a source or program that fails; 3 inconclusive; 130 interrupted; 143 terminated."
)
app = typer.Typer(
    help="Is this hand-written gradient right? Independent gradient sources, judged against derived error bounds.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _where_libraries_fit(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which says so at once where there is too little address space for what it is about to import."""

    @wraps(command)
    def checked(**arguments: Any) -> None:
        require_address_space()
        command(**arguments)

    return checked


def _version(asked: bool) -> None:
    if asked:
        typer.echo(metadata.version("autodiff-cross-check"))
        raise typer.Exit


VERSION = typer.Option("--version", help="Print the version, and nothing else.", callback=_version, is_eager=True)


@app.callback()
def _of_the_program(
    version: Annotated[bool, VERSION] = False,
) -> None:
    pass


for command in (run, check, train, ex4, bugs, replay, study, lesson, diagnose, grade, sweep, audit):
    app.command(help=docstring(command))(_where_libraries_fit(command))


@cache
def _command() -> Any:
    """The command line with all commands, which takes typer longer to make than most take to fail."""
    return get_command(app)


_terminated: list[int] = []  # the signals that asked this process to end


class Terminated(KeyboardInterrupt):
    """SIGTERM: everything ends as after Ctrl-C, with whole files, but another exit code."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    if arguments is not None:
        sys.exit(_run(arguments))
    _behave_as_a_program()
    code = _run(arguments)
    if _terminated:
        code = TERMINATED
    if (wrong := flushed()) and code not in (INTERRUPTED, TERMINATED):
        complain(f"harness: the result cannot be written ({wrong})")
        flushed()
        code = BAD_INPUT
    if code in (INTERRUPTED, TERMINATED):
        os._exit(code)  # to tear down what was interrupted, such as JAX that compiles, can crash
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """The exit code: 0, a command's own, 2 for bad usage and whatever fails, 130 for Ctrl-C."""
    try:
        _command()(arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else BAD_INPUT if ended.code else 0
    except Exception as error:  # noqa: BLE001  Python would exit with 1, which says that the sources disagree
        return _explained(error)
    return 0


def _behave_as_a_program() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # it is closed, or something else than a file
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    if os.name == "posix":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends as programs do that write to a closed pipe
        signal.signal(signal.SIGTERM, _terminate)
        sys.unraisablehook = _interrupt_again


def _terminate(number: int, _: Any) -> None:
    _terminated.append(number)
    raise Terminated


def _interrupt_again(ignored: Any) -> None:
    """Ctrl-C in a destructor or a callback of the garbage collector is ignored by Python; ask again a moment later.

    It is a signal that is sent, because `_thread.interrupt_main` would not wake a main thread that waits.
    """
    if ignored.exc_type is not None and issubclass(ignored.exc_type, KeyboardInterrupt):
        number = signal.SIGTERM if ignored.exc_type is Terminated else signal.SIGINT
        threading.Timer(0.01, signal.pthread_kill, (threading.main_thread().ident, number)).start()
    else:
        sys.__unraisablehook__(ignored)


def _explained(error: Exception) -> int:
    """Say on stderr what went wrong, and answer the exit code; what is no mistake of the user's shows its traceback."""
    if "harness.training.gate" in sys.modules:  # slow to import, and who has not raises nothing of it
        from harness.training.gate import GateClosed

        if isinstance(error, GateClosed):
            complain(str(error))
            return EXIT_CODES[error.report.verdict]
    theirs = (ValueError, TypeError, OSError, MemoryError)
    raised_by_a_source = bool(getattr(error, "__notes__", ()))
    if os.environ.get("HARNESS_TRACEBACK") or not (isinstance(error, theirs) or raised_by_a_source):
        traceback.print_exception(error)
    elif isinstance(error, MemoryError):
        complain(f"harness: there is not enough memory ({explained(error)}); choose something smaller")
    else:
        complain(f"harness: {explained(error)}")
    return BAD_INPUT
