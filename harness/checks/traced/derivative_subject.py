"""The derivatives of a traced function as a subject to be judged."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.checks.traced.real_coordinates import Layout
from harness.facts.fact import Fact, as_facts
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, Pair
from harness.verdict.consensus import Consensus, Policy, Vote, find_consensus
from harness.verdict.relations import CLOSE, Part, diagnose, named
from harness.verdict.subject import Subject

MODES = ("reverse", "forward")
INCREMENTS, DIFFERENCES, REFERENCE, JAX = "increments", "differences", "reference", "jax"


class TracedDerivatives(Subject):
    """Derivatives of several combinations of the outputs in all inputs: coordinate k·n + i is combination k, input i.

    Parameters
    ----------
    inputs, outputs : Layout
    weights : (combinations, outputs) array
        That the outputs were asked for with.
    each : bool
        Whether each output is a combination by itself; its derivatives are then told without its weight.
    point : (n,) array
    chosen : (n,) bool array
        The inputs whose derivatives were looked at one by one.
    all_inputs : int
        How many inputs there are, of which these may be some.
    """

    hint = "error bars are wide beside the derivative, or the function jumps or leaves its domain; try another point"

    def __init__(
        self,
        inputs: Layout,
        outputs: Layout,
        weights: np.ndarray,
        each: bool,
        point: np.ndarray,
        chosen: np.ndarray,
        all_inputs: int,
    ):
        self.inputs, self.outputs, self.point, self.each = inputs, outputs, point, each
        self.all_inputs = all_inputs
        self.combinations = len(weights)
        self.cotangents = np.diag(weights) if each else np.ones(len(weights))
        self.culprit = self.not_finite = self.type_name = ""
        self.directions: list[str] = []
        self.own: dict[str, Answer] = {}
        self.by_meaning: dict[str, np.ndarray] = {}
        self.chosen = np.tile(chosen, len(weights))
        self.blocks = [
            Block(self._block_name(b.name, rows), (rows[:, None] * inputs.size + b.indices).ravel())
            for rows in self._rows()
            for b in inputs.blocks
        ]

    def _rows(self) -> list[np.ndarray]:
        """The combinations that belong to one output leaf."""
        if not self.each:
            return [np.arange(self.combinations)]
        return [b.indices for b in self.outputs.blocks if b.indices.size]

    def _block_name(self, name: str, rows: np.ndarray) -> str:
        if not self.each or len(self.outputs.blocks) == 1:
            return name
        return f"{name} (of {next(b.name for b in self.outputs.blocks if rows[0] in b.indices)})"

    def label(self, i: int) -> str:
        k, i = divmod(int(i), self.inputs.size)
        name = self.inputs.label(i)
        return f"d {self.outputs.label(k)} / d {name}" if self.each and self.outputs.size > 1 else name

    def along(self, direction: int) -> str:
        if not self.directions:
            return super().along(direction)
        output = self.outputs.label(direction // (len(self.directions) // self.combinations))
        of = f" of {output}" if self.each and self.outputs.size > 1 else ""
        return f"the derivative{of} along {self.directions[direction]} together, where there is no kink,"

    def explain_along(self) -> tuple[Fact, ...]:
        alone = ["alone each of them is between the slopes on both sides"] if self.directions else []
        return as_facts([*alone, self.culprit if alone else ""])

    def describe(self) -> dict[str, Any]:
        some = {"looked at one by one": self.inputs.size} if self.inputs.size < self.all_inputs else {}
        return {"inputs": self.all_inputs, **some, "outputs": self.outputs.size}

    def to_decide(self) -> np.ndarray:
        return np.flatnonzero(self.chosen)

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        known_not_zero = np.abs(right.gradient) > right.error  # else there is nothing to tell a factor by
        given, expected, odd = (
            x.reshape(self.combinations, self.inputs.size)
            for x in (wrong.gradient, np.where(known_not_zero, right.gradient, 0.0), at_odds)
        )
        rows = np.asarray(np.any(odd, axis=1))
        if not self.each:
            rows[np.argmax(rows) + 1 :] = False
        with np.errstate(all="ignore"):
            answers_each = self.each and wrong.family != REFERENCE
            known = self._conjugated(given, expected, odd, rows, answers_each)
            known = known or (self._of_cotangents(given, expected) if answers_each else "")
            if not known and (narrow := lost_type((given * self.cotangents[:, None])[odd], given[odd], expected[odd])):
                known = f"right to the digits of {narrow}: a dtype is lost on the way"
            shape = known or self._shape(given, expected, odd, rows)
            meaning = self._of_meaning(wrong, at_odds)
            # of what is meant, smaller errors are not seen
            branch = "" if meaning else self._branch(expected, odd, shape)
            if shape and not (known or meaning or branch):
                shape = self._shape(given, expected, odd, rows, counted=True)
        begins = "" if np.isfinite(wrong.gradient[at_odds]).all() else self.not_finite
        return as_facts((meaning, shape, branch, self.culprit, begins))

    def _of_meaning(self, wrong: Answer, at_odds: np.ndarray) -> str:
        """What was compared where it was not JAX's own numbers."""
        by_meaning = self.by_meaning.get(wrong.name)
        if by_meaning is None or not (by_meaning & at_odds).any():
            return ""
        places = np.flatnonzero(by_meaning & at_odds)
        which = "" if len(places) == at_odds.sum() else f" in {len(places)} of these coordinates"
        example = f"{self.own[wrong.name].gradient[places[0]]:.4g} for {self.label(places[0])}"
        narrow = self.type_name or wrong.precision
        return (
            f"what is at odds{which} is its program run in float64, for rounding in {narrow} may explain "
            f"JAX's own answers, such as {example}"
        )

    def _shape(
        self, given: np.ndarray, expected: np.ndarray, odd: np.ndarray, rows: np.ndarray, counted: bool = False
    ) -> tuple[Fact, ...]:
        """The kind of error, in numbers that hold for each output that is wrong and not for a combination of them.

        `counted` says in how many entries, where others are right.
        """
        of, among = self._of_output(rows)

        def counts(places: Sequence[np.ndarray]) -> list[tuple[int, int]]:
            tables = ([x[np.ix_(among, at)] for x in (given, expected, odd)] for at in places)
            return [_wrong_and_right(*table) if counted else (0, 0) for table in tables]

        columns = np.flatnonzero(np.asarray(odd[rows].any(axis=0)))
        if len(columns) == 1 and rows.sum() > 1:
            here, nothing = odd[:, columns[0]], np.zeros(len(given))
            entries = (x[here] for x in (given[:, columns[0]], expected[:, columns[0]], nothing, nothing, here))
            count = counts([columns])[0]
            return diagnose([Part(self.inputs.label(columns[0]), *entries, entries=count)], output=of)
        first = np.zeros(len(rows))
        first[np.argmax(rows)] = 1.0
        wrong = np.asarray(odd[rows].any(axis=0))
        blocks = self.inputs.blocks
        counted_in = counts([b.indices[self.chosen[b.indices]] for b in blocks])
        of_all, of_one = (
            diagnose([self._part(b, w @ given, w @ expected, wrong, n) for b, n in zip(blocks, counted_in)], output=of)
            for w in (np.where(rows, self.cotangents, 0.0), first)
        )
        scaled = (
            any(fact.kind in (Kind.CONSTANT_ERROR, Kind.REGULARISER, Kind.SINGLE_ENTRY) for fact in of_all)
            and of_all != of_one
        )  # by how much depends on the output
        return of_one if rows.sum() == 1 else () if scaled else of_all

    def _of_output(self, rows: np.ndarray) -> tuple[str, np.ndarray]:
        """The one of several outputs that all wrong combinations belong to, in words, and which these are."""
        if not self.each:
            return "", np.flatnonzero(rows)
        blocks = [block for block in self.outputs.blocks if rows[block.indices].any()]
        of = blocks[0].name if len(blocks) == 1 < len(self.outputs.blocks) else ""
        return of, np.concatenate([block.indices for block in blocks])

    def _of_cotangents(self, given: np.ndarray, expected: np.ndarray) -> str:
        """What a rule has done with its cotangent, where each output was asked for by itself."""
        w, off = self.cotangents[:, None], np.abs(given - expected).max()
        answered, is_same = given * w, lambda a, b, size=off: np.abs(a - b).max() <= CLOSE * size
        if not np.isfinite(off) or not answered.any():
            return ""
        alike = is_same(
            answered, answered[:1], min(off, np.abs(answered).max())
        )  # off may be far more than is answered
        if is_same(answered, expected) if len(given) == 1 else alike:
            return "the cotangent is dropped: the answer is the same whatever comes in"
        if is_same(given, expected * w):
            return "the cotangent comes in twice"
        signs = self.inputs.conjugated()
        if given.shape[0] == given.shape[1] and np.array_equal(signs, self.outputs.conjugated()):
            if is_same(given, signs[:, None] * expected.T * signs):  # of complex numbers, the transpose of the Jacobian
                return "a transposition is missing: the Jacobian times the cotangent in the place of its transpose"
            if is_same(given, expected.T):
                return "a transposition is missing, and a conjugation, or one of these is too many"
        return ""

    def _conjugated(
        self, given: np.ndarray, expected: np.ndarray, odd: np.ndarray, rows: np.ndarray, answers_each: bool
    ) -> str:
        """Whether conjugates explain the blocks that are wrong: of the answers, or of what comes in for each output."""
        wrong = [block for block in self.inputs.blocks if odd[:, block.indices].any()]
        columns = np.concatenate([block.indices for block in wrong])
        signs, plain, every = self.inputs.conjugated()[columns], np.ones(len(columns)), np.ones(len(rows), bool)
        ways = [(rows, np.ones(len(rows)), signs, "the conjugate of the right value")]
        if answers_each:
            of_outputs = self.outputs.conjugated()
            ways += [(every, of_outputs, by, "right up to conjugates") for by in (plain, signs)]
        for at, by_row, by_column, what in ways:
            right, answered = (x[at][:, columns] for x in (expected, given))
            turned, size = np.outer(by_row[at], by_column) * right, np.abs(answered - right).max()
            is_the_sign = np.abs(turned + right).max() <= CLOSE * size
            if np.abs(answered - turned).max() <= CLOSE * size and not is_the_sign:
                return f"{named(wrong)}: {what}, so that a conjugation is missing or one too many"
        return ""

    def _branch(self, expected: np.ndarray, odd: np.ndarray, shape: Any) -> str:
        """Whether all that is wrong lies on one side of a number, and all that is right on the other.

        Not where what is right could not have shown what is wrong elsewhere: the diagonals of square matrices, and
        zeros beside a relation that is told in words, such as a factor.
        """
        wrong, told = np.asarray(np.any(odd, axis=0)), []
        for block, is_complex in zip(self.inputs.blocks, self.inputs.is_complex):
            looked_at = block.indices[self.chosen[block.indices]]
            right = looked_at[~wrong[looked_at]]
            bad, good = self.point[looked_at[wrong[looked_at]]], self.point[right]
            if is_complex or min(len(bad), len(good)) < 2 or len(looked_at) < 5:
                continue
            side = _side(bad, good)
            shows_nothing = (shape and not expected[:, right].any()) or (
                side and all(self.inputs.place(i).is_on_diagonal for i in right)
            )
            if side and not shows_nothing:
                told.append(f"only where {block.name} {side}")
        return ", ".join(told)

    def name_culprits(self, culprits: Sequence[Any]) -> None:
        """The equations whose own rule is wrong, worst first: the first is part of every explanation."""
        self.culprit = str(culprits[0]) if culprits else ""
        self.details = self.details | {"culprits": [vars(culprit) for culprit in culprits]}

    def _part(
        self, block: Block, given: np.ndarray, expected: np.ndarray, odd: np.ndarray, entries: tuple[int, int]
    ) -> Part:
        at, shape = block.indices, self.inputs.shapes[[b.name for b in self.inputs.blocks].index(block.name)]
        shape = shape if int(np.prod(shape)) == len(at) else (len(at),)
        arrays = (given[at], expected[at], self.point[at], np.zeros(len(at)), odd[at])
        return Part(block.name, *(array.reshape(shape) for array in arrays), entries=entries)


