"""The numbers that GNU Octave computed with the course's own routines, as the tests read them (tests/golden)."""

import json
from pathlib import Path

import numpy as np

from reference import Network, Problem

_FOLDER = Path(__file__).parent / "golden"
_DEBUG = json.loads((_FOLDER / "debug_network.json").read_text())
_EX4 = json.loads((_FOLDER / "ex4.json").read_text())["with ex4weights.mat"]

LAMBDAS = (0.0, 1.0, 3.0)

COURSE = Network((400, 25, 10))
"""The network of exercise 4."""

COSTS = {l2: _EX4[f"{l2:g}"]["cost"] for l2 in LAMBDAS}
GRADIENT_NORMS = {l2: _EX4[f"{l2:g}"]["gradient_norm"] for l2 in LAMBDAS}
GRADIENT_SUMS = {l2: _EX4[f"{l2:g}"]["gradient_sum"] for l2 in LAMBDAS}
"""Of the 400-25-10 network at the course's weights."""

DEBUG_THETA = np.array(_DEBUG["theta"])
DEBUG_COSTS = {l2: _DEBUG["lambda"][f"{l2:g}"]["cost"] for l2 in LAMBDAS}
DEBUG_GRADIENTS = {l2: np.array(_DEBUG["lambda"][f"{l2:g}"]["gradient"]) for l2 in LAMBDAS}
DEBUG_THETA.flags.writeable = False


def debug_problem(l2: float) -> Problem:
    """The course's 3-5-3 network for checking gradients, with its five examples."""
    X = np.reshape(_DEBUG["X_column_major"], (5, 3), order="F")
    return Problem(Network((3, 5, 3)), X, np.array(_DEBUG["y_course_labels"]) - 1, l2)
