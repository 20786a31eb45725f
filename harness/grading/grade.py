"""The grade of a submission: a verdict, its parts, points, and the facts behind them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from harness.facts.fact import Fact
from harness.grading.answer_evidence import Answers, are_regularised
from harness.grading.helper_checks import ABSENT, RIGHT, WRONG, HelperVerdict
from harness.grading.rubric import Rubric
from harness.grading.submission_files import Submission
from harness.grading.submission_interface import Interface, ShownAnswer

AGREE, DISAGREE, INCONCLUSIVE, ERROR = "agree", "disagree", "inconclusive", "error"

ARGUMENTS = "arguments"
"""Under this name, among the helpers, stands that arguments are changed in place and spoil the next answer."""


class Parts(NamedTuple):
    """Cost, gradient and regulariser: "right", "wrong" or "absent"; and the share of the regulariser that is right."""

    cost: str = ABSENT
    gradient: str = ABSENT
    regularised: str = ABSENT
    share: float = 0.0

    @property
    def outcomes(self) -> tuple[str, str, str]:
        return self.cost, self.gradient, self.regularised

    @property
    def shares(self) -> dict[str, float]:
        """What a rubric gives points for, each from 0 to 1."""
        return {"cost": self.cost == RIGHT, "gradient": self.gradient == RIGHT, "regularised": self.share}


@dataclass(frozen=True, eq=False)
class Grade:
    """What a submission came to.

    Attributes
    ----------
    verdict : "agree", "disagree", "inconclusive" (a part is missing) or "error" (it could not be called)
    helpers : by name, each helper beside the cost function; and `ARGUMENTS`
    diagnosis : what is wrong or missing
    notes : what else is worth knowing
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


def total_points(rubric: Rubric, parts: Parts, helpers: Mapping[str, HelperVerdict]) -> float:
    """The points of a rubric; helpers that are not there are not counted."""
    slope, others = slope_outcome(helpers), [outcome == RIGHT for outcome in other_outcomes(helpers)]
    beside = {
        "sigmoid_gradient": None if slope == ABSENT else float(slope == RIGHT),
        "other": float(np.mean(others)) if others else None,
    }
    return rubric.points_for(parts.shares | beside)


def judge_parts(interface: Interface, answers: Answers) -> Parts:
    """Each part judged by itself: where the regulariser is wrong, the others are judged at λ = 0 alone."""
    with_l2, without = interface.exercises[:2]
    first, second = answers.get(with_l2), answers.get(without)
    halves = [] if first is None or second is None else are_regularised(with_l2, without, first, second)
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
    )


def _outcome(right: Iterable[bool], *, is_there: bool) -> str:
    if not is_there:
        return ABSENT
    outcomes = list(right)
    return RIGHT if outcomes and all(outcomes) else WRONG
