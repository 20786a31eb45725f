"""The gate: it opens for sources that agree, and for no others; training behind it, and predictions."""

import pickle
import re
import signal
import sys

import numpy as np
import pytest

from harness.sources.source_table import SOURCES, SourceFailed
from harness.training.fmincg import fmincg
from harness.training.gated_training import GATE_AFTER, GateClosed, check_gate, predict, train, with_defaults
from reference.measured import NotApplicable
from reference.network import Network
from reference.problem import Problem

vectorized = SOURCES["vectorized"]


def example(hidden=("sigmoid",), output="sigmoid", m=40):
    rng = np.random.default_rng(1)
    network = Network((6, *(5 for _ in hidden), 3), hidden, output)
    return Problem(network, rng.normal(size=(m, 6)), rng.integers(3, size=m), l2=0.5), network.init(2, epsilon=0.5)


PROBLEM, THETA = example()


# the gate


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


def spoils_theta(problem, theta):
    answer = vectorized(problem, theta)
    theta *= 2.0
    return answer


def without_regulariser(problem, theta, cost, gradient):
    return vectorized(Problem(problem.network, problem.X, problem.Y), theta)[0], gradient


not_a_number = one_coordinate(0, lambda gradient: np.nan)

WRONG = {
    "one coordinate off": one_coordinate(7, lambda gradient: gradient * (1.0 + 1e-9)),
    "no regulariser in the cost": altered(without_regulariser),
    "not a number": not_a_number,
    "θ changed": spoils_theta,
}


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


# train


def test_it_minimises_with_fmincg_from_theta_on():
    given = THETA.copy()
    result = train(PROBLEM, given, max_iter=12)
    expected = fmincg(lambda theta: vectorized(PROBLEM, theta), THETA, max_iter=12)
    assert np.array_equal(given, THETA)
    assert np.array_equal(result.theta, expected.x)
    assert np.array_equal(result.costs, expected.costs)
    assert (result.nit, result.nfev, result.message) == (expected.nit, expected.nfev, expected.message)
    assert result.costs[-1] < 0.8 * result.costs[0]
    assert not result.interrupted


@pytest.mark.parametrize(("max_iter", "checks"), [(0, 1), (1, 2), (GATE_AFTER, 2), (GATE_AFTER + 1, 3)])
def test_the_gate_checks_at_the_start_on_the_way_and_at_the_end(max_iter, checks):
    result = train(PROBLEM, THETA, max_iter)
    assert len(result.reports) == checks
    assert {report.verdict for report in result.reports} == {"agree"}
    assert result.report is result.reports[-1]
    costs = [report.sources[1].cost for report in result.reports]  # of "vectorized"
    seen_at = [0, GATE_AFTER, max_iter] if checks == 3 else [0, max_iter][:checks]
    assert costs == [result.costs[nit] for nit in seen_at]


@pytest.mark.parametrize(
    ("hidden", "output"), [(("sigmoid",), "sigmoid"), (("tanh", "relu"), "softmax"), ((), "linear")]
)
def test_the_gate_changes_no_bit(hidden, output):
    problem, theta = example(hidden, output)
    with_gate, without = train(problem, theta, 15), train(problem, theta, 15, gate=False)
    assert with_gate.theta.tobytes() == without.theta.tobytes()
    assert with_gate.costs.tobytes() == without.costs.tobytes()
    assert (with_gate.nit, with_gate.nfev) == (without.nit, without.nfev)
    assert len(with_gate.reports) == 3
    assert without.reports == ()
    assert without.report is None


@pytest.mark.parametrize("source", ["loop", "jax", SOURCES["loop"], lambda problem, theta: vectorized(problem, theta)])
def test_it_trains_with_the_source_that_is_asked_for(source):
    calls = []

    def counted(problem, theta):
        calls.append(theta)
        return (SOURCES[source] if isinstance(source, str) else source)(problem, theta)

    result = train(PROBLEM, THETA, 3, source=source)
    expected = fmincg(lambda theta: counted(PROBLEM, theta), THETA, 3)
    assert result.theta.tobytes() == expected.x.tobytes()
    assert result.nfev == len(calls)


