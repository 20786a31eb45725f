"""The search for the way in which a submission wants to be called.

    functions, and readings of their parameters        the likeliest first
        conventions of a table                         the most usual first
            parts of what is returned                  the last first: the regularised ones
                networks that it may be the answer of  this course's first

Each of these is an `Attempt` at one exercise. A right answer ends the search. Among wrong ones, the bug zoo decides:
where a known bug gives just this answer, the convention is the right one.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.grading.best_attempts import Candidate, Trials, best_interface, explained_places, interface_of
from harness.grading.call_conventions import CONVENTIONS, JOINED, LABELS, OF_THE_COURSE, ORDERS, Convention
from harness.grading.exercises import (
    MODELS,
    THE_COURSES,
    Exercise,
    Model,
    course_exercises,
    find_fixed_l2,
    small_exercises,
    with_fixed_l2,
)
from harness.grading.parameter_roles import named_roles, readings
from harness.grading.submission_answers import ParsedAnswer, possible_picks
from harness.grading.submission_files import Submission
from harness.grading.submission_functions import likelihood
from harness.grading.submission_interface import Attempt, Call, Interface
from harness.grading.submission_process import CallFailed, Returned, SubmissionProcess
from reference.user_input import did_you_mean

MOST_FUNCTIONS = 8
"""The likeliest functions of a submission are tried; one among them is the homework's."""

MOST_FATAL = 2
"""So many functions may end their process or take too long; then no other is tried."""

ALL_EXAMPLES = "5000"
"""A number in code that is written for all of the course's examples."""

COURSE_NUMBERS = (ALL_EXAMPLES, "400", "401", "10025", "10285")
"""Numbers in code that is written for the course's data alone."""


NAMES_OF_UNITS = {"relu": r"(?i)relu|maximum|\bmax\b|[<>]|\babs\b|where|clip", "tanh": "(?i)tanh"}
"""What stands in code with such hidden units."""

UNNAMED = 10.0
"""Times the distance of an answer from that of a network whose units the code does not name."""


def find_interface(process: SubmissionProcess, named: str | None = None) -> Interface:
    """The best way to call a submission, of all functions and conventions.

    Parameters
    ----------
    named : the function to call; by default those whose name and parameters look like the homework's
    """
    submission = process.submission
    candidates = find_candidates(submission, named)
    if not candidates:
        return Interface(failure=_no_function(submission, named))
    l2 = _fixed_l2(process, candidates)
    exercises = with_fixed_l2(small_exercises(), l2)
    found = _search(process, candidates, exercises, CONVENTIONS)
    few = _right_for_few_classes(process, found)
    if few is False and found.of_cost and found.of_cost.call.convention.labels not in LABELS:
        found = _search(process, candidates, exercises, [each for each in CONVENTIONS if each.labels in LABELS])
    elif few is None:
        rest = tuple(exercise for exercise in found.exercises if not exercise.has_few_classes)
        found = replace(found, exercises=rest, only_at="ten classes")
    if l2 is not None and not found.failure:
        return replace(found, l2=l2)
    if found.is_right or found.is_hopeless:
        return found
    return max((found, *_at_the_courses_sizes(process, candidates, found)), key=_standing)


def _right_for_few_classes(process: SubmissionProcess, found: Interface) -> bool | None:
    """Whether what is right for ten classes is so for fewer, and not by chance; None for code that fails there."""
    few = [] if found.failure else [exercise for exercise in found.exercises if exercise.has_few_classes]
    ten = [attempt.right for attempt in found.attempts]
    right = any(cost for cost, _ in ten), any(gradient for _, gradient in ten)
    try:
        answers = [exercise.is_right(found.answer(process, exercise)) for exercise in few]
    except CallFailed:
        return None
    return all(here >= there for answer in answers for here, there in zip(answer, right))


def find_candidates(submission: Submission, named: str | None) -> list[Candidate]:
    """The functions that may be the homework's, the likeliest first."""
    functions = [function for function in submission.functions if named in (None, function.name, function.author_name)]
    ranked = sorted(functions, key=likelihood, reverse=True)
    found = [function for function in ranked if next(readings(function), None)]
    likely = [function for function in found if named or likelihood(function) >= 0][:MOST_FUNCTIONS]
    return [Candidate(function, roles) for function in likely for roles in readings(function)]


def source_interface(submission: Submission, named: str | None) -> Interface | None:
    """The interface of a gradient source ``f(problem, theta)``, which needs no trying; None for other functions."""
    for function, roles in find_candidates(submission, named)[:1]:
        if "problem" in roles:
            attempt = Attempt(Call(function, roles, Convention()), ParsedAnswer())
            return Interface(attempt, attempt)
    return None


def _no_function(submission: Submission, named: str | None) -> Fact:
    unlike = [function for function in submission.functions if named in (function.name, function.author_name)]
    known = [function.author_name for function in submission.functions]
    return doubt(
        Kind.NO_HOMEWORK_FUNCTION,
        named=named or "",
        unlike=str(unlike[0]) if unlike else "",
        defined=list(map(str, submission.functions)),
        similar=did_you_mean(named, known) if named else "",
    )


def _fixed_l2(process: SubmissionProcess, candidates: Sequence[Candidate]) -> float | None:
    """The λ in the code of a function that takes none, in any usual convention."""
    for function, roles in candidates:
        for convention in () if {"l2", "problem"} & named_roles(roles) else CONVENTIONS:
            if not convention.fits(roles) or convention.blocks.differences():
                continue
            call = Call(function, roles, convention)
            try:
                l2 = find_fixed_l2(lambda exercise, call=call: call.answer(process, exercise))
            except CallFailed as failure:
                if failure.is_futile:
                    return None
            else:
                if l2 is not None:
                    return l2
    return None


