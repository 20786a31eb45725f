"""The bug zoo: bugs that people write in backpropagation, each a gradient source.

`Backprop` computes the right gradient in small steps. A row of a table names a bug, says what is wrong, and replaces
one step. A bug that people make in cost and gradient alike is in both here, too.
"""

from harness.sources.bug_zoo.bugs_of_costs import COSTS, FORWARD
from harness.sources.bug_zoo.bugs_of_gradients import DELTAS, LAYOUTS, MEANS
from harness.sources.bug_zoo.planting import Bug, pipeline_with

BUGS: dict[str, Bug] = {bug.name: bug for bug in (*COSTS, *DELTAS, *FORWARD, *LAYOUTS, *MEANS)}

__all__ = ["BUGS", "Bug", "pipeline_with"]
