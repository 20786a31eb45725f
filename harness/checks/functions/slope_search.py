"""The search for the step of a finite difference that decides about one reported derivative.

A wide stencil is blind to kinks, waves and poles within it. A narrow one drowns in noise, which grows as 1/h. Therefore

1. steps are tried from wide to narrow, and agreement within a small error bound decides at once;
2. a contradiction has to stand at a narrower step, too: |t - 1e-4| has the derivative -1 at 0, and a stencil of ±2⁻⁹
   sees both sides of its kink;
3. one that stands may be the work of jumps, scatter or waves in the cost (`rough_costs`), and then decides nothing;
4. where noise hides the derivative at the first step, wider ones are tried, as for 1e11 + sin t.

A close look is such a search, and another where more is known of the line than of all θ. The noise of a cost is
measured with all coordinates moved together. The line itself may be quieter, may bend at the scale of its own θ_i, or
may be one along which the cost rounds to a constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from harness.checks.functions.cost_noise import CostNear, noise_along, rounding_along
from harness.checks.functions.line_stencil import MOSTLY_NOISE, VANISHING, Obstacle, ReportedLine, StencilEstimate
from harness.checks.functions.rough_costs import CostJumps, is_mean_of_waves, is_of_scatter, is_slope_between_jumps
from reference.arithmetics.central_differences import NOISE_GAIN

WIDER_STEPS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""In units of the first step: tried where noise hides the derivative there. Two widths are shared with the last."""

WIDEST = 0.1
"""No wider steps than this, in units of a parameter: a stencil of ±0.4 shows little of the slope at its centre."""

FINEST = 2.0**-36
"""The narrowest step for a contradiction, as a share of |θ_i|. There θ_i ± h has lost two thirds of the digits of h."""

GLANCE_GAIN = 4.0  # noise of (f(h) - f(-h)) / 2h, in noises of a cost over h: one, with room

MOST_TRUNCATION = 4.0
"""The truncation h² f'''/6 of a glance is taken for 4 h² max(|f'|, |f''|). Where it is more, as for sin 50 t, a wrong
report still has to agree to six digits."""

UNSEEN = 1e-5
"""A cautious glance may be off by this share of the slope, as at sin 1000 t at 0, which bends nowhere near."""

VISIBLE = 1e-3  # narrower steps are tried until noise hides more than this share of the derivative

HIDDEN = 2.0  # an error bound of a difference that a rough cost explains, in units of its distance from the report

NOISE_OF_SMOOTH, NOISE_OF_ONE_SIDED = 3.0, 1e4
"""The confirming step leaves noise of one part in so many of the contradiction. One-sided slopes need more room, to
show whether they have a limit, as of t^1.5 at its edge, or none, as of t^0.5."""

LESS_NOISE = 8.0
"""Jumps are looked for with a step so many times the narrowest, where that shows the contradiction as well."""

BLIND = 0.1
"""A stencil that finds less than this share of the report may be too wide. A step of this share of |θ_i| decides."""

UNSURE = 2.0
"""A difference that decides nothing has to contradict by so many bounds, for its truncation may be small by chance."""

SAME_LIMIT = 1e-2
"""One-sided slopes at three steps have a limit if they differ by no more than this share. Those of t^0.5 grow."""

QUIETER = 0.1
"""A line that has at most this share of the noise is judged by its own noise. Two samples of one noise are closer."""

BELOW = 0.25  # steps of at most this share of |θ_i|: the stencil reaches four steps far, and so not beyond 0


class Seen(NamedTuple):
    """What the steps have shown so far."""

    best: StencilEstimate  # with the smallest error bound of those that contradict nothing
    steepest: float  # the largest slope within the first stencil
    met_edge: bool = False  # whether a stencil left the domain
    has_jumps: bool = False  # whether jumps of the cost explain a contradiction

    @property
    def found(self) -> StencilEstimate:
        """The best difference, with what hides the derivative where its error bound is large."""
        found = self.best._replace(steepest=self.steepest)
        if self.met_edge and found.obstacle in (Obstacle.NOISE, Obstacle.ROUGH):
            return found._replace(obstacle=Obstacle.EDGE)  # without the edge, wider steps would see over either
        return found._replace(obstacle=Obstacle.JUMPS) if self.has_jumps else found


