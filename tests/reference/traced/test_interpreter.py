"""The interpreter: JAX's values, changes that are the derivatives, and no rule that could be off unnoticed."""

import gc
import sys
import weakref
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.arithmetics.increments import STEP, Increment, constant, is_constant
from reference.jax_settings import compiler_options, settings
from reference.traced import interpreter
from reference.traced.interpreter import RULES, Run
from reference.traced.primitives import contracting, moving
from reference.traced.program import Constant, Traced, iterates, kind, lifted, programs_in
from reference.traced.rounding import rounding_of
from reference.traced.solving.replaying import replayed

sys.path.insert(0, str(Path(__file__).parents[2] / "checks" / "traced"))
from functions_of_jax import ALL  # pyright: ignore[reportMissingImports]

TRIED = [
    "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
    "sqrt", "rsqrt", "cbrt", "erf", "erfc", "erf_inv", "lgamma", "digamma", "bessel_i0e", "bessel_i1e", "logistic",
    "expm1", "log1p", "square", "abs", "exp2", "neg", "add", "sub", "mul", "div", "pow", "max", "min", "atan2", "rem",
    "complex", "clamp", "real, complex128", "imag, complex128", "conj, complex128", "entr",
    "conv", "dot_general", "concatenate", "pad", "rev", "select", "slice", "dynamic_slice", "dynamic_update_slice",
    "product with a zero", "reduce, max", "reduce_window, sum", "reduce_window, max", "cumulative", "sort", "top_k",
    "gather", "scatter", "scatter, add", "scatter, max", "rfft", "cholesky", "solve", "lu", "eigh", "svd", "qr",
    "eigvals", "svd, complex vectors in a product", "qr, complex128", "complex, of an array and a number",
    "triangular solve", "scan", "while", "cond", "checkpoint", "custom_linear_solve", "variance", "einsum",
]  # fmt: skip

OWN = {
    "reduce": (
        lambda x: jax.lax.reduce(x, 0.0, lambda a, b: a + b + 0.1 * a * b, (1,)),
        np.array([[1.5, 2.0, -0.3], [0.5, 3.0, 0.4]]),
    ),
    "reduce_min": (lambda x: jnp.min(x, axis=0), np.array([[1.5, 2.0], [0.5, 3.0]])),
    "reduce_window_min": (
        lambda x: jax.lax.reduce_window(x, np.inf, jax.lax.min, (2,), (1,), "VALID"),
        np.array([3.0, 1.0, 2.0]),
    ),
    "cummin": (lambda x: jax.lax.cummin(x, 0), np.array([3.0, 1.0, 2.0])),
    "scatter-min": (lambda a, u: a.at[np.array([0])].min(u), np.array([1.0, 2.0]), np.array([0.5])),
    "scatter-sub": (lambda a, u: a.at[np.array([0])].subtract(u), np.array([1.0, 2.0]), np.array([0.5])),
    "scatter-mul": (
        lambda a, u: a.at[np.array([0])].mul(u, unique_indices=True),
        np.array([1.5, 2.0]),
        np.array([0.5]),
    ),
    "integer_pow": (lambda x: x**3, np.array([1.1, 0.3])),
    "split": (lambda x: jnp.split(x, 2)[1] ** 2, np.array([1.0, 2.0, 3.0, 4.0])),
    "unstack": (
        lambda x: jax.vjp(lambda y: jnp.stack([y**2, y], axis=1), x)[1](jnp.sin(jnp.stack([x, x], 1)))[0],
        np.array([0.3, 0.7]),
    ),
    "stack": (lambda x: jnp.stack([x, x * x]), np.array([1.1, 0.3])),
    "tile": (lambda x: jnp.tile(x, (2, 1, 2)) ** 2, np.array([[1.1, 0.3]])),
    "expand_dims": (lambda x: jnp.expand_dims(x, 0) * x, np.array([1.1, 0.3])),
    "reduce_prod": (lambda x: jnp.prod(x, 1), np.array([[1.5, 2.0, -0.3], [0.5, 3.0, 0.4]])),
    "custom_jvp": (jax.nn.silu, np.array([1.1, 0.3])),
    "relu": (jax.nn.relu, np.array([1.1, -0.3])),
    "reduce_precision": (lambda x: jax.lax.reduce_precision(x, 11, 52), np.array([1.1, 0.3])),
    "optimization_barrier": (lambda x: jax.lax.optimization_barrier(x) * 2.0, np.array([1.1, 0.3])),
    "copy": (lambda x: jnp.copy(x) * 2.0, np.array([1.1, 0.3])),
    "reshape": (lambda x: x.reshape(2, 1) * 2.0, np.array([1.1, 0.3])),
    "convert": (lambda x: x.astype(complex) * (1 + 2j), np.array([1.1, 0.3])),
    "logsumexp": ALL["logsumexp"],
    "transpose": (lambda x: x.T @ x, np.array([[1.0, 2.0], [3.0, 5.0]])),
}

