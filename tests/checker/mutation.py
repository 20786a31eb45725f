"""Modules of the checker with a bug planted in one of them, in memory: no file is written or changed.

A bug is a `Change` of the module's syntax tree, so that line breaks, comments and quotes do not matter::

    replace("a.error + b.error", "a.error")                     # an expression, or a statement, as the code has it
    replace("problem.l2 == 0.0", "False", within="_blind_to")   # where several functions have it
    replace_value("ELEMENTARY", "80")                           # a name that the module, or a class, gives a value

Each raises AssertionError if the code has no such place, or several: then adapt the bug to the code. `planted`
loads the modules that the bug reaches within a process; `install` changes a whole process from its start.
"""

import ast
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.abc import FileLoader, SourceLoader
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

Change = Callable[[ast.Module], None]
"""Changes a module's syntax tree in place."""

PACKAGES = ("harness", "reference")

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SCOPES = (*FUNCTIONS, ast.ClassDef)


# -- changes -----------------------------------------------------------------------------------------------------------


def replace(old: str, new: str, within: str = "") -> Change:
    """`new` in the place of the expression or statement `old`, which the tree (of a function) must have once."""
    (pattern,) = ast.parse(old).body
    (substitute,) = ast.parse(new).body
    if isinstance(pattern, ast.Expr):
        assert isinstance(substitute, ast.Expr), f"{old!r} is an expression, and {new!r} is none"
        pattern, substitute = pattern.value, substitute.value
    wanted = ast.dump(pattern)

    def change(tree: ast.Module) -> None:
        top = find_scope(tree, within)
        places = [place for place in slots(top) if type(place[3]) is type(pattern) and ast.dump(place[3]) == wanted]
        assert len(places) == 1, f"{old!r} is there {len(places)} times: adapt the change to the code"
        put(*places[0][:3], substitute)

    return change


def replace_value(name: str, value: str) -> Change:
    """Another value for a name of the module, or for "Class.name"."""
    scope, _, target = name.rpartition(".")

    def change(tree: ast.Module) -> None:
        body = find_scope(tree, scope).body
        assignments = [
            node
            for node in body
            if (isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == [target])
            or (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == target)
        ]
        assert len(assignments) == 1, f"{name} gets {len(assignments)} values: adapt the change to the code"
        assignments[0].value = ast.parse(value, mode="eval").body

    return change


def find_scope(tree: ast.Module, name: str) -> Any:
    """A function or class of a tree by its dotted name; the tree itself for no name."""
    scope: Any = tree
    for part in filter(None, name.split(".")):
        found = [node for node in scope.body if isinstance(node, SCOPES) and node.name == part]
        assert found, f"there is no {name}: adapt the change to the code"
        scope = found[-1]
    return scope


Slot = tuple[ast.AST, str, int | None, ast.AST]


def slots(top: ast.AST) -> Iterator[Slot]:
    """Where the nodes below `top` are: the node that holds one, its field, the index if that is a list, the node."""
    for field, value in ast.iter_fields(top):
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, ast.AST):
                yield top, field, index, node
                yield from slots(node)


def put(holder: ast.AST, field: str, index: int | None, node: ast.AST | None) -> None:
    if index is None:
        setattr(holder, field, node)
    else:
        getattr(holder, field)[index] = node


# -- loading -----------------------------------------------------------------------------------------------------------


class Loader(FileLoader, SourceLoader):
    """Loads a module from its file and changes it, or compiles it once in a process; no compiled file is touched."""

    def __init__(self, name: str, path: str, change: Change | None):
        super().__init__(name, path)
        self.change = change

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        if self.change is None:
            return _compiled(path)
        tree = ast.parse(self.get_data(path), path)
        self.change(tree)
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


@cache
def _compiled(path: str) -> CodeType:
    return compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)


def install(module: str, change: Change, remembering: bool = False) -> Callable[[], None]:
    """Change a module whenever it is imported from now on. Returns the function that ends that.

    With `remembering`, a process that loads the packages' other modules many times compiles them once.
    """
    assert module not in sys.modules, f"{module} is imported already"

    class Finder:
        @staticmethod
        def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
            spec = None
            if name == module or (remembering and name.partition(".")[0] in PACKAGES):
                spec = PathFinder.find_spec(name, path, target)
            if spec and spec.origin:
                spec.loader = Loader(name, spec.origin, change if name == module else None)
            return spec

    sys.meta_path.insert(0, Finder)
    return lambda: sys.meta_path.remove(Finder)


@contextmanager
def planted(names: Sequence[str], module: str = "", change: Change | None = None) -> Iterator[SimpleNamespace]:
    """The modules `names`, by the last part of their names, with a change of `module`.

    That module is loaded afresh, and so is every module that imports it, directly or not. The others are shared with
    the rest of the process. Afterwards, `sys.modules` is as before.
    """
    afresh = {module, *importers(module)} if change else set()
    before = {name: sys.modules.pop(name) for name in afresh if name in sys.modules}
    places = [name.rpartition(".") for name in afresh]
    parents = [(sys.modules[room], short) for room, _, short in places if room in sys.modules]
    kept = [(parent, short, vars(parent).get(short)) for parent, short in parents]
    end = install(module, change, remembering=True) if change else None
    try:
        yield SimpleNamespace(**{name.rpartition(".")[2]: importlib.import_module(name) for name in names})
    finally:
        if end:
            end()
        for name in afresh:
            sys.modules.pop(name, None)
        sys.modules.update(before)
        for parent, short, value in kept:
            vars(parent).pop(short, None)
            if value is not None:
                setattr(parent, short, value)


@cache
def importers(module: str) -> frozenset[str]:
    """All modules whose source imports a module, directly or not, even within functions."""
    found = {module}
    while more := {name for name, imported in imports().items() if imported & found} - found:
        found |= more
    return frozenset(found - {module})


@cache
def sources() -> dict[str, Path]:
    """Every module of the packages, and its file."""
    files = {}
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec
        assert spec.submodule_search_locations
        folder = Path(spec.submodule_search_locations[0])
        for file in sorted(folder.rglob("*.py")):
            parts = [package, *file.relative_to(folder).with_suffix("").parts]
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return files


@cache
def imports() -> dict[str, frozenset[str]]:
    """What every module of the packages imports."""
    return {module: imported_by(file) for module, file in sources().items()}


@cache
def imported_by(file: Path) -> frozenset[str]:
    """The modules, and the names in modules, that a file imports, even within functions."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(names)
