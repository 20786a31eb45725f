"""Differences of the costs of somebody's function, at the steps that decide about the gradient that it claims.

Few parameters are differenced one by one. Many are differenced in groups, each along a random direction of its own, so
that every coordinate is seen; where a group is at odds with the claim, its coordinates are singled out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.bounds.tolerances import FINER_LOOKS, LONGEST, MEANINGLESS, SINGLED_OUT
from harness.checks.functions.cost_noise import noise_along
from harness.checks.functions.cost_probe import Probes
from harness.checks.functions.line_stencil import KINK, Found, Noise
from harness.checks.functions.step_sizes import Claim, Search
from harness.checks.random_directions import random_directions
from harness.verdict.comparison import Answer
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

PARTS = 8
"""A large group at odds is split into so many, until the coordinates that are can be singled out."""

FEW = 32
"""So few coordinates are looked at one by one at once."""

RETRIED = 10
"""Where narrow steps were needed, the wide ones are tried again on every tenth line."""

NOISIER = 100.0
"""Noise so many times a rounding of the cost may be the work of one coordinate, and not disturb the others."""

QUIETER = 0.1
"""A line that has at most this share of the noise is judged by its own."""

NOISY_LINES = 8
"""After so many lines in a row that are as noisy as all, the noise is taken to be everywhere."""

CALLS_A_LINE = 7.0


@dataclass(frozen=True, eq=False)
class Group:
    """Coordinates differenced together.

    Attributes
    ----------
    indices, direction : (m,) arrays
    slope, error : float
        What is claimed of the derivative along the direction, and what rounding may have moved it.
    found : what differences say
    """

    indices: np.ndarray
    direction: np.ndarray
    slope: float
    error: float
    found: Found

    @property
    def off(self) -> float:
        return abs(self.slope - self.found.derivative)

    @property
    def allowed(self) -> float:
        return self.error + self.found.error

    @property
    def is_wrong(self) -> bool:
        return bool(np.isfinite(self.allowed) and not self.off <= self.allowed)


class Differences:
    """Derivatives of a cost of which only values are known.

    Parameters
    ----------
    probes : the cost beside θ
    noise : how noisy it is
    yours : the answer with the gradient that is claimed
    steps : from wide to narrow, in units of max(1, |θ_i|)
    """

    def __init__(self, probes: Probes, noise: Noise, yours: Answer, steps: Sequence[float]):
        self.probes, self.noise, self.yours, self.steps = probes, noise, yours, steps
        self.layout, self.theta = probes.users.layout, probes.theta
        self.meaningful = MEANINGLESS["float64" if probes.unit <= UNIT_ROUNDOFF["float64"] else "float32"]
        self.size = self.layout.largest_in_block(yours.gradient)
        # powers of two, so that θ_i ± h is a number
        self.units = 2.0 ** np.ceil(np.log2(np.maximum(np.abs(self.theta), 1.0)))
        self.block = np.zeros(self.layout.size, dtype=int)
        for number, block in enumerate(self.layout.blocks):
            self.block[block.indices] = number
        self._starts: dict[int, tuple[int, int]] = {}
        self._finer_looks = FINER_LOOKS
        self._noisy_lines = 0
        self.found: dict[int, Found] = {}
        self.groups: list[Group] = []

    @np.errstate(all="ignore")
    def one_by_one(self, chosen: np.ndarray) -> None:
        """Difference the chosen coordinates, as far as the budget goes."""
        closer = set(_spread(chosen, self._finer_looks).tolist())
        for done, i in enumerate(chosen.tolist()):
            if self.probes.budget.is_spent:
                return
            self.probes.progress("coordinates", done, len(chosen))
            if i not in self.found:
                group = self._along(np.array([i]), np.ones(1), i in closer)
                self.found[i] = group.found

    @np.errstate(all="ignore")
    def in_groups(self, parts: Sequence[np.ndarray]) -> list[Group]:
        """Difference groups of coordinates, as far as the budget goes."""
        closer = set(_spread(np.arange(len(parts)), self._finer_looks).tolist())
        found = []
        for number, indices in enumerate(parts):
            if self.probes.budget.is_spent:
                break
            self.probes.progress("groups", number, len(parts))
            direction = random_directions(1, len(indices), seed=int(indices[0]) + len(indices))[0]
            direction *= min(1.0, LONGEST / np.sqrt(len(indices)))
            found.append(self._along(indices, direction, number in closer))
        return found

    def _along(self, indices: np.ndarray, direction: np.ndarray, closer: bool) -> Group:
        """The derivative along a direction, and the claim for it."""
        moves = direction * self.units[indices]
        gradient, error = self.yours.gradient[indices], self.yours.error[indices]
        claim = Claim(
            float(moves @ gradient),
            float(np.abs(moves) @ error),
            float(np.max(self.size[indices] * self.units[indices])),
            self.meaningful,
            self._own_scale(indices),
        )
        line = self.probes.along(indices, moves)
        search = Search(claim, line, self.noise, self.steps)
        block = int(self.block[indices[0]])
        found = search.settle(self._start(block))
        if search.is_staircase:
            search = search.over_jumps()
            found = search.settle()
        if len(indices) == 1 and not claim.is_objected_to(found) and self._may_be_quieter(found):
            size = float(abs(self.theta[indices[0]]) / self.units[indices[0]]) or 1.0
            noise = noise_along(line, size, self.noise, self.probes.unit)
            self._noisy_lines += 1
            if noise.at(self.steps[0]) < QUIETER * self.noise.at(self.steps[0]):
                self._noisy_lines = 0
                search = Search(claim, line, noise, self.steps)
                found = search.settle()
        self._remember(block, search.step)
        if closer and not claim.is_objected_to(found):
            found = search.look_closer() or found
        unit = float(np.max(self.units[indices])) if len(indices) == 1 else 1.0
        return Group(indices, moves / unit, claim.derivative / unit, claim.error / unit, found.times(1.0 / unit))

    @np.errstate(all="ignore")
    def is_differentiable(self) -> bool:
        """Whether the derivative along a direction in all of θ is what the partial derivatives make of it.

        A median of ties has partial derivatives, which are zero, and yet moves with all of them. For every coordinate
        differenced one by one.
        """
        every = np.arange(self.layout.size)
        if every.size < 2 or len(self.found) < every.size or not (groups := self.in_groups([every])):
            return True
        (group,) = groups
        if group.found.obstacle == KINK:
            return False
        partial, errors = (
            np.array([getattr(self.found[i], what) for i in range(every.size)]) for what in ("derivative", "error")
        )
        apart = abs(group.found.derivative - group.direction @ partial)
        return not apart > group.found.error + np.abs(group.direction) @ errors

    def open_between(self, chosen: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
        """Take for kinks the coordinates whose claim is between those beside θ, and their difference, too, or none.

        Units of a network that sit on kinks together may all have the slope of one side, which no step in one
        coordinate shows. A claim that is wrong beside θ as it is at θ is wrong.
        """
        opened = False
        for i in chosen.tolist():
            found, claimed, error = self.found[i], self.yours.gradient[i], self.yours.error[i] + self.found[i].noise
            known = (claimed,) if found.obstacle == KINK else (claimed, found.derivative)
            if all(low[i] - error <= slope <= high[i] + error for slope in known):
                middle, half = float(0.5 * (low[i] + high[i])), float(0.5 * (high[i] - low[i]))
                half = max(half, float(abs(middle - claimed)))
                self.found[i] = Found(middle, half, steepest=found.steepest, obstacle=KINK)
                opened = True
        return opened

    def _may_be_quieter(self, found: Found) -> bool:
        """Whether noise is in the way that rounding of the cost does not explain."""
        noise, rounded = self.noise, self.noise.relative * abs(self.probes.base)
        is_noise = found.noise > 0.3 * found.error and noise.at(self.steps[0]) > NOISIER * rounded
        return is_noise and self._noisy_lines < NOISY_LINES

    def _own_scale(self, indices: np.ndarray) -> float:
        sizes = np.abs(self.theta[indices]) / self.units[indices]
        return float(sizes.min()) if len(indices) == 1 and sizes.all() else np.inf

    def _start(self, block: int) -> int:
        """The step to begin with: the one that decided the last line in this block, now and then the widest again."""
        start, times = self._starts.get(block, (0, 0))
        self._starts[block] = (start, times + 1)
        return 0 if times % RETRIED == 0 else start

    def _remember(self, block: int, step: float) -> None:
        narrower = [number for number, each in enumerate(self.steps) if each >= step]
        self._starts[block] = (max(len(narrower) - 1, 0), self._starts[block][1])

    def single_out(self, wrong: Sequence[Group], seed: int = 0) -> None:
        """Difference one by one what is at odds in groups; of what is too much, a sample from each block."""
        left = self._narrowed_down([group.indices for group in wrong])
        suspects = np.concatenate(left)
        if suspects.size > SINGLED_OUT:
            rng = np.random.default_rng(seed)
            numbers = self.block[suspects]
            blocks = [suspects[numbers == number] for number in np.unique(numbers)]
            share = max(SINGLED_OUT // len(blocks), 4)
            suspects = np.concatenate([rng.permutation(part)[:share] for part in blocks])
        self.one_by_one(np.sort(suspects))

    def _narrowed_down(self, wrong: list[np.ndarray]) -> list[np.ndarray]:
        """Large groups at odds split, so long as most of their parts turn out to be right."""
        while wrong and sum(map(len, wrong)) > FEW and len(wrong) * PARTS <= SINGLED_OUT:
            parts = [part for indices in wrong for part in np.array_split(indices, PARTS) if part.size]
            still = [group.indices for group in self.in_groups(parts) if group.is_wrong]
            if not still or 2 * len(still) > len(parts):
                return still or wrong
            wrong = still
        return wrong

    def largest_of_blocks(self) -> np.ndarray:
        """The coordinate of each block for which most is claimed: they show what errors have to be small against."""
        sizes = np.abs(np.nan_to_num(self.yours.gradient, posinf=0.0, neginf=0.0))
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


def _spread(items: np.ndarray, count: int) -> np.ndarray:
    """Some of the items, evenly spread."""
    return items[np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).astype(int))] if len(items) else items
