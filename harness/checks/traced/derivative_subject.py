"""The derivatives of a traced function as a subject to be judged, who is wrong about them, and which mistake it is.

Beside the relations of `harness.verdict.relations`, a derivative rule has mistakes of its own: with its cotangent, with
transposes and conjugates, with the branches of its function, and with a dtype that is lost on the way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.program_bound import SMALLEST
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS, JAX, REFERENCE
from harness.checks.traced.jax_modes import MODES
from harness.checks.traced.low_precision import Replaced
from harness.checks.traced.real_coordinates import Coordinates
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, Pair
from harness.verdict.consensus import Consensus, Policy, Vote, find_consensus
from harness.verdict.relations import CLOSE, Part, diagnose
from harness.verdict.subject import Subject

NARROW_TYPES = {"bfloat16": 8, "float16": 11, "float32": 24}
"""The significant bits of types that a derivative may be rounded to by mistake."""

BY_ORACLES = Policy(judges=(INCREMENTS, DIFFERENCES), vote=Vote.NEVER)
"""Increments and differences judge JAX's modes, which share JAX's mistakes and have no vote."""

MOST_LEFT = 0.01
"""A rule is right in float64 if it leaves no larger share of an error there."""

FEWEST_FOR_BRANCH = 5
"""Fewer entries lie on both sides of a number by chance."""


@dataclass(frozen=True, eq=False)
class TracedDerivatives(Subject):
    """The subject of a verdict."""

    coordinates: Coordinates
    to_judge: np.ndarray  # mask of the coordinates to decide
    facts: Sequence[Fact] = ()
    details: dict[str, Any] = field(default_factory=dict)
    # which inputs move together along each direction that is compared; empty for random directions
    directions: tuple[str, ...] = ()
    type_name: str = ""  # the coarsest type that the function computes in
    replaced: Mapping[str, Replaced] = field(default_factory=dict)
    float64_derivatives: Mapping[str, np.ndarray] = field(default_factory=dict)  # each mode evaluated in float64
    culprits: tuple[Fact, ...] = ()  # the rule that is wrong, and its mistakes
    origins: tuple[Fact, ...] = ()  # where numbers that are not finite begin
    has_solver: bool = False  # whether a solver's tolerance hides digits

    @property
    def blocks(self) -> Sequence[Block]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The coordinates of each array."""
        return self.coordinates.blocks

    def label(self, i: int) -> str:
        """The name of a coordinate."""
        return self.coordinates.label(i)

    def describe(self) -> dict[str, Any]:
        """How many inputs and outputs there are."""
        size, total = self.coordinates.inputs.size, self.coordinates.all_inputs
        some = {"looked at one by one": size} if size < total else {}
        return {"inputs": total, **some, "outputs": self.coordinates.combinations.outputs.size}

    def to_decide(self) -> np.ndarray:
        """The coordinates that are looked at."""
        return np.flatnonzero(self.to_judge)

    def along(self, direction: int) -> str:
        """The name of a direction: random, or several inputs at kinks that move together."""
        if not self.directions:
            return super().along(direction)
        combinations = self.coordinates.combinations
        of = ""
        if self.coordinates.has_several_outputs:
            of = f" of {combinations.outputs.label(direction // (len(self.directions) // len(combinations)))}"
        return f"the derivative{of} along {self.directions[direction]} together, where there is no kink,"

    def explain_along(self) -> tuple[Fact, ...]:
        """Each input alone lies between both sides of its kink, where that is so, and the culprit."""
        return (note(Kind.KINKS_TOGETHER), *self.culprits) if self.directions else ()

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        """Which mistake it is, whose rule, and where NaN begins; no fact twice, as where the rule alone shows it."""
        compared = self._evaluated(wrong, at_odds)
        mistakes = find_mistakes(self.coordinates, wrong, right, at_odds, in_float64=bool(compared))
        origins = () if np.isfinite(wrong.gradient[at_odds]).all() else self.origins
        lost = self._lost_by_type(wrong, right, at_odds)
        return tuple(dict.fromkeys((*compared, *lost, *mistakes, *self.culprits, *origins)))

    @np.errstate(all="ignore")
    def _lost_by_type(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        """Whether the rule is right in float64 wherever its number in the function's own type is wrong."""
        evaluated = self.float64_derivatives.get(wrong.name, np.full(at_odds.shape, np.nan))
        off, left = np.abs(wrong.gradient - right.gradient), np.abs(evaluated - right.gradient)
        is_right = np.isfinite(evaluated) & ~(left > MOST_LEFT * off)
        return (note(Kind.RIGHT_IN_FLOAT64, type=self.type_name or wrong.precision),) if is_right[at_odds].all() else ()

    def _evaluated(self, wrong: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        """What was compared where it was not JAX's own numbers."""
        is_evaluated, own = self.replaced.get(wrong.name, Replaced(np.zeros(at_odds.shape, bool), wrong))
        places = np.flatnonzero(is_evaluated & at_odds)
        if not len(places):
            return ()
        example, narrow = float(own.gradient[places[0]]), self.type_name or wrong.precision
        counts = {"places": len(places), "of": int(at_odds.sum())}
        return (note(Kind.COMPARED_IN_FLOAT64, self.label(places[0]), type=narrow, reported=example, **counts),)

    def why_undecided(self, coordinates: np.ndarray) -> Sequence[Fact]:
        """A solver's tolerance where there is one; else error bounds are wide, or the function has no slope."""
        return (doubt(Kind.SOLVER_HIDES_DIGITS),) if self.has_solver else super().why_undecided(coordinates)


def find_outliers(answers: Sequence[Answer], pairs: Sequence[Pair], directional: Sequence[Pair]) -> Consensus:
    """Who contradicts increments or differences; where nobody does, modes that contradict each other are a tie."""
    families = {answer.name: answer.family for answer in answers}
    for name in MODES:  # a mode may be compared along directions alone
        if any(pair.other(name) for pair in directional):
            families.setdefault(name, JAX)
    return find_consensus(families, (*pairs, *directional), BY_ORACLES)


# -- which mistake it is ----------------------------------------------------------------------------------------------


class Tables(NamedTuple):
    """Wrong and right derivatives, and where they are at odds, as (combinations, inputs) arrays."""

    given: np.ndarray
    expected: np.ndarray  # zero where it is not known from zero: nothing there has a factor
    odd: np.ndarray
    rows: np.ndarray  # (combinations,) mask of those that are wrong; of random ones the first alone


def find_mistakes(
    coordinates: Coordinates, wrong: Answer, right: Answer, at_odds: np.ndarray, *, in_float64: bool = False
) -> tuple[Fact, ...]:
    """The mistakes that explain a difference; empty where none is known.

    A rule's evaluation in float64 shows no small errors, so that its right entries do not mark a branch.
    """
    each = coordinates.combinations.each
    expected = np.where(np.abs(right.gradient) > np.maximum(right.error, SMALLEST), right.gradient, 0.0)
    size = coordinates.inputs.size
    given, expected, odd = (x.reshape(-1, size) for x in (wrong.gradient, expected, at_odds))
    rows = np.asarray(np.any(odd, axis=1))
    if not each:
        rows[np.argmax(rows) + 1 :] = False
    tables = Tables(given, expected, odd, rows)
    answers_each = each and wrong.family != REFERENCE  # a reference has no cotangent
    with np.errstate(all="ignore"):
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

    With `is_counted` it says in how many entries it holds, where others are right.
    """
    given, expected, odd, rows = tables
    inputs, cotangents = coordinates.inputs, coordinates.combinations.cotangents
    output, among = _output_of(coordinates, rows)

    def counts(places: Sequence[np.ndarray]) -> list[tuple[int, int]]:
        parts = ([x[np.ix_(among, at)] for x in (given, expected, odd)] for at in places)
        return [_wrong_and_right(*part) if is_counted else (0, 0) for part in parts]

    columns = np.flatnonzero(np.any(odd[rows], axis=0))
    if len(columns) == 1 and rows.sum() > 1:  # one input of several outputs
        here, nothing = odd[:, columns[0]], np.zeros(len(given))
        entries = (x[here] for x in (given[:, columns[0]], expected[:, columns[0]], nothing, nothing, here))
        return diagnose([Part(inputs.label(columns[0]), *entries, entries=counts([columns])[0])], output=output)
    first = np.zeros(len(rows))
    first[np.argmax(rows)] = 1.0
    wrong = np.asarray(odd[rows].any(axis=0))
    counted = counts([b.indices[coordinates.is_examined[b.indices]] for b in inputs.blocks])
    of_all, of_one = (
        diagnose(
            [_part(coordinates, b, w @ given, w @ expected, wrong, n) for b, n in zip(inputs.blocks, counted)],
            output=output,
        )
        for w in (np.where(rows, cotangents, 0.0), first)
    )
    if rows.sum() == 1:
        return of_one
    # the numbers of these relations depend on the output, so that those of a combination are nobody's
    is_scaled = any(fact.kind in (Kind.CONSTANT_ERROR, Kind.REGULARISER, Kind.SINGLE_ENTRY) for fact in of_all)
    return () if is_scaled and of_all != of_one else of_all


def _part(
    coordinates: Coordinates,
    block: Block,
    given: np.ndarray,
    expected: np.ndarray,
    odd: np.ndarray,
    entries: tuple[int, int],
) -> Part:
    at, names = block.indices, [b.name for b in coordinates.inputs.blocks]
    shape = coordinates.inputs.shapes[names.index(block.name)]
    shape = shape if int(np.prod(shape)) == len(at) else (len(at),)
    arrays = (given[at], expected[at], coordinates.point[at], np.zeros(len(at)), odd[at])
    return Part(block.name, *(array.reshape(shape) for array in arrays), entries=entries)


def _output_of(coordinates: Coordinates, rows: np.ndarray) -> tuple[str, np.ndarray]:
    """The name of the one of several outputs that all wrong combinations belong to, and its combinations."""
    if not coordinates.combinations.each:
        return "", np.flatnonzero(rows)
    outputs = coordinates.combinations.outputs.blocks
    blocks = [block for block in outputs if rows[block.indices].any()]
    name = blocks[0].name if len(blocks) == 1 < len(outputs) else ""
    return name, np.concatenate([block.indices for block in blocks])


def _wrong_and_right(given: np.ndarray, expected: np.ndarray, odd: np.ndarray) -> tuple[int, int]:
    """How many derivatives are wrong, and how many are closer to the true ones than if they had the same error."""
    off, size = np.abs(given - expected), np.abs(expected)
    known = odd & (size > 0.0) & np.isfinite(off)
    if not known.any():
        return int(odd.sum()), 0
    share = np.min(off[known] / size[known])
    right = ~odd & (share * size >= CLOSE * off[known].max()) & (off < 0.5 * share * size)
    return int(odd.sum()), int(right.sum())


def _of_cotangents(coordinates: Coordinates, tables: Tables) -> tuple[Fact, ...]:
    """What a rule has done with its cotangent, where each output was asked for by itself."""
    given, expected = tables.given, tables.expected
    w, off = coordinates.combinations.cotangents[:, None], np.abs(given - expected).max()
    answered = given * w
    if not np.isfinite(off) or not answered.any():
        return ()

    def is_same(a: np.ndarray, b: np.ndarray, size: float = off) -> bool:
        return bool(np.abs(a - b).max() <= CLOSE * size)

    # the difference may be far larger than what is answered, which would make all answers the same
    is_alike = is_same(answered, answered[:1], min(off, np.abs(answered).max()))
    if is_same(answered, expected) if len(given) == 1 else is_alike:
        return (note(Kind.COTANGENT_DROPPED),)
    if is_same(given, expected * w):
        return (note(Kind.COTANGENT_TWICE),)
    signs = coordinates.inputs.conjugation()
    if given.shape[0] == given.shape[1] and np.array_equal(signs, coordinates.combinations.outputs.conjugation()):
        if is_same(given, signs[:, None] * expected.T * signs):  # of complex numbers, the transposed Jacobian
            return (note(Kind.TRANSPOSE_MISSING, conjugated=False),)
        if is_same(given, expected.T):
            return (note(Kind.TRANSPOSE_MISSING, conjugated=True),)
    return ()


def _conjugates(coordinates: Coordinates, tables: Tables, answers_each: bool) -> tuple[Fact, ...]:
    """Whether conjugates explain the blocks that are wrong: of the answers, or of the cotangents of each output."""
    given, expected, odd, rows = tables
    wrong = [block for block in coordinates.inputs.blocks if odd[:, block.indices].any()]
    columns = np.concatenate([block.indices for block in wrong])
    signs, ones = coordinates.inputs.conjugation()[columns], np.ones(len(columns))
    ways = [(rows, np.ones(len(rows)), signs, "answer")]
    if answers_each:
        every, of_outputs = np.ones(len(rows), bool), coordinates.combinations.outputs.conjugation()
        ways += [(every, of_outputs, by, "cotangent") for by in (ones, signs)]
    for at, by_row, by_column, of in ways:
        right, answered = (x[at][:, columns] for x in (expected, given))
        turned, size = np.outer(by_row[at], by_column) * right, np.abs(answered - right).max()
        is_the_sign = np.abs(turned + right).max() <= CLOSE * size
        if np.abs(answered - turned).max() <= CLOSE * size and not is_the_sign:
            return (note(Kind.CONJUGATE, *(block.name for block in wrong), of=of),)
    return ()


def _lost_type(coordinates: Coordinates, tables: Tables) -> tuple[Fact, ...]:
    """The narrow type that all answers have been rounded to, as the nearest numbers to what is expected."""
    given, expected, odd, _ = tables
    answered = (given * coordinates.combinations.cotangents[:, None])[odd]
    for name, bits in NARROW_TYPES.items():
        close = np.abs(given[odd] - expected[odd]) <= 2.0 ** (2 - bits) * np.abs(expected[odd])
        if len(answered) > 2 and close.all() and _has_bits(answered, bits) and not _has_bits(answered, bits - 4):
            return (note(Kind.LOST_DTYPE, type=name),)
    return ()


def _has_bits(numbers: np.ndarray, bits: int) -> bool:
    """Whether the numbers have no more significant bits, but for a rounding or two in float64."""
    scaled = np.frexp(numbers)[0] * 2.0**bits
    return bool((np.abs(scaled - np.round(scaled)) <= 2.0 ** (bits - 50)).all())


def _branch(coordinates: Coordinates, tables: Tables, *, has_relation: bool) -> tuple[Fact, ...]:
    """Whether all that is wrong lies on one side of a number, and all that is right on the other.

    Entries do not count as right that could not show the error: the diagonal of a square matrix, which no transpose
    moves, and zeros beside a relation such as a factor.
    """
    inputs, wrong, found = coordinates.inputs, np.any(tables.odd, axis=0), []
    for block, is_complex in zip(inputs.blocks, inputs.is_complex):
        examined = block.indices[coordinates.is_examined[block.indices]]
        right = examined[~wrong[examined]]
        bad, good = coordinates.point[examined[wrong[examined]]], coordinates.point[right]
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
            if first == 0.0:
                return f"{sign}=", "0"
            edge = 0.0 if first * last <= 0.0 else last
            texts = (f"{edge:.{digits}g}" for digits in (3, 6, 9, 17))  # as many digits as still part the two
            return sign, next(text for text in texts if _parts(sign, first, float(text), last))
    return None


def _parts(sign: str, bad: float, edge: float, good: float) -> bool:
    return bad > edge >= good if sign == ">" else bad < edge <= good
