"""A record as code: what would break a network, what is only noted, where it is not finite, float32."""

import numpy as np
import pytest
from activation_records import MISCONDUCT, MIXING, RIGHT, checked, formula, sigma, tanh_to

from harness import ACTIVATIONS
from harness.bounds.activation_bound import activation_bound
from harness.checks.activations.checking import check_activation
from harness.checks.activations.grid import grid
from harness.checks.activations.record import float32_in_words
from reference.arithmetics.rounded import Rounded32

LOG1P_EXP = formula(lambda xp, z: xp.log(1.0 + xp.exp(z)), lambda z, a: sigma(z))


@pytest.mark.parametrize(("f", "misconduct"), MISCONDUCT.values(), ids=list(MISCONDUCT))
def test_what_would_break_a_network_is_misconduct(f, misconduct):
    report = checked(f)
    assert report.verdict == "disagree"
    assert any(reason.startswith(misconduct) for reason in report.reasons), report.reasons
    assert any(line.strip().startswith(misconduct) for line in str(report).splitlines())


@pytest.mark.parametrize("f", MIXING.values(), ids=list(MIXING))
def test_entries_that_depend_on_others_are_told_once(f):
    (told,) = [reason for reason in checked(f).reasons if reason.startswith("value is not elementwise")]
    assert told.endswith("each entry must depend on the same entry of z alone")


NOTED = {
    "hands NaN on": (ACTIVATIONS["relu"], ""),
    "swallows NaN": (
        formula(lambda xp, z: xp.where(z > 0.0, z, 0.0), ACTIVATIONS["relu"].slope, kinks=(0.0,)),
        "NaN becomes 0",
    ),
    "one slope for all": (
        formula(lambda xp, z: 2.0 * z, lambda z, a: 2.0),
        "slope has shape () for z of shape (3, 4): one slope for all z",
    ),
    "arrays only": (
        formula(lambda xp, z: xp.tanh(z), lambda z, a: np.array([1.0 - x * x for x in a])),
        "cannot take an array of shape ()",
    ),
}


@pytest.mark.parametrize(("f", "note"), NOTED.values(), ids=list(NOTED))
def test_what_breaks_nothing_is_noted(f, note):
    report = check_activation(f)
    assert report.verdict == "agree", f"\n{report}"
    others = [said for said in report.notes if not said.startswith(("kink at z = 0:", "float32: value and slope"))]
    assert any(said.startswith(note) for said in others) if note else others == []


def test_where_nothing_is_finite_is_said_with_what_it_could_be():
    report = check_activation(LOG1P_EXP)
    (line,) = report.details["not_finite"]
    assert report.verdict == "agree"
    assert line.startswith("value is not finite for 7")
    assert "though it could be: 7" in line
    assert line in report.notes
    value, slope = checked(RIGHT["exp"]).details["not_finite"]
    assert "though it could be" not in value + slope  # exp(710) is more than float64 holds


def test_float32_says_where_it_does_not_suffice():
    report = check_activation(LOG1P_EXP)
    fares = report.details["float32"]
    assert fares["slope"]["within"]
    ((low, high),) = fares["value"]["beyond"]  # exp(89) overflows
    assert 88.0 < low < 110.0
    assert high > 500.0
    assert float32_in_words(fares) in report.notes
    assert f"value beyond it for {low:.5g} <= z" in float32_in_words(fares)


def test_a_result_that_leaves_float32_is_said():
    fares = check_activation(tanh_to(lambda z, a: np.float64(1.0) - a * a)).details["float32"]
    assert fares["slope"]["dtype"] == "float64"
    assert float32_in_words(fares).endswith("; slope comes out as float64")


def test_float32_may_be_off_by_both_bounds_since_float64_rounds_too():
    f = ACTIVATIONS["tanh"]
    single = np.unique(grid(f).astype(np.float32))
    double = single.astype(np.float64)
    allowed = activation_bound(f, double, Rounded32).value + activation_bound(f, double).value
    off = np.abs(f(single) - f(double))
    largest = check_activation(f).details["float32"]["value"]["largest"]
    assert largest == np.max(off[allowed > 0.0] / allowed[allowed > 0.0])


def test_the_closest_that_float32_comes_to_its_bound_is_said_of_value_and_slope():
    report = check_activation("softplus")
    value, slope = (report.details["float32"][part]["largest"] for part in ("value", "slope"))
    assert abs(value - slope) > 0.01
    assert f"value and slope within the bound at u = 2**-24 ({max(value, slope):.2g} of it)" in str(report)
