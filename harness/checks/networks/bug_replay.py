"""Bugs of the zoo, run on a problem and compared with an answer; and problems on which bugs answer differently.

The answer is that of a set of bugs if it is the same up to rounding, in every coordinate that is known. It excludes
backprop without a bug if that is not as close.

There are thousands of pairs of bugs, and each would be a whole backprop. But many pairs share a forward pass, which is
kept by the bugs that it depends on. And a pair is left as soon as one layer contradicts it.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import Any, NamedTuple

import numpy as np

from harness.checks.networks.random_problems import random_problem
from harness.sources.backprop_steps import BY_COLUMNS, Backprop, Forward, ThetaLayout
from harness.sources.bug_zoo import Bug, pipeline_with
from harness.verdict.comparison import Answer
from reference.problem import Problem

ROUNDINGS = 64
"""What a bug's own arithmetic may add to the bound of right formulas, with one more for each example, in units of u
times the largest entry of the block. A wrong explanation is off by far more, and a right one by far less: the value is
not critical."""

# Which steps of `Backprop` a result depends on: results are kept by the bugs in these steps. A test plants each step.
FORWARD = ("examples", "layout", "extended", "affine", "hidden", "activation")  # the steps of the forward pass
BELOW = ("slope", "pull_back")  # the steps that the output layer's gradient does not depend on
JOINING = ("finish", "layout")  # the steps that see all layers at once
COST_ALONE = ("losses", "data_cost", "cost_of", "penalty", "squares")  # the steps that the gradient does not depend on

GRADIENT_ALONE = (
    "prediction", "output_delta", "layer_input", "layer_gradient", "layer_mean", "slope", "pull_back", "strength",
    "decay", "finish",
)  # fmt: skip
"""The steps that the cost does not depend on."""

REMEMBERED = 2**26  # bytes of forward passes that are kept at a time, for each problem
LARGEST_OF_PAIRS = 200  # parameters of networks for which the gradients of thousands of pairs are kept, too
DIFFERENT = 1e-6  # a difference of this share of the largest entry is plain to see in any report
TRIED = 30  # random problems on which bugs that explain the same answer are compared

UNIT = float(np.finfo(np.float64).eps) / 2.0

HALVES = (np.s_[:, :1], np.s_[:, 1:])  # the biases and the weights of a layer

Bugs = tuple[Bug, ...]
NO_BUG: Bugs = ()


class KnownAnswers(NamedTuple):
    """The costs of sets of bugs on one problem, and the layers' gradients, the output's first.

    They do not depend on the answer that they are compared with: a class of submissions answers the same few problems.
    """

    costs: dict[Bugs, float]
    gradients: dict[Bugs, tuple[np.ndarray, ...]]


class BugRuns:
    """What sets of bugs answer on a problem at θ, in the `layout` that the explained code has for θ and the gradient.

    `base` are steps that are replaced in right code as well, such as those of another cost. `known` is what was found
    before of this problem, theta, layout and base.
    """

    def __init__(
        self,
        problem: Problem,
        theta: np.ndarray,
        layout: ThetaLayout = BY_COLUMNS,
        base: Bugs = (),
        known: KnownAnswers | None = None,
    ):
        network = problem.network
        self.problem, self.layout, self.base = problem, layout, base
        self.theta = layout.unroll(network.unpack(theta))
        self.known = known or KnownAnswers({}, {})
        self.forwards: dict[Bugs, Forward] = {}  # those used last come last

    def cost(self, group: Bugs) -> float:
        """The cost with these bugs."""
        group, costs = _without(GRADIENT_ALONE, group), self.known.costs
        if group not in costs:
            pipeline = self._pipeline(group)
            costs[group] = pipeline.cost(self.problem, self._forward(pipeline, group))
        return costs[group]

    def gradients(self, group: Bugs) -> list[np.ndarray]:
        """The gradient of each layer with these bugs."""
        return list(self.backwards(group))[::-1]

    def backwards(self, group: Bugs) -> Iterator[np.ndarray]:
        """The layers' gradients, the output's first, in the layout of the answer; most of them are kept."""
        network, known = self.problem.network, self.known.gradients.get(group, ())
        yield from known
        if len(known) == len(network.shapes):
            return
        is_kept = len(group) <= 1 or network.size <= LARGEST_OF_PAIRS
        # `backward` yields layer by layer, so that whoever stops at the first one has computed no other
        for gradient in islice(self._computed(group), len(known), None):
            if is_kept:
                known = self.known.gradients[group] = (*known, gradient)
            yield gradient

    def _computed(self, group: Bugs) -> Iterator[np.ndarray]:
        pipeline = self._pipeline(group)
        layers = pipeline.backward(self.problem, self._forward(pipeline, group))
        if any(bug.step in JOINING for bug in group):
            gradient = pipeline.gradient(self.problem, self.theta.copy(), list(layers))
            layers = reversed(self.layout.roll(self.problem.network, gradient))
        yield from layers

    def _pipeline(self, group: Bugs) -> Backprop:
        return pipeline_with(*self.base, *group, layout=self.layout)

    def _forward(self, pipeline: Backprop, group: Bugs) -> Forward:
        """The forward pass; sets of bugs that differ only in what comes after share one."""
        key = tuple(bug for bug in group if bug.step in FORWARD)
        forward = self.forwards.pop(key, None) or pipeline.forward(self.problem, self.theta)
        self.forwards[key] = forward
        size = sum(array.nbytes for array in (*forward.Zs, *forward.As[1:], *forward.inputs))  # the first A is X itself
        if len(self.forwards) > 1 and len(self.forwards) * size > REMEMBERED:
            del self.forwards[next(iter(self.forwards))]
        return forward


class Replay:
    """An answer, in the layout of `reference` and with bounds for right formulas, beside those that bugs give."""

    def __init__(self, bugs: BugRuns, answer: Answer):
        self.bugs, self.answer, self.problem = bugs, answer, bugs.problem
        self.coordinates = int(np.isfinite(answer.error).sum())
        unpack = self.problem.network.unpack
        with np.errstate(all="ignore"):
            self.right = bugs.gradients(NO_BUG)
            layers = list(zip(unpack(answer.gradient), unpack(2.0 * answer.error), self.right))
        # the output layer's first, as backprop computes them
        self.halves = [[_Half(where, *(part[where] for part in layer)) for where in HALVES] for layer in layers[::-1]]
        self.known: dict[tuple[Bugs, int | None], bool] = {}  # of sets of bugs, what `_fits` found

    def has_cost(self, group: Bugs) -> bool:
        """Whether the cost is that of these bugs."""
        return abs(self.answer.cost - self.bugs.cost(group)) <= self._allowed_cost(group)

    def excludes_no_bug_in_cost(self, group: Bugs) -> bool:
        """Whether the cost is not that of backprop without a bug, within the tolerance for these bugs."""
        return abs(self.answer.cost - self.bugs.cost(NO_BUG)) > self._allowed_cost(group)

    def _allowed_cost(self, group: Bugs) -> float:
        """How far rounding can move the source's cost from that of these bugs: both of them round."""
        return self._allowed(2.0 * self.answer.cost_error, self.bugs.cost(group), self.bugs.cost(NO_BUG))

    def _allowed(self, error: Any, with_bugs: Any, right: Any) -> Any:
        """The error of right formulas for what bugs make, with `ROUNDINGS` and one more for each example.

        The bound of a cost 1,000 times as large, which a bug makes, is as much larger.
        """
        largest, ordinary = float(np.abs(with_bugs).max()), float(np.abs(right).max())
        grown = max(1.0, largest / ordinary) if ordinary else 1.0
        return error * grown + (ROUNDINGS + self.problem.m) * UNIT * largest

    def coordinates_left(self, group: Bugs) -> int:
        """In how many coordinates the gradient differs from that of these bugs."""
        return sum(int(half.is_off(gradient, allowed).sum()) for half, gradient, allowed in self._compared(group))

    def has_gradient(self, group: Bugs) -> bool:
        """Whether the gradient is that of these bugs.

        A set of bugs that fails in the output layer fails with any other bug of slopes or of the way back beside it.
        """
        group = _without(COST_ALONE, group)
        sees_all = any(bug.step in JOINING for bug in group)
        return (sees_all or self._fits(_without(BELOW, group), len(HALVES))) and self._fits(group)

    def _fits(self, group: Bugs, halves: int | None = None) -> bool:
        """Whether so many halves of layers are those of these bugs, the output layer's first; by default all."""
        if (group, halves) not in self.known:
            # where one is off, the layers below need not be run
            compared = islice(self._compared(group), halves)
            is_off = (half.is_off(gradient, allowed).any() for half, gradient, allowed in compared)
            self.known[group, halves] = not any(is_off)
        return self.known[group, halves]

    def excludes_no_bug_in_gradient(self, group: Bugs) -> bool:
        """Whether the gradient is not that of backprop without a bug, within the tolerance for these bugs."""
        compared = self._compared(_without(COST_ALONE, group))
        return any(half.is_off(half.right, allowed).any() for half, _, allowed in compared)

    def _compared(self, group: Bugs) -> "Iterator[tuple[_Half, np.ndarray, float | np.ndarray]]":
        """Biases and weights of every layer, the output's first, with their gradient and its tolerance."""
        for halves, gradient in zip(self.halves, self.bugs.backwards(group)):
            for half in halves:
                part = gradient[half.where]
                yield half, part, self._allowed(half.error, part, half.right)

    def changes_gradient(self, group: Bugs) -> bool:
        """Whether these bugs change the gradient at all."""
        gradients = zip(self.bugs.gradients(group), self.right)
        return not all(np.array_equal(gradient, right) for gradient, right in gradients)


