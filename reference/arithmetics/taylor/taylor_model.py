"""Taylor models: enclosures of a quantity on whole cells of z, many cells at once.

A cell is [low, high], an interval about c with half-width r. On it a `Taylor` encloses a quantity in two ways, which
both hold: by a polynomial in t = (z - c)/r, |t| <= 1, with a bound on the rest, and by two ends. It encloses the exact
result of the formula *and* every result that NumPy may compute in float64, since each rule adds the rounding of its own
operation. Both are proved, given that one call of NumPy's functions is as good as `roundoff.ELEMENTARY` says.

For z² on [1, 3]: c = 2, r = 1, the polynomial 4 + 4t + t² with a rest of rounding, and the ends 1 and 9. The difference
of two models with almost the same polynomial is known far better than either: a slope claimed by hand minus the
derivative of the formula is enclosed by numbers as small as rounding, for all z of a cell.

A comparison that holds on a part of the cell only is undecided: it is [0, 1], and `where` then encloses both branches.
`switches` lists where, so that the caller can split the cell there. NaN ends with an infinite rest mean that the result
may be anything, NaN included. An overflow leaves an infinite end, since 1/(1 + exp(800)) is right all the same.

Sources: Makino and Berz, Taylor models and other validated functional inclusion methods, Int. J. Pure Appl. Math. 4,
2003; Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., chapter 3, for the rounding.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from reference.arithmetics.companion import Companion, NoRule
from reference.arithmetics.roundoff import lost_in_sum
from reference.arithmetics.taylor.expansions import NEXT, TINY, UNIT, furthest_from_zero, nearest_zero, outward

RELAXED = 1.0 + 2.0**-40
"""Times this, a bound that was rounded fewer than a thousand times is a bound again: 1000 u is 2**-43."""

LARGEST = 1e300  # a polynomial of this size may overflow when it is evaluated, so that its rest is unknown


class Taylor(Companion):
    """A quantity on n cells, exact and as computed.

    Attributes
    ----------
    poly : (1 to DEGREE + 1, n) array, the coefficients of t⁰, t¹, ...
    rest : (n,) array, how far the quantity may be from the polynomial
    low, high : (n,) arrays, its ends
    logical : whether it is a truth value: 0, 1, or undecided between them
    """

    def __init__(self, poly: Any, rest: Any, low: Any, high: Any, logical: bool = False):
        self.poly, self.rest, self.low, self.high, self.logical = poly, rest, low, high, logical

    @classmethod
    def lift(cls, constant: Any) -> Self:
        """A number, or one for each cell."""
        number = np.atleast_1d(np.asarray(constant))
        if number.ndim != 1 or number.dtype.kind not in "biuf" or number.dtype.itemsize > 8:
            raise NoRule(f"{cls.__name__} arithmetic takes real numbers, one for each cell")
        exact = number.astype(np.float64)
        return cls(exact[np.newaxis], np.zeros(exact.shape), exact, exact, logical=number.dtype == bool)

    @property
    def value(self) -> np.ndarray:
        """The polynomial's values in the middle of the cells."""
        return np.broadcast_to(self.poly[0], np.shape(self.low))

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.low)

    @property
    def number(self) -> float | None:
        """The single number that this stands for, or None."""
        single = self.low.size == 1 and self.poly.shape == (1, 1) and self.low[0] == self.high[0]
        return float(self.low[0]) if single else None

    def _map(self, function: Callable[[Any], Any]) -> Self:
        raise NoRule(f"{type(self).__name__} arithmetic does not reshape or pick entries")

    def copy(self) -> Self:
        return self

    def astype(self, dtype: Any) -> Self:
        if np.dtype(dtype) != np.float64:
            raise NoRule(f"{type(self).__name__} arithmetic casts to float only")
        return type(self)(self.poly, self.rest, self.low, self.high)

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        if function in (np.ones_like, np.zeros_like):
            return function(np.empty(self.shape))
        if function is np.full_like and not keywords:
            return np.full(self.shape, *operands[1:])
        if function is np.select:
            return self._select(*operands, **keywords)
        return super().__array_function__(function, types, operands, keywords)

    @classmethod
    def _select(cls, conditions: Any, choices: Any, default: Any = 0) -> Any:
        """The first choice whose condition holds."""
        chosen = cls.lifted(default)
        for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
            chosen = cls.apply(np.where, condition, choice, chosen)
        return chosen

    @property
    def certain(self) -> np.ndarray:
        """Where it is not zero."""
        return (self.low > 0.0) | (self.high < 0.0)

    @property
    def excluded(self) -> np.ndarray:
        """Where both the exact and the computed quantity are zero."""
        return (self.low == 0.0) & (self.high == 0.0)


