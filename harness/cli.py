"""The command line. Results go to stdout, progress and complaints to stderr; `EPILOG` tells the exit codes."""

import os
import signal
import sys
import threading
import traceback
from typing import Any

import typer

from harness.commands.checking import bugs, check, replay
from harness.commands.common import BAD_INPUT, EXIT_CODES, INTERRUPTED, complain
from harness.commands.studying import study
from harness.commands.sweeping import sweep
from harness.commands.teaching import lesson
from harness.commands.training import ex4, run, train

EPILOG = (
    "Exit codes: 0 the sources agree, or done; 1 they disagree, or the gate is closed; 2 bad input, bad usage, "
    "or a source or program that fails; 3 inconclusive; 130 interrupted."
)
app = typer.Typer(
    help="Is this hand-written gradient right? Independent gradient sources, judged against derived error bounds.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (run, check, train, ex4, bugs, replay, study, lesson, sweep):
    app.command()(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    if arguments is None:
        _behave_as_a_program()
    try:
        app(arguments)  # exits: 0, a command's own code, 2 for bad usage, 130 for Ctrl-C
    except SystemExit as ended:
        if arguments is None and ended.code == INTERRUPTED:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)  # to tear down what was interrupted, such as JAX that compiles, can crash
        raise
    except Exception as error:  # noqa: BLE001  Python would exit with 1, which says that the sources disagree
        sys.exit(_explained(error))


def _behave_as_a_program() -> None:
    if os.name == "posix":
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends as programs do that write to a closed pipe
        sys.unraisablehook = _interrupt_again


def _interrupt_again(ignored: Any) -> None:
    """Ctrl-C in a destructor or a callback of the garbage collector is ignored by Python; ask again a moment later.

    It is a signal that is sent, because `_thread.interrupt_main` would not wake a main thread that waits.
    """
    if ignored.exc_type is KeyboardInterrupt:
        threading.Timer(0.01, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(ignored)


def _explained(error: Exception) -> int:
    """Say on stderr what went wrong, and answer the exit code; what is no mistake of the user's shows its traceback."""
    from harness.training.gate import GateClosed  # slow to import, and mostly not needed

    if isinstance(error, GateClosed):
        complain(str(error))
        return EXIT_CODES[error.report.verdict]
    if os.environ.get("HARNESS_TRACEBACK") or not isinstance(error, (ValueError, TypeError, OSError, MemoryError)):
        traceback.print_exception(error)
    elif isinstance(error, MemoryError):
        complain(f"harness: there is not enough memory ({error or 'none is left'}); choose something smaller")
    else:
        complain(f"harness: {'; '.join([str(error), *getattr(error, '__notes__', ())])}")
    return BAD_INPUT
