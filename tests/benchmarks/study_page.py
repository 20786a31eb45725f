"""The tables of docs/study.md and README.md, and their pictures: what share of known bugs each checker misses.

``make figures`` runs three studies and renews all of them; ``make figures ARGS="--only gradients"`` runs one, and
``ARGS=--only`` none. ``make study`` runs that of the bug zoo, which takes half an hour. A table stands between two
comments of the page that name its study.
"""

import argparse
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from harness.figure_style import COLOURS, FAINT, MEDIUM, SMALL, dress, new_figure, png
from harness.files import write_whole
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, PEERS
from harness.study.gradient_study import SHIPPED_WRONG
from harness.study.study_display import detection_power
from harness.study.trials import WRONG, Rate, Study
from harness.study.zoo_cases import ORDINARY
from harness.teaching.detection_limits import carried_study

ROOT = Path(__file__).parents[2]
STUDY_PAGE, FIRST_PAGE, IMAGES = ROOT / "docs" / "study.md", ROOT / "README.md", ROOT / "docs" / "images"


class Subject(NamedTuple):
    """The module of a study, and what the picture calls the code that it plants bugs in."""

    module: str
    label: str


STUDIES = {
    "gradients": Subject("gradient_study", "functions"),
    "activations": Subject("activation_study", "activations"),
    "derivatives": Subject("rule_study", "JAX rules"),
}
"""By the option of `harness study`. The study of the bug zoo takes half an hour: the package carries its document."""

COLUMNS = {WRONG: "bugs caught", SHIPPED_WRONG: "shipped wrong, caught"}
"""By the kind of a case with a bug."""

KINK = "ReLU kink"
"""The kind of problem in the study of the bug zoo whose units are on kinks, or beside them."""

FIRST_PAGE_SHOWS = (HARNESS, "torch gradcheck", "JAX check_grads", "autograd check_grads", "scipy check_grad < 1e-6")


# -- tables ------------------------------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of Markdown. The row of this harness, which is the first, is bold."""
    first, *others = [list(map(str, row)) for row in rows]
    lines = [head, ["---"] * len(head), [f"**{cell}**" for cell in first], *others]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def counts_of(study: Study) -> str:
    """A row for each checker: bugs caught by kind, right code called wrong and undecided, and the time of a check."""
    kinds = [kind for kind in COLUMNS if any(trial.kind == kind for trial in study.trials)]
    rows = [
        (
            checker,
            *(_out_of(study.rate(ALARM, bugs=True, checker=checker, kind=kind)) for kind in kinds),
            _out_of(study.rate(ALARM, bugs=False, checker=checker)),
            _out_of(study.rate(INCONCLUSIVE, bugs=False, checker=checker)),
            f"{1e3 * study.median_seconds(checker=checker):.3g}",
        )
        for checker in study.checkers
    ]
    head = ("checker", *(COLUMNS[kind] for kind in kinds), "right called wrong", "right undecided", "median CPU ms")
    return table(head, rows)


def _out_of(rate: Rate) -> str:
    return f"{rate.count} of {rate.total}"


def shares_of(document: Mapping[str, Any]) -> str:
    """A row for each checker of the bug zoo: the bugs caught, and right code called wrong by the kind of problem."""
    others = [kind for kind in document["problems"] if kind not in ORDINARY]
    head = (
        "checker",
        "bugs caught",
        *(f"right called wrong, {kind}" for kind in ("ordinary", *others)),
        "right undecided",
    )
    rows = []
    for row in document["checkers"]:
        alarms = (_right(row, "false_alarms", kinds) for kinds in (ORDINARY, *([kind] for kind in others)))
        undecided = _right(row, "inconclusive", document["problems"])
        rows.append((row["name"], _share(row["caught"]), *map(_out_of, (*alarms, undecided))))
    return table(head, rows)


def _right(row: Mapping[str, Any], outcome: str, kinds: Iterable[str]) -> Rate:
    """How often right code of these kinds of problem had this outcome, in a row of the study of the bug zoo."""
    rates = (row[f"{outcome}_by_kind"][kind] for kind in kinds)
    return sum((Rate(rate["count"], rate["total"]) for rate in rates), Rate(0, 0))


def _share(rate: Mapping[str, Any]) -> str:
    """A percentage, and its interval at 95%."""
    share, low, high = (f"{100.0 * share:.4g}" for share in (rate["share"], *rate["interval"]))
    return f"{share}% ({low}-{high})"


