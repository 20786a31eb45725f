"""Side effects: variables, containers and objects that a function captures and changes.

JAX runs Python when it traces a function, and not each time that the function runs. Code that counts calls there, or
collects values, counts traces and collects traced arrays.
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


class CapturedState:
    """The variables that f's code names and that are none of its arguments, as they are before f runs.

    Parameters
    ----------
    f : callable
        Its own code, and that of the functions of its module that it names.
    arguments : sequence
        What is passed to f, which its code may know by another name.
    """

    def __init__(self, f: Callable[..., Any], arguments: Sequence[Any]):
        self._f, self._arguments = f, arguments
        self._before = self._state()

    def _state(self) -> dict[str, list[Any]]:
        """Each variable by its name, with what it holds now."""
        passed = set(map(id, self._arguments))
        return {name: [value, *_contents(value)] for name, value in _captured(self._f) if id(value) not in passed}

    def changes(self) -> dict[str, bool]:
        """The names of the variables that have changed, and whether a traced array was put there."""
        found = {}
        for name, after in self._state().items():
            before = self._before.get(name, [])
            if len(before) != len(after) or not all(map(_is_same, before, after)):
                known = set(map(id, before))
                found[name] = any(isinstance(x, Tracer) for x in after if id(x) not in known)
        return found


def _captured(f: Any) -> Iterator[tuple[str, Any]]:
    """The variables and attributes of objects that the code of f names, and of functions that it calls."""
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
    """The attributes of an object whose class is the user's own."""
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
    """All names in the code of a function and of those defined within it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def _contents(value: Any) -> list[Any]:
    """What a container holds now, and the numbers of an array."""
    if isinstance(value, np.ndarray):
        return [value.tobytes()] if value.size <= LARGEST else []
    if not isinstance(value, CONTAINERS) or len(value) > LARGEST:
        return []
    return [*value, *value.values()] if isinstance(value, dict) else list(value)


def _is_same(before: Any, after: Any) -> bool:
    return before is after or (type(before) is type(after) is bytes and before == after)
