"""One function asked on many problems, and the bugs that explain all that it answers."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.checks.networks.bug_explanations import Explanations, describe_nearest_bug, find_bugs
from harness.checks.networks.random_problems import ANY, Like, random_problem
from harness.facts import message_table
from harness.grading.asking import find_ways, ways_of_source
from harness.grading.calling.answers import Parsed
from harness.grading.evidence import NOT_UNDERSTOOD, in_words, is_understood, regularisers, seen_in
from harness.grading.problems import Asked, drawn
from harness.grading.reading import read_submission
from harness.grading.running import SPOILS, SPOILS_NOTHING, Failed, Process
from harness.grading.ways import NOT_REPEATABLE, Shown, Ways
from harness.isolation import Worker
from harness.progress import Progress, silent
from harness.wording import did_you_mean
from reference.activations import Activation

ENOUGH = 0.2
"""Of the problems, the share that has to be answered and compared before anything is agreed upon."""


@dataclass(frozen=True)
class Diagnosis:
    """What came out.

    Attributes
    ----------
    target : what was asked
    verdict : "agree", "disagree" or "inconclusive"
    problems, answered : how many were tried, and how many of these were answered
    coordinates : of the gradients, how many were compared
    said : which bugs explain the answers, or what can be seen in them
    bugs : the names of the sets of bugs that explain all
    conventions : in what it differs from the course's own way, for a function of the course's signature
    notes : why the rest was not answered
    answers : what was answered to each problem, for a page; not in the document
    """

    target: str
    verdict: str
    problems: int
    answered: int
    coordinates: int
    said: tuple[str, ...]
    bugs: tuple[tuple[str, ...], ...]
    conventions: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    answers: tuple[Shown, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return {"schema": "harness.diagnosis/1"} | {
            name: [list(item) if isinstance(item, tuple) else item for item in value]
            if isinstance(value, tuple)
            else value
            for name, value in vars(self).items()
            if name != "answers"
        }

    def __str__(self) -> str:
        lines = [f"{self.verdict.upper()}: {self.target}, asked on {self.answered:,} of {self.problems:,} problems"]
        lines += [f"  {clause}" for clause in self.said]
        lines += [f"  convention: {convention}" for convention in self.conventions]
        lines += [f"  note: {note}" for note in self.notes]
        lines.append(f"  {self.coordinates:,} coordinates compared, in {self.seconds:.2g} s")
        return "\n".join(lines)


def diagnose(
    target: str,
    problems: int = 25,
    seed: int = 0,
    like: Like = ANY,
    ordinary: bool = True,
    activations: Sequence[str | Activation] | None = None,
    progress: Progress = silent,
) -> Diagnosis:
    """Ask a function on many problems, and say which bugs explain what it answers.

    Parameters
    ----------
    target : str
        ``FILE.py``, ``FILE.py:function``, a notebook in place of the file, or ``module:function``. The function has the
        course's signature, or is a gradient source ``f(problem, theta)``.
    problems, seed : how many are drawn, and what decides them
    like : layer sizes, output and λ, where they are given
    ordinary : whether X and θ are of ordinary size alone; a function of the course's signature is asked no others
    activations : for a gradient source, those that hidden layers draw from

    Raises
    ------
    ValueError, OSError
        When there is no such file or function, or it can be asked in no way.
    """
    started = time.perf_counter()
    process = _process(target)
    try:
        named = _function_of(target)
        if ways := ways_of_source(process.submission, named):
            drawing = _any(problems, seed, like, ordinary, activations)
        else:
            ways = find_ways(process, named)
            if ways.failure:
                raise ValueError(f"{target} cannot be asked: {ways.failure}")
            drawing = _like_the_course(problems, seed, _checked(like, activations), ways)
        answers, failures, changes = _ask_all(process, ways, drawing, problems, progress)
        repeats = not answers or ways.repeats(process, *next(iter(answers.items())))
        regularised = _is_regularised(process, ways)
    finally:
        process.close()
    found = find_bugs([asked.replay(parsed) for asked, parsed in answers.items()]) if answers else None
    diagnosis = _diagnosis(target, ways, answers, failures, found, time.perf_counter() - started)
    if not repeats:
        return replace(diagnosis, verdict="disagree", said=(NOT_REPEATABLE,), bugs=())
    finite = all(parsed.cost is not None and np.isfinite(parsed.cost) for parsed in answers.values())
    if found and finite and not is_understood(ways, found, regularised, answers):
        return replace(diagnosis, verdict="inconclusive", said=(NOT_UNDERSTOOD,), bugs=(), coordinates=0)
    if True in changes:
        return replace(diagnosis, verdict="disagree", said=(*diagnosis.said, f"{changes[True]}{SPOILS}"))
    if changes:
        return replace(diagnosis, notes=(*diagnosis.notes, f"{changes[False]}{SPOILS_NOTHING}"))
    return diagnosis


def _is_regularised(process: Process, ways: Ways) -> bool:
    """Whether what λ adds to cost and gradient is right, whatever else is wrong."""
    try:
        with_l2, without = ways.problems[:2]
        halves = regularisers(with_l2, without, ways.ask(process, with_l2), ways.ask(process, without))
    except Failed:
        return False
    return bool(halves) and all(halves)


def _function_of(target: str) -> str | None:
    return target.rpartition(":")[2] or None if ":" in target else None


def _process(target: str) -> Process:
    name = target.rpartition(":")[0] if ":" in target else target
    path = Path(name)
    if path.suffix not in (".py", ".ipynb"):
        if ":" not in target or not name:
            raise ValueError(f"{target!r} names no function; give FILE.py, FILE.py:function or module:function")
        return _module(target)
    if path.is_dir():
        raise IsADirectoryError(f"{name} is a folder; give one of its files, as FILE.py or FILE.py:function")
    if not path.is_file():
        near = [file.name for file in path.parent.glob(f"*{path.suffix}") if file.is_file()]
        raise FileNotFoundError(f"there is no file {name}{did_you_mean(path.name, near)}")
    submission = read_submission(path)
    assert submission is not None
    if submission.error:
        raise ValueError(submission.error)
    return Process(submission, timeout=60.0)


def _module(target: str) -> Process:
    """A function of a module that can be imported: its file is read for the signature, and the module itself asked."""
    import inspect
    from importlib.util import find_spec

    from harness.named_objects import import_attribute

    function = import_attribute(target)
    module = getattr(function, "__module__", None)
    spec = find_spec(module) if module else None
    origin = (spec and spec.origin) or ""
    if not origin.endswith(".py") or not inspect.isfunction(inspect.unwrap(function)):
        raise ValueError(f"{target} is no function of a Python file; give FILE.py:function or module:function")
    submission = read_submission(Path(origin))
    assert submission is not None
    process = Process(submission, timeout=60.0)
    process.worker = Worker(target.rpartition(":")[0], timeout=60.0)
    return process


def _checked(like: Like, activations: Any) -> Like:
    """What was asked for, if a function of the course's signature can take it."""
    if like.output not in (None, "sigmoid") or activations:
        raise ValueError(
            "the course's signature is for sigmoid units; --output and --activation are for f(problem, theta)"
        )
    if like.sizes is not None and len(like.sizes) != 3:
        raise ValueError(
            f"the course's signature is for one hidden layer, so --sizes takes three, not {len(like.sizes)}"
        )
    return like