def _wrong_and_right(given: np.ndarray, expected: np.ndarray, odd: np.ndarray) -> tuple[int, int]:
    """How many derivatives are wrong, and how many are nearer to the truth than if as much of them were off."""
    off, size = np.abs(given - expected), np.abs(expected)
    known = odd & (size > 0.0) & np.isfinite(off)
    if not known.any():
        return int(odd.sum()), 0
    share = np.min(off[known] / size[known])
    right = ~odd & (share * size >= CLOSE * off[known].max()) & (off < 0.5 * share * size)
    return int(odd.sum()), int(right.sum())


def _side(bad: np.ndarray, good: np.ndarray) -> str:
    """The side of a number on which all the bad ones lie and none of the good, in words; empty where there is none."""
    if bad.min() == bad.max() and not (good == bad[0]).any():
        return f"is {bad[0]:.6g}"
    for sign, is_apart, last, first in (
        (">", bad.min() > good.max(), good.max(), bad.min()),
        ("<", bad.max() < good.min(), good.min(), bad.max()),
    ):
        if is_apart:
            if first == 0.0:
                return f"{sign}= 0: one branch alone"
            edge = 0.0 if first * last <= 0.0 else last
            between = (text for digits in (3, 6, 9, 17) if _holds(sign, first, text := f"{edge:.{digits}g}", last))
            return f"{sign} {next(between)}: one branch alone"
    return ""


