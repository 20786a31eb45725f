"""One activation by itself: right records agree, wrong ones are pinned down, and what cannot be asked is said."""

import json
import pickle
import warnings

import jax
import numpy as np
import pytest
from activation_records import (
    LEFT_OUT,
    MISCONDUCT,
    MIXING,
    RIGHT,
    WRONG,
    beside_claim,
    checked,
    curve,
    formula,
    of,
    place,
    relu_with,
    sigma,
    stairs,
    tanh_to,
)
from scipy.special import expit

from harness import ACTIVATIONS, Activation
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.formulas import find_activation
from harness.checks.activations.slope_answers import CLAIMED, ONE_SIDED, _consensus
from harness.checks.activations.slope_oracles import ORACLES
from harness.checks.activations.z_grid import grid
from harness.verdict.comparison import Answer, compare_all
from harness.verdict.report import COLOURS, SCHEMA
from reference.measured import MeasuredSlope

each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


@each_activation
def test_every_registered_activation_agrees_with_every_oracle(name):
    report = checked(ACTIVATIONS[name])
    kinks = ACTIVATIONS[name].kinks
    assert report.verdict == "agree", f"\n{report}"
    sides = [ONE_SIDED] if report.picture.seams else []
    assert [row.name for row in report.sources] == [CLAIMED, *ORACLES, *sides]
    assert set(kinks) <= set(report.picture.seams)
    assert (report.left_out, report.reasons, report.findings, report.outliers) == ({}, (), (), ())
    assert report.details["not_finite"] == []
    assert report.decided_share > 0.99
    assert report.subject["values of z"] > 700
    assert all(kink["jumps"] and kink["follows_jax"] for kink in report.details["kinks"])
    assert [kink["z"] for kink in report.details["kinks"]] == list(kinks)
    assert all(part["within"] for part in report.details["float32"].values()), report.details["float32"]


@each_activation
def test_every_row_of_a_right_activation_agrees(name):
    report = checked(ACTIVATIONS[name])
    assert not [note for note in report.notes if note.startswith("not decided")]
    assert {row.verdict for row in report.pairs} == {"agree"}
    left = min(row.coordinates_decided for row in beside_claim(report).values() if row.second in ORACLES)
    assert left > 0.99 * report.subject["values of z"]


@pytest.mark.parametrize("f", RIGHT.values(), ids=list(RIGHT))
def test_what_is_right_agrees(f):
    report = checked(f)
    assert report.verdict == "agree", f"\n{report}"
    assert not report.left_out


@pytest.mark.parametrize(("f", "low", "high"), [row[:3] for row in WRONG.values()], ids=list(WRONG))
def test_a_wrong_slope_is_pinned_down(f, low, high):
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


def test_the_least_error_that_rounding_cannot_make_is_found():
    """1 - a² is good to a few u: a slope off by 100 u is wrong, and the same slope in another order is not."""
    assert check_activation(tanh_to(lambda z, a: 1.0 - a * a + 100 * 2.0**-53)).verdict == "disagree"
    assert check_activation(tanh_to(lambda z, a: (1.0 - a) * (1.0 + a))).verdict == "agree"


def test_the_number_of_a_branch_is_right_where_it_is_off_by_an_ulp():
    f = of("softplus", lambda z, a: np.where(z > 36.8, 1.0, sigma(z)))  # 1 - 1e-16 at 36.8
    assert check_activation(f).verdict == "agree"
    assert check_activation(of("softplus", lambda z, a: np.where(z > 35.0, 1.0, sigma(z)))).verdict == "disagree"


@pytest.mark.parametrize(("least", "verdict"), [(0.0, "agree"), (1.0, "disagree")])
def test_a_slope_may_be_a_truth_value(least, verdict):
    f = of("relu", lambda z, a: z > least, kinks=(0.0,))
    assert check_activation(f).verdict == verdict


def test_a_wrong_stretch_between_points_that_are_right():
    f = tanh_to(lambda z, a: np.where((z > 1.0) * (z < 2.0), 0.5, 1.0 - a * a))
    report = check_activation(f)
    (finding,) = report.findings
    ((low, high),) = curve(report).wrong_stretches()
    assert (low, high) == pytest.approx((1.0, 2.0), abs=0.1)
    assert low <= place(finding) <= high
    assert finding.blocks == (f"{low:.5g} <= z <= {high:.5g}",)
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
    assert "overflow" in finding.diagnosis
    assert any(line.startswith("slope is not finite for -1000 <= z") for line in report.details["not_finite"])


