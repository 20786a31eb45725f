"""Primitives without a rule of their own: JAX computes their values, and differences of these what changes.

One such primitive is differenced alone, along each direction, so that it does not cost the exactness of the others. A
run that rounds at random moves what was found here by its estimated error, too. How far something that iterates is from
what it converges to is seen when it is made more accurate (`reference.traced.solving`).
"""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np

from reference.arithmetics.increments import STEP, Increment, constant, directions, full_change, is_constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.jax_settings import compiler_options, precisely
from reference.traced.program import (
    CUSTOM_RULES,
    Equation,
    bind,
    function_of,
    host,
    is_key,
    iterates,
    kind,
    primal_of,
    programs_in,
    unit_roundoff,
)
from reference.traced.solving.replaying import more_accurate
from reference.traced.widening import Applied, widely, widened

WIDTHS = (4e-3, 4e-5, 4e-7)
"""Steps tried, in units of the operand's size: the first for what is smooth, the others beside an edge."""

NOISE_ROUNDINGS = 16.0
"""Values are good to so many u of the largest."""

STENCIL = np.array([1.0, -1.0, 0.5, -0.5, 0.25, -0.25])

FEWEST_POINTS = 8 * len(WIDTHS) * len(STENCIL)
"""Eight directions."""

REFUSALS = (TypeError, ValueError, NotImplementedError, jax.errors.JaxRuntimeError)
"""What JAX raises where a primitive, or a callback, does not take float64."""

_found: WeakKeyDictionary[Equation, tuple[list[Any], Any, Any]] = WeakKeyDictionary()


