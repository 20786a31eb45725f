"""Grades, or one diagnosis, as an HTML page: a sortable table, and for what is wrong a picture of where."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.checks.networks.bug_replay import NO_BUG
from harness.grading.diagnosing import Diagnosis
from harness.grading.grading import AGREE, Grade
from harness.grading.ways import Shown
from harness.grading.writing.table import COLUMNS, row
from harness.pages.html_page import table
from harness.pages.report_page import listing, page, section, wide
from harness.wording import counted, first_few

CELL = 14  # pixels
DECADES = 16  # shown, from rounding to as large as the gradient itself


def as_page(grades: Sequence[Grade], made: Mapping[str, object]) -> str:
    """The page; everything that a submission says is escaped."""
    counts = Counter(grade.verdict for grade in grades)
    told = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    shown = [name for name in COLUMNS if name not in ("submission", "verdict", "diagnosis", "conventions")]
    heads = ["submission", "verdict", "bugs", *(name.replace("_", " ") for name in shown)]
    rows = [
        (grade.name, grade.verdict, first_few(grade.bugs, 2), *(row(grade)[name] for name in shown)) for grade in grades
    ]
    marks = {number: grade.verdict for number, grade in enumerate(grades)}
    sections = [
        section("All submissions", wide(table(heads, rows, "Click a column's name to sort by it.", marks))),
        *(_one(grade) for grade in grades if grade.verdict != AGREE),
    ]
    return page("harness grade", "", told, sections, made, heading=f"{counted(len(grades), 'submission')} graded")


def _one(grade: Grade) -> str:
    notes = [*(f"convention: {convention}" for convention in grade.conventions), *grade.notes]
    return section(grade.name, listing(grade.diagnosis), _heat(grade.probe), listing(notes))


def as_diagnosis_page(found: Diagnosis, made: Mapping[str, object]) -> str:
    """What `harness diagnose` found: the bugs, a picture of the smallest problem that shows them, and every problem."""
    wrong = {n: shown for n, shown in enumerate(found.answers) if not all(shown.asked.judged(shown.parsed))}
    smallest = min(wrong.values(), key=lambda shown: shown.asked.problem.network.size, default=None)
    headline = f"{found.target}, asked on {found.answered:,} of {found.problems:,} problems"
    rows = table(ANSWERED, map(_answered, found.answers), "Answered, and expected", dict.fromkeys(wrong, "disagree"))
    sections = [
        section("What was found", listing(found.said or ["Nothing wrong was found."]), _heat(smallest)),
        section("Conventions", listing(found.conventions)),
        section("Notes", listing(found.notes)),
        section("Problem by problem", wide(rows)),
    ]
    return page("harness diagnose", found.verdict, headline, sections, made)


ANSWERED = (
    "problem",
    "cost",
    "expected cost",
    "entries of the gradient",
    "wrong entries",
    "largest relative difference",
)


def _answered(shown: Shown) -> tuple[Any, ...]:
    """The row of `ANSWERED` of a problem; differences are relative to the gradient's largest entry."""
    parsed, (cost, gradient) = shown.parsed, shown.asked.right
    answered, off = ("" if parsed.cost is None else (f"{parsed.cost:.12g}", parsed.cost)), None
    with np.errstate(all="ignore"):
        wrong = shown.asked.replay(parsed).coordinates_left(NO_BUG)
        if parsed.gradient is not None:
            off = float(np.abs(parsed.gradient - gradient).max() / np.abs(gradient).max())
    return shown.asked.name, answered, (f"{cost:.12g}", cost), gradient.size, wrong, off


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
    told, width = f"{name}: {wrong} of {decades.size} entries are wrong", max(60, columns * CELL + 8)  # the name fits
    return (
        f'<svg role="img" aria-label="{told}" style="width:{width}px;margin-right:1em" '
        f'viewBox="0 -16 {width} {rows * CELL + 18}"><title>{told}</title>'
        f'<text x="0" y="-4" font-size="12" fill="currentColor">{name}</text>{squares}</svg>'
    )
