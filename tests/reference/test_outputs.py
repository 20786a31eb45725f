"""Output layers: textbook losses, predictions, stability at both ends, and what targets are refused."""

import jax
import numpy as np
import pytest
from scipy.special import expit, softmax, xlogy

from reference.jax_settings import fixed_settings
from reference.namespaces import NUMPY, Namespace
from reference.network import OUTPUTS, get_output
from reference.oracles.jax_gradient import JAX

RNG = np.random.default_rng(0)
Z = RNG.uniform(-4.0, 4.0, (6, 3))
DISTRIBUTIONS = RNG.uniform(0.0, 1.0, (6, 3))
DISTRIBUTIONS /= DISTRIBUTIONS.sum(axis=1, keepdims=True)

TEXTBOOK = {  # prediction, and loss of a prediction
    "sigmoid": (expit, lambda a, Y: -(xlogy(Y, a) + xlogy(1.0 - Y, 1.0 - a)).sum(axis=1)),
    "softmax": (lambda z: softmax(z, axis=1), lambda p, Y: -xlogy(Y, p).sum(axis=1)),
    "linear": (lambda z: z, lambda a, Y: ((a - Y) ** 2).sum(axis=1) / 2.0),
}


def run(xp, formula, z):
    return jax.jit(formula)(z) if xp is JAX else formula(z)


each_output = pytest.mark.parametrize("output", OUTPUTS.values(), ids=list(OUTPUTS))
each_namespace = pytest.mark.parametrize("xp", [NUMPY, JAX], ids=["numpy", "jax"])


@each_output
@each_namespace
@pytest.mark.parametrize("Y", [np.eye(3)[[0, 1, 2, 2, 0, 1]], DISTRIBUTIONS], ids=["one-hot", "soft"])
def test_predictions_and_losses_are_the_textbooks(output, xp, Y):
    predict, loss = TEXTBOOK[output.name]
    with fixed_settings():
        prediction, losses = run(xp, lambda z: (output.predict(xp, z), output.loss(xp, z, Y)), Z)
    np.testing.assert_allclose(prediction, predict(Z), rtol=1e-14)
    np.testing.assert_allclose(losses, loss(predict(Z), Y), rtol=1e-13)


@each_output
@each_namespace
def test_many_pre_activations_of_the_same_examples_have_the_losses_of_each(output, xp):
    """As the oracles ask for them, with leading axes: the targets stay (m, K)."""
    many = np.stack([[Z, -Z], [2.0 * Z, Z + 1.0]])
    with fixed_settings():
        losses = np.asarray(run(xp, lambda z: output.loss(xp, z, DISTRIBUTIONS), many))
        predictions = np.asarray(run(xp, lambda z: output.predict(xp, z), many))
    assert losses.shape == (2, 2, 6)
    for index in np.ndindex(2, 2):
        np.testing.assert_allclose(losses[index], output.loss(NUMPY, many[index], DISTRIBUTIONS), rtol=1e-14)
        np.testing.assert_allclose(predictions[index], output.predict(NUMPY, many[index]), rtol=1e-14)


@each_output
def test_the_loss_has_the_derivative_prediction_minus_target(output):
    z = np.vstack([Z, np.zeros(3), [1e3, -1e3, 30.0], [-1e3, -1e3, 1e3]])  # at 0 and far out, too
    Y = np.vstack([DISTRIBUTIONS, np.eye(3)])
    with fixed_settings():
        slope = run(JAX, jax.grad(lambda z: output.loss(JAX, z, Y).sum()), z)
        np.testing.assert_allclose(slope, output.predict(NUMPY, z) - Y, rtol=1e-14, atol=1e-14)


SATURATED = [  # output, z, one-hot target, prediction, loss
    ("sigmoid", [1e3, -1e3], [1.0, 0.0], [1.0, 0.0], 0.0),
    ("sigmoid", [1e3, -1e3], [0.0, 1.0], [1.0, 0.0], 2e3),
    ("sigmoid", [1e300, -1e300], [1.0, 0.0], [1.0, 0.0], 0.0),
    ("softmax", [1e3, -1e3], [1.0, 0.0], [1.0, 0.0], 0.0),
    ("softmax", [1e3, -1e3], [0.0, 1.0], [1.0, 0.0], 2e3),
    ("softmax", [1e300, -1e300], [1.0, 0.0], [1.0, 0.0], 0.0),
    ("linear", [1e3, -1e3], [1.0, 0.0], [1e3, -1e3], 999_000.5),
]


