"""Bounds on rounding: no program is off by more, whatever its type; where arguments move, the results stay within."""

import sys
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.arithmetics.increments import STEP, Increment, constant, is_constant
from reference.jax_settings import settings
from reference.traced import interpreter
from reference.traced.bounding import arrays, elementwise, pairs, running
from reference.traced.bounding.parts import Unbounded, of_value, packed, parts
from reference.traced.bounding.running import BOUNDS, BoundedRun, obstacle
from reference.traced.interpreter import Run
from reference.traced.program import Traced, kind, lifted, programs_in

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
    "an embedding": (lambda w: jnp.sum(w[np.array([0, 2, 2, 1])] ** 2, 1), W),
    "a difference": (lambda x, u: x.at[np.array([0])].add(-u) * x.at[np.array([1])].subtract(u)[::-1], X, X[:1]),
    "a running sum": (lambda x: jnp.cumsum(x * x, 0) * jax.lax.stop_gradient(jnp.exp(x)), X),
    "a minimum": (lambda x: jnp.min(x, 1), X),
    "windows": (lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (2, 2), (1, 1), "SAME"), X),
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
    if obstacle(traced.program):
        return None
    try:
        run = BoundedRun(coarsest=coarsest(traced.program), constants_round=True)
        return [parts(y, 0) for y in run(traced.program, *map(constant, map(lifted, xs)))]
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
        if obstacle(traced.program):
            return None
        return traced, xs, [np.asarray(y, np.longdouble) for y in traced(*xs)]


def longer(value):
    value = np.asarray(value)
    return value.astype(np.longdouble) if kind(value.dtype) == "f" else value


class LongRun(Run):
    """The interpreter in NumPy's longest type."""

    def number(self, atom):
        return constant(longer(atom.value))


def truth(traced, xs, dtype, monkeypatch):
    """In float64 for a program in float32, and by the longer type of this machine for one in float64."""
    if dtype is np.float32:
        return [y.value for y in Run()(traced.program, *map(constant, map(lifted, xs)))]
    with monkeypatch.context() as patch:
        patch.setattr(interpreter, "lifted", longer)
        return [y.value for y in LongRun()(traced.program, *map(constant, map(longer, xs)))]


NAMES = list(CASES) if DEEP else [*MODELS, *list(ALL)[::9]]
HALVES = (NAMES, NAMES) if DEEP else (NAMES[::2], NAMES[1::2])
HAS_LONG = np.finfo(np.longdouble).eps < 1e-18
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


# -- what operands' errors do -----------------------------------------------------------------------------------------

OWN_ROUNDING = 1.0 + 1e-9
"""Bounds are computed in floating point themselves, and so are the arguments at their very ends."""

WIDE = 1e-4
"""Errors of the arguments, beside each: large, so that second derivatives show."""


IN_FLOAT64 = [name for name in CASES if not name.endswith(("float32", "float16", "bfloat16"))]


@cache
def moved(name):
    """A program, its arguments with errors of their own, and what some exact arguments within these make of it."""
    rng = np.random.default_rng(5)
    with settings(True), np.errstate(all="ignore"):
        g, xs = arguments_of(name, np.float64)
        if not xs:
            return None
        try:
            program = Traced(g, *xs).program
        except (TypeError, ValueError):
            return None
        if obstacle(program):
            return None
        errors = [WIDE * np.abs(x) for x in xs]
        changes = [rng.uniform(0.5, 1.5, (1, *x.shape)) * STEP for x in xs]
        inner = [WIDE * np.abs(d) for d in changes]
        given = [packed(x, e, d, i) for x, e, d, i in zip(xs, errors, changes, inner)]
        results = []
        for k in range(4):
            draw = rng.uniform if k else (lambda low, high, shape: rng.choice([low, high], shape))
            exact = [
                Increment(x + e * draw(-1.0, 1.0, x.shape), d + i * draw(-1.0, 1.0, d.shape))
                for x, e, d, i in zip(xs, errors, changes, inner)
            ]
            run = Run()
            results.append(run(program, *exact))
            if run.ties or run.unresolved:
                return None
        return program, given, results


