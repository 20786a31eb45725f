"""What a submission answered to several problems: which parts are wrong, and whether it repeats itself."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from harness.facts.fact import Fact, Severity, note
from harness.facts.kinds import Kind
from harness.grading.exercises import Exercise
from harness.grading.submission_answers import ParsedAnswer
from harness.grading.submission_interface import Interface
from harness.grading.submission_process import CallFailed, SubmissionProcess
from harness.isolation.limits import ENDINGS


@dataclass(frozen=True, eq=False)
class GivenAnswers:
    """Answers, failures and changes."""

    answers: Mapping[Exercise, ParsedAnswer]  # by exercise
    failures: Mapping[Exercise, CallFailed]  # why others were not answered, by exercise
    # the first argument or object that was changed; rather one whose change spoils the next answer
    change: Fact | None = None
    takes_classes_from_y: bool = False  # whether answers are left out because y lacks a class

    @cached_property
    def right(self) -> Mapping[Exercise, tuple[bool, bool]]:
        """By exercise, whether the cost is right, and whether the gradient is."""
        return {exercise: exercise.is_right(answer) for exercise, answer in self.answers.items()}

    @property
    def faults(self) -> list[CallFailed]:
        """The failures on problems that right code runs on.

        With several examples, but fewer than classes, it runs if it runs without a class in y.
        """
        needs_classes = self.takes_classes_from_y or any(e in self.failures for e in self._without_a_class)

        def must_run(exercise: Exercise) -> bool:
            is_of_several = min(*exercise.problem.network.sizes, exercise.problem.m) > 1
            return not exercise.is_degenerate or (exercise.has_few_examples and is_of_several and not needs_classes)

        return [failure for exercise, failure in self.failures.items() if must_run(exercise)]

    @property
    def _without_a_class(self) -> list[Exercise]:
        """The problems whose y lacks a class: those with examples enough for all, or else those of several examples."""
        lacking = [exercise for exercise in (*self.answers, *self.failures) if exercise.lacks_class]
        several = [exercise for exercise in lacking if exercise.problem.m > 1]
        return [exercise for exercise in several if not exercise.has_few_examples] or several

    @property
    def wrong(self) -> Mapping[Exercise, ParsedAnswer]:
        """The answers with a wrong part."""
        return {exercise: answer for exercise, answer in self.answers.items() if exercise.has_wrong_part(answer)}

    @property
    def first_wrong(self) -> Exercise:
        """The first exercise with a wrong gradient, or else with a wrong cost; the first of all where there is none."""
        return min(self.right, key=lambda exercise: self.right[exercise][::-1])

    @property
    def without_missing_classes(self) -> "GivenAnswers":
        """Without problems whose y lacks a class, for code that takes the classes from y, as an encoder does.

        A part of its answers is right wherever y has every class, and wrong without one for as many examples as
        classes, or fails there. Code that is wrong for fewer examples alone is wrong.
        """
        lacking = [exercise for exercise in (*self.answers, *self.failures) if exercise.lacks_class]
        is_wrong_for_several = any(e in self.failures or e in self.wrong for e in self._without_a_class)
        is_right_with_all = np.all([parts for e, parts in self.right.items() if not e.lacks_class], axis=0)
        is_spared = any((is_right_with_all & ~np.array(self.right[e])).any() for e in lacking if e in self.right)
        if not (is_wrong_for_several and is_spared):
            return self
        answers = {exercise: answer for exercise, answer in self.answers.items() if not exercise.lacks_class}
        return replace(self, answers=answers, takes_classes_from_y=True)

    @property
    def ordinary(self) -> "GivenAnswers":
        """The answers to ordinary problems alone, if one of these shows what is wrong.

        On a degenerate problem, a bug and the code that has it may divide by zero each in its own way.
        """
        answers = {exercise: answer for exercise, answer in self.answers.items() if not exercise.is_degenerate}
        return replace(self, answers=answers) if self.wrong.keys() & answers.keys() else self

    @property
    def is_spoilt(self) -> bool:
        """Whether a change makes the next answer wrong."""
        return self.change is not None and self.change.severity == Severity.WRONG

    @property
    def costs_are_finite(self) -> bool:
        """Whether every cost is there and finite."""
        return all(answer.cost is not None and np.isfinite(answer.cost) for answer in self.answers.values())

    @property
    def are_empty(self) -> bool:
        """Whether no gradient was filled in, as in an exercise handed out."""
        return all(answer.is_empty for answer in self.answers.values())

    def notes_on(self, interface: Interface, failures: Sequence[CallFailed]) -> Iterator[Fact]:
        """Failures, what keeps answers out of the judgement, and an argument that is changed to nobody's harm."""
        yield from (replace(fact, severity=Severity.NOTE) for fact in told_once(failures))
        if self.takes_classes_from_y:
            yield note(Kind.CLASSES_FROM_Y)
        if interface.only_at:
            yield note(Kind.COURSE_SIZE_ONLY, interface.only_at)
        if self.change and not self.is_spoilt:
            yield self.change

    def regularised_halves(self, without: Exercise) -> list[bool]:
        """Whether the regulariser's share of the cost, and that of the gradient, are right, beside any other error.

        The share is J(λ) - J(0), or g(λ) - g(0), on the same problem: an error that does not depend on λ, such as a
        slope that is forgotten, cancels. Missing parts are left out.
        """
        if without not in self.answers:
            return []
        found: dict[int, bool] = {}
        plain, bounds = self.answers[without], without.tolerances(self.answers[without].precision)
        for exercise in (each for each in self.answers if each.differs_in_l2_alone(without)):
            answer = self.answers[exercise]
            pairs = ((answer.cost, plain.cost), (answer.gradient, plain.gradient))
            for half, (more, less) in enumerate(pairs):
                if more is None or less is None:
                    continue
                right, tolerance = exercise.right[half], exercise.tolerances(answer.precision)[half] + bounds[half]
                # a cost that was not divided by m is m times as large, and so are its rounding errors
                size = max(1.0, np.abs(more).max() / np.abs(right).max())
                with np.errstate(all="ignore"):
                    is_right = np.all(np.abs((more - less) - (right - without.right[half])) <= size * tolerance)
                found[half] = found.get(half, True) and bool(is_right)
        return list(found.values())

    def repeat_afresh(self, process: SubmissionProcess, interface: Interface) -> bool:
        """Whether a wrong answer, and a failure, are the same in a new process.

        There, random numbers are others, and what code kept of its earlier calls is gone.
        """
        process.restart()
        for exercise, failure in self.failures.items():
            if not exercise.is_degenerate and not failure.is_fatal:
                try:
                    interface.answer(process, exercise)
                except CallFailed:
                    break
                return False
        return interface.repeats(process, self.first_wrong, self.answers[self.first_wrong])


def told_once(failures: Iterable[CallFailed]) -> list[Fact]:
    """The failures, each once, with the number of times where that is more than one."""
    alike: dict[tuple[str, tuple[int, ...]], list[CallFailed]] = defaultdict(list)
    for failure in failures:
        alike[failure.error, failure.lines].append(failure)
    return [first.with_data(times=1 + len(rest)).fact for first, *rest in alike.values()]


def collect_answers(process: SubmissionProcess, interface: Interface, exercises: Iterable[Exercise]) -> GivenAnswers:
    """Call a submission on every exercise; after `ENDINGS` processes that it ended, its last failure stands for all."""
    answers: dict[Exercise, ParsedAnswer] = {}
    failures: dict[Exercise, CallFailed] = {}
    changes: list[Fact] = []
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
        # what an object keeps shows in one exercise
        is_kept = len(answers) == 1 and any(attempt.call.function.again for attempt in interface.attempts)
        if (answer.changes_arguments or is_kept) and not any(change.severity == Severity.WRONG for change in changes):
            changes += filter(None, [interface.find_changes(process, exercise)])
    return GivenAnswers(answers, failures, max(changes, key=lambda fact: fact.severity == Severity.WRONG, default=None))
