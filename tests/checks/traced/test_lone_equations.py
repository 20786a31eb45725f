"""A rule that is wrong by itself although every derivative of the whole agrees, and whether f uses what is wrong."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts, rule

from harness import check_derivatives
from harness.facts.fact import Severity
from harness.facts.kinds import Kind

X = np.random.default_rng(0).normal(size=4)
wrong = rule(lambda x: jnp.sin(x) * x, lambda x, g: g * (jnp.cos(x) * x * (1 + 1e-7) + jnp.sin(x)))


@pytest.mark.parametrize("x", [X, X[:1]], ids=len)
def test_two_errors_that_cancel_are_both_named(x):
    @jax.custom_vjp
    def half(x):
        return x * 2.0

    @jax.custom_vjp
    def twice(x):
        return x * 3.0

    half.defvjp(lambda x: (x * 2.0, None), lambda _, g: (g,))
    twice.defvjp(lambda x: (x * 3.0, None), lambda _, g: (6.0 * g,))
    report = check_derivatives(lambda x: half(twice(x)), x)
    assert report.verdict == "disagree"
    rules, mistakes = report.facts[:4:2], report.facts[1:4:2]  # each rule, and what is wrong with it
    assert {(fact.kind, fact.data["name"]) for fact in rules} == {(Kind.HIDDEN_RULE, x) for x in ("half", "twice")}
    assert all(fact.where == ("its argument x",) and fact.data["factor"] in (0.5, 2.0) for fact in mistakes)
    assert {culprit["name"] for culprit in report.details["culprits"]} == {"half", "twice"}


def root_of_size(x):
    return jnp.sqrt(jnp.abs(x))


one_sided = rule(root_of_size, lambda x, g: 0.5 * g / root_of_size(x))  # wrong for negative numbers


@jax.custom_vjp
def first_column_of_inverse(q):
    return jnp.linalg.inv(q)[:, 0]


def symmetrised(inverse, g):
    full = -jnp.outer(inverse.T @ g, inverse[:, 0])
    return ((full + full.T) / 2,)


first_column_of_inverse.defvjp(lambda q: (jnp.linalg.inv(q)[:, 0], jnp.linalg.inv(q)), symmetrised)


def test_a_rule_that_is_wrong_where_f_does_not_use_it_is_not_named():
    @jax.custom_jvp
    def solve(x):  # by one step, with the size of the residual
        return 0.5 * x, jnp.abs(x) + 5.0 * x

    solve.defjvp(lambda p, t: (solve(*p), (0.5 * t[0], jnp.zeros_like(t[0]))))
    report = check_derivatives(lambda x: jnp.sum(solve(wrong(x))[0]), X)
    (culprit,) = report.details["culprits"]
    assert culprit["name"] != "solve", report


A = np.array([[1.0, 0.4, -0.2], [0.1, 1.5, 0.3], [-0.5, 0.2, 2.0]])


def row_of_square(q):
    return (q @ q)[0]


def antisymmetric_part(q, g):
    (full,) = jax.vjp(row_of_square, q)[1](g)
    return (full - full.T) / 2


row_for_antisymmetric = rule(row_of_square, antisymmetric_part)
square_up_to_a_constant = rule(lambda x: x**2, lambda x, g: 2.0 * x * g + jnp.sum(g))

FOR_SOME = {  # a rule that is right along some tangents or for some cotangents alone, and a function that has no others
    "symmetric": (first_column_of_inverse, lambda a: first_column_of_inverse(a @ a.T)),
    "antisymmetric": (row_for_antisymmetric, lambda a: row_for_antisymmetric(a - a.T)),
    "up to a constant": (square_up_to_a_constant, lambda a: jnp.diff(jnp.ravel(square_up_to_a_constant(a)))),
}


@pytest.mark.parametrize("name", FOR_SOME)
def test_a_rule_is_no_fault_where_it_is_right_for_all_that_it_meets(name):
    alone, f = FOR_SOME[name]
    report = check_derivatives(f, A)
    assert (report.verdict, [fact.severity for fact in facts(report, Kind.HIDDEN_RULE)]) == ("agree", [Severity.NOTE])
    assert check_derivatives(alone, A).verdict == "disagree"


HIDDEN = {  # a function that uses a wrong rule, and whether it depends on what is wrong
    "a share below rounding": (lambda x: jnp.sum(jnp.cosh(x)) + 1e-20 * jnp.sum(wrong(x)), True),
    "a minimum": (lambda x: jnp.sum((one_sided(x) - root_of_size(X)) ** 2) + jnp.sum(x), True),
    "a branch that is not chosen": (lambda x: jnp.where(x > 0, one_sided(x), x), False),
    "stopped": (lambda x: x * jax.lax.stop_gradient(wrong(x)), False),
    "a factor of zero": (lambda x: x**2 + 0.0 * wrong(x), False),
    "entries that are not read": (lambda x: one_sided(x)[X > 0], False),
    "not the largest": (lambda x: jnp.maximum(x, wrong(x) - 9.0), False),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_hidden_error_is_wrong_unless_the_program_does_not_use_it(name):
    f, is_used = HIDDEN[name]
    report = check_derivatives(f, X)
    assert report.verdict == ("disagree" if is_used else "agree"), report
    assert {fact.severity for fact in facts(report, Kind.HIDDEN_RULE)} == {Severity.WRONG if is_used else Severity.NOTE}


def test_a_rule_is_in_doubt_where_it_is_unknown_whether_the_function_uses_what_is_wrong():
    """JAX pulls no cotangent back through a loop that decides itself when it ends."""
    twice, half = jax.custom_jvp(lambda x: 2.0 * x), jax.custom_jvp(lambda x: 0.5 * jnp.sin(x))
    twice.defjvp(lambda x, t: (twice(*x), 4.0 * t[0]))
    half.defjvp(lambda x, t: (half(*x), 0.25 * jnp.cos(x[0]) * t[0]))
    f = lambda x: jax.lax.while_loop(lambda s: s[1] < 3, lambda s: (half(twice(s[0])), s[1] + 1), (x, 0))[0]  # noqa: E731
    report = check_derivatives(f, X)
    assert report.verdict == "inconclusive"
    assert [fact.severity for fact in facts(report, Kind.HIDDEN_RULE)] == [Severity.DOUBT] * 2


RULE_IN_A_FILE = """
@jax.custom_vjp
def root(x):
    return jnp.sqrt(jnp.abs(x))

