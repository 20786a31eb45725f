"""Saturated networks: a right backprop agrees in every standard arrangement of its formulas, and errors still show."""

import numpy as np
import pytest
from scipy.special import erf, erfc, expit, log_expit, log_softmax, logsumexp

from harness import Network, Problem, cross_check
from harness.checks.networks.network_check import check
from harness.facts.kinds import Kind
from harness.sources.loop import cost_and_gradient as loop


def by_tanh(z):
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def by_exp(Z, shift=0.0):
    e = np.exp(Z - shift)
    return e / e.sum(axis=1, keepdims=True)


def bell(z):
    return z * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)


SLOPES = {
    ("sigmoid", "a(1 - a)"): lambda z, a: a * (1.0 - a),
    ("sigmoid", "σ(z) σ(-z)"): lambda z, a: expit(z) * expit(-z),
    ("sigmoid", "by tanh"): lambda z, a: by_tanh(z) * (1.0 - by_tanh(z)),
    ("tanh", "1 - a²"): lambda z, a: 1.0 - a * a,
    ("tanh", "(1 - a)(1 + a)"): lambda z, a: (1.0 - a) * (1.0 + a),
    ("tanh", "1/cosh²"): lambda z, a: 1.0 / np.square(np.cosh(z)),
    ("softplus", "1 - exp(-a)"): lambda z, a: 1.0 - np.exp(-a),
    ("softplus", "-expm1(-a)"): lambda z, a: -np.expm1(-a),
    ("softplus", "by tanh"): lambda z, a: by_tanh(z),
    ("elu", "a + 1"): lambda z, a: np.where(z > 0.0, 1.0, a + 1.0),
    ("silu", "a + σ(1 - a)"): lambda z, a: a + by_tanh(z) * (1.0 - a),
    ("gelu", "1 + erf"): lambda z, a: 0.5 * (1.0 + erf(z * np.sqrt(0.5))) + bell(z),
    ("gelu", "erfc"): lambda z, a: 0.5 * erfc(-z * np.sqrt(0.5)) + bell(z),
    ("softsign", "(1 - |a|)²"): lambda z, a: np.square(1.0 - np.abs(a)),
}

DELTAS = {
    ("sigmoid", "p - y"): lambda Z, Y: expit(Z) - Y,
    ("sigmoid", "by tanh"): lambda Z, Y: by_tanh(Z) - Y,
    ("sigmoid", "either side"): lambda Z, Y: np.where(Y == 1.0, -expit(-Z), expit(Z)),
    ("softmax", "p - y"): lambda Z, Y: by_exp(Z, Z.max(axis=1, keepdims=True)) - Y,
    ("softmax", "without the largest"): lambda Z, Y: by_exp(Z) - Y,
    ("softmax", "of logarithms"): lambda Z, Y: np.exp(log_softmax(Z, axis=1)) - Y,
    ("softmax", "expm1"): lambda Z, Y: np.where(Y == 1.0, np.expm1(log_softmax(Z, axis=1)), by_exp(Z)),
}

COSTS = {
    ("sigmoid", "log σ"): lambda Z, Y: -np.sum(Y * log_expit(Z) + (1.0 - Y) * log_expit(-Z)),
    ("sigmoid", "log of σ"): lambda Z, Y: -np.sum(Y * np.log(expit(Z)) + (1.0 - Y) * np.log(expit(-Z))),
    ("sigmoid", "log(1 + exp)"): lambda Z, Y: np.sum(
        Y * np.log(1.0 + np.exp(-Z)) + (1.0 - Y) * np.log(1.0 + np.exp(Z))
    ),
    ("softmax", "log p"): lambda Z, Y: -np.sum(Y * np.log(np.maximum(by_exp(Z), 1e-300))),
    ("softmax", "log-sum-exp"): lambda Z, Y: np.sum(logsumexp(Z, axis=1) - np.sum(Y * Z, axis=1)),
}


def arranged(slope, delta, cost):
    """Backprop through one hidden layer with these arrangements."""

    def cost_and_gradient(problem, theta):
        (first, last), (f,), X, m = problem.network.unpack(theta), problem.network.hidden, problem.X, problem.m
        z = X @ first[:, 1:].T + first[:, 0]
        a = f(z)
        Z = a @ last[:, 1:].T + last[:, 0]
        D = delta(Z, problem.Y)
        d = (D @ last[:, 1:]) * slope(z, a)
        gradients = [np.column_stack([x.sum(axis=0), x.T @ A]) / m for x, A in ((d, X), (D, a))]
        return cost(Z, problem.Y) / m, problem.network.pack(gradients)

    return cost_and_gradient


