"""Every convention: what a function is called with, and what is read in its answer."""

import numpy as np
import pytest

from harness.facts.kinds import Kind
from harness.grading.call_conventions import CONVENTIONS, Convention, arguments
from harness.grading.exercises import small_exercises
from harness.grading.parameter_roles import COURSE, Default
from harness.grading.submission_answers import NotAnAnswer, parse_answer

EXERCISE = small_exercises()[0]
PROBLEM, THETA = EXERCISE.problem, EXERCISE.theta
SIZE = THETA.size
GRADIENT = np.arange(float(THETA.size))
MATRICES = PROBLEM.network.unpack(GRADIENT)


def test_theta_and_gradient_are_unrolled_alike():
    for convention in CONVENTIONS:
        if convention.theta == "flat" and convention.fits(COURSE):
            theta, *_ = arguments(COURSE, convention, PROBLEM, THETA)
            np.testing.assert_array_equal(parse_answer((1.0, theta), convention, PROBLEM).gradient, THETA)


def test_labels_and_examples_come_as_the_convention_says():
    m = PROBLEM.m
    shapes = {
        Convention(): ((m, 3), (m,)),
        Convention(column=True): ((m, 3), (m, 1)),
        Convention(labels="one-hot targets"): ((m, 3), (m, 10)),
        Convention(ones=True): ((m, 4), (m,)),
        Convention(transposed=True, labels="one-hot targets"): ((3, m), (10, m)),
    }
    for convention, (of_X, of_y) in shapes.items():
        _, _, _, _, X, y, _ = arguments(COURSE, convention, PROBLEM, THETA)
        assert (X.shape, y.shape) == (of_X, of_y)
    first, zero = (arguments(COURSE, Convention(f"labels from {i}"), PROBLEM, THETA)[5] for i in (1, 0))
    np.testing.assert_array_equal(first, zero + 1)
    assert arguments(("theta", "X", "y", Default("quiet"), "l2"), Convention(), PROBLEM, THETA)[3:] == ("quiet", 1.5)


ANSWERS = {
    "a pair": ((0.5, GRADIENT), ()),
    "a list": ([0.5, GRADIENT], ()),
    "a dictionary": ({"J": 0.5, "grad": GRADIENT}, ()),
    "a column": ((0.5, GRADIENT[:, np.newaxis]), ("gradient as an array of 2 axes",)),
    "matrices in a list": ((0.5, MATRICES), ("gradient as matrices",)),
    "matrices in lists": ((0.5, [[matrix] for matrix in MATRICES]), ("gradient as matrices",)),
    "matrices beside": ((0.5, *MATRICES), ("gradient as matrices",)),
    "gradient first": ((GRADIENT, 0.5), ("gradient before cost",)),
    "cost in an array": ((np.array([[0.5]]), GRADIENT), ("cost as an array of shape (1, 1)",)),
    "numbers in a list": ((0.5, GRADIENT.tolist()), ()),
    "numbers in a tuple": ((0.5, tuple(GRADIENT.tolist())), ()),
    "a cost beside something else": (((0.5, "h"), GRADIENT), ()),
    "integers": ((np.float32(0.5), GRADIENT.astype(int)), ()),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_cost_and_gradient_are_found_in_an_answer(name):
    value, conventions = ANSWERS[name]
    parsed = parse_answer(value, Convention(), PROBLEM)
    assert (parsed.cost, parsed.conventions) == (0.5, conventions)
    np.testing.assert_array_equal(parsed.gradient, GRADIENT)


@pytest.mark.parametrize("value", [0.5, (0.5, None), GRADIENT, GRADIENT.astype(np.float32)], ids=repr)
def test_a_cost_or_a_gradient_may_come_alone(value):
    parsed = parse_answer(value, Convention(), PROBLEM)
    assert (parsed.cost is None) == isinstance(value, np.ndarray) != (parsed.gradient is None)
    assert (parsed.precision == "float32") == (getattr(value, "dtype", None) == np.float32)


@pytest.mark.parametrize(
    ("value", "kind", "answer"),
    [
        (None, Kind.NOT_AN_ANSWER, "nothing (None)"),
        ("0.5", Kind.NOT_AN_ANSWER, "a str"),
        ((0.5, GRADIENT.astype(complex)), Kind.NOT_AN_ANSWER, f"an array of shape ({SIZE},) and type complex128"),
        ((0.5, GRADIENT[:-1]), Kind.GRADIENT_SHAPE, f"an array of shape ({SIZE - 1},)"),
        ((0.5, [MATRICES[0]] * 2), Kind.GRADIENT_SHAPE, "a list of an array of shape (5, 4) and type float64"),
        ([], Kind.GRADIENT_SHAPE, "an array of shape (0,)"),
    ],
)
def test_what_is_no_answer_is_described(value, kind, answer):
    with pytest.raises(NotAnAnswer) as raised:
        parse_answer(value, Convention(), PROBLEM)
    assert raised.value.fact.kind == kind
    assert raised.value.fact.data["answer"].startswith(answer)
