"""A record as code: what would break a network, what is only noted, and -0.0, NaN and ±inf."""

from dataclasses import replace

import numpy as np
import pytest
from activation_records import FAULTY, MIXING, RIGHT, checked, facts_of, formula, sigma

from harness import ACTIVATIONS
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.record_faults import values_at_infinity
from harness.checks.activations.slope_answers import CLAIMED, ONE_SIDED
from harness.checks.activations.slope_oracles import ORACLES
from harness.facts.fact import Severity
from harness.facts.kinds import Kind

LOG1P_EXP = formula(lambda xp, z: xp.log(1.0 + xp.exp(z)), lambda z, a: sigma(z))


@pytest.mark.parametrize(("f", "kind", "part"), FAULTY.values(), ids=list(FAULTY))
def test_what_would_break_a_network_is_wrong(f, kind, part):
    report = checked(f)
    found = [fact for fact in facts_of(report, kind) if fact.severity == Severity.WRONG]
    assert report.verdict == "disagree"
    assert found
    assert part is None or found[0].where[0] == part


@pytest.mark.parametrize("f", MIXING)
def test_what_is_not_elementwise_has_no_slope_to_compare(f):
    report = checked(f)
    assert [row.name for row in report.sources] == [CLAIMED]
    assert (report.findings, report.pairs, report.details["kinks"], report.decided_share) == ((), (), [], 0.0)
    assert {name: fact.kind for name, fact in report.left_out.items()} == dict.fromkeys(ORACLES, Kind.NOT_ELEMENTWISE)
    assert [fact.where[0] for fact in report.reasons if fact.kind == Kind.NOT_ELEMENTWISE] == ["value"]
    assert not {Kind.UNDECLARED_KINK, Kind.MINUS_ZERO, Kind.AT_INFINITY} & report.kinds
    assert report.plot()


NOTED = {
    "hands NaN on": (ACTIVATIONS["relu"], set()),
    "swallows NaN": (
        formula(lambda xp, z: xp.where(z > 0.0, z, 0.0), ACTIVATIONS["relu"].slope, kinks=(0.0,)),
        {Kind.NAN_SWALLOWED},
    ),
    "one slope for all": (formula(lambda xp, z: 2.0 * z, lambda z, a: 2.0), {Kind.SHAPE_NOT_KEPT}),
    "arrays only": (
        formula(lambda xp, z: xp.tanh(z), lambda z, a: np.array([1.0 - x * x for x in a])),
        {Kind.SHAPE_REFUSED},
    ),
    "NaN at infinity": (ACTIVATIONS["silu"], {Kind.AT_INFINITY}),
}


@pytest.mark.parametrize(("f", "kinds"), NOTED.values(), ids=list(NOTED))
def test_what_breaks_nothing_is_noted(f, kinds):
    report = check_activation(f)
    assert report.verdict == "agree", f"\n{report}"
    usual = {Kind.NUMBER_FORMAT, Kind.JUNCTION, Kind.LEFT_TO_SAMPLING, Kind.SAMPLED_ROUNDING, Kind.LOST_TAIL}
    assert {fact.kind for fact in report.notes} - usual == kinds


def test_where_something_is_not_finite_and_what_it_could_be():
    (value,) = check_activation(LOG1P_EXP).details["not_finite"]
    assert value.where[0] == "value"
    assert value.where[1].startswith("7")
    assert value.data["expected"] == pytest.approx(value.data["z"])
    overflowing = checked(RIGHT["exp"]).details["not_finite"]
    at_large = {"at_large": True}  # as it must be
    assert [(fact.where[0], dict(fact.data)) for fact in overflowing] == [("value", at_large), ("slope", at_large)]
    f = formula(lambda xp, z: z / (1.0 + xp.exp(-z)), lambda z, a: a + (1.0 - a) / (1.0 + np.exp(-z)))
    (by_jax,) = check_activation(f).details["not_finite"]
    assert (by_jax.where[0], by_jax.data["expected"], by_jax.data["z"]) == ("jax", 0.0, -1000.0)


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
        ("elu", np.inf, "disagree"),
        ("relu", 1.0, "agree"),  # a convention, and another one at 0.0
        ("relu", -1.0, "disagree"),
        ("relu", np.nan, "disagree"),
    ],
)
def test_the_slope_at_minus_zero_is_judged_beside_both_one_sided_derivatives(name, slope, verdict):
    report = check_activation(at_minus_zero(ACTIVATIONS[name], slope))
    assert (report.verdict, CLAIMED in report.outliers) == (verdict, verdict == "disagree")
    usual = ACTIVATIONS[name].slope(np.zeros(1), np.zeros(1))[0]
    assert len(facts_of(report, Kind.MINUS_ZERO)) == (slope != usual)
    if verdict == "disagree":
        (finding,) = report.findings
        assert (finding.against, finding.where, finding.blocks) == (ONE_SIDED, "f'(0)", ("z = 0",))
        assert finding.value == pytest.approx(slope, nan_ok=True)


