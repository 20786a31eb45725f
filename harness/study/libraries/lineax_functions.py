"""Right functions of Lineax: every solver, operators of every structure, and pytrees."""

# pyright: reportMissingImports=false

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np

from harness.study.libraries import Host
from harness.study.traced_functions import Function

A = np.array([[3.0, 0.4, -0.2], [0.1, 2.5, 0.7], [-0.5, 0.3, 2.0]])
B = np.array([1.0, -0.5, 0.8])
TALL = np.array([[1.0, 0.2], [0.3, 2.0], [-0.7, 0.5], [0.4, 0.9]])
WIDE = TALL.T.copy()
DIAGONAL = np.array([2.0, -1.5, 0.7])


def _solve(solver, *tags):
    return lambda a, b: lx.linear_solve(lx.MatrixLinearOperator(a, *tags), b, solver).value


def _symmetric(solver, *tags):
    return lambda a, b: _solve(solver, *tags)(a @ a.T + 3.0 * jnp.eye(len(a), dtype=a.dtype), b)


def _tridiagonal(a, b):
    operator = lx.TridiagonalLinearOperator(jnp.diag(a), jnp.diag(a, -1), jnp.diag(a, 1))
    return lx.linear_solve(operator, b, lx.Tridiagonal()).value


def _triangular(a, b):
    # a tag is a promise: Lineax reads the entries above the diagonal in the derivative, and not in the solution
    return _solve(lx.Triangular(), lx.lower_triangular_tag)(jnp.tril(a), b)


def _function(solver):
    def solve(a, b):
        operator = lx.FunctionLinearOperator(
            lambda v: a @ v + 0.1 * jnp.tanh(a[0, 0]) * v, jax.ShapeDtypeStruct(b.shape, b.dtype)
        )
        return lx.linear_solve(operator, b, solver).value

    return solve


def _jacobian(a, b):
    operator = lx.JacobianLinearOperator(lambda y, _: a @ jnp.tanh(y), 0.3 * b)
    return lx.linear_solve(operator, b, lx.AutoLinearSolver(well_posed=None)).value


def _tree(a, b):
    blocks = {"x": {"x": a[:2, :2], "y": a[:2, 2:]}, "y": {"x": a[2:, :2], "y": a[2:, 2:]}}
    operator = lx.PyTreeLinearOperator(blocks, jax.eval_shape(lambda: {"x": jnp.zeros(2), "y": jnp.zeros(1)}))
    return lx.linear_solve(operator, {"x": b[:2], "y": b[2:]}, lx.LU()).value


def _composed(a, b):
    operator = lx.MatrixLinearOperator(a) @ lx.DiagonalLinearOperator(b) + 2.0 * lx.IdentityLinearOperator(
        jax.eval_shape(lambda: b)
    )
    return lx.linear_solve(operator, b, lx.LU()).value


def _reused_state(a, b):
    operator, solver = lx.MatrixLinearOperator(a), lx.LU()
    state = jax.lax.stop_gradient(solver.init(operator, {}))
    first = lx.linear_solve(operator, b, solver, state=state).value
    return first + lx.linear_solve(operator, b * first, solver, state=state).value


def _in_loss(a, b):
    x = lx.linear_solve(lx.MatrixLinearOperator(a), jnp.sin(b), lx.LU()).value
    return jnp.sum(jnp.log1p(x**2)) + jnp.sum(a * 0.1)


CG, GMRES = lx.CG(1e-12, 1e-12), lx.GMRES(1e-12, 1e-12)
POSITIVE = lx.positive_semidefinite_tag
NARROW = np.float32(A), np.float32(B)

ARGUMENTS = (A, B)  # of the functions that stand alone below

FUNCTIONS: dict[str, Function | tuple[Function, tuple]] = {
    "LU": _solve(lx.LU()),
    "LU, float32": (_solve(lx.LU()), NARROW),
    "automatic": _solve(lx.AutoLinearSolver(well_posed=True)),
    "QR, square": _solve(lx.QR()),
    "QR, tall": (_solve(lx.QR()), (TALL, np.array([1.0, 0.3, -0.4, 0.2]))),
    "QR, wide": (_solve(lx.QR()), (WIDE, np.array([1.0, 0.3]))),
    "SVD, square": _solve(lx.SVD()),
    "SVD, tall": (_solve(lx.SVD()), (TALL, np.array([1.0, 0.3, -0.4, 0.2]))),
    "Cholesky": _symmetric(lx.Cholesky(), POSITIVE),
    "Cholesky, float32": (_symmetric(lx.Cholesky(), POSITIVE), NARROW),
    "CG": _symmetric(CG, POSITIVE),
    "CG, loose": _symmetric(lx.CG(1e-4, 1e-4), POSITIVE),
    "normal CG": _solve(lx.NormalCG(1e-12, 1e-12)),
    "GMRES": _solve(GMRES),
    "BiCGStab": _solve(lx.BiCGStab(1e-12, 1e-12)),
    "normal equations": (_solve(lx.Normal(lx.Cholesky())), (TALL, np.array([1.0, 0.3, -0.4, 0.2]))),
    "tridiagonal": _tridiagonal,
    "triangular": _triangular,
    "diagonal": (lambda a, b: lx.linear_solve(lx.DiagonalLinearOperator(a), b, lx.Diagonal()).value, (DIAGONAL, B)),
    "function operator": _function(lx.LU()),
    "function operator, GMRES": _function(GMRES),
    "Jacobian operator": _jacobian,
    "pytree operator": _tree,
    "composed operators": _composed,
    "a state used twice": _reused_state,
    "in a loss": _in_loss,
    "vmap of LU": lambda a, b: jax.vmap(lambda s: _solve(lx.LU())(a + s * jnp.eye(3), b))(jnp.array([0.0, 0.5])),
    "matrix alone": (lambda a: _solve(lx.LU())(a, jnp.asarray(B)), (A,)),
}  # fmt: skip


HOSTS: dict[str, tuple[Host, tuple]] = {
    "in an operator": (lambda rule: lambda a, b: _solve(lx.LU())(3.0 * jnp.eye(3) + rule(a), b), (A, B))
}
