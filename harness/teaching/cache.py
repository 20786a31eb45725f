"""Computed results kept on disk, so that a lesson is not computed twice.

A result is good for one state of the code and one set of arguments; whatever cannot be read is computed anew.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.files import prepare_directory, write_whole
from harness.provenance import code_and_libraries


def cache_folder() -> Path:
    """Where results are kept: under ``XDG_CACHE_HOME``, or ``~/.cache`` without it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autodiff-cross-check" / "lesson"


def remembered(name: str, arguments: Any, compute: Callable[[], Any], folder: Path | None = None) -> Any:
    """The JSON-ready result of a computation, from the folder if it is there, or else computed and kept.

    Parameters
    ----------
    name, arguments : what is computed, of what; JSON-ready
    folder : None keeps nothing. A folder that cannot be written to is no error: then nothing is kept, either.
    """
    found = recall(name, arguments, folder)
    return remember(name, arguments, compute(), folder) if found is None else found


def recall(name: str, arguments: Any, folder: Path | None) -> Any:
    """What was kept under that name for those arguments; None where nothing was."""
    if folder is None:
        return None
    with suppress(OSError, ValueError):
        return json.loads(_file(name, arguments, folder).read_text(encoding="utf-8"))
    return None


def remember(name: str, arguments: Any, result: Any, folder: Path | None) -> Any:
    """The result itself, which is kept where there is a folder that can be written to."""
    if folder is not None:
        with suppress(OSError):
            write_whole(_file(name, arguments, prepare_directory(folder)), json.dumps(result).encode())
    return result


def _file(name: str, arguments: Any, folder: Path) -> Path:
    key = json.dumps([name, arguments, code_and_libraries()], sort_keys=True)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
