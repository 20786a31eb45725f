"""One activation by itself: right records agree, wrong ones are pinned down, and what cannot be asked is said."""

import dataclasses
import json
import warnings
from io import BytesIO

import jax
import matplotlib.image
import numpy as np
import pytest
from scipy.special import expit

from harness import ACTIVATIONS, Activation
from harness.checks.activations import (
    check_activation,
    find_activation,
    grid,
    mixed_with_others,
    register_checked,
    usable_sources,
)
from harness.checks.activations.bounds import rounding_bounds
from harness.checks.activations.facts import in_words, intervals
from harness.checks.activations.figure import window
from harness.checks.activations.kinks import Kink, find_jumps, sides
from harness.checks.activations.slopes import ORACLES, by_balls, by_differences, by_jax, slope_function
from harness.digits.figures import DPI, WIDTH
from harness.sources.table import SOURCES
from reference.activations import elu, leaky_relu
from reference.arithmetics.increments import Increment

each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def sigma(z):
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def tanh_to(slope, name="mine", **keywords):
    """tanh with another slope."""
    return Activation(name, ACTIVATIONS["tanh"].value, slope, **keywords)


def of(name, slope, **keywords):
    """A registered formula with another slope."""
    return Activation(f"my {name}", ACTIVATIONS[name].value, slope, **keywords)


def formula(value, slope, **keywords):
    return Activation("mine", value, slope, **keywords)


# Right records


@each_activation
def test_every_registered_activation_agrees_with_every_oracle(name):
    report = check_activation(name)
    assert report.verdict == "agree", f"\n{report}"
    assert [row.name for row in report.oracles] + list(report.left_out) == list(ORACLES)
    assert (report.left_out, report.faults, report.findings, report.not_finite) == ({}, (), (), ())
    assert report.decided_share > 0.99
    assert report.points > 700
    assert all(kink.jumps and kink.follows_jax for kink in report.kinks)
    assert [kink.z for kink in report.kinks] == list(ACTIVATIONS[name].kinks)
    assert all(part["within"] for part in report.float32.values()), report.float32


RIGHT = {
    "prelu": leaky_relu(0.25, "prelu"),
    "leaky without a leak": leaky_relu(1.0, "none"),
    "elu 3": elu(3.0, "elu3"),
    "square": formula(lambda xp, z: z * z, lambda z, a: 2.0 * z),
    "cube": formula(lambda xp, z: z**3, lambda z, a: 3.0 * z * z),
    "exp": formula(lambda xp, z: xp.exp(z), lambda z, a: a),
    "steep": formula(lambda xp, z: xp.tanh(1e4 * z), lambda z, a: 1e4 * (1.0 - a * a)),
    "wide": formula(lambda xp, z: xp.arctan(1e-4 * z), lambda z, a: 1e-4 / (1.0 + np.square(1e-4 * z))),
    "a kink far out": formula(
        lambda xp, z: xp.where(z > 250.0, 250.0, z), lambda z, a: np.where(z > 250.0, 0.0, 1.0), kinks=(250.0,)
    ),
    "a constant": formula(lambda xp, z: 0.0 * z + 2.0, lambda z, a: np.zeros_like(z)),
}


@pytest.mark.parametrize("f", RIGHT.values(), ids=list(RIGHT))
def test_what_is_right_agrees(f):
    report = check_activation(f)
    assert report.verdict == "agree", f"\n{report}"
    assert not report.left_out


def test_the_grid_has_the_points_that_matter():
    f = leaky_relu(0.1, "leak")
    z = grid(f)
    wanted = {0.0, 1e-8, -1e-8, 0.3, -0.3, 30.0, -30.0, 1e3, -1e3, *sides(0.0), 1e-6, -1e-6}
    assert wanted <= set(z.tolist())
    assert (np.diff(z) > 0.0).all()
    assert not np.signbit(z[z == 0.0]).any()
    np.testing.assert_array_equal(grid(f), z)


# Wrong slopes: which region, and what mistake


