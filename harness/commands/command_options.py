"""How commands spell their options, and the options that several commands share."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from harness.files import file_to_fill, write_whole
from reference.user_input import given

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class OnceCommand(TyperCommand):
    """A command that refuses an option of one value where it is given several times: the last would win in silence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments that are left when all options are read."""
        several = copy(self)
        several.params = [copy(param) for param in self.params]
        for option in (single := list[Any](filter(_has_one_value, several.params))):
            option.multiple = True
        values = several.make_parser(ctx).parse_args(list(args))[0]
        for option in single:
            if len(found := values.get(option.name, ())) > 1:
                texts = " and ".join(map(given, found))
                raise typer.BadParameter(f"it was given {len(found)} times, as {texts}; give it once", ctx, option)
        return super().parse_args(ctx, args)


def _has_one_value(param: Any) -> bool:
    return param.param_type_name == "option" and not (param.multiple or param.is_flag)


def value(name: str, text: str, **rest: Any) -> Any:
    """An option with a value, which the help calls `name`, such as SEED in ``--seed SEED``."""
    return typer.Option(metavar=name, help=text, **rest)


def flag(name: str, text: str) -> Any:
    """An option without a value."""
    return typer.Option(name, help=text)


def folder_to_read(text: str, *names: str) -> Any:
    """An option that names a folder which is there."""
    return typer.Option(*names, metavar="DIR", help=text, callback=_require_folder)


def _require_folder(path: Path | None) -> Path | None:
    if path is not None and not path.is_dir():  # `file_okay=False` would let devices pass
        raise typer.BadParameter(f"{path} is not a folder")
    return path


def file_to_write(text: str) -> Any:
    """An option that names a file to write, which `places_to_fill` finds."""
    return value("FILE", text, dir_okay=False, writable=True)


@contextmanager
def places_to_fill(command: Callable[..., None], arguments: Mapping[str, Any]) -> Iterator[None]:
    """Keep the files that a command is to write for itself. A place that cannot be written to, or twice, is refused."""
    options: dict[Path, str] = {}
    with ExitStack() as stack:
        for name, parameter in signature(command).parameters.items():
            (option,) = parameter.annotation.__metadata__
            if option.writable and arguments[name] not in (None, parameter.default):  # a default may never be written
                if (place := Path(arguments[name]).resolve()) in options:
                    raise ValueError(f"--{options[place]} and --{name} both name {arguments[name]}; choose two places")
                options[place] = name
                stack.enter_context(file_to_fill(arguments[name]))
        yield


def seconds(text: str) -> Any:
    """An option that takes a time limit."""
    return value("SECONDS", text, parser=_parse_seconds)


def _parse_seconds(text: str | float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise typer.BadParameter(f"{given(text)} is not a time limit; expected seconds above zero, such as 10 or 0.5")
    return value


def _parse_size(text: str | int) -> int:
    """A number of bytes, such as 1000000, 500MB or 2GB."""
    if isinstance(text, int):  # the default
        return text
    parts = re.fullmatch(r"([0-9.]+) ?([a-zA-Z]*)", text)
    try:
        size = float(parts[1]) * UNITS[parts[2].upper()] if parts else 0.0
    except (ValueError, KeyError):
        size = 0.0
    if not 1.0 <= size < 2.0**62:
        raise typer.BadParameter(f"{given(text)} is not a size; expected bytes, such as 1000000, 500MB or 2GB")
    return int(size)


HtmlFile = Annotated[Path | None, file_to_write("Write the result as one HTML page, with tables and pictures.")]
Json = Annotated[bool, flag("--json", "Print one JSON document on stdout, and nothing else there.")]
Seed = Annotated[int, value("SEED", "The seed of every random choice.", min=0)]
Networks = Annotated[int, value("N", "How many random networks to cross-check.", min=1)]
OnlyActivations = Annotated[
    list[str] | None,
    value("NAME", "Only these hidden activations: a registered name, or module:attribute. Can be repeated."),
]
Sizes = Annotated[str | None, value("N,N,...", "Only networks of these layer sizes, such as 400,25,10.")]
Output = Annotated[str | None, value("NAME", "Only this output layer: sigmoid, softmax or linear.")]
L2 = Annotated[float | None, value("λ", "Only this λ.", min=0.0)]
Data = Annotated[Path | None, value("FILE", "Your own digits (.mat, .npz or .csv) instead of the course's.")]
MaxSize = Annotated[
    int,
    value(
        "SIZE", "The largest file, or array in a file, to read; 1GB by default.", parser=_parse_size, show_default=False
    ),
]


def problems_like(sizes: str | None, output: str | None, l2: float | None) -> Any:
    """The random problems that --sizes, --output and --l2 ask for; what no network has is refused with the first."""
    from harness.checks.networks.random_problems import Like

    return Like(None if sizes is None else whole_numbers("--sizes", sizes), output, l2)


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """The numbers of an option such as "400,25,10"."""
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise ValueError(f"{option} takes whole numbers with commas, such as 400,25,10, not {given(text)}") from None


def write_text(path: Path, text: str) -> None:
    """Write a page or table whole."""
    write_whole(path, text.encode())


def write_page(path: Path | None, make: Callable[[Any], str]) -> None:
    """Write the page that is made with `harness.pages.command_pages`, if a file is given."""
    if path is not None:
        write_text(path, make(import_module("harness.pages.command_pages")))
