"""A function has one value, however JAX runs it: compiled, eagerly, batched, differentiated."""

import jax
import jax.extend as jex
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts
from jax import lax
from jax.interpreters import ad, batching, mlir
from own_rules import with_jvp, with_vjp, with_vmap

from harness import check_derivatives
from harness.checks.traced.function_values import BATCHED, EAGERLY
from harness.facts.kinds import Kind

X = np.array([0.7, -1.3, 0.2])


def by_tracing(x):
    traced = isinstance(x, jax.core.Tracer)  # pyright: ignore[reportAttributeAccessIssue]
    return jnp.sin(x) if traced else jnp.cos(x)


batched_otherwise = with_vmap(
    "batched_otherwise",
    lambda x: jnp.sum(jnp.sin(x)),
    lambda axis_size, in_batched, x: (jnp.sum(jnp.cos(x), axis=-1), True),
)


with_a_rule = with_vjp(
    "with_a_rule", lambda x: batched_otherwise(x), lambda x, g: (g * jnp.cos(x),), lambda x: (jnp.sum(jnp.sin(x)), x)
)


def with_two_implementations():
    """A primitive of somebody's own that computes another value where it is not compiled."""
    doubled = jex.core.Primitive("doubled")
    doubled.def_impl(lambda x: np.multiply(3.0, x))
    doubled.def_abstract_eval(lambda x: x)
    mlir.register_lowering(doubled, mlir.lower_fun(lambda x: 2.0 * x, multiple_results=False))
    batching.primitive_batchers[doubled] = lambda args, axes: (doubled.bind(*args), axes[0])
    ad.deflinear2(doubled, lambda g, _: [2.0 * g])
    return lambda x: doubled.bind(jnp.sin(x))


@pytest.mark.parametrize(
    ("f", "how"), [(by_tracing, EAGERLY), (with_a_rule, BATCHED), (with_two_implementations(), EAGERLY)]
)
def test_another_value_in_another_way_contradicts_the_interpreter(f, how):
    report = check_derivatives(f, X)
    assert report.verdict == "disagree"
    assert how in [fact.data["how"] for fact in report.reasons if fact.kind == Kind.VALUE_DEPENDS_ON_RUN]
    assert not report.findings


batched_alike = with_vmap(
    "batched_alike",
    lambda x: jnp.sum(jnp.sin(x)),
    lambda axis_size, in_batched, x: (jnp.sum(jnp.sin(x), axis=-1), True),
)


@pytest.mark.parametrize("f", [with_a_rule, lambda x: batched_alike(x) + with_a_rule(x)])
def test_a_wrong_batching_rule_is_named_and_no_right_one_beside_it(f):
    facts = [fact for fact in check_derivatives(f, X, modes=["reverse"]).reasons if fact.data.get("how") == BATCHED]
    assert [str(fact.data["rule"]).split()[0] for fact in facts] == ["batched_otherwise"]


def not_for_batches(x):
    @jax.custom_batching.custom_vmap
    def f(x):
        return x * 2.0

    @f.def_vmap
    def _(axis_size, in_batched, x):
        raise NotImplementedError("no batches here")

    g = with_vjp("g", lambda x: f(x), lambda _, c: (2.0 * c,), lambda x: (x * 2.0, None))
    return g(x)


def test_what_cannot_be_batched_is_noted():
    report = check_derivatives(not_for_batches, X)
    assert report.verdict == "agree"
    assert "no batches here" in facts(report, Kind.NOT_BATCHABLE)[0].data["message"]


def in_its_type(x):
    y = x * jnp.exp(jnp.full((), 1.0))  # Python's number leaves the type to x
    return y * float(jnp.finfo(y.dtype).bits)


sine = jax.custom_jvp(jnp.sin)
sine.defjvps(lambda t, y, x: jnp.cos(x) * t)

SAME = {
    "a right rule": (sine, X),
    "a sum in float32": (lambda x: jnp.sum(jnp.sin(x) * 1e3), np.linspace(-1, 1, 64).astype(np.float32)),
    "layers in bfloat16": (lambda x: jnp.sum(jnp.tanh(x @ x.T) ** 2), jnp.ones((5, 5), "bfloat16") * 0.3),
    "an infinity": (lambda x: jnp.log(x), np.array([0.0])),
    "an overflow within": (jax.jit(lambda x: x / (x * x) * x), np.array([1e25, 2.0], np.float32)),
    "random numbers": (lambda x: x * jax.random.normal(jax.random.key(0), x.shape), X),
}


@pytest.mark.parametrize("name", SAME)
def test_rounding_is_no_other_value(name):
    report = check_derivatives(*SAME[name])
    assert report.verdict != "disagree"
    assert Kind.VALUE_DEPENDS_ON_RUN not in report.kinds


ROWS, WEIGHTS = np.array([0, 2]), np.linspace(0.1, 1.0, 3)


