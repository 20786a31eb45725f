"""Run a traced program in NumPy: values, increments of small steps, and random rounding of both.

Everything is computed in float64 (or complex128), whatever the program's types are; integers and truth values keep
theirs. An increment is the change of a value in a step of `increments.STEP` times a direction: over the step, it is the
derivative along it, good to some roundings. A run of a program is a call:

    (y,) = Run()(program, Increment(x, STEP * directions))      # directions: (count, *x.shape)
    y.value, y.change / STEP                                    # f(x), and its derivatives along each direction
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np

from reference.arithmetics.increments import Increment, constant, unknown_where
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced import primitive_differences, primitive_values
from reference.traced.equations import UNUSED, Constant, Equation, Program, is_floating, lifted
from reference.traced.jumps import direction_by_direction, has_jump
from reference.traced.primitive import Rule
from reference.traced.random_rounding import (
    EquationRounding,
    Exactness,
    Noise,
    is_exact_sum,
    is_short,
    round_partial_sums,
    rounded,
    rounding_of,
)
from reference.traced.rule_origins import name_of
from reference.traced.trusted_rules import by_its_rule


@dataclass(eq=False)
class Observations:
    """What rules report beside numbers."""

    ties: bool = False  # whether equal numbers decided something, so that the slope on the other side may differ
    unresolved: str = ""  # the last reason why some changes are unknown (NaN), such as a jump at this point
    differenced: set[str] = field(default_factory=set)  # names of what has no exact rule, whose changes are differences
    roundoff: float = 0.0  # the largest u of what is differenced
    # custom rules and primitives that were trusted, and primitives whose derivative is a matter of definition
    taken_as_they_are: set[str] = field(default_factory=set)
    in_own_precision: set[str] = field(default_factory=set)  # primitives that JAX computed, and not in float64

    @property
    def by_jax(self) -> set[str]:
        """The names of what JAX alone computes, by its own rules or in its own precision."""
        return self.in_own_precision | self.taken_as_they_are

    @property
    def is_smooth(self) -> bool:
        """Whether nothing but exact rules and decided comparisons took part."""
        return not (self.ties or self.unresolved or self.differenced or self.taken_as_they_are)

    def and_those(self, other: "Observations") -> "Observations":
        """What two runs have met; the first reason is kept."""
        return Observations(
            self.ties or other.ties,
            self.unresolved or other.unresolved,
            self.differenced | other.differenced,
            max(self.roundoff, other.roundoff),
            self.taken_as_they_are | other.taken_as_they_are,
            self.in_own_precision | other.in_own_precision,
        )


@dataclass(eq=False)
class Run:
    """One run of a program. The only thing that changes in it is `observed`."""

    # Round at random; by default nothing is rounded beyond float64. Several such runs show the spread that rounding
    # leads to, which is measured and bounds nothing.
    rounding: np.random.Generator | None = None
    # round as the program's own types do, but with no larger a unit roundoff than this; by default as float64 does
    coarsest: float = UNIT_ROUNDOFF["float64"]
    trusted: Callable[[Equation], bool] = lambda _: False  # custom rules and primitives that are taken as they are
    # Stands for a pivot that is zero, beside the matrix. Some functions of the factors are smooth where the factors are
    # not, such as a determinant; any small number will do then.
    pivot: float = 0.0
    # turns the free phases of complex vectors at random, so that what depends on a phase shows as a spread
    phases: np.random.Generator | None = None
    # whether the program's types have an unlimited range where it rounds at random, so that nothing underflows
    has_unlimited_range: bool = field(default=False, kw_only=True)
    # whether JAX never differentiates what runs, so that a stop_gradient in it stops nothing: the solver of a
    # custom_linear_solve
    ignores_stop_gradient: bool = field(default=False, kw_only=True)
    # whether it runs beside the point that the program is checked at, where a loop may have no end
    is_beside: bool = field(default=False, kw_only=True)
    # Whether a branch of the program runs, of several. An error that a callback raises there belongs to the branch.
    is_in_branch: bool = field(default=False, kw_only=True)
    observed: Observations = field(default_factory=Observations, kw_only=True)
    noise: Any = field(default=None, kw_only=True)  # made of `rounding`

    def __post_init__(self):
        self.noise = self.noise or Noise(self.rounding)

    def altered(self, **fields: Any) -> Self:
        """A run that differs from this one in some fields, and shares its observations."""
        other = copy.copy(self)
        vars(other).update(fields)
        return other

    def note_ties(self, where: Any) -> None:
        """Note that equal numbers decided something, if they did anywhere."""
        self.observed.ties |= bool(np.any(where))

    def unknown(self, where: Any, change: Any, why: str) -> Any:
        """A change with NaN where it is unknown; notes why, if it is unknown anywhere."""
        if not np.any(where):
            return change
        self.observed.unresolved = why
        return unknown_where(where, change)

    # -- running ------------------------------------------------------------------------------------------------------

    def __call__(self, program: Program, *arguments: Increment) -> list[Increment]:
        slots: list[Any] = [None] * program.size
        for slot, value in program.constants:
            slots[slot] = self.closed_over(value)
        for slot, argument in zip(program.arguments, arguments, strict=True):
            slots[slot] = argument

        for equation in program.equations:
            operands = [slots[x] if type(x) is int else self.number(x) for x in equation.inputs]
            for slot, output in zip(equation.outputs, self.equation(equation, operands), strict=True):
                if slot != UNUSED:
                    slots[slot] = output
        return [slots[x] if type(x) is int else self.number(x) for x in program.results]

    def number(self, atom: Constant) -> Increment:
        return constant(atom.wide)

    def closed_over(self, value: Any) -> Increment:
        """An array that the program closes over."""
        return constant(lifted(value))

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        """One equation's outputs, rounded where this run rounds."""
        primitive = equation.primitive
        if self.trusted(equation):  # here, and for random_gamma, a rule of JAX or of the user makes the increments
            self.observed.taken_as_they_are.add(name_of(equation))
            return by_its_rule(self, equation, *operands)
        if "" in equation.kinds and not primitive.takes_keys:  # NumPy knows no random keys
            values = primitive_values.values_of(equation, [x.value for x in operands], self)
            return list(map(constant, values))
        how = None
        if self.rounding is not None:
            how = rounding_of(equation, self.coarsest, has_unlimited_range=self.has_unlimited_range)
        if how and how.operands:  # partial sums are rounded as well as the final one
            operands = [rounded(x, h, self.noise) for x, h in zip(operands, how.operands)]
        rule = primitive.rule or primitive_differences.differenced
        if not (primitive.takes_jumps or equation.programs) and any(map(has_jump, operands)):
            outputs = direction_by_direction(self, rule, equation, operands)
        else:
            outputs = rule(self, equation, *operands)
        if isinstance(outputs, Increment):
            outputs = [outputs]
        return self._rounded(equation, operands, outputs, how) if how else outputs

    def _rounded(
        self, equation: Equation, operands: Sequence[Increment], outputs: Sequence[Increment], how: EquationRounding
    ) -> Sequence[Increment]:
        """Outputs rounded at random; of a sum, its partial sums as well."""
        values = [np.asarray(x.value) for x in operands]
        is_exact = _exactness(equation, values)
        rule, unit = equation.primitive.rule, how.partial_sums
        if not (unit and rule):
            return [rounded(x, h, self.noise, is_exact) for x, h in zip(outputs, how.results)]
        # Σ |x_i|, or |x| · |y|, which bounds every partial sum in any order: the rule itself on the sizes
        sizes = value_by(rule, equation, [np.abs(x) if is_floating(x) else x for x in values])
        # in float64, few sums have so few bits by chance
        if "c" not in equation.kinds and unit > UNIT_ROUNDOFF["float64"]:
            terms = [x for x in values if is_floating(x)]
            is_exact = partial(is_exact_sum, terms, sizes, unit)
        (output,), (of_result,) = outputs, how.results
        total = rounded(output, of_result, self.noise, is_exact)
        value = round_partial_sums(total.value, sizes, unit, self.noise)
        if is_exact:  # the partial sums of an exact sum are exact as well
            value = np.where(is_exact(is_short(output.value, unit)), total.value, value)
        return [Increment(value, total.change)]


def _exactness(equation: Equation, values: Sequence[np.ndarray]) -> Exactness:
    """Which results of an equation are exact, where few bits alone do not say it."""
    find = equation.primitive.rounding.is_exact if equation.primitive.rounding else None
    return (lambda is_short: find(is_short, *values)) if find and all(x.dtype.kind == "f" for x in values) else None


_UNREAD = Run()  # a run of which nobody reads what it observes


def value_by(rule: Rule, equation: Equation, numbers: Sequence[Any]) -> np.ndarray:
    """The first output of a rule, from numbers that do not change."""
    found = rule(_UNREAD, equation, *map(constant, numbers))
    return np.asarray((found if isinstance(found, Increment) else found[0]).value)
