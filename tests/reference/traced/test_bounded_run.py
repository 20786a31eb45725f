"""Bounds on rounding of whole programs: none is off by more, and what rounding may decide has a wide bound or none."""

import sys
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from primitive_cases import HAS_LONG, LongRun, longer, names_in  # pyright: ignore[reportMissingImports]

from reference.arithmetics.increments import constant
from reference.jax_settings import settings
from reference.traced import interpreter
from reference.traced.bounded_run import BoundedRun, Unbounded, parts
from reference.traced.equations import kind, lifted
from reference.traced.interpreter import Run
from reference.traced.traced_function import Traced

sys.path.insert(0, str(Path(__file__).parents[2] / "checks" / "traced"))
from functions_of_jax import ALL, DEEP  # pyright: ignore[reportMissingImports]

U = {np.float64: 2.0**-53, np.float32: 2.0**-24}

rng = np.random.default_rng(3)
W, X, Y = rng.normal(size=(5, 4)), rng.normal(size=(6, 4)), rng.normal(size=(6, 5))
MODELS = {
    "a layer norm": (lambda x: (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5), X),
    "an attention": (lambda q, k: jax.nn.softmax(q @ k.T) @ k, X, X[::-1] + 0.1),
    "a loss": (lambda w, x, y: -jnp.mean(jnp.sum(jax.nn.log_softmax(x @ w.T) * y, -1)), W, X, Y),
    "an mlp": (lambda w, v, x: jnp.sum(jax.nn.gelu(jnp.tanh(x @ w.T) @ v.T)), W, Y, X),
    "a mixture": (
        lambda m, s, x: jax.nn.logsumexp(-0.5 * jnp.sum(((x[:, None] - m) / jnp.exp(s)) ** 2, -1)),
        W, W * 0.1, X,
    ),
    "a recurrence": (lambda w, xs: jax.lax.scan(lambda h, x: (jnp.tanh(w[:4, :4] @ h + x), h), xs[0], xs), 0.4 * W, X),
    "a solver of an ode": (
        lambda p: jax.lax.fori_loop(0, 9, lambda _, y: y + 0.1 * jnp.sin(p * y) * y[::-1], p**2),
        W[0],
    ),
    "swish and softplus": (lambda x: jax.nn.swish(x) * jax.nn.softplus(-x), X),
    "distances": (lambda x: jnp.sqrt(jnp.sum((x[:, None] - x) ** 2, -1) + 1e-3), X),
    "a maximum": (lambda x: jnp.max(x, 1) + jnp.min(x * x, 1) + jnp.sort(x, 1)[:, 2], X),
    "powers": (lambda x: jnp.power(jnp.abs(x) + 0.1, 1.7) + x**3 / (1.0 + x**-2.0), X),
    "angles": (lambda x: jnp.arctan2(x, x[::-1]) + jnp.arcsin(jnp.tanh(x)) + jnp.arccosh(1.5 + x * x), X),
    "casts": (lambda x: (x.astype(jnp.bfloat16) * x.astype(jnp.bfloat16)).astype(x.dtype) * x, X),
    "a clipped step": (lambda x: jnp.clip(x, -0.5, 0.5) + jnp.where(x > 0.1, x, jnp.floor(3.0 * x)), X),
    "a remainder": (lambda x: jnp.mod(x, 0.7) * jnp.exp2(x) + jnp.expm1(-jnp.abs(x)), X),
}  # fmt: skip
CASES = {name: case for name, case in (ALL | MODELS).items() if name not in ("segment_sum",)}


def arguments_of(name, dtype):
    """The moving arguments of a case in one type, and the function of these."""
    f, *args = CASES[name]
    moving = [i for i, x in enumerate(args) if kind(jnp.asarray(x).dtype) == "f"]

    def g(*changing):
        full = [dict(zip(moving, changing)).get(i, x) for i, x in enumerate(args)]
        return [y for y in jax.tree.leaves(f(*full)) if kind(y.dtype) == "f"]

    return g, [np.asarray(args[i], np.float64).astype(dtype) for i in moving]


