"""One activation by itself: right records agree, wrong ones are pinned down, and what cannot be checked is reported."""

import json
import pickle
import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from activation_records import (
    FAULTY,
    LEFT_OUT,
    RIGHT,
    WRONG,
    beside_claim,
    checked,
    curve,
    facts_of,
    formula,
    of,
    place,
    relu_with,
    tanh_to,
)
from scipy.special import expit

from harness import ACTIVATIONS, Activation
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.slope_answers import CLAIMED, ONE_SIDED
from harness.checks.activations.slope_oracles import ORACLES
from harness.checks.activations.z_grid import grid
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind
from reference.oracles import jax_gradient


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_registered_activation_agrees_with_every_oracle(name):
    report, kinks = checked(ACTIVATIONS[name]), ACTIVATIONS[name].kinks
    assert report.verdict == "agree", f"\n{report}"
    sides = [ONE_SIDED] if report.picture.junctions else []
    assert [row.name for row in report.sources] == [CLAIMED, *ORACLES, *sides]
    assert set(kinks) <= set(report.picture.junctions)
    assert (report.left_out, report.reasons, report.findings, report.outliers) == ({}, (), (), ())
    assert report.details["not_finite"] == []
    assert report.decided_share > 0.99
    assert report.subject["values of z"] > 700
    assert "proved" in report.subject
    assert [kink["z"] for kink in report.details["kinks"]] == list(kinks)
    assert all(kink["jumps"] and kink["follows_jax"] for kink in report.details["kinks"])
    assert not {Kind.NAN_SWALLOWED, Kind.SHAPE_REFUSED, Kind.SHAPE_NOT_KEPT} & report.kinds
    assert all(row["digits"] >= 10 for row in report.details["float64"]["slope"]["errors"])
    assert {row.verdict for row in report.pairs} == {"agree"}
    decided = min(row.coordinates_decided for row in beside_claim(report).values() if row.second in ORACLES)
    assert decided > 0.99 * report.subject["values of z"]


@pytest.mark.parametrize("f", RIGHT.values(), ids=list(RIGHT))
def test_what_is_right_agrees(f):
    report = checked(f)
    assert report.verdict == "agree", f"\n{report}"


def test_jax_is_not_accused_of_what_only_quickly_compiled_code_computes(monkeypatch):
    monkeypatch.setattr(
        jax_gradient, "_slope_program", lambda f, count: lambda z: (f.value(jax_gradient.JAX, z), 0.0 * z)
    )
    assert check_activation(of("tanh", lambda z, a: 1.0 / np.square(np.cosh(z)))).verdict == "agree"
    assert check_activation(tanh_to(lambda z, a: 1.1 - a * a)).outliers == (CLAIMED,)


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
def test_a_wrong_slope_is_pinned_down(wrong):
    f, low, high, *_ = wrong
    report = checked(f)
    (finding,) = report.findings
    assert (report.verdict, report.outliers, finding.source) == ("disagree", (CLAIMED,), CLAIMED)
    stretches = curve(report).wrong_stretches()
    assert stretches[0][0] <= low
    assert stretches[-1][1] >= high
    points = grid(f)
    z = points[[np.abs(points - place(finding)).argmin()]]
    assert any(first <= z <= last for first, last in stretches)
    assert finding.value == f.slope(z, f(z))[0]
    h = 1e-4
    assert finding.expected == pytest.approx(float((f(z + h) - f(z - h))[0]) / (2.0 * h), rel=1e-5, abs=1e-6)
    assert finding.value != pytest.approx(finding.expected, rel=1e-4)
    assert {beside_claim(report)[name].verdict for name in ORACLES} == {"disagree"}


