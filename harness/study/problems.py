"""The kinds of problem on which checkers are compared, each problem decided by a seed."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import count

import numpy as np

from harness.checks.networks.random_problems import THETA_SCALES, random_problem
from harness.digits.digits_data import load_digits
from reference.network import Network
from reference.problem import Problem

Drawn = tuple[Problem, np.ndarray]

EX4_LIKE = (Network((3, 5, 3)), Network((8, 6, 4)), Network((20, 8, 5)))
"""The course's own check network, and larger ones that the slowest peers still take; a compiled program serves each."""

PARAMETERS_785 = Network((20, 25, 10))  # the course's 25 hidden units and 10 digits, on 20 pixels


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """The course's images, only the pixels that have ink in a tenth of them or more, and their classes."""
    digits = load_digits()
    inked = np.mean(digits.X > 0.1, axis=0) >= 0.1
    return digits.X[:, inked], digits.classes


def _on_digits(network: Network, m: int, rng: np.random.Generator) -> Drawn:
    """m digits seen through some of their pixels, the course's sigmoid network on them, and its initial θ."""
    X, classes = _digits()
    rows = rng.choice(len(X), m, replace=False)
    pixels = rng.choice(X.shape[1], network.sizes[0], replace=False)
    l2 = float(rng.choice([0.0, 1.0, 3.0]))  # the course's values of λ
    problem = Problem(network, X[np.ix_(rows, pixels)], classes[rows] % network.sizes[-1], l2)
    epsilon = np.sqrt(6.0 / (network.sizes[0] + network.sizes[1]))  # the course's rule for the size of initial weights
    return problem, network.init(rng, epsilon)


def ex4_like(seed: Sequence[int]) -> Drawn:
    """Exercise 4 in small: sigmoid networks from 3-5-3 to 20-8-5 on 5 to 20 digits, λ in {0, 1, 3}."""
    rng = np.random.default_rng(seed)
    network = EX4_LIKE[rng.integers(len(EX4_LIKE))]
    return _on_digits(network, int(rng.integers(5, 20, endpoint=True)), rng)


def ordinary(seed: Sequence[int]) -> Drawn:
    """Any depth, activation and output, with X and θ of ordinary size."""
    return random_problem(seed, extremes=False)


def with_785_parameters(seed: Sequence[int]) -> Drawn:
    """20-25-10 on 20 pixels of 20 digits."""
    return _on_digits(PARAMETERS_785, 20, np.random.default_rng(seed))


def saturated(seed: Sequence[int]) -> Drawn:
    """Random sigmoid and tanh networks with weights up to 100: most units sit at the ends of their range."""
    problem, theta = random_problem(seed, ("sigmoid", "tanh"), extremes=False)
    return problem, THETA_SCALES["saturating"] * theta


def at_kinks(seed: Sequence[int]) -> Drawn:
    """Random ReLU and leaky ReLU networks; units of the first layer sit on the kink of an example, or close to it.

    Half of these units have z = 0, up to rounding; the others a distance between 1e-9 and 1e-4, on either side.
    """
    tries = (random_problem((*seed, attempt), ("relu", "leaky_relu"), extremes=False) for attempt in count())
    problem, theta = next((problem, theta) for problem, theta in tries if problem.network.hidden)
    rng = np.random.default_rng(seed)
    thetas = problem.network.unpack(theta.copy())
    b, W = thetas[0][:, 0], thetas[0][:, 1:]
    distance = 10.0 ** rng.uniform(-9.0, -4.0, len(b)) * rng.choice([-1.0, 1.0], len(b))
    distance[rng.random(len(b)) < 0.5] = 0.0
    examples = rng.integers(problem.m, size=len(b))
    b[:] = distance - np.sum(W * problem.X[examples], axis=1)
    return problem, problem.network.pack(thetas)


KINDS: dict[str, Callable[[Sequence[int]], Drawn]] = {
    "ex4-like": ex4_like,
    "random": ordinary,
    "785 parameters": with_785_parameters,
    "saturated": saturated,
    "ReLU kink": at_kinks,
}

ORDINARY = ("ex4-like", "random", "785 parameters")


def draw(kind: str, seed: int, index: int) -> Drawn:
    """Problem number `index` of a kind, and θ."""
    return KINDS[kind]((seed, list(KINDS).index(kind), index))
