"""Comparisons of Taylor models, choices between them, and the functions with kinks or jumps.

A comparison that holds on a part of a cell only is undecided, [0, 1], and both branches are enclosed: |z| on [-1, 2] is
in [0, 2], with a slope in [-1, 1]. The caller splits such a cell at 0, which `switches` reports, and then knows more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from reference.arithmetics.companion import CONNECTIVES, NEGATIONS
from reference.arithmetics.taylor.expansions import UNIT, furthest_from_zero, nearest_zero
from reference.arithmetics.taylor.taylor_model import RELAXED, Taylor, narrowed, negative, padded

_SWITCHES: ContextVar[list[np.ndarray] | None] = ContextVar("switches", default=None)
"""The list of the innermost `switches`: comparisons stand within somebody's formula, which hands no list to them."""


@contextmanager
def switches() -> Iterator[list[np.ndarray]]:
    """List, for every comparison that is undecided on a cell, the t near which it changes; NaN on other cells."""
    found: list[np.ndarray] = []
    token = _SWITCHES.set(found)
    try:
        yield found
    finally:
        _SWITCHES.reset(token)


def _truth(yes: Any, no: Any) -> Taylor:
    """1 where certain, 0 where excluded, else between them."""
    low, high = np.where(yes, 1.0, 0.0), np.where(no, 0.0, 1.0)
    return Taylor(((low + high) / 2.0)[np.newaxis], (high - low) / 2.0, low, high, logical=True)


def _difference(x: Taylor, y: Taylor) -> Taylor:
    """x - y. Where it may be zero, the t at which its linear part crosses zero is added to `switches`."""
    difference = x - y
    touches = ~((difference.low > 0.0) | (difference.high < 0.0))
    found = _SWITCHES.get()
    if found is not None and len(difference.poly) > 1 and touches.any():
        # p_0 + p_1 t = 0; the curvature is left out, since this only says where to split
        found.append(np.where(touches, -difference.poly[0] / difference.poly[1], np.nan))
    return difference


def _less(x: Taylor, y: Taylor) -> Taylor:
    difference = _difference(x, y)
    return _truth((x.high < y.low) | (difference.high < 0.0), (x.low >= y.high) | (difference.low > 0.0))


def _equal(x: Taylor, y: Taylor) -> Taylor:
    difference = _difference(x, y)
    same = (x.low == x.high) & (y.low == y.high) & (x.low == y.low)
    return _truth(same, (difference.high < 0.0) | (difference.low > 0.0))


def _not(x: Taylor) -> Taylor:
    return _truth(x.excluded, x.certain)


def _both(x: Taylor, y: Taylor) -> Taylor:
    return _truth(x.certain & y.certain, x.excluded | y.excluded)


def _either(x: Taylor, y: Taylor) -> Taylor:
    return _truth(x.certain | y.certain, x.excluded & y.excluded)


def _where(condition: Taylor, x: Taylor, y: Taylor) -> Taylor:
    yes, no = condition.certain, condition.excluded
    # where undecided: the mean of both polynomials, and half of what is between them as a part of the rest
    rows = max(len(x.poly), len(y.poly))
    p, q = padded(x.poly, rows), padded(y.poly, rows)
    apart = np.abs(p - q).sum(axis=0) * (0.5 * RELAXED)
    rounding = 2.0 * UNIT * (np.abs(p) + np.abs(q)).sum(axis=0)
    either = np.maximum(x.rest, y.rest) + apart + rounding
    poly = np.where(yes, p, np.where(no, q, 0.5 * p + 0.5 * q))
    rest = np.where(yes, x.rest, np.where(no, y.rest, either))
    low = np.where(yes, x.low, np.where(no, y.low, np.minimum(x.low, y.low)))
    high = np.where(yes, x.high, np.where(no, y.high, np.maximum(x.high, y.high)))
    chosen = Taylor(poly, rest, low, high, logical=x.logical and y.logical)
    if (yes | no).all():
        return chosen
    model = narrowed(poly, rest, low, high)
    return Taylor(model.poly, model.rest, model.low, model.high, logical=chosen.logical)


def _absolute(x: Taylor) -> Taylor:
    model = _where(_less(x, Taylor.lift(0.0)), negative(x), x)
    # across zero both branches reach below it, which |x| does not
    nearest, furthest = nearest_zero(x.low, x.high), furthest_from_zero(x.low, x.high)
    return Taylor(model.poly, model.rest, np.fmax(model.low, nearest), np.fmin(model.high, furthest))


def _maximum(x: Taylor, y: Taylor) -> Taylor:
    model = _where(_less(x, y), y, x)
    # max(z, 0.5) on [0, 1] is in [0.5, 1], where both branches together are in [0, 1]; NaN of NaN
    low, high = np.maximum(x.low, y.low), np.maximum(x.high, y.high)
    return Taylor(model.poly, model.rest, np.fmax(low, model.low), np.fmin(high, model.high))


def _sign(x: Taylor) -> Taylor:
    zero = Taylor.lift(0.0)
    return _where(_less(x, zero), Taylor.lift(-1.0), _where(_equal(x, zero), zero, Taylor.lift(1.0)))


BRANCHES = {
    np.less: _less,
    np.less_equal: lambda x, y: _not(_less(y, x)),
    np.greater: lambda x, y: _less(y, x),
    np.greater_equal: lambda x, y: _not(_less(x, y)),
    np.equal: _equal,
    np.not_equal: lambda x, y: _not(_equal(x, y)),
    np.isfinite: lambda x: _truth(np.isfinite(x.low) & np.isfinite(x.high), False),
    **dict.fromkeys(NEGATIONS, _not),
    **{f: _both if f in (np.bitwise_and, np.logical_and) else _either for f in CONNECTIVES},
    np.where: _where,
    np.absolute: _absolute,
    np.maximum: _maximum,
    np.minimum: lambda x, y: negative(_maximum(negative(x), negative(y))),
    np.sign: _sign,
}
"""Rules by function."""
