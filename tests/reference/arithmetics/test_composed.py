"""Functions made of others have the right values and derivatives in every arithmetic; magnitudes bound every sum."""

import math

import numpy as np
import pytest

from reference.arithmetics.balls import exact, slopes, variables
from reference.arithmetics.composed import COMPOSED
from reference.arithmetics.increments import Increment
from reference.arithmetics.rounded import Rounded
from reference.arithmetics.tangent import Magnitude, Tangent

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


def test_magnitudes_add_up_without_signs_and_count_the_sums():
    z = np.array([3.0, -2.0])
    slope = (lambda z: z * z - 6.0 * z + math.pi)(Tangent(z, Magnitude(np.ones(2)))).slope
    np.testing.assert_array_equal(slope.size, 2.0 * np.abs(z) + 6.0)  # |z| twice, and 6; at z = 3 the slope is 0
    assert slope.sums >= 2
