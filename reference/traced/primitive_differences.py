"""Primitives without a rule: JAX computes their values, and finite differences of these their increments.

One such primitive is differenced alone, along each direction, so that the others stay exact. A run that rounds at
random moves the differences by their estimated error, too, which makes it a part of the spread. A call that iterates is
also differenced with smaller tolerances (`reference.traced.solver_tolerances`): these slopes are taken where they are
known better; else what they change counts as an error. For operands x and a direction v, in units of their size:

    y' = (16 R1 - R2)/15, from values at x ± h v, ± h v/2 and ± h v/4, for three steps h
    error = |R1 - R2| + 16 u |y|/(h/4)

At a kink it is the slope on the side of v, and the run notes a tie, so that the other side is looked at as well.
Errors are estimates (`reference.arithmetics.central_differences`): the step with the smallest one is taken.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import jax
import numpy as np

from reference.arithmetics.central_differences import POINTS, best_width, kinks_from, slopes_from
from reference.arithmetics.increments import STEP, Increment, constant, count_directions, is_constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.jax_internals import CallbackRaised, raising_callbacks
from reference.jax_settings import precisely
from reference.traced.equations import (
    Equation,
    is_floating,
    is_key,
    iterates,
    lifted,
)
from reference.traced.primitive_values import (
    compiled,
    computed,
    in_taken_types,
    nothing_known,
    own_types,
    precision_of,
    unit_of,
    values_of,
)
from reference.traced.program_replay import (
    LONGEST_LOOP,
    Ending,
    bound,
    float64_version,
    longest_beside,
    widened,
)
from reference.traced.rule_origins import name_of
from reference.traced.solver_tolerances import TIGHTER, Finer, ends_at_tolerance, more_accurate

WIDTHS = (4e-3, 4e-5, 4e-7)
"""Steps tried, in units of the operand's size: the first for what is smooth, the others beside an edge.

Rounding leaves nearly twelve, ten and eight digits.
"""

COARSE_WIDTHS = (7e-2, *WIDTHS[:2])
"""The same for what is computed in a coarser type: truncation h⁶ and noise u/h are balanced at h in proportion to
u^(1/7), which is 18 times as large for float32."""

NOISE_ROUNDINGS = 16.0  # the error of values, in u of the largest: that of a few elementary functions

FEWEST = 8 * len(WIDTHS) * len(POINTS) + 1
"""Points of eight directions and their centre. Fewer are padded to these, since each number of points is another
program to compile."""

FEW_POINTS = 2 * FEWEST
"""Up to these, a loop runs at each point by itself: to compile it for all at once takes as long as hundreds of runs.

