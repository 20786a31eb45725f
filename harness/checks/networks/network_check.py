"""Run the gradient sources side by side on one problem, and judge.

Three comparisons, whose pairs of answers all go into one consensus: every source with every other; every source along
random directions v, g·v beside a difference of the whole cost, because the other finite differences move one
pre-activation at a time and take z = W a + b for granted; and one-sided derivatives where units sit at a junction.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.network_bound import Bound, rounding_bound
from harness.bounds.tolerances import DIRECTIONS
from harness.checks.activations.slope_answers import ONE_SIDED
from harness.checks.networks.bug_explanations import explain_answer
from harness.checks.networks.network_junctions import NO_SIDES, OneSidedComparison, compare_with_sides
from harness.checks.networks.source_answers import ask_sources, ask_suspects_again, with_true_errors
from harness.checks.random_directions import compare_ends, random_directions, slopes_along
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.sources.source_names import Sources, as_source, default_sources, named_sources
from harness.sources.source_table import BY_HAND, SOURCES, Source
from harness.verdict.comparison import Answer, Block, Pair, compare_all
from harness.verdict.consensus import Consensus, Policy, find_consensus, in_question
from harness.verdict.judgement import judge
from harness.verdict.report import Report
from harness.verdict.subject import Subject
from reference.namespaces import NUMPY
from reference.network import Network
from reference.oracles import finite_difference
from reference.problem import Problem

END_TO_END = "end-to-end differences"
"""The name under which differences of the whole cost along random directions answer."""


# -- the subject that is judged ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class NetworkGradient(Subject):
    """dJ/dθ of a problem at θ, whose coordinates are weights and biases."""

    problem: Problem
    theta: np.ndarray
    bound: Bound  # what rounding can do to cost and gradient
    explained: bool = True  # whether bugs are looked for that explain a wrong answer
    sides: OneSidedComparison = NO_SIDES  # what one-sided derivatives say where units sit at junctions

    @cached_property
    def blocks(self) -> list[Block]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return blocks_of(self.problem.network)

    @property
    def facts(self) -> Sequence[Fact]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.bound.notes

    def label(self, i: int) -> str:
        return self.problem.network.label(i)

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        # what answers differently each time has no error that a bug could explain
        if not self.explained or any(fact.kind == Kind.NOT_REPEATABLE for fact in wrong.broken_rules):
            return ()
        facts = explain_answer(self.problem, self.theta, wrong, right, at_odds)
        return (*facts, note(Kind.OUTSIDE_ONE_SIDED, wrong.name)) if right.name == ONE_SIDED else facts

    def explain_cost(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        return self.explain(wrong, right, at_odds)

    def why_undecided(self, coordinates: np.ndarray) -> tuple[Fact, ...]:
        # the first kind that applies is the reason, and the others are named beside it
        is_bounded, elsewhere = np.isfinite(self.bound.gradient), ~(self.sides.at_kinks | self.sides.at_junctions)
        causes = {
            Kind.UNITS_AT_KINK: self.sides.at_kinks,
            Kind.UNITS_AT_JUNCTION: self.sides.at_junctions,
            Kind.UNBOUNDED: ~is_bounded & elsewhere,
            Kind.UNDECIDED: is_bounded & elsewhere,
        }
        everywhere = {kind: np.broadcast_to(where, is_bounded.shape) for kind, where in causes.items()}
        first, *others = [kind for kind, where in everywhere.items() if where[coordinates].any()]
        return (doubt(first, also=others),)

    def describe(self) -> dict[str, Any]:
        network = self.problem.network
        return {
            "sizes": list(network.sizes),
            "hidden": [f.name for f in network.hidden],
            "output": network.output.name,
            "examples": self.problem.m,
            "l2": self.problem.l2,
            "parameters": network.size,
        }

    def in_shape(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        matrices = self.problem.network.unpack(numbers)
        return {f"Theta{layer}": matrix for layer, matrix in enumerate(matrices, start=1)}

    def blind_to(self) -> list[Fact]:
        weights = np.concatenate([Theta[:, 1:].ravel() for Theta in self.problem.network.unpack(self.theta)])
        # what makes the gradients of right and wrong code the same: 0 · W, λ · 0, and a mean over one example
        because = {
            "no-regulariser": self.problem.l2 == 0.0,
            "zero-weights": not weights.any(),
            "single-example": self.problem.m == 1,
        }
        hidden = [note(Kind.HIDDEN_BUGS, because=reason) for reason, holds in because.items() if holds]
        # an error of the size of its derivatives would be within the bound everywhere in such a block
        if below := [block for block in self.blocks if self._is_below_rounding(block)]:
            visible = max(float(self.bound.gradient[block.indices].max()) for block in below)
            hidden.append(note(Kind.BELOW_ROUNDING, *(block.name for block in below), visible=visible))
        return hidden

    def _is_below_rounding(self, block: Block) -> bool:
        """Whether all derivatives of a block are below the error bound, and some are not zero."""
        sizes, errors = (
            np.broadcast_to(x, self.theta.shape)[block.indices] for x in (self.bound.value, self.bound.gradient)
        )
        return bool((np.abs(sizes) <= errors).all() and np.isfinite(errors).all() and sizes.any())


def blocks_of(network: Network) -> list[Block]:
    """The biases and the weights of each layer."""
    blocks = []
    for layer, indices in enumerate(network.unpack(np.arange(network.size)), start=1):
        blocks.append(Block(f"Theta{layer} bias", indices[:, 0]))
        blocks.append(Block(f"Theta{layer} weights", indices[:, 1:].ravel()))
    return blocks


# -- the check ---------------------------------------------------------------------------------------------------------


def cross_check(problem: Problem, theta: np.ndarray, sources: Sources | None = None) -> Report:
    """Compare gradient sources on a problem at θ.

    Parameters
    ----------
    problem : Problem
    theta : (n,) array
    sources : names, or mapping from name to source, optional
        Names are those of `SOURCES`, ``bug:NAME`` or ``module:function``. By default these are the backprops by hand,
        JAX and finite differences, and ball arithmetic where they cannot decide. A source is called as
        ``source(problem, theta)`` with a copy of θ, and answers (cost, gradient).

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
    # Ball arithmetic decides nearly everything and takes longer, so it comes only where the others cannot decide: not
    # where the caller chose the sources, and not beside NaN, which would never agree.
    is_finite = all(np.isfinite(answer.gradient).all() for answer in answers if not answer.oracle)
    may_decide_more = sources is None and not barred and is_finite
    if report.verdict != "inconclusive" or not may_decide_more:
        return report
    balls = as_source("ball", SOURCES["ball"])
    more, why_not = ask_sources([balls], problem, theta, bound)
    return _judge(subject, with_true_errors([*answers, *more]), left_out | why_not, chosen | {"ball": balls}, started)


