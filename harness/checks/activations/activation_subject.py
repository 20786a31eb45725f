"""The slope of an activation on a grid of z as a subject to be judged."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from harness.checks.activations.likely_bugs import ClaimedSlope, likely_bugs
from harness.checks.activations.proof import Proof
from harness.checks.activations.slope_oracles import SlopeFunction
from harness.checks.activations.z_grid import BESIDE, BRIDGED, in_words, stretch_in_words, stretches
from harness.verdict.comparison import Answer, Block
from harness.verdict.subject import Subject
from reference.activations import Activation

CLAIMED, SIDES = "slope", "one-sided derivative"

AT_A_SEAM = "where pieces meet, a slope must be that of both sides, or at a kink lie between them"

STRETCHES = (6.0, 30.0)  # |z| up to which slopes are of one size: what decides something is measured against that


@dataclass(frozen=True, eq=False)
class GridPoints:
    """The record's own answers at each z of a sorted grid, (n,) arrays, and the seams, where its pieces meet.

    Among those are the `steps`, where the value itself jumps.
    """

    f: Activation
    z: np.ndarray
    a: np.ndarray
    slope: np.ndarray
    seams: tuple[float, ...] = ()
    proof: Proof | None = None
    steps: tuple[float, ...] = ()

    @cached_property
    def at_minus_zero(self) -> float:
        """The slope claimed at z = -0.0; that at 0.0 where the record cannot take one z alone."""
        z = np.array([-0.0])
        try:
            return float(np.ravel(self.f.slope(z.copy(), np.ravel(self.f(z.copy()))))[0])
        except FORMULA_ERRORS:
            return float(self.slope[np.searchsorted(self.z, 0.0)])

    @property
    def judged(self) -> np.ndarray:
        """Where the slope is judged: everywhere but where the value has overflowed."""
        return np.isfinite(self.a)

    @property
    def at_kinks(self) -> np.ndarray:
        return np.isin(self.z, self.f.kinks)

    @property
    def at_seams(self) -> np.ndarray:
        return np.isin(self.z, [*self.f.kinks, *self.seams])

    @property
    def beside_seams(self) -> np.ndarray:
        """On a seam, or too near for some of the oracles."""
        seams = [*self.f.kinks, *self.seams]
        return np.min([np.abs(self.z - seam) for seam in seams], axis=0, initial=np.inf) <= BESIDE


class ActivationSlope(Subject):
    """The claimed slope at each z, in stretches of |z|."""

    hint = "rounding is as large as the slope, or nothing is finite"

    def __init__(self, points: GridPoints, slope_at: SlopeFunction | None):
        self.points, self.slope_at = points, slope_at
        number = np.searchsorted(STRETCHES, np.abs(points.z))
        self.blocks = [
            Block(f"stretch {i}", np.flatnonzero(points.judged & (number == i))) for i in range(len(STRETCHES) + 1)
        ]

    def label(self, i: int) -> str:
        return f"f'({self.points.z[i]:.6g})"

    def describe(self) -> dict[str, Any]:
        f = self.points.f
        source = {"source": f.source} if f.source else {}
        proof = {"proved": str(self.points.proof)} if self.points.proof else {}
        return {"activation": f.name} | source | {"values of z": int(self.points.judged.sum())} | proof

    def to_decide(self) -> np.ndarray:
        """All that are judged, leaving out those too near a seam for some of the oracles, but not the seam itself."""
        points = self.points
        return np.flatnonzero(points.judged & (points.at_seams | ~points.beside_seams))

    def places(self, coordinates: np.ndarray) -> str:
        chosen = np.zeros(self.points.z.shape, dtype=bool)
        chosen[coordinates] = True
        return in_words(stretches(self.points.z, chosen))

    def parts(self, at_odds: np.ndarray) -> tuple[str, ...]:
        return tuple(stretch_in_words(*ends) for ends in stretches(self.points.z, at_odds, BRIDGED))

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> str:
        if right.name == SIDES and np.isfinite(wrong.gradient[at_odds]).any():
            return AT_A_SEAM
        if wrong.name == CLAIMED:
            slope_at = self.slope_at or (lambda z: np.full(z.shape, np.nan))
            points = self.points
            claimed = ClaimedSlope(points.f, points.z, points.a, points.slope, right.gradient, slope_at)
            bugs = likely_bugs(claimed.at(at_odds))
            return f"likely: {'; or: '.join(bugs)}" if bugs else ""
        if not np.isfinite(wrong.gradient[at_odds]).all():
            return "a branch that `where` drops overflows, and zero times infinity is NaN: guard its argument, too"
        return ""
