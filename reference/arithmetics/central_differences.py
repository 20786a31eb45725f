"""Derivatives of any function from its values alone, each with an estimate of its own error.

The central differences D(w) = (f(w) - f(-w))/2w = f' + w² f‴/6 + ... at the widths h, 2h and 4h give R1 = (4 D(h) -
D(2h))/3, the derivative up to h⁴, and R2 = (4 D(2h) - D(4h))/3. Their gap measures the truncation: R2 is off by 16
times as much, so the gap is 15 times the error of R1. Where the second derivative jumps, as that of x|x| does, D is off
by a multiple of w, and the gap is no larger than the error; then twice D(4h) - D(2h) takes its place. The second
differences S(w) = f(w) - 2 f(0) + f(-w) reveal a kink: S(2h) - 4 S(h) shrinks with h⁴ on a smooth function, but only
with h across a kink. |x| at 0 has S(w) = 2w, so that it is -4h.

All errors here are estimates from values that were computed. A function that varies between the points only, as
sin(2π x/h), shows nothing of it.

Every stencil of this project extrapolates by these functions.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from reference.arithmetics.roundoff import UNIT_ROUNDOFF

UNIT = UNIT_ROUNDOFF["float64"]

WIDTHS = (1.0, 2.0, 4.0)  # of the central differences, in steps

STEP = 2e-3
"""Balances the truncation h⁴ of R1 against rounding, u/h, on functions of ordinary scale: 1.6e-11 against 5.6e-14.

The truncation has a small factor, h⁴/30 times the fifth derivative. With ten times the step it would be 10⁴ times as
large; with a tenth of it, rounding would be ten times as large.
"""

NOISE_ROUNDINGS = 4.0
"""Without a measured noise, each value of f is taken to be good to so many u of the size of its terms."""

NOISE_GAIN = 6.0
"""R1 combines four values, weighted (4/2 + 4/2)/3 and (1/4 + 1/4)/3 over h: 1.5 noises. R2 has half; with room."""

SMOOTH_RATIO = 3.5
"""D(4h) - D(2h) is four times D(2h) - D(h) where f is smooth, and twice that where its second derivative jumps.

