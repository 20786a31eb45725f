"""Random rounding: each result that is not exact is multiplied by 1 ± a few u of its type.

A handful of such runs show how far rounding moves the end of a computation (Vignes, Mathematics and Computers in
Simulation 35, 1993). That is a measurement of typical rounding, and no bound: where a bound grows without use, as
through a loop of many steps, it is what is left.

Exact results stay as they are, such as 0.5 + 0.25 or 3 · 7. A result counts as exact if it has few significant bits,
unless its primitive knows better (`Rounding.is_exact`).
"""

from collections.abc import Callable, Generator, Sequence
from itertools import chain, repeat
from math import log2, prod
from typing import Any, NamedTuple

import numpy as np

from reference.arithmetics.array_pieces import in_pieces
from reference.arithmetics.increments import Increment, is_constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.equations import (
    Equation,
    has_derivatives,
    kind,
    product_units,
    smallest_normal,
    underflow,
    unit_roundoff,
)
from reference.traced.primitive import ErrorSize

COARSE = 1e-4  # u of float16 and bfloat16 is above this (4.9e-4 and 3.9e-3), and that of float32 below (6e-8)

EXACT_BITS = 44
"""A float64 of no more significant bits is taken as exact: a rounded result looks so once in 500 times.

The last 9 of 53 bits are zero then. Were fewer asked for, more rounded results would pass for exact; were more asked
for, the product of two numbers of 22 bits would count as rounded.
"""

LARGEST_SIZE_IN_FLOAT32 = 64.0
"""Errors of one call in units of u. The series of float32 are short: 2¹⁴ units, as in float64, would leave 10 bits."""

OPERAND_SIZE = 2.0
"""Errors of an operand that is added up, in units of u: that of the term, and that of a sum that it went through."""

DRAWN_AT_A_TIME = 1024
"""Random numbers are drawn by the thousand, for a call of the generator costs as much as a hundred of them."""


Exactness = Callable[[Any], Any] | None
"""Which entries of an array are exact, from a mask of those with few significant bits; None where just these are."""


class ArrayRounding(NamedTuple):
    """How one operand, or result, of an equation is rounded."""

    # by up to size · u; where u is zero, not at all
    unit: float
    size: float
    # below `tiny` a number loses up to `lost`, however small it is
    tiny: float = 0.0
    lost: float = 0.0
    further: Callable[[Any], Any] | None = None  # a further error of each entry, over size · u


class EquationRounding(NamedTuple):
    """How an equation rounds: its operands where it adds them up, its results, and u of the partial sums."""

    operands: Sequence[ArrayRounding]
    results: Sequence[ArrayRounding]
    partial_sums: float


def rounding_of(equation: Equation, coarsest: float, *, has_unlimited_range: bool = False) -> EquationRounding | None:
    """How an equation rounds in its own types, with no larger a u than `coarsest`; None where it is exact.

    With `has_unlimited_range` nothing underflows.
    """
    key = "rounding", coarsest, has_unlimited_range
    return equation.once(key, lambda: _rounding_of(equation, coarsest, has_unlimited_range))


def _rounding_of(equation: Equation, coarsest: float, has_unlimited_range: bool) -> EquationRounding | None:
    own = equation.primitive.rounding
    if own is None:
        return None
    operand_unit, result_unit = product_units(equation)

    def each(dtypes: Sequence[Any], size: float, least: float, errors: Sequence[ErrorSize]) -> list[ArrayRounding]:
        further = [lambda array, error=error: error(array, equation.params) for error in errors]
        units = [max(unit_roundoff(t), least) if has_derivatives(t) else 0.0 for t in dtypes]
        return [
            _array_rounding(t, min(u, coarsest), size, error, has_unlimited_range)
            for t, u, error in zip(dtypes, units, chain(further, repeat(None)))
        ]

    # an accelerator may round operands in float32 to bfloat16, whose u is then the least
    operands = each(equation.input_dtypes, OPERAND_SIZE, operand_unit, own.operand_errors) if own.sums else ()
    results = each(equation.dtypes, own.size, result_unit, own.result_errors)
    if not any(each.unit for each in (*operands, *results)):  # whole numbers and truth values
        return None
    return EquationRounding(operands, results, results[0].unit if own.sizes_add_up else 0.0)


def _array_rounding(
    dtype: Any, unit: float, size: float, further: Callable[[Any], Any] | None, has_unlimited_range: bool
) -> ArrayRounding:
    if unit <= UNIT_ROUNDOFF["float64"]:
        return ArrayRounding(unit, size, further=further)
    # 16-bit types are computed in float32 and rounded once
    size = 1.0 if unit > COARSE else min(size, LARGEST_SIZE_IN_FLOAT32)
    if has_unlimited_range or kind(dtype) != "f":
        return ArrayRounding(unit, size, further=further)
    return ArrayRounding(unit, size, smallest_normal(dtype), underflow(dtype), further)