def everything(g, xs):
    """Values, and derivatives in both modes, along the same fixed directions."""
    tangents = [jnp.cos(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape) for x in xs]
    values, forward = jax.jvp(lambda *x: g(*x), tuple(xs), tuple(tangents))
    pull_back = jax.vjp(lambda *x: g(*x), *xs)[1]
    return [
        *values,
        *forward,
        *pull_back([jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape) for y in values]),
    ]


def coarsest(program):
    from harness.checks.traced.traced_programs import coarsest_unit

    return coarsest_unit(program)


def bounded(traced, xs):
    """The bounds of a program's results; None where there are none."""
    try:
        run = BoundedRun(coarsest=coarsest(traced.program), constants_round=True)
        return [parts(y) for y in run(traced.program, *map(constant, map(lifted, xs)))]
    except Unbounded:
        return None


@cache
def compiled(name, dtype):
    """A case's program, what JAX computes, and the exact results as nearly as NumPy has them."""
    with settings(dtype is np.float64), np.errstate(all="ignore"):
        g, xs = arguments_of(name, dtype)
        if not xs:
            return None
        try:
            traced = Traced(lambda *x: everything(g, x), *xs)
        except (TypeError, ValueError):  # no reverse mode of a while loop; two types where there should be one
            return None
        if bounded(traced, xs) is None:
            return None
        return traced, xs, [np.asarray(y, np.longdouble) for y in traced(*xs)]


def truth(traced, xs, dtype, monkeypatch):
    """In float64 for a program in float32, and by the longer type of this machine for one in float64."""
    if dtype is np.float32:
        return [y.value for y in Run()(traced.program, *map(constant, map(lifted, xs)))]
    with monkeypatch.context() as patch:
        patch.setattr(interpreter, "lifted", longer)
        return [y.value for y in LongRun()(traced.program, *map(constant, map(longer, xs)))]


NAMES = list(CASES) if DEEP else [*MODELS, *list(ALL)[::9]]
HALVES = (NAMES, NAMES) if DEEP else (NAMES[::2], NAMES[1::2])
SCIPYS = {"erf", "erfc", "erf_inv"}  # which knows no longer type


@pytest.mark.parametrize(
    ("dtype", "names"), [(np.float32, HALVES[0]), (np.float64, HALVES[1])], ids=["float32", "float64"]
)
@np.errstate(all="ignore")
def test_no_program_is_off_by_more_than_its_bound(dtype, names, monkeypatch):
    if dtype is np.float64 and not HAS_LONG:
        pytest.skip("this machine has no longer type than float64")
    tried = 0
    for name in names:
        case = compiled(name, dtype)
        if case is None or (dtype is np.float64 and SCIPYS & names_in(case[0].program)):
            continue
        traced, xs, answers = case
        with settings(dtype is np.float64):
            bounds = bounded(traced, xs)
            if bounds is None:
                continue
            exact = truth(traced, xs, dtype, monkeypatch)
        tried += 1
        for own, answer, expected in zip(bounds, answers, exact, strict=True):
            for computed in (answer, own.value):
                off = np.abs(computed - np.asarray(expected, np.longdouble))
                assert np.all((off <= own.error) | (computed == expected) | ~np.isfinite(own.error)), name
    assert tried > 0.4 * len(names)


# -- how narrow they are ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a layer norm", "a loss", "an mlp", "a mixture", "swish and softplus", "powers"])
def test_bounds_of_ordinary_programs_leave_two_thirds_of_the_digits(name):
    with settings(True), np.errstate(all="ignore"):
        g, xs = arguments_of(name, np.float64)
        bounds = bounded(Traced(lambda *x: everything(g, x), *xs), xs)
    assert bounds is not None
    assert all(np.max(own.error) < U[np.float64] ** (2 / 3) * np.max(np.abs(own.value)) for own in bounds)


def without_bound(x):
    """Numbers whose error is NaN: rounding may take the argument of arcosh out of its domain."""
    return jnp.arccosh(1.0 + (jnp.exp(x) - 1.0 - jnp.expm1(x)))


