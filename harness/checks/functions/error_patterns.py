"""Which mistake fits the error in a user's gradient: relations, block by block, and what is special to θ of blocks.

Nothing is known of the function, so a relation is reported where it holds in every coordinate that was examined, to
within the error bounds. Where none holds, only the place, the number and the size of the errors are reported.
"""

from collections.abc import Sequence

import numpy as np

from harness.checks.functions.cost_noise import holds_float32
from harness.checks.functions.parameters import TreeLayout
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.verdict import relations
from harness.verdict.comparison import Answer
from harness.verdict.wrong_part import SHARP_ENOUGH, Part, join, named
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

BLOCKS_SHOWN = 3

FEW_OF_FLOAT32 = 16.0 * UNIT_ROUNDOFF["float32"]
"""Errors of a few roundings of float32, as a share of the derivatives: 1e-6."""

FEWEST_OF_FLOAT32 = 2.0**-4 * UNIT_ROUNDOFF["float32"]
"""The largest of several errors that float32 leaves is hardly smaller."""

APPROXIMATE = 1e-2
"""Errors below this share of the largest derivative in an array may be left by a solver that stops at a tolerance."""

EVEN, MOSTLY_EVEN = 1e-3, 1e-2
"""One entry right to the first share of the largest error, or most to the second, show that no solver made that: one
leaves errors everywhere."""

FITTED: tuple[relations.Relation, ...] = (
    relations.find_factor,
    relations.find_regulariser,
    relations.find_constant,
    relations.find_rearranged,
    relations.find_sign_lost,
    relations.find_squared,
    relations.find_clipped,
)
"""Relations with a fitted number, or that few entries satisfy by chance. If several hold, none is taken for the
cause."""


@np.errstate(all="ignore")
def explain(
    layout: TreeLayout, theta: np.ndarray, wrong: Answer, right: Answer, at_odds: np.ndarray, scatter: np.ndarray
) -> tuple[Fact, ...]:
    """The mistakes in the first blocks that are wrong; in all blocks together, where one relation holds for them.

    `right` are the differences, NaN where a coordinate was not examined, and `scatter` (n,) is how far the reported
    gradient jumps when θ moves by some roundings.
    """
    columns = (wrong.gradient, right.gradient, theta, np.zeros(layout.size), at_odds)
    parts = [_part(layout, block.name, block.indices, columns, wrong.error + right.error) for block in layout.blocks]
    bad = [part for part in parts if part.wrong.any()]
    if mixed_up := _find_mixed_up(bad, parts):
        return (mixed_up,)
    if len(bad) > 1:  # one mistake in all blocks is likelier than the same one in each
        name = "the gradient" if len(bad) == len(parts) else named(bad)
        if together := find_relations(join(name, bad)):
            return together
    tolerance = _find_tolerance(bad)
    facts = [
        fact
        for part in bad[:BLOCKS_SHOWN]
        for fact in _explain_part(part, layout, scatter, is_alone=len(bad) == 1, is_single=not tolerance)
    ]
    # a relation says more; the only entry that is known is a single one in any case
    vague = {Kind.WRONG_ENTRIES, Kind.SINGLE_ENTRY, Kind.FLOAT32_DIGITS}
    if any(holds_float32(part.value) for part in bad):
        vague.remove(Kind.FLOAT32_DIGITS)
    if tolerance and vague.issuperset(fact.kind for fact in facts):
        facts.insert(0, tolerance)
    if (more := len(bad) - BLOCKS_SHOWN) > 0:
        facts.append(note(Kind.NOT_LISTED, count=more, what="wrong blocks"))
    return tuple(facts)


def _part(layout: TreeLayout, name: str, indices: np.ndarray, columns: Sequence[np.ndarray], error: np.ndarray) -> Part:
    arrays = [column[indices].reshape(layout.shapes[name]) for column in columns]
    known = np.isfinite(arrays[1])
    counts = int(arrays[-1].sum()), int(known.sum() - arrays[-1].sum()) if arrays[0][known].any() else 0
    return Part(name, *arrays, entries=counts, error=error[indices].reshape(layout.shapes[name]))


