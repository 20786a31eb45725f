"""What explains a network's wrong answer: bugs of the zoo, or what is seen in its error."""

import numpy as np
import pytest

from harness import FAULTS, SOURCES, Activation, Network, Problem, cross_check
from harness.bounds.network_bound import rounding_bound
from harness.checks.networks.bug_explanations import explain_answer, find_bugs
from harness.checks.networks.bug_replay import (
    BELOW,
    COST_ALONE,
    FORWARD,
    GRADIENT_ALONE,
    JOINING,
    BugRuns,
    KnownAnswers,
    Replay,
)
from harness.checks.networks.network_check import check
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind
from harness.sources.backprop_steps import Backprop
from harness.sources.bug_zoo import pipeline_with
from harness.verdict.comparison import Answer
from reference.activations import ACTIVATIONS

NETWORK = Network((3, 4, 4, 3), "softplus")
RNG = np.random.default_rng(7)
PROBLEM = Problem(NETWORK, RNG.normal(size=(6, 3)), [0, 1, 2, 0, 1, 2], l2=2.5)
PLAIN = Problem(NETWORK, PROBLEM.X, PROBLEM.Y, l2=0.0)
THETA = RNG.normal(size=NETWORK.size)
REPLAYED = [name for name, bug in FAULTS.items() if bug.part != "program"]


def explained(source, problem=PROBLEM, theta=THETA, beside=("vectorized", "finite-difference", "ball")):
    """The diagnosis of a source beside three that are right; a bug by its name, or two."""
    if isinstance(source, str):
        source = pipeline_with(*(FAULTS[name] for name in source.split(" and ")))
    report = cross_check(problem, theta, {"mine": source} | {name: SOURCES[name] for name in beside})
    assert report.outliers == ("mine",)
    return report.findings[0].diagnosis


def test_a_bug_that_is_small_in_the_cost_has_lost_no_digits():
    problem = Problem(Network(NETWORK.sizes, "softplus", "linear"), PROBLEM.X, 1e6 * PROBLEM.X, PROBLEM.l2)
    facts = explained("cost-with-biases-regularised", problem)
    assert kinds_of(facts) == (Kind.BUG,)


def right():
    return SOURCES["vectorized"](PROBLEM, THETA)


def with_gradient(change):
    """The right cost, and the right gradient after a change."""
    return lambda problem, theta: (right()[0], change(right()[1]))


def kinds_and_places(facts):
    return [(fact.kind, *fact.where) for fact in facts]


@pytest.mark.parametrize("name", REPLAYED)
def test_every_bug_of_the_zoo_is_named_with_what_it_does(name):
    output = "softmax" if name == "sigmoid-for-softmax" else "sigmoid"
    problem = Problem(Network(NETWORK.sizes, "softplus", output), PROBLEM.X, PROBLEM.Y, PROBLEM.l2)
    first, *_ = explained(name, problem)
    assert (first.kind, first.where) == (Kind.BUG, (name,))
    assert first.data["does"] == [FAULTS[name].description.rstrip(".")]
    of_cost, of_gradient = first.data["cost"], first.data["gradient"]
    expected = {"cost": (True, True), "cost alone": (True, False)}.get(FAULTS[name].part, (False, True))
    assert (of_cost, of_gradient, first.data["coordinates"]) == (*expected, NETWORK.size)


def test_answers_to_one_problem_are_compared_with_the_same_runs_of_bugs():
    known, errors = KnownAnswers({}, {}), np.full(NETWORK.size, 1e-10)
    for name in ("wrong-sign", "slope-missing"):
        cost, gradient = FAULTS[name].source(PROBLEM, THETA)
        answer = Answer("mine", "mine", cost, 1e-10, gradient, errors)
        shared, alone = (find_bugs([Replay(BugRuns(PROBLEM, THETA, known=kept), answer)]) for kept in (known, None))
        assert (vars(shared), [bug.name for group in shared.of_gradient for bug in group]) == (vars(alone), [name])


