"""The slope of one activation by every oracle, each with an error that it keeps."""

import numpy as np
import pytest
from activation_records import formula

from harness import ACTIVATIONS
from harness.checks.activations.checking import check_activation
from harness.checks.activations.grid import grid
from harness.checks.activations.slopes import ask_oracles, slope_function
from reference.arithmetics.increments import Increment
from reference.oracles import ball_arithmetic, jax_gradient


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_enclosures_are_sharp_where_slopes_are_tiny_and_nowhere_wrong(name):
    f, z = ACTIVATIONS[name], np.array([-300.0, -50.0, -1.5, 0.5, 3.0, 50.0, 300.0])
    balls, jax_ = ball_arithmetic.slope(f, z), jax_gradient.slope(f, z)
    assert (balls.error <= np.maximum(2.0**-52 * np.abs(balls.slope), 1e-300)).all()
    np.testing.assert_allclose(balls.slope, jax_.slope, rtol=0.0, atol=1e-12)


def test_plain_differences_know_that_z_plus_h_is_rounded(monkeypatch):
    """A formula without any rounding of its own is still evaluated beside z + h: by u |z| slopes, over h."""
    monkeypatch.delitem(Increment.rules, np.positive)
    f = formula(lambda xp, z: xp.positive(z), lambda z, a: np.ones_like(z))
    z = np.linspace(0.1, 1e3, 2001)
    slopes, notes, _ = ask_oracles(f, z, np.zeros_like(z))
    plain = slopes["finite-difference"]
    assert "differences of plain values" in notes["finite-difference"]
    assert (np.abs(plain.slope - 1.0) <= plain.error).all()
    assert (plain.error < 1e-6).all()


LOG_COSH = formula(lambda xp, z: xp.log(xp.cosh(z)), lambda z, a: np.tanh(z))


def test_there_is_no_slope_where_the_value_has_overflowed():
    report = check_activation(LOG_COSH)
    assert (report.verdict, report.details["kinks"]) == ("agree", [])
    with np.errstate(all="ignore"):
        slope_at = slope_function(LOG_COSH, grid(LOG_COSH))
        assert slope_at
        slopes = slope_at(np.array([-900.0, -1.0, 0.0, 1.0, 900.0]))
    np.testing.assert_array_equal(np.isnan(slopes), [True, False, False, False, True])


def test_a_constant_has_no_slope():
    constant = formula(lambda xp, z: np.full(np.shape(z), 2.0), lambda z, a: np.zeros_like(z))
    slope_at = slope_function(constant, np.linspace(-1.0, 1.0, 5))
    assert slope_at
    np.testing.assert_array_equal(slope_at(np.array([-3.0, 0.0, 3.0])), 0.0)
