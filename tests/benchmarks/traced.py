"""How long a check of a traced function takes, tracing and compiling included, beside JAX's own first answers.

Each is timed in a process of its own, where nothing is compiled yet: `python -m tests.benchmarks.traced NAME check`.
"""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from harness import check_derivatives
from tests.benchmarks.rows import Row
from tests.programs import run_python

rng = np.random.default_rng(0)


def array(*shape: int, scale: float = 1.0) -> np.ndarray:
    return scale * rng.normal(size=shape)


@jax.custom_vjp
def normed(x: Any) -> Any:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)


def _pulled_back(residuals: Any, g: Any) -> Any:
    y, inverse = residuals
    return (inverse * (g - g.mean(-1, keepdims=True) - y * (g * y).mean(-1, keepdims=True)),)


normed.defvjp(lambda x: (normed(x), (normed(x), 1.0 / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5))), _pulled_back)


def transformer(p: Any) -> Any:
    """One block: attention and two layers behind normalisations, on 8 tokens."""
    x = np.cos(np.arange(8 * p["q"].shape[0])).reshape(8, -1)
    n = normed(x)
    attended = jax.nn.softmax((n @ p["q"]) @ (n @ p["k"]).T / np.sqrt(x.shape[1])) @ (n @ p["v"])
    x = x + attended @ p["o"]
    return jnp.mean((x + jax.nn.gelu(normed(x) @ p["up"]) @ p["down"]) ** 2)


def weights(width: int) -> dict[str, np.ndarray]:
    shapes = dict.fromkeys("qkvo", (width, width)) | {"up": (width, 4 * width), "down": (4 * width, width)}
    return {name: array(*shape, scale=shape[0] ** -0.5) for name, shape in shapes.items()}


