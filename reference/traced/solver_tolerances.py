"""Which numbers of a program are tolerances of its loops, and the program with smaller ones.

A solver that stops at |f(x)| < 1e-6 returns a step function of its arguments: its differences show the steps. With a
smaller tolerance they show the derivative of the solution, and the difference between both is what the solver leaves
open.

The use of a number is found backwards from what is read of each result. A number decides whether a loop goes on, or it
is compared with something in a loop, or it takes part in what is computed, such as the ε of a denominator. In

    while_loop(lambda x: abs(f(x)) > 1e-6, lambda x: x - f(x)/(df(x) + 1e-12), x0)

1e-6 does nothing but decide (`Use.GOES_ON`), so it is a tolerance; 1e-12 computes.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import IntFlag
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

import jax
import numpy as np

from reference.jax_internals import CallbackRaised, raising_callbacks
from reference.jax_settings import compiler_options
from reference.traced.equations import UNUSED, Constant, Equation, Program, host, kind, map_programs
from reference.traced.program_replay import LONGEST_LOOP, Applied, Ending, longest_beside, replayed_with_primals

TIGHTER = 2.0**-10
"""The factor by which a tolerance is reduced: three digits, and a power of two, which rounds nothing.

With one digit a tenth of the error would be left; with six, a solver that is nearly exact already would never end.
"""

LARGEST_TOLERANCES = (1e-2, 1e-3, 1e-5)
"""A small number in a loop may be a step instead of a tolerance; then only smaller ones are tried."""

SOLUTION_SHARE = 1e-1
"""A tolerance moves a solution by less than this share of its largest entry. What moves it further is no tolerance.

A residual falls below the share.

Ten times the largest number that is taken for one (`LARGEST_TOLERANCES`).
"""


class Use(IntFlag):
    """What a number takes part in."""

    NOTHING = 0
    GOES_ON = 1
    """Whether a loop goes on."""
    CHOOSES = 2
    """Which of two numbers is taken, in a loop."""
    COMPUTES = 4
    """A result."""


Uses = dict[Any, Use]


def tightened(program: Program) -> Program:
    """The program with every tolerance reduced by `TIGHTER`, so that it solves more accurately.

    A tolerance does nothing but decide whether a loop goes on. Where there is no such number, as in a loop that accepts
    and refuses steps by their errors, it is a number that takes part in a choice.
    """
    return _scaled(program, _tolerances(program, LARGEST_TOLERANCES[0]))


def largest_tolerance(program: Program) -> float:
    """The largest tolerance of a program's solvers; zero where there is none."""
    return max(_tolerances(program, LARGEST_TOLERANCES[0]).values(), default=0.0)


def ends_at_tolerance(program: Program) -> bool:
    """Whether a number of a program does nothing but decide whether a loop goes on."""
    return bool(_small_numbers(program, LARGEST_TOLERANCES[0])[0])


def _tolerances(program: Program, largest: float) -> dict[Any, float]:
    deciding, choosing = _small_numbers(program, largest)
    return deciding or choosing


def _small_numbers(program: Program, largest: float) -> tuple[dict[Any, float], dict[Any, float]]:
    """The small numbers that do nothing but decide whether a loop goes on, and those that take part in a choice."""
    uses = _uses_of_constants(program, [Use.COMPUTES] * len(program.results), in_loop=False)[1]
    small = {key: abs(number) for key, number in numbers_in(program) if 0.0 < abs(number) <= largest}
    deciding = {key: size for key, size in small.items() if uses[key] == Use.GOES_ON}
    return deciding, {key: size for key, size in small.items() if uses[key] & Use.CHOOSES}


class Finer(NamedTuple):
    """A program by solvers with finer tolerances."""

    ending: Ending  # not compiled, since JAX takes no options for what is called from compiled code
    compiled: Applied
    longest: int  # the steps after which its loops are ended, the first argument of both
    results: list[Any]  # at the point


def more_accurate(program: Program, values: Sequence[Any], found: Sequence[Any]) -> Finer | None:
    """The program by JAX with its solvers `tightened`; None where it has no tolerance, or other results altogether.

    Truth values and whole numbers, such as a count of steps, may be others.
    """
    # most often a smaller limit leaves the same tolerances, and each program costs a compilation
    for chosen in dict.fromkeys(frozenset(_tolerances(program, largest)) for largest in LARGEST_TOLERANCES):
        if not chosen:
            continue
        finer = Ending(replayed_with_primals(_scaled(program, chosen)))
        by_steps = jax.jit(finer, compiler_options=compiler_options())
        # with fewer digits to lose, a solver may raise by a callback that it takes too many steps
        with np.errstate(all="ignore"), suppress(CallbackRaised), raising_callbacks():
            again = list(map(host, by_steps(LONGEST_LOOP, *values)))
            floating = [(np.asarray(x), y) for x, y in zip(found, again) if kind(y.dtype) in ("f", "c")]
            if all(_is_finer(x, y) for x, y in floating):
                return Finer(finer, by_steps, longest_beside(by_steps, values, again), again)
    return None


