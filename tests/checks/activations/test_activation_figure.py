"""The picture of a checked activation."""

from io import BytesIO

import matplotlib.image
import numpy as np
import pytest
from activation_records import FAULTY, RIGHT, WRONG, checked, formula, relu_with

from harness import ACTIVATIONS
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


JAX_IS_WRONG = formula(lambda xp, z: xp.sin(z) if xp.name == "jax" else xp.tanh(z), lambda z, a: 1.0 - a * a)


@pytest.mark.parametrize(
    ("f", "title"),
    [
        (TANH, "tanh: the claimed slope is right"),
        (WRONG["leak"].f, "mine: the claimed slope is wrong where shaded"),
        (WRONG["product rule"].f, "my silu: the claimed slope is wrong throughout -6 <= z <= 6"),
        (JAX_IS_WRONG, "mine: the odd ones out are jax"),
        (FAULTY["writes to a"][0], "mine: would break a network"),
        (relu_with(0.0), "my relu: not decided"),
    ],
)
def test_the_title_sums_up(f, title):
    assert checked(f).figure().get_suptitle() == title
