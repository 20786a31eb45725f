"""What decides a derivative in low precision: bounds on its rounding errors, and its rule evaluated in float64.

A bound is derived where that is narrow, and else the spread of runs rounded at random. It is computed only as far as
the verdict needs it: more runs widen a bound and never narrow it, so no more are made once it covers the difference. A
reported derivative within the error bound of the increments needs no bound of its own.

In float32 and less, rounding hides an error of a rule that is below its own noise. Evaluated in float64, the program of
a mode computes the rule's formula to all digits. The formula may differ from the derivative by what every rule may do
in a coarse type: round its constants, approximate up to a rounding, and turn a comparison of nearly equal numbers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial, reduce
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.program_bound import (
    SMALLEST,
    few_roundings,
    floor_of,
    is_wide,
    largest_in_block,
    no_less_than_typical,
    of_nothing_known,
    spread,
)
from harness.bounds.tolerances import (
    ABSOLUTE,
    ALL_COORDINATES,
    DERIVATIVE_ROUNDINGS,
    MEANINGLESS,
    MEANT_FACTOR,
    RANDOM_INCREMENTS,
    RANDOM_ROUNDINGS,
    SPREAD_FACTOR,
)
from harness.checks.traced.derivative_case import Point
from harness.checks.traced.error_scales import NO_DIGIT
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.one_sided import OneSided, rounded_slopes
from harness.checks.traced.program_at_point import ProgramAtPoint
from harness.checks.traced.real_coordinates import Estimate, Sides
from harness.checks.traced.traced_programs import has_rules
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block
from reference.arithmetics.increments import Increment, constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.equations import Constant, Equation, Program, is_key, kind, reads_bits, unit_roundoff
from reference.traced.interpreter import Run
from reference.traced.random_rounding import COARSE, has_few_bits
from reference.traced.solver_tolerances import numbers_in

ROUNDED_ARGUMENTS = 2
"""Runs of JAX's own code at arguments that are a rounding away, for very many inputs."""

DERIVED, SPREAD, BORROWED = "derived", "spread", "borrowed"
"""Kinds of bounds: derived, estimated by the spread of rounded runs, or taken from the increments."""


class Scope(NamedTuple):
    """Which derivatives are compared."""

    blocks: Sequence[Block]  # of all (combinations · inputs)
    unit: float
    # (combinations, inputs) bool array: where something is known of the function, and inputs are looked at
    at: np.ndarray
    # (combinations, inputs) array, or 0: the size of the function's terms over that of its arguments
    terms: np.ndarray | float = 0.0

    def covers(self, error: np.ndarray, off: np.ndarray) -> bool:
        """Whether an error bound covers all differences; NaN is not covered."""
        return bool((np.isfinite(error) & (off <= error))[self.at].all())

    def leaves_digits(self, error: np.ndarray, reported: np.ndarray, true: Estimate, unit: float) -> bool:
        """Whether an error bound covers all differences, its floor as far as that leaves each derivative a digit.

        Beside a large entry the whole floor would hide small ones that no rounding has moved.
        """
        floor = floor_of(reported.ravel(), self.blocks, unit).reshape(reported.shape)
        floor = np.minimum(floor, NO_DIGIT * np.abs(true.derivative))
        return self.covers(error + floor, np.abs(reported - true.derivative))

    def is_small(self, error: np.ndarray, true: Estimate, precision: str) -> np.ndarray:
        """Where an error is small beside the largest derivative of its block, or beside the function's terms."""
        largest = largest_in_block(true.derivative.ravel(), self.blocks).reshape(error.shape)
        return error <= np.maximum(MEANINGLESS[precision] * largest, ABSOLUTE[precision] * self.terms)

    def is_wide(self, estimate: Estimate) -> bool:
        """Whether the error of some derivative leaves less than two thirds of its block's digits."""
        wide = is_wide(estimate.derivative.ravel(), estimate.error.ravel(), self.blocks, self.unit)
        return bool(wide[self.at.ravel()].any())


class Bound(NamedTuple):
    """A bound on rounding errors, and of which kinds it is."""

    error: np.ndarray
    kinds: frozenset[str]


class Replaced(NamedTuple):
    """Where an answer was replaced by its evaluation in float64, a mask, and the answer before."""

    where: np.ndarray
    own: Answer


