"""What is measured once at the point: f's values, which combinations w·f of outputs are differentiated, and sizes.

All arrays have (combinations, inputs) entries, or (outputs,) of them, in real coordinates.

How large an error is small? A bound decides something if it is small beside the largest derivative of its block. Where
a program cannot do better, it also decides if it is small beside T/|x|, where T is the size of the terms that make up
f: 1 - tanh(x)² at x = 20 has terms of size 1 and a derivative of 3e-17, which is less than a rounding of these terms. A
program that amplifies its roundings seems to have terms without limit, so that its bounds would accept anything:
`correct_digits` sees to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.bounds.program_bound import SMALLEST, floor_of
from harness.bounds.tolerances import (
    ABSOLUTE,
    ALL_ENTRIES,
    DENSE_COMBINATIONS,
    DERIVATIVE_ROUNDINGS,
    MEANINGLESS,
    NEGLIGIBLE,
    SPREAD_FACTOR,
)
from harness.checks.random_directions import random_directions
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS, JAX, Case
from harness.checks.traced.jax_modes import MODES, Mode
from harness.checks.traced.program_at_point import NO_MATTER, ProgramAtPoint
from harness.checks.traced.real_coordinates import Combinations, Estimate, Sides, combine
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block
from reference.arithmetics.array_pieces import in_pieces, largest
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.decisions import TurnedDecisions
from reference.traced.equations import equations_in

TURNS = 64
"""Random directions along which slopes are compared with those for other phases: up to so many free phases show. With
more of them, outputs that depend on the others stay undecided."""

SMALL = 2.0**-500
"""Arguments up to 3e150 are below 1 at this share of their size, and squares of ordinary ones do not yet underflow."""

BEYOND_POLES = 1e-6
"""At an argument that is larger or smaller by this share, a pole is finite: 1/(x - 1) is 1e6 there, for x = 1. With a
share of 1e-3, so would be what overflows barely, such as exp(710)."""

PASSES_A_FUNCTION = 4
"""A gradient's program writes some four times as many numbers as the function's, so that a pass holds fewer vectors."""

ZERO_IS_COARSER = {"float64": 1.0, "float32": 1e2, "float16": 1e4, "bfloat16": 1e4}
"""A block of derivatives counts as zero in float64 below 1e-5 of the largest one (`NEGLIGIBLE`), and below so many
times as much in coarse types, where zero is computed as a few roundings of what cancels in it."""

UNDERFLOW = {"float64": 1e-240, "float32": SMALLEST, "float16": 2.0**-24, "bfloat16": SMALLEST}
"""The error that underflow may leave in the place of zero. In float64 it is that of increments, which are 6e-61 times
the slopes, so that slopes below 1e-247 underflow."""

NOTHING = {"float64": 1e-220, "float32": 1e-30, "float16": 1e-30, "bfloat16": 1e-30}
"""The size that errors are compared with where all derivatives are zero: above what underflow leaves, and far below any
derivative that somebody has a use for."""

DIRECTIONS_AROUND = 8
"""Random directions whose slopes show how large derivatives are: enough for a root mean square to a factor of two."""

TERMS = 1.0
"""Terms that cancel count up to this size beside f's own. With it, the lost tail of tanh(x) - 1 is small, and in no
doubt; without a limit, so would be all derivatives of (1e8 + x) - 1e8."""

EVERYWHERE = slice(None)  # all inputs, in the place of the numbers of some


@dataclass(frozen=True, eq=False)
class Point:
    """What is measured once at the point."""

    case: Case
    program: ProgramAtPoint
    combinations: Combinations
    # (outputs,) arrays: the values by JAX, those by the interpreter, and how far rounding may have moved them
    computed: np.ndarray
    expected: np.ndarray
    error: np.ndarray
    turned_decisions: TurnedDecisions  # what rounding may turn, such as x > 0 where x = 1e8 + y - 1e8
    # (combinations,) bool array: whether each of its outputs is finite, and JAX and the interpreter agree on its value
    is_known: np.ndarray
    facts: tuple[Fact, ...]  # the doubts about the function's values

    def terms(self, error: np.ndarray | None = None, inputs: Any = EVERYWHERE) -> np.ndarray:
        """The size of the function's terms over the size of its arguments, T/max(1, |x|): (combinations, inputs).

        T = |w|·(|f| + E/(16 u)) with E the rounding errors of the values f: (1e8 + x) - 1e8 is off by some u·1e8, which
        shows terms of about 1e8.
        """
        error = self.error if error is None else error
        terms = np.abs(self.expected) + error / (SPREAD_FACTOR * self.program.coarsest)
        of_combinations = np.abs(self.combinations.rows) @ np.where(np.isfinite(terms), terms, 0.0)

        def over_size(terms: np.ndarray, x: np.ndarray) -> np.ndarray:
            return terms / np.where(np.isfinite(x), np.maximum(1.0, np.abs(x)), np.inf)

        return in_pieces(over_size, of_combinations[:, None], self.program.point[inputs])

    def scale(self, error: np.ndarray | None = None, inputs: Any = EVERYWHERE) -> np.ndarray:
        """The size beside which an error is small whatever the derivative is: (combinations · inputs,).

        A comparison takes an error for small below `MEANINGLESS` times a size. With this size, that is `ABSOLUTE` times
        the terms.
        """
        scale = self.terms(error, inputs).ravel()
        scale *= ABSOLUTE[self.program.precision] / MEANINGLESS[self.program.precision]
        return scale

    @property
    def size_of_function(self) -> np.ndarray:
        """The size of f over that of its argument, and of derivatives around: a derivative far below it is small.

        Terms that cancel count up to `TERMS` alone: those of (1e8 + x) - 1e8 do not make a derivative of 1 small.
        """
        scale = self.scale(np.minimum(self.error, TERMS * SPREAD_FACTOR * self.program.coarsest))
        return scale if self.case.is_large else np.maximum(scale, scale_around(self))

    @property
    def own_terms(self) -> np.ndarray:
        """`terms` without the allowance for a few roundings; each of many inputs has its share: (combinations, inputs).

        That allowance is beside the largest output, and would make the terms of a small one as large.
        """
        terms = self.terms(self.error - floor_of(self.expected, self.case.outputs.blocks, self.program.coarsest))
        return terms / (self.case.inputs.size if self.case.is_large else 1)

    @property
    def is_outside(self) -> np.ndarray:
        """Which combinations have an output that is NaN for JAX and the interpreter alike."""
        is_nan = np.isnan(self.computed) & np.isnan(self.expected)
        return ~self.is_known & ((self.combinations.weights != 0.0) & is_nan).any(axis=1)

    @property
    def keeps_value(self) -> np.ndarray:
        """Which combinations have values that f's own precision keeps: near those in float64, by `MEANINGLESS`."""
        sizes = np.abs(self.combinations.weights)
        off, size = sizes @ np.abs(self.computed - self.expected), sizes @ np.abs(self.expected)
        return off <= MEANINGLESS[self.program.precision] * size

    def answer(self, name: str, estimate: Estimate, blocks: Sequence[Block]) -> Answer:
        """An estimate as an answer to be judged, with some roundings of the largest of each block in its error."""
        oracle = name in (INCREMENTS, DIFFERENCES)
        precision = "float64" if oracle else self.program.precision
        unit = UNIT_ROUNDOFF["float64"] if oracle else self.program.coarsest
        derivative, error = self.combinations.per_output(estimate)

        def with_floor(error: np.ndarray, floor: np.ndarray) -> np.ndarray:
            # an error of exactly 0 is no bound: it marks NaN where the derivative is a number, which is wrong
            return error + np.where(error > 0.0, floor + UNDERFLOW[precision], 0.0)

        error = in_pieces(with_floor, error, self._floor_of(derivative, blocks, unit))
        family = JAX if name in MODES else name
        accuracy = 0.0 if oracle else self.case.accuracy
        return Answer(name, family, 0.0, 0.0, derivative, error, precision=precision, oracle=oracle, accuracy=accuracy)

    def smallest_error(self, derivative: np.ndarray, blocks: Sequence[Block]) -> np.ndarray:
        """What `answer` adds to the error of each derivative, in the units of the combinations: of the same shape."""
        per_output, _ = self.combinations.per_output(Estimate(derivative, derivative))
        floor = self._floor_of(per_output, blocks, self.program.coarsest).reshape(derivative.shape)
        floor *= np.abs(self.combinations.cotangents)[:, None]
        return floor

    def _floor_of(self, derivative: np.ndarray, blocks: Sequence[Block], unit: float) -> np.ndarray:
        """Some roundings of the largest derivative of each block, and no more of a single output than of its own.

        With the outputs (x, 1e12 x) in one block, the block's largest would hide an error of 1e-3 in the first. So an
        output has some roundings of its own largest derivative, and of its terms.
        """
        floor = floor_of(derivative, blocks, unit)
        shape = len(self.combinations), self.case.inputs.size
        if not self.combinations.each or derivative.size != shape[0] * shape[1]:  # not of single outputs in all inputs
            return floor
        sizes = np.abs(derivative).reshape(shape)
        largest = np.where(np.isfinite(sizes), sizes, 0.0).max(axis=1, keepdims=True)
        # the terms themselves: a small derivative may be the difference of numbers that are as large as f's terms
        terms = self.own_terms * np.maximum(1.0, np.abs(self.program.point))
        return np.fmin(floor, DERIVATIVE_ROUNDINGS * unit * np.maximum(largest, terms).ravel())