What is no loop compiles fast, and may call back to a host that takes all points at once.
"""

SMALLEST_SCALE = 1e-3  # steps are as for operands of this size at least: at zero there is no other scale

SOLVER_SHARE = 0.25
"""The part of a solver's error that the differences are moved by. Runs that round at random show 16 times that: four
times the error."""


class OutputSlopes(NamedTuple):
    """Slopes of one output, and estimates of their errors."""

    slope: Any
    error: Any
    has_kink: Any = False  # mask of the slopes that are those on one side of a kink


class StencilValues(NamedTuple):
    """One output around the operands and at them."""

    around: Any  # (points, widths, directions, ...) array
    centre: Any
    unit: float  # u of its type


# -- differences ------------------------------------------------------------------------------------------------------


def changing(operands: Sequence[Increment]) -> list[int]:
    """The operands that change and have derivatives."""
    return [i for i, x in enumerate(operands) if not is_constant(x) and is_floating(x.value)]


def differenced(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """Values and, by differences, their increments."""
    values = [x.value for x in operands]
    centre = values_of(equation, values, run)
    count, moving = count_directions(*operands), changing(operands)
    if not count or not moving or not any(is_floating(y) for y in centre if not is_key(y)):
        return list(map(constant, centre))
    run.observed.differenced.add(name_of(equation))
    run.observed.roundoff = max(run.observed.roundoff, precision_of(equation))
    # increments are STEP times a slope, far below what values resolve: the stencil chooses steps of its own
    slopes = [operands[i].change / STEP for i in moving]
    outputs = []
    if not run.is_beside and any(map(iterates, equation.programs)):
        within = longest_beside(lambda steps, *x: computed(equation, x, run, steps), values, centre)
        equation.memo["longest"] = max(within, equation.memo.get("longest", 0))
    for value, (change, error, has_kink) in zip(centre, _slopes_and_errors(equation, values, moving, slopes, centre)):
        if not is_floating(value):
            outputs.append(constant(value))
            continue
        run.note_ties(has_kink)
        # what is not known shows as a spread of such runs, like rounding
        if run.rounding is not None:
            signs = run.rounding.choice([-1.0, 1.0], (2, *change.shape))
            change = change + error * (signs[0] + 1j * signs[1] if np.iscomplexobj(change) else signs[0])
        outputs.append(Increment(value, change * STEP))
    return outputs


def _slopes_and_errors(
    equation: Equation, values: list[Any], moving: list[int], slopes: list[Any], centre: list[Any]
) -> list[OutputSlopes]:
    """For each output its slopes along the directions, and estimates of their errors.

    The last ones are kept: many runs give an equation at the start of a program the same operands.
    """
    given = [np.array(moving), *values, *slopes]
    # the directions belong to what is asked: other runs move the same operands otherwise
    known = equation.memo.get("differences")
    if known is not None and all(map(np.array_equal, known[0], given)):
        return known[1]
    own = precision_of(equation)
    steps = _steps(values, moving, slopes, WIDTHS if own <= UNIT_ROUNDOFF["float64"] else COARSE_WIDTHS)
    moved = _stencil(values, moving, slopes, steps)
    answers = finer_answers = _at_stencil(equation, values, moved)
    finer = _more_accurate_call(equation, values, centre)
    may_replace = has_finer_solver(equation)
    if finer:
        finer_answers = _at_stencil(equation, values, moved, finer)
    found = []
    for value, answer, finer_answer in zip(centre, answers, finer_answers):
        if not is_floating(answer.around):
            found.append(OutputSlopes(answer.around, answer.around))
            continue
        noise = NOISE_ROUNDINGS * max(own, answer.unit) * np.abs(np.asarray(value)).max(initial=0.0)
        found.append(_better_slopes(answer, finer_answer, steps, noise, may_replace=may_replace))
    equation.memo["differences"] = given, found
    return found


def _better_slopes(
    values: StencilValues, finer_values: StencilValues, steps: np.ndarray, noise: float, *, may_replace: bool
) -> OutputSlopes:
    """Slopes by a solver with its own tolerances or by one with finer ones, whichever are known better, and errors.

    To the first, what the finer tolerance changes counts as an error. Where values go in steps, as those of a
    bisection, only the others are known. They replace the first where the tolerance does nothing but end a loop: a
    number that chooses may be one of the function's own, such as the yield point of a spring.
    """
    with np.errstate(invalid="ignore"):
        left = TIGHTER * np.abs(finer_values.around - values.around).max(initial=0.0)
        slope, error, has_kink = _best_slopes(values, steps, noise)
        finer = _best_slopes(finer_values, steps, noise + left)
        moved = np.abs(finer.slope - slope)
        # NaN where the finer solver breaks down, which may be by a division of what is zero by then
        error = error + SOLVER_SHARE * np.where(np.isnan(moved), 0.0, moved)
    is_better = (finer.error < error) & may_replace
    return OutputSlopes(*(np.where(is_better, *each) for each in zip(finer, (slope, error, has_kink))))


def _steps(values: list[Any], moving: list[int], slopes: list[Any], widths: Sequence[float]) -> np.ndarray:
    """Step sizes, (widths, directions): each direction moves the operands by the widths' share of their size.

    No number changes its sign, unless it is below the narrowest step. Beyond 0 a function may have no value, such as
    √a by Newton's method, and its loop no end.
    """
    # a direction of size 3 takes a third of the step of one of size 1; one that moves nothing here takes any
    count = len(slopes[0])
    sizes = np.max([np.abs(s).reshape(count, -1).max(axis=1, initial=0.0) for s in slopes], axis=0)
    sizes = np.where(sizes > 0.0, sizes, 1.0)
    scale = max(SMALLEST_SCALE, *(float(np.abs(values[i]).max(initial=0.0)) for i in moving))
    steps = scale * np.array(widths)[:, None] / sizes
    to_zero = np.min([_steps_to_zero(values[i], s) for i, s in zip(moving, slopes)], axis=0)
    return np.maximum(np.minimum(steps, 0.5 * to_zero), steps[-1])


def _steps_to_zero(value: Any, slopes: Any) -> np.ndarray:
    """The step at which the first number of an operand arrives at zero, for each direction."""
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(np.equal(value, 0.0), np.inf, np.abs(value) / np.abs(slopes))
    return steps.reshape(len(slopes), -1).min(axis=1, initial=np.inf)


def has_finer_solver(equation: Equation) -> bool:
    """Whether an equation was differenced by a solver with a finer tolerance, too, that does nothing but end a loop."""
    return bool(equation.memo.get("finer")) and ends_at_tolerance(equation.primal)


def _more_accurate_call(equation: Equation, values: Sequence[Any], found: Sequence[Any]) -> Finer | None:
    """A call that iterates, by more accurate solvers; None for what does not iterate."""
    if not equation.primitive.has_own_rule or not iterates(equation.primal):
        return None
    # in float64 where JAX can: smaller tolerances are out of reach of coarser types
    program, given = equation.primal, own_types(equation, values)
    if float64_version(equation):
        program, given = widened(program), list(values)
    with precisely():
        return equation.once("finer", lambda: more_accurate(program, given, found))


def _stencil(
    values: Sequence[Any], moving: Sequence[int], slopes: Sequence[Any], steps: np.ndarray
) -> dict[int, np.ndarray]:
    """Of the operands that move the points of the stencil: (points, widths, directions, ...) arrays by their places."""
    moved = {}
    for i, slope in zip(moving, slopes):
        ones = (1,) * np.ndim(values[i])
        distance = POINTS.reshape(-1, 1, 1, *ones) * steps.reshape(1, *steps.shape, *ones)
        moved[i] = np.asarray(values[i]) + distance * slope
    return moved


def _best_slopes(values: StencilValues, steps: np.ndarray, noise: float) -> OutputSlopes:
    """The slopes of the best width and estimates of their errors, from values that are off by a noise."""
    step = steps.reshape(*steps.shape, *(1,) * np.ndim(values.centre))
    slopes, truncation = slopes_from(values.around, step)
    # the narrowest difference divides the noise by the smallest distance
    slope, error = best_width(slopes, truncation + noise / (POINTS[4] * step), axis=0)
    kinks = kinks_from(values.around, values.centre, step, noise)
    slope, error = (np.where(kinks.is_kink, *each) for each in zip(kinks[1:], (slope, error)))
    return OutputSlopes(slope, error, kinks.is_kink)


def _at_stencil(
    equation: Equation, values: Sequence[Any], moved: dict[int, np.ndarray], finer: Finer | None = None
) -> list[StencilValues]:
    """The outputs at each point of a stencil, and at the operands themselves."""
    lead = next(iter(moved.values())).shape[:3]
    count = int(np.prod(lead))
    points = {i: np.stack([*x.reshape(count, *x.shape[3:]), values[i]]) for i, x in moved.items()}
    runs_alone = count <= FEW_POINTS and any(map(iterates, equation.programs))
    answers = None if runs_alone else _batched(equation, values, points, finer)
    if answers is None:
        at = [[points[i][k] if i in points else x for i, x in enumerate(values)] for k in range(count + 1)]
        longest = equation.memo.get("longest", LONGEST_LOOP)
        one_by_one = [
            _by_finer_solvers(equation, finer, x) if finer else computed(equation, x, longest=longest) for x in at
        ]
        answers = [np.stack([np.asarray(x) for x in column]) for column in zip(*one_by_one)]
    return [
        StencilValues(lifted(x[:count]).reshape(*lead, *x.shape[1:]), lifted(x[count]), unit_of(x)) for x in answers
    ]


def _batched(
    equation: Equation, values: Sequence[Any], points: dict[int, np.ndarray], finer: Finer | None
) -> list[np.ndarray] | None:
    """The outputs at all points at once; None with a broken rule for batches, or beyond the edge of the domain."""
    axes = tuple(0 if i in points else None for i in range(len(values)))
    missing = max(0, FEWEST - len(next(iter(points.values()))))
    points = {i: np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) for i, x in points.items()}
    flat = [points.get(i, x) for i, x in enumerate(values)]
    one = finer.ending if finer else Ending(float64_version(equation) or bound(equation))
    apply = compiled(equation, ("stencil", bool(finer), axes), lambda: jax.vmap(one, in_axes=(None, *axes)))
    longest = finer.longest if finer else equation.memo.get("longest", LONGEST_LOOP)
    with suppress(Exception), precisely(), raising_callbacks():
        return [np.asarray(x) for x in apply(longest, *in_taken_types(equation, flat))]
    return None


def _by_finer_solvers(equation: Equation, finer: Finer, values: Sequence[Any]) -> Sequence[Any]:
    """The outputs at one point; NaN beyond the edge of the domain, where a solver may raise."""
    try:
        with precisely(), raising_callbacks():
            return finer.compiled(finer.longest, *in_taken_types(equation, values))
    except CallbackRaised:
        return nothing_known(equation)
