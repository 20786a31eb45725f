"""JAX gradients: right whatever the caller has configured; reverse and forward, plain and padded are of one mind."""

from contextlib import ExitStack
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harness import ACTIVATIONS, Activation, Network, Problem, random_problem, register
from harness import SOURCES as SOURCES_BY_NAME
from harness.bounds.network_bound import rounding_bound
from harness.sources import vectorized
from reference.arithmetics.rounded import Rounded32
from reference.measured import NotApplicable
from reference.oracles import jax_gradient, jax_padded

SOURCES = {
    "reverse": jax_gradient.reverse,
    "forward": jax_gradient.forward,
    "padded reverse": jax_padded.reverse,
    "padded forward": jax_padded.forward,
}
each_source = pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))

PROBLEM = Problem(Network((3, 5, 3), "tanh"), np.linspace(-1.0, 1.0, 12).reshape(4, 3), [0, 2, 1, 2], l2=0.5)
THETA = PROBLEM.network.init(0, epsilon=1.0)
OVERFLOWING = np.full(PROBLEM.network.size, 1e308)


# Answers


@each_source
def test_answers_are_the_cost_and_gradient_in_float64(source, assert_within_rounding):
    cost, gradient = source(PROBLEM, THETA)
    assert type(cost) is float
    assert (type(gradient), gradient.shape, gradient.dtype) == (np.ndarray, THETA.shape, np.float64)
    assert gradient.flags.writeable
    assert assert_within_rounding(PROBLEM, THETA, (cost, gradient), vectorized.cost_and_gradient(PROBLEM, THETA)) == 1.0


# an output each, and each costs two compilations
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.more) for seed in (1, 2))])
def test_padding_changes_nothing(seed, assert_within_rounding):
    problem, theta = random_problem(seed, outputs=[["sigmoid", "softmax", "linear"][seed % 3]], extremes=False)
    plain = jax_gradient.reverse(problem, theta)
    for source in SOURCES.values():
        assert_within_rounding(problem, theta, source(problem, theta), plain)


def test_forward_mode_takes_its_tangents_in_batches():
    network = Network((1, 3))  # six parameters, of which four fit beside so many examples
    problem = Problem(network, np.linspace(-1.0, 1.0, 2**20)[:, np.newaxis], np.arange(2**20) % 3)
    theta = network.init(0)
    expected = vectorized.cost_and_gradient(problem, theta)[1]
    np.testing.assert_allclose(jax_gradient.forward(problem, theta)[1], expected, rtol=1e-9)


def test_float32(assert_within_rounding):
    cost, gradient = jax_gradient.reverse_float32(PROBLEM, THETA)
    exact_cost, exact = jax_gradient.reverse(PROBLEM, THETA)
    bound = rounding_bound(PROBLEM, THETA, Rounded32)
    assert gradient.dtype == np.float32
    assert abs(cost - exact_cost) <= bound.cost
    assert (np.abs(gradient - exact) <= bound.gradient).all()
    assert not np.array_equal(gradient, exact)


# The caller's settings

HOSTILE = {
    "enable_x64": False,
    "debug_nans": True,
    "debug_infs": True,
    "numpy_rank_promotion": "raise",
    "numpy_dtype_promotion": "strict",
    "default_matmul_precision": "bfloat16",
}
FIXED = {
    "enable_x64": True,
    "debug_nans": False,
    "debug_infs": False,
    "numpy_rank_promotion": "allow",
    "numpy_dtype_promotion": "standard",
    "default_matmul_precision": "highest",
}


@pytest.fixture
def hostile_settings():
    with ExitStack() as stack:
        for name, value in HOSTILE.items():
            stack.enter_context(getattr(jax, name)(value))
        yield


def settings():
    return {name: getattr(jax.config, f"jax_{name}") for name in HOSTILE}


@each_source
def test_the_callers_settings_change_nothing_and_stay_as_they_were(source, request):
    expected = source(PROBLEM, THETA)
    request.getfixturevalue("hostile_settings")
    cost, gradient = source(PROBLEM, THETA)
    assert gradient.dtype == np.float64
    assert cost == expected[0]
    np.testing.assert_array_equal(gradient, expected[1])
    assert not np.isfinite(source(PROBLEM, OVERFLOWING)[0])  # an answer even under debug_nans
    with pytest.raises(ValueError, match="need θ of shape"):
        source(PROBLEM, THETA[:-1])
    assert settings() == HOSTILE
    assert jnp.ones(1).dtype == np.float32


def test_every_setting_that_could_alter_a_result_is_fixed(hostile_settings):
    with jax_gradient.fixed_settings():
        assert settings() == FIXED
        assert jax.config.values["jax_default_device"] == jax.devices("cpu")[0]
    with jax_gradient.fixed_settings(x64=False):
        assert jnp.ones(1).dtype == np.float32


# What can be padded


def network_of(depth: int = 1, width: int = 3, hidden: str | Activation = "tanh"):
    return Network([2, *[width] * depth, 2], hidden)


def on_examples(network, m=3):
    return Problem(network, np.linspace(0.1, 1.0, m * network.sizes[0]).reshape(m, -1), np.arange(m) % 2)


# finite everywhere, and the slope by hand is right; but at zero, where the missing units are, JAX's derivative is NaN,
# for it differentiates the branch that is not taken, too
BUMP = Activation(
    "bump",
    lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / z),
    lambda z, a: (np.cos(z) - a) / np.where(z == 0.0, 1.0, z),
)


