"""What a run of pytest found: a record for each check, counted, and written to one file."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]
"""One check: the test's id, the report as JSON and as text, and why the user's own source took no part, or ""."""


def never_checked(records: Sequence[Record]) -> dict[str, str]:
    """For each test function whose own source took none of its networks: why it did not take the first."""
    # "test_mine[0-7]" is one network of the test function "test_mine"
    by_test: dict[str, list[str]] = {}
    for record in records:
        by_test.setdefault(record["test"].partition("[")[0], []).append(record["absence"])
    return {test: absences[0] for test, absences in by_test.items() if all(absences)}


def summary_lines(records: Sequence[Record]) -> Iterator[str]:
    """How many checks there were, with how many sources, and the verdicts; and which source could not take how many."""
    yield _headline(records)
    left_out = Counter(name for record in records for name in record["report"]["left_out"])
    for name, count in left_out.items():
        yield f"{name} could not take {count:,} of them"


def _headline(records: Sequence[Record]) -> str:
    from harness.wording import counted

    reports = [record["report"] for record in records]
    counts = Counter(report["verdict"] for report in reports)
    sources = {source["name"] for report in reports for source in report["sources"]}
    what = "network" if all("sizes" in report["subject"] for report in reports) else "check"
    verdicts = ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in ("agree", "disagree", "inconclusive"))
    return f"{counted(len(records), what)}, {counted(len(sources), 'source')}: {verdicts}"


def write_reports(path: Path, records: Sequence[Record], command: str) -> None:
    """Write all reports as JSON, or as an HTML page that names the command."""
    from harness.files import write_whole
    from harness.pages.report_page import checks_page

    if path.suffix == ".json":
        checks = [{"test": record["test"], "report": record["report"]} for record in records]
        text = json.dumps({"schema": "harness.pytest/1", "checks": checks}, indent=1)
    else:
        checks = [(record["test"], record["report"]["verdict"], record["text"]) for record in records]
        text = checks_page(checks, _headline(records), command)
    write_whole(path, text.encode())
