"""A fact: what a check found, as a kind with a severity, places and numbers, and no sentence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from harness.facts.kinds import Kind


class Severity(StrEnum):
    """What a fact does to a verdict: "wrong" makes it disagree, "doubt" keeps it from agreeing, "note" does neither."""

    WRONG = "wrong"
    DOUBT = "doubt"
    NOTE = "note"


@dataclass(frozen=True)
class Fact:
    """One thing that a check found.

    Attributes
    ----------
    kind : Kind
        What it is. The table of messages (`harness.facts.message_table`) has its words.
    severity : Severity
    where : tuple of str
        Coordinates, blocks, sources or ``file:line``, the most telling first.
    data : mapping
        The numbers and names that the message needs, JSON-ready.
    """

    kind: Kind
    severity: Severity = Severity.NOTE
    where: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def __reduce__(self):
        return Fact, (self.kind, self.severity, self.where, dict(self.data))  # a mapping proxy cannot be pickled


def to_document(fact: Fact) -> dict[str, Any]:
    """A fact as JSON takes it."""
    return {"kind": str(fact.kind), "severity": str(fact.severity), "where": list(fact.where), "data": dict(fact.data)}


def from_document(document: Mapping[str, Any]) -> Fact:
    """The fact of `to_document`.

    Raises a ValueError for a kind or a severity that there is not.
    """
    kind, severity = Kind(document["kind"]), Severity(document["severity"])
    return Fact(kind, severity, tuple(document["where"]), document["data"])


def wrong(kind: Kind, *where: str, **data: Any) -> Fact:
    """A fact that makes the verdict "disagree"."""
    return Fact(kind, Severity.WRONG, where, data)


def doubt(kind: Kind, *where: str, **data: Any) -> Fact:
    """A fact that keeps the verdict from being "agree"."""
    return Fact(kind, Severity.DOUBT, where, data)


def note(kind: Kind, *where: str, **data: Any) -> Fact:
    """A fact that is worth knowing beside the verdict, or that explains it."""
    return Fact(kind, Severity.NOTE, where, data)


def kinds_of(facts: Iterable[Fact]) -> tuple[Kind, ...]:
    """The kinds of some facts, each once, in order."""
    return tuple(dict.fromkeys(fact.kind for fact in facts))
