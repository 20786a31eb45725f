"""Kinks: the declared ones with the slopes that may be claimed at them, those that nobody declared, and jumps."""

import math

import numpy as np
import pytest
from activation_records import beside_claim, checked, curve, formula, relu_with, sigma, stairs, tanh_to
from harness.checks.activations.activation_subject import AT_A_SEAM

from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.junctions import Junction, find_jumps
from harness.checks.activations.slope_answers import CLAIMED, ONE_SIDED


def kinks_of(report):
    return report.details["kinks"]


@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0, 1.0 + 1e-9])
def test_at_a_kink_every_slope_between_both_sides_is_a_convention(at_zero):
    report = check_activation(relu_with(at_zero, kinks=(0.0,)))
    (kink,) = kinks_of(report)
    assert report.verdict == "agree"
    assert (kink["left"], kink["right"], kink["claimed"], kink["jax"]) == (0.0, 1.0, at_zero, 0.0)
    assert kink["follows_jax"] == (at_zero == 0.0)
    (row,) = [row for row in report.pairs if ONE_SIDED in (row.first, row.second)]
    assert (row.first, row.verdict, row.coordinates_decided) == (CLAIMED, "agree", 1)


@pytest.mark.parametrize(
    ("at_zero", "nearest"), [(-0.1, 0.0), (1.1, 1.0), (np.nan, 0.0), (np.inf, 0.0), (-1e-8, 0.0), (1.0 + 1e-5, 1.0)]
)
def test_a_slope_outside_of_both_sides_is_no_convention(at_zero, nearest):
    report = check_activation(relu_with(at_zero, kinks=(0.0,)))
    (finding,) = report.findings
    assert (report.verdict, report.outliers) == ("disagree", (CLAIMED,))
    assert (finding.source, finding.against, finding.where, finding.blocks) == (CLAIMED, ONE_SIDED, "f'(0)", ("z = 0",))
    assert (finding.value, finding.expected) == (pytest.approx(at_zero, nan_ok=True), nearest)
    assert (finding.diagnosis == AT_A_SEAM) == np.isfinite(at_zero)
    assert ("overflow on the way" in finding.diagnosis) == (not np.isfinite(at_zero))
    assert curve(report).wrong_stretches() == ((0.0, 0.0),)


@pytest.mark.parametrize(
    ("at_zero", "verdict"),
    [(0.1, "agree"), (0.5, "agree"), (np.inf, "disagree"), (2.0, "disagree"), (np.nan, "disagree")],
)
def test_one_sided_differences_know_the_sides_where_values_are_all_there_is(at_zero, verdict):
    relu = np.vectorize(lambda x: 0.5 * (x + math.fabs(x)), otypes=[float])
    report = check_activation(
        formula(lambda xp, z: relu(z), lambda z, a: np.where(z == 0.0, at_zero, z > 0.0), kinks=(0.0,))
    )
    assert {source.name for source in report.sources} == {CLAIMED, "finite-difference", ONE_SIDED}
    assert report.verdict == verdict
    assert beside_claim(report)[ONE_SIDED].verdict == verdict


def test_the_sides_of_a_kink_are_those_of_the_oracles_that_stand():
    f = formula(
        lambda xp, z: xp.where(z > 0.0, 3.0 * z if xp.name == "jax" else z, 0.0),
        lambda z, a: np.where(z > 0.0, 1.0, 0.0),
        kinks=(0.0,),
    )
    report = check_activation(f)
    (kink,) = kinks_of(report)
    assert (report.outliers, kink["left"], kink["right"]) == (("jax",), 0.0, 1.0)


def test_sides_with_a_slope_of_zero_are_known():
    f = formula(lambda xp, z: xp.where(z > 0.0, 1.0, -1.0 + 0.0 * z), lambda z, a: np.zeros_like(z), kinks=(0.0,))
    report = check_activation(f)
    (kink,) = kinks_of(report)
    assert (report.verdict, kink["left"], kink["right"], kink["jumps"]) == ("agree", 0.0, 0.0, False)


