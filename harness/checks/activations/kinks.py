"""Kinks of one activation: the declared ones, and those that nobody declared.

On both sides of a kink the slope is known; at the kink itself it is a convention. What the record claims there is set
beside what JAX reports for the formula, because JAX and the sources by hand agree at a kink only if the two match.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.bounds.activation_bound import ActivationBound, activation_bound
from harness.bounds.tolerances import MEANINGLESS, NEGLIGIBLE
from harness.checks.activations.grid import TINY, sides
from harness.checks.activations.slopes import SlopeFunction
from harness.checks.activations.subject import GridPoints
from harness.wording import first_few
from reference.activations import Activation
from reference.measured import MeasuredSlope

JUMP = MEANINGLESS["float64"]
"""A slope or value that changes by less than this share between neighbouring floats has no jump there."""

SHOWN = 6  # places named in a sentence

HALVINGS = 60  # of a grid interval: down to neighbouring floats

NEARBY = 1e-9  # relative: a jump found so close to a declared kink is that kink's


@dataclass(frozen=True)
class Kink:
    """A place where the slope jumps, or is said to.

    Attributes
    ----------
    z : float
    left, right : float
        The slopes on either side; NaN where no oracle knows them well enough.
    claimed : float
        The slope that the record claims there.
    jax : float
        What JAX reports for the formula there; NaN where JAX cannot run it.
    declared : bool
        Whether the record names this kink.
    """

    z: float
    left: float
    right: float
    claimed: float
    jax: float
    declared: bool

    @property
    def is_known(self) -> bool:
        """Whether the slopes on both sides are known."""
        return not (math.isnan(self.left) or math.isnan(self.right))

    @property
    def jumps(self) -> bool:
        """Whether the slopes on both sides differ, or may."""
        return not math.isclose(self.left, self.right, rel_tol=JUMP)

    @property
    def is_between(self) -> bool:
        """Whether the claimed slope is one of both sides' or lies between them, as far as they are known."""
        if math.isnan(self.claimed) or not self.is_known:
            return not math.isnan(self.claimed)
        low, high = sorted((self.left, self.right))
        return low < self.claimed < high or any(math.isclose(self.claimed, x, rel_tol=JUMP) for x in (low, high))

    @property
    def nearest_convention(self) -> float:
        """The claimed slope if it may be claimed here, else the slope of the side that is nearer to it."""
        return self.claimed if self.is_between else min(self.left, self.right, key=lambda x: abs(x - self.claimed))

    @property
    def follows_jax(self) -> bool:
        """Whether the claim is what JAX reports; so, too, where JAX cannot be asked."""
        return math.isnan(self.jax) or math.isclose(self.claimed, self.jax, rel_tol=JUMP)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return vars(self) | {"jumps": self.jumps, "follows_jax": self.follows_jax}

    def __str__(self) -> str:
        if not self.jumps:
            but = ", though one is declared" if self.declared else ""
            return f"no kink at z = {self.z:g}{but}: the slope is {self.left:.6g} on both sides"
        text = f"kink at z = {self.z:g}: the slope goes from {self.left:.6g} to {self.right:.6g}"
        if not self.is_known:
            text = f"kink at z = {self.z:g}: the slopes on both sides are not known well enough"
        if not self.declared:
            return f"undeclared {text}; declare it with kinks=({self.z:g}, ...)"
        text += f"; {self.claimed:.6g} is claimed there"
        if math.isnan(self.jax):
            return text
        if self.follows_jax:
            return f"{text}, as JAX reports for the formula"
        return f"{text}, but JAX reports {self.jax:.6g} for the formula: the two differ for a unit exactly there"


def find_jumps(function: Callable[[np.ndarray], np.ndarray], z: np.ndarray, noise: np.ndarray) -> list[float]:
    """The z at which a function jumps, between points of a sorted grid or on one.

    Every grid interval is halved, keeping the half with the greater change: a smooth change vanishes on the way, and a
    jump stays. One that is smaller than the smooth change across its grid interval may be missed.

    Parameters
    ----------
    function : callable
        (n,) -> (n,), evaluated where it is asked.
    z, noise : (n,) arrays
        The grid, and how far rounding can move the function there.
    """
    low, high, known = z[:-1].copy(), z[1:].copy(), function(z)
    at_low, at_high = known[:-1].copy(), known[1:].copy()
    for _ in range(HALVINGS):
        middle = low + 0.5 * (high - low)
        at_middle = function(middle)
        in_low = ~(np.abs(at_middle - at_low) <= np.abs(at_high - at_middle))
        low, at_low = np.where(in_low, low, middle), np.where(in_low, at_low, at_middle)
        high, at_high = np.where(in_low, middle, high), np.where(in_low, at_middle, at_high)
    size = np.where(np.isfinite(known), np.abs(known), 0.0).max(initial=0.0)
    change, largest = np.abs(at_high - at_low), np.maximum(np.abs(at_low), np.abs(at_high))
    rounding = 4.0 * np.minimum(noise[:-1], noise[1:])  # the lower, because on a kink it is the jump itself
    allowed = np.maximum(JUMP * np.maximum(largest, NEGLIGIBLE * size), rounding)
    found = np.isfinite(change) & (change > allowed)
    return _distinct([_shortest(float(a), float(b)) for a, b in zip(low[found], high[found])])


