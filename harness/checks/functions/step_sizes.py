"""Which step of a difference decides about a claimed derivative of a function of which only values are known.

A wide stencil is blind to kinks, wiggles and poles that lie within it; a narrow one drowns in noise. So agreement at a
step whose error bar is narrow enough decides at once, and a disagreement has to stand at the narrowest step, too, at
which noise leaves anything to see of it. Where noise is in the way at the first step, wider ones may see over it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.bounds.tolerances import WIDER_STEPS
from harness.checks.functions.line_stencil import EDGE, JUMPS, KINK, NOISE, ROUGH, Found, Line, Noise, look, scatter_of
from reference.arithmetics.central_differences import NOISE_GAIN

SUPPORT = 0.1
"""What speaks for a claim that a narrow step contradicts: a wide step that comes ten times closer to it."""

ELSEWHERE = (-1.1, -0.7, -0.3, 0.4, 0.8, 1.2)
"""Places within the wide step at which the narrow step is tried again."""

WIDEST = 0.1
"""Wider steps than this are not tried: beyond it, the costs of one stencil have little to do with each other."""

FINEST = 2.0**-36
"""The narrowest step that a disagreement has to stand, as a share of θ."""

VISIBLE = 1e-3
"""Narrower steps are tried until noise hides more than this share of the derivative."""

TREAD = 2.0**-7
"""A cost that is constant beside θ and jumps on both sides within this, the step of bfloat16 at 1, was rounded:
none of its own slopes is of use. What jumps less often is a function with jumps."""

VANISHING = 1e-3
"""Derivatives below this share of those one step away, their error bars included, vanish at θ, as at a minimum."""


@dataclass(frozen=True)
class Claim:
    """A derivative along a line that somebody claims.

    Attributes
    ----------
    derivative, error : float
        The claim, and what rounding may have moved it.
    size : float
        What is claimed of the derivatives beside it: the largest.
    meaningful : float
        An error bar of at most this share of the derivatives decides something.
    scale : float
        The size of θ on this line, where it is not zero: a function may bend at that scale, however small.
    """

    derivative: float
    error: float
    size: float
    meaningful: float
    scale: float = np.inf

    def off(self, found: Found) -> float:
        return abs(self.derivative - found.derivative)

    def is_objected_to(self, found: Found, factor: float = 1.0) -> bool:
        return bool(np.isfinite(found.error) and not self.off(found) <= factor * (found.error + self.error))


class Support(NamedTuple):
    """The step whose difference comes closest to a claim, and how close, its error included."""

    distance: float = np.inf
    step: float = 0.0


class Search:
    """The search for the step that decides about one claim.

    Parameters
    ----------
    claim, line, noise : what is claimed of which line, and how noisy it is
    steps : from wide to narrow
    """

    def __init__(self, claim: Claim, line: Line, noise: Noise, steps: Sequence[float]):
        self.claim, self.line, self.noise, self.steps = claim, line, noise, steps
        self.best, self.support, self.step = Found(), Support(), steps[0]
        self.steepest, self.climbs_by_jumps, self.is_staircase, self.met_an_edge = 0.0, False, False, False

    def settle(self, start: int = 0) -> Found:
        """The difference at the step that decides; where none does, the best there is."""
        first = None
        for step in self.steps[start:]:
            if self._drowns(step):
                break
            found = self._look(step)
            first = first or found
            if self.claim.is_objected_to(found) and (confirmed := self._confirmed(found, step)):
                return confirmed
            if self.is_staircase:
                return self._told()
            self._keep(found, step)
            if self._decides(self.best, start > 0):
                return self._told()
        if start > 0:
            return self.settle()
        if first is not None and first.noise > 0.3 * first.error:
            self._look_wider()
        return self._told()

    def look_closer(self) -> Found | None:
        """What narrower steps than the one that decided object to the claim, if they do.

        For wiggles that are too fine, and too shallow, for the step that decided. A step shows all that are wider than
        itself, so that every other one will do.
        """
        for step in [step for step in self.steps if step <= 0.25 * self.step][::2]:
            if self._drowns(step):
                break
            found = self._look(step)
            if self.claim.is_objected_to(found) and (confirmed := self._confirmed(found, step)):
                return confirmed
        return None

    def _look(self, step: float, at: float = 0.0) -> Found:
        found = look(self.line, step, self.noise, at)
        if np.isfinite(found.steepest) and step == self.steps[0]:
            self.steepest = max(self.steepest, found.steepest)
        return found

    def over_jumps(self) -> "Search":
        """The search anew at wide steps, with the height of the jumps for noise."""
        height = scatter_of(np.array([self.line(0.25 * k * TREAD) for k in range(-4, 5)]))
        search = Search(
            self.claim,
            self.line,
            self.noise._replace(near=height, far=height),
            [*reversed(self._wider_steps()), self.steps[0]],
        )
        search.climbs_by_jumps = True
        return search

    def _told(self) -> Found:
        told = self.best._replace(steepest=self.steepest)
        if self.met_an_edge and told.obstacle in (NOISE, ROUGH):  # wider steps would see over it
            return told._replace(obstacle=EDGE)
        return told._replace(obstacle=JUMPS) if self.climbs_by_jumps else told

    def _keep(self, found: Found, step: float) -> None:
        self.support = min(self.support, Support(self.claim.off(found) + found.error, step))
        if found.obstacle == EDGE:
            found, self.met_an_edge = Found(obstacle=EDGE), True  # one side alone decides nothing
        objected = self.claim.is_objected_to(found)
        if found.error < self.best.error and not objected:
            self.best, self.step = found, step
        elif not np.isfinite(self.best.error) and not objected:
            self.best = self.best._replace(obstacle=found.obstacle)

    def _size(self) -> float:
        return max(self.claim.size, self.steepest, self.best.least)

    def _decides(self, found: Found, alone: bool = False) -> bool:
        """Whether an error bar is narrow enough, beside the derivatives of the block or beside this one alone."""
        size = abs(self.claim.derivative) if alone else max(self.claim.size, size_of([self._told()]))
        room = self.claim.meaningful * size - self.claim.error
        return found.error <= max(room, 0.1 * self.claim.error)

    def _drowns(self, step: float) -> bool:
        """Whether noise leaves nothing to see at a step narrower than the first."""
        if step >= self.steps[0]:
            return False
        noise = NOISE_GAIN * self.noise.at(step, abs(self.line(0.0))) / step
        size = self._size()
        return noise > VISIBLE * size > 0.0 or (size == 0.0 and np.isfinite(self.best.error))

    def _wider_steps(self) -> list[float]:
        return [factor * self.steps[0] for factor in WIDER_STEPS if factor * self.steps[0] <= WIDEST]

    def _look_wider(self) -> None:
        for step in self._wider_steps():
            found = self._look(step)
            if not found.error < self.best.error or found.obstacle == EDGE:
                return
            if self.claim.is_objected_to(found):
                self.best = self._confirmed(found, step) or self.best
                return
            self.best, self.step = found, step
            if self._decides(found):
                return

    def _confirmed(self, found: Found, step: float) -> Found | None:
        """What objects to the claim at a step, if a narrower one says the same; else None."""
        narrow = self._narrowest(found, step)
        closer = self._look(narrow)
        # bars that decide nothing may be too narrow by chance; that of a kink is its jump
        factor = 1.0 if self._decides(closer) or np.isfinite(closer.slopes).all() else 2.0
        if not (_same(closer, found) and self.claim.is_objected_to(closer, factor)):
            return None
        if found.obstacle in (EDGE, KINK) and not self._converges(found, closer, step, narrow):
            return None
        self.is_staircase = self._is_rounded(narrow, closer)
        if self.is_staircase or self._are_jumps(found, narrow, closer):
            self.climbs_by_jumps = True
            return None
        told = found if found.error <= closer.error or not _is_smooth(closer) else closer
        return told._replace(steepest=max(self.steepest, told.steepest))

    def _converges(self, found: Found, closer: Found, step: float, narrow: float) -> bool:
        """Whether a one-sided slope has a limit: towards the end of a domain it may grow without one."""
        between = self._look(float(np.sqrt(step * narrow)) if narrow < 0.25 * step else 0.5 * narrow)
        looks = (found, closer, between)
        spread = np.ptp([each.derivative for each in looks])
        size = max(abs(each.derivative) for each in looks)
        return bool(spread <= 1e-2 * max(size, self.steepest) or spread <= closer.noise) and all(
            each.obstacle == found.obstacle for each in looks
        )

    def _narrowest(self, found: Found, step: float) -> float:
        """The step at which noise is a third of the objection, or narrower where the claim is of a finer structure."""
        claim = self.claim
        off = claim.off(found) - claim.error  # what rounding of the claim does not explain
        noise = self.noise.at(0.5 * step, abs(self.line(0.0)))
        room = 3.0 if _is_smooth(found) else 1e4  # one-sided slopes need more
        narrowest = room * NOISE_GAIN * noise / off if np.isfinite(off) else 0.1 * step
        if abs(found.derivative) < 0.1 * abs(claim.derivative) < np.inf:  # as if the stencil did not see it at all
            narrowest = min(narrowest, 0.1 * claim.scale)
        return min(max(narrowest, min(self.steps[-1], FINEST * claim.scale)), 0.5 * step)

    def _is_rounded(self, narrow: float, closer: Found) -> bool:
        """Whether the cost is a staircase: constant beside θ and about it, but for jumps that are close together."""
        if closer.derivative != 0.0 or self.line(0.0) in (self.line(TREAD), self.line(-TREAD)):
            return False
        elsewhere = [look(self.line, narrow, self.noise, t * TREAD).derivative for t in ELSEWHERE]
        return bool(np.median(np.abs(elsewhere)) == 0.0)

    def _are_jumps(self, found: Found, narrow: float, closer: Found) -> bool:
        """Whether the narrow slope is the same all over a wide step that comes much closer to the claim.

        Then jumps make up the rest, as with a cost that is computed in float32, in part, or that was rounded: its
        narrow slope is of no use.
        """
        off = self.claim.off(found)
        if not (np.isfinite(self.support.distance) and self.support.distance + self.claim.error <= SUPPORT * off):
            return False
        elsewhere = np.array([look(self.line, narrow, self.noise, t * self.support.step).derivative for t in ELSEWHERE])
        return bool(np.median(np.abs(elsewhere - closer.derivative)) <= 0.3 * off)


def size_of(block: Sequence[Found]) -> float:
    """What errors have to be small against: the size of the derivatives of a block or, where they vanish, close by."""
    here = max((found.least for found in block), default=0.0)
    nearby = max((found.steepest for found in block if found.most <= VANISHING * found.steepest), default=0.0)
    return here if here > VANISHING * nearby else nearby


def _same(a: Found, b: Found) -> bool:
    return abs(a.derivative - b.derivative) <= a.error + b.error


def _is_smooth(found: Found) -> bool:
    return found.obstacle not in (EDGE, KINK)
