"""How a submission is called: the function and convention that give its cost, and those that give its gradient."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harness.facts.fact import Fact, Severity
from harness.grading.call_conventions import THE_COURSES, Convention, arguments
from harness.grading.exercises import Exercise, small_exercises
from harness.grading.submission_answers import NotAnAnswer, ParsedAnswer, parse_answer
from harness.grading.submission_files import Submission
from harness.grading.submission_functions import Function, Role
from harness.grading.submission_process import CallFailed, Returned, SubmissionProcess, as_spoiling


@dataclass(frozen=True, eq=False)
class Call:
    """A function, the roles of its parameters, and the convention in which it is called."""

    function: Function
    roles: tuple[Role, ...]
    convention: Convention

    @property
    def is_source(self) -> bool:
        """Whether it is a gradient source f(problem, theta), which has no convention to be found."""
        return "problem" in self.roles

    def answer(self, process: SubmissionProcess, exercise: Exercise) -> ParsedAnswer:
        """Cost and gradient for an exercise.

        Raises
        ------
        CallFailed
        """
        returned = self.returned(process, exercise)
        return self.read(returned, process.submission, exercise)

    def returned(self, process: SubmissionProcess, exercise: Exercise) -> Returned:
        """What the function returns for an exercise."""
        given = arguments(self.roles, self.convention, exercise.problem, exercise.theta)
        return process.call(self.function.name, *given)

    def read(self, returned: Returned, submission: Submission, exercise: Exercise) -> ParsedAnswer:
        """Cost and gradient out of what was returned."""
        try:
            parsed = parse_answer(returned.value, self.convention, exercise.problem)
        except NotAnAnswer as error:
            fact = replace(error.fact, where=(self.function.author_name,))
            raise CallFailed(fact, "answered") from None
        parsed = replace(parsed, changes=returned.changes)
        return exercise.without_allowances(parsed, names_float32=submission.names_float32)


@dataclass(frozen=True, eq=False)
class Attempt:
    """A call that was tried on an exercise, and how good its answer was.

    Attributes
    ----------
    right : whether the cost is right, and whether the gradient is
    is_explained : whether the parts that are there are right, or a bug of the zoo gives just them
    distance : from the right answer; of wrong answers, the nearest likely came in the right convention
    """

    call: Call
    answer: ParsedAnswer
    right: tuple[bool, bool] = (False, False)
    is_explained: bool = False
    distance: float = np.inf

    @property
    def rank(self) -> tuple[bool, bool, int, bool, float]:
        """What is compared to find the best attempt; of equal ones, the first and most usual is taken."""
        # among known answers the usual convention stands first; an unknown one must be near in the course's blocks
        is_known = self.is_explained or any(self.right)
        near = 0.0 if is_known else -self.distance if self.call.convention.blocks == THE_COURSES else -np.inf
        return all(self.right), self.is_explained, sum(self.right), self.answer.cost is not None, near


@dataclass(frozen=True, eq=False)
class Interface:
    """How a submission answers: one call for both parts, or one for the cost and one for the gradient.

    Attributes
    ----------
    of_cost, of_gradient : the best attempts, or None
    failure : why there is neither
    failures : the calls that failed on the way: fatal ones, or all where there is neither
    exercises : what it is judged on: one, the same without a regulariser, and more
    only_at : the sizes at which alone it runs, or is right; empty for any
    l2 : the λ in the code of one that takes none
    refused : where only a cost or only a gradient was returned, why other functions returned nothing
    """

    of_cost: Attempt | None = None
    of_gradient: Attempt | None = None
    failure: Fact | None = None
    failures: tuple[CallFailed, ...] = ()
    exercises: tuple[Exercise, ...] = field(default_factory=small_exercises)
    only_at: str = ""
    l2: float | None = None
    refused: tuple[Fact, ...] = ()

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """That of the cost and that of the gradient; one, if they are the same."""
        return tuple(dict.fromkeys(attempt for attempt in (self.of_cost, self.of_gradient) if attempt))

    @property
    def is_source(self) -> bool:
        return any(attempt.call.is_source for attempt in self.attempts)

    @property
    def conventions(self) -> list[str]:
        """In what it differs from the course's own way."""
        found: list[str] = []
        for attempt in self.attempts:
            found += [*attempt.call.convention.differences(), *attempt.answer.conventions]
            found += [f"{name} as a constant of the file" for name in attempt.call.function.constants]
        if len(self.attempts) == 2:
            found.append("cost and gradient in two functions")
        if self.l2 is not None:
            found.append(f"λ = {self.l2:g} in the code, which takes no other")
        return list(dict.fromkeys(found))

    @property
    def is_right(self) -> bool:
        return bool(self.of_cost and self.of_gradient and self.of_cost.right[0] and self.of_gradient.right[1])

    def answer(self, process: SubmissionProcess, exercise: Exercise) -> ParsedAnswer:
        """Cost and gradient for an exercise, from the one or two functions that give them.

        Raises
        ------
        CallFailed
        """
        answers = {attempt.call.function.name: attempt.call.answer(process, exercise) for attempt in self.attempts}
        cost = answers[self.of_cost.call.function.name] if self.of_cost else ParsedAnswer()
        gradient = answers[self.of_gradient.call.function.name] if self.of_gradient else ParsedAnswer()
        return ParsedAnswer(
            cost.cost,
            gradient.gradient,
            (*cost.conventions, *gradient.conventions),
            min(cost.precision, gradient.precision),  # "float32", if one of them is
            (gradient if self.of_gradient else cost).order,
            tuple(change for answer in answers.values() for change in answer.changes),
        )

    def find_changes(self, process: SubmissionProcess, exercise: Exercise) -> Fact | None:
        """The first call that changes arguments in place, as a fact: wrong where that spoils the next answer.

        It does where a right answer is no longer right for a caller who calls again with the same arrays.
        """
        for attempt in self.attempts:
            call = attempt.call
            try:
                first = call.answer(process, exercise)
                for changes in first.changes[:1]:
                    harmless = changes.fact(call.function)  # before the arrays are changed once more
                    again = process.call(changes.function, *changes.afterwards)
                    second = call.read(again, process.submission, exercise)
                    pairs = zip(exercise.is_right(first), exercise.is_right(second))
                    return as_spoiling(harmless) if any(a and not b for a, b in pairs) else harmless
            except CallFailed:
                continue
        return None

    def repeats(self, process: SubmissionProcess, exercise: Exercise, answer: ParsedAnswer) -> bool:
        """Whether it gives the same answer when it is called again."""
        try:
            again = self.answer(process, exercise)
        except CallFailed:
            return False
        parts = [
            [np.nan if part is None else part for part in (given.cost, given.gradient)] for given in (answer, again)
        ]
        return all(np.array_equal(before, after, equal_nan=True) for before, after in zip(*parts))


