"""One small program for each primitive that has a rule: a function whose last operation it is, and arguments."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import linear_call
from own_rules import with_jvp, with_vjp, with_vmap

from reference.arithmetics import elementary
from reference.arithmetics.increments import constant
from reference.traced.equations import kind
from reference.traced.interpreter import Run

rng = np.random.default_rng(3)
UNIT = rng.uniform(0.05, 0.95, 400)
ABOVE_1 = rng.uniform(1.05, 2.0, 400)
ANY, OTHER = rng.normal(size=(2, 400))
PAIRS, FACTORS = rng.uniform(0.1, 1.0, (200, 2)), rng.uniform(0.1, 1.0, (2, 3))
TABLE = rng.normal(size=(5, 4))
COMPLEX = rng.normal(size=3) + 1j * rng.normal(size=3)
MATRIX = np.eye(3) + 0.3 * rng.normal(size=(3, 3))
SYMMETRIC = MATRIX @ MATRIX.T
# the two numbers whose float32 sum is rounded most, as a share of their sizes
SUMS = np.float32(ANY) + np.float32(OTHER)
WORST = np.argmax(np.abs(SUMS - (np.float32(ANY) + np.float64(np.float32(OTHER)))) / (np.abs(ANY) + np.abs(OTHER)))
ONE, ANOTHER = ANY[[WORST]], OTHER[[WORST]]
FIRST = np.array([0])


mapped = with_vmap("mapped", lambda x: jnp.sin(x) * x, lambda size, are_mapped, x: (mapped(x), are_mapped[0]))


cubed = with_jvp("cubed", lambda x: x**3, lambda p, t: (cubed(*p), 3.0 * p[0] ** 2 * t[0]))


squared = with_vjp("squared", lambda x: x * x, lambda x, g: (2.0 * g * x,))


# JAX has no rule for nextafter
after = with_jvp("after", lambda x: lax.nextafter(x, jnp.zeros_like(x)), lambda p, t: (after(*p), t[0]))


@jax.custom_jvp
def composed(x):
    return lax.composite(lambda y: jnp.sin(y) * y, "test.composed")(x)


composed.defjvp(lambda p, t: (composed(*p), (jnp.cos(p[0]) * p[0] + jnp.sin(p[0])) * t[0]))  # JAX has no rule for it


def window(x, fold, start):
    return lax.reduce_window(x, start, fold, (2, 2), (1, 2), "SAME")


def solved(a, b):
    solve = lambda _, b: lax.stop_gradient(jnp.linalg.inv(a)) @ b  # noqa: E731
    return lax.custom_linear_solve(lambda x: a @ x, b, solve, solve)


ELEMENTWISE = {
    **{
        name: (getattr(lax, name), ABOVE_1 if name == "acosh" else UNIT)
        for name in elementary.PRIMITIVES
        if hasattr(lax, name)  # one_minus_square is new in JAX 0.12
    },
    "integer_pow": (lambda x: lax.integer_pow(x, 3), UNIT),
    "neg": (lax.neg, ANY), "abs": (lax.abs, ANY), "sign": (lax.sign, ANY),
    "floor": (lax.floor, 3.0 * ANY), "ceil": (lax.ceil, 3.0 * ANY), "round": (lax.round, 3.0 * ANY),
    "is_finite": (lax.is_finite, np.array([1.0, np.inf, np.nan])),
    "add": (lax.add, ANY, OTHER), "sub": (lax.sub, ANY, OTHER), "mul": (lax.mul, ANY, OTHER),
    "div": (lax.div, ANY, OTHER), "rem": (lax.rem, ANY, OTHER), "pow": (lax.pow, ABOVE_1, UNIT),
    "atan2": (lax.atan2, ANY, OTHER), "nextafter": (after, ANY),
    "max": (lax.max, ANY, OTHER), "min": (lax.min, ANY, OTHER),
    "clamp": (lambda x: lax.clamp(-0.5, x, 0.5), ANY),
    **{name: (getattr(lax, name), np.round(ANY), np.round(OTHER)) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "and": (lambda x, y: (x > 0) & (y > 0), ANY, OTHER), "or": (lambda x, y: (x > 0) | (y > 0), ANY, OTHER),
    "xor": (lambda x, y: (x > 0) ^ (y > 0), ANY, OTHER), "not": (lambda x: ~(x > 0), ANY),
    "shift_left": (lambda n: n << 2, np.arange(4)),
    "shift_right_arithmetic": (lambda n: n >> 1, np.arange(-3, 4)),
    "select_n": (lambda x, y: jnp.where(x > 0.1, x, 2.0 * y), ANY, OTHER),
    "convert_element_type": (lambda x: x.astype(jnp.bfloat16), ANY),
    "bitcast_convert_type": (lambda x: lax.bitcast_convert_type(x, np.int64), np.array([1.5, -0.1])),
    "stop_gradient": (lambda x: lax.stop_gradient(x), ANY), "copy": (jnp.copy, ANY),
    "reduce_precision": (lambda x: lax.reduce_precision(x, 11, 52), ANY),
    "optimization_barrier": (lax.optimization_barrier, ANY),
    "complex": (lax.complex, ANY, OTHER), "real": (jnp.real, COMPLEX), "imag": (jnp.imag, COMPLEX),
    "conj": (jnp.conj, COMPLEX),
}  # fmt: skip

MOVED = {
    "reshape": (lambda x: x.reshape(2, 10), TABLE), "squeeze": (lambda x: lax.squeeze(x, (0,)), TABLE[:1]),
    "expand_dims": (lambda x: lax.expand_dims(x, (1,)), TABLE), "transpose": (jnp.transpose, TABLE),
    "broadcast_in_dim": (lambda x: lax.broadcast_in_dim(x, (5, 4, 2), (0, 1)), TABLE),
    "rev": (lambda x: lax.rev(x, (1,)), TABLE), "slice": (lambda x: lax.slice(x, (1, 0), (4, 3), (2, 1)), TABLE),
    "concatenate": (lambda x, y: lax.concatenate([x, y], 1), TABLE, TABLE[:, :1]),
    "stack": (lambda x: jnp.stack([x, x], 1), TABLE), "tile": (lambda x: jnp.tile(x, (2, 1, 2)), TABLE),
    "pad": (lambda x, p: lax.pad(x, p, [(-1, 2, 1), (0, -1, 0)]), TABLE, np.float64(1.5)),
    "split": (lambda x: lax.split(x, (1, 3), 1), TABLE),
    "unstack": (lambda x: jax.vjp(lambda y: jnp.stack([y, y], 1), x)[1](jnp.stack([x, 2.0 * x], 1))[0], UNIT),
    "iota": (lambda x: x + lax.broadcasted_iota(x.dtype, x.shape, 1), TABLE),
    "sort": (lambda x: lax.sort(x, dimension=0), TABLE), "top_k": (lambda x: lax.top_k(x, 2)[0], TABLE),
    "dynamic_slice": (lambda x, i: lax.dynamic_slice(x, (i, 0), (2, 2)), TABLE, np.int64(4)),
    "dynamic_update_slice": (lambda x, u, i: lax.dynamic_update_slice(x, u, (i, 0)), TABLE, PAIRS[:2], np.int64(-1)),
    "gather": (lambda x, i: x[i], TABLE, np.array([[0, 3], [2, 2]])),
    "scatter": (lambda x, u: x.at[np.array([0, 2])].set(u), TABLE, 2.0 * TABLE[:2]),
    "scatter-add": (lambda x, u: x.at[FIRST].add(u), ONE, ANOTHER),
    "scatter-sub": (lambda x, u: x.at[FIRST].subtract(u), ONE, -ANOTHER),
    "scatter-mul": (lambda x, u: x.at[FIRST].mul(u, unique_indices=True), UNIT, UNIT[1:2]),
    "scatter-max": (lambda x, u: x.at[FIRST].max(u), UNIT, UNIT[1:2]),
    "scatter-min": (lambda x, u: x.at[FIRST].min(u), UNIT, UNIT[1:2]),
}  # fmt: skip

FOLDED = {
    "reduce_sum": (lambda x: jnp.sum(x, 1), PAIRS), "cumsum": (lambda x: lax.cumsum(x, 1), PAIRS),
    "reduce_prod": (lambda x: jnp.prod(x, 1), PAIRS), "cumprod": (lambda x: lax.cumprod(x, 1), PAIRS),
    "reduce_window_sum": (lambda x: window(x, lax.add, 0.0), PAIRS),
    "reduce_max": (lambda x: jnp.max(x, 1), PAIRS), "reduce_min": (lambda x: jnp.min(x, 0), PAIRS),
    "cummax": (lambda x: lax.cummax(x, 1), PAIRS), "cummin": (lambda x: lax.cummin(x, 1), PAIRS),
    "reduce_window_max": (lambda x: window(x, lax.max, -jnp.inf), TABLE),
    "reduce_window_min": (lambda x: window(x, lax.min, jnp.inf), TABLE),
    "argmax": (lambda x: jnp.argmax(x, 1), TABLE), "argmin": (lambda x: jnp.argmin(x, 1), TABLE),
    **{
        f"reduce_{how}": (lambda x, how=how: getattr(lax, f"reduce_{how}")(x > 0.0, (1,)), TABLE)
        for how in ("and", "or", "xor")
    },
    "dot_general": (lax.dot, PAIRS, FACTORS),
    "conv_general_dilated": (
        lambda x, y: lax.conv_general_dilated(x, y, (1,), "VALID"), UNIT[None, None], FACTORS[:1, None, :2],
    ),
    "fft": (jnp.fft.rfft, ANY[:5]),
}  # fmt: skip

PROGRAMS = {
    "jit": (jax.jit(lambda x: jnp.sin(x) * x), UNIT), "remat2": (jax.checkpoint(lambda x: jnp.sin(jnp.sin(x))), UNIT),
    "custom_jvp_call": (cubed, UNIT), "custom_vjp_call": (squared, UNIT),
    "composite": (composed, UNIT), "custom_vmap_call": (mapped, UNIT),
    "scan": (lambda c, x: lax.scan(lambda c, x: (jnp.sin(c) * x, c), c, x, reverse=True), np.float64(0.3), UNIT[:4]),
    "while": (lambda x: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.sin(s[1])), (0, x))[1], UNIT),
    "cond": (lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x), UNIT),
    "custom_linear_solve": (solved, SYMMETRIC, ANY[:3]),
    "linear_call": (lambda x: linear_call(jnp.multiply, jnp.multiply, jnp.asarray(ANY, x.dtype), x), UNIT),
    "random_gamma": (lambda a: jax.random.gamma(jax.random.key(0), a), UNIT[:3]),
    "cholesky": (jnp.linalg.cholesky, SYMMETRIC), "lu": (lambda a: lax.linalg.lu(a)[0], MATRIX),
    "triangular_solve": (lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True), MATRIX, ANY[:3]),
    "eigh": (lambda a: jnp.linalg.eigh(a), SYMMETRIC), "qr": (lambda a: tuple(jnp.linalg.qr(a)), MATRIX),
    "eig": (jnp.linalg.eigvals, MATRIX), "svd": (lambda a: jnp.linalg.svd(a, full_matrices=False), MATRIX[:, :2]),
}  # fmt: skip

CASES = ELEMENTWISE | MOVED | FOLDED | PROGRAMS

ALIASES = {
    **dict.fromkeys(("core_call", "call", "closed_call"), "jit"),
    **dict.fromkeys(("device_put", "sharding_constraint", "pvary", "name", "optimization_barrier"), "copy"),
    **{f"{how}_to": how for how in ("lt", "le", "eq")},
    "add_any": "add",
}  # fmt: skip
"""Other names of rules: what the supported releases of JAX write in one way or another."""

VARIANTS = (
    "complex, of an array and a number", "product with a zero", "reduce_window, sum", "cumulative", "sort by keys",
    "cumprod, complex128", "conv, dilated", "conv, groups of features", "irfft", "fft",
    "conv, groups of the batch", "take, clipped", "einsum", "entr", "logsumexp", "variance", "custom_root", "switch",
    "cholesky, complex128", "qr, complex128", "solve, batch", "eigvals", "triangular solve, every switch",
    "svd, complex vectors in a product", "eig, a function of a matrix", "conjugate gradients",
    *(f"{name}, complex128" for name in ("exp", "log", "sqrt", "tanh", "asinh", "mul", "div", "pow", "atan2")),
)  # fmt: skip
"""Cases of `functions_of_jax` that take other ways through the same rules."""


def names_in(program):
    """The primitives of a program, however deep."""
    return {eq.name for eq in program.equations}.union(*(names_in(p) for eq in program.equations for p in eq.programs))


HAS_LONG = np.finfo(np.longdouble).eps < 1e-18


def longer(value):
    """Real numbers in NumPy's longest type."""
    value = np.asarray(value)
    return value.astype(np.longdouble) if kind(value.dtype) == "f" else value


class LongRun(Run):
    """The interpreter in NumPy's longest type, beside `interpreter.lifted` as `longer`."""

    def number(self, atom):
        return constant(longer(atom.value))
