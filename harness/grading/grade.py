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

A helper that is not there is not counted: the points are then scaled up to the same total.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.facts.fact import Fact
from harness.files import read_file
from harness.grading.answer_evidence import Answers, are_regularised
from harness.grading.helper_checks import ABSENT, RIGHT, WRONG, HelperVerdict
from harness.grading.submission_files import Submission
from harness.grading.submission_interface import Interface, ShownAnswer
from reference.user_input import did_you_mean

AGREE, DISAGREE, INCONCLUSIVE, ERROR = "agree", "disagree", "inconclusive", "error"

ARGUMENTS = "arguments"
"""Under this name, among the helpers, stands that arguments are changed in place and spoil the next answer."""


class Parts(NamedTuple):
    """Cost, gradient and regulariser: "right", "wrong" or "absent"; the share of the regulariser that is right.

    `expected` are the parts that a whole submission has.
    """

    cost: str = ABSENT
    gradient: str = ABSENT
    regularised: str = ABSENT
    share: float = 0.0
    expected: tuple[str, ...] = ("cost", "gradient", "regularised")

    @property
    def outcomes(self) -> tuple[str, str, str]:
        return self.cost, self.gradient, self.regularised

    @property
    def are_right(self) -> bool:
        """Whether all that is expected is there and right."""
        return all(getattr(self, name) == RIGHT for name in self.expected)

    @property
    def shares(self) -> dict[str, float | None]:
        """What a rubric gives points for, each from 0 to 1; None for what is not expected."""
        found = {"cost": self.cost == RIGHT, "gradient": self.gradient == RIGHT, "regularised": self.share}
        return {name: float(share) if name in self.expected else None for name, share in found.items()}


@dataclass(frozen=True, eq=False)
class Grade:
    """What a submission came to.

    Attributes
    ----------
    verdict : "agree", "disagree", "inconclusive" (a part is missing) or "error" (it could not be called)
    helpers : by name, each helper beside the cost function; and `ARGUMENTS`
    diagnosis : what is wrong or missing
    notes : what else is worth knowing
    remarks : whether somebody else's work may be in it
    bugs : the sets of bugs that explain all that is wrong
    conventions : in what it differs from the course's way, and is right all the same
    smallest : the smallest exercise on which it is wrong, with its answer
    probe : the answer to the first exercise, for pictures
    """

    submission: Submission
    verdict: str
    parts: Parts = field(default_factory=Parts)
    helpers: Mapping[str, HelperVerdict] = field(default_factory=dict)
    points: float = 0.0
    diagnosis: tuple[Fact, ...] = ()
    notes: tuple[Fact, ...] = ()
    remarks: tuple[Fact, ...] = ()
    bugs: tuple[str, ...] = ()
    conventions: tuple[str, ...] = ()
    smallest: ShownAnswer | None = None
    probe: ShownAnswer | None = None
    seconds: float = 0.0

    @property
    def name(self) -> str:
        return self.submission.name

    @property
    def cost(self) -> str:
        return self.parts.cost

    @property
    def gradient(self) -> str:
        return self.parts.gradient

    @property
    def regularised(self) -> str:
        return self.parts.regularised

    @property
    def sigmoid_gradient(self) -> str:
        return slope_outcome(self.helpers)

    @property
    def other(self) -> str:
        """All other helpers together."""
        outcomes = other_outcomes(self.helpers)
        return WRONG if WRONG in outcomes else RIGHT if outcomes else ABSENT


def slope_outcome(helpers: Mapping[str, HelperVerdict]) -> str:
    """The outcome of the sigmoid's slope, which has points of its own."""
    return helpers.get("sigmoid_gradient", HelperVerdict()).outcome


def other_outcomes(helpers: Mapping[str, HelperVerdict]) -> list[str]:
    """The outcomes of all other helpers that are there."""
    outcomes = [verdict.outcome for name, verdict in helpers.items() if name != "sigmoid_gradient"]
    return [outcome for outcome in outcomes if outcome != ABSENT]


def wrong_helpers(helpers: Mapping[str, HelperVerdict]) -> tuple[Fact, ...]:
    """What is wrong with helpers."""
    return tuple(verdict.fact for verdict in helpers.values() if verdict.outcome == WRONG and verdict.fact)


