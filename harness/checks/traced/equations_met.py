"""Runs that keep what equations met: the operands of each, where derivatives end, and where NaN begins.

NaN most often comes from the branch that `jnp.where` does not choose: its slope is infinite, and zero times infinity
is NaN.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.checks.random_directions import random_directions
from harness.checks.traced.derivative_case import Case
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.traced_programs import equations_in
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.arithmetics.increments import Increment, is_constant
from reference.traced.eager_run import in_own_types
from reference.traced.equations import Equation, Program, is_key
from reference.traced.interpreter import Run
from reference.traced.primitives.calls import CALLS, CUSTOM_RULES
from reference.traced.rule_origins import NOWHERE, Place, first_line_of, frames_of, is_rule_of_jax, line_of, whose

KEPT = 3
"""An equation in a loop is met many times; its first operands and the last ones are kept."""

NO_DERIVATIVE = {
    "stop_gradient", "argmax", "argmin", "argsort", "round", "rint", "floor", "ceil", "trunc", "sign", "astype",
}  # fmt: skip
"""Functions whose results do not change with their arguments, or jump."""

PLUMBING = {
    "ad", "ad_checkpoint", "api", "array_methods", "batching", "core", "linear_util", "partial_eval", "pjit",
    "source_info_util", "traceback_util", "tree", "tree_util",
}  # fmt: skip
"""Modules of JAX between the function that is called and its caller, whose frames name no function of JAX's API."""

Operands = dict[Equation, list[list[Increment]]]


@dataclass(frozen=True, eq=False)
class Met:
    """What a program met at a point."""

    operands: Operands  # the operands of each equation that no trusted rule stands for, each time that it was met
    constant: tuple[Place, ...]  # the user's lines that end a derivative, by functions of `NO_DERIVATIVE`

    @property
    def has_rules(self) -> bool:
        """Whether a custom rule that is not JAX's was met."""
        return any(eq.name in CUSTOM_RULES and not is_rule_of_jax(eq) for eq in self.operands)


def meet_equations(case: Case) -> Met:
    """Run the program along a random direction, and keep what its equations meet."""
    run = _MeetingRun(trusted=case.trusted)
    with np.errstate(all="ignore"):
        case.at_point().changes(random_directions(1, case.inputs.size, case.seed), run)
    return Met({eq: met for eq, met in run.operands.items() if not case.trusted(eq)}, tuple(run.constant))


class _MeetingRun(Run):
    """A run that keeps the operands of every equation, and the lines that end a derivative."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.operands: Operands = {}
        self.constant: list[Place] = []
        self._within: list[Equation] = []

    def equation(self, equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        if equation.name not in CALLS:
            met = self.operands.setdefault(equation, [])
            if len(met) == KEPT:
                met.pop(1)
            met.append(list(operands))
        self._within.append(equation)
        outputs = super().equation(equation, operands)
        # the equations within a call are looked at by themselves, unless it is one of those functions
        is_within = equation.name in CALLS and equation.params.get("name") not in NO_DERIVATIVE
        is_ended = not (self.looks_through or is_within or all(map(is_constant, operands)))
        if is_ended and (equation.name in NO_DERIVATIVE or all(map(is_constant, outputs))):
            place = equation.once("who ends the derivative", self._who_ends_it)
            if place != NOWHERE and place not in self.constant:
                self.constant.append(place)
        self._within.pop()
        return outputs

    def _who_ends_it(self) -> Place:
        """The user's line that calls a function without a derivative, for the equation that runs now."""
        calls = functions_called(self._within[::-1])
        return next((place for place in calls if place.name in NO_DERIVATIVE), NOWHERE)


def functions_called(equations: Sequence[Equation]) -> Iterator[Place]:
    """The functions of JAX that the user's lines call, for an equation and those around it, the innermost first.

    What JAX traces apart, as under `jax.checkpoint`, has no line of the user's: it has that of what is around it.
    """
    called = ""
    for equation in equations:
        called = called or str(equation.raw.params.get("name", equation.name))
        for frame in frames_of(equation):
            owner = whose(frame.file_name)
            if owner != "jax":
                if owner == "own":
                    yield Place(called, frame.file_name, frame.line_num)
                called = ""
                break
            called = called if Path(frame.file_name).stem in PLUMBING else frame.function_name


# -- where NaN begins -------------------------------------------------------------------------------------------------


class _Origin(NamedTuple):
    """An operation, and the user's line that it comes from."""

    name: str
    line: Place


class _OriginRun(Run):
    """A run that knows, for every number that is not finite, which operation made it of finite numbers."""

    def __init__(self, *, rounds_to_types: bool) -> None:
        super().__init__()
        self._rounds_to_types = rounds_to_types
        self._of: dict[int, tuple[Increment, _Origin]] = {}  # with the number, since ids are used again
        self._within: list[Equation] = []

    def of(self, x: Increment) -> _Origin | None:
        """The origin of a number; None where it is finite, or was given."""
        known = self._of.get(id(x))
        return known[1] if known else None

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        before = len(self._of)
        self._within.append(equation)
        outputs = super().equation(equation, operands)
        if self._rounds_to_types:
            outputs = in_own_types(equation, outputs)
        within = [origin for _, origin in list(self._of.values())[before:]]  # a loop puts its steps together anew
        for y in outputs:
            if self.of(y) is None and not (is_key(y.value) or np.isfinite(y.value).all()):
                known = [origin for x in operands if (origin := self.of(x))] or within
                self._of[id(y)] = y, known[0] if known else _Origin(equation.name, self._line())
        self._within.pop()
        return outputs

    def _line(self) -> Place:
        """The line of what runs now, or of what is around it: what JAX traces apart has no line of the user's.

        Where nobody's line leads to it, as in a function of JAX that is checked itself, the line of JAX.
        """
        lines = (line for eq in reversed(self._within) if (line := line_of(eq)) != NOWHERE)
        return next(lines, first_line_of(self._within[-1]))


def find_nan_origin(program: Program, modes: Sequence[Mode]) -> tuple[Fact, ...]:
    """The line whose operation makes a mode's derivatives NaN or infinite; empty where none does."""
    origins = [origin for mode in modes if (origin := _origin(mode))]
    if not origins or origins[0].line == NOWHERE:
        return ()
    name, line = origins[0]
    choices = (line_of(eq) for eq in equations_in(program) if eq.raw.params.get("name") == "_where")
    in_where = any(choice[:2] == line[:2] for choice in choices)
    return (note(Kind.NAN_ORIGIN, str(line), operation=name, in_where=in_where),)


@np.errstate(all="ignore")
def _origin(mode: Mode) -> _Origin | None:
    for rounds in (False, True):  # what is finite in float64 may overflow in its own type
        run = _OriginRun(rounds_to_types=rounds)
        for y in mode.results_of_ones(run):
            if origin := run.of(y):
                return origin
    return None
