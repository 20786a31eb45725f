"""Factorisations and solves, by the perturbation of the equation that defines each.

dA is the change of A in a step. A = L Lᴴ gives L⁻¹ dA L⁻ᴴ = L⁻¹ dL + (L⁻¹ dL)ᴴ, whose lower half is L⁻¹ dL; the others
follow in the same way from A = P L U, A V = V Λ and A = U S Vᴴ. Equal eigenvalues are kinks of what their vectors span.
Complex vectors have free phases, and what changes with a phase has no derivative. Cholesky and the symmetric eigenvalue
problem have a derivative along symmetric dA only. For other dA the formulas are used as they stand, as JAX does.

Random rounding moves the operand by a backward error: a computed factorisation is the exact one of A + dA. |dA| is a
few u times |L||U|, entry by entry, in Gaussian elimination; √(a_ii a_jj) in Cholesky's; the largest of its own column
in Householder's; each entry itself where a triangle is solved with; and the largest of its own matrix where eigenvalues
or singular values are found.

Sources: Giles, Collected matrix derivative results for forward and reverse mode AD, 2008; Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., theorems 8.5, 9.3, 10.3 and 19.4.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.linalg

from reference.arithmetics.increments import STEP, Increment, constant, is_constant
from reference.traced.equations import Equation, bind, host
from reference.traced.primitive import Compilation, ErrorSize, Primitive, Rounding
from reference.traced.primitive_differences import differenced
from reference.traced.primitive_values import own_types, values_of


def _adjoint(x: Any) -> Any:
    return np.conj(np.swapaxes(x, -1, -2))


def _lower_half(x: Any) -> Any:
    """The lower triangle with half the diagonal."""
    diagonal = 0.5 * np.einsum("...ii->...i", x)
    return np.tril(x, -1) + diagonal[..., None] * np.eye(x.shape[-1])


def _nan_where_it_fails(factor: Callable[[Any], Any], like: Any) -> Any:
    """A factorisation of each matrix; NaN for one that has none."""

    def one(matrix: Any) -> Any:
        try:
            return factor(matrix)
        except np.linalg.LinAlgError:
            return np.full_like(matrix, np.nan)

    flat = like.reshape(-1, *like.shape[-2:])
    return np.stack([one(matrix) for matrix in flat]).reshape(like.shape) if len(flat) else like


def _solved(matrix: Any, right: Any) -> Any:
    """matrix⁻¹ right; NaN for a matrix that is singular."""
    try:
        return np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        regular = np.isfinite(_nan_where_it_fails(np.linalg.inv, matrix))
        return np.linalg.solve(np.where(regular, matrix, np.nan), right)


def _solved_from_the_right(matrix: Any, left: Any) -> Any:
    """left matrix⁻¹; NaN for a matrix that is singular."""
    return np.swapaxes(_solved(np.swapaxes(matrix, -1, -2), np.swapaxes(left, -1, -2)), -1, -2)


def _cholesky(run: Any, equation: Any, a: Increment) -> Increment:
    """A = L Lᴴ, of which JAX reads the lower triangle: dL = L lower_half(L⁻¹ dA L⁻ᴴ)."""
    lower = np.tril(a.value)
    matrix = lower + _adjoint(np.tril(a.value, -1))
    factor = _nan_where_it_fails(np.linalg.cholesky, matrix)
    if is_constant(a):
        return constant(factor)
    # L⁻¹ dA L⁻ᴴ, by two solves and no inverse
    inner = _adjoint(np.linalg.solve(factor, _adjoint(np.linalg.solve(factor, a.change))))
    return Increment(factor, factor @ _lower_half(inner))


def _triangle(a: Any, params: Any, unit: bool) -> Any:
    return np.tril(a, -1 if unit else 0) if params["lower"] else np.triu(a, 1 if unit else 0)


def _triangular_solve(run: Any, equation: Any, a: Increment, b: Increment) -> Increment:
    """x of A x = b, or of x A = b: A dx = db - dA x. Only one triangle of A counts, and of a unit diagonal nothing."""
    params = equation.params
    unit, left = params["unit_diagonal"], params["left_side"]

    def oriented(matrix: Any) -> Any:
        """The matrix that the solve is with: op(A) x = b, or x op(A) = b where it is not on the left side."""
        matrix = np.conj(matrix) if params["conjugate_a"] else matrix
        return np.swapaxes(matrix, -1, -2) if params["transpose_a"] else matrix

    def solve(right: Any) -> Any:
        return _solved(matrix, right) if left else _solved_from_the_right(matrix, right)

    matrix = oriented(_triangle(np.asarray(a.value), params, unit) + (np.eye(a.shape[-1]) if unit else 0.0))
    value = solve(np.asarray(b.value))
    if is_constant(a) and is_constant(b):
        return constant(value)
    right = b.change
    if not is_constant(a):  # A dx = db - dA x
        moved = oriented(_triangle(a.change, params, unit))
        right = right - (moved @ value if left else value @ moved)
    return Increment(value, solve(right))


def _lu(run: Any, equation: Equation, a: Increment) -> Any:
    matrix = np.asarray(a.value)
    *shape, rows, columns = matrix.shape
    if rows != columns:
        return differenced(run, equation, a)
    # NumPy has no LU; LAPACK's exchanges rows by size, as XLA's does
    found = [_pivoted(one) for one in matrix.reshape(-1, rows, rows)]
    packed = np.reshape([f[0] for f in found], matrix.shape).astype(matrix.dtype)
    pivots, order = (np.reshape([f[k] for f in found], (*shape, rows)).astype(np.int32) for k in (1, 2))
    change: Any = 0.0
    if not is_constant(a):
        moved = np.take_along_axis(a.change, np.broadcast_to(order[..., None], a.change.shape[1:])[None], -2)
        # P dA = dL U + L dU gives L⁻¹ dA U⁻¹ = L⁻¹ dL + dU U⁻¹: the first is strictly lower, the second upper
        lower, upper = np.tril(packed, -1) + np.eye(rows), np.triu(_with_pivots(packed, run.pivot))
        inner = _solved_from_the_right(upper, np.linalg.solve(lower, moved))
        change = np.tril(lower @ np.tril(inner, -1), -1) + np.triu(np.triu(inner) @ upper)
        change = run.unknown(np.isnan(change), change, "the factors of a singular matrix have no derivative")
    return [Increment(packed, change), constant(pivots), constant(order)]


def _pivoted(matrix: Any) -> tuple[Any, Any, Any]:
    """L and U in one array, the row exchanges, and the order of rows that they make."""
    (factorise,) = scipy.linalg.lapack.get_lapack_funcs(("getrf",), (matrix,))
    packed, pivots, _ = factorise(matrix)
    order = np.arange(len(matrix))
    for k, other in enumerate(pivots):
        order[[k, other]] = order[[other, k]]
    return packed, pivots, order


def _with_pivots(packed: Any, pivot: float) -> Any:
    """The factors with something small in the place of pivots that are zero, beside the largest entry."""
    on_diagonal = np.eye(*packed.shape[-2:], dtype=bool)
    largest = np.abs(packed).max(axis=(-2, -1), keepdims=True, initial=0.0)
    small = pivot * np.where(largest == 0.0, 1.0, largest)
    return np.where((packed == 0.0) & on_diagonal, small, packed) if pivot else packed


def _gaps(run: Any, values: Any, what: str) -> Any:
    """1/(λ_j - λ_i), zero on the diagonal."""
    gaps = values[..., None, :] - values[..., :, None]
    apart = ~np.eye(values.shape[-1], dtype=bool)
    if np.any((gaps == 0.0) & apart):
        run.observed.unresolved = f"equal {what} have no derivative of their vectors"
    with np.errstate(divide="ignore"):  # infinite where they are equal, so that what depends on it is not finite
        return np.where(apart, 1.0 / np.where(apart, gaps, 1.0), 0.0)


def _own_values(equation: Equation, matrix: Any) -> list[Any]:
    """What the program itself computes, in its own precision."""
    return [np.asarray(host(x)) for x in bind(equation, own_types(equation, [matrix]))]


def _in_phase(vectors: Any, own: Any) -> Any:
    """Factors of modulus one by which columns of a better precision become the program's own."""
    # of vectors of length one, 0.5 is an angle of 60 degrees: rounding turns none so far, but vectors of equal
    # eigenvalues may be others altogether, and stay as they are
    overlap = np.einsum("...ij,...ij->...j", np.conj(vectors), own)
    turned = np.abs(overlap) > 0.5
    return np.where(turned, overlap / np.where(turned, np.abs(overlap), 1.0), 1.0)


