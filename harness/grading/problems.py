"""The problems that submissions are asked about: small ones of several shapes, and the course's own."""

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from harness.bounds.network_bound import Bound, rounding_bound
from harness.checks.networks.bug_replay import NO_BUG, Replay
from harness.digits.data import load_digits
from harness.grading.calling.answers import Parsed
from harness.sources.backprop_steps import Backprop, Layout
from harness.verdict.comparison import Answer
from reference.arithmetics.rounded import Rounded, Rounded32
from reference.network import Network
from reference.problem import Problem

REWRITTEN = 16
"""How many times the bound of the formulas as they are stated a right answer may be off: log(1 - h) for log(1 + e^z),
which is what the course writes, loses a digit or so where h is close to 1, as far as it is here."""

OF_BLOCK = 1e-12
"""What may be off in float64 in any case, of the largest entry: far more than rounding, and far less than any bug."""

EPSILONS = tuple(10.0**-digits for digits in range(4, 17))
"""What is added inside a logarithm against log(0)."""

EPSILON_ADDED, EPSILON_CLIPPED = "a small number added inside the logarithms", "h clipped before the logarithms"

COURSE = (400, 25, 10)
EXAMPLES = 5000  # the course's


@dataclass(frozen=True, eq=False)
class Asked:
    """A problem at θ, and its name."""

    name: str
    problem: Problem
    theta: np.ndarray

    @cached_property
    def bounds(self) -> dict[str, Bound]:
        """By precision, those that were asked for."""
        return {}

    def bound(self, precision: str) -> Bound:
        if precision not in self.bounds:
            kinds = {"float64": Rounded, "float32": Rounded32}
            self.bounds[precision] = rounding_bound(self.problem, self.theta, kinds[precision])
        return self.bounds[precision]

    def allowed(self, precision: str) -> tuple[float, np.ndarray]:
        """The error bars of a right cost and gradient.

        In float64 there is room for rewritten formulas, and still no bug is as small. In float32 there is none: the
        bound of its rounding is as large as a small bug, and right code stays far below it.
        """
        bound = self.bound(precision)
        if precision == "float32":
            return bound.cost, bound.gradient
        cost, gradient = (OF_BLOCK * float(np.abs(right).max()) for right in self.right)
        largest = max(float(np.abs(bound.gradient).max()), gradient)
        return REWRITTEN * bound.cost + cost, REWRITTEN * bound.gradient + largest

    def replay(self, parsed: Parsed) -> Replay:
        """The zoo, ready to be played again beside an answer; what is missing in it is NaN, and so is wrong."""
        (cost_error, error), network = self.allowed(parsed.precision), self.problem.network
        absent = np.full(network.size, np.nan)
        gradient = absent if parsed.gradient is None else parsed.gradient
        cost = np.nan if parsed.cost is None else parsed.cost
        answer = Answer("submission", "submission", cost, cost_error, gradient, error)
        return Replay(self.problem, self.theta, answer, Layout(parsed.order))

    @cached_property
    def right(self) -> tuple[float, np.ndarray]:
        """The cost and the gradient that they should be."""
        from harness.sources.vectorized import cost_and_gradient

        with np.errstate(all="ignore"):
            return cost_and_gradient(self.problem, self.theta)

    @property
    def is_bounded(self) -> bool:
        """Whether the cost of right code is finite, in whatever order it multiplies."""
        return bool(np.isfinite([self.right[0], self.allowed("float64")[0]]).all())

    def as_meant(self, parsed: Parsed, single: bool) -> Parsed:
        """The answer without what a right one may add to it: a small number in the logarithms, or single precision.

        Parameters
        ----------
        single : whether the code says that it computes in single precision
        """
        cost_right, gradient_right = self.judged(parsed)
        if parsed.cost is not None and not cost_right:
            allowed, _ = self.allowed(parsed.precision)
            for convention, added in self.added_by_epsilon:
                if abs(parsed.cost - added - self.right[0]) <= allowed:
                    return replace(parsed, cost=parsed.cost - added, came=(*parsed.came, convention))
        if (single and not (cost_right and gradient_right)) or parsed.precision == "float32":
            return replace(parsed, precision="float32", came=(*parsed.came, "single precision (float32)"))
        return parsed

    @cached_property
    def added_by_epsilon(self) -> list[tuple[str, float]]:
        """What a small ε adds to the cost where h nears 0 or 1: log(h + ε) in one or both logarithms, or h clipped."""
        if self.problem.network.output.name != "sigmoid":
            return []
        Y, Z = self.problem.Y, Backprop().forward(self.problem, self.theta).Zs[-1]

        def cost(of_ones: np.ndarray, of_zeros: np.ndarray) -> float:
            return float(-(Y * of_ones + (1.0 - Y) * of_zeros).sum() / self.problem.m)

        found = []
        with np.errstate(all="ignore"):
            h, rest = 1.0 / (1.0 + np.exp(-Z)), 1.0 / (1.0 + np.exp(Z))
            logs = -np.logaddexp(0.0, -Z), -np.logaddexp(0.0, Z)
            plain = cost(*logs)
            for epsilon in EPSILONS:
                more, clipped = (np.log(h + epsilon), np.log(rest + epsilon)), np.clip(h, epsilon, 1.0 - epsilon)
                pairs = [more, (more[0], logs[1]), (logs[0], more[1])]
                found += [(EPSILON_ADDED, cost(*pair) - plain) for pair in pairs]
                found += [(EPSILON_CLIPPED, cost(np.log(clipped), np.log(1.0 - clipped)) - plain)]
        return found

    def distance(self, parsed: Parsed) -> float:
        """How far an answer is off, beside the right one; of wrong ones, the nearest is likely read as it is meant."""
        cost, gradient = self.right
        with np.errstate(all="ignore"):
            off = 0.0 if parsed.cost is None else abs(parsed.cost - cost) / abs(cost)
            if parsed.gradient is not None:
                off += float(np.linalg.norm(parsed.gradient - gradient) / np.linalg.norm(gradient))
        return off if np.isfinite(off) else np.inf

    def judged(self, parsed: Parsed) -> tuple[bool, bool]:
        """Whether cost and gradient are right."""
        replay = self.replay(parsed)
        with np.errstate(all="ignore"):
            return replay.has_cost(NO_BUG), not replay.coordinates_left(NO_BUG)


