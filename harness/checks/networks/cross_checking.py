"""Run the gradient sources side by side on one problem, and judge.

Costs are compared before gradients, for a gradient can be right for the wrong cost. Every coordinate of every pair is
compared with what rounding (`harness.bounds.rounding_bound`) and truncation (the oracles' own error) allow. Random
directions join the whole computation end to end, because the differences per pre-activation assume that z is affine in
the weights.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from harness.bounds.rounding_bound import Bound, rounding_bound
from harness.bounds.tolerances import DIRECTIONS
from harness.sources.table import FAMILIES, default_sources, named_sources
from harness.verdict.comparison import Answer, Block, Consensus, Pair, compare, compare_all, find_consensus
from harness.verdict.diagnosis import diagnose, layers_of
from harness.verdict.judging import judge
from harness.verdict.report import Report
from reference.arithmetics.rounded import Rounded32
from reference.measured import GradientSource, Measured, NotApplicable, Oracle
from reference.namespaces import NUMPY
from reference.network import Network
from reference.oracles import finite_difference
from reference.problem import Problem

END_TO_END = "end-to-end differences"


def cross_check(
    problem: Problem,
    theta: np.ndarray,
    sources: Iterable[str] | Mapping[str, GradientSource] | None = None,
) -> Report:
    """Compare gradient sources on a problem at θ.

    Parameters
    ----------
    problem : Problem
    theta : (n,) array
    sources : names, or mapping from name to source, optional
        Names are those of `SOURCES`, ``bug:NAME`` or ``module:function``; by default all that are affordable. A source
        is called as ``source(problem, theta)`` with a copy of θ, and answers (cost, gradient).

    Returns
    -------
    Report
        "agree" when no pair is at odds, nearly all coordinates of each source are decided by one of another family, all
        is finite, and the end-to-end directions fit; "disagree" when any pair is at odds; "inconclusive" otherwise.

    Raises
    ------
    ValueError, TypeError
        For θ or sources that do not fit. What a source raises is handed on.
    """
    started = time.perf_counter()
    if not isinstance(problem, Problem):
        raise TypeError(f"cross_check takes a Problem, not {type(problem).__name__}; check_gradient takes functions")
    theta = problem.check_theta(theta)
    chosen = default_sources(problem) if sources is None else named_sources(sources)
    bound = rounding_bound(problem, theta)
    answers, faults, seconds, left_out = _ask(chosen, problem, theta, bound)
    blocks = network_blocks(problem.network)
    pairs = compare_all(answers, blocks)
    ends = _end_to_end(problem, theta, answers, bound)
    families = {answer.name: answer.family for answer in answers}
    consensus = find_consensus(families | {END_TO_END: "differences"}, [*pairs, *ends])
    fickle = _fickle(consensus, answers, chosen, problem, theta)
    for name in fickle:
        faults[name] = [*faults.get(name, ()), "answers differently when called twice with the same θ"]

    def explain(wrong: Answer, right: Answer, at_odds: np.ndarray) -> str:
        return "" if wrong.name in fickle else _explain(problem, theta, wrong, right, at_odds)

    return judge(
        answers,
        pairs,
        ends,
        consensus,
        faults=faults,
        blocks=blocks,
        label=problem.network.label,
        explain=explain,
        subject=_subject(problem),
        seconds=seconds,
        ulps=_true_errors(answers),
        hides=_hidden(problem, theta),
        left_out=left_out,
        notes=bound.notes,
        started=started,
    )


def _explain(problem: Problem, theta: np.ndarray, wrong: Answer, right: Answer, at_odds: np.ndarray) -> str:
    network, weights = problem.network, np.ones(problem.network.size)
    for Theta in network.unpack(weights):
        Theta[:, 0] = 0.0
    penalty = problem.l2 / problem.m * weights * theta
    layers = layers_of(network, [wrong.gradient, right.gradient, theta, penalty, at_odds])
    return diagnose(layers, problem.m)


def network_blocks(network: Network) -> list[Block]:
    """The biases and the weights of each layer."""
    blocks = []
    numbered = network.unpack(np.arange(network.size))
    for layer, indices in enumerate(numbered, start=1):
        blocks.append(Block(f"Theta{layer} bias", indices[:, 0]))
        blocks.append(Block(f"Theta{layer} weights", indices[:, 1:].ravel()))
    return blocks


def _ask(chosen: Mapping[str, GradientSource], problem: Problem, theta: np.ndarray, bound: Bound):
    answers, faults, seconds, left_out = [], {}, {}, {}
    for name, source in chosen.items():
        started = time.perf_counter()
        given = theta.copy()
        try:
            with np.errstate(all="ignore"):  # what is not finite is judged, so NumPy need not warn of it
                measured = _measure(name, source, problem, given)
        except NotApplicable as reason:
            left_out[name] = str(reason)
            continue
        seconds[name] = time.perf_counter() - started
        gradient = _checked_gradient(name, measured, theta)
        cost = float(np.asarray(measured.cost).reshape(()))
        precision = "float32" if np.float32 in (gradient.dtype, np.asarray(measured.cost).dtype) else "float64"
        own = rounding_bound(problem, theta, Rounded32) if precision == "float32" else bound
        if not np.array_equal(given, theta):
            faults[name] = ["changes its argument θ in place"]
        answers.append(
            Answer(
                name,
                FAMILIES.get(name, name),
                cost,
                # an oracle that does without float64 still rounds its answer to it
                measured.roundings * own.cost if measured.roundings else np.spacing(abs(cost)),
                gradient.astype(np.float64),
                measured.error + (measured.roundings * own.gradient if measured.roundings else 0.0),
                precision,
                oracle=isinstance(source, Oracle),
            )
        )
    return answers, faults, seconds, left_out


def _measure(name: str, source: GradientSource, problem: Problem, theta: np.ndarray) -> Measured:
    if isinstance(source, Oracle):
        return source.measure(problem, theta)
    answered = source(problem, theta)
    if not isinstance(answered, tuple) or len(answered) != 2:
        raise TypeError(f"source {name!r} must answer a tuple (cost, gradient), not {type(answered).__name__}")
    return Measured(*answered, np.zeros(theta.shape), roundings=1.0)


def _fickle(
    consensus: Consensus,
    answers: Iterable[Answer],
    chosen: Mapping[str, GradientSource],
    problem: Problem,
    theta: np.ndarray,
) -> list[str]:
    """The sources that answer differently when asked again. Only those at odds with others are: it takes a gradient."""
    suspects = [a for a in answers if a.name in consensus.outliers or consensus.tie]
    fickle = []
    for answer in suspects:
        with np.errstate(all="ignore"):
            again = np.asarray(_measure(answer.name, chosen[answer.name], problem, theta.copy()).gradient)
            moved = ~(np.abs(again - answer.gradient) <= 2.0 * answer.error)
        if (moved & ~(np.isnan(again) & np.isnan(answer.gradient)) & (again != answer.gradient)).any():
            fickle.append(answer.name)
    return fickle


def _checked_gradient(name: str, measured: Measured, theta: np.ndarray) -> np.ndarray:
    cost, gradient = np.asarray(measured.cost), np.asarray(measured.gradient)
    if gradient.shape != theta.shape or cost.size != 1:
        raise ValueError(
            f"source {name!r} must answer (cost, gradient) with a number and an array of shape {theta.shape}, but "
            f"answered shapes {cost.shape} and {gradient.shape}"
        )
    if cost.dtype.kind not in "biuf" or gradient.dtype.kind not in "biuf":
        raise TypeError(f"source {name!r} must answer real numbers, but answered {cost.dtype} and {gradient.dtype}")
    return gradient


def _true_errors(answers: list[Answer]) -> dict[str, tuple[float, float]]:
    """Each source's median and largest distance from the exact gradient in ulps, where balls have enclosed it."""
    exact = next((answer for answer in answers if answer.name == "ball"), None)
    if exact is None:
        return {}
    with np.errstate(all="ignore"):
        ulp = np.spacing(np.abs(exact.gradient))
        known = exact.error <= ulp
        off = {a.name: (np.abs(a.gradient - exact.gradient) / ulp)[known] for a in answers if a is not exact}
    return {name: (float(np.median(ulps)), float(ulps.max())) for name, ulps in off.items() if ulps.size}


