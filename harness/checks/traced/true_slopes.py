"""What the traced program itself says: how much each result changes along each direction.

Increments run through the program primitive by primitive; no derivative rule of JAX or of the user takes part. Where
comparisons of equal numbers decide, the function has a kink, and both sides are taken: what lies between them is one of
the conventions. Where a side cannot be told at the point itself, as behind ``where(x == 0, ...)``, it is the limit of
increments at points nearby: all about this one where these agree, else along the direction on that side.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from harness.bounds.program_bound import bound_of_changes, spread
from harness.bounds.tolerances import COARSE_SPREAD_FACTOR, MEANINGLESS, RANDOM_ROUNDINGS, SPREAD_FACTOR
from harness.checks.random_directions import random_directions
from harness.checks.traced.real_coordinates import Layout, Sides, UnitVectors, combined
from harness.checks.traced.traced_programs import LARGEST_PASS, coarsest_unit, footprint
from harness.progress import Progress, silent
from reference.arithmetics.increments import STEP, Increment, constant, is_constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.deciding import Decision, Otherwise, Turned, Watched, otherwise
from reference.traced.interpreter import Run
from reference.traced.program import Program, lifted
from reference.traced.rounding import COARSE

NEARBY = (1e-4, 2e-4, 4e-4)
"""Where a side is looked at that cannot be told at the point itself, in units of the argument's size."""

NOTHING_BENDS = 1e-6
"""Slopes nearby that differ by less than this share of themselves have a limit."""

PIVOTS = (2.0**-100, -(2.0**-110))
"""What counts in the place of a pivot that is zero."""

NO_MATTER = 1e-9
"""Slopes that differ by less than this share of themselves do not depend on that."""

COPIES = 8
"""Arrays as large as the arguments that a pass holds for each direction."""

BESIDE_STEP = 1e-40
"""A step is so small beside the smallest number that it moves that 1/x changes by all its digits."""

SMALLEST_MOVED = 1e-230
"""Of smaller numbers, none can be moved by a step that much smaller."""


