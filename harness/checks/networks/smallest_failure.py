"""The smallest problem that still fails, and how somebody else sees the failure again.

Each step of shrinking tries to leave something out (a hidden layer, a unit, an example) or to make something simpler
(an activation, λ, a number). It keeps what still fails and starts over, until no single step is left.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.checks.networks.case_files import as_script, replay_command, save_case
from harness.checks.networks.network_check import check
from harness.checks.networks.network_summary import Reproduction
from harness.facts.fact import note
from harness.facts.kinds import Kind
from harness.sources.source_names import Sources
from harness.verdict.report import Report
from reference.network import Network
from reference.problem import Problem
from reference.user_input import message_of

ProblemAtTheta = tuple[Problem, np.ndarray]

MAX_TRIES = 2000  # Cases tried. Six networks drawn at random took at most 42; the limit is for large ones of one's own.


def reproduce(
    # the network that disagrees, and the sources as given to `cross_check`
    problem: Problem,
    theta: np.ndarray,
    report: Report,
    sources: Sources | None,
    path: Path,  # where the case is saved, in a folder that is made if need be
    # those of one's own in the network, as ``module:attribute``, and what the replay command needs before it
    activations: Sequence[str] = (),
    search_path: str = "",
    # whether a problem is one of those that the sources are meant for; others are not tried
    could_be_drawn: Callable[[Problem], bool] = lambda problem: True,
) -> Reproduction:
    """Shrink a failing network, and save it; whatever goes wrong here, the failure stands."""
    try:
        problem, theta, report = shrink_disagreement(problem, theta, sources, report, could_be_drawn)
    except Exception as error:  # noqa: BLE001  a source may raise anything
        reason = f"it could not be made smaller, since {type(error).__name__} was raised: {message_of(error)}"
        return Reproduction(facts=(note(Kind.NOT_SAVED, reason=reason),))
    if report.verdict != "disagree":
        return Reproduction(facts=(note(Kind.NOT_REPEATABLE, "The failing check", argument="network"),))
    found = Reproduction(report)
    try:
        found = replace(found, script=as_script(problem, theta, sources, activations))
        path.parent.mkdir(parents=True, exist_ok=True)
        save_case(path, problem, theta, sources, report)
        command = f"{search_path}{replay_command(path, problem, activations, sources)}"
        return replace(found, saved_as=str(path), command=command)
    except Exception as error:  # noqa: BLE001  the verdict stands without a file
        return replace(found, facts=(note(Kind.NOT_SAVED, reason=message_of(error)),))


def shrink_disagreement(
    problem: Problem,
    theta: np.ndarray,
    sources: Sources | None,
    drawn: Report,
    could_be_drawn: Callable[[Problem], bool] = lambda problem: True,
) -> tuple[Problem, np.ndarray, Report]:
    """The smallest case with the same failure as `drawn` has, and its report, which tells whether the failure repeats.

    The same sources are named, and for the same: a wrong cost in the place of a wrong gradient is another failure.

    The diagnosis of the case as it was drawn is among the report's notes. A small network shows less of what is wrong,
    so more bugs would fit.
    """

    def fails(problem: Problem, theta: np.ndarray) -> bool:
        if not could_be_drawn(problem):
            return False
        try:
            report = check(problem, theta, sources, explained=False)
        except Exception:  # noqa: BLE001  whatever a source raises is another failure than the one to show
            return False
        return report.verdict == "disagree" and name_failure(report) == name_failure(drawn)

    smallest = shrink(problem, theta, fails)
    report = check(*smallest, sources, explained=False)
    # nothing could be left out: the first report stands, whose diagnosis is of this very case
    if smallest[0] is problem and np.array_equal(smallest[1], theta) and report.verdict == drawn.verdict:
        return *smallest, drawn
    before = dict.fromkeys(fact for finding in drawn.findings for fact in finding.diagnosis)
    return *smallest, (report.with_facts(note(Kind.SHRUNK), *before) if before else report)


def name_failure(report: Report) -> tuple[tuple[str, ...], frozenset[tuple[str, str]]]:
    """The outliers, and for each whether its cost or its gradient is wrong."""
    return report.outliers, frozenset((finding.source, finding.what) for finding in report.findings)


def shrink(problem: Problem, theta: np.ndarray, fails: Callable[[Problem, np.ndarray], bool]) -> ProblemAtTheta:
    """The smallest case reached from one that fails; at most `MAX_TRIES` cases are tried."""
    case = (problem, np.array(theta))
    untried = _smaller(*case)
    # greedy: what still fails is kept, and everything is tried anew from there
    for _ in range(MAX_TRIES):
        smaller = next(untried, None)
        if smaller is None:
            break
        if fails(*smaller):
            case, untried = smaller, _smaller(*smaller)
    return case


def _smaller(problem: Problem, theta: np.ndarray) -> Iterator[ProblemAtTheta]:
    """Cases in which one thing is left out or simpler, the largest cuts first."""
    yield from _without_a_layer(problem, theta)
    yield from _with_fewer_examples(problem, theta)
    for layer, size in enumerate(problem.network.sizes):
        yield from (_without_unit(problem, theta, layer, unit) for unit in range(size) if size > 1)
    yield from _with_simpler_activations(problem, theta)
    for l2 in (0.0, 1.0):
        if problem.l2 not in (0.0, l2):
            yield Problem(problem.network, problem.X, problem.Y, l2), theta
    yield from _with_simpler_numbers(problem, theta)


def _without_a_layer(problem: Problem, theta: np.ndarray) -> Iterator[ProblemAtTheta]:
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


def _with_fewer_examples(problem: Problem, theta: np.ndarray) -> Iterator[ProblemAtTheta]:
    m = problem.m
    halves = [np.arange(m // 2), np.arange(m // 2, m)] if m > 3 else []
    for rows in [*halves, *(np.delete(np.arange(m), i) for i in range(m))]:
        if len(rows):
            yield Problem(problem.network, problem.X[rows], problem.Y[rows], problem.l2), theta


def _without_unit(problem: Problem, theta: np.ndarray, layer: int, unit: int) -> ProblemAtTheta:
    """Without one unit of a layer, where layer 0 is the inputs."""
    network, X, Y = problem.network, problem.X, problem.Y
    thetas = network.unpack(theta)
    if layer == 0:
        X = np.delete(X, unit, axis=1)
    else:
        thetas[layer - 1] = np.delete(thetas[layer - 1], unit, axis=0)
    if layer < len(thetas):
        thetas[layer] = np.delete(thetas[layer], 1 + unit, axis=1)
    else:
        Y = np.delete(Y, unit, axis=1)
        if network.output.name == "softmax":  # whose targets have to sum to 1 without that unit, too
            Y = np.eye(Y.shape[1])[Y.argmax(axis=1)]
    sizes = [n - (k == layer) for k, n in enumerate(network.sizes)]
    smaller = Network(sizes, network.hidden, network.output.name)
    return Problem(smaller, X, Y, problem.l2), smaller.pack(thetas)


def _with_simpler_activations(problem: Problem, theta: np.ndarray) -> Iterator[ProblemAtTheta]:
    network = problem.network
    for layer, f in enumerate(network.hidden):
        if f.name != "identity":
            hidden = [*network.hidden[:layer], "identity", *network.hidden[layer + 1 :]]
            simpler = Network(network.sizes, hidden, network.output.name)
            yield Problem(simpler, problem.X, problem.Y, problem.l2), theta


def _with_simpler_numbers(problem: Problem, theta: np.ndarray) -> Iterator[ProblemAtTheta]:
    """Fewer digits for all numbers at once; never zero for all, where many a bug does not show."""
    for digits in (0, 1, 2):
        rounded = np.round(theta, digits) + 0.0  # no negative zeros
        if rounded.any() and not np.array_equal(rounded, theta):
            yield problem, rounded
        X = np.round(problem.X, digits) + 0.0
        if X.any() and not np.array_equal(X, problem.X):
            yield Problem(problem.network, X, problem.Y, problem.l2), theta
