"""Formulas over plain arrays (masks, assignment in place, `if`), run in an arithmetic that has no plain arrays.

An array of the arithmetic (`Taylor`, `Rounded`, `Balls`, ...) becomes the single entry of an array of objects. All of
NumPy's indexing works on that: ``out[z > 0] = z[z > 0]``, np.piecewise, a list of ``x if x > 0 else -x``. Where a
formula needs the truth value of a comparison, it runs twice, once for each answer. `where` then chooses between both
results, because it handles entries whose comparison is undecided.

``x if x > 0 else -x`` runs like this: on the empty path the comparison x > 0 is open, which raises `_OpenComparison`.
On the path {x > 0: True} the formula returns x, and on {x > 0: False} -x. The result is where(x > 0, x, -x), which
every arithmetic can do.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from reference.arithmetics.companion import COMPARISONS, NoRule, clip

DEEPEST = 6  # comparisons on one path through a formula: each may double the number of paths, to 64

UFUNCS = frozenset(name for name in dir(np) if isinstance(getattr(np, name), np.ufunc))


class _OpenComparison(Exception):
    """A comparison on the path through a formula whose truth value has not been chosen yet."""

    def __init__(self, key: Any, condition: Any):
        super().__init__("a formula needs the truth value of a comparison")
        self.key, self.condition = key, condition


class PathEntry(NDArrayOperatorsMixin):
    """An array of some arithmetic as one object, on a path: the truth values chosen so far, by comparison."""

    def __init__(self, array: Any, path: dict[Any, bool], key: Any = None):
        self.array, self.path, self.key = array, path, key

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> Any:
        if any(isinstance(x, Entries) for x in operands):
            return NotImplemented  # an array applies it to each of its entries
        if method != "__call__" or keywords:
            raise NoRule(f"{ufunc.__name__} of single entries is known as a plain call only")
        arrays = [x.array if isinstance(x, PathEntry) else x for x in operands]
        # a comparison is known by its operands, so that a repeated one gets the same truth value
        key = (ufunc, *map(_Identity, arrays)) if ufunc in COMPARISONS else None
        return PathEntry(ufunc(*arrays), self.path, key)

    def __getattr__(self, name: str) -> Any:
        if name not in UFUNCS:
            raise AttributeError(f"a single entry has no {name}")
        return lambda: getattr(np, name)(self)  # NumPy evaluates exp of an object by its method exp

    def __bool__(self) -> bool:
        key = self.key or (np.not_equal, _Identity(self.array))
        if key not in self.path:
            raise _OpenComparison(key, self.array)
        return self.path[key]


class _Identity:
    """An operand as part of a key: numbers are equal by value, arrays only to themselves. It keeps the array alive."""

    def __init__(self, x: Any):
        self.x = x

    def _key(self) -> Any:
        return self.x if isinstance(self.x, (int, float, np.number)) else id(self.x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


class Entries(np.ndarray):
    """An array of `PathEntry` objects and numbers. Functions that NumPy cannot apply to objects go to each entry."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, out: Any = None, **keywords: Any) -> Any:
        plain = [np.asarray(x) for x in operands]
        result: Any
        # NumPy's clip compares objects, which splits the path; the arithmetic's minimum and maximum do not
        if ufunc.__name__ == "clip":
            result = clip(*(x.view(Entries) for x in plain))
        elif method != "__call__" or keywords or set("".join(ufunc.types)) == {"O", "-", ">"}:  # of np.vectorize
            result = getattr(ufunc, method)(*plain, **keywords)
        else:  # NumPy has no loops over objects for logaddexp, SciPy's functions and others
            result = np.frompyfunc(lambda *entries: ufunc(*entries), ufunc.nin, ufunc.nout)(*plain)
        if ufunc in COMPARISONS:
            result = np.asarray(result, dtype=bool)  # asks each entry for its truth value
        if out is None:
            return result.view(Entries) if isinstance(result, np.ndarray) and result.dtype == object else result
        out[0][...] = result
        return out[0]

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if np.dtype(dtype) != np.float64:
            raise NoRule("single entries are cast to float only")
        return self


def run_on_entries(formula: Callable[..., Any], *arrays: Any) -> Any:
    """A formula of arrays of some arithmetic, run on every path through it.

    Raises NoRule when a path has more than `DEEPEST` comparisons, or the result has another shape.
    """

    def entries(x: Any, path: dict[Any, bool]) -> Any:
        return x if isinstance(x, (int, float)) else np.array([PathEntry(x, path)], dtype=object).view(Entries)

    def on_path(path: dict[Any, bool]) -> Any:
        try:
            return _unwrap(formula(*(entries(x, path) for x in arrays)))
        except _OpenComparison as comparison:  # by bool() of a comparison that the path has no answer for
            if len(path) == DEEPEST:
                raise NoRule(f"it needs more than {DEEPEST} comparisons, one after the other") from None
            # both paths are run to their ends, because an undecided entry needs both results
            either = (on_path({**path, comparison.key: truth}) for truth in (True, False))
            return np.where(comparison.condition, *either)

    return on_path({})


def _unwrap(result: Any) -> Any:
    """The array of the arithmetic in a formula's result, or a number."""
    entries = np.asarray(result)
    if entries.shape not in ((1,), ()):
        raise NoRule(f"for one entry it returns an array of shape {entries.shape}")
    entry = entries.item()
    if not isinstance(entry, (PathEntry, int, float)):
        raise NoRule(f"for one entry it returns a {type(entry).__name__}")
    return entry.array if isinstance(entry, PathEntry) else float(entry)
