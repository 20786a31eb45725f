"""Which numbers of a program are tolerances of its loops, and the program with smaller ones.

What a number does is found backwards from what is read of each result: it decides whether a loop goes on, or is
compared with something in a loop, or is part of what is computed, such as the ε of a denominator.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from reference.traced.program import (
    CALLS,
    COMPARISONS,
    CUSTOM_RULES,
    UNUSED,
    Constant,
    Equation,
    Program,
    kind,
    primal_of,
    programs_in,
)

TIGHTER = 2.0**-10
"""What a tolerance is multiplied by."""

GOES_ON, CHOOSES, COMPUTES = 1, 2, 4
"""What a number has a part in: whether a loop goes on; which of two numbers counts, in a loop; a result."""

Uses = dict[Any, int]


def tightened(program: Program, largest: float) -> Program:
    """The program with every tolerance up to `largest` `TIGHTER`: solved more accurately.

    A tolerance does nothing but decide whether a loop goes on. Where there is none, as in a loop that accepts and
    refuses steps by their errors, it is what takes part in a choice.
    """
    uses: Uses = defaultdict(int)
    _uses(program, [COMPUTES] * len(program.results), False, uses)
    small = [key for key, number in numbers_in(program) if 0.0 < abs(number) <= largest]
    chosen = {key for key in small if uses[key] == GOES_ON} or {key for key in small if uses[key] & CHOOSES}
    return _scaled(program, chosen)


def numbers_in(program: Program) -> Iterator[tuple[Any, float]]:
    """All floating numbers in a program, however deep, and what they are known by."""
    for slot, value in program.constants:
        if _is_number(value):
            yield (program.raw, slot), float(np.asarray(value).item())
    for equation in program.equations:
        yield from ((x, float(x.value.item())) for x in equation.inputs if _is_number(getattr(x, "value", None)))
        for inner in programs_in(equation):
            yield from numbers_in(inner)


def _is_number(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.size == 1 and kind(value.dtype) == "f"


def _uses(program: Program, of_results: Sequence[int], in_loop: bool, uses: Uses) -> list[int]:
    """What the arguments are used for, where the results are used for this; that of numbers is added to `uses`."""
    of_slots: dict[Any, int] = defaultdict(int)

    def used(atom: Any, use: int) -> None:
        (uses if isinstance(atom, Constant) else of_slots)[atom] |= use

    for atom, use in zip(program.results, of_results):
        used(atom, use)
    for equation in reversed(program.equations):
        of_outputs = [0 if slot == UNUSED else of_slots[slot] for slot in equation.outputs]
        for atom, use in zip(equation.inputs, _of_inputs(equation, of_outputs, in_loop, uses), strict=True):
            used(atom, use)
    for slot, _ in program.constants:
        uses[program.raw, slot] |= of_slots[slot]
    return [of_slots[slot] for slot in program.arguments]


def _of_inputs(equation: Equation, of_outputs: list[int], in_loop: bool, uses: Uses) -> list[int]:
    if equation.name in CALLS or equation.name in CUSTOM_RULES:
        return _uses(primal_of(equation), of_outputs, in_loop, uses)
    if equation.name == "while":
        return _of_loop(equation, uses)
    count, use = len(equation.inputs), int(np.bitwise_or.reduce(of_outputs, initial=0))
    for inner in programs_in(equation):
        _uses(inner, [use] * len(inner.results), in_loop, uses)
    if equation.name in COMPARISONS:
        return [use & GOES_ON | (CHOOSES if in_loop and use & ~GOES_ON else use & ~GOES_ON)] * count
    return [use] * count


def _of_loop(equation: Equation, uses: Uses) -> list[int]:
    params = equation.params
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    condition, body = params["cond_jaxpr"], params["body_jaxpr"]
    asked = _uses(condition, [GOES_ON], True, uses)
    fixed = second - first
    handed_on = {i for i, slot in enumerate(body.arguments[fixed:]) if body.results[i] == slot}
    decides = [dtype is not None and np.dtype(dtype) == bool for dtype in body.dtypes]
    of_results = [
        0 if i in handed_on else use if is_truth and use else COMPUTES
        for i, (use, is_truth) in enumerate(zip(asked[first:], decides))
    ]
    given = _uses(body, of_results, True, uses)
    carried = [
        use | of_body if i in handed_on else COMPUTES
        for i, (use, of_body) in enumerate(zip(asked[first:], given[fixed:]))
    ]
    return [*asked[:first], *given[:fixed], *carried]


def _scaled(program: Program, chosen: set[Any]) -> Program:
    def within(value: Any) -> Any:
        if isinstance(value, Program):
            return _scaled(value, chosen)
        if isinstance(value, tuple) and any(isinstance(x, Program) for x in value):
            programs = [within(x) for x in value]
            return type(value)(*programs) if hasattr(value, "_fields") else tuple(programs)
        return value

    equations = [
        replace(
            eq,
            inputs=tuple(Constant(_tighter(x.value)) if x in chosen else x for x in eq.inputs),
            params={key: within(value) for key, value in eq.params.items()},
        )
        for eq in program.equations
    ]
    constants = tuple((s, _tighter(v) if (program.raw, s) in chosen else v) for s, v in program.constants)
    return replace(program, equations=tuple(equations), constants=constants)


def _tighter(value: np.ndarray) -> np.ndarray:
    return (value * TIGHTER).astype(value.dtype)
