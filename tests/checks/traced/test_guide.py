"""The guide's table of primitives is that of the interpreter; HARNESS_RENEW_GOLDEN=1 writes it anew."""

import os
from pathlib import Path

from reference.traced.bounding.running import BOUNDS

from reference.traced.primitives import (
    branching,
    contracting,
    control_flow,
    elementwise,
    linear_algebra,
    moving,
    reducing,
)

GUIDE = Path(__file__).parents[3] / "docs" / "traced.md"
MARK = "<!-- the table of primitives, made by tests/checks/traced/test_guide.py -->\n"

KINDS = {
    "exact: entry by entry": elementwise.RULES,
    "exact: compare, choose, convert": branching.RULES,
    "exact: move entries": moving.RULES,
    "exact: fold and sort": reducing.RULES,
    "exact: products and transforms": contracting.RULES,
    "by the perturbed equation": linear_algebra.RULES,
    "run what is inside": control_flow.RULES,
    "of all these, with a derived bound on rounding": BOUNDS,
}


def table() -> str:
    rows = [f"| {what} | {' '.join(f'`{name}`' for name in sorted(rules))} |" for what, rules in KINDS.items()]
    return "\n".join(["", "| how | primitives |", "|---|---|", *rows, ""])


def test_the_table_of_primitives_is_the_interpreters():
    before, mark, written = GUIDE.read_text().partition(MARK)
    assert mark, "the guide has no place for the table"
    if os.environ.get("HARNESS_RENEW_GOLDEN") == "1":
        GUIDE.write_text(before + mark + table())
    assert written == table()
