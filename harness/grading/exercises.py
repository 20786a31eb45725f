"""The problems that submissions are called on: small ones of several shapes, and the course's own.

An exercise knows its right answer, and how far rounding may move a right one.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from harness.bounds.network_bound import rounding_bound
from harness.checks.networks.bug_replay import NO_BUG, BugRuns, Bugs, KnownAnswers, Replay
from harness.grading.submission_answers import ParsedAnswer
from harness.grading.submission_process import COURSE_SIZES, course_digits
from harness.sources.backprop_steps import Backprop, ThetaLayout
from harness.sources.bug_zoo import BUGS, pipeline_with
from harness.verdict.comparison import Answer
from harness.wording import counted
from reference.arithmetics.rounded import Rounded, Rounded32
from reference.network import Network
from reference.problem import Problem

REWRITTEN = 16
"""Times the bound of the formulas as stated: the course writes log(1 - h) for -log(1 + e^z), which loses a digit or so
where h is close to 1, as far as it is here."""

OF_LARGEST = 1e-12
"""Times the largest entry, in float64, for any formula: far more than rounding, and far less than any bug."""

LARGE_L2, SMALL_L2 = 1000.0, 0.001
"""Beyond what anybody trains with: code that limits λ, or takes a small one for none, is wrong."""


@dataclass(frozen=True)
class Model:
    """The network of a course: its units, its cost, and whether it has λ."""

    hidden: str = "sigmoid"
    output: str = "sigmoid"
    squared: float = 0.0  # the factor of Σ (h - y)²/m in the place of the cross-entropy, 1/2 or 1
    regularised: bool = True

    @property
    def bugs(self) -> Bugs:
        """What is planted into the right backprop to have its cost and gradient."""
        names = ("squared-error-delta", "cost-squared-error") if self.squared else ()
        doubled = ("delta-times-2", "cost-doubled") if self.squared == 1.0 else ()
        return tuple(BUGS[name] for name in (*names, *doubled))

    def differences(self) -> list[str]:
        """In what it differs from the course's, in words."""
        found = {
            f"{self.hidden} hidden units": self.hidden != "sigmoid",
            f"{self.output} output": self.output != "sigmoid",
            "squared error as the cost": self.squared == 0.5,
            "squared error without its 1/2 as the cost": self.squared == 1.0,
            "no regulariser": not self.regularised,
        }
        return [words for words, differs in found.items() if differs]


COURSE_MODEL = Model()

MODELS = (
    Model("relu", "softmax"),
    Model("tanh", "softmax"),
    Model("relu", "sigmoid"),
    Model("tanh", "sigmoid"),
    Model("sigmoid", "softmax"),
    Model("sigmoid", "sigmoid", squared=0.5),
    Model("sigmoid", "sigmoid", squared=1.0),
)
"""The networks of other courses."""