@pytest.mark.parametrize(
    "f",
    [
        lambda a: jnp.sin(a[ROWS]),
        lambda a: jnp.take(a, ROWS, axis=0, mode="clip"),
        lambda a: jnp.sin(a) @ WEIGHTS,
        jax.jit(lambda a: jnp.take(jnp.sin(a) * WEIGHTS, ROWS, axis=0, mode="clip")),
    ],
)
def test_what_jax_made_of_an_array_in_32_bits_and_in_64_are_apart(f):
    a = np.linspace(0.1, 0.9, 9).reshape(3, 3)
    for _ in range(2):
        assert f(a).dtype == jax.jit(f)(a).dtype == np.float32
        assert check_derivatives(f, a).verdict == "agree"


# -- the value while a mode differentiates ----------------------------------------------------------------------------


other_when_pulled_back = with_vjp(
    "other_when_pulled_back", jnp.sin, lambda x, g: (g * jnp.cos(x),), lambda x: (jnp.sin(x) + 1e-9, x)
)


other_when_pushed_forward = with_jvp(
    "other_when_pushed_forward", jnp.sin, lambda x, t: (jnp.sin(x[0]) + 1.0, jnp.cos(x[0]) * t[0])
)


@pytest.mark.parametrize(
    ("f", "mode"), [(other_when_pulled_back, "reverse"), (lambda x: 2.0 * other_when_pushed_forward(x), "forward")]
)
def test_a_rule_that_returns_another_value_is_wrong(f, mode):
    report = check_derivatives(f, X)
    assert report.verdict == "disagree"
    (fact, *_) = [fact for fact in report.reasons if mode in fact.data["how"]]
    assert (fact.kind, __file__ in fact.data["place"]) == (Kind.VALUE_DEPENDS_ON_RUN, True)


rounded_otherwise = with_vjp(
    "rounded_otherwise",
    lambda x: jnp.log(1.0 + jnp.exp(x)),
    lambda x, g: (g * jax.nn.sigmoid(x),),
    lambda x: (jnp.logaddexp(x, 0.0), x),
)


@pytest.mark.parametrize("x", [X, -30.0 + X, 1e3 * X], ids=["at hand", "in the tail", "far away"])
def test_another_formula_for_the_same_value_is_none(x):
    assert not any(
        "differentiated" in fact.data["how"]
        for fact in facts(check_derivatives(rounded_otherwise, x), Kind.VALUE_DEPENDS_ON_RUN)
    )


def mapped(factor, *, mixed=1.0):
    """x₀ sin x₁ with a rule for vmap that is off by a factor; by another one where it is mapped over x₁ alone."""
    sine = with_vjp("sine", jnp.sin, lambda x, g: (g * jnp.cos(x),))

    @jax.custom_batching.custom_vmap
    def product(x, y):
        return x * sine(y)

    @product.def_vmap
    def product_of_many(size, in_batched, x, y):
        return (factor if in_batched[0] else mixed) * x * sine(y), True

    return product


@pytest.mark.parametrize(
    ("f", "is_right", "dtype"),
    [
        (lambda x: jax.vmap(mapped(1.0))(x, x), True, "float32"),
        (lambda x: jax.vmap(mapped(1.5))(x, x), False, "float64"),
        (lambda x: jax.vmap(mapped(1.0, mixed=0.5), (None, 0))(x[0], x), False, "float32"),
        (lambda x: jax.vmap(mapped(1.5, mixed=1.0), (None, 0))(x[0], x), True, "float64"),  # not its branch
        (lambda x: jax.vmap(jax.jit(jax.vmap(mapped(1.5), (0, None))), (None, 0))(x, x), False, "float64"),
        (lambda x: jax.vmap(lambda y: mapped(1.0)(y, y) + mapped(1.5)(y, y))(x), False, "bfloat16"),
    ],
)
def test_a_wrong_rule_for_vmap_is_named_though_f_is_made_of_it(f, is_right, dtype):
    report = check_derivatives(f, X.astype(jnp.dtype(dtype)))
    named = [fact.data for fact in report.facts if fact.kind == Kind.VALUE_DEPENDS_ON_RUN]
    assert report.verdict == ("agree" if is_right else "disagree"), report
    expected = set() if is_right else {("product", True)}
    assert {(data["rule"], "product_of_many (" in data["place"]) for data in named} == expected


def product(rule):
    """x sin x with a rule for vmap; all of them are written in the same lines."""
    return with_vmap("product", lambda x: x * jnp.sin(x), rule)


def right_rule(size, in_batched, x):
    return x * jnp.sin(x), True


def wrong_rule(size, in_batched, x):
    return 1.5 * x * jnp.sin(x), True


class Product:
    def __call__(self, x):
        return x * jnp.sin(x)


def of_an_object(rule):
    mapped = jax.custom_batching.custom_vmap(Product())
    mapped.def_vmap(rule)
    return mapped


centred = with_vmap(
    "centred", lambda x: x - lax.pmean(x, "batch"), lambda size, in_batched, x: (x - jnp.mean(x, axis=0), True)
)


