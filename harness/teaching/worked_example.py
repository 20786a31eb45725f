"""Part 1: a network of two inputs, two hidden units and one output, small enough to work out on paper.

    z1 = Θ1 [1; x]      a1 = σ(z1)      z2 = Θ2 [1; a1]      a2 = σ(z2)
    J  = -y log a2 - (1 - y) log(1 - a2)
    δ2 = a2 - y         δ1 = (W2ᵀ δ2) ⊙ a1 ⊙ (1 - a1)
    ∂J/∂Θ2 = δ2 [1; a1]ᵀ                ∂J/∂Θ1 = δ1 [1; x]ᵀ

One example and λ = 0, so there is neither a mean nor a regulariser.
"""

from typing import Any

import numpy as np

from harness.sources.source_table import SOURCES
from reference.namespaces import NUMPY
from reference.network import Network
from reference.problem import Problem

X, Y = (1.0, 0.5), 1.0

THETA1 = ((0.1, 0.3, -0.2), (-0.1, 0.2, 0.6))
THETA2 = ((0.2, 0.5, -0.6),)

MOVED = 2
"""The coordinate whose derivative the page takes by differences: Theta1[0, 1], the first unit's first weight."""


def problem_and_theta() -> tuple[Problem, np.ndarray]:
    """The problem, and θ of shape (9,)."""
    network = Network((2, 2, 1))
    return Problem(network, np.array([X]), np.array([[Y]])), network.pack([np.array(THETA1), np.array(THETA2)])


def by_hand() -> dict[str, Any]:
    """Every number of the example, and what the harness's own loop answers elsewhere, for the page to be held to.

    ``along`` holds for each coordinate i some values w of θ_i with the cost and ∂J/∂θ_i there.
    """
    problem, theta = problem_and_theta()
    network = problem.network
    Theta1, Theta2 = network.unpack(theta)
    hidden, output = (Z[0] for Z in network.forward([Theta1, Theta2], problem.X, lambda f, Z: f(Z))[1])
    cost, gradient = SOURCES["loop"](problem, theta)
    return {
        "x": list(X),
        "y": Y,
        "theta": theta.tolist(),
        "labels": [network.label(i) for i in range(network.size)],
        "moved": MOVED,
        "z1": hidden.tolist(),
        "a1": network.hidden[0](hidden).tolist(),
        "z2": output.tolist(),
        "a2": network.output.predict(NUMPY, output).tolist(),
        "cost": cost,
        "gradient": gradient.tolist(),
        "along": [[_moved(problem, theta, i, w) for w in (-3.0, -0.7, 0.0, 1.3, 3.0)] for i in range(network.size)],
    }


def _moved(problem: Problem, theta: np.ndarray, i: int, w: float) -> dict[str, float]:
    moved = theta.copy()
    moved[i] = w
    cost, gradient = SOURCES["loop"](problem, moved)
    return {"w": w, "cost": cost, "slope": float(gradient[i])}