class Truth:
    """A traced program at a point.

    Parameters
    ----------
    program : Program
    leaves : its arguments
    inputs, outputs : Layout
    trusted : predicate of equations
        Custom rules that are taken as they are.
    may_jump : bool
        Whether slopes beside a jump count, as where a gradient jumps at a kink of what it is the gradient of.

    Attributes
    ----------
    shortened : float
        Steps are this share of what they are elsewhere.
    unresolved : str
        What could not be told at the point itself; empty where everything could.
    stopped : bool
        Whether a stop_gradient took a change away that would be seen.
    otherwise : Otherwise
        What rounding in a coarse type may decide otherwise, once `value_spread` was asked.
    turns_phases : bool
        Whether runs that round at random turn the free phases of complex vectors, so that what depends on them shows.
    differenced, taken_as_they_are, in_own_precision : sets of str
        Primitives without a rule, differenced as black boxes; custom rules and samplers that were not checked; what JAX
        computed for these in less than float64.
    """

    def __init__(
        self,
        program: Program,
        leaves: Sequence[Any],
        inputs: Layout,
        outputs: Layout,
        trusted: Callable[[Any], bool] = lambda _: False,
        may_jump: bool = False,
    ):
        self.may_jump = may_jump
        self.program, self.inputs, self.outputs, self.trusted = program, inputs, outputs, trusted
        self.point = inputs.vector(leaves)
        self.unresolved, self.stopped = "", False
        self._has_tiny = bool(((self.point != 0.0) & (np.abs(self.point) < BESIDE_STEP)).any())
        self.turns_phases = True
        self.otherwise = Otherwise([], [])
        self.progress: Progress = silent
        self.shortened = 1.0
        self.differenced: set[str] = set()
        self.taken_as_they_are: set[str] = set()
        self.in_own_precision: set[str] = set()
        self.coarsest = coarsest_unit(program)
        self.chunk = max(1, int(LARGEST_PASS // (footprint(program) + COPIES * inputs.size)))

    def run(self, watched: bool = False, **how: Any) -> Run:
        phases = how.get("rounding") if self.turns_phases else None
        return (Watched if watched else Run)(**{"trusted": self.trusted, "phases": phases} | how)

    def numbers(self, point: np.ndarray) -> list[np.ndarray]:
        """The arguments at a point, in the precision of the interpreter."""
        return [lifted(x[0]) for x in self.inputs.wide_arrays(point[None])]

    def value(self, point: np.ndarray | None = None, rounding: Any = None) -> np.ndarray:
        """The outputs, (outputs,)."""
        return self._here if point is None and rounding is None else self._value(point, rounding)

    @cached_property
    def _here(self) -> np.ndarray:
        return self._value()

    def _value(self, point: np.ndarray | None = None, rounding: Any = None) -> np.ndarray:
        return self._by(self.run(rounding=rounding, coarsest=self.coarsest), point)

    def _by(self, run: Run, point: np.ndarray | None = None) -> np.ndarray:
        at = self.point if point is None else point
        return self.outputs.vector([y.value for y in run(self.program, *map(constant, self.numbers(at)))])

    def value_spread(self, seed: int) -> np.ndarray:
        """What rounding in the program's own precision may move of the outputs; and what it may decide otherwise."""
        is_coarse = self.coarsest > UNIT_ROUNDOFF["float64"]
        how = {"watched": is_coarse, "coarsest": self.coarsest}
        made = [self.run(**how)]
        runs = [self._by(made[0]) if is_coarse else self.value()]
        for rng in np.random.default_rng(seed).spawn(2 * RANDOM_ROUNDINGS):
            if len(runs) > RANDOM_ROUNDINGS and not all(np.array_equal(run, runs[0], equal_nan=True) for run in runs):
                break  # where nothing moves, roundings may have cancelled by chance
            made.append(self.run(rounding=rng, **how))
            runs.append(self._by(made[-1]))
        if is_coarse:
            factor = SPREAD_FACTOR if self.coarsest < COARSE else COARSE_SPREAD_FACTOR
            self.otherwise = otherwise([run.decisions for run in made if isinstance(run, Watched)], factor)
        return spread(runs, self.coarsest)

    def changes(self, directions: np.ndarray, run: Run, point: np.ndarray | None = None) -> np.ndarray:
        """What each direction changes of the outputs, over the step: (directions, outputs)."""
        at = self.point if point is None else point
        moved = self._steps(directions)
        arguments = [Increment(x, c) if np.any(c) else constant(x) for x, c in zip(self.numbers(at), moved)]
        results = run(self.program, *arguments)
        count = len(directions)
        full = [
            np.zeros((count, *np.shape(y.value))) if is_constant(y) else np.broadcast_to(y.change, (count, *y.shape))
            for y in results
        ]
        return self.outputs.vector(full, lead=1) / self._step(directions)

    def _steps(self, directions: np.ndarray) -> list[np.ndarray]:
        return self.inputs.wide_arrays(directions * self._step(directions))

    def _step(self, directions: np.ndarray) -> np.ndarray:
        """How far to go along each direction, (directions, 1): a power of two; NaN where no step is small enough."""
        if not self._has_tiny:
            return np.full((1, 1), self.shortened * STEP)
        moved = np.where((directions != 0.0) & (self.point != 0.0), np.abs(self.point), 1.0)
        smallest = moved.min(axis=1, initial=1.0, keepdims=True)
        shorter = np.exp2(np.floor(np.log2(np.minimum(1.0, smallest / BESIDE_STEP))))
        return self.shortened * STEP * np.where(smallest < SMALLEST_MOVED, np.nan, shorter)

    def _passes(self, directions: np.ndarray | UnitVectors) -> Iterator[tuple[int, np.ndarray]]:
        """As many directions as may go at once, with the number of the first."""
        for i in range(0, len(directions), self.chunk):
            self.progress("increments through the program", i, len(directions))
            yield i, directions[i : i + self.chunk]

    @np.errstate(all="ignore")
    def sides(
        self, directions: np.ndarray | UnitVectors, weights: np.ndarray, seed: int, turned: bool = False
    ) -> Sides:
        """Both sides along each direction; whatever rounding does to increments is not in their error.

        Where asked for, the least and the most of these and of what is right where rounding decides otherwise.
        """
        parts, nearby, is_smooth, size = [], {}, True, np.abs(weights)
        for i, along in self._passes(directions):
            run = self.run()
            before = after = self.changes(along, run)
            error = np.zeros(after.shape)
            self.stopped |= bool(run.stopped) and self._stops(after, along)
            if run.ties or run.unresolved:
                before = -self.changes(-along, run)
                unknown = np.isnan(after) | np.isnan(before)
                if unknown.any():
                    after, before, error = self._told_otherwise(after, before, unknown, along, seed)
                    nearby[i] = unknown, after
            first = after
            if turned:
                before, after = self._turned(before, after, along)
            self._note(run)
            is_smooth &= not (run.ties or run.unresolved or run.differenced or run.taken_as_they_are)
            parts.append(
                (
                    combined(weights, first),
                    combined(weights, 0.5 * (after + before)),
                    combined(size, 0.5 * np.abs(after - before)),
                    combined(size, error),
                )
            )
        after, middle, apart, error = (np.concatenate(columns, axis=1) for columns in zip(*parts))
        return Sides(after, middle, apart, error, is_smooth, nearby)

    def _turned(self, before: np.ndarray, after: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and the most of both sides and of those where rounding decides otherwise."""
        ways, tied = self.otherwise

        def turned(decisions: list[Decision], along: np.ndarray) -> np.ndarray:
            return self.changes(along, Turned(decisions, trusted=self.trusted))

        slopes = [before, after, *(turned(way, along) for way in ways)]
        slopes += [turned(tied, along), -turned(tied, -along)] if tied else []
        return np.fmin.reduce(slopes), np.fmax.reduce(slopes)

    @np.errstate(all="ignore")
    def bound(self, directions: np.ndarray | UnitVectors, weights: np.ndarray) -> np.ndarray:
        """What rounding can make of smooth sides at most; infinite where that is not known."""
        parts, numbers = [], self.numbers(self.point)
        for _, along in self._passes(directions):
            bounds = bound_of_changes(self.program, numbers, self._steps(along), self.trusted)
            if bounds is None:
                return np.full((len(weights), len(directions)), np.inf)
            parts.append(combined(np.abs(weights), self.outputs.vector(bounds, lead=1) / self._step(along)))
        return np.concatenate(parts, axis=1)

    @np.errstate(all="ignore")
    def rounded(self, rng: Any, directions: np.ndarray | UnitVectors, weights: np.ndarray, sides: Sides) -> np.ndarray:
        """What changes just after the point in a run that rounds at random."""
        parts = []
        for i, along in self._passes(directions):
            after = self.changes(along, self.run(rounding=rng))
            parts.append(combined(weights, np.where(*sides.nearby[i], after) if i in sides.nearby else after))
        return np.concatenate(parts, axis=1)

    def _stops(self, after: np.ndarray, directions: np.ndarray) -> bool:
        """Whether a stop_gradient makes a difference, as that of a softmax to its largest argument does not."""
        run = self.run()
        run.looks_through = True
        apart = np.abs(self.changes(directions, run) - after)
        return bool((apart > MEANINGLESS["float64"] * np.abs(after).max(axis=0)).any())

    def _note(self, run: Run) -> None:
        self.unresolved = self.unresolved or run.unresolved
        self.differenced |= run.differenced
        self.taken_as_they_are |= run.taken_as_they_are
        self.in_own_precision |= run.in_own_precision

    def _told_otherwise(
        self, after: np.ndarray, before: np.ndarray, unknown: np.ndarray, directions: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Both sides where they cannot be told at the point itself, and their errors: by small pivots, or nearby."""
        slopes, error = self._by_small_pivots(directions, seed)
        told = unknown & np.isfinite(error)
        after, before = np.where(told, slopes, after), np.where(told, slopes, before)
        errors, unknown = np.where(told, error, 0.0), unknown & ~told
        if unknown.any():
            after, before, from_nearby = self._from_nearby(after, before, unknown, directions, seed)
            errors = errors + from_nearby
        return after, before, errors

    def _by_small_pivots(self, directions: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Slopes through the factors of singular matrices, and their errors: infinite where pivots or sides matter."""
        slopes, other = (self.changes(directions, self.run(pivot=pivot)) for pivot in PIVOTS)
        before = -self.changes(-directions, self.run(pivot=PIVOTS[0]))
        rounded = self.changes(directions, self.run(pivot=PIVOTS[0], rounding=np.random.default_rng(seed)))
        apart = np.maximum(np.abs(slopes - other), np.abs(slopes - before))
        depends = apart > NO_MATTER * np.abs(slopes) + np.sqrt(PIVOTS[0])
        error = apart + SPREAD_FACTOR * np.abs(rounded - slopes)
        return slopes, np.where(depends | np.isnan(error), np.inf, error)

    def _from_nearby(
        self, after: np.ndarray, before: np.ndarray, unknown: np.ndarray, directions: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where slopes cannot be told, their limits from points nearby on both sides, and the errors of these."""
        limit, error, is_same = self._all_about(directions, seed)
        after, before = np.where(unknown, limit, after), np.where(unknown, limit, before)
        errors = np.where(unknown, error, 0.0)
        apart = unknown & ~is_same
        for k in np.flatnonzero(apart.any(axis=1)):
            right, error_right = self._along(directions[k : k + 1], 1.0, seed)
            left, error_left = self._along(directions[k : k + 1], -1.0, seed)
            told = apart[k] & ~np.isnan(right) & ~np.isnan(left)
            after[k], before[k] = np.where(told, right, after[k]), np.where(told, left, before[k])
            errors[k] = np.where(told, error_right + error_left, errors[k])
        return after, before, errors

    def _all_about(self, directions: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Limits of slopes from points in random places about this one, their errors, and where they are the same.

        A function that is smooth here may be computed by way of what is not, as a determinant by the factors of a
        matrix, which is singular at all points along an axis from the zero matrix.
        """
        size = np.where(self.point == 0.0, 1.0, np.abs(self.point)) * np.array(NEARBY)[:, None]
        ways = [w * size for d in random_directions(2, self.inputs.size, seed + 4) for w in (d, -d)]
        found = [self._limit(self.point + way, directions, None) for way in ways]
        limits = np.array([limit for limit, _ in found])
        limit, cruder = found[0]
        rounded = self._limit(self.point + ways[0], directions, np.random.default_rng(seed))[0]
        error = np.ptp(limits, axis=0) + np.abs(limit - cruder) + SPREAD_FACTOR * np.abs(rounded - limit)
        largest = np.abs(limits).max(axis=(0, 1))
        is_same = error <= MEANINGLESS["float64"] * largest
        if not self.may_jump:
            jumps = self._jumps_about(ways)
            limit, is_same = np.where(jumps, np.nan, limit), is_same & ~jumps
        return limit, error, is_same

    def _jumps_about(self, ways: Sequence[np.ndarray]) -> np.ndarray:
        """Whether the values change by less, nearer to the point, than those of a function with a slope there do.

        Of its changes on both sides the mean shrinks with t², and half the difference with t: that of a step does not.
        """
        here, jumps = self.value(), np.zeros(self.outputs.size, bool)
        for forth, back in (ways[:2], ways[2:]):
            ahead, behind = ([self.value(self.point + step) for step in way[:2]] for way in (forth, back))
            noise = SPREAD_FACTOR * np.abs(self.value(self.point + forth[0], np.random.default_rng(0)) - ahead[0])
            jumps |= self._jumps([0.5 * (f + b) - here for f, b in zip(ahead, behind)], here, noise)
            jumps |= self._jumps([0.5 * (f - b) for f, b in zip(ahead, behind)], here, noise, grows=1.5)
        return jumps

    def _along(self, direction: np.ndarray, side: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The limit of the slopes along a direction at points on one side of it; NaN where the function jumps."""
        unit = side * self.unit_along(direction[0]) * np.array(NEARBY)
        points = self.point + unit[:, None] * direction
        limit, cruder = (x[0] for x in self._limit(points, direction, None))
        rounded = self._limit(points, direction, np.random.default_rng(seed))[0][0]
        if not self.may_jump:
            here, values = self.value(), [self.value(x) for x in points[:2]]
            noise = SPREAD_FACTOR * np.abs(self.value(points[0], np.random.default_rng(seed)) - values[0])
            jumps = self._jumps([y - here - t * limit for y, t in zip(values, unit)], here, noise)
            limit = np.where(jumps, np.nan, limit)
        return limit, np.abs(limit - cruder) + SPREAD_FACTOR * np.abs(rounded - limit)

    def _jumps(self, rest: Sequence[np.ndarray], here: np.ndarray, noise: np.ndarray, grows: float = 2.5) -> np.ndarray:
        """Whether what a slope does not explain of a change is more than its bending, which shrinks with t²."""
        near, far = np.abs(rest)
        return (near > 1e-12 * np.abs(here) + noise) & ~(far > grows * near)

    def _limit(
        self, points: Sequence[np.ndarray] | np.ndarray, directions: np.ndarray, rounding: Any
    ) -> tuple[np.ndarray, ...]:
        """The slopes at the point from those at distances 1, 2 and 4, by a parabola and by a line."""
        near, middle, far = (self.changes(directions, self.run(rounding=rounding), point) for point in points)
        bends = np.abs(near - middle)
        has_none = (bends > 0.75 * np.abs(middle - far)) & (bends > NOTHING_BENDS * np.abs(near))  # log x, and worse
        return np.where(has_none, np.nan, (8.0 * near - 6.0 * middle + far) / 3.0), 2.0 * near - middle

    def unit_along(self, direction: np.ndarray) -> float:
        """The size of what moves along a direction, over the direction's own."""
        size = float(np.abs(self.point[direction != 0.0]).max(initial=0.0))
        return (max(size, 1e-2) if size else 1.0) / float(np.abs(direction).max())
