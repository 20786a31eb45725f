"""What a sweep checks, and with which code: two rows are comparable only if both are the same."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from harness.provenance import code_and_libraries
from harness.seals import checksum

KINDS = ("networks", "functions", "activations")


@dataclass(frozen=True)
class Settings:
    """What decides every row but its seed.

    Attributes
    ----------
    kind : one of `KINDS`
    activations : those that hidden layers of random networks draw from; empty for all that are registered
    sources : names as `cross_check` takes them; empty for the default ones
    extremes : whether some θ and X of random networks are zero, hold ties, or are large enough to saturate
    """

    kind: str = "networks"
    activations: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    extremes: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if self.kind != "networks" and (self.activations or self.sources):
            raise ValueError(f"activations and sources are chosen for networks alone, and this sweep is of {self.kind}")

    @classmethod
    def from_stamp(cls, stamp: dict[str, str]) -> "Settings":
        """The settings of a file, from what it is stamped with."""
        given: dict[str, Any] = {field.name: json.loads(stamp[field.name]) for field in fields(cls)}
        for name in ("activations", "sources"):
            given[name] = tuple(given[name])  # JSON has lists alone
        return cls(**given)

    def in_full(self) -> dict[str, str]:
        """Settings and version as text, by name: what a file of rows is stamped with."""
        return {name: json.dumps(value, ensure_ascii=False) for name, value in asdict(self).items()} | version(self)


def version(settings: Settings) -> dict[str, str]:
    """The code that makes the rows, the user's own files included."""
    files = [name.rpartition(":")[0] for name in (*settings.sources, *settings.activations) if ".py:" in name]
    own = {f"checksum of {file}": checksum(Path(file).read_bytes()) for file in files}
    return code_and_libraries() | own
