"""The picture of a checked activation."""

from io import BytesIO

import matplotlib.image
import numpy as np
import pytest
from activation_records import FAULTY, RIGHT, WRONG, checked, curve, facts_of, formula, relu_with, tanh_to

from harness import ACTIVATIONS
from harness.checks.activations.activation_check import check_activation
from harness.facts.kinds import Kind
from harness.facts.message_table import say
from harness.figure_style import DPI, WIDTH

RELU, SILU, TANH = (ACTIVATIONS[name] for name in ("relu", "silu", "tanh"))


SINH = formula(lambda xp, z: xp.sinh(z), lambda z, a: np.cosh(z))


@pytest.mark.parametrize("f", [SILU, RELU, SINH, WRONG["product rule"].f, WRONG["nothing"].f, RIGHT["a constant"]])
def test_a_picture_renders(f):
    image = matplotlib.image.imread(BytesIO(checked(f).plot()), format="png")
    assert image.shape[1] == round(WIDTH * DPI)
    assert image[:, :, :3].std() > 0.05


def test_a_picture_shows_both_slopes_and_shades_what_is_wrong():
    report = checked(WRONG["leak"].f)
    figure = report.figure()
    slopes, difference, _ = figure.axes
    true, claimed = slopes.lines
    for line, below, above in ((true, 0.1, 1.0), (claimed, 0.01, 1.0)):
        x, y = (np.asarray(data) for data in line.get_data())
        np.testing.assert_allclose(y[(x < 0.0) & np.isfinite(y)], below)
        np.testing.assert_allclose(y[(x > 0.0) & np.isfinite(y)], above)
    assert np.nanmax(np.asarray(difference.lines[0].get_ydata())) == pytest.approx(0.09)
    (shade,) = slopes.patches
    assert (shade.get_extents().x0, shade.get_extents().x1) == pytest.approx(
        [slopes.transData.transform((z, 0.0))[0] for z in (-1000.0, 0.0)]
    )
    assert slopes.get_title() == say(report.findings[0].diagnosis[0])


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_a_picture_shows_errors_in_ulps_over_all_z_and_where_tails_are_lost():
    sigmoid = ACTIVATIONS["sigmoid"]
    report = check_activation(formula(sigmoid.value, lambda z, a: a * (1.0 - a)))
    digits = report.figure().axes[2]
    assert digits.get_xlim() == (-1000.0, 1000.0)
    dots, *lines = digits.lines
    assert np.max(np.asarray(dots.get_ydata())) > 1e12
    assert {line.get_label().partition(",")[0] for line in lines if line.get_label()[0] != "_"} == {
        "float64",
        "float32",
        "bfloat16",
    }
    assert [text.strip() for text in texts(digits)] == ["no correct digit"] * 2
    starts = [fact.data["z"] for fact in facts_of(report, Kind.LOST_TAIL)]
    assert [patch.get_x() for patch in digits.patches] == pytest.approx(starts)
    assert not checked(SILU).figure().axes[2].patches
    assert texts(checked(FAULTY["mixes entries"][0]).figure().axes[2]) == ["not known"]


JAX_IS_WRONG = formula(lambda xp, z: xp.sin(z) if xp.name == "jax" else xp.tanh(z), lambda z, a: 1.0 - a * a)


@pytest.mark.parametrize(
    ("f", "title"),
    [
        (TANH, "tanh: the claimed slope is right"),
        (WRONG["leak"].f, "mine: the claimed slope is wrong where shaded"),
        (WRONG["product rule"].f, "my silu: the claimed slope is wrong where shaded"),
        (JAX_IS_WRONG, "mine: the odd ones out are jax"),
        (FAULTY["writes to a"][0], "mine: would break a network"),
        (relu_with(0.0), "my relu: not decided"),
    ],
)
def test_the_title_sums_up(f, title):
    assert checked(f).figure().get_suptitle() == title


@pytest.mark.parametrize(
    ("f", "half"),
    [
        (TANH, 6.0),
        (RIGHT["a kink far out"], 1e3),
        (tanh_to(lambda z, a: np.where(z > 12.0, 1.0, 1.0 - a * a)), 30.0),
        (WRONG["branches"].f, 6.0),
    ],
)
def test_a_picture_shows_kinks_and_what_is_wrong(f, half):
    assert curve(checked(f)).window() == (-half, half)
