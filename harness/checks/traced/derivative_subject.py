"""The derivatives of a traced function as a subject to be judged: how they are named and explained, who is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.checks.traced.derivative_answers import Look
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS, JAX
from harness.checks.traced.derivative_mistakes import find_mistakes
from harness.checks.traced.jax_modes import MODES
from harness.checks.traced.real_coordinates import Coordinates, Estimate
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, Pair
from harness.verdict.consensus import Consensus, Policy, Vote, find_consensus
from harness.verdict.subject import Subject

BY_ORACLES = Policy(judges=(INCREMENTS, DIFFERENCES), vote=Vote.NEVER)
"""Increments and differences judge JAX's modes, which share JAX's mistakes and have no vote."""

MOST_LEFT = 0.01
"""A rule is right in float64 if it leaves no larger share of an error there: what underflow or overflow has lost comes
back whole, and an error of the formula stays."""


@dataclass(frozen=True, eq=False)
class TracedDerivatives(Subject):
    """The subject of a verdict."""

    look: Look
    to_judge: np.ndarray  # mask of the coordinates to decide
    facts: Sequence[Fact] = ()
    details: dict[str, Any] = field(default_factory=dict)
    # which inputs move together along each direction that is compared; empty for random directions
    directions: tuple[str, ...] = ()
    type_name: str = ""  # the coarsest type that the function computes in
    culprits: tuple[Fact, ...] = ()  # the rule that is wrong, and its mistakes
    origins: tuple[Fact, ...] = ()  # where numbers that are not finite begin
    has_solver: bool = False  # whether a solver's tolerance hides digits
    in_steps: np.ndarray | None = None  # mask of the coordinates that are open since the function moves in steps

    @property
    def coordinates(self) -> Coordinates:
        """The derivatives that are compared."""
        return self.look.coordinates

    @property
    def blocks(self) -> Sequence[Block]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The coordinates of each array."""
        return self.coordinates.blocks

    @property
    def leeway(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How far the left and the right derivative lie apart: every value between them is accepted."""
        return 2.0 * np.nan_to_num(self.coordinates.combinations.per_output(Estimate(*self.look.true.sides)).error)

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
            per_output = len(self.directions) // len(combinations)  # the same directions for each output
            of = f" of {combinations.outputs.label(direction // per_output)}"
        return f"the derivative{of} along {self.directions[direction]} together, where there is no kink,"

    def explain_along(self) -> tuple[Fact, ...]:
        """Each input at a kink lies between both sides by itself, where such inputs move together; and the culprit."""
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
        """A fact where the rule is right in float64 wherever its number in the function's own type is wrong."""
        evaluated = self.look.float64_derivatives.get(wrong.name, np.full(at_odds.shape, np.nan))
        off, left = np.abs(wrong.gradient - right.gradient), np.abs(evaluated - right.gradient)
        is_right = np.isfinite(evaluated) & ~(left > MOST_LEFT * off)
        return (note(Kind.RIGHT_IN_FLOAT64, type=self.type_name or wrong.precision),) if is_right[at_odds].all() else ()

    def _evaluated(self, wrong: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        """A fact where the rule's evaluation in float64 was compared, and not the number that JAX reports."""
        places = np.flatnonzero(self.look.replaced.get(wrong.name, np.zeros(at_odds.shape, bool)) & at_odds)
        if not len(places):
            return ()
        own = next(answer for answer in self.look.own if answer.name == wrong.name)
        example, narrow = float(own.gradient[places[0]]), self.type_name or wrong.precision
        counts = {"places": len(places), "of": int(at_odds.sum())}
        return (note(Kind.COMPARED_IN_FLOAT64, self.label(places[0]), type=narrow, reported=example, **counts),)

    def why_undecided(self, coordinates: np.ndarray) -> Sequence[Fact]:
        """A solver's tolerance, or steps of the function; else error bounds are wide, or there is no slope."""
        if self.has_solver:
            return (doubt(Kind.SOLVER_HIDES_DIGITS),)
        if self.in_steps is not None and self.in_steps[coordinates].any():
            return (doubt(Kind.MOVES_IN_STEPS),)
        return super().why_undecided(coordinates)


def find_outliers(answers: Sequence[Answer], pairs: Sequence[Pair], directional: Sequence[Pair]) -> Consensus:
    """Who contradicts increments or differences; where nobody does, modes that contradict each other are a tie."""
    families = {answer.name: answer.family for answer in answers}
    for name in MODES:  # a mode may be compared along directions alone
        if any(pair.other(name) for pair in directional):
            families.setdefault(name, JAX)
    return find_consensus(families, (*pairs, *directional), BY_ORACLES)