SLIGHTLY_WRONG = {
    "off by 100 u": tanh_to(lambda z, a: 1.0 - a * a + 100 * 2.0**-53),
    "a branch that starts too early": of("softplus", lambda z, a: np.where(z > 30.0, 1.0, 0.5 + 0.5 * np.tanh(z / 2))),
    "a pole that is none": formula(
        lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z)),
        lambda z, a: np.where(z == 0.0, 0.0, np.cos(z) / np.where(z == 0.0, 1.0, z)),
    ),
    "the wrong truth value": of("relu", lambda z, a: z > 1.0, kinks=(0.0,)),
    "some floats beside a kink": formula(
        lambda xp, z: xp.clip(z, 0.0, 6.0),
        lambda z, a: np.where((z > 6.0 + 1.1e-15) & (z < 6.0 + 6e-15), 100.0, (z > 0.0) & (z < 6.0)),
        kinks=(0.0, 6.0),
    ),
    "two floats that are near a kink": tanh_to(
        lambda z, a: np.where((z > 0.7 + 5e-16) & (z < 0.7 + 9e-16), 100.0, 1.0 - a * a), kinks=(0.7,)
    ),
}


@pytest.mark.parametrize("f", SLIGHTLY_WRONG.values(), ids=list(SLIGHTLY_WRONG))
def test_the_least_error_that_rounding_cannot_make_is_found(f):
    assert check_activation(f).outliers == (CLAIMED,)


def test_a_wrong_stretch_between_points_that_are_right():
    report = check_activation(tanh_to(lambda z, a: np.where((z > 1.0) * (z < 2.0), 0.5, 1.0 - a * a)))
    (finding,) = report.findings
    ((low, high),) = curve(report).wrong_stretches()
    assert (low, high) == pytest.approx((1.0, 2.0), abs=0.1)
    assert low <= place(finding) <= high + 1e-5
    assert finding.blocks == ("1.0001 <= z <= 1.9999",)
    assert finding.coordinates == beside_claim(report)[finding.against].coordinates_at_odds > 20


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
    assert report.outliers == (CLAIMED,)
    assert curve(report).wrong_stretches() == ((low, pytest.approx(high, abs=60.0)),)
    assert np.isnan(finding.value)
    assert kinds_of(finding.diagnosis) == (Kind.NOT_FINITE,)
    assert "slope" in {fact.where[0] for fact in facts_of(report, Kind.FORMULA_NOT_FINITE)}


# Who is at odds


def sin_under(*names):
    """tanh, and the sine under some namespaces."""
    return formula(lambda xp, z: xp.sin(z) if xp.name in names else xp.tanh(z), lambda z, a: 1.0 - a * a)


def guarded_root(z, a):
    return np.where(z > 0.0, 0.5 / np.where(a == 0.0, 1.0, a), 0.0)


ORACLE_IS_WRONG = {  # the record, the outliers, and the kinds among the reasons and the diagnoses
    "another formula under two oracles": (
        sin_under("jax", "complex"),
        ("jax", "complex-step"),
        {Kind.VALUE_DEPENDS_ON_ARRAY},
    ),
    "another formula under most oracles": (sin_under("jax", "complex", "balls"), None, {Kind.VALUE_DEPENDS_ON_ARRAY}),
    "another value, and the same slope": (
        formula(lambda xp, z: z * z + (1e-9 if xp.name == "jax" else 0.0), lambda z, a: 2.0 * z),
        (),
        {Kind.VALUE_DEPENDS_ON_ARRAY},
    ),
}


@pytest.mark.parametrize(("f", "outliers", "kinds"), ORACLE_IS_WRONG.values(), ids=list(ORACLE_IS_WRONG))
def test_the_source_that_is_wrong_is_named(f, outliers, kinds):
    report = check_activation(f)
    assert report.verdict == "disagree"
    assert outliers is None or report.outliers == outliers
    diagnoses = (fact for finding in report.findings for fact in finding.diagnosis)
    assert kinds <= {*kinds_of(report.reasons), *kinds_of(diagnoses)}