@dataclass(frozen=True, eq=False)
class Search(ReportedLine):
    """The search for the step that decides about one reported derivative, along a line in θ."""

    indices: np.ndarray  # (m,), of the coordinates that move
    moves: np.ndarray  # (m,), how far they move for a step of 1
    steps: Sequence[float]  # from wide to narrow
    explains: bool = True  # whether a contradiction that stands is tried against what a rough cost explains

    def glance(self, step: float, *, cautiously: bool = False) -> StencilEstimate:
        """The difference of two costs at one narrow step, whose truncation is a guess.

        Cautiously, it takes in the slopes on both sides, and what a cost hides that bends at a hundredth of the scale.
        """
        centre, up, down = self.line(0.0), self.line(step), self.line(-step)
        noise = GLANCE_GAIN * self.noise.at(step, max(abs(up), abs(down))) / step
        slope, steepest = (up - down) / (2.0 * step), max(abs(up - centre), abs(centre - down)) / step
        bend = abs((up - centre) - (centre - down)) / step  # h |f''|; at a kink, the jump of the slope
        if not np.isfinite(bend):
            return StencilEstimate()
        truncation = MOST_TRUNCATION * step * max(step * abs(slope), bend)
        if cautiously:
            truncation += bend + UNSEEN * steepest
        return StencilEstimate(slope, noise + truncation, noise, steepest, Obstacle.NOISE)

    def confirms(self, found: StencilEstimate) -> bool:
        """Whether a difference shows what is reported, to nearly all digits."""
        return self._decides(found, found._replace(steepest=0.0)) and not self.reported.is_contradicted(found)

    def run(self) -> StencilEstimate:
        """The difference that decides; if none decides, the one with the smallest error bound.

        It contradicts the report only if that is wrong.
        """
        first = self.estimate(self.steps[0])
        steepest = first.steepest if np.isfinite(first.steepest) else 0.0
        seen = Seen(StencilEstimate(step=first.step), steepest)
        for step in self.steps:
            if step < first.step and self._drowns(seen, step):
                break
            found = self.estimate(step)
            if found.obstacle == Obstacle.EDGE:
                seen = seen._replace(met_edge=True)
            # jumps that explain what a wider step has shown explain narrower ones, too
            if self.reported.is_contradicted(found):
                seen = seen if seen.has_jumps else self._confirm(seen, found)
            elif found.error < seen.best.error and found.obstacle != Obstacle.EDGE:  # one side alone decides nothing
                seen = seen._replace(best=found)
            if self.reported.is_contradicted(seen.best):
                return seen.best
            if self._decides(seen.best, seen.found) and self._leaves_noise_alone(seen.best):
                return seen.found
        if first.noise > MOSTLY_NOISE * first.error:
            seen = self._look_wider(seen)
        return seen.found

    def undecided_by_jumps(self, found: StencilEstimate) -> StencilEstimate:
        """What was found, with an error bound that hides how far off the report is."""
        return found._replace(error=HIDDEN * self.reported.distance(found), obstacle=Obstacle.JUMPS)

    # -- one step ------------------------------------------------------------------------------------------------------

    def _decides(self, found: StencilEstimate, beside: StencilEstimate) -> bool:
        """Whether an error bound is small beside a derivative and its block's, or beside the report's own rounding."""
        size = max(self.reported.largest_in_block, derivative_size([beside]))
        room = self.reported.meaningful * size - self.reported.error
        return bool(np.isfinite(found.error) and found.error <= max(room, 0.1 * self.reported.error))

    def _leaves_noise_alone(self, found: StencilEstimate) -> bool:
        """Whether no narrower step would show more: noise explains the distance from the report, or most of the error.

        Elsewhere an error of the report may hide in the truncation, as one of 1e-7 in the slope of sin 100 t does at
        the first step that decides. Narrower steps do not have that.
        """
        return self.reported.excess(found) <= found.noise or found.noise > MOSTLY_NOISE * found.error

    def _drowns(self, seen: Seen, step: float) -> bool:
        """Whether noise leaves nothing to see at a step."""
        noise = NOISE_GAIN * self.noise.at(step, abs(self.line(0.0))) / step
        # the first stencil may have left the domain, and what is reported may be far too small
        size = max(self.reported.largest_in_block, seen.steepest, seen.best.at_least, seen.best.steepest)
        return noise > VISIBLE * size > 0.0 or (size == 0.0 and np.isfinite(seen.best.error))

    def _look_wider(self, seen: Seen) -> Seen:
        """What wider steps show, as long as each has a smaller error bound than the one before."""
        for step in (factor * self.steps[0] for factor in WIDER_STEPS if factor * self.steps[0] <= WIDEST):
            found = self.estimate(step)
            if not found.error < seen.best.error or found.obstacle == Obstacle.EDGE:
                return seen
            if self.reported.is_contradicted(found):
                seen = self._confirm(seen, found)
                if seen.has_jumps or self.reported.is_contradicted(seen.best):
                    return seen
                continue  # noise may hide it at the narrower step
            seen = seen._replace(best=found)
            if self._decides(found, seen.found):
                return seen
        return seen

    # -- confirming a contradiction ------------------------------------------------------------------------------------

    def _confirm(self, seen: Seen, wide: StencilEstimate) -> Seen:
        """What is known after a difference contradicts the report: it stands if two narrower steps show the same.

        Even then, a rough cost may explain it.
        """
        narrow = self.estimate(self._confirming_step(wide))
        if not self._repeats(seen, wide, narrow):
            return seen
        # a third step, since the wide one may be truncated and the narrow one noisy
        h = float(np.sqrt(wide.step * narrow.step)) if narrow.step < 0.25 * wide.step else 0.5 * narrow.step
        middle = self.estimate(2.0 ** np.floor(np.log2(h)))  # so that θ_i ± h is a number
        if _is_one_sided(wide) and not self._converges(seen, (wide, narrow, middle)):
            return seen
        two_sided = [each for each in (narrow, middle) if not _is_one_sided(each)]
        best = min([wide, *two_sided], key=lambda each: each.error)
        contradiction = seen._replace(best=best._replace(steepest=max(seen.steepest, best.steepest)))
        if not self.explains:
            return contradiction
        # a power of two, so that other contradictions on the line need the same costs
        finest = float(2.0 ** np.ceil(np.log2(narrow.step)))
        if self._has_jumps(seen, narrow, middle, finest):
            # a search at the scale of θ_i goes on from the step that jumps do not hide
            hidden = self.undecided_by_jumps(narrow)._replace(step=seen.best.step)
            return seen._replace(best=hidden, has_jumps=True)
        is_rough = not _is_one_sided(best) and (
            is_of_scatter(self, wide, best, finest) or is_mean_of_waves(self.reported, best)
        )
        return seen if is_rough else contradiction

    def _has_jumps(self, seen: Seen, narrow: StencilEstimate, middle: StencilEstimate, finest: float) -> bool:
        """Whether jumps of the cost explain a contradiction that a narrow step shows."""
        shown, h = narrow, finest
        # where the middle step shows the contradiction, too, a wider h leaves less noise and takes fewer calls
        if middle.step > narrow.step and self._repeats(seen, narrow, middle):
            shown, h = middle, float(2.0 ** np.ceil(np.log2(min(LESS_NOISE * narrow.step, middle.step))))
        return CostJumps(self.reported, self.line, self.noise, self.reported.distance(shown), h, finest).explain_gap()

    def _repeats(self, seen: Seen, found: StencilEstimate, other: StencilEstimate) -> bool:
        """Whether another difference contradicts the report as well, and agrees with the one found before."""
        # the error bound of a kink is its jump, and not uncertain
        is_sure = self._decides(other, seen.found) or np.isfinite(other.slopes).all()
        is_contradicted = self.reported.is_contradicted(other, 1.0 if is_sure else UNSURE)
        return is_contradicted and abs(other.derivative - found.derivative) <= other.error + found.error

    def _confirming_step(self, wide: StencilEstimate) -> float:
        """The narrowest step at which noise leaves enough of the contradiction; at most half of the wide one.

        With d the distance from the report, noise of a third of d is left at h = 3 · 6 noise / d.
        """
        reported, half = self.reported, 0.5 * wide.step
        off = reported.excess(wide)
        noise = self.noise.at(half, abs(self.line(0.0)))
        room = NOISE_OF_ONE_SIDED if _is_one_sided(wide) else NOISE_OF_SMOOTH
        narrowest = room * NOISE_GAIN * noise / off if np.isfinite(off) else 0.1 * wide.step
        if abs(wide.derivative) < BLIND * abs(reported.derivative) < np.inf:
            narrowest = min(narrowest, BLIND * reported.own_scale)
        return min(max(narrowest, min(self.steps[-1], FINEST * reported.own_scale)), half)

    def _converges(self, seen: Seen, looks: Sequence[StencilEstimate]) -> bool:
        """Whether one-sided slopes have a limit, up to noise: towards the end of a domain they may grow without one."""
        spread = np.ptp([each.derivative for each in looks])
        size = max(abs(each.derivative) for each in looks)
        is_small = spread <= SAME_LIMIT * max(size, seen.steepest) or spread <= looks[1].noise
        return bool(is_small) and all(each.obstacle == looks[0].obstacle for each in looks)


