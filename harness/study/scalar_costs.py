"""Sums of formulas of one number with their derivatives, and derivatives that libraries have shipped wrong.

The first are what libraries of functions are made of. Each of the second is written here in float64 as it went wrong,
beside its right derivative, and is checked at the very points at which it failed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

# -- formulas ----------------------------------------------------------------------------------------------------------


class Formula(NamedTuple):
    """f and f', at ordinary points and at awkward ones: flat, steep, near an end or a branch."""

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    ordinary: tuple[float, ...] = (-1.7, -0.4, 0.3, 0.9, 2.2)
    awkward: tuple[float, ...] = (-12.0, -1e-5, 1e-5, 11.0)


def _normal(x):
    return np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)


def _mish_slope(x):
    t = np.tanh(special.log1p(np.exp(x)))
    return t + x * (1.0 - t**2) * special.expit(x)


POSITIVE = {"ordinary": (0.2, 0.7, 1.3, 3.1), "awkward": (1e-3, 40.0)}
INSIDE = {"ordinary": (0.1, 0.35, 0.6, 0.85), "awkward": (0.01, 0.99)}

FORMULAS: dict[str, Formula] = {
    "sine": Formula(np.sin, np.cos, awkward=(1e4, np.pi / 2.0, 0.0)),
    "exponential": Formula(np.exp, np.exp, awkward=(-5.0, 0.0, 12.0)),
    "expm1": Formula(np.expm1, np.exp, awkward=(-5.0, 1e-9, 8.0)),
    "logarithm": Formula(np.log, lambda x: 1.0 / x, **POSITIVE),
    "log1p": Formula(np.log1p, lambda x: 1.0 / (1.0 + x), ordinary=(-0.5, 0.1, 2.0, 5.0), awkward=(-0.99, 1e-8, 1e3)),
    "square root": Formula(np.sqrt, lambda x: 0.5 / np.sqrt(x), **POSITIVE),
    "cube root of 1 + x²": Formula(lambda x: np.cbrt(1.0 + x**2), lambda x: 2.0 * x / (3.0 * np.cbrt(1.0 + x**2) ** 2)),
    "reciprocal": Formula(lambda x: 1.0 / x, lambda x: -1.0 / x**2, **POSITIVE),
    "x to the 2.5": Formula(lambda x: x**2.5, lambda x: 2.5 * x**1.5, **POSITIVE),
    "sigmoid": Formula(special.expit, lambda x: special.expit(x) * special.expit(-x), awkward=(-4.0, 0.0, 5.0)),
    "log sigmoid": Formula(lambda x: -np.logaddexp(0.0, -x), lambda x: special.expit(-x)),
    "softplus": Formula(lambda x: np.logaddexp(0.0, x), special.expit),
    "tanh": Formula(np.tanh, lambda x: 1.0 - np.tanh(x) ** 2, awkward=(-4.0, 0.0, 3.0)),
    "tanh shrink": Formula(lambda x: x - np.tanh(x), lambda x: np.tanh(x) ** 2, awkward=(-5.0, 0.2, 8.0)),
    "softsign": Formula(lambda x: x / (1.0 + np.abs(x)), lambda x: 1.0 / (1.0 + np.abs(x)) ** 2, awkward=(-40.0, 0.0)),
    "arctangent": Formula(np.arctan, lambda x: 1.0 / (1.0 + x**2)),
    "arcsinh": Formula(np.arcsinh, lambda x: 1.0 / np.sqrt(1.0 + x**2), awkward=(-1e4, 0.0, 30.0)),
    "arccosh": Formula(np.arccosh, lambda x: 1.0 / np.sqrt(x**2 - 1.0), ordinary=(1.2, 2.0, 4.0),
        awkward=(1.001, 50.0)),
    "arctanh": Formula(np.arctanh, lambda x: 1.0 / (1.0 - x**2), ordinary=(-0.7, 0.1, 0.5), awkward=(-0.99, 0.999)),
    "logit": Formula(special.logit, lambda x: 1.0 / (x * (1.0 - x)), **INSIDE),
    "entropy": Formula(special.entr, lambda x: -np.log(x) - 1.0, **INSIDE),
    "SiLU": Formula(lambda x: x * special.expit(x), lambda x: special.expit(x) * (1.0 + x * special.expit(-x))),
    "GELU": Formula(lambda x: x * special.ndtr(x), lambda x: special.ndtr(x) + x * _normal(x),
        awkward=(-6.0, 0.0, 7.0)),
    "Mish": Formula(lambda x: x * np.tanh(np.logaddexp(0.0, x)), _mish_slope, awkward=(-9.0, 0.0, 9.0)),
    "CELU": Formula(lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))), lambda x: np.exp(np.minimum(x, 0.0)),
        awkward=(-7.0, -1e-3)),
    "log cosh": Formula(lambda x: np.logaddexp(x, -x) - np.log(2.0), np.tanh),
    "pseudo-Huber": Formula(lambda x: np.sqrt(1.0 + x**2) - 1.0, lambda x: x / np.sqrt(1.0 + x**2), awkward=(0.0, 1e3)),
    "Huber": Formula(lambda x: np.where(np.abs(x) < 1.0, 0.5 * x**2, np.abs(x) - 0.5), lambda x: np.clip(x, -1.0, 1.0),
        awkward=(-1.0 - 1e-4, 1.0, 30.0)),
    "error function": Formula(special.erf, lambda x: 2.0 / np.sqrt(np.pi) * np.exp(-(x**2)), awkward=(-2.5, 0.0, 2.0)),
    "log of the normal tail": Formula(special.log_ndtr,
        lambda x: np.exp(-0.5 * x**2 - special.log_ndtr(x)) / np.sqrt(2.0 * np.pi), awkward=(-20.0, 3.0)),
    "log gamma": Formula(special.gammaln, special.digamma, **POSITIVE),
    "bell": Formula(lambda x: np.exp(-(x**2)), lambda x: -2.0 * x * np.exp(-(x**2)), awkward=(0.0, 2.5)),
    "Cauchy": Formula(lambda x: np.log1p(x**2), lambda x: 2.0 * x / (1.0 + x**2), awkward=(0.0, 1e3)),
    "damped wave": Formula(lambda x: np.exp(-x) * np.sin(5.0 * x),
        lambda x: np.exp(-x) * (5.0 * np.cos(5.0 * x) - np.sin(5.0 * x))),
    "quartic": Formula(lambda x: x**4 - x, lambda x: 4.0 * x**3 - 1.0, awkward=(0.0, 1e3)),
}  # fmt: skip


