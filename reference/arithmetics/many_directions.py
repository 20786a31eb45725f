"""Increments in many directions at once, with steps so small that only a kink at the point itself is crossed.

A value has its own shape; its change has one axis before these, for the directions, or is the float 0.0 where nothing
changes. Steps are `STEP` times a direction: second-order terms vanish beside rounding.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.arithmetics.increments import Increment

STEP = 2.0**-200
"""Large enough for derivatives down to 1e-200, small enough for arguments down to 1e-50."""


def constant(value: Any) -> Increment:
    """A value that no direction changes."""
    return Increment(value, 0.0)


def is_constant(x: Increment) -> bool:
    """Whether no direction changes this value."""
    return type(x.companion) is float


def directions(*operands: Increment) -> int:
    """In how many directions the operands change; 0 where they are all constant."""
    for x in operands:
        if type(x.companion) is not float:
            return x.companion.shape[0]
    return 0


def full_change(x: Increment, count: int) -> np.ndarray:
    """The change in each of so many directions, zeros where x is constant."""
    if not is_constant(x):
        return x.change
    value = np.asarray(x.value)
    return np.zeros((count, *value.shape), bool if value.dtype == bool else value.dtype)


def unknown_where(unknown: Any, change: Any) -> Any:
    """A change with NaN, in both parts of a complex number, where it cannot be told."""
    return np.where(unknown, complex(np.nan, np.nan) if np.iscomplexobj(change) else np.nan, change)


def linear(f: Callable[..., Any], *operands: Increment) -> Increment:
    """A linear map of the operands together, ``f(lead, *arrays)``, whose arrays have `lead` axes before their own."""
    value = f(0, *[np.asarray(x.value) for x in operands])
    count = directions(*operands)
    return Increment(value, f(1, *[full_change(x, count) for x in operands]) if count else 0.0)


def bilinear(f: Callable[..., Any], x: Increment, y: Increment) -> Increment:
    """A map linear in each of two operands, ``f(lead of x, lead of y, x, y)``, one lead at a time."""
    changes = []
    if not is_constant(y):
        changes.append(f(0, 1, x.value, y.change))
    if not is_constant(x):
        changes.append(f(1, 0, x.change, y.value))
    return Increment(f(0, 0, x.value, y.value), sum(changes) if changes else 0.0)


def aligned(x: Increment, rank: int) -> Increment:
    """x as an operand of an array of that rank: JAX lets a number meet an array."""
    if type(x.companion) is float or np.ndim(x.value) == rank:
        return x
    missing = rank - np.ndim(x.value)
    return Increment(x.value, x.change.reshape(x.change.shape[:1] + (1,) * missing + x.change.shape[1:]))
