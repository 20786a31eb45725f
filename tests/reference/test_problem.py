"""Problem: the textbook's cost, what is kept of the data, and a clear sentence for what is wrong with it."""

import copy
import math
import pickle

import numpy as np
import pytest

from reference import ACTIVATIONS, Activation, Network, Problem
from reference.namespaces import NUMPY

THREE = Network((2, 3))
ONE = Network((2, 1))
SOFTMAX = Network((2, 3), output="softmax")
LINEAR = Network((2, 3), output="linear")
X = np.array([[0.5, -1.0], [2.0, 0.25]])
Y = np.array([[1.0, 0.0, 0.5], [0.0, 0.25, 1.0]])


# The cost


def textbook_cost(network, theta, X, Y, l2):
    """J(θ) with one loop for every Σ, as the exercise writes it."""
    f = {"sigmoid": lambda z: 1.0 / (1.0 + math.exp(-z)), "tanh": math.tanh}
    loss = {
        "sigmoid": lambda z, y: sum(
            -t * math.log(f["sigmoid"](s)) - (1.0 - t) * math.log(1.0 - f["sigmoid"](s)) for s, t in zip(z, y)
        ),
        "softmax": lambda z, y: sum(-t * math.log(math.exp(s) / sum(map(math.exp, z))) for s, t in zip(z, y)),
        "linear": lambda z, y: sum((s - t) ** 2 / 2.0 for s, t in zip(z, y)),
    }[network.output.name]
    thetas = network.unpack(theta)
    total = 0.0
    for x, y in zip(X, Y):
        a = x
        for Theta, hidden in zip(thetas, network.hidden):
            a = [f[hidden.name](row[0] + sum(w * value for w, value in zip(row[1:], a))) for row in Theta]
        total += loss([row[0] + sum(w * value for w, value in zip(row[1:], a)) for row in thetas[-1]], y)
    return total / len(X) + l2 / (2 * len(X)) * sum(w * w for Theta in thetas for row in Theta for w in row[1:])


@pytest.mark.parametrize("output", ["sigmoid", "softmax", "linear"])
@pytest.mark.parametrize("hidden", [[], ["sigmoid"], ["tanh", "sigmoid"]], ids=str)
@pytest.mark.parametrize("l2", [0.0, 1.5])
def test_cost_is_the_textbooks(output, hidden, l2):
    rng = np.random.default_rng(0)
    network = Network([3, *(4 for _ in hidden), 3], hidden, output)
    X, Y = rng.normal(size=(5, 3)), rng.uniform(0.1, 0.9, (5, 3))
    Y /= Y.sum(axis=1, keepdims=True)
    theta = rng.normal(size=network.size)
    expected = textbook_cost(network, theta, X, Y, l2)
    np.testing.assert_allclose(Problem(network, X, Y, l2).cost(NUMPY, theta), expected, rtol=1e-14)


# What is kept


def test_X_is_a_read_only_view_of_the_callers_array():
    problem = Problem(THREE, X, Y)
    assert np.shares_memory(problem.X, X)
    assert np.shares_memory(problem.Y, Y)
    for kept in (problem.X, problem.Y):
        with pytest.raises(ValueError, match="read-only"):
            kept[0, 0] = 1.0
    assert X.flags.writeable


@pytest.mark.parametrize(
    "given_X",
    [X.tolist(), X.astype(np.float32), np.asfortranarray(X), (4 * X).astype(int), X > 0, np.repeat(X, 2, 0)[::2]],
    ids=["list", "float32", "Fortran", "int", "bool", "strided"],
)
def test_other_arrays_become_float64_in_C_order(given_X):
    kept = Problem(THREE, given_X, Y).X
    assert (kept.dtype, kept.flags.c_contiguous) == (np.float64, True)
    np.testing.assert_array_equal(kept, np.asarray(given_X, dtype=np.float64))


def test_later_changes_cannot_replace_what_was_checked():
    problem = Problem(THREE, X, Y)
    with pytest.raises(AttributeError, match="cannot assign to field 'X'"):
        problem.X = X  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("classes", [[2, 0], np.array([2.0, 0.0]), np.array([2, 0], dtype=np.uint8)], ids=repr)
def test_classes_become_one_hot_rows(classes):
    np.testing.assert_array_equal(Problem(THREE, X, classes).Y, [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])


def test_targets_of_each_output():
    assert repr(Problem(THREE, X, [0, 1], l2=0.5)) == "Problem(Network(2-3, no hidden layer, sigmoid), m=2, λ=0.5)"
    assert Problem(ONE, X, [[0], [1]]).Y.tolist() == [[0.0], [1.0]]
    assert Problem(ONE, X, [0, 0]).Y.tolist() == [[1.0], [1.0]]
    assert Problem(LINEAR, X, -100.0 * Y).Y.min() == -100.0


# What is refused


def spoilt(array, value):
    array = array.copy()
    array[1, 0] = value
    return array


