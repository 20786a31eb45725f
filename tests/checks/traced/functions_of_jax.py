"""Functions as JAX's own public tests differentiate them: name -> (function, arguments), drawn from one seed."""

import os
from inspect import signature

import jax
import jax.numpy as jnp
import jax.scipy.linalg as sl
import jax.scipy.special as sp
import numpy as np
import pytest
from jax import lax
from own_rules import with_vjp

rng = np.random.default_rng(0)
DEEP = os.environ.get("HARNESS_PROFILE") == "deep"


def sampled(table):
    """Every second case of a table that other tests go through as well; all with HARNESS_PROFILE=deep."""
    return list(table) if DEEP else list(table)[::2]


def normal(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return rng.uniform(0.2, 2.0, size=shape)


def inside(*shape):
    return rng.uniform(-0.9, 0.9, size=shape)


def complex_(*shape):
    return normal(*shape) + 1j * normal(*shape)


def definite(n):
    a = normal(n, n)
    return a @ a.T + n * np.eye(n)


def cast(array, dtype):
    return jnp.asarray(array, dtype)


UNARY = {
    "exp": normal, "log": positive, "sin": normal, "cos": normal, "tan": inside, "asin": inside, "acos": inside,
    "atan": normal, "sinh": normal, "cosh": normal, "tanh": normal, "asinh": normal, "atanh": inside, "sqrt": positive,
    "rsqrt": positive, "cbrt": positive, "erf": normal, "erfc": normal, "erf_inv": inside, "lgamma": positive,
    "digamma": positive, "bessel_i0e": normal, "bessel_i1e": normal, "logistic": normal, "expm1": normal,
    "log1p": positive, "square": normal, "floor": normal, "ceil": normal, "round": normal, "sign": normal,
    "abs": normal, "exp2": normal, "neg": normal, "reciprocal": positive,
}  # fmt: skip
COMPLEX = (
    "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "atanh", "sqrt", "rsqrt", "expm1", "log1p", "square",
    "logistic", "abs", "real", "imag", "conj", "neg", "asinh", "asin", "acos", "atan",
)  # fmt: skip
BINARY = ("add", "sub", "mul", "div", "pow", "max", "min", "atan2", "rem", "complex")

ELEMENTWISE = {
    **{name: (getattr(lax, name), draw(3, 2)) for name, draw in UNARY.items()},
    **{f"{name}, float32": (getattr(lax, name), draw(3).astype(np.float32)) for name, draw in UNARY.items()},
    **{
        f"{name}, {dtype}": (getattr(lax, name), cast(positive(3, 2), dtype))
        for name in ("sin", "exp", "tanh", "logistic", "log", "sqrt", "abs", "erf", "atan", "rsqrt")
        for dtype in ("bfloat16", "float16")
    },
    **{f"{name}, complex128": (getattr(lax, name), complex_(3)) for name in COMPLEX},
    **{f"{name}, complex64": (getattr(lax, name), complex_(3).astype(np.complex64)) for name in COMPLEX},
    "acosh": (lax.acosh, 1.0 + positive(3)),
    **{name: (getattr(lax, name), positive(3), positive(3)) for name in BINARY},
    **{f"{name}, complex128": (getattr(lax, name), complex_(3), complex_(3)) for name in (*BINARY[:5], "atan2")},
    "clamp": (lax.clamp, -positive(3), normal(3), positive(3)),
    "hypot": (jnp.hypot, normal(3), normal(3)),
    "logaddexp": (jnp.logaddexp, normal(3), normal(3)),
    "logaddexp of equals": (jnp.logaddexp, np.ones(2), np.ones(2)),
    "mod": (jnp.mod, normal(3), positive(3)),
    "power": (jnp.power, positive(3), normal(3)),
    "square at 0": (lambda x: x**2.0, np.zeros(2)),
    "sinc at 0": (jnp.sinc, np.array([0.0, 0.5])),
    "where at its edge": (lambda x: jnp.where(x > 0, x, 0.0), np.zeros(2)),
    "maximum at its edge": (lambda x: jnp.maximum(x, 0.0), np.zeros(2)),
    "relu6 at its edges": (jax.nn.relu6, np.array([0.0, 6.0, 3.0])),
    "elu and selu at 0": (lambda x: (jax.nn.elu(x), jax.nn.selu(x), jax.nn.celu(x)), np.zeros(1)),
    "norm": (jnp.linalg.norm, np.array([3.0, 4.0])),
    "1-norm at 0": (lambda x: jnp.sum(jnp.abs(x)), np.array([0.0, 1.0])),
}

SPECIAL = {
    "igamma": (lax.igamma, positive(2), positive(2)),
    "betainc": (lambda x: lax.betainc(1.3, 2.0, x), positive(2) / 3),
    "polygamma": (lambda x: sp.polygamma(1, x), positive(3)),
    "zeta": (lambda q: sp.zeta(2.5, q), positive(2)),
    "entr": (sp.entr, positive(3)),
    "logit": (sp.logit, positive(3) / 3),
    "ndtri": (sp.ndtri, positive(3) / 3),
    "log_ndtr": (sp.log_ndtr, normal(3)),
    "expi": (sp.expi, positive(2)),
    "spence": (sp.spence, positive(3)),
    "multigammaln": (lambda x: sp.multigammaln(x, 2), positive(3) + 2),
    "hyp1f1": (lambda x: sp.hyp1f1(1.2, 2.1, x), positive(2)),
    "logsumexp": (sp.logsumexp, normal(3, 2)),
}

STRUCTURE = {
    "conv": (lambda a, k: lax.conv(a, k, (1, 1), "SAME"), normal(2, 3, 4, 4), normal(2, 3, 2, 2)),
    "conv, float32": (
        lambda a, k: lax.conv(a, k, (1, 1), "SAME"),
        normal(1, 2, 3, 3).astype(np.float32),
        normal(2, 2, 2, 2).astype(np.float32),
    ),
    "conv, dilated": (
        lambda a, k: lax.conv_general_dilated(
            a, k, (1, 2), [(0, 1), (1, 0)], (2, 1), (1, 2), dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
        normal(1, 4, 4, 2),
        normal(2, 2, 2, 3),
    ),
    "conv, groups of features": (
        lambda a, k: lax.conv_general_dilated(a, k, (1,), [(1, 1)], feature_group_count=2),
        normal(2, 4, 5),
        normal(4, 2, 3),
    ),
    "conv, groups of the batch": (
        lambda a, k: lax.conv_general_dilated(a, k, (1,), [(1, 1)], batch_group_count=2),
        normal(4, 2, 5),
        normal(4, 2, 3),
    ),
    "dot_general": (lambda a, b: lax.dot_general(a, b, (((2,), (1,)), ((0,), (0,)))), normal(2, 3, 4), normal(2, 4, 2)),
    "matmul, bfloat16": (jnp.matmul, cast(normal(3, 4), "bfloat16"), cast(normal(4, 2), "bfloat16")),
    "product with a zero": (jnp.prod, np.array([0.0, 1.0, 2.0])),
    "product with two zeros": (jnp.prod, np.array([0.0, 0.0, 2.0])),
    "reduce_window, sum": (lambda a: lax.reduce_window(a, 0.0, lax.add, (2, 2), (1, 2), "SAME"), normal(4, 3)),
    "reduce, by a program": (lambda a: lax.reduce(a, 0.0, lambda x, y: x + y + 0.1 * x * y, (0,)), normal(4, 2)),
    "reduce, by a program, float32": (
        lambda a: lax.reduce(a, np.float32(0.0), lambda x, y: x + y + x * y, (0,)),
        cast(normal(4, 2), "float32"),
    ),
    "cumulative": (
        lambda a: (lax.cumsum(a, 0, reverse=True), lax.cumprod(a, 0), lax.cummax(a, 0)),
        normal(4, 2),
    ),
    "cumprod, complex128": (jnp.cumprod, complex_(3)),
    "cumlogsumexp": (lambda a: lax.cumlogsumexp(a, 0), normal(4, 2)),
    "cumlogsumexp, complex128": (lambda a: lax.cumlogsumexp(a, 0), complex_(3)),
    "sort by keys": (lambda k, v: lax.sort_key_val(k, v), normal(4), normal(4)),
    "sort with ties": (jnp.sort, np.array([1.0, 1.0, 2.0])),
    "max with ties": (jnp.max, np.array([1.0, 1.0, 2.0, 2.0])),
    "median": (jnp.median, normal(6)),
    "take, clipped": (lambda a, i: jnp.take(a, i, axis=0, mode="clip"), normal(4, 3), np.array([0, 5])),
    "scatter, subtract": (
        lambda a, u: a.at[np.array([3, 0])].subtract(u),
        cast(normal(4), "bfloat16"),
        cast(normal(2), "bfloat16"),
    ),
    "segment_sum": (jax.ops.segment_sum, normal(3, 2), np.array([0, 0, 1])),
    "fft": (jnp.fft.fft2, complex_(2, 3)),
    "irfft": (lambda z: jnp.fft.irfft(z, 5), complex_(3)),
    "einsum": (lambda a, b: jnp.einsum("ijk,kl->jl", a, b), normal(2, 3, 2), normal(2, 2)),
    "variance": (jnp.var, normal(4)),
    "interp": (lambda x: jnp.interp(x, np.arange(-4.0, 5.0), np.sin(np.arange(-4.0, 5.0))), normal(3)),
    "softmax, float16": (jax.nn.softmax, cast(normal(6), "float16")),
    "layer norm, bfloat16": (jax.nn.standardize, cast(normal(6), "bfloat16")),
    "sum, bfloat16": (lambda a: jnp.sum(a * a), cast(normal(64), "bfloat16")),
    "casts": (lambda a: a.astype("bfloat16").astype("float32") * a, normal(3).astype(np.float32)),
    "attention": (lambda q: jax.nn.dot_product_attention(q, q, q), normal(1, 3, 1, 2)),
}


def solved_and_told(a, b):
    """The solution, and how many steps it took; JAX never differentiates what solves."""

    def solve(matvec, b):
        return lax.stop_gradient(jnp.linalg.solve(jax.jacobian(matvec)(b), b)), {"steps": jnp.array(1.0)}

    return lax.custom_linear_solve(lambda x: a @ x, b, solve, solve, symmetric=True, has_aux=True)


EIGENVECTORS_HAVE_DERIVATIVES = "enable_eigvec_derivs" in signature(lax.linalg.eig).parameters  # not in JAX 0.8


def matrix_sine(a):
    """By the eigenvectors, whose phases and lengths leave it as it is."""
    w, v = lax.linalg.eig(a, compute_left_eigenvectors=False, enable_eigvec_derivs=True)
    return v @ jnp.diag(jnp.sin(w)) @ jnp.linalg.inv(v)


LINEAR_ALGEBRA = {
    "cholesky, complex128": (lambda a: jnp.linalg.cholesky(a @ a.conj().T + 3 * jnp.eye(3)), complex_(3, 3)),
    "cholesky, batch": (jnp.linalg.cholesky, np.stack([definite(2), definite(2)])),
    "solve, batch": (jnp.linalg.solve, normal(2, 3, 3), normal(2, 3, 1)),
    "inv, complex128": (jnp.linalg.inv, complex_(3, 3)),
    "inv, float32": (jnp.linalg.inv, definite(3).astype(np.float32)),
    "det, singular": (jnp.linalg.det, np.array([[1.0, 2, 3], [2, 4, 6], [1, 0, 1]])),
    "slogdet, complex128": (jnp.linalg.slogdet, complex_(3, 3)),
    "eigh": (lambda a: (jnp.linalg.eigh(a)[0], jnp.abs(jnp.linalg.eigh(a)[1])), definite(3)),
    "eigh, float32": (lambda a: jnp.linalg.eigh(a)[0], definite(3).astype(np.float32)),
    "eigh, float32 vectors": (jnp.linalg.eigh, definite(4).astype(np.float32)),
    "eigh, complex128": (lambda a: jnp.linalg.eigh(a + a.conj().T)[0], complex_(3, 3)),
    "eigh, a projection": (
        lambda a: (lambda v: v[:, :1] @ v[:, :1].conj().T)(jnp.linalg.eigh(a + a.conj().T)[1]),
        complex_(3, 3),
    ),
    "eigvals": (jnp.linalg.eigvals, normal(3, 3)),
    **({"eig, a function of a matrix": (matrix_sine, normal(3, 3))} if EIGENVECTORS_HAVE_DERIVATIVES else {}),
    "qr, complex128": (jnp.linalg.qr, complex_(3, 2)),
    "complex, of an array and a number": (lambda x: lax.complex_p.bind(x, 0.5) ** 2, normal(2, 2)),
    "svd": (lambda a: jnp.linalg.svd(a, full_matrices=False), normal(3, 2)),
    "svd, complex128": (lambda a: jnp.linalg.svd(a, full_matrices=False)[1], complex_(3, 2)),
    "svd, complex vectors in a product": (
        lambda a: (lambda u, s, v: (u * s) @ v)(*jnp.linalg.svd(a, full_matrices=False)),
        complex_(2, 3),
    ),
    "lstsq": (lambda a, b: jnp.linalg.lstsq(a, b)[0], normal(4, 2), normal(4)),
    "spectral norm": (lambda a: jnp.linalg.norm(a, 2), normal(3, 2)),
    "triangular solve": (
        lambda a, b: sl.solve_triangular(a, b, lower=True, trans=1),
        normal(3, 3) + 3 * np.eye(3),
        normal(3, 2),
    ),
    "triangular solve, every switch": (
        lambda a, b: lax.linalg.triangular_solve(
            a, b, left_side=False, lower=False, unit_diagonal=True, conjugate_a=True, transpose_a=True
        ),
        complex_(3, 3),
        complex_(2, 3),
    ),
    "lu, tall": (lambda a: sl.lu_factor(a)[0], normal(4, 2)),
    "tridiagonal solve": (lax.linalg.tridiagonal_solve, normal(4), positive(4) + 3, normal(4), normal(4, 2)),
    "cho_solve": (lambda a, b: sl.cho_solve(sl.cho_factor(a), b), definite(3), normal(3)),
}

CONTROL = {
    "scan": (
        lambda c, a: lax.scan(lambda c, a: (jnp.sin(c) * jnp.sum(jnp.cos(a)), c * a), c, a),
        normal(3),
        normal(4, 3),
    ),
    "while": (lambda x: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.sin(s[1])), (0, x))[1], normal(3)),
    "switch": (lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, lambda x: x * x], x), np.int64(2), normal(3)),
    "associative_scan": (lambda x: lax.associative_scan(lambda a, b: a * b + a, x), normal(5)),
    "custom_root": (
        lambda x: lax.custom_root(
            lambda y: y**3 - x,
            1.0,
            lambda f, x0: lax.fori_loop(0, 60, lambda i, y: y - f(y) / (3 * y * y), x0),
            lambda g, y: y / g(1.0),
        ),
        1.7,
    ),
    "custom_linear_solve": (
        lambda a, b: lax.custom_linear_solve(
            lambda x: a @ x,
            b,
            lambda mv, b: jnp.linalg.inv(lax.stop_gradient(a)) @ b,
            lambda mv, b: jnp.linalg.inv(lax.stop_gradient(a)).T @ b,
        ),
        definite(3),
        normal(3),
    ),
    "custom_linear_solve, whose solve stops gradients and tells more": (solved_and_told, definite(3), normal(3)),
    "conjugate gradients": (lambda a, b: jax.scipy.sparse.linalg.cg(lambda x: a @ x, b)[0], definite(3), normal(3)),
}

ALL = ELEMENTWISE | SPECIAL | STRUCTURE | LINEAR_ALGEBRA | CONTROL


@jax.custom_jvp
def steep_hypot(x, y):
    """√(x² + y²) as JAX before 0.12 differentiates it: by a square that underflows."""
    return jnp.hypot(x, y)


@steep_hypot.defjvp
def _steep_hypot_jvp(primals, tangents):
    (x, y), (dx, dy), h = primals, tangents, jnp.hypot(*primals)
    return h, h * (x / (h * h) * dx + y / (h * h) * dy)


def rule(value, backward):
    """A function with a reverse rule of its own: backward(x, g) is the cotangent of x."""
    return with_vjp("f", lambda x: value(x), lambda x, g: (backward(x, g),))


def facts(report, kind):
    """The facts of a kind in a report."""
    return [fact for fact in report.every_fact() if fact.kind == kind]


def more(*names):
    """Parameters that a contributor need not wait for."""
    return [pytest.param(name, marks=pytest.mark.more) for name in names]
