"""Grades as a table for the console, as CSV and as JSON; and a diagnosis for the console."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from typing import Any

from harness.facts import message_table
from harness.grading.function_diagnosis import Diagnosis
from harness.grading.grade import Grade
from harness.verdict.report import json_ready
from harness.wording import counted

SCHEMA = "harness.grades/2"
"""Version 2: diagnosis and notes are facts (kind, severity, where, data, text)."""

OUTCOMES = ("cost", "gradient", "regularised", "sigmoid_gradient", "other")

COLUMNS = ("submission", "verdict", *OUTCOMES, "points", "diagnosis", "conventions", "seconds")

LONGEST_NAME = 40

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula."""


def columns_of(grade: Grade) -> dict[str, Any]:
    """A row of the table, by the names of `COLUMNS`."""
    return {
        "submission": grade.name,
        "verdict": grade.verdict,
        **{name: getattr(grade, name) for name in OUTCOMES},
        "points": grade.points,
        "diagnosis": "; ".join(map(message_table.say, grade.diagnosis)),
        "conventions": "; ".join(grade.conventions),
        "seconds": round(grade.seconds, 2),
    }


def grades_document(grades: Sequence[Grade]) -> dict[str, Any]:
    """A JSON-ready document."""
    rows = [columns_of(grade) | {"diagnosis": grade.diagnosis, "notes": grade.notes} for grade in grades]
    return json_ready({"schema": SCHEMA, "grades": rows})


def grades_csv(grades: Sequence[Grade]) -> str:
    """One line for each submission. What a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for grade in grades:
        row = columns_of(grade).values()
        is_formula = [isinstance(cell, str) and cell.startswith(FORMULA_STARTS) for cell in row]
        writer.writerow(f"'{cell}" if formula else cell for cell, formula in zip(row, is_formula))
    return text.getvalue()


def grades_text(grades: Sequence[Grade]) -> str:
    """The grades for a person: a line each, what is wrong below it, and a count of the verdicts."""
    longest = min(LONGEST_NAME, max(len(_printable(grade.name)) for grade in grades))
    lines = []
    for grade in grades:
        parts = f"cost {grade.cost}, gradient {grade.gradient}, regularised {grade.regularised}"
        lines.append(f"{_printable(grade.name):{longest}}  {grade.verdict:12}  {grade.points:6.1f}  {parts}")
        lines += [f"    {_printable(message_table.say(fact))}" for fact in grade.diagnosis]
        lines += [f"    convention: {convention}" for convention in grade.conventions]
        lines += [f"    note: {_printable(message_table.say(fact))}" for fact in grade.notes]
    return "\n".join([*lines, f"{counted(len(grades), 'submission')}: {verdict_counts(grades)}"])


def verdict_counts(grades: Sequence[Grade]) -> str:
    """How many there are of each verdict: "2 agree, 1 error"."""
    counts = Counter(grade.verdict for grade in grades)
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def _printable(text: str) -> str:
    """Text from elsewhere, without characters that a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def diagnosis_headline(found: Diagnosis) -> str:
    """What was called, and how often."""
    return f"{found.target}, called on {found.answered:,} of {found.problems:,} problems"


def diagnosis_text(found: Diagnosis) -> str:
    """A diagnosis for a person: the verdict, what explains it, conventions and notes."""
    lines = [f"{found.verdict.upper()}: {diagnosis_headline(found)}"]
    lines += [f"  {_printable(message_table.say(fact))}" for fact in found.diagnosis]
    lines += [f"  convention: {convention}" for convention in found.conventions]
    lines += [f"  note: {_printable(message_table.say(fact))}" for fact in found.notes]
    lines.append(f"  {found.coordinates:,} coordinates compared, in {found.seconds:.2g} s")
    return "\n".join(lines)