def _turned(run: Any, rotation: Any) -> Any:
    """A turn of the phases of complex vectors, in a run with random phases: i times (..., 1, vectors) random angles.

    None is larger than the rotations of the vectors into each other.
    """
    if run.phases is None or not np.iscomplexobj(rotation):
        return 0.0
    largest = np.abs(rotation).max(axis=(-2, -1), keepdims=True, initial=0.0)
    largest = np.where(largest == 0.0, STEP, largest)  # a single vector has nothing to rotate into
    return 1j * largest * run.phases.uniform(-1.0, 1.0, (*rotation.shape[:-2], 1, rotation.shape[-1]))


def _eigh(run: Any, equation: Any, a: Increment) -> Any:
    """A = V Λ Vᴴ: as for `_eig` with V⁻¹ = Vᴴ, so that nothing is inverted."""
    if equation.params.get("subset_by_index") is not None:
        return differenced(run, equation, a)
    vectors, values = (np.asarray(array) for array in values_of(equation, [a.value]))
    vectors = vectors * _in_phase(vectors, _own_values(equation, a.value)[0])[..., None, :]
    if is_constant(a):
        return [constant(vectors), constant(values)]
    # first-order perturbation: the diagonal of Vᴴ dA V moves the values, the rest over the gaps turns the vectors
    inner = _adjoint(vectors) @ a.change @ vectors
    d_values = np.einsum("...ii->...i", inner).real
    rotation = _gaps(run, values, "eigenvalues") * inner
    d_vectors = vectors @ rotation + vectors * _turned(run, rotation)
    return [Increment(vectors, d_vectors), Increment(values, d_values)]