def stays_within(case):
    """Whether all that the arguments' errors allow lies within the results' errors; None where these are not known."""
    program, given, results = case
    with settings(True), np.errstate(all="ignore"):
        try:
            found = [parts(y, 1) for y in BoundedRun(count=1)(program, *given)]
        except Unbounded:
            return None
    for exact in results:
        for own, y in zip(found, exact, strict=True):
            change = np.zeros((1, *np.shape(y.value))) if is_constant(y) else y.change
            if np.any(np.abs(y.value - own.value) > OWN_ROUNDING * own.error):
                return False
            if np.any(np.abs(change - own.change) > OWN_ROUNDING * own.change_error + 1e-12 * STEP):
                return False
    return True


def test_what_arguments_allow_stays_within_the_results_errors():
    verdicts = {name: stays_within(case) for name in IN_FLOAT64 if (case := moved(name)) is not None}
    assert [name for name, within in verdicts.items() if within is False] == []
    assert sum(within is True for within in verdicts.values()) > 60


EXACT_ALWAYS = {
    *("eq", "ne", "lt", "le", "gt", "ge", "lt_to", "le_to", "eq_to", "and", "or", "xor", "not", "is_finite", "iota"),
    *("reduce_and", "reduce_or", "reduce_xor", "argmax", "argmin", "floor", "ceil", "round", "sign", "empty"),
}
"""Rules that answer truth values, whole numbers, or what is constant between jumps."""

OTHER_NAMES = {"add_any", "scatter_add", "scatter_sub"}
WITHOUT_CHANGES = {"reduce_prod", "cumprod", "reduce_window_max", "reduce_window_min", "cummax", "cummin"}
"""Rules for values alone."""


def replaced(rule, output):
    """A rule whose outputs are something else, ``output(run, y)``."""

    def wrong(run, equation, *operands):
        outputs = rule(run, equation, *operands)
        single = isinstance(outputs, Increment)
        found = [output(run, y) for y in ([outputs] if single else outputs)]
        return found[0] if single else found

    return wrong


def a_tenth(run, y):
    """The same with errors ten times too small."""
    if is_constant(y) or np.asarray(y.value).dtype.kind != "f":
        return y
    own = parts(y, run.count)
    return packed(own.value, 0.1 * own.error, own.change, 0.1 * own.change_error)


def names_in(program):
    inner = [names_in(p) for eq in program.equations for p in programs_in(eq)]
    return {eq.name for eq in program.equations}.union(*inner)


def test_a_rule_whose_errors_are_ten_times_too_small_is_noticed(monkeypatch):
    own = {*elementwise.BOUNDS, *pairs.BOUNDS, *arrays.BOUNDS}  # the others are the interpreter's own
    noticed, tried = set(), own - EXACT_ALWAYS - OTHER_NAMES - WITHOUT_CHANGES
    for name in IN_FLOAT64:
        case = moved(name)
        if case is None or stays_within(case) is not True:
            continue
        for primitive in (names_in(case[0]) & tried) - noticed:
            with monkeypatch.context() as patch:
                patch.setitem(running.BOUNDS, primitive, replaced(BOUNDS[primitive], a_tenth))
                if stays_within(case) is False:
                    noticed.add(primitive)
    assert tried - noticed == set()


FOLDS = {
    "reduce_prod": lambda x: jnp.prod(x, 1),
    "cumprod": lambda x: jax.lax.cumprod(x, 1),
    "reduce_window_max": lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (2, 2), (1, 1), "SAME"),
    "reduce_window_min": lambda x: jax.lax.reduce_window(x, jnp.inf, jax.lax.min, (2, 2), (1, 1), "SAME"),
    "cummax": lambda x: jax.lax.cummax(x, 1),
    "cummin": lambda x: jax.lax.cummin(x, 1),
}


@pytest.mark.parametrize("name", FOLDS)
def test_errors_of_values_alone_stay_within_and_a_tenth_does_not(name):
    error = WIDE * np.abs(X)
    with settings(True):
        program = Traced(FOLDS[name], X).program
        assert names_in(program) == {name}
        (bound,) = (parts(y, 0).error for y in BoundedRun()(program, packed(X, error)))
        ends = [X - error, X + error, X - WIDE * X, X + WIDE * X]
        moved = [np.abs(Run()(program, constant(x))[0].value - Run()(program, constant(X))[0].value) for x in ends]
    assert np.all(np.max(moved, axis=0) <= OWN_ROUNDING * bound)
    assert np.any(np.max(moved, axis=0) > 0.1 * bound)


# -- what each rule rounds itself -------------------------------------------------------------------------------------

