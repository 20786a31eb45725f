"""The gradient of a network's cost as a subject to be judged."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.bounds.network_bound import Bound
from harness.checks.activations.activation_subject import AT_A_SEAM, SIDES
from harness.checks.networks.bug_explanations import explain_answer
from harness.facts.fact import Fact, as_facts
from harness.verdict.comparison import Answer, Block
from harness.verdict.subject import Subject
from reference.network import Network
from reference.problem import Problem

NOT_REPEATABLE = "answers differently when called twice with the same θ"


AT_A_KINK = "units sit at a kink, where slopes are a convention"
BY_PIECES = "automatic differentiation has a slope of its own where smooth pieces meet"
UNBOUNDED = "numbers are too large for any bound"
ROUNDED = "rounding may be as large as the derivative"


class NetworkGradient(Subject):
    """dJ/dθ of a problem at θ, whose coordinates are weights and biases; `explained` is whether bugs are looked for.

    Attributes
    ----------
    at_kinks, at_seams : (n,) bool arrays
        The coordinates in doubt that a convention at a kink moves, and those where smooth pieces meet.
    """

    def __init__(self, problem: Problem, theta: np.ndarray, bound: Bound, explained: bool = True):
        self.problem, self.theta, self.bound, self.explained = problem, theta, bound, explained
        self.blocks = blocks_of(problem.network)
        self.notes = bound.notes
        self.at_kinks = self.at_seams = np.zeros(theta.shape, bool)

    def label(self, i: int) -> str:
        return self.problem.network.label(i)

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        if (
            any(getattr(what, "data", {}).get("text", what) == NOT_REPEATABLE for what in wrong.misconduct)
            or not self.explained
        ):
            return ()
        explained = explain_answer(self.problem, self.theta, wrong, right, at_odds)
        return (*explained, *as_facts(AT_A_SEAM if right.name == SIDES else ""))

    def explain_cost(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        return self.explain(wrong, right, at_odds)

    def why_undecided(self, coordinates: np.ndarray) -> str:
        finite = np.isfinite(self.bound.gradient)
        seams = self.at_kinks | self.at_seams
        causes = {
            AT_A_KINK: self.at_kinks,
            BY_PIECES: self.at_seams,
            UNBOUNDED: ~finite & ~seams,
            ROUNDED: finite & ~seams,
        }
        told = " and ".join(cause for cause, where in causes.items() if where[coordinates].any())
        return f"{told}; try another θ, or smaller numbers"

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

    def blind_to(self) -> Sequence[str]:
        weights = np.concatenate([Theta[:, 1:].ravel() for Theta in self.problem.network.unpack(self.theta)])
        hidden = []
        if self.problem.l2 == 0.0:
            hidden.append("bugs in the regulariser, since λ = 0")
        if not weights.any():
            hidden.append("bugs that weights carry (backward through layers, regulariser), since all weights are zero")
        if self.problem.m == 1:
            hidden.append("a wrong or missing mean over the examples, since there is only one")
        return hidden


def blocks_of(network: Network) -> list[Block]:
    """The biases and the weights of each layer."""
    blocks = []
    for layer, indices in enumerate(network.unpack(np.arange(network.size)), start=1):
        blocks.append(Block(f"Theta{layer} bias", indices[:, 0]))
        blocks.append(Block(f"Theta{layer} weights", indices[:, 1:].ravel()))
    return blocks