def _at_the_courses_sizes(
    process: SubmissionProcess, candidates: Sequence[Candidate], found: Interface
) -> Iterator[Interface]:
    """Interfaces at the course's own sizes, where code may have these numbers in it."""
    text = "".join(file.text for file in process.submission.files)
    if found.failure or any(number in text for number in COURSE_NUMBERS):
        for every in (250, 1) if ALL_EXAMPLES in text else (250,):
            exercises = course_exercises(every)
            there = _search(process, candidates, exercises, OF_THE_COURSE)
            yield replace(there, only_at=exercises[0].name.rpartition(",")[0])
            if not there.failure:
                return


def _standing(interface: Interface) -> tuple[bool, bool, bool, bool]:
    """What is compared to find the best sizes to ask at; of equal ones, the first are taken."""
    attempts = interface.attempts
    is_known = any(attempt.is_explained for attempt in attempts)
    return interface.is_right, any(any(attempt.right) for attempt in attempts), is_known, not interface.failure


# -- the loops ---------------------------------------------------------------------------------------------------------


def _search(
    process: SubmissionProcess,
    candidates: Sequence[Candidate],
    exercises: Sequence[Exercise],
    conventions: Sequence[Convention],
) -> Interface:
    """The best interface on the first of the exercises: a right one, or the best of all."""
    tried: list[Trials] = []
    for candidate in candidates:
        tried.append(_try_conventions(process, candidate, exercises[0], conventions))
        if (best := tried[-1].best) and all(best.right):
            return interface_of(exercises, best, best)
        if sum(one.is_fatal for one in tried) >= MOST_FATAL:
            break
    return best_interface(process, exercises, tried)


def _try_conventions(
    process: SubmissionProcess, candidate: Candidate, exercise: Exercise, conventions: Sequence[Convention]
) -> Trials:
    events = list(_events(process, candidate, exercise, conventions))
    attempts = [event for event in events if isinstance(event, Attempt)]
    if attempts and not any(all(attempt.right) for attempt in attempts):
        known = explained_places(process, attempts, exercise)
        attempts = [replace(attempt, is_explained=place in known) for place, attempt in enumerate(attempts)]
    return Trials(candidate, tuple(attempts), tuple(event for event in events if isinstance(event, CallFailed)))


def _events(
    process: SubmissionProcess, candidate: Candidate, exercise: Exercise, conventions: Sequence[Convention]
) -> Iterator[Attempt | CallFailed]:
    """The answers and failures of a function, up to the first answer whose parts are right."""
    function, roles = candidate
    exhausted: Counter[str] = Counter()  # by the form of θ: calls that took all memory, each of which takes seconds
    for convention in conventions:
        if not convention.fits(roles) or exhausted[convention.theta] >= MOST_FATAL:
            continue
        if "theta" not in roles:
            convention = replace(convention, theta="flat")  # matrices as parameters are no form of θ to report
        call = Call(function, roles, convention)
        try:
            returned = call.returned(process, exercise)
        except CallFailed as failure:
            yield failure
            if failure.is_futile:
                return
            exhausted[convention.theta] += failure.error == "MemoryError"
            continue
        for event in _attempts(call, returned, process.submission, exercise):
            yield event
            if isinstance(event, Attempt):
                is_as_in_other_courses = convention.blocks.arrangement != JOINED and convention.theta != "flat"
                is_done = event.is_right_so_far and not is_as_in_other_courses
                if is_done or all(event.right) or call.is_source:
                    return


def _attempts(
    call: Call, returned: Returned, submission: Submission, exercise: Exercise
) -> Iterator[Attempt | CallFailed]:
    """What was returned, read in every way, and compared with every network that it may be of."""
    convention = call.convention
    value = returned.value[0] if convention.single else returned.value
    # a flat gradient of matrices may lie by columns or by rows
    orders = ORDERS if convention.gives_matrices(call.roles) and _has_vector(value) else (convention.order,)
    for pick, order in product(possible_picks(value, convention, exercise.problem), orders):
        picked = replace(call, convention=replace(convention, pick=pick, order=order))
        for model in _models(call):
            problem = exercise.of_model(model)
            try:
                answer = picked.read(returned, submission, problem)
            except CallFailed as failure:
                yield failure
                break
            distance = problem.distance(answer) * (1.0 if _names_units(submission, model) else UNNAMED)
            yield Attempt(picked, answer, problem.is_right(answer), False, distance, model)


def _names_units(submission: Submission, model: Model) -> bool:
    """Whether code that is wrong may be that of a network: it names its hidden units."""
    pattern = NAMES_OF_UNITS.get(model.hidden, "")
    return any(re.search(pattern, file.text) for file in submission.files)


def _has_vector(value: Any) -> bool:
    """Whether an answer, or a part of it, is a flat array."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else (value,)
    return any(isinstance(item, np.ndarray) and item.ndim == 1 and item.size > 1 for item in items)


def _models(call: Call) -> Iterator[Model]:
    """The networks that a function may compute: where θ lies as in other courses, theirs as well."""
    in_blocks = {"W1", "weights"} & named_roles(call.roles) or (
        "theta" in call.roles and call.convention.theta != "flat"
    )
    if not in_blocks or call.convention.blocks.arrangement == JOINED:
        yield THE_COURSES
        return
    is_regularised = "l2" in call.roles
    for model in (THE_COURSES, *MODELS):
        # with λ, sigmoid outputs are this course's: other hidden units are a mistake then
        if not is_regularised or model == THE_COURSES or model.output != "sigmoid":
            yield replace(model, regularised=is_regularised)