PLACES = [(0.0,), (0.7,), (-1.0, 1.0), (1.0 / 3.0,), (-250.0, 0.123456789)]


def bent_at(places, at_kinks=None, **keywords):
    """Slope 1, and one half more after each place; at the places the slope before, or another."""

    def value(xp, z):
        return sum((xp.where(z > place, 0.5 * (z - place), 0.0) for place in places), z)

    def slope(z, a):
        right = 1.0 + sum(np.where(z > place, 0.5, 0.0) for place in places)
        return right if at_kinks is None else np.where(np.isin(z, places), at_kinks, right)

    return formula(value, slope, **keywords)


@pytest.mark.parametrize("places", PLACES)
def test_undeclared_kinks_are_found_where_they_are(places):
    report = check_activation(bent_at(places))
    assert report.verdict == "inconclusive"
    assert [kink["z"] for kink in kinks_of(report)] == pytest.approx(places, rel=1e-15)
    assert not any(kink["declared"] for kink in kinks_of(report))
    assert "declares no kink" in report.reasons[0]
    assert check_activation(bent_at(places, kinks=places)).verdict == "agree"


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("at_kinks", [5.0, np.nan])
@pytest.mark.parametrize("places", [(0.0,), (0.7,), (-1.0, 1.0), (-250.0, 0.123456789)])
def test_what_is_claimed_at_a_kink_is_judged_whether_it_is_declared_or_not(places, at_kinks, declared):
    report = check_activation(bent_at(places, at_kinks, kinks=places if declared else ()))
    assert (report.verdict, report.outliers) == ("disagree", (CLAIMED,))
    (finding,) = report.findings
    assert (finding.against, len(finding.blocks)) == (ONE_SIDED, len(places))


def test_a_declared_kink_where_nothing_jumps_is_said():
    report = check_activation(tanh_to(lambda z, a: 1.0 - a * a, kinks=(0.5,)))
    (kink,) = kinks_of(report)
    assert (report.verdict, kink["jumps"]) == ("agree", False)
    assert any("no kink at z = 0.5, though one is declared" in note for note in report.notes)


@pytest.mark.parametrize(
    ("left", "right", "jumps", "between"),
    [
        (-1.0, np.inf, True, {-1.0, 0.0, 0.5, 1.0, 2.0, np.inf}),
        (-np.inf, np.inf, True, {-np.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf}),
        (np.inf, np.inf, False, {-np.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf}),  # no slope, so a convention
        (2.0, 2.0, False, {2.0}),
        (0.0, 1.0, True, {0.0, 0.5, 1.0}),
        (np.nan, 1.0, True, {-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, -np.inf, np.inf}),
    ],
)
def test_a_kink_with_sides_of_any_size(left, right, jumps, between):
    tried = (-np.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf, np.nan)
    kinks = [Junction(0.0, left, right, claimed, np.nan, declared=True) for claimed in tried]
    assert {kink.claimed for kink in kinks if kink.is_between} == between
    assert {kink.jumps for kink in kinks} == {jumps}
    for kink in kinks:
        assert kink.nearest_convention in ((kink.claimed,) if kink.is_between else (left, right))


@pytest.mark.parametrize(
    ("left", "right", "declared", "words"),
    [
        (
            -1.0,
            np.inf,
            False,
            "undeclared kink at z = 0: the slope goes from -1 to inf; declare it with kinks=(0, ...)",
        ),
        (-1.0, np.inf, True, "kink at z = 0: the slope goes from -1 to inf; 0 is claimed there, as JAX reports"),
        (2.0, 2.0, False, "no kink at z = 0: the slope is 2 on both sides"),
        (2.0, 2.0, True, "no kink at z = 0, though one is declared: the slope is 2 on both sides"),
        (np.nan, 2.0, True, "kink at z = 0: the slopes on both sides are not known well enough; 0 is claimed there"),
        (-np.inf, np.inf, True, "kink at z = 0: the slope goes from -inf to inf; 0 is claimed there"),
    ],
)
def test_a_kink_in_words(left, right, declared, words):
    assert str(Junction(0.0, left, right, 0.0, 0.0, declared)).startswith(words)


