"""A class graded by a plan, or one submission for its author, with records kept in a SQLite file; and remarks on it.

Rows are written as they come. The same command goes on where another was ended: a submission whose files and settings
are those of its row is not graded again.
"""

import ast
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from harness import __version__
from harness.facts.fact import Fact, kinds_of, note
from harness.facts.kinds import Kind
from harness.files import exclusive_lock
from harness.grading import Hints
from harness.grading.grade_reports import SCHEMA, GradeRecord, record_of
from harness.grading.student_feedback import hints_in
from harness.grading.submission_files import Submission, find_submissions, read_submission
from harness.grading.submission_grading import GradingPlan, grade_all
from harness.progress import Progress, silent
from harness.seals import checksum, sealed, unsealed


class GradeStore(NamedTuple):
    """The records of gradings in a file that is open."""

    connection: sqlite3.Connection

    def find(self, name: str, digest: str) -> GradeRecord | None:
        """The record of a submission, if it was graded as it is now, and the record is as it was written."""
        query = "SELECT record FROM grades WHERE name = ? AND digest = ?"
        found = self.connection.execute(query, (name, digest)).fetchone()
        try:
            return GradeRecord(**unsealed(name, found[0], SCHEMA)) if found else None
        except ValueError:  # damaged, or of another release: it is graded again
            return None

    def add(self, digest: str, record: GradeRecord) -> None:
        """Write a record, which replaces an earlier one of the same submission."""
        values = record.name, digest, sealed(SCHEMA, asdict(record)).decode()
        with self.connection:
            self.connection.execute("INSERT OR REPLACE INTO grades VALUES (?, ?, ?)", values)


@contextmanager
def open_store(path: Path) -> Iterator[GradeStore]:
    """The records in a file, made if need be, which no other grading writes to meanwhile.

    Raises OSError or ValueError where another grading is writing to it, it cannot be written to, or it is no file of
    grades.
    """
    with exclusive_lock(path):
        try:
            with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
                # damaged text need not be UTF-8: the seal finds that, and not the decoder
                connection.text_factory = bytes
                table = "grades (name TEXT PRIMARY KEY, digest TEXT, record TEXT)"
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
                yield GradeStore(connection)
        except sqlite3.DatabaseError as error:
            raise ValueError(f"cannot keep grades in {path} ({error}); move it away, or choose another place") from None


def _digest_of(submission: Submission, plan: GradingPlan, remarks: Sequence[Fact]) -> str:
    """What a grade depends on, in a few letters: the submission's files, by what it is graded, and its neighbours."""
    files = [(file.name, file.text, str(file.error)) for file in submission.files]
    return checksum(json.dumps([SCHEMA, __version__, files, str(remarks), repr(plan)]).encode())


def _submissions(plan: GradingPlan, folder: Path) -> list[Submission]:
    """The submissions in a folder; or the one that it is."""
    if not plan.is_one:
        return find_submissions(folder, plan.beside)
    if not folder.exists():
        raise FileNotFoundError(f"{folder} is not there; give the folder or the file of a submission")
    if submission := read_submission(folder.resolve(), plan.beside):
        return [submission]
    raise ValueError(f"there is no submission in {folder}: no .py or .ipynb file")


