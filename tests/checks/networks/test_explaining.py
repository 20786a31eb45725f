"""What is said of a network's wrong gradient: the kind of bug, and the layer in which it starts."""

import numpy as np
import pytest

from harness import FAULTS
from harness.checks.networks.cross_checking import cross_check
from reference import Network, Problem


def _problem() -> tuple[Problem, np.ndarray]:
    network = Network((3, 4, 4, 3), "tanh", "softmax")
    rng = np.random.default_rng(7)
    problem = Problem(network, rng.normal(size=(6, 3)), [0, 1, 2, 0, 1, 2], l2=2.0)
    return problem, rng.normal(size=network.size)


# what the diagnosis has to contain for a bug of the zoo
TOLD = {
    "bias-regularised": ["the biases", "times θ", "regulariser where none belongs"],
    "output-layer-unregularised": ["Theta3 weights", "regulariser, which is missing"],
    "regulariser-missing": ["the weights", "regulariser, which is missing"],
    "lambda-not-over-m": ["regulariser, which is not divided by m"],
    "lambda-halved": ["regulariser, which keeps a factor 1/2"],
    "mean-missing": ["the sum over the examples is not divided by m"],
    "mean-over-m-minus-1": ["divided by m - 1 instead of m"],
    "wrong-sign": ["the sign is wrong"],
    "bias-times-4": ["the biases: 4 times the right value"],
    "bias-gradient-missing": ["the biases: zero where it should not be"],
    "float32-deltas": ["passes through float32"],
    "c-order-unrolling": ["unrolled row by row"],
    "deltas-transposed": ["Theta2 weights", "transposed"],
    "two-entries-swapped": ["two entries are swapped"],
    "one-entry-0.1%-off": ["a single entry", "1.001 times", "no other was found wrong"],
    "shared-by-both-hands": ["Theta2: 0.99 times", "before the regulariser", "Theta3 is right"],
    "slope-missing": ["Theta3 is right, so δ goes wrong on the way back"],
    "stale-activations": ["Theta3 is right, so δ goes wrong on the way back"],
    "weights-transposed": ["Theta2, Theta3 are right"],
    "last-example-skipped": ["wrong from the output layer on"],
    "wrong-loss": ["the costs differ"],
}


@pytest.mark.parametrize("name", TOLD)
def test_a_bug_of_the_zoo_is_described(name):
    problem, theta = _problem()
    report = cross_check(problem, theta, FAULTS[name].sources)
    told = report.findings[0].diagnosis
    assert all(words in told for words in TOLD[name]), told
