"""Run the gradient sources side by side on one problem, and judge.

Costs are compared before gradients, because a gradient can be right for the wrong cost. Every coordinate of every pair
is compared within the error bounds of rounding (`harness.bounds.network_bound`) and of truncation, which the oracles
report. Random directions check the whole computation end to end, because finite differences per pre-activation assume
that z is affine in the weights.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.bounds.network_bound import Bound, rounding_bound
from harness.bounds.tolerances import DIRECTIONS
from harness.checks.networks.network_junctions import compare_with_sides
from harness.checks.networks.network_subject import NetworkGradient
from harness.checks.networks.source_answers import ask_sources, ask_suspects_again, with_true_errors
from harness.checks.random_directions import compare_ends, random_directions, slopes_along
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.sources.source_names import Sources, as_source, default_sources, named_sources
from harness.sources.source_table import BY_HAND, SOURCES, Source
from harness.verdict.comparison import Answer, Pair, compare_all
from harness.verdict.consensus import Policy, find_consensus, in_question
from harness.verdict.judgement import judge
from harness.verdict.report import Report
from reference.namespaces import NUMPY
from reference.network import Network
from reference.oracles import finite_difference
from reference.problem import Problem

END_TO_END = "end-to-end differences"


def cross_check(problem: Problem, theta: np.ndarray, sources: Sources | None = None) -> Report:
    """Compare gradient sources on a problem at θ.

    Parameters
    ----------
    problem : Problem
    theta : (n,) array
    sources : names, or mapping from name to source, optional
        Names are those of `SOURCES`, ``bug:NAME`` or ``module:function``; by default all that are affordable, and ball
        arithmetic where these cannot decide. A source is called as ``source(problem, theta)`` with a copy of θ, and
        answers (cost, gradient).

    Returns
    -------
    Report
        "agree" when no pair is at odds, nearly all coordinates of each source are decided by one of another family, all
        is finite, and the end-to-end directions fit; "disagree" when any pair is at odds; "inconclusive" otherwise.

    Raises
    ------
    ValueError, TypeError
        For θ or sources that do not fit. What a source raises is raised on.
    """
    return check(problem, theta, sources)


def check(problem: Problem, theta: np.ndarray, sources: Sources | None = None, *, explained: bool = True) -> Report:
    """`cross_check`; ``explained=False`` skips the search for bugs, which takes longer than the verdict."""
    started = time.perf_counter()
    if not isinstance(problem, Problem):
        raise TypeError(f"cross_check takes a Problem, not {type(problem).__name__}; check_gradient takes functions")
    theta = problem.check_theta(theta)
    chosen = default_sources(problem) if sources is None else named_sources(sources)
    bound = rounding_bound(problem, theta)
    subject = NetworkGradient(problem, theta, bound, explained)
    barred = _bar_differentiation(problem.network, chosen)
    answers, left_out = ask_sources([chosen[name] for name in chosen if name not in barred], problem, theta, bound)
    report = _judge(subject, answers, barred | left_out, chosen, started)
    is_finite = all(np.isfinite(answer.gradient).all() for answer in answers if not answer.oracle)
    if sources is not None or barred or report.verdict != "inconclusive" or not is_finite:  # NaN never agrees
        return report
    # ball arithmetic takes longer, and decides nearly everything
    balls = as_source("ball", SOURCES["ball"])
    more, why_not = ask_sources([balls], problem, theta, bound)
    return _judge(subject, with_true_errors([*answers, *more]), left_out | why_not, chosen | {"ball": balls}, started)


def _bar_differentiation(network: Network, chosen: Mapping[str, Source]) -> dict[str, Fact]:
    """Why the sources that differentiate the cost are left out, where a slope is a surrogate and not meant to be f'."""
    surrogates = dict.fromkeys(f.name for f in network.hidden if f.surrogate)
    derive = [name for name, source in chosen.items() if source.is_of_the_harness and source.family != BY_HAND]
    return dict.fromkeys(derive, note(Kind.SURROGATE, *surrogates)) if surrogates else {}


def _judge(
    subject: NetworkGradient,
    answers: Sequence[Answer],
    left_out: Mapping[str, Fact],
    sources: Mapping[str, Source],
    started: float,
) -> Report:
    """Compare the answers with each other, along directions and with one-sided derivatives, and judge.

    Sources that settle a disagreement, and ran code that no caller does, answer again as a caller gets it.
    """
    problem, theta = subject.problem, subject.theta
    pairs = compare_all(answers, subject.blocks)
    surrogate = any(f.surrogate for f in problem.network.hidden)
    ends = [] if surrogate else _end_to_end(problem, theta, answers, subject.bound)
    sides = compare_with_sides(problem, theta, [] if surrogate else answers, pairs, subject.blocks)
    subject = replace(subject, sides=sides)
    # where nobody stands beside an answer, the cost itself is the judge
    judges = [*(side.name for side in sides.answers), *([END_TO_END] if len(answers) == 1 else [])]
    families = {answer.name: answer.family for answer in answers} | {END_TO_END: "differences"}
    consensus = find_consensus(families, [*pairs, *ends, *sides.pairs], Policy(judges))
    quick = {answer.name for answer in answers if answer.name in sources and sources[answer.name].as_called}
    if names := in_question(quick, consensus, [*pairs, *ends, *sides.pairs]):
        called = {name: sources[name].for_callers() for name in names}
        again, why_not = ask_sources(called.values(), problem, theta, subject.bound)
        by_name = {answer.name: answer for answer in again}
        answers = [by_name.get(answer.name, answer) for answer in answers if answer.name not in why_not]
        return _judge(subject, with_true_errors(answers), {**left_out, **why_not}, {**sources, **called}, started)
    answers = [*ask_suspects_again(answers, consensus, sources, problem, theta), *sides.answers]
    return judge(subject, answers, [*pairs, *sides.pairs], ends, consensus, left_out, started)


def _end_to_end(problem: Problem, theta: np.ndarray, answers: Sequence[Answer], bound: Bound) -> list[Pair]:
    """Each source's g·v beside the finite difference of the cost along v, for every direction v.

    Where rounding hides all differences, and balls take part, the derivative along v comes from ball arithmetic.
    """
    directions = _directions(problem.network)
    slopes, errors = finite_difference.along(problem, theta, directions)
    with np.errstate(all="ignore"):  # an infinite bound times a direction's zero
        cost = float(problem.cost(NUMPY, theta))
        errors = errors + finite_difference.ROUNDINGS * np.abs(directions) @ bound.gradient
        errors = np.where(np.isfinite(slopes), errors, np.inf)  # a difference that overflows says nothing
    ends = Answer(END_TO_END, "differences", cost, bound.cost, slopes, errors)
    along = slopes_along(directions, answers)
    pairs = compare_ends(along, ends)
    if any(pair.decided.any() for pair in pairs) or not any(answer.family == "balls" for answer in answers):
        return pairs
    from reference.oracles import ball_arithmetic  # here, because flint takes a while to load

    slopes, errors = ball_arithmetic.along(problem, theta, directions)
    return compare_ends(along, replace(ends, gradient=slopes, error=errors, oracle=True))


def _directions(network: Network) -> np.ndarray:
    """Random directions over all of θ, and one confined to each layer."""
    layers = [numbers.ravel() for numbers in network.unpack(np.arange(network.size))]
    directions = random_directions(DIRECTIONS + len(layers), network.size, seed=0)
    for direction, layer in zip(directions[DIRECTIONS:], layers):
        direction[np.delete(np.arange(network.size), layer)] = 0.0
    return directions
