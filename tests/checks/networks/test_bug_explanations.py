"""What is said of a network's wrong answer: the bugs that explain it, or what is seen in its error."""

import numpy as np
import pytest

from harness import FAULTS, SOURCES, Activation, Network, Problem, cross_check
from harness.bounds.network_bound import rounding_bound
from harness.checks.networks.bug_explanations import BY_SLOPES, explain_answer
from harness.checks.networks.bug_replay import COST_ALONE, GRADIENT_ALONE
from harness.checks.networks.network_check import check
from harness.sources.backprop_steps import Backprop
from harness.sources.bug_zoo import pipeline_with
from harness.verdict.comparison import Answer
from reference.activations import ACTIVATIONS

NETWORK = Network((3, 4, 4, 3), "softplus")
RNG = np.random.default_rng(7)
PROBLEM = Problem(NETWORK, RNG.normal(size=(6, 3)), [0, 1, 2, 0, 1, 2], l2=2.5)
THETA = RNG.normal(size=NETWORK.size)
ALL = f"{NETWORK.size} of {NETWORK.size} coordinates"
REPLAYED = [name for name, bug in FAULTS.items() if bug.part != "program"]


def said_of(source, problem=PROBLEM, theta=THETA, beside=("vectorized", "finite-difference", "ball")):
    """The diagnosis of a source beside three that are right; a bug by its name, or two."""
    if isinstance(source, str):
        source = pipeline_with(*(FAULTS[name] for name in source.split(" and ")))
    report = cross_check(problem, theta, {"mine": source} | {name: SOURCES[name] for name in beside})
    assert report.outliers == ("mine",)
    return report.findings[0].diagnosis


def right():
    return SOURCES["vectorized"](PROBLEM, THETA)


@pytest.mark.parametrize("name", REPLAYED)
def test_every_bug_of_the_zoo_is_named_with_what_it_does(name):
    output = "softmax" if name == "sigmoid-for-softmax" else "sigmoid"
    said = said_of(name, Problem(Network(NETWORK.sizes, "softplus", output), PROBLEM.X, PROBLEM.Y, PROBLEM.l2))
    assert said.startswith(f"{name} explains ")
    assert FAULTS[name].description.rstrip(".") in said
    what = {"cost": f"the cost and {ALL} (", "cost alone": "the cost, beside a right gradient ("}
    assert what.get(FAULTS[name].part, f"explains {ALL} (") in said


PAIRS = [
    "wrong-sign and lambda-not-over-m",
    "bias-times-4 and slope-missing",
    "mean-missing and bias-gradient-missing",  # both in one step
    "targets-shifted and slope-squared",
    "c-order-unrolling and bias-regularised",
    "cost-halved and cost-without-regulariser",
    "cost-halved and wrong-sign",  # one of the cost alone, one of the gradient alone
]


@pytest.mark.parametrize("names", PAIRS)
def test_two_bugs_at_once_are_named_together(names):
    said = said_of(names)
    reverse = " and ".join(names.split(" and ")[::-1])
    assert names in said or reverse in said
    assert said.startswith("each of ") or " together explain " in said


@pytest.mark.parametrize("step", sorted({bug.step for bug in FAULTS.values() if bug.step}))
def test_the_steps_of_the_cost_alone_and_of_the_gradient_alone_are_those(step):
    def taken(*arguments):
        raise AssertionError

    def takes_step(part, *arguments):
        try:
            part(*arguments)
        except AssertionError:
            return True
        return False

    pipeline = Backprop()
    forward = pipeline.forward(PROBLEM, THETA)
    layers = list(pipeline.backward(PROBLEM, forward))
    setattr(pipeline, step, taken)
    ahead = takes_step(pipeline.forward, PROBLEM, THETA)
    of_cost = ahead or takes_step(pipeline.cost, PROBLEM, forward)
    of_gradient = ahead or takes_step(lambda: list(pipeline.backward(PROBLEM, forward)))
    of_gradient = of_gradient or takes_step(pipeline.gradient, PROBLEM, THETA, layers)
    assert (of_cost, of_gradient) == (step not in GRADIENT_ALONE, step not in COST_ALONE)


def test_cost_and_gradient_are_judged_apart():
    def mine(problem, theta):
        return FAULTS["targets-shifted"].source(problem, theta)[0], FAULTS["wrong-sign"].source(problem, theta)[1]

    said = said_of(mine)  # one that is wrong in the cost alone is not in the zoo
    assert "targets-shifted explains the cost (" in said
    assert f"wrong-sign explains {ALL} of the gradient (" in said


def test_a_gradient_like_that_of_a_bug_whose_cost_is_wrong_too_stands_beside_a_right_cost():
    def mine(problem, theta):
        return right()[0], FAULTS["targets-shifted"].source(problem, theta)[1]

    assert said_of(mine).startswith(f"targets-shifted explains {ALL} of the gradient (")
    assert said_of(mine).endswith("the cost is right")


