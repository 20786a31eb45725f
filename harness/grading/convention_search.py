"""The search for the way in which a submission wants to be called.

    functions, and readings of their parameters        the likeliest first
        conventions of a table                         the most usual first
            parts of what is returned                  the last first: the regularised ones
                networks that it may be the answer of  this course's first

Each of these is an `Attempt` at one exercise. A right answer ends the search. Among wrong ones, the bug zoo decides:
where a known bug gives just this answer, the convention is the right one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.grading.best_attempts import MOST_FATAL, RuledOut, Trials, best_interface, find_explained
from harness.grading.call_conventions import CONVENTIONS, JOINED, LABELS, OF_THE_COURSE, ORDERS, Convention, items_of
from harness.grading.exercises import (
    COURSE_MODEL,
    MODELS,
    Exercise,
    Model,
    course_exercises,
    small_exercises,
    with_fixed_l2,
)
from harness.grading.given_answers import collect_answers
from harness.grading.parameter_roles import Function, is_surely_l2, named_roles, readings
from harness.grading.submission_answers import ParsedAnswer, possible_picks
from harness.grading.submission_code import numbers_in
from harness.grading.submission_files import Submission
from harness.grading.submission_interface import Attempt, Call, Interface
from harness.grading.submission_process import CallFailed, Returned, SubmissionProcess
from reference.user_input import did_you_mean

MOST_FUNCTIONS = 8
"""So many functions of a submission are tried, the likeliest first.

A submission of one file has two or three that take θ, X and y. Each more costs up to a few hundred calls.
"""

UNLIKELY = ("sigmoid", "numerical", "check", "test", "plot", "debug", "train", "descent", "update", "sgd", "predict")
"""Parts of names of functions that are certainly not the homework's cost function."""

ALL_EXAMPLES = 5000  # a number in code that is written for all of the course's examples

COURSE_NUMBERS = {ALL_EXAMPLES, 400, 401, 10025, 10285}
"""Numbers in code that is written for the course's network alone: inputs, with the bias, and parameters of Theta1 and
of both matrices, 25 · 401 and 25 · 401 + 10 · 26."""

SAME_L2 = 1e-6
"""Relative difference of λ from two problems that still counts as one, and the smallest λ: far above rounding.

Each λ comes from a difference of costs, which loses a few digits; two wrong costs do not agree by chance in six.
"""

NAMES_OF_UNITS = {"relu": r"(?i)relu|maximum|\bmax\b|[<>]|\babs\b|where|clip", "tanh": "(?i)tanh"}
"""What stands in code with such hidden units; all code may compute sigmoids."""

UNNAMED = 10.0
"""Times the distance of an answer from that of a network whose units the code does not name.

By chance, a wrong gradient of a sigmoid network may lie nearer to that of a tanh network, and ten outweighs that. Code
that computes tanh by exponentials is still known where its answer is right: then no distance decides.
"""


def find_interface(process: SubmissionProcess, named: str | None = None) -> Interface:
    """The best way to call a submission, of all conventions and of all functions that look like the homework's.

    Of these only the function `named` is called, if a name is given.
    """
    candidates = find_candidates(process.submission, named)
    if not candidates:
        return Interface(failure=_no_function(process.submission, named))
    exercises, l2 = small_exercises(), None
    tried = _search(process, candidates, exercises[0], CONVENTIONS)
    if not _has_right_one(tried) and (l2 := _fixed_l2(process, tried)) is not None:
        exercises = with_fixed_l2(exercises, l2)
        tried = _search(process, candidates, exercises[0], CONVENTIONS, has_l2=True)
    found = best_interface(process, exercises, tried)
    if not found.failure:
        found = replace(_checked_with_few_classes(process, candidates, found, exercises, has_l2=l2 is not None), l2=l2)
        if l2 is not None or found.is_right:
            return found
    elif any(failure.is_futile for failure in found.failures):  # it would fail at other sizes as well
        return found
    return max((found, *_at_the_courses_sizes(process, candidates, found)), key=_standing)


