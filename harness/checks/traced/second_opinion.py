"""Finite differences as a second opinion on the increments: from f's values alone, and who is right of the two.

In float64 the values are JAX's own, so that neither the interpreter's rules nor JAX's derivative rules take part.
Increments have the last word, since they are far more precise and see no kink beside the point. They have it no longer
where differences and JAX agree with each other, and not with them; nor where f climbs by jumps, as a root does that is
found by bisection: the increments are the slopes of its steps, the same on all of them, and say nothing of the climb.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np

from harness.bounds.tolerances import DIFFERENCED
from harness.checks.traced.derivative_answers import Look
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS, Point
from harness.checks.traced.program_at_point import ProgramAtPoint
from harness.checks.traced.real_coordinates import Estimate, UnitVectors, combine
from harness.verdict.comparison import Answer, compare, compare_all
from reference.arithmetics.central_differences import POINTS, best_width, slopes_from
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.jax_internals import CallbackRaised, raising_callbacks
from reference.traced.traced_function import Traced

WIDTHS = (1.6e-2, 1e-3, 5e-5)
"""Step sizes, in units of the argument. The one with the smallest estimate of its error is used: a wide one for smooth
functions, whose noise is divided by it, and a narrow one beside a kink or a pole."""

NOISE_ROUNDINGS = 64.0
"""A value is taken to be good to so many u of the largest value: the roundings of 4,096 terms that add up at random
leave √4096 of them."""

NOISE_GAIN = 8.0
"""The weights of the six values in a difference that is extrapolated twice add up to 6.6 over the step; with room."""

NEAR = 4.0 ** -np.arange(10.0, 21.0)
"""Distances from 1e-6 to 1e-12, in units of the argument, at which a function that climbs by jumps shows them."""


def with_differences(
    point: Point, look: Look, ordinary: float, *, has_black_box: bool
) -> tuple[list[Answer], Estimate, bool]:
    """The answers of a look and finite differences as one more, with infinite errors where an oracle judges nobody.

    And the differences with their own errors, and whether f's values contradict the increments somewhere.
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

    estimate, climbs = everywhere(found.estimate(weights, found.noise)), np.zeros(look.increments.gradient.shape, bool)
    differenced = point.answer(DIFFERENCES, estimate, blocks)
    contradiction = at_odds(look.increments, differenced)
    if any((contradiction & at_odds(a, look.increments) & at_odds(a, differenced)).any() for a in look.judged):
        # of three answers no two agree: f may climb by jumps
        estimate = everywhere(found.estimate(weights, np.maximum(found.noise, found.jumps())))
        differenced = point.answer(DIFFERENCES, estimate, blocks)
        own = look.increments_alone.derivative
        mask = np.zeros(own.shape, bool)
        slopes = estimate.derivative[:, axes], own[:, axes]
        mask[:, axes] = found.leaves(weights, *slopes) & found.keeps(point.program, weights, *slopes)
        climbs = mask.ravel()
    increments, differenced, is_contradicted = arbitrate(look.judged, look.increments, differenced, climbs, at_odds)
    return [*look.judged, increments, differenced], estimate, is_contradicted


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
    | 2   | 1          | 3           | increments, but differences where f climbs by jumps, a mask of coordinates |

    An error of the increments in one coordinate may be in others, too. So once they are outvoted anywhere, they accuse
    nobody anywhere unless differences do as well.
    """
    contradiction = at_odds(increments, differenced)
    climbs = climbs & contradiction
    accused = [(at_odds(answer, increments), at_odds(answer, differenced)) for answer in own]
    is_contradicted = any((by_first & (contradiction & ~by_second | climbs)).any() for by_first, by_second in accused)
    for by_increments, by_differences in accused:
        if is_contradicted:
            alone = by_increments & (~by_differences | climbs)
            increments = replace(increments, error=np.where(alone, np.inf, increments.error))
        alone = by_differences & ~by_increments
        differenced = replace(differenced, error=np.where(alone, np.inf, differenced.error))
    # of two oracles that contradict each other, the differences give way where the increments still judge
    outvoted = contradiction & np.isfinite(increments.error)
    return increments, replace(differenced, error=np.where(outvoted, np.inf, differenced.error)), is_contradicted


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

    @np.errstate(all="ignore")
    def jumps(self) -> np.ndarray:
        """The largest distance of values nearby from a straight line: (axes, 1, outputs).

        A root by forty bisections climbs by jumps of 1e-11, which are noise to a difference.
        """
        near = self.steps[:, :1] / WIDTHS[0] * np.concatenate([NEAR, -NEAR])
        points = (self.point + h * self.directions[k] for k, row in enumerate(near) for h in row)
        _, *beside = self.evaluate(chain([self.point], points))
        moved = np.reshape(beside, (*near.shape, len(self.here))) - self.here
        slopes, _ = self.slopes(self.noise)
        return np.abs(moved - near[..., None] * slopes[:, None]).max(axis=1, keepdims=True)

    @np.errstate(all="ignore")
    def leaves(self, weights: np.ndarray, differenced: np.ndarray, increments: np.ndarray) -> np.ndarray:
        """Where f's values follow the differences' slopes, and leave the increments', on both sides of the point.

        A kink or a jump within reach is on one side: on the other one, f follows the increments. A mask of
        (combinations, axes), as the slopes are.
        """
        moved = np.einsum("ko,awpo->kawp", weights, np.nan_to_num(self.values - self.here, nan=np.inf))
        distances = self.steps[..., None] * POINTS
        off, by_increments = (
            np.abs(moved - distances * slopes[:, :, None, None]) for slopes in (differenced, increments)
        )
        return (off < by_increments).all(axis=-1).any(axis=-1)

    @np.errstate(all="ignore")
    def keeps(
        self, program: ProgramAtPoint, weights: np.ndarray, differenced: np.ndarray, increments: np.ndarray
    ) -> np.ndarray:
        """Where the increments beside the point are off like those at it, as the slopes of steps are: of that shape.

        Waves and bends that are finer than the differences' steps have other slopes there.
        """
        mask, rng = np.zeros(differenced.shape, bool), np.random.default_rng(program.seed)
        for k, h in enumerate(self.steps[:, -1]):
            along = self.directions[k][None]
            places = self.point + h * rng.uniform(-1.0, 1.0, (len(POINTS), 1)) * along  # on no step's edge
            beside = [program.changes(along, program.run(), place) for place in places]
            # the slope is unknown where a place meets an edge by chance
            moved = np.fmax.reduce([np.abs(combine(weights, x)[:, 0] - increments[:, k]) for x in beside])
            mask[:, k] = 2.0 * moved < np.abs(differenced - increments)[:, k]
        return mask


def _values_by(function: Traced, program: ProgramAtPoint) -> Callable[[Iterable[np.ndarray]], np.ndarray]:
    """The function at several points, (points, outputs): JAX's own values in float64, the interpreter's in less."""
    if program.coarsest > UNIT_ROUNDOFF["float64"]:
        return lambda points: _by_interpreter(program, iter(points))

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
