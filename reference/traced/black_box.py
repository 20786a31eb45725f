"""Primitives without a rule of their own: JAX computes their values, and differences of these what changes.

One such primitive is differenced alone, along each direction, so that it does not cost the exactness of the others. A
run that rounds at random moves what was found here by its estimated error, too.
"""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import jax
import numpy as np

from reference.arithmetics.increments import Increment
from reference.arithmetics.many_directions import STEP, constant, directions, full_change, is_constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.program import Equation, Program, bind, host, is_key, kind, settings, unit_roundoff

WIDTHS = (4e-3, 4e-5, 4e-7)
"""Steps tried, in units of the operand's size: the first for what is smooth, the others beside an edge."""

NOISE_ROUNDINGS = 16.0
"""Values are good to so many u of the largest."""

STENCIL = np.array([1.0, -1.0, 0.5, -0.5, 0.25, -0.25])


_compiled: WeakKeyDictionary[Equation, dict[str, Callable[..., Any]]] = WeakKeyDictionary()


def _program(equation: Equation, how: str, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """A compiled program of an equation, made once."""
    programs = _compiled.setdefault(equation, {})
    if how not in programs:
        programs[how] = jax.jit(make())
    return programs[how]


def values_of(equation: Equation, values: Sequence[Any]) -> list[Any]:
    """What JAX computes, in float64 where the primitive takes that, else in the program's own precision."""
    apply = _program(equation, "values", lambda: lambda *operands: bind(equation, operands))
    with settings(True):  # even where the caller's JAX has 32 bits
        try:
            return [_wide(host(x)) for x in apply(*values)]
        except (TypeError, ValueError, NotImplementedError):
            return [_wide(host(x)) for x in apply(*own_types(equation, values))]


def own_types(equation: Equation, values: Sequence[Any]) -> list[Any]:
    """Values in the precision that the program states."""
    return [x if is_key(x) else np.asarray(x).astype(t) for x, t in zip(values, equation.input_dtypes)]


def _wide(array: Any) -> Any:
    if is_key(array):
        return array
    letter = kind(array.dtype)
    return array.astype({"f": np.float64, "c": np.complex128}[letter]) if letter in ("f", "c") else array


def differenced(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """Values and, by differences, their changes."""
    values = [x.value for x in operands]
    centre = values_of(equation, values)
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
    found = _richardson(equation, values, moving, slopes, steps, centre)
    outputs = []
    for value, (tried, errors) in zip(centre, found):
        if np.asarray(value).dtype.kind not in "fc":
            outputs.append(constant(value))
            continue
        best = np.argmin(np.where(np.isnan(errors), np.inf, errors), axis=0)[None]
        change, error = (np.take_along_axis(array, best, 0)[0] for array in (tried, errors))
        if run.rounding is not None:
            signs = run.rounding.choice([-1.0, 1.0], (2, *change.shape))
            change = change + error * (signs[0] + 1j * signs[1] if np.iscomplexobj(change) else signs[0])
        outputs.append(Increment(value, change * STEP))
    return outputs


def _richardson(
    equation: Equation, values: Sequence[Any], moving: Sequence[int], slopes: Sequence[Any], steps: Any, centre: Any
) -> list[tuple[Any, Any]]:
    """For each output the slopes and estimates of their errors, (widths, directions, ...) each."""
    lead = (len(STENCIL), *steps.shape)
    moved = list(values)
    for i, slope in zip(moving, slopes):
        ones = (1,) * np.ndim(values[i])
        distance = STENCIL.reshape(-1, 1, 1, *ones) * steps.reshape(1, *steps.shape, *ones)
        moved[i] = np.asarray(values[i]) + distance * slope
    found, unit = [], _precision(equation)
    for value, answer in zip(centre, _at_each(equation, moved, moving, lead)):
        if answer.dtype.kind not in "fc":
            found.append((answer, answer))
            continue
        step = steps.reshape(*steps.shape, *(1,) * (answer.ndim - 3))
        far, middle, near = ((answer[i] - answer[i + 1]) / (2.0 * STENCIL[i] * step) for i in (0, 2, 4))
        first, second = (4.0 * near - middle) / 3.0, (4.0 * middle - far) / 3.0
        noise = NOISE_ROUNDINGS * unit * np.abs(np.asarray(value)).max(initial=0.0)
        found.append(((16.0 * first - second) / 15.0, np.abs(first - second) + noise / (STENCIL[4] * step)))
    return found


def _precision(equation: Equation) -> float:
    """u of what computes the values: a program within a primitive keeps its own types, whatever the operands are."""
    own = UNIT_ROUNDOFF["float64"]
    if not any(isinstance(value, Program) for value in equation.params.values()):
        return own
    dtypes = [t for t in (*equation.dtypes, *equation.input_dtypes) if t is not None and kind(t) in ("f", "c")]
    return max([own, *map(unit_roundoff, dtypes)])


def _at_each(equation: Equation, moved: list[Any], moving: Sequence[int], lead: tuple[int, ...]) -> list[Any]:
    """The outputs at each point of the stencil, the axes `lead` before their own."""
    flat = [x.reshape(-1, *x.shape[len(lead) :]) if i in moving else x for i, x in enumerate(moved)]
    axes = tuple(0 if i in moving else None for i in range(len(flat)))
    apply = _program(
        equation, f"stencil {axes}", lambda: jax.vmap(lambda *operands: bind(equation, operands), in_axes=axes)
    )
    try:
        with settings(True):
            answers = [np.asarray(x) for x in apply(*flat)]
    except (TypeError, ValueError, NotImplementedError):
        one_by_one = [values_of(equation, _with(flat, moving, k)) for k in range(int(np.prod(lead)))]
        answers = [np.stack([np.asarray(x) for x in column]) for column in zip(*one_by_one)]
    return [_wide(x).reshape(*lead, *x.shape[1:]) for x in answers]


def _with(flat: list[Any], moving: Sequence[int], k: int) -> list[Any]:
    return [x[k] if i in moving else x for i, x in enumerate(flat)]


def by_its_rule(equation: Equation, *operands: Increment) -> list[Increment]:
    """Values and changes as JAX's own rule has them, for a rule that is to be taken as it is."""
    values = [x if is_key(x) else np.asarray(x) for x in own_types(equation, [x.value for x in operands])]
    count = directions(*operands)
    moving = [i for i, x in enumerate(operands) if not is_constant(x) and np.asarray(x.value).dtype.kind in "fc"]
    if not count or not moving:
        return list(map(constant, map(_wide, map(host, bind(equation, values)))))

    def apply(*changing: Any) -> list[Any]:
        full = list(values)
        for i, x in zip(moving, changing):
            full[i] = x
        return bind(equation, full)

    primals = [values[i] for i in moving]
    tangents = [(full_change(operands[i], count) / STEP).astype(values[i].dtype) for i in moving]
    outputs, changes = _pushed(apply, primals, tangents)
    return [
        Increment(_wide(host(y)), np.asarray(c).astype(_wide(host(y)).dtype) * STEP)
        if kind(y.dtype) in ("f", "c")
        else constant(host(y))
        for y, c in zip(outputs, changes)
    ]


def _pushed(apply: Callable[..., Any], primals: list[Any], tangents: list[Any]) -> tuple[list[Any], list[Any]]:
    try:
        outputs = apply(*primals)
        return outputs, jax.vmap(lambda *t: jax.jvp(apply, tuple(primals), t)[1])(*tangents)
    except TypeError:  # a custom_vjp, which has no forward mode: its transpose by reverse mode over reverse mode
        outputs, pull_back = jax.vjp(apply, *primals)
        zero = [np.zeros(np.shape(y), y.dtype) for y in outputs]
        transpose = jax.linear_transpose(lambda *w: pull_back(list(w)), *zero)
        return outputs, jax.vmap(lambda *t: list(transpose(t)))(*tangents)
