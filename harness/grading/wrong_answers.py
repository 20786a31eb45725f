"""What explains wrong answers: bugs of the zoo, a pattern in the cost, a relation in the gradient, or another exercise.

In a wrong convention, nothing would be known of an answer. So what is known also shows that the convention is right.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from harness.checks.networks.bug_explanations import (
    Explanations,
    describe_bugs,
    describe_nearest_bug,
    find_bugs,
    relate_gradients,
)
from harness.checks.networks.bug_replay import Bugs
from harness.facts.fact import Fact, Severity, doubt, kinds_of, note, wrong
from harness.facts.kinds import Kind
from harness.grading.call_conventions import as_array, items_of
from harness.grading.convention_search import find_candidates
from harness.grading.cost_formulas import find_constant_cost, find_cost_pattern
from harness.grading.exercises import Exercise
from harness.grading.given_answers import GivenAnswers
from harness.grading.grade import Parts
from harness.grading.helper_checks import RIGHT, WRONG
from harness.grading.parameter_roles import Default, named_roles
from harness.grading.submission_answers import ParsedAnswer
from harness.grading.submission_interface import Call, Interface
from harness.grading.submission_process import CallFailed, SubmissionProcess

NOT_REPEATABLE = wrong(Kind.NOT_REPEATABLE, "The function", argument="arguments")


class Explained(NamedTuple):
    """What explains wrong answers."""

    # what is known, and the sets of bugs that explain all that is wrong
    facts: tuple[Fact, ...] = ()
    bugs: tuple[Bugs, ...] = ()
    coordinates: int = 0  # how many coordinates of the gradients were compared

    @property
    def is_understood(self) -> bool:
        """Whether something shows that the function was called in its own convention."""
        return Kind.CONVENTION_UNKNOWN not in kinds_of(self.facts)

    @property
    def is_repeatable(self) -> bool:
        return Kind.NOT_REPEATABLE not in kinds_of(self.facts)


def explain(process: SubmissionProcess, interface: Interface, everywhere: GivenAnswers, parts: Parts) -> Explained:
    """What explains the answers to all problems, of which the parts were judged; nothing where they are right."""
    given = everywhere.ordinary
    replays = [exercise.replay(answer) for exercise, answer in given.answers.items()]
    known = Explained(coordinates=sum(each.replay(answer).coordinates for each, answer in everywhere.answers.items()))
    zero = (wrong(Kind.ZERO, "the gradient"),) if given.are_empty and interface.of_gradient else ()
    # an exercise as it was handed out: J = 0 and zeros for the gradient, which no bug needs to explain
    constant = find_constant_cost(given.answers) if everywhere.wrong and given.are_empty else None
    found = find_bugs(replays if everywhere.wrong and not constant else [])
    # what a bug of the zoo gives on every problem is no accident, and needs no second process
    is_suspect = bool(everywhere.faults) or (bool(everywhere.wrong) and not (constant or found.of_both))
    if is_suspect and not everywhere.repeat_afresh(process, interface):
        return known._replace(facts=(NOT_REPEATABLE,))
    if not everywhere.wrong or constant:
        return known._replace(facts=(constant, *zero) if constant else ())
    if given.are_empty:  # a gradient of zeros is not judged
        found = replace(found, gradient_wrong=False)
    is_regularised = parts["regularised"].outcome == RIGHT
    if not (given.are_empty or _is_understood(interface, found, given, regularised=is_regularised)):
        return known._replace(facts=(doubt(Kind.CONVENTION_UNKNOWN, precisions=sorted(process.submission.precisions)),))
    wrong_parts = {name for name, part in parts.items() if part.outcome == WRONG}
    return known._replace(
        facts=(*_facts(interface, found, given, everywhere, wrong_parts), *zero),
        bugs=found.of_both or (*found.of_cost, *found.of_gradient),
    )


def _is_understood(interface: Interface, found: Explanations, given: GivenAnswers, *, regularised: bool) -> bool:
    """Whether something in wrong answers is right or known, such as what λ adds to them."""
    # a gradient source and a function of lists of weights and biases have no convention to be wrong about
    if interface.is_source or interface.has_one_convention:
        return True
    # log(0) or NaN is wrong in any convention: the exercises are far from saturation
    if interface.of_cost and (not given.costs_are_finite or not found.cost_wrong):
        return True
    # what is right on one exercise, such as that without λ, was called in the right way
    if regularised or found.of_cost or found.of_gradient or found.of_both or any(map(any, given.right.values())):
        return True
    # a relation, such as a factor of 2 or a right output layer; that all layers are wrong is what garbage shows, too
    seen = {fact.kind for exercise, answer in given.answers.items() for fact in _relations(exercise, answer)}
    return find_cost_pattern(given.answers) is not None or bool(seen - {Kind.ALL_LAYERS_WRONG})


def _facts(
    interface: Interface, found: Explanations, given: GivenAnswers, everywhere: GivenAnswers, wrong_parts: set[str]
) -> Iterator[Fact]:
    """The parts that are wrong on some problems alone, the bugs that explain the others, and patterns in the rest."""
    exercise = given.first_wrong
    known = {"cost": found.of_both or found.of_cost, "gradient": found.of_both or found.of_gradient}
    somewhere = {part: on for part, on in _wrong_somewhere(everywhere).items() if not known[part]}
    for wrong_on in dict.fromkeys(somewhere.values()):
        alike = [part for part, exercises in somewhere.items() if exercises == wrong_on]
        # what is right but for λ is the regulariser
        is_regulariser = "regularised" in wrong_parts and not wrong_parts & set(alike)
        numbers = {"wrong": len(wrong_on), "total": len(everywhere.answers), "first": wrong_on[0].name}
        yield wrong(Kind.WRONG_SOMEWHERE, *(["regulariser"] if is_regulariser else alike), **numbers)
    if interface.of_cost and not given.costs_are_finite:
        yield wrong(Kind.COST_NOT_FINITE, interface.of_cost.call.function.author_name)
    # nothing is said of a cost that is not there, and a gradient that is wrong by λ alone, or zero, is neither
    unexplained = {part: note(Kind.PART_UNEXPLAINED, part) for part in ("cost", "gradient")}
    left_out = [] if interface.of_cost and "gradient" in wrong_parts else [unexplained["gradient"]]
    left_out += [note(Kind.PART_RIGHT, "gradient")] if given.are_empty else []
    for fact in describe_bugs(found, exercise.problem, exercise.theta, given.costs_are_finite):
        is_of_cost = fact == unexplained["cost"]
        if is_of_cost and (pattern := find_cost_pattern(given.answers)):
            yield pattern
        elif fact not in left_out and somewhere.keys().isdisjoint(fact.where):  # what is said of a part as a whole
            is_of_l2 = is_of_cost and "cost" not in wrong_parts
            yield _for_homework(replace(fact, where=("regulariser",)) if is_of_l2 else fact)
    if found.gradient_wrong and not known["gradient"]:
        entries = [each.problem.network.unpack(each.wrong_entries(answer)) for each, answer in given.answers.items()]
        wrong_layers = {f"Theta{n}" for layers in entries for n, layer in enumerate(layers, start=1) if layer.any()}
        for fact in _relations(exercise, given.answers[exercise]):
            if fact.kind != Kind.ERROR_STARTS_BELOW or wrong_layers.isdisjoint(fact.where):
                yield _for_homework(fact)
        if "gradient" not in somewhere:
            yield _for_homework(describe_nearest_bug(found))


def _wrong_somewhere(given: GivenAnswers) -> Mapping[str, Sequence[Exercise]]:
    """By part that is right on the first problem, those on which it is wrong."""
    (first, *_), parts = given.right.values(), enumerate(("cost", "gradient"))
    found = {part: tuple(e for e, right in given.right.items() if not right[n]) for n, part in parts if first[n]}
    return {part: exercises for part, exercises in found.items() if exercises}


def _for_homework(fact: Fact) -> Fact:
    """The fact as one about homework: wrong, unless it says what is right, and without counts of coordinates.

    Students read of the gradient as a whole: "explains 85 of 85 coordinates" is of exercises that they never see.
    """
    if fact.kind == Kind.PART_RIGHT:
        return fact
    uncounted = ("coordinates",) if fact.kind in (Kind.BUG, Kind.BUGS_ALIKE) else ()
    data = {name: value for name, value in fact.data.items() if name not in uncounted}
    return replace(fact, severity=Severity.WRONG, data=data)


def _relations(exercise: Exercise, answer: ParsedAnswer) -> tuple[Fact, ...]:
    """Patterns in the error of a gradient: entries that are not finite, a relation, the layer where it starts."""
    if answer.gradient is None:
        return ()
    entries = exercise.wrong_entries(answer)
    return relate_gradients(exercise.problem, exercise.theta, answer.gradient, exercise.right[1], entries)


# -- another exercise, known by the data and helpers that it names, or by what its functions take ----------------------

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
    for value in items_of(answer):
        array = as_array(np.asarray(value) if isinstance(value, (int, float, np.generic)) else value)
        if array is not None and array.size:
            yield array