def _eig(run: Any, equation: Any, a: Increment) -> Any:
    """A V = V Λ: with Q = V⁻¹ dA V, dΛ = diag Q and dV = V (F ∘ Q), F_ij = 1/(λ_j - λ_i).

    The vectors have length one, and their phases are free.
    """
    if is_constant(a) or equation.params["compute_left_eigenvectors"]:
        return differenced(run, equation, a)
    matrix = np.asarray(a.value)
    found, vectors = np.linalg.eig(matrix)
    own = _own_values(equation, matrix)
    # NumPy may list the values in another order than the program does
    order = np.argmin(np.abs(own[0][..., :, None] - found[..., None, :]), axis=-1)
    if not (np.sort(order, axis=-1) == np.arange(matrix.shape[-1])).all():
        return differenced(run, equation, a)
    values = np.take_along_axis(found, order, -1).astype(complex)
    vectors = np.take_along_axis(vectors, order[..., None, :], -1).astype(complex)
    inner = np.linalg.solve(vectors, a.change @ vectors)
    outputs = [Increment(values, np.einsum("...ii->...i", inner))]
    if equation.params["compute_right_eigenvectors"]:
        vectors = vectors * _in_phase(vectors, own[1])[..., None, :]
        rotation = _gaps(run, values, "eigenvalues") * np.linalg.solve(vectors, a.change @ vectors)
        moved = vectors @ rotation
        # vectors keep their length and phase: what moves along themselves is taken away
        along = np.einsum("...ij,...ij->...j", np.conj(vectors), moved)[..., None, :]
        outputs.append(Increment(vectors, moved + vectors * (_turned(run, rotation) - along)))
    return outputs


