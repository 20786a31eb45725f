"""The table of messages: the only place where facts become sentences.

`say` is for what prints, draws or writes. Nothing that decides reads what it returns. The messages stand in the modules
of their rooms. What a kind means, a common cause, an example and advice stand in the page docs/messages.md.
"""

import re
import textwrap
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from harness.facts import (
    activation_messages,
    derivative_messages,
    drop_in_messages,
    function_messages,
    homework_messages,
    network_messages,
    relation_messages,
    verdict_messages,
)
from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.templates import Message, in_words

MESSAGES: Mapping[Kind, Message] = (
    verdict_messages.MESSAGES
    | relation_messages.MESSAGES
    | network_messages.MESSAGES
    | function_messages.MESSAGES
    | activation_messages.MESSAGES
    | derivative_messages.MESSAGES
    | drop_in_messages.MESSAGES
    | homework_messages.MESSAGES
)
"""One message for each kind."""

OF_A_MATRIX = {
    "Jacobian": {"gradient": "Jacobian", "cost": "value"},
    "Hessian": {"gradient": "Hessian", "cost": "gradient"},
}
"""What stands in the place of a gradient and of a cost where a matrix is checked, by the `matrix` of a fact's data."""


def say(fact: Fact) -> str:
    """The fact as at most two sentences, and its kind in brackets, which `explain` expands."""
    return f"{say_plainly(fact)} [{fact.kind}]"


def say_plainly(fact: Fact) -> str:
    """The same without its kind, for students, who look nothing up."""
    message = MESSAGES[fact.kind]
    text = in_words(message, fact) if isinstance(message, str) else message(fact)
    if names := OF_A_MATRIX.get(fact.data.get("matrix", "")):
        text = re.sub(r"\b(gradient|cost)\b", lambda found: names[found[0]], text)
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."  # some end in the message of an error


# -- what a kind means -------------------------------------------------------------------------------------------------

_HERE = Path(__file__)
_PLACES = (_HERE.with_name("messages.md"), _HERE.parents[2] / "docs" / "messages.md")  # in a wheel; in a clone

_ENTRY = re.compile(
    r"### (?P<kind>\S+)\n\n(?P<meaning>.+)\n\nA common cause: (?P<cause>.+)\n\n"
    r"```\w+\n(?P<example>(?s:.+?))\n```\n\nWhat to do: (?P<advice>.+)\n"
)


class Explanation(NamedTuple):
    """What the page says of a kind.

    Its example is a Python program whose `report`, warning, log entry or error holds the kind; a command line after
    "$ "; or prose after "# ", where it takes files, another process or a device.
    """

    meaning: str
    cause: str
    example: str
    advice: str


@cache
def page() -> str:
    """The page of all kinds, in Markdown."""
    return next(place for place in _PLACES if place.exists()).read_text(encoding="utf-8")


@cache
def sections() -> Mapping[str, Mapping[Kind, Explanation]]:
    """The entries of the page by what they are about."""
    _, *parts = re.split(r"^## (.+)\n", page(), flags=re.MULTILINE)
    return {
        title: {Kind(kind): Explanation(*words) for kind, *words in _ENTRY.findall(part)}
        for title, part in zip(parts[::2], parts[1::2])
    }


@cache
def explanations() -> Mapping[Kind, Explanation]:
    """The entries of the page."""
    return {kind: entry for section in sections().values() for kind, entry in section.items()}


def explain(kind: Kind) -> str:
    """A kind's entry, as text for a terminal."""
    entry = explanations()[kind]
    example = textwrap.indent(entry.example, "    ")
    return (
        f"{kind}\n\nWhat it means: {entry.meaning}\n\nA common cause: {entry.cause}\n\n"
        f"An example:\n\n{example}\n\nWhat to do: {entry.advice}\n"
    )


class FactError(ValueError):
    """An error about a fact, for callers that cannot go on.

    Attributes
    ----------
    fact : Fact
        What is wrong. Programs read its kind and data.
    before : str
        What the message begins with, such as the name of the file.
    """

    def __init__(self, fact: Fact, before: str = ""):
        super().__init__(fact, before)  # both, so that it can be pickled
        self.fact, self.before = fact, before

    def __str__(self) -> str:
        return f"{self.before}{say(self.fact)}"
