"""check_derivatives: right functions agree, wrong rules do not, and bad input is told in a sentence."""

import itertools
import tracemalloc
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import rule, sampled

from harness import assert_derivatives_agree, check_derivatives
from reference.traced.primitives import PRIMITIVES

rng = np.random.default_rng(0)
X = rng.normal(size=5)
A = rng.normal(size=(4, 4))
POSITIVE = A @ A.T + 4.0 * np.eye(4)

RIGHT = {
    "layer": (lambda p, x: jax.nn.gelu(x @ p["kernel"] + p["bias"]), {"kernel": A, "bias": A[0]}, A[1]),
    "softmax": (lambda z: jax.nn.log_softmax(z), X),
    "kink between both sides": (lambda x: jax.nn.relu(x - x[0]), X),
    "sort with ties": (lambda x: jnp.sort(jnp.concatenate([x, x])) * jnp.arange(10.0), X),
    "abs at 0": (lambda x: jnp.abs(x), np.zeros(3)),
    "scan": (lambda x: jax.lax.scan(lambda c, t: (jnp.tanh(c * t + x[0]), c), x[1], x), X),
    "solve": (jnp.linalg.solve, POSITIVE, A),
    "cholesky": (jnp.linalg.cholesky, POSITIVE),
    "float32": (lambda x: jnp.sum(jnp.sin(x) ** 2), X.astype(np.float32)),
    "bfloat16": (lambda x: jnp.sin(x) * x, jnp.asarray(X, jnp.bfloat16)),
    "complex": (lambda z: jnp.abs(jnp.fft.fft(z)) ** 2, X + 1j * X[::-1]),
    "a Python number": (lambda x: x * x, 3.0),
    "an output of which a part is empty": (lambda x: jnp.split(x, [2, 2]), X),
    "an argument that is empty": (lambda x, e: jnp.sum(x**2) + jnp.sum(e), X, np.zeros((0, 3))),
    "a fold in bfloat16": (
        lambda x: jax.lax.reduce(x, jnp.asarray(0, x.dtype), jax.lax.add, (0, 1)),
        jnp.asarray(A, jnp.bfloat16),
    ),
    "a kink that is seen from one side": (lambda x: jnp.where(x >= 0.0, 2.0 * x, x), np.zeros(2)),
    "a kink by an index": (lambda x: x * jnp.asarray(X)[(x >= 0.0).astype(int)], np.zeros(2)),
    "a row added to one entry": (lambda x: jax.lax.add(np.ones((1, 3)), x), np.ones((1, 1))),
    "axes read in another order": (lambda x: jax.lax.reshape(x, (2, 8), (1, 0)) * jnp.arange(8.0), A),
    "integers and None beside": (lambda x, n, nothing: x[n] ** 2, X, 2, None),
}


@pytest.mark.parametrize("name", sampled(RIGHT))
def test_right_functions_agree(name):
    report = check_derivatives(*RIGHT[name])
    assert report.verdict == "agree", report
    assert report.decided_share == 1.0


WRONG = {
    "1e-9 in one term": rule(lambda x: jnp.sin(x) * x, lambda x, g: g * (jnp.cos(x) * x * (1 + 1e-9) + jnp.sin(x))),
    "dropped cotangent": rule(jnp.sin, lambda x, g: jnp.cos(x)),
    "squared cotangent": rule(jnp.sin, lambda x, g: g * g * jnp.cos(x)),
    "sum for mean": rule(jnp.mean, lambda x, g: g * jnp.ones_like(x)),
    "missing transpose": rule(lambda x: jnp.reshape(A, (4, 4))[:, :4] @ x[:4], lambda x, g: jnp.append(A @ g, 0.0)),
    "sign on one branch": rule(jnp.abs, lambda x, g: g * jnp.where(x > 0, 1.0, 1.0)),
    "clip as identity": rule(lambda x: jnp.clip(x, -0.1, 0.1), lambda x, g: g),
    "NaN": rule(jnp.sin, lambda x, g: g * jnp.nan),
}


@pytest.mark.parametrize("name", sampled(WRONG))
def test_wrong_rules_disagree(name):
    report = check_derivatives(WRONG[name], X)
    assert (report.verdict, report.outliers) == ("disagree", ("reverse",))
    assert "forward" in report.left_out
    with pytest.raises(AssertionError, match="derivatives do not agree"):
        assert_derivatives_agree(WRONG[name], X)


