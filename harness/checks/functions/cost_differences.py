"""Finite differences of a user's cost, along coordinates and along random directions in groups of them.

A glance at a line takes two costs. A reported derivative that agrees with it to the digits that noise leaves is right.
Where that leaves doubt, the line is looked at closely, at several step sizes (`slope_search`). The lines that seem
farthest off come first. Once some of a block are wrong for certain, a hasty look is enough for the others of it, if a
close look along all of them together bears out what it shows.

Few parameters are differenced one by one. Many are differenced in groups, each along a random direction of its own, so
that every coordinate is seen. The coordinates of a group that contradicts the gradient are differenced one by one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from harness.bounds.tolerances import LONGEST, MEANINGLESS, SINGLED_OUT
from harness.checks.functions.cost_noise import CostNear, noise_along, rounding_along
from harness.checks.functions.cost_probe import Probes
from harness.checks.functions.gradient_rounding import gradient_near
from harness.checks.functions.line_stencil import MOSTLY_NOISE, Line, Obstacle, ReportedSlope, StencilEstimate, estimate
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.slope_search import LineSlope, Search
from harness.checks.random_directions import random_directions
from harness.verdict.comparison import Answer
from harness.verdict.wrong_part import SHARP, SHARP_ENOUGH
from reference.arithmetics.central_differences import NOISE_GAIN
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

PARTS = 8
"""A large group that is wrong is split into so many, until its wrong coordinates can be differenced one by one."""

CONVINCING = 2
"""After so many wrong lines of a block the verdict is certain. The others of it are only wanted for the diagnosis, for
which a hasty look is enough, as a glance or a search that does not ask what a rough cost may explain."""

DECEIVED = 2.0
"""A line is wrong if what a hasty look finds it off is so many times what may have deceived those at all lines."""

FEW = 32
"""Up to so many suspects are differenced one by one without splitting their group further. After so many close looks at
a block, a glance need not be as sharp as the closest diagnosis wants it."""

NOISIER = 100.0
"""Noise above so many roundings of the cost is no rounding. It may be the work of one coordinate, whose jumps or waves
do not disturb the others."""

QUIETER = 0.1
"""A line that has at most this share of the noise is judged by its own noise. Two samples of one noise are closer."""

BELOW = 0.25
"""Steps of at most this share of |θ_i|: the stencil reaches four steps far, and so not beyond 0."""

TOGETHER = 0.5 ** np.arange(40)
"""Steps in all coordinates at once, in units of the first step in one. At that, truncation is mostly larger than noise.
Each takes two more costs, since its stencil shares the others with the step before."""

ACROSS_KINKS = 3
"""So many random directions show whether the slopes at kinks that meet belong together."""

AT_ONCE = (2.0**-36, 2.0**-32)
"""Steps near and far: a cost that is continuous changes by h over them, 16 times less over the first. One that jumps at
θ changes by its jump over both."""


@dataclass(frozen=True, eq=False)
class Differences:
    """Differences of a cost, compared with the reported derivatives."""

    layout: TreeLayout
    near: CostNear  # the cost and its noise
    reported: Answer  # the gradient that is checked

    @property
    def probes(self) -> Probes:
        """The cost at points near θ."""
        return self.near.probes

    @cached_property
    def units(self) -> np.ndarray:
        """(n,), how far each coordinate moves for a step of 1: powers of two, so that θ_i ± h is a number."""
        return 2.0 ** np.ceil(np.log2(np.maximum(np.abs(self.probes.theta), 1.0)))

    @cached_property
    def _sizes(self) -> np.ndarray:
        return self.layout.largest_in_block(self.reported.gradient)

    @cached_property
    def _blocks(self) -> np.ndarray:
        """(n,), the number of the block that each coordinate belongs to."""
        lengths = [block.indices.size for block in self.layout.blocks]
        return np.repeat(np.arange(len(lengths)), lengths)

    # -- which lines ---------------------------------------------------------------------------------------------------

    def one_by_one(self, chosen: np.ndarray, *, closely: bool = False) -> list[LineSlope]:
        """Differences along the chosen coordinates, as far as the budget goes."""
        lines = [(np.array([i]), self.units[[i]]) for i in chosen.tolist()]
        return self._along("coordinates", lines, closely=closely)

    def in_groups(self, parts: Sequence[np.ndarray], *, closely: bool = False) -> list[LineSlope]:
        """Differences along a random direction in each group of coordinates, as far as the budget goes."""
        lines = [(indices, _random_direction(indices) * self.units[indices]) for indices in parts]
        return self._along("groups", lines, closely=closely)

    def single_out(self, wrong: Sequence[LineSlope], seed: int = 0) -> list[LineSlope]:
        """The coordinates of wrong groups, one by one; if there are too many, a sample from each block."""
        suspects = np.concatenate(self._narrow_down([group.search.indices for group in wrong]))
        if suspects.size > SINGLED_OUT:
            rng = np.random.default_rng(seed)
            numbers = self._blocks[suspects]
            blocks = [suspects[numbers == number] for number in np.unique(numbers)]
            share = max(SINGLED_OUT // len(blocks), 4)
            suspects = np.concatenate([rng.permutation(part)[:share] for part in blocks])
        return self.one_by_one(np.sort(suspects))

    def _narrow_down(self, wrong: list[np.ndarray]) -> list[np.ndarray]:
        """Large wrong groups split, as long as most of their parts turn out to be right."""
        while wrong and sum(map(len, wrong)) > FEW and len(wrong) * PARTS <= SINGLED_OUT:
            parts = [part for indices in wrong for part in np.array_split(indices, PARTS) if part.size]
            still_wrong = [group.search.indices for group in self.in_groups(parts) if group.is_wrong]
            # errors that cancel in all parts, or are everywhere: splitting on would find nothing, or everything
            if not still_wrong or 2 * len(still_wrong) > len(parts):
                return still_wrong or wrong
            wrong = still_wrong
        return wrong

    def largest_of_blocks(self) -> np.ndarray:
        """The coordinate with the largest reported derivative in each block: it is the measure of errors."""
        sizes = np.abs(np.nan_to_num(self.reported.gradient, posinf=0.0, neginf=0.0))
        blocks = [block.indices for block in self.layout.blocks if block.indices.size]
        return np.array([indices[np.argmax(sizes[indices])] for indices in blocks])

    def parts(self, count: int) -> Iterator[np.ndarray]:
        """About so many groups, each of coordinates of one block, unless there are more blocks than groups."""
        blocks = [block.indices for block in self.layout.blocks if block.indices.size]
        if len(blocks) > count:
            yield from np.array_split(np.concatenate(blocks), count)
            return
        for indices in blocks:
            yield from np.array_split(indices, max(1, round(count * len(indices) / self.layout.size)))

    @np.errstate(all="ignore")
    def together(self, clear: np.ndarray) -> LineSlope | None:
        """The difference along a random direction in all coordinates that single lines left `clear`.

        It is sharper than a glance, and shows errors that are too small for one, and a cost that has no gradient. None
        where no line is left, or nothing of the budget.
        """
        if self.probes.budget.is_spent or not clear.size:
            return None
        # along the gradient, so that errors of a factor add up and do not cancel
        signs = np.where(self.reported.gradient[clear] < 0.0, -1.0, 1.0)
        search = self._search(clear, signs * np.abs(_random_direction(clear)) * self.units[clear])
        found, _ = replace(search, steps=(TOGETHER * search.steps[0]).tolist()).run()
        return self._look_closely(search) if search.reported.is_contradicted(found) else LineSlope(search, found)

    def jumps_together(self, alone: Sequence[LineSlope]) -> bool:
        """Whether the cost jumps at θ in a random direction, and not in any coordinate, as x y / (x² + y²) does at 0.

        There it has partial derivatives, and is not continuous. It is asked only where single lines are much quieter
        than all coordinates together, as they are then.
        """
        noise = sum(each.search.noise.near for each in alone)
        if len(alone) < self.layout.size or not noise < QUIETER * self.near.noise_at_theta.near:
            return False
        indices = np.arange(self.layout.size)
        line = self.probes.line(indices, _random_direction(indices) * self.units)
        jumps = [[abs(line(side * at) - line(0.0)) for at in AT_ONCE] for side in (1.0, -1.0)]
        return all(noise < QUIETER * far and near > 0.5 * far for near, far in jumps)

    @np.errstate(all="ignore")
    def across_kinks(self, indices: np.ndarray) -> Iterator[LineSlope]:
        """The differences along directions in coordinates that sit on kinks: by the same step in all, and at random."""
        unit = min(1.0, LONGEST / np.sqrt(len(indices))) * float(np.min(self.units[indices]))
        random = random_directions(ACROSS_KINKS, len(indices), seed=len(indices))
        for direction in (np.ones(len(indices)), *random):
            if not self.probes.budget.is_spent:
                yield self._look_closely(self._search(indices, unit * direction))

    # -- along lines ---------------------------------------------------------------------------------------------------

    @np.errstate(all="ignore")
    def _along(self, what: str, lines: Sequence[tuple[np.ndarray, np.ndarray]], *, closely: bool) -> list[LineSlope]:
        """The differences along lines, each of some indices and moves, in this order, as far as the budget goes."""
        budget, found, doubtful = self.probes.budget, {}, []
        glances, step = self._is_quiet and not closely, self.probes.glance
        for number, line in enumerate(lines):
            if budget.is_spent:
                break
            self.probes.progress(what, number, len(lines))
            search = self._search(*line)
            first = search.glance(step) if glances else StencilEstimate()
            if search.confirms(first):
                found[number] = LineSlope(search, first, is_clear=True)
            else:
                doubtful.append((number, search, first))
        looks, wrong, hasty = Counter[int](), defaultdict[int, list[int]](list), defaultdict[int, list[int]](list)
        for number, search, _ in sorted(doubtful, key=_how_far_off, reverse=True):
            if budget.is_spent:
                break
            block = int(self._blocks[search.indices[0]])
            is_certain = len(wrong[block]) >= CONVINCING
            cautious = search.glance(step, cautiously=True) if glances and is_certain else StencilEstimate()
            sharp = SHARP if looks[block] < FEW else SHARP_ENOUGH
            if search.reported.is_contradicted(cautious, 1.0 / sharp):
                found[number] = LineSlope(search, cautious)
            else:
                found[number] = self._look_closely(search, explains=not is_certain)
                looks[block] += 1
            if found[number].is_wrong:
                (hasty if is_certain else wrong)[block].append(number)
        for numbers in hasty.values():
            found |= self._bear_out({number: found.pop(number) for number in numbers})
        return [found[number] for number in sorted(found)]

    def _bear_out(self, blamed: Mapping[int, LineSlope]) -> dict[int, LineSlope]:
        """The lines that were blamed in haste, as far as a close look along all of them agrees; the others closely.

        A hasty look is deceived by jumps, and by a cost that is odd about θ, as sin 10⁵ t is at 0. It then finds right
        lines off. All move so that what they seem to be off by adds up, and so does what they are deceived by.
        """
        if self.probes.budget.is_spent:
            return {}
        lines = blamed.values()
        slopes = np.array([each.found.derivative for each in lines])
        off = np.array([each.search.reported.derivative for each in lines]) - slopes
        weights = np.copysign(_random_direction(np.arange(len(lines))), off)
        indices = np.concatenate([each.search.indices for each in lines])
        moves = np.concatenate([weight * each.search.moves for weight, each in zip(weights, lines)])
        together = self._look_closely(self._search(indices, moves))
        # wide steps see over jumps, between which narrow ones are deceived as hasty looks are
        wide = [estimate(together.search.line, step, together.search.noise) for step in self.probes.steps[:2]]
        looks = together.found, min(wide, key=lambda each: each.error)
        deceived = max(abs(each.derivative - weights @ slopes) + each.error for each in looks)
        sizes = zip(blamed, np.abs(weights * off))
        found = {each: blamed[each] for each, most in sizes if together.is_wrong and not most <= DECEIVED * deceived}
        left = [number for number in blamed if number not in found]
        if len(left) > FEW:
            for part in np.array_split(left, PARTS):
                found |= self._bear_out({number: blamed[number] for number in part.tolist()})
            return found
        for number in left:
            if not self.probes.budget.is_spent:
                found[number] = self._look_closely(blamed[number].search)
        return found

    @cached_property
    def _is_quiet(self) -> bool:
        """Whether noise is rounding. Else it may be the work of some coordinates, and a glance would blame all."""
        noise = self.near.noise_at_theta
        most = NOISIER * noise.relative
        return noise.near <= most * abs(self.probes.base) or noise.near <= most * self.near.ordinary

    def _search(self, indices: np.ndarray, moves: np.ndarray) -> Search:
        """What is reported along a line, and the cost there."""
        gradient, is_float64 = gradient_near(self.probes.user), self.probes.unit <= UNIT_ROUNDOFF["float64"]
        sizes, units = self._sizes[indices], self.units[indices]
        own = np.abs(self.probes.theta[indices]) / units
        reported = ReportedSlope(
            derivative=float(moves @ self.reported.gradient[indices]),
            error=float(np.abs(moves) @ self.reported.error[indices]),
            largest_in_block=float(np.max(sizes * units)),
            meaningful=max(MEANINGLESS["float64" if is_float64 else "float32"], self.reported.accuracy),
            own_scale=float(own[0]) if len(indices) == 1 and own[0] else np.inf,
            accepted=self.reported.accuracy * _add_up(moves * sizes),
            slope_at=cache(lambda t: float(moves @ gradient(self.probes.moved(indices, t * moves))[indices])),
        )
        line = self.probes.line(indices, moves)
        # the noise at θ is enough for a glance, and that farther away takes calls
        return Search(indices, moves, reported, line, self.near.noise_at_theta, self.probes.steps)

    # -- one line, closely ---------------------------------------------------------------------------------------------

    def _look_closely(self, search: Search, *, explains: bool = True) -> LineSlope:
        """The difference at the step that decides, searched again where more is known of the line than of all θ."""
        search = replace(search, noise=self.near.noise, explains=explains)
        found, step = search.run()
        for refine in (self._with_own_noise, self._at_own_scale, self._with_rounding):
            if better := refine(search, found, step):
                search, (found, step) = better, better.run()
        found = search.hide_behind_jumps(found)
        # a cost may be constant along each coordinate and not along a direction, as a median of ties
        is_flat = found.derivative == 0.0 and found.obstacle != Obstacle.KINK
        return LineSlope(search, found, is_flat and not search.reported.is_contradicted(found))

    def _with_own_noise(self, search: Search, found: StencilEstimate, _: float) -> Search | None:
        """The search with the noise of the line itself, where that may be much smaller than that of all θ.

        In sin t₀ + floor(1e6 t₁) the jumps of one coordinate pass for noise of both. They hide the derivative in t₀, or
        make its steps so wide that they see over what the cost does.
        """
        noise = search.noise.at(self.probes.steps[0])
        is_rounding = noise <= NOISIER * search.noise.relative * abs(self.probes.base)
        is_hidden = found.noise > MOSTLY_NOISE * found.error
        if len(search.indices) > 1 or is_rounding or not (search.reported.is_contradicted(found) or is_hidden):
            return None
        size = search.reported.own_scale if np.isfinite(search.reported.own_scale) else 1.0
        own = noise_along(search.line, self._precise_line(search), size, search.noise, self.probes.unit)
        return replace(search, noise=own) if own.at(self.probes.steps[0]) < QUIETER * noise else None

    def _at_own_scale(self, search: Search, found: StencilEstimate, step: float) -> Search | None:
        """The search with steps below |θ_i|, where a derivative that seems to vanish may be known better there.

        (t / 1e-8)⁴ at 1e-9 has a slope of 4e5 at θ, and of 1e24 at the first step: beside that, any error is small.
        """
        scale = search.reported.own_scale
        steps = [each for each in search.steps if each <= BELOW * scale]
        if search.reported.is_contradicted(found) or not found.vanishes or not steps or steps[0] >= step:
            return None
        if NOISE_GAIN * search.noise.near >= found.error * steps[0]:  # noise alone is as large there
            return None
        reached = search.noise._replace(reach=steps[0])
        noise = noise_along(search.line, self._precise_line(search), scale, reached, self.probes.unit)
        return replace(search, noise=noise, steps=steps)

    def _with_rounding(self, search: Search, found: StencilEstimate, _: float) -> Search | None:
        """The search with the noise of a cost that rounds to a constant, where that contradicts the report.

        1 - tanh t is 0.0 all about 25. So its scatter is 0, and its differences seem to be exact.
        """
        if not search.reported.is_contradicted(found):
            return None
        size = float(np.max(self.units[search.indices]))
        noise = rounding_along(search.line, search.noise, size, self.probes.unit)
        return None if noise == search.noise else replace(search, noise=noise)

    def _precise_line(self, search: Search) -> Line | None:
        """The line of the cost in more digits."""
        return self.near.precise and self.near.precise.line(search.indices, search.moves)


def _how_far_off(doubtful: tuple[int, Search, StencilEstimate]) -> float:
    """How far off a glance finds a report, in error bounds; infinite where it shows nothing."""
    _, search, first = doubtful
    off = search.reported.distance(first) / search.reported.allowed(first)
    return off if np.isfinite(off) and np.isfinite(first.error) else np.inf


def _random_direction(indices: np.ndarray) -> np.ndarray:
    """A random direction in some coordinates."""
    direction = random_directions(1, len(indices), seed=int(indices[0]) + len(indices))[0]
    return direction * min(1.0, LONGEST / np.sqrt(len(indices)))


def _add_up(errors: np.ndarray) -> float:
    """What errors add up to at most, of random signs if they are several (by Hoeffding, with probability 1 - 3e-8)."""
    return float(min(np.abs(errors).sum(), 6.0 * np.linalg.norm(errors)))
