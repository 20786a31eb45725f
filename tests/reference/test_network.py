"""Network: sizes, layout of θ, names of coordinates, initialisation, errors; and output layers with their losses."""

from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from scipy.special import expit, softmax, xlogy

from harness import strategies
from reference import ACTIVATIONS, Activation, Network
from reference.jax_settings import fixed_settings
from reference.namespaces import NUMPY
from reference.network import OUTPUTS, get_output
from reference.oracles.jax_gradient import JAX

anything: Any = Network  # for arguments that a type checker would refuse as well

SHAPES = [  # sizes, shapes of the Theta_l, parameters
    ((4, 3), [(3, 5)], 15),
    ((1, 1), [(1, 2)], 2),
    ((3, 5, 3), [(5, 4), (3, 6)], 38),
    ((400, 25, 10), [(25, 401), (10, 26)], 10_285),
    ((2, 3, 1, 4), [(3, 3), (1, 4), (4, 2)], 21),
]


def numbered(network):
    """The matrices that hold, in every place, the number of that coordinate in θ."""
    return network.unpack(np.arange(network.size))


@pytest.mark.parametrize(("sizes", "shapes", "size"), SHAPES, ids=str)
def test_shapes_and_size(sizes, shapes, size):
    network = Network(sizes)
    assert (network.sizes, network.shapes, network.size) == (sizes, shapes, size)
    assert [Theta.shape for Theta in network.unpack(np.zeros(size))] == shapes


def test_sizes_may_be_any_integers_and_are_kept_as_ints():
    network = anything(np.array([3, 2, 1]))
    assert network.sizes == (3, 2, 1)
    assert {type(size) for size in network.sizes} == {int}


def test_one_activation_serves_every_hidden_layer_and_a_list_each_its_own():
    relu, tanh = ACTIVATIONS["relu"], ACTIVATIONS["tanh"]
    mine = Activation("mine", value=lambda xp, z: z, slope=lambda z, a: np.ones_like(z))
    assert Network((2, 3, 3, 1), "relu").hidden == (relu, relu)
    assert Network((2, 3, 3, 1), mine).hidden == (mine, mine)
    assert Network((2, 3, 3, 1), ["tanh", relu]).hidden == (tanh, relu)
    assert Network((2, 1), "relu").hidden == Network((2, 1), []).hidden == ()
    assert ([f.name for f in Network((4, 2, 1)).hidden], Network((4, 1)).output.name) == (["sigmoid"], "sigmoid")


# The layout of θ


def test_theta_is_the_courses_unrolling():
    # the course: nn_params = [Theta1(:); Theta2(:)], and Octave's (:) runs down the columns
    Theta1 = np.array([[10.0, 11.0, 12.0], [20.0, 21.0, 22.0]])  # two units: bias, two weights
    Theta2 = np.array([[30.0, 31.0, 32.0]])
    theta = Network((2, 2, 1)).pack([Theta1, Theta2])
    np.testing.assert_array_equal(theta, [10, 20, 11, 21, 12, 22, 30, 31, 32])


@given(strategies.networks())
def test_unpacking_undoes_packing(network):
    theta = np.arange(network.size, dtype=float)
    copy = network.pack(network.unpack(theta))
    np.testing.assert_array_equal(copy, theta)
    for Theta in network.unpack(theta):  # views, where packing copies
        Theta += 1.0
    np.testing.assert_array_equal(theta, copy + 1.0)


