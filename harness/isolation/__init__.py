"""Code that nobody vouches for, run in a process of its own.

    with Worker("homework/smith.py", timeout=5.0) as worker:
        loaded = worker.load()                                     # runs the file
        outcome = worker.call("cost_and_gradient", problem, theta)
        if outcome.kind == "answered":
            cost, gradient = outcome.value
        else:
            print(outcome.why)          # "raised ZeroDivisionError: division by zero (smith.py, line 7, in loss: ...)"

`Worker` starts a process, calls by name what a file or module defines, as often as wanted, and answers an `Outcome`
each time: what came back, or why nothing did. An endless loop, a crash, `os._exit` or too much memory end that process
and no other; the next call starts a new one. What is printed is kept apart. It works in an empty folder of its own.

Arguments are pickled, for the child may trust its parent. Answers are not: they come back as JSON and raw bytes, read
with limits, as plain values and NumPy arrays (`harness.isolation.values`). This contains accidents. It is no jail: the
code runs with the rights of whoever started it, and can read and delete their files, unless it is in a `Sandbox`.

Each process takes about a quarter of a second to start. Two threads may use two workers at the same time.
"""

from harness.isolation.limits import Sandbox
from harness.isolation.process import Outcome, Place
from harness.isolation.values import Foreign
from harness.isolation.worker import Worker

__all__ = ["Foreign", "Outcome", "Place", "Sandbox", "Worker"]