def test_a_surrogate_may_have_another_slope_at_minus_zero():
    assert check_activation(at_minus_zero(ACTIVATIONS["tanh"], 0.5, surrogate=True)).verdict == "agree"


@pytest.mark.parametrize(("there", "verdict"), [(0.0, "agree"), (np.nan, "disagree"), (1.0, "disagree")])
def test_the_value_at_minus_zero_is_that_at_zero(there, verdict):
    def value(xp, z):
        if xp.name != "numpy" or type(z) is not np.ndarray:
            return z + 0.0
        return np.where((z == 0.0) & np.signbit(z), there, z)

    report = check_activation(formula(value, lambda z, a: np.ones_like(z)))
    assert (report.verdict, Kind.MINUS_ZERO in report.kinds) == (verdict, verdict == "disagree")


def test_a_value_that_jumps_at_zero_may_do_so_between_both_zeros():
    def value(xp, z):
        return xp.where(z < 0.0, -1.0, 1.0) if xp.name != "numpy" else np.copysign(1.0, z)

    f = formula(value, lambda z, a: np.zeros_like(z), kinks=(0.0,))
    assert Kind.MINUS_ZERO not in check_activation(f).kinds


@pytest.mark.parametrize(
    ("value", "slope", "expected"),
    [
        (ACTIVATIONS["tanh"].value, ACTIVATIONS["tanh"].slope, set()),
        (ACTIVATIONS["sin"].value, ACTIVATIONS["sin"].slope, set()),  # which has no limit
        (lambda xp, z: z * z + z, lambda z, a: 2.0 * z + 1.0, {(-np.inf, "value", np.inf)}),
        (
            ACTIVATIONS["silu"].value,
            ACTIVATIONS["silu"].slope,
            {(-np.inf, "value", 0.0), (-np.inf, "slope", 0.0), (np.inf, "slope", 1.0)},
        ),
        (
            lambda xp, z: z / xp.sqrt(1.0 + z * z),
            lambda z, a: (1.0 + z * z) ** -1.5,
            {(-np.inf, "value", -1.0), (np.inf, "value", 1.0)},
        ),
        (
            ACTIVATIONS["tanh"].value,
            lambda z, a: np.where(np.isinf(z), 1.0, 1.0 - a * a),
            {(-np.inf, "slope", 0.0), (np.inf, "slope", 0.0)},
        ),
        (np.vectorize(lambda xp, z: z), lambda z, a: np.ones_like(z), set()),  # without balls nothing is known
        (lambda xp, z: 0.5 + xp.arctan(z) / xp.pi, lambda z, a: 1.0 / (np.pi * (1.0 + z * z)), set()),  # to a rounding
        (lambda xp, z: xp.exp(xp.clip(z, -500.0, 0.0)), lambda z, a: np.where((z > -500) & (z < 0.0), a, 0.0), set()),
    ],
)
def test_what_is_missed_at_infinity(value, slope, expected):
    with np.errstate(all="ignore"):
        found = values_at_infinity(formula(value, slope))
    assert {(fact.data["z"], fact.where[0], fact.data["expected"]) for fact in found} == expected


OF_VECTORS = {
    "softmax": lambda xp, z: xp.exp(z) / xp.sum(xp.exp(z), axis=-1, keepdims=True),
    "RMS norm": lambda xp, z: z / xp.sqrt(xp.mean(z * z, axis=-1, keepdims=True) + 1e-6),
    "GLU": lambda xp, z: xp.split(z, 2, axis=-1)[0] * xp.tanh(xp.split(z, 2, axis=-1)[1]),
    "half of z": lambda xp, z: z[..., : z.shape[-1] // 2],
    "maxout": lambda xp, z: xp.max(xp.reshape(z, (*z.shape[:-1], -1, 2)), axis=-1),
    "rows of a matrix": lambda xp, z: z / xp.sum(z, axis=1, keepdims=True),
}


@pytest.mark.parametrize("value", OF_VECTORS.values(), ids=list(OF_VECTORS))
def test_a_function_of_whole_vectors_is_told_which_checker_takes_it(value):
    try:
        found = facts_of(check_activation(formula(value, lambda z, a: np.ones_like(z))), Kind.NOT_ELEMENTWISE)
    except ValueError as refusal:
        found = [checker for checker in ("check_jacobian", "check_derivatives") if checker in str(refusal)][1:]
    assert found