def drawn(sizes: tuple[int, int, int], m: int, l2: float, seed: int | tuple[int, ...]) -> Asked:
    """Random X and θ, and every class at least once, where there are as many examples."""
    rng = np.random.default_rng(seed)
    network = Network(sizes)
    y = rng.permutation(np.arange(m) % sizes[-1])
    X = np.round(rng.normal(size=(m, sizes[0])), 3)
    theta = np.round(rng.uniform(-1.0, 1.0, network.size), 3)
    examples = f"{m} example{'s' * (m != 1)}"
    return Asked(f"{'-'.join(map(str, sizes))}, {examples}, λ = {l2:g}", Problem(network, X, y, l2), theta)


@cache
def small_problems() -> tuple[Asked, ...]:
    """The first is the one that conventions are tried on, and the second the same without a regulariser."""
    return (
        drawn((4, 5, 3), 7, 1.5, 0),
        drawn((4, 5, 3), 7, 0.0, 0),
        drawn((3, 3, 3), 5, 0.75, 1),
        drawn((2, 6, 10), 12, 3.0, 2),
        course_problem(1.0, 250),
    )


@cache
def course_problems() -> tuple[tuple[Asked, Asked], ...]:
    """The course's own network, with its λ and without: on a few digits, and on all."""
    return tuple((course_problem(1.0, every), course_problem(0.0, every)) for every in (250, 1))


@cache
def course_problem(l2: float, every: int) -> Asked:
    """400-25-10 on every so-many-th of the course's digits."""
    digits, network = load_digits(), Network(COURSE)
    problem = Problem(network, digits.X[::every], digits.classes[::every], l2)
    return Asked(f"400-25-10, {problem.m:,} examples, λ = {l2:g}", problem, network.init(0))


@cache
def tiny_problems() -> tuple[Asked, ...]:
    """The smallest first, on which a mistake can be followed by hand."""
    shapes = [((1, 1, 2), 1), ((1, 1, 2), 2), ((2, 2, 2), 2), ((2, 2, 2), 3), ((2, 3, 2), 3), ((2, 2, 3), 4)]
    return tuple(_rounded(drawn(sizes, m, l2, 3)) for sizes, m in shapes for l2 in (0.0, 1.0))


def _rounded(asked: Asked) -> Asked:
    problem = asked.problem
    return Asked(
        asked.name,
        Problem(problem.network, np.round(problem.X, 1), problem.Y, problem.l2),
        np.round(asked.theta, 1) + 0.0,  # no negative zeros
    )
