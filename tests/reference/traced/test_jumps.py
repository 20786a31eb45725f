"""Whole numbers and truth values that change in a step, through every kind of primitive that takes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from reference.arithmetics.increments import STEP, Increment
from reference.jax_settings import settings
from reference.traced.interpreter import Run
from reference.traced.traced_function import Traced


def one(x):
    """1 up to x = 1, and 0 beyond."""
    return (x <= 1.0).astype(int)


IS_BELOW = {
    "a comparison": lambda x: x <= 1.0,
    "equal": lambda x: one(x) == 1,
    "unequal": lambda x: one(x) != 0,
    "less": lambda x: ~(one(x) < 1),
    "a sum": lambda x: one(x) + (x <= 5.0).astype(int) == 2,
    "a difference": lambda x: 1 - one(x) == 0,
    "a product": lambda x: 3 * one(x) > 2,
    "a maximum": lambda x: jnp.maximum(one(x), 0) == 1,
    "a remainder": lambda x: (one(x) + 2) % 2 == 1,
    "a shift": lambda x: one(x) << 2 == 4,
    "bits": lambda x: (one(x) & 1) == 1,
    "a sign": lambda x: jnp.sign(one(x)) == 1,
    "a power": lambda x: one(x) ** 2 == 1,
    "a choice": lambda x: jnp.where(x <= 1.0, 3, 4) == 3,
    "a count": lambda x: jnp.stack([x <= 1.0, x < 9.0]).sum(0) == 2,
    "a running sum": lambda x: jnp.cumsum(jnp.stack([x <= 1.0, x < 9.0]).astype(int), 0)[-1] == 2,
    "all": lambda x: jnp.stack([x <= 1.0, x < 9.0]).all(0),
    "the first that holds": lambda x: jnp.argmax(jnp.stack([x <= 1.0, x < 9.0]), 0) == 0,
    "a sort": lambda x: jnp.sort(jnp.stack([one(x), 0 * one(x)]), 0)[-1] == 1,
    "a search": lambda x: jnp.searchsorted(jnp.array([1.0]), x) == 0,
    "a table": lambda x: jnp.array([5, 7])[one(x)] == 7,
    "a smaller type": lambda x: (x <= 1.0).astype(jnp.uint8) == 1,
    "a matrix product": lambda x: jnp.stack([one(x), one(x)], -1) @ jnp.array([1, 2]) == 3,
    "a scatter": lambda x: jnp.zeros(3, int).at[jnp.arange(3)].add(one(x)) == 1,
    "a branch": lambda x: lax.map(lambda t: lax.cond(t <= 1.0, lambda: 1, lambda: 2), x) == 1,
    "a batch of branches": lambda x: jax.vmap(lambda t: lax.cond(t <= 1.0, lambda: 1, lambda: 2))(x) == 1,
}


@pytest.mark.parametrize("name", IS_BELOW)
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_what_a_step_turns_turns_whatever_is_made_of_it(name, side):
    def squared_and_then_straight(x):
        is_below = IS_BELOW[name](x)
        # what is not chosen is stopped, as `jax.vmap` of a `lax.cond` has it
        below, above = jnp.where(is_below, x, lax.stop_gradient(x)), jnp.where(is_below, lax.stop_gradient(x), x)
        return jnp.where(x <= 1.0, below**2, 2.0 * above - 1.0)

    x = np.array([1.0, 0.3, 2.5])
    with settings(True):
        program = Traced(squared_and_then_straight, x).program
        run = Run()
        (y,) = run(program, Increment(x, side * STEP * np.eye(3)))
    np.testing.assert_array_equal(y.change / STEP, side * np.diag([2.0, 0.6, 2.0]))
    assert run.observed.ties


@pytest.mark.parametrize(("x", "jumps"), [(2.0, (0, -1)), (-2.0, (1, 0)), (0.0, (0, 0)), (1.5, (0, 0))])
def test_a_number_cut_to_a_whole_one_jumps_where_it_shrinks(x, jumps):
    with settings(True):
        program = Traced(lambda x: x.astype(int), np.float64(x)).program
    found = [Run()(program, Increment(np.float64(x), np.array([side * STEP])))[0] for side in (1.0, -1.0)]
    assert [int(np.sum(y.change)) for y in found] == [*jumps]


def test_a_branch_that_raises_on_the_other_side_of_a_point_is_no_side_of_the_function():
    def raises(x):
        raise RuntimeError("no value beyond 1")

    def up_to_one(x):
        beyond = lambda x: jax.pure_callback(raises, jax.ShapeDtypeStruct((), x.dtype), x)  # noqa: E731
        return lax.cond(x <= 1.0, lambda x: x**2, beyond, x)

    with settings(True):
        program = Traced(up_to_one, np.float64(1.0)).program
        (y,) = Run()(program, Increment(np.float64(1.0), np.array([STEP, -STEP])))
    np.testing.assert_array_equal(y.change / STEP, [2.0, -2.0])
