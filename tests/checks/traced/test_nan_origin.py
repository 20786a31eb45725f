"""Where JAX answers NaN by the fault of no rule, the operation that makes it is named, with its line."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harness import check_derivatives


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
    "an infinite slope": (half_of_roots, (np.array([0.0, 4.0]),), "pow", False),
    "a distance of nothing": (distance, (TWO,), "div", False),
    "a spread of equals": (spread, (np.array([2.0, 2.0]),), "div", False),
}


@pytest.mark.parametrize("name", BEGINNING)
def test_what_makes_nan_of_finite_numbers_is_named(name):
    f, args, operation, chooses = BEGINNING[name]
    report = check_derivatives(f, *args)
    assert report.verdict == "disagree", report
    told = next(finding.diagnosis for finding in report.findings if "not finite" in finding.diagnosis)
    assert f"it begins with {operation}, of " in told
    function = inspect.unwrap(f)
    line = function.__code__.co_firstlineno + (2 if f is sinc else 1)
    assert f"{__file__}:{line})" in told
    assert ("what jnp.where does not choose needs a finite slope as well" in told) is chooses


def test_it_is_told_of_those_alone_that_answer_it():
    def angle(x):
        r = jnp.sqrt(x[0] ** 2 + x[1] ** 2)
        return jnp.where(r > 0.0, jnp.arctan2(x[1], x[0]) * r, 0.0)

    report = check_derivatives(angle, np.zeros(2))
    assert {finding.source: "it begins with" in finding.diagnosis for finding in report.findings} == {
        "reverse": True,
        "forward": False,
    }


def test_a_rule_that_answers_nan_is_named_instead():
    @jax.custom_jvp
    def root(x):
        return jnp.sqrt(x)

    root.defjvp(lambda p, t: (root(*p), t[0] * jnp.log(-p[0])))
    (finding,) = {f.diagnosis for f in check_derivatives(root, TWO).findings}
    assert "the rule of root" in finding
    assert "it begins with" not in finding


def test_chosen_before_and_after_all_is_well():
    def guarded(x):
        return jnp.where(x > 0.0, jnp.log(jnp.where(x > 0.0, x, 1.0)), 0.0)

    assert check_derivatives(guarded, np.array([-1.0, 2.0])).verdict == "agree"


def length(x):
    return jnp.linalg.norm(x, axis=0) + x[0]


def test_the_line_is_not_that_of_whoever_had_a_function_of_jax_traced_first():
    check_derivatives(lambda x: jnp.linalg.norm(x, axis=0), TWO)
    told = check_derivatives(length, np.zeros(2)).findings[0].diagnosis
    assert f"{__file__}:{length.__code__.co_firstlineno + 1})" in told