WRONG = {
    "σ'(a) for σ'(z)": (of("sigmoid", lambda z, a: sigma(a) * (1.0 - sigma(a))), -30.0, 30.0, "σ'(a) for σ'(z)"),
    "tanh'(a)": (tanh_to(lambda z, a: 1.0 - np.tanh(a) ** 2), -5.0, 5.0, "evaluated at a = f(z)"),
    "z for a": (of("sigmoid", lambda z, a: z * (1.0 - z)), -30.0, 30.0, "given the pre-activation z"),
    "swapped arguments": (tanh_to(lambda z, a: 1.0 - z * a), -5.0, 5.0, ""),
    "sign": (of("sigmoid", lambda z, a: a * (a - 1.0)), -30.0, 30.0, "the sign is wrong"),
    "half": (of("gelu", lambda z, a: 0.5 * ACTIVATIONS["gelu"].slope(z, a)), -6.0, 30.0, "the factor 2 is missing"),
    "√2": (tanh_to(lambda z, a: np.sqrt(2.0) * (1.0 - a * a)), -5.0, 5.0, "is √2 times the slope"),
    "another": (of("silu", ACTIVATIONS["gelu"].slope), -30.0, 30.0, "this is the slope of gelu"),
    "the value": (of("softplus", lambda z, a: a), -10.0, 10.0, "the value a is given for the slope"),
    "chain rule": (of("sigmoid", lambda z, a: a), -10.0, 30.0, "the factor 1 - a of the chain rule is missing"),
    "inner slope": (
        formula(lambda xp, z: xp.tanh(z * z), lambda z, a: 1.0 - a * a),
        -3.0,
        3.0,
        "the factor 2·z of the chain rule is missing",
    ),
    "product rule": (of("silu", lambda z, a: sigma(z)), -20.0, 20.0, "the term z·g'(z) of the product rule is missing"),
    "first term": (of("silu", lambda z, a: a * (1.0 - sigma(z))), -20.0, 20.0, "the term g(z) of the product rule"),
    "β of swish": (
        formula(
            lambda xp, z: z * (0.5 + 0.5 * xp.tanh(0.851 * z)),
            lambda z, a: sigma(1.702 * z) * (1.0 + z * (1.0 - sigma(1.702 * z))),
        ),
        -10.0,
        10.0,
        "lacks the factor 1.702",
    ),
    "mish without σ": (
        of("mish", lambda z, a: (t := np.tanh(np.logaddexp(z, 0.0))) + z * (1.0 - t * t)),
        -10.0,
        5.0,
        "lacks the factor sigmoid(z)",
    ),
    "branches": (of("relu", lambda z, a: np.where(z > 0.0, 0.0, 1.0), kinks=(0.0,)), -30.0, 30.0, "branches swapped"),
    "leak": (
        formula(leaky_relu(0.1).value, lambda z, a: np.where(z >= 0.0, 1.0, 0.01), kinks=(0.0,)),
        -30.0,
        -1e-6,
        "the factor 10 is missing",
    ),
    "nothing": (tanh_to(lambda z, a: np.zeros_like(z)), -5.0, 5.0, "zero is claimed"),
    "a term too much": (tanh_to(lambda z, a: 1.25 - a * a), -5.0, 5.0, "the term 1/4 is too much"),
    "no pattern": (tanh_to(lambda z, a: 1.0 - a * a + 1e-3 * np.sin(z)), -5.0, 5.0, ""),
}


