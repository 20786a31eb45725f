"""Patterns in wrong answers, and whether they show that a submission was called in its own convention."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from harness.checks.networks.bug_explanations import Explanations, describe_bugs, describe_nearest_bug, relate_gradients
from harness.facts.fact import Fact, Severity, note, wrong
from harness.facts.kinds import Kind
from harness.grading.exercises import EPSILON_ADDED, EPSILON_CLIPPED, Exercise
from harness.grading.given_answers import GivenAnswers
from harness.grading.submission_answers import ParsedAnswer
from harness.grading.submission_interface import Interface
from harness.grading.submission_process import CallFailed, SubmissionProcess

Answers = Mapping[Exercise, ParsedAnswer]

MOST_DECIMALS = 8
"""The most decimals that a cost is taken to be rounded to; from 12 on, the rounding is within the tolerance."""

MEANS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "": lambda ones, zeros: ones + zeros,
    "last-example-missing": lambda ones, zeros: (ones + zeros)[:-1],
    "first-example-missing": lambda ones, zeros: (ones + zeros)[1:],
    "last-class-missing": lambda ones, zeros: (ones + zeros)[:, :-1],
    "first-class-missing": lambda ones, zeros: (ones + zeros)[:, 1:],
    "divided-twice": lambda ones, zeros: (ones + zeros) / len(ones),
    "second-term-sign": lambda ones, zeros: ones - zeros,
    "first-term-sign": lambda ones, zeros: zeros - ones,
}
"""Summands of the cost's mean, out of -y log h and -(1 - y) log(1 - h), right and with a mistake."""

OF_PARTS = (Kind.PART_RIGHT, Kind.PART_UNEXPLAINED)
"""What is said of a part as a whole, and not of one that is wrong on some problems alone."""

SHARES: Mapping[str, Callable[[int], float]] = {
    "": lambda m: 1.0,
    "times-m-squared": lambda m: float(m**2),
    "divided-twice": lambda m: 1.0 / m,
    "missing": lambda m: 0.0,
}
"""Factors of the regulariser in the cost, for m examples, right and with a mistake."""


def repeats_afresh(process: SubmissionProcess, interface: Interface, given: GivenAnswers) -> bool:
    """Whether a wrong answer, and a failure, are the same in a new process.

    There, random numbers are others, and what code kept of its earlier calls is gone.
    """
    process.restart()
    for exercise, failure in given.failures.items():
        if not exercise.is_degenerate and not failure.is_fatal:
            try:
                interface.answer(process, exercise)
            except CallFailed:
                break
            return False
    shown = first_wrong(given.answers)
    return interface.repeats(process, shown, given.answers[shown])


def is_understood(interface: Interface, found: Explanations, given: GivenAnswers, *, regularised: bool) -> bool:
    """Whether something in wrong answers is right or known. In a wrong convention, nothing would be.

    Else a right function that takes θ in an order that was not tried would be called wrong.

    Parameters
    ----------
    found : the bugs that explain the answers
    regularised : whether what λ adds to cost and gradient is right
    """
    answers = given.answers
    # a gradient source and a function of lists of weights and biases have no convention to be wrong about
    if interface.is_source or interface.has_one_convention:
        return True
    # log(0) or NaN is wrong in any convention: the exercises are far from saturation
    if interface.of_cost and not given.costs_are_finite:
        return True
    is_cost_right = bool(interface.of_cost) and not found.cost_wrong
    if is_cost_right or regularised or found.of_cost or found.of_gradient or found.of_both:
        return True
    # what is right on one exercise, such as that without λ, was called in the right way
    if any(any(exercise.is_right(answer)) for exercise, answer in answers.items()) or find_cost_pattern(answers):
        return True
    # a relation, such as a factor of 2 or a right output layer; that all layers are wrong is what garbage shows, too
    seen = {fact.kind for exercise, answer in answers.items() for fact in find_relations(exercise, answer)}
    return bool(seen - {Kind.ALL_LAYERS_WRONG})