def test_leaves_are_named_by_their_paths():
    wrong = rule(lambda x: x * x, lambda x, g: 2.0 * g * x + g * jnp.zeros(3).at[1].set(1e-3))
    report = check_derivatives(lambda params: jnp.sum(wrong(params["dense"]["bias"])), {"dense": {"bias": X[:3]}})
    assert report.findings[0].where == "params['dense']['bias'][1]"


class Foreign:
    """As a tensor, which need not be installed."""

    dtype = "torch.float32"


Foreign.__module__ = "torch"


class Series:
    """As a column of a table, which need not be installed."""

    dtype = np.dtype(float)

    def to_numpy(self):
        return X


Series.__module__ = "pandas.core.series"

KEPT = []


def leaking(x):
    KEPT.append(jnp.sin(x))
    return jnp.sum(x * KEPT[0])


BAD = {
    "nothing to differentiate": (lambda n: n, (3,), TypeError, "give floating or complex arrays"),
    "an array of integers": (lambda n: n, (jnp.arange(3),), TypeError, "int.*; give floating or complex arrays"),
    "an empty tree": (lambda x: 1.0, ({},), TypeError, "the arguments hold no array at all"),
    "empty output": (lambda x: x[:0], (X,), TypeError, "the function returns no number"),
    "integer output": (lambda x: jnp.argmax(x), (X,), TypeError, "there is no derivative"),
    "PyTorch's": (lambda x: x, (Foreign(),), TypeError, "x is PyTorch's; for its functions use"),
    "a column": (lambda x: x, (Series(),), TypeError, r"x is a Series of pandas; give NumPy arrays: x.to_numpy\(\)"),
    "a column in a tree": (lambda x: x["a"], ({"a": Series()},), TypeError, r"arrays: x\['a'\].to_numpy\(\)"),
    "a traced array that was kept": (leaking, (X,), TypeError, "kept from another call"),
    "a type that JAX lacks": (
        lambda x: x["w"],
        ({"w": X.astype(np.longdouble)},),
        TypeError,
        r"x\['w'\] is .*, which JAX does not have; give float64",
    ),
}
if np.longdouble is np.float64:
    del BAD["a type that JAX lacks"]


def test_values_of_a_black_box_in_bfloat16_accuse_nobody(monkeypatch):
    monkeypatch.setitem(PRIMITIVES, "scatter-sub", replace(PRIMITIVES["scatter-sub"], rule=None))
    x = jnp.asarray(X[:2], "bfloat16")
    report = check_derivatives(lambda x: x.at[np.array([1])].subtract(x[:1]), x)
    assert any("scatter-sub" in note for note in report.notes)
    assert report.verdict == "inconclusive", report


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_a_sentence(name):
    f, args, error, words = BAD[name]
    with pytest.raises(error, match=words):
        check_derivatives(f, *args)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"argnums": ()}, "not \\(\\)"),
        ({"argnums": (True, 0)}, "not \\(True"),
        ({"order": True}, "must be 1 or 2, not True"),
    ],
)
def test_an_option_that_chooses_nothing_is_refused(option, words):
    with pytest.raises(ValueError, match=words):
        check_derivatives(lambda x, y: x * y, X, X, **option)


def stateful(x):
    return x * np.random.default_rng().normal()


def changing(x, n):
    n += 1
    return x * n


def counted(x):
    shape = jax.ShapeDtypeStruct((), X.dtype)
    return jnp.sum(x) * jax.pure_callback(lambda: np.asarray(float(next(COUNT))), shape)


COUNT = itertools.count()

MISCONDUCT = {
    "a state of its own": (stateful, (X,), "answers differently each time that it is traced"),
    "a state of a callback": (counted, (X,), "answers differently each time that it is called"),
    "an argument changed in place": (changing, (X, np.array([1, 2, 3, 4, 5])), "changes its argument n in place"),
}


@pytest.mark.parametrize("name", MISCONDUCT)
def test_misconduct_is_told(name):
    f, args, words = MISCONDUCT[name]
    report = check_derivatives(f, *args)
    assert report.verdict == "disagree"
    assert any(words in reason for reason in report.reasons)


