"""The bug zoo: each bug is a bug, it is caught, and the source that has it is the one that is named."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness import FAULTS, SOURCES, Network, Problem, cross_check, random_problem
from harness.sources import bug_zoo as faults
from harness.sources import vectorized
from harness.sources.backprop_steps import Backprop
from harness.sources.bug_zoo import Fault, plant

each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=list(FAULTS))


def test_the_pipeline_without_a_bug_is_right(network_count, assert_within_rounding):
    telling = []
    for seed in range(network_count):
        problem, theta = random_problem((8, seed))
        answers = Backprop()(problem, theta), vectorized.cost_and_gradient(problem, theta)
        telling.append(assert_within_rounding(problem, theta, *answers))
    assert np.mean(telling) > 0.8


@each_fault
def test_every_bug_is_caught_and_the_source_that_has_it_is_named(fault):
    _, report = plant(fault)
    assert report.verdict == "disagree"
    assert set(report.outliers) == set(fault.replaces)


@each_fault
def test_no_other_source_is_blamed(fault):
    for seed in range(8):
        report = cross_check(*random_problem((9, seed)), fault.sources)
        assert set(report.outliers) <= set(fault.replaces)
        assert not report.tie


def test_a_right_source_is_not_caught():
    right = Fault("none", "No bug at all.", Backprop(), ("vectorized",), "all")
    with pytest.raises(ValueError, match="none shows on none of 20 problems with seed 0"):
        plant(right, tries=20)


def test_a_bug_is_planted_where_it_shows_first():
    fault = FAULTS["slope-missing"]
    index, report = plant(fault, seed=3)
    verdicts = [cross_check(*random_problem((3, i), extremes=False), fault.sources).verdict for i in range(index + 1)]
    assert "disagree" not in verdicts[:-1]
    assert verdicts[-1] == report.verdict == "disagree"


def test_doubt_is_not_a_catch(monkeypatch):
    verdicts = iter(["agree", "inconclusive", "disagree"])
    monkeypatch.setattr(faults, "cross_check", lambda *arguments: SimpleNamespace(verdict=next(verdicts)))
    assert plant(FAULTS["wrong-sign"])[0] == 2


# What a bug says of itself


def test_there_are_many_and_no_two_alike():
    assert len(FAULTS) >= 30
    assert len({fault.description for fault in FAULTS.values()}) == len(FAULTS)
    assert {name: fault.name for name, fault in FAULTS.items()} == {name: name for name in FAULTS}


@each_fault
def test_a_bug_is_described_in_a_sentence(fault):
    assert fault.description.endswith(".")
    assert len(fault.description) > 20
    assert fault.name == fault.name.lower().replace(" ", "-")


@each_fault
def test_a_bug_stands_in_for_some_sources_and_the_others_are_right(fault):
    assert set(fault.replaces) < set(fault.sources)
    for name, source in fault.sources.items():
        assert source is (fault.source if name in fault.replaces else SOURCES[name])


PROBLEM = Problem(Network((3, 3, 3), ["tanh"]), np.linspace(-1.0, 1.0, 12).reshape(4, 3), [0, 2, 1, 2], l2=0.5)
THETA = PROBLEM.network.init(0, epsilon=1.0)
BIASES = np.array(["bias" in PROBLEM.network.label(i) for i in range(THETA.size)])
HIDDEN = np.array([PROBLEM.network.locate(i)[0] == 0 for i in range(THETA.size)])

WRONG = {  # what the part that is wrong says about the coordinates that differ, and about the cost
    "bias": lambda at_odds, cost: at_odds[BIASES].all() and not at_odds[~BIASES].any() and not cost,
    "regulariser": lambda at_odds, cost: at_odds.any() and not cost,
    "layer": lambda at_odds, cost: at_odds[HIDDEN].any() and not cost,
    "entry": lambda at_odds, cost: 1 <= at_odds.sum() <= 2 and not cost,
    "all": lambda at_odds, cost: not cost,
    "cost": lambda at_odds, cost: cost,
}


@each_fault
def test_the_part_that_is_wrong_is_the_part_that_is_said(fault):
    right_cost, right = vectorized.cost_and_gradient(PROBLEM, THETA)
    cost, gradient = fault.source(PROBLEM, THETA.copy())
    at_odds = np.abs(gradient - right) > 1e-9 * np.abs(right).max()
    assert WRONG[fault.part](at_odds, abs(cost - right_cost) > 1e-9)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.part == "regulariser"])
def test_a_bug_in_the_regulariser_is_gone_without_one(name):
    problem = Problem(PROBLEM.network, PROBLEM.X, PROBLEM.Y, l2=0.0)
    right, wrong = vectorized.cost_and_gradient(problem, THETA)[1], FAULTS[name].source(problem, THETA)[1]
    assert np.allclose(right, wrong, rtol=1e-12) is (name != "lambda-of-another-run")


def test_the_bug_that_changes_its_argument_has_the_right_gradient():
    theta = THETA.copy()
    gradient = FAULTS["argument-mutated"].source(PROBLEM, theta)[1]
    np.testing.assert_allclose(gradient, vectorized.cost_and_gradient(PROBLEM, THETA)[1], rtol=1e-12)
    assert not np.array_equal(theta, THETA)


def test_the_non_deterministic_bug_answers_differently_each_time():
    source = FAULTS["non-deterministic"].source
    assert not np.array_equal(source(PROBLEM, THETA)[1], source(PROBLEM, THETA)[1])