def by_both(first, second):
    return lambda x: jax.vmap(lambda y: first(y) + second(y), axis_name="batch")(x)


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (by_both(product(right_rule), product(wrong_rule)), "product"),
        (by_both(product(wrong_rule), product(right_rule)), "product"),
        (by_both(of_an_object(right_rule), of_an_object(wrong_rule)), "Product"),
        (by_both(centred, product(wrong_rule)), "product"),  # of an axis that is not there in a loop
        (by_both(centred, product(right_rule)), None),
    ],
)
def test_the_wrong_rule_for_vmap_is_named_beside_a_right_one(f, name):
    named = [fact.data for fact in facts(check_derivatives(f, X), Kind.VALUE_DEPENDS_ON_RUN)]
    assert {(data["rule"], data["place"].partition(" ")[0]) for data in named} == (
        {(name, "wrong_rule")} if name else set()
    )


def test_of_several_rules_for_vmap_the_wrong_one_is_named_where_only_the_check_batches():
    with_rule = jax.custom_jvp(lambda x: product(right_rule)(x) + product(wrong_rule)(x))
    with_rule.defjvp(lambda x, t: (with_rule(*x), (x[0] * jnp.cos(x[0]) + jnp.sin(x[0])) * 2.0 * t[0]))
    (fact,) = facts(check_derivatives(with_rule, X), Kind.VALUE_DEPENDS_ON_RUN)
    assert (fact.data["how"], fact.data["place"].partition(" ")[0]) == (BATCHED, "wrong_rule")


def around(inner, factor=2.0):
    """A rule for vmap that calls another function's."""
    twice = jax.custom_batching.custom_vmap(lambda x: 2.0 * inner(x))

    @twice.def_vmap
    def rule_around(size, in_batched, x):
        return factor * jax.vmap(inner)(x), True

    return twice


def halving(*factors):
    """Rules for vmap that call the next one's function for halves of the batch, and the last one that of the first."""
    functions = [jax.custom_batching.custom_vmap(lambda x: jnp.sin(x)) for _ in factors]
    for k, (function, factor) in enumerate(zip(functions, factors)):

        @function.def_vmap
        def rule_of_halves(size, in_batched, x, k=k, factor=factor):
            if size < 2:
                return factor * jnp.sin(x), True
            halves = [jax.vmap(functions[k - 1])(half) for half in jnp.split(x, [size // 2])]
            return factor * jnp.concatenate(halves), True

    return functions[0]


@pytest.mark.parametrize(
    ("outer", "names"),
    [
        (halving(1.0), set()),
        (halving(1.5), {"rule_of_halves"}),
        (around(halving(1.5)), {"rule_of_halves"}),
        (halving(1.0, 1.5), {"rule_of_halves"}),
        (around(product(wrong_rule)), {"wrong_rule"}),
        (around(product(right_rule), 2.5), {"rule_around"}),
        (around(product(wrong_rule), 2.5), {"wrong_rule", "rule_around"}),
    ],
)
@pytest.mark.parametrize("by_f", [True, False], ids=["batched by f", "by the check"])
def test_of_rules_for_vmap_that_call_each_other_only_the_wrong_ones_are_named(outer, names, by_f):
    report = check_derivatives(jax.vmap(outer) if by_f else outer, X)
    named = [fact.data for fact in facts(report, Kind.VALUE_DEPENDS_ON_RUN)]
    assert {data["place"].partition(" ")[0] for data in named if "place" in data} == names


def roots(factor, tolerance=1e-6):
    """√a by Newton's steps, whose rule for vmap goes on until all are near enough, and is off by a factor."""

    def solved(a):
        far = lambda y: jnp.any(jnp.abs(y * y - a) > tolerance)  # noqa: E731
        return lax.while_loop(far, lambda y: 0.5 * (y + a / y), a + 1.0)

    root = with_vmap("root", lambda a: solved(a), lambda size, in_batched, a: (factor * solved(a), True))

    with_rule = jax.custom_vjp(lambda a: root(a))
    with_rule.defvjp(lambda a: (root(a), root(a)), lambda y, g: (g / (2.0 * y),))
    return lambda a: jax.vmap(with_rule)(a)


@pytest.mark.parametrize(
    ("f", "accuracy", "is_right"),
    [
        (roots(1.0), 0.0, True),
        (roots(1.0), 1e-12, True),
        (roots(1.0 + 1e-3), 0.0, False),
        (roots(1.0 + 1e-3), 1e-2, True),
        (lambda x: jax.vmap(mapped(1.0 + 1e-3))(x, x).sum() + roots(1.0, tolerance=1e-3)(x)[0], 0.0, False),
    ],
)
def test_what_a_tolerance_or_an_accuracy_leaves_of_a_value_is_no_other_value(f, accuracy, is_right):
    report = check_derivatives(f, np.array([2.7, 30.0, 1e4]), accuracy=accuracy)
    assert (Kind.VALUE_DEPENDS_ON_RUN not in report.kinds) == is_right, report


@pytest.mark.parametrize("accuracy", [0.0, 1e-8])
def test_an_accuracy_accepts_the_other_value_of_a_forward_half(accuracy):
    report = check_derivatives(other_when_pulled_back, X, accuracy=accuracy)
    assert report.verdict == ("agree" if accuracy else "disagree")
