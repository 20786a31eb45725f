"""What rounding may move, and what it may not: numbers that underflow, overflow or cancel in their own type."""

import jax
import jax.numpy as jnp
import pytest
from functions_of_jax import cast, rule, sampled

from harness import check_derivatives
from harness.facts.kinds import Kind

EXPONENTS = {
    "where": lambda e, s: jnp.where(s > 0, e / jnp.where(s > 0, s, 1), 0),
    "equals": lambda e, s: jnp.where(s == 0, 0, e / jnp.where(s == 0, 1, s)),
    "nan_to_num": lambda e, s: jnp.nan_to_num(e / s),
    "isfinite": lambda e, s: jnp.where(jnp.isfinite(e / s), e / s, 0),
    "cond": lambda e, s: jax.lax.cond(s > 0, lambda e, s: e / s, lambda e, s: jnp.zeros_like(e), e, s),
    "maximum": lambda e, s: e / jnp.maximum(s, jnp.finfo(e.dtype).tiny),
    "right": lambda e, s: jnp.where(s > 0, e / jnp.where(s > 0, s, 1), jnp.array([0.880797, 0.119203], e.dtype)),
}
"""Guards of a quotient of exponentials that underflow where those of its function do not."""


def guarded(guard):
    return rule(lambda x: jax.nn.logsumexp(x), lambda x, g: g * guard(jnp.exp(x), jnp.exp(x).sum()))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("guard", sampled(EXPONENTS))
def test_a_number_that_underflow_made_wrong_disagrees_however_it_is_guarded(guard, dtype):
    x = [-20.0, -22.0] if dtype == "float16" else [-110.0, -112.0]
    report = check_derivatives(guarded(EXPONENTS[guard]), cast(x, dtype))
    assert report.verdict == ("agree" if guard == "right" else "disagree"), report
    is_by_type = report.verdict == "disagree" and guard != "maximum"
    assert (Kind.RIGHT_IN_FLOAT64 in report.kinds) == is_by_type


pdf, cdf = jax.scipy.stats.norm.pdf, jax.scipy.stats.norm.cdf


def logcdf_by(slope):
    f = jax.custom_jvp(jax.scipy.stats.norm.logcdf)
    f.defjvp(lambda p, t: (jax.scipy.stats.norm.logcdf(p[0]), slope(p[0]) * t[0]))
    return f


def length(x):
    m = jnp.max(jnp.abs(x))
    return m * jnp.sqrt(jnp.sum((x / m) ** 2))


def by_squares(x, g):
    s = jnp.sum(x * x)
    return g * jnp.where(s > 0, x / jnp.sqrt(jnp.where(s > 0, s, 1)), 0)


def softplus_beyond(slope):
    """Softplus with a rule that answers this slope where exp overflows."""
    is_fine = lambda x: jnp.isfinite(jnp.exp(x))  # noqa: E731
    return rule(lambda x: jax.nn.softplus(x), lambda x, g: g * jnp.where(is_fine(x), jax.nn.sigmoid(x), slope))


def by_tail(x, g):
    tail = 1.0 - jax.nn.sigmoid(x)
    return g * jnp.where(tail > 0, -jax.nn.sigmoid(x) * tail / jnp.where(tail > 0, tail, 1), 0)


NUMBERS = {  # function, argument in float32, verdict
    "log-cdf": (logcdf_by(lambda x: jnp.nan_to_num(pdf(x) / cdf(x))), -20.0, "disagree"),
    "log-cdf, where it does not underflow": (logcdf_by(lambda x: pdf(x) / cdf(x)), -2.0, "agree"),
    "a tiny vector": (rule(length, by_squares), [1e-25, 2e-25], "disagree"),
    "a small vector": (rule(length, by_squares), [1e-5, 2e-5], "agree"),
    "a tail that is absorbed": (rule(lambda x: -jax.nn.softplus(x), by_tail), 20.0, "disagree"),
    "overflow behind a guard": (
        softplus_beyond(0.0), 100.0, "disagree",
    ),
    "overflow behind a right guard": (
        softplus_beyond(1.0), 100.0, "agree",
    ),
    "a function that underflows itself": (
        rule(lambda x: jnp.sqrt(jnp.sum(x * x)), by_squares), [1e-25, 2e-25], "agree",
    ),
    "terms that cancel": (lambda x: jnp.sum(jnp.square((x + 1e4) - 1e4)), [0.3, 0.7], "agree"),
    "a variance of nearly equal numbers": (jnp.var, [1000.0, 1000.01, 999.99], "agree"),
    "a mean that one order of its terms has exactly": (
        rule(lambda x: jnp.mean(jnp.square(x - jnp.mean(x))), lambda x, g: g * (x - jnp.mean(x)) / 2),
        [1000.1421508789062, 1000.4334106445312, 1000.7041015625, 1000.6082763671875], "agree",
    ),
    "a tail of JAX's own": (lambda x: 1.0 / (1.0 + jnp.exp(-x)), -60.0, "agree"),
    "a tail": (jax.nn.log_softmax, [-110.0, 2.0, 112.0], "agree"),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_the_number_is_right_to_its_own_precision_whatever_its_rule_is_in_float64(name):
    f, x, verdict = NUMBERS[name]
    report = check_derivatives(f, cast(x, "float32"))
    assert report.verdict == verdict, report