@pytest.mark.parametrize("error", [0.0, 0.3])
def test_an_answer_that_was_computed_in_another_way_is_explained_as_well(error):
    """Up to rounding: moved by a third of what rounding may do, in every coordinate."""
    rng = np.random.default_rng(0)

    def mine(problem, theta):
        cost, gradient = FAULTS["lambda-not-over-m"].source(problem, theta)
        return cost, gradient + error * 1e-15 * rng.choice([-1.0, 1.0], gradient.size)

    report = check(PROBLEM, THETA, {"mine": mine, "loop": SOURCES["loop"], "ball": SOURCES["ball"]})
    assert report.findings[0].diagnosis.startswith(f"lambda-not-over-m explains {ALL}") or report.reasons


def test_bugs_that_fit_alike_are_all_named_with_a_problem_that_tells_them_apart():
    problem = Problem(NETWORK, PROBLEM.X[:2], PROBLEM.Y[:2], l2=0.0)
    said = said_of("mean-missing", problem)  # of two examples, times m is divided by m - 1
    for name in ("mean-missing", "mean-over-m-minus-1", "mean-missing-in-regulariser-too", "delta-times-2"):
        assert name in said
    assert said.startswith("each of ")
    assert "random_problem((0, " in said
    assert said.endswith("tells them apart")


def test_the_nearest_problem_that_tells_bugs_apart_is_preferred():
    problem = Problem(NETWORK, PROBLEM.X, PROBLEM.Y, l2=0.0)
    assert "the same with λ = 1 tells them apart" in said_of("mean-missing", problem)


def test_what_no_bug_explains_is_not_guessed_at():
    def mine(problem, theta):
        cost, gradient = right()
        return cost, gradient * np.random.default_rng(1).normal(size=gradient.size)

    said = said_of(mine)
    assert "no bug of the zoo, alone or with another, explains it" in said
    assert not any(f"{name} explains" in said for name in REPLAYED)


def test_the_nearest_bug_is_told_with_what_it_leaves():
    def mine(problem, theta):
        cost, gradient = FAULTS["wrong-sign"].source(problem, theta)
        gradient[5] += 0.125
        return cost, gradient

    said = said_of(mine)
    assert f"the nearest, wrong-sign, leaves 1 of 51 coordinates unexplained, and no bug at all {NETWORK.size}" in said


def test_of_two_bugs_one_may_show_beside_the_other_alone():
    names = "lambda-of-another-run and bias-regularised"  # without a λ, the second shows only beside the first
    assert names in said_of(names, Problem(NETWORK, PROBLEM.X, PROBLEM.Y))


def test_of_a_large_problem_it_is_said_that_no_pairs_were_tried(monkeypatch):
    monkeypatch.setattr("harness.checks.networks.bug_replay.LARGEST", 100)
    assert "no bug of the zoo alone (pairs are not tried" in said_of("wrong-sign and lambda-not-over-m")
    assert said_of("wrong-sign").startswith("wrong-sign explains")


def test_a_relation_that_no_bug_leaves_is_measured():
    def mine(problem, theta):
        cost, gradient = right()
        gradients = NETWORK.unpack(gradient)
        gradients[1][:, 0] *= 3.0
        return cost, NETWORK.pack(gradients)

    assert "Theta2 bias: 3 times the right value" in said_of(mine)


def test_a_right_answer_beside_a_wrong_one_is_given_no_bug():
    answers = []
    for source in (SOURCES["loop"], FAULTS["wrong-sign"].source):
        bound = rounding_bound(PROBLEM, THETA)
        cost, gradient = source(PROBLEM, THETA)
        answers.append(Answer(source.name, source.name, cost, bound.cost, gradient, bound.gradient))
    right, wrong = answers
    everywhere = np.ones(THETA.size, bool)
    assert explain_answer(PROBLEM, THETA, right, wrong, everywhere) == BY_SLOPES
    assert explain_answer(PROBLEM, THETA, wrong, right, everywhere).startswith("wrong-sign explains")


def test_a_wrong_slope_by_hand_is_no_bug_of_backprop():
    f = Activation("hasty", ACTIVATIONS["sigmoid"].value, lambda z, a: a)
    problem = Problem(Network((3, 4, 3), f), PROBLEM.X, PROBLEM.Y, l2=1.0)
    report = cross_check(problem, problem.network.init(0, 1.0), ["loop", "vectorized", "jax", "finite-difference"])
    assert report.outliers == ("loop", "vectorized")
    assert {finding.diagnosis for finding in report.findings} == {BY_SLOPES}


def test_a_cost_that_is_not_finite_beside_a_right_gradient():
    said = said_of(lambda problem, theta: (np.nan, right()[1]))
    assert said.startswith("the cost is not finite")
    assert said.endswith("the gradient is right")
    assert "no bug of the zoo explains" not in said


def test_a_cost_in_an_array_is_right_and_noted():
    def mine(problem, theta):
        cost, gradient = right()
        return np.array([[cost]]), gradient

    report = cross_check(PROBLEM, THETA, {"mine": mine, "loop": SOURCES["loop"], "ball": SOURCES["ball"]})
    assert report.verdict == "agree"
    assert "mine: its cost is an array of shape (1, 1), not a number" in report.notes


def test_where_bugs_are_not_looked_for_nothing_is_said():
    report = check(PROBLEM, THETA, FAULTS["wrong-sign"].sources, explained=False)
    assert report.verdict == "disagree"
    assert report.findings[0].diagnosis == ""