Nearer to four, the next term of the series would be taken for a jump of a smooth function; nearer to two, a jump that
is not exactly at x would pass for smooth.
"""

KINK_RATIO = 8.0
"""S(4h) - 4 S(2h) is 16 times S(2h) - 4 S(h) where f is smooth, and twice that across a kink: between them, evenly."""

BEND_NOISE = 16.0
"""S(2h) - 4 S(h) weighs the values at ±2h by 1, that at 0 by 6 and those at ±h by 4: 16 noises at worst."""

SHARES_OF_STEP = 10.0 ** -np.arange(6)
"""Widths for `sharpest`, over the one for smooth functions; at the last, rounding still leaves seven digits."""


class Differences(NamedTuple):
    """Derivatives, and estimates of their errors."""

    derivative: Any
    error: Any


def richardson(near: Any, wide: Any) -> Any:
    """Two central differences, one of twice the width, extrapolated to width zero: without their errors of order h²."""
    return (4.0 * near - wide) / 3.0


def extrapolated(near: Any, middle: Any, far: Any) -> tuple[Any, Any]:
    """R1 and R2 from central differences at h, 2h and 4h: without their errors of order h²."""
    return richardson(near, middle), richardson(middle, far)


POINTS = np.array([1.0, -1.0, 0.5, -0.5, 0.25, -0.25])
"""Where `slopes_from` wants values: at three distances on both sides, in steps."""


def slopes_from(values: np.ndarray, step: Any) -> Differences:
    """The derivative without its errors of order h² and h⁴, from the values at `POINTS` along the first axis.

    |R1 - R2|, which is far more than its truncation, is the error.
    """
    far, middle, near = ((values[i] - values[i + 1]) / (2.0 * POINTS[i] * step) for i in (0, 2, 4))
    first, second = extrapolated(near, middle, far)
    return Differences((16.0 * first - second) / 15.0, np.abs(first - second))


def extrapolated_to_zero(near: Any, middle: Any, far: Any) -> Differences:
    """The limit at width zero of what is seen at h, 2h and 4h, and its truncation.

    For one-sided differences, whose errors are of order h, h², ...: 2 D(h) - D(2h) is without the first, and
    (4 (2 D(h) - D(2h)) - (2 D(2h) - D(4h)))/3 without both.
    """
    first, second = 2.0 * near - middle, 2.0 * middle - far
    return Differences((4.0 * first - second) / 3.0, np.abs(first - second))


class Kinks(NamedTuple):
    """Where a function has kinks, as its values at several widths show."""

    is_kink: Any
    slope: Any  # just after each kink
    error: Any


def kinks_from(values: np.ndarray, centre: np.ndarray, step: np.ndarray, noise: float) -> Kinks:
    """Kinks at the centre, from the values at `POINTS` along the first axis and at several widths along the second.

    Half the jump of the slope is the limit of (f(w) + f(-w) - 2 f(0))/2w. A kink has the same one at two neighbouring
    widths, each beyond twice its error; of noise and of values that go in steps it grows as the width shrinks.
    """
    noise = NOISE_GAIN * noise / (POINTS[4] * step)
    right = extrapolated_to_zero(*((values[i] - centre) / (POINTS[i] * step) for i in (4, 2, 0)))
    jump, jump_error = extrapolated_to_zero(
        *((values[i] + values[i + 1] - 2.0 * centre) / (2.0 * POINTS[i] * step) for i in (4, 2, 0))
    )
    jump_error = jump_error + noise
    is_jump, apart = np.abs(jump) > 2.0 * jump_error, np.abs(np.diff(jump, axis=0))
    confirmed = is_jump[:-1] & is_jump[1:] & (apart <= jump_error[:-1] + jump_error[1:])
    none = np.zeros((1, *confirmed.shape[1:]), bool)
    confirmed = np.concatenate([confirmed, none]) | np.concatenate([none, confirmed])
    slope, error = best_width(right.derivative, np.where(confirmed, right.error + noise, np.inf), axis=0)
    return Kinks(confirmed.any(axis=0), slope, error)


class Stencil(NamedTuple):
    """What values at 0, ±h, ±2h and ±4h show."""

    derivative: Any  # R1
    truncation: Any  # |R1 - R2|, and at least 2 |D(4h) - D(2h)| where that is not about four times |D(2h) - D(h)|
    # |S(2h) - 4 S(h)|, which at a kink is 2h times the jump of the slope, and less where the kink is beside 0
    bend: Any
    has_kink: Any  # whether that is more than noise, and grows too slowly with h for a smooth function


def stencil(centre: Any, ups: Any, downs: Any, h: Any, noise: Any, total: Callable[[Any], Any] = np.asarray) -> Stencil:
    """The stencil from f(0), f(h), f(2h), f(4h) and the same downwards, each good to `noise`.

    `total` adds up the terms of a value; they are subtracted one by one, so that large ones cancel exactly.
    """
    near, middle, far = (total(up - down) / (2.0 * w * h) for up, down, w in zip(ups, downs, WIDTHS))
    first, second = extrapolated(near, middle, far)
    # S(w), subtracted from the centre on both sides, where large values cancel
    bends = [total((up - centre) - (centre - down)) for up, down in zip(ups, downs)]
    bend, wider = np.abs(bends[1] - 4.0 * bends[0]), np.abs(bends[2] - 4.0 * bends[1])
    has_kink = (bend > BEND_NOISE * noise) & (wider < KINK_RATIO * bend)
    # where the second derivative jumps, R1 and R2 are off by multiples of h, and their gap is no larger
    change, wider_change = np.abs(middle - near), np.abs(far - middle)
    has_rough_bend = (wider_change < SMOOTH_RATIO * change) & (change > noise / h)
    truncation = np.maximum(np.abs(first - second), np.where(has_rough_bend, 2.0 * wider_change, 0.0))
    return Stencil(first, truncation, bend, has_kink)


def difference(f: Callable, h: Any, noise: Any, total: Callable[[Any], Any] = np.asarray) -> Differences:
    """f'(0) from f at 0, ±h, ±2h and ±4h, with an error that takes in the slopes on both sides of a kink."""
    centre = f(0.0 * h)
    ups, downs = ([f(side * w * h) for w in WIDTHS] for side in (1.0, -1.0))
    found = stencil(centre, ups, downs, h, noise, total)
    # over h, the bend is twice the jump of the slope at a kink: room for the slopes on both sides
    error = found.truncation + NOISE_GAIN * noise / h + np.where(found.has_kink, found.bend / h, 0.0)
    return Differences(found.derivative, np.where(np.isfinite(error), error, np.inf))


