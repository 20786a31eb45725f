"""Claims beside the slope: a curvature, derivatives in parameters, and slopes that are none on purpose."""

import math

import numpy as np
import pytest
from activation_records import facts_of, formula, of, sigma, tanh_to

from harness import Activation, check_activation
from harness.checks.activations.slope_answers import CLAIMED
from harness.facts.kinds import Kind


def swish(**keywords):
    def value(xp, z, beta=1.5):
        return z * (0.5 + 0.5 * xp.tanh(0.5 * beta * z))

    def slope(z, a):
        s = sigma(1.5 * z)
        return s + 1.5 * z * s * (1.0 - s)

    return Activation("swish", value, slope, **keywords)


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


BETA, ALPHA = ({f"d/d{name} at z = {z:g}" for z in (-2.5, -0.5, 0.75, 3.0)} for name in ("beta", "alpha"))

CLAIMS = {  # the record, the outliers, the place of a finding, and the bug with its data
    "curvature": (tanh_curved(1.0), set(), "", None, {}),
    "curvature, times 1.05": (tanh_curved(1.05), {"curvature"}, "f''(", Kind.FACTOR, {"factor": 1.05}),
    "β": (swish(parameters={"beta": d_beta}), set(), "", None, {}),
    "β, a factor β too much": (
        swish(parameters={"beta": lambda z, a, beta: beta * d_beta(z, a, beta)}),
        BETA,
        "da/dbeta(",
        Kind.CHAIN_RULE,
        {"factor": "beta", "missing": False},
    ),
    "α": (celu(1.0), set(), "", None, {}),
    "α, times 1.001": (
        celu(1.001),
        {"d/dalpha at z = -2.5", "d/dalpha at z = -0.5"},  # above zero, α does nothing
        "da/dalpha(",
        Kind.FACTOR,
        {"factor": 1.001},
    ),
}


@pytest.mark.parametrize(("f", "outliers", "place", "kind", "data"), CLAIMS.values(), ids=list(CLAIMS))
def test_a_claim_beside_the_slope_is_judged_in_its_own_names(f, outliers, place, kind, data):
    report = check_activation(f)
    assert (report.verdict, set(report.outliers)) == ("disagree" if outliers else "agree", outliers), f"\n{report}"
    assert {finding.source for finding in report.findings} == outliers
    for finding in report.findings:
        assert finding.where.startswith(place)
        variable = place.removeprefix("da/d").removesuffix("(") if place.startswith("da/") else "z"
        assert all(variable in block for block in finding.blocks)
        assert finding.diagnosis[0].kind == kind
        assert {name: finding.diagnosis[0].data[name] for name in data} == pytest.approx(data)
    agreeing = {fact.where[0] for fact in facts_of(report, Kind.PART_AGREES)}
    assert agreeing == set(report.details) & ({"curvature"} | BETA | ALPHA) - outliers


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