@pytest.mark.parametrize(
    ("problem", "fits"),
    [
        (on_examples(network_of(depth=0)), True),
        (on_examples(network_of(depth=5)), False),
        (on_examples(network_of(depth=4, width=8)), True),
        (on_examples(network_of(width=9)), False),
        (on_examples(Network((9, 2))), False),
        (on_examples(Network((2, 9))), False),
        (on_examples(network_of(), m=10), True),
        (on_examples(network_of(), m=11), False),
        (on_examples(network_of(hidden=BUMP)), False),  # not registered
        (on_examples(network_of(hidden=replace(ACTIVATIONS["tanh"], name="relu"))), False),  # under an old name
    ],
)
def test_what_is_small_and_registered_can_be_padded(problem, fits):
    assert jax_padded.fits(problem) is fits


def test_what_the_padding_spoils_is_computed_without_it(registry, assert_within_rounding):
    problem = on_examples(network_of(depth=2, hidden=register(BUMP)))
    theta = problem.network.init(0) + 0.5
    assert jax_padded.fits(problem)
    expected = vectorized.cost_and_gradient(problem, theta)
    assert assert_within_rounding(problem, theta, jax_padded.reverse(problem, theta), expected) == 1.0


# Formulas that JAX cannot trace


def quietly(xp, z):
    with xp.errstate(all="ignore"):
        return xp.tanh(z)


def on_the_host(xp, z):
    return jax.pure_callback(np.tanh, jax.ShapeDtypeStruct(z.shape, z.dtype), z) if xp.name == "jax" else xp.tanh(z)


def given_up(xp, z):
    if xp.name == "jax":
        raise NotImplementedError
    return xp.tanh(z)


UNTRACEABLE = {
    "attribute": (quietly, "has no function 'errstate'"),
    "conversion": (lambda xp, z: z * float(z[0, 0]), "Abstract tracer value"),
    "branch": (lambda xp, z: z if z[0, 0] > 0.0 else 2.0 * z, "Attempted boolean conversion"),
    "no derivative": (on_the_host, "do not support JVP"),
    "not implemented": (given_up, "NotImplementedError"),
    "boolean index": (lambda xp, z: z[z > 0.0], "boolean"),
}


@pytest.mark.parametrize(("value", "reason"), UNTRACEABLE.values(), ids=list(UNTRACEABLE))
@pytest.mark.parametrize("source", [jax_gradient.reverse, jax_gradient.forward, jax_gradient.reverse_float32])
def test_what_jax_cannot_trace_is_not_applicable_with_the_reason(source, value, reason):
    problem = on_examples(network_of(hidden=Activation("untraceable", value, lambda z, a: 1.0 - a * a)))
    with pytest.raises(NotApplicable, match=f"JAX cannot trace a formula: .*{reason}") as raised:
        source(problem, problem.network.init(0))
    assert "\n" not in str(raised.value)


ILL_BEHAVED = {name: value for name, (value, _) in UNTRACEABLE.items()} | {
    "whole numbers": lambda xp, z: xp.where(z > 0.0, 1, 0),
    "numbers of no type": lambda xp, z: xp.where(z > 0.0, 1.0, 0.0),
    "another shape": lambda xp, z: z.sum(),
    "no array": lambda xp, z: None,
}


@pytest.mark.parametrize("value", ILL_BEHAVED.values(), ids=list(ILL_BEHAVED))
def test_a_formula_that_jax_cannot_run_spoils_no_other_network(registry, value):
    expected = [jax_padded.reverse(PROBLEM, THETA), jax_padded.forward(PROBLEM, THETA)]
    f = register(Activation("ill-behaved", value, lambda z, a: np.zeros_like(z)))
    for source, (cost, gradient) in zip((jax_padded.reverse, jax_padded.forward), expected):
        found = source(PROBLEM, THETA)
        assert found[0] == cost
        np.testing.assert_array_equal(found[1], gradient)
    problem = on_examples(network_of(hidden=f))
    assert jax_padded.fits(problem) == (value is ILL_BEHAVED["numbers of no type"])
    assert jax_padded.fits(PROBLEM)


@pytest.mark.parametrize("name", ["jax", "jax-forward"])
def test_a_registered_formula_that_jax_cannot_trace_is_left_out(registry, name):
    problem = on_examples(network_of(hidden=register(Activation("quietly", quietly, lambda z, a: 1.0 - a * a))))
    with pytest.raises(NotApplicable, match=r"JAX cannot trace a formula: .*errstate"):
        SOURCES_BY_NAME[name](problem, problem.network.init(0))


@pytest.mark.parametrize("others", [(), ("tanh",)], ids=["alone", "beside a registered one"])
def test_an_activation_that_is_not_registered_gets_one_program_for_many_networks(others, monkeypatch):
    f = Activation("bent", lambda xp, z: z + xp.sin(2.0 * z), lambda z, a: 1.0 + 2.0 * np.cos(2.0 * z))
    plain = []
    monkeypatch.setattr(
        jax_padded.jax_gradient, "reverse", lambda *asked: plain.append(asked) or vectorized.cost_and_gradient(*asked)
    )
    for m in range(1, 8):
        network = Network((2, 3, 3, 1), [f, *(others or (f,))], "linear")
        rng = np.random.default_rng(m)
        problem, theta = Problem(network, rng.normal(size=(m, 2)), np.zeros((m, 1)), 1.0), rng.normal(size=network.size)
        cost, gradient = jax_padded.reverse(problem, theta)
        expected_cost, expected = vectorized.cost_and_gradient(problem, theta)
        assert cost == pytest.approx(expected_cost, rel=1e-13)
        np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-13)
    assert len(plain) == jax_padded.KNOWN
