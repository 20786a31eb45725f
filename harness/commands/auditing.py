"""harness audit."""

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.common import progress_bar, show, start_jax
from harness.commands.options import Json, file_to_write, option

WHICH = "Only these of jax, optax, torch and scipy. Can be repeated."
ONLY = "Only these functions, such as sinc. Can be repeated."


def audit(
    library: Annotated[list[str] | None, option("NAME", WHICH)] = None,
    only: Annotated[list[str] | None, option("NAME", ONLY)] = None,
    page: Annotated[Path | None, file_to_write("Where to write the result as a page of Markdown.")] = None,
    json: Json = False,
) -> None:
    """True errors of the derivative rules that the installed JAX, optax, PyTorch and SciPy ship, worst first."""
    from harness.audit.audit_page import as_page
    from harness.audit.rule_audit import LIBRARIES, audit_rules
    from harness.files import write_whole

    start_jax()
    with progress_bar() as progress:
        found = audit_rules(library or LIBRARIES, only or (), progress)
    if page is not None:
        write_whole(page, as_page(found).encode())
    show(found.to_dict(), found, json)
    raise typer.Exit(0)
