"""The gradient of a network's cost as a subject to be judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from harness.bounds.network_bound import Bound
from harness.checks.activations.slope_answers import ONE_SIDED
from harness.checks.networks.bug_explanations import explain_answer
from harness.checks.networks.network_junctions import NO_SIDES, OneSidedComparison
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block
from harness.verdict.subject import Subject
from reference.network import Network
from reference.problem import Problem


@dataclass(frozen=True, eq=False)
class NetworkGradient(Subject):
    """dJ/dθ of a problem at θ, whose coordinates are weights and biases."""

    problem: Problem
    theta: np.ndarray
    bound: Bound  # what rounding can do to cost and gradient
    explained: bool = True  # whether bugs are looked for that explain a wrong answer
    sides: OneSidedComparison = NO_SIDES  # what one-sided derivatives say where units sit at junctions

    @cached_property
    def blocks(self) -> list[Block]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return blocks_of(self.problem.network)

    @property
    def facts(self) -> Sequence[Fact]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.bound.notes

    def label(self, i: int) -> str:
        return self.problem.network.label(i)

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        # what answers differently each time has no error that a bug could explain
        if not self.explained or any(fact.kind == Kind.NOT_REPEATABLE for fact in wrong.broken_rules):
            return ()
        facts = explain_answer(self.problem, self.theta, wrong, right, at_odds)
        return (*facts, note(Kind.OUTSIDE_ONE_SIDED, wrong.name)) if right.name == ONE_SIDED else facts

    def explain_cost(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        return self.explain(wrong, right, at_odds)

    def why_undecided(self, coordinates: np.ndarray) -> tuple[Fact, ...]:
        # the first kind that applies is the reason, and the others are named beside it
        is_bounded, elsewhere = np.isfinite(self.bound.gradient), ~(self.sides.at_kinks | self.sides.at_junctions)
        causes = {
            Kind.UNITS_AT_KINK: self.sides.at_kinks,
            Kind.UNITS_AT_JUNCTION: self.sides.at_junctions,
            Kind.UNBOUNDED: ~is_bounded & elsewhere,
            Kind.UNDECIDED: is_bounded & elsewhere,
        }
        everywhere = {kind: np.broadcast_to(where, is_bounded.shape) for kind, where in causes.items()}
        first, *others = [kind for kind, where in everywhere.items() if where[coordinates].any()]
        return (doubt(first, also=others),)

    def describe(self) -> dict[str, Any]:
        network = self.problem.network
        return {
            "sizes": list(network.sizes),
            "hidden": [f.name for f in network.hidden],
            "output": network.output.name,
            "examples": self.problem.m,
            "l2": self.problem.l2,
            "parameters": network.size,
        }

    def in_shape(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        matrices = self.problem.network.unpack(numbers)
        return {f"Theta{layer}": matrix for layer, matrix in enumerate(matrices, start=1)}

    def blind_to(self) -> list[Fact]:
        weights = np.concatenate([Theta[:, 1:].ravel() for Theta in self.problem.network.unpack(self.theta)])
        # what makes the gradients of right and wrong code the same: 0 · W, λ · 0, and a mean over one example
        because = {
            "no-regulariser": self.problem.l2 == 0.0,
            "zero-weights": not weights.any(),
            "single-example": self.problem.m == 1,
        }
        hidden = [note(Kind.HIDDEN_BUGS, because=reason) for reason, holds in because.items() if holds]
        # an error of the size of its derivatives would be within the bound everywhere in such a block
        if below := [block for block in self.blocks if self._is_below_rounding(block)]:
            visible = max(float(self.bound.gradient[block.indices].max()) for block in below)
            hidden.append(note(Kind.BELOW_ROUNDING, *(block.name for block in below), visible=visible))
        return hidden

    def _is_below_rounding(self, block: Block) -> bool:
        """Whether all derivatives of a block are below the error bound, and some are not zero."""
        sizes, errors = (
            np.broadcast_to(x, self.theta.shape)[block.indices] for x in (self.bound.value, self.bound.gradient)
        )
        return bool((np.abs(sizes) <= errors).all() and np.isfinite(errors).all() and sizes.any())


def blocks_of(network: Network) -> list[Block]:
    """The biases and the weights of each layer."""
    blocks = []
    for layer, indices in enumerate(network.unpack(np.arange(network.size)), start=1):
        blocks.append(Block(f"Theta{layer} bias", indices[:, 0]))
        blocks.append(Block(f"Theta{layer} weights", indices[:, 1:].ravel()))
    return blocks
