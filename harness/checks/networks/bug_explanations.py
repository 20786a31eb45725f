"""What explains a network's wrong answer: bugs of the zoo, alone or in pairs, or else a relation of its error.

A bug explains an answer if its own answer on the same problem is the same up to rounding (`bug_replay`), and backprop
without a bug answers otherwise. Cost and gradient are judged apart, because one may be right beside the other. Where no
bug explains the answer, facts about its error remain: a factor, a permutation, the layer in which it starts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations, product
from typing import Any

import numpy as np

from harness.checks.networks.bug_replay import NO_BUG, BugRuns, Bugs, Replay, drop_equivalent, find_distinction
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.sources.bug_zoo import BUGS, Bug
from harness.verdict.comparison import Answer
from harness.verdict.relations import (
    LEFT_BY_DELTA,
    Part,
    find_not_finite,
    find_relation,
    find_single_entry,
    join,
    with_parts_alike,
)
from reference.problem import Problem

LARGEST = 2 * 10**7
"""Examples times parameters up to which pairs are tried: 2,000 digits at 400-25-10, which take 7 CPU seconds. Ten times
as many would take a minute."""


@dataclass(frozen=True, eq=False)
class Explanations:
    """Sets of one or two bugs whose answers are the ones given, on all problems on which they were run.

    If the biases' gradient is four times too large beside a right cost, `of_gradient` is ((bias-times-4,),). If the
    cost lacks its regulariser as well, `of_both` is ((cost-without-regulariser, bias-times-4),).
    """

    coordinates: int  # how many could be compared
    cost_wrong: bool  # whether the answer is another than that of backprop without a bug
    gradient_wrong: bool
    of_both: tuple[Bugs, ...] = ()  # what explains the cost and the gradient at once, right or wrong
    of_cost: tuple[Bugs, ...] = ()  # what explains it by itself, where it is wrong; sets that leave the gradient right
    of_gradient: tuple[Bugs, ...] = ()  # the same the other way round
    unexplained: int = 0  # the coordinates in which backprop without a bug differs
    nearest: Bug | None = None  # where nothing explains the gradient, the bug that leaves the fewest unexplained
    left: int = 0  # how many that bug leaves
    pairs_tried: bool = True


def find_bugs(replays: Sequence[Replay], pairs: bool = True) -> Explanations:
    """The bugs, alone or in a pair, that explain all that a source answered, by one replay for each problem.

    Two bugs at once are tried where one alone explains too little, if `pairs` are wanted and problems not too large.
    """
    with np.errstate(all="ignore"):  # a bug may overflow where right formulas do not
        return _Search(replays, pairs).explanations()


def is_explained(replays: Sequence[Replay], pairs: bool = False) -> bool:
    """Whether `find_bugs` would find something that explains cost and gradient at once, which takes less time."""
    with np.errstate(all="ignore"):
        return bool(_Search(replays, pairs).of_both)


class _Search:
    """A search for bugs on several problems.

    A set of bugs explains the cost (or the gradient) if it answers the same as the source on all of the problems, and
    on one of them backprop without a bug does not.
    """

    def __init__(self, replays: Sequence[Replay], pairs: bool):
        # one problem refutes a set of bugs, so those on which an error shows come first, and small ones before large
        self.replays = sorted(replays, key=lambda replay: (not replay.coordinates_left(NO_BUG), replay.coordinates))
        # noise or a changed argument is no formula, and cannot be replayed
        self.bugs = [bug for bug in BUGS.values() if bug.part != "program"]
        work = sum(replay.problem.m * replay.problem.network.size for replay in replays)
        self.with_pairs = pairs and work <= LARGEST
        self.cost_wrong = not self.has_cost(NO_BUG)
        self.unexplained = self.count_unexplained(NO_BUG)

    @cached_property
    def of_cost(self) -> tuple[Bugs, ...]:
        """What explains the cost, where it is wrong."""
        return self.find_sets(self.explains_cost, self.changes_cost) if self.cost_wrong else ()

    @cached_property
    def of_gradient(self) -> tuple[Bugs, ...]:
        """What explains the gradient, where it is wrong."""
        return self.find_sets(self.explains_gradient, self.changes_gradient) if self.unexplained else ()

    @cached_property
    def of_both(self) -> list[Bugs]:
        """What explains the cost and the gradient at once: one of the sets that explain either, or two together."""
        if (self.cost_wrong and not self.of_cost) or (self.unexplained and not self.of_gradient):
            return []
        joined = (
            tuple(dict.fromkeys((*of_cost, *other))) for of_cost, other in product(self.of_cost, self.of_gradient)
        )
        candidates = (*self.of_gradient, *self.of_cost, *joined)
        return [group for group in candidates if self.has_cost(group) and not self.count_unexplained(group)]

    def explanations(self) -> Explanations:
        """All that is found."""
        nearest, left = None, 0
        if self.unexplained and not self.of_gradient:
            left, nearest = min(((self.count_unexplained((bug,)), bug) for bug in self.bugs), key=lambda pair: pair[0])
            if left > self.unexplained / 2:  # a bug that explains less than half explains nothing
                nearest, left = None, 0
        # a set that also changes what is right is the second choice
        of_cost = [group for group in self.of_cost if not self.changes_gradient(group)]
        of_gradient = [group for group in self.of_gradient if not self.changes_cost(group)]
        return Explanations(
            coordinates=sum(replay.coordinates for replay in self.replays),
            cost_wrong=self.cost_wrong,
            gradient_wrong=self.unexplained > 0,
            of_both=_without_repetitions(self.of_both),
            of_cost=_without_repetitions(of_cost or self.of_cost),
            of_gradient=_without_repetitions(of_gradient or self.of_gradient),
            unexplained=self.unexplained,
            nearest=nearest,
            left=left,
            pairs_tried=self.with_pairs,
        )

    def find_sets(self, explains: Callable[[Bugs], bool], shows: Callable[[Bugs], bool]) -> tuple[Bugs, ...]:
        """The bugs that explain it alone; else pairs in which both show alone; else pairs in which one does.

        Given is whether a set of bugs explains the cost (or the gradient), and whether it shows there at all.
        """
        found = tuple(filter(explains, ((bug,) for bug in self.bugs)))
        if found or not self.with_pairs:
            return found
        # A bug may change nothing by itself and much beside another. Where all weights are zero, no δ comes down, and
        # a missing slope shows only if the weights are missing on the way back, too.
        shown = [bug for bug in self.bugs if shows((bug,))]
        hidden = [bug for bug in self.bugs if bug not in shown]
        found = tuple(filter(explains, _in_both_orders(combinations(shown, 2))))
        return found or tuple(filter(explains, _in_both_orders(product(shown, hidden))))

    def has_cost(self, group: Bugs) -> bool:
        """Whether these bugs answer the source's cost on every problem."""
        return all(replay.has_cost(group) for replay in self.replays)

    def count_unexplained(self, group: Bugs) -> int:
        """In how many coordinates of all problems the source's gradient is not that of these bugs."""
        return sum(replay.coordinates_left(group) for replay in self.replays)

    def explains_cost(self, group: Bugs) -> bool:
        """Whether these bugs answer the source's cost on every problem, and backprop without a bug does not."""
        return self.has_cost(group) and any(replay.excludes_no_bug_in_cost(group) for replay in self.replays)

    def explains_gradient(self, group: Bugs) -> bool:
        """The same of the gradient."""
        has_gradient = all(replay.has_gradient(group) for replay in self.replays)  # one problem is enough to refute it
        return has_gradient and any(replay.excludes_no_bug_in_gradient(group) for replay in self.replays)

    def changes_cost(self, group: Bugs) -> bool:
        """Whether these bugs show in the cost at all."""
        return any(replay.bugs.cost(group) != replay.bugs.cost(NO_BUG) for replay in self.replays)

    def changes_gradient(self, group: Bugs) -> bool:
        """Whether these bugs show in the gradient at all."""
        return any(replay.changes_gradient(group) for replay in self.replays)


