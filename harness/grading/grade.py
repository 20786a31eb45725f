"""The grade of a submission: a verdict, its parts, points, and the facts behind them; and the rubric of the points.

A teacher may write the rubric, as a TOML file:

    [points]
    cost = 30
    gradient = 40
    regularised = 20
    sigmoid_gradient = 5
    other = 5

    [conventions]                       # "accept", which is the default, or "bug"
    "labels from 0" = "bug"

Beside a right part, a helper that is not there costs no points.
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.files import read_file
from harness.grading.call_conventions import CONVENTIONS, OF_THE_COURSE
from harness.grading.cost_formulas import EPSILON_ADDED, EPSILON_CLIPPED
from harness.grading.exercises import MODELS
from harness.grading.given_answers import GivenAnswers
from harness.grading.helper_checks import ABSENT, FROM_A, RIGHT, WRONG, HelperVerdict
from harness.grading.submission_files import Submission
from harness.grading.submission_interface import Interface, ShownAnswer
from reference.user_input import did_you_mean, is_real

AGREE, DISAGREE, INCONCLUSIVE, ERROR = "agree", "disagree", "inconclusive", "error"

ARGUMENTS = "arguments"
"""Under this name, among the helpers, stands that a call changes its object or arguments and spoils the next answer."""


class Part(NamedTuple):
    """A part of the homework: "right", "wrong" or "absent"; the share of its points; whether it has any."""

    outcome: str = ABSENT
    share: float = 0.0
    counts: bool = True


Parts = Mapping[str, Part]

ANSWERED = ("cost", "gradient", "regularised")  # the parts that are judged by what the homework's function returns

OF_HELPERS = ("sigmoid_gradient", "other")

NO_PARTS: Parts = {name: Part() for name in (*ANSWERED, *OF_HELPERS)}  # of a submission that could not be called

PART_NAMES: Mapping[str, str] = {
    "cost": "cost",
    "gradient": "gradient",
    "regularised": "regulariser",
    "sigmoid_gradient": "slope of the sigmoid",
    "other": "other helpers",
}
"""What people read. The regulariser is what λ adds to cost and gradient: it may be right where these are wrong."""


@dataclass(frozen=True, eq=False)
class Grade:
    """What a submission came to."""

    submission: Submission
    verdict: str = ERROR  # "agree", "disagree", "inconclusive" (a part is missing) or "error" (it could not be called)
    parts: Parts = field(default_factory=lambda: NO_PARTS)  # by name, the parts that points are given for
    # by name, each helper beside the cost function; and `ARGUMENTS`
    helpers: Mapping[str, HelperVerdict] = field(default_factory=dict)
    points: float = 0.0
    diagnosis: tuple[Fact, ...] = ()  # what is wrong or missing
    # the functions of which cost and gradient were judged, as "ex4.py:41 nnCostFunction"
    links: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Fact, ...] = ()  # what else is worth knowing
    remarks: tuple[Fact, ...] = ()  # whether somebody else's work may be in it
    bugs: tuple[str, ...] = ()  # the sets of bugs that explain all that is wrong
    conventions: tuple[str, ...] = ()  # in what it differs from the course's way, and is right all the same
    smallest: ShownAnswer | None = None  # the smallest exercise on which it is wrong, with its answer
    probe: ShownAnswer | None = None  # the answer to the first exercise, for pictures
    seconds: float = 0.0

    @property
    def name(self) -> str:
        return self.submission.name

    @property
    def outcomes(self) -> dict[str, str]:
        """By part: "right", "wrong" or "absent"."""
        return {name: part.outcome for name, part in self.parts.items()}


def verdict_of(parts: Parts, *, has_failures: bool) -> str:
    """The verdict: a part that is wrong, or an exercise that is not answered, is never "agree" in sum."""
    if has_failures or any(part.outcome == WRONG for part in parts.values()):
        return DISAGREE
    return AGREE if all(part.share == 1.0 for part in parts.values() if part.counts) else INCONCLUSIVE


def judge_parts(
    helpers: Mapping[str, HelperVerdict], interface: Interface | None = None, given: GivenAnswers | None = None
) -> Parts:
    """The parts of what was answered, if anything was, and the helpers beside it."""
    answered = _judge_answers(interface, given) if interface and given else NO_PARTS
    return {**answered, **judge_helpers(helpers, answered)}


def _judge_answers(interface: Interface, given: GivenAnswers) -> Parts:
    """Each part judged by itself: where the regulariser is wrong, the others are judged at λ = 0 alone.

    Else one forgotten λ/m would cost the points of the cost or the gradient as well. A problem that was not answered
    takes its share of the points of both.
    """
    halves = given.regularised_halves(interface.exercises[1]) if "regularised" in interface.expected else []
    is_regulariser_wrong = not all(halves)
    judged = [right for exercise, right in given.right.items() if not (is_regulariser_wrong and exercise.problem.l2)]
    answered = len(given.answers) / (len(given.answers) + len(given.faults))
    found = {"regularised": Part(RIGHT if all(halves) else WRONG, float(np.mean(halves))) if halves else Part()}
    for place, (name, one) in enumerate(interface.by_part.items()):
        is_right = bool(judged) and all(right[place] for right in judged)
        found[name] = Part() if one is None else Part(RIGHT, answered) if is_right else Part(WRONG)
    return {name: found[name]._replace(counts=name in interface.expected) for name in ANSWERED}


def judge_helpers(helpers: Mapping[str, HelperVerdict], answered: Parts = NO_PARTS) -> Parts:
    """The sigmoid's slope, which has points of its own, and all other helpers together.

    Beside a right part, a helper that is not there has its points: who writes 1 / (1 + exp(-z)) into the formula has
    shown as much as who writes a function for it.
    """
    right: dict[str, list[bool]] = {name: [] for name in OF_HELPERS}
    for name, verdict in helpers.items():
        if verdict.outcome != ABSENT:
            right[name if name in OF_HELPERS else "other"].append(verdict.outcome == RIGHT)
    absent = Part(share=float(any(part.outcome == RIGHT for part in answered.values())))
    return {n: Part(RIGHT if all(r) else WRONG, float(np.mean(r))) if r else absent for n, r in right.items()}


SLOPE_OF_Z = "slope-of-pre-activation"  # the bug of a gradient that calls a helper of a with z


def judge_by_specification(
    helpers: Mapping[str, HelperVerdict], gradient: Part = NO_PARTS["gradient"], facts: Sequence[Fact] = ()
) -> dict[str, HelperVerdict]:
    """The helpers, where a slope of the sigmoid that takes a for z is wrong unless the gradient shows that it gets a.

    It does where it is right, or where `facts` name bugs that explain it and are others than a slope at z.
    """
    slope = helpers.get("sigmoid_gradient", HelperVerdict())
    bugs = [fact.where for fact in facts if fact.kind in (Kind.BUG, Kind.BUGS_ALIKE) and fact.data["gradient"]]
    is_cause = any(SLOPE_OF_Z in names for sets in bugs for names in sets)
    if FROM_A not in slope.conventions or slope.fact is None or gradient.outcome == RIGHT or (bugs and not is_cause):
        return dict(helpers)
    data = {**slope.fact.data, "fault": "slope-handed-z"} if is_cause else slope.fact.data
    return {**helpers, "sigmoid_gradient": HelperVerdict(WRONG, replace(slope.fact, data=data))}


def wrong_helpers(helpers: Mapping[str, HelperVerdict]) -> tuple[Fact, ...]:
    """What is wrong with helpers."""
    return tuple(verdict.fact for verdict in helpers.values() if verdict.outcome == WRONG and verdict.fact)


# -- rubrics -----------------------------------------------------------------------------------------------------------

POINTS = {"cost": 30.0, "gradient": 40.0, "regularised": 20.0, "sigmoid_gradient": 5.0, "other": 5.0}
"""The parts and their points, close to those of the course's own grader."""

