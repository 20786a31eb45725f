"""Loads a submission's files in the process that they run in, with stand-ins for modules that are not there.

A stand-in fails only when it is used: an import of something that is never called harms nobody. Libraries that draw are
never loaded; whatever is done with them is done by a stand-in that does nothing.
"""

import ast
import builtins
import sys
from dataclasses import is_dataclass
from functools import reduce
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from operator import attrgetter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from harness.grading.submission_code import FAILURES, runnable

DRAWING = ("matplotlib", "seaborn", "plotly", "IPython", "ipywidgets", "mpl_toolkits", "google", "tqdm", "ipdb")
"""Modules that show something, and compute nothing."""

PYTHON_2 = {"xrange": range, "unicode": str, "basestring": str, "long": int, "reduce": reduce}
"""Names that Python 2 defines."""

NUMPY_1 = {"int": int, "float": float, "bool": bool, "object": object, "str": str, "complex": complex, "long": int}
NUMPY_1 |= {"mat": np.asmatrix, "float_": np.float64, "Inf": np.inf, "NaN": np.nan, "product": np.prod}
"""Names that NumPy had in its first version, and what they stood for."""

DATA_FOLDER = "data"
"""The folder with the data, beside the submission's files; whatever file is opened is looked for there as well."""


class NotHandedIn(Exception):
    """Something is used that neither the submission nor this machine has; the text is "name, from module"."""


class _Missing(type):
    """The type of stand-ins. They can be derived from and looked into, and fail when they are called."""

    path: tuple[str, str]
    is_silent: bool

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        # ``@jit`` of a library that is not there leaves its function as it is
        is_decorator = len(arguments) == 1 and callable(arguments[0]) and not options
        if cls.is_silent or _State.loading:
            return arguments[0] if is_decorator else cls
        raise NotHandedIn(", from ".join(filter(None, cls.path)))

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _stand_in(name, cls.path[1] or cls.path[0], silent=cls.is_silent)

    def __iter__(cls) -> Any:
        # ``fig, axes = plt.subplots()``
        return iter((cls, cls)) if cls.is_silent else cls()

    def __getitem__(cls, _: Any) -> Any:
        return cls if cls.is_silent or _State.loading else cls()

    def __enter__(cls) -> Any:
        return cls

    def __exit__(cls, *_: object) -> None:
        pass


def _stand_in(name: str, module: str = "", *, silent: bool) -> Any:
    """A stand-in for what a module has, or for a module itself."""
    made = type.__new__(_Missing, name, (), {"__all__": []})
    made.path, made.is_silent = (name, module), silent
    return made


class _State:
    """What this process has loaded, and which modules stood in for others."""

    folder = ""
    package = ""
    with_needed = False
    own: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    loading = 0
    missing: list[str] = []  # noqa: RUF012  one process, one state
    loaded: dict[str, ModuleType] = {}  # noqa: RUF012


class _HandedIn(SourceFileLoader):
    """Runs of a file only what defines something."""

    def source_to_code(self, data: Any, path: Any, *, _optimization: int = -1) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        tree = runnable(ast.parse(data), with_needed=_State.with_needed, own=_State.own)
        return compile(tree, path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)[FAILURES] = []
        _State.loading += 1
        try:
            super().exec_module(module)
        finally:
            _State.loading -= 1


