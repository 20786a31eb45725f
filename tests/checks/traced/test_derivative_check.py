"""check_derivatives: one table of functions, right and wrong, with their verdicts and the kinds of facts found."""

import itertools
from contextlib import contextmanager
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts, rule, steep_hypot
from jax.custom_derivatives import linear_call
from own_rules import with_vmap

from harness import assert_derivatives_agree, check_derivatives
from harness.checks.traced import derivative_check
from harness.facts.kinds import Kind
from reference.traced.primitives import PRIMITIVES

rng = np.random.default_rng(0)
X = rng.normal(size=5)
A = rng.normal(size=(4, 4))
POSITIVE = A @ A.T + 4.0 * np.eye(4)
BF16 = jnp.bfloat16
AGREE, DISAGREE, INCONCLUSIVE = "agree", "disagree", "inconclusive"


def stateful(x):
    return x * np.random.default_rng().normal()


def counted(x):
    shape = jax.ShapeDtypeStruct((), X.dtype)
    return jnp.sum(x) * jax.pure_callback(lambda: np.asarray(float(next(COUNT))), shape)


COUNT = itertools.count()


def changing(x, n):
    n += 1
    return x * n


def looping(x):
    return jax.lax.while_loop(lambda y: jnp.sum(y) < 10.0, lambda y: 1.5 * y, x**2)


def printing(x):
    jax.debug.callback(lambda _: None, x)
    return jnp.sin(x)


def by_log(x):
    return jnp.where(x > 0.0, x * jnp.log(jnp.where(x > 0.0, x, 1.0)), 0.0)


def switching(x):
    return jax.lax.switch((x[0] >= 0.0).astype(int), [lambda x: x, lambda x: x + 1.0], x)


def guarded_norm(x):
    squares = jnp.sum(x * x)
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


mapped = with_vmap("mapped", lambda x: jnp.sin(x) * x, lambda size, are_mapped, x: (jnp.sin(x) * x, are_mapped[0]))


