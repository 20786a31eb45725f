"""How the commands spell their options, and those that several have."""

from pathlib import Path
from typing import Annotated, Any

import typer


def option(value: str, text: str, **rest: Any) -> Any:
    """An option whose value the help calls `value`, as the SEED of ``--seed SEED``."""
    return typer.Option(metavar=value, help=text, **rest)


def file_to_write(text: str) -> Any:
    """An option that names a file, which is written."""
    return option("FILE", text, dir_okay=False)


ReportFile = Annotated[
    Path | None, option("FILE", "Where to save a report: one HTML page with tables and pictures.", dir_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else there.")]
Seed = Annotated[int, option("SEED", "The seed that decides every random choice.", min=0)]
Networks = Annotated[int, option("N", "How many random networks to cross-check.", min=1)]
Data = Annotated[
    Path | None, option("FILE", "Digits of your own (.mat, .npz or .csv) instead of those that come with it.")
]


def write_page(path: Path, page: str) -> None:
    """Write an HTML page whole."""
    from harness.files import write_whole

    write_whole(path, page.encode())
