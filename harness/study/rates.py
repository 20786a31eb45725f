"""Counts as rates, with confidence intervals."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any


@dataclass(frozen=True)
class Rate:
    """So many of so many."""

    count: int
    total: int

    @classmethod
    def of(cls, outcomes: Iterable[bool]) -> "Rate":
        """How many are true."""
        listed = list(outcomes)
        return cls(sum(listed), len(listed))

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.count + other.count, self.total + other.total)

    @property
    def share(self) -> float:
        """count / total; NaN of nothing."""
        return self.count / self.total if self.total else float("nan")

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Wilson's score interval, which stays sensible at 0 of n and n of n; all of [0, 1] when nothing was counted.

        (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). Source: Wilson, J. Amer. Statist. Assoc. 22, 1927.
        """
        if not self.total:
            return 0.0, 1.0
        n, p = self.total, self.share
        z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
        centre, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low, high = ((centre + side * half) / (1 + z * z / n) for side in (-1, 1))
        # at the ends the formula gives 0 and 1 exactly, but for rounding
        return 0.0 if self.count == 0 else low, 1.0 if self.count == n else high

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document; the share of nothing is None."""
        return {
            "count": self.count,
            "total": self.total,
            "share": self.share if self.total else None,
            "interval": list(self.interval()),
        }

    def __str__(self) -> str:
        return percent(self.share) if self.total else "-"


def percent(share: float) -> str:
    """A percentage that never rounds up to all or down to nothing."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    text = f"{100 * share:.1f}%"
    return {"100.0%": ">99.9%", "0.0%": "<0.1%"}.get(text, text)
