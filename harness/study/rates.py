"""Counts as rates, with confidence intervals."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rate:
    """So many of so many."""

    count: int
    total: int

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.count + other.count, self.total + other.total)

    @property
    def share(self) -> float:
        """count / total; NaN of nothing."""
        return self.count / self.total if self.total else float("nan")

    def interval(self) -> tuple[float, float]:
        """Wilson's 95% score interval, which stays sensible at 0 of n and n of n; all of [0, 1] of nothing.

        (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). Source: Wilson, J. Amer. Statist. Assoc. 22, 1927.
        """
        from scipy.stats import binomtest  # takes a second to import

        if not self.total:
            return 0.0, 1.0
        found = binomtest(self.count, self.total).proportion_ci(confidence_level=0.95, method="wilson")
        return float(found.low), float(found.high)

    def counts(self) -> dict[str, int]:
        """The two counts alone, JSON-ready."""
        return {"count": self.count, "total": self.total}

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
