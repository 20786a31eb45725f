"""The derivative of a cost on a line through θ, from seven costs: its error bound, and what hides it.

The central differences of `reference.arithmetics.central_differences` give the derivative. One-sided differences of the
same costs, extrapolated to width zero, give the left and the right derivative. At a kink these differ: then every
number between them is somebody's convention, and the error bound takes them all in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reference.arithmetics.central_differences import NOISE_GAIN, WIDTHS, extrapolated_to_zero, stencil

ONE_SIDED_GAIN = 2.0 * NOISE_GAIN
"""A one-sided slope weighs four values with 8/3, 1, 1/12 and 7/4 over h: twice the noise of a central one."""

CLEAR = 0.1
"""A kink whose one-sided slopes are good to this share of its jump sits at θ, and not somewhere within the stencil."""

VANISHING = 1e-3
"""Derivatives below this share of those one step away, error bounds included, vanish at θ, as at a minimum."""

KINK, EDGE, NOISE, ROUGH, JUMPS = "kink", "edge", "noise", "rough", "jumps"

Line = Callable[[float], float]


class Noise(NamedTuple):
    """How noisy a cost is."""

    near: float  # at θ
    far: float  # at the widest step, where a minimum of zero lies no longer; in between it is taken to grow evenly
    reach: float  # that step
    relative: float  # what rounding leaves of any value, as a share of it
    hidden: float = 0.0  # what no scatter along a line shows

    def at(self, step: float, size: float = 0.0) -> float:
        """The noise in costs of some size at some distance."""
        return max(self.near, self.far * min(step / self.reach, 1.0), self.relative * size, self.hidden)


def scatter_of(costs: np.ndarray) -> float:
    """Three standard deviations of values so close together that a smooth function is a parabola there.

    Third differences remove the parabola and add up 1 + 9 + 9 + 1 variances.
    """
    scatter = np.diff(costs, n=3)
    size = float(np.max(np.abs(scatter))) or 1.0  # costs of 1e200 have no squares
    return 3.0 * size * float(np.sqrt(np.mean((scatter / size) ** 2) / 20.0))


class Found(NamedTuple):
    """What was found of a derivative: NaN, with an infinite error, where nothing was."""

    derivative: float = np.nan
    error: float = np.inf
    noise: float = np.inf  # the part of the error that is noise
    steepest: float = 0.0  # the largest slope between neighbouring points of the stencil, as far as noise shows it
    obstacle: str = ROUGH  # what the error comes from, where it is not small: one of those above
    slopes: tuple[float, float] = (np.nan, np.nan)  # on the two sides of a kink

    @property
    def least(self) -> float:
        """The size that the derivative has at least, if only on one side."""
        if np.isfinite(self.slopes).all():
            return max(map(abs, self.slopes))
        size = abs(self.derivative) - self.error
        return size if size > 0.0 else 0.0

    @property
    def most(self) -> float:
        """The size that the derivative has at most."""
        size = abs(self.derivative) + self.error
        return size if np.isfinite(size) else np.inf

    @property
    def vanishes(self) -> bool:
        """Whether the derivative is far below those one step away, as at a minimum."""
        return self.most <= VANISHING * self.steepest

    def times(self, factor: float) -> "Found":
        """The same in other units."""
        return self._replace(
            derivative=self.derivative * factor,
            error=self.error * abs(factor),
            noise=self.noise * abs(factor),
            steepest=self.steepest * abs(factor),
            slopes=(self.slopes[0] * factor, self.slopes[1] * factor),
        )


def look(line: Line, h: float, noise: Noise, at: float = 0.0) -> Found:
    """The derivative of a cost on a line, at one step."""
    centre = line(at)
    ups, downs = (np.array([line(at + sign * width * h) for width in WIDTHS]) for sign in (1.0, -1.0))
    values = np.array([*downs[::-1], centre, *ups])
    finite = np.isfinite(values)
    if not np.isfinite(centre) or not (finite[:3].all() or finite[4:].all()):
        return Found(obstacle=EDGE if np.isfinite(centre) else ROUGH)
    size = noise.at(4.0 * h, float(np.abs(values[finite]).max()))
    up, down = _one_sided(centre, ups, h, size), _one_sided(centre, downs, -h, size)
    if not finite.all():
        return (up if finite[4:].all() else down)._replace(obstacle=EDGE)
    return _two_sided(values, up, down, h, size)


def _two_sided(values: np.ndarray, up: Found, down: Found, h: float, noise: float) -> Found:
    central = stencil(values[3], values[4:], values[2::-1], h, noise)
    derivative, bend = float(central.derivative), float(central.bend)
    noisy = NOISE_GAIN * noise / h
    error = central.truncation + noisy
    spans = h * np.array([2.0, 1.0, 1.0, 1.0, 1.0, 2.0])
    steepest = float(np.max(np.abs(np.diff(values)) / spans - 2.0 * noise / spans, initial=0.0))
    if not central.has_kink:
        return Found(derivative, _bound(error), noisy, steepest, NOISE if noisy > 0.25 * error else ROUGH)
    jump, unsure = abs(up.derivative - down.derivative), up.error + down.error
    slopes = (down.derivative, up.derivative)
    if unsure <= CLEAR * jump:
        middle = 0.5 * (up.derivative + down.derivative)
        return Found(float(middle), _bound(0.5 * jump + unsure), noisy, steepest, KINK, slopes)
    return Found(derivative, _bound(error + bend / h), noisy, steepest, KINK if jump > 4.0 * unsure else ROUGH)


def _one_sided(centre: float, values: np.ndarray, h: float, noise: float) -> Found:
    """The derivative on one side, extrapolated to θ."""
    derivative, truncation = extrapolated_to_zero(*(values - centre) / (h * np.array(WIDTHS)))
    noisy = ONE_SIDED_GAIN * noise / abs(h)
    return Found(float(derivative), _bound(4.0 * truncation + noisy), noisy)


def _bound(error: float) -> float:
    return float(error) if np.isfinite(error) else np.inf


@dataclass(frozen=True)
class Reported:
    """A reported derivative along a line."""

    derivative: float
    error: float  # by how much rounding may have moved it
    size: float  # the largest of the derivatives reported in its block
    meaningful: float  # an error bound of at most this share of the derivatives decides something
    scale: float  # the size of θ on this line, where it is not zero: a function may bend at that scale, however small
    accepted: float  # the error that the accuracy of the gradient accepts
    elsewhere: Line  # the derivative that is reported at another place of the line

    def distance(self, found: Found) -> float:
        """|reported - found|."""
        return abs(self.derivative - found.derivative)

    def is_contradicted(self, found: Found, factor: float = 1.0) -> bool:
        """Whether a difference is farther away than so many times both error bounds."""
        allowed = factor * (found.error + self.error) + self.accepted
        return bool(np.isfinite(found.error) and not self.distance(found) <= allowed)