@pytest.mark.parametrize(("f", "low", "high", "mistake"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_slope_is_pinned_down(f, low, high, mistake):
    report = check_activation(f)
    (finding,) = report.findings
    assert (report.verdict, report.outliers, finding.accused) == ("disagree", ("slope",), "slope")
    assert finding.regions[0][0] <= low
    assert finding.regions[-1][1] >= high
    assert any(first <= finding.z <= last for first, last in finding.regions)
    assert any(mistake in said for said in finding.mistakes) if mistake else True
    z = np.array([finding.z])
    assert finding.value == f.slope(z, f(z))[0]
    h = 1e-4
    assert finding.expected == pytest.approx(float(f(finding.z + h) - f(finding.z - h)) / (2.0 * h), rel=1e-5, abs=1e-6)
    assert finding.value != pytest.approx(finding.expected, rel=1e-4)
    assert {row.verdict for row in report.oracles} == {"disagree"}


def _sinh(xp, z):
    return 0.5 * (xp.exp(z) - xp.exp(-z))


ALL_THAT_IS_SAID = {
    "a factor near 1": (
        formula(lambda xp, z: xp.arctan(z), lambda z, a: (1.0 + 1e-9) / (1.0 + z * z)),
        ("the factor 1 - 1e-09 is missing: what is claimed is 1 + 1e-09 times the slope",),
    ),
    "a factor that six digits show as 1": (
        tanh_to(lambda z, a: (1.0 - 2e-6) * (1.0 - a * a)),
        ("the factor 1 + 2e-06 is missing: what is claimed is 0.999998 times the slope",),
    ),
    "zero for cosh": (
        formula(_sinh, lambda z, a: np.zeros_like(z)),
        ("zero is claimed where the slope is not zero: a branch or a term is missing",),
    ),
    "a tail cut off": (
        tanh_to(lambda z, a: np.where(z < -5.0, 0.0, 1.0 - a * a)),
        ("zero is claimed where the slope is not zero: a branch or a term is missing",),
    ),
    "sinh for cosh": (
        formula(_sinh, lambda z, a: a),
        ("the value a is given for the slope", "the factor tanh(z) is too much", "the term exp(-z) is missing"),
    ),
    "another's": (of("gelu", lambda z, a: np.ones_like(z)), ("this is the slope of identity",)),
}


@pytest.mark.parametrize(("f", "said"), ALL_THAT_IS_SAID.values(), ids=list(ALL_THAT_IS_SAID))
def test_only_what_explains_as_well_as_the_best_is_said(f, said):
    """Where slopes reach 1e12, what is off by one is small beside the largest difference and yet explains nothing."""
    (finding,) = check_activation(f).findings
    assert finding.mistakes == said


def test_the_least_error_that_rounding_cannot_make_is_found():
    """1 - a² is good to a few u: a slope off by 100 u is wrong, and the same slope in another order is not."""
    assert check_activation(tanh_to(lambda z, a: 1.0 - a * a + 100 * 2.0**-53)).verdict == "disagree"
    assert check_activation(tanh_to(lambda z, a: (1.0 - a) * (1.0 + a))).verdict == "agree"


def test_a_wrong_stretch_between_points_that_are_right():
    f = tanh_to(lambda z, a: np.where((z > 1.0) * (z < 2.0), 0.5, 1.0 - a * a))
    (finding,) = check_activation(f).findings
    ((low, high),) = finding.regions
    assert (low, high) == pytest.approx((1.0, 2.0), abs=0.1)
    assert low <= finding.z <= high


@pytest.mark.parametrize(
    ("slope", "low", "high"),
    [
        (lambda z, a: np.exp(-z) / np.square(1.0 + np.exp(-z)), -1000.0, -800.0),
        (lambda z, a: np.where(z > 1.0, a * (1.0 - a), np.nan), -1000.0, 1.0),
    ],
    ids=["overflow", "NaN"],
)
def test_a_slope_that_is_not_finite_where_there_is_one_is_wrong(slope, low, high):
    report = check_activation(of("sigmoid", slope))
    (finding,) = report.findings
    assert report.outliers == ("slope",)
    assert finding.regions == ((low, pytest.approx(high, abs=60.0)),)
    assert np.isnan(finding.value)
    assert "overflow" in finding.mistakes[0]
    assert any(line.startswith("slope is not finite for -1000 <= z") for line in report.not_finite)


def test_jax_is_named_where_jax_is_wrong():
    """The derivative of a dropped branch that overflows is 0 · inf in reverse mode; the slope by hand is right."""
    f = formula(lambda xp, z: xp.where(z > 0.0, z, xp.exp(z) - 1.0), lambda z, a: np.where(z > 0.0, 1.0, a + 1.0))
    report = check_activation(f)
    (finding,) = report.findings
    assert (report.verdict, report.outliers, finding.accused) == ("disagree", ("jax",), "jax")
    assert finding.regions[0][0] > 700.0
    assert "a branch that where drops" in finding.mistakes[0]
    assert "the odd one out is jax" in str(report).splitlines()[0]


def test_several_oracles_that_are_wrong_are_the_odd_ones_out():
    report = dataclasses.replace(check_activation("tanh"), verdict="disagree", outliers=("jax", "ball"))
    assert str(report).startswith("DISAGREE: tanh: the odd ones out are jax, ball (of slope, jax, ")


def test_a_formula_that_is_another_one_under_another_namespace_is_caught():
    def value(xp, z):
        return xp.tanh(z) if xp.name == "numpy" else xp.sin(z)

    report = check_activation(formula(value, lambda z, a: 1.0 - a * a))
    assert report.verdict == "disagree"
    assert [fault.partition(":")[0] for fault in report.faults] == [
        f"the value is not the same under {name}" for name in ("jax", "complex-step", "ball")
    ]


# Kinks


@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
def test_at_a_kink_every_slope_between_both_sides_is_a_convention(at_zero):
    f = of("relu", lambda z, a: np.where(z < 0.0, 0.0, np.where(z > 0.0, 1.0, at_zero)), kinks=(0.0,))
    report = check_activation(f)
    (kink,) = report.kinks
    assert report.verdict == "agree"
    assert (kink.left, kink.right, kink.claimed, kink.jax) == (0.0, 1.0, at_zero, 0.0)
    assert kink.follows_jax == (at_zero == 0.0)
    assert f"the slope goes from 0 to 1; {at_zero:g} is claimed there" in str(report)
    assert ("but JAX reports 0" in str(report)) == (at_zero != 0.0)


@pytest.mark.parametrize("at_zero", [-0.1, 1.1, np.nan])
def test_a_slope_outside_of_both_sides_is_no_convention(at_zero):
    f = of("relu", lambda z, a: np.where(z < 0.0, 0.0, np.where(z > 0.0, 1.0, at_zero)), kinks=(0.0,))
    report = check_activation(f)
    (finding,) = report.findings
    assert (report.verdict, report.outliers, finding.regions) == ("disagree", ("slope",), ((0.0, 0.0),))
    assert "kink convention" in finding.mistakes[0]
    assert "both sides of a kink" in str(report).splitlines()[0]


@pytest.mark.parametrize("places", [(0.0,), (0.7,), (-1.0, 1.0), (1.0 / 3.0,), (-250.0, 0.123456789)])
def test_undeclared_kinks_are_found_where_they_are(places):
    def value(xp, z):
        return sum((xp.where(z > place, 0.5 * (z - place), 0.0) for place in places), z)

    def slope(z, a):
        return 1.0 + sum(np.where(z > place, 0.5, 0.0) for place in places)

    report = check_activation(formula(value, slope))
    assert report.verdict == "inconclusive"
    assert [kink.z for kink in report.kinks] == pytest.approx(places, rel=1e-15)
    assert not any(kink.declared for kink in report.kinks)
    assert "declares no kink" in report.reasons[0]
    assert check_activation(formula(value, slope, kinks=places)).verdict == "agree"


def test_a_declared_kink_where_nothing_jumps_is_said():
    report = check_activation(tanh_to(lambda z, a: 1.0 - a * a, kinks=(0.5,)))
    (kink,) = report.kinks
    assert (report.verdict, kink.jumps) == ("agree", False)
    assert "no kink at z = 0.5, though one is declared" in str(report)


@pytest.mark.parametrize(
    ("left", "right", "jumps", "between"),
    [
        (-1.0, np.inf, True, {-1.0, 0.0, 0.5, 1.0, 2.0, np.inf}),
        (-np.inf, np.inf, True, {-np.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf}),
        (np.inf, np.inf, False, {np.inf}),
        (2.0, 2.0, False, {2.0}),
        (0.0, 1.0, True, {0.0, 0.5, 1.0}),
        (np.nan, 1.0, True, {-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, -np.inf, np.inf}),
    ],
)
def test_a_kink_with_sides_of_any_size(left, right, jumps, between):
    tried = (-np.inf, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf, np.nan)
    kinks = [Kink(0.0, left, right, claimed, np.nan, declared=True) for claimed in tried]
    assert {kink.claimed for kink in kinks if kink.is_between} == between
    assert {kink.jumps for kink in kinks} == {jumps}


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
    assert str(Kink(0.0, left, right, 0.0, 0.0, declared)).startswith(words)


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
    assert (report.kinks, report.reasons) == ((), ())
    assert "slope" not in report.outliers
    assert "kink" not in str(report)


def test_noise_that_grows_towards_zero_is_no_kink():
    """(cos z - sin(z)/z)/z is noise/z beside zero, and infinite where z² underflows."""

    def filled(xp, z):
        return xp.where(z == 0.0, 1.0, z)

    def slope(z, a):
        return np.where(z == 0.0, 0.0, (np.cos(z) - a) / filled(np, z))

    report = check_activation(formula(lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / filled(xp, z)), slope))
    assert (report.verdict, report.kinks) == ("agree", ()), f"\n{report}"


LOG_COSH = formula(lambda xp, z: xp.log(xp.cosh(z)), lambda z, a: np.tanh(z))


def test_no_kinks_are_looked_for_where_the_value_has_overflowed():
    report = check_activation(LOG_COSH)
    assert (report.verdict, report.kinks) == ("agree", ())
    with np.errstate(all="ignore"):
        slope_at = slope_function(LOG_COSH, grid(LOG_COSH))
        assert slope_at
        slopes = slope_at(np.array([-900.0, -1.0, 0.0, 1.0, 900.0]))
    np.testing.assert_array_equal(np.isnan(slopes), [True, False, False, False, True])


def stairs(count, **keywords):
    """Slopes 0 and 1 in turn, a kink at every whole number, and a claim at each that is no convention."""
    steps = [(k, (-1.0) ** k) for k in range(count)]

    def value(xp, z):
        return sum((sign * xp.where(z > k, z - k, 0.0) for k, sign in steps), 0.0 * z)

    def slope(z, a):
        return sum((sign * np.where(z > k, 1.0, 0.0) + 7.0 * np.where(z == k, 1.0, 0.0) for k, sign in steps), 0.0 * z)

    return formula(value, slope, **keywords)


@pytest.mark.parametrize("declared", [True, False])
def test_a_long_list_of_kinks_is_short(declared):
    report = check_activation(stairs(20, kinks=tuple(range(20)) if declared else ()))
    assert report.verdict == "disagree"
    assert len(report.kinks) == 20
    lines = str(report).splitlines()
    assert sum("kink at z = " in line for line in lines) == 6
    assert "  and 14 more kinks" in lines
    assert sum("likely: kink convention" in line for line in lines) == 1
    assert any("wrong for z = 0, z = 1, z = 2, z = 3 and 16 more places" in line for line in lines)


def test_a_kink_declared_beside_the_true_one_is_both():
    f = formula(lambda xp, z: xp.where(z > 0.7, z, 0.7), lambda z, a: np.where(z > 0.7, 1.0, 0.0), kinks=(0.701,))
    report = check_activation(f)
    assert report.verdict == "inconclusive"
    assert [(kink.z, kink.declared, kink.jumps) for kink in report.kinks] == [(0.701, True, False), (0.7, False, True)]


def test_a_value_that_jumps_is_noted():
    f = formula(lambda xp, z: xp.where(z < 0.25, 0.0 * z, 1.0), lambda z, a: np.zeros_like(z))
    assert "the value itself jumps at z = 0.25, and no slope says so" in check_activation(f).notes


def test_no_jumps_are_seen_in_what_is_smooth_and_steep():
    z = np.linspace(-3.0, 3.0, 101)
    for steepness in (1.0, 1e3, 1e6):
        assert find_jumps(lambda z, k=steepness: np.tanh(k * z), z, np.full_like(z, 1e-15)) == []
    assert find_jumps(np.sign, z, np.zeros_like(z)) == [0.0]


# Formulas that do not run everywhere


LEFT_OUT = {
    "scipy": (formula(lambda xp, z: expit(z), lambda z, a: a * (1.0 - a)), {"jax", "complex-step", "ball"}),
    "python's if": (
        formula(
            lambda xp, z: np.vectorize(lambda z: z if z > 0.0 else 0.1 * z, otypes=[float])(z),
            lambda z, a: np.where(z > 0.0, 1.0, 0.1),
            kinks=(0.0,),
        ),
        {"jax", "complex-step", "ball"},
    ),
    "xor": (
        formula(
            lambda xp, z: xp.where(xp.logical_xor(z > 0.0, z > 1.0), z, xp.where(z > 0.5, 1.0, 0.0)),
            lambda z, a: np.where(np.logical_xor(z > 0.0, z > 1.0), 1.0, 0.0),
            kinks=(0.0, 1.0),
        ),
        {"ball"},
    ),
    "maximum": (
        formula(lambda xp, z: xp.maximum(z, 0.0), lambda z, a: np.heaviside(z, 0.5), kinks=(0.0,)),
        {"complex-step"},
    ),
    "a mask": (
        formula(lambda xp, z: xp.where(z > 0.0, z, 0.0), lambda z, a: _by_mask(z), kinks=(0.0,)),
        set(),
    ),
}


def _by_mask(z):
    slope = np.ones(np.shape(z))
    slope[z <= 0.0] = 0.0
    return slope


@pytest.mark.parametrize(("f", "left_out"), LEFT_OUT.values(), ids=list(LEFT_OUT))
def test_the_check_goes_on_with_the_oracles_that_are_left(f, left_out):
    report = check_activation(f)
    assert report.verdict == "agree", f"\n{report}"
    assert set(report.left_out) == left_out
    assert all(reason and "\n" not in reason for reason in report.left_out.values())
    for name in left_out:
        assert f"left out: {name}, under which the formula fails" in str(report)
    assert any("sampled, not bounded" in note for note in report.notes)
    wrong = Activation("wrong", f.value, lambda z, a: 1.01 * f.slope(z, a) + 0.01, kinks=f.kinks)
    assert check_activation(wrong).outliers == ("slope",)


def test_plain_differences_say_that_they_are():
    report = check_activation(LEFT_OUT["scipy"][0])
    (row,) = report.oracles
    assert row.name == "finite-difference"
    assert "differences of plain values" in row.note
    assert report.needs_plain_differences
    assert not check_activation("tanh").needs_plain_differences


def test_plain_differences_know_that_z_plus_h_is_rounded(monkeypatch):
    """A formula without any rounding of its own is still evaluated beside z + h: by u |z| slopes, over h."""
    monkeypatch.delitem(Increment.rules, np.positive)
    f = formula(lambda xp, z: xp.positive(z), lambda z, a: np.ones_like(z))
    z = np.linspace(0.1, 1e3, 2001)
    plain = by_differences(f, z)
    assert "differences of plain values" in plain.note
    assert (np.abs(plain.slope - 1.0) <= plain.error).all()
    assert (plain.error < 1e-6).all()


@pytest.mark.parametrize(
    "value", [lambda xp, z: xp.clip(z, 0.0, None), lambda xp, z: xp.clip(z, min=0.0), lambda xp, z: z.clip(0.0)]
)
def test_an_arithmetic_that_cannot_run_the_formula_is_left_out_and_not_accused(value):
    report = check_activation(formula(value, lambda z, a: np.where(z > 0.0, 1.0, 0.0), kinks=(0.0,)))
    assert report.verdict == "agree", f"\n{report}"
    assert not {"finite-difference", "ball"} & set(report.outliers)


@pytest.mark.parametrize(("steepness", "verdict"), [(1.0, "agree"), (1e4, "agree"), (1e6, "inconclusive")])
def test_plain_differences_of_a_steep_formula_are_right_or_undecided(steepness, verdict):
    f = formula(lambda xp, z: expit(steepness * z), lambda z, a: steepness * a * (1.0 - a))
    assert check_activation(f).verdict == verdict


def test_networks_leave_out_jax_where_the_formula_does_not_run(registry):
    f, _ = LEFT_OUT["scipy"]
    report, fine = check_activation(f), check_activation("tanh")
    register_checked(f, report)
    assert f.name not in registry
    assert set(usable_sources([fine, report]) or ()) == set(SOURCES) - {"jax", "jax-forward"}
    assert usable_sources([report], {"jax": SOURCES["jax"], "mine": SOURCES["loop"]}) == {"mine": SOURCES["loop"]}
    assert usable_sources([fine]) is None


def test_mixed_with_others_half_of_the_draws_are_ones_own():
    f = tanh_to(lambda z, a: 1.0 - a * a)
    among = mixed_with_others([f])
    assert among.count(f) == len(among) / 2
    assert set(among) == {f, *ACTIVATIONS.values()}


# Manners


def _writes_to_z(xp, z):
    z[z < 0.0] = 0.0
    return z


def _writes_to_a(z, a):
    a *= -a
    a += 1.0
    return a


FAULTY = {
    "writes to z": (Activation("mine", _writes_to_z, lambda z, a: (a > 0.0) * 1.0), "value changes its argument z"),
    "writes to a": (tanh_to(_writes_to_a), "slope changes its argument a"),
    "mixes entries": (
        formula(lambda xp, z: z - xp.mean(z), lambda z, a: np.ones_like(z)),
        "value is not elementwise: at z = ",
    ),
    "flattens": (
        formula(lambda xp, z: xp.tanh(z).reshape(-1), lambda z, a: (1.0 - a * a).reshape(-1)),
        "value has shape (12,) for z of shape (3, 4): it must keep the shape of z",
    ),
    "one row only": (
        formula(
            lambda xp, z: xp.tanh(z) + 0.0 * z[0:1].sum(), lambda z, a: np.linspace(1.0, 1.0, len(z)) * (1 - a * a)
        ),
        "cannot take an array of shape (3, 4)",
    ),
    "adds up": (
        formula(lambda xp, z: xp.cumsum(z), lambda z, a: np.ones_like(z)),
        "value is not elementwise: at z = ",
    ),
    "sorts": (formula(lambda xp, z: xp.sort(z), lambda z, a: np.ones_like(z)), "value is not elementwise: at z = "),
    "needs neighbours": (
        formula(lambda xp, z: z + z[100], lambda z, a: np.ones_like(z)),
        "value is not elementwise: it cannot take one entry of z alone (index 100 is out of bounds",
    ),
    "slope mixes entries": (
        formula(lambda xp, z: z * z, lambda z, a: 2.0 * z + (z - np.mean(z))),
        "slope is not elementwise: at z = ",
    ),
}

MIXING = {name: FAULTY[name] for name in ("mixes entries", "adds up", "sorts", "needs neighbours")}


@pytest.mark.parametrize(("f", "fault"), FAULTY.values(), ids=list(FAULTY))
def test_what_would_break_a_network_is_a_fault(f, fault):
    report = check_activation(f)
    assert report.verdict == "disagree"
    assert any(found.startswith(fault) for found in report.faults), report.faults
    assert any(line.strip().startswith(fault) for line in str(report).splitlines())


@pytest.mark.parametrize(("f", "fault"), MIXING.values(), ids=list(MIXING))
def test_what_is_not_elementwise_has_no_slope_to_compare(f, fault):
    report = check_activation(f)
    assert sum(found.startswith("value is not elementwise") for found in report.faults) == 1
    assert "must depend on the same entry of z alone" in str(report)
    assert (report.findings, report.oracles, report.kinks, report.decided_share) == ((), (), (), 0.0)
    assert set(report.left_out) == set(ORACLES)
    assert f"left out: {', '.join(ORACLES)}, under which the formula fails (it is not elementwise)" in str(report)
    assert "jumps" not in str(report)
    assert "Lipschitz constant: not known, for no slope is" in str(report)
    assert json.dumps(report.to_dict(), allow_nan=False)
    assert report.plot()


def test_where_no_oracle_can_be_asked_that_is_said(monkeypatch):
    def refuse(f, z):
        raise TypeError("not today")

    for name in ORACLES:
        monkeypatch.setitem(ORACLES, name, refuse)
    report = check_activation("tanh")
    assert (report.verdict, report.decided_share) == ("inconclusive", 0.0)
    assert report.reasons == ("there is nothing to compare the slope with: no oracle can take the formula",)
    assert f"left out: {', '.join(ORACLES)}, under which the formula fails (not today)" in str(report)


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
def test_bad_manners_are_noted(f, note):
    report = check_activation(f)
    assert report.verdict == "agree", f"\n{report}"
    assert any(said.startswith(note) for said in report.notes) if note else not report.notes


# Facts


@pytest.mark.parametrize(
    ("name", "monotone", "low", "high", "lipschitz", "at"),
    [
        ("sigmoid", "never falls", 0.0, 1.0, 0.25, 0.0),
        ("relu", "never falls", 0.0, np.inf, 1.0, None),
        ("silu", "no: it turns near z = -1.2", -0.27846, np.inf, 1.09984, 2.3994),
        ("gelu", "no: it turns near z = -0.7", -0.16997, np.inf, 1.12890, 1.41421),
        ("softsign", "never falls", -0.999, 0.999, 1.0, 0.0),
        ("sin", "no: it turns near", -1.0, 1.0, 1.0, None),
    ],
)
def test_facts(name, monotone, low, high, lipschitz, at):
    facts = check_activation(name).facts
    assert facts["monotone"].startswith(monotone)
    assert facts["range"] == pytest.approx([low, high], abs=2e-4)
    assert facts["lipschitz"] == pytest.approx(lipschitz, abs=2e-4)
    if at is not None:
        assert facts["lipschitz_at"] == pytest.approx(at, abs=0.05)


@pytest.mark.parametrize(
    ("value", "monotone"),
    [
        (lambda xp, z: -z, "never rises"),
        (lambda xp, z: 0.0 * z + 1.0, "constant"),
        (lambda xp, z: xp.where(z < 0.0, 0.0 * z, 1.0), "never falls"),
    ],
    ids=["falling", "constant", "a step"],
)
def test_falling_constant_and_a_step(value, monotone):
    assert check_activation(formula(value, lambda z, a: np.full_like(z, -1.0))).facts["monotone"] == monotone


def test_limits_are_reported():
    assert check_activation("tanh").facts["limits"] == {"value": [-1.0, 1.0], "slope": [0.0, 0.0]}
    assert np.isnan(check_activation("silu").facts["limits"]["value"][0])  # -inf · 0
    assert "at -inf and inf: value nan and inf" in str(check_activation("silu"))


def test_where_nothing_is_finite_is_said_with_what_it_could_be():
    report = check_activation(formula(lambda xp, z: xp.log(1.0 + xp.exp(z)), lambda z, a: sigma(z)))
    (line,) = report.not_finite
    assert report.verdict == "agree"
    assert line.startswith("value is not finite for 7")
    assert "though it could be: 7" in line
    value, slope = check_activation(RIGHT["exp"]).not_finite
    assert "though it could be" not in value + slope  # exp(710) is more than float64 holds


def test_float32_says_where_it_does_not_suffice():
    report = check_activation(formula(lambda xp, z: xp.log(1.0 + xp.exp(z)), lambda z, a: sigma(z)))
    assert report.float32["slope"]["within"]
    ((low, high),) = report.float32["value"]["beyond"]  # exp(89) overflows
    assert 88.0 < low < 110.0
    assert high > 500.0
    assert "not within the bound at u = 2**-24 everywhere: value beyond it for" in str(report)


def test_a_result_that_leaves_float32_is_said():
    f = tanh_to(lambda z, a: np.float64(1.0) - a * a)
    assert check_activation(f).float32["slope"]["dtype"] == "float64"
    assert "slope comes out as float64" in str(check_activation(f))


# Bounds


@each_activation
def test_a_bound_that_is_derived_needs_no_sampling(name):
    f = ACTIVATIONS[name]
    bounds = rounding_bounds(f, grid(f))
    assert bounds.notes == ()
    away = ~np.isin(grid(f), f.kinks)
    assert (bounds.claimed[away] < 1e-11).all()


def branching(xp, z):
    return xp.where(z > 0.0, z, 0.1 * z) if isinstance(z, np.ndarray) or not (z > 0.0) else z


def telling_arrays_apart(xp, z):
    return xp.where(z > 0.0, z, 0.1 * z) if isinstance(z, np.ndarray) else z


@pytest.mark.parametrize(
    ("value", "note"),
    [(branching, "cannot branch on a value with `if`"), (telling_arrays_apart, "its branches are not taken by where")],
)
def test_a_branch_of_pythons_own_is_not_taken_for_a_bound(value, note):
    """Where a bound is derived for one branch alone, it would be zero."""
    f = formula(value, lambda z, a: np.where(z > 0.0, 1.0, 0.1))
    bounds = rounding_bounds(f, np.array([-2.0, -1.0, 1.0, 2.0]))
    assert any(note in said for said in bounds.notes)
    assert (bounds.value > 0.0).all()
    assert [kink.z for kink in check_activation(f).kinks] == [0.0]  # and nor for slopes


@each_activation
def test_enclosures_are_sharp_where_slopes_are_tiny_and_nowhere_wrong(name):
    f, z = ACTIVATIONS[name], np.array([-300.0, -50.0, -1.5, 0.5, 3.0, 50.0, 300.0])
    balls, jax_ = by_balls(f, z), by_jax(f, z)
    assert (balls.error <= np.maximum(2.0**-52 * np.abs(balls.slope), 1e-300)).all()
    np.testing.assert_allclose(balls.slope, jax_.slope, rtol=0.0, atol=1e-12)


# What is given, and what comes back


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ("rellu", ValueError, "unknown activation 'rellu'; registered are"),
        ("nowhere:f", ValueError, "cannot import 'nowhere'"),
        ("math:pi", ValueError, "math:pi is of type float, but an Activation is needed"),
        (abs, ValueError, "unknown activation <built-in function abs>"),
        (
            formula(lambda xp, z: z[5000], lambda z, a: z),
            ValueError,
            "the value of activation 'mine' cannot be computed",
        ),
        (formula(lambda xp, z: z, lambda z, a: a.no), ValueError, "the slope of activation 'mine' cannot be computed"),
        (
            formula(lambda xp, z: z * 1j, lambda z, a: z),
            ValueError,
            "and real: for z of shape (819,) it answered complex128",
        ),
        (formula(lambda xp, z: z[:3], lambda z, a: z), ValueError, "it answered float64 of shape (3,)"),
        (formula(lambda xp, z: xp.sum(z), lambda z, a: z), ValueError, "it answered float64 of shape ()"),
        (formula(lambda xp, z: 3.0, lambda z, a: z), ValueError, "the value of activation 'mine' must keep the shape"),
        (
            formula(lambda xp, z: 3.0, lambda z, a: 0.0),
            ValueError,
            "it answered a float; compute each entry",
        ),
        (formula(lambda xp, z: list(z), lambda z, a: z), ValueError, "it answered a list"),
        (formula(lambda xp, z: None, lambda z, a: z), ValueError, "it answered a NoneType"),
        (formula(lambda xp, z: z > 0.0, lambda z, a: z), ValueError, "it answered bool of shape"),
        (formula(lambda xp, z: z[:, None] * z, lambda z, a: z), ValueError, "must keep the shape of z"),
        (formula(lambda xp, z: z, lambda z, a: z[:, None]), ValueError, "the slope of activation 'mine' must keep"),
        (formula(lambda xp, z: z, lambda z, a: z[:1]), ValueError, "it answered float64 of shape (1,)"),
        (formula(lambda xp, z: z, lambda z, a: None), ValueError, "it answered a NoneType"),
    ],
)
def test_mistakes_give_one_clear_sentence(given, error, sentence):
    with pytest.raises(error) as raised:
        check_activation(given)
    assert sentence in str(raised.value)


