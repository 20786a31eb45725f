"""The gradient of anybody's own function as a subject to be judged."""

from typing import Any

import numpy as np

from harness.checks.functions.parameters import Layout
from harness.verdict.comparison import Answer
from harness.verdict.diagnosis import Part, diagnose
from harness.verdict.subject import Subject


class FunctionGradient(Subject):
    """The gradient in parameters laid out as the user has them, of which some coordinates were looked at one by one."""

    def __init__(self, layout: Layout, theta: np.ndarray, differenced: np.ndarray, to_decide: np.ndarray):
        self.layout, self.theta = layout, theta
        self.blocks = layout.blocks
        self.differenced, self._to_decide = differenced, to_decide

    def label(self, i: int) -> str:
        return self.layout.label(i)

    def describe(self) -> dict[str, Any]:
        return {"parameters": self.layout.size, "differenced": len(self.differenced)}

    def to_decide(self) -> np.ndarray:
        return self._to_decide

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> str:
        arrays = (wrong.gradient, right.gradient, self.theta, np.zeros_like(self.theta), at_odds)
        parts = [
            Part(block.name, *(array[block.indices].reshape(self.layout.shapes[block.name]) for array in arrays))
            for block in self.blocks
        ]
        return diagnose(parts)
