"""harness museum: wrong derivatives that software has shipped, and the check that finds each."""

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import command_options as options
from harness.commands.command_output import complain, output_on_stderr, show
from harness.commands.process_start import start_jax

EXHIBIT = "An exhibit to visit; without it, all are listed."
PAGE = "Visit all exhibits, and write one HTML page."


def museum(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help=EXHIBIT)] = None,
    html: Annotated[Path | None, options.file_to_write(PAGE)] = None,
    json: options.Json = False,
) -> None:
    """Wrong derivatives that libraries have shipped: what was wrong, and which checkers see it."""
    from harness.museum.exhibits import EXHIBITS
    from harness.museum.museum_tour import SCHEMA, is_installed, museum_page, visit, visit_text
    from harness.progress import progress_bar
    from reference.user_input import did_you_mean

    if name is None and html is None:
        listing = {exhibit: f"{what.project} {what.version}: {what.mistake}" for exhibit, what in EXHIBITS.items()}
        width = max(map(len, listing))
        text = "\n".join(f"{exhibit:{width}}  {what}" for exhibit, what in listing.items())
        show({"schema": SCHEMA, "exhibits": listing}, text, json)
        return
    if name is not None and name not in EXHIBITS:
        raise ValueError(f"there is no exhibit {name!r}; `harness museum` lists them{did_you_mean(name, EXHIBITS)}")
    names = [name] if name is not None else [each for each, what in EXHIBITS.items() if is_installed(what)]
    start_jax()
    visits: list[Any] = []
    with progress_bar() as progress, output_on_stderr():
        for number, each in enumerate(names):
            progress("exhibits", number, len(names))
            visits.append(visit(each))
    if html is not None:
        options.write_text(html, museum_page(visits))
        complain(f"The page is {html}.")
    text = "\n\n".join(map(visit_text, visits))
    show({"schema": SCHEMA, "visits": [each.to_dict() for each in visits]}, text, json)
