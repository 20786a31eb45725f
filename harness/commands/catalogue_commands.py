"""harness explain and museum: what messages mean, and wrong derivatives that software has shipped."""

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import command_options as options
from harness.commands.command_output import complain, output_on_stderr, show
from harness.commands.process_start import start_jax
from harness.facts import message_table
from harness.facts.kinds import Kind
from reference.user_input import did_you_mean

KIND = "A kind, as a message has it in brackets, such as kink; without it, all kinds are listed."
KINDS_PAGE = "Write a page (Markdown) of all kinds."
EXHIBIT = "An exhibit to visit; without it, all are listed."
MUSEUM_PAGE = "Visit all exhibits, and write one HTML page."


def explain(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help=KIND)] = None,
    markdown: Annotated[Path | None, options.file_to_write(KINDS_PAGE)] = None,
    json: options.Json = False,
) -> None:
    """What a message means, a common cause, an example, and what to do: for the kind in the message's brackets."""
    if markdown is not None:
        options.write_text(markdown, message_table.page())
    if kind is not None:
        found = _find_kind(kind)
        show({"kind": found} | message_table.explanations()[found]._asdict(), message_table.explain(found), json)
    elif markdown is None or json:
        show({"kinds": {kind: entry.meaning for kind, entry in message_table.explanations().items()}}, _listing(), json)


def _find_kind(name: str) -> Kind:
    """The kind of a name, also in brackets.

    Raises ValueError when there is no such kind.
    """
    name = name.strip("[]")
    if name not in [*Kind]:
        close = did_you_mean(name, map(str, Kind))
        raise ValueError(f"there is no kind {name!r}; `harness explain` lists all kinds{close}")
    return Kind(name)


def _listing() -> str:
    """All kinds by what they are about, each with its meaning."""
    width = max(map(len, Kind))
    parts = []
    for title, entries in message_table.sections().items():
        lines = [f"  {kind:{width}}  {entry.meaning}" for kind, entry in entries.items()]
        parts.append("\n".join([title, *lines]))
    return "\n\n".join(parts)


def museum(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help=EXHIBIT)] = None,
    html: Annotated[Path | None, options.file_to_write(MUSEUM_PAGE)] = None,
    json: options.Json = False,
) -> None:
    """Wrong derivatives that libraries have shipped: what was wrong, and which checkers see it."""
    from harness.museum.exhibits import EXHIBITS
    from harness.museum.museum_tour import SCHEMA, is_installed, museum_page, visit, visit_text
    from harness.progress import progress_bar

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
