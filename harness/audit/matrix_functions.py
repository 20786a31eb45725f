"""The derivatives of matrix functions, by each entry: their true values by textbook formulas, and those of libraries.

A matrix of balls A + t, with t in one entry, goes through the formula; the result holds the derivatives by this entry.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
from flint import acb_mat, arb, arb_series

from harness.audit.derivative_errors import Error, decades, error_of, is_float64
from harness.audit.true_derivatives import TERMS, Series, derivative_of
from reference.arithmetics.balls import array_of, exact, precision

BITS = 2000  # enough for matrices whose entries differ by 10²⁰⁰

MATRICES = {
    "ordinary": [[2.0, -1.0, 0.5], [0.3, 1.5, -0.7], [-0.2, 0.4, 1.1]],
    "symmetric": [[2.0, -1.0, 0.5], [-1.0, 3.5, -0.7], [0.5, -0.7, 1.1]],
    "Hilbert": [[1 / (i + j + 1) for j in range(3)] for i in range(3)],
    "graded": [[1e-100, 1.0, 0.0], [1.0, 1e100, 1.0], [0.0, 1.0, 1.0]],
    "of rank 2": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]],
    "of rank 1": [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 6.0, 9.0]],
    "zero but for one entry": [[0.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]],
    "diagonal, two equal": [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]],
    "diagonal, one zero": [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 2.0]],
    "tiny": [[2e-200, -1e-200, 0.0], [0.0, 1e-200, 1e-201], [1e-201, 0.0, 3e-200]],
}

B = np.array([1.0, -2.0, 0.5])
WEIGHTS = np.array([[0.7, -0.4, 1.3], [0.2, 0.9, -1.1], [-0.6, 0.1, 0.8]])
Matrix = Any  # three by three `Balls`, which are power series here

ENTRIES = tuple(product(range(3), repeat=2))


# -- textbook formulas, over 3x3 arrays of power series ----------------------------------------------------------------


def _cofactors(A: Matrix) -> Matrix:
    after, last = [1, 2, 0], [2, 0, 1]  # with cyclic indices, all cofactors have the right sign
    return A[after][:, after] * A[last][:, last] - A[after][:, last] * A[last][:, after]


def _det(A: Matrix) -> Series:
    return (A[0] * _cofactors(A)[0]).sum()


def _inverse(A: Matrix) -> Matrix:
    return _cofactors(A).T * exact(1 / _det(A))  # flint raises where A is singular


def _cholesky(A: Matrix) -> Matrix:
    L = array_of([arb_series([0])] * 9, (3, 3))
    for j in range(3):
        L[j, j] = (A[j, j] - (L[j] * L[j]).sum()).sqrt()
        for i in range(j + 1, 3):
            L[i, j] = (A[i, j] - (L[i] * L[j]).sum()) / L[j, j]  # columns that are still zero add nothing
    return L


def _eigenvalues(A: Matrix) -> Matrix:
    """Of a symmetric matrix, smallest first, where all differ: two of Newton's steps on det(A - λ) give t and t²."""
    start = acb_mat([[x[0] for x in row] for row in A.tolist()]).eig()  # raises where it cannot tell two apart
    # Newton's step on p(λ) = det(A - λI), with p' = -Σ of the diagonal cofactors of A - λI.
    found = []
    for root in sorted((value.real for value in start), key=lambda value: float(value.mid())):
        value = arb_series([root])
        for _ in range(2):
            shifted = A - np.eye(3) * exact(value)
            value = value + _det(shifted) / _cofactors(shifted).diagonal().sum()
        found.append(value)
    return array_of(found, (3,))


LARGEST_EXPONENT, HALVINGS, EXPONENTIAL_TERMS = 100.0, 10, 80
"""Larger matrices overflow. Halved so often, the others are below 1/3 in norm, and so many terms leave 2⁻⁵⁰⁰."""


def _exponential(A: Matrix) -> Matrix:
    """Scaling and squaring of Σ Aᵏ/k!."""
    if max(abs(float(x[0])) for x in A.ravel().tolist()) > LARGEST_EXPONENT:
        raise ValueError("the exponential may overflow")
    scaled = A / 2.0**HALVINGS
    term = total = A * 0.0 + np.eye(3)
    for k in range(1, EXPONENTIAL_TERMS):
        term = term @ scaled / float(k)
        total = total + term
    for _ in range(HALVINGS):
        total = total @ total
    return total


def functions_by(
    linalg: Any,
    weights: Any,
    b: Any,
    *,
    bordered: Callable[[Any], Any],
    exponential: Callable[[Any], Any],
    solve_upper: Callable[[Any, Any], Any],
) -> dict[str, Callable[[Any], Any]]:
    """Functions of a matrix to one number, with weights, by some linear algebra; the last three have many names.

    Functions of symmetric matrices get the symmetric part. Libraries compute determinants of up to 3 by 3 by a formula
    of their own, so one is of A bordered by a row and a column of the unit matrix. R in A = QR is squared, and so has
    no sign.
    """
    return {
        "det": linalg.det,
        "det of 4 by 4": lambda A: linalg.det(bordered(A)),
        "log |det|": lambda A: linalg.slogdet(A)[1],
        "inv": lambda A: (weights * linalg.inv(A)).sum(),
        "solve": lambda A: weights[0] @ linalg.solve(A, b),
        "solve, upper triangular": lambda A: weights[0] @ solve_upper(A, b),
        "norm": linalg.norm,
        "cholesky": lambda A: (weights * linalg.cholesky((A + A.T) / 2)).sum(),
        "eigvalsh": lambda A: b @ linalg.eigvalsh((A + A.T) / 2),
        "svdvals": lambda A: b @ linalg.svdvals(A),
        "qr": lambda A: (weights * linalg.qr(A)[1] ** 2).sum(),
        "exponential": lambda A: (weights * exponential(A)).sum(),
        "exponential, times 1e8": lambda A: (1e8 * weights * exponential(A)).sum(),
    }


