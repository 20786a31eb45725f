"""The search for the way in which a submission wants to be called: every function, in every convention.

A call is tried on one small exercise. A right answer ends the search. Among wrong ones, the bug zoo decides: where a
known bug gives just this answer, the convention is the right one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from harness.checks.networks.bug_explanations import is_explained
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.grading.call_conventions import Convention, all_conventions
from harness.grading.exercises import Exercise, course_exercises, find_fixed_l2, small_exercises, with_fixed_l2
from harness.grading.submission_answers import ParsedAnswer, possible_picks
from harness.grading.submission_files import Submission
from harness.grading.submission_functions import Function, Role, likelihood, roles_of
from harness.grading.submission_interface import Attempt, Call, Interface
from harness.grading.submission_process import CallFailed, SubmissionProcess
from harness.wording import did_you_mean

MOST_FUNCTIONS = 5
"""The likeliest functions of a file are tried; one among them is the homework's."""

NEAREST = 8
"""So many answers in unusual conventions, the nearest to the right one, are compared with the bug zoo."""

COURSE_NUMBERS = {5000, 400, 401, 10025, 10285}
"""Numbers in code that is written for the course's data alone."""

AT_COURSE_SIZES = 2
"""So many functions are tried at the course's own sizes, where each call may be slow."""


class Candidate(NamedTuple):
    """A function that may be the homework's, and the roles of its parameters."""

    function: Function
    roles: tuple[Role, ...]


def find_interface(process: SubmissionProcess, named: str | None = None) -> Interface:
    """The best way to call a submission, of all functions and conventions.

    Parameters
    ----------
    named : the function to call; by default those whose name and parameters look like the homework's
    """
    submission = process.submission
    candidates = _candidates(submission, named)
    if not candidates:
        return Interface(failure=_no_function(submission, named))
    l2 = _fixed_l2(process, candidates)
    exercises = with_fixed_l2(small_exercises(), l2)
    found = _best_interface(process, candidates, exercises[0], list(all_conventions()))
    if l2 is not None and not found.failure:
        return replace(found, l2=l2, exercises=exercises)
    if found.is_right or any(failure.is_fatal for failure in found.failures):
        return found
    has_course_numbers = any(str(number) in text for _, text in submission.texts for number in COURSE_NUMBERS)
    if found.failure or has_course_numbers:
        return _at_course_sizes(process, candidates, found) or found
    return found


def source_interface(submission: Submission, named: str | None) -> Interface | None:
    """The interface of a gradient source ``f(problem, theta)``, which needs no trying; None for other functions."""
    for function, roles in _candidates(submission, named)[:1]:
        if "problem" in roles:
            attempt = Attempt(Call(function, roles, Convention()), ParsedAnswer())
            return Interface(attempt, attempt)
    return None


def _candidates(submission: Submission, named: str | None) -> list[Candidate]:
    functions = [function for function in submission.functions if named in (None, function.name, function.author_name)]
    ranked = sorted(functions, key=likelihood, reverse=True)
    found = [Candidate(function, roles) for function in ranked if (roles := roles_of(function))]
    return [candidate for candidate in found if named or likelihood(candidate.function) >= 0][:MOST_FUNCTIONS]


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
        for convention in () if {"l2", "problem"} & set(roles) else all_conventions():
            if not convention.fits(roles) or convention.blocks.differences():
                continue
            call = Call(function, roles, convention)
            try:
                l2 = find_fixed_l2(lambda exercise, call=call: call.answer(process, exercise))
            except CallFailed as failure:
                if failure.is_fatal or failure.is_missing_name:
                    return None
            else:
                if l2 is not None:
                    return l2
    return None


def _at_course_sizes(
    process: SubmissionProcess, candidates: Sequence[Candidate], elsewhere: Interface
) -> Interface | None:
    """The interface at the course's own sizes, where it is right there, or runs nowhere else."""
    usual = [convention for convention in all_conventions() if convention == convention.usual]
    usual.sort(key=lambda convention: (len(convention.differences()), convention.column))  # each call may be slow
    runs_nowhere = elsewhere.failure is not None
    for exercises in course_exercises():
        there = _best_interface(process, candidates[:AT_COURSE_SIZES], exercises[0], usual, use_zoo=runs_nowhere)
        if there.is_right or (runs_nowhere and not there.failure):
            return replace(there, exercises=exercises, only_at=exercises[0].name.rpartition(",")[0])
    return None


@dataclass(frozen=True, eq=False)
class _Tried:
    """What came of calling one function in many conventions."""

    candidate: Candidate
    attempts: tuple[Attempt, ...]
    failures: tuple[CallFailed, ...]

    @property
    def best(self) -> Attempt | None:
        return _best_of(self.attempts)


def _best_interface(
    process: SubmissionProcess,
    candidates: Sequence[Candidate],
    exercise: Exercise,
    conventions: Sequence[Convention],
    *,
    use_zoo: bool = True,
) -> Interface:
    """The best interface for an exercise; with `use_zoo`, the bug zoo decides between wrong attempts."""
    tried: list[_Tried] = []
    for candidate in candidates:
        tried.append(_try_conventions(process, candidate, exercise, conventions, use_zoo=use_zoo))
        best = tried[-1].best
        if best and all(best.right):
            return Interface(best, best)
        if tried[-1].failures and tried[-1].failures[-1].is_fatal:
            break
    best = [one.best for one in tried if one.best]
    failures = tuple(failure for one in tried for failure in one.failures)
    fatal = tuple(failure for failure in failures if failure.is_fatal)
    if whole := _best_of([attempt for attempt in best if attempt.answer.is_whole]):
        return Interface(whole, whole, failures=fatal)
    if not best:
        nearest = fatal or [failure for failure in failures if failure.outcome == "answered"] or failures
        failure = nearest[0].fact if nearest else doubt(Kind.CONVENTION_UNKNOWN)  # none fits its parameters
        return Interface(failure=failure, failures=fatal or failures)
    return _two_halves(process, exercise, tried, fatal)


