"""The rule by which two answers differ: by more than both error bars together, coordinate by coordinate.

An answer is a cost and a gradient with error bars. Where the bars are too wide to tell anything, nothing is decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.tolerances import CONFIRMED, MEANINGLESS, NEGLIGIBLE
from harness.facts.fact import Fact

EXACT = 4.0 * float(np.finfo(np.float64).tiny)
"""An error that only underflow could make."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What one source answered, and how far rounding or truncation may have moved it.

    Attributes
    ----------
    name, family : str
        Whose answer it is, and with whom it shares a vote.
    cost, cost_error : float
        Both zero where the subject has no cost.
    gradient, error : (n,) arrays
        The error is infinite where nothing can be said.
    precision : "float64" or "float32"
    oracle : bool
        An oracle is there to judge the others: that it cannot decide a coordinate is no doubt about them.
    seconds : float or None
        What the answer took.
    misconduct : tuple of Fact
        Rules that the source breaks beside its answer, such as changing its argument.
    ulps : (float, float) or None
        Median and largest true error, where the exact gradient is known.
    notes : tuple of Fact
        What is worth knowing about the way to this answer.
    """

    name: str
    family: str
    cost: float
    cost_error: float
    gradient: np.ndarray
    error: np.ndarray
    precision: str = "float64"
    oracle: bool = False
    seconds: float | None = None
    misconduct: tuple[Fact, ...] = ()
    ulps: tuple[float, float] | None = None
    notes: tuple[Fact, ...] = ()

    @property
    def applies(self) -> np.ndarray:
        """Where the source has something to say: an oracle may know that it does not."""
        return (
            np.isfinite(self.gradient) & np.isfinite(self.error) if self.oracle else np.ones(self.gradient.shape, bool)
        )


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
    applies : (n,) bool array
        Both sources have something to say.
    difference, allowed : (n,) arrays
        |g_a - g_b| and the sum of both bars.
    costs, gradients : (float, float) and two (n,) arrays, or empty
        What the first and the second answered.
    cost_allowed : float
        The sum of both costs' bars.
    """

    first: str
    second: str
    cost_at_odds: bool
    cost_decided: bool
    at_odds: np.ndarray
    decided: np.ndarray
    applies: np.ndarray
    difference: np.ndarray
    allowed: np.ndarray
    costs: tuple[float, ...] = ()
    cost_allowed: float = np.nan
    gradients: tuple[np.ndarray, ...] = ()

    def other(self, name: str) -> str:
        """The pair's other source; empty when `name` is not in it."""
        return self.second if self.first == name else self.first if self.second == name else ""

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
    return np.isfinite(allowed) & np.logical_not(difference <= allowed)


def _scale(gradient: np.ndarray, blocks: Sequence[Block], ordinary: float) -> np.ndarray:
    """What an error has to be small against: the coordinate or the largest in its block, but not less than noise."""
    size = np.where(np.isfinite(gradient), np.abs(gradient), 0.0)
    scale = np.full_like(size, NEGLIGIBLE * max(ordinary, size.max(initial=0.0)))
    for block in blocks:
        scale[block.indices] = np.maximum(scale[block.indices], size[block.indices].max(initial=0.0))
    return scale


def _confirmed(difference: Any, errors: Sequence[Any], share: Any) -> Any:
    """Where an oracle knows the number so well, and another is so near, that rounding did nothing of what it might."""
    near = np.maximum(CONFIRMED * share, EXACT)
    with np.errstate(all="ignore"):
        known = [difference + error <= near for error in errors]  # NaN is not
    return np.any([np.zeros(np.shape(difference), bool), *known], axis=0)


def compare(
    a: Answer,
    b: Answer,
    blocks: Sequence[Block],
    ordinary: float = 1.0,
    scale: np.ndarray | None = None,
    absolute: np.ndarray | float = 0.0,
) -> Pair:
    """Compare costs and gradients, coordinate by coordinate; `ordinary` is a size of the cost that is not small.

    `scale` is what errors of the coordinates have to be small against, where that is known from elsewhere; `absolute`
    is what they may be small against instead.
    """
    with np.errstate(all="ignore"):
        difference, allowed = np.abs(a.gradient - b.gradient), a.error + b.error
        cost_difference, cost_allowed = np.abs(a.cost - b.cost), a.cost_error + b.cost_error
    at_odds = _at_odds(difference, allowed)
    if scale is None:
        scale = np.minimum(_scale(a.gradient, blocks, ordinary), _scale(b.gradient, blocks, ordinary))
    scale = np.maximum(scale, absolute)
    cost_scale = np.fmax(ordinary, np.fmin(abs(a.cost), abs(b.cost)))  # the same whichever of them is NaN
    meaningless = max(MEANINGLESS[a.precision], MEANINGLESS[b.precision])
    oracles = [answer for answer in (a, b) if answer.oracle]
    confirmed = _confirmed(difference, [oracle.error for oracle in oracles], meaningless * scale)
    return Pair(
        a.name,
        b.name,
        cost_at_odds=bool(_at_odds(cost_difference, cost_allowed)),
        cost_decided=bool(
            (np.isfinite(cost_allowed) and cost_allowed <= meaningless * cost_scale)
            or _confirmed(cost_difference, [oracle.cost_error for oracle in oracles], meaningless * cost_scale)
        ),
        at_odds=at_odds,
        decided=at_odds | (allowed <= meaningless * scale) | confirmed,
        applies=a.applies & b.applies,
        difference=difference,
        allowed=allowed,
        costs=(a.cost, b.cost),
        cost_allowed=float(cost_allowed),
        gradients=(a.gradient, b.gradient),
    )


def compare_all(
    answers: Sequence[Answer], blocks: Sequence[Block], ordinary: float = 1.0, absolute: np.ndarray | float = 0.0
) -> list[Pair]:
    """Every pair of answers, compared."""
    return [compare(a, b, blocks, ordinary, absolute=absolute) for a, b in combinations(answers, 2)]
