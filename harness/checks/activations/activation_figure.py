"""The picture of a checked activation: claimed and true slope, their difference, and the same in ulps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.checks.activations.number_formats import Precision
from harness.checks.activations.z_grid import BRIDGED, stretches
from harness.facts import message_table
from harness.figure_style import COLOURS, FAINT, INK, MEDIUM, SMALL, dress, new_figure
from harness.verdict.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WINDOWS = (6.0, 30.0, 1e3)  # Half widths. The first in which some of what is wrong lies is shown.
THIN = 0.002  # a share of the window, a pixel or two, up to which a stretch is drawn as a line

HEIGHT = 6.8  # inches
LEAST = 0.1  # errors in ulps below this, such as those of exact results, are drawn here

LEAST_TOP, HEADROOM = 10.0, 1.7
"""The least upper end of the axis in ulps, and the power of its length that leaves room for the legend."""

ULPS_TO = 1e3  # |z| up to which ulps are shown, whatever the window
SMALLEST = 1e-19  # the smallest difference shown, beside the largest slope: somewhat less than a rounding


@dataclass(frozen=True, eq=False)
class Curve:
    """What a check of an activation draws, (n,) each."""

    z: np.ndarray
    claimed: np.ndarray
    true: np.ndarray
    allowed: np.ndarray  # the error bound of their difference
    wrong: np.ndarray  # where the reported slope is wrong
    kinks: tuple[float, ...]  # those that are declared
    junctions: tuple[float, ...] = ()
    precision: Precision | None = None

    def figure(self, report: Report) -> "Figure":
        """Claimed and true slope over z, their difference, and their difference in ulps.

        Wrong stretches are shaded. Ulps are shown for all z, with the tails shaded that have no correct digit.
        """
        figure = new_figure(self._title(report), HEIGHT)
        above, below, digits = figure.subplots(3, 1, height_ratios=(2, 1, 1))
        below.sharex(above)
        low, high = self.window()
        shown = (self.z >= low) & (self.z <= high)
        likeliest_bugs = [finding.diagnosis[0] for finding in report.findings if finding.diagnosis]
        dress(above, message_table.say(likeliest_bugs[0]) if likeliest_bugs else "slope")
        above.title.set_wrap(True)
        self._slopes(above, shown)
        dress(below, "difference")
        self._difference(below, shown)
        dress(digits, "true error of the claimed slope in ulps, for all z", xlabel="pre-activation z")
        self._in_ulps(digits)
        for ax in (above, below, digits):
            ax.grid(color=FAINT, linewidth=0.8)
        for ax in (above, below):
            for left, right in self.wrong_stretches():
                if right - left > THIN * (high - low):
                    ax.axvspan(left, right, color=COLOURS[1], alpha=0.08, linewidth=0)
                else:  # one point, as at a kink, or a shade that nobody would see
                    ax.axvline(left, color=COLOURS[1], alpha=0.5, linewidth=1.5)
            ax.set_xlim(low, high)
        return figure

    def wrong_stretches(self) -> tuple[tuple[float, float], ...]:
        """The stretches of z in which the reported slope is wrong."""
        return stretches(self.z, self.wrong, BRIDGED)

    def window(self) -> tuple[float, float]:
        """The stretch of z that is shown: the first that contains the declared kinks and some of what is wrong."""
        wrong = self.wrong_stretches()
        for half in WINDOWS:
            sees_wrong = not wrong or any(low <= half and high >= -half for low, high in wrong)
            if sees_wrong and all(abs(kink) <= half for kink in self.kinks):
                return -half, half
        return -WINDOWS[-1], WINDOWS[-1]

    def _title(self, report: Report) -> str:
        words = {"agree": "the claimed slope is right", "disagree": "would break a network"}
        title = words.get(report.verdict, "not decided")
        if self.wrong.any():
            title = "the claimed slope is wrong where shaded"
        elif report.outliers:
            title = f"the odd ones out are {', '.join(report.outliers)}"
        return f"{report.subject['activation']}: {title}"

    def _slopes(self, ax: "Axes", shown: np.ndarray) -> None:
        z = self.z[shown]
        ax.plot(z, self.true[shown], color=COLOURS[0], linewidth=4.0, alpha=0.45, label="true slope")
        ax.plot(z, self.claimed[shown], color=COLOURS[1], linewidth=1.2, label="claimed by hand")
        ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK)

    def _difference(self, ax: "Axes", shown: np.ndarray) -> None:
        z, allowed = self.z[shown], self.allowed[shown]
        with np.errstate(invalid="ignore"):  # inf - inf, where both overflow
            difference = np.abs(self.claimed - self.true)[shown]
        positive = np.where(difference > 0.0, difference, np.nan)
        allowed = np.where(np.isfinite(allowed), allowed, np.nan)
        ax.plot(z, positive, ".", color=COLOURS[1], markersize=3.0, label="|claimed - true|")
        ax.plot(z, allowed, color=INK, linewidth=0.8, label="error bound")
        # from somewhat less than a rounding of the largest number up to ten times that number
        sizes = np.concatenate([np.abs(self.true[shown]), difference])
        largest = sizes.max(initial=0.0, where=np.isfinite(sizes)) or 1.0
        ax.set_ylim(SMALLEST * largest, 10.0 * largest)
        ax.set_yscale("log")
        if (difference > 0.0).any():
            ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK)
        else:
            _write(ax, "no difference" if np.isfinite(difference).any() else "nothing to compare with")

    def _in_ulps(self, ax: "Axes") -> None:
        if self.precision is None or np.isnan(self.precision.ulps).all():
            _write(ax, "not known")
            return
        known = ~np.isnan(self.precision.ulps)
        z, ulps = self.z[known], np.maximum(self.precision.ulps[known], LEAST)
        ax.plot(z, ulps, ".", color=COLOURS[1], markersize=3.0, label="float64")
        for (name, found), colour in zip(self.precision.formats.items(), COLOURS[1:]):
            if rows := found.get("slope", {}).get("errors", ()):
                ends = [end for row in rows for end in (row["from"], row["to"])]
                sizes = [max(row["largest"], LEAST) for row in rows for _ in range(2)]
                ax.plot(ends, sizes, color=colour, linewidth=1.2, label=f"{name}, largest by stretch")
        for start in (fact.data["z"] for fact in self.precision.lost):
            ax.axvspan(start, np.copysign(ULPS_TO, start), color=COLOURS[0], alpha=0.15, linewidth=0)
            side, place = "left" if start > 0.0 else "right", ax.get_xaxis_transform()
            ax.text(start, 0.06, " no correct digit ", transform=place, ha=side, fontsize=SMALL, color=INK)
        largest = max(float(np.max(line.get_ydata())) for line in ax.lines)
        ax.set_xscale("symlog", linthresh=1.0)
        ax.set_yscale("log")
        ax.set_xlim(-ULPS_TO, ULPS_TO)
        bottom = 0.5 * LEAST
        ax.set_ylim(bottom, bottom * (max(largest, LEAST_TOP) / bottom) ** HEADROOM)
        ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK, loc="upper center", ncols=2)


def _write(ax: "Axes", words: str) -> None:
    ax.set_yticks([])
    ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", fontsize=MEDIUM, color=INK)
