"""Derivatives of matrix functions: by each entry, along the power series of textbook formulas over balls."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
from flint import acb_mat, arb, arb_series, ctx

from harness.audit.derivative_errors import Error, decades, judged
from harness.audit.true_derivatives import Series, settled

BITS = 2000  # enough for matrices whose entries differ by 10^200

MATRICES = {
    "ordinary": [[2.0, -1.0, 0.5], [0.3, 1.5, -0.7], [-0.2, 0.4, 1.1]],
    "symmetric": [[2.0, -1.0, 0.5], [-1.0, 3.5, -0.7], [0.5, -0.7, 1.1]],
    "Hilbert": [[1 / (i + j + 1) for j in range(3)] for i in range(3)],
    "graded": [[1e-100, 1.0, 0.0], [1.0, 1e100, 1.0], [0.0, 1.0, 1.0]],
    "of rank 2": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]],
    "of rank 1": [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 6.0, 9.0]],
    "zero but for one entry": [[0.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]],
    "diagonal, two equal": [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]],
    "tiny": [[2e-200, -1e-200, 0.0], [0.0, 1e-200, 1e-201], [1e-201, 0.0, 3e-200]],
}

B = [1.0, -2.0, 0.5]
WEIGHTS = [[0.7, -0.4, 1.3], [0.2, 0.9, -1.1], [-0.6, 0.1, 0.8]]
ENTRIES = tuple(product(range(3), repeat=2))

Matrix = list[list[Series]]


def _cofactor(A: Matrix, i: int, j: int) -> Series:
    (a, b), (c, d) = ([A[r][s] for s in range(3) if s != j] for r in range(3) if r != i)
    return (a * d - b * c) * (-1) ** (i + j)


def _det(A: Matrix) -> Series:
    return sum((A[0][j] * _cofactor(A, 0, j) for j in range(1, 3)), A[0][0] * _cofactor(A, 0, 0))


def _weighted(A: Matrix) -> Series:
    return sum((A[i][j] * arb(WEIGHTS[i][j]) for i, j in ENTRIES), arb_series([0]))


def _inverse(A: Matrix) -> Matrix:
    det = _det(A)
    return [[_cofactor(A, j, i) / det for j in range(3)] for i in range(3)]


def _log_det(A: Matrix) -> Series:
    det = _det(A)
    return (det if det[0] > 0 else -det).log()


def _solution(A: Matrix) -> Series:
    inverse = _inverse(A)
    return sum((inverse[i][j] * (arb(WEIGHTS[0][i]) * arb(B[j])) for i, j in ENTRIES), arb_series([0]))


def _norm(A: Matrix) -> Series:
    return sum((A[i][j] * A[i][j] for i, j in ENTRIES), arb_series([0])).sqrt()


def _symmetric(A: Matrix) -> Matrix:
    return [[(A[i][j] + A[j][i]) / 2 for j in range(3)] for i in range(3)]


def _gram(A: Matrix) -> Matrix:
    """AᵀA."""
    return [[sum((A[k][i] * A[k][j] for k in range(3)), arb_series([0])) for j in range(3)] for i in range(3)]


def _cholesky(A: Matrix) -> Matrix:
    L = [[arb_series([0])] * 3 for _ in range(3)]
    for j in range(3):
        L[j][j] = (A[j][j] - sum((L[j][k] * L[j][k] for k in range(j)), arb_series([0]))).sqrt()
        for i in range(j + 1, 3):
            L[i][j] = (A[i][j] - sum((L[i][k] * L[j][k] for k in range(j)), arb_series([0]))) / L[j][j]
    return L


def _eigenvalues(A: Matrix) -> list[Series]:
    """Of a symmetric matrix, smallest first, where all differ: two of Newton's steps on det(A - λ) give t and t²."""
    start = acb_mat([[x[0] for x in row] for row in A]).eig()  # with an enclosure of each, or none
    found = []
    for root in sorted((value.real for value in start), key=lambda value: float(value.mid())):
        value = arb_series([root])
        for _ in range(2):
            shifted = [[A[i][j] - value if i == j else A[i][j] for j in range(3)] for i in range(3)]
            slope = sum((_cofactor(shifted, i, i) for i in range(1, 3)), _cofactor(shifted, 0, 0))
            value = value + _det(shifted) / slope
        found.append(value)
    return found


def _of_three(values: Sequence[Series]) -> Series:
    return sum((value * arb(weight) for value, weight in zip(values[1:], B[1:])), values[0] * arb(B[0]))


def _of_r(A: Matrix) -> Series:
    """Weighted squares of R, which know no sign: RᵀR = AᵀA."""
    L = _cholesky(_gram(A))
    return _weighted([[L[j][i] * L[j][i] for j in range(3)] for i in range(3)])


