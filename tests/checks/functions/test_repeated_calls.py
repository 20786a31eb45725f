"""What a function does from call to call: what changes, what is kept, and what is no fault."""

import warnings

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


def of_first_norm():
    """The norm that divides the gradient is kept from the first call."""
    kept = []

    def fun(t):
        kept.append(np.linalg.norm(t))
        unit = t / kept[-1]
        cosine = np.cos(unit)
        return np.sum(np.sin(unit)), (cosine - unit * (unit @ cosine)) / kept[0]

    return fun


def of_first_hidden_layer():
    kept = []

    def fun(t):
        kept.append(np.tanh(t[0] + t[1]))
        return t[2] * kept[-1], np.array([t[2] * (1.0 - kept[0] ** 2)] * 2 + [kept[0]])

    return fun


def product(t):
    return np.sum(np.sin(t)) + np.prod(t), np.cos(t) + np.prod(t) / t


def product_of_blocks(t):
    return float(t["w"] @ t["w"] * np.sin(t["b"])), {
        "w": 2.0 * t["w"] * np.sin(t["b"]),
        "b": t["w"] @ t["w"] * np.cos(t["b"]),
    }


def keyed(key, fun=product):
    """What was computed for a part of θ is taken for all of it."""
    kept = {}

    def answer(t):
        cost, gradient = fun(t)
        return cost, kept.setdefault(key(t), gradient)

    return answer


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
    "of the first call": (of_first_call(), Kind.CACHED_GRADIENT, {"is_same": True}),
    "of the first call, in part": (of_first_norm(), Kind.CACHED_GRADIENT, {"is_same": False}),
    "hidden units of the first call": (of_first_hidden_layer(), Kind.CACHED_GRADIENT, {}),
    "keyed by the first of θ": (keyed(lambda t: t[0]), Kind.CACHED_GRADIENT, {"is_same": True}),
    "keyed by the square": (keyed(lambda t: round(t @ t, 9)), Kind.CACHED_GRADIENT, {"is_same": True}),
    "in place": (mutating, Kind.ARGUMENT_CHANGED, {"argument": "theta"}),
}


@pytest.mark.parametrize(("fun", "kind", "data"), BROKEN_RULES.values(), ids=list(BROKEN_RULES))
def test_a_broken_rule_is_the_only_reason(fun, kind, data):
    report = check_gradient(fun, THETA.copy())
    assert (report.verdict, report.outliers, report.findings) == ("disagree", ("fun",), ())
    (reason,) = report.reasons
    assert (reason.kind, reason.where, dict(reason.data)) == (kind, ("fun",), reason.data | data)
    assert report.notes == ()


@pytest.mark.parametrize("block", ["w", "b"])
def test_a_cache_keyed_by_one_block_is_named(block):
    fun = keyed(lambda t: t[block].tobytes(), product_of_blocks)
    report = check_gradient(fun, {"w": THETA, "b": np.array(0.4)})
    assert (report.verdict, kinds_of(report.reasons)) == ("disagree", (Kind.CACHED_GRADIENT,))


@pytest.mark.parametrize("constant", [1e7, 1e8, 3e8])
def test_a_cache_is_found_beside_a_large_constant(constant):
    for fun in (lambda t: (constant + np.sin(t).sum(), np.cos(t)), lambda t: (constant + t @ t, 2.0 * t)):
        assert check_gradient(fun, THETA).verdict == "agree"
        report = check_gradient(lambda t, fun=fun: (fun(t)[0], fun(THETA)[1]), THETA)
        assert (report.verdict, kinds_of(report.reasons)) == ("disagree", (Kind.CACHED_GRADIENT,))


def test_a_cache_that_noise_hides_is_a_doubt():
    fun = lambda t: (1e9 + np.sin(t).sum(), np.cos(THETA))  # noqa: E731
    report = check_gradient(fun, THETA)
    assert (report.verdict, kinds_of(report.reasons)) == ("inconclusive", (Kind.CACHED_GRADIENT,))
    assert check_gradient(lambda t: (1e9 + t.sum(), np.ones(3)), THETA).verdict == "agree"


@pytest.mark.parametrize("size", [2, 8, 13, 16, 40, 300])
@pytest.mark.parametrize("key", [np.sum, np.linalg.norm, sum, np.mean, lambda t: hash(tuple(sorted(t)))])
def test_a_cache_keyed_by_a_number_of_all_is_found(key, size):
    fun = keyed(key, lambda t: (np.sum(np.exp(t)), np.exp(t)))
    report = check_gradient(fun, np.random.default_rng(size).standard_normal(size))
    assert (report.verdict, kinds_of(report.reasons)) == ("disagree", (Kind.CACHED_GRADIENT,))


