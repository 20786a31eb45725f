"""Which mistake of a derivative rule explains a difference, by the numbers alone.

Beside the relations of `harness.verdict.relations`, a derivative rule has mistakes of its own: with its cotangent, with
transposes and conjugates, with the branches of its function, and with a dtype that is lost on the way.
"""

from typing import NamedTuple

import numpy as np

from harness.bounds.program_bound import SMALLEST
from harness.checks.traced.derivative_case import REFERENCE
from harness.checks.traced.real_coordinates import Coordinates
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block
from harness.verdict.relations import CLOSE, Part, diagnose

NARROW_TYPES = {"bfloat16": 8, "float16": 11, "float32": 24}
"""The significant bits of types that a derivative may be rounded to by mistake."""

FEWEST_FOR_BRANCH = 5
"""Fewer entries lie on both sides of a number by chance: of four, two of them wrong, every third time; of eight, four
of them wrong, once in 35."""


class Tables(NamedTuple):
    """Wrong and right derivatives, and where they differ, as (combinations, inputs) arrays."""

    given: np.ndarray
    expected: np.ndarray  # zero where it is no larger than its error: nothing there has a factor
    differs: np.ndarray  # mask of where they differ by more than their error bounds
    rows: np.ndarray  # (combinations,) mask of those that are wrong; of random ones the first alone

    def count_wrong(self, rows: np.ndarray, columns: np.ndarray) -> tuple[int, int]:
        """How many of some derivatives are wrong, and how many right that would not be with the same relative error.

        Others are neither: an error of their own size would be too small to see.
        """
        place = np.ix_(rows, columns)
        return int(self.differs[place].sum()), int(self.surely_right(rows, columns).sum())

    def surely_right(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Mask of derivatives that are right, and would not be with the relative error of those that are wrong."""
        given, expected, differs = (x[np.ix_(rows, columns)] for x in (self.given, self.expected, self.differs))
        off, size = np.abs(given - expected), np.abs(expected)
        # zeros have no relative error, and NaN has none
        known = differs & (size > 0.0) & np.isfinite(off)
        if not known.any():
            return np.zeros(differs.shape, bool)
        share = np.min(off[known] / size[known])  # the smallest relative error of what is wrong
        return ~differs & (share * size >= CLOSE * off[known].max()) & (off < 0.5 * share * size)


def find_mistakes(
    coordinates: Coordinates, wrong: Answer, right: Answer, at_odds: np.ndarray, *, in_float64: bool = False
) -> tuple[Fact, ...]:
    """The mistakes that explain a difference; empty where none is known.

    The most special come first: a conjugate is also an array of signs, and a type that was lost also a factor.
    `in_float64` says that a rule's evaluation was compared, whose small errors are allowed: what looks right in it
    marks no branch, and is not counted.
    """
    each = coordinates.combinations.each
    expected = np.where(np.abs(right.gradient) > np.maximum(right.error, SMALLEST), right.gradient, 0.0)
    size = coordinates.inputs.size
    given, expected, differs = (x.reshape(-1, size) for x in (wrong.gradient, expected, at_odds))
    rows = np.asarray(np.any(differs, axis=1))
    if not each:
        rows[np.argmax(rows) + 1 :] = False  # of random combinations, one is as good as the others
    tables = Tables(given, expected, differs, rows)
    answers_each = each and wrong.family != REFERENCE  # a reference has no cotangent
    known = _conjugates(coordinates, tables, answers_each)
    known = known or (_of_cotangents(coordinates, tables) if answers_each else ())
    known = known or _lost_type(coordinates, tables)
    relation = known or _relation(coordinates, tables)
    branch = () if in_float64 else _branch(coordinates, tables, has_relation=bool(relation))
    if relation and not (known or in_float64 or branch):
        relation = _relation(coordinates, tables, is_counted=True)
    return (*relation, *branch)


def _relation(coordinates: Coordinates, tables: Tables, *, is_counted: bool = False) -> tuple[Fact, ...]:
    """A relation that holds for each output that is wrong, and not for a combination of them alone.

    It is looked for in a random combination of all outputs that are wrong, and in the first of them. A factor holds in
    both. A constant error c of each output is Σ w c in the combination, which is no number that a user would see.

    With `is_counted` it says in how many entries it holds, where others are right.
    """
    given, expected, differs, rows = tables
    blocks, cotangents = coordinates.inputs.blocks, coordinates.combinations.cotangents
    output, among = _output_of(coordinates, rows)

    def count(columns: np.ndarray) -> tuple[int, int]:
        return tables.count_wrong(among, columns) if is_counted else (0, 0)

    columns = np.flatnonzero(np.any(differs[rows], axis=0))
    if len(columns) == 1 and rows.sum() > 1:  # one input of several outputs: the relation is one down a column
        here, nothing = differs[:, columns[0]], np.zeros(len(given))
        entries = (x[here] for x in (given[:, columns[0]], expected[:, columns[0]], nothing, nothing, here))
        part = Part(coordinates.inputs.label(columns[0]), *entries, entries=count(columns))
        return diagnose([part], output=output)

    is_wrong = np.asarray(differs[rows].any(axis=0))
    counts = [count(block.indices[coordinates.is_examined[block.indices]]) for block in blocks]

    def relation_of(weights: np.ndarray) -> tuple[Fact, ...]:
        """The relation that holds for a combination of the outputs."""
        numbers = weights @ given, weights @ expected, is_wrong
        return diagnose([_part(coordinates, b, *numbers, n) for b, n in zip(blocks, counts)], output=output)

    of_one = relation_of((np.arange(len(rows)) == np.argmax(rows)).astype(float))
    if rows.sum() == 1:
        return of_one
    of_all = relation_of(np.where(rows, cotangents, 0.0))
    is_scaled = any(fact.kind in (Kind.CONSTANT_ERROR, Kind.REGULARISER, Kind.SINGLE_ENTRY) for fact in of_all)
    return () if is_scaled and of_all != of_one else of_all


def _part(
    coordinates: Coordinates,
    block: Block,
    given: np.ndarray,
    expected: np.ndarray,
    differs: np.ndarray,
    entries: tuple[int, int],
) -> Part:
    """One input array as relations take it: given and expected derivatives in its shape, with its numbers."""
    at, names = block.indices, [b.name for b in coordinates.inputs.blocks]
    shape = coordinates.inputs.shapes[names.index(block.name)]
    shape = shape if int(np.prod(shape)) == len(at) else (len(at),)  # a complex array has twice as many coordinates
    arrays = (given[at], expected[at], coordinates.point[at], np.zeros(len(at)), differs[at])
    return Part(block.name, *(array.reshape(shape) for array in arrays), entries=entries)


def _output_of(coordinates: Coordinates, rows: np.ndarray) -> tuple[str, np.ndarray]:
    """The name of the one of several outputs that all wrong combinations belong to, and its combinations."""
    if not coordinates.combinations.each:
        return "", np.flatnonzero(rows)
    outputs = coordinates.combinations.outputs.blocks
    blocks = [block for block in outputs if rows[block.indices].any()]
    name = blocks[0].name if len(blocks) == 1 < len(outputs) else ""
    return name, np.concatenate([block.indices for block in blocks])


def _of_cotangents(coordinates: Coordinates, tables: Tables) -> tuple[Fact, ...]:
    """What a rule has done with its cotangent, where each output is differentiated by itself.

    The rule is called with the cotangent w of one output, and answers w times its derivatives, which are compared
    without w. A rule that drops w answers the derivatives themselves, and one that multiplies twice w² times as much.
    """
    given, expected = tables.given, tables.expected
    w, off = coordinates.combinations.cotangents[:, None], np.abs(given - expected).max()
    answered = given * w  # what the rule has returned
    if not np.isfinite(off) or not answered.any():
        return ()

    def is_same(a: np.ndarray, b: np.ndarray, size: float = off) -> bool:
        return bool(np.abs(a - b).max() <= CLOSE * size)

    # without its cotangent a rule answers the same for each output. What is off may be far larger than what is
    # answered, which would make all answers the same
    is_alike = is_same(answered, answered[:1], min(off, np.abs(answered).max()))
    if is_same(answered, expected) if len(given) == 1 else is_alike:
        return (note(Kind.COTANGENT_POWER, power=0),)
    if is_same(given, expected * w):
        return (note(Kind.COTANGENT_POWER, power=2),)
    signs = coordinates.inputs.conjugation()
    if given.shape[0] == given.shape[1] and np.array_equal(signs, coordinates.combinations.outputs.conjugation()):
        # the transpose of the Jacobian of y = A z in real coordinates is that of Aᴴ, and with these signs that of Aᵀ
        if is_same(given, signs[:, None] * expected.T * signs):
            return (note(Kind.TRANSPOSE_MISSING, conjugated=False),)
        if is_same(given, expected.T):
            return (note(Kind.TRANSPOSE_MISSING, conjugated=True),)
    return ()


def _conjugates(coordinates: Coordinates, tables: Tables, answers_each: bool) -> tuple[Fact, ...]:
    """Whether conjugates explain the blocks that are wrong: of the answers, or of the cotangents of each output.

    In real coordinates a conjugate changes the sign of imaginary parts: of the inputs' for the answer, and of the
    outputs' for the cotangent.
    """
    given, expected, differs, rows = tables
    wrong = [block for block in coordinates.inputs.blocks if differs[:, block.indices].any()]
    columns = np.concatenate([block.indices for block in wrong])
    signs, ones = coordinates.inputs.conjugation()[columns], np.ones(len(columns))
    candidates = [(rows, np.ones(len(rows)), signs, "answer")]
    if answers_each:
        every, of_outputs = np.ones(len(rows), bool), coordinates.combinations.outputs.conjugation()
        candidates += [(every, of_outputs, by, "cotangent") for by in (ones, signs)]
    for at, by_row, by_column, of in candidates:
        right, answered = (x[at][:, columns] for x in (expected, given))
        turned, size = np.outer(by_row[at], by_column) * right, np.abs(answered - right).max()
        is_the_sign = np.abs(turned + right).max() <= CLOSE * size  # a plain factor of -1 is no conjugate
        if size > 0.0 and np.abs(answered - turned).max() <= CLOSE * size and not is_the_sign:
            return (note(Kind.CONJUGATE, *(block.name for block in wrong), of=of),)
    return ()


def _lost_type(coordinates: Coordinates, tables: Tables) -> tuple[Fact, ...]:
    """The narrow type that all answers have been rounded to, as the nearest numbers to what is expected."""
    given, expected, differs, _ = tables
    answered = (given * coordinates.combinations.cotangents[:, None])[differs]
    for name, bits in NARROW_TYPES.items():
        close = np.abs(given[differs] - expected[differs]) <= 2.0 ** (2 - bits) * np.abs(expected[differs])
        # numbers with four bits less are not of this type, but whole or halves by their formula
        if len(answered) > 2 and close.all() and _has_bits(answered, bits) and not _has_bits(answered, bits - 4):
            return (note(Kind.LOST_DTYPE, type=name),)
    return ()


def _has_bits(numbers: np.ndarray, bits: int) -> bool:
    """Whether the numbers have no more significant bits, but for a rounding or two in float64."""
    scaled = np.frexp(numbers)[0] * 2.0**bits
    return bool((np.abs(scaled - np.round(scaled)) <= 2.0 ** (bits - 50)).all())


def _branch(coordinates: Coordinates, tables: Tables, *, has_relation: bool) -> tuple[Fact, ...]:
    """Whether all that is wrong lies on one side of a number, and all that is right on the other.

    A relu whose rule has the slope 2 is wrong where x > 0. Entries do not count as right that could not show the error:
    the diagonal of a square matrix, which no transpose moves, and zeros beside a relation such as a factor.
    """
    inputs, wrong, found = coordinates.inputs, np.any(tables.differs, axis=0), []
    wrong_rows = np.asarray(tables.differs.any(axis=1))
    for block, is_complex in zip(inputs.blocks, inputs.is_complex):
        examined = block.indices[coordinates.is_examined[block.indices]]
        right = examined[~wrong[examined]]
        # in coarse types an error may hide within its bound
        is_sure = tables.surely_right(np.arange(len(wrong_rows)), examined)[:, ~wrong[examined]]
        right = right[(is_sure | (tables.expected[:, right] == 0.0) | ~wrong_rows[:, None]).all(axis=0)]
        bad, good = coordinates.point[examined[wrong[examined]]], coordinates.point[right]  # numbers, not derivatives
        if is_complex or min(len(bad), len(good)) < 2 or len(examined) < FEWEST_FOR_BRANCH:
            continue
        side = _side(bad, good)
        if not side or (has_relation and not tables.expected[:, right].any()):
            continue
        if not all(inputs.place(i).is_on_diagonal for i in right):
            found.append(note(Kind.ONE_BRANCH, block.name, sign=side[0], edge=side[1]))
    return tuple(found)


def _side(bad: np.ndarray, good: np.ndarray) -> tuple[str, str] | None:
    """The side of a number where all bad numbers lie and no good one: a sign and the number, as it is written."""
    if bad.min() == bad.max() and not (good == bad[0]).any():
        return "=", f"{bad[0]:.6g}"
    for sign, is_apart, last, first in (
        (">", bad.min() > good.max(), good.max(), bad.min()),
        ("<", bad.max() < good.min(), good.min(), bad.max()),
    ):
        if is_apart:
            if first * last <= 0.0:  # between -0.3 and 0.2, zero is what a formula branches at
                return sign if first else f"{sign}=", "0"
            texts = (f"{first:.{digits}g}" for digits in (3, 6, 9, 17))  # as many digits as still part the two
            low, high = sorted((first, last))
            return f"{sign}=", next(x for x in texts if low <= float(x) <= high and float(x) != last)
    return None
