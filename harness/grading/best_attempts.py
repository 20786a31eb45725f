"""Which of many attempts came in the right convention, which functions give which part, and what failures rule out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from harness.checks.networks.bug_explanations import find_bugs, is_explained
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.grading.call_conventions import COURSE_BLOCKS, Convention
from harness.grading.exercises import COURSE_MODEL, Exercise
from harness.grading.given_answers import GivenAnswers
from harness.grading.submission_files import Submission
from harness.grading.submission_interface import Attempt, Call, Interface
from harness.grading.submission_process import CallFailed, SubmissionProcess

MOST_PRODUCTS = 2000
"""Examples times parameters of an exercise for code that takes one example at a time: a network of scalars, as
micrograd's, makes a Python object of each product."""

NEAREST = 8
"""So many answers in unusual conventions, the nearest to the right one, are compared with the bug zoo.

A bug changes part of the cost or the gradient, so that an answer in the right convention is among the nearest.
"""


@dataclass(frozen=True, eq=False)
class Trials:
    """What came of calling one function in many conventions."""

    call: Call
    attempts: tuple[Attempt, ...]
    failures: tuple[CallFailed, ...]

    @property
    def best(self) -> Attempt | None:
        return best_of(self.attempts)

    @property
    def is_fatal(self) -> bool:
        """Whether the function ended its process or took too long; a file that cannot be run is no function's fault."""
        return any(failure.is_fatal and not failure.is_loading for failure in self.failures[-1:])


def best_of(attempts: Sequence[Attempt]) -> Attempt | None:
    return max(attempts, key=lambda attempt: attempt.rank, default=None)


def find_explained(process: SubmissionProcess, attempts: Sequence[Attempt], exercise: Exercise) -> set[Attempt]:
    """The attempts whose parts are right or explained by the bug zoo.

    An answer in a wrong convention is garbage, which no bug gives to twelve digits. So an answer that a bug gives tells
    the convention. What is likeliest is compared first, and the rest only where nothing of it is known.
    """
    partly = {one for one in attempts if any(one.right)}
    # the zoo is of this course's network; of another's, a right part has to do
    known = {one for one in partly if one.is_right_so_far or one.model != COURSE_MODEL}
    usual = [one for one in attempts if one.call.convention.is_usual]
    has_one_bug = partial(_is_explained, exercise)
    for alike in _by_answer(one for one in attempts if one in (partly or {*usual}) - known):
        known |= set(alike) if has_one_bug(alike[0]) else set()
    if known or partly:
        return known
    unusual = sorted((one for one in attempts if one not in usual), key=lambda one: one.distance)
    found = next(filter(has_one_bug, unusual[:NEAREST]), None)
    # random answers are no work for the zoo
    if not found and Interface(attempts[0], attempts[0]).repeats(process, exercise, attempts[0].answer):
        # Two bugs at once, if there is a gradient: a lone cost is one number, which one of thousands of pairs may give
        # by chance. Then one bug that gives the cost or the gradient, beside something unknown to the zoo.
        # In the right one, λ adds the right share to a wrong answer, too.
        different = [one for one, *_ in _by_answer(one for one in usual if not one.answer.is_empty)]
        in_order = [one for one in different if _has_right_share(process, exercise, one)]
        found = next(filter(partial(_is_explained, exercise, pairs=True), in_order or different), None)
        found = found or next(filter(partial(_is_partly_explained, exercise), in_order or different), None)
        found = found or next(iter(in_order), None)
    return {found} if found else set()


def _by_answer(attempts: Iterable[Attempt]) -> list[list[Attempt]]:
    """Attempts with equal answers together, which are compared with the zoo once."""
    found: dict[Any, list[Attempt]] = defaultdict(list)
    for one in attempts:
        found[one.answer.numbers, one.answer.order, one.answer.precision].append(one)
    return list(found.values())


def _has_right_share(process: SubmissionProcess, exercise: Exercise, attempt: Attempt) -> bool:
    """Whether λ adds what it should to the cost, or to the gradient: that shows how θ lies, whatever else is wrong."""
    without = exercise.with_l2(0.0)
    try:
        answers = {exercise: attempt.answer, without: attempt.call.answer(process, without)}
    except CallFailed:
        return False
    return any(GivenAnswers(answers, {}).regularised_halves(without))