ACCEPT, BUG = "accept", "bug"


OTHER_CONVENTIONS = (
    *(EPSILON_ADDED, EPSILON_CLIPPED, "no regulariser", "single precision (float32)", "gradient before cost"),
    *("gradient as matrices", "gradient as an array of * axes", "cost as an array of shape *"),
    *("more answered than a cost and a gradient", "more answered than a gradient, and no cost"),
    *("cost and gradient in two functions", "* as a constant of the file", "λ = * in the code, which takes no other"),
    *("Python 2, without its print statements", "the sigmoid* for matrices alone", "predictions from *"),
    *(FROM_A, "weights as (1 + inputs, outputs)", "weights without biases"),
)
"""The conventions of answers, files and helpers; a star stands for a name or a number."""


@cache
def convention_names() -> tuple[str, ...]:
    """Every convention that a rubric may accept or refuse."""
    options = (*CONVENTIONS, *OF_THE_COURSE, *MODELS)
    return tuple(dict.fromkeys([*(name for option in options for name in option.differences()), *OTHER_CONVENTIONS]))


@dataclass(frozen=True)
class Rubric:
    """Points for each part, and "accept" or "bug" for conventions by their names."""

    points: Mapping[str, float] = field(default_factory=lambda: dict(POINTS))
    conventions: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(self.points.values())

    def scores(self, parts: Parts) -> dict[str, tuple[float, float]]:
        """By part that counts, its points and the most it can have: points · total / Σ points over these parts.

        Only a network of another course lacks a part, such as the regulariser; all parts together have the total then.
        """
        counted = {name: part for name, part in parts.items() if part.counts}
        possible = sum(self.points[name] for name in counted)
        scale = self.total / possible if possible else 0.0
        return {n: (scale * self.points[n] * part.share, scale * self.points[n]) for n, part in counted.items()}

    def points_for(self, parts: Parts) -> float:
        """The sum of the points of all parts."""
        return round(sum(points for points, _ in self.scores(parts).values()), 2)

    def scaled(self, total: float) -> "Rubric":
        """The same rubric with another number of points in all, which must be above zero and finite."""
        if not 0.0 < total < float("inf"):
            raise ValueError(f"the largest number of points must be above zero and finite, not {total:g}")
        return replace(self, points={name: points * total / self.total for name, points in self.points.items()})

    def refused(self, conventions: Iterable[str]) -> list[str]:
        """The conventions that count as bugs."""
        bugs = [name for name, says in self.conventions.items() if says == BUG]
        return [convention for convention in conventions if any(fnmatchcase(convention, name) for name in bugs)]