class LineSlope(NamedTuple):
    """What was found along a line."""

    search: Search
    found: StencilEstimate
    is_clear: bool = False  # whether a glance confirms what is reported, or the cost is flat

    @property
    def is_wrong(self) -> bool:
        """Whether the difference contradicts the reported derivative."""
        return self.search.reported.is_contradicted(self.found)


def found_alone(lines: Sequence[LineSlope]) -> dict[int, StencilEstimate]:
    """The partial derivatives in coordinates that moved alone."""
    alone = [each for each in lines if len(each.search.indices) == 1]
    return {int(each.search.indices[0]): each.found.scaled(1.0 / each.search.moves[0]) for each in alone}


def derivative_size(block: Sequence[StencilEstimate]) -> float:
    """The size beside which errors in a block have to be small: that of its largest derivative.

    Where derivatives vanish, as at a minimum, the largest slope within the stencil takes their place.
    """
    here = max((found.at_least for found in block), default=0.0)
    nearby = max((found.steepest for found in block if found.vanishes), default=0.0)
    return here if here > VANISHING * nearby else nearby


def _is_one_sided(found: StencilEstimate) -> bool:
    return found.obstacle in (Obstacle.EDGE, Obstacle.KINK)


# -- a close look at one line ------------------------------------------------------------------------------------------


