"""When two answers differ: in each coordinate where their difference exceeds the sum of both error bounds.

An answer is a cost and a gradient with error bounds. Where the bounds are large compared with the derivatives, nothing
is decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.tolerances import CONFIRMED, MEANINGLESS, NEGLIGIBLE
from harness.facts.fact import Fact
from reference.arithmetics.array_pieces import largest
from reference.user_input import real_number

EXACT = 4.0 * float(np.finfo(np.float64).tiny)
"""A difference that underflow alone explains: a few times the smallest normal number, 2.2e-308."""


@dataclass(frozen=True, eq=False)
class Answer:
    """The cost and the gradient of one source, with bounds on their rounding and truncation errors."""

    # the source, and the family whose members share one vote
    name: str
    family: str
    # both zero where the subject has no cost
    cost: float
    cost_error: float
    # (n,) arrays; the error bound is infinite where the source knows nothing
    gradient: np.ndarray
    error: np.ndarray
    precision: str = "float64"  # "float64", "float32", "float16" or "bfloat16"
    # An oracle is there to judge the others. A coordinate that it cannot decide is no doubt about them.
    oracle: bool = False
    seconds: float | None = None  # how long the source took
    broken_rules: tuple[Fact, ...] = ()  # rules that the source breaks, such as changing its argument
    # median and largest true error, where the exact gradient is known
    ulps: tuple[float, float] | None = None
    notes: tuple[Fact, ...] = ()  # what is worth knowing about how it was computed
    # the share of a block's largest derivative below which its errors are accepted (`require_accuracy`)
    accuracy: float = 0.0

    @property
    def applies(self) -> np.ndarray:
        """Where the source has a derivative: an oracle may know that it has none."""
        return np.isfinite(self.gradient) & np.isfinite(self.error) | (not self.oracle)

    def at(self, places: np.ndarray | slice) -> "Answer":
        """The answer in some coordinates alone."""
        return replace(self, gradient=self.gradient[places], error=self.error[places])


class Block(NamedTuple):
    """Coordinates that belong together, such as the biases of a layer."""

    name: str
    places: np.ndarray | slice  # their numbers; or a slice, which selects a view of millions of them

    @property
    def size(self) -> int:
        """How many coordinates there are."""
        return self.places.stop - self.places.start if isinstance(self.places, slice) else self.places.size

    @property
    def indices(self) -> np.ndarray:
        """The numbers of the coordinates."""
        return np.arange(self.places.start, self.places.stop) if isinstance(self.places, slice) else self.places


@dataclass(frozen=True, eq=False)
class Pair:
    """Two answers compared."""

    first: str
    second: str
    cost_at_odds: bool
    cost_decided: bool
    at_odds: np.ndarray  # (n,) bool array: where the gradients differ by more than both error bounds
    # (n,) bool array: where they do, or where the error bounds are so small that agreement means something
    decided: np.ndarray
    applies: np.ndarray  # (n,) bool array: where both sources have a derivative
    # (n,) arrays: |g_a - g_b|, and the sum of both error bounds and of what is accepted
    difference: np.ndarray
    allowed: np.ndarray
    costs: tuple[float, ...] = ()  # of the first and the second source, or empty
    cost_allowed: float = np.nan  # the sum of the costs' error bounds
    gradients: tuple[np.ndarray, ...] = ()  # of the first and the second source, or empty
    accepted: np.ndarray | float = 0.0  # (n,) array or number: the errors that the accuracy of the answers accepts

    def other(self, name: str) -> str:
        """The pair's other source; empty when `name` is not in it."""
        return {self.second: self.first, self.first: self.second}.get(name, "")

    @property
    def disagrees(self) -> bool:
        """Whether they differ anywhere."""
        return self.cost_at_odds or bool(self.at_odds.any())

    @property
    def ratio(self) -> np.ndarray:
        """The difference in units of the error bounds; infinite where it is not a finite number."""
        with np.errstate(all="ignore"):
            ratio = np.where(self.difference == 0.0, 0.0, self.difference / self.allowed)
        return np.where(np.isnan(ratio), np.inf, ratio)


def require_accuracy(accuracy: Any) -> float:
    """The share of a block's largest derivative below which errors are accepted, as callers give it.

    It is for gradients that are right to a solver's tolerance: implicit, adjoint, by sensitivities. A block is compared
    with its largest derivative, or with the largest one step away where these vanish. Larger errors are wrong as ever,
    and the report says how large the largest accepted one is (`Kind.ACCURACY`). Raises ValueError or TypeError if it is
    no number from 0 up to 1, without 1.
    """
    share = real_number("accuracy, a share of the largest derivative,", accuracy, largest=1.0)
    if share == 1.0:
        raise ValueError("accuracy must be below 1, as a share of the largest derivative; 1 would accept any")
    return share


