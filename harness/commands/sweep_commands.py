"""harness sweep, and replay of one row of a sweep."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.commands import command_options as options
from harness.commands.command_output import complain, show
from harness.commands.process_start import require_address_space, start_jax
from harness.exit_codes import BAD_INPUT, EXIT_CODES
from harness.facts import message_table
from harness.progress import progress_bar
from harness.sources.source_table import SPELLINGS
from harness.wording import first_few

OUT = "The SQLite file of the rows. A file that exists already is completed."
YOURS = "Your own gradient source beside the default ones: FILE.py:NAME or module:NAME. Can be repeated."
SOURCES = f"Gradient sources instead of the default ones: {SPELLINGS}."
SCHEDULER = "A Dask scheduler, such as tcp://host:8786, instead of processes on this machine."
SUMMARY = "Show what a file holds, even while it is being written."
WORKERS = "Processes on this machine; by default one for each core."
MOST_WORKERS = 1024  # more cores than today's machines have, and fewer processes than they can start
NAMED = 10  # damaged rows that a message names
DEFAULT = ("loop", "vectorized", "jax", "finite-difference")

Count = Annotated[int | None, options.value("N", "How many random networks (the default: 10,000).", min=1)]
Gradients = Annotated[int | None, options.value("N", "Instead: random functions with right gradients.", min=1)]
Activations = Annotated[int | None, options.value("N", "Instead: random activations with right slopes.", min=1)]


def sweep(
    out: Annotated[Path | None, options.value("FILE", OUT, dir_okay=False)] = None,
    networks: Count = None,
    gradients: Gradients = None,
    activations: Activations = None,
    seed: options.Seed = 0,
    activation: options.OnlyActivations = None,
    source: Annotated[list[str] | None, options.value("FILE.py:NAME", YOURS)] = None,
    sources: Annotated[str | None, options.value("NAME,NAME,...", SOURCES)] = None,
    workers: Annotated[int | None, options.value("N", WORKERS, min=1, max=MOST_WORKERS)] = None,
    scheduler: Annotated[str | None, options.value("ADDRESS", SCHEDULER)] = None,
    timeout: Annotated[float, options.seconds("The time limit for a row.")] = 60.0,
    summary: Annotated[Path | None, options.value("FILE", SUMMARY, dir_okay=False)] = None,
    html: options.HtmlFile = None,
    json: options.Json = False,
) -> None:
    """Very many random checks, each a row of a SQLite file. The same command continues after any interruption."""
    from harness.sweep.resumable_sweep import sweep as make_rows
    from harness.sweep.rows import Settings
    from harness.sweep.worker_pools import dask_cluster, this_machine

    if summary is not None:
        _summarise(summary, html, json)
    if out is None:
        raise ValueError("--out names the file of the rows, such as --out results.sqlite; --summary FILE shows one")
    counts = {"networks": networks, "gradients": gradients, "activations": activations}
    chosen = {kind: count for kind, count in counts.items() if count is not None} or {"networks": 10_000}
    if len(chosen) > 1:
        raise ValueError(f"a file has rows of one kind: choose one of {', '.join(f'--{kind}' for kind in chosen)}")
    ((kind, count),) = chosen.items()
    kind = "functions" if kind == "gradients" else kind  # as files of rows call them
    names = tuple(name.strip() for name in sources.split(",")) if sources else DEFAULT if source else ()
    settings = Settings(kind, tuple(activation or ()), names + tuple(source or ()))
    _check_names(settings)

    def report_damage(seeds: list[int]) -> None:
        complain(f"Damaged rows were removed: seeds {first_few(seeds, NAMED)}. Those of this sweep are made again.")

    pool = dask_cluster(scheduler) if scheduler is not None else this_machine(workers or os.cpu_count() or 1)
    try:
        with progress_bar(rate=True) as progress:
            make_rows(out, settings, range(seed, seed + count), pool, timeout, progress, report_damage)
    except KeyboardInterrupt:
        complain(f"Interrupted; {out} has every row that was made, and the same command continues.")
        raise
    _summarise(out, html, json)


def _check_names(settings: Any) -> None:
    """Refuse names that stand for nothing before any file is made."""
    from harness.checks.activations.formulas import find_activation
    from harness.sources.source_names import may_need_jax, named_sources

    if settings.activations or may_need_jax(settings.sources):
        start_jax()
    elif settings.kind == "activations" or (settings.kind == "networks" and not settings.sources):
        require_address_space(jax=True)  # for the workers
    if settings.sources:
        named_sources(settings.sources)
    for name in settings.activations:
        find_activation(name)


def _summarise(file: Path, html: Path | None, json: bool) -> None:
    from harness.sweep.store import open_to_read
    from harness.sweep.summary import summarise

    with open_to_read(file) as store:
        found = summarise(store)
    options.write_page(html, lambda pages: pages.sweep_page(found))
    show(found.to_dict(), found, json)
    raise typer.Exit(EXIT_CODES.get(found.verdict, BAD_INPUT))


def replay_row(file: Path, seed: int | None, json: bool, allow_import: bool = False) -> None:
    """Repeat the check of one row, show its report, and exit with its verdict's code."""
    from harness.provenance import differences
    from harness.sources.source_names import BUG
    from harness.sweep.rows import Settings, prepare
    from harness.sweep.store import open_to_read

    if seed is None:
        raise ValueError(f"{file} has a row for each seed; name one, as in `harness replay {file} --seed 7`")
    with open_to_read(file) as store:
        stamp, row = store.stamp(), store.row(seed)
    if row is None:
        raise ValueError(f"{file} has no row for seed {seed}; `harness sweep --summary {file}` lists its seeds")
    settings = Settings.from_stamp(stamp)
    own = [name for name in (*settings.sources, *settings.activations) if ":" in name and not name.startswith(BUG)]
    if own and not allow_import:
        raise ValueError(f"{file} names {own[0]!r}, whose import runs code; if you trust the file, give --allow-import")
    if apart := differences(settings.in_full(), stamp):
        complain(f"Other code or libraries made this row ({'; '.join(apart)}).")
    start_jax()
    what, check = prepare(settings, seed)
    report = check()
    show(report.to_dict(), f"seed {seed}: {what}\n{report}", json)
    if (report.verdict, ",".join(report.outliers)) != (row.verdict, row.outliers):
        reasons = " ".join(map(message_table.say, row.reasons))
        complain(f"The file has the verdict {row.verdict!r}, with {row.outliers or 'no source'} named. {reasons}")
    raise typer.Exit(EXIT_CODES[report.verdict])