def elu_by(slope):
    """elu with an exp that overflows in the dropped branch."""
    return formula(lambda xp, z: xp.where(z > 0.0, z, xp.exp(z) - 1.0), slope)


NAN_OF_JAX = {
    "from a": elu_by(lambda z, a: np.where(z > 0.0, 1.0, a + 1.0)),
    "from z": elu_by(lambda z, a: np.where(z > 0.0, 1.0, np.exp(z))),
    "guarded": elu_by(lambda z, a: np.exp(np.minimum(z, 0.0))),
    "a dropped root": formula(lambda xp, z: xp.where(z > 0.0, xp.sqrt(z), 0.0), guarded_root, kinks=(0.0,)),
}


@pytest.mark.parametrize("f", NAN_OF_JAX.values(), ids=list(NAN_OF_JAX))
def test_nan_of_jax_alone_is_a_note(f):
    report = check_activation(f)
    assert report.verdict == "agree"
    assert len(facts_of(report, Kind.DROPPED_BRANCH)) == 1


def test_a_slope_that_is_wrong_at_a_kink_is_named_beside_nan_of_jax():
    slope = elu_by(lambda z, a: np.where(z > 0.0, 2.0, np.where(z == 0.0, 9.0, a + 1.0)))
    report = check_activation(replace(slope, value=lambda xp, z: (1.0 + (z > 0.0)) * slope.value(xp, z), kinks=(0.0,)))
    assert report.outliers == (CLAIMED,)


NAN_OF_RECORD = {
    "e/(e + 1)": (lambda xp, z: xp.log(1.0 + xp.exp(z)), lambda z, a: np.exp(z) / (np.exp(z) + 1.0)),
    "where the value is finite": (lambda xp, z: xp.logaddexp(z, 0.0), lambda z, a: np.exp(z) / (np.exp(z) + 1.0)),
    "the value": (lambda xp, z: z * xp.exp(z) / (xp.exp(z) + 1.0), lambda z, a: ACTIVATIONS["silu"].slope(z, a)),
}


@pytest.mark.parametrize(("value", "slope"), NAN_OF_RECORD.values(), ids=list(NAN_OF_RECORD))
def test_nan_of_the_record_is_wrong_where_there_is_a_number(value, slope):
    report = check_activation(formula(value, slope))
    assert report.verdict == "disagree"
    assert Kind.FORMULA_NOT_FINITE in kinds_of(report.facts)


# Formulas that do not run everywhere


@pytest.mark.parametrize(("f", "left_out"), LEFT_OUT.values(), ids=list(LEFT_OUT))
def test_the_check_goes_on_with_the_oracles_that_are_left(f, left_out):
    report = checked(f)
    assert report.verdict == "agree", f"\n{report}"
    assert set(report.left_out) == left_out
    assert Kind.SAMPLED_ROUNDING in report.kinds
    wrong = Activation("wrong", f.value, lambda z, a: 1.01 * f.slope(z, a) + 0.01, kinks=f.kinks)
    assert check_activation(wrong).outliers == (CLAIMED,)


@pytest.mark.parametrize(
    "value", [lambda xp, z: xp.clip(z, 0.0, None), lambda xp, z: xp.clip(z, min=0.0), lambda xp, z: z.clip(0.0)]
)
def test_an_arithmetic_that_cannot_run_the_formula_is_left_out_and_not_accused(value):
    report = check_activation(formula(value, lambda z, a: np.where(z > 0.0, 1.0, 0.0), kinks=(0.0,)))
    assert report.verdict == "agree", f"\n{report}"
    assert not {"finite-difference", "ball"} & set(report.outliers)


@pytest.mark.parametrize(("steepness", "verdict"), [(1.0, "agree"), (1e4, "agree"), (1e6, "inconclusive")])
def test_plain_differences_of_a_steep_formula_are_right_or_undecided(steepness, verdict):
    each = np.vectorize(lambda x: float(expit(steepness * float(x))), otypes=[float])
    f = formula(lambda xp, z: each(z), lambda z, a: steepness * a * (1.0 - a))
    assert check_activation(f).verdict == verdict


