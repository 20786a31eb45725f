"""Derivatives as they were shipped, and the right ones, each in the arithmetic in which it failed.

Formulas are written anew; libraries that are installed are called themselves.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

Vector = np.ndarray


def summed(f: Callable[[Vector], Vector]) -> Callable[[Vector], float]:
    """The cost Σ f(x), whose gradient is f'(x)."""
    return lambda x: float(f(x).sum())


# -- activations -------------------------------------------------------------------------------------------------------

GELU_SCALE, GELU_CUBIC = np.sqrt(2.0 / np.pi), 0.044715


def gelu_tanh(x: Vector) -> Vector:
    """t = tanh(√(2/π)(x + 0.044715x³)), which stands for erf(x/√2)."""
    return np.tanh(GELU_SCALE * (x + GELU_CUBIC * x**3))


def density(x: Vector) -> Vector:
    """φ, of the normal distribution."""
    return np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)


# -- libraries themselves ----------------------------------------------------------------------------------------------


def in_jax(wanted: Callable[[Any, Any, Any], Any]) -> Callable[[Vector], Any]:
    """``wanted(jax, jax.scipy.special, θ)``, compiled, in float64."""

    @cache
    def compiled() -> Callable[[Any], Any]:
        jax, functions = import_module("jax"), import_module("jax.scipy.special")
        return jax.jit(lambda theta: wanted(jax, functions, theta))

    def answer(theta: Vector) -> Any:
        from reference.jax_settings import fixed_settings

        with fixed_settings():
            return np.asarray(compiled()(np.asarray(theta, dtype=float)))

    return answer


def slope_in_jax(cost: Callable[[Any, Any, Any], Any]) -> Callable[[Vector], Any]:
    """The gradient in θ of ``cost(jax, jax.scipy.special, θ)``, by JAX."""
    return in_jax(lambda jax, functions, theta: jax.grad(lambda t: cost(jax, functions, t))(theta))


def by_jax(name: str) -> dict[str, Any]:
    """The sum of a function of ``jax.scipy.special`` and its gradient by JAX, as fields of an exhibit."""

    def total(jax: Any, functions: Any, theta: Any) -> Any:
        return getattr(functions, name)(theta).sum()

    return {"cost": in_jax(total), "shipped": slope_in_jax(total)}


def betaln_slope(jax: Any, functions: Any, theta: Any) -> Any:
    """∂ betaln(a, b)/∂a."""
    return jax.grad(functions.betaln)(theta[0], theta[1])


PLACES = np.array([0.0, 0.4, 1.0])  # where mass is carried to, from three points θ

ENTROPY, ITERATIONS = 0.2, 20


def carried_by_ott(jax: Any, _: Any, theta: Any) -> Any:
    """Σ P C of OTT's Sinkhorn after just so many iterations, in two blocks of ten."""
    geometry, problem, sinkhorn = (
        import_module(f"ott.{name}")
        for name in ("geometry.geometry", "problems.linear.linear_problem", "solvers.linear.sinkhorn")
    )
    costs = (theta[:, None] - PLACES) ** 2
    points = geometry.Geometry(cost_matrix=costs, epsilon=ENTROPY)
    counts = {"min_iterations": ITERATIONS, "max_iterations": ITERATIONS, "inner_iterations": ITERATIONS // 2}
    solver = sinkhorn.Sinkhorn(implicit_diff=None, threshold=1e-30, **counts)
    return jax.numpy.vdot(solver(problem.LinearProblem(points)).matrix, costs)


def carried(jax: Any, functions: Any, theta: Any) -> Any:
    """The same, by its formulas: potentials g = ε (log a - lse((f - C)/ε)) and f likewise, in turn."""
    costs, mass = (theta[:, None] - PLACES) ** 2, -np.log(len(PLACES))
    f = g = jax.numpy.zeros(len(PLACES))
    for _ in range(ITERATIONS):
        g = ENTROPY * (mass - functions.logsumexp((f[:, None] - costs) / ENTROPY, axis=0))
        f = ENTROPY * (mass - functions.logsumexp((g - costs) / ENTROPY, axis=1))
    return jax.numpy.vdot(jax.numpy.exp((f[:, None] + g - costs) / ENTROPY), costs)


def in_torch(wanted: Callable[[Any, Any], Any]) -> Callable[[Vector], Any]:
    """``wanted(torch, θ)``, in float64."""

    def compute(theta: Vector) -> Any:
        torch: Any = import_module("torch")
        with torch.enable_grad():  # a checker may call this within a function of torch
            return wanted(torch, torch.tensor(theta, dtype=torch.float64)).detach().numpy()

    return compute


def first_log_sum(torch: Any, theta: Any) -> Any:
    """The gradient of the first two entries' sum, by forward mode."""
    forward = torch.autograd.forward_ad

    def slope(direction: Any) -> Any:
        with forward.dual_level():
            return forward.unpack_dual(torch.logcumsumexp(forward.make_dual(theta, direction), 0)).tangent[:2].sum()

    return torch.stack([slope(direction) for direction in torch.eye(len(theta), dtype=theta.dtype)])


def kernel(theta: Vector) -> Vector:
    """γd² of the pairs of three points, with θ = log γ: the kernel of each is exp(-γd²)."""
    return np.exp(theta[0]) * PAIRS


def kernel_difference(theta: Vector) -> Vector:
    """The forward difference with a step of 1e-10 that was shipped for the derivative of Σ exp(-γd²) in θ."""
    step = 1e-10
    return np.array([((np.exp(-kernel(theta + step)) - np.exp(-kernel(theta))) / step).sum()])


def residuals(theta: Vector) -> Vector:
    """r = y - Xθ."""
    return OBSERVED - DESIGN @ theta


def pearson_scale(theta: Vector) -> float:
    """The estimate of the variance by Pearson's χ²: Σr²/(n - k)."""
    return float((residuals(theta) ** 2).sum()) / (len(OBSERVED) - len(theta))


def log_likelihood(theta: Vector) -> float:
    """-Σr²/2s - n/2 log(2πs), with the scale s estimated from the same θ."""
    r, scale = residuals(theta), pearson_scale(theta)
    return -0.5 * float((r**2).sum()) / scale - 0.5 * len(r) * float(np.log(2.0 * np.pi * scale))


OBSERVED = np.array([0.3, -0.2, 0.9, 0.4, 1.1, 0.7, 1.9, 1.4])
DESIGN = np.column_stack([np.ones(8), np.linspace(-1.0, 1.0, 8)])  # a line through eight points

PAIRS = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 4.0, 4.0, 5.0, 5.0])
"""The squared distances of three points, each pair twice."""
