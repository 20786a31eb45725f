"""Which bugs of the zoo would give just this answer? Each is run on the same problem, alone and in pairs.

A bug explains an answer if its own answer is the same up to rounding, in every coordinate that is known, and the answer
of backprop without a bug is not as close. Cost and gradient are judged apart, because one may be right beside the
other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, permutations, product
from typing import Any, NamedTuple

import numpy as np

from harness.sources.backprop_steps import BY_COLUMNS, Backprop, Forward, Layout
from harness.sources.bug_zoo import BUGS, Bug, pipeline_with
from harness.verdict.comparison import Answer
from reference.problem import Problem

ROUNDINGS = 64
"""What a bug's own arithmetic may add to the bound of right formulas, with one more for each example, in units of u
times the largest entry of the block. A wrong explanation is off by far more, and a right one by far less."""

FORWARD = ("examples", "layout", "extended", "affine", "hidden", "activation")
"""The steps of the forward pass."""

BELOW = ("slope", "pull_back")
"""The steps that the output layer's gradient does not depend on."""

JOINING = ("finish", "layout")
"""The steps that see all layers at once."""

COST_ALONE = ("losses", "data_cost", "cost_of", "penalty", "squares")
"""The steps that the gradient does not depend on."""

GRADIENT_ALONE = (
    "prediction", "output_delta", "layer_input", "layer_gradient", "layer_mean", "slope", "pull_back", "strength",
    "decay", "finish",
)  # fmt: skip
"""The steps that the cost does not depend on."""

SHARED = ("extended", "prediction", "output_delta", "layer_gradient", "slope", "pull_back", "regularised")
"""Steps whose results several sets of bugs use."""

REMEMBERED = 2**28
"""Bytes of such results that are kept at a time, and as many of forward passes."""

LARGEST = 2 * 10**7
"""Examples times parameters up to which pairs are tried: 2,000 digits at 400-25-10, where it takes some seconds."""

UNIT = float(np.finfo(np.float64).eps) / 2.0

HALVES = (np.s_[:, :1], np.s_[:, 1:])
"""The biases and the weights of a layer."""

Bugs = tuple[Bug, ...]
NO_BUG: Bugs = ()