@pytest.mark.parametrize("claimed", [np.nan, np.inf, 0.0, 0.3])
def test_a_slope_that_is_wrong_at_one_point_is_never_agreed_upon(claimed):
    """Not even where values are all that is known of the formula."""
    f = formula(lambda xp, z: expit(z), lambda z, a: np.where(z == 0.0, claimed, a * (1.0 - a)))
    report = check_activation(f)
    assert (report.verdict, report.outliers, report.findings[0].blocks) == ("disagree", (CLAIMED,), ("z = 0",))


@pytest.mark.parametrize(
    "value", [lambda xp, z: xp.log(-1.0 - z * z), lambda xp, z: xp.exp(z + 1e4)], ids=["NaN", "infinite"]
)
def test_a_value_that_is_finite_nowhere_decides_nothing(value):
    report = check_activation(formula(value, lambda z, a: a))
    assert (report.verdict, report.decided_share, report.subject["values of z"]) == ("inconclusive", 0.0, 0)
    assert report.details["not_finite"][0].where == ("value", "-1000 <= z <= 1000")


def test_where_no_oracle_can_run_nothing_is_decided(monkeypatch):
    def refuse(f, z):
        raise TypeError("not today")

    for module in ORACLES.values():
        monkeypatch.setattr(f"{module}.slope", refuse)
    monkeypatch.setattr("reference.oracles.finite_difference.plain_slope", lambda f, z, noise: refuse(f, z))
    report = check_activation("tanh")
    assert (report.verdict, report.decided_share) == ("inconclusive", 0.0)
    assert kinds_of(report.reasons) == (Kind.NOTHING_TO_COMPARE,)
    assert {name: fact.data["reason"] for name, fact in report.left_out.items()} == dict.fromkeys(ORACLES, "not today")


def test_a_formula_that_is_a_function_of_jax_runs_in_float64():
    """In float32 it would have kinks all over."""
    report = check_activation(formula(lambda xp, z: jnp.tanh(z), lambda z, a: 1.0 - a * a))
    assert (report.verdict, report.details["kinks"]) == ("agree", []), f"\n{report}"


# Proved between the points of the grid


def tampered(name: str, low: float, high: float) -> Activation:
    """A registered activation whose slope is 1% off between two z."""
    f = ACTIVATIONS[name]

    def slope(z, a):
        return f.slope(z, a) * np.where((z > low) & (z < high), 1.01, 1.0)

    return Activation(name, f.value, slope, kinks=f.kinks)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("sigmoid", -1.2345, -1.2344),
        ("leaky_relu", -29.5, -29.499),
        ("identity", 100.0, 104.0),
        ("softplus", 2000.0, 3e5),
        ("identity", -9e5, -5000.0),
    ],
)
def test_a_slope_that_is_wrong_where_the_grid_has_no_point_is_found_with_its_stretch(name, low, high):
    report = check_activation(tampered(name, low, high))
    assert (report.verdict, report.outliers) == ("disagree", (CLAIMED,))
    stretches = curve(report).wrong_stretches()
    start, end = stretches[0][0], stretches[-1][1]
    assert low - 1e-3 * abs(low) <= start <= end <= high + 1e-3 * abs(high)


def test_a_slope_that_is_wrong_at_one_float_beside_a_round_number_is_found():
    f, at = ACTIVATIONS["elu"], float(np.nextafter(-1.35, 0.0))
    report = check_activation(Activation("elu", f.value, lambda z, a: f.slope(z, a) + (z == at)))
    assert (report.verdict, report.outliers) == ("disagree", (CLAIMED,))


BY_A = {
    "relu": (lambda xp, z: xp.maximum(z, 0.0), lambda z, a: (a > 0.0) * 1.0, (0.0,)),
    "hard_tanh": (lambda xp, z: xp.clip(z, -1.0, 1.0), lambda z, a: np.where(np.abs(a) < 1.0, 1.0, 0.0), (-1.0, 1.0)),
}


