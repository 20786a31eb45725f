"""The usual helpers beside the cost function, each tried by itself: sigmoid, its slope, random weights, predict.

The operations of an engine of scalars are among them.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from harness.facts.fact import Fact, Severity, wrong
from harness.facts.kinds import Kind
from harness.grading.best_attempts import OF_TYPES
from harness.grading.call_conventions import LABELS_OF_TEN, ONE_HOT, Convention, arguments, labels_of
from harness.grading.class_methods import OPERATIONS
from harness.grading.parameter_roles import PARTS_OF_THETA, Function, known_roles
from harness.grading.submission_files import Submission
from harness.grading.submission_interface import Interface, described
from harness.grading.submission_process import CallFailed, SubmissionProcess

CLOSE, CLOSE_IN_FLOAT32 = 1e-9, 1e-6
"""Absolute, for numbers up to 1: far above the rounding of any formula, 1e-16 and 6e-8, and far below any mistake."""

Z = np.array([[-3.0, -1.0, 0.0], [0.5, 2.0, 10.0]])
"""Arguments of the sigmoid: both signs, zero, and 10, where 1 - σ(z) is 5e-5 and a slope of σ(1 - σ) still shows."""

FAN_IN, FAN_OUT = 9, 7
"""Of a layer whose random weights are asked for: 63 weights of either sign have one sign alone once in 2⁶² times."""

LARGEST_START = 5.0
"""The mean |weight| of a random start that is still accepted.

