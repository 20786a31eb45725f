"""Backprop by hand, in a loop and vectorized: right within rounding, stable, and strangers to each other."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from harness import ACTIVATIONS, Network, Problem, random_problem
from harness.bounds.network_bound import rounding_bound
from harness.sources import loop, vectorized
from reference.arithmetics.rounded import Rounded32
from reference.network import OUTPUTS
from reference.oracles import jax_padded

MODULES = {"loop": loop, "vectorized": vectorized}
each_hand = pytest.mark.parametrize(
    "hand", [module.cost_and_gradient for module in MODULES.values()], ids=list(MODULES)
)
each_output = pytest.mark.parametrize("output", OUTPUTS)
each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def ordinary_problem(hidden="tanh", output="sigmoid", m=4, l2=0.5):
    rng = np.random.default_rng(0)
    problem = Problem(Network((3, 4, 2), hidden, output), rng.normal(size=(m, 3)), rng.integers(0, 2, m), l2)
    return problem, problem.network.init(0, epsilon=1.0)


# Right


@each_hand
def test_agrees_with_jax_on_random_problems(hand, network_count, assert_within_rounding):
    telling = []
    for seed in range(network_count):
        problem, theta = random_problem((4, seed))
        answers = hand(problem, theta), jax_padded.reverse(problem, theta)
        telling.append(assert_within_rounding(problem, theta, *answers))
    assert np.mean(telling) > 0.8


# Stable


@each_hand
@pytest.mark.parametrize("z", [1e3, -1e3, 40.0, -40.0, 0.0])
@pytest.mark.parametrize(
    ("output", "prediction"), [("sigmoid", expit), ("softmax", lambda z: softmax(z, axis=1)), ("linear", lambda z: z)]
)
def test_delta_of_the_output_is_prediction_minus_target_however_far_out(hand, z, output, prediction):
    problem = Problem(Network((1, 2), output=output), [[1.0]], [[1.0, 0.0]])
    theta = np.array([0.0, 0.0, z, -z])  # biases 0, weights ±z: the gradient of a bias is σ(z) - y
    cost, gradient = hand(problem, theta)
    truth = (prediction(np.array([[z, -z]])) - [[1.0, 0.0]]).ravel()
    np.testing.assert_allclose(gradient, np.r_[truth, truth], rtol=4e-16)
    assert np.isfinite(cost)


@each_hand
@each_output
@each_activation
@pytest.mark.parametrize("z", [1e3, -1e3])
def test_saturated_layers_give_neither_nan_nor_a_warning(hand, output, name, z):
    problem = Problem(Network((1, 2, 2), name, output), [[1.0], [-1.0]], [0, 1], l2=1.0)
    theta = problem.network.pack([[[0.0, z], [0.0, -z]], [[0.0, 1.0, -1.0], [0.0, -1.0, 1.0]]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        cost, gradient = hand(problem, theta)
    assert np.isfinite(cost)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    "m", [1, vectorized.BLOCK_ROWS - 1, vectorized.BLOCK_ROWS, vectorized.BLOCK_ROWS + 1, 2 * vectorized.BLOCK_ROWS + 1]
)
@each_output
def test_blocks_of_rows_leave_no_seam(m, output):
    problem, theta = ordinary_problem("softplus", output, m, l2=0.0)
    cost, gradient = vectorized.cost_and_gradient(problem, theta)
    costs, gradients = zip(
        *(
            vectorized.cost_and_gradient(Problem(problem.network, x[np.newaxis], y[np.newaxis]), theta)
            for x, y in zip(problem.X, problem.Y)
        )
    )
    np.testing.assert_allclose(cost, np.mean(costs), rtol=1e-13)
    np.testing.assert_allclose(gradient, np.mean(gradients, axis=0), rtol=1e-12, atol=1e-15)


# float32


@each_output
@each_activation
def test_a_float32_theta_gets_a_float32_gradient(output, name):
    problem, theta = ordinary_problem(name, output)
    theta = theta.astype(np.float32)
    cost, gradient = vectorized.cost_and_gradient(problem, theta)
    expected_cost, expected = vectorized.cost_and_gradient(problem, theta.astype(np.float64))
    bound = rounding_bound(problem, theta.astype(np.float64), Rounded32)
    assert gradient.dtype == np.float32
    assert abs(cost - expected_cost) <= bound.cost
    assert (np.abs(gradient - expected) <= bound.gradient).all()


def test_float32_is_computed_in_float32_all_the_way(monkeypatch):
    problem, theta = ordinary_problem()
    seen = set()
    f = ACTIVATIONS["tanh"]
    monkeypatch.setattr(type(f), "__call__", lambda self, Z: (seen.add(Z.dtype), self.value(np, Z))[1])
    vectorized.cost_and_gradient(problem, theta.astype(np.float32))
    assert seen == {np.dtype(np.float32)}
