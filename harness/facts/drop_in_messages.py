"""Messages about drop_ins."""

from harness.facts.kinds import Kind
from harness.facts.row import Row

ROWS: dict[Kind, Row] = {}
