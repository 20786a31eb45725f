"""Right functions without a rule of their own, at ordinary points and at awkward ones: kinks, steep, flat, coarse."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special

_rng = np.random.default_rng(14)


def _normal(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape)


def _positive(*shape: int) -> np.ndarray:
    return _rng.uniform(0.3, 2.0, shape)


def _definite(n: int) -> np.ndarray:
    a = _normal(n, n)
    return a @ a.T + n * np.eye(n)


def _single(*shape: int) -> np.ndarray:
    return _normal(*shape).astype(np.float32)


def _layer(p: Any, x: Any) -> Any:
    return jax.nn.gelu(x @ p["kernel"] + p["bias"])


def _recurrent(w: Any, x: Any) -> Any:
    return lax.scan(lambda h, t: ((h := jnp.tanh(w @ h + t)), h), jnp.zeros(3), x)[1]


def _matern(x: Any) -> Any:
    r = jnp.abs(x[:, None] - x[None, :]) + 1e-3
    return jnp.linalg.slogdet((1.0 + r) * jnp.exp(-r) + 0.1 * jnp.eye(len(x)))[1]


def _attention(q: Any, k: Any, v: Any) -> Any:
    return jax.nn.softmax(q @ k.T) @ v


def _fixed_point(a: Any) -> Any:
    return lax.fori_loop(0, 40, lambda _, y: 0.5 * jnp.cos(y) + a, a)


def _least_squares(a: Any, b: Any) -> Any:
    return jnp.linalg.lstsq(a, b)[0]


def _kalman(y: Any) -> Any:
    def step(state: Any, seen: Any) -> Any:
        mean, variance = state
        gain = variance / (variance + 0.5)
        return (mean + gain * (seen - mean), (1.0 - gain) * variance + 0.1), (seen - mean) ** 2 / (variance + 0.5)

    return lax.scan(step, (0.0, 1.0), y)[1].sum()


PLAIN: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "a layer": (_layer, ({"kernel": _normal(3, 2), "bias": _normal(2)}, _normal(3))),
    "a recurrence": (_recurrent, (0.5 * _normal(3, 3), _normal(4, 3))),
    "attention": (_attention, (_normal(3, 2), _normal(3, 2), _normal(3, 2))),
    "a Gaussian process": (_matern, (_normal(4),)),
    "a Kalman filter": (_kalman, (_normal(6),)),
    "a fixed point": (_fixed_point, (_normal(3),)),
    "logistic regression": (lambda w, x: jnp.mean(jnp.logaddexp(0.0, -x @ w)), (_normal(3), _normal(5, 3))),
    "Poisson regression": (lambda w, x: jnp.sum(jnp.exp(x @ w) - x @ w), (_normal(3), _normal(5, 3))),
    "cross entropy": (lambda z: jax.nn.logsumexp(z) - z[1], (_normal(5),)),
    "Student's t": (lambda r, n: jnp.sum(jnp.log1p(r**2 / n)), (_normal(5), np.array(3.0))),
    "log gamma": (lambda a: jnp.sum(special.gammaln(a)), (_positive(4),)),
    "normal tail": (special.log_ndtr, (_normal(4),)),
    "log-sum-exp, shifted far": (lambda z: jax.nn.logsumexp(z + 1e3), (_normal(4),)),
    "solve": (jnp.linalg.solve, (_definite(3), _normal(3))),
    "inverse": (jnp.linalg.inv, (_definite(3),)),
    "cholesky": (lambda a: jnp.linalg.cholesky(a @ a.T + jnp.eye(3)), (_normal(3, 3),)),
    "eigenvalues": (lambda a: jnp.linalg.eigvalsh(a + a.T), (_normal(3, 3),)),
    "singular values": (lambda a: jnp.linalg.svd(a, compute_uv=False), (_normal(3, 2),)),
    "least squares": (_least_squares, (_normal(4, 2), _normal(4))),
    "log determinant": (lambda a: jnp.linalg.slogdet(a)[1], (_definite(3),)),
    "convolution": (lambda x, k: lax.conv(x, k, (1, 1), "SAME"), (_normal(1, 2, 3, 3), _normal(2, 2, 2, 2))),
    "spectrum": (lambda x: jnp.abs(jnp.fft.rfft(x)) ** 2, (_normal(6),)),
    "sorted": (lambda x: jnp.sort(x) * jnp.arange(5.0), (_normal(5),)),
    "cumulative product": (jnp.cumprod, (_normal(5),)),
    "interpolated": (lambda x: jnp.interp(x, jnp.arange(-4.0, 5.0), jnp.arange(-4.0, 5.0) ** 2), (_normal(4),)),
    "segments": (lambda x: jax.ops.segment_sum(x**2, np.array([0, 0, 1, 2]), 3), (_normal(4),)),
    "a branch": (lambda x: lax.cond(x[0] > 0.0, jnp.sin, jnp.cos, x), (_normal(3),)),
    "checkpoint": (jax.checkpoint(lambda x: jnp.sin(jnp.exp(x))), (_normal(3),)),
    "ReLU beside its kink": (jax.nn.relu, (np.array([1e-5, -1e-5, 1.0, -3e-6]),)),
    "ReLU on its kink": (jax.nn.relu, (np.array([0.0, 1.0, -1.0]),)),
    "|x| at 0": (lambda x: jnp.sum(jnp.abs(x)), (np.array([0.0, 0.5, -0.5]),)),
    "a maximum with ties": (jnp.max, (np.array([1.0, 2.0, 2.0]),)),
    "a product with a zero": (jnp.prod, (np.array([0.0, 1.5, 2.0]),)),
    "steep": (lambda x: jnp.exp(30.0 * x), (np.array([0.5, 1.0, -1.0]),)),
    "fast": (lambda x: jnp.sin(1e5 * x), (_normal(4),)),
    "tiny arguments": (lambda x: jnp.sum(jnp.log(x)), (np.array([1e-6, 3e-5, 1.0]),)),
    "large arguments": (lambda x: jnp.sum(jnp.sqrt(x)), (np.array([1e12, 2e8, 4.0]),)),
    "a large constant beside": (lambda x: 1e8 + jnp.sum(jnp.sin(x)), (_normal(3),)),
    "saturated": (jax.nn.sigmoid, (np.array([30.0, -30.0, 0.0]),)),
    "barrier": (lambda x: -jnp.sum(jnp.log(1.0 - x**2)), (np.array([0.99999, -0.5, 0.2]),)),
    "sin x / x at 0": (jnp.sinc, (np.array([0.0, 0.3]),)),
    "a norm far out": (jnp.linalg.norm, (np.array([3e8, 4e8]),)),
    "float32: a layer": (lambda w, x: jnp.tanh(w @ x), (_single(2, 3), _single(3))),
    "float32: cross entropy": (lambda z: jax.nn.logsumexp(z) - z[1], (_single(5),)),
    "float32: a sum": (lambda x: jnp.sum(x**2), (_single(32),)),
    "bfloat16: softmax": (jax.nn.softmax, (jnp.asarray(_normal(4), "bfloat16"),)),
    "bfloat16: sine": (lambda x: jnp.sin(x) * x, (jnp.asarray(_normal(4), "bfloat16"),)),
    "float16: a layer": (lambda w, x: jnp.tanh(w @ x), (_normal(2, 3).astype("float16"), _normal(3).astype("float16"))),
    "complex: an exponential": (lambda z: jnp.abs(jnp.exp(z)) ** 2, (_normal(3) + 1j * _normal(3),)),
}  # fmt: skip
