"""Which code made a result: two results can only be the same if this is."""

import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path

import harness
import reference

LIBRARIES = ("jax", "jaxlib", "numpy", "python-flint", "scipy")


def code_and_libraries() -> dict[str, str]:
    """The hash of both packages' modules, and the releases of the libraries that they compute with."""
    return {"code": _code()} | {name: importlib.metadata.version(name) for name in LIBRARIES}


@cache
def _code() -> str:
    """A hash of every module of both packages, with its place in them."""
    digest = hashlib.sha256()
    for package in (harness, reference):
        root = Path(package.__path__[0])
        for file in sorted(root.rglob("*.py"), key=lambda file: file.relative_to(root).as_posix()):
            content = file.read_bytes()
            digest.update(f"{package.__name__}/{file.relative_to(root).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def differences(here: dict[str, str], there: dict[str, str]) -> list[str]:
    """What two stamps differ in, as "numpy: 2.2.0 there, 2.3.0 here"."""
    return [
        f"{name}: {there.get(name, 'nothing')} there, {here.get(name, 'nothing')} here"
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    ]
