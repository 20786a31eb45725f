"""The picture of a checked activation: the claimed slope on the true one, and their difference below."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.checks.activations.grid import BRIDGED, stretches
from harness.drawing import COLOURS, FAINT, INK, MEDIUM, SMALL, dress, new_figure
from harness.verdict.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WINDOWS = (6.0, 30.0, 1e3)  # half widths: the first in which most of what is wrong can be seen

NEARLY_ALL = 0.95  # of what is shown: shading it would look like a background

HEIGHT = 5.0  # inches

SMALLEST = 1e-19  # differences shown, beside the largest slope: somewhat less than a rounding


@dataclass(frozen=True, eq=False)
class Curve:
    """What a check of an activation draws.

    Attributes
    ----------
    z, claimed, true, allowed : (n,) arrays
        At each z the claimed and the true slope, and what they may differ by.
    wrong : (n,) bool array
        Where the claim is wrong.
    kinks : the declared kinks
    seams : where the pieces of formula and slope meet, the declared kinks among them
    """

    z: np.ndarray
    claimed: np.ndarray
    true: np.ndarray
    allowed: np.ndarray
    wrong: np.ndarray
    kinks: tuple[float, ...]
    seams: tuple[float, ...] = ()

    def figure(self, report: Report) -> "Figure":
        """Claimed and true slope over z, with the wrong stretches shaded, and the difference on a logarithmic scale."""
        figure = new_figure(self._title(report), HEIGHT)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        low, high = self.window()
        shown = (self.z >= low) & (self.z <= high)
        dress(above, _likely(report))
        above.title.set_wrap(True)
        self._slopes(above, shown)
        dress(below, "difference", xlabel="pre-activation z")
        self._difference(below, shown)
        for ax in (above, below):
            for left, right in [] if self._is_wrong_throughout() else self.wrong_stretches():
                if left < right:
                    ax.axvspan(left, right, color=COLOURS[1], alpha=0.08, linewidth=0)
                else:  # one point, as at a kink
                    ax.axvline(left, color=COLOURS[1], alpha=0.5, linewidth=1.5)
            ax.set_xlim(low, high)
            ax.grid(color=FAINT, linewidth=0.8)
        return figure

    def wrong_stretches(self) -> tuple[tuple[float, float], ...]:
        """The stretches of z in which the claim is wrong."""
        return stretches(self.z, self.wrong, BRIDGED)

    def window(self) -> tuple[float, float]:
        """The stretch of z that is shown: the first that takes in the declared kinks and some of what is wrong."""
        wrong = self.wrong_stretches()
        for half in WINDOWS:
            sees_wrong = not wrong or any(low <= half and high >= -half for low, high in wrong)
            if sees_wrong and all(abs(kink) <= half for kink in self.kinks):
                return -half, half
        return -WINDOWS[-1], WINDOWS[-1]

    def _is_wrong_throughout(self) -> bool:
        low, high = self.window()
        covered = sum(max(0.0, min(right, high) - max(left, low)) for left, right in self.wrong_stretches())
        return covered >= NEARLY_ALL * (high - low)

    def _title(self, report: Report) -> str:
        name, (low, high) = report.subject["activation"], self.window()
        if self._is_wrong_throughout():
            return f"{name}: the claimed slope is wrong throughout {low:g} <= z <= {high:g}"
        if self.wrong.any():
            return f"{name}: the claimed slope is wrong where shaded"
        if report.outliers:
            return f"{name}: at odds with the rest: {', '.join(report.outliers)}"
        words = {"agree": "the claimed slope is right", "disagree": "would break a network"}
        return f"{name}: {words.get(report.verdict, 'not decided')}"

    def _slopes(self, ax: "Axes", shown: np.ndarray) -> None:
        z = self.z[shown]
        ax.plot(z, self.true[shown], color=COLOURS[0], linewidth=4.0, alpha=0.45, label="true slope")
        ax.plot(z, self.claimed[shown], color=COLOURS[1], linewidth=1.2, label="claimed by hand")
        ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK)

    def _difference(self, ax: "Axes", shown: np.ndarray) -> None:
        z, allowed = self.z[shown], self.allowed[shown]
        difference = np.abs(self.claimed - self.true)[shown]
        positive = np.where(difference > 0.0, difference, np.nan)
        allowed = np.where(np.isfinite(allowed), allowed, np.nan)
        ax.plot(z, positive, ".", color=COLOURS[1], markersize=3.0, label="|claimed - true|")
        ax.plot(z, allowed, color=INK, linewidth=0.8, label="what rounding allows")
        sizes = np.concatenate([np.abs(self.true[shown]), difference])
        largest = sizes.max(initial=0.0, where=np.isfinite(sizes)) or 1.0
        ax.set_ylim(SMALLEST * largest, 10.0 * largest)
        ax.set_yscale("log")
        if (difference > 0.0).any() or (allowed > 0.0).any():
            ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK)
        else:
            ax.set_yticks([])
            words = "no difference" if np.isfinite(difference).any() else "nothing to compare with"
            ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", fontsize=MEDIUM, color=INK)


def _likely(report: Report) -> str:
    """The likeliest bug, of those that the findings name."""
    diagnoses = [finding.diagnosis for finding in report.findings if finding.diagnosis]
    return diagnoses[0].partition("; or: ")[0] if diagnoses else "slope"
