"""What a result was made with, so that somebody else can make it again."""

import contextlib
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("autodiff-cross-check", "numpy", "scipy", "jax", "jaxlib", "python-flint", "matplotlib")


def environment() -> dict[str, str]:
    """Date, versions, BLAS, machine and command line, as name and value. No name of a person, machine or folder."""
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command_line(),
        "Python": platform.python_version(),
        **{package: version_of(package) for package in PACKAGES},
        "BLAS": _blas(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
    }
    return {name: value for name, value in found.items() if value}


def command_line(arguments: list[str] | None = None) -> str:
    """The command that runs, its program by name alone; empty where it is no command of the harness."""
    arguments = sys.argv if arguments is None else arguments
    program = Path(arguments[0]).name if arguments else ""
    if program == "__main__.py":
        program = "harness"
    return shlex.join([program, *arguments[1:]]) if program == "harness" else ""


def version_of(package: str) -> str:
    """The installed version; empty without one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _threads() -> str:
    """How many threads BLAS takes, as far as anybody has said: another number rounds sums of products differently."""
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    return next(filter(None, map(os.environ.get, names)), str(os.cpu_count() or 1))


def _blas() -> str:
    import numpy as np

    with contextlib.suppress(Exception):  # the form of NumPy's answer is no promise
        shown: Any = np.show_config(mode="dicts")
        blas = shown["Build Dependencies"]["blas"]
        return f"{blas['name']} {blas['version']}, {_threads()} threads"
    return "see numpy.show_config()"
