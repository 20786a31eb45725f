"""In any units of a matrix and of its equations, what is right agrees and twice the derivative does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import sampled

from harness import check_derivatives

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
    "inverse in small units": lambda a: jnp.linalg.inv(1e-12 * a),
    "exponential by large terms": lambda a: jax.scipy.linalg.expm(3.0 * a),
    "log det in small units": lambda a: jnp.linalg.slogdet(1e-8 * jnp.kron(a, A))[1],
    "det in large units": lambda a: jnp.linalg.det(1e8 * jnp.kron(a, A)),
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