@dataclass(frozen=True, eq=False)
class Explanations:
    """Sets of one or two bugs whose answers are the ones given, on all problems on which they were run.

    Attributes
    ----------
    coordinates : int
        How many coordinates could be compared.
    cost_wrong, gradient_wrong : bool
        Whether the answer is another than that of backprop without a bug.
    of_both : tuple
        What explains the cost and the gradient at once, right or wrong.
    of_cost, of_gradient : tuple
        What explains each by itself, where it is wrong; sets that leave the other right are preferred.
    unexplained : int
        The coordinates in which backprop without a bug differs.
    nearest, left : Bug or None, int
        Where nothing explains the gradient, the bug that leaves the fewest coordinates unexplained, and how many.
    pairs_tried : bool
        Whether two bugs at once were tried.
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
    pairs_tried: bool = True


def find_bugs(replays: "Sequence[Replay]", pairs: bool = True) -> Explanations:
    """The bugs, alone or in a pair, that explain all that a source answered.

    Parameters
    ----------
    replays : sequence of Replay
        One for each problem that the source answered.
    pairs : bool
        Whether two bugs at once are tried where one alone explains too little, if the problems are not too large.
    """
    with np.errstate(all="ignore"):  # a bug may overflow where right formulas do not
        return _Search(replays, pairs).explanations()


def is_explained(replays: "Sequence[Replay]", pairs: bool = False) -> bool:
    """Whether `find_bugs` would find something that explains cost and gradient at once, which takes less time."""
    with np.errstate(all="ignore"):
        return _Search(replays, pairs).explains_both()


class _Search:
    """A search for bugs on several problems: those where any error shows come first, and small ones before large."""

    def __init__(self, replays: "Sequence[Replay]", pairs: bool):
        self.replays = sorted(replays, key=lambda replay: (not replay.coordinates_left(NO_BUG), replay.coordinates))
        self.bugs = [bug for bug in BUGS.values() if bug.part != "program"]
        work = sum(replay.problem.m * replay.problem.network.size for replay in replays)
        self.with_pairs = pairs and work <= LARGEST
        self.cost_wrong = not self.has_cost(NO_BUG)
        self.unexplained = self.left(NO_BUG)

    def explains_both(self) -> bool:
        costs = self.of_cost()
        if self.cost_wrong and not costs:
            return False
        gradients = self.of_gradient()
        return (bool(gradients) or not self.unexplained) and bool(self.of_both(costs, gradients))

    def of_cost(self) -> tuple[Bugs, ...]:
        """What explains the cost, where it is wrong."""
        return self.sets(self.explains_cost, self.changes_cost) if self.cost_wrong else ()

    def of_gradient(self) -> tuple[Bugs, ...]:
        return self.sets(self.explains_gradient, self.changes_gradient) if self.unexplained else ()

    def of_both(self, costs: tuple[Bugs, ...], gradients: tuple[Bugs, ...]) -> list[Bugs]:
        joined = (tuple(dict.fromkeys((*first, *second))) for first, second in product(costs, gradients))
        return [group for group in (*gradients, *costs, *joined) if self.has_cost(group) and not self.left(group)]

    def explanations(self) -> Explanations:
        costs, gradients, unexplained = self.of_cost(), self.of_gradient(), self.unexplained
        nearest, left = None, 0
        if unexplained and not gradients:
            left, nearest = min(((self.left((bug,)), bug) for bug in self.bugs), key=lambda pair: pair[0])
        of_cost = [group for group in costs if not self.changes_gradient(group)]
        of_gradient = [group for group in gradients if not self.changes_cost(group)]
        close = not gradients and left <= unexplained / 2  # a bug that explains less explains nothing
        return Explanations(
            coordinates=sum(replay.coordinates for replay in self.replays),
            cost_wrong=self.cost_wrong,
            gradient_wrong=unexplained > 0,
            of_both=_without_repetitions(self.of_both(costs, gradients)),
            of_cost=_without_repetitions(of_cost or costs),
            of_gradient=_without_repetitions(of_gradient or gradients),
            unexplained=unexplained,
            nearest=nearest if close else None,
            left=left if close else 0,
            pairs_tried=self.with_pairs,
        )

    def sets(self, explains: Callable[[Bugs], bool], shows: Callable[[Bugs], bool]) -> tuple[Bugs, ...]:
        """The bugs that explain it alone; else pairs in which both show alone; else pairs in which one does."""
        found = tuple(filter(explains, ((bug,) for bug in self.bugs)))
        if found or not self.with_pairs:
            return found
        shown = [bug for bug in self.bugs if shows((bug,))]
        hidden = [bug for bug in self.bugs if bug not in shown]
        found = tuple(filter(explains, _in_both_orders(combinations(shown, 2))))
        return found or tuple(filter(explains, _in_both_orders(product(shown, hidden))))

    def has_cost(self, group: Bugs) -> bool:
        return all(replay.has_cost(group) for replay in self.replays)

    def left(self, group: Bugs) -> int:
        return sum(replay.coordinates_left(group) for replay in self.replays)

    def explains_cost(self, group: Bugs) -> bool:
        return self.has_cost(group) and any(replay.excludes_no_bug_in_cost(group) for replay in self.replays)

    def explains_gradient(self, group: Bugs) -> bool:
        is_needed = False
        for replay in self.replays:
            fits, excludes_no_bug = replay.fits_gradient(group)
            if not fits:  # one problem is enough, and the others need not be run
                return False
            is_needed |= excludes_no_bug
        return is_needed

    def changes_cost(self, group: Bugs) -> bool:
        return any(replay.cost(group) != replay.cost(NO_BUG) for replay in self.replays)

    def changes_gradient(self, group: Bugs) -> bool:
        return any(replay.changes_gradient(group) for replay in self.replays)


def _without_repetitions(groups: Sequence[Bugs]) -> tuple[Bugs, ...]:
    """The sets of bugs, each in one order only."""
    return tuple({frozenset(group): group for group in groups}.values())


def _in_both_orders(pairs: Iterable[Bugs]) -> Iterator[Bugs]:
    """The pairs, in both orders where both bugs change one step."""
    for pair in pairs:
        yield from permutations(pair) if pair[0].step == pair[1].step else (pair,)


class Replay:
    """A problem on which bugs are run, and the answer that theirs are compared with.

    Parameters
    ----------
    problem : Problem
    theta : (n,) array
        In the layout of `reference`, as is the gradient of `answer`.
    answer : Answer
        With error bounds that hold for right formulas.
    layout : Layout
        How the code that answered lays out θ and the gradient.
    """

    def __init__(self, problem: Problem, theta: np.ndarray, answer: Answer, layout: Layout = BY_COLUMNS):
        network = problem.network
        self.problem, self.answer, self.layout = problem, answer, layout
        self.theta = layout.unroll(network.unpack(theta))
        self.coordinates = int(np.isfinite(answer.error).sum())
        kept = max(16, REMEMBERED // (8 * problem.m * max(network.sizes[1:])))  # in activations of one layer
        self.memory, right = _Memory(kept, kept // (3 * len(network.shapes))), Backprop(layout)
        self.shared = {step: partial(self.memory.compute, (step,), getattr(right, step)) for step in SHARED}
        with np.errstate(all="ignore"):
            self.right = self.gradients(NO_BUG)
            layers = zip(network.unpack(answer.gradient), network.unpack(2.0 * answer.error), self.right)
            self.halves = [[_Half.of(where, *layer) for where in HALVES] for layer in layers]

    def pipeline(self, group: Bugs) -> Backprop:
        """Backprop with these bugs, which looks up the result that a step had for the same arguments before."""
        pipeline, shared = pipeline_with(*group, layout=self.layout), self.shared
        for step in {bug.step for bug in group}.intersection(SHARED):
            key = (step, *[bug for bug in group if bug.step == step])
            shared = shared | {step: partial(self.memory.compute, key, getattr(pipeline, step))}
        vars(pipeline).update(shared)
        return pipeline

    def forward(self, pipeline: Backprop, group: Bugs) -> Forward:
        """The forward pass; sets of bugs that differ only in what comes after share one."""
        key, forwards = tuple(bug for bug in group if bug.step in FORWARD), self.memory.forwards
        if key not in forwards:
            if len(forwards) >= self.memory.forwards_kept:
                forwards.clear()
            forwards[key] = pipeline.forward(self.problem, self.theta)
        return forwards[key]

    def cost(self, group: Bugs) -> float:
        """The cost with these bugs."""
        group, costs = _without(GRADIENT_ALONE, group), self.memory.costs
        if group not in costs:
            pipeline = self.pipeline(group)
            costs[group] = pipeline.cost(self.problem, self.forward(pipeline, group))
        return costs[group]

    def gradients(self, group: Bugs) -> list[np.ndarray]:
        """The gradient of each layer with these bugs."""
        return list(self._backwards(group))[::-1]

    def _backwards(self, group: Bugs) -> Iterator[np.ndarray]:
        """The layers' gradients, the output's first, in the layout of the answer."""
        pipeline = self.pipeline(group)
        layers = pipeline.backward(self.problem, self.forward(pipeline, group))
        if any(bug.step in JOINING for bug in group):
            gradient = pipeline.gradient(self.problem, self.theta.copy(), list(layers))
            layers = reversed(self.layout.roll(self.problem.network, gradient))
        yield from layers

    def has_cost(self, group: Bugs) -> bool:
        """Whether the cost is that of these bugs."""
        return abs(self.answer.cost - self.cost(group)) <= self._allowed_cost(group)

    def excludes_no_bug_in_cost(self, group: Bugs) -> bool:
        """Whether the cost is not that of backprop without a bug, within the tolerance for these bugs."""
        return abs(self.answer.cost - self.cost(NO_BUG)) > self._allowed_cost(group)

    def _allowed_cost(self, group: Bugs) -> float:
        cost, right = abs(self.cost(group)), abs(self.cost(NO_BUG))
        grown = max(1.0, cost / right) if right else 1.0
        return 2.0 * self.answer.cost_error * grown + self._own_roundings(cost)

    def _own_roundings(self, largest: float) -> float:
        return (ROUNDINGS + self.problem.m) * UNIT * largest

    def coordinates_left(self, group: Bugs) -> int:
        """In how many coordinates the gradient differs from that of these bugs."""
        return sum(int(half.is_off(gradient, allowed).sum()) for half, gradient, allowed in self._compared(group))

    def fits_gradient(self, group: Bugs) -> tuple[bool, bool]:
        """Whether the gradient is that of these bugs; and whether, within the same tolerance, not that of no bug."""
        group, excludes_no_bug = _without(COST_ALONE, group), False
        at_output, memory = _without(BELOW, group), self.memory
        if group in memory.off or at_output in memory.off_at_output:
            return False, False
        for number, (half, gradient, allowed) in enumerate(self._compared(group)):
            if half.is_off(gradient, allowed).any():  # the layers below need not be run
                memory.off.add(group)
                if number < len(HALVES) and not any(bug.step in JOINING for bug in group):
                    memory.off_at_output.add(at_output)
                return False, False
            excludes_no_bug = excludes_no_bug or half.excludes_no_bug(allowed)
        return True, excludes_no_bug

    def _compared(self, group: Bugs) -> "Iterator[tuple[_Half, np.ndarray, np.ndarray]]":
        """Biases and weights of every layer, the output's first, with their gradient and its tolerance."""
        for halves, gradient in zip(reversed(self.halves), self._backwards(group)):
            for half in halves:
                part = gradient[half.where]
                largest = float(np.abs(part).max())
                grown = max(1.0, largest / half.ordinary) if half.ordinary else 1.0
                yield half, part, half.error * grown + self._own_roundings(largest)

    def changes_gradient(self, group: Bugs) -> bool:
        """Whether these bugs change the gradient at all."""
        gradients = zip(self.gradients(group), self.right)
        return not all(np.array_equal(gradient, right) for gradient, right in gradients)