def first_page_table(page: str, zoo: Mapping[str, Any]) -> str:
    """The table of README: what checkers say of the functions of the study's page, and of right networks of the zoo."""
    functions = table_cells(page, "gradients")
    networks = {row["name"]: row for row in zoo["checkers"]}
    names = ("bugs missed", "right called wrong", "the same at kinks", "right but undecided")
    rows, totals = [], []
    for checker in FIRST_PAGE_SHOWS:
        *found, called_wrong, undecided = (Rate(*cell) for cell in functions[checker])
        caught, network = sum(found, Rate(0, 0)), networks[checker]
        rates = (
            Rate(caught.total - caught.count, caught.total),
            called_wrong + _right(network, "false_alarms", ORDINARY),
            _right(network, "false_alarms", [KINK]),
            undecided + _right(network, "inconclusive", (*ORDINARY, KINK)),
        )
        rows.append((checker, *(rate.count for rate in rates)))
        totals = [rate.total for rate in rates]
    return table(("checker", *(f"{name}, of {of}" for name, of in zip(names, totals))), rows)


def table_cells(page: str, name: str) -> dict[str, list[tuple[int, int]]]:
    """By checker, the cells such as "3 of 4" of a table in a page."""
    return cells_of(_between(page, name))


def cells_of(table: str) -> dict[str, list[tuple[int, int]]]:
    """By checker, the cells such as "3 of 4" of a table."""
    rows = [line.replace("*", "").strip("| ").split(" | ") for line in table.splitlines() if "|" in line]
    counts = {checker: [re.fullmatch(r"(\d+) of (\d+)", cell) for cell in cells] for checker, *cells in rows[2:]}
    return {checker: [(int(cell[1]), int(cell[2])) for cell in cells if cell] for checker, cells in counts.items()}


def _between(page: str, name: str) -> str:
    start, end = _marks(name)
    return page.partition(start)[2].partition(end)[0]


def replace_table(page: str, name: str, new: str) -> str:
    """The page with another table of this name."""
    start, end = _marks(name)
    before, _, rest = page.partition(start)
    return f"{before}{start}\n\n{new}\n\n{end}{rest.partition(end)[2]}"


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: made by `make figures` -->", f"<!-- end of {name} -->"


# -- pictures ----------------------------------------------------------------------------------------------------------


def missed_shares(page: str) -> dict[str, dict[str, float]]:
    """For each study, the share of the bugs shown to it that each checker misses, in percent."""
    shares = {}
    for name, (_, label) in STUDIES.items():
        caught = {checker: cells[0] for checker, cells in table_cells(page, name).items()}
        title = f"{label} ({caught[HARNESS][1]} bugs)"
        shares[title] = {checker: 100.0 * (of - count) / of for checker, (count, of) in caught.items()}
    return shares


def draw_missed(page: str) -> bytes:
    """The picture of README, from the tables of the study's page."""
    shares = missed_shares(page)
    checkers = [HARNESS, *PEERS]
    figure = new_figure("Known bugs that each checker misses, at its defaults", 4.6, width=9.0)
    axes = figure.subplots(1, len(shares), sharey=True)
    for ax, (title, missed) in zip(axes, shares.items()):
        rows = [row for row, name in enumerate(checkers) if name in missed]
        values = [missed[checkers[row]] for row in rows]
        ax.barh(rows, values, height=0.6, color=[COLOURS[0] if row == 0 else COLOURS[1] for row in rows])
        for row, value in zip(rows, values):
            shown = f" {value:.1f}%" if 0.0 < value < 0.5 else f" {value:.0f}%"
            ax.text(value, row, shown, va="center", fontsize=SMALL)
        for row in set(range(len(checkers))) - set(rows):
            ax.text(0.0, row, " not run", va="center", fontsize=SMALL, color="#777777")
        dress(ax, title)
        ax.set_xlabel("missed (%)", fontsize=SMALL)
        ax.set_xlim(0.0, 85.0)
        ax.set_yticks(range(len(checkers)), checkers, fontsize=MEDIUM)
        ax.grid(axis="x", color=FAINT, linewidth=0.8)
        ax.set_axisbelow(True)
    axes[0].invert_yaxis()
    return png(figure)


# -- the run -----------------------------------------------------------------------------------------------------------


def measured() -> str:
    """When, and with which commit."""
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True).strip()
    return f"Measured on {datetime.now(UTC):%Y-%m-%d} with commit {commit}."


def main(names: Sequence[str]) -> None:
    """Run the studies of these names, and write both pages and both pictures."""
    page = STUDY_PAGE.read_text(encoding="utf-8")
    for name in names:
        study = import_module(f"harness.study.{STUDIES[name].module}").run_study()
        page = replace_table(page, name, f"{measured()}\n\n{counts_of(study)}")
    _, zoo = carried_study()
    page = replace_table(page, "zoo", shares_of(zoo))
    first_page = replace_table(FIRST_PAGE.read_text(encoding="utf-8"), "gradients", first_page_table(page, zoo))
    write_whole(STUDY_PAGE, page.encode())
    write_whole(FIRST_PAGE, first_page.encode())
    write_whole(IMAGES / "missed.png", draw_missed(page))
    write_whole(IMAGES / "detection_power.png", png(detection_power(zoo)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=STUDIES, default=list(STUDIES), help="the studies that are run")
    main(parser.parse_args().only)
