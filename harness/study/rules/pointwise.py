"""Rules of functions entry by entry, and of sums of them."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from harness.study.rules.rule import Rule, named

_rng = np.random.default_rng(12)
EPSILON, LIMIT = 1e-3, 0.6
TARGETS, WEIGHTS = _rng.normal(size=6), _rng.uniform(0.5, 1.5, 6)


def my_tanh(x):
    return jnp.tanh(x)


def tanh_backward(saved, g):
    _, y = saved
    return (g * (1.0 - y * y),)


def tanh_of_input(saved, g):
    (x,), _ = saved
    return (g * (1.0 - x * x),)


def my_softplus(x):
    return jnp.logaddexp(x, 0.0)


def softplus_backward(saved, g):
    (x,), _ = saved
    return (g * jax.nn.sigmoid(x),)


def softplus_of_output(saved, g):
    _, y = saved
    return (g * jax.nn.sigmoid(y),)


def leaky(x):
    return jnp.where(x > 0.0, x, 0.1 * x)


def leaky_backward(saved, g):
    (x,), _ = saved
    return (jnp.where(x > 0.0, g, 0.1 * g),)


def leaky_as_relu(saved, g):
    (x,), _ = saved
    return (jnp.where(x > 0.0, g, 0.0),)


def clipped(x):
    return jnp.clip(x, -LIMIT, LIMIT)


def clipped_backward(saved, g):
    (x,), _ = saved
    return (jnp.where(jnp.abs(x) < LIMIT, g, 0.0),)


def clip_as_identity(saved, g):
    return (g,)


def scaled_mean(x):
    return jnp.mean(x * jnp.asarray(WEIGHTS))


def scaled_mean_backward(saved, g):
    (x,), _ = saved
    return (g * WEIGHTS / x.size,)


def sum_for_mean(saved, g):
    return (g * WEIGHTS,)


def squared_error(x):
    return 0.5 * jnp.mean((x - TARGETS) ** 2)


def squared_error_backward(saved, g):
    (x,), _ = saved
    return (g * (x - TARGETS) / x.size,)


def targets_forgotten(saved, g):
    (x,), _ = saved
    return (g * x / x.size,)


def huber(r):
    return jnp.sum(jnp.where(jnp.abs(r) < 1.0, 0.5 * r * r, jnp.abs(r) - 0.5))


def huber_backward(saved, g):
    (r,), _ = saved
    return (g * jnp.clip(r, -1.0, 1.0),)


def huber_tails_without_sign(saved, g):
    (r,), _ = saved
    return (g * jnp.where(jnp.abs(r) < 1.0, r, 1.0),)


def power(x, p):
    return x**p


def power_backward(saved, g):
    (x, p), y = saved
    return g * p * x ** (p - 1.0), g * y * jnp.log(x)


def power_not_lowered(saved, g):
    (x, p), y = saved
    return g * p * y, g * y * jnp.log(x)


def implicit_root(a):
    """y with y³ + y = a."""
    return lax.fori_loop(0, 60, lambda _, y: y - (y**3 + y - a) / (3.0 * y**2 + 1.0), jnp.zeros_like(a))


def implicit_root_backward(saved, g):
    _, y = saved
    return (g / (3.0 * y**2 + 1.0),)


def implicit_at_input(saved, g):
    (a,), _ = saved
    return (g / (3.0 * a**2 + 1.0),)


def log_cosh(x):
    return jnp.logaddexp(x, -x) - np.log(2.0)


def log_cosh_push(arguments, tangents):
    (x,), (t,) = arguments, tangents
    return log_cosh(x), t * jnp.tanh(x)


def log_cosh_second_derivative(arguments, tangents):
    (x,), (t,) = arguments, tangents
    return log_cosh(x), t * (1.0 - jnp.tanh(x) ** 2)


def product(x, y):
    return x * y


def product_push(arguments, tangents):
    (x, y), (s, t) = arguments, tangents
    return x * y, s * y + x * t


def product_of_one_factor(arguments, tangents):
    (x, y), (s, _) = arguments, tangents
    return x * y, s * y


def ratio(x, y):
    return x / y


def ratio_push(arguments, tangents):
    (x, y), (s, t) = arguments, tangents
    return x / y, (s - x / y * t) / y


def ratio_with_a_plus(arguments, tangents):
    (x, y), (s, t) = arguments, tangents
    return x / y, (s + x / y * t) / y


def smooth_norm(x):
    return jnp.sqrt(jnp.sum(x * x) + EPSILON)


def smooth_norm_push(arguments, tangents):
    (x,), (t,) = arguments, tangents
    return smooth_norm(x), jnp.sum(x * t) / jnp.sqrt(jnp.sum(x * x) + EPSILON)


def norm_without_epsilon(arguments, tangents):
    (x,), (t,) = arguments, tangents
    return smooth_norm(x), jnp.sum(x * t) / jnp.sqrt(jnp.sum(x * x))


def _normal(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape)


def _positive(*shape: int) -> np.ndarray:
    return _rng.uniform(0.3, 2.0, shape)


_X = _normal(6)

POINTWISE = [
    Rule(my_tanh, tanh_backward, (_X,), named(tanh_of_input)),
    Rule(my_softplus, softplus_backward, (_X,), named(softplus_of_output)),
    Rule(leaky, leaky_backward, (_X,), named(leaky_as_relu)),
    Rule(clipped, clipped_backward, (_X,), named(clip_as_identity)),
    Rule(scaled_mean, scaled_mean_backward, (_X,), named(sum_for_mean)),
    Rule(squared_error, squared_error_backward, (_X,), named(targets_forgotten)),
    Rule(implicit_root, implicit_root_backward, (_X,), named(implicit_at_input)),
    Rule(huber, huber_backward, (1.5 * _X,), named(huber_tails_without_sign)),
    Rule(power, power_backward, (_positive(4), _normal(4)), named(power_not_lowered)),
    Rule(log_cosh, log_cosh_push, (_X,), named(log_cosh_second_derivative), "jvp"),
    Rule(product, product_push, (_normal(4), _normal(4)), named(product_of_one_factor), "jvp"),
    Rule(ratio, ratio_push, (_normal(4), _positive(4)), named(ratio_with_a_plus), "jvp"),
    Rule(smooth_norm, smooth_norm_push, (_X,), named(norm_without_epsilon), "jvp"),
]  # fmt: skip
