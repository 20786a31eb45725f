"""Inputs at kinks moved together: conventions that average the slopes around agree, and others do not."""

import jax
import jax.numpy as jnp
import jax.scipy.special as sp
import numpy as np
import pytest
from jax import lax

from harness import check_derivatives
from harness.facts.kinds import Kind

X = np.array([1.0, 1.0, 0.0, -2.0])
EQUAL = np.array([1.0, 1.0, 1.0, 2.0, 0.0])
Z = np.zeros(3)
M = np.array([[1.0, 1.0, 0.5], [0.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
PIXELS = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 2.0, 0.0, -1.0], [3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 3.0, 3.0]])


def pooled(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (2, 2), (2, 2), "VALID")


def first_of_ties(x):
    return x[jnp.argmax(x)]


SIGNS = np.random.default_rng(3).choice([-1.0, 1.0], 15)
WEIGHTS = np.random.default_rng(4).normal(size=15)


def centred(x):
    """Kinks whose sum has none: what goes to all of them alike moves nothing."""
    return jax.nn.log_softmax(jax.nn.relu(x))[0]


CONVENTIONS = {
    "max, by halves": (jnp.max, X),
    "max of rows": (lambda x: jnp.sum(jnp.max(x, axis=1)), M),
    "max of two": (jnp.maximum, X, X[::-1].copy()),
    "min of two, of one another": (lambda x, y: jnp.minimum(x, y).sum(), X, X),
    "by where": (lambda x, y: jnp.where(x > y, x, y), X, X),
    "clipped at a bound": (lambda x, low: jnp.clip(x, low, 2.0), X, np.ones(4)),
    "relu": (jax.nn.relu, Z),
    "relu of a product": (lambda w, x: jax.nn.relu(w @ x), M - M.T, np.ones(3)),
    "hinges of both signs": (lambda x: jax.nn.relu(x[0]) - jax.nn.relu(-x[1]), Z),
    "two conventions": (lambda x: jax.nn.relu(x[0]) - jnp.maximum(x[1], 0.0), Z),
    "relu under a softmax": (centred, Z),
    "abs": (jnp.abs, Z),
    "sort": (jnp.sort, X),
    "top_k": (lambda x: lax.top_k(x, 2)[0], X),
    "median": (jnp.median, EQUAL),
    **{f"median of {n}": (jnp.median, jnp.ones(n)) for n in (7, 15)},
    "quantile between two": (lambda x: jnp.quantile(x, 0.3), jnp.ones(5)),
    **{f"median of |x| of {n}": (lambda x: jnp.median(jnp.abs(x)), SIGNS[:n]) for n in (9, 15)},
    "quantile of products": (lambda x, y: jnp.quantile(x * y, 0.3), SIGNS, 2.0 * SIGNS[::-1].copy()),
    "weighted by rank": (lambda x: WEIGHTS @ jnp.sort(jnp.abs(x), descending=True), SIGNS),
    "top of |x|": (lambda x: jnp.arange(1.0, 4.0) @ lax.top_k(jnp.abs(x), 3)[0], SIGNS),
    "in the order of |x|": (lambda x: WEIGHTS @ x[jnp.argsort(jnp.abs(x))] ** 2, SIGNS),
    "max-pool": (pooled, PIXELS),
    "max so far": (lax.cummax, X),
    "beside what is smooth": (lambda x: sp.logsumexp(x) + jnp.max(x), X),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_convention_between_the_slopes_around_agrees(name):
    report = check_derivatives(*CONVENTIONS[name], modes=("reverse",))
    assert report.verdict == "agree", report


def by_rule(f, backward):
    ruled = jax.custom_vjp(f)
    ruled.defvjp(lambda *x: (f(*x), x), lambda x, g: backward(g, *x))
    return ruled


def whole(x):
    return by_rule(lambda x: jnp.max(x), lambda g, x: (g * (x == jnp.max(x)),))(x)


TWICE = {
    "whole to each": (whole, X),
    "whole to each of a row": (lambda x: jax.vmap(whole)(x) + jax.nn.relu(x[1, 0]), M),
    "whole to both": (by_rule(lambda x, y: jnp.maximum(x, y), lambda g, x, y: (g * (x >= y), g * (y >= x))), X, X),
    "to all whose median it is": (by_rule(lambda x: jnp.median(x), lambda g, x: (g * (x == 1.0),)), EQUAL),
    "to none": (by_rule(lambda x, y: jnp.maximum(x, y), lambda g, x, y: (g * (x > y), g * (y > x))), X, X),
    "in float32": (whole, X.astype(np.float32)),
}


@pytest.mark.parametrize("name", TWICE)
def test_what_no_average_of_the_slopes_around_adds_up_to_is_wrong(name):
    report = check_derivatives(*TWICE[name])
    assert (report.verdict, report.outliers) == ("disagree", ("reverse",)), report
    (finding,) = report.findings
    assert "together, where there is no kink" in finding.where
    assert [fact.kind for fact in finding.diagnosis][:2] == [Kind.KINKS_TOGETHER, Kind.WRONG_RULE]


def test_a_function_that_bends_excuses_no_rule():
    cubes = by_rule(lambda x: jnp.sum(x**3), lambda g, x: (g * (3.0 + 1e-9) * x**2,))
    assert check_derivatives(lambda x: cubes(x) + jnp.max(x), X).verdict == "disagree"
    assert check_derivatives(lambda x: jnp.sum(x**3) + jnp.max(x), X).verdict == "agree"


def test_where_each_alone_moves_nothing_a_slope_beyond_those_around_is_wrong():
    median = by_rule(lambda x: jnp.median(x), lambda g, x: (2.0 * g * (jnp.arange(5) == 1),))
    assert check_derivatives(median, EQUAL).verdict == "disagree"


def guarded(f, quotient, divisor):
    """f of a quotient that is 0 where its divisor is."""
    return lambda v: f(jnp.where(divisor(v) == 0.0, 0.0, quotient(v) / jnp.where(divisor(v) == 0.0, 1.0, divisor(v))))


NO_DERIVATIVE = {
    "product over sum": guarded(lambda q: q, lambda v: v[0] * v[1], lambda v: v[0] + v[1]),
    "product over length": guarded(lambda q: q, lambda v: v[0] * v[1] * jnp.sum(jnp.abs(v)), lambda v: v @ v),
    "root of a product": lambda v: jnp.where(v[0] * v[1] == 0.0, 0.0, jnp.sqrt(jnp.abs(v[0] * v[1]))),
}


@pytest.mark.parametrize("name", NO_DERIVATIVE)
def test_what_a_guard_returns_where_there_is_no_derivative_does_not_agree(name):
    f = by_rule(NO_DERIVATIVE[name], lambda g, v: (0.0 * g * v,))
    report = check_derivatives(f, np.zeros(2))
    assert report.verdict == "inconclusive", report
    assert Kind.NO_SLOPE in report.kinds


def test_a_guard_beside_a_smooth_function_of_several_inputs_agrees():
    mean = guarded(lambda q: 1.0 - q, lambda v: (v @ v) ** 2, lambda v: v @ v)
    assert check_derivatives(mean, np.zeros(2)).verdict == "agree"
