"""The guide's table of primitives is that of the interpreter; HARNESS_RENEW_GOLDEN=1 writes it anew."""

import os
from pathlib import Path

import jax
import pytest

from reference.traced.primitives import FAMILIES, PRIMITIVES

GUIDE = Path(__file__).parents[3] / "docs" / "traced.md"
MARK = "<!-- the table of primitives, made by tests/checks/traced/test_guide.py -->\n"


def table() -> str:
    kinds = {family: [p.name for p in records if p.rule] for family, records in FAMILIES.items()}
    kinds["of all these, with a derived bound on rounding"] = [name for name, p in PRIMITIVES.items() if p.bound]
    rows = [f"| {what} | {' '.join(f'`{name}`' for name in sorted(names))} |" for what, names in kinds.items()]
    return "\n".join(["", "| how | primitives |", "|---|---|", *rows, ""])


@pytest.mark.skipif(jax.__version_info__ >= (0, 12), reason="this JAX has other primitives than the guide's")
def test_the_table_of_primitives_is_the_interpreters():
    before, mark, written = GUIDE.read_text().partition(MARK)
    assert mark, "the guide has no place for the table"
    if os.environ.get("HARNESS_RENEW_GOLDEN") == "1":
        GUIDE.write_text(before + mark + table())
    assert written == table()