CASES = {name: ALL[name] for name in TRIED} | OWN

CONSTANT = {
    *("eq", "ne", "lt", "le", "gt", "ge", "lt_to", "le_to", "eq_to", "and", "or", "xor", "not", "shift_left"),
    *("iota", "empty", "argmax", "argmin", "is_finite", "floor", "ceil", "round", "sign", "stop_gradient"),
    *("reduce_and", "reduce_or", "reduce_xor", "random_gamma", "bitcast_convert_type"),
}
"""Rules whose results do not change, or that hand on what JAX says."""

ALIASES = {
    **dict.fromkeys(("pjit", "core_call", "call", "closed_call", "core_closed_call"), "jit"),
    **dict.fromkeys(("remat", "checkpoint"), "remat2"),
    **dict.fromkeys(("copy_p", "device_put", "sharding_constraint", "pvary", "name"), "copy"),
    **dict.fromkeys(("custom_vjp_call", "custom_vjp_call_jaxpr"), "custom_jvp_call"),
    **{f"scatter_{how}": f"scatter-{how}" for how in ("add", "sub", "mul", "max", "min")},
    "add_any": "add",
}
"""Other names of rules; what the supported releases of JAX write in one way or another."""


@jax.custom_vjp
def _squared(x):
    return x * x


_squared.defvjp(lambda x: (x * x, x), lambda x, g: (2.0 * g * x,))


def names_in(program):
    inner = [names_in(p) for eq in program.equations for p in programs_in(eq)]
    return {eq.name for eq in program.equations}.union(*inner)


def of_this_release(x):
    y, pull_back = jax.vjp(lambda x: jnp.tile(jnp.stack([x, x]), 2), x)
    return y, pull_back(y)


OF_OTHER_RELEASES = {"expand_dims", "stack", "tile", "unstack"} - names_in(Traced(of_this_release, 1.0).program)


def prepared(names):
    """The program of several cases side by side, its arguments along a direction, JAX's values and derivatives."""
    rng = np.random.default_rng(1)
    cases = [CASES[name] for name in names]
    flat = [x for _, *xs in cases for x in xs]
    moving = [i for i, x in enumerate(flat) if kind(jnp.asarray(x).dtype) in ("f", "c")]
    primals = [np.asarray(flat[i]) for i in moving]
    tangents = [rng.uniform(0.5, 1.5, np.shape(x)).astype(x.dtype) for x in primals]
    tangents = [t * (1 + 2j) if np.iscomplexobj(t) else t for t in tangents]

    def g(*changing):
        full = iter([dict(zip(moving, changing)).get(i, x) for i, x in enumerate(flat)])
        answers = jax.tree.leaves([f(*[next(full) for _ in xs]) for f, *xs in cases])
        return [y for y in answers if kind(y.dtype) in ("f", "c")]

    program = Traced(g, *primals).program
    arguments = [Increment(lifted(x), lifted(t)[None] * STEP) for x, t in zip(primals, tangents)]
    expected = jax.jit(lambda *x: jax.jvp(g, x, tuple(tangents)), compiler_options=compiler_options())(*primals)
    return program, arguments, expected