ZEROS = np.zeros(2)
CASES = {
    # right functions
    "layer": (lambda p, x: jax.nn.gelu(x @ p["kernel"] + p["bias"]), ({"kernel": A, "bias": A[0]}, A[1]), AGREE, ()),
    "kink between both sides": (lambda x: jax.nn.relu(x - x[0]), (X,), AGREE, ()),
    "scan": (lambda x: jax.lax.scan(lambda c, t: (jnp.tanh(c * t + x[0]), c), x[1], x), (X,), AGREE, ()),
    "float32": (lambda x: jnp.sum(jnp.sin(x) ** 2), (X.astype(np.float32),), AGREE, ()),
    "mapped by a rule, in float32": (mapped, (X.astype(np.float32),), AGREE, ()),
    "a linear function, in float32": (
        lambda x: linear_call(lambda a, v: a * v, lambda a, g: a * g, X.astype("f"), jnp.sin(x)), (X.astype("f"),),
        AGREE, (),
    ),
    "bfloat16": (lambda x: jnp.sin(x) * x, (jnp.asarray(X, BF16),), AGREE, (Kind.FLOAT64_EVALUATION,)),
    "complex": (lambda z: jnp.abs(jnp.fft.fft(z)) ** 2, (X + 1j * X[::-1],), AGREE, (Kind.COMPLEX_CONVENTION,)),
    "a Python number": (lambda x: x * x, (3.0,), AGREE, ()),
    "an argument that is empty": (lambda x, e: jnp.sum(x**2) + jnp.sum(e), (X, np.zeros((0, 3))), AGREE, ()),
    "a kink that is seen from one side": (lambda x: jnp.where(x >= 0.0, 2.0 * x, x), (ZEROS,), AGREE, (Kind.KINK,)),
    "a kink by an index": (lambda x: x * jnp.asarray(X)[(x >= 0.0).astype(int)], (ZEROS,), AGREE, (Kind.KINK,)),
    "what is printed": (printing, (X,), AGREE, (Kind.CALLBACK,)),
    "nothing but a kink": (guarded_norm, (np.zeros(2, np.float32),), AGREE, (Kind.KINK,)),
    # wrong rules
    "1e-9 in one term": (
        rule(lambda x: jnp.sin(x) * x, lambda x, g: g * (jnp.cos(x) * x * (1 + 1e-9) + jnp.sin(x))), (X,), DISAGREE,
        (Kind.WRONG_RULE, Kind.MODE_MISSING),
    ),
    "dropped cotangent": (rule(jnp.sin, lambda x, g: jnp.cos(x)), (X,), DISAGREE, (Kind.COTANGENT_POWER,)),
    "sum for mean": (rule(jnp.mean, lambda x, g: g * jnp.ones_like(x)), (X,), DISAGREE, (Kind.FACTOR,)),
    "clip as identity": (rule(lambda x: jnp.clip(x, -0.1, 0.1), lambda x, g: g), (X,), DISAGREE, ()),
    "NaN": (rule(jnp.sin, lambda x, g: g * jnp.nan), (X,), DISAGREE, (Kind.NOT_FINITE,)),
    "a row beside one 1e15 times as large": (
        rule(lambda x: jnp.array([1e15, 1.0]) * jnp.sin(x), lambda x, g: g * jnp.array([1e15, 2.0]) * jnp.cos(x)),
        (X[:2],), DISAGREE, (Kind.WRONG_RULE,),
    ),
    # what f does beside its value
    "a state of its own": (stateful, (X,), DISAGREE, (Kind.NOT_REPEATABLE,)),
    "a state of a callback": (counted, (X,), DISAGREE, (Kind.NOT_REPEATABLE, Kind.NO_SLOPE)),
    "a state of a callback within jit": (jax.jit(counted), (X,), DISAGREE, (Kind.NOT_REPEATABLE,)),
    "an argument changed in place": (changing, (X, np.arange(5)), DISAGREE, (Kind.ARGUMENT_CHANGED,)),
    # what cannot be decided
    "outside of the domain": (jnp.log, (np.array([1.0, -1.0]),), INCONCLUSIVE, (Kind.VALUE_NOT_FINITE,)),
    "zero times NaN is NaN": (jnp.arcsin, (np.array([0.5, 1.2]),), INCONCLUSIVE, (Kind.VALUE_NOT_FINITE,)),
    "squares overflow": (jnp.linalg.norm, (np.array([3e200, 4e200]),), INCONCLUSIVE, (Kind.VALUE_NOT_FINITE,)),
    "at a jump": (jnp.floor, (np.array([1.0, 0.5]),), INCONCLUSIVE, (Kind.NO_SLOPE,)),
    "where a count changes": (lambda x: jnp.sum(x >= 0.0) + 0.0 * x, (ZEROS,), INCONCLUSIVE, (Kind.NO_SLOPE,)),
    "a kink along both together": (
        rule(lambda x: jnp.sqrt(jnp.abs(jnp.prod(x))), lambda x, g: jnp.zeros(2)), (ZEROS,), INCONCLUSIVE,
        (Kind.NO_SLOPE,),
    ),
    "a median that no rule moves": (
        rule(lambda x: jnp.sort(x)[1], lambda x, g: jnp.zeros(3)), (np.ones(3),), INCONCLUSIVE, (Kind.NO_SLOPE,),
    ),
    "a slope without a limit": (jnp.cbrt, (0.0,), INCONCLUSIVE, (Kind.NO_SLOPE,)),
    "a slope that grows like a logarithm": (by_log, (np.zeros(1),), INCONCLUSIVE, (Kind.NO_SLOPE,)),
    "too small for any step": (
        rule(lambda x: 1e-240 * jnp.sin(x), lambda x, g: g * 2e-240 * jnp.cos(x)), (X,), INCONCLUSIVE, (),
    ),
    # what f does not depend on
    "detached": (
        lambda x, y: jnp.sum(X**2), (X, X), AGREE, (Kind.UNUSED_ARGUMENT, Kind.ZERO_DERIVATIVE),
    ),
    "a constant beside one that counts": (lambda x, y: jnp.sum(y), (X, X), AGREE, (Kind.UNUSED_ARGUMENT,)),
    "passed on to what ignores it": (
        lambda x, y: jax.jit(lambda a, b: jnp.sin(b))(x, y), (X, X), AGREE, (Kind.UNUSED_ARGUMENT,),
    ),
    "many, of no effect": (lambda x: jnp.sum(0.0 * x), (np.linspace(-1, 1, 1200),), AGREE, (Kind.ZERO_DERIVATIVE,)),
    "many, in forward mode alone": (looping, (np.linspace(0.1, 1, 1200),), INCONCLUSIVE, (Kind.NOTHING_TO_DECIDE,)),
    "NaN was given": (lambda x, y: x["a"] * y, ({"a": np.array([1.0, np.nan])}, 2.0), INCONCLUSIVE, (Kind.NAN_GIVEN,)),
}  # fmt: skip
"""A function, its arguments, the verdict, and kinds of facts that are found."""

