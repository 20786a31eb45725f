"""The gradient by JAX, in reverse and in forward mode, in float64.

JAX differentiates the cost as `reference` states it; no slope written by hand takes part.
"""

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.activations import Activation
from reference.arithmetics.companion import FORMULA_ERRORS, first_line
from reference.jax_settings import fixed_settings
from reference.measured import MeasuredSlope, NotApplicable
from reference.namespaces import Namespace
from reference.network import Network
from reference.problem import Problem, regularised_cost
from reference.traced.traced_function import Traced

JAX = Namespace("jax", jnp, erf=jax.scipy.special.erf, logsumexp=partial(jax.nn.logsumexp, axis=-1, keepdims=True))


def _value_and_slope(f: Activation, z: Any) -> tuple[Any, Any]:
    # elementwise, so that the cotangent 1 of every entry gives each its own slope
    a, pull_back = jax.vjp(lambda z: f.value(JAX, z), z)
    return a, pull_back(jnp.ones_like(a))[0]


@lru_cache(maxsize=256)
def is_elementwise(f: Activation) -> bool:
    """Whether JAX can trace a formula and its derivative, and finds them to keep shape and type."""
    z = jax.ShapeDtypeStruct((2, 3), np.float64)
    try:
        with fixed_settings():
            a, _ = jax.eval_shape(partial(_value_and_slope, f), z)
    except FORMULA_ERRORS:
        return False
    return getattr(a, "shape", None) == z.shape and a.dtype == z.dtype


@lru_cache(maxsize=32)
def _reverse_program(network: Network) -> Any:
    return jax.jit(jax.value_and_grad(partial(regularised_cost, network, JAX)))


@lru_cache(maxsize=32)
def _forward_program(network: Network) -> Any:
    def cost_and_gradient(theta, X, Y, l2):
        def cost(theta):
            return regularised_cost(network, JAX, theta, X, Y, l2)

        # one tangent at a time, many in a batch: all n at once, as in jacfwd, take n times the memory of a cost
        def derivative(i):
            direction = jnp.zeros_like(theta).at[i].set(1.0)
            return jax.jvp(cost, (theta,), (direction,))[1]

        at_once = max(1, 2**22 // X.size)  # tangents in flight: some 32 MiB an array
        gradient = jax.lax.map(derivative, jnp.arange(theta.size), batch_size=min(at_once, theta.size))
        return cost(theta), gradient

    return jax.jit(cost_and_gradient)


def _run(program: Any, problem: Problem, theta: np.ndarray, dtype: Any = np.float64) -> tuple[float, np.ndarray]:
    problem.network.unpack(theta)  # a θ that does not fit is no error of a formula
    with fixed_settings(x64=dtype == np.float64):
        arrays = [jnp.asarray(array, dtype=dtype) for array in (theta, problem.X, problem.Y, problem.l2)]
        try:
            cost, gradient = program(*arrays)
            return float(cost), np.array(gradient)
        except FORMULA_ERRORS as reason:
            raise NotApplicable(f"JAX cannot trace a formula: {first_line(reason)}") from reason


def reverse(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ by `jax.value_and_grad`.

    Raises NotApplicable, here and below, when JAX cannot trace an activation's formula.
    """
    return _run(_reverse_program(problem.network), problem, theta)


def forward(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ by `jax.jvp` along every coordinate: n forward passes, and no transposed rule is used."""
    return _run(_forward_program(problem.network), problem, theta)


def reverse_float32(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """J(θ) and dJ/dθ by `jax.value_and_grad` in float32."""
    return _run(_reverse_program(problem.network), problem, theta, np.float32)


@lru_cache(maxsize=8)
def _slope_program(f: Activation, count: int) -> Traced:
    return Traced(partial(_value_and_slope, f), np.zeros(count))


def slope(f: Activation, z: np.ndarray, *, quickly: bool = True) -> MeasuredSlope:
    """f(z) and f'(z) in reverse mode, at z of shape (n,), compiled quickly or as a caller gets it: each by itself.

    XLA may fuse a slope with a value that is an output as well, and then differ from `jit(grad)` (jax#40564).
    """
    with fixed_settings():
        if quickly:
            parts = _slope_program(f, z.size)(jnp.asarray(z))
        else:
            parts = [jax.jit(lambda z, i=i: _value_and_slope(f, z)[i])(jnp.asarray(z)) for i in range(2)]
        value, derivative = map(np.array, parts)
    return MeasuredSlope(value, derivative, np.zeros_like(z))
