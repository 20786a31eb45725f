"""Every example of the messages about derivatives produces the fact that it stands for."""

import pytest

from harness.facts import derivative_messages, rule_messages
from harness.facts.message_table import TABLE, explain, say

ROWS = derivative_messages.ROWS | rule_messages.ROWS
RUNNING = [kind for kind, row in ROWS.items() if not row.example.startswith("#")]


@pytest.mark.parametrize("kind", RUNNING)
def test_the_example_of_a_row_makes_a_report_with_its_kind(kind):
    found = {}
    exec(TABLE[kind].example, found)
    facts = [fact for fact in found["report"].every_fact() if fact.kind == kind]
    assert facts, found["report"].kinds
    assert say(facts[0]).endswith(f"[{kind}]")
    assert str(kind) in explain(kind)
