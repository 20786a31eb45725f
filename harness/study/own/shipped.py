"""Derivatives that libraries have shipped wrong, at the very points at which they failed, beside right ones there.

Each is written here as it went wrong, in float64; that it is wrong, the cost beside it says.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Shipped(NamedTuple):
    """A cost, its derivative as it was shipped, the right one, and where."""

    cost: Callable[[np.ndarray], float]
    wrong: Callable[[np.ndarray], np.ndarray]
    right: Callable[[np.ndarray], np.ndarray]
    at: tuple[float, ...]


def _sum(f: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], float]:
    return lambda t: float(np.sum(f(t)))


def _at(x: float, value: float, right: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """The right derivative but at one place."""
    return lambda t: np.where(t == x, value, right(t))


def _ones(t):
    return np.ones_like(t)


def _log_sum(w):
    return float(np.log(np.sum(w * np.exp([0.1, 0.4, 0.7]))))


def _log_sum_slope(w):
    e = np.exp([0.1, 0.4, 0.7])
    return e / np.sum(w * e)


def _determinant(t):
    return float(np.linalg.det(t.reshape(2, 2)))


def _cofactors(t):
    a, b, c, d = t
    return np.array([d, -c, -b, a])


def _product_slope(t):
    return np.array([np.prod(np.delete(t, i)) for i in range(len(t))])


def _log1mexp_slope(t):
    return np.exp(t) / np.expm1(t)


def _singular_sum(t):
    return float(np.sum(np.linalg.svd(t.reshape(2, 2), compute_uv=False) ** 2))


def _sinc_slope(t):
    x = np.pi * t
    return np.pi * np.where(
        np.abs(x) < 1e-3, -x / 3.0 + x**3 / 30.0, (x * np.cos(x) - np.sin(x)) / np.where(x, x, 1) ** 2
    )


def _sinc_shipped(t):
    x = np.pi * t
    return (x * np.cos(x) - np.sin(x)) / (x * t)


def _variance(t):
    return float(np.var(t))


SHIPPED: dict[str, Shipped] = {
    "softplus at 0": Shipped(
        _sum(lambda t: np.logaddexp(0.0, t)), _at(0.0, 0.0, special.expit), special.expit, (0.0, 1.0)
    ),
    "hard shrink of width 0": Shipped(_sum(lambda t: t), _at(0.0, 0.0, _ones), _ones, (0.0, 0.5)),
    "soft shrink of width 0": Shipped(_sum(lambda t: t), _at(0.0, 0.0, _ones), _ones, (0.0, -0.5)),
    "log-sum-exp with a weight of 0": Shipped(
        _log_sum, lambda w: np.where(w == 0.0, 0.0, _log_sum_slope(w)), _log_sum_slope, (0.0, 1.0, 0.5)
    ),
    "sinc near 0": Shipped(_sum(np.sinc), _sinc_shipped, _sinc_slope, (1e-6, 2e-6)),
    "sinc at 0": Shipped(_sum(np.sinc), lambda t: np.where(t == 0.0, np.nan, _sinc_slope(t)), _sinc_slope, (0.0, 0.5)),
    "log(1 - exp(x)) near 0": Shipped(
        _sum(lambda t: np.log(-np.expm1(t))), lambda t: np.full_like(t, -np.inf), _log1mexp_slope, (-1e-9,)
    ),
    "tanh where it is flat": Shipped(_sum(np.tanh), np.zeros_like, lambda t: 1.0 / np.cosh(t) ** 2, (14.0,)),
    "power 0 of 0": Shipped(_sum(lambda t: t**2), _at(0.0, np.nan, lambda t: 2 * t), lambda t: 2 * t, (0.0, 1.0)),
    "exponent of base 0": Shipped(
        lambda t: 0.0 ** float(t[0]), lambda t: np.full_like(t, np.nan), np.zeros_like, (2.0,)
    ),
    "x log y at x = 0": Shipped(
        lambda t: float(t[0] * np.log(2.5) + t[1]),
        lambda t: np.array([0.0 if t[0] == 0.0 else np.log(2.5), 1.0]),
        lambda t: np.array([np.log(2.5), 1.0]),
        (0.0, 1.0),
    ),
    "square root of a square sum + 1": Shipped(
        lambda t: float(np.sqrt(1.0 + t @ t)),
        lambda t: t / np.sqrt(t @ t),
        lambda t: t / np.sqrt(1 + t @ t),
        (0.0, 0.0),
    ),
    "arcsinh at 0": Shipped(
        _sum(np.arcsinh), _at(0.0, 0.0, lambda t: 1 / np.sqrt(1 + t**2)), lambda t: 1 / np.sqrt(1 + t**2), (0.0,)
    ),
    "clamp inside of its edges": Shipped(_sum(lambda t: t), _at(1.0, 0.0, _ones), _ones, (1.0, 0.2)),
    "log gamma at 1": Shipped(_sum(special.gammaln), _at(1.0, 0.0, special.digamma), special.digamma, (1.0, 3.0)),
    "digamma at 1": Shipped(
        _sum(special.digamma), lambda t: -special.polygamma(1, t), lambda t: special.polygamma(1, t), (1.0, 2.5)
    ),
    "logit with an ε": Shipped(
        _sum(special.logit),
        lambda t: np.where((t < 0.01) | (t > 0.99), 0.0, 1 / (t * (1 - t))),
        lambda t: 1 / (t * (1 - t)),
        (0.005, 0.5),
    ),
    "Huber with another δ": Shipped(
        _sum(lambda t: np.where(np.abs(t) < 2, 0.5 * t**2, 2 * np.abs(t) - 2)),
        lambda t: np.clip(t, -1.0, 1.0),
        lambda t: np.clip(t, -2.0, 2.0),
        (1.5, 0.3),
    ),
    "smooth L1 at 0": Shipped(_sum(lambda t: 0.5 * t**2), _at(0.0, 1.0, lambda t: t), lambda t: t, (0.0, 0.4)),
    "determinant of a singular matrix": Shipped(
        _determinant,
        lambda t: np.full_like(t, np.nan) if _determinant(t) == 0 else _cofactors(t),
        _cofactors,
        (1, 2, 2, 4),
    ),
    "product with a 0": Shipped(
        lambda t: float(np.prod(t)), lambda t: np.where(t == 0, 0.0, _product_slope(t)), _product_slope, (0.0, 2.0, 3.0)
    ),
    "product with two zeros": Shipped(
        lambda t: float(np.prod(t)), lambda t: np.full_like(t, np.nan), _product_slope, (0.0, 0.0, 3.0)
    ),
    "squares of equal singular values": Shipped(
        _singular_sum, lambda t: np.full_like(t, np.nan), lambda t: 2.0 * t, (1.0, 0.0, 0.0, 1.0)
    ),
    "variance of a constant": Shipped(
        _variance, lambda t: np.full_like(t, np.nan), lambda t: 2.0 * (t - t.mean()) / t.size, (2.0, 2.0, 2.0)
    ),
    "variance, n for n - 1": Shipped(
        lambda t: float(np.var(t, ddof=1)),
        lambda t: 2.0 * (t - t.mean()) / t.size,
        lambda t: 2.0 * (t - t.mean()) / (t.size - 1),
        (0.3, 1.0, 2.0),
    ),
    "GELU by tanh": Shipped(
        _sum(lambda t: t * special.ndtr(t)),
        lambda t: special.ndtr(1.0003 * t) + t * np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi),
        lambda t: special.ndtr(t) + t * np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi),
        (0.7, -1.2),
    ),
    "log cosh that overflows": Shipped(
        _sum(lambda t: np.logaddexp(t, -t)), lambda t: np.sinh(t) / np.cosh(t), np.tanh, (800.0, 1.0)
    ),
    "sigmoid that overflows": Shipped(
        _sum(special.expit),
        lambda t: np.exp(-t) / (1 + np.exp(-t)) ** 2,
        lambda t: special.expit(t) * special.expit(-t),
        (-800.0, 0.5),
    ),
    "norm squared at 0": Shipped(
        lambda t: float(np.linalg.norm(t) ** 2),
        lambda t: 2 * t / np.linalg.norm(t) * np.linalg.norm(t),
        lambda t: 2.0 * t,
        (0.0, 0.0),
    ),
    "cosine distance of equal vectors": Shipped(
        lambda t: float(1 - t @ [3.0, 4.0] / (5 * np.linalg.norm(t))),
        lambda t: np.full_like(t, np.nan),
        lambda t: (t * (t @ [3.0, 4.0]) / (t @ t) - [3.0, 4.0]) / (5 * np.linalg.norm(t)),
        (3.0, 4.0),
    ),
}
