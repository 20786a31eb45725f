"""A function called in many conventions on one exercise, and what came of it.

A right answer ends the trials. Among wrong ones, the bug zoo decides: where a known bug gives just this answer, the
convention is the right one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from harness.checks.networks.bug_explanations import is_explained
from harness.grading.call_conventions import JOINED, Convention
from harness.grading.exercises import MODELS, THE_COURSES, Exercise, Model
from harness.grading.parameter_roles import Role, named_roles
from harness.grading.submission_answers import ParsedAnswer, possible_picks
from harness.grading.submission_files import Submission
from harness.grading.submission_functions import Function
from harness.grading.submission_interface import Attempt, Call, Interface
from harness.grading.submission_process import CallFailed, Returned, SubmissionProcess

NEAREST = 8
"""So many answers in unusual conventions, the nearest to the right one, are compared with the bug zoo."""


class Candidate(NamedTuple):
    """A function that may be the homework's, and the roles of its parameters."""

    function: Function
    roles: tuple[Role, ...]


@dataclass(frozen=True, eq=False)
class Trials:
    """What came of calling one function in many conventions."""

    candidate: Candidate
    attempts: tuple[Attempt, ...]
    failures: tuple[CallFailed, ...]

    @property
    def best(self) -> Attempt | None:
        return best_of(self.attempts)

    @property
    def is_fatal(self) -> bool:
        """Whether the function ended its process or took too long; a file that cannot be run is no function's fault."""
        return any(failure.is_fatal and not failure.is_loading for failure in self.failures[-1:])


def best_of(attempts: Sequence[Attempt]) -> Attempt | None:
    return max(attempts, key=lambda attempt: attempt.rank, default=None)


def try_conventions(
    process: SubmissionProcess,
    candidate: Candidate,
    exercise: Exercise,
    conventions: Sequence[Convention],
    *,
    use_zoo: bool,
) -> Trials:
    """Call one function in every convention, and find the attempt that the bug zoo explains where none is right."""
    events = list(_events(process, candidate, exercise, conventions, use_zoo=use_zoo))
    attempts = [event for event in events if isinstance(event, Attempt)]
    failures = tuple(event for event in events if isinstance(event, CallFailed))
    is_known = any(attempt.is_explained or any(attempt.right) for attempt in attempts)
    if use_zoo and attempts and not is_known:
        place = _explained_place(process, attempts, exercise)
        attempts = [replace(attempt, is_explained=i == place) for i, attempt in enumerate(attempts)]
    return Trials(candidate, tuple(attempts), failures)


def _explained_place(process: SubmissionProcess, attempts: Sequence[Attempt], exercise: Exercise) -> int | None:
    """The index of the attempt that the bug zoo explains, where no right or explained one was found before."""
    # first one bug in the nearest of the unusual conventions
    unusual = [i for i, attempt in enumerate(attempts) if not _is_usual(attempt)]
    for i in sorted(unusual, key=lambda i: attempts[i].distance)[:NEAREST]:
        if _is_explained(exercise.of_model(attempts[i].model), attempts[i].answer):
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
            if failure.is_futile:
                return
            continue
        for attempt in _attempts(call, returned, process.submission, exercise):
            if isinstance(attempt, CallFailed):
                yield attempt
                continue
            answer, right = attempt.answer, attempt.right
            is_half = (answer.cost is None or right[0]) and (answer.gradient is None or right[1])
            is_known = is_half or (attempt.model != THE_COURSES and any(right))
            if use_zoo and not is_known and (convention == convention.usual or any(right)):
                if answer.key not in explained:
                    explained[answer.key] = _is_explained(exercise, answer)
                is_known = explained[answer.key]
            yield replace(attempt, is_explained=is_known)
            if (is_half and not convention.is_of_others) or all(right) or call.is_source:
                return


def _attempts(
    call: Call, returned: Returned, submission: Submission, exercise: Exercise
) -> Iterator[Attempt | CallFailed]:
    """What was returned, read in every way, and compared with every network that it may be of."""
    convention = call.convention
    value = returned.value[0] if convention.single else returned.value
    for pick in possible_picks(value, convention, exercise.problem):
        picked = replace(call, convention=replace(convention, pick=pick))
        for model in _models(call):
            problem = exercise.of_model(model)
            try:
                answer = picked.read(returned, submission, problem)
            except CallFailed as failure:
                yield failure
                break
            yield Attempt(picked, answer, problem.is_right(answer), False, problem.distance(answer), model)


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
