"""harness check, bugs and replay."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands.common import BAD_INPUT, EXIT_CODES, complain, explained, progress_bar, show, start_jax
from harness.commands.options import (
    L2,
    Json,
    MaxSize,
    Networks,
    Output,
    ReportFile,
    Seed,
    Sizes,
    file_to_write,
    option,
    problems_like,
    seconds,
    write_page,
)
from harness.commands.output import output_on_stderr
from harness.commands.sweeping import replay_row
from harness.files import MAX_SIZE, is_sqlite
from harness.sources.source_table import SPELLINGS, Source
from harness.wording import counted, did_you_mean

WORST_FIRST = ("disagree", "inconclusive", "agree")

ONLY_THESE = "Only these hidden activations: a registered name, or module:attribute. Can be repeated."
ONE_BUG = "A bug to run; without it, all are listed."
OF_YOURS = "An activation of your own that it uses, as module:attribute."
ALLOW = "Import the modules that the case names for its sources, which runs their code."
ISOLATE = "Call sources of your own in a process of their own, which a crash or an endless loop cannot leave."
TIMEOUT = "With --isolate: how long a call may take; 10 unless given."
REPLAYED = "A case that harness check or harness bugs saved, or the file of harness sweep."
ORDINARY = "Only X and θ of ordinary size: no saturated units, where log(1 - h) overflows, and no zeros or ties."
PICTURE = "With --activation: a PNG of the first that is wrong, or the first."


def check(
    networks: Networks = 200,
    seed: Seed = 0,
    activation: Annotated[list[str] | None, option("NAME", ONLY_THESE)] = None,
    sources: Annotated[str | None, option("NAME,NAME,...", f"Gradient sources: {SPELLINGS}.")] = None,
    sizes: Sizes = None,
    output: Output = None,
    l2: L2 = None,
    ordinary: Annotated[bool, typer.Option("--ordinary", help=ORDINARY)] = False,
    case: Annotated[Path, file_to_write("Where a failing network is saved, shrunk.")] = Path("failing-case.json"),
    plot: Annotated[Path | None, file_to_write(PICTURE)] = None,
    isolate: Annotated[bool, typer.Option("--isolate", help=ISOLATE)] = False,
    timeout: Annotated[float | None, option("SECONDS", TIMEOUT)] = None,
    report: ReportFile = None,
    json: Json = False,
) -> None:
    """Cross-check the gradient sources on random networks; an --activation is checked by itself first."""
    from harness.checks.networks.random_problems import needs_plain_differences, usable_sources
    from harness.sources.source_names import may_need_jax

    if plot is not None and not activation:
        raise ValueError("--plot draws an activation; name one with --activation")
    if timeout is not None and not isolate:
        raise ValueError("--timeout goes with --isolate: nobody can end a source in this process")
    names = None if sources is None else [name.strip() for name in sources.split(",")]
    if activation or names is None or may_need_jax(names):
        start_jax()
    like = problems_like(sizes, output, l2)
    with output_on_stderr():
        activations, reports = _check_alone(activation or [])
        limit = seconds("--timeout", 10.0 if timeout is None else timeout) if isolate else None
        own = {name: f for name, f in zip(activation or [], activations) if ":" in name}
        asked, failures = _tolerated(names, limit, own)
    _show_alone(reports, plot, json)
    chosen = usable_sources(reports, asked)
    extremes = not ordinary and not any(map(needs_plain_differences, reports))
    try:
        asked_for = {"networks": networks, "seed": seed, "sources": chosen, "extremes": extremes, "like": like}
        summaries = _check_in_networks(activations, **asked_for)
    except Exception as error:
        if all(found.verdict != "disagree" for found in reports):
            raise
        complain(f"Random networks cannot be checked: {type(error).__name__}: {error}")
        summaries = {}  # one activation is wrong by itself, and that verdict stands
    verdict = min((found.verdict for found in (*reports, *summaries.values())), key=WORST_FIRST.index)
    failures = {name: list(raised) for name, raised in failures.items()}  # without those while a case is shrunk
    verdict = "inconclusive" if failures and verdict == "agree" else verdict
    _show_all(verdict, reports, summaries, json, failures)
    if report is not None:
        from harness.reports.commands import check_page

        write_page(report, check_page(verdict, reports, summaries, {"seed": seed, "networks": networks}))
    failed = [summary.failures[0] for summary in summaries.values() if summary.failures]
    if failed:
        _reproduce(failed[0], chosen, case, activation or [])
    for name, raised in failures.items():
        complain(f"harness: {name} failed on {counted(len(raised), 'network')}: {raised[0]}")
    raise typer.Exit(BAD_INPUT if failures and verdict != "disagree" else EXIT_CODES[verdict])


def _check_in_networks(activations: list[Any], **asked_for: Any) -> dict[str, Any]:
    """Random networks with these activations alone and then among others; where there are none, with all."""
    from harness.checks.networks.many_networks import check_networks
    from harness.checks.networks.random_problems import mixed_with_others

    steps = {"networks": activations, "mixed": mixed_with_others(activations)} if activations else {"networks": None}
    with progress_bar() as progress, output_on_stderr():
        return {
            step: check_networks(activations=among, progress=progress, step=step, **asked_for)
            for step, among in steps.items()
        }


def _tolerated(
    names: list[str] | None, timeout: float | None, activations: Mapping[str, Any]
) -> tuple[dict[str, Source] | None, dict[str, list[str]]]:
    """The sources by those names, and a place for what those of somebody's own raise, whom that leaves out.

    With a time limit, these run in processes of their own, which know the activations.
    """
    from harness.sources.isolated_source import isolated_source
    from harness.sources.source_names import BUG, named_sources

    failures: dict[str, list[str]] = {}
    if names is None:
        return None, failures
    named: list[str | Source] = list(names)
    if timeout is not None:
        is_own = [":" in name and not name.startswith(BUG) for name in names]
        named = [isolated_source(name, timeout, activations) if own else name for name, own in zip(names, is_own)]
    chosen = named_sources(named)

    def tolerated(source: Source) -> Source:
        if source.is_of_the_harness:
            return source
        return replace(source, failed=lambda error: failures.setdefault(source.name, []).append(explained(error)))

    return {name: tolerated(source) for name, source in chosen.items()}, failures


def _check_alone(names: list[str]) -> tuple[list[Any], list[Any]]:
    """The activations, registered if possible, and their own reports."""
    from harness.checks.activations.activation_check import check_activation
    from harness.checks.activations.formulas import find_activation
    from harness.checks.networks.random_problems import register_checked

    activations = [find_activation(name) for name in names]
    reports = [check_activation(f) for f in activations]
    return [register_checked(f, report) for f, report in zip(activations, reports)], reports


def _show_alone(reports: list[Any], plot: Path | None, json: bool) -> None:
    """The reports on activations at once, unless one JSON document is asked for, and the picture."""
    from harness.files import write_whole

    if not json:
        for report in reports:
            typer.echo(f"{report}\n")
    if plot is not None:
        wrong = [report for report in reports if report.verdict == "disagree"]
        write_whole(plot, (wrong or reports)[0].plot())
        complain(f"The picture is {plot}.")


def _show_all(
    verdict: str, reports: list[Any], summaries: dict[str, Any], json: bool, failures: dict[str, list[str]]
) -> None:
    """The summaries as text, since the reports are out; or all as one document: the first summary's and more."""
    more = {step: summary.to_dict() for step, summary in summaries.items()}
    document = more.pop("networks", {})
    document |= {"verdict": verdict, "activations": [report.to_dict() for report in reports]} | more
    document |= {"failed": {name: {"networks": len(raised), "why": raised[0]} for name, raised in failures.items()}}
    names = ", ".join(report.subject["activation"] for report in reports)
    titles = {"networks": f"{names} alone: ", "mixed": f"{names} and others: "} if reports else {"networks": ""}
    text = "\n".join(f"{titles[step]}{summary}" for step, summary in summaries.items())
    if text or json:
        show(document, text, json)


