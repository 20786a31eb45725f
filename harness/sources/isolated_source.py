"""A gradient source in a process of its own, so that an endless loop or a crash is a failure like others."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.isolation import Foreign, Outcome, Worker
from harness.isolation.limits import ENDINGS
from harness.named_objects import import_attribute, is_file
from harness.sources.source_table import Source, SourceFailed
from reference.activations import Activation
from reference.measured import NotApplicable
from reference.network import Network
from reference.problem import Problem


class Isolated:
    """``module:function`` or ``file.py:function`` as ``source(problem, theta)``, called in another process.

    What it prints goes to stderr. Its module is not imported here. Networks may have activations of one's own, by their
    ``module:attribute``: the other process imports them. A call may take `timeout` seconds; it raises SourceFailed when
    no answer comes. After `ENDINGS` processes it is not called any more.
    """

    def __init__(self, name: str, timeout: float, activations: Mapping[str, Activation]):
        self.spelled = name
        target, _, self._attribute = name.rpartition(":")
        if not is_file(target) and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))  # modules of the current folder are found, too
        prepare = [("harness.named_objects:import_attribute", (spelled,)) for spelled in activations]
        self._worker = Worker(target, timeout=timeout, prepare=prepare)
        self._own = [(f, _Spelled(**vars(f), spelled=spelled)) for spelled, f in activations.items()]
        self._endings = 0
        self._last = Outcome("answered")

    def __call__(self, problem: Problem, theta: Any) -> Any:
        if self._endings >= ENDINGS:
            raise SourceFailed(f"source {self.spelled!r} is not called any more: it {self._last.why}")
        outcome = self._last = self._worker.call(self._attribute, self._sent(problem), theta)
        sys.stderr.write(outcome.stdout + outcome.stderr)
        if outcome.error == NotApplicable.__name__:
            raise NotApplicable(outcome.what.removeprefix(f"{outcome.error}: "))
        if outcome.kind != "answered":
            # an exception costs nothing and may come each time; a process that has to be started anew costs seconds
            has_ended = outcome.kind in ("died", "timed out") or (outcome.kind == "exited" and not outcome.error)
            self._endings += has_ended
            raise SourceFailed(f"source {self.spelled!r} {outcome.why}")
        if 1 in outcome.changed and np.shape(outcome.changed[1]) == np.shape(theta):
            theta[...] = outcome.changed[1]  # as it would be without a process between
        parts = outcome.value if isinstance(outcome.value, tuple) else (outcome.value,)
        if foreign := [type(part).__name__ for part in parts if isinstance(part, Foreign)]:
            raise SourceFailed(f"source {self.spelled!r} must answer numbers, but answered a {foreign[0]}")
        return outcome.value

    def _sent(self, problem: Problem) -> Problem:
        """The problem with activations of one's own as the other process can import them."""
        network = problem.network
        hidden = [next((spelled for own, spelled in self._own if own is f), f) for f in network.hidden]
        sent = Network(network.sizes, hidden, network.output.name)
        return Problem(sent, problem.X, problem.Y, problem.l2)


@dataclass(frozen=True, eq=False, repr=False)
class _Spelled(Activation):
    """An activation that is pickled by how the command line spells it, whether or not it is registered here.

    A record of one's own cannot be pickled otherwise: its functions are mostly lambdas.
    """

    spelled: str = field(kw_only=True)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return imported_as, (self.spelled, self.name)


def imported_as(spelled: str, name: str) -> Activation:
    """The activation that ``module:attribute`` spells, under the name that it has in the first process."""
    f = import_attribute(spelled)
    return f if f.name == name else replace(f, name=name)


def isolated_source(name: str, timeout: float, activations: Mapping[str, Activation]) -> Source:
    """The source of that name, which is not imported here; it has a family of its own."""
    return Source(name, name, Isolated(name, timeout, activations))
