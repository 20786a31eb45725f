"""How large an error is small, in any units, and when a bound is too wide."""

import jax
import jax.numpy as jnp
import jax.scipy.special as sp
import numpy as np
import pytest
from functions_of_jax import facts, sampled, steep_hypot
from own_rules import with_vjp

from harness import check_derivatives
from harness.facts.kinds import Kind


def at(x):
    return np.array([x])


DECIDED = {
    "cancellation near 0": (jnp.sinc, at(1e-8)),
    "cancellation far out": (jax.nn.squareplus, at(-1e10)),
    "infinity": (jax.nn.softplus, at(np.inf)),
    "a tail beside a large output": (lambda x: jax.nn.gelu(x, approximate=False), np.array([-12.0, 5.0], np.float32)),
}


@pytest.mark.parametrize("name", DECIDED)
def test_what_rounding_alone_moves_is_no_doubt(name):
    assert check_derivatives(*DECIDED[name]).verdict == "agree"


BEYOND = {
    "another size": (sp.log_ndtr, at(-1e10)),
    "infinite where the truth is finite": (steep_hypot, at(1e-200), at(1e-200)),
    "e^x for 0 at an infinite argument": (jnp.logaddexp, at(np.inf), at(1.3)),
}


@pytest.mark.parametrize("name", BEYOND)
def test_errors_beyond_the_bound_disagree(name):
    assert check_derivatives(*BEYOND[name]).verdict == "disagree"


def scaled(factor, slope):
    return with_vjp("f", lambda x: factor * jnp.tanh(x), lambda x, g: (g * factor * slope(x),))


@pytest.mark.parametrize("factor", sampled([1e-30, 1.0, 1e20]))
@pytest.mark.parametrize("x", [0.3, 5.0])
def test_no_size_of_the_function_excuses_a_wrong_rule(factor, x):
    wrong = scaled(factor, lambda x: (1.0 + 1e-9) * (1.0 - jnp.tanh(x)) * (1.0 + jnp.tanh(x)))
    right = scaled(factor, lambda x: (1.0 - jnp.tanh(x)) * (1.0 + jnp.tanh(x)))
    assert check_derivatives(wrong, at(x)).verdict == "disagree"
    assert check_derivatives(right, at(x)).verdict == "agree"


def test_a_better_rule_than_jaxs_own_agrees():
    better = scaled(1.0, lambda x: 1.0 / jnp.cosh(x) ** 2)
    report = check_derivatives(better, at(30.0))
    assert report.verdict == "agree"
    assert Kind.NO_CORRECT_DIGIT not in report.kinds


def test_a_zero_that_is_no_rounding_still_disagrees():
    assert check_derivatives(scaled(1.0, lambda x: 0.0 * x), at(30.0)).verdict == "disagree"


def test_what_is_ill_conditioned_stays_inconclusive():
    logistic_map = lambda x: jax.lax.fori_loop(0, 60, lambda _, y: 3.99 * y * (1.0 - y), x)  # noqa: E731
    assert check_derivatives(logistic_map, at(0.3), modes=("forward",)).verdict == "inconclusive"
    small = lambda x: 1e-30 * logistic_map(x)  # noqa: E731
    assert check_derivatives(small, at(0.3), modes=("forward",)).verdict == "inconclusive"


def one(size, g):
    """g(x), beside terms of some size that cancel, and whose roundings do not."""
    return lambda x: jnp.sum(size * (jnp.sin(x) ** 2 + jnp.cos(x) ** 2) - size + g(x))


@pytest.mark.parametrize("size", [1e10, 1e20])
def test_where_twice_the_derivative_would_pass_the_rule_alone_decides(size):
    twice = jax.custom_jvp(lambda x: 1.0 * x)
    twice.defjvp(lambda x, dx: (twice(*x), 2.0 * dx[0]))
    report = check_derivatives(one(size, twice), np.array([0.7, 1.3]))
    assert report.verdict == "disagree", report
    assert (size == 1e10) is (Kind.HIDDEN_RULE not in report.kinds) is (Kind.TWICE_WOULD_PASS not in report.kinds)


def test_tails_and_terms_that_cancel_within_their_digits_are_in_no_doubt():
    assert check_derivatives(lambda x: jnp.tanh(x) - 1.0, at(40.0)).verdict == "agree"
    assert check_derivatives(one(1e10, lambda x: x), np.array([0.7, 1.3])).verdict == "agree"


