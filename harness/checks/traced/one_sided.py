"""Where numbers are equal: averages of the gradients all about are conventions, and nothing else is.

At a kink an answer may lie anywhere between the slopes on both sides. Of max(x, y) where x = y that is anything from 0
to 1 for either; but along both together max has slope 1, there and all about, and so has every average of the gradients
all about. An answer of 1 for both is none of these. And of the median of three equal numbers each alone moves nothing:
but all about, one of them has slope 1, and so it may have there.

Source: Clarke, Optimization and Nonsmooth Analysis, 1983, theorem 2.5.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.bounds.program_bound import floor_of
from harness.checks.random_directions import random_directions
from harness.checks.traced.derivative_subject import INCREMENTS
from harness.checks.traced.error_bounds import Seen
from harness.checks.traced.real_coordinates import Claim, Sides, UnitVectors, combined
from harness.verdict.comparison import Answer, Block, Pair, compare
from harness.wording import first_few

if TYPE_CHECKING:
    from harness.checks.traced.derivative_case import Check

MOST_TOGETHER = 64
"""Sets of inputs that are moved together at most."""

PLACES, BESIDE, NEXT_TO = 8, 1e-7, 1e-12
"""Random places about the point, and the same on its other side; how far away, in units of the argument's size, where
an answer is to be accused, and where it is to be excused of what even the function's bending might explain."""

APART = 0.1
"""Slopes all about differ by less than this share of what an answer is off by, or they excuse it."""


@np.errstate(all="ignore")
def moved_together(check: Check, known: np.ndarray) -> list[Pair]:
    """The modes whose derivatives do not add up to the slope along inputs at kinks; each compared with that slope.

    Looked at are sets of inputs along which the function has no kink. `known` says of which combinations of outputs
    something is known.
    """
    rows, size = check.kinks.shape
    sets: dict[bytes, np.ndarray] = {}
    owners: dict[bytes, list[int]] = {}
    for k in np.flatnonzero(known).tolist():
        for members in _sets(check, check.kinks[k]):
            if len(sets) < MOST_TOGETHER or members.tobytes() in sets:
                sets[members.tobytes()] = members
                owners.setdefault(members.tobytes(), []).append(k)
    if not sets:
        return []
    along, judged = np.array(list(sets.values()), float), np.zeros((rows, len(sets)), bool)
    for d, own in enumerate(owners.values()):
        judged[own, d] = True
    blocks = [Block("together", k * len(sets) + np.arange(len(sets))) for k in range(rows)]
    sides, error = check.increments(along, [], Seen(blocks, check.truth.coarsest, judged))
    smooth = judged & ~(2.0 * sides.apart > error)
    truth = check.answer(INCREMENTS, Claim(sides.middle, np.where(smooth, error + sides.apart, np.inf)), blocks)
    found = []
    for answer in check.own:
        pair = compare(_summed(answer, along, rows, size), truth, blocks, check.ordinary)
        off = np.where(pair.at_odds & np.isfinite(pair.difference), pair.difference, 0.0).reshape(smooth.shape)
        wrong = off > _about(check, along, off, truth.gradient.reshape(off.shape)) / APART
        if wrong.any():
            error = np.where(wrong.ravel(), truth.error, np.inf)
            against = Answer(INCREMENTS, INCREMENTS, 0.0, 0.0, truth.gradient, error, oracle=True)
            found.append(compare(_summed(answer, along, rows, size), against, blocks, check.ordinary))
    check.directions = [first_few(np.flatnonzero(x).tolist(), 3, name=check.inputs.label) for x in along] * rows
    return found


def _sets(check: Check, kinks: np.ndarray) -> Iterator[np.ndarray]:
    """All inputs at kinks of a combination, those of each leaf, and those that are equal; two or more of them."""
    point = check.truth.point
    leaves = (np.isin(np.arange(kinks.size), block.indices) for block in check.inputs.blocks)
    equal = (point == value for value in np.unique(point[kinks]))
    for among in (np.ones(kinks.size, bool), *leaves, *equal):
        if (kinks & among).sum() > 1:
            yield kinks & among


