"""What a submission answered to several problems."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.facts.fact import Fact, Severity
from harness.grading.exercises import Exercise
from harness.grading.submission_answers import ParsedAnswer
from harness.grading.submission_interface import Interface
from harness.grading.submission_process import CallFailed, SubmissionProcess
from harness.isolation.limits import ENDINGS


@dataclass(frozen=True, eq=False)
class GivenAnswers:
    """Answers, failures and changes.

    Attributes
    ----------
    answers : by exercise
    failures : why others were not answered, by exercise
    change : the first argument that was changed in place; rather one whose change spoils the next answer
    takes_classes_from_y : whether answers are left out because y lacks a class
    """

    answers: Mapping[Exercise, ParsedAnswer]
    failures: Mapping[Exercise, CallFailed]
    change: Fact | None = None
    takes_classes_from_y: bool = False

    @property
    def faults(self) -> list[CallFailed]:
        """The failures on problems that right code runs on."""
        return [failure for exercise, failure in self.failures.items() if not exercise.is_degenerate]

    @property
    def wrong(self) -> Mapping[Exercise, ParsedAnswer]:
        """The answers with a wrong part."""
        return {exercise: answer for exercise, answer in self.answers.items() if exercise.has_wrong_part(answer)}

    @property
    def without_missing_classes(self) -> "GivenAnswers":
        """Without problems whose y lacks a class, for code that takes the classes from y, as an encoder does.

        A part of its answers is right wherever y has every class, and wrong for several examples without one, or fails
        there. Code that is wrong for one example alone is wrong.
        """
        lacking = [exercise for exercise in (*self.answers, *self.failures) if exercise.lacks_class]
        is_wrong_for_several = any(e in self.failures or e in self.wrong for e in lacking if e.problem.m > 1)
        right = {exercise: np.array(exercise.is_right(answer)) for exercise, answer in self.answers.items()}
        is_right_with_all = np.all([parts for exercise, parts in right.items() if not exercise.lacks_class], axis=0)
        is_spared = any((is_right_with_all & ~right[e]).any() for e in lacking if e in right)
        if not (is_wrong_for_several and is_spared):
            return self
        answers = {exercise: answer for exercise, answer in self.answers.items() if not exercise.lacks_class}
        return replace(self, answers=answers, takes_classes_from_y=True)

    @property
    def is_spoilt(self) -> bool:
        """Whether a change in place makes the next answer wrong."""
        return self.change is not None and self.change.severity == Severity.WRONG

    @property
    def costs_are_finite(self) -> bool:
        """Whether every cost is there and finite."""
        return all(answer.cost is not None and np.isfinite(answer.cost) for answer in self.answers.values())


def collect_answers(process: SubmissionProcess, interface: Interface, exercises: Iterable[Exercise]) -> GivenAnswers:
    """Call a submission on every exercise; after `ENDINGS` processes that it ended, its last failure stands for all.

    Each such end costs up to the limit on CPU time, and `harness diagnose` has 25 exercises.
    """
    answers: dict[Exercise, Any] = {}
    failures: dict[Exercise, CallFailed] = {}
    change: Fact | None = None
    for exercise in exercises:
        fatal = [failure for failure in failures.values() if failure.is_fatal]
        if len(fatal) >= ENDINGS:
            failures[exercise] = fatal[-1]
            continue
        try:
            answers[exercise] = answer = interface.answer(process, exercise)
        except CallFailed as failure:
            failures[exercise] = failure.with_data(exercise=exercise.name)
            continue
        if answer.changes_arguments and not (change and change.severity == Severity.WRONG):
            found = interface.find_changes(process, exercise)
            change = found if found and found.severity == Severity.WRONG else change or found
    return GivenAnswers(answers, failures, change)
