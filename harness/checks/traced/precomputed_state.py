"""Precomputed state: what a rule is handed under a `stop_gradient` beside what it was computed from.

A solver such as Lineax's is called as

    state = stop_gradient(factorise(A))
    x = solve(A, state, b)              # a rule: the values come from state, the derivative is by A

If A moves and state is held, x does not move at all, and an increment says that its slope in A is 0. So state has to
move with A: its stop_gradient is taken out of the program. Another rule may take a number that its caller wishes to
hold, as a detached weight in a loss, whose stop_gradient has to stay. JAX's own derivative of the rule tells the two
apart: it is close to the increments in which the state moves, or to those in which it is held.

A rule that answers zero whatever it is given is a stop_gradient by another name, as around a callback to the host.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from harness.checks.random_directions import random_directions
from harness.checks.traced.traced_programs import is_read
from reference.arithmetics.increments import STEP, Increment, constant, full_change
from reference.jax_internals import dtype_of, shape_of
from reference.traced.equations import (
    UNUSED,
    Constant,
    Equation,
    Program,
    bind,
    equations_in,
    has_derivatives,
    lifted,
    map_equations,
)
from reference.traced.interpreter import Run
from reference.traced.primitives import PRIMITIVES
from reference.traced.primitives.calls import differences_whole
from reference.traced.rule_origins import is_rule_of_jax
from reference.traced.traced_function import Traced
from reference.traced.trusted_rules import by_its_rule


def _detaches(equation: Equation) -> bool:
    """Whether the derivative rule of a call answers zero whatever it is given, as a stop_gradient does."""
    if not equation.primitive.has_own_rule or is_rule_of_jax(equation):
        return False
    given, returned = (
        [jax.ShapeDtypeStruct(shape_of(v), dtype_of(v)) for v in variables if has_derivatives(dtype_of(v))]
        for variables in (equation.raw.invars, equation.raw.outvars)
    )
    # with arguments that are no floating numbers, nothing is found out
    with suppress(Exception):
        pull = lambda operands, cotangents: jax.vjp(partial(_floating, equation), *operands)[1](cotangents)  # noqa: E731
        program = Traced(pull, given, returned).program
        zeros = [constant(np.zeros(x.shape, x.dtype)) for x in (*given, *returned)]
        return not any(is_read(program)) and not any(np.any(y.value) for y in Run()(program, *zeros))
    return False


def _floating(equation: Equation, *operands: Any) -> list[Any]:
    return [y for y, t in zip(bind(equation, operands), equation.dtypes) if has_derivatives(t)]


class _Value(NamedTuple):
    """What is known of a number in the program."""

    moves: bool = False  # whether it changes with f's arguments, so that a derivative goes through it
    stops: frozenset[Equation] = frozenset()  # the stop_gradients that it has come through, without which it would move


class _Flow:
    """Where the values behind every `stop_gradient` of a program go."""

    def __init__(self, program: Program):
        # the rules, and primitives without an exact rule, that take such a value beside one that moves (`solve` above),
        # and which of their operands come through a stop_gradient (1: `state`)
        self.operands: dict[Equation, frozenset[int]] = {}
        self.takers: dict[Equation, set[Equation]] = {}  # of each stop_gradient, those rules
        self.elsewhere: set[Equation] = set()  # stop_gradients with values that go elsewhere: a user wants them
        self._follow(program)

    def _follow(self, program: Program) -> None:
        """Follow the values of a program whose arguments all move."""
        for result in self._run(program, [_Value(moves=True)] * len(program.arguments)):
            self.elsewhere |= result.stops  # what a program returns is read by whoever runs it

    def _run(self, program: Program, arguments: Sequence[_Value]) -> list[_Value]:
        values = {UNUSED: _Value()} | dict(zip(program.arguments, arguments))
        read = lambda x: _Value() if isinstance(x, Constant) else values.get(x, _Value())  # noqa: E731
        for equation in program.equations:
            values |= zip(equation.outputs, self._equation(equation, list(map(read, equation.inputs))))
        return list(map(read, program.results))

    def _equation(self, equation: Equation, operands: Sequence[_Value]) -> list[_Value]:
        if equation.primitive.is_call:
            return self._run(equation.primal, operands)
        # a loop's body, or a branch, is followed for itself; what is differenced as a whole moves whatever is in it
        for inner in () if differences_whole(equation) else equation.programs:
            self._follow(inner)
        moves, stops = any(x.moves for x in operands), frozenset[Equation]().union(*(x.stops for x in operands))
        if equation.name == "stop_gradient" or (moves and _detaches(equation)):
            value = _Value(stops=stops | {equation} if moves or stops else stops)
        elif moves:  # stopped values, if any, meet what moves: in a rule that takes them, or elsewhere
            if stops and (equation.primitive.has_own_rule or equation.primitive.rule is None):
                self.operands[equation] = frozenset(i for i, x in enumerate(operands) if x.stops)
                for stop in stops:
                    self.takers.setdefault(stop, set()).add(equation)
            else:
                self.elsewhere |= stops
            value = _Value(moves=True)
        else:  # what is computed from stopped values alone goes on
            value = _Value(stops=stops)
        # no derivative goes through whole numbers, such as the pivots of a factorisation
        is_floating = [has_derivatives(t) for t in equation.dtypes]
        return [value if floats else _Value() for floats in is_floating]


class _StateRun(Run):
    """A run that finds out which equations are differentiated as if their precomputed operands moved.

    `moves_state` says so of each that it has met, by the increments of one direction: those by JAX's rule are closer to
    those of the primal with its state moved, or to those with its state held.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.moves_state: dict[Equation, bool] = {}

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        outputs = super().equation(equation, operands)
        if equation.precomputed and equation not in self.moves_state and not self.trusted(equation):
            held = [constant(x.value) if i in equation.precomputed else x for i, x in enumerate(operands)]
            with suppress(Exception):  # what JAX cannot differentiate is held
                # JAX sees the state behind its stop_gradient: it is held, and the rule moves x by the matrix alone
                by_rule = by_its_rule(Run(), equation, *held)
                moving, holding = (_distance(by_rule, found) for found in (outputs, super().equation(equation, held)))
                self.moves_state[equation] = moving < holding
        return outputs


