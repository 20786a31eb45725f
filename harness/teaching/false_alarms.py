"""Part 5: right gradients at which a naive check cries wolf: beside a kink, and where a unit is saturated.

One input x = 1, one hidden unit with z = w, one output; the derivative is the one in w. A naive check takes the central
difference of two costs at h = 1e-4 and wants the relative error below 1e-4.
"""

from typing import Any

import numpy as np

from harness.checks.networks.network_check import cross_check
from harness.sources.source_table import SOURCES
from reference.namespaces import NUMPY
from reference.network import Network
from reference.problem import Problem

H, ENOUGH = 1e-4, 1e-4

DISTANCES = tuple(sign * 10.0**-k for sign, ks in ((-1.0, range(1, 10)), (1.0, range(9, 0, -1))) for k in ks)
DEPTHS = tuple(float(z) for z in range(0, 46, 3))

BESIDE = ("loop", "vectorized", "jax", "finite-difference")


def kink(z: float) -> tuple[Problem, np.ndarray]:
    """A ReLU at z: J = (relu(z) + 1)²/2."""
    return _unit("relu", "linear", z, bias=0.0, weight=1.0, target=-1.0)


def saturated(z: float) -> tuple[Problem, np.ndarray]:
    """A sigmoid at z, and a cross-entropy of target 0 behind it: J = log(1 + exp(σ(z)))."""
    return _unit("sigmoid", "sigmoid", z, bias=0.0, weight=1.0, target=0.0)


def _unit(hidden: str, output: str, z: float, *, bias: float, weight: float, target: float) -> tuple[Problem, Any]:
    network = Network((1, 1, 1), hidden, output)
    problem = Problem(network, np.array([[1.0]]), np.array([[target]]))
    return problem, network.pack([np.array([[0.0, z]]), np.array([[bias, weight]])])


def naive(problem: Problem, theta: np.ndarray, h: float = H) -> dict[str, Any]:
    """What a naive check of ∂J/∂w finds: both derivatives, their relative error, and whether it raises an alarm."""
    i = 1  # θ = (b1, w1, b2, w2)
    ends = []
    for step in (h, -h):
        moved = theta.copy()
        moved[i] += step
        ends.append(float(problem.cost(NUMPY, moved)))
    numeric = (ends[0] - ends[1]) / (2.0 * h)
    analytic = float(SOURCES["loop"](problem, theta)[1][i])
    size = max(abs(numeric), abs(analytic))
    error = abs(numeric - analytic) / size if size else 0.0
    return {"numeric": numeric, "analytic": analytic, "error": error, "alarm": not error <= ENOUGH}


def false_alarms() -> dict[str, Any]:
    """Along the slider of each case: the naive check, and this harness."""
    cases = {"kink": (kink, DISTANCES), "saturated": (saturated, DEPTHS)}
    found: dict[str, Any] = {"h": H, "enough": ENOUGH}
    for case, (make, positions) in cases.items():
        rows = []
        for z in positions:
            problem, theta = make(z)
            report = cross_check(problem, theta, BESIDE)
            rows.append({"z": z, **naive(problem, theta), "verdict": report.verdict, "margin": report.margin})
        found[case] = rows
    return found
