"""Claims beside the slope: a curvature, derivatives in parameters, and slopes that are none on purpose."""

import math

import numpy as np
import pytest
from activation_records import facts_of, formula, of, sigma, tanh_to

from harness import Activation, check_activation
from harness.checks.activations.slope_answers import CLAIMED
from harness.facts.kinds import Kind


def swish(slope=None, **keywords):
    def value(xp, z, beta=1.5):
        return z * (0.5 + 0.5 * xp.tanh(0.5 * beta * z))

    return Activation("swish", value, slope or (lambda z, a: swish_of_beta(z, a)), **keywords)


def swish_of_beta(z, a, beta=1.5):
    s = sigma(beta * z)
    return s + beta * z * s * (1.0 - s)


def swish_of_its_usual_beta(z, a, beta=1.5):
    s = sigma(beta * z)
    return s + 1.5 * z * s * (1.0 - s)


def d_beta(z, a, beta):
    s = sigma(beta * z)
    return z * z * s * (1.0 - s)


def _celu(xp, z, alpha=2.0):
    return xp.where(z > 0.0, z, alpha * xp.expm1(xp.where(z > 0.0, 0.0, z) / alpha))


def celu(factor):
    """celu divides by α, so that α = 0 says nothing of its record."""

    def d_alpha(z, a, alpha):
        below = np.minimum(z, 0.0) / alpha
        return factor * (np.expm1(below) - below * np.exp(below))

    slope = lambda z, a: np.where(z > 0.0, 1.0, np.exp(0.5 * np.minimum(z, 0.0)))  # noqa: E731
    return Activation("celu", _celu, slope, parameters={"alpha": d_alpha})


def tanh_curved(factor):
    return tanh_to(lambda z, a: 1.0 - a * a, curvature=lambda z, a: -2.0 * factor * a * (1.0 - a * a))


def both(d_beta):
    """An elu with two parameters, of which a derivative needs both."""

    def value(xp, z, alpha=1.0, beta=2.0):
        return xp.where(z > 0.0, z, alpha * xp.expm1(beta * xp.minimum(z, 0.0)))

    def d_alpha(z, a, *, alpha, beta):
        return np.where(z > 0.0, 0.0, np.expm1(beta * np.minimum(z, 0.0)))

    slope = lambda z, a: np.where(z > 0.0, 1.0, 2.0 * np.exp(2.0 * np.minimum(z, 0.0)))  # noqa: E731
    return Activation("both", value, slope, kinks=(0.0,), parameters={"alpha": d_alpha, "beta": d_beta})


def d_inner(z, a, *, alpha, beta):
    return alpha * np.minimum(z, 0.0) * np.exp(beta * np.minimum(z, 0.0))


def capped(d_top, **kinks):
    return Activation(
        "capped",
        lambda xp, z, top=6.0: xp.minimum(xp.maximum(z, 0.0), top),
        lambda z, a: np.where((z > 0.0) & (z < 6.0), 1.0, 0.0),
        kinks=(0.0, 6.0),
        parameters={"top": d_top},
        **kinks,
    )


def at(name, *values):
    return {f"d/d{name}", *(f"d/d{name} at {name} = {value:g}" for value in values)}


BETA, ALPHA = at("beta", 0.375, 6.0), at("alpha", 0.5, 8.0)
SLOPE = {"slope at beta = 0.375", "slope at beta = 6"}

CLAIMS = {  # the record, the outliers, the place of a finding, and the bug with its data
    "curvature": (tanh_curved(1.0), set(), "", None, {}),
    "curvature, times 1.05": (tanh_curved(1.05), {"curvature"}, "f''(", Kind.FACTOR, {"factor": 1.05}),
    "curvature, with a kink of its own": (
        of(
            "elu",
            lambda z, a: np.where(z > 0.0, 1.0, a + 1.0),
            curvature=lambda z, a: np.where(z > 0.0, 0.0, a + 1.0),
        ),
        set(),
        "",
        None,
        {},
    ),
    "β": (swish(parameters={"beta": d_beta}), set(), "", None, {}),
    "β, from a": (swish(parameters={"beta": lambda z, a, beta: a * (z - a)}), set(), "", None, {}),
    "β, minus": (swish(parameters={"beta": lambda z, a, beta: -d_beta(z, a, beta)}), BETA, "da/dbeta(", Kind.SIGN, {}),
    "β, zero below -4": (
        swish(parameters={"beta": lambda z, a, beta: np.where(z < -4.0, 0.0, d_beta(z, a, beta))}),
        BETA,
        "da/dbeta(",
        Kind.ZERO,
        {},
    ),
    "β, its usual value written out": (
        swish(parameters={"beta": lambda z, a, beta: d_beta(z, a, 1.5)}),
        BETA - {"d/dbeta"},
        "da/dbeta(",
        None,
        {},
    ),
    "a slope of β": (swish(swish_of_beta, parameters={"beta": d_beta}), set(), "", None, {}),
    "a slope of β, its usual value written out": (
        swish(swish_of_its_usual_beta, parameters={"beta": d_beta}),
        SLOPE,
        "f'(",
        Kind.PRODUCT_RULE,
        {},
    ),
    "α": (celu(1.0), set(), "", None, {}),
    "α, times 1.001": (celu(1.001), ALPHA, "da/dalpha(", Kind.FACTOR, {"factor": 1.001}),
    "two": (both(d_inner), set(), "", None, {}),
    "two, without the other": (
        both(lambda z, a, *, alpha, beta: d_inner(z, a, alpha=1.0, beta=beta)),
        {"d/dbeta at beta = 0.5, alpha = 4", "d/dbeta at beta = 8, alpha = 0.25"},
        "da/dbeta(",
        Kind.FACTOR,
        {},
    ),
    "a kink": (capped(lambda z, a, top: np.where(z > top, 1.0, 0.0)), set(), "", None, {}),
    "a kink of its own": (
        capped(lambda z, a, top: np.where(z > top, 1.0, 0.0), parameter_kinks={"top": (6.0,)}),
        set(),
        "",
        None,
        {},
    ),
}