REFUSED = [
    (("network", X, Y), TypeError, "network must be a Network, not str"),
    ((THREE, X[0], Y), ValueError, r"X must be \(m, 2\), but has shape \(2,\)"),
    ((THREE, X[:, :1], Y), ValueError, r"X must have shape \(m, 2\) with m of one or more, but has shape \(2, 1\)"),
    ((THREE, X[:0], Y[:0]), ValueError, r"X must have shape \(m, 2\) with m of one or more, but has shape \(0, 2\)"),
    ((THREE, spoilt(X, np.nan), Y), ValueError, r"X must be finite, but X\[1, 0\] is nan"),
    ((THREE, None, Y), TypeError, r"X must be an array of real numbers \(\(m, 2\)\), not NoneType"),
    ((THREE, X.astype(object), Y), TypeError, "X must be an array of real numbers .*, not an array of object"),
    ((THREE, X + 0j, Y), TypeError, "X must be an array of real numbers .*, not an array of complex128"),
    ((THREE, X, Y[:1]), ValueError, r"X has 2 rows, so y must be \(2,\) or \(2, 3\), but is \(1, 3\)"),
    ((THREE, X, 1), ValueError, r"y must be \(m,\) classes or \(m, 3\) targets, but has shape \(\)"),
    ((THREE, X, spoilt(Y, np.nan)), ValueError, r"y must be finite, but y\[1, 0\] is nan"),
    ((THREE, X, ["a", "b"]), TypeError, r"y must be an array of real numbers \(\(m,\) classes or \(m, 3\) targets\)"),
    ((THREE, X, [0, 3]), ValueError, r"y of shape \(m,\) must hold integer classes 0 to 2, but holds 3$"),
    ((THREE, X, [0.5, 1]), ValueError, "must hold integer classes 0 to 2, but holds 0.5$"),
    (
        (ONE, X, [0, 1]),
        ValueError,
        r"classes 0 to 0, but holds 1; for one sigmoid unit give 0/1 targets of shape \(m, 1",
    ),
    ((THREE, X, 2 * Y), ValueError, r"sigmoid targets must lie in \[0, 1\], but go from 0 to 2"),
    ((SOFTMAX, X, Y), ValueError, "softmax targets must sum to 1 in every row, but row 0 sums to 1.5"),
    ((SOFTMAX, X, [[2, -1, 0], [1, 0, 0]]), ValueError, r"softmax targets must lie in \[0, 1\], but go from -1 to 2"),
    ((THREE, X, Y, -0.5), ValueError, r"l2 \(λ\) must be a finite number, zero or more, not -0.5"),
    ((THREE, X, Y, None), TypeError, r"l2 \(λ\) must be a number, zero or more, not None"),
    ((THREE, X, Y, 10**400), ValueError, r"l2 \(λ\) must be a finite number"),
    ((ONE, np.ma.masked_array(X, X > 0), Y[:, :1]), TypeError, "X must not be a masked array"),
    ((ONE, [[10**400, 1]], [[1.0]]), TypeError, "X must be an array of real numbers"),
    ((THREE, X, Y, np.ones(1)), TypeError, r"l2 \(λ\) must be a number, .*, not an array of float64 of shape \(1,\)"),
]


@pytest.mark.parametrize(("arguments", "error", "sentence"), REFUSED)
def test_what_is_wrong_gives_one_clear_sentence(arguments, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        Problem(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("theta", "error", "sentence"),
    [
        (np.zeros(8), ValueError, r"Network\(2-3, .*\) needs theta of shape \(9,\), but it has shape \(8,\)"),
        (np.zeros((9, 1)), ValueError, r"theta must be a flat vector of 9 parameters, but has shape \(9, 1\)"),
        (np.r_[np.zeros(8), np.nan], ValueError, r"theta must be finite, but theta\[8\] is nan"),
        (np.ma.zeros(9), TypeError, "theta must not be a masked array"),
    ],
)
def test_what_is_wrong_with_theta_gives_one_clear_sentence(theta, error, sentence):
    with pytest.raises(error, match=sentence):
        Problem(THREE, X, Y).check_theta(theta)
    np.testing.assert_array_equal(Problem(THREE, X, Y).check_theta(range(9)), np.arange(9.0))


def test_a_problem_is_pickled_and_checked_again():
    network = Network((2, 3, 2), ["relu"], "softmax")
    problem = Problem(network, np.ones((2, 2)), [0, 1], l2=3.0)
    again = pickle.loads(pickle.dumps(problem))
    assert (repr(again), again.network.hidden) == (repr(problem), network.hidden)
    np.testing.assert_array_equal(again.Y, problem.Y)
    assert not again.X.flags.writeable


def test_an_activation_that_is_not_registered_is_pickled_only_if_its_functions_are():
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(Activation("mine", value=lambda xp, z: z, slope=lambda z, a: np.ones_like(z)))
    mine = Activation("mine", value=math.ldexp, slope=math.ldexp)
    assert pickle.loads(pickle.dumps(mine)).value is math.ldexp
    assert copy.deepcopy(ACTIVATIONS["relu"]) is ACTIVATIONS["relu"]
