"""Random functions and activations have right gradients, so that a sweep of them counts false alarms."""

import numpy as np
import pytest

from harness.sweep.rows import TERMS, Settings, make_row, random_activation, random_function


@pytest.mark.parametrize("name", TERMS)
def test_each_slope_is_the_derivative_of_its_term(name):
    value, slope = TERMS[name]
    u, h = np.linspace(-3.0, 3.0, 61), 1e-5
    assert slope(u) == pytest.approx((value(u + h) - value(u - h)) / (2 * h), rel=1e-8, abs=1e-8)


def test_a_seed_decides_a_function_and_its_gradient_is_right():
    for seed in range(30):
        fun, theta = random_function(seed)
        again, same = random_function(seed)
        assert np.array_equal(theta, same)
        assert fun(theta)[0] == again(theta)[0]
        h = 1e-5
        moved = [(fun(theta + h * e)[0] - fun(theta - h * e)[0]) / (2 * h) for e in np.eye(theta.size)]
        assert fun(theta)[1] == pytest.approx(moved, rel=1e-5, abs=1e-4), seed


def test_the_kinks_of_a_random_activation_lie_where_those_of_its_activation_do():
    kinked = [f for f in map(random_activation, range(60)) if f.kinks]
    assert kinked
    for f in kinked:
        for kink in f.kinks:
            below, above = kink - 1e-9, kink + 1e-9
            slopes = f.slope(np.array([below, above]), f(np.array([below, above])))
            assert abs(slopes[0] - slopes[1]) > 1e-3, (f, kink)


@pytest.mark.parametrize("kind", ["functions", "activations"])
def test_right_gradients_are_never_called_wrong(kind):
    rows = [make_row(Settings(kind), seed) for seed in range(8)]
    assert {row.verdict for row in rows} <= {"agree", "inconclusive"}, rows
