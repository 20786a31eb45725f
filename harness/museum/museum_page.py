"""Visits in words: as text for a terminal, and as one page with a table and a section for each."""

from collections.abc import Sequence

import numpy as np

from harness.museum.museum_tour import Visit
from harness.pages.html_page import table
from harness.pages.report_page import listing, page, preformatted, section, wide

TITLE = "harness museum"


def visit_text(visit: Visit) -> str:
    """A visit for a terminal: what was wrong, the report, and what other checkers say."""
    facts = [f"  {fact}" for fact in _facts(visit)]
    report = [f"  {line}" for line in str(visit.report).splitlines()]
    return "\n".join([visit.name, *facts, *report, f"  found in {1e3 * visit.seconds:.0f} ms"])


def _facts(visit: Visit) -> list[str]:
    what = visit.exhibit
    mended = f", mended in {what.mended}" if what.mended else ""
    return [
        f"Where: {what.project} {what.version}, {what.place}{mended}",
        f"Right: {what.formula}",
        f"Mistake: {what.mistake}",
        f"Error: {_size(visit)} at θ = {list(what.at)}",
        f"Others: {_others(visit)}",
    ]


def _size(visit: Visit) -> str:
    return f"{visit.error:.2g} of the largest derivative" if np.isfinite(visit.error) else "NaN"


def _others(visit: Visit) -> str:
    if not visit.others:
        return "no other checker is installed: pip install 'autodiff-cross-check[peers]'"
    if not visit.missed_by:
        return f"all of {len(visit.others)} other checkers raise an alarm"
    return f"no alarm from {', '.join(visit.missed_by)}"


def museum_page(visits: Sequence[Visit]) -> str:
    """One page: all exhibits in a table, then each by itself."""
    rows = [
        (each.name, each.exhibit.project, _size(each), each.report.verdict, f"{1e3 * each.seconds:.0f}", _missed(each))
        for each in visits
    ]
    head = ("exhibit", "project", "error", "harness", "ms", "other checkers that miss it")
    sections = [section("The exhibits", wide(table(head, rows, "Each at the point at which it is wrong")))]
    sections += [_exhibit(visit) for visit in visits]
    caught = sum(visit.report.verdict == "disagree" for visit in visits)
    headline = f"{caught} of {len(visits)} wrong derivatives that software has shipped are found."
    heading = "Wrong gradients that were shipped"
    return page(TITLE, "disagree", headline, sections, {"command": "harness museum --html FILE"}, heading)


def _missed(visit: Visit) -> str:
    return f"{len(visit.missed_by)} of {len(visit.others)}" if visit.others else "none installed"


def _exhibit(visit: Visit) -> str:
    return section(visit.name, listing(_facts(visit)), preformatted(visit.report))
