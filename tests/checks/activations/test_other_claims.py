"""Claims beside the slope, slopes that are none on purpose, lost tails, and first tries that need another line."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from activation_records import formula, of, sigma
from scipy.special import expit

from harness import ACTIVATIONS, Activation, check_activation
from harness.checks.activations.slope_answers import CLAIMED


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


TANH_CURVATURE = (lambda z, a: -2.0 * a * (1.0 - a * a)), (lambda z, a: 2.0 * a * (1.0 - a * a))


@pytest.mark.parametrize(("curvature", "verdict"), list(zip(TANH_CURVATURE, ("agree", "disagree"))))
def test_a_claimed_second_derivative_is_judged(curvature, verdict):
    report = check_activation(of("tanh", lambda z, a: 1.0 - a * a, curvature=curvature))
    assert report.verdict == report.details["curvature"]["verdict"] == verdict
    assert report.outliers == (("curvature",) if verdict == "disagree" else ())
    assert [finding.source for finding in report.findings] == list(report.outliers)


def test_a_wrong_curvature_is_told_as_one():
    report = check_activation(of("tanh", lambda z, a: 1.0 - a * a, curvature=lambda z, a: -2.1 * a * (1.0 - a * a)))
    (finding,) = report.findings
    assert finding.where.startswith("f''(")
    assert finding.diagnosis == "likely: what is claimed is 1.05 times the curvature"


def test_what_is_wrong_in_a_parameter_is_told_by_its_name():
    report = check_activation(swish(parameters={"beta": lambda z, a, beta: beta * d_beta(z, a, beta)}))
    assert len(report.findings) == 4
    assert {finding.diagnosis for finding in report.findings} == {"likely: the factor beta is too much"}


@pytest.mark.parametrize(
    ("derivative", "verdict"), [(d_beta, "agree"), (lambda z, a, beta: 1.1 * d_beta(z, a, beta), "disagree")]
)
def test_derivatives_in_a_parameter_are_judged(derivative, verdict):
    report = check_activation(swish(parameters={"beta": derivative}))
    assert report.verdict == verdict, f"\n{report}"
    assert all(name.startswith("d/dbeta at z = ") for name in report.outliers)


def _celu(xp, z, alpha=2.0):
    return xp.where(z > 0.0, z, alpha * xp.expm1(xp.where(z > 0.0, 0.0, z) / alpha))


def _celu_slope(z, a):
    return np.where(z > 0.0, 1.0, np.exp(0.5 * np.minimum(z, 0.0)))


def _d_alpha(z, a, alpha):
    below = np.minimum(z, 0.0) / alpha
    return np.expm1(below) - below * np.exp(below)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "agree"), (1.001, "disagree")])
def test_a_parameter_is_looked_at_near_its_usual_value(factor, verdict):
    """celu divides by α, so that α = 0 says nothing of its record."""
    derivative = {"alpha": lambda z, a, alpha: factor * _d_alpha(z, a, alpha)}
    report = check_activation(Activation("celu", _celu, _celu_slope, parameters=derivative))
    assert report.verdict == verdict, f"\n{report}"
    for finding in report.findings:
        assert finding.where.startswith("da/dalpha(")
        assert all("alpha" in block for block in finding.blocks)
        assert finding.source in {"d/dalpha at z = -2.5", "d/dalpha at z = -0.5"}  # above zero, α does nothing


def test_a_parameter_without_a_usual_value_is_refused_with_what_to_write():
    f = Activation("swish", lambda xp, z, **_: z, lambda z, a: np.ones_like(z), parameters={"beta": d_beta})
    with pytest.raises(ValueError, match="keyword 'beta' with a number by default, as in value=lambda xp, z, beta=1"):
        check_activation(f)


def test_without_a_claim_the_second_derivative_is_reported():
    report = check_activation("tanh", order=2)
    values = dict(zip(report.details["order 2"]["z"], report.details["order 2"]["second derivative"]))
    assert report.verdict == "agree"
    assert values[0.3] == pytest.approx(-2.0 * math.tanh(0.3) / math.cosh(0.3) ** 2)
    assert any("second derivative: at most 0.7" in note for note in report.notes)
    with pytest.raises(ValueError, match="order must be 1 or 2, not 3"):
        check_activation("tanh", order=3)


@pytest.mark.parametrize(("surrogate", "verdict"), [(True, "agree"), (False, "disagree")])
def test_a_surrogate_is_reported_and_not_accused(surrogate, verdict):
    spike = Activation(
        "spike",
        lambda xp, z: xp.where(z > 0.0, 1.0, 0.0 * z),
        lambda z, a: 1.0 / np.square(1.0 + np.abs(z)),
        kinks=(0.0,),
        surrogate=surrogate,
    )
    report = check_activation(spike)
    assert (report.verdict, CLAIMED in report.outliers) == (verdict, not surrogate)
    assert any("a surrogate, and not the derivative" in note for note in report.notes) == surrogate


def test_a_lost_tail_is_told_and_not_judged():
    lost = check_activation(of("sigmoid", lambda z, a: a * (1.0 - a)))
    assert lost.verdict == "agree"
    starts = [float(line.split("z = ")[1].split(" ")[0]) for line in lost.details["lost_tails"]]
    assert starts == [pytest.approx(-37.0, abs=2.0), pytest.approx(37.0, abs=2.0)]
    kept = check_activation("sigmoid")
    assert kept.details["lost_tails"] == []
    assert all(row["largest"] < 20.0 for row in kept.details["ulps"])
    assert max(row["largest"] for row in lost.details["ulps"]) > 1e12


def test_what_is_wrong_has_not_lost_its_digits_to_rounding():
    tanh = ACTIVATIONS["tanh"]
    wrong = Activation("wrong", lambda xp, z: z * xp.tanh(z), lambda z, a: np.tanh(z) + z * (1.0 - np.tanh(z)))
    beyond = Activation("beyond", tanh.value, lambda z, a: np.where(np.abs(z) > 8.0, 1.0, tanh.slope(z, a)))
    for f in (wrong, beyond):
        report = check_activation(f)
        assert (report.verdict, report.details["lost_tails"]) == ("disagree", [])


def _in_place(xp, z):
    a = z + 0.0
    a[a < 0.0] = 0.0
    return a


WRITE_INSTEAD = {
    "np for xp": (lambda xp, z: np.tanh(z), lambda z, a: 1.0 - a * a, "write xp.tanh(z) for np.tanh(z)"),
    "scipy.special": (lambda xp, z: expit(z), lambda z, a: a * (1.0 - a), "for functions of scipy.special"),
    "a mask": (_in_place, lambda z, a: (a > 0.0) * 1.0, "write xp.where(condition, new, a)"),
    "piecewise": (
        lambda xp, z: np.piecewise(z, [z > 0.0], [lambda x: x, 0.0]),
        lambda z, a: (a > 0.0) * 1.0,
        "write xp.",
    ),
}


@pytest.mark.parametrize(("value", "slope", "advice"), WRITE_INSTEAD.values(), ids=list(WRITE_INSTEAD))
def test_a_first_try_gets_its_verdict_and_the_line_to_write_instead(value, slope, advice):
    f = formula(value, slope, kinks=(0.0,) if "> 0" in str(advice) or value is _in_place else ())
    report = check_activation(f)
    assert report.verdict in ("agree", "inconclusive")
    assert not report.outliers
    assert advice in report.left_out["jax"]
    assert check_activation(formula(value, lambda z, a: 2.0 * slope(z, a) + 0.1)).outliers == (CLAIMED,)


@pytest.mark.parametrize(
    ("value", "slope", "advice"),
    [
        (lambda xp, z: z if z > 0.0 else 0.0, lambda z, a: a, "write xp.where(z > 0, ..., ...)"),
        (lambda xp, z: math.tanh(z), lambda z, a: a, "write xp.exp(z) for math.exp(z)"),
        (lambda xp, z: xp.tanh(z), lambda z, a: 1.0 if z > 0.0 else 0.0, "write xp.where(z > 0, ..., ...)"),
        (lambda xp, z: xp.tanh(z).astype("float32"), lambda z, a: 1.0 - a * a, "came back as float32"),
    ],
)
def test_what_cannot_run_on_arrays_at_all_gets_one_sentence(value, slope, advice):
    with pytest.raises((ValueError, TypeError)) as raised:
        check_activation(formula(value, slope))
    assert advice in str(raised.value)


def test_a_formula_that_is_a_function_of_jax_runs_in_float64():
    """In float32 it would have kinks all over."""
    report = check_activation(formula(lambda xp, z: jnp.tanh(z), lambda z, a: 1.0 - a * a))
    assert (report.verdict, report.details["kinks"]) == ("agree", []), f"\n{report}"
