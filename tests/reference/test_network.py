"""Network: sizes, the course's layout of θ, names of coordinates, initialisation, and what is refused."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from harness import strategies
from reference import ACTIVATIONS, Activation, Network
from reference.namespaces import NUMPY

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


def test_defaults_are_the_courses():
    network = Network((400, 25, 10))
    assert ([f.name for f in network.hidden], network.output.name) == (["sigmoid"], "sigmoid")


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
    np.testing.assert_array_equal(network.pack(network.unpack(theta)), theta)


def test_unpacking_makes_views_of_theta():
    network = Network((3, 5, 3))
    theta = np.zeros(network.size)
    for Theta in network.unpack(theta):
        Theta += 1.0
    np.testing.assert_array_equal(theta, np.ones(network.size))


@given(strategies.networks())
def test_many_theta_are_unpacked_as_each_of_them_is(network):
    thetas = np.arange(6.0 * network.size).reshape(2, 3, network.size)
    for matrices, (rows, columns), layer in zip(network.unpack_many(thetas), network.shapes, range(99)):
        assert matrices.shape == (2, 3, rows, columns)
        np.testing.assert_array_equal(matrices[1, 2], network.unpack(thetas[1, 2])[layer])


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


def test_packing_copies():
    Theta = np.zeros((1, 2))
    Network((1, 1)).pack([Theta])[:] = 1.0
    np.testing.assert_array_equal(Theta, np.zeros((1, 2)))


@given(strategies.networks())
def test_labels_name_the_place_in_the_matrices(network):
    matrices = numbered(network)
    for i in range(network.size):
        layer, row, column = network.locate(i)
        assert matrices[layer][row, column] == i
        assert network.label(i) == f"Theta{layer + 1}[{row}, {column or 'bias'}]"


@pytest.mark.parametrize(
    ("i", "label"),
    [
        (0, "Theta1[0, bias]"),
        (4, "Theta1[4, bias]"),
        (5, "Theta1[0, 1]"),
        (19, "Theta1[4, 3]"),
        (20, "Theta2[0, bias]"),
        (23, "Theta2[0, 1]"),
        (np.int64(37), "Theta2[2, 5]"),
    ],
)
def test_labels_of_the_courses_debug_network(i, label):
    assert Network((3, 5, 3)).label(i) == label


# Initial parameters


def test_initial_parameters_fill_the_courses_range():
    network = Network((400, 25, 10))
    theta = network.init(0)
    assert (theta.shape, theta.dtype) == ((network.size,), np.float64)
    assert -0.12 <= theta.min() < -0.1199
    assert 0.1199 < theta.max() <= 0.12
    assert abs(theta.mean()) < 0.003  # five standard errors: 0.12/√3/√10285 = 0.0007
    assert np.unique(theta).size == theta.size


def test_epsilon_scales_the_initial_parameters():
    network = Network((3, 5, 3))
    np.testing.assert_allclose(network.init(0, epsilon=0.5), network.init(0) / 0.12 * 0.5, rtol=1e-14)


def test_a_seed_decides_the_initial_parameters():
    network = Network((3, 5, 3))
    np.testing.assert_array_equal(network.init(1), network.init(1))
    np.testing.assert_array_equal(network.init(1), network.init(np.random.default_rng(1)))
    assert not np.array_equal(network.init(1), network.init(2))


def test_a_network_says_what_it_is():
    assert repr(Network((3, 5, 4, 3), ["relu", "tanh"], "softmax")) == "Network(3-5-4-3, relu, tanh, softmax)"
    assert repr(Network((3, 2), output="linear")) == "Network(3-2, no hidden layer, linear)"


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
    (
        lambda: NETWORK.pack(SQUARE),
        ValueError,
        r"need matrices of shapes \[\(5, 4\), \(3, 6\)\], but \[\(5, 4\), \(5, 4",
    ),
    (lambda: NETWORK.pack(SQUARE[:1]), ValueError, r"but \[\(5, 4\)\] were given"),
    (lambda: NETWORK.unpack(np.zeros(37)), ValueError, r"\(3, 5, 3\) need θ of shape \(38,\), but \(37,\) was given"),
    (lambda: NETWORK.unpack(np.zeros((38, 1))), ValueError, r"need θ of shape \(38,\), but \(38, 1\) was given"),
    (lambda: NETWORK.label(38), IndexError, "θ has coordinates 0 to 37, but 38 was asked for"),
]


@pytest.mark.parametrize(("make", "error", "sentence"), REFUSED)
def test_what_is_wrong_gives_one_clear_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value)
