"""Special functions of SciPy: their Taylor coefficients by series in ball arithmetic, and bounds on the rest.

A `Series` encloses the first n Taylor coefficients of a function about a ball. About a number they are the coefficients
of an expansion. About a whole cell the last of them bounds the rest, if no integral bounds it better.

Sources: DLMF, 10.6.7 and 10.29.5, for the derivatives of Bessel functions, 10.9.2 and 10.32.3 for their bounds, and 7.7
for the integrals of the error functions.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from flint import arb, arb_series, ctx
from scipy import special

from reference.arithmetics.taylor.expansions import NEXT, ORDERS, UNIT, Expansion

Series = Callable[[arb, int], list[arb]]

BITS = 128
"""Of the coefficients, before they are rounded to float64."""

ROUNDINGS = 1024.0
"""Units of roundoff in one call: SciPy's routines promise 1e-13 of the largest value nearby, and mostly do better."""


@contextmanager
def _terms(count: int) -> Iterator[None]:
    """Compute with series of `count` terms."""
    before = ctx.prec, ctx.cap
    ctx.prec, ctx.cap = max(BITS, ctx.prec), count
    try:
        yield
    finally:
        ctx.prec, ctx.cap = before


def _by_series(function: Callable[[Any], Any]) -> Series:
    """The coefficients of a function that flint evaluates over series."""

    def coefficients(x: arb, count: int) -> list[arb]:
        with _terms(count):
            series = function(arb_series([x, 1]))
            return [series[k] for k in range(count)]

    return coefficients


@lru_cache(maxsize=64)
def bessel(method: str, order: int) -> Series:
    """J or I of whole order. The k-th derivative is 2⁻ᵏ Σ_i (±1)^i (k over i) C_{n-k+2i}."""
    sign = -1 if method == "bessel_j" else 1

    def coefficients(x: arb, count: int) -> list[arb]:
        with _terms(1):
            orders = range(order - count + 1, order + count)
            near = {m: getattr(x, method)(arb(m)) for m in orders}
            rows = []
            for k in range(count):
                total = sum((sign**i * math.comb(k, i) * near[order - k + 2 * i] for i in range(k + 1)), arb(0))
                rows.append(total / (arb(2) ** k * math.factorial(k)))
            return rows

    return coefficients


def whole_order(order: float) -> int:
    """The order as an integer, or NotImplementedError for one that `bessel` does not take."""
    if order != round(order) or abs(order) > 100:
        raise NotImplementedError(f"Bessel functions are known for whole orders up to 100, not for {order!r}")
    return int(order)


OF_BESSEL: dict[Any, tuple[str, int]] = {
    special.j0: ("bessel_j", 0),
    special.j1: ("bessel_j", 1),
    special.i0: ("bessel_i", 0),
    special.i1: ("bessel_i", 1),
}
"""Bessel functions of a fixed order, with their kind and order."""

SERIES: dict[Any, Series] = {
    special.erfi: _by_series(lambda x: x.erfi()),
    special.erfcx: _by_series(lambda x: (x * x).exp() * x.erfc()),
    special.dawsn: _by_series(lambda x: (-(x * x)).exp() * x.erfi() * (arb.pi().sqrt() / 2)),
    special.log_ndtr: _by_series(lambda x: ((x * (-1 / arb(2).sqrt())).erfc() / 2).log()),
    special.expi: _by_series(lambda x: x.ei()),
    **{f: bessel(*which) for f, which in OF_BESSEL.items()},
}
"""Functions of one argument, by their ufunc."""


def _decreasing(series: Series) -> Callable[[arb, arb, int], arb]:
    """erfcx(x) is 2/√π ∫ exp(-t² - 2xt) dt over t > 0, so that the sizes of all its derivatives decrease."""
    return lambda low, high, k: series(low, k + 1)[k]


def _dawson(low: arb, high: arb, k: int) -> arb:
    """dawsn(x) is ½ ∫ exp(-t²/4)·sin(xt) dt over t > 0: no derivative exceeds ½ ∫ exp(-t²/4)·tᵏ dt."""
    return arb(2) ** (k - 1) * (arb(k + 1) / 2).gamma() / math.factorial(k)


LARGEST: dict[Any, Callable[[arb, arb, int], arb]] = {
    SERIES[special.erfcx]: _decreasing(SERIES[special.erfcx]),
    SERIES[special.dawsn]: _dawson,
}
"""From a series to (low, high, k) -> a bound on the k-th coefficient about every number of [low, high]."""


@lru_cache(maxsize=64)
def expansion(series: Series, derivatives: int = 0) -> Expansion:
    """An expansion of the function, or of one of its derivatives."""
    largest = LARGEST.get(series, lambda low, high, k: series(low.union(high), k + 1)[k])
    scale = special.poch(ORDERS + 1.0, derivatives)  # (k + d)!/k!
    last = special.poch(NEXT + 1.0, derivatives)

    def coefficients(c: np.ndarray) -> np.ndarray:
        rows = [[float(g.mid()) for g in series(arb(x), NEXT + derivatives)[derivatives:]] for x in c.tolist()]
        return np.array(rows).reshape(-1, NEXT).T * scale

    def rest(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        bounds = [_upper(largest(*ends, NEXT + derivatives)) if ends else np.inf for ends in _finite(low, high)]
        return last * np.array(bounds)

    def image(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(low.shape, np.nan), np.full(low.shape, np.nan)  # unknown: the polynomial encloses well enough

    return Expansion(coefficients, rest, image, call=ROUNDINGS)


def _upper(bound: arb) -> float:
    largest = float(bound.abs_upper())
    return np.inf if math.isnan(largest) else largest * (1.0 + 8.0 * UNIT)


def _finite(low: np.ndarray, high: np.ndarray) -> Iterator[tuple[arb, arb] | None]:
    for ends in zip(low.tolist(), high.tolist()):
        yield (arb(ends[0]), arb(ends[1])) if all(map(math.isfinite, ends)) else None


@lru_cache(maxsize=64)
def bessel_expansion(method: str, order: int, derivatives: int = 0) -> Expansion:
    """J or I by SciPy's own values. No derivative of J exceeds 1, and none of I the largest I of order 0."""
    function, sign = (special.jv, -1.0) if method == "bessel_j" else (special.iv, 1.0)

    def size(x: np.ndarray) -> np.ndarray:
        return np.ones_like(x) if sign < 0.0 else special.iv(0, x)

    def coefficients(c: np.ndarray) -> np.ndarray:
        rows = []
        for k in range(derivatives, NEXT + derivatives):
            parts = (sign**i * math.comb(k, i) * function(order - k + 2 * i, c) for i in range(k + 1))
            rows.append(sum(parts) / (2.0**k * math.factorial(k - derivatives)))
        return np.stack(rows)

    def rest(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return size(np.maximum(np.abs(low), np.abs(high))) * (1.0 + ROUNDINGS * UNIT) / math.factorial(NEXT)

    def image(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        largest = size(np.maximum(np.abs(low), np.abs(high))) * (1.0 + ROUNDINGS * UNIT)
        return -largest, largest

    return Expansion(coefficients, rest, image, lambda c: ROUNDINGS * UNIT * size(c), call=ROUNDINGS)
