"""Differences of values: the second opinion on what the increments say, from values alone.

In float64 the values are JAX's own, so that neither the interpreter's rules nor JAX's take part.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.bounds.tolerances import DERIVATIVE_ROUNDINGS
from harness.checks.directions import random_directions
from harness.checks.traced.layout import Claim, UnitVectors
from harness.checks.traced.truth import Truth
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

STENCIL = (1.0, -1.0, 0.5, -0.5, 0.25, -0.25)
WIDTHS = (1.6e-2, 1e-3, 5e-5)
"""Steps tried, in units of the argument; the one with the smallest estimate of its error counts."""

NOISE_ROUNDINGS = 64.0
"""A value is taken to be good to so many u of the largest value."""


def values_by(function: Callable[..., Any], truth: Truth) -> Callable[[np.ndarray], np.ndarray]:
    """The function of a vector: JAX's own in float64, the interpreter's in less."""
    if truth.coarsest > UNIT_ROUNDOFF["float64"]:
        return truth.value
    return lambda point: truth.outputs.vector(function(*(x[0] for x in truth.inputs.arrays(point[None]))))


@np.errstate(all="ignore")
def differences(
    value: Callable[[np.ndarray], np.ndarray],
    truth: Truth,
    directions: np.ndarray | UnitVectors,
    rounding: float = 0.0,
) -> Claim:
    """Slopes along directions, twice extrapolated, and estimates of their errors: (directions, outputs) each.

    `rounding` is what a value may be off by, where that is known to be more than a few u of the largest.
    """
    here = value(truth.point)
    # what JAX computes for the interpreter as a black box may be in the program's own precision
    unit = truth.coarsest if truth.differenced else UNIT_ROUNDOFF["float64"]
    noise = max(rounding, NOISE_ROUNDINGS * unit * np.abs(here[np.isfinite(here)]).max(initial=0.0))
    shape = (len(directions), truth.outputs.size)
    slopes, errors = np.full(shape, np.nan), np.full(shape, np.inf)
    for k in range(len(directions)):
        direction = directions[k]
        for width in WIDTHS:
            h = width * truth.unit_along(direction)
            values = [value(truth.point + t * h * direction) for t in STENCIL]
            far, middle, near = ((values[i] - values[i + 1]) / (2.0 * h * STENCIL[i]) for i in (0, 2, 4))
            first, second = (4.0 * near - middle) / 3.0, (4.0 * middle - far) / 3.0
            error = np.abs(first - second) + 8.0 * noise / h
            better = np.nan_to_num(error, nan=np.inf) < errors[k]
            slopes[k] = np.where(better, (16.0 * first - second) / 15.0, slopes[k])
            errors[k] = np.where(better, error, errors[k])
    return Claim(slopes, errors)


def some_differences(
    function: Callable[..., Any], truth: Truth, chosen: np.ndarray, rounding: np.ndarray, weights: np.ndarray
) -> Claim:
    """The same of combinations of the outputs along some inputs, (combinations, inputs): unknown along all others.

    `rounding` is what JAX's values may be off by.
    """
    by_jax = truth.coarsest <= UNIT_ROUNDOFF["float64"]
    off = float(rounding[np.isfinite(rounding)].max(initial=0.0)) if by_jax else 0.0
    along = UnitVectors(chosen, truth.inputs.size)
    found = differences(values_by(function, truth), truth, along, off).combined(weights)
    slopes, errors = np.full((2, len(weights), truth.inputs.size), np.inf)
    slopes[:] = np.nan
    slopes[:, chosen], errors[:, chosen] = found.derivative, np.where(np.isnan(found.derivative), np.inf, found.error)
    return Claim(slopes, errors)


OPPOSITE = 4.0
"""Of all vectors together so much of the opposite: a rule that minds signs or cuts off gives itself away."""

SMALL = 2.0**-500
"""Arguments of any size are small at this share of it."""

SHORTER, SHRINKS = 2.0**-40, 2.0**-30
"""Of a step, to see what of a change is of second order: that shrinks with the step."""

REMNANT = 2.0**-60
"""An answer so small beside that of increments may be right all the same, where these are of second order alone."""


def increments(
    truth: Truth,
    directions: np.ndarray | UnitVectors,
    weights: np.ndarray,
    claims: Sequence[np.ndarray],
    seed: int | None = None,
) -> tuple[np.ndarray, ...]:
    """As `Truth.combined`, but zero where a claim is next to nothing, and shorter steps leave nothing, too."""
    middle, apart, error = truth.combined(directions, weights, seed)
    vanish = [np.abs(claim) <= REMNANT * np.abs(middle) for claim in claims]
    doubtful = np.any([np.zeros(middle.shape, bool), *vanish], axis=0) & (middle != 0.0)
    at = np.flatnonzero(doubtful.any(axis=0))
    if at.size:
        truth.shortened = SHORTER
        shorter = truth.combined(directions[at], weights, seed)[0]
        truth.shortened = 1.0
        nothing = doubtful[:, at] & (np.abs(shorter) <= SHRINKS * np.abs(middle[:, at]))
        middle[:, at] = np.where(nothing, 0.0, middle[:, at])
        error[:, at] = np.where(nothing, np.finfo(float).tiny, error[:, at])
    return middle, apart, error


@np.errstate(all="ignore")
def has_slope(truth: Truth, values: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Which outputs are finite, or may have a slope all the same: constant infinities, and where an argument is.

    What overflows is finite for small arguments, and has lost its slope with its digits.
    """
    finite, same = np.isfinite(values), values == expected  # NaN is not
    if finite.all() or not np.isfinite(truth.point).all():
        return finite | same
    moved = truth.changes(random_directions(2, truth.inputs.size, 0), truth.run())
    overflows = np.isfinite(truth.value(SMALL * truth.point))
    return finite | (same & np.all(moved == 0.0, axis=0) & ~overflows)


@np.errstate(all="ignore")
def is_linear(unit: float, shares: np.ndarray, found: Sequence[np.ndarray]) -> bool:
    """Whether the answer for several vectors together is that for each, by shares; true where it cannot be told.

    `found` are the answers for each, that for all together, its error, and the errors of each.
    """
    each, together, its_error, error = found
    allowed = np.abs(shares) @ (error + DERIVATIVE_ROUNDINGS * unit * np.abs(each)) + its_error
    return not np.any(np.abs(together - shares @ each) > 2.0 * allowed)
