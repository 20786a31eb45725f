"""How a bound travels: as one more direction of an `Increment`, so that whatever moves entries moves the bounds too.

In a run with c directions the first of an increment's 1 + 2c changes is E, a bound on |computed - exact| of the value;
c changes d follow, and then a bound on the error of each. What has no change at all is exact, and no direction moves
it. Of a truth value, E says whether it may be the other one.

A bound covers every evaluation of the same operations, in any order of the sums, whose elementary functions are as good
as `reference.arithmetics.roundoff` says: XLA's, and that of the interpreter beside it.

Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 3.1 (γ_n) and 3.3 (running errors).
"""

from typing import Any, NamedTuple

import numpy as np

from reference.arithmetics.increments import Increment, constant, is_constant
from reference.arithmetics.roundoff import FREE_ROUNDINGS


class Unbounded(Exception):
    """A program for whose rounding no bound is known here; says why."""


class Parts(NamedTuple):
    """A value, its error, its changes in each direction, (c, ...), and their errors."""

    value: Any
    error: Any
    change: Any
    change_error: Any


def parts(x: Increment, count: int, rank: int = 0) -> Parts:
    """What an increment carries in a run with so many directions, as arrays of no less than that rank."""
    value = np.asarray(x.value)
    shape = (1,) * (rank - value.ndim) + value.shape
    value = value.reshape(shape)
    if is_constant(x):
        nothing = np.broadcast_to(0.0, (count, *shape))
        return Parts(value, np.broadcast_to(0.0, shape), nothing, nothing)
    change = x.change.reshape(len(x.change), *shape)
    return Parts(value, change[0], change[1 : 1 + count], change[1 + count :])


def packed(value: Any, error: Any, change: Any = None, change_error: Any = None) -> Increment:
    """The parts as an increment; one without a change of its own is constant along every direction."""
    shape = np.shape(value)
    error = np.broadcast_to(error, shape)[None]
    if change is None or not len(change):
        return Increment(value, error)
    changes = [np.broadcast_to(part, (len(change), *shape)) for part in (change, change_error)]
    return Increment(value, np.concatenate([error, *changes]))


def of_value(value: Any, error: Any, count: int) -> Increment:
    """A value with an error that no direction changes; exact where the error is zero throughout."""
    if not np.any(error):
        return constant(value)
    return Increment(
        value, np.concatenate([np.broadcast_to(error, np.shape(value))[None], *_nothing(value, error, count)])
    )


def _nothing(value: Any, error: Any, count: int) -> list[Any]:
    return [np.zeros((2 * count, *np.shape(value)), np.asarray(error).dtype)] if count else []


def gamma(terms: int, unit: float) -> float:
    """γ_n = nu/(1 - nu) of a sum of n terms in any order, and of the roundings that an implementation may add."""
    nu = (terms + FREE_ROUNDINGS) * unit
    return nu / (1.0 - nu) if nu < 1.0 else np.inf


def may_differ(x: Parts, y: Parts) -> Any:
    """Where two numbers are so near that computed ones may compare otherwise than exact ones.

    Twice the errors: the numbers at hand are computed themselves.
    """
    errors = x.error + y.error
    if np.asarray(x.value).dtype.kind not in "fc":
        return np.asarray(errors > 0.0)
    return (errors > 0.0) & ~(np.abs(x.value - y.value) > 2.0 * errors)