def _distance(first: Sequence[Increment], second: Sequence[Increment]) -> float:
    """How far the changes in one direction are apart."""
    return sum(float(np.sum(np.abs(full_change(x, 1) - full_change(y, 1)))) for x, y in zip(first, second)) / STEP


def recompute_state(program: Program, leaves: Sequence[Any], trusted: Callable[[Equation], bool], seed: int) -> Program:
    """The program with precomputed state that moves with what it was computed from, and marked where it is taken.

    `leaves` are f's arguments, at which one random direction shows which rules have such state.
    """
    flow = _Flow(program)
    if not flow.operands:
        return program

    def with_moving_state(takers: set[Equation]) -> Program:
        """The program without the stop_gradients whose values go to these rules alone."""
        ignored = {stop for stop, taken in flow.takers.items() if taken <= takers} - flow.elsewhere

        def change(equation: Equation) -> dict[str, Any]:
            operands = flow.operands[equation] if equation in takers else frozenset()
            if equation not in ignored:
                return {"precomputed": operands}
            if equation.name == "stop_gradient":
                return {"primitive": PRIMITIVES["copy"]}
            return {"precomputed": frozenset(range(len(equation.inputs)))}  # a rule: its primal moves what it returns

        return map_equations(program, change)

    # all candidates move at first, and those whose rule says otherwise are held in the program that is returned
    run, everything = _StateRun(trusted=trusted), with_moving_state(set(flow.operands))
    values = list(map(lifted, leaves))
    directions = random_directions(1, sum(map(np.size, values)), seed)[0]
    parts = np.split(directions, np.cumsum(list(map(np.size, values)))[:-1])
    run(everything, *(Increment(x, STEP * d.reshape(1, *x.shape).astype(x.dtype)) for x, d in zip(values, parts)))
    same = zip(equations_in(everything), equations_in(program))
    moving = {eq for copy, eq in same if run.moves_state.get(copy) and eq in flow.operands}
    # the same object, with what was compiled for it
    return everything if len(moving) == len(flow.operands) else with_moving_state(moving)


def rules_given_state_within(program: Program) -> set[Equation]:
    """The rules that may be handed such state within what is differenced as a whole, where it is not recomputed."""
    wholes = [equation for equation in equations_in(program) if differences_whole(equation)]
    return {rule for whole in wholes for rule in _Flow(whole.primal).operands}
