"""Slopes that are unknown at the point itself: limits from points nearby, where there are such limits."""

import jax.numpy as jnp
import numpy as np
import pytest

from harness.checks.traced.one_sided import limits_around, one_sided_slopes
from harness.checks.traced.program_at_point import ProgramAtPoint
from harness.checks.traced.real_coordinates import Layout
from reference.jax_settings import settings
from reference.traced.traced_function import Traced


@pytest.fixture(autouse=True)
def _infinities_are_numbers():
    with np.errstate(all="ignore"):  # as in a check
        yield


def truth_of(f, x, **how):
    with settings(True):
        traced = Traced(lambda x: [f(x)], x)
    (y,) = traced.outputs
    outputs = Layout.of(["output"], [np.zeros(y.shape)])
    return ProgramAtPoint(traced.program, Layout.of(["x"], [x]), outputs, x.ravel(), **how)


def at_zero(value, elsewhere):
    """A function of x[0] that is patched where that is zero, as people write it."""
    return lambda x: jnp.where(x[0] == 0.0, value, elsewhere(jnp.where(x[0] == 0.0, 1.0, x[0])))


def mixed(x):
    """x²y/(x² + y²): slopes in every direction, and no derivative."""
    square = jnp.sum(x * x)
    return jnp.where(square == 0.0, 0.0, x[0] ** 2 * x[1] / jnp.where(square == 0.0, 1.0, square))


def steep(x):
    """xy/(x² + y²): 0 along the axes, and 1/2 between them."""
    square = jnp.sum(x * x)
    return jnp.where(square == 0.0, 0.0, x[0] * x[1] / jnp.where(square == 0.0, 1.0, square))


def smooth(x):
    """(x⁴ - y⁴)/(x² + y²) + 3x, which is x² - y² + 3x."""
    square = jnp.sum(x * x)
    return jnp.where(square == 0.0, 0.0, (x[0] ** 4 - x[1] ** 4) / jnp.where(square == 0.0, 1.0, square)) + 3.0 * x[0]


RANK_1 = np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 2.0])
OF_1_TO_9 = [-3.0, 6.0, -3.0, 6.0, -12.0, 6.0, -3.0, 6.0, -3.0]

ABOUT = {
    "a removable gap": (at_zero(1.0, lambda x: jnp.sin(x) / x + 2.0 * x), np.zeros(1), [2.0]),
    "a gap of two numbers": (smooth, np.zeros(2), [3.0, 0.0]),
    "a determinant at zero": (jnp.linalg.det, np.zeros((3, 3)), np.zeros(9)),
    "a determinant of rank 1": (jnp.linalg.det, RANK_1, np.zeros(9)),
    "a determinant of rank 2": (jnp.linalg.det, np.arange(1.0, 10.0).reshape(3, 3), OF_1_TO_9),
    "an odd cube": (at_zero(0.0, lambda x: x**4 / x), np.zeros(1), [0.0]),
    "an even square": (at_zero(0.0, lambda x: x**3 / x), np.zeros(1), [0.0]),
    "a slope far below its value": (at_zero(1.0, lambda x: 1.0 + 1e-9 * x**2 / x), np.zeros(1), [1e-9]),
}


@pytest.mark.parametrize("name", ABOUT)
def test_a_limit_that_is_the_same_in_all_places_is_the_slope(name):
    f, x, expected = ABOUT[name]
    limit, error, is_same = limits_around(truth_of(f, x), np.eye(x.size))
    off = np.abs(limit[:, 0] - expected)
    assert np.all(off <= error[:, 0] + 1e-12)
    assert error.max() < 1e-5
    assert is_same.all() or not np.any(expected)  # of no slope, none is the same to many digits


APART = {
    "a kink": (at_zero(0.0, jnp.abs), np.zeros(1), [1.0], [-1.0]),
    "a kink of two numbers": (mixed, np.zeros(2), [0.0, 0.0], [0.0, 0.0]),
    "a jump at the point": (at_zero(2.0, lambda x: x), np.zeros(1), [np.nan], [np.nan]),
    "a step": (at_zero(0.0, lambda x: jnp.sign(x) + x), np.zeros(1), [np.nan], [np.nan]),
    "a unit vector": (at_zero(0.0, lambda x: x / jnp.sqrt(x * x)), np.zeros(1), [np.nan], [np.nan]),
    "a jump but along the axes": (steep, np.zeros(2), [np.nan] * 2, [np.nan] * 2),
    "a vector of equal eigenvalues": (lambda x: jnp.linalg.eigh(x)[1][0, 1], np.eye(3), [np.nan] * 9, [np.nan] * 9),
    "a slope without a limit": (at_zero(0.0, lambda x: x * jnp.log(jnp.abs(x))), np.zeros(1), [np.nan], [np.nan]),
}


@pytest.mark.parametrize("name", APART)
def test_limits_that_differ_are_those_of_both_sides_or_unknown(name):
    f, x, after, before = APART[name]
    truth = truth_of(f, x)
    assert not limits_around(truth, np.eye(x.size))[2].any()  # is the same
    sides = one_sided_slopes(truth, np.eye(x.size), np.ones((1, truth.outputs.size)))
    np.testing.assert_allclose(sides.right[0], after, atol=1e-6)
    np.testing.assert_allclose(2.0 * sides.mean[0] - sides.right[0], before, atol=1e-6)
    np.testing.assert_allclose(sides.half_gap[0], 0.5 * np.abs(np.subtract(after, before)), atol=1e-6)


def test_slopes_beside_a_jump_count_where_that_is_asked_for():
    f, x = at_zero(2.0, lambda x: 3.0 * x), np.zeros(1)
    limit, _, is_same = limits_around(truth_of(f, x, may_jump=True), np.eye(1))
    assert is_same.all()
    assert limit[0, 0] == pytest.approx(3.0)
    assert np.isnan(limits_around(truth_of(f, x), np.eye(1))[0]).all()
