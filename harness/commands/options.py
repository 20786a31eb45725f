"""How the commands spell their options, and those that several have."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from reference.user_input import given


def option(value: str, text: str, **rest: Any) -> Any:
    """An option whose value the help calls `value`, as the SEED of ``--seed SEED``."""
    return typer.Option(metavar=value, help=text, **rest)


def file_to_write(text: str) -> Any:
    """An option that names a file, which is written; where that cannot be done, it is refused before any work is."""
    return option("FILE", text, dir_okay=False, callback=_require_place)


def _require_place(context: typer.Context, parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    from harness.files import require_place

    source = context.get_parameter_source(parameter.name or "")
    if path is not None and getattr(source, "name", "") == "COMMANDLINE":  # a default may not be needed at all
        require_place(path)
    return path


def _bytes(text: str | int) -> int:
    """A number of bytes, such as 1000000, 500MB or 2GB."""
    if isinstance(text, int):  # the default
        return text
    parts = re.fullmatch(r"([0-9.]+) ?([a-zA-Z]*)", text)
    try:
        size = float(parts[1]) * _UNITS[parts[2].upper()] if parts else 0.0
    except (ValueError, KeyError):
        size = 0.0
    if not 1.0 <= size < 2.0**62:
        raise typer.BadParameter(f"{given(text)} is no size; expected a number of bytes, such as 1000000, 500MB or 2GB")
    return int(size)


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

ReportFile = Annotated[Path | None, file_to_write("Where to save a report: one HTML page with tables and pictures.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
Seed = Annotated[int, option("SEED", "The seed that decides every random choice.", min=0)]
Networks = Annotated[int, option("N", "How many random networks to cross-check.", min=1)]
Sizes = Annotated[str | None, option("N,N,...", "Only networks of these layer sizes, such as 400,25,10.")]
Output = Annotated[str | None, option("NAME", "Only this output layer: sigmoid, softmax or linear.")]
L2 = Annotated[float | None, option("λ", "Only this λ.", min=0.0)]
Data = Annotated[
    Path | None, option("FILE", "Digits of your own (.mat, .npz or .csv) instead of those that come with it.")
]
MaxSize = Annotated[
    int,
    option("SIZE", "The largest file, or array from one, that is read.", parser=_bytes, show_default="1GB"),
]


def problems_like(sizes: str | None, output: str | None, l2: float | None) -> Any:
    """What --sizes, --output and --l2 say of the problems to be drawn.

    Raises
    ------
    ValueError
        For sizes that are no whole numbers, or an output layer that there is not.
    """
    from harness.checks.networks.random_problems import Like
    from harness.wording import did_you_mean
    from reference.network import OUTPUTS

    if output is not None and output not in OUTPUTS:
        there_are = ", ".join(OUTPUTS)
        raise ValueError(f"there is no output {output!r}; there are {there_are}{did_you_mean(output, OUTPUTS)}")
    if sizes is None:
        return Like(None, output, l2)
    try:
        numbers = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        raise ValueError(f"--sizes takes whole numbers with commas, such as 400,25,10, not {sizes!r}") from None
    if len(numbers) < 2 or min(numbers) < 1:
        raise ValueError(f"--sizes takes two numbers or more, each 1 or more, not {sizes!r}")
    return Like(numbers, output, l2)


def write_page(path: Path, page: str) -> None:
    """Write an HTML page whole."""
    from harness.files import write_whole

    write_whole(path, page.encode())


def seconds(name: str, value: float) -> float:
    """A time limit, of the option of that name; refused is one that is none.

    Raises
    ------
    ValueError
    """
    if not 0.0 < value < float("inf"):
        raise ValueError(f"{name} takes a number of seconds above zero, not {value:g}")
    return value
