"""What a sweep has found so far."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from harness.bounds.tolerances import INCONCLUSIVE_SHARE
from harness.sweep.rows import ERROR, SEPARATOR
from harness.sweep.store import Store

SCHEMA = "harness.sweep/1"
SHOWN = 5  # rows of each kind


@dataclass(frozen=True)
class SweepSummary:
    """The rows of a file, counted.

    Attributes
    ----------
    stamp : dict
        Settings and version, as text.
    rows, first, last : int
        How many rows, and their smallest and largest seed.
    counts : dict
        How many of each verdict.
    outliers : dict
        How often each source was named, alone or with others.
    reasons : dict
        Why rows are inconclusive, in general words, and how many are so; a row may be for several reasons.
    examples : list of dicts
        The first rows that disagree, or could not be checked, with their reasons.
    worst : float or None
        The largest |difference| / bound where all agree.
    seconds : float
        What the rows took together, on one core.
    """

    stamp: dict[str, str]
    rows: int
    first: int
    last: int
    counts: dict[str, int]
    outliers: dict[str, int]
    reasons: dict[str, int]
    examples: list[dict[str, Any]]
    worst: float | None
    seconds: float

    @property
    def pace(self) -> float:
        """Rows a second and core; 0 without rows."""
        return self.rows / self.seconds if self.rows else 0.0

    @property
    def verdict(self) -> str:
        """Of any row that disagrees; else of any that could not be checked; many doubts are no agreement, either."""
        if self.counts["disagree"]:
            return "disagree"
        if self.counts[ERROR]:
            return ERROR
        return "inconclusive" if self.counts["inconclusive"] > INCONCLUSIVE_SHARE * self.rows else "agree"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        worst = self.worst if self.worst is None or self.worst < float("inf") else "inf"
        return {"schema": SCHEMA, "verdict": self.verdict} | vars(self) | {"worst": worst}

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in self.counts.items())
        lines = [f"{self.verdict.upper()}: {self.rows:,} rows (seeds {self.first} to {self.last}): {counts}"]
        lines += [f"  {name} was named {count:,} times" for name, count in self.outliers.items()]
        lines += [f"  inconclusive, {count:,} times: {reason}" for reason, count in self.reasons.items()]
        lines += [f"  seed {row['seed']}, {row['verdict']}: {row['shape']}: {row['reason']}" for row in self.examples]
        if self.worst is not None:
            lines.append(
                f"  largest difference where all agree: {self.worst:.2g} of what rounding and truncation allow"
            )
        if self.rows:
            lines.append(f"  {self.pace:.0f} rows a second and core")
        return "\n".join(lines)


def summarise(store: Store) -> SweepSummary:
    """Count the rows of a file, in one look at it."""
    store.connection.execute("BEGIN")  # all queries see the same rows, also while others are written
    try:
        (rows, first, last, seconds) = store.ask("SELECT count(*), min(seed), max(seed), total(seconds) FROM rows")[0]
        counts: dict[str, int] = dict.fromkeys(("agree", "disagree", "inconclusive", ERROR), 0)
        counts |= dict(store.ask("SELECT verdict, count(*) FROM rows GROUP BY verdict"))
        outliers = store.ask("SELECT outliers, count(*) FROM rows WHERE outliers != '' GROUP BY 1 ORDER BY 2 DESC")
        doubts = store.ask("SELECT reason FROM rows WHERE verdict = 'inconclusive'")
        reasons = Counter(kind for (said,) in doubts for kind in set(said.split(SEPARATOR)))
        examples = [
            {"seed": seed, "verdict": verdict, "shape": shape, "reason": reason}
            for which in ("disagree", ERROR)
            for seed, verdict, shape, reason in store.ask(
                "SELECT seed, verdict, shape, reason FROM rows WHERE verdict = ? ORDER BY seed LIMIT ?", which, SHOWN
            )
        ]
        ((worst,),) = store.ask("SELECT max(worst) FROM rows WHERE verdict = 'agree'")
        return SweepSummary(
            store.stamp(),
            rows,
            first or 0,
            last or 0,
            counts,
            dict(outliers),
            dict(reasons.most_common()),
            examples,
            worst,
            seconds,
        )
    finally:
        store.connection.rollback()
