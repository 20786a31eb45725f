"""The search for the way in which a submission wants to be called: every function, in every convention."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.grading.call_conventions import (
    LABELS,
    TEN_FIRST,
    ZERO_LAST,
    Convention,
    all_conventions,
    conventions_of_ten,
)
from harness.grading.convention_trials import Candidate, Trials, best_of, try_conventions
from harness.grading.exercises import Exercise, course_exercises, find_fixed_l2, small_exercises, with_fixed_l2
from harness.grading.parameter_roles import named_roles, readings
from harness.grading.submission_answers import ParsedAnswer
from harness.grading.submission_files import Submission
from harness.grading.submission_functions import likelihood
from harness.grading.submission_interface import Attempt, Call, Interface
from harness.grading.submission_process import CallFailed, SubmissionProcess
from reference.user_input import did_you_mean

MOST_FUNCTIONS = 8
"""The likeliest functions of a submission are tried; one among them is the homework's."""

MOST_FATAL = 2
"""So many functions may end their process or take too long; then no other is tried."""

MOST_PARAMETERS = 1000
"""Of a network that is asked for one example at a time, which may be made of scalars."""

ALL_EXAMPLES = "5000"
"""A number in code that is written for all of the course's examples."""

COURSE_NUMBERS = (ALL_EXAMPLES, "400", "401", "10025", "10285")
"""Numbers in code that is written for the course's data alone."""


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
    found = _best_interface(process, candidates, exercises, list(all_conventions()))
    if l2 is not None and not found.failure:
        return replace(found, l2=l2)
    found = _with_labels_of_ten(process, found)
    if found.is_right or found.is_hopeless:
        return found
    return max((found, *_elsewhere(process, candidates, found)), key=_standing)


def _standing(interface: Interface) -> tuple[bool, bool, bool, bool]:
    """What is compared to find the best sizes to ask at; of equal ones, the first are taken."""
    attempts = interface.attempts
    is_known = any(attempt.is_explained for attempt in attempts)
    return interface.is_right, any(any(attempt.right) for attempt in attempts), is_known, not interface.failure


def _elsewhere(process: SubmissionProcess, candidates: Sequence[Candidate], found: Interface) -> Iterator[Interface]:
    """Interfaces for ten classes, and at the course's own sizes, where code may have these numbers in it."""
    conventions = list(conventions_of_ten())
    if not found.failure and not any(any(attempt.right) for attempt in found.attempts):
        ten_first = [convention for convention in conventions if convention.labels == TEN_FIRST]
        yield _best_interface(process, candidates, found.exercises, ten_first, use_zoo=False)
    text = "".join(file.text for file in process.submission.files)
    if found.failure or any(number in text for number in COURSE_NUMBERS):
        for every in (250, 1) if ALL_EXAMPLES in text else (250,):
            exercises = course_exercises(every)
            there = _best_interface(process, candidates, exercises, conventions)
            yield replace(there, only_at=exercises[0].name.rpartition(",")[0])
            if not there.failure:
                return


def _with_labels_of_ten(process: SubmissionProcess, found: Interface) -> Interface:
    """The interface with the labels of ten classes in which it is right there, if those for few classes mislead."""
    ten = [exercise for exercise in found.exercises if exercise.problem.Y.shape[1] == 10]
    if found.only_at or not (found.of_cost and ten):
        return found
    if found.of_cost.call.convention.labels != LABELS[0] or not any(found.of_cost.right):
        return found
    for version in (found, _relabelled(found, ZERO_LAST)):
        try:
            if any(ten[0].is_right(version.answer(process, ten[0]))):
                return version
        except CallFailed:
            continue
    return found


def _relabelled(found: Interface, labels: str) -> Interface:
    def changed(attempt: Attempt | None) -> Attempt | None:
        if attempt is None:
            return None
        convention = replace(attempt.call.convention, labels=labels)
        return replace(attempt, call=replace(attempt.call, convention=convention))

    of_cost = changed(found.of_cost)
    same = found.of_gradient is found.of_cost
    return replace(found, of_cost=of_cost, of_gradient=of_cost if same else changed(found.of_gradient))


def source_interface(submission: Submission, named: str | None) -> Interface | None:
    """The interface of a gradient source ``f(problem, theta)``, which needs no trying; None for other functions."""
    for function, roles in find_candidates(submission, named)[:1]:
        if "problem" in roles:
            attempt = Attempt(Call(function, roles, Convention()), ParsedAnswer())
            return Interface(attempt, attempt)
    return None


def find_candidates(submission: Submission, named: str | None) -> list[Candidate]:
    """The functions that may be the homework's, the likeliest first."""
    functions = [function for function in submission.functions if named in (None, function.name, function.author_name)]
    ranked = sorted(functions, key=likelihood, reverse=True)
    found = [function for function in ranked if next(readings(function), None)]
    likely = [function for function in found if named or likelihood(function) >= 0][:MOST_FUNCTIONS]
    return [Candidate(function, roles) for function in likely for roles in readings(function)]


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
        for convention in () if {"l2", "problem"} & named_roles(roles) else all_conventions():
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