PAIRS = [
    "wrong-sign and lambda-not-over-m",
    "bias-times-4 and slope-missing",
    "mean-missing and bias-gradient-missing",  # both in one step
    "cost-halved and wrong-sign",  # one of the cost alone, one of the gradient alone
]


def names_in(facts):
    """The sets of bugs that are named."""
    sets = {frozenset(fact.where) for fact in facts if fact.kind == Kind.BUG}
    return sets | {
        frozenset(name.split(" and ")) for fact in facts if fact.kind == Kind.BUGS_ALIKE for name in fact.where
    }


@pytest.mark.parametrize("names", PAIRS)
def test_two_bugs_at_once_are_named_together(names):
    assert frozenset(names.split(" and ")) in names_in(explained(names))


def test_of_two_bugs_one_may_show_beside_the_other_alone():
    names = "lambda-of-another-run and bias-regularised"  # without a λ, the second shows only beside the first
    assert frozenset(names.split(" and ")) in names_in(explained(names, PLAIN))


@pytest.mark.parametrize("step", sorted({bug.step for bug in FAULTS.values() if bug.step}))
def test_the_results_that_a_step_changes_are_those_that_are_computed_anew(step):
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
    of_output_layer = ahead or takes_step(lambda: next(pipeline.backward(PROBLEM, forward)))
    of_layers = takes_step(lambda: list(pipeline.backward(PROBLEM, forward)))
    of_all_layers_at_once = takes_step(pipeline.gradient, PROBLEM, THETA, layers)
    of_gradient = ahead or of_layers or of_all_layers_at_once
    assert (of_cost, of_gradient) == (step not in GRADIENT_ALONE, step not in COST_ALONE)
    assert (ahead, of_all_layers_at_once) == (step in FORWARD, step in JOINING)
    assert (of_layers and not of_output_layer) == (step in BELOW)


def random_gradient(gradient):
    return gradient * np.random.default_rng(1).normal(size=gradient.size)


def scaled_bias(gradient):
    gradients = NETWORK.unpack(gradient)
    gradients[1][:, 0] *= 3.0
    return NETWORK.pack(gradients)


def reversed_weights(gradient):
    thetas = NETWORK.unpack(gradient)
    return NETWORK.pack([np.c_[Theta[:, :1], Theta[:, :0:-1]] for Theta in thetas[:2]] + [thetas[2]])


ANSWERS = {  # an answer, and the kinds that explain it, with their places
    "a bug in the cost, another in the gradient": (
        lambda problem, theta: (
            FAULTS["targets-shifted"].source(problem, theta)[0],
            FAULTS["wrong-sign"].source(problem, theta)[1],
        ),
        [(Kind.BUG, "targets-shifted"), (Kind.BUG, "wrong-sign")],
    ),
    "the gradient of a bug whose cost is wrong, beside a right cost": (
        with_gradient(lambda gradient: FAULTS["targets-shifted"].source(PROBLEM, THETA)[1]),
        [(Kind.BUG, "targets-shifted"), (Kind.PART_RIGHT, "cost")],
    ),
    "random numbers": (
        with_gradient(random_gradient),
        [(Kind.PART_RIGHT, "cost"), (Kind.ALL_LAYERS_WRONG,), (Kind.NO_BUG_EXPLAINS,)],
    ),
    "a relation that no bug leaves": (
        with_gradient(scaled_bias),
        [
            (Kind.PART_RIGHT, "cost"),
            (Kind.FACTOR, "Theta2 bias"),
            (Kind.ERROR_STARTS_BELOW, "Theta3"),
            (Kind.NO_BUG_EXPLAINS,),
        ],
    ),
    "one order of weights in two layers": (
        with_gradient(reversed_weights),
        [
            (Kind.PART_RIGHT, "cost"),
            (Kind.REARRANGED, "Theta1 weights", "Theta2 weights"),
            (Kind.NO_BUG_EXPLAINS,),
        ],
    ),
    "a cost that is not finite": (
        lambda problem, theta: (np.nan, right()[1]),
        [(Kind.COST_NOT_FINITE, "mine"), (Kind.PART_RIGHT, "gradient")],
    ),
    "a cost that no bug has": (
        lambda problem, theta: (right()[0] + 0.1234, right()[1]),
        [(Kind.PART_UNEXPLAINED, "cost"), (Kind.PART_RIGHT, "gradient")],
    ),
}


