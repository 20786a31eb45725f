"""In float32 and less: a rule is judged by its evaluation in float64, however wide its own error bounds are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import DEEP, facts, sampled

from harness import check_derivatives
from harness.bounds.tolerances import MEANT
from harness.facts.kinds import Kind

RNG = np.random.default_rng(1)
SQUARE, X = RNG.normal(size=(4, 4)), RNG.normal(size=4)
LAYERS = [RNG.normal(size=(4, 4)) * 0.5 for _ in range(4)]


def ruled(f, rule):
    """f with rule(*arguments, g) for its backward pass."""
    wrapped = jax.custom_vjp(f)
    wrapped.defvjp(lambda *x: (f(*x), x), lambda x, g: rule(*x, g))
    return wrapped


def squares(factor):
    return ruled(lambda v: jnp.sum(v * v), lambda v, g: (factor * g * v,))


def by_tanh(x):
    return 0.5 * x * (1.0 + jnp.tanh(0.7978845608 * (x + 0.044715 * x**3)))


def gelu(first=1.0, half=0.5, c=3 * 0.044715):
    """GELU by tanh with a rule of its own, whose constants are rounded for themselves."""

    def rule(x, g):
        t = jnp.tanh(0.7978845608 * (x + 0.044715 * x**3))
        return (g * (first * half * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.7978845608 * (1.0 + c * x * x)),)

    return ruled(by_tanh, rule)


def standardised(share=1.0):
    """Layer norm with a rule of its own, by 1/n as a constant; `share` scales one of its three terms."""

    def f(x):
        return (x - x.mean()) * jax.lax.rsqrt(((x - x.mean()) ** 2).mean() + 1e-5)

    def rule(x, g):
        y, n = f(x), jnp.asarray(1.0 / x.size, x.dtype)
        scale = jax.lax.rsqrt(((x - x.mean()) ** 2).mean() + 1e-5)
        return (scale * (g - g.sum() * n - share * y * (g * y).sum() * n),)

    return ruled(f, rule)


def cross_entropy(share=1.0):
    f = lambda z: jax.nn.logsumexp(z) - z[1]  # noqa: E731
    return ruled(f, lambda z, g: (g * (share * jax.nn.softmax(z) - jnp.eye(z.size, dtype=z.dtype)[1]),))


def network(activation, loss=lambda h: jnp.sum(h * h)):
    def f(x, layers):
        for w in layers:
            x = activation(w @ x)
        return loss(x)

    return f


def scan(activation):
    return lambda w, x: jnp.sum(jax.lax.scan(lambda c, _: (activation(w @ c), None), x, None, length=20)[0])


def cast(dtype, *trees):
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), trees)


LEAKY = ruled(lambda x: jnp.where(x > 0.0, x, 0.01 * x), lambda x, g: (jnp.where(x > 0.0, g, 0.0 * g),))

WRONG = {
    "2.1 for 2": (lambda m, x: squares(2.1)(m @ x), SQUARE, X),
    "2.1 for 2, beside other terms": (lambda m, x: squares(2.1)(m @ x) + jnp.sum(jnp.sin(m)), SQUARE, X),
    "5% in one of two terms": (network(gelu(first=1.05)), X, LAYERS[:3]),
    "a half is missing": (network(gelu(half=1.0)), X, LAYERS[:3]),
    "a half is missing, in a softmax loss": (network(gelu(half=1.0), lambda h: cross_entropy()(h)), X, LAYERS[:2]),
    "a constant of GELU": (gelu(c=0.0), 1.5 * X),
    "5% in a softmax loss": (network(jnp.tanh, cross_entropy(1.05)), X, LAYERS[:2]),
    "5% in a term of layer norm": (lambda x, w: jnp.sum(w * standardised(1.05)(x)), X, X**2),
    "a cotangent clipped at 10": (ruled(jnp.square, lambda x, g: (2.0 * x * jnp.clip(g, -10.0, 10.0),)), X),
    "a slope of 0 for 0.01": (LEAKY, X),
    "a slope of 0 for 0.01, in a sum": (lambda x: jnp.sum(LEAKY(x)), X),
    "5% in a scan": (scan(ruled(jnp.tanh, lambda x, g: (g * (1.0 - 1.05 * jnp.tanh(x) ** 2),))), LAYERS[0], X),
}


@pytest.mark.parametrize("name", sampled(WRONG))
def test_a_wrong_rule_is_found_in_bfloat16(name):
    f, *arguments = WRONG[name]
    assert check_derivatives(f, *cast("bfloat16", *arguments)).verdict == "disagree"


HALVES = ["bfloat16", "float16"]


def huber(x):
    return jnp.where(jnp.abs(x) <= 0.1, 5.0 * x * x, jnp.abs(x) - 0.05)


def sine_over_x(x):
    """sin x / x by its series near zero, whose rule goes on by it for longer."""
    return jnp.where(jnp.abs(x) < 1e-2, 1.0 - x * x / 6.0, jnp.sin(x) / jnp.where(x == 0.0, 1.0, x))


def by_series(x, g):
    s = jnp.where(x == 0.0, 1.0, x)
    return (g * jnp.where(jnp.abs(x) < 0.1, -x / 3.0 + x**3 / 30.0, (jnp.cos(x) - jnp.sin(x) / s) / s),)


def attention(q, k, v):
    return jax.nn.softmax(q @ k.T * 0.57735) @ v


def recomputed(q, k, v, g):
    p = jax.nn.softmax(q @ k.T * 0.57735)
    d = g @ v.T
    s = p * (d - jnp.sum(p * d, axis=-1, keepdims=True)) * 0.57735
    return s @ k, s.T @ q, p.T @ g


RIGHT = {
    "constants of its own": (network(gelu()), X, LAYERS[:2]),
    "where the terms cancel": (gelu(), np.array([-0.7518])),
    "deep": (network(gelu()), X, LAYERS),
    "in a scan": (scan(gelu()), LAYERS[0], X),
    "1/n as a constant": (lambda x, w: jnp.sum(w * standardised()(x)), X, X**2),
    "a derivative of zero": (lambda b, x, w: standardised()(b[0] + x) @ w + b[1], X[:2], X, X**2),
    "a softmax loss": (network(jnp.tanh, cross_entropy()), X, LAYERS[:2]),
    "a series where another ends": (ruled(sine_over_x, by_series), np.array([0.003, 0.05, 0.2, 1.5])),
    "a threshold that is computed": (
        ruled(huber, lambda x, g: (g * jnp.where(jnp.abs(x) < 1 / jnp.asarray(10.0, x.dtype), 10.0 * x, jnp.sign(x)),)),
        np.array([-0.3, 0.05, 0.2]),
    ),
    "a tie by rounding alone": (
        ruled(lambda x: jnp.maximum(x, 1.0 / jnp.asarray(10.0, x.dtype)), lambda x, g: (g * (x > 0.1),)),
        np.array([0.1, 0.3, -1.0]),
    ),
    "a tie that its rule has by rounding": (
        ruled(lambda x: jnp.maximum(x, 0.1), lambda x, g: (g * (x > 1.0 / jnp.asarray(10.0, x.dtype)),)),
        np.array([0.1, 0.3, -1.0]),
    ),
    "attention recomputed": (ruled(attention, recomputed), LAYERS[0][:2], LAYERS[1][:3], LAYERS[2][:3]),
    "in float32 inside": (lambda x: gelu()(x.astype("float32")).astype(x.dtype), X),
    "zero by underflow": (jax.nn.softmax, np.array([20.0, 0.0, -20.0])),
    "below the normal numbers": (lambda x, w: jnp.cumsum(x * w), 1e-3 * X, np.array([2e-3, 1e-3, -1e-3, 5e-4])),
    "a scaled loss": (lambda x, w: 1024.0 * network(gelu())(x, w), X, LAYERS[:2]),
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, dtype) for i, name in enumerate(RIGHT) for j, dtype in enumerate(HALVES) if DEEP or (i + j) % 2],
)
def test_a_right_rule_agrees(name, dtype):
    f, *arguments = RIGHT[name]
    report = check_derivatives(f, *cast(dtype, *arguments))
    assert report.verdict == "agree", report


def logit_of_sigmoid(x):
    return jax.scipy.special.logit(0.9 * jax.nn.sigmoid(x) + 0.05)


BY_ROUNDING = {
    "an absolute value": (lambda x: jnp.abs(logit_of_sigmoid(x)), np.array([-1e-3, 5e-4, 1e-4])),
    "a running maximum": (lambda x: jax.lax.cummax(jax.nn.sigmoid(x) - 0.5), np.array([-6.6e-5, 7.6e-5, -1.9e-4])),
    "a hinge": (lambda x: jnp.maximum(0.0, 1.0 - (1.0 + (x - jnp.mean(x)))), 0.05 * X),
    "a bound": (lambda x: jnp.minimum((x + 1.0) * (x - 1.0) - x * x + 1.0 + x + 0.3, 0.3), 3e-4 * X),
    "the least of some": (
        lambda x: jnp.min(jnp.square(jax.nn.sigmoid(x) - 0.73) + jax.nn.sigmoid(x)), np.array([1.0, 1.0039, 1.0]),
    ),
    "in a rule": (
        lambda x: ruled(jnp.abs, lambda y, g: (g * jnp.sign(y),))((1.0 + x) ** 3.0 - 1.0), 3e-4 * X,
    ),
}  # fmt: skip
"""What cancels to less than what rounding moved of it decides."""


@pytest.mark.parametrize("name", BY_ROUNDING)
@pytest.mark.parametrize("dtype", [*HALVES, "float32"])
def test_where_rounding_decides_either_branch_is_right(name, dtype):
    f, x = BY_ROUNDING[name]
    for seed in range(3 if DEEP else 1):
        report = check_derivatives(f, *cast(dtype, x), seed=seed)
        assert report.verdict != "disagree", report
        assert report.verdict == "agree" or dtype != "float32", report


@pytest.mark.parametrize("dtype", [*HALVES, "float32"])
def test_what_is_on_neither_side_is_wrong_where_rounding_decides(dtype):
    f = ruled(jnp.abs, lambda y, g: (2.0 * g * jnp.sign(y),))
    (x,) = cast(dtype, np.array([-1e-3, 0.3]))
    assert check_derivatives(lambda x: f(logit_of_sigmoid(x)), x).verdict == "disagree"


def test_slopes_of_numbers_that_rounding_orders_add_up():
    """In float32, where what lies between both sides has an error bound all the same."""
    f = lambda x: jnp.max(jax.nn.logsumexp(x) - x + 1.0986123)  # noqa: E731
    report = check_derivatives(f, jnp.array([1.0, 1.0 - 2.0**-24, 1.0], "float32"))
    assert report.verdict == "agree", report


@pytest.mark.parametrize("seed", range(4))
def test_two_modes_may_have_conventions_of_their_own(seed):
    """In float32 x/3 is the same number three times; forward mode, compiled otherwise, takes two for the largest."""
    x = jnp.array([1.0, 1.0 - 2.0**-24, 1.0], "float32")
    report = check_derivatives(lambda x: jnp.max(x / 3 + 1.0986123), x, seed=seed)
    assert report.verdict != "disagree", report


def test_what_machine_code_alone_gets_wrong_is_compiled_again_where_rounding_decides():
    """XLA computes some numbers twice here when it compiles quickly, so that no number of a row is its largest: NaN."""

    def standard(x):
        return (x - jnp.mean(x)) * jax.lax.rsqrt(jnp.var(x) + 1e-3)

    x = jnp.array([1.0 - 2.0**-23, 1.0 + 2.0**-21, 1.0 + 2.0**-23], "float32")
    report = check_derivatives(lambda x: jnp.max(jax.nn.relu(standard(x) - jnp.asarray(0.0, x.dtype))), x)
    assert report.verdict == "agree", report


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("size", [15.0, 30.0, 80.0])
def test_a_softmax_that_is_all_but_one_is_decided(dtype, size):
    assert check_derivatives(jax.nn.softmax, *cast(dtype, np.array([size, 0.0, -size]))).verdict == "agree"


# -- what is said of it ------------------------------------------------------------------------------------------------


def test_the_report_says_what_was_compared():
    (m, x) = cast("bfloat16", SQUARE, X)
    report = check_derivatives(lambda m, x: squares(2.1)(m @ x), m, x)
    compared, culprit = report.findings[0].diagnosis[0], report.details["culprits"][0]
    assert (compared.kind, compared.data["type"]) == (Kind.COMPARED_IN_FLOAT64, "bfloat16")
    assert culprit["in_float64"]
    assert culprit["explains"]
    assert report.findings[0].value / report.findings[0].expected == pytest.approx(2.1 / 2.0, rel=0.005)  # 2.09375
    right = check_derivatives(lambda m, x: squares(2.0)(m @ x), m, x)
    assert facts(right, Kind.FLOAT64_EVALUATION)[0].data["share"] == MEANT["bfloat16"]
    assert Kind.FLOAT64_EVALUATION not in check_derivatives(jnp.sin, X).kinds


def test_a_rule_too_little_off_to_be_seen_alone_is_named_by_its_primal():
    slightly = ruled(lambda x: jnp.sin(x) + 4.0 * x, lambda x, g: (g * (1.1 * jnp.cos(x) + 4.0),))
    f = lambda x: slightly(x) - 4.0 * x  # noqa: E731
    report = check_derivatives(f, *cast("bfloat16", X))
    assert report.verdict == "disagree"
    (culprit,) = report.details["culprits"]
    assert (culprit["explains"], culprit["off"]) == (True, 0.0)


@pytest.mark.more
def test_where_jax_alone_computes_a_part_its_own_numbers_are_compared():
    """And the report says why."""

    def outside(x):
        shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(lambda x: np.sin(np.asarray(x)), shape, x, vmap_method="expand_dims")

    called = ruled(outside, lambda x, g: (2.0 * g * jnp.cos(x),))
    report = check_derivatives(called, *cast("float32", X))
    assert report.verdict == "disagree"
    (fact,) = facts(report, Kind.OWN_PRECISION_ONLY)
    assert (fact.data["source"], fact.data["because"]) == ("reverse", "jax-alone")
    assert Kind.FLOAT64_EVALUATION not in report.kinds


@pytest.mark.parametrize("factor", [2.0, 2.0 + 1e-3])
def test_what_is_mapped_over_devices_is_evaluated_in_float64(factor):
    """Differences in float32 would not tell such a factor, and would leave right rules undecided."""
    cubes = ruled(lambda x: x * x * x, lambda x, g: (1.5 * factor * g * x * x,))
    mesh, along = jax.sharding.Mesh(np.array(jax.devices()[:1]), "i"), jax.sharding.PartitionSpec("i")
    f = jax.shard_map(lambda x: jax.lax.psum(cubes(x), "i") * jnp.sin(x), mesh=mesh, in_specs=along, out_specs=along)
    report = check_derivatives(f, *cast("float32", 3.0 * X))
    assert report.verdict == ("agree" if factor == 2.0 else "disagree"), report
    assert Kind.OWN_PRECISION_ONLY not in report.kinds


@pytest.mark.parametrize("factor", [2.0, 2.2])
def test_along_directions_of_many_inputs(factor):
    m, x = cast("bfloat16", np.random.default_rng(0).normal(size=(40, 40)) * 0.2, np.linspace(-1.0, 1.0, 40))
    report = check_derivatives(lambda m, x: squares(factor)(jnp.tanh(m @ x)), m, x)
    assert report.verdict == ("agree" if factor == 2.0 else "disagree"), report


@pytest.mark.parametrize("seed", range(4))
def test_a_derivative_just_below_overflow_is_not_called_infinite(seed):
    x = np.array([0.9, 1.1, 1.3], np.float16)
    report = check_derivatives(lambda x: x**30, x, seed=seed)
    assert report.verdict == "agree", report


def test_what_overflows_in_its_type_is_wrong_whatever_its_formula_is():
    overflowing = ruled(lambda x: jnp.sin(x), lambda x, g: (g * jnp.cos(x) * 1e4 * 1e4 / 1e8,))
    assert check_derivatives(overflowing, *cast("float16", X)).verdict == "disagree"
