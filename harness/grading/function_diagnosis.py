"""One function called on many problems, and the bugs that explain all that it answers."""

import inspect
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from harness.checks.networks.random_problems import ANY, Like, random_problem
from harness.facts import message_table
from harness.facts.fact import Fact, Severity, doubt, note, wrong
from harness.facts.kinds import Kind
from harness.grading.convention_search import find_interface, source_interface
from harness.grading.exercises import Exercise, draw_exercise
from harness.grading.given_answers import GivenAnswers, collect_answers
from harness.grading.grade import judge_parts
from harness.grading.submission_files import read_submission
from harness.grading.submission_interface import Interface, ShownAnswer
from harness.grading.submission_process import SubmissionProcess
from harness.grading.wrong_answers import Explained, explain
from harness.progress import Progress, silent
from harness.verdict.report import json_ready
from reference.activations import Activation
from reference.user_input import did_you_mean

SCHEMA = "harness.diagnosis/2"  # version 2: facts (kind, severity, where, data, text) in the place of sentences

ENOUGH = 0.2
"""Of the problems, the share that has to be answered and compared before anything is agreed upon.

A source may be for networks of one hidden layer alone, which are some of those drawn.
"""

TIMEOUT = 60.0  # seconds of CPU time for each call: somebody's own source may compile or take differences

L2_DRAWN = (0.0, 1.0, 0.5, 3.0)
"""λ of the problems: 0 tells the regulariser's mistakes from others, and 1 alone would hide a missing factor λ."""


@dataclass(frozen=True)
class Diagnosis:
    """What a function came to."""

    target: str  # what was called
    verdict: str  # "agree", "disagree" or "inconclusive"
    # how many problems were tried, and how many of these were answered
    problems: int
    answered: int
    coordinates: int  # how many coordinates of the gradients were compared
    diagnosis: tuple[Fact, ...]  # the bugs that explain the answers, or what can be seen in them
    bugs: tuple[tuple[str, ...], ...]  # the names of the sets of bugs that explain everything
    conventions: tuple[str, ...]  # in what it differs from the course's own way
    notes: tuple[Fact, ...]  # why the rest was not answered, and what else is worth knowing
    seconds: float
    answers: tuple[ShownAnswer, ...] = ()  # the answer to each problem, for a page; not in the document

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        names = [field.name for field in fields(self) if field.name != "answers"]
        return json_ready({"schema": SCHEMA} | {name: getattr(self, name) for name in names})


def diagnose(
    # ``FILE.py``, ``FILE.py:function``, a notebook in place of the file, or ``module:function``; the function has the
    # course's signature, or is a gradient source ``f(problem, theta)``
    target: str,
    problems: int = 25,
    seed: int = 0,
    like: Like = ANY,  # layer sizes, output and λ, where they are given
    activations: Sequence[str | Activation] | None = None,  # for a gradient source, those that hidden layers draw from
    progress: Progress = silent,
    *,
    # whether X and θ are of ordinary size alone; a function of the course's signature is called on no others
    ordinary: bool = True,
    timeout: float = TIMEOUT,  # seconds for each call
) -> Diagnosis:
    """Call a function on many problems, and find the bugs that explain its answers.

    Raises ValueError or OSError where there is no such file or function, or no convention in which it can be called.
    """
    started = time.perf_counter()
    with closing(_start_process(target, timeout)) as process:
        named = target.rpartition(":")[2] or None if ":" in target else None
        if interface := source_interface(process.submission, named):
            drawn = _random_exercises(problems, seed, like, activations, ordinary=ordinary)
        else:
            interface = find_interface(process, named)
            if interface.failure:
                raise message_table.FactError(interface.failure, f"{target} cannot be called. ")
            drawn = _course_like_exercises(problems, seed, _require_course_like(like, activations), interface)
        given = collect_answers(process, interface, _reported(drawn, problems, progress))
        given, explained = _explained(process, interface, given, with_graded=like == ANY)
    verdict, facts = _judged(interface, given, explained)
    failures = dict.fromkeys(given.failures.values())  # one may stand for all
    raised = [failure for failure in failures if not failure.is_not_applicable]
    skipped = [note(Kind.PROBLEMS_SKIPPED, count=len(failures) - len(raised))] if failures.keys() - raised else []
    return Diagnosis(
        target,
        verdict,
        len(given.answers) + len(given.failures),
        len(given.answers),
        explained.coordinates,
        facts,
        tuple(tuple(bug.name for bug in group) for group in explained.bugs),
        tuple(interface.conventions),
        (*given.notes_on(interface, raised), *skipped),
        time.perf_counter() - started,
        tuple(ShownAnswer(exercise, answer, interface) for exercise, answer in given.answers.items()),
    )


def _explained(
    process: SubmissionProcess, interface: Interface, given: GivenAnswers, *, with_graded: bool
) -> tuple[GivenAnswers, Explained]:
    """The answers, with those wrong ones to a grade's problems if the others are right, and what explains them."""
    # the regulariser's share is known from one exercise with and without λ
    exercises = interface.exercises[: 2 if interface.is_source else None]
    graded = collect_answers(process, interface, exercises).without_missing_classes
    if with_graded and not interface.is_source and not (given.wrong or given.faults):
        answers, failures = {**given.answers, **graded.wrong}, {**given.failures, **graded.failures}
        given = replace(graded, answers=answers, failures=failures, change=given.change)
    parts = judge_parts({}, interface, graded)
    return given, explain(process, interface, given, parts) if given.answers else Explained()