class _Half(NamedTuple):
    """The biases or the weights of a layer: the answer with its error bound, and backprop without a bug."""

    where: tuple[slice, slice]
    given: np.ndarray
    error: np.ndarray
    right: np.ndarray

    def is_off(self, gradient: np.ndarray, allowed: float | np.ndarray) -> np.ndarray:
        """Where the answer is known, and differs; NaN always does."""
        return np.isfinite(self.error) & ~(np.abs(self.given - gradient) <= allowed)


def _without(steps: tuple[str, ...], group: Bugs) -> Bugs:
    """The bugs that change none of these steps."""
    return tuple([bug for bug in group if bug.step not in steps])


# -- problems on which bugs answer differently -------------------------------------------------------------------------


class Distinction(NamedTuple):
    """A problem on which several sets of bugs answer differently, and how to get it."""

    change: str  # "l2" or "examples", of the problem at hand; or "random_problem"
    value: Any  # λ, the number of examples, or the arguments of `random_problem`
    problem: Problem
    theta: np.ndarray


def find_distinction(problem: Problem, theta: np.ndarray, groups: Sequence[Bugs]) -> Distinction | None:
    """The first problem tried on which all of several sets of bugs answer differently; None where there is none."""
    return next((tried for tried in _other_problems(problem, theta) if _all_differ(tried, groups)), None)