def test_a_record_is_found_by_name_by_module_and_as_it_is():
    f = tanh_to(lambda z, a: 1.0 - a * a)
    assert find_activation(f) is f
    assert find_activation("tanh") is ACTIVATIONS["tanh"]
    assert find_activation("test_activation_check:MY_TANH") is MY_TANH


MY_TANH = tanh_to(lambda z, a: 1.0 - a * a, "my tanh")


@pytest.mark.parametrize(("given", "verdict"), [("relu", "agree"), (WRONG["leak"][0], "disagree")])
def test_the_document_is_json_with_a_schema(given, verdict):
    report = check_activation(given)
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert (document["schema"], document["verdict"]) == ("harness.activation/1", verdict)
    assert document["facts"]["range"] == ["-inf" if verdict == "disagree" else 0.0, "inf"]
    assert document["kinks"][0]["left"] == (0.1 if verdict == "disagree" else 0.0)
    assert {row["name"] for row in document["oracles"]} == set(ORACLES)
    assert bool(document["findings"]) == (verdict == "disagree")


@pytest.mark.parametrize(
    ("given", "colour", "first"),
    [
        ("tanh", "#1a7f37", "AGREE: the slope of tanh, by hand, with jax, complex-step, finite-difference, ball"),
        (WRONG["sign"][0], "#cf222e", "DISAGREE: the slope of my sigmoid, by hand, is at odds with jax, complex-step"),
        (FAULTY["writes to a"][0], "#cf222e", "DISAGREE: the record of mine would break a network"),
        (of("relu", ACTIVATIONS["relu"].slope), "#9a6700", "INCONCLUSIVE: my relu, with jax"),
    ],
)
def test_a_report_shows_its_verdict_first(given, colour, first):
    report = check_activation(given)
    assert str(report).startswith(first)
    assert f'<strong style="color:{colour}">{first}' in report._repr_html_()