@dataclass(frozen=True, eq=False)
class Plan:
    """What to look at. A second look is the same with another plan."""

    modes: tuple[Mode, ...]
    examined: np.ndarray  # the inputs whose derivatives are compared one by one
    whole: np.ndarray | None = None  # of many inputs: all derivatives by a reverse pass in float64, (inputs,)

    @property
    def as_called(self) -> "Plan":
        """The same by code that XLA compiles as callers have it do."""
        return replace(self, modes=tuple(replace(mode, quickly=False) for mode in self.modes))


def measure(case: Case) -> Point:
    """The values at the point, their rounding errors, and the combinations of outputs to differentiate."""
    program = case.at_point()
    combinations, program = _without_free_phases(_combinations(case), program)
    # f's value by two programs that share nothing but JAX's trace: if they differ, a slope of one is none of the other
    computed = case.outputs.vector(case.traced(*case.leaves))
    expected, (spread, turned_decisions) = program.value(), program.error_of_values()
    error = spread + floor_of(expected, case.outputs.blocks, program.coarsest)
    if not (np.abs(computed - expected) <= error).all():  # quickly compiled code accuses nobody
        computed = case.outputs.vector(case.traced(*case.leaves, quickly=False))
    # two infinities are the same although inf - inf is NaN: so the second is no `<=`
    is_finite, is_same = _has_slope(program, computed, expected), ~(np.abs(computed - expected) > error)
    bad = {Kind.VALUE_NOT_FINITE: ~is_finite, Kind.VALUES_DIFFER: is_finite & ~is_same}
    facts = [
        doubt(kind, *map(case.outputs.label, np.flatnonzero(mask).tolist())) for kind, mask in bad.items() if mask.any()
    ]
    is_known = ((combinations.weights == 0.0) | (is_finite & is_same)).all(axis=1)
    return Point(case, program, combinations, computed, expected, error, turned_decisions, is_known, tuple(facts))


