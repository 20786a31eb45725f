"""Answers side by side: which pairs are at odds, on which coordinates, and which answer is the odd one out.

Nothing here knows networks. An answer is a cost and a gradient with error bars; two answers are at odds where they
differ by more than both bars together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from harness.tolerances import MEANINGLESS, NEGLIGIBLE


@dataclass(frozen=True, eq=False)
class Answer:
    """What one source answered, and how far rounding or truncation may have moved it."""

    name: str
    family: str
    cost: float
    cost_error: float
    gradient: np.ndarray
    error: np.ndarray
    precision: str = "float64"


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
    cost_at_odds : bool
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
    cost_scale = max(ordinary, min(abs(a.cost), abs(b.cost)))
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
    has a member at odds with a group has no vote for it.
    """
    at_odds = {frozenset((pair.first, pair.second)) for pair in pairs if pair.disagrees}
    names = list(families)
    if not at_odds:
        return Consensus(tuple(names), (), tie=False)
    groups = [
        group
        for size in range(1, len(names) + 1)
        for group in combinations(names, size)
        if not any(frozenset(two) in at_odds for two in combinations(group, 2))
    ]
    divided = {
        group: {families[name] for name in names if any(frozenset((name, member)) in at_odds for member in group)}
        for group in groups
    }
    votes = {group: len({families[name] for name in group} - divided[group]) for group in groups}
    most = max(votes.values())
    # a group that only leaves out members of a larger one is not a rival to it
    best = [g for g in groups if votes[g] == most and not any(set(g) < set(h) for h in groups)]
    if len(best) > 1:
        return Consensus((), (), tie=True)
    return Consensus(best[0], tuple(name for name in names if name not in best[0]), tie=False)