def _without_repetitions(groups: Sequence[Bugs]) -> tuple[Bugs, ...]:
    """The sets of bugs, each in one order only, without those that have more bugs than another needs."""
    distinct = {frozenset(group): group for group in groups}
    return tuple(group for bugs, group in distinct.items() if not any(fewer < bugs for fewer in distinct))


def _in_both_orders(pairs: Iterable[Bugs]) -> Iterator[Bugs]:
    """The pairs; in both orders where both bugs change one step, and the second works on what the first one makes."""
    for pair in pairs:
        yield from permutations(pair) if pair[0].step == pair[1].step else (pair,)


# -- as facts ----------------------------------------------------------------------------------------------------------


def explain_answer(
    problem: Problem, theta: np.ndarray, wrong: Answer, right: Answer, at_odds: np.ndarray
) -> tuple[Fact, ...]:
    """The bugs that explain a wrong answer beside a right one, or relations of its error; empty where none is known."""
    layers = _parts_of(problem, theta, wrong.gradient, right.gradient, at_odds)
    # NaN is no bug's answer, so that there is nothing to search for
    if broken := find_not_finite(layer for layer in layers if layer.wrong.any()):
        return (broken,)
    found = find_bugs([Replay(BugRuns(problem, theta), wrong)])
    # backprop without a bug answers the same, so what is wrong is in what both take from the record: a slope by hand
    if not (found.cost_wrong or found.gradient_wrong):
        return (note(Kind.SLOPE_BY_HAND),) if at_odds.any() else ()
    facts = describe_bugs(found, problem, theta, np.isfinite(wrong.cost))
    if found.gradient_wrong and not found.of_gradient:
        facts += [*_relate(layers), describe_nearest_bug(found)]
    return tuple(facts)


