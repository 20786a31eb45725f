"""Value and slope in float64, float32 and bfloat16: errors in ulps, the rounding bound, overflow, lost tails."""

import ml_dtypes
import numpy as np
import pytest
from activation_records import checked, facts_of, formula, of, tanh_to

from harness import ACTIVATIONS, Activation
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.number_formats import measure_formats, round_to_bfloat16
from harness.checks.activations.z_grid import grid
from harness.facts.kinds import Kind
from reference.oracles import ball_arithmetic


def in_format(f, name="float32"):
    return measure_formats(f, grid(f))[name]


def largest(found, part="slope"):
    return max(row["largest"] for row in found[part]["errors"])


SILU_FROM_A = Activation("silu", lambda xp, z: z / (1.0 + xp.exp(-z)), lambda z, a: a + (1.0 - a) / (1.0 + np.exp(-z)))


@pytest.mark.parametrize("name", ["float64", "float32"])
@pytest.mark.parametrize(("low", "high"), [(-6.0, 0.0), (0.0, 6.0), (6.0, 30.0)])
@pytest.mark.parametrize("f", [ACTIVATIONS["gelu"], ACTIVATIONS["mish"], SILU_FROM_A], ids=lambda f: f.name)
def test_no_random_point_has_fewer_digits_than_are_stated_for_its_stretch(f, low, high, name):
    z = np.random.default_rng(7).uniform(low, high, 1000).astype(name)
    exact = ball_arithmetic.slope(f, z.astype(float))
    beside = [np.abs(f.slope(x, f(x))) for x in (0.95 * z.astype(float), 1.05 * z.astype(float))]
    for part, computed, true in (("value", f(z), exact.value), ("slope", f.slope(z, f(z)), exact.slope)):
        size = np.maximum(np.abs(true), np.minimum(*beside) if part == "slope" else 0.0)
        (row,) = [row for row in checked(f).details[name][part]["errors"] if (row["from"], row["to"]) == (low, high)]
        assert np.max(np.abs(computed - true) / size) <= 10.0 ** -row["digits"] or row["digits"] == 0


def test_digits_are_reported_unless_the_slope_is_wrong():
    right, wrong = (checked(tanh_to(slope)) for slope in (lambda z, a: 1.0 - a * a, lambda z, a: 1.0 - a))
    assert [fact.where for fact in facts_of(right, Kind.NUMBER_FORMAT)] == [("float64",), ("float32",), ("bfloat16",)]
    assert largest(facts_of(right, Kind.NUMBER_FORMAT)[0].data) > 1e6
    assert Kind.NUMBER_FORMAT not in wrong.kinds
    assert wrong.details["float64"]


def test_a_result_that_leaves_float32_is_reported():
    assert in_format(tanh_to(lambda z, a: np.float64(1.0) - a * a))["slope"]["dtype"] == "float64"


def test_bfloat16_is_rounded_after_each_operation_where_numpy_would_go_on_in_float32():
    z = round_to_bfloat16(np.array([0.1, 1.0, 3.0], dtype=np.float32))
    a = np.where(z > 0.5, 0.1 * np.exp(z) + 1.0, z / 3.0)
    first = round_to_bfloat16(np.exp(z))
    second = round_to_bfloat16(np.float32(0.1) * first)
    expected = np.where(np.asarray(z) > 0.5, second + 1.0, z / 3.0)
    np.testing.assert_array_equal(a, round_to_bfloat16(expected))
    np.testing.assert_array_equal(a, np.asarray(a).astype(ml_dtypes.bfloat16).astype(np.float32))
    assert first[1] == np.float32(ml_dtypes.bfloat16(np.exp(1.0)))
    with pytest.raises(TypeError, match="in place"):
        np.add(z, z, out=z)


@pytest.mark.parametrize(("name", "onset"), [("float32", 88.7228), ("bfloat16", 88.75)])
def test_where_a_format_overflows_is_found_to_its_last_digit(name, onset):
    found = in_format(Activation("exp", lambda xp, z: xp.exp(z), lambda z, a: a), name)
    for part in ("value", "slope"):
        ((low, high),) = found[part]["overflows"]
        assert low == pytest.approx(onset, abs=2e-4)
        assert 600.0 < high < 710.0
    ((low, high),) = in_format(Activation("exp(-z)", lambda xp, z: xp.exp(-z), lambda z, a: -a), name)["value"][
        "overflows"
    ]
    assert (low < -600.0, high) == (True, pytest.approx(-onset, abs=2e-4))


@pytest.mark.parametrize(("name", "digits"), [("float32", 23), ("bfloat16", 7)])
def test_true_errors_in_ulps_of_each_format(name, digits):
    """Where 1 - a² cancels, no format keeps its digits; 1/cosh² keeps them."""
    lost = in_format(Activation("lost", ACTIVATIONS["tanh"].value, lambda z, a: 1.0 - a * a), name)
    kept = in_format(ACTIVATIONS["tanh"], name)
    assert largest(lost) >= 2.0 ** (digits - 1)
    assert largest(kept) < 12.0
    assert 0.4 < largest(kept, "value") < 2.0  # a rounding is half an ulp, and never more than these


def test_the_slope_of_a_surrogate_is_compared_with_itself_in_float64():
    f = formula(
        lambda xp, z: xp.where(z > 0.0, 1.0, 0.0 * z), lambda z, a: 1.0 / np.square(1.0 + np.abs(z)), surrogate=True
    )
    for found in measure_formats(f, grid(f)).values():
        assert 0.1 < largest(found) < 4.0


def test_what_does_not_run_in_bfloat16_is_left_out_with_a_reason():
    def masked(z, a):
        slope = 1.0 - a * a
        np.multiply(slope, 1.0, out=slope)
        return slope

    f = Activation("in place", ACTIVATIONS["tanh"].value, masked)
    assert in_format(f, "bfloat16") == {"left_out": "bfloat16 is not computed in place"}
    assert ("bfloat16",) in [fact.where for fact in facts_of(check_activation(f), Kind.FORMULA_REFUSED)]


def test_a_lost_tail_is_reported_and_not_judged():
    lost = check_activation(of("sigmoid", lambda z, a: a * (1.0 - a)))
    assert lost.verdict == "agree"
    starts = [fact.data["z"] for fact in facts_of(lost, Kind.LOST_TAIL)]
    assert starts == [pytest.approx(-37.0, abs=2.0), pytest.approx(37.0, abs=2.0)]
    assert largest(lost.details["float64"]) > 1e12
    kept = checked(ACTIVATIONS["sigmoid"])
    assert kept.details["lost_tails"] == []
    assert largest(kept.details["float64"]) < 20.0


def test_a_wrong_slope_has_not_lost_its_digits_to_rounding():
    tanh = ACTIVATIONS["tanh"]
    wrong = Activation("wrong", lambda xp, z: z * xp.tanh(z), lambda z, a: np.tanh(z) + z * (1.0 - np.tanh(z)))
    beyond = Activation("beyond", tanh.value, lambda z, a: np.where(np.abs(z) > 8.0, 1.0, tanh.slope(z, a)))
    for f in (wrong, beyond):
        report = check_activation(f)
        assert (report.verdict, report.details["lost_tails"]) == ("disagree", [])