def _is_partly_explained(exercise: Exercise, attempt: Attempt) -> bool:
    found = find_bugs([exercise.replay(attempt.answer)], pairs=False)
    return bool(found.of_cost or found.of_gradient)


def _is_explained(exercise: Exercise, attempt: Attempt, *, pairs: bool = False) -> bool:
    """Whether the bug zoo explains what there is of cost and gradient; what is missing is taken to be right."""
    exercise, answer = exercise.of_model(attempt.model), attempt.answer
    right = {"cost": exercise.right[0], "gradient": exercise.right[1]}
    missing = {name: value for name, value in right.items() if getattr(answer, name) is None}
    return is_explained([exercise.replay(replace(answer, **missing))], pairs)


def best_interface(process: SubmissionProcess, exercises: Sequence[Exercise], tried: Sequence[Trials]) -> Interface:
    """The interface of a function of cost and gradient, or else of the best two, of which one may be missing."""
    best = [trials.best for trials in tried if trials.best]
    failures = tuple(failure for trials in tried for failure in trials.failures)
    fatal = tuple(failure for failure in failures if failure.is_fatal)
    if not best:
        likeliest = next((trials.failures for trials in tried if trials.failures), ())
        failure = _telling(likeliest).fact if likeliest else doubt(Kind.CONVENTION_UNKNOWN)  # none fits its parameters
        return Interface(failure=failure, failures=fatal or failures)
    attempts = [attempt for trials in tried for attempt in trials.attempts]
    of_cost, of_gradient = _best_pair(_of_this_exercise(best, process.submission), attempts)
    one, refused = of_cost or of_gradient, ()
    assert one is not None
    if not (of_cost and of_gradient):
        # what answers after a forward pass, or by a stand-in of another kind, refuses nothing
        picks = {attempt: attempt.call.convention.pick for attempt in attempts}
        answering = {one.call.function.author_name for one, pick in picks.items() if not pick or pick.end}
        silent = [trials.call for trials in tried if trials.call.function.author_name not in answering]
        refused = tuple(_refusals(process, silent, replace(one.call.convention, pick=None), exercises[0]))
    if one.call.convention.single:
        exercises = [each for each in exercises if each.problem.m * each.theta.size <= MOST_PRODUCTS]
    of_model = tuple(exercise.of_model(one.model) for exercise in exercises)
    return Interface(of_cost, of_gradient, exercises=of_model, failures=fatal, refused=refused)


def _best_pair(best: Sequence[Attempt], attempts: Sequence[Attempt]) -> tuple[Attempt | None, Attempt | None]:
    """The attempts that give the cost and the gradient, out of the best of each function: one function's, or of two."""
    halves = [attempt for attempt in best if not attempt.answer.is_whole]
    of_cost = best_of([attempt for attempt in halves if attempt.answer.cost is not None])
    of_gradient = best_of([attempt for attempt in halves if attempt.answer.cost is None])
    whole = best_of([attempt for attempt in best if attempt.answer.is_whole])
    if whole:
        # a draft of cost and gradient may stand beside a finished cost: each part from the function that has it right
        of_cost = of_cost if of_cost and of_cost.right[0] > whole.right[0] else whole
        of_gradient = of_gradient if of_gradient and of_gradient.right[1] > whole.right[1] else whole
    elif of_cost and of_gradient and of_cost.right[0]:
        of_gradient = _read_beside(of_cost, of_gradient, attempts)
    elif of_cost and of_gradient and of_gradient.right[1]:
        of_cost = _read_beside(of_gradient, of_cost, attempts)
    return of_cost, of_gradient


def _of_this_exercise(best: Sequence[Attempt], submission: Submission) -> list[Attempt]:
    """The attempts without the wrong ones of other programs, where something of this exercise is right in one.

    A notebook with another exercise may lie in the same folder.
    """
    right = {one.call.function.file for one in best if any(one.right)}
    if not right:
        return list(best)
    are_related = submission.are_of_one_program
    return [one for one in best if any(are_related(one.call.function.file, file) for file in right)]


