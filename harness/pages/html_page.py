"""One self-contained HTML page: text, style, script and data in a single file that requests no other."""

import base64
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""The content security policy: only what the page contains, and no request to anywhere."""


def text_of(package: str, name: str) -> str:
    """A text file of a package, such as a style sheet."""
    return (resources.files(package) / name).read_text(encoding="utf-8")


def embedded(data: Any) -> str:
    """Data as JSON for a script element. Nothing in it can end the element; NaN is a ValueError."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def document(title: str, body: str, *, scripts: Iterable[str] = (), data: Any = None) -> str:
    """The whole page: a plain title, which is escaped here, and HTML, in which the caller escapes foreign text.

    The scripts run in this order at the end of the page. They find `data` in the element with the id ``data``.
    """
    contents = [] if data is None else [f'<script type="application/json" id="data">{embedded(data)}</script>']
    runs = [f"<script>\n{script}</script>" for script in scripts]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            '<head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{html.escape(title)}</title>",
            f"<style>\n{text_of('harness.pages', 'style.css')}</style></head>",
            f"<body>\n{body}",
            *contents,
            *runs,
            "</body></html>\n",
        ]
    )


class Cell(NamedTuple):
    """What is shown in a table, what it is sorted by, a class of the style sheet, and the id of what it leads to."""

    shown: Any
    value: Any
    mark: str = ""
    target: str = ""


def table(
    head: Sequence[str],  # the columns' names
    # cells; a pair (shown, value) shows the first and sorts by the second; a `Cell` may be a link, or have a class,
    # such as "disagree", which is red
    rows: Iterable[Sequence[object]],
    caption: str,  # what the table holds
    marks: Mapping[int, str] | None = None,  # classes of the style sheet for some rows, by the row's number
) -> str:
    """A sortable table. Numbers sort by value and are aligned to the right. All cells are escaped here."""
    marks, rows = marks or {}, list(rows)
    first = rows[0] if rows else ("",) * len(head)
    numeric = [_is_number(cell[1] if isinstance(cell, tuple) else cell) for cell in first]
    columns = "".join(
        f'<th scope="col"{" class=number" if right else ""}>{html.escape(name)}</th>'
        for name, right in zip(head, numeric)
    )
    lines = []
    for number, row in enumerate(rows):
        cells = "".join(_cell(cell, first=not place) for place, cell in enumerate(row))
        lines.append(f'<tr class="{marks[number]}">{cells}</tr>' if number in marks else f"<tr>{cells}</tr>")
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(caption)}"><table class="sortable">'
        f"<caption>{html.escape(caption)}</caption><thead><tr>{columns}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(cell: Any, first: bool) -> str:
    shown, value, mark, target = Cell(*cell) if isinstance(cell, tuple) else Cell(cell, cell)
    shown = "" if value is None else f"{shown:.3g}" if isinstance(shown, float) else str(shown)
    attributes = f' class="{html.escape(mark)}"' if mark else ""
    if _is_number(value):
        attributes = f' data-value="{_ordered(value)}" class="number"'
    inside = html.escape(shown)
    inside = f'<a href="#{html.escape(target)}">{inside}</a>' if target else inside
    # the first cell of a row is its head, which screen readers say before each other cell
    tag, end = ('th scope="row"', "th") if first else ("td", "td")
    return f"<{tag}{attributes}>{inside}</{end}>"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ordered(value: Any) -> str:
    """The number as JavaScript reads it; NaN comes last."""
    return str(float(value)) if math.isfinite(value) else "-Infinity" if value < 0 else "Infinity"


def picture(png: bytes, alternative: str, caption: str) -> str:
    """A PNG inside the page, with a text alternative."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return (
        f'<figure class="picture"><img src="{source}" alt="{html.escape(alternative)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