@pytest.mark.parametrize("f", [stateful, counted])
def test_of_what_changes_each_time_that_is_told_and_nobody_is_called_wrong(f):
    report = check_derivatives(f, X)
    assert (report.findings, report.outliers, len(report.reasons)) == ((), (), 1), report


BARE = np.array([1.0, 2.0])
DEPENDENCE = {
    "detached": (lambda x, y: jnp.sum(BARE**2), ["f does not use x, y", "every derivative is zero"]),
    "a constant beside one that counts": (lambda x, y: jnp.sum(y), ["f does not use x"]),
    "handed on to what ignores it": (lambda x, y: jax.jit(lambda a, b: jnp.sin(b))(x, y), ["f does not use x"]),
    "used, and of no effect here": (
        lambda x, y: jnp.sum(jnp.maximum(x - 9.0, 0.0) * y),
        ["every derivative is zero at this point"],
    ),
    "all that there is": (lambda x, y: jnp.sum(x * y), []),
}


@pytest.mark.parametrize("name", DEPENDENCE)
def test_what_a_function_does_not_depend_on_is_told(name):
    f, told = DEPENDENCE[name]
    report = check_derivatives(f, X, X + 0.5)
    assert report.verdict == "agree"
    assert [note for note in report.notes if "not use" in note or "zero" in note] == told


def test_of_many_arguments_a_zero_is_told_where_all_are():
    x = np.linspace(-1.0, 1.0, 1200)
    for f, is_zero in ((lambda x: jnp.sum(0.0 * x), True), (lambda x: x[1077], False)):
        assert ("every derivative is zero at this point" in check_derivatives(f, x).notes) == is_zero


INCONCLUSIVE = {
    "outside of the domain": (jnp.log, np.array([1.0, -1.0]), "not finite at this point"),
    "outside of the domain, where zero times NaN is NaN": (jnp.arcsin, np.array([0.5, 1.2]), "not finite at this"),
    "at a jump": (jnp.floor, np.array([1.0, 0.5]), "at one of its jumps"),
    "where squares overflow": (jnp.linalg.norm, np.array([3e200, 4e200]), "not finite at this point"),
    "at a step between two constants": (lambda x: jnp.where(x >= 0.0, 1.0, 0.0), np.zeros(2), "where the value jumps"),
    "at a step that is odd": (jnp.sign, np.zeros(2), "at one of its jumps"),
    "where a count changes": (lambda x: jnp.sum(x >= 0.0) + 0.0 * x, np.zeros(2), "turns at this point"),
    "where an index changes": (lambda x: jnp.asarray(X)[(x >= 0.0).astype(int)], np.zeros(2), "an index changes"),
    "where a choice of branches changes": (
        lambda x: jax.lax.switch((x[0] >= 0.0).astype(int), [lambda x: x, lambda x: x + 1.0], x),
        np.zeros(2),
        "where the value jumps",
    ),
}


@pytest.mark.parametrize("name", INCONCLUSIVE)
def test_what_cannot_be_told_is_inconclusive_with_its_reason(name):
    f, x, words = INCONCLUSIVE[name]
    report = check_derivatives(f, x)
    assert report.verdict == "inconclusive"
    assert any(words in reason for reason in report.reasons)


def test_of_many_inputs_a_single_wrong_one_is_found():
    where = 1234
    wrong = rule(lambda x: jnp.sum(jnp.sin(x)), lambda x, g: (g * jnp.cos(x)).at[where].mul(1.001))
    x = np.linspace(-1.0, 1.0, 1300)
    report = check_derivatives(wrong, x)
    assert report.verdict == "disagree"
    assert report.findings[0].where == f"x[{where}]"
    right = check_derivatives(lambda x: jnp.sum(jnp.sin(x)), x)
    assert right.verdict == "agree"
    assert "inputs 1300, looked at one by one 64, outputs 1" in str(right)


def test_precision_that_a_rule_loses_is_no_rounding_of_the_function():
    narrow = rule(jnp.sin, lambda x, g: (g.astype("float32") * jnp.cos(x.astype("float32"))).astype(float))
    assert check_derivatives(narrow, X).verdict == "disagree"


def test_the_convention_for_complex_arguments():
    conjugated = rule(lambda z: jnp.sum(jnp.abs(z) ** 2).astype(float), lambda z, g: 2.0 * g * z)
    assert check_derivatives(lambda z: jnp.sum(jnp.abs(z) ** 2), X + 1j).verdict == "agree"
    assert check_derivatives(conjugated, X + 1j).verdict == "disagree"  # JAX's own is 2 g conj(z)


