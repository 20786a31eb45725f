"""Figures of digits, and of what a network makes of them.

Each function returns a `Figure` of Matplotlib's object-oriented interface, which `png` renders. Neither pyplot nor a
backend nor a setting is touched, so that the figures can be drawn inside any program.
"""

import io
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from reference.namespaces import NUMPY
from reference.network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from harness.digits.data import Digits

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe & Ito (2008): told apart by every colour vision
INK, FAINT, RIGHT = "#333333", "#DDDDDD", "#D3E5F1"
WIDTH, DPI = 6.4, 150  # inches, and pixels to the inch
SMALL, MEDIUM, LARGE = 8, 9.5, 12  # points
IN_WORDS = {"baseline": "baseline (no hidden layer)"}


def png(figure: "Figure") -> bytes:
    """The figure as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def _figure(height: float, title: str) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(
        figsize=(WIDTH, height), dpi=DPI, layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08), facecolor="white"
    )
    figure.suptitle(title, fontsize=LARGE, color=INK)
    return figure


def _plain(ax: "Axes", title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    ax.set_title(title, fontsize=MEDIUM, color=INK)
    ax.set_xlabel(xlabel, fontsize=MEDIUM, color=INK)
    ax.set_ylabel(ylabel, fontsize=MEDIUM, color=INK)
    ax.tick_params(labelsize=SMALL, colors=INK, length=0)
    ax.spines[:].set_visible(False)


def images(X: np.ndarray) -> np.ndarray:
    """(m, side, side) images from an (m, side²) array whose rows unroll them column by column."""
    side = math.isqrt(X.shape[1])
    if side * side != X.shape[1]:
        raise ValueError(f"rows of {X.shape[1]} numbers are not square images, and only those can be drawn")
    return X.reshape(-1, side, side).transpose(0, 2, 1)


def _mosaic(tiles: np.ndarray, columns: int) -> np.ma.MaskedArray:
    """One image of many, row by row, with a masked frame around each."""
    m, side, _ = tiles.shape
    rows = math.ceil(m / columns)
    framed = np.full((rows * columns, side + 1, side + 1), np.nan)
    framed[:m, 1:, 1:] = tiles
    whole = framed.reshape(rows, columns, side + 1, side + 1).transpose(0, 2, 1, 3).reshape(rows * (side + 1), -1)
    return np.ma.masked_invalid(np.pad(whole, ((0, 1), (0, 1)), constant_values=np.nan))


def digit_grid(X: np.ndarray, title: str = "Handwritten digits, 20 × 20 pixels each") -> "Figure":
    """Images of digits, ten in a row.

    Parameters
    ----------
    X : (m, n) array, an unrolled image per row, from 0 (paper) to 1 (ink).

    Raises
    ------
    ValueError
        The rows are not square images.
    """
    mosaic = _mosaic(images(X), columns=10)
    figure = _figure(WIDTH * mosaic.shape[0] / mosaic.shape[1] + 0.4, title)
    ax = figure.add_subplot(facecolor=FAINT)
    ax.imshow(mosaic, cmap="gray_r", vmin=0.0, vmax=1.0)
    _plain(ax)
    ax.set(xticks=[], yticks=[])
    return figure


def learning_curves(curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> "Figure":
    """Cost and accuracy after each line search.

    Parameters
    ----------
    curves : for each network's name the cost, the training accuracy and the held-out accuracy, arrays of one length.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    figure = _figure(3.6, "Training, and reading digits never seen")
    left, right = figure.subplots(1, 2)
    for (name, (cost, training, test)), colour in zip(curves.items(), COLOURS):
        name = IN_WORDS.get(name, name)
        left.plot(cost, color=colour)
        right.plot(100 * training, color=colour, label=f"{name}, training digits")
        right.plot(100 * test, color=colour, linestyle=(0, (3, 1)), label=f"{name}, held-out digits")
    lowest = 80 if min(test[-1] for _, _, test in curves.values()) > 0.85 else 0
    _plain(left, "Cost J(θ), training digits; logarithmic", "line searches")
    _plain(right, "Digits read correctly (%)" + (f"; axis from {lowest}%" if lowest else ""), "line searches")
    left.set_yscale("log")
    left.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    left.yaxis.set_major_formatter(lambda cost, _: f"{cost:g}")
    left.yaxis.set_minor_locator(NullLocator())
    right.set_ylim(lowest, 100)
    for ax in (left, right):
        ax.grid(color=FAINT, linewidth=0.8)
    figure.legend(loc="outside lower center", ncols=2, fontsize=SMALL, frameon=False, labelcolor=INK)
    return figure


