"""One submission graded, and many at once."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.checks.networks.bug_explanations import join_names
from harness.facts.fact import Fact, Severity, doubt, kinds_of, note, wrong
from harness.facts.kinds import Kind
from harness.grading import Hints
from harness.grading.convention_search import find_interface
from harness.grading.exercises import COURSE_MODEL, Exercise, small_exercises, tiny_exercises, with_fixed_l2
from harness.grading.given_answers import GivenAnswers, collect_answers, told_once
from harness.grading.grade import (
    ANSWERED,
    ARGUMENTS,
    DISAGREE,
    Grade,
    Part,
    Rubric,
    judge_by_specification,
    judge_helpers,
    judge_parts,
    verdict_of,
    wrong_helpers,
)
from harness.grading.helper_checks import ABSENT, WRONG, HelperVerdict, check_helpers
from harness.grading.submission_files import Submission
from harness.grading.submission_interface import Interface, ShownAnswer
from harness.grading.submission_process import CallFailed, SubmissionProcess, interrupt_all
from harness.grading.wrong_answers import Explained, explain, find_other_exercise
from reference.user_input import error_in_words

TIMEOUT = 10.0  # seconds of CPU time for each call: the course's network on all of its digits takes less than one

POLLING = 0.05
"""Seconds between two attempts to end the processes of an interrupted grading: a thread may just be starting one."""

UNREAD = (Kind.NOT_READABLE, Kind.CELL_LEFT_OUT)  # notes that some of the code is not known


@dataclass(frozen=True)
class GradingPlan:
    """How a class is graded."""

    rubric: Rubric = field(default_factory=Rubric)  # points and conventions; by default close to the course's
    # what students' pages tell
    hints: Hints = Hints.BUG
    reveal: bool = False
    function: str | None = None  # the name of the function to call; by default found by name and parameters
    timeout: float = TIMEOUT  # seconds of CPU time for each call
    # folders with data files and with modules that submissions use and did not hand in
    data: Path | None = None
    beside: Path | None = None
    is_one: bool = False  # whether a folder is one submission, for its author
    sandbox: bool = False  # whether submissions run in a sandbox


DEFAULT_PLAN = GradingPlan()


def grade_all(submissions: Sequence[Submission], plan: GradingPlan = DEFAULT_PLAN) -> Iterator[tuple[int, Grade]]:
    """The number and the grade of each submission, as they come."""
    for exercise in small_exercises():
        exercise.tolerances("float64")  # computed once, before threads need it
    threads = ThreadPoolExecutor(os.cpu_count() or 1)
    futures = {threads.submit(grade, submission, plan): number for number, submission in enumerate(submissions)}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:  # all are done, or this is Ctrl-C, which must not wait for a submission that never answers
        threads.shutdown(wait=False, cancel_futures=True)
        while not all(future.done() for future in futures):
            interrupt_all()
            time.sleep(POLLING)


def grade(submission: Submission, plan: GradingPlan = DEFAULT_PLAN) -> Grade:
    """The grade of one submission, which runs in a process of its own; an error in it keeps no other from its grade."""
    started = time.perf_counter()
    try:
        found = _grade_in_process(submission, plan)
    except Exception as error:  # noqa: BLE001  an error in one submission must not end the class
        found = Grade(submission, diagnosis=(doubt(Kind.GRADING_FAILED, reason=error_in_words(error)),))
    return replace(found, seconds=time.perf_counter() - started)


def _grade_in_process(submission: Submission, plan: GradingPlan, *, with_needed: bool = False) -> Grade:
    """The grade; only if a name is missing, the statements that set it are run as well, and all is done once more.

    ``X, y = load_data()`` of a file may take long or fail, and mostly no function reads them.
    """
    if submission.error:
        return Grade(submission, diagnosis=(submission.error,), notes=submission.notes[1:])
    process = SubmissionProcess(submission, plan.timeout, data=plan.data, sandbox=plan.sandbox, with_needed=with_needed)
    with closing(process):
        interface = find_interface(process, plan.function)
        found = judge(process, interface, plan.rubric, with_needed=with_needed)
    lacks_name = interface.failure and any(failure.is_missing_name for failure in interface.failures)
    if with_needed or not (lacks_name or any(helper.lacks_name for helper in found.helpers.values())):
        return found
    return _grade_in_process(submission, plan, with_needed=True)


def judge(process: SubmissionProcess, interface: Interface, rubric: Rubric, *, with_needed: bool = False) -> Grade:
    """The grade of a submission that is loaded, called through an interface that was found."""
    submission = process.submission
    notes = (*submission.notes, *([note(Kind.WHOLE_FILE_RUN)] if with_needed else []))
    graded = Grade(submission, helpers=_judged_helpers(process, interface, rubric), notes=notes)
    # a regression of exercise 2 has no hidden layer, and tanh units are another course's: both may be right for that
    is_of_course = not interface.failure and interface.model == COURSE_MODEL
    if not is_of_course and (other := find_other_exercise(process)):
        return _without_answers(replace(graded, helpers={}), other, rubric)
    if interface.failure:
        return _without_answers(graded, interface.failure, rubric)
    given = collect_answers(process, interface, interface.exercises).without_missing_classes
    if not given.answers:
        return _without_answers(graded, _failures(given)[0], rubric)
    excused = [failure for failure in given.failures.values() if failure not in given.faults]
    graded = replace(graded, notes=(*notes, *given.notes_on(interface, excused)))
    if given.is_spoilt:
        graded = replace(graded, helpers={**graded.helpers, ARGUMENTS: HelperVerdict(WRONG, given.change)})
    return _grade_answers(graded, given, process, interface, rubric)


def _grade_answers(
    graded: Grade, given: GivenAnswers, process: SubmissionProcess, interface: Interface, rubric: Rubric
) -> Grade:
    """The grade of a submission that has given answers, with what explains those that are wrong."""
    submission = process.submission
    refused = rubric.refused((*submission.conventions, *interface.conventions))
    parts = {**judge_parts(graded.helpers, interface, given)}
    parts |= dict.fromkeys(("cost", "gradient"), Part(WRONG)) if refused else {}
    # a wrong engine of scalars explains every wrong gradient that it computes
    has_reason = bool(refused) or WRONG in graded.helpers.get("operations", ())
    explained = Explained() if has_reason else explain(process, interface, given, parts)
    if not explained.is_understood:
        return _without_answers(graded, find_other_exercise(process) or explained.facts[0], rubric)
    # where something else makes parts wrong, the gradient shows nothing of the helper
    helpers = graded.helpers
    if not has_reason:
        helpers = judge_by_specification(helpers, parts["gradient"], explained.facts)
    parts |= judge_helpers(helpers, {name: parts[name] for name in ANSWERED})
    failures = _failures(given)
    verdict = verdict_of(parts, has_failures=bool(failures))
    refusals = (wrong(Kind.CONVENTION_REFUSED, convention) for convention in refused)
    # a wrong helper is the likeliest cause of what no bug explains, and of what its own mistake does
    causes = explained.facts, wrong_helpers(helpers)
    likeliest, other = causes if explained.bugs and helpers == graded.helpers else causes[::-1]
    # what one call alone returns is no example of what depends on earlier ones
    is_shown = verdict == DISAGREE and not refused and explained.is_repeatable
    first = given.first_wrong
    # answers that change, of which nothing was right, show no convention
    is_known = explained.is_repeatable or any(any(attempt.right) for attempt in interface.attempts)
    conventions = (*submission.conventions, *(interface.conventions if is_known else ()))
    return replace(
        graded,
        helpers=helpers,
        verdict=verdict,
        parts=parts,
        points=rubric.points_for(parts),
        diagnosis=(*refusals, *likeliest, *other, *failures, *_lacking(parts, interface, verdict)),
        links={name: submission.link(one.call.function) for name, one in interface.by_part.items() if one},
        bugs=tuple(map(join_names, explained.bugs)),
        conventions=(*conventions, *(each for helper in helpers.values() for each in helper.conventions)),
        smallest=_smallest_failure(process, interface, given) if is_shown else None,
        probe=ShownAnswer(first, given.answers[first], interface),
    )


def _failures(given: GivenAnswers) -> list[Fact]:
    """Calls that failed: no fault of the function while conventions were tried, and one now."""
    return [replace(fact, severity=Severity.WRONG) for fact in told_once(given.faults)]


def _lacking(parts: Mapping[str, Part], interface: Interface, verdict: str) -> tuple[Fact, ...]:
    """The answers that count and that no function gives, and functions that were not taken for theirs."""
    missing = [name for name in interface.by_part if parts[name].outcome == ABSENT and parts[name].counts]
    make = wrong if verdict == DISAGREE else doubt
    # that no gradient was returned is untrue of one of another shape
    is_refused = missing == ["gradient"] and Kind.GRADIENT_SHAPE in kinds_of(interface.refused)
    return (*(() if is_refused else (make(Kind.PART_MISSING, *missing),)), *interface.refused) if missing else ()


def _judged_helpers(process: SubmissionProcess, interface: Interface, rubric: Rubric) -> dict[str, HelperVerdict]:
    """The helpers, where the file can be run at all; one whose convention the rubric refuses is wrong."""
    if any(failure.is_loading for failure in interface.failures):
        return {}
    helpers = dict(check_helpers(process, interface))
    for name, helper in helpers.items():
        if refused := rubric.refused(helper.conventions):
            helpers[name] = HelperVerdict(WRONG, wrong(Kind.CONVENTION_REFUSED, *refused))
    return helpers


def _without_answers(graded: Grade, why: Fact, rubric: Rubric) -> Grade:
    """The grade where neither cost nor gradient can be judged; right helpers keep their points."""
    # what is called in an unknown way may be right, and its helpers with it
    is_unknown = why.kind == Kind.CONVENTION_UNKNOWN
    helpers = graded.helpers if is_unknown else judge_by_specification(graded.helpers)
    parts = judge_parts(helpers)
    # no function was found: it may stand in the file or the cell that could not be read, which then comes first
    unread = [fact for fact in graded.notes if why.kind == Kind.NO_HOMEWORK_FUNCTION and fact.kind in UNREAD]
    doubts = (replace(fact, severity=Severity.DOUBT) for fact in unread)
    return replace(
        graded,
        helpers=helpers,
        parts=parts,
        points=rubric.points_for(parts),
        diagnosis=(*doubts, why, *wrong_helpers(helpers)),
        notes=tuple(fact for fact in graded.notes if fact not in unread),
    )


def _smallest_failure(process: SubmissionProcess, interface: Interface, given: GivenAnswers) -> ShownAnswer | None:
    """The smallest exercise on which it is wrong."""
    tiny = () if interface.only_at else with_fixed_l2(tiny_exercises(), interface.l2)
    exercises: list[Exercise] = [*(exercise.of_model(interface.model) for exercise in tiny), *given.answers]
    for exercise in exercises:
        try:
            answer = interface.answer(process, exercise)
        except CallFailed:
            continue
        if exercise.has_wrong_part(answer):
            return ShownAnswer(exercise, answer, interface)
    return None