UNIT, ABOVE_1 = rng.uniform(0.05, 0.95, 4000), rng.uniform(1.05, 2.0, 4000)
ANY, OTHER = rng.normal(size=(2, 4000))
PAIRS, FACTORS = rng.normal(size=(2000, 2)), rng.normal(size=(2, 3))
SUMMED = np.float32(ANY) + np.float32(OTHER)
LEAST_EXACT = np.argmax(
    np.abs(SUMMED - (np.float32(ANY) + np.float64(np.float32(OTHER)))) / (np.abs(ANY) + np.abs(OTHER))
)
ONE_EACH, ANOTHER = ANY[[LEAST_EXACT]], OTHER[[LEAST_EXACT]]

ROUNDS = {
    **{name: (getattr(jax.lax, name), UNIT) for name in elementwise.SLOPES if name != "acosh"},
    "acosh": (jax.lax.acosh, ABOVE_1),
    "integer_pow": (lambda x: jax.lax.integer_pow(x, 3), UNIT),
    "add": (jax.lax.add, ANY, OTHER), "sub": (jax.lax.sub, ANY, OTHER),
    "mul": (jax.lax.mul, ANY, OTHER), "div": (jax.lax.div, ANY, OTHER),
    "pow": (jax.lax.pow, ABOVE_1, UNIT), "atan2": (jax.lax.atan2, ANY, OTHER),
    "reduce_sum": (lambda x: jnp.sum(x, 1), PAIRS),
    "cumsum": (lambda x: jax.lax.cumsum(x, 1), PAIRS),
    "reduce_prod": (lambda x: jnp.prod(x, 1), PAIRS),
    "cumprod": (lambda x: jax.lax.cumprod(x, 1), PAIRS),
    "reduce_window_sum": (lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, (2,), (1,), "VALID"), ANY),
    "scatter-add": (lambda x, u: x.at[np.array([0])].add(u), ONE_EACH, ANOTHER),
    "scatter-sub": (lambda x, u: x.at[np.array([0])].subtract(u), ONE_EACH, -ANOTHER),
    "dot_general": (jax.lax.dot, PAIRS, FACTORS),
    "conv_general_dilated": (
        lambda x, y: jax.lax.conv_general_dilated(x, y, (1,), "VALID"), ANY[None, None], FACTORS[:1, None, :2],
    ),
    "convert_element_type": (lambda x: x.astype(jnp.bfloat16), ANY),
}  # fmt: skip

LOOSE = {"cbrt", "logistic", "atanh", "reduce_prod", "cumprod"}
"""Allowed more than ten times what was met here: for powers and products in place of roots, and for log1p below 0."""


SUMS_AND_PRODUCTS = {"add", "sub", "mul", "div"}
"""Whose changes round as their values do; those of others are allowed a hundred times what was met."""


def side_by_side(names):
    """All these primitives as one function, and its arguments."""
    cases = [ROUNDS[name] for name in names]

    def whole(*flat):
        rest = iter(flat)
        return [f(*[next(rest) for _ in xs]) for f, *xs in cases]

    return whole, [x for _, *xs in cases for x in xs]


def test_every_rule_is_tried():
    rounds_nothing = {"neg", "abs", "stop_gradient", "max", "min", "clamp", "rem", "select_n", "sort", "top_k"}
    rounds_nothing |= {name for name in BOUNDS if name.endswith(("_max", "_min", "cummax", "cummin"))}
    own = {*elementwise.BOUNDS, *pairs.BOUNDS, *arrays.BOUNDS}
    assert own - EXACT_ALWAYS - OTHER_NAMES - rounds_nothing == set(ROUNDS)
    assert EXACT_ALWAYS - set(UNDECIDED) == {"lt_to", "le_to", "eq_to", "iota", "empty"}  # as lt, le, eq; of nothing
    assert set(FOLDS) == WITHOUT_CHANGES


@np.errstate(all="ignore")
def test_a_rounding_of_a_tenth_is_noticed():
    """Of each primitive alone, in float32: errors come as near to the bound as a tenth of it."""
    whole, flat = side_by_side(ROUNDS)
    xs = [x.astype(np.float32) for x in flat]
    with settings(False):
        traced = Traced(whole, *xs)
        answers, arguments = traced(*xs), [constant(lifted(x)) for x in xs]
        exact = [y.value for y in Run()(traced.program, *arguments)]
        bounds = [parts(y, 0).error for y in BoundedRun(coarsest=coarsest(traced.program))(traced.program, *arguments)]
    for name, answer, true, bound in zip(ROUNDS, answers, exact, bounds, strict=True):
        off = np.abs(np.asarray(answer, float) - true)
        assert np.all(off <= bound), name
        assert np.any(off > (0.01 if name in LOOSE else 0.1) * bound), name