@pytest.mark.parametrize("theta", [(0.5, 0.501, 2.0, -1.0), (1.0, 1.0001, 1.0002, 5.0), (0.3, 0.3, -0.7, -0.7001)])
def test_numbers_that_are_nearly_equal_hide_no_cache_that_is_keyed_by_their_sum(theta):
    fun = keyed(np.sum, lambda t: (np.sum(np.exp(t)), np.exp(t)))
    assert check_gradient(fun, np.array(theta)).verdict == "disagree"


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
    "a kink one step away": lambda t: (np.sum(np.abs(t - THETA - 2.0**-9)), np.sign(t - THETA - 2.0**-9)),
    "a jump one step away": lambda t: (np.sum(t) + (t[0] > 0.3 + 2.0**-11), np.ones(3)),
    "in steps of rounding": lambda t: (np.float32(np.sum(t)), np.ones(3)),
    "winding at a step": lambda t: (1e-7 * np.sum(t) + np.sum(1e9 * t % 2.0), 1e9 * np.ones(3) + 1e-7),
}


MOVING = {
    "cached with its θ": keyed(lambda t: t.tobytes()),
    "steeper than its step": lambda t: (np.sum(np.tanh(1e6 * t)), 1e6 / np.cosh(np.clip(1e6 * t, -300, 300)) ** 2),
    "bent within a step": lambda t: (
        np.sum(np.abs(t - THETA - 1e-3) ** 1.5),
        1.5 * np.sqrt(np.abs(d := t - THETA - 1e-3)) * np.sign(d),
    ),
    "rounded on the way": lambda t: (np.round(np.sum(np.sin(t)), 4), np.cos(t)),
    "in float32": lambda t: (np.sum(np.exp(t.astype(np.float32))), np.exp(t.astype(np.float32))),
    "noisy": lambda t: (np.sum(np.sin(t)) + 1e-9 * np.sin(1e12 * np.sum(t)), np.cos(t)),
    "a constant penalty one step away": lambda t: (
        np.sum(np.sin(t)) if t[0] < 0.3001 and t[1] > -0.7001 else 5.0,
        np.cos(t),
    ),
    "undefined one step away": lambda t: (np.sum(np.sqrt(THETA + 1e-4 - t)), -0.5 / np.sqrt(THETA + 1e-4 - t)),
    "a kink at a mirrored point": lambda t: (
        t[1:] @ t[1:] + abs(t[0] + 0.3),
        np.append(1.0 if t[0] >= -0.3 else -1.0, 2.0 * t[1:]),
    ),
    "a kink where two are swapped": lambda t: (
        np.sum(t) ** 2 + max(t[0] - t[1] + 1.0, 0.0),
        2.0 * np.sum(t) + np.array([1.0, -1.0, 0.0]) * (t[0] - t[1] >= -1.0),
    ),
    "units that switch": lambda t: (
        np.sum(np.maximum(t - THETA - 1e-3, 0.0)) + np.sum(np.sin(t)),
        np.cos(t) + (t > THETA + 1e-3),
    ),
}


@pytest.mark.parametrize("fun", (CONSTANT | MOVING).values(), ids=list(CONSTANT | MOVING))
def test_a_gradient_that_follows_the_slope_elsewhere_is_not_cached(fun):
    with np.errstate(all="ignore"):
        report = check_gradient(fun, THETA)
    assert report.verdict in ("agree", "inconclusive")
    assert Kind.CACHED_GRADIENT not in report.kinds


def test_numpy_does_not_warn_of_points_that_the_check_chose():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        report = check_gradient(lambda t: (np.sqrt(t).sum(), 0.5 / np.sqrt(t)), np.array([1.0, 2.0, 3.0]))
    assert (report.verdict, seen) == ("agree", [])


def test_settings_that_a_function_changes_are_noted_and_put_back():
    def fun(t):
        np.seterr(all="raise")
        return sines(t)

    before = np.geterr()
    report = check_gradient(fun, THETA)
    assert (report.verdict, kinds_of(report.notes)) == ("agree", (Kind.SETTINGS_CHANGED,))
    assert np.geterr() == before
