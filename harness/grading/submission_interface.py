"""How a submission is called: the function and convention that give its cost, and those that give its gradient."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.facts.fact import Fact, wrong
from harness.facts.kinds import Kind
from harness.grading.call_conventions import COURSE_BLOCKS, COURSE_CONVENTION, JOINED, LABELS, Convention, arguments
from harness.grading.cost_formulas import without_allowances
from harness.grading.exercises import COURSE_MODEL, Exercise, Model, small_exercises
from harness.grading.parameter_roles import Function, Role
from harness.grading.submission_answers import NotAnAnswer, ParsedAnswer, parse_answer
from harness.grading.submission_files import Submission
from harness.grading.submission_process import CallFailed, Returned, SubmissionProcess

REPEATED = 1e-9
"""Relative to the largest entry: an answer that differs by more when it is called again is another one.

Sums in another order differ by some roundings, 1e-15 each. Random numbers or a step that goes on from the last call
change far more.
"""

FAR = 1.0
"""A wrong answer whose parts are farther than that from the right one, relative to it, need not be of this exercise.

A gradient of zeros is at a distance of 1, and so is any that has nothing to do with the right one, or more.
"""


@dataclass(frozen=True, eq=False)
class Call:
    """A function that may be the homework's, the roles of its parameters, and the convention in which it is called."""

    function: Function
    roles: tuple[Role, ...]
    convention: Convention = COURSE_CONVENTION

    @property
    def is_source(self) -> bool:
        """Whether it is a gradient source f(problem, theta), which has no convention to be found."""
        return "problem" in self.roles

    @property
    def is_of_one_network(self) -> bool:
        """Whether a right part shows which network it is.

        W1, b1, W2, b2 may be of a sigmoid network, or of the tanh and softmax of other courses, and two of these may
        have the same cost or gradient.
        """
        return self.convention.blocks.arrangement == JOINED or self.convention.theta == "flat"

    def answer(self, process: SubmissionProcess, exercise: Exercise) -> ParsedAnswer:
        """Cost and gradient for an exercise, or `CallFailed`."""
        return self.read(self.returned(process, exercise), process.submission, exercise)

    def returned(self, process: SubmissionProcess, exercise: Exercise) -> list[Returned]:
        """What the function returns for an exercise, once or for each example by itself; or `CallFailed`."""
        exercises = exercise.examples() if self.convention.single else [exercise]
        given = [arguments(self.roles, self.convention, each.problem, each.theta) for each in exercises]
        try:
            return [process.call(self.function, *each) for each in given]
        except CallFailed as failure:
            # the student sees what the function was called with: the mistake may be in our convention
            raise failure.with_data(given=described(self.function, given[0])) from None

    def read(self, returned: Sequence[Returned], submission: Submission, exercise: Exercise) -> ParsedAnswer:
        """Cost and gradient out of what was returned, the means over all calls; or `CallFailed`."""
        try:
            parsed = [parse_answer(each.value, self.convention, exercise.problem) for each in returned]
        except NotAnAnswer as error:
            raise CallFailed(replace(error.fact, where=(self.function.author_name,)), "answered") from None
        parts = [each.cost for each in parsed], [each.gradient for each in parsed]
        cost, gradient = map(_mean, parts)
        cost, is_changed = None if cost is None else float(cost), any(each.left for each in returned)
        answer = replace(parsed[0], cost=cost, gradient=gradient, changes_arguments=is_changed)
        return without_allowances(exercise, answer, names_float32="float32" in submission.precisions)


def _mean(parts: Sequence[Any]) -> Any:
    """The mean of numbers or arrays; None where one is missing."""
    return None if any(part is None for part in parts) else np.mean(parts, axis=0)


