"""Many inputs: one reverse pass in float64 is compared in all of them, and increments vouch for it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts
from programs import run_python

from harness import check_derivatives
from harness.checks.traced import derivative_comparison, reported_derivatives
from harness.facts.kinds import Kind

SIZE = 3000
W = np.random.default_rng(0).normal(size=SIZE)


def with_errors(errors):
    """A sum of sines whose rule is off in some entries, by index."""
    f = jax.custom_vjp(lambda x: jnp.sum(jnp.sin(x) * W.astype(x.dtype)))

    def backward(x, g):
        right = g * jnp.cos(x) * W.astype(x.dtype)
        for i, off in errors.items():
            right = right.at[i].add(off)
        return (right,)

    f.defvjp(lambda x: (f(x), x), backward)
    return f


@pytest.mark.parametrize(("dtype", "off"), [("float64", 1e-12), ("float32", 1e-4), ("bfloat16", 1.0)])
def test_a_small_error_of_a_single_entry_is_found(dtype, off):
    x = np.linspace(-1.0, 1.0, SIZE).astype(jnp.dtype(dtype))
    report = check_derivatives(with_errors({1234: off}), x)
    assert [finding.where for finding in report.findings] == ["x[1234]"]
    assert check_derivatives(with_errors({}), x).verdict == "agree"


def test_rounding_of_large_entries_hides_no_error_of_a_small_one():
    """A few of the terms are a thousandth as large, and all are noisy."""
    shares = np.where(np.arange(SIZE) < 50, 1e-3, 1.0).astype(np.float32)
    keep = jax.custom_vjp(lambda x: 1.0 * x)
    keep.defvjp(lambda x: (1.0 * x, None), lambda _, g: (g.at[3].multiply(1.02),))
    terms = lambda x: jnp.sum(jnp.tanh(3.0 * jnp.sin(300.0 * x)) * shares)  # noqa: E731
    x = W.astype(np.float32)
    assert [finding.where for finding in check_derivatives(lambda x: terms(keep(x)), x).findings] == ["x[3]"]
    assert check_derivatives(terms, x).verdict == "agree"


@pytest.mark.parametrize(("share", "verdict"), [(2.0, "agree"), (0.0, "disagree")])
def test_one_large_entry_hides_no_others_whose_rule_misses_a_term(share, verdict):
    f = jax.custom_vjp(lambda x: 1.0 / x + x**2)
    f.defvjp(lambda x: (f(x), x), lambda x, g: (g * (share * x - 1.0 / x**2),))
    x = np.where(np.arange(SIZE) == 7, 1e-4, 2.0 + np.abs(W)).astype(np.float32)
    assert check_derivatives(lambda x: jnp.sum(f(x)), x).verdict == verdict


@pytest.mark.parametrize(("slope", "verdict"), [(0.01, "agree"), (0.0, "disagree")])
def test_small_slopes_of_many_inputs_are_decided_in_bfloat16(slope, verdict):
    leaky = jax.custom_vjp(lambda x: jnp.where(x > 0.0, x * x, 0.01 * x))
    leaky.defvjp(
        lambda x: (leaky(x), x), lambda x, g: (jnp.where(x > 0.0, 2.0 * x * g, jnp.asarray(slope, x.dtype) * g),)
    )
    report = check_derivatives(lambda x: jnp.sum(leaky(x)), jnp.asarray(W, "bfloat16"))
    assert report.verdict == verdict, report
    assert report.decided_share == 1.0 or verdict == "disagree"


def test_errors_that_cancel_along_every_sum_are_found():
    report = check_derivatives(with_errors({7: 0.1, 8: -0.1}), np.zeros(SIZE))
    assert report.findings[0].coordinates == 2


def test_all_inputs_are_decided_and_what_would_have_shown_holds_for_all():
    x = jnp.asarray(np.linspace(-1.0, 1.0, SIZE), "float32")
    report = check_derivatives(with_errors({}), x)
    assert report.decided_share == 1.0
    assert facts(report, Kind.MANY_INPUTS)[0].data["by_reverse_pass"]
    worst = report.smallest_visible[1]
    assert worst < 1e-4
    assert check_derivatives(with_errors({2345: 2.0 * worst}), x).verdict == "disagree"


def outside(x):
    """A square by NumPy, which JAX cannot differentiate."""
    return jax.pure_callback(lambda x: np.square(np.asarray(x)), jax.ShapeDtypeStruct((), x.dtype), x)


called = jax.custom_vjp(outside)
called.defvjp(lambda x: (outside(x), x), lambda x, g: (2.0 * g * x,))


def test_without_a_reverse_pass_what_was_not_examined_is_not_decided():
    report = check_derivatives(lambda x: jnp.sum(jnp.sin(x)) + called(x[0]), np.linspace(-1.0, 1.0, 1200))
    (fact,) = facts(report, Kind.MANY_INPUTS)
    assert (fact.data["by_reverse_pass"], report.verdict) == (False, "agree")
    assert report.decided_share == fact.data["examined"] / 1200
    assert report.smallest_visible[1] >= fact.data["visible"] > 0.0


def test_a_reverse_pass_that_increments_contradict_is_not_used(monkeypatch):
    monkeypatch.setattr(derivative_comparison, "gradient_by_primals", lambda case, weights: np.ones(case.inputs.size))
    report = check_derivatives(with_errors({}), np.linspace(-1.0, 1.0, SIZE))
    assert report.verdict == "agree", report
    assert not facts(report, Kind.MANY_INPUTS)[0].data["by_reverse_pass"]
    assert report.subject["looked at one by one"] >= 64


def test_a_wrong_rule_of_many_inputs_is_looked_at_once_in_its_own_precision(monkeypatch):
    look, looks = derivative_comparison.look_at_inputs, []
    monkeypatch.setattr(derivative_comparison, "look_at_inputs", lambda *given: (looks.append(0), look(*given))[1])
    monkeypatch.setattr(reported_derivatives, "evaluate_in_float64", pytest.fail)
    x = np.linspace(-1.0, 1.0, SIZE).astype(np.float32)
    report = check_derivatives(with_errors({1234: 1e-2}), x)
    assert [finding.where for finding in report.findings] == ["x[1234]"]
    (rule,) = report.details["culprits"]
    assert (rule["explains"], "test_many_inputs.py:" in rule["where"]) == (True, True)
    assert len(looks) == 2  # at f, and at f with the primal in the place of the rule


def test_roundings_within_that_are_larger_than_those_of_the_arguments_are_no_error():
    """A zero is not rounded, and the sine's argument is."""
    start = W.astype(np.float32)
    report = check_derivatives(lambda x: jnp.sum(jnp.sin(300.0 * (x + start))), np.zeros(SIZE, np.float32))
    assert report.verdict == "agree", report


WIDE = """
import resource, sys
import jax, jax.numpy as jnp
from harness import check_derivatives

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

layers = [jax.random.normal(jax.random.key(i), (1024, 1024)) / 32.0 for i in range(2)]
x, start = jnp.ones((16, 1024)), peak()
report = check_derivatives(lambda layers: jnp.mean(jnp.tanh(jnp.tanh(x @ layers[0]) @ layers[1]) ** 2), layers)
print(report.verdict, (peak() - start) / (2 * 1024**2))
"""

MOST_BYTES = 170.0
"""Of memory for each parameter in float32, at the peak: 132 are measured, and 248 where formulas are computed whole."""


@pytest.mark.more
def test_a_check_of_millions_of_parameters_holds_few_arrays_of_their_size():
    code, out, err = run_python("-c", WIDE)
    assert code == 0, err
    verdict, bytes_each = out.split()
    assert (verdict, float(bytes_each) < MOST_BYTES) == ("agree", True), out
