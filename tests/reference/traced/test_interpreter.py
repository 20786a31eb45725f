"""The interpreter: integers as JAX has them, both sides of a kink, random rounding, and what it shares with JAX."""

import gc
import weakref
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import Primitive
from jax.interpreters import mlir

from reference.arithmetics.increments import STEP, Increment, constant
from reference.jax_settings import settings
from reference.traced.equations import Constant, iterates, lifted
from reference.traced.interpreter import Run
from reference.traced.primitives import contractions, data_movement, indexing
from reference.traced.program_replay import LONGEST_LOOP, replayed
from reference.traced.random_rounding import rounding_of
from reference.traced.traced_function import Traced

VALUES = {
    "integer division rounds to zero": (lambda n: n // jnp.array([2, -2, 3]), np.array([-7, 7, 8])),
    "integer division of the smallest": (lambda n: jax.lax.div(n, n - 126), np.array([-128, 127], np.int8)),
    "numbers beyond a whole type": (
        lambda x: (x.astype(jnp.uint8), x.astype(jnp.int8), x.astype(jnp.int32), x.astype(jnp.int64)),
        np.array([-3.7, 300.0, 2.9, 1e300, np.nan, np.inf, -np.inf]),
    ),
    "remainder": (lambda n: jax.lax.rem(n, jnp.array([2, -2, 3])), np.array([-7, 7, 8])),
    "truth values": (
        lambda n: ((n > 1) & ~(n == 3) | (n < -6) ^ (n != 8), n <= 3, n >= 3, n << 2, ~n, n & 6, n | 9, n ^ 5),
        np.array([-7, 3, 8]),
    ),
    "rounding": (
        lambda x: (jnp.round(x), jax.lax.round(x, jax.lax.RoundingMethod.AWAY_FROM_ZERO), jnp.floor(x), jnp.ceil(x)),
        np.array([-1.5, 0.5, 2.5, -0.5, 1.5]),
    ),
    "largest, unsigned": (lambda n: jax.lax.top_k(n, 2), np.array([3, 0, 2], np.uint8)),
    "largest, with the smallest of its type": (lambda n: jax.lax.top_k(n, 3), np.array([3, -128, 2], np.int8)),
    "largest, with NaN and zeros of either sign": (
        lambda x: jax.lax.top_k(x, 8),
        np.array([1.0, -0.0, 0.0, np.nan, -np.nan, np.inf, -np.inf, 0.0]),
    ),
    "a convolution of nothing": (
        lambda x: jax.lax.conv_general_dilated(x, x, (1,), [(-1, -1)], batch_group_count=2),
        np.ones((2, 1, 2)),
    ),
    "bits": (lambda x: jax.lax.bitcast_convert_type(x, np.int64), np.array([1.5, -0.1])),
    "from bits": (lambda n: jax.lax.bitcast_convert_type(n, jnp.float64), np.array([1, -5, 1 << 62])),
}


@pytest.mark.parametrize("name", VALUES)
def test_integers_and_truth_values_are_as_in_jax(name):
    f, x = VALUES[name]
    with settings(True):
        results = Run()(Traced(f, x).program, constant(x))
        for result, expected in zip(results, jax.tree.leaves(f(jnp.asarray(x))), strict=True):
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
    "a jump": (lambda x: jnp.where(x[0] > 0, x[0] + 1.0, x[0]), [np.nan, 1.0]),
    "what is compared with itself": (lambda x: jnp.where(jnp.isnan(x[0]), 0.0, 2.0 * x[0]), [2.0, 2.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_both_sides_of_a_point_are_told(name):
    f, expected = KINKS[name]
    slopes, run = sides(f, np.zeros(1), np.ones(1))
    np.testing.assert_array_equal(slopes, expected)
    assert run.observed.ties == (expected[0] != expected[1])
    assert bool(run.observed.unresolved) == bool(np.isnan(expected).any())


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


@pytest.mark.parametrize("seed", range(15))
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
    found = data_movement.pad(1, config, x, np.full(2, 7.0))
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
    "zero over a number": (lambda x: x / 3.0, np.array([0.0]), False),
    "a number of many bits, halved": (lambda x: x * 0.5, np.array([0.1]), False),
    "a number of many bits over a power of two": (lambda x: x / 4.0, np.array([0.1]), False),
    "a number of many bits and zero": (lambda x: x + (x - 0.1), np.array([0.1]), False),
    "a product": (lambda x: x * 0.7, np.array([0.1]), True),
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


def test_the_steps_of_a_loop_are_counted_where_it_runs_only_with_random_roundings():
    def fixed_point(x):
        step = lambda s: (jnp.cos(s[0]), s[0], s[2] + 1)  # noqa: E731
        return jax.lax.while_loop(lambda s: jnp.any(s[0] != s[1]), step, (x, x + 1.0, 0))[::2]

    start = np.linspace(0.5, 1.0, 200)
    with settings(True):
        program, same = (Traced(fixed_point, start).program for _ in range(2))
    exact, own = Run()(program, constant(start))
    rounded, taken = Run(np.random.default_rng(0))(same, constant(start))
    np.testing.assert_allclose(rounded.value, exact.value, rtol=1e-14)
    assert own.value < taken.value < 2.1 * own.value


def test_a_loop_that_ends_at_the_point_and_not_beside_it_returns_nothing_known_there():
    with settings(True):
        far = lambda s: jnp.abs(s[0] - 1.0) > 1e-3  # noqa: E731
        program = Traced(lambda x: jax.lax.while_loop(far, lambda s: (s[0], s[1] + 1), (x, 0)), 1.0).program
    point, beside = constant(np.float64(1.0)), constant(np.float64(2.0))
    assert [float(y.value) for y in Run()(program, point)] == [1.0, 0]
    value, steps = Run(is_beside=True)(program, beside)
    assert (np.isnan(value.value), int(steps.value)) == (True, LONGEST_LOOP + 1)


def test_of_a_call_only_what_is_read_is_run():
    """A rule that is compiled computes its primal beside the tangent, and nobody reads that."""
    both = jax.jit(lambda x: (jax.lax.while_loop(lambda y: y < 9.0, lambda y: 2.0 * y, x), jnp.sin(x)))
    program = Traced(lambda x: both(x)[1] * 2.0, 1.3).program
    assert not iterates(program)
    (found,) = Run()(program, constant(np.float64(1.3)))
    assert float(found.value) == 2.0 * np.sin(1.3)


def test_a_program_is_not_written_out_whenever_jax_compiles_it():
    assert len(repr(Traced(jnp.sin, np.ones(3)).program)) < 200


@pytest.mark.parametrize(
    ("function", "is_black_box"),
    [(lambda x, y: jnp.where(jnp.any(x > y), x[::-1], y), False), (lambda x, y: jnp.sin(x) * y, True)],
)
def test_a_primitive_of_a_library_that_only_moves_numbers_runs_as_what_it_is_made_of(function, is_black_box):
    primitive = Primitive("of_library")
    primitive.def_impl(function)
    primitive.def_abstract_eval(lambda x, y: x)
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
    x, y = np.array([1.0, 3.0]), np.array([2.0, 0.5])
    with settings(True):
        run = Run()
        (found,) = run(Traced(primitive.bind, x, y).program, Increment(x, STEP * np.ones((1, 2))), constant(y))
        np.testing.assert_allclose(found.value, function(x, y), rtol=1e-15)
        slope = jax.jvp(lambda x: function(x, y), (x,), (np.ones(2),))[1]
    np.testing.assert_allclose(found.change[0] / STEP, slope, rtol=1e-9)
    assert run.observed.differenced == ({"of_library"} if is_black_box else set())


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
    found = contractions.products(*letters, a.view(Watched), b.view(Watched))  # pyright: ignore[reportCallIssue]
    assert np.allclose(found, np.einsum("{},{}->{}".format(*letters), a, b), rtol=1e-13)
    assert max(Watched.products) <= contractions.ONE_THREAD * (2 if "g" in letters[0] else 1)


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
    assert np.array_equal(indexing.gather_numbers(shape, index, params), expected)
