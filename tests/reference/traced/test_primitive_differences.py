"""Finite differences of one equation that has no exact rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harness import check_derivatives
from reference.arithmetics.increments import STEP, Increment, constant, full_change
from reference.traced import primitive_differences
from reference.traced.interpreter import Run
from reference.traced.primitive_differences import differenced
from reference.traced.traced_function import Traced


def on_host(function):
    return lambda *x: jax.pure_callback(function, jax.ShapeDtypeStruct(x[-1].shape, x[-1].dtype), *x)


def test_an_operand_that_is_held_does_not_move_as_it_did_before():
    a, s = np.array([2.0, 3.0]), np.array([0.5, -1.0])
    (equation,) = Traced(on_host(np.multiply), a, s).program.equations
    moving = [Increment(x, STEP * np.ones((1, 2))) for x in (a, s)]
    (both,) = differenced(Run(), equation, *moving)
    (one,) = differenced(Run(), equation, moving[0], constant(s))
    np.testing.assert_allclose(full_change(both, 1)[0] / STEP, a + s, rtol=1e-4)
    np.testing.assert_allclose(full_change(one, 1)[0] / STEP, s, rtol=1e-4)


@jax.custom_jvp
def root_by_newton(a):
    far = lambda x: jnp.any(jnp.abs(x * x - a) > 1e-14 * a)  # noqa: E731
    return jax.lax.while_loop(far, lambda x: 0.5 * (x + a / x), a)


root_by_newton.defjvp(lambda a, t: (root_by_newton(*a), 0.5 * t[0] / root_by_newton(*a)))


@pytest.mark.parametrize(("size", "is_compiled_anew"), [(3, False), (20, True)])
def test_a_loop_is_compiled_for_all_points_at_once_only_where_they_are_many(monkeypatch, size, is_compiled_anew):
    a, batched, runs = np.linspace(0.5, 2.0, size), primitive_differences._batched, []
    monkeypatch.setattr(primitive_differences, "_batched", lambda *given: runs.append(1) or batched(*given))
    with jax.enable_x64(True):
        (equation,) = Traced(root_by_newton, a).program.equations
        (moved,) = differenced(Run(), equation, Increment(a, STEP * np.eye(size)))
    assert bool(runs) == is_compiled_anew
    np.testing.assert_allclose(full_change(moved, size) / STEP, np.diag(0.5 / np.sqrt(a)), rtol=1e-9, atol=1e-11)


def test_a_host_gets_all_points_at_once():
    shape, calls = jax.ShapeDtypeStruct((2,), np.dtype("float64")), []
    host = lambda x: calls.append(1) or np.sin(x)  # noqa: E731
    a = np.array([0.3, 0.7])
    with jax.enable_x64(True):
        f = lambda x: jax.pure_callback(host, shape, x, vmap_method="broadcast_all")  # noqa: E731
        (equation,) = Traced(f, a).program.equations
        (moved,) = differenced(Run(), equation, Increment(a, STEP * np.eye(2)))
    assert len(calls) == 2  # at the point, and around it
    np.testing.assert_allclose(full_change(moved, 2) / STEP, np.diag(np.cos(a)), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "agree"), (1.01, "disagree")])
def test_a_black_box_in_float32_is_differenced_with_wide_steps(factor, verdict):
    """Narrow ones leave two digits of the derivative, so that an error of 1% cannot be seen."""
    weights = np.array([1.0, 0.02, 0.005], np.float32)
    f = jax.custom_jvp(lambda x: jax.pure_callback(lambda x: np.exp(weights @ x), jax.ShapeDtypeStruct((), x.dtype), x))
    f.defjvp(lambda x, t: (f(*x), factor * jnp.exp(weights @ x[0]) * (weights @ t[0])))
    report = check_derivatives(f, np.array([0.5, 0.3, -1.0], np.float32))
    assert report.verdict == verdict, report


def test_a_finer_solver_that_breaks_down_beside_the_point_leaves_the_slopes_of_the_other():
    @jax.custom_jvp
    def square(x):
        error = jax.lax.while_loop(lambda e: e > 1e-6, lambda e: 0.5 * e, 1.0)
        return jnp.where((error < 1e-8) & (x != 1.3), jnp.nan, x * x + error)

    square.defjvp(lambda x, t: (square(*x), 2.0 * x[0] * t[0]))
    with jax.enable_x64(True):
        (equation,) = Traced(square, 1.3).program.equations
        (moved,) = differenced(Run(np.random.default_rng(0)), equation, Increment(np.array(1.3), STEP * np.ones(1)))
    np.testing.assert_allclose(full_change(moved, 1) / STEP, 2.6, rtol=1e-10)


def test_a_number_that_chooses_between_two_functions_is_no_tolerance():
    """The yield point of a spring, next to which differences see both of its slopes."""

    @jax.custom_jvp
    def spring(x):
        d = x - 1.0
        force = jnp.where(d < 5e-3, 3.0 * d, d + 1e-2)
        return jax.lax.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, s[1] + force), (0, 1.0 + 0.0 * x))[1]

    spring.defjvp(lambda x, t: (spring(*x), 12.0 * t[0]))
    with jax.enable_x64(True):
        assert check_derivatives(spring, 1.005 - 1e-6).verdict != "disagree"
