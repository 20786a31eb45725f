"""The usual helpers beside the cost function, each tried by itself: sigmoid, its slope, random weights, predict.

The operations of an engine of scalars are among them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from harness.facts.fact import Fact, Severity, wrong
from harness.facts.kinds import Kind
from harness.grading.class_methods import OPERATIONS
from harness.grading.exercises import small_exercises
from harness.grading.parameter_roles import known_roles
from harness.grading.submission_functions import Function
from harness.grading.submission_interface import described
from harness.grading.submission_process import CallFailed, SubmissionProcess

CLOSE = 1e-9
"""Absolute, for numbers below 1: any formula gives more digits than that."""

Z = np.array([[-3.0, -1.0, 0.0], [0.5, 2.0, 10.0]])

RIGHT, WRONG, ABSENT = "right", "wrong", "absent"


class HelperVerdict(NamedTuple):
    """The outcome "right", "wrong" or "absent"; what is wrong; and in what it differs from the course's."""

    outcome: str = ABSENT
    fact: Fact | None = None
    conventions: tuple[str, ...] = ()


def _fault(fault: str, **data: Any) -> HelperVerdict:
    return HelperVerdict(WRONG, wrong(Kind.HELPER_WRONG, fault=fault, **data))


def _sigmoid(z: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-z))


def _is_close(answer: Any, expected: np.ndarray) -> bool:
    if not isinstance(answer, (int, float, np.generic, np.ndarray)) or np.shape(answer) != np.shape(expected):
        return False
    array = np.asarray(answer)
    return array.dtype.kind in "biuf" and bool((np.abs(array - expected) <= CLOSE).all())


def _check_sigmoid(call: Callable[..., Any]) -> HelperVerdict:
    for shape, z in (("a matrix", Z), ("a vector", Z[0]), ("a number", 0.5)):
        if not _is_close(call(z), np.asarray(_sigmoid(z))):
            return _fault("value", shape=shape, z=float(np.ravel(z)[0]))
    return HelperVerdict(RIGHT)


def _check_sigmoid_gradient(call: Callable[..., Any]) -> HelperVerdict:
    slope = _sigmoid(Z) * (1.0 - _sigmoid(Z))
    answer = call(Z)
    if _is_close(answer, slope) and _is_close(call(Z[0]), slope[0]):
        return HelperVerdict(RIGHT)
    if _is_close(call(_sigmoid(Z)), slope):
        return HelperVerdict(RIGHT, None, ("the sigmoid's slope from a, not from z",))
    if np.shape(answer) != Z.shape:
        return _fault("slope-shape", shape=str(np.shape(answer)), expected=str(Z.shape))
    return _fault("slope-value", value=float(np.asarray(call(np.array([0.0]))).ravel()[0]))


def _check_random_start(call: Callable[..., Any]) -> HelperVerdict:
    weights = call(4, 3)
    shape = np.shape(weights)
    if shape not in ((3, 5), (5, 3)):
        return _fault("start-shape", shape=str(shape))
    array = np.asarray(weights)
    if array.dtype.kind not in "f" or len(np.unique(array)) < array.size:
        return _fault("start-repeats")
    if not 0.0 < np.abs(array).max() <= 5.0 or not (array.min() < 0.0 < array.max()):
        return _fault("start-range")
    return HelperVerdict(RIGHT, None, () if shape == (3, 5) else ("weights as (1 + inputs, outputs)",))


def _check_predict(call: Callable[..., Any]) -> HelperVerdict:
    exercise = small_exercises()[0]
    X, m = exercise.problem.X, exercise.problem.m
    Theta1, Theta2 = exercise.problem.network.unpack(exercise.theta)
    hidden = _sigmoid(np.column_stack([np.ones(m), X]) @ Theta1.T)
    classes = (np.column_stack([np.ones(m), hidden]) @ Theta2.T).argmax(axis=1)
    answer = call(np.array(Theta1), np.array(Theta2), np.array(X))
    if isinstance(answer, (tuple, dict)):  # a forward pass of the same name, and no prediction
        return HelperVerdict()
    if not isinstance(answer, (np.ndarray, list)) or np.size(answer) != m:
        return _fault("prediction-shape", shape=str(np.shape(answer)), expected=m)
    read = np.ravel(answer)
    for first, conventions in ((1, ()), (0, ("predictions from 0",))):
        if np.array_equal(read, classes + first):
            return HelperVerdict(RIGHT, None, conventions)
    return _fault("prediction-value", wrong=int((read != classes + 1).sum()), total=m)


A, B, C = 0.6, -1.7, 0.3

SLOPES: Mapping[str, tuple[float, float]] = {
    "a + b": (1.0, 1.0),
    "a * b": (B, A),
    "a ** 3": (3.0 * A**2, 0.0),
    "a.exp()": (np.exp(A), 0.0),
    "a.log()": (1.0 / A, 0.0),
    "a.tanh()": (1.0 - np.tanh(A) ** 2, 0.0),
    "a.sigmoid()": (_sigmoid(A) * _sigmoid(-A), 0.0),
    "a.relu()": (1.0, 0.0),
    "b.relu()": (0.0, 0.0),
}
"""Operations of an engine of scalars, each with its derivatives in a and b at a = A and b = B."""

