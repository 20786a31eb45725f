"""The rows of a Jacobian, each examined as the gradient of its output, as the subject of one verdict."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.checks.functions.function_subject import FunctionGradient
from harness.checks.functions.gradient_check import Evidence
from harness.checks.functions.gradient_comparison import settle
from harness.checks.functions.parameters import Layout
from harness.checks.functions.vector_function import VectorFunction
from harness.verdict.comparison import Answer, Pair
from harness.verdict.judgement import judge
from harness.verdict.report import Report


class RowLayout(Layout):
    """Rows of a matrix, as they are called by the numbers that they have in the whole of it."""

    def __init__(self, name: str, rows: Sequence[int], columns: int):
        super().__init__({name: np.zeros((len(rows), columns))})
        self._name, self._rows, self._columns = name, rows, columns

    def label(self, i: int) -> str:
        return f"{self._name}[{self._rows[i // self._columns]}, {i % self._columns}]"


class MatrixRows(FunctionGradient):
    """The rows of a Jacobian that were examined, as the subject of one verdict."""

    def __init__(
        self, function: VectorFunction, outputs: Sequence[int], rows: Sequence[FunctionGradient], reported: Answer
    ):
        columns = function.theta.size
        super().__init__(
            RowLayout(function.name, outputs, columns),
            np.tile(function.theta.ravel(), len(rows)),
            reported,
            {r * columns + i: found for r, row in enumerate(rows) for i, found in row.found.items()},
            np.concatenate([row.examined for row in rows]),
            np.concatenate([row.scatter for row in rows]),
            np.concatenate([row.grouped for row in rows]),
            list({fact.kind: fact for row in rows for fact in row.facts}.values()),
        )
        self._size = function.size, columns

    def describe(self) -> dict[str, Any]:
        outputs, parameters = self._size
        return {"outputs": outputs, "parameters": parameters, "differenced": int(self.examined.sum())}


def judge_rows(function: VectorFunction, outputs: Sequence[int], found: Sequence[Evidence]) -> Report:
    """The verdict on all rows together."""
    answers = [_join_answers(each) for each in zip(*(evidence.answers for evidence in found))]
    pairs = [_join_pairs(each) for each in zip(*(evidence.pairs for evidence in found))]
    ends = [end for evidence in found for end in evidence.ends]
    subject = MatrixRows(function, outputs, [evidence.subject for evidence in found], answers[0])
    return judge(subject, answers, pairs, ends, settle(answers, pairs, ends))


def _join_answers(answers: Sequence[Answer]) -> Answer:
    """The answers on several outputs as one, with the largest of their values."""
    largest = answers[int(np.argmax(np.abs([answer.cost for answer in answers])))]  # NaN is the largest
    return replace(
        largest,
        gradient=np.concatenate([answer.gradient for answer in answers]),
        error=np.concatenate([answer.error for answer in answers]),
        broken_rules=tuple(dict.fromkeys(fact for answer in answers for fact in answer.broken_rules)),
        notes=tuple(dict.fromkeys(fact for answer in answers for fact in answer.notes)),
    )


def _join_pairs(pairs: Sequence[Pair]) -> Pair:
    """The pairs of several outputs as one."""
    arrays = ("at_odds", "decided", "applies", "difference", "allowed")
    return replace(
        pairs[0],
        cost_decided=all(pair.cost_decided for pair in pairs),
        gradients=tuple(np.concatenate(each) for each in zip(*(pair.gradients for pair in pairs))),
        accepted=np.concatenate([pair.accepted * np.ones_like(pair.difference) for pair in pairs]),
        **{name: np.concatenate([getattr(pair, name) for pair in pairs]) for name in arrays},
    )
