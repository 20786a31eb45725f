"""Slopes without a limit accuse nobody; where there is one, NaN and infinities beside it are wrong."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import sampled

from harness import check_derivatives
from harness.facts.kinds import Kind

STEEP = {
    "cbrt": (jnp.cbrt, 0.0),
    "arcsin": (jnp.arcsin, -1.0),
    "one side alone": (lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), 0.0),
    "a cusp": (lambda x: jnp.sqrt(jnp.abs(x)), 0.0),
    "of a norm": (lambda x: jnp.sqrt(jnp.linalg.norm(x)), np.zeros(2)),
    "by a logarithm": (lambda x: jnp.where(x > 0, x * jnp.log(jnp.where(x > 0, x, 1.0)), 0.0), 0.0),
}


@pytest.mark.parametrize("name", sampled(STEEP))
def test_a_vertical_tangent_is_no_derivative(name):
    report = check_derivatives(*STEEP[name])
    assert report.verdict == "inconclusive", report
    assert not re.search(r"e\+[234]\d", str(report)), report  # no step is reported as a slope


def test_a_black_box_without_a_kink_is_not_run_again_in_many_places_around():
    runs, shape = [], jax.ShapeDtypeStruct((2,), np.dtype("float64"))

    def host(x):
        runs.append(1)
        return np.sin(x)

    @jax.custom_vjp
    def sine(x):
        return jax.pure_callback(host, shape, x, vmap_method="broadcast_all")

    sine.defvjp(lambda x: (sine(x), x), lambda x, g: (1.01 * g * jnp.cos(x),))
    assert check_derivatives(sine, np.array([0.3, 0.7])).verdict == "disagree"
    assert len(runs) < 250, len(runs)  # 301 with all places


TABLE = [0, 0.001, 0.002, 0.003], [0, 1, 0, 3]

BLACK_BOXES = {
    "|x| with 1": (lambda x: np.abs(x).sum(), 1.0, np.zeros(2), "agree"),
    "|x| with 1.5": (lambda x: np.abs(x).sum(), 1.5, np.zeros(2), "disagree"),
    "a hinge with 1": (lambda x: np.maximum(x - 1, 0).sum(), 1.0, np.ones(2), "agree"),
    "a hinge with 0": (lambda x: np.maximum(x - 1, 0).sum(), 0.0, np.ones(2), "agree"),
    "a hinge with 1.001": (lambda x: np.maximum(x - 1, 0).sum(), 1.001, np.ones(2), "disagree"),
    "a hinge between floats": (lambda x: np.maximum(3 * x - 0.9, 0).sum(), 3.0, np.array([0.3]), "agree"),
    "an edge of clip": (lambda x: np.clip(x, -1, 1).sum(), 1.0, np.array([1.0, -1.0]), "agree"),
    "a node of a table": (lambda x: np.interp(x, *TABLE).sum(), 1000.0, np.array([0.001]), "agree"),
    "a bent side": (lambda x: np.where(x > 0, x, 2 * np.expm1(x)).sum(), 2.0, np.zeros(2), "agree"),
    "beside a bent side": (lambda x: np.where(x > 0, x, 2 * np.expm1(x)).sum(), 2.01, np.zeros(2), "disagree"),
    "a bend that jumps": (lambda x: np.where(x < 1, x * x / 2, x - 0.5).sum(), 1.0, np.ones(1), "agree"),
    "the largest, a third of each": (np.max, 1 / 3, np.ones(3), "agree"),
    "the largest, the first": (np.max, [1.0, 0.0, 0.0], np.ones(3), "agree"),
    "the largest, twice": (np.max, 2.0, np.ones(3), "disagree"),
    "a median, a third of each": (np.median, 1 / 3, np.ones(3), "agree"),
    "a median, half of each": (np.median, 0.5, np.ones(3), "disagree"),
    "a median of many": (np.median, 1 / 40, np.ones(40), "agree"),
    "a weighted sort, the mean": (lambda x: np.sort(x) @ np.arange(6.0), 2.5, np.ones(6), "agree"),
    "a weighted sort, by position": (lambda x: np.sort(x) @ np.arange(6.0), np.arange(6.0), np.ones(6), "agree"),
    "a weighted sort, too steep": (lambda x: np.sort(x) @ np.arange(6.0), 3.0, np.ones(6), "disagree"),
    "a median, a third of each, in float32": (np.median, 1 / 3, np.ones(3, np.float32), "agree"),
    "a median, half of each, in float32": (np.median, 0.5, np.ones(3, np.float32), "disagree"),
}


@pytest.mark.parametrize("name", sampled(BLACK_BOXES))
def test_at_a_kink_inside_a_black_box_every_convention_is_right(name):
    host, rule, x, verdict = BLACK_BOXES[name]

    @jax.custom_vjp
    def f(x):
        shape = jax.ShapeDtypeStruct((), x.dtype)
        return jax.pure_callback(lambda x: np.asarray(host(x), x.dtype), shape, x, vmap_method="sequential")

    f.defvjp(lambda x: (f(x), x), lambda x, g: (g * jnp.broadcast_to(jnp.asarray(rule, x.dtype), x.shape),))
    assert check_derivatives(f, x).verdict == verdict


LIMITS = {
    "a root of a square": (lambda x: jnp.sqrt(x * x), 0.0),
    "an arc over a square": (lambda x: jnp.arccos(1.0 - x * x), 0.0),
    "an arc under a square": (lambda x: jnp.arccosh(1.0 + x * x), 0.0),
    "a root of a cube": (lambda x: jnp.cbrt(x**3), 0.0),
    "a cube of a root": (lambda x: jnp.sqrt(jnp.abs(x)) ** 3, 0.0),
    "a square beside a logarithm": (lambda x: jnp.where(x == 0, 0.0, x * x * jnp.log(jnp.abs(x))), 0.0),
}


@pytest.mark.parametrize("name", sampled(LIMITS))
def test_nan_beside_a_limit_is_wrong(name):
    report = check_derivatives(*LIMITS[name])
    assert report.verdict == "disagree", report
    assert np.isnan(report.findings[0].value)


@pytest.mark.parametrize(("slope", "verdict"), [(0.0, "agree"), (-1.4, "agree"), (1.5, "disagree")])
def test_what_an_arc_makes_of_a_square_has_a_kink(slope, verdict):
    f = jax.custom_jvp(lambda x: jnp.arccos(1.0 - x * x))  # √2 |x| and less
    f.defjvp(lambda x, dx: (f(*x), slope * dx[0]))
    assert check_derivatives(f, 0.0).verdict == verdict


def test_the_noise_of_a_black_box_is_no_growing_slope():
    """Other directions beside it change what it rounds, and its steps are its own, however short those asked for."""

    def noisy(x):
        squares = np.array(x) ** 2
        if squares.ndim > 1 and len(squares) >= 100:  # where it is differenced
            squares[:, 0] += 1e-10 * np.sin(np.arange(len(squares)) ** 2)
        return squares

    @jax.custom_jvp
    def f(x):
        return jax.pure_callback(noisy, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims")

    f.defjvp(lambda x, dx: (f(*x), 2.0 * x[0] * dx[0]))
    report = check_derivatives(f, np.linspace(1.0, 2.0, 16))
    assert report.verdict == "agree", report


def test_a_wrong_slope_where_pieces_meet_is_seen_in_a_batch_of_branches():
    """`jax.vmap` of a `lax.cond` stops what is not chosen, by a whole number that turns with the comparison."""

    @jax.custom_jvp
    def huber(x):
        return jax.lax.cond(jnp.abs(x) <= 1.0, lambda x: 0.5 * x * x, lambda x: jnp.abs(x) - 0.5, x)

    def jvp(primals, tangents):
        (x,), (t,) = primals, tangents
        inside, outside = jnp.abs(x) < 1.0, jnp.abs(x) > 1.0
        return huber(x), jnp.where(inside, x, jnp.where(outside, jnp.sign(x), 0.0)) * t  # |x| = 1 is forgotten

    huber.defjvp(jvp)
    report = check_derivatives(jax.vmap(huber), np.array([1.0, 0.3, -2.0]))
    assert report.verdict == "disagree"
    assert Kind.KINK not in report.kinds
