"""harness study."""

from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands.common import progress_bar, show, start_jax
from harness.commands.options import Json, Seed, file_to_write, option

NETWORKS = "How many correct random networks; 10,000 unless given, or --quick."


def study(
    quick: Annotated[bool, typer.Option(help="One problem of each kind, and few random networks.")] = False,
    seed: Seed = 0,
    networks: Annotated[int | None, option("N", NETWORKS, min=1)] = None,
    figure: Annotated[Path | None, file_to_write("Where to save the figure (PNG).")] = None,
    activations: Annotated[bool, typer.Option(help="Right and wrong records of activations, not networks.")] = False,
    json: Json = False,
) -> None:
    """Detection power of this and other gradient checkers over the bug zoo."""
    if activations:
        return _of_activations(quick, seed, networks, figure, json)
    from harness.drawing import png
    from harness.files import write_whole
    from harness.study.figure import detection_power
    from harness.study.study import QUICK, run_study
    from harness.study.table import as_table

    size: dict[str, Any] = dict(QUICK) if quick else {}
    if networks is not None:
        size["networks"] = networks
    start_jax()
    with progress_bar() as progress:
        found = run_study(seed=seed, progress=progress, **size)
    if figure is not None:
        write_whole(figure, png(detection_power(found)))
    show(found.to_dict(), as_table(found), json)
    return None


def _of_activations(quick: bool, seed: int, networks: int | None, figure: Path | None, json: bool) -> None:
    from harness.study.activations.study import QUICK, run_activation_study
    from harness.study.activations.table import as_table

    if networks is not None or figure is not None:
        raise typer.BadParameter("--activations has neither networks nor a figure: leave --networks and --figure out")
    start_jax()
    size: dict[str, Any] = dict(QUICK) if quick else {}
    with progress_bar() as progress:
        found = run_activation_study(seed=seed, progress=progress, **size)
    show(found.to_dict(), as_table(found), json)