@pytest.mark.parametrize(("name", "z", "y", "prediction", "loss"), SATURATED)
def test_saturated_outputs_are_exact(name, z, y, prediction, loss):
    z, y = np.array([z]), np.array([y])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_array_equal(OUTPUTS[name].predict(NUMPY, z), [prediction])
        np.testing.assert_allclose(OUTPUTS[name].loss(NUMPY, z, y), [loss], rtol=1e-15)


def test_a_sigmoid_near_zero_is_relatively_accurate():
    z = np.array([[-40.0, -300.0, -700.0]])
    np.testing.assert_allclose(OUTPUTS["sigmoid"].predict(NUMPY, z), np.exp(z), rtol=1e-15)


@pytest.mark.parametrize(
    ("name", "Y", "error"),
    [
        ("sigmoid", [[0.0, 1.0], [0.5, 0.25]], None),
        ("sigmoid", [[0.0, 1.5]], "must lie in [0, 1], but go from 0 to 1.5"),
        ("sigmoid", [[-0.25, 1.0]], "must lie in [0, 1], but go from -0.25 to 1"),
        ("softmax", [[0.0, 1.0], [0.75, 0.25]], None),
        ("softmax", [[1 / 3 + 1e-15, 1 / 3, 1 / 3]], None),
        ("softmax", [[0.0, 1.0], [0.5, 0.25]], "must sum to 1 in every row, but row 1 sums to 0.75"),
        ("softmax", [[0.5, 0.5], [0.75, 0.75]], "must sum to 1 in every row, but row 1 sums to 1.5"),
        ("softmax", [[0.5, 0.5 + 1e-9]], "must sum to 1 in every row, but row 0 sums to 1.000000001"),
        ("softmax", [[1.5, -0.5]], "must lie in [0, 1], but go from -0.5 to 1.5"),
        ("linear", [[-7.0, 1e9]], None),
    ],
)
def test_what_is_wrong_with_targets_is_put_in_words(name, Y, error):
    assert OUTPUTS[name].target_error(np.array(Y)) == error


def test_outputs_go_by_their_names():
    assert [get_output(name) for name in OUTPUTS] == list(OUTPUTS.values())
    assert repr(get_output("softmax")) == "Output('softmax')"
    with pytest.raises(ValueError, match="unknown output 'tanh'; there are sigmoid, softmax, linear"):
        get_output("tanh")


# The namespaces that outputs and activations are written over


def test_a_namespace_has_its_own_functions_and_those_of_its_module():
    xp = Namespace("mine", np, erf=len)
    assert (xp.erf, xp.exp, repr(xp)) == (len, np.exp, "Namespace('mine')")


def test_a_missing_function_gives_one_clear_sentence():
    with pytest.raises(
        AttributeError, match="'numpy' has no function 'expit'; it has what numpy has, and erf and logs"
    ):
        NUMPY.expit(0.0)


@each_namespace
def test_logsumexp_keeps_the_axis_and_does_not_overflow(xp):
    z = np.array([[1e3, 1e3], [-1e3, -1e3], [0.0, -np.inf]])
    with fixed_settings():
        total = np.asarray(run(xp, xp.logsumexp, z))
    np.testing.assert_allclose(total, [[1e3 + np.log(2.0)], [-1e3 + np.log(2.0)], [0.0]], rtol=1e-15)


def test_what_rounding_may_add_to_a_row_grows_with_the_classes_and_not_with_the_examples():
    two_classes = np.tile([0.5, 0.5 + 1e-11], (100, 1))
    assert "row 0 sums to" in str(OUTPUTS["softmax"].target_error(two_classes))
    hundred_classes = np.full((1, 100), 0.01) + 1e-13
    assert OUTPUTS["softmax"].target_error(hundred_classes) is None
