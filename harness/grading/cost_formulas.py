"""Costs of known formulas: right ones with an ε in their logarithms, and mistakes that no bug of the zoo has.

The right one is J = 1/m Σ [-y log h - (1 - y) log(1 - h)] + λ/(2m) Σ weights².
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np

from harness.facts.fact import Fact, wrong
from harness.facts.kinds import Kind
from harness.grading.exercises import Exercise
from harness.grading.submission_answers import ParsedAnswer

EPSILONS = tuple(10.0**-digits for digits in range(4, 17))
"""Numbers that submissions add inside a logarithm to avoid log(0)."""

EPSILON_ADDED, EPSILON_CLIPPED = "a small number added inside the logarithms", "h clipped before the logarithms"

MOST_DECIMALS = 8
"""The most decimals that a cost is taken to be rounded to; from 12 on, the rounding is within the tolerance."""

MEANS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "": lambda ones, zeros: ones + zeros,
    "last-example-missing": lambda ones, zeros: (ones + zeros)[:-1],
    "first-example-missing": lambda ones, zeros: (ones + zeros)[1:],
    "last-example-twice": lambda ones, zeros: np.vstack([ones + zeros, (ones + zeros)[-1:]]),
    "last-class-missing": lambda ones, zeros: (ones + zeros)[:, :-1],
    "first-class-missing": lambda ones, zeros: (ones + zeros)[:, 1:],
    "divided-twice": lambda ones, zeros: (ones + zeros) / len(ones),
    "second-term-sign": lambda ones, zeros: ones - zeros,
    "first-term-sign": lambda ones, zeros: zeros - ones,
}
"""Summands of the cost's mean, out of -y log h and -(1 - y) log(1 - h), right and with a mistake."""

SHARES: Mapping[str, Callable[[int], float]] = {
    "": lambda m: 1.0,
    "times-m-squared": lambda m: float(m**2),
    "divided-twice": lambda m: 1.0 / m,
    "over-one-less": lambda m: m / max(1, m - 1),
}
"""Factors of the regulariser in the cost, for m examples, right and with a mistake."""

SQUARES = ("Theta1 weights", "Theta2 weights", "Theta1 biases", "Theta2 biases")
"""The sums of squares of which the regulariser may consist; the right one has the weights once, and no biases."""

LAST_COLUMNS = {"Theta1 last column": "Theta1 weights", "Theta2 last column": "Theta2 weights"}
"""Parts of the weights that ``[:, :-1]`` leaves out, where ``[:, 1:]`` leaves out the biases."""

ALONE = np.eye(len(SQUARES) + len(LAST_COLUMNS))
TOGETHER = ALONE[:, : len(SQUARES)] + np.eye(len(ALONE), len(SQUARES), -len(SQUARES))
"""Two ways in which a regulariser may be made: each part of its own, or the last columns as often as their weights.

Each is the matrix that gives how often every part stands in it: the `SQUARES`, of the weights without their last
column, and then the `LAST_COLUMNS`.
"""


def without_allowances(exercise: Exercise, answer: ParsedAnswer, *, names_float32: bool) -> ParsedAnswer:
    """The answer without what right code may add: an ε in the logarithms, or single precision, by its convention.

    Code that names float32 computes in it, and may return Python's floats.
    """
    is_cost_right, is_gradient_right = exercise.is_right(answer)
    is_single, has_wrong_gradient = answer.precision == "float32", not (is_gradient_right or answer.gradient is None)
    # single precision may explain both parts, and an ε the cost alone: nobody differentiates it
    is_gradient_single = names_float32 and has_wrong_gradient and not is_single
    if answer.cost is not None and not is_cost_right and not is_gradient_single:
        tolerance, _ = exercise.tolerances(answer.precision)
        for convention, added in epsilon_shifts(exercise)[1:]:
            if abs(answer.cost - added - exercise.right[0]) <= tolerance:
                return replace(answer, cost=answer.cost - added, conventions=(*answer.conventions, convention))
    if not is_single and not (names_float32 and exercise.has_wrong_part(answer)):
        return answer
    return replace(answer, precision="float32", conventions=(*answer.conventions, "single precision (float32)"))


def _logarithms(exercise: Exercise) -> tuple[np.ndarray, np.ndarray]:
    """-log h and -log(1 - h) by example and output, without the cancellation in the course's formulas."""
    return np.logaddexp(0.0, -exercise.outputs), np.logaddexp(0.0, exercise.outputs)


def _mean(exercise: Exercise, ones: np.ndarray, zeros: np.ndarray, mean: str = "") -> float:
    """The cost's mean over the examples, of -log h and -log(1 - h)."""
    Y = exercise.problem.Y
    return float(MEANS[mean](Y * ones, (1.0 - Y) * zeros).sum()) / exercise.problem.m


