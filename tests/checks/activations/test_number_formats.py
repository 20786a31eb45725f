"""Value and slope in float32 and bfloat16: within the bound, in ulps, and where they overflow."""

import ml_dtypes
import numpy as np
import pytest
from activation_records import formula, sigma, tanh_to

from harness import ACTIVATIONS, Activation
from harness.bounds.activation_bound import activation_bound
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.number_formats import in_formats, in_words, stored
from harness.checks.activations.z_grid import grid
from reference.arithmetics.rounded import Rounded32

LOG1P_EXP = formula(lambda xp, z: xp.log(1.0 + xp.exp(z)), lambda z, a: sigma(z))


def fares(f, name="float32"):
    return in_formats(f, grid(f))[name]


def test_float32_says_where_it_does_not_suffice():
    report = check_activation(LOG1P_EXP)
    fares = report.details["float32"]
    (line,) = in_words({"float32": fares})
    assert fares["slope"]["within"]
    ((low, high),) = fares["value"]["beyond"]  # exp(89) overflows
    assert 88.0 < low < 110.0
    assert high > 500.0
    assert line in report.notes
    assert f"value beyond it for {low:.5g} <= z" in line


def test_a_result_that_leaves_float32_is_said():
    found = fares(tanh_to(lambda z, a: np.float64(1.0) - a * a))
    assert found["slope"]["dtype"] == "float64"
    assert "; slope comes out as float64" in in_words({"float32": found})[0]


def test_float32_may_be_off_by_both_bounds_since_float64_rounds_too():
    f = ACTIVATIONS["tanh"]
    single = np.unique(grid(f).astype(np.float32))
    double = single.astype(np.float64)
    allowed = activation_bound(f, double, Rounded32).value + activation_bound(f, double).value
    off = np.abs(f(single) - f(double))
    largest = fares(f)["value"]["largest"]
    assert largest == np.max(off[allowed > 0.0] / allowed[allowed > 0.0])


def test_the_closest_that_float32_comes_to_its_bound_is_said_of_value_and_slope():
    report = check_activation("softplus")
    value, slope = (report.details["float32"][part]["largest"] for part in ("value", "slope"))
    assert abs(value - slope) > 0.01
    assert f"value and slope within the bound at u = 2**-24 ({max(value, slope):.2g} of it)" in str(report)


def test_bfloat16_is_rounded_after_each_operation_where_numpy_would_go_on_in_float32():
    z = stored(np.array([0.1, 1.0, 3.0], dtype=np.float32))
    a = np.where(z > 0.5, 0.1 * np.exp(z) + 1.0, z / 3.0)
    first, second = stored(np.exp(z)), stored(np.float32(0.1) * stored(np.exp(z)))
    expected = np.where(np.asarray(z) > 0.5, second + 1.0, z / 3.0)
    np.testing.assert_array_equal(a, stored(expected))
    np.testing.assert_array_equal(a, np.asarray(a).astype(ml_dtypes.bfloat16).astype(np.float32))
    assert first[1] == np.float32(ml_dtypes.bfloat16(np.exp(1.0)))
    with pytest.raises(TypeError, match="in place"):
        np.add(z, z, out=z)


@pytest.mark.parametrize(("name", "onset"), [("float32", 88.7228), ("bfloat16", 88.75)])
def test_where_a_format_overflows_and_float64_does_not_is_told_to_its_last_digit(name, onset):
    found = fares(Activation("exp", lambda xp, z: xp.exp(z), lambda z, a: a), name)
    for part in ("value", "slope"):
        ((low, high),) = found[part]["overflows"]
        assert low == pytest.approx(onset, abs=2e-4)
        assert 600.0 < high < 710.0
    assert f"value overflows for {low:.5g} <= z" in in_words({name: found})[0]


def test_an_overflow_below_zero_begins_where_it_is_nearest_to_zero():
    found = fares(Activation("mirrored", lambda xp, z: xp.exp(-z), lambda z, a: -a))
    ((low, high),) = found["value"]["overflows"]
    assert (low < -600.0, high) == (True, pytest.approx(-88.7228, abs=2e-4))


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_true_errors_in_ulps_of_each_format(name):
    """Where 1 - a² cancels, no format keeps its digits; 1/cosh² keeps them."""
    lost = fares(Activation("lost", ACTIVATIONS["tanh"].value, lambda z, a: 1.0 - a * a), name)
    kept = fares(ACTIVATIONS["tanh"], name)
    digits = {"float32": 23, "bfloat16": 7}[name]
    assert max(row["largest"] for row in lost["slope"]["ulps"]) >= 2.0 ** (digits - 1)
    assert max(row["largest"] for row in kept["slope"]["ulps"]) < 6.0
    assert lost["value"] == kept["value"]
    assert 0.4 < kept["value"]["ulps"][0]["largest"] < 2.0  # a rounding is half an ulp, and never more than these


def test_the_slope_of_a_surrogate_is_held_against_itself_in_float64():
    f = Activation(
        "through",
        lambda xp, z: xp.where(z > 0.0, 1.0, 0.0 * z),
        lambda z, a: 1.0 / np.square(1.0 + np.abs(z)),
        surrogate=True,
    )
    for name in ("float32", "bfloat16"):
        rows = fares(f, name)["slope"]["ulps"]
        assert 0.1 < max(row["largest"] for row in rows) < 4.0


def test_what_does_not_run_in_bfloat16_is_left_out_with_a_reason():
    def masked(z, a):
        slope = 1.0 - a * a
        np.multiply(slope, 1.0, out=slope)
        return slope

    found = fares(Activation("in place", ACTIVATIONS["tanh"].value, masked), "bfloat16")
    assert found == {"left_out": "bfloat16 is not computed in place"}
    assert in_words({"bfloat16": found}) == [
        "bfloat16: the formulas do not run in it (bfloat16 is not computed in place)"
    ]