def hidden_units(Theta1: np.ndarray) -> "Figure":
    """What each hidden unit looks for: its weights as an image, without the bias.

    Parameters
    ----------
    Theta1 : (units, 1 + n) array

    Raises
    ------
    ValueError
        The weights of a unit do not form a square image.
    """
    W = Theta1[:, 1:]
    mosaic = _mosaic(images(W), columns=math.ceil(math.sqrt(len(W))))
    limit = np.percentile(np.abs(W), 99.5)  # a few large weights would leave the others pale
    figure = _figure(0.83 * WIDTH * mosaic.shape[0] / mosaic.shape[1] + 0.4, "What the hidden units look for")
    ax = figure.add_subplot()
    image = ax.imshow(mosaic, cmap="RdBu_r", vmin=-limit, vmax=limit)
    _plain(ax)
    ax.set(xticks=[], yticks=[])
    bar = figure.colorbar(image, ax=ax, aspect=35, pad=0.02, extend="both", extendfrac=0.02)
    bar.set_label("weight of a pixel (red: ink excites the unit, blue: ink inhibits it)", fontsize=MEDIUM, color=INK)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.outline.set_visible(False)
    return figure


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray) -> "Figure":
    """How often each digit is read as each.

    Parameters
    ----------
    truth, predicted : (m,) arrays of digits 0..9
    """
    from matplotlib import colormaps

    counts = np.zeros((10, 10), dtype=int)
    np.add.at(counts, (truth, predicted), 1)
    wrong = np.ma.masked_array(counts, np.eye(10, dtype=bool))
    right = np.trace(counts)
    figure = _figure(WIDTH, f"{right:,} of {len(truth):,} held-out digits read correctly ({right / len(truth):.1%})")
    ax = figure.add_subplot()
    shades = colormaps["Oranges"].with_extremes(bad=RIGHT, under="white")
    ax.imshow(wrong, cmap=shades, vmin=0.5, vmax=max(1, 1.6 * wrong.max()))  # pale enough for dark numbers
    for (row, column), count in np.ndenumerate(counts):
        if count:
            weight = "bold" if row == column else "normal"
            colour = COLOURS[0] if row == column else INK
            ax.text(column, row, f"{count}", ha="center", va="center", fontsize=MEDIUM, color=colour, weight=weight)
    _plain(ax, "", "read as (blue: right; orange: mistakes, the darker the more)", "written")
    ax.set(xticks=range(10), yticks=range(10))
    ax.set_xticks(np.arange(11) - 0.5, minor=True)
    ax.set_yticks(np.arange(11) - 0.5, minor=True)
    ax.grid(which="minor", color=FAINT, linewidth=0.8)
    ax.tick_params(which="minor", length=0)
    return figure


def worst_mistakes(X: np.ndarray, truth: np.ndarray, predicted: np.ndarray, probability: np.ndarray) -> "Figure":
    """The misread digits that the network is surest of, with what was written, what was read, and how sure it is.

    Parameters
    ----------
    X : (m, n) array
    truth, predicted : (m,) arrays of digits
    probability : (m,) array, the output of the predicted digit's unit
    """
    wrong = np.flatnonzero(truth != predicted)
    shown = wrong[np.argsort(-probability[wrong], kind="stable")][:20]
    figure = _figure(5.9, f"The surest of {len(wrong)} mistakes, and how sure the network was")
    axes = figure.subplots(4, 5).flat
    for i, ax in zip(shown, axes):  # in this order zip takes no axes for naught
        ax.imshow(images(X[i : i + 1])[0], cmap="gray_r", vmin=0.0, vmax=1.0)
        _plain(ax, f"{truth[i]} read as {predicted[i]} ({probability[i]:.1%})")
        ax.title.set_fontsize(SMALL)
        ax.spines[:].set(visible=True, color=FAINT)
        ax.set(xticks=[], yticks=[])
    for ax in axes:  # those that no mistake fills
        ax.set_axis_off()
    return figure


def reading(network: Network, theta: np.ndarray, test: "Digits") -> Iterator[tuple[str, bytes]]:
    """Names and contents of the PNG files that show how a network reads digits that were held out."""
    outputs = network.output.predict(NUMPY, network.pre_activations(NUMPY, theta, test.X))
    read = (outputs.argmax(axis=1) + 1) % 10  # unit k stands for digit (k + 1) % 10
    yield "hidden_units.png", png(hidden_units(network.unpack(theta)[0]))
    yield "confusion.png", png(confusion_matrix(test.y, read))
    yield "mistakes.png", png(worst_mistakes(test.X, test.y, read, outputs.max(axis=1)))