@lru_cache(maxsize=64)
def epsilon_shifts(exercise: Exercise) -> list[tuple[str, float]]:
    """What each ε adds to the cost: log(h + ε) in one or both logarithms, or h clipped. First no ε at all."""
    if exercise.problem.network.output.name != "sigmoid":
        return []
    Z, (ones, zeros) = exercise.outputs, _logarithms(exercise)
    plain, found = _mean(exercise, ones, zeros), [("", 0.0)]
    with np.errstate(all="ignore"):
        # h and 1 - h by themselves: the difference would lose the digits of a small one
        h, rest = 1.0 / (1.0 + np.exp(-Z)), 1.0 / (1.0 + np.exp(Z))
        for epsilon in EPSILONS:
            more_ones, more_zeros = -np.log(h + epsilon), -np.log(rest + epsilon)
            clipped = np.clip(h, epsilon, 1.0 - epsilon)
            in_both_or_one = ((more_ones, more_zeros), (more_ones, zeros), (ones, more_zeros))
            found += [(EPSILON_ADDED, _mean(exercise, *pair) - plain) for pair in in_both_or_one]
            found += [(EPSILON_CLIPPED, _mean(exercise, -np.log(clipped), -np.log(1.0 - clipped)) - plain)]
    return found


def find_cost_pattern(answers: Mapping[Exercise, ParsedAnswer]) -> Fact | None:
    """A simple change of the right cost that gives the answer on every exercise.

    A pattern is another sum, such as one without the last example, and another factor of the regulariser, such as m²
    for ``lam / 2 * m``.
    """
    pairs = list(answers.items())
    if any(exercise.problem.network.output.name != "sigmoid" or answer.cost is None for exercise, answer in pairs):
        return None
    # round(J, 4) of a cost that is right up to rounding is the same float, so no tolerance is needed
    for decimals in range(1, MOST_DECIMALS + 1):
        if all(answer.cost == round(exercise.right[0], decimals) for exercise, answer in pairs):
            return wrong(Kind.COST_PATTERN, decimals=decimals)
    # an ε in the logarithms is no mistake, but it moves a wrong cost as it does a right one
    for shift, mean, share in product(range(len(epsilon_shifts(pairs[0][0]))), MEANS, SHARES):
        if squares := _find_squares(pairs, mean, SHARES[share], shift):
            right = {name: float("weights" in name) for name in SQUARES}
            right |= {name: squares[weights] for name, weights in LAST_COLUMNS.items()}
            wrong_ones = {name: times for name, times in squares.items() if times != right[name]}
            is_right = not (mean or share or wrong_ones)
            return None if is_right else wrong(Kind.COST_PATTERN, mean=mean, share=share, squares=wrong_ones)
    return None


def _find_squares(
    pairs: Sequence[tuple[Exercise, ParsedAnswer]], mean: str, share: Callable[[int], float], shift: int
) -> dict[str, float] | None:
    """How often each sum of squares stands in costs with these summands, this factor of the regulariser and this ε."""
    terms, rests = [], []
    for exercise, answer in pairs:
        problem, given = exercise.problem, answer.cost
        assert given is not None
        cost = _mean(exercise, *_logarithms(exercise), mean)
        if not {EPSILON_ADDED, EPSILON_CLIPPED} & set(answer.conventions):  # else it was taken out
            cost += epsilon_shifts(exercise)[shift][1]
        tolerance = exercise.tolerances(answer.precision)[0] * max(
            1.0, share(problem.m), abs(given / exercise.right[0])
        )
        unit = share(problem.m) * problem.l2 / (2 * problem.m) / tolerance
        squares = [np.square(Theta) for Theta in problem.network.unpack(exercise.theta)]
        columns = (np.s_[:, 1:-1], np.s_[:, 0], np.s_[:, -1])  # weights, biases and last columns
        terms.append([unit * square[column].sum() for column in columns for square in squares])
        rests.append((given - cost) / tolerance)
    if any(len(row) != len(ALONE) for row in terms):
        return None
    A, b = np.array(terms), np.array(rests)
    possible = [TOGETHER @ [1.0, 1.0, 0.0, 0.0], np.zeros(len(ALONE))]
    for parts in (TOGETHER, ALONE):
        # problems that differ in λ alone leave open which sums are there
        if np.linalg.matrix_rank(A @ parts) == parts.shape[1]:
            fitted = np.round(4.0 * np.linalg.lstsq(A @ parts, b)[0]) / 4.0  # once, twice or half, or not
            possible.append(parts @ fitted + 0.0)
    names = (*SQUARES, *LAST_COLUMNS)
    fits = (times for times in possible if (np.abs(A @ times - b) <= 1.0).all())
    return next((dict(zip(names, times.tolist())) for times in fits), None)


def find_constant_cost(answers: Mapping[Exercise, ParsedAnswer]) -> Fact | None:
    """That the cost is the same on every exercise, as ``J = 0`` of an exercise handed out empty."""
    cost, *others = {answer.cost for answer in answers.values()}
    is_constant = len(answers) > 1 and not others and cost is not None and np.isfinite(cost)
    return wrong(Kind.COST_CONSTANT, cost=cost) if is_constant else None
