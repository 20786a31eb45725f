"""Run a traced program in NumPy: values, what small steps change of them, and what rounding may do to both.

Everything is computed in float64 (or complex128), whatever the program's types are; integers and truth values keep
theirs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment, constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.primitives import (
    black_box,
    branching,
    contracting,
    control_flow,
    elementwise,
    linear_algebra,
    moving,
    reducing,
)
from reference.traced.program import UNUSED, Constant, Equation, Program, lifted
from reference.traced.rounding import Noise, partly_summed, rounded, rounding_of, surely_inexact

Rule = Callable[..., Any]

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **branching.RULES,
    **moving.RULES,
    **reducing.RULES,
    **contracting.RULES,
    **linear_algebra.RULES,
    **control_flow.RULES,
}
"""From a primitive to ``rule(run, equation, *operands)``, which answers one `Increment`, or one for each output."""


class Run:
    """One run of a program.

    Parameters
    ----------
    rounding : Generator, optional
        Rounds at random; by default nothing is rounded beyond float64.
    coarsest : float
        Round as the program's own types do, but with no larger a unit roundoff than this; by default as float64 does.
    trusted : predicate of equations
        Custom rules that are taken as they are.
    pivot : float
        What counts in the place of a pivot that is zero, beside the matrix: some functions of the factors are smooth
        where these are not, such as a determinant, and then any small number will do.
    phases : Generator, optional
        Turns the free phases of complex vectors at random.

    Attributes
    ----------
    ties : bool
        Whether a comparison of equal numbers decided something, so that the other side may differ.
    unresolved : str
        What made a change impossible to tell, such as a jump at this point; its entries are NaN.
    differenced : set of str
        Primitives without a rule, whose changes were found by differences.
    taken_as_they_are : set of str
        Custom rules that were trusted, and primitives whose derivative is a matter of definition.
    in_own_precision : set of str
        Primitives whose values JAX computed, and not in float64.
    stopped : int
        How often stop_gradient took a change away.
    looks_through : bool
        Whether what runs now is never differentiated by JAX, so that a stop_gradient in it stops nothing.
    """

    def __init__(
        self,
        rounding: np.random.Generator | None = None,
        coarsest: float = UNIT_ROUNDOFF["float64"],
        trusted: Callable[[Equation], bool] = lambda _: False,
        pivot: float = 0.0,
        phases: np.random.Generator | None = None,
    ):
        self.rounding, self.coarsest, self.trusted = rounding, coarsest, trusted
        self._noise = Noise(rounding)
        self.pivot, self.phases = pivot, phases
        self.ties, self.unresolved = False, ""
        self.differenced: set[str] = set()
        self.taken_as_they_are: set[str] = set()
        self.in_own_precision: set[str] = set()
        self.stopped, self.looks_through = 0, False

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
        if "" in equation.kinds and equation.name not in control_flow.RULES:
            return [constant(x) for x in black_box.values_of(equation, [x.value for x in operands], self)]
        rule = RULES.get(equation.name)
        how = rounding_of(equation, self.coarsest) if self.rounding is not None else None
        if how and how.operands:  # what is added up is rounded on the way, and not at the end alone
            operands = [rounded(x, h, self._noise) for x, h in zip(operands, how.operands)]
        outputs = rule(self, equation, *operands) if rule else black_box.differenced(self, equation, *operands)
        if isinstance(outputs, Increment):
            outputs = [outputs]
        if not how:
            return outputs

        def inexact() -> Any:
            return surely_inexact(equation.name, [x.value for x in operands])

        outputs = [rounded(x, h, self._noise, inexact) for x, h in zip(outputs, how.results)]
        if how.partial_sums and rule:
            sizes = rule(Run(), equation, *[constant(_size(x.value)) for x in operands]).value
            value = partly_summed(outputs[0].value, sizes, how.partial_sums, self._noise)
            outputs = [Increment(value, outputs[0].change)]
        return outputs


def _size(value: Any) -> Any:
    return np.abs(value) if np.asarray(value).dtype.kind in "fc" else value