def _bar_differentiation(network: Network, chosen: Mapping[str, Source]) -> dict[str, Fact]:
    """Why the sources that differentiate the cost are left out, where a slope is a surrogate and not meant to be f'.

    A straight-through estimator, such as slope 1 for sign(z), is no derivative: backprops by hand that use it can be
    compared with each other only.
    """
    surrogates = dict.fromkeys(f.name for f in network.hidden if f.surrogate)
    derive = [name for name, source in chosen.items() if source.is_of_the_harness and source.family != BY_HAND]
    return dict.fromkeys(derive, note(Kind.SURROGATE, *surrogates)) if surrogates else {}


class _Compared(NamedTuple):
    """The answers compared with each other, along directions and with one-sided derivatives; and who is an outlier."""

    pairs: list[Pair]
    ends: list[Pair]
    sides: OneSidedComparison
    consensus: Consensus

    @property
    def all_pairs(self) -> list[Pair]:
        """The pairs of all three comparisons."""
        return [*self.pairs, *self.ends, *self.sides.pairs]


def _judge(
    subject: NetworkGradient,
    answers: Sequence[Answer],
    left_out: Mapping[str, Fact],
    sources: Mapping[str, Source],
    started: float,
) -> Report:
    """Compare the answers and judge.

    JAX's programs are compiled quickly here, and may round otherwise than a caller's. So where such an answer settles a
    disagreement, its source answers again as a caller gets it, and everything is compared once more.
    """
    found = _compare(subject, answers)
    quick = {answer.name for answer in answers if answer.name in sources and sources[answer.name].as_called}
    if names := in_question(quick, found.consensus, found.all_pairs):
        called = {name: sources[name].for_callers() for name in names}
        again, why_not = ask_sources(called.values(), subject.problem, subject.theta, subject.bound)
        by_name = {answer.name: answer for answer in again}
        answers = [by_name.get(answer.name, answer) for answer in answers if answer.name not in why_not]
        # sources as called are never in question, so that this ends
        return _judge(subject, with_true_errors(answers), {**left_out, **why_not}, {**sources, **called}, started)
    again = ask_suspects_again(answers, found.consensus, sources, subject.problem, subject.theta)
    answers, pairs = [*again, *found.sides.answers], [*found.pairs, *found.sides.pairs]
    return judge(replace(subject, sides=found.sides), answers, pairs, found.ends, found.consensus, left_out, started)


def _compare(subject: NetworkGradient, answers: Sequence[Answer]) -> _Compared:
    problem, theta = subject.problem, subject.theta
    pairs = compare_all(answers, subject.blocks)
    # a surrogate is no derivative, so that neither differences of the cost nor one-sided derivatives say what is right
    surrogate = any(f.surrogate for f in problem.network.hidden)
    ends = [] if surrogate else _end_to_end(problem, theta, answers, subject.bound)
    sides = compare_with_sides(problem, theta, [] if surrogate else answers, pairs, subject.blocks)
    # One-sided derivatives are certain where they are known. The differences of the cost have one vote among others,
    # and are the judge only where nobody else stands beside an answer.
    judges = [*(side.name for side in sides.answers), *([END_TO_END] if len(answers) == 1 else [])]
    families = {answer.name: answer.family for answer in answers} | {END_TO_END: "differences"}
    consensus = find_consensus(families, [*pairs, *ends, *sides.pairs], Policy(judges))
    return _Compared(pairs, ends, sides, consensus)


def _end_to_end(problem: Problem, theta: np.ndarray, answers: Sequence[Answer], bound: Bound) -> list[Pair]:
    """Each source's g·v beside the finite difference of the cost along v, for every direction v.

    Where rounding hides all differences, and balls take part, the derivative along v comes from ball arithmetic.
    """
    directions = _directions(problem.network)
    slopes, errors = finite_difference.along(problem, theta, directions)
    with np.errstate(all="ignore"):  # an infinite bound times a direction's zero
        cost = float(problem.cost(NUMPY, theta))
        # Σ |v_i| B_i is what rounding can do to g·v, and to a difference of the cost that is computed by increments
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
    """Random directions over all of θ, and one confined to each layer: (DIRECTIONS + L, n).

    Where the first layer's derivatives are far smaller than the last one's, their errors would drown in a direction
    over all of θ.
    """
    layers = [numbers.ravel() for numbers in network.unpack(np.arange(network.size))]
    directions = random_directions(DIRECTIONS + len(layers), network.size, seed=0)
    for direction, layer in zip(directions[DIRECTIONS:], layers):
        direction[np.delete(np.arange(network.size), layer)] = 0.0
    return directions
