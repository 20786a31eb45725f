"""Figures: what they show, and that Matplotlib stays as its user set it up."""

import sys
from io import BytesIO

import matplotlib.image
import numpy as np
import pytest

from harness.digits import digit_figures
from harness.figure_style import DPI, WIDTH, png

RNG = np.random.default_rng(0)
X = RNG.random((23, 16))
TRUTH = np.arange(23) % 10
READ = np.where(np.arange(23) < 18, TRUTH, (TRUTH + 1) % 10)  # the last five are misread
PROBABILITY = np.linspace(0.0, 1.0, 23)
CURVE = (np.geomspace(7.0, 0.5, 11), np.linspace(0.1, 0.98, 11), np.linspace(0.1, 0.93, 11))

FIGURES = {
    "digit grid": lambda: digit_figures.digit_grid(X),
    "learning curves": lambda: digit_figures.learning_curves({"network": CURVE, "baseline": CURVE}),
    "learning curves of nothing learnt": lambda: digit_figures.learning_curves(
        {"network": tuple(np.array([[7.0], [0.1], [0.1]]))}
    ),
    "hidden units": lambda: digit_figures.hidden_units(RNG.normal(size=(7, 17))),
    "one hidden unit, no weights": lambda: digit_figures.hidden_units(np.zeros((1, 17))),
    "confusion matrix": lambda: digit_figures.confusion_matrix(TRUTH, READ),
    "confusion matrix without confusion": lambda: digit_figures.confusion_matrix(TRUTH, TRUTH),
    "worst mistakes": lambda: digit_figures.worst_mistakes(X, TRUTH, READ, PROBABILITY),
    "worst of no mistakes": lambda: digit_figures.worst_mistakes(X, TRUTH, TRUTH, PROBABILITY),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_every_figure_renders_at_one_width_and_leaves_matplotlib_as_it_was(draw):
    settings, pyplot = dict(dict.items(matplotlib.rcParams)), sys.modules.get("matplotlib.pyplot")
    figure = draw()
    image = matplotlib.image.imread(BytesIO(png(figure)), format="png")
    assert dict(dict.items(matplotlib.rcParams)) == settings  # .items() itself would choose a backend
    assert sys.modules.get("matplotlib.pyplot") is pyplot
    assert image.shape[1] == round(WIDTH * DPI)
    assert image[:, :, :3].std() > 0.01  # something was drawn
    assert figure.get_suptitle()


def shown_in(ax):
    return np.ma.asarray(ax.images[0].get_array())


def test_images_are_unrolled_column_by_column():
    assert digit_figures.images(np.arange(8.0).reshape(2, 4)).tolist() == [[[0, 2], [1, 3]], [[4, 6], [5, 7]]]


def test_the_digit_grid_reads_row_by_row():
    shown = shown_in(digit_figures.digit_grid(np.array([[i, 0, 0, 0] for i in range(23)])).axes[0])
    assert shown.shape == (3 * 3 + 1, 10 * 3 + 1)
    assert shown[1::3, 1::3].compressed().tolist() == list(range(23))
    assert np.ma.getmaskarray(shown)[0].all()


def test_learning_curves_show_costs_and_percentages():
    figure = digit_figures.learning_curves({"network": CURVE, "baseline": CURVE})
    left, right = figure.axes
    assert np.array_equal([np.asarray(line.get_ydata()) for line in left.lines], [CURVE[0], CURVE[0]])
    assert np.allclose([np.asarray(line.get_ydata())[-1] for line in right.lines], [98, 93, 98, 93])
    (legend,) = figure.legends
    labels = [f"{name}, {which}" for name in ("network", "no hidden layer") for which in ("training", "held out")]
    assert [text.get_text() for text in legend.get_texts()] == labels
    assert [line.get_color() for line in right.lines] == [line.get_color() for line in left.lines for _ in range(2)]
    assert left.lines[0].get_color() != left.lines[1].get_color()
    assert right.lines[0].get_linestyle() != right.lines[1].get_linestyle()
    assert left.get_xlabel() == right.get_xlabel() == "line searches"
    assert "logarithmic" in left.get_title()


@pytest.mark.parametrize(("accuracy", "lowest", "said"), [(0.93, 80, "axis from 80%"), (0.5, 0, "correctly (%)")])
def test_learning_curves_show_the_end_of_every_curve(accuracy, lowest, said):
    curve = (CURVE[0], CURVE[1], np.full(11, accuracy))
    right = digit_figures.learning_curves({"network": curve}).axes[1]
    assert right.get_ylim() == (lowest, 100)
    assert right.get_title().endswith(said)


def test_hidden_units_leave_the_bias_out():
    Theta1 = np.column_stack([np.full(2, 100.0), [[1, 2, 3, 4], [5, 6, 7, 8]]])
    ax = digit_figures.hidden_units(Theta1).axes[0]
    assert shown_in(ax)[1:3, 1:3].tolist() == [[1, 3], [2, 4]]
    assert shown_in(ax).max() == 8
    assert ax.images[0].norm(np.zeros(1)) == 0.5  # white is zero


def test_the_confusion_matrix_counts_and_shades_mistakes():
    ax = digit_figures.confusion_matrix(TRUTH, READ).axes[0]
    counts = {text.get_position()[::-1]: int(text.get_text()) for text in ax.texts}
    assert counts[3, 3] == 2
    assert counts[9, 0] == 1
    assert sum(counts.values()) == 23
    assert ax.get_xlabel().startswith("read as")
    assert ax.get_ylabel() == "written"
    assert "18 of 23" in digit_figures.confusion_matrix(TRUTH, READ).get_suptitle()
    shades = np.asarray(ax.images[0].cmap(ax.images[0].norm(shown_in(ax))))
    assert np.allclose(shades[0, 0], shades[9, 9])  # the diagonal has one colour, whatever its counts
    assert not np.allclose(shades[0, 0], shades[0, 1])
    assert "orange: mistakes" in ax.get_xlabel()


def test_mistakes_come_the_surest_first():
    axes = digit_figures.worst_mistakes(X, TRUTH, READ, PROBABILITY).axes
    titles = [ax.get_title() for ax in axes if ax.get_title()]
    assert titles[0] == "2 read as 3 (100.0%)"
    assert [title[0] for title in titles] == ["2", "1", "0", "9", "8"]
    assert np.array_equal(shown_in(axes[0]), X[22].reshape(4, 4).T)
    assert [ax.axison for ax in axes] == [True] * 5 + [False] * 15


@pytest.mark.parametrize(
    "draw", [digit_figures.digit_grid, lambda X: digit_figures.hidden_units(np.column_stack([X[:, 0], X]))]
)
def test_what_is_not_square_cannot_be_drawn(draw):
    with pytest.raises(ValueError, match="rows of 15 numbers are not square images"):
        draw(np.ones((3, 15)))