class _StandIns(MetaPathFinder, Loader):
    """Finds a stand-in for a module that a file of the submission imports."""

    def __init__(self, *, drawing: bool):
        self._drawing = drawing

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        # a library may try an import to see what is there, and must be told the truth; so must ``try: import cupy``
        top = name.partition(".")[0]
        if (top in DRAWING) != self._drawing or top in _State.optional or not _asked_by_the_submission():
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> Any:
        if not self._drawing:
            _State.missing.append(spec.name)
        return _stand_in(spec.name, silent=self._drawing)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to be run."""


def _asked_by_the_submission() -> bool:
    """Whether the import that is under way stands in a file of the submission, not in a library.

    It does if the first frame that is neither the import system's nor this file's is the submission's.
    """
    frame = sys._getframe(2)
    while frame is not None and ("importlib" in frame.f_code.co_filename or frame.f_code.co_filename == __file__):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_State.folder)


def prepare(folder: str, optional: tuple[str, ...], with_needed: bool, package: str) -> None:
    """Load what follows from a folder, which may be a package of that name.

    The submission itself handles the absence of `optional` modules.
    """
    _State.folder, _State.optional, _State.with_needed = folder, frozenset(optional), with_needed
    files = [file.relative_to(folder).with_suffix("") for file in Path(folder).rglob("*.py")]
    _State.package, _State.own = package, frozenset(part for file in files for part in file.parts)
    sys.path_hooks.insert(0, _file_finder)
    sys.path[:0] = [folder]
    # matplotlib is not loaded though it is there; what is missing is only what nobody else has found
    sys.meta_path.insert(0, _StandIns(drawing=True))
    sys.meta_path.append(_StandIns(drawing=False))
    for name, value in {**PYTHON_2, "input": _no_input, "raw_input": _no_input}.items():
        setattr(builtins, name, value)
    for name, value in NUMPY_1.items():
        if name not in vars(np):
            setattr(np, name, value)
            np.__all__ += [] if hasattr(builtins, name) else [name]  # ``from numpy import *`` shadows no int
    np.array = _of_any_rows(np.array)
    builtins.open = _finding_data(builtins.open)
    # scipy.io and numpy open files by this name
    import io

    io.open = builtins.open


def _file_finder(path: str) -> FileFinder:
    if not path.startswith(_State.folder):
        raise ImportError
    return FileFinder(path, (_HandedIn, [".py"]))


def _no_input(*_: object) -> str:
    raise EOFError("there is nobody who could answer input()")


def _of_any_rows(made: Any) -> Any:
    """The function `np.array`, which makes an array of objects of rows of different lengths, as it did in NumPy 1."""

    def array(rows: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return made(rows, *arguments, **options)
        except ValueError:
            if arguments or options or not isinstance(rows, (list, tuple)):
                raise
            return made(rows, dtype=object)

    return array


def _finding_data(opened: Any) -> Any:
    """The function `open`, which looks for a file that is not there under its name among the data."""

    def open_data(file: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return opened(file, *arguments, **options)
        except FileNotFoundError:
            found = Path(_State.folder) / DATA_FOLDER / Path(str(file).replace("\\", "/")).name
            if isinstance(file, (str, Path)) and found.is_file():
                return opened(found, *arguments, **options)
            raise

    return open_data


def load(file: str) -> None:
    """Run a file of the submission, given relative to its folder, once."""
    if file in _State.loaded:
        return
    path = Path(_State.folder) / file
    # modules are looked for beside the file, then in the folders above
    above = [str(folder) for folder in path.parents if str(folder).startswith(_State.folder)]
    sys.path[:] = [*above, *(entry for entry in sys.path if entry not in above)]
    if (path.parent / "__init__.py").is_file():
        parts = (_State.package, *Path(file).with_suffix("").parts)
        _State.loaded[file] = import_module(".".join(filter(None, parts)))  # for its relative imports
        return
    module = sys.modules.get(path.stem)
    if module is None or getattr(module, "__file__", None) != str(path):
        spec = spec_from_file_location(path.stem, path, loader=_HandedIn(path.stem, str(path)))
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    _State.loaded[file] = module


def call(file: str, name: str, *arguments: Any) -> Any:
    """Call a function of a file."""
    module = _State.loaded[file]
    try:
        function = attrgetter(name)(module)
    except AttributeError:
        if failures := vars(module).get(FAILURES):  # the statement that defines it failed
            raise failures[-1] from None
        raise
    try:
        return _with_dictionaries(function(*arguments))
    except NameError as error:
        if lacking := _lacking(error, vars(module).get(FAILURES, ())):
            raise NotHandedIn(lacking) from error
        raise


def _with_dictionaries(answer: Any) -> Any:
    """An answer with namespaces and dataclasses, also those within tuples and lists, as dictionaries."""
    if isinstance(answer, SimpleNamespace) or (is_dataclass(answer) and not isinstance(answer, type)):
        return dict(vars(answer))
    if isinstance(answer, tuple):
        return tuple(map(_with_dictionaries, answer))
    return list(map(_with_dictionaries, answer)) if isinstance(answer, list) else answer


def _lacking(error: NameError, failures: Any) -> str:
    """The file or the module for want of which a name is not defined; empty where it is the author's fault.

    ``X = np.loadtxt("X.txt")`` failed for want of the file. ``from helpers import *`` of a module that is not there
    gives no names, so any unknown name may be one of them.
    """
    for failure in failures:
        if isinstance(failure, OSError):
            return f"{Path(failure.filename).name if failure.filename else str(failure).split()[0]}"
    has_star = _State.missing and not isinstance(error, UnboundLocalError)
    return f"{error.name}, from {_State.missing[-1]}" if has_star else ""
