"""The command line. Results go to stdout, progress and complaints to stderr.

Exit codes: 0 agree or done; 1 disagree, or the gate is closed; 2 bad input or usage; 3 inconclusive; 130 interrupted.
"""

import os
import sys

import typer

from harness.commands import checking, studying, training
from harness.commands.common import BAD_INPUT, EXIT_CODES, complain

app = typer.Typer(
    help="Is this hand-written gradient right? Independent gradient sources, judged against derived error bounds.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    training.run,
    checking.check,
    training.train,
    training.ex4,
    checking.bugs,
    checking.replay,
    studying.study,
):
    app.command()(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        app(arguments)  # exits: 0, a command's own code, 2 for bad usage, 130 for Ctrl-C
    except Exception as error:  # noqa: BLE001  what is no fault of the user's is raised again
        sys.exit(_explained(error))


def _explained(error: Exception) -> int:
    """Say on stderr what went wrong, and answer the exit code; what is no fault of the user's is raised again."""
    from harness.gate import GateClosed  # slow to import, and mostly not needed

    if isinstance(error, GateClosed):
        complain(str(error))
        return EXIT_CODES[error.report.verdict]
    if not isinstance(error, (ValueError, TypeError, OSError)) or os.environ.get("HARNESS_TRACEBACK"):
        raise error
    complain(f"harness: {error}")
    return BAD_INPUT
