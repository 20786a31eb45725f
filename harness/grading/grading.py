"""One submission graded, and a folder of them."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from harness.checks.networks.bug_explanations import describe_bugs, describe_nearest_bug, find_bugs, join_names
from harness.facts import message_table
from harness.facts.kinds import Kind
from harness.grading.asking import find_ways
from harness.grading.calling.answers import Parsed
from harness.grading.calling.conventions import Convention
from harness.grading.evidence import NOT_UNDERSTOOD, constant_cost, in_words, is_understood, regularisers, seen_in
from harness.grading.fixed_l2 import at_fixed_l2
from harness.grading.helpers import ABSENT, RIGHT, WRONG, Verdict, judge_helpers
from harness.grading.problems import Asked, small_problems, tiny_problems
from harness.grading.reading import Submission, find_submissions
from harness.grading.rubric import Rubric
from harness.grading.running import SPOILS, SPOILS_NOTHING, Failed, Process, interrupt_all
from harness.grading.ways import NOT_REPEATABLE, Shown, Way, Ways
from harness.progress import Progress, silent

AGREE, DISAGREE, INCONCLUSIVE, ERROR = "agree", "disagree", "inconclusive", "error"

ZERO_GRADIENT = ["the gradient is zero throughout: it is not filled in yet"]

TIMEOUT = 10.0  # seconds for each call


@dataclass(frozen=True, eq=False)
class Grade:
    """What became of a submission.

    Attributes
    ----------
    verdict : "agree", "disagree", "inconclusive" (a part is missing) or "error" (it could not be asked)
    cost, gradient, regularised, sigmoid_gradient, other : "right", "wrong" or "absent"
    helpers : the verdict on each helper; and on "arguments", where they are changed in place to the next call's harm
    diagnosis : what is wrong, in clauses
    bugs : the sets of bugs that explain all of it
    conventions : in what it differs from the course's way, and is right all the same
    notes : what else is worth knowing
    smallest : the smallest problem on which it is wrong; None where it is not, or could not be asked
    probe : the answer to the first small problem, for pictures
    """

    submission: Submission
    verdict: str
    cost: str = ABSENT
    gradient: str = ABSENT
    regularised: str = ABSENT
    sigmoid_gradient: str = ABSENT
    other: str = ABSENT
    points: float = 0.0
    diagnosis: tuple[str, ...] = ()
    conventions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    helpers: dict[str, Verdict] = field(default_factory=dict)
    bugs: tuple[str, ...] = ()
    smallest: Shown | None = None
    probe: Shown | None = None
    seconds: float = 0.0

    @property
    def name(self) -> str:
        return self.submission.name


def grade_folder(
    folder: str | Path,
    rubric: Rubric | None = None,
    function: str | None = None,
    timeout: float = TIMEOUT,
    progress: Progress = silent,
) -> list[Grade]:
    """A grade for every submission in a folder, by name; whatever one does, the others get theirs.

    Parameters
    ----------
    rubric : points and conventions; by default close to the course's
    function : the name of the function to be asked; by default found by name and parameters
    timeout : seconds for each call
    progress : called as ``progress(step, done, total)``

    Raises
    ------
    OSError, ValueError
        When there is no folder, or no submission in it.
    """
    submissions = find_submissions(folder)
    rubric = Rubric() if rubric is None else rubric
    for asked in (*small_problems(), *tiny_problems()):
        asked.bound("float64")  # computed once, before threads ask for it
    grades: dict[int, Grade] = {}
    threads = ThreadPoolExecutor(os.cpu_count() or 1)
    asked = {
        threads.submit(grade, submission, rubric, function, timeout): number
        for number, submission in enumerate(submissions)
    }
    try:
        for done, future in enumerate(as_completed(asked), start=1):
            grades[asked[future]] = future.result()
            progress("grading", done, len(submissions))
    finally:  # all are done, or this is Ctrl-C, which must not wait for a submission that never answers
        threads.shutdown(wait=False, cancel_futures=True)
        while not all(future.done() for future in asked):
            interrupt_all()
            time.sleep(0.05)
    return [grades[number] for number in range(len(submissions))]


def grade(
    submission: Submission, rubric: Rubric | None = None, function: str | None = None, timeout: float = TIMEOUT
) -> Grade:
    """The grade of one submission, which runs in a process of its own."""
    started = time.perf_counter()
    rubric = Rubric() if rubric is None else rubric
    try:
        found = _graded(submission, rubric, function, timeout)
    except Exception as error:  # noqa: BLE001  whatever a submission brings about, the others get their grades
        found = Grade(submission, ERROR, diagnosis=(f"grading it failed: {type(error).__name__}: {error}",))
    return replace(found, seconds=time.perf_counter() - started)


def _graded(submission: Submission, rubric: Rubric, function: str | None, timeout: float) -> Grade:
    if submission.error:
        return Grade(submission, ERROR, diagnosis=(submission.error,), notes=submission.notes)
    for whole in (False, True):
        process = Process(submission, timeout, whole)
        try:
            ways = find_ways(process, function)
            if whole or not _needs_its_own_program(ways):
                return judge(process, ways, rubric, whole)
        finally:
            process.close()
    raise AssertionError("unreachable: the second time, whatever came out counts")


def judge(process: Process, ways: Ways, rubric: Rubric, whole: bool = False) -> Grade:
    """The grade of a submission that is loaded, asked in the ways that were found."""
    stuck = any(failure.loading for failure in ways.failures)
    return _Judge(process, ways, {} if stuck else judge_helpers(process, process.submission), rubric, whole).grade()


def _needs_its_own_program(ways: Ways) -> bool:
    """Whether a name is missing that the file may define when all of it is run."""
    return bool(ways.failure) and any(failure.missing_name for failure in ways.failures)


class _Judge:
    """What a submission answers to all problems, judged."""

    def __init__(self, process: Process, ways: Ways, helpers: dict[str, Verdict], rubric: Rubric, whole: bool):
        self.process, self.ways, self.helpers, self.rubric = process, ways, helpers, rubric
        self.submission = process.submission
        self.notes = list(self.submission.notes)
        if whole:
            self.notes.append("the whole file was run, since its functions need what it does beside them")
        self.bugs: tuple[str, ...] = ()
        self.understood = True  # whether anything shows that it is asked in the way in which it is meant
        self.parsed: dict[Asked, Parsed] = {}
        self.failed: list[str] = []
        self.changed = ""  # which argument it changes in place, in words

    def grade(self) -> Grade:
        if self.ways.failure:
            return self._not_judged(self.ways.failure)
        for asked in self.ways.problems:
            self._ask(asked)
        if self.ways.only_at:
            self.notes.append(f"it was graded at {self.ways.only_at}, for it does not run, or is wrong, at other sizes")
        return self._judged()

    def _not_judged(self, why: str) -> Grade:
        there = any(verdict.outcome == RIGHT for verdict in self.helpers.values())
        return Grade(
            self.submission,
            ERROR,
            sigmoid_gradient=self._slope,
            other=_together(self._other),
            points=self._points(0.0, 0.0, 0.0) if there else 0.0,
            diagnosis=(why, *self._wrong_helpers),
            notes=tuple(self.notes),
            helpers=self.helpers,
        )

    def _ask(self, asked: Asked) -> None:
        self.process.changes.clear()
        try:
            self.parsed[asked] = self.ways.ask(self.process, asked)
        except Failed as failure:
            self.failed.append(f"on {asked.name}: {failure}")
        if self.process.changes and "arguments" not in self.helpers:
            said, spoils = self.ways.change(self.process, asked)
            self.changed = self.changed or said
            if spoils:
                self.helpers["arguments"] = Verdict(WRONG, f"{said}{SPOILS}")

    @property
    def _slope(self) -> str:
        return self.helpers.get("sigmoid_gradient", Verdict()).outcome

    @property
    def _other(self) -> list[str]:
        return [verdict.outcome for name, verdict in self.helpers.items() if name != "sigmoid_gradient"]

    @property
    def _wrong_helpers(self) -> list[str]:
        return [verdict.said for verdict in self.helpers.values() if verdict.outcome == WRONG]

    def _judged(self) -> Grade:
        conventions = self.ways.conventions
        refused = self.rubric.refused(conventions)
        cost, gradient, regularised, share = self._parts()
        if refused:
            cost = gradient = WRONG
        said = [f"{convention}, which the rubric counts as a bug" for convention in refused]
        if WRONG in (cost, gradient, regularised) and not refused:
            said += self._diagnosis(regularised == RIGHT)
            if not self.understood:
                self.notes += [f"{self.changed}{SPOILS_NOTHING}"] if self.changed else []
                return self._not_judged(NOT_UNDERSTOOD)
        said += self.failed
        wrong = WRONG in (cost, gradient, regularised) or self.failed or "arguments" in self.helpers
        complete = RIGHT == cost == gradient == regularised
        verdict = DISAGREE if wrong else AGREE if complete else INCONCLUSIVE
        if verdict == INCONCLUSIVE:
            missing = [name for name, part in (("cost", cost), ("gradient", gradient)) if part == ABSENT]
            said += [f"no {' and no '.join(missing)} was answered; what is there is right", *self.ways.refused]
        if verdict == AGREE or refused:
            self.notes += self._as_a_bug()
        if self.changed and "arguments" not in self.helpers:
            self.notes.append(f"{self.changed}{SPOILS_NOTHING}")
        probe = next(iter(self.parsed), None)
        return Grade(
            self.submission,
            verdict,
            cost,
            gradient,
            regularised,
            self._slope,
            _together(self._other),
            points=self._points(cost == RIGHT, gradient == RIGHT, share),
            diagnosis=(*said, *self._wrong_helpers),
            conventions=(*conventions, *(c for verdict in self.helpers.values() for c in verdict.conventions)),
            notes=tuple(self.notes),
            helpers=self.helpers,
            bugs=self.bugs,
            smallest=self._smallest() if verdict == DISAGREE and not refused else None,
            probe=Shown(probe, self.parsed[probe], self.ways) if probe else None,
        )

    def _points(self, cost: float, gradient: float, regularised: float) -> float:
        """The points, from the shares that were reached; helpers that are not there are not counted."""
        there = [outcome == RIGHT for outcome in self._other if outcome != ABSENT]
        beside = {
            "sigmoid_gradient": None if self._slope == ABSENT else float(self._slope == RIGHT),
            "other": float(np.mean(there)) if there else None,
        }
        return self.rubric.given({"cost": cost, "gradient": gradient, "regularised": regularised} | beside)

    def _parts(self) -> tuple[str, str, str, float]:
        """Cost, gradient and regulariser: right, wrong or absent; and the share of the last that is right."""
        with_l2, without = self.ways.problems[:2]
        first, second = self.parsed.get(with_l2), self.parsed.get(without)
        halves = [] if first is None or second is None else regularisers(with_l2, without, first, second)
        regularised = WRONG if not all(halves) else RIGHT if halves else ABSENT
        judged = {asked: asked.judged(parsed) for asked, parsed in self.parsed.items()}
        plain = [asked for asked in judged if not asked.problem.l2] if regularised == WRONG else list(judged)
        cost = _outcome([judged[asked][0] for asked in plain], self.ways.of_cost is not None)
        gradient = _outcome([judged[asked][1] for asked in plain], self.ways.of_gradient is not None)
        return cost, gradient, regularised, float(np.mean(halves)) if halves else 0.0

    def _diagnosis(self, regularised: bool) -> list[str]:
        """The bugs of the zoo that explain every answer, or else what can be seen in the first."""
        if not self.ways.repeats(self.process, *next(iter(self.parsed.items()))):
            return [NOT_REPEATABLE]
        answers = list(self.parsed.values())
        empty = not any(parsed.gradient is not None and parsed.gradient.any() for parsed in answers)
        if empty and (constant := constant_cost(answers)):
            return [*constant, *ZERO_GRADIENT] if self.ways.of_gradient else constant
        replays = [asked.replay(parsed) for asked, parsed in self.parsed.items()]
        found = find_bugs(replays)
        if empty:
            found = replace(found, gradient_wrong=False)
        self.bugs = tuple(map(join_names, found.of_both or (*found.of_cost, *found.of_gradient)))
        first = next(iter(self.parsed))
        finite = all(parsed.cost is not None and np.isfinite(parsed.cost) for parsed in self.parsed.values())
        said = in_words(found, first, self.parsed, finite)
        if not finite and self.ways.of_cost is not None:
            said.insert(0, "the cost is not finite")
        self.understood = empty or not finite or is_understood(self.ways, found, regularised, self.parsed)
        if found.gradient_wrong and not found.of_gradient and not found.of_both:
            said += map(message_table.say, (*seen_in(first, self.parsed[first]), describe_nearest_bug(found)))
        if empty:
            said = [clause for clause in said if not clause.endswith(f"[{Kind.GRADIENT_RIGHT}]")]
            said += ZERO_GRADIENT if self.ways.of_gradient else []
        return [clause for clause in said if clause]

    def _as_a_bug(self) -> list[str]:
        """Which bug it is where it is asked in the course's own way, of who is right in another."""
        way = self.ways.of_cost
        if way is None or not way.convention.described() or self.ways.only_at:
            return []
        asked, own = small_problems()[0], Convention(column=way.convention.column, pick=way.convention.pick)
        if not own.fits(way.roles):
            return []
        try:
            parsed = Way(way.function, way.roles, own, way.parsed).ask(self.process, asked)
        except Failed:
            return []
        found = find_bugs([asked.replay(parsed)], pairs=False)
        said = [message_table.say(fact) for fact in describe_bugs(found, asked.problem, asked.theta) if found.of_both]
        return [f"asked in the course's own way, {'; '.join(said)}"] if said else []

    def _smallest(self) -> Shown | None:
        """The smallest network on which it is wrong."""
        for asked in (*(() if self.ways.only_at else at_fixed_l2(tiny_problems(), self.ways.l2)), *self.parsed):
            try:
                parsed = self.ways.ask(self.process, asked)
            except Failed:
                continue
            cost, gradient = asked.judged(parsed)
            if not (cost or parsed.cost is None) or not (gradient or parsed.gradient is None):
                return Shown(asked, parsed, self.ways)
        return None


def _together(outcomes: Sequence[str]) -> str:
    """Right if all that are there are, wrong if one is not."""
    there = [outcome for outcome in outcomes if outcome != ABSENT]
    return ABSENT if not there else WRONG if WRONG in there else RIGHT


def _outcome(right: Sequence[bool], there: bool) -> str:
    if not there:
        return ABSENT
    return RIGHT if right and all(right) else WRONG