@dataclass(frozen=True, eq=False)
class Exercise:
    """A problem at θ, with a name, and the network of the course that it belongs to."""

    name: str
    problem: Problem
    theta: np.ndarray
    model: Model = COURSE_MODEL

    @cached_property
    def right(self) -> tuple[float, np.ndarray]:
        """The right cost and gradient."""
        with np.errstate(all="ignore"):
            return pipeline_with(*self.model.bugs)(self.problem, self.theta)

    def of_model(self, model: Model) -> "Exercise":
        """The same exercise for another course's network."""
        if model not in self._kept:
            network = Network(self.problem.network.sizes, model.hidden, model.output)
            problem = Problem(network, self.problem.X, self.problem.Y, self.problem.l2 if model.regularised else 0.0)
            self._kept[model] = Exercise(self.name, problem, self.theta, model)
        return self._kept[model]

    @cached_property
    def _kept(self) -> dict[Any, Any]:
        """What takes longer than the calls of a submission, and is the same for all.

        By model, the exercise of it; by precision, the tolerances; by the layout of θ, what each bug answers.
        """
        return {}

    def examples(self) -> list["Exercise"]:
        """Exercises of one example each, whose costs and gradients have those of this one as their mean."""
        problem = self.problem
        rows = [slice(row, row + 1) for row in range(problem.m)]
        problems = [Problem(problem.network, problem.X[row], problem.Y[row], problem.l2 / problem.m) for row in rows]
        return [Exercise(self.name, each, self.theta, self.model) for each in problems]

    def tolerances(self, precision: str) -> tuple[float, np.ndarray]:
        """The tolerances of the cost and of each coordinate of the gradient.

        In float64 there is room for rewritten formulas, and still no bug is as small. In float32 there is none: the
        rounding bound is as large as a small bug, and right code stays far below it.
        """
        if precision not in self._kept:
            is_single = precision == "float32"
            bound = rounding_bound(self.problem, self.theta, Rounded32 if is_single else Rounded)
            # an entry that is nearly zero by cancellation is as uncertain as the largest one
            cost, gradient = (OF_LARGEST * float(np.abs(right).max()) for right in self.right)
            largest = max(float(np.abs(bound.gradient).max()), gradient)
            in_float64 = REWRITTEN * bound.cost + cost, REWRITTEN * bound.gradient + largest
            self._kept[precision] = (bound.cost, bound.gradient) if is_single else in_float64
        return self._kept[precision]

    @property
    def has_few_classes(self) -> bool:
        """Whether there are fewer classes than the ten digits."""
        return self.problem.Y.shape[1] < COURSE_SIZES[-1]

    @property
    def lacks_class(self) -> bool:
        """Whether a class is not in y, as with fewer examples than classes."""
        return not self.problem.Y.any(axis=0).all()

    @property
    def has_few_examples(self) -> bool:
        """Whether there are fewer examples than classes."""
        return self.problem.m < self.problem.Y.shape[1]

    @property
    def is_degenerate(self) -> bool:
        """Whether right code may fail: ``squeeze`` drops the axis of one unit, and classes may be counted in y."""
        return min(self.problem.network.sizes) == 1 or self.lacks_class

    @property
    def is_bounded(self) -> bool:
        """Whether the cost of right code is finite, in any order of its multiplications."""
        return bool(np.isfinite([self.right[0], self.tolerances("float64")[0]]).all())

    def replay(self, answer: ParsedAnswer) -> Replay:
        """The bug zoo, ready to be compared with an answer. What is missing in the answer is NaN, and so is wrong."""
        (cost_error, error), network = self.tolerances(answer.precision), self.problem.network
        gradient = np.full(network.size, np.nan) if answer.gradient is None else answer.gradient
        cost = np.nan if answer.cost is None else answer.cost
        given = Answer("submission", "submission", cost, cost_error, gradient, error)
        known = self._kept.setdefault(answer.order, KnownAnswers({}, {}))
        runs = BugRuns(self.problem, self.theta, ThetaLayout(answer.order), self.model.bugs, known)
        return Replay(runs, given)

    def is_right(self, answer: ParsedAnswer) -> tuple[bool, bool]:
        """Whether the cost is right, and whether the gradient is; what is missing is not."""
        replay = self.replay(answer)
        with np.errstate(all="ignore"):
            return replay.has_cost(NO_BUG), not replay.coordinates_left(NO_BUG)

    def wrong_entries(self, answer: ParsedAnswer) -> np.ndarray:
        """Which entries of the gradient are wrong, as NaN is, and all of one that is missing."""
        given = self.replay(answer).answer
        return ~(np.abs(given.gradient - self.right[1]) <= given.error)

    def has_wrong_part(self, answer: ParsedAnswer) -> bool:
        """Whether a cost or gradient that is there is wrong."""
        cost, gradient = self.is_right(answer)
        return not (cost or answer.cost is None) or not (gradient or answer.gradient is None)

    def distance(self, answer: ParsedAnswer) -> float:
        """|J - J*| / |J*| + ‖g - g*‖ / ‖g*‖ over the parts that are there; infinite where that is not finite."""
        cost, gradient = self.right
        with np.errstate(all="ignore"):
            off = 0.0 if answer.cost is None else abs(answer.cost - cost) / abs(cost)
            if answer.gradient is not None:
                off += _length(answer.gradient - gradient) / _length(gradient)
        return off if np.isfinite(off) else np.inf

    @cached_property
    def outputs(self) -> np.ndarray:
        """The last pre-activations, a row for each example."""
        return Backprop().forward(self.problem, self.theta).Zs[-1]

    def with_l2(self, l2: float) -> "Exercise":
        """The same exercise with another λ."""
        problem = Problem(self.problem.network, self.problem.X, self.problem.Y, l2)
        return Exercise(f"{self.name.partition(', λ')[0]}, λ = {l2:g}", problem, self.theta, self.model)

    def differs_in_l2_alone(self, other: "Exercise") -> bool:
        """Whether another exercise has the same θ, X and y."""
        mine, theirs = ((each.problem.X, each.problem.Y, each.theta) for each in (self, other))
        return self is not other and all(map(np.array_equal, mine, theirs))


def _length(vector: np.ndarray) -> float:
    """‖v‖, by one thread: those of BLAS, which norm calls, wait for each other longer than they compute."""
    return float(np.sqrt(np.square(vector).sum()))


def draw_exercise(sizes: tuple[int, int, int], m: int, l2: float, seed: Any, decimals: int = 3) -> Exercise:
    """Random X and θ, and every class at least once where there are as many examples; else any of the classes."""
    # rounded, so that a student can type the numbers
    rng, K = np.random.default_rng(seed), sizes[-1]
    y = rng.permutation(np.arange(m) % K) if m >= K else rng.permutation(K)[:m]
    X = np.round(rng.normal(size=(m, sizes[0])), decimals)
    problem = Problem(Network(sizes), X, y, l2)
    theta = np.round(rng.uniform(-1.0, 1.0, problem.network.size), decimals) + 0.0  # no negative zeros
    return Exercise(_name(problem), problem, theta)


