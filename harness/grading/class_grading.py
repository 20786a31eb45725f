"""A class graded by a plan, with a record of each submission kept as it comes, or one submission for its author."""

import sqlite3
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind
from harness.grading.grade import Grade
from harness.grading.grade_records import GradeRecord, GradeStore, digest_of, open_store
from harness.grading.grade_reports import record_of
from harness.grading.hint_levels import Hints
from harness.grading.student_feedback import hints_in
from harness.grading.submission_files import Submission, find_submissions, read_submission
from harness.grading.submission_grading import GradingPlan, grade_all
from harness.grading.submission_remarks import remarks_on
from harness.progress import Progress, silent


def _record(plan: GradingPlan, grade: Grade) -> GradeRecord:
    """The record of a grade; the author of a submission reads no more of it than the hints."""
    if plan.is_one and plan.hints != Hints.BUG:
        grade = replace(grade, diagnosis=tuple(hints_in(grade, plan.hints)), notes=(), bugs=())
        return record_of(grade, plan.rubric, reveal=plan.reveal)
    return record_of(grade, plan.rubric, plan.hints, reveal=plan.reveal)


def _submissions(plan: GradingPlan, folder: Path) -> list[Submission]:
    """The submissions in a folder; or the one that it is."""
    if not plan.is_one:
        return find_submissions(folder, plan.beside)
    if not folder.exists():
        raise FileNotFoundError(f"{folder} is not there; give the folder or the file of a submission")
    submission = read_submission(folder.resolve(), plan.beside)
    if submission is None:
        raise ValueError(f"there is no submission in {folder}: no .py or .ipynb file")
    return [submission]


def grade_class(
    folder: Path, plan: GradingPlan, kept: Path | None = None, progress: Progress = silent
) -> tuple[list[GradeRecord], list[str]]:
    """The records of a class, by name, and what could not be kept.

    Parameters
    ----------
    kept : the file that records are written to as they come, and that those of an earlier grading are taken from

    Raises
    ------
    OSError, ValueError
        There is no submission, or the file cannot be used.
    """
    submissions = _submissions(plan, folder)
    with nullcontext() if kept is None else open_store(kept) as store:
        return _grade_missing(submissions, plan, store, progress)


def _grade_missing(
    submissions: Sequence[Submission], plan: GradingPlan, store: GradeStore | None, progress: Progress
) -> tuple[list[GradeRecord], list[str]]:
    remarks = remarks_on(submissions)
    digests = [digest_of(submission, vars(plan), remarks[submission.name]) for submission in submissions]
    found = [store.find(one.name, digest) if store else None for one, digest in zip(submissions, digests)]
    records = {number: record for number, record in enumerate(found) if record}
    left = [number for number in range(len(submissions)) if number not in records]
    failures: dict[str, None] = {}
    if records:
        progress("grading", len(records), len(submissions))
    waiting = [submissions[number] for number in left]
    for place, grade in grade_all(waiting, plan):
        number = left[place]
        records[number] = _record(plan, replace(grade, remarks=remarks[grade.name]))
        try:
            if store is not None and not failures and Kind.GRADING_FAILED not in kinds_of(grade.diagnosis):
                store.add(digests[number], records[number])
        except (sqlite3.Error, OSError) as error:
            failures[f"Grades are not kept from {grade.name} on ({error}); the same command grades them again."] = None
        progress("grading", len(records), len(submissions))
    return [records[number] for number in sorted(records)], list(failures)
