"""Derivatives of any function from its values alone, each with an estimate of its own error.

With the central differences D(h) = (f(h) - f(-h))/2h at three widths, R1 = (4 D(h) - D(2h))/3 is returned, and
R2 = (4 D(2h) - D(4h))/3 measures the truncation. The second differences S(h) = f(h) - 2 f(0) + f(-h) tell a kink from a
smooth function: S(2h) - 4 S(h) shrinks with h⁴ on a smooth one, but only with h across a kink.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from reference.arithmetics import roundoff

UNIT_ROUNDOFF = roundoff.UNIT_ROUNDOFF["float64"]

STEP = 2e-3
"""Balances the truncation h⁴ of the first Richardson step against rounding, u/h, on functions of ordinary scale."""

NOISE_ROUNDINGS = 4.0
"""Without a measured noise, each value of f is taken to be good to so many u of the size of its terms."""

NOISE_GAIN = 6.0
"""R1 combines four values, weighted (4/2 + 4/2)/3 and (1/4 + 1/4)/3 over h: 1.5 noises; R2 half as many; with room."""

NARROWER = 10.0 ** -np.arange(6)
"""Widths for `sharpest`, beside the one for smooth functions; at the last, rounding still leaves seven digits."""


class Difference(NamedTuple):
    """A derivative and the estimate of its error."""

    derivative: float
    error: float


class Differences(NamedTuple):
    """Derivatives at many places, and estimates of their errors: (n,) each."""

    derivative: np.ndarray
    error: np.ndarray


def difference(f: Callable[[float], np.ndarray | float], h: float, noise: float) -> Difference:
    """f'(0) of a function of one number; a function with many values counts as their sum, differenced term by term."""
    return Difference(*map(float, _extrapolated(f, h, noise, np.sum)))


def sharpest(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, noise: np.ndarray) -> Differences:
    """f'(x) of an elementwise function at x of shape (n,), each at the width that leaves the smallest error.

    Wide where f is smooth, narrow near a kink. An estimate can be small by chance where f varies within the width; the
    next narrower one has to agree.
    """
    found = [_rounded_differences(f, x, STEP * np.maximum(1.0, np.abs(x)) * share, noise) for share in NARROWER]
    derivatives = np.array([each.derivative for each in found[:-1]])
    errors = [wide.error + np.abs(wide.derivative - narrow.derivative) for wide, narrow in pairwise(found)]
    confirmed = np.where(np.isfinite(errors), errors, np.inf)
    best, each = confirmed.argmin(axis=0), np.arange(x.size)
    return Differences(derivatives[best, each], confirmed[best, each])


def _rounded_differences(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, h: np.ndarray, noise: np.ndarray
) -> Differences:
    derivative, error = _extrapolated(lambda t: f(x + t), h, noise, np.asarray)
    moved = UNIT_ROUNDOFF * (np.abs(x) + 4.0 * h) * np.abs(derivative)  # x + t is rounded, however exact f may be
    return Differences(derivative, error + NOISE_GAIN * moved / h)


def _extrapolated(f: Callable, h: Any, noise: Any, total: Callable) -> tuple[Any, Any]:
    """R1 and its error at each of the steps h, from `total` of the differences of what f answers to h, 2h and 4h."""
    centre = f(0.0 * h)
    values = [(f(width), f(-width)) for width in (h, 2.0 * h, 4.0 * h)]
    D = [total(up - down) / (2.0 * width) for (up, down), width in zip(values, (h, 2.0 * h, 4.0 * h))]
    S = [total((up - centre) - (centre - down)) for up, down in values]
    R1, R2 = (4.0 * D[0] - D[1]) / 3.0, (4.0 * D[1] - D[2]) / 3.0
    near, far = np.abs(S[1] - 4.0 * S[0]), np.abs(S[2] - 4.0 * S[1])
    has_kink = (near > 16.0 * noise) & (far < 8.0 * near)  # smooth: far = 16 near
    error = np.abs(R1 - R2) + NOISE_GAIN * noise / h + np.where(has_kink, near / h, 0.0)
    return R1, np.where(np.isfinite(error), error, np.inf)


def noise_of(value: np.ndarray | float) -> float:
    """The rounding noise to expect in a cost, given as a number or as the terms whose sum it is."""
    return NOISE_ROUNDINGS * UNIT_ROUNDOFF * float(np.sum(np.abs(value)))


def gradient(
    fun: Callable[[np.ndarray], np.ndarray | float],
    theta: np.ndarray,
    step: float = STEP,
    noise: float | None = None,
    coordinates: Sequence[int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The derivatives of `fun` in the coordinates of θ (all, or those asked for), and their errors.

    Parameters
    ----------
    fun : callable
        θ -> cost, or θ -> the terms whose sum it is; every θ that it sees is a fresh copy.
    step : float
        h = step · max(1, |θ_i|) for coordinate i; rounded so that θ_i ± h, ± 2h, ± 4h differ by exactly that.
    noise : float, optional
        The noise in a value of `fun`; by default a few roundings of its terms.
    """
    theta = np.array(theta, dtype=np.float64)
    noise = noise_of(fun(theta.copy())) if noise is None else noise
    chosen = range(theta.size) if coordinates is None else coordinates
    results = [partial(fun, theta, i, step * max(1.0, abs(theta[i])), noise) for i in chosen]
    return np.array([r.derivative for r in results]), np.array([r.error for r in results])


def partial(
    fun: Callable[[np.ndarray], np.ndarray | float], theta: np.ndarray, i: int, h: float, noise: float
) -> Difference:
    """The derivative of `fun` in coordinate i, with h rounded so that θ_i + h is a number."""

    def shifted(t: float) -> np.ndarray | float:
        moved = theta.copy()
        moved[i] += t
        return fun(moved)

    exact = (theta[i] + h) - theta[i]
    return difference(shifted, exact, noise) if exact else Difference(np.nan, np.inf)
