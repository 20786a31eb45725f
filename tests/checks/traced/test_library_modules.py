"""Modules of Flax and Equinox: named by their paths, and state that is passed on."""

import jax.numpy as jnp
import numpy as np
import pytest

from harness import check_derivatives

pytestmark = pytest.mark.more

rng = np.random.default_rng(0)
Z, TARGETS = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))


def test_a_module_of_equinox_is_named_by_its_paths():
    equinox = pytest.importorskip("equinox", reason="equinox is not installed")
    import jax

    layer = equinox.nn.Linear(3, 2, key=jax.random.key(0))
    report = check_derivatives(
        lambda layer, x: jnp.sum(layer(x) ** 2), layer, np.ones(3), reference=lambda layer, x: (layer, x)
    )
    assert report.outliers == ("reference",)
    assert set(report.findings[0].blocks) == {"layer.weight", "layer.bias", "x"}


def test_parameters_of_flax_are_named_by_their_paths():
    nn = pytest.importorskip("flax.linen", reason="flax is not installed")
    import jax

    dense = nn.Dense(2)
    params = dense.init(jax.random.key(0), np.ones(3))
    report = check_derivatives(
        lambda params: jnp.sum(dense.apply(params, np.ones(3)) ** 2), params, reference=lambda params: params
    )
    assert report.outliers == ("reference",)
    assert set(report.findings[0].blocks) <= {"params['params']['kernel']", "params['params']['bias']"}


def test_a_rule_that_equinox_wraps_has_its_own_line():
    equinox = pytest.importorskip("equinox", reason="equinox is not installed")

    @equinox.filter_custom_vjp
    def squares(x):
        return jnp.sum(x**2)

    squares.def_fwd(lambda perturbed, x: (squares(x), None))

    def half(residuals, g, perturbed, x):
        return g * x

    squares.def_bwd(half)
    report = check_derivatives(lambda x: squares(3.0 * x), np.ones(3))
    assert report.verdict == "disagree"
    assert f"half ({__file__}:{half.__code__.co_firstlineno})" in report.details["culprits"][0]["where"]


@pytest.mark.filterwarnings("error::FutureWarning")
def test_a_module_with_state_is_an_argument_and_is_not_changed():
    nnx = pytest.importorskip("flax.nnx", reason="Flax is not installed")
    norm = nnx.BatchNorm(4, rngs=nnx.Rngs(0))
    mean = np.asarray(norm.mean[...])
    report = check_derivatives(lambda norm, z: jnp.sum(jnp.sin(norm(z))), norm, Z)
    assert report.verdict == "agree"
    np.testing.assert_array_equal(norm.mean[...], mean)
    with pytest.raises(Exception, match="different trace level"):  # Flax says what to do
        check_derivatives(lambda z: norm(z), Z)