EXCLUSIVE = (
    Kind.UNUSED_ARGUMENT, Kind.NOTHING_CHECKED, Kind.ZERO_DERIVATIVE, Kind.CALLBACK, Kind.NAN_GIVEN, Kind.NO_SLOPE,
    Kind.BLACK_BOX,
)  # fmt: skip
"""Kinds that are found where the table says so, and nowhere else."""


@pytest.mark.parametrize("name", CASES)
def test_verdicts_and_kinds(name):
    f, args, verdict, kinds = CASES[name]
    report = check_derivatives(f, *args)
    assert report.verdict == verdict, report
    assert set(kinds) <= report.kinds, report
    assert not set(EXCLUSIVE) & (report.kinds - set(kinds)), report
    assert verdict != AGREE or report.decided_share == 1.0
    assert all(len(set(finding.diagnosis)) == len(finding.diagnosis) for finding in report.findings), report
    if Kind.WRONG_RULE in report.kinds:
        assert report.outliers == ("reverse",)


def test_the_assertion_says_what_the_report_says():
    with pytest.raises(AssertionError, match="derivatives do not agree"):
        assert_derivatives_agree(*(CASES["dropped cotangent"][:1]), X)


@pytest.mark.parametrize(
    ("error", "accuracy", "verdict"), [(3e-7, 0.0, "disagree"), (3e-7, 1e-6, "agree"), (3e-5, 1e-6, "disagree")]
)
def test_errors_of_a_rule_below_an_accuracy_are_accepted_and_reported(error, accuracy, verdict):
    sine = jax.custom_jvp(jnp.sin)
    sine.defjvp(lambda at, along: (jnp.sin(*at), along[0] * (jnp.cos(*at) + error)))
    report = check_derivatives(lambda x: jnp.sum(sine(x) ** 2), np.linspace(0.1, 1.0, 3), accuracy=accuracy)
    told = [fact.data for fact in facts(report, Kind.ACCURACY)]
    assert (report.verdict, len(told)) == (verdict, 2 if verdict == "agree" else 0)
    # both modes have the error, so that it shows beside the increments alone
    assert all(data["is_needed"] and 1e-7 < data["largest"] < 1e-6 for data in told)


def test_leaves_are_named_by_their_paths():
    wrong = rule(lambda x: x * x, lambda x, g: 2.0 * g * x + g * jnp.zeros(3).at[1].set(1e-3))
    report = check_derivatives(lambda params: jnp.sum(wrong(params["dense"]["bias"])), {"dense": {"bias": X[:3]}})
    assert report.findings[0].where == "params['dense']['bias'][1]"


@pytest.mark.parametrize(("f", "how"), [(stateful, "traced"), (counted, "called")])
def test_nobody_is_called_wrong_about_a_function_that_changes_each_time(f, how):
    report = check_derivatives(f, X)
    assert (report.findings, report.outliers) == ((), ()), report
    (fact,) = facts(report, Kind.NOT_REPEATABLE)
    assert fact.data["how"] == how


