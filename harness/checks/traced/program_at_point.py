"""A traced program at a point, run primitive by primitive: its values, and how much they change along directions.

A run with increments computes f(x + h d) - f(x) for a step h and directions d by an identity of each primitive, such as
exp(x)·expm1(dx) or x·dy + dx·y + dx·dy, without subtracting nearly equal numbers. No derivative rule of JAX or of the
user takes part. The step is h = 2⁻²⁰⁰, so that h·f'' vanishes beside a rounding of f', and the change over h is the
derivative. Directions are a leading batch axis, so that many go through the program in one pass.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from harness.bounds.program_bound import spread
from harness.bounds.tolerances import COARSE_SPREAD_FACTOR, RANDOM_ROUNDINGS, SPREAD_FACTOR
from harness.checks.traced.real_coordinates import Layout, UnitVectors
from harness.checks.traced.traced_programs import LARGEST_PASS, coarsest_unit, footprint
from harness.progress import Progress, silent
from reference.arithmetics.increments import STEP, Increment, constant, is_constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.decisions import RecordingRun, TurnedDecisions, find_turned_decisions
from reference.traced.equations import Program, iterates, lifted
from reference.traced.interpreter import Run
from reference.traced.random_rounding import COARSE
from reference.traced.traced_function import mapped

NO_MATTER = 1e-9
"""Slopes that differ by less than this share of themselves count as equal: far above what rounding in float64 leaves of
a long program, and far below what another convention changes."""

KEPT = 1e-3
"""A value that is rounded at random on its way is the same up to this share: it may move by a solver's tolerance."""

COPIES = 8  # arrays as large as the arguments that a pass holds for each direction, beside what the program writes

BESIDE_STEP = 1e-40
"""Below this size of an argument the step, 6e-61, shrinks with it, so that it stays below 1e-20 of the argument. With
the whole step at x = 1e-61, 1/x would change by a large part of itself, which is no slope."""

SMALLEST_MOVED = 1e-280
"""Smaller numbers have no step: 1e-20 of them is 1e-300, and changes of what is computed would underflow."""

UNDERFLOW = 1e-300
"""What a change may lose where it underflows, below 2e-308, and what is made of it grows. Over the usual step that is
an error of 2e-240 in a slope; beside an argument of 1e-170, whose step is shorter, one of 2e-110."""

PRECISIONS = {UNIT_ROUNDOFF["float64"]: "float64", UNIT_ROUNDOFF["float32"]: "float32", 2.0**-11: "float16"}
"""The precision that tolerances are chosen by, from u. Of a coarser or another unit it is that of bfloat16."""


