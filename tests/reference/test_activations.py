"""Activations: values, slopes and conventions of JAX, overflow, and the registry. `check_activation` tests the rest."""

import dataclasses
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.activations import ACTIVATIONS, Activation, elu, get_activation, leaky_relu, register
from reference.jax_settings import fixed_settings
from reference.oracles.jax_gradient import JAX

TINY = np.finfo(np.float64).tiny  # XLA takes what is smaller for zero
HUGE = np.array([1e3, -1e3, 1e300, -1e300])

each_activation = pytest.mark.parametrize("f", ACTIVATIONS.values(), ids=list(ACTIVATIONS))

JAX_NN = {
    "identity": jax.nn.identity,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jax.nn.tanh,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "softplus": jax.nn.softplus,
    "silu": jax.nn.silu,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "mish": jax.nn.mish,
    "softsign": jax.nn.soft_sign,
    "hard_tanh": jax.nn.hard_tanh,
    "sin": jnp.sin,
}

FAMILIES = {
    "leaky_relu 0.2": (leaky_relu(0.2, "leak"), partial(jax.nn.leaky_relu, negative_slope=0.2)),
    "leaky_relu 1": (leaky_relu(1.0, "no leak"), jax.nn.identity),
    "elu 0.5": (elu(0.5, "half"), partial(jax.nn.elu, alpha=0.5)),
    "elu 3": (elu(3.0, "three"), partial(jax.nn.elu, alpha=3.0)),
}


def grid(f):
    """Zero, ordinary, saturating, and both sides of every kink from one float away on."""
    away = [0.0, 1e-8, 0.3, 1.0, 30.0, 1e3]
    sides = [kink + side * max(step, TINY) for kink in f.kinks for side in (-1, 1) for step in (np.spacing(kink), 1e-3)]
    return np.array([sign * z for z in away for sign in (1.0, -1.0)] + [*f.kinks, *sides])


def rounding(z):
    """What formulas of one slope may differ by: 1 - tanh² and exp(z - log(1 + e^z)) lose ulps of 1 and of z."""
    return 4.0 * 2.0**-53 * (1.0 + np.abs(z))


@cache
def compiled(formula):
    def value_and_slope(z):
        a, pull_back = jax.vjp(formula, z)
        return a, pull_back(jnp.ones_like(z))[0]

    return jax.jit(value_and_slope)


def by_jax(formula, z):
    """The values and slopes that JAX finds, in float64."""
    with fixed_settings():
        answers = compiled(formula)(jnp.asarray(np.resize(z, 24)))  # one length: one compilation
        return tuple(np.asarray(answer)[: len(z)] for answer in answers)


@cache
def in_jax(f):
    return partial(f.value, JAX)


def assert_close(actual, expected, z):
    difference = np.abs(actual - expected)
    assert (difference <= rounding(z)).all(), f"z = {z}\nactual {actual}\nexpected {expected}"


# Formula and slope


PUBLISHED = {name: (ACTIVATIONS[name], formula) for name, formula in JAX_NN.items()} | FAMILIES


@pytest.mark.parametrize(("f", "formula"), PUBLISHED.values(), ids=list(PUBLISHED))
def test_values_slopes_and_conventions_are_those_of_jax_nn(f, formula):
    z = grid(f)
    value, slope = by_jax(formula, z)
    assert_close(f(z), value, z)
    assert_close(f.slope(z, f(z)), slope, z)


# Far out, and in float32


@each_activation
def test_far_out_value_and_slope_stay_finite_without_a_warning(f):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        a = f(HUGE)
        slope = f.slope(HUGE, a)
    assert np.isfinite([a, slope]).all()
    assert np.isfinite(by_jax(in_jax(f), HUGE)).all()


@each_activation
def test_float32_stays_float32_and_every_record_names_its_source(f):
    assert f.source
    assert f(np.linspace(-2.0, 2.0, 5, dtype=np.float32)).dtype == np.float32


# The record and the registry


anything: Any = Activation  # for arguments that a type checker would refuse as well


def square(name="square", **keywords):
    return Activation(name, value=lambda xp, z: xp.square(z), slope=lambda z, a: 2.0 * z, **keywords)


def test_a_record_holds_what_it_was_given():
    f = square(kinks=[1, -2], source="a book")
    assert (f.name, f.kinks, f.source, repr(f)) == ("square", (1.0, -2.0), "a book", "Activation('square')")
    assert [type(kink) for kink in f.kinks] == [float, float]
    assert f(3.0) == 9.0
    assert f.slope(3.0, 9.0) == 6.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        f.name = "cube"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: square(""), ValueError, "name must be a non-empty string, not ''"),
        (lambda: anything(7, abs, abs), ValueError, "name must be a non-empty string, not 7"),
        (lambda: anything("f", "z", abs), TypeError, "activation 'f': value must be callable, not str"),
        (lambda: anything("f", abs, None), TypeError, "activation 'f': slope must be callable, not NoneType"),
        (lambda: square(kinks=(0.0, np.nan)), ValueError, r"'square': kinks must be finite numbers, not \(0.0, nan\)"),
        (lambda: square(kinks=3), TypeError, r"kinks must be a sequence of numbers, such as \(0.0,\), not 3"),
        (lambda: square(kinks=("a",)), TypeError, r"kinks must be a sequence of numbers, .* not \('a',\)"),
        (lambda: square(kinks=(np.inf,)), ValueError, r"kinks must be finite numbers, not \(inf,\)"),
        (lambda: get_activation("rellu"), ValueError, "unknown activation 'rellu'; registered are identity, sigmoid,"),
        (lambda: get_activation(anything), ValueError, "unknown activation <class .*>; registered are"),
        (lambda: register(anything), TypeError, "register takes an Activation, not type"),
        (lambda: register(square("relu")), ValueError, "'relu' is registered already; choose another name"),
    ],
)
def test_what_is_wrong_gives_one_clear_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_the_registry_holds_one_record_for_each_name(registry):
    f = square()
    assert get_activation(f) is f  # without being registered
    assert "square" not in registry
    assert register(f) is register(f) is f
    assert get_activation("square") is registry["square"] is f
    before = dict(registry)
    with pytest.raises(ValueError, match="registered already"):
        register(square("tanh"))
    assert before == registry
