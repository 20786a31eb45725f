"""The table of messages: every kind has one row, whose words are short and whose example shows the kind."""

import re

import pytest

from harness.facts import message_table
from harness.facts.fact import Severity, doubt, kinds_of, note, wrong
from harness.facts.kinds import Kind
from harness.facts.row import Row, in_words

KINDS = list(Kind)
RUNNABLE = [kind for kind, row in message_table.TABLE.items() if not row.example.startswith(("# ", "$ "))]


def test_every_kind_has_one_row():
    rows = [kind for room in message_table.ROOMS.values() for kind in room]
    assert sorted(rows) == sorted(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_says_everything_in_a_few_plain_sentences(kind):
    row = message_table.TABLE[kind]
    for text in (row.meaning, row.cause, row.advice):
        assert re.fullmatch(r"[^\s].*[.!?)]", text), text
        assert max(len(sentence.split()) for sentence in re.split(r"(?<=[.!?]) ", text)) <= 25, text
    if isinstance(row.message, str):
        assert len(re.findall(r"[.!?](?= |$)", row.message)) <= 2, row.message
    assert row.example.strip() == row.example != ""
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", kind)


@pytest.mark.more
@pytest.mark.parametrize("kind", RUNNABLE)
def test_the_example_of_a_row_produces_its_kind_and_the_message_ends_in_it(kind):
    scope = {}
    exec(message_table.TABLE[kind].example, scope)
    report = scope["report"]
    if report is None:
        pytest.skip("the example makes no report")
    facts = report.every_fact() if hasattr(report, "every_fact") else report.reasons
    (fact, *_) = [fact for fact in facts if fact.kind == kind] or [None]
    assert fact is not None, report
    assert message_table.say(fact).endswith(f"[{kind}]")


def test_a_template_shows_numbers_lists_and_counts():
    fact = note(Kind.SIGN, "a", "b", "c", "d", x=1234.5678, networks=2, names=["p", "q"])
    assert in_words("{where} {x} {networks:network} {names} {x:.1f}", fact) == (
        "a, b, c and 1 more 1.23e+03 2 networks p, q 1234.6"
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