def variable(low: np.ndarray, high: np.ndarray) -> Taylor:
    """z itself on the cells [low, high]; (n,) arrays of finite numbers, low <= high."""
    middle = low + 0.5 * (high - low)
    reach = np.maximum(high - middle, middle - low) * (1.0 + 4.0 * UNIT)
    return Taylor(np.stack([middle, reach]), np.zeros(low.shape), low, high)


def spread(x: Taylor) -> np.ndarray:
    """How far x may be from its polynomial's middle."""
    return (np.abs(x.poly[1:]).sum(axis=0) + x.rest) * RELAXED


def size(x: Taylor) -> np.ndarray:
    """A bound on |x|, by the polynomial."""
    return (np.abs(x.poly).sum(axis=0) + x.rest) * RELAXED


def narrowed(poly: Any, rest: Any, low: Any, high: Any) -> Taylor:
    """The model with these polynomial and ends, each narrowed by the other.

    z - z has the ends low - high and high - low, and the polynomial 0 makes them 0. At 1/z beside a pole the polynomial
    is useless, and the middle of the ends takes its place.
    """
    rest = rest * RELAXED + TINY
    is_known = np.abs(poly).sum(axis=0) + rest < LARGEST  # not so if NaN
    rest = np.where(is_known, rest, np.inf)
    # the polynomial narrows the ends; of NaN and a number, fmax and fmin take the number
    reach, slack = np.where(is_known, spread(Taylor(poly, rest, low, high)), np.nan), 2.0 * UNIT * np.abs(poly[0])
    low, high = np.fmax(low, poly[0] - reach - slack), np.fmin(high, poly[0] + reach + slack)
    low, high = (np.where(np.isnan(low) | np.isnan(high), np.nan, end) for end in (low, high))
    # the ends replace a polynomial whose rest is wider than the distance between them
    is_wide = ~(rest <= 0.5 * (high - low))
    if is_wide.any():
        middle = 0.5 * low + 0.5 * high
        half = np.where(np.isfinite(middle), np.maximum(high - middle, middle - low) * RELAXED + TINY, np.inf)
        poly = np.where(is_wide, 0.0, poly)
        poly[0] = np.where(is_wide & np.isfinite(middle), middle, poly[0])
        rest = np.where(is_wide, half, rest)
    return Taylor(poly, rest, low, high)


# Sums and products


def _rounding(terms: int) -> float:
    """The rounding of a coefficient that sums `terms` products, and of the formula, over the sizes."""
    return (terms + 3.0) * UNIT


def padded(p: np.ndarray, rows: int) -> np.ndarray:
    return p if len(p) == rows else np.concatenate([p, np.zeros((rows - len(p), *p.shape[1:]))])


