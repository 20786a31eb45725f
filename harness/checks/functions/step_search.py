"""Which step of a difference decides about a claimed derivative of a function of which only values are known.

A wide stencil is blind to kinks, wiggles and poles that lie within it; a narrow one drowns in noise. So agreement at a
step whose error bar is narrow enough decides at once, and a disagreement has to stand at the narrowest step, too, at
which noise leaves anything to see of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reference.oracles.black_box import NOISE_GAIN, Difference

NOTHING = Difference(np.nan, np.inf)

SUPPORT = 0.1
"""What speaks for a claim that a narrow step contradicts: a wide step that comes ten times closer to it."""

ELSEWHERE = (-1.1, -0.7, -0.3, 0.4, 0.8, 1.2)
"""Places within the wide step at which the narrow step is tried again."""

Probe = Callable[[float, float], Difference]
"""``probe(h, t)``: the difference at step h, a distance t away from θ."""


@dataclass(frozen=True)
class Claim:
    """A derivative that somebody claims.

    Attributes
    ----------
    derivative, error : float
        The claim, and what rounding may have moved it.
    meaningful : float
        An error bar of at most this decides something.
    scale : float
        The size of θ in this direction, where it is not zero: a function may bend at that scale, however small.
    """

    derivative: float
    error: float
    meaningful: float
    scale: float = np.inf

    def off(self, found: Difference) -> float:
        return abs(self.derivative - found.derivative)

    def is_objected_to(self, found: Difference, factor: float = 1.0) -> bool:
        return bool(np.isfinite(found.error) and not self.off(found) <= factor * (found.error + self.error))


class Support(NamedTuple):
    """The step whose difference comes closest to a claim, and how close, its error included."""

    distance: float = np.inf
    step: float = 0.0


def settle(claim: Claim, probe: Probe, noise: float, steps: Sequence[float]) -> Difference:
    """The difference at the widest step that decides about a claim; with an infinite error where none does."""
    best, support = NOTHING, Support()
    for step in steps:
        if step < steps[0] and NOISE_GAIN * noise / step > claim.meaningful:
            break  # neither this step nor a narrower one can decide
        found = probe(step, 0.0)
        support = min(support, Support(claim.off(found) + found.error, step))
        if claim.is_objected_to(found):
            narrow = _narrowest(claim, found, step, noise, steps[-1])
            closer = probe(narrow, 0.0)
            if _confirms(claim, closer, found):
                return found if not _climbs_by_jumps(claim, found, support, probe, narrow, closer) else NOTHING
        elif found.error < best.error:
            best = found
        if best.error + claim.error <= claim.meaningful:
            break
    return best


def _narrowest(claim: Claim, found: Difference, step: float, noise: float, least: float) -> float:
    """The step at which noise is a third of the objection, or narrower where the claim is of a finer structure."""
    off = claim.off(found)
    narrowest = 3.0 * NOISE_GAIN * noise / off if np.isfinite(off) else step
    if abs(found.derivative) < 0.1 * abs(claim.derivative):  # as if the stencil did not see it at all
        narrowest = min(narrowest, 0.1 * claim.scale)
    return min(max(narrowest, least), 0.5 * step)


def _confirms(claim: Claim, closer: Difference, found: Difference) -> bool:
    # bars that decide nothing may be too narrow by chance
    factor = 1.0 if closer.error + claim.error <= claim.meaningful else 2.0
    agrees = abs(closer.derivative - found.derivative) <= closer.error + found.error
    return agrees and claim.is_objected_to(closer, factor)


def _climbs_by_jumps(
    claim: Claim, found: Difference, support: Support, probe: Probe, narrow: float, closer: Difference
) -> bool:
    """Whether the narrow slope is the same all over a wide step that comes much closer to the claim.

    Then jumps make up the rest, as with a cost that is computed in float32, in part, or that was rounded: its narrow
    slope is of no use.
    """
    off = claim.off(found)
    if not (np.isfinite(support.distance) and support.distance + claim.error <= SUPPORT * off):
        return False
    elsewhere = np.array([probe(narrow, t * support.step).derivative for t in ELSEWHERE])
    return bool(np.median(np.abs(elsewhere - closer.derivative)) <= 0.3 * off)