@dataclass(eq=False)
class _Memory:
    """Results that several sets of bugs share. It is apart from `Replay`, which its entries must not keep alive.

    Attributes
    ----------
    kept, forwards_kept : int
        How many results of steps, and how many forward passes, are kept at a time.
    results, forwards, costs : dict
        What steps returned, forward passes and costs.
    off, off_at_output : set
        The sets of bugs whose gradient differs from the answer's, anywhere or in the output layer already.
    """

    kept: int
    forwards_kept: int
    results: dict[tuple, tuple] = field(default_factory=dict)
    forwards: dict[Bugs, Forward] = field(default_factory=dict)
    costs: dict[Bugs, float] = field(default_factory=dict)
    off: set[Bugs] = field(default_factory=set)
    off_at_output: set[Bugs] = field(default_factory=set)

    def compute(self, key: tuple, step: Callable[..., Any], *arguments: Any) -> Any:
        """What a step returns for these arguments, which are known by their identity."""
        key = (*key, *map(id, arguments))
        found = self.results.get(key)
        if found is None:
            if len(self.results) >= self.kept:
                self.results.clear()
            # the arguments are kept, so that no other object gets their id
            found = self.results[key] = step(*arguments), arguments
        return found[0]


class _Half(NamedTuple):
    """The biases or the weights of a layer: the answer, and its difference from backprop without a bug."""

    where: tuple[slice, slice]
    given: np.ndarray
    error: np.ndarray
    known: np.ndarray  # where the error bound is finite
    ordinary: float  # the largest entry without a bug
    from_right: np.ndarray

    @classmethod
    def of(cls, where: tuple[slice, slice], given: np.ndarray, error: np.ndarray, right: np.ndarray) -> "_Half":
        given, error, right = given[where], error[where], right[where]
        return cls(where, given, error, np.isfinite(error), float(np.abs(right).max()), np.abs(given - right))

    def is_off(self, gradient: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """Where the answer differs; NaN always does."""
        return self.known & ~(np.abs(self.given - gradient) <= allowed)

    def excludes_no_bug(self, allowed: np.ndarray) -> bool:
        """Whether the answer is not that of backprop without a bug."""
        return bool((self.known & ~(self.from_right <= allowed)).any())


def _without(steps: tuple[str, ...], group: Bugs) -> Bugs:
    """The bugs that change none of these steps."""
    return tuple([bug for bug in group if bug.step not in steps])
