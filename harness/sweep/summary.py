"""The rows of a sweep, counted: verdicts, outliers, kinds of doubt, and the first rows that are wrong."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from harness.bounds.tolerances import INCONCLUSIVE_SHARE
from harness.facts import message_table
from harness.facts.fact import kinds_of
from harness.sweep.rows import ERROR, Row
from harness.sweep.store import Store
from harness.verdict.report import json_ready

SCHEMA = "harness.sweep/2"
"""Version 2: facts in the place of reasons in words."""

SHOWN = 5
"""So many rows of each verdict are shown; the others are counted."""


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
        The kinds of facts for which rows are inconclusive, and how many rows each; a row may have several.
    examples : list of dicts
        The first rows that disagree, or could not be checked, with their facts.
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
        return json_ready({"schema": SCHEMA, "verdict": self.verdict} | vars(self) | {"worst": worst})

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in self.counts.items())
        lines = [f"{self.verdict.upper()}: {self.rows:,} rows (seeds {self.first} to {self.last}): {counts}"]
        lines += [f"  {name} was named {count:,} times" for name, count in self.outliers.items()]
        lines += [f"  inconclusive, {count:,} times: {reason}" for reason, count in self.reasons.items()]
        for row in self.examples:
            reasons = " ".join(map(message_table.say, row["facts"]))
            lines.append(f"  seed {row['seed']}, {row['verdict']}: {row['shape']}: {reasons}")
        if self.worst is not None:
            lines.append(f"  largest difference where all agree: {self.worst:.2g} of its error bound")
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
        doubts = store.ask("SELECT * FROM rows WHERE verdict = 'inconclusive'")
        reasons = Counter(str(kind) for row in doubts for kind in kinds_of(Row(*row).reasons))
        examples = [
            {"seed": row.seed, "verdict": row.verdict, "shape": row.shape, "facts": row.reasons}
            for which in ("disagree", ERROR)
            for found in store.ask("SELECT * FROM rows WHERE verdict = ? ORDER BY seed LIMIT ?", which, SHOWN)
            for row in [Row(*found)]
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
