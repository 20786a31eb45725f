"""Errors of algorithms that add up within: how far each entry may be moved, over a few u, beside itself.

A computed factorisation is the exact one of A + dA. |dA| is a few u times |L||U|, entry by entry, in Gaussian
elimination; √(a_ii a_jj) in Cholesky's; the largest of its own column in Householder's; each entry itself where a
triangle is solved with; and the largest of its own matrix where eigenvalues or singular values are found, or of its own
transform. A run that rounds at random moves the operand by dA, and the results have the errors that follow from it:
L, whose entries are of order one, is not moved by a rounding of U's size, nor one matrix of a stack by another's.

Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., theorems 8.5, 9.3, 10.3, 19.4 and 24.2.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.linalg

Size = Callable[[Any, Mapping[str, Any]], Any]
"""``size(array, params)``: what each entry may be moved by."""


def _largest_along(*axes: int) -> Size:
    """The largest finite entry along some axes; zeros stay, as those of a diagonal matrix do."""

    def size(array: Any, params: Mapping[str, Any]) -> Any:
        sizes = np.abs(array)
        finite = np.where(np.isfinite(sizes), sizes, 0.0)
        return np.where(sizes == 0.0, 0.0, finite.max(axis=axes, keepdims=True, initial=0.0))

    return size


def _of_transform(array: Any, params: Mapping[str, Any]) -> Any:
    return _largest_along(*range(-len(params["fft_lengths"]), 0))(array, params)


def _of_elimination(array: Any, params: Mapping[str, Any]) -> Any:
    if not array.size or not np.isfinite(array).all():
        return np.abs(array)
    found: Any = scipy.linalg.lu(array, p_indices=True)
    order, sizes = found[0], np.abs(found[1]) @ np.abs(found[2])
    return np.take_along_axis(sizes, np.broadcast_to(order[..., None], sizes.shape), -2)


def _of_cholesky(array: Any, params: Mapping[str, Any]) -> Any:
    root = np.sqrt(np.abs(np.einsum("...ii->...i", array)))
    return root[..., :, None] * root[..., None, :]


def _nothing(array: Any, params: Mapping[str, Any]) -> Any:
    return 0.0


def _entries(array: Any, params: Mapping[str, Any]) -> Any:
    """A rounding of each, also of those that are exact."""
    return np.abs(array)


_matrix, _columns, _list = _largest_along(-2, -1), _largest_along(-2), _largest_along(-1)

OPERANDS: dict[str, Sequence[Size]] = {
    "lu": (_of_elimination,),
    "cholesky": (_of_cholesky,),
    "qr": (_columns,),
    "geqrf": (_columns,),
    "triangular_solve": (_entries, _nothing),
    "eigh": (_matrix,),
    "eig": (_matrix,),
    "svd": (_matrix,),
    "fft": (_of_transform,),
    "tridiagonal_solve": (_list, _list, _list, _columns),
}
"""The backward error of each operand."""

RESULTS: dict[str, Sequence[Size]] = {
    "qr": (_matrix, _nothing),
    "householder_product": (_matrix,),
    "eigh": (_matrix, _list),
    "eig": (_list, _matrix, _matrix),
    "svd": (_list, _matrix, _matrix),
    "fft": (_of_transform,),
    "tridiagonal_solve": (_columns,),
}
"""What each result may be off by beside that, where not by a rounding of each entry."""
