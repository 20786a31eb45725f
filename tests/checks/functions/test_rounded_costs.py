"""Costs that cancel or round to a constant: what is right there is not called wrong, and errors that show are seen."""

import math

import numpy as np
import pytest
from scipy.special import erf, expit, logsumexp

from harness import check_gradient
from harness.facts.fact import Severity
from harness.facts.kinds import Kind


def summed(cost, slope):
    """A function of many numbers that adds up a function of one."""
    return lambda t: (float(np.sum(cost(t))), slope(t))


def softmax_loss(t):
    p = np.exp(t - t.max())
    return float(-np.log(p[0] / p.sum())), np.exp(t - logsumexp(t)) - np.eye(t.size)[0]


log1p = summed(lambda t: np.log(1.0 + np.exp(-t)), lambda t: -1.0 / (1.0 + np.exp(t)))
one_minus_tanh = summed(lambda t: 1.0 - np.tanh(t), lambda t: -1.0 / np.square(np.cosh(t)))
one_minus_erf = summed(lambda t: 1.0 - erf(t), lambda t: -2.0 / np.sqrt(np.pi) * np.exp(-t * t))
minus_log_sigma = summed(lambda t: -np.log(1.0 / (1.0 + np.exp(-t))), lambda t: -expit(-t))
squareplus = summed(lambda t: 0.5 * (t + np.sqrt(t * t + 4.0)), lambda t: 1.0 / (t * t + 4.0))
hinge = summed(lambda t: np.maximum(0.0, 1.0 - t), lambda t: np.where(t < 1.0, -1.0, 0.0))
tiny_square = lambda t: (log1p(t[:1])[0] + t[1] ** 2, np.append(log1p(t[:1])[1], 2.0 * t[1]))  # noqa: E731
beside_a_constant = lambda t: (1e-6 + log1p(t)[0], log1p(t)[1])  # noqa: E731
of_another_size = lambda t: (1e6 * log1p(t)[0], 1e6 * log1p(t)[1])  # noqa: E731

HIDDEN = {
    "log1p on a step": (log1p, [36.5]),
    "log1p": (log1p, [40.0]),
    "beside a constant": (beside_a_constant, [37.5]),
    "of another size": (of_another_size, [40.0]),
    "1 - tanh": (one_minus_tanh, [25.0]),
    "1 - erf": (one_minus_erf, [7.0]),
    "softmax": (softmax_loss, [50.0, 0.0, 1.0]),
    "squareplus": (squareplus, [-3e8]),
    "a root of what rounds": (
        summed(lambda t: np.sqrt(1.0 - np.square(np.tanh(t))), lambda t: -np.tanh(t) / np.cosh(t)),
        [20.0],
    ),
    "log of 1 and a little": (
        summed(lambda t: np.log(1.0 + 1e-18 * np.exp(t)), lambda t: 1e-18 * np.exp(t)),
        [1.0, 2.0],
    ),
}


@pytest.mark.parametrize(("fun", "theta"), HIDDEN.values(), ids=list(HIDDEN))
def test_where_the_cost_rounds_to_a_constant_what_is_right_is_undecided(fun, theta):
    report = check_gradient(fun, np.array(theta))
    assert report.verdict == "inconclusive", report
    (doubt,) = (fact for fact in report.facts if fact.severity == Severity.DOUBT)
    assert doubt.kind in (Kind.NOISY_COST, Kind.COST_JUMPS)
    _, gradient = fun(np.array(theta))
    assert np.abs(gradient).min() < doubt.data["visible"] < 1e-6 * max(1.0, 1e5 * (fun is of_another_size))


@pytest.mark.parametrize(
    ("fun", "theta"),
    [
        (log1p, [40.0, 0.3]),
        (tiny_square, [40.0, 1e-9]),
        (tiny_square, [36.5, 1e-9]),
        (hinge, [3.0, 5.0]),
        (hinge, [3.0, 0.2]),
        (summed(np.floor, np.zeros_like), [2.5, 0.3]),
        (summed(np.zeros_like, np.zeros_like), [2.5, 0.3]),
    ],
)
def test_a_constant_beside_larger_derivatives_or_one_of_slope_zero_agrees(fun, theta):
    report = check_gradient(fun, np.array(theta))
    assert report.verdict == "agree"
    assert report.smallest_visible[0] > 0.0, "what is constant may have rounded"


OFF = {
    "by 1e-6 of log1p": (log1p, [40.0], 1e-6),
    "by 1e-9 in one of two": (log1p, [40.0, 0.3], np.array([1e-9, 0.0])),
    "by 1 of 1 - tanh": (one_minus_tanh, [25.0], 1.0),
    "by 1e-3 of 1 - erf": (one_minus_erf, [7.0], 1e-3),
    "by 1e-8 in a softmax": (softmax_loss, [50.0, 0.0, 1.0], np.array([1e-8, 0.0, 0.0])),
    "by 1 of squareplus": (squareplus, [-3e8], 1.0),
    "by 1e-6 of a hinge": (hinge, [3.0, 5.0], 1e-6),
    "by 1 of a step": (summed(np.floor, np.zeros_like), [2.5, 0.3], 1.0),
    "by 1e-3 of nothing": (summed(np.zeros_like, np.zeros_like), [2.5, 0.3], 1e-3),
    "by 1e-12 of a small hinge": (lambda t: (1e-12 * hinge(t)[0], 1e-12 * hinge(t)[1]), [3.0], 1e-12),
    "by 1e-3 of another size": (of_another_size, [40.0], 1e-3),
}