@dataclass(frozen=True, eq=False)
class ProgramAtPoint:
    """A traced program at a point."""

    traced: Program
    inputs: Layout
    outputs: Layout
    point: np.ndarray  # (inputs,) array
    trusted: Callable[[Any], bool] = lambda _: False  # custom rules that are taken as they are
    may_jump: bool = False  # whether slopes beside a jump count: a gradient jumps at the kinks of its function
    seed: int = 0
    progress: Progress = silent
    # whether runs that round at random also turn the free phases of complex vectors, so that what depends on these
    # phases shows as noise
    turns_phases: bool = True
    step_share: float = 1.0  # steps are this share of the usual ones

    @cached_property
    def coarsest(self) -> float:
        """The unit roundoff u of the coarsest floating type in the program."""
        return coarsest_unit(self.traced)

    @property
    def precision(self) -> str:
        """The name of the precision that tolerances are chosen by."""
        return PRECISIONS.get(self.coarsest, "bfloat16")

    @cached_property
    def chunk(self) -> int:
        """How many directions fit into one pass."""
        return max(1, int(LARGEST_PASS // (footprint(self.traced) + COPIES * self.inputs.size)))

    @cached_property
    def _has_tiny(self) -> bool:
        return bool(((self.point != 0.0) & (np.abs(self.point) < BESIDE_STEP)).any())

    def run(self, *, watched: bool = False, **options: Any) -> Run:
        """A run with this program's trusted rules; a watched one keeps what it decides by."""
        phases = options.get("rounding") if self.turns_phases else None
        return (RecordingRun if watched else Run)(**{"trusted": self.trusted, "phases": phases} | options)

    def numbers(self, point: np.ndarray) -> list[np.ndarray]:
        return [lifted(x[0]) for x in self.inputs.wide_arrays(point[None])]

    def value(self, point: np.ndarray | None = None, rounding: Any = None) -> np.ndarray:
        """The outputs, (outputs,), here or at another point, rounded at random if a generator is given."""
        if point is None and rounding is None:
            return self._value_here
        return self._value_by(self.run(rounding=rounding, coarsest=self.coarsest), point)

    @cached_property
    def _value_here(self) -> np.ndarray:
        return self._value_by(self.run(coarsest=self.coarsest))

    def _value_by(self, run: Run, point: np.ndarray | None = None) -> np.ndarray:
        at, run = self._placed(run, point)
        return self.outputs.vector([y.value for y in run(self.traced, *map(constant, self.numbers(at)))])

    def _placed(self, run: Run, point: np.ndarray | None) -> tuple[np.ndarray, Run]:
        """Where a run is made, and the run, which knows whether that is beside the point."""
        return (self.point, run) if point is None else (point, run.altered(is_beside=True))

    def values_together(self, points: np.ndarray, run: Run) -> np.ndarray | None:
        """The outputs at several points, (points, outputs), by one run of the program that `jax.vmap` makes.

        The first point is `point`. None where that program does not keep the values there.
        """
        with suppress(Exception):  # a primitive that cannot be mapped, or one of the user's own
            program = mapped(self.traced.raw, len(points)).program
            arrays = [constant(lifted(x)) for x in self.inputs.wide_arrays(points)]
            run = run.altered(is_beside=True)
            found = self.outputs.vector([y.value for y in run(program, *arrays)], lead=1)
            # a user's rule for jax.vmap may compute something else
            near = NO_MATTER if run.rounding is None else KEPT
            if np.allclose(found[0], self.value(), rtol=near, atol=0.0, equal_nan=True):
                return found
        return None

    def error_of_values(self) -> tuple[np.ndarray, TurnedDecisions]:
        """How far rounding in the program's own types may move the outputs, and the decisions that it may turn."""
        # the operands of comparisons are kept where rounding may turn one, which is rare in float64
        is_coarse = self.coarsest > UNIT_ROUNDOFF["float64"]
        options = {"watched": is_coarse, "coarsest": self.coarsest}
        # a loop takes the interpreter as long for one point as for several
        if not is_coarse and iterates(self.traced) and self.chunk >= RANDOM_ROUNDINGS:
            run = self.run(rounding=np.random.default_rng(self.seed), **options)
            together = self.values_together(np.tile(self.point, (RANDOM_ROUNDINGS, 1)), run)
            if together is not None and np.any(together != self.value()):
                return spread([self.value(), *together], self.coarsest), TurnedDecisions([], [])
        runs = [self.run(**options)]
        values = [self._value_by(runs[0]) if is_coarse else self.value()]
        for rng in np.random.default_rng(self.seed).spawn(2 * RANDOM_ROUNDINGS):
            if len(values) > RANDOM_ROUNDINGS and not all(np.array_equal(v, values[0], equal_nan=True) for v in values):
                break  # where nothing moves, roundings may have cancelled by chance: up to twice as many runs look
            runs.append(self.run(rounding=rng, **options))
            values.append(self._value_by(runs[-1]))
        turned_decisions = TurnedDecisions([], [])
        if is_coarse:
            factor = SPREAD_FACTOR if self.coarsest < COARSE else COARSE_SPREAD_FACTOR
            turned_decisions = find_turned_decisions(
                [run.decisions for run in runs if isinstance(run, RecordingRun)], factor
            )
        return spread(values, self.coarsest), turned_decisions

    def changes(self, directions: np.ndarray, run: Run, point: np.ndarray | None = None) -> np.ndarray:
        """The change of each output along each direction over the step: slopes, (directions, outputs)."""
        (at, run), moved = self._placed(run, point), self.inputs.wide_arrays(directions * self._step(directions))
        # what does not move is a constant, so that whatever is computed from it alone runs once for all directions
        arguments = [Increment(x, c) if np.any(c) else constant(x) for x, c in zip(self.numbers(at), moved)]
        results = run(self.traced, *arguments)
        count = len(directions)
        full = [
            np.zeros((count, *np.shape(y.value))) if is_constant(y) else np.broadcast_to(y.change, (count, *y.shape))
            for y in results
        ]
        return self.outputs.vector(full, lead=1) / self._step(directions)

    def _step(self, directions: np.ndarray) -> np.ndarray:
        """The step along each direction, (directions, 1): a power of two; NaN where no step is small enough."""
        if not self._has_tiny:
            return np.full((1, 1), self.step_share * STEP)
        moved = np.where((directions != 0.0) & (self.point != 0.0), np.abs(self.point), 1.0)
        smallest = moved.min(axis=1, initial=1.0, keepdims=True)
        shorter = np.exp2(np.floor(np.log2(np.minimum(1.0, smallest / BESIDE_STEP))))
        return self.step_share * STEP * np.where(smallest < SMALLEST_MOVED, np.nan, shorter)

    def underflow_of_slopes(self, directions: np.ndarray | UnitVectors) -> np.ndarray:
        """The error that underflow may leave in slopes by short steps, (directions,); NaN where there is no step."""
        if not self._has_tiny:
            return np.zeros(1)
        return np.concatenate([UNDERFLOW / self._step(along)[:, 0] for _, along in self.passes(directions)])

    def passes(self, directions: np.ndarray | UnitVectors) -> Iterator[tuple[int, np.ndarray]]:
        """As many directions as fit into one pass, with the number of the first."""
        for i in range(0, len(directions), self.chunk):
            self.progress("increments through the program", i, len(directions))
            yield i, directions[i : i + self.chunk]

    def unit_along(self, direction: np.ndarray) -> float:
        """The size of the arguments that move along a direction, over the direction's own size: a natural unit for t.

        1 where these are zero, and no less than 1e-2: around 1e-8, most functions vary over lengths of about 1.
        """
        size = float(np.abs(self.point[direction != 0.0]).max(initial=0.0))
        return (max(size, 1e-2) if size else 1.0) / float(np.abs(direction).max())