class Request(NamedTuple):
    """What a mode is evaluated for: vectors, and the weights of the outputs where it returns these (forward mode)."""

    vectors: np.ndarray
    weights: np.ndarray | None


def _bound(
    found: np.ndarray,
    derived: np.ndarray,
    runs: Iterable[np.ndarray],
    blocks: Sequence[Block],
    unit: float,
    is_enough: Callable[[np.ndarray], bool],
    not_finite: float = np.inf,
) -> Bound:
    """The derived bound, and the spread of the runs where that is wide."""
    error = derived + few_roundings(found, unit)
    wide = is_wide(found.ravel(), error.ravel(), blocks, unit).reshape(error.shape)
    if wide.any():
        widened = spread(runs, unit, lambda spread: is_enough(np.where(wide, spread, error)), not_finite)
        error = np.where(wide, widened, error)
    kinds = ((DERIVED, not wide.all()), (SPREAD, wide.any()))
    return Bound(error, frozenset(kind for kind, is_used in kinds if is_used))


@np.errstate(all="ignore")
def bound_of_mode(
    point: Point, mode: Mode, request: Request, reported: np.ndarray, true: Estimate, scope: Scope, *, borrows: bool
) -> tuple[Bound, float]:
    """A bound on the error of a mode's derivatives: rounding in its own precision, and what solvers leave.

    And how far a finer tolerance of its solvers moves them, as a share of the largest. In 16-bit types the whole
    spread is computed: where that decides less than the evaluation in float64 does, the latter is compared.

    A bound may be wide for two reasons. Rounding may be amplified: then the same program without underflow, and with
    the branches of its run in float64, has as wide a bound. Else a number underflows, or a branch of the rule turns.
    That excuses no number of a custom rule that is far off: callers get it. It does where f itself loses its value in
    this way, and for JAX's own derivative of a formula, whose tail may underflow.
    """
    off = np.abs(reported - true.derivative)
    typical = partial(no_less_than_typical, derivative=reported, blocks=scope.blocks)
    floor = floor_of(reported.ravel(), scope.blocks, mode.coarsest).reshape(reported.shape)  # of every bound
    if borrows and not mode.has_solver and scope.leaves_digits(true.error, reported, true, mode.coarsest):
        return Bound(true.error.copy(), frozenset([BORROWED])), 0.0
    if borrows and point.case.is_large and not mode.has_solver:
        # what a rounding of the arguments moves costs a call by JAX, and a run of the interpreter far more
        rngs = np.random.default_rng(point.case.seed + 7).spawn(ROUNDED_ARGUMENTS)
        runs = chain([reported], (mode.at_rounded_arguments(rng, *request) for rng in rngs))
        error = typical(
            spread(runs, mode.coarsest, lambda found: scope.covers(true.error + floor + typical(found), off))
        )
        if scope.covers(true.error + floor + error, off):
            return Bound(error, frozenset([SPREAD])), 0.0
    by_solvers, share = np.zeros(reported.shape), 0.0
    if mode.has_solver:
        moved, share = mode.solvers_error(*request)
        # where in a block a finer tolerance moves less is chance
        by_solvers = largest_in_block(moved.ravel(), scope.blocks).reshape(moved.shape)
    # a generator, so that no more runs are made than the spread needs
    rngs = None, *np.random.default_rng(point.case.seed).spawn(RANDOM_ROUNDINGS)
    runs = (mode.by_run(Run(rng, mode.coarsest), *request) for rng in rngs)
    # where nothing is known of the true derivative, the roundings of the function's terms stand for its own
    derived, is_half = mode.bound(*request), mode.coarsest > COARSE
    of_terms = of_nothing_known(true, derived, scope.blocks, DERIVATIVE_ROUNDINGS * scope.unit * scope.terms)

    def is_enough(error: np.ndarray) -> bool:
        return not is_half and scope.covers(true.error + np.maximum(error + by_solvers, of_terms), off)

    found = _bound(reported, derived, runs, scope.blocks, mode.coarsest, is_enough, not_finite=np.nan)
    error = np.maximum(found.error + by_solvers, of_terms)
    if point.case.is_large:
        error = typical(error)
    if mode.coarsest > UNIT_ROUNDOFF["float64"] and has_rules(point.case.program):
        is_small = partial(scope.is_small, true=true, precision=point.program.precision)
        is_excused = is_small(error) | is_small(off - true.error) | ~np.isfinite(off) | ~point.keeps_value[:, None]
        if (scope.at & ~is_excused).any():
            keeps_branches = not any(point.redecided)
            runs = (mode.rounded_in_range(rng, *request, keeps_branches=keeps_branches) for rng in rngs)
            in_range = spread(runs, mode.coarsest) + by_solvers
            error = np.where(~is_excused & is_small(in_range), in_range, error)
    return Bound(error, found.kinds), share