@given(strategies.networks())
def test_a_forward_pass_for_many_theta_is_that_of_each_of_them(network):
    rng = np.random.default_rng(0)
    thetas, X = rng.normal(size=(2, network.size)), rng.normal(size=(4, network.sizes[0]))
    As, Zs = network.forward(network.unpack_many(thetas), X, lambda f, Z: f(Z))
    assert [A.shape for A in As] == [(4, network.sizes[0]), *((2, 4, n) for n in network.sizes[1:-1])]
    for i, theta in enumerate(thetas):
        As_of_one, Zs_of_one = network.forward(network.unpack(theta), X, lambda f, Z: f(Z))
        for many, one in zip((*As[1:], *Zs), (*As_of_one[1:], *Zs_of_one)):
            np.testing.assert_allclose(many[i], one, rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(Zs_of_one[-1], network.pre_activations(NUMPY, theta, X))


@given(strategies.networks())
def test_labels_name_the_place_in_the_matrices(network):
    matrices = numbered(network)
    for i in range(network.size):
        layer, row, column = network.locate(i)
        assert matrices[layer][row, column] == i
        assert network.label(i) == f"Theta{layer + 1}[{row}, {column or 'bias'}]"


# Initial parameters


def test_initial_parameters_fill_the_courses_range():
    network = Network((400, 25, 10))
    theta = network.init(0)
    assert (theta.shape, theta.dtype) == ((network.size,), np.float64)
    assert -0.12 <= theta.min() < -0.1199
    assert 0.1199 < theta.max() <= 0.12
    assert abs(theta.mean()) < 0.003  # five standard errors: 0.12/√3/√10285 = 0.0007
    assert np.unique(theta).size == theta.size


def test_a_seed_decides_the_initial_parameters():
    network = Network((3, 5, 3))
    np.testing.assert_array_equal(network.init(1), network.init(1))
    np.testing.assert_array_equal(network.init(1), network.init(np.random.default_rng(1)))
    assert not np.array_equal(network.init(1), network.init(2))
    np.testing.assert_allclose(network.init(0, epsilon=0.5), network.init(0) / 0.12 * 0.5, rtol=1e-14)


# What is refused

NETWORK = Network((3, 5, 3))
SQUARE = [np.zeros((5, 4)), np.zeros((5, 4))]

REFUSED = [
    (lambda: anything(()), ValueError, r"two layer sizes or more \(inputs and outputs\), but \(\) was given"),
    (lambda: anything((5,)), ValueError, r"two layer sizes or more .*, but \(5,\) was given"),
    (lambda: anything((3, 0, 1)), ValueError, "a layer size must be 1 or more, not 0"),
    (lambda: anything(5), TypeError, r"sizes must be a sequence of integers such as \(400, 25, 10\), not 5"),
    (lambda: anything("35"), TypeError, "sizes must be a sequence of integers .*, not '35'"),
    (lambda: anything((3, 5, 1), "rellu"), ValueError, "unknown activation 'rellu'; registered are identity"),
    (lambda: anything((3, 1), "rellu"), ValueError, "unknown activation 'rellu'"),
    (lambda: anything((3, 5, 1), None), ValueError, "unknown activation None; registered are identity"),
    (
        lambda: anything((3, 5, 1), ["relu", "tanh"]),
        ValueError,
        r"sizes \(3, 5, 1\) have 1 hidden layer, but 2 hidden activations were given; give one for each, or one",
    ),
    (lambda: anything((3, 1), ["relu"]), ValueError, "have 0 hidden layers, but 1 hidden activation was given"),
    (lambda: anything((3, 4, 4, 1), ()), ValueError, "have 2 hidden layers, but 0 hidden activations were given"),
    (lambda: anything((3, 1), output="relu"), ValueError, "unknown output 'relu'; there are sigmoid, softmax, linear"),
    (lambda: anything({2, 1}), TypeError, "sizes must be a sequence of integers"),
    (lambda: anything((2, 3, 3, 1), {"relu", "tanh"}), ValueError, "unknown activation"),
    (lambda: NETWORK.pack([1j * SQUARE[0]]), TypeError, "matrix Theta1 must be an array of real .* complex128"),
    (lambda: NETWORK.pack([np.ma.ones((5, 4))]), TypeError, "the matrix Theta1 must not be a masked array"),
    (
        lambda: NETWORK.pack(SQUARE),
        ValueError,
        r"need matrices of shapes \[\(5, 4\), \(3, 6\)\], but \[\(5, 4\), \(5, 4",
    ),
    (lambda: NETWORK.pack(SQUARE[:1]), ValueError, r"but \[\(5, 4\)\] were given"),
    (lambda: NETWORK.unpack(np.zeros(37)), ValueError, r"\(3, 5, 3\) need θ of shape \(38,\), but \(37,\) was given"),
    (lambda: NETWORK.unpack(np.zeros((38, 1))), ValueError, r"need θ of shape \(38,\), but \(38, 1\) was given"),
    (lambda: NETWORK.label(38), IndexError, "θ has coordinates 0 to 37, but 38 was given"),
]


@pytest.mark.parametrize(("make", "error", "sentence"), REFUSED)
def test_what_is_wrong_gives_one_clear_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value)


# Output layers

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
        ("sigmoid", [[-0.25, 1.0]], "must lie in [0, 1], but go from -0.25 to 1"),
        ("softmax", [[0.0, 1.0], [0.75, 0.25]], None),
        ("softmax", [[1 / 3 + 1e-15, 1 / 3, 1 / 3]], None),
        ("softmax", [[0.0, 1.0], [0.5, 0.25]], "must sum to 1 in every row, but row 1 sums to 0.75"),
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


def test_what_rounding_may_add_to_a_row_grows_with_the_classes_and_not_with_the_examples():
    two_classes = np.tile([0.5, 0.5 + 1e-11], (100, 1))
    assert "row 0 sums to" in str(OUTPUTS["softmax"].target_error(two_classes))
    hundred_classes = np.full((1, 100), 0.01) + 1e-13
    assert OUTPUTS["softmax"].target_error(hundred_classes) is None


# Namespaces, over which outputs and activations are written


@each_namespace
def test_logsumexp_keeps_the_axis_and_does_not_overflow(xp):
    z = np.array([[1e3, 1e3], [-1e3, -1e3], [0.0, -np.inf]])
    with fixed_settings():
        total = np.asarray(run(xp, xp.logsumexp, z))
    np.testing.assert_allclose(total, [[1e3 + np.log(2.0)], [-1e3 + np.log(2.0)], [0.0]], rtol=1e-15)