@pytest.mark.parametrize(("fun", "theta", "off"), OFF.values(), ids=list(OFF))
def test_an_error_above_what_the_cost_rounds_to_is_seen(fun, theta, off):
    report = check_gradient(lambda t: (fun(t)[0], fun(t)[1] + off), np.array(theta))
    assert report.verdict == "disagree", report


# Jumps of the second derivative


def huber(t):
    return float(np.sum(np.where(np.abs(t) <= 1.0, 0.5 * t * t, np.abs(t) - 0.5))), np.clip(t, -1.0, 1.0)


def contact(t):
    return float(np.sum(np.square(np.maximum(t, 0.0)))), 2.0 * np.maximum(t, 0.0)


def signed_square(t):
    return float(np.sum(t * np.abs(t))), 2.0 * np.abs(t)


def elu(t):
    return float(np.sum(np.where(t > 0.0, t, np.expm1(np.minimum(t, 0.0))))), np.exp(np.minimum(t, 0.0))


BENDS = {
    "x|x| at 0": (signed_square, [0.0, 0.3]),
    "x|x| about 0": (signed_square, np.linspace(-0.01, 0.01, 21)),
    "Huber at δ": (huber, [1.0, 0.3, 2.0]),
    "Huber about δ": (huber, 1.0 + np.linspace(-0.01, 0.01, 21)),
    "contact just touching": (contact, [0.0, 0.7]),
    "contact about to touch": (contact, np.linspace(-0.01, 0.01, 21)),
    "elu at 0": (elu, [0.0, 1.0]),
}


@pytest.mark.parametrize(("fun", "theta"), BENDS.values(), ids=list(BENDS))
def test_at_a_jump_of_the_second_derivative_what_is_right_stays_well_within_its_bound(fun, theta):
    report = check_gradient(fun, np.array(theta))
    assert report.verdict == "agree"
    assert report.margin < 0.25
    off = lambda t: (fun(t)[0], fun(t)[1] + 1e-4)  # noqa: E731
    assert check_gradient(off, np.array(theta)).verdict == "disagree"


def log_loss_at(z):
    """Cross-entropy by log(p) and log(1 - p), of which the first example is sure of the wrong class."""
    X, y = np.array([[1.0], [0.01]]), np.array([0.0, 1.0])

    def fun(w):
        p = 1.0 / (1.0 + np.exp(-X @ w))
        return -np.mean(y * np.log(p) + (1.0 - y) * np.log(1.0 - p)), X.T @ (p - y) / 2.0

    return fun, np.array([z])


def in_part_float32(w):
    return float(np.float32(0.01 * np.sin(w[0]))) + w @ w, 0.01 * np.cos(w) + 2.0 * w


def sure_of_the_wrong_class(seed, factor=1.0, dropped=()):
    """A logistic regression with an example whose log(1 - p) climbs by jumps that may be as wide as a parameter."""
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((50, 10)), rng.standard_normal(10)
    y = (X @ w > 0) * 1.0
    X[0] *= rng.uniform(30.0, 36.7) / (X[0] @ w)
    y[0] = 0.0

    def fun(w):
        p = 1.0 / (1.0 + np.exp(-X @ w))
        cost = -np.mean(y * np.log(p) + (1.0 - y) * np.log(1.0 - p)) + 0.05 * w @ w
        off = p - y
        off[list(dropped)] = 0.0
        return cost, factor * X.T @ off / 50.0 + 0.1 * w

    return fun, w


def guarded(keep_away, slope):
    """A logistic regression with coins for labels, whose probabilities are kept away from 0 and 1 before the log."""
    rng = np.random.default_rng(7)
    X, w = rng.standard_normal((30, 4)), rng.standard_normal(4)
    y = (rng.random(30) < 0.5) * 1.0

    def fun(w):
        p = 1.0 / (1.0 + np.exp(-X @ w))
        cost = -(y * np.log(keep_away(p)) + (1.0 - y) * np.log(keep_away(1.0 - p)))
        return float(cost.mean() + 0.005 * w @ w), X.T @ slope(p, y) / 30.0 + 0.01 * w

    return fun, 8.0 * w