# Who is at odds


def test_jax_is_named_where_jax_is_wrong():
    """The derivative of a dropped branch that overflows is 0 · inf in reverse mode; the slope by hand is right."""
    f = formula(lambda xp, z: xp.where(z > 0.0, z, xp.exp(z) - 1.0), lambda z, a: np.where(z > 0.0, 1.0, a + 1.0))
    report = check_activation(f)
    (finding,) = report.findings
    assert (report.verdict, report.outliers, finding.source) == ("disagree", ("jax",), "jax")
    assert place(finding) > 700.0
    assert np.isnan(finding.value)
    assert "a branch that `where` drops" in finding.diagnosis
    assert beside_claim(report)["ball"].verdict == "agree"


def sin_under(*names):
    """tanh, and the sine under some namespaces."""
    return formula(lambda xp, z: xp.sin(z) if xp.name in names else xp.tanh(z), lambda z, a: 1.0 - a * a)


RIGHT_BUT_HARD = {
    "steep far out": (lambda xp, z: xp.sin(z * z), lambda z, a: 2.0 * z * np.cos(z * z)),
    "1/z² beside zero, for JAX": (
        lambda xp, z: xp.where(
            xp.abs(z) < 0.01, 1.0 - z * z / 6.0 + z**4 / 120.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z)
        ),
        lambda z, a: np.where(np.abs(z) < 0.01, z**3 / 30.0 - z / 3.0, (np.cos(z) - a) / np.where(z == 0.0, 1.0, z)),
        (-0.01, 0.01),
    ),
    "a root of less than zero, for the complex step": (
        lambda xp, z: (0.5 + 0.5 * xp.tanh(z / 2.0)) ** 2.5,
        lambda z, a: 2.5 * a * sigma(-z),
    ),
    "no seam, and no array of none": (lambda xp, z: np.vectorize(lambda x: x * x)(z), lambda z, a: 2.0 * z),
}


@pytest.mark.parametrize("name", RIGHT_BUT_HARD)
def test_a_right_slope_agrees_where_an_oracle_or_rounding_is_at_its_end(name):
    value, slope, *kinks = RIGHT_BUT_HARD[name]
    report = check_activation(Activation(name, value, slope, kinks=kinks[0] if kinks else ()))
    assert report.verdict == "agree", f"\n{report}"


def test_several_oracles_that_are_wrong_are_the_odd_ones_out():
    report = check_activation(sin_under("jax", "complex"))
    assert (report.verdict, report.outliers) == ("disagree", ("jax", "complex-step"))
    assert {finding.source for finding in report.findings} == {"jax", "complex-step"}


def test_a_formula_that_is_another_one_under_another_namespace_is_caught():
    report = check_activation(sin_under("jax", "complex", "balls"))
    assert report.verdict == "disagree"
    assert [reason.partition(":")[0] for reason in report.reasons] == [
        f"the value is not the same under {name}" for name in ("jax", "complex-step", "ball")
    ]


def test_a_value_that_is_another_under_jax_is_caught_though_the_slope_is_right():
    f = formula(lambda xp, z: z * z + (1e-9 if xp.name == "jax" else 0.0), lambda z, a: 2.0 * z)
    report = check_activation(f)
    assert (report.verdict, report.outliers, report.findings) == ("disagree", (), ())
    (reason,) = report.reasons
    value, _, rest = reason.removeprefix("the value is not the same under jax: ").partition(" instead of ")
    assert float(value) - float(rest.partition(" ")[0]) == pytest.approx(1e-9, rel=0.2)
    assert rest.endswith("for -1000 <= z <= 1000")


@pytest.fixture
def only(monkeypatch):
    """``only(name, ...)``: no other oracle is asked. The table itself keeps its order."""

    def ask(*names):
        monkeypatch.setattr("harness.checks.activations.slope_oracles.ORACLES", {name: ORACLES[name] for name in names})

    return ask


def test_in_a_tie_the_certified_balls_are_believed(only):
    only("jax", "complex-step", "ball")
    report = check_activation(sin_under("jax", "complex"))
    assert (report.verdict, report.outliers, report.tie) == ("disagree", ("jax", "complex-step"), False)


def test_a_tie_without_balls_accuses_the_claim(only):
    only("jax")
    report = check_activation(WRONG["sign"][0])
    assert (report.verdict, report.outliers, report.tie) == ("disagree", (CLAIMED,), False)