ODD = {
    "isnan is decided": (lambda x: jnp.where(jnp.isnan(x), 0.0, jnp.exp(x) - 1.0), True),
    "a branch taken within rounding": (
        lambda x: jax.lax.cond((jnp.exp(x) - 1.0 > jnp.expm1(x))[0], lambda t: t, lambda t: 2.0 * t, x),
        None,
    ),
    "a place among numbers without a bound": (lambda x: jnp.argmax(without_bound(x)) * x, None),
    "the sign of numbers without a bound": (lambda x: jnp.sign(without_bound(x)) * x, False),
    "a comparison of numbers without a bound": (lambda x: jnp.where(without_bound(x) > 0.0, x, 2.0 * x), False),
    "the larger of numbers without a bound": (lambda x: jnp.maximum(without_bound(x), -1.0) * x, False),
    "no rule": (jax.lax.lgamma, None),
    "complex numbers": (lambda x: jnp.abs(x + 1j), None),
}


@pytest.mark.parametrize("name", ODD)
def test_what_rounding_may_decide_is_wide_or_has_no_bound(name):
    f, is_narrow = ODD[name]
    x = np.array([1e-3, 0.3])
    with settings(True), np.errstate(all="ignore"):
        traced = Traced(lambda x: [f(x)], x)
        bounds = bounded(traced, [x])
    assert (bounds is None) == (is_narrow is None)
    if bounds is not None:
        assert (np.max(bounds[0].error) < 1e-12) == is_narrow  # not so if NaN


def after(comparison):
    return lambda a, b: jnp.where(comparison(a, b), a, 2.0 * a)


UNDECIDED = {
    **{name: after(getattr(jax.lax, name)) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "and": lambda a, b: jnp.where((a > b) & (a < 1.0), a, 2.0 * a),
    "or": lambda a, b: jnp.where((a > b) | (a > 1.0), a, 2.0 * a),
    "xor": lambda a, b: jnp.where((a > b) ^ (a > 1.0), a, 2.0 * a),
    "not": lambda a, b: jnp.where(~(a > b), a, 2.0 * a),
    "reduce_and": lambda a, b: jnp.where(jnp.all(a > b), a, 2.0 * a),
    "reduce_or": lambda a, b: jnp.where(jnp.any(a > b), a, 2.0 * a),
    "reduce_xor": lambda a, b: jnp.where(jax.lax.reduce_xor(a > b, (0,)), a, 2.0 * a),
    "floor": lambda a, b: jnp.floor(a / b) * a,
    "ceil": lambda a, b: jnp.ceil(a / b) * a,
    "round": lambda a, b: jnp.round(1.5 * a / b) * a,
    "sign": lambda a, b: jnp.sign(a - b) * a,
    "argmax": lambda a, b: jnp.argmax(jnp.stack([a, b]), 0) * a,
    "argmin": lambda a, b: jnp.argmin(jnp.stack([a, b]), 0) * a,
    "is_finite": lambda a, b: jnp.where(jnp.isfinite(1.0 / (a - b)), a, 2.0 * a),
    "sort": lambda a, b: jax.lax.sort([jnp.stack([a, b]), jnp.stack([a, 2.0 * a])], dimension=0, num_keys=1)[1],
    "top_k": lambda a, b: jax.lax.top_k(jnp.stack([a, b], -1), 1)[1] * a[:, None],
    "select_n": lambda a, b: jnp.where(a > b, a, 2.0 * a),
    "convert_element_type": lambda a, b: (a / b).astype(int) * a,
}  # fmt: skip


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_rounding_may_turn_is_wide_or_has_no_bound(name):
    """The same operands without errors, which decide as they are, have a narrow bound."""
    x = np.array([1e-3, 0.3])
    with settings(True), np.errstate(all="ignore"):
        traced = Traced(lambda x: [UNDECIDED[name](jnp.exp(x) - 1.0, jnp.expm1(x))], x)
        bounds = bounded(traced, [x])
        decided = Traced(lambda a, b: [UNDECIDED[name](a, b)], x, 2.0 * x)
        certain = bounded(decided, [x, 2.0 * x])
    assert name in names_in(decided.program) | {"and", "or", "xor", "not"}
    assert bounds is None or np.max(bounds[0].error) > 1e-6
    assert certain is not None
    assert np.max(certain[0].error) < 1e-12 or name == "is_finite"
