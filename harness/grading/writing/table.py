"""Grades as a table: for the console, and as CSV."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

from harness.grading.grading import Grade
from harness.wording import counted

COLUMNS = (
    "submission",
    "verdict",
    "cost",
    "gradient",
    "regularised",
    "sigmoid_gradient",
    "other",
    "points",
    "diagnosis",
    "conventions",
    "seconds",
)


def row(grade: Grade) -> dict[str, Any]:
    """The columns of a grade."""
    return {
        "submission": grade.name,
        "verdict": grade.verdict,
        "cost": grade.cost,
        "gradient": grade.gradient,
        "regularised": grade.regularised,
        "sigmoid_gradient": grade.sigmoid_gradient,
        "other": grade.other,
        "points": grade.points,
        "diagnosis": "; ".join(grade.diagnosis),
        "conventions": "; ".join(grade.conventions),
        "seconds": round(grade.seconds, 2),
    }


def as_csv(grades: Sequence[Grade]) -> str:
    """One line for each submission. What a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for grade in grades:
        writer.writerow([_harmless(row(grade)[name]) for name in COLUMNS])
    return text.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def as_text(grades: Sequence[Grade]) -> str:
    """The grades for a person: a line each, what is wrong below it, and a count of the verdicts."""
    longest = min(40, max(len(_printable(grade.name)) for grade in grades))
    lines = []
    for grade in grades:
        parts = f"cost {grade.cost}, gradient {grade.gradient}, regularised {grade.regularised}"
        name = _printable(grade.name)
        lines.append(f"{name:{longest}}  {grade.verdict:12}  {grade.points:6.1f}  {parts}")
        lines += [f"    {_printable(clause)}" for clause in grade.diagnosis]
        lines += [f"    convention: {convention}" for convention in grade.conventions]
        lines += [f"    note: {_printable(note)}" for note in grade.notes]
    counts = Counter(grade.verdict for grade in grades)
    told = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    return "\n".join([*lines, f"{counted(len(grades), 'submission')}: {told}"])


def _printable(text: str) -> str:
    """Text from elsewhere without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
