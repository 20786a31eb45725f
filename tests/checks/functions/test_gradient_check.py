"""A user's gradient against differences of the user's cost: what agrees, what is caught, what cannot be decided."""

import math
import os
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from own_rules import with_vjp
from scipy import special

from harness import check_gradient
from harness.checks.functions.cost_probe import STEPS
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind

DEEP = os.environ.get("HARNESS_PROFILE") == "deep"
"""Every seed with every scale, and more of them."""

THETA = np.array([0.3, -0.7, 1.1])


def theta_of(n=6, scale=1.0, seed=0):
    return scale * np.random.default_rng(seed).standard_normal(n)


def sines(theta):
    return np.sum(np.sin(theta)), np.cos(theta)


def changed(change, fun=sines):
    """`fun` with its gradient changed."""

    def answer(theta):
        cost, gradient = fun(theta)
        return cost, change(gradient.copy())

    return answer


def off_at(i, by=0.0, factor=1.0):
    def change(gradient):
        gradient[i] = gradient[i] * factor + by
        return gradient

    return change


def times(factor, fun=sines):
    return changed(lambda g: factor * g, fun)


def plus(offset, fun=sines):
    return changed(lambda g: g + offset, fun)


# One table: function, θ, verdict, and kinds of facts that explain it


def beside(constant, factor=1.0, size=1.0):
    return lambda t: (constant + size * np.sum(np.sin(t)), factor * size * np.cos(t))


def rosenbrock(t):
    x, y = t
    return 100 * (y - x * x) ** 2 + (1 - x) ** 2, np.array([-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)])


X = np.random.default_rng(0).normal(size=(20, 3))


def exact_fit(t):
    r = X @ t - X @ THETA
    return 0.5 * r @ r, X.T @ r


def absolute(t):
    return np.sum(np.abs(t)), np.sign(t)


def relu(t, at_zero=0.0):
    return np.sum(np.maximum(t, 0.0)), np.where(t == 0.0, at_zero, t > 0.0)


def claiming(slope):
    return lambda t: (np.sum(np.abs(t)), np.where(t == 0.0, slope, np.sign(t)))


def power(p):
    return lambda t: (np.sum(t**p), np.where(t == 0, np.nan, p * np.abs(t) ** (p - 1)))


def waves_of(frequency, linear=1.0):
    """A cost that rises by 1, with waves that its rounding hides and that have slopes as large."""

    def fun(t):
        return 1e6 + np.sum(t + np.sin(frequency * t) / frequency), linear + np.cos(frequency * t)

    return fun


def on_a_steep_slope(t, factor=1.0):
    """Waves whose height is a few roundings of the cost beside them."""
    return 1e8 * np.cosh(t[0]) + 1e-7 * np.sin(1e8 * t[0]), factor * (1e8 * np.sinh(t) + 10.0 * np.cos(1e8 * t))


def until(tolerance, factor=1.0, seed=20):
    """|z|² of z = tanh(W z + t), iterated up to a tolerance; its gradient is that of the exact solution."""
    W = 0.3 * np.random.default_rng(seed).normal(size=(4, 4))

    def fun(t):
        z, before = np.zeros(4), np.ones(4)
        while np.abs(z - before).max() >= tolerance:
            z, before = np.tanh(W @ z + t), z
        slope = 1.0 - z * z
        return z @ z, factor * slope * np.linalg.solve((np.eye(4) - slope[:, None] * W).T, 2.0 * z)

    return fun


def wiggling(slope):
    return lambda t: (np.sum(np.sin(t)) + 1e-10 * np.sum(np.sin(1e8 * t)), np.cos(t) + slope * np.cos(1e8 * t))


def wave(step):
    """The first differences see the same point of the wave again and again, and so a slope of zero."""
    speed = 2.0 * np.pi / step
    return lambda t: (np.sum(np.sin(speed * t)), speed * np.cos(speed * t))


def rounded_to_three_digits(t):
    return round(float(np.sum(np.sin(t))), 3), np.cos(t)


def quantised(width):
    def fun(t):
        rounded = np.round(t / width) * width
        return np.sum((rounded - 0.1) ** 2), 2.0 * (rounded - 0.1)

    return fun


def wall(t):
    return np.sum(np.where(t < 1.0, np.sin(t), 1e300)), np.cos(t)