def logistic_in_floats(seed):
    """Cross-entropy by log(1 - p) over Python's own floats, which have no type with more digits."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(5, 60)), int(rng.integers(1, 6))
    X = rng.normal(size=(m, n)) * rng.uniform(1.0, 8.0)
    X *= np.where(rng.random(m) < 0.5, -1.0, 1.0)[:, np.newaxis]
    w = rng.normal(size=n) * rng.uniform(0.5, 3.0)

    def fun(w):
        p = [1.0 / (1.0 + math.exp(-z)) for z in (X @ w).tolist()]
        return -sum(math.log(1.0 - each) for each in p) / m, X.T @ np.array(p) / m

    return fun, w


def quadratic_formula(t):
    a, b, c = t
    x = (-b + np.sqrt(b * b - 4.0 * a * c)) / (2.0 * a)
    return x, -np.array([x * x, x, 1.0]) / (2.0 * a * x + b)


def rounded_squares(width):
    return lambda t: (float(np.sum(np.square(np.round(t / width) * width))), np.zeros_like(t))


IN_PART = {
    **{f"log loss at {z}": log_loss_at(z) for z in (30.5, 31.7, 33.2, 35.3, 36.1)},
    "log(1 - p) alone": (summed(lambda t: -np.log(1.0 - 1.0 / (1.0 + np.exp(-t))), expit), np.array([35.7])),
    **{f"sure of the wrong class, {seed}": sure_of_the_wrong_class(seed) for seed in (1, 7)},
    **{f"squares rounded to {x}": (rounded_squares(x), np.array([0.3, -1.3, 0.7])) for x in (1e-2, 1e-4, 1e-5)},
    **{f"a term in float32, {w}": (in_part_float32, np.array([w])) for w in (0.126, -0.6, 1.3)},
    **{f"logistic regression in Python's floats, {seed}": logistic_in_floats(seed) for seed in (9, 73, 193, 431)},
    "log(p + ε)": guarded(
        lambda p: p + 1e-15, lambda p, y: p * (1.0 - p) * ((1.0 - y) / (1.0 - p + 1e-15) - y / (p + 1e-15))
    ),
    "log of p clipped": guarded(lambda p: np.clip(p, 1e-15, 1.0 - 1e-15), lambda p, y: (p - y) * (np.abs(p - y) < 1.0)),
    "a root by the formula": (quadratic_formula, np.array([1.0, 1e5, 1.0])),
}


@pytest.mark.parametrize(("fun", "theta"), IN_PART.values(), ids=list(IN_PART))
def test_a_cost_that_rounds_in_part_accuses_nobody_and_hides_no_gross_error(fun, theta):
    with np.errstate(all="ignore"):
        assert check_gradient(fun, theta).verdict != "disagree"
        wrong = check_gradient(lambda w: (fun(w)[0], 2.0 * fun(w)[1] + 1.0), theta)
    assert wrong.verdict != "agree"


def test_where_digits_are_lost_nan_is_wrong():
    fun, theta = log_loss_at(33.2)
    two = lambda t: (fun(t[:1])[0] + t[1] ** 2, np.append(fun(t[:1])[1], np.nan))  # noqa: E731
    assert check_gradient(two, np.append(theta, 0.3)).verdict == "disagree"


def one_entry_off(t):
    return float(-np.logaddexp(0.0, -t).sum()), expit(-t) * np.where(t == -12.0, 1.01, 1.0)


@pytest.mark.parametrize(
    ("fun", "theta"),
    [(lambda w, z=z: (log_loss_at(z)[0](w)[0], 2.0 * log_loss_at(z)[0](w)[1]), np.array([z])) for z in (33.2, 35.3)]
    + [sure_of_the_wrong_class(seed, 1.5) for seed in (0, 1)]
    + [sure_of_the_wrong_class(seed, dropped=[0]) for seed in (0, 1)]
    + [(one_entry_off, np.array([-12.0, -1e-5, 1e-5, 11.0]))],
)
def test_jumps_hide_no_factor_and_no_example(fun, theta):
    """The last cost is smooth, and bends within a wide stretch about θ."""
    with np.errstate(all="ignore"):
        assert check_gradient(fun, theta).verdict == "disagree"


BESIDE_A_MINIMUM = {
    "log cosh": (summed(lambda t: np.log(np.cosh(t)), np.tanh), (2.5e-6, 1e-7)),
    "1 - cos": (summed(lambda t: 1.0 - np.cos(t), np.sin), (1e-8, 1e-6)),
    "pseudo-Huber": (summed(lambda t: np.sqrt(1.0 + t * t) - 1.0, lambda t: t / np.sqrt(1.0 + t * t)), (1e-9, 1e-7)),
}


@pytest.mark.parametrize("name", BESIDE_A_MINIMUM)
def test_beside_a_minimum_that_rounds_a_gradient_of_zero_is_wrong(name):
    """The cost is constant about θ, by its rounding; a wider step shows the slope."""
    fun, places = BESIDE_A_MINIMUM[name]
    for place in places:
        theta = np.array([place])
        assert check_gradient(fun, theta).verdict == "agree"
        for factor in (0.0, 0.5, 2.0):
            wrong = check_gradient(lambda t, factor=factor: (fun(t)[0], factor * fun(t)[1]), theta)
            assert wrong.verdict == "disagree"
