"""Which mistake is it? Relations between a wrong derivative and the right one, as facts.

Known bugs leave simple relations behind: a factor, a sign, the same numbers in other places, a multiple of θ, a
constant, zeros. Each relation here is a function of a `Part` and returns a `Fact`, or None where it does not hold. A
kind of check chooses the relations that make sense for its subject, and adds its own.

A relation holds if the rest that it leaves is small (`Part.leaves_little`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations, product
from typing import Any

import numpy as np

from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.verdict.wrong_part import CLOSE, SHARP, Part, join, named

AXES_PERMUTED = 4  # arrays of more dimensions have too many permutations of their axes to try: 5 have 120

SHIFTS = (1, -1, 2, -2)  # off-by-one and off-by-two errors of an index


Relation = Callable[[Part], Fact | None]


def find_relation(candidates: Iterable[Part]) -> Fact | None:
    """The first relation that holds in one of the parts, of which the first is tried first."""
    return next((fact for part in candidates for relation in RELATIONS if (fact := relation(part))), None)


def with_parts_alike(found: Fact | None, parts: Iterable[Part]) -> Fact | None:
    """The relation of one part, with the names of all parts in which the very same holds."""
    if found is None:
        return None
    relations = {part.name: find_relation([part]) for part in parts if part.wrong.any()}
    alike = [name for name, fact in relations.items() if fact and found == replace(fact, where=found.where)]
    return replace(found, where=tuple(alike)) if found.where[0] in alike else found


def diagnose(parts: Sequence[Part], output: str = "") -> tuple[Fact, ...]:
    """The likeliest mistake in parts of which nothing else is known; empty where no relation holds.

    First all wrong parts together are tried, then the last of them alone. `output` names the one of several outputs
    that the parts belong to.
    """
    wrong = [part for part in parts if part.wrong.any()]
    if broken := find_not_finite(wrong):
        return (broken,)
    if not wrong:
        return ()
    whole = join(named(wrong), wrong)
    relation = with_parts_alike(find_relation([whole, wrong[-1]] if len(wrong) > 1 else wrong), wrong)
    if relation and output:
        relation = replace(relation, data={**relation.data, "output": output})
    found = relation or find_single_entry(whole)
    return (found,) if found else ()


def find_not_finite(parts: Iterable[Part]) -> Fact | None:
    """Which parts are wrong by being NaN or infinite."""
    broken = [part.name for part in parts if not np.isfinite(part.value[part.wrong]).all()]
    return note(Kind.NOT_FINITE, *broken) if broken else None


def find_single_entry(whole: Part) -> Fact | None:
    """The error, and the factor if there is one, where only one entry is wrong."""
    if whole.wrong.sum() != 1:
        return None
    value, expected = float(whole.value[whole.wrong][0]), float(whole.expected[whole.wrong][0])
    data = {"error": value - expected, "factor": value / expected if expected else None}
    return note(Kind.SINGLE_ENTRY, whole.name, is_number=whole.value.size == 1, **data)


# -- relations ---------------------------------------------------------------------------------------------------------


def find_zero(part: Part) -> Fact | None:
    """Zero instead of the derivative."""
    if part.value[part.wrong].any() or not part.expected[part.wrong].any():
        return None
    return note(Kind.ZERO, part.name, **part.counts)


def find_sign(part: Part) -> Fact | None:
    """Minus the derivative; or minus what is left of it without the regulariser's share."""
    if part.wrong.sum() < 2:
        return None
    for removed in (np.zeros_like(part.penalty), part.penalty):
        if part.leaves_little((part.value - removed) + (part.expected - removed)):
            return note(Kind.SIGN, part.name, before_regulariser=bool(removed.any()), **_counts(part))
    return None


def find_whole_numbers(part: Part) -> Fact | None:
    """The derivative cut off or rounded to whole numbers."""
    value, expected = part.value[part.known], part.expected[part.known]
    if part.wrong.sum() < 2 or not np.array_equal(value, np.round(value)):
        return None
    is_made = any(np.array_equal(value, make(expected)) for make in (np.trunc, np.round, np.floor))
    return note(Kind.WHOLE_NUMBERS, part.name, **part.counts) if is_made else None


def find_factor(part: Part) -> Fact | None:
    """A multiple of the derivative; or of what is left of it without the regulariser's share."""
    if part.wrong.sum() < 2:
        return None
    for removed in (np.zeros_like(part.penalty), part.penalty):
        # c - 1 is fitted to the difference: near c = 1, value and expected are proportional to within any tolerance
        right = part.expected - removed
        more = part.fit(part.difference, right)
        c = 1.0 + more if abs(more) < 0.5 else part.fit(part.value - removed, right)
        if part.error is None and abs(c) <= CLOSE:
            continue  # nearly zero times a large derivative is close to anything small
        if np.isfinite(c) and part.leaves_little(part.difference - more * right, gain=1.0 + abs(c), sharp=part.sharp):
            data = {"sums": _sums(c, part.examples), "before_regulariser": bool(removed.any())} | _length(part, c)
            return note(Kind.FACTOR, part.name, factor=c, **data, **_counts(part))
    return None


