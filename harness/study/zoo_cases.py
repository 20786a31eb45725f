"""The cases of the zoo's study: every bug of the zoo, and correct code, on problems of several kinds.

A seed decides each problem. The correct code is the pipeline that the bugs are made from, so only the bug differs.

Certified enclosures decide whether a bug is there at all. A bug in a slope changes nothing in a network without a
hidden layer, and one in the regulariser nothing at λ = 0. A checker that passes such an answer is right, so it makes no
case.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count
from typing import Any

import numpy as np

from harness.bounds.network_bound import rounding_bound
from harness.checks.networks.random_problems import THETA_SCALES, random_problem
from harness.digits.digits_data import load_digits
from harness.sources.backprop_steps import Backprop
from harness.sources.bug_zoo import Bug
from harness.sources.source_table import BY_HAND, Source
from harness.study.trials import Case
from reference.measured import GradientSource
from reference.network import Network
from reference.oracles import ball_arithmetic
from reference.problem import Problem

Drawn = tuple[Problem, np.ndarray]

CORRECT = Bug(
    "correct",
    "The pipeline that the bugs are made from.",
    Source("correct", BY_HAND, Backprop()),
    ("vectorized",),
    "none",
)

GROUPS = {
    "gradient": "the gradient is not that of the cost it comes with",
    "cost": "the cost is wrong as well, which only another source can tell",
    "program": "the formulas are right, and the program around them is not",
}

CONTROLS = 5
"""Correct code gets so many problems for each problem of the bugs, as there are a hundred bugs and one correct code."""

SLOW = {"785 parameters": 5}  # a fifth of the problems, where a check takes the peers twenty times as long

# -- problems ----------------------------------------------------------------------------------------------------------

EX4_LIKE = (Network((3, 5, 3)), Network((8, 6, 4)), Network((20, 8, 5)))
"""The course's own check network, and larger ones that the slowest peers can check; each is compiled once."""

PARAMETERS_785 = Network((20, 25, 10))  # the course's 25 hidden units and 10 digits, on 20 pixels


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """The course's images and their classes; only pixels that have ink in a tenth of the images or more."""
    digits = load_digits()
    inked = np.mean(digits.X > 0.1, axis=0) >= 0.1
    return digits.X[:, inked], digits.classes


def _on_digits(network: Network, m: int, rng: np.random.Generator) -> Drawn:
    """Some pixels of m digits, the course's sigmoid network on them, and its initial θ."""
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


def saturated(seed: Sequence[int]) -> Drawn:
    """Random sigmoid and tanh networks with weights up to 100: most units sit at the ends of their range."""
    problem, theta = random_problem(seed, ("sigmoid", "tanh"), extremes=False)
    return problem, THETA_SCALES["saturating"] * theta


def at_kinks(seed: Sequence[int]) -> Drawn:
    """Random ReLU and leaky ReLU networks; units of the first layer are on the kink of an example, or close to it.

    Half of these units have z = 0, up to rounding. The others have |z| between 1e-9 and 1e-4.
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
    "random": lambda seed: random_problem(seed, extremes=False),  # any depth, activation and output, of ordinary size
    "785 parameters": lambda seed: _on_digits(PARAMETERS_785, 20, np.random.default_rng(seed)),  # on 20 digits
    "saturated": saturated,
    "ReLU kink": at_kinks,
}

ORDINARY = ("ex4-like", "random", "785 parameters")


def draw(kind: str, seed: int, index: int) -> Drawn:
    """Problem number `index` of a kind, and θ."""
    return KINDS[kind]((seed, list(KINDS).index(kind), index))


def group_of(bug: Bug) -> str:
    """Which of `GROUPS` a bug belongs to; correct code belongs to none."""
    return {"cost": "cost", "program": "program", "none": ""}.get(bug.part, "gradient")


def counts_of(problems: int) -> dict[str, int]:
    """How many problems of each kind the bugs are shown on."""
    return {kind: max(1, problems // SLOW.get(kind, 1)) for kind in KINDS}


# -- cases -------------------------------------------------------------------------------------------------------------


class Enclosure:
    """The exact cost and gradient of a problem at θ, enclosed by balls, and the rounding error bound around them."""

    def __init__(self, problem: Problem, theta: np.ndarray):
        self.problem, self.theta = problem, theta
        self.exact = ball_arithmetic.measure(problem, theta)
        self.bound = rounding_bound(problem, theta)

    def excludes(self, source: GradientSource) -> bool:
        """Whether the source's answer is certainly wrong, or the source changes its argument θ.

        A cost or coordinate is wrong if it lies farther from the ball that contains the exact value than rounding
        could have moved a correct computation. At a kink the ball is as wide as the jump, so no answer in it is wrong.
        """
        given = self.theta.copy()
        cost, gradient = source(self.problem, given)
        return bool(
            not np.array_equal(given, self.theta)
            or _beyond(cost, self.exact.cost, self.bound.cost)
            or np.any(_beyond(gradient, self.exact.gradient, self.bound.gradient + self.exact.error))
        )


def _beyond(answer: Any, exact: Any, allowed: Any) -> Any:
    return np.isfinite(allowed) & ~(np.abs(answer - exact) <= allowed)  # NaN is beyond every bound


def zoo_cases(bugs: Sequence[Bug], kind: str, problems: int, seed: int) -> Iterator[Case]:
    """Bugs on the first problems of a kind, and correct code on `CONTROLS` times as many.

    A subject is (bug, problem, θ).
    """
    for number in range(CONTROLS * problems):
        problem, theta = draw(kind, seed, number)
        yield Case(CORRECT.name, kind, (CORRECT, problem, theta), number=number)
        if number < problems:
            with np.errstate(all="ignore"):  # bugs overflow where right formulas do not
                enclosure = Enclosure(problem, theta)
                present = [bug for bug in bugs if enclosure.excludes(bug.source)]
            for bug in present:
                yield Case(bug.name, kind, (bug, problem, theta), bug.name, group_of(bug), number)
