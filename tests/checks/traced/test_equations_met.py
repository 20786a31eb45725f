"""What equations met: where NaN begins by the fault of no rule, and which lines end a derivative."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts
from own_rules import with_jvp

from harness import check_derivatives
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind


def entropy(x):
    return jnp.where(x > 0.0, x * jnp.log(x), 0.0)


def ratio(a, b):
    return jnp.where(b != 0.0, a / b, 0.0)


@jax.jit
def sinc(x):
    return jnp.where(x == 0.0, 1.0, jnp.sin(x) / x)


def distance(x):
    return jnp.linalg.norm(x - np.array([1.0, 2.0])) + x[0]


def spread(x):
    return jnp.sum(x + jnp.sqrt(jnp.sum((x - jnp.mean(x)) ** 2)))


def in_steps(x):
    return jax.lax.scan(lambda c, t: (c + jnp.where(t > 0.0, jnp.sqrt(t), t), None), 0.0, x)[0]


def inverse_softplus(x):
    return jnp.where(x > 20.0, x, jnp.log(jnp.exp(x) - 1.0))


def half_of_roots(x):
    return jnp.sum(x**0.5 * np.array([0.0, 1.0]))


TWO = np.array([1.0, 2.0])
BEGINNING = {
    "a logarithm": (entropy, (np.array([-1.0, 2.0]),), "log", True),
    "a quotient": (ratio, (TWO, np.array([0.0, 3.0])), "div", True),
    "under jit": (sinc, (np.array([0.0, 1.0]),), "integer_pow", True),
    "in a loop": (in_steps, (np.array([-1.0, 2.0]),), "sqrt", True),
    "an overflow": (inverse_softplus, (np.array([800.0, 1.0]),), "exp", True),
    "an overflow in float32": (inverse_softplus, (np.array([100.0, 1.0], np.float32),), "exp", True),
    "an infinite slope": (half_of_roots, (np.array([0.0, 4.0]),), "pow", False),
    "a distance of nothing": (distance, (TWO,), "div", False),
    "a spread of equals": (spread, (np.array([2.0, 2.0]),), "div", False),
}


@pytest.mark.parametrize("name", BEGINNING)
def test_what_makes_nan_of_finite_numbers_is_named(name):
    f, args, operation, chooses = BEGINNING[name]
    report = check_derivatives(f, *args)
    assert report.verdict == "disagree", report
    origin, *_ = facts(report, Kind.NAN_ORIGIN)
    assert (origin.data["operation"], origin.data["in_where"]) == (operation, chooses)
    line = inspect.unwrap(f).__code__.co_firstlineno + (2 if f is sinc else 1)
    assert f"{__file__}:{line})" in origin.where[0]


def test_where_nan_begins_is_reported_for_the_modes_that_report_it():
    def angle(x):
        r = jnp.sqrt(x[0] ** 2 + x[1] ** 2)
        return jnp.where(r > 0.0, jnp.arctan2(x[1], x[0]) * r, 0.0)

    report = check_derivatives(angle, np.zeros(2))
    found = {finding.source for finding in report.findings if Kind.NAN_ORIGIN in kinds_of(finding.diagnosis)}
    assert found == {"reverse"}


def test_a_rule_that_returns_nan_is_named_instead():
    root = with_jvp("root", jnp.sqrt, lambda p, t: (root(*p), t[0] * jnp.log(-p[0])))
    report = check_derivatives(root, TWO)
    assert facts(report, Kind.WRONG_RULE)[0].data["name"] == "root"
    assert Kind.NAN_ORIGIN not in report.kinds


def test_a_function_of_jax_itself_has_no_line_of_the_check():
    origin, *_ = facts(check_derivatives(jnp.sqrt, np.array([0.0, 1.0])), Kind.NAN_ORIGIN)
    assert (origin.where, origin.data["operation"]) == ((), "div")


def length(x):
    return jnp.linalg.norm(x, axis=0) + x[0]


def test_the_line_is_not_that_of_whoever_had_a_function_of_jax_traced_first():
    check_derivatives(lambda x: jnp.linalg.norm(x, axis=0), TWO)
    origin, *_ = facts(check_derivatives(length, np.zeros(2)), Kind.NAN_ORIGIN)
    assert f"{__file__}:{length.__code__.co_firstlineno + 1})" in origin.where[0]


# -- where a derivative ends ------------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=5)


def stopping(x):
    bent = jax.nn.logsumexp(x) + jax.nn.softmax(x)  # which have a stop_gradient of their own
    held = jax.lax.stop_gradient(x)
    place = jnp.argmax(x)
    return bent * held * jnp.round(x) + x[place] + jax.lax.stop_gradient(3.0), place


BY_WAY_OF_JAX = {
    "floor": ("floor", lambda x: jnp.floor(1.3 * x) * x),
    "sign": ("sign", lambda x: jnp.sign(x) * x),
    "a tree": ("stop_gradient", lambda x: jax.tree.map(jax.lax.stop_gradient, {"a": x})["a"] * x),
    "vmap": ("round", lambda x: jax.vmap(lambda y: jnp.round(y) * y)(x)),
    "grad": ("stop_gradient", lambda x: jax.grad(lambda y: jnp.sum(jax.lax.stop_gradient(y) * y**2))(x)),
    "scan": ("round", lambda x: jax.lax.scan(lambda c, y: (c, jnp.round(y) * y), 0.0, x)[1]),
    "checkpoint": ("round", lambda x: jax.checkpoint(lambda y: jnp.round(y) * y)(x)),
}


@pytest.mark.parametrize("way", BY_WAY_OF_JAX)
def test_what_has_no_derivative_has_the_users_line_where_jax_calls_it(way):
    name, f = BY_WAY_OF_JAX[way]
    (fact,) = facts(check_derivatives(f, X), Kind.DERIVATIVE_ENDS)
    assert f"{name} (line {f.__code__.co_firstlineno} of {__file__})" in fact.where


def test_what_has_no_derivative_within_jax_is_not_named():
    report = check_derivatives(stopping, X)
    (fact,) = facts(report, Kind.DERIVATIVE_ENDS)
    line, names = stopping.__code__.co_firstlineno, ("stop_gradient", "argmax", "round")
    assert fact.where == tuple(f"{name} (line {line + k} of {__file__})" for k, name in enumerate(names, 2))
    assert fact.data["functions"] == list(names)
    assert facts(report, Kind.NOT_DIFFERENTIATED)[0].where == ("output[1] (int64)",)
    assert Kind.DERIVATIVE_ENDS not in check_derivatives(jax.nn.softmax, X).kinds
