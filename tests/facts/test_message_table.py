"""The table of messages: one row for each kind, in a few plain words, whose example shows the kind."""

import re

import numpy as np
import pytest

from harness.facts import message_table
from harness.facts.fact import Fact, Severity, doubt, kinds_of, note, wrong
from harness.facts.kinds import Kind
from harness.facts.message_table import TABLE, explain, say
from harness.facts.row import Row, in_words

LONGEST_SENTENCE = 30
"""Words. Places and numbers count as words here, so a message may have a few more than the 20 of its own."""

PRIVATE = re.compile(
    r"\b(told|tells|asked|claim(s|ed)?|excuses?|seams?|error bars?|at odds|truths?|misconduct|vague|treads?)\b"
)
"""Words that only this project used in its own sense."""

RUNNABLE = [kind for kind, row in TABLE.items() if re.search(r"^report = ", row.example, re.MULTILINE)]


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+(?=\S)", text.strip()) if part]


def test_every_kind_has_one_row():
    rows = [kind for room in message_table.ROOMS.values() for kind in room]
    assert sorted(rows) == sorted(Kind)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_row_says_everything_in_a_few_plain_sentences(kind):
    row = TABLE[kind]
    for text in (row.meaning, row.cause, row.advice):
        assert re.fullmatch(r"[^\s].*[.!?)]", text), text
        assert max(len(sentence.split()) for sentence in sentences(text)) <= 25, text
        assert text in explain(kind)
    assert row.example.strip() == row.example != ""
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", kind)
    message = row.message if isinstance(row.message, str) else ""
    assert not PRIVATE.search(" ".join((row.meaning, row.cause, row.advice, row.example, message)))
    data = {name: 2 for name in re.findall(r"{(\w+)", message) if name != "where"}
    filled = in_words(message, Fact(kind, where=("a", "b"), data=data))
    assert "{" not in filled
    assert len(sentences(filled)) <= 2


@pytest.mark.more
@pytest.mark.parametrize("kind", RUNNABLE)
def test_the_example_of_a_row_makes_its_kind_and_the_message_reads_well(kind):
    scope = {}
    with np.errstate(all="ignore"):
        exec(TABLE[kind].example, scope)
    report = scope["report"]
    facts = report.every_fact() if hasattr(report, "every_fact") else report.reasons
    (fact, *_) = [fact for fact in facts if fact.kind == kind] or [None]
    assert fact is not None, report
    text = say(fact)
    assert text.endswith((f". [{kind}]", f"? [{kind}]")), text
    text = text.removesuffix(f" [{kind}]")
    assert len(sentences(text)) <= 2, text
    assert all(len(sentence.split()) <= LONGEST_SENTENCE for sentence in sentences(text)), text
    assert not PRIVATE.search(text), text
    assert not re.search(r"\bNone\b|[{}]|\(\)|  ", text), text


def test_a_template_shows_numbers_lists_and_counts():
    fact = note(Kind.SIGN, "a", "b", "c", "d", x=1234.5678, networks=2, names=["p", "q"])
    assert in_words("{where} {x} {networks:network} {names} {x:.1f}", fact) == (
        "a, b, c and 1 more 1.23e+03 2 networks p, q 1234.6"
    )


ANOTHER_VALUE = {"how": "batched", "value": 1.0, "otherwise": 2.0}
OPTIONAL = {  # what is said where data are there, and nowhere else
    "does it: a.py:3": (Kind.VALUE_DEPENDS_ON_RUN, ANOTHER_VALUE, {"rule": "f_bwd", "place": "a.py:3"}),
    "on the outputs added up": (Kind.COMPARED_DERIVATIVE, {"outputs": "", "beside": ""}, {"outputs": "outputs"}),
}


@pytest.mark.parametrize("said", OPTIONAL)
def test_a_part_is_said_where_it_is_known(said):
    kind, data, more = OPTIONAL[said]
    assert [said in say(note(kind, "f", **known)) for known in (data, data | more)] == [False, True]


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