def _best_interface(
    process: SubmissionProcess,
    candidates: Sequence[Candidate],
    exercises: Sequence[Exercise],
    conventions: Sequence[Convention],
    *,
    use_zoo: bool = True,
) -> Interface:
    """The best interface on the first of the exercises; with `use_zoo`, the bug zoo decides between wrong attempts."""
    exercise = exercises[0]
    tried: list[Trials] = []
    for candidate in candidates:
        tried.append(try_conventions(process, candidate, exercise, conventions, use_zoo=use_zoo))
        best = tried[-1].best
        if best and all(best.right):
            return _interface(exercises, best, best)
        if sum(one.is_fatal for one in tried) >= MOST_FATAL:
            break
    best = [one.best for one in tried if one.best]
    failures = tuple(failure for one in tried for failure in one.failures)
    fatal = tuple(failure for failure in failures if failure.is_fatal)
    whole = best_of([attempt for attempt in best if attempt.answer.is_whole])
    if whole and not _are_better(best, whole):
        return _interface(exercises, whole, whole, failures=fatal)
    if not best:
        failure = _telling(failures).fact if failures else doubt(Kind.CONVENTION_UNKNOWN)  # none fits its parameters
        return Interface(failure=failure, failures=fatal or failures)
    return _two_halves(process, exercises, tried, fatal)


def _interface(exercises: Sequence[Exercise], cost: Attempt | None, gradient: Attempt | None, **options) -> Interface:
    found = next(attempt for attempt in (cost, gradient) if attempt)
    model, is_slow = found.model, found.call.convention.single
    exercises = [exercise for exercise in exercises if not is_slow or exercise.theta.size <= MOST_PARAMETERS]
    return Interface(cost, gradient, exercises=tuple(exercise.of_model(model) for exercise in exercises), **options)


def _are_better(attempts: Sequence[Attempt], whole: Attempt) -> bool:
    """Whether a cost and a gradient of two functions are both right, where a function of both is not."""
    halves = [attempt for attempt in attempts if not attempt.answer.is_whole]
    right = [attempt.right for attempt in halves]
    return not all(whole.right) and any(cost for cost, _ in right) and any(gradient for _, gradient in right)


def _telling(failures: Sequence[CallFailed]) -> CallFailed:
    """The failure that tells most: of what is missing, of an end, of an answer, or else that which got farthest."""
    missing = [failure for failure in failures if failure.fact.kind == Kind.NOT_HANDED_IN]
    fatal = [failure for failure in failures if failure.is_fatal]
    answered = [failure for failure in failures if failure.outcome == "answered"]
    farthest = max(failures, key=lambda failure: failure.line)
    return (*missing, *fatal, *answered, farthest)[0]


def _two_halves(
    process: SubmissionProcess, exercises: Sequence[Exercise], tried: Sequence[Trials], fatal: tuple[CallFailed, ...]
) -> Interface:
    """The interface where one function gives the cost and another the gradient, or one of them is missing."""
    exercise = exercises[0]
    best = [one.best for one in tried if one.best]
    of_cost = best_of([attempt for attempt in best if attempt.answer.cost is not None])
    of_gradient = best_of([attempt for attempt in best if attempt.answer.cost is None])
    if of_cost and of_gradient:
        alike = [attempt for one in tried for attempt in one.attempts if attempt.answer.cost is None]
        alike = [attempt for attempt in alike if attempt.model == of_cost.model]
        if of_cost.right[0] and of_gradient.model != of_cost.model:
            of_gradient = best_of(alike) or of_gradient
        if of_cost.right[0] and not (of_gradient.is_explained or of_gradient.right[1]):
            # a gradient that is wrong in every convention is read in the one in which the cost is right
            of_gradient = _in_convention(of_cost.call.convention, alike) or of_gradient
        return _interface(exercises, of_cost, of_gradient, failures=fatal)
    half = of_cost or of_gradient
    assert half is not None
    silent = [one.candidate for one in tried if not one.attempts]
    refused = _refusals(process, silent, replace(half.call.convention, pick=None), exercise)
    return _interface(exercises, of_cost, of_gradient, failures=fatal, refused=tuple(refused))


def _in_convention(convention: Convention, attempts: Sequence[Attempt]) -> Attempt | None:
    """The nearest attempt in which θ and data are given as in a convention."""
    wanted = replace(convention, pick=None)
    alike = [attempt for attempt in attempts if replace(attempt.call.convention, pick=None) == wanted]
    return min(alike, key=lambda attempt: attempt.distance, default=None)


def _refusals(
    process: SubmissionProcess, silent: Sequence[Candidate], convention: Convention, exercise: Exercise
) -> Iterator[Fact]:
    """Why functions that answer in no convention do not in the one in which others do."""
    for function, roles in silent:
        if convention.fits(roles):
            try:
                Call(function, roles, convention).answer(process, exercise)
            except CallFailed as failure:
                yield failure.fact