def _holds(sign: str, bad: float, edge: str, good: float) -> bool:
    """Whether the number as it is written parts the two."""
    return bad > float(edge) >= good if sign == ">" else bad < float(edge) <= good


def outside(derivatives: Sequence[np.ndarray], nowhere: np.ndarray) -> np.ndarray:
    """Derivatives of combinations that are NaN, and in inputs that make zero times NaN of others: a mask.

    None where somebody has numbers for the derivatives of what is none.
    """
    mask = np.repeat(nowhere[:, None], derivatives[0].shape[1], axis=1) if derivatives else nowhere[:, None]
    for broken in (~np.isfinite(derivative) for derivative in derivatives):
        if not broken[nowhere].any(axis=1).all():
            return np.zeros(mask.size, bool)
        mask = mask | (broken[nowhere].any(axis=0) & broken[~nowhere].any(axis=0))
    return mask.ravel()


def lost_type(answered: np.ndarray, given: np.ndarray, expected: np.ndarray) -> str:
    """The narrow type whose numbers all answers are, and the nearest ones to what is expected; or nothing."""
    for name, bits in (("bfloat16", 8), ("float16", 11), ("float32", 24)):
        close = np.abs(given - expected) <= 2.0 ** (2 - bits) * np.abs(expected)
        if len(given) > 2 and close.all() and _fit(answered, bits).all() and not _fit(answered, bits - 4).all():
            return name
    return ""


def _fit(numbers: np.ndarray, bits: int) -> np.ndarray:
    """Which numbers have no more bits, but for a rounding or two in float64."""
    scaled = np.frexp(numbers)[0] * 2.0**bits
    return np.abs(scaled - np.round(scaled)) <= 2.0 ** (bits - 50)


def consensus(answers: Sequence[Answer], pairs: Sequence[Pair], ends: Sequence[Pair]) -> Consensus:
    """Increments are the measure of JAX; without an objection of theirs, its modes stand against each other."""
    names = (*(answer.name for answer in answers), *MODES)  # a mode may be compared along directions alone
    policy = Policy(judges=(INCREMENTS, DIFFERENCES), vote=Vote.NEVER)
    return find_consensus({name: name for name in names}, [*pairs, *ends], policy)
