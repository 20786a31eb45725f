"""Trainings on digits: their plans, the accuracies that were published, and how well a trained network reads."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness.digits.digits_data import Digits
from harness.progress import Progress, silent
from harness.training.checkpoint import Checkpoint
from harness.training.gated_training import TrainingResult, predict, train
from reference.measured import GradientSource
from reference.namespaces import NUMPY
from reference.network import Network
from reference.problem import Problem


class Curves(NamedTuple):
    """Cost and accuracies at the initial θ and after each line search; the last is NaN if no digits are held out."""

    cost: np.ndarray
    training_accuracy: np.ndarray
    test_accuracy: np.ndarray


@dataclass(frozen=True, eq=False)
class Fit:
    """A network trained on digits, and the share of them that it reads correctly.

    Attributes
    ----------
    test : Digits or None
        The digits held out.
    test_accuracy : float or None
        On those; None if there are none.
    """

    problem: Problem
    training: TrainingResult
    test: Digits | None
    cost: float
    training_accuracy: float
    test_accuracy: float | None
    curves: Curves

    @property
    def network(self) -> Network:
        return self.problem.network

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return {
            "sizes": list(self.network.sizes),
            "l2": self.problem.l2,
            "examples": self.problem.m,
            "cost": self.cost,
            "nit": self.training.nit,
            "nfev": self.training.nfev,
            "training_accuracy": self.training_accuracy,
            "test_accuracy": self.test_accuracy,
            "message": self.training.message,
        }

    def __str__(self) -> str:
        held_out = "" if self.test_accuracy is None else f", and {self.test_accuracy:.2%} of those held out"
        return (
            f"{self.problem}: cost {self.cost:.5g}, {self.training_accuracy:.2%} read correctly{held_out}\n"
            f"  {self.training.message}"
        )


class Published(NamedTuple):
    """A published training accuracy, and the line search after which it is compared: -1 is the last."""

    name: str
    trained: str  # such as "all digits after 50 line searches"
    accuracy: float
    after: int = -1

    def measured(self, fit: Fit | None) -> float | None:
        """The same accuracy here; None if the training ended earlier."""
        if fit is None or len(fit.curves.training_accuracy) <= self.after:
            return None
        return float(fit.curves.training_accuracy[self.after])


class Plan(NamedTuple):
    """A training: layer sizes, λ, line searches, all digits or four fifths, and the published numbers to compare."""

    name: str
    sizes: tuple[int, ...]
    l2: float
    max_iter: int
    all_digits: bool = False
    published: tuple[Published, ...] = ()


def fit(
    plan: Plan,
    training: Digits,
    test: Digits | None = None,
    *,
    seed: int = 0,
    source: str | GradientSource = "vectorized",
    gate: bool = True,
    progress: Progress = silent,
    checkpoint: Checkpoint | None = None,
) -> Fit:
    """Train a network on digits behind the gate, from ``network.init(seed)`` on, and measure how well it reads.

    Raises
    ------
    GateClosed, ValueError, TypeError
        As by `train`. The network must have ten outputs, and as many inputs as an image has pixels.
    """
    network = Network(plan.sizes)
    problem = Problem(network, training.X, training.classes, plan.l2)
    rows = [] if checkpoint is None else checkpoint.trace

    def record(theta: np.ndarray, cost: float) -> None:
        rows.append((cost, accuracy(network, theta, training), accuracy(network, theta, test)))
        progress(plan.name, len(rows) - 1, plan.max_iter)

    theta = network.init(seed)
    record(theta, float(problem.cost(NUMPY, theta)))
    result = train(
        problem, theta, plan.max_iter, source, gate, lambda step: record(step.x, step.fun), checkpoint=checkpoint
    )
    return Fit(
        problem,
        result,
        test,
        cost=float(problem.cost(NUMPY, result.theta)),
        training_accuracy=accuracy(network, result.theta, training),
        test_accuracy=accuracy(network, result.theta, test) if test else None,
        curves=Curves(*np.transpose(rows)),
    )


def accuracy(network: Network, theta: np.ndarray, digits: Digits | None) -> float:
    """The share of the digits that the network reads correctly; NaN for no digits."""
    return float(np.mean(predict(network, theta, digits.X) == digits.classes)) if digits else np.nan
