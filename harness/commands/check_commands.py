"""harness check, bugs and replay: cross-checks of networks, and of the activations in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import command_options as options
from harness.commands.command_output import complain, describe_error, output_on_stderr, show
from harness.commands.process_start import start_jax
from harness.commands.sweep_commands import replay_row
from harness.exit_codes import BAD_INPUT, EXIT_CODES, worst_verdict
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
    from harness.checks.networks.random_problems import needs_ordinary_problems, usable_sources
    from harness.sources.source_names import may_need_jax

    if figure is not None and not activation:
        raise ValueError("--figure draws an activation; name one with --activation")
    if timeout is not None and not isolate:
        raise ValueError("--timeout goes with --isolate: a source in this process cannot be stopped")
    names, activation = None if sources is None else [name.strip() for name in sources.split(",")], activation or []
    if activation or names is None or may_need_jax(names):
        start_jax()
    like = options.problems_like(sizes, output, l2)
    with output_on_stderr():
        activations, reports = _check_alone(activation)
        own = {name: f for name, f in zip(activation, activations) if ":" in name}
        named, errors = _tolerant_sources(names, (timeout or TIME_LIMIT) if isolate else None, own)
    _show_activations(reports, figure, json)
    chosen = usable_sources(reports, named)
    # activations about which extreme θ and X decide nothing; without extremes anyway, there is nothing to say of that
    limited = [] if ordinary else [each.subject["activation"] for each in reports if needs_ordinary_problems(each)]
    extremes = not (ordinary or limited)
    summaries = _check_in_networks(
        activations, reports, networks=networks, seed=seed, sources=chosen, extremes=extremes, like=like
    )
    failures = {name: list(raised) for name, raised in errors.items()}  # without those that shrinking adds below
    verdict = worst_verdict(found.verdict for found in (*reports, *summaries.values()))
    # a source of the user's that raised was not compared on those networks: the others' agreement says nothing of it
    verdict = "inconclusive" if failures and verdict == "agree" else verdict
    _show_networks(verdict, reports, summaries, failures, limited, json)
    if html is not None:
        from harness.pages.command_pages import check_page

        made = {"seed": seed, "networks": networks}
        options.write_text(html, check_page(verdict, reports, summaries, made))
    if failed := [summary.failures[0] for summary in summaries.values() if summary.failures]:
        _save_smallest(failed[0], chosen, case, activation, like.fits)
    for name, raised in failures.items():
        complain(f"harness: {name} failed on {counted(len(raised), 'network')}: {raised[0]}")
    raise typer.Exit(BAD_INPUT if failures and verdict != "disagree" else EXIT_CODES[verdict])


def _check_alone(names: list[str]) -> tuple[list[Any], list[Any]]:
    """The activations, registered if possible, and the report on each alone."""
    from harness.checks.activations.activation_check import check_activation
    from harness.checks.activations.formulas import find_activation
    from harness.checks.activations.torch_formulas import in_torch
    from harness.checks.networks.random_problems import register_checked

    activations = [in_torch(find_activation(name)) for name in names]
    reports = [check_activation(f) for f in activations]
    return [register_checked(f, report) for f, report in zip(activations, reports)], reports


def _tolerant_sources(
    names: list[str] | None, time_limit: float | None, activations: Mapping[str, Any]
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
    named: list[str | Source] = list(names)
    if time_limit is not None:
        is_own = [":" in name and not name.startswith(BUG) for name in names]
        named = [isolated_source(name, time_limit, activations) if own else name for name, own in zip(names, is_own)]

    def tolerant(source: Source) -> Source:
        if source.is_of_the_harness:
            return source
        return replace(source, failed=lambda error: errors.setdefault(source.name, []).append(describe_error(error)))

    return {name: tolerant(source) for name, source in named_sources(named).items()}, errors


def _check_in_networks(activations: list[Any], reports: list[Any], **how: Any) -> dict[str, Any]:
    """Check random networks of these activations alone and then mixed with others; or of all, if none is given.

    If an activation is wrong by itself, that verdict stands: one network that shows it is enough, and an error counts
    for nothing.
    """
    from harness.checks.networks.many_networks import check_networks
    from harness.checks.networks.random_problems import mixed_with_others

    is_wrong = any(report.verdict == "disagree" for report in reports)
    steps = {"networks": activations or None}
    if activations and not is_wrong:
        steps["mixed"] = mixed_with_others(activations)
    try:
        with progress_bar() as progress, output_on_stderr():
            return {
                step: check_networks(activations=among, progress=progress, step=step, until_wrong=is_wrong, **how)
                for step, among in steps.items()
            }
    except Exception as error:
        if not is_wrong:
            raise
        complain(f"Random networks cannot be checked: {error_in_words(error)}")
        return {}


def _show_activations(reports: list[Any], figure: Path | None, json: bool) -> None:
    """Print the reports on activations at once, unless one JSON document is asked for, and draw the picture."""
    if not json:
        for report in reports:
            typer.echo(f"{report}\n")
    if figure is not None:
        wrong = [report for report in reports if report.verdict == "disagree"]
        write_whole(figure, (wrong or reports)[0].plot())
        complain(f"The picture is {figure}.")


def _show_networks(
    verdict: str,
    reports: list[Any],
    summaries: dict[str, Any],
    failures: dict[str, list[str]],
    limited: list[str],
    json: bool,
) -> None:
    """Print the summaries as text, or everything as one document: the first summary's fields, and more."""
    more = {step: summary.to_dict() for step, summary in summaries.items()}
    document = more.pop("networks", {})
    document |= {"verdict": verdict, "activations": [report.to_dict() for report in reports]} | more
    document |= {"failed": {name: {"networks": len(raised), "why": raised[0]} for name, raised in failures.items()}}
    names = ", ".join(report.subject["activation"] for report in reports)
    titles = {"networks": f"{names} alone: ", "mixed": f"{names} and others: "} if reports else {"networks": ""}
    text = "\n".join(f"{titles[step]}{summary}" for step, summary in summaries.items())
    if "networks" in summaries and reports and "mixed" not in summaries:
        text += f"\nNetworks that mix {names} with other activations were left out: the record alone is wrong."
    if limited and summaries:
        names = " and ".join(limited)
        text += f"\nNetworks with extreme θ and X were left out: they decide nothing about {names} (see the notes)."
    if text or json:
        show(document, text, json)


def _save_smallest(
    failed: Any,
    sources: Any,
    case: Path,
    activations: Sequence[str] = (),
    could_be_drawn: Callable[[Any], bool] = lambda problem: True,
) -> None:
    """Shrink and save a failing network, and print on stderr how to check it again."""
    from harness.checks.networks.smallest_failure import reproduce

    found = reproduce(
        failed.problem, failed.theta, failed.report, sources, case, activations, could_be_drawn=could_be_drawn
    )
    complain(f"\n{found}")


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
