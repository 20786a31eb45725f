"""The harness under the name of its distribution, which no other package is likely to have.

``harness`` and ``reference`` are common names. Where a folder or file of a project has one of them, Python may import
that instead, and then nothing here can work. This package is always found. It offers the public names of `harness`, and
says what stands in the way.

>>> from autodiff_cross_check import check_gradient
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds `harness`, `reference` and this package, in a checkout and where the wheel is installed."""


def find_obstacle() -> str | None:
    """What Python imports in place of `harness` or `reference`, and what to do about it. Nothing is imported."""
    for name in ("harness", "reference"):
        found = _places(name)
        if ROOT / name not in found:
            where = f"is {found[0]}" if found else "is not found"
            return (
                f"`{name}` {where}, and not {ROOT / name} of autodiff-cross-check. Rename yours, or keep its folder "
                "off sys.path, where `python -m pytest`, a conftest.py or `pythonpath` may have put it."
            )
    return None


def _places(name: str) -> list[Path]:
    """Where Python finds, or has found, the package or module of this name."""
    try:
        spec = find_spec(name)
    except ValueError:  # it was imported without a spec, as stand-ins of tests are
        return [Path(getattr(sys.modules[name], "__file__", None) or f"a stand-in for {name}")]
    if spec is None:
        return []
    folders = spec.submodule_search_locations
    return [Path(place).resolve() for place in (folders if folders is not None else [spec.origin or name])]


def require_own_packages() -> None:
    """Raise an error unless `harness` and `reference` are those of this distribution.

    Raises ImportError with what is imported in their place, and what to do.
    """
    if obstacle := find_obstacle():
        raise ImportError(obstacle)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # as Python and pytest ask of any module
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_own_packages()
    import harness

    return getattr(harness, name)