@np.errstate(all="ignore")
def bound_of_slopes(
    program: ProgramAtPoint, along: Any, weights: np.ndarray, sides: OneSided, blocks: Sequence[Block]
) -> Bound:
    """A bound on the error of increments, which run in float64. Limits from points nearby have their own error.

    Beside what a coarser type rounds, that is next to nothing: then one run estimates it, and of many inputs no bound
    is derived, which costs more.
    """
    is_coarse = program.coarsest > UNIT_ROUNDOFF["float64"]
    is_derived = sides.is_smooth and not (is_coarse and program.inputs.size > ALL_COORDINATES)
    derived = program.bound(along, weights) if is_derived else np.full(sides.right.shape, np.inf)
    rngs = np.random.default_rng(program.seed).spawn(1 if is_coarse else RANDOM_INCREMENTS)
    runs = chain([sides.right], (rounded_slopes(program, rng, along, weights, sides) for rng in rngs))
    found = _bound(sides.right, derived, runs, blocks, UNIT_ROUNDOFF["float64"], lambda _: False)
    return Bound(found.error + sides.error, found.kinds)


def select_in_blocks(blocks: Sequence[Block], kept: np.ndarray, size: int) -> list[Block]:
    """The blocks of (combinations · inputs) where of `size` inputs only some, in order, are kept."""
    found = []
    for block in blocks:
        row, column = np.divmod(block.indices, size)
        place = np.minimum(np.searchsorted(kept, column), len(kept) - 1)
        found.append(Block(block.name, (row * len(kept) + place)[kept[place] == column]))
    return found


# -- evaluation in float64 --------------------------------------------------------------------------------------------

ORDERS = (0, 1, -1)
"""How nearly equal numbers compare in the runs that turn comparisons: as equal, the first greater, the first less."""

SHORT = 4
"""Numbers of no more significant bits, and whole ones, are exact constants of a formula: 0.5, 3, 1024."""


class PerturbedRun(Run):
    """A run in float64 with other roundings of the rule's own constants, and with nearly equal numbers reordered.

    Parameters
    ----------
    rng : Generator
    order : 0, 1 or -1
        One of `ORDERS`: how numbers compare that a rounding in their type keeps apart. Equal ones stay equal.
    shared : set of float
        Constants that the function itself has. Its derivative has them as they are.
    """

    def __init__(self, rng: np.random.Generator, order: int, shared: frozenset[float]):
        super().__init__(rounding=rng)
        self._order, self._shared = order, shared
        self._drawn: dict[float, float] = {}

    def number(self, atom: Constant) -> Increment:
        """A constant in another rounding, the same wherever it stands."""
        number = super().number(atom)
        if np.ndim(number.value) or kind(atom.value.dtype) != "f":
            return number
        x, unit = float(number.value), unit_roundoff(atom.value.dtype)
        if x in self._shared or not np.isfinite(x) or has_few_bits(np.float64(x), SHORT) or x == round(x):
            return number
        noise = self._drawn.setdefault(x, float(self._noise(())))
        return constant(np.float64(x * (1.0 + unit * noise)))

    def closed_over(self, value: Any) -> Increment:
        """An array that the program closes over; a single number is a constant as those that stand in it."""
        return super().closed_over(value) if is_key(value) or np.ndim(value) else self.number(Constant(value))

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        """One equation's outputs, nearly equal operands of a comparison reordered."""
        choice = equation.primitive.choice
        if choice and choice.compares_pair and equation.kinds <= {"f", "b"} and "f" in equation.kinds:
            operands = self._reordered(operands, max(map(unit_roundoff, equation.input_dtypes)))
        return super().equation(equation, operands)

    def _reordered(self, operands: Sequence[Increment], unit: float) -> Sequence[Increment]:
        first, second = (np.asarray(x.value) for x in operands)
        with np.errstate(invalid="ignore"):  # of infinities
            apart = np.abs(first - second)
        near = (apart > 0.0) & (apart <= unit * np.maximum(np.abs(first), np.abs(second))) & np.isfinite(apart)
        if not near.any():
            return operands
        # the operand that has the shape of the result is moved to the other one, or one rounding beyond it
        which, order = (0, self._order) if first.shape == near.shape else (1, -self._order)
        own, other = (first, second) if which == 0 else (second, first)
        value = np.where(near, other * (1.0 + order * unit * np.sign(other)), own)
        moved = Increment(value, operands[which].change)
        return [moved, operands[1]] if which == 0 else [operands[0], moved]