@pytest.mark.parametrize(("source", "expected"), ANSWERS.values(), ids=list(ANSWERS))
def test_an_answer_is_explained_by_bugs_or_else_by_relations(source, expected):
    assert kinds_and_places(explained(source)) == expected


def test_the_nearest_bug_is_named_with_what_it_leaves():
    def mine(problem, theta):
        cost, gradient = FAULTS["wrong-sign"].source(problem, theta)
        gradient[5] += 0.125
        return cost, gradient

    nearest = explained(mine)[-1]
    assert (nearest.kind, nearest.where) == (Kind.NO_BUG_EXPLAINS, ("wrong-sign",))
    assert (nearest.data["left"], nearest.data["unexplained"], nearest.data["pairs_tried"]) == (1, NETWORK.size, True)


def test_of_a_large_problem_no_pairs_are_tried(monkeypatch):
    monkeypatch.setattr("harness.checks.networks.bug_explanations.LARGEST", 100)
    *_, last = explained("wrong-sign and lambda-not-over-m")
    assert (last.kind, last.data["pairs_tried"]) == (Kind.NO_BUG_EXPLAINS, False)
    assert explained("wrong-sign")[0].where == ("wrong-sign",)


@pytest.mark.parametrize(
    ("problem", "change"),
    [
        (Problem(NETWORK, PROBLEM.X[:2], PROBLEM.Y[:2], l2=0.0), "random_problem"),  # of two, times m is over m - 1
        (PLAIN, "l2"),  # the nearest problem is preferred
    ],
)
def test_bugs_that_fit_alike_are_all_named_with_a_problem_that_distinguishes_them(problem, change):
    first, *_ = explained("mean-missing", problem)
    assert (first.kind, list(first.data["distinguished_by"])) == (Kind.BUGS_ALIKE, [change])
    assert {"mean-missing", "mean-missing-in-regulariser-too"} <= set(first.where)
    assert len(first.data["does"]) == len(first.where)


def test_a_right_answer_beside_a_wrong_one_is_given_no_bug():
    def answer(source):
        (cost, gradient), bound = source(PROBLEM, THETA), rounding_bound(PROBLEM, THETA)
        return Answer(source.name, source.name, cost, bound.cost, gradient, bound.gradient)

    right, wrong = answer(SOURCES["loop"]), answer(FAULTS["wrong-sign"].source)
    everywhere = np.ones(THETA.size, bool)
    assert kinds_of(explain_answer(PROBLEM, THETA, right, wrong, everywhere)) == (Kind.SLOPE_BY_HAND,)
    assert explain_answer(PROBLEM, THETA, wrong, right, everywhere)[0].where == ("wrong-sign",)


def test_a_wrong_slope_by_hand_is_no_bug_of_backprop():
    f = Activation("hasty", ACTIVATIONS["sigmoid"].value, lambda z, a: a)
    problem = Problem(Network((3, 4, 3), f), PROBLEM.X, PROBLEM.Y, l2=1.0)
    report = cross_check(problem, problem.network.init(0, 1.0), ["loop", "vectorized", "jax", "finite-difference"])
    assert report.outliers == ("loop", "vectorized")
    assert {kinds_of(finding.diagnosis) for finding in report.findings} == {(Kind.SLOPE_BY_HAND,)}


def test_where_bugs_are_not_looked_for_nothing_is_explained():
    report = check(PROBLEM, THETA, FAULTS["wrong-sign"].sources, explained=False)
    assert (report.verdict, report.findings[0].diagnosis) == ("disagree", ())