def describe_bugs(found: Explanations, problem: Problem, theta: np.ndarray, cost_is_finite: bool = True) -> list[Fact]:
    """What explains cost and gradient, and which of them is right; nothing about a cost that is not finite."""
    if found.of_both:
        return [
            _fact_of_bugs(found.of_both, found, problem, theta, cost=found.cost_wrong, gradient=found.gradient_wrong)
        ]
    facts = []
    if found.of_cost:
        facts.append(_fact_of_bugs(found.of_cost, found, problem, theta, cost=True, gradient=False))
    elif found.cost_wrong and cost_is_finite:
        facts.append(note(Kind.PART_UNEXPLAINED, "cost"))
    if found.of_gradient:
        facts.append(_fact_of_bugs(found.of_gradient, found, problem, theta, cost=False, gradient=True))
    elif found.cost_wrong and found.gradient_wrong:
        facts.append(note(Kind.PART_UNEXPLAINED, "gradient"))
    if not found.cost_wrong:
        facts.append(note(Kind.PART_RIGHT, "cost"))
    return facts if found.gradient_wrong else [*facts, note(Kind.PART_RIGHT, "gradient")]


def _fact_of_bugs(
    groups: Sequence[Bugs], found: Explanations, problem: Problem, theta: np.ndarray, **explained: bool
) -> Fact:
    """The sets of bugs that explain the cost, the gradient or both: what one does, or how several are distinguished."""
    groups = drop_equivalent(problem, theta, groups)
    does = ["; ".join(bug.description.rstrip(".") for bug in group) for group in groups]
    data: dict[str, Any] = {"coordinates": found.coordinates, "does": does} | explained
    if len(groups) == 1:
        return note(Kind.BUG, *(bug.name for bug in groups[0]), **data)
    distinction = find_distinction(problem, theta, groups)
    apart = {} if distinction is None else {"distinguished_by": {distinction.change: distinction.value}}
    return note(Kind.BUGS_ALIKE, *map(join_names, groups), **data, **apart)


