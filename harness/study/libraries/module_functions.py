"""Right functions of Equinox, Flax (NNX and linen) and Haiku: layers with and without state."""

# pyright: reportMissingImports=false

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from harness.study.libraries import Host
from harness.study.traced_functions import Function

X = np.linspace(-1.0, 1.2, 12).reshape(4, 3)
IMAGE = np.sin(np.arange(50.0)).reshape(2, 5, 5)
KEY = jax.random.key(0)


def _equinox(make):
    """A layer's output as a function of its parameters and of a batch."""

    def call(layer, x):
        return jax.vmap(layer)(x)

    return call, (make(), X)


def _batch_norm():
    layer, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, axis_name="batch", mode="batch")

    def call(layer, state, x):
        return jax.vmap(layer, axis_name="batch", in_axes=(0, None), out_axes=(0, None))(x, state)[0]

    return call, (layer, state, X)


def _spectral_norm():
    layer, state = eqx.nn.make_with_state(
        lambda: eqx.nn.SpectralNorm(eqx.nn.Linear(3, 2, key=KEY), "weight", key=KEY)
    )()
    return lambda layer, state, x: layer(x, state)[0], (layer, state, X[0])


def _checkpointed_loop(x, w):
    def step(carry):
        i, y, has_grown = carry
        y = jnp.tanh(w @ y)
        return i + 1, y, has_grown | (jnp.sum(y) > 0.0)

    carry = (0, x, jnp.array(False))
    return eqx.internal.while_loop(lambda c: c[0] < 5, step, carry, kind="checkpointed", max_steps=8)[1]


def _bounded_loop(x, w):
    step = lambda c: (c[0] + 1, jnp.sin(w @ c[1]), ~c[2])  # noqa: E731
    return eqx.internal.while_loop(
        lambda c: c[2] | (c[0] < 4), step, (0, x, jnp.array(True)), kind="bounded", max_steps=16
    )[1]


@eqx.filter_custom_vjp
def _scaled(x, factor):
    return factor * jnp.sin(x)


@_scaled.def_fwd
def _scaled_forward(perturbed, x, factor):
    return factor * jnp.sin(x), (x, factor)


@_scaled.def_bwd
def _scaled_backward(residuals, g, perturbed, x, factor):
    x, factor = residuals
    return g * factor * jnp.cos(x)


def _nnx(make, *inputs):
    """A module's output as a function of itself and of its inputs; it may change its own state."""
    return lambda module, *inputs: module(*inputs), (make(nnx.Rngs(0)), *(inputs or (X,)))


class _Counted(nnx.Module):
    def __init__(self, rngs):
        self.linear, self.calls = nnx.Linear(3, 2, rngs=rngs), nnx.Variable(jnp.array(0))

    def __call__(self, x):
        self.calls[...] += 1
        return jnp.tanh(self.linear(x))


class _Dropped(nnx.Module):
    def __init__(self, rngs):
        self.linear, self.dropout = nnx.Linear(3, 4, rngs=rngs), nnx.Dropout(0.4, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.linear(x))


def _linen(module, *inputs, mutable=(), **options):
    inputs = inputs or (X,)
    variables = module.init(KEY, *inputs, **options)

    def call(variables, *inputs):
        return module.apply(variables, *inputs, mutable=list(mutable), **options)[0]

    return call, (variables, *inputs)


def _haiku(build, *, has_state=False):
    if has_state:
        model = hk.without_apply_rng(hk.transform_with_state(build))
        params, state = model.init(KEY, X)
        return lambda params, state, x: model.apply(params, state, x)[0], (params, state, X)
    plain = hk.without_apply_rng(hk.transform(build))
    return lambda params, x: plain.apply(params, x), (plain.init(KEY, X), X)