def _is_finer(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether a more accurate solver may give `after`: a solution stays, and a residual or the last step shrinks."""
    known = np.isfinite(before)
    before, after = before[known], after[known]
    small = SOLUTION_SHARE * np.abs(before).max(initial=0.0)
    return bool((np.abs(before - after) <= small).all() or (np.abs(after) <= small).all())


def numbers_in(program: Program) -> Iterator[tuple[Any, float]]:
    """All floating numbers in a program, however deep, each with a key that identifies it."""
    for slot, value in program.constants:
        if _is_number(value):
            yield (program.raw, slot), float(np.asarray(value).item())
    for equation in program.equations:
        yield from ((x, float(x.value.item())) for x in equation.inputs if _is_number(getattr(x, "value", None)))
        for inner in equation.programs:
            yield from numbers_in(inner)


def _is_number(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.size == 1 and kind(value.dtype) == "f"


# -- uses, found backwards --------------------------------------------------------------------------------------------


def _uses_of_constants(program: Program, of_results: Sequence[Use], *, in_loop: bool) -> tuple[list[Use], Uses]:
    """What the arguments are used for, and what the numbers are, where the results are used for `of_results`."""
    # backwards, so that all uses of a slot are known before the equation that wrote it
    of_slots: Uses = defaultdict(lambda: Use.NOTHING)
    of_constants: Uses = defaultdict(lambda: Use.NOTHING)

    def add(atom: Any, use: Use) -> None:
        (of_constants if isinstance(atom, Constant) else of_slots)[atom] |= use

    for atom, use in zip(program.results, of_results):
        add(atom, use)
    for equation in reversed(program.equations):
        of_outputs = [Use.NOTHING if slot == UNUSED else of_slots[slot] for slot in equation.outputs]
        of_inputs, within = _uses_of_inputs(equation, of_outputs, in_loop=in_loop)
        for atom, use in zip(equation.inputs, of_inputs, strict=True):
            add(atom, use)
        for key, use in within.items():
            of_constants[key] |= use
    for slot, _ in program.constants:
        of_constants[program.raw, slot] |= of_slots[slot]
    return [of_slots[slot] for slot in program.arguments], of_constants


def _uses_of_inputs(equation: Equation, of_outputs: list[Use], *, in_loop: bool) -> tuple[list[Use], Uses]:
    """What the inputs of an equation are used for, and the numbers of its inner programs."""
    primitive = equation.primitive
    if primitive.is_call or primitive.has_own_rule:
        return _uses_of_constants(equation.primal, of_outputs, in_loop=in_loop)
    if primitive.iterates:
        return _uses_in_loop(equation)
    use = reduce(or_, of_outputs, Use.NOTHING)
    inner = [_uses_of_constants(p, [use] * len(p.results), in_loop=in_loop)[1] for p in equation.programs]
    if primitive.is_comparison:
        # of what a comparison is used for: to end a loop stays that; anything else is a choice, inside a loop
        beside = use & ~Use.GOES_ON
        use = use & Use.GOES_ON | (Use.CHOOSES if in_loop and beside else beside)
    return [use] * len(equation.inputs), _merged(*inner)


def _merged(*uses: Uses) -> Uses:
    merged: Uses = defaultdict(lambda: Use.NOTHING)
    for key, use in (item for each in uses for item in each.items()):
        merged[key] |= use
    return merged


def _uses_in_loop(equation: Equation) -> tuple[list[Use], Uses]:
    """What a `while` does with its operands and constants, as `_uses_of_inputs` says it of a program.

    Its operands are the constants of the condition, those of the body, and what is carried from step to step.
    """
    params = equation.params
    n_condition, n_body = params["cond_nconsts"], params["body_nconsts"]
    condition, body = params["cond_jaxpr"], params["body_jaxpr"]
    of_condition, in_condition = _uses_of_constants(condition, [Use.GOES_ON], in_loop=True)
    # carried unchanged from step to step, as a tolerance that is an argument of the solver is
    handed_on = {i for i, slot in enumerate(body.arguments[n_body:]) if body.results[i] == slot}
    # a truth value that the condition reads, such as `converged`, is computed by the body to end the loop
    is_truth = [dtype is not None and kind(dtype) == "b" for dtype in body.dtypes]
    of_carried = of_condition[n_condition:]
    of_results = [
        Use.NOTHING if i in handed_on else use if is_truth[i] and use else Use.COMPUTES
        for i, use in enumerate(of_carried)
    ]
    of_body, in_body = _uses_of_constants(body, of_results, in_loop=True)
    carried = [use | of_body[n_body + i] if i in handed_on else Use.COMPUTES for i, use in enumerate(of_carried)]
    return [*of_condition[:n_condition], *of_body[:n_body], *carried], _merged(in_condition, in_body)


def _scaled(program: Program, chosen: Collection[Any]) -> Program:
    """The program with the chosen numbers reduced."""
    equations = [
        replace(
            eq,
            inputs=tuple(Constant(_reduced(x.value)) if x in chosen else x for x in eq.inputs),
            params={key: map_programs(value, lambda inner: _scaled(inner, chosen)) for key, value in eq.params.items()},
        )
        for eq in program.equations
    ]
    constants = tuple((s, _reduced(v) if (program.raw, s) in chosen else v) for s, v in program.constants)
    return replace(program, equations=tuple(equations), constants=constants)


def _reduced(value: np.ndarray) -> np.ndarray:
    return (value * TIGHTER).astype(value.dtype)