def add(x: Taylor, y: Taylor) -> Taylor:
    if x.logical and y.logical:  # NumPy adds truth values by `or`
        return x | y
    rows = max(len(x.poly), len(y.poly))
    poly = padded(x.poly, rows) + padded(y.poly, rows)
    # each coefficient of the sum is rounded, and so is the quantity itself when NumPy computes it
    rest = x.rest + y.rest + _rounding(1) * (np.abs(poly).sum(axis=0) + x.rest + y.rest)
    low, high = _exact_sum(x.low, y.low, -np.inf), _exact_sum(x.high, y.high, np.inf)
    broken = (np.isposinf(x.high) & np.isneginf(y.low)) | (np.isneginf(x.low) & np.isposinf(y.high))  # inf - inf
    return narrowed(poly, rest, np.where(broken, np.nan, low), np.where(broken, np.nan, high))


def _exact_sum(a: np.ndarray, b: np.ndarray, towards: float) -> np.ndarray:
    """a + b, moved to the next float where it has been rounded the other way."""
    # 1.0 - 1.0 stays 0.0: ends that were moved all the same would lose the sign of what is next to them
    total = a + b
    beyond = ~(lost_in_sum(a, b) * np.sign(towards) <= 0.0)
    return np.where(beyond & ~np.isinf(total), np.nextafter(total, towards), total)


def negative(x: Taylor) -> Taylor:
    return Taylor(-x.poly, x.rest, -x.high, -x.low)


def polynomial_product(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The product of two polynomials up to `DEGREE`, and a bound on the terms beyond, whose |tᵏ| are at most 1."""
    p, q = (p, q) if len(p) >= len(q) else (q, p)
    width = np.broadcast_shapes(p.shape[1:], q.shape[1:])
    product = np.zeros((min(len(p) + len(q) - 1, NEXT), *width))
    for k, factor in enumerate(q):
        kept = min(len(p), NEXT - k)
        product[k : k + kept] += factor * p[:kept]
    cut = np.zeros(width)
    if len(p) + len(q) - 1 > NEXT:
        tails = np.cumsum(np.abs(p[::-1]), axis=0)[::-1]  # Σ |p_j| over j >= i
        for k in range(NEXT - len(p) + 1, len(q)):
            cut += np.abs(q[k]) * tails[NEXT - k]
    return product, cut


def multiply(x: Taylor, y: Taylor) -> Taylor:
    if x.logical and y.logical:
        return x & y
    if x is y:
        return square(x)
    # (p + e)(q + f) = pq + qe + (p + e)f, where |p + e| <= size_x and |q| <= size_y
    size_x, size_y = size(x), size(y)
    poly, cut = polynomial_product(x.poly, y.poly)
    rest = cut + size_x * y.rest + x.rest * size_y + _rounding(min(len(x.poly), len(y.poly))) * size_x * size_y
    corners = [a * b for a in (x.low, x.high) for b in (y.low, y.high)]
    low, high = outward(np.minimum.reduce(corners), np.maximum.reduce(corners))
    zero = x.excluded | y.excluded  # a product with 0 is 0, and has not underflowed
    # 0 times infinity is NaN
    (x_zero, x_infinite), (y_zero, y_infinite) = (
        ((each.low <= 0.0) & (each.high >= 0.0), np.isinf(each.low) | np.isinf(each.high)) for each in (x, y)
    )
    broken = (x_zero & y_infinite) | (y_zero & x_infinite)
    low, high = (np.where(broken, np.nan, np.where(zero & ~np.isnan(end), 0.0, end)) for end in (low, high))
    return narrowed(poly, rest, low, high)


def square(x: Taylor) -> Taylor:
    # not a product of two quantities that vary apart: z² on [-1, 1] is in [0, 1], and z·w in [-1, 1]
    size_x = size(x)
    poly, cut = polynomial_product(x.poly, x.poly)
    rest = cut + 2.0 * size_x * x.rest + _rounding(len(x.poly)) * size_x * size_x
    nearest, furthest = nearest_zero(x.low, x.high), furthest_from_zero(x.low, x.high)
    low, high = outward(nearest * nearest, furthest * furthest)
    return narrowed(poly, rest, np.maximum(low, 0.0), high)
