"""The rows of a sweep, counted: verdicts, outliers, kinds of doubt, and the first rows that are wrong."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from harness.bounds.tolerances import INCONCLUSIVE_SHARE
from harness.facts import message_table
from harness.facts.fact import doubt, kinds_of
from harness.facts.kinds import Kind
from harness.sweep.rows import ERROR, VERDICTS, SweepRow
from harness.sweep.store import Store
from harness.verdict.report import json_ready
from harness.wording import counted

SCHEMA = "harness.sweep/2"  # version 2: facts in the place of reasons in words

SHOWN = 5  # so many rows of each verdict are shown; the others are counted


@dataclass(frozen=True)
class SweepSummary:
    """The rows of a file, counted."""

    stamp: dict[str, str]  # settings and version, as text
    rows: int
    first: int  # the smallest seed
    last: int  # the largest seed
    counts: dict[str, int]  # how many rows of each verdict
    outliers: dict[str, int]  # how often each source was named, alone or with others
    # kinds of facts for which rows are inconclusive, and how many rows each; a row may have several
    reasons: dict[str, int]
    examples: list[dict[str, Any]]  # the first rows that disagree, or could not be checked, with their facts
    worst: float | None  # the largest |difference| / bound where all agree
    seconds: float  # that the rows took together, on one core
    never: list[str]  # the sources of the settings that took part in no row, and so were never checked

    @property
    def pace(self) -> float:
        """Rows a second and core; 0 if no row took any time, because all of them failed."""
        return self.rows / self.seconds if self.seconds else 0.0

    @property
    def verdict(self) -> str:
        """That of a row that disagrees, or else could not be checked.

        No rows, many doubts, and a source that was never checked are inconclusive.
        """
        if self.counts["disagree"]:
            return "disagree"
        if self.counts[ERROR]:
            return ERROR
        is_decided = self.counts["agree"] >= max(1, (1 - INCONCLUSIVE_SHARE) * self.rows)
        return "agree" if is_decided and not self.never else "inconclusive"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        worst = self.worst if self.worst is None or self.worst < float("inf") else "inf"
        return json_ready({"schema": SCHEMA, "verdict": self.verdict} | vars(self) | {"worst": worst})

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in self.counts.items())
        rows = counted(self.rows, "row")
        lines = [f"{self.verdict.upper()}: {rows} (seeds {self.first} to {self.last}): {counts}"]
        lines += [f"  {name} was named {count:,} times" for name, count in self.outliers.items()]
        lines += [f"  inconclusive, {count:,} times: {reason}" for reason, count in self.reasons.items()]
        lines += [f"  {message_table.say(doubt(Kind.SOURCE_NEVER_TOOK_PART, name))}" for name in self.never]
        for row in self.examples:
            reasons = " ".join(map(message_table.say, row["facts"]))
            lines.append(f"  seed {row['seed']}, {row['verdict']}: {row['shape']}: {reasons}")
        if self.worst is not None:
            lines.append(f"  largest difference where all agree: {self.worst:.2g} of its error bound")
        if self.rows:
            lines.append(f"  {self.pace:.0f} rows a second and core")
        return "\n".join(lines)


def summarise(store: Store) -> SweepSummary:
    """Count the rows of a file, in one look at it.

    Raises a ValueError when one of them is damaged.
    """
    stamp = store.stamp()
    sources: list[str] = json.loads(stamp["sources"])
    counts, outliers, reasons, took_part = Counter[str](), Counter[str](), Counter[str](), set[str]()
    shown: dict[str, list[SweepRow]] = {"disagree": [], ERROR: []}
    first, last, worst, seconds = 0, 0, None, 0.0
    for row in store.rows():  # in the order of their seeds
        first, last = (first if counts else row.seed), row.seed
        counts[row.verdict] += 1
        seconds += row.seconds
        if row.outliers:
            outliers[row.outliers] += 1
        if row.verdict == "inconclusive":
            reasons.update(map(str, kinds_of(row.reasons)))
        if row.verdict == "agree" and row.worst is not None:  # elsewhere, it says how wrong the sources are
            worst = max(row.worst, worst or 0.0)
        if len(shown.get(row.verdict, range(SHOWN))) < SHOWN:
            shown[row.verdict].append(row)
        if sources:
            took_part.update(json.loads(row.times))
    is_any_decided = counts.total() > counts[ERROR]  # a row that fails names no source that took part
    return SweepSummary(
        stamp=stamp,
        rows=counts.total(),
        first=first,
        last=last,
        counts={verdict: counts[verdict] for verdict in VERDICTS},
        outliers=dict(outliers.most_common()),
        reasons=dict(reasons.most_common()),
        examples=[
            {"seed": row.seed, "verdict": row.verdict, "shape": row.shape, "facts": row.reasons}
            for row in (*shown["disagree"], *shown[ERROR])
        ],
        worst=worst,
        seconds=seconds,
        never=[name for name in sources if is_any_decided and name not in took_part],
    )
