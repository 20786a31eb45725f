"""The kind of mistake, in words."""

import numpy as np
import pytest

from harness import FAULTS
from harness.checks.networks.cross_checking import cross_check
from harness.verdict.diagnosis import Part, diagnose
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


def _part(value, expected, theta=None, penalty=None, name="theta") -> Part:
    value, expected = np.asarray(value, dtype=float), np.asarray(expected, dtype=float)
    theta = np.cos(np.arange(value.size)).reshape(value.shape) if theta is None else np.asarray(theta, dtype=float)
    penalty = np.zeros_like(value) if penalty is None else np.asarray(penalty, dtype=float)
    return Part(name, value, expected, theta, penalty, value != expected)


E = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (E + 0.25, "off by the same 0.25 everywhere"),
        (E[:, ::-1], "columns in reverse order"),
        (np.roll(E, 1, axis=1), "columns shifted by one"),
        (np.roll(E, 1, axis=0), "rows shifted by one"),
        (E.ravel()[[3, 5, 1, 0, 2, 4]].reshape(2, 3), "the right numbers in other places"),
        (np.where(E == 3, np.nan, E), "not finite in theta"),
        (3.0 * E, "3 times the right value"),
        (E * (1.0 + 1e-9), "1 + 1e-09 times the right value"),
        (E * (1.0 - 2e-8), "1 - 2e-08 times the right value"),  # though float32 is as far off
        (
            E + np.array([[0.0, 2e-9, 0.0], [0.0] * 3]),
            "is off by 2e-09, 1 + 1e-09 times the right value",
        ),
        (E * 0, "zero where it should not be"),
        (E + 1e-8 * E * [[1, -1, 1], [1, 1, -1]], "passes through float32"),
    ],
)
def test_relations_on_one_array(value, told):
    assert told in diagnose([_part(value, E)])


def test_nothing_is_said_of_a_right_gradient():
    assert diagnose([_part(E, E)]) == ""


def test_a_factor_that_two_mistakes_leave_names_both():
    told = diagnose([_part(2.0 * E, E)], m=2)
    assert told == "theta: the sum over the examples is not divided by m or divided by m - 1 instead of m"


def test_a_function_without_a_regulariser_is_not_said_to_have_one():
    theta = np.array([[1.0, -2.0, 0.5]])
    assert "off by 0.3 times θ, as a regulariser is" in diagnose([_part(E[:1] + 0.3 * theta, E[:1], theta)])


def test_no_relation_is_made_up():
    rng = np.random.default_rng(0)
    assert diagnose([_part(rng.normal(size=(2, 3)), E)]) == ""


def test_a_regulariser_of_the_wrong_strength_is_measured():
    theta = np.array([[1.0, -2.0, 0.5]])
    told = diagnose([_part(E[:1] + 0.3 * theta, E[:1], theta, 0.1 * theta)], m=10)
    assert "off by 0.3 times θ" in told
    assert "off by 3 times λ/m" in told


def test_only_the_block_that_is_wrong_is_named():
    told = diagnose([_part(E, E, name="A"), _part(2 * E, E, name="b"), _part(E, E, name="c")])
    assert told.startswith("b: 2 times")


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e3, 1e9])
def test_float32_is_recognised_in_any_unit(unit):
    signs = np.array([[1, -1, 1], [1, 1, -1]])
    told = {share: diagnose([_part(unit * E * (1.0 + share * signs), unit * E)]) for share in (1e-11, 1e-8, 1e-5)}
    assert "passes through float32" in told[1e-8]
    assert told[1e-11] == told[1e-5] == ""
