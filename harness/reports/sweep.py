"""The page of `harness sweep`."""

from harness.facts import message_table
from harness.pages.document import table
from harness.reports.parts import listing, page, section, wide
from harness.sweep.summary import SweepSummary


def sweep_page(summary: SweepSummary) -> str:
    """What a file of rows holds so far: the counts, why rows are undecided, and the first that are wrong."""
    examples = [
        (row["seed"], row["verdict"], row["shape"], " ".join(map(message_table.say, row["facts"])))
        for row in summary.examples
    ]
    headline, *rest = str(summary).splitlines()
    closest = [line.strip() for line in rest if line.strip().startswith(("largest", f"{summary.pace:.0f} rows"))]
    sections = [
        section("Rows", wide(table(("verdict", "rows"), summary.counts.items(), "Verdicts")), listing(closest)),
        section(
            "Named", wide(table(("sources", "rows"), summary.outliers.items(), "The odd ones out, alone or together"))
        )
        if summary.outliers
        else "",
        section("Undecided", wide(table(("reason", "rows"), summary.reasons.items(), "Why rows are inconclusive")))
        if summary.reasons
        else "",
        section("The first that are wrong", wide(table(("seed", "verdict", "what", "why"), examples, "Rows to replay")))
        if examples
        else "",
    ]
    return page(
        "harness sweep",
        summary.verdict if summary.verdict != "error" else "disagree",
        headline,
        sections,
        summary.stamp,
        heading=summary.verdict,
    )
