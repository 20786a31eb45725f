"""True derivatives: a function is stated once over power series of balls, and its derivatives are enclosed.

f(z + t) = f(z) + f'(z) t + f''(z) t²/2 + ... The precision is doubled until the derivative is known to 80 bits, so
cancellation costs time and no digits.

Source: Johansson, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic, IEEE Trans. Comput. 66, 2017.
"""

from collections.abc import Callable
from math import comb, factorial
from typing import Any

from flint import arb, arb_series

from reference.arithmetics.balls import precision

Series = Any  # an `arb_series`: z + t as an argument of the functions below, f(z + t) as their value

BITS = 80  # of a true derivative, so that it is known to far less than half an ulp of float64

MOST_BITS = 1 << 16

TERMS = 4  # of the series: digamma is the derivative of a series, and needs one more than the three that are read


def true_derivative(function: Callable[[Series], Series], z: float, order: int) -> arb:
    """f'(z) or f''(z) to 80 bits; zero where it is far below all of float64, NaN where it is unknown."""
    bits = 2 * BITS
    while bits <= MOST_BITS:
        with precision(bits, TERMS):
            found = derivative_of(function(arb_series([arb(z), arb(1)])), order)
        if not found.is_nan():
            return found
        bits *= 2
    return arb.nan()


def derivative_of(series: Series, order: int) -> arb:
    """The first or second derivative that a series holds; zero where it is below 2⁻¹²⁰⁰, NaN below 80 known bits."""
    found = series[order] * order  # order! is order, for orders 1 and 2
    if found.is_exact() or found.rel_accuracy_bits() >= BITS:
        return found
    return arb(0) if found.abs_upper() < arb(2) ** -1200 else arb.nan()


# -- functions: each branch is the form that does not overflow on its side of zero -------------------------------------


def size(x: Series) -> Series:
    """|x|."""
    return x if x[0] > 0 else -x


def sigmoid(x: Series) -> Series:
    """1/(1 + exp(-x))."""
    return 1 / (1 + (-x).exp()) if x[0] > 0 else x.exp() / (1 + x.exp())


def softplus(x: Series) -> Series:
    """log(1 + exp(x))."""
    return (1 + x.exp()).log() if x[0] < 0 else x + (1 + (-x).exp()).log()


def tanh(x: Series) -> Series:
    """1 - 2/(exp(2x) + 1)."""
    return 1 - 2 / ((2 * x).exp() + 1) if x[0] < 0 else 2 / (1 + (-2 * x).exp()) - 1


def asinh(x: Series) -> Series:
    """log(x + √(x² + 1)), which is odd."""
    found = (size(x) + (x * x + 1).sqrt()).log()
    return found if x[0] > 0 else -found


def cbrt(x: Series) -> Series:
    """The cube root, which is odd."""
    found = (size(x).log() / 3).exp()
    return found if x[0] > 0 else -found


def elu(x: Series, alpha: Any = 1, scale: Any = 1) -> Series:
    """`scale` times x, or times `alpha` (exp(x) - 1) where x is not positive."""
    return scale * x if x[0] > 0 else scale * alpha * (x.exp() - 1)


def ndtr(x: Series) -> Series:
    """Φ, the normal distribution function."""
    return (-x / arb(2).sqrt()).erfc() / 2


def log_ndtr(x: Series) -> Series:
    """log Φ up to a constant: its slope r = φ/Φ has the slope -r (z + r).

    Below zero Φ(z) = exp(-z²/2) U(½, ½, z²/2)/(2√π), where exp underflows even in balls and U does not.
    """
    z, half = x[0], arb(1) / 2
    if z < 0:
        r = arb(2).sqrt() / (z * z / 2).hypgeom_u(half, half)
    else:
        r = (2 / arb.pi()).sqrt() * (-z * z / 2).exp() / (-z / arb(2).sqrt()).erfc()
    return arb_series([0, r, -r * (z + r) / 2])


def erfinv(x: Series) -> Series:
    """The inverse of erf: y' = √π/2 exp(y²), y'' = 2 y y'²."""
    y = x[0].erfinv()
    slope = arb.pi().sqrt() / 2 * (y * y).exp()
    return arb_series([y, slope, y * slope * slope])


def ndtri(x: Series) -> Series:
    """The inverse of Φ: y' = √(2π) exp(y²/2), y'' = y y'²."""
    y = -arb(2).sqrt() * (2 * x[0]).erfcinv()
    slope = (2 * arb.pi()).sqrt() * (y * y / 2).exp()
    return arb_series([y, slope, y * slope * slope / 2])


def sinc(x: Series) -> Series:
    """sin(πx)/(πx) = 1 - (πx)²/6 + ..."""
    return x.sin_pi() / (arb.pi() * x) if x[0] != 0 else arb_series([1, 0, -(arb.pi() ** 2) / 6])


def bessel_of(kind: str, order: int) -> Callable[[Series], Series]:
    """I or J of a whole order; kind is "bessel_i" or "bessel_j".

    The k-th derivative is 2⁻ᵏ Σ_i (±1)^i (k over i) C_{n-k+2i} (DLMF 10.6.7 and 10.29.5).
    """
    sign = -1 if kind == "bessel_j" else 1

    def series(x: Series) -> Series:
        near = {n: getattr(x[0], kind)(arb(n)) for n in range(order - TERMS, order + TERMS + 1)}
        return arb_series(
            [
                sum((sign**i * comb(k, i) * near[order - k + 2 * i] for i in range(k + 1)), arb(0))
                / (2**k * factorial(k))
                for k in range(TERMS)
            ]
        )

    return series


def scaled_bessel(order: int) -> Callable[[Series], Series]:
    """exp(-|x|) I(x)."""
    return lambda x: (-size(x)).exp() * bessel_of("bessel_i", order)(x)