def off(run, program, arguments, expected):
    """The largest difference from JAX's values, and from its derivatives, beside the largest of the same output."""
    with np.errstate(all="ignore"):
        results = run(program, *arguments)
    values = [y.value for y in results]
    changes = [0.0 * y.value if is_constant(y) else y.change[0] / STEP for y in results]
    return [
        max(float((np.abs(f - np.asarray(e)) / (np.abs(e).max() or 1.0)).max()) for f, e in zip(found, true))
        for found, true in zip((values, changes), expected, strict=True)
    ]


def mutated(rule, of_value=1.0, of_change=1.0):
    """A rule whose values, or changes, are so many times what they should be."""

    def wrong(run, equation, *operands):
        outputs = rule(run, equation, *operands)
        single = isinstance(outputs, Increment)
        scaled = [
            y if np.asarray(y.value).dtype.kind not in "fc" else Increment(y.value * of_value, y.change * of_change)
            for y in ([outputs] if single else outputs)
        ]
        return scaled[0] if single else scaled

    return wrong


@pytest.fixture(scope="module")
def groups():
    """All cases in three programs, so that JAX compiles three times."""
    names = list(CASES)
    with settings(True):
        return [prepared(names[i::3]) for i in range(3)]


def test_values_are_jaxs_and_changes_the_derivatives(groups):
    with settings(True):
        assert np.array([off(Run(), *group) for group in groups]) == pytest.approx(0.0, abs=2e-11)


WAYS = {"values": ({"of_value": 1 + 1e-9}, 0), "changes": ({"of_change": 1 + 1e-9}, 1)}


@pytest.mark.parametrize("way", WAYS)
def test_a_rule_that_is_off_by_1e_9_is_noticed(groups, way, monkeypatch):
    how, which = WAYS[way]
    noticed, others = set(), {}
    for alias, name in ALIASES.items():
        if RULES[alias] is not RULES[name]:
            others.setdefault(name, []).append(alias)
    with settings(True):
        for program, arguments, expected in groups:
            for primitive in names_in(program) & set(RULES):
                for rule in {primitive, *others.get(primitive, ())} - noticed:
                    with monkeypatch.context() as patch:
                        patch.setitem(interpreter.RULES, primitive, mutated(RULES[rule], **how))
                        if off(Run(), program, arguments, expected)[which] > 5e-10:
                            noticed.add(rule)
    same = {alias for alias, name in ALIASES.items() if RULES[alias] is RULES[name] and name in noticed}
    assert set(RULES) - noticed - same - CONSTANT - OF_OTHER_RELEASES == set()


def test_a_custom_vjp_runs_by_its_primal():
    x = np.array([1.1, 0.3])
    with settings(True):
        (y,) = Run()(Traced(_squared, x).program, Increment(x, np.ones((1, 2)) * STEP))
    np.testing.assert_allclose(y.change[0] / STEP, 2.0 * x, rtol=1e-15)


