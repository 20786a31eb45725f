"""The equations of a program: which operands each met, which lines end a derivative, and where NaN begins.

NaN most often comes from the branch that `jnp.where` does not choose. In ``where(x > 0, sqrt(x), 0)`` at 0, the slope
of sqrt is infinite, and its cotangent is zero: zero times infinity is NaN.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.checks.random_directions import random_directions
from harness.checks.traced.derivative_case import Case
from harness.checks.traced.jax_modes import Mode
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.arithmetics.increments import Increment, is_constant
from reference.traced.equations import Equation, Program, equations_in, is_key
from reference.traced.interpreter import Run
from reference.traced.primitives.calls import CALLS, CUSTOM_RULES
from reference.traced.rule_origins import (
    NOWHERE,
    Place,
    carries_rule,
    frames_of,
    is_rule_of_jax,
    line_of,
    owner_of_file,
)
from reference.traced.traced_function import in_own_types

KEPT = 3
"""An equation in a loop is met many times. Its first operands and the last two are kept: a rule that is wrong for small
or for large numbers alone is met by one of them, and each costs a check."""

MOST_WITHIN = 20_000
"""No more equations run to meet the rules within a loop that the check takes as a whole: half a second in NumPy."""

NO_DERIVATIVE = {
    "stop_gradient", "argmax", "argmin", "argsort", "round", "rint", "floor", "ceil", "trunc", "sign", "astype",
}  # fmt: skip
"""Functions whose results do not change with their arguments, or jump."""

PLUMBING = {"_src", "interpreters", "array_methods"}
"""Folders of JAX, and a module, whose functions stand between a function of its API and the caller."""

Operands = dict[Equation, list[list[Increment]]]


@dataclass(frozen=True, eq=False)
class Met:
    """What a program met at a point."""

    operands: Operands  # the operands of each equation that no trusted rule stands for, each time that it was met
    constant: tuple[Place, ...]  # the user's lines that end a derivative, by functions of `NO_DERIVATIVE`
    along: np.ndarray  # (directions, inputs) array: the random directions that the program was run along
    changes: np.ndarray  # (directions, outputs) array: the slopes along them

    @property
    def has_rules(self) -> bool:
        """Whether a custom rule that is not JAX's was met."""
        return any(eq.name in CUSTOM_RULES and not is_rule_of_jax(eq) for eq in self.operands)


def meet_equations(case: Case, *, goes_within: bool = False) -> Met:
    """Run the program along random directions, and keep what its equations meet.

    A loop with a rule around it is taken as a whole. With `goes_within`, its steps run as well, for the rules that they
    call: a solver's own rule differentiates the user's function, and with that function the user's rule.

    Unless they are many, all inputs are also moved up together, and down: max(x, y) at x = y has the slopes 0 and 1 in
    each alone, and 1 along both, which shows that slopes do not add up.
    """
    run = _MeetingRun(goes_within=goes_within, trusted=case.trusted)
    along = random_directions(1, case.inputs.size, case.seed)
    if not case.is_large:
        along = np.concatenate([along, -along, np.abs(along), -np.abs(along)])
    changes = case.at_point().changes(along, run)
    operands = {eq: met for eq, met in run.operands.items() if not case.trusted(eq)}
    return Met(operands, tuple(run.constant), along, changes)


class _EnoughMet(Exception):
    """A run has run as many equations as it may."""