def _counts(part: Part) -> dict[str, int]:
    """The counts for a relation that, with error bounds, holds in right entries as well."""
    return part.counts if part.error is None else {}


def _sums(c: float, m: int | None) -> list[str]:
    """Which mistakes in a mean over m examples make the factor c."""
    if not m or m < 2:
        return []
    factors = {"not-divided": m, "divided-twice": 1.0 / m, "divided-by-one-less": m / (m - 1.0)}
    return [name for name, factor in factors.items() if abs(c - factor) <= CLOSE * abs(factor)]


def _length(part: Part, c: float) -> dict[str, Any]:
    """The length that is c or 1/c, of an axis or of all, where no number of examples is known."""
    whole = c if abs(c) >= 1.5 else 1.0 / c if c else 0.0  # 3 for a sum instead of a mean, and for a mean taken twice
    length = round(whole) if np.isfinite(whole) else 0
    if part.error is None or length < 3 or abs(whole - length) > CLOSE * length:
        return {}
    axes = [axis for axis, n in enumerate(part.value.shape) if n == length]
    if part.value.ndim > 1 and axes:
        return {"length": length, "axis": axes[0]}
    return {"length": length} if part.value.size == length else {}


def find_regulariser(part: Part) -> Fact | None:
    """An error of c θ; with the share of the regulariser, by how much of it the derivative is off."""
    c = part.fit(part.difference, part.theta) if part.wrong.sum() > 1 else np.nan
    if not np.isfinite(c) or c == 0.0 or not part.leaves_little(part.difference - c * part.theta, sharp=part.sharp):
        return None
    multiple = {"multiple": c} | _counts(part)
    if not (m := part.examples):
        return note(Kind.REGULARISER, part.name, strength="penalty", **multiple)
    shares = part.penalty[part.wrong] / part.theta[part.wrong]
    if not shares.any():
        return note(Kind.REGULARISER, part.name, strength="none-belongs", **multiple)
    # the error of c θ, in units of the λ/m θ that belongs there: a missing one is off by -1 of it
    strengths = {"missing": -1.0, "twice": 1.0, "not-divided": m - 1.0, "half": -0.5}
    ratio = float(c / shares.max())
    fitting = [name for name, known in strengths.items() if abs(ratio - known) <= CLOSE * max(1.0, abs(known))]
    return note(Kind.REGULARISER, part.name, strength=fitting[0] if fitting else "off", ratio=ratio, **multiple)


def find_constant(part: Part) -> Fact | None:
    """The same absolute error in all entries."""
    if part.wrong.sum() < 3:
        return None
    c = float(np.median(part.difference[part.compared]))  # which one entry with another mistake does not move
    if not part.leaves_little(part.difference - c, sharp=part.sharp):
        return None
    return note(Kind.CONSTANT_ERROR, part.name, error=c, **_counts(part))


def find_symmetrised(part: Part) -> Fact | None:
    """The mean or the sum of the derivative in a square matrix and its transpose."""
    if part.value.ndim < 2 or part.value.shape[-1] != part.value.shape[-2]:
        return None
    both = part.expected + np.swapaxes(part.expected, -1, -2)
    for made, combination in ((0.5 * both, "mean"), (both, "sum")):
        if part.leaves_little(part.value - made, gain=2.0, everywhere=True):
            return note(Kind.SYMMETRISED, part.name, combination=combination)
    return None


def find_rearranged(part: Part) -> Fact | None:
    """The right numbers in other places, moved in a regular way, swapped, or else."""
    if part.value.size < 2 or np.ptp(part.value) == 0.0:
        return None
    # the k-th smallest number that was reported, in the place of the k-th smallest that is right
    sorted_back = np.empty(part.value.size)
    sorted_back[np.argsort(part.expected, axis=None)] = np.sort(part.value, axis=None)
    rest = sorted_back.reshape(part.value.shape) - part.expected
    same_numbers = part.known.all() and part.leaves_little(rest, sharp=SHARP, everywhere=True)
    if part.error is None and not same_numbers:
        return None  # saves the moves below, which take much longer than sorting
    # one number or two are moved by some shift or other
    for data, back in _moves(part.value) if np.count_nonzero(part.value) > 2 else ():
        if part.leaves_little(back - part.expected, everywhere=True):
            return note(Kind.REARRANGED, part.name, **data)
    if not same_numbers:
        return None
    return note(Kind.REARRANGED, part.name, move="swapped" if part.wrong.sum() == 2 else "irregular")