def _svd(run: Any, equation: Any, a: Increment) -> Any:
    params, matrix = equation.params, np.asarray(a.value)
    rows, columns = matrix.shape[-2:]
    full = params.get("compute_uv") and params.get("full_matrices") and rows != columns
    if params.get("subset_by_index") is not None or full:
        return differenced(run, equation, a)
    found = [np.asarray(array) for array in values_of(equation, [matrix])]
    if not params.get("compute_uv"):  # of singular values alone, the vectors' phases are of no consequence
        if is_constant(a):
            return [constant(found[0])]
        u, _, v = np.linalg.svd(matrix, full_matrices=False)
        return [Increment(found[0], np.einsum("...ii->...i", _adjoint(u) @ a.change @ _adjoint(v)).real)]
    # the phases of the program's own vectors, since what depends on them is compared with what it reports
    values, u, v = found
    phases = _in_phase(u, _own_values(equation, matrix)[1])
    u, v = u * phases[..., None, :], v * np.conj(phases)[..., :, None]
    if is_constant(a):
        return [constant(x) for x in (values, u, v)]
    d_values, d_u, d_v = _changes_of_svd(run, a.change, values, u, v)
    return [Increment(values, d_values), Increment(u, d_u), Increment(v, d_v)]


def _changes_of_svd(run: Any, change: Any, values: Any, u: Any, v: Any) -> tuple[Any, Any, Any]:
    """dS, dU and dVᴴ of A = U S Vᴴ, whose last factor is `v`.

    With P = Uᴴ dA V and F_ij = 1/(s_j² - s_i²): A Aᴴ and Aᴴ A have the squares as eigenvalues, and U and V as their
    vectors, so that dS = Re diag P, dU = U (F ∘ (P S + S Pᴴ)) and dV = V (F ∘ (S P + Pᴴ S)). Beside the space that U's
    columns span, dU has (1 - U Uᴴ) dA V S⁻¹, and dV the same of Aᴴ.
    """
    inner = _adjoint(u) @ change @ _adjoint(v)  # P
    squares = _gaps(run, np.square(values), "singular values")
    s, st = values[..., None, :], values[..., :, None]  # of the columns, and of the rows
    rotation = squares * (inner * s + st * _adjoint(inner))
    rotation_of_v = squares * (st * inner + _adjoint(inner) * s)
    d_values = np.einsum("...ii->...i", inner)
    d_u, turned_v = u @ rotation, rotation_of_v
    if np.iscomplexobj(change):
        # the imaginary part of P's diagonal turns U against V; a common phase of both is free
        phase, turned = 1j * d_values.imag[..., None, :] / s, _turned(run, rotation)
        d_u, turned_v = d_u + u * (phase + turned), turned_v + np.eye(turned_v.shape[-1]) * turned
    d_vectors = _adjoint(v) @ turned_v
    rows, columns = u.shape[-2], v.shape[-1]
    if rows > columns:
        d_u = d_u + (change - u @ (_adjoint(u) @ change)) @ _adjoint(v) / s
    if columns > rows:
        beside = _adjoint(change) - _adjoint(v) @ (v @ _adjoint(change))
        d_vectors = d_vectors + beside @ u / s
    return d_values.real, d_u, _adjoint(d_vectors)


