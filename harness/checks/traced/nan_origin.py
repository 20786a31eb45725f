"""Where NaN comes from that no rule by itself is to blame for: the operation that makes it of finite numbers.

The one that is met most often is the slope of a branch that `jnp.where` does not choose: zero times infinity is NaN.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from harness.checks.traced.derivative_case import Check
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.traced_programs import equations_in
from reference.arithmetics.increments import Increment
from reference.traced.equations import Equation, is_key
from reference.traced.interpreter import Run
from reference.traced.rule_origins import NOWHERE, Place, line_of

CHOSEN = "; what jnp.where does not choose needs a finite slope as well: choose the argument first, and then the value"


class Origin(NamedTuple):
    """An operation, and the user's line that it comes from."""

    name: str
    line: Place


class Origins(Run):
    """A run that knows, of every number that is not finite, what has made it of finite numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._of: dict[int, tuple[Increment, Origin]] = {}  # with the number, lest another has its id
        self._within: list[Equation] = []

    def of(self, x: Increment) -> Origin | None:
        """Where this comes from; None where all is finite, or was given."""
        known = self._of.get(id(x))
        return known[1] if known else None

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        before = len(self._of)
        self._within.append(equation)
        outputs = super().equation(equation, operands)
        within = [origin for _, origin in list(self._of.values())[before:]]  # of loops, which put steps together anew
        for y in outputs:
            if self.of(y) is None and not (is_key(y.value) or np.isfinite(y.value).all()):
                known = [origin for x in operands if (origin := self.of(x))] or within
                self._of[id(y)] = y, known[0] if known else Origin(equation.name, self._line())
        self._within.pop()
        return outputs

    def _line(self) -> Place:
        """The line of what runs now, or of what is around it: what JAX traces apart has none of the user's."""
        return next((line for eq in reversed(self._within) if (line := line_of(eq)) != NOWHERE), NOWHERE)


def where_not_finite(check: Check) -> str:
    """The line whose operation makes what JAX answers NaN or infinite, in words; empty where nothing is."""
    odd = {name for pair in check.pairs if pair.disagrees for name in (pair.first, pair.second)}
    odd &= {answer.name for answer in check.answers if not np.isfinite(answer.gradient).all()}
    origins = [origin for mode in check.asked if mode.name in odd and (origin := _origin(mode))]
    name, line = origins[0] if origins else Origin("", NOWHERE)
    if line == NOWHERE:
        return ""
    chosen = (line_of(eq) for eq in equations_in(check.truth.program) if eq.raw.params.get("name") == "_where")
    return f"it begins with {name}, of {line}" + (CHOSEN if any(c[:2] == line[:2] for c in chosen) else "")


@np.errstate(all="ignore")
def _origin(mode: Mode) -> Origin | None:
    run = Origins()
    return next((origin for y in mode.results_of_ones(run) if (origin := run.of(y))), None)
