"""Loops, branches and implicit solves: primitives that run programs more than once, or one of several.

A loop is run step by step in the arithmetic of the run, so that its increments and bounds are those of its steps. A
condition that flips in a step, or that rounding may turn, leaves what follows unresolved, or without a bound.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import jax
import numpy as np

from reference.arithmetics.increments import (
    STEP,
    Increment,
    constant,
    count_directions,
    full_change,
    is_constant,
    linear,
)
from reference.jax_internals import CallbackRaised, counts_of_scan, raising_callbacks
from reference.jax_settings import precisely
from reference.traced.bounded_run import Unbounded
from reference.traced.equations import Equation, Program, bind, has_derivatives, iterates
from reference.traced.jumps import after_jump, crossing
from reference.traced.primitive import EXACT, Compilation, Primitive, Rule
from reference.traced.primitive_values import compiled
from reference.traced.primitives.data_movement import block_of, stacked
from reference.traced.program_replay import (
    ENDLESS,
    LONGEST_LOOP,
    STEPS_BESIDE,
    Applied,
    Ending,
    Inlined,
    longest_loop,
    replayed_with_primals,
    widened,
    widened_params,
)

LARGEST_MATRIX = 1_500
"""Unknowns up to which a linear system whose solver stops at a tolerance is solved as a matrix: 18 MB."""

STEPS_FACTOR = 2
"""Random rounding may keep a loop from its end: it is ended after so many times the steps that it takes without."""

UNCOUNTED_STEPS = 30
"""Steps of a loop with random rounding after which JAX counts those that it takes without, if it never ran without.