def test_the_callers_settings_stay():
    before = jax.config.read("jax_enable_x64")
    check_derivatives(jnp.sin, X)
    assert jax.config.read("jax_enable_x64") == before


@pytest.mark.parametrize("args", [(X[:3], 0.3), (X[:3] + 1j, 0.3)])
def test_what_runs_in_the_callers_32_bits_alone_is_checked_in_these(args):
    """A loop has one type, here that of an array which was made in 32 bits."""
    w = jnp.ones(3)
    f = lambda x, s: jax.lax.scan(lambda c, a: (c * jnp.sin(a) * s, c), w, jnp.real(x))  # noqa: E731
    with jax.enable_x64(False):
        report = check_derivatives(f, *args)
        assert report.verdict == "agree"
        assert report.notes[-1].startswith("checked in the 32 bits that JAX has here, for f does not run in 64: scan")
        with pytest.raises(TypeError, match="branches on a traced number"):
            check_derivatives(lambda x: x if x > 0 else -x, 0.3)
    with jax.enable_x64(True), pytest.raises(TypeError, match="must have equal types"):
        check_derivatives(f, *args)


def test_a_reference_gradient_is_judged_beside_jax():
    f = lambda p: jnp.sum(jnp.sin(p["a"]))  # noqa: E731
    right = check_derivatives(f, {"a": X}, reference=lambda p: {"a": np.cos(p["a"])})
    assert right.verdict == "agree"
    wrong = check_derivatives(f, {"a": X}, reference=lambda p: {"a": np.sin(p["a"])})
    assert (wrong.verdict, wrong.outliers) == ("disagree", ("reference",))
    with pytest.raises(ValueError, match="one real output"):
        check_derivatives(jnp.sin, X, reference=np.cos)
    with pytest.raises(ValueError, match="must answer arrays of shapes"):
        check_derivatives(f, {"a": X}, reference=lambda p: {"a": X[:2]})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_narrow_types_are_decided_where_sums_cancel_and_where_black_boxes_are(dtype):
    x = jnp.asarray(np.linspace(-1.0, 1.0, 40), dtype)
    assert check_derivatives(lambda x: jnp.sum(jnp.sin(x)), x).verdict == "agree"
    if dtype == "float32":
        band, right = jnp.asarray(X[:4], dtype), jnp.asarray(A[:, :2], dtype)
        report = check_derivatives(jax.lax.linalg.tridiagonal_solve, band, band + 4.0, band, right)
        assert report.verdict == "agree"


def converting(x):
    return float(x[0]) * x


def through_numpy(x):
    return np.sin(x)


def picking(x):
    return x[x > 0]


def indexing(x):
    return [X[0], X[1]][x.astype(int)[0]] * x


NOT_TRACEABLE = {
    converting: "needs the number itself",
    through_numpy: "use jax.numpy there",
    picking: r"use jnp.where\(mask, x, 0\)",
    indexing: "index by jnp.take",
}


@pytest.mark.parametrize("f", NOT_TRACEABLE)
def test_each_way_to_break_a_trace_has_its_own_way_out(f):
    line = f.__code__.co_firstlineno + 1
    with pytest.raises(TypeError, match=f"line {line} of {f.__name__} .*{NOT_TRACEABLE[f]}"):
        check_derivatives(f, X)


def stopping(x):
    bent = jax.nn.logsumexp(x) + jax.nn.softmax(x)  # which have a stop_gradient of their own
    held = jax.lax.stop_gradient(x)
    place = jnp.argmax(x)
    return bent * held * jnp.round(x) + x[place] + jax.lax.stop_gradient(3.0), place