def sharpest(f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, noise: np.ndarray) -> Differences:
    """f'(x) of an elementwise function at x of shape (n,), each at the width that leaves the smallest error.

    Wide where f is smooth, narrow near a kink. An estimate can be small by chance where f varies within the width: the
    next narrower one has to agree, and none that is narrower may contradict it.
    """

    def at_width(share: float) -> Differences:
        h = STEP * np.maximum(1.0, np.abs(x)) * share
        derivative, error = difference(lambda t: f(x + t), h, noise)
        moved = UNIT * (np.abs(x) + 4.0 * h) * np.abs(derivative)  # x + t is rounded, however exact f may be
        return Differences(derivative, error + NOISE_GAIN * moved / h)

    found = list(map(at_width, SHARES_OF_STEP))
    # the last width only confirms the one before it
    derivatives = np.array([each.derivative for each in found[:-1]])
    errors = [wide.error + np.abs(wide.derivative - narrow.derivative) for wide, narrow in pairwise(found)]
    errors = np.where(np.isfinite(errors), errors, np.inf)
    best, each = errors.argmin(axis=0), np.arange(x.size)
    derivative, error = derivatives[best, each], errors[best, each]
    is_narrower = np.arange(len(errors))[:, np.newaxis] > best
    apart = np.abs(derivatives - derivative)
    contradicts = is_narrower & (apart > errors + error)
    return Differences(derivative, np.maximum(error, np.where(contradicts, apart + errors, 0.0).max(axis=0)))


def noise_of(value: np.ndarray | float) -> float:
    """The rounding noise to expect in a cost, given as a number or as the terms whose sum it is."""
    return NOISE_ROUNDINGS * UNIT * float(np.sum(np.abs(value)))


def gradient(
    # θ -> cost, or θ -> the terms whose sum it is; every θ that it sees is a fresh copy
    fun: Callable[[np.ndarray], np.ndarray | float],
    theta: np.ndarray,  # (n,) float64 array
    # h = step · max(1, |θ_i|) for coordinate i; rounded so that θ_i ± h, ± 2h, ± 4h differ by exactly that
    step: float = STEP,
) -> Differences:
    """The derivatives of `fun` in the coordinates of θ, and their errors, (n,) each."""
    noise = noise_of(fun(theta.copy()))

    def partial(i: int) -> Differences:
        def shifted(t: float) -> np.ndarray | float:
            moved = theta.copy()
            moved[i] += t
            return fun(moved)

        h = (theta[i] + step * max(1.0, abs(theta[i]))) - theta[i]  # a step that θ_i + h takes without rounding
        return difference(shifted, h, noise, np.sum) if h else Differences(np.nan, np.inf)

    return Differences(*np.array([partial(i) for i in range(len(theta))], dtype=float).reshape(-1, 2).T)


def best_width(slopes: np.ndarray, errors: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The slopes with the smallest errors of all widths, which an axis counts, and these errors.

    Where the slopes of another width contradict them, as those of values that a bisection rounds do by chance, the
    error is at least as large.
    """
    errors = np.where(np.isnan(errors), np.inf, errors)
    best = np.expand_dims(np.argmin(errors, axis=axis), axis)
    slope = np.take_along_axis(slopes, best, axis)
    with np.errstate(invalid="ignore"):
        beyond = np.abs(slopes - slope) - errors
    contradicted = np.max(np.where(np.isfinite(beyond), beyond, 0.0), axis=axis)
    return slope.squeeze(axis), np.maximum(np.take_along_axis(errors, best, axis).squeeze(axis), contradicted)
