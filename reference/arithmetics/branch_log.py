"""Arrays that log where a formula may change its branch.

The arithmetic is NumPy's own in float64. Every comparison is logged as the difference of its two sides: where that
changes its sign, a `where`, a mask, a maximum, a clip or an absolute value takes another piece of the formula. So the
junctions of the pieces are read off the formula, and no search can miss one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")

_DIFFERENCES: dict[str, Callable[..., list[Any]]] = {
    **dict.fromkeys((*_COMPARISONS, "maximum", "minimum", "fmax", "fmin"), lambda x, y: [np.subtract(x, y)]),
    **dict.fromkeys(("absolute", "fabs", "sign", "signbit"), lambda x: [x]),
    "heaviside": lambda x, _: [x],
    "copysign": lambda _, y: [y],
    "clip": lambda x, low, high: [np.subtract(x, limit) for limit in (low, high) if limit is not None],
}


class Watched(np.ndarray):
    """A float64 array with a list, `differences`, that all arrays computed from it share."""

    differences: list[np.ndarray]

    def __array_finalize__(self, parent: Any) -> None:
        self.differences = getattr(parent, "differences", [])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, out: Any = None, **keywords: Any) -> Any:
        plain = [_plain(x) for x in operands]
        if method == "__call__" and ufunc.__name__ in _DIFFERENCES:
            self.differences += map(np.array, _DIFFERENCES[ufunc.__name__](*plain))
        if out is None:
            return self._watch(getattr(ufunc, method)(*plain, **keywords))
        getattr(ufunc, method)(*plain, out=tuple(map(_plain, out)), **keywords)
        return out[0] if len(out) == 1 else out

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        return self._watch(super().__array_function__(function, types, operands, keywords))

    def _watch(self, result: Any) -> Any:
        if not isinstance(result, np.ndarray) or result.dtype != np.float64:  # truth values may be masks
            return result
        watched = result.view(Watched)
        watched.differences = self.differences
        return watched


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Watched) else x


def watched(z: np.ndarray) -> Watched:
    """A copy of z that starts a list of its own."""
    copy = z.copy().view(Watched)
    copy.differences = []
    return copy
