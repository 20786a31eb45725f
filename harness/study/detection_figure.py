"""A study as a figure: bugs caught and false alarms, checker by checker."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.figure_style import COLOURS, FAINT, INK, MEDIUM, SMALL, dress, new_figure
from harness.study.checkers import ALARM, HARNESS
from harness.study.trials import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = (("o", COLOURS[0]), ("s", "#E69F00"), ("D", COLOURS[2]), ("^", COLOURS[3]), ("v", COLOURS[1]))
LANES = (-0.35, 0.17, 0.32)
"""The heights of the first mark, the last mark and the interval in a row, so that none hides another."""

ROW, MARK = 0.66, 5.8
"""The height of a row in inches, and the size of a mark in points."""

EDGE = 2.5
"""Percent left free beyond 0 and 100, for the marks that are there."""

BAR, OURS = "#E4E4E4", "#BFD9EA"


def detection_power(study: Study) -> "Figure":
    """Wrong gradients caught (left) and correct code called wrong (right), for every checker.

    The bar is all kinds of problem together with its 95% interval; the marks are the kinds. Bugs of the cost and of the
    program are left out, as the title says: a checker of one function cannot see a wrong cost.
    """
    height = 1.8 + ROW * len(study.checkers)
    title = "Which checkers catch wrong gradients, and which cry wolf"
    figure = new_figure(title, height, width=9.0, h_pad=0.1, w_pad=0.12, wspace=0.03)
    left, right = figure.subplots(1, 2, sharey=True)
    counted = sum(bug["group"] == "gradient" for bug in study.further["bugs"].values())
    which = f"{counted} of {len(study.bugs)} bugs: not those of cost or program"
    _draw(left, f"Wrong gradients caught (%)\n{which}", study, bugs=True, group="gradient")
    _draw(right, "Correct code called wrong (%)", study, bugs=False)
    columns = len(study.further["problems"]) + 1
    figure.legend(
        *left.get_legend_handles_labels(),
        loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False, labelcolor=INK, columnspacing=1.4,
    )  # fmt: skip
    return figure


def _draw(ax: "Axes", title: str, study: Study, **counted: Any) -> None:
    alarms, kinds = partial(study.rate, ALARM, **counted), study.further["problems"]
    rows = np.arange(len(study.checkers))
    overall = [alarms(checker=checker) for checker in study.checkers]
    colours = [OURS if checker == HARNESS else BAR for checker in study.checkers]
    shares = np.array([100.0 * total.share for total in overall])
    ends = 100.0 * np.array([total.interval() for total in overall]).T
    first, last, lane = LANES
    ax.barh(rows, shares, height=0.84, color=colours)
    ax.errorbar(
        shares, rows + lane, xerr=np.abs(ends - shares), fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5,
        label="all problems: bar, with 95% interval", clip_on=False,
    )  # fmt: skip
    for kind, (mark, colour), offset in zip(kinds, MARKS, np.linspace(first, last, len(kinds))):
        shares = [100.0 * alarms(checker=checker, kind=kind).share for checker in study.checkers]
        ax.plot(
            shares, rows + offset, mark, color=colour, markersize=MARK, markeredgecolor="white", markeredgewidth=0.4,
            label=kind, clip_on=False, zorder=3,
        )  # fmt: skip
    dress(ax, title)
    ax.set_yticks(rows, study.checkers, fontsize=MEDIUM)
    ax.set_xlim(-EDGE, 100.0 + EDGE)
    ax.set_ylim(len(study.checkers) - 0.4, -0.6)
    ax.tick_params(axis="y", labelsize=MEDIUM)
    ax.grid(axis="x", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)
