"""How many points each part is worth, and which conventions are accepted: a rubric, as a teacher may write it.

    [points]
    cost = 30
    gradient = 40
    regularised = 20
    sigmoid_gradient = 5
    other = 5

    [conventions]                       # "accept", which is the default, or "bug"
    "labels from 0" = "bug"

A helper that is not there is not counted: the points are then scaled up to the same total.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

from harness.wording import did_you_mean

PARTS = {"cost": 30.0, "gradient": 40.0, "regularised": 20.0, "sigmoid_gradient": 5.0, "other": 5.0}
"""The parts and their points, close to those of the course's own grader."""

ACCEPT, BUG = "accept", "bug"


@dataclass(frozen=True)
class Rubric:
    """Points for each part, and "accept" or "bug" for conventions by their names."""

    points: Mapping[str, float] = field(default_factory=lambda: dict(PARTS))
    conventions: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(self.points.values())

    def points_for(self, shares: Mapping[str, float | None]) -> float:
        """total · Σ points · share / Σ points, over the parts whose share (0 to 1) is not None."""
        counted = {name: share for name, share in shares.items() if share is not None}
        possible = sum(self.points[name] for name in counted)
        earned = sum(self.points[name] * share for name, share in counted.items())
        return round(self.total * earned / possible, 2) if possible else 0.0

    def refused(self, conventions: Iterable[str]) -> list[str]:
        """The conventions that count as bugs."""
        return [convention for convention in conventions if self.conventions.get(convention, ACCEPT) == BUG]


def read_rubric(path: str | Path) -> Rubric:
    """The rubric in a TOML file.

    Raises
    ------
    OSError, ValueError
        The file is missing, is not TOML, or holds something else than points and conventions.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is no file; a rubric is a TOML file")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    for name in document:
        if name not in ("points", "conventions"):
            raise ValueError(f"{path} has [{name}]; a rubric has [points] and [conventions]")
    points, conventions = document.get("points", {}), document.get("conventions", {})
    if not isinstance(points, dict) or not isinstance(conventions, dict):
        raise ValueError(f"{path} must have [points] and [conventions] as tables")
    for name, value in points.items():
        _require_points(path, name, value)
    for name, value in conventions.items():
        if value not in (ACCEPT, BUG):
            raise ValueError(f'{path} gives {value!r} for the convention {name!r}; it must be "accept" or "bug"')
    return Rubric(PARTS | {name: float(value) for name, value in points.items()}, conventions)


def _require_points(path: Path, name: str, value: Any) -> None:
    if name not in PARTS:
        raise ValueError(
            f"{path} gives points for {name!r}, but the parts are {', '.join(PARTS)}{did_you_mean(name, PARTS)}"
        )
    if not isinstance(value, Real) or isinstance(value, bool) or not 0.0 <= float(value) < float("inf"):
        raise ValueError(f"{path} gives {value!r} points for {name}; they must be a number, zero or more")
