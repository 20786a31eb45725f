"""Where a function or class is defined, and what a fresh Python has to do to have it."""

import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import chain
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple


class NotWritable(ValueError):
    """Something cannot be written in a script, such as a function inside of a function."""


class Located(NamedTuple):
    """A thing by name.

    Attributes
    ----------
    statement : makes its module available
    expression : the thing itself, after that
    """

    statement: str
    expression: str


def locate(thing: Any, also_in: Iterable[ModuleType] = ()) -> Located:
    """The module in which a thing stands under a name: its own, one of those given, or any that is not installed.

    A rule of JAX, as any wrapper, says that it is from where the function within is from.

    Raises
    ------
    NotWritable
        When it has no name there: a lambda, a function inside of another, a bound method.
    """
    own = sys.modules.get(getattr(thing, "__module__", None) or "numpy")  # a ufunc does not say where it is from
    for module in chain((own, *also_in), _not_installed()):  # which are looked through only if need be
        name = _name_in(module, thing) if module is not None else None
        if module is not None and name:
            return _written(module, name)
    raise NotWritable(f"{getattr(thing, '__qualname__', type(thing).__name__)} is not defined at the top of a module")


def _not_installed() -> Iterator[ModuleType]:
    """The modules that were loaded from files of one's own."""
    for name, module in list(sys.modules.items()):
        file = None if name.partition(".")[0] in NOT_SEARCHED else getattr(module, "__file__", None)
        if file and not _is_installed(Path(file)):
            yield module


NOT_SEARCHED = ("__main__", "harness", "reference")


def _name_in(module: ModuleType, thing: Any) -> str | None:
    qualified = getattr(thing, "__qualname__", "")
    with suppress(Exception):  # what stands among the modules may raise whatever it likes, as torch.classes does
        if qualified and attrgetter(qualified)(module) is thing:
            return qualified
    return next((name for name, value in vars(module).items() if value is thing), None)


def _written(module: ModuleType, name: str) -> Located:
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
    """Whether any Python of this environment finds it: in the standard library, or among the installed packages."""
    path = path.resolve()
    return any(path.is_relative_to(root) for root in _roots(sys.prefix, sys.base_prefix))


@cache
def _roots(*folders: str) -> frozenset[Path]:
    return frozenset(Path(folder).resolve() for folder in folders)


def own_folders() -> list[str]:
    """The folders that modules are looked for in here, and not in every Python of this environment."""
    folders = dict.fromkeys(str(Path(entry or ".").resolve()) for entry in sys.path)
    return [folder for folder in folders if Path(folder).is_dir() and not _is_installed(Path(folder) / "module.py")]


def search_path(modules: Iterable[str], current: Path) -> str:
    """``PYTHONPATH=... `` before a command that needs modules from outside of the current folder, or nothing."""
    folders = {}
    for name in modules:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file and name.partition(".")[0] not in ("harness", "reference"):
            depth = name.count(".") + hasattr(module, "__path__")
            folders[str(Path(file).resolve().parents[depth])] = None
    folders.pop(str(current.resolve()), None)
    return f"PYTHONPATH={shlex.quote(os.pathsep.join(folders))} " if folders else ""
