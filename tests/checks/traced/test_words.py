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


def at_the_ends(x, g):
    return (2.0 * g * x).at[jnp.array([0, -1])].mul(0.75)


def test_a_relation_that_holds_in_some_entries_alone_is_not_said_of_all():
    report = check_derivatives(rule(lambda x: x**2, at_the_ends), X)
    assert report.findings[0].diagnosis.startswith("x: 0.75 times the right value, in 2 of 6 entries; the rule")
    everywhere = check_derivatives(rule(lambda x: x**2, lambda x, g: 1.5 * g * x), np.append(X, 0.0))
    assert everywhere.findings[0].diagnosis.startswith("x: 0.75 times the right value; the rule")


def test_an_output_that_alone_is_wrong_is_named():
    f = rule(lambda x: (jnp.sin(x), jnp.sum(x**2)), lambda x, g: g[0] * jnp.cos(x) - 2.0 * g[1] * x)
    (finding,) = check_derivatives(f, X).findings
    assert finding.diagnosis.startswith("x (of output[1]): the sign is wrong; the rule")
    assert "its argument x (of its output 1): the sign is wrong" in finding.diagnosis


def test_the_arguments_of_a_rule_are_called_what_its_author_calls_them():
    """By number they would be those of its leaves, and the second of these is no second argument."""

    def penalty(layer, scale):
        return scale * (jnp.sum(layer["w"] ** 2) + jnp.sum(layer["b"] ** 2))

    def backward(residuals, g):
        layer, scale = residuals
        return {"w": 2.2 * g * scale * layer["w"], "b": 2.0 * g * scale * layer["b"]}, g * penalty(layer, 1.0)

    f = jax.custom_vjp(penalty)
    f.defvjp(lambda layer, scale: (penalty(layer, scale), (layer, scale)), backward)
    layer = {"w": X, "b": X[:2]}
    assert "its argument layer['w']: 1.1 times" in check_derivatives(f, layer, 0.3).findings[0].diagnosis

    g = jax.custom_jvp(penalty)
    g.defjvp(lambda at, along: (penalty(*at), jax.jvp(penalty, at, (along[0], 1.1 * along[1]))[1]))
    report = check_derivatives(jax.vmap(g), {"w": A, "b": A}, X)
    assert "its argument scale: 1.1 times" in report.findings[0].diagnosis


def test_no_factor_is_told_of_what_is_not_known_from_zero():
    """Beside a border at which the slope is zero, increments are as small as their step."""

    @jax.custom_jvp
    def one_sided(x):
        return jnp.where(x > 0.0, x * x, 0.0)

    one_sided.defjvp(lambda x, dx: (one_sided(*x), dx[0] * jnp.where(x[0] > 0.0, 2.0 * x[0], x[0] == 0.0)))
    report = check_derivatives(one_sided, np.array([0.0, 1.0, -1.0]))
    assert report.verdict == "disagree"
    assert report.findings[0].diagnosis.startswith("a single entry is off by 1; no other was found wrong; the rule")


Z = np.array([0.4 - 1.1j, -0.7 + 0.3j, 1.5 + 0.8j])
M = A[:3, :3] + 1j * A[3:, 3:]
ABOUT_CONJUGATES = "so that a conjugation is missing or one too many"
OF_COMPLEX = {
    "of the answer": (
        rule(lambda z: jnp.sum(jnp.real(M @ z) ** 2), lambda z, g: g * jnp.conj(2.0 * jnp.real(M @ z) @ M)),
        f"z: the conjugate of the right value, {ABOUT_CONJUGATES}",
    ),
    "of what comes in": (
        rule(lambda z: M @ z, lambda z, g: jnp.conj(g) @ M),
        f"right up to conjugates, {ABOUT_CONJUGATES}",
    ),
    "of a symmetric Jacobian": (
        rule(lambda z: (M + M.T) @ z, lambda z, g: jnp.conj(M + M.T) @ g),
        f"right up to conjugates, {ABOUT_CONJUGATES}",
    ),
    "none, and a transposition": (
        rule(lambda z: M @ z, lambda z, g: M @ g),
        "a transposition is missing: the Jacobian",
    ),
    "one, and a transposition": (
        rule(lambda z: M @ z, lambda z, g: jnp.conj(M) @ g),
        "a transposition is missing, and a conjugation, or one of these is too many",
    ),
    "none, and the sign": (rule(jnp.sin, lambda z, g: -g * jnp.cos(z)), "z: the sign is wrong"),
    "none, and the sign of what is imaginary": (
        rule(lambda z: jnp.sum(jnp.imag(z) * jnp.arange(1.0, 4.0)), lambda z, g: 1j * g * jnp.arange(1.0, 4.0)),
        "the sign is wrong",
    ),
}


