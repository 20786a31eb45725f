"""The picture of a compared gradient: |difference| / bound, coordinate by coordinate, in the shape of the subject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness.figure_style import COLOURS, FAINT, INK, MEDIUM, SMALL, dress, new_figure
from harness.verdict.comparison import Pair
from harness.verdict.report import Finding, Report
from harness.verdict.subject import Subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

WITHIN, BEYOND = ("#EDF4FA", "#9CC6E3"), ("#FFC38A", "#5C1A00")
"""From the smallest ratio to the bound, and from the bound to the largest: distinct in every colour vision."""

UNBOUNDED = "#BBBBBB"

LOWEST, LEAST_TOP, HIGHEST = -4.0, 4.0, 16.0  # log10 of the ratios at the ends of the colours

MATRICES = 12  # drawn; a function of more leaves shows the worst of them


@dataclass(frozen=True, eq=False)
class HeatMap:
    """What a check of a gradient draws."""

    # whose answers are compared
    source: str
    against: str
    # (n,) arrays by coordinate; the bound is infinite where nothing is known
    difference: np.ndarray
    bound: np.ndarray
    ratio: np.ndarray  # (n,) array: |difference| / bound; NaN where there is no bound
    # by name, ratios in the shape of the subject: a Θ with its bias column first, or a leaf; 2-D arrays
    matrices: Mapping[str, np.ndarray]

    def figure(self, report: Report) -> "Figure":
        """One heat map for each matrix, on one logarithmic scale: blue is within the bound, orange beyond it."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import TwoSlopeNorm

        shown = sorted(self.matrices, key=lambda name: -_worst(self.matrices[name]))[:MATRICES]
        shown = [name for name in self.matrices if name in shown]
        heights = [float(np.clip(0.09 * len(self.matrices[name]), 0.3, 2.6)) for name in shown]  # in inches
        title = f"{report.verdict}: {self.source} beside {self.against}"
        figure = new_figure(title, 1.3 + sum(heights) + 0.55 * len(shown))
        axes = figure.subplots(len(shown), 1, squeeze=False, height_ratios=[height + 0.3 for height in heights])[:, 0]
        top = min(HIGHEST, max(LEAST_TOP, np.log10(max(1.0, _worst(self.ratio)))))
        look = ScalarMappable(TwoSlopeNorm(0.0, LOWEST, top), _colours())
        for name, ax in zip(shown, axes):
            self._draw(ax, name, look)
        bar = figure.colorbar(look, ax=list(axes), location="bottom", aspect=45, fraction=0.05, extend="both")
        ticks = list(range(int(LOWEST), int(top) + 1, 2 if top <= 8.0 else 4))
        bar.set_ticks(ticks, labels=[f"$10^{{{tick}}}$" if tick else "bound" for tick in ticks])
        bar.ax.tick_params(labelsize=SMALL, colors=INK, length=0)
        bar.set_label("|difference| / bound", fontsize=MEDIUM, color=INK)
        bar.outline.set_visible(False)
        return figure

    def error_against_bound(self) -> "Figure":
        """Every coordinate as a dot, its difference over its bound; what lies above the line is wrong."""
        figure = new_figure("Every coordinate: what rounding allows, and what it differs by", 4.2)
        ax = figure.add_subplot()
        known = np.isfinite(self.bound) & (self.bound > 0.0)
        bound, difference = self.bound[known], self.difference[known]
        floor = max(bound.min(initial=1e-16) * 10.0**LOWEST, 1e-300)  # no difference at all is drawn here
        height = np.where(np.isfinite(difference), np.maximum(difference, floor), np.inf)
        ends = np.array([0.5 * bound.min(initial=1.0), 2.0 * bound.max(initial=1.0)])
        top = max(ends[1], height.max(initial=0.0, where=np.isfinite(height)))
        ax.set(xscale="log", yscale="log", xlim=ends, ylim=(0.5 * floor, 4.0 * top))
        ax.plot(ends, ends, color=INK, linewidth=0.8)
        for beyond, colour, words in ((False, COLOURS[0], "within the bound"), (True, COLOURS[1], "beyond it")):
            chosen = (self.ratio[known] > 1.0) == beyond
            if chosen.any():
                label = f"{int(chosen.sum()):,} {words}"
                ax.plot(bound[chosen], height[chosen], ".", color=colour, markersize=3.0, label=label)
        if known.any():
            ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK)
        dress(ax, "", "bound", "|difference|")
        ax.grid(color=FAINT, linewidth=0.8)
        return figure

    def _draw(self, ax: "Axes", name: str, look) -> None:
        matrix = self.matrices[name]
        with np.errstate(divide="ignore"):
            logs = np.clip(np.log10(matrix), LOWEST, HIGHEST)
        ax.imshow(np.ma.masked_invalid(logs), norm=look.norm, cmap=look.cmap, aspect="auto", interpolation="nearest")
        beyond = int((matrix > 1.0).sum())
        dress(ax, f"{name}, {' × '.join(map(str, matrix.shape))}: {beyond:,} of {matrix.size:,} beyond the bound")
        ax.set_yticks([0, matrix.shape[0] - 1] if matrix.shape[0] > 1 else [])
        ax.set_xticks([0, matrix.shape[1] - 1] if matrix.shape[1] > 1 else [])


def heat_map(subject: Subject, pairs: Sequence[Pair], findings: Sequence[Finding]) -> HeatMap | None:
    """The pair of the worst finding about a gradient, or else the pair that comes closest to its bound."""
    if not pairs or not pairs[0].difference.size:
        return None
    named = [{finding.source, finding.against} for finding in findings]
    chosen = next((pair for name in named for pair in pairs if {pair.first, pair.second} == name), None)
    if chosen is None:
        chosen = max(pairs, key=lambda pair: pair.ratio[pair.decided].max(initial=0.0))
    source, against = chosen.first, chosen.second
    if any(finding.source == against for finding in findings):
        source, against = against, source
    ratio = np.where(np.isfinite(chosen.allowed), chosen.ratio, np.nan)
    return HeatMap(source, against, chosen.difference, chosen.allowed, ratio, subject.in_shape(ratio))


def _worst(ratios: np.ndarray) -> float:
    finite = ratios[~np.isnan(ratios)]
    return float(min(finite.max(initial=0.0), 10.0**HIGHEST))


def _colours() -> "Colormap":
    from matplotlib.colors import LinearSegmentedColormap

    stops = [(0.0, WITHIN[0]), (0.5, WITHIN[1]), (0.5, BEYOND[0]), (1.0, BEYOND[1])]
    return LinearSegmentedColormap.from_list("bound", stops).with_extremes(bad=UNBOUNDED)
