"""Derivatives of matrix functions, whose truth is a formula over matrices of balls."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx

from harness.audit.measuring import Error, judged

BITS = 2000  # enough for matrices whose entries differ by 10^200

MATRICES = {
    "ordinary": [[2.0, -1.0, 0.5], [0.3, 1.5, -0.7], [-0.2, 0.4, 1.1]],
    "Hilbert": [[1 / (i + j + 1) for j in range(3)] for i in range(3)],
    "graded": [[1e-100, 1.0, 0.0], [1.0, 1e100, 1.0], [0.0, 1.0, 1.0]],
    "of rank 2": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]],
    "of rank 1": [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 6.0, 9.0]],
    "zero but for one entry": [[0.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]],
    "tiny": [[2e-200, -1e-200, 0.0], [0.0, 1e-200, 1e-201], [1e-201, 0.0, 3e-200]],
}

B = [1.0, -2.0, 0.5]
WEIGHTS = [[0.7, -0.4, 1.3], [0.2, 0.9, -1.1], [-0.6, 0.1, 0.8]]

Matrix = Any


def _cofactors(A: Matrix) -> Matrix:
    """∂det/∂A, finite for singular matrices, too."""
    rows = range(3)

    def minor(i: int, j: int) -> arb:
        (a, b), (c, d) = ([A[r, s] for s in rows if s != j] for r in rows if r != i)
        return (a * d - b * c) * (-1) ** (i + j)

    return arb_mat([[minor(i, j) for j in rows] for i in rows])


def _of_inverse(A: Matrix) -> Matrix:
    """∂(W·A⁻¹)/∂A = -A⁻ᵀ W A⁻ᵀ."""
    inverse = A.inv().transpose()
    return -(inverse * arb_mat(WEIGHTS) * inverse)


def _of_solution(A: Matrix) -> Matrix:
    """∂(w·A⁻¹b)/∂A = -A⁻ᵀ w (A⁻¹b)ᵀ."""
    inverse, b, w = A.inv(), arb_mat([[x] for x in B]), arb_mat([[x] for x in WEIGHTS[0]])
    return -(inverse.transpose() * w * (inverse * b).transpose())


def _of_norm(A: Matrix) -> Matrix:
    """∂‖A‖/∂A = A/‖A‖."""
    square = sum((x * x for x in A.entries()), arb(0))
    return A * (1 / square.sqrt())


FUNCTIONS: dict[str, Callable[[Matrix], Matrix]] = {
    "det": _cofactors,
    "log |det|": lambda A: A.inv().transpose(),
    "inv": _of_inverse,
    "solve": _of_solution,
    "norm": _of_norm,
}


def measure_all(library: str) -> Iterator[tuple[str, list[Error]]]:
    """(function and matrix, errors of the entries of the gradient) for each pair of which the truth is finite.

    An error's `z` is the number of the entry, row by row.
    """
    for name, truth in FUNCTIONS.items():
        for kind, entries in MATRICES.items():
            exact = _entries(truth, entries)
            if exact is not None:
                answered = _ASK[library](name, np.array(entries)).ravel()
                yield (
                    f"{name}, matrix {kind}",
                    [judged(i, t, float(a)) for i, (t, a) in enumerate(zip(exact, answered))],
                )


def _entries(truth: Callable[[Matrix], Matrix], entries: list[list[float]]) -> list[arb] | None:
    before, ctx.prec = ctx.prec, BITS
    try:
        found = truth(arb_mat([[arb(x) for x in row] for row in entries])).entries()
    except ZeroDivisionError:  # singular
        return None
    finally:
        ctx.prec = before
    largest = float(np.finfo(float).max)
    return found if all(x.is_finite() and abs(x) < largest for x in found) else None


def _jax(name: str, A: np.ndarray) -> np.ndarray:
    import jax
    import jax.numpy as jnp

    functions = {
        "det": jnp.linalg.det,
        "log |det|": lambda A: jnp.linalg.slogdet(A)[1],
        "inv": lambda A: (jnp.array(WEIGHTS) * jnp.linalg.inv(A)).sum(),
        "solve": lambda A: jnp.array(WEIGHTS[0]) @ jnp.linalg.solve(A, jnp.array(B)),
        "norm": jnp.linalg.norm,
    }
    with jax.enable_x64(True):
        return np.asarray(jax.grad(functions[name])(jnp.asarray(A)))


def _torch(name: str, A: np.ndarray) -> np.ndarray:
    import torch  # pyright: ignore[reportMissingImports]  it is there, or nobody asks

    weights, b = torch.tensor(WEIGHTS, dtype=torch.float64), torch.tensor(B, dtype=torch.float64)
    functions = {
        "det": torch.linalg.det,
        "log |det|": lambda A: torch.linalg.slogdet(A)[1],
        "inv": lambda A: (weights * torch.linalg.inv(A)).sum(),
        "solve": lambda A: weights[0] @ torch.linalg.solve(A, b),
        "norm": torch.linalg.norm,
    }
    x = torch.tensor(A, requires_grad=True)
    try:
        return torch.autograd.grad(functions[name](x), x)[0].numpy()
    except RuntimeError:  # it says itself that the matrix is singular to working precision
        return np.full(A.shape, np.nan)


_ASK = {"jax": _jax, "torch": _torch}

LIBRARIES = tuple(_ASK)