def test_where_no_mode_of_jax_reports_nothing_is_agreed_upon():
    report = check_derivatives(looping, X, modes=["reverse"])
    assert (report.verdict, report.decided_share) == ("inconclusive", 0.0)
    assert facts(report, Kind.NOTHING_CHECKED)[0].where == ("reverse",)
    assert check_derivatives(looping, X, modes=("forward",)).decided_share == 1.0


def test_values_of_a_black_box_in_bfloat16_accuse_nobody(monkeypatch):
    monkeypatch.setitem(PRIMITIVES, "scatter-sub", replace(PRIMITIVES["scatter-sub"], rule=None))
    report = check_derivatives(lambda x: x.at[np.array([1])].subtract(x[:1]), jnp.asarray(X[:2], BF16))
    assert facts(report, Kind.BLACK_BOX)[0].where == ("scatter-sub",)
    assert report.verdict == "inconclusive", report


def test_a_single_wrong_input_of_many_is_found():
    wrong = rule(lambda x: jnp.sum(jnp.sin(x)), lambda x, g: (g * jnp.cos(x)).at[1234].mul(1.001))
    x = np.linspace(-1.0, 1.0, 1300)
    report = check_derivatives(wrong, x)
    assert report.verdict == "disagree"
    assert report.findings[0].where == "x[1234]"
    right = check_derivatives(lambda x: jnp.sum(jnp.sin(x)), x)
    assert right.verdict == "agree"
    assert right.subject == {"inputs": 1300, "looked at one by one": 8, "outputs": 1}


def test_a_reference_is_judged_beside_jax():
    f = lambda p: jnp.sum(jnp.sin(p["a"]))  # noqa: E731
    assert check_derivatives(f, {"a": X}, reference=lambda p: {"a": np.cos(p["a"])}).verdict == "agree"
    wrong = check_derivatives(f, {"a": X}, reference=lambda p: {"a": np.sin(p["a"])})
    assert (wrong.verdict, wrong.outliers) == ("disagree", ("reference",))
    with pytest.raises(ValueError, match="one real output"):
        check_derivatives(jnp.sin, X, reference=np.cos)
    with pytest.raises(ValueError, match="must answer arrays of shapes"):
        check_derivatives(f, {"a": X}, reference=lambda p: {"a": X[:2]})


def test_the_allowance_for_a_convention_is_made_once_however_often_inputs_are_looked_at():
    """Reverse mode is wrong in one of many inputs, which takes a second look; the reference is at a kink beside it."""
    x = np.concatenate([np.zeros(1200), np.linspace(0.1, 1.0, 100)])

    def f(x):
        return jnp.sum(jax.nn.relu(x) + 0.3 * x)

    wrong = rule(f, lambda x, g: (g * (0.3 + (x > 0))).at[1234].mul(1e6))
    report = check_derivatives(wrong, x, reference=lambda x: 0.3 + 0.385 * (x == 0) + 1.0 * (x > 0))
    assert [(found.source, found.where) for found in report.findings] == [("reverse", "x[1234]")]
    (pair,) = (p for p in report.pairs if (p.first, p.second) == ("reference", "increments"))
    assert pair.ratio == pytest.approx(1.0, abs=1e-6)  # off by 0.385, and allowed no more than that


@pytest.mark.parametrize("args", [(X[:3], 0.3), (X[:3] + 1j, 0.3)])
def test_what_runs_in_the_callers_32_bits_alone_is_checked_in_these(args):
    """A loop has one type, here that of an array which was made in 32 bits."""
    w = jnp.ones(3)
    f = lambda x, s: jax.lax.scan(lambda c, a: (c * jnp.sin(a) * s, c), w, jnp.real(x))  # noqa: E731
    with jax.enable_x64(False):
        report = check_derivatives(f, *args)
        assert report.verdict == "agree"
        assert report.notes[-1].kind == Kind.IN_32_BITS
        with pytest.raises(TypeError, match="boolean conversion of traced array"):
            check_derivatives(lambda x: x if x > 0 else -x, 0.3)
        assert not jax.config.read("jax_enable_x64")
    with jax.enable_x64(True), pytest.raises(TypeError, match="must have equal types"):
        check_derivatives(f, *args)


