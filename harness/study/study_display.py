"""Studies as text for a terminal (a row for each checker, a row for each bug, and lists), and as a figure."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.figure_style import COLOURS, FAINT, INK, MEDIUM, SMALL, dress, new_figure
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, PASS
from harness.study.trials import Rate, Study

LISTED = 12  # lines that are listed, before the rest is only counted

POOR = "Bugs that the harness missed or misnamed, and right code that it did not pass"

HEAD = ("", "wrong caught", "undecided", "right passed", "called wrong", "undecided", "raised", "ms", "s")


def trial_table(study: Study, *more: Sequence[str], by: str = "group") -> str:
    """A row for each checker and group of cases, how the harness named culprits, and what it got wrong.

    ms is the median CPU time of a check, and s that of all of them. Cases are grouped `by` a field of `Trial`, and
    further sections follow as lines.
    """
    groups = list(dict.fromkeys(getattr(trial, by) for trial in study.trials))
    rows = [HEAD, *(_row(study, checker, {by: group}) for group in groups for checker in study.checkers)]
    named = [line for group in groups if (line := _named(study, {by: group}))]
    poor = [
        ", ".join(filter(None, (t.case, t.kind if by == "kind" else "", t.outcome, t.naming)))
        for t in study.unexpected()
    ]
    left_out = [f"  {name}: {reason}" for name, reason in study.left_out.items()]
    shown = [f"  {line}" for line in poor[:LISTED]] + [f"  and {len(poor) - LISTED} more"] * (len(poor) > LISTED)
    lists = [[POOR, *shown] if poor else [], ["Left out", *left_out] if left_out else []]
    return "\n\n".join("\n".join(part) for part in (aligned(rows), named, *more, *lists) if part)


def _row(study: Study, checker: str, group: dict[str, str]) -> Sequence[object]:
    where = {"checker": checker, **group}
    wrong, right = (partial(study.rate, bugs=bugs, **where) for bugs in (True, False))
    raised = sum(trial.outcome.startswith("raised") for trial in study.trials if trial.has(where))
    median = study.median_seconds(**where)
    return (
        ": ".join(filter(None, (checker, *group.values()))),
        out_of(wrong(ALARM)),
        wrong(INCONCLUSIVE).count,
        out_of(right(PASS)),
        right(ALARM).count,
        right(INCONCLUSIVE).count,
        raised,
        "-" if math.isnan(median) else f"{1e3 * median:.0f}",
        f"{sum(trial.seconds for trial in study.trials if trial.has(where)):.1f}",
    )


def _named(study: Study, group: dict[str, str]) -> str:
    """How often each word stands for how the harness named a culprit."""
    words = Counter(t.naming for t in study.trials if t.bug and t.checker == HARNESS and t.has(group))
    counts = ", ".join(f"{count} {word}" for word, count in words.items() if word)
    return counts and ": ".join((", ".join(filter(None, (study.naming, *group.values()))), counts))


def bug_table(study: Study, corner: str, show: Callable[[Rate], object] = str) -> list[str]:
    """A row for each bug, and a column for each checker by its number."""
    numbers = range(1, len(study.checkers) + 1)
    rows: list[list[object]] = [[corner, *numbers, "of"]]
    for bug in study.bugs:
        caught = [study.rate(ALARM, bugs=True, checker=checker, bug=bug) for checker in study.checkers]
        rows.append([bug, *map(show, caught), caught[0].total])
    return [*aligned(rows), *(f"{number}: {checker}" for number, checker in zip(numbers, study.checkers))]


def out_of(rate: Rate) -> str:
    """As "3 of 4"."""
    return f"{rate.count:,} of {rate.total:,}"


def aligned(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows of cells as lines, the first column flush left and the others flush right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts)]
    return [
        f"{first:{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(rest, widths[1:]))
        for first, *rest in texts
    ]


# -- the study of the zoo as a figure: bugs missed and false alarms, checker by checker --------------------------------

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = (("o", COLOURS[0]), ("s", "#E69F00"), ("D", COLOURS[2]), ("^", COLOURS[3]), ("v", COLOURS[1]))
LANES = (-0.35, 0.17, 0.32)
"""The heights of the first mark, the last mark and the interval in a row, so that none hides another."""

ROW, MARK = 0.66, 5.8  # the height of a row in inches, and the size of a mark in points

EDGE = 0.025  # the share of an axis that is left free beyond its ends, for the marks that are there

BAR, OURS = "#E4E4E4", "#BFD9EA"


def detection_power(document: Mapping[str, Any]) -> "Figure":
    """Wrong gradients missed (left) and correct code called wrong (right), for every checker, by the study's document.

    The bar is all kinds of problem together with its 95% interval; the marks are the kinds. Bugs of the cost and of the
    program are left out, as the title says: a checker of one function cannot see a wrong cost.
    """
    rows, kinds = document["checkers"], list(document["problems"])
    bugs = [bug["caught_by_kind"] for bug in document["bugs"].values() if bug["group"] == "gradient"]
    missed = [
        {kind: sum((_missed(bug[row["name"]][kind]) for bug in bugs), Rate(0, 0)) for kind in kinds} for row in rows
    ]
    false = [{kind: _rate(row["false_alarms_by_kind"][kind]) for kind in kinds} for row in rows]
    title = "Which checkers miss wrong gradients, and which raise false alarms"
    figure = new_figure(title, 1.8 + ROW * len(rows), width=9.0, h_pad=0.1, w_pad=0.12, wspace=0.03)
    left, right = figure.subplots(1, 2, sharey=True)
    names = [row["name"] for row in rows]
    which = f"{len(bugs)} of {len(document['bugs'])} bugs: not those of cost or program"
    _draw(left, f"Wrong gradients missed (%)\n{which}", names, missed)
    _draw(right, "Correct code called wrong (%)", names, false)
    figure.legend(
        *left.get_legend_handles_labels(),
        loc="outside lower center", ncols=len(kinds) + 1, fontsize=SMALL, frameon=False, labelcolor=INK,
        columnspacing=1.4,
    )  # fmt: skip
    return figure


def _rate(counts: Mapping[str, Any]) -> Rate:
    return Rate(counts["count"], counts["total"])


def _missed(caught: Mapping[str, Any]) -> Rate:
    return Rate(caught["total"] - caught["count"], caught["total"])


def _draw(ax: "Axes", title: str, names: Sequence[str], rates: Sequence[Mapping[str, Rate]]) -> None:
    """A row for each checker, from its rates by kind of problem."""
    rows = np.arange(len(names))
    overall = [sum(by_kind.values(), Rate(0, 0)) for by_kind in rates]
    shares = np.array([100.0 * total.share for total in overall])
    ends = 100.0 * np.array([total.interval() for total in overall]).T
    first, last, lane = LANES
    ax.barh(rows, shares, height=0.84, color=[OURS if name == HARNESS else BAR for name in names])
    ax.errorbar(
        shares, rows + lane, xerr=np.abs(ends - shares), fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5,
        label="all problems: bar, with 95% interval", clip_on=False,
    )  # fmt: skip
    kinds = list(rates[0])
    for kind, (mark, colour), offset in zip(kinds, MARKS, np.linspace(first, last, len(kinds))):
        ax.plot(
            [100.0 * by_kind[kind].share for by_kind in rates], rows + offset, mark, color=colour, markersize=MARK,
            markeredgecolor="white", markeredgewidth=0.4, label=kind, clip_on=False, zorder=3,
        )  # fmt: skip
    dress(ax, title)
    largest = max(100.0 * rate.share for by_kind in rates for rate in by_kind.values() if rate.total)
    largest = min(100.0, 5.0 * np.ceil(largest / 5.0 + 0.2))  # a whole number of fives beyond the last mark
    ax.set_yticks(rows, names, fontsize=MEDIUM)
    ax.set_xlim(-EDGE * largest, (1.0 + EDGE) * largest)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", labelsize=MEDIUM)
    ax.grid(axis="x", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)
