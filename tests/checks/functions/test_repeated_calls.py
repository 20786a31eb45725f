"""What a function does from call to call: what changes, what is kept, and what is no fault."""

import numpy as np
import pytest

from harness import check_gradient
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind

U = 2.0**-53
THETA = np.array([0.3, -0.7, 1.1])


def sines(t):
    return np.sum(np.sin(t)), np.cos(t)


def random(of_cost, of_gradient=0.0):
    rng = np.random.default_rng(0)
    return lambda t: (np.sum(np.sin(t)) + of_cost * rng.random(), np.cos(t) * (1.0 + of_gradient * rng.random()))


def accumulating():
    total = np.zeros(3)

    def fun(t):
        total[:] += np.cos(t)
        return np.sum(np.sin(t)), total.copy()

    return fun


def counting():
    calls = []

    def fun(t):
        calls.append(1.0)
        return np.sum(np.sin(t)) + 0.5 * len(calls), np.cos(t)

    return fun


def stale():
    last = []

    def fun(t):
        last.append(np.cos(t))
        return np.sum(np.sin(t)), last[-2] if len(last) > 1 else last[-1]

    return fun


def of_first_call():
    kept = []

    def fun(t):
        kept.append(np.cos(t))
        return np.sum(np.sin(t)), kept[0]

    return fun


def mutating(t):
    answer = sines(t)
    t *= 0.5
    return answer


BROKEN_RULES = {
    "random": (random(1.0), Kind.NOT_REPEATABLE, {"change": "random"}),
    "a little random": (random(1e-8), Kind.NOT_REPEATABLE, {"change": "random"}),
    "a gradient that is random": (random(0.0, 1e-9), Kind.NOT_REPEATABLE, {"change": "gradient"}),
    "accumulating": (accumulating(), Kind.NOT_REPEATABLE, {"change": "gradient-grows"}),
    "counting": (counting(), Kind.NOT_REPEATABLE, {"change": "cost-grows", "by": 0.5}),
    "stale": (stale(), Kind.STALE_GRADIENT, {"of": "last-call"}),
    "of the first call": (of_first_call(), Kind.CACHED_GRADIENT, {}),
    "in place": (mutating, Kind.ARGUMENT_CHANGED, {"argument": "theta"}),
}


@pytest.mark.parametrize(("fun", "kind", "data"), BROKEN_RULES.values(), ids=list(BROKEN_RULES))
def test_a_broken_rule_is_the_only_reason(fun, kind, data):
    report = check_gradient(fun, THETA.copy())
    assert (report.verdict, report.outliers, report.findings) == ("disagree", ("fun",), ())
    (reason,) = report.reasons
    assert (reason.kind, reason.where, dict(reason.data)) == (kind, ("fun",), reason.data | data)
    assert report.notes == ()


class Kept:
    """Cost and gradient apart, of which one leaves something for the other."""

    def __init__(self):
        self.cosine = np.zeros(3)

    def cost(self, t):
        self.cosine = np.cos(t)
        return np.sum(np.sin(t))


def test_a_gradient_of_the_last_cost_is_named():
    report = check_gradient((kept := Kept()).cost, THETA, gradient=lambda t: kept.cosine)
    (reason,) = report.reasons
    assert (report.verdict, reason.kind, reason.data["of"]) == ("disagree", Kind.STALE_GRADIENT, "last-cost")


def test_theta_of_the_caller_is_kept_and_what_is_random_known_after_three_calls():
    theta, points = THETA.copy(), []
    check_gradient(mutating, theta)
    np.testing.assert_array_equal(theta, THETA)
    fun = random(1.0)
    check_gradient(lambda t: points.append(t) or fun(t), THETA)
    assert len(points) == 3


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_last_bits_may_change_from_call_to_call(scale):
    """Threads add in any order."""
    flips = np.random.default_rng(0)

    def threaded(theta):
        jitter = 1.0 + 2.0 * U * flips.integers(-1, 2, 1 + len(theta))
        return scale * jitter[0] * (1.5 + np.sum(np.sin(theta))), scale * jitter[1:] * np.cos(theta)

    assert check_gradient(threaded, THETA).verdict == "agree"


def test_a_buffer_that_is_used_again_is_no_fault():
    buffer = np.empty(3)

    def frugal(theta):
        buffer[:] = np.cos(theta)
        return np.sum(np.sin(theta)), buffer

    assert check_gradient(frugal, THETA).verdict == "agree"


CONSTANT = {
    "linear": lambda t: (np.sum(t), np.ones(3)),
    "absolute values": lambda t: (np.sum(np.abs(t)), np.sign(t)),
    "a kink one step away": lambda t: (np.sum(np.abs(t - THETA - 2.0**-9)), np.sign(t - THETA - 2.0**-9)),
    "a jump one step away": lambda t: (np.sum(t) + (t[0] > 0.3 + 2.0**-11), np.ones(3)),
    "in steps of rounding": lambda t: (np.float32(np.sum(t)), np.ones(3)),
    "winding at a step": lambda t: (1e-7 * np.sum(t) + np.sum(1e9 * t % 2.0), 1e9 * np.ones(3) + 1e-7),
}


@pytest.mark.parametrize("fun", CONSTANT.values(), ids=list(CONSTANT))
def test_a_gradient_may_be_the_same_elsewhere_where_the_slope_is(fun):
    report = check_gradient(fun, THETA)
    assert report.verdict in ("agree", "inconclusive")
    assert Kind.CACHED_GRADIENT not in report.kinds


def test_settings_that_a_function_changes_are_noted_and_put_back():
    def fun(t):
        np.seterr(all="raise")
        return sines(t)

    before = np.geterr()
    report = check_gradient(fun, THETA)
    assert (report.verdict, kinds_of(report.notes)) == ("agree", (Kind.SETTINGS_CHANGED,))
    assert np.geterr() == before