def test_tridiagonal_systems_in_float32_are_decided():
    band, right = jnp.asarray(X[:4], "float32"), jnp.asarray(A[:, :2], "float32")
    assert check_derivatives(jax.lax.linalg.tridiagonal_solve, band, band + 4.0, band, right).verdict == "agree"


OF_ANY_SIZE = [1e-220, 1e-44, 1e100]


@pytest.mark.parametrize("size", OF_ANY_SIZE)
def test_an_error_is_seen_whatever_the_size_of_the_derivative(size):
    for off, verdict in ((0.0, "agree"), (1e-9, "disagree")):
        f = rule(lambda x: size * jnp.sin(x), lambda x, g, off=off: g * size * jnp.cos(x) * (1.0 + off))
        assert check_derivatives(f, X).verdict == verdict


@pytest.mark.parametrize("size", OF_ANY_SIZE)
@pytest.mark.parametrize("count", [2, 1500])
def test_zero_is_zero_whatever_a_step_leaves_of_second_order(size, count):
    report = check_derivatives(lambda x: size * jnp.sum(x * x), np.zeros(count))
    assert report.verdict == "agree", report


def test_arguments_below_the_step_are_moved_by_a_smaller_one():
    tiny = np.array([1e-200])
    report = check_derivatives(steep_hypot, tiny, tiny)
    assert report.findings[0].expected == pytest.approx(np.sqrt(0.5)), report
    assert Kind.KINK not in report.kinds


def capped(x):
    return jnp.where(x * x < 1.0, 1e3 * x * x, jnp.abs(x))


@pytest.mark.parametrize(("f", "is_kink"), [(capped, False), (jnp.abs, True), (lambda x: jnp.abs(1e-9 * x), True)])
def test_a_kink_is_where_the_slopes_on_both_sides_differ(f, is_kink):
    report = check_derivatives(f, np.array([0.0, 0.4]))
    assert report.verdict == "agree"
    assert (Kind.KINK in report.kinds) == is_kink
    assert (report.smallest_visible[1] >= 2e-9) == is_kink, "an error as large as the jump shows"


def test_progress_is_shown_for_each_source(monkeypatch):
    seen = []

    @contextmanager
    def recorded(seconds):
        yield lambda step, done, total: seen.append((step, done < total))

    monkeypatch.setattr(derivative_check, "progress_bar", recorded)
    check_derivatives(jnp.sin, X)
    assert {step for step, _ in seen} >= {"reverse mode", "forward mode", "increments through the program"}
    assert all(is_ahead for _, is_ahead in seen)


CANCELS = {"ones": np.ones(3), "tenths": np.full(7, 0.1), "float32": np.full(6, 5.0, np.float32)}


@pytest.mark.parametrize("name", CANCELS)
def test_roundings_that_xla_does_twice_are_no_derivative(name):
    """Of equal numbers the variance and its gradient vanish: XLA computes the mean twice, once with a fused product."""
    report = check_derivatives(jnp.var, CANCELS[name])
    assert report.verdict == "agree"
    assert report.smallest_visible[1] < (1e-5 if name == "float32" else 1e-14)


def test_what_is_no_rounding_is_wrong_where_all_cancels():
    wrong = jax.custom_jvp(lambda x: jnp.var(x))
    wrong.defjvp(lambda p, t: (jnp.var(*p), jax.jvp(jnp.var, p, t)[1] + 1e-11 * jnp.sum(t[0])))
    assert check_derivatives(wrong, np.ones(3)).verdict == "disagree"