def test_a_right_slope_is_not_accused_by_oracles_that_cannot_follow_a_root():
    """Under JAX, the root that `where` drops has a slope that is NaN; the enclosures and the claim are right."""

    def slope(z, a):
        return np.where(z > 0.0, 0.5 / np.where(a == 0.0, 1.0, a), 0.0)

    report = check_activation(formula(lambda xp, z: xp.where(z > 0.0, xp.sqrt(z), 0.0), slope, kinks=(0.0,)))
    (finding,) = report.findings
    assert (report.verdict, report.outliers, finding.blocks) == ("disagree", ("jax",), ("-1000 <= z < 0",))


NOBODY = np.inf  # an error bar that says nothing


@pytest.mark.parametrize(
    ("errors", "outliers"),
    [
        ({CLAIMED: NOBODY, "jax": 0.1, "complex-step": 0.1}, None),  # a tie that the claim has no part in
        ({CLAIMED: NOBODY, "jax": 0.1, "ball": 0.1}, ("jax",)),
        ({CLAIMED: 0.1, "jax": 0.1}, (CLAIMED,)),
        ({CLAIMED: 0.1, "jax": 0.1, "ball": NOBODY}, (CLAIMED,)),
    ],
)
def test_who_is_accused_in_a_tie(errors, outliers):
    """Slopes of 0, 1, 2, ...: all that say something are at odds."""
    answers = [
        Answer(name, name, 0.0, 0.0, np.array([float(i)]), np.array([error]))
        for i, (name, error) in enumerate(errors.items())
    ]
    consensus = _consensus(answers, compare_all(answers, ()))
    assert consensus.tie == (outliers is None)
    assert consensus.outliers == (outliers or ())
    assert set(consensus.members) == (set(errors) - set(outliers) if outliers else set())


def test_a_claim_that_is_wrong_at_a_kink_is_named_beside_an_oracle_that_is_wrong_elsewhere():
    def slope(z, a):
        return np.where(z > 0.0, 2.0, np.where(z == 0.0, 9.0, a + 1.0))

    report = check_activation(formula(lambda xp, z: xp.where(z > 0.0, 2.0 * z, xp.exp(z) - 1.0), slope, kinks=(0.0,)))
    assert report.outliers == (CLAIMED, "jax")
    assert curve(report).wrong_stretches() == ((0.0, 0.0),)
    assert {(finding.source, finding.against == ONE_SIDED) for finding in report.findings} == {
        (CLAIMED, True),
        ("jax", False),
    }


# Formulas that do not run everywhere


@pytest.mark.parametrize(("f", "left_out"), LEFT_OUT.values(), ids=list(LEFT_OUT))
def test_the_check_goes_on_with_the_oracles_that_are_left(f, left_out):
    report = checked(f)
    assert report.verdict == "agree", f"\n{report}"
    assert set(report.left_out) == left_out
    assert all(reason and "\n" not in reason for reason in report.left_out.values())
    assert any("sampled, not bounded" in note for note in report.notes)
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
    assert report.details["not_finite"][0] == "value is not finite for -1000 <= z <= 1000"


@pytest.mark.parametrize("f", MIXING.values(), ids=list(MIXING))
def test_what_is_not_elementwise_has_no_slope_to_compare(f):
    report = checked(f)
    assert [row.name for row in report.sources] == [CLAIMED]
    assert (report.findings, report.pairs, report.details["kinks"], report.decided_share) == ((), (), [], 0.0)
    assert report.left_out == dict.fromkeys(ORACLES, "it is not elementwise")
    assert "jumps" not in str(report)
    assert report.plot()


def test_where_no_oracle_can_be_asked_that_is_said(monkeypatch):
    def refuse(f, z):
        raise TypeError("not today")

    for module in ORACLES.values():
        monkeypatch.setattr(f"{module}.slope", refuse)
    monkeypatch.setattr("reference.oracles.finite_difference.plain_slope", lambda f, z, noise: refuse(f, z))
    report = check_activation("tanh")
    assert (report.verdict, report.decided_share) == ("inconclusive", 0.0)
    (reason,) = report.reasons
    assert all(name in reason for name in ORACLES)
    assert report.left_out == dict.fromkeys(ORACLES, "not today")