def _shortest(low: float, high: float) -> float:
    """The number with the fewest digits in [low, high]."""
    if low <= 0.0 <= high:
        return 0.0
    for digits in range(1, 18):
        candidate = float(f"{high:.{digits}g}")
        if low <= candidate <= high:
            return candidate
    return high


def is_near(z: float, others: Sequence[float]) -> bool:
    """Whether z is one of the others, up to a few floats."""
    return any(abs(z - other) <= NEARBY * max(abs(z), abs(other)) or abs(z - other) <= 2 * TINY for other in others)


def _distinct(places: list[float]) -> list[float]:
    distinct = []
    for place in places:
        if not is_near(place, distinct):
            distinct.append(place)
    return distinct


def is_sharp(slope: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Where slopes on a grid are known well enough to be told from others."""
    least = NEGLIGIBLE * np.abs(slope).max(initial=1.0, where=np.isfinite(slope))
    return error <= JUMP * np.maximum(np.abs(slope), least)


def declared_kinks(
    points: GridPoints, slope: np.ndarray, error: np.ndarray, by_jax: MeasuredSlope | None
) -> list[Kink]:
    """The kinks that the record names, given the best known slopes on the grid, and those of JAX."""
    known, kinks = is_sharp(slope, error), []
    for kink in points.f.kinks:
        left, right, at = (int(np.searchsorted(points.z, place)) for place in (*sides(kink), kink))
        on_sides = (float(slope[i]) if known[i] else math.nan for i in (left, right))
        jax = float(by_jax.slope[at]) if by_jax else math.nan
        kinks.append(Kink(kink, *on_sides, claimed=float(points.slope[at]), jax=jax, declared=True))
    return kinks


def undeclared_kinks(points: GridPoints, bound: ActivationBound, slope_at: SlopeFunction) -> list[Kink]:
    """The places at which the slope jumps although the record names no kink there."""
    found = find_jumps(slope_at, points.z, bound.formula)
    found = [place for place in found if not is_near(place, points.f.kinks) and _is_kink(points.f, slope_at, place)]
    kinks = []
    for place in found:
        z = np.array([*sides(place), place])
        left, right, _ = slope_at(z)
        claimed = np.broadcast_to(points.f.slope(z.copy(), np.array(points.f(z.copy()))), z.shape)
        kinks.append(Kink(place, float(left), float(right), float(claimed[2]), math.nan, declared=False))
    return [kink for kink in kinks if kink.jumps]


def _is_kink(f: Activation, slope_at: SlopeFunction, place: float) -> bool:
    """Whether a jump is there at some distance, too, and larger than rounding.

    Automatic differentiation may be wrong at one point, as at sign(0), and noise may grow like 1/z towards zero.
    """
    step = NEARBY * max(abs(place), 1.0)
    z = np.array([place - step, place + step])
    left, right = slope_at(z)
    allowed = JUMP * max(abs(left), abs(right)) + activation_bound(f, z).formula.sum()
    return not abs(right - left) <= allowed


def outside_in_words(undeclared: Sequence[Kink]) -> tuple[str, ...]:
    """What is wrong with the claim at kinks that the record does not name: no finding is about these z."""
    wrong = [kink for kink in undeclared if not kink.is_between]
    if not wrong:
        return ()
    places = first_few(wrong, SHOWN, "more", name=lambda kink: f"{kink.claimed:.6g} at z = {kink.z:.6g}")
    return (f"does not lie between the slopes of the two sides at undeclared kinks: {places}",)


def jumps_of_value(points: GridPoints, bound: ActivationBound) -> list[float]:
    """The places at which the value itself jumps."""
    return find_jumps(lambda z: np.asarray(points.f(z.copy()), dtype=float), points.z, bound.value)


def places_in_words(places: Sequence[float]) -> str:
    """Some z, the first few of them."""
    return "z = " + first_few(places, SHOWN, "more places", name=lambda place: f"{place:.6g}")
