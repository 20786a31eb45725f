"""Primitives that run programs: calls, custom rules, loops, branches, implicit solves.

A custom rule is not trusted: its primal runs. Where that primal iterates until it converges, its steps say nothing of
the derivative of what it converges to, and the call is differenced as a whole.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np

from reference.arithmetics.increments import (
    STEP,
    Increment,
    constant,
    directions,
    full_change,
    is_constant,
    linear,
    unknown_where,
)
from reference.traced.primitives import black_box
from reference.traced.primitives.moving import block_of, stacked
from reference.traced.program import (
    CALLS,
    CUSTOM_RULES,
    Equation,
    Program,
    function_of,
    iterates,
    parts_of_solve,
    primal_of,
)
from reference.traced.solving.replaying import aligned_to
from reference.traced.widening import reads_bits, widely

JAX = Path(jax.__file__).parent

LARGEST_MATRIX = 1_500
"""Unknowns up to which a linear system whose solver stops at a tolerance is solved as a matrix."""


def _call(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    return run(primal_of(equation), *operands)


def _custom_call(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    if run.trusted(equation):
        run.taken_as_they_are.add(function_of(equation).name)
        return black_box.by_its_rule(run, equation, *operands)
    program, place = primal_of(equation), function_of(equation)
    if place.name == "_frexp" and Path(place.file).is_relative_to(JAX):
        return _mantissa_and_exponent(run, equation, *operands)
    if directions(*operands) and (iterates(program) or reads_bits(program)):
        return black_box.differenced(run, equation, *operands)
    if run.rounding is None and iterates(program) and widely(equation):  # compiled, for a loop takes its time in NumPy
        return [constant(y) for y in black_box.values_of(equation, [x.value for x in operands])]
    return run(program, *operands)


def _mantissa_and_exponent(run: Any, equation: Equation, x: Increment) -> list[Increment]:
    """x = m 2ᵉ with m in [1/2, 1), which jumps at powers of two: JAX takes both from bits, which are others here."""
    m, e = np.frexp(x.value)
    exponent = constant(e.astype(equation.dtypes[1]))
    if is_constant(x):
        return [constant(m), exponent]
    at_jump = (m == 0.0) | ((np.abs(m) == 0.5) & (m * x.change < 0.0))
    if np.any(at_jump):
        run.unresolved = "the mantissa of a power of two jumps"
    return [Increment(m, unknown_where(at_jump, np.ldexp(x.change, -e))), exponent]


def _scan(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    params = equation.params
    fixed, carried = params["num_consts"], params["num_consts"] + params["num_carry"]
    consts, carry, sequences = operands[:fixed], list(operands[fixed:carried]), operands[carried:]
    program, length = params["jaxpr"], params["length"]
    collected: list[list[Increment]] = [[] for _ in equation.outputs[params["num_carry"] :]]
    for step in reversed(range(length)) if params["reverse"] else range(length):
        outputs = run(program, *consts, *carry, *[block_of(x, step) for x in sequences])
        carry = outputs[: params["num_carry"]]
        for column, output in zip(collected, outputs[params["num_carry"] :]):
            column.append(output)
    if params["reverse"]:
        collected = [column[::-1] for column in collected]
    shapes = equation.shapes[params["num_carry"] :]
    return [*carry, *(stacked(column, constant(np.zeros(shape))) for column, shape in zip(collected, shapes))]


STEPS_FACTOR = 2
"""A loop ends after so many times the steps that it took without random roundings, which may keep it from its end."""

MANY = 10_000
"""The same of a loop that never ran without them."""

_STEPS: WeakKeyDictionary[Equation, int] = WeakKeyDictionary()


def _while(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    params = equation.params
    first, second = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    conditions, consts, carry = operands[:first], operands[first:second], list(operands[second:])
    most = STEPS_FACTOR * (_STEPS.get(equation, MANY) + 1)
    steps = 0
    while True:
        (goes_on,) = run(params["cond_jaxpr"], *conditions, *carry)
        if not is_constant(goes_on):
            run.unresolved = "a loop ends just at this point"
        unfinished = np.asarray(goes_on.value)  # of each member, in a batch of loops
        if not unfinished.any() or (run.rounding is not None and steps > most):
            if run.rounding is None:
                _STEPS[equation] = max(steps, _STEPS.get(equation, 0))
            return carry
        stepped = run(params["body_jaxpr"], *consts, *carry)
        carry = stepped if unfinished.all() else [_chosen(unfinished, x, y) for x, y in zip(carry, stepped)]
        steps += 1


def _chosen(unfinished: np.ndarray, here: Increment, stepped: Increment) -> Increment:
    """What a batch of loops carries, of which some have ended."""
    return linear(lambda lead, x, y: np.where(aligned_to(unfinished, x[(0,) * lead]), y, x), here, stepped)


def _cond(run: Any, equation: Equation, which: Increment, *operands: Increment) -> list[Increment]:
    branches = equation.params["branches"]
    index = min(max(int(which.value), 0), len(branches) - 1)
    outputs = run(branches[index], *operands)
    if is_constant(which):
        return outputs
    after = (
        np.asarray(which.value) ^ which.change if np.asarray(which.value).dtype == bool else which.value + which.change
    )
    after = np.clip(after.astype(int), 0, len(branches) - 1)
    for other in set(after.tolist()) - {index}:
        outputs = [
            _crossing(run, here, there, after == other) for here, there in zip(outputs, run(branches[other], *operands))
        ]
    return outputs


def _crossing(run: Any, here: Increment, there: Increment, crosses: np.ndarray) -> Increment:
    """One branch's output in most directions, the other's in those that cross over."""
    if np.asarray(here.value).dtype.kind not in "fc":
        return here
    meets = np.asarray(here.value) == there.value
    if not meets.all():
        run.unresolved = "a branch changes at this point, where the value jumps or slopes have no limit"
    count = len(crosses)
    crossed = unknown_where(~meets, full_change(there, count))
    mask = crosses.reshape(count, *[1] * np.ndim(here.value))
    return Increment(here.value, np.where(mask, crossed, full_change(here, count)))


def _linear_solve(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """x of A x = b: A dx = db - dA x, with A as the equation's own matvec has it.

    What else the solver tells is constant. A solver that iterates stops at a tolerance; the changes are those of the x
    that solves the equations.
    """
    programs = equation.params["jaxprs"]
    matvec, solve, b = parts_of_solve(equation.params["const_lengths"], operands)
    fixed = [constant(x.value) for x in solve]
    found = run(programs.solve, *fixed, *[constant(y.value) for y in b])
    count = directions(*matvec, *b)
    if not count:
        return found
    x, told = found[: len(b)], found[len(b) :]
    matrix = _matrix(run, programs.matvec, matvec, b) if iterates(programs.solve) else None
    values = [y.value for y in x] if matrix is None else [y[0] for y in _solved(matrix, [y.value[None] for y in b])]
    products = run(programs.matvec, *matvec, *map(constant, values))
    rights = [full_change(y, count) - full_change(product, count) for y, product in zip(b, products)]
    if matrix is not None:
        return [*(Increment(y.value, change) for y, change in zip(x, _solved(matrix, rights))), *told]
    before, run.looks_through = run.looks_through, True
    try:
        solved = run(programs.solve, *fixed, *[Increment(y.value, change) for y, change in zip(b, rights)])
    finally:
        run.looks_through = before
    return [*solved[: len(b)], *told]


def _matrix(run: Any, matvec: Program, consts: Sequence[Increment], b: Sequence[Increment]) -> np.ndarray | None:
    """The matrix of a linear map of arrays like b; None where it is too large, or has no inverse."""
    shapes, sizes = [np.shape(y.value) for y in b], [np.size(y.value) for y in b]
    size = sum(sizes)
    if size > LARGEST_MATRIX:
        return None
    units = np.split(np.eye(size) * STEP, np.cumsum(sizes)[:-1], axis=1)
    changes = [u.reshape(size, *shape).astype(np.asarray(y.value).dtype) for u, shape, y in zip(units, shapes, b)]
    zeros = [Increment(np.zeros_like(y.value), change) for y, change in zip(b, changes)]
    columns = run(matvec, *[constant(c.value) for c in consts], *zeros)
    matrix = np.concatenate([full_change(column, size).reshape(size, -1) for column in columns], axis=1).T / STEP
    return matrix if np.isfinite(matrix).all() and np.linalg.matrix_rank(matrix) == size else None


def _solved(matrix: np.ndarray, rights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The solutions for right-hand sides (count, ...), in the arrays' own shapes."""
    flat = np.concatenate([y.reshape(len(y), -1) for y in rights], axis=1)
    parts = np.split(np.linalg.solve(matrix, flat.T).T, np.cumsum([y[0].size for y in rights])[:-1], axis=1)
    return [part.reshape(y.shape) for part, y in zip(parts, rights)]