def likelihood(function: Function) -> int:
    """How likely a function is the homework's cost function; below zero for what certainly is not.

    A name such as "cost" counts more than four parameters, and the course's seven parameters more than one such name.
    """
    name = function.name.lower().replace("_", "")
    likely = [word for word in ("cost", "backprop", "grad", "nn", "loss", "network") if word in name]
    own = function.author_name.rpartition(".")[2].lower().replace("_", "")  # a method of a class Trainer trains nothing
    unlikely = own.startswith("fit") or any(word in own for word in UNLIKELY)
    return 3 * len(likely) + 2 * (len(function.parameters) >= 4) + 4 * (len(function.parameters) == 7) - 20 * unlikely


def find_candidates(submission: Submission, named: str | None) -> list[Call]:
    """The functions that may be the homework's, the likeliest first."""
    functions = [function for function in submission.homework if named in (None, function.name, function.author_name)]
    found = sorted(functions, key=likelihood, reverse=True)
    likely = [function for function in found if named or likelihood(function) >= 0][:MOST_FUNCTIONS]
    return [Call(function, roles) for function in likely for roles in readings(function)]


def source_interface(submission: Submission, named: str | None) -> Interface | None:
    """The interface of a gradient source ``f(problem, theta)``, which needs no trying; None for other functions."""
    for call in find_candidates(submission, named)[:1]:
        if call.is_source:
            attempt = Attempt(call, ParsedAnswer())
            return Interface(attempt, attempt)
    return None


def _no_function(submission: Submission, named: str | None) -> Fact:
    # a function comes before its stand-ins
    written = {function.author_name: str(function) for function in reversed(submission.functions)}
    unlike = [str(function) for function in submission.functions if named in (function.name, function.author_name)]
    return doubt(
        Kind.NO_HOMEWORK_FUNCTION,
        named=named or "",
        unlike=unlike[0] if unlike else "",
        defined=[*written.values()][::-1],
        similar=did_you_mean(named, [function.author_name for function in submission.functions]) if named else "",
    )


def _has_right_one(tried: Sequence[Trials]) -> bool:
    return any(trials.best and all(trials.best.right) for trials in tried)


def _fixed_l2(process: SubmissionProcess, tried: Sequence[Trials]) -> float | None:
    """The λ above zero in the code of a function that takes none, whatever that of the exercise is; or None.

    The cost is linear in λ: J(λ) = J(0) + λ (J(1) - J(0)). So each cost gives one λ, and two exercises must give the
    same. A cost that is wrong, or called in a wrong convention, gives two.
    """
    first, _, second, *_ = small_exercises()

    def l2_of(exercise: Exercise, cost: float) -> float:
        zero, one = (exercise.with_l2(l2).right[0] for l2 in (0.0, 1.0))
        return (cost - zero) / (one - zero)

    for attempt in (attempt for trials in tried for attempt in trials.attempts):
        takes_l2, cost = {"l2", "problem"} & named_roles(attempt.call.roles), attempt.answer.cost
        if takes_l2 or cost is None or not SAME_L2 < (l2 := l2_of(first, cost)) < np.inf:
            continue
        try:
            cost = attempt.call.answer(process, second).cost
        except CallFailed:
            continue
        if cost is not None and abs(l2_of(second, cost) - l2) <= SAME_L2 * l2:
            return float(f"{l2:.6g}")
    return None


def _checked_with_few_classes(
    process: SubmissionProcess,
    candidates: Sequence[Call],
    found: Interface,
    exercises: Sequence[Exercise],
    *,
    has_l2: bool,
) -> Interface:
    """The interface, unless ten classes were right by chance; without the other exercises where code knows ten alone.

    Of ten classes, ``Y[i, y - 1]`` is right for labels 1 to 10, and for 1 to 9 with 0 for the tenth: Python takes the
    place -1 for the last. Of three classes, labels from 0 would be right in the same way, and only one of them is.
    """
    few = [exercise for exercise in found.exercises if exercise.has_few_classes and not exercise.is_degenerate]
    given = collect_answers(process, found, few)
    if given.failures:  # what calls with ten classes left behind may not fit here
        process.restart()
        given = collect_answers(process, found, few)
    if not given.answers:
        rest = tuple(exercise for exercise in found.exercises if not exercise.has_few_classes)
        return replace(found, exercises=rest, only_at="ten classes")
    of_ten = [any(attempt.right[part] for attempt in found.attempts) for part in (0, 1)]
    is_right_too = all(here >= there for rights in given.right.values() for here, there in zip(rights, of_ten))
    if is_right_too or not found.of_cost or found.of_cost.call.convention.labels in LABELS:
        return found
    usual = [convention for convention in CONVENTIONS if convention.labels in LABELS]
    tried = _search(process, candidates, exercises[0], usual, has_l2=has_l2)
    return best_interface(process, exercises, tried)


