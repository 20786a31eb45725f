"""The files of a grading: a table, perhaps in the order of a roster, a page, pages for students, and results.json."""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from harness.files import read_file, write_whole
from harness.grading.grade import PART_NAMES, POINTS
from harness.grading.grade_reports import SCHEMA, GradeRecord, grades_page
from harness.seals import checksum
from reference.user_input import did_you_mean

COLUMNS = ("submission", "verdict", *POINTS, "points", "diagnosis", "conventions", "remarks", "seconds")

CHECKSUM = "checksum"  # the last column of a table, by which a damaged row is known

FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")
"""What a spreadsheet takes for the start of a formula, full-width signs included."""

MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"  # the byte order mark by which spreadsheets know UTF-8


def grades_document(records: Sequence[GradeRecord]) -> dict[str, Any]:
    """A JSON-ready document."""
    rows = [
        {**record.columns, "diagnosis": record.diagnosis, "notes": record.notes, "functions": record.links}
        for record in records
    ]
    return {"schema": SCHEMA, "grades": rows}


def grades_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """One line for each row, and its checksum. What a spreadsheet would take for a formula gets an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, CHECKSUM])
    for row in rows:
        cells = [row.get(column, "") for column in columns]
        is_formula = [isinstance(cell, str) and cell.startswith(FORMULA_STARTS) for cell in cells]
        cells = [f"'{cell}" if formula else str(cell) for cell, formula in zip(cells, is_formula)]
        writer.writerow([*cells, checksum_of_row(cells)])
    return MARK + text.getvalue()


def checksum_of_row(cells: Iterable[str]) -> str:
    """What the column `CHECKSUM` holds beside these cells."""
    return checksum(*(cell.encode() for cell in cells))


def gradescope_document(record: GradeRecord) -> dict[str, Any]:
    """The results.json that Gradescope and GitHub Classroom read: a test for each part, and the page as its output."""
    tests = [
        {"name": PART_NAMES[name], "score": points, "max_score": largest, "output": outcome}
        for name, points, largest, outcome in record.parts
    ]
    output = {"output": record.page, "output_format": "md", "execution_time": record.columns["seconds"]}
    return {"score": record.columns["points"], **output, "tests": tests}


# -- rosters -----------------------------------------------------------------------------------------------------------

SHORTEST_KEY = 3  # letters that a name or number of a roster needs to tell a student from others

POINTS_COLUMNS = ("grade", "points", "score")
"""The columns of a roster that the points go to if none is named, as Moodle's gradebook has one."""

OF_CANVAS = ("", "Points Possible")
"""What stands in the place of a student in the rows that Canvas puts below its header: settings, and largest points."""


class Roster(NamedTuple):
    """A table of students: its columns, a row for each, and those of the columns that the points go to."""

    columns: list[str]
    rows: list[dict[str, str]]
    points: list[str]

    def is_student(self, row: Mapping[str, str]) -> bool:
        return self.columns[0] != "Student" or row["Student"].strip() not in OF_CANVAS


def read_roster(path: Path, points: str | None = None) -> Roster:
    """The students in a CSV file, in any encoding that spreadsheets write; `points` is the column for these.

    Raises OSError or ValueError where it cannot be read, it has no header and no row, there is no such column, or it is
    a damaged table of grades.
    """
    content = read_file(path, "a roster, which is a CSV file")
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    # spreadsheets write semicolons where the decimal point is a comma
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, restkey="", strict=True)
    try:
        rows = [{name: cell or "" for name, cell in row.items() if name} for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path} is damaged, or no CSV file ({error})") from None
    if not rows or not reader.fieldnames or len(reader.fieldnames) < 2 or "\0" in text:
        raise ValueError(f"{path} holds no roster; it must be a CSV file with a header and a row for each student")
    columns = list(filter(None, reader.fieldnames))
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise ValueError(f"{path} has two columns {twice[0]!r}; give each column a name of its own")
    if CHECKSUM in columns:  # a table that `grades_csv` wrote
        covered = columns[: columns.index(CHECKSUM)]
        for number, row in enumerate(rows, start=1):
            if row.pop(CHECKSUM) != checksum_of_row(row[name] for name in covered):
                raise ValueError(
                    f"{path} is damaged, or was changed: row {number} has another checksum. If the change is yours, "
                    f"delete the column {CHECKSUM!r}"
                )
        columns.remove(CHECKSUM)
    if points is not None and points not in columns:
        raise ValueError(f"{path} has no column {points!r} among {', '.join(columns)}{did_you_mean(points, columns)}")
    usual = [name for name in columns if name.casefold() in POINTS_COLUMNS]
    return Roster(columns, rows, usual if points is None else [points])