def recurrent(w: Any, u: Any) -> Any:
    def step(state: Any, x: Any) -> Any:
        h, c = state
        i, f, o, g = jnp.split(x @ w + h @ u, 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    inputs = np.sin(np.arange(48.0)).reshape(12, 4)
    return jnp.sum(lax.scan(step, (jnp.zeros(8), jnp.zeros(8)), inputs)[0][0] ** 2)


def convolution(kernel: Any, w: Any) -> Any:
    x = jnp.sin(jnp.arange(384.0)).reshape(2, 3, 8, 8)
    h = jax.nn.relu(lax.conv_general_dilated(x, kernel, (1, 1), "SAME"))
    h = lax.reduce_window(h, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID").reshape(2, -1)
    return -jnp.mean(jax.nn.log_softmax(h @ w)[:, 0])


def gaussian_process(log_scales: Any, noise: Any) -> Any:
    x = np.sin(np.arange(30.0) ** 2).reshape(15, 2)
    squares = jnp.sum(((x[:, None] - x) / jnp.exp(log_scales)) ** 2, -1)
    factor = jnp.linalg.cholesky(jnp.exp(-0.5 * squares) + jnp.exp(noise) * jnp.eye(15))
    fit = jax.scipy.linalg.solve_triangular(factor, np.cos(np.arange(15.0)), lower=True)
    return 0.5 * fit @ fit + jnp.sum(jnp.log(jnp.diag(factor)))


def transport(a: Any, b: Any) -> Any:
    """300 steps of Sinkhorn's iteration."""
    costs = np.abs(np.sin(np.arange(36.0))).reshape(6, 6)
    a, b = jax.nn.log_softmax(a), jax.nn.log_softmax(b)

    def step(v: Any, _: Any) -> Any:
        u = a - jax.nn.logsumexp(v - costs, axis=1)
        return b - jax.nn.logsumexp(u[:, None] - costs, axis=0), u

    v, u = lax.scan(step, jnp.zeros(6), None, length=300)
    return jnp.sum(jnp.exp(u[-1][:, None] + v - costs) * costs)


def root(a: Any) -> Any:
    def solve(g: Any, x: Any) -> Any:
        far = lambda x: jnp.max(jnp.abs(g(x))) > 1e-12  # noqa: E731
        return lax.while_loop(far, lambda x: x - jnp.linalg.solve(jax.jacobian(g)(x), g(x)), x)

    def tangent_solve(g: Any, y: Any) -> Any:
        return jnp.linalg.solve(jax.jacobian(g)(y), y)

    return lax.custom_root(lambda x: x**3 + x - a + 0.1 * jnp.sum(x), jnp.zeros(4), solve, tangent_solve)


def pendulum(y: Any, p: Any) -> Any:
    from jax.experimental.ode import odeint

    return odeint(lambda y, _, p: jnp.stack([y[1], -p[0] * jnp.sin(y[0]) - p[1] * y[1]]), y, jnp.linspace(0, 2, 5), p)


def control(x: Any, q: Any) -> Any:
    """Three steps of Newton's method for eight controls, unrolled: 5,700 operations."""

    def cost(u: Any) -> Any:
        state, total = x, 0.0
        for k in range(8):
            state = jnp.stack([state[0] + 0.1 * state[1], state[1] + 0.1 * (u[k] - jnp.sin(state[0]))])
            total += q[0] * state[0] ** 2 + q[1] * state[1] ** 2 + 0.1 * u[k] ** 2
        return total

    u = jnp.zeros(8)
    for _ in range(3):
        u = u - jnp.linalg.solve(jax.hessian(cost)(u), jax.grad(cost)(u))
    return u


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[[], tuple[Any, ...]], float]] = {
    "a custom rule, 24 numbers": (normed, lambda: (array(4, 6),), 2.0),
    "a block of a transformer, 768 parameters": (transformer, lambda: (weights(8),), 2.0),
    "an LSTM of 12 steps, 384": (recurrent, lambda: (array(4, 32), array(8, 32, scale=0.3)), 2.0),
    "a convolution, 428": (convolution, lambda: (array(4, 3, 3, 3), array(64, 5, scale=0.2)), 2.0),
    "a Gaussian process, 3": (gaussian_process, lambda: (array(2), np.array(-2.0)), 2.0),
    "optimal transport, 300 steps": (transport, lambda: (array(6), array(6)), 2.0),
    "an implicit root": (root, lambda: (array(4),), 2.0),
    "odeint": (pendulum, lambda: (np.array([1.0, 0.0]), np.array([9.8, 0.1])), 2.0),
    "unrolled control": (control, lambda: (np.array([1.0, 0.0]), np.array([1.0, 0.5])), 2.0),
    "a block of a transformer, 49,152": (transformer, lambda: (weights(64),), 30.0),
}
"""With where they are checked, and how many seconds that may take."""


def first_answers(f: Callable[..., Any], *arguments: Any) -> None:
    """What a caller waits for who asks JAX for the value and both derivatives: three programs."""

    def reverse(*arguments: Any) -> Any:
        value, pull_back = jax.vjp(f, *arguments)
        return pull_back(jax.tree.map(jnp.ones_like, value))

    def forward(*arguments: Any) -> Any:
        return jax.jvp(f, arguments, jax.tree.map(jnp.ones_like, arguments))

    for program in (f, reverse, forward):
        try:
            jax.block_until_ready(jax.jit(program)(*arguments))
        except TypeError:  # a rule for reverse mode alone
            continue


WAYS: dict[str, Callable[..., Any]] = {"check": check_derivatives, "jax": first_answers}


def traced() -> Iterator[Row]:
    """Seconds of a check; where they are too many, also beside JAX's own."""
    for name, (_, _, target) in FUNCTIONS.items():
        seconds = {way: float(run_python("-m", "tests.benchmarks.traced", name, way)[1]) for way in WAYS}
        yield Row(f"check_derivatives, {name}, seconds", "-", seconds, seconds["check"], target)
        if seconds["check"] > target:
            yield Row("the same", "JAX's own three programs", seconds, seconds["check"] / seconds["jax"], 1.0)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    check_derivatives(jnp.sin, 1.0)
    chosen, where, _ = FUNCTIONS[sys.argv[1]]
    given = where()
    begin = time.perf_counter()
    WAYS[sys.argv[2]](chosen, *given)
    print(time.perf_counter() - begin)