def _like_the_course(problems: int, seed: int, like: Like, ways: Ways) -> Iterator[Asked]:
    """Networks with one hidden layer of sigmoid units, every class at least once; the course's own where need be."""
    if ways.only_at:
        yield from ways.problems
        return
    rng = np.random.default_rng(seed)
    for index in range(problems):
        n_in, n_hidden, K = rng.integers((1, 2, 2), (8, 8, 6)).tolist()
        sizes = like.sizes or (n_in, n_hidden, K)
        m = sizes[2] + int(rng.integers(0, 8))
        drawn_l2 = float(rng.choice([0.0, 1.0, 0.5, 3.0]))
        l2 = next(value for value in (ways.l2, like.l2, drawn_l2) if value is not None)
        yield drawn((sizes[0], sizes[1], sizes[2]), m, l2, (seed, index))


def _any(problems: int, seed: int, like: Like, ordinary: bool, activations: Any) -> Iterator[Asked]:
    for index in range(problems):
        problem, theta = random_problem((seed, index), activations, extremes=not ordinary, like=like)
        yield Asked(f"random_problem(({seed}, {index}))", problem, theta)


def _ask_all(
    process: Process, ways: Ways, drawing: Iterator[Asked], problems: int, progress: Progress
) -> tuple[dict[Asked, Parsed], list[Failed], dict[bool, str]]:
    """The answers, why others failed, and what was changed in place, by whether that spoils the next answer."""
    answers, failures, changes = {}, [], {}
    for number, asked in enumerate(drawing, start=1):
        if not asked.is_bounded:
            continue
        try:
            process.changes.clear()
            answers[asked] = ways.ask(process, asked)
            if process.changes and True not in changes:
                said, spoils = ways.change(process, asked)
                changes.setdefault(spoils, said)
        except Failed as failure:
            failures.append(failure)
        progress("diagnosing", number, problems)
    if not answers and not failures:
        raise ValueError(f"of {problems:,} problems, none has a cost that fits into float64; choose a smaller --l2")
    return answers, failures, changes


