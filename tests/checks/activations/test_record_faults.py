"""A record as code: what would break a network, what is only noted, where it is not finite."""

import numpy as np
import pytest
from activation_records import MISCONDUCT, MIXING, RIGHT, checked, formula, sigma

from harness import ACTIVATIONS
from harness.checks.activations.activation_check import check_activation

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
    others = [said for said in report.notes if not said.startswith(("kink at z = 0:", "float", "bfloat16"))]
    assert any(said.startswith(note) for said in others) if note else others == []


def test_where_jax_makes_nan_of_a_right_formula_is_said():
    f = formula(lambda xp, z: z / (1.0 + xp.exp(-z)), lambda z, a: a + (1.0 - a) / (1.0 + np.exp(-z)))
    report = check_activation(f)
    (line,) = report.details["not_finite"]
    assert report.verdict == "agree"
    assert line.startswith("JAX's slope of the formula is not finite for -1000 <= z <= -7")
    assert line.endswith("though it could be: 0 at z = -1000")


def test_what_differs_at_minus_zero_is_told_with_the_digits_that_differ():
    f = formula(lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - a * a + 1e-9 * np.signbit(z))
    assert "slope is 1.000000001 at z = -0.0, and 1 at 0.0, which is the same number" in " ".join(
        check_activation(f).notes
    ).replace("1.00000000 ", "1 ")


def test_where_nothing_is_finite_is_said_with_what_it_could_be():
    report = check_activation(LOG1P_EXP)
    (line,) = report.details["not_finite"]
    assert report.verdict == "agree"
    assert line.startswith("value is not finite for 7")
    assert "though it could be: 7" in line
    assert line in report.notes
    value, slope = checked(RIGHT["exp"]).details["not_finite"]
    assert "though it could be" not in value + slope  # exp(710) is more than float64 holds