def _judged(interface: Interface, given: GivenAnswers, explained: Explained) -> tuple[str, tuple[Fact, ...]]:
    """The verdict, and what is wrong or why it is none."""
    if not explained.is_understood:
        return "inconclusive", explained.facts
    total, answered = len(given.answers) + len(given.failures), len(given.answers)
    is_enough = answered >= max(1.0, ENOUGH * total) and explained.coordinates > 0
    # a source that answers most problems and raises on some is wrong on these; one that raises on most was not judged
    has_faults = is_enough and any(not failure.is_not_applicable for failure in given.faults)
    missing = [part for part, one in interface.by_part.items() if answered and not one and part in interface.expected]
    facts = explained.facts
    if not facts and not is_enough:
        facts = (doubt(Kind.FEW_ANSWERS, answered=answered, total=total),)
    if given.change and given.is_spoilt and explained.is_repeatable:
        facts = (*facts, given.change)
    is_wrong = has_faults or any(fact.severity == Severity.WRONG for fact in facts)
    if missing:  # nobody is accused of what was not handed in
        facts = ((wrong if is_wrong else doubt)(Kind.PART_MISSING, *missing), *facts)
    return "disagree" if is_wrong else "agree" if is_enough and not missing else "inconclusive", facts


def _start_process(target: str, timeout: float) -> SubmissionProcess:
    name, colon, _ = target.rpartition(":") if ":" in target else (target, "", "")
    path, module = Path(name), ""
    if path.suffix not in (".py", ".ipynb"):
        if not (colon and name):
            raise ValueError(f"{target!r} names no function; give FILE.py, FILE.py:function or module:function")
        path, module = _file_of(target), name
    if path.is_dir():
        raise IsADirectoryError(f"{name} is a folder; give one of its files, as FILE.py or FILE.py:function")
    if not path.is_file():
        near = [file.name for file in path.parent.glob(f"*{path.suffix}") if file.is_file()]
        raise FileNotFoundError(f"there is no file {name}{did_you_mean(path.name, near)}")
    submission = read_submission(path)
    assert submission is not None
    if submission.error:
        raise message_table.FactError(submission.error)
    return SubmissionProcess(submission, timeout, module=module)


def _file_of(target: str) -> Path:
    """The file of a function that can be imported, which is read for its signature."""
    from harness.named_objects import import_attribute

    function = import_attribute(target)
    module = getattr(function, "__module__", None)
    spec = find_spec(module) if module else None
    if spec and spec.origin and spec.origin.endswith(".py") and inspect.isfunction(inspect.unwrap(function)):
        return Path(spec.origin)
    raise ValueError(f"{target} is no function of a Python file; give FILE.py:function or module:function")


def _require_course_like(like: Like, activations: Any) -> Like:
    """What the problems should be like, if a function of the course's signature can take them."""
    if like.output not in (None, "sigmoid") or activations:
        raise ValueError(
            "the course's signature is for sigmoid units; --output and --activation are for f(problem, theta)"
        )
    if like.sizes is not None and len(like.sizes) != 3:
        raise ValueError(
            f"the course's signature is for one hidden layer, so --sizes takes three, not {len(like.sizes)}"
        )
    return like


def _course_like_exercises(problems: int, seed: int, like: Like, interface: Interface) -> Iterator[Exercise]:
    """Networks with one hidden layer of sigmoid units and three classes or more, each at least once.

    Code that runs at the course's sizes alone is called on the exercises of these sizes.
    """
    if interface.only_at:
        yield from (exercise for exercise in interface.exercises if not exercise.is_degenerate)
        return
    rng = np.random.default_rng(seed)
    for index in range(problems):
        n_in, n_hidden, K = rng.integers((1, 2, 3), (8, 8, 6)).tolist()
        n_in, n_hidden, K = like.sizes or (n_in, n_hidden, K)
        m = K + int(rng.integers(0, 8))
        drawn = float(rng.choice(L2_DRAWN))
        l2 = next(value for value in (interface.l2, like.l2, drawn) if value is not None)
        yield draw_exercise((n_in, n_hidden, K), m, l2, (seed, index)).of_model(interface.model)


def _random_exercises(problems: int, seed: int, like: Like, activations: Any, *, ordinary: bool) -> Iterator[Exercise]:
    for index in range(problems):
        problem, theta = random_problem((seed, index), activations, extremes=not ordinary, like=like)
        yield Exercise(f"random_problem(({seed}, {index}))", problem, theta)


def _reported(drawn: Iterator[Exercise], problems: int, progress: Progress) -> Iterator[Exercise]:
    """The exercises whose cost fits into float64; once each is answered, progress is reported."""
    is_any = False
    for number, exercise in enumerate(drawn, start=1):
        if exercise.is_bounded:
            is_any = True
            yield exercise
            progress("diagnosing", number, problems)
    if not is_any:
        raise ValueError(f"of {problems:,} problems, none has a cost that fits into float64; choose a smaller --l2")
