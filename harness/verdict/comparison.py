"""Answers side by side: which pairs are at odds, on which coordinates, and which answer is the odd one out.

Nothing here knows networks. An answer is a cost and a gradient with error bars; two answers are at odds where they
differ by more than both bars together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.tolerances import MEANINGLESS, NEGLIGIBLE


@dataclass(frozen=True, eq=False)
class Answer:
    """What one source answered, and how far rounding or truncation may have moved it.

    An oracle is there to judge the others: that it cannot decide a coordinate is no doubt about them.
    """

    name: str
    family: str
    cost: float
    cost_error: float
    gradient: np.ndarray
    error: np.ndarray
    precision: str = "float64"
    oracle: bool = False


class Block(NamedTuple):
    """Coordinates that belong together, such as the biases of a layer."""

    name: str
    indices: np.ndarray


@dataclass(frozen=True, eq=False)
class Pair:
    """Two answers compared.

    Attributes
    ----------
    first, second : str
    cost_at_odds, cost_decided : bool
    at_odds, decided : (n,) bool arrays
        Differ by more than the bars; the bars are narrow enough for that to mean something.
    difference, allowed : (n,) arrays
        |g_a - g_b| and the sum of both bars.
    """

    first: str
    second: str
    cost_at_odds: bool
    cost_decided: bool
    at_odds: np.ndarray
    decided: np.ndarray
    difference: np.ndarray
    allowed: np.ndarray

    @property
    def disagrees(self) -> bool:
        return self.cost_at_odds or bool(self.at_odds.any())

    @property
    def ratio(self) -> np.ndarray:
        """Difference over allowance; a difference that is not finite is infinitely far beyond."""
        with np.errstate(all="ignore"):
            ratio = np.where(self.difference == 0.0, 0.0, self.difference / self.allowed)
        return np.where(np.isnan(ratio), np.inf, ratio)


def _at_odds(difference: Any, allowed: Any) -> Any:
    # written so that NaN is a failure: only a difference known to be within a finite bound passes
    return np.isfinite(allowed) & ~(difference <= allowed)


def _scale(gradient: np.ndarray, blocks: Sequence[Block], ordinary: float) -> np.ndarray:
    """What an error has to be small against: the coordinate or the largest in its block, but not less than noise."""
    size = np.where(np.isfinite(gradient), np.abs(gradient), 0.0)
    scale = np.full_like(size, NEGLIGIBLE * max(ordinary, size.max(initial=0.0)))
    for block in blocks:
        scale[block.indices] = np.maximum(scale[block.indices], size[block.indices].max(initial=0.0))
    return scale


def compare(a: Answer, b: Answer, blocks: Sequence[Block], ordinary: float = 1.0) -> Pair:
    """Compare costs and gradients, coordinate by coordinate; `ordinary` is a size of the cost that is not small."""
    with np.errstate(all="ignore"):
        difference, allowed = np.abs(a.gradient - b.gradient), a.error + b.error
        cost_difference, cost_allowed = np.abs(a.cost - b.cost), a.cost_error + b.cost_error
    at_odds = _at_odds(difference, allowed)
    scale = np.minimum(_scale(a.gradient, blocks, ordinary), _scale(b.gradient, blocks, ordinary))
    cost_scale = np.fmax(ordinary, np.fmin(abs(a.cost), abs(b.cost)))  # the same whichever of them is NaN
    meaningless = max(MEANINGLESS[a.precision], MEANINGLESS[b.precision])
    return Pair(
        a.name,
        b.name,
        cost_at_odds=bool(_at_odds(cost_difference, cost_allowed)),
        cost_decided=bool(np.isfinite(cost_allowed) and cost_allowed <= meaningless * cost_scale),
        at_odds=at_odds,
        decided=at_odds | (allowed <= meaningless * scale),
        difference=difference,
        allowed=allowed,
    )


def compare_all(answers: Sequence[Answer], blocks: Sequence[Block], ordinary: float = 1.0) -> list[Pair]:
    """Every pair of answers, compared."""
    return [compare(a, b, blocks, ordinary) for a, b in combinations(answers, 2)]


class Consensus(NamedTuple):
    """The answers that hold together with the most independent support, and those at odds with them."""

    members: tuple[str, ...]
    outliers: tuple[str, ...]
    tie: bool


def find_consensus(families: dict[str, str], pairs: Sequence[Pair]) -> Consensus:
    """The largest group without a disagreement in it, counted in families; two such groups are a tie, and named as one.

    Sources of one family share their author's mistakes, so that their agreement is one vote, not two; and a family that
    has a member at odds with a group has no vote for it. Of loop and vectorized (one family), jax and differences, all
    at odds with loop alone, {vectorized, jax, differences} has two votes: that of vectorized is lost, because loop, its
    author's other work, objects.
    """
    rivals: dict[str, set[str]] = {name: set() for name in families}
    for pair in pairs:
        if pair.disagrees:
            rivals[pair.first].add(pair.second)
            rivals[pair.second].add(pair.first)

    def votes(group: frozenset[str]) -> int:
        divided = {families[name] for name in families if rivals[name] & group}
        return len({families[name] for name in group} - divided)

    groups = list(_largest_groups(rivals))
    most = max(votes(group) for group in groups)
    best = [group for group in groups if votes(group) == most]
    if len(best) > 1:
        return Consensus((), (), tie=True)
    members = tuple(name for name in families if name in best[0])
    return Consensus(members, tuple(name for name in families if name not in best[0]), tie=False)


def _largest_groups(rivals: dict[str, set[str]]) -> Iterator[frozenset[str]]:
    """The groups without rivals in them that nobody could join: the maximal cliques of who agrees with whom.

    Source: Bron and Kerbosch, Algorithm 457, Communications of the ACM 16, 1973, with pivoting.
    """

    def friends(name: str) -> set[str]:
        return set(rivals) - rivals[name] - {name}

    def grow(group: frozenset[str], open_to: set[str], turned_down: set[str]) -> Iterator[frozenset[str]]:
        if not open_to and not turned_down:
            yield group
            return
        pivot = max(open_to | turned_down, key=lambda name: len(friends(name) & open_to))
        for name in sorted(open_to - friends(pivot)):
            yield from grow(group | {name}, open_to & friends(name), turned_down & friends(name))
            open_to = open_to - {name}
            turned_down = turned_down | {name}

    yield from grow(frozenset(), set(rivals), set())