def look_closely(near: CostNear, search: Search, *, explains: bool = True) -> LineSlope:
    """The difference at the step that decides; `explains` says whether a rough cost may explain a contradiction."""
    search = replace(search, noise=near.noise, explains=explains)
    found = search.run()
    for refine in (_with_own_noise, _at_own_scale, _with_rounding):
        if better := refine(near, search, found):
            search, found = better, better.run()
    if explains and search.reported.is_contradicted(found) and is_slope_between_jumps(search, found):
        found = search.undecided_by_jumps(found)
    # a cost may be constant along each coordinate and not along a direction, as a median of ties
    is_flat = found.derivative == 0.0 and found.obstacle != Obstacle.KINK
    return LineSlope(search, found, is_flat and not search.reported.is_contradicted(found))


def _with_own_noise(near: CostNear, search: Search, found: StencilEstimate) -> Search | None:
    """The search with the noise of the line itself, where that may be much smaller than that of all θ.

    In sin t₀ + floor(1e6 t₁) the jumps of one coordinate pass for noise of both. They hide the derivative in t₀, or
    make its steps so wide that they see over what the cost does.
    """
    first, scale = near.probes.steps[0], search.reported.own_scale
    noise = search.noise.at(first)
    is_in_doubt = found.noise > MOSTLY_NOISE * found.error or search.reported.is_contradicted(found)
    if len(search.indices) > 1 or near.is_rounding(noise) or not is_in_doubt:
        return None
    own = _measured_on_line(near, search, scale if np.isfinite(scale) else 1.0)
    return own if own.noise.at(first) < QUIETER * noise else None


def _at_own_scale(near: CostNear, search: Search, found: StencilEstimate) -> Search | None:
    """The search with steps below |θ_i|, where a derivative that seems to vanish may be known better there.

    (t / 1e-8)⁴ at 1e-9 has a slope of 4e5 at θ, and of 1e24 at the first step: beside that, any error is small.
    """
    scale = search.reported.own_scale
    steps = [each for each in search.steps if each <= BELOW * scale]
    if search.reported.is_contradicted(found) or not found.vanishes or not steps or steps[0] >= found.step:
        return None
    if NOISE_GAIN * search.noise.near >= found.error * steps[0]:  # noise alone is as large there
        return None
    reached = replace(search, noise=search.noise._replace(reach=steps[0]), steps=steps)
    return _measured_on_line(near, reached, scale)


def _measured_on_line(near: CostNear, search: Search, size: float) -> Search:
    """The search with the noise of its own line, on which θ has some size."""
    precise = near.precise and near.precise.line(search.indices, search.moves)
    return replace(search, noise=noise_along(search.line, precise, size, search.noise, near.probes.unit))


def _with_rounding(near: CostNear, search: Search, found: StencilEstimate) -> Search | None:
    """The search with the noise of a cost that rounds to a constant, where that contradicts the report.

    1 - tanh t is 0.0 all about 25. So its scatter is 0, and its differences seem to be exact.
    """
    if not search.reported.is_contradicted(found):
        return None
    size = float(np.max(near.probes.units[search.indices]))
    noise = rounding_along(search.line, search.noise, size, near.probes.unit)
    return None if noise == search.noise else replace(search, noise=noise)
