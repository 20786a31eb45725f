"""The z that are no ordinary numbers: -0.0 is judged like 0.0, and of ±inf is told what a network finds there."""

from dataclasses import replace

import numpy as np
import pytest
from activation_records import formula

from harness import ACTIVATIONS
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.record_faults import at_infinity
from harness.checks.activations.slope_answers import CLAIMED, ONE_SIDED


def at_minus_zero(f, slope, **changes):
    """The record with another slope at -0.0 alone."""
    wrong = lambda z, a: np.where((z == 0.0) & np.signbit(z), slope, f.slope(z, a))  # noqa: E731
    return replace(f, name="mine", slope=wrong, **changes)


@pytest.mark.parametrize(
    ("name", "slope", "verdict"),
    [
        ("softplus", 0.5, "agree"),
        ("softplus", 0.0, "disagree"),
        ("softplus", np.nan, "disagree"),
        ("tanh", 0.0, "disagree"),
        ("elu", np.inf, "disagree"),
        ("relu", 1.0, "agree"),  # a convention, and another one at 0.0
        ("relu", 0.25, "agree"),
        ("relu", -1.0, "disagree"),
        ("relu", np.nan, "disagree"),
        ("hard_tanh", np.nan, "disagree"),
    ],
)
def test_the_slope_at_minus_zero_is_judged_beside_both_sides(name, slope, verdict):
    report = check_activation(at_minus_zero(ACTIVATIONS[name], slope))
    assert (report.verdict, CLAIMED in report.outliers) == (verdict, verdict == "disagree")
    said = [note for note in report.notes if note.startswith("slope is") and "z = -0.0" in note]
    assert len(said) == (slope != ACTIVATIONS[name].slope(np.zeros(1), np.zeros(1))[0] or np.isnan(slope))
    if verdict == "disagree":
        (finding,) = report.findings
        assert (finding.against, finding.where, finding.blocks) == (ONE_SIDED, "f'(0)", ("z = 0",))
        assert finding.value == pytest.approx(slope, nan_ok=True)


def test_a_surrogate_may_have_another_slope_at_minus_zero():
    report = check_activation(at_minus_zero(ACTIVATIONS["tanh"], 0.5, surrogate=True))
    assert report.verdict == "agree"


@pytest.mark.parametrize(("there", "verdict"), [(0.0, "agree"), (np.nan, "disagree"), (1.0, "disagree")])
def test_the_value_at_minus_zero_is_that_at_zero(there, verdict):
    def value(xp, z):
        if xp.name != "numpy" or type(z) is not np.ndarray:
            return z + 0.0
        return np.where((z == 0.0) & np.signbit(z), there, z)

    report = check_activation(formula(value, lambda z, a: np.ones_like(z)))
    assert report.verdict == verdict
    assert any("value is" in reason and "z = -0.0" in reason for reason in report.reasons) == (verdict == "disagree")


def test_a_value_that_jumps_at_zero_may_do_so_between_both_zeros():
    def value(xp, z):
        return xp.where(z < 0.0, -1.0, 1.0) if xp.name != "numpy" else np.copysign(1.0, z)

    f = formula(value, lambda z, a: np.zeros_like(z), kinks=(0.0,))
    assert not any("z = -0.0" in reason for reason in check_activation(f).reasons)


@pytest.mark.parametrize(
    ("value", "slope", "said"),
    [
        (ACTIVATIONS["tanh"].value, ACTIVATIONS["tanh"].slope, []),
        (ACTIVATIONS["sin"].value, ACTIVATIONS["sin"].slope, []),  # which tends to nothing
        (lambda xp, z: z * xp.cos(z), lambda z, a: np.cos(z) - z * np.sin(z), []),
        (lambda xp, z: z * z + z, lambda z, a: 2.0 * z + 1.0, ["at z = -inf, value is nan and tends to inf"]),
        (
            ACTIVATIONS["silu"].value,
            ACTIVATIONS["silu"].slope,
            [
                "at z = -inf, value is nan and tends to 0, slope is nan and tends to 0",
                "at z = inf, slope is nan and tends to 1",
            ],
        ),
        (
            lambda xp, z: z / xp.sqrt(1.0 + z * z),
            lambda z, a: (1.0 + z * z) ** -1.5,
            ["at z = -inf, value is nan and tends to -1", "at z = inf, value is nan and tends to 1"],
        ),
        (
            ACTIVATIONS["tanh"].value,
            lambda z, a: np.where(np.isinf(z), 1.0, 1.0 - a * a),
            ["at z = -inf, slope is 1 and tends to 0", "at z = inf, slope is 1 and tends to 0"],
        ),
        (np.vectorize(lambda xp, z: z), lambda z, a: np.ones_like(z), []),  # without balls nothing is known
        (lambda xp, z: 0.5 + xp.arctan(z) / xp.pi, lambda z, a: 1.0 / (np.pi * (1.0 + z * z)), []),  # to a rounding
        (lambda xp, z: xp.exp(xp.clip(z, -500.0, 0.0)), lambda z, a: np.where((z > -500.0) & (z < 0.0), a, 0.0), []),
        (
            lambda xp, z: 1.05070098 * z,
            lambda z, a: np.full_like(z, 1.05070011),
            [f"at z = {z}, slope is 1.05070011 and tends to 1.05070098" for z in ("-inf", "inf")],
        ),
    ],
)
def test_what_is_missed_at_infinity_is_noted(value, slope, said):
    with np.errstate(all="ignore"):
        assert at_infinity(formula(value, slope)) == said


def test_what_is_missed_at_infinity_is_no_verdict():
    report = check_activation("silu")
    assert (report.verdict, report.reasons) == ("agree", ())
    assert "at z = inf, slope is nan and tends to 1" in report.notes