def _program(equation: Equation, how: str, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """A compiled program of an equation, made once."""
    return equation.once(how, lambda: jax.jit(make(), compiler_options=compiler_options()))


def values_of(equation: Equation, values: Sequence[Any], run: Any = None) -> list[Any]:
    """What JAX computes, in float64 where it can, else in the program's own precision.

    The run is told where it was the latter.
    """
    wide = widely(equation)
    apply = _program(equation, "values", lambda: wide or (lambda *operands: bind(equation, operands)))
    with precisely():
        try:
            found = list(map(host, apply(*_in_its_types(equation, values))))
        except REFUSALS:
            found = list(map(host, apply(*own_types(equation, values))))
    units = [_precision(equation), *map(_unit, found)]
    if run is not None and max(units) > UNIT_ROUNDOFF["float64"]:
        run.in_own_precision.add(equation.name)
    return list(map(_wide, found))


def _unit(array: Any) -> float:
    return unit_roundoff(array.dtype) if kind(array.dtype) in ("f", "c") else 0.0


def _in_its_types(equation: Equation, values: Sequence[Any]) -> Sequence[Any]:
    """Values in float64, or as a program within the equation takes them, which keeps its own types."""
    return own_types(equation, values) if _precision(equation) > UNIT_ROUNDOFF["float64"] else values


def own_types(equation: Equation, values: Sequence[Any]) -> list[Any]:
    """Values in the precision that the program states."""
    return [x if is_key(x) else np.asarray(x).astype(t) for x, t in zip(values, equation.input_dtypes)]


def _wide(array: Any) -> Any:
    if is_key(array):
        return array
    letter = kind(array.dtype)
    return array.astype({"f": np.float64, "c": np.complex128}[letter]) if letter in ("f", "c") else array


SOLVERS_BAR = 0.25
"""Runs that round at random show 16 times what they are moved by: four times what a solver's tolerance moves."""


def differenced(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """Values and, by differences, their changes.

    What iterates up to a tolerance has slopes up to that tolerance: what a finer one moves of them counts as an error.
    """
    values = [x.value for x in operands]
    centre = values_of(equation, values, run)
    count = directions(*operands)
    moving = [i for i, x in enumerate(operands) if not is_constant(x) and np.asarray(x.value).dtype.kind in "fc"]
    if not count or not moving or not any(np.asarray(y).dtype.kind in "fc" for y in centre if not is_key(y)):
        return list(map(constant, centre))
    run.differenced.add(equation.name)
    slopes = [operands[i].change / STEP for i in moving]
    sizes = np.max([np.abs(s).reshape(count, -1).max(axis=1, initial=0.0) for s in slopes], axis=0)
    sizes = np.where(sizes > 0.0, sizes, 1.0)
    scale = max(1e-3, *(float(np.abs(values[i]).max(initial=0.0)) for i in moving))
    steps = scale * np.array(WIDTHS)[:, None] / sizes  # (widths, directions)
    given = [*values, *slopes]
    known = _found.get(equation)
    if known is None or not all(map(np.array_equal, known[0], given)):  # what stands first is the same in many runs
        found = again = _richardson(equation, values, moving, slopes, steps, centre)
        finely = _finely(equation, values, centre)
        if finely:
            again = _richardson(equation, values, moving, slopes, steps, centre, finely)
        known = _found[equation] = given, found, again
    _, found, again = known
    outputs = []
    for value, slopes_found, slopes_again in zip(centre, found, again):
        if np.asarray(value).dtype.kind not in "fc":
            outputs.append(constant(value))
            continue
        (change, error), (finest, _) = map(_best, (slopes_found, slopes_again))
        error = error + SOLVERS_BAR * np.abs(finest - change)
        if run.rounding is not None:
            signs = run.rounding.choice([-1.0, 1.0], (2, *change.shape))
            change = change + error * (signs[0] + 1j * signs[1] if np.iscomplexobj(change) else signs[0])
        outputs.append(Increment(value, change * STEP))
    return outputs


def _finely(equation: Equation, values: Sequence[Any], found: Sequence[Any]) -> Applied | None:
    """A call that iterates, by more accurate solvers; None for what does not."""
    if equation.name not in CUSTOM_RULES or not iterates(primal_of(equation)):
        return None
    program, given = primal_of(equation), own_types(equation, values)
    if widely(equation):
        program, given = widened(program), list(values)
    with precisely():
        return equation.once("finer", lambda: more_accurate(program, given, found))


def _best(found: tuple[Any, Any]) -> tuple[Any, Any]:
    """The slopes with the smallest errors of all widths, and these."""
    tried, errors = found
    best = np.argmin(np.where(np.isnan(errors), np.inf, errors), axis=0)[None]
    return np.take_along_axis(tried, best, 0)[0], np.take_along_axis(errors, best, 0)[0]


def _richardson(
    equation: Equation,
    values: Sequence[Any],
    moving: Sequence[int],
    slopes: Sequence[Any],
    steps: Any,
    centre: Any,
    finely: Applied | None = None,
) -> list[tuple[Any, Any]]:
    """For each output the slopes and estimates of their errors, (widths, directions, ...) each."""
    lead = (len(STENCIL), *steps.shape)
    moved = list(values)
    for i, slope in zip(moving, slopes):
        ones = (1,) * np.ndim(values[i])
        distance = STENCIL.reshape(-1, 1, 1, *ones) * steps.reshape(1, *steps.shape, *ones)
        moved[i] = np.asarray(values[i]) + distance * slope
    found, own = [], _precision(equation)
    for value, (answer, unit) in zip(centre, _at_each(equation, moved, moving, lead, finely)):
        if answer.dtype.kind not in "fc":
            found.append((answer, answer))
            continue
        step = steps.reshape(*steps.shape, *(1,) * (answer.ndim - 3))
        far, middle, near = ((answer[i] - answer[i + 1]) / (2.0 * STENCIL[i] * step) for i in (0, 2, 4))
        first, second = (4.0 * near - middle) / 3.0, (4.0 * middle - far) / 3.0
        noise = NOISE_ROUNDINGS * max(own, unit) * np.abs(np.asarray(value)).max(initial=0.0)
        found.append(((16.0 * first - second) / 15.0, np.abs(first - second) + noise / (STENCIL[4] * step)))
    return found


def _precision(equation: Equation) -> float:
    """u of what computes the values: a program within a primitive keeps its own types, whatever the operands are."""
    own = UNIT_ROUNDOFF["float64"]
    if widely(equation) or not programs_in(equation):
        return own
    dtypes = [t for t in (*equation.dtypes, *equation.input_dtypes) if t is not None and kind(t) in ("f", "c")]
    return max([own, *map(unit_roundoff, dtypes)])


def _at_each(
    equation: Equation, moved: list[Any], moving: Sequence[int], lead: tuple[int, ...], finely: Applied | None = None
) -> list[tuple[Any, float]]:
    """The outputs at each point of the stencil, the axes `lead` before their own, and u of their types."""
    count = int(np.prod(lead))
    flat = [_some(x.reshape(count, *x.shape[len(lead) :])) if i in moving else x for i, x in enumerate(moved)]
    axes = tuple(0 if i in moving else None for i in range(len(flat)))
    how, one = "stencil", widely(equation) or (lambda *operands: bind(equation, operands))
    if finely:  # as it is, for what is compiled with options cannot be called by what is compiled
        how, one = "finer stencil", inspect.unwrap(finely)
    apply = _program(equation, f"{how} {axes}", lambda: jax.vmap(one, in_axes=axes))
    try:
        with precisely():
            answers = [np.asarray(x) for x in apply(*_in_its_types(equation, flat))]
    except REFUSALS:
        at = [[x[k] if i in moving else x for i, x in enumerate(flat)] for k in range(count)]
        with precisely():
            one_by_one = [finely(*values) if finely else values_of(equation, values) for values in at]
        answers = [np.stack([np.asarray(x) for x in column]) for column in zip(*one_by_one)]
    return [(_wide(x[:count]).reshape(*lead, *x.shape[1:]), _unit(x)) for x in answers]


def _some(points: np.ndarray) -> np.ndarray:
    """No fewer points than `FEWEST_POINTS`, for each number of them is another program to be compiled."""
    missing = max(0, FEWEST_POINTS - len(points))
    return np.concatenate([points, np.repeat(points[-1:], missing, axis=0)]) if missing else points


def by_its_rule(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """Values and changes as JAX's own rule has them, for a rule that is to be taken as it is.

    A rule that is not linear in its cotangent, as one that clips it, is the transpose of nothing: its changes are NaN.
    """
    values = [x if is_key(x) else np.asarray(x) for x in own_types(equation, [x.value for x in operands])]
    count = directions(*operands)
    moving = [i for i, x in enumerate(operands) if not is_constant(x) and np.asarray(x.value).dtype.kind in "fc"]
    if not count or not moving:
        apply = _program(equation, "as it is", lambda: lambda *operands: bind(equation, operands))
        return list(map(constant, map(_wide, map(host, apply(*values)))))
    push = _program(equation, f"pushed {moving}", lambda: partial(_pushed, equation, moving))
    tangents = [(full_change(operands[i], count) / STEP).astype(values[i].dtype) for i in moving]
    outputs, changes = push(values, tangents)
    if changes is None:
        run.unresolved = (
            f"the rule of {function_of(equation).name} is not linear in its cotangent, so nothing that goes"
        )
        run.unresolved += " through it can be told; check what comes before it and after it apart"
        moves = np.array([any(np.any(t[k]) for t in tangents) for k in range(count)])
        nothing = np.where(moves, np.nan, 0.0)
        changes = [np.broadcast_to(nothing.reshape(count, *(1,) * np.ndim(y)), (count, *np.shape(y))) for y in outputs]
    return [
        Increment(_wide(host(y)), np.asarray(c).astype(_wide(host(y)).dtype) * STEP)
        if kind(y.dtype) in ("f", "c")
        else constant(host(y))
        for y, c in zip(outputs, changes)
    ]


def _pushed(
    equation: Equation, moving: Sequence[int], values: Sequence[Any], tangents: Sequence[Any]
) -> tuple[list[Any], list[Any] | None]:
    """Outputs and what moves them along tangents of some operands; None in its place for what is not linear."""

    def apply(*changing: Any) -> list[Any]:
        full = list(values)
        for i, x in zip(moving, changing):
            full[i] = x
        return bind(equation, full)

    primals = [values[i] for i in moving]
    try:
        return apply(*primals), jax.vmap(lambda *t: jax.jvp(apply, tuple(primals), t)[1])(*tangents)
    except TypeError:  # a custom_vjp, which has no forward mode: its transpose by reverse mode over reverse mode
        outputs, pull_back = jax.vjp(apply, *primals)
        zero = [np.zeros(np.shape(y), y.dtype) for y in outputs]
        try:
            transpose = jax.linear_transpose(lambda *w: pull_back(list(w)), *zero)
            return outputs, jax.vmap(lambda *t: list(transpose(t)))(*tangents)
        except Exception:  # noqa: BLE001  each primitive that is not linear refuses in its own way
            return outputs, None
