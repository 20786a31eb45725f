"""True derivatives, to as many digits as need be: each function stated once, over power series of balls.

f(z + t) = f(z) + f'(z) t + f''(z) t²/2 + ... is computed by flint with a rigorous enclosure of every coefficient, at a
precision that is doubled until the derivative is known to 80 bits. What cancels only costs time.

Source: Johansson, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic, IEEE Trans. Comput. 66, 2017.
"""

from collections.abc import Callable
from typing import Any

from flint import arb, arb_series, ctx

Series = Any  # an arb_series
Derivatives = Callable[[arb, int], arb]

BITS = 80  # of the truth, so that half an ulp of float64 is no question
MOST_BITS = 1 << 16


def true_derivative(truth: Callable[..., Any], z: float, order: int, explicit: bool = False) -> arb:
    """f'(z) or f''(z), to 80 bits; zero where it is far smaller than any float64, NaN where it is unknown."""
    before, bits = (ctx.prec, ctx.cap), 2 * BITS
    try:
        while bits <= MOST_BITS:
            ctx.prec, ctx.cap = bits, 4
            found = truth(arb(z), order) if explicit else _coefficient(truth(_at(z)), order)
            found = settled(found)
            if not found.is_nan():
                return found
            bits *= 2
        return arb.nan()
    finally:
        ctx.prec, ctx.cap = before


def settled(found: arb) -> arb:
    """A number that is known to 80 bits; zero where it is far smaller than any float64, NaN where less is known."""
    if found.is_exact() or found.rel_accuracy_bits() >= BITS:
        return found
    return arb(0) if found.abs_upper() < arb(2) ** -1200 else arb.nan()


def _at(z: float) -> Series:
    """z + t."""
    return arb_series([arb(z), arb(1)], 4)


def _coefficient(series: Series, order: int) -> arb:
    return series[order] * (2 if order == 2 else 1)


def sigmoid(x: Series) -> Series:
    return 1 / (1 + (-x).exp()) if x[0] > 0 else x.exp() / (1 + x.exp())


def softplus(x: Series) -> Series:
    return (1 + x.exp()).log() if x[0] < 0 else x + (1 + (-x).exp()).log()


def tanh(x: Series) -> Series:
    return 1 - 2 / ((2 * x).exp() + 1) if x[0] < 0 else 2 / (1 + (-2 * x).exp()) - 1


def ndtr(x: Series) -> Series:
    return (-x / arb(2).sqrt()).erfc() / 2


def log_ndtr(z: arb, order: int) -> arb:
    """r = φ(z)/Φ(z), and its derivative -r (z + r); below zero Φ(z) = exp(-z²/2) U(½, ½, z²/2)/(2√π)."""
    half = arb(1) / 2
    if z < 0:
        r = arb(2).sqrt() / (z * z / 2).hypgeom_u(half, half)
    else:
        r = (2 / arb.pi()).sqrt() * (-z * z / 2).exp() / (-z / arb(2).sqrt()).erfc()
    return r if order == 1 else -r * (z + r)


def signed_root(x: Series) -> Series:
    """The cube root."""
    return (x.log() / 3).exp() if x[0] > 0 else -((-x).log() / 3).exp()


def elu(x: Series, alpha: Any = 1, scale: Any = 1) -> Series:
    return scale * x if x[0] > 0 else scale * alpha * (x.exp() - 1)


def hard_sigmoid(x: Series) -> Series:
    return x / 6 + arb(1) / 2 if -3 < x[0] < 3 else 0 * x


def gelu_tanh(x: Series) -> Series:
    return x * (1 + tanh((2 / arb.pi()).sqrt() * (x + arb("0.044715") * x * x * x))) / 2


def log_cosh(x: Series) -> Series:
    size = x if x[0] > 0 else -x
    return size + (1 + (-2 * size).exp()).log() - arb(2).log()


def huber(x: Series) -> Series:
    size = x if x[0] > 0 else -x
    return x * x / 2 if size[0] < 1 else size - arb(1) / 2


def odd_log(x: Series) -> Series:
    """arsinh."""
    positive = x if x[0] > 0 else -x
    found = (positive + (positive * positive + 1).sqrt()).log()
    return found if x[0] > 0 else -found


def sinc(z: arb, order: int) -> arb:
    """Derivatives of sin(πz)/(πz)."""
    pi = arb.pi()
    if z == 0:
        return arb(0) if order == 1 else -pi * pi / 3
    s, c = z.sin_cos_pi()
    if order == 1:
        return (pi * z * c - s) / (pi * z * z)
    return -pi * s / z - 2 * (pi * z * c - s) / (pi * z**3)


def lgamma(z: arb, order: int) -> arb:
    return z.digamma() if order == 1 else arb(2).zeta(z)


def digamma(z: arb, order: int) -> arb:
    return arb(2).zeta(z) if order == 1 else -2 * arb(3).zeta(z)


def erfinv(z: arb, order: int) -> arb:
    y = z.erfinv()
    slope = arb.pi().sqrt() / 2 * (y * y).exp()
    return slope if order == 1 else 2 * y * slope * slope


def ndtri(z: arb, order: int) -> arb:
    y = -arb(2).sqrt() * (2 * z).erfcinv()
    slope = (2 * arb.pi()).sqrt() * (y * y / 2).exp()
    return slope if order == 1 else y * slope * slope


def _bessel(kind: str, nu: int) -> Callable[[arb], arb]:
    return lambda z: getattr(z, f"bessel_{kind}")(arb(nu))


def i_bessel(nu: int) -> Derivatives:
    """Derivatives of I_ν: 2I_ν' = I_(ν-1) + I_(ν+1)."""

    def derivative(z: arb, order: int) -> arb:
        at = {n: _bessel("i", abs(n))(z) for n in range(nu - 2, nu + 3)}
        return (at[nu - 1] + at[nu + 1]) / 2 if order == 1 else (at[nu - 2] + 2 * at[nu] + at[nu + 2]) / 4

    return derivative


def i_bessel_scaled(nu: int) -> Derivatives:
    """Derivatives of exp(-|z|) I_ν(z)."""
    plain = i_bessel(nu)

    def derivative(z: arb, order: int) -> arb:
        sign = 1 if z > 0 else -1
        value, first = _bessel("i", nu)(z), plain(z, 1)
        inner = first - sign * value if order == 1 else plain(z, 2) - 2 * sign * first + value
        return (-abs(z)).exp() * inner

    return derivative


def j_bessel(nu: int) -> Derivatives:
    """Derivatives of J_ν: 2J_ν' = J_(ν-1) - J_(ν+1), and J_-n = (-1)ⁿ J_n."""

    def at(n: int, z: arb) -> arb:
        return _bessel("j", abs(n))(z) * (-1 if n < 0 and n % 2 else 1)

    def derivative(z: arb, order: int) -> arb:
        if order == 1:
            return (at(nu - 1, z) - at(nu + 1, z)) / 2
        return (at(nu - 2, z) - 2 * at(nu, z) + at(nu + 2, z)) / 4

    return derivative