HELD_BY_WAY_OF_JAX = {
    "floor": ("floor", lambda x: jnp.floor(1.3 * x) * x),
    "ceil": ("ceil", lambda x: jnp.ceil(1.3 * x) * x),
    "sign": ("sign", lambda x: jnp.sign(x) * x),
    "argsort": ("argsort", lambda x: jnp.argsort(x) * x),
    "a tree": ("stop_gradient", lambda x: jax.tree.map(jax.lax.stop_gradient, {"a": x})["a"] * x),
    "vmap of it": ("round", lambda x: jax.vmap(jnp.round)(x) * x),
    "vmap": ("round", lambda x: jax.vmap(lambda y: jnp.round(y) * y)(x)),
    "grad": ("stop_gradient", lambda x: jax.grad(lambda y: jnp.sum(jax.lax.stop_gradient(y) * y**2))(x)),
    "jvp": ("round", lambda x: jax.jvp(lambda y: jnp.round(y) * y**2, (x,), (x,))[1]),
    "scan": ("round", lambda x: jax.lax.scan(lambda c, y: (c, jnp.round(y) * y), 0.0, x)[1]),
    "jit": ("round", lambda x: jax.jit(lambda y: jnp.round(y) * y)(x)),
    "checkpoint": ("round", lambda x: jax.checkpoint(lambda y: jnp.round(y) * y)(x)),
}


@pytest.mark.parametrize("way", HELD_BY_WAY_OF_JAX)
def test_what_has_no_derivative_is_told_where_jax_calls_it_for_the_user(way):
    name, f = HELD_BY_WAY_OF_JAX[way]
    told = " ".join(check_derivatives(f, X).notes)
    assert f"no derivative goes through {name} (line {f.__code__.co_firstlineno} of {__file__})" in told


def test_what_has_no_derivative_is_told_with_the_users_line_alone():
    told = check_derivatives(stopping, X).notes
    line = stopping.__code__.co_firstlineno
    (note,) = [note for note in told if "no derivative goes through" in note]
    places = [
        f"{name} (line {line + k} of {__file__})" for name, k in (("stop_gradient", 2), ("argmax", 3), ("round", 4))
    ]
    assert note == f"no derivative goes through {', '.join(places)}: what comes out counts as constant"
    assert "no derivative is taken of output[1] (int64)" in told
    assert not any("no derivative goes" in note for note in check_derivatives(jax.nn.softmax, X).notes)


def test_where_no_mode_of_jax_answers_nothing_is_agreed_upon():
    loop = lambda x: jax.lax.while_loop(lambda y: jnp.sum(y) < 10.0, lambda y: 1.5 * y, x**2)  # noqa: E731
    report = check_derivatives(loop, X, modes=["reverse"])
    assert report.verdict == "inconclusive"
    assert "JAX has no derivative in reverse mode here, so there was nothing to check" in report.reasons


def test_arguments_below_the_step_are_moved_by_a_smaller_one():
    tiny = np.array([1e-200])
    assert check_derivatives(lambda x: jnp.log(x), tiny).verdict == "agree"
    report = check_derivatives(jnp.hypot, tiny, tiny)  # JAX divides by a square that underflows
    assert report.findings[0].expected == pytest.approx(np.sqrt(0.5)), report
    assert not any("a kink" in note for note in report.notes)


OF_ANY_SIZE = [1e-220, 1e-100, 1e-46, 1e-44, 1e100]


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


def test_what_is_too_small_for_any_step_is_inconclusive():
    f = rule(lambda x: 1e-240 * jnp.sin(x), lambda x, g: g * 2e-240 * jnp.cos(x))
    assert check_derivatives(f, X).verdict == "inconclusive"


def test_slopes_that_have_no_limit_accuse_nobody():
    report = check_derivatives(lambda x: jnp.where(x > 0.0, x * jnp.log(jnp.where(x > 0.0, x, 1.0)), 0.0), np.zeros(1))
    assert report.verdict == "inconclusive", report


def test_what_a_step_leaves_in_the_place_of_a_zero_is_no_lost_digit():
    report = check_derivatives(lambda x: x * x, np.array([0.0, 1.0]))
    assert report.verdict == "agree"
    assert not any("not one correct digit" in note for note in report.notes)


def test_memory_does_not_grow_with_the_number_of_parameters_times_that_of_directions():
    weights = np.linspace(-1.0, 1.0, 100_000, dtype=np.float32)
    tracemalloc.start()
    report = check_derivatives(lambda w: jnp.sum(jnp.tanh(w) ** 2), weights)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.verdict == "agree"
    assert peak < 300e6, peak  # a pass holds 160 MB


CANCELS = {
    "ones": np.ones(3),
    "tenths": np.full(7, 0.1),
    "float32": np.full(6, 5.0, np.float32),
}


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
