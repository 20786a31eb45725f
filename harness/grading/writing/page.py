"""Grades as one HTML page: a sortable table, and for each that is wrong a picture of where."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from harness.grading.grading import AGREE, Grade, Shown
from harness.grading.writing.table import COLUMNS, row
from harness.pages.document import table
from harness.reports.parts import listing, page, section, wide

CELL = 14  # pixels
DECADES = 16  # shown, from rounding to as large as the gradient itself


def as_page(grades: Sequence[Grade], made: Mapping[str, object]) -> str:
    """The page; everything that a submission says is escaped."""
    counts = Counter(grade.verdict for grade in grades)
    told = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    shown = [name for name in COLUMNS if name not in ("diagnosis", "conventions")]
    rows = [(*(row(grade)[name] for name in shown), ", ".join(grade.bugs)) for grade in grades]
    marks = {number: grade.verdict for number, grade in enumerate(grades)}
    sections = [
        section("All submissions", wide(table([*shown, "bugs"], rows, "Click a column's name to sort by it.", marks))),
        *(_one(grade) for grade in grades if grade.verdict != AGREE),
    ]
    return page("harness grade", "", told, sections, made, heading=f"{len(grades)} submissions graded")


def _one(grade: Grade) -> str:
    notes = [*(f"convention: {convention}" for convention in grade.conventions), *grade.notes]
    return section(grade.name, listing(grade.diagnosis), _heat(grade.probe), listing(notes))


def _heat(shown: Shown | None) -> str:
    """|difference| of each coordinate beside the largest entry of the gradient, as one square each, by decades."""
    if shown is None or shown.parsed.gradient is None:
        return ""
    network, (_, right) = shown.asked.problem.network, shown.asked.right
    if network.size > 400:
        return ""
    with np.errstate(all="ignore"):
        off = np.abs(shown.parsed.gradient - right) / np.abs(right).max()
        decade = np.where(np.isnan(off), 0.0, np.clip(np.log10(off), -DECADES, 0.0))
    pictures = [_squares(f"Theta{number}", matrix) for number, matrix in enumerate(network.unpack(decade), start=1)]
    caption = (
        f"Where the gradient is off ({html.escape(shown.asked.name)}): rows are units, the first column is the bias; "
        "the darker, the further off, from rounding (pale) to as much as the gradient itself."
    )
    return f'<figure class="picture">{"".join(pictures)}<figcaption>{caption}</figcaption></figure>'


def _squares(name: str, decades: np.ndarray) -> str:
    rows, columns = decades.shape
    squares = "".join(
        f'<rect x="{j * CELL}" y="{i * CELL}" width="{CELL - 1}" height="{CELL - 1}" fill="#d55e00" '
        f'fill-opacity="{0.08 + 0.92 * (1.0 + decades[i, j] / DECADES):.2f}">'
        f"<title>{name}[{i}, {j or 'bias'}]: 1e{decades[i, j]:.0f}</title></rect>"
        for i in range(rows)
        for j in range(columns)
    )
    wrong = int((decades > -9.0).sum())
    told = f"{name}: {wrong} of {decades.size} entries are wrong"
    return (
        f'<svg role="img" aria-label="{told}" style="width:{columns * CELL + 8}px;margin-right:1em" '
        f'viewBox="0 -16 {columns * CELL + 8} {rows * CELL + 18}"><title>{told}</title>'
        f'<text x="0" y="-4" font-size="12" fill="currentColor">{name}</text>{squares}</svg>'
    )