The course's start has 0.06 on average, and a standard normal one 0.8. Weights around 5 saturate most units, so that
little is learnt.
"""

OF_ARGUMENTS = (*OF_TYPES, "ValueError", "IndexError", "KeyError", "AssertionError")
"""Exceptions of code that may be right, and takes arguments of another kind or shape."""

OF_A_FORWARD_PASS = {*PARTS_OF_THETA, "X", "n_in", "n_hidden", "K", "sizes"}

RIGHT, WRONG, ABSENT = "right", "wrong", "absent"

FROM_A = "the sigmoid's slope from a, not from z"
"""The convention of a helper that is right where it is called with a, and wrong at z. It has what is wrong as well."""


class HelperVerdict(NamedTuple):
    """The outcome "right", "wrong" or "absent"; what is wrong; in what it differs from the course's.

    `lacks_name` is whether it failed for want of a name, which may be set by a statement that was not run.
    """

    outcome: str = ABSENT
    fact: Fact | None = None
    conventions: tuple[str, ...] = ()
    lacks_name: bool = False


Calling = Callable[..., Any]


def _fault(fault: str, **data: Any) -> HelperVerdict:
    return HelperVerdict(WRONG, wrong(Kind.HELPER_WRONG, fault=fault, **data))


def _sigmoid(z: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-z))


def _sigmoid_gradient(z: Any) -> Any:
    return _sigmoid(z) * _sigmoid(-z)


def _wrong_places(answer: Any, expected: Any) -> list[int] | None:
    """The places at which numbers differ by more than the digits of their precision; None for what is no such number.

    The numbers may have any number of axes.
    """
    array = np.asarray(answer) if isinstance(answer, (int, float, np.generic, np.ndarray, list)) else np.array("")
    if array.dtype.kind not in "biuf" or array.size != np.size(expected):
        return None
    close = CLOSE_IN_FLOAT32 if array.dtype == np.float32 else CLOSE
    return np.flatnonzero(~(np.abs(array.ravel() - np.ravel(expected)) <= close)).tolist()


def _check_sigmoid_gradient(call: Calling, _: Interface) -> HelperVerdict:
    found = _check_elementwise("the sigmoid's slope", _sigmoid_gradient, call)
    # a function of a = σ(z) that computes a (1 - a) is right where it is called with a, which the gradient shows
    if found.outcome == WRONG and _wrong_places(call(_sigmoid(Z)), _sigmoid_gradient(Z)) == []:
        return found._replace(outcome=RIGHT, conventions=(FROM_A,))
    return found


def _check_elementwise(name: str, right: Callable[[Any], Any], call: Calling, _: Any = None) -> HelperVerdict:
    """An elementwise function, judged by its answers: one for matrices may take no vectors and no numbers."""
    is_of_matrices = False
    for kind, z in (("a matrix", Z), ("a vector", Z[0]), ("a number", np.array(0.5))):
        try:
            answer = call(z if z.ndim else float(z))
        except CallFailed as failure:
            if failure.is_fatal or kind == "a matrix":
                raise
            is_of_matrices = True
            continue
        places = _wrong_places(answer, right(z))
        if places is None or (places and _wrong_places(np.transpose(answer), right(z)) == []):
            array = np.asarray(answer)
            return _fault("shape", shape=str(array.shape), type=array.dtype.name, expected=str(z.shape))
        if places:  # the z nearest to 0: everybody knows the values there
            place = min(places, key=lambda place: abs(z.flat[place]))
            value, expected = np.ravel(answer)[place], np.ravel(right(z))[place]
            return _fault("value", of=kind, z=float(z.flat[place]), value=float(value), expected=float(expected))
    return HelperVerdict(RIGHT, None, (f"{name} for matrices alone",) if is_of_matrices else ())


def _check_random_start(call: Calling, _: Interface) -> HelperVerdict:
    weights = call(FAN_IN, FAN_OUT)
    if isinstance(weights, (tuple, dict)):
        return HelperVerdict()  # a start for all layers, which takes other arguments
    shape, usual = np.shape(weights), (FAN_OUT, 1 + FAN_IN)
    conventions = {
        usual: (),
        usual[::-1]: ("weights as (1 + inputs, outputs)",),
        **dict.fromkeys([(FAN_OUT, FAN_IN), (FAN_IN, FAN_OUT)], ("weights without biases",)),
    }
    if shape not in conventions:
        return _fault("start-shape", shape=str(shape), inputs=FAN_IN, outputs=FAN_OUT, expected=str(usual))
    array = np.asarray(weights)
    # equal weights stay equal in training, so that all units of a layer learn the same; in float32, some may be alike
    if array.dtype.kind not in "f" or len(np.unique(array)) < array.size / 2:
        return _fault("start-repeats")
    if not 0.0 < np.abs(array).mean() <= LARGEST_START or not (array.min() < 0.0 < array.max()):
        return _fault("start-range")
    return HelperVerdict(RIGHT, None, conventions[shape])


def _check_predict(call: Calling, interface: Interface) -> HelperVerdict:
    """Predictions for the first exercise, asked for as the cost or the gradient is, or else as in the course.

    They are right in any labels that the course or a port uses; the network's largest output decides. Raises the
    `CallFailed` of code that answers in no convention.
    """
    exercise = interface.exercises[0]
    problem, classes = exercise.problem, exercise.outputs.argmax(axis=1)
    targets = np.eye(problem.network.sizes[-1])[classes]
    found = [attempt.call.convention for attempt in interface.attempts]
    faults, failures, answered = [], [], False
    for convention in dict.fromkeys([*found, Convention(), Convention(ones=True), Convention(order="C")]):
        try:
            answer = call(convention, exercise)
        except CallFailed as failure:
            if failure.is_futile:
                raise
            failures.append(failure)
            continue
        answered = answered or answer is not None
        array = np.asarray(answer) if isinstance(answer, (np.ndarray, list)) else np.empty((0, 0))
        for labels in (name for name in LABELS_OF_TEN if name != ONE_HOT):
            if _wrong_places(array, labels_of(Convention(labels), targets)) == []:
                is_usual = labels == Convention().labels
                return HelperVerdict(RIGHT, None, () if is_usual else (labels.replace("labels", "predictions"),))
        if array.size == problem.m:
            faults.append(_fault("prediction-value", wrong=int((array.ravel() != classes + 1).sum()), total=problem.m))
        elif array.ndim == 1:  # with more axes, it is a forward pass of the same name
            faults.append(_fault("prediction-shape", shape=str(array.shape), expected=problem.m))
    if failures and not answered:
        raise max(failures, key=lambda failure: failure.lines)  # what got farthest
    return faults[0] if faults else HelperVerdict()


A, B, C = 0.6, -1.7, 0.3  # the first has a logarithm, and the second has the sign at which relu is 0

SLOPES: Mapping[str, tuple[float, float]] = {
    "a + b": (1.0, 1.0),
    "a * b": (B, A),
    "a ** 3": (3.0 * A**2, 0.0),
    "a.exp()": (np.exp(A), 0.0),
    "a.log()": (1.0 / A, 0.0),
    "a.tanh()": (1.0 - np.tanh(A) ** 2, 0.0),
    "a.sigmoid()": (_sigmoid_gradient(A), 0.0),
    "a.relu()": (1.0, 0.0),
    "b.relu()": (0.0, 0.0),
}
"""Operations of an engine of scalars, each with its derivatives in a and b at a = A and b = B."""

MADE_OF_OTHERS: Mapping[str, tuple[float, float]] = {
    "-a": (-1.0, 0.0),
    "a - b": (1.0, -1.0),
    "a / b": (1 / B, -A / B**2),
}
"""Operations that are mostly made of those above, so that a mistake in one of those shows in them as well."""

TWO_DEPTHS = ("(lambda d: d * a * b + d)(a * b)", (2.0 * A * B**2 + B, 2.0 * A**2 * B + A))
"""d is needed at two depths, so its part of the gradient is whole only after that of d * a * b."""


def _check_operations(call: Calling, _: Interface) -> HelperVerdict:
    """Each operation by itself, then before another one, then with a value that is used twice.

    The chain rule is out.grad times the local slope, added up: ``self.grad = slope`` is right for one operation alone,
    and ``=`` in the place of ``+=`` shows only where a value is used twice.
    """
    known: dict[str, tuple[float, float]] = {}
    for expression, slopes in {**SLOPES, **MADE_OF_OTHERS}.items():
        try:
            call(expression, [A, B, C])
            known[expression] = slopes
        except CallFailed as failure:  # an operation that it does not have
            if failure.is_fatal:
                raise
    if not {"a + b", "a * b"} <= known.keys():
        return HelperVerdict()
    basic = [(expression, *known[expression]) for expression in SLOPES if expression in known]
    tried = [
        *(("slope", expression, (in_a, in_b)) for expression, in_a, in_b in basic),
        *(("slope-deeper", f"({expression}) * c", (C * in_a, C * in_b)) for expression, in_a, in_b in basic),
        *(("slope-twice", f"({expression}) + a", (1.0 + in_a, in_b)) for expression, in_a, in_b in basic),
        ("slope-deeper", *TWO_DEPTHS),
        *(("slope", expression, known[expression]) for expression in MADE_OF_OTHERS if expression in known),
    ]
    for fault, expression, slopes in tried:
        for name, slope, right in zip("ab", call(expression, [A, B, C]), slopes):
            if not abs(slope - right) <= CLOSE:
                at = f"a = {A}, b = {B}"
                return _fault(fault, expression=expression, name=name, at=at, value=slope, expected=float(right))
    return HelperVerdict(RIGHT)


class Helper(NamedTuple):
    """A helper: its check, the names it goes by, and how many arguments it takes; 0 for those of a forward pass."""

    check: Callable[[Calling, Interface], HelperVerdict]
    arguments: int
    names: str


HELPERS = {
    "sigmoid": Helper(
        partial(_check_elementwise, "the sigmoid", _sigmoid), 1, "sigmoid sigm logistic sigmoidfunction sig"
    ),
    "sigmoid_gradient": Helper(
        _check_sigmoid_gradient,
        1,
        "sigmoidgradient sigmoidgrad sigmoidderivative sigmoidprime dsigmoid siggrad sigmoidslope gradsigmoid",
    ),
    "rand_initialize_weights": Helper(
        _check_random_start,
        2,
        "randinitializeweights randominitializeweights randinitweights randinitialiseweights initweights "
        "initializeweights randomweights randinit",
    ),
    "predict": Helper(_check_predict, 0, "predict prediction predictnn nnpredict"),
    "operations": Helper(_check_operations, 2, OPERATIONS.replace("_", "")),
}


def check_helpers(process: SubmissionProcess, interface: Interface) -> Mapping[str, HelperVerdict]:
    """The verdict on each helper, under the name that this project gives it.

    All functions of one file count, and the best of several files, which may hold what was handed out.
    """
    found: dict[str, HelperVerdict] = {}
    for name, helper in HELPERS.items():
        # in one file, the last definition of a name is the one that runs
        functions = {(function.file, function.name): function for function in process.submission.functions}
        of_files: dict[str, list[HelperVerdict]] = defaultdict(list)
        for (file, own_name), function in functions.items():
            if own_name.lower().replace("_", "") in helper.names.split():
                of_files[file].append(_verdict(process, helper, function, interface))
        best_of_each = [_first_of((WRONG, RIGHT, ABSENT), verdicts) for verdicts in of_files.values()]
        found[name] = _first_of((RIGHT, WRONG, ABSENT), best_of_each)
    return found


def _first_of(outcomes: Sequence[str], verdicts: Sequence[HelperVerdict]) -> HelperVerdict:
    """The verdict whose outcome stands first."""
    return min(verdicts, key=lambda verdict: outcomes.index(verdict.outcome), default=HelperVerdict())


def _is_named_elsewhere(submission: Submission, name: str) -> bool:
    """Whether a name stands in the code beside its definitions."""
    text = "\n".join(file.code.text for file in submission.files)
    defined = re.findall(rf"\bdef\s+{name}\b|^\s*{name}\s*=(?!=)", text, flags=re.MULTILINE)
    return len(re.findall(rf"\b{name}\b", text)) > len(defined)


def _verdict(process: SubmissionProcess, helper: Helper, function: Function, interface: Interface) -> HelperVerdict:
    """What one function of that name is; absent where its parameters show that it is something else."""
    roles = [role or "" for role in known_roles(function)[: function.required]]
    # ``predict(p, q, X)``: two unknown parameters before X are the two matrices
    if roles[2:] and "" in roles[:2]:
        roles = ["theta1", "theta2", *roles[2:]]
    is_elementary = function.required <= helper.arguments <= len(function.parameters)
    is_forward_pass = set(roles) <= OF_A_FORWARD_PASS and "X" in roles
    if not (is_elementary if helper.arguments else is_forward_pass):
        return HelperVerdict()

    returned = []

    def call(*given: Any) -> Any:
        if not helper.arguments:
            convention, exercise = given
            try:
                given = arguments(roles, convention, exercise.problem, exercise.theta)
            except KeyError:  # arrays that are no parameters in this convention
                return None
        try:
            returned.append(process.call(function, *given).value)
            return returned[-1]
        except CallFailed as failure:
            if helper.arguments != 1 or not np.ndim(given[0]) or failure.is_fatal:
                raise failure.with_data(given=described(function, given)) from None
            # math.exp takes one number at a time: code that calls it so is right
            z = np.asarray(given[0])
            return np.reshape([process.call(function, number).value for number in z.ravel().tolist()], z.shape)

    try:
        verdict = helper.check(call, interface)
    except CallFailed as failure:
        lacks_name, takes_others = failure.is_missing_name, {0: OF_ARGUMENTS, 2: OF_TYPES}.get(helper.arguments, ())
        # nobody is accused of what may be right with the missing file, or with arguments that were not tried
        if failure.fact.kind == Kind.NOT_HANDED_IN or failure.error in takes_others:
            return HelperVerdict()
        return HelperVerdict(WRONG, replace(failure.fact, severity=Severity.WRONG), lacks_name=lacks_name)
    except (TypeError, ValueError) as error:  # raised by NumPy for what was returned
        verdict = _fault("not-comparable", reason=str(error))
    if returned and all(value is None for value in returned):
        verdict = _fault("nothing")
    says_so = function.parameters[:1] == ("a",)
    if FROM_A in verdict.conventions and not (says_so or _is_named_elsewhere(process.submission, function.name)):
        verdict = verdict._replace(outcome=WRONG, conventions=())  # nothing shows that it gets a
    return verdict._replace(fact=verdict.fact and replace(verdict.fact, where=(process.submission.link(function),)))