def judge_parts(interface: Interface, answers: Answers) -> Parts:
    """Each part judged by itself: where the regulariser is wrong, the others are judged at λ = 0 alone."""
    with_l2, without = interface.exercises[:2]
    first, second = answers.get(with_l2), answers.get(without)
    is_there = first is not None and second is not None and "regularised" in interface.expected
    halves = are_regularised(with_l2, without, first, second) if is_there else []  # pyright: ignore[reportArgumentType]
    regularised = WRONG if not all(halves) else RIGHT if halves else ABSENT
    judged = [
        exercise.is_right(answer)
        for exercise, answer in answers.items()
        if regularised != WRONG or not exercise.problem.l2
    ]
    return Parts(
        _outcome((cost for cost, _ in judged), is_there=interface.of_cost is not None),
        _outcome((gradient for _, gradient in judged), is_there=interface.of_gradient is not None),
        regularised,
        float(np.mean(halves)) if halves else 0.0,
        interface.expected,
    )


def _outcome(right: Iterable[bool], *, is_there: bool) -> str:
    if not is_there:
        return ABSENT
    outcomes = list(right)
    return RIGHT if outcomes and all(outcomes) else WRONG


# -- rubrics -----------------------------------------------------------------------------------------------------------

POINTS = {"cost": 30.0, "gradient": 40.0, "regularised": 20.0, "sigmoid_gradient": 5.0, "other": 5.0}
"""The parts and their points, close to those of the course's own grader."""

ACCEPT, BUG = "accept", "bug"


@dataclass(frozen=True)
class Rubric:
    """Points for each part, and "accept" or "bug" for conventions by their names."""

    points: Mapping[str, float] = field(default_factory=lambda: dict(POINTS))
    conventions: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(self.points.values())

    def points_for(self, shares: Mapping[str, float | None]) -> float:
        """total · Σ points · share / Σ points, over the parts whose share (0 to 1) is not None."""
        counted = {name: share for name, share in shares.items() if share is not None}
        possible = sum(self.points[name] for name in counted)
        earned = sum(self.points[name] * share for name, share in counted.items())
        return round(self.total * earned / possible, 2) if possible else 0.0

    def scaled(self, total: float) -> "Rubric":
        """The same rubric with another number of points in all, which must be above zero and finite."""
        if not 0.0 < total < float("inf"):
            raise ValueError(f"the largest number of points must be above zero and finite, not {total:g}")
        return replace(self, points={name: points * total / self.total for name, points in self.points.items()})

    def refused(self, conventions: Iterable[str]) -> list[str]:
        """The conventions that count as bugs."""
        return [convention for convention in conventions if self.conventions.get(convention, ACCEPT) == BUG]


def read_rubric(path: str | Path) -> Rubric:
    """The rubric in a TOML file.

    Raises
    ------
    OSError, ValueError
        The file is missing, is not TOML, or holds something else than points and conventions.
    """
    content = read_file(path, "a rubric, which is a TOML file")
    try:
        document = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    for name in document:
        if name not in ("points", "conventions"):
            raise ValueError(f"{path} has [{name}]; a rubric has [points] and [conventions]")
    points, conventions = document.get("points", {}), document.get("conventions", {})
    if not isinstance(points, dict) or not isinstance(conventions, dict):
        raise ValueError(f"{path} must have [points] and [conventions] as tables")
    for name, value in points.items():
        _require_points(path, name, value)
    for name, value in conventions.items():
        if value not in (ACCEPT, BUG):
            raise ValueError(f'{path} gives {value!r} for the convention {name!r}; it must be "accept" or "bug"')
    rubric = Rubric(POINTS | {name: float(value) for name, value in points.items()}, conventions)
    if not rubric.total:
        raise ValueError(f"{path} gives no points to any part; give some to one at least")
    return rubric


def _require_points(path: str | Path, name: str, value: Any) -> None:
    if name not in POINTS:
        raise ValueError(
            f"{path} gives points for {name!r}, but the parts are {', '.join(POINTS)}{did_you_mean(name, POINTS)}"
        )
    if not isinstance(value, Real) or isinstance(value, bool) or not 0.0 <= float(value) < float("inf"):
        raise ValueError(f"{path} gives {value!r} points for {name}; they must be a number, zero or more")


def beside_parts(helpers: Mapping[str, HelperVerdict]) -> dict[str, float | None]:
    """The shares of the helpers, each from 0 to 1; None for what is not there."""
    slope, others = slope_outcome(helpers), [outcome == RIGHT for outcome in other_outcomes(helpers)]
    return {
        "sigmoid_gradient": None if slope == ABSENT else float(slope == RIGHT),
        "other": float(np.mean(others)) if others else None,
    }


def total_points(rubric: Rubric, parts: Parts, helpers: Mapping[str, HelperVerdict]) -> float:
    """The points of a rubric; helpers that are not there are not counted."""
    return rubric.points_for(parts.shares | beside_parts(helpers))
