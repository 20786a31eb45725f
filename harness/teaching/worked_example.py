"""Parts 1 and 2 of the lesson: a network worked by hand, and the error of a difference against its step.

The network has two inputs, two hidden units and one output:

    z1 = Θ1 [1; x]      a1 = σ(z1)      z2 = Θ2 [1; a1]      a2 = σ(z2)
    J  = -y log a2 - (1 - y) log(1 - a2)
    δ2 = a2 - y         δ1 = (W2ᵀ δ2) ⊙ a1 ⊙ (1 - a1)
    ∂J/∂Θ2 = δ2 [1; a1]ᵀ                ∂J/∂Θ1 = δ1 [1; x]ᵀ

One example and λ = 0, so there is neither a mean nor a regulariser. Part 2 takes the derivative in one of the weights
in five ways. A constant is added to the cost: it changes no derivative, and differences lose digits to it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.sources.source_table import SOURCES
from reference.arithmetics.increments import Increment
from reference.namespaces import NUMPY
from reference.network import Network
from reference.oracles.complex_step import COMPLEX, Analytic
from reference.problem import Problem

X, Y = (1.0, 0.5), 1.0

THETA1 = ((0.1, 0.3, -0.2), (-0.1, 0.2, 0.6))
THETA2 = ((0.2, 0.5, -0.6),)

MOVED = 2  # the coordinate whose derivative is taken by differences: Theta1[0, 1], the first unit's first weight

ALONG = (-3.0, -0.7, 0.0, 1.3, 3.0)
"""Values of a coordinate at which the page's own numbers are compared with the loop's."""

STEPS = tuple(range(-16, 1))  # the steps of the page's dots are 10 to these powers

CONSTANTS = (0.0, 1e4, 1e8)

Cost = Callable[[float], float]


def problem_and_theta() -> tuple[Problem, np.ndarray]:
    """The problem, and θ of shape (9,)."""
    network = Network((2, 2, 1))
    return Problem(network, np.array([X]), np.array([[Y]])), network.pack([np.array(THETA1), np.array(THETA2)])


def worked_example() -> dict[str, Any]:
    """Every number of the example, and what the harness's own loop answers elsewhere, as a test of the page.

    ``along`` holds for each coordinate i some values w of θ_i with the cost and ∂J/∂θ_i there.
    """
    problem, theta = problem_and_theta()
    network = problem.network
    matrices = network.unpack(theta)
    hidden, output = (Z[0] for Z in network.forward(matrices, problem.X, lambda f, Z: f(Z))[1])
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
        "along": [[_loop_at(i, w) for w in ALONG] for i in range(network.size)],
    }


def _loop_at(i: int, w: float) -> dict[str, float]:
    problem, theta = problem_and_theta()
    theta[i] = w
    cost, gradient = SOURCES["loop"](problem, theta)
    return {"w": w, "cost": cost, "slope": float(gradient[i])}


# -- five ways to take a derivative ------------------------------------------------------------------------------------


def central(f: Cost, w: float, h: float) -> float:
    """(f(w + h) - f(w - h))/2h."""
    return (f(w + h) - f(w - h)) / (2.0 * h)


DIFFERENCES: dict[str, Callable[[Cost, float, float], float]] = {
    "forward": lambda f, w, h: (f(w + h) - f(w)) / h,
    "central": central,
    "Richardson": lambda f, w, h: (4.0 * central(f, w, h) - central(f, w, 2.0 * h)) / 3.0,  # the error h² cancels
}


def cost_along(constant: float) -> Cost:
    """J + constant as a function of the one weight."""

    def cost(w: float) -> float:
        problem, theta = problem_and_theta()
        theta[MOVED] = w
        return float(problem.cost(NUMPY, theta)) + constant

    return cost


def complex_step(h: float) -> float:
    """Im J(w + ih)/h, which subtracts nothing."""
    problem, theta = problem_and_theta()
    moved = theta.astype(complex)
    moved[MOVED] += 1j * h
    return float(np.imag(np.sum(problem.losses(COMPLEX, moved.view(Analytic)))) / h)


def by_increments(h: float) -> float:
    """The central difference of increments that are carried through the formulas, and so never cancel."""
    problem, theta = problem_and_theta()
    change = np.zeros((2, theta.size))
    change[:, MOVED] = h, -h
    matrices = [Increment(*pair) for pair in zip(problem.network.unpack(theta), problem.network.unpack_many(change))]
    _, Zs = problem.network.forward(matrices, problem.X, lambda f, Z: f.value(NUMPY, Z))
    ahead, behind = problem.network.output.loss(NUMPY, Zs[-1], problem.Y).change.sum(axis=-1)
    return float((ahead - behind) / (2.0 * h))


def step_sizes() -> dict[str, Any]:
    """The derivative, and the answers of every method at every step, for each constant."""
    problem, theta = problem_and_theta()
    w = float(theta[MOVED])
    exact_methods = {"complex step": complex_step, "increments": by_increments}
    curves = []
    for constant in CONSTANTS:
        cost = cost_along(constant)
        answers = {name: [take(cost, w, 10.0**k) for k in STEPS] for name, take in DIFFERENCES.items()}
        answers |= {name: [take(10.0**k) for k in STEPS] for name, take in exact_methods.items()}
        curves.append({"constant": constant, "answers": answers})
    exact = float(SOURCES["ball"](problem, theta)[1][MOVED])
    best = {name: _best(curves[0]["answers"][name], exact) for name in DIFFERENCES}
    return {"w": w, "exact": exact, "steps": list(STEPS), "curves": curves, "best": best}


def _best(answers: list[float], exact: float) -> dict[str, float]:
    """The step with the smallest relative error, and its correct digits."""
    errors = [abs(answer - exact) / abs(exact) for answer in answers]
    least = min(range(len(errors)), key=errors.__getitem__)
    return {"step": 10.0 ** STEPS[least], "digits": -math.log10(max(errors[least], 1e-16))}
