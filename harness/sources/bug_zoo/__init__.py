"""The bug zoo: bugs that people write in backpropagation, each a gradient source.

`Backprop` computes the right gradient in small steps; a bug replaces the step that it is named like, and nothing else.
Where the bug would be in the cost as well, the cost is wrong in the same way, as it would be in the field.
"""

# A family's bugs are registered when its module is imported.
from harness.sources.bug_zoo import costs, deltas, forward, means, program, regulariser, theta_layout
from harness.sources.bug_zoo.planting import BUGS, Bug, pipeline_with

FAMILIES = (regulariser, means, costs, forward, deltas, theta_layout, program)

__all__ = ["BUGS", "FAMILIES", "Bug", "pipeline_with"]
