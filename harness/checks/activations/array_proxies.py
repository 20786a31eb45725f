"""Formulas over plain arrays, run in an arithmetic that has no plain arrays: masks, assignment in place, `if`.

An array of some arithmetic (`Taylor`, `Rounded`, `Balls`, ...) is held as the one element of an array of objects. On
that all of NumPy's own indexing works: ``out[z > 0] = z[z > 0]``, np.piecewise, a list of ``x if x > 0 else -x``. Where
the formula needs to know whether a comparison holds, it is run twice, once for either answer, and the results are
chosen between by `where`, which knows what to do for entries that are undecided.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from reference.arithmetics.companion import COMPARISONS, NoRule, clip

DEEPEST = 6  # questions on one way through a formula, which may have twice as many ways for each of them

UFUNCS = frozenset(name for name in dir(np) if isinstance(getattr(np, name), np.ufunc))


class _Fork(Exception):
    """A question on the way through a formula that has not been answered yet."""

    def __init__(self, key: Any, truth: Any):
        super().__init__("a formula asks whether a comparison holds")
        self.key, self.truth = key, truth


class Held(NDArrayOperatorsMixin):
    """An array of some arithmetic as one object, on a way through a formula: the answers given so far, by question."""

    def __init__(self, array: Any, way: dict[Any, bool], key: Any = None):
        self.array, self.way, self.key = array, way, key

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> "Held":
        if method != "__call__" or keywords:
            raise NoRule(f"{ufunc.__name__} of single entries is known as a plain call only")
        arrays = [x.array if isinstance(x, Held) else x for x in operands]
        # the same question has the same answer: it is known by its operands, which the key keeps alive
        key = (ufunc, *map(_Same, arrays)) if ufunc in COMPARISONS else None
        return Held(ufunc(*arrays), self.way, key)

    def __getattr__(self, name: str) -> Any:
        if name not in UFUNCS:
            raise AttributeError(f"a single entry has no {name}")
        return lambda: getattr(np, name)(self)  # so NumPy takes exp and its kin of an object

    def __bool__(self) -> bool:
        key = self.key or (np.not_equal, _Same(self.array))
        if key not in self.way:
            raise _Fork(key, self.array)
        return self.way[key]


class _Same:
    """A number, which is known by its value, or an array, known by itself."""

    def __init__(self, x: Any):
        self.x = x

    def _identity(self) -> Any:
        return self.x if isinstance(self.x, (int, float, np.number)) else id(self.x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())


class Objects(np.ndarray):
    """An array of `Held` objects and numbers; what NumPy has no loop over objects for is asked of each entry."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, out: Any = None, **keywords: Any) -> Any:
        plain = [_plain(x) for x in operands]
        result: Any
        if ufunc.__name__ == "clip":
            result = clip(*(x.view(Objects) for x in plain))
        elif method != "__call__" or keywords or _is_made_by_a_user(ufunc):
            result = getattr(ufunc, method)(*plain, **keywords)
        else:
            result = np.frompyfunc(lambda *entries: ufunc(*entries), ufunc.nin, ufunc.nout)(*plain)
        if ufunc in COMPARISONS:
            result = np.asarray(result, dtype=bool)
        if out is None:
            return _Answer(result.view(Objects)) if _is_made_by_a_user(ufunc) else _objects(result)
        out[0][...] = result
        return out[0]

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        if function is np.clip:
            return clip(*operands, **keywords)
        return super().__array_function__(function, types, operands, keywords)

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if np.dtype(dtype) != np.float64:
            raise NoRule("single entries are cast to float only")
        return self


class _Floats(np.ndarray):
    """An array of float64 by its type, which stands for objects: np.vectorize insists on the type that it was told."""

    objects: Any

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> Any:
        return getattr(ufunc, method)(*(x.objects if isinstance(x, _Floats) else x for x in operands), **keywords)

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        return function(*(x.objects if isinstance(x, _Floats) else x for x in operands), **keywords)


class _Answer:
    """What a function made by np.vectorize answers, before it is made an array of the type that it was told."""

    def __init__(self, objects: Objects):
        self.objects = objects

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if dtype is None or np.dtype(dtype) == object:
            return self.objects
        if np.dtype(dtype) != np.float64:
            raise NoRule("single entries are cast to float only")
        floats = np.full(self.objects.shape, np.nan).view(_Floats)
        floats.objects = self.objects
        return floats

    def astype(self, dtype: Any) -> Any:
        return np.asanyarray(self, dtype=dtype)


def _plain(x: Any) -> np.ndarray:
    return np.asarray(x.objects if isinstance(x, _Floats) else x)


def _objects(x: Any) -> Any:
    return x.view(Objects) if isinstance(x, np.ndarray) and x.dtype == object else x


def _is_made_by_a_user(ufunc: np.ufunc) -> bool:
    return ufunc.types == ["O" * ufunc.nin + "->" + "O" * ufunc.nout]


def through_objects(formula: Callable[..., Any], *arrays: Any) -> Any:
    """A formula of arrays of some arithmetic, run on objects that hold them, on every way through it.

    Raises
    ------
    NoRule
        When the formula asks too much, or answers another shape; it may raise what it likes.
    """

    def on_the_way(way: dict[Any, bool]) -> Any:
        held = (_array_of(Held(array, way)) for array in arrays)
        try:
            return _held(formula(*held))
        except _Fork as fork:
            if len(way) == DEEPEST:
                raise NoRule(
                    f"it asks for the answers of more than {DEEPEST} comparisons, one after the other"
                ) from None
            either = (on_the_way({**way, fork.key: answer}) for answer in (True, False))
            return np.where(fork.truth, *either)

    return on_the_way({})


def _array_of(entry: Held) -> Objects:
    array = np.empty(1, dtype=object).view(Objects)
    array[0] = entry
    return array


def _held(result: Any) -> Any:
    """The array of the arithmetic that a formula's result holds, or a number."""
    entries = _plain(result.objects if isinstance(result, _Answer) else result)
    if entries.shape not in ((1,), ()):
        raise NoRule(f"for one entry it answers an array of shape {entries.shape}")
    entry = entries.item()
    if not isinstance(entry, (Held, int, float)):
        raise NoRule(f"for one entry it answers a {type(entry).__name__}")
    return entry.array if isinstance(entry, Held) else float(entry)