@np.errstate(all="ignore")
def evaluate_in_float64(
    mode: Mode, request: Request, function: Program, seed: int, is_enough: Callable[[np.ndarray], bool]
) -> np.ndarray | Fact:
    """The mode's program in float64, then perturbed runs of it: (1 + up to 3, combinations, size).

    Or the fact that it cannot be run so: JAX alone computes something in it, or a solver in it stops at a tolerance.
    More runs only allow for more, so no more are made once `is_enough` holds for those that there are.
    """
    if mode.has_solver:
        return note(Kind.OWN_PRECISION_ONLY, because="solver")
    if any(map(reads_bits, mode.programs)):
        return note(Kind.OWN_PRECISION_ONLY, because="bits")
    exact = Run()
    first = mode.by_run(exact, *request, is_wide=True)
    if by_jax := exact.in_own_precision | exact.taken_as_they_are:
        return note(Kind.OWN_PRECISION_ONLY, *sorted(by_jax), because="jax-alone")
    # constants of the function are exact: its derivative has them as they are
    shared = frozenset(number for _, number in numbers_in(function))
    found = np.array(np.broadcast_to(first, (1 + len(ORDERS), *first.shape)))  # for millions of inputs, one copy
    for i, rng in enumerate(np.random.default_rng(seed).spawn(len(ORDERS))):
        found[1 + i] = mode.by_run(PerturbedRun(rng, ORDERS[i], shared), *request, is_wide=True)
        if is_enough(found[: 2 + i]):
            return found[: 2 + i]
    return found


@np.errstate(all="ignore")
def estimate_in_float64(runs: np.ndarray, error: np.ndarray, unit: float) -> Estimate:
    """The first of the runs, and how far from it other roundings of constants and other comparisons lead.

    `error` bounds the derivative in the program's own types, of unit roundoff u. Rounding in float64 moves it by some
    2⁻⁵³/u of that, and by no more than a few times the distance of the runs.
    """
    farthest = reduce(np.maximum, (np.abs(run - runs[0]) for run in runs[1:]))
    rounding = np.minimum(UNIT_ROUNDOFF["float64"] / unit * error, farthest)
    bound = MEANT_FACTOR * farthest + SPREAD_FACTOR * rounding
    return Estimate(runs[0], np.where(np.isfinite(runs[0]) & np.isfinite(bound), bound, np.inf))


@np.errstate(all="ignore")
def with_float64(
    answer: Answer, estimate: Estimate, tolerance: np.ndarray, increments: Answer, sides: Sides
) -> tuple[Answer, np.ndarray]:
    """The answer with its evaluation in float64 where that decides more, and where it does.

    JAX's own numbers stay where they contradict the increments. `tolerance` is what a right rule may be off by. An
    evaluation between both sides of a kink is as good as the increments.
    """
    error = estimate.error + tolerance + SMALLEST
    # JAX's own number stays where it is wrong, not finite, or has the smaller error
    wrong = ~(np.abs(answer.gradient - increments.gradient) <= answer.error + increments.error)
    taken = ~(wrong & np.isfinite(answer.error)) & np.isfinite(answer.gradient) & (error < answer.error)
    mean, half_gap = sides
    # at a kink an evaluation between both sides follows the same convention as the increments
    between = np.clip(estimate.derivative, mean - half_gap, mean + half_gap)
    evaluated = estimate.derivative + np.where(half_gap > 0.0, increments.gradient - between, 0.0)
    gradient = np.where(taken, evaluated, answer.gradient)
    return replace(answer, gradient=gradient, error=np.where(taken, error, answer.error)), taken