def test_the_callback_sees_every_line_search_and_can_end_the_training():
    seen = []

    def callback(step):
        seen.append((step.nit, step.fun))
        if step.nit == 3:
            raise StopIteration

    result = train(PROBLEM, THETA, callback=callback)
    assert [nit for nit, _ in seen] == [1, 2, 3]
    assert seen[-1][1] == result.costs[-1] == vectorized(PROBLEM, result.theta)[0]
    assert "callback" in result.message
    assert len(result.reports) == 2


# train: gradients that are wrong


def wrong_where(condition, spoil=lambda gradient: gradient * 1.001):
    """A source that is right except where the condition on (problem, theta, cost) holds."""

    def source(problem, theta):
        cost, gradient = vectorized(problem, theta)
        return cost, spoil(gradient) if condition(problem, theta, cost) else gradient

    return source


COSTS = train(PROBLEM, THETA, 12, gate=False).costs


@pytest.mark.parametrize(
    ("source", "when", "last_nit"),
    [
        (wrong_where(lambda problem, theta, cost: True), "at the start", 0),
        (wrong_where(lambda problem, theta, cost: True, lambda gradient: gradient * np.nan), "at the start", 0),
        (wrong_where(lambda problem, theta, cost: not np.array_equal(theta, THETA)), "after 5 line searches", 4),
        (wrong_where(lambda problem, theta, cost: cost < COSTS[9]), "at the end, after 12 line searches", 12),
    ],
    ids=["everywhere", "not a number", "but for the start", "near the minimum"],
)
def test_a_wrong_gradient_closes_the_gate(source, when, last_nit):
    nits = [0]
    with pytest.raises(GateClosed, match=f"The gate is closed {when}: fix the gradient of source") as closed:
        train(PROBLEM, THETA, 12, source=source, callback=lambda step: nits.append(step.nit))
    assert nits[-1] == last_nit
    assert closed.value.report.outliers == ("source",)
    correct, wrong = vectorized(PROBLEM, closed.value.theta), source(PROBLEM, closed.value.theta)
    assert not np.array_equal(correct[1], wrong[1])


def test_without_a_gate_a_wrong_gradient_trains_all_the_same():
    result = train(PROBLEM, THETA, 12, source=wrong_where(lambda problem, theta, cost: True), gate=False)
    assert result.costs[-1] < 0.8 * result.costs[0]


def not_for_this(problem, theta):
    raise NotApplicable("it is a Tuesday")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"theta": THETA[1:]}, ValueError, r"needs theta of shape \(53,\), but it has shape \(52,\)"),
        ({"max_iter": -1}, ValueError, "max_iter must be 0 or more"),
        ({"max_iter": 2.5}, TypeError, "max_iter must be an integer"),
        ({"source": "backprop"}, ValueError, "unknown source 'backprop'"),
        ({"source": lambda problem, theta: (0.0, theta[1:])}, ValueError, "must answer"),
        # the others agree without it, and yet it must not train
        ({"source": not_for_this}, ValueError, "source 'not_for_this' cannot train Problem.*: "),
    ],
)
def test_what_does_not_fit_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        train(**{"problem": PROBLEM, "theta": THETA} | arguments)


# train: Ctrl-C


def interrupting(at_call):
    calls = []

    def source(problem, theta):
        calls.append(theta)
        if len(calls) == at_call:
            signal.raise_signal(signal.SIGINT)
        return vectorized(problem, theta)

    return source


def exits(problem, theta):
    sys.exit(0)  # the exit code would say that all is well


