"""What kind of bug would make this difference? The shape of the error in somebody's gradient, block by block, in words.

Nothing is known of the function, so nothing is said of layers, targets or precision: a relation between the claimed and
the right values is named where it holds in every coordinate that was examined, to within the error bars, and where
these are so small beside the error that it could have failed. Else only where, how many and how far.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from harness.checks.functions.parameters import Layout
from harness.facts.relation_messages import times
from harness.verdict.comparison import Answer
from harness.wording import first_few

SHARP = 1e-3
"""A relation with a number fitted to it is named where error bars are below this share of the error, at the median."""

SHARP_ENOUGH = 0.05
"""The same for a relation without one."""

SHOWN = 3

APPROXIMATE = 1e-5
"""Errors below this share of the derivatives may come of a cost or gradient that is computed to a tolerance."""

Words = tuple[str, str] | None
"""What holds, and how that is to be read if nothing else holds; None where it does not."""

LARGEST_DIMENSION = 4
"""Arrays of more dimensions have too many permutations of their axes to try."""


@dataclass(frozen=True, eq=False)
class Part:
    """One block, as arrays of its shape.

    Attributes
    ----------
    claimed : what was claimed of all coordinates
    right, error : what differences say, NaN where they were not asked, and how far both together may be off
    theta : the parameters
    wrong : where the claim is at odds
    """

    name: str
    claimed: np.ndarray
    right: np.ndarray
    error: np.ndarray
    theta: np.ndarray
    wrong: np.ndarray

    @property
    def examined(self) -> np.ndarray:
        return np.isfinite(self.right)

    @property
    def off(self) -> np.ndarray:
        return self.claimed - self.right

    def fits(self, predicted: np.ndarray, gain: float = 1.0, sharp: float = SHARP_ENOUGH) -> bool:
        """Whether the right values are these, wherever they were examined, to within `gain` error bars."""
        seen, wrong = self.examined, self.wrong
        error = (1.0 + gain) * self.error
        if not np.isfinite(predicted[seen]).all() or not np.median(error[wrong] / np.abs(self.off[wrong])) <= sharp:
            return False
        return bool((np.abs(predicted - self.right)[seen] <= error[seen]).all())


def explain(
    layout: Layout, theta: np.ndarray, wrong: Answer, right: Answer, at_odds: np.ndarray, scatter: np.ndarray
) -> str:
    """What is wrong, in a clause for each of the first blocks that are; all blocks together where one clause holds."""
    with np.errstate(all="ignore"):
        arrays = (wrong.gradient, right.gradient, wrong.error + right.error, theta, at_odds)
        parts = [
            Part(block.name, *(array[block.indices].reshape(layout.shapes[block.name]) for array in arrays))
            for block in layout.blocks
        ]
        bad = [part for part in parts if part.wrong.any()]
        if mixed_up := _mixed_up(bad, parts):
            return mixed_up
        if len(bad) > 1 and (together := _relation(_joined(bad))):
            return f"the gradient: {together}" if len(bad) == len(parts) else f"{_names(bad)}: {together}"
        told = [
            _clause(part, layout, block.indices, scatter) for part, block in zip(parts, layout.blocks) if part in bad
        ]
        return "; ".join(told[:SHOWN]) + (f"; and {len(told) - SHOWN} more blocks" if len(told) > SHOWN else "")


def _names(parts: Sequence[Part]) -> str:
    return first_few([part.name for part in parts], SHOWN)


def _joined(parts: Sequence[Part]) -> Part:
    fields = ("claimed", "right", "error", "theta", "wrong")
    together = (np.concatenate([getattr(part, field).ravel() for part in parts]) for field in fields)
    return Part("the gradient", *together)


def _clause(part: Part, layout: Layout, indices: np.ndarray, scatter: np.ndarray) -> str:
    wrong, seen = int(part.wrong.sum()), int(part.examined.sum())
    jumps = scatter[indices].reshape(part.wrong.shape)
    alone = np.isfinite(part.off) & (
        np.abs(jumps - 2.0 * np.abs(part.off)) <= 1e-3 * np.abs(part.off) + 4.0 * part.error
    )
    if wrong == seen == 1 and part.wrong.size == 1:
        return f"{part.name}: {_single(part)}" + _at_this_point(alone, part)
    if wrong == 1 < seen:
        label = layout.label(int(indices[np.flatnonzero(part.wrong.ravel())[0]]))
        return f"{label} alone of {seen} examined: {_single(part)}" + _at_this_point(alone, part)
    if relation := _relation(part):
        return f"{part.name}: {relation}"
    off = np.abs(part.off[part.wrong])
    far = f", by up to {off.max():.3g}" if np.isfinite(off).all() else ""
    why, share = _at_this_point(alone, part), off.max() / np.abs(part.right[part.wrong]).max()
    if not why and (4.0 * jumps + part.error >= np.abs(part.off))[part.wrong].all():
        why = "; it scatters as much when θ moves by a rounding, as where digits are lost to cancellation"
    if not why and share <= APPROXIMATE:
        why = f", {share:.1g} of the largest: the tolerance of a solver or an approximation may leave as much"
    count = f"all {seen}" if wrong == seen else f"{wrong} of {seen}"
    return f"{part.name}: {count} examined coordinates are wrong{_where(part)}{far}{why}"


def _at_this_point(alone: np.ndarray, part: Part) -> str:
    return "; beside this θ it is right, so only its value at this very θ is wrong" if alone[part.wrong].all() else ""


def _single(part: Part) -> str:
    claimed, right = float(part.claimed[part.wrong][0]), float(part.right[part.wrong][0])
    if not np.isfinite(claimed):
        return "not finite, although the derivative is"
    if claimed == 0.0:
        return f"zero where it should not be (but {right:.6g})"
    error = float(part.error[part.wrong][0])
    if abs(claimed + right) <= 2.0 * error and error <= SHARP_ENOUGH * abs(right):
        return "the sign is wrong"
    is_known = error <= SHARP_ENOUGH * abs(claimed - right) and right
    return f"off by {claimed - right:.3g}" + (f", {times(claimed / right)} the right value" if is_known else "")


def _where(part: Part) -> str:
    """The one slice that holds all that is wrong, if there is one."""
    places = np.argwhere(part.wrong)
    for axis in range(part.wrong.ndim if part.wrong.ndim > 1 else 0):
        index = places[0, axis]
        inside = np.take(part.examined, index, axis=axis)
        if (places[:, axis] == index).all() and np.take(part.wrong, index, axis=axis).sum() == inside.sum():
            position = ", ".join(str(index) if k == axis else ":" for k in range(part.wrong.ndim))
            return f", all of them in {part.name}[{position}]"
    return ""


# -- relations ---------------------------------------------------------------------------------------------------------


def _relation(part: Part) -> str:
    """The relations that hold between the claimed and the right values: of more than one, none is taken for a cause."""
    broken = part.wrong & ~np.isfinite(part.claimed)
    if broken.any():
        every = (
            "" if (broken == part.wrong).all() else f" in {int(broken.sum())} of {int(part.examined.sum())} examined"
        )
        return f"not finite{every}, although the derivative is"
    if part.wrong.sum() < 2:
        return ""
    if plain := _zero(part) or _sign(part):
        return plain
    told = [words for relation in _RELATIONS if (words := relation(part))]
    if len(told) > 1:
        return " or, which is the same here, ".join(fact for fact, _ in told)
    if not told:
        return _factor_of_each(part)
    fact, reading = told[0]
    return fact + (reading if part.right[part.examined].any() else ", where the cost does not change at all")


def _zero(part: Part) -> str:
    if part.claimed[part.wrong].any() or not part.right[part.wrong].any():
        return ""
    some = f" in {int(part.wrong.sum())} of {part.examined.sum()} examined" if part.claimed[part.examined].any() else ""
    return f"zero where it should not be{some}"


def _sign(part: Part) -> str:
    return "the sign is wrong" if part.fits(-part.claimed) else ""


def _fit(y: np.ndarray, x: np.ndarray, error: np.ndarray) -> float:
    """c with y = c x, weighed by the error bars."""
    weight = 1.0 / np.maximum(error, 1e-12 * np.abs(y).max(initial=0.0) + 1e-300)
    weight /= weight.max(initial=0.0)
    x, y = x * weight, y * weight
    size = np.abs(x).max(initial=0.0)  # numbers of 1e200 have no squares
    return float(np.vdot(x / size, y / size) / np.vdot(x / size, x / size)) if size else np.nan


def _factor(part: Part) -> Words:
    # of the difference, for near a factor of 1 the values are proportional to a factor of anything
    seen = part.examined
    more = _fit(part.off[seen], part.right[seen], part.error[seen])
    c = 1.0 + more
    if not np.isfinite(c) or c == 0.0 or not part.fits(part.claimed - more * part.right, 1.0 + abs(c), SHARP):
        return None
    return f"{times(c)} the right value", _named(c, part)


def _named(c: float, part: Part) -> str:
    whole = c if abs(c) >= 1.5 else 1.0 / c
    if abs(whole - round(whole)) > 1e-6 * abs(whole) or whole < 2.5:
        return ""
    what = "a sum in the place of a mean" if c > 1.0 else "a mean taken twice, or in the place of a sum,"
    axes = [axis for axis, length in enumerate(part.claimed.shape) if length == round(whole)]
    if part.claimed.ndim > 1 and axes:
        return f", and {round(whole)} is the length of its axis {axes[0]}: as {what} makes it"
    if part.claimed.size == round(whole):
        return f", and {round(whole)} is how many there are: as {what} makes it"
    return ""


def _multiple_of_theta(part: Part) -> Words:
    seen = part.examined
    c = _fit(part.off[seen], part.theta[seen], part.error[seen])
    if not np.isfinite(c) or c == 0.0 or not part.fits(part.claimed - c * part.theta, 1.0, SHARP):
        return None
    return f"off by {c:.6g} times θ", ", as the derivative of a penalty c θ² is"


def _constant(part: Part) -> Words:
    c = float(np.median(part.off[part.examined]))
    if part.wrong.sum() > 2 and part.fits(part.claimed - c, 1.0, SHARP):
        return f"off by the same {c:.6g} everywhere", ""
    return None


def _size_alone(part: Part) -> Words:
    fits = part.fits(np.where(part.right < 0.0, -part.claimed, part.claimed))
    return ("the size is right, the sign is lost", "") if fits and (part.claimed[part.wrong] > 0.0).all() else None


def _squares(part: Part) -> Words:
    seen = part.examined
    allowed = 2.0 * (1.0 + 2.0 * np.abs(part.right)) * part.error
    same = (np.abs(part.claimed - part.right**2) <= allowed)[seen].all()
    sharp = np.median((allowed / np.abs(part.off))[part.wrong]) <= SHARP_ENOUGH
    # of zeros and ones everything is the square
    return ("the squares of the right values", "") if same and sharp and (part.right[part.wrong] != 0.0).all() else None


def _clipped(part: Part) -> Words:
    seen, sizes = part.examined, np.abs(part.claimed)
    limit = float(sizes[part.wrong][0])
    beyond = np.abs(part.right) > limit - part.error
    same = (sizes == limit) & (np.sign(part.claimed) == np.sign(part.right))
    if limit == 0.0 or part.wrong.sum() < 3 or not (same & beyond)[part.wrong].all() or (sizes > limit)[seen].any():
        return None
    return None if part.wrong[seen].all() else (f"clipped at {limit:.6g}", "")


def _moved(part: Part) -> Words:
    """The right numbers in other places: the claim, moved back, is right wherever it was examined."""
    if part.claimed.size < 2 or np.ptp(part.claimed) == 0.0:
        return None
    moves = _moves(part.claimed) if np.count_nonzero(part.claimed) > 2 else ()  # some shift fits one number or two
    if told := next((words for words, moved in moves if part.fits(moved)), ""):
        return f"right, but {told}", ""
    if part.examined.all() and part.claimed.size > 2:
        order = np.argsort(part.right, axis=None)
        back = np.empty(part.claimed.size)
        back[order] = np.sort(part.claimed, axis=None)
        if part.fits(back.reshape(part.claimed.shape), sharp=SHARP):
            return "the right numbers in other places", ""
    return None


def _moves(claimed: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The ways in which arrays are mixed up, undone."""
    shape, axes = claimed.shape, range(claimed.ndim)
    if 1 < claimed.ndim <= LARGEST_DIMENSION:
        for order in list(permutations(axes))[1:]:
            if tuple(shape[axis] for axis in order) == shape:
                named = "transposed" if claimed.ndim == 2 else f"its axes are in the order {order}"
                yield named, np.transpose(claimed, np.argsort(order))
            else:
                named = "row by row for column by column" if claimed.ndim == 2 else f"as if its axes were {order}"
                back = np.transpose(claimed.reshape([shape[axis] for axis in order]), np.argsort(order))
                yield f"unrolled in another order, {named}", back
    for flipped in product((False, True), repeat=min(claimed.ndim, LARGEST_DIMENSION)):
        chosen = tuple(axis for axis, is_flipped in zip(axes, flipped) if is_flipped)
        if chosen:
            where = "" if claimed.ndim == 1 else f" along axis {', '.join(map(str, chosen))}"
            yield f"in reverse order{where}", np.flip(claimed, chosen)
    for axis, step in product(axes, (1, -1, 2, -2)):
        if shape[axis] > abs(step):
            where = "" if claimed.ndim == 1 else f" along axis {axis}"
            yield f"shifted by {step}{where}", np.roll(claimed, -step, axis)


