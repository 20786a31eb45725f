"""The derivatives of a traced function as a subject to be judged, and who is at odds with the increments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS, REFERENCE
from harness.checks.traced.derivative_coordinates import Coordinates
from harness.checks.traced.derivative_mistakes import find_mistakes
from harness.checks.traced.jax_modes import MODES
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, Pair
from harness.verdict.consensus import Consensus
from harness.verdict.subject import Subject


@dataclass(frozen=True, eq=False)
class TracedDerivatives(Subject):
    """The subject of a verdict.

    Attributes
    ----------
    coordinates : Coordinates
    chosen : mask of the coordinates to decide
    facts : tuple of Fact
    details : dict
    directions : tuple of str
        Which inputs move together along each direction that is compared; empty for random directions.
    type_name : str
        The coarsest type that the function computes in.
    in_float64 : mapping of a mode's name to a mask and to its own answer
        Where its evaluation in float64 is compared, and what JAX reports itself.
    culprits : tuple of Fact
        The rule that is wrong, and its mistakes.
    origins : tuple of Fact
        Where numbers that are not finite begin.
    has_solver : bool
        Whether a solver's tolerance hides digits.
    """

    coordinates: Coordinates
    chosen: np.ndarray
    facts: Sequence[Fact] = ()
    details: dict[str, Any] = field(default_factory=dict)
    directions: tuple[str, ...] = ()
    type_name: str = ""
    in_float64: Mapping[str, tuple[np.ndarray, Answer]] = field(default_factory=dict)
    culprits: tuple[Fact, ...] = ()
    origins: tuple[Fact, ...] = ()
    has_solver: bool = False

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
        return np.flatnonzero(self.chosen)

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
        return (note(Kind.ONLY_TOGETHER), *self.culprits) if self.directions else ()

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        """Which mistake it is, whose rule, and where NaN begins."""
        compared = self._evaluated(wrong, at_odds)
        mistakes = find_mistakes(self.coordinates, wrong, right, at_odds, in_float64=bool(compared))
        origins = () if np.isfinite(wrong.gradient[at_odds]).all() else self.origins
        return (*compared, *mistakes, *self.culprits, *origins)

    def _evaluated(self, wrong: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        """What was compared where it was not JAX's own numbers."""
        is_evaluated, own = self.in_float64.get(wrong.name, (np.zeros(at_odds.shape, bool), wrong))
        places = np.flatnonzero(is_evaluated & at_odds)
        if not len(places):
            return ()
        example, narrow = float(own.gradient[places[0]]), self.type_name or wrong.precision
        counts = {"places": len(places), "of": int(at_odds.sum())}
        return (note(Kind.COMPARED_IN_FLOAT64, self.label(places[0]), type=narrow, reported=example, **counts),)

    def why_undecided(self, coordinates: np.ndarray) -> Fact:
        """A solver's tolerance where there is one; else error bounds are wide, or the function has no slope."""
        return doubt(Kind.SOLVER_HIDES_DIGITS) if self.has_solver else super().why_undecided(coordinates)


def find_outliers(answers: Sequence[Answer], pairs: Sequence[Pair], ends: Sequence[Pair]) -> Consensus:
    """Increments measure JAX. Where they object to nobody, its modes are compared with each other."""
    names = tuple(answer.name for answer in answers)
    disagreeing = [pair for pair in (*pairs, *ends) if pair.disagrees]
    wrong = {pair.other(oracle) for pair in disagreeing for oracle in (INCREMENTS, DIFFERENCES)} & {*MODES, REFERENCE}
    if wrong:
        outliers = tuple(name for name in (*names, *MODES) if name in wrong)
        return Consensus(tuple(name for name in names if name not in wrong), tuple(dict.fromkeys(outliers)), tie=False)
    return Consensus((), (), tie=True) if disagreeing else Consensus(names, (), tie=False)
