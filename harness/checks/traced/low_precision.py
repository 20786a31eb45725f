"""A derivative rule in low precision: its program evaluated in float64, where rounding hides nothing.

In float32 and less, rounding hides an error of a rule that is below its own noise: 2.1 in the place of 2 may pass in
bfloat16. Evaluated in float64, the program of a mode computes the rule's formula to all digits. The formula may differ
from the derivative by what every rule may do in a coarse type: round its constants (0.3989 for 1/√2π in float16), end a
series where rounding begins, and take either branch where a rounding decides a comparison. Runs that perturb the
constants and the comparisons show how far that leads.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from harness.bounds.program_bound import SMALLEST
from harness.bounds.tolerances import MEANT_FACTOR, SPREAD_FACTOR
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.real_coordinates import Estimate, Sides
from harness.checks.traced.rounding_bounds import Request
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer
from reference.arithmetics.increments import Increment, constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.equations import Constant, Equation, Program, is_key, kind, reads_bits, unit_roundoff
from reference.traced.interpreter import Run
from reference.traced.random_rounding import has_few_bits
from reference.traced.solver_tolerances import numbers_in

ORDERS = (0, 1, -1)
"""How nearly equal numbers compare in the runs that turn comparisons: as equal, the first greater, the first less."""

SHORT = 4
"""Numbers of no more significant bits, and whole ones, are exact constants of a formula: 0.5, 0.75, 3, 1024. With 8
bits every constant of bfloat16 would count as exact; with 1, 0.75 would not."""


class PerturbedRun(Run):
    """A run in float64 with other roundings of the rule's own constants, and with nearly equal numbers reordered.

    By `order`, one of `ORDERS`, numbers compare that a rounding in their type keeps apart. Equal ones stay equal. The
    function's own constants are `shared`: its derivative has them as they are.
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
        # the same constant twice is one number: rounded apart, c·a - c·a would not be 0
        noise = self._drawn.setdefault(x, float(self.noise(())))
        return constant(np.float64(x * (1.0 + unit * noise)))

    def closed_over(self, value: Any) -> Increment:
        """An array that the program closes over; a single number is a constant as those that stand in it."""
        return super().closed_over(value) if is_key(value) or np.ndim(value) else self.number(Constant(value))

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        choice = equation.primitive.choice
        if choice and choice.compares_pair and equation.kinds <= {"f", "b"} and "f" in equation.kinds:
            operands = self._reordered(operands, max(map(unit_roundoff, equation.input_dtypes)))
        return super().equation(equation, operands)

    def _reordered(self, operands: Sequence[Increment], unit: float) -> Sequence[Increment]:
        first, second = (np.asarray(x.value) for x in operands)
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


def evaluate_in_float64(
    mode: Mode, request: Request, function: Program, seed: int, is_enough: Callable[[np.ndarray], bool]
) -> np.ndarray | Fact:
    """The mode's program in float64, then perturbed runs of it: (1 + up to 3, combinations, inputs).

    Or the fact that it cannot be run so: JAX alone computes something in it, a solver in it stops at a tolerance, or it
    reads the bits of a number, which are others in float64. More runs only allow for more, so no more are made once
    `is_enough` holds for those that there are.
    """
    if mode.has_solver:
        return note(Kind.OWN_PRECISION_ONLY, because="solver")
    if any(map(reads_bits, mode.programs)):
        return note(Kind.OWN_PRECISION_ONLY, because="bits")
    exact = Run()
    first = mode.by_run(exact, *request, is_wide=True)
    if exact.observed.by_jax:
        return note(Kind.OWN_PRECISION_ONLY, *sorted(exact.observed.by_jax), because="jax-alone")
    # f(x) = 0.1 x has the derivative 0.1 in whatever type, and not another rounding of it
    shared = frozenset(number for _, number in numbers_in(function))
    found = np.array(np.broadcast_to(first, (1 + len(ORDERS), *first.shape)))  # for millions of inputs, one copy
    for i, rng in enumerate(np.random.default_rng(seed).spawn(len(ORDERS))):
        found[1 + i] = mode.by_run(PerturbedRun(rng, ORDERS[i], shared), *request, is_wide=True)
        if is_enough(found[: 2 + i]):
            return found[: 2 + i]
    return found


def estimate_in_float64(runs: np.ndarray, error: np.ndarray, unit: float) -> Estimate:
    """The first of the runs, and how far from it other roundings of constants and other comparisons lead.

    `error` bounds the derivative in the program's own types, of unit roundoff u. Rounding in float64 moves it by some
    2⁻⁵³/u of that. The runs round at random in float64, too, so that it is no more than a few times their distance.
    """
    farthest = reduce(np.maximum, (np.abs(run - runs[0]) for run in runs[1:]))
    rounding = np.minimum(UNIT_ROUNDOFF["float64"] / unit * error, farthest)
    bound = MEANT_FACTOR * farthest + SPREAD_FACTOR * rounding
    return Estimate(runs[0], np.where(np.isfinite(runs[0]) & np.isfinite(bound), bound, np.inf))


def with_float64(
    answer: Answer, estimate: Estimate, tolerance: np.ndarray, increments: Answer, sides: Sides
) -> tuple[Answer, np.ndarray]:
    """The answer with its evaluation in float64 where that decides more, and a mask of where it does.

    `tolerance` is what a right rule may be off by in float64. JAX's own number stays where it is wrong, since callers
    get it whatever its formula is; where it is not finite; and where it has the smaller error.
    """
    error = estimate.error + tolerance + SMALLEST
    wrong = ~(np.abs(answer.gradient - increments.gradient) <= answer.error + increments.error)
    taken = ~(wrong & np.isfinite(answer.error)) & np.isfinite(answer.gradient) & (error < answer.error)
    mean, half_gap = sides
    # at a kink of slopes -1 and 1 the increments have chosen one of these, by JAX's own number; an evaluation between
    # them may have chosen another, and is moved by the difference
    between = np.clip(estimate.derivative, mean - half_gap, mean + half_gap)
    evaluated = estimate.derivative + np.where(half_gap > 0.0, increments.gradient - between, 0.0)
    gradient = np.where(taken, evaluated, answer.gradient)
    return replace(answer, gradient=gradient, error=np.where(taken, error, answer.error)), taken