def make_mode(point: Point, name: str) -> Mode:
    """JAX's derivatives in a mode."""
    # the coarsest type of f, not of the mode: what a rule loses in a coarser type of its own is no rounding of f
    case, chunk = point.case, max(1, point.program.chunk // PASSES_A_FUNCTION)
    layouts, program = (case.inputs, case.outputs), case.traced.program
    return Mode(name, case.function, program, case.leaves, *layouts, point.program.coarsest, chunk, case.progress)


def _combinations(case: Case) -> Combinations:
    """Each output by itself where inputs times outputs are few, else random combinations."""
    each = not case.is_large and case.inputs.size * case.outputs.size <= ALL_ENTRIES
    count = case.outputs.size if each else 1 if case.is_large else DENSE_COMBINATIONS
    # weights other than 1, so that a rule that drops its cotangent shows; and those of single outputs are below 1, so
    # that no derivative overflows which does not for a caller
    drawn = random_directions(count, case.outputs.size, case.seed)
    return Combinations(case.outputs, np.diag(0.5 * drawn[0]) if each else drawn, each)


def _without_free_phases(combinations: Combinations, program: ProgramAtPoint) -> tuple[Combinations, ProgramAtPoint]:
    """Combinations of the outputs that do not depend on the free phases of complex singular vectors or eigenvectors.

    If v is an eigenvector, so is e^{iφ} v, and φ is a convention of the algorithm: the slope of v itself has no true
    value, while that of |v| has.
    """
    if not any(eq.primitive.has_free_phases and "c" in eq.kinds for eq in equations_in(program.traced)):
        return combinations, program
    along = random_directions(TURNS, program.inputs.size, program.seed + 6)
    here = program.changes(along, program.run())
    # the same slopes with other phases: what is changed spans the part of the outputs that is convention
    turned = program.changes(along, program.run(phases=np.random.default_rng(program.seed))) - here
    _, sizes, conventions = np.linalg.svd(np.where(np.isfinite(turned), turned, 0.0), full_matrices=False)
    free = conventions[sizes > NO_MATTER * largest(here.ravel())]
    if not len(free):
        return combinations, program
    weights = combinations.weights - combinations.weights @ free.T @ free  # projected away from that part
    return replace(combinations, weights=weights, each=False), replace(program, turns_phases=False)


def _has_slope(program: ProgramAtPoint, computed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Which outputs may have a slope: finite ones, infinities that are constant, and all at infinite arguments.

    ``where(mask, x, -inf)`` is constant where it is -inf, and has the slope 0. exp(1e3) is infinite by overflow, as it
    is finite for a small argument: it has lost its slope with its digits.
    """
    is_finite, is_same = np.isfinite(computed), computed == expected  # NaN is not
    if is_finite.all() or not np.isfinite(program.point).all():
        return is_finite | is_same
    # an infinity that no direction changes is constant: two of them, as one may miss an input by chance
    moved = program.changes(random_directions(2, program.inputs.size, 0), program.run())
    overflows = np.isfinite(program.value(SMALL * program.point))
    return is_finite | (is_same & np.all(moved == 0.0, axis=0) & ~overflows)


def has_overflowed(program: ProgramAtPoint, computed: np.ndarray) -> np.ndarray:
    """Which of JAX's values are infinite by their size alone: in their own type, or everywhere around the point.

    1/(x - 1) is infinite at 1, and finite a little farther away: a pole. exp(1e3) is infinite there, too.
    """
    around = [program.value(share * program.point) for share in (1.0, 1.0 - BEYOND_POLES, 1.0 + BEYOND_POLES)]
    in_float64 = np.all(np.isinf(around), axis=0) & np.isfinite(program.value(SMALL * program.point))
    return np.isinf(computed) & (np.isfinite(around[0]) | in_float64)


def scale_around(point: Point) -> np.ndarray:
    """A size for where f and all of its terms vanish, as of a determinant at the zero matrix: (combinations · inputs,).

    The root mean square of derivatives at four points as far away as the arguments are large. Of functions that grow,
    such as exp, the point with the smallest derivatives counts.
    """
    program = point.program
    along = random_directions(DIRECTIONS_AROUND, program.inputs.size, program.seed + 5)
    reach = np.where(program.point == 0.0, 1.0, np.abs(program.point)) * along[:2]
    places = (program.point + move for move in (*reach, *-reach))
    slopes = [combine(point.combinations.rows, program.changes(along, program.run(), place)) for place in places]
    # Σᵢ gᵢ dᵢ, with dᵢ around ±1 at random, has a mean square of about Σᵢ gᵢ²
    around = np.sqrt(np.square(slopes).mean(axis=-1) / program.inputs.size).min(axis=0)
    around = np.where(np.isfinite(around), around, 0.0)
    return np.repeat(NEGLIGIBLE * ZERO_IS_COARSER[program.precision] * around, program.inputs.size)


def ordinary_derivative(point: Point, sides: Sides) -> float:
    """A size of the derivative that is not small: blocks that vanish beside it are compared absolutely.

    It is no fixed number such as 1, as it is for costs: those of f(x) = 1e-30 x are all tiny, and right or wrong.
    """
    precision, size = point.program.precision, largest((np.abs(sides.mean) + sides.half_gap).ravel())
    if precision == "float64":
        return size or NOTHING[precision]
    return max(ZERO_IS_COARSER[precision] * size, NOTHING[precision])
