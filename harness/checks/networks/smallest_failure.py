"""Reduce a failing problem to a smallest one that still fails.

Each step tries to leave something out (a hidden layer, a unit, an example) or to make something simpler (an activation,
λ, a number), keeps what still fails, and starts over, until no single step is left: the result is small in the sense
that nothing can be taken away from it.
"""

from collections.abc import Callable, Iterator

import numpy as np

from harness.checks.networks.network_check import check
from harness.sources.source_names import Sources
from harness.verdict.report import Report
from reference.network import Network
from reference.problem import Problem

Case = tuple[Problem, np.ndarray]

MAX_TRIES = 2000


def shrink(problem: Problem, theta: np.ndarray, fails: Callable[[Problem, np.ndarray], bool]) -> Case:
    """The smallest case reached from one that fails; at most `MAX_TRIES` cases are tried.

    Parameters
    ----------
    fails : callable
        ``fails(problem, theta)``: whether a case shows the failure. It must hold for the case given.
    """
    case = (problem, np.array(theta))
    untried = _smaller(*case)
    for _ in range(MAX_TRIES):
        smaller = next(untried, None)
        if smaller is None:
            break
        if fails(*smaller):
            case, untried = smaller, _smaller(*smaller)
    return case


def shrink_disagreement(
    problem: Problem, theta: np.ndarray, sources: Sources | None, drawn: Report
) -> tuple[Problem, np.ndarray, Report]:
    """The smallest case on which the same sources are named as the odd ones out, and its report.

    What was said of the case as drawn is among the report's notes, for a small network shows less of what is wrong, and
    more bugs would fit. The verdict is another than "disagree" where the failure does not repeat.

    Parameters
    ----------
    drawn : the report on the case as it was drawn, which disagrees
    """

    def fails(problem: Problem, theta: np.ndarray) -> bool:
        try:
            report = check(problem, theta, sources, explained=False)
        except Exception:  # noqa: BLE001  whatever a source raises, it is another failure than the one to show
            return False
        return report.verdict == "disagree" and report.outliers == drawn.outliers

    smallest = shrink(problem, theta, fails)
    report = check(*smallest, sources, explained=False)
    if smallest[0] is problem and np.array_equal(smallest[1], theta) and report.verdict == drawn.verdict:
        return *smallest, drawn
    said = dict.fromkeys(fact for finding in drawn.findings for fact in finding.diagnosis)
    return *smallest, report.with_facts(*said)


def _smaller(problem: Problem, theta: np.ndarray) -> Iterator[Case]:
    """Cases with one thing less, the largest cuts first."""
    yield from _without_a_layer(problem, theta)
    yield from _with_fewer_examples(problem, theta)
    yield from _without_a_unit(problem, theta)
    yield from _with_simpler_activations(problem, theta)
    for l2 in (0.0, 1.0):
        if problem.l2 not in (0.0, l2):
            yield Problem(problem.network, problem.X, problem.Y, l2), theta
    yield from _with_simpler_numbers(problem, theta)


def _without_a_layer(problem: Problem, theta: np.ndarray) -> Iterator[Case]:
    network, thetas = problem.network, problem.network.unpack(theta)
    for layer in range(len(network.hidden)):
        sizes = network.sizes[: layer + 1] + network.sizes[layer + 2 :]
        hidden = network.hidden[:layer] + network.hidden[layer + 1 :]
        smaller = Network(sizes, hidden, network.output.name)
        # the next layer, cut or filled up to the inputs that it gets now
        joined = np.zeros((sizes[layer + 1], 1 + sizes[layer]))
        kept = min(joined.shape[1], thetas[layer + 1].shape[1])
        joined[:, :kept] = thetas[layer + 1][:, :kept]
        yield (
            Problem(smaller, problem.X, problem.Y, problem.l2),
            smaller.pack([*thetas[:layer], joined, *thetas[layer + 2 :]]),
        )


def _with_fewer_examples(problem: Problem, theta: np.ndarray) -> Iterator[Case]:
    m = problem.m
    halves = [np.arange(m // 2), np.arange(m // 2, m)] if m > 3 else []
    for rows in [*halves, *(np.delete(np.arange(m), i) for i in range(m))]:
        if len(rows):
            yield Problem(problem.network, problem.X[rows], problem.Y[rows], problem.l2), theta


def _without_a_unit(problem: Problem, theta: np.ndarray) -> Iterator[Case]:
    network = problem.network
    for layer, size in enumerate(network.sizes):
        for unit in range(size if size > 1 else 0):
            thetas = list(network.unpack(theta))
            X, Y = problem.X, problem.Y
            if layer == 0:
                X = np.delete(X, unit, axis=1)
            else:
                thetas[layer - 1] = np.delete(thetas[layer - 1], unit, axis=0)
            if layer == len(network.sizes) - 1:
                Y = np.delete(Y, unit, axis=1)
                if network.output.name == "softmax":
                    Y = np.eye(size - 1)[Y.argmax(axis=1)]
            else:
                thetas[layer] = np.delete(thetas[layer], 1 + unit, axis=1)
            sizes = [n - (k == layer) for k, n in enumerate(network.sizes)]
            smaller = Network(sizes, network.hidden, network.output.name)
            yield Problem(smaller, X, Y, problem.l2), smaller.pack(thetas)


def _with_simpler_activations(problem: Problem, theta: np.ndarray) -> Iterator[Case]:
    network = problem.network
    for layer, f in enumerate(network.hidden):
        if f.name != "identity":
            hidden = [*network.hidden[:layer], "identity", *network.hidden[layer + 1 :]]
            simpler = Network(network.sizes, hidden, network.output.name)
            yield Problem(simpler, problem.X, problem.Y, problem.l2), theta


def _with_simpler_numbers(problem: Problem, theta: np.ndarray) -> Iterator[Case]:
    """Fewer digits for all numbers at once; never zero for all, which hides too much."""
    for digits in (0, 1, 2):
        rounded = np.round(theta, digits) + 0.0  # no negative zeros
        if rounded.any() and not np.array_equal(rounded, theta):
            yield problem, rounded
        X = np.round(problem.X, digits) + 0.0
        if X.any() and not np.array_equal(X, problem.X):
            yield Problem(problem.network, X, problem.Y, problem.l2), theta
