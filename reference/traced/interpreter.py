"""Run a traced program in NumPy: values, increments of small steps, and random rounding of both.

Everything is computed in float64 (or complex128), whatever the program's types are; integers and truth values keep
theirs. An increment is the change of a value in a step of `increments.STEP` times a direction: over the step, it is the
derivative along it, good to some roundings. A run of a program is a call:

    (y,) = Run()(program, Increment(x, STEP * directions))      # directions: (count, *x.shape)
    y.value, y.change / STEP                                    # f(x), and its derivatives along each direction
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from reference.arithmetics.increments import Increment, constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced import primitive_differences
from reference.traced.equations import UNUSED, Constant, Equation, Program, is_floating, lifted
from reference.traced.primitive import Rule
from reference.traced.random_rounding import (
    EquationRounding,
    Noise,
    is_rounded_in_some_order,
    is_short,
    round_partial_sums,
    rounded,
    rounding_of,
)
from reference.traced.rule_origins import name_of


class Run:
    """One run of a program.

    Parameters
    ----------
    rounding : Generator, optional
        Round at random; by default nothing is rounded beyond float64. Several such runs show the spread that rounding
        leads to, which is measured and bounds nothing.
    coarsest : float
        Round as the program's own types do, but with no larger a unit roundoff than this; by default as float64 does.
    trusted : predicate of equations
        Custom rules and primitives that are taken as they are.
    pivot : float
        Stands for a pivot that is zero, beside the matrix. Some functions of the factors are smooth where the factors
        are not, such as a determinant; any small number will do then.
    phases : Generator, optional
        Turns the free phases of complex vectors at random, so that what depends on a phase shows as a spread.
    has_unlimited_range : bool
        Whether the program's types have an unlimited range where it rounds at random, so that nothing underflows.
    ignores_stop_gradient : bool
        Whether JAX never differentiates what runs, so that a stop_gradient in it stops nothing: the solver of a
        custom_linear_solve.
    is_in_branch : bool
        Whether a branch of the program runs, of several. An error that a callback raises there belongs to the branch.

    The only thing that changes in a run is `observed`, what rules report beside numbers.
    """

    def __init__(
        self,
        rounding: np.random.Generator | None = None,
        coarsest: float = UNIT_ROUNDOFF["float64"],
        trusted: Callable[[Equation], bool] = lambda _: False,
        pivot: float = 0.0,
        phases: np.random.Generator | None = None,
        *,
        has_unlimited_range: bool = False,
        ignores_stop_gradient: bool = False,
        is_in_branch: bool = False,
    ):
        self.rounding, self.coarsest, self.trusted = rounding, coarsest, trusted
        self.pivot, self.phases = pivot, phases
        self.has_unlimited_range, self.ignores_stop_gradient = has_unlimited_range, ignores_stop_gradient
        self.is_in_branch = is_in_branch
        self.observed: dict[str, dict[str, None]] = {}
        self._noise = Noise(rounding)

    def altered(self, **attributes: Any) -> Self:
        """A run that differs from this one in some attributes, and shares its observations."""
        other = copy.copy(self)
        vars(other).update(attributes)
        return other

    # -- what rules observe beside numbers ----------------------------------------------------------------------------

    def note(self, what: str, detail: str = "") -> None:
        """Note an observation, such as "differenced" and the primitive; it is read by the properties below."""
        details = self.observed.setdefault(what, {})
        details.pop(detail, None)  # the last one stands last
        details[detail] = None

    def note_ties(self, where: Any) -> None:
        """Note that equal numbers decided something, if they did anywhere."""
        if np.any(where):
            self.note("ties")

    @property
    def ties(self) -> bool:
        """Whether equal numbers decided something, so that the slope on the other side may differ."""
        return "ties" in self.observed

    @property
    def unresolved(self) -> str:
        """The last reason why some changes are unknown (NaN), such as a jump at this point; empty if there is none."""
        return next(reversed(self.observed.get("unresolved", {"": None})))

    @property
    def differenced(self) -> set[str]:
        """Primitives without a rule, whose changes were found by differences."""
        return set(self.observed.get("differenced", ()))

    @property
    def taken_as_they_are(self) -> set[str]:
        """Custom rules and primitives that were trusted, and primitives whose derivative is a matter of definition."""
        return set(self.observed.get("taken as they are", ()))

    @property
    def in_own_precision(self) -> set[str]:
        """Primitives whose values JAX computed, and not in float64."""
        return set(self.observed.get("in own precision", ()))

    # -- running ------------------------------------------------------------------------------------------------------

    def __call__(self, program: Program, *arguments: Increment) -> list[Increment]:
        """The program's results."""
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
        """A number that stands in the program."""
        return constant(atom.wide)

    def closed_over(self, value: Any) -> Increment:
        """An array that the program closes over."""
        return constant(lifted(value))

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        """One equation's outputs, rounded where this run rounds."""
        primitive = equation.primitive
        if self.trusted(equation):  # here, and for random_gamma, a rule of JAX or of the user makes the increments
            self.note("taken as they are", name_of(equation))
            return primitive_differences.by_its_rule(self, equation, *operands)
        if "" in equation.kinds and not primitive.takes_keys:  # NumPy knows no random keys
            values = primitive_differences.values_of(equation, [x.value for x in operands], self)
            return list(map(constant, values))
        how = self._rounding_of(equation)
        if how and how.operands:  # partial sums are rounded as well as the final one
            operands = [rounded(x, h, self._noise) for x, h in zip(operands, how.operands)]
        rule = primitive.rule or primitive_differences.differenced
        outputs = rule(self, equation, *operands)
        if isinstance(outputs, Increment):
            outputs = [outputs]
        return self._rounded(equation, operands, outputs, how) if how else outputs

    def _rounding_of(self, equation: Equation) -> EquationRounding | None:
        """How this run rounds an equation; None where it does not."""
        if self.rounding is None:
            return None
        return rounding_of(equation, self.coarsest, has_unlimited_range=self.has_unlimited_range)

    def _rounded(
        self,
        equation: Equation,
        operands: Sequence[Increment],
        outputs: Sequence[Increment],
        how: EquationRounding,
    ) -> Sequence[Increment]:
        """Outputs rounded at random, and their partial sums."""
        values = [np.asarray(x.value) for x in operands]
        rule, unit = equation.primitive.rule, how.partial_sums
        if not (unit and rule):
            is_inexact = _is_inexact(equation, values)
            return [rounded(x, h, self._noise, is_inexact) for x, h in zip(outputs, how.results)]

        # Σ |x_i|, or |x| · |y|, which bounds every partial sum in any order: the rule itself on the sizes
        sizes = rule(Run(), equation, *[constant(_size(x)) for x in values]).value
        is_inexact = _is_inexact(equation, values)
        # in float64, few sums have so few bits by chance
        if "c" not in equation.kinds and unit > UNIT_ROUNDOFF["float64"]:
            terms = [x for x in values if is_floating(x)]
            is_inexact = lambda: is_rounded_in_some_order(terms, sizes, unit)  # noqa: E731  costs time
        (output,) = [rounded(x, h, self._noise, is_inexact) for x, h in zip(outputs, how.results)]
        value = round_partial_sums(output.value, sizes, unit, self._noise)
        if is_inexact and is_short(output.value, unit).any():  # the partial sums of an exact sum are exact as well
            value = np.where(is_inexact(), value, output.value)
        return [Increment(value, output.change)]


def _is_inexact(equation: Equation, values: Sequence[np.ndarray]) -> Callable[[], Any] | None:
    """A function that finds where few bits do not mean an exact result, called where it matters, since it costs time.

    None where all results of few bits are exact.
    """
    find = equation.primitive.rounding.is_inexact if equation.primitive.rounding else None
    return (lambda: find(*values)) if find and all(x.dtype.kind == "f" for x in values) else None


def value_by(rule: Rule, equation: Equation, numbers: Sequence[Any]) -> np.ndarray:
    """The first output of a rule, from numbers that do not change."""
    found = rule(Run(), equation, *map(constant, numbers))
    return np.asarray((found if isinstance(found, Increment) else found[0]).value)


def _size(value: Any) -> Any:
    return np.abs(value) if is_floating(value) else value
