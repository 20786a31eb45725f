"""The picture of a checked activation: the claimed slope on the true one, and their difference below."""

from typing import TYPE_CHECKING

import numpy as np

from harness.checks.activations.report import ActivationReport
from harness.digits.figures import COLOURS, DPI, FAINT, INK, LARGE, MEDIUM, SMALL, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WINDOWS = (6.0, 30.0, 1e3)  # half widths: the first in which most of what is wrong can be seen

NEARLY_ALL = 0.95  # of what is shown: shading it would look like a background

HEIGHT = 5.0  # inches

SMALLEST = 1e-19  # differences shown, beside the largest slope: somewhat less than a rounding


def draw(report: ActivationReport) -> "Figure":
    """Claimed and true slope over z, with the wrong regions shaded, and the difference on a logarithmic scale."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout=ConstrainedLayoutEngine(h_pad=0.08), facecolor="white")
    figure.suptitle(_title(report), fontsize=LARGE, color=INK)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    low, high = window(report)
    shaded = [] if _wrong_throughout(report) else _wrong(report)
    shown = (report.curve.z >= low) & (report.curve.z <= high)
    _slopes(above, report, shown)
    _difference(below, report, shown)
    for ax in (above, below):
        for region in shaded:
            ax.axvspan(*region, color=COLOURS[1], alpha=0.08, linewidth=0)
        ax.set_xlim(low, high)
        ax.grid(color=FAINT, linewidth=0.8)
        ax.tick_params(labelsize=SMALL, colors=INK, length=0)
        ax.spines[:].set_visible(False)
    below.set_xlabel("pre-activation z", fontsize=MEDIUM, color=INK)
    return figure


def window(report: ActivationReport) -> tuple[float, float]:
    """The stretch of z that is shown: the first that takes in the declared kinks and some of what is wrong."""
    wrong = [region for finding in report.findings for region in finding.regions]
    kinks = [kink.z for kink in report.kinks if kink.declared]
    for half in WINDOWS:
        sees_wrong = not wrong or any(low <= half and high >= -half for low, high in wrong)
        if sees_wrong and all(abs(kink) <= half for kink in kinks):
            return -half, half
    return -WINDOWS[-1], WINDOWS[-1]


def _wrong(report: ActivationReport) -> list[tuple[float, float]]:
    return [region for finding in report.findings if finding.accused == "slope" for region in finding.regions]


def _wrong_throughout(report: ActivationReport) -> bool:
    low, high = window(report)
    covered = sum(max(0.0, min(right, high) - max(left, low)) for left, right in _wrong(report))
    return covered >= NEARLY_ALL * (high - low)


def _title(report: ActivationReport) -> str:
    if _wrong_throughout(report):
        low, high = window(report)
        return f"{report.activation}: the claimed slope is wrong throughout {low:g} <= z <= {high:g}"
    if _wrong(report):
        return f"{report.activation}: the claimed slope is wrong where shaded"
    verdicts = {"agree": "the claimed slope is right", "disagree": "wrong", "inconclusive": "not decided"}
    return f"{report.activation}: {verdicts[report.verdict]}"


def _likely(report: ActivationReport) -> str:
    mistakes = [mistake for finding in report.findings for mistake in finding.mistakes]
    return f"likely: {mistakes[0]}" if mistakes else "slope"


def _slopes(ax: "Axes", report: ActivationReport, shown: np.ndarray) -> None:
    curve = report.curve
    ax.plot(curve.z[shown], curve.true[shown], color=COLOURS[0], linewidth=4.0, alpha=0.45, label="true slope")
    ax.plot(curve.z[shown], curve.claimed[shown], color=COLOURS[1], linewidth=1.2, label="claimed by hand")
    ax.set_title(_likely(report), fontsize=MEDIUM, color=INK, wrap=True)
    ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK)


def _difference(ax: "Axes", report: ActivationReport, shown: np.ndarray) -> None:
    z, allowed = report.curve.z[shown], report.curve.allowed[shown]
    difference = np.abs(report.curve.claimed - report.curve.true)[shown]
    positive = np.where(difference > 0.0, difference, np.nan)
    ax.plot(z, positive, ".", color=COLOURS[1], markersize=3.0, label="|claimed - true|")
    ax.plot(z, np.where(np.isfinite(allowed), allowed, np.nan), color=INK, linewidth=0.8, label="what rounding allows")
    sizes = np.concatenate([np.abs(report.curve.true[shown]), difference])
    largest = sizes.max(initial=0.0, where=np.isfinite(sizes)) or 1.0
    ax.set_ylim(SMALLEST * largest, 10.0 * largest)
    ax.set_yscale("log")
    ax.set_title("difference", fontsize=MEDIUM, color=INK)
    if (difference > 0.0).any() or (np.isfinite(allowed) & (allowed > 0.0)).any():
        ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK)
    else:
        ax.set_yticks([])
        words = "no difference" if np.isfinite(difference).any() else "nothing to compare with"
        ax.text(0.5, 0.5, words, transform=ax.transAxes, ha="center", va="center", fontsize=MEDIUM, color=INK)
