"""Junctions: where pieces meet, what may be claimed there, kinks that nobody declared, and jumps."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from activation_records import beside_claim, checked, curve, facts_of, formula, of, relu_with, sigma, tanh_to

from harness import ACTIVATIONS
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.junctions import Junction, find_jumps, find_switches
from harness.checks.activations.slope_answers import CLAIMED, ONE_SIDED
from harness.checks.activations.slope_oracles import is_known, one_sided_derivatives, slope_function
from harness.checks.activations.z_grid import grid
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind


def kinks_of(report):
    return report.details["kinks"]


# Where they are


def _masked(z):
    z = z + 0.0
    z[z <= 0.7] = 0.0
    return z


@pytest.mark.parametrize(
    ("compared", "places"),
    [
        (lambda z: np.where(z > 1.0 / 3.0, z, 0.0), {1.0 / 3.0}),
        (lambda z: np.maximum(z - 2.5, 0.0), {2.5}),
        (lambda z: np.clip(z, -4.0, 0.5), {-4.0, 0.5}),
        (lambda z: z.clip(min=-4.25), {-4.25}),
        (lambda z: np.abs(2.0 * z + 3.0), {-1.5}),
        (lambda z: np.where(z == 3.7, 9.0, z), {3.7}),
        (lambda z: np.heaviside(z - 5.0, 0.5) + np.sign(z + 5.0), {5.0, -5.0}),
        (lambda z: np.piecewise(z, [z < -0.6], [lambda x: x, lambda x: 2.0 * x]), {-0.6}),
        (_masked, {0.7}),
        (lambda z: np.minimum(np.maximum(z, 0.0), 6.0), {0.0, 6.0}),
        (lambda z: z * (z > 100.25), {100.25}),
        (lambda z: np.where(np.tanh(z) > np.tanh(0.8), 1.0, 0.0), {0.8}),
        (lambda z: np.exp(z), set()),
    ],
)
def test_the_places_where_a_formula_changes_its_branch(compared, places):
    z = grid(of("tanh", lambda z, a: z))
    with np.errstate(all="ignore"):
        found = find_switches(compared, z)
    assert {round(place, 12) for place in found} == {round(place, 12) for place in places}


def test_a_steep_function_does_not_jump_and_a_step_on_it_does():
    z = np.linspace(1e5, 4e5, 50)
    noise = np.zeros_like(z)
    assert find_jumps(lambda z: np.sin(z * z), z, noise) == []
    assert find_jumps(lambda z: 0.5 * np.sin(z * z) + 5.0 * (z > 2e5), z, noise) == [2e5]
    z = np.linspace(-3.0, 3.0, 101)
    for steepness in (1.0, 1e3, 1e6):
        assert find_jumps(lambda z, k=steepness: np.tanh(k * z), z, np.full_like(z, 1e-15)) == []
    assert find_jumps(np.sign, z, np.zeros_like(z)) == [0.0]
    kinked = np.sort([*z, 1e5, 1e5 + 1e-6])  # the next float is 1.5e-11 away, and so is the value there
    assert find_jumps(lambda z: np.maximum(z - 1e5, 0.0), kinked, np.zeros_like(kinked)) == []
    with np.errstate(invalid="ignore"):  # a vertical tangent, inside of the domain and at its end
        for function in (np.cbrt, lambda z: np.sqrt(z - 0.75), lambda z: np.sqrt(1.0 - z * z)):
            assert find_jumps(function, z, np.zeros_like(z)) == []


def branching(xp, z):
    return xp.where(z > 0.0, z, 0.1 * z) if isinstance(z, np.ndarray) or not (z > 0.0) else z


def telling_arrays_apart(xp, z):
    return xp.where(z > 0.0, z, 0.1 * z) if isinstance(z, np.ndarray) else z


@pytest.mark.parametrize("value", [branching, telling_arrays_apart])
def test_a_kink_is_found_where_an_arithmetic_takes_one_branch_alone(value):
    report = checked(formula(value, lambda z, a: np.where(z > 0.0, 1.0, 0.1)))
    assert [kink["z"] for kink in kinks_of(report)] == [0.0]


# One-sided derivatives


@pytest.mark.parametrize(
    ("value", "place", "left", "right"),
    [
        (lambda xp, z: xp.where(z > 0.0, z, xp.exp(z) - 1.0), 0.0, 1.0, 1.0),
        (lambda xp, z: xp.maximum(z, 0.25), 0.25, 0.0, 1.0),
        (lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z)), 0.0, 0.0, 0.0),
        (lambda xp, z: xp.sqrt(xp.abs(z)), 0.0, -np.inf, np.inf),
        (lambda xp, z: xp.sign(z) * xp.abs(z) ** 0.25, 0.0, np.inf, np.inf),
        (lambda xp, z: z * xp.log(xp.abs(z)), 0.0, -np.inf, -np.inf),
        (lambda xp, z: xp.sqrt(z * z + 1e-40), 0.0, 0.0, 0.0),
        (lambda xp, z: xp.where(3.0 * z > 1.0, z, 0.0), 1.0 / 3.0, 0.0, 1.0),  # in float64; exactly, the kink is beside
        (lambda xp, z: np.vectorize(lambda x: max(x - 0.5, 0.0), otypes=[float])(z), 0.5, 0.0, 1.0),
    ],
)
def test_one_sided_derivatives(value, place, left, right):
    f = formula(value, lambda z, a: z)
    with np.errstate(all="ignore"):
        found = one_sided_derivatives(f, np.array([place]), slope_function(f, grid(f)))
    assert [float(slope[0]) for slope, _ in found] == pytest.approx([left, right], abs=1e-8)
    assert all(is_known(side).all() for side in found)


TRIED = (-np.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf, np.nan)


@pytest.mark.parametrize(
    ("left", "right", "jumps", "allowed"),
    [
        (-1.0, np.inf, True, {-1.0, 0.0, 0.5, 1.0, 2.0, np.inf}),
        (-np.inf, np.inf, True, set(TRIED[:-1])),
        (np.inf, np.inf, False, set(TRIED[:-1])),  # no slope, so a convention
        (2.0, 2.0, False, {2.0}),
        (0.0, 1.0, True, {0.0, 0.5, 1.0}),
        (np.nan, 1.0, True, set(TRIED[:-1])),
    ],
)
def test_what_may_be_claimed_beside_one_sided_derivatives_of_any_size(left, right, jumps, allowed):
    tried = [Junction(0.0, left, right, claimed, np.nan, declared=True) for claimed in TRIED]
    assert {one.claimed for one in tried if one.is_allowed} == allowed
    assert {one.jumps for one in tried} == {jumps}
    for one in tried:
        assert one.nearest_allowed in ((one.claimed,) if one.is_allowed else (left, right))


# Claims at junctions


SMOOTH = {
    "elu": (ACTIVATIONS["elu"].value, ACTIVATIONS["elu"].slope, 0.0),
    "relu²": (lambda xp, z: xp.square(xp.maximum(z, 0.0)), lambda z, a: 2.0 * np.maximum(z, 0.0), 0.0),
    "smelu": (
        lambda xp, z: xp.where(z >= 1.5, z, xp.where(z <= -1.5, 0.0, xp.square(z + 1.5) / 6.0)),
        lambda z, a: np.clip((z + 1.5) / 3.0, 0.0, 1.0),
        1.5,
    ),
    "a tanh, at a place of no importance": (lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - a * a, 3.7),
}


@pytest.mark.parametrize("wrong", [1e-6, np.nan, None])
@pytest.mark.parametrize(("value", "slope", "place"), SMOOTH.values(), ids=list(SMOOTH))
def test_where_smooth_pieces_meet_the_slope_is_the_common_limit(value, slope, place, wrong):
    """A wrong slope at that one point alone is found; the right one agrees in every row."""

    def claimed(z, a):
        return slope(z, a) if wrong is None else np.where(z == place, slope(z, a) + wrong, slope(z, a))

    report = check_activation(formula(value, claimed))
    if wrong is None:
        assert (report.verdict, {row.verdict for row in report.pairs}) == ("agree", {"agree"})
    else:
        (finding,) = report.findings
        assert (report.outliers, finding.against, finding.blocks) == ((CLAIMED,), ONE_SIDED, (f"z = {place:g}",))


@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0, 1.0 + 1e-9])
def test_at_a_kink_every_slope_between_both_sides_is_a_convention(at_zero):
    report = check_activation(relu_with(at_zero, kinks=(0.0,)))
    (kink,) = kinks_of(report)
    assert report.verdict == "agree"
    assert (kink["left"], kink["right"], kink["claimed"], kink["jax"]) == (0.0, 1.0, at_zero, 0.0)
    assert kink["follows_jax"] == (at_zero == 0.0)
    row = beside_claim(report)[ONE_SIDED]
    assert (row.verdict, row.coordinates_decided) == ("agree", 1)


def test_what_jax_cannot_run_does_as_jax_does_nowhere():
    f = formula(lambda xp, z: np.select([z > 0.0], [z], 0.0), lambda z, a: (z > 0.0) * 1.0, kinks=(0.0,))
    (kink,) = kinks_of(check_activation(f))
    assert (math.isnan(kink["jax"]), kink["follows_jax"]) == (True, False)


@pytest.mark.parametrize(
    ("at_zero", "nearest"), [(-0.1, 0.0), (1.1, 1.0), (np.nan, 0.0), (np.inf, 0.0), (-1e-8, 0.0), (1.0 + 1e-5, 1.0)]
)
def test_a_slope_outside_of_both_sides_is_no_convention(at_zero, nearest):
    report = check_activation(relu_with(at_zero, kinks=(0.0,)))
    (finding,) = report.findings
    assert (report.verdict, report.outliers) == ("disagree", (CLAIMED,))
    place = (finding.source, finding.against, finding.where, finding.blocks)
    assert place == (CLAIMED, ONE_SIDED, "f'(0)", ("z = 0",))
    assert (finding.value, finding.expected) == (pytest.approx(at_zero, nan_ok=True), nearest)
    expected = Kind.OUTSIDE_ONE_SIDED if np.isfinite(at_zero) else Kind.NOT_FINITE
    assert kinds_of(finding.diagnosis) == (expected,)
    assert curve(report).wrong_stretches() == ((0.0, 0.0),)


@pytest.mark.parametrize(("at_zero", "verdict"), [(0.5, "agree"), (2.0, "disagree"), (np.nan, "disagree")])
def test_one_sided_differences_know_the_sides_where_values_are_all_there_is(at_zero, verdict):
    relu = np.vectorize(lambda x: 0.5 * (x + math.fabs(x)), otypes=[float])
    report = check_activation(
        formula(lambda xp, z: relu(z), lambda z, a: np.where(z == 0.0, at_zero, z > 0.0), kinks=(0.0,))
    )
    assert {source.name for source in report.sources} == {CLAIMED, "finite-difference", ONE_SIDED}
    assert report.verdict == beside_claim(report)[ONE_SIDED].verdict == verdict


def bent_at(places, at_kinks=None, **keywords):
    """Slope 1, and one half more after each place; at the places the slope before, or another."""

    def value(xp, z):
        return sum((xp.where(z > place, 0.5 * (z - place), 0.0) for place in places), z)

    def slope(z, a):
        right = 1.0 + sum(np.where(z > place, 0.5, 0.0) for place in places)
        return right if at_kinks is None else np.where(np.isin(z, places), at_kinks, right)

    return formula(value, slope, **keywords)


@pytest.mark.parametrize("places", [(0.0,), (0.7,), (-1.0, 1.0), (1.0 / 3.0,), (-250.0, 0.123456789)])
def test_undeclared_kinks_are_found_where_they_are(places):
    report = check_activation(bent_at(places))
    assert (report.verdict, kinds_of(report.reasons)) == ("inconclusive", (Kind.UNDECLARED_KINK,))
    assert [kink["z"] for kink in kinks_of(report)] == pytest.approx(places, rel=1e-15)
    assert not any(kink["declared"] for kink in kinks_of(report))
    assert check_activation(bent_at(places, kinks=places)).verdict == "agree"


def test_a_kink_is_where_it_was_bisected_and_a_message_declares_it():
    f = formula(
        lambda xp, z: xp.maximum(z * z / 10, -z / 7),
        lambda z, a: np.where(z * z / 10 >= -z / 7, z / 5, -1 / 7),
        kinks=(0.0,),
    )
    report = check_activation(f)
    assert (report.verdict, kinds_of(report.reasons)) == ("inconclusive", (Kind.UNDECLARED_KINK,))
    assert kinks_of(report)[-1]["z"] == pytest.approx(-10 / 7, rel=1e-15)
    declared = re.search(r"kinks=\((\S+), ", str(report))
    assert declared
    assert check_activation(replace(f, kinks=(0.0, float(declared[1])))).verdict == "agree"


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("places", "at_kinks"), [((0.0,), 5.0), ((-1.0, 1.0), np.nan), ((-250.0, 0.123456789), 5.0)])
def test_what_is_claimed_at_a_kink_is_judged_whether_it_is_declared_or_not(places, at_kinks, declared):
    report = check_activation(bent_at(places, at_kinks, kinks=places if declared else ()))
    assert (report.verdict, report.outliers) == ("disagree", (CLAIMED,))
    (finding,) = report.findings
    assert (finding.against, len(finding.blocks)) == (ONE_SIDED, len(places))


def sinc(xp, z):
    return xp.where(z == 0.0, 1.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z))


END = float(np.polyval([0.9, -1.4, 0.1], 1.0))  # of a cubic whose slope at its end is then a rounding, and not zero
NO_KINK = {
    "sign(0) is 0": (lambda xp, z: xp.sign(z) * xp.log1p(xp.abs(z)), lambda z, a: 1.0 / (1.0 + np.abs(z))),
    "a where at one point": (lambda xp, z: xp.where(z == 0.0, 0.0 * z, z), lambda z, a: np.ones_like(z)),
    "no rule": (lambda xp, z: xp.copysign(xp.log1p(xp.abs(z)), z), lambda z, a: 1.0 / (1.0 + np.abs(z))),
    "noise/z beside zero": (
        sinc,
        lambda z, a: np.where(z == 0.0, 0.0, (np.cos(z) - a) / np.where(z == 0.0, 1.0, z)),
    ),
    "a jump below the rounding of the formula": (
        lambda xp, z: xp.where(z < 1.0, ((0.3 * z - 0.7) * z + (0.1 - END)) * z, -0.3 - END),
        lambda z, a: np.where(z < 1.0, (0.9 * z - 1.4) * z + (0.1 - END), 0.0),
    ),
}


@pytest.mark.parametrize(("value", "slope"), NO_KINK.values(), ids=list(NO_KINK))
def test_where_the_slope_is_the_same_on_both_sides_there_is_no_kink(value, slope):
    report = check_activation(formula(value, slope))
    assert (kinks_of(report), CLAIMED in report.outliers, Kind.UNDECLARED_KINK in report.kinds) == ([], False, False)


def no_float(wrong):
    """A clip with kinks near ±5/3, closed ends, and an error."""
    return (
        lambda xp, z: xp.clip(0.3 * z + 0.5, 0.0, 1.0) + xp.clip(0.3 * z - 0.5, -1.0, 0.0),
        lambda z, a: 0.3 * (np.abs(z) <= 5.0 / 3.0) + 0.3 * (np.abs(z) <= 5.0 / 3.0) + wrong(z),
    )


DECLARED = {  # the record, the verdict, and of each junction what is reported
    "nothing jumps": (tanh_to(lambda z, a: 1.0 - a * a, kinks=(0.5,)), "agree", [(0.5, True, False, False)]),
    "both slopes are zero": (
        formula(lambda xp, z: xp.where(z > 0.0, 1.0, -1.0 + 0.0 * z), lambda z, a: np.zeros_like(z), kinks=(0.0,)),
        "agree",
        [(0.0, True, False, True)],
    ),
    "no float": (
        formula(*no_float(lambda z: 0.0 * z), kinks=(-5.0 / 3.0, 5.0 / 3.0)),
        "agree",
        [(-5.0 / 3.0, True, True, False), (5.0 / 3.0, True, True, False)],
    ),
    "no float, and no convention": (
        formula(*no_float(lambda z: 9.0 * (z == 5.0 / 3.0)), kinks=(-5.0 / 3.0, 5.0 / 3.0)),
        "disagree",
        [(-5.0 / 3.0, True, True, False), (5.0 / 3.0, True, True, False)],
    ),
    "beside the true one": (
        formula(lambda xp, z: xp.where(z > 0.7, z, 0.7), lambda z, a: np.where(z > 0.7, 1.0, 0.0), kinks=(0.701,)),
        "inconclusive",
        [(0.701, True, False, False), (0.7, False, True, False)],
    ),
    "nearly smooth": (
        formula(
            lambda xp, z: xp.where(z > 20.0, z, xp.log1p(xp.exp(xp.where(z > 20.0, 20.0, z)))),
            lambda z, a: np.where(z > 20.0, 1.0, sigma(z)),
            kinks=(20.0,),
        ),
        "agree",
        [(20.0, True, False, False)],
    ),
}


@pytest.mark.parametrize(("f", "verdict", "junctions"), DECLARED.values(), ids=list(DECLARED))
def test_declared_kinks_are_reported_with_what_is_there(f, verdict, junctions):
    report = check_activation(f)
    names = ("z", "declared", "jumps", "value_jumps")
    found = [tuple(fact.data[name] for name in names) for fact in facts_of(report, Kind.JUNCTION)]
    assert (report.verdict, found) == (verdict, junctions)


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
    (junction,) = facts_of(report, Kind.JUNCTION)
    assert (report.verdict, junction.where, junction.data["value_jumps"]) == (verdict, ("z = 0.25",), True)
    assert declared or kinds_of(report.reasons) == (Kind.UNDECLARED_KINK,)


@pytest.mark.parametrize(("at", "jump"), [(1.0, 2e-2), (1.0, 1e-5), (2.0, 1e-3), (5.0 / 3.0, 1e-4)])
def test_a_jump_far_below_the_change_across_the_grid_is_seen_where_a_comparison_decides(at, jump):
    f = formula(
        lambda xp, z: xp.where(z > at, 2.0 * at * z - at**2 * (1.0 + jump), z * z),
        lambda z, a: 2.0 * np.minimum(z, at),
    )
    report = check_activation(f)
    assert (report.verdict, kinds_of(report.reasons)) == ("inconclusive", (Kind.UNDECLARED_KINK,))


STEPS = {
    "saw": (lambda xp, z: z - xp.floor(z), lambda z, a: np.ones_like(z)),
    "stairs": (lambda xp, z: xp.floor(z), lambda z, a: np.zeros_like(z)),
}


@pytest.mark.parametrize(("value", "slope"), STEPS.values(), ids=list(STEPS))
def test_the_value_of_a_formula_without_a_comparison_jumps_too(value, slope):
    report = check_activation(formula(value, slope))
    (reason,) = report.reasons
    assert (report.verdict, reason.kind, reason.where[0]) == ("inconclusive", Kind.UNDECLARED_KINK, "z = 0")
    surrogate = check_activation(formula(value, lambda z, a: np.full_like(z, 2.0), surrogate=True))
    assert (surrogate.verdict, surrogate.reasons) == ("agree", ())
    assert Kind.JUNCTION not in surrogate.kinds
