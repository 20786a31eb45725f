"""Finite differences of a user's cost, along coordinates and along random directions in groups of them.

A first look at a line takes two costs. A reported derivative that agrees with it to the digits that noise leaves is
right. Where that leaves doubt, the line is looked at closely, at several step sizes (`slope_search`).

Few parameters are differenced one by one. Many are differenced in groups, each along a random direction of its own, so
that every coordinate is seen. The coordinates of a group that contradicts the gradient are differenced one by one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from harness.bounds.tolerances import LONGEST, MEANINGLESS, SINGLED_OUT
from harness.checks.functions.cost_noise import CostNear, noise_along, rounding_along
from harness.checks.functions.gradient_comparison import Group
from harness.checks.functions.gradient_rounding import gradient_near
from harness.checks.functions.line_stencil import MOSTLY_NOISE, Line, Obstacle, ReportedSlope, StencilEstimate
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.slope_search import Search, SearchState
from harness.checks.random_directions import random_directions
from harness.verdict.comparison import Answer
from reference.arithmetics.central_differences import NOISE_GAIN
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

PARTS = 8
"""A large group that is wrong is split into so many, until its wrong coordinates can be differenced one by one."""

CONVINCING = 4
"""After so many wrong lines of a block, what a rough cost may explain (`rough_costs`) is asked of no other line. The
verdict is certain by then, and each question takes many calls."""

FEW = 32
"""Up to so many suspects are differenced one by one without splitting their group further."""

NOISIER = 100.0
"""Noise above so many roundings of the cost is no rounding. It may be the work of one coordinate, whose jumps or waves
do not disturb the others."""

QUIETER = 0.1
"""A line that has at most this share of the noise is judged by its own noise. Two samples of one noise are closer."""

BELOW = 0.25
"""Steps of at most this share of |θ_i|: the stencil reaches four steps far, and so not beyond 0."""

ACROSS_KINKS = 3
"""So many random directions show whether the slopes at kinks that meet belong together."""

AT_ONCE = (2.0**-36, 2.0**-32)
"""Steps near and far: a cost that is continuous changes by h over them, 16 times less over the first. One that jumps at
θ changes by its jump over both."""

CALLS_OF_LINE = 4.0
"""Calls of the cost that a line needs on average: two, and seven where these leave doubt."""


class Differences:
    """Differences of a cost, compared with the reported derivatives.

    It remembers which lines the first looks left clear, how noisy single lines are, and how many were wrong in each
    block.

    Parameters
    ----------
    layout : TreeLayout
    near : CostNear
        The cost and its noise.
    reported : Answer
        The gradient that is checked.
    """

    def __init__(self, layout: TreeLayout, near: CostNear, reported: Answer):
        self.layout, self.reported, self.near, self.probes = layout, reported, near, near.probes
        is_float64 = self.probes.unit <= UNIT_ROUNDOFF["float64"]
        self._meaningful = max(MEANINGLESS["float64" if is_float64 else "float32"], reported.accuracy)
        self._sizes = layout.largest_in_block(reported.gradient)
        # powers of two, so that θ_i ± h is a number
        self._units = 2.0 ** np.ceil(np.log2(np.maximum(np.abs(self.probes.theta), 1.0)))
        self._blocks = np.zeros(layout.size, dtype=int)
        for number, block in enumerate(layout.blocks):
            self._blocks[block.indices] = number
        self._contradicted, self._is_clear = Counter[int](), np.zeros(layout.size, bool)
        self._own_noise = np.full(layout.size, np.inf)  # of lines that are much quieter than all of θ
        # noise beyond rounding may be the work of some coordinates, and a first look would blame it on all
        noise = near.noise_at_theta
        self._is_quiet = noise.near <= NOISIER * noise.relative * near.ordinary

    @np.errstate(all="ignore")
    def one_by_one(
        self, chosen: np.ndarray, known: Mapping[int, StencilEstimate], *, closely: bool = False
    ) -> dict[int, StencilEstimate]:
        """Known differences, and those along the chosen coordinates, as far as the budget goes.

        Closely, or first by a look that takes two costs, and closely where that leaves doubt.
        """
        found = dict(known)
        for done, i in enumerate(chosen.tolist()):
            if self.probes.budget.is_spent:
                break
            self.probes.progress("coordinates", done, len(chosen))
            if i not in found:
                found[i] = self._along(np.array([i]), np.ones(1), closely=closely).found
        return found

    @np.errstate(all="ignore")
    def in_groups(self, parts: Sequence[np.ndarray], *, closely: bool = False) -> list[Group]:
        """Differences along a random direction in each group of coordinates, as far as the budget goes."""
        groups = []
        for number, indices in enumerate(parts):
            if self.probes.budget.is_spent:
                break
            self.probes.progress("groups", number, len(parts))
            groups.append(self._along(indices, _random_direction(indices), closely=closely))
        return groups

    def single_out(
        self, wrong: Sequence[Group], known: Mapping[int, StencilEstimate], seed: int = 0
    ) -> dict[int, StencilEstimate]:
        """The coordinates of wrong groups, one by one; if there are too many, a sample from each block."""
        suspects = np.concatenate(self._narrow_down([group.indices for group in wrong]))
        if suspects.size > SINGLED_OUT:
            rng = np.random.default_rng(seed)
            numbers = self._blocks[suspects]
            blocks = [suspects[numbers == number] for number in np.unique(numbers)]
            share = max(SINGLED_OUT // len(blocks), 4)
            suspects = np.concatenate([rng.permutation(part)[:share] for part in blocks])
        return self.one_by_one(np.sort(suspects), known)

    def _narrow_down(self, wrong: list[np.ndarray]) -> list[np.ndarray]:
        """Large wrong groups split, as long as most of their parts turn out to be right."""
        while wrong and sum(map(len, wrong)) > FEW and len(wrong) * PARTS <= SINGLED_OUT:
            parts = [part for indices in wrong for part in np.array_split(indices, PARTS) if part.size]
            still_wrong = [group.indices for group in self.in_groups(parts) if group.is_wrong]
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
    def together(self) -> Group | None:
        """The difference along a random direction in all coordinates that a first look left without doubt, or flat.

        It is sharper than the first looks, and shows errors that are too small for these, and a cost that has no
        gradient. None where no line is left, or nothing of the budget.
        """
        indices = np.flatnonzero(self._is_clear)
        if self.probes.budget.is_spent or not indices.size:
            return None
        # along the gradient, so that errors of a factor add up and do not cancel
        signs = np.where(self.reported.gradient[indices] < 0.0, -1.0, 1.0)
        moves = signs * np.abs(_random_direction(indices)) * self._units[indices]
        reported, line = self._reported_along(indices, moves), self.probes.line(indices, moves)
        search = Search(reported, line, self.near.noise_at_theta, self.probes.steps)
        found, _ = search.run()
        if reported.is_contradicted(found):
            found = self._look_closely(replace(search, noise=self.near.noise), indices)
        return self._group(indices, moves, reported, found)

    def jumps_together(self) -> bool:
        """Whether the cost jumps at θ in a random direction, and not in any coordinate, as x y / (x² + y²) does at 0.

        There it has partial derivatives, and is not continuous. It is asked only where single lines are much quieter
        than all coordinates together, as they are then.
        """
        noise = float(self._own_noise.sum())
        if not noise < QUIETER * self.near.noise_at_theta.near:
            return False
        indices = np.arange(self.layout.size)
        line = self.probes.line(indices, _random_direction(indices) * self._units)
        jumps = [[abs(line(side * at) - line(0.0)) for at in AT_ONCE] for side in (1.0, -1.0)]
        return all(noise < QUIETER * far and near > 0.5 * far for near, far in jumps)

    @np.errstate(all="ignore")
    def across_kinks(self, indices: np.ndarray) -> Iterator[Group]:
        """The differences along directions in coordinates that sit on kinks: by the same step in all, and at random."""
        unit = min(1.0, LONGEST / np.sqrt(len(indices))) * float(np.min(self._units[indices]))
        random = random_directions(ACROSS_KINKS, len(indices), seed=len(indices))
        for direction in (np.ones(len(indices)), *random):
            if not self.probes.budget.is_spent:
                moves = unit * direction
                reported, line = self._reported_along(indices, moves), self.probes.line(indices, moves)
                search = Search(reported, line, self.near.noise, self.probes.steps)
                yield self._group(indices, moves, reported, self._look_closely(search, indices))

    # -- one line ------------------------------------------------------------------------------------------------------

    def _along(self, indices: np.ndarray, direction: np.ndarray, *, closely: bool) -> Group:
        """The difference along a direction, and the reported derivative there."""
        moves = direction * self._units[indices]
        reported, block = self._reported_along(indices, moves), int(self._blocks[indices[0]])
        line = self.probes.line(indices, moves)
        found = None
        if self._is_quiet and not closely:
            # the noise at θ is enough, for a derivative that needs more room is looked at closely
            found = Search(reported, line, self.near.noise_at_theta, self.probes.steps).glance(self.probes.glance)
            self._is_clear[indices] = found is not None
        if found is None:
            is_new = self._contradicted[block] < CONVINCING
            search = Search(reported, line, self.near.noise, self.probes.steps, explains=is_new)
            found = self._look_closely(search, indices)
            # a cost may be constant along each coordinate and not along a direction, as a median of ties
            is_flat = found.derivative == 0.0 and found.obstacle != Obstacle.KINK
            self._is_clear[indices] = is_flat and not reported.is_contradicted(found)
        return self._group(indices, moves, reported, found)

    def _group(self, indices: np.ndarray, moves: np.ndarray, reported: ReportedSlope, found: StencilEstimate) -> Group:
        """What was found along a direction; of one coordinate the partial derivative, and no multiple of it."""
        unit = float(np.max(self._units[indices])) if len(indices) == 1 else 1.0
        return Group(
            indices,
            moves / unit,
            slope=reported.derivative / unit,
            error=reported.error / unit,
            accepted=reported.accepted / unit,
            found=found.scaled(1.0 / unit),
        )

    def _reported_along(self, indices: np.ndarray, moves: np.ndarray) -> ReportedSlope:
        """What is reported along a direction."""
        gradient = gradient_near(self.probes.user)
        return ReportedSlope(
            derivative=float(moves @ self.reported.gradient[indices]),
            error=float(np.abs(moves) @ self.reported.error[indices]),
            largest_in_block=float(np.max(self._sizes[indices] * self._units[indices])),
            meaningful=self._meaningful,
            own_scale=self._own_scale(indices),
            accepted=self.reported.accuracy * _add_up(moves * self._sizes[indices]),
            slope_at=cache(lambda t: float(moves @ gradient(self.probes.moved(indices, t * moves))[indices])),
        )

    def _look_closely(self, search: Search, indices: np.ndarray) -> StencilEstimate:
        """The difference at the step that decides, searched again where more is known of the line than of all θ."""
        done = _Done.after(search)
        done = self._with_own_noise(done, indices)
        done = self._at_own_scale(done, indices)
        done = self._with_rounding(done, indices)
        found = done.search.hide_behind_jumps(done.found)
        self._contradicted[int(self._blocks[indices[0]])] += search.reported.is_contradicted(found)
        return found

    def _with_own_noise(self, done: "_Done", indices: np.ndarray) -> "_Done":
        """The search with the noise of the line itself, where that may be much smaller than that of all θ.

        In sin t₀ + floor(1e6 t₁) the jumps of one coordinate pass for noise of both. They hide the derivative in t₀, or
        make its steps so wide that they see over what the cost does.
        """
        noise = self.near.noise.at(self.probes.steps[0])
        is_rounding = noise <= NOISIER * self.near.noise.relative * abs(self.probes.base)
        is_hidden = done.found.noise > MOSTLY_NOISE * done.found.error
        if len(indices) > 1 or is_rounding or not (done.is_contradicted or is_hidden):
            return done
        i = int(indices[0])
        size = float(abs(self.probes.theta[i]) / self._units[i]) or 1.0
        own = noise_along(done.search.line, self._precise_line(indices), size, self.near.noise, self.probes.unit)
        if not own.at(self.probes.steps[0]) < QUIETER * noise:
            return done
        self._own_noise[i] = own.near
        return _Done.after(replace(done.search, noise=own))

    def _at_own_scale(self, done: "_Done", indices: np.ndarray) -> "_Done":
        """The search with steps below |θ_i|, where a derivative that seems to vanish may be known better there.

        (t / 1e-8)⁴ at 1e-9 has a slope of 4e5 at θ, and of 1e24 at the first step: beside that, any error is small.
        """
        scale, search = done.search.reported.own_scale, done.search
        steps = [step for step in search.steps if step <= BELOW * scale]
        if done.is_contradicted or not done.found.vanishes or not steps or steps[0] >= done.seen.step:
            return done
        if NOISE_GAIN * search.noise.near >= done.found.error * steps[0]:  # noise alone is as large there
            return done
        reached = search.noise._replace(reach=steps[0])
        noise = noise_along(search.line, self._precise_line(indices), scale, reached, self.probes.unit)
        return _Done.after(replace(search, noise=noise, steps=steps))

    def _with_rounding(self, done: "_Done", indices: np.ndarray) -> "_Done":
        """The search with the noise of a cost that rounds to a constant, where that contradicts the report.

        1 - tanh t is 0.0 all about 25. So its scatter is 0, and its differences seem to be exact.
        """
        if not done.is_contradicted:
            return done
        search, size = done.search, float(np.max(self._units[indices]))
        noise = rounding_along(search.line, search.noise, size, self.probes.unit)
        return done if noise == search.noise else _Done.after(replace(search, noise=noise))

    def _precise_line(self, indices: np.ndarray) -> Line | None:
        """The line through a single coordinate, of the cost in more digits."""
        return self.near.precise and self.near.precise.line(indices, self._units[indices])

    def _own_scale(self, indices: np.ndarray) -> float:
        """The size of a single parameter that is not zero, in units of its step."""
        sizes = np.abs(self.probes.theta[indices]) / self._units[indices]
        return float(sizes.min()) if len(indices) == 1 and sizes.all() else np.inf


class _Done(NamedTuple):
    """A search, and what it found."""

    search: Search
    found: StencilEstimate
    seen: SearchState

    @classmethod
    def after(cls, search: Search) -> "_Done":
        """What a search finds."""
        return cls(search, *search.run())

    @property
    def is_contradicted(self) -> bool:
        """Whether the difference contradicts the report."""
        return self.search.reported.is_contradicted(self.found)


def _random_direction(indices: np.ndarray) -> np.ndarray:
    """A random direction in some coordinates."""
    direction = random_directions(1, len(indices), seed=int(indices[0]) + len(indices))[0]
    return direction * min(1.0, LONGEST / np.sqrt(len(indices)))


def _add_up(errors: np.ndarray) -> float:
    """What errors add up to at most, of random signs if they are several (by Hoeffding, with probability 1 - 3e-8)."""
    return float(min(np.abs(errors).sum(), 6.0 * np.linalg.norm(errors)))
