"""Functions made of others have the right values and derivatives in every arithmetic; magnitudes bound every sum."""

import math

import numpy as np
import pytest
from scipy import special

from reference.arithmetics.balls import exact, precision, slopes, value_of, variables
from reference.arithmetics.composed import COMPOSED
from reference.arithmetics.increments import Increment
from reference.arithmetics.rounded import Rounded
from reference.arithmetics.tangent import Magnitude, Tangent
from reference.arithmetics.taylor.special_functions import SERIES

POINTS = np.array([0.15, 0.4, 0.85])
ABOVE_ONE = np.array([1.2, 3.0, 40.0])
HALF = 0.5 * np.ones(3)


@pytest.mark.parametrize("function", COMPOSED, ids=lambda function: function.__name__)
def test_a_composed_function_is_that_function(function):
    z = ABOVE_ONE if function is np.arccosh else POINTS
    others = [HALF] * (getattr(function, "nin", 1) - 1)
    h = 1e-6
    expected = (function(z + h, *others) - function(z - h, *others)) / (2.0 * h)
    np.testing.assert_allclose(COMPOSED[function](z, *others), function(z, *others), rtol=1e-14)
    np.testing.assert_allclose(np.broadcast_to(function(Tangent(z, 1.0), *others).slope, z.shape), expected, atol=1e-8)
    np.testing.assert_allclose(
        np.broadcast_to(Increment.lifted(function(Increment(z, np.full(3, 1e-12)), *others)).change, z.shape) / 1e-12,
        expected,
        atol=1e-6,
    )
    assert (Rounded.lifted(function(Rounded(z, np.zeros(3)), *others)).error < 1e-12).all()
    balls = np.asarray(slopes(function(variables(exact(z)), *others)))
    np.testing.assert_allclose([float(ball.mid()) for ball in np.broadcast_to(balls, z.shape)], expected, atol=1e-8)


OF_ORDER = [lambda z, f=f: f(2, z) for f in (special.jv, special.iv)]


@pytest.mark.parametrize("function", [*SERIES, special.i0e, special.i1e, *OF_ORDER])
def test_a_function_of_scipy_has_its_value_and_its_slope(function):
    z = np.array([0.3, 1.7, 4.25])
    h = 1e-5
    tangent, expected = function(Tangent(z, 1.0)), (function(z + h) - function(z - h)) / (2.0 * h)
    np.testing.assert_array_equal(tangent.value, function(z))
    np.testing.assert_allclose(tangent.slope, expected, rtol=1e-6, atol=1e-7)
    with precision(106):
        balls = np.asarray(function(variables(exact(z))))
        np.testing.assert_allclose([float(value_of(ball).mid()) for ball in balls], function(z), rtol=1e-13)
        np.testing.assert_allclose([float(ball.mid()) for ball in slopes(balls)], tangent.slope, rtol=1e-11)


def test_a_bessel_function_of_another_order_is_refused():
    with pytest.raises(NotImplementedError, match=r"whole orders up to 100, not for 0\.5"):
        special.jv(0.5, exact(np.ones(1)))


def test_magnitudes_add_up_without_signs_and_count_the_sums():
    z = np.array([3.0, -2.0])
    slope = (lambda z: z * z - 6.0 * z + math.pi)(Tangent(z, Magnitude(np.ones(2)))).slope
    np.testing.assert_array_equal(slope.size, 2.0 * np.abs(z) + 6.0)  # |z| twice, and 6; at z = 3 the slope is 0
    assert slope.sums >= 2
