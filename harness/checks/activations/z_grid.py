"""The z at which an activation is checked, what its record computes there, and how stretches of z are named."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from functools import cached_property
from typing import NamedTuple

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from harness.wording import distinct_digits
from reference.activations import Activation

SPECIAL = (0.0, 1e-8, 1e-3, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3)
"""z that are on every grid, with either sign: round numbers, at which formulas tend to be written in pieces."""

SEED = 0  # of the points between, so that two checks of one record look at the same z

TINY = float(np.finfo(np.float64).tiny)  # The smallest normal float. XLA flushes what is smaller to zero.
REACHED = 6.0  # the |z| that units of a network reach: standard normal pre-activations stay below

FLOOR = 128 * 2.0**-53
"""Errors below this share of the mean slope within `REACHED` are not judged: a term of a softplus that is written in
pieces may be left out from 30 of these 128 u on."""

ORDINARY_SHARE = 0.9
"""The share of the slopes within `REACHED` that are of ordinary size. Beside a pole, as of the slope of a
cube root at 0, larger ones would set the scale for all."""

BRIDGED = 2  # a wrong stretch may contain so many points of agreement in a row, such as those where two curves cross

BESIDE = 1e-6  # distance from a junction within which finite differences of plain values reach across it

AROUND_A_KINK, MOST_AROUND = 50, 40
"""Points around a kink, and kinks with points around them. A staircase has more kinks, between which points of others
lie."""

NEARBY = 1e-9
"""Relative distance of places that are one, as a kink at 5/3 and those where rounding moves it to. Formulas lose some
digits on the way to a comparison, so that this is far above a rounding, 1e-16."""


class Notation(NamedTuple):
    """The names in which a check reports: f'(z) of a slope, f''(z) of a curvature, da/dβ(β) of a parameter."""

    claim: str = "slope"
    derivative: str = "f'"
    variable: str = "z"

    def place(self, z: float, others: Iterable[float] = ()) -> str:
        """One z as a place, "z = 0.3", with the digits that tell it from others."""
        nearest = min((other for other in others if other != z), key=lambda other: abs(other - z), default=z)
        return f"{self.variable} = {distinct_digits(z, nearest)[0]}"

    def stretch(self, low: float, high: float, *, outwards: bool = False) -> str:
        """All z in [low, high], with as many digits as distinguish the ends.

        Ends are rounded inwards, because what holds for all z below 1 may not hold at 1. What is doubtful is named with
        ends that are rounded outwards.
        """
        name = self.variable
        if low == high:
            return f"{name} = {low:.5g}"
        at_low, at_high = (ROUND_FLOOR, ROUND_CEILING) if outwards else (ROUND_CEILING, ROUND_FLOOR)
        ends = ((_rounded(low, digits, at_low), _rounded(high, digits, at_high)) for digits in range(5, 18))
        # five digits, or as many more as two ends need that are close together
        first, last = next((first, last) for first, last in ends if float(first) < float(last))
        # the floats next to zero stand for all that is above or below it
        left = f"0 < {name}" if 0.0 < low <= TINY else f"{first} <= {name}"
        return f"{left} < 0" if -TINY <= high < 0.0 else f"{left} <= {last}"

    def stretches(self, z: np.ndarray, chosen: np.ndarray, bridged: int = 0) -> tuple[str, ...]:
        """The chosen points of a sorted grid, as names of stretches."""
        return tuple(
            self.stretch(low, high) if low < high else f"{self.variable} = {name_in(z, low, 5)}"
            for low, high in stretches(z, chosen, bridged)
        )


def _rounded(z: float, digits: int, towards: str) -> str:
    return f"{float(Context(digits, towards).create_decimal(repr(float(z)))):.{digits}g}"


def name_in(points: np.ndarray, z: float, digits: int) -> str:
    """A point of a sorted grid, with as many digits as distinguish it from the points on both sides of it."""
    at = int(np.searchsorted(points, z))
    beside = points[max(at - 1, 0) : at + 2]
    names = ([f"{x:.{count}g}" for x in (z, *beside)] for count in range(digits, 18))
    return next(name for name, *others in names if float(name) == z or others.count(name) == 1)


OF_Z = Notation()


