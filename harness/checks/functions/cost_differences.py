"""Finite differences of a user's cost, along coordinates and along random directions in groups of them.

A glance at a line takes two costs. A reported derivative that agrees with it to the digits that noise leaves is right.
Where that leaves doubt, the line is looked at closely, at several step sizes (`slope_search`). The lines that seem
farthest off come first. Once some of a block are wrong for certain, a hasty look is enough for the others of it: a
glance, or a close look that tries no explanation. A close look along all of them together has to confirm what it shows.

Few parameters are differenced one by one. Many are differenced in groups, each along a random direction of its own, so
that every coordinate is seen. The coordinates of a group that contradicts the gradient are differenced one by one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import takewhile
from typing import TypeVar

import numpy as np

from harness.bounds.tolerances import LONGEST, MEANINGLESS, SINGLED_OUT
from harness.checks.functions.cost_noise import CostNear
from harness.checks.functions.cost_probe import Probes
from harness.checks.functions.gradient_case import GradientCase, precision_of
from harness.checks.functions.line_stencil import ReportedSlope, StencilEstimate, estimate
from harness.checks.functions.slope_search import QUIETER, LineSlope, Search, look_closely
from harness.checks.random_directions import random_directions
from harness.verdict.wrong_part import SHARP, SHARP_ENOUGH

T = TypeVar("T")

PARTS = 8  # a large wrong group is split into so many, until its wrong coordinates can be differenced one by one

CONVINCING = 2
"""After so many wrong lines of a block the verdict is certain, and a hasty look is enough for the others of it."""

MISLED = 2.0  # a line is wrong if its error is so many times what may have misled the hasty looks at all lines together

FEW = 32  # So many suspects are not split further. After so many close looks at a block, glances may be less sharp.

TOGETHER = 0.5 ** np.arange(40)
"""Steps in all coordinates at once, in units of the first step in one. Each takes two more costs, for it shares the
others."""

AT_ONCE = (2.0**-36, 2.0**-32)
"""Steps near and far. A continuous cost changes 16 times less over the first, and one that jumps at θ by its jump over
both."""

ACROSS_KINKS = 3  # so many random directions show whether the slopes at kinks that meet belong together


@dataclass(frozen=True, eq=False)
class Differences:
    """Differences of the cost of a case, compared with the reported derivatives."""

    case: GradientCase

    @property
    def near(self) -> CostNear:
        """The cost and its noise."""
        return self.case.fine

    @property
    def probes(self) -> Probes:
        """The cost at points near θ."""
        return self.near.probes

    @cached_property
    def _blocks(self) -> list[np.ndarray]:
        """The indices of each block that has any."""
        return [block.indices for block in self.case.layout.blocks if block.indices.size]

    @cached_property
    def _block_of(self) -> np.ndarray:
        """(n,), the number of the block that each coordinate belongs to."""
        return np.repeat(np.arange(len(self._blocks)), [indices.size for indices in self._blocks])

    @cached_property
    def _largest(self) -> np.ndarray:
        return self.case.layout.largest_in_block(self.case.reported.gradient)

    def _affordable(self, items: Iterable[T]) -> Iterator[T]:
        """As many items as the budget allows."""
        return takewhile(lambda _: not self.probes.budget.is_spent, items)

    # -- which lines ---------------------------------------------------------------------------------------------------

    def one_by_one(self, chosen: Iterable[int], *, closely: bool = False) -> list[LineSlope]:
        """Differences along the chosen coordinates, as far as the budget goes."""
        searches = [self._search(np.array([i]), self.probes.units[[i]]) for i in chosen]
        return self._difference("coordinates", searches, closely=closely)

    def in_groups(self, parts: Iterable[np.ndarray], *, closely: bool = False) -> list[LineSlope]:
        """Differences along a random direction in each group of coordinates, as far as the budget goes."""
        searches = [self._search(part, _random_direction(part) * self.probes.units[part]) for part in parts]
        return self._difference("groups", searches, closely=closely)

    def single_out(self, wrong: Sequence[LineSlope]) -> list[LineSlope]:
        """The coordinates of wrong groups, one by one; if there are too many, a sample from each block."""
        suspects = np.concatenate(self._narrow_down([group.search.indices for group in wrong]))
        if suspects.size > SINGLED_OUT:
            rng = np.random.default_rng(0)
            numbers = self._block_of[suspects]
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

    def largest_of_blocks(self) -> list[int]:
        """The coordinate with the largest reported derivative in each block: it is the measure of errors."""
        sizes = np.abs(np.nan_to_num(self.case.reported.gradient, posinf=0.0, neginf=0.0))
        return [int(indices[np.argmax(sizes[indices])]) for indices in self._blocks]

    def parts(self, count: int) -> list[np.ndarray]:
        """About so many groups, each of coordinates of one block, unless there are more blocks than groups."""
        if len(self._blocks) > count:
            return np.array_split(np.concatenate(self._blocks), count)
        shares = [max(1, round(count * len(indices) / self.case.layout.size)) for indices in self._blocks]
        return [part for indices, share in zip(self._blocks, shares) for part in np.array_split(indices, share)]

    @np.errstate(all="ignore")
    def together(self, clear: np.ndarray) -> LineSlope | None:
        """The difference along a random direction in all coordinates that single lines left `clear`.

        It is sharper than a glance, and shows errors that are too small for one, and a cost that has no gradient. None
        where no line is left, or nothing of the budget.
        """
        if self.probes.budget.is_spent or not clear.size:
            return None
        # along the gradient, so that errors of a factor add up and do not cancel
        signs = np.where(self.case.reported.gradient[clear] < 0.0, -1.0, 1.0)
        search = self._search(clear, signs * np.abs(_random_direction(clear)) * self.probes.units[clear])
        found = replace(search, steps=(TOGETHER * search.steps[0]).tolist()).run()
        return look_closely(self.near, search) if search.reported.is_contradicted(found) else LineSlope(search, found)

    def jumps_together(self, alone: Sequence[LineSlope]) -> bool:
        """Whether the cost jumps at θ in a random direction, and not in any coordinate, as x y / (x² + y²) does at 0.

        There it has partial derivatives, and is not continuous. It is asked only where single lines are much quieter
        than all coordinates together, as they are then.
        """
        noise = sum(each.search.noise.near for each in alone)
        if len(alone) < self.case.layout.size or not noise < QUIETER * self.near.noise_at_theta.near:
            return False
        indices = np.arange(self.case.layout.size)
        line = self.probes.line(indices, _random_direction(indices) * self.probes.units)
        jumps = [[abs(line(side * at) - line(0.0)) for at in AT_ONCE] for side in (1.0, -1.0)]
        return all(noise < QUIETER * far and near > 0.5 * far for near, far in jumps)

    @np.errstate(all="ignore")
    def across_kinks(self, indices: np.ndarray) -> Iterator[LineSlope]:
        """The differences along directions in coordinates that sit on kinks: by the same step in all, and at random."""
        unit = _length(len(indices)) * float(np.min(self.probes.units[indices]))
        random = random_directions(ACROSS_KINKS, len(indices), seed=len(indices))
        for direction in self._affordable((np.ones(len(indices)), *random)):
            yield look_closely(self.near, self._search(indices, unit * direction))

    # -- in which order, and how closely -------------------------------------------------------------------------------

    @np.errstate(all="ignore")
    def _difference(self, what: str, searches: Sequence[Search], *, closely: bool) -> list[LineSlope]:
        """The differences along lines, in their order, as far as the budget goes."""
        found, doubtful = dict[int, LineSlope](), dict[int, LineSlope]()
        # where noise is no rounding it may be the work of some coordinates, and a glance would blame all
        glances = not closely and self.near.is_quiet
        for number, search in self._affordable(enumerate(searches)):
            self.probes.progress(what, number, len(searches))
            first = search.glance(self.probes.glance) if glances else StencilEstimate()
            if search.confirms(first):
                found[number] = LineSlope(search, first, is_clear=True)
            else:
                doubtful[number] = LineSlope(search, first)
        farthest_first = sorted(doubtful, key=lambda number: _how_far_off(doubtful[number]), reverse=True)
        found |= self._look_at_doubtful({number: doubtful[number].search for number in farthest_first}, glances=glances)
        return [found[number] for number in sorted(found)]

    def _look_at_doubtful(self, doubtful: Mapping[int, Search], *, glances: bool) -> dict[int, LineSlope]:
        """The differences along lines that a glance left in doubt: close ones, and hasty ones in a wrong block."""
        found: dict[int, LineSlope] = {}
        hasty = defaultdict[int, dict[int, LineSlope]](dict)  # wrong lines of each block, not yet confirmed
        wrong, close_looks = Counter[int](), Counter[int]()  # by block
        for number, search in self._affordable(doubtful.items()):
            block = int(self._block_of[search.indices[0]])
            if wrong[block] < CONVINCING:
                found[number] = look_closely(self.near, search)
                close_looks[block] += 1
                wrong[block] += found[number].is_wrong
                continue
            sharp = SHARP if close_looks[block] < FEW else SHARP_ENOUGH
            glance = search.glance(self.probes.glance, cautiously=True) if glances else StencilEstimate()
            if search.reported.is_contradicted(glance, 1.0 / sharp):
                line = LineSlope(search, glance)
            else:
                line = look_closely(self.near, search, explains=False)
                close_looks[block] += 1
            (hasty[block] if line.is_wrong else found)[number] = line
        for lines in hasty.values():
            found |= self._confirm_together(lines)
        return found

    def _confirm_together(self, hasty: Mapping[int, LineSlope]) -> dict[int, LineSlope]:
        """The lines that a hasty look found wrong, where a close look along all of them agrees; the others closely.

        Jumps mislead a hasty look, and so does a cost that is odd about θ, as sin 10⁵ t at 0: right lines seem wrong.
        """
        if self.probes.budget.is_spent:
            return {}
        lines = hasty.values()
        slopes = np.array([each.found.derivative for each in lines])
        errors = np.array([each.search.reported.derivative for each in lines]) - slopes
        # each line moves towards its error: errors then add up and cannot cancel, and neither can what misleads
        weights = np.copysign(_random_direction(np.arange(len(lines))), errors)
        indices = np.concatenate([each.search.indices for each in lines])
        moves = np.concatenate([weight * each.search.moves for weight, each in zip(weights, lines)])
        joint = look_closely(self.near, self._search(indices, moves))
        # a narrow step may be misled as hasty looks are, between two jumps that a wide one sees over
        wide = [estimate(joint.search.line, step, joint.search.noise) for step in self.probes.steps[:2]]
        sharper = min(wide, key=lambda each: each.error)
        misled_by = max(abs(each.derivative - weights @ slopes) + each.error for each in (joint.found, sharper))
        sizes = zip(hasty.items(), np.abs(weights * errors))
        left = {number: line for (number, line), size in sizes if not joint.is_wrong or size <= MISLED * misled_by}
        found = {number: line for number, line in hasty.items() if number not in left}
        if len(left) > FEW:
            for part in np.array_split(list(left), PARTS):
                found |= self._confirm_together({number: left[number] for number in part.tolist()})
            return found
        return found | {number: look_closely(self.near, line.search) for number, line in self._affordable(left.items())}

    @np.errstate(all="ignore")
    def _search(self, indices: np.ndarray, moves: np.ndarray) -> Search:
        """What is reported along a line, and the cost there."""
        probes, answer, gradient = self.probes, self.case.reported, self.case.gradient
        sizes, units = self._largest[indices], probes.units[indices]
        own = np.abs(probes.theta[indices]) / units
        reported = ReportedSlope(
            derivative=float(moves @ answer.gradient[indices]),
            error=float(np.abs(moves) @ answer.error[indices]),
            largest_in_block=float(np.max(sizes * units)),
            meaningful=max(MEANINGLESS[precision_of(probes.unit)], answer.accuracy),
            own_scale=float(own[0]) if len(indices) == 1 and own[0] else np.inf,
            # errors of random signs add up to 6 times their norm at most (Hoeffding, with probability 1 - 3e-8)
            accepted=answer.accuracy * float(min(np.abs(moves * sizes).sum(), 6.0 * np.linalg.norm(moves * sizes))),
            slope_at=cache(lambda t: float(moves @ gradient(probes.moved(indices, t * moves))[indices])),
        )
        # the noise at θ is enough for a glance, and that farther away takes calls
        return Search(reported, probes.line(indices, moves), self.near.noise_at_theta, indices, moves, probes.steps)


def _how_far_off(line: LineSlope) -> float:
    """How far off a glance finds a report, in error bounds; infinite where it shows nothing."""
    off = line.search.reported.distance(line.found) / line.search.reported.allowed(line.found)
    return off if np.isfinite(off) and np.isfinite(line.found.error) else np.inf


def _random_direction(indices: np.ndarray) -> np.ndarray:
    """A random direction in some coordinates."""
    return random_directions(1, len(indices), seed=int(indices[0]) + len(indices))[0] * _length(len(indices))


def _length(count: int) -> float:
    """How far each of so many coordinates moves, so that all together do not move too far."""
    return min(1.0, LONGEST / np.sqrt(count))