def _words(text: str) -> str:
    """Letters and digits alone, each word between blanks."""
    return " ".join(["", *re.findall(r"[^\W_]+", text.casefold()), ""])


def _keys(row: Mapping[str, str]) -> Iterator[str]:
    """What a student's submission may be named after: an id, a login, a name as one word or several.

    "Ada Lovelace" hands in ada_lovelace.py, lovelaceada.py or "Lovelace, Ada"; ada@example.org hands in ada.py.
    """
    for cell in row.values():
        words = _words(cell.partition("@")[0]).split()
        for key in {" ".join(words), "".join(words), "".join(reversed(words)), " ".join(reversed(words))}:
            if len(key) >= SHORTEST_KEY:
                yield f" {key} "


def matched(roster: Roster, records: Sequence[GradeRecord]) -> tuple[list[dict[str, Any]], list[str]]:
    """The roster's rows with the columns of their submissions, and the submissions that are nobody's.

    A cell that several students share, such as their section, names none of them. A row of no student stays as it is.
    """
    keys = [set(_keys(row)) if roster.is_student(row) else set() for row in roster.rows]
    shared = {key for number, own in enumerate(keys) for other in keys[:number] for key in own & other}
    rows, taken = [], set()
    for row, own in zip(roster.rows, keys):
        if not roster.is_student(row):
            rows.append(dict(row))
            continue
        names = [record for record in records if any(key in _words(record.name) for key in own - shared)]
        # who handed in twice has the better of both
        best = max(names, key=lambda record: record.columns["points"], default=None)
        taken |= {record.name for record in names}
        graded = dict(best.columns) if best else {"verdict": "missing", "points": 0.0}
        rows.append({**graded, **row, **dict.fromkeys(roster.points, graded["points"])})
    return rows, [record.name for record in records if record.name not in taken]


LONGEST_FILE_NAME = 200
"""Bytes of the name of a student's page; file systems take 255, and a name that is written whole takes some more."""


def page_name(name: str) -> str:
    """The name of a student's page: that of the submission, shortened if need be."""
    encoded = os.fsencode(f"{name}.md")
    if len(encoded) <= LONGEST_FILE_NAME:
        return f"{name}.md"
    return f"{encoded[:LONGEST_FILE_NAME].decode(errors='ignore')}-{checksum(encoded)[:8]}.md"


def write_outputs(
    records: Sequence[GradeRecord],
    made: Mapping[str, object],
    roster: Roster | None = None,
    *,
    table: Path | None = None,
    page: Path | None = None,
    feedback: Path | None = None,
    gradescope: Path | None = None,
) -> tuple[list[str], list[str]]:
    """Write every file that is wanted; the submissions that are not in the roster, and which files failed and why."""
    rows, strangers = ([record.columns for record in records], []) if roster is None else matched(roster, records)
    columns = dict.fromkeys((*(roster.columns if roster else ()), *COLUMNS))
    contents: dict[Path | None, str] = {table: grades_csv(rows, tuple(columns))}
    contents |= {page: grades_page(records, made)} if page else {}
    contents |= {gradescope: json.dumps(gradescope_document(records[0]), indent=1)} if gradescope else {}
    contents |= {feedback / page_name(record.name): record.page for record in records} if feedback else {}
    failures = []
    for path, text in contents.items():
        try:
            if path is not None:
                write_whole(path, text.encode())
        except OSError as error:
            failures.append(str(error))
    return strangers, failures
