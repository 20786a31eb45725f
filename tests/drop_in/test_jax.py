"""check_grads of JAX: its arguments and errors, exact checks behind it, and the original where these cannot decide."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.core import Tracer
from jax.interpreters.ad import JVPTracer
from own_rules import with_jvp, with_vjp

from harness.drop_in import InconclusiveGradient
from harness.drop_in import jax as drop_in
from harness.drop_in.jax import check_grads

rng = np.random.default_rng(3)
X = rng.normal(size=(2, 3))

RIGHT = {
    "second order": (jnp.tanh, (X,), 2, {}),
    "third order": (jnp.sin, (X[0],), 3, {}),
    "float32": (lambda a: a @ a.T, (X.astype(np.float32),), 2, {}),
    "bfloat16": (lambda a: a * jnp.tanh(a), (jnp.asarray(X, jnp.bfloat16),), 1, {"modes": ["rev"]}),
    "complex": (lambda a: jnp.exp(a) * jnp.conj(a), (X + 1j * X[::-1],), 1, {}),
    "forward alone": (lambda a: lax.while_loop(lambda c: c < 9.0, lambda c: 2.0 * c, a), (1.3,), 2, {"modes": "fwd"}),
    "linearised": (jnp.sin, (X,), 2, {"modes": ("lin",)}),
    "tree": (lambda p: p["w"] @ p["b"], ({"w": X, "b": X[0]},), 1, {}),
    "index": (lambda a, i: a[i], (X, 1), 1, {}),
    "a stop_gradient that does not matter": (jax.nn.softmax, (X,), 2, {}),
    "no number at all": (lambda a: jnp.split(a, [0], axis=1)[0], (X,), 2, {}),
    "an empty argument": (lambda a: a * a, (X[:0],), 2, {}),
    "one of Python's numbers beside narrow arrays": (
        lambda a, x: lax.scan(lambda c, w: (c * w * a, c), jnp.ones((), x.dtype), x)[0],
        (0.3, np.array([1.0, 0.7], np.float32)),
        2,
        {},
    ),
    "Python's numbers": (lambda a, b: a * jnp.exp(b), (0.3, 1.2), 2, {}),
}


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("x64", [False, True])
def test_right_derivatives_pass_without_a_word(name, x64, recwarn):
    f, args, order, options = RIGHT[name]
    with jax.enable_x64(x64):
        assert check_grads(f, args, order, **options) is None
        assert jax.config.read("jax_enable_x64") == x64
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


LOOKED_AT = ("second order", "third order", "float32", "complex", "linearised", "tree", "index", "Python's numbers")


@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.parametrize("x64", [False, True])
def test_a_look_spares_the_whole_check(name, x64, monkeypatch):
    monkeypatch.setattr(drop_in, "check_derivatives", lambda *_, **__: pytest.fail("checked whole"))
    f, args, order, options = RIGHT[name]
    with jax.enable_x64(x64):
        check_grads(f, args, order, **options)


@pytest.mark.parametrize("x64", [False, True])
def test_where_jax_promotes_no_types_it_is_checked_as_well(x64, recwarn):
    """As in JAX's own tests, whose arrays may meet Python's numbers and nothing else."""
    x = X.astype(np.float32)
    with jax.enable_x64(x64), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        check_grads(lambda a, x: jnp.sin(a * x) + 1.0, (0.3, x), 2)
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


@pytest.mark.parametrize("x64", [False, True])
def test_where_jax_checks_itself_it_is_checked_as_well(x64, recwarn):
    """As in JAX's own tests; compiled, its custom_jvp with arguments that are not differentiated fail such checks."""
    with jax.enable_x64(x64), jax.enable_checks(True):
        check_grads(jax.scipy.special.log_ndtr, (np.linspace(-3.0, 3.0, 4),), 2)
        assert jax.enable_checks.value
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


def rule(forward, backward):
    """sin with a rule of its own."""
    return with_vjp("f", jnp.sin, backward, forward)


wrong_forward = with_jvp(
    "wrong_forward",
    jnp.sin,
    lambda primals, tangents: (jnp.sin(*primals), tangents[0] * jnp.cos(*primals) * (1.0 + 1e-9)),
)


cosine = with_jvp(
    "cosine", jnp.cos, lambda primals, tangents: (jnp.cos(*primals), -1.001 * tangents[0] * jnp.sin(*primals))
)


