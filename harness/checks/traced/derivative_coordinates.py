"""The coordinates of a verdict: a derivative of each combination of outputs in each input, with a name, in blocks."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.checks.traced.derivative_case import Combinations
from harness.checks.traced.real_coordinates import Layout
from harness.verdict.comparison import Block


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The derivatives of combinations of outputs in all inputs: coordinate k·n + i is combination k, input i.

    Attributes
    ----------
    inputs : Layout
        The n inputs; for a function of many inputs those that are looked at one by one.
    combinations : Combinations
    point : (n,) array
    is_chosen : (n,) bool array
        The inputs whose derivatives are looked at one by one.
    all_inputs : int
        How many inputs the function has.
    """

    inputs: Layout
    combinations: Combinations
    point: np.ndarray
    is_chosen: np.ndarray
    all_inputs: int

    @property
    def looked_at(self) -> np.ndarray:
        """Mask of the coordinates that are compared."""
        return np.tile(self.is_chosen, len(self.combinations))

    @cached_property
    def blocks(self) -> list[Block]:
        """The coordinates of each input array, for each output array by itself if outputs are."""
        size = self.inputs.size
        return [
            Block(self._block_name(b.name, rows), (rows[:, None] * size + b.indices).ravel())
            for rows in self._rows_of_outputs()
            for b in self.inputs.blocks
        ]

    def _rows_of_outputs(self) -> list[np.ndarray]:
        if not self.combinations.each:
            return [np.arange(len(self.combinations))]
        return [b.indices for b in self.combinations.outputs.blocks if b.indices.size]

    def _block_name(self, name: str, rows: np.ndarray) -> str:
        outputs = self.combinations.outputs.blocks
        if not self.combinations.each or len(outputs) == 1:
            return name
        return f"{name} (of {next(b.name for b in outputs if rows[0] in b.indices)})"

    @property
    def has_several_outputs(self) -> bool:
        """Whether a coordinate's name needs that of its output."""
        return self.combinations.each and self.combinations.outputs.size > 1

    def label(self, i: int) -> str:
        """The name of a coordinate, such as ``d output[1] / d x[3]``."""
        k, i = divmod(int(i), self.inputs.size)
        name = self.inputs.label(i)
        return f"d {self.combinations.outputs.label(k)} / d {name}" if self.has_several_outputs else name

    def select(self, chosen: np.ndarray) -> "Coordinates":
        """The coordinates of some inputs alone."""
        kept = np.ones(len(chosen), bool)
        return Coordinates(self.inputs.select(chosen), self.combinations, self.point[chosen], kept, self.all_inputs)
