"""Which mistake it is, where the numbers fit; and no mistake where they do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts, rule, sampled

from harness import check_derivatives
from harness.facts.kinds import Kind

X = np.array([0.7, -1.3, 0.2, -0.4, 1.9, -2.2])
A = np.random.default_rng(0).normal(size=(6, 6))


def narrow(dtype):
    return rule(jnp.sin, lambda x, g: (g * jnp.cos(x)).astype(dtype).astype(float))


MISTAKES = {
    "dropped": (rule(jnp.sin, lambda x, g: jnp.cos(x)), Kind.COTANGENT_POWER, {"power": 0}),
    "twice": (rule(jnp.sin, lambda x, g: g * g * jnp.cos(x)), Kind.COTANGENT_POWER, {"power": 2}),
    "dropped, one output": (rule(lambda x: jnp.sum(jnp.sin(x)), lambda x, g: jnp.cos(x)), Kind.COTANGENT_POWER, {}),
    "transpose": (rule(lambda x: A @ x, lambda x, g: A @ g), Kind.TRANSPOSE_MISSING, {"conjugated": False}),
    "factor": (rule(lambda x: jnp.mean(x**2), lambda x, g: 2.0 * g * x), Kind.FACTOR, {"factor": 6.0}),
    "stopped": (rule(jnp.sin, lambda x, g: jax.lax.stop_gradient(0.0 * g)), Kind.ZERO, {}),
    "one branch": (rule(jnp.abs, lambda x, g: g), Kind.SIGN, {}),
    "another branch": (
        rule(lambda x: jnp.where(x > 0.5, x**2, x), lambda x, g: g * jnp.where(x > 0.5, x, 1.0)),
        Kind.FACTOR,
        {"factor": 0.5},
    ),
    "a single entry": (
        rule(lambda x: jnp.sum(x**3), lambda x, g: g * (3.0 * x**2).at[1].add(0.25)),
        Kind.SINGLE_ENTRY,
        {"error": 0.25, "factor": 1.04931},
    ),
    "one input of several outputs": (
        rule(lambda x: x[0] * A[0], lambda x, g: jnp.zeros(6).at[0].set(0.9 * (g @ A[0]))),
        Kind.FACTOR,
        {"factor": 0.9},
    ),
    "of one output, by numbers that are its own": (
        rule(lambda x: jnp.sum(jnp.sin(x)), lambda x, g: g * (jnp.cos(x) + 3.0 * x)),
        Kind.REGULARISER,
        {"multiple": 3.0},
    ),
    "bfloat16": (narrow("bfloat16"), Kind.LOST_DTYPE, {"type": "bfloat16"}),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_the_mistake_comes_first_and_then_the_rule(name):
    f, kind, data = MISTAKES[name]
    report = check_derivatives(f, X)
    assert report.verdict == "disagree"
    first, *_ = diagnosis = report.findings[0].diagnosis
    assert first.kind == kind, diagnosis
    for key, value in data.items():
        assert first.data[key] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5)), first
    assert Kind.WRONG_RULE in [fact.kind for fact in diagnosis]


EDGES = {
    "one branch": (X, jnp.abs, lambda x, g: g, ("<", "0")),
    "one number": ([0.0, 0.0, 0.0, 2.0, 3.0, 0.7], jnp.sin, lambda x: x == 0.0, ("=", "0")),
    "zero and less": ([0.0, -2.0, -1.0, 2.0, 3.0, 0.7], jnp.sin, lambda x: x <= 0.0, ("<=", "0")),
    "numbers nearby": ([2.7101, 2.71, 2.7102, 2.7104, 2.7105], jnp.sin, lambda x: x < 2.7103, ("<=", "2.7102")),
    "numbers apart": ([0.3, 0.5, 3.6, 4.0, 0.1], jnp.sin, lambda x: x > 3.5, (">=", "3.6")),
}


@pytest.mark.parametrize("name", EDGES)
def test_the_number_that_parts_two_branches_does_part_them(name):
    x, value, is_wrong, edge = EDGES[name]
    f = rule(value, lambda x, g: g * jnp.where(is_wrong(x), x + 0.3, jnp.cos(x)))
    f = rule(value, is_wrong) if value is jnp.abs else f
    fact, *_ = facts(check_derivatives(f, np.array(x)), Kind.ONE_BRANCH)
    assert (fact.where, fact.data["sign"], fact.data["edge"]) == (("x",), *edge)


def test_a_relation_that_holds_in_some_entries_says_in_how_many():
    at_the_ends = lambda x, g: (2.0 * g * x).at[jnp.array([0, -1])].mul(0.75)  # noqa: E731
    fact = check_derivatives(rule(lambda x: x**2, at_the_ends), X).findings[0].diagnosis[0]
    assert (fact.kind, fact.data["wrong"], fact.data["right"]) == (Kind.FACTOR, 2, 4)
    everywhere = check_derivatives(rule(lambda x: x**2, lambda x, g: 1.5 * g * x), np.append(X, 0.0))
    assert "wrong" not in everywhere.findings[0].diagnosis[0].data


def test_an_output_that_alone_is_wrong_is_named():
    f = rule(lambda x: (jnp.sin(x), jnp.sum(x**2)), lambda x, g: g[0] * jnp.cos(x) - 2.0 * g[1] * x)
    whole, alone = facts(check_derivatives(f, X), Kind.SIGN)
    assert (whole.where[0], whole.data["output"]) == ("x", "output[1]")
    assert (alone.where[0], alone.data["output"]) == ("its argument x", "its output 1")


def test_the_arguments_of_a_rule_have_the_names_that_its_author_gives_them():
    """By number they would be those of its leaves, and the second of these is no second argument."""

    def penalty(layer, scale):
        return scale * (jnp.sum(layer["w"] ** 2) + jnp.sum(layer["b"] ** 2))

    def backward(residuals, g):
        layer, scale = residuals
        return {"w": 2.2 * g * scale * layer["w"], "b": 2.0 * g * scale * layer["b"]}, g * penalty(layer, 1.0)

    f = jax.custom_vjp(penalty)
    f.defvjp(lambda layer, scale: (penalty(layer, scale), (layer, scale)), backward)
    assert "its argument layer['w']" in [
        fact.where[0] for fact in facts(check_derivatives(f, {"w": X, "b": X[:2]}, 0.3), Kind.FACTOR)
    ]
    g = jax.custom_jvp(penalty)
    g.defjvp(lambda at, along: (penalty(*at), jax.jvp(penalty, at, (along[0], 1.1 * along[1]))[1]))
    report = check_derivatives(jax.vmap(g), {"w": A, "b": A}, X)
    assert "its argument scale" in [fact.where[0] for fact in facts(report, Kind.FACTOR)]


def test_no_factor_is_found_of_what_is_not_known_from_zero():
    """Beside a border at which the slope is zero, increments are as small as their step."""

    @jax.custom_jvp
    def one_sided(x):
        return jnp.where(x > 0.0, x * x, 0.0)

    one_sided.defjvp(lambda x, dx: (one_sided(*x), dx[0] * jnp.where(x[0] > 0.0, 2.0 * x[0], x[0] == 0.0)))
    fact = check_derivatives(one_sided, np.array([0.0, 1.0, -1.0])).findings[0].diagnosis[0]
    assert (fact.kind, fact.data["factor"]) == (Kind.SINGLE_ENTRY, None)


Z = np.array([0.4 - 1.1j, -0.7 + 0.3j, 1.5 + 0.8j])
M = A[:3, :3] + 1j * A[3:, 3:]
COMPLEX = {
    "of the answer": (
        rule(lambda z: jnp.sum(jnp.real(M @ z) ** 2), lambda z, g: g * jnp.conj(2.0 * jnp.real(M @ z) @ M)),
        Kind.CONJUGATE,
        {"of": "answer"},
    ),
    "of the cotangent": (rule(lambda z: M @ z, lambda z, g: jnp.conj(g) @ M), Kind.CONJUGATE, {"of": "cotangent"}),
    "of a symmetric Jacobian": (
        rule(lambda z: (M + M.T) @ z, lambda z, g: jnp.conj(M + M.T) @ g),
        Kind.CONJUGATE,
        {"of": "cotangent"},
    ),
    "none, and a transpose": (rule(lambda z: M @ z, lambda z, g: M @ g), Kind.TRANSPOSE_MISSING, {"conjugated": False}),
    "one, and a transpose": (
        rule(lambda z: M @ z, lambda z, g: jnp.conj(M) @ g),
        Kind.TRANSPOSE_MISSING,
        {"conjugated": True},
    ),
    "none, and the sign": (rule(jnp.sin, lambda z, g: -g * jnp.cos(z)), Kind.SIGN, {}),
    "none, and the sign of what is imaginary": (
        rule(lambda z: jnp.sum(jnp.imag(z) * jnp.arange(1.0, 4.0)), lambda z, g: 1j * g * jnp.arange(1.0, 4.0)),
        Kind.SIGN,
        {},
    ),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_conjugates_are_not_taken_for_signs_or_transposes(name):
    f, kind, data = COMPLEX[name]
    report = check_derivatives(lambda z: f(z), Z)
    assert report.verdict == "disagree"
    first = report.findings[0].diagnosis[0]
    assert (first.kind, first.data.items() >= data.items()) == (kind, True), first


W = np.random.default_rng(2).normal(size=(4, 4))
DOMINANT = 5.0 * np.eye(4) + A[:4, :4]


def of_squares(change):
    """Sum of the inverse's entries by weights, with a rule whose answer is changed."""

    def slope(a):
        inverse = jnp.linalg.inv(a)
        return -inverse.T @ W @ inverse.T

    return rule(lambda a: jnp.sum(W * jnp.linalg.inv(a)), lambda a, g: g * change(slope(a)))