def _read_beside(right: Attempt, other: Attempt, attempts: Sequence[Attempt]) -> Attempt:
    """The other half; one that is wrong in every convention is read in that of the half that is right.

    One author writes both for the same θ, X and y.
    """
    is_cost = other.answer.cost is not None
    halves = [one for one in attempts if one.model == right.model and not one.answer.is_whole]
    alike = [one for one in halves if (one.answer.cost is not None) == is_cost]
    if other.model != right.model:
        other = best_of(alike) or other
    if other.is_explained or other.is_right_so_far:
        return other
    wanted = replace(right.call.convention, pick=None)
    nearest = [one for one in alike if replace(one.call.convention, pick=None) == wanted]
    return min(nearest, key=lambda attempt: attempt.distance, default=other)


def _refusals(
    process: SubmissionProcess, silent: Sequence[Call], convention: Convention, exercise: Exercise
) -> Iterator[Fact]:
    """Why functions that answer in no convention do not in the one in which others do."""
    for call in silent:
        if convention.fits(call.roles):
            try:
                replace(call, convention=convention).answer(process, exercise)
            except CallFailed as failure:
                yield failure.fact


def _telling(failures: Sequence[CallFailed]) -> CallFailed:
    """The failure of a function that tells most: of what is missing, of an end, of an answer, or what got farthest."""
    missing = [failure for failure in failures if failure.is_missing_name]
    missing.sort(key=lambda failure: failure.fact.kind != Kind.NOT_HANDED_IN)
    fatal = [failure for failure in failures if failure.is_fatal]
    answered = [failure for failure in failures if failure.outcome == "answered"]
    return (*missing, *fatal, *answered, max(failures, key=lambda failure: failure.lines))[0]


# -- conventions that need not be tried --------------------------------------------------------------------------------

MOST_FATAL = 2
"""So many times a function may end its process, take too long or take all memory, before it is given up.

Each time costs seconds, up to the limit on CPU time. One alone may be the fault of a strange argument.
"""

OF_TYPES = ("AttributeError", "TypeError")
"""Exceptions that say what kind of object an argument is, mostly whatever its shape."""


class RuledOut:
    """The conventions in which a function must fail, since it failed in others like them.

    The course's function takes θ as a vector and fails for nearly all of the 828 conventions. Most of these differ from
    others in what cannot matter to it, such as the order of the numbers in that vector.
    """

    def __init__(self):
        self._shapes: set[Convention] = set()
        self._arrangements: dict[tuple[Convention, str, tuple[int, ...], str], set[str]] = defaultdict(set)
        self._types: set[Convention] = set()
        self._exhausted: Counter[str] = Counter()

    def __contains__(self, convention: Convention) -> bool:
        is_alike = _of_shapes(convention) in self._shapes or _of_types(convention) in self._types
        return is_alike or self._exhausted[convention.theta] >= MOST_FATAL

    def add(self, convention: Convention, failure: CallFailed) -> None:
        """Note that the function failed in a convention."""
        self._shapes.add(_of_shapes(convention))
        # what takes all memory mostly does so for every θ of its form, as ``np.eye(10**9)`` of a matrix for a size
        self._exhausted[convention.theta] += failure.error == "MemoryError"
        if failure.error in OF_TYPES:
            of_types = _of_types(convention)
            # equal for failures in one place, in the same words
            signature = failure.error, failure.lines, str(failure.fact.data.get("event"))
            arrangements = self._arrangements[of_types, *signature]
            arrangements.add(convention.blocks.arrangement)
            # a list has no .reshape, be it of two matrices or of four arrays; the same failure in two arrangements
            # tells this from a dictionary that lacks the key "b1" only where it holds two matrices
            if len(arrangements) > 1:
                self._types.add(of_types)


@cache
def _of_types(convention: Convention) -> Convention:
    """The convention without what changes the values and shapes in θ, and leaves the types of all arguments."""
    return replace(convention, order="F", l2_as="λ", blocks=COURSE_BLOCKS)


@cache
def _of_shapes(convention: Convention) -> Convention:
    """The convention without what changes the values of θ and λ alone, on which no exception depends.

    They are ordinary numbers in any order. A vector has n entries in any arrangement.
    """
    is_vector = convention.theta in ("flat", "column")
    return replace(_of_types(convention), blocks=COURSE_BLOCKS if is_vector else convention.blocks)