class Noise:
    """Random numbers of either sign, of a size in [0.5, 1]: what a rounding may be, over the largest.

    Not from all of [-1, 1]: a handful of runs has to show each rounding at least by half.
    """

    def __init__(self, rng: Any):  # a Generator, or None where nothing is drawn
        self._draws = _draws(rng)
        next(self._draws)

    def __call__(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._draws.send(shape)


def _draws(rng: Any) -> Generator[Any, tuple[int, ...], None]:
    """Arrays of the shapes that are sent in, many numbers drawn at a time."""

    def draw(size: int) -> np.ndarray:
        drawn = rng.random(size)
        drawn -= drawn < 0.5  # [0, 0.5) becomes [-1, -0.5)
        return drawn

    # a generator, so that what is left of the numbers drawn waits for the next shape
    used, drawn, found = DRAWN_AT_A_TIME, np.empty(0), np.empty(0)
    while True:
        shape = yield found
        size = prod(shape)
        if size > DRAWN_AT_A_TIME:
            found = draw(size).reshape(shape)
            continue
        if used + size > DRAWN_AT_A_TIME:
            used, drawn = 0, draw(DRAWN_AT_A_TIME)
        found, used = drawn[used : used + size].reshape(shape), used + size


def rounded(x: Increment, how: ArrayRounding, noise: Noise, is_exact: Exactness = None) -> Increment:
    """A value and its change, rounded at random where it is not exact."""
    if not how.unit:
        return x
    value = _moved(x.value, how.unit, how.size, noise, is_exact)
    if how.tiny:
        # subnormal numbers may be flushed to zero, however exact they are
        below = (np.abs(value) < how.tiny) & (value != 0.0)
        if np.count_nonzero(below):
            value = np.where(below, value + how.lost * noise(value.shape), value)
    if how.further is not None:
        moved = how.size * how.unit * how.further(x.value) * noise(np.shape(value))
        value = np.where(np.isfinite(moved), value + moved, value)
    return Increment(value, x.change if is_constant(x) else _moved(x.change, how.unit, how.size, noise))


def is_exact_sum(terms: Sequence[np.ndarray], sizes: Any, unit: float, is_short: Any) -> Any:
    """Which sums of few bits are exact, in whatever order their terms are added.

    It is if all terms are multiples of one power of two, and their sizes add up to at most 1/u of it: every partial sum
    fits then. `terms` are the operands that are added up, or whose products are.
    """
    if not np.any(is_short):  # the costly question comes last
        return is_short
    steps = [_last_bit(x) for x in terms]
    # of a sum its own last bit, of products the product of the last bits of both: the smaller counts
    return is_short & (sizes * unit <= min(*steps, prod(steps)))


def _last_bit(array: np.ndarray) -> float:
    """The largest power of two of which all numbers are multiples; infinite where all are zero."""
    numbers = array[(array != 0.0) & np.isfinite(array)]
    # m 2ᵉ with a whole number m of 53 bits, and m & -m is the lowest bit of m
    mantissas, exponents = np.frexp(numbers)
    whole = (mantissas * 2.0**53).astype(np.int64)
    return float(np.ldexp((whole & -whole).astype(float), exponents - 53).min(initial=np.inf))


def round_partial_sums(sums: Any, sizes: Any, unit: float, noise: Noise) -> Any:
    """Sums whose partial sums are rounded too: by up to u times the sum of the sizes."""
    if not (np.abs(sizes) > np.abs(sums)).any():
        return sums  # nothing cancels
    return sums + unit * np.abs(sizes) * noise(np.shape(sizes))


def _moved(array: Any, unit: float, size: float, noise: Noise, is_exact: Exactness = None) -> Any:
    """An array rounded at random where it is not exact; both parts of a complex number by its size."""
    array = np.asarray(array)
    if array.dtype.kind == "c":
        scale = size * unit * np.abs(array)
        return array + (scale * noise(array.shape) + 1j * (scale * noise(array.shape)))
    if array.dtype.kind != "f":
        return array
    exact = is_short(array, unit)
    if is_exact:
        exact = is_exact(exact)
    count = np.count_nonzero(exact)
    if count == array.size:
        return array
    if size * unit <= UNIT_ROUNDOFF["float64"]:  # 1 + u is 1 in float64: take the next number
        moved = np.nextafter(array, noise(array.shape) * np.inf)
    else:
        moved = in_pieces(lambda x, noise: x * (1.0 + size * unit * noise), array, noise(array.shape))
    return np.where(exact, array, moved) if count else moved


def is_short(array: Any, unit: float) -> Any:
    """Which float64 numbers have as few significant bits as those of a type with unit roundoff u."""
    bits = EXACT_BITS if unit <= UNIT_ROUNDOFF["float64"] else round(-log2(unit))
    return in_pieces(lambda x: has_few_bits(x, bits), np.asarray(array))


def has_few_bits(array: Any, bits: int) -> Any:
    """Which float64 numbers have no more significant bits than `bits`: the others of the 53 are zero."""
    return np.logical_not(np.asarray(array, np.float64).view(np.int64) & np.int64((1 << (53 - bits)) - 1))
