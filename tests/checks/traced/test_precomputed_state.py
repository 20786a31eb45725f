"""State that a rule is handed under a stop_gradient beside what it was computed from moves with that."""

import jax
import jax.numpy as jnp
import jax.scipy.linalg as linalg
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from harness import check_derivatives
from harness.checks.traced import precomputed_state
from harness.checks.traced.derivative_case import trace_case
from harness.facts.kinds import Kind
from reference.jax_settings import settings

A = np.array([[3.0, 0.4, -0.2], [0.1, 2.5, 0.7], [-0.5, 0.3, 2.0]])
B = np.array([1.0, -0.5, 0.8])


def solver(factorise, solve, factor=1.0, stop=lax.stop_gradient):
    """x of A x = b by a factorisation of A, which the rule uses and does not differentiate."""

    @jax.custom_jvp
    def solved(a, state, b):
        return solve(state, b)

    @solved.defjvp
    def push(primals, tangents):
        (a, state, b), (da, _, db) = primals, tangents
        x = solved(a, state, b)
        return x, solved(a, state, db - factor * da @ x)

    return lambda a, b: solved(a, jax.tree.map(stop, factorise(a)), b)


by_lu = solver(linalg.lu_factor, linalg.lu_solve)
by_inverse = solver(jnp.linalg.inv, jnp.matmul)
wrong = solver(linalg.lu_factor, linalg.lu_solve, 1.01)


@jax.custom_vjp
def inverse_by_host(a):
    return jax.pure_callback(np.linalg.inv, jax.ShapeDtypeStruct(a.shape, a.dtype), a, vmap_method="sequential")


inverse_by_host.defvjp(lambda a: (inverse_by_host(a), a), lambda a, _: (jnp.zeros_like(a),))  # a stop_gradient
by_host, wrong_by_host = (solver(inverse_by_host, jnp.matmul, factor, lambda x: x) for factor in (1.0, 1.01))

primitive = Primitive("solve_by_inverse")
primitive.def_impl(lambda a, inverse, b: inverse @ b)
primitive.def_abstract_eval(lambda a, inverse, b: b)
mlir.register_lowering(primitive, mlir.lower_fun(lambda a, inverse, b: inverse @ b, multiple_results=False))


def _push(primals, tangents):
    (a, inverse, b), (da, _, db) = primals, map(ad.instantiate_zeros, tangents)
    x = primitive.bind(a, inverse, b)
    return x, inverse @ (db - da @ x)


ad.primitive_jvps[primitive] = _push
batching.primitive_batchers[primitive] = lambda operands, axes: (
    jax.vmap(lambda a, inverse, b: inverse @ b, axes)(*operands),
    0,
)


def by_primitive(a, b):
    return primitive.bind(a, lax.stop_gradient(jnp.linalg.inv(a)), b)


def by_chain(a, b):
    """Stopped twice, and scaled in between."""
    inverse = lax.stop_gradient(2.0 * jnp.linalg.inv(lax.stop_gradient(a)))
    return primitive.bind(a, 0.5 * inverse, b)


@jax.custom_vjp
def scaled(x, mean):
    """x over a mean that the caller wishes to hold."""
    return x / mean


scaled.defvjp(
    lambda x, mean: (x / mean, (x, mean)),
    lambda saved, g: (g / saved[1], -jnp.sum(g * saved[0]) / saved[1] ** 2),
)

FUNCTIONS = {
    "LU": (by_lu, (A, B), "agree"),
    "LU, float32": (by_lu, (np.float32(A), np.float32(B)), "agree"),
    "an inverse": (by_inverse, (A, B), "agree"),
    "a primitive": (by_primitive, (A, B), "agree"),
    "a chain": (by_chain, (A, B), "agree"),
    "twice": (lambda a, b: by_lu(a, by_lu(a, b)), (A, B), "agree"),
    "in a scan": (lambda a, b: lax.scan(lambda c, t: (by_lu(a, c + t), None), b, jnp.ones(2))[0], (A, B), "agree"),
    "a wrong rule": (wrong, (A, B), "disagree"),
    "a rule that stops": (by_host, (A, B), "agree"),
    "a wrong rule beside one that stops": (wrong_by_host, (A, B), "disagree"),
    "a rule that stops where it should not": (lambda a, b: by_host(a, b) + inverse_by_host(a) @ b, (A, B), "disagree"),
    "a wish": (lambda x: scaled(x, lax.stop_gradient(jnp.mean(x))), (B,), "agree"),
    "a wish and a solve": (lambda a, b: scaled(by_lu(a, b), lax.stop_gradient(b[0])), (A, B), "agree"),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_state_is_recomputed_and_a_wish_is_held(name):
    f, arguments, verdict = FUNCTIONS[name]
    assert check_derivatives(f, *arguments).verdict == verdict


def test_what_was_compiled_to_find_moving_state_is_kept():
    with settings(x64=True):
        case = trace_case(lambda a, b: [by_primitive(a, b)], [A, B], ["a", "b"], lambda: ["x"])
    (taker,) = (eq for eq in case.program.equations if eq.precomputed)
    assert "values" in taker.memo


def test_a_wrong_rule_that_takes_state_is_named():
    report = check_derivatives(wrong, A, B)
    assert report.details["culprits"][0]["name"] == "solved"


def test_a_primitive_may_be_trusted():
    report = check_derivatives(lambda a, b: primitive.bind(a, jnp.ones((3, 3)), b), A, B, trust=["solve_by_inverse"])
    assert report.verdict == "agree"
    assert Kind.TRUSTED_RULE in report.kinds


def test_state_within_what_is_differenced_as_a_whole_is_not_looked_for(monkeypatch):
    def refined(a, b):
        step = lambda x: x + by_lu(a, b - a @ x)  # noqa: E731
        return lax.while_loop(lambda x: jnp.max(jnp.abs(b - a @ x)) > 1e-12, step, jnp.zeros_like(b))

    f = jax.custom_vjp(refined)
    f.defvjp(lambda a, b: (f(a, b), (a, f(a, b))), lambda s, g: (-jnp.outer(u := linalg.solve(s[0].T, g), s[1]), u))
    monkeypatch.setattr(precomputed_state, "_StateRun", None)
    assert check_derivatives(f, A, B).verdict == "agree"