SYMMETRIES = {
    "transposed": (lambda d: d.T, Kind.REARRANGED),
    "symmetrised": (lambda d: 0.5 * (d + d.T), Kind.SYMMETRISED),
    "with an error that is none of either": (lambda d: jnp.diag(jnp.diag(d)) + (d - jnp.diag(jnp.diag(d))) ** 2, None),
}


@pytest.mark.parametrize("name", SYMMETRIES)
def test_the_diagonal_of_a_square_block_is_no_branch(name):
    change, kind = SYMMETRIES[name]
    report = check_derivatives(of_squares(change), DOMINANT)
    assert kind is None or kind in report.kinds
    assert Kind.ONE_BRANCH not in report.kinds


def normalised(x):
    return x / jnp.sqrt(jnp.sum(x * x))


def with_epsilon(x, g):
    size = jnp.sqrt(jnp.sum(x * x)) + 1e-8
    unit = x / size
    return (g - unit * jnp.sum(g * unit)) / size


NOT = {
    "an epsilon on one side": (rule(normalised, with_epsilon), Kind.LOST_DTYPE),
    "answers that are small beside what is right": (rule(lambda x: 1e10 * x, lambda x, g: g), Kind.COTANGENT_POWER),
    "a factor near 1": (rule(jnp.sin, lambda x, g: g * jnp.cos(x) * 1.001), Kind.LOST_DTYPE),
    "a symmetric matrix": (
        rule(lambda x: (A + A.T) @ x, lambda x, g: 2.0 * (A + A.T) @ g),
        Kind.TRANSPOSE_MISSING,
    ),
    "errors on both sides": (rule(jnp.sin, lambda x, g: g * jnp.cos(x).at[:2].mul(2.0)), Kind.ONE_BRANCH),
    "zeros beside a factor": (
        rule(lambda x: jnp.maximum(x, 0.0) ** 2, lambda x, g: 4.0 * g * jnp.maximum(x, 0.0)),
        Kind.ONE_BRANCH,
    ),
}


@pytest.mark.parametrize("name", sampled(NOT))
def test_what_does_not_fit_is_not_found(name):
    f, kind = NOT[name]
    report = check_derivatives(f, X)
    assert report.verdict == "disagree"
    assert kind not in report.kinds


def test_digits_like_those_of_float32_are_found():
    first = check_derivatives(rule(normalised, with_epsilon), X).findings[0].diagnosis[0]
    assert first.kind == Kind.FLOAT32_DIGITS
    assert first.data["relative_error"] == pytest.approx(3e-9, rel=0.5)