def _summed(answer: Answer, along: np.ndarray, rows: int, size: int) -> Answer:
    """An answer's derivatives along the sets."""
    gradient, error = answer.gradient.reshape(rows, size), answer.error.reshape(rows, size)
    sums = (gradient @ along.T).ravel(), (error @ along.T).ravel()
    return Answer(answer.name, answer.family, 0.0, 0.0, *sums, precision=answer.precision)


def _about(check: Check, along: np.ndarray, off: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """How far slopes all about are from those at the point, where an answer is off; infinite where that is unknown."""
    farthest, at = np.zeros(off.shape), np.flatnonzero(off.any(axis=0))
    weights = np.diag(check.weights)[:, None] if check.each else 1.0
    for found in _slopes_about(check, along[at], BESIDE) if at.size else ():
        apart = np.abs(found / weights - slopes[:, at])
        farthest[:, at] = np.maximum(farthest[:, at], np.nan_to_num(apart, nan=np.inf))
    return farthest


def _slopes_about(check: Check, along: np.ndarray, distance: float) -> Iterator[np.ndarray]:
    """(combinations, directions) at each of several points about the one that is checked."""
    truth = check.truth
    size = distance * np.where(truth.point == 0.0, 1.0, np.abs(truth.point))
    places = size * random_directions(PLACES, check.inputs.size, check.seed + 7)
    for place in (*places, *-places):
        yield combined(check.weights, truth.changes(along, truth.run(), truth.point + place))


@np.errstate(all="ignore")
def with_slopes_about(
    check: Check, along: np.ndarray | UnitVectors, claimed: Sequence[np.ndarray], sides: Sides, error: np.ndarray
) -> Sides:
    """Both sides and the slopes all about, where these have a claim between them that is beyond the sides."""
    low, high = sides.middle - sides.apart, sides.middle + sides.apart
    off = [~(np.abs(x - np.clip(x, low, high)) <= 2.0 * error) & np.isfinite(x) for x in claimed]
    odd = np.any([np.zeros(low.shape, bool), *off], axis=0) & np.isfinite(error)
    at = np.flatnonzero(odd.any(axis=0))
    if not at.size:
        return sides
    found = list(_slopes_about(check, along[at], NEXT_TO))
    least, most = np.fmin(low[:, at], np.min(found, axis=0)), np.fmax(high[:, at], np.max(found, axis=0))
    wide = odd[:, at] & (most - least > 2.0 * (sides.apart + error)[:, at])
    for claim in claimed:
        wide &= ~(np.abs(claim[:, at] - np.clip(claim[:, at], least, most)) > error[:, at])
    middle, apart = sides.middle.copy(), sides.apart.copy()
    middle[:, at] = np.where(wide, 0.5 * (least + most), middle[:, at])
    apart[:, at] = np.where(wide, 0.5 * (most - least), apart[:, at])
    return replace(sides, middle=middle, apart=apart)


def with_turned_sides(
    check: Check, along: np.ndarray | UnitVectors, claimed: Sequence[np.ndarray], sides: Sides, seen: Seen
) -> Sides:
    """The sides with those where rounding decides otherwise, unless all claims are some roundings from them."""
    if not any(check.truth.otherwise):
        return sides
    odd = np.full(sides.middle.shape, not claimed)
    for claim in claimed:
        floor = floor_of(claim.ravel(), seen.blocks, check.truth.coarsest).reshape(claim.shape)
        odd |= (np.abs(claim - sides.middle) > sides.apart + floor) & np.isfinite(claim)
    at = np.flatnonzero(odd.any(axis=0))
    if not at.size:
        return sides
    turned = check.truth.sides(along[at], check.weights, check.seed, turned=True)
    middle, apart = sides.middle.copy(), sides.apart.copy()
    middle[:, at], apart[:, at] = turned.middle, turned.apart
    return replace(sides, middle=middle, apart=apart)
