"""harness check, bugs and replay: cross-checks of networks, and of the activations in them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import command_options as options
from harness.commands.command_output import complain, describe_error, output_on_stderr, show
from harness.commands.process_start import start_jax
from harness.commands.sweep_commands import replay_row
from harness.exit_codes import BAD_INPUT, EXIT_CODES
from harness.files import MAX_SIZE, is_sqlite, write_whole
from harness.progress import progress_bar
from harness.sources.source_table import SPELLINGS, Source
from harness.wording import counted
from reference.user_input import did_you_mean, error_in_words

TIME_LIMIT = 10.0  # seconds for a call of an isolated source, unless --timeout gives another limit

SOURCES = f"Gradient sources: {SPELLINGS}."
CASE = "Where a failing network is saved, shrunk."
ONE_BUG = "A bug to run; without it, all are listed."
OF_YOURS = "Your own activation that the case uses, as module:attribute."
ALLOW = "Import the modules that the case names for its sources, which runs their code."
ISOLATE = "Call your own sources in another process, so that a crash or an endless loop cannot end this one."
TIMEOUT = "With --isolate: the time limit for a call; 10 unless given."
REPLAYED = "A case that harness check or harness bugs saved, or the file of harness sweep."
ORDINARY = "Only X and θ of ordinary size: no saturated units, where log(1 - h) overflows, and no zeros or ties."
PICTURE = "With --activation: a PNG of the first wrong activation, or of the first one."


def check(
    networks: options.Networks = 200,
    seed: options.Seed = 0,
    activation: options.OnlyActivations = None,
    sources: Annotated[str | None, options.value("NAME,NAME,...", SOURCES)] = None,
    sizes: options.Sizes = None,
    output: options.Output = None,
    l2: options.L2 = None,
    ordinary: Annotated[bool, options.flag("--ordinary", ORDINARY)] = False,
    case: Annotated[Path, options.file_to_write(CASE)] = Path("failing-case.json"),
    figure: Annotated[Path | None, options.file_to_write(PICTURE)] = None,
    isolate: Annotated[bool, options.flag("--isolate", ISOLATE)] = False,
    timeout: Annotated[float | None, options.seconds(TIMEOUT)] = None,
    html: options.HtmlFile = None,
    json: options.Json = False,
) -> None:
    """Cross-check the gradient sources on random networks; an --activation is checked by itself first."""
    from harness.checks.networks.many_networks import usable_sources

    if figure is not None and not activation:
        raise ValueError("--figure draws an activation; name one with --activation")
    if timeout is not None and not isolate:
        raise ValueError("--timeout goes with --isolate: a source in this process cannot be stopped")
    own, names = activation or [], None if sources is None else [name.strip() for name in sources.split(",")]
    _start_jax_for(own, names)
    like = options.problems_like(sizes, output, l2)
    with output_on_stderr():
        activations, reports = _check_alone(own)
        named, errors = _tolerant_sources(names, (timeout or TIME_LIMIT) if isolate else None, own, activations)
    _show_activations(reports, figure, json)
    chosen, drawn = usable_sources(reports, named), {"networks": networks, "seed": seed, "like": like}
    found = _check_in_networks(activations, reports, errors, extremes=not ordinary, sources=chosen, **drawn)
    if found.summaries or json:
        show(found.to_dict(), found, json)
    options.write_page(html, lambda pages: pages.check_page(found, {"seed": seed, "networks": networks}))
    if failure := found.first_failure:
        _save_smallest(failure, chosen, case, activations=own, could_be_drawn=like.fits)
    for name, raised in found.failed.items():
        complain(f"harness: {name} failed on {counted(len(raised), 'network')}: {raised[0]}")
    raise typer.Exit(BAD_INPUT if found.failed and found.verdict != "disagree" else EXIT_CODES[found.verdict])


def _start_jax_for(activations: Sequence[str], sources: Sequence[str] | None) -> None:
    from harness.sources.source_names import may_need_jax

    if activations or sources is None or may_need_jax(sources):
        start_jax()


def _check_alone(names: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """The activations, registered if possible, and the report on each alone."""
    from harness.checks.activations.activation_check import check_activation
    from harness.checks.activations.formulas import find_activation, in_torch
    from harness.checks.networks.many_networks import register_checked

    activations = [in_torch(find_activation(name)) for name in names]
    reports = [check_activation(f) for f in activations]
    return [register_checked(f, report) for f, report in zip(activations, reports)], reports


def _tolerant_sources(
    names: Sequence[str] | None, time_limit: float | None, own: Sequence[str], activations: Sequence[Any]
) -> tuple[dict[str, Source] | None, dict[str, list[str]]]:
    """The named sources, and the errors that the user's own ones raise later, by source.

    Such an error leaves the source out of that network. With a time limit, the user's own sources run in processes of
    their own, which know the activations.
    """
    from harness.sources.isolated_source import isolated_source
    from harness.sources.source_names import BUG, named_sources

    errors: dict[str, list[str]] = {}
    if names is None:
        return None, errors
    spelled = {name: f for name, f in zip(own, activations) if ":" in name}

    def isolated(name: str) -> str | Source:
        is_own = ":" in name and not name.startswith(BUG)
        return name if time_limit is None or not is_own else isolated_source(name, time_limit, spelled)

    def tolerant(source: Source) -> Source:
        if source.is_of_the_harness:
            return source
        return replace(source, failed=lambda error: errors.setdefault(source.name, []).append(describe_error(error)))

    return {name: tolerant(source) for name, source in named_sources(map(isolated, names)).items()}, errors


def _show_activations(reports: Sequence[Any], figure: Path | None, json: bool) -> None:
    """Print the reports on activations at once, unless one JSON document is asked for, and draw the picture."""
    for report in () if json else reports:
        typer.echo(f"{report}\n")
    if figure is not None:
        wrong = [report for report in reports if report.verdict == "disagree"]
        write_whole(figure, (wrong or reports)[0].plot())
        complain(f"The picture is {figure}.")


def _check_in_networks(
    activations: Sequence[Any], reports: Sequence[Any], errors: Mapping[str, Sequence[str]], extremes: bool, **how: Any
) -> Any:
    """Check random networks. Beside an activation that is wrong by itself, an error there counts for nothing."""
    from harness.checks.networks.many_networks import (
        ActivationNetworks,
        check_in_networks,
        needs_ordinary_problems,
    )

    # without extremes anyway, there is nothing to say of these
    limited = [each.subject["activation"] for each in reports if extremes and needs_ordinary_problems(each)]
    try:
        with progress_bar() as progress, output_on_stderr():
            how |= {"extremes": extremes and not limited, "progress": progress}
            summaries = check_in_networks(activations, reports, **how)
    except Exception as error:
        if all(report.verdict != "disagree" for report in reports):
            raise
        complain(f"Random networks cannot be checked: {error_in_words(error)}")
        summaries = {}
    # copied, so that errors while a failure is made small are not among them
    return ActivationNetworks(reports, summaries, limited, {name: list(raised) for name, raised in errors.items()})


def _save_smallest(failed: Any, sources: Any, case: Path, **how: Any) -> None:
    """Shrink and save a failing network, and print on stderr how to check it again."""
    from harness.checks.networks.smallest_failure import reproduce

    complain(f"\n{reproduce(failed.problem, failed.theta, failed.report, sources, case, **how)}")


PARTS = {
    "all": "Wrong everywhere in the gradient",
    "layer": "Wrong in a layer",
    "bias": "Wrong at the biases",
    "entry": "Wrong in a few entries",
    "regulariser": "The regulariser",
    "cost": "Cost and gradient alike",
    "cost alone": "The cost alone",
    "program": "Right formulas in a wrong program",
}
"""What is wrong, in words, for each part of a bug."""


def _listing(zoo: Sequence[Any]) -> str:
    """All bugs, grouped by what is wrong."""
    width = max(len(bug.name) for bug in zoo)
    groups = [
        [f"{title}:", *(f"  {bug.name:{width}}  {bug.description}" for bug in zoo if bug.part == part)]
        for part, title in PARTS.items()
    ]
    return "\n\n".join("\n".join(group) for group in groups)


def bugs(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help=ONE_BUG)] = None,
    seed: options.Seed = 0,
    case: Annotated[Path | None, options.file_to_write(CASE)] = None,
    json: options.Json = False,
) -> None:
    """The bug zoo: list it, or plant one bug and see it caught."""
    from harness.checks.networks.many_networks import plant
    from harness.sources.bug_zoo import BUGS

    if name is None:
        if case is not None:
            raise ValueError("--case saves the network of a bug; name the bug, such as `harness bugs wrong-sign`")
        show({"bugs": {bug.name: bug.description for bug in BUGS.values()}}, _listing(list(BUGS.values())), json)
        return
    if name not in BUGS:
        raise ValueError(f"there is no bug named {name!r}; `harness bugs` lists them{did_you_mean(name, BUGS)}")
    start_jax()
    bug = BUGS[name]
    failed = plant(bug, seed)
    text = f"{name}: {bug.description}\n{failed.report}"
    show({"bug": name, "seed": seed, "network": failed.number, "report": failed.report.to_dict()}, text, json)
    if case is not None:
        _save_smallest(failed, bug.sources, case)
    raise typer.Exit(EXIT_CODES[failed.report.verdict])


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=REPLAYED)],
    activation: Annotated[list[str] | None, options.value("NAME", OF_YOURS)] = None,
    allow_import: Annotated[bool, options.flag("--allow-import", ALLOW)] = False,
    max_size: options.MaxSize = MAX_SIZE,
    seed: Annotated[int | None, options.value("SEED", "Which row, if FILE is a sweep's.", min=0)] = None,
    json: options.Json = False,
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
        named = ", ".join(saved.outliers) or "no source"
        complain(f"The case was saved with the verdict {saved.verdict!r}, with {named} named.")
    raise typer.Exit(EXIT_CODES[report.verdict])