@pytest.mark.parametrize(("low", "high"), [(2.5, 2.51), (-2e4, -1000.0), (0.0, 0.0), (1.0, -1.0)])
@pytest.mark.parametrize("name", BY_A)
def test_a_comparison_of_exact_values_hides_nothing(name, low, high):
    value, slope, kinks = BY_A[name]
    record = Activation(name, value, lambda z, a: slope(z, a) + 2.0 * ((z >= low) & (z <= high)), kinks=kinks)
    assert check_activation(record).verdict == ("disagree" if low <= high else "agree")


# What is given, and what comes back


def inside_float32(name):
    """A registered formula whose value is computed in float32 and cast to float64."""
    f = ACTIVATIONS[name]
    return replace(f, value=lambda xp, z: f.value(xp, z.astype("float32")).astype("float64"))


def tanh_partly_in_float32(xp, z):
    return xp.where(z > 0.0, xp.tanh(z.astype("float32")), xp.tanh(z))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("rellu", "unknown activation 'rellu'; registered are"),
        ("nowhere:f", "cannot import 'nowhere'"),
        ("math:pi", "math:pi is of type float, but an Activation is needed"),
        (formula(lambda xp, z: z[5000], lambda z, a: z), "the value of activation 'mine' cannot be computed"),
        (formula(lambda xp, z: z * 1j, lambda z, a: z), "and real: for z of shape (819,) it returned complex128"),
        (formula(lambda xp, z: list(z), lambda z, a: z), "it returned a list"),
        (formula(lambda xp, z: None, lambda z, a: z), "it returned a NoneType"),
        (formula(lambda xp, z: z > 0.0, lambda z, a: z), "it returned bool of shape"),
        (formula(lambda xp, z: z, lambda z, a: z[:, None]), "the slope of activation 'mine' must keep"),
        (formula(lambda xp, z: z if z > 0.0 else 0.0, lambda z, a: a), "write xp.where(z > 0, ..., ...)"),
        (formula(lambda xp, z: xp.tanh(z).astype("float32"), lambda z, a: 1.0 - a * a), "came back as float32"),
        (inside_float32("tanh"), "came back as float32, cast to float64"),
        (formula(tanh_partly_in_float32, lambda z, a: 1.0 - a * a), "came back as float32, cast to float64"),
    ],
)
def test_what_is_no_activation_gives_one_clear_sentence(given, sentence):
    with pytest.raises(ValueError) as raised:  # noqa: PT011  the table has the sentences
        check_activation(given)
    assert sentence in str(raised.value)


REPORTED = [
    ACTIVATIONS["relu"],
    LEFT_OUT["math"][0],
    FAULTY["mixes entries"][0],
    FAULTY["flattens"][0],
    relu_with(np.nan, kinks=(0.0,)),
    formula(lambda xp, z: xp.exp(z + 1e4), lambda z, a: a),
]


@pytest.mark.parametrize("f", REPORTED)
def test_every_report_goes_to_programs_and_other_processes(f):
    report = checked(f)
    document = report.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(document["subject"]) >= {"activation", "values of z"}
    sent = pickle.loads(pickle.dumps(report))
    assert (sent.to_dict(), str(sent)) == (document, str(report))
    np.testing.assert_array_equal(curve(sent).claimed, curve(report).claimed)


def test_settings_of_the_process_stay_and_no_warning_escapes():
    before = np.geterr(), jax.config.read("jax_enable_x64"), dict(ACTIVATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_activation(of("sigmoid", lambda z, a: np.exp(-z) / np.square(1.0 + np.exp(-z))))
        check_activation(FAULTY["mixes entries"][0])
    assert (np.geterr(), jax.config.read("jax_enable_x64"), dict(ACTIVATIONS)) == before
