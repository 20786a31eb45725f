"""Run a traced program in NumPy: values, what small steps change of them, and what rounding may do to both.

Everything is computed in float64 (or complex128), whatever the program's types are; integers and truth values keep
theirs. A run that rounds at random multiplies each result that is not exact by 1 ± a few u: so a handful of runs show
how far rounding moves the end of a computation (Vignes, Mathematics and Computers in Simulation 35, 1993).
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import jax
import numpy as np

from reference.arithmetics.increments import Increment
from reference.arithmetics.many_directions import constant, is_constant
from reference.arithmetics.roundoff import ELEMENTARY, UNIT_ROUNDOFF
from reference.traced import (
    backward,
    black_box,
    branching,
    contracting,
    control_flow,
    elementwise,
    linear_algebra,
    moving,
    reducing,
)
from reference.traced.program import UNUSED, Constant, Equation, Program, kind, lifted, underflow, unit_roundoff

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
        rounds = self.rounding is not None and equation.name not in EXACT
        if rounds and equation.name in SUMS:  # what is added up is rounded on the way, and not at the end alone
            least = contracting.product_units(equation)[0]
            beside = self._beside(backward.OPERANDS, equation, operands)
            operands = [
                self._rounded(x, t, 2.0, b, least=least) for x, t, b in zip(operands, equation.input_dtypes, beside)
            ]
        outputs = rule(self, equation, *operands) if rule else black_box.differenced(self, equation, *operands)
        if isinstance(outputs, Increment):
            outputs = [outputs]
        if not rounds:
            return outputs
        size = ROUNDINGS.get(equation.name, 1.0)
        beside = self._beside(backward.RESULTS, equation, outputs)
        inexact = partial(_surely_inexact, equation.name, [x.value for x in operands])
        least = contracting.product_units(equation)[1]
        rounded = [
            self._rounded(x, dtype, size, b, inexact, least) for x, dtype, b in zip(outputs, equation.dtypes, beside)
        ]
        return self._partly_summed(equation, operands, rounded) if equation.name in PARTIAL_SUMS and rule else rounded

    def _beside(self, table: Any, equation: Equation, arrays: Sequence[Increment]) -> list[Any]:
        return [
            backward.beside_entries(table, equation.name, i, x.value, equation.params) for i, x in enumerate(arrays)
        ]

    def _partly_summed(
        self, equation: Equation, operands: Sequence[Increment], outputs: list[Increment]
    ) -> list[Increment]:
        """Sums whose partial sums were rounded: what these may be is bounded by the sum of the sizes."""
        quiet = Run()
        sizes = RULES[equation.name](quiet, equation, *[constant(_size(x.value)) for x in operands])
        unit = unit_roundoff(equation.dtypes[0]) if kind(equation.dtypes[0]) in ("f", "c") else 0.0
        unit = min(max(unit, contracting.product_units(equation)[1]), self.coarsest)
        if not np.any(np.abs(sizes.value) > np.abs(outputs[0].value)):
            return outputs  # nothing cancels
        moved = unit * np.abs(sizes.value) * self._noise(np.shape(sizes.value))
        return [Increment(outputs[0].value + moved, outputs[0].change)]

    def _rounded(
        self,
        x: Increment,
        dtype: Any,
        size: float,
        beside: Any = 0.0,
        inexact: Callable[[], Any] | None = None,
        least: float = 0.0,
    ) -> Increment:
        if kind(dtype) not in ("f", "c"):
            return x
        unit = min(max(unit_roundoff(dtype), least), self.coarsest)
        if unit > COARSE:  # computed in float32, and rounded once
            size = 1.0
        elif unit > UNIT_ROUNDOFF["float64"]:
            size = min(size, ROUNDINGS_IN_FLOAT32)
        value = self._moved(x.value, unit, size, inexact)
        if unit > UNIT_ROUNDOFF["float64"] and kind(dtype) == "f":
            value = self._underflowed(value, dtype)
        if np.any(beside):
            moved = size * unit * beside * self._noise(np.shape(value))
            value = np.where(np.isfinite(moved), value + moved, value)
        return Increment(value, x.change if is_constant(x) else self._moved(x.change, unit, size))

    def _moved(self, array: Any, unit: float, size: float, inexact: Callable[[], Any] | None = None) -> Any:
        """An array rounded at random where it is not exact anyway; both parts of a complex number by its size."""
        array = np.asarray(array)
        if array.dtype.kind not in "fc":
            return array
        if array.dtype.kind == "c":
            scale = size * unit * np.abs(array)
            parts = scale * self._noise(array.shape) + 1j * (scale * self._noise(array.shape))
            return array + parts
        exact = has_few_bits(array, _bits_that_are_exact(unit))
        some_are = np.count_nonzero(exact)
        if some_are:
            exact = exact & ~inexact() if inexact else exact
            if exact.all():
                return array
        noise = self._noise(array.shape)
        if size * unit <= UNIT_ROUNDOFF["float64"]:  # 1 + u is 1: to the next number then, and 1 - u towards zero
            moved = np.nextafter(array, np.where(noise > 0.0, np.inf, 0.0))
        else:
            moved = array * (1.0 + size * unit * noise)
        return np.where(exact, array, moved) if some_are else moved

    def _underflowed(self, value: Any, dtype: Any) -> Any:
        """Of what is below the normal numbers of a type, a rounding takes as much however small it is."""
        below = (value != 0.0) & (np.abs(value) < jax.numpy.finfo(dtype).tiny)
        return np.where(below, value + underflow(dtype) * self._noise(value.shape), value) if below.any() else value

    def _noise(self, shape: tuple[int, ...]) -> Any:
        """Entries of random sign and of a size in [0.5, 1]."""
        assert self.rounding is not None, "only a run that rounds draws noise"
        drawn = self.rounding.random(shape)
        return drawn - (drawn < 0.5)


SERIES = (
    "lgamma", "digamma", "polygamma", "zeta", "igamma", "igammac", "igamma_grad_a", "random_gamma_grad",
    "regularized_incomplete_beta",
)  # fmt: skip

ROUNDINGS = dict.fromkeys(elementwise.TRANSCENDENTAL, float(ELEMENTARY)) | dict.fromkeys(SERIES, 2.0**14)
ROUNDINGS["sqrt"] = float(ELEMENTARY)  # halves what moved its argument, which may then be lost in the last place
ROUNDINGS["log1p"] = 256.0
"""Errors of one call in units of u: of series and reflections, which lose digits, far more than one."""

ROUNDINGS_IN_FLOAT32 = 64.0
"""The same in float32, whose series are short."""

EXACT = {
    *moving.RULES, *control_flow.RULES, *branching.COMPARISONS,
    "neg", "abs", "max", "min", "clamp", "sign", "floor", "ceil", "round", "real", "imag", "conj", "complex",
    "select_n", "stop_gradient", "copy", "copy_p", "device_put", "optimization_barrier", "pvary", "name",
    "sharding_constraint", "rem",
    "scatter-max", "scatter-min", "scatter_max", "scatter_min", "sort", "top_k", "reduce_max",
    "reduce_min", "argmax",
    "argmin", "cummax", "cummin",
    "reduce_window_max", "reduce_window_min",
}  # fmt: skip
"""Primitives that round nothing."""

PARTIAL_SUMS = {"reduce_sum", "cumsum", "dot_general", "conv_general_dilated", "reduce_window_sum", "scatter-add"}
"""Sums of products and of entries, whose sizes are the same sums of sizes."""

SUMS = {
    *contracting.RULES, *linear_algebra.RULES, *SERIES, *backward.OPERANDS, *backward.RESULTS,
    "reduce_sum", "cumsum", "scatter-add", "scatter_add", "scatter-sub", "scatter_sub",
    "reduce_window_sum", "select_and_scatter_add", "reduce_prod", "cumprod",
}  # fmt: skip
"""Primitives that round many times within."""


ALGEBRAIC_AT = dict.fromkeys(
    ("exp", "expm1", "log1p", "sin", "cos", "tan", "asin", "atan", "sinh", "cosh", "tanh", "asinh", "atanh",
     "logistic", "erf", "erfc", "erf_inv", "bessel_i0e", "bessel_i1e"),
    0.0,
) | {"log": 1.0, "acos": 1.0, "acosh": 1.0}  # fmt: skip
"""The one finite argument at which a function has a number of few bits (Lindemann, Math. Ann. 20, 1882, of most)."""


MAY_LOOK_EXACT = {*ALGEBRAIC_AT, "add", "sub", "add_any", "sqrt", "div"}


def _surely_inexact(name: str, operands: Sequence[Any]) -> Any:
    """Where a result is rounded however few bits it has: tanh(30) is not 1, and 1e20 + 4 is not 1e20."""
    if name not in MAY_LOOK_EXACT or any(np.asarray(x).dtype.kind != "f" for x in operands):
        return np.False_
    if name in ALGEBRAIC_AT:
        return np.isfinite(operands[0]) & (operands[0] != ALGEBRAIC_AT[name])
    if name in ("add", "sub", "add_any"):
        a, b = operands[0], operands[1] if name != "sub" else -operands[1]
        total = a + b
        share = total - a
        lost = (a - (total - share)) + (b - share)  # exactly (Knuth, The Art of Computer Programming 2, 4.2.2)
        return np.isfinite(lost) & (lost != 0.0)
    if name == "div":  # XLA may multiply by a reciprocal, so that 3/3 is no more than nearly 1
        return (np.abs(np.frexp(operands[1])[0]) != 0.5) & np.isfinite(operands[1])
    if name == "sqrt":
        return np.square(np.sqrt(operands[0])) != operands[0]
    return np.False_


@cache
def _bits_that_are_exact(unit: float) -> int:
    return EXACT_BITS if unit <= UNIT_ROUNDOFF["float64"] else round(-np.log2(unit))


def has_few_bits(array: Any, bits: int) -> Any:
    """Which float64 numbers have no more significant bits than that, or none: the others of the 53 are zero."""
    return np.asarray(array, np.float64).view(np.int64) & ((1 << (53 - bits)) - 1) == 0


def _size(value: Any) -> Any:
    return np.abs(value) if np.asarray(value).dtype.kind in "fc" else value
