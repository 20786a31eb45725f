"""What right costs differ in, and is no mistake."""

import pytest

from harness.grading.cost_formulas import EPSILON_ADDED, epsilon_shifts, without_allowances
from harness.grading.exercises import small_exercises
from harness.grading.submission_answers import ParsedAnswer


@pytest.mark.parametrize(("off", "convention"), [(0.0, EPSILON_ADDED), (3e-8, "single precision (float32)")])
def test_the_cost_of_code_in_float32_is_not_off_by_an_epsilon_where_the_gradient_is_off_as_well(off, convention):
    exercise = small_exercises()[0]
    shift = min(shift for name, shift in epsilon_shifts(exercise) if name == EPSILON_ADDED and abs(shift) < 1e-9)
    cost, gradient = exercise.right
    answer = without_allowances(exercise, ParsedAnswer(cost + shift, gradient * (1.0 + off)), names_float32=True)
    assert (answer.conventions, exercise.is_right(answer)) == ((convention,), (True, True))
