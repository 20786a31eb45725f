"""Objects named as module:attribute on a command line or in a file, and modules that are given as files."""

import sys
import traceback
from contextlib import suppress
from dis import opmap
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from operator import attrgetter
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any

from reference.user_input import did_you_mean, error_in_words, given


def import_attribute(name: str) -> Any:
    """The object that ``module:attribute`` or ``file.py:attribute`` names. The current folder is searched, too.

    Raises ValueError when the name has no colon, there is no such module, importing it fails, or it has no such
    attribute.
    """
    module_name, colon, attribute = name.rpartition(":")
    if not (module_name and colon and attribute):
        raise ValueError(f"{given(name)} must be written as FILE.py:NAME or MODULE:NAME")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = import_file_or_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a user's module may raise anything, even SystemExit
        raise ValueError(f"cannot import {given(module_name)}: {error_in_words(error)}{raised_at(error)}") from error
    try:
        return attrgetter(attribute)(module)
    except AttributeError:
        close = did_you_mean(attribute, (own for own in dir(module) if not own.startswith("_")))
        raise ValueError(f"module {given(module_name)} has no attribute {given(attribute)}{close}") from None


def _own_folders() -> tuple[str, str]:
    return str(Path(__file__).parent), str(Path(import_module("reference").__path__[0]))


def _is_ours(file: str) -> bool:
    """Whether a file of code belongs to this project."""
    return file.startswith(_own_folders())


def raised_at(error: BaseException) -> str:
    """The innermost line of the user's code in a traceback, as " (mine.py, line 3, in f: ...)", or nothing."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f" ({Path(error.filename or '').name}, line {error.lineno}: {(error.text or '').strip()})"
    places = list(traceback.walk_tb(error.__traceback__))
    for (frame, _), shown in zip(reversed(places), reversed(traceback.extract_tb(error.__traceback__))):
        file = shown.filename
        if not ("site-packages" in file or file.startswith("<") or _is_ours(file) or _package(frame) in LIBRARIES):
            return f" ({Path(file).name}, line {shown.lineno}, in {shown.name}: {shown.line})"
    return ""


def hide_from_hypothesis() -> None:
    """Let Hypothesis explain a failure by lines of the user's code, and by none of this project's."""
    scrutineer: Any = sys.modules.get("hypothesis.internal.scrutineer")
    known, ours = getattr(scrutineer, "UNHELPFUL_LOCATIONS", None), tuple(f"{folder}/**" for folder in _own_folders())
    if isinstance(known, tuple) and not set(ours) <= set(known):
        scrutineer.UNHELPFUL_LOCATIONS = (*known, *ours)


class WithoutOwnFrames:
    """A context whose exceptions show only the lines of other code than this project's, unless `whole`.

    An error of this project's own code keeps all lines, because a report of the fault needs them.
    """

    def __init__(self, whole: bool = False):
        self.whole = whole

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None or self.whole or _is_our_fault(error, at):
            return
        others = None
        for frame, line in reversed(list(traceback.walk_tb(at))):
            if not _is_ours(frame.f_code.co_filename):
                others = TracebackType(others, frame, frame.f_lasti, line)
        error.__traceback__ = others


def _is_our_fault(error: BaseException, at: TracebackType | None) -> bool:
    """Whether this project's code failed, rather than refused its input or passed on an error of the user's code."""
    places = []
    while at is not None:
        places.append((at.tb_frame, at.tb_lasti))
        at = at.tb_next
    while places and _package(places[-1][0]) in LIBRARIES:  # the caller of a library is the culprit
        places.pop()
    if not places or not _is_ours(places[-1][0].f_code.co_filename):
        return False
    # A `raise` of this project refuses its input in a sentence. Any other instruction that fails is a fault, such as an
    # attribute that None does not have; so is an assertion.
    innermost, instruction = places[-1]
    refuses = innermost.f_code.co_code[instruction] == opmap["RAISE_VARARGS"] and not isinstance(error, AssertionError)
    return not refuses


def _package(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]


LIBRARIES = {"flint", "jax", "jaxlib", "numpy", "scipy", "torch"} | sys.stdlib_module_names - {"__main__"}
"""Libraries that both this project and its users call."""


def is_file(target: str | Path) -> bool:
    """Whether a target is a file, which ends in .py, rather than the name of a module."""
    return Path(target).suffix == ".py"


def file_of_module(name: str) -> str:
    """The file of a module, found without running code; "" if that is not possible, as inside a package."""
    spec = PathFinder.find_spec(name)
    return spec.origin or "" if spec else ""


def import_file_or_module(target: str | Path) -> ModuleType:
    """The module of a name, or the module that a file holds, whatever the file's name.

    A relative file is looked for in the current folder and then along `sys.path`, because an isolated process works in
    another folder. The file's folder is searched last for imports, so that a file named random.py shadows no module.
    Errors of the file are passed on.
    """
    if not is_file(target):
        return import_module(str(target))
    places = (folder / target for folder in (Path(), *map(Path, sys.path)))
    path = next((place for place in places if place.is_file()), Path(target)).resolve()
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    return _run_file(f"file_{path.stem}" if taken else path.stem, path)


def _run_file(name: str, path: str | Path) -> ModuleType:
    """The module of this name that a file holds."""
    spec = spec_from_file_location(name, path) if Path(path).is_file() else None  # to read a FIFO would block
    if spec is None or spec.loader is None:
        what = "a Python file" if Path(path).exists() else "there"
        raise ImportError(f"{path} is not {what}; give the path of a .py file")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def import_file_as(name: str, path: str | Path) -> ModuleType:
    """The module `name` from its file, whatever else has that name. Its packages are imported by name.

    Raises ImportError when there is no such file. Errors of the file are passed on.
    """
    package = name.rpartition(".")[0]
    if package:
        root = str(Path(path).resolve().parents[name.count(".")])
        if root not in sys.path:
            sys.path.insert(0, root)
        with suppress(ImportError):  # the folder is not a package, so the module has no relative imports
            import_module(package)
    return _run_file(name, path)
