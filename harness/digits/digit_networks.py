"""Networks that read digits: trainings with their plans, and exercise 4 of the course, beside published numbers.

The course prints costs with six decimals, an accuracy with two, and the sigmoid's slope at zero. A measured number is
equal if it rounds to the published one.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.digits.digits_data import Digits
from harness.digits.mat_files import read_mat
from harness.files import MAX_SIZE, read_file
from harness.progress import Progress, silent
from harness.sources.source_table import SOURCES
from harness.training.checkpoint import Checkpoint
from harness.training.gated_training import TrainingResult, predict, train
from reference.activations import ACTIVATIONS
from reference.measured import GradientSource
from reference.namespaces import NUMPY
from reference.network import Network
from reference.problem import Problem

COURSE = Network((400, 25, 10))

PUBLISHED_COSTS = {0.0: "0.287629", 1.0: "0.383770", 3.0: "0.576051"}
"""The course's cost of its own weights, by λ, with every digit that is printed."""


class Curves(NamedTuple):
    """Cost and accuracies at the initial θ and after each line search; the last is NaN if no digits are held out."""

    cost: np.ndarray
    training_accuracy: np.ndarray
    test_accuracy: np.ndarray


@dataclass(frozen=True, eq=False)
class Fit:
    """A network trained on digits, and the share of them that it reads correctly."""

    problem: Problem
    training: TrainingResult
    test: Digits | None  # the digits held out
    cost: float
    training_accuracy: float
    test_accuracy: float | None  # the share of these that it reads correctly; None if there are none
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

    Raises GateClosed, ValueError or TypeError as by `train`. The network must have ten outputs, and as many inputs as
    an image has pixels.
    """
    network = Network(plan.sizes)
    problem = Problem(network, training.X, training.classes, plan.l2)
    rows = [] if checkpoint is None else checkpoint.trace

    def record(theta: np.ndarray, cost: float) -> None:
        rows.append((cost, accuracy(network, theta, training), accuracy(network, theta, test)))
        progress(plan.name, len(rows) - 1, plan.max_iter)

    # The first row is that of the initial θ, so that the curves begin there. A checkpoint that is loaded replaces it.
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


# -- the course's weights ----------------------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """A published number, and the one measured here."""

    what: str
    published: str
    measured: float

    @property
    def equal(self) -> bool:
        """Whether they agree in every published digit."""
        decimals = len(self.published.partition(".")[2])
        return f"{self.measured:.{decimals}f}" == self.published


def load_weights(path: str | Path, max_size: int = MAX_SIZE) -> np.ndarray:
    """θ of the 400-25-10 network from a .mat file with Theta1 (25 x 401) and Theta2 (10 x 26).

    Raises OSError or ValueError where the file is missing, damaged or too large, or holds other matrices.
    """
    raw = read_file(path, "the course's ex4weights.mat", max_size)
    try:
        content = read_mat(raw, max_size)
    except ValueError as error:
        advice = "give a .mat file: the course's, or the theta.mat of harness run"
        raise ValueError(f"{path} cannot be read as a MATLAB file ({error}); {advice}") from None
    missing = [name for name in ("Theta1", "Theta2") if name not in content]
    if missing:
        raise ValueError(f"{path} must hold Theta1 and Theta2, but has no {' and no '.join(missing)}")
    try:
        theta = COURSE.pack([content[name].array(name, max_size) for name in ("Theta1", "Theta2")])
    except ValueError as error:
        raise ValueError(f"{path} does not hold the course's Theta1 and Theta2: {error}") from None
    if not np.isfinite(theta).all():
        raise ValueError(f"{path} holds weights that are not finite")
    return theta


def compare_with_course(theta: np.ndarray, digits: Digits) -> list[Comparison]:
    """Costs at λ = 0, 1 and 3 by three sources, accuracy, and the sigmoid's slope, beside the course's numbers."""
    rows = []
    for l2, published in PUBLISHED_COSTS.items():
        problem = Problem(COURSE, digits.X, digits.classes, l2)
        costs = {name: float(SOURCES[name](problem, theta)[0]) for name in ("loop", "vectorized", "jax")}
        rows += [Comparison(f"cost, λ = {l2:g}, {name}", published, cost) for name, cost in costs.items()]
    share = accuracy(COURSE, theta, digits)
    rows.append(Comparison("training accuracy in %", "97.52", 100.0 * share))
    sigmoid, z = ACTIVATIONS["sigmoid"], np.zeros(1)
    rows.append(Comparison("sigmoid gradient at 0", "0.25", float(sigmoid.slope(z, sigmoid(z))[0])))
    return rows


def comparison_document(rows: list[Comparison]) -> dict[str, Any]:
    """A JSON-ready document; the verdict is "agree" when every number does."""
    return {
        "verdict": "agree" if all(row.equal for row in rows) else "disagree",
        "rows": [row._asdict() | {"equal": row.equal} for row in rows],
    }


def comparison_table(rows: list[Comparison]) -> str:
    """The comparison for a person, a line each."""
    width = max(len(row.what) for row in rows)
    lines = [f"{'':{width}}  published  measured"]
    for row in rows:
        differs = "" if row.equal else "   DIFFERS"
        lines.append(f"{row.what:{width}}  {row.published:>9}  {row.measured:.12g}{differs}")
    return "\n".join(lines)
