"""The bug zoo: bugs that people write in backpropagation, each a gradient source.

`Backprop` computes the right gradient in small steps. A bug is a function with the name of the step that it replaces.
A bug that people make in cost and gradient alike is in both here, too.
"""

# A family's bugs are registered when its module is imported.
from harness.sources.bug_zoo import costs, deltas, forward, layouts, means  # noqa: F401
from harness.sources.bug_zoo.planting import BUGS, Bug, pipeline_with

__all__ = ["BUGS", "Bug", "pipeline_with"]