def _reproduce(failed: Any, sources: Any, case: Path, activations: Sequence[str] = ()) -> None:
    """Say on stderr how to see a failing network again."""
    from harness.checks.networks.smallest_failure import reproduce

    complain(f"\n{reproduce(failed.problem, failed.theta, failed.report, sources, case, activations)}")


def bugs(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help=ONE_BUG)] = None,
    seed: Seed = 0,
    case: Annotated[Path | None, file_to_write("Where to save the network, shrunk.")] = None,
    json: Json = False,
) -> None:
    """The bug zoo: list it, or plant one bug and see it caught."""
    from harness.checks.networks.many_networks import plant
    from harness.sources.bug_zoo import BUGS

    if name is None:
        if case is not None:
            raise ValueError(
                "--case saves the network that shows a bug; name the bug, such as `harness bugs wrong-sign`"
            )
        listing = {bug.name: bug.description for bug in BUGS.values()}
        width = max(map(len, listing))
        show({"bugs": listing}, "\n".join(f"{bug:{width}}  {what}" for bug, what in listing.items()), json)
        return
    if name not in BUGS:
        raise ValueError(f"there is no bug named {name!r}; `harness bugs` lists them{did_you_mean(name, BUGS)}")
    start_jax()
    bug = BUGS[name]
    failed = plant(bug, seed)
    text = f"{name}: {bug.description}\n{failed.report}"
    show({"bug": name, "seed": seed, "network": failed.number, "report": failed.report.to_dict()}, text, json)
    if case is not None:
        _reproduce(failed, bug.sources, case)
    raise typer.Exit(EXIT_CODES[failed.report.verdict])


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=REPLAYED)],
    activation: Annotated[list[str] | None, option("NAME", OF_YOURS)] = None,
    allow_import: Annotated[bool, typer.Option("--allow-import", help=ALLOW)] = False,
    max_size: MaxSize = MAX_SIZE,
    seed: Annotated[int | None, option("SEED", "Which row, where FILE is a sweep's.", min=0)] = None,
    json: Json = False,
) -> None:
    """Check a saved case again, or a row of a sweep."""
    if is_sqlite(file):
        replay_row(file, seed, json, allow_import)
    from harness.checks.activations.formulas import find_activation
    from harness.checks.networks.case_files import load_case
    from harness.checks.networks.network_check import cross_check
    from reference.activations import register

    start_jax()
    with output_on_stderr():
        for name in activation or []:
            register(find_activation(name))
        saved = load_case(file, allow_import=allow_import, max_size=max_size)
        report = cross_check(saved.problem, saved.theta, saved.sources)
    show(report.to_dict(), report, json)
    if saved.verdict is not None and (report.verdict, report.outliers) != (saved.verdict, saved.outliers):
        named = ", ".join(saved.outliers) or "nobody"
        complain(f"When it was saved, the verdict was {saved.verdict!r}, and {named} was named.")
    raise typer.Exit(EXIT_CODES[report.verdict])