def fails(problem, theta):
    raise KeyError("W")


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (exits, SourceFailed, r"source 'exits' called sys.exit\(0\) instead of answering \(test_gated_training.py"),
        (fails, KeyError, r"raised by source 'fails' \(test_gated_training.py, line \d+, in fails"),
    ],
)
@pytest.mark.parametrize("gate", [True, False])
def test_an_exception_of_a_source_names_the_source(source, error, message, gate):
    with pytest.raises(error) as raised:
        train(PROBLEM, THETA, 2, source=source, gate=gate)
    assert re.search(message, "; ".join([str(raised.value), *getattr(raised.value, "__notes__", [])]))


@pytest.mark.parametrize(
    ("at_call", "max_iter", "gate", "reports"),
    [
        (2, 50, False, 0),  # before the first line search has ended
        (20, 50, False, 0),  # in a line search
        (None, 3, True, 1),  # at the gate after the last one
    ],
)
def test_an_interruption_keeps_the_best_theta_so_far(at_call, max_iter, gate, reports):
    whole = train(PROBLEM, THETA, max_iter, gate=False)
    at_call = at_call or whole.nfev + 2  # the gate at the start calls once
    result = train(PROBLEM, THETA, max_iter, interrupting(at_call), gate)
    assert result.interrupted
    assert result.message.startswith(f"Interrupted after {result.nit} line searches")
    assert len(result.reports) == reports
    assert result.theta is not THETA
    expected = train(PROBLEM, THETA, max_iter=result.nit, gate=False)
    assert np.array_equal(result.theta, expected.theta)
    assert np.array_equal(result.costs, expected.costs[: len(result.costs)])
    assert (result.nit > 0) == (at_call > 2) == (len(result.costs) > 0)


def test_an_interrupted_gate_at_the_start_is_an_interruption():
    with pytest.raises(KeyboardInterrupt):
        train(PROBLEM, THETA, source=interrupting(at_call=1))


# predict


PREDICTIONS = {  # network, θ, X, and the classes
    **{
        f"the largest of three {output} units": (
            Network((2, 3), output=output),
            [[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.0, 0.0]]],
            [[2.0, 1.0], [1.0, 2.0], [0.0, -1.0], [0.5, 0.5]],
            [0, 1, 2, 0],
        )
        for output in ("sigmoid", "softmax", "linear")
    },
    "through hidden layers": (
        Network((2, 2, 1), "relu"),
        [[[0.0, 1.0, 1.0], [-1.0, 1.0, 1.0]], [[-0.5, 1.0, -2.0]]],
        [[0, 0], [0, 1], [1, 0], [1, 1]],
        [0, 1, 1, 0],
    ),
    "one sigmoid unit: z > 0": (Network((1, 1)), [[[1.0, 2.0]]], [[-0.6], [-0.5], [-0.4]], [0, 0, 1]),
}


@pytest.mark.parametrize("name", PREDICTIONS)
def test_predictions(name):
    network, matrices, X, classes = PREDICTIONS[name]
    assert predict(network, network.pack(matrices), np.array(X)).tolist() == classes


LINE = Network((2, 3))
INFINITE = Network((1, 2, 2), "relu")


@pytest.mark.parametrize(
    ("network", "theta", "X", "error", "message"),
    [
        (Network((2, 1), output="softmax"), np.zeros(3), [[0, 0]], ValueError, "one softmax output cannot"),
        (Network((2, 1), output="linear"), np.zeros(3), [[0, 0]], ValueError, "one linear output cannot"),
        (LINE, np.zeros(8), [[0, 0]], ValueError, r"needs theta of shape \(9,\)"),
        (LINE, np.zeros(9), [[0, 0, 0]], ValueError, r"X must have shape \(m, 2\)"),
        (LINE, np.zeros(9), [[0, np.inf]], ValueError, r"X must be finite, but X\[0, 1\] is inf"),
        (
            INFINITE,
            np.array([0, 0, 1e200, 1e200, 0, 0, 1, 1, -1, -1]),
            [[-1], [1e200]],
            ValueError,
            "row 1 of X overflow",
        ),
    ],
)
def test_predict_refuses_what_does_not_fit(network, theta, X, error, message):
    with pytest.raises(error, match=message):
        predict(network, theta, X)