root.defvjp(lambda x: (root(x), x), lambda x, g: (0.5 * g / root(x),))
"""


@pytest.mark.parametrize(("file", "named"), [("rules.py", True), ("/lib/site-packages/solver/rules.py", False)])
def test_where_the_whole_agrees_the_rules_of_a_library_are_not_checked_alone(file, named):
    space: dict[str, Any] = {"jax": jax, "jnp": jnp}
    exec(compile(RULE_IN_A_FILE, file, "exec"), space)
    report = check_derivatives(lambda x: jnp.where(x > 0, space["root"](x), x), X)
    assert (report.verdict, Kind.HIDDEN_RULE in report.kinds) == ("agree", named)
    assert Kind.WRONG_RULE in {
        fact.kind for finding in check_derivatives(space["root"], X).findings for fact in finding.diagnosis
    }


def test_a_wrong_rule_of_the_user_is_named_before_one_of_a_library_that_is_off_by_more():
    space: dict[str, Any] = {"jax": jax, "jnp": jnp}
    exec(compile(RULE_IN_A_FILE, "/lib/site-packages/solver/rules.py", "exec"), space)
    own = jax.custom_vjp(jnp.sin)
    own.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (g * jnp.cos(x) * (1 + 1e-7),))
    report = check_derivatives(lambda x: space["root"](x) + own(x), X)
    assert [culprit["name"] for culprit in report.details["culprits"]] == ["sin", "root"]