def test_a_claim_that_differs_from_jax_at_a_kink_is_said():
    assert "but JAX reports 0 for the formula" in str(Junction(0.0, 0.0, 1.0, 0.5, 0.0, declared=True))


@pytest.mark.parametrize(
    ("value", "slope"),
    [
        (lambda xp, z: xp.sign(z) * xp.log1p(xp.abs(z)), lambda z, a: 1.0 / (1.0 + np.abs(z))),
        (lambda xp, z: xp.where(z == 0.0, 0.0 * z, z), lambda z, a: np.ones_like(z)),
        (lambda xp, z: xp.copysign(xp.log1p(xp.abs(z)), z), lambda z, a: 1.0 / (1.0 + np.abs(z))),
    ],
    ids=["sign", "where", "no rule"],
)
def test_where_differentiation_is_wrong_at_one_point_there_is_no_kink(value, slope):
    """Automatic differentiation says 0 at z = 0 because sign(0) = 0, and the slope is the same on both sides."""
    report = check_activation(formula(value, slope))
    assert (kinks_of(report), report.reasons) == ([], ())
    assert CLAIMED not in report.outliers
    assert "kink" not in str(report)


def test_noise_that_grows_towards_zero_is_no_kink():
    """(cos z - sin(z)/z)/z is noise/z beside zero, and infinite where z² underflows."""

    def filled(xp, z):
        return xp.where(z == 0.0, 1.0, z)

    def slope(z, a):
        return np.where(z == 0.0, 0.0, (np.cos(z) - a) / filled(np, z))

    report = check_activation(formula(lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / filled(xp, z)), slope))
    assert (report.verdict, kinks_of(report)) == ("agree", []), f"\n{report}"


@pytest.mark.parametrize("declared", [True, False])
def test_a_long_list_of_kinks_is_short(declared):
    report = check_activation(stairs(20, kinks=tuple(range(20)) if declared else ()))
    assert report.verdict == "disagree"
    assert len(kinks_of(report)) == 20
    assert sum("kink at z = " in note for note in report.notes) == 6
    assert "14 more kinks" in report.notes
    (finding,) = report.findings
    assert finding.blocks == tuple(f"z = {k}" for k in range(20))


def test_a_kink_declared_beside_the_true_one_is_both():
    f = formula(lambda xp, z: xp.where(z > 0.7, z, 0.7), lambda z, a: np.where(z > 0.7, 1.0, 0.0), kinks=(0.701,))
    report = check_activation(f)
    assert report.verdict == "inconclusive"
    assert [(kink["z"], kink["declared"], kink["jumps"]) for kink in kinks_of(report)] == [
        (0.701, True, False),
        (0.7, False, True),
    ]


@pytest.mark.parametrize(
    ("declared", "claimed", "verdict"),
    [(False, 0.0, "inconclusive"), (True, 0.0, "agree"), (True, 9.0, "agree"), (True, np.nan, "disagree")],
)
def test_where_the_value_jumps_the_slope_is_a_convention_that_the_record_has_to_declare(declared, claimed, verdict):
    f = formula(
        lambda xp, z: xp.where(z < 0.25, 0.0 * z, 1.0),
        lambda z, a: np.where(z == 0.25, claimed, 0.0),
        kinks=(0.25,) if declared else (),
    )
    report = check_activation(f)
    assert report.verdict == verdict
    assert any(note.startswith("the value itself jumps at z = 0.25, where there is no slope") for note in report.notes)
    assert declared or report.reasons == ("the value itself jumps where the record declares no kink: z = 0.25",)


STEPS = {
    "saw": (lambda xp, z: z - xp.floor(z), lambda z, a: np.ones_like(z)),
    "stairs": (lambda xp, z: xp.floor(z), lambda z, a: np.zeros_like(z)),
}