def _moves(value: np.ndarray) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """The regular ways in which arrays are mixed up, and the array with each of them undone."""
    shape, axes = value.shape, range(value.ndim)
    if 1 < value.ndim <= AXES_PERMUTED:
        for order in list(permutations(axes))[1:]:
            if tuple(shape[axis] for axis in order) == shape:
                yield {"move": "transposed", "axes": list(order)}, np.transpose(value, np.argsort(order))
            else:
                back = np.transpose(value.reshape([shape[axis] for axis in order]), np.argsort(order))
                yield {"move": "unrolled", "axes": list(order)}, back
    for is_flipped in product((False, True), repeat=min(value.ndim, AXES_PERMUTED)):
        if chosen := [axis for axis, flipped in zip(axes, is_flipped) if flipped]:
            yield {"move": "reversed", "axes": chosen}, np.flip(value, tuple(chosen))
    for axis, step in product(axes, SHIFTS):
        if shape[axis] > abs(step):
            yield {"move": "shifted", "axes": [axis], "by": step}, np.roll(value, -step, axis)


def find_rearranged_matrix(part: Part) -> Fact | None:
    """The same in a matrix, with or without the regulariser's share; in several parts at once, only a swap."""
    found = find_rearranged(part)
    if not found and part.penalty.any():
        found = find_rearranged(replace(part, value=part.value - part.penalty, expected=part.expected - part.penalty))
    is_clear = found and (found.data["move"] == "swapped" or part.value.ndim == 2)
    return found if is_clear else None  # of several layers in one vector, the layer by itself shows more


def find_float32_digits(part: Part) -> Fact | None:
    """Errors as small as those of float32 in most entries."""
    off, size = np.abs(part.difference).max(), np.abs(part.expected[part.wrong]).max(initial=0.0)
    if 2 * part.wrong.sum() > part.wrong.size > 2 and 1e-10 * size < off < 1e-6 * size:
        return note(Kind.FLOAT32_DIGITS, part.name, relative_error=float(off / size))
    return None


def find_sign_lost(part: Part) -> Fact | None:
    """The absolute value of the derivative, where some are positive, and so right."""
    absolute = np.where(part.expected < 0.0, -part.value, part.value)
    has_positive = (part.expected[part.known & ~part.wrong] > 0.0).any()
    is_lost = has_positive and part.leaves_little(absolute - part.expected) and (part.value[part.wrong] > 0.0).all()
    return note(Kind.SIGN_LOST, part.name) if is_lost else None


def find_squared(part: Part) -> Fact | None:
    """The square of the derivative, where that is not zero: of zeros and ones everything is the square."""
    of_square = None if part.error is None else (1.0 + 2.0 * np.abs(part.expected)) * part.error
    squares = replace(part, error=of_square)
    is_squared = squares.leaves_little(part.value - part.expected**2) and (part.expected[part.wrong] != 0.0).all()
    return note(Kind.SQUARED, part.name) if is_squared else None


def find_clipped(part: Part) -> Fact | None:
    """The derivative cut off at ± a limit, which all wrong entries have, and which no entry exceeds."""
    sizes = np.abs(part.value)
    limit = float(sizes[part.wrong][0])
    is_at_limit = (sizes == limit) & (np.sign(part.value) == np.sign(part.expected))
    is_beyond = np.abs(part.expected) > limit - part.bound
    if limit == 0.0 or part.wrong.sum() < 3 or part.wrong[part.known].all():
        return None
    if not (is_at_limit & is_beyond)[part.wrong].all() or (sizes > limit)[part.known].any():
        return None
    return note(Kind.CLIPPED, part.name, limit=limit)


def find_factor_by_slice(part: Part) -> Fact | None:
    """A factor of its own for each slice along an axis."""
    for axis in range(part.value.ndim if part.value.ndim > 1 else 0):
        slices = [part.at(part.name, (*[slice(None)] * axis, i)) for i in range(part.value.shape[axis])]
        if min(each.compared.sum() for each in slices) < 2:
            continue
        # each slice has a fitted number of its own, so that two known entries in each are what can fail
        factors = np.array([each.fit(each.value, each.expected) for each in slices])
        more = np.expand_dims(factors - 1.0, [k for k in range(part.value.ndim) if k != axis])
        gain = 1.0 + float(np.abs(factors).max())
        if np.isfinite(gain) and part.leaves_little(part.difference - more * part.expected, gain=gain, sharp=SHARP):
            wrong = [i for i, each in enumerate(slices) if each.wrong.any()]
            return note(Kind.FACTOR_BY_SLICE, part.name, axis=axis, factors=factors.tolist(), wrong=wrong)
    return None


RELATIONS: tuple[Relation, ...] = (
    find_zero,
    find_sign_lost,
    find_sign,
    find_clipped,
    find_factor,
    find_regulariser,
    find_constant,
    find_float32_digits,
    find_symmetrised,
    find_rearranged_matrix,
)
"""What `find_relation` tries, in this order."""

LEFT_BY_DELTA = frozenset({Kind.ZERO, Kind.SIGN, Kind.FACTOR})
"""Relations that an error in δ leaves, which is carried down: layers nearer to the output are right."""