@pytest.mark.skipif(not HAS_LONG, reason="this machine has no longer type than float64")
@np.errstate(all="ignore")
def test_a_rounding_of_a_change_that_is_left_out_is_noticed(monkeypatch):
    """The same of the changes, in float64."""
    names = [name for name in ROUNDS if name not in {*WITHOUT_CHANGES, "convert_element_type", "erf", "erfc"}]
    whole, flat = side_by_side(names)
    steps = [rng.normal(size=(1, *x.shape)) * STEP for x in flat]
    with settings(True):
        program = Traced(whole, *flat).program
        nothing = [packed(x, 0.0 * x, d, 0.0 * d) for x, d in zip(flat, steps)]
        found = [parts(y, 1) for y in BoundedRun(count=1)(program, *nothing)]
        monkeypatch.setattr(interpreter, "lifted", longer)
        exact = LongRun()(program, *[Increment(longer(x), longer(d)) for x, d in zip(flat, steps)])
    for name, own, true in zip(names, found, exact, strict=True):
        off, least = (
            np.abs(own.change - true.change),
            0.1 if name in arrays.BOUNDS or name in SUMS_AND_PRODUCTS else 0.01,
        )
        assert np.all(off <= own.change_error), name
        assert np.any(off > least * own.change_error) or np.size(off) == 1, name


# -- how narrow they are ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a layer norm", "a loss", "an mlp", "a mixture", "swish and softplus", "powers"])
def test_bounds_of_ordinary_programs_leave_two_thirds_of_the_digits(name):
    with settings(True), np.errstate(all="ignore"):
        g, xs = arguments_of(name, np.float64)
        bounds = bounded(Traced(lambda *x: everything(g, x), *xs), xs)
    assert bounds is not None
    assert all(np.max(own.error) < U[np.float64] ** (2 / 3) * np.max(np.abs(own.value)) for own in bounds)


ODD = {
    "isnan is decided": (lambda x: jnp.where(jnp.isnan(x), 0.0, jnp.exp(x) - 1.0), True),
    "a comparison within rounding": (lambda x: jnp.where(jnp.exp(x) - 1.0 > jnp.expm1(x), x, 2.0 * x), False),
    "a branch taken within rounding": (
        lambda x: jax.lax.cond((jnp.exp(x) - 1.0 > jnp.expm1(x))[0], lambda t: t, lambda t: 2.0 * t, x),
        None,
    ),
    "an order within rounding": (lambda x: jnp.argmax(jnp.stack([jnp.exp(x) - 1.0, jnp.expm1(x)])) * x, None),
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
        assert (np.max(bounds[0].error) < 1e-12) == is_narrow


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
def test_a_rule_that_takes_what_rounding_may_turn_for_decided_is_noticed(name, monkeypatch):
    def wide():
        bounds = bounded(traced, [x])
        return bounds is None or bool(np.max(bounds[0].error) > 1e-6)

    x = np.array([1e-3, 0.3])
    with settings(True), np.errstate(all="ignore"):
        traced = Traced(lambda x: [UNDECIDED[name](jnp.exp(x) - 1.0, jnp.expm1(x))], x)
        assert wide()
        plain = interpreter.RULES[name]
        monkeypatch.setitem(running.BOUNDS, name, lambda *given: replaced(plain, certain)(*given))
        assert not wide()


def certain(run, y):
    """A result without any error of its operands."""
    return of_value(np.asarray(y.value), 1e-15 * np.abs(y.value) if np.asarray(y.value).dtype.kind == "f" else 0.0, 0)


def test_errors_that_grow_beyond_use_in_a_loop_end_the_run():
    chaos = lambda x: jax.lax.fori_loop(0, 60, lambda _, y: 3.99 * y * (1.0 - y), x)  # noqa: E731
    x = np.array([0.3])
    with settings(True):
        program = Traced(chaos, x).program
        with pytest.raises(Unbounded, match="beyond use"):
            BoundedRun(widest=1e-11)(program, constant(x))