def explain_answers(
    interface: Interface, found: Explanations, given: GivenAnswers, everywhere: Answers, wrong_parts: Collection[str]
) -> tuple[Fact, ...]:
    """The bugs of the zoo that explain wrong answers, and patterns in what they leave unexplained.

    Parameters
    ----------
    given : the answers in which bugs were looked for
    everywhere : those, and the answers to other problems
    wrong_parts : what was judged to be wrong, out of "cost", "gradient" and "regularised"
    """
    exercise = first_wrong(given.answers)
    known = {"cost": found.of_both or found.of_cost, "gradient": found.of_both or found.of_gradient}
    somewhere = {part: on for part, on in _wrong_somewhere(everywhere).items() if not known[part]}
    facts = describe_bugs(found, exercise.problem, exercise.theta, given.costs_are_finite)
    if not interface.of_cost:  # nothing is said of a cost that is not there
        facts = [fact for fact in facts if fact != note(Kind.PART_UNEXPLAINED, "gradient")]
    unexplained = note(Kind.PART_UNEXPLAINED, "cost")
    if unexplained in facts and (pattern := find_cost_pattern(given.answers)):
        facts = [pattern if fact == unexplained else fact for fact in facts]
    facts = [fact for fact in facts if fact.kind not in OF_PARTS or fact.where[0] not in somewhere]
    if found.gradient_wrong and not found.of_gradient and not found.of_both:
        nearest = () if "gradient" in somewhere else (describe_nearest_bug(found),)
        facts = [*facts, *find_relations(exercise, given.answers[exercise]), *nearest]
    if interface.of_cost and not given.costs_are_finite:
        facts = [wrong(Kind.COST_NOT_FINITE, interface.of_cost.call.function.author_name), *facts]
    return (*_describe_wrong_somewhere(somewhere, len(everywhere), wrong_parts), *map(_for_homework, facts))


def first_wrong(answers: Answers) -> Exercise:
    """The first exercise with a wrong gradient, or else with a wrong cost; the first of all where there is none."""
    right = {exercise: exercise.is_right(answer) for exercise, answer in answers.items()}
    return min(right, key=lambda exercise: (right[exercise][1], right[exercise][0]))


def _wrong_somewhere(answers: Answers) -> Mapping[str, Sequence[Exercise]]:
    """By part that is right on the first problem, those on which it is wrong."""
    right = {exercise: exercise.is_right(answer) for exercise, answer in answers.items()}
    first = next(iter(right.values()))
    found = {
        part: [exercise for exercise in right if not right[exercise][place]]
        for place, part in enumerate(("cost", "gradient"))
        if first[place]
    }
    return {part: exercises for part, exercises in found.items() if exercises}


def _describe_wrong_somewhere(
    somewhere: Mapping[str, Sequence[Exercise]], total: int, wrong_parts: Collection[str]
) -> Iterator[Fact]:
    """One fact for parts that are wrong on the same problems; what is right but for λ is the regulariser."""
    for wrong_on in {tuple(exercises): None for exercises in somewhere.values()}:
        alike = [part for part, exercises in somewhere.items() if tuple(exercises) == wrong_on]
        is_regulariser = "regularised" in wrong_parts and not set(alike) & set(wrong_parts)
        parts = ["regulariser"] if is_regulariser else alike
        yield wrong(Kind.WRONG_SOMEWHERE, *parts, wrong=len(wrong_on), total=total, first=wrong_on[0].name)


def _for_homework(fact: Fact) -> Fact:
    """The fact as one about homework: wrong, unless it says what is right, and without counts of coordinates.

    Students read of the gradient as a whole: "explains 85 of 85 coordinates" is of exercises that they never see.
    """
    if fact.kind == Kind.PART_RIGHT:
        return fact
    uncounted = ("coordinates",) if fact.kind in (Kind.BUG, Kind.BUGS_ALIKE) else ()
    data = {name: value for name, value in fact.data.items() if name not in uncounted}
    return replace(fact, severity=Severity.WRONG, data=data)


