"""harness check, bugs and replay."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands.common import (
    EXIT_CODES,
    SOURCE_NAMES,
    Json,
    Networks,
    Seed,
    complain,
    progress_bar,
    show,
    start_jax,
)

Case = Annotated[Path, typer.Option(metavar="FILE", help="Where a failing network is saved, shrunk.", dir_okay=False)]

WITHOUT_JAX = {"loop", "vectorized", "vectorized-float32", "finite-difference", "complex-step", "ball"}


def check(
    networks: Networks = 200,
    seed: Seed = 0,
    activation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only these hidden activations: a registered name, or module:attribute. Can be repeated.",
        ),
    ] = None,
    sources: Annotated[
        str | None, typer.Option(metavar="NAME,NAME,...", help=f"Gradient sources: {SOURCE_NAMES}.")
    ] = None,
    case: Case = Path("failing-case.json"),
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --activation: a PNG of the first that is wrong, or the first.", dir_okay=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Cross-check the gradient sources on random networks; an --activation is checked by itself first."""
    from harness.checks.activations import mixed_with_others, usable_sources
    from harness.sources.table import named_sources

    if plot is not None and not activation:
        raise ValueError("--plot draws an activation; name one with --activation")
    names = None if sources is None else [name.strip() for name in sources.split(",")]
    if activation or names is None or not WITHOUT_JAX.issuperset(names):
        start_jax()
    activations, reports = _check_alone(activation or [], plot, json)
    asked = None if names is None else named_sources(names)
    chosen = usable_sources(reports, asked)
    drawn_from = {"networks": activations or None}
    if activations:
        drawn_from["mixed"] = mixed_with_others(activations)
    extremes = not any(report.needs_plain_differences for report in reports)
    try:
        summaries = _check_networks(networks, seed, drawn_from, chosen, extremes)
    except Exception as error:
        if all(report.verdict != "disagree" for report in reports):
            raise
        complain(f"Random networks cannot be checked: {type(error).__name__}: {error}")
        summaries = {}  # one activation is wrong by itself, and that verdict stands
    verdict = _worst([*reports, *summaries.values()])
    _show_all(reports, summaries, verdict, json)
    failed = [(what, summary.failures[0][0]) for what, summary in summaries.items() if summary.failures]
    if failed:
        from harness.checks.networks.random_problems import random_problem

        what, index = failed[0]
        problem, theta = random_problem((seed, index), drawn_from[what], extremes=extremes)
        _save_smallest(problem, theta, chosen, case, activation or [])
    raise typer.Exit(EXIT_CODES[verdict])


def _check_networks(
    networks: int, seed: int, drawn_from: dict[str, Any], sources: Any, extremes: bool
) -> dict[str, Any]:
    from harness.checks.networks.many_networks import check_networks

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
    document = {"verdict": verdict, "activations": [report.to_dict() for report in reports]}
    lines = []
    if "networks" in summaries:
        document = summaries["networks"].to_dict() | document
        lines = [str(summaries["networks"])]
    if "mixed" in summaries:
        names = ", ".join(report.activation for report in reports)
        document["mixed"] = summaries["mixed"].to_dict()
        lines = [f"{names} alone: {lines[0]}", f"{names} and others: {summaries['mixed']}"]
    if lines or json:
        show(document, "\n".join(lines), json)


def _check_alone(names: list[str], plot: Path | None, json: bool) -> tuple[list[Any], list[Any]]:
    """The activations and their own reports, shown at once unless one JSON document is asked for."""
    from harness.checks.activations import check_activation, find_activation, register_checked
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


def _save_smallest(
    problem: Any, theta: Any, sources: Mapping[str, Any] | None, path: Path, activations: Sequence[str] = ()
) -> None:
    """Shrink a failing case, save it, and say on stderr how to see it again; the verdict stands, whatever fails."""
    from harness.checks.networks.cases import as_script, replay_command, save_case
    from harness.checks.networks.shrinking import DOES_NOT_REPEAT, shrink_disagreement

    try:
        problem, theta, report = shrink_disagreement(problem, theta, sources)
        if report.verdict != "disagree":
            complain(f"\n{DOES_NOT_REPEAT}")
            return
        complain(f"\nThe smallest network that still fails:\n{report}\n")
        complain(f"The same in Python:\n\n{as_script(problem, theta, sources, activations)}\n")
        save_case(path, problem, theta, sources, report)
        complain(f"Saved as {path}; to see it again: {replay_command(path, problem, activations)}")
    except Exception as error:  # noqa: BLE001  the verdict is out, and stands
        complain(f"\nThe network that failed is not saved: {type(error).__name__}: {error}")


def bugs(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A bug to run; without it, all are listed.")
    ] = None,
    seed: Seed = 0,
    case: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to save the network, shrunk.", dir_okay=False)
    ] = None,
    json: Json = False,
) -> None:
    """The bug zoo: list it, or plant one bug and see it caught."""
    from harness.checks.networks.random_problems import random_problem
    from harness.sources.bug_zoo import FAULTS, plant

    if name is None:
        if case is not None:
            raise ValueError(
                "--case saves the network that shows a bug; name the bug, such as `harness bugs wrong-sign`"
            )
        listing = {fault.name: fault.description for fault in FAULTS.values()}
        width = max(map(len, listing))
        show({"bugs": listing}, "\n".join(f"{bug:{width}}  {what}" for bug, what in listing.items()), json)
        return
    if name not in FAULTS:
        raise ValueError(f"there is no bug named {name!r}; `harness bugs` lists them")
    start_jax()
    index, report = plant(FAULTS[name], seed)
    text = f"{name}: {FAULTS[name].description}\n{report}"
    show({"bug": name, "seed": seed, "network": index, "report": report.to_dict()}, text, json)
    if case is not None:
        _save_smallest(*random_problem((seed, index), extremes=False), FAULTS[name].sources, case)
    raise typer.Exit(EXIT_CODES[report.verdict])


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A case that harness check or harness bugs saved.")],
    activation: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An activation of your own that it uses, as module:attribute."),
    ] = None,
    json: Json = False,
) -> None:
    """Check a saved case again."""
    from harness.checks.activations import find_activation
    from harness.checks.networks.cases import load_case
    from harness.checks.networks.cross_checking import cross_check
    from reference.activations import register

    start_jax()
    for name in activation or []:
        register(find_activation(name))
    saved = load_case(file)
    report = cross_check(saved.problem, saved.theta, saved.sources)
    show(report.to_dict(), report, json)
    if saved.verdict is not None and (report.verdict, report.outliers) != (saved.verdict, saved.outliers):
        named = ", ".join(saved.outliers) or "nobody"
        complain(f"When it was saved, the verdict was {saved.verdict!r}, and {named} was named.")
    raise typer.Exit(EXIT_CODES[report.verdict])
