"""The page of a report, and the parts it is made of: verdict, lists, tables, environment. All text is escaped."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence

from harness.exit_codes import WORST_FIRST
from harness.facts import message_table
from harness.facts.fact import Fact
from harness.figure_style import png
from harness.pages.html_page import document, picture, table, text_of
from harness.provenance import environment
from harness.verdict.heat_map import HeatMap
from harness.verdict.report import Finding, Report


def page(
    title: str,  # the command
    verdict: str,  # "agree", "disagree" or "inconclusive"; it gives the heading its colour
    headline: str,  # one sentence
    sections: Iterable[str],
    made: Mapping[str, object],  # the command's options, such as its seed; versions and machine are added
    heading: str = "",  # the verdict, unless given
) -> str:
    """A report's page."""
    heading = heading or verdict
    rows = environment() | {name: str(value) for name, value in made.items()}
    terms = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in rows.items())
    body = "\n".join(
        [
            '<a class="skip" href="#verdict">Skip to the verdict</a>',
            f'<header class="page-head"><p class="step">{html.escape(title)}</p>',
            f'<h1 class="{verdict}" id="verdict">{html.escape(heading)}</h1>',
            f'<p class="lead">{html.escape(headline)}</p></header>',
            f"<main>{''.join(sections)}</main>",
            f'<footer class="page-foot"><h2>How to get it again</h2><dl>{terms}</dl></footer>',
        ]
    )
    return document(f"{title}: {heading}", body, scripts=[text_of("harness.pages", "sortable.js")])


def section(title: str, *content: str, anchor: str = "") -> str:
    """A part of the page, which links lead to by its anchor; empty without content."""
    inside, place = "".join(content), f' id="{html.escape(anchor)}"' if anchor else ""
    return f"<section{place}><h2>{html.escape(title)}</h2>{inside}</section>" if inside else ""


def wide(*content: str) -> str:
    """Content that is as wide as the page; empty without content."""
    inside = "".join(content)
    return f'<div class="wide">{inside}</div>' if inside else ""


def gallery(*figures: str) -> str:
    """Pictures, two in a row where there is room; empty without any."""
    inside = "".join(figures)
    return f'<div class="wide columns two">{inside}</div>' if inside else ""


def listing(sentences: Iterable[str]) -> str:
    """Sentences as a list; empty without any."""
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def facts_listing(facts: Iterable[Fact]) -> str:
    """Facts in words, as a list; empty without any."""
    return listing(map(message_table.say, facts))


def preformatted(text: object) -> str:
    """Text whose lines are laid out."""
    return f'<pre tabindex="0">{html.escape(str(text))}</pre>'


def report_sections(report: Report, title: str = "") -> list[str]:
    """The sections of one check: what is wrong, the picture, sources and pairs, what it could not detect."""
    where = f"{title}: " if title else ""
    left_out = [f"{name}: {message_table.say(reason)}" for name, reason in report.left_out.items()]
    return [
        section(
            f"{where}what was found", facts_listing(report.reasons), *map(_finding, report.findings), _margin(report)
        ),
        section(f"{where}in pictures", gallery(*_pictures(report))),
        section(f"{where}in numbers", wide(_sources(report), _pairs(report))),
        section(f"{where}what cannot be detected here", facts_listing(report.blind_to)),
        section(f"{where}left out", listing(left_out)),
        section(f"{where}notes", facts_listing(report.notes)),
    ]


def _finding(finding: Finding) -> str:
    diagnosis = "".join(f"<p><strong>{html.escape(message_table.say(fact))}</strong></p>" for fact in finding.diagnosis)
    return f'<p class="mono">{html.escape(message_table.say(finding.fact))}</p>{diagnosis}'


def _margin(report: Report) -> str:
    if report.verdict != "agree":
        return ""
    best, worst = report.smallest_visible
    limit = f" to {worst:.1e} (worst)" if math.isfinite(worst) else ""
    return (
        f"<p>The largest difference is {report.margin:.2g} of its error bound. Smallest detectable error: {best:.1e} "
        f"(best coordinate){limit}. Decided: {report.decided_share:.1%} of the coordinates.</p>"
    )


def _pictures(report: Report) -> list[str]:
    if report.picture is None:
        return []
    shown = f"{report.verdict}: {', '.join(report.outliers) or 'no source'} is named"
    if not isinstance(report.picture, HeatMap):  # the check is of an activation
        return [picture(report.plot(), f"Reported and true slope over z. {shown}.", "Shaded: the slope is wrong.")]
    dots = png(report.picture.error_against_bound())
    return [
        picture(report.plot(), f"Heat map of the check. {shown}.", "Blue is within the error bound, orange beyond it."),
        picture(dots, f"Every coordinate's difference over its error bound. {shown}.", "Above the line is wrong."),
    ]


def _sources(report: Report) -> str:
    head = ("source", "family", "cost", "seconds", "odd one out", "ulps, median", "ulps, largest", "note")
    rows = [
        (row.name, row.family, (f"{row.cost:.12g}", row.cost), row.seconds, "yes" if row.outlier else "",
         *(row.ulps or (None, None)), "; ".join(map(message_table.say, row.notes)))
        for row in report.sources
    ]  # fmt: skip
    marks = {number: "ours" for number, row in enumerate(report.sources) if row.outlier}
    return table(head, rows, "The sources", marks) if rows else ""


def _pairs(report: Report) -> str:
    head = ("first", "second", "verdict", "largest ratio to the bound", "largest difference", "differing", "decided")
    rows = [
        (
            pair.first, pair.second, pair.verdict, pair.ratio, pair.difference,
            pair.coordinates_at_odds, pair.coordinates_decided,
        )
        for pair in report.pairs
    ]  # fmt: skip
    return table(head, rows, "Every pair compared; ratio and difference over all coordinates") if rows else ""


def checks_page(checks: Sequence[tuple[str, str, str]], headline: str, command: str) -> str:
    """The page of a pytest run: the reports as (test, verdict, text), folded. Wrong ones come first, and are open."""
    ordered = sorted(checks, key=lambda check: WORST_FIRST.index(check[1]))
    folded = [
        f"<details{' open' if verdict == 'disagree' else ''}><summary>"
        f'<strong class="{verdict}">{verdict}</strong> {html.escape(test)}</summary>{preformatted(text)}</details>'
        for test, verdict, text in ordered
    ]
    return page("pytest", ordered[0][1], headline, folded, {"command": command})
