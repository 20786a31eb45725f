"""Hypothesis strategies: what they can draw, what they shrink to, and that Hypothesis has no complaint about them."""

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from problem_features import ALL_FEATURES, features

from harness import ACTIVATIONS, Network, strategies

NETWORK = Network((3, 5, 3), "tanh", "softmax")


def test_every_option_of_the_seeded_distribution_can_be_drawn():
    seen = set()

    @settings(max_examples=300, phases=[Phase.generate], derandomize=True, database=None)
    @given(strategies.cases())
    def collect(case):
        seen.update(features(*case))

    collect()
    assert seen == ALL_FEATURES


# No health check is suppressed here or in the profiles, so a strategy that is slow, large or filters much fails.


@given(strategies.cases())
def test_a_case_is_a_problem_and_its_theta(case):
    problem, theta = case
    np.testing.assert_array_equal(problem.check_theta(theta), theta)


@given(strategies.problems(st.just(NETWORK), extremes=False), strategies.thetas(NETWORK, extremes=False))
def test_problems_and_thetas_are_for_the_network_given_and_ordinary_if_asked(problem, theta):
    assert problem.network is NETWORK
    assert theta.shape == (NETWORK.size,)
    assert np.abs(problem.X).max() <= 2.0
    assert np.abs(theta).max() <= 1.0


@given(strategies.cases(strategies.networks(["relu", ACTIVATIONS["sin"]], ["linear"]), extremes=False))
def test_only_the_activations_and_outputs_asked_for(case):
    problem, theta = case
    assert {f.name for f in problem.network.hidden} <= {"relu", "sin"}
    assert problem.network.output.name == "linear"
    assert np.abs(theta).max() <= 1.0


def simplest(strategy, condition=lambda value: True):
    return find(
        strategy, condition, settings=settings(max_examples=1000, derandomize=True, database=None, deadline=None)
    )


def test_networks_shrink_to_one_input_and_one_output():
    network = simplest(strategies.networks())
    assert repr(network) == "Network(1-1, no hidden layer, sigmoid)"


def test_hidden_layers_shrink_to_single_identities():
    network = simplest(strategies.networks(), lambda network: len(network.hidden) == 2 and network.sizes[0] > 2)
    assert repr(network) == "Network(3-1-1-1, identity, identity, sigmoid)"


def test_cases_shrink_to_one_example_of_zeros():
    problem, theta = simplest(strategies.cases(), lambda case: case[0].network.output.name == "linear")
    assert repr(problem) == "Problem(Network(1-1, no hidden layer, linear), m=1, λ=1)"
    assert (problem.X.tolist(), problem.Y.tolist(), theta.tolist()) == ([[0.0]], [[1.0]], [0.0, 0.0])


def test_activations_are_those_that_are_registered_or_given():
    assert simplest(strategies.activations()) is ACTIVATIONS["identity"]
    assert simplest(strategies.activations(["relu", "sin"])) is ACTIVATIONS["relu"]
    assert simplest(strategies.activations(["relu", "sin"]), lambda f: f.name != "relu") is ACTIVATIONS["sin"]
    assert simplest(strategies.activations(), lambda f: f.name == "sin") is ACTIVATIONS["sin"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: strategies.activations([]), "no activations were given to draw from"),
        (
            lambda: simplest(strategies.cases(networks=cast(Any, 3))),
            r"networks must be a strategy, such as .*, not int",
        ),
        (
            lambda: simplest(strategies.problems(cast(Any, NETWORK))),
            r"networks must be a strategy, such as .*, not Network",
        ),
        (lambda: simplest(strategies.thetas(cast(Any, 3))), "network must be a Network, not 3"),
    ],
)
def test_what_cannot_be_drawn_from_gets_one_clear_sentence(make, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        make()
