"""How the commands spell their options, and those that several have."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer


def option(value: str, text: str, **rest: Any) -> Any:
    """An option whose value the help calls `value`, as the SEED of ``--seed SEED``."""
    return typer.Option(metavar=value, help=text, **rest)


def file_to_write(text: str) -> Any:
    """An option that names a file, which is written."""
    return option("FILE", text, dir_okay=False)


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
        raise typer.BadParameter(f"{text!r} is no size; expected a number of bytes, such as 1000000, 500MB or 2GB")
    return int(size)


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

ReportFile = Annotated[
    Path | None, option("FILE", "Where to save a report: one HTML page with tables and pictures.", dir_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
Seed = Annotated[int, option("SEED", "The seed that decides every random choice.", min=0)]
Networks = Annotated[int, option("N", "How many random networks to cross-check.", min=1)]
Data = Annotated[
    Path | None, option("FILE", "Digits of your own (.mat, .npz or .csv) instead of those that come with it.")
]
MaxSize = Annotated[
    int,
    option("SIZE", "The largest file, or array from one, that is read.", parser=_bytes, show_default="1GB"),
]


def write_page(path: Path, page: str) -> None:
    """Write an HTML page whole."""
    from harness.files import write_whole

    write_whole(path, page.encode())
