"""Notes on error bounds, types and devices, and what JAX lacks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts

from harness import check_derivatives
from harness.facts.kinds import Kind

X = np.array([0.7, -1.3, 0.2])


def test_error_bounds_have_the_precision_that_they_are_in():
    for dtype, rate, kind in (
        ("float32", 100.0, "derived"),
        ("float32", 1.0, "borrowed"),
        ("float64", 1.0, "borrowed"),
    ):
        waves = lambda x: jnp.sin(rate * x)  # noqa: B023, E731
        bounds = facts(check_derivatives(waves, X.astype(dtype)), Kind.ERROR_BOUNDS)
        assert {(fact.where, fact.data["precision"], *fact.data["bounds"]) for fact in bounds} == {
            (("increments",), "float64", "spread"),
            (("reverse", "forward"), dtype, kind),
        }


@pytest.mark.parametrize(
    "f", [lambda x: jnp.sum(x.astype(jnp.float32) ** 2), jax.jit(lambda x: jnp.sin(x.astype(jnp.float32)))]
)
def test_the_type_is_the_one_that_f_has(f):
    report = check_derivatives(f, jnp.array([1.0, 2.0, 0.5], jnp.float8_e4m3fn))
    assert "float8_e4m3fn" in {fact.data["precision"] for fact in facts(report, Kind.ERROR_BOUNDS)}


def test_a_complex_type_has_the_precision_of_its_parts():
    report = check_derivatives(jnp.abs, (X + 0.3j).astype(np.complex64))
    assert {fact.data["precision"] for fact in facts(report, Kind.ERROR_BOUNDS)} == {"float32", "float64"}
