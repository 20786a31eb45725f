"""A callback to the host that raises beside the point, and not at it, is the edge of the function's domain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from harness import check_derivatives

THIRDS = np.array([1.0, 2.0])


def refuse(_):
    raise RuntimeError("beyond the end")


def unless(fails, x):
    """x, with an error that is raised on the host."""
    raised = lambda x: jax.pure_callback(refuse, jax.ShapeDtypeStruct(x.shape, x.dtype), 0)  # noqa: E731
    return lax.cond(fails, raised, lambda x: x, x)


def host_logarithm(x):
    def compute(x):
        if np.any(np.asarray(x) <= 0.0):
            raise ValueError("not positive")
        return np.log(x)

    @jax.custom_jvp
    def logarithm(x):
        return jax.pure_callback(compute, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="sequential")

    logarithm.defjvp(lambda x, t: (logarithm(*x), t[0] / x[0]))
    return logarithm(x)


FUNCTIONS = {
    "at its end": (lambda x: jnp.sin(unless(jnp.sum(x) * (1.0 / 3.0) > 1.0, x)), THIRDS),
    "times up to the last": (lambda t: jnp.sin(unless(jnp.linspace(0.0, t, 4)[-1] > t, t)), np.float64(0.9)),
    "a logarithm": (host_logarithm, THIRDS),
    "a logarithm beside zero": (host_logarithm, np.array([1e-5, 2.0])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_error_beside_the_point_is_the_edge_of_the_domain(name):
    f, x = FUNCTIONS[name]
    assert check_derivatives(f, x).verdict == "agree"


def test_an_error_at_the_point_is_raised():
    with pytest.raises((ValueError, RuntimeError), match="beyond the end"):
        check_derivatives(lambda x: unless(jnp.sum(x) > 0.0, x), THIRDS)


@pytest.mark.parametrize("x", [[1e-5, 0.5], [2.7, 30.0, 1e4], [3e-4, 2.0, 50.0]])
def test_no_number_is_moved_past_zero(x):
    asked = []

    def compute(x):
        asked.append(np.asarray(x).min())
        return np.sqrt(np.asarray(x))

    def f(x):
        @jax.custom_jvp
        def root(x):
            return jax.pure_callback(compute, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="broadcast_all")

        root.defjvp(lambda x, t: (root(*x), t[0] / (2.0 * root(*x))))
        return root(x).sum()

    assert check_derivatives(f, np.array(x)).verdict == "agree"
    assert min(asked) > 0.0
