"""Objects named on a command line or in a file, as module:attribute."""

import sys
from importlib import import_module
from operator import attrgetter
from pathlib import Path
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
    except (Exception, SystemExit) as error:  # whatever the user's module raises, sys.exit() included
        raise ValueError(f"cannot import {module_name!r} of {name!r}: {type(error).__name__}: {error}") from error
    try:
        return attrgetter(attribute)(module)
    except AttributeError:
        raise ValueError(f"module {module_name!r} has no attribute {attribute!r}") from None
