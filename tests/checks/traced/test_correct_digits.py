"""How many digits a derivative keeps, which is no verdict unless the formula of its rule has lost them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts, sampled

from harness import check_derivatives
from harness.facts.kinds import Kind


def at(x):
    return np.array([x])


def ulps_of(report):
    (row,) = (row for row in report.sources if row.name == "reverse")
    assert row.ulps is not None
    return row.ulps


LOST = {
    "the tail of the sigmoid": (jax.nn.sigmoid, at(40.0)),
    "the tail of the sigmoid in float32": (jax.nn.sigmoid, np.array([20.0], np.float32)),
    "the tail of tanh": (jnp.tanh, at(30.0)),
    "the tail of elu": (jax.nn.elu, at(-50.0)),
    "the tail beside an ordinary entry": (lambda x: jnp.sum(jax.nn.sigmoid(x)), np.array([40.0, 0.3])),
}


@pytest.mark.parametrize("name", sampled(LOST))
def test_lost_digits_within_the_bound_are_a_note_and_no_verdict(name):
    report = check_derivatives(*LOST[name])
    assert report.verdict == "agree", report
    (lost, *_) = facts(report, Kind.NO_CORRECT_DIGIT)
    assert abs(lost.data["reported"] - lost.data["true"]) > 0.1 * abs(lost.data["true"])
    assert ulps_of(report)[1] > 1e5


def test_the_true_error_is_reported_in_ulps():
    report = check_derivatives(jax.nn.sigmoid, at(40.0))
    true = float(np.exp(-40.0))  # to the last digit but one
    median, largest = ulps_of(report)
    assert median == largest == pytest.approx(true / np.spacing(true), rel=1e-6)


def test_no_digits_are_lost_where_there_is_no_derivative():
    report = check_derivatives(lambda a: jnp.linalg.svd(a, compute_uv=False)[1], np.outer([1.0, 2.0], [1.0, -1.0]))
    assert report.verdict == "inconclusive"
    assert Kind.NO_CORRECT_DIGIT not in report.kinds, report


@pytest.mark.parametrize(
    ("factor", "verdict", "by"),
    [(3.0, "agree", ["rounding"]), (2.95, "inconclusive", ["formula"]), (2.9, "disagree", [])],
)
def test_what_a_formula_has_wrong_is_not_lost_to_rounding(factor, verdict, by):
    curve = jax.custom_jvp(lambda x: x**3 - x)
    curve.defjvp(lambda x, t: (curve(*x), (factor * x[0] ** 2 - 1.0) * t[0]))
    report = check_derivatives(curve, jnp.array([0.6, 2.0] if factor < 3.0 else [0.578, 2.0], jnp.bfloat16))
    assert report.verdict == verdict, report
    assert list(dict.fromkeys(fact.data["by"] for fact in facts(report, Kind.NO_CORRECT_DIGIT))) == by