def _name(problem: Problem) -> str:
    """The sizes, the number of examples and λ: "3-5-10, 13 examples, λ = 1.5"."""
    return f"{'-'.join(map(str, problem.network.sizes))}, {counted(problem.m, 'example')}, λ = {problem.l2:g}"


@cache
def small_exercises() -> tuple[Exercise, ...]:
    """What a submission is called on.

    The first has no two sizes alike, with or without biases, so that nothing transposed fits. It has ten classes,
    so that every convention of labels shows. The others differ in all that right code accepts: the sizes, the
    number of examples, λ, and other data in the same shapes. 3-3-10 has a square layer. None has two classes, of
    which some encoders make one column. The last are degenerate. Code may tell by the first or the last class where
    labels begin: of one example it is the last, and the first is lacking where several lack classes. Code that
    needs the first is so wrong on both.
    """
    first = draw_exercise((3, 5, 10), 13, 1.5, 0)
    return (
        first,
        first.with_l2(0.0),
        draw_exercise((3, 3, 10), 11, 0.75, 1),
        draw_exercise((4, 5, 3), 13, 3.0, 2),
        draw_exercise((2, 7, 4), 130, 0.3, 3),
        _course_exercise(250),
        *changed_step_by_step(first),
        draw_exercise((4, 5, 10), 1, 1.5, 3),
        without_first_class(draw_exercise((4, 5, 10), 13, 1.5, 9)),
        draw_exercise((4, 5, 10), 7, 1.5, 9),
        draw_exercise((1, 1, 3), 4, 2.0, 6),
    )


def without_first_class(exercise: Exercise) -> Exercise:
    """The exercise with the second class in the place of the first: code that is right here needs no class in y."""
    problem = exercise.problem
    y = np.maximum(problem.Y.argmax(axis=1), 1)
    name = exercise.name.replace(" examples", " examples without a class")
    return Exercise(name, Problem(problem.network, problem.X, y, problem.l2), exercise.theta)


def changed_step_by_step(exercise: Exercise) -> tuple[Exercise, ...]:
    """The exercise with a large and a small λ; then with another θ, another X and other labels as well, in its shapes.

    Two in a row differ in one quantity, so that what code keeps of a call, by the shapes of its arguments or the values
    of some, is stale in the next.
    """
    network, X, Y = exercise.problem.network, exercise.problem.X, exercise.problem.Y
    theta, name = exercise.theta[::-1].copy(), exercise.name.partition(", λ")[0]
    steps = (
        ("another θ", Problem(network, X, Y, SMALL_L2)),
        ("another θ and X", Problem(network, X[::-1, ::-1], Y, SMALL_L2)),
        ("another θ, X and y", Problem(network, X[::-1, ::-1], Y[::-1], SMALL_L2)),
    )
    others = (Exercise(f"{name}, {change}, λ = {SMALL_L2:g}", problem, theta) for change, problem in steps)
    return exercise.with_l2(LARGE_L2), exercise.with_l2(SMALL_L2), *others


@cache
def course_exercises(every: int) -> tuple[Exercise, ...]:
    """The course's own network, with its λ and without, on every so-many-th of its digits; and with other data."""
    first = _course_exercise(every)
    changed = changed_step_by_step(first)
    if every == 1:  # all digits take a hundred times as long
        return first, first.with_l2(0.0), changed[-1]
    return first, first.with_l2(0.0), *changed, _course_exercise(5000), _course_exercise(1000)


@cache
def _course_exercise(every: int) -> Exercise:
    """400-25-10 on every so-many-th of the course's digits, with the course's λ."""
    digits, network = course_digits(), Network(COURSE_SIZES)
    problem = Problem(network, digits.X[::every], digits.classes[::every], 1.0)
    return Exercise(_name(problem), problem, network.init(0))


@cache
def tiny_exercises() -> tuple[Exercise, ...]:
    """The smallest first, on which a mistake can be followed by hand; with every class, as code may count them in y."""
    shapes = [((1, 1, 3), 3), ((1, 1, 3), 4), ((2, 2, 3), 3), ((2, 2, 3), 4), ((2, 3, 3), 4), ((2, 2, 4), 5)]
    return tuple(draw_exercise(sizes, m, l2, 3, decimals=1) for sizes, m in shapes for l2 in (0.0, 1.0))


def with_fixed_l2(exercises: tuple[Exercise, ...], l2: float | None) -> tuple[Exercise, ...]:
    """The exercises with that λ, where a submission takes no other."""
    return exercises if l2 is None else tuple(exercise.with_l2(l2) for exercise in exercises)
