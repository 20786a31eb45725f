"""Exercise 4, measured beside its published numbers."""

import json

import numpy as np
import pytest
from scipy.io import savemat

from harness.digits import course_numbers
from harness.digits.course_numbers import COURSE, Comparison, compare_with_course, load_weights
from harness.digits.mat_files import npz_bytes


def matrices(theta):
    return {f"Theta{layer}": Theta for layer, Theta in enumerate(COURSE.unpack(theta), start=1)}


def saved(path, **content):
    savemat(path, content)
    return path


def test_the_courses_weights_give_every_published_digit(course_theta, digits):
    rows = compare_with_course(course_theta, digits)
    assert all(row.equal for row in rows), course_numbers.as_table(rows)
    assert [row.published for row in rows] == [*["0.287629"] * 3, *["0.383770"] * 3, *["0.576051"] * 3, "97.52", "0.25"]
    document = course_numbers.to_dict(rows)
    assert document["verdict"] == "agree"
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert "DIFFERS" not in course_numbers.as_table(rows)


def test_other_weights_do_not(course_theta, digits):
    altered = course_theta.copy()
    altered[np.argmax(np.abs(altered))] *= 1.01
    rows = compare_with_course(altered, digits)
    assert not any(row.equal for row in rows if row.what.startswith("cost"))
    assert course_numbers.to_dict(rows)["verdict"] == "disagree"
    assert course_numbers.as_table(rows).count("DIFFERS") >= 9


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


def test_a_table_lines_up():
    rows = [Comparison("cost", "0.287629", 0.3), Comparison("a longer name", "97.52", 97.52)]
    head, first, second = course_numbers.as_table(rows).splitlines()
    assert head.index("published") + len("published") == first.index("0.287629") + 8 == second.index("97.52") + 5
    assert first.endswith("DIFFERS")


# Weights on file


def test_weights_are_read_as_theta(course_weights, course_theta):
    assert course_theta.shape == (COURSE.size,) == (10285,)
    assert course_theta.dtype == np.float64
    np.testing.assert_array_equal(load_weights(str(course_weights)), course_theta)


def test_weights_of_ones_own_are_read_back_to_the_bit(tmp_path):
    theta = COURSE.init(0)
    np.testing.assert_array_equal(load_weights(saved(tmp_path / "mine.mat", **matrices(theta))), theta)


NO_WEIGHTS = {
    "missing": (lambda path: None, FileNotFoundError, "is not a file; give the course's ex4weights.mat"),
    "folder": (lambda path: path.mkdir(), FileNotFoundError, "is not a file"),
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


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_download_is_refused(course_weights, tmp_path, kept):
    content = course_weights.read_bytes()
    path = tmp_path / "part.mat"
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"part\.mat (cannot be read|must hold)"):
        load_weights(path)
