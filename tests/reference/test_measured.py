"""An oracle is a gradient source like any other, and knows more than one."""

import numpy as np

from reference import Network, Problem
from reference.measured import Measured, Oracle


def test_an_oracle_answers_cost_and_gradient_and_measures_the_rest():
    problem, theta = Problem(Network((2, 1)), np.ones((3, 2)), np.ones((3, 1))), np.array([1.0, 2.0, 3.0])
    asked = []

    def measure(*where):
        asked.append(where)
        return Measured(5.0, 2.0 * theta, np.full(3, 1e-9), roundings=1.0)

    oracle = Oracle(measure)
    cost, gradient = oracle(problem, theta)
    assert cost == 5.0
    np.testing.assert_array_equal(gradient, 2.0 * theta)
    assert oracle.measure(problem, theta).error.tolist() == [1e-9] * 3
    assert asked == [(problem, theta)] * 2
