"""Messages about homeworks."""

from harness.facts.kinds import Kind
from harness.facts.row import Row

ROWS: dict[Kind, Row] = {}
