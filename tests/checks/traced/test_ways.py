"""A function has one value, however JAX runs it: compiled, eagerly, mapped over a batch."""

import subprocess
import sys
from contextlib import contextmanager

import jax
import jax.extend as jex
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters import ad, batching, mlir

from harness import check_derivatives
from harness.checks.traced import derivative_check
from reference.jax_settings import compiler_options

X = np.array([0.7, -1.3, 0.2])


def by_tracing(x):
    traced = isinstance(x, jax.core.Tracer)  # pyright: ignore[reportAttributeAccessIssue]
    return jnp.sin(x) if traced else jnp.cos(x)


@jax.custom_batching.custom_vmap
def mapped_otherwise(x):
    return jnp.sum(jnp.sin(x))


@mapped_otherwise.def_vmap
def _(axis_size, in_batched, x):
    return jnp.sum(jnp.cos(x), axis=-1), True


@jax.custom_vjp
def with_a_rule(x):
    return mapped_otherwise(x)


with_a_rule.defvjp(lambda x: (jnp.sum(jnp.sin(x)), x), lambda x, g: (g * jnp.cos(x),))

APART = {"run eagerly": by_tracing, "mapped by jax.vmap": with_a_rule}


def with_two_meanings():
    """A primitive of somebody's own that computes another value where it is not compiled."""
    doubled = jex.core.Primitive("doubled")
    doubled.def_impl(lambda x: np.multiply(3.0, x))
    doubled.def_abstract_eval(lambda x: x)
    mlir.register_lowering(doubled, mlir.lower_fun(lambda x: 2.0 * x, multiple_results=False))
    batching.primitive_batchers[doubled] = lambda args, axes: (doubled.bind(*args), axes[0])
    ad.deflinear2(doubled, lambda g, _: [2.0 * g])
    return lambda x: doubled.bind(jnp.sin(x))


def test_a_primitive_of_somebodys_own_runs_eagerly_by_its_own_function():
    report = check_derivatives(with_two_meanings(), X)
    assert report.verdict == "disagree"
    assert [reason for reason in report.reasons if "where f is run eagerly" in reason], report


@pytest.mark.parametrize("way", APART)
def test_another_value_in_another_way_contradicts_the_truth(way):
    report = check_derivatives(APART[way], X)
    assert report.verdict == "disagree"
    (reason,) = report.reasons
    assert f"where f is {way}" in reason
    assert not report.findings


def not_for_batches(x):
    @jax.custom_batching.custom_vmap
    def f(x):
        return x * 2.0

    @f.def_vmap
    def _(axis_size, in_batched, x):
        raise NotImplementedError("no batches here")

    @jax.custom_vjp
    def g(x):
        return f(x)

    g.defvjp(lambda x: (x * 2.0, None), lambda _, c: (2.0 * c,))
    return g(x)


def test_what_cannot_be_mapped_is_told():
    report = check_derivatives(not_for_batches, X)
    assert report.verdict == "agree"
    assert any("cannot be mapped" in note and "no batches here" in note for note in report.notes)


def in_its_type(x):
    y = x * jnp.exp(jnp.full((), 1.0))  # Python's number leaves the type to x
    return y * float(jnp.finfo(y.dtype).bits)


SAME = {
    "a sum in float32": (lambda x: jnp.sum(jnp.sin(x) * 1e3), np.linspace(-1, 1, 64).astype(np.float32)),
    "layers in bfloat16": (lambda x: jnp.sum(jnp.tanh(x @ x.T) ** 2), jnp.ones((5, 5), "bfloat16") * 0.3),
    "an infinity": (lambda x: jnp.log(x), np.array([0.0])),
    "an overflow within": (jax.jit(lambda x: x / (x * x) * x), np.array([1e25, 2.0], np.float32)),
    "random numbers": (lambda x: x * jax.random.normal(jax.random.key(0), x.shape), X),
    "a weak type": (in_its_type, jnp.ones(3, "bfloat16")),
}


@pytest.mark.parametrize("name", SAME)
def test_rounding_is_no_other_value(name):
    report = check_derivatives(*SAME[name])
    assert report.verdict != "disagree"
    assert not any("where f is" in told for told in (*report.notes, *report.reasons))