def _diagnosis(
    target: str,
    ways: Ways,
    answers: dict[Asked, Parsed],
    failures: Sequence[Failed],
    found: Explanations | None,
    seconds: float,
) -> Diagnosis:
    raised = [str(failure) for failure in failures if not failure.does_not_apply]
    notes = [f"{len(raised)} times, {raised[0]}"] if raised else []
    if left_out := len(failures) - len(raised):
        notes.append(f"it says of {left_out} problems that they are not for it")
    if ways.only_at:
        notes.append(f"it was asked at {ways.only_at} alone, for it does not run, or is wrong, at other sizes")
    said, wrong = [], bool(found and (found.cost_wrong or found.gradient_wrong))
    if found and wrong:
        said = _in_words(found, answers)
    asked = len(answers) + len(failures)
    enough = len(answers) >= max(1.0, ENOUGH * asked) and found is not None and found.coordinates > 0
    if not wrong and not enough:
        said = ["hardly anything was answered that can be compared"]
    groups = () if found is None else found.of_both or found.of_gradient or found.of_cost
    return Diagnosis(
        target,
        "disagree" if wrong or (raised and enough) else "agree" if enough else "inconclusive",
        asked,
        len(answers),
        found.coordinates if found else 0,
        tuple(said),
        tuple(tuple(bug.name for bug in group) for group in groups),
        tuple(ways.conventions),
        tuple(notes),
        seconds,
        tuple(Shown(asked, parsed, ways) for asked, parsed in answers.items()),
    )


def _in_words(found: Explanations, answers: dict[Asked, Parsed]) -> list[str]:
    wrong = next(asked for asked, parsed in answers.items() if not all(asked.judged(parsed)))
    parsed = answers[wrong]
    finite = all(parsed.cost is not None and np.isfinite(parsed.cost) for parsed in answers.values())
    said = [] if finite else ["the cost is not finite, or missing"]
    said += in_words(found, wrong, answers, finite)
    if found.gradient_wrong and not found.of_gradient and not found.of_both:
        said += map(message_table.say, (*seen_in(wrong, parsed), describe_nearest_bug(found)))
    return [clause for clause in said if clause]
