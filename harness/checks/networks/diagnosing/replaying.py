"""Which bugs of the zoo would give just this answer? Each is run on the same problem, alone and in pairs.

A bug explains an answer where its own answer on the problem is the same up to rounding, in every coordinate that can be
told, and backprop without a bug is not as close. Cost and gradient are judged apart, for one may be right beside the
other.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations
from typing import Any

import numpy as np

from harness.sources.backprop_steps import Backprop, Forward, unrolled
from harness.sources.bug_zoo import BUGS, Bug, pipeline_with
from harness.verdict.comparison import Answer
from reference.problem import Problem

ROUNDINGS = 64
"""What a bug's own arithmetic may add to the bound of right formulas, with one for each example more: in units of u
times the largest entry of the block. A wrong explanation is off by far more, and a right one by far less."""

FORWARD = ("examples", "order", "affine", "activation")  # the steps that the forward pass is made of
JOINING = ("finish", "order")  # the steps that see all layers at once
SHARED = (
    "prediction",
    "output_delta",
    "layer_gradient",
    "slope",
    "pull_back",
)  # whose answers several sets of bugs use
REMEMBERED = 300  # such answers kept at a time: those of one bug beside all others

UNIT = float(np.finfo(np.float64).eps) / 2.0

Bugs = tuple[Bug, ...]
NO_BUG: Bugs = ()


@dataclass(frozen=True, eq=False)
class Explanations:
    """Sets of bugs, of one or two, whose answer is the one given.

    Attributes
    ----------
    coordinates : how many coordinates could be compared
    cost_wrong, gradient_wrong : whether backprop without a bug answers otherwise
    of_both : what explains the cost and the gradient at once, right or wrong
    of_cost, of_gradient : what explains each by itself, where it is wrong; rather what would leave the other right
    unexplained : the coordinates that backprop without a bug leaves
    nearest, left : where nothing explains the gradient, the bug that leaves the fewest coordinates, and how many
    """

    coordinates: int
    cost_wrong: bool
    gradient_wrong: bool
    of_both: tuple[Bugs, ...] = ()
    of_cost: tuple[Bugs, ...] = ()
    of_gradient: tuple[Bugs, ...] = ()
    unexplained: int = 0
    nearest: Bug | None = None
    left: int = 0


def replay_zoo(problem: Problem, theta: np.ndarray, answer: Answer, pairs: bool = True) -> Explanations:
    """What in the zoo, alone or in a pair, explains an answer to a problem at θ.

    Parameters
    ----------
    answer : with error bars that hold for right formulas
    pairs : whether two bugs at once are tried where one alone explains too little
    """
    replayed = [bug for bug in BUGS.values() if bug.part != "program"]
    with np.errstate(all="ignore"):  # a bug may overflow where right formulas do not
        return _explain(_Stage(problem, theta, answer), replayed, pairs)


def _explain(stage: "_Stage", bugs: Sequence[Bug], with_pairs: bool) -> Explanations:
    alone = [(bug,) for bug in bugs]
    unexplained = stage.coordinates_left(NO_BUG)
    cost_wrong, gradient_wrong = not stage.has_cost(NO_BUG), unexplained > 0
    costs = tuple(filter(stage.explains_cost, alone)) if cost_wrong else ()
    gradients = tuple(filter(stage.explains_gradient, alone)) if gradient_wrong else ()
    nearest, left = None, 0
    if gradient_wrong and not gradients:
        count = {bug: stage.coordinates_left((bug,)) for bug in bugs}
        nearest = min(bugs, key=lambda bug: count[bug])
        left = count[nearest]
    if with_pairs and cost_wrong and not costs:
        costs = tuple(filter(stage.explains_cost, _pairs(bugs, stage.changes_cost)))
    if with_pairs and gradient_wrong and not gradients:
        gradients = tuple(filter(stage.explains_gradient, _pairs(bugs, stage.changes_gradient)))
    if gradient_wrong:
        both = [group for group in gradients if stage.has_cost(group)]
    else:
        both = [group for group in costs if not stage.coordinates_left(group)]
    none = gradients or left >= unexplained
    return Explanations(
        coordinates=stage.coordinates,
        cost_wrong=cost_wrong,
        gradient_wrong=gradient_wrong,
        of_both=_without_repetitions(both),
        of_cost=_without_repetitions([group for group in costs if not stage.changes_gradient(group)] or costs),
        of_gradient=_without_repetitions([group for group in gradients if not stage.changes_cost(group)] or gradients),
        unexplained=unexplained,
        nearest=None if none else nearest,
        left=0 if none else left,
    )


def _without_repetitions(groups: Sequence[Bugs]) -> tuple[Bugs, ...]:
    """The sets of bugs, each in one order alone."""
    return tuple({frozenset(group): group for group in groups}.values())


def _pairs(bugs: Sequence[Bug], shows: Callable[[Bugs], bool]) -> Iterator[Bugs]:
    """Two bugs, each of which shows by itself; in both orders where they are in one step."""
    for pair in combinations([bug for bug in bugs if shows((bug,))], 2):
        yield from permutations(pair) if pair[0].step == pair[1].step else (pair,)


class _Stage:
    """The problem on which bugs are played again, and the answer that they are compared with."""

    def __init__(self, problem: Problem, theta: np.ndarray, answer: Answer):
        network = problem.network
        self.problem, self.theta, self.answer = problem, theta, answer
        self.given, self.error = network.unpack(answer.gradient), network.unpack(2.0 * answer.error)
        self.coordinates = int(np.isfinite(answer.error).sum())
        self.forwards: dict[Bugs, Forward] = {}
        self.costs: dict[Bugs, float] = {}
        self.answers: dict[tuple, tuple] = {}
        self.right = self.gradients(NO_BUG)

    def pipeline(self, group: Bugs) -> Backprop:
        """Backprop with these bugs, which looks up what a step answered the same arguments before."""
        pipeline = pipeline_with(*group)
        for step in SHARED:
            bugs = tuple(bug for bug in group if bug.step == step)
            setattr(pipeline, step, partial(self._remembered, (step, *bugs), getattr(pipeline, step)))
        return pipeline

    def _remembered(self, key: tuple, step: Callable[..., Any], *arguments: Any) -> Any:
        key = (*key, *map(id, arguments))
        if key not in self.answers:
            if len(self.answers) >= REMEMBERED:
                self.answers.clear()
            self.answers[key] = step(*arguments), arguments  # which are kept, so that no other gets their id
        return self.answers[key][0]

    def forward(self, pipeline: Backprop, group: Bugs) -> Forward:
        """The forward pass; sets of bugs that differ only in what comes after share one."""
        key = tuple(bug for bug in group if bug.step in FORWARD)
        if key not in self.forwards:
            if len(self.forwards) >= REMEMBERED:
                self.forwards.clear()
            self.forwards[key] = pipeline.forward(self.problem, self.theta)
        return self.forwards[key]

    def cost(self, group: Bugs) -> float:
        if group not in self.costs:
            pipeline = self.pipeline(group)
            self.costs[group] = pipeline.cost(self.problem, self.forward(pipeline, group))
        return self.costs[group]

    def gradients(self, group: Bugs) -> list[np.ndarray]:
        return list(self._backwards(group))[::-1]

    def _backwards(self, group: Bugs) -> Iterator[np.ndarray]:
        """The layers' gradients, the output's first, as they would lie in the answer."""
        pipeline = self.pipeline(group)
        layers = pipeline.backward(self.problem, self.forward(pipeline, group))
        if any(bug.step in JOINING for bug in group):
            gradient = pipeline.gradient(self.problem, self.theta.copy(), list(layers))
            layers = reversed(unrolled(self.problem.network, gradient, "F"))
        yield from layers

    def has_cost(self, group: Bugs) -> bool:
        return abs(self.answer.cost - self.cost(group)) <= self._allowed_cost(group)

    def explains_cost(self, group: Bugs) -> bool:
        """The cost is that of these bugs, and with as much allowed not that of none."""
        return self.has_cost(group) and abs(self.answer.cost - self.cost(NO_BUG)) > self._allowed_cost(group)

    def _allowed_cost(self, group: Bugs) -> float:
        cost, right = abs(self.cost(group)), abs(self.cost(NO_BUG))
        grown = max(1.0, cost / right) if right else 1.0
        return 2.0 * self.answer.cost_error * grown + self._own_roundings(cost)

    def _own_roundings(self, largest: float) -> float:
        return (ROUNDINGS + self.problem.m) * UNIT * largest

    def coordinates_left(self, group: Bugs) -> int:
        """In how many coordinates the gradient is not that of these bugs."""
        return sum(int(off.sum()) for off, _ in self._compared(group))

    def explains_gradient(self, group: Bugs) -> bool:
        """The gradient is that of these bugs, and with as much allowed not that of none."""
        tells = False
        for off, told in self._compared(group):  # the first layer that is off settles it
            if off.any():
                return False
            tells |= told
        return tells

    def _compared(self, group: Bugs) -> Iterator[tuple[np.ndarray, bool]]:
        """For biases and weights of every layer: where the answer is off, and whether it is not that of no bug."""
        for layer, gradient in zip(reversed(range(len(self.given))), self._backwards(group)):
            for half in (np.s_[:, :1], np.s_[:, 1:]):
                given, right, error = (arrays[layer][half] for arrays in (self.given, self.right, self.error))
                largest, ordinary = np.abs(gradient[half]).max(), np.abs(right).max()
                grown = np.fmax(1.0, largest / ordinary) if ordinary else 1.0
                allowed = error * grown + self._own_roundings(largest)
                known = np.isfinite(error)
                off = known & ~(np.abs(given - gradient[half]) <= allowed)  # NaN is off
                yield off, bool((known & ~(np.abs(given - right) <= allowed)).any())

    def changes_cost(self, group: Bugs) -> bool:
        return self.cost(group) != self.cost(NO_BUG)

    def changes_gradient(self, group: Bugs) -> bool:
        gradients = zip(self.gradients(group), self.right)
        return not all(np.array_equal(gradient, right) for gradient, right in gradients)
