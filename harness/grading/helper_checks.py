"""The usual helpers beside the cost function, each tried by itself: sigmoid, its slope, random weights, predict."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from harness.facts.fact import Fact, Severity, wrong
from harness.facts.kinds import Kind
from harness.grading.exercises import small_exercises
from harness.grading.submission_functions import Function
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


class Helper(NamedTuple):
    """A helper: the names it goes by, how many arguments it takes, and its check."""

    names: str
    arguments: int
    check: Callable[[Callable[..., Any]], HelperVerdict]


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
    "predict": Helper("predict prediction predictnn nnpredict", 3, _check_predict),
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

    def call(*arguments: Any) -> Any:
        try:
            return process.call(function, *arguments).value
        except CallFailed as failure:
            if helper.arguments > 1 or not np.ndim(arguments[0]) or failure.is_fatal:
                raise
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
