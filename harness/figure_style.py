"""The style that all figures share, and how they become PNG files.

Matplotlib is imported when a figure is drawn. Its pyplot, backend and settings stay untouched, so that any program can
draw figures.
"""

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe & Ito (2008): distinct for every colour vision
INK, FAINT = "#333333", "#DDDDDD"
WIDTH, DPI = 6.4, 150  # inches, and pixels to the inch
SMALL, MEDIUM, LARGE = 8, 9.5, 12  # points


def new_figure(title: str, height: float, width: float = WIDTH, **pads: Any) -> "Figure":
    """An empty figure with its title, lengths in inches; `pads` are those of Matplotlib's `ConstrainedLayoutEngine`."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    pads = {"h_pad": 0.08, "w_pad": 0.08} | pads
    layout = ConstrainedLayoutEngine(**pads)
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white")
    figure.suptitle(title, fontsize=LARGE, color=INK)
    return figure


def dress(ax: "Axes", title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Set words and numbers in the shared sizes and colour, without a frame or tick marks."""
    ax.set_title(title, fontsize=MEDIUM, color=INK)
    ax.set_xlabel(xlabel, fontsize=MEDIUM, color=INK)
    ax.set_ylabel(ylabel, fontsize=MEDIUM, color=INK)
    ax.tick_params(labelsize=SMALL, colors=INK, length=0)
    ax.spines[:].set_visible(False)


def png(figure: "Figure") -> bytes:
    """The figure as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()
