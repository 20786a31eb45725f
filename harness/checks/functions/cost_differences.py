"""Finite differences of a user's cost, along coordinates and along random directions in groups of them.

Few parameters are differenced one by one. Many are differenced in groups, each along a random direction of its own, so
that every coordinate is seen; the coordinates of a group that contradicts the gradient are differenced one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.bounds.tolerances import FINER_LOOKS, LONGEST, MEANINGLESS, SINGLED_OUT
from harness.checks.functions.cost_noise import CostNear, noise_along
from harness.checks.functions.line_stencil import KINK, Found
from harness.checks.functions.parameters import Layout
from harness.checks.functions.step_sizes import Reported, Search, Seen, steps_for
from harness.checks.random_directions import random_directions
from harness.verdict.comparison import Answer
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

PARTS = 8
"""A large group that is wrong is split into so many, until its wrong coordinates can be differenced one by one."""

FEW = 32
"""Up to so many suspects are differenced one by one without splitting their group further."""

RETRIED = 10
"""Where narrow steps were needed, the wide ones are tried again on every tenth line."""

NOISIER = 100.0
"""Noise of so many roundings of the cost may be the work of one coordinate, and not disturb the others."""

QUIETER = 0.1
"""A line that has at most this share of the noise is judged by its own noise."""

NOISY_LINES = 8
"""After so many lines in a row that are as noisy as all, the noise is taken to be everywhere."""

POINTS_OF_LINE = 7.0
"""Calls of the cost that a stencil needs."""


@dataclass(frozen=True, eq=False)
class Group:
    """Coordinates differenced together.

    Attributes
    ----------
    indices, direction : (m,) arrays
    slope, error : float
        The reported derivative along the direction, and by how much rounding may have moved it.
    accepted : float
        The error that the accuracy of the gradient accepts.
    found : Found
        The difference along the direction.
    """

    indices: np.ndarray
    direction: np.ndarray
    slope: float
    error: float
    accepted: float
    found: Found

    @property
    def distance(self) -> float:
        """|reported - found|."""
        return abs(self.slope - self.found.derivative)

    @property
    def allowed(self) -> float:
        """The sum of both error bounds, and of what is accepted."""
        return self.error + self.found.error + self.accepted

    @property
    def is_wrong(self) -> bool:
        """Whether the difference contradicts the reported derivative."""
        return bool(np.isfinite(self.allowed) and not self.distance <= self.allowed)


@dataclass(frozen=True, eq=False)
class Differenced:
    """What differences have shown of a gradient.

    Attributes
    ----------
    found : dict from coordinate to Found
        For coordinates that were differenced one by one.
    groups : tuple of Group
        The groups that were differenced first; together these hold every coordinate that the budget allowed.
    """

    found: Mapping[int, Found]
    groups: tuple[Group, ...] = ()

    def covered(self, size: int) -> np.ndarray:
        """Where a coordinate was examined, by itself or in a group."""
        covered = np.zeros(size, bool)
        for indices in (list(self.found), *(group.indices for group in self.groups)):
            covered[indices] = True
        return covered


@dataclass(frozen=True, eq=False)
class Experience:
    """What lines have taught about the next ones.

    Attributes
    ----------
    starts : dict from block to (step's number, lines so far)
        The step that decided the last line in a block.
    noisy : list of bool
        For each line on which noise was measured, whether it was as noisy as all.
    """

    starts: dict[int, tuple[int, int]] = field(default_factory=dict)
    noisy: list[bool] = field(default_factory=list)

    def start(self, block: int) -> int:
        """The number of the step to begin with: now and then the widest again."""
        start, lines = self.starts.get(block, (0, 0))
        self.starts[block] = (start, lines + 1)
        return 0 if lines % RETRIED == 0 else start

    def learn(self, block: int, steps: Sequence[float], decisive: float) -> None:
        """Remember the step that decided."""
        at_least = sum(step >= decisive for step in steps)
        self.starts[block] = (max(at_least - 1, 0), self.starts[block][1])

    @property
    def is_noisy_everywhere(self) -> bool:
        """Whether the last lines were all as noisy as the cost with all parameters moved."""
        return len(self.noisy) >= NOISY_LINES and all(self.noisy[-NOISY_LINES:])


class Differences:
    """Differences of a cost, compared with the reported derivatives.

    Parameters
    ----------
    layout : Layout
    near : CostNear
        The cost and its noise.
    reported : Answer
        The gradient that is checked.
    """

    def __init__(self, layout: Layout, near: CostNear, reported: Answer):
        self.layout, self.reported, self.probes, self.noise = layout, reported, near.probes, near.noise
        self.steps = steps_for(self.probes.unit)
        is_float64 = self.probes.unit <= UNIT_ROUNDOFF["float64"]
        self._meaningful = max(MEANINGLESS["float64" if is_float64 else "float32"], reported.accuracy)
        self._sizes = layout.largest_in_block(reported.gradient)
        # powers of two, so that θ_i ± h is a number
        self._units = 2.0 ** np.ceil(np.log2(np.maximum(np.abs(self.probes.theta), 1.0)))
        self._blocks = np.zeros(layout.size, dtype=int)
        for number, block in enumerate(layout.blocks):
            self._blocks[block.indices] = number
        self._experience = Experience()

    @np.errstate(all="ignore")
    def one_by_one(self, chosen: np.ndarray, known: Mapping[int, Found]) -> dict[int, Found]:
        """Known differences, and those along the chosen coordinates, as far as the budget goes."""
        closer = set(_spread(chosen, FINER_LOOKS).tolist())
        found = dict(known)
        for done, i in enumerate(chosen.tolist()):
            if self.probes.budget.is_spent:
                break
            self.probes.progress("coordinates", done, len(chosen))
            if i not in found:
                found[i] = self._along(np.array([i]), np.ones(1), look_closer=i in closer).found
        return found

    @np.errstate(all="ignore")
    def in_groups(self, parts: Sequence[np.ndarray]) -> list[Group]:
        """Differences along a random direction in each group of coordinates, as far as the budget goes."""
        closer = set(_spread(np.arange(len(parts)), FINER_LOOKS).tolist())
        groups = []
        for number, indices in enumerate(parts):
            if self.probes.budget.is_spent:
                break
            self.probes.progress("groups", number, len(parts))
            direction = random_directions(1, len(indices), seed=int(indices[0]) + len(indices))[0]
            direction *= min(1.0, LONGEST / np.sqrt(len(indices)))
            groups.append(self._along(indices, direction, look_closer=number in closer))
        return groups

    def single_out(self, wrong: Sequence[Group], known: Mapping[int, Found], seed: int = 0) -> dict[int, Found]:
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
    def is_differentiable(self, found: Mapping[int, Found]) -> bool:
        """Whether the derivative along a direction in all of θ follows from the partial derivatives.

        A median of ties has partial derivatives, which are zero, and yet moves with all parameters together. Judged
        only where every coordinate was differenced one by one.
        """
        size = self.layout.size
        if size < 2 or len(found) < size or not (groups := self.in_groups([np.arange(size)])):
            return True
        (group,) = groups
        if group.found.obstacle == KINK:
            return False
        partial, errors = (np.array([getattr(found[i], of) for i in range(size)]) for of in ("derivative", "error"))
        off = abs(group.found.derivative - group.direction @ partial)
        return not off > group.found.error + np.abs(group.direction) @ errors

    # -- one line ------------------------------------------------------------------------------------------------------

    def _along(self, indices: np.ndarray, direction: np.ndarray, *, look_closer: bool) -> Group:
        """The difference along a direction, and the reported derivative there."""
        moves = direction * self._units[indices]
        accepted = self.reported.accuracy * _add_up(moves * self._sizes[indices])
        reported = Reported(
            float(moves @ self.reported.gradient[indices]),
            float(np.abs(moves) @ self.reported.error[indices]),
            float(np.max(self._sizes[indices] * self._units[indices])),
            self._meaningful,
            self._own_scale(indices),
            accepted,
        )
        block = int(self._blocks[indices[0]])
        search = Search(reported, self.probes.line(indices, moves), self.noise, self.steps)
        found, seen = search.settle(self._experience.start(block))
        if seen.is_staircase:
            search = search.over_jumps()
            found, seen = search.settle()
        if len(indices) == 1 and not reported.is_contradicted(found) and self._may_be_quieter(found):
            search, found, seen = self._with_own_noise(search, found, seen, int(indices[0]))
        self._experience.learn(block, self.steps, seen.step)
        if look_closer and not reported.is_contradicted(found):
            found = search.look_closer(seen) or found
        unit = float(np.max(self._units[indices])) if len(indices) == 1 else 1.0
        numbers = reported.derivative / unit, reported.error / unit, accepted / unit
        return Group(indices, moves / unit, *numbers, found.times(1.0 / unit))

    def _may_be_quieter(self, found: Found) -> bool:
        """Whether the error bound is noise that rounding of the cost does not explain."""
        rounded = self.noise.relative * abs(self.probes.base)
        is_noise = found.noise > 0.3 * found.error and self.noise.at(self.steps[0]) > NOISIER * rounded
        return is_noise and not self._experience.is_noisy_everywhere

    def _with_own_noise(self, search: Search, found: Found, seen: Seen, i: int) -> tuple[Search, Found, Seen]:
        """The search with the noise of the line itself, if that is much smaller; else as it was."""
        size = float(abs(self.probes.theta[i]) / self._units[i]) or 1.0
        noise = noise_along(search.line, size, self.noise, self.probes.unit)
        is_quieter = noise.at(self.steps[0]) < QUIETER * self.noise.at(self.steps[0])
        self._experience.noisy.append(not is_quieter)
        if not is_quieter:
            return search, found, seen
        search = Search(search.reported, search.line, noise, self.steps)
        return search, *search.settle()

    def _own_scale(self, indices: np.ndarray) -> float:
        """The size of a single parameter that is not zero, in units of its step."""
        sizes = np.abs(self.probes.theta[indices]) / self._units[indices]
        return float(sizes.min()) if len(indices) == 1 and sizes.all() else np.inf


def open_kinks(
    reported: Answer, found: Mapping[int, Found], chosen: np.ndarray, low: np.ndarray, high: np.ndarray
) -> dict[int, Found]:
    """The differences, of which some of the chosen are turned into kinks between the slopes nearby.

    A coordinate sits on a kink if what is reported there, and the difference unless it is one of a kink already, lie
    between the gradients reported nearby, `low` and `high`. Units of a network that sit on kinks together may all have
    the slope of one side, which no step in one coordinate shows. A report that is as wrong nearby as it is at θ is
    wrong.
    """
    opened = dict(found)
    for i in chosen.tolist():
        here, slope = found[i], reported.gradient[i]
        error = reported.error[i] + here.noise
        slopes = (slope,) if here.obstacle == KINK else (slope, here.derivative)
        if all(low[i] - error <= each <= high[i] + error for each in slopes):
            middle, half = float(0.5 * (low[i] + high[i])), float(0.5 * (high[i] - low[i]))
            half = max(half, float(abs(middle - slope)))
            opened[i] = Found(middle, half, steepest=here.steepest, obstacle=KINK)
    return opened


def _add_up(errors: np.ndarray) -> float:
    """What errors add up to at most, of random signs if they are several (by Hoeffding, with probability 1 - 3e-8)."""
    return float(min(np.abs(errors).sum(), 6.0 * np.linalg.norm(errors)))


def _spread(items: np.ndarray, count: int) -> np.ndarray:
    """Some of the items, evenly spread."""
    return items[np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).astype(int))] if len(items) else items
