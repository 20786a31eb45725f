"""What is checked, as the verdict sees it: coordinates with names, in blocks."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block


class Subject:
    """A gradient to be judged: of a network at (problem, θ), of somebody's function at θ, an activation on its grid.

    Each kind of check defines one, and overrides the defaults that do not fit it.
    """

    blocks: Sequence[Block] = ()  # all coordinates, in groups whose derivatives are of comparable size
    # What is known apart from the answers. One that is wrong makes the verdict "disagree" whatever the answers are, a
    # doubt keeps it from being "agree".
    facts: Sequence[Fact] = ()
    # what only this kind of subject has to tell, JSON-ready
    details: dict[str, Any] = {}  # noqa: RUF012  replaced, never written to
    picture: Any = None  # what `Report.plot` draws instead of a heat map: its ``figure(report)`` is a Matplotlib figure
    leeway: np.ndarray | float = 0.0  # how far right answers may lie apart, as at a kink; one for each coordinate

    def label(self, i: int) -> str:
        """The name of coordinate i."""
        raise NotImplementedError

    def along(self, direction: int) -> str:
        """What is compared end to end, of a direction's number."""
        return f"the derivative along direction {direction}"

    def explain_along(self) -> Sequence[Fact]:
        """Which mistake makes a difference there; empty where none is known."""
        return ()

    def describe(self) -> dict[str, Any]:
        """What is checked, JSON-ready and in a few words."""
        raise NotImplementedError

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> Sequence[Fact]:
        """Which mistake makes the difference between two answers; empty where none is known."""
        return ()

    def explain_cost(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> Sequence[Fact]:
        """The same where the costs differ, and the gradients perhaps as well."""
        return ()

    def blind_to(self) -> Sequence[Fact]:
        """Kinds of bug that could not show here, whatever the sources answered."""
        return ()

    def to_decide(self) -> np.ndarray:
        """The indices of the coordinates that are to be decided; by default all."""
        return np.sort(np.concatenate([block.indices for block in self.blocks]))

    def places(self, coordinates: np.ndarray) -> tuple[str, ...]:
        """Where some coordinates are: by default their names."""
        return tuple(map(self.label, coordinates.tolist()))

    def why_undecided(self, coordinates: np.ndarray) -> Sequence[Fact]:
        """What keeps these coordinates from being decided, a fact for each reason.

        `judge` adds where, how many of how many, and whose, unless a fact says so itself.
        """
        return (doubt(Kind.UNDECIDED),)

    def parts(self, at_odds: np.ndarray) -> tuple[str, ...]:
        """Which parts of the subject the coordinates of a mask lie in."""
        return tuple(block.name for block in self.blocks if at_odds[block.indices].any())

    def in_shape(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        """One number for each coordinate, (n,), as named matrices to be drawn; by default a row for each block."""
        return {block.name: numbers[block.indices][np.newaxis] for block in self.blocks if len(block.indices)}
