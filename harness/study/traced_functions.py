"""Functions that JAX traces: with a derivative rule of their own, right and wrong ones, and without.

The wrong rules here belong to one function alone; `rule_bugs` has those that any rule can have. A rule of
`jax.custom_vjp` is ``rule(saved, g) -> cotangents``, one of `jax.custom_jvp` is
``rule(arguments, tangents) -> (output, tangent)``; their arguments are float64.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special

Function = Callable[..., Any]


class Saved(NamedTuple):
    """What a `custom_vjp` keeps for its rule: the first argument, the second if there is one, and the output."""

    x: Any
    w: Any
    y: Any

    @property
    def arguments(self) -> tuple[Any, ...]:
        return (self.x,) if self.w is None else (self.x, self.w)


class RuleFunction(NamedTuple):
    """A function, its right rule, the point at which it is checked, and wrong rules by the name of their bug.

    `kind` is "vjp" or "jvp".
    """

    function: Function
    rule: Function
    arguments: tuple[np.ndarray, ...]
    wrong: Mapping[str, Function]
    kind: str

    @property
    def name(self) -> str:
        return self.function.__name__

    def with_rule(self, rule: Function) -> Function:
        """The function as JAX differentiates it by some rule."""
        if self.kind == "jvp":
            function = jax.custom_jvp(self.function)
            function.defjvp(rule)
            return function
        function = jax.custom_vjp(self.function)
        function.defvjp(self._forward, rule)
        return function

    def save(self, *arguments: Any) -> Saved:
        """What the rule needs of a call."""
        x, w = arguments if len(arguments) == 2 else (*arguments, None)
        return Saved(x, w, self.function(*arguments))

    def _forward(self, *arguments: Any) -> tuple[Any, Saved]:
        saved = self.save(*arguments)
        return saved.y, saved


RULE_FUNCTIONS: list[RuleFunction] = []


def named(function: Function, name: str) -> Function:
    """A function under the name that reports show."""
    function.__name__ = function.__qualname__ = name
    return function


def _add(name: str, kind: str, function: Function, rule: Function, arguments: Any, **wrong: Function) -> None:
    """Wrong rules come as keywords; underscores stand for the spaces in the name of a bug."""
    bugs = {bug.replace("_", " "): named(rule, bug) for bug, rule in wrong.items()}
    RULE_FUNCTIONS.append(RuleFunction(named(function, name), named(rule, f"{name}_rule"), arguments, bugs, kind))


# Each section has a generator of its own, so that a new case changes no case of another section.

# -- entry by entry, and sums ------------------------------------------------------------------------------------------

_rng = np.random.default_rng(12)
EPSILON, LIMIT = 1e-3, 0.6
TARGETS, WEIGHTS = _rng.normal(size=6), _rng.uniform(0.5, 1.5, 6)


def _normal(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape)


def _positive(*shape: int) -> np.ndarray:
    return _rng.uniform(0.3, 2.0, shape)


def _implicit_root(a):
    """y with y³ + y = a."""
    return lax.fori_loop(0, 60, lambda _, y: y - (y**3 + y - a) / (3.0 * y**2 + 1.0), jnp.zeros_like(a))


def _log_cosh(x):
    return jnp.logaddexp(x, -x) - np.log(2.0)


def _smooth_norm(x, epsilon=EPSILON):
    return jnp.sqrt(jnp.sum(x * x) + epsilon)


_X = _normal(6)

# fmt: off
_add("my_tanh", "vjp", lambda x: jnp.tanh(x),
     lambda s, g: (g * (1.0 - s.y * s.y),), (_X,),
     tanh_of_input=lambda s, g: (g * (1.0 - s.x * s.x),))
_add("my_softplus", "vjp", lambda x: jnp.logaddexp(x, 0.0),
     lambda s, g: (g * jax.nn.sigmoid(s.x),), (_X,),
     softplus_of_output=lambda s, g: (g * jax.nn.sigmoid(s.y),))
_add("leaky", "vjp", lambda x: jnp.where(x > 0.0, x, 0.1 * x),
     lambda s, g: (jnp.where(s.x > 0.0, g, 0.1 * g),), (_X,),
     leaky_as_relu=lambda s, g: (jnp.where(s.x > 0.0, g, 0.0),))
_add("clipped", "vjp", lambda x: jnp.clip(x, -LIMIT, LIMIT),
     lambda s, g: (jnp.where(jnp.abs(s.x) < LIMIT, g, 0.0),), (_X,),
     clip_as_identity=lambda s, g: (g,))
_add("scaled_mean", "vjp", lambda x: jnp.mean(x * jnp.asarray(WEIGHTS)),
     lambda s, g: (g * WEIGHTS / s.x.size,), (_X,),
     sum_for_mean=lambda s, g: (g * WEIGHTS,))
_add("squared_error", "vjp", lambda x: 0.5 * jnp.mean((x - TARGETS) ** 2),
     lambda s, g: (g * (s.x - TARGETS) / s.x.size,), (_X,),
     targets_forgotten=lambda s, g: (g * s.x / s.x.size,))
_add("implicit_root", "vjp", _implicit_root,
     lambda s, g: (g / (3.0 * s.y**2 + 1.0),), (_X,),
     implicit_at_input=lambda s, g: (g / (3.0 * s.x**2 + 1.0),))
_add("huber", "vjp", lambda r: jnp.sum(jnp.where(jnp.abs(r) < 1.0, 0.5 * r * r, jnp.abs(r) - 0.5)),
     lambda s, g: (g * jnp.clip(s.x, -1.0, 1.0),), (1.5 * _X,),
     huber_tails_without_sign=lambda s, g: (g * jnp.where(jnp.abs(s.x) < 1.0, s.x, 1.0),))
_add("power", "vjp", lambda x, p: x**p,
     lambda s, g: (g * s.w * s.x ** (s.w - 1.0), g * s.y * jnp.log(s.x)), (_positive(4), _normal(4)),
     power_not_lowered=lambda s, g: (g * s.w * s.y, g * s.y * jnp.log(s.x)))
_add("log_cosh", "jvp", _log_cosh,
     lambda x, t: (_log_cosh(*x), t[0] * jnp.tanh(x[0])), (_X,),
     log_cosh_second_derivative=lambda x, t: (_log_cosh(*x), t[0] * (1.0 - jnp.tanh(x[0]) ** 2)))
_add("product", "jvp", lambda x, y: x * y,
     lambda x, t: (x[0] * x[1], t[0] * x[1] + x[0] * t[1]), (_normal(4), _normal(4)),
     product_of_one_factor=lambda x, t: (x[0] * x[1], t[0] * x[1]))
_add("ratio", "jvp", lambda x, y: x / y,
     lambda x, t: (x[0] / x[1], (t[0] - x[0] / x[1] * t[1]) / x[1]), (_normal(4), _positive(4)),
     ratio_with_a_plus=lambda x, t: (x[0] / x[1], (t[0] + x[0] / x[1] * t[1]) / x[1]))
_add("smooth_norm", "jvp", lambda x: _smooth_norm(x),
     lambda x, t: (_smooth_norm(*x), jnp.sum(x[0] * t[0]) / _smooth_norm(*x)), (_X,),
     norm_without_epsilon=lambda x, t: (_smooth_norm(*x), jnp.sum(x[0] * t[0]) / _smooth_norm(x[0], 0.0)))

# fmt: on

# -- of vectors and matrices: layers, losses, solvers, recurrences -----------------------------------------------------

_rng = np.random.default_rng(13)
TEMPERATURE = 0.7
MASK = np.array([True, True, False, True, False, True])
ROWS = np.array([0, 2, 2, 1])


def _pull_softmax(y, g, axis=-1):
    return y * (g - jnp.sum(g * y, axis=axis, keepdims=True))


def _cross_entropy_slope(z, label, temperature=TEMPERATURE):
    return (jax.nn.softmax(z / TEMPERATURE) - jnp.zeros_like(z).at[label].set(1.0)) / temperature


def _layer_norm(x):
    centred = x - jnp.mean(x)
    return centred / jnp.sqrt(jnp.mean(centred**2) + EPSILON)


def _deviation(x):
    return jnp.sqrt(jnp.var(x) + EPSILON)


def _average_scan(x, gain, *, is_late=False, reverse=False):
    """c ← 0.8 c + gain·t over the entries t; what is kept is the new c, or the old one where `is_late`."""
    return lax.scan(lambda c, t: (0.8 * c + gain * t, c if is_late else 0.8 * c + gain * t), 0.0, x, reverse=reverse)[1]


_X, _SQUARE = _normal(6), _normal(3, 3) + 3.0 * np.eye(3)

# fmt: off
_add("linear", "vjp", lambda x, w: x @ w,
     lambda s, g: (g @ s.w.T, s.x.T @ g), (_normal(3, 3), _normal(3, 3)),
     weights_not_transposed=lambda s, g: (g @ s.w, s.x.T @ g),
     inputs_not_transposed=lambda s, g: (g @ s.w.T, s.x @ g))
_add("linear_with_bias", "vjp", lambda x, b: x + b,
     lambda s, g: (g, g.sum(axis=0)), (_normal(3, 2), _normal(2)),
     bias_by_mean=lambda s, g: (g, g.mean(axis=0)))
_add("masked_softmax", "vjp", lambda z: jax.nn.softmax(jnp.where(MASK, z, -1e30)),
     lambda s, g: (_pull_softmax(s.y, g),), (_X,),
     softmax_by_its_diagonal=lambda s, g: (s.y * (1.0 - s.y) * g,),
     mask_forgotten=lambda s, g: (_pull_softmax(jax.nn.softmax(s.x), g),))
_add("cross_entropy", "vjp", lambda z: jax.nn.logsumexp(z / TEMPERATURE) - z[2] / TEMPERATURE,
     lambda s, g: (g * _cross_entropy_slope(s.x, 2),), (_X,),
     temperature_forgotten=lambda s, g: (g * _cross_entropy_slope(s.x, 2, 1.0),),
     label_off_by_one=lambda s, g: (g * _cross_entropy_slope(s.x, 3),))
_add("unit_length", "vjp", lambda x: x / _smooth_norm(x),
     lambda s, g: ((g - s.y * jnp.sum(g * s.y)) / _smooth_norm(s.x),), (_X,),
     epsilon_on_one_side=lambda s, g: ((g - s.y * jnp.sum(g * s.y)) / _smooth_norm(s.x, 0.0),))
_add("layer_norm", "vjp", _layer_norm,
     lambda s, g: ((g - jnp.mean(g) - s.y * jnp.mean(g * s.y)) / _deviation(s.x),), (_X,),
     mean_held_constant=lambda s, g: ((g - s.y * jnp.mean(g * s.y)) / _deviation(s.x),),
     variance_held_constant=lambda s, g: ((g - jnp.mean(g)) / _deviation(s.x),))
_add("solve", "vjp", lambda a, b: jnp.linalg.solve(a, b),
     lambda s, g: (-jnp.outer(adjoint := jnp.linalg.solve(s.x.T, g), s.y), adjoint), (_SQUARE, _normal(3)),
     solve_not_transposed=lambda s, g: (-jnp.outer(adjoint := jnp.linalg.solve(s.x, g), s.y), adjoint),
     solve_outer_transposed=lambda s, g: (-jnp.outer(s.y, adjoint := jnp.linalg.solve(s.x.T, g)), adjoint))
_add("running_average", "vjp", lambda x: _average_scan(x, 0.2),
     lambda s, g: (0.2 * _average_scan(g, 1.0, reverse=True),), (_X,),
     scan_off_by_one=lambda s, g: (0.2 * _average_scan(g, 1.0, is_late=True, reverse=True),),
     scan_not_reversed=lambda s, g: (0.2 * _average_scan(g, 1.0),))
_add("log_det", "vjp", lambda a: jnp.linalg.slogdet(a)[1],
     lambda s, g: (g * jnp.linalg.inv(s.x).T,), (_SQUARE,),
     log_det_not_transposed=lambda s, g: (g * jnp.linalg.inv(s.x),))
_add("convolved", "vjp", lambda x, k: jnp.convolve(x, k, mode="full"),
     lambda s, g: (jnp.convolve(g, s.w[::-1], mode="valid"), jnp.convolve(g, s.x[::-1], mode="valid")),
     (_normal(5), _normal(3)),
     kernel_not_flipped=lambda s, g: (jnp.convolve(g, s.w, mode="valid"), jnp.convolve(g, s.x[::-1], mode="valid")))
_add("gathered", "vjp", lambda table: table[ROWS],
     lambda s, g: (jnp.zeros_like(s.x).at[ROWS].add(g),), (_normal(3, 2),),
     repeated_rows_overwritten=lambda s, g: (jnp.zeros_like(s.x).at[ROWS[[0, 1, 3]]].set(g[np.array([0, 2, 3])]),))
_add("quadratic_form", "vjp", lambda x, a: x @ a @ x,
     lambda s, g: (g * (s.w + s.w.T) @ s.x, g * jnp.outer(s.x, s.x)), (_normal(3), _normal(3, 3)),
     taken_for_symmetric=lambda s, g: (g * 2.0 * s.w @ s.x, g * jnp.outer(s.x, s.x)))
_add("attention", "vjp", lambda q, k: jax.nn.softmax(q @ k.T / 2.0, axis=-1),
     lambda s, g: ((d := _pull_softmax(s.y, g) / 2.0) @ s.w, d.T @ s.x), (_normal(3, 2), _normal(3, 2)),
     wrong_axis=lambda s, g: ((d := _pull_softmax(s.y, g, axis=0) / 2.0) @ s.w, d.T @ s.x),
     scale_forgotten=lambda s, g: ((d := _pull_softmax(s.y, g)) @ s.w, d.T @ s.x))
# fmt: on

# -- without a rule of their own, at ordinary points and at awkward ones: kinks, steep, flat, coarse -------------------

_rng = np.random.default_rng(14)


def _definite(n: int) -> np.ndarray:
    a = _normal(n, n)
    return a @ a.T + n * np.eye(n)


def _single(*shape: int) -> np.ndarray:
    return _normal(*shape).astype(np.float32)


def _matern(x: Any) -> Any:
    r = jnp.abs(x[:, None] - x[None, :]) + 1e-3
    return jnp.linalg.slogdet((1.0 + r) * jnp.exp(-r) + 0.1 * jnp.eye(len(x)))[1]


def _kalman(y: Any) -> Any:
    def step(state: Any, seen: Any) -> Any:
        mean, variance = state
        gain = variance / (variance + 0.5)
        return (mean + gain * (seen - mean), (1.0 - gain) * variance + 0.1), (seen - mean) ** 2 / (variance + 0.5)

    return lax.scan(step, (0.0, 1.0), y)[1].sum()


PLAIN: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "a layer": (
        lambda p, x: jax.nn.gelu(x @ p["kernel"] + p["bias"]),
        ({"kernel": _normal(3, 2), "bias": _normal(2)}, _normal(3)),
    ),
    "a recurrence": (
        lambda w, x: lax.scan(lambda h, t: ((h := jnp.tanh(w @ h + t)), h), jnp.zeros(3), x)[1],
        (0.5 * _normal(3, 3), _normal(4, 3)),
    ),
    "attention": (lambda q, k, v: jax.nn.softmax(q @ k.T) @ v, (_normal(3, 2), _normal(3, 2), _normal(3, 2))),
    "a Gaussian process": (_matern, (_normal(4),)),
    "a Kalman filter": (_kalman, (_normal(6),)),
    "a fixed point": (lambda a: lax.fori_loop(0, 40, lambda _, y: 0.5 * jnp.cos(y) + a, a), (_normal(3),)),
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
    "least squares": (lambda a, b: jnp.linalg.lstsq(a, b)[0], (_normal(4, 2), _normal(4))),
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
