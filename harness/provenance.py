"""What made a result: code, libraries, machine and command line. Equal results need equal code and libraries."""

import contextlib
import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import reference
from harness.seals import checksum

LIBRARIES = ("jax", "jaxlib", "numpy", "python-flint", "scipy")  # the libraries that results are computed with

PACKAGES = ("autodiff-cross-check", *LIBRARIES, "matplotlib")  # the packages whose versions a page names


def code_and_libraries() -> dict[str, str]:
    """The hash of both packages' modules, and the versions of the libraries that they compute with."""
    return {"code": _hash_code()} | {name: version(name) for name in LIBRARIES}


@cache
def _hash_code() -> str:
    """A hash of the path and content of every module in both packages."""
    modules = {
        f"{root.name}/{file.relative_to(root).as_posix()}": file.read_bytes()
        for root in (Path(__file__).parent, Path(reference.__path__[0]))
        for file in root.rglob("*.py")
    }
    return checksum(*(part for name in sorted(modules) for part in (name.encode(), modules[name])))


def differences(here: dict[str, str], there: dict[str, str]) -> list[str]:
    """What differs between two stamps, as "numpy: 2.2.0 there, 2.3.0 here"."""
    return [
        f"{name}: {there.get(name, 'nothing')} there, {here.get(name, 'nothing')} here"
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    ]


def environment() -> dict[str, str]:
    """Date, command line, versions, BLAS and machine. Only the command's own arguments may name a person or folder."""
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command_line(),
        "Python": platform.python_version(),
        **{package: _version_of(package) for package in PACKAGES},
        "BLAS": _blas(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
    }
    return {name: value for name, value in found.items() if value}


def command_line() -> str:
    """The command that runs, without the folder of its program. Empty if it is not a command of the harness."""
    program, *arguments = sys.argv or [""]
    is_ours = Path(program).name == "harness" or Path(program).parts[-2:] == ("harness", "__main__.py")
    return shlex.join(["harness", *arguments]) if is_ours else ""


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _blas() -> str:
    """BLAS and its number of threads: another number of threads rounds sums of products differently."""
    import numpy as np

    variables = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    threads = next(filter(None, map(os.environ.get, variables)), os.cpu_count() or 1)
    with contextlib.suppress(Exception):  # NumPy does not promise the form of its answer
        shown: Any = np.show_config(mode="dicts")
        blas = shown["Build Dependencies"]["blas"]
        return f"{blas['name']} {blas['version']}, {threads} threads"
    return "see numpy.show_config()"
