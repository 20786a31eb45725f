"""Derivatives of a cost along coordinates and along directions in groups of them, beside what was reported there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.checks.functions.line_stencil import JUMPS, KINK, Found
from harness.verdict.comparison import Answer, Block

LITTLE = 0.1
"""Beside what jumps hide of one coordinate, errors of others below this share are no evidence."""


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

    @np.errstate(all="ignore")
    def adds_up_to(self, group: Group) -> bool:
        """Whether the derivative along a group's direction follows from the partial derivatives, as of any gradient.

        A median of ties has partial derivatives, which are zero, and yet moves with all parameters together. Judged
        only where every coordinate of the group was differenced one by one.
        """
        indices = group.indices.tolist()
        if len(indices) < 2 or not all(i in self.found for i in indices):
            return True
        if group.found.obstacle == KINK:
            return False
        found = [self.found[i] for i in indices]
        partial, errors = (np.array([getattr(each, of) for each in found]) for of in ("derivative", "error"))
        off = abs(group.found.derivative - group.direction @ partial)
        return not off > group.found.error + np.abs(group.direction) @ errors


def hide_beside_jumps(reported: Answer, found: Mapping[int, Found], blocks: Sequence[Block]) -> dict[int, Found]:
    """The differences, of which some contradict what is reported by little beside what jumps hide in their block.

    The cost jumps wherever θ moves, and a coordinate that moves it little meets none of the jumps on its own line.
    """
    hidden = dict(found)
    for block in blocks:
        known = {i: found[i] for i in block.indices.tolist() if i in found}
        errors = [each.error for each in known.values() if each.obstacle == JUMPS and np.isfinite(each.error)]
        least = LITTLE * max(errors, default=0.0)
        for i, each in known.items():
            if each.error < abs(reported.gradient[i] - each.derivative) - reported.error[i] <= least:
                hidden[i] = each._replace(error=least, obstacle=JUMPS)
    return hidden


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
