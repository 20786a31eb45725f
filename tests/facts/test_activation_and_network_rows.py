"""Rows of the messages about activations and networks: each example shows its kind, in at most two sentences."""

import numpy as np
import pytest

from harness.facts import activation_messages, network_messages, slope_messages
from harness.facts.message_table import say

ROWS = activation_messages.ROWS | slope_messages.ROWS | network_messages.ROWS
RUN = [kind for kind, row in ROWS.items() if not row.example.startswith(("#", "$"))]
EVERY = 4
"""One example of so many is run by `make test`, and the others by `make test-more`."""


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.more] if i % EVERY else []) for i, kind in enumerate(RUN)]
)
def test_an_example_shows_its_kind(kind):
    names = {}
    with np.errstate(all="ignore"):
        exec(compile(ROWS[kind].example, kind, "exec"), names)
    found = [fact for fact in names["report"].every_fact() if fact.kind == kind]
    assert found
    text = say(found[0])
    assert text.endswith(f" [{kind}]")
    assert text.removesuffix(f" [{kind}]").count(". ") <= 1


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_has_a_meaning_a_cause_and_advice(kind):
    row = ROWS[kind]
    assert all(part.endswith(".") for part in (row.meaning, row.cause, row.advice))
    assert all(len(part.split()) <= 40 for part in (row.meaning, row.cause, row.advice))
