"""Run a traced program in NumPy: values, what small steps change of them, and what rounding may do to both.

Everything is computed in float64 (or complex128), whatever the program's types are; integers and truth values keep
theirs. A run that rounds at random multiplies each result that is not exact by 1 ± a few u: so a handful of runs show
how far rounding moves the end of a computation (Vignes, Mathematics and Computers in Simulation 35, 1993).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment
from reference.arithmetics.roundoff import ELEMENTARY, UNIT_ROUNDOFF
from reference.traced import black_box, contracting, control_flow, elementwise, linear_algebra, moving, reducing
from reference.traced.numbers import constant, is_constant
from reference.traced.program import UNUSED, Constant, Equation, Program, is_key, kind, unit_roundoff

Rule = Callable[..., Any]

RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **moving.RULES,
    **reducing.RULES,
    **contracting.RULES,
    **linear_algebra.RULES,
    **control_flow.RULES,
}
"""From a primitive to ``rule(run, equation, *operands)``, which answers one `Increment`, or one for each output."""

EXACT_BITS = 44
"""A float64 of no more significant bits is taken as exact: a rounded result looks so once in 500 times."""


COARSE = 1e-4
"""u of float16 and bfloat16 is above this."""


class Run:
    """One run of a program.

    Parameters
    ----------
    rounding : Generator, optional
        Rounds at random; by default nothing is rounded beyond float64.
    own_precision : bool
        Round as the program's own types do; otherwise as float64 does.
    trusted : predicate of equations
        Custom rules that are taken as they are.

    Attributes
    ----------
    ties : bool
        Whether a comparison of equal numbers decided something, so that the other side may differ.
    unresolved : str
        What made a change impossible to tell, such as a jump at this point; its entries are NaN.
    differenced : set of str
        Primitives without a rule, whose changes were found by differences.
    """

    def __init__(
        self,
        rounding: np.random.Generator | None = None,
        own_precision: bool = False,
        trusted: Callable[[Equation], bool] = lambda _: False,
    ):
        self.rounding, self.own_precision, self.trusted = rounding, own_precision, trusted
        self.ties, self.unresolved = False, ""
        self.differenced: set[str] = set()
        self.stopped = 0

    def __call__(self, program: Program, *arguments: Increment) -> list[Increment]:
        """The program's results."""
        slots: list[Any] = [None] * program.size
        for slot, value in program.constants:
            slots[slot] = constant(lifted(value))
        for slot, argument in zip(program.arguments, arguments, strict=True):
            slots[slot] = argument

        def read(atom: Any) -> Increment:
            return constant(lifted(atom.value)) if isinstance(atom, Constant) else slots[atom]

        for equation in program.equations:
            outputs = self.equation(equation, [read(atom) for atom in equation.inputs])
            for slot, output in zip(equation.outputs, outputs, strict=True):
                if slot != UNUSED:
                    slots[slot] = output
        return [read(atom) for atom in program.results]

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        """One equation's outputs, rounded where this run rounds."""
        rule = RULES.get(equation.name)
        outputs = rule(self, equation, *operands) if rule else black_box.differenced(self, equation, *operands)
        if isinstance(outputs, Increment):
            outputs = [outputs]
        if self.rounding is None or equation.name in moving.RULES or equation.name in control_flow.RULES:
            return outputs
        return [self._rounded(x, dtype, equation.name) for x, dtype in zip(outputs, equation.dtypes)]

    def _rounded(self, x: Increment, dtype: Any, name: str) -> Increment:
        if kind(dtype) not in ("f", "c"):
            return x
        unit = unit_roundoff(dtype) if self.own_precision else UNIT_ROUNDOFF["float64"]
        size = ROUNDINGS.get(name, ELEMENTARY if name in elementwise.TRANSCENDENTAL else 1.0)
        size = size if unit < COARSE else 1.0  # computed in float32, and rounded once
        value = self._moved(x.value, unit, size)
        return Increment(value, x.change if is_constant(x) else self._moved(x.change, unit, size))

    def _moved(self, array: Any, unit: float, size: float) -> Any:
        """An array rounded at random where it is not exact anyway."""
        array = np.asarray(array)
        if array.dtype.kind not in "fc":
            return array
        if array.dtype.kind == "c":
            return self._moved(array.real, unit, size) + 1j * self._moved(array.imag, unit, size)
        bits = EXACT_BITS if unit <= UNIT_ROUNDOFF["float64"] else round(-np.log2(unit))
        mantissa = np.frexp(array)[0] * 2.0**bits
        inexact = mantissa != np.round(mantissa)
        noise = self.rounding.choice([-1.0, 1.0], array.shape) * self.rounding.uniform(0.5, 1.0, array.shape)
        return np.where(inexact, array * (1.0 + size * unit * noise), array)


ROUNDINGS = dict.fromkeys(
    ("lgamma", "digamma", "polygamma", "zeta", "igamma", "igammac", "igamma_grad_a", "regularized_incomplete_beta"),
    2.0**14,
) | {"log1p": 256.0}
"""Errors of one call in units of u, where it is not that of other functions: series and reflections lose digits."""


def lifted(value: Any) -> Any:
    """A number in the precision that the interpreter works in."""
    if is_key(value):
        return value
    value = np.asarray(value)
    letter = kind(value.dtype)
    return value.astype({"f": np.float64, "c": np.complex128}[letter]) if letter in ("f", "c") else value
