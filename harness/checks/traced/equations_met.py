"""The equations of a program: what each met, where derivatives end, where NaN begins, and each one by itself.

An equation by itself is a function of its operands, with the cotangents that reach it. NaN most often comes from the
branch that `jnp.where` does not choose: its slope is infinite, and zero times infinity is NaN.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from harness.checks.random_directions import random_directions
from harness.checks.traced.derivative_case import Case
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.traced_programs import equations_in
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.arithmetics.increments import Increment, is_constant
from reference.jax_settings import compiler_options
from reference.traced.eager_run import in_own_types
from reference.traced.equations import Equation, Program, bind, is_key, kind, map_programs
from reference.traced.interpreter import Run
from reference.traced.primitives.calls import CALLS, CUSTOM_RULES
from reference.traced.program_replay import replayed_with_primals
from reference.traced.rule_origins import NOWHERE, Place, frames_of, is_rule_of_jax, line_of, owner_of_file

KEPT = 3
"""An equation in a loop is met many times; its first operands and the last ones are kept."""

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


def meet_equations(case: Case) -> Met:
    """Run the program along random directions, and keep what its equations meet.

    Few inputs also all grow, or all shrink: that shows a kink of the least of several.
    """
    run, along = _MeetingRun(trusted=case.trusted), random_directions(1, case.inputs.size, case.seed)
    if not case.is_large:
        along = np.concatenate([along, -along, np.abs(along), -np.abs(along)])
    with np.errstate(all="ignore"):
        changes = case.at_point().changes(along, run)
    operands = {eq: met for eq, met in run.operands.items() if not case.trusted(eq)}
    return Met(operands, tuple(run.constant), along, changes)


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
        is_ended = not (self.ignores_stop_gradient or is_within or all(map(is_constant, operands)))
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
            owner = owner_of_file(frame.file_name)
            if owner != "jax":
                if owner == "own":
                    yield Place(called, frame.file_name, frame.line_num)
                called = ""
                break
            path = Path(frame.file_name)
            called = called if {path.stem, path.parent.name} & PLUMBING else frame.function_name


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


@np.errstate(all="ignore")
def _origin(mode: Mode) -> _Origin | None:
    for rounds in (False, True):  # what is finite in float64 may overflow in its own type
        run = _OriginRun(rounds_to_types=rounds)
        for y in mode.results_of_ones(run):
            if origin := run.of(y):
                return origin
    return None


# -- one equation by itself -------------------------------------------------------------------------------------------

SHIFT = 1e-3
"""What the rule returns is also shifted by this share, since a cotangent may be zero by chance, as at a minimum."""


class LoneEquation(NamedTuple):
    """An equation as a function of those operands that depend on f's arguments."""

    given: list[Any]
    moving: list[int]  # the operands that it is a function of
    kept: list[int]  # the outputs that it returns
    apply: Callable[..., list[Any]]


def count_closed_over(equation: Equation) -> int:
    """How many operands of a custom rule are arrays that its function closes over."""
    return equation.params.get("num_consts", 0) if equation.name in CUSTOM_RULES else 0


@np.errstate(all="ignore")  # what overflows in its type is infinite there
def isolate(equation: Equation, met: Sequence[Increment]) -> LoneEquation:
    """An equation by itself, at operands that it met."""
    given = [x.value if is_key(x.value) else np.asarray(x.value).astype(t) for x, t in zip(met, equation.input_dtypes)]
    moving = [i for i, x in enumerate(given) if not is_constant(met[i]) and kind(x.dtype) in ("f", "c") and x.size]
    kept = [i for i, t in enumerate(equation.dtypes) if t is not None and kind(t) in ("f", "c")]
    first = count_closed_over(equation)

    def apply(*changing: Any) -> list[Any]:
        changed = {equation.inputs[i]: x for i, x in zip(moving, changing)}
        outputs = bind(equation, [*given[:first], *map(changed.get, equation.inputs[first:], given[first:])])
        return [outputs[i] for i in kept]

    return LoneEquation(given, moving, kept, apply)


# -- cotangents ------------------------------------------------------------------------------------------------------


def reaching_cotangents(case: Case, equation: Equation) -> list[np.ndarray]:
    """The cotangents of an equation's floating outputs, for random cotangents of f's.

    They are pulled back through the rest of the program by JAX, without any custom rule. An entry is zero only by the
    program's structure: where it is masked, multiplied by zero, or behind a stop_gradient.
    """
    (weights,) = zip(*case.outputs.arrays(random_directions(1, case.outputs.size, case.seed), conjugate=True))
    rng = np.random.default_rng(case.seed)
    shapes = [(s, t) for s, t in zip(equation.shapes, equation.dtypes) if t is not None and kind(t) in ("f", "c")]
    shifts = [(SHIFT * rng.choice([-1.0, 1.0], s)).astype(t) for s, t in shapes]

    def pull_back(leaves: Sequence[Any], shifts: Sequence[Any]) -> Sequence[Any]:
        def results(*changes: Any) -> list[Any]:
            return replayed_with_primals(_shifted(case.program, equation, shifts, changes))(*leaves)

        return jax.vjp(results, *(jnp.zeros_like(x) for x in shifts))[1](list(weights))

    pull = jax.jit(pull_back, compiler_options=compiler_options())
    found = [list(map(np.asarray, pull(case.leaves, [share * x for x in shifts]))) for share in (0, 1)]
    here, beside = ([np.where(np.isfinite(c), c, 0.0) for c in each] for each in found)
    return [np.where(a == 0.0, b, a) for a, b in zip(here, beside)]


def _shifted(program: Program, equation: Equation, shifts: Sequence[Any], changes: Sequence[Any]) -> Program:
    """The program with changes added to what one equation returns, wherever that stands."""

    def replay(eq: Equation, operands: list[Any], run: Callable[..., list[Any]], inlined: Any) -> list[Any]:
        added, found = zip(shifts, changes), run(eq.primal, *operands)
        return [
            _add(y, *next(added)) if t is not None and kind(t) in ("f", "c") else y for y, t in zip(found, eq.dtypes)
        ]

    def changed(value: Program) -> Program:
        equations = [
            replace(eq, primitive=replace(eq.primitive, replay=replay))
            if eq is equation
            else replace(eq, params={key: map_programs(param, changed) for key, param in eq.params.items()})
            for eq in value.equations
        ]
        return replace(value, equations=tuple(equations))

    return changed(program)


def _add(y: Any, shift: Any, change: Any) -> Any:
    return y + shift * jax.lax.stop_gradient(jnp.maximum(1.0, jnp.abs(y)).astype(y.dtype)) + change
