"""The ways in which a submission is asked, and what it answers then."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.grading.calling.answers import NotAnAnswer, Parsed, parse
from harness.grading.calling.conventions import THE_COURSES, Convention, Role, arguments
from harness.grading.calling.signatures import Function
from harness.grading.problems import Asked, small_problems
from harness.grading.reading import Submission
from harness.grading.running import Failed, Process


@dataclass(eq=False)
class Way:
    """A function, what its parameters take, and the convention in which it answers best."""

    function: Function
    roles: tuple[Role, ...]
    convention: Convention
    parsed: Parsed
    right: tuple[bool, bool] = (False, False)
    explained: bool = False
    far: float = np.inf  # from the right answer

    @property
    def worth(self) -> tuple[bool, bool, int, bool, float]:
        known = self.explained or any(self.right)  # of those, the usual first; an unusual one has to be
        near = 0.0 if known else -self.far if self.convention.blocks == THE_COURSES else -np.inf
        return all(self.right), self.explained, sum(self.right), self.parsed.cost is not None, near

    def ask(self, process: Process, asked: Asked) -> Parsed:
        """The answer to a problem; raises Failed."""
        return ask(process, self.function, self.roles, self.convention, asked)


@dataclass
class Ways:
    """How a submission answers: one way for both, or one for the cost and one for the gradient.

    Attributes
    ----------
    of_cost, of_gradient : Way or None
    failure : why there is none
    only_at : the sizes at which alone it runs, or is right; empty for any
    problems : what it is graded on: one, the same without a regulariser, and more
    l2 : the λ of one that takes none; None for any
    refused : where only a cost or only a gradient was answered, why other functions answered nothing
    """

    of_cost: Way | None = None
    of_gradient: Way | None = None
    failure: str = ""
    only_at: str = ""
    problems: tuple[Asked, ...] = field(default_factory=small_problems)
    failures: list[Failed] = field(default_factory=list)
    refused: tuple[str, ...] = ()
    l2: float | None = None

    @property
    def conventions(self) -> list[str]:
        """What of its convention is not the course's."""
        said: dict[str, None] = {}
        for way in (self.of_cost, self.of_gradient):
            if way is not None:
                said |= dict.fromkeys([*way.convention.described(), *way.parsed.came])
                said |= {f"{name} as a constant of the file": None for name in way.function.constants}
        if self.of_cost is not self.of_gradient and self.of_cost and self.of_gradient:
            said["cost and gradient in two functions"] = None
        if self.l2 is not None:
            said[f"λ = {self.l2:g} in the code, which takes no other"] = None
        return list(said)

    @property
    def right(self) -> bool:
        return bool(self.of_cost and self.of_gradient and self.of_cost.right[0] and self.of_gradient.right[1])

    def ask(self, process: Process, asked: Asked) -> Parsed:
        """Cost and gradient, whatever gives them; raises Failed."""
        parsed = {way.function.name: way.ask(process, asked) for way in (self.of_cost, self.of_gradient) if way}
        cost = parsed[self.of_cost.function.name] if self.of_cost else Parsed()
        gradient = parsed[self.of_gradient.function.name] if self.of_gradient else Parsed()
        came = (*cost.came, *gradient.came)
        precision = min(cost.precision, gradient.precision)  # "float32", if one of them is
        return Parsed(cost.cost, gradient.gradient, came, precision, (gradient if self.of_gradient else cost).order)

    def change(self, process: Process, asked: Asked) -> tuple[str, bool]:
        """Which arguments are changed in place when it is asked; empty for none. And whether that spoils an answer.

        It does where a right answer is no longer right for who calls again with the same arrays as they were left.
        """
        for way in dict.fromkeys(way for way in (self.of_cost, self.of_gradient) if way):
            process.changes.clear()
            try:
                first = way.ask(process, asked)
                for changes in process.changes[:1]:
                    said = changes.described(way.function)
                    value = process.call(changes.function, *changes.afterwards)
                    second = read(value, process.submission, way.function, way.convention, asked)
                    return said, any(a and not b for a, b in zip(asked.judged(first), asked.judged(second)))
            except Failed:
                continue
        return "", False

    def repeats(self, process: Process, asked: Asked, parsed: Parsed) -> bool:
        """Whether it answers the same when it is asked again."""
        try:
            again = self.ask(process, asked)
        except Failed:
            return False
        before, after = ([np.nan if part is None else part for part in (p.cost, p.gradient)] for p in (parsed, again))
        return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after))


@dataclass(frozen=True, eq=False)
class Shown:
    """An answer to be shown: the problem, what came back, and how the submission was called."""

    asked: Asked
    parsed: Parsed
    ways: Ways


NOT_REPEATABLE = (
    "it answers differently when it is asked twice: look for random numbers, and for values kept from before"
)


def ask(process: Process, function: Function, roles: tuple[Role, ...], convention: Convention, asked: Asked) -> Parsed:
    """What a function answers to a problem, called in a convention; raises Failed."""
    value = process.call(function.name, *arguments(roles, convention, asked.problem, asked.theta))
    return read(value, process.submission, function, convention, asked)


def read(value: Any, submission: Submission, function: Function, convention: Convention, asked: Asked) -> Parsed:
    """The cost and the gradient in a value that came back; raises Failed where there is none."""
    try:
        parsed = parse(value, convention, asked.problem)
    except NotAnAnswer as error:
        raise Failed(f"{function.called} {error}", answered=True) from None
    return asked.as_meant(parsed, submission.in_single_precision)
