"""What kind of error it is, in words, where the numbers fit; and no such words where they do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import rule, sampled

from harness import check_derivatives

X = np.array([0.7, -1.3, 0.2, -0.4, 1.9, -2.2])
A = np.random.default_rng(0).normal(size=(6, 6))


def narrow(dtype):
    return rule(jnp.sin, lambda x, g: (g * jnp.cos(x)).astype(dtype).astype(float))


WORDS = {
    "dropped": (rule(jnp.sin, lambda x, g: jnp.cos(x)), "the cotangent is dropped"),
    "dropped, one output": (rule(lambda x: jnp.sum(jnp.sin(x)), lambda x, g: jnp.cos(x)), "the cotangent is dropped"),
    "squared": (rule(jnp.sin, lambda x, g: g * g * jnp.cos(x)), "the cotangent comes in twice"),
    "transpose": (rule(lambda x: A @ x, lambda x, g: A @ g), "a transposition is missing"),
    "factor": (rule(lambda x: jnp.mean(x**2), lambda x, g: 2.0 * g * x), "6 times the right value"),
    "stopped": (rule(jnp.sin, lambda x, g: jax.lax.stop_gradient(0.0 * g)), "zero where it should not be"),
    "one branch": (rule(jnp.abs, lambda x, g: g), "the sign is wrong; only where x < 0: one branch alone"),
    "another branch": (
        rule(lambda x: jnp.where(x > 0.5, x**2, x), lambda x, g: g * jnp.where(x > 0.5, x, 1.0)),
        "0.5 times the right value; only where x > 0.2: one branch alone",
    ),
    "a single entry": (
        rule(lambda x: jnp.sum(x**3), lambda x, g: g * (3.0 * x**2).at[1].add(0.25)),
        "a single entry is off by 0.25, 1.04931 times the right value",
    ),
    "one input of several outputs": (
        rule(lambda x: x[0] * A[0], lambda x, g: jnp.zeros(6).at[0].set(0.9 * (g @ A[0]))),
        "x[0]: 0.9 times the right value",
    ),
    "of one output, by numbers that are its own": (
        rule(lambda x: jnp.sum(jnp.sin(x)), lambda x, g: g * (jnp.cos(x) + 3.0 * x)),
        "off by 3 times θ",
    ),
    "float32": (narrow("float32"), "right to the digits of float32: a dtype is lost"),
    "bfloat16": (narrow("bfloat16"), "right to the digits of bfloat16: a dtype is lost"),
}


@pytest.mark.parametrize("name", WORDS)
def test_the_kind_of_error_is_told(name):
    f, words = WORDS[name]
    report = check_derivatives(f, X)
    assert report.verdict == "disagree"
    assert report.findings[0].diagnosis.removeprefix("x: ").startswith(words), report.findings[0].diagnosis


def normalised(x):
    return x / jnp.sqrt(jnp.sum(x * x))


def with_epsilon(x, g):
    size = jnp.sqrt(jnp.sum(x * x)) + 1e-8
    unit = x / size
    return (g - unit * jnp.sum(g * unit)) / size


NOT = {
    "an epsilon on one side is no float32": (rule(normalised, with_epsilon), "passes through"),
    "an epsilon on one side is no lost type": (rule(normalised, with_epsilon), "dtype is lost"),
    "answers that are small beside what is right depend on the cotangent": (
        rule(lambda x: 1e10 * x, lambda x, g: g),
        "cotangent is dropped",
    ),
    "a factor near 1 is no type": (rule(jnp.sin, lambda x, g: g * jnp.cos(x) * 1.001), "dtype is lost"),
    "a symmetric matrix needs no transposition": (
        rule(lambda x: (A + A.T) @ x, lambda x, g: 2.0 * (A + A.T) @ g),
        "transposition",
    ),
    "errors on both sides are no branch": (rule(jnp.sin, lambda x, g: g * jnp.cos(x).at[:2].mul(2.0)), "branch"),
    "zeros do not drop the cotangent": (rule(jnp.sin, lambda x, g: 0.0 * g), "dropped"),
}


@pytest.mark.parametrize("name", sampled(NOT))
def test_what_does_not_fit_is_not_told(name):
    f, words = NOT[name]
    report = check_derivatives(f, X)
    assert report.verdict == "disagree"
    assert words not in str(report)


def test_digits_like_those_of_float32_are_told_as_such():
    report = check_derivatives(rule(normalised, with_epsilon), X)
    assert report.findings[0].diagnosis.startswith("x: right to 3e-09 of the largest entry: as many digits as float32")


def test_error_bars_are_told_with_the_precision_that_they_are_in():
    derived = "derived bounds on rounding errors"
    within = "they lie within those of the increments, and need none of their own"
    for dtype, told in ((np.float32, derived), (np.float64, within)):
        assert sorted(check_derivatives(jnp.sin, X.astype(dtype)).notes) == [
            f"error bars of increments, in float64: {derived}",
            f"error bars of reverse, forward, in {dtype.__name__}: {told}",
        ]


def test_nothing_is_decided_where_nothing_could_be_checked():
    loop = lambda x: jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.sin(s[1])), (0, x))[1]  # noqa: E731
    report = check_derivatives(loop, X, modes=("reverse",))
    assert (report.verdict, report.decided_share) == ("inconclusive", 0.0)
    assert check_derivatives(loop, X, modes=("forward",)).decided_share == 1.0
