"""Part 2: the error of a difference against its step h, for five ways to take one.

The function is the cost of the example worked by hand along one of its weights, plus a constant: the rest of a cost
that does not depend on this weight. The constant changes no derivative, and all that is subtracted loses digits to it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.sources.source_table import SOURCES
from harness.teaching.worked_example import MOVED, problem_and_theta
from reference.arithmetics.increments import Increment
from reference.namespaces import NUMPY
from reference.oracles.complex_step import COMPLEX, Analytic

STEPS = tuple(range(-16, 1))
"""The steps of the page's dots are 10 to these powers."""

CONSTANTS = (0.0, 1e4, 1e8)

Cost = Callable[[float], float]


def forward(f: Cost, w: float, h: float) -> float:
    """(f(w + h) - f(w))/h."""
    return (f(w + h) - f(w)) / h


def central(f: Cost, w: float, h: float) -> float:
    """(f(w + h) - f(w - h))/2h."""
    return (f(w + h) - f(w - h)) / (2.0 * h)


def richardson(f: Cost, w: float, h: float) -> float:
    """(4 D(h) - D(2h))/3, where D is the central difference: its error h² cancels."""
    return (4.0 * central(f, w, h) - central(f, w, 2.0 * h)) / 3.0


def cost_along(constant: float) -> Cost:
    """J + constant as a function of the one weight."""
    problem, theta = problem_and_theta()

    def cost(w: float) -> float:
        moved = theta.copy()
        moved[MOVED] = w
        return float(problem.cost(NUMPY, moved)) + constant

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
    differences = {"forward": forward, "central": central, "Richardson": richardson}
    unmoved = {"complex step": complex_step, "increments": by_increments}
    answers = []
    for constant in CONSTANTS:
        cost = cost_along(constant)
        found = {name: [take(cost, w, 10.0**k) for k in STEPS] for name, take in differences.items()}
        found |= {name: [take(10.0**k) for k in STEPS] for name, take in unmoved.items()}
        answers.append({"constant": constant, "answers": found})
    exact = float(SOURCES["ball"](problem, theta)[1][MOVED])
    best = {name: _best(answers[0]["answers"][name], exact) for name in differences}
    return {"w": w, "exact": exact, "steps": list(STEPS), "curves": answers, "best": best}


def _best(answers: list[float], exact: float) -> dict[str, float]:
    errors = [abs(answer - exact) / abs(exact) for answer in answers]
    least = min(range(len(errors)), key=errors.__getitem__)
    return {"step": 10.0 ** STEPS[least], "digits": -math.log10(max(errors[least], 1e-16))}