def _find_tolerance(bad: Sequence[Part]) -> Fact | None:
    """The share of the derivatives that a solver's tolerance would leave as errors, and the accuracy that accepts it.

    None where an error is too large beside the entries that are wrong, or less than a rounding of the largest entry; or
    where right entries of the same array show that no solver made the others'.
    """
    share = 0.0
    for part in bad:
        size, of_wrong = (float(np.abs(part.expected[at]).max()) for at in (part.known, part.wrong))
        off = np.abs(part.difference)
        largest, right = float(off[part.wrong].max()), part.known & ~part.wrong
        if not UNIT_ROUNDOFF["float64"] * size < largest <= APPROXIMATE * of_wrong:
            return None
        shown = (off + part.bound) / largest
        if (shown[right] <= EVEN).any() or 2 * (shown[right] <= MOSTLY_EVEN).sum() > part.known.sum():
            return None
        share = max(share, largest / size)
    accuracy = 10.0 ** np.ceil(np.log10(2.0 * share))  # other θ leave other errors
    return note(Kind.SMALL_ERROR, *(part.name for part in bad), share=share, accuracy=float(accuracy))


def find_relations(part: Part) -> tuple[Fact, ...]:
    """The relations between the reported and the right derivatives that hold; several are alternatives."""
    broken = part.wrong & ~np.isfinite(part.value)
    if broken.any():
        wrong = int(broken.sum())
        counts = {"wrong": wrong, "right": 0 if (broken == part.wrong).all() else int(part.known.sum()) - wrong}
        return (note(Kind.NOT_FINITE, part.name, **counts),)
    if part.wrong.sum() < 2:
        return ()
    # relations without a fitted number, of which another would be true as well: 0 is also 0 times the derivative
    if plain := relations.find_zero(part) or relations.find_sign(part) or relations.find_whole_numbers(part):
        return (plain,)
    found = [fact for relation in FITTED if (fact := relation(part))]
    if len(found) > 1:
        first, *others = (Fact(fact.kind, fact.severity, fact.where, _without_cause(fact)) for fact in found)
        return first, *(note(fact.kind, *fact.where, **fact.data, alternative=True) for fact in others)
    if found and not part.expected[part.known].any():  # the cost is constant in all of them
        return found[0], note(Kind.FLAT_COST, part.name)
    by_slice = None if found else relations.find_factor_by_slice(part)
    return tuple(found) or ((by_slice,) if by_slice else ())


def _without_cause(fact: Fact) -> dict:
    """The data of a relation without the mistake that they suggest."""
    causes = ("length", "axis") if fact.kind == Kind.FACTOR else ("strength",) if fact.kind == Kind.REGULARISER else ()
    return {name: value for name, value in fact.data.items() if name not in causes}


def _explain_part(
    part: Part, layout: TreeLayout, scatter: np.ndarray, *, is_alone: bool, is_single: bool
) -> tuple[Fact, ...]:
    (indices,) = (block.indices for block in layout.blocks if block.name == part.name)
    wrong, known = int(part.wrong.sum()), int(part.known.sum())
    jumps, off = scatter[indices].reshape(part.wrong.shape), np.abs(part.difference)
    # a value that is wrong at one point alone jumps twice its error: to the right value next to θ, and back
    is_at_theta = (np.abs(jumps - 2.0 * off) <= 1e-3 * off + 4.0 * part.bound) & (part.bound <= SHARP_ENOUGH * off)
    is_at_theta &= np.isfinite(off)
    at_theta = (note(Kind.WRONG_AT_POINT, part.name),) if is_at_theta[part.wrong].all() else ()
    if wrong == 1 and (is_single or known == 1):
        label = layout.label(int(indices[np.flatnonzero(part.wrong.ravel())[0]]))
        return _explain_entry(part, label, known, is_alone), *at_theta, *(_find_float32(part) if known == 1 else ())
    if found := find_relations(part):
        return found
    largest = float(off[part.wrong].max())
    entries = note(Kind.WRONG_ENTRIES, *_places(part), wrong=wrong, known=known, largest=largest)
    if at_theta:
        return entries, *at_theta
    # what is off by as much as it jumps from one rounding of θ to the next has lost its digits
    if (4.0 * jumps + part.bound >= off)[part.wrong].all():
        return entries, note(Kind.DIGITS_LOST, part.name)
    return entries, *_find_float32(part)