def median(t, slope=1.0):
    order = np.argsort(t, kind="stable")
    gradient = np.zeros_like(t)
    gradient[order[len(t) // 2]] = slope
    return t[order[len(t) // 2]] + 0.1 * t @ t, gradient + 0.2 * t


def median_wrong_at_ties(t):
    cost, gradient = median(t)
    return cost, gradient + 4.0 * (t == 1.0)


def in_shares(which, factor=1.0):
    """One of the entries, whose slope all that are equal to it share, as PyTorch has it."""

    def fun(t):
        equal = t == which(t)
        return which(t), factor * equal / np.sum(equal)

    return fun


def quartic_of_half(t, factor=1.0):
    assert t.dtype == np.float16, "it is never differenced in float64"
    return np.sum(t**4, dtype=np.float16), np.float16(factor) * 4 * t**3


def circuit(p):
    """The voltage on a capacitor of 2 nF, at four times: its derivative in C is of size 1e8."""
    seconds = 1e-6 * np.arange(1, 5)
    v = np.exp(-seconds / (p["R"] * p["C"]))
    slope = 2.0 * (v - 0.3) * v * seconds / (p["R"] * p["C"])
    return np.sum((v - 0.3) ** 2), {"C": np.sum(slope) / p["C"], "R": np.sum(slope) / p["R"]}


def circuit_wrong(p):
    cost, gradient = circuit(p)
    return cost, {name: 1.01 * part for name, part in gradient.items()}


def steep_beyond(t, constant=0.5, factor=1.0):
    """Quartic in t[0] from 1e-8 on."""
    x, y = t
    return constant + (x / 1e-8) ** 4 + math.sin(y), np.array([4e32 * x**3, factor * math.cos(y)])


def interference(t):
    return np.sum(np.sin(1e-3 / t) ** 2), -1e-3 / t**2 * np.sin(2e-3 / t)


def steep(cost, slope, factor=1.0):
    """A coordinate whose derivative is steep beside one whose derivative is not."""
    return lambda t: (cost(t[0]) + t[1] ** 2, np.array([slope(t[0]), factor * 2 * t[1]]))


def probit(t, factor=1.0):
    """-log Φ, and its slope as exp(log φ - log Φ), which loses the digits that both logarithms need."""
    log_cdf = special.log_ndtr(t)
    return -np.sum(log_cdf), -factor * np.exp(-0.5 * t * t - 0.5 * np.log(2.0 * np.pi) - log_cdf)


def log_of(t):
    return math.log(t[0]) + math.log(t[1])


def dense_jumps(t):
    heights = np.random.default_rng(0).normal(size=(4, 40))
    return float(np.sum(np.floor(heights / t[:, None]) * np.linspace(-1.0, 1.5, 40))), np.zeros(4)


PLACES = np.linspace(-0.4, 0.4, 800_001)
TABLE = PLACES, np.sin(PLACES)
TIES, HALVES = [1.0, 1.0, 1.0, 2.0, 0.0], np.array([2.04, -2.56, 0.42, -0.57], np.float16)
FLAT = {"1": 1.0, "not a float32": 0.1}
FINE_WAVE = (lambda x: 1e-3 * math.sin(1e13 * x), lambda x: 1e10 * math.cos(1e13 * x))
KINK, NOISE = Kind.KINK, Kind.NOISY_COST

THETA4 = theta_of(4)

CASES = {
    "two errors that cancel": (changed(lambda g: off_at(1, by=-1e-3)(off_at(0, by=1e-3)(g))), THETA, "disagree"),
    # beside a large cost: an error is small beside derivatives, and never beside the cost
    "a constant of 1e3": (beside(1e3), THETA, "agree"),
    "1e11, seen over by wider steps": (beside(1e11, 0.9), THETA, "disagree"),
    "1e11": (beside(1e11), THETA, "inconclusive", NOISE),
    "1e13": (beside(1e13, 0.5), THETA, "inconclusive", NOISE),
    **{f"{c:g}, right": (beside(c), THETA, "agree") for c in (1e8, 1e9, -3e9)},
    **{f"{c:g}, an error of 1e-3": (beside(c, 0.999), THETA, "disagree") for c in (1e8, 1e9, -3e9)},
    "1e8, an error of 1e-4": (beside(1e8, 0.9999), THETA, "disagree"),
    "-1e7, beside small sines": (beside(-1e7, 0.9, 0.004), THETA, "disagree"),
    # at a minimum, the derivatives one step away are the measure
    "squares at their minimum": (lambda t: (np.sum((t - 1) ** 2), 2 * (t - 1)), np.ones(4), "agree"),
    "Rosenbrock at its minimum": (rosenbrock, np.ones(2), "agree"),
    "an exact fit": (exact_fit, THETA, "agree"),
    "Rosenbrock at its minimum, off": (plus(1e-6, rosenbrock), np.ones(2), "disagree", Kind.REGULARISER),
    "an exact fit, off": (plus(1e-6, exact_fit), THETA, "disagree", Kind.CONSTANT_ERROR),
    "a saddle": (lambda t: (t[0] ** 2 - t[1] ** 2, np.array([2, -2]) * t), np.zeros(2), "agree"),
    "a flat minimum": (lambda t: (t @ t**3, 4 * t**3), np.zeros(2), "agree"),
    # where the cost is flat, zero is right and anything else is wrong
    **{f"constant, {k}": (lambda t, c=c: (c, 0.0 * t), np.ones(3), "agree") for k, c in FLAT.items()},
    **{
        f"constant, {k}, off": (lambda t, c=c: (c, 0.0 * t + 1e-6), THETA, "disagree", Kind.FLAT_COST)
        for k, c in FLAT.items()
    },
    # at kinks nothing is decided, unless the report lies outside both slopes
    **{f"abs at {x}": (absolute, [x, 1.0], "inconclusive", KINK) for x in (0.0, 1e-300, 1e-12)},
    "abs at -1e-9": (absolute, [-1e-9, 1.0], "inconclusive"),
    **{f"relu, {x} at 0": (lambda t, x=x: relu(t, x), [0.0, 1.0], "inconclusive", KINK) for x in (0.0, 0.5, 1.0)},
    **{f"abs, {x} at 0": (claiming(x), [0.0, 1.0], "inconclusive", KINK) for x in (-1.0, 0.0, 0.4, 1.0)},
    **{f"abs, {x} at 0": (claiming(x), [0.0, 1.0], "disagree", KINK) for x in (1.001, 2.0, -1.5, -5.0, np.nan)},
    "a small kink on a slope": (
        lambda t: (np.sum(t + 1e-3 * np.abs(t)), 1.0 + 1e-3 * np.sign(t)),
        [0.0, 1.0],
        "inconclusive",
        KINK,
    ),
    "errors beside a kink": (changed(off_at(1, by=0.1), absolute), [0.0, 1.0], "disagree", Kind.SINGLE_ENTRY),
    **{f"abs, {x} away": (absolute, [x], "agree") for x in (1e-6, -1e-5, 1e-3, -0.01, 0.1, 3.0)},
    **{f"relu, {x} away, off": (plus(1e-3, relu), [x], "disagree") for x in (1e-6, -1e-5, 1e-3, -0.01, 0.1, 3.0)},
    "the larger of equals": (
        lambda t: (np.max(t), 0.5 * (t == np.max(t))),
        [1.0, 1.0, 0.0],
        "inconclusive",
        KINK,
    ),
    **{
        f"the largest at {at}, in full to each": (
            lambda t, near=near: (np.max(t), 1.0 * (np.max(t) - t <= near)),
            at,
            "inconclusive",
            Kind.KINKS_TOGETHER,
        )
        for near, at in ((0.0, [1.0, 1.0, 0.0]), (1e-6, [1e3, 1e3, 1e3]))
    },
    "very many jumps beside θ": (dense_jumps, [0.2, 0.1, -0.013, -15.0], "agree"),
    "partial derivatives without a gradient": (
        lambda t: (np.sqrt(np.abs(t[0] * t[1])), np.zeros(2)),
        [0.0, 0.0],
        "inconclusive",
        KINK,
    ),
    **{
        f"{name}, which has partial derivatives at 0 and is not continuous": (
            lambda t, f=f, s=s: (s * t.sum() + (0.0 if not t.any() else f(*t)), np.full(2, s)),
            [0.0, 0.0],
            "inconclusive",
            Kind.ROUGH_COST,
        )
        for name, s, f in (
            ("xy/(x²+y²)", 0.0, lambda x, y: x * y / (x * x + y * y)),
            ("xy/(x²+y²) on a slope", 1.0, lambda x, y: x * y / (x * x + y * y)),
            ("x²y²/(x⁴+y⁴) beside a sine", 0.0, lambda x, y: (x * y) ** 2 / (x**4 + y**4) + np.sin(x + y) - x - y),
        )
    },
    "a jump at θ": (lambda t: (np.sum(np.floor(t)), np.zeros(2)), [1.0, 1.7], "inconclusive", Kind.ROUGH_COST),
    # each of three ties moves alone without moving the median, and yet a subgradient is no bug
    "median": (median, [0.4, -1.0, 2.0, 0.1, 3.0], "agree"),
    "median of ties": (median, TIES, "inconclusive", KINK),
    "median of ties, wrong": (median_wrong_at_ties, TIES, "disagree"),
    "median of ties, off elsewhere": (plus(np.array([0, 0, 0, 0.1, 0]), median), TIES, "disagree"),
    # where many kinks meet, few points nearby show all slopes
    "median of seven ties, a share each": (in_shares(np.median), np.ones(7), "inconclusive", KINK),
    "median of seven ties, eight times the share": (in_shares(np.median, 8.0), np.ones(7), "disagree"),
    "no ties": (lambda t: (t @ t, 2.0 * t + (t == 1.0)), [1.0, 0.5], "disagree", Kind.WRONG_AT_POINT),
    # at and near the end of the domain
    "NaN where the slope from inside is finite": (power(2.5), [0.0, 1.0], "disagree", Kind.NOT_FINITE),
    "NaN where the slope from inside is infinite": (power(0.5), [0.0, 1.0], "inconclusive"),
    "too near an edge": (
        lambda t: (np.sum(t * np.log(t)), np.log(t) + 1),
        [1e-12, 0.5],
        "inconclusive",
        Kind.DOMAIN_EDGE,
    ),
    "a wall of 1e300": (times(1.001, wall), [1.0 - 1e-3, 0.5], "disagree"),
    "errors raised nearby": (lambda t: (log_of(t), 1.0 / t), [1e-3, 0.5], "agree", Kind.RAISED_NEARBY),
    "errors raised nearby, wrong": (lambda t: (log_of(t), 1.001 / t), [1e-3, 0.5], "disagree", Kind.RAISED_NEARBY),
    "a report of 0 at a tiny scale": (
        lambda t: (np.exp(-1e12 * t).sum(), 0.0 * t),
        [1e-12, 3e-12],
        "disagree",
        Kind.ZERO,
    ),
    "nearly too large": (lambda t: (np.sum(np.exp(t)), np.exp(t)), [709.5], "inconclusive", Kind.DOMAIN_EDGE),
    **{
        f"nearly too large, times {factor}": (
            lambda t, k=factor: (1e307 * np.sum(np.sin(t)), k * 1e307 * np.cos(t)),
            THETA,
            v,
        )
        for factor, v in ((1.0, "agree"), (1.01, "disagree"))
    },
    **{
        f"a derivative that is too large for a step, times {factor}": (
            lambda t, k=factor: (np.sum(t**4), k * 4.0 * t**3),
            [1.1e77],
            "inconclusive",
            Kind.DOMAIN_EDGE,
        )
        for factor in (1.0, 1.01)
    },
    "a cost that is not finite": (lambda t: (np.inf, t), [1.0, 2.0], "inconclusive", Kind.COST_NOT_FINITE),
    # scales far below 1
    "nanofarads": (circuit, {"C": 2e-9, "R": 1e3}, "agree"),
    "nanofarads, wrong": (circuit_wrong, {"C": 2e-9, "R": 1e3}, "disagree"),
    "near a pole": (lambda t: (np.sum(1.0 / t), -1.0 / t**2), [1e-6], "agree"),
    "across a pole, a sign": (
        changed(off_at(1, factor=-1.0), lambda t: (np.sum(1 / t), -1 / t**2)),
        [0.05, 0.9],
        "disagree",
    ),
    "near a pole, one forgotten": (
        changed(off_at(0, factor=0.0), lambda t: (np.sum(special.gammaln(t)), special.digamma(t))),
        [0.2, 0.7, 1.3, 3.1],
        "disagree",
        Kind.ZERO,
    ),
    "near a pole, wrong": (lambda t: (np.sum(1.0 / t), -1.01 / t**2), [1e-6], "disagree"),
    **{
        f"tiny, and steep farther away, times {k}": (changed(off_at(0, factor=k), steep_beyond), [1e-9, 0.3], verdict)
        for k, verdict in ((1.0, "agree"), (0.0, "disagree"), (2.0, "disagree"), (1.01, "disagree"))
    },
    "beside a tiny one, below rounding": (lambda t: steep_beyond(t, 1e13, 2.0), [1e-9, 0.3], "inconclusive", NOISE),
    "many periods away": (sines, [1e6], "agree"),
    "many periods away, wrong": (times(1.01), [1e6], "disagree"),
    "seconds since 1970": (lambda t: (np.sum(np.sin(t / 86400)), np.cos(t / 86400) / 86400), [1.75e9], "agree"),
    "a step far away": (lambda t: (np.sum(np.tanh(t - 1e5)), 1 / np.cosh(t - 1e5) ** 2), [1e5 + 0.3], "agree"),
    "an interference": (interference, [550e-13], "inconclusive"),
    "a number of float32 by chance": (lambda t: (np.sum(np.log(t)), 1.0 / t), [1e-8], "agree"),
    "a number of float32 by chance, off": (lambda t: (np.sum(np.log(t)), 1.0 / t + 400), [1e-8], "disagree"),
    # coordinates of very different sizes: a steep one hides no error in a flat one
    "log": (steep(math.log, lambda x: 1 / x), [1e-12, 1.0], "agree"),
    "log, wrong": (steep(math.log, lambda x: 1 / x, 1.005), [1e-12, 1.0], "disagree"),
    "log that bends at 0, wrong": (steep(lambda x: math.log(x + 1e-12), lambda x: 1e12, 1.005), [0.0, 1.0], "disagree"),
    "a wave of a few roundings": (steep(*FINE_WAVE), [1.0, 1.0], "inconclusive"),
    "a wave of a few roundings, wrong": (steep(*FINE_WAVE, 1.005), [1.0, 1.0], "disagree"),
    "a fast wave, off by 1e-7": (
        changed(off_at(0, factor=1.0 + 1e-7), lambda t: (np.sum(np.sin(100.0 * t)), 100.0 * np.cos(100.0 * t))),
        THETA,
        "disagree",
    ),
    "wiggles too fine for the first step": (wiggling(0.0), THETA, "disagree"),
    "wiggles too fine, right": (wiggling(1e-2), THETA, "inconclusive"),
    "waves below the noise": (waves_of(1e10), [0.3, 0.7], "inconclusive"),
    "waves below the noise, twice": (times(2.0, waves_of(1e10)), [0.3, 0.7], "disagree"),
    "waves that are a few roundings high": (on_a_steep_slope, [0.3], "agree"),
    "waves that are a few roundings high, off": (lambda t: on_a_steep_slope(t, 1.0001), [0.3], "disagree"),
    **{f"exponentials of {z}": (probit, [z], "agree") for z in (-3.0, -142.5, -412.5)},
    "exponentials, off": (lambda t: probit(t, 1.0 + 1e-7), [-142.5], "disagree"),
    # costs that climb by jumps
    "rounded to three digits": (rounded_to_three_digits, theta_of(), "inconclusive", Kind.COST_JUMPS),
    "rounded to three digits, wrong": (times(2.0, rounded_to_three_digits), theta_of(), "disagree"),
    **{f"straight through, {w}": (quantised(w), [0.31, 0.72, -1.23, 5.2], "disagree") for w in (1.0, 0.25)},
    "straight through, by 5 bits": (quantised(1 / 31), [0.31, 0.72, -1.23, 5.2], "inconclusive"),
    "straight through, by 10 bits, twice": (times(2.0, quantised(1e-3)), theta_of(5), "disagree"),
    **{f"jumps of its own, {w}": (times(0.0, quantised(w)), [0.31, 0.72, -1.23, 5.2], "agree") for w in (1.0, 1 / 15)},
    "rounded to five digits, nothing reported": (
        lambda t: (np.sum(np.round(t, 5) ** 2), np.zeros(3)),
        [0.31, 0.72, -1.23],
        "inconclusive",
        Kind.COST_JUMPS,
    ),
    "a table, linear between its entries": (
        lambda t: (np.sum(np.interp(t, *TABLE)) + t @ t, np.cos(t) + 2.0 * t),
        [0.33333, -0.27777],
        "agree",
    ),
    "rounded in part, nothing reported": (
        lambda t: (np.sum(np.round(np.sin(t), 6)) + t @ t, np.zeros(3)),
        [0.273, -0.460, -0.918],
        "disagree",
    ),
    **{
        f"a solver that stops at {tolerance}": (until(tolerance), THETA4, "inconclusive", Kind.COST_JUMPS)
        for tolerance in (1e-3, 1e-5)
    },
    **{
        f"a solver that stops at {tolerance}, in one entry alone": (
            until(tolerance, seed=seed),
            THETA4,
            "inconclusive",
            Kind.COST_JUMPS,
        )
        for tolerance, seed in ((1e-3, 21), (1e-5, 24))
    },
    # low precision
    "half a float": (quartic_of_half, HALVES, "inconclusive"),
    "half a float, off": (lambda t: quartic_of_half(t, 1.01), HALVES, "inconclusive"),
    "half a float, in float64": (lambda t: (np.sum(t**4), 4 * t**3), HALVES, "inconclusive", Kind.GRADIENT_ROUNDING),
    "a gradient of float32": (changed(lambda g: g.astype(np.float32)), THETA, "agree", Kind.FLOAT32_GRADIENT),
    "a cost of float16": (lambda t: (np.float16(np.sum(np.sin(t))), np.cos(t)), theta_of(), "inconclusive"),
    "roots": (
        lambda t: (np.sum(np.sqrt(t * t + 1e-20)), t / np.sqrt(t * t + 1e-20)),
        [0.0, 1.0],
        "inconclusive",
        NOISE,
    ),
}
NOTHING_LOST = (
    "abs, 2.0 at 0",
    "a saddle",
    "a flat minimum",
    "a number of float32 by chance",
    "half a float",
    "half a float, off",
)


@pytest.mark.parametrize(
    ("fun", "theta", "verdict", "kinds"), [(*c[:3], c[3:]) for c in CASES.values()], ids=list(CASES)
)
def test_the_verdict_and_the_kinds_of_facts(fun, theta, verdict, kinds):
    with np.errstate(all="ignore"):
        report = check_gradient(fun, theta if isinstance(theta, dict) else np.asarray(theta))
    assert report.verdict == verdict, f"\n{report}"
    assert report.outliers == (("fun",) if verdict == "disagree" else ())
    assert report.kinds >= set(kinds), f"\n{report}"
    assert (report.findings == ()) == (verdict != "disagree")


@pytest.mark.parametrize("case", NOTHING_LOST)
def test_nothing_is_noted_that_is_not_so(case):
    report = check_gradient(CASES[case][0], np.asarray(CASES[case][1]))
    assert not {*kinds_of(report.notes)} & {Kind.DIGITS_LOST, Kind.FLOAT32_GRADIENT, Kind.RAISED_NEARBY}


def test_a_reason_names_its_coordinates_and_numbers():
    (kink,) = check_gradient(absolute, np.array([0.0, 1.0])).reasons
    assert (kink.where, dict(kink.data)) == (
        ("theta[0]",),
        {**kink.data} | {"undecided": 1, "total": 2, "left": pytest.approx(-1.0), "right": pytest.approx(1.0)},
    )
    (noise,) = check_gradient(beside(1e13), THETA).reasons
    assert noise.data["is_large"]
    at_one_kink = np.where(np.arange(100) == 7, 0.0, np.linspace(1.0, 2.0, 100))
    (few,) = check_gradient(absolute, at_one_kink).notes
    assert (few.kind, few.where, few.data["why"]) == (Kind.FEW_UNDECIDED, ("theta[7]",), ["kink"])
    (noise,) = check_gradient(CASES["roots"][0], np.array([0.0, 1.0])).reasons
    assert not noise.data["is_large"], "subtracting a constant is no advice there"
    beside_kinks = np.where(np.arange(1500) % 30, np.linspace(1.0, 2.0, 1500), 0.0)
    (noise,) = check_gradient(absolute, beside_kinks).reasons
    assert not noise.data["is_large"], "nor beside kinks in the same groups"


def scaled(function, scale, change=lambda gradient: gradient):
    return lambda theta: (scale * function[0](theta), change(scale * function[1](theta)))


@pytest.mark.parametrize("step", STEPS[:2])
@pytest.mark.parametrize("x", [0.1, 0.4, -0.7])
def test_a_wave_that_fits_a_stencil_raises_no_alarm(x, step):
    assert check_gradient(wave(step), np.array([x])).verdict != "disagree"


def test_agreement_tells_what_would_have_been_seen():
    report = check_gradient(sines, theta_of())
    assert (report.verdict, report.outliers, report.facts) == ("agree", (), ())
    assert [row.name for row in report.sources] == ["fun", "finite-difference"]
    assert report.subject == {"parameters": 6, "differenced": 6}
    smallest, largest = report.smallest_visible
    assert 0.0 < smallest <= largest < 1e-8
    for off, verdict in ((1.5 * largest, "disagree"), (0.01 * smallest, "agree")):
        assert check_gradient(changed(off_at(0, by=off)), theta_of()).verdict == verdict


CHARGE = 1.6e-19


@pytest.mark.parametrize("theta", [np.array([1.0, -2.0]) * CHARGE, np.array([CHARGE, 2.0])])
@pytest.mark.parametrize("off", [0.0, 1e-5])
def test_a_parameter_as_small_as_a_charge_moves_by_its_own_size(theta, off):
    def fun(t):
        e = np.exp(t[0] / CHARGE)
        return e * np.sin(t[1] / theta[1]), np.array(
            [(1.0 + off) * e * np.sin(t[1] / theta[1]) / CHARGE, e * np.cos(t[1] / theta[1]) / theta[1]]
        )

    assert check_gradient(fun, theta).verdict == ("disagree" if off else "agree")


@pytest.mark.parametrize("fun", [lambda t: (np.sum(np.exp(t)), np.exp(t)), lambda t: (1.0 + t @ t, 2.0 * t)])
def test_a_tiny_parameter_whose_size_does_not_matter_moves_as_others_do(fun):
    assert check_gradient(fun, np.array([1e-17, -3e-20])).verdict == "agree"


def test_derivatives_that_are_smaller_than_what_would_show_are_named():
    report = check_gradient(lambda t: (1e15 * math.sin(t[0]) + t[1], np.array([1e15 * math.cos(t[0]), 2.0])), THETA[:2])
    (hidden,) = report.blind_to
    assert (hidden.kind, hidden.where) == (Kind.BELOW_ROUNDING, ("theta[1]",))
    assert hidden.data["visible"] > 2.0


def test_a_zero_that_hides_a_derivative_is_named_and_one_where_the_cost_stays_is_not():
    def fun(t):
        return 1e10 * t[0] ** 2 + np.sin(t[1]) + 0.0 * t[2], np.array([2e10 * t[0], 0.0, 0.0])

    report = check_gradient(fun, np.array([1.0, 2.0, 3.0]))
    assert (report.verdict, [hidden.where for hidden in report.blind_to]) == ("agree", [("theta[1]",)])


def test_each_array_of_such_derivatives_is_named_with_what_would_show_in_it():
    def fun(p):
        a, b, c = (p[name] for name in "abc")
        return 1e15 * np.sin(a).sum() + b.sum() + 1e-3 * c.sum(), {
            "a": 1e15 * np.cos(a),
            "b": 1 + 0 * b,
            "c": 1e-3 + 0 * c,
        }

    hidden = check_gradient(fun, {"a": 1e3 + THETA, "b": 1.0 + THETA, "c": 1e-3 * THETA}).blind_to
    assert [fact.where for fact in hidden] == [("b",), ("c",)]
    assert hidden[0].data["visible"] != hidden[1].data["visible"]


@pytest.mark.parametrize(("size", "in_doubt"), [(1e-5, True), (1e-1, False), (0.0, False)])
@pytest.mark.parametrize("count", [3, 1200])
def test_an_array_hidden_by_the_noise_of_a_much_larger_one_is_undecided(size, in_doubt, count):
    def fun(p):
        cost = 1e6 * np.sum(np.cos(p["large"])) + size * np.sum(p["small"] ** 3)
        return cost, {"large": -1e6 * np.sin(p["large"]), "small": 3 * size * p["small"] ** 2}

    report = check_gradient(fun, {"large": theta_of(count), "small": 1.0 + np.arange(float(count)) % 3})
    assert report.verdict == ("inconclusive" if in_doubt else "agree")
    assert not in_doubt or Kind.NOISY_COST in report.kinds


@pytest.mark.parametrize("unit", [1e-200, 1e-100, 1e100, 1e200])
def test_the_unit_of_the_cost_may_be_anything(unit):
    fun = scaled((lambda t: np.sum(np.sin(t)), np.cos), unit)
    assert check_gradient(fun, theta_of()).verdict == "agree"
    assert check_gradient(times(1.001, fun), theta_of()).verdict == "disagree"


def test_the_same_question_gets_the_same_answer():
    first, second = (check_gradient(sines, theta_of()).to_dict() | {"seconds": 0.0} for _ in range(2))
    assert first == second


# Parameters


W = np.random.default_rng(3).standard_normal((2, 3))


def quartics(p):
    return sum((leaf**4).sum() for leaf in p.values()), {name: 4 * leaf**3 for name, leaf in p.items()}


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray], ids=["NumPy", "JAX"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_arrays_of_any_shape_and_precision(make, dtype):
    with jax.enable_x64(True):
        theta = make(W.astype(dtype))
        seen = []

        def fun(t, factor=1.0):
            seen.append(t)
            return (t**4).sum(), factor * 4 * t**3

        assert check_gradient(fun, theta).verdict == "agree"
        assert {(type(t), t.shape) for t in seen} == {(type(theta), (2, 3))}
        more = {np.longdouble} if make is np.asarray and dtype == np.float64 else {np.float64}
        assert {t.dtype for t in seen} == {np.dtype(each) for each in (dtype, *more)}, "more digits show what is lost"
        report = check_gradient(lambda t: fun(t, make(dtype(1.01))), theta)
        assert (report.verdict, report.outliers) == ("disagree", ("fun",))


# Precision and noise


jax_sines_and_cosines = jax.jit(jax.value_and_grad(lambda t: jnp.sum(jnp.sin(t))))

FLOAT32_INSIDE = {
    "float32 answers": lambda t: sines(t.astype(np.float32)),
    "float32 inside": lambda t: (float(sines(t.astype(np.float32))[0]), np.cos(t)),  # only the values give it away
    "JAX": lambda t: jax_sines_and_cosines(jnp.asarray(t)),  # where x64 is not enabled
}


@pytest.mark.parametrize("n", [1, 5, 30])
@pytest.mark.parametrize("fun", FLOAT32_INSIDE.values(), ids=list(FLOAT32_INSIDE))
def test_float32_inside_a_function_of_float64_raises_no_alarm(fun, n):
    for seed in range(4 if DEEP else 2):
        theta = theta_of(n, seed=seed)
        assert check_gradient(fun, theta).verdict == "agree"
        assert check_gradient(lambda t: (fun(t)[0], 1.01 * np.asarray(fun(t)[1])), theta).verdict == "disagree"


EXAMPLES = jnp.asarray(np.random.default_rng(1).normal(size=(50, 4)), jnp.float32)


def float32_loss(p):
    return jnp.mean(jnp.logaddexp(0.0, EXAMPLES @ p["w"] + p["b"]))


loss_and_gradient = jax.jit(jax.value_and_grad(float32_loss))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reference", [None, float32_loss])
def test_an_error_of_a_thousandth_in_float32_is_named(dtype, reference):
    theta = {"w": np.array([0.3, -0.2, 0.5, 1.0], dtype), "b": np.asarray(0.2, dtype)}

    def fun(p, factor=1.0):
        cost, gradient = loss_and_gradient({name: jnp.asarray(part) for name, part in p.items()})
        return cost, gradient | {"b": factor * gradient["b"]}

    assert check_gradient(fun, theta, reference).verdict == "agree"
    report = check_gradient(lambda p: fun(p, 1.001), theta, reference)
    assert (report.verdict, report.outliers, report.findings[0].where) == ("disagree", ("fun",), "b")


def noisy(size):
    """Sines with noise that is the same whenever θ is the same: an iterative solver, a table, a simulation."""

    def fun(theta):
        noise = np.random.default_rng(zlib.crc32(theta.tobytes())).standard_normal()
        return np.sum(np.sin(theta)) + size * noise, np.cos(theta)

    return fun


@pytest.mark.parametrize("size", [1e-14, 1e-12, 1e-10, 1e-8, 1e-4])
@pytest.mark.parametrize("n", [1, 30])
def test_noise_in_the_cost_raises_no_alarm(size, n):
    verdicts = {check_gradient(noisy(size), theta_of(n, seed=seed)).verdict for seed in range(8 if DEEP else 3)}
    assert "disagree" not in verdicts | {check_gradient(noisy(size), np.zeros(n)).verdict}
    assert verdicts == {"agree" if size < 1e-6 else "inconclusive"}


def test_a_bound_has_room_for_three_standard_deviations_of_the_noise():
    size, bounds = 1e-8, []
    for seed in range(40):
        report = check_gradient(changed(off_at(0, by=0.1), noisy(size)), theta_of(5, seed=seed))
        bounds += [finding.bound for finding in report.findings]
    assert len(bounds) >= 38, "now and then, noise hides an error of a tenth"
    room = np.mean(bounds) * STEPS[0] / (6.0 * size)
    assert 2.0 < room < 3.5, "a little less than 3, since few values tell of the noise"


# Kinks, ends of the domain, jumps


DOMAINS = {
    "log": (lambda t: (np.sum(np.log(t)), 1.0 / t), 0.0),
    "sqrt": (lambda t: (np.sum(np.sqrt(t)), 0.5 / np.sqrt(t)), 0.0),
    "arcsin": (lambda t: (np.sum(np.arcsin(t)), 1.0 / np.sqrt(1.0 - t**2)), 1.0),
    "barrier": (lambda t: (np.sum(np.where(t > 0.0, t, np.inf)), np.ones_like(t)), 0.0),
}


@pytest.mark.parametrize(("fun", "end"), DOMAINS.values(), ids=list(DOMAINS))
def test_near_the_end_of_a_domain_smaller_steps_tell_until_none_fits(fun, end):
    theta = np.array([abs(end - 1e-6), 0.5])
    assert check_gradient(fun, theta).verdict == "agree"
    assert check_gradient(changed(off_at(0, factor=1.001), fun), theta).verdict == "disagree"
    report = check_gradient(fun, np.array([abs(end - 1e-14), 0.5]))
    assert (report.verdict, [fact.where for fact in report.reasons]) == ("inconclusive", [("theta[0]",)])


def units(size, count, seed):
    """A few ReLU units whose kinks all lie within `size` of θ, their jumps of either sign."""
    rng = np.random.default_rng(seed)
    a, b, w = rng.normal(size=(count, 2)), size * rng.normal(size=count), rng.normal(size=count)
    return (lambda t: (w @ np.maximum(a @ t + b, 0.0), a.T @ (w * (a @ t + b > 0.0)))), size * rng.normal(size=2)


@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("count", [3, 10, 50])
def test_many_kinks_within_a_stencil_raise_no_alarm_and_hide_no_error(size, count):
    verdicts, seeds = [], 12 if DEEP else 6
    for seed in range(seeds):
        fun, theta = units(size, count, seed)
        assert check_gradient(fun, theta).verdict != "disagree", f"seed {seed}"
        verdicts.append(check_gradient(plus(0.1, fun), theta).verdict)
    assert "agree" not in verdicts
    assert verdicts.count("disagree") > seeds / 2


@pytest.mark.more
def test_kinks_along_random_directions_raise_no_alarm():
    """A ReLU network of more parameters than are differenced, many of its units near their kinks."""
    rng = np.random.default_rng(7)
    x, theta = rng.normal(size=(200, 30)), 0.3 * rng.normal(size=40 * 31)

    def fun(t):
        weights, v = t[:1200].reshape(30, 40), t[1200:]
        z = x @ weights
        r = np.maximum(z, 0.0) @ v - 1.0
        return 0.5 * r @ r, np.concatenate([(x.T @ (np.outer(r, v) * (z > 0.0))).ravel(), np.maximum(z, 0.0).T @ r])

    assert check_gradient(fun, theta).verdict == "agree"
    assert check_gradient(changed(off_at(3, by=1.0), fun), theta).verdict == "disagree"


WHOLE = np.random.default_rng(3).integers(-2, 3, size=(12, 3)).astype(float)


def relu_units(theta, slope=1.0):
    """Half squared errors of ReLU units whose weights and inputs are whole numbers, so that many sit on kinks."""
    weights, v = theta
    z = WHOLE @ weights.T
    off = np.maximum(z, 0.0) @ v - 1.0
    return 0.5 * off @ off, (slope * (np.outer(off, v) * (z > 0.0)).T @ WHOLE, np.maximum(z, 0.0).T @ off)


@pytest.mark.parametrize(("slope", "verdict"), [(1.0, "inconclusive"), (1.1, "disagree")])
@pytest.mark.parametrize("seed", [9, 16, 17, 32])
def test_units_on_kinks_together_may_all_have_the_slope_of_one_side(seed, slope, verdict):
    rng = np.random.default_rng(seed)
    theta = rng.integers(-2, 3, size=(4, 3)).astype(float), rng.integers(-2, 3, size=4).astype(float)
    assert check_gradient(lambda t: relu_units(t, slope), theta).verdict == verdict


def least_squares_in(dtype):
    A, b = np.random.default_rng(0).normal(size=(20, 5)), np.random.default_rng(1).normal(size=20)

    def fun(t):
        residual = (A.astype(dtype) @ t.astype(dtype)).astype(np.float32) - b
        return float(np.mean(residual**2)), 2.0 * A.T @ (A @ t - b) / 20.0

    return fun


JUMPS = {
    "added to a huge constant": lambda t: (np.sum(((1e12 + t) - 1e12) ** 2), 2.0 * t),
    "products in bfloat16": least_squares_in(jnp.bfloat16),
    # narrow steps see the second half alone, whose slope is not small
    "half in float32": lambda t: (
        float(np.sum(np.sin(t.astype(np.float32)))) + np.sum(np.sin(2.0 * t)),
        np.cos(t) + 2.0 * np.cos(2.0 * t),
    ),
}


@pytest.mark.parametrize("fun", JUMPS.values(), ids=list(JUMPS))
def test_a_cost_that_climbs_by_jumps_blames_nobody(fun):
    for seed in range(10 if DEEP else 4):
        theta = np.random.default_rng(seed).normal(size=5)
        assert check_gradient(fun, theta).verdict != "disagree", f"seed {seed}"
        assert check_gradient(times(-1.0, fun), theta).verdict != "agree", f"seed {seed}"


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_one_derivative_in_a_hundred_that_is_not_finite_is_no_agreement(broken):
    theta = np.linspace(1.0, 2.0, 100)
    theta[3] = 0.0

    def fun(t):
        gradient = 0.5 / np.sqrt(np.where(t == 0.0, 1.0, t))
        gradient[3] = broken
        return np.sum(np.sqrt(t)), gradient

    report = check_gradient(fun, theta)
    assert report.verdict == "inconclusive"
    assert [fact.where for fact in report.reasons if fact.kind == Kind.NOT_FINITE] == [("theta[3]",)]


# A second opinion


def jax_sines(theta):
    return jnp.sum(jnp.sin(theta))


wrongly_ruled_sin = with_vjp("wrongly_ruled_sin", jnp.sin, lambda x, g: (1.001 * jnp.cos(x) * g,))

REFERENCES = {
    "right": (sines, jax_sines, "agree", ()),
    "fun wrong": (changed(off_at(2, by=1e-6)), jax_sines, "disagree", ("fun",)),
    "fun a little wrong": (changed(off_at(2, by=1e-12)), jax_sines, "disagree", ()),  # differences take no side
    "rule wrong": (sines, lambda t: jnp.sum(wrongly_ruled_sin(t)), "disagree", ("jax",)),
    "NaN": (sines, lambda t: jax_sines(t) * jnp.nan, "disagree", ("jax",)),
    "cost shifted": (sines, lambda t: jax_sines(t) + 1.0, "disagree", ()),  # a reference for something else
    "cost doubled": (times(2.0), lambda t: 2.0 * jax_sines(t), "disagree", ()),
}


@pytest.mark.parametrize(("fun", "reference", "verdict", "outliers"), REFERENCES.values(), ids=list(REFERENCES))
def test_a_reference_is_one_more_voice(fun, reference, verdict, outliers):
    report = check_gradient(fun, theta_of(), reference)
    assert (report.verdict, report.outliers) == (verdict, outliers)
    assert [row.name for row in report.sources] == ["fun", "finite-difference", "jax"]
    assert report.tie == (verdict == "disagree" and not outliers)


@pytest.mark.parametrize(("at_zero", "verdict", "outliers"), [(0.0, "inconclusive", ()), (-0.4, "disagree", ("fun",))])
def test_at_a_kink_a_reference_has_a_convention_of_its_own(at_zero, verdict, outliers):
    report = check_gradient(
        lambda t: relu(t, at_zero), np.array([0.0, 1.0]), reference=lambda t: jnp.sum(jnp.maximum(t, 0.0))
    )
    assert (report.verdict, report.outliers) == (verdict, outliers)


@pytest.mark.more
def test_what_jax_made_of_an_array_in_32_bits_does_not_count_in_64():
    rows, weights, theta = np.array([0, 2]), np.linspace(0.1, 1.0, 3), np.linspace(0.1, 0.9, 9).reshape(3, 3)

    def cost(theta):
        return jnp.sum(jnp.sin(jnp.take(theta, rows, axis=0, mode="clip")) @ weights)

    for _ in range(2):
        assert jax.grad(cost)(theta).dtype == jax.jit(cost)(theta).dtype == np.float32
        assert check_gradient(lambda t: (cost(t), jax.grad(cost)(t)), theta, cost).verdict == "agree"


# Float32 in a function of float64


@pytest.mark.parametrize("size", [3, 40, 1200])
def test_a_gradient_that_passed_through_float32_is_wrong_where_the_cost_keeps_more_digits(size):
    report = check_gradient(changed(lambda g: g.astype(np.float32).astype(float)), theta_of(size))
    assert (report.verdict, Kind.FLOAT32_DIGITS in report.kinds) == ("disagree", True)
    assert check_gradient(
        lambda t: (np.float64(np.float32(np.sin(t).sum())), np.float32(np.cos(t))), THETA
    ).verdict == ("agree")


# An accuracy: errors of a solver's size are accepted, and larger ones are not


@pytest.mark.parametrize("size", [1, 6, 1200])
@pytest.mark.parametrize(
    ("error", "accuracy", "verdict"),
    [(3e-7, 0.0, "disagree"), (3e-7, 1e-6, "agree"), (3e-5, 1e-6, "disagree"), (3e-5, 1e-4, "agree")],
)
def test_errors_below_an_accuracy_are_accepted_and_told(size, error, accuracy, verdict):
    theta, wrong = theta_of(size), np.sign(theta_of(size, seed=1))
    fun = changed(lambda g: g + error * np.abs(np.cos(theta)).max() * wrong)
    report = check_gradient(fun, theta, accuracy=accuracy)
    assert report.verdict == verdict
    told = [fact.data["largest"] for fact in report.facts if fact.kind == Kind.ACCURACY]
    assert told == ([pytest.approx(error, rel=0.1)] if verdict == "agree" else [])


@pytest.mark.parametrize("cost", [np.nan, 1e30])
def test_where_nothing_is_decided_no_accepted_error_is_reported(cost):
    report = check_gradient(lambda t: (cost + np.sin(t).sum(), np.cos(t)), THETA, accuracy=1e-6)
    assert (report.verdict, Kind.ACCURACY in report.kinds) == ("inconclusive", False)


def test_at_a_minimum_the_accuracy_is_a_share_of_the_derivatives_one_step_away():
    at_minimum = {off: lambda t, off=off: (t @ t, 2.0 * t + off) for off in (1e-9, 1e-5)}
    verdicts = [check_gradient(fun, np.zeros(3), accuracy=1e-6).verdict for fun in at_minimum.values()]
    assert verdicts == ["agree", "disagree"]


def test_what_stops_at_a_tolerance_may_differ_from_call_to_call_within_its_accuracy():
    rng = np.random.default_rng(0)
    fun = lambda t: (float(t**2), 2.0 * t * (1.0 + 1e-9 * rng.standard_normal()))  # noqa: E731
    assert [check_gradient(fun, 0.3, accuracy=a).verdict for a in (1e-6, 0.0)] == ["agree", "disagree"]


@pytest.mark.parametrize(("constant", "accuracy", "factor"), [(1e12, 1e-3, 0.95), (1e13, 1e-2, 0.5), (1e13, 0.1, 0.5)])
def test_beside_a_large_constant_an_accuracy_hides_no_larger_error(constant, accuracy, factor):
    report = check_gradient(lambda t: (constant + np.sin(t).sum(), factor * np.cos(t)), THETA, accuracy=accuracy)
    assert report.verdict in ("disagree", "inconclusive")


def test_an_accuracy_that_decides_what_a_constant_hides_is_not_called_needless():
    fun = lambda t: (1e11 + np.sin(t).sum(), np.cos(t))  # noqa: E731
    assert check_gradient(fun, THETA).verdict == "inconclusive"
    for each, is_needed in ((fun, True), (sines, False)):
        report = check_gradient(each, THETA, accuracy=1e-2)
        (note,) = (fact for fact in report.facts if fact.kind == Kind.ACCURACY)
        assert (report.verdict, note.data["is_needed"]) == ("agree", is_needed)


def test_a_relation_holds_to_within_the_accuracy():
    report = check_gradient(changed(lambda g: 2.0 * g + 1e-7 * THETA), THETA, accuracy=1e-6)
    assert Kind.FACTOR in kinds_of(report.findings[0].diagnosis)


# Bad input

BAD = {
    "no function": ((3, np.ones(2)), TypeError, "fun must be callable as fun.theta. .*, not int"),
    "no reference": ((sines, np.ones(2), 3), TypeError, r"reference must be callable as reference.theta. -> cost, not"),
    "a reference by NumPy": (
        (sines, THETA, lambda t: float(np.sin(t).sum())),
        TypeError,
        "reference .* JAX can trace; .* write it with jax.numpy",
    ),
    "infinite θ": ((sines, np.array([1.0, np.inf])), ValueError, r"theta must be finite, but theta\[1\] is inf"),
    "NaN in a leaf": ((quartics, {"W": W, "b": np.nan}), ValueError, "theta must be finite, but b is nan"),
    "another shape": ((lambda t: (1.0, np.ones(3)), np.ones(2)), ValueError, r"must have the shape \(2,\) .* \(3,\)"),
    "an array for a cost": ((lambda t: (t, t), np.ones(2)), ValueError, r"one number as its cost, .* \(2,\)"),
    "no shape nearby": (
        (lambda t: (np.sum(t) if t[0] == 0.3 else t, np.ones(3)), THETA),
        ValueError,
        "one number as its cost",
    ),
}


@pytest.mark.parametrize("accuracy", [-1e-6, 1.0, np.nan, True, "tight"])
def test_an_accuracy_is_a_share(accuracy):
    with pytest.raises((ValueError, TypeError), match=r"accuracy.* must be "):
        check_gradient(sines, THETA, accuracy=accuracy)


@pytest.mark.parametrize(("arguments", "error", "sentence"), BAD.values(), ids=list(BAD))
def test_bad_input_gets_one_clear_sentence(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        check_gradient(*arguments)


def test_what_a_wrong_group_leaves_undecided_is_not_put_down_to_noise():
    report = check_gradient(lambda t: (np.log1p(t * t).sum(), np.zeros(2000)), np.linspace(0.5, 2.0, 2000), budget=60)
    assert report.verdict == "disagree"
    assert [fact.data["why"] for fact in report.facts if fact.kind == Kind.FEW_UNDECIDED] == [["direction-differs"]]
