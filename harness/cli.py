"""The command line. Results go to stdout, progress and complaints to stderr; harness.exit_codes has the exit codes."""

import os
import sys
import traceback
from collections.abc import Callable
from functools import cache, wraps
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from harness.commands import process_start
from harness.commands.check_commands import bugs, check, replay
from harness.commands.classroom_commands import diagnose, grade, lesson
from harness.commands.command_options import OnceCommand, places_to_fill
from harness.commands.command_output import complain, describe_error, flush_streams
from harness.commands.function_commands import derivatives, gradient
from harness.commands.study_commands import audit, explain, museum, study
from harness.commands.sweep_commands import sweep
from harness.commands.training_commands import ex4, run, train
from harness.exit_codes import BAD_INPUT, EXIT_CODES, INTERRUPTED, MEANINGS, TERMINATED
from harness.files import remove_scratch_folders
from harness.named_objects import raised_at
from harness.wording import docstring
from reference.user_input import error_in_words

COMMANDS = (
    *(run, check, gradient, derivatives, train, ex4, bugs, replay),
    *(museum, study, lesson, diagnose, grade, sweep, audit, explain),
)

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    help="Is this hand-written gradient right? Independent gradient sources, judged against derived error bounds.",
    epilog=MEANINGS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)


def _prepared(command: Callable[..., None]) -> Callable[..., None]:
    """The command, once there is enough address space for its imports and its files can be written."""

    @wraps(command)
    def checked(**arguments: Any) -> None:
        process_start.require_address_space()
        with places_to_fill(command, arguments):
            try:
                command(**arguments)
            except SystemExit as ended:  # a command ends by typer.Exit; the exit code 0 would mean that sources agree
                raise ValueError(f"sys.exit({ended.code!r}) was called{raised_at(ended)}") from ended

    return checked


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(metadata.version("autodiff-cross-check"))
        raise typer.Exit


VERSION = typer.Option("--version", help="Print the version, and nothing else.", callback=_print_version, is_eager=True)


@app.callback()
def _set_up_program(version: Annotated[bool, VERSION] = False) -> None:
    pass


for command in COMMANDS:
    app.command(help=docstring(command), cls=OnceCommand)(_prepared(command))


@cache
def _command_line() -> Any:
    """The command line with all commands, made on first use: that takes longer than a failing command."""
    program: Any = get_command(app)
    commands = (program, *program.commands.values())
    helps = [command.get_help_option(typer.Context(command, **HELP)) for command in commands]
    for option in [*helps, *(option for command in commands for option in command.params)]:
        if getattr(option, "is_flag", False):
            option.metavar = ""  # the help would show <bool>
        elif option.param_type_name == "argument":
            option.display_type_rich = lambda ctx: ""  # the help would show <str> beside the argument's own name
    return program


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    if arguments is not None:
        sys.exit(_run(arguments))
    process_start.behave_as_program()
    code = _run(arguments)
    if process_start.received_terminations:
        code = TERMINATED
    if (wrong := flush_streams()) and code not in (INTERRUPTED, TERMINATED):
        complain(f"harness: the result cannot be written ({wrong})")
        flush_streams()
        code = BAD_INPUT
    if code in (INTERRUPTED, TERMINATED):
        remove_scratch_folders()
        os._exit(code)  # an interrupted library, such as JAX while it compiles, can crash when it is torn down
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """The exit code: 0, a command's or a closed gate's own, 2 for bad usage and for errors, 130 for Ctrl-C."""
    try:
        _command_line()(_with_new_names(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:  # before a command has begun
        return INTERRUPTED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else BAD_INPUT if ended.code else 0
    except Exception as error:  # noqa: BLE001  Python would exit with 1, which means that the sources disagree
        return _report_error(error)
    return 0


RENAMED = {
    "": {"--report": "--html", "--plot": "--figure", "--page": "--markdown"},
    "study": {"--own": "--gradients", "--functions": "--derivatives"},
    "sweep": {"--functions": "--gradients"},
}
"""Options of all commands and of single ones by their names until version 1.0; version 1.1 takes only the new ones."""


def _with_new_names(arguments: list[str]) -> list[str]:
    """The arguments, with old names of options replaced and told."""
    new_names = RENAMED[""] | RENAMED.get(arguments[0] if arguments else "", {})
    renamed = []
    for argument in arguments:
        name, *value = argument.split("=", 1)
        if name in new_names:
            complain(f"harness: {name} is called {new_names[name]} now; the old name works until version 1.1")
        renamed.append("=".join([new_names.get(name, name), *value]))
    return renamed


def _report_error(error: Exception) -> int:
    """Print on stderr what went wrong, and return the exit code."""
    if "harness.training.gated_training" in sys.modules:  # its import is slow, and without it no gate has closed
        from harness.training.gated_training import GateClosed

        if isinstance(error, GateClosed):
            complain(str(error))
            return EXIT_CODES[error.report.verdict]
    refusals = (ValueError, TypeError, OSError, MemoryError)
    of_the_user = isinstance(error, refusals) or getattr(error, "__notes__", ()) or raised_at(error)
    if os.environ.get("HARNESS_TRACEBACK"):
        traceback.print_exception(error)
    elif not of_the_user:
        at = traceback.extract_tb(error.__traceback__)[-1]
        complain(
            f"harness: this is a fault of the harness: {error_in_words(error)} ({Path(at.filename).name}, line "
            f"{at.lineno}, in {at.name}); please report it, with the traceback that HARNESS_TRACEBACK=1 prints"
        )
    elif isinstance(error, MemoryError):
        complain(f"harness: there is not enough memory ({describe_error(error)}); choose something smaller")
    else:
        complain(f"harness: {describe_error(error)}")
    return BAD_INPUT