def _at_the_courses_sizes(
    process: SubmissionProcess, candidates: Sequence[Call], found: Interface
) -> Iterator[Interface]:
    """Interfaces at the course's own sizes, where code may have these numbers in it."""
    numbers = {number for file in process.submission.files for number in numbers_in(file.tree)}
    if not found.failure and numbers.isdisjoint(COURSE_NUMBERS):
        return
    # every 250th digit makes 20 examples; all of them, 16 MB of X, only for code that knows their number and of whose
    # answers to 20 nothing is right or known
    for every in (250, 1) if ALL_EXAMPLES in numbers else (250,):
        exercises = course_exercises(every)
        there = best_interface(process, exercises, _search(process, candidates, exercises[0], OF_THE_COURSE))
        sizes, _, examples = exercises[0].name.partition(", λ")[0].partition(", ")
        yield replace(there, only_at=f"{sizes}, {examples}" if every == 1 else sizes)
        if any(_standing(there)[:3]):
            return


def _standing(interface: Interface) -> tuple[bool, ...]:
    """How good an interface is, to be compared: all right, a part right, a bug of the zoo, an answer at all.

    Of equal answers, that at any sizes is better; of failures, that at the course's, which the student knows.
    """
    attempts, failed = interface.attempts, interface.failure is not None
    has_right_part = any(any(attempt.right) for attempt in attempts)
    is_known = any(attempt.is_explained for attempt in attempts)
    return interface.is_right, has_right_part, is_known, not failed, bool(interface.only_at) == failed


# -- one exercise ------------------------------------------------------------------------------------------------------


def _search(
    process: SubmissionProcess,
    candidates: Sequence[Call],
    exercise: Exercise,
    conventions: Sequence[Convention],
    *,
    has_l2: bool = False,
) -> list[Trials]:
    """What comes of calling the functions, which may have λ in their code, up to the first that is right."""
    tried: list[Trials] = []
    for candidate in candidates:
        tried.append(_try_conventions(process, candidate, exercise, conventions, has_l2=has_l2))
        if _has_right_one(tried) or sum(trials.is_fatal for trials in tried) >= MOST_FATAL:
            break
    return [trials for trials in tried if not _takes_idle_number(trials, tried)]


def _takes_idle_number(trials: Trials, tried: Sequence[Trials]) -> bool:
    """Whether a number that may be a learning rate was taken for λ, and changes no answer: then it is none."""
    function, roles = trials.call.function, trials.call.roles
    if not any(role == "l2" and not is_surely_l2(name) for name, role in zip(function.parameters, roles)):
        return False
    attempts = [one for each in tried if each.call.function == function for one in each.attempts]
    with_it = {one.call.convention: one.answer for one in attempts if one.call.roles == roles}
    without = {one.call.convention: one.answer for one in attempts if "l2" not in one.call.roles}
    both = with_it.keys() & without.keys()
    return bool(both) and all(with_it[one].numbers == without[one].numbers for one in both)