def _qr(run: Any, equation: Any, a: Increment) -> Any:
    matrix = np.asarray(a.value)
    rows, columns = matrix.shape[-2:]
    # R has to be square, to have an inverse; the further columns of a full Q are free up to a rotation
    wide = rows < columns or (equation.params.get("full_matrices") and rows != columns)
    if is_constant(a) or equation.params.get("pivoting") or wide:
        return differenced(run, equation, a)
    q, r = (np.asarray(array) for array in values_of(equation, [matrix])[:2])
    # Qᴴ dA R⁻¹ = Qᴴ dQ + dR R⁻¹: the first is skew-Hermitian, the second upper triangular
    scaled = _solved_from_the_right(r, a.change)
    inner = _adjoint(q) @ scaled
    phases = 1j * np.einsum("...ii->...i", inner).imag[..., None] * np.eye(columns)  # R's diagonal is real
    rotation = np.tril(inner, -1) - _adjoint(np.tril(inner, -1)) + (phases if np.iscomplexobj(matrix) else 0.0)
    d_q = q @ rotation + scaled - q @ inner
    return [Increment(q, d_q), Increment(r, (inner - rotation) @ r)]


# -- backward errors --------------------------------------------------------------------------------------------------


def largest_along(*axes: int) -> ErrorSize:
    """The largest finite entry along some axes; zeros stay, as those of a diagonal matrix do."""

    def size(array: Any, params: Mapping[str, Any]) -> Any:
        sizes = np.abs(array)
        finite = np.where(np.isfinite(sizes), sizes, 0.0)
        return np.where(sizes == 0.0, 0.0, finite.max(axis=axes, keepdims=True, initial=0.0))

    return size


def _error_of_elimination(array: Any, params: Mapping[str, Any]) -> Any:
    if not array.size or not np.isfinite(array).all():
        return np.abs(array)
    # |L||U|, in the rows' own order
    found: Any = scipy.linalg.lu(array, p_indices=True)
    order, sizes = found[0], np.abs(found[1]) @ np.abs(found[2])
    return np.take_along_axis(sizes, np.broadcast_to(order[..., None], sizes.shape), -2)


def _error_of_cholesky(array: Any, params: Mapping[str, Any]) -> Any:
    root = np.sqrt(np.abs(np.einsum("...ii->...i", array)))
    return root[..., :, None] * root[..., None, :]


_no_error: ErrorSize = lambda array, params: 0.0  # noqa: E731
_entries: ErrorSize = lambda array, params: np.abs(array)  # noqa: E731  a rounding of each, also of those that are exact
_of_matrix, _of_columns, _of_list = largest_along(-2, -1), largest_along(-2), largest_along(-1)


def _rounding(operands: tuple[ErrorSize, ...] = (), results: tuple[ErrorSize, ...] = ()) -> Rounding:
    return Rounding(sums=True, operand_errors=operands, result_errors=results)


PRIMITIVES: tuple[Primitive, ...] = (
    Primitive("cholesky", _cholesky, rounding=_rounding((_error_of_cholesky,)), compilation=Compilation.KEPT),
    Primitive(
        "triangular_solve", _triangular_solve, rounding=_rounding((_entries, _no_error)), compilation=Compilation.KEPT
    ),
    Primitive("lu", _lu, rounding=_rounding((_error_of_elimination,)), compilation=Compilation.KEPT),
    Primitive("qr", _qr, rounding=_rounding((_of_columns,), (_of_matrix, _no_error))),
    Primitive("eigh", _eigh, rounding=_rounding((_of_matrix,), (_of_matrix, _of_list)), has_free_phases=True),
    Primitive("eig", _eig, rounding=_rounding((_of_matrix,), (_of_list, _of_matrix, _of_matrix)), has_free_phases=True),
    Primitive("svd", _svd, rounding=_rounding((_of_matrix,), (_of_list, _of_matrix, _of_matrix)), has_free_phases=True),
    # without a rule
    Primitive("geqrf", rounding=_rounding((_of_columns,))),
    Primitive("householder_product", rounding=_rounding((), (_of_matrix,))),
    Primitive("tridiagonal_solve", rounding=_rounding((_of_list, _of_list, _of_list, _of_columns), (_of_columns,))),
)
