"""The picture of a compared gradient: whose answers it compares, and that each coordinate is where it belongs."""

from io import BytesIO

import matplotlib.image
import numpy as np
import pytest

from harness import Network, Problem, cross_check
from harness.sources.bug_zoo import BUGS
from harness.sources.vectorized import cost_and_gradient
from harness.verdict.comparison import Pair
from harness.verdict.heat_map import MATRICES, HeatMap, heat_map
from harness.verdict.subject import Subject

NETWORK = Network((3, 4, 2))
PROBLEM = Problem(NETWORK, np.random.default_rng(0).normal(size=(6, 3)), [0, 1, 0, 1, 1, 0], 1.0)
THETA = NETWORK.init(0, 1.0)


def off_at(*coordinates, by=1e-3):
    def source(problem, theta):
        cost, gradient = cost_and_gradient(problem, theta)
        gradient[list(coordinates)] += by
        return cost, gradient

    return source


def picture_of(**sources):
    return cross_check(PROBLEM, THETA, sources | {name: name for name in ("loop", "jax", "finite-difference")}).picture


@pytest.mark.parametrize("i", [0, 5, NETWORK.size - 1])
def test_what_is_wrong_is_beyond_one_at_its_place_in_its_theta(i):
    picture = picture_of(mine=off_at(i))
    layer, row, column = NETWORK.locate(i)
    assert picture.source == "mine"
    assert [matrix.shape for matrix in picture.matrices.values()] == NETWORK.shapes
    beyond = {name: np.argwhere(matrix > 1.0).tolist() for name, matrix in picture.matrices.items()}
    assert beyond.pop(f"Theta{layer + 1}") == [[row, column]]
    assert not any(beyond.values())
    assert np.flatnonzero(picture.ratio > 1.0).tolist() == [i]


def test_where_all_agree_the_closest_call_is_drawn():
    report = cross_check(PROBLEM, THETA)
    assert report.picture.ratio.max() == report.margin
    assert (report.picture.ratio <= 1.0).all()


def test_nan_is_beyond_its_bound_and_what_has_no_bound_is_neither():
    picture = picture_of(mine=off_at(2, by=np.nan))
    assert np.isinf(picture.ratio[2])
    pair = _pair(difference=[0.5, 0.5], allowed=[1.0, np.inf])
    assert np.isnan(drawn(pair).ratio).tolist() == [False, True]


class _Two(Subject):
    blocks = ()


def drawn(pair):
    made = heat_map(_Two(), [pair], [])
    assert made is not None
    return made


def _pair(difference, allowed):
    difference, allowed = np.array(difference), np.array(allowed)
    some = np.zeros(len(difference), bool)
    return Pair("a", "b", False, True, some, ~some, ~some, difference, allowed)


def test_without_two_answers_there_is_no_picture():
    report = cross_check(PROBLEM, THETA, ["loop"])
    assert report.picture is None
    with pytest.raises(ValueError, match="no two answers were compared"):
        report.plot()


@pytest.mark.parametrize("difference", [[0.0, 0.0], [1e-300, 1.0], [np.inf, 1.0], [np.nan, 0.0], [1e30, 2.0]], ids=str)
@pytest.mark.parametrize("allowed", [[1.0, 1.0], [0.0, 1e-300], [np.inf, np.inf]], ids=str)
def test_every_picture_renders(difference, allowed):
    report = cross_check(PROBLEM, THETA)
    made = drawn(_pair(difference, allowed))
    matrices = {"leaf": made.ratio[np.newaxis], **{f"m{i}": np.ones((1, 1)) for i in range(MATRICES)}}
    shown = HeatMap(made.source, made.against, made.difference, made.bound, made.ratio, matrices)
    figures = shown.figure(report), shown.error_against_bound()
    for figure in figures:
        figure.canvas.draw()
    assert len(figures[0].axes) == MATRICES + 1  # and the colours


def test_a_report_s_plot_is_a_png_and_its_titles_count_what_is_wrong():
    report = cross_check(PROBLEM, THETA, BUGS["bias-gradient-missing"].sources)
    image = matplotlib.image.imread(BytesIO(report.plot()), format="png")
    assert image[:, :, :3].std() > 0.01
    titles = [ax.get_title() for ax in report.figure().axes[:-1]]
    assert titles == ["Theta1, 4 × 4: 4 of 16 beyond the bound", "Theta2, 2 × 5: 2 of 10 beyond the bound"]
    assert "vectorized" in report.figure().get_suptitle()