@pytest.mark.parametrize("name", OF_COMPLEX)
def test_conjugates_are_told_from_signs_and_transpositions(name):
    f, words = OF_COMPLEX[name]
    report = check_derivatives(lambda z: f(z), Z)
    assert report.verdict == "disagree"
    assert words in report.findings[0].diagnosis, report.findings[0].diagnosis
    assert ("conjugat" in words) == ("conjugat" in report.findings[0].diagnosis)


def of_squares(change):
    """Sum of the inverse's entries by weights, with a rule whose answer is changed."""
    return rule(lambda a: jnp.sum(W * jnp.linalg.inv(a)), lambda a, g: g * change(_of_inverse(a)))


def _of_inverse(a):
    inverse = jnp.linalg.inv(a)
    return -inverse.T @ W @ inverse.T


W = np.random.default_rng(2).normal(size=(4, 4))
DOMINANT = 5.0 * np.eye(4) + A[:4, :4]
SYMMETRIES = {
    "transposed": (lambda d: d.T, "right, but transposed"),
    "symmetrised": (lambda d: 0.5 * (d + d.T), "the mean of the right one and its transpose"),
    "with an error that is none of either": (lambda d: jnp.diag(jnp.diag(d)) + (d - jnp.diag(jnp.diag(d))) ** 2, ""),
}


@pytest.mark.parametrize("name", SYMMETRIES)
def test_the_diagonal_of_a_square_block_is_no_branch(name):
    change, words = SYMMETRIES[name]
    told = check_derivatives(of_squares(change), DOMINANT).findings[0].diagnosis
    assert words in told
    assert "branch" not in told


def doubled(f, slope):
    return rule(f, lambda x, g: 2.0 * g * slope(x))


def test_zeros_beside_a_factor_are_no_branch():
    told = check_derivatives(doubled(lambda x: jnp.maximum(x, 0.0) ** 2, lambda x: 2.0 * jnp.maximum(x, 0.0)), X)
    assert "x: 2 times the right value; the rule" in told.findings[0].diagnosis


EDGES = {
    "one number": ([0.0, 0.0, 0.0, 2.0, 3.0, 0.7], lambda x: x == 0.0, "only where x is 0;"),
    "zero and less": ([0.0, -2.0, -1.0, 2.0, 3.0, 0.7], lambda x: x <= 0.0, "only where x <= 0: one branch alone"),
    "zero and more": ([0.0, -2.0, -1.0, 2.0, 3.0, 0.7], lambda x: x >= 0.0, "only where x >= 0: one branch alone"),
    "numbers nearby": (
        [2.7101, 2.71, 2.7102, 2.7104, 2.7105],
        lambda x: x < 2.7103,
        "only where x < 2.7104: one branch",
    ),
}


@pytest.mark.parametrize("name", EDGES)
def test_the_number_that_parts_two_branches_does_part_them(name):
    x, is_wrong, words = EDGES[name]
    f = rule(jnp.sin, lambda x, g: g * jnp.where(is_wrong(x), x + 0.3, jnp.cos(x)))
    assert words in check_derivatives(f, np.array(x)).findings[0].diagnosis


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


def capped(x):
    return jnp.where(x * x < 1.0, 1e3 * x * x, jnp.abs(x))


@pytest.mark.parametrize(("f", "is_kink"), [(capped, False), (jnp.abs, True), (lambda x: jnp.abs(1e-9 * x), True)])
def test_a_kink_is_told_where_the_slopes_on_both_sides_differ(f, is_kink):
    report = check_derivatives(f, np.array([0.0, 0.4]))
    assert report.verdict == "agree"
    assert any("kink" in note for note in report.notes) == is_kink


def test_error_bars_are_told_with_the_precision_that_they_are_in():
    derived = "derived bounds on rounding errors"
    within = "they lie within those of the increments, and need none of their own"
    for dtype, told in ((np.float32, derived), (np.float64, within)):
        assert sorted(check_derivatives(jnp.sin, X.astype(dtype)).notes) == [
            f"error bars of increments, in float64: {derived}",
            f"error bars of reverse, forward, in {dtype.__name__}: {told}",
        ]


def test_the_type_that_is_told_is_the_one_that_f_has():
    x = jnp.array([1.0, 2.0, 0.5], jnp.float8_e4m3fn)
    for f in (lambda x: jnp.sum(x.astype(jnp.float32) ** 2), jax.jit(lambda x: jnp.sin(x.astype(jnp.float32)))):
        notes = " ".join(check_derivatives(f, x).notes)
        assert "float8_e4m3fn" in notes
        assert "bfloat16" not in notes
    assert "in float32:" in " ".join(check_derivatives(jnp.abs, Z.astype(np.complex64)).notes)


def test_nothing_is_decided_where_nothing_could_be_checked():
    loop = lambda x: jax.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.sin(s[1])), (0, x))[1]  # noqa: E731
    report = check_derivatives(loop, X, modes=("reverse",))
    assert (report.verdict, report.decided_share) == ("inconclusive", 0.0)
    assert check_derivatives(loop, X, modes=("forward",)).decided_share == 1.0