def described(function: Function, given: Sequence[Any]) -> list[str]:
    """The arguments of a call, by the names of its parameters and their shapes."""

    def shape(value: Any) -> str:
        match value:
            case np.ndarray():
                return "×".join(map(str, value.shape)) if value.ndim > 1 else f"of {value.size} entries"
            case list() | dict():
                return f"({'a list' if isinstance(value, list) else 'a dictionary'} of {len(value)})"
        return f"= {value}"

    names = (*function.parameters, *("" for _ in given))
    return [f"{name} {shape(value)}".strip() for name, value in zip(names, given)]


@dataclass(frozen=True, eq=False)
class Attempt:
    """A call that was tried on an exercise, and how good its answer was."""

    call: Call
    answer: ParsedAnswer
    right: tuple[bool, bool] = (False, False)  # whether the cost is right, and whether the gradient is
    is_explained: bool = False  # whether the parts that are there are right, or a bug of the zoo gives just them
    distance: float = np.inf  # from the right answer; of wrong answers, the nearest likely came in the right convention
    model: Model = COURSE_MODEL  # the network whose answer it was compared with

    @property
    def is_right_so_far(self) -> bool:
        """Whether every part that is there is right."""
        cost, gradient = self.right
        return (cost or self.answer.cost is None) and (gradient or self.answer.gradient is None)

    @property
    def rank(self) -> tuple[bool, bool, bool, int, bool, float]:
        """What is compared to find the best attempt; of equal ones, the first and most usual is taken."""
        convention = self.call.convention
        is_known = self.is_explained or any(self.right)
        # Where nothing is known, the nearest answer counts, to one digit: a few percent say nothing. One in a layout
        # that few use does not, because among hundreds of layouts some are near by chance.
        is_of_course = convention.blocks == COURSE_BLOCKS and convention.labels in LABELS
        is_usual = is_of_course or self.model != COURSE_MODEL
        nearness = 0.0 if is_known else -float(f"{self.distance:.1g}") if is_usual else -np.inf
        # ``cost(theta, X, y)`` beside ``regularised_cost(theta, X, y, l2)`` is an earlier part of the homework
        is_whole = "l2" in self.call.roles and (is_known or self.distance < FAR)
        has_cost = self.answer.cost is not None
        return all(self.right), is_whole, self.is_explained, sum(self.right), has_cost, nearness


