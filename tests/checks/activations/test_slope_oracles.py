"""The slope of one activation from its formula, at any z."""

import numpy as np
from activation_records import formula

from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.slope_oracles import slope_function
from harness.checks.activations.z_grid import grid

LOG_COSH = formula(lambda xp, z: xp.log(xp.cosh(z)), lambda z, a: np.tanh(z))


def test_there_is_no_slope_where_the_value_has_overflowed():
    report = check_activation(LOG_COSH)
    assert (report.verdict, report.details["kinks"]) == ("agree", [])
    with np.errstate(all="ignore"):
        slope_at = slope_function(LOG_COSH, grid(LOG_COSH))
        assert slope_at
        slopes = slope_at(np.array([-900.0, -1.0, 0.0, 1.0, 900.0]))
    np.testing.assert_array_equal(np.isnan(slopes), [True, False, False, False, True])


def test_a_constant_has_the_slope_zero():
    constant = formula(lambda xp, z: np.full(np.shape(z), 2.0), lambda z, a: np.zeros_like(z))
    slope_at = slope_function(constant, np.linspace(-1.0, 1.0, 5))
    assert slope_at
    np.testing.assert_array_equal(slope_at(np.array([-3.0, 0.0, 3.0])), 0.0)