@dataclass(frozen=True, eq=False)
class GridPoints:
    """A record's own value and slope on a grid."""

    f: Activation
    z: np.ndarray  # sorted
    a: np.ndarray
    slope: np.ndarray  # as it is reported
    junctions: tuple[float, ...] = ()  # where two formula pieces meet, declared kinks among them
    jumps: tuple[float, ...] = ()  # those of them where the value itself jumps

    @cached_property
    def slope_at_minus_zero(self) -> float:
        """The slope reported at z = -0.0; that at 0.0 where the record cannot take a single z."""
        z = np.array([-0.0])
        try:
            return float(np.ravel(self.f.slope(z.copy(), np.ravel(self.f(z.copy()))))[0])
        except FORMULA_ERRORS:
            return float(self.slope[np.searchsorted(self.z, 0.0)])

    @cached_property
    def floor(self) -> float:
        """The size from which errors of a slope are judged; smaller ones, as where slopes vanish far out, are noted.

        It is `FLOOR` times the mean |slope| over [-REACHED, REACHED], by the trapezoidal rule: 1e-14 times 0.5 or so.
        """
        within = (np.abs(self.z) <= REACHED) & np.isfinite(self.slope)
        size = np.abs(self.slope[within])
        size = np.minimum(size, np.quantile(size, ORDINARY_SHARE) if size.size else 0.0)
        return FLOOR * float(np.trapezoid(size, self.z[within])) / (2.0 * REACHED)

    @property
    def judged(self) -> np.ndarray:
        """Where the slope is judged: everywhere except where the value has overflowed."""
        return np.isfinite(self.a)

    def declared_kinks(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Each z, or the declared kink that it stands for; and whether there is one."""
        places = z.copy()
        for kink in self.f.kinks:  # `NEARBY` times |kink|: at zero, nothing but zero stands for it
            places[np.abs(z - kink) <= NEARBY * abs(kink)] = kink
        return places, np.isin(places, self.f.kinks)

    @property
    def underflows(self) -> np.ndarray:
        """Which z are so small that their powers underflow."""
        return underflows(self.z)

    @property
    def at_kinks(self) -> np.ndarray:
        """Which z are declared kinks, or floats that stand for one."""
        return self.declared_kinks(self.z)[1]

    @property
    def at_junctions(self) -> np.ndarray:
        """Which z are junctions."""
        return self.at_kinks | np.isin(self.z, self.junctions)

    @property
    def beside_junctions(self) -> np.ndarray:
        """Which z are junctions, or too near to one for some oracles."""
        junctions = [*self.f.kinks, *self.junctions]
        return distance_to_nearest(self.z, junctions) <= BESIDE


def grid(f: Activation, junctions: Sequence[float] = (), suspects: Sequence[float] = ()) -> np.ndarray:
    """The z at which an activation is checked, sorted: zero, ordinary, saturating, junctions and both sides of them.

    Kinks that the record declares are junctions, too. `suspects` are z that a proof found.
    """
    rng = np.random.default_rng(SEED)
    # |z| from 1e-8 to 1 and from 30 to 1,000, on a logarithmic scale
    powers = (_spread(rng, -8.0, 0.0, 50), _spread(rng, 1.5, 3.0, 50))
    fill = [
        _spread(rng, -6.0, 6.0, 400),
        _spread(rng, -30.0, 30.0, 200),
        *(sign * 10.0**power for power in powers for sign in (-1.0, 1.0)),
        *(_spread(rng, kink - 1.0, kink + 1.0, AROUND_A_KINK) for kink in f.kinks[:: 1 + len(f.kinks) // MOST_AROUND]),
    ]
    places = np.array([*f.kinks, *junctions])
    at_places = [places, *(floats_beside(places, count) for count in (-1, 1)), places - BESIDE, places + BESIDE]
    # no negative zero
    z = np.unique(np.concatenate([SPECIAL, np.negative(SPECIAL), suspects, *at_places, *fill]) + 0.0)
    z.flags.writeable = False  # formulas get copies
    return z


def _spread(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    """One random point in each of `count` equal parts of an interval."""
    return low + (high - low) * (np.arange(count) + rng.random(count)) / count


def underflows(z: np.ndarray) -> np.ndarray:
    """Which z are not zero, although their fourth power is: quotients may be 0/0, and no pre-activation is as small."""
    return (z != 0.0) & (np.abs(z) < TINY**0.25)


def floats_beside(z: np.ndarray, count: float | np.ndarray) -> np.ndarray:
    """The z that lie so many floats after each z, or before it for a negative count; subnormal ones are left out."""
    return z + count * np.maximum(np.spacing(np.abs(z)), TINY)


def shortest(low: float, high: float) -> float:
    """The number with the fewest digits in [low, high]."""
    if low <= 0.0 <= high:
        return 0.0
    candidates = (float(f"{high:.{digits}g}") for digits in range(1, 18))
    return next((candidate for candidate in candidates if low <= candidate <= high), high)


def is_near(z: float, others: Iterable[float]) -> bool:
    """Whether z is one of the others, up to a few floats."""
    there = np.fromiter(others, np.float64)
    return bool(np.any(np.abs(z - there) <= np.maximum(NEARBY * np.maximum(abs(z), np.abs(there)), 2 * TINY)))


def distinct(places: Iterable[float]) -> list[float]:
    """The places without those that are near an earlier one."""
    kept: list[float] = []
    for place in places:
        if not is_near(place, kept):
            kept.append(place)
    return kept


def distance_to_nearest(z: np.ndarray, places: Iterable[float]) -> np.ndarray:
    """How far each z is from the nearest of the places; infinitely far if there are none."""
    ends = np.sort(np.array([-np.inf, *places, np.inf]))
    after = np.clip(np.searchsorted(ends, z), 1, ends.size - 1)
    return np.minimum(z - ends[after - 1], ends[after] - z)


def stretches(z: np.ndarray, chosen: np.ndarray, bridged: int = 0) -> tuple[tuple[float, float], ...]:
    """The chosen points of a sorted grid as intervals from point to point, across gaps of up to `bridged` points."""
    places = np.flatnonzero(chosen)
    if not places.size:
        return ()
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1 + bridged) + 1)
    return tuple((float(z[run[0]]), float(z[run[-1]])) for run in runs)