def by_jvp(f, slope):
    wrapped = jax.custom_jvp(f)
    wrapped.defjvp(lambda x, t: (f(*x), slope(*x) * t[0]))
    return wrapped


def by_vjp(f, slope):
    wrapped = jax.custom_vjp(f)
    wrapped.defvjp(lambda x: (f(x), x), lambda x, g: (g * slope(x),))
    return wrapped


def power(x):
    return 1.0 / x + x**2


def rooted(x):
    return jax.lax.rsqrt(x) * x + x


MISSING = lambda x: -1.0 / x**2  # noqa: E731
BESIDE_LARGE = {  # function, slope, argument and verdict
    "a term is missing": (power, MISSING, [1e-4, 1.0, 2.0, 3.0], "disagree"),
    "a term is missing beside one 1e16 times as large": (power, MISSING, [1e-8, 1.0, 2.0, 3.0], "disagree"),
    "no term is missing": (power, lambda x: 2.0 * x - 1.0 / x**2, [1e-8, 1.0, 2.0, 3.0], "agree"),
    "another term": (rooted, lambda x: 0.5 * jax.lax.rsqrt(x), [1e-14, 1.0, 2.0, 3.0], "disagree"),
    "0 where it is small": (jnp.log, lambda x: jnp.where(x > 100.0, 0.0, 1.0 / x), [1e-5, 200.0, 500.0], "disagree"),
    "clipped arguments": (jnp.log, lambda x: 1.0 / jnp.clip(x, 1e-6, 100.0), [1e-5, 500.0, 1e3], "disagree"),
    "twice below 0": (jnp.exp, lambda x: jnp.exp(x) * jnp.where(x < 0.0, 2.0, 1.0), [22.0, -1.0, -2.0], "disagree"),
    "three units": (
        lambda x: x * jnp.array([1e-12, 1.0, 1e6], x.dtype), lambda x: jnp.array([0.0, 1.0, 1e6], x.dtype),
        [1.0, 1.0, 1.0], "disagree",
    ),
    "a tail that rounding takes": (
        jax.nn.sigmoid, lambda x: jax.nn.sigmoid(x) * (1.0 - jax.nn.sigmoid(x)), [20.0, 40.0, 0.3], "agree",
    ),
}  # fmt: skip


@pytest.mark.parametrize("ruled", [by_vjp, by_jvp])
@pytest.mark.parametrize("name", BESIDE_LARGE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_large_entry_hides_no_small_one_that_its_rule_has_wrong(name, ruled, dtype):
    f, slope, x, verdict = BESIDE_LARGE[name]
    report = check_derivatives(ruled(f, slope), np.array(x, dtype))
    assert report.verdict == verdict, report
    assert verdict == "agree" or "rounding" not in [lost.data["by"] for lost in facts(report, Kind.NO_CORRECT_DIGIT)]


# -- any units ---------------------------------------------------------------------------------------------------------

A = np.eye(3) + 0.1 * np.random.default_rng(0).normal(size=(3, 3))
PENALTY = np.array([1e8, 1.0, 1.0])  # a boundary condition by a large factor, among equations of order one


def twice(f):
    wrong = jax.custom_jvp(f)
    wrong.defjvp(lambda x, dx: (f(*x), 2.0 * jax.jvp(f, x, dx)[1]))
    return wrong


UNITS = {
    "solve in large units": lambda a: jnp.linalg.solve(1e16 * a, 1e16 * jnp.ones(3)),
    "solve beside a penalty": lambda a: jnp.linalg.solve(PENALTY[:, None] * a, PENALTY),
    "inverse in large units": lambda a: 1e11 * jnp.linalg.inv(1e11 * a),
    "exponential by large terms": lambda a: jax.scipy.linalg.expm(3.0 * a),
    "several at once": lambda a: jnp.linalg.solve(jnp.stack([a, 1e12 * a]), jnp.ones((2, 3, 1))),
}


@pytest.mark.parametrize("name", sampled(UNITS))
def test_what_is_right_agrees_in_any_units(name):
    report = check_derivatives(UNITS[name], A, modes=("forward",))
    assert report.verdict == "agree", report


@pytest.mark.parametrize("name", sampled(UNITS))
def test_twice_the_derivative_is_seen_in_any_units(name):
    report = check_derivatives(twice(UNITS[name]), A, modes=("forward",))
    assert report.verdict == "disagree", report
