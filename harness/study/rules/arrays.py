"""Rules of functions of vectors and matrices: layers, losses, solvers, recurrences."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from harness.study.rules.rule import Rule, named

_rng = np.random.default_rng(13)
EPSILON, TEMPERATURE = 1e-3, 0.7
MASK = np.array([True, True, False, True, False, True])


def linear(x, w):
    return x @ w


def linear_backward(saved, g):
    (x, w), _ = saved
    return g @ w.T, x.T @ g


def weights_not_transposed(saved, g):
    (x, w), _ = saved
    return g @ w, x.T @ g


def inputs_not_transposed(saved, g):
    (x, w), _ = saved
    return g @ w.T, x @ g


def linear_with_bias(x, b):
    return x + b


def linear_with_bias_backward(saved, g):
    return g, g.sum(axis=0)


def bias_by_mean(saved, g):
    return g, g.mean(axis=0)


def masked_softmax(z):
    return jax.nn.softmax(jnp.where(MASK, z, -1e30))


def masked_softmax_backward(saved, g):
    _, y = saved
    return (y * (g - jnp.sum(g * y)),)


def softmax_by_its_diagonal(saved, g):
    _, y = saved
    return (y * (1.0 - y) * g,)


def mask_forgotten(saved, g):
    (z,), _ = saved
    y = jax.nn.softmax(z)
    return (y * (g - jnp.sum(g * y)),)


def cross_entropy(z):
    return jax.nn.logsumexp(z / TEMPERATURE) - z[2] / TEMPERATURE


def cross_entropy_backward(saved, g):
    (z,), _ = saved
    return (g * (jax.nn.softmax(z / TEMPERATURE) - jnp.zeros_like(z).at[2].set(1.0)) / TEMPERATURE,)


def temperature_forgotten(saved, g):
    (z,), _ = saved
    return (g * (jax.nn.softmax(z / TEMPERATURE) - jnp.zeros_like(z).at[2].set(1.0)),)


def label_off_by_one(saved, g):
    (z,), _ = saved
    return (g * (jax.nn.softmax(z / TEMPERATURE) - jnp.zeros_like(z).at[3].set(1.0)) / TEMPERATURE,)


def unit_length(x):
    return x / jnp.sqrt(jnp.sum(x * x) + EPSILON)


def unit_length_backward(saved, g):
    (x,), y = saved
    return ((g - y * jnp.sum(g * y)) / jnp.sqrt(jnp.sum(x * x) + EPSILON),)


def epsilon_on_one_side(saved, g):
    (x,), y = saved
    return ((g - y * jnp.sum(g * y)) / jnp.sqrt(jnp.sum(x * x)),)


def layer_norm(x):
    centred = x - jnp.mean(x)
    return centred / jnp.sqrt(jnp.mean(centred**2) + EPSILON)


def layer_norm_backward(saved, g):
    (x,), y = saved
    return ((g - jnp.mean(g) - y * jnp.mean(g * y)) / jnp.sqrt(jnp.var(x) + EPSILON),)


def mean_held_constant(saved, g):
    (x,), y = saved
    return ((g - y * jnp.mean(g * y)) / jnp.sqrt(jnp.var(x) + EPSILON),)


def variance_held_constant(saved, g):
    (x,), _ = saved
    return ((g - jnp.mean(g)) / jnp.sqrt(jnp.var(x) + EPSILON),)


def solve(a, b):
    return jnp.linalg.solve(a, b)


def solve_backward(saved, g):
    (a, _), y = saved
    adjoint = jnp.linalg.solve(a.T, g)
    return -jnp.outer(adjoint, y), adjoint


def solve_not_transposed(saved, g):
    (a, _), y = saved
    adjoint = jnp.linalg.solve(a, g)
    return -jnp.outer(adjoint, y), adjoint


def solve_outer_transposed(saved, g):
    (a, _), y = saved
    adjoint = jnp.linalg.solve(a.T, g)
    return -jnp.outer(y, adjoint), adjoint


def running_average(x):
    return lax.scan(lambda c, t: ((0.8 * c + 0.2 * t),) * 2, 0.0, x)[1]


def running_average_backward(saved, g):
    return (0.2 * lax.scan(lambda c, t: ((0.8 * c + t),) * 2, 0.0, g, reverse=True)[1],)


def scan_off_by_one(saved, g):
    return (0.2 * lax.scan(lambda c, t: (0.8 * c + t, c), 0.0, g, reverse=True)[1],)


def scan_not_reversed(saved, g):
    return (0.2 * lax.scan(lambda c, t: ((0.8 * c + t),) * 2, 0.0, g)[1],)


def log_det(a):
    return jnp.linalg.slogdet(a)[1]


def log_det_backward(saved, g):
    (a,), _ = saved
    return (g * jnp.linalg.inv(a).T,)


def log_det_not_transposed(saved, g):
    (a,), _ = saved
    return (g * jnp.linalg.inv(a),)


def convolved(x, k):
    return jnp.convolve(x, k, mode="full")


def convolved_backward(saved, g):
    (x, k), _ = saved
    return jnp.convolve(g, k[::-1], mode="valid"), jnp.convolve(g, x[::-1], mode="valid")


def kernel_not_flipped(saved, g):
    (x, k), _ = saved
    return jnp.convolve(g, k, mode="valid"), jnp.convolve(g, x[::-1], mode="valid")


def gathered(table):
    return table[np.array([0, 2, 2, 1])]


def gathered_backward(saved, g):
    (table,), _ = saved
    return (jnp.zeros_like(table).at[np.array([0, 2, 2, 1])].add(g),)


def repeated_rows_overwritten(saved, g):
    (table,), _ = saved
    return (jnp.zeros_like(table).at[np.array([0, 2, 1])].set(g[np.array([0, 2, 3])]),)


def quadratic_form(x, a):
    return x @ a @ x


def quadratic_form_backward(saved, g):
    (x, a), _ = saved
    return g * (a + a.T) @ x, g * jnp.outer(x, x)


def taken_for_symmetric(saved, g):
    (x, a), _ = saved
    return g * 2.0 * a @ x, g * jnp.outer(x, x)


def attention(q, k):
    return jax.nn.softmax(q @ k.T / 2.0, axis=-1)


def attention_backward(saved, g):
    (q, k), y = saved
    d = y * (g - jnp.sum(g * y, axis=-1, keepdims=True)) / 2.0
    return d @ k, d.T @ q


def wrong_axis(saved, g):
    (q, k), y = saved
    d = y * (g - jnp.sum(g * y, axis=0, keepdims=True)) / 2.0
    return d @ k, d.T @ q


def scale_forgotten(saved, g):
    (q, k), y = saved
    d = y * (g - jnp.sum(g * y, axis=-1, keepdims=True))
    return d @ k, d.T @ q


def _normal(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape)


_X, _SQUARE = _normal(6), _normal(3, 3) + 3.0 * np.eye(3)

ARRAYS = [
    Rule(linear, linear_backward, (_normal(3, 3), _normal(3, 3)), named(weights_not_transposed, inputs_not_transposed)),
    Rule(linear_with_bias, linear_with_bias_backward, (_normal(3, 2), _normal(2)), named(bias_by_mean)),
    Rule(masked_softmax, masked_softmax_backward, (_X,), named(softmax_by_its_diagonal, mask_forgotten)),
    Rule(cross_entropy, cross_entropy_backward, (_X,), named(temperature_forgotten, label_off_by_one)),
    Rule(unit_length, unit_length_backward, (_X,), named(epsilon_on_one_side)),
    Rule(layer_norm, layer_norm_backward, (_X,), named(mean_held_constant, variance_held_constant)),
    Rule(solve, solve_backward, (_SQUARE, _normal(3)), named(solve_not_transposed, solve_outer_transposed)),
    Rule(running_average, running_average_backward, (_X,), named(scan_off_by_one, scan_not_reversed)),
    Rule(log_det, log_det_backward, (_SQUARE,), named(log_det_not_transposed)),
    Rule(convolved, convolved_backward, (_normal(5), _normal(3)), named(kernel_not_flipped)),
    Rule(gathered, gathered_backward, (_normal(3, 2),), named(repeated_rows_overwritten)),
    Rule(quadratic_form, quadratic_form_backward, (_normal(3), _normal(3, 3)), named(taken_for_symmetric)),
    Rule(attention, attention_backward, (_normal(3, 2), _normal(3, 2)), named(wrong_axis, scale_forgotten)),
]  # fmt: skip