def join_names(group: Bugs) -> str:
    """The names of bugs that are there at once."""
    *others, last = [bug.name for bug in group]
    return f"{', '.join(others)} and {last}" if others else last


def describe_nearest_bug(found: Explanations) -> Fact:
    """That no bug explains the gradient, and which leaves the fewest coordinates unexplained."""
    nearest = () if found.nearest is None else (found.nearest.name,)
    numbers = {"left": found.left, "coordinates": found.coordinates, "unexplained": found.unexplained}
    return note(Kind.NO_BUG_EXPLAINS, *nearest, pairs_tried=found.pairs_tried, **numbers)


# -- relations of the error --------------------------------------------------------------------------------------------


def relate_gradients(
    problem: Problem, theta: np.ndarray, wrong: np.ndarray, right: np.ndarray, at_odds: np.ndarray
) -> tuple[Fact, ...]:
    """What can be seen in the error of a gradient, whatever made it: where it is not finite, or a simple relation."""
    layers = _parts_of(problem, theta, wrong, right, at_odds)
    broken = find_not_finite(layer for layer in layers if layer.wrong.any())
    return (broken,) if broken else _relate(layers)


def _parts_of(problem: Problem, theta: np.ndarray, *arrays: np.ndarray) -> list[Part]:
    """The wrong and the right gradient, and where they differ, layer by layer."""
    wrong, right, at_odds = arrays
    penalty = problem.l2 / problem.m * theta
    for Theta in problem.network.unpack(penalty):
        Theta[:, 0] = 0.0  # biases are not regularised
    unpacked = zip(*map(problem.network.unpack, (wrong, right, theta, penalty, at_odds)))
    return [Part(f"Theta{number}", *layer, examples=problem.m) for number, layer in enumerate(unpacked, start=1)]


def _relate(layers: Sequence[Part]) -> tuple[Fact, ...]:
    """A simple relation between the wrong gradient and the right one, if there is one, and where the error starts."""
    affected = [layer for layer in layers if layer.wrong.any()]
    if not affected:
        return ()
    # Backprop carries an error down to all layers below. So the wrong layer nearest to the output has it as it was
    # made, and in the others it is mixed with their weights and slopes.
    nearest, whole = affected[-1], join(_extent(layers), layers)
    biases, weights = (("bias", np.s_[:, :1]), ("weights", np.s_[:, 1:]))
    halves = [[layer.at(f"{layer.name} {name}", columns) for layer in affected] for name, columns in (biases, weights)]
    halves = [half for half in halves if half[-1].wrong.any()]
    # from the whole gradient to its parts: what holds for all of it says more
    groups = [[whole]] if len(affected) > 1 else []
    groups += halves if len(halves) == 1 else [affected, *halves]
    found = (with_parts_alike(find_relation(group[-1:]), group) for group in groups)
    if (relation := next(filter(None, found), None)) is None:
        single = find_single_entry(whole)
        return (single,) if single else _where_it_starts(layers, nearest)
    is_of_delta = relation.kind in LEFT_BY_DELTA and nearest is not layers[-1]
    return (relation, *(_where_it_starts(layers, nearest) if is_of_delta else ()))


def _extent(layers: Sequence[Part]) -> str:
    """What the wrong coordinates of all layers are."""
    if not any(layer.wrong[:, 1:].any() for layer in layers):
        return "the biases"
    if not any(layer.wrong[:, 0].any() for layer in layers):
        return "the weights"
    return "the gradient"


def _where_it_starts(layers: Sequence[Part], nearest: Part) -> tuple[Fact, ...]:
    """The layers above the error, which are right; or that all layers are wrong."""
    names = [layer.name for layer in layers]
    if right := names[names.index(nearest.name) + 1 :]:
        return (note(Kind.ERROR_STARTS_BELOW, *right),)
    is_everywhere = len(layers) > 1 and all(layer.wrong.any() for layer in layers)
    return (note(Kind.ALL_LAYERS_WRONG),) if is_everywhere else ()