VALUES = {
    "integer division rounds to zero": (lambda n: n // jnp.array([2, -2, 3]), np.array([-7, 7, 8])),
    "remainder": (lambda n: jax.lax.rem(n, jnp.array([2, -2, 3])), np.array([-7, 7, 8])),
    "truth values": (
        lambda n: ((n > 1) & ~(n == 3) | (n < -6) ^ (n != 8), n <= 3, n >= 3, n << 2, ~n, n & 6, n | 9, n ^ 5),
        np.array([-7, 3, 8]),
    ),
    "folds": (
        lambda n: [f(x, (1,)) for f in (jax.lax.reduce_and, jax.lax.reduce_or, jax.lax.reduce_xor) for x in (n > 0, n)],
        np.array([[-7, 3, 8], [1, 2, 3], [-1, -1, 4]]),
    ),
    "argmax": (lambda x: jnp.argmax(x, axis=1) + jnp.argmin(x), np.array([[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]])),
    "cast": (lambda x: x.astype(int), np.array([-1.7, 1.7])),
    "rounding": (
        lambda x: (jnp.round(x), jax.lax.round(x, jax.lax.RoundingMethod.AWAY_FROM_ZERO), jnp.floor(x), jnp.ceil(x)),
        np.array([-1.5, 0.5, 2.5, -0.5, 1.5]),
    ),
    "bits": (lambda x: jax.lax.bitcast_convert_type(x, np.int64), np.array([1.5, -0.1])),
    "signs": (lambda x: (jnp.sign(x), jnp.isfinite(x)), np.array([-1.5, 0.0, -0.0, np.inf, np.nan])),
    "made from nothing": (lambda n: n + jax.lax.broadcasted_iota(int, (2, 3), 1), np.array([[1, 2, 3]])),
    "from bits": (lambda n: jax.lax.bitcast_convert_type(n, jnp.float64), np.array([1, -5, 1 << 62])),
    "handed on": (lambda x: jax.lax.stop_gradient(x), np.array([1.5])),
}

ORDERS_OF_SORTING = {"lt_to", "le_to", "eq_to"}
"""Comparisons within JAX's own sorting programs."""


def test_every_rule_that_answers_no_change_is_tried():
    with settings(True):
        met = set().union(*(names_in(Traced(f, x).program) for f, x in VALUES.values()))
    assert CONSTANT - met - ORDERS_OF_SORTING - {"empty", "random_gamma"} == set()


@pytest.mark.parametrize("name", VALUES)
def test_integers_and_truth_values_are_as_in_jax(name):
    f, x = VALUES[name]
    with settings(True):
        results = Run()(Traced(f, x).program, constant(x))
        for result, expected in zip(results, jax.tree.leaves(f(x)), strict=True):
            np.testing.assert_array_equal(result.value, expected)


def sides(f, x, direction):
    """The slopes just after and just before a point."""
    with settings(True):
        program, run = Traced(f, x).program, Run()
        signed = [run(program, Increment(x, s * direction[None] * STEP))[0] for s in (1.0, -1.0)]
    return [float(y.change[0] / STEP * s) for y, s in zip(signed, (1.0, -1.0))], run


KINKS = {
    "abs": (lambda x: jnp.abs(x[0]), [1.0, -1.0]),
    "where": (lambda x: jnp.where(x[0] > 0, x[0], 0.1 * x[0]), [1.0, 0.1]),
    "max": (lambda x: jnp.max(jnp.stack([x[0], -2.0 * x[0]])), [1.0, -2.0]),
    "sort": (lambda x: jnp.sort(jnp.stack([x[0], -x[0]]))[0], [-1.0, 1.0]),
    "cond": (lambda x: jax.lax.cond(x[0] > 0, lambda t: 3.0 * t, lambda t: t, x[0]), [3.0, 1.0]),
    "a norm": (lambda x: jnp.sqrt(jnp.sum(x * x)), [1.0, -1.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_at_a_kink_both_sides_are_told(name):
    f, expected = KINKS[name]
    slopes, run = sides(f, np.zeros(1), np.ones(1))
    assert slopes == expected
    assert run.ties


def test_a_jump_is_unresolved():
    slopes, run = sides(lambda x: jnp.where(x[0] > 0, x[0] + 1.0, x[0]), np.zeros(1), np.ones(1))
    assert np.isnan(slopes[0])
    assert slopes[1] == 1.0
    assert run.unresolved


def test_comparing_a_number_with_itself_is_decided():
    slopes, run = sides(lambda x: jnp.where(jnp.isnan(x[0]), 0.0, 2.0 * x[0]), np.zeros(1), np.ones(1))
    assert slopes == [2.0, 2.0]
    assert not run.ties


def test_random_rounding_moves_what_is_not_exact_and_nothing_else():
    x = np.array([1.0, 0.1])
    with settings(True):
        program = Traced(lambda x: x * 3.0, x).program
        rounded = Run(rounding=np.random.default_rng(0))(program, constant(x))[0].value
    assert rounded[0] == 3.0
    assert 0.0 < abs(rounded[1] - 0.1 * 3.0) <= 4.0 * 2.0**-53


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_random_rounding_goes_either_way_on_both_sides_of_zero(sign, dtype):
    x = np.full(50, sign * 0.1, dtype)
    with settings(True):
        program = Traced(lambda x: x * 3.0, x).program
        exact, rounded = (
            Run(rng, coarsest=1.0)(program, constant(lifted(x)))[0].value for rng in (None, np.random.default_rng(0))
        )
    assert set(np.sign(rounded - exact)) == {1.0, -1.0}
    assert np.abs(rounded / exact - 1.0).max() <= np.finfo(dtype).eps


@pytest.mark.parametrize("seed", range(40))
def test_padding_puts_each_entry_where_it_belongs(seed):
    """One axis at a time, entry by entry; widths may cut off all that there is."""
    rng = np.random.default_rng(seed)
    x, config = rng.normal(size=(2, *rng.integers(0, 6, 2))), []
    expected = x
    for axis, length in enumerate(x.shape[1:], start=1):
        interior = int(rng.integers(0, 4))
        spread = max(length + (length - 1) * interior, 0)
        low = int(rng.integers(-spread, 5))
        high = int(rng.integers(-(spread + low) if low < 0 else -spread, 5))
        config.append((low, high, interior))
        padded = np.full((*expected.shape[:axis], low + spread + high, *expected.shape[axis + 1 :]), 7.0)
        for i in range(length):
            place = low + i * (interior + 1)
            if 0 <= place < padded.shape[axis]:
                np.moveaxis(padded, axis, 0)[place] = np.moveaxis(expected, axis, 0)[i]
        expected = padded
    found = moving.MOVES["pad"](1, {"padding_config": config}, x, np.full(2, 7.0))
    np.testing.assert_array_equal(found, expected)


def test_how_an_equation_rounds_is_forgotten_with_it():
    with settings(True):
        (equation,) = [
            eq for eq in Traced(jax.lax.linalg.cholesky, np.eye(2)).program.equations if eq.name == "cholesky"
        ]
    assert rounding_of(equation, 1.0) is rounding_of(equation, 1.0)
    forgotten = weakref.ref(equation)
    del equation
    gc.collect()
    assert forgotten() is None


FEW_BITS = {
    "a tail": (jnp.tanh, np.array([30.0]), True),
    "an absorbed summand": (lambda x: x + 4.0, np.array([1e20]), True),
    "a root": (jnp.sqrt, np.array([np.nextafter(1e20, np.inf)]), True),
    "tanh at 0": (jnp.tanh, np.array([0.0]), False),
    "a quotient": (lambda x: x / 3.0, np.array([6.0]), True),
    "a quotient by a power of two": (lambda x: x / 4.0, np.array([6.0]), False),
    "a whole sum": (lambda x: x + 4.0, np.array([3.0]), False),
    "a whole root": (jnp.sqrt, np.array([9.0]), False),
    "log at 1": (jnp.log, np.array([1.0]), False),
}


@pytest.mark.parametrize("name", FEW_BITS)
def test_random_rounding_knows_what_only_looks_exact(name):
    f, x, moves = FEW_BITS[name]
    with settings(True):
        program = Traced(f, x).program
        values = [Run(rounding=np.random.default_rng(k))(program, constant(x))[0].value[0] for k in range(8)]
    assert all((value != np.asarray(f(x))[0]) == moves for value in values)
    assert max(abs(value - np.asarray(f(x))[0]) for value in values) <= 1e-15 * abs(np.asarray(f(x))[0])


def test_random_roundings_do_not_keep_a_loop_from_its_end():
    def fixed_point(x):
        return jax.lax.while_loop(lambda s: jnp.any(s[0] != s[1]), lambda s: (jnp.cos(s[0]), s[0]), (x, x + 1.0))[0]

    start = np.linspace(0.5, 1.0, 200)
    with settings(True):
        program = Traced(fixed_point, start).program
    (exact,) = Run()(program, constant(start))
    (rounded,) = Run(np.random.default_rng(0))(program, constant(start))  # whose entries never all repeat themselves
    np.testing.assert_allclose(rounded.value, exact.value, rtol=1e-14)


def test_of_a_call_only_what_is_read_is_run():
    """A rule that is compiled computes its primal beside the tangent, and nobody reads that."""
    both = jax.jit(lambda x: (jax.lax.while_loop(lambda y: y < 9.0, lambda y: 2.0 * y, x), jnp.sin(x)))
    program = Traced(lambda x: both(x)[1] * 2.0, 1.3).program
    assert not iterates(program)
    (found,) = Run()(program, constant(np.float64(1.3)))
    assert float(found.value) == 2.0 * np.sin(1.3)


def test_a_program_is_not_written_out_whenever_jax_compiles_it():
    assert len(repr(Traced(jnp.sin, np.ones(3)).program)) < 200


class Watched(np.ndarray):
    """An array that keeps how many products of numbers each multiplication of matrices takes."""

    products: ClassVar[list[int]] = []

    def __matmul__(self, other):
        Watched.products.append(self.size * other.shape[-1])
        return np.asarray(self) @ np.asarray(other)


@pytest.mark.parametrize(
    ("letters", "shapes"),
    [
        (("Zab", "bc", "Zac"), ((400, 30, 10), (10, 32))),
        (("ab", "Zbc", "Zac"), ((30, 10), (400, 10, 32))),
        (("Zgab", "gbc", "Zgac"), ((400, 2, 30, 10), (2, 10, 32))),
        (("Zab", "b", "Za"), ((400, 30, 10), (10,))),
        (("ab", "cb", "ca"), ((30, 0), (20, 0))),
        (("a", "b", "ba"), ((3,), (2,))),
    ],
)
def test_long_thin_matrices_are_multiplied_in_pieces_that_no_blas_shares_among_threads(letters, shapes):
    a, b = (np.random.default_rng(i).normal(size=shape) for i, shape in enumerate(shapes))
    Watched.products = []
    found = contracting.products(*letters, a.view(Watched), b.view(Watched))  # pyright: ignore[reportCallIssue]
    assert np.allclose(found, np.einsum("{},{}->{}".format(*letters), a, b), rtol=1e-13)
    assert max(Watched.products) <= contracting.ONE_THREAD * (2 if "g" in letters[0] else 1)


def test_a_number_in_a_program_has_the_programs_type():
    with settings(x64=False):
        program = Traced(lambda x: jax.lax.max(2.5 * x, 0.25), jnp.float32(1.0)).program
    numbers = [x.value for eq in program.equations for x in eq.inputs if isinstance(x, Constant)]
    assert [x.dtype for x in numbers] == 2 * [np.dtype("float32")], numbers
    with settings(x64=True):  # as solvers are run to finer tolerances
        assert replayed(program, lambda _: True, np.float32(1.0))[0].dtype == np.float32


NUMBERED = [  # shape of the operand, indices, and how they are looked up
    ((5,), (4, 1), ((), (0,), (0,)), (1,)),
    ((5, 3), (4, 1), ((1,), (0,), (0,)), (1, 2)),
    ((5, 3, 4), (2, 3, 2), ((0, 3), (1,), (2, 0)), (2, 1, 3)),
    ((5, 3, 4), (3, 2, 1), ((2,), (0,), (0,), (1,), (0,)), (1, 1, 3)),
    ((5,), (1,), ((0,), (), (0,)), (3,)),
]


@pytest.mark.parametrize("mode", ["clip", "fill", "promise_in_bounds"])
@pytest.mark.parametrize(("shape", "indices", "how", "sizes"), NUMBERED)
def test_what_is_gathered_is_found_without_a_compiler_as_jax_finds_it(shape, indices, how, sizes, mode):
    numbers = jax.lax.GatherDimensionNumbers(*how)
    params = {"dimension_numbers": numbers, "slice_sizes": sizes, "mode": jax.lax.GatherScatterMode.from_any(mode)}
    low, high = (0, 1) if mode == "promise_in_bounds" else (-3, 7)
    index = np.random.default_rng(0).integers(low, high, indices)
    numbered = 1 + jnp.arange(np.prod(shape)).reshape(shape)
    expected = jax.lax.gather(numbered, index, numbers, sizes, mode=mode, fill_value=0) - 1
    assert np.array_equal(moving._gathered(shape, index, params), expected)
