"""Functions that are made of others: one line each serves every arithmetic that has rules for the parts.

Rounding bounds, derivatives, increments and balls of arcsin or logaddexp2 follow from those of arctan and logaddexp.
The identities are exact; they round a few u more than the function's own routine.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

_LN2, _LN10 = math.log(2.0), math.log(10.0)


def _arcsin(x):
    # (1 - x)(1 + x), and not 1 - x²: the square rounds, and near 1 nothing else is left
    return np.arctan(x / np.sqrt((1.0 - x) * (1.0 + x)))


def _sinc(x):
    # the inner where keeps 0/0 out of the other branch, which an undecided comparison takes in as well
    at_zero = x == 0.0
    angle = math.pi * np.where(at_zero, 1.0, x)
    return np.where(at_zero, 1.0, np.sin(angle) / angle)


def _arctan2(y, x):
    """By y/x on the right half of the plane, and by x/y above and below the left one."""
    on_the_right, above = x > 0.0, y >= 0.0
    left = np.where(above, 0.5 * math.pi, -0.5 * math.pi) - np.arctan(x / np.where(on_the_right, 1.0, y))
    return np.where(on_the_right, np.arctan(y / np.where(on_the_right, x, 1.0)), left)


def _x_log(x, y):
    """x log y, and 0 at x = 0 whatever y is."""
    return np.where(x == 0.0, 0.0, x * np.log(np.where(x == 0.0, 1.0, y)))


COMPOSED: dict[Any, Callable[..., Any]] = {
    np.exp2: lambda x: np.exp(_LN2 * x),
    np.log2: lambda x: np.log(x) / _LN2,
    np.log10: lambda x: np.log(x) / _LN10,
    np.logaddexp2: lambda x, y: np.logaddexp(_LN2 * x, _LN2 * y) / _LN2,
    np.tan: lambda x: np.sin(x) / np.cos(x),
    np.arcsin: _arcsin,
    np.arccos: lambda x: 0.5 * math.pi - _arcsin(x),
    np.arctanh: lambda x: 0.5 * (np.log1p(x) - np.log1p(-x)),
    np.arccosh: lambda x: np.log(x + np.sqrt((x - 1.0) * (x + 1.0))),
    np.hypot: lambda x, y: np.sqrt(x * x + y * y),
    np.cbrt: lambda x: np.sign(x) * np.power(np.absolute(x), 1.0 / 3.0),
    np.sinc: _sinc,
    np.heaviside: lambda x, y: np.where(x > 0.0, 1.0, np.where(x < 0.0, 0.0, y)),
    np.copysign: lambda x, y: np.where(y < 0.0, -np.absolute(x), np.absolute(x)),
    np.fabs: lambda x: np.absolute(x),
    np.fmax: lambda x, y: np.maximum(x, y),
    np.fmin: lambda x, y: np.minimum(x, y),
    np.float_power: lambda x, y: np.power(x, y),
    np.deg2rad: lambda x: x * (math.pi / 180.0),
    np.arctan2: _arctan2,
    special.expit: lambda x: 0.5 + 0.5 * np.tanh(0.5 * x),
    special.log_expit: lambda x: -np.logaddexp(-x, 0.0),
    special.logit: lambda x: np.log(x) - np.log1p(-x),
    special.xlogy: lambda x, y: _x_log(x, y),
    special.xlog1py: lambda x, y: _x_log(x, 1.0 + y),
    special.entr: lambda x: -_x_log(x, x),
    special.exprel: lambda x: np.where(x == 0.0, 1.0, np.expm1(x) / np.where(x == 0.0, 1.0, x)),
    special.log1p: lambda x: np.log1p(x),
    special.expm1: lambda x: np.expm1(x),
    special.erfc: lambda x: 1.0 - special.erf(x),
    # without its digits for x << 0; whoever needs these has a rule of its own
    special.ndtr: lambda x: 0.5 * (1.0 + special.erf(x * math.sqrt(0.5))),
    special.cbrt: lambda x: np.cbrt(x),
}
"""From a function to the same in terms of others. NaN is passed on, though `fmax` and `fmin` drop it."""
