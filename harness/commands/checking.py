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
    plot: Annotated[
        Path | None,
        typer.Option(help="With --activation: a PNG of the first that is wrong, or the first.", dir_okay=False),
    ] = None,
    json: Json = False,
) -> None:
    """Cross-check the gradient sources on random networks; an --activation is checked by itself first."""
    from harness.activation_check import mixed_with_others, usable_sources
    from harness.sources import named_sources

    if plot is not None and not activation:
        raise ValueError("--plot draws an activation; name one with --activation")
    activations, reports = _check_alone(activation or [], plot, json)
    asked = None if sources is None else named_sources(name.strip() for name in sources.split(","))
    chosen = usable_sources(reports, asked)
    drawn_from = {"networks": activations or None}
    if activations:
        drawn_from["mixed"] = mixed_with_others(activations)
    extremes = not any(report.needs_plain_differences for report in reports)
    summaries = _check_networks(networks, seed, drawn_from, chosen, extremes)
    verdict = _worst([*reports, *summaries.values()])
    _show_all(reports, summaries, verdict, json)
    failed = [(what, summary.failures[0][0]) for what, summary in summaries.items() if summary.failures]
    if failed:
        from harness.random_problems import random_problem

        what, index = failed[0]
        _save_smallest(*random_problem((seed, index), drawn_from[what], extremes=extremes), chosen, case)
    raise typer.Exit(EXIT_CODES[verdict])


def _check_networks(
    networks: int, seed: int, drawn_from: dict[str, Any], sources: Any, extremes: bool
) -> dict[str, Any]:
    from harness.many import check_networks

    summaries = {}
    with progress_bar() as progress:
        for what, activations in drawn_from.items():
            summaries[what] = check_networks(
                networks,
                seed,
                activations,
                sources,
                extremes,
                progress=lambda index, _, what=what: progress(what, min(index + 1, networks), networks),
            )
    return summaries


def _show_all(reports: list[Any], summaries: dict[str, Any], verdict: str, json: bool) -> None:
    document = summaries["networks"].to_dict() | {"verdict": verdict, "activations": [r.to_dict() for r in reports]}
    lines = [str(summaries["networks"])]
    if "mixed" in summaries:
        names = ", ".join(report.activation for report in reports)
        document["mixed"] = summaries["mixed"].to_dict()
        lines = [f"{names} alone: {lines[0]}", f"{names} and others: {summaries['mixed']}"]
    show(document, "\n".join(lines), json)


def _check_alone(names: list[str], plot: Path | None, json: bool) -> tuple[list[Any], list[Any]]:
    """The activations and their own reports, shown at once unless one JSON document is asked for."""
    from harness.activation_check import check_activation, find_activation, register_checked
    from harness.files import write_whole

    activations = [find_activation(name) for name in names]
    reports = [check_activation(f) for f in activations]
    for f, report in zip(activations, reports):
        register_checked(f, report)
        if not json:
            show({}, f"{report}\n", as_json=False)
    if plot is not None:
        wrong = [report for report in reports if report.verdict == "disagree"]
        write_whole(plot, (wrong or reports)[0].plot())
        complain(f"The picture is {plot}.")
    return activations, reports


def _worst(outcomes: list[Any]) -> str:
    verdicts = {outcome.verdict for outcome in outcomes}
    return next(verdict for verdict in ("disagree", "inconclusive", "agree") if verdict in verdicts)


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
    activation: Annotated[
        list[str] | None, typer.Option(help="An activation of your own that it uses, as module:attribute.")
    ] = None,
    json: Json = False,
) -> None:
    """Check a saved case again."""
    from harness.activation_check import find_activation
    from harness.cases import load_case
    from harness.cross_checking import cross_check
    from reference.activations import register

    for name in activation or []:
        register(find_activation(name))
    saved = load_case(file)
    report = cross_check(saved.problem, saved.theta, saved.sources)
    show(report.to_dict(), report, json)
    if saved.verdict is not None and (report.verdict, report.outliers) != (saved.verdict, saved.outliers):
        named = ", ".join(saved.outliers) or "nobody"
        complain(f"When it was saved, the verdict was {saved.verdict!r}, and {named} was named.")
    raise typer.Exit(EXIT_CODES[report.verdict])
