"""Objects named on a command line or in a file, as module:attribute, and modules that are files."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any


def import_attribute(name: str) -> Any:
    """The object that ``module:attribute`` names; modules of the current folder are found, too.

    Raises
    ------
    ValueError
        When the name has no colon, there is no such module, importing it fails, or it has no such attribute.
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise ValueError(f"{name!r} must be written as module:attribute")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's module raises, sys.exit() included
        raise ValueError(f"cannot import {module_name!r} of {name!r}: {type(error).__name__}: {error}") from error
    try:
        return attrgetter(attribute)(module)
    except AttributeError:
        raise ValueError(f"module {module_name!r} has no attribute {attribute!r}") from None


def is_file(target: str | Path) -> bool:
    """Whether a target is a file, which ends in .py, and no module's name."""
    return Path(target).suffix == ".py"


def import_file_or_module(target: str | Path) -> ModuleType:
    """The module of a name, or the one that a file holds, whatever the file is called.

    What the file imports is looked for beside it last, so that a file called random.py is in nobody's way. What it
    raises is handed on.
    """
    if not is_file(target):
        return import_module(str(target))
    path = Path(target).resolve()
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    name = f"file_{path.stem}" if taken else path.stem
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
