"""JAX's modes: what is compiled quickly, what overflows, and rules that are no linear maps."""

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from own_rules import with_jvp, with_vjp, with_vmap

from harness import check_derivatives
from harness.checks.traced.jax_modes import Mode, ModeMissing, _refuse_missing_modes
from harness.facts.kinds import Kind

X = np.array([0.7, -1.3, 0.2])


@pytest.mark.parametrize("x", [[1e-5], [1e-3, 1e-8], [0.0, 2.0, 1e-9]])
def test_where_the_function_overflows_no_mode_accuses_the_other(x):
    assert check_derivatives(lambda x: x * 1e300 * 1e10, np.array(x)).verdict == "inconclusive"


BESIDE = {
    "an overflow": (lambda x: jnp.log(1.0 + jnp.exp(x)), 800.0, "disagree"),
    "an overflow in float32": (jnp.exp, np.float32(100.0), "disagree"),
    "zeros in float32": (lambda x: (x * 1e-30) / (x * 2e-30), np.float32(1e-20), "inconclusive"),
    "a pole": (lambda x: 1.0 / x, 0.0, "inconclusive"),
    "an end of the domain": (jnp.arctanh, 1.0, "inconclusive"),
}


@pytest.mark.parametrize("name", BESIDE)
def test_nan_where_another_output_overflows_is_wrong_and_where_one_has_no_derivative_is_not(name):
    f, x, verdict = BESIDE[name]
    report = check_derivatives(f, np.array([0.5, x], np.asarray(x).dtype))
    assert report.verdict == verdict, report
    assert (report.outliers == ("reverse",)) is (verdict == "disagree")


# -- machine code -----------------------------------------------------------------------------------------------------


doubled = with_jvp("doubled", lambda x: 2.0 * x, lambda x, dx: (2.0 * x[0], 2.0 * dx[0]))