def drop_equivalent(problem: Problem, theta: np.ndarray, groups: Sequence[Bugs]) -> tuple[Bugs, ...]:
    """The sets of bugs without those that answer like an earlier one on every problem tried."""
    kept: list[Bugs] = []
    for group in groups:
        if all(find_distinction(problem, theta, [group, other]) for other in kept):
            kept.append(group)
    return tuple(kept)


def _other_problems(problem: Problem, theta: np.ndarray) -> Iterator[Distinction]:
    """Small changes of the problem at hand, then random problems."""
    network, X, Y, m = problem.network, problem.X, problem.Y, problem.m
    for l2 in (1.0, 3.0):
        if problem.l2 != l2:
            yield Distinction("l2", l2, Problem(network, X, Y, l2), theta)
    if m > 2:
        yield Distinction("examples", m - 1, Problem(network, X[:-1], Y[:-1], problem.l2 or 1.0), theta)
    for index in range(TRIED):
        yield Distinction("random_problem", (0, index), *random_problem((0, index), extremes=False))


def _all_differ(tried: Distinction, groups: Sequence[Bugs]) -> bool:
    with np.errstate(all="ignore"):
        answers = [np.hstack(pipeline_with(*group)(tried.problem, tried.theta.copy())) for group in groups]
        return all(
            not np.abs(a - b).max() <= DIFFERENT * max(np.abs(a).max(), np.abs(b).max())
            for a, b in combinations(answers, 2)
        )