def _as_jax_has_it(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """Samples that are accepted or refused have an implicit derivative, which their values along a path do not show."""
    run.taken_as_they_are.add(equation.name)
    return black_box.by_its_rule(run, equation, *operands)


def _reduce(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """A fold by a program of somebody's own, entry after entry."""
    half, axes, shape = len(operands) // 2, equation.params["dimensions"], equation.shapes[0]
    last = range(-len(axes), 0)

    def flat(lead: int, array: Any) -> Any:
        return np.moveaxis(array, [lead + axis for axis in axes], last).reshape((*array.shape[:lead], -1))

    arrays = [linear(flat, x) for x in operands[:half]]
    count = int(np.prod(shape))
    length = np.size(arrays[0].value) // max(count, 1)
    columns: list[list[Increment]] = [[] for _ in range(half)]
    for first in range(0, count * length, max(length, 1)):
        folded = list(operands[half:])
        for i in range(first, first + length):
            folded = run(equation.params["jaxpr"], *folded, *[block_of(x, i) for x in arrays])
        for column, x in zip(columns, folded):
            column.append(x)
    results = [stacked(column, constant(np.zeros(0))) for column in columns]
    return [linear(lambda lead, array: array.reshape((*array.shape[:lead], *shape)), x) for x in results]


RULES: dict[str, Callable[..., Any]] = {
    "random_gamma": _as_jax_has_it,
    **dict.fromkeys(CALLS, _call),
    **dict.fromkeys(CUSTOM_RULES, _custom_call),
    "scan": _scan,
    "reduce": _reduce,
    "while": _while,
    "cond": _cond,
    "custom_linear_solve": _linear_solve,
}
