"""Derivatives of any function from its values: right on what is known, and error bars that hold the truth."""

import numpy as np
import pytest

from reference.arithmetics import central_differences


def rosenbrock(x):
    return 100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2


SMOOTH = [  # function, θ, gradient
    ("constant", lambda x: 7.0, [1.0, 2.0], [0.0, 0.0]),
    ("linear", lambda x: 3.0 * x[0] - 2.0 * x[1], [0.1, 0.7], [3.0, -2.0]),
    ("quartic", lambda x: x[0] ** 4 - x[0] ** 3 * x[1], [1.5, -0.7], [4 * 1.5**3 + 2.1 * 1.5**2, -(1.5**3)]),
    ("rosenbrock", rosenbrock, [-1.2, 1.0], [-215.6, -88.0]),
    ("exp", lambda x: np.exp(x).sum(), [0.3, -2.0, 2.0], np.exp([0.3, -2.0, 2.0])),
    ("sin", lambda x: np.sin(3.0 * x[0]), [1.0], [3.0 * np.cos(3.0)]),
    ("offset", lambda x: 1e6 + x[0] ** 2, [0.5], [1.0]),
    ("large θ", lambda x: np.log(x[0]), [1e6], [1e-6]),
    ("at zero", lambda x: x[0] ** 2, [0.0], [0.0]),
    ("terms", lambda x: np.array([np.sin(x[0]), 1e3, x[0] * x[1], -1e3]), [0.5, 2.0], [np.cos(0.5) + 2.0, 0.5]),
]


@pytest.mark.parametrize(("fun", "theta", "expected"), [case[1:] for case in SMOOTH], ids=[case[0] for case in SMOOTH])
def test_smooth_functions(fun, theta, expected):
    gradient, error = central_differences.gradient(fun, np.array(theta))
    assert (np.abs(gradient - expected) <= error).all()
    assert error.max() <= 1e-8 * max(1.0, np.abs(expected).max(), np.abs(fun(np.array(theta))).max())


def test_polynomials_up_to_the_fourth_degree_have_no_truncation():
    gradient, _ = central_differences.gradient(lambda x: np.polyval([1.0, -2.0, 3.0, -4.0, 5.0], x[0]), np.array([0.5]))
    np.testing.assert_allclose(gradient[0], np.polyval([4.0, -6.0, 6.0, -4.0], 0.5), rtol=1e-12)


def test_terms_are_differenced_one_by_one():
    theta = np.array([0.5])
    of_terms, error_of_terms = central_differences.gradient(
        lambda x: np.array([x[0] ** 2, 1e9, -1e9 + 0.0 * x[0]]), theta
    )
    np.testing.assert_allclose(of_terms[0], 1.0, rtol=1e-12)
    assert error_of_terms[0] > 1e-7  # as it does not know that the large terms are constant


@pytest.mark.parametrize("kink_at", np.linspace(-6.0, 6.0, 49))
@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_nobody_is_sure_of_a_slope_at_a_kink(kink_at, smooth):
    h = central_differences.STEP
    derivative, error = central_differences.gradient(
        lambda x: abs(x[0] - kink_at * h) + smooth * np.sin(x[0]), np.zeros(1)
    )
    truth = smooth - np.sign(kink_at)  # at the kink anything from -1 to 1, and the mean is found
    assert abs(derivative[0] - truth) + (kink_at == 0.0) <= error[0]


def test_the_sharpest_differences_are_each_as_wide_as_the_function_allows_there():
    """The wider it is, the less rounding of x + t counts; asinh turns on a scale of 1 at zero, and of x far out."""
    x = np.array([0.0, 1e-3, 1e6])
    found = central_differences.sharpest(np.arcsinh, x, np.zeros(3))
    assert (np.abs(found.derivative - 1.0 / np.hypot(1.0, x)) <= found.error).all()
    assert (found.error <= [1e-12, 1e-12, 1e-16]).all()