def normal(seed, shape=(4, 6), offset=0.0, scale=1.0, dtype: Any = np.float64):
    return (offset + scale * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


COMPUTED_TWICE = {
    "a variance": (lambda x: jnp.var(x), [normal(seed, 6, 1e6) for seed in range(3)]),
    "a spread": (lambda x: jnp.std(x), [normal(seed, 6, 100.0, dtype=np.float32) for seed in range(3)]),
    "squares about the mean": (
        lambda x: jnp.mean((x - jnp.mean(x)) ** 2), [normal(seed, 6, 10.0, 0.1, np.float32) for seed in range(3)]
    ),
    "the largest of each row": (lambda x: jnp.max(0.3 * x + 1.0, axis=1), [normal(1), normal(2)]),
    "the largest of two": (lambda x: jnp.maximum(1.0 + x * x, 1.0 + jnp.abs(x)), [normal(1), normal(2)]),
    "a rule beside the largest": (lambda x: doubled(jnp.max(0.3 * x + 1.0, axis=1)), [normal(1), normal(2)]),
    "the largest of very many": (lambda x: jnp.sum(jnp.sin(jnp.max(0.3 * x + 1.0, axis=1))), [normal(1, (200, 6))]),
}  # fmt: skip
"""Where code that is compiled quickly computes a number twice, each time with other roundings: no x is max(x) then."""


@pytest.mark.parametrize("name", COMPUTED_TWICE)
def test_what_quickly_compiled_code_alone_rounds_otherwise_is_no_error(name):
    f, points = COMPUTED_TWICE[name]
    for x in points:
        report = check_derivatives(f, x)
        assert report.verdict == "agree", report


@pytest.mark.parametrize("size", [4, 2000])
def test_jax_is_not_accused_of_what_only_quickly_compiled_code_computes(size, monkeypatch):
    products = Mode.products

    def off(self, vectors, weights=None):
        return (1.5 if self.quickly else 1.0) * products(self, vectors, weights)

    monkeypatch.setattr(Mode, "products", off)
    assert check_derivatives(lambda x: jnp.sum(jnp.sin(x)), normal(0, size)).verdict == "agree"


IN_COARSER_TYPES = {
    "through float32": (jnp.sinh, lambda x: jnp.cosh(x).astype(jnp.float32).astype(x.dtype), np.float64, 2.0),
    "through bfloat16": (jnp.sinh, lambda x: jnp.cosh(x).astype(jnp.bfloat16).astype(x.dtype), np.float32, 2.0),
    "that overflows": (jax.nn.softplus, lambda x: jnp.exp(x) / (1.0 + jnp.exp(x)), np.float32, 100.0),
}


@pytest.mark.parametrize("name", IN_COARSER_TYPES)
def test_what_the_programs_own_types_do_is_wrong(name):
    """Run in float64 the program is right; run in its own types it is as wrong as XLA's code."""
    f, slope, dtype, x = IN_COARSER_TYPES[name]
    ruled = jax.custom_jvp(f)
    ruled.defjvp(lambda x, dx: (f(*x), slope(*x) * dx[0]))
    report = check_derivatives(ruled, np.array([0.3, x], dtype))
    assert report.verdict == "disagree"


SIDE_BY_SIDE = """
import jax, numpy as np
from reference.traced.traced_function import Traced

def solves(a, b):
    return sum(jax.lax.linalg.triangular_solve(a + 0.01 * k, b * (1.0 + k), left_side=True) for k in range(12))

a = np.triu(np.ones((320, 8, 8))).astype(np.complex64)
b = np.ones((320, 8, 10), np.complex64)
traced = Traced(solves, a, b)
for _ in range(30):
    found = traced(a, b).block_until_ready()
print(found.shape)
"""


@pytest.mark.more
def test_batched_solves_side_by_side_do_not_wait_for_each_other_forever():
    ended = subprocess.run(
        [sys.executable, "-c", SIDE_BY_SIDE], capture_output=True, text=True, check=True, timeout=100
    )
    assert ended.stdout == "(320, 8, 10)\n"


# -- linear maps ------------------------------------------------------------------------------------------------------


def pulled_back(value, backward):
    f = jax.custom_vjp(value)
    f.defvjp(lambda x: (value(x), x), lambda x, g: (backward(x, g),))
    return f


for_positive_tangents = with_jvp(
    "for_positive_tangents", lambda x: x**2, lambda x, t: (x[0] ** 2, 2.0 * x[0] * jnp.abs(t[0]))
)


slope_of_one = with_vmap(
    "slope_of_one", lambda x, g: 1.001 * g * jnp.cos(x), lambda size, are_batched, x, g: (g * jnp.cos(x), True)
)


for_positive_cotangents = pulled_back(lambda x: jnp.sum(jnp.sin(x)), lambda x, g: jnp.maximum(g, 0.0) * jnp.cos(x))
cut_off = pulled_back(lambda x: 0.3 * x, lambda x, g: 0.3 * jnp.clip(g, -1.0, 1.0))
cut_off_far_away = pulled_back(lambda x: 0.3 * x, lambda x, g: 0.3 * jnp.clip(g, -100.0, 100.0))
right_in_a_batch = pulled_back(lambda x: jnp.sin(x), slope_of_one)

HIDDEN = {
    "a batch alone": (lambda x: 2.0 * right_in_a_batch(x), Kind.CHANGED_BY_VMAP, "reverse"),
    "one sign of the cotangent": (for_positive_cotangents, Kind.NOT_LINEAR, "reverse"),
    "cotangents up to a hundred": (lambda x: jnp.sum(cut_off_far_away(0.9 * x)), Kind.NOT_LINEAR, "reverse"),
    **{
        f"no cotangents below {least}": (
            pulled_back(jnp.sin, lambda x, g, least=least: jnp.where(jnp.abs(g) < least, 0.0, g) * jnp.cos(x)),
            Kind.NOT_LINEAR,
            "reverse",
        )
        for least in (0.5, 1e-3, 1e-6)
    },
    "no cotangents below a hundredth of the largest": (
        pulled_back(jnp.sin, lambda x, g: jnp.where(jnp.abs(g) < 0.01 * jnp.abs(g).max(), 0.0, g) * jnp.cos(x)),
        Kind.NOT_LINEAR,
        "reverse",
    ),
    "one sign of the tangent": (for_positive_tangents, Kind.NOT_LINEAR, "forward"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_rule_that_is_right_for_some_vectors_alone_is_wrong(name):
    f, kind, mode = HIDDEN[name]
    report = check_derivatives(f, X)
    assert report.verdict == "disagree"
    assert [mode, True] in [
        [fact.data["mode"], __file__ in fact.data["place"]] for fact in report.reasons if fact.kind == kind
    ]


squared_tangent = with_jvp(
    "squared_tangent", lambda x: jnp.sum(x**2), lambda x, t: (squared_tangent(*x), jnp.sum(2.0 * x[0] * t[0] * t[0]))
)


def test_a_rule_on_which_an_assertion_within_jax_fails_is_checked_in_the_other_mode():
    report = check_derivatives(squared_tangent, X)
    assert report.verdict == "disagree"
    assert report.left_out["reverse"].kind == Kind.ASSERTION_IN_JAX
    assert report.details["culprits"][0]["name"] == "squared_tangent"


def test_a_mode_that_jax_forgets_it_lacks_is_left_out():
    """JAX says "Store empty" of a custom_vjp in forward mode, where compiled loops around it were differentiated."""
    with pytest.raises(ModeMissing, match="Store empty"), _refuse_missing_modes():
        raise Exception("Store empty")


def in_rows(x):
    assert x.ndim == 2, "rows, please"


def of_a_kind(x):
    return Kind("no such kind")  # raised in Python's enum


def by_a_check(x):
    raise checkify.JaxRuntimeError("not by me")


@pytest.mark.parametrize(("fails", "words"), [(in_rows, "rows"), (of_a_kind, "no such kind"), (by_a_check, "by me")])
def test_what_ones_own_rule_raises_stays_what_it_is(fails, words):
    @jax.custom_jvp
    def f(x):
        return x**2

    @f.defjvp
    def rule(x, t):
        fails(*x)
        return f(*x), 2.0 * x[0] * t[0]

    with pytest.raises(Exception, match=words):
        check_derivatives(f, X)


steep = with_vjp(
    "steep", lambda x, slope: slope * x, lambda slope, g: (g * slope, None), lambda x, slope: (slope * x, slope)
)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16, np.float32, np.float64])
def test_derivatives_near_the_end_of_a_types_range_are_linear(dtype):
    """What overflows for the opposite of all together, and for it alone, is no sign of anything."""
    slope = np.array(1e-4 * float(jnp.finfo(dtype).max), dtype)
    report = check_derivatives(steep, np.array([0.3, 0.7], dtype), slope, argnums=0)
    assert report.verdict == "agree", report


def primitive_of_a_library(batch=None, push=None):
    """A primitive for the sine whose rules are as broken as those of some libraries."""
    primitive = Primitive("library_sine")
    primitive.def_impl(jnp.sin)
    primitive.def_abstract_eval(lambda x: x)
    mlir.register_lowering(primitive, mlir.lower_fun(jnp.sin, multiple_results=False))
    if batch:
        batching.primitive_batchers[primitive] = batch
    ad.primitive_jvps[primitive] = push or (lambda x, t: (primitive.bind(*x), jnp.cos(x[0]) * t[0]))
    return primitive.bind


def raising(error, of_library):
    """A function of a module of the user's own, or of a library's, that raises an error."""
    file = "/lib/site-packages/broken/rules.py" if of_library else __file__
    space = {"error": error}
    exec(compile("def rule(*_):\n    raise error", file, "exec"), space)  # an error of that line
    return space["rule"]


@pytest.mark.parametrize("error", [TypeError("2 arguments"), IndexError("no axis"), NotImplementedError()])
def test_a_function_that_cannot_be_batched_is_differentiated_unbatched(error):
    assert check_derivatives(primitive_of_a_library(raising(error, True)), X).verdict == "agree"


def test_a_mode_that_a_librarys_rule_cannot_make_is_left_out_and_an_error_of_ones_own_is_raised():
    report = check_derivatives(primitive_of_a_library(push=raising(TypeError("1 argument too many"), True)), X)
    assert report.verdict == "inconclusive"
    assert report.left_out["forward"].data["message"] == "1 argument too many"
    with pytest.raises(TypeError, match="1 argument too many"):
        check_derivatives(primitive_of_a_library(push=raising(TypeError("1 argument too many"), False)), X)
