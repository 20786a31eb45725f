"""The search for the step of a finite difference that decides about one reported derivative.

A wide stencil is blind to kinks, wiggles and poles that lie within it; a narrow one drowns in noise. So agreement at a
step whose error bound is small enough decides at once. A contradiction has to be confirmed at the narrowest step at
which noise leaves anything to see of it. Where noise hides the derivative at the first step, wider steps are tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.checks.functions.line_stencil import (
    MOSTLY_NOISE,
    VANISHING,
    Estimate,
    Line,
    Noise,
    Obstacle,
    ReportedSlope,
    estimate,
    scatter_of,
)
from harness.checks.functions.rough_costs import TREAD, Contradiction, is_slope_between_jumps
from reference.arithmetics.central_differences import NOISE_GAIN

WIDER_STEPS = (8.0, 32.0)
"""In units of the first step: tried where noise hides the derivative at the first, as with a large constant in it."""

WIDEST = 0.1
"""No wider steps than this: the costs of one stencil would have little to do with each other."""

FINEST = 2.0**-36
"""The narrowest step at which a contradiction has to be confirmed, as a share of θ."""

GLANCE_GAIN = 4.0
"""The noise of (f(h) - f(-h)) / 2h is one noise over h; with room."""

MOST_BEND = 16.0
"""Where the slope changes within a first look by a larger share of itself, in steps, there may be a kink."""

SHRUNK = 0.6
"""At half of the step the change is half as large without a kink."""

MOST_TRUNCATION = 4.0
"""The truncation is taken to be this multiple of the slope, or of the second derivative, times the step squared."""

VISIBLE = 1e-3
"""Narrower steps are tried until noise hides more than this share of the derivative."""

HIDDEN = 2.0
"""Jumps that make up what a slope lacks to half of it may hide so many times as much."""

NOISE_OF_SMOOTH, NOISE_OF_ONE_SIDED = 3.0, 1e4
"""The confirming step leaves noise of one part in so many of the contradiction; one-sided slopes need more room."""


class Seen(NamedTuple):
    """What the steps have shown so far."""

    best: Estimate = Estimate()  # with the smallest error bound that contradicts nothing
    step: float = 0.0  # of that
    steepest: float = 0.0  # the largest slope within the widest stencil
    met_edge: bool = False  # whether a stencil left the domain
    has_jumps: bool = False  # whether the cost climbs by jumps
    is_staircase: bool = False  # whether it is constant between these jumps

    @property
    def found(self) -> Estimate:
        """The best difference, with what hides the derivative where its error bound is large."""
        found = self.best._replace(steepest=self.steepest)
        if self.met_edge and found.obstacle in (Obstacle.NOISE, Obstacle.ROUGH):  # wider steps would see over it
            return found._replace(obstacle=Obstacle.EDGE)
        return found._replace(obstacle=Obstacle.JUMPS) if self.has_jumps else found


@dataclass(frozen=True)
class Search:
    """The search for the step that decides about one reported derivative."""

    reported: ReportedSlope
    line: Line
    noise: Noise
    steps: Sequence[float]  # from wide to narrow
    has_jumps: bool = False  # whether the cost is known to climb by jumps
    doubts_itself: bool = True  # whether a contradiction is tried beside its step, and over jumps

    def glance(self, step: float) -> Estimate | None:
        """The central difference at one narrow step if nearly all its digits were reported, up to the noise; else None.

        Where so many digits agree, a guess of the truncation error is enough. What is reported on a kink may be just
        between both sides: second differences show the kink.
        """
        centre, up, down = self.line(0.0), self.line(step), self.line(-step)
        noise = GLANCE_GAIN * self.noise.at(step, max(abs(up), abs(down))) / step
        slope, steepest = (up - down) / (2.0 * step), max(abs(up - centre), abs(centre - down)) / step
        bend = abs((up - centre) - (centre - down)) / step
        truncation = MOST_TRUNCATION * step * max(step * abs(slope), bend)
        found = Estimate(slope, noise + truncation, noise, steepest, Obstacle.NOISE)
        is_clear = np.isfinite([up, down]).all() and self._decides(Seen(best=found), found)
        is_right = is_clear and not self.reported.is_contradicted(found)
        return found if is_right and not self._may_have_kink(step, bend, noise) else None

    def _may_have_kink(self, step: float, bend: float, noise: float) -> bool:
        """Whether the slopes on both sides differ by more than noise, and as much at half of the step."""
        if bend <= noise + min(MOST_BEND * step, 1e-2) * max(
            abs(self.reported.derivative), 0.1 * self.reported.largest_in_block
        ):
            return False
        half, centre = 0.5 * step, self.line(0.0)
        narrow = abs((self.line(half) - centre) - (centre - self.line(-half))) / half
        return not narrow + 4.0 * noise <= SHRUNK * bend

    def settle(self) -> tuple[Estimate, Seen]:
        """The difference at the step that decides; if none decides, the best one."""
        seen = Seen(step=self.steps[0], has_jumps=self.has_jumps)
        first = None
        for step in self.steps:
            if self._drowns(seen, step):
                break
            found, seen = self._look(seen, step)
            first = first or found
            is_hidden = seen.has_jumps and not self.has_jumps  # by jumps that a wider step has shown
            if self.reported.is_contradicted(found) and not is_hidden:
                confirmed, seen = self._confirm(seen, found, step)
                if confirmed:
                    return confirmed, seen
            if seen.is_staircase:
                return seen.found, seen
            seen = self._keep(seen, found, step)
            if self._decides(seen, seen.best) and self._is_explained(seen.best):
                return seen.found, seen
        if first is not None and first.noise > MOSTLY_NOISE * first.error:
            seen = self._look_wider(seen)
        return seen.found, seen

    def over_jumps(self) -> "Search":
        """The same search with wide steps alone, and the height of the jumps for noise."""
        height = scatter_of(np.array([self.line(0.25 * k * TREAD) for k in range(-4, 5)]))
        noise = self.noise._replace(near=height, far=height)
        steps = [*reversed(self._wider_steps()), self.steps[0]]
        return Search(self.reported, self.line, noise, steps, has_jumps=True)

    def hide_behind_jumps(self, found: Estimate) -> Estimate:
        """What was found, hidden by jumps if it contradicts a report that is the slope between these."""
        if not (self.doubts_itself and self.reported.is_contradicted(found)):
            return found
        return self._hidden(found) if is_slope_between_jumps(self.reported, self.line, self.noise, found) else found

    def _hidden(self, found: Estimate) -> Estimate:
        """A difference that jumps explain."""
        return found._replace(error=HIDDEN * self.reported.distance(found), obstacle=Obstacle.JUMPS)

    # -- one step ------------------------------------------------------------------------------------------------------

    def _look(self, seen: Seen, step: float) -> tuple[Estimate, Seen]:
        found = estimate(self.line, step, self.noise)
        if np.isfinite(found.steepest) and step == self.steps[0]:
            seen = seen._replace(steepest=max(seen.steepest, found.steepest))
        return found, seen

    def _keep(self, seen: Seen, found: Estimate, step: float) -> Seen:
        """What is known after one more step."""
        if found.obstacle == Obstacle.EDGE:  # one side alone decides nothing
            found, seen = Estimate(obstacle=Obstacle.EDGE), seen._replace(met_edge=True)
        if self.reported.is_contradicted(found):
            return seen
        if found.error < seen.best.error:
            return seen._replace(best=found, step=step)
        if not np.isfinite(seen.best.error):
            return seen._replace(best=seen.best._replace(obstacle=found.obstacle))
        return seen

    def _decides(self, seen: Seen, found: Estimate) -> bool:
        """Whether an error bound is small compared with the derivatives of the block."""
        size = max(self.reported.largest_in_block, derivative_size([seen.found]))
        room = self.reported.meaningful * size - self.reported.error
        return np.isfinite(found.error) and found.error <= max(room, 0.1 * self.reported.error)

    def _is_explained(self, found: Estimate) -> bool:
        """Whether noise explains the distance from what is reported, or is most of the error at any narrower step."""
        off = self.reported.distance(found) - self.reported.error - self.reported.accepted
        return off <= found.noise or found.noise > MOSTLY_NOISE * found.error

    def _drowns(self, seen: Seen, step: float) -> bool:
        """Whether noise leaves nothing to see at a step narrower than the first."""
        if step >= self.steps[0]:
            return False
        noise = NOISE_GAIN * self.noise.at(step, abs(self.line(0.0))) / step
        size = max(self.reported.largest_in_block, seen.steepest, seen.best.at_least)
        return noise > VISIBLE * size > 0.0 or (size == 0.0 and np.isfinite(seen.best.error))

    def _wider_steps(self) -> list[float]:
        return [factor * self.steps[0] for factor in WIDER_STEPS if factor * self.steps[0] <= WIDEST]

    def _look_wider(self, seen: Seen) -> Seen:
        """What wider steps show, as long as each has a smaller error bound than the one before."""
        for step in self._wider_steps():
            found, seen = self._look(seen, step)
            if not found.error < seen.best.error or found.obstacle == Obstacle.EDGE:
                return seen
            if self.reported.is_contradicted(found):
                confirmed, seen = self._confirm(seen, found, step)
                return seen._replace(best=confirmed or seen.best)
            seen = seen._replace(best=found, step=step)
            if self._decides(seen, found):
                return seen
        return seen

    # -- confirming a contradiction ------------------------------------------------------------------------------------

    def _confirm(self, seen: Seen, found: Estimate, step: float) -> tuple[Estimate | None, Seen]:
        """The contradiction at a step if a narrower one shows the same, else None; and whether the cost has jumps."""
        narrow = self._confirming_step(found, step)
        closer, seen = self._look(seen, narrow)
        # an error bound that decides nothing may be too small by chance; that of a kink is its jump
        factor = 1.0 if self._decides(seen, closer) or np.isfinite(closer.slopes).all() else 2.0
        is_confirmed = _is_same(closer, found) and self.reported.is_contradicted(closer, factor)
        if not is_confirmed:
            return None, seen
        middle = float(np.sqrt(step * narrow)) if narrow < 0.25 * step else 0.5 * narrow
        middle = 2.0 ** np.floor(np.log2(middle))  # so that θ_i ± h is a number
        between = estimate(self.line, middle, self.noise)
        if found.obstacle in (Obstacle.EDGE, Obstacle.KINK) and not self._converges(seen, (found, closer, between)):
            return None, seen
        looks = (closer, narrow), (between, middle)
        kept = 2.0 ** np.ceil(np.log2(narrow))  # so that other contradictions on the line need the same costs
        rough = Contradiction(self.reported, self.line, self.noise, step, kept, closer)
        is_staircase = rough.is_of_a_staircase()
        if is_staircase or (self.doubts_itself and rough.is_of_jumps()):
            return None, seen._replace(best=self._hidden(closer), has_jumps=True, is_staircase=is_staircase)
        best, at = min(
            [(found, step), *(each for each in looks if _is_smooth(each[0]))], key=lambda each: each[0].error
        )
        doubts = self.doubts_itself and _is_smooth(best)
        if doubts and (rough.is_of_scatter(found, at) or rough.is_of_a_mean(best, at)):
            return None, seen
        return best._replace(steepest=max(seen.steepest, best.steepest)), seen

    def _confirming_step(self, found: Estimate, step: float) -> float:
        """The step at which noise is a third of the contradiction; narrower if the report is of a finer structure."""
        reported = self.reported
        off = reported.distance(found) - reported.error - reported.accepted  # what its rounding does not explain
        noise = self.noise.at(0.5 * step, abs(self.line(0.0)))
        room = NOISE_OF_SMOOTH if _is_smooth(found) else NOISE_OF_ONE_SIDED
        narrowest = room * NOISE_GAIN * noise / off if np.isfinite(off) else 0.1 * step
        if abs(found.derivative) < 0.1 * abs(reported.derivative) < np.inf:  # as if the stencil did not see it at all
            narrowest = min(narrowest, 0.1 * reported.own_scale)
        return min(max(narrowest, min(self.steps[-1], FINEST * reported.own_scale)), 0.5 * step)

    def _converges(self, seen: Seen, looks: Sequence[Estimate]) -> bool:
        """Whether a one-sided slope has a limit: towards the end of a domain it may grow without one."""
        spread = np.ptp([each.derivative for each in looks])
        size = max(abs(each.derivative) for each in looks)
        is_small = spread <= 1e-2 * max(size, seen.steepest) or spread <= looks[1].noise
        return bool(is_small) and all(each.obstacle == looks[0].obstacle for each in looks)


def derivative_size(block: Sequence[Estimate]) -> float:
    """The size with which errors in a block are compared: that of its derivatives, or of those nearby if these vanish.

    Where derivatives vanish, as at a minimum, the largest slope within the stencil takes their place.
    """
    here = max((found.at_least for found in block), default=0.0)
    nearby = max((found.steepest for found in block if found.vanishes), default=0.0)
    return here if here > VANISHING * nearby else nearby


def _is_same(a: Estimate, b: Estimate) -> bool:
    return abs(a.derivative - b.derivative) <= a.error + b.error


def _is_smooth(found: Estimate) -> bool:
    return found.obstacle not in (Obstacle.EDGE, Obstacle.KINK)