def saturated(hidden, output, seed):
    """A network whose predictions have rounded to 0 and 1, and are right in most examples."""
    rng, network = np.random.default_rng(seed), Network((2, 3, 3), hidden, output)
    theta, X = network.init(seed, 25.0), rng.normal(size=(4, 2))
    Z = network.forward(network.unpack(theta), X, lambda f, z: f(z))[1][-1]
    theta *= min(1.0, 600.0 / np.abs(Z).max())  # so that exp does not overflow
    Z = network.forward(network.unpack(theta), X, lambda f, z: f(z))[1][-1]
    return Problem(network, X, Z.argmax(axis=1) if output == "softmax" else Z > 0.0), theta


def verdicts(hidden, output, source):
    sources = {"mine": source, "loop": loop, "finite-difference": "finite-difference", "ball": "ball"}
    problems = [saturated(hidden, output, seed) for seed in range(4)]
    return [check(*problem, sources, explained=False) for problem in problems]


@pytest.mark.parametrize(("hidden", "how"), SLOPES)
def test_every_arrangement_of_a_slope_agrees(hidden, how):
    source = arranged(SLOPES[hidden, how], DELTAS["softmax", "p - y"], COSTS["softmax", "log-sum-exp"])
    for report in verdicts(hidden, "softmax", source):
        assert report.verdict == "agree", report


@pytest.mark.parametrize(("output", "how"), DELTAS)
def test_every_arrangement_of_an_output_agrees(output, how):
    costs = [cost for (of, _), cost in COSTS.items() if of == output]
    for cost in costs:
        source = arranged(SLOPES["tanh", "1 - a²"], DELTAS[output, how], cost)
        for report in verdicts("tanh", output, source):
            assert report.verdict == "agree", report


def one_prediction(z, cost):
    """The report on one sigmoid unit at z whose target is 0, with a cost(p) of one's own."""
    problem, theta = Problem(Network([1, 1]), [[1.0]], [[0.0]]), np.array([0.0, z])

    def mine(problem, theta):
        return cost(expit(z)), loop(problem, theta)[1]

    return cross_check(problem, theta, {"mine": mine, "loop": loop, "jax": "jax"})


@pytest.mark.parametrize("z", [9.0, 20.0, 33.0, 36.0])
def test_a_cost_that_computes_log_of_one_minus_p_loses_digits_and_is_not_wrong(z):
    report = one_prediction(z, lambda p: -np.log(1.0 - p))
    assert (report.verdict, Kind.COST_DIGITS_LOST in report.kinds) == ("agree", True)
    stable = one_prediction(z, lambda p: np.logaddexp(0.0, z))
    assert Kind.COST_DIGITS_LOST not in stable.kinds
    assert one_prediction(z, lambda p: -2.0 * np.log(1.0 - p)).verdict == "disagree"


def test_an_infinite_cost_is_wrong():
    assert one_prediction(40.0, lambda p: -np.log(1.0 - p)).outliers == ("mine",)


@pytest.mark.parametrize("output", ["sigmoid", "softmax"])
@pytest.mark.parametrize("off", [lambda g: 1e-12 + g, lambda g: g + 1e-9 * (np.arange(g.size) == 4)])
def test_an_error_that_no_arrangement_makes_is_seen(output, off):
    def source(problem, theta):
        cost, gradient = loop(problem, theta)
        return cost, off(gradient)

    assert all(report.verdict == "disagree" for report in verdicts("tanh", output, source))


def test_blocks_of_which_nothing_can_be_seen_are_reported():
    problem = Problem(Network([2, 2], output="softmax"), np.array([[0.5, -0.25], [0.25, 0.75]]), [0, 0])
    theta = np.array([50.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    blind_to = cross_check(problem, theta, ["loop", "vectorized"]).blind_to
    (fact,) = (fact for fact in blind_to if fact.kind == Kind.BELOW_ROUNDING)
    assert (fact.kind, fact.where) == (Kind.BELOW_ROUNDING, ("Theta1 bias", "Theta1 weights"))
    assert fact.data["visible"] < 1e-12
    assert Kind.BELOW_ROUNDING not in cross_check(problem, 0.01 * theta, ["loop", "vectorized"]).kinds