class _MeetingRun(Run):
    """A run that keeps the operands of every equation, and the lines that end a derivative."""

    def __init__(self, *, goes_within: bool, **options: Any) -> None:
        super().__init__(**options)
        self.operands: Operands = {}
        self._goes_within, self._left = goes_within, np.inf
        self.constant: list[Place] = []
        self._within: list[Equation] = []

    def equation(self, equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        self._left -= 1
        if self._left < 0:
            raise _EnoughMet
        if equation.name not in CALLS:
            met = self.operands.setdefault(equation, [])
            if len(met) == KEPT:
                met.pop(1)  # the first one stays
            met.append(list(operands))
        self._within.append(equation)
        outputs = super().equation(equation, operands)
        if self._goes_within and equation.name in CUSTOM_RULES:
            self._meet_rules_within(equation, operands)
        # the equations within a call are looked at by themselves, unless it is a call such as that of jnp.round
        is_seen_within = equation.name in CALLS and equation.params.get("name") not in NO_DERIVATIVE
        may_end = not (self.ignores_stop_gradient or is_seen_within or all(map(is_constant, operands)))
        if may_end and (equation.name in NO_DERIVATIVE or all(map(is_constant, outputs))):
            place = equation.once("who ends the derivative", self._who_ends_it)
            if place != NOWHERE and place not in self.constant:
                self.constant.append(place)
        self._within.pop()
        return outputs

    def _meet_rules_within(self, equation: Equation, operands: Sequence[Any]) -> None:
        """Run the primal of a rule that was taken as a whole, and keep what the rules within it meet."""
        rules = set(filter(carries_rule, equations_in(equation.primal)))
        if rules.isdisjoint(self.operands):
            within = self.altered(operands={}, ignores_stop_gradient=True, _within=[], _left=MOST_WITHIN)
            with suppress(_EnoughMet):
                within(equation.primal, *operands)
            self.operands |= {eq: met for eq, met in within.operands.items() if eq in rules}

    def _who_ends_it(self) -> Place:
        """The user's line that calls a function without a derivative, for the equation that runs now."""
        calls = functions_called(self._within[::-1])
        return next((place for place in calls if place.name in NO_DERIVATIVE), NOWHERE)


def functions_called(equations: Sequence[Equation]) -> Iterator[Place]:
    """The functions of JAX that the user's lines call, for an equation and those around it, the innermost first.

    The frames of an equation lead from its primitive, through functions of JAX, to the user's line. The last function
    of JAX's API before that is what the user has called. What JAX traces apart, as under `jax.checkpoint`, has no line
    of the user's: it has that of what is around it.
    """
    called = ""
    for equation in equations:
        called = called or str(equation.raw.params.get("name", equation.name))
        for frame in frames_of(equation):
            owner = owner_of_file(frame.file_name)
            if owner == "python":  # functools or contextlib, around what the user has called
                continue
            if owner != "jax":
                if owner == "own":
                    yield Place(called, frame.file_name, frame.line_num)
                called = ""
                break
            path = Path(frame.file_name)
            called = called if {path.stem, path.parent.name} & PLUMBING else frame.function_name


# -- where NaN begins -------------------------------------------------------------------------------------------------


class _OriginRun(Run):
    """A run that knows, for every number that is not finite, which operation made it of finite numbers.

    An origin is the operation and the user's line that it comes from.
    """

    def __init__(self, *, rounds_to_types: bool) -> None:
        super().__init__()
        self._rounds_to_types = rounds_to_types
        self._of: dict[
            int, tuple[Increment, tuple[str, Place]]
        ] = {}  # by id, with the number: ids of freed ones are used again
        self._within: list[Equation] = []

    def of(self, x: Increment) -> tuple[str, Place] | None:
        """The origin of a number; None where it is finite, or was given."""
        known = self._of.get(id(x))
        return known[1] if known else None

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        before = len(self._of)
        self._within.append(equation)
        outputs = super().equation(equation, operands)
        if self._rounds_to_types:
            outputs = in_own_types(equation, outputs)
        # a loop stacks the results of its steps to a new array, whose NaN is that of one of the steps
        within = [origin for _, origin in list(self._of.values())[before:]]
        for y in outputs:
            if self.of(y) is None and not (is_key(y.value) or np.isfinite(y.value).all()):
                # NaN of an operand spreads; without such a one, it begins here
                known = [origin for x in operands if (origin := self.of(x))] or within
                self._of[id(y)] = y, known[0] if known else (equation.name, self._line())
        self._within.pop()
        return outputs

    def _line(self) -> Place:
        """The line of what runs now, or of what is around it: what JAX traces apart has no line of the user's."""
        return next((line for eq in reversed(self._within) if (line := line_of(eq)) != NOWHERE), NOWHERE)


def find_nan_origin(program: Program, modes: Sequence[Mode]) -> tuple[Fact, ...]:
    """The operation that makes a mode's derivatives NaN or infinite, with its line if any; empty where none does."""
    origins = [origin for mode in modes if (origin := _origin(mode))]
    if not origins:
        return ()
    name, line = origins[0]
    places = [] if line == NOWHERE else [str(line)]
    choices = (line_of(eq) for eq in equations_in(program) if eq.raw.params.get("name") == "_where")
    in_where = bool(places) and any(choice[:2] == line[:2] for choice in choices)
    return (note(Kind.NAN_ORIGIN, *places, operation=name, in_where=in_where),)


def _origin(mode: Mode) -> tuple[str, Place] | None:
    for rounds in (False, True):  # what is finite in float64 may overflow in its own type
        run = _OriginRun(rounds_to_types=rounds)
        for y in mode.results_of_ones(run):
            if origin := run.of(y):
                return origin
    return None
