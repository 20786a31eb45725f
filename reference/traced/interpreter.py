"""Run a traced program in NumPy: values, increments of small steps, and random rounding of both.

Everything is computed in float64 (or complex128), whatever the program's types are; integers and truth values keep
theirs.
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
        Round at random; by default nothing is rounded beyond float64.
    coarsest : float
        Round as the program's own types do, but with no larger a unit roundoff than this; by default as float64 does.
    trusted : predicate of equations
        Custom rules and primitives that are taken as they are.
    pivot : float
        Stands for a pivot that is zero, beside the matrix. Some functions of the factors are smooth where the factors
        are not, such as a determinant; any small number will do then.
    phases : Generator, optional
        Turns the free phases of complex vectors at random.
    has_unlimited_range : bool
        Whether the program's types have an unlimited range where it rounds at random, so that nothing underflows.
    ignores_stop_gradient : bool
        Whether JAX never differentiates what runs, so that a stop_gradient in it stops nothing.
    is_in_branch : bool
        Whether a branch of the program runs, of several.
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
        if self.trusted(equation):
            self.note("taken as they are", name_of(equation))
            return primitive_differences.by_its_rule(self, equation, *operands)
        if "" in equation.kinds and not primitive.takes_keys:
            values = primitive_differences.values_of(equation, [x.value for x in operands], self)
            return list(map(constant, values))
        how = (
            None
            if self.rounding is None
            else rounding_of(equation, self.coarsest, has_unlimited_range=self.has_unlimited_range)
        )
        if how and how.operands:  # partial sums are rounded as well as the final one
            operands = [rounded(x, h, self._noise) for x, h in zip(operands, how.operands)]
        rule = primitive.rule or primitive_differences.differenced
        outputs = rule(self, equation, *operands)
        if isinstance(outputs, Increment):
            outputs = [outputs]
        return self._rounded(equation, operands, outputs, how) if how else outputs

    def _rounded(
        self,
        equation: Equation,
        operands: Sequence[Increment],
        outputs: Sequence[Increment],
        how: EquationRounding,
    ) -> Sequence[Increment]:
        """Outputs rounded at random, and their partial sums."""
        primitive, unit = equation.primitive, how.partial_sums
        find = primitive.rounding.is_inexact if primitive.rounding else None
        values, sizes, is_inexact = [np.asarray(x.value) for x in operands], 0.0, None
        if find and all(x.dtype.kind == "f" for x in values):
            is_inexact = lambda: find(*values)  # noqa: E731  costs time, and is rarely needed
        if unit and primitive.rule:
            sizes = primitive.rule(Run(), equation, *[constant(_size(x)) for x in values]).value
            # in float64, few sums have so few bits by chance
            if "c" not in equation.kinds and unit > UNIT_ROUNDOFF["float64"]:
                terms = [x for x in values if is_floating(x)]
                is_inexact = lambda: is_rounded_in_some_order(terms, sizes, unit)  # noqa: E731  costs time, too
        outputs = [rounded(x, h, self._noise, is_inexact) for x, h in zip(outputs, how.results)]
        if unit and primitive.rule:
            value = round_partial_sums(outputs[0].value, sizes, unit, self._noise)
            if is_inexact and is_short(outputs[0].value, unit).any():  # so are the partial sums of an exact one
                value = np.where(is_inexact(), value, outputs[0].value)
            outputs = [Increment(value, outputs[0].change)]
        return outputs


def value_by(rule: Rule, equation: Equation, numbers: Sequence[Any]) -> np.ndarray:
    """The first output of a rule, from numbers that do not change."""
    found = rule(Run(), equation, *map(constant, numbers))
    return np.asarray((found if isinstance(found, Increment) else found[0]).value)


def _size(value: Any) -> Any:
    return np.abs(value) if is_floating(value) else value
