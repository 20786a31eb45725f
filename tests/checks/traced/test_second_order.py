"""Derivatives of derivatives: a rule that stops a gradient on its way hides no second derivative of its function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from own_rules import with_vjp

from harness import check_derivatives

X = np.array([0.5, -1.0, 2.0])
stop = lax.stop_gradient


def cubes(of_residual, keep=lambda x: x):
    """Σ x³ with a rule that is right at first order."""
    f = jax.custom_vjp(lambda x: jnp.sum(x**3))
    f.defvjp(lambda x: (jnp.sum(x**3), keep(x)), lambda x, g: (g * 3.0 * of_residual(x) ** 2,))
    return f


def softplus(of_slope):
    f = jax.custom_jvp(lambda x: jnp.logaddexp(x, 0.0))
    f.defjvp(lambda p, t: (jnp.logaddexp(p[0], 0.0), of_slope(jax.nn.sigmoid(p[0])) * t[0]))
    return f


def shifted(x):
    return x - stop(jnp.max(x))


@jax.custom_jvp
def logsumexp(x):
    return jnp.log(jnp.sum(jnp.exp(shifted(x)))) + jnp.max(x)


@logsumexp.defjvp
def _logsumexp_jvp(primals, tangents):
    powers = jnp.exp(shifted(primals[0]))
    return logsumexp(primals[0]), powers @ tangents[0] / powers.sum()


right, wrong, stopped_slope = cubes(lambda x: x), cubes(stop), softplus(stop)
twice = lambda f, x: lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0]  # noqa: E731

HIDDEN = {
    "in the residual": wrong,
    "on the way forward": cubes(lambda x: x, keep=stop),
    "beside one of f's own on the same line": lambda x: wrong(x) * stop(x).sum(),
    "in a checkpoint": jax.checkpoint(lambda x: jnp.sin(wrong(x))),
    "in the slope of a jvp": lambda x: stopped_slope(x),
    "in a scan": lambda x: twice(stopped_slope, x),
}

OWN = {
    "beside a right rule": lambda x: right(x) * stop(x).sum(),
    "within what a right rule is given": lambda x: right(x + stop(jnp.round(x) - x)),
    "in a scan": lambda x: twice(lambda c: jnp.sin(c) * stop(c) * right(c), x),
    "in a rule and its primal, where it changes nothing": logsumexp,
    "in JAX's softmax": lambda x: jax.nn.softmax(x * stop(x)),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_stop_gradient_of_a_rule_hides_no_second_derivative(name):
    report = check_derivatives(HIDDEN[name], X, order=2)
    assert (report.verdict, "reverse" in report.outliers) == ("disagree", True), report


@pytest.mark.parametrize("name", OWN)
def test_a_stop_gradient_of_the_function_itself_stays_one(name):
    assert check_derivatives(OWN[name], X, order=2).verdict == "agree"


def test_a_trusted_rule_may_stop_what_it_likes():
    f = jax.custom_jvp(lambda x: x**3)
    f.defjvp(lambda p, t: (f(p[0]), stop(3.0 * p[0] ** 2) * t[0]))
    squared = lambda x: jnp.sum(f(x) ** 2)  # noqa: E731
    assert check_derivatives(squared, X, order=2).verdict == "disagree"
    assert check_derivatives(squared, X, order=2, trust=["<lambda>"]).verdict == "agree"


def test_a_jitted_function_with_a_custom_vjp_has_no_forward_mode_and_is_checked_by_the_others():
    cube = with_vjp("cube", lambda x: x**3, lambda x, g: (3.0 * x**2 * g,))
    report = check_derivatives(jax.jit(lambda x: jnp.sum(cube(x * jnp.sin(x)))), np.array([0.3, 1.2]), order=2)
    assert report.verdict == "agree"