def test_the_sharpest_differences_are_not_those_that_agree_by_chance():
    """Of values at random phases, two widths agree once in hundreds of points; narrower ones contradict both."""
    scale = 1e5
    x = np.random.default_rng(1).uniform(-3.0, 3.0, 4000)
    noise = 2.0**-53 * (1.0 + scale * np.abs(x))  # the product is rounded, and so is that in the truth
    found = central_differences.sharpest(lambda x: np.sin(scale * x), x, noise)
    off = np.abs(found.derivative - scale * np.cos(scale * x))
    assert (off <= found.error + 2.0 * scale * noise).all()


@np.errstate(invalid="ignore")
def test_the_sharpest_differences_beside_a_kink_and_a_pole_are_those_of_one_side():
    x = np.array([-1e-6, 1e-6, 0.0, 0.75])
    found = central_differences.sharpest(lambda x: np.abs(x) + np.sqrt(0.75 - x), x, 1e-16 * np.ones(4))
    truth = np.array([-1.0, 1.0]) - 0.5 / np.sqrt(0.75 - x[:2])
    assert (np.abs(found.derivative[:2] - truth) <= found.error[:2]).all()
    assert (found.error[:2] <= 1e-6).all()
    assert found.error[2] > 0.5
    assert found.error[3] == np.inf


def test_noise_counts_a_few_times_what_it_can_do_at_worst():
    """Values that are off by the noise, to the side that moves the derivative most: by 3/2 of noise over h."""
    h, noise = 0.125, 1e-3
    off = {0.0: 0.0, h: noise, -h: -noise, 2.0 * h: -noise, -2.0 * h: noise, 4.0 * h: 0.0, -4.0 * h: 0.0}
    found, quiet = (central_differences.difference(f, h, noise) for f in (off.__getitem__, lambda t: 7.0))
    worst = 1.5 * noise / h
    assert found.derivative == pytest.approx(worst)
    assert worst <= quiet.error <= 5.0 * worst
    assert quiet.error <= found.error <= 6.0 * worst


def test_a_function_may_spoil_the_theta_it_is_given():
    def spoiling(x):
        cost = rosenbrock(x)
        x[:] = np.nan
        return cost

    theta = np.array([-1.2, 1.0])
    expected = central_differences.gradient(rosenbrock, theta)
    np.testing.assert_array_equal(central_differences.gradient(spoiling, theta), expected)
    np.testing.assert_array_equal(theta, [-1.2, 1.0])


@pytest.mark.parametrize("edge", [1.5, 3.0, 6.0])
def test_values_that_are_not_finite_leave_nothing_known(edge):
    def fun(x):
        return x[0] if x[0] < edge * central_differences.STEP else np.nan

    _, error = central_differences.gradient(fun, np.zeros(1))
    assert (error[0] == np.inf) == (edge < 4.0)


WIDTHS = np.array([4e-3, 4e-5, 4e-7])

HAVE_KINKS = {  # function, and its slope just after 0; None without a kink
    "|x|": (np.abs, 1.0),
    "a bent side": (lambda t: np.where(t > 0, np.sin(t), 3 * np.expm1(t)), 1.0),
    "a node of a table": (lambda t: np.interp(t, [-1, 0, 1e-3, 1], [0, 2, 3, 0]), 1000.0),
    "sine": (lambda t: np.sin(t + 1), None),
    "x |x|": (lambda t: t * np.abs(t), None),
    "a kink beside": (lambda t: np.abs(t - 3e-6), None),
    "a root": (lambda t: np.sqrt(np.abs(t)), None),
    "a jump": (lambda t: np.where(t > 0, 1.0, 0.0), None),
    "steps": (lambda t: np.floor(t * 1e5 + 0.3) / 1e5, None),
    "an edge of steps": (lambda t: np.floor(t * 1e5) / 1e5, None),
    "noise": (lambda t: t + 1e-6 * np.random.default_rng(0).standard_normal(np.shape(t)), None),
}


@pytest.mark.parametrize("name", HAVE_KINKS)
def test_a_kink_has_the_same_jump_at_two_widths(name):
    f, slope = HAVE_KINKS[name]
    values = f(central_differences.POINTS[:, None, None] * WIDTHS[:, None])
    found = central_differences.kinks_from(values, f(np.zeros(1)), WIDTHS[:, None], 16 * 2.0**-53)
    assert found.is_kink == (slope is not None)
    if slope is not None:
        assert np.abs(found.slope - slope) <= found.error <= 1e-4 * slope
