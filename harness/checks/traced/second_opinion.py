"""Finite differences as a second opinion on the increments: from f's values alone, and who is right of the two.

In float64 the values are JAX's own, so that neither the interpreter's rules nor JAX's derivative rules take part.
Increments have the last word, since they are far more precise and see no kink beside the point. They have it no longer
where differences and JAX agree with each other, and not with them.

A program that moves in steps, as a root by bisection does, has two slopes: that within a step, and that of the climb
over many steps. Increments and JAX's rules for the program itself have the first one, exactly. A derivative rule that
somebody wrote for such a program means the second one, so that differences judge it, unless the steps are those of a
solver's tolerance: increments take a finer one. Over a width h these know the
climb up to the height of a step over h, and nothing where h holds no more than a few steps: then nobody judges. Nor
does anybody where the rule gives the slope within a step, and steps are coarse enough to be meant, as a quantiser's.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from harness.bounds.tolerances import DIFFERENCED
from harness.checks.traced.derivative_answers import Look
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS
from harness.checks.traced.measured_point import Point
from harness.checks.traced.program_at_point import ProgramAtPoint
from harness.checks.traced.real_coordinates import Estimate, UnitVectors, combine
from harness.verdict.comparison import Answer, compare, compare_all
from reference.arithmetics.central_differences import POINTS, best_width, slopes_from
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.jax_internals import CallbackRaised, raising_callbacks
from reference.traced.decisions import choice_of
from reference.traced.equations import Equation, Program, iterates
from reference.traced.primitive_differences import has_finer_solver
from reference.traced.primitives.calls import CUSTOM_RULES
from reference.traced.program_replay import ENDLESS, Ending, longest_beside, replayed_with_primals
from reference.traced.rule_origins import is_rule_of_library
from reference.traced.traced_function import Traced

WIDTHS = (1.6e-2, 1e-3, 5e-5)
"""Step sizes, in units of the argument. The one with the smallest estimate of its error is used: a wide one for smooth
functions, whose noise is divided by it, and a narrow one beside a kink or a pole."""

NOISE_ROUNDINGS = 64.0
"""A value is taken to be good to so many u of the largest value: the roundings of 4,096 terms that add up at random
leave √4096 of them."""

NOISE_GAIN = 8.0
"""The weights of the six values in a difference that is extrapolated twice add up to 6.6 over the step; with room."""

REACHES = 0.5 * 4.0 ** -np.arange(20.0, -1.0, -1.0)
"""Distances from 5e-13 to 0.5, in units of the argument, at which a function that moves in steps is seen to."""

EDGES_MET = 6  # places beside a point on the edge of a step, of which some are on no edge

ARGUMENT_ROUNDINGS = 4.0
"""A value beside the point is off by as many roundings of the argument, times the slope: x + h is rounded, and so may
be 1e6 (x + h), though it has few digits at x itself, so that rounding at random moves nothing there."""

FEWEST_STEPS = 4.0  # a width over which differences know a climb is so many times the distance at which steps are seen

COARSE = UNIT_ROUNDOFF["float64"] ** 0.5
"""Steps that are higher than this share of a value may be meant: somebody rounds to less than half of the digits, and
reports the slope within a step."""


class SecondOpinion(NamedTuple):
    """The answers of a look and finite differences as one more, with infinite errors where an oracle judges nobody."""

    answers: list[Answer]
    differenced: Estimate  # the differences with their own errors
    climbs: np.ndarray  # mask of the coordinates in which the climb of steps is judged
    in_steps: np.ndarray  # mask of those in which nobody judges, for f moves in steps
    is_contradicted: bool  # whether f's values contradict the increments somewhere


def with_differences(point: Point, look: Look, ordinary: float, *, has_black_box: bool) -> SecondOpinion:
    """Finite differences beside the answers of a look, and who judges where they contradict the increments.

    `has_black_box` says that a part of the program may compute in its own precision, and have that precision's noise.
    """
    blocks, weights, examined = look.coordinates.blocks, point.combinations.weights, look.plan.examined
    at_odds = lambda a, b: compare(a, b, blocks, ordinary).at_odds  # noqa: E731
    axes = _axes_to_difference(look, ordinary, len(weights))
    found = Stencil.around(point, examined[axes], has_black_box=has_black_box)

    def everywhere(estimate: Estimate) -> Estimate:  # where nothing was differenced, nothing is known
        full = Estimate(*(np.full((len(weights), len(examined)), x) for x in (np.nan, np.inf)))
        full.derivative[:, axes], full.error[:, axes] = estimate
        full.error[~point.is_known] = np.inf
        return full

    def is_own(eq: Equation) -> bool:
        return eq.name in CUSTOM_RULES and not point.case.trusted(eq) and not is_rule_of_library(eq)

    program, noise = point.case.program, found.noise
    climbs, coarse = np.zeros((2, len(weights), len(examined)), bool)
    accused = np.any([at_odds(answer, look.increments) for answer in look.judged], axis=0)
    # without a rule of the user's own for all that jumps, JAX's derivative may be that within a step on purpose
    ruled = accused | (not jumps(program, is_own))
    if np.any(ruled) and jumps(program, _is_by_finer_solver):
        reaches = found.reaches(point.program)
        heights = found.heights(reaches)
        noise = np.maximum(noise, heights)
        is_coarse = heights.min(axis=1) > COARSE * np.abs(found.here)
        climbs[:, axes] = combine(np.abs(weights), np.isfinite(reaches)) > 0.0
        coarse[:, axes] = combine(np.abs(weights), is_coarse) > 0.0
    climbs, estimate = climbs.ravel() & ruled, everywhere(found.estimate(weights, noise))
    # where the slope within a step may be meant as well as the climb, or no climb is known, nobody judges
    in_steps = climbs & (coarse.ravel() & ~accused | ~np.isfinite(estimate.error.ravel()))
    differenced, increments = (
        replace(answer, error=np.where(in_steps, np.inf, answer.error))
        for answer in (point.answer(DIFFERENCES, estimate, blocks), look.increments)
    )
    climbs &= ~in_steps
    increments, differenced, is_contradicted = arbitrate(look.judged, increments, differenced, climbs, at_odds)
    is_contradicted |= bool((in_steps & accused).any())
    return SecondOpinion([*look.judged, increments, differenced], estimate, climbs, in_steps, is_contradicted)


def _axes_to_difference(look: Look, ordinary: float, rows: int) -> np.ndarray:
    """Numbers of examined inputs: some in which an answer contradicts the increments, and some spread over all.

    A difference costs six calls of f for each step size, so that not all inputs are differenced.
    """
    blocks, size = look.coordinates.blocks, len(look.plan.examined)
    pairs = compare_all([*look.judged, look.increments], blocks, ordinary)
    at_odds = [pair.at_odds for pair in pairs if pair.other(INCREMENTS)]
    wrong = np.unique(np.flatnonzero(np.any([np.zeros(size * rows, bool), *at_odds], axis=0)) % size)
    some = DIFFERENCED if look.plan.whole is None else 1
    return np.union1d(wrong[:DIFFERENCED], np.arange(0, size, -(-size // some))).astype(int)


def arbitrate(
    own: Sequence[Answer],
    increments: Answer,
    differenced: Answer,
    climbs: np.ndarray,
    at_odds: Callable[[Answer, Answer], np.ndarray],
) -> tuple[Answer, Answer, bool]:
    """Increments and differences, with infinite errors where they judge nobody; and whether increments ever do not.

    | JAX | increments | differences | judging |
    |-----|------------|-------------|---------|
    | 1   | 2          | 1           | differences: increments have met something that they have wrong |
    | 1   | 1          | 2           | increments: a kink or a jump is within the differences' reach |
    | 2   | 1          | 3           | increments |

    An error of the increments in one coordinate may be in others, too. So once they are outvoted anywhere, they accuse
    nobody anywhere unless differences do as well. In `climbs`, a mask of coordinates, differences judge alone.
    """
    increments = replace(increments, error=np.where(climbs, np.inf, increments.error))
    contradiction = at_odds(increments, differenced)
    accused = [(at_odds(answer, increments), at_odds(answer, differenced)) for answer in own]
    is_contradicted = any(x.any() for x in (climbs, *(by & contradiction & ~by_second for by, by_second in accused)))
    for by_increments, by_differences in accused:
        if is_contradicted:
            alone = by_increments & ~by_differences
            increments = replace(increments, error=np.where(alone, np.inf, increments.error))
        alone = by_differences & ~by_increments & ~climbs
        differenced = replace(differenced, error=np.where(alone, np.inf, differenced.error))
    # of two oracles that contradict each other, the differences give way where the increments still judge
    outvoted = contradiction & np.isfinite(increments.error)
    return increments, replace(differenced, error=np.where(outvoted, np.inf, differenced.error)), is_contradicted


def jumps(program: Program, ignores: Callable[[Equation], bool] = lambda _: False) -> bool:
    """Whether some choice in a program makes its value jump, other than in equations that are ignored."""
    kept = [eq for eq in program.equations if not ignores(eq)]
    return any((choice := choice_of(eq)) is not None and not choice.is_continuous for eq in kept) or any(
        jumps(inner, ignores) for eq in kept for inner in eq.programs
    )


def _is_by_finer_solver(equation: Equation) -> bool:
    """Whether increments are those of a solver with a finer tolerance, whose steps are smaller."""
    return equation.primitive.has_own_rule and has_finer_solver(equation)


# -- differences of values --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Stencil:
    """f's values beside the point along some inputs."""

    evaluate: Callable[[Iterable[np.ndarray]], np.ndarray]  # f at several points, (points, outputs)
    directions: UnitVectors
    point: np.ndarray
    steps: np.ndarray  # (axes, widths) array, in the units of x
    here: np.ndarray  # (outputs,) array: the values at the point
    values: np.ndarray  # (axes, widths, points, outputs) array: at each step times `POINTS`
    noise: float  # what a value of any output may be off by: by rounding in whatever computes it

    @staticmethod
    @np.errstate(all="ignore")
    def around(point: Point, axes: np.ndarray, *, has_black_box: bool) -> "Stencil":
        """The values around a point along the inputs with these numbers."""
        program, directions = point.program, UnitVectors(axes, point.program.inputs.size)
        evaluate, steps = _values_by(point.case.traced, program), _steps_along(program, axes, directions)
        points = (program.point + t * h * directions[k] for k, row in enumerate(steps) for h in row for t in POINTS)
        here, *values = evaluate(chain([program.point], points))
        by_jax, own = program.coarsest <= UNIT_ROUNDOFF["float64"], point.error
        rounding = float(own[np.isfinite(own)].max(initial=0.0)) if by_jax else 0.0
        unit = program.coarsest if has_black_box else UNIT_ROUNDOFF["float64"]
        noise = max(rounding, NOISE_ROUNDINGS * unit * np.abs(here[np.isfinite(here)]).max(initial=0.0))
        values = np.reshape(values, (*steps.shape, len(POINTS), len(here)))
        return Stencil(evaluate, directions, program.point, steps, here, values, noise)

    def slopes(self, noise: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Central differences, twice extrapolated (Richardson), and their errors, at the best widths: (axes, outputs).

        The error is the truncation that extrapolation shows plus the noise of the values over the step.
        """
        h = self.steps[..., None]
        slopes, truncation = slopes_from(np.moveaxis(self.values, 2, 0), h)  # (axes, widths, outputs)
        errors = np.nan_to_num(truncation + NOISE_GAIN * noise / h, nan=np.inf)
        # across a bend an error may seem small by chance: a shorter step that contradicts it is right
        for i in range(len(WIDTHS) - 1):
            off = np.abs(slopes[:, i + 1 :] - slopes[:, i : i + 1]) > errors[:, i + 1 :] + errors[:, i : i + 1]
            errors[:, i] = np.where(off.any(axis=1), np.inf, errors[:, i])
        return best_width(slopes, errors, axis=1)

    @np.errstate(all="ignore")
    def estimate(self, weights: np.ndarray, noise: float | np.ndarray) -> Estimate:
        """The slopes of combinations of the outputs, (combinations, axes)."""
        slopes, errors = self.slopes(noise)
        found = combine(weights, np.where(np.isfinite(errors), slopes, np.nan))
        return Estimate(found, np.where(np.isnan(found), np.inf, combine(np.abs(weights), errors)))

    @cached_property
    def _beside(self) -> tuple[np.ndarray, np.ndarray]:
        """Distances on both sides, (axes, 2, reaches), and f's changes there, with an axis more for the outputs."""
        sizes = np.array([[abs(self.directions[k] @ self.point)] for k in range(len(self.steps))])
        # past 0 a function may have no value, and a loop no end
        farthest = np.minimum(self.steps[:, :1] / WIDTHS[0], np.where(sizes > 0.0, sizes, np.inf))
        distances = np.stack([farthest * REACHES, -farthest * REACHES], axis=1)
        points = (self.point + h * self.directions[k] for k, row in enumerate(distances) for h in row.ravel())
        _, *values = self.evaluate(chain([self.point], points))
        return distances, np.reshape(values, (*distances.shape, len(self.here))) - self.here

    @np.errstate(all="ignore")
    def reaches(self, program: ProgramAtPoint) -> np.ndarray:
        """The distances at which steps are seen on both sides, (axes, outputs); infinite where there are none.

        By the mean value theorem, values that leave a line by more than slopes on the way do have jumped. Beyond a kink
        or a single jump on one side, f follows the slope at the point on the other one.
        """
        distances, moved = self._beside
        found, rng = np.full((len(distances), len(self.here)), np.inf), np.random.default_rng(program.seed)
        for k, (ahead, _) in enumerate(distances):
            along = self.directions[k][None]
            slopes = lambda t: program.changes(along, program.run(), self.point + t * along[0])[0]  # noqa: B023, E731
            here = slopes(0.0)
            if np.isnan(here).any():  # on the edge of a step; where all places are, steps are as fine as rounding
                here = np.nan_to_num(np.fmax.reduce([here, *map(slopes, ahead[:EDGES_MET])]))
            of_argument = ARGUMENT_ROUNDINGS * UNIT_ROUNDOFF["float64"] * np.abs(along[0] @ self.point * here)
            off = np.abs(moved[k] - distances[k][..., None] * here).min(axis=0) - 2.0 * self.noise - of_argument
            for h, left in zip(ahead, off):
                turned, is_seen = np.zeros(len(here)), (left > 0.0) & np.isinf(found[k])
                for t in h * np.concatenate([[1.0, -1.0], rng.uniform(-1.0, 1.0, len(POINTS) - 2)]):
                    if is_seen.any():  # the slope is unknown where a place meets the edge of a step by chance
                        turned = np.fmax(turned, np.abs(slopes(t) - here))
                        is_seen &= left > 2.0 * h * turned
                found[k, is_seen] = h
        return found

    @np.errstate(all="ignore")
    def heights(self, reaches: np.ndarray) -> np.ndarray:
        """How far steps keep values from a climb, (axes, widths, outputs): 0 without steps, infinite where few fit."""
        distances, moved = (x[:, 0] for x in self._beside)
        odd = 0.5 * (moved - self._beside[1][:, 1])
        slopes, _ = slopes_from(np.moveaxis(self.values, 2, 0), self.steps[..., None])  # (axes, widths, outputs)
        off = np.abs(odd[:, None] - distances[:, None, :, None] * slopes[:, :, None])
        within = FEWEST_STEPS * distances[:, None] <= self.steps[..., None]
        largest = 2.0 * np.where(within[..., None], off, 0.0).max(axis=2)
        few = FEWEST_STEPS * reaches[:, None] > self.steps[..., None]
        return np.where(np.isinf(reaches)[:, None], 0.0, np.where(few, np.inf, largest))


def _values_by(traced: Traced, program: ProgramAtPoint) -> Callable[[Iterable[np.ndarray]], np.ndarray]:
    """The function at several points, (points, outputs): JAX's own values in float64, the interpreter's in less."""
    if program.coarsest > UNIT_ROUNDOFF["float64"]:
        return lambda points: _by_interpreter(program, iter(points))
    function = traced.__call__
    if iterates(traced.program):  # a loop may have no end at some other point
        here = [x[0] for x in program.inputs.arrays(program.point[None])]
        by_steps = Traced(Ending(replayed_with_primals(traced.program)), ENDLESS, *here)
        found = list(map(np.asarray, by_steps(ENDLESS, *here)))
        function = partial(by_steps, longest_beside(by_steps, here, found))

    def by_jax(point: np.ndarray) -> np.ndarray:
        try:
            with raising_callbacks():
                return program.outputs.vector(function(*(x[0] for x in program.inputs.arrays(point[None]))))
        except CallbackRaised:  # the edge of f's domain
            return np.full(program.outputs.size, np.nan)

    return lambda points: np.array(list(map(by_jax, points)))


def _by_interpreter(program: ProgramAtPoint, points: Iterator[np.ndarray]) -> np.ndarray:
    """All points in one run of the program that `jax.vmap` makes for so many, if that keeps the function's values.

    The first point is `program.point`, whose values are known.
    """
    some = list(islice(points, program.chunk + 1))  # one more than fit into a pass shows that there are too many
    if len(some) <= program.chunk:
        found = program.values_together(np.array(some), program.run())
        if found is not None:
            return found
    return np.array(list(map(program.value, chain(some, points))))


def _steps_along(program: ProgramAtPoint, axes: np.ndarray, directions: UnitVectors) -> np.ndarray:
    """The step sizes along some inputs, in the units of x: (axes, widths)."""
    units = np.array([program.unit_along(directions[k]) for k in range(len(directions))])
    steps = units[:, None] * np.array(WIDTHS)
    # |x| near 1e-8 bends within the length of x itself, where a step of 5e-5 · 1e-2 sees the kink at 0
    sizes = np.abs(program.point[axes])
    steps[:, -1] = np.where((sizes > 0.0) & (sizes < steps[:, -1]), WIDTHS[0] * sizes, steps[:, -1])
    # a step that is not the last moves no number past 0, where a function may have no value, and a loop no end
    return np.maximum(np.minimum(steps, np.where(sizes > 0.0, 0.5 * sizes, np.inf)[:, None]), steps[:, -1:])