def _exceeds(difference: Any, allowed: Any) -> Any:
    # written so that NaN is a failure: only a difference known to be within a finite bound passes
    return np.isfinite(allowed) & np.logical_not(difference <= allowed)


def scale_of(answers: Sequence[Answer], blocks: Sequence[Block], ordinary: float) -> np.ndarray:
    """The size beside which an error has to be small, (n,): the largest derivative of the block.

    At least `NEGLIGIBLE` of the largest of all and of the cost, for a dead unit has derivatives of exactly zero. Of
    several answers the smallest size counts, so that a wrong answer of 1e6 does not make its own error small.
    """
    gradients = [answer.gradient for answer in answers]
    least = [NEGLIGIBLE * max(ordinary, largest(gradient)) for gradient in gradients]
    scale = np.full(gradients[0].shape, min(least))
    for block in blocks:
        scale[block.places] = min(max(size, largest(g[block.places])) for size, g in zip(least, gradients))
    return scale


def _is_settled(difference: Any, error: Any, errors_of_oracles: Sequence[Any], small: Any) -> Any:
    """Where agreement means something: both error bounds together are small, or an oracle shows an answer to be right.

    In a saturated network B may be as large as the derivative, for rounding could do much. If balls know the derivative
    and the answer is as near to it as `CONFIRMED` says, rounding did not.
    """
    near = np.maximum(CONFIRMED * small, EXACT)
    is_confirmed = [difference + error_of_oracle <= near for error_of_oracle in errors_of_oracles]  # NaN is not
    return np.any([np.isfinite(error) & (error <= small), *is_confirmed], axis=0)


@np.errstate(all="ignore")
def compare(
    a: Answer,
    b: Answer,
    blocks: Sequence[Block],  # coordinates whose derivatives are of comparable size
    ordinary: float = 1.0,  # a size of the cost that is not small
    # (n,) array: the size beside which errors have to be small; by default that of the smaller of both
    # gradients
    scale: np.ndarray | None = None,
    absolute: np.ndarray | float = 0.0,  # a size beside which errors may be small instead
) -> Pair:
    """Compare costs and gradients, coordinate by coordinate."""
    if scale is None:
        scale = scale_of([a, b], blocks, ordinary)
    cost_scale = np.fmax(ordinary, np.fmin(abs(a.cost), abs(b.cost)))  # the same whichever of them is NaN
    accuracy = max(a.accuracy, b.accuracy)
    meaningless = max(MEANINGLESS[a.precision], MEANINGLESS[b.precision], accuracy)
    oracles = [answer for answer in (a, b) if answer.oracle]

    cost_difference, cost_error = np.abs(a.cost - b.cost), a.cost_error + b.cost_error
    cost_allowed = cost_error + (accuracy * cost_scale if accuracy else 0.0)
    errors = [oracle.cost_error for oracle in oracles]
    cost_decided = _is_settled(cost_difference, cost_error, errors, meaningless * cost_scale)

    difference, error = np.abs(a.gradient - b.gradient), a.error + b.error
    accepted = accuracy * scale if accuracy else 0.0
    allowed = error + accepted
    at_odds = _exceeds(difference, allowed)
    errors = [oracle.error for oracle in oracles]
    decided = at_odds | _is_settled(difference, error, errors, meaningless * np.maximum(scale, absolute))
    return Pair(
        a.name,
        b.name,
        cost_at_odds=bool(_exceeds(cost_difference, cost_allowed)),
        cost_decided=bool(cost_decided),
        at_odds=at_odds,
        decided=decided,
        applies=a.applies & b.applies,
        difference=difference,
        allowed=allowed,
        costs=(a.cost, b.cost),
        cost_allowed=float(cost_allowed),
        gradients=(a.gradient, b.gradient),
        accepted=accepted,
    )


def compare_all(
    answers: Sequence[Answer], blocks: Sequence[Block], ordinary: float = 1.0, absolute: np.ndarray | float = 0.0
) -> list[Pair]:
    """Every pair of answers, compared."""
    return [compare(a, b, blocks, ordinary, absolute=absolute) for a, b in combinations(answers, 2)]