def _directions(network: Network) -> np.ndarray:
    """Random directions over all of θ, and one confined to each layer.

    Sign times a size in [0.5, 1.5]: signs alone miss two equal and opposite errors half the time, and positive
    directions miss errors that sum to zero.
    """
    rng = np.random.default_rng(0)
    layers = [numbers.ravel() for numbers in network.unpack(np.arange(network.size))]
    directions = rng.choice([-1.0, 1.0], (DIRECTIONS + len(layers), network.size))
    directions *= rng.uniform(0.5, 1.5, directions.shape)
    for direction, layer in zip(directions[DIRECTIONS:], layers):
        outside = np.ones(network.size, dtype=bool)
        outside[layer] = False
        direction[outside] = 0.0
    return directions


def _end_to_end(problem: Problem, theta: np.ndarray, answers: list[Answer], bound: Bound) -> list[Pair]:
    """Each source's g·v beside the difference of the cost along v, for every direction v."""
    directions = _directions(problem.network)
    slopes, errors = finite_difference.along(problem, theta, directions)
    sizes = np.abs(directions)
    block = [Block("directions", np.arange(len(directions)))]
    with np.errstate(all="ignore"):  # an infinite bound times a direction's zero
        cost = float(problem.cost(NUMPY, theta))
        errors = errors + finite_difference.ROUNDINGS * sizes @ bound.gradient
        ends = Answer(END_TO_END, "differences", cost, bound.cost, slopes, errors)
        return [
            compare(replace(a, gradient=directions @ a.gradient, error=sizes @ a.error), ends, block) for a in answers
        ]


def _subject(problem: Problem) -> dict[str, Any]:
    network = problem.network
    return {
        "sizes": list(network.sizes),
        "hidden": [f.name for f in network.hidden],
        "output": network.output.name,
        "examples": problem.m,
        "l2": problem.l2,
        "parameters": network.size,
    }


def _hidden(problem: Problem, theta: np.ndarray) -> list[str]:
    """Kinds of bug that could not have shown on this problem, whatever the sources answered."""
    weights = np.concatenate([Theta[:, 1:].ravel() for Theta in problem.network.unpack(theta)])
    hidden = []
    if problem.l2 == 0.0:
        hidden.append("bugs in the regulariser, since λ = 0")
    if not weights.any():
        hidden.append("bugs that weights carry (backward through layers, regulariser), since all weights are zero")
    if problem.m == 1:
        hidden.append("a wrong or missing mean over the examples, since there is only one")
    return hidden