def grade_class(
    folder: Path, plan: GradingPlan, kept: Path | None = None, progress: Progress = silent
) -> tuple[list[GradeRecord], list[str]]:
    """The records of a class, by name, and what could not be kept.

    Records are written to the file `kept` as they come, and those of an earlier grading are taken from it. Raises
    OSError or ValueError where there is no submission, or the file cannot be used.
    """
    submissions, failures = _submissions(plan, folder), list[str]()
    remarks = remarks_on(submissions)
    with nullcontext() if kept is None else open_store(kept) as store:
        digests = [_digest_of(submission, plan, remarks[submission.name]) for submission in submissions]
        found = [store.find(one.name, digest) if store else None for one, digest in zip(submissions, digests)]
        records = {number: record for number, record in enumerate(found) if record}
        if records:
            progress("grading", len(records), len(submissions))
        left = [number for number in range(len(submissions)) if number not in records]
        for place, grade in grade_all([submissions[number] for number in left], plan):
            number, hints = left[place], plan.hints
            shown = replace(grade, remarks=remarks[grade.name])
            if plan.is_one and hints != Hints.BUG:  # its author reads no more of it than the hints, on any page
                shown, hints = replace(shown, diagnosis=tuple(hints_in(shown, hints)), notes=(), bugs=()), Hints.BUG
            records[number] = record_of(shown, plan.rubric, hints, reveal=plan.reveal)
            try:
                # a machine that ran out of processes may have more next time
                did_fail = Kind.GRADING_FAILED in kinds_of(grade.diagnosis)
                if store and not failures and not did_fail:
                    store.add(digests[number], records[number])
            except (sqlite3.Error, OSError) as error:
                why = f"Grades are not kept from {grade.name} on ({error})"
                failures.append(f"{why}; the same command grades them again.")
            progress("grading", len(records), len(submissions))
        return [records[number] for number in sorted(records)], failures


# -- remarks: whether somebody else's work may be in a submission, which a teacher may want to look at -----------------

DERIVATIVES = {
    "jax": ("grad", "value_and_grad", "jacrev", "jacfwd", "vjp", "jvp"),
    "autograd": ("grad", "value_and_grad", "elementwise_grad", "jacobian"),
    "torch": ("backward", "grad"),
    "tensorflow": ("GradientTape", "gradients"),
    "numdifftools": ("Gradient", "Jacobian"),
    "scipy": ("approx_fprime", "approx_derivative"),
    "sklearn": ("MLPClassifier",),
    "keras": ("fit",),
    "harness": ("",),
}
"""By library: the names with which it computes a gradient; any name of this project's own."""


def remarks_on(submissions: Sequence[Submission]) -> dict[str, tuple[Fact, ...]]:
    """The remarks on each submission of a class, by its name."""
    homework = {submission.name: _homework(submission) for submission in submissions}
    found = {}
    for submission in submissions:
        own = homework[submission.name]
        others = sorted(name for name, codes in homework.items() if name != submission.name and own.keys() & codes)
        functions = sorted({own[code] for name in others for code in own.keys() & homework[name]})
        copies = [note(Kind.SAME_CODE, *others, functions=functions)] if others else []
        paths = [submission.path, *(submission.path / file.shown for file in submission.files if file.is_own)]
        links = [note(Kind.LINKED_FILE, path.name, target=str(path.readlink())) for path in paths if path.is_symlink()]
        found[submission.name] = (*_libraries(submission), *copies, *links)
    return found


def _homework(submission: Submission) -> dict[str, str]:
    """The functions of the homework in a submission: their names by what is in them, without docstrings."""
    wanted = {(function.file, function.author_name.partition(".")[0]) for function in submission.homework}
    found = {}
    for file in submission.files:
        for node in file.tree.body if file.is_own else ():
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and (file.name, node.name) in wanted:
                fields: dict[str, Any] = {"body": node.body[ast.get_docstring(node) is not None :] or node.body}
                found[ast.dump(type(node)(**vars(node) | fields))] = node.name
    return found


def _libraries(submission: Submission) -> Iterator[Fact]:
    """Libraries that the code imports, and calls for a gradient."""
    for file in (file for file in submission.files if file.is_own):
        names = {getattr(node, field, "") for node in ast.walk(file.tree) for field in ("attr", "id", "name")}
        for library in sorted(file.libraries & DERIVATIVES.keys()):
            used = [name for name in DERIVATIVES[library] if name in names]
            if used:
                yield note(Kind.LIBRARY_GRADIENT, file.shown, library=f"{library}.{used[0]}".rstrip("."))