class _Normed(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.BatchNorm(use_running_average=False)(linen.Dense(3)(x))


FUNCTIONS: dict[str, tuple[Function, tuple]] = {
    "Equinox linear": _equinox(lambda: eqx.nn.Linear(3, 2, key=KEY)),
    "Equinox MLP": _equinox(lambda: eqx.nn.MLP(3, 2, 4, 1, activation=jax.nn.gelu, key=KEY)),
    "Equinox layer norm": _equinox(lambda: eqx.nn.LayerNorm(3)),
    "Equinox RMS norm": _equinox(lambda: eqx.nn.RMSNorm(3)),
    "Equinox PReLU": _equinox(lambda: eqx.nn.PReLU(0.2)),
    "Equinox convolution": (lambda layer, x: layer(x), (eqx.nn.Conv2d(2, 2, 3, key=KEY), IMAGE)),
    "Equinox attention": (lambda layer, x: layer(x, x, x),
        (eqx.nn.MultiheadAttention(1, 3, inference=True, key=KEY), X)),
    "Equinox GRU": (lambda cell, x: jax.lax.scan(lambda h, t: (cell(t, h), None), jnp.zeros(2), x)[0],
        (eqx.nn.GRUCell(3, 2, key=KEY), X)),
    "Equinox batch norm": _batch_norm(),
    "Equinox spectral norm": _spectral_norm(),
    "Equinox checkpointed loop": (_checkpointed_loop, (X[0], 0.5 * np.eye(3))),
    "Equinox bounded loop": (_bounded_loop, (X[0], 0.5 * np.eye(3))),
    "Equinox filter_custom_vjp": (lambda x: _scaled(x, jax.lax.stop_gradient(2.0)), (X,)),
    "Equinox filter_checkpoint": (lambda x: eqx.filter_checkpoint(lambda y: jnp.sin(y) ** 2)(x), (X,)),
    "Equinox filter_jit": (eqx.filter_jit(lambda x: jnp.tanh(x) @ jnp.ones(3)), (X,)),
    "NNX linear": _nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs)),
    "NNX linear, float32": _nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs), np.float32(X)),
    "NNX batch norm": _nnx(lambda rngs: nnx.BatchNorm(3, rngs=rngs)),
    "NNX dropout": _nnx(_Dropped),
    "NNX with a counter": _nnx(_Counted),
    "NNX convolution": _nnx(lambda rngs: nnx.Conv(2, 3, (3,), rngs=rngs), IMAGE.reshape(1, 25, 2)),
    "NNX attention": (lambda module, x: module(x, decode=False), (nnx.MultiHeadAttention(1, 3, rngs=nnx.Rngs(0)), X)),
    "NNX layer norm": _nnx(lambda rngs: nnx.LayerNorm(3, rngs=rngs)),
    "linen dense": _linen(linen.Dense(2)),
    "linen batch norm": _linen(_Normed(), mutable=("batch_stats",)),
    "linen layer norm": _linen(linen.LayerNorm()),
    "linen convolution": _linen(linen.Conv(3, (3,)), IMAGE.reshape(1, 25, 2)),
    "linen GRU, float32": _linen(linen.RNN(linen.GRUCell(2)), np.float32(X)),
    "Haiku linear": _haiku(lambda x: hk.Linear(2)(x)),
    "Haiku MLP": _haiku(lambda x: hk.nets.MLP([4, 2])(x)),
    "Haiku batch norm": _haiku(lambda x: hk.BatchNorm(True, True, 0.9)(x, is_training=True), has_state=True),
    "Haiku layer norm": _haiku(lambda x: hk.LayerNorm(-1, True, True)(x)),
    "Haiku LSTM": _haiku(lambda x: hk.dynamic_unroll(hk.LSTM(2), x, hk.LSTM(2).initial_state(None))[0]),
}  # fmt: skip


LINEN, HAIKU = linen.Dense(2), hk.without_apply_rng(hk.transform(lambda x: hk.Linear(2)(x)))
LINEAR = nnx.Linear(3, 2, rngs=nnx.Rngs(0))

HOSTS: dict[str, tuple[Host, tuple]] = {
    "after a layer of Equinox": (
        lambda rule: lambda layer, x: rule(jax.vmap(layer)(x)),
        (eqx.nn.Linear(3, 2, key=KEY), X),
    ),
    "after a layer of NNX": (lambda rule: lambda layer, x: rule(layer(x)), (LINEAR, X)),
    "after a layer of linen": (lambda rule: lambda params, x: rule(LINEN.apply(params, x)), (LINEN.init(KEY, X), X)),
    "after a layer of Haiku": (lambda rule: lambda params, x: rule(HAIKU.apply(params, x)), (HAIKU.init(KEY, X), X)),
}
