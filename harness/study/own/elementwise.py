"""Sums of formulas of one number, with their derivatives: what libraries of functions are made of."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special


class Formula(NamedTuple):
    """f and f', where it is tried as a rule, and where it is awkward: flat, steep, near an end or a branch."""

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    ordinary: tuple[float, ...] = (-1.7, -0.4, 0.3, 0.9, 2.2)
    awkward: tuple[float, ...] = (-12.0, -1e-5, 1e-5, 11.0)


def _sigmoid(x):
    return special.expit(x)


def _normal(x):
    return np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)


def _celu_slope(x):
    return np.where(x > 0.0, 1.0, np.exp(np.minimum(x, 0.0)))


def _mish_slope(x):
    t = np.tanh(special.log1p(np.exp(x)))
    return t + x * (1.0 - t**2) * _sigmoid(x)


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
    "sigmoid": Formula(_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x), awkward=(-4.0, 0.0, 5.0)),
    "log sigmoid": Formula(lambda x: -np.logaddexp(0.0, -x), lambda x: _sigmoid(-x)),
    "softplus": Formula(lambda x: np.logaddexp(0.0, x), _sigmoid),
    "tanh": Formula(np.tanh, lambda x: 1.0 - np.tanh(x) ** 2, awkward=(-4.0, 0.0, 3.0)),
    "tanh shrink": Formula(lambda x: x - np.tanh(x), lambda x: np.tanh(x) ** 2, awkward=(-5.0, 0.2, 8.0)),
    "softsign": Formula(lambda x: x / (1.0 + np.abs(x)), lambda x: 1.0 / (1.0 + np.abs(x)) ** 2, awkward=(-40.0, 0.0)),
    "arctangent": Formula(np.arctan, lambda x: 1.0 / (1.0 + x**2)),
    "arcsinh": Formula(np.arcsinh, lambda x: 1.0 / np.sqrt(1.0 + x**2), awkward=(-1e4, 0.0, 30.0)),
    "arccosh": Formula(
        np.arccosh, lambda x: 1.0 / np.sqrt(x**2 - 1.0), ordinary=(1.2, 2.0, 4.0), awkward=(1.001, 50.0)
    ),
    "arctanh": Formula(np.arctanh, lambda x: 1.0 / (1.0 - x**2), ordinary=(-0.7, 0.1, 0.5), awkward=(-0.99, 0.999)),
    "logit": Formula(special.logit, lambda x: 1.0 / (x * (1.0 - x)), **INSIDE),
    "entropy": Formula(special.entr, lambda x: -np.log(x) - 1.0, **INSIDE),
    "SiLU": Formula(lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1.0 + x * _sigmoid(-x))),
    "GELU": Formula(
        lambda x: x * special.ndtr(x), lambda x: special.ndtr(x) + x * _normal(x), awkward=(-6.0, 0.0, 7.0)
    ),
    "Mish": Formula(lambda x: x * np.tanh(np.logaddexp(0.0, x)), _mish_slope, awkward=(-9.0, 0.0, 9.0)),
    "CELU": Formula(lambda x: np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0))), _celu_slope, awkward=(-7.0, -1e-3)),
    "log cosh": Formula(lambda x: np.logaddexp(x, -x) - np.log(2.0), np.tanh),
    "pseudo-Huber": Formula(lambda x: np.sqrt(1.0 + x**2) - 1.0, lambda x: x / np.sqrt(1.0 + x**2), awkward=(0.0, 1e3)),
    "Huber": Formula(
        lambda x: np.where(np.abs(x) < 1.0, 0.5 * x**2, np.abs(x) - 0.5),
        lambda x: np.clip(x, -1.0, 1.0),
        awkward=(-1.0 - 1e-4, 1.0, 30.0),
    ),
    "error function": Formula(special.erf, lambda x: 2.0 / np.sqrt(np.pi) * np.exp(-(x**2)), awkward=(-2.5, 0.0, 2.0)),
    "log of the normal tail": Formula(
        special.log_ndtr,
        lambda x: np.exp(-0.5 * x**2 - special.log_ndtr(x)) / np.sqrt(2.0 * np.pi),
        awkward=(-20.0, 3.0),
    ),
    "log gamma": Formula(special.gammaln, special.digamma, **POSITIVE),
    "bell": Formula(lambda x: np.exp(-(x**2)), lambda x: -2.0 * x * np.exp(-(x**2)), awkward=(0.0, 2.5)),
    "Cauchy": Formula(lambda x: np.log1p(x**2), lambda x: 2.0 * x / (1.0 + x**2), awkward=(0.0, 1e3)),
    "damped wave": Formula(
        lambda x: np.exp(-x) * np.sin(5.0 * x), lambda x: np.exp(-x) * (5.0 * np.cos(5.0 * x) - np.sin(5.0 * x))
    ),
    "quartic": Formula(lambda x: x**4 - x, lambda x: 4.0 * x**3 - 1.0, awkward=(0.0, 1e3)),
}