# -- shipped wrong -----------------------------------------------------------------------------------------------------


class Shipped(NamedTuple):
    """f, whose sum is the cost; its derivative as it was shipped, the right one, and the point."""

    value: Callable[[np.ndarray], Any]
    wrong: Callable[[np.ndarray], np.ndarray]
    right: Callable[[np.ndarray], np.ndarray]
    at: tuple[float, ...]


def _at(x: float, value: float, right: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """The right derivative, except at one place."""
    return lambda t: np.where(t == x, value, right(t))


def _nan(t):
    return np.full_like(t, np.nan)


POWERS = np.exp([0.1, 0.4, 0.7])


def _log_sum_slope(w):
    return POWERS / np.sum(w * POWERS)


def _determinant(t):
    return np.linalg.det(t.reshape(2, 2))


COFACTORS = np.array([1.0, -1.0, -1.0, 1.0])
"""The signs of d, c, b and a, which are the derivatives of the determinant of a, b, c and d."""


def _product_slope(t):
    return np.array([np.prod(np.delete(t, i)) for i in range(len(t))])


def _sinc_slope(t):
    x = np.pi * t
    return np.pi * np.where(
        np.abs(x) < 1e-3, -x / 3.0 + x**3 / 30.0, (x * np.cos(x) - np.sin(x)) / np.where(x, x, 1) ** 2
    )


SHIPPED: dict[str, Shipped] = {
    "softplus at 0": Shipped(lambda t: np.logaddexp(0.0, t), _at(0.0, 0.0, special.expit), special.expit, (0.0, 1.0)),
    "hard shrink of width 0": Shipped(lambda t: t, _at(0.0, 0.0, np.ones_like), np.ones_like, (0.0, 0.5)),
    "soft shrink of width 0": Shipped(lambda t: t, _at(0.0, 0.0, np.ones_like), np.ones_like, (0.0, -0.5)),
    "log-sum-exp with a weight of 0": Shipped(lambda w: np.log(np.sum(w * POWERS)),
        lambda w: np.where(w == 0.0, 0.0, _log_sum_slope(w)), _log_sum_slope, (0.0, 1.0, 0.5)),
    "sinc near 0": Shipped(np.sinc, lambda t: (np.pi * t * np.cos(np.pi * t) - np.sin(np.pi * t)) / (np.pi * t * t),
        _sinc_slope, (1e-6, 2e-6)),
    "sinc at 0": Shipped(np.sinc, lambda t: np.where(t == 0.0, np.nan, _sinc_slope(t)), _sinc_slope, (0.0, 0.5)),
    "log(1 - exp(x)) near 0": Shipped(lambda t: np.log(-np.expm1(t)), lambda t: np.full_like(t, -np.inf),
        lambda t: np.exp(t) / np.expm1(t), (-1e-9,)),
    "tanh where it is flat": Shipped(np.tanh, np.zeros_like, lambda t: 1.0 / np.cosh(t) ** 2, (14.0,)),
    "power 0 of 0": Shipped(lambda t: t**2, _at(0.0, np.nan, lambda t: 2 * t), lambda t: 2 * t, (0.0, 1.0)),
    "exponent of base 0": Shipped(lambda t: 0.0 ** float(t[0]), _nan, np.zeros_like, (2.0,)),
    "x log y at x = 0": Shipped(lambda t: t[0] * np.log(2.5) + t[1],
        lambda t: np.array([0.0 if t[0] == 0.0 else np.log(2.5), 1.0]), lambda t: np.array([np.log(2.5), 1.0]),
        (0.0, 1.0)),
    "square root of a square sum + 1": Shipped(lambda t: np.sqrt(1.0 + t @ t), lambda t: t / np.sqrt(t @ t),
        lambda t: t / np.sqrt(1 + t @ t), (0.0, 0.0)),
    "arcsinh at 0": Shipped(np.arcsinh, _at(0.0, 0.0, lambda t: 1 / np.sqrt(1 + t**2)),
        lambda t: 1 / np.sqrt(1 + t**2), (0.0,)),
    "clamp inside of its edges": Shipped(lambda t: t, _at(1.0, 0.0, np.ones_like), np.ones_like, (1.0, 0.2)),
    "log gamma at 1": Shipped(special.gammaln, _at(1.0, 0.0, special.digamma), special.digamma, (1.0, 3.0)),
    "digamma at 1": Shipped(special.digamma, lambda t: -special.polygamma(1, t), lambda t: special.polygamma(1, t),
        (1.0, 2.5)),
    "logit with an ε": Shipped(special.logit, lambda t: np.where((t < 0.01) | (t > 0.99), 0.0, 1 / (t * (1 - t))),
        lambda t: 1 / (t * (1 - t)), (0.005, 0.5)),
    "Huber with another δ": Shipped(lambda t: np.where(np.abs(t) < 2, 0.5 * t**2, 2 * np.abs(t) - 2),
        lambda t: np.clip(t, -1.0, 1.0), lambda t: np.clip(t, -2.0, 2.0), (1.5, 0.3)),
    "smooth L1 at 0": Shipped(lambda t: 0.5 * t**2, _at(0.0, 1.0, lambda t: t), lambda t: t, (0.0, 0.4)),
    "determinant of a singular matrix": Shipped(_determinant,
        lambda t: _nan(t) if _determinant(t) == 0 else t[::-1] * COFACTORS, lambda t: t[::-1] * COFACTORS,
        (1, 2, 2, 4)),
    "product with a 0": Shipped(lambda t: np.prod(t), lambda t: np.where(t == 0, 0.0, _product_slope(t)),
        _product_slope, (0.0, 2.0, 3.0)),
    "product with two zeros": Shipped(lambda t: np.prod(t), _nan, _product_slope, (0.0, 0.0, 3.0)),
    "squares of equal singular values": Shipped(
        lambda t: np.sum(np.linalg.svd(t.reshape(2, 2), compute_uv=False) ** 2), _nan, lambda t: 2.0 * t,
        (1.0, 0.0, 0.0, 1.0)),
    "variance of a constant": Shipped(lambda t: np.var(t), _nan, lambda t: 2.0 * (t - t.mean()) / t.size,
        (2.0, 2.0, 2.0)),
    "variance, n for n - 1": Shipped(lambda t: np.var(t, ddof=1), lambda t: 2.0 * (t - t.mean()) / t.size,
        lambda t: 2.0 * (t - t.mean()) / (t.size - 1), (0.3, 1.0, 2.0)),
    "GELU by tanh": Shipped(lambda t: t * special.ndtr(t), lambda t: special.ndtr(1.0003 * t) + t * _normal(t),
        lambda t: special.ndtr(t) + t * _normal(t), (0.7, -1.2)),
    "log cosh that overflows": Shipped(lambda t: np.logaddexp(t, -t), lambda t: np.sinh(t) / np.cosh(t), np.tanh,
        (800.0, 1.0)),
    "sigmoid that overflows": Shipped(special.expit, lambda t: np.exp(-t) / (1 + np.exp(-t)) ** 2,
        lambda t: special.expit(t) * special.expit(-t), (-800.0, 0.5)),
    "norm squared at 0": Shipped(lambda t: np.linalg.norm(t) ** 2,
        lambda t: 2 * t / np.linalg.norm(t) * np.linalg.norm(t), lambda t: 2.0 * t, (0.0, 0.0)),
    "cosine distance of equal vectors": Shipped(lambda t: 1 - t @ [3.0, 4.0] / (5 * np.linalg.norm(t)), _nan,
        lambda t: (t * (t @ [3.0, 4.0]) / (t @ t) - [3.0, 4.0]) / (5 * np.linalg.norm(t)), (3.0, 4.0)),
}  # fmt: skip