To compile the loop takes as long as tens of its steps by NumPy.
"""

UNKNOWN_STEPS = 10_000  # the most steps that are counted, and those of a loop that cannot be counted

# -- loops of fixed length --------------------------------------------------------------------------------------------


def _parts_of_scan(equation: Equation, operands: Sequence[Any]) -> tuple[Sequence[Any], list[Any], list[Any]]:
    """What the body closes over, what it carries, and the sequences that it runs along."""
    fixed, carried = counts_of_scan(equation.params)
    return operands[:fixed], list(operands[fixed : fixed + carried]), list(operands[fixed + carried :])


def _scan(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    params, (consts, carry, sequences) = equation.params, _parts_of_scan(equation, operands)
    count = len(carry)
    program, length = params["jaxpr"], params["length"]
    collected: list[list[Increment]] = [[] for _ in equation.outputs[count:]]
    for step in reversed(range(length)) if params["reverse"] else range(length):
        outputs = run(program, *consts, *carry, *[block_of(x, step) for x in sequences])
        carry = outputs[:count]
        for column, output in zip(collected, outputs[count:]):
            column.append(output)
    if params["reverse"]:
        collected = [column[::-1] for column in collected]
    shapes = equation.shapes[count:]
    return [*carry, *(stacked(column, constant(np.zeros(shape))) for column, shape in zip(collected, shapes))]


def _bound_of(rule: Rule) -> Rule:
    """The bound of a rule that runs programs: by their bounds, unless rounding may decide where a loop ends."""

    def bound(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
        outputs = rule(run, equation, *operands)
        if run.observed.unresolved:
            raise Unbounded("a loop ends by a comparison which rounding may turn")
        return outputs

    return bound


def _replay_scan(equation: Equation, operands: list[Any], run: Any, inlined: Inlined) -> list[Any]:
    params, (consts, first, sequences) = equation.params, _parts_of_scan(equation, operands)

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        outputs = run(params["jaxpr"], *consts, *carry, *x)
        return outputs[: len(first)], outputs[len(first) :]

    carry, collected = jax.lax.scan(step, first, sequences, params["length"], params["reverse"])
    return [*carry, *collected]


# -- loops with a condition -------------------------------------------------------------------------------------------


def _parts_of_while(equation: Equation, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], list[Any]]:
    """What the condition and the body close over, and what the loop carries."""
    first = equation.params["cond_nconsts"]
    second = first + equation.params["body_nconsts"]
    return operands[:first], operands[first:second], list(operands[second:])


def _while(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    condition, body = equation.params["cond_jaxpr"], equation.params["body_jaxpr"]
    of_condition, of_body, carry = _parts_of_while(equation, operands)
    most, known = ENDLESS, equation.memo.get("steps")
    is_counted = run.rounding is None or known is not None
    if run.rounding is not None:  # noise of a few u may keep |x - before| > 1e-16 true for good
        most = UNCOUNTED_STEPS if known is None else STEPS_FACTOR * (known + 1)
    elif run.is_beside:
        most = max(LONGEST_LOOP, STEPS_BESIDE * (known or 0))
    steps = 0
    while True:
        if steps > most and not is_counted:
            is_counted, most = True, STEPS_FACTOR * (_count_steps(equation, operands) + 1)
        (goes_on,) = run(condition, *of_condition, *carry)
        if not is_constant(goes_on):
            run.observed.unresolved = "a loop ends just at this point"
        unfinished = np.asarray(goes_on.value)  # of each member, in a batch of loops
        if not unfinished.any() or steps > most:
            break
        stepped = run(body, *of_body, *carry)
        if not unfinished.all():  # the members of a batch that have ended before stay as they are
            still = lambda lead, x, y: np.where(_aligned_to(unfinished, x[(0,) * lead]), y, x)  # noqa: B023, E731
            stepped = [linear(still, here, after) for here, after in zip(carry, stepped)]
        carry = stepped
        steps += 1
    if run.rounding is not None or not unfinished.any():
        if run.rounding is None and not run.is_beside:
            equation.memo["steps"] = max(steps, known or 0)
        return carry
    unknown = lambda lead, x: np.where(_aligned_to(unfinished, x[(0,) * lead]), np.nan, x)  # noqa: E731
    return [linear(unknown, x) if has_derivatives(t) else x for x, t in zip(carry, equation.dtypes)]


def _aligned_to(unfinished: Any, array: Any) -> Any:
    """Truth values of the members of a batch, before the axes of what each holds."""
    return unfinished.reshape(unfinished.shape + (1,) * (array.ndim - unfinished.ndim))


def _replay_while(equation: Equation, operands: list[Any], run: Any, inlined: Inlined) -> list[Any]:
    """The loop, which ends also where it comes back to what it carried before.

    A tolerance below what rounding lets it reach would never end it. What it carries is kept at powers of two steps.
    What it returns is NaN where it is ended by the number of its steps.
    """
    unfinished, carry = _looped(equation, operands, run)[1:]
    known = lambda y: jax.numpy.where(_aligned_to(unfinished, y), jax.numpy.nan, y)  # noqa: E731
    return [known(y) if has_derivatives(y.dtype) else y for y in carry]


def _looped(equation: Equation, operands: Sequence[Any], run: Any) -> tuple[Any, Any, list[Any]]:
    """How many steps a loop takes, whether something would go on then, and what it carries."""
    condition, body = equation.params["cond_jaxpr"], equation.params["body_jaxpr"]
    of_condition, of_body, carry = _parts_of_while(equation, operands)

    def goes_on(carry: Sequence[Any]) -> Any:
        return run(condition, *of_condition, *carry)[0]

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        steps, unfinished, kept, carry = state
        # two arrays that the loop has stored: what XLA computes anew to compare it may be rounded differently
        unfinished &= ~((steps > 0) & reduce(jax.numpy.logical_and, map(partial(_equal, unfinished.ndim), kept, carry)))
        # at steps 0, 1, 3, 7, ... : a cycle of any length is met sooner or later (Brent, BIT 20, 1980)
        kept = [jax.numpy.where(steps & (steps + 1) == 0, x, y) for x, y in zip(carry, kept)]
        stepped = run(body, *of_body, *carry)
        carry = [jax.numpy.where(_aligned_to(unfinished, y), y, x) for x, y in zip(carry, stepped)]
        return steps + 1, unfinished & goes_on(carry), kept, carry

    carry = list(map(jax.numpy.asarray, carry))
    unfinished = jax.numpy.asarray(goes_on(carry))  # of each member, in a batch of loops
    longest = longest_loop.get()
    any_goes_on = lambda state: (state[0] < longest) & jax.numpy.any(state[1])  # noqa: E731
    steps, unfinished, _, carry = jax.lax.while_loop(any_goes_on, step, (0, unfinished, carry, carry))
    return steps, unfinished, carry


def _count_steps(equation: Equation, operands: Sequence[Increment]) -> int:
    """The steps that a loop takes in float64 without random rounding, from these operands."""
    wide = replace(equation, params=widened_params(equation))

    def steps(*values: Any) -> Any:
        return _looped(wide, values, lambda program, *x: replayed_with_primals(program)(*x))[0]

    counted = compiled(equation, "steps without rounding", lambda: Ending(steps))
    try:
        with precisely(), raising_callbacks():
            return int(counted(UNKNOWN_STEPS, *(x.value for x in operands)))
    except Exception:  # noqa: BLE001  of a callback, or a primitive that JAX does not compute in float64
        return UNKNOWN_STEPS


def _equal(lead: int, x: Any, y: Any) -> Any:
    """Whether all entries are the same, for each member of a batch."""
    return jax.numpy.all(x == y, axis=tuple(range(lead, y.ndim)))


# -- branches ---------------------------------------------------------------------------------------------------------


def _cond(run: Any, equation: Equation, which: Increment, *operands: Increment) -> list[Increment]:
    branches = equation.params["branches"]
    index = min(max(int(which.value), 0), len(branches) - 1)
    try:
        outputs = run.altered(is_in_branch=True)(branches[index], *operands)
    except CallbackRaised:
        # JAX has not raised it at this point, so that rounding or a step has led to the branch of the error
        return run(branches[index - 1 if index else 1], *operands)
    if is_constant(which):
        return outputs
    # the branch that each direction takes after the step
    after = np.clip(after_jump(which).astype(int), 0, len(branches) - 1)
    for other in set(after.tolist()) - {index}:  # once for each branch that some direction enters
        try:
            there = run.altered(is_in_branch=True)(branches[other], *operands)
        except CallbackRaised:  # on that side f has no value
            continue
        outputs = [crossing(run, x, y, after == other) for x, y in zip(outputs, there)]
    return outputs


@_bound_of
def _bound_of_cond(run: Any, equation: Equation, which: Increment, *operands: Increment) -> list[Increment]:
    if not is_constant(which):
        raise Unbounded("a branch is taken by a comparison which rounding may turn")
    return _cond(run, equation, which, *operands)


def _replay_cond(equation: Equation, operands: list[Any], run: Any, inlined: Inlined) -> list[Any]:
    which, *rest = operands
    branches = [partial(run, branch) for branch in equation.params["branches"]]
    return jax.lax.switch(jax.numpy.asarray(which, int), branches, *rest)


# -- linear solves ----------------------------------------------------------------------------------------------------


def _parts_of_solve(equation: Equation, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """What the matvec and the solver of a custom_linear_solve close over, and the right-hand side."""
    lengths = equation.params["const_lengths"]
    ends = np.cumsum([lengths.matvec, lengths.vecmat, lengths.solve, lengths.transpose_solve])
    return operands[: ends[0]], operands[ends[1] : ends[2]], operands[ends[3] :]


def _linear_solve(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """x of A x = b: A dx = db - dA x, with A as the equation's own matvec has it.

    The other results of the solver are constant. A solver that iterates stops at a tolerance; the changes are those of
    the x that solves the equations.
    """
    # the solver closes over arrays of its own, which move along with those of the matvec: only the latter count
    programs = equation.params["jaxprs"]
    matvec, solve, b = _parts_of_solve(equation, operands)
    fixed = [constant(x.value) for x in solve]
    found = run(programs.solve, *fixed, *[constant(y.value) for y in b])
    count = count_directions(*matvec, *b)
    if not count:
        return found
    x, others = found[: len(b)], found[len(b) :]
    # a solver that iterates would find dx to its tolerance only, or nothing of a right-hand side as small as a step
    matrix = _matrix(run, programs.matvec, matvec, b) if iterates(programs.solve) else None
    values = [y.value for y in x] if matrix is None else [y[0] for y in _solved(matrix, [y.value[None] for y in b])]
    # A x with x held fixed changes by dA x
    products = run(programs.matvec, *matvec, *map(constant, values))
    rights = [full_change(y, count) - full_change(product, count) for y, product in zip(b, products)]
    if matrix is not None:
        return [*(Increment(y.value, change) for y, change in zip(x, _solved(matrix, rights))), *others]
    changing = [Increment(y.value, change) for y, change in zip(b, rights)]
    solved = run.altered(ignores_stop_gradient=True)(programs.solve, *fixed, *changing)
    return [*solved[: len(b)], *others]


def _matrix(run: Any, matvec: Program, consts: Sequence[Increment], b: Sequence[Increment]) -> np.ndarray | None:
    """The matrix of a linear map of arrays like b; None where it is too large, or has no inverse.

    Its columns are the changes along the unit vectors, all in one run.
    """
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
    solutions = np.split(np.linalg.solve(matrix, flat.T).T, np.cumsum([y[0].size for y in rights])[:-1], axis=1)
    return [solution.reshape(y.shape) for solution, y in zip(solutions, rights)]


def _replay_linear_solve(equation: Equation, operands: list[Any], run: Any, inlined: Inlined) -> list[Any]:
    if not inlined(equation):
        return bind(equation, operands)
    _, solve, b = _parts_of_solve(equation, operands)
    return run(equation.params["jaxprs"].solve, *solve, *b)


def _widen_reduce(equation: Equation) -> Applied:
    """A fold by a program of the user's own, in float64."""
    half, fold = len(equation.inputs) // 2, replayed_with_primals(widened(equation.params["jaxpr"]))

    def apply(*operands: Any) -> list[Any]:
        given, start, axes = operands[:half], operands[half:], equation.params["dimensions"]
        return list(jax.lax.reduce(given, start, lambda x, y: tuple(fold(*x, *y)), axes))

    return apply


OWN = Compilation.OWN_PROGRAM

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive("scan", _scan, _bound_of(_scan), EXACT, compilation=OWN, takes_keys=True, replay=_replay_scan),
    Primitive(
        "while", _while, _bound_of(_while), EXACT,
        compilation=OWN, takes_keys=True, replay=_replay_while, iterates=True,
    ),
    Primitive("cond", _cond, _bound_of_cond, EXACT, compilation=OWN, takes_keys=True, replay=_replay_cond),
    Primitive(
        "custom_linear_solve", _linear_solve, rounding=EXACT,
        compilation=OWN, takes_keys=True, replay=_replay_linear_solve,
    ),
    Primitive("reduce", rounding=EXACT, widen=_widen_reduce),
)  # fmt: skip
