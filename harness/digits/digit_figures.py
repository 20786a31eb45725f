"""Figures of digits, of trainings, and of how a network reads digits.

Each function returns a `Figure` of Matplotlib's object-oriented interface, which `harness.figure_style.png` renders.
"""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.figure_style import COLOURS, FAINT, INK, MEDIUM, SMALL, WIDTH, dress, new_figure, png
from reference.namespaces import NUMPY

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from harness.digits.digit_networks import Fit

RIGHT_SHADE = "#D3E5F1"
"""A pale blue: the diagonal of the confusion matrix."""

LABELS = {"baseline": "no hidden layer"}  # by the name of a training: its label, where the name says too little

SHOWN_MISTAKES = 20  # four rows of five


def are_square(X: np.ndarray) -> bool:
    """Whether the rows of an (m, n) array can be square images."""
    return math.isqrt(X.shape[1]) ** 2 == X.shape[1]


def images(X: np.ndarray) -> np.ndarray:
    """(m, side, side) images from an (m, side²) array whose rows unroll them column by column."""
    if not are_square(X):
        raise ValueError(f"rows of {X.shape[1]} numbers are not square images, and only those can be drawn")
    side = math.isqrt(X.shape[1])
    return X.reshape(-1, side, side).transpose(0, 2, 1)


def _mosaic(
    title: str, X: np.ndarray, columns: int, share: float = 1.0, facecolor: str | None = None, **shades: Any
) -> tuple["Figure", "AxesImage"]:
    """A figure of many images, row by row, with a frame around each, and the one image that it shows.

    The image takes a share of the figure's width; a color bar may take the rest.
    """
    tiles = images(X)
    m, side, _ = tiles.shape
    rows = math.ceil(m / columns)
    framed = np.full((rows * columns, side + 1, side + 1), np.nan)
    framed[:m, 1:, 1:] = tiles
    whole = framed.reshape(rows, columns, side + 1, side + 1).transpose(0, 2, 1, 3).reshape(rows * (side + 1), -1)
    whole = np.pad(whole, ((0, 1), (0, 1)), constant_values=np.nan)
    figure = new_figure(title, share * WIDTH * whole.shape[0] / whole.shape[1] + 0.4)
    ax = figure.add_subplot(facecolor=facecolor)
    image = ax.imshow(np.ma.masked_invalid(whole), **shades)
    dress(ax)
    ax.set(xticks=[], yticks=[])
    return figure, image


def digit_grid(X: np.ndarray) -> "Figure":
    """Images of digits, ten in a row: each row of X (m, n) is one, unrolled, from 0 (paper) to 1 (ink).

    Raises ValueError where the rows are not square images.
    """
    return _mosaic(
        "Handwritten digits, 20 × 20 pixels each", X, columns=10, facecolor=FAINT, cmap="gray_r", vmin=0.0, vmax=1.0
    )[0]