def test_of_what_is_printed_it_is_said_that_it_comes_again():
    def printing(x):
        jax.debug.callback(lambda _: None, x)
        return jnp.sin(x)

    assert any("prints or calls back" in note for note in check_derivatives(printing, X).notes)
    assert not any("prints or calls back" in note for note in check_derivatives(jnp.sin, X).notes)


@pytest.mark.parametrize("x", [[1e-5], [1e-3, 1e-8], [1.0], [0.0, 2.0, 1e-9]])
def test_where_the_function_overflows_no_mode_accuses_the_other(x):
    assert check_derivatives(lambda x: x * 1e300 * 1e10, np.array(x)).verdict == "inconclusive"


BESIDE = {
    "an overflow": (lambda x: jnp.log(1.0 + jnp.exp(x)), 800.0, "disagree"),
    "an overflow in float32": (jnp.exp, np.float32(100.0), "disagree"),
    "zeros in float32": (lambda x: (x * 1e-30) / (x * 2e-30), np.float32(1e-20), "inconclusive"),
    "a pole": (lambda x: 1.0 / x, 0.0, "inconclusive"),
    "a pole of another": (jax.lax.lgamma, -1.0, "inconclusive"),
    "an end of the domain": (jnp.arctanh, 1.0, "inconclusive"),
    "no number": (jnp.log, -1.0, "inconclusive"),
}


@pytest.mark.parametrize("name", BESIDE)
def test_nan_where_another_output_overflows_is_wrong_and_where_one_has_no_derivative_is_not(name):
    f, x, verdict = BESIDE[name]
    report = check_derivatives(f, np.array([0.5, x], np.asarray(x).dtype))
    assert report.verdict == verdict, report
    assert (report.outliers == ("reverse",)) is (verdict == "disagree")


def test_progress_is_told_of_each_source(monkeypatch):
    told = []

    @contextmanager
    def recorded(seconds):
        yield lambda step, done, total: told.append((step, done < total))

    monkeypatch.setattr(derivative_check, "progress_bar", recorded)
    check_derivatives(jnp.sin, X)
    assert {step for step, _ in told} >= {"reverse mode", "forward mode", "increments through the program"}
    assert all(is_ahead for _, is_ahead in told)


def test_what_is_compiled_for_the_check_is_compiled_quickly():
    assert compiler_options() or jax.default_backend() != "cpu"


CANCELLING = {
    "a variance": (lambda x: jnp.var(x), 1e6, 1.0, np.float64),
    "a spread in float32": (lambda x: jnp.std(x), 100.0, 1.0, np.float32),
    "squares about the mean": (lambda x: jnp.mean((x - jnp.mean(x)) ** 2), 10.0, 0.1, np.float32),
}


@pytest.mark.parametrize("name", CANCELLING)
def test_what_only_such_code_rounds_otherwise_is_no_error(name):
    """A mean that is computed twice, each time with other roundings, is not that of a caller's program."""
    f, offset, scale, dtype = CANCELLING[name]
    for seed in range(4):
        x = (offset + scale * np.random.default_rng(seed).normal(size=6)).astype(dtype)
        assert check_derivatives(f, x).verdict == "agree"


LARGEST = {
    "of each row": lambda x: jnp.max(0.3 * x + 1.0, axis=1),
    "of two": lambda x: jnp.maximum(1.0 + x * x, 1.0 + jnp.abs(x)),
}


@pytest.mark.parametrize("name", LARGEST)
def test_a_largest_number_that_only_such_code_takes_for_another_is_found(name):
    """Where x is computed twice, each time with other roundings, no x is max(x), and no derivative goes there."""
    for seed in range(1, 4):
        x = np.random.default_rng(seed).normal(size=(4, 6))
        assert check_derivatives(LARGEST[name], x).verdict == "agree"


IN_COARSER_TYPES = {
    "through float32": (jnp.sinh, lambda x: jnp.cosh(x).astype(jnp.float32).astype(x.dtype), np.float64),
    "through bfloat16": (jnp.sinh, lambda x: jnp.cosh(x).astype(jnp.bfloat16).astype(x.dtype), np.float32),
    "that overflows": (jax.nn.softplus, lambda x: jnp.exp(x) / (1.0 + jnp.exp(x)), np.float32),
}