SYMMETRIC = ("cholesky", "eigvalsh")

TEXTBOOK = SimpleNamespace(
    det=_det,
    slogdet=lambda A: (None, (det if (det := _det(A))[0] > 0 else -det).log()),
    inv=_inverse,
    solve=lambda A, b: _inverse(A) @ b,
    norm=lambda A: (A * A).sum().sqrt(),
    cholesky=_cholesky,
    eigvalsh=_eigenvalues,
    svdvals=lambda A: np.sqrt(_eigenvalues(A.T @ A)[::-1]),
    qr=lambda A: (None, _cholesky(A.T @ A).T),  # RᵀR = AᵀA
)

FUNCTIONS = functions_by(
    TEXTBOOK,
    WEIGHTS,
    B,
    bordered=lambda A: A,
    exponential=_exponential,
    solve_upper=lambda A, b: _inverse(A * np.triu(np.ones((3, 3)))) @ b,
)
"""The functions over power series."""


# -- errors ------------------------------------------------------------------------------------------------------------


def measure_matrix_errors(library: str) -> Iterator[tuple[str, int, list[Error]]]:
    """(function and matrix, order, errors by each entry) for each pair whose true derivatives are finite.

    An error's `z` is the number of the entry, row by row.
    """
    for (name, function), (kind, entries), order in product(FUNCTIONS.items(), MATRICES.items(), (1, 2)):
        A = np.array(entries)
        if name in SYMMETRIC and not np.array_equal(A, A.T):
            continue
        exact = true_matrix_derivatives(function, entries, order)
        if exact is not None:
            answers = DIFFERENTIATE[library](name, A, order)
            far = max(decades(x) for x in A.ravel())
            errors = [error_of(i, true, float(x), far) for i, (true, x) in enumerate(zip(exact, answers))]
            yield f"{name}, matrix {kind}", order, errors


def true_matrix_derivatives(
    function: Callable[[Matrix], Series], entries: Sequence[Sequence[float]], order: int
) -> list[arb] | None:
    """The first or second derivative by each entry; None where one is unknown or beyond float64."""
    try:
        with precision(BITS, TERMS):
            found = [derivative_of(function(_moved(entries, place)), order) for place in ENTRIES]
    except (ZeroDivisionError, ValueError):  # singular; eigenvalues that cannot be told apart
        return None
    return found if all(map(is_float64, found)) else None


def _moved(entries: Sequence[Sequence[float]], place: tuple[int, ...]) -> Matrix:
    """A + t at one entry."""
    return array_of((arb_series([arb(entries[i][j]), int((i, j) == place)]) for i, j in ENTRIES), (3, 3))


def _by_jax(name: str, A: np.ndarray, order: int) -> np.ndarray:
    import jax
    import jax.numpy as jnp
    from jax.scipy.linalg import block_diag, expm, solve_triangular

    with jax.enable_x64(True):
        function = functions_by(
            jnp.linalg,
            jnp.asarray(WEIGHTS),
            jnp.asarray(B),
            bordered=lambda A: block_diag(A, jnp.ones((1, 1))),
            exponential=expm,
            solve_upper=solve_triangular,
        )[name]
        if order == 1:
            return np.asarray(jax.grad(function)(jnp.asarray(A))).ravel()
        return np.asarray(jax.hessian(function)(jnp.asarray(A))).reshape(9, 9).diagonal()


def _by_torch(name: str, A: np.ndarray, order: int) -> np.ndarray:
    import torch  # pyright: ignore[reportMissingImports]  only called where it is installed
    from torch.autograd import forward_ad  # pyright: ignore[reportMissingImports]

    function = functions_by(
        torch.linalg,
        torch.tensor(WEIGHTS),
        torch.tensor(B),
        bordered=lambda A: torch.block_diag(A, torch.ones((1, 1), dtype=torch.float64)),
        exponential=torch.linalg.matrix_exp,
        solve_upper=lambda A, b: torch.triangular_solve(b[:, None], A)[0][:, 0],
    )[name]

    def gradient(x: Any) -> Any:
        return torch.autograd.grad(function(x), x, create_graph=order == 2)[0]

    def second(place: tuple[int, ...]) -> float:
        """The derivative by an entry twice: forward mode of the gradient, as JAX's Hessian has it."""
        direction = torch.zeros((3, 3), dtype=torch.float64)
        direction[place] = 1.0
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(torch.tensor(A, requires_grad=True), direction)
            tangent = forward_ad.unpack_dual(gradient(dual)).tangent
            return 0.0 if tangent is None else float(tangent[place].detach())

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's own deprecations, such as that of triangular_solve
            if order == 1:
                return gradient(torch.tensor(A, requires_grad=True)).numpy().ravel()
            return np.array([second(place) for place in ENTRIES])
    except RuntimeError:  # PyTorch raises where the matrix is singular to working precision
        return np.full(A.size, np.nan)


DIFFERENTIATE = {"jax": _by_jax, "torch": _by_torch}
"""By library, (function, matrix, order) -> derivatives by each entry."""