def find_relations(exercise: Exercise, answer: ParsedAnswer) -> tuple[Fact, ...]:
    """Patterns in the error of a gradient: entries that are not finite, a relation, the layer where it starts."""
    if answer.gradient is None:
        return ()
    right = exercise.right[1]
    is_off = ~(np.abs(answer.gradient - right) <= exercise.replay(answer).answer.error)  # so NaN is off
    return relate_gradients(exercise.problem, exercise.theta, answer.gradient, right, is_off)


def find_cost_pattern(answers: Answers) -> Fact | None:
    """A simple change of the right cost that gives the answer on every exercise, where no bug of the zoo does.

    J = 1/m Σ [-y log h - (1 - y) log(1 - h)] + λ/(2m) Σ weights². Each pattern has another sum, such as one that leaves
    out the last example, and another factor of the regulariser, such as m² for ``lam / 2 * m``.
    """
    pairs = list(answers.items())
    if any(exercise.problem.network.output.name != "sigmoid" or answer.cost is None for exercise, answer in pairs):
        return None
    # round(J, 4) of a cost that is right up to rounding is the same float, so no tolerance is needed
    for decimals in range(1, MOST_DECIMALS + 1):
        if all(answer.cost == round(exercise.right[0], decimals) for exercise, answer in pairs):
            return wrong(Kind.COST_PATTERN, decimals=decimals)
    # an ε in the logarithms is no mistake, but it moves a wrong cost as it does a right one
    for shift, mean, share in product(range(len(pairs[0][0].epsilon_shifts)), MEANS, SHARES):
        if all(_has_cost(exercise, answer, MEANS[mean], SHARES[share], shift) for exercise, answer in pairs):
            return wrong(Kind.COST_PATTERN, mean=mean, share=share) if mean or share else None
    return None


def _has_cost(
    exercise: Exercise, answer: ParsedAnswer, mean: Callable[..., np.ndarray], share: Callable[[int], float], shift: int
) -> bool:
    """Whether the cost is the one with these summands, this factor of the regulariser and this ε."""
    problem = exercise.problem
    ones, zeros = exercise.summands
    regulariser = exercise.right[0] - float((ones + zeros).sum()) / problem.m
    cost = float(mean(ones, zeros).sum()) / problem.m + share(problem.m) * regulariser
    if not {EPSILON_ADDED, EPSILON_CLIPPED} & set(answer.conventions):  # else it was taken out
        cost += exercise.epsilon_shifts[shift][1]
    tolerance, _ = exercise.tolerances(answer.precision)
    given = np.nan if answer.cost is None else answer.cost
    return abs(given - cost) <= tolerance * max(1.0, share(problem.m), abs(cost / exercise.right[0]))


def find_constant_cost(answers: Sequence[ParsedAnswer]) -> Fact | None:
    """That the cost is the same on every exercise, as ``J = 0`` of an exercise handed out empty."""
    costs = {answer.cost for answer in answers}
    cost = next(iter(costs))
    if len(answers) == 1 or len(costs) > 1 or cost is None or not np.isfinite(cost):
        return None
    return wrong(Kind.COST_CONSTANT, cost=cost)


def are_regularised(with_l2: Exercise, without: Exercise, first: ParsedAnswer, second: ParsedAnswer) -> list[bool]:
    """Whether the regulariser's share of the cost, and that of the gradient, are right, beside any other error.

    The share is J(λ) - J(0), or g(λ) - g(0), on the same problem: an error that does not depend on λ, such as a slope
    that is forgotten, cancels. Missing parts are left out.
    """
    answers = with_l2.replay(first).answer, without.replay(second).answer
    rows = [
        (first.cost, second.cost, sum(answer.cost_error for answer in answers)),
        (first.gradient, second.gradient, sum(answer.error for answer in answers)),
    ]
    found = []
    for (more, less, tolerance), right, plain in zip(rows, with_l2.right, without.right):
        if more is None or less is None:
            continue
        # a cost that was not divided by m is m times as large, and so are its rounding errors
        size = max(1.0, np.abs(more).max() / np.abs(right).max())
        with np.errstate(all="ignore"):
            found.append(bool((np.abs((more - less) - (right - plain)) <= size * tolerance).all()))
    return found
