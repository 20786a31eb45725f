"""The table of messages: the only place where facts become sentences.

`say` is for what prints, draws or writes. Nothing that decides reads what it returns. The messages stand in the modules
of their rooms. What a kind means, a common cause, an example and advice stand in the page docs/messages.md.
"""

import re
import textwrap
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from harness.facts import (
    activation_messages,
    derivative_messages,
    function_messages,
    homework_messages,
    network_messages,
    relation_messages,
    verdict_messages,
)
from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.templates import Message, in_words
from harness.wording import first_few

MESSAGES: Mapping[Kind, Message] = (
    verdict_messages.MESSAGES
    | relation_messages.MESSAGES
    | network_messages.MESSAGES
    | function_messages.MESSAGES
    | activation_messages.MESSAGES
    | derivative_messages.MESSAGES
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

_PLACES = (files("harness.facts") / "messages.md", Path(__file__).parents[2] / "docs" / "messages.md")  # wheel; clone
_AGAIN = "install the package again, or mend docs/messages.md of the repository"

_TEXT = r"(.+(?:\n.+)*)"  # its lines may be wrapped
_ENTRY = re.compile(
    rf"### (\S+)\n\n{_TEXT}\n\nA common cause: {_TEXT}\n\n```\w+\n((?s:.+?))\n```\n\nWhat to do: {_TEXT}"
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
    """The page of all kinds, in Markdown; or a `FileNotFoundError` where it is missing."""
    found = next((place for place in _PLACES if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"the page of messages is in neither {_PLACES[0]} nor {_PLACES[1]}; {_AGAIN}")
    return found.read_bytes().decode(errors="replace").replace("\r\n", "\n")


@cache
def sections() -> Mapping[str, Mapping[Kind, Explanation]]:
    """The entries of the page by what they are about; or a `ValueError` where it lacks that of a kind."""
    _, *parts = re.split(r"^## (.+)\n", page(), flags=re.MULTILINE)
    found: dict[str, dict[Kind, Explanation]] = {title: {} for title in parts[::2]}
    for title, part in zip(parts[::2], parts[1::2]):
        for kind, meaning, cause, example, advice in _ENTRY.findall(part):
            if kind in [*Kind]:
                meaning, cause, advice = (" ".join(text.split()) for text in (meaning, cause, advice))
                found[title][Kind(kind)] = Explanation(meaning, cause, example, advice)
    if missing := [kind for kind in Kind if not any(kind in section for section in found.values())]:
        raise ValueError(f"the page of messages has no whole entry for {first_few(missing, 3)}; {_AGAIN}")
    return found


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
    """An error about a fact, for callers that cannot go on; the message may begin `before` it, with a file's name."""

    def __init__(self, fact: Fact, before: str = ""):
        super().__init__(fact, before)  # both, so that it can be pickled
        self.fact, self.before = fact, before

    def __str__(self) -> str:
        return f"{self.before}{say(self.fact)}"
