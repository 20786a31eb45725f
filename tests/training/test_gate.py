"""The gate: it opens for sources that agree, and for no others."""

import pickle

import numpy as np
import pytest

from harness.sources.source_table import SOURCES
from harness.training.gate import GateClosed, check_gate, with_defaults
from reference.network import Network
from reference.problem import Problem

NETWORK = Network((4, 3, 2))
RNG = np.random.default_rng(0)
PROBLEM = Problem(NETWORK, RNG.normal(size=(6, 4)), RNG.integers(2, size=6), l2=1.0)
THETA = NETWORK.init(0, epsilon=0.8)

vectorized = SOURCES["vectorized"]


def one_coordinate_off(problem, theta):
    cost, gradient = vectorized(problem, theta)
    gradient[7] *= 1.0 + 1e-9
    return cost, gradient


def regularises_biases(problem, theta):
    cost, gradient = vectorized(problem, theta)
    for Theta, Delta in zip(problem.network.unpack(theta), problem.network.unpack(gradient)):
        Delta[:, 0] += problem.l2 / problem.m * Theta[:, 0]
    return cost, gradient


def forgets_the_regulariser_in_the_cost(problem, theta):
    return vectorized(Problem(problem.network, problem.X, problem.Y), theta)[0], vectorized(problem, theta)[1]


def not_a_number(problem, theta):
    cost, gradient = vectorized(problem, theta)
    gradient[0] = np.nan
    return cost, gradient


def infinite_cost(problem, theta):
    return np.inf, vectorized(problem, theta)[1]


def spoils_theta(problem, theta):
    answer = vectorized(problem, theta)
    theta *= 2.0
    return answer


def test_sources_that_agree_pass_with_their_report():
    report = check_gate(PROBLEM, THETA)
    assert report.verdict == "agree"
    assert {row.name for row in report.sources} >= {"loop", "vectorized", "jax", "finite-difference"}


@pytest.mark.parametrize(
    "wrong",
    [
        one_coordinate_off,
        regularises_biases,
        forgets_the_regulariser_in_the_cost,
        not_a_number,
        infinite_cost,
        spoils_theta,
    ],
)
def test_a_wrong_source_closes_it_and_is_named(wrong):
    name, sources = with_defaults(wrong, PROBLEM)
    with pytest.raises(GateClosed) as closed:
        check_gate(PROBLEM, THETA, sources, when="at noon")
    assert closed.value.report.verdict == "disagree"
    assert closed.value.report.outliers == (name,) == (wrong.__name__,)
    assert closed.value.theta is THETA
    message = str(closed.value)
    assert message.startswith(str(closed.value.report))
    assert f"closed at noon: fix the gradient of {wrong.__name__}" in message


def test_what_cannot_be_decided_closes_it():
    with pytest.raises(GateClosed, match="no gradient was found wrong, but none was shown to be right") as closed:
        check_gate(PROBLEM, THETA, ["loop", "vectorized"])  # one author's
    assert closed.value.report.verdict == "inconclusive"


def test_it_can_be_sent_to_another_process():
    with pytest.raises(GateClosed) as closed:
        check_gate(PROBLEM, THETA, {"jax": SOURCES["jax"], "mine": not_a_number})
    copy = pickle.loads(pickle.dumps(closed.value))
    assert str(copy) == str(closed.value)
    assert copy.report.outliers == closed.value.report.outliers
    assert np.array_equal(copy.theta, THETA)


def loop(problem, theta):
    return vectorized(problem, theta)


class Homework:
    def __call__(self, problem, theta):
        return vectorized(problem, theta)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("vectorized", "vectorized"),
        ("jax-forward", "jax-forward"),
        (SOURCES["finite-difference"], "finite-difference"),
        (one_coordinate_off, "one_coordinate_off"),
        (Homework(), "Homework"),
        (loop, "the given loop"),  # not the one that it is named like, which stays to check it
    ],
)
def test_a_source_joins_the_defaults_under_its_own_name(source, name):
    network = Network((40, 30, 2))  # too large for jax-forward to be a default
    problem = Problem(network, np.ones((3, 40)), [0, 1, 1])
    given, sources = with_defaults(source, problem)
    assert given == name
    assert list(sources) == list(dict.fromkeys(["loop", "vectorized", "jax", "finite-difference", name]))
    expected = SOURCES[source] if isinstance(source, str) else source
    assert expected in (sources[name], sources[name].function)
    assert sources["loop"] is SOURCES["loop"]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("backprop", ValueError, "unknown source 'backprop'; there are loop, vectorized"),
        (None, TypeError, "must be callable as source"),
        (3, TypeError, "must be callable as source"),
    ],
)
def test_what_is_no_source_is_refused(source, error, message):
    with pytest.raises(error, match=message):
        with_defaults(source, PROBLEM)