def _try_conventions(
    process: SubmissionProcess, candidate: Call, exercise: Exercise, conventions: Sequence[Convention], *, has_l2: bool
) -> Trials:
    """One function called in the conventions, up to the first answer whose parts are right.

    Where none is all right, the bug zoo says which answers are known.
    """
    attempts: list[Attempt] = []
    failures: list[CallFailed] = []
    ruled_out, partly_right = RuledOut(), None
    for convention in conventions:
        if not convention.fits(candidate.roles) or convention in ruled_out:
            continue
        # A cost that is right to twelve digits came in the right convention, so a wrong gradient beside it is wrong.
        # Only the shape of y may still matter: h - y of (m, K) and (m,) broadcasts where a loop over y does not.
        if partly_right and replace(convention, column=partly_right.column) != partly_right:
            continue
        for outcome in _outcomes_in(convention, process, candidate, exercise, has_l2=has_l2):
            if isinstance(outcome, Attempt):
                attempts.append(outcome)
                partly_right = convention if any(outcome.right) and outcome.call.is_of_one_network else partly_right
            else:
                failures.append(outcome)
                # an answer that cannot be read says nothing of the calls in other conventions
                if outcome.outcome == "raised":
                    ruled_out.add(convention, outcome)
            if _ends_search(outcome):
                break
        else:
            continue
        break
    if attempts and not any(all(attempt.right) for attempt in attempts):
        known = find_explained(process, attempts, exercise)
        attempts = [replace(attempt, is_explained=attempt in known) for attempt in attempts]
    return Trials(candidate, tuple(attempts), tuple(failures))


def _ends_search(outcome: Attempt | CallFailed) -> bool:
    """Whether no other convention needs to be tried after this outcome."""
    if isinstance(outcome, CallFailed):
        return outcome.is_futile
    has_one_reading = outcome.call.is_source or (outcome.call.is_of_one_network and outcome.is_right_so_far)
    return has_one_reading or all(outcome.right)


def _outcomes_in(
    convention: Convention, process: SubmissionProcess, candidate: Call, exercise: Exercise, *, has_l2: bool
) -> Iterator[Attempt | CallFailed]:
    """The failure of a call; or what its answer may be: each cost and gradient in it, of each network."""
    # a function of Theta1 and Theta2 takes θ in one form alone, so that none is reported
    call = replace(
        candidate, convention=convention if "theta" in candidate.roles else replace(convention, theta="flat")
    )
    try:
        returned = call.returned(process, exercise)
    except CallFailed as failure:
        yield failure.with_data()
        return
    # θ came as matrices, which says nothing of how a gradient was unrolled into a vector
    value, convention = returned[0].value, call.convention
    vectors = [item for item in items_of(value) if isinstance(item, np.ndarray) and item.ndim == 1 and item.size > 1]
    orders = ORDERS if convention.gives_matrices(call.roles) and vectors else (convention.order,)
    for pick, order in product(possible_picks(value, convention, exercise.problem), orders):
        picked = replace(call, convention=replace(convention, pick=pick, order=order))
        for model in _models(call, is_regularised=has_l2 or "l2" in call.roles):
            try:
                attempt = _attempt(picked, returned, process.submission, exercise.of_model(model))
                if attempt.right[0] or not pick or pick.end:  # a number beside anything is not yet a cost
                    yield attempt
            except CallFailed as failure:
                yield failure.with_data()
                break  # it is as unreadable for the other networks


def _attempt(call: Call, returned: Sequence[Returned], submission: Submission, exercise: Exercise) -> Attempt:
    answer, pattern = call.read(returned, submission, exercise), NAMES_OF_UNITS.get(exercise.model.hidden, "")
    is_named = any(re.search(pattern, file.text) for file in submission.files)
    distance = exercise.distance(answer) * (1.0 if is_named else UNNAMED)
    return Attempt(call, answer, exercise.is_right(answer), distance=distance, model=exercise.model)


def _models(call: Call, *, is_regularised: bool) -> Iterator[Model]:
    """The networks that a function may compute: those of other courses only where it takes W and b apart, as these do.

    With λ and sigmoid outputs, other hidden units than this course's are a mistake.
    """
    takes_arrays = {"W1", "weights"} & named_roles(call.roles) or call.convention.theta != "flat"
    if not takes_arrays or call.convention.blocks.arrangement == JOINED:
        yield COURSE_MODEL
        return
    for model in (COURSE_MODEL, *MODELS):
        if not is_regularised or model.hidden == COURSE_MODEL.hidden or model.output != "sigmoid":
            yield replace(model, regularised=is_regularised)
