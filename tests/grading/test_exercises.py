"""The problems that submissions are called on differ in all that right code accepts."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from harness.grading.exercises import (
    changed_step_by_step,
    course_exercises,
    draw_exercise,
    small_exercises,
    without_first_class,
)
from harness.grading.given_answers import GivenAnswers
from harness.grading.submission_answers import ParsedAnswer


def test_problems_of_one_shape_differ_in_one_quantity_from_the_one_before():
    first = draw_exercise((2, 3, 4), 5, 1.0, 0)
    for before, after in pairwise([first, *changed_step_by_step(first)]):
        quantities = [(each.problem.l2, each.problem.X, each.problem.Y, each.theta) for each in (before, after)]
        assert sum(not np.array_equal(*pair) for pair in zip(*quantities)) == 1
        assert before.name != after.name


def test_problems_have_every_number_of_examples_and_lambda_and_size():
    problems = [exercise.problem for exercise in small_exercises()]
    assert {1, 130} <= {problem.m for problem in problems}
    assert {0.0, 0.001, 1000.0} <= {problem.l2 for problem in problems}
    sizes = zip(*(problem.network.sizes for problem in problems))  # of inputs, hidden units and classes
    assert [set(each) for each in sizes] == [{1, 2, 3, 4, 400}, {1, 3, 5, 7, 25}, {3, 4, 10}]


def test_where_classes_are_missing_the_last_is_there_and_of_several_the_first_is_not():
    exercises = (*small_exercises(), *course_exercises(250))
    labels = {ex.problem.m: set(ex.problem.Y.argmax(axis=1)) for ex in exercises if ex.lacks_class}
    assert labels.pop(1) == {9}
    assert labels.keys() == {5, 7, 13}  # fewer examples than classes, and as many
    assert all(9 in each and 0 not in each for each in labels.values())


def test_right_code_need_not_run_where_a_class_or_an_axis_may_be_missing():
    degenerate = [exercise.name for exercise in small_exercises() if exercise.is_degenerate]
    assert [name.rpartition(", λ")[0] for name in degenerate] == [
        "4-5-10, 1 example",
        "4-5-10, 13 examples without a class",
        "4-5-10, 7 examples",
        "1-1-3, 4 examples",
    ]


@pytest.mark.parametrize(
    ("sizes", "m", "with_class", "is_fault"),
    [
        ((4, 5, 10), 7, "answered", True),
        ((4, 5, 10), 7, "failed", False),  # for want of a class
        ((4, 1, 10), 7, "answered", False),  # as of one unit
        ((4, 5, 10), 1, "answered", False),
        ((4, 5, 10), 13, "answered", True),
    ],
)
def test_right_code_runs_for_fewer_examples_than_classes_if_it_runs_without_a_class(sizes, m, with_class, is_fault):
    lacking, failure = without_first_class(draw_exercise((4, 5, 10), 13, 1.5, 9)), Any
    failures = {draw_exercise(sizes, m, 1.0, 0): failure} | ({lacking: failure} if with_class == "failed" else {})
    answers = {lacking: ParsedAnswer()} if with_class == "answered" else {}
    assert bool(GivenAnswers(answers, failures).faults) == is_fault  # pyright: ignore[reportArgumentType]