def read_rubric(path: str | Path) -> Rubric:
    """The rubric in a TOML file.

    Raises OSError or ValueError where the file is missing, is not TOML, or holds something else than points and
    conventions.
    """
    try:
        document = tomllib.loads(read_file(path, "a rubric, which is a TOML file").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    for name in document.keys() - {"points", "conventions"}:
        raise ValueError(f"{path} has [{name}]; a rubric has [points] and [conventions]")
    points, conventions = document.get("points", {}), document.get("conventions", {})
    if not isinstance(points, dict) or not isinstance(conventions, dict):
        raise ValueError(f"{path} must have [points] and [conventions] as tables")
    for name, value in points.items():
        if name not in POINTS:
            known = f"the parts are {', '.join(POINTS)}{did_you_mean(name, POINTS)}"
            raise ValueError(f"{path} gives points for {name!r}, but {known}")
        if not is_real(value) or not 0.0 <= value < float("inf"):
            raise ValueError(f"{path} gives {value!r} points for {name}; they must be a number, zero or more")
    for name, value in conventions.items():
        if value not in (ACCEPT, BUG):
            raise ValueError(f'{path} gives {value!r} for the convention {name!r}; it must be "accept" or "bug"')
        if not any(fnmatchcase(name, known) for known in convention_names()):
            raise ValueError(
                f"{path} names the convention {name!r}, which there is not{did_you_mean(name, convention_names())}; "
                "the column 'conventions' of a table of grades has those of a class"
            )
    if not sum((rubric := Rubric(POINTS | points, conventions)).points.values()):
        raise ValueError(f"{path} gives no points to any part; give some to one at least")
    return rubric