def _find_float32(part: Part) -> tuple[Fact, ...]:
    """That the errors are those of float32: of its numbers, or of what else was computed from them."""
    largest, size = (float(np.abs(x[part.wrong]).max()) for x in (part.difference, part.expected))
    is_likely = 2 * part.wrong.sum() > part.known.sum() and largest >= FEWEST_OF_FLOAT32 * size
    is_made = largest <= FEW_OF_FLOAT32 * size and (is_likely or holds_float32(part.value))
    return (note(Kind.FLOAT32_DIGITS, part.name, relative_error=largest / size),) if is_made else ()


def _explain_entry(part: Part, label: str, known: int, is_alone: bool) -> Fact:
    """What is wrong with the only entry of a part that is, and perhaps of the gradient."""
    value, right, error = (float(x[part.wrong][0]) for x in (part.value, part.expected, part.bound))
    counts = {"wrong": 1, "right": known - 1}
    if not np.isfinite(value):
        return note(Kind.NOT_FINITE, label, **counts)
    if value == 0.0:
        return note(Kind.ZERO, label, **counts)
    if abs(value + right) <= 2.0 * error and error <= SHARP_ENOUGH * abs(right):
        return note(Kind.SIGN, label, **counts)
    has_factor = error <= SHARP_ENOUGH * min(abs(value - right), abs(right)) and right != 0.0
    factor = value / right if has_factor else None
    if known == 1 and not is_alone:
        return note(Kind.WRONG_ENTRIES, label, wrong=1, known=1, largest=abs(value - right), factor=factor)
    among = None if is_alone else part.name
    return note(Kind.SINGLE_ENTRY, label, error=value - right, factor=factor, among=among, **counts)


def _places(part: Part) -> tuple[str, ...]:
    """The part, and the one slice of it that holds all its errors, if there is one, such as "W[:, 3]"."""
    places = np.argwhere(part.wrong)
    for axis in range(part.wrong.ndim if part.wrong.ndim > 1 else 0):
        index = places[0, axis]
        known = np.take(part.known, index, axis=axis)
        if (places[:, axis] == index).all() and np.take(part.wrong, index, axis=axis).sum() == known.sum():
            position = ", ".join(str(index) if k == axis else ":" for k in range(part.wrong.ndim))
            return part.name, f"{part.name}[{position}]"
    return (part.name,)


def _find_mixed_up(bad: Sequence[Part], parts: Sequence[Part]) -> Fact | None:
    """A block that holds the derivatives of another of its size."""
    for part in bad:
        for other in parts:
            if other is not part and _holds(part, other):
                is_swapped = bool(other.wrong.any()) and _holds(other, part)
                return note(Kind.BLOCK_OF_ANOTHER, part.name, other.name, swapped=is_swapped)
    return None


def _holds(part: Part, other: Part) -> bool:
    """Whether a part reports the derivatives of another one."""
    if part.value.size != other.value.size or part.value.size < 2 or np.ptp(part.value) == 0.0 or not other.known.any():
        return False
    off = np.abs(part.value.reshape(other.value.shape) - other.expected)
    # within wide bounds any block would hold the derivatives of any other
    could_fail = np.median((part.bound / np.abs(part.difference))[part.wrong]) <= SHARP_ENOUGH
    return bool(could_fail and (off <= 2.0 * other.bound)[other.known].all())