MADE_OF_OTHERS: Mapping[str, tuple[float, float]] = {
    "-a": (-1.0, 0.0),
    "a - b": (1.0, -1.0),
    "a / b": (1.0 / B, -A / B**2),
}
"""Operations that are mostly made of those above, so that a mistake in one of those shows in them as well."""

TWO_DEPTHS = ("(lambda d: d * a * b + d)(a * b)", (2.0 * A * B**2 + B, 2.0 * A**2 * B + A))
"""d is needed at two depths, so its part of the gradient is whole only after that of d * a * b."""


def _check_operations(call: Callable[..., Any]) -> HelperVerdict:
    """Each operation by itself, then before another one, then with a value that is used twice."""

    def is_known(expression: str) -> bool:
        try:
            call(expression, [A, B, C])
        except CallFailed as failure:  # an operation that it does not have
            if failure.is_fatal:
                raise
            return False
        return True

    known = {expression: slopes for expression, slopes in SLOPES.items() if is_known(expression)}
    others = {expression: slopes for expression, slopes in MADE_OF_OTHERS.items() if is_known(expression)}
    if not {"a + b", "a * b"} <= known.keys():
        return HelperVerdict()
    for fault, expression, slopes in (
        *(("slope", expression, slopes) for expression, slopes in known.items()),
        *(("slope-deeper", f"({expression}) * c", (C * in_a, C * in_b)) for expression, (in_a, in_b) in known.items()),
        *(("slope-twice", f"({expression}) + a", (1.0 + in_a, in_b)) for expression, (in_a, in_b) in known.items()),
        ("slope-deeper", *TWO_DEPTHS),
        *(("slope", expression, slopes) for expression, slopes in others.items()),
    ):
        for name, slope, right in zip("ab", call(expression, [A, B, C]), slopes):
            if not abs(slope - right) <= CLOSE:
                at = f"a = {A}, b = {B}"
                return _fault(fault, expression=expression, name=name, at=at, value=slope, expected=float(right))
    return HelperVerdict(RIGHT)


class Helper(NamedTuple):
    """A helper: the names it goes by, how many arguments it takes, its check, and roles that its parameters have."""

    names: str
    arguments: int
    check: Callable[[Callable[..., Any]], HelperVerdict]
    roles: tuple[str, ...] = ()


HELPERS = {
    "sigmoid": Helper("sigmoid sigm logistic sigmoidfunction sig", 1, _check_sigmoid),
    "sigmoid_gradient": Helper(
        "sigmoidgradient sigmoidgrad sigmoidderivative sigmoidprime dsigmoid siggrad sigmoidslope gradsigmoid",
        1,
        _check_sigmoid_gradient,
    ),
    "rand_initialize_weights": Helper(
        "randinitializeweights randominitializeweights randinitweights randinitialiseweights initweights "
        "initializeweights randomweights randinit",
        2,
        _check_random_start,
    ),
    "predict": Helper("predict prediction predictnn nnpredict", 3, _check_predict, ("theta1", "theta2", "X")),
    "operations": Helper(OPERATIONS.replace("_", ""), 2, _check_operations),
}


def check_helpers(process: SubmissionProcess) -> Mapping[str, HelperVerdict]:
    """The verdict on each helper, under the name that this project gives it."""
    return {name: _check(process, helper, process.submission.functions) for name, helper in HELPERS.items()}


def _check(process: SubmissionProcess, helper: Helper, functions: Iterable[Function]) -> HelperVerdict:
    known = helper.names.split()
    named = [function for function in functions if function.name.lower().replace("_", "") in known]
    if not named:
        return HelperVerdict()
    function = named[-1]  # of two, the one that Python keeps
    if not function.required <= helper.arguments <= len(function.parameters):
        return HelperVerdict()
    if any(role not in (None, expected) for role, expected in zip(known_roles(function), helper.roles)):
        return HelperVerdict()  # it is something else of the same name

    def call(*arguments: Any) -> Any:
        try:
            return process.call(function, *arguments).value
        except CallFailed as failure:
            if helper.arguments > 1 or not np.ndim(arguments[0]) or failure.is_fatal:
                raise failure.with_data(given=described(function, arguments)) from None
            z = np.asarray(arguments[0])  # it may take one number at a time, as with math.exp
            return np.reshape([process.call(function, number).value for number in z.ravel().tolist()], z.shape)

    try:
        verdict = helper.check(call)
    except CallFailed as failure:
        if failure.fact.kind == Kind.NOT_HANDED_IN:
            return HelperVerdict()  # the helper may be right with what is missing
        return HelperVerdict(WRONG, replace(failure.fact, severity=Severity.WRONG))
    except (TypeError, ValueError) as error:  # raised by NumPy for what was returned
        verdict = _fault("not-comparable", reason=str(error))
    fact = verdict.fact and replace(verdict.fact, where=(function.author_name,))
    return verdict._replace(fact=fact)
