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


def altered(change):
    """A source whose cost and gradient are changed by `change(problem, theta, cost, gradient)`."""

    def source(problem, theta):
        return change(problem, theta, *vectorized(problem, theta))

    return source


def one_coordinate(i, value):
    return altered(
        lambda problem, theta, cost, gradient: (
            cost,
            np.where(np.arange(gradient.size) == i, value(gradient), gradient),
        )
    )


def with_biases(problem, theta, cost, gradient):
    for Theta, Delta in zip(problem.network.unpack(theta), problem.network.unpack(gradient)):
        Delta[:, 0] += problem.l2 / problem.m * Theta[:, 0]
    return cost, gradient


def spoils_theta(problem, theta):
    answer = vectorized(problem, theta)
    theta *= 2.0
    return answer


def without_regulariser(problem, theta, cost, gradient):
    return vectorized(Problem(problem.network, problem.X, problem.Y), theta)[0], gradient


not_a_number = one_coordinate(0, lambda gradient: np.nan)

WRONG = {
    "one coordinate off": one_coordinate(7, lambda gradient: gradient * (1.0 + 1e-9)),
    "biases regularised": altered(with_biases),
    "no regulariser in the cost": altered(without_regulariser),
    "not a number": not_a_number,
    "infinite cost": altered(lambda problem, theta, cost, gradient: (np.inf, gradient)),
    "θ changed": spoils_theta,
}


def test_sources_that_agree_pass_with_their_report():
    report = check_gate(PROBLEM, THETA)
    assert report.verdict == "agree"
    assert {row.name for row in report.sources} >= {"loop", "vectorized", "jax", "finite-difference"}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
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
    with pytest.raises(GateClosed) as closed:
        check_gate(PROBLEM, THETA, ["loop", "vectorized"])  # one author's
    assert closed.value.report.verdict == "inconclusive"


def test_it_can_be_sent_to_another_process():
    with pytest.raises(GateClosed) as closed:
        check_gate(PROBLEM, THETA, {"jax": SOURCES["jax"], "mine": not_a_number})
    copy = pickle.loads(pickle.dumps(closed.value))
    assert (str(copy), copy.report.outliers) == (str(closed.value), closed.value.report.outliers)
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
        (spoils_theta, "spoils_theta"),
        (Homework(), "Homework"),
        (loop, "the given loop"),  # not the one in the table, which stays to check it
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


@pytest.mark.parametrize(("source", "error"), [("backprop", ValueError), (None, TypeError), (3, TypeError)])
def test_what_is_no_source_is_refused(source, error):
    with pytest.raises(error, match=r"unknown source 'backprop'; there are loop|must be callable as source"):
        with_defaults(source, PROBLEM)