def _two_halves(
    process: SubmissionProcess, exercise: Exercise, tried: Sequence[_Tried], fatal: tuple[CallFailed, ...]
) -> Interface:
    """The interface where one function gives the cost and another the gradient, or one of them is missing."""
    best = [one.best for one in tried if one.best]
    of_cost = _best_of([attempt for attempt in best if attempt.answer.cost is not None])
    of_gradient = _best_of([attempt for attempt in best if attempt.answer.cost is None])
    if of_cost and of_gradient:
        if of_cost.right[0] and not (of_gradient.is_explained or of_gradient.right[1]):
            # a gradient that is wrong in every convention is read in the one in which the cost is right
            attempts = next(one.attempts for one in tried if one.best is of_gradient)
            of_gradient = _in_convention(of_cost.call.convention, attempts) or of_gradient
        return Interface(of_cost, of_gradient, failures=fatal)
    half = of_cost or of_gradient
    assert half is not None
    silent = [one.candidate for one in tried if not one.attempts]
    refused = _refusals(process, silent, replace(half.call.convention, pick=None), exercise)
    return Interface(of_cost, of_gradient, failures=fatal, refused=tuple(refused))


def _best_of(attempts: Sequence[Attempt]) -> Attempt | None:
    return max(attempts, key=lambda attempt: attempt.rank, default=None)


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


def _try_conventions(
    process: SubmissionProcess,
    candidate: Candidate,
    exercise: Exercise,
    conventions: Sequence[Convention],
    *,
    use_zoo: bool,
) -> _Tried:
    """Call one function in every convention, and find the attempt that the bug zoo explains where none is right."""
    events = list(_events(process, candidate, exercise, conventions, use_zoo=use_zoo))
    attempts = [event for event in events if isinstance(event, Attempt)]
    failures = tuple(event for event in events if isinstance(event, CallFailed))
    is_known = any(attempt.is_explained or any(attempt.right) for attempt in attempts)
    if use_zoo and attempts and not is_known:
        place = _explained_place(process, attempts, exercise)
        attempts = [replace(attempt, is_explained=i == place) for i, attempt in enumerate(attempts)]
    return _Tried(candidate, tuple(attempts), failures)


def _explained_place(process: SubmissionProcess, attempts: Sequence[Attempt], exercise: Exercise) -> int | None:
    """The index of the attempt that the bug zoo explains, where no right or explained one was found before."""
    # first one bug in the nearest of the unusual conventions
    unusual = [i for i, attempt in enumerate(attempts) if not _is_usual(attempt)]
    for i in sorted(unusual, key=lambda i: attempts[i].distance)[:NEAREST]:
        if _is_explained(exercise, attempts[i].answer):
            return i
    first = attempts[0]
    if not Interface(first, first).repeats(process, exercise, first.answer):
        return None  # random answers are no work for the zoo
    # then two bugs at once in the usual ones; equal answers, and those without a gradient, once or not at all
    seen: set[tuple[Any, ...]] = set()
    for i, attempt in enumerate(attempts):
        if not _is_usual(attempt) or attempt.answer.is_empty or attempt.answer.key in seen:
            continue
        if _is_explained(exercise, attempt.answer, pairs=True):
            return i
        seen.add(attempt.answer.key)
    return None


def _is_usual(attempt: Attempt) -> bool:
    convention = replace(attempt.call.convention, pick=None)
    return convention == convention.usual


def _is_explained(exercise: Exercise, answer: ParsedAnswer, *, pairs: bool = False) -> bool:
    """Whether the bug zoo explains what there is of cost and gradient; what is missing is taken to be right."""
    cost, gradient = exercise.right
    whole = replace(
        answer,
        cost=cost if answer.cost is None else answer.cost,
        gradient=gradient if answer.gradient is None else answer.gradient,
    )
    return is_explained([exercise.replay(whole)], pairs)


def _events(
    process: SubmissionProcess,
    candidate: Candidate,
    exercise: Exercise,
    conventions: Sequence[Convention],
    *,
    use_zoo: bool,
) -> Iterator[Attempt | CallFailed]:
    """The answers and failures of a function, up to the first answer that is right."""
    function, roles = candidate
    explained: dict[tuple[Any, ...], bool] = {}
    for convention in conventions:
        if not convention.fits(roles):
            continue
        if "theta" not in roles:
            convention = replace(convention, theta="flat")  # matrices as parameters are no form of θ to report
        call = Call(function, roles, convention)
        try:
            returned = call.returned(process, exercise)
        except CallFailed as failure:
            yield failure
            if failure.is_fatal or failure.is_missing_name:
                return
            continue
        for pick in possible_picks(returned.value, convention, exercise.problem):
            picked = replace(call, convention=replace(convention, pick=pick))
            try:
                answer = picked.read(returned, process.submission, exercise)
            except CallFailed as failure:
                yield failure
                continue
            right = exercise.is_right(answer)
            is_half = (answer.cost is None or right[0]) and (answer.gradient is None or right[1])
            is_known = is_half
            if use_zoo and not is_half and (convention == convention.usual or any(right)):
                if answer.key not in explained:
                    explained[answer.key] = _is_explained(exercise, answer)
                is_known = explained[answer.key]
            yield Attempt(picked, answer, right, is_known, exercise.distance(answer))
            if is_half or call.is_source:
                return
