"""How a run rounds at random: each result that is not exact is multiplied by 1 ± a few u of its type.

A handful of such runs show how far rounding moves the end of a computation (Vignes, Mathematics and Computers in
Simulation 35, 1993).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain, repeat
from math import prod
from typing import Any, NamedTuple

import numpy as np

from reference.arithmetics.increments import Increment, is_constant
from reference.arithmetics.roundoff import ELEMENTARY, UNIT_ROUNDOFF
from reference.traced import backward
from reference.traced.primitives import contracting, control_flow, elementwise, linear_algebra, moving
from reference.traced.program import COMPARISONS, Equation, kind, smallest_normal, underflow, unit_roundoff

COARSE = 1e-4
"""u of float16 and bfloat16 is above this."""

EXACT_BITS = 44
"""A float64 of no more significant bits is taken as exact: a rounded result looks so once in 500 times."""

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
    *moving.RULES, *control_flow.RULES, *COMPARISONS,
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


class OfArray(NamedTuple):
    """How one operand, or result, of an equation is rounded.

    Attributes
    ----------
    unit, size : float
        By up to size · u; where u is zero, not at all.
    tiny, lost : float
        Below `tiny` a number loses up to `lost`, however small it is.
    beside : function of the array, optional
        What each entry may be moved by, over size · u, beside its own rounding.
    """

    unit: float
    size: float
    tiny: float = 0.0
    lost: float = 0.0
    beside: Callable[[Any], Any] | None = None


class Rounding(NamedTuple):
    """How an equation rounds: its operands, where it rounds on the way to its results, and these.

    Attributes
    ----------
    operands, results : sequences of OfArray
    partial_sums : float
        u of sums on the way to the result, beside the sum of sizes.
    """

    operands: Sequence[OfArray]
    results: Sequence[OfArray]
    partial_sums: float


def rounding_of(equation: Equation, coarsest: float) -> Rounding | None:
    """How an equation rounds in its own types, with no larger a u than `coarsest`; None where it is exact."""
    return equation.once(f"rounding {coarsest}", lambda: _rounding_of(equation, coarsest))


def _rounding_of(equation: Equation, coarsest: float) -> Rounding | None:
    name = equation.name
    if name in EXACT:
        return None
    of_operands, of_results = contracting.product_units(equation)

    def of(dtypes: Sequence[Any], size: float, least: float, table: Mapping[str, Sequence[backward.Size]]) -> Any:
        besides = [lambda array, of=beside: of(array, equation.params) for beside in table.get(name, ())]
        units = [max(unit_roundoff(t), least) if kind(t) in ("f", "c") else 0.0 for t in dtypes]
        return [_of_array(t, min(u, coarsest), size, b) for t, u, b in zip(dtypes, units, chain(besides, repeat(None)))]

    operands = of(equation.input_dtypes, 2.0, of_operands, backward.OPERANDS) if name in SUMS else ()
    results = of(equation.dtypes, ROUNDINGS.get(name, 1.0), of_results, backward.RESULTS)
    return Rounding(operands, results, results[0].unit if name in PARTIAL_SUMS else 0.0)


def _of_array(dtype: Any, unit: float, size: float, beside: Callable[[Any], Any] | None) -> OfArray:
    if unit <= UNIT_ROUNDOFF["float64"]:
        return OfArray(unit, size, beside=beside)
    size = 1.0 if unit > COARSE else min(size, ROUNDINGS_IN_FLOAT32)  # half a float: in float32, and rounded once
    is_real = kind(dtype) == "f"
    return OfArray(unit, size, smallest_normal(dtype) * is_real, underflow(dtype) * is_real, beside)


class Noise:
    """Entries of random sign and of a size in [0.5, 1], many of which are drawn at a time."""

    AT_A_TIME = 1024

    def __init__(self, rng: np.random.Generator | None):
        self._rng, self._used, self._drawn = rng, self.AT_A_TIME, np.empty(0)

    def __call__(self, shape: tuple[int, ...]) -> np.ndarray:
        size = prod(shape)
        if size > self.AT_A_TIME:
            return self._draw(size).reshape(shape)
        first, self._used = self._used, self._used + size
        if self._used > self.AT_A_TIME:
            first, self._used, self._drawn = 0, size, self._draw(self.AT_A_TIME)
        return self._drawn[first : self._used].reshape(shape)

    def _draw(self, size: int) -> np.ndarray:
        assert self._rng is not None, "only a run that rounds draws noise"
        drawn = self._rng.random(size)
        return drawn - (drawn < 0.5)


def rounded(x: Increment, how: OfArray, noise: Noise, inexact: Callable[[], Any] | None = None) -> Increment:
    """A value and its change, rounded at random; `inexact` tells where a number of few bits is none by chance."""
    if not how.unit:
        return x
    value = _moved(x.value, how.unit, how.size, noise, inexact)
    if how.tiny:
        below = (np.abs(value) < how.tiny) & (value != 0.0)
        if np.count_nonzero(below):
            value = np.where(below, value + how.lost * noise(value.shape), value)
    if how.beside is not None:
        moved = how.size * how.unit * how.beside(x.value) * noise(np.shape(value))
        value = np.where(np.isfinite(moved), value + moved, value)
    return Increment(value, x.change if is_constant(x) else _moved(x.change, how.unit, how.size, noise))


def partly_summed(found: Any, sizes: Any, unit: float, noise: Noise) -> Any:
    """Sums whose partial sums were rounded: what these may be is bounded by the sum of the sizes."""
    if not (np.abs(sizes) > np.abs(found)).any():
        return found  # nothing cancels
    return found + unit * np.abs(sizes) * noise(np.shape(sizes))


def _moved(array: Any, unit: float, size: float, noise: Noise, inexact: Callable[[], Any] | None = None) -> Any:
    """An array rounded at random where it is not exact anyway; both parts of a complex number by its size."""
    array = np.asarray(array)
    if array.dtype.kind == "c":
        scale = size * unit * np.abs(array)
        return array + (scale * noise(array.shape) + 1j * (scale * noise(array.shape)))
    if array.dtype.kind != "f":
        return array
    exact = has_few_bits(array, _bits_that_are_exact(unit))
    some_are = np.count_nonzero(exact)
    if some_are:
        exact = exact & ~inexact() if inexact else exact
        if np.count_nonzero(exact) == array.size:
            return array
    if size * unit <= UNIT_ROUNDOFF["float64"]:  # 1 + u is 1: to the next number then
        moved = np.nextafter(array, noise(array.shape) * np.inf)
    else:
        moved = array * (1.0 + size * unit * noise(array.shape))
    return np.where(exact, array, moved) if some_are else moved


def surely_inexact(name: str, operands: Sequence[Any]) -> Any:
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
    return np.logical_not(np.asarray(array, np.float64).view(np.int64) & np.int64((1 << (53 - bits)) - 1))
