"""The table of messages: a row for each kind, in plain words."""

import re

import numpy as np
import pytest

from harness.facts import message_table
from harness.facts.fact import Fact, Severity, doubt, kinds_of, note, wrong
from harness.facts.kinds import Kind
from harness.facts.message_table import TABLE, explain, say
from harness.facts.row import Row, in_words

LONGEST_SENTENCE = 30
"""Words. A message has 20 where it can, but places and numbers count as words here."""

PRIVATE = re.compile(
    r"\b(told|tells|asked|claim(s|ed)?|excuses?|seams?|error bars?|at odds|truths?|misconduct|vague|treads?)\b"
)
"""Words that only this project uses in its own sense."""

EXECUTED = {kind: row for kind, row in TABLE.items() if re.search(r"^report = ", row.example, re.MULTILINE)}
each_row = pytest.mark.parametrize(("kind", "row"), TABLE.items(), ids=list(TABLE))


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+(?=\S)", text.strip()) if part]


def test_every_kind_has_a_row():
    assert set(Kind) - {Kind.PLAIN} == set(TABLE)


def test_a_kind_is_named_for_its_value():
    assert all(kind.value == kind.name.lower().replace("_", "-") for kind in Kind)


@each_row
def test_a_row_has_all_its_words_and_no_private_ones(kind: Kind, row: Row):
    for words in (row.meaning, row.cause, row.advice):
        assert words.endswith((".", "?"))
        assert max(len(sentence.split()) for sentence in sentences(words)) <= LONGEST_SENTENCE
    message = row.message if isinstance(row.message, str) else ""
    for words in (row.meaning, row.cause, row.advice, row.example, message):
        assert not PRIVATE.search(words), words
    assert row.example.strip()
    assert all(part in explain(kind) for part in (kind, row.meaning, row.cause, row.advice))


@each_row
def test_a_template_is_filled_in_from_data_alone(kind: Kind, row: Row):
    if isinstance(row.message, str):
        names = {name for name in re.findall(r"{(\w+)", row.message) if name != "where"}
        text = in_words(row.message, Fact(kind, where=("a", "b"), data=dict.fromkeys(names, 2)))
        assert "{" not in text
        assert len(sentences(text)) <= 2


@pytest.mark.more
@pytest.mark.parametrize("kind", EXECUTED)
def test_an_example_makes_a_report_that_holds_the_kind_and_reads_well(kind: Kind):
    scope: dict = {}
    with np.errstate(all="ignore"):
        exec(EXECUTED[kind].example, scope)
    report = scope["report"]
    facts = report.every_fact() if hasattr(report, "every_fact") else report.reasons
    fact = next((fact for fact in facts if fact.kind == kind), None)
    assert fact, f"\n{report}"
    text = say(fact)
    assert text.endswith(f" [{kind}]")
    told = sentences(text.removesuffix(f" [{kind}]"))
    assert len(told) <= 2, text
    assert all(len(sentence.split()) <= LONGEST_SENTENCE for sentence in told), text
    assert not PRIVATE.search(text)
    assert not re.search(r"\bNone\b|[{}]|\(\)|  ", text), text


def test_a_list_shows_its_first_items_and_a_number_three_digits():
    fact = Fact(Kind.KINK, where=("a", "b", "c", "d"), data={"x": 0.123456, "n": 2, "one": 1})
    assert (
        in_words("{where}: {x}, {n:network}, {one:network}", fact) == "a, b, c and 1 more: 0.123, 2 networks, 1 network"
    )


def test_facts_have_severities_and_compare_by_value():
    facts = [wrong(Kind.SIGN, "a", x=1), doubt(Kind.SIGN, "a", x=1), note(Kind.ZERO), note(Kind.SIGN)]
    assert [fact.severity for fact in facts] == [Severity.WRONG, Severity.DOUBT, Severity.NOTE, Severity.NOTE]
    assert kinds_of(facts) == (Kind.SIGN, Kind.ZERO)
    assert facts[0] == wrong(Kind.SIGN, "a", x=1) != facts[1]


def test_explain_prints_the_whole_row(monkeypatch):
    row = Row("{where}", meaning="It is m.", cause="It is c.", example="one\ntwo", advice="Do a.")
    monkeypatch.setattr(message_table, "TABLE", {Kind.SIGN: row})
    text = message_table.explain(Kind.SIGN)
    assert text.startswith("sign\n")
    assert [part for part in ("It is m.", "It is c.", "    one\n    two", "Do a.") if part not in text] == []
