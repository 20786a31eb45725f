"""The page of the checks that a run of pytest has made."""

import html
from collections.abc import Sequence

from harness.reports.parts import page, preformatted

WORST_FIRST = ("disagree", "inconclusive", "agree")


def checks_page(checks: Sequence[tuple[str, str, str]], headline: str, command: str) -> str:
    """All reports, folded: (test, verdict, text) each. Those that disagree come first, and are open."""
    ordered = sorted(checks, key=lambda check: WORST_FIRST.index(check[1]))
    folded = [
        f"<details{' open' if verdict == 'disagree' else ''}><summary>"
        f'<strong class="{verdict}">{verdict}</strong> {html.escape(test)}</summary>{preformatted(text)}</details>'
        for test, verdict, text in ordered
    ]
    return page("pytest", ordered[0][1], headline, folded, {"command": command})
