"""Seams judged for themselves: at a kink and where smooth pieces meet, what is claimed beside the slopes of both sides.

Where the slopes of both sides are the same, that is the slope. At a kink it is a convention: any number between both
sides may be claimed. What the record claims there is set beside what JAX reports for the formula, because JAX and the
sources by hand agree at a kink only if the two match.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.bounds.activation_bound import ActivationBound
from harness.checks.activations.activation_subject import GridPoints
from harness.checks.activations.junctions import JUMP, find_jumps
from harness.checks.activations.slope_oracles import SlopeFunction, is_known, sides_of_slope
from harness.checks.activations.z_grid import BESIDE, is_near
from harness.wording import first_few
from reference.activations import Activation
from reference.measured import MeasuredSlope

SHOWN = 6  # places named in a sentence

SEAM = 2e-9
"""What may be claimed at a seam is known to this share, beside rounding."""


@dataclass(frozen=True)
class Kink:
    """A seam, where the slope may jump.

    Attributes
    ----------
    z : float
    left, right : float
        The slopes on either side; NaN where nobody knows them well enough.
    claimed : float
        The slope that the record claims there.
    jax : float
        What JAX reports for the formula there; NaN where JAX cannot run it.
    declared : bool
        Whether the record names this kink.
    error : float
        How far off the slopes of both sides may be, and formula and claim by rounding.
    value_jumps : bool
        Whether the value itself jumps there.
    """

    z: float
    left: float
    right: float
    claimed: float
    jax: float
    declared: bool
    error: float = 0.0
    value_jumps: bool = False

    @property
    def is_known(self) -> bool:
        """Whether the slopes on both sides are known."""
        return not (math.isnan(self.left) or math.isnan(self.right))

    @property
    def jumps(self) -> bool:
        """Whether the slopes on both sides differ, or may."""
        return not math.isclose(self.left, self.right, rel_tol=JUMP, abs_tol=2.0 * self.error)

    @property
    def is_pole(self) -> bool:
        """Whether the slope grows without bound on both sides, in the same direction."""
        return math.isinf(self.left) and self.left == self.right

    @property
    def is_between(self) -> bool:
        """Whether the claim may be made: a slope of one of both sides or between them; a convention where none is."""
        if math.isnan(self.claimed) or not self.is_known or self.is_pole or self.value_jumps:
            return not math.isnan(self.claimed)
        low, high = sorted((self.left, self.right))
        return low <= self.claimed <= high or any(
            math.isclose(self.claimed, x, rel_tol=SEAM, abs_tol=self.error) for x in (low, high)
        )

    @property
    def nearest_convention(self) -> float:
        """The claimed slope if it may be claimed here, else the slope of the side that is nearer to it."""
        return self.claimed if self.is_between else min(self.left, self.right, key=lambda x: abs(x - self.claimed))

    @property
    def follows_jax(self) -> bool:
        """Whether the claim is what JAX reports; so, too, where JAX cannot be asked."""
        return math.isnan(self.jax) or math.isclose(self.claimed, self.jax, rel_tol=JUMP, abs_tol=self.error)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return vars(self) | {"jumps": self.jumps, "follows_jax": self.follows_jax}

    def __str__(self) -> str:
        return f"{self._sides()}{self._convention()}"

    def _sides(self) -> str:
        at = f"z = {self.z:g}"
        if self.value_jumps:
            return f"the value itself jumps at {at}, where there is no slope"
        if not self.is_known:
            return f"kink at {at}: the slopes on both sides are not known well enough"
        if self.is_pole:
            return f"the slope is infinite at {at}"
        if self.jumps:
            undeclared = "" if self.declared else "undeclared "
            return f"{undeclared}kink at {at}: the slope goes from {self.left:.6g} to {self.right:.6g}"
        but = ", though one is declared" if self.declared else ""
        apart = f" to within {abs(self.right - self.left):.1g}" if self.left != self.right else ""
        return f"no kink at {at}{but}: the slope is {self.left:.6g} on both sides{apart}"

    def _convention(self) -> str:
        if not self.declared and self.jumps:
            return f"; declare it with kinks=({self.z:g}, ...)"
        claimed = f"; {self.claimed + 0.0:.6g} is claimed there"  # no negative zero
        if math.isnan(self.jax):
            return claimed
        if self.follows_jax:
            return f"{claimed}, as JAX reports for the formula"
        return f"{claimed}, but JAX reports {self.jax:.6g} for the formula: the two differ for a unit exactly there"


def judge_seams(
    points: GridPoints, bound: ActivationBound, slope_at: SlopeFunction | None, by_jax: MeasuredSlope | None
) -> list[Kink]:
    """What is known, and what is claimed, at every seam at which the value is finite.

    At zero it is claimed twice, for 0.0 and -0.0 are one number; what must not be claimed goes first.
    """
    at = np.flatnonzero(points.at_seams & np.isfinite(points.a))
    z = points.z[at]
    if not z.size:
        return []
    left, right = sides_of_slope(points.f, z, slope_at)
    known = is_known(left) & is_known(right)
    error = left[1] + right[1] + _rounding_nearby(points, bound)[at]
    left, right = (np.where(np.abs(slope) <= off, 0.0, slope) for slope, off in (left, right))
    steps = [*points.steps, *jumps_of_value(points.f, points.z, bound)]
    seams = [
        Kink(
            float(place),
            *(float(slope[i]) if known[i] else math.nan for slope in (left, right)),
            claimed=float(points.slope[at[i]]),
            jax=float(by_jax.slope[at[i]]) if by_jax else math.nan,
            declared=is_near(place, points.f.kinks),
            error=float(error[i]) if known[i] and math.isfinite(error[i]) else 0.0,
            value_jumps=is_near(place, steps),
        )
        for i, place in enumerate(z)
    ]
    at_minus_zero = [replace(seam, claimed=points.at_minus_zero) if seam.z == 0.0 else seam for seam in seams]
    return [other if seam.is_between and not other.is_between else seam for seam, other in zip(seams, at_minus_zero)]


def _rounding_nearby(points: GridPoints, bound: ActivationBound) -> np.ndarray:
    """What rounding can do to the claim at each z, or a little beside it, and to the formula's slopes on both sides.

    On a seam itself the bounds span both pieces.
    """
    last = points.z.size - 1
    beside = [np.minimum(np.searchsorted(points.z, points.z + step), last) for step in (-BESIDE, BESIDE)]
    claimed = np.min([bound.claimed, *(bound.claimed[i] for i in beside)], axis=0)
    sides = np.max([bound.formula[i] for i in beside], axis=0)
    return claimed + np.where(np.isfinite(sides), sides, 0.0)


def jumps_of_value(f: Activation, z: np.ndarray, bound: ActivationBound) -> list[float]:
    """The places at which the value itself jumps."""
    return find_jumps(lambda z: np.asarray(f(z.copy()), dtype=float), z, bound.value)


def places_in_words(places: Sequence[float]) -> str:
    """Some z; of many, those nearest to zero."""
    shown = places if len(places) <= SHOWN else sorted(places, key=abs)
    return "z = " + first_few(shown, SHOWN, "more places", name=lambda place: f"{place:.6g}")
