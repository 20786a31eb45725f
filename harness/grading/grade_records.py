"""What is kept of a grade: plain values that every report is made of, one row of a SQLite file for each submission.

Rows are written as they come. The same command goes on where another was ended: a submission whose files and settings
are those of its row is not graded again.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.facts.fact import Fact
from harness.files import exclusive_lock
from harness.grading.submission_files import Submission
from harness.seals import checksum, sealed, unsealed

SCHEMA = "harness.grades/3"
"""Version 3: remarks, and points of the largest possible."""


@dataclass(frozen=True)
class GradeRecord:
    """A grade as reports show it, JSON-ready.

    Attributes
    ----------
    columns : the row of the table, by column
    diagnosis, notes : facts as documents
    lines : what is wrong and what is worth knowing, a sentence each
    page : the student's page, in Markdown
    section : the teacher's section, in HTML; empty where all is right
    parts : (name, points, largest points, outcome) of each part that counts
    """

    columns: Mapping[str, Any]
    diagnosis: list[Any] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    page: str = ""
    section: str = ""
    parts: list[Any] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.columns["submission"]

    @property
    def verdict(self) -> str:
        return self.columns["verdict"]


class GradeStore:
    """The records of gradings into one file that is open."""

    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection

    def find(self, name: str, digest: str) -> GradeRecord | None:
        """The record of a submission, if it was graded as it is now, and the record is as it was written."""
        query = "SELECT record FROM grades WHERE name = ? AND digest = ?"
        found = self._connection.execute(query, (name, digest)).fetchone()
        try:
            return GradeRecord(**unsealed(name, found[0], SCHEMA)) if found else None
        except ValueError:  # damaged, or of another release: it is graded again
            return None

    def add(self, digest: str, record: GradeRecord) -> None:
        """Write a record, which replaces an earlier one of the same submission."""
        values = record.name, digest, sealed(SCHEMA, asdict(record)).decode()
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO grades VALUES (?, ?, ?)", values)


@contextmanager
def open_store(path: Path) -> Iterator[GradeStore]:
    """The records in a file, made if need be, which no other grading writes to meanwhile.

    Raises
    ------
    OSError, ValueError
        Another grading is writing to it, it cannot be written to, or it is no file of grades.
    """
    with exclusive_lock(path):
        try:
            with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
                connection.text_factory = bytes  # the seal finds damage in it
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS grades (name TEXT PRIMARY KEY, digest TEXT, record TEXT)"
                )
                yield GradeStore(connection)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"cannot keep grades in {path} ({error}); move it away, or choose another place") from None


def digest_of(submission: Submission, settings: Mapping[str, Any], remarks: Sequence[Fact]) -> str:
    """What a grade depends on, in a few letters: the submission's files, how it is graded, and its neighbours."""
    files = [(file.name, file.text, str(file.error)) for file in submission.files]
    given = json.dumps([SCHEMA, files, str(remarks), {name: repr(value) for name, value in settings.items()}])
    return checksum(given.encode())


LONGEST_FILE_NAME = 200
"""Bytes of the name of a student's page; file systems take 255, and a name that is written whole takes some more."""


def page_name(name: str) -> str:
    """The name of a student's page: that of the submission, shortened if need be."""
    encoded = os.fsencode(f"{name}.md")
    if len(encoded) <= LONGEST_FILE_NAME:
        return f"{name}.md"
    mark = checksum(encoded)[:8]
    return f"{encoded[:LONGEST_FILE_NAME].decode(errors='ignore')}-{mark}.md"
