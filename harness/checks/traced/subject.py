"""The derivatives of a traced function as a subject to be judged."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.checks.traced.layout import Layout
from harness.verdict.comparison import Answer, Block, Pair
from harness.verdict.consensus import Consensus
from harness.verdict.diagnosis import Part, diagnose
from harness.verdict.subject import Subject

MODES = ("reverse", "forward")
INCREMENTS, DIFFERENCES, REFERENCE, JAX = "increments", "differences", "reference", "jax"


class TracedDerivatives(Subject):
    """Derivatives of several combinations of the outputs in all inputs: coordinate k·n + i is combination k, input i.

    Parameters
    ----------
    inputs, outputs : Layout
    combinations : int
        Of the outputs; as many as there are outputs where each is a combination by itself.
    point : (n,) array
    chosen : (n,) bool array
        The inputs whose derivatives were looked at one by one.
    """

    hint = "errors are as large as the derivative, or the function jumps or leaves its domain here; try another point"

    def __init__(self, inputs: Layout, outputs: Layout, combinations: int, point: np.ndarray, chosen: np.ndarray):
        self.inputs, self.outputs, self.point, self.combinations = inputs, outputs, point, combinations
        self.culprit = ""
        self.each = combinations == outputs.size
        self.chosen = np.tile(chosen, combinations)
        self.blocks = [
            Block(self._block_name(b.name, rows), (rows[:, None] * inputs.size + b.indices).ravel())
            for rows in self._rows()
            for b in inputs.blocks
        ]

    def _rows(self) -> list[np.ndarray]:
        """The combinations that belong to one output leaf."""
        return [b.indices for b in self.outputs.blocks] if self.each else [np.arange(self.combinations)]

    def _block_name(self, name: str, rows: np.ndarray) -> str:
        if not self.each or len(self.outputs.blocks) == 1:
            return name
        return f"{name} (of {next(b.name for b in self.outputs.blocks if b.indices[0] == rows[0])})"

    def label(self, i: int) -> str:
        k, i = divmod(int(i), self.inputs.size)
        name = self.inputs.label(i)
        return f"d {self.outputs.label(k)} / d {name}" if self.each and self.outputs.size > 1 else name

    def describe(self) -> dict[str, Any]:
        return {"inputs": self.inputs.size, "outputs": self.outputs.size}

    def to_decide(self) -> np.ndarray:
        return np.flatnonzero(self.chosen)

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> str:
        rows = np.unique(np.flatnonzero(at_odds) // self.inputs.size)
        parts = [self._part(b, int(k), wrong, right, at_odds) for k in rows[:1] for b in self.inputs.blocks]
        return "; ".join([words for words in (diagnose(parts), self.culprit) if words])

    def name_culprits(self, culprits: Sequence[Any]) -> None:
        """The equations whose own rule is wrong, worst first: the first is part of every explanation."""
        self.culprit = str(culprits[0]) if culprits else ""
        self.details = {"culprits": [vars(culprit) for culprit in culprits]}

    def _part(self, block: Block, k: int, wrong: Answer, right: Answer, at_odds: np.ndarray) -> Part:
        at = k * self.inputs.size + block.indices
        shape = self.inputs.shapes[[b.name for b in self.inputs.blocks].index(block.name)]
        shape = shape if int(np.prod(shape)) == len(at) else (len(at),)
        arrays = (wrong.gradient[at], right.gradient[at], self.point[block.indices], np.zeros(len(at)), at_odds[at])
        return Part(block.name, *(array.reshape(shape) for array in arrays))


def consensus(answers: Sequence[Answer], pairs: Sequence[Pair], ends: Sequence[Pair]) -> Consensus:
    """Increments are the measure of JAX; without an objection of theirs, its modes stand against each other."""
    names = tuple(answer.name for answer in answers)
    disagreeing = [pair for pair in (*pairs, *ends) if pair.disagrees]
    wrong = {pair.other(oracle) for pair in disagreeing for oracle in (INCREMENTS, DIFFERENCES)} & {*MODES, REFERENCE}
    if wrong:
        outliers = tuple(name for name in (*names, *MODES) if name in wrong)
        return Consensus(tuple(name for name in names if name not in wrong), tuple(dict.fromkeys(outliers)), tie=False)
    return Consensus((), (), tie=True) if disagreeing else Consensus(names, (), tie=False)