@pytest.mark.parametrize(("f", "outliers", "place", "kind", "data"), CLAIMS.values(), ids=list(CLAIMS))
def test_a_claim_beside_the_slope_is_judged_in_its_own_names(f, outliers, place, kind, data):
    report = check_activation(f)
    assert (report.verdict, set(report.outliers)) == ("disagree" if outliers else "agree", outliers), f"\n{report}"
    assert {finding.source for finding in report.findings} == outliers
    for finding in report.findings:
        assert finding.where.startswith(place)
        assert [fact.kind for fact in finding.diagnosis[:1]] == [kind] * (kind is not None)
        assert {name: finding.diagnosis[0].data[name] for name in data} == pytest.approx(data)
    agreeing = {fact.where[0] for fact in facts_of(report, Kind.PART_RIGHT)}
    claims = {name for name in report.details if name == "curvature" or name.startswith(("d/d", "slope at"))}
    assert agreeing == claims - outliers


def test_a_kink_of_a_parameter_that_nobody_declares_is_a_doubt():
    report = check_activation(capped(lambda z, a, top: np.where(z > top, 1.0, 0.0), parameter_kinks={"top": ()}))
    (doubt,) = facts_of(report, Kind.UNDECLARED_KINK)
    assert (report.verdict, doubt.where, doubt.data["part"]) == ("inconclusive", ("z = 6",), "derivative in top")
    with pytest.raises(ValueError, match="parameter_kinks has 'alpha', which is not in parameters"):
        swish(parameter_kinks={"alpha": (0.0,)})


def test_a_parameter_without_a_usual_value_is_refused_with_what_to_write():
    f = Activation("swish", lambda xp, z, **_: z, lambda z, a: np.ones_like(z), parameters={"beta": d_beta})
    with pytest.raises(ValueError, match="keyword 'beta' with a number by default, as in value=lambda xp, z, beta=1"):
        check_activation(f)


def test_without_a_claim_the_second_derivative_is_reported():
    report = check_activation("tanh", order=2)
    values = dict(zip(report.details["order 2"]["z"], report.details["order 2"]["second derivative"]))
    assert report.verdict == "agree"
    assert values[0.3] == pytest.approx(-2.0 * math.tanh(0.3) / math.cosh(0.3) ** 2)
    (fact,) = facts_of(report, Kind.SECOND_DERIVATIVE)
    assert fact.data["largest"] == pytest.approx(4.0 / 27.0**0.5, rel=1e-3)
    with pytest.raises(ValueError, match="order must be 1 or 2, not 3"):
        check_activation("tanh", order=3)


@pytest.mark.parametrize(("surrogate", "verdict"), [(True, "agree"), (False, "disagree")])
def test_a_surrogate_is_reported_and_not_accused(surrogate, verdict):
    spike = formula(
        lambda xp, z: xp.where(z > 0.0, 1.0, 0.0 * z),
        lambda z, a: 1.0 / np.square(1.0 + np.abs(z)),
        kinks=(0.0,),
        surrogate=surrogate,
    )
    report = check_activation(spike)
    assert (report.verdict, CLAIMED in report.outliers) == (verdict, not surrogate)
    assert (Kind.SURROGATE in report.kinds) == surrogate


def test_a_surrogate_that_would_break_a_network_is_wrong_all_the_same():
    f = of("tanh", lambda z, a: (2.0 - a * a).reshape(-1), surrogate=True)
    assert check_activation(f).verdict == "disagree"