def test_html_is_escaped():
    report = check_activation(Activation("<b>&", ACTIVATIONS["tanh"].value, ACTIVATIONS["tanh"].slope))
    assert "<b>&" not in report._repr_html_()
    assert "&lt;b&gt;&amp;" in report._repr_html_()


def test_nothing_of_the_callers_settings_is_changed_and_no_warning_escapes():
    before = np.geterr(), jax.config.read("jax_enable_x64"), dict(ACTIVATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_activation(of("sigmoid", lambda z, a: np.exp(-z) / np.square(1.0 + np.exp(-z))))
        check_activation(FAULTY["mixes entries"][0])
    assert (np.geterr(), jax.config.read("jax_enable_x64"), dict(ACTIVATIONS)) == before


def test_the_same_report_twice():
    first, second = (check_activation(WRONG["leak"][0]).to_dict() | {"seconds": 0.0} for _ in range(2))
    assert first == second


def test_regions_in_words():
    z = np.array([-2.0, -1.0, -sides(0.0)[1], 0.0, sides(0.0)[1], 1.0, 2.0, 3.0])
    regions = intervals(z, np.array([1, 1, 1, 0, 1, 0, 0, 1], dtype=bool))
    assert in_words(regions) == "-2 <= z < 0, z = 2.2251e-308, z = 3"
    assert in_words(intervals(z, z > 0.0)) == "0 < z <= 3"
    assert intervals(z, np.array([1, 0, 1, 0, 0, 0, 0, 1], dtype=bool), bridged=1) == ((-2.0, z[2]), (3.0, 3.0))
    assert in_words([(1.0, 1.0)] * 6) == "z = 1, z = 1, z = 1, z = 1 and 2 more places"


# The picture


@pytest.mark.parametrize("given", ["silu", "relu", WRONG["product rule"][0], WRONG["nothing"][0], RIGHT["a constant"]])
def test_a_picture_renders(given):
    image = matplotlib.image.imread(BytesIO(check_activation(given).plot()), format="png")
    assert image.shape[1] == round(WIDTH * DPI)
    assert image[:, :, :3].std() > 0.05


def test_a_picture_shows_both_slopes_and_shades_what_is_wrong():
    report = check_activation(WRONG["leak"][0])
    figure = report.figure()
    slopes, difference = figure.axes
    true, claimed = slopes.lines
    for line, below, above in ((true, 0.1, 1.0), (claimed, 0.01, 1.0)):
        x, y = (np.asarray(data) for data in line.get_data())
        np.testing.assert_allclose(y[(x < 0.0) & np.isfinite(y)], below)
        np.testing.assert_allclose(y[(x > 0.0) & np.isfinite(y)], above)
    assert np.nanmax(np.asarray(difference.lines[0].get_ydata())) == pytest.approx(0.09)
    (shade,) = slopes.patches
    assert (shade.get_extents().x0, shade.get_extents().x1) == pytest.approx(
        [slopes.transData.transform((z, 0.0))[0] for z in (-1000.0, 0.0)]
    )
    assert figure.get_suptitle() == "mine: the claimed slope is wrong where shaded"
    assert slopes.get_title().startswith("likely: the factor 10 is missing")


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_a_picture_says_that_there_is_no_difference():
    nothing = check_activation("relu").figure().axes[1]
    assert texts(nothing) == ["no difference"]
    assert nothing.get_legend() is None
    assert not nothing.get_yticks().size
    rounding = check_activation("tanh").figure().axes[1]
    assert texts(rounding) == []
    assert rounding.get_legend() is not None


def test_a_picture_does_not_shade_all_that_it_shows():
    figure = check_activation(WRONG["product rule"][0]).figure()
    assert not any(ax.patches for ax in figure.axes)
    assert figure.get_suptitle() == "my silu: the claimed slope is wrong throughout -6 <= z <= 6"


@pytest.mark.parametrize(
    ("given", "half"),
    [
        ("tanh", 6.0),
        (RIGHT["a kink far out"], 1e3),
        (tanh_to(lambda z, a: np.where(z > 12.0, 1.0, 1.0 - a * a)), 30.0),
        (WRONG["branches"][0], 6.0),
    ],
)
def test_a_picture_shows_kinks_and_what_is_wrong(given, half):
    assert window(check_activation(given)) == (-half, half)
