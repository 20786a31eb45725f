"""The table of messages: the only place where facts become sentences.

`say` is for what prints, draws or writes. Nothing that decides reads what it returns.
"""

import re
import textwrap
from collections.abc import Mapping

from harness.facts import (
    activation_messages,
    derivative_messages,
    drop_in_messages,
    function_messages,
    homework_messages,
    network_messages,
    relation_messages,
    rule_messages,
    slope_messages,
    verdict_messages,
)
from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.row import Row, in_words

ROOMS: Mapping[str, Mapping[Kind, Row]] = {
    "Every verdict": verdict_messages.ROWS,
    "Which mistake it is": relation_messages.ROWS,
    "Networks, sources, sweeps and the bug zoo": network_messages.ROWS,
    "Functions with their own gradient": function_messages.ROWS,
    "Activations": activation_messages.ROWS | slope_messages.ROWS,
    "Functions that JAX traces": derivative_messages.ROWS | rule_messages.ROWS,
    "Drop-ins": drop_in_messages.ROWS,
    "Homework": homework_messages.ROWS,
}
"""The rows by what they are about."""

TABLE: Mapping[Kind, Row] = {kind: row for rows in ROOMS.values() for kind, row in rows.items()}
"""One row for each kind."""


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
    message = TABLE[fact.kind].message
    text = in_words(message, fact) if isinstance(message, str) else message(fact)
    if names := OF_A_MATRIX.get(fact.data.get("matrix", "")):
        text = re.sub(r"\b(gradient|cost)\b", lambda found: names[found[0]], text)
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."  # some end in the message of an error


def explain(kind: Kind) -> str:
    """A kind's row, as text for a terminal."""
    row = TABLE[kind]
    example = textwrap.indent(row.example, "    ")
    return (
        f"{kind}\n\nWhat it means: {row.meaning}\n\nA common cause: {row.cause}\n\n"
        f"An example:\n\n{example}\n\nWhat to do: {row.advice}\n"
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
