"""Arithmetic that carries a bound on its own rounding error.

A `Rounded` is a computed value v with a bound E on |v - exact|. This is running error analysis: the error of a result
is what the errors of its operands can do to it, plus what the operation itself can round. With u the unit roundoff:

    x + y    E_x + E_y + u |x + y|
    x y      |x| E_y + E_x (|y| + E_y) + u |x y|
    x / y    (E_x + |x/y| E_y)/(|y| - E_y) + 2 u |x/y|
    f(x)     sup |f'| E_x + k u |f(x)|        the supremum over [x - E_x, x + E_x]
    Σ x_i    Σ E_i + γ_n Σ |x_i|              in any order of the sum

All of this is proved, but for k: how far one call of exp, tanh, ... may be off is measured (`roundoff.ELEMENTARY`, and
`roundings` of each record). The E's are computed in float64 themselves, and are off by a few u of themselves.

A comparison of two numbers that are closer than their errors is undecided, and `where` then allows for either branch.
So an activation's kink shows up by itself, as an error as large as the jump.

Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 3.1 (γ_n) and 3.3 (running errors).
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np

from reference.arithmetics.companion import COMPARISONS, CONNECTIVES, NEGATIONS, Companion
from reference.arithmetics.elementary import FUNCTIONS
from reference.arithmetics.elementary_record import Elementary, Reach
from reference.arithmetics.roundoff import ELEMENTARY, FREE_ROUNDINGS, UNIT_ROUNDOFF, gamma, is_short


class Rounded(Companion):
    """A computed value and a bound on |computed - exact|.

    A rule returns the value, the error inherited from the operands, and `rounding`: the error of the operation itself
    over u, such as |x + y| for a sum, or None where the operation is exact.
    """

    unit: ClassVar[float] = UNIT_ROUNDOFF["float64"]
    underflow: ClassVar[float] = float(np.finfo(np.float64).tiny)  # not the subnormal: XLA may flush to zero

    @classmethod
    def apply(cls, function: Any, *operands: Any) -> Any:
        value, inherited, rounding = super().apply(function, *operands)
        return cls(value, inherited) if rounding is None else cls.rounded(value, inherited, rounding)

    @classmethod
    def constant(cls, function: Any, x: Any) -> Self:
        """A constant that may be off by a rounding: 0.1 z and z/10 are one formula, and so are z/√2 and √½ z.

        A constant of few digits, like 0.5 or 3, is exact, and so is one that is compared or chosen from.
        """
        lifted = cls.lift(x)
        is_number_in_arithmetic = function in _ARITHMETIC and not np.ndim(x) and np.asarray(x).dtype.kind == "f"
        if not is_number_in_arithmetic or is_short(float(x)):
            return lifted
        return cls(lifted.value, lifted.error + cls.unit * np.abs(lifted.value))

    @classmethod
    def rounded(cls, value: Any, inherited: Any, rounding: Any) -> Self:
        """The result of an inexact operation. Where it is zero it may have underflowed."""
        return cls(value, inherited + cls.unit * rounding + cls.underflow)

    @property
    def error(self) -> Any:
        return self.companion

    def sum(self, axis: int | None = None) -> Self:
        count = np.size(self.value) if axis is None else np.shape(self.value)[axis]
        inherited = np.sum(np.broadcast_to(self.error, np.shape(self.value)), axis=axis)
        rounding = gamma(count, self.unit) / self.unit * np.sum(np.abs(self.value), axis=axis)
        return self.rounded(np.sum(self.value, axis=axis), inherited, rounding)


class RoundedConstants(Rounded):
    """How far a rounding of each constant in a formula moves its result; no operation rounds.

    Branches are those that float64 takes: 0.1 z > 0.3 is decided as it is computed, though 0.1 may be another constant.
    """

    @classmethod
    def apply(cls, function: Any, *operands: Any) -> Any:
        result = super().apply(function, *operands)
        return cls(result.value, 0.0) if function in (*COMPARISONS, np.sign) else result

    @classmethod
    def rounded(cls, value: Any, inherited: Any, rounding: Any) -> Self:
        return cls(value, inherited)


class Rounded32(Rounded):
    """`Rounded` for float32, by values in float64.

    A constant is rounded when it is stored, unless float32 holds it, as it holds small integers. A result that may
    overflow in float32, itself or on the way, has an infinite error: no rule's `rounding` is below any size on the way.
    """

    unit = UNIT_ROUNDOFF["float32"]
    underflow = float(np.finfo(np.float32).tiny)
    largest: ClassVar[float] = float(np.finfo(np.float32).max)

    @classmethod
    def lift(cls, constant: Any) -> Self:
        exact = np.asarray(constant, dtype=np.float64)  # a Python float would be compared in float32
        with np.errstate(all="ignore"):
            stored = exact.astype(np.float32)
            stored *= np.abs(stored) >= np.float32(cls.underflow)  # XLA may flush what is subnormal
            return cls(constant, np.abs(stored - exact))

    @classmethod
    def rounded(cls, value: Any, inherited: Any, rounding: Any) -> Self:
        result = super().rounded(value, inherited, rounding)
        # `rounding` bounds the numbers on the way, as that of logaddexp does its larger operand: these must fit as well
        fits = np.maximum(np.abs(value) + result.error, rounding) <= cls.largest
        return cls(value, np.where(fits, result.error, np.inf))


_ARITHMETIC = (np.add, np.subtract, np.multiply, np.divide, np.power)
"""Functions whose constants may be written otherwise, as z/10 for 0.1 z. In a maximum or a comparison 0.1 is 0.1."""


def _reach(x):
    return Reach(x.value, x.error)


def _sum(value, x, y):
    return value, x.error + y.error, np.abs(value)


def _multiply(x, y):
    value = x.value * y.value
    inherited = np.abs(x.value) * y.error + x.error * (np.abs(y.value) + y.error)
    return value, inherited, np.abs(value)


def _divide(x, y):
    value = x.value / y.value
    # x/y - x'/y' = (x - x' - q (y - y'))/y' with q = x/y and |y'| at least |y| - E_y
    # two roundings: XLA may multiply by the reciprocal of a constant
    return value, (x.error + np.abs(value) * y.error) / _reach(y).nearest, 2.0 * np.abs(value)


def _matmul(x, y):
    size_x, size_y = np.abs(x.value), np.abs(y.value)
    inherited = 0.0
    if np.ndim(y.error):  # a constant has the single error 0.0, which saves a product
        inherited = inherited + size_x @ y.error
    if np.ndim(x.error):
        inherited = inherited + x.error @ (size_y + y.error)
    terms = x.value.shape[-1] + FREE_ROUNDINGS
    # γ_n = nu/(1 - nu) is at most 1.01 nu while nu < 1/101: up to 166,000 terms in float32
    return x.value @ y.value, inherited, 1.01 * terms * (size_x @ size_y)


def _elementary(f: Elementary, steepest: Callable[[Reach], Any]):
    def rule(x):
        value = f.function(x.value)
        return value, steepest(_reach(x)) * x.error, f.roundings_at(x.value) * np.abs(value)

    return rule


def _logaddexp(x, y):
    value, larger = np.logaddexp(x.value, y.value), np.maximum(x.value, y.value)
    # the result is larger + log1p(exp(-|x - y|)); where these cancel, each keeps the error of its own size
    added = value - larger
    # both slopes are in [0, 1] and add up to 1, so the larger error is the most that both together can do
    return value, np.maximum(x.error, y.error), ELEMENTARY * (np.abs(larger) + np.abs(added))


def _power(x, y):
    value = np.power(x.value, y.value)
    inherited = _moved_by_base(x, y)
    if np.any(y.error):
        inherited = inherited + _moved_by_exponent(x, y)
    exponent = np.abs(y.value * np.log(np.abs(x.value)))  # exp(y log x), as a power may be taken, rounds the exponent
    exponent = np.where(np.isfinite(exponent), exponent, 0.0)
    return value, inherited, ELEMENTARY * (1.0 + np.abs(y.value) + exponent) * np.abs(value)


def _largest_power(x, exponent):
    """sup |x|^exponent over the reach of x: monotonic for every exponent, so that it stands at an end."""
    return np.maximum(np.power(_reach(x).nearest, exponent), np.power(_reach(x).furthest, exponent))


def _moved_by_base(x, y):
    """sup |y x^(y-1)| E_x; a root is infinitely steep at zero, and yet moves by a root of the error at most."""
    moved = np.abs(y.value) * _largest_power(x, y.value - 1.0) * x.error
    is_root = (y.value > 0.0) & (y.value < 1.0)
    return np.where(is_root, np.fmin(moved, np.power(x.error, y.value)), moved)


def _moved_by_exponent(x, y):
    """sup |x^y log x| E_y."""
    power = np.maximum(_largest_power(x, y.value - y.error), _largest_power(x, y.value + y.error))
    log = np.maximum(np.abs(np.log(_reach(x).nearest)), np.abs(np.log(_reach(x).furthest)))
    return log * power * y.error


UNDECIDED = 1.0
"""The error of an undecided truth value: as numbers, true and false are 1 and 0, so the other one is 1 away."""


def _comparison(ufunc):
    def compare(x, y):
        decided = np.abs(x.value - y.value) > x.error + y.error  # not so where either is NaN
        return ufunc(x.value, y.value), UNDECIDED * np.logical_not(decided), None

    return compare


def _may_flip(x):
    """Whether x may be false where it is computed as true, or the reverse."""
    # Formulas multiply by truth values. Such a product is off by a rounding, or by about 1 where it is undecided: half
    # of that tells these apart.
    if np.asarray(x.value).dtype == bool:
        return np.logical_not(x.error < 0.5 * UNDECIDED)
    return np.logical_not((np.abs(x.value) > x.error) | (x.error == 0.0))


def _truths(x):
    """Whether x is certainly true, and whether it is possibly true."""
    truth, flips = x.value != 0, _may_flip(x)
    return truth & ~flips, truth | flips


def _connective(ufunc):
    """A rule for `and` and `or`. Neither turns false when an operand turns true, so that the extremes decide."""

    def rule(x, y):
        (x_certain, x_possible), (y_certain, y_possible) = _truths(x), _truths(y)
        undecided = ufunc(x_certain, y_certain) != ufunc(x_possible, y_possible)
        return ufunc(x.value, y.value), UNDECIDED * undecided, None

    return rule


def _negation(ufunc):
    return lambda x: (ufunc(x.value), UNDECIDED * _may_flip(x), None)


def _where(condition, x, y):
    # |z| at 0.0 ± 1e-16 by where(z > 0, z, -z): either branch, and both are 0 within 1e-16
    chosen = np.where(condition.value, x.error, y.error)
    # the other branch, with its own error, is as far away as the jump
    either = x.error + y.error + np.abs(x.value - y.value)
    return np.where(condition.value, x.value, y.value), np.where(_may_flip(condition), either, chosen), None


Rounded.rules = {
    np.positive: lambda x: (x.value, x.error, None),
    np.negative: lambda x: (-x.value, x.error, None),
    np.absolute: lambda x: (np.abs(x.value), x.error, None),
    np.sign: lambda x: (np.sign(x.value), np.where(np.abs(x.value) > x.error, 0.0, 2.0), None),
    np.add: lambda x, y: _sum(x.value + y.value, x, y),
    np.subtract: lambda x, y: _sum(x.value - y.value, x, y),
    np.multiply: _multiply,
    np.divide: _divide,
    np.reciprocal: lambda x: _divide(Rounded.lift(1.0), x),
    np.matmul: _matmul,
    np.power: _power,
    np.logaddexp: _logaddexp,
    **{f.function: _elementary(f, f.steepest) for f in FUNCTIONS if f.steepest is not None},
    **{f: _comparison(f) for f in COMPARISONS},
    **{f: _connective(f) for f in CONNECTIVES},
    **{f: _negation(f) for f in NEGATIONS},
    np.where: _where,
    np.maximum: lambda x, y: (np.maximum(x.value, y.value), np.maximum(x.error, y.error), None),
    np.minimum: lambda x, y: (np.minimum(x.value, y.value), np.maximum(x.error, y.error), None),
}
