"""Trainings on digits, the shares of digits that are read, and exercise 4 beside its published numbers."""

import json

import numpy as np
import pytest
from scipy.io import savemat

from harness.digits.digit_networks import (
    COURSE,
    Comparison,
    Plan,
    accuracy,
    compare_with_course,
    comparison_document,
    comparison_table,
    fit,
    load_weights,
)
from harness.digits.digits_data import Digits
from harness.digits.mat_files import npz_bytes
from harness.training.gated_training import predict, train
from reference.network import Network
from reference.problem import Problem


@pytest.fixture(scope="module")
def small_digits():
    """Sixty images of ten pixels, of which one is dark."""
    y = np.arange(60) % 10
    return Digits(np.random.default_rng(0).normal(0.0, 0.5, (60, 10)) + np.eye(10)[y], y)


def test_fit_trains_and_counts_what_it_reads(small_digits):
    training, test = Digits(small_digits.X[:40], small_digits.y[:40]), Digits(small_digits.X[40:], small_digits.y[40:])
    network, steps = Network((10, 10)), []
    plan = Plan("small", network.sizes, l2=0.1, max_iter=8)
    result = fit(plan, training, test, seed=3, progress=lambda *step: steps.append(step))
    expected = train(Problem(network, training.X, training.classes, 0.1), network.init(3), 8)
    assert np.array_equal(result.training.theta, expected.theta)
    read = predict(network, expected.theta, test.X)
    assert result.test_accuracy == np.mean((read + 1) % 10 == test.y)  # unit k stands for digit (k + 1) % 10
    assert result.training_accuracy == accuracy(network, expected.theta, training)
    assert 0.5 < accuracy(network, expected.theta, test) < result.training_accuracy
    assert result.curves.cost == pytest.approx(expected.costs, rel=1e-14)
    first = accuracy(network, network.init(3), training)
    assert result.curves.training_accuracy[[0, -1]].tolist() == [first, result.training_accuracy]
    assert result.curves.test_accuracy[-1] == result.test_accuracy
    assert result.cost == pytest.approx(expected.costs[-1], rel=1e-14)
    assert steps == [("small", done, 8) for done in range(9)]


def test_fit_needs_no_digits_held_out(small_digits):
    result = fit(Plan("small", (10, 10), l2=1.0, max_iter=2), small_digits, gate=False)
    assert "held out" not in str(result)
    assert result.test_accuracy is None
    assert np.isnan(result.curves.test_accuracy).all()
    assert result.training.reports == ()


# Exercise 4


def matrices(theta):
    return {f"Theta{layer}": Theta for layer, Theta in enumerate(COURSE.unpack(theta), start=1)}


def saved(path, **content):
    savemat(path, content)
    return path


def test_the_courses_weights_give_every_published_digit(course_theta, digits):
    rows = compare_with_course(course_theta, digits)
    assert all(row.equal for row in rows), comparison_table(rows)
    assert [row.published for row in rows] == [*["0.287629"] * 3, *["0.383770"] * 3, *["0.576051"] * 3, "97.52", "0.25"]
    document = comparison_document(rows)
    assert document["verdict"] == "agree"
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert "DIFFERS" not in comparison_table(rows)


def test_other_weights_do_not(course_theta, digits):
    altered = course_theta.copy()
    altered[np.argmax(np.abs(altered))] *= 1.01
    rows = compare_with_course(altered, digits)
    assert not any(row.equal for row in rows if row.what.startswith("cost"))
    assert comparison_document(rows)["verdict"] == "disagree"
    assert comparison_table(rows).count("DIFFERS") >= 9


@pytest.mark.parametrize(
    ("published", "measured", "equal"),
    [
        ("0.287629", 0.2876291651613189, True),
        ("0.287629", 0.2876286, True),
        ("0.287629", 0.2876284, False),
        ("0.287629", 0.2876296, False),
        ("0.383770", 0.3837699, True),
        ("0.383770", 0.383771, False),
        ("97.52", 97.52, True),
        ("97.52", 97.5, False),
        ("0.25", float("nan"), False),
    ],
)
def test_numbers_are_equal_when_every_published_digit_is(published, measured, equal):
    assert Comparison("what", published, measured).equal is equal


# Weights on file


def test_weights_are_read_as_theta(course_weights, course_theta):
    assert course_theta.shape == (COURSE.size,) == (10285,)
    assert course_theta.dtype == np.float64
    np.testing.assert_array_equal(load_weights(str(course_weights)), course_theta)


NO_WEIGHTS = {
    "missing": (lambda path: None, FileNotFoundError, "is not an existing file; expected the course's ex4weights.mat"),
    "folder": (lambda path: path.mkdir(), FileNotFoundError, "is not an existing file"),
    "empty": (lambda path: path.write_bytes(b""), ValueError, "cannot be read as a MATLAB file"),
    "others": (lambda path: saved(path, X=np.eye(3)), ValueError, "has no Theta1 and no Theta2"),
    "half": (lambda path: saved(path, Theta1=np.zeros((25, 401))), ValueError, "has no Theta2"),
    "turned": (
        lambda path: saved(path, Theta1=np.zeros((25, 401)), Theta2=np.zeros((26, 10))),
        ValueError,
        r"need matrices of shapes \[\(25, 401\), \(10, 26\)\], but",
    ),
    "NaN": (
        lambda path: saved(path, **matrices(np.where(np.arange(COURSE.size) == 7, np.nan, 0.0))),
        ValueError,
        "weights that are not finite",
    ),
    "letters": (
        lambda path: saved(path, Theta1=np.full((25, 401), "a"), Theta2=np.zeros((10, 26))),
        ValueError,
        r"weights\.mat does not hold the course's Theta1 and Theta2: ",
    ),
    "npz": (
        lambda path: path.write_bytes(npz_bytes(COURSE, COURSE.init(0))),
        ValueError,
        r"give a \.mat file: the course's, or",
    ),
}


@pytest.mark.parametrize(("write", "error", "sentence"), NO_WEIGHTS.values(), ids=list(NO_WEIGHTS))
def test_a_file_without_the_courses_weights_gets_one_clear_sentence(tmp_path, write, error, sentence):
    path = tmp_path / "weights.mat"
    write(path)
    with pytest.raises(error, match=sentence):
        load_weights(path)
