"""A run of a program in which every number carries a bound on its rounding error.

The bound E on |computed - exact| is the change of an `Increment` in one direction, so that whatever moves entries moves
the bounds too; what does not change is exact. Of a truth value, E says whether it may be the other one. For y = f(x),
to which a record's `bound` adds k roundings of its own:

    E_y = sup |f'| E_x + k u |y|

A bound covers every evaluation of the same operations, in any order of the sums, whose elementary functions are as good
as `reference.arithmetics.roundoff` says: XLA's, and that of the interpreter beside it. That is proved, given the
measured errors of elementary functions. Through a loop the bound may grow without use: then random rounding takes its
place.

Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 3.1 (γ_n) and 3.3 (running errors).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np

from reference.arithmetics.increments import Increment, constant, is_constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF, is_short, lost_in_sum
from reference.traced.equations import Constant, Equation, underflow, unit_roundoff
from reference.traced.interpreter import Run
from reference.traced.random_rounding import has_few_bits

HALF_FACTOR_BITS = 26  # the product of two numbers of so many significant bits is exact in float64

TINY = float(np.finfo(float).tiny)


class Unbounded(Exception):
    """A program for whose rounding no bound is known here; says why."""


# -- numbers with bounds ----------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """A value and its error."""

    value: Any
    error: Any


def parts(x: Increment) -> Parts:
    """The value of an increment in a bounded run, and its error."""
    return Parts(np.asarray(x.value), np.zeros(np.shape(x.value)) if is_constant(x) else x.change[0])


def with_error(value: Any, error: Any) -> Increment:
    """A value with its error; a constant where that is zero."""
    return Increment(value, np.broadcast_to(error, np.shape(value))[None]) if np.any(error) else constant(value)


def is_undecided(value: Any, error: Any) -> Any:
    """Where an error may turn the sign of a value.

    Twice the error counts, since the value at hand is a computed one itself: the exact one is within E of it, and
    another computed one within E of that.
    """
    # written so that a NaN is undecided, as the error of arcosh at 1 ± u is
    return (error != 0.0) & ~(np.abs(value) > 2.0 * error)


def may_differ(x: Parts, y: Parts) -> Any:
    """Where computed numbers may compare otherwise than exact ones."""
    errors = x.error + y.error
    if np.asarray(x.value).dtype.kind not in "fc":
        return np.asarray(errors > 0.0)
    return is_undecided(x.value - y.value, errors)


def times(slope: Any, error: Any) -> Any:
    """slope · error, and 0 where the error is 0, however steep the slope is: that of √x at an exact 0 is infinite."""
    return np.where(error == 0.0, 0.0, slope * error)


# -- the run ----------------------------------------------------------------------------------------------------------


@dataclass(eq=False, kw_only=True)
class BoundedRun(Run):
    """A run of a program over increments that carry `Parts`.

    Raises Unbounded by a call, where no bound is known.
    """

    # whether a constant of many digits is good to a rounding, as in a derivative rule, or exact, as in the function
    constants_round: bool = False

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        if self.trusted(equation):
            raise Unbounded(f"{equation.name} is taken as it is")
        if "c" in equation.kinds:
            raise Unbounded("no bound for complex numbers")
        if "f" not in equation.kinds and all(map(is_constant, operands)):
            return super().equation(equation, operands)  # whole numbers, truth values and random keys are exact
        bound = equation.primitive.bound
        if bound is None:
            raise Unbounded(f"no bound for {equation.name}")
        outputs = bound(self, equation, *operands)
        return [outputs] if isinstance(outputs, Increment) else outputs

    def number(self, atom: Constant) -> Increment:
        # a derivative rule may have 0.1 x where the program has x/10, or another 17th digit
        value = atom.wide
        if not self.constants_round or np.ndim(value) or np.asarray(value).dtype.kind != "f" or is_short(float(value)):
            return constant(value)
        return with_error(value, self.unit(np.asarray(atom.value).dtype) * np.abs(value))

    # -- roundings ----------------------------------------------------------------------------------------------------

    def unit(self, dtype: Any) -> float:
        """u of a type, as this run rounds."""
        return _limits(dtype, self.coarsest).unit

    def fits(self, equation: Equation, value: Any) -> Any:
        """Whether each number is one of the output's type."""
        return has_few_bits(value, _limits(equation.dtypes[0], self.coarsest).bits)

    def is_exact_sum(self, equation: Equation, x: Any, y: Any) -> bool:
        """Whether x + y of exact x and y is rounded nowhere."""
        return bool(np.all(lost_in_sum(x, y) == 0.0) and np.all(self.fits(equation, x + y)))

    def is_exact_product(self, equation: Equation, x: Any, y: Any) -> bool:
        """Whether x y of exact x and y is rounded nowhere.

        Half of the bits in each factor: the product in float64 is exact then, and shows whether the type holds it.
        """
        short = bool(np.all(has_few_bits(x, HALF_FACTOR_BITS)) and np.all(has_few_bits(y, HALF_FACTOR_BITS)))
        return short and bool(np.all(self.fits(equation, x * y)))

    def rounded(self, equation: Equation, value: Any, inherited: Any, size: Any) -> Increment:
        """The result of an operation that rounds up to u · `size`, beside the error that it inherits.

        Half a float is computed in float32 and only its result is rounded that coarsely.
        """
        unit, underflow, largest, _ = _limits(equation.dtypes[0], self.coarsest)
        within = min(unit, UNIT_ROUNDOFF["float32"])  # of what happens within the operation
        error = inherited + within * size
        if unit > within:
            error = error + unit * np.abs(value)
        # an operation that rounds nothing states a size of 0.0, and loses nothing to underflow either
        is_exact = isinstance(size, float) and not np.any(error)
        error = np.zeros(np.shape(value)) if is_exact else error + underflow
        if np.isfinite(largest):  # a result may overflow
            error = np.where(np.abs(value) + error <= largest, error, np.inf)
        return with_error(value, error)


class Limits(NamedTuple):
    """u, the most that underflow loses, the largest number, and the significant bits of a type."""

    unit: float
    underflow: float
    largest: float
    bits: int


@cache
def _limits(dtype: Any, coarsest: float) -> Limits:
    own, limits = unit_roundoff(dtype), jax.numpy.finfo(dtype)
    unit = min(own, coarsest)
    bits = round(-np.log2(unit))
    # a type that is rounded finer than its own, as if it were wider, has the range of float64 too
    if own > coarsest or own <= UNIT_ROUNDOFF["float64"]:
        return Limits(unit, TINY, np.inf, bits)
    return Limits(unit, underflow(dtype), float(limits.max), bits)
