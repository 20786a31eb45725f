"""A study as a figure: bugs caught and false alarms, checker by checker."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from harness.digits.figures import COLOURS, DPI, FAINT, INK, LARGE, MEDIUM, SMALL
from harness.sources.bug_zoo import FAULTS
from harness.study.checkers import HARNESS
from harness.study.rates import Rate
from harness.study.study import Study
from harness.study.trials import group_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = (("o", COLOURS[0]), ("s", "#E69F00"), ("D", COLOURS[2]), ("^", COLOURS[3]), ("v", COLOURS[1]))
LANES = (-0.35, 0.17, 0.32)  # of a row: the first and the last mark, and the interval, so that none hides another
ROW, MARK, EDGE = 0.66, 5.8, 2.5  # inches; points; percent left free beyond 0 and 100, for the marks that sit there
BAR, OURS = "#E4E4E4", "#BFD9EA"


def detection_power(study: Study) -> "Figure":
    """Wrong gradients caught (left) and correct code called wrong (right), for every checker.

    The bar is all kinds of problem together with its 95% interval, the marks are the kinds. Bugs of the cost and of the
    program are left to the table: a checker that is shown one function cannot see the former, and the title says so.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(h_pad=0.1, w_pad=0.12, wspace=0.03)
    figure = Figure(figsize=(9.0, 1.8 + ROW * len(study.checkers)), dpi=DPI, layout=layout, facecolor="white")
    figure.suptitle("Which checkers catch wrong gradients, and which cry wolf", fontsize=LARGE, color=INK)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, study, lambda checker, kind: study.kills(checker, kind, group="gradient"))
    _draw(right, study, study.false_alarms)
    counted = sum(group_of(FAULTS[bug]) == "gradient" for bug in study.faults)
    which = f"{counted} of {len(study.faults)} bugs: not those of cost or program"
    _dress(left, f"Wrong gradients caught (%)\n{which}", study)
    _dress(right, "Correct code called wrong (%)", study)
    columns = len(study.problems) + 1
    figure.legend(
        *left.get_legend_handles_labels(),
        loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False, labelcolor=INK, columnspacing=1.4,
    )  # fmt: skip
    return figure


def _draw(ax: "Axes", study: Study, rate: Callable[[str, str | None], Rate]) -> None:
    rows = np.arange(len(study.checkers))
    overall = [rate(checker, None) for checker in study.checkers]
    colours = [OURS if checker == HARNESS else BAR for checker in study.checkers]
    shares = np.array([100.0 * total.share for total in overall])
    ends = 100.0 * np.array([total.interval() for total in overall]).T
    first, last, lane = LANES
    ax.barh(rows, shares, height=0.84, color=colours)
    ax.errorbar(
        shares, rows + lane, xerr=np.abs(ends - shares), fmt="none", ecolor=INK, elinewidth=1.2, capsize=2.5,
        label="all problems: bar, with 95% interval", clip_on=False,
    )  # fmt: skip
    for kind, (mark, colour), offset in zip(study.problems, MARKS, np.linspace(first, last, len(study.problems))):
        shares = [100.0 * rate(checker, kind).share for checker in study.checkers]
        ax.plot(
            shares, rows + offset, mark, color=colour, markersize=MARK, markeredgecolor="white", markeredgewidth=0.4,
            label=kind, clip_on=False, zorder=3,
        )  # fmt: skip


def _dress(ax: "Axes", title: str, study: Study) -> None:
    ax.set_title(title, fontsize=MEDIUM, color=INK)
    ax.set_yticks(range(len(study.checkers)), study.checkers, fontsize=MEDIUM)
    ax.set_xlim(-EDGE, 100.0 + EDGE)
    ax.set_ylim(len(study.checkers) - 0.4, -0.6)
    ax.tick_params(labelsize=SMALL, colors=INK, length=0)
    ax.tick_params(axis="y", labelsize=MEDIUM)
    ax.grid(axis="x", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)
