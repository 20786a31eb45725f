"""Whose rule it is: named with its file and line, wherever it stands, and confirmed by its primal."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts, sampled
from jax.custom_derivatives import SymbolicZero
from own_rules import with_jvp, with_vjp

from harness import check_derivatives
from harness.checks.traced import culprits
from harness.facts.kinds import Kind
from reference.traced.rule_origins import written

X = np.random.default_rng(0).normal(size=4)


def wrong_bwd(x, g):
    return (g * (jnp.cos(x) * x * (1 + 1e-7) + jnp.sin(x)),)


wrong = with_vjp("wrong", lambda x: jnp.sin(x) * x, wrong_bwd)


@jax.custom_jvp
def also_wrong(x):
    return x**3


@also_wrong.defjvp
def also_wrong_jvp(primals, tangents):
    return also_wrong(*primals), 2.0 * primals[0] ** 2 * tangents[0]


@jax.custom_vjp
def solve(a, b):
    return jnp.linalg.solve(a, b)


def solve_bwd(residuals, g):
    a, x = residuals
    back = jnp.linalg.solve(a, g)  # not transposed
    return -jnp.outer(back, x), back


solve.defvjp(lambda a, b: (solve(a, b), (a, solve(a, b))), solve_bwd)

TARGET = np.array([0.3, -1.0, 2.0, 0.7])


def squared_error_bwd(x, g):
    return (g * (x - TARGET),)


squared_error = with_vjp("squared_error", lambda x: jnp.sum((x - TARGET) ** 2), squared_error_bwd)


def squares_bwd(x, g):
    return (2.1 * g * x,)


squares = with_vjp("squares", lambda x: x * x, squares_bwd)

CASES = {
    "over an array of the module": (squared_error, squared_error_bwd, "squared_error"),
    "in an expression": (lambda x: jnp.sum(jnp.tanh(wrong(x)) + x**2), wrong_bwd, "wrong"),
    "in a scan": (lambda x: jax.lax.scan(lambda c, t: (c + wrong(t), c), x[0], x)[0], wrong_bwd, "wrong"),
    "in a branch": (lambda x: jax.lax.cond(x[0] > -9.0, lambda t: wrong(t).sum(), jnp.sum, x), wrong_bwd, "wrong"),
    "under jit": (jax.jit(lambda x: wrong(x) * 2.0), wrong_bwd, "wrong"),
    "a solve": (lambda x: solve(jnp.diag(x) + jnp.ones((4, 4)).at[0, 1].set(3.0), x), solve_bwd, "solve"),
}


@pytest.mark.parametrize("name", sampled(CASES))
def test_the_rule_is_named_with_its_line(name):
    f, rule, function = CASES[name]
    report = check_derivatives(f, X)
    assert report.verdict == "disagree"
    culprit = report.details["culprits"][0]
    line = inspect.getsourcelines(rule)[1]
    assert culprit["name"] == function
    assert f"{rule.__name__} ({__file__}:{line})" == culprit["where"]
    assert culprit["explains"]
    assert facts(report, Kind.WRONG_RULE)[0].data["name"] == function


def not_transposed(a, b):
    return jax.lax.custom_linear_solve(
        lambda v: a @ v, b, lambda _, b: jnp.linalg.solve(a, b), lambda _, b: jnp.linalg.solve(a, b)
    )


def wrong_transpose(residuals, g):
    return 2.5 * residuals * g


def linear(x):
    return jnp.sin(jax.custom_derivatives.linear_call(lambda r, v: 2.0 * r * v, wrong_transpose, TARGET, x))


@jax.custom_batching.custom_vmap
def mapped(x):
    return jnp.sin(x)


@mapped.def_vmap
def mapped_otherwise(size, is_mapped, x):
    return jnp.cos(x), is_mapped[0]


def in_parallel(f):
    mesh, along = jax.sharding.Mesh(np.array(jax.devices()[:1]), "i"), jax.sharding.PartitionSpec("i")
    return jax.shard_map(f, mesh=mesh, in_specs=along, out_specs=along)


def row_off_bwd(x, g):
    return ((g * jnp.cos(x)).at[1].mul(1.05),)


row_off = with_vjp("row_off", jnp.sin, row_off_bwd)


SEVERAL = {  # the function, and those whose lines the report names
    "the transpose of a linear function": (linear, [wrong_transpose]),
    "the functions of a solver": (lambda x: not_transposed(jnp.diag(x) + TARGET, x), [not_transposed]),
    "another way to be mapped": (mapped, [mapped_otherwise]),
    "two": (lambda x: wrong(x) + also_wrong(x), [wrong_bwd, also_wrong_jvp]),
    "one after the other": (lambda x: wrong(also_wrong(x)), [wrong_bwd, also_wrong_jvp]),
    "a linear function in a loop": (
        lambda x: jax.lax.scan(lambda c, _: (linear(c), None), x, None, length=2)[0], [wrong_transpose],
    ),
    "a row in a shard_map, float32": (lambda x: in_parallel(row_off)(jnp.float32(x)), [row_off_bwd]),
    "two in a shard_map": (in_parallel(lambda x: wrong(x) + squares(x)), [wrong_bwd, squares_bwd]),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
def test_all_that_is_wrong_is_named_by_its_own_line(name):
    f, rules = SEVERAL[name]
    report = check_derivatives(f, X)
    named = [fact.where[0] for fact in facts(report, Kind.WRONG_RULE)]
    named += [fact.data["place"] for fact in facts(report, Kind.VALUE_DEPENDS_ON_RUN) if "place" in fact.data]
    assert len(named) == len(rules), named
    for rule in rules:
        code = inspect.unwrap(getattr(rule, "__wrapped__", rule)).__code__
        assert any(
            f"{code.co_filename}:{line}" in at
            for at in named
            for line in range(code.co_firstlineno, code.co_firstlineno + 3)
        ), named


straight_through = with_vjp(
    "straight_through", lambda x: jnp.round(x), lambda _, g: (g,), lambda x: (jnp.round(x), None)
)


@pytest.mark.parametrize(("factor", "verdict"), [(2.0, "agree"), (1.0, "disagree")])
def test_what_a_rule_does_for_an_argument_that_is_not_differentiated_is_checked(factor, verdict):
    def rule(primals, tangents):
        (x, y), (dx, dy) = primals, tangents
        if type(dx) is SymbolicZero:
            return product(x, y), factor * x * y * dy
        return product(x, y), y**2 * dx + (0.0 if type(dy) is SymbolicZero else 2.0 * x * y * dy)

    product = jax.custom_jvp(lambda x, y: x * y**2)
    product.defjvp(rule, symbolic_zeros=True)
    for f in (product, jax.vmap(product)):
        report = check_derivatives(f, np.array([0.7, -1.3]), np.array([0.2, 2.0]))
        assert report.verdict == verdict
        assert [fact.where for fact in report.notes if fact.kind == Kind.SYMBOLIC_ZEROS] == [("y",)] * (factor != 2.0)


@pytest.mark.parametrize(("term", "verdict"), [(1.0, "agree"), (0.0, "disagree")])
def test_what_a_rule_does_for_an_output_that_is_not_used_is_checked(term, verdict):
    def bwd(kept, cotangents):
        (x, y), (g, h) = kept, cotangents
        if type(g) is SymbolicZero:
            return term * y * h, x * h
        return jnp.cos(x) * g + (0.0 if type(h) is SymbolicZero else y * h), 0.0 if type(h) is SymbolicZero else x * h

    both = jax.custom_vjp(lambda x, y: (jnp.sin(x), x * y))
    both.defvjp(lambda x, y: (both(x.value, y.value), (x.value, y.value)), bwd, symbolic_zeros=True)
    assert check_derivatives(both, 0.7, -1.3).verdict == verdict


def test_a_trusted_rule_is_taken_as_it_is_and_the_rest_is_checked():
    f = lambda x: jnp.sum(straight_through(3.0 * x) ** 2)  # noqa: E731
    assert check_derivatives(f, X).verdict == "disagree"
    report = check_derivatives(f, X, trust=["straight_through"])
    assert report.verdict == "agree"
    assert facts(report, Kind.TRUSTED_RULE)[0].where == ("straight_through",)
    mistaken = check_derivatives(lambda x: wrong(straight_through(3.0 * x)), X, trust=["straight_through"])
    assert mistaken.verdict == "disagree"
    assert mistaken.details["culprits"][0]["name"] == "wrong"


def test_a_name_that_is_not_met_is_not_trusted_silently():
    with pytest.raises(ValueError, match="has no rule and no primitive of that name"):
        check_derivatives(jnp.sin, X, trust=["my_rond"])


clipped = with_vjp("clipped", lambda x: x, lambda _, g: (jnp.clip(g, -1.0, 1.0),), lambda x: (x, None))


def test_a_trusted_rule_need_not_be_linear():
    x = np.array([0.7, 1.2])
    report = check_derivatives(lambda x: jnp.sum(jnp.sin(x)) + 9.0 * clipped(x[0] ** 2), x, trust=["clipped"])
    assert report.verdict == "inconclusive"
    assert "clipped" in facts(report, Kind.NO_SLOPE)[0].data["reason"]
    assert report.decided_share == 0.5
    wrong_beside = lambda x: wrong(x[1:]).sum() + 9.0 * clipped(x[0] ** 2)  # noqa: E731
    assert check_derivatives(wrong_beside, x, trust=["clipped"]).verdict == "disagree"


def _by_jvp(again):
    rounded = with_jvp("rounded", lambda x: jnp.round(x), lambda p, t: ((rounded if again else jnp.round)(p[0]), t[0]))
    return rounded


def _by_vjp(again):
    rounded = with_vjp(
        "rounded", lambda x: jnp.round(x), lambda _, g: (g,), lambda x: ((rounded if again else jnp.round)(x), None)
    )
    return rounded


@pytest.mark.parametrize("make", [_by_jvp, _by_vjp])
@pytest.mark.parametrize("again", [False, True], ids=["by its formula", "by itself"])
def test_a_rule_may_be_trusted_twice_however_it_computes_its_primal(make, again):
    rounded = make(again)
    report = check_derivatives(lambda x: jnp.sum(rounded(x) * x**2), X, order=2, trust=["rounded"])
    assert report.verdict == "agree"
    assert facts(report, Kind.TRUSTED_RULE)[0].where == ("rounded",)
    with pytest.raises(ValueError, match="has no rule and no primitive of that name"):
        check_derivatives(lambda x: jnp.sum(rounded(x) * x**2), X, order=2, trust=["rounding"])


def inner(x):
    return jnp.sin(x)


inner = jax.custom_vjp(inner)
inner.defvjp(lambda x: (inner(x), x), lambda x, g: (1.001 * g * jnp.cos(x),))


def around_bwd(x, g):
    y, pull_back = jax.vjp(inner, x)
    return pull_back(2.0 * y * g)


around = with_vjp("around", lambda x: inner(x) ** 2, around_bwd)


def test_of_a_wrong_rule_within_another_the_inner_is_named():
    report = check_derivatives(around, X)
    assert [culprit["name"] for culprit in report.details["culprits"]] == ["inner"]
    assert report.details["culprits"][0]["explains"]


def test_a_rule_that_calls_a_wrong_one_under_jit_is_innocent():
    compiled = jax.jit(inner)
    f = jax.custom_vjp(lambda x: compiled(x) ** 2)
    f.defvjp(lambda x: jax.vjp(lambda x: compiled(x) ** 2, x), lambda pull_back, g: pull_back(g))
    report = check_derivatives(lambda x: f(x), X)
    assert [culprit["name"] for culprit in report.details["culprits"]] == ["inner"]
    assert check_derivatives(compiled, X).verdict == "disagree"  # and JAX remembers its rule again


exact = with_jvp("exact", jnp.sin, lambda x, t: (exact(*x), jnp.cos(x[0]) * t[0]))


def in_steps(step, count=3):
    """Steps in a loop that only the rule around it can differentiate, as libraries of solvers have it."""

    @jax.custom_vjp
    def loop(a, y):
        return jax.lax.while_loop(lambda s: s[0] < count, lambda s: (s[0] + 1, step(a, s[1])), (0, y))[1]

    def loop_bwd(residuals, g):
        a, y = residuals
        before = [y]
        for _ in range(count - 1):
            before.append(step(a, before[-1]))
        of_a = jnp.zeros_like(a)
        for y in reversed(before):
            more, g = jax.vjp(step, a, y)[1](g)
            of_a += more
        return of_a, g

    loop.defvjp(lambda a, y: (loop(a, y), (a, y)), loop_bwd)
    return loop


scaled = with_jvp(
    "scaled",
    lambda x: exact(x) + 0.1 * also_wrong(x),
    lambda x, t: jax.jvp(lambda x: exact(x) + 0.1 * also_wrong(x), x, t),
)


def in_scan(a, y):
    return jax.lax.scan(lambda c, t: (exact(c) + also_wrong(c * t), None), y, a)[0]


IN_STEPS = {  # a step, and the functions whose rules are wrong
    "one": (lambda a, y: 0.3 * exact(y) + 0.2 * squares(a * y), ["squares"]),
    "within another": (lambda a, y: y + 0.1 * scaled(a * y), ["also_wrong"]),
    "in a checkpointed scan": (
        lambda a, y: jax.checkpoint(lambda y: jax.lax.scan(lambda c, t: (exact(c) + also_wrong(c * t), None), y, a)[0])(
            y
        ),
        ["also_wrong"],
    ),
    "two": (lambda a, y: 0.1 * squares(y) + 0.1 * also_wrong(exact(a)), ["squares", "also_wrong"]),
    "in a loop within": (lambda a, y: in_steps(lambda a, y: 0.5 * exact(y) + 0.1 * squares(a))(a, y), ["squares"]),
}


@pytest.mark.parametrize("name", IN_STEPS)
def test_in_a_loop_with_a_rule_of_its_own_the_wrong_rules_are_named_and_no_other(name):
    step, rules = IN_STEPS[name]
    report = check_derivatives(lambda a, y: in_steps(step)(a, y), X[:2], X[2:])
    assert report.verdict == "disagree"
    assert {culprit["name"] for culprit in report.details["culprits"]} == set(rules)


def test_in_such_a_loop_a_wrong_rule_is_doubted_although_its_share_is_too_small_to_show():
    """Whether f depends on what is wrong is unknown, since JAX cannot pull a cotangent back through the loop."""
    step = lambda a, y: 0.3 * exact(y) + 1e-14 * squares(a * y)  # noqa: E731
    report = check_derivatives(lambda a, y: in_steps(step)(a, y), X[:2], X[2:])
    (fact,) = (fact for fact in report.facts if fact.kind == Kind.HIDDEN_RULE)
    assert (report.verdict, fact.data["name"]) == ("inconclusive", "squares")
    right = lambda a, y: 0.3 * exact(y) + 1e-14 * exact(a * y)  # noqa: E731
    assert check_derivatives(lambda a, y: in_steps(right)(a, y), X[:2], X[2:]).verdict == "agree"


def around_bwd_that_is_wrong(x, g):
    return (2.0 * around_bwd(x, g)[0],)


def test_where_the_rule_around_is_wrong_as_well_it_is_named_too_and_each_once():
    both = with_vjp("both", lambda x: inner(x) ** 2, around_bwd_that_is_wrong)
    report = check_derivatives(lambda x: both(x) + both(2.0 * x) + inner(x), X)
    assert [culprit["name"] for culprit in report.details["culprits"]] == ["inner", "both"]


@pytest.mark.parametrize(("function", "tried"), [(around, {"inner"}), ("both", {"inner", "both"})])
def test_a_rule_of_a_library_is_tried_only_where_no_rule_of_the_users_explains_the_whole(monkeypatch, function, tried):
    if function == "both":
        both = with_vjp("both", lambda x: inner(x) ** 2, around_bwd_that_is_wrong)
        function = lambda x: both(x) + inner(x)  # noqa: E731
    names, check_alone = [], culprits.check_alone

    def noting(equation, *args):
        names.append(written(equation)[0])
        return check_alone(equation, *args)

    monkeypatch.setattr(culprits, "is_rule_of_library", lambda equation: written(equation)[0] != "inner")
    monkeypatch.setattr(culprits, "check_alone", noting)
    report = check_derivatives(function, X)
    assert set(names) == tried == {culprit["name"] for culprit in report.details["culprits"]}


cube = with_jvp("cube", lambda x: x**3, lambda x, t: (x[0] ** 3, 3.0 * jax.lax.stop_gradient(x[0] ** 2) * t[0]))


def test_a_rule_that_is_wrong_in_the_second_derivative_alone_is_named():
    report = check_derivatives(lambda x: jnp.sum(cube(x) * x), X, order=2)
    assert report.verdict == "disagree"
    (culprit,) = report.details["culprits"]
    assert (culprit["name"], culprit["order"]) == ("cube", 2)
    assert Kind.FIRST_ORDER_UNCHECKED in report.kinds


@jax.custom_gradient
def written_down(x):
    return jnp.sum(x**3), lambda g: 2.0 * g * x**2


def place(function):
    return f"{function.__name__} ({__file__}:{inspect.getsourcelines(function)[1]})"


def test_a_rule_that_jax_makes_is_named_with_the_function_that_it_is_made_of():
    (culprit,) = check_derivatives(lambda x: written_down(x), X).details["culprits"]
    assert (culprit["name"], culprit["of_jax"]) == ("written_down", False)
    assert culprit["where"].startswith(f"written_down ({__file__}:")


@jax.custom_jvp
def product(x, y):
    return x * y


def by_x(dx, _, x, y):
    return dx * y


def by_y(dy, _, x, y):
    return dy * y


product.defjvps(by_x, by_y)


def test_a_rule_in_parts_is_named_with_the_lines_of_these():
    (culprit,) = check_derivatives(lambda x: product(x, jnp.sin(x)), X).details["culprits"]
    assert (culprit["name"], culprit["where"]) == ("product", f"{place(by_x)}, {place(by_y)}")


def test_a_rule_of_jax_has_the_name_by_which_it_is_called_and_the_line_that_calls_it():
    report = check_derivatives(lambda x: jax.nn.relu6(x) - jax.nn.relu6(-x), np.zeros(1))
    (culprit,) = report.details["culprits"]
    assert (culprit["name"], culprit["of_jax"]) == ("jax.nn.relu6", True)
    assert culprit["where"].startswith("called by ")
    assert __file__ in culprit["where"]
    assert "custom_derivatives" not in culprit["where"]
    assert (culprit["off"], culprit["explains"]) == (0.0, True)


def root_fwd(x):
    return jnp.sqrt(x) + 1e-3, x


root = with_vjp("root", jnp.sqrt, lambda x, g: (0.5 * g / jnp.sqrt(x),), root_fwd)


def test_a_wrong_value_is_blamed_on_the_fwd_that_returns_it():
    report = check_derivatives(lambda x: 2.0 * root(x), np.abs(X))
    assert (report.reasons[0].data["rule"], report.reasons[0].data["place"]) == ("root", place(root_fwd))
    assert [culprit["where"] for culprit in report.details["culprits"]] == [place(root_fwd)]