@dataclass(frozen=True, eq=False)
class ShownAnswer:
    """An answer to be shown: the exercise, what was returned, and how the submission was called."""

    exercise: Exercise
    answer: ParsedAnswer
    interface: Interface


@dataclass(frozen=True, eq=False)
class GivenAnswers:
    """What a submission answered to several exercises.

    Attributes
    ----------
    answers : by exercise
    failures : why others were not answered, by exercise
    change : the first argument that was changed in place; rather one whose change spoils the next answer
    """

    answers: Mapping[Exercise, ParsedAnswer]
    failures: Mapping[Exercise, CallFailed]
    change: Fact | None = None

    @property
    def is_spoilt(self) -> bool:
        """Whether a change in place makes the next answer wrong."""
        return self.change is not None and self.change.severity == Severity.WRONG

    @property
    def costs_are_finite(self) -> bool:
        """Whether every cost is there and finite."""
        return all(answer.cost is not None and np.isfinite(answer.cost) for answer in self.answers.values())


def collect_answers(process: SubmissionProcess, interface: Interface, exercises: Iterable[Exercise]) -> GivenAnswers:
    """Call a submission on every exercise."""
    answers, failures = {}, {}
    change: Fact | None = None
    for exercise in exercises:
        try:
            answers[exercise] = answer = interface.answer(process, exercise)
        except CallFailed as failure:
            failures[exercise] = failure.on(exercise.name)
            continue
        if answer.changes and not (change and change.severity == Severity.WRONG):
            found = interface.find_changes(process, exercise)
            change = found if found and found.severity == Severity.WRONG else change or found
    return GivenAnswers(answers, failures, change)
