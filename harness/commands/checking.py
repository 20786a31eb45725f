"""harness check, bugs and replay."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands.common import EXIT_CODES, Json, Networks, Seed, complain, progress_bar, show

Case = Annotated[Path, typer.Option(help="Where a failing network is saved, shrunk.", dir_okay=False)]


def check(
    networks: Networks = 200,
    seed: Seed = 0,
    activation: Annotated[
        list[str] | None,
        typer.Option(help="Only these hidden activations: a registered name, or module:attribute. Can be repeated."),
    ] = None,
    sources: Annotated[str | None, typer.Option(help="Gradient sources, separated by commas.")] = None,
    case: Case = Path("failing-case.json"),
    json: Json = False,
) -> None:
    """Cross-check the gradient sources on random networks."""
    from harness.many import check_networks
    from harness.sources import named_sources

    activations = [_activation(name) for name in activation] if activation else None
    chosen = None if sources is None else named_sources(name.strip() for name in sources.split(","))
    with progress_bar() as progress:
        summary = check_networks(
            networks, seed, activations, chosen, progress=lambda index, _: progress("networks", index + 1, networks)
        )
    show(summary.to_dict(), summary, json)
    if summary.failures:
        from harness.random_problems import random_problem

        index = summary.failures[0][0]
        _save_smallest(*random_problem((seed, index), activations), chosen, case)
    raise typer.Exit(EXIT_CODES[summary.verdict])


def _activation(name: str) -> Any:
    """A registered activation, or the one at module:attribute, which is registered on the way."""
    from harness.importing import import_attribute
    from reference.activations import Activation, get_activation, register

    if ":" not in name:
        return get_activation(name)
    found = import_attribute(name)
    if not isinstance(found, Activation):
        raise ValueError(f"{name} is of type {type(found).__name__}, but an Activation is needed")
    return register(found)


def _save_smallest(problem: Any, theta: Any, sources: Mapping[str, Any] | None, path: Path) -> None:
    """Shrink a failing case, save it, and say on stderr how to see it again."""
    from harness.cases import as_script, save_case
    from harness.shrinking import shrink_disagreement

    problem, theta, report = shrink_disagreement(problem, theta, sources)
    save_case(path, problem, theta, sources, report)
    complain(f"\nThe smallest network that still fails, saved as {path} (harness replay {path}):\n{report}\n")
    complain(f"The same in Python:\n\n{as_script(problem, theta, sources)}")


def bugs(
    name: Annotated[str | None, typer.Argument(help="A bug to run; without it, all are listed.")] = None,
    seed: Seed = 0,
    case: Annotated[Path | None, typer.Option(help="Where to save the network, shrunk.", dir_okay=False)] = None,
    json: Json = False,
) -> None:
    """The bug zoo: list it, or plant one bug and see it caught."""
    from harness.faults import FAULTS, plant
    from harness.random_problems import random_problem

    if name is None:
        listing = {fault.name: fault.description for fault in FAULTS.values()}
        width = max(map(len, listing))
        show({"bugs": listing}, "\n".join(f"{bug:{width}}  {what}" for bug, what in listing.items()), json)
        return
    if name not in FAULTS:
        raise ValueError(f"there is no bug named {name!r}; `harness bugs` lists them")
    index, report = plant(FAULTS[name], seed)
    text = f"{name}: {FAULTS[name].description}\n{report}"
    show({"bug": name, "seed": seed, "network": index, "report": report.to_dict()}, text, json)
    if case is not None:
        _save_smallest(*random_problem((seed, index), extremes=False), FAULTS[name].sources, case)
    raise typer.Exit(EXIT_CODES[report.verdict])


def replay(
    file: Annotated[Path, typer.Argument(help="A case that harness check or harness bugs saved.")],
    json: Json = False,
) -> None:
    """Check a saved case again."""
    from harness.cases import load_case
    from harness.cross_checking import cross_check

    saved = load_case(file)
    report = cross_check(saved.problem, saved.theta, saved.sources)
    show(report.to_dict(), report, json)
    if saved.verdict is not None and (report.verdict, report.outliers) != (saved.verdict, saved.outliers):
        complain(f"When it was saved, the verdict was {saved.verdict!r}, outliers: {', '.join(saved.outliers) or 'none'}.")
    raise typer.Exit(EXIT_CODES[report.verdict])
