"""What a proof adds to an activation's report: what is wrong between points of the grid, and where all is right."""

import math

import numpy as np
import pytest

from harness.checks.activations.activation_check import check_activation
from harness.verdict.report import Report
from reference.activations import ACTIVATIONS, Activation


def wrong(name: str, low: float, high: float, factor: float = 1.01) -> Activation:
    """A registered activation whose slope is wrong between two z."""
    f = ACTIVATIONS[name]

    def slope(z, a):
        return f.slope(z, a) * np.where((z > low) & (z < high), factor, 1.0)

    return Activation(name, f.value, slope, kinks=f.kinks)


def stretch_of(report: Report) -> tuple[float, float]:
    finding = next(finding for finding in report.findings if finding.source == "slope")
    words = " ".join(finding.blocks).replace("<=", " ").replace("=", " ").split()
    z = [float(word) for word in words if word != "z"]
    return min(z), max(z)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("sigmoid", -1.2345, -1.2344),
        ("softsign", 13.371, 13.372),
        ("leaky_relu", -29.5, -29.499),
        ("identity", 100.0, 104.0),
        ("softplus", 2000.0, 3e5),
        ("identity", -9e5, -5000.0),
    ],
)
def test_a_slope_that_is_wrong_where_the_grid_has_no_point_is_found_and_the_stretch_named(name, low, high):
    report = check_activation(wrong(name, low, high))
    assert report.verdict == "disagree"
    assert report.outliers == ("slope",)
    start, end = stretch_of(report)
    assert low - 1e-3 * abs(low) <= start <= end <= high + 1e-3 * abs(high)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_report_of_a_right_record_says_for_which_z_it_is_proved(name: str):
    report = check_activation(name)
    assert report.subject["proved"].startswith("for all z in [-30, 30]")
    assert f"proved {report.subject['proved']}" in str(report)
    assert report.details["proof"]["complete"]


def _bell(z, a):
    return 2.0 / math.sqrt(math.pi) * np.exp(-z * z)


def test_a_right_record_that_cannot_be_proved_agrees_and_says_what_is_sampled():
    f = Activation("by hand", lambda xp, z: np.vectorize(math.erf, otypes=[float])(z), _bell)
    report = check_activation(f)
    assert report.subject["proved"].startswith("for no z, all are left to sampling")
    assert "left to sampling" in str(report)


def test_rounding_that_is_no_bug_is_not_accused():
    """A slope that loses its digits towards zero is more than 1e-9 from the derivative there, by rounding alone."""
    f = Activation(
        "sinc",
        lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z)),
        lambda z, a: np.where(z == 0.0, 0.0, (np.cos(z) - a) / np.where(z == 0.0, 1.0, z)),
    )
    report = check_activation(f)
    assert report.verdict == "agree"
    assert "left to sampling" in str(report)


def test_a_slope_that_is_wrong_at_one_float_beside_a_round_number_is_found():
    f, at = ACTIVATIONS["elu"], float(np.nextafter(-1.35, 0.0))
    record = Activation("elu", f.value, lambda z, a: f.slope(z, a) + (z == at))
    report = check_activation(record)
    assert report.verdict == "disagree"
    assert report.outliers == ("slope",)


BY_A = {
    "relu": (lambda xp, z: xp.maximum(z, 0.0), lambda z, a: (a > 0.0) * 1.0, (0.0,)),
    "hard_tanh": (lambda xp, z: xp.clip(z, -1.0, 1.0), lambda z, a: np.where(np.abs(a) < 1.0, 1.0, 0.0), (-1.0, 1.0)),
}


@pytest.mark.parametrize(("low", "high"), [(2.5, 2.51), (-2e4, -1000.0), (1000.0, 2e4), (0.0, 0.0)])
@pytest.mark.parametrize("name", BY_A)
def test_a_comparison_of_exact_values_excuses_nothing(name, low, high):
    value, slope, kinks = BY_A[name]
    record = Activation(name, value, lambda z, a: slope(z, a) + 2.0 * ((z >= low) & (z <= high)), kinks=kinks)
    assert check_activation(record).verdict == "disagree"


@pytest.mark.parametrize("name", BY_A)
def test_a_right_slope_by_such_a_comparison_agrees(name):
    value, slope, kinks = BY_A[name]
    assert check_activation(Activation(name, value, slope, kinks=kinks)).verdict == "agree"
