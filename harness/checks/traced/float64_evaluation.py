"""What a derivative rule means: JAX's program of a mode, run in float64 without the roundings of its types.

In float32 and less, rounding hides what a rule has wrong by less than its own noise. The program of a mode is one like
any other, and run in float64 it answers the rule's formula to all digits. That formula may be off from the derivative
by what any rule may do in a coarse type: round its constants, approximate up to a rounding, decide a comparison of
numbers that a rounding keeps apart the other way.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from harness.bounds.tolerances import MEANT, MEANT_FACTOR, SPREAD_FACTOR
from harness.checks.traced.correct_digits import SMALLEST
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.real_coordinates import Claim
from harness.verdict.comparison import Answer
from reference.arithmetics.increments import Increment, constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.interpreter import Run
from reference.traced.program import COMPARISONS, Constant, Equation, Program, is_key, kind, unit_roundoff
from reference.traced.rounding import has_few_bits
from reference.traced.solving.tolerances import numbers_in
from reference.traced.widening import reads_bits

SIDES = (0, 1, -1)
"""What nearly equal numbers count as in the runs that show what a rule may decide: equal, the first above, below."""

SHORT = 4
"""Numbers of no more significant bits, and whole ones, are those that are meant: 0.5, 3, 1024."""


TURNING = {*COMPARISONS, "max", "min"}
"""Primitives that choose by comparing two numbers."""


class Meant(Run):
    """A run in float64 of what a rule's author may have meant: another rounding of each constant of the rule's own.

    And comparisons of two numbers that a rounding in their type keeps apart are decided in another way.

    Parameters
    ----------
    rng : Generator
    side : 0, 1 or -1
        One of `SIDES`: what such numbers count as. Those that are equal stay so.
    shared : set of float
        Constants that the function itself has, which its derivative has as they are.
    """

    def __init__(self, rng: np.random.Generator, side: int, shared: frozenset[float]):
        super().__init__(rounding=rng)
        self._side, self._shared = side, shared
        self._drawn: dict[float, float] = {}

    def number(self, atom: Constant) -> Increment:
        """A constant, the same wherever it stands."""
        number = super().number(atom)
        if np.ndim(number.value) or kind(atom.value.dtype) != "f":
            return number
        x, unit = float(number.value), unit_roundoff(atom.value.dtype)
        if x in self._shared or not np.isfinite(x) or has_few_bits(np.float64(x), SHORT) or x == round(x):
            return number
        noise = self._drawn.setdefault(x, float(self._noise(())))
        return constant(np.float64(x * (1.0 + unit * noise)))

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        """One equation's outputs."""
        if equation.name in TURNING and equation.kinds <= {"f", "b"} and "f" in equation.kinds:
            operands = self._decided(operands, max(map(unit_roundoff, equation.input_dtypes)))
        return super().equation(equation, operands)

    def _decided(self, operands: Sequence[Increment], unit: float) -> Sequence[Increment]:
        first, second = (np.asarray(x.value) for x in operands)
        with np.errstate(invalid="ignore"):  # of infinities
            apart = np.abs(first - second)
        near = (apart > 0.0) & (apart <= unit * np.maximum(np.abs(first), np.abs(second))) & np.isfinite(apart)
        if not near.any():
            return operands
        which, side = (0, self._side) if first.shape == near.shape else (1, -self._side)
        own, other = (first, second) if which == 0 else (second, first)
        value = np.where(near, other * (1.0 + side * unit * np.sign(other)), own)
        moved = Increment(value, operands[which].change)
        return [moved, operands[1]] if which == 0 else [operands[0], moved]

    def closed_over(self, value: Any) -> Increment:
        return super().closed_over(value) if is_key(value) or np.ndim(value) else self.number(Constant(value))


@np.errstate(all="ignore")
def meaning(
    mode: Mode,
    vectors: np.ndarray,
    weights: np.ndarray | None,
    function: Program,
    seed: int,
    enough: Callable[[np.ndarray], bool],
) -> np.ndarray | str:
    """The mode's program in float64, and what its author may have meant: (1 + up to `SIDES`, combinations, size).

    Or, in words, why it cannot be run so: JAX alone computes something in it, or a solver in it stops somewhere. More
    runs only allow for more, so that no more are made once these are `enough`.
    """
    if mode.has_solver:
        return "a solver in it stops at a tolerance"
    if any(map(reads_bits, mode.programs)):
        return "the bits of a number are looked at"
    exact = Run()
    first = mode.meaning(exact, vectors, weights)
    if by_jax := exact.in_own_precision | exact.taken_as_they_are:
        return f"JAX alone computes {', '.join(sorted(by_jax))}"
    shared = frozenset(number for _, number in numbers_in(function))
    found = np.array(np.broadcast_to(first, (1 + len(SIDES), *first.shape)))  # of millions of inputs, no second copy
    for i, rng in enumerate(np.random.default_rng(seed).spawn(len(SIDES))):
        found[1 + i] = mode.meaning(Meant(rng, SIDES[i], shared), vectors, weights)
        if enough(found[: 2 + i]):
            return found[: 2 + i]
    return found


@np.errstate(all="ignore")
def meant(runs: np.ndarray, error: np.ndarray, unit: float) -> Claim:
    """What is meant, and how far from it another rounding of constants and of comparisons leads.

    `error` is that of the answer in the program's own types, of unit roundoff u: of what rounding does there, float64
    does some 2⁻⁵³/u, and no more than a few times what is seen of it.
    """
    farthest = reduce(np.maximum, (np.abs(run - runs[0]) for run in runs[1:]))
    rounding = np.minimum(UNIT_ROUNDOFF["float64"] / unit * error, farthest)
    bar = MEANT_FACTOR * farthest + SPREAD_FACTOR * rounding
    return Claim(runs[0], np.where(np.isfinite(runs[0]) & np.isfinite(bar), bar, np.inf))


@np.errstate(all="ignore")
def with_meaning(
    answer: Answer, claim: Claim, largest: np.ndarray, truth: Answer, sides: Claim
) -> tuple[Answer, np.ndarray]:
    """The answer with what it means, where JAX's own numbers do not contradict the truth and tell less; and where.

    `largest` is that of the block of each entry; `sides` has the middle of both sides of a kink and how far they are
    from it: what is meant may lie between them.
    """
    error = claim.error + MEANT[answer.precision] * largest + SMALLEST
    wrong = ~(np.abs(answer.gradient - truth.gradient) <= answer.error + truth.error)
    taken = ~(wrong & np.isfinite(answer.error)) & np.isfinite(answer.gradient) & (error < answer.error)
    middle, apart = sides
    between = np.clip(claim.derivative, middle - apart, middle + apart)
    is_meant = claim.derivative + np.where(apart > 0.0, truth.gradient - between, 0.0)
    gradient = np.where(taken, is_meant, answer.gradient)
    return replace(answer, gradient=gradient, error=np.where(taken, error, answer.error)), taken