def learning_curves(curves: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> "Figure":
    """Cost, training accuracy and held-out accuracy after each line search, by the networks' names."""
    from matplotlib.ticker import LogLocator, NullLocator

    figure = new_figure("Training, and reading digits never seen", 3.2)
    left, right = figure.subplots(1, 2)
    for (name, (cost, training, test)), colour in zip(curves.items(), COLOURS):
        name = LABELS.get(name, name)
        left.plot(cost, color=colour)
        right.plot(100 * training, color=colour, label=f"{name}, training")
        right.plot(100 * test, color=colour, linestyle=(0, (3, 1)), label=f"{name}, held out")
    lowest = 80 if min(test[-1] for _, _, test in curves.values()) > 0.85 else 0
    dress(left, "Training cost, logarithmic", "line searches")
    dress(right, "Digits read correctly (%)" + (f"; axis from {lowest}%" if lowest else ""), "line searches")
    left.set_yscale("log")
    left.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    left.yaxis.set_major_formatter(lambda cost, _: f"{cost:g}")
    left.yaxis.set_minor_locator(NullLocator())
    right.set_ylim(lowest, 100)
    for ax in (left, right):
        ax.grid(color=FAINT, linewidth=0.8)
        ax.margins(x=0.0)
    figure.legend(
        *right.get_legend_handles_labels(),
        loc="outside lower center", ncols=2, fontsize=SMALL, frameon=False, labelcolor="linecolor",
    )  # fmt: skip
    return figure


def hidden_units(Theta1: np.ndarray) -> "Figure":
    """The weights of each hidden unit, a row of Theta1 (units, 1 + n), as an image without the bias.

    Raises ValueError where the weights of a unit do not form a square image.
    """
    W = Theta1[:, 1:]
    columns = math.ceil(math.sqrt(len(W)))
    limit = np.percentile(np.abs(W), 99.5)  # a few large weights would leave the others pale
    title = "What the hidden units look for"
    figure, image = _mosaic(title, W, columns, share=0.83, cmap="RdBu_r", vmin=-limit, vmax=limit)
    bar = figure.colorbar(image, ax=image.axes, aspect=35, pad=0.02, extend="both", extendfrac=0.02)
    bar.set_label("weight of a pixel (red: ink excites the unit, blue: ink inhibits it)", fontsize=MEDIUM, color=INK)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.outline.set_visible(False)
    return figure


def confusion_matrix(written: np.ndarray, predicted: np.ndarray) -> "Figure":
    """How often each digit is read as each, from (m,) arrays of digits 0..9."""
    from matplotlib import colormaps

    counts = np.zeros((10, 10), dtype=int)
    np.add.at(counts, (written, predicted), 1)
    wrong = np.ma.masked_array(counts, np.eye(10, dtype=bool))
    right = np.trace(counts)
    title = f"{right:,} of {len(written):,} held-out digits read correctly ({right / len(written):.1%})"
    figure = new_figure(title, WIDTH)
    ax = figure.add_subplot()
    shades = colormaps["Oranges"].with_extremes(bad=RIGHT_SHADE, under="white")
    ax.imshow(wrong, cmap=shades, vmin=0.5, vmax=max(1, 1.6 * wrong.max()))  # pale enough for dark numbers
    for (row, column), count in np.ndenumerate(counts):
        if count:
            weight = "bold" if row == column else "normal"
            colour = COLOURS[0] if row == column else INK
            ax.text(column, row, f"{count}", ha="center", va="center", fontsize=MEDIUM, color=colour, weight=weight)
    dress(ax, "", "read as (blue: right; orange: mistakes, the darker the more)", "written")
    ax.set(xticks=range(10), yticks=range(10))
    ax.set_xticks(np.arange(11) - 0.5, minor=True)
    ax.set_yticks(np.arange(11) - 0.5, minor=True)
    ax.grid(which="minor", color=FAINT, linewidth=0.8)
    ax.tick_params(which="minor", length=0)
    return figure


def worst_mistakes(X: np.ndarray, written: np.ndarray, predicted: np.ndarray, probability: np.ndarray) -> "Figure":
    """The misread digits of X (m, n) with the largest outputs, each with the digit written, that read, and the output.

    `probability` (m,) is the output of the predicted digit's unit.
    """
    wrong = np.flatnonzero(written != predicted)
    shown = wrong[np.argsort(-probability[wrong], kind="stable")][:SHOWN_MISTAKES]
    figure = new_figure(f"The surest of {len(wrong)} mistakes, and how sure the network was", 5.9)
    axes = figure.subplots(4, 5).ravel()
    for i, ax in zip(shown, axes):
        ax.imshow(images(X[i : i + 1])[0], cmap="gray_r", vmin=0.0, vmax=1.0)
        dress(ax, f"{written[i]} read as {predicted[i]} ({probability[i]:.1%})")
        ax.title.set_fontsize(SMALL)
        ax.spines[:].set(visible=True, color=FAINT)
        ax.set(xticks=[], yticks=[])
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    return figure


def reading(trained: "Fit") -> Iterator[tuple[str, bytes]]:
    """Names and contents of the PNG files that show how a network reads the digits that were held out.

    An interrupted training has none, nor has one on digits that are no square images.
    """
    network, theta, test = trained.network, trained.training.theta, trained.test
    if trained.training.interrupted or test is None or not are_square(test.X):
        return
    outputs = network.output.predict(NUMPY, network.pre_activations(NUMPY, theta, test.X))
    read = (outputs.argmax(axis=1) + 1) % 10  # unit k stands for digit (k + 1) % 10
    if network.hidden:
        yield "hidden_units.png", png(hidden_units(network.unpack(theta)[0]))
    yield "confusion.png", png(confusion_matrix(test.y, read))
    yield "mistakes.png", png(worst_mistakes(test.X, test.y, read, outputs.max(axis=1)))
