"""The same gradients, as others compute them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference import Problem
from reference.jax_settings import fixed_settings


def textbook(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """The course's vectorized solution for a sigmoid network with one hidden layer, line by line."""
    X, Y, m, l2 = problem.X, problem.Y, problem.m, problem.l2
    Theta1, Theta2 = problem.network.unpack(theta)
    A1 = np.hstack([np.ones((m, 1)), X])
    A2 = np.hstack([np.ones((m, 1)), 1.0 / (1.0 + np.exp(-A1 @ Theta1.T))])
    A3 = 1.0 / (1.0 + np.exp(-A2 @ Theta2.T))
    J = -np.sum(Y * np.log(A3) + (1.0 - Y) * np.log(1.0 - A3)) / m
    J += l2 / (2.0 * m) * (np.sum(Theta1[:, 1:] ** 2) + np.sum(Theta2[:, 1:] ** 2))
    d3 = A3 - Y
    d2 = (d3 @ Theta2)[:, 1:] * A2[:, 1:] * (1.0 - A2[:, 1:])
    G1, G2 = d2.T @ A1 / m, d3.T @ A2 / m
    G1[:, 1:] += l2 / m * Theta1[:, 1:]
    G2[:, 1:] += l2 / m * Theta2[:, 1:]
    return J, np.concatenate([G1.ravel(order="F"), G2.ravel(order="F")])


def textbook_loop(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """The same, example by example, with the ones in front of every activation."""
    Theta1, Theta2 = problem.network.unpack(theta)
    Delta1, Delta2, J = np.zeros(Theta1.shape), np.zeros(Theta2.shape), 0.0
    for x, y in zip(problem.X, problem.Y):
        a1 = np.concatenate([[1.0], x])
        s2 = 1.0 / (1.0 + np.exp(-(Theta1 @ a1)))
        a2 = np.concatenate([[1.0], s2])
        a3 = 1.0 / (1.0 + np.exp(-(Theta2 @ a2)))
        J -= np.sum(y * np.log(a3) + (1.0 - y) * np.log(1.0 - a3))
        d3 = a3 - y
        d2 = (Theta2.T @ d3)[1:] * s2 * (1.0 - s2)
        Delta1 += np.outer(d2, a1)
        Delta2 += np.outer(d3, a2)
    return J / problem.m, np.concatenate([Delta1.ravel(order="F"), Delta2.ravel(order="F")]) / problem.m


def bare_products(problem: Problem, theta: np.ndarray, rows: int = 1000) -> Callable[[], Any]:
    """The matrix products that a gradient cannot do without, in row blocks that fit the cache, and nothing else.

    In the layout that is fastest in OpenBLAS: examples as columns, weights as rows of units.
    """
    weights = [np.ascontiguousarray(Theta[:, 1:]) for Theta in problem.network.unpack(theta)]
    totals = [np.zeros(W.shape) for W in weights]

    def run() -> Any:
        for start in range(0, problem.m, rows):
            As = [problem.X[start : start + rows].T]
            for W in weights:
                As.append(W @ As[-1])
            delta = As.pop()
            for layer in reversed(range(len(weights))):
                totals[layer] += delta @ As[layer].T
                if layer:
                    delta = weights[layer].T @ delta
        return totals

    return run


def jax_jitted(problem: Problem, theta: np.ndarray) -> Callable[[], Any]:
    """JAX's value_and_grad of the whole cost, compiled, its arguments already on the device."""
    import jax
    import jax.numpy as jnp

    from reference.oracles.jax_gradient import _reverse_program

    with fixed_settings():
        arguments = [jnp.asarray(array) for array in (theta, problem.X, problem.Y, problem.l2)]
        program = _reverse_program(problem.network)

    def run() -> Any:
        with fixed_settings():
            return jax.block_until_ready(program(*arguments))

    return run


def torch_eager(problem: Problem, theta: np.ndarray) -> Callable[[], Any] | None:
    """PyTorch's backward on the same cost, in float64; None where PyTorch is not installed."""
    try:
        import torch
        import torch.nn.functional as F
    except ImportError:
        return None
    X, Y = torch.tensor(problem.X), torch.tensor(problem.Y)
    thetas = [torch.tensor(Theta.copy(), requires_grad=True) for Theta in problem.network.unpack(theta)]
    functions = {"sigmoid": torch.sigmoid, "relu": torch.relu, "tanh": torch.tanh}
    losses = {
        "sigmoid": lambda z: F.binary_cross_entropy_with_logits(z, Y, reduction="sum"),
        "softmax": lambda z: F.cross_entropy(z, Y, reduction="sum"),
    }

    def run() -> Any:
        A = X
        for Theta, f in zip(thetas, problem.network.hidden):
            A = functions[f.name](A @ Theta[:, 1:].T + Theta[:, 0])
        cost = losses[problem.network.output.name](A @ thetas[-1][:, 1:].T + thetas[-1][:, 0]) / problem.m
        cost = cost + problem.l2 / (2 * problem.m) * sum((Theta[:, 1:] ** 2).sum() for Theta in thetas)
        for Theta in thetas:
            Theta.grad = None
        cost.backward()
        return thetas[0].grad

    return run


def jax_batched_differences(problem: Problem, theta: np.ndarray, at_once: int = 64) -> Callable[[], Any]:
    """Central differences of the compiled cost, many parameters at a time."""
    import jax
    import jax.numpy as jnp

    from reference.oracles.jax_gradient import JAX

    h = 1e-5
    with fixed_settings():
        X, Y = jnp.asarray(problem.X), jnp.asarray(problem.Y)

        def cost(t: Any) -> Any:
            network, m = problem.network, problem.m
            penalty = problem.l2 / (2 * m) * network.squared_weights(JAX, t)
            return network.losses(JAX, t, X, Y).sum() / m + penalty

        def derivative(i: Any) -> Any:
            t = jnp.asarray(theta)
            return (cost(t.at[i].add(h)) - cost(t.at[i].add(-h))) / (2 * h)

        program = jax.jit(lambda: jax.lax.map(derivative, jnp.arange(theta.size), batch_size=at_once))

    def run() -> Any:
        with fixed_settings():
            return jax.block_until_ready(program())

    return run