def test_an_oracle_that_does_not_keep_the_shape_is_left_out(monkeypatch):
    monkeypatch.setattr(f"{ORACLES['jax']}.slope", lambda f, z: MeasuredSlope(z, z[:3], z))
    assert check_activation("tanh").left_out == {"jax": "the slopes of 823 numbers have shape (3,)"}


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
        (formula(lambda xp, z: 3.0, lambda z, a: 0.0), ValueError, "it answered a float; compute each entry"),
        (formula(lambda xp, z: list(z), lambda z, a: z), ValueError, "it answered a list"),
        (formula(lambda xp, z: None, lambda z, a: z), ValueError, "it answered a NoneType"),
        (formula(lambda xp, z: z > 0.0, lambda z, a: z), ValueError, "it answered bool of shape"),
        (formula(lambda xp, z: z[:, None] * z, lambda z, a: z), ValueError, "must keep the shape of z"),
        (formula(lambda xp, z: z, lambda z, a: z[:, None]), ValueError, "the slope of activation 'mine' must keep"),
        (formula(lambda xp, z: z, lambda z, a: z[:1]), ValueError, "it answered float64 of shape (1,)"),
        (formula(lambda xp, z: z, lambda z, a: None), ValueError, "it answered a NoneType"),
    ],
)
def test_what_is_no_activation_gives_one_clear_sentence(given, error, sentence):
    with pytest.raises(error) as raised:
        check_activation(given)
    assert sentence in str(raised.value)


def test_a_record_is_found_by_name_by_module_and_as_it_is():
    f = tanh_to(lambda z, a: 1.0 - a * a)
    assert find_activation(f) is f
    assert find_activation("tanh") is ACTIVATIONS["tanh"]
    assert find_activation("test_checking:MY_TANH") is MY_TANH


MY_TANH = tanh_to(lambda z, a: 1.0 - a * a, "my tanh")

REPORTED = {
    **ACTIVATIONS,
    **RIGHT,
    **{name: f for name, (f, *_) in (WRONG | LEFT_OUT | MISCONDUCT).items()},
    "NaN at a kink": relu_with(np.nan, kinks=(0.0,)),
    "undeclared, and wrong at the kink": relu_with(7.0),
    "many kinks": stairs(20, kinks=tuple(range(20))),
    "overflow": of("sigmoid", lambda z, a: np.exp(-z) / np.square(1.0 + np.exp(-z))),
    "no slope": formula(lambda xp, z: xp.exp(z + 1e4), lambda z, a: a),
}


def types(value):
    yield type(value)
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for content in inner:
        yield from types(content)


@pytest.mark.parametrize("f", REPORTED.values(), ids=list(REPORTED))
def test_every_report_goes_to_programs_notebooks_and_other_processes(f):
    report = checked(f)
    document = report.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(types(document)) <= {dict, list, str, int, float, bool, type(None)}
    optional = {"source"} if f.source else set()
    optional |= {"proved"} if document["details"]["proof"] else set()  # not of one that is not elementwise
    assert set(document["subject"]) == {"activation", "values of z"} | optional
    first, *_ = str(report).splitlines()
    assert first.startswith(report.verdict.upper())
    assert f'<strong style="color:{COLOURS[report.verdict]}">{first}</strong>' in report._repr_html_()
    sent = pickle.loads(pickle.dumps(report))
    assert (sent.to_dict(), str(sent)) == (document, str(report))
    np.testing.assert_array_equal(curve(sent).claimed, curve(report).claimed)


@pytest.mark.parametrize(("given", "verdict"), [("relu", "agree"), (WRONG["leak"][0], "disagree")])
def test_the_document_has_the_kinks_and_the_oracles(given, verdict):
    document = check_activation(given).to_dict()
    assert (document["schema"], document["verdict"]) == (SCHEMA, verdict)
    assert document["details"]["kinks"][0]["left"] == (0.1 if verdict == "disagree" else 0.0)
    assert {row["name"] for row in document["sources"]} == {CLAIMED, *ORACLES, ONE_SIDED}
    assert bool(document["findings"]) == (verdict == "disagree")


def test_html_is_escaped():
    report = check_activation(Activation("<b>&", ACTIVATIONS["tanh"].value, ACTIVATIONS["tanh"].slope))
    assert "<b>&" not in report._repr_html_()
    assert "&lt;b&gt;&amp;" in report._repr_html_()


def test_nothing_of_the_callers_settings_is_changed_and_no_warning_escapes():
    before = np.geterr(), jax.config.read("jax_enable_x64"), dict(ACTIVATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_activation(REPORTED["overflow"])
        check_activation(MISCONDUCT["mixes entries"][0])
    assert (np.geterr(), jax.config.read("jax_enable_x64"), dict(ACTIVATIONS)) == before


def test_the_same_report_twice():
    first, second = (check_activation(WRONG["leak"][0]).to_dict() | {"seconds": 0.0} for _ in range(2))
    assert first == second
