"""The bug zoo: each bug is a bug, it is caught, and the source that has it is the one that is named."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from harness import FAULTS, SOURCES, Network, Problem, cross_check, random_problem
from harness.checks.networks import many_networks
from harness.checks.networks.many_networks import plant
from harness.checks.networks.network_check import check
from harness.sources import vectorized
from harness.sources.backprop_steps import Backprop
from harness.sources.bug_zoo import Bug
from harness.sources.source_table import BY_HAND, Source
from harness.study.trials import quiet_numerics

each_bug = pytest.mark.parametrize("bug", FAULTS.values(), ids=list(FAULTS))


def test_the_pipeline_without_a_bug_is_right(network_count, assert_within_rounding):
    telling = []
    for seed in range(network_count):
        problem, theta = random_problem((8, seed))
        answers = Backprop()(problem, theta), vectorized.cost_and_gradient(problem, theta)
        telling.append(assert_within_rounding(problem, theta, *answers))
    assert np.mean(telling) > 0.8


@each_bug
def test_every_bug_is_caught_and_the_source_that_has_it_is_named(bug):
    report = plant(bug).report
    assert report.verdict == "disagree"
    assert set(report.outliers) == set(bug.replaces)


def answers_of(bugs):
    """For each answer to 40 problems, to nine digits, the bugs that give it."""
    problems = [random_problem((7, index)) for index in range(40)]
    names = {}
    with quiet_numerics():
        for bug in bugs:
            answers = [np.append(*bug.source(*case)[::-1]).round(9).tobytes() for case in problems]
            names.setdefault(tuple(answers), []).append(bug.name)
    return names


def test_no_two_bugs_answer_alike():
    assert [names for names in answers_of(FAULTS.values()).values() if len(names) > 1] == []
    twin = replace(FAULTS["wrong-sign"], name="twin")
    assert answers_of([FAULTS["wrong-sign"], twin]).popitem()[1] == ["wrong-sign", "twin"]


@each_bug
def test_no_other_source_is_blamed(bug):
    for seed in range(4):
        report = check(*random_problem((9, seed)), bug.sources, explained=False)
        assert set(report.outliers) <= set(bug.replaces)
        assert not report.tie


def test_a_right_source_is_not_caught():
    right = Bug("none", "No bug at all.", Source("none", BY_HAND, Backprop()), ("vectorized",), "all")
    with pytest.raises(ValueError, match="none shows on none of 20 problems with seed 0"):
        plant(right, tries=20)


def test_a_bug_is_planted_where_it_shows_first():
    bug = FAULTS["slope-missing"]
    index, report, *_ = plant(bug, seed=3)
    verdicts = [cross_check(*random_problem((3, i), extremes=False), bug.sources).verdict for i in range(index + 1)]
    assert "disagree" not in verdicts[:-1]
    assert verdicts[-1] == report.verdict == "disagree"


def test_doubt_is_not_a_catch(monkeypatch):
    verdicts = iter(["agree", "inconclusive", "disagree"])
    monkeypatch.setattr(many_networks, "cross_check", lambda *arguments: SimpleNamespace(verdict=next(verdicts)))
    assert plant(FAULTS["wrong-sign"])[0] == 2


# What a bug says of itself


def test_there_are_many_and_no_two_alike():
    assert len(FAULTS) >= 115
    assert len({bug.description for bug in FAULTS.values()}) == len(FAULTS)
    assert {name: bug.name for name, bug in FAULTS.items()} == {name: name for name in FAULTS}


@each_bug
def test_a_bug_is_described_in_a_sentence(bug):
    assert bug.description.endswith(".")
    assert len(bug.description) > 20
    assert bug.name == bug.name.lower().replace(" ", "-")


@each_bug
def test_a_bug_stands_in_for_some_sources_and_the_others_are_right(bug):
    assert set(bug.replaces) < set(bug.sources)
    for name, source in bug.sources.items():
        assert source is (bug.source if name in bug.replaces else SOURCES[name])


def problem_of(network):
    return Problem(network, np.linspace(-1.0, 1.0, 12).reshape(4, 3), [0, 2, 1, 2], l2=0.5)


PROBLEM = problem_of(Network((3, 3, 3), ["softplus"]))
THETA = PROBLEM.network.init(0, epsilon=1.0)
DEEPER = problem_of(Network((3, 3, 3, 3), "softplus"))

SHOWN_ON = {  # the bugs that are none on PROBLEM
    "slope-missing-in-the-first-layer": DEEPER,
    "slope-missing-in-the-last-hidden-layer": DEEPER,
    "sigmoid-for-softmax": problem_of(Network((3, 3, 3), ["softplus"], "softmax")),
}

WRONG = {  # what the part that is wrong says of the biases and the weights that differ, layer by layer, and of the cost
    "bias": lambda biases, weights, cost: any(biases) and not any(weights) and not cost,
    "regulariser": lambda biases, weights, cost: any(biases + weights) and not cost,
    "layer": lambda biases, weights, cost: any((biases + weights)[:: len(biases)]) and not cost,
    "entry": lambda biases, weights, cost: 1 <= sum(biases + weights) <= 2 and not cost,
    "all": lambda biases, weights, cost: any(weights) and not cost,
    "cost": lambda biases, weights, cost: any(biases + weights) and cost,
    "cost alone": lambda biases, weights, cost: cost and not any(biases + weights),
    "program": lambda biases, weights, cost: not cost,
}


@each_bug
def test_the_part_that_is_wrong_is_the_part_that_is_said(bug):
    problem = SHOWN_ON.get(bug.name, PROBLEM)
    theta = problem.network.init(0, epsilon=1.0)
    right_cost, right = vectorized.cost_and_gradient(problem, theta)
    cost, gradient = bug.source(problem, theta.copy())
    at_odds = problem.network.unpack(np.abs(gradient - right) > 1e-9 * np.abs(right).max())
    biases, weights = [int(M[:, 0].sum()) for M in at_odds], [int(M[:, 1:].sum()) for M in at_odds]
    assert WRONG[bug.part](biases, weights, abs(cost - right_cost) > 1e-9)


@pytest.mark.parametrize("name", [name for name, bug in FAULTS.items() if bug.part == "regulariser"])
def test_a_bug_in_the_regulariser_is_gone_without_one(name):
    problem = Problem(PROBLEM.network, PROBLEM.X, PROBLEM.Y, l2=0.0)
    right, wrong = vectorized.cost_and_gradient(problem, THETA)[1], FAULTS[name].source(problem, THETA)[1]
    assert np.allclose(right, wrong, rtol=1e-12) is (name not in ("lambda-of-another-run", "lambda-left-out"))
