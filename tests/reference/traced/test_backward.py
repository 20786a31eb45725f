"""What a run that rounds at random moves of factors, whatever the units of rows, of columns and of other matrices."""

import jax
import jax.numpy as jnp
import jax.scipy.linalg as sl
import numpy as np
import pytest

from reference.arithmetics.increments import constant
from reference.jax_settings import settings
from reference.traced.interpreter import Run
from reference.traced.program import Traced

A = np.eye(3) + 0.1 * np.random.default_rng(0).normal(size=(3, 3))
ROWS = 2.0 ** np.array([[40], [0], [-30]])  # powers of two, so that nothing else is rounded otherwise


def moved(f, a, seed=0):
    """What a run that rounds moves of each result."""
    with settings(True):
        program = Traced(lambda x: list(jax.tree.leaves(f(x))), a).program
        exact, rounded = (run(program, constant(a)) for run in (Run(), Run(rounding=np.random.default_rng(seed))))
    return [np.asarray(r.value) - np.asarray(x.value) for x, r in zip(exact, rounded) if np.shape(x.value)]


def lu(a):
    return jax.lax.linalg.lu(a)[0]


@pytest.mark.parametrize("scale", [2.0**60, 2.0**-60])
def test_of_lu_the_scale_of_the_matrix_moves_u_alone(scale):
    upper = np.triu(np.ones((3, 3), bool))
    here, there = moved(lu, A)[0], moved(lu, scale * A)[0]
    np.testing.assert_array_equal(there, np.where(upper, scale, 1.0) * here)
    assert 0.0 < np.abs(here).max() < 1e-14


def test_of_lu_the_units_of_rows_scale_what_is_moved():
    here, there = moved(lu, A)[0], moved(lu, ROWS * A)[0]
    lower, upper = ROWS * np.tril(here, -1) / ROWS.T, ROWS * np.triu(here)
    np.testing.assert_allclose(there, lower + upper, rtol=1e-2)  # of what is moved, a rounding is a share


def test_a_sum_in_elimination_that_cancels_is_not_exact():
    a = np.array([[4.0, 2.0], [2.0, 1.0 + 2.0**-30]])  # U's last entry is 2⁻³⁰ by 1 - 1
    assert 0.1 < np.abs(moved(lu, a)[0][1, 1]) / 2.0**-52 < 10.0


OF_A_STACK = {
    "lu": lu,
    "qr": lambda a: jnp.linalg.qr(a),
    "cholesky": lambda a: jnp.linalg.cholesky(a @ jnp.swapaxes(a, 1, 2)),
    "svd": lambda a: jnp.linalg.svd(a)[1],
    "eigh": lambda a: jnp.linalg.eigh(a + jnp.swapaxes(a, 1, 2)),
    "fft": lambda a: jnp.real(jnp.fft.fft(a)),
    "triangular": lambda a: jax.vmap(lambda m: sl.solve_triangular(m, jnp.ones(3)))(a),
}


@pytest.mark.parametrize("name", OF_A_STACK)
def test_one_matrix_of_a_stack_is_not_moved_by_anothers_size(name):
    with settings(True):
        for alone, beside in zip(moved(OF_A_STACK[name], A[None]), moved(OF_A_STACK[name], np.stack([A, 1e12 * A]))):
            assert 0.0 < np.abs(beside[0]).max() < 20.0 * np.abs(alone).max() < 1e-12


BY_ROWS = {
    "triangular": lambda a: sl.solve_triangular(a, jnp.asarray(ROWS[:, 0])),
    "solve": lambda a: jnp.linalg.solve(a, jnp.asarray(ROWS[:, 0])),
}


@pytest.mark.parametrize("name", BY_ROWS)
def test_what_solves_is_moved_as_little_in_any_units_of_the_equations(name):
    with settings(True):
        (found,) = moved(BY_ROWS[name], ROWS * A)
    assert 0.0 < np.abs(found).max() < 1e-14


def test_in_cholesky_units_do_not_count():
    with settings(True):
        here, there = (moved(jnp.linalg.cholesky, d * (A @ A.T) * d.T)[0] for d in (np.ones((3, 1)), ROWS))
    np.testing.assert_array_equal(there, ROWS * here)


def test_in_qr_the_units_of_columns_scale_r_alone():
    with settings(True):
        here, there = (moved(lambda a: jnp.linalg.qr(a)[1], A * d)[0] for d in (1.0, ROWS.T))
    np.testing.assert_allclose(there, ROWS.T * here, rtol=1e-2)
