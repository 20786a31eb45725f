"""Exercise 4 of the course, measured beside its published numbers.

The course prints costs with six decimals, an accuracy with two, and the sigmoid's slope at zero. A measured number is
equal if it rounds to the published one.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.digits.digits_data import Digits
from harness.digits.mat_files import read_mat
from harness.files import MAX_SIZE, read_at_most
from harness.sources.source_table import SOURCES
from harness.training.gated_training import predict
from reference.activations import ACTIVATIONS
from reference.network import Network
from reference.problem import Problem

COURSE = Network((400, 25, 10))

PUBLISHED_COSTS = {0.0: "0.287629", 1.0: "0.383770", 3.0: "0.576051"}
"""By λ, with every digit that is published."""


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

    Raises
    ------
    OSError, ValueError
        The file is missing, damaged or too large, or holds other matrices.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; give the course's ex4weights.mat")
    try:
        content = read_mat(read_at_most(path, max_size), max_size)
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read as a MATLAB file ({error}); give a .mat file: the course's, or the theta.mat of "
            "harness run"
        ) from None
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
    accuracy = np.mean(predict(COURSE, theta, digits.X) == digits.classes)
    rows.append(Comparison("training accuracy in %", "97.52", 100.0 * float(accuracy)))
    sigmoid, z = ACTIVATIONS["sigmoid"], np.zeros(1)
    rows.append(Comparison("sigmoid gradient at 0", "0.25", float(sigmoid.slope(z, sigmoid(z))[0])))
    return rows


def to_dict(rows: list[Comparison]) -> dict[str, Any]:
    """A JSON-ready document; the verdict is "agree" when every number does."""
    return {
        "verdict": "agree" if all(row.equal for row in rows) else "disagree",
        "rows": [row._asdict() | {"equal": row.equal} for row in rows],
    }


def as_table(rows: list[Comparison]) -> str:
    """The comparison for a person, a line each."""
    width = max(len(row.what) for row in rows)
    lines = [f"{'':{width}}  published  measured"]
    for row in rows:
        differs = "" if row.equal else "   DIFFERS"
        lines.append(f"{row.what:{width}}  {row.published:>9}  {row.measured:.12g}{differs}")
    return "\n".join(lines)