wrong_twice = with_jvp(
    "wrong_twice", jnp.sin, lambda primals, tangents: (jnp.sin(*primals), tangents[0] * cosine(*primals))
)


doubled_by_vmap = jax.custom_batching.custom_vmap(jnp.sin)
doubled_by_vmap.def_vmap(lambda size, is_batched, x: (2.0 * jnp.sin(x), True))

WRONG = {
    "a rule for vmap": (jax.vmap(doubled_by_vmap), 1, ["fwd", "rev"]),
    "a compiled rule for vmap": (jax.jit(jax.vmap(doubled_by_vmap)), 1, ["fwd", "rev"]),
    "a dropped cotangent": (rule(lambda x: (jnp.sin(x), x), lambda x, c: (jnp.cos(x),)), 1, ["rev"]),
    "the ninth digit of a jvp": (wrong_forward, 1, ["fwd", "rev"]),
    "the second derivative alone": (wrong_twice, 2, ["fwd"]),
    "a second derivative that the rule stops": (
        rule(lambda x: (jnp.sin(x), x), lambda x, c: (c * jnp.cos(lax.stop_gradient(x)),)),
        2,
        ["rev"],
    ),
    "a clipped cotangent": (
        rule(lambda x: (jnp.sin(x), x), lambda x, c: (jnp.clip(c, -9.0, 9.0) * jnp.cos(x),)),
        1,
        ["rev"],
    ),
    "another value in reverse mode": (
        rule(lambda x: (jnp.sin(x) + 1.0, x), lambda x, c: (c * jnp.cos(x),)),
        1,
        ["rev"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_raises_the_report(name):
    f, order, modes = WRONG[name]
    with jax.enable_x64(True), pytest.raises(AssertionError, match=r"^DISAGREE") as caught:
        check_grads(f, (X,), order, modes)
    assert [entry.ishidden(caught) for entry in caught.traceback] == [False, *([True] * (len(caught.traceback) - 1))]


INTERCHANGED = {
    "inputs": lambda kept, c: (c[0] * kept[0] + c[1], c[0] * kept[1] + c[1]),
    "outputs": lambda kept, c: (c[1] * kept[1] + c[0], c[1] * kept[0] + c[0]),
}


@pytest.mark.parametrize("backward", INTERCHANGED.values(), ids=INTERCHANGED)
def test_what_is_interchanged_is_wrong(backward):
    f = jax.custom_vjp(lambda a, b: (a * b, a + b))
    f.defvjp(lambda a, b: ((a * b, a + b), (a, b)), backward)
    with jax.enable_x64(True), pytest.raises(AssertionError, match=r"^DISAGREE"):
        check_grads(f, (0.1 * X, 0.2 * X[::-1]), 1, ["rev"])


def test_the_first_derivative_of_the_rule_that_is_wrong_twice_is_right():
    with jax.enable_x64(True):
        check_grads(wrong_twice, (X,), 1)


def test_where_nothing_is_decided_the_original_is_asked_with_the_callers_arguments():
    def branches(x):
        return jnp.sin(x) if x > 0 else x

    half = jnp.float16(1.0)  # of which no look is taken
    with pytest.warns(InconclusiveGradient, match="original-decided.*cannot-run"):
        check_grads(branches, (half,), 1, eps=0.125)
    with (
        pytest.warns(InconclusiveGradient),
        pytest.raises(AssertionError, match=r"Not equal to tolerance rtol=.*, atol=1e-30"),
    ):
        check_grads(branches, (half,), 1, atol=1e-30, rtol=1e-30)
    with pytest.warns(InconclusiveGradient, match="cannot-run"):  # a look would confirm the rule by itself
        check_grads(lambda x: jax.vmap(doubled_by_vmap)(x) if x[0] > 0 else x, (jnp.ones(2),), 1)


def test_what_a_function_raises_when_it_is_traced_is_no_failed_check():
    def picky(x):
        assert not isinstance(x, Tracer) or isinstance(x, JVPTracer), "traced"
        return jnp.sin(x)

    with pytest.warns(InconclusiveGradient, match="cannot-run"):
        check_grads(picky, (jnp.float16(1.0),), 1, ["fwd"], eps=0.125)


def test_a_mode_that_jax_lacks_fails_as_in_the_original():
    f = rule(lambda x: (jnp.sin(x), x), lambda x, c: (c * jnp.cos(x),))
    check_grads(f, (X,), 1, ["rev"])
    with (
        pytest.warns(InconclusiveGradient, match="original-decided"),
        pytest.raises(TypeError, match="forward-mode"),
    ):
        check_grads(f, (X,), 1, ["fwd", "rev"])


def test_a_stop_gradient_that_matters_is_told_and_fails_as_in_the_original():
    with (
        jax.enable_x64(True),
        pytest.warns(InconclusiveGradient, match="derivative-ends"),
        pytest.raises(AssertionError, match="Not equal"),
    ):
        check_grads(lambda x: x * lax.stop_gradient(x), (X,), 1)


OUTSIDE = np.array([0.5, 1.2, -0.3])


@pytest.mark.parametrize(("f", "order"), [(jnp.arcsin, 2), (jnp.arccos, 2), (jnp.sqrt, 1)])
def test_what_is_nan_outside_of_the_domain_passes_as_in_the_original(f, order, recwarn):
    check_grads(f, (OUTSIDE,), order)
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


@pytest.mark.parametrize(("f", "x"), [(jax.nn.softplus, np.nan), (jax.nn.mish, -np.inf)])
def test_so_does_what_is_nan_everywhere(f, x, recwarn):
    check_grads(f, (x,), 1)
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


def arcsine(slope):
    f = jax.custom_jvp(jnp.arcsin)
    f.defjvp(lambda x, dx: (jnp.arcsin(*x), dx[0] * slope(*x)))
    return f


@pytest.mark.parametrize("order", [1, 2])
def test_what_is_wrong_beside_it_does_not(order):
    f = arcsine(lambda x: (1.0 + 1e-5) / jnp.sqrt(1.0 - x * x))
    with jax.enable_x64(True), pytest.raises(AssertionError, match=r"^DISAGREE"):
        check_grads(f, (OUTSIDE,), order)


def test_a_number_for_the_derivative_of_what_is_none_is_left_to_the_original():
    f = arcsine(lambda x: jnp.where(jnp.abs(x) < 1.0, 1.0 / jnp.sqrt(1.0 - x * x), 0.0))
    with (
        jax.enable_x64(True),
        pytest.warns(InconclusiveGradient, match="value-not-finite"),
        pytest.raises(AssertionError, match="Not equal"),
    ):
        check_grads(f, (OUTSIDE,), 1)


def test_arguments_that_are_not_used_are_logged_once(caplog):
    with caplog.at_level(logging.WARNING):
        check_grads(jnp.sin, (0.3,), 1, atol=1e-4)
        check_grads(jnp.sin, (0.3,), 1, atol=1e-4)
    assert [record.args for record in caplog.records] == [("jax.test_util.check_grads", "atol", 1e-4)]


def test_a_tolerance_that_is_wider_than_the_originals_is_the_accuracy():
    with jax.enable_x64(True):
        nearly = rule(lambda x: (jnp.sin(x), x), lambda x, c: (c * jnp.cos(x) * (1 + 1e-6),))
        check_grads(nearly, (X,), 1, ["rev"], rtol=1e-4)
        with pytest.raises(AssertionError, match=r"^DISAGREE"):
            check_grads(nearly, (X,), 1, ["rev"], rtol=1e-5)


def test_a_rule_of_jax_itself_that_is_a_little_off_is_left_to_the_original():
    with (
        jax.enable_x64(True),
        pytest.warns(InconclusiveGradient, match="inexact-library-rule"),
    ):
        assert check_grads(jax.scipy.special.log_ndtr, (-20.0,), 1) is None


def test_a_rule_of_the_callers_own_that_is_a_little_off_is_not():
    nearly = with_vjp("nearly", jnp.sin, lambda x, g: ((1.0 + 1e-9) * g * jnp.cos(x),))
    with jax.enable_x64(True), pytest.raises(AssertionError) as raised:
        check_grads(nearly, (X,), 1, modes=["rev"])
    report = raised.value.report  # type: ignore[attr-defined]
    assert [culprit["name"] for culprit in report.details["culprits"]] == ["nearly"]


@pytest.mark.parametrize("modes", [["reverse"], ["fwd", "reverse"], "backward", []])
def test_a_mode_that_there_is_none_of_does_not_pass_without_a_word(modes):
    """The original checks nothing then, and passes."""
    with pytest.warns(InconclusiveGradient, match="unknown-mode"):
        check_grads(jnp.sin, (0.3,), 1, modes)
