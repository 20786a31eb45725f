"""What a function changes beside its arguments: the variables, containers and objects that its lines name.

JAX runs Python when it traces, and not each time that the function runs: whoever counts calls there, or collects
values, counts traces and collects traced arrays.
"""

import functools
import inspect
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from jax.core import Tracer

from reference.traced.rule_origins import whose

CONTAINERS = list, set, deque, bytearray, dict

LARGEST = 1_000_000
"""Longer containers and arrays are not looked into."""


class Outside:
    """The state that f's lines name and that none of its arguments holds, as it is before f runs.

    Parameters
    ----------
    f : callable
        Looked into are its own lines, and those of the functions of its module that it names.
    arguments : sequence
        What is handed to f, by whatever name its lines know it, too.
    """

    def __init__(self, f: Callable[..., Any], arguments: Sequence[Any]):
        self._f, self._arguments = f, arguments
        self._before = self._state()

    def changed(self) -> list[str]:
        """The names of what is another than it was."""
        return [name for name, *_ in self._changes()]

    def keeps_traced(self) -> bool:
        """Whether a traced array was put there."""
        return any(
            isinstance(x, Tracer)
            for _, before, after in self._changes()
            for known in [set(map(id, before))]
            for x in after
            if id(x) not in known
        )

    def _state(self) -> dict[str, list[Any]]:
        """By name, each variable and what it holds now."""
        handed_over = set(map(id, self._arguments))
        return {name: [value, *_inside(value)] for name, value in _named(self._f) if id(value) not in handed_over}

    def _changes(self) -> Iterator[tuple[str, list[Any], list[Any]]]:
        for name, after in self._state().items():
            before = self._before.get(name, [])
            if len(before) != len(after) or not all(map(_same, before, after)):
                yield name, before, after


def _named(f: Any) -> Iterator[tuple[str, Any]]:
    """The variables outside of f that its lines name, and the attributes of objects."""
    seen, waiting = set(), [f]
    while waiting:
        f = waiting.pop()
        f = inspect.unwrap(f) if callable(f) else f
        if isinstance(f, functools.partial):
            waiting.append(f.func)
        elif isinstance(f, MethodType):
            yield from _attributes("self", f.__self__)
            waiting.append(f.__func__)
        elif not isinstance(f, FunctionType):
            yield from _attributes("self", f)
            waiting += [call for call in [getattr(type(f), "__call__", None)] if isinstance(call, FunctionType)]  # noqa: B004
        elif f.__code__ not in seen:
            seen.add(f.__code__)
            for name, value in _variables(f):
                if isinstance(value, FunctionType) and value.__globals__ is f.__globals__:
                    waiting.append(value)
                elif not isinstance(value, (ModuleType, type, FunctionType)):
                    yield name, value
                    yield from _attributes(name, value)


def _attributes(name: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """Those of an object of the user's own."""
    module = type(thing).__module__
    is_own = module.partition(".")[0] not in sys.stdlib_module_names or module == "__main__"
    if is_own and whose(getattr(sys.modules.get(module), "__file__", None) or "") == "own":
        yield from ((f"{name}.{attribute}", value) for attribute, value in getattr(thing, "__dict__", {}).items())


def _variables(f: FunctionType) -> Iterator[tuple[str, Any]]:
    names = _names_in(f.__code__)
    yield from ((name, f.__globals__[name]) for name in sorted(names) if name in f.__globals__)
    for name, cell in zip(f.__code__.co_freevars, f.__closure__ or ()):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not set yet
            continue


def _names_in(code: CodeType) -> set[str]:
    """All names in the lines of a function and of those within it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def _inside(value: Any) -> list[Any]:
    """What a container holds now, and the numbers of an array."""
    if isinstance(value, np.ndarray):
        return [value.tobytes()] if value.size <= LARGEST else []
    if not isinstance(value, CONTAINERS) or len(value) > LARGEST:
        return []
    return [*value, *value.values()] if isinstance(value, dict) else list(value)


def _same(before: Any, after: Any) -> bool:
    return before is after or (type(before) is type(after) is bytes and before == after)