def _factor_of_each(part: Part) -> str:
    """A factor for each slice along an axis."""
    for axis in range(part.claimed.ndim if part.claimed.ndim > 1 else 0):
        slices = [np.moveaxis(array, axis, 0) for array in (part.claimed, part.right, part.error)]
        factors, back = [], np.full_like(slices[0], np.nan)
        for i, (claimed, right, error) in enumerate(zip(*slices)):
            seen = np.isfinite(right)
            if seen.sum() < 2:
                break
            factors.append(_fit(claimed[seen], right[seen], error[seen]))
            back[i] = claimed - (factors[-1] - 1.0) * right
        else:
            gain = 1.0 + max(map(abs, factors), default=0.0)
            if np.isfinite(gain) and part.fits(np.moveaxis(back, 0, axis), gain, SHARP):
                values = first_few([f"{c:.6g}" for c in factors], 4)
                return f"each slice along axis {axis} has a factor of its own ({values} times the right value)"
    return ""


_RELATIONS: tuple[Callable[[Part], Words], ...] = (
    _factor,
    _multiple_of_theta,
    _constant,
    _moved,
    _size_alone,
    _squares,
    _clipped,
)


def _mixed_up(bad: Sequence[Part], parts: Sequence[Part]) -> str:
    """A block that holds what belongs to another of its size."""
    for part in bad:
        for other in parts:
            if other is not part and _holds(part, other):
                swapped = other.wrong.any() and _holds(other, part)
                return f"{part.name} and {other.name} are swapped" if swapped else f"{part.name}: that of {other.name}"
    return ""


def _holds(part: Part, other: Part) -> bool:
    if part.claimed.size != other.claimed.size or part.claimed.size < 2 or np.ptp(part.claimed) == 0.0:
        return False
    claimed, seen = part.claimed.reshape(other.claimed.shape), other.examined
    sharp = np.median(part.error[part.wrong] / np.abs(part.off[part.wrong])) <= SHARP_ENOUGH
    return bool(sharp and seen.any() and (np.abs(claimed - other.right)[seen] <= 2.0 * other.error[seen]).all())
