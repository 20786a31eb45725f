"""Errors in ulps, by region of z."""

import numpy as np
import pytest
from harness.checks.activations.ulps import by_region, in_ulps, ulps_in_words

from harness import ACTIVATIONS, Activation
from harness.checks.activations.activation_check import check_activation


@pytest.mark.parametrize(
    ("dtype", "digits", "smallest"),
    [(np.float64, 52, 2.0**-1022), (np.float32, 23, 2.0**-126), ("bfloat16", 7, 2.0**-126)],
)
def test_an_ulp_is_the_spacing_of_the_format_at_the_true_number(dtype, digits, smallest):
    exact = np.array([1.0, 1.5, 2.0, -3.0, 0.75, smallest])
    ulp = 2.0 ** (np.array([0, 0, 1, 1, -1, np.log2(smallest)]) - digits)
    off = in_ulps(exact + 3.0 * ulp, exact, np.zeros(6), dtype)
    np.testing.assert_array_equal(off, np.full(6, 3.0))


def test_what_is_not_known_or_no_normal_number_or_not_finite_has_none():
    exact, error = np.array([1.0, 1e-310, 0.0, np.inf, 1.0]), np.array([1e-9, 0.0, 0.0, 0.0, 0.0])
    assert np.isnan(in_ulps(np.array([1.0, 1e-310, 0.0, np.inf, np.nan]), exact, error)).all()
    assert np.isnan(in_ulps(np.ones(1), np.array([1e39]), np.zeros(1), np.float32)).all()


def test_regions_and_their_words():
    z, ulps = np.array([0.5, -0.5, 3.0, -8.0, 500.0]), np.array([0.0, 2.0, 50.0, np.nan, 1e9])
    rows = by_region(z, ulps)
    assert rows == [
        {"from": 0.0, "to": 1.0, "median": 1.0, "largest": 2.0},
        {"from": 1.0, "to": 6.0, "median": 50.0, "largest": 50.0},
        {"from": 100.0, "to": np.inf, "median": 1e9, "largest": 1e9},
    ]
    assert ulps_in_words(rows) == "is off by up to 2 ulps for |z| <= 1, 50 to 6, 1e+09 beyond 100"
    assert ulps_in_words(rows[:1]) == "is off by up to 2 ulps"
    assert ulps_in_words([rows[0] | {"largest": 0.0}]) == "is exact"
    assert ulps_in_words([]) == ""


def test_a_report_tells_them_and_not_of_a_wrong_slope():
    tanh = ACTIVATIONS["tanh"]
    right = check_activation(Activation("right", tanh.value, lambda z, a: 1.0 - a * a))
    wrong = check_activation(Activation("wrong", tanh.value, lambda z, a: 1.0 - a))
    (line,) = [note for note in right.notes if note.startswith("float64: slope is off by up to")]
    assert " to 30, " in line
    assert not any(note.startswith(("float64", "float32", "bfloat16")) for note in wrong.notes)
    assert wrong.details["ulps"]