@dataclass(frozen=True, eq=False)
class Interface:
    """How a submission answers: one call for both parts, or one for the cost and one for the gradient."""

    # the best attempts, or None
    of_cost: Attempt | None = None
    of_gradient: Attempt | None = None
    failure: Fact | None = None  # why there is neither
    failures: tuple[CallFailed, ...] = ()  # the calls that failed on the way: fatal ones, or all where there is neither
    # what it is judged on: one, the same without a regulariser, and more
    exercises: tuple[Exercise, ...] = field(default_factory=small_exercises)
    only_at: str = ""  # the sizes at which alone it runs, or is right; empty for any
    l2: float | None = None  # the λ in the code of one that takes none
    # where only a cost or only a gradient was returned, why other functions returned nothing
    refused: tuple[Fact, ...] = ()

    @property
    def by_part(self) -> dict[str, Attempt | None]:
        """The attempts by the names of the parts that they answer."""
        return {"cost": self.of_cost, "gradient": self.of_gradient}

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """That of the cost and that of the gradient; one, if they are the same."""
        return tuple(dict.fromkeys(attempt for attempt in self.by_part.values() if attempt))

    @property
    def is_source(self) -> bool:
        return any(attempt.call.is_source for attempt in self.attempts)

    @property
    def model(self) -> Model:
        """The network that it computes."""
        return self.exercises[0].model

    @property
    def expected(self) -> tuple[str, ...]:
        """The parts that a whole submission has: of another course's network, perhaps no cost or no regulariser.

        Code that takes one example at a time, as in Nielsen's book, often leaves the cost to its training loop.
        """
        cost = ("cost",) if self.of_cost or not self.has_one_convention else ()
        return (*cost, "gradient", *(("regularised",) if self.model.regularised else ()))

    @property
    def has_one_convention(self) -> bool:
        """Whether it can be called in one way alone, as functions of one example are."""
        return any(attempt.call.convention.single for attempt in self.attempts)

    @property
    def conventions(self) -> list[str]:
        """In what it differs from the course's own way."""
        found: list[str] = self.model.differences()
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
        """Cost and gradient for an exercise, from the one or two functions that give them; or `CallFailed`."""
        answers = {attempt: attempt.call.answer(process, exercise) for attempt in self.attempts}
        cost, gradient = (answers[one] if one else ParsedAnswer() for one in (self.of_cost, self.of_gradient))
        return ParsedAnswer(
            cost.cost,
            gradient.gradient,
            conventions=(*cost.conventions, *gradient.conventions),
            precision=min(cost.precision, gradient.precision),  # "float32", if one of them is
            order=(gradient if self.of_gradient else cost).order,
            changes_arguments=any(answer.changes_arguments for answer in answers.values()),
        )

    def find_changes(self, process: SubmissionProcess, exercise: Exercise) -> Fact | None:
        """The first call that changes its object or its arguments, as a fact: wrong where that spoils the next answer.

        ``X *= 1`` harms nobody. ``nn_params *= 0.99`` does: an optimiser calls again with the same array, and what was
        right is then wrong. So does ``self.Delta1 += ...`` of sums that only ``__init__`` sets to zero.
        """
        for attempt in self.attempts:
            call, function = attempt.call, attempt.call.function
            try:
                returned = call.returned(process, exercise)
                if len(returned) > 1 or not (returned[0].left or function.again):
                    continue
                first = exercise.is_right(call.read(returned, process.submission, exercise))
                # both calls of an object get the same arguments
                left = {} if function.again else deepcopy(returned[0].left)
                given = arguments(call.roles, call.convention, exercise.problem, exercise.theta)
                given = [left.get(place, argument) for place, argument in enumerate(given)]
                again = process.call(replace(function, name=function.again or function.name), *given)
                second = exercise.is_right(call.read([again], process.submission, exercise))
                spoils = any(a and not b for a, b in zip(first, second))
                if returned[0].left:
                    return returned[0].change(function, spoils=spoils)
                if spoils:
                    return wrong(
                        Kind.NOT_REPEATABLE, function.author_name, how="called on one object", argument="arguments"
                    )
            except CallFailed:
                continue
        return None

    def repeats(self, process: SubmissionProcess, exercise: Exercise, answer: ParsedAnswer) -> bool:
        """Whether it gives the same answer when it is called again."""
        try:
            again = self.answer(process, exercise)
        except CallFailed:
            return False
        return _is_same(answer.cost, again.cost) and _is_same(answer.gradient, again.gradient)


def _is_same(before: Any, after: Any) -> bool:
    """Whether two costs or gradients are one up to rounding: a sum over a set may come in another order each time."""
    if before is None or after is None:
        return before is after
    if np.shape(before) != np.shape(after):
        return False
    largest = float(np.nan_to_num(np.abs(before)).max())
    # NaN twice is the same wrong answer, and no random one
    return np.allclose(before, after, rtol=0.0, atol=REPEATED * largest, equal_nan=True)


@dataclass(frozen=True, eq=False)
class ShownAnswer:
    """An answer to be shown: the exercise, what was returned, and how the submission was called."""

    exercise: Exercise
    answer: ParsedAnswer
    interface: Interface

    @property
    def relative_errors(self) -> np.ndarray | None:
        """|g - g*| / max |g*| of each coordinate; what is not finite is as large as the gradient itself."""
        if self.answer.gradient is None:
            return None
        right = self.exercise.right[1]
        with np.errstate(all="ignore"):
            off = np.abs(self.answer.gradient - right) / np.abs(right).max()
        return np.where(np.isnan(off), 1.0, off)