@pytest.mark.parametrize("name", IN_COARSER_TYPES)
def test_what_the_programs_own_types_do_is_not_laid_at_the_compilers_door(name):
    """Run in float64 the program is right; run in its own types it is as wrong as XLA's code."""
    f, slope, dtype = IN_COARSER_TYPES[name]
    rule = jax.custom_jvp(f)
    rule.defjvp(lambda x, dx: (f(*x), slope(*x) * dx[0]))
    report = check_derivatives(rule, np.array([0.3, 100.0 if name == "that overflows" else 2.0], dtype))
    assert report.verdict == "disagree"
    assert not any("machine code" in note for note in report.notes)


def test_nor_is_a_rule_beside_such_a_number_called_not_linear():
    @jax.custom_jvp
    def doubled(x):
        return 2.0 * x

    doubled.defjvp(lambda x, dx: (2.0 * x[0], 2.0 * dx[0]))
    for seed in range(1, 4):
        x = np.random.default_rng(seed).normal(size=(4, 6))
        report = check_derivatives(lambda x: doubled(jnp.max(0.3 * x + 1.0, axis=1)), x)
        assert report.verdict == "agree", report


def test_very_many_inputs_are_asked_for_again_by_other_code():
    x = np.random.default_rng(1).normal(size=(200, 6))
    assert check_derivatives(lambda x: jnp.sum(jnp.sin(jnp.max(0.3 * x + 1.0, axis=1))), x).verdict == "agree"


ROWS, WEIGHTS = np.array([0, 2]), np.linspace(0.1, 1.0, 3)


@pytest.mark.parametrize(
    "f",
    [
        lambda a: jnp.sin(a[ROWS]),
        lambda a: jnp.take(a, ROWS, axis=0, mode="clip"),
        lambda a: jnp.sin(a) @ WEIGHTS,
        jax.jit(lambda a: jnp.take(jnp.sin(a) * WEIGHTS, ROWS, axis=0, mode="clip")),
    ],
)
def test_what_jax_made_of_an_array_in_32_bits_and_in_64_are_apart(f):
    a = np.linspace(0.1, 0.9, 9).reshape(3, 3)
    for _ in range(2):
        assert f(a).dtype == jax.jit(f)(a).dtype == np.float32
        assert check_derivatives(f, a).verdict == "agree"


SIDE_BY_SIDE = """
import jax, numpy as np
from reference.traced.program import Traced

def solves(a, b):
    return sum(jax.lax.linalg.triangular_solve(a + 0.01 * k, b * (1.0 + k), left_side=True) for k in range(12))

a = np.triu(np.ones((320, 8, 8))).astype(np.complex64)
b = np.ones((320, 8, 10), np.complex64)
traced = Traced(solves, a, b)
for _ in range(30):
    found = traced(a, b).block_until_ready()
print(found.shape)
"""


def test_batched_solves_side_by_side_do_not_wait_for_each_other_forever():
    ended = subprocess.run(
        [sys.executable, "-c", SIDE_BY_SIDE], capture_output=True, text=True, check=True, timeout=100
    )
    assert ended.stdout == "(320, 8, 10)\n"


@jax.custom_vjp
def for_positive_cotangents(x):
    return jnp.sum(jnp.sin(x))


for_positive_cotangents.defvjp(
    lambda x: (for_positive_cotangents(x), x), lambda x, g: (jnp.maximum(g, 0.0) * jnp.cos(x),)
)


@jax.custom_vjp
def cut_off(x):
    return 0.3 * x


cut_off.defvjp(lambda x: (0.3 * x, None), lambda _, g: (0.3 * jnp.clip(g, -1.0, 1.0),))


@jax.custom_vjp
def cut_off_far_away(x):
    return 0.3 * x


cut_off_far_away.defvjp(lambda x: (0.3 * x, None), lambda _, g: (0.3 * jnp.clip(g, -100.0, 100.0),))


@jax.custom_jvp
def for_positive_tangents(x):
    return x**2


for_positive_tangents.defjvp(lambda x, t: (x[0] ** 2, 2.0 * x[0] * jnp.abs(t[0])))


