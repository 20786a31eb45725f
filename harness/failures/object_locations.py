"""Where a function or class is defined, and how another Python process imports it."""

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple


class NotWritable(ValueError):
    """Something has no expression in a script, such as a function inside a function."""


class Located(NamedTuple):
    """An object by name.

    Attributes
    ----------
    statement : imports its module
    expression : the object, after that statement
    """

    statement: str
    expression: str


def locate(thing: Any, also_in: Iterable[ModuleType] = ()) -> Located:
    """Find an object by name: in its own module, in one of those given, or in any module that is not installed.

    Its own module may not have it: a rule of JAX, like any wrapper, states the module of the function that it wraps.

    Raises
    ------
    NotWritable
        When it has no name in a module: a lambda, a function inside another, a bound method.
    """
    own = sys.modules.get(getattr(thing, "__module__", None) or "numpy")  # a ufunc does not state its module
    # the likeliest module first: looking through all of them takes longer
    for module in chain((own, *also_in), _not_installed()):
        name = _name_in(module, thing) if module is not None else None
        if module is not None and name:
            return _written(module, name)
    raise NotWritable(f"{getattr(thing, '__qualname__', type(thing).__name__)} is not defined at the top of a module")


def _not_installed() -> Iterator[ModuleType]:
    """The loaded modules whose files belong to the user."""
    for name, module in list(sys.modules.items()):
        file = None if name.partition(".")[0] in NOT_SEARCHED else getattr(module, "__file__", None)
        if file and not _is_installed(Path(file)):
            yield module


NOT_SEARCHED = ("__main__", "autodiff_cross_check", "harness", "reference")


def _name_in(module: ModuleType, thing: Any) -> str | None:
    """The name under which a module has this very object: its own, or that of a variable that holds it."""
    qualified = getattr(thing, "__qualname__", "")
    with suppress(Exception):  # objects among the modules may raise anything, as torch.classes does
        if qualified and attrgetter(qualified)(module) is thing:
            return qualified
    return next((name for name, value in vars(module).items() if value is thing), None)


def _written(module: ModuleType, name: str) -> Located:
    """A name in a module as an import and an expression; a module that is not installed is imported from its file."""
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__":
        raise NotWritable(f"{name} is defined in a session and not in a file")
    if file is None or _is_installed(Path(file)):
        return Located(f"import {module.__name__}", f"{module.__name__}.{name}")
    short = module.__name__.rpartition(".")[2]
    alias = short if short.isidentifier() else "module"
    statement = f"{alias} = import_file_as({module.__name__!r}, {str(Path(file).resolve())!r})"
    return Located(statement, f"{alias}.{name}")


def _is_installed(path: Path) -> bool:
    """Whether every Python of this environment finds it: in the standard library, or as an installed package."""
    path = path.resolve()
    return any(path.is_relative_to(Path(root).resolve()) for root in {sys.prefix, sys.base_prefix})


def own_folders() -> list[str]:
    """The folders on this process's path that are not on the path of every Python of this environment."""
    folders = dict.fromkeys(str(Path(entry or ".").resolve()) for entry in sys.path)
    return [folder for folder in folders if Path(folder).is_dir() and not _is_installed(Path(folder) / "module.py")]


def search_path(modules: Iterable[str], current: Path) -> str:
    """``PYTHONPATH=... `` for a command that needs modules from outside the current folder, or nothing."""
    folders = {}
    for name in modules:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0] not in ("harness", "reference"):
            # a.b.c lies two folders below the one that has to be on the path, and a package's __init__.py one more
            depth = name.count(".") + hasattr(module, "__path__")
            folders[str(Path(file).resolve().parents[depth])] = None
    folders.pop(str(current.resolve()), None)
    return f"PYTHONPATH={shlex.quote(os.pathsep.join(folders))} " if folders else ""
