"""Equations of coarse types, computed in float64: what they mean, and what keeps its own types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from harness import check_derivatives
from harness.checks.traced import derivative_comparison
from reference.arithmetics.increments import constant
from reference.traced.equations import map_equations, reads_bits
from reference.traced.interpreter import Run
from reference.traced.primitive_values import values_of
from reference.traced.program_replay import float64_version
from reference.traced.traced_function import Traced

X = np.array([0.3, 1.7, 0.9])


def by_series(x):
    """eˣ, with one of each kind of what has a type in its parameters or a program within."""
    types = lax.convert_element_type(lax.iota(x.dtype, 3) * 0, x.dtype) + lax.cond(x[0] > 0, lambda: x, lambda: -x)
    same = lax.scan(lambda c, y: (c, y + c), jnp.zeros((), x.dtype), types)[1]
    same = lax.dot_general(jnp.eye(3, dtype=x.dtype), same, (((1,), (0,)), ((), ())), preferred_element_type=x.dtype)

    def step(state):
        n, term, total = state
        return n + 1, term * same / n, total + term

    eps = jnp.finfo(x.dtype).eps
    return lax.while_loop(lambda s: jnp.max(jnp.abs(s[1])) > 1e-3 * eps, step, (1, jnp.ones_like(x), 0.0 * x))[2]


def ruled(f, slope):
    wrapped = jax.custom_jvp(f)
    wrapped.defjvp(lambda p, t: (wrapped(*p), slope(*p) * t[0]))
    return wrapped


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_custom_rules_primal_runs_in_float64(dtype):
    x = jnp.asarray(X, dtype)
    (equation,) = Traced(ruled(by_series, jnp.exp), x).program.equations
    (found,) = values_of(equation, [np.asarray(x, float)])
    error = 1e-2 * float(jnp.finfo(dtype).eps)  # of the series, which stops there
    np.testing.assert_allclose(found, np.exp(np.asarray(x, float)), rtol=max(error, 1e-13))
    assert found.dtype == np.float64


def test_what_reads_bits_keeps_its_types():
    f = ruled(lambda x: lax.bitcast_convert_type(lax.bitcast_convert_type(x, "int32"), "float32"), jnp.ones_like)
    (equation,) = Traced(f, X.astype(np.float32)).program.equations
    assert reads_bits(Traced(f, X.astype(np.float32)).program)
    assert float64_version(equation) is None


@pytest.mark.parametrize(("slope", "verdict"), [(jnp.exp, "agree"), (lambda x: 1.1 * jnp.exp(x), "disagree")])
def test_a_series_that_stops_by_its_tolerance_is_differenced_in_float64(slope, verdict):
    """Steps of a stencil are less than a rounding in bfloat16, and a finer tolerance is never reached there."""
    assert check_derivatives(ruled(by_series, slope), jnp.asarray(X, "bfloat16")).verdict == verdict


def test_a_black_box_states_no_coarser_type_than_it_is_given():
    """JAX's own product with a sparse matrix names the type of its result."""
    from jax.experimental import sparse

    m = sparse.BCOO.fromdense(jnp.array([[1.5, 0.0, 2.25], [0.0, -0.7, 0.0]], "float32"))
    report = check_derivatives(lambda d, v: sparse.BCOO((d, m.indices), shape=m.shape) @ v, m.data, X.astype("f"))
    assert report.verdict == "agree", report


def test_a_value_comes_from_a_compiled_loop(monkeypatch):
    """In NumPy each step costs as much as a thousand compiled ones."""
    program = Traced(ruled(by_series, jnp.exp), X.astype("float32")).program
    run = Run()
    seen = []
    monkeypatch.setattr(Run, "__call__", lambda self, p, *x, _call=Run.__call__: seen.append(p) or _call(self, p, *x))
    (found,) = run(program, constant(X))
    assert len(seen) == 1
    np.testing.assert_allclose(found.value, np.exp(X), rtol=1e-8)


def test_points_about_are_not_asked_where_one_oracle_decides(monkeypatch):
    """Of a series that stops early differences tell little, and increments all that is to be judged."""
    monkeypatch.setattr(derivative_comparison, "scale_around", lambda *_: pytest.fail("costs as much as all the rest"))
    assert check_derivatives(ruled(by_series, jnp.exp), jnp.asarray(X, "bfloat16")).verdict == "agree"


def test_what_nothing_changes_stays_the_same_object_with_what_was_compiled_for_it():
    f = lambda x: (jax.jit(lambda x: jnp.sin(x) + 1.0)(x), lax.fori_loop(0, 2, lambda _, x: 2.0 * x, x))  # noqa: E731
    program = Traced(f, 0.5).program
    assert map_equations(program, lambda eq: {"precomputed": eq.precomputed}) is program
    call, loop = map_equations(program, lambda eq: {"precomputed": {0}} if eq.name == "sin" else {}).equations
    assert call is not program.equations[0]
    assert loop is program.equations[1]
