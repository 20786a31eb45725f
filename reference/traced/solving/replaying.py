"""A program handed to JAX once more, with primals in the place of custom rules, or solvers that go on for longer."""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import jax
import numpy as np

from reference.jax_settings import compiler_options
from reference.traced.program import (
    CALLS,
    CUSTOM_RULES,
    PRIMALS,
    Constant,
    Equation,
    Program,
    bind,
    parts_of_solve,
)
from reference.traced.solving.tolerances import tightened

LARGEST_TOLERANCES = (1e-3, 1e-5)
"""A small number in a loop may be a step in the place of a tolerance; smaller ones alone are tried then."""

SOLVERS_SHARE = 1e-2
"""A tolerance moves a solution by less than this share of its largest entry; what moves it by more is none."""

LONGEST_LOOP = 50_000
"""Steps after which a loop ends that nothing else ends. One whose tolerance is below what rounding lets it reach mostly
comes back to where it was, and is left there: the place is kept at each power of two steps."""


def replayed(program: Program, inlined: Callable[[Equation], bool], *values: Any) -> list[Any]:
    """The program by JAX, which may trace it, with the primal in the place of some custom rules."""
    slots: dict[int, Any] = dict(program.constants) | dict(zip(program.arguments, values))

    def read(atom: Any) -> Any:
        return atom.value if isinstance(atom, Constant) else slots[atom]

    for equation in program.equations:
        operands = [read(atom) for atom in equation.inputs]
        slots |= dict(zip(equation.outputs, _replayed(equation, inlined, operands)))
    return [read(atom) for atom in program.results]


def _replayed(equation: Equation, inlined: Callable[[Equation], bool], operands: list[Any]) -> list[Any]:
    params = equation.params
    is_custom = equation.name in CUSTOM_RULES
    primal = next((params[key] for key in PRIMALS if isinstance(params.get(key), Program)), None)
    if primal is not None and (inlined(equation) if is_custom else equation.name in CALLS):
        return replayed(primal, inlined, *operands)
    if equation.name == "scan":
        fixed, carried = params["num_consts"], params["num_consts"] + params["num_carry"]

        def step(carry: Any, x: Any) -> tuple[Any, Any]:
            outputs = replayed(params["jaxpr"], inlined, *operands[:fixed], *carry, *x)
            return outputs[: carried - fixed], outputs[carried - fixed :]

        carry, stacked = jax.lax.scan(
            step, list(operands[fixed:carried]), list(operands[carried:]), params["length"], params["reverse"]
        )
        return [*carry, *stacked]
    if equation.name == "cond":
        which, *rest = operands
        branches = [lambda *x, branch=branch: replayed(branch, inlined, *x) for branch in params["branches"]]
        return jax.lax.switch(jax.numpy.asarray(which, int), branches, *rest)
    if equation.name == "while":
        return _replayed_while(params, inlined, operands)
    if equation.name == "custom_linear_solve" and inlined(equation):
        _, solve, b = parts_of_solve(params["const_lengths"], operands)
        return replayed(params["jaxprs"].solve, inlined, *solve, *b)
    return bind(equation, operands)


def _replayed_while(params: Any, inlined: Callable[[Equation], bool], operands: list[Any]) -> list[Any]:
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]

    def goes_on(carry: Sequence[Any]) -> Any:
        return replayed(params["cond_jaxpr"], inlined, *operands[:first], *carry)[0]

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        steps, unfinished, kept, carry = state
        stepped = replayed(params["body_jaxpr"], inlined, *operands[first:second], *carry)
        carry = [jax.numpy.where(aligned_to(unfinished, y), y, x) for x, y in zip(carry, stepped)]
        is_back = reduce(jax.numpy.logical_and, map(partial(_equal, unfinished.ndim), kept, carry))
        kept = [jax.numpy.where(steps & (steps + 1) == 0, x, y) for x, y in zip(carry, kept)]
        return steps + 1, unfinished & goes_on(carry) & ~is_back, kept, carry

    def any_goes_on(state: tuple[Any, ...]) -> Any:
        return (state[0] < LONGEST_LOOP) & jax.numpy.any(state[1])

    carry = list(map(jax.numpy.asarray, operands[second:]))
    unfinished = jax.numpy.asarray(goes_on(carry))  # of each member, in a batch of loops
    return jax.lax.while_loop(any_goes_on, step, (0, unfinished, carry, carry))[-1]


def _equal(lead: int, x: Any, y: Any) -> Any:
    """Whether all entries are the same, for each member of a batch."""
    return jax.numpy.all(x == y, axis=tuple(range(lead, y.ndim)))


def aligned_to(unfinished: Any, array: Any) -> Any:
    """Truth values of the members of a batch, before the axes of what each holds."""
    return unfinished.reshape(unfinished.shape + (1,) * (array.ndim - unfinished.ndim))


def more_accurate(program: Program, values: Sequence[Any], found: Sequence[Any]) -> Callable[..., list[Any]] | None:
    """The program by JAX with its solvers `tightened`; None where that finds something else altogether."""
    for largest in LARGEST_TOLERANCES:
        finer = partial(replayed, tightened(program, largest), lambda _: True)
        with np.errstate(all="ignore"):
            again = jax.jit(finer, compiler_options=compiler_options())(*values)
        if all(map(_is_close, map(np.asarray, found), map(np.asarray, again))):
            return finer  # not compiled, for within what is compiled JAX takes no options
    return None


def _is_close(x: np.ndarray, y: np.ndarray) -> bool:
    largest = np.abs(x[np.isfinite(x)]).max(initial=0.0)
    return bool((np.abs(x - y)[np.isfinite(x)] <= SOLVERS_SHARE * largest).all())
