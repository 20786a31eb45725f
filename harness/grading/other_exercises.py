"""The homework of another exercise, known by the data and helpers that it names, or by what its functions take."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.grading.call_conventions import as_array
from harness.grading.convention_search import find_candidates
from harness.grading.parameter_roles import Default, named_roles
from harness.grading.submission_interface import Call
from harness.grading.submission_process import CallFailed, SubmissionProcess

THIS_ONE = ("ex4data", "ex4weights")

OTHERS: Mapping[str, str] = {
    "ex1data": "exercise 1, linear regression",
    "ex2data": "exercise 2, logistic regression",
    "ex3data": "exercise 3, one-vs-all classification",
    "ex5data": "exercise 5, regularised linear regression",
    "ex6data": "exercise 6, support vector machines",
    "ex7data": "exercise 7, K-means and principal components",
    "findClosestCentroids": "exercise 7, K-means and principal components",
    "ex8data": "exercise 8, anomaly detection",
    "ex8_movies": "exercise 8, recommender systems",
    "cofiCostFunc": "exercise 8, recommender systems",
    "planar_utils": "the planar data of another course",
    "lr_utils": "the logistic regression of another course",
    "dnn_app_utils": "the deep networks of another course",
}
"""Data, helpers and functions that files of other exercises name, and the exercise that they belong to."""

REGRESSION = "a regression without a hidden layer, as in exercises 1 to 3"

INPUTS, CLASSES = 3, 2  # of the regressions that functions are tried on

OF_REGRESSION = {"theta", "X", "y", "l2", "m", "n_in"}  # the roles that the parameters of a regression have


def find_other_exercise(process: SubmissionProcess) -> Fact | None:
    """That it is another exercise's homework; asked only where nothing of it is right for this one."""
    candidates = find_candidates(process.submission, None)
    functions = {call.function: None for call in candidates}
    if functions and functions.keys() == {call.function for call in candidates if _is_regression(process, call)}:
        return doubt(Kind.OTHER_EXERCISE, next(iter(functions)).author_name, exercise=REGRESSION)
    text = "".join(file.text for file in process.submission.files)
    named = [name for name in OTHERS if name in text and not any(own in text for own in THIS_ONE)]
    return doubt(Kind.OTHER_EXERCISE, named[0], exercise=OTHERS[named[0]]) if named else None


def _is_regression(process: SubmissionProcess, call: Call) -> bool:
    """Whether a function answers where θ has as many entries, or rows or columns, as X has columns, or rows.

    A network's function cannot: its hidden layer alone has more entries.
    """
    for given in _regressions() if named_roles(call.roles) <= OF_REGRESSION else ():
        # most functions of a network raise here, and one that answers has no hidden layer
        values = [role.value if isinstance(role, Default) else given[role] for role in call.roles]
        try:
            if any(np.isfinite(array).all() for array in _arrays(process.call(call.function, *values).value)):
                return True
        except CallFailed as failure:
            if failure.is_futile:
                break
    return False


def _regressions() -> Iterator[dict[str, Any]]:
    """Small problems for a single layer, with θ, X and y in the shapes that ports give them."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, INPUTS)), np.array([0, 1, 1, 0, 1])
    shapes = ((INPUTS,), (INPUTS, 1), (1, INPUTS), (INPUTS, CLASSES), (CLASSES, INPUTS))
    for shape, examples, labels in product(shapes, (X, X.T), (y, y[:, np.newaxis], y[np.newaxis, :])):
        theta = rng.normal(size=shape)
        yield {"theta": theta, "X": examples, "y": labels, "l2": 1.0, "m": len(y), "n_in": INPUTS}


def _arrays(answer: Any) -> Iterator[np.ndarray]:
    """The numbers and arrays in an answer."""
    values = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, (list, tuple)) else [answer]
    for value in values:
        array = as_array(np.asarray(value) if isinstance(value, (int, float, np.generic)) else value)
        if array is not None and array.size:
            yield array