@pytest.mark.parametrize(("value", "slope"), STEPS.values(), ids=list(STEPS))
def test_the_value_of_a_formula_without_a_comparison_jumps_too(value, slope):
    report = check_activation(formula(value, slope))
    assert report.verdict == "inconclusive"
    (reason,) = report.reasons
    assert reason.startswith("the value itself jumps where the record declares no kink: z = 0, -1, 1, ")
    assert sum(note.startswith("the value itself jumps at z = 0, where there is no") for note in report.notes) == 1
    surrogate = check_activation(formula(value, lambda z, a: np.full_like(z, 2.0), surrogate=True))
    assert (surrogate.verdict, surrogate.reasons) == ("agree", ())
    assert not any("jumps" in note for note in surrogate.notes)


def test_a_jump_of_the_slope_below_the_rounding_of_the_formula_is_no_kink():
    cubic = np.array([0.3, -0.7, 0.1])  # c t³ + ..., whose slope at its end 1 is a rounding, not zero
    end = float(np.polyval(np.polyder(np.append(cubic, 0.0)), 1.0))
    f = formula(
        lambda xp, z: xp.where(z < 1.0, ((0.3 * z - 0.7) * z + (0.1 - end)) * z, -0.3 - end),
        lambda z, a: np.where(z < 1.0, (0.9 * z - 1.4) * z + (0.1 - end), 0.0),
    )
    assert 0.0 < abs((0.9 - 1.4) + (0.1 - end)) < 1e-15
    report = check_activation(f)
    assert (report.verdict, [kink["z"] for kink in kinks_of(report)]) == ("agree", [])


def test_a_slope_that_all_but_jumps_is_told_with_its_jump():
    f = formula(
        lambda xp, z: xp.where(z > 20.0, z, xp.log1p(xp.exp(xp.where(z > 20.0, 20.0, z)))),
        lambda z, a: np.where(z > 20.0, 1.0, sigma(z)),
        kinks=(20.0,),
    )
    (note,) = [note for note in check_activation(f).notes if "no kink at z = 20" in note]
    assert "the slope is 1 on both sides to within 2e-09;" in note


def test_no_jumps_are_seen_in_what_is_smooth_and_steep():
    z = np.linspace(-3.0, 3.0, 101)
    for steepness in (1.0, 1e3, 1e6):
        assert find_jumps(lambda z, k=steepness: np.tanh(k * z), z, np.full_like(z, 1e-15)) == []
    assert find_jumps(np.sign, z, np.zeros_like(z)) == [0.0]


def branching(xp, z):
    return xp.where(z > 0.0, z, 0.1 * z) if isinstance(z, np.ndarray) or not (z > 0.0) else z


def telling_arrays_apart(xp, z):
    return xp.where(z > 0.0, z, 0.1 * z) if isinstance(z, np.ndarray) else z


@pytest.mark.parametrize("value", [branching, telling_arrays_apart])
def test_a_kink_is_found_where_an_arithmetic_takes_one_branch_alone(value):
    report = checked(formula(value, lambda z, a: np.where(z > 0.0, 1.0, 0.1)))
    assert [kink["z"] for kink in kinks_of(report)] == [0.0]


def test_of_several_wrong_kinks_the_worst_is_told():
    extra = {-1.0: 1.0, 0.25: 8.0, 2.0: -3.0}

    def value(xp, z):
        return sum((xp.where(z > kink, 0.5 * (z - kink), 0.0) for kink in extra), 0.0 * z)

    def slope(z, a):
        return sum(np.where(z > kink, 0.5, 0.0) + np.where(z == kink, more, 0.0) for kink, more in extra.items())

    report = check_activation(formula(value, slope, kinks=tuple(extra)))
    (finding,) = report.findings
    assert (finding.where, finding.value, finding.expected) == ("f'(0.25)", 8.5, 1.0)
