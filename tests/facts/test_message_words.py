"""How messages read: two short sentences in the field's words, with no part missing."""

import re

import numpy as np
import pytest

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.message_table import TABLE, explain, say
from harness.facts.row import in_words

LONGEST_SENTENCE = 30
"""Words. Places and numbers count as words here, so a message may have a few more than the 20 of its own."""

PRIVATE = re.compile(
    r"\b(told|tells|asked|claim(s|ed)?|excuses?|seams?|error bars?|at odds|truths?|misconduct|vague|treads?)\b"
)
"""Words that only this project used in its own sense."""

EXECUTED = {kind: row for kind, row in TABLE.items() if re.search(r"^report = ", row.example, re.MULTILINE)}


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+(?=\S)", text.strip()) if part]


@pytest.mark.parametrize("kind", TABLE)
def test_a_row_has_no_private_words_and_all_of_it_is_explained(kind: Kind):
    row = TABLE[kind]
    message = row.message if isinstance(row.message, str) else ""
    for words in (row.meaning, row.cause, row.advice, row.example, message):
        assert not PRIVATE.search(words), words
    assert all(part in explain(kind) for part in (kind, row.meaning, row.cause, row.advice))


TEMPLATES = {kind: row.message for kind, row in TABLE.items() if isinstance(row.message, str)}


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_template_is_filled_in_from_data_alone(kind: Kind):
    template = TEMPLATES[kind]
    names = {name for name in re.findall(r"{(\w+)", template) if name != "where"}
    text = in_words(template, Fact(kind, where=("a", "b"), data=dict.fromkeys(names, 2)))
    assert "{" not in text
    assert len(sentences(text)) <= 2


@pytest.mark.more
@pytest.mark.parametrize("kind", EXECUTED)
def test_the_message_of_an_example_reads_well(kind: Kind):
    scope: dict = {}
    with np.errstate(all="ignore"):
        exec(EXECUTED[kind].example, scope)
    report = scope["report"]
    facts = report.every_fact() if hasattr(report, "every_fact") else report.reasons
    text = next(say(fact).removesuffix(f" [{kind}]") for fact in facts if fact.kind == kind)
    assert len(sentences(text)) <= 2, text
    assert all(len(sentence.split()) <= LONGEST_SENTENCE for sentence in sentences(text)), text
    assert text.endswith((".", "?"))
    assert not PRIVATE.search(text), text
    assert not re.search(r"\bNone\b|[{}]|\(\)|  ", text), text
