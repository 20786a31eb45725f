"""The usual helpers beside the cost function, each tried by itself."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from harness.grading.calling.signatures import Function
from harness.grading.problems import small_problems
from harness.grading.reading import Submission
from harness.grading.running import Failed, Process

CLOSE = 1e-9  # of numbers below 1, which any formula gives to more digits than that

RIGHT, WRONG, ABSENT = "right", "wrong", "absent"


class Verdict(NamedTuple):
    """What became of a part of a submission: "right", "wrong" or "absent"; what is to be said, and its conventions."""

    outcome: str = ABSENT
    said: str = ""
    conventions: tuple[str, ...] = ()


def _sigmoid(z: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-z))


def _agree(answer: Any, expected: np.ndarray) -> bool:
    if not isinstance(answer, (int, float, np.generic, np.ndarray)) or np.shape(answer) != np.shape(expected):
        return False
    array = np.asarray(answer)
    return array.dtype.kind in "biuf" and bool((np.abs(array - expected) <= CLOSE).all())


Z = np.array([[-3.0, -1.0, 0.0], [0.5, 2.0, 10.0]])


def _is_sigmoid(call: Callable[..., Any]) -> Verdict:
    for what, z in (("a matrix", Z), ("a vector", Z[0]), ("a number", 0.5)):
        if not _agree(call(z), np.asarray(_sigmoid(z))):
            return Verdict(WRONG, f"is wrong for {what}, such as {z if np.ndim(z) == 0 else np.ravel(z)[0]:g}")
    return Verdict(RIGHT)


def _is_sigmoid_gradient(call: Callable[..., Any]) -> Verdict:
    slope = _sigmoid(Z) * (1.0 - _sigmoid(Z))
    answer = call(Z)
    if _agree(answer, slope) and _agree(call(Z[0]), slope[0]):
        return Verdict(RIGHT)
    if _agree(call(_sigmoid(Z)), slope):
        return Verdict(RIGHT, "", ("the sigmoid's slope from a, not from z",))
    if np.shape(answer) != Z.shape:
        return Verdict(WRONG, f"answers shape {np.shape(answer)} for a matrix of shape {Z.shape}")
    return Verdict(
        WRONG, f"answers {float(np.asarray(call(np.array([0.0]))).ravel()[0]):.4g} at z = 0, where it is 0.25"
    )


def _is_random_start(call: Callable[..., Any]) -> Verdict:
    weights = call(4, 3)
    shape = np.shape(weights)
    if shape not in ((3, 5), (5, 3)):
        return Verdict(
            WRONG, f"answers shape {shape} for 4 inputs and 3 outputs, where (3, 5) is needed: a bias for each"
        )
    array = np.asarray(weights)
    if array.dtype.kind not in "f" or len(np.unique(array)) < array.size:
        return Verdict(WRONG, "answers weights that are not all different, so that units stay alike")
    if not 0.0 < np.abs(array).max() <= 5.0 or not (array.min() < 0.0 < array.max()):
        return Verdict(WRONG, "answers weights that are not small numbers of both signs")
    return Verdict(RIGHT, "", () if shape == (3, 5) else ("weights as (1 + inputs, outputs)",))


def _is_predict(call: Callable[..., Any]) -> Verdict:
    asked = small_problems()[0]
    Theta1, Theta2 = asked.problem.network.unpack(asked.theta)
    hidden = _sigmoid(np.column_stack([np.ones(asked.problem.m), asked.problem.X]) @ Theta1.T)
    classes = (np.column_stack([np.ones(len(hidden)), hidden]) @ Theta2.T).argmax(axis=1)
    answer = call(np.array(Theta1), np.array(Theta2), np.array(asked.problem.X))
    if isinstance(answer, (tuple, dict)):  # such as of activations: a function of the same name, and no prediction
        return Verdict(ABSENT)
    if not isinstance(answer, (np.ndarray, list)) or np.size(answer) != len(classes):
        return Verdict(WRONG, f"answers shape {np.shape(answer)} for {len(classes)} examples")
    read = np.ravel(answer)
    for first, conventions in ((1, ()), (0, ("predictions from 0",))):
        if np.array_equal(read, classes + first):
            return Verdict(RIGHT, "", conventions)
    return Verdict(WRONG, f"reads {int((read != classes + 1).sum())} of {len(classes)} examples as another class")


class Helper(NamedTuple):
    """A helper: the names it goes by, how many arguments it takes, and what it has to do."""

    names: str
    arguments: int
    judge: Callable[[Callable[..., Any]], Verdict]


HELPERS = {
    "sigmoid": Helper("sigmoid sigm logistic sigmoidfunction sig", 1, _is_sigmoid),
    "sigmoid_gradient": Helper(
        "sigmoidgradient sigmoidgrad sigmoidderivative sigmoidprime dsigmoid siggrad sigmoidslope gradsigmoid",
        1,
        _is_sigmoid_gradient,
    ),
    "rand_initialize_weights": Helper(
        "randinitializeweights randominitializeweights randinitweights randinitialiseweights initweights "
        "initializeweights randomweights randinit",
        2,
        _is_random_start,
    ),
    "predict": Helper("predict prediction predictnn nnpredict", 3, _is_predict),
}


def judge_helpers(process: Process, submission: Submission) -> dict[str, Verdict]:
    """The verdict on each helper, under the name that this project gives it."""
    return {name: _judge(process, helper, submission.functions) for name, helper in HELPERS.items()}


def _judge(process: Process, helper: Helper, functions: Iterable[Function]) -> Verdict:
    known = helper.names.split()
    fits = [function for function in functions if function.name.lower().replace("_", "") in known]
    if not fits:
        return Verdict()
    function = fits[-1]  # of two, the one that Python keeps
    if not function.required <= helper.arguments <= len(function.parameters):
        return Verdict(ABSENT, f"{function.name} takes other arguments, and was not tried")

    def call(*arguments: Any) -> Any:
        try:
            return process.call(function.name, *arguments)
        except Failed as failure:
            if helper.arguments > 1 or not np.ndim(arguments[0]) or failure.fatal:
                raise
            z = np.asarray(arguments[0])  # it may take one number at a time, as with math.exp
            return np.reshape([process.call(function.name, number) for number in z.ravel().tolist()], z.shape)

    try:
        verdict = helper.judge(call)
    except Failed as failure:
        return Verdict(WRONG, f"{function.name}: {failure}")
    except (TypeError, ValueError) as error:  # whatever was answered
        return Verdict(WRONG, f"{function.name} answers what cannot be compared ({error})")
    return verdict._replace(said=f"{function.name} {verdict.said}" if verdict.said else "")