FUNCTIONS: dict[str, Callable[[Matrix], Series]] = {
    "det": _det,
    "log |det|": _log_det,
    "inv": lambda A: _weighted(_inverse(A)),
    "solve": _solution,
    "norm": _norm,
    "cholesky": lambda A: _weighted(_cholesky(_symmetric(A))),
    "eigvalsh": lambda A: _of_three(_eigenvalues(_symmetric(A))),
    "svdvals": lambda A: _of_three([value.sqrt() for value in reversed(_eigenvalues(_gram(A)))]),
    "qr": _of_r,
}
"""Each to one number, by the weights above; of what takes a symmetric matrix, at the symmetric part."""

SYMMETRIC = ("cholesky", "eigvalsh")


def measure_all(library: str) -> Iterator[tuple[str, int, list[Error]]]:
    """(function and matrix, order, errors by each entry) for each pair of which the truth is finite.

    An error's `z` is the number of the entry, row by row.
    """
    for (name, function), (kind, entries), order in product(FUNCTIONS.items(), MATRICES.items(), (1, 2)):
        A = np.array(entries)
        if name in SYMMETRIC and not np.array_equal(A, A.T):
            continue
        exact = true_derivatives(function, entries, order)
        if exact is not None:
            answered = _ASK[library](name, A, order)
            far = max(decades(x) for x in A.ravel())
            yield (
                f"{name}, matrix {kind}",
                order,
                [judged(i, t, float(a), far) for i, (t, a) in enumerate(zip(exact, answered))],
            )


def true_derivatives(
    function: Callable[[Matrix], Series], entries: Sequence[Sequence[float]], order: int
) -> list[arb] | None:
    """The first or second derivative by each entry; None where one is not finite, or not known."""
    before, (ctx.prec, ctx.cap) = (ctx.prec, ctx.cap), (BITS, 3)
    try:
        found = [settled(function(_moved(entries, *place))[order] * order) for place in ENTRIES]
    except (ZeroDivisionError, ValueError):  # singular; eigenvalues that cannot be told apart
        return None
    finally:
        ctx.prec, ctx.cap = before
    largest = float(np.finfo(float).max)
    return found if all(x.is_finite() and abs(x) < largest for x in found) else None


def _moved(entries: Sequence[Sequence[float]], i: int, j: int) -> Matrix:
    """A + t at one entry."""
    return [[arb_series([arb(x), int((r, s) == (i, j))]) for s, x in enumerate(row)] for r, row in enumerate(entries)]


def _jax(name: str, A: np.ndarray, order: int) -> np.ndarray:
    import jax
    import jax.numpy as jnp

    weights, b, linalg = np.array(WEIGHTS), np.array(B), jnp.linalg
    functions = {
        "det": linalg.det,
        "log |det|": lambda A: linalg.slogdet(A)[1],
        "inv": lambda A: (weights * linalg.inv(A)).sum(),
        "solve": lambda A: weights[0] @ linalg.solve(A, jnp.array(b)),
        "norm": linalg.norm,
        "cholesky": lambda A: (weights * linalg.cholesky(A)).sum(),  # which takes the symmetric part by itself
        "eigvalsh": lambda A: b @ linalg.eigvalsh(A),
        "svdvals": lambda A: b @ linalg.svdvals(A),
        "qr": lambda A: (weights * linalg.qr(A)[1] ** 2).sum(),
    }
    with jax.enable_x64(True):
        if order == 1:
            return np.asarray(jax.grad(functions[name])(jnp.asarray(A))).ravel()
        return np.asarray(jax.hessian(functions[name])(jnp.asarray(A))).reshape(9, 9).diagonal()


def _torch(name: str, A: np.ndarray, order: int) -> np.ndarray:
    import torch  # pyright: ignore[reportMissingImports]  it is there, or nobody asks

    weights, b, linalg = torch.tensor(WEIGHTS, dtype=torch.float64), torch.tensor(B, dtype=torch.float64), torch.linalg
    functions = {
        "det": linalg.det,
        "log |det|": lambda A: linalg.slogdet(A)[1],
        "inv": lambda A: (weights * linalg.inv(A)).sum(),
        "solve": lambda A: weights[0] @ linalg.solve(A, b),
        "norm": linalg.norm,
        "cholesky": lambda A: (weights * linalg.cholesky((A + A.T) / 2)).sum(),
        "eigvalsh": lambda A: b @ linalg.eigvalsh((A + A.T) / 2),
        "svdvals": lambda A: b @ linalg.svdvals(A),
        "qr": lambda A: (weights * linalg.qr(A)[1] ** 2).sum(),
    }
    x = torch.tensor(A, requires_grad=True)
    try:
        if order == 1:
            return torch.autograd.grad(functions[name](x), x)[0].numpy().ravel()
        return torch.autograd.functional.hessian(functions[name], x).numpy().reshape(9, 9).diagonal()
    except RuntimeError:  # it says itself that the matrix is singular to working precision
        return np.full(A.size, np.nan)


_ASK = {"jax": _jax, "torch": _torch}

LIBRARIES = tuple(_ASK)