@jax.custom_vjp
def other_when_pulled_back(x):
    return jnp.sin(x)


other_when_pulled_back.defvjp(lambda x: (jnp.sin(x) + 1e-9, x), lambda x, g: (g * jnp.cos(x),))


@jax.custom_jvp
def other_when_pushed_forward(x):
    return jnp.sin(x)


other_when_pushed_forward.defjvp(lambda x, t: (jnp.sin(x[0]) + 1.0, jnp.cos(x[0]) * t[0]))


@jax.custom_batching.custom_vmap
def slope_where_nothing_is_mapped(x, g):
    return 1.001 * g * jnp.cos(x)


@slope_where_nothing_is_mapped.def_vmap
def _of_a_batch(size, are_mapped, x, g):
    return g * jnp.cos(x), True


@jax.custom_vjp
def other_when_not_mapped(x):
    return jnp.sin(x)


other_when_not_mapped.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (slope_where_nothing_is_mapped(x, g),))

HIDDEN = {
    "a batch alone": (lambda x: 2.0 * other_when_not_mapped(x), "where it is not mapped by jax.vmap than where it is"),
    "one sign of the cotangent": (for_positive_cotangents, "reverse mode is not linear"),
    "small cotangents": (lambda x: jnp.sum(cut_off(0.9 * x)), "reverse mode is not linear"),
    "cotangents up to a hundred": (lambda x: jnp.sum(cut_off_far_away(0.9 * x)), "reverse mode is not linear"),
    "one sign of the tangent": (for_positive_tangents, "forward mode is not linear"),
    "a value of its own in fwd": (other_when_pulled_back, "while reverse mode goes on"),
    "a value of its own in a jvp": (lambda x: 2.0 * other_when_pushed_forward(x), "while forward mode goes on"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_rule_that_is_right_for_what_it_was_asked_alone_is_wrong(name):
    f, words = HIDDEN[name]
    report = check_derivatives(f, X)
    assert report.verdict == "disagree"
    assert any(words in reason and "test_ways.py" in reason for reason in report.reasons), report


@jax.custom_jvp
def squared_tangent(x):
    return jnp.sum(x**2)


squared_tangent.defjvp(lambda x, t: (squared_tangent(*x), jnp.sum(2.0 * x[0] * t[0] * t[0])))


def test_a_rule_on_which_an_assertion_within_jax_fails_is_checked_in_the_other_mode():
    report = check_derivatives(squared_tangent, X)
    assert report.verdict == "disagree"
    assert "an assertion within JAX fails" in report.left_out["reverse"]
    assert report.details["culprits"][0]["name"] == "squared_tangent"


def test_an_assertion_of_ones_own_stays_what_it_is():
    @jax.custom_jvp
    def f(x):
        return x**2

    @f.defjvp
    def rule(x, t):
        assert x[0].ndim == 2, "rows, please"
        return f(*x), 2.0 * x[0] * t[0]

    with pytest.raises(AssertionError, match="rows, please"):
        check_derivatives(f, X)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float32, np.float64])
def test_derivatives_near_the_end_of_a_types_range_are_linear(dtype):
    """What overflows for the opposite of all together, and for it alone, is no sign of anything."""
    steep = 1e-4 * float(jnp.finfo(dtype).max)
    report = check_derivatives(rule_of_steep, np.array([0.3, 0.7], dtype), np.array(steep, dtype), argnums=0)
    assert report.verdict == "agree", report


@jax.custom_vjp
def rule_of_steep(x, steep):
    return steep * x


rule_of_steep.defvjp(lambda x, steep: (steep * x, steep), lambda steep, g: (g * steep, None))


@jax.custom_vjp
def otherwise_rounded(x):
    return jnp.log(1.0 + jnp.exp(x))


otherwise_rounded.defvjp(lambda x: (jnp.logaddexp(x, 0.0), x), lambda x, g: (g * jax.nn.sigmoid(x),))


@pytest.mark.parametrize("x", [X, -30.0 + X, 1e3 * X], ids=["at hand", "in the tail", "far away"])
def test_another_formula_for_the_same_value_is_none(x):
    assert not any("goes on" in reason for reason in check_derivatives(otherwise_rounded, x).reasons)
